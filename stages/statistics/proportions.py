"""A share with an interval that respects clusters."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit


def clustered_proportion(success: NDArray[Any], cluster: NDArray[Any],
                         confidence: float = 0.95) -> tuple[float, float, float]:
    """The share of successes and its interval, where observations may agree within a cluster.

    Wilson's (1927) interval, with the effective sample size N / deff in the place of N and Student's t with G - 1
    degrees of freedom in the place of the normal: Korn & Graubard (1998), Survey Methodology 24:193; Dean & Pagano
    (2015), Statistics in Medicine 34:3125. deff is the cluster-robust variance of the mean over p (1 - p) / (N - 1).
    The effective size is N at most, and G where that variance is zero (all alike, or the clusters' sums of deviations
    vanish): the share is then known from G clusters, and no better.

    success (N,) of 0 and 1; cluster (N,) labels, G >= 2. Returns (estimate, low, high), each in [0, 1].
    Raises ValueError on lengths that differ, values other than 0 and 1, or fewer than two clusters.
    """
    success, cluster = np.asarray(success, float), np.asarray(cluster)
    if success.ndim != 1 or success.shape != cluster.shape:
        raise ValueError(f"clustered_proportion: success {success.shape} and cluster {cluster.shape} "
                         "should be alike (N,)")
    if not np.isin(success, (0, 1)).all():
        raise ValueError(f"clustered_proportion: success should be 0 or 1, got {success[~np.isin(success, (0, 1))][0]}")
    if not 0 < confidence < 1:
        raise ValueError(f"clustered_proportion: confidence should lie between 0 and 1, got {confidence}")
    labels, index = np.unique(cluster, return_inverse=True)
    G = len(labels)
    if G < 2:
        raise ValueError(f"clustered_proportion: an interval needs at least two clusters, got {G}: take more captchas")
    estimate = float(success.mean())
    n = effective_size(success, index, G)
    t = float(stdtrit(G - 1, (1 + confidence) / 2))
    return estimate, *wilson(estimate, n, t)


def effective_size(success: NDArray[Any], cluster: NDArray[Any], G: int) -> float:
    """N / deff of the mean of success (N,); cluster (N,) from 0 to G - 1."""
    N, p = len(success), success.mean()
    scores = np.bincount(cluster, success - p, G)  # (G,)
    variance = G / (G - 1) * (scores @ scores) / N**2
    if variance < 1e-12 / N:  # rounding alone
        return float(G)
    return float(min(N, N * (p * (1 - p) / (N - 1)) / variance))


def wilson(p: float, n: float, t: float) -> tuple[float, float]:
    """Wilson's score interval of a share p of n at the critical value t."""
    centre = (p + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t / (1 + t**2 / n) * sqrt(p * (1 - p) / n + t**2 / (4 * n**2))
    return 0.0 if p == 0 else max(0.0, centre - half), 1.0 if p == 1 else min(1.0, centre + half)  # exactly
