"""Which characters are robust, which are confused, and what noise does to that.

All take tables of stages.insight.character_accuracy and stages.insight.confusions, as plots/explain
holds them; `all` in the place of a noise type is all of them together, `none` the clean renderings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from stages.figures.confusion import heat_map, share_matrix
from stages.figures.numbers import (
    highest,
    interval_text,
    listed,
    lowest,
    percent,
    percent_range,
    quoted,
    rows_where,
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
    style_of_noise,
    styled,
    words,
)
from stages.schemas.explain import (
    ClassLevels,
    ClassRanking,
    ClassThresholds,
    ConfusionLevels,
    ConfusionMatrices,
    ConfusionTests,
)
from stages.schemas.figures import Confusion
from stages.schemas.words import CLEAN, MISSED, POOLED

Floats = NDArray[np.float64]

LINE = 0.15  # inches, of a label
ROW = 0.2  # inches, of a character
TYPES = {POOLED: "all noise types", CLEAN: "clean"}


def _noise(name: str) -> str:
    return TYPES.get(name, words(name))


def _interval(low: float, high: float, confidence: float, form: str = "") -> str:
    """An interval in brackets: shares as per cent, or levels in a form."""
    ends = percent_range(low, high) if not form else f"{_level(low, form)} to {_level(high, form)}"
    return interval_text(ends, confidence)


def _level(level: float, form: str = ".2f") -> str:
    return format(level, form) if np.isfinite(level) else "beyond the strongest"


@styled
def draw_class_levels(levels: pd.DataFrame) -> Figure:
    """Accuracy of each character against level, all noise types together: a line a character, named at its end."""
    own = levels[levels[ClassLevels.noise] == POOLED]
    names = list(dict.fromkeys(own[ClassLevels.character]))
    height = max(3.0, LINE * len(names))
    figure = Figure((WIDTH, height + 0.6))
    axes = figure.subplots()
    last = float(own[ClassLevels.level].max())
    ends = []
    for index, name in enumerate(names):
        line = own[own[ClassLevels.character] == name].sort_values(ClassLevels.level)
        style = line_style(index)
        axes.vlines(
            line[ClassLevels.level],
            line[ClassLevels.low],
            line[ClassLevels.high],
            color=style["color"],
            linewidth=0.7,
            alpha=0.6,
        )
        axes.plot(line[ClassLevels.level], line[ClassLevels.accuracy], **style)
        ends.append(float(line[ClassLevels.accuracy].iloc[-1]))
    axes.axhline(0.5, color=INK, linewidth=0.7, linestyle=(0, (2, 3)), zorder=1)
    percent_axis(axes, "characters read right")
    level_ticks(axes, sorted(set(own[ClassLevels.level])), "level of the noise")
    label_ends(axes, last, ends, names, 1.06 * LINE / height)
    return figure


def about_class_levels(thresholds: pd.DataFrame, confidence: float) -> str:
    """Which character falls to the target first and last, all noise types together."""
    own = thresholds[
        (thresholds[ClassThresholds.noise] == POOLED) & thresholds[ClassThresholds.level].notna()
    ]
    if own.empty:
        return "No character was shown often enough, clean and noisy, for a curve."
    target = f"{100 * float(own[ClassThresholds.accuracy].iloc[0]):g}\u00a0%"
    reached = own[np.isfinite(own[ClassThresholds.level].to_numpy(float))]
    if reached.empty:
        return f"No character falls to {target} within the levels tested, all noise types together."
    first = lowest(reached, ClassThresholds.level)
    last = highest(reached, ClassThresholds.level)
    text = (
        f"All noise types together, {quoted(first[ClassThresholds.character])} falls to {target} first, at level "
        f"{first[ClassThresholds.level]:.2f} "
        f"{_interval(first[ClassThresholds.low], first[ClassThresholds.high], confidence, '.2f')}"
    )
    if len(reached) > 1:
        text += (
            f", and {quoted(last[ClassThresholds.character])} last, at {last[ClassThresholds.level]:.2f} "
            f"{_interval(last[ClassThresholds.low], last[ClassThresholds.high], confidence, '.2f')}"
        )
    missing = len(own) - len(reached)
    return f"{text}." + (f" {missing} of the {len(own)} never fall so far." if missing else "")


@styled
def draw_class_thresholds(thresholds: pd.DataFrame, order: Sequence[str], largest: float) -> Figure:
    """One panel a noise type, one row a character in `order`: the level at which it falls to the target, with interval.

    One that is not reached by `largest`, the strongest level, stands hollow at the right edge.
    """
    noises = list(dict.fromkeys(thresholds[ClassThresholds.noise]))
    figure, panels = small_multiples(len(noises), 0.35, max(1.4, 0.4 + 0.15 * len(order)))
    edge = 1.3 * largest
    for index, (panel, noise) in enumerate(zip(panels, noises, strict=False)):
        own = (
            thresholds[thresholds[ClassThresholds.noise] == noise]
            .set_index(ClassThresholds.character)
            .reindex(list(order))
        )
        known = own[ClassThresholds.level].notna().to_numpy()
        y = np.arange(len(order))[known]
        level, low, high = (
            np.minimum(own[name].to_numpy(float), edge)[known]
            for name in (ClassThresholds.level, ClassThresholds.low, ClassThresholds.high)
        )
        colour = PALETTE[0] if noise != POOLED else INK
        inside = np.isfinite(own[ClassThresholds.level].to_numpy(float))[known]
        panel.hlines(y, low, high, color=colour, linewidth=1.1)
        panel.plot(level[inside], y[inside], "o", color=colour, markersize=3.8)
        panel.plot(
            level[~inside], y[~inside], "o", color=colour, markerfacecolor="white", markersize=3.8
        )
        panel.axvline((largest + edge) / 2, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
        panel.set_title(_noise(noise))
        panel.set_yticks(range(len(order)), list(order))
        panel.set_ylim(len(order) - 0.4, -0.6)
        panel.set_xlim(-0.03 * largest, 1.06 * edge)
        ticks = np.linspace(0, largest, 3)
        panel.set_xticks([*ticks, edge], [*(f"{tick:g}" for tick in ticks), "never"])
        panel.tick_params(labelbottom=index + 3 >= len(noises))
    shared_labels(figure, "level of the noise")
    return figure


def about_class_thresholds(thresholds: pd.DataFrame, confidence: float) -> str:
    """How many of the characters fall under each noise, and where characters differ most."""
    own = thresholds[
        (thresholds[ClassThresholds.noise] != POOLED) & thresholds[ClassThresholds.level].notna()
    ]
    if own.empty:
        return "No character was shown often enough under one noise type for a curve."
    reached = own[np.isfinite(own[ClassThresholds.level].to_numpy(float))]
    text = (
        f"Of the {len(own)} pairs of character and noise type, {len(reached)} fall to "
        f"{100 * float(own[ClassThresholds.accuracy].iloc[0]):g}\u00a0% within the levels tested"
    )
    if reached.empty:
        return f"{text}."
    first = lowest(reached, ClassThresholds.level)
    never = [
        _noise(noise)
        for noise in dict.fromkeys(own[ClassThresholds.noise])
        if noise not in set(reached[ClassThresholds.noise])
    ]
    return (
        f"{text}, first {quoted(first[ClassThresholds.character])} under {_noise(first[ClassThresholds.noise])}, at "
        "level "
        f"{first[ClassThresholds.level]:.2f} "
        f"{_interval(first[ClassThresholds.low], first[ClassThresholds.high], confidence, '.2f')}"
        + (f"; none does under {listed(never)}." if never else ".")
    )


@styled
def draw_class_ranking(ranking: pd.DataFrame) -> Figure:
    """Left the accuracy on noisy renderings (filled) and clean ones (hollow); right the ranks that the data leave open.

    `ranking` is Ranking.table; characters without a place are left out.
    """
    own = ranking[ranking[ClassRanking.place].notna()]
    y = np.arange(len(own))
    names = list(own[ClassRanking.character])
    figure = Figure((WIDTH, 1.0 + ROW * max(1, len(own))))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.1, 1])
    left.hlines(y, own[ClassRanking.low], own[ClassRanking.high], color=PALETTE[0], linewidth=1.3)
    left.plot(own[ClassRanking.accuracy], y, "o", color=PALETTE[0], markersize=4.4)
    left.hlines(
        y, own[ClassRanking.clean_low], own[ClassRanking.clean_high], color=MUTED, linewidth=0.9
    )
    left.plot(own[ClassRanking.clean], y, "o", color=MUTED, markerfacecolor="white", markersize=4.4)
    left.set_xlabel("read right, %")
    left.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")
    right.hlines(
        y, own[ClassRanking.all_low], own[ClassRanking.all_high], color=PALETTE[0], linewidth=1
    )
    right.hlines(
        y, own[ClassRanking.rank_low], own[ClassRanking.rank_high], color=PALETTE[0], linewidth=3.4
    )
    right.plot(own[ClassRanking.place], y, "o", color=INK, markersize=4.4, zorder=3)
    for place, probability in zip(y, own[ClassRanking.probability], strict=True):
        right.annotate(
            f"{100 * probability:.0f} %",
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            annotation_clip=False,
        )
    right.set_title(
        "place, and the probability that it is right", fontsize=8.5, fontweight="normal"
    )
    right.set_xlabel("rank, 1 the most robust")
    step = -(-len(own) // 12)
    right.set_xticks(np.arange(1, len(own) + 1, max(1, step)))
    right.set_xlim(0.4, max(1, len(own)) + 0.6)
    left.set_yticks(y, names)
    left.set_ylim(max(1, len(own)) - 0.4, -0.6)
    handles = [
        Line2D([], [], color=PALETTE[0], marker="o", label="noisy"),
        Line2D([], [], color=MUTED, marker="o", markerfacecolor="white", label="clean"),
        Line2D([], [], color=PALETTE[0], linewidth=3.4, label="rank interval"),
        Line2D([], [], color=PALETTE[0], linewidth=1, label="of all ranks at once"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


def about_class_ranking(ranking: pd.DataFrame, confidence: float) -> str:
    """Which character is the most and the least robust, and how sure that is."""
    own = ranking[ranking[ClassRanking.place].notna()]
    left_out = len(ranking) - len(own)
    too_few = (
        f" {left_out} of the {len(ranking)} characters come in too few captchas for a place."
        if left_out
        else ""
    )
    if len(own) < 2:
        return "Too few characters were shown often enough to be ranked." + too_few
    best = own.iloc[0]
    worst = own.iloc[-1]
    text = (
        f"{quoted(best[ClassRanking.character])} is the most robust: {percent(best[ClassRanking.accuracy])} of it "
        "are read under noise "
        f"{_interval(best[ClassRanking.low], best[ClassRanking.high], confidence)}, the first place being its own "
        "with probability "
        f"{best[ClassRanking.first]:.2f}; {quoted(worst[ClassRanking.character])} is the least, with "
        f"{percent(worst[ClassRanking.accuracy])} "
        f"{_interval(worst[ClassRanking.low], worst[ClassRanking.high], confidence)} and probability "
        f"{worst[ClassRanking.last]:.2f}"
    )
    sure = int((own[ClassRanking.all_low] == own[ClassRanking.all_high]).sum())
    known = (
        f"the places of {sure} of the {len(own)} characters are"
        if sure
        else "no character's place is"
    )
    return f"{text}; at {100 * confidence:g}\u00a0% for all ranks at once {known} settled.{too_few}"


@styled
def draw_confusions(matrices: pd.DataFrame, alphabet: str) -> Figure:
    """The errors of each noise type, of all and of the clean: rows actual, columns read as; one scale, no diagonal.

    `matrices` is what confusion_matrices gives. The scale ends with the most frequent misreading: more are missed.
    """
    noises = list(dict.fromkeys(matrices[ConfusionMatrices.noise]))
    figure, panels = small_multiples(len(noises), 0.5, 2.5)
    shares = {
        noise: _errors(matrices[matrices[ConfusionMatrices.noise] == noise], alphabet)
        for noise in noises
    }
    top = max(float(np.nanmax(values[:, :-1])) for values in shares.values())
    size = float(np.clip(2.05 * 72 / (1.3 * (len(alphabet) + 1)), 2.5, 7))
    for panel, noise in zip(panels, noises, strict=False):
        heat_map(panel, shares[noise], list(alphabet), [*alphabet, "–"], highest=max(top, 0.01))
        panel.axvline(len(alphabet) - 0.5, color=MUTED, linewidth=0.7)
        panel.set_title(_noise(noise))
        panel.tick_params(labelsize=size, labelbottom=True, labelleft=True, pad=1)
    bar = figure.colorbar(
        panels[0].images[0],
        ax=panels,
        location="right",
        shrink=0.5,
        aspect=24,
        pad=0.02,
        extend="max",
    )
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    bar.outline.set_visible(False)
    shared_labels(figure, "read as (– for nothing)", "actual character")
    return figure


def _errors(cells: pd.DataFrame, alphabet: str) -> Floats:
    """Shares (A, A + 1) without the diagonal (NaN)."""
    shares = share_matrix(
        cells.rename(columns={ConfusionMatrices.read_as: Confusion.predicted}), alphabet
    )
    shares[np.arange(len(alphabet)), np.arange(len(alphabet))] = np.nan
    return shares


def about_confusions(matrices: pd.DataFrame) -> str:
    """How errors divide into misread and missed, clean and noisy, and the noise under which most are missed."""
    parts = [
        text
        for noise in (CLEAN, POOLED)
        if (text := _divided(matrices[matrices[ConfusionMatrices.noise] == noise], noise))
    ]
    types = matrices[~matrices[ConfusionMatrices.noise].isin([CLEAN, POOLED])]
    missed = (
        (types[ConfusionMatrices.count] * (types[ConfusionMatrices.read_as] == MISSED))
        .groupby(types[ConfusionMatrices.noise])
        .sum()
    )
    share = missed / types.groupby(ConfusionMatrices.noise)[ConfusionMatrices.count].sum()
    if len(share) > 1 and share.max() > 0:
        parts.append(
            f"most are missed under {_noise(str(share.idxmax()))} ({percent(float(share.max()))})"
        )
    return "; ".join(parts) + "."


def _divided(cells: pd.DataFrame, noise: str) -> str:
    if cells.empty:
        return ""
    total = cells[ConfusionMatrices.count].sum()
    missed = (
        cells.loc[cells[ConfusionMatrices.read_as] == MISSED, ConfusionMatrices.count].sum() / total
    )
    misread = (
        cells.loc[
            ~cells[ConfusionMatrices.read_as].isin([MISSED])
            & (cells[ConfusionMatrices.read_as] != cells[ConfusionMatrices.actual]),
            ConfusionMatrices.count,
        ].sum()
        / total
    )
    where = "of the characters under noise" if noise == POOLED else "Of the clean characters"
    return f"{where} {percent(misread)} are read as another and {percent(missed)} are missed"


@styled
def draw_top_confusions(by_level: pd.DataFrame, order: Sequence[str]) -> Figure:
    """One panel a confusion, one line a noise type and a black one for all: its share against level.

    `order` is that of all noise types, which gives each its colour.
    """
    pairs = list(
        dict.fromkeys(
            zip(by_level[ConfusionLevels.actual], by_level[ConfusionLevels.read_as], strict=True)
        )
    )
    noises = list(dict.fromkeys(by_level[ConfusionLevels.noise]))
    figure, panels = small_multiples(max(1, len(pairs)), 0.55, 1.85)
    for panel, (actual, read_as) in zip(panels, pairs, strict=False):
        panel.set_title(f"{actual} read as {read_as}")
        for noise in noises:
            line = rows_where(
                by_level,
                {
                    ConfusionLevels.noise: noise,
                    ConfusionLevels.actual: actual,
                    ConfusionLevels.read_as: read_as,
                },
            ).sort_values(ConfusionLevels.level)
            _confusion_line(panel, line, order, noise)
        level_ticks(panel, sorted(set(by_level[ConfusionLevels.level])))
        panel.tick_params(labelbottom=True)
    panels[0].set_ylim(bottom=0)
    panels[0].yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    shared_labels(figure, "level of the noise", "share of the actual character")
    handles, names = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper left", ncols=4)
    return figure


def _confusion_line(axes: Axes, line: pd.DataFrame, order: Sequence[str], noise: str) -> None:
    style = (
        {"color": INK, "linewidth": 2.2, "zorder": 4}
        if noise == POOLED
        else {**style_of_noise(noise, order), "linewidth": 1.0, "markersize": 3.2, "alpha": 0.9}
    )
    if noise == POOLED:
        axes.vlines(
            line[ConfusionLevels.level],
            line[ConfusionLevels.low],
            line[ConfusionLevels.high],
            color=INK,
            linewidth=1.1,
            zorder=4,
        )
    axes.plot(
        line[ConfusionLevels.level], line[ConfusionLevels.share], label=_noise(noise), **style
    )


def about_top_confusions(tests: pd.DataFrame, by_level: pd.DataFrame, confidence: float) -> str:
    """The most frequent confusion under noise, whether noise made it, and where in the levels it is most frequent.

    `tests` is what confusion_tests gives, `by_level` what confusions_by_level gives.
    """
    own = tests[(tests[ConfusionTests.noise] == POOLED) & (tests[ConfusionTests.read_as] != MISSED)]
    if own.empty:
        return "No character was read as another under noise."
    top = own.iloc[0]
    text = (
        f"{quoted(top[ConfusionTests.actual])} is read as {quoted(top[ConfusionTests.read_as])} most often: "
        f"{percent(top[ConfusionTests.share])} of it"
    )
    if np.isfinite(top[ConfusionTests.low]):
        text += f" {_interval(top[ConfusionTests.low], top[ConfusionTests.high], confidence)}"
    text += f", against {percent(top[ConfusionTests.clean_share])} of the clean ones"
    if np.isfinite(top[ConfusionTests.p_holm]):
        text += (
            f" (Holm's p {_small(top[ConfusionTests.p_holm])} of {top[ConfusionTests.tests]} tests)"
            if top[ConfusionTests.p_holm] < 1 - confidence
            else ", which chance may make"
        )
    line = by_level[
        (by_level[ConfusionLevels.noise] == POOLED)
        & (by_level[ConfusionLevels.actual] == top[ConfusionTests.actual])
        & (by_level[ConfusionLevels.read_as] == top[ConfusionTests.read_as])
        & (by_level[ConfusionLevels.level] > 0)
    ]
    if len(line) > 1:
        peak = highest(line, ConfusionLevels.share)
        text += f"; it peaks at level {peak[ConfusionLevels.level]:g}, with {percent(peak[ConfusionLevels.share])}"
    if top[ConfusionTests.times_even] > 1:
        text += (
            f". That is {top[ConfusionTests.times_even]:.1f} times as often as it would be, were the misreadings of "
            f"{quoted(top[ConfusionTests.actual])} even"
        )
    grown = int(
        ((own[ConfusionTests.p_holm] < 1 - confidence) & (own[ConfusionTests.difference] > 0)).sum()
    )
    return f"{text}. Noise makes {grown} of the {len(own)} confusions that occurred more frequent, by Holm's p."


def _small(p: float) -> str:
    return f"= {p:.3f}" if p >= 0.001 else "< 0.001"
