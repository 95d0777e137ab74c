"""Measures of how far the classes of a feature space are apart, under resampling weights.

Letters here: m points, D dimensions, C classes, B rows of weights, the first of them all ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEIGHBOURS = 10
BLOCK = 2**23  # distances in memory at a time


def scatter(points: Floats, labels: Ints, weights: Floats) -> tuple[Floats, Floats]:
    """spread^2 and distance^2 (B,) of points (m, D) under weights (B, m), whose first row is all ones.

    Both are unbiased: variances have n - 1, and the errors of the means, trace S_c / n_c each, are subtracted from
    their distances. A resample is drawn from the sample, whose means have errors themselves: its variances are
    multiplied by n / (n - 1), and the errors of the first row are subtracted from its distances, too.
    A class of fewer than two points does not count; distance^2 may be below 0 where the means are equal.
    """
    classes = np.unique(labels)
    D = points.shape[1]
    size = np.zeros((len(weights), len(classes)))
    mean = np.zeros((*size.shape, D))
    variance = np.zeros(size.shape)
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
        squares = np.square(mean - middle[:, None]).sum(2)
        apart = np.where(there, squares, 0).sum(1) * 2 / (number - 1) - 2 * error
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
    nearest = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(reference)
    owners = reference_labels[nearest.kneighbors(points, return_distance=False)]
    return np.asarray((owners == labels[:, None]).mean(1))


def silhouette(points: Floats, labels: Ints, weights: Floats) -> Floats:
    """The mean silhouette (B,) of points (m, D) under weights (B, m) (Rousseeuw 1987).

    Copies of a point are no neighbours of it; a point that is alone in its class has 0, as in scikit-learn.
    """
    classes, own = np.unique(labels, return_inverse=True)
    total = np.zeros((len(weights), len(points)))
    counts = np.stack([weights[:, own == c].sum(1) for c in range(len(classes))])  # (C, B)
    for rows, distances in _distances(points, BLOCK // max(8, len(weights))):
        means = np.empty((len(classes), len(weights), len(distances)))
        inside = np.zeros((len(weights), len(distances)))
        for c in range(len(classes)):
            sums = weights[:, own == c] @ distances[:, own == c].T  # (B, rows)
            mine = own[rows] == c
            others = counts[c][:, None] - weights[:, rows]
            own_mean = np.divide(sums, others, out=np.zeros_like(sums), where=others > 0)
            inside = np.where(mine, own_mean, inside)
            empty = (counts[c] == 0)[:, None]
            mean = sums / np.maximum(counts[c], 1)[:, None]
            means[c] = np.where(mine | empty, np.inf, mean)
        outside = means.min(0)
        alone = (counts[own[rows]].T - weights[:, rows] <= 0) | ~np.isfinite(outside)
        larger = np.maximum(inside, outside)
        divisor = np.where(np.isfinite(larger) & (larger > 0), larger, 1)
        total[:, rows] = np.where(alone | (larger == 0), 0, (outside - inside) / divisor)
    result: Floats = (weights * total).sum(1) / weights.sum(1)
    return result


def _distances(points: Floats, most: int) -> Iterator[tuple[slice, Floats]]:
    """Rows, and their Euclidean distances (rows, m) to all points (m, D), block by block."""
    step = max(1, most // max(1, len(points)))
    norms = np.square(points).sum(1)
    for start in range(0, len(points), step):
        rows = slice(start, min(start + step, len(points)))
        x = points[rows]
        squared = np.square(x).sum(1)[:, None] + norms - 2 * x @ points.T
        distances = np.sqrt(np.maximum(squared, 0))
        distances[np.arange(len(x)), np.arange(len(points))[rows]] = 0
        yield rows, distances


def drift(clean: Floats, noisy: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Root mean square of the points' moves, per dimension, and the share of its square common to all, (B,) each.

    The common move shifts all classes together: it may mislead a reader that knows no such move, but it does not change
    the separation.
    """
    move = noisy - clean
    total = weights.sum(1)
    squares = weights @ np.square(move).sum(1) / total
    movement = np.square(weights @ move / total[:, None]).sum(1)
    share = np.divide(movement, squares, out=np.zeros_like(movement), where=squares > 0)
    return np.sqrt(squares / clean.shape[1]), share
