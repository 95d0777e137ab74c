"""A share with an interval that respects what observations share."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from stages.statistics.clustered import fewest_clusters, variance_of_mean

NO_VARIANCE = 1e-12  # a variance of a share below this over N is none


def clustered_proportion(
    success: NDArray[Any],
    captcha: NDArray[Any],
    glyphs: NDArray[Any] | None = None,
    *,
    confidence: float = 0.95,
) -> tuple[float, float, float]:
    """The share of successes and its interval, where observations may agree that share a captcha or a glyph.

    Wilson's (1927) interval, with the effective sample size N / deff in the place of N and Student's t with G - 1
    degrees of freedom in the place of the normal: Korn & Graubard (1998), Survey Methodology 24:193; Dean & Pagano
    (2015), Statistics in Medicine 34:3125. G is the number of captchas or of glyphs, whichever is less. deff is the
    variance of the mean by `clustered.covariance_of_means` over p (1 - p) / (N - 1). The effective size is N at most,
    and G where that variance is zero (all alike, or the clusters' sums of deviations vanish): the share is then known
    from G clusters, and no better.

    success (N,) of 0 and 1; captcha (N,) labels; glyphs (N,), or (N, T) of whole captchas, -1 where unknown or absent,
    and None where all are. Returns (estimate, low, high), each in [0, 1].
    Raises ValueError on lengths that differ, values other than 0 and 1, or fewer than two captchas.
    """
    success = np.asarray(success, float)
    captcha = np.asarray(captcha)
    if success.ndim != 1 or success.shape != captcha.shape:
        raise ValueError(
            f"clustered_proportion: success {success.shape} and captcha {captcha.shape} "
            "should be alike (N,)"
        )
    if not np.isin(success, (0, 1)).all():
        raise ValueError(
            f"clustered_proportion: success should be 0 or 1, got {success[~np.isin(success, (0, 1))][0]}"
        )
    if not 0 < confidence < 1:
        raise ValueError(
            f"clustered_proportion: confidence should lie between 0 and 1, got {confidence}"
        )
    G = fewest_clusters(captcha, glyphs)
    if G < 2:
        raise ValueError(
            f"clustered_proportion: an interval needs at least two captchas, got {G}: take more"
        )
    estimate = float(success.mean())
    t = float(stdtrit(G - 1, (1 + confidence) / 2))
    return estimate, *wilson(estimate, effective_size(success, captcha, glyphs), t)


def effective_size(
    success: NDArray[Any], captcha: NDArray[Any], glyphs: NDArray[Any] | None = None
) -> float:
    """N / deff of the mean of success (N,)."""
    N = len(success)
    p = float(success.mean())
    variance = variance_of_mean(success, captcha, glyphs)
    return independent_size(
        p * (1 - p) * N / (N - 1), variance, N, fewest_clusters(captcha, glyphs)
    )


def independent_size(spread: float, variance: float, N: int, G: int) -> float:
    """The size of an independent sample whose mean has this variance; spread is the variance of one observation."""
    return float(G) if variance < NO_VARIANCE / N else float(min(N, spread / variance))


def wilson(p: float, n: float, t: float) -> tuple[float, float]:
    """Wilson's score interval of a share p of n at the critical value t."""
    centre = (p + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t / (1 + t**2 / n) * sqrt(p * (1 - p) / n + t**2 / (4 * n**2))
    return 0.0 if p == 0 else max(0.0, centre - half), 1.0 if p == 1 else min(
        1.0, centre + half
    )  # exactly
