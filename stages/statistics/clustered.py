"""The variance of a mean, a ratio, a difference or a coefficient whose observations are correlated within clusters.

Each statistic is a sum of scores: what every observation adds to it, to the first order (linearisation, the delta
method). Its variance is that of the clusters' sums of scores s_g, with G/(G-1) for G clusters: Liang & Zeger (1986),
Biometrika 73:13.

    mean          z = (y - mean) / N                          `mean_scores`
    ratio         z = (part - ratio * whole) / sum of whole   `ratio_scores`
    difference    z = z_a - z_b, observation by observation, which makes it paired
    coefficients  z = x e, and (X'X)^-1 on either side        `sandwich`

The same captcha comes back under every condition, and the same glyph in other captchas: both make observations alike.
`covariance_of_means` counts two observations as correlated where they share either:

    V = sum over captchas of z_c z_c'  +  sum over glyphs of z_g z_g'  -  sum over glyphs of a captcha of z_cg z_cg'

z_c, z_g and z_cg are sums of scores; each sum is taken times G/(G-1) of its G clusters. Cameron, Gelbach & Miller
(2011), "Robust inference with multiway clustering", J. Business & Economic Statistics 29:238. A whole captcha belongs
to each of its glyphs, so that two captchas count once for each glyph that they share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.statistics.arrays import Floats, Ints

UNKNOWN = -1  # in the place of a glyph that is unknown or absent


def mean_scores(values: Floats) -> Floats:
    """The scores (N,) of the mean of values (N,)."""
    return np.asarray((values - values.mean()) / len(values), np.float64)


def ratio_scores(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """The scores (N,) of sum of part / sum of whole, both (N,); of clusters' sums, they are the clusters' scores."""
    total = whole.sum()
    return np.asarray((part - float(part.sum() / total) * whole) / total, np.float64)


def sums_by_cluster(scores: Floats, cluster: Ints) -> Floats:
    """Sums (G, M) of scores (N, M); cluster (N,) are codes from 0 to G - 1."""
    G = int(cluster.max()) + 1
    return np.stack([np.bincount(cluster, column, G) for column in scores.T], axis=1)


def run_starts(cluster: Ints) -> Ints:
    """Where runs of equal labels (N,) begin, (G,): the clusters of rows that are sorted by cluster."""
    return np.flatnonzero(np.r_[True, cluster[1:] != cluster[:-1]])


def covariance_of_sums(sums: Floats) -> Floats:
    """G/(G-1) times the outer products of the clusters' sums of scores (G, M), added up: (M, M)."""
    G = len(sums)
    factor = G / (G - 1) if G > 1 else 1.0
    return np.asarray(factor * (sums.T @ sums))


def standard_error(sums: Floats) -> float:
    """Of one statistic, by its clusters' sums of scores (G,)."""
    return float(np.sqrt(covariance_of_sums(sums[:, None])[0, 0]))


def sandwich(bread: Floats, meat: Floats, *, rows: int, clusters: int) -> Floats:
    """CV1 = G/(G-1) (N-1)/(N-K) bread meat bread', (K, K): Stata's factor for N rows, G clusters and K coefficients.

    bread is (X'X)^-1, or a root of it where meat is in its coordinates; meat is the sum of the clusters' s_g s_g'.
    """
    factor = clusters / (clusters - 1) * (rows - 1) / (rows - len(meat))
    return np.asarray(factor * bread @ meat @ bread.T)


def covariance_of_means(
    scores: NDArray[Any], captcha: NDArray[Any], glyphs: NDArray[Any] | None = None
) -> Floats:
    """Covariance (M, M) of M statistics by the scores (N, M) that N observations add to them, each column of sum 0.

    captcha (N,) labels; glyphs (N, T) or (N,) ids, UNKNOWN where there is none. Captchas alone count where no glyph is
    known, or all have the same.
    No variance is less than by captcha alone. The difference of V need not be positive semi-definite: its correlations
    are then those without the negative eigenvalues, and what a variance lacks is added to it alone, uncorrelated.
    Raises ValueError on shapes that do not fit, scores that are not finite, or fewer than two captchas.
    """
    scores = np.asarray(scores, np.float64)
    captcha = np.asarray(captcha)
    glyphs = glyph_columns(glyphs, len(captcha))
    if (
        scores.ndim != 2
        or captcha.ndim != 1
        or len(scores) != len(captcha)
        or len(glyphs) != len(captcha)
    ):
        raise ValueError(
            f"covariance_of_means: scores {scores.shape}, captcha {captcha.shape} and glyphs "
            f"{glyphs.shape} should be (N, M), (N,) and (N, T)"
        )
    if not np.isfinite(scores).all():
        raise ValueError("covariance_of_means: scores should be finite")
    index = np.unique(captcha, return_inverse=True)[1]
    if not len(index) or index.max() < 1:
        raise ValueError(
            f"covariance_of_means: at least two captchas are needed, got {len(np.unique(index))}"
        )
    by_captcha = covariance_of_sums(sums_by_cluster(scores, index))
    row, column = np.nonzero(glyphs != UNKNOWN)
    glyph = np.unique(glyphs[row, column], return_inverse=True)[1]
    if not len(glyph) or glyph.max() < 1:
        return by_captcha
    both = np.unique(index[row] * (int(glyph.max()) + 1) + glyph, return_inverse=True)[1]
    by_glyph = covariance_of_sums(sums_by_cluster(scores[row], glyph))
    by_both = covariance_of_sums(sums_by_cluster(scores[row], both))
    return _repaired(by_captcha + by_glyph - by_both, np.diag(by_captcha))


def variance_of_mean(
    values: Floats, captcha: NDArray[Any], glyphs: NDArray[Any] | None = None
) -> float:
    """Of the mean of values (N,), by captcha and glyph as `covariance_of_means` has them."""
    return float(covariance_of_means(mean_scores(values)[:, None], captcha, glyphs)[0, 0])


def error_ratio(values: Floats, captcha: NDArray[Any], glyphs: NDArray[Any] | None) -> float:
    """By how much the standard error of the mean of values (N,) grows when glyphs count beside captchas; 1 at least."""
    alone = variance_of_mean(values, captcha)
    both = variance_of_mean(values, captcha, glyphs)
    return float(np.sqrt(both / alone)) if alone > 0 else 1.0


def glyph_columns(glyphs: NDArray[Any] | None, rows: int) -> Ints:
    """Glyphs as (N, T): None is unknown, (N,) is one each."""
    if glyphs is None:
        return np.full((rows, 1), UNKNOWN, np.int64)
    found = np.asarray(glyphs, np.int64)
    return found[:, None] if found.ndim == 1 else found


def fewest_clusters(captcha: NDArray[Any], glyphs: NDArray[Any] | None = None) -> int:
    """How many captchas there are, or glyphs where at least two are known and these are fewer; degrees of freedom are
    one less. Of a single glyph captchas alone count, as in `covariance_of_means`."""
    captchas = len(np.unique(captcha))
    found = np.unique(glyph_columns(glyphs, len(captcha)))
    known = len(found[found != UNKNOWN])
    return min(captchas, known) if known > 1 else captchas


def of_one_glyph(glyphs: NDArray[Any] | None) -> bool:
    """Whether a single glyph is known: what is measured is then about its drawings, and not about a character."""
    return glyphs is not None and len(np.unique(glyphs[glyphs != UNKNOWN])) == 1


def _repaired(found: Floats, least: Floats) -> Floats:
    """The covariance (M, M) whose variances are those of `found`, or `least` (M,) where that is more.

    Correlations are those that are left without the negative eigenvalues; what a variance then lacks is added to it
    alone, uncorrelated.
    """
    variance = np.maximum(np.diag(found), least)
    error = np.sqrt(variance)
    scale = np.where(error > 0, error, 1.0)
    values, vectors = np.linalg.eigh(found / np.outer(scale, scale))
    clipped = (vectors * np.maximum(values, 0)) @ vectors.T
    own = np.sqrt(np.diag(clipped))
    weight = error * np.minimum(1, np.divide(1, own, out=np.ones_like(own), where=own > 0))
    repaired = clipped * np.outer(weight, weight)
    repaired[np.diag_indices_from(repaired)] = variance
    return np.asarray(repaired)
