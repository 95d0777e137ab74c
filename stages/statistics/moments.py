"""Cross-products of a regression, which add up over blocks of rows, and all that follows from them alone.

X (N, K) holds a column of ones first; blocks of rows may be summed in any grouping.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stages.statistics.arrays import Floats

DEPENDENT = 1e-8  # of a column's squared length: what is left beside the columns before it, if it combines them


@dataclass(frozen=True)
class Moments:
    """The cross-products of some rows."""

    XX: Floats  # (K, K) X'X
    Xy: Floats  # (K,) X'y
    yy: float  # y'y
    rows: int

    @classmethod
    def of(cls, X: Floats, y: Floats) -> Moments:
        return cls(X.T @ X, y @ X, float(y @ y), len(y))

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.XX + other.XX, self.Xy + other.Xy, self.yy + other.yy, self.rows + other.rows
        )

    def select(self, columns: Sequence[int]) -> Moments:
        """The cross-products of some of the columns."""
        chosen = list(columns)
        return Moments(self.XX[np.ix_(chosen, chosen)], self.Xy[chosen], self.yy, self.rows)

    @property
    def total(self) -> float:
        """Sum of squares of y about its mean."""
        return self.yy - float(self.Xy[0]) ** 2 / self.rows


def independent(moments: Moments) -> tuple[list[int], dict[int, list[int]]]:
    """The columns that are no combination of those before them, and the others with the columns that they combine.

    A column of zeros combines none.
    """
    scale = np.sqrt(np.diag(moments.XX))
    unit = moments.XX / np.outer(np.where(scale > 0, scale, 1), np.where(scale > 0, scale, 1))
    free: list[int] = []
    combined: dict[int, list[int]] = {}
    for j in range(len(unit)):
        part = np.linalg.solve(unit[np.ix_(free, free)], unit[free, j]) if free else np.empty(0)
        if unit[j, j] - unit[free, j] @ part > DEPENDENT:
            free.append(j)
        else:
            combined[j] = [i for i, weight in zip(free, part, strict=True) if abs(weight) > 1e-4]
    return free, combined


def refuse_collinear(moments: Moments, names: Sequence[str]) -> None:
    """Raise ValueError where a column is a combination of those before it; both sides are named."""
    free, combined = independent(moments)
    if combined:
        found = [_dependence(j, others, names) for j, others in combined.items()]
        raise ValueError(
            f"X has {len(names)} columns but rank {len(free)} ({'; '.join(found)}): "
            "drop a collinear regressor"
        )


def _dependence(column: int, others: Sequence[int], names: Sequence[str]) -> str:
    if not others:
        return f"{names[column]} = 0"
    return f"{names[column]} = a combination of {', '.join(names[k] for k in others)}"


def solve(moments: Moments) -> tuple[Floats, float]:
    """beta (K,) and the residual sum of squares, of columns of full rank."""
    beta = np.asarray(np.linalg.solve(moments.XX, moments.Xy), dtype=np.float64)
    return beta, max(0.0, moments.yy - float(beta @ moments.Xy))


def adjusted_r2(moments: Moments) -> float:
    """Of the least-squares fit; dependent columns neither help nor count.

    NaN where y has one value, or each row a coefficient.
    """
    free = moments.select(independent(moments)[0])
    if free.total <= 1e-12 * free.yy or free.rows == len(free.Xy):
        return np.nan
    share = solve(free)[1] / free.total
    return 1 - share * (free.rows - 1) / (free.rows - len(free.Xy))


def centred(moments: Moments) -> Floats:
    """Sums of squares and products of the regressors about their means, (K - 1, K - 1): without the constant."""
    sums = moments.XX[0, 1:]
    products: Floats = moments.XX[1:, 1:] - np.outer(sums, sums) / moments.rows
    return products


def correlations(moments: Moments) -> Floats:
    """Pearson's r of every pair of regressors, (K - 1, K - 1)."""
    products = centred(moments)
    spread = np.sqrt(np.diag(products))
    r: Floats = products / np.outer(spread, spread)
    return r


def variance_inflation(moments: Moments) -> Floats:
    """By how much the others inflate the variance of each coefficient, (K - 1,): 1 / (1 - R² of it on the others)."""
    products = centred(moments)
    factor: Floats = np.diag(np.linalg.inv(products)) * np.diag(products)
    return factor


def condition_number(moments: Moments) -> float:
    """Of X with columns of length one (Belsley, Kuh & Welsch 1980): above 30, some combination is poorly identified."""
    length = np.sqrt(np.diag(moments.XX))
    values = np.linalg.eigvalsh(moments.XX / np.outer(length, length))
    return float(np.sqrt(values[-1] / values[0]))


def total_of(parts: Iterable[Moments]) -> Moments:
    """The moments of all rows. Raises ValueError where there is none."""
    together: Moments | None = None
    for part in parts:
        together = part if together is None else together + part
    if together is None:
        raise ValueError("no rows: there is nothing to explain")
    return together
