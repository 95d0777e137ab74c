"""The restricted wild cluster bootstrap of few clusters, on the clusters' scores (WCR).

Cameron, Gelbach & Miller (2008), Review of Economics and Statistics 90:414, without refits: MacKinnon (2023), "Fast
cluster bootstrap methods for linear regression models", Econometrics and Statistics 26:52.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from stages.statistics.arrays import Floats
from stages.statistics.clustered import run_starts
from stages.statistics.least_squares import Blocks
from stages.statistics.moments import Moments

WEBB_WEIGHTS = np.sqrt(
    [0.5, 1.0, 1.5]
)  # Webb (2023), Canadian J. of Economics 56:839: six points, these and their negatives
ALL_SIGNS = range(10, 14)  # clusters for which every one of the 2^G signs is drawn, once
TIE_TOLERANCE = 1e-9  # of |t|: a draw that repeats the estimate counts as no smaller


def cluster_moments(blocks: Blocks) -> list[Moments]:
    """The cross-products of each cluster, (X'X, X'y); for few clusters."""
    found = []
    for X, y, cluster in blocks():
        starts = run_starts(cluster)
        found += [
            Moments.of(X[start:end], y[start:end])
            for start, end in zip(starts, np.r_[starts[1:], len(y)], strict=True)
        ]
    return found


def weights(G: int, draws: int, *, rng: np.random.Generator) -> tuple[Floats, bool]:
    """What each draw multiplies the clusters' residuals by, (B, G), and whether they are all that there can be."""
    if G in ALL_SIGNS:
        return np.array(list(product((1.0, -1.0), repeat=G))), True
    return rng.choice(np.concatenate([-WEBB_WEIGHTS, WEBB_WEIGHTS]), (draws, G)), False


def wild_p(clusters: list[Moments], draws: int, *, rng: np.random.Generator) -> Floats:
    """Two-sided p of each coefficient (K,), that it is zero; t with CV1. NaN where its CV1 is 0.

    With the zero imposed on the residuals, 10 to 13 clusters take all 2^G signs (the smallest p is 2 / 2^G), fewer or
    more take `draws` of Webb's six points (p counts the estimate itself, so that it is never 0).
    """
    A = np.stack([one.XX for one in clusters])  # (G, K, K)
    b = np.stack([one.Xy for one in clusters])  # (G, K)
    bread = np.linalg.inv(A.sum(axis=0))
    beta = bread @ b.sum(axis=0)
    drawn, complete = weights(len(clusters), draws, rng=rng)
    scores = b - A @ beta
    p = np.full(len(beta), np.nan)
    for j in range(len(beta)):
        error = np.sqrt(
            np.square(scores @ bread[j]).sum()
        )  # the small-sample factor is in both t and cancels
        if error <= 1e-12 * np.abs(b @ bread[j]).sum():
            continue
        reached = np.abs(_restricted_t(j, A, b, bread, drawn)) >= abs(beta[j]) / error * (
            1 - TIE_TOLERANCE
        )
        p[j] = reached.mean() if complete else (1 + reached.sum()) / (1 + len(drawn))
    return p


def _restricted_t(j: int, A: Floats, b: Floats, bread: Floats, drawn: Floats) -> Floats:
    """t of coefficient j in each draw, (B,), about the fit in which it is zero."""
    free = np.delete(np.arange(len(bread)), j)
    beta = np.zeros(len(bread))
    beta[free] = np.linalg.solve(A.sum(axis=0)[np.ix_(free, free)], b.sum(axis=0)[free])
    scores = b - A @ beta  # (G, K)
    moved = drawn @ scores @ bread  # (B, K) beta* - beta
    parts = (
        drawn * (scores @ bread[j]) - moved @ (A @ bread[j]).T
    )  # (B, G) of the clusters in the error
    error = np.sqrt(np.square(parts).sum(axis=1))
    t: Floats = np.divide(moved[:, j], error, out=np.full_like(error, np.inf), where=error > 0)
    return t
