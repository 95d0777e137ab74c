"""Least squares with each cluster left out, without a refit.

With X'X = L L' (Cholesky), root = L'^-1, Z = X root and residuals e = y - X beta, a cluster g of m rows has

    hat matrix    H_g = Z_g Z_g'                                          (m, m)
    leverage      tr H_g, the sum of its rows' leverages h
    score         s_g = Z_g' e_g                                          (K,)
    displacement  w_g = Z_g' (I - H_g)^-1 e_g = (I - Z_g' Z_g)^-1 s_g     (K,)

and beta - beta_(-g) = root w_g. The smaller of the two systems is solved. Where X without the cluster has no full rank,
the shortest solution beta_(-g) is taken, as R's summclust does. MacKinnon, Nielsen & Webb (2023), "Leverage, influence,
and the jackknife in clustered regression models", Stata Journal 23:942; "Fast and reliable jackknife and bootstrap
methods for cluster-robust inference", J. Applied Econometrics 38:671.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stages.statistics.arrays import Floats, Ints
from stages.statistics.clustered import run_starts

SAFE_LEVERAGE = 0.9  # tr H_g below which no eigenvalue of I - H_g is near 0, since none of H_g exceeds the trace
SINGULAR = 1e-10  # an eigenvalue of I - H_g below it is 0 but for rounding


@dataclass(frozen=True)
class Displacement:
    """w_g of g clusters, (g, K), and the indices of those without which X has no full rank.

    Of these, w_g has no part in the directions that the other clusters do not identify.
    """

    w: Floats
    singular: Ints


@dataclass(frozen=True)
class ClusterBatch:
    """g clusters of m rows each."""

    label: Ints  # (g,)
    Z: Floats  # (g, m, K)
    e: Floats  # (g, m)

    @cached_property
    def score(self) -> Floats:
        """s_g, (g, K)."""
        return np.asarray(np.einsum("gmk,gm->gk", self.Z, self.e))

    @cached_property
    def row_leverage(self) -> Floats:
        """h, the diagonal of H_g, (g, m)."""
        return np.asarray(np.einsum("gmk,gmk->gm", self.Z, self.Z))

    @cached_property
    def leverage(self) -> Floats:
        """tr H_g, (g,)."""
        return np.asarray(self.row_leverage.sum(axis=1))

    @cached_property
    def displacement(self) -> Displacement:
        _, m, K = self.Z.shape
        transposed = self.Z.transpose(0, 2, 1)
        if m > K:
            w, singular = _solutions(np.eye(K) - transposed @ self.Z, self.score, self.leverage)
            return Displacement(w, singular)
        error, singular = _solutions(np.eye(m) - self.Z @ transposed, self.e, self.leverage)
        return Displacement(np.asarray(np.einsum("gmk,gm->gk", self.Z, error)), singular)

    def shortest_displacement(self, root: Floats, beta: Floats) -> Floats:
        """w_g (g, K) for the shortest beta_(-g): 0 in the directions that only the cluster identifies."""
        w = self.displacement.w.copy()
        for g in self.displacement.singular:
            directions = unidentified_directions(self.Z[g], root)
            left_out = beta - root @ w[g]
            w[g] += np.linalg.solve(root, directions @ (directions.T @ left_out))
        return w


def cluster_batches(Z: Floats, e: Floats, cluster: Ints) -> Iterator[ClusterBatch]:
    """Rows that are sorted by cluster, Z (n, K), e (n,) and labels (n,), as clusters of one size at a time."""
    starts = run_starts(cluster)
    sizes = np.diff(starts, append=len(cluster))
    if (sizes == sizes[0]).all():  # no copy
        yield ClusterBatch(
            cluster[starts], Z.reshape(len(starts), -1, Z.shape[1]), e.reshape(len(starts), -1)
        )
        return
    for m in np.unique(sizes):
        rows = starts[sizes == m][:, None] + np.arange(m)
        yield ClusterBatch(cluster[rows[:, 0]], Z[rows], e[rows])


def unidentified_directions(Z: Floats, root: Floats) -> Floats:
    """An orthonormal basis (K, r) of the directions of beta that only the rows Z (m, K) identify."""
    values, vectors = np.linalg.eigh(Z.T @ Z)
    return np.asarray(np.linalg.qr(root @ vectors[:, values > 1 - SINGULAR])[0], np.float64)


def _solutions(systems: Floats, targets: Floats, leverage: Floats) -> tuple[Floats, Ints]:
    """Solutions (g, n) of symmetric systems (g, n, n), the Moore-Penrose ones where a system is singular, and the
    indices of these."""
    safe = leverage < SAFE_LEVERAGE
    found = np.empty_like(targets)
    found[safe] = np.linalg.solve(systems[safe], targets[safe][:, :, None])[:, :, 0]
    risky = np.flatnonzero(~safe)
    values, vectors = np.linalg.eigh(systems[risky])
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > SINGULAR)
    coordinates = (targets[risky][:, None, :] @ vectors)[:, 0] * inverse
    found[risky] = (vectors @ coordinates[:, :, None])[:, :, 0]
    return found, risky[values[:, 0] < SINGULAR]
