"""Saliency maps as pictures over what the reader sees: of one captcha under every noise, and means by character."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.numbers import percent, quoted, rows_where
from stages.figures.samples import Picture, draw_sheet
from stages.figures.style import words
from stages.schemas.explain import MeanMaps, SaliencyArrays, SaliencyGrid, SaliencyMeasures
from stages.schemas.words import POOLED

Map = NDArray[np.floating]  # (H, W), above 0 for the character

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


def overlay(image: Picture, values: Map) -> Picture:
    """The picture in pale grey, enlarged, and over it in colour what speaks for the character.

    Colour and opacity grow with the map, whose largest values are drawn in full.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float64)
    positive = np.maximum(values, 0)
    top = np.percentile(positive[positive > 0], TOP) if (positive > 0).any() else 1.0
    share = np.clip(positive / max(float(top), 1e-12), 0, 1)
    colour = np.asarray(colormaps[COLOURS](START + (0.9 - START) * share))[..., :3] * 255
    opacity = np.sqrt(share)[..., None]
    mixed = (255 * PALE + grey[..., None] * (1 - PALE)) * (1 - opacity) + colour * opacity
    return np.repeat(np.repeat(mixed.round().astype(np.uint8), ENLARGED, 0), ENLARGED, 1)


def marked_overlay(image: Picture, values: Map, span: Sequence[int]) -> Picture:
    """The overlay above a strip in which a bar marks the columns of the character, from span[0] to span[1] px."""
    large = overlay(image, values)
    strip = np.full((STRIP_HEIGHT, large.shape[1], 3), 255, np.uint8)
    strip[STRIP_HEIGHT - BAR - 2 : STRIP_HEIGHT - 2, ENLARGED * span[0] : ENLARGED * span[1]] = MARK
    return np.concatenate([large, strip])


def draw_saliency(grid: SaliencyGrid) -> Figure:
    """One captcha under each noise (rows) at rising levels (columns, clean first), with the map of one character.

    Beneath each picture stands the posterior of the character, with a cross where it was not read.
    """
    span = grid.grid_span.tolist()
    maps = grid.grid_maps.astype(np.float32)
    pictures = []
    captions = []
    for images, row, posterior in zip(grid.grid_images, maps, grid.grid_posterior, strict=True):
        pairs = zip(images, row, strict=True)
        pictures.append([marked_overlay(image, values, span) for image, values in pairs])
        captions.append([f"{100 * share:.0f} %" for share in posterior])
    levels = ["clean" if level == 0 else f"level {level:g}" for level in grid.grid_levels]
    noises = [words(noise) for noise in grid.grid_noises]
    return draw_sheet(pictures, noises, levels, captions, grid.grid_read.tolist())


def draw_mean_maps(means: MeanMaps) -> Figure | None:
    """The mean map of each character over its mean glyph, with the number of glyphs; None where there are no maps."""
    count = len(means.mean_characters)
    if not count:
        return None
    pictures = []
    captions = []
    for values, glyph, name, glyphs in zip(
        means.mean_maps, means.mean_glyphs, means.mean_characters, means.mean_counts, strict=True
    ):
        ink = (255 * (1 - glyph / max(float(glyph.max()), 1e-12))).round().astype(np.uint8)
        pictures.append(overlay(np.repeat(ink[..., None], 3, axis=2), values))
        captions.append(f"{name}: {glyphs}")
    starts = range(0, count, ACROSS)
    rows = [captions[start : start + ACROSS] for start in starts]
    return draw_sheet(
        [pictures[start : start + ACROSS] for start in starts],
        [""] * len(rows),
        [],
        rows,
        [[True] * len(row) for row in rows],
    )


def about_mean_maps(means: MeanMaps) -> str:
    """The characters of whose mean map most and least lies on the mean glyph."""
    names = means.mean_characters
    if not len(names):
        return ""
    if len(names) < 2:
        return "Too few characters to compare their mean maps."
    positive = np.maximum(means.mean_maps, 0)
    shares = [
        float((values * glyph).sum() / max(float(values.sum()), 1e-12))
        for values, glyph in zip(positive, means.mean_glyphs, strict=True)
    ]
    best = int(np.argmax(shares))
    worst = int(np.argmin(shares))
    counts = means.mean_counts
    return (
        f"The mean map keeps closest to the mean glyph for {quoted(names[best])} ({percent(shares[best])} of what "
        f"speaks for it, weighted by the glyph) and least for {quoted(names[worst])} ({percent(shares[worst])}), from "
        f"{counts[best]} and {counts[worst]} clean characters; a share of means, so without an interval."
    )


def method_words(method: object) -> str:
    """A method as words; occlusion is a noise as well, and so the method is called masking."""
    return "masking" if method == "occlusion" else words(str(method))


def about_saliency(measures: pd.DataFrame, arrays: SaliencyArrays) -> str:
    """The share of the drawn maps that lies on the glyph, clean and noisy, against chance."""
    method = arrays.grid_method
    own = measures[measures[SaliencyMeasures.method] == method]
    mass = own[own[SaliencyMeasures.measure] == "mass"]
    clean = mass[mass[SaliencyMeasures.level] == 0].iloc[0]
    chance = rows_where(own, {SaliencyMeasures.measure: "chance", SaliencyMeasures.level: 0}).iloc[
        0
    ]
    text = (
        f"On clean renderings {percent(clean[SaliencyMeasures.value])} of what this map ({method_words(method)}) "
        f"shows for a character lies on its glyph{_range(clean)}, where chance is "
        f"{percent(chance[SaliencyMeasures.value])}"
    )
    for _, noisy in mass[mass[SaliencyMeasures.noise] == POOLED].head(1).iterrows():
        text += f"; under noise {percent(noisy[SaliencyMeasures.value])}{_range(noisy)}"
    note = arrays.note.replace("occlusion", "masking")
    return text + "." + (f" The reader {note}." if note else "")


def _range(row: pd.Series) -> str:
    low = row[SaliencyMeasures.low]
    if not np.isfinite(low):
        return f" ({row[SaliencyMeasures.note]})"
    return f" ({percent(low)} to {percent(row[SaliencyMeasures.high])})"
