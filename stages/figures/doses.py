"""Success against the dose of noise, and the levels at which it passes an accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy.special import expit

from stages.figures.coefficients import shift
from stages.figures.regressed import NUMBERS
from stages.figures.style import GRID, MUTED, WIDTH, line_look, small_multiples, styled, words

Floats = NDArray[np.float64]

POINTS = 60  # of a curve
LINE, CURVE = (0, (3.5, 2)), "-"
KEY: dict[str, dict[str, Any]] = {"observed": {"linestyle": "none", "marker": "o", "markersize": 4.6},
       "straight line of the characters": {"linestyle": LINE, "linewidth": 1.1},
       "psychometric curve": {"linestyle": CURVE, "linewidth": 1.6},
       "threshold": {"linestyle": "none", "marker": "D", "markersize": 5, "markerfacecolor": "white"}}  # fmt: skip


def psychometric(levels: Floats, guess: float, lapse: float, midpoint: float, steepness: float) -> Floats:
    """The regress stage's curve at levels >= 0; NaN where there is none."""
    with np.errstate(divide="ignore"):
        return np.asarray(guess + (1 - guess - lapse) * expit(steepness * (np.log(midpoint) - np.log(levels))))


@styled
def draw_dose_response(responses: pd.DataFrame, curves: pd.DataFrame, thresholds: pd.DataFrame, dose: str) -> Figure:
    """One panel a noise type; by reader the captchas read whole, their curve with its thresholds, and
    the regression's line, which is of characters.

    The tables are those of plots/regress. A curve is one of level: where the dose is another number, it is drawn over
    the mean dose of the levels.
    """
    noises, readers = list(dict.fromkeys(responses["noise"])), list(dict.fromkeys(responses["reader"]))
    figure, panels = small_multiples(len(noises), 0.75, 1.95)
    for panel, noise in zip(panels, noises, strict=False):
        panel.set_title(words(noise))
        for index, reader in enumerate(readers):
            told, curve, passed = (table[(table["noise"] == noise) & (table["reader"] == reader)]
                                   for table in (responses, curves, thresholds))
            _response(panel, told.sort_values("level"), curve, passed, index, reader)
        panel.tick_params(labelbottom=True)
    _share_axis(panels[0], responses)
    for panel in panels[:len(noises)]:
        bottom, top = panel.get_ylim()
        panel.axhspan(1, top, color=GRID, alpha=0.55, linewidth=0, zorder=0)
        panel.axhspan(bottom, 0, color=GRID, alpha=0.55, linewidth=0, zorder=0)
    for panel in panels[len(noises):]:
        panel.set_visible(False)
    figure.supxlabel("level of the noise" if dose == "level" else f"{NUMBERS[dose]} of the rendering", fontsize=8.5,
                     color=MUTED)
    figure.supylabel("captchas read whole", fontsize=8.5, color=MUTED)
    handles, names = panels[0].get_legend_handles_labels()
    kinds = [Line2D([], [], color=MUTED, **look) for look in KEY.values()]
    figure.legend([*handles, *kinds], [*names, *KEY], loc="outside upper left", ncols=4)
    return figure


def _response(axes: Axes, told: pd.DataFrame, curve: pd.DataFrame, passed: pd.DataFrame, index: int,
              reader: str) -> None:
    if told.empty:
        return
    colour = line_look(index)["color"]
    levels, doses = told["level"].to_numpy(float), told["dose"].to_numpy(float)
    axes.plot(doses, told["line"], color=colour, linewidth=1.1, linestyle=LINE, zorder=2)
    if len(curve):
        at = np.linspace(levels[0], levels[-1], POINTS)
        row = curve.iloc[0]
        axes.plot(np.interp(at, levels, doses), psychometric(at, row["guess"], row["lapse"], row["midpoint"],
                                                             row["steepness"]), color=colour, linewidth=1.6, zorder=2.5)
    axes.plot(doses, told["exact"], label=reader, zorder=4, **{**line_look(index), "linestyle": "none"})
    inside = passed[passed["level"] > 0]
    axes.plot(np.interp(inside["level"], levels, doses), inside["share"], linestyle="none", marker="D",
              markersize=5, markerfacecolor="white", markeredgecolor=colour, markeredgewidth=1.1, zorder=3)


def _share_axis(axes: Axes, responses: pd.DataFrame) -> None:
    """The y axis in per cent, as far as the lines leave 0 to 100 %."""
    drawn = responses[["line", "exact"]]
    axes.set_ylim(min(0.0, float(np.nanmin(drawn))) - 0.04, max(1.0, float(np.nanmax(drawn))) + 0.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])


@styled
def draw_thresholds(thresholds: pd.DataFrame, reader: str, largest: float) -> Figure:
    """One panel an accuracy, one row a noise type, one point a reader; the first that fails `reader` on top.

    `thresholds` is the table of plots/regress; `largest` is the strongest level. One that is not reached stands hollow
    at the right edge.
    """
    accuracies, readers = sorted(set(thresholds["share"])), list(dict.fromkeys(thresholds["reader"]))
    first = thresholds[(thresholds["reader"] == reader) & (thresholds["share"] == accuracies[0])]
    noises = list(first.sort_values("level", kind="stable")["noise"])  # NaN, not reached, last
    noises += [noise for noise in dict.fromkeys(thresholds["noise"]) if noise not in noises]
    edge = 1.12 * largest
    figure = Figure((WIDTH, 1.05 + len(noises) * (0.2 + 0.11 * len(readers))))
    panels = figure.subplots(1, len(accuracies), sharey=True, squeeze=False)[0]
    for panel, accuracy in zip(panels, accuracies, strict=True):
        for index, name in enumerate(readers):
            part = thresholds[(thresholds["share"] == accuracy) & (thresholds["reader"] == name)]
            y = np.array([noises.index(noise) for noise in part["noise"]]) + shift(index, len(readers))
            _thresholds(panel, part, y, index, name, edge)
        _edge_axis(panel, largest, edge, len(accuracies))
        panel.set_title(f"{100 * accuracy:g} % of the captchas")
        panel.set_yticks(range(len(noises)), [words(noise) for noise in noises])
        panel.set_ylim(len(noises) - 0.4, -0.6)
        panel.grid(False, axis="y")
    figure.supxlabel("level of the noise", fontsize=8.5, color=MUTED)
    handles = [Line2D([], [], label=name, **{**line_look(index), "linestyle": "none"})
               for index, name in enumerate(readers)]
    figure.legend(handles=handles, loc="outside upper left", ncols=5)
    return figure


def _thresholds(axes: Axes, part: pd.DataFrame, y: Floats, index: int, name: str, edge: float) -> None:
    look = {**line_look(index), "linestyle": "none"}
    reached = part["level"].notna().to_numpy()
    some = reached | part["low"].notna().to_numpy()
    axes.hlines(y[some], part["low"].fillna(edge)[some], part["high"].fillna(edge)[some], color=look["color"],
                linewidth=1.2)
    axes.plot(part["level"][reached], y[reached], label=name, **look)
    axes.plot(np.full((~reached).sum(), edge), y[~reached], **{**look, "markerfacecolor": "white",
                                                              "markeredgecolor": look["color"], "markeredgewidth": 1.1})


def _edge_axis(axes: Axes, largest: float, edge: float, panels: int) -> None:
    """The x axis from 0 to the strongest level, and an edge beyond it for what is not reached."""
    ticks = np.linspace(0, largest, 5 if panels < 3 else 3)
    axes.axvline((largest + edge) / 2, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
    axes.set_xlim(-0.03 * largest, 1.06 * edge)
    axes.set_xticks([*ticks, edge], [*(f"{tick:g}" for tick in ticks), "not\nreached"])
