"""Differences between the categories of a factor that hold at the same time, ranks, and what could have been found.

Simultaneous bounds are max-t (Hothorn, Bretz & Westfall 2008, Biometrical J. 50:346): estimate ± c SE, where c is the
quantile of the largest |t| of all pairs under the joint covariance, by draws of the multivariate t, and no less than
that of one pair. Ranks follow from
them (Mogstad, Romano, Shaikh & Wilhelm 2024, Review of Economic Studies 91:476): a category's best rank is one more
than the number of those that are surely ahead of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from stages.statistics.arrays import Floats, Ints

T_DRAWS = 10_000  # of the multivariate t; a 95 % quantile is then known to about 1 %
DETECTION_POWER = 0.8  # with which a difference is called detectable


@dataclass(frozen=True)
class Means:
    """Effects of the categories of one factor, with the covariances that their errors may have (see Inference)."""

    categories: tuple[str, ...]
    effects: Floats  # (M,)
    covariances: tuple[Floats, ...]  # (M, M) each; the largest variance of a difference counts
    df: int

    def standard_error(self, weights: Floats) -> Floats:
        """Of combinations (C, M) of the effects, (C,)."""
        variances = [np.einsum("cm,mn,cn->c", weights, V, weights) for V in self.covariances]
        error: Floats = np.sqrt(np.maximum(np.max(variances, axis=0), 0))
        return error


@dataclass(frozen=True)
class Contrast:
    """The effect of category a less that of b."""

    a: str
    b: str
    difference: float
    standard_error: float
    low: float  # NaN with no standard error, as what follows
    high: float
    simultaneous_low: float
    simultaneous_high: float
    probability: float  # that the difference is above 0
    detectable: float  # smallest difference that is found with a power of 80 %
    equivalence: float  # bound b such that the equivalence test holds the difference within ±b


@dataclass(frozen=True)
class Rank:
    """Where a category stands; 1 has the largest effect."""

    category: str
    rank: int
    low: int  # simultaneous bounds
    high: int
    first: float  # probability of the largest effect


def contrasts(means: Means, *, confidence: float, rng: np.random.Generator) -> list[Contrast]:
    """Every pair, the earlier category first."""
    pairs = _pairs(len(means.effects))
    weights = _weights(pairs, len(means.effects))
    difference = weights @ means.effects
    error = means.standard_error(weights)
    known = np.where(error > 0, error, np.nan)
    critical = simultaneous(means, confidence, rng=rng)
    t = special.stdtrit(means.df, (1 + confidence) / 2)
    both = special.stdtrit(means.df, confidence)  # of the two one-sided tests (Schuirmann 1987)
    probability = special.stdtr(means.df, difference / known)
    power = special.stdtrit(means.df, DETECTION_POWER)
    return [
        Contrast(
            means.categories[a],
            means.categories[b],
            float(difference[i]),
            float(error[i]),
            float(difference[i] - t * known[i]),
            float(difference[i] + t * known[i]),
            float(difference[i] - critical * known[i]),
            float(difference[i] + critical * known[i]),
            float(probability[i]),
            float((t + power) * known[i]),
            float(abs(difference[i]) + both * known[i]),
        )
        for i, (a, b) in enumerate(pairs)
    ]


def ranks(means: Means, *, confidence: float, rng: np.random.Generator) -> list[Rank]:
    """The rank of each category by its effect, with simultaneous bounds over all of them."""
    M = len(means.effects)
    pairs = _pairs(M)
    weights = _weights(pairs, M)
    difference = weights @ means.effects
    error = means.standard_error(weights)
    half = simultaneous(means, confidence, rng=rng) * error
    ahead = np.zeros((M, M), bool)  # whether one is surely above another
    known = error > 0  # without an error nothing is sure, as in `contrasts`
    ahead[pairs[:, 0], pairs[:, 1]] = known & (difference - half > 0)
    ahead[pairs[:, 1], pairs[:, 0]] = known & (difference + half < 0)
    drawn = means.effects + draws(means, rng=rng)
    first = np.bincount(drawn.argmax(axis=1), minlength=M) / len(drawn)
    place = 1 + (means.effects[None, :] > means.effects[:, None]).sum(axis=1)
    return [
        Rank(
            category,
            int(place[i]),
            1 + int(ahead[:, i].sum()),
            M - int(ahead[i].sum()),
            float(first[i]),
        )
        for i, category in enumerate(means.categories)
    ]


def simultaneous(means: Means, confidence: float, *, rng: np.random.Generator) -> float:
    """The quantile c of the largest |t| over all pairs, and no less than that of a single pair, Student's own.

    t is a drawn difference over the standard deviation that its draws have: where several covariances may hold, the
    standard error of a pair is the largest of them all, and would make its t too small.
    """
    single = float(special.stdtrit(means.df, (1 + confidence) / 2))
    pairs = _pairs(len(means.effects))
    if len(pairs) < 2:
        return single
    root = _root(means)
    normal, scale = _drawn(means, rng=rng)
    largest = np.zeros(len(normal))
    for a in range(len(means.effects) - 1):  # a category at a time: memory holds its pairs only
        chosen = pairs[pairs[:, 0] == a]
        apart = root[a] - root[chosen[:, 1]]  # (C, M)
        spread = np.sqrt(np.square(apart).sum(axis=1))
        known = (spread > 0) & (means.standard_error(_weights(chosen, len(means.effects))) > 0)
        t = np.abs(normal @ (apart[known] / spread[known, None]).T)
        largest = np.maximum(largest, t.max(axis=1, initial=0))
    return max(single, float(np.quantile(largest / scale, confidence)))


def draws(means: Means, *, rng: np.random.Generator) -> Floats:
    """Errors (T_DRAWS, M) from the multivariate t of `_root`'s covariance."""
    normal, scale = _drawn(means, rng=rng)
    drawn: Floats = normal @ _root(means).T / scale[:, None]
    return drawn


def _drawn(means: Means, *, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """What the multivariate t is made of: standard normals (T_DRAWS, M), and their divisors (T_DRAWS,)."""
    normal = rng.standard_normal((T_DRAWS, len(means.effects)))
    return normal, np.sqrt(rng.chisquare(means.df, T_DRAWS) / means.df)


def _root(means: Means) -> Floats:
    """A root (M, M) of the first covariance, made positive semidefinite by the nearest eigenvalues and scaled up to the
    largest of the variances."""
    V = means.covariances[0]
    values, vectors = np.linalg.eigh((V + V.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0))
    size = np.sqrt(np.square(root).sum(axis=1))
    wanted = means.standard_error(np.eye(len(size)))
    root *= np.divide(wanted, size, out=np.ones(len(size)), where=size > 0)[:, None]
    return np.asarray(root)


def _pairs(M: int) -> Ints:
    return np.array([(a, b) for a in range(M) for b in range(a + 1, M)], dtype=np.int64).reshape(
        -1, 2
    )


def _weights(pairs: Ints, M: int) -> Floats:
    """(C, M): +1 for the first of each pair, -1 for the second."""
    weights = np.zeros((len(pairs), M))
    rows = np.arange(len(pairs))
    weights[rows, pairs[:, 0]] = 1
    weights[rows, pairs[:, 1]] = -1
    return weights
