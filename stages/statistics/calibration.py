"""Calibration (ECE, Brier) and selective prediction (coverage at an accuracy).

A confidence is a probability that a reading is right. Rows are characters, or whole captchas. Their order never
matters, and equal confidences are never told apart. Which rows to take: what the reader can know when it reads. A true
character that it missed has a confidence of 0 in the prediction table, which is hindsight; leave those rows out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from stages.statistics.arrays import Floats, Ints
from stages.statistics.bootstrap import draws_in_parts, multinomial_counts

Equal = Literal["mass", "width"]  # what the bins have in common: rows, or their length on [0, 1]

CONFIDENCE_BINS = 15  # as Guo et al. (2017)
WEIGHTS_IN_MEMORY = 2_000_000  # weights of a bootstrap in memory at a time
COVERAGE_CONFIDENCE = 0.95  # confidence of the interval of a coverage


@dataclass(frozen=True)
class ReliabilityCurve:
    """Bins with at least one row, from the least confidence to the most; K of them."""

    confidence: Floats  # (K,) mean
    accuracy: Floats  # (K,)
    count: Ints  # (K,)


@dataclass(frozen=True)
class Selection:
    """Answering from a confidence on."""

    coverage: float  # share answered
    accuracy: float  # of these; NaN where none is
    threshold: float  # the least confidence answered; infinite where none is


@dataclass(frozen=True)
class Group:
    """The calibration of one noise at one level."""

    noise: str
    level: float
    n: int
    accuracy: float
    confidence: float  # mean
    ece: float
    rms: float  # without the bias of few rows
    brier: float


def bin_of(confidence: ArrayLike, bins: int = CONFIDENCE_BINS, equal: Equal = "mass") -> Ints:
    """The bin of each row (N,), from 0 to bins - 1; some may be empty.

    Equal width: (k / bins, (k + 1) / bins], 0 in the first. Equal mass: by rank, equal confidences together where their
    mean rank is.
    """
    p, _ = _checked(confidence, np.zeros(np.shape(confidence)))
    if bins < 1 or equal not in ("mass", "width"):
        raise ValueError(
            f"bins should be 1 or more of equal mass or width, got {bins} of equal {equal}"
        )
    if equal == "width":
        return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], p).astype(np.int64)
    _, value, count = np.unique(p, return_inverse=True, return_counts=True)
    end = np.cumsum(count)
    found: Ints = (bins * (2 * end - count) // (2 * len(p)))[value].astype(np.int64)
    return found


def reliability_curve(
    confidence: ArrayLike, success: ArrayLike, bins: int = CONFIDENCE_BINS, equal: Equal = "mass"
) -> ReliabilityCurve:
    """Accuracy beside mean confidence, by bin; on the diagonal where calibrated.

    confidence (N,) in [0, 1], success (N,) of 0 and 1, N >= 1. Raises ValueError on anything else, as all that follow.
    """
    p, y = _checked(confidence, success)
    index = bin_of(p, bins, equal)
    count = np.bincount(index)
    held = count > 0
    mean, accuracy = (np.bincount(index, values)[held] / count[held] for values in (p, y))
    return ReliabilityCurve(mean, accuracy, count[held].astype(np.int64))


def expected_calibration_error(
    confidence: ArrayLike, success: ArrayLike, bins: int = CONFIDENCE_BINS, equal: Equal = "mass"
) -> float:
    """ECE, the mean distance of accuracy from confidence over bins: Naeini, Cooper & Hauskrecht (2015); Guo et al.
    (2017).

    Chance moves every bin off the diagonal, so that it exceeds the truth: a calibrated reader of evenly spread
    confidences shows about 0.3 sqrt(bins / N). Compare groups of like size, and look at `rms_calibration_error` too.
    """
    curve = reliability_curve(confidence, success, bins, equal)
    return float(curve.count @ np.abs(curve.accuracy - curve.confidence) / curve.count.sum())


def rms_calibration_error(
    confidence: ArrayLike, success: ArrayLike, bins: int = CONFIDENCE_BINS, equal: Equal = "mass"
) -> float:
    """Root of `squared_calibration_error`, 0 where that is negative."""
    return sqrt(max(0.0, squared_calibration_error(confidence, success, bins, equal)))


def squared_calibration_error(
    confidence: ArrayLike, success: ArrayLike, bins: int = CONFIDENCE_BINS, equal: Equal = "mass"
) -> float:
    """The mean squared distance of accuracy from confidence over bins, less what chance adds; may be negative.

    Bröcker (2012), Climate Dynamics 39:655; Kumar, Liang & Ma (2019), section 4. Unbiased for independent rows. A bin
    of one row, which shows no spread, is taken to have that of a calibrated one.
    """
    curve = reliability_curve(confidence, success, bins, equal)
    q = curve.accuracy
    p = curve.confidence
    n = curve.count
    chance = np.where(n > 1, q * (1 - q) / np.maximum(n - 1, 1), p * (1 - p))
    return float(n @ (np.square(q - p) - chance) / n.sum())


def brier_score(confidence: ArrayLike, success: ArrayLike) -> float:
    """The mean squared distance of success from confidence: Brier (1950)."""
    p, y = _checked(confidence, success)
    return float(np.square(p - y).mean())


def calibration_by_group(
    confidence: ArrayLike,
    success: ArrayLike,
    noise: ArrayLike,
    level: ArrayLike,
    bins: int = CONFIDENCE_BINS,
    equal: Equal = "mass",
) -> list[Group]:
    """One row for each noise (N,) and level (N,) that occur together, sorted."""
    p, y = _checked(confidence, success)
    kind = np.asarray(noise)
    dose = np.asarray(level, dtype=np.float64)
    if kind.shape != p.shape or dose.shape != p.shape:
        raise ValueError(
            f"noise {kind.shape} and level {dose.shape} should have a value for each of {len(p)} rows"
        )
    (kinds, i), (doses, j) = (np.unique(values, return_inverse=True) for values in (kind, dose))
    code = i * len(doses) + j
    order = np.argsort(code, kind="stable")
    groups = []
    for rows in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        a = p[rows]
        b = y[rows]
        groups.append(
            Group(
                str(kinds[i[rows[0]]]),
                float(doses[j[rows[0]]]),
                len(rows),
                float(b.mean()),
                float(a.mean()),
                expected_calibration_error(a, b, bins, equal),
                rms_calibration_error(a, b, bins, equal),
                brier_score(a, b),
            )
        )
    return groups


def selection(confidence: ArrayLike, success: ArrayLike, threshold: float) -> Selection:
    """What answering from a given confidence on comes to, such as one that was chosen on other captchas."""
    p, y = _checked(confidence, success)
    answered = p >= threshold
    return Selection(
        float(answered.mean()),
        float(y[answered].mean()) if answered.any() else np.nan,
        float(threshold),
    )


def coverage_at(confidence: ArrayLike, success: ArrayLike, accuracy: float = 0.99) -> Selection:
    """The most that can be answered, surest first, with at least this accuracy; its threshold fits these rows alone."""
    p, y = _checked(confidence, success)
    _check_share("accuracy", accuracy)
    order, ends = _ranked(p)
    answered = int(_most(np.ones((1, len(p)), np.int64), y[order], ends, accuracy)[0])
    return selection(p, y, p[order][answered - 1] if answered else inf)


def coverage_interval(
    confidence: ArrayLike,
    success: ArrayLike,
    captcha: ArrayLike,
    accuracy: float = 0.99,
    *,
    error_ratio: Callable[[Floats], float] | None = None,
    draws: int = 1000,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """The coverage of `coverage_at` with its 95 % interval: percentiles over resamples of whole captchas (cluster
    bootstrap, Field & Welsh 2007).

    captcha (N,) labels, G >= 2: the renderings of one captcha are drawn together. Each resample chooses its own
    threshold. Glyphs cannot be resampled with captchas, which hold several: products of weights vary far too much
    (Owen 2007, Annals of Applied Statistics 1:386). Instead the percentiles are stretched about the estimate by
    `error_ratio`, then cut at 0 and 1: of the excess (N,) of the answers over the accuracy, it says how much the
    standard error of the mean grows when glyphs count.
    """
    p, y = _checked(confidence, success)
    _check_share("accuracy", accuracy)
    labels, index = np.unique(np.asarray(captcha), return_inverse=True)
    G = len(labels)
    if index.shape != p.shape or G < 2 or draws < 1:
        raise ValueError(
            f"coverage_interval: expected a captcha for each of {len(p)} rows, two captchas at least and "
            f"a draw, got {index.shape}, {G} and {draws}"
        )
    order, ends = _ranked(p)
    drawn: list[float] = []
    for count in draws_in_parts(draws, max(1, WEIGHTS_IN_MEMORY // len(p))):
        weights = multinomial_counts(G, count, rng=rng)[:, index[order]]  # (B, N)
        drawn += (_most(weights, y[order], ends, accuracy) / weights.sum(axis=1)).tolist()
    drawn.sort()
    tail = (1 - COVERAGE_CONFIDENCE) / 2 * (draws - 1)
    found = coverage_at(p, y, accuracy)
    excess = np.where(p >= found.threshold, y - accuracy, 0.0)
    wider = (error_ratio(excess) if error_ratio else 1.0) - 1
    low, high = (
        min(1.0, max(0.0, end + wider * (end - found.coverage)))
        for end in (drawn[floor(tail)], drawn[ceil(draws - 1 - tail)])
    )
    return found.coverage, low, high


def _ranked(p: Floats) -> tuple[Ints, Ints]:
    """The rows from the surest, and the places there at which a run of equal confidences ends."""
    order = np.argsort(-p, kind="stable")
    return order, np.flatnonzero(np.append(np.diff(p[order]) != 0, True))


def _most(weights: Ints, right: Floats, ends: Ints, accuracy: float) -> Ints:
    """The most rows that can be answered at an accuracy, (B,); weights (B, N) and right (N,) from the surest."""
    answered = np.cumsum(weights, axis=1)[:, ends]
    hits = np.cumsum(weights * right.astype(np.int64), axis=1)[:, ends]
    good = (
        hits / np.maximum(answered, 1) >= accuracy
    )  # a ratio of counts rounds as the decimal does: 99 / 100 is 0.99
    most: Ints = np.where(good, answered, 0).max(axis=1)
    return most


def _checked(confidence: ArrayLike, success: ArrayLike) -> tuple[Floats, Floats]:
    p = np.asarray(confidence, dtype=np.float64)
    y = np.asarray(success, dtype=np.float64)
    if p.ndim != 1 or p.shape != y.shape or not len(p):
        raise ValueError(
            f"confidence {p.shape} and success {y.shape} should be alike (N,) with a row at least"
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"confidence should be from 0 to 1, got {p[~((p >= 0) & (p <= 1))][0]}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"success should be 0 or 1, got {y[~np.isin(y, (0, 1))][0]}")
    return p, y


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} should lie between 0 and 1, got {value}")
