"""Points of a feature or latent space in a plane, and what the autoencoder draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.numbers import (
    interval_text,
    percent,
    percent_range,
    rows_where,
)
from stages.figures.samples import chosen_levels, draw_sheet, glyph_pictures
from stages.figures.style import (
    INK,
    PALETTE,
    small_multiples,
    styled,
    words,
)
from stages.schemas.explain import GlyphLosses, SpaceMeasures, SpacePlane
from stages.schemas.words import CLEAN

Glyphs = NDArray[np.uint8]  # (n, 28, 28), ink 255 on 0


@styled
def draw_plane(plane: pd.DataFrame, noise: str) -> Figure:
    """One panel per level of the noise, clean first; one dot per point, one colour per class and a letter at its mean.

    `plane` is the table of stages.insight.space_plane.plane_table, of one space.
    """
    rows = plane[plane[SpacePlane.noise].isin([CLEAN, noise])]
    levels = chosen_levels(sorted(set(rows[SpacePlane.level])))
    characters = list(dict.fromkeys(sorted(rows[SpacePlane.character])))
    figure, panels = small_multiples(len(levels), 0.15, 2.6)
    figure.set_dpi(160)  # of the dots, which are pixels
    for panel, level in zip(panels, levels, strict=False):
        panel.set_title("clean" if level == 0 else f"{words(noise)} {level:g}")
        _classes(panel, rows[rows[SpacePlane.level] == level], characters)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.set_aspect("equal")
    return figure


def _classes(axes: Axes, rows: pd.DataFrame, characters: Sequence[str]) -> None:
    for index, character in enumerate(characters):
        part = rows[rows[SpacePlane.character] == character]
        colour = _colour(index, len(characters))
        axes.scatter(
            part[SpacePlane.x],
            part[SpacePlane.y],
            s=7,
            color=[colour],
            linewidths=0,
            alpha=0.6,
            rasterized=True,
        )
    for index, character in enumerate(characters):
        part = rows[rows[SpacePlane.character] == character]
        if len(part):
            box = {
                "boxstyle": "circle,pad=0.18",
                "linewidth": 1.4,
                "alpha": 0.85,
                "facecolor": "white",
                "edgecolor": _colour(index, len(characters)),
            }
            axes.text(
                part[SpacePlane.x].mean(),
                part[SpacePlane.y].mean(),
                character,
                ha="center",
                va="center",
                fontsize=10,
                fontweight="bold",
                color=INK,
                bbox=box,
            )


def _colour(index: int, count: int) -> tuple[float, float, float]:
    """A colour of the palette; hues in even steps where there are more classes than it has."""
    from matplotlib.colors import hsv_to_rgb, to_rgb

    if count <= len(PALETTE):
        return to_rgb(PALETTE[index])
    red, green, blue = hsv_to_rgb((index / count, 0.85, 0.55 + 0.3 * (index % 2)))
    return float(red), float(green), float(blue)


def draw_drawings(names: Sequence[str], rows: Sequence[Glyphs]) -> Figure:
    """Glyphs (n, 28, 28) in named rows: of the test, as the autoencoder reconstructs them, and draws of its prior."""
    captions = [[""] * len(glyphs) for glyphs in rows]
    right = [[True] * len(glyphs) for glyphs in rows]
    return draw_sheet([glyph_pictures(glyphs) for glyphs in rows], names, [], captions, right)


def about_plane(
    table: pd.DataFrame, space: str, noise: str, share: float, confidence: float
) -> str:
    """The plane's share of the variance, and how the purity of the neighbours falls in the whole space."""
    own = rows_where(table, {SpaceMeasures.space: space, SpaceMeasures.measure: "purity"})
    clean = own[own[SpaceMeasures.noise] == CLEAN].iloc[0]
    rows = own[own[SpaceMeasures.noise] == noise]
    last = rows.loc[rows[SpaceMeasures.level].idxmax()]
    return (
        f"The plane holds {percent(share)} of the clean variance; in the whole space {_purity(clean, confidence)} "
        f"of a clean point's nearest clean neighbours are of its class, and {_purity(last, confidence)} under "
        f"{words(noise)} at level {last[SpaceMeasures.level]:g}."
    )


def _purity(row: pd.Series, confidence: float) -> str:
    low = row[SpaceMeasures.low]
    high = row[SpaceMeasures.high]
    share = percent(row[SpaceMeasures.value])
    if not np.isfinite([low, high]).all():
        return f"{share} (no interval: {row[SpaceMeasures.note]})"
    return f"{share} {interval_text(percent_range(low, high), confidence)}"


def about_drawings(losses: pd.DataFrame, active: int, latent: int, confidence: float) -> str:
    """How well clean glyphs are drawn again, and which noise costs most; `losses` is that of losses_table."""
    clean = losses[losses[GlyphLosses.noise] == CLEAN].iloc[0]
    text = (
        f"The autoencoder uses {active} of its {latent} dimensions and draws a clean glyph it has not seen at a "
        f"cost of {_nats(clean, confidence)}"
    )
    noisy = losses[losses[GlyphLosses.noise] != CLEAN]
    if noisy.empty:
        return text + "."
    worst = noisy.loc[noisy[GlyphLosses.reconstruction].idxmax()]
    return (
        f"{text}; {words(worst[GlyphLosses.noise])} at level {worst[GlyphLosses.level]:g} costs most, "
        f"{_nats(worst, confidence)}."
    )


def _nats(row: pd.Series, confidence: float) -> str:
    low = row[GlyphLosses.reconstruction_low]
    high = row[GlyphLosses.reconstruction_high]
    nats = f"{row[GlyphLosses.reconstruction]:.0f} nats"
    if not np.isfinite([low, high]).all():
        return nats
    return f"{nats} {interval_text(f'{low:.0f} to {high:.0f}', confidence)}"
