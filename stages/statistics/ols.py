"""Ordinary least squares whose errors may correlate within a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from linearmodels.panel import PooledOLS
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DEPENDENT = 1e-9   # of a column's length: what is left of it beside the columns before it, if it is their combination
NEGLIGIBLE = 1e-9  # of the outcome's spread: an effect or error below it is a rounding error of an exact zero
CANCELLED = 1e-13  # of the largest variance: what is left where the terms of a variance that is 0 cancel


@dataclass(frozen=True)
class Fit:
    """A fit and its inference: t with G-1 degrees of freedom.

    A coefficient on which all clusters agree exactly has standard error 0: no error was measured, and its t, p and
    interval are NaN.
    """

    names: tuple[str, ...]  # (K,) of the columns of X
    beta: Floats            # (K,)
    covariance: Floats      # (K, K) clustered, CV1
    observations: int       # N
    clusters: int           # G
    r2: float
    adjusted_r2: float      # 1 - (1 - r2) (N - 1) / (N - K)

    @property
    def df(self) -> int:
        return self.clusters - 1

    @property
    def standard_error(self) -> Floats:  # (K,)
        error: Floats = np.sqrt(np.diag(self.covariance))
        return error

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Names of the coefficients on which all clusters agree exactly."""
        return tuple(name for name, error in zip(self.names, self.standard_error, strict=True) if error == 0)

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
        half = stats.t.ppf((1 + confidence) / 2, self.df) * np.where(self.standard_error > 0,
                                                                     self.standard_error, np.nan)
        ends: Floats = np.stack([self.beta - half, self.beta + half], axis=1)
        return ends


def clustered_ols(X: Floats, y: Floats, cluster: Ints, names: Sequence[str]) -> Fit:
    """Least squares of y on X with the sandwich covariance of Liang & Zeger (1986), times G/(G-1) * (N-1)/(N-K).

    That factor (CV1) is Stata's. Estimated by linearmodels, whose own default leaves out G/(G-1) and takes t with N-K.
    X (N, K) finite, with a column of ones; y (N,); cluster (N,) labels; names (K,) of the columns.
    Raises ValueError on other shapes or values, N <= K, fewer than two clusters, a constant y, and on columns that are
    combinations of others (both sides are named).
    """
    _check(X, y, cluster, names)
    _refuse_collinear(X, names)
    labels, codes = np.unique(cluster, return_inverse=True)
    N, K = X.shape
    # PooledOLS wants a panel: a cluster is an entity, a row its own time. It takes a third of IV2SLS's CPU time.
    rows = pd.MultiIndex.from_arrays([codes, np.arange(N)])
    panel = PooledOLS(pd.DataFrame({"y": y}, index=rows), pd.DataFrame(X, index=rows), check_rank=False)
    result = panel.fit(cov_type="clustered", clusters=pd.DataFrame({"cluster": codes}, index=rows),
                       debiased=True, group_debias=True)
    beta, covariance = _without_rounding_errors(result.params.to_numpy(), result.cov.to_numpy(), X, y)
    residuals = y - X @ beta
    r2 = 1 - float(residuals @ residuals) / float(np.square(y - y.mean()).sum())
    return Fit(tuple(names), beta, covariance, N, len(labels), r2, 1 - (1 - r2) * (N - 1) / (N - K))


def log_two_sided_p(t: Floats, df: int) -> Floats:
    """Natural logarithm of P(|T| > |t|) for Student's t.

    Beyond the range of a float: P = I_x(df/2, 1/2) at x = df / (df + t^2), the incomplete beta function by its
    hypergeometric series (Abramowitz & Stegun 1964, 26.5.23 and 26.7.1), which converges fast that far out.
    """
    size = np.abs(t)
    with np.errstate(divide="ignore"):
        log_p = np.log(2 * stats.t.sf(size, df))
    far = np.isneginf(log_p)
    a, x = df / 2, df / (df + np.square(size[far]))
    log_p[far] = (a * np.log(x) + np.log1p(-x) / 2 - np.log(a) - special.betaln(a, 0.5)
                  + np.log(special.hyp2f1(a + 0.5, 1, a + 1, x)))
    return np.asarray(log_p, dtype=np.float64)


def _check(X: Floats, y: Floats, cluster: Ints, names: Sequence[str]) -> None:
    if X.ndim != 2 or y.shape != X.shape[:1] or cluster.shape != y.shape or len(names) != X.shape[1]:
        raise ValueError(f"expected X (N, K), y (N,), cluster (N,) and K names, got X {X.shape}, y {y.shape}, "
                         f"cluster {cluster.shape} and {len(names)} names")
    N, K = X.shape
    if N <= K:
        raise ValueError(f"{N} rows cannot tell {K} coefficients: use more captchas or fewer factors")
    bad = [name for k, name in enumerate(names) if not np.isfinite(X[:, k]).all()]
    if bad or not np.isfinite(y).all():
        raise ValueError(f"expected finite numbers, got NaN or infinity in {', '.join(bad or ['y'])}")
    if (cluster == cluster[0]).all():
        raise ValueError("all rows are in one cluster: an error clustered so needs at least two")
    if np.ptp(y) == 0:
        raise ValueError(f"the outcome is {y[0]:g} in every row: there is nothing to explain")


def _refuse_collinear(X: Floats, names: Sequence[str]) -> None:
    """Raise where a column is a combination of the columns before it: X = QR leaves it no length of its own."""
    length = np.linalg.norm(X, axis=0)
    unit: Floats = X / np.where(length > 0, length, 1)
    R = np.asarray(np.linalg.qr(unit, mode="r"))  # numpy's types take it for a pair
    found: list[str] = []
    free: list[int] = []
    for j, name in enumerate(names):
        part = np.linalg.lstsq(R[:, free], R[:, j], rcond=None)[0]
        if np.linalg.norm(R[:, j] - R[:, free] @ part) > DEPENDENT:
            free.append(j)
            continue
        others = [names[i] for i, weight in zip(free, part, strict=True) if abs(weight) > 1e-6]
        found.append(f"{name} = a combination of {', '.join(others)}" if others else f"{name} = 0")
    if found:
        raise ValueError(f"X has {len(names)} columns but rank {len(free)} ({'; '.join(found)}): "
                         "drop a collinear regressor")


def _without_rounding_errors(beta: Floats, covariance: Floats, X: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Exact zeros where an effect or its error is one but for rounding, so that no t is made of rounding errors."""
    size = np.sqrt(np.square(X).mean(axis=0)) / y.std()  # (K,) effect of a typical value, in spreads of the outcome
    variance = np.diag(covariance) * np.square(size)
    exact = variance < max(CANCELLED * variance.max(), NEGLIGIBLE**2)
    return (np.where(np.abs(beta) * size < NEGLIGIBLE, 0.0, beta),
            np.where(exact[:, None] | exact[None, :], 0.0, covariance))
