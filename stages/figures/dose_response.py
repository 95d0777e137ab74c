"""Exact match and accuracy against the dose of noise, and the levels at which a share of the captchas is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from stages.figures.coefficients import shift
from stages.figures.numbers import estimate_of, rows_where
from stages.figures.regression_tables import NUMBER_WORDS
from stages.figures.style import (
    GRID,
    MUTED,
    WIDTH,
    line_style,
    shared_labels,
    small_multiples,
    styled,
    words,
)
from stages.schemas.regress import DoseResponses, Thresholds

Floats = NDArray[np.float64]

LINE = (0, (3.5, 2))
KEY: dict[str, dict[str, Any]] = {
    "observed": {"linestyle": "none", "marker": "o", "markersize": 4.6},
    "straight line of the regression": {"linestyle": LINE, "linewidth": 1.1},
}


@styled
def draw_lines(responses: pd.DataFrame, dose: str) -> Figure:
    """One panel per noise type; by reader the observed character accuracy and the straight line of its regression."""
    name = "level of the noise" if dose == "level" else f"{NUMBER_WORDS[dose]} of the rendering"
    figure, panels = _panels(responses, name)
    for panel, noise in panels:
        for index, reader in enumerate(dict.fromkeys(responses[DoseResponses.reader])):
            own = (responses[DoseResponses.noise] == noise) & (
                responses[DoseResponses.reader] == reader
            )
            rows = responses[own].sort_values(DoseResponses.level)
            style = line_style(index)
            doses = rows[DoseResponses.dose]
            panel.plot(
                doses,
                rows[DoseResponses.line],
                color=style["color"],
                linewidth=1.1,
                linestyle=LINE,
                zorder=2,
            )
            panel.plot(
                doses, rows[DoseResponses.accuracy], zorder=4, **{**style, "linestyle": "none"}
            )
    _share_axis(panels[0][0], responses)
    for panel, _ in panels:
        bottom, top = panel.get_ylim()
        panel.axhspan(1, top, color=GRID, alpha=0.55, linewidth=0, zorder=0)
        panel.axhspan(bottom, 0, color=GRID, alpha=0.55, linewidth=0, zorder=0)
    return figure


def _panels(responses: pd.DataFrame, x: str) -> tuple[Figure, list[tuple[Axes, str]]]:
    """A figure with a legend of the readers and of the KEY, and its panels with their noise types."""
    noises = list(dict.fromkeys(responses[DoseResponses.noise]))
    readers = list(dict.fromkeys(responses[DoseResponses.reader]))
    figure, panels = small_multiples(len(noises), 0.65, 1.95)
    for panel, noise in zip(panels, noises, strict=True):
        panel.set_title(words(noise))
        panel.tick_params(labelbottom=True)
    shared_labels(figure, x, "characters read right")
    handles = [
        Line2D([], [], label=name, **{**line_style(index), "linestyle": "none"})
        for index, name in enumerate(readers)
    ]
    handles += [Line2D([], [], color=MUTED, label=name, **style) for name, style in KEY.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure, list(zip(panels, noises, strict=True))


def _share_axis(axes: Axes, responses: pd.DataFrame) -> None:
    """The y axis in per cent, as far as the lines leave 0 to 100 %."""
    drawn = responses[[DoseResponses.line, DoseResponses.accuracy]]
    axes.set_ylim(
        min(0.0, float(np.nanmin(drawn))) - 0.04, max(1.0, float(np.nanmax(drawn))) + 0.04
    )
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])


def about_lines(responses: pd.DataFrame) -> str:
    """How far a line lies from what was observed, at most."""
    gaps = (responses[DoseResponses.line] - responses[DoseResponses.accuracy]).abs()
    if gaps.isna().all():
        return "No line was fitted."
    most = responses.loc[gaps.idxmax()]
    where = f"`{most[DoseResponses.reader]}`, {words(most[DoseResponses.noise])}, level {most[DoseResponses.level]:g}"
    return f"The straight line misses the observed means by at most {100 * gaps.max():.1f} points ({where})."


def about_thresholds(thresholds: pd.DataFrame) -> str:
    """How many pairs of reader and noise pass each share, and which first."""
    sentences = []
    for share, rows in thresholds.groupby(Thresholds.share, sort=False):
        reached = rows[rows[Thresholds.level].notna()].sort_values(Thresholds.level, kind="stable")
        sentence = (
            f"{len(reached)} of {len(rows)} pairs of reader and noise come down to {100 * float(share):g}\u00a0"
            "% of the captchas"
        )
        if already := int((reached[Thresholds.level] == 0).sum()):
            sentence += f", {already} of them without any noise"
        later = reached[reached[Thresholds.level] > 0]
        if len(later):
            first = later.iloc[0]
            sentence += (
                f"; first under noise is `{first[Thresholds.reader]}` under "
                f"{words(first[Thresholds.noise])}, at level {estimate_of(first, Thresholds.level)}"
            )
        sentences.append(f"{sentence}.")
    return " ".join(sentences) or "There is no threshold: no noise was tested."


@styled
def draw_thresholds(thresholds: pd.DataFrame, noises: Sequence[str], largest: float) -> Figure:
    """One panel per share of the captchas, one row per noise type, one point per reader.

    `thresholds` is the table of plots/regress; `largest` is the strongest level. One that is not reached stands hollow
    at the right edge.
    """
    shares = sorted(set(thresholds[Thresholds.share]))
    readers = list(dict.fromkeys(thresholds[Thresholds.reader]))
    edge = 1.12 * largest
    figure = Figure((WIDTH, 1.05 + len(noises) * (0.2 + 0.11 * len(readers))))
    panels = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
    for panel, share in zip(panels, shares, strict=True):
        for index, name in enumerate(readers):
            part = rows_where(thresholds, {Thresholds.share: share, Thresholds.reader: name})
            y = np.array([noises.index(noise) for noise in part[Thresholds.noise]]) + shift(
                index, len(readers)
            )
            _thresholds(panel, part, y, index, name, edge)
        _edge_axis(panel, largest, edge, len(shares))
        panel.set_title(f"{100 * share:g} % of the captchas")
        panel.set_yticks(range(len(noises)), [words(noise) for noise in noises])
        panel.set_ylim(len(noises) - 0.4, -0.6)
        panel.grid(False, axis="y")
    shared_labels(figure, "level of the noise")
    handles = [
        Line2D([], [], label=name, **{**line_style(index), "linestyle": "none"})
        for index, name in enumerate(readers)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=5)
    return figure


def _thresholds(
    axes: Axes, part: pd.DataFrame, y: Floats, index: int, name: str, edge: float
) -> None:
    style = {**line_style(index), "linestyle": "none"}
    reached = part[Thresholds.level].notna().to_numpy()
    some = reached | part[Thresholds.low].notna().to_numpy()
    low = part[Thresholds.low].fillna(edge)[some]
    high = part[Thresholds.high].fillna(edge)[some]
    axes.hlines(y[some], low, high, color=style["color"], linewidth=1.2)
    axes.plot(part[Thresholds.level][reached], y[reached], label=name, **style)
    axes.plot(
        np.full((~reached).sum(), edge),
        y[~reached],
        **{
            **style,
            "markerfacecolor": "white",
            "markeredgecolor": style["color"],
            "markeredgewidth": 1.1,
        },
    )


def _edge_axis(axes: Axes, largest: float, edge: float, panels: int) -> None:
    """The x axis from 0 to the strongest level, and an edge beyond it for what is not reached."""
    ticks = np.linspace(0, largest, 5 if panels < 3 else 3)
    axes.axvline((largest + edge) / 2, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
    axes.set_xlim(-0.03 * largest, 1.06 * edge)
    axes.set_xticks([*ticks, edge], [*(f"{tick:g}" for tick in ticks), "not\nreached"])
