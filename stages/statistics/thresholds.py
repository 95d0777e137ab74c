"""The level of a noise at which a share of the captchas is still read, and the area under the curve.

No form of the curve is assumed but that more noise is never read better: the observed shares are made to fall by
isotonic regression (Barlow, Bartholomew, Bremner & Brunk 1972, "Statistical inference under order restrictions") and
joined by a monotone cubic (Fritsch & Butland 1984, SIAM J. Scientific and Statistical Computing 5:300). A threshold
therefore lies between the two tested levels that bracket it, whatever the cubic says in between; where nearly all of
the fall lies between those two, its interval spans them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, nan

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator

from stages.statistics.arrays import Floats

HALVINGS = 50  # of the bracket: to the last digit of a float
# Share of the clean accuracy: a fall by so much between two tested levels leaves no slope to interpolate.
STEEP_FALL = 0.8


@dataclass(frozen=True)
class ThresholdEstimate:
    """A number and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """The level at which the curve falls to a share.

    0 where not even the clean captchas are read better than that, infinite ("not reached") where the curve lies above
    it up to the largest level tested.
    """

    share: float
    level: float
    low: float
    high: float
    reached: float  # share of the draws whose level is finite
    # Probability that no other noise of the reader reaches it at a lower level: `reached`, at a level above 0, where no
    # other noise is; NaN of a curve alone, which `joint` has not compared.
    first: float = nan


@dataclass(frozen=True)
class DoseResponse:
    """One reader under one noise."""

    thresholds: tuple[Threshold, ...]
    area: ThresholdEstimate  # mean observed share over the levels, by trapezoids


def dose_response(
    shares: ArrayLike, levels: ArrayLike, *, targets: Sequence[float], confidence: float
) -> DoseResponse:
    """Thresholds and area of one curve with their intervals.

    shares (1 + B, L) in [0, 1]: of what is read right at each level, the study's own first, then B draws that vary as
    the estimates do (B >= 1). levels (L,) from 0, which is the clean rendering, ascending. Intervals are percentiles of
    the draws, stretched to the study's own where all draws lie on one side of it. Raises ValueError on other shapes or
    values, levels that do not ascend from 0, and targets or confidence outside (0, 1).
    """
    shares = np.asarray(shares, np.float64)
    levels = np.asarray(levels, np.float64)
    _check(shares, levels, targets, confidence)
    areas = area_under_accuracy(shares, levels)
    return DoseResponse(
        tuple(_threshold(shares, levels, target, confidence) for target in targets),
        ThresholdEstimate(float(areas[0]), *interval(areas, areas, confidence)),
    )


def _threshold(shares: Floats, levels: Floats, target: float, confidence: float) -> Threshold:
    found = level_at(shares, levels, target)
    return Threshold(
        target,
        float(found[0]),
        *interval(*ends(found, shares, levels), confidence),
        reached=float(np.isfinite(found[1:]).mean()),
    )


def ends(found: Floats, shares: Floats, levels: Floats) -> tuple[Floats, Floats]:
    """What the data say of thresholds found (B,) on curves (B, L): lower and upper ends (B,), mostly equal.

    Where nearly all of the fall lies between two tested levels, the threshold may lie anywhere between them.
    """
    falling = isotonic(shares)
    inside = (found > 0) & np.isfinite(found)
    after = np.clip(np.searchsorted(levels, found, side="left"), 1, len(levels) - 1)
    rows = np.arange(len(found))
    steep = inside & (falling[rows, after - 1] - falling[rows, after] > STEEP_FALL * falling[:, 0])
    return np.where(steep, levels[after - 1], found), np.where(steep, levels[after], found)


def level_at(shares: Floats, levels: Floats, target: float) -> Floats:
    """The levels (B,) at which curves through shares (B, L) fall to the target: 0 and infinity as in `Threshold`."""
    falling = isotonic(shares)
    bracket = (falling <= target).argmax(axis=1) - 1  # of the level before it, -1 at once
    found = np.where(falling[:, 0] <= target, 0.0, inf)
    inside = np.flatnonzero((falling[:, 0] > target) & (falling[:, -1] <= target))
    if len(inside):
        start = bracket[inside]
        cubic = PchipInterpolator(
            levels, falling[inside], axis=1
        ).c  # (4, L - 1, B), highest power first
        pieces = cubic[:, start, np.arange(len(inside))]
        found[inside] = levels[start] + _crossing(
            pieces - np.array([0, 0, 0, target])[:, None], levels[start + 1] - levels[start]
        )
    return found


def _crossing(cubic: Floats, width: Floats) -> Floats:
    """Where cubics (4, B) that fall from above 0 to 0 or below cross it, in [0, width] (B,), by bisection."""
    low = np.zeros_like(width)
    high = width.copy()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        value = ((cubic[0] * middle + cubic[1]) * middle + cubic[2]) * middle + cubic[3]
        low = np.where(value > 0, middle, low)
        high = np.where(value > 0, high, middle)
    return high


def isotonic(values: Floats) -> Floats:
    """The curves that never rise and lie nearest to values (B, L) by least squares, (B, L).

    By the min-max formula: the least, over starts, of the greatest, over ends, mean of the values between.
    """
    B, L = values.shape
    sums = np.concatenate([np.zeros((B, 1)), np.cumsum(values, axis=1)], axis=1)
    falling = np.empty_like(values)
    for i in range(L):
        last = np.arange(i, L)
        greatest = [
            ((sums[:, last + 1] - sums[:, [start]]) / (last + 1 - start)).max(axis=1)
            for start in range(i + 1)
        ]
        falling[:, i] = np.min(greatest, axis=0)
    return falling


def percentiles(drawn: Floats, confidence: float) -> tuple[float, float]:
    """The central interval of draws (B,): order statistics, outward, since infinities do not mix."""
    ordered = np.sort(drawn)
    last = len(drawn) - 1
    tail = (1 - confidence) / 2
    return float(ordered[floor(tail * last)]), float(ordered[ceil((1 - tail) * last)])


def interval(low: Floats, high: Floats, confidence: float) -> tuple[float, float]:
    """Percentiles of lower and upper ends (1 + B,), the study's own first, which the interval always holds."""
    return (
        min(float(low[0]), percentiles(low[1:], confidence)[0]),
        max(float(high[0]), percentiles(high[1:], confidence)[1]),
    )


def area_under_accuracy(shares: Floats, levels: Floats) -> Floats:
    """Trapezoids below shares (..., L), over the largest level: 1 where all is read."""
    return np.asarray(np.trapezoid(shares, levels, axis=-1) / levels[-1], dtype=np.float64)


def _check(shares: Floats, levels: Floats, targets: Sequence[float], confidence: float) -> None:
    if levels.ndim != 1 or len(levels) < 2 or levels[0] != 0 or not (np.diff(levels) > 0).all():
        raise ValueError(
            "dose_response: levels should ascend from 0, the clean rendering, to at least one more"
        )
    if shares.ndim != 2 or shares.shape[1] != len(levels) or len(shares) < 2:
        raise ValueError(
            f"dose_response: shares {shares.shape} should be (1 + draws, {len(levels)})"
        )
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("dose_response: shares should lie between 0 and 1")
    if not targets or not all(0 < target < 1 for target in targets):
        raise ValueError(f"dose_response: targets should lie between 0 and 1, got {list(targets)}")
    if not 0 < confidence < 1:
        raise ValueError(f"dose_response: confidence should lie between 0 and 1, got {confidence}")
