"""Are the texts balanced? How often each character stands at each position, and how many glyphs it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.captcha.glyphs import SIDE
from stages.figures.confusion import heat_map, number_cells
from stages.figures.style import WIDTH, picture_axes, styled
from stages.schemas.captchas import GlyphCounts
from stages.schemas.figures import Counts

MOST_NUMBERED = 40  # characters; with more, the numbers would be too small to read
# of the sheet of mean glyphs; gap and line of lettering in px
GLYPHS_PER_ROW = 13
GAP = 6
LINE = 13


def count_characters(texts: Mapping[str, Iterable[str]], alphabet: str) -> pd.DataFrame:
    """How often a character stands at a position (from 1), by split (Counts)."""
    rows = []
    for split, captchas in texts.items():
        counts = Counter(place for text in captchas for place in enumerate(text, start=1))
        longest = max((position for position, _ in counts), default=0)
        rows += [
            [split, character, position, counts[position, character]]
            for character in alphabet
            for position in range(1, longest + 1)
        ]
    return pd.DataFrame(rows, columns=Counts.names())


@styled
def draw_counts(table: pd.DataFrame) -> Figure:
    """One heat map per split: positions down, characters across; `table` is what count_characters gives."""
    splits = list(dict.fromkeys(table[Counts.split]))
    by_split = [table[table[Counts.split] == split] for split in splits]
    squares = [
        rows.pivot(index=Counts.position, columns=Counts.character, values=Counts.count)
        for rows in by_split
    ]
    characters = list(dict.fromkeys(table[Counts.character]))
    figure = Figure((WIDTH, sum(0.55 + 0.27 * len(square) for square in squares) + 0.2))
    panels = figure.subplots(
        len(splits), 1, squeeze=False, height_ratios=[len(square) for square in squares]
    )[:, 0]
    for panel, split, square in zip(panels, splits, squares, strict=True):
        counts = square[characters].to_numpy(float)
        darkest = 2 * max(
            1.0, float(counts.max())
        )  # so that the largest count is mid-blue, to write on
        heat_map(panel, counts, [str(position) for position in square.index], characters, darkest)
        panel.set_title(split)
        panel.set_ylabel("position")
        if len(characters) <= MOST_NUMBERED:
            number_cells(panel, counts, counts > 0, np.zeros_like(counts, bool))
    return figure


@styled
def draw_mean_glyphs(means: NDArray[np.uint8], labels: list[str], counts: list[int]) -> Figure:
    """The mean glyph of each class, dark on white; means (A, 28, 28), ink 255; `counts` of glyphs stand beneath."""
    columns = min(GLYPHS_PER_ROW, max(10, len(labels)))
    across = SIDE + GAP
    down = SIDE + LINE
    sheet = np.full((-(-len(labels) // columns) * down, columns * across - GAP, 3), 255, np.uint8)
    figure = Figure()
    axes = picture_axes(figure, 0, sheet.shape[1], sheet.shape[0], 0)
    for index, (mean, label, count) in enumerate(zip(means, labels, counts, strict=True)):
        top = index // columns * down
        left = index % columns * across
        sheet[top : top + SIDE, left : left + SIDE] = 255 - mean[..., None]
        axes.text(
            left + SIDE / 2,
            top + SIDE + LINE / 2,
            f"{label}  ({count})",
            ha="center",
            va="center",
            fontsize=7.5,
        )
    axes.imshow(sheet, interpolation="none", extent=(0, sheet.shape[1], sheet.shape[0], 0))
    return figure


def about_counts(counts: pd.DataFrame) -> str:
    sentences = []
    for split, rows in counts.groupby(Counts.split, sort=False):
        rarest = rows[Counts.count].min()
        commonest = rows[Counts.count].max()
        often = f"{rarest:,}" if rarest == commonest else f"between {rarest:,} and {commonest:,}"
        sentences.append(f"{often} times in {split}")
    return f"Each character stands at each position {' and '.join(sentences)}."


def about_glyphs(glyphs: pd.DataFrame) -> str:
    """`glyphs` is GlyphCounts."""
    rarest = glyphs[GlyphCounts.train].min()
    commonest = glyphs[GlyphCounts.train].max()
    number = f"{rarest:,}" if rarest == commonest else f"between {rarest:,} and {commonest:,}"
    return f"Each character has {number} glyphs to train on."
