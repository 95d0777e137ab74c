"""What the captchas look like: one captcha under every noise and level, and some of each colour."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.style import MUTED, picture_axes, styled

Picture = NDArray[np.uint8]  # (H, W, 3), 0 black to 255 white

MOST_COLUMNS = 6
MOST_PIXELS = 700_000  # of a sheet: about half a megabyte of noise in an SVG
# px between the frames of pictures, and of a frame; its shade
GAP = 3
FRAME = 1
GREY = 222
LETTERS = 84  # about as many fit into the width of a sheet
WRONG = "#b42318"


def chosen_levels(levels: Sequence[float]) -> list[float]:
    """At most six levels, the first and the last among them."""
    count = min(MOST_COLUMNS, len(levels))
    picks = np.unique(np.linspace(0, len(levels) - 1, count).round().astype(int))
    return [levels[pick] for pick in picks]


def glyph_pictures(glyphs: NDArray[np.uint8]) -> list[Picture]:
    """Glyphs (n, H, W), ink 255 on 0, as pictures: dark on white."""
    return list(np.repeat(255 - glyphs[..., None], 3, axis=3))


@styled
def draw_sheet(
    pictures: Sequence[Sequence[Picture]],
    rows: Sequence[str],
    columns: Sequence[str],
    captions: Sequence[Sequence[str]],
    right: Sequence[Sequence[bool]],
) -> Figure:
    """Pictures (H, W, 3) of one size, in rows and columns, each with a caption beneath.

    rows and columns name theirs (no columns: no header); a caption that is not `right` gets a cross and another colour.
    """
    tiles = _fitted(pictures)
    height, width = tiles[0][0].shape[:2]
    across = width + 2 * FRAME + GAP
    scale = across * max(map(len, tiles)) / LETTERS  # px, of a letter of a caption
    down = height + 2 * FRAME + round(2.9 * scale)
    margin = round(1.15 * scale * max(map(len, rows))) + GAP
    figure = Figure()
    axes = picture_axes(
        figure,
        -margin,
        across * max(map(len, tiles)) - GAP,
        down * len(tiles),
        -round(2.4 * scale) if columns else 0,
    )
    sheet = _compose(tiles, across, down)
    axes.imshow(sheet, interpolation="none", extent=(0, sheet.shape[1], sheet.shape[0], 0))
    for column, name in enumerate(columns):
        axes.text(column * across + width / 2, -1.1 * scale, name, ha="center", va="center")
    for row, name in enumerate(rows):
        axes.text(
            -GAP - 0.5 * scale,
            row * down + height / 2,
            name,
            ha="right",
            va="center",
            fontweight="bold",
        )
        for column, (caption, good) in enumerate(zip(captions[row], right[row], strict=True)):
            axes.text(
                column * across + width / 2,
                row * down + height + 1.2 * scale,
                caption + ("" if good else " ✗"),
                ha="center",
                va="center",
                fontsize=8,
                color=MUTED if good else WRONG,
            )
    return figure


def _compose(tiles: Sequence[Sequence[Picture]], across: int, down: int) -> Picture:
    """All tiles on one white sheet, `across` and `down` px from one to the next."""
    sheet = np.full((down * len(tiles), across * max(map(len, tiles)) - GAP, 3), 255, np.uint8)
    for row, line in enumerate(tiles):
        for column, tile in enumerate(line):
            (height, width) = tile.shape[:2]
            top = row * down
            left = column * across
            sheet[top : top + height + 2 * FRAME, left : left + width + 2 * FRAME] = GREY
            sheet[top + FRAME : top + FRAME + height, left + FRAME : left + FRAME + width] = tile
    return sheet


def _fitted(pictures: Sequence[Sequence[Picture]]) -> list[list[Picture]]:
    """The pictures, all smaller where they would be too many pixels for a sheet."""
    height, width = pictures[0][0].shape[:2]
    scale = (MOST_PIXELS / (sum(map(len, pictures)) * height * width)) ** 0.5
    if scale >= 1:
        return [list(row) for row in pictures]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return [_resized(row, size) for row in pictures]


def _resized(row: Sequence[Picture], size: tuple[int, int]) -> list[Picture]:
    return [
        np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        for picture in row
    ]
