"""The cluster bootstrap: whole clusters are drawn again, so that what is correlated within one stays together.

A resample is a weight for each of G clusters: Field & Welsh (2007), J. Royal Statistical Society B 69:369. Every
function draws B resamples at once. `multinomial_counts` and `index_counts` have one distribution, but take other
numbers from a generator: published numbers rest on either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.statistics.arrays import Floats, Ints

REDRAWS = 100  # rounds in which a resample may be replaced


def multinomial_counts(G: int, draws: int, *, rng: np.random.Generator) -> Ints:
    """How often each cluster is drawn in resamples of G with replacement, (B, G)."""
    return rng.multinomial(G, np.full(G, 1 / G), size=draws)


def index_counts(G: int, draws: int, *, rng: np.random.Generator) -> Ints:
    """The same, (B, G), by the indices of the clusters drawn."""
    chosen = rng.integers(G, size=(draws, G)) + G * np.arange(draws)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * G).reshape(draws, G)


def exponential_weights(G: int, draws: int, *, rng: np.random.Generator) -> Floats:
    """Weights of the Bayesian bootstrap, (B, G), each of mean 1: Rubin (1981), Annals of Statistics 9:130."""
    return rng.exponential(size=(draws, G))


def cluster_weights(clusters: NDArray[Any], draws: int, *, rng: np.random.Generator) -> Floats:
    """Weights (1 + B, N) of observations: all ones, then how often each resample holds their cluster (N,)."""
    names, owner = np.unique(clusters, return_inverse=True)
    counts = multinomial_counts(len(names), draws, rng=rng)
    weights: Floats = np.concatenate([np.ones((1, len(owner))), counts[:, owner]])
    return weights


def resampled_shares(
    right: Floats, seen: Floats, draws: int, *, rng: np.random.Generator
) -> Floats:
    """Shares (1 + B, L) of what is read right at L levels, the sample's own first; clusters' sums of right and seen are
    (G, L).

    A resample in which a level shows nothing is drawn again. Raises ValueError where that goes on: the clusters of some
    level are too few.
    """
    G, L = right.shape
    both = np.concatenate([right, seen], axis=1)
    sums = np.concatenate([both.sum(axis=0, keepdims=True), np.zeros((draws, 2 * L))])
    for _ in range(REDRAWS):
        missing = np.flatnonzero((sums[:, L:] == 0).any(axis=1))
        if not len(missing):
            return np.asarray(sums[:, :L] / sums[:, L:])
        sums[missing] = index_counts(G, len(missing), rng=rng).astype(np.float64) @ both
    raise ValueError(
        "resampled clusters leave some level without a character: show more captchas at each level"
    )


def draws_in_parts(draws: int, most: int) -> Iterator[int]:
    """Numbers of draws that add up to `draws`, each `most` at most: for weights that would fill the memory at once."""
    for start in range(0, draws, most):
        yield min(most, draws - start)


def percentile_interval(drawn: Floats, confidence: float) -> Floats:
    """The central interval, (2, ...), of estimates (B, ...) in B resamples."""
    return np.asarray(np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0))
