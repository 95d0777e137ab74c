"""Tests and intervals of coefficients: Student's t and Fisher's F with one degree of freedom less than clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from stages.statistics.arrays import Floats

LOG_UNDERFLOW = -700.0  # natural logarithm below which a float loses digits, and then all


@dataclass(frozen=True)
class Test:
    """A joint test that some coefficients are all zero."""

    __test__ = False  # pytest should not take it for one of its own

    F: float  # Wald's statistic over the number of coefficients
    df1: int
    df2: int
    log_p: float  # natural logarithm


@dataclass(frozen=True)
class Inference:
    """Estimates with the covariances that their errors may have: the least sure of them counts.

    A coefficient on which all clusters agree exactly has standard error 0: no error was measured, and its t, p and
    interval are NaN.
    """

    beta: Floats  # (K,)
    df: int  # degrees of freedom
    covariances: tuple[
        Floats, ...
    ]  # (K, K) each, the headline's; several with two ways of clustering
    covariances_cv1: tuple[Floats, ...]  # the same with CV1

    @property
    def covariance(self) -> Floats:  # (K, K)
        return self.covariances[0]

    @property
    def standard_error(self) -> Floats:  # (K,)
        return _largest(self.covariances)

    @property
    def standard_error_cv1(self) -> Floats:  # (K,)
        return _largest(self.covariances_cv1)

    @property
    def t(self) -> Floats:  # (K,)
        error = self.standard_error
        return np.divide(self.beta, error, out=np.full_like(error, np.nan), where=error > 0)

    @property
    def log_p(self) -> Floats:
        """Natural logarithm of the two-sided p, (K,); finite even where p is below the smallest float."""
        return log_two_sided_p(self.t, self.df)

    def interval(self, confidence: float) -> Floats:
        """Lower and upper ends, (K, 2); `confidence` in (0, 1)."""
        error = self.standard_error
        half = special.stdtrit(self.df, (1 + confidence) / 2) * np.where(error > 0, error, np.nan)
        ends: Floats = np.stack([self.beta - half, self.beta + half], axis=1)
        return ends

    def wald(self, columns: Sequence[int]) -> Test | None:
        """That the coefficients of these columns are all zero.

        None where the clusters are too few to tell, or where one of them has no error.
        """
        chosen = list(columns)
        q = len(columns)
        if q > self.df or not (self.standard_error[chosen] > 0).all():
            return None
        statistics = [
            _quadratic(self.beta[chosen], covariance[np.ix_(chosen, chosen)])
            for covariance in self.covariances
        ]
        measured = [statistic for statistic in statistics if statistic is not None]
        if not measured:
            return None
        F = min(measured) / q
        return Test(F, q, self.df, log_upper_p(F, q, self.df))


def _largest(covariances: Sequence[Floats]) -> Floats:
    variance = np.max([np.diag(covariance) for covariance in covariances], axis=0)
    error: Floats = np.sqrt(np.maximum(variance, 0))
    return error


def _quadratic(beta: Floats, covariance: Floats) -> float | None:
    """beta' V^-1 beta, or None where V is not positive definite."""
    error = np.sqrt(np.maximum(np.diag(covariance), 0))
    if not (error > 0).all():
        return None
    correlation = covariance / np.outer(error, error)
    if np.linalg.eigvalsh(correlation)[0] < 1e-10:
        return None
    scaled = beta / error
    return float(scaled @ np.linalg.solve(correlation, scaled))


def adjusted(p: Floats, method: str) -> Floats:
    """p (K,) adjusted for their number: "holm" (1979) for any error among them, "fdr_bh" (Benjamini & Hochberg 1995)
    for the share of errors among what is found. NaN, of what was not measured, stays NaN and is not counted."""
    result = np.full_like(p, np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # ascending; NaN comes last
    n = len(order)
    if method == "holm":
        stepwise = np.maximum.accumulate(p[order] * np.arange(n, 0, -1))
    elif method == "fdr_bh":
        stepwise = np.minimum.accumulate((p[order] / (np.arange(1, n + 1) / n))[::-1])[::-1]
    else:
        raise ValueError(f"adjusted: expected holm or fdr_bh, got {method!r}")
    result[order] = np.minimum(stepwise, 1)
    return result


def log_two_sided_p(t: Floats, df: int) -> Floats:
    """Natural logarithm of P(|T| > |t|) for Student's t.

    Beyond the range of a float: P = I_x(df/2, 1/2) at x = df / (df + t^2), the incomplete beta function by its
    hypergeometric series (Abramowitz & Stegun 1964, 26.5.23 and 26.7.1), which converges fast that far out.
    """
    size = np.abs(t)
    with np.errstate(divide="ignore"):
        log_p = np.log(2 * special.stdtr(df, -size))
    far = log_p < LOG_UNDERFLOW
    log_p[far] = _log_incomplete_beta(df / 2, 0.5, df / (df + np.square(size[far])))
    return np.asarray(log_p, dtype=np.float64)


def log_upper_p(F: float, df1: int, df2: int) -> float:
    """Natural logarithm of P(F' > F) for Fisher's F: I_x(df2/2, df1/2) at x = df2 / (df2 + df1 F)."""
    with np.errstate(divide="ignore"):
        log_p = float(np.log(special.fdtrc(df1, df2, F)))
    if log_p < LOG_UNDERFLOW:
        log_p = float(_log_incomplete_beta(df2 / 2, df1 / 2, np.array([df2 / (df2 + df1 * F)]))[0])
    return log_p


def _log_incomplete_beta(a: float, b: float, x: Floats) -> Floats:
    """Natural logarithm of I_x(a, b), x small."""
    series: Floats = (
        a * np.log(x)
        + b * np.log1p(-x)
        - np.log(a)
        - special.betaln(a, b)
        + np.log(special.hyp2f1(a + b, 1, a + 1, x))
    )
    return series
