"""Which characters are robust: accuracy against the level, thresholds by noise type, and ranks.

The tables are those of stages.insight.character_accuracy; the noise `all` is all types together, `none` the clean
renderings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from stages.figures.confusions_by_noise import noise_words
from stages.figures.numbers import (
    highest,
    interval_text,
    listed,
    lowest,
    percent,
    percent_range,
    quoted,
)
from stages.figures.style import (
    INK,
    MUTED,
    PALETTE,
    WIDTH,
    label_ends,
    level_ticks,
    line_style,
    percent_axis,
    shared_labels,
    small_multiples,
    styled,
)
from stages.schemas.explain import ClassLevels, ClassRanking, ClassThresholds
from stages.schemas.words import POOLED

LINE = 0.15  # inches, of a label
ROW = 0.2  # inches, of a character
HOLLOW: dict[str, Any] = {"markerfacecolor": "white"}
EDGE = 1.3  # of the strongest level: where stands what is not reached


@styled
def draw_class_levels(levels: pd.DataFrame) -> Figure:
    """Accuracy of each character against the level, all noise types together, one line per character."""
    own = levels[levels[ClassLevels.noise] == POOLED]
    names = list(dict.fromkeys(own[ClassLevels.character]))
    ends = []
    height = max(3.0, LINE * len(names))
    figure = Figure((WIDTH, height + 0.6))
    axes = figure.subplots()
    for index, name in enumerate(names):
        line = own[own[ClassLevels.character] == name].sort_values(ClassLevels.level)
        style = line_style(index)
        bar = {"color": style["color"], "linewidth": 0.7, "alpha": 0.6}
        level = line[ClassLevels.level]
        axes.vlines(level, line[ClassLevels.low], line[ClassLevels.high], **bar)
        axes.plot(level, line[ClassLevels.accuracy], **style)
        ends.append(float(line[ClassLevels.accuracy].iloc[-1]))
    axes.axhline(0.5, color=INK, linewidth=0.7, linestyle=(0, (2, 3)), zorder=1)
    percent_axis(axes, "characters read right")
    level_ticks(axes, sorted(set(own[ClassLevels.level])), "level of the noise")
    label_ends(axes, float(own[ClassLevels.level].max()), ends, names, 1.06 * LINE / height)
    return figure


def about_class_levels(thresholds: pd.DataFrame, confidence: float) -> str:
    """The characters that fall to the target first and last, all noise types together."""
    own = _known(thresholds[thresholds[ClassThresholds.noise] == POOLED])
    if own.empty:
        return "No character was shown often enough, clean and noisy, for a curve."
    reached = _reached(own)
    if reached.empty:
        return f"No character falls to {_target(own)} within the levels tested, all noise types together."
    first = lowest(reached, ClassThresholds.level)
    last = highest(reached, ClassThresholds.level)
    text = (
        f"All noise types together, {quoted(first[ClassThresholds.character])} falls to {_target(own)} first, at "
        f"level {_level_text(first, confidence)}"
    )
    if len(reached) > 1:
        text += f", and {quoted(last[ClassThresholds.character])} last, at {_level_text(last, confidence)}"
    missing = len(own) - len(reached)
    return f"{text}." + (f" {missing} of the {len(own)} never fall so far." if missing else "")


def _known(thresholds: pd.DataFrame) -> pd.DataFrame:
    """The thresholds of characters that were shown often enough for a curve."""
    return thresholds[thresholds[ClassThresholds.level].notna()]


def _reached(known: pd.DataFrame) -> pd.DataFrame:
    return known[np.isfinite(known[ClassThresholds.level].to_numpy(float))]


def _target(thresholds: pd.DataFrame) -> str:
    """The accuracy that the thresholds are of."""
    return f"{100 * float(thresholds[ClassThresholds.accuracy].iloc[0]):g}\u00a0%"


def _level_text(row: pd.Series, confidence: float) -> str:
    """A threshold with its interval; an end of it may lie beyond the levels tested."""
    low, high = (
        format(row[name], ".2f") if np.isfinite(row[name]) else "beyond the strongest"
        for name in (ClassThresholds.low, ClassThresholds.high)
    )
    return f"{row[ClassThresholds.level]:.2f} {interval_text(f'{low} to {high}', confidence)}"


@styled
def draw_class_thresholds(thresholds: pd.DataFrame, order: Sequence[str], largest: float) -> Figure:
    """The level at which each character falls to the target, with interval: one panel per noise type, one row per
    character in `order`.

    One that is not reached by `largest`, the strongest level, stands hollow at the right edge.
    """
    noises = list(dict.fromkeys(thresholds[ClassThresholds.noise]))
    figure, panels = small_multiples(len(noises), 0.35, max(1.4, 0.4 + 0.15 * len(order)))
    ticks = np.linspace(0, largest, 3)
    edge = EDGE * largest
    for index, (panel, noise) in enumerate(zip(panels, noises, strict=True)):
        own = thresholds[thresholds[ClassThresholds.noise] == noise]
        own = own.set_index(ClassThresholds.character).reindex(list(order))
        _thresholds(panel, own, edge, INK if noise == POOLED else PALETTE[0])
        panel.axvline((largest + edge) / 2, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
        panel.set_title(noise_words(noise))
        panel.set_yticks(range(len(order)), list(order))
        panel.set_ylim(len(order) - 0.4, -0.6)
        panel.set_xlim(-0.03 * largest, 1.06 * edge)
        panel.set_xticks([*ticks, edge], [*(f"{tick:g}" for tick in ticks), "never"])
        panel.tick_params(labelbottom=index + 3 >= len(noises))
    shared_labels(figure, "level of the noise")
    return figure


def _thresholds(axes: Axes, rows: pd.DataFrame, edge: float, colour: str) -> None:
    """Dots with intervals, one row per character; rows without a curve (NaN) stay empty."""
    known = rows[ClassThresholds.level].notna().to_numpy()
    inside = np.isfinite(rows[ClassThresholds.level].to_numpy(float))[known]
    y = np.arange(len(rows))[known]
    level, low, high = (
        np.minimum(rows[name].to_numpy(float), edge)[known]
        for name in (ClassThresholds.level, ClassThresholds.low, ClassThresholds.high)
    )
    style: dict[str, Any] = {"color": colour, "markersize": 3.8}
    axes.hlines(y, low, high, color=colour, linewidth=1.1)
    axes.plot(level[inside], y[inside], "o", **style)
    axes.plot(level[~inside], y[~inside], "o", **style, **HOLLOW)


def about_class_thresholds(thresholds: pd.DataFrame, confidence: float) -> str:
    """How many of the characters fall under each noise, and which first."""
    own = _known(thresholds[thresholds[ClassThresholds.noise] != POOLED])
    if own.empty:
        return "No character was shown often enough under one noise type for a curve."
    reached = _reached(own)
    text = (
        f"Of the {len(own)} pairs of character and noise type, {len(reached)} fall to {_target(own)} within the "
        "levels tested"
    )
    if reached.empty:
        return f"{text}."
    first = lowest(reached, ClassThresholds.level)
    text += (
        f", first {quoted(first[ClassThresholds.character])} under {noise_words(first[ClassThresholds.noise])}, at "
        f"level {_level_text(first, confidence)}"
    )
    noises = dict.fromkeys(own[ClassThresholds.noise])
    never = [
        noise_words(noise) for noise in noises if noise not in set(reached[ClassThresholds.noise])
    ]
    return text + (f"; none does under {listed(never)}." if never else ".")


@styled
def draw_class_ranking(ranking: pd.DataFrame) -> Figure:
    """Left the accuracy on noisy renderings (filled) and clean ones (hollow); right the ranks that the data leave open.

    `ranking` is ClassRanking; characters without a place are left out.
    """
    own = _placed(ranking)
    count = max(1, len(own))
    y = np.arange(len(own))
    figure = Figure((WIDTH, 1.0 + ROW * count))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.1, 1])
    _ranking_accuracies(left, own, y)
    _ranking_places(right, own, y)
    left.set_yticks(y, list(own[ClassRanking.character]))
    left.set_ylim(count - 0.4, -0.6)
    handles = [
        Line2D([], [], color=PALETTE[0], marker="o", label="noisy"),
        Line2D([], [], color=MUTED, marker="o", markerfacecolor="white", label="clean"),
        Line2D([], [], color=PALETTE[0], linewidth=3.4, label="rank interval"),
        Line2D([], [], color=PALETTE[0], linewidth=1, label="of all ranks at once"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


def _placed(ranking: pd.DataFrame) -> pd.DataFrame:
    return ranking[ranking[ClassRanking.place].notna()]


def _ranking_accuracies(axes: Axes, own: pd.DataFrame, y: ArrayLike) -> None:
    """Accuracy with interval, noisy and clean."""
    clean_ends = (own[ClassRanking.clean_low], own[ClassRanking.clean_high])
    axes.hlines(y, own[ClassRanking.low], own[ClassRanking.high], color=PALETTE[0], linewidth=1.3)
    axes.plot(own[ClassRanking.accuracy], y, "o", color=PALETTE[0], markersize=4.4)
    axes.hlines(y, *clean_ends, color=MUTED, linewidth=0.9)
    axes.plot(own[ClassRanking.clean], y, "o", color=MUTED, markersize=4.4, **HOLLOW)
    axes.set_xlabel("read right, %")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")


def _ranking_places(axes: Axes, own: pd.DataFrame, y: NDArray[np.int64]) -> None:
    """The place with its rank intervals, alone and simultaneous, and the probability of the place at the edge."""
    thin = (own[ClassRanking.all_low], own[ClassRanking.all_high])
    thick = (own[ClassRanking.rank_low], own[ClassRanking.rank_high])
    axes.hlines(y, *thin, color=PALETTE[0], linewidth=1)
    axes.hlines(y, *thick, color=PALETTE[0], linewidth=3.4)
    axes.plot(own[ClassRanking.place], y, "o", color=INK, markersize=4.4, zorder=3)
    for place, probability in zip(y, own[ClassRanking.probability], strict=True):
        axes.annotate(
            f"{100 * probability:.0f} %",
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            annotation_clip=False,
        )
    title = "place, and the probability that it is right"
    axes.set_title(title, fontsize=8.5, fontweight="normal")
    axes.set_xlabel("rank, 1 the most robust")
    axes.set_xticks(np.arange(1, len(own) + 1, max(1, -(-len(own) // 12))))
    axes.set_xlim(0.4, max(1, len(own)) + 0.6)


def about_class_ranking(ranking: pd.DataFrame, confidence: float) -> str:
    """The most and the least robust character, and how sure that is."""
    own = _placed(ranking)
    too_few = ""
    if len(own) < len(ranking):
        too_few = f" {len(ranking) - len(own)} of the {len(ranking)} characters come in too few captchas for a place."
    if len(own) < 2:
        return "Too few characters were shown often enough to be ranked." + too_few
    best = own.iloc[0]
    worst = own.iloc[-1]
    text = (
        f"{quoted(best[ClassRanking.character])} is the most robust: {percent(best[ClassRanking.accuracy])} of it "
        f"are read under noise {_accuracy_interval(best, confidence)}, the first place being its own with probability "
        f"{best[ClassRanking.first]:.2f}; {quoted(worst[ClassRanking.character])} is the least, with "
        f"{percent(worst[ClassRanking.accuracy])} {_accuracy_interval(worst, confidence)} and probability "
        f"{worst[ClassRanking.last]:.2f}"
    )
    sure = int((own[ClassRanking.all_low] == own[ClassRanking.all_high]).sum())
    known = f"the places of {sure} of the {len(own)} characters are"
    if not sure:
        known = "no character's place is"
    return f"{text}; at {100 * confidence:g}\u00a0% for all ranks at once {known} settled.{too_few}"


def _accuracy_interval(row: pd.Series, confidence: float) -> str:
    return interval_text(percent_range(row[ClassRanking.low], row[ClassRanking.high]), confidence)
