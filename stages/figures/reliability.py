"""Calibration: accuracy against confidence, and the calibration error by level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from stages.figures.numbers import highest, lowest, percent, share_text
from stages.figures.style import (
    INK,
    WIDTH,
    key_above,
    level_ticks,
    line_style,
    percent_axis,
    styled,
    words,
)
from stages.schemas.figures import Calibration, Reliability
from stages.schemas.predict import PredictionDetails, Predictions


def reliability(
    observations: Mapping[str, pd.DataFrame], curve_of: Callable[..., Any]
) -> pd.DataFrame:
    """Accuracy and mean confidence, by reader and bins of equally many characters that were read; `curve_of` is
    reader.calibration's reliability_curve."""
    parts = []
    for name, rows in observations.items():
        read = rows[rows[Predictions.confidence] > 0]
        if len(read):
            curve = curve_of(read[Predictions.confidence], read[Predictions.success])
            parts.append(
                pd.DataFrame(
                    {
                        Reliability.reader: name,
                        Reliability.confidence: curve.confidence,
                        Reliability.accuracy: curve.accuracy,
                        Reliability.characters: curve.count,
                    }
                )
            )
    return (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=Reliability.names())
    )


def calibration(
    observations: Mapping[str, pd.DataFrame], groups_of: Callable[..., Any]
) -> pd.DataFrame:
    """Calibration of the characters that were read, by reader, noise and level; `groups_of` is reader.calibration's
    calibration_by_group."""
    rows: list[list[object]] = []
    for name, table in observations.items():
        read = table[table[Predictions.confidence] > 0]
        if len(read):
            groups = groups_of(
                read[Predictions.confidence],
                read[Predictions.success],
                read[Predictions.noise].astype(str),
                read[Predictions.level],
            )
            rows += [
                [
                    name,
                    group.noise,
                    group.level,
                    group.n,
                    group.accuracy,
                    group.confidence,
                    group.ece,
                    group.rms,
                    group.brier,
                ]
                for group in groups
            ]
    return pd.DataFrame(rows, columns=Calibration.names())


@styled
def draw_calibration(reliability: pd.DataFrame, groups: pd.DataFrame) -> Figure:
    """Left accuracy against confidence, one line per reader, above the diagonal where it is too modest; right the
    calibration error by level, over noise types.

    reliability: Reliability. groups: Calibration.
    """
    figure = Figure((WIDTH, 3.2))
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    for index, (reader, rows) in enumerate(reliability.groupby(Reliability.reader, sort=False)):
        left.plot(
            rows[Reliability.confidence],
            rows[Reliability.accuracy],
            label=reader,
            **line_style(index),
        )
        own = groups[groups[Calibration.reader] == reader]
        means = by_level(own)
        right.plot(means.index, means, **line_style(index))
    left.set_xlim(-0.02, 1.04)
    left.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    left.set_xlabel("confidence")
    left.set_title("characters read right")
    percent_axis(left)
    right.set_title("calibration error")
    level_ticks(right, sorted(set(groups[Calibration.level])), "level of the noise")
    percent_axis(right)
    key_above(figure, left, 5)
    return figure


def by_level(groups: pd.DataFrame) -> pd.Series:
    """Mean calibration error by level, each noise type weighted by its characters."""
    weighted = groups[Calibration.calibration_error] * groups[Calibration.characters]
    sums = weighted.groupby(groups[Calibration.level]).sum()
    return sums / groups.groupby(Calibration.level)[Calibration.characters].sum()


def about_calibration(
    groups: pd.DataFrame, reader: str, details: PredictionDetails, temperature: float
) -> str:
    """The calibration error and the coverage of the report's reader; details are of predict."""
    own = groups[groups[Calibration.reader] == reader]
    if own.empty:
        return f"`{reader}` read no character, so that it has no confidence to look at."
    worst = highest(own, Calibration.calibration_error)
    best = lowest(own, Calibration.calibration_error)
    sentence = f"`{reader}` read no character; "
    if details.calibration_error is not None:
        sentence = f"Over all conditions the confidences of `{reader}` miss by {percent(details.calibration_error)}, "
    sentence += (
        f"least under {condition(best)} ({percent(best[Calibration.calibration_error])}) and most under "
        f"{condition(worst)} ({percent(worst[Calibration.calibration_error])})"
    )
    covered = share_text(details.coverage_99, details.coverage_99_low, details.coverage_99_high)
    return (
        f"{sentence}, at a temperature of {temperature:.2f} fitted to the validation captchas. Answering only "
        f"where it is surest, it could answer {covered} of the captchas and be right 99 % of the time, by a "
        "threshold known with hindsight alone."
    )


def condition(row: pd.Series) -> str:
    level = row[Calibration.level]
    return "no noise" if level == 0 else f"{words(row[Calibration.noise])} at level {level:g}"
