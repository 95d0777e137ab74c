"""The regressors of the headline's regression: each alone against success, and how they go together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stages.figures.confusion import number_cells
from stages.figures.regression_tables import label_words
from stages.figures.style import MUTED, PALETTE, WIDTH, shared_labels, styled, words
from stages.schemas.regress import AddedVariables, Correlations

DIVERGING = "RdBu"
MOST_PANELS = 36  # of regressors; the CSV has the rest
MOST_NUMBERED = 30  # regressors; with more, the cells of the heat map have no numbers
PANELS_PER_ROW = 6
LARGEST = 38.0  # square points of the bin with the most rows


def drawn_regressors(bins: pd.DataFrame) -> list[str]:
    """The labels of the regressors that get a panel: all, or those whose line rises or falls most over its bins."""
    labels = list(dict.fromkeys(bins[AddedVariables.label]))
    if len(labels) <= MOST_PANELS:
        return labels
    reach = bins.groupby(AddedVariables.label)[AddedVariables.line].agg(
        lambda line: line.max() - line.min()
    )
    chosen = set(reach.sort_values(ascending=False, kind="stable").head(MOST_PANELS).index)
    return [label for label in labels if label in chosen]


@styled
def draw_added_variables(bins: pd.DataFrame) -> Figure:
    """One panel per regressor: bins of what it and success have left when the others are taken out, and their line.

    `bins` is plots/regress/added_variables.csv. A bin's area grows with its rows; panels of one term share their scale.
    """
    labels = drawn_regressors(bins)
    columns = min(PANELS_PER_ROW, len(labels))
    rows = -(-len(labels) // columns)
    figure = Figure((WIDTH, 0.35 + 1.12 * rows))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    most = float(bins[AddedVariables.rows].max())
    for panel, label in zip(panels, labels, strict=False):
        own = bins[bins[AddedVariables.label] == label]
        _added_variable(panel, own, most)
        _limits(panel, bins[bins[AddedVariables.term] == own[AddedVariables.term].iloc[0]])
        title = label_words("", own[AddedVariables.category].iloc[0], label)
        panel.set_title(title, fontsize=7, fontweight="normal", pad=2.5)
    for panel in panels[len(labels) :]:
        panel.set_visible(False)
    shared_labels(
        figure, "what the other regressors leave of each", "what they leave of success, in points"
    )
    return figure


def _added_variable(axes: Axes, own: pd.DataFrame, most: float) -> None:
    ends = own.iloc[[int(own[AddedVariables.x].argmin()), int(own[AddedVariables.x].argmax())]]
    axes.axhline(0, color=MUTED, linewidth=0.5, zorder=1)
    axes.axvline(0, color=MUTED, linewidth=0.5, zorder=1)
    axes.plot(
        ends[AddedVariables.x],
        100 * ends[AddedVariables.line],
        color=PALETTE[1],
        linewidth=1.1,
        zorder=2,
    )
    areas = 3 + LARGEST * own[AddedVariables.rows] / most
    axes.scatter(
        own[AddedVariables.x],
        100 * own[AddedVariables.y],
        s=areas,
        color=PALETTE[0],
        alpha=0.8,
        linewidth=0,
        zorder=3,
    )


def _limits(axes: Axes, term: pd.DataFrame) -> None:
    drawn = term[[AddedVariables.y, AddedVariables.line]]
    high = 100 * drawn.max(axis=None)
    low = 100 * drawn.min(axis=None)
    margin = 0.12 * max(high - low, 0.1)
    axes.set_ylim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelsize=6.5, pad=1.5)
    axes.grid(False)


@styled
def draw_correlations(pairs: pd.DataFrame) -> Figure:
    """Pearson's r of the regressors as a square; `pairs` is plots/regress/correlations.csv."""
    labels = list(dict.fromkeys(pairs[Correlations.a]))
    r = pairs[Correlations.r].to_numpy(float).reshape(len(labels), len(labels))
    names = [label_words("", "", label) for label in labels]
    side = float(np.clip(0.24 * len(labels) + 1.4, 2.8, 8.6))
    figure = Figure((side * 1.08, side))
    axes = figure.subplots()
    picture = axes.imshow(r, cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto", interpolation="none")
    size = min(8.0, 72 * 0.62 * side / len(labels))
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(
        picture, ax=axes, fraction=0.04, aspect=30, pad=0.02, ticks=[-1, -0.5, 0, 0.5, 1]
    )
    bar.outline.set_visible(False)
    if len(labels) <= MOST_NUMBERED:
        figure.draw_without_rendering()  # the cells get their size
        shown = (np.abs(r) >= 0.005) & ~np.eye(len(r), dtype=bool)
        number_cells(axes, 100 * r, shown, np.abs(r) > 0.6)
    return figure


def strongest_pair(pairs: pd.DataFrame) -> pd.Series | None:
    """The pair of different regressors with the largest |r|, or None where there is one regressor."""
    others = pairs[pairs[Correlations.a] != pairs[Correlations.b]]
    return None if others.empty else others.loc[others[Correlations.r].abs().idxmax()]


def strays(bins: pd.DataFrame) -> pd.Series:
    """By label, how far the bins lie from the line, in points: root mean square, weighted by rows."""
    labels = bins[AddedVariables.label].map(words)
    counts = bins[AddedVariables.rows]
    squares = counts * (100 * (bins[AddedVariables.y] - bins[AddedVariables.line])) ** 2
    sums = squares.groupby(labels, sort=False).sum()
    return np.sqrt(sums / counts.groupby(labels, sort=False).sum())
