"""Whether saliency maps can be believed: deletion and insertion curves, drift under noise, and randomised weights.

The tables are SaliencyMeasures, SaliencyCurves and SaliencyRandomised, each with value, low, high, captchas and note.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.numbers import highest, listed, lowest, rows_where, signed
from stages.figures.saliency_maps import method_words
from stages.figures.style import (
    MUTED,
    WIDTH,
    band,
    key_above,
    level_ticks,
    line_style,
    percent_axis,
    shared_labels,
    small_multiples,
    styled,
    words,
)
from stages.schemas.explain import SaliencyCurves, SaliencyMeasures, SaliencyRandomised
from stages.schemas.words import POOLED

CONTROLS = {"random": "a random map", "ink": "plain ink"}  # maps that know nothing of the reader
CURVES = ("deletion", "insertion")
RENDERINGS = ("clean", "noisy")
SHARES = {0: "0", 0.01: "1", 0.1: "10", 0.25: "25", 0.5: "50", 1: "100 %"}  # of the pixels: ticks
BAND = [SaliencyMeasures.value, SaliencyMeasures.low, SaliencyMeasures.high]
SAME = pd.DataFrame([[1.0] * len(BAND)], columns=BAND)  # a map is like itself


@styled
def draw_curves(curves: pd.DataFrame) -> Figure:
    """Four panels: the posterior while pixels are removed and while they are added, clean and noisy."""
    figure = Figure((WIDTH, 5.4))
    panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    methods = list(dict.fromkeys(curves[SaliencyCurves.method]))
    for panel, (curve, renderings) in zip(panels, product(CURVES, RENDERINGS), strict=True):
        key = {SaliencyCurves.curve: curve, SaliencyCurves.renderings: renderings}
        part = rows_where(curves, key)
        for index, method in enumerate(methods):
            line = part[part[SaliencyCurves.method] == method].sort_values(SaliencyCurves.share)
            shares = line[SaliencyCurves.share].to_numpy(float)
            _banded(panel, np.sqrt(shares), line, method, index)
        panel.set_title(f"{curve}, {renderings}")
        percent_axis(panel)
        panel.set_xticks(np.sqrt(list(SHARES)), list(SHARES.values()))
    pixels = "share of the pixels, by the map's order (on a root scale)"
    shared_labels(figure, pixels, "posterior of the character")
    key_above(figure, panels[0], 3)
    return figure


@styled
def draw_drift(measures: pd.DataFrame) -> Figure:
    """One panel per noise type: rank correlation of the map with that of the clean rendering, against the level."""
    table = _drift(measures)
    table = table[table[SaliencyMeasures.method] != "random"]
    noises = list(dict.fromkeys(table[SaliencyMeasures.noise]))
    methods = list(dict.fromkeys(table[SaliencyMeasures.method]))
    least = float(np.nanmin(table[[SaliencyMeasures.value, SaliencyMeasures.low]]))
    figure, panels = small_multiples(len(noises), 0.8, 1.8)
    for panel, noise in zip(panels, noises, strict=True):
        own = table[table[SaliencyMeasures.noise] == noise]
        for index, method in enumerate(methods):
            line = own[own[SaliencyMeasures.method] == method].sort_values(SaliencyMeasures.level)
            _from_same(panel, line, SaliencyMeasures.level, method, index)
        panel.set_title(words(str(noise)))
        panel.axhline(0, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
        panel.set_ylim(min(-0.05, least - 0.02), 1.04)
        level_ticks(panel, [0, *sorted(set(table[SaliencyMeasures.level]))])
        panel.tick_params(labelbottom=True)
    shared_labels(figure, "level of the noise", "likeness to the clean map (Spearman)")
    key_above(figure, panels[0], 3)
    return figure


@styled
def draw_randomised(randomised: pd.DataFrame) -> Figure:
    """Rank correlation of |maps| with those of the trained reader, against the layers with random weights.

    Over the glyph, and dotted over the whole picture.
    """
    figure = Figure((WIDTH, 2.9))
    axes = figure.subplots()
    ordered = randomised.sort_values(SaliencyRandomised.layers)
    for index, method in enumerate(dict.fromkeys(randomised[SaliencyRandomised.method])):
        own = ordered[ordered[SaliencyRandomised.method] == method]
        glyph, whole = _by_measure(own)
        _from_same(axes, glyph, SaliencyRandomised.layers, method, index)
        axes.plot(
            [0, *whole[SaliencyRandomised.layers]],
            [1, *whole[SaliencyRandomised.value]],
            color=line_style(index)["color"],
            linestyle=":",
            linewidth=0.9,
        )
    layers = ordered.drop_duplicates(SaliencyRandomised.layers)
    names = ["none", *layers[SaliencyRandomised.layer]]
    axes.set_xticks([0, *layers[SaliencyRandomised.layers]], names, rotation=20, ha="right")
    axes.axhline(0, color=MUTED, linewidth=0.7, zorder=1)
    axes.set_ylabel("Spearman of |maps|")
    axes.set_xlabel("layers drawn anew, down to")
    key_above(figure, axes, 4)
    return figure


def _drift(measures: pd.DataFrame) -> pd.DataFrame:
    """The rows of the drift under one noise type and level."""
    rows = measures[measures[SaliencyMeasures.measure] == "drift"]
    return rows[(rows[SaliencyMeasures.noise] != POOLED) & (rows[SaliencyMeasures.level] > 0)]


def _by_measure(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of the correlation over the glyph, and those over the whole picture."""
    return [rows[rows[SaliencyRandomised.measure] == name] for name in ("spearman", "whole")]


def _from_same(axes: Axes, line: pd.DataFrame, column: str, method: str, index: int) -> None:
    """A line of a method from 1, where nothing is changed, over the values of a column."""
    x = np.concatenate([[0.0], line[column].to_numpy(float)])
    _banded(axes, x, pd.concat([SAME, line[BAND]]), method, index)


def _banded(
    axes: Axes, x: NDArray[np.float64], line: pd.DataFrame, method: str, index: int
) -> None:
    style = line_style(index)
    low = line[SaliencyMeasures.low].to_numpy(float)
    high = line[SaliencyMeasures.high].to_numpy(float)
    axes.plot(x, line[SaliencyMeasures.value], label=method_words(method), **style)
    band(axes, x, low, high, color=style["color"])


def value_and_interval(row: pd.Series) -> str:
    """A value with its interval, or with the reason why there is none."""
    low = row[SaliencyMeasures.low]
    interval = row[SaliencyMeasures.note] or "no interval"
    if np.isfinite(low):
        interval = f"{signed(low, '.2f')} to {signed(row[SaliencyMeasures.high], '.2f')}"
    return f"{signed(row[SaliencyMeasures.value], '.2f')} ({interval})"


def about_curves(measures: pd.DataFrame) -> str:
    """Which maps beat random maps, and whether any beats plain ink, on clean renderings."""
    own = ~measures[SaliencyMeasures.method].isin(CONTROLS)
    clean = measures[(measures[SaliencyMeasures.level] == 0) & own]
    count = clean[SaliencyMeasures.method].nunique()
    parts = []
    for control, curve in product(CONTROLS, CURVES):
        table = clean[clean[SaliencyMeasures.measure] == f"{curve}_over_{control}"]
        parts.append(_beaten(table, count, f"{CONTROLS[control]} by {curve}"))
    return f"On clean renderings {listed(parts)}."


def _beaten(table: pd.DataFrame, count: int, control: str) -> str:
    """Of `count` methods, those that beat a control, their intervals clear of 0, and the best of all."""
    better = table.loc[table[SaliencyMeasures.low] > 0, SaliencyMeasures.method].map(method_words)
    text = f"{_how_many(list(better), count)} {control}"
    known = table[table[SaliencyMeasures.value].notna()]
    if known.empty:
        return text
    best = highest(known, SaliencyMeasures.value)
    name = method_words(best[SaliencyMeasures.method])
    return f"{text} (best: {name}, by {value_and_interval(best)} of area)"


def _how_many(better: Sequence[str], count: int) -> str:
    if len(better) == count:
        return "every map beats" if count > 1 else "the map beats"
    if not better:
        return "no map surely beats"
    verb = "beats" if len(better) == 1 else "beat"
    return f"{listed(better)} {verb}"


def about_drift(measures: pd.DataFrame, method: str) -> str:
    """The noises at whose strongest level a map is least and most like the clean one, and the likeness of the ink."""
    table = _drift(measures)
    strongest = table[table[SaliencyMeasures.level] == table[SaliencyMeasures.level].max()]
    own = strongest[strongest[SaliencyMeasures.method] == method]
    own = own[own[SaliencyMeasures.value].notna()]
    if own.empty:
        return f"No drift of {method_words(method)} could be measured."
    most = lowest(own, SaliencyMeasures.value)
    least = highest(own, SaliencyMeasures.value)
    noise = most[SaliencyMeasures.noise]
    text = (
        f"At level {most[SaliencyMeasures.level]:g} the {method_words(method)} map is least like the clean one under "
        f"{words(str(noise))}, with a rank correlation of {value_and_interval(most)}"
    )
    key = {SaliencyMeasures.method: "ink", SaliencyMeasures.noise: noise}
    for _, ink in rows_where(strongest, key).head(1).iterrows():
        text += f" where plain ink keeps {value_and_interval(ink)}"
    if len(own) > 1:
        name = words(str(least[SaliencyMeasures.noise]))
        text += f", and most like it under {name}, with {value_and_interval(least)}"
    return f"{text}."


def about_randomised(randomised: pd.DataFrame) -> str:
    """Whether maps forget the trained reader when all weights are random, and the trap of whole pictures."""
    layers = randomised[SaliencyRandomised.layers]
    own, whole = _by_measure(randomised[layers == layers.max()])
    most = highest(own, SaliencyMeasures.value)
    return (
        f"With all {int(most[SaliencyRandomised.layers])} layers drawn anew, maps keep a rank correlation of at "
        f"most {value_and_interval(most)} with the trained reader's on the glyph "
        f"({method_words(most[SaliencyRandomised.method])}); over the whole picture it stays at "
        f"{value_and_interval(highest(whole, SaliencyMeasures.value))}, because no ink means no map in any reader."
    )
