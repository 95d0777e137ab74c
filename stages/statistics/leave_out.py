"""Least squares with each row and each cluster left out, without a refit: sums and extremes over blocks of clusters.

With X'X = L L' (Cholesky), Z = X L'^-1 and residuals e, leaving cluster g out moves the estimate by
beta - beta_(-g) = L'^-1 w_g with w_g = Z_g' (I - H_gg)^-1 e_g = (I - Z_g'Z_g)^-1 Z_g'e_g, H_gg = Z_g Z_g'.
The smaller of the two systems is solved. Where a leave-out leaves X without full rank, the shortest solution is taken,
as R's summclust does, and the cluster is counted. MacKinnon, Nielsen & Webb (2023), "Leverage, influence, and the
jackknife in clustered regression models", Stata Journal 23:942; "Fast and reliable jackknife and bootstrap methods for
cluster-robust inference", J. Applied Econometrics 38:671.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SAFE = 0.9        # trace of H_gg below which I - H_gg has no eigenvalue near 0, since none of H_gg exceeds the trace
FEW = 8           # rows of a cluster up to which the clusters are worked on side by side
SINGULAR = 1e-10  # an eigenvalue of I - H_gg below it is 0 but for rounding
ROUNDING = 1e-9   # of a probability: no further outside [0, 1] than it is known
KEPT = 1000       # most influential clusters whose own numbers are kept


@dataclass
class Influence:
    """The clusters that move the estimates most, at most KEPT, in the order of `distance`."""

    cluster: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # (M,) labels
    rows: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    leverage: Floats = field(default_factory=lambda: np.empty(0))         # (M,) tr H_gg
    distance: Floats = field(default_factory=lambda: np.empty(0))         # (M,) w'w; Cook's is this over K s²
    moved: Floats | None = None                                           # (M, K) beta - beta_(-g)

    def add(self, cluster: Ints, rows: Ints, leverage: Floats, distance: Floats, moved: Floats) -> None:
        """Take these clusters in and forget the least of all, once there are twice as many as are kept."""
        if len(self.distance) >= KEPT and len(distance):
            chosen = distance > self.distance[:KEPT].min()
            cluster, rows, leverage, distance, moved = (
                values[chosen] for values in (cluster, rows, leverage, distance, moved))
        self.cluster = np.concatenate([self.cluster, cluster])
        self.rows = np.concatenate([self.rows, rows])
        self.leverage = np.concatenate([self.leverage, leverage])
        self.distance = np.concatenate([self.distance, distance])
        self.moved = moved if self.moved is None else np.concatenate([self.moved, moved])
        if len(self.distance) > 2 * KEPT:
            self.trim()

    def trim(self) -> None:
        order = np.argsort(-self.distance, kind="stable")[:KEPT]
        self.cluster, self.rows = self.cluster[order], self.rows[order]
        self.leverage, self.distance = self.leverage[order], self.distance[order]
        self.moved = None if self.moved is None else self.moved[order]


class Extremes:
    """The least and the greatest of each column over the clusters, and the cluster of each."""

    def __init__(self, K: int) -> None:
        self.low, self.high = np.full(K, np.inf), np.full(K, -np.inf)
        self.low_cluster, self.high_cluster = np.zeros(K, np.int64), np.zeros(K, np.int64)

    def add(self, cluster: Ints, values: Floats) -> None:
        """cluster (g,) and values (K, g)."""
        columns = np.arange(len(values))
        least, most = values.argmin(axis=1), values.argmax(axis=1)
        lower, higher = values[columns, least] < self.low, values[columns, most] > self.high
        self.low = np.where(lower, values[columns, least], self.low)
        self.low_cluster = np.where(lower, cluster[least], self.low_cluster)
        self.high = np.where(higher, values[columns, most], self.high)
        self.high_cluster = np.where(higher, cluster[most], self.high_cluster)


class Sums:
    """What the second pass over the rows adds up; `add` takes clusters, whole and in any order."""

    def __init__(self, root: Floats, beta: Floats, mean: float, *, leave_out: bool,
                 jackknife: bool) -> None:
        """root (K, K) is L'^-1, so that Z = X root; beta (K,); mean of y."""
        K = len(beta)
        self.root, self.beta, self.mean, self.leave_out = root, beta, mean, leave_out
        self.with_jackknife = jackknife
        self.spread = np.square(root).sum(axis=1)   # (K,) diagonal of (X'X)^-1
        self.scores = np.zeros(K)                   # X'e: 0 but for rounding
        self.meat = np.zeros((K, K))                # sum of s_g s_g', s_g = Z_g'e_g
        self.squares = self.total = 0.0             # of the residuals, of y about its mean
        self.clusters = self.largest = self.outside = 0
        self.smallest = 0
        self.jackknife = np.zeros((K, K))           # sum of w_g w_g'
        self.shift = np.zeros(K)                    # sum of w_g
        self.press = self.out_of_cluster = 0.0      # squared errors without the row, without its cluster
        self.lonely = self.singular = 0             # rows and clusters without which X has no full rank
        self.cook, self.cook_cluster = 0.0, 0       # e² h / (1 - h)² at its greatest; Cook's distance is this over K s²
        self.leverage_squares = self.leverage_max = 0.0
        self.leverage_cluster = 0
        self.partial_squares = np.zeros(K)          # sum of squared partial leverages
        self.joint, self.joint_squares = np.zeros(K), np.zeros(K)  # of (sum of X (X'X)^-1 over a cluster)²
        self.moved, self.partial = Extremes(K), Extremes(K)
        self.influence = Influence()

    def add(self, X: Floats, y: Floats, cluster: Ints) -> None:
        """A block of whole clusters: X (n, K), y (n,), labels (n,) alike in adjacent rows."""
        starts = np.flatnonzero(np.r_[True, cluster[1:] != cluster[:-1]])
        sizes = np.diff(np.r_[starts, len(y)])
        fitted = X @ self.beta
        e = y - fitted
        self.squares += float(e @ e)
        self.total += float(np.square(y - self.mean).sum())
        self.scores += e @ X
        self.outside += int(((fitted < -ROUNDING) | (fitted > 1 + ROUNDING)).sum())
        self.smallest = min(self.smallest or int(sizes.min()), int(sizes.min()))
        self.largest = max(self.largest, int(sizes.max()))
        self.clusters += len(starts)
        for labels, X_g, e_g in same_sized(X, e, cluster, starts, sizes):
            if self.with_jackknife:
                self.add_left_out(labels, coordinates(X_g, self.root), np.ascontiguousarray(e_g.T))
            else:
                self.add_scores((np.einsum("gmk,gm->gk", X_g, e_g) @ self.root).T)

    def add_scores(self, scores: Floats) -> None:
        """scores (K, g)."""
        self.meat += scores @ scores.T

    def add_left_out(self, labels: Ints, Z: Floats, e: Floats) -> None:
        """g clusters of m rows: labels (g,), Z (m, K, g), e (m, g)."""
        scores = np.einsum("mkg,mg->kg", Z, e)
        self.add_scores(scores)
        w, leverage, singular = displacement(Z, e, scores)
        self.singular += len(singular)
        for g in singular:  # of all solutions without it the shortest beta, which is 0 where nothing tells it
            alone = untold(Z[:, :, g], self.root)
            w[:, g] += np.linalg.solve(self.root, alone @ (alone.T @ (self.beta - self.root @ w[:, g])))
        self.jackknife += w @ w.T
        self.shift += w.sum(axis=1)
        if not self.leave_out:
            return
        self.add_rows(labels, np.einsum("mkg,mkg->mg", Z, Z).T, e.T)
        self.out_of_cluster += float(np.square(e + np.einsum("mkg,kg->mg", Z, w)).sum())
        moved = self.root @ w                        # (K, g) beta - beta_(-g)
        self.moved.add(labels, moved)
        self.leverage_squares += float(leverage @ leverage)
        if leverage.max() > self.leverage_max:
            self.leverage_max, self.leverage_cluster = float(leverage.max()), int(labels[leverage.argmax()])
        partial, joint = self.told(Z)
        self.partial.add(labels, partial)
        self.partial_squares += np.square(partial).sum(axis=1)
        self.joint += joint.sum(axis=1)
        self.joint_squares += np.square(joint).sum(axis=1)
        self.influence.add(labels, np.full(len(labels), len(e)), leverage, np.square(w).sum(axis=0), moved.T)

    def told(self, Z: Floats) -> tuple[Floats, Floats]:
        """Partial leverages (K, g), and squares of the sums of the rows W of X (X'X)^-1."""
        if len(Z) <= FEW:
            W = self.root @ Z
        else:
            W = (Z.transpose(2, 0, 1).reshape(-1, Z.shape[1]) @ self.root.T).reshape(Z.shape[2], *Z.shape[:2])
            W = W.transpose(1, 2, 0)
        partial: Floats = np.einsum("mkg,mkg->kg", W, W) / self.spread[:, None]
        return partial, np.square(W.sum(axis=0))

    def add_rows(self, labels: Ints, h: Floats, e: Floats) -> None:
        """Rows left out: h, e (g, m). A row that alone tells a coefficient (h = 1) has no error foretold: counted."""
        told = 1 - h > SINGULAR
        self.lonely += int((~told).sum())
        foretold = np.divide(e, 1 - h, out=np.zeros_like(e), where=told)
        self.press += float(np.square(foretold).sum())
        cook = np.square(foretold) * h
        if cook.max() > self.cook:
            self.cook, self.cook_cluster = float(cook.max()), int(labels[cook.max(axis=1).argmax()])


def same_sized(Z: Floats, e: Floats, cluster: Ints, starts: Ints,
               sizes: Ints) -> Iterator[tuple[Ints, Floats, Floats]]:
    """The clusters by their size m: labels (g,), Z (g, m, K), e (g, m)."""
    for m in np.unique(sizes):
        first = starts[sizes == m]
        if len(first) == len(sizes):
            yield cluster[first], Z.reshape(len(first), m, -1), e.reshape(len(first), m)
            continue
        rows = first[:, None] + np.arange(m)
        yield cluster[first], Z[rows], e[rows]


def coordinates(X: Floats, root: Floats) -> Floats:
    """Z (m, K, g) of X (g, m, K): with few rows a cluster the clusters are adjacent in memory, so that each step below
    is one long vector operation instead of one small one a cluster."""
    g, m, K = X.shape
    if m <= FEW:
        Z: Floats = root.T @ X.transpose(1, 2, 0)
        return Z
    return (X.reshape(-1, K) @ root).reshape(g, m, K).transpose(1, 2, 0)


def displacement(Z: Floats, e: Floats, scores: Floats) -> tuple[Floats, Floats, Ints]:
    """w_g of each cluster, (K, g), tr H_gg (g,) and the indices of those without which X has no full rank: there w_g
    has no part in the directions that nothing else tells. Z (m, K, g), e (m, g), scores (K, g)."""
    m, K, _ = Z.shape
    if m <= K:
        system, target = -np.einsum("ikg,jkg->ijg", Z, Z) if m <= FEW else -_products(Z.transpose(2, 0, 1)), e
    else:
        system, target = -_products(Z.transpose(2, 1, 0)), scores
    rows = np.arange(len(system))
    leverage = -system[rows, rows].sum(axis=0)
    system[rows, rows] += 1
    risky = np.flatnonzero(leverage >= SAFE)
    alone = system[:, :, risky].transpose(2, 0, 1)
    theirs = generalised(alone, target[:, risky].T) if len(risky) else None
    if m <= FEW:
        system[:, :, risky] = np.eye(len(system))[:, :, None]
        q = eliminated(system, target.copy())
    else:
        safe = leverage < SAFE
        q = np.empty_like(target)
        q[:, safe] = np.linalg.solve(system.transpose(2, 0, 1)[safe], target.T[safe][:, :, None])[:, :, 0].T
    singular = np.empty(0, bool)
    if theirs is not None:
        q[:, risky] = theirs.T
        singular = np.linalg.eigvalsh(alone)[:, 0] < SINGULAR
    w: Floats = np.einsum("mkg,mg->kg", Z, q) if m <= K else q
    return w, leverage, risky[singular]


def _products(Z: Floats) -> Floats:
    """(n, n, g) products of the rows of Z (g, n, r)."""
    return (Z @ Z.transpose(0, 2, 1)).transpose(1, 2, 0)


def eliminated(system: Floats, target: Floats) -> Floats:
    """Solutions (n, g) of systems (n, n, g) and target (n, g), both overwritten: Gauss's elimination of all at once.

    Without pivots, which matrices with eigenvalues from 0.1 to 1 do not need.
    """
    n = len(system)
    for j in range(n):
        for i in range(j + 1, n):
            factor = system[i, j] / system[j, j]
            system[i, j + 1:] -= factor * system[j, j + 1:]
            target[i] -= factor * target[j]
    for j in reversed(range(n)):
        target[j] = (target[j] - np.einsum("ig,ig->g", system[j, j + 1:], target[j + 1:])) / system[j, j]
    return target


def untold(Z: Floats, root: Floats) -> Floats:
    """An orthonormal basis (K, r) of what only the rows Z (m, K) tell of beta."""
    values, vectors = np.linalg.eigh(Z.T @ Z)
    return np.asarray(np.linalg.qr(root @ vectors[:, values > 1 - SINGULAR])[0], np.float64)


def generalised(system: Floats, target: Floats) -> Floats:
    """Moore-Penrose solutions (g, n) of symmetric systems (g, n, n)."""
    values, vectors = np.linalg.eigh(system)
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > SINGULAR)
    coordinates = np.asarray((target[:, None, :] @ vectors)[:, 0] * inverse, np.float64)
    return np.asarray((vectors @ coordinates[:, :, None])[:, :, 0], np.float64)
