"""Separation of classes in a space of features: does noise merge the classes, or widen them?

Every space is first whitened by the covariance within the classes of clean points, so that one unit is the clean
standard deviation within a class, in every direction. For points x with C classes of means m_c and covariances S_c:

    spread^2     mean over classes of trace S_c / D, with D the dimensions: 1 where clean
    distance^2   mean over pairs of classes of |m_a - m_b|^2 / D, without what the errors of the means add to it
    Fisher       distance^2 / (2 spread^2), the mean over pairs of Fisher's (1936) ratio, up to the classes' sizes

so that log Fisher = 2 log distance - 2 log spread - log 2, and its change under noise is the sum of two parts: merging
(distance) and widening (spread). Points of one base captcha, or one base glyph, are a cluster: they are resampled
together, clean and noisy (Field & Welsh 2007).
Letters here: m points, D dimensions, C classes, B rows of weights, the first of them all ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.insight.feature_scale import Floats, Ints, Points, fit_scale
from stages.insight.separation_measures import NEIGHBOURS, drift, purity, scatter, silhouette
from stages.schemas.explain import SpaceMeasures
from stages.schemas.words import CLEAN, COLLAPSED, MERGED
from stages.statistics.bootstrap import cluster_weights

Dose = tuple[str, float]  # noise and level

LEAST = 8  # base captchas or glyphs that a class needs for an interval
NOTHING = 1e-12  # spread^2 or distance^2 of which rounding alone is left
MEASURES = {
    "spread": "spread within a class",
    "distance": "distance between class means",
    "fisher": "Fisher ratio",
    "purity": f"share of the {NEIGHBOURS} nearest clean neighbours of the same class",
    "silhouette": "silhouette",
    "drift": "distance from the clean place",
    "common": "share of the drift (squared) that is the same for all points",
    "merging": "change of 2 log distance",
    "widening": "change of -2 log spread",
    "change": "change of log Fisher",
    "balance": "merging less widening",
}  # the last four are 0 where clean; balance below 0: the distances cost more than the spread


@dataclass(frozen=True, eq=False)
class Space:
    """Clean points, the same points under noise row by row, and a reference.

    The reference are clean points of other captchas or glyphs: the scale and the neighbours are taken from it.
    Raises ValueError where the arrays do not fit each other.
    """

    name: str
    reference: Points  # (R, F)
    reference_labels: Ints  # (R,)
    clean: Points  # (m, F)
    labels: Ints  # (m,)
    clusters: NDArray[np.integer]  # (m,) base captcha or glyph
    noisy: Mapping[Dose, Points]  # (m, F) each

    def __post_init__(self) -> None:
        m, F = self.clean.shape
        noisy = {f"{noise} at {level:g}": points for (noise, level), points in self.noisy.items()}
        expected = {"labels": (m,), "clusters": (m,), "reference": (len(self.reference_labels), F)}
        for what, array in {**{name: getattr(self, name) for name in expected}, **noisy}.items():
            shape = expected.get(what, (m, F))
            if array.shape != shape:
                raise ValueError(
                    f"separation in {self.name}: {what} should be {shape}, got {array.shape}: give "
                    "one row per clean point, in one order"
                )
            if not np.isfinite(array).all():
                raise ValueError(
                    f"separation in {self.name}: {what} has numbers that are not finite: train it again"
                )
        if min(len(np.unique(self.labels)), len(np.unique(self.reference_labels))) < 2:
            raise ValueError(
                f"separation in {self.name}: expected two classes or more, got one: nothing can merge"
            )


def separation(
    space: Space, *, rng: np.random.Generator, draws: int = 200, confidence: float = 0.95
) -> pd.DataFrame:
    """The MEASURES of a space, one row per condition and measure (SpaceMeasures).

    Intervals are percentiles of the resamples. A note stands where there is no interval, or no value; a class with
    fewer than LEAST clusters leaves all measures without an interval. The reference is not resampled.
    """
    scale = fit_scale(space.reference, space.reference_labels)
    reference = scale(space.reference)
    clean = scale(space.clean)
    note = too_few_clusters(space.labels, space.clusters)
    weights = cluster_weights(space.clusters, 0 if note else draws, rng=rng)
    start = [_logarithm(squares) for squares in scatter(clean, space.labels, weights)]
    clusters = len(np.unique(space.clusters))
    noisy = {dose: scale(points) for dose, points in space.noisy.items()}
    rows: list[list[object]] = []
    for (noise, level), points in {(CLEAN, 0.0): clean, **noisy}.items():
        measured = _measures(points, clean, space.labels, weights, start)
        near = purity(points, space.labels, reference, space.reference_labels)
        measured["purity"] = weights @ near / weights.sum(1)
        for name in MEASURES:
            interval = _interval(measured[name], confidence, note)
            remark = note or _remark(measured[name])
            rows.append([space.name, noise, level, name, *interval, len(clean), clusters, remark])
    return pd.DataFrame(rows, columns=SpaceMeasures.names())


def _measures(
    points: Floats, clean: Floats, labels: Ints, weights: Floats, start: Sequence[Floats]
) -> dict[str, Floats]:
    """Each measure but purity, (B,); `start` are the logarithms of clean spread^2 and distance^2."""
    spread, distance = scatter(points, labels, weights)
    moved, common = drift(clean, points, weights)
    with np.errstate(invalid="ignore"):  # -inf less -inf has no value
        merging = _logarithm(distance) - start[1]
        widening = start[0] - _logarithm(spread)
        change = merging + widening
        balance = merging - widening
    fisher = np.divide(
        np.maximum(distance, 0),
        2 * spread,
        out=np.full_like(spread, np.nan),
        where=spread > NOTHING,
    )
    return {
        "spread": np.sqrt(spread),
        "distance": np.sqrt(np.maximum(distance, 0)),
        "fisher": fisher,
        "silhouette": silhouette(points, labels, weights),
        "drift": moved,
        "common": common,
        "merging": merging,
        "widening": widening,
        "change": change,
        "balance": balance,
    }


def _logarithm(squares: Floats) -> Floats:
    """The logarithm of spread^2 or distance^2 (B,); minus infinity where nothing is left."""
    with np.errstate(divide="ignore"):
        result: Floats = np.log(np.where(squares > NOTHING, squares, 0))
    return result


def _interval(values: Floats, confidence: float, note: str) -> tuple[float, float, float]:
    """The value and the ends of its interval; NaN for what is not finite, such as an end that no resample bounds."""
    ends = [np.nan, np.nan]
    if not note and not np.isnan(values).any():
        tail = (1 - confidence) / 2  # without interpolation, which would spread an infinity
        ends = [
            float(np.quantile(values[1:], tail, method="lower")),
            float(np.quantile(values[1:], 1 - tail, method="higher")),
        ]
    value, low, high = np.where(np.isfinite([values[0], *ends]), [values[0], *ends], np.nan)
    return float(value), float(low), float(high)


def _remark(values: Floats) -> str:
    if np.isnan(values[0]) or values[0] == np.inf:
        return COLLAPSED
    if np.isneginf(values[0]):
        return MERGED
    return "" if np.isfinite(values).all() else f"{MERGED} in every resample"


def too_few_clusters(labels: Ints, clusters: NDArray[np.integer]) -> str:
    """Why there is no interval, or "": the class with the fewest clusters has too few of them."""
    counts = {int(label): len(np.unique(clusters[labels == label])) for label in np.unique(labels)}
    worst = min(counts, key=lambda label: counts[label])
    if counts[worst] >= LEAST:
        return ""
    return f"class {worst} has {counts[worst]} captchas or glyphs, fewer than the {LEAST} that an interval needs"


def separation_headlines(table: pd.DataFrame) -> dict[str, float]:
    """For metrics: of each space, clean purity, silhouette and Fisher ratio, and of each noise at its strongest level
    the purity, the change of log Fisher and its part that is merging; only what is a finite number."""
    by_noise = table.groupby([SpaceMeasures.space, SpaceMeasures.noise])
    strongest = table[table[SpaceMeasures.level] == by_noise[SpaceMeasures.level].transform("max")]
    columns = [SpaceMeasures.space, SpaceMeasures.noise, SpaceMeasures.measure, SpaceMeasures.value]
    wanted = {CLEAN: ("purity", "silhouette", "fisher")}
    found = {}
    for space, noise, measure, value in strongest[columns].itertuples(index=False):
        if measure in wanted.get(noise, ("purity", "change", "merging")) and np.isfinite(value):
            found[f"{space}_{measure}_{'clean' if noise == CLEAN else noise}"] = float(value)
    return found
