"""The regression's effects as points with intervals, in percentage points of character accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.numbers import estimate_of, highest, interval_name, lowest
from stages.figures.regression_tables import NUMBER_WORDS, STEP, pooled_rows, slope_terms
from stages.figures.style import INK, WIDTH, key_above, line_style, styled, words
from stages.schemas.figures import Effects, Slopes
from stages.schemas.regress import Coefficients

Floats = NDArray[np.float64]

TERMS = {
    "colour": "colour",
    "digit": "character",
    "position": "position",
}  # drawn, and how they are called here

FACTOR_COLUMNS = [Coefficients.reader, Coefficients.term, Coefficients.category, Coefficients.label]


def dose_slopes(
    coefficients: pd.DataFrame, readers: Sequence[str], specification: str, dose: str
) -> pd.DataFrame:
    """Percentage points of character accuracy that 0.1 of the dose adds (costs, where negative), by reader and noise.

    `coefficients` are the rows of plots/regress/coefficients.csv. Columns reader, noise, points, low, high; readers as
    given, and no row where the specification has no slope.
    """
    doses = coefficients[
        (coefficients[Coefficients.specification] == specification)
        & coefficients[Coefficients.term].isin(slope_terms(dose))
    ]
    parts = []
    for reader in readers:
        rows = doses[doses[Coefficients.reader] == reader]
        names = pd.DataFrame(
            {Slopes.reader: reader, Slopes.noise: rows[Coefficients.category].astype(str)}
        )
        parts.append(names.join(_points(rows, STEP)))
    return pd.concat(parts, ignore_index=True)


def factor_rows(coefficients: pd.DataFrame, specification: str) -> pd.DataFrame:
    """Percentage points of character accuracy that a category adds against its reference, all readers together.

    Columns reader (a word for all), term (of TERMS), category, label, points, low, high; no row for a term that the
    specification left out.
    """
    found = pooled_rows(coefficients, specification)
    parts = [found[found[Coefficients.term] == term] for term in TERMS]
    rows = pd.concat(parts, ignore_index=True)
    return rows[FACTOR_COLUMNS].astype(str).join(_points(rows, 1))


def _points(rows: pd.DataFrame, step: float) -> pd.DataFrame:
    """Estimates and intervals in percentage points."""
    estimates = rows[[Coefficients.estimate, Coefficients.low, Coefficients.high]].astype(float)
    return (100 * step * estimates).rename(columns={Coefficients.estimate: Slopes.points})


@styled
def draw_slopes(slopes: pd.DataFrame, noises: Sequence[str], dose: str) -> Figure:
    """One row per noise type, one point per reader."""
    readers = list(dict.fromkeys(slopes[Slopes.reader]))
    noises = [noise for noise in noises if noise in set(slopes[Slopes.noise])]
    figure = Figure((WIDTH, 0.9 + len(noises) * (0.2 + 0.12 * len(readers))))
    axes = figure.subplots()
    for index, name in enumerate(readers):
        part = slopes[slopes[Slopes.reader] == name]
        y = np.array([noises.index(noise) for noise in part[Slopes.noise]]) + shift(
            index, len(readers)
        )
        intervals(axes, part, y, index, name)
    finish(
        axes,
        [words(noise) for noise in noises],
        f"percentage points of character accuracy for {STEP:g} of {NUMBER_WORDS[dose]}",
    )
    key_above(figure, axes, 5)
    return figure


@styled
def draw_effects(effects: pd.DataFrame, references: Mapping[str, str]) -> Figure:
    """One panel per term, one row per category, against the term's reference; `references` names them.

    The term with the most categories has the right half, from top to bottom.
    """
    sizes = effects.groupby(Effects.term, sort=False).size()
    tall = sizes.idxmax() if len(sizes) > 1 else None
    left = [term for term in sizes.index if term != tall]
    figure = Figure(
        (WIDTH, 0.3 + max(0.21 * sizes.max(), sum(0.65 + 0.21 * sizes[term] for term in left)))
    )
    mosaic = [[term] if tall is None else [term, tall] for term in left]
    panels = figure.subplot_mosaic(
        mosaic, sharex=True, height_ratios=[2 + sizes[term] for term in left]
    )
    for term, panel in panels.items():
        part = effects[effects[Effects.term] == term]
        panel.tick_params(labelbottom=True)
        intervals(panel, part, np.arange(len(part), dtype=float), 0, term)
        categories = [words(category) for category in part[Effects.category]]
        finish(panel, categories, f"points, beside {words(references[term])}")
        panel.set_title(TERMS[term])
    return figure


def about_slopes(slopes: pd.DataFrame, confidence: float) -> str:
    sentences = []
    for reader, rows in slopes.groupby(Slopes.reader, sort=False):
        worst = lowest(rows, Slopes.points)
        sentences.append(
            f"`{reader}`: {words(worst[Slopes.noise])}, {estimate_of(worst, Slopes.points)} points"
        )
    return (
        f"The steepest slope of each reader, with its {interval_name(confidence)}. {'; '.join(sentences)}. A slope "
        "depends on which levels were tested; the average costs and the curves do not rest on a straight line."
        if sentences
        else "No slope was estimated."
    )


def about_effects(effects: pd.DataFrame, references: Mapping[str, str], confidence: float) -> str:
    sentences = []
    for term, rows in effects.groupby(Effects.term, sort=False):
        most = highest(rows.assign(size=rows[Effects.points].abs()), "size")
        sentences.append(
            f"{TERMS[str(term)]} {words(most[Effects.category])} beside {words(references[str(term)])}, "
            f"{estimate_of(most, Effects.points)} points"
        )
    return (
        f"The largest of each, with its {interval_name(confidence)}: {'; '.join(sentences)}."
        if sentences
        else "No effect was estimated."
    )


def shift(index: int, count: int) -> float:
    """How far from the middle of its row the point number `index` of `count` stands."""
    return 0.0 if count == 1 else 0.56 * (index / (count - 1) - 0.5)


def intervals(axes: Axes, part: pd.DataFrame, y: Floats, index: int, name: str) -> None:
    """Points with intervals, of columns points, low and high."""
    style = {**line_style(index), "linestyle": "none"}
    axes.hlines(y, part[Slopes.low], part[Slopes.high], color=style["color"], linewidth=1.2)
    axes.plot(part[Slopes.points], y, label=name, **style)


def finish(axes: Axes, names: list[str], label: str) -> None:
    """Rows with names, from the top, and a line at 0."""
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.set_xlabel(label)
