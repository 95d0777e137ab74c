"""Ordinary least squares whose errors may correlate within a cluster, in two passes over blocks of rows.

The first pass sums cross-products, the second the clusters' scores and what leaving each out would change. What is
streamed is X: it is made a block of whole clusters at a time, in either pass anew, and is never whole. What it is made
of is in memory (the predictions: a number or code per row and variable, the outcome, the labels), as are K x K sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.linalg import solve_triangular

from stages.statistics import moments as cross
from stages.statistics.arrays import Floats, Ints
from stages.statistics.clustered import run_starts, sandwich
from stages.statistics.influence import Jackknife, LeaveOut, LeaveOutSums
from stages.statistics.leave_out import ClusterBatch, cluster_batches
from stages.statistics.moments import Moments
from stages.statistics.significance import Inference

Block = tuple[
    Floats, Floats, Ints
]  # X (n, K), y (n,), cluster (n,): labels ascend, a cluster is in one block
Blocks = Callable[[], Iterable[Block]]  # each call gives all rows again

BLOCK_ROWS = 4096  # of a block: large enough for BLAS, small enough for the cache
NEGLIGIBLE = 1e-9  # of the outcome's spread: an effect or error below it is a rounding error of an exact zero
CANCELLED = (
    1e-13  # of the largest variance: what is left where the terms of a variance that is 0 cancel
)
PROBABILITY_ROUNDING = 1e-9  # a fitted value is outside [0, 1] beyond it


@dataclass(frozen=True)
class Fit(Inference):
    """A fit and its inference; see Inference for t, p, intervals and tests."""

    names: tuple[str, ...]  # (K,) of the columns of X
    moments: Moments
    bread: Floats  # (K, K) inverse of X'X
    residual_variance: float  # s²
    observations: int  # N
    cluster_counts: tuple[int, ...]  # G; with two ways of clustering one a way
    r2: float
    out_of_range: int  # fitted values below 0 or above 1
    leave_out: LeaveOut | None  # of the first way of clustering

    @property
    def clusters(self) -> int:
        return self.cluster_counts[0]

    @cached_property
    def adjusted_r2(self) -> float:
        """1 - (1 - r2) (N - 1) / (N - K)."""
        return 1 - (1 - self.r2) * (self.observations - 1) / (self.observations - len(self.names))


def into_blocks(X: Floats, y: Floats, cluster: Ints, rows: int = BLOCK_ROWS) -> Blocks:
    """Arrays (N, K), (N,), (N,) as blocks of whole clusters; they are sorted where the labels do not ascend."""
    if len(cluster) and (cluster[1:] < cluster[:-1]).any():
        order = np.argsort(cluster, kind="stable")
        X = X[order]
        y = y[order]
        cluster = cluster[order]
    bounds = boundaries(cluster, rows)

    def blocks() -> Iterator[Block]:
        for start, end in pairwise(bounds):
            yield X[start:end], y[start:end], cluster[start:end]

    return blocks


def boundaries(cluster: Ints, rows: int = BLOCK_ROWS) -> list[int]:
    """Where to cut sorted labels (N,), so that a block has whole clusters and, if they allow, at most `rows` rows."""
    starts = np.r_[run_starts(cluster), len(cluster)]
    bounds = [0]
    while bounds[-1] < len(cluster):
        end = int(np.searchsorted(starts, bounds[-1] + rows, side="right")) - 1
        bounds.append(int(starts[end]) if starts[end] > bounds[-1] else int(starts[end + 1]))
    return bounds


def least_squares(
    blocks: Blocks, names: Sequence[str], *, leave_out: bool = True, jackknife: bool | None = None
) -> Fit:
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
    root = identified_root(total, names)
    beta, _ = cross.solve(total)
    mean = float(total.Xy[0]) / total.rows
    sums = Sums(
        root,
        beta,
        mean,
        jackknife=leave_out if jackknife is None else jackknife,
        leave_out=leave_out,
    )
    for X, y, cluster in ascending_blocks(blocks):
        sums.add(X, y, cluster)
    return _fit(total, sums, tuple(names))


def identified_root(total: Moments, names: Sequence[str]) -> Floats:
    """L'^-1 of X'X = L L', (K, K). Raises ValueError on fewer rows than columns, or dependent columns, named."""
    if total.rows <= len(names):
        raise ValueError(
            f"{total.rows} rows cannot tell {len(names)} coefficients: use more captchas or fewer factors"
        )
    cross.refuse_collinear(total, names)
    root: Floats = solve_triangular(np.linalg.cholesky(total.XX), np.eye(len(names)), lower=True).T
    return root


def ascending_blocks(blocks: Blocks) -> Iterator[Block]:
    """The blocks. Raises ValueError where a cluster comes again, or all rows are in one."""
    first: int | None = None
    last: int | None = None
    for X, y, cluster in blocks():
        if last is not None and cluster[0] <= last:
            raise ValueError(
                f"cluster {cluster[0]} comes after {last}: labels should ascend, a cluster in one block"
            )
        first = int(cluster[0]) if first is None else first
        last = int(cluster[-1])
        yield X, y, cluster
    if first == last:
        raise ValueError("all rows are in one cluster: an error clustered so needs at least two")


def checked(blocks: Blocks, names: Sequence[str]) -> Iterator[tuple[Floats, Floats]]:
    """X and y of each block, after a look at them."""
    low = np.inf
    high = -np.inf
    for X, y, cluster in blocks():
        if (
            X.ndim != 2
            or y.shape != X.shape[:1]
            or cluster.shape != y.shape
            or len(names) != X.shape[1]
        ):
            raise ValueError(
                f"expected X (N, K), y (N,), cluster (N,) and K names, got X {X.shape}, y {y.shape}, "
                f"cluster {cluster.shape} and {len(names)} names"
            )
        if not len(y):
            raise ValueError("a block has no rows")
        with np.errstate(invalid="ignore"):  # infinity less infinity
            sums = X.sum() + y.sum()  # a look at each number costs as much as the fit
        if not np.isfinite(sums):
            bad = [name for k, name in enumerate(names) if not np.isfinite(X[:, k]).all()]
            raise ValueError(
                f"expected finite numbers, got NaN or infinity in {', '.join(bad or ['y'])}"
            )
        if not (X[:, 0] == 1).all():
            raise ValueError(f"the first column, {names[0]}, should be of ones")
        if len(cluster) > 1 and (cluster[1:] < cluster[:-1]).any():
            raise ValueError("the labels of the clusters should ascend: sort the rows by cluster")
        low = min(low, float(y.min()))
        high = max(high, float(y.max()))
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
    return replace(
        first,
        df=min(counts) - 1,
        cluster_counts=counts,
        covariances=_either(first.covariances[0], second.covariances[0], both.covariances[0]),
        covariances_cv1=_either(
            first.covariances_cv1[0], second.covariances_cv1[0], both.covariances_cv1[0]
        ),
    )


def _either(first: Floats, second: Floats, both: Floats) -> tuple[Floats, ...]:
    return first + second - both, first, second


class Sums:
    """What the second pass adds up; `add` takes blocks of whole clusters."""

    def __init__(
        self, root: Floats, beta: Floats, mean: float, *, jackknife: bool, leave_out: bool
    ) -> None:
        """root (K, K) is L'^-1; mean is of y."""
        K = len(beta)
        self.root = root
        self.beta = beta
        self.mean = mean
        self.score = np.zeros(K)  # X'e: 0 but for rounding
        self.meat = np.zeros((K, K))  # sum of s_g s_g'
        self.residual_squares = 0.0
        self.total_squares = 0.0  # of y about its mean
        self.clusters = 0
        self.out_of_range = 0  # fitted values below 0 or above 1
        self.jackknife = Jackknife(root) if jackknife else None
        self.leave_out = LeaveOutSums(root) if leave_out else None

    def add(self, X: Floats, y: Floats, cluster: Ints) -> None:
        """X (n, K), y (n,), labels (n,) alike in adjacent rows."""
        fitted = X @ self.beta
        e = y - fitted
        self.score += e @ X
        self.residual_squares += float(e @ e)
        self.total_squares += float(np.square(y - self.mean).sum())
        self.out_of_range += int(
            ((fitted < -PROBABILITY_ROUNDING) | (fitted > 1 + PROBABILITY_ROUNDING)).sum()
        )
        if self.jackknife is None:  # rows need no Z: fewer clusters are multiplied than rows
            for batch in cluster_batches(X, e, cluster):
                self._add_scores(batch.score @ self.root)
            return
        for batch in cluster_batches(X @ self.root, e, cluster):
            self._add_scores(batch.score)
            self._add_left_out(batch, self.jackknife)

    def _add_scores(self, score: Floats) -> None:
        """s_g (g, K)."""
        self.clusters += len(score)
        self.meat += score.T @ score

    def _add_left_out(self, batch: ClusterBatch, jackknife: Jackknife) -> None:
        w = batch.shortest_displacement(self.root, self.beta)
        jackknife.add(w, batch.displacement.singular)
        if self.leave_out is not None:
            self.leave_out.add(batch, w)


def _fit(moments: Moments, sums: Sums, names: tuple[str, ...]) -> Fit:
    N = moments.rows
    K = len(names)
    G = sums.clusters
    root = sums.root
    beta = sums.beta + root @ (
        root.T @ sums.score
    )  # a step of refinement: the exact solution's scores sum to 0
    size = np.sqrt(np.diag(moments.XX) / N) / np.sqrt(
        sums.total_squares / N
    )  # (K,) a typical value, in spreads of y
    cv1 = _without_rounding_errors(sandwich(root, sums.meat, rows=N, clusters=G), size)
    cv3 = (
        cv1
        if sums.jackknife is None
        else _without_rounding_errors(sums.jackknife.covariance(G), size)
    )
    variance = sums.residual_squares / (N - K)
    left_out = None
    if sums.leave_out is not None and sums.jackknife is not None:
        left_out = sums.leave_out.result(
            beta, sums.jackknife, total=sums.total_squares, N=N, G=G, variance=variance
        )
    return Fit(
        beta=np.where(np.abs(beta) * size < NEGLIGIBLE, 0.0, beta),
        df=G - 1,
        covariances=(cv3,),
        covariances_cv1=(cv1,),
        names=names,
        moments=moments,
        bread=root @ root.T,
        residual_variance=variance,
        observations=N,
        cluster_counts=(G,),
        r2=1 - sums.residual_squares / sums.total_squares,
        out_of_range=sums.out_of_range,
        leave_out=left_out,
    )


def _without_rounding_errors(covariance: Floats, size: Floats) -> Floats:
    """Exact zeros where an error is one but for rounding, so that no t is made of rounding errors."""
    variance = np.diag(covariance) * np.square(size)
    exact = variance < max(CANCELLED * variance.max(), NEGLIGIBLE**2)
    return np.where(exact[:, None] | exact[None, :], 0.0, covariance)
