"""What noise does to the pixels: luma, and how far a rendering is from its clean twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.captcha.measures import lumas
from stages.figures.numbers import highest, lowest
from stages.figures.style import WIDTH, key_above, level_ticks, style_of_noise, styled, words
from stages.schemas.figures import PixelChanges

Floats = NDArray[np.float64]

IMAGES_IN_MEMORY = 256  # images whose luma is in memory at once
LUMA = [PixelChanges.luma_mean, PixelChanges.luma_sd]
CHANGE = [PixelChanges.rmse, PixelChanges.ssim]
MEASURES = {PixelChanges.luma_mean: "mean luma", PixelChanges.luma_sd: "spread of luma (sd)",
            PixelChanges.rmse: "change of luma (RMSE)", PixelChanges.ssim: "similarity to clean (SSIM)"}  # fmt: skip


def luma_statistics(images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of luma within each image, (n,) each, full scale = 1; images (n, H, W, 3)."""
    means = [np.zeros(0)]
    spreads = [np.zeros(0)]
    for start in range(0, len(images), IMAGES_IN_MEMORY):
        block = lumas(images[start : start + IMAGES_IN_MEMORY])
        flat = block.reshape(len(block), -1)
        means.append(flat.mean(axis=1, dtype=np.float64))
        spreads.append(flat.std(axis=1, dtype=np.float64))
    return np.concatenate(means), np.concatenate(spreads)


def pixels_by_level(
    images: pd.DataFrame, renderings: pd.DataFrame, noises: Sequence[str]
) -> pd.DataFrame:
    """Means by noise type and level, level 0 (clean) under each type.

    `images` has noise, level, luma_mean, luma_sd of some renderings; `renderings` has noise, level, rmse, ssim of all.
    As PixelChanges has it.
    """
    parts = []
    for noise in noises:
        luma = _by_level(images, noise)[LUMA].mean()
        joined = luma.join(_by_level(renderings, noise)[CHANGE].mean(), how="inner")
        parts.append(joined.reset_index().assign(**{PixelChanges.noise: noise}))
    return pd.concat(parts, ignore_index=True)[PixelChanges.names()]


def _by_level(table: pd.DataFrame, noise: str) -> pd.api.typing.DataFrameGroupBy:
    """The rows of a noise type and the clean ones, by level."""
    return table[(table[PixelChanges.level] == 0) | (table[PixelChanges.noise] == noise)].groupby(
        PixelChanges.level
    )


@styled
def draw_pixels(table: pd.DataFrame) -> Figure:
    """One panel per measure, one line per noise type; `table` is PixelChanges."""
    noises = list(dict.fromkeys(table[PixelChanges.noise]))  # in the order of params.yaml
    figure = Figure((WIDTH, 4.6 + 0.17 * (len(noises) // 4)))
    panels = figure.subplots(2, 2, sharex=True).ravel()
    for panel, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for noise in noises:
            line = table[table[PixelChanges.noise] == noise]
            panel.plot(
                line[PixelChanges.level],
                line[measure],
                label=words(noise),
                **style_of_noise(noise, noises),
            )
        panel.set_title(title)
        panel.set_ylim(0, 1.06 * float(table[measure].max()))
        panel.tick_params(labelbottom=True)
        level_ticks(panel, sorted(set(table[PixelChanges.level])))
    figure.supxlabel("level of the noise", fontsize=8.5)
    key_above(figure, panels[0], 4)
    return figure


def about_pixels(pixels: pd.DataFrame) -> str:
    strongest = pixels[pixels[PixelChanges.level] == pixels[PixelChanges.level].max()]
    low = lowest(strongest, PixelChanges.rmse)
    high = highest(strongest, PixelChanges.rmse)
    ends = [
        f"{row[PixelChanges.rmse]:.2f} ({words(row[PixelChanges.noise])})" for row in (low, high)
    ]
    return (
        f"At level {low[PixelChanges.level]:g} the luma changes by {ends[0]} to {ends[1]} of full scale, root mean "
        "square."
    )
