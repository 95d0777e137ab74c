"""Ordinary least squares whose errors may correlate within a cluster, in two passes over blocks of rows.

The first pass sums the cross-products, the second the clusters' scores and what leaving each out would change, so that
memory holds a block and K x K numbers however many rows there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from stages.statistics import moments as cross
from stages.statistics.inference import Inference
from stages.statistics.leave_out import Influence, Sums
from stages.statistics.moments import Moments

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Block = tuple[Floats, Floats, Ints]    # X (n, K), y (n,), cluster (n,): labels ascend, a cluster is in one block
Blocks = Callable[[], Iterable[Block]]  # each call streams all rows again

ROWS = 4096        # of a block that is cut from arrays: large enough for BLAS, small enough for the cache
NEGLIGIBLE = 1e-9  # of the outcome's spread: an effect or error below it is a rounding error of an exact zero
CANCELLED = 1e-13  # of the largest variance: what is left where the terms of a variance that is 0 cancel


@dataclass(frozen=True)
class LeaveOut:
    """What changes where one row, or one cluster, is left out; clusters are named by their labels."""

    predicted_r2: float            # 1 - PRESS / total: of rows that the fit without them foretells (Allen 1974)
    press: float
    out_of_cluster_r2: float       # the same of rows that the fit without their cluster foretells
    lonely: int                    # rows that alone tell a coefficient: nothing foretells them
    cook: float                    # greatest Cook's distance of a row, and the row's cluster
    cook_cluster: int
    singular: int                  # clusters without which X has no full rank
    lowest: Floats                 # (K,) least estimate over the fits without one cluster, and the cluster
    lowest_cluster: Ints
    highest: Floats
    highest_cluster: Ints
    sizes: tuple[int, float, int]  # rows a cluster: least, mean, greatest
    leverage_max: float            # of a cluster, tr H_gg; their mean is K / G
    leverage_cluster: int
    leverage_cv: float             # their standard deviation over their mean
    partial_max: Floats            # (K,) greatest share of a cluster in what tells the coefficient; their mean is 1 / G
    partial_cluster: Ints
    effective_clusters: Floats     # (K,) G* at correlation 0 within clusters (Carter, Schnepel & Steigerwald 2017)
    effective_clusters_equal: Floats  # (K,) G* at correlation 1; NaN where the regressor's weights cancel in clusters
    covariance_centred: Floats     # (K, K) CV3J: the jackknife about the mean of the leave-out estimates
    influence: Influence


@dataclass(frozen=True)
class Fit(Inference):
    """A fit and its inference; see Inference for t, p, intervals and tests."""

    names: tuple[str, ...]           # (K,) of the columns of X
    moments: Moments
    bread: Floats                    # (K, K) inverse of X'X
    residual_variance: float         # s²
    observations: int                # N
    cluster_counts: tuple[int, ...]  # G; with two ways of clustering one a way
    r2: float
    outside: int                     # fitted values below 0 or above 1
    leave_out: LeaveOut | None       # of the first way of clustering

    @property
    def clusters(self) -> int:
        return self.cluster_counts[0]

    @cached_property
    def adjusted_r2(self) -> float:
        """1 - (1 - r2) (N - 1) / (N - K)."""
        return 1 - (1 - self.r2) * (self.observations - 1) / (self.observations - len(self.names))


def cut(X: Floats, y: Floats, cluster: Ints, rows: int = ROWS) -> Blocks:
    """Arrays (N, K), (N,), (N,) as blocks of whole clusters; they are sorted where the labels do not ascend."""
    if len(cluster) and (cluster[1:] < cluster[:-1]).any():
        order = np.argsort(cluster, kind="stable")
        X, y, cluster = X[order], y[order], cluster[order]
    bounds = boundaries(cluster, rows)

    def blocks() -> Iterator[Block]:
        for start, end in pairwise(bounds):
            yield X[start:end], y[start:end], cluster[start:end]
    return blocks


def boundaries(cluster: Ints, rows: int = ROWS) -> list[int]:
    """Where to cut sorted labels (N,), so that a block has whole clusters and, if they allow, at most `rows` rows."""
    starts = np.r_[np.flatnonzero(np.r_[True, cluster[1:] != cluster[:-1]]), len(cluster)]
    bounds = [0]
    while bounds[-1] < len(cluster):
        end = int(np.searchsorted(starts, bounds[-1] + rows, side="right")) - 1
        bounds.append(int(starts[end]) if starts[end] > bounds[-1] else int(starts[end + 1]))
    return bounds


def least_squares(blocks: Blocks, names: Sequence[str], *, leave_out: bool = True,
                  jackknife: bool | None = None) -> Fit:
    """Least squares of y on X, with the sandwich covariance of Liang & Zeger (1986) and the cluster jackknife.

    CV1 = G/(G-1) (N-1)/(N-K) (X'X)^-1 [sum of s_g s_g'] (X'X)^-1 with the clusters' scores s_g = X_g'e_g (Stata's);
    CV3 = (G-1)/G sum of (beta_(-g) - beta)(beta_(-g) - beta)', of the fits without one cluster each (MacKinnon, Nielsen
    & Webb 2023). The errors of the Fit are CV3's, or CV1's where neither leave_out nor jackknife is asked for, in
    a third of the time; jackknife is as leave_out unless it is said otherwise: alone it gives CV3 without diagnostics.
    The first column of X is of ones; names (K,) are of its columns.
    Raises ValueError on other shapes or values, N <= K, fewer than two clusters, a constant y, a cluster in two blocks,
    and on columns that are combinations of others (both sides are named).
    """
    total = cross.total_of(Moments.of(X, y) for X, y in checked(blocks, names))
    if total.rows <= len(names):
        raise ValueError(f"{total.rows} rows cannot tell {len(names)} coefficients: use more captchas or fewer factors")
    cross.refuse_collinear(total, names)
    beta, _ = cross.solve(total)
    root: Floats = solve_triangular(np.linalg.cholesky(total.XX), np.eye(len(names)), lower=True).T  # L'^-1
    sums = Sums(root, beta, float(total.Xy[0]) / total.rows, leave_out=leave_out,
                jackknife=leave_out if jackknife is None else jackknife)
    last: int | None = None
    for X, y, cluster in blocks():
        if last is not None and cluster[0] <= last:
            raise ValueError(f"cluster {cluster[0]} comes after {last}: labels should ascend, a cluster in one block")
        last = int(cluster[-1])
        sums.add(X, y, cluster)
    if sums.clusters < 2:
        raise ValueError("all rows are in one cluster: an error clustered so needs at least two")
    return _fit(total, sums, tuple(names))


def checked(blocks: Blocks, names: Sequence[str]) -> Iterator[tuple[Floats, Floats]]:
    """X and y of each block, after a look at them."""
    low, high = np.inf, -np.inf
    for X, y, cluster in blocks():
        if X.ndim != 2 or y.shape != X.shape[:1] or cluster.shape != y.shape or len(names) != X.shape[1]:
            raise ValueError(f"expected X (N, K), y (N,), cluster (N,) and K names, got X {X.shape}, y {y.shape}, "
                             f"cluster {cluster.shape} and {len(names)} names")
        if not len(y):
            raise ValueError("a block has no rows")
        with np.errstate(invalid="ignore"):  # infinity less infinity
            sums = X.sum() + y.sum()  # a look at each number costs as much as the fit
        if not np.isfinite(sums):
            bad = [name for k, name in enumerate(names) if not np.isfinite(X[:, k]).all()]
            raise ValueError(f"expected finite numbers, got NaN or infinity in {', '.join(bad or ['y'])}")
        if not (X[:, 0] == 1).all():
            raise ValueError(f"the first column, {names[0]}, should be of ones")
        if len(cluster) > 1 and (cluster[1:] < cluster[:-1]).any():
            raise ValueError("the labels of the clusters should ascend: sort the rows by cluster")
        low, high = min(low, float(y.min())), max(high, float(y.max()))
        yield X, y
    if low == high:
        raise ValueError(f"the outcome is {low:g} in every row: there is nothing to explain")


def two_way(first: Fit, second: Fit, both: Fit) -> Fit:
    """Errors that may correlate within either of two ways of clustering: V = V_a + V_b - V_ab.

    Cameron, Gelbach & Miller (2011), J. Business & Economic Statistics 29:238, each with its own small-sample factor
    and the degrees of freedom of the fewer clusters. It can be smaller than either part, even negative: the largest of
    the three is the error, as MacKinnon, Nielsen & Webb (2024, arXiv 2406.08880) advise, and a test is as sure as the
    least sure of them. `both` is clustered by the intersection.
    """
    counts = (first.clusters, second.clusters)
    return replace(first, df=min(counts) - 1, cluster_counts=counts,
                   covariances=_either(first.covariances[0], second.covariances[0], both.covariances[0]),
                   covariances_cv1=_either(first.covariances_cv1[0], second.covariances_cv1[0],
                                           both.covariances_cv1[0]))


def _either(first: Floats, second: Floats, both: Floats) -> tuple[Floats, ...]:
    return first + second - both, first, second


def _fit(moments: Moments, sums: Sums, names: tuple[str, ...]) -> Fit:
    N, K, G = moments.rows, len(names), sums.clusters
    root = sums.root
    beta = sums.beta + root @ (root.T @ sums.scores)  # a step of refinement: the exact solution's scores sum to 0
    size = np.sqrt(np.diag(moments.XX) / N) / np.sqrt(sums.total / N)  # (K,) of a typical value, in spreads of y
    factor = G / (G - 1) * (N - 1) / (N - K)
    cv1 = _without_rounding_errors(factor * root @ sums.meat @ root.T, size)
    cv3 = _without_rounding_errors((G - 1) / G * root @ sums.jackknife @ root.T, size) if sums.with_jackknife else cv1
    variance = sums.squares / (N - K)
    return Fit(beta=np.where(np.abs(beta) * size < NEGLIGIBLE, 0.0, beta), df=G - 1, covariances=(cv3,),
               covariances_cv1=(cv1,), names=names, moments=moments, bread=root @ root.T, residual_variance=variance,
               observations=N, cluster_counts=(G,), r2=1 - sums.squares / sums.total, outside=sums.outside,
               leave_out=_left_out(beta, sums, N, variance) if sums.leave_out else None)


def _left_out(beta: Floats, sums: Sums, N: int, variance: float) -> LeaveOut:
    K, G = len(beta), sums.clusters
    sums.influence.trim()
    scale = K * variance if variance > 0 else 1.0  # a perfect fit has no residuals, and no distances
    sums.influence.distance = sums.influence.distance / scale
    spread = max(0.0, sums.leverage_squares / G - (K / G) ** 2)
    told = sums.joint > 1e-9 * G * sums.spread  # weights that cancel within every cluster leave rounding errors alone
    equal = np.divide(np.square(sums.joint), sums.joint_squares, out=np.full(K, np.nan), where=told)
    return LeaveOut(
        predicted_r2=1 - sums.press / sums.total, press=sums.press,
        out_of_cluster_r2=1 - sums.out_of_cluster / sums.total, lonely=sums.lonely,
        cook=sums.cook / scale, cook_cluster=sums.cook_cluster, singular=sums.singular,
        lowest=beta - sums.moved.high, lowest_cluster=sums.moved.high_cluster,
        highest=beta - sums.moved.low, highest_cluster=sums.moved.low_cluster,
        sizes=(sums.smallest, N / G, sums.largest), leverage_max=sums.leverage_max,
        leverage_cluster=sums.leverage_cluster, leverage_cv=float(np.sqrt(spread)) * G / K,
        partial_max=sums.partial.high, partial_cluster=sums.partial.high_cluster,
        effective_clusters=1 / sums.partial_squares, effective_clusters_equal=equal,
        covariance_centred=_centred_jackknife(sums), influence=sums.influence)


def _centred_jackknife(sums: Sums) -> Floats:
    G = sums.clusters
    about = sums.jackknife - np.outer(sums.shift, sums.shift) / G
    covariance: Floats = (G - 1) / G * sums.root @ about @ sums.root.T
    return covariance


def _without_rounding_errors(covariance: Floats, size: Floats) -> Floats:
    """Exact zeros where an error is one but for rounding, so that no t is made of rounding errors."""
    variance = np.diag(covariance) * np.square(size)
    exact = variance < max(CANCELLED * variance.max(), NEGLIGIBLE**2)
    return np.where(exact[:, None] | exact[None, :], 0.0, covariance)
