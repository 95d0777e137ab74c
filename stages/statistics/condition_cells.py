"""Sample means of the cells of the design (reader, noise, level), with their joint covariance.

The readers read the same captchas, and each captcha comes back under every condition: what is said of several cells,
such as which noise reaches a threshold first, needs their means drawn together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.schemas.words import CLEAN
from stages.statistics.arrays import Floats, Ints
from stages.statistics.clustered import covariance_of_means, fewest_clusters
from stages.statistics.design_matrix import Factor


@dataclass(frozen=True)
class Cells:
    """M cells. Means are shares, of characters or of whole captchas."""

    keys: tuple[tuple[str, str, float], ...]  # (M,) reader, noise and level
    mean: Floats  # (M,)
    rows: Floats  # (M,) observations
    covariance: Floats  # (M, M) of the means

    def of(self, reader: str, noise: str) -> tuple[Ints, Floats]:
        """The cells (L,) of a reader under a noise type by ascending level, the clean one first, and their levels."""
        levels = {
            level: m
            for m, (whose, kind, level) in enumerate(self.keys)
            if whose == reader and kind in (noise, CLEAN)
        }
        return np.array([levels[level] for level in sorted(levels)]), np.array(sorted(levels))

    def draw(self, draws: int, *, rng: np.random.Generator) -> Floats:
        """The means, and draws of what they could have been: (1 + B, M), the sample's own first.

        Multivariate normal, cut at 0 and 1: captchas and glyphs cannot be resampled together (see `clustered`), but
        means of hundreds of captchas are near enough to normal.
        """
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))  # (M, M)
        drawn = self.mean + rng.standard_normal((draws, len(self.mean))) @ root.T
        return np.concatenate([self.mean[None], np.clip(drawn, 0, 1)])


def cell_means(
    success: NDArray[Any],
    reader: Factor,
    noise: Factor,
    level: NDArray[Any],
    *,
    unit: NDArray[Any],
    captcha: NDArray[Any],
    glyphs: NDArray[Any],
) -> Cells:
    """The cells that occur among N observations of 0 or 1.

    unit (N,) is what comes back in the cells with the same captcha and
    glyphs: a whole captcha, or one of its characters. captcha (N,), and glyphs (N, T) or (N,), -1 where unknown.

    A cell that is all right or all wrong shows no variance. It gets p (1 - p) / G, as if x = G or 0 of its G clusters
    were right and p = (x + 2) / (G + 4), uncorrelated with the other cells: Agresti & Coull (1998), The American
    Statistician 52:119.
    """
    levels, place = np.unique(np.asarray(level, np.float64), return_inverse=True)
    readers = reader.categories
    noises = noise.categories
    pair = reader.codes.astype(np.int64) * len(noises) + noise.codes
    cells, cell = np.unique(pair * len(levels) + place, return_inverse=True)
    units, start, index = np.unique(unit, return_index=True, return_inverse=True)
    M = len(cells)
    U = len(units)
    rows = np.bincount(cell, minlength=M).astype(np.float64)
    mean = np.bincount(cell, success, M) / rows
    scores = np.bincount(index * M + cell, (success - mean[cell]) / rows[cell], U * M).reshape(U, M)
    keys = tuple(
        (
            readers[code // len(levels) // len(noises)],
            noises[code // len(levels) % len(noises)],
            float(levels[code % len(levels)]),
        )
        for code in cells.tolist()
    )
    covariance = covariance_of_means(scores, np.asarray(captcha)[start], np.asarray(glyphs)[start])
    for m in np.flatnonzero((mean == 0) | (mean == 1)):
        G = fewest_clusters(np.asarray(captcha)[cell == m], np.asarray(glyphs)[cell == m])
        p = (G * mean[m] + 2) / (G + 4)
        covariance[m, m] = p * (1 - p) / G
    return Cells(keys, mean, rows, covariance)
