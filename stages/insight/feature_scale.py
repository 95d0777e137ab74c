"""Linear maps of a feature space that are fitted to clean points: the within-class whitening, the principal plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

Floats = NDArray[np.float64]
Points = NDArray[np.float32] | NDArray[np.float64]  # (m, F)
Ints = NDArray[np.int64]

VARIANCE = 0.99  # share of the variance within clean classes that the scaled space retains


@dataclass(frozen=True, eq=False)
class Scale:
    """A linear map to D dimensions in which clean points have the covariance 1 within their classes."""

    centre: Floats  # (F,)
    matrix: Floats  # (F, D)

    def __call__(self, points: Points) -> Floats:
        """Points (m, D) of features (m, F)."""
        scaled: Floats = (points.astype(np.float64) - self.centre) @ self.matrix
        return scaled


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
    covariance = ledoit_wolf(off, assume_centered=True)[0]
    covariance *= len(points) / max(1, len(points) - len(classes))
    values, vectors = np.linalg.eigh(covariance)
    values = values[::-1]
    vectors = vectors[:, ::-1]
    components = int(np.searchsorted(np.cumsum(values) / values.sum(), variance * (1 - 1e-12))) + 1
    return Scale(points.mean(0), vectors[:, :components] / np.sqrt(values[:components]))


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
