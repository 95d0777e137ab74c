"""Whether noise makes classes run into each other or spread out, in any space of features.

Every space is scaled first by the covariance within the classes of clean points, so that one unit is the clean standard
deviation within a class, in every direction. Then, of points x with C classes of means m_c and covariances S_c:

    spread^2     mean over classes of trace S_c / D, with D the dimensions: 1 where clean
    distance^2   mean over pairs of classes of |m_a - m_b|^2 / D, less what the means' own errors add to it
    Fisher       distance^2 / (2 spread^2), the mean over pairs of Fisher's (1936) ratio, up to the classes' sizes

so that log Fisher = 2 log distance - 2 log spread - log 2, and its change under noise is the sum of two parts: classes
that run into each other (distance), and classes that spread out (spread). Points of one base captcha, or one base
glyph, are a cluster: they are resampled together, clean and noisy alike (Field & Welsh 2007).
Letters here: m points, D dimensions, C classes, B rows of weights, the first of them all ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.schemas.explain import SpaceMeasures
from stages.schemas.words import CLEAN
from stages.statistics.bootstrap import cluster_weights

Floats = NDArray[np.float64]
Points = NDArray[np.float32] | NDArray[np.float64]  # (m, F) before the scale, (m, D) after it
Ints = NDArray[np.int64]
Dose = tuple[str, float]  # noise and level

NEIGHBOURS = 10
LEAST = 8  # base captchas or glyphs that a class needs for an interval
VARIANCE = 0.99  # share of the variance within clean classes that the scaled space keeps
BLOCK = 2**23  # distances in memory at a time
NOTHING = 1e-12  # spread^2 or distance^2 of which rounding alone is left
MERGED = "the class means cannot be told apart"
COLLAPSED = "the points of each class are one point"
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
class Scale:
    """A linear map to D dimensions in which clean points have the covariance 1 within their classes."""

    centre: Floats  # (F,)
    matrix: Floats  # (F, D)

    def __call__(self, points: Points) -> Floats:
        """Points (m, D) of features (m, F)."""
        scaled: Floats = (points.astype(np.float64) - self.centre) @ self.matrix
        return scaled


@dataclass(frozen=True, eq=False)
class Space:
    """Clean points, the same under noise row by row, and clean points of other captchas or glyphs as the reference that
    the scale and the neighbours are taken from. Raises ValueError where they do not fit each other."""

    name: str
    reference: Points  # (R, F)
    reference_labels: Ints  # (R,)
    clean: Points  # (m, F)
    labels: Ints  # (m,)
    clusters: NDArray[np.integer]  # (m,) base captcha or glyph
    noisy: Mapping[Dose, Points]  # (m, F) each

    def __post_init__(self) -> None:
        m, F = self.clean.shape
        for what, array, expected in (
            ("reference", self.reference, (len(self.reference_labels), F)),
            ("labels", self.labels, (m,)),
            ("clusters", self.clusters, (m,)),
            *(
                (f"{noise} at {level:g}", points, (m, F))
                for (noise, level), points in self.noisy.items()
            ),
        ):
            if array.shape != expected:
                raise ValueError(
                    f"separation in {self.name}: {what} should be {expected}, got {array.shape}: give "
                    "one row a clean point, in one order"
                )
            if not np.isfinite(array).all():
                raise ValueError(
                    f"separation in {self.name}: {what} has numbers that are not finite: train it again"
                )
        if min(len(np.unique(self.labels)), len(np.unique(self.reference_labels))) < 2:
            raise ValueError(
                f"separation in {self.name}: expected two classes or more, got one: nothing can merge"
            )


def fit_scale(points: Points, labels: Ints, variance: float = VARIANCE) -> Scale:
    """The whitening of clean points (m, F) by the covariance within their classes.

    Principal directions of that covariance, shrunk by Ledoit & Wolf (2004), that hold the share `variance` of it:
    the rest is too thin to measure, and would blow up in the scale.
    Raises ValueError where no class varies.
    """
    points = points.astype(np.float64)
    classes, owner = np.unique(labels, return_inverse=True)
    means = np.stack([points[owner == c].mean(0) for c in range(len(classes))])
    off = points - means[owner]
    if not off.any():
        raise ValueError(
            "separation: the clean points of every class are one point: give more of them"
        )
    covariance = shrunk_covariance(off) * len(points) / max(1, len(points) - len(classes))
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    components = int(np.searchsorted(np.cumsum(values) / values.sum(), variance * (1 - 1e-12))) + 1
    return Scale(points.mean(0), vectors[:, :components] / np.sqrt(values[:components]))


def shrunk_covariance(off: Floats) -> Floats:
    """Covariance (F, F) of centred points (n, F), shrunk towards a multiple of the identity (Ledoit & Wolf 2004)."""
    n, F = off.shape
    covariance = off.T @ off / n
    target = np.trace(covariance) / F * np.eye(F)
    spread = np.square(covariance - target).sum()
    lengths = np.square(off).sum(1)
    error = (
        np.square(lengths).sum() / n - np.square(covariance).sum()
    ) / n  # of the covariance's entries, summed
    share = min(1.0, error / spread) if spread > 0 else 0.0
    result: Floats = share * target + (1 - share) * covariance
    return result


def scatter(points: Floats, labels: Ints, weights: Floats) -> tuple[Floats, Floats]:
    """spread^2 and distance^2 (B,) of points (m, D) under weights (B, m), whose first row is all ones.

    Both without bias: variances have n - 1, and the errors of the means, trace S_c / n_c each, are taken off their
    distances. A resample's variances are those of a population that is the sample, whose means are off already: so its
    variances grow by n / (n - 1), and its distances shrink by the errors of the first row, too.
    A class of fewer than two points does not count; distance^2 may be below 0 where the means are one.
    """
    classes = np.unique(labels)
    D = points.shape[1]
    size, mean, variance = (
        np.zeros((len(weights), len(classes), *shape)) for shape in ((), (D,), ())
    )
    for c, label in enumerate(classes):
        rows = labels == label
        if rows.sum() < 2:
            continue
        w = weights[:, rows]
        x = points[rows] - points[rows].mean(0)
        n = w.sum(1)
        size[:, c] = n
        centre = w @ x / np.maximum(n, 1)[:, None]
        squares = w @ np.square(x).sum(1) - n * np.square(centre).sum(1)  # (B,)
        variance[:, c] = squares / np.maximum(n - 1, 1)
        variance[1:, c] *= rows.sum() / (rows.sum() - 1)
        mean[:, c] = centre + points[rows].mean(0)
    there = size >= 2
    number = there.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(there, variance / np.maximum(size, 1), 0).sum(1) / number
        middle = np.where(there[..., None], mean, 0).sum(1) / number[:, None]
        apart = (
            np.where(there, np.square(mean - middle[:, None]).sum(2), 0).sum(1) * 2 / (number - 1)
            - 2 * error
        )
        apart[1:] -= 2 * error[0]
        return np.where(there, variance, 0).sum(1) / number / D, apart / D


def purity(
    points: Floats,
    labels: Ints,
    reference: Floats,
    reference_labels: Ints,
    neighbours: int = NEIGHBOURS,
) -> Floats:
    """The share (m,) of each point's nearest reference points that have its own class."""
    k = min(neighbours, len(reference))
    shares = [
        (
            reference_labels[np.argpartition(distances, k - 1, axis=1)[:, :k]] == labels[rows, None]
        ).mean(1)
        for rows, distances in _squared_distances(points, reference)
    ]
    return np.concatenate(shares)


def silhouette(points: Floats, labels: Ints, weights: Floats) -> Floats:
    """The mean silhouette (B,) of points (m, D) under weights (B, m) (Rousseeuw 1987).

    A point's copies are no neighbours of it; one that is alone in its class has 0, as in scikit-learn.
    """
    classes, own = np.unique(labels, return_inverse=True)
    total = np.zeros((len(weights), len(points)))
    counts = np.stack([weights[:, own == c].sum(1) for c in range(len(classes))])  # (C, B)
    for rows, squared in _squared_distances(points, points, most=BLOCK // max(8, len(weights))):
        distances = np.sqrt(squared)
        distances[np.arange(len(distances)), np.arange(len(points))[rows]] = 0
        means = np.empty((len(classes), len(weights), len(distances)))
        inside = np.zeros((len(weights), len(distances)))
        for c in range(len(classes)):
            sums = weights[:, own == c] @ distances[:, own == c].T  # (B, rows)
            mine = own[rows] == c
            others = counts[c][:, None] - weights[:, rows]
            inside = np.where(
                mine, np.divide(sums, others, out=np.zeros_like(sums), where=others > 0), inside
            )
            means[c] = np.where(
                mine | (counts[c] == 0)[:, None], np.inf, sums / np.maximum(counts[c], 1)[:, None]
            )
        outside = means.min(0)
        alone = (counts[own[rows]].T - weights[:, rows] <= 0) | ~np.isfinite(outside)
        larger = np.maximum(inside, outside)
        total[:, rows] = np.where(
            alone | (larger == 0),
            0,
            (outside - inside) / np.where(np.isfinite(larger) & (larger > 0), larger, 1),
        )
    result: Floats = (weights * total).sum(1) / weights.sum(1)
    return result


def _squared_distances(
    points: Floats, others: Floats, most: int = BLOCK
) -> Iterator[tuple[slice, Floats]]:
    """Rows, and their squared Euclidean distances (rows, R) to the others (R, D), block by block."""
    step = max(1, most // max(1, len(others)))
    norms = np.square(others).sum(1)
    for start in range(0, len(points), step):
        rows = slice(start, min(start + step, len(points)))
        x = points[rows]
        yield rows, np.maximum(np.square(x).sum(1)[:, None] + norms - 2 * x @ others.T, 0)


def drift(clean: Floats, noisy: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Root mean square of each point's move, by dimension, and the share of its square that all make alike, (B,) each.

    The common move takes the classes along together; it costs a reader that knows no such move, not the separation.
    """
    move = noisy - clean
    total = weights.sum(1)
    squares = weights @ np.square(move).sum(1) / total
    movement = np.square(weights @ move / total[:, None]).sum(1)
    share = np.divide(movement, squares, out=np.zeros_like(movement), where=squares > 0)
    return np.sqrt(squares / clean.shape[1]), share


def separation(
    space: Space, *, rng: np.random.Generator, draws: int = 200, confidence: float = 0.95
) -> pd.DataFrame:
    """One row a condition and measure: space, noise (CLEAN where clean), level, measure (one of MEASURES), value, low,
    high (percentiles of the resamples), points, clusters, and a note where there is no interval, or no value.

    Where a class has fewer than LEAST clusters no interval is told. The reference is not resampled.
    """
    scale = fit_scale(space.reference, space.reference_labels)
    reference = scale(space.reference)
    clean = scale(space.clean)
    note = too_few_clusters(space.labels, space.clusters)
    weights = cluster_weights(space.clusters, 0 if note else draws, rng=rng)
    start = [_logarithm(squares) for squares in scatter(clean, space.labels, weights)]
    rows: list[list[object]] = []
    for (noise, level), points in [
        ((CLEAN, 0.0), clean),
        *((dose, scale(p)) for dose, p in space.noisy.items()),
    ]:
        measured = _measures(points, clean, space.labels, weights, start)
        near = purity(points, space.labels, reference, space.reference_labels)
        measured["purity"] = weights @ near / weights.sum(1)
        rows += [
            [
                space.name,
                noise,
                level,
                name,
                *_interval(measured[name], confidence, note),
                len(clean),
                len(np.unique(space.clusters)),
                note or _remark(measured[name]),
            ]
            for name in MEASURES
        ]
    return pd.DataFrame(rows, columns=SpaceMeasures.names())


def _measures(
    points: Floats, clean: Floats, labels: Ints, weights: Floats, start: Sequence[Floats]
) -> dict[str, Floats]:
    """Each measure but purity, (B,); `start` are the logarithms of clean spread^2 and distance^2."""
    spread, distance = scatter(points, labels, weights)
    moved, common = drift(clean, points, weights)
    with np.errstate(invalid="ignore"):  # of what is nothing twice there is no difference
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
    """Of spread^2 or distance^2 (B,); minus infinity where nothing is left."""
    with np.errstate(divide="ignore"):
        result: Floats = np.log(np.where(squares > NOTHING, squares, 0))
    return result


def _interval(values: Floats, confidence: float, note: str) -> tuple[float, float, float]:
    """The value and the ends of its interval; NaN for what is not finite, and an end that no resample bounds."""
    ends = [np.nan, np.nan]
    if not note and not np.isnan(values).any():
        tail = (1 - confidence) / 2  # no interpolation: the others would count with infinity
        ends = [
            float(np.quantile(values[1:], tail, method="lower")),
            float(np.quantile(values[1:], 1 - tail, method="higher")),
        ]
    value, low, high = (
        number if np.isfinite(number) else np.nan for number in (float(values[0]), *ends)
    )
    return value, low, high


def _remark(values: Floats) -> str:
    if np.isnan(values[0]) or values[0] == np.inf:
        return COLLAPSED
    return (
        MERGED
        if np.isneginf(values[0])
        else ""
        if np.isfinite(values).all()
        else f"{MERGED} in every resample"
    )


def too_few_clusters(labels: Ints, clusters: NDArray[np.integer]) -> str:
    """Why there is no interval, or nothing: the class with the fewest clusters has too few of them."""
    counts = {int(label): len(np.unique(clusters[labels == label])) for label in np.unique(labels)}
    worst = min(counts, key=lambda label: counts[label])
    if counts[worst] >= LEAST:
        return ""
    return f"class {worst} has {counts[worst]} captchas or glyphs, fewer than the {LEAST} that an interval needs"


def principal_plane(points: Points) -> tuple[Scale, float]:
    """The map to the first two principal components of points (m, F), F >= 2, unscaled, and the share of the variance
    that they hold.

    The largest weight of each is positive, so that a run does not mirror the plane of another.
    """
    centre = points.mean(0, dtype=np.float64)
    off = points.astype(np.float64) - centre
    variances, directions = np.linalg.eigh(off.T @ off)
    first = directions[:, :-3:-1]
    first = first * np.sign(first[np.abs(first).argmax(0), np.arange(2)])
    return Scale(centre, first), float(variances[-2:].sum() / variances.sum())


def plane_table(space: Space, alphabet: str, most: int = 250) -> pd.DataFrame:
    """Where points lie in the principal plane of the reference: columns SpacePlane.

    The same `most` of them under every condition, evenly from all rows; labels count from 0 in the alphabet.
    """
    plane, _ = principal_plane(space.reference)
    rows = np.unique(np.linspace(0, len(space.clean) - 1, min(most, len(space.clean))).astype(int))
    characters = [alphabet[label] for label in space.labels[rows]]
    tables = []
    for (noise, level), points in [((CLEAN, 0.0), space.clean), *space.noisy.items()]:
        x, y = plane(points[rows]).T.round(4)
        tables.append(
            pd.DataFrame(
                {
                    "space": space.name,
                    "noise": noise,
                    "level": level,
                    "character": characters,
                    "x": x,
                    "y": y,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


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
