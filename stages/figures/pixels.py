"""What noise does to the pixels: luma, and how far a rendering is from its clean twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.captcha.measures import lumas
from stages.figures.numbers import highest, lowest
from stages.figures.style import WIDTH, level_ticks, noise_look, styled, words

Floats = NDArray[np.float64]

BLOCK = 256  # images whose luma is in memory at once
MEASURES = {"luma_mean": "mean luma", "luma_sd": "spread of luma (sd)", "rmse": "change of luma (RMSE)",
            "ssim": "similarity to clean (SSIM)"}  # fmt: skip


def luma_statistics(images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of luma within each image, (n,) each, full scale = 1; images (n, H, W, 3)."""
    means, spreads = [np.zeros(0)], [np.zeros(0)]
    for start in range(0, len(images), BLOCK):
        block = lumas(images[start:start + BLOCK])
        flat = block.reshape(len(block), -1)
        means.append(flat.mean(axis=1, dtype=np.float64))
        spreads.append(flat.std(axis=1, dtype=np.float64))
    return np.concatenate(means), np.concatenate(spreads)


def pixels_by_level(images: pd.DataFrame, renderings: pd.DataFrame, noises: Sequence[str]) -> pd.DataFrame:
    """Means by noise type and level, level 0 (clean) under each type.

    `images` has noise, level, luma_mean, luma_sd of some renderings; `renderings` has noise, level, rmse, ssim of all.
    Columns noise, level, luma_mean, luma_sd, rmse, ssim.
    """
    parts = []
    for noise in noises:
        luma, change = (table[(table["level"] == 0) | (table["noise"] == noise)].groupby("level")
                        for table in (images, renderings))
        joined = luma[["luma_mean", "luma_sd"]].mean().join(change[["rmse", "ssim"]].mean(), how="inner")
        parts.append(joined.reset_index().assign(noise=noise))
    return pd.concat(parts, ignore_index=True)[["noise", "level", *MEASURES]]


@styled
def draw_pixels(table: pd.DataFrame) -> Figure:
    """One panel a measure, one line a noise type; `table` is what pixels_by_level gives."""
    noises = list(dict.fromkeys(table["noise"]))  # in the order of params.yaml
    figure = Figure((WIDTH, 4.6 + 0.17 * (len(noises) // 4)))
    panels = figure.subplots(2, 2, sharex=True).ravel()
    for panel, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for noise in noises:
            line = table[table["noise"] == noise]
            panel.plot(line["level"], line[measure], label=words(noise), **noise_look(noise, noises))
        panel.set_title(title)
        panel.set_ylim(0, 1.06 * float(table[measure].max()))
        panel.tick_params(labelbottom=True)
        level_ticks(panel, sorted(set(table["level"])))
    figure.supxlabel("level of the noise", fontsize=8.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def about_pixels(pixels: pd.DataFrame) -> str:
    strongest = pixels[pixels["level"] == pixels["level"].max()]
    low, high = lowest(strongest, "rmse"), highest(strongest, "rmse")
    return (f"At level {low['level']:g} the luma changes by {low['rmse']:.2f} ({words(low['noise'])}) to "
            f"{high['rmse']:.2f} ({words(high['noise'])}) of full scale, root mean square.")
