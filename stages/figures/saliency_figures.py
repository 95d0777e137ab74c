"""What a reader looks at, drawn, and whether the maps can be believed.

The tables are those of plots/explain: curves (renderings, curve, method, share), measures (noise, level, method,
measure) and randomised (method, layers, measure), each with value, low, high, captchas, note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.numbers import highest, listed, lowest, percent, quoted, rows_where, signed
from stages.figures.samples import Picture, draw_sheet
from stages.figures.style import (
    MUTED,
    WIDTH,
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

Map = NDArray[np.float32]  # (H, W), above 0 for the character

CONTROLS = ("ink", "random")  # maps that know nothing of the reader
ENLARGED = 2  # px for one of a picture
# px, height of the mark beneath a character and of the strip that it lies in
BAR = 3
STRIP_HEIGHT = 8
MARK = (0, 114, 178)  # of the bar
# of a map; its darkest quarter would look like ink
COLOURS = "inferno"
START = 0.25
PALE = 0.55  # how much white is mixed into the grey picture
TOP = 99.5  # percentile of a map that is drawn in full
ACROSS = 10  # mean maps in a row
BAND = [SaliencyMeasures.value, SaliencyMeasures.low, SaliencyMeasures.high]
SAME = pd.DataFrame([[1.0] * len(BAND)], columns=BAND)  # a map is like itself
TITLES = {("deletion", "clean"): "deletion, clean", ("deletion", "noisy"): "deletion, noisy",
          ("insertion", "clean"): "insertion, clean", ("insertion", "noisy"): "insertion, noisy"}  # fmt: skip


def overlay(image: Picture, values: Map, span: tuple[int, int] | None = None) -> Picture:
    """The picture in pale grey, twice as large, what speaks for the character over it in colour.

    Colour and opacity grow with the map, whose largest values are drawn in full. span: the columns of the character,
    marked by a bar beneath (no strip without it).
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float64)[
        ..., None
    ]
    positive = np.maximum(values, 0)
    top = np.percentile(positive[positive > 0], TOP) if (positive > 0).any() else 1.0
    share = np.clip(positive / max(float(top), 1e-12), 0, 1)
    colour = np.asarray(colormaps[COLOURS](START + (0.9 - START) * share))[..., :3] * 255
    opacity = np.sqrt(share)[..., None]
    mixed = (255 * PALE + grey * (1 - PALE)) * (1 - opacity) + colour * opacity
    large = np.repeat(np.repeat(mixed.round().astype(np.uint8), ENLARGED, 0), ENLARGED, 1)
    if span is None:
        return large
    strip = np.full((STRIP_HEIGHT, large.shape[1], 3), 255, np.uint8)
    strip[STRIP_HEIGHT - BAR - 2 : STRIP_HEIGHT - 2, ENLARGED * span[0] : ENLARGED * span[1]] = MARK
    return np.concatenate([large, strip])


def draw_saliency(
    images: Sequence[Sequence[Picture]],
    maps: Sequence[Sequence[Map]],
    span: tuple[int, int],
    noises: Sequence[str],
    levels: Sequence[float],
    posteriors: Sequence[Sequence[float]],
    read_right: Sequence[Sequence[bool]],
) -> Figure:
    """The same captcha under each noise (rows) at rising level (columns, the first 0, clean) with one character's map.

    span: the columns of the character on the clean rendering, px. Beneath each picture stands the posterior of the
    character, with a cross where it was not said.
    """
    pictures = [
        [overlay(image, values, span) for image, values in zip(*row, strict=True)]
        for row in zip(images, maps, strict=True)
    ]
    captions = [[f"{100 * share:.0f} %" for share in row] for row in posteriors]
    return draw_sheet(
        pictures,
        [words(noise) for noise in noises],
        ["clean" if level == 0 else f"level {level:g}" for level in levels],
        captions,
        read_right,
    )


def draw_mean_maps(means: Mapping[str, tuple[Map, Map]], counts: Mapping[str, int]) -> Figure:
    """The mean map of each character over its mean glyph (both (size, size), aligned to the character's box)."""
    characters = list(means)
    rows = [characters[start : start + ACROSS] for start in range(0, len(characters), ACROSS)]
    pictures = [
        [overlay(_as_picture(means[name][1]), means[name][0]) for name in row] for row in rows
    ]
    return draw_sheet(
        pictures,
        [""] * len(rows),
        [],
        [[f"{name}: {counts[name]}" for name in row] for row in rows],
        [[True] * len(row) for row in rows],
    )


def _as_picture(glyph: Map) -> Picture:
    dark = (255 * (1 - glyph / max(float(glyph.max()), 1e-12))).round().astype(np.uint8)
    return np.repeat(dark[..., None], 3, axis=2)


@styled
def draw_curves(curves: pd.DataFrame) -> Figure:
    """Four panels: the posterior while pixels go (deletion) and while they come (insertion), clean and noisy."""
    figure = Figure((WIDTH, 5.4))
    panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    for panel, ((curve, renderings), title) in zip(panels, TITLES.items(), strict=True):
        part = rows_where(
            curves, {SaliencyCurves.curve: curve, SaliencyCurves.renderings: renderings}
        )
        for index, method in enumerate(dict.fromkeys(curves[SaliencyCurves.method])):
            line = part[part[SaliencyCurves.method] == method].sort_values(SaliencyCurves.share)
            _banded(
                panel, np.sqrt(line[SaliencyCurves.share].to_numpy(float)), line, str(method), index
            )
        panel.set_title(title)
        percent_axis(panel)
        ticks = [0, 0.01, 0.1, 0.25, 0.5, 1]
        panel.set_xticks(np.sqrt(ticks), ["0", "1", "10", "25", "50", "100 %"])
    shared_labels(
        figure,
        "share of the pixels, by the map's order (on a root scale)",
        "posterior of the character",
    )
    key_above(figure, panels[0], 3)
    return figure


@styled
def draw_drift(measures: pd.DataFrame) -> Figure:
    """One panel a noise type: rank correlation of the map with that of the clean rendering, against the level."""
    table = measures[
        (measures[SaliencyMeasures.measure] == "drift")
        & (measures[SaliencyMeasures.level] > 0)
        & (measures[SaliencyMeasures.noise] != POOLED)
        & (measures[SaliencyMeasures.method] != "random")
    ]
    noises = list(dict.fromkeys(table[SaliencyMeasures.noise]))
    methods = list(dict.fromkeys(table[SaliencyMeasures.method]))
    figure, panels = small_multiples(len(noises), 0.8, 1.8)
    for panel, noise in zip(panels, noises, strict=False):
        for index, method in enumerate(methods):
            line = rows_where(
                table, {SaliencyMeasures.noise: noise, SaliencyMeasures.method: method}
            ).sort_values(SaliencyMeasures.level)
            levels = np.concatenate([[0.0], line[SaliencyMeasures.level].to_numpy(float)])
            _banded(
                panel,
                levels,
                pd.concat([SAME, line[BAND]]),
                str(method),
                index,
            )
        panel.set_title(words(str(noise)))
        panel.axhline(0, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
        panel.set_ylim(
            min(
                -0.05,
                float(np.nanmin(table[[SaliencyMeasures.value, SaliencyMeasures.low]])) - 0.02,
            ),
            1.04,
        )
        level_ticks(panel, [0, *sorted(set(table[SaliencyMeasures.level]))])
        panel.tick_params(labelbottom=True)
    shared_labels(figure, "level of the noise", "likeness to the clean map (Spearman)")
    key_above(figure, panels[0], 3)
    return figure


@styled
def draw_randomised(randomised: pd.DataFrame) -> Figure:
    """Likeness of |maps| to those of the trained reader, against the layers drawn anew; over the glyph, and dotted over
    the whole picture."""
    figure = Figure((WIDTH, 2.9))
    axes = figure.subplots()
    for index, method in enumerate(dict.fromkeys(randomised[SaliencyRandomised.method])):
        own = randomised[randomised[SaliencyRandomised.method] == method].sort_values(
            SaliencyRandomised.layers
        )
        glyph, whole = (
            own[own[SaliencyRandomised.measure] == name] for name in ("spearman", "whole")
        )
        _banded(
            axes,
            np.concatenate([[0.0], glyph[SaliencyRandomised.layers].to_numpy(float)]),
            pd.concat([SAME, glyph[BAND]]),
            str(method),
            index,
        )
        axes.plot(
            [0, *whole[SaliencyRandomised.layers]],
            [1, *whole[SaliencyRandomised.value]],
            color=line_style(index)["color"],
            linestyle=":",
            linewidth=0.9,
        )
    layers = randomised.drop_duplicates(SaliencyRandomised.layers).sort_values(
        SaliencyRandomised.layers
    )
    axes.set_xticks(
        [0, *layers[SaliencyRandomised.layers]],
        ["none", *layers[SaliencyRandomised.layer]],
        rotation=20,
        ha="right",
    )
    axes.axhline(0, color=MUTED, linewidth=0.7, zorder=1)
    axes.set_ylabel("Spearman of |maps|")
    axes.set_xlabel("layers drawn anew, down to")
    key_above(figure, axes, 4)
    return figure


def _banded(
    axes: Axes, x: NDArray[np.float64], line: pd.DataFrame, method: str, index: int
) -> None:
    style = line_style(index)
    axes.plot(x, line[SaliencyMeasures.value], label=method_words(method), **style)
    axes.fill_between(
        x,
        line[SaliencyMeasures.low].to_numpy(float),
        line[SaliencyMeasures.high].to_numpy(float),
        color=style["color"],
        alpha=0.13,
        linewidth=0,
    )


def value_and_interval(row: pd.Series, form: str = ".2f") -> str:
    """A value with its interval, or with why there is none."""
    if not np.isfinite(row[SaliencyMeasures.low]):
        return f"{signed(row[SaliencyMeasures.value], form)} ({row[SaliencyMeasures.note] or 'no interval'})"
    return (
        f"{signed(row[SaliencyMeasures.value], form)} ({signed(row[SaliencyMeasures.low], form)} to "
        f"{signed(row[SaliencyMeasures.high], form)})"
    )


def method_words(method: object) -> str:
    """A method as words; occlusion is a noise as well, and so the method is called masking."""
    return "masking" if method == "occlusion" else words(str(method))


def about_saliency(measures: pd.DataFrame, method: str, note: str = "") -> str:
    """How much of the map of a method, the one that is drawn, lies on the glyph, clean and noisy, against chance;
    `note` is the explanation's own."""
    own = rows_where(measures, {SaliencyMeasures.measure: "mass", SaliencyMeasures.method: method})
    clean = own[own[SaliencyMeasures.level] == 0].iloc[0]
    chance = _one(measures, "chance", method)[SaliencyMeasures.value]
    text = (
        f"On clean renderings {percent(clean[SaliencyMeasures.value])} of what this map ({method_words(method)}) "
        "shows for a "
        f"character lies on its glyph{_range(clean)}, where chance is {percent(chance)}"
    )
    noisy = own[own[SaliencyMeasures.noise] == POOLED]
    if len(noisy):
        text += (
            f"; under noise {percent(noisy.iloc[0][SaliencyMeasures.value])}{_range(noisy.iloc[0])}"
        )
    return text + "." + (f" The reader {note.replace('occlusion', 'masking')}." if note else "")


def _range(row: pd.Series) -> str:
    return (
        f" ({percent(row[SaliencyMeasures.low])} to {percent(row[SaliencyMeasures.high])})"
        if np.isfinite(row[SaliencyMeasures.low])
        else f" ({row[SaliencyMeasures.note]})"
    )


def _one(measures: pd.DataFrame, measure: str, method: str) -> pd.Series:
    """The row of the clean renderings."""
    clean = rows_where(measures, {SaliencyMeasures.measure: measure, SaliencyMeasures.level: 0})
    return clean[clean[SaliencyMeasures.method] == method].iloc[0]


def about_curves(measures: pd.DataFrame) -> str:
    """Which maps beat random maps, and whether any beats plain ink, on clean renderings."""
    clean = measures[
        (measures[SaliencyMeasures.level] == 0) & ~measures[SaliencyMeasures.method].isin(CONTROLS)
    ]
    methods = list(dict.fromkeys(clean[SaliencyMeasures.method]))
    parts = []
    for control in ("random", "ink"):
        for curve in ("deletion", "insertion"):
            table = clean[clean[SaliencyMeasures.measure] == f"{curve}_over_{control}"]
            better = [
                method_words(row[SaliencyMeasures.method])
                for row in table.to_dict("records")
                if row[SaliencyMeasures.low] > 0
            ]
            best = (
                highest(table[table[SaliencyMeasures.value].notna()], SaliencyMeasures.value)
                if table[SaliencyMeasures.value].notna().any()
                else None
            )
            parts.append(
                f"{_how_many(better, methods)} {'a random map' if control == 'random' else 'plain ink'} by "
                f"{curve}"
                + (
                    f" (best: {method_words(best[SaliencyMeasures.method])}, by {value_and_interval(best)} of area)"
                    if best is not None
                    else ""
                )
            )
    return "On clean renderings " + ", ".join(parts[:-1]) + f" and {parts[-1]}."


def _how_many(better: Sequence[str], methods: Sequence[str]) -> str:
    """Which methods beat a control, their intervals clear of 0."""
    if len(better) == len(methods):
        return "every map beats" if len(methods) > 1 else "the map beats"
    return (
        f"{listed(better)} {'beats' if len(better) == 1 else 'beat'}"
        if better
        else "no map surely beats"
    )


def about_drift(measures: pd.DataFrame, method: str) -> str:
    """Under which noise the map of a method moves most, and least, at the strongest level, beside the ink itself."""
    table = measures[
        (measures[SaliencyMeasures.measure] == "drift")
        & (measures[SaliencyMeasures.noise] != POOLED)
        & (measures[SaliencyMeasures.level] > 0)
    ]
    strongest = table[table[SaliencyMeasures.level] == table[SaliencyMeasures.level].max()]
    own = strongest[strongest[SaliencyMeasures.method] == method]
    ink = strongest[strongest[SaliencyMeasures.method] == "ink"]
    own = own[own[SaliencyMeasures.value].notna()]
    if own.empty:
        return f"No drift of {method_words(method)} could be measured."
    most = lowest(own, SaliencyMeasures.value)
    least = highest(own, SaliencyMeasures.value)
    ink_row = ink[ink[SaliencyMeasures.noise] == most[SaliencyMeasures.noise]]
    text = (
        f"At level {most[SaliencyMeasures.level]:g} the {method_words(method)} map is least like the clean one under "
        f"{words(str(most[SaliencyMeasures.noise]))}, with a rank correlation of {value_and_interval(most)}"
    )
    if len(ink_row):
        text += f" where plain ink keeps {value_and_interval(ink_row.iloc[0])}"
    return (
        text
        + (
            f", and most like it under {words(str(least[SaliencyMeasures.noise]))}, with {value_and_interval(least)}"
            if len(own) > 1
            else ""
        )
        + "."
    )


def about_randomised(randomised: pd.DataFrame) -> str:
    """Whether maps forget the trained reader when all of its weights are drawn anew, and the trap of whole pictures."""
    last = rows_where(
        randomised, {SaliencyRandomised.layers: randomised[SaliencyRandomised.layers].max()}
    )
    own, whole = (last[last[SaliencyRandomised.measure] == name] for name in ("spearman", "whole"))
    most = highest(own, SaliencyMeasures.value)
    return (
        f"With all {int(most[SaliencyRandomised.layers])} layers drawn anew, maps keep a rank correlation of at "
        f"most {value_and_interval(most)} "
        f"with the trained reader's on the glyph ({method_words(most[SaliencyRandomised.method])}); over the whole "
        "picture it "
        f"stays at {value_and_interval(highest(whole, SaliencyMeasures.value))}, because no ink means no map in any "
        "reader."
    )


def about_mean_maps(means: Mapping[str, tuple[Map, Map]], counts: Mapping[str, int]) -> str:
    """Of which character most and least of the mean map lies on the mean glyph."""
    shares = {
        name: float(
            (np.maximum(values, 0) * glyph).sum() / max(float(np.maximum(values, 0).sum()), 1e-12)
        )
        for name, (values, glyph) in means.items()
    }
    if len(shares) < 2:
        return "Too few characters to compare their mean maps."
    best = max(shares, key=lambda name: shares[name])
    worst = min(shares, key=lambda name: shares[name])
    return (
        f"The mean map keeps closest to the mean glyph for {quoted(best)} ({percent(shares[best])} of what speaks "
        f"for it, weighted by the glyph) and least for {quoted(worst)} ({percent(shares[worst])}), from "
        f"{counts[best]} and {counts[worst]} clean characters; a share of means, so without an interval."
    )
