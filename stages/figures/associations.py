"""Are the factors of the experiment independent? The strength of association of each pair."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.confusion import heat_map, number_cells
from stages.figures.style import styled, words

Floats = NDArray[np.float64]


def associations(factors: pd.DataFrame) -> pd.DataFrame:
    """Strength of association, 0 to 1, of each pair of columns: |r| of two numbers, the correlation ratio (eta) of a
    category and a number, Cramér's V of two categories. A column with one value goes with nothing (0).

    Columns a, b, measure, strength; every ordered pair, so that they make a square.
    """
    rows = [[a, b, *_association(factors[a], factors[b])] for a in factors for b in factors]
    return pd.DataFrame(rows, columns=["a", "b", "measure", "strength"])


def _association(a: pd.Series, b: pd.Series) -> tuple[str, float]:
    numbers = [pd.api.types.is_numeric_dtype(column) for column in (a, b)]
    if all(numbers):
        x, y = (column.to_numpy(float) - column.mean() for column in (a, b))
        return "r", _ratio(abs(float(x @ y)), float(np.sqrt((x @ x) * (y @ y))))
    if any(numbers):
        category, number = (b, a) if numbers[0] else (a, b)
        return "eta", _correlation_ratio(category, number.to_numpy(float))
    return "V", _cramers_v(a, b)


def _ratio(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 1e-12 else 0.0


def _correlation_ratio(category: pd.Series, number: Floats) -> float:
    """Root of the share of the number's variance that lies between the categories (Pearson, 1905)."""
    codes = pd.factorize(category)[0]
    sizes = np.bincount(codes)
    means = np.bincount(codes, weights=number) / sizes
    between = float(sizes @ (means - number.mean()) ** 2)
    return math.sqrt(_ratio(between, float(((number - number.mean()) ** 2).sum())))


def _cramers_v(a: pd.Series, b: pd.Series) -> float:
    """Root of chi-squared over the largest that it could be (Cramér, 1946)."""
    counts = pd.crosstab(a, b).to_numpy(float)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    return math.sqrt(_ratio(chi_squared, float(counts.sum()) * (min(counts.shape) - 1)))


@styled
def draw_associations(table: pd.DataFrame) -> Figure:
    """The square of strengths as a heat map; `table` is what associations gives."""
    names = list(dict.fromkeys(table["a"]))
    strengths = table["strength"].to_numpy(float).reshape(len(names), len(names))
    figure = Figure((6.4, 0.44 * len(names) + 0.5))
    axes = figure.subplots()
    heat_map(axes, strengths, [words(name) for name in names], [words(name) for name in names])
    number_cells(axes, strengths, np.ones_like(strengths, bool), strengths > 0.6, ".2f")
    return figure
