"""Which characters are confused under each noise, against the clean renderings.

The tables are those of stages.insight.confusions; the noise `all` is all types together, `none` the clean renderings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.confusion import heat_map, share_matrix
from stages.figures.numbers import (
    highest,
    interval_text,
    p_value,
    percent,
    percent_range,
    quoted,
    rows_where,
)
from stages.figures.style import (
    INK,
    MUTED,
    key_above,
    level_ticks,
    shared_labels,
    small_multiples,
    style_of_noise,
    styled,
    words,
)
from stages.schemas.explain import (
    ConfusionLevels,
    ConfusionMatrices,
    ConfusionTests,
)
from stages.schemas.figures import Confusion
from stages.schemas.words import CLEAN, MISSED, POOLED

Floats = NDArray[np.float64]

TYPES = {POOLED: "all noise types", CLEAN: "clean"}


def noise_words(name: str) -> str:
    return TYPES.get(name, words(name))


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
    for panel, noise in zip(panels, noises, strict=True):
        heat_map(panel, shares[noise], list(alphabet), [*alphabet, "–"], highest=max(top, 0.01))
        panel.axvline(len(alphabet) - 0.5, color=MUTED, linewidth=0.7)
        panel.set_title(noise_words(noise))
        panel.tick_params(labelsize=size, labelbottom=True, labelleft=True, pad=1)
    bar = figure.colorbar(
        panels[0].images[0], ax=panels, shrink=0.5, aspect=24, pad=0.02, extend="max"
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
    cells = dict(iter(matrices.groupby(ConfusionMatrices.noise, sort=False)))
    parts = [_divided(cells.pop(noise), noise) for noise in (CLEAN, POOLED) if noise in cells]
    shares = pd.Series({str(noise): _missed(own) for noise, own in cells.items()}, dtype=float)
    if len(shares) > 1 and shares.max() > 0:
        parts.append(
            f"most are missed under {noise_words(shares.idxmax())} ({percent(shares.max())})"
        )
    return "; ".join(parts) + "."


def _missed(cells: pd.DataFrame) -> float:
    """The share of the characters that were missed."""
    missed = cells[ConfusionMatrices.read_as] == MISSED
    counts = cells[ConfusionMatrices.count]
    return float(counts[missed].sum() / counts.sum())


def _divided(cells: pd.DataFrame, noise: str) -> str:
    counts = cells[ConfusionMatrices.count]
    right = cells[ConfusionMatrices.read_as] == cells[ConfusionMatrices.actual]
    missed = cells[ConfusionMatrices.read_as] == MISSED
    misread = float(counts[~right & ~missed].sum() / counts.sum())
    where = "of the characters under noise" if noise == POOLED else "Of the clean characters"
    return (
        f"{where} {percent(misread)} are read as another and {percent(_missed(cells))} are missed"
    )


@styled
def draw_top_confusions(by_level: pd.DataFrame, order: Sequence[str]) -> Figure:
    """Shares against the level: one panel per confusion, one line per noise type and a black one for all.

    `order` is that of all noise types, which gives each its colour.
    """
    pair = [ConfusionLevels.actual, ConfusionLevels.read_as]
    pairs = dict(iter(by_level.groupby(pair, sort=False)))
    figure, panels = small_multiples(max(1, len(pairs)), 0.55, 1.85)
    for panel, ((actual, read_as), own) in zip(panels, pairs.items(), strict=False):
        panel.set_title(f"{actual} read as {read_as}")
        for noise in dict.fromkeys(by_level[ConfusionLevels.noise]):
            line = own[own[ConfusionLevels.noise] == noise].sort_values(ConfusionLevels.level)
            _confusion_line(panel, line, order, noise)
        level_ticks(panel, sorted(set(by_level[ConfusionLevels.level])))
        panel.tick_params(labelbottom=True)
    panels[0].set_ylim(bottom=0)
    panels[0].yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    shared_labels(figure, "level of the noise", "share of the actual character")
    if pairs:
        key_above(figure, panels[0], 4)
    return figure


def _confusion_line(axes: Axes, line: pd.DataFrame, order: Sequence[str], noise: str) -> None:
    """The share against the level; of all noise types together with its intervals."""
    level = line[ConfusionLevels.level]
    if noise == POOLED:
        style: dict[str, Any] = {"color": INK, "linewidth": 2.2, "zorder": 4}
        ends = (line[ConfusionLevels.low], line[ConfusionLevels.high])
        axes.vlines(level, *ends, color=INK, linewidth=1.1, zorder=4)
    else:
        thin = {"linewidth": 1.0, "markersize": 3.2, "alpha": 0.9}
        style = {**style_of_noise(noise, order), **thin}
    axes.plot(level, line[ConfusionLevels.share], label=noise_words(noise), **style)


def about_top_confusions(tests: pd.DataFrame, by_level: pd.DataFrame, confidence: float) -> str:
    """The most frequent confusion under noise, whether noise causes it, and the level at which it is most frequent.

    `tests` is ConfusionTests, `by_level` ConfusionLevels.
    """
    own = tests[(tests[ConfusionTests.noise] == POOLED) & (tests[ConfusionTests.read_as] != MISSED)]
    if own.empty:
        return "No character was read as another under noise."
    significant = own[ConfusionTests.p_holm] < 1 - confidence
    grown = int((significant & (own[ConfusionTests.difference] > 0)).sum())
    top = own.iloc[0]
    return (
        f"{_top_text(top, confidence)}{_peak_text(top, by_level)}. Noise makes {grown} of the {len(own)} confusions "
        "that occurred more frequent, by Holm's p."
    )


def _top_text(top: pd.Series, confidence: float) -> str:
    """A confusion, its share under noise and clean, and its test."""
    text = (
        f"{quoted(top[ConfusionTests.actual])} is read as {quoted(top[ConfusionTests.read_as])} most often: "
        f"{percent(top[ConfusionTests.share])} of it"
    )
    if np.isfinite(top[ConfusionTests.low]):
        ends = percent_range(top[ConfusionTests.low], top[ConfusionTests.high])
        text += f" {interval_text(ends, confidence)}"
    text += f", against {percent(top[ConfusionTests.clean_share])} of the clean ones"
    p = top[ConfusionTests.p_holm]
    if p < 1 - confidence:
        return text + f" (Holm's {p_value(p)} of {top[ConfusionTests.tests]} tests)"
    return text + (", which chance may make" if np.isfinite(p) else "")


def _peak_text(top: pd.Series, by_level: pd.DataFrame) -> str:
    """The level at which a confusion is most frequent, and how often it would occur by chance."""
    pair = {name: top[name] for name in (ConfusionTests.actual, ConfusionTests.read_as)}
    line = rows_where(by_level, {ConfusionLevels.noise: POOLED, **pair})
    noisy = line[line[ConfusionLevels.level] > 0]
    text = ""
    if len(noisy) > 1:
        peak = highest(noisy, ConfusionLevels.share)
        text += f"; it peaks at level {peak[ConfusionLevels.level]:g}, with {percent(peak[ConfusionLevels.share])}"
    if top[ConfusionTests.times_even] > 1:
        text += (
            f". That is {top[ConfusionTests.times_even]:.1f} times as often as it would be, were the misreadings of "
            f"{quoted(top[ConfusionTests.actual])} even"
        )
    return text
