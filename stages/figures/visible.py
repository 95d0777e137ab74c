"""Exact match against what noise does to the pixels: is the rank of the noises that of their scales?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.figures.numbers import listed
from stages.figures.style import INK, WIDTH, label_ends, percent_axis, style_of_noise, styled, words
from stages.schemas.regress import DoseResponses
from stages.statistics.thresholds import level_at

DOSES = {
    DoseResponses.level: "level",
    DoseResponses.rmse: "RMSE, full scale = 1",
    DoseResponses.ssim_loss: "1 − SSIM",
}
MEASURED = (DoseResponses.rmse, DoseResponses.ssim_loss)
HALF = 0.5


@styled
def draw_visible(responses: pd.DataFrame, noises: Sequence[str]) -> Figure:
    """One panel per measured dose, one line per noise type: exact match of one reader against the mean dose of a level.

    `responses` is plots/regress/dose_response.csv of one reader. Lines are named at their ends in the last panel.
    """
    figure = Figure((WIDTH, 3.3))
    panels = figure.subplots(1, len(MEASURED), sharey=True)
    for panel, dose in zip(panels, MEASURED, strict=True):
        last = float(responses[dose].max())
        for noise in noises:
            line = responses[responses[DoseResponses.noise] == noise].sort_values(
                DoseResponses.level
            )
            panel.plot(line[dose], line[DoseResponses.exact], **style_of_noise(noise, noises))
        panel.axhline(HALF, color=INK, linewidth=0.7, linestyle=(0, (2, 3)), zorder=1)
        panel.set_xlabel(DOSES[dose])
        panel.set_xlim(-0.02 * last, 1.02 * last)
    percent_axis(panels[0], "captchas read whole")
    panels[0].set_title("change of luma")
    panels[1].set_title("loss of structural similarity")
    ordered = responses.sort_values(DoseResponses.level)
    ends = [ordered[ordered[DoseResponses.noise] == noise].iloc[-1] for noise in noises]
    label_ends(
        panels[-1],
        [float(end[DoseResponses.ssim_loss]) for end in ends],
        [float(end[DoseResponses.exact]) for end in ends],
        [words(noise) for noise in noises],
        0.075,
    )
    return figure


def half_dose(line: pd.DataFrame, dose: str) -> float:
    """The dose at which exact match falls to one half, as thresholds are placed; infinite where it never does.

    `line` is the rows of one noise type, with level 0.
    """
    rows = line.sort_values(dose).drop_duplicates(dose)
    return float(
        level_at(rows[DoseResponses.exact].to_numpy(float)[None], rows[dose].to_numpy(float), HALF)[
            0
        ]
    )


def order_by(responses: pd.DataFrame, noises: Sequence[str], dose: str) -> list[str]:
    """The noises that bring exact match below one half, by the dose that it takes, the least first."""
    doses = {
        noise: half_dose(responses[responses[DoseResponses.noise] == noise], dose)
        for noise in noises
    }
    return sorted(
        (noise for noise in noises if np.isfinite(doses[noise])), key=lambda noise: doses[noise]
    )


def about_visible(responses: pd.DataFrame, noises: Sequence[str]) -> str:
    """Whether the rank of the noises changes when equal measured change is compared."""
    orders = {dose: order_by(responses, noises, dose) for dose in DOSES}
    if len(orders[DoseResponses.level]) < 2:
        return (
            "Fewer than two noises bring the reader below one half, so there is no rank to compare."
        )
    text = f"**The worst first.** By level: {listed([words(noise) for noise in orders[DoseResponses.level]])}."
    for dose, name in (
        (DoseResponses.rmse, "equal RMSE"),
        (DoseResponses.ssim_loss, "equal 1 − SSIM"),
    ):
        if orders[dose] == orders[DoseResponses.level]:
            text += f" At {name} it is the same."
        else:
            text += f" At {name}: {listed([words(noise) for noise in orders[dose]])}."
    return text + (
        " So which noise is worst depends on how its strength is measured."
        if any(orders[dose] != orders[DoseResponses.level] for dose in MEASURED)
        else ""
    )


def in_short(responses: pd.DataFrame, noises: Sequence[str]) -> str:
    """What would change the answer: the first and the last noise by measured change; nothing where there is no rank."""
    orders = {dose: order_by(responses, noises, dose) for dose in DOSES}
    if len(orders[DoseResponses.level]) < 2:
        return ""
    ends = {
        dose: f"{words(order[0])} is the worst and {words(order[-1])} the mildest"
        for dose, order in orders.items()
    }
    if ends[DoseResponses.rmse] == ends[DoseResponses.ssim_loss] == ends[DoseResponses.level]:
        return "By measured change (RMSE or SSIM) instead of level the first and the last stay"
    if ends[DoseResponses.rmse] == ends[DoseResponses.ssim_loss]:
        return f"By measured change (RMSE or SSIM) instead of level {ends[DoseResponses.rmse]}"
    return f"By RMSE instead of level {ends[DoseResponses.rmse]}; by SSIM {ends[DoseResponses.ssim_loss]}"
