"""Are the factors of the experiment independent? The strength of association of each pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.confusion import heat_map, number_cells
from stages.figures.numbers import highest
from stages.figures.style import styled, words
from stages.schemas.figures import Associations

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def associations(factors: pd.DataFrame) -> pd.DataFrame:
    """Strength of association, 0 to 1, of each pair of columns: |r| of two numbers, the correlation ratio (eta) of a
    category and a number, Cramér's V of two categories. A column with one value goes with nothing (0).

    As Associations has it; every ordered pair, so that they make a square.
    """
    columns = {
        name: column.to_numpy(float)
        if pd.api.types.is_numeric_dtype(column)
        else pd.factorize(column)[0]
        for name, column in factors.items()
    }
    rows = [[a, b, *_association(columns[a], columns[b])] for a in columns for b in columns]
    return pd.DataFrame(rows, columns=Associations.names())


def _association(a: NDArray[Any], b: NDArray[Any]) -> tuple[str, float]:
    """The measure and the strength; floats are numbers, whole numbers the codes of categories, from 0."""
    numbers = [np.issubdtype(column.dtype, np.floating) for column in (a, b)]
    if all(numbers):
        x, y = (column - column.mean() for column in (a, b))
        return "r", _ratio(abs(float(x @ y)), float(np.sqrt((x @ x) * (y @ y))))
    if any(numbers):
        category, number = (b, a) if numbers[0] else (a, b)
        return "eta", _correlation_ratio(category, number)
    return "V", _cramers_v(a, b)


def _ratio(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 1e-12 else 0.0


def _correlation_ratio(codes: Codes, number: Floats) -> float:
    """Root of the share of the number's variance that lies between the categories (Pearson, 1905)."""
    sizes = np.bincount(codes)
    means = np.bincount(codes, weights=number) / sizes
    between = float(sizes @ (means - number.mean()) ** 2)
    return math.sqrt(_ratio(between, float(((number - number.mean()) ** 2).sum())))


def _cramers_v(a: Codes, b: Codes) -> float:
    """Root of chi-squared over the largest that it could be (Cramér, 1946)."""
    shape = int(a.max()) + 1, int(b.max()) + 1
    counts = (
        np.bincount(a * shape[1] + b, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
    )
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    return math.sqrt(_ratio(chi_squared, float(counts.sum()) * (min(counts.shape) - 1)))


@styled
def draw_associations(table: pd.DataFrame) -> Figure:
    """The square of strengths as a heat map; `table` is what associations gives."""
    names = list(dict.fromkeys(table[Associations.a]))
    strengths = table[Associations.strength].to_numpy(float).reshape(len(names), len(names))
    figure = Figure((6.4, 0.44 * len(names) + 0.5))
    axes = figure.subplots()
    heat_map(axes, strengths, [words(name) for name in names], [words(name) for name in names])
    number_cells(axes, strengths, np.ones_like(strengths, bool), strengths > 0.6, ".2f")
    return figure


def about_associations(table: pd.DataFrame, designed: Sequence[str]) -> str:
    """The strongest association between two factors that the design sets apart."""
    a = table[Associations.a]
    b = table[Associations.b]
    pairs = table[a.isin(list(designed)) & b.isin(list(designed)) & (a < b)]
    if pairs.empty:
        return "Only one factor varies in this run."
    most = highest(pairs, Associations.strength)
    strength = most[Associations.strength]
    verdict = (
        "as good as independent"
        if strength < 0.1
        else "not independent, so read their effects together"
    )
    return (
        f"Between the factors that the design sets apart ({', '.join(words(name) for name in designed)}) the "
        f"strongest association is {strength:.2f} ({words(most[Associations.a])} and "
        f"{words(most[Associations.b])}): {verdict}."
    )
