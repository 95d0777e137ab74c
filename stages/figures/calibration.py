"""Can a confidence be believed? Accuracy beside confidence, and where the two part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from stages.figures.numbers import highest, lowest, percent, share_told
from stages.figures.style import INK, WIDTH, level_ticks, line_look, percent_axis, styled, words


def reliability(observations: Mapping[str, pd.DataFrame], curve_of: Callable[..., Any]) -> pd.DataFrame:
    """Accuracy beside mean confidence, by reader and bins of equally many characters that were read; `curve_of` is
    reader.calibration's reliability_curve."""
    parts = []
    for name, rows in observations.items():
        read = rows[rows["confidence"] > 0]
        if len(read):
            curve = curve_of(read["confidence"], read["success"])
            parts.append(pd.DataFrame({"reader": name, "confidence": curve.confidence, "accuracy": curve.accuracy,
                                       "characters": curve.count}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(
        columns=["reader", "confidence", "accuracy", "characters"])


def calibration(observations: Mapping[str, pd.DataFrame], groups_of: Callable[..., Any]) -> pd.DataFrame:
    """Calibration of the characters that were read, by reader, noise and level; `groups_of` is reader.calibration's
    calibration_by_group."""
    rows = [{"reader": name, "noise": group.noise, "level": group.level, "characters": group.n,
             "accuracy": group.accuracy, "confidence": group.confidence, "calibration_error": group.ece,
             "debiased": group.rms, "brier_score": group.brier}
            for name, table in observations.items() for read in [table[table["confidence"] > 0]] if len(read)
            for group in groups_of(read["confidence"], read["success"], read["noise"].astype(str), read["level"])]
    return pd.DataFrame(rows, columns=["reader", "noise", "level", "characters", "accuracy", "confidence",
                                       "calibration_error", "debiased", "brier_score"])


@styled
def draw_calibration(reliability: pd.DataFrame, groups: pd.DataFrame) -> Figure:
    """Left accuracy against confidence, one line a reader, above the diagonal where it is too modest; right the
    calibration error by level, over noise types.

    reliability: reader, confidence, accuracy. groups: reader, noise, level, characters, calibration_error.
    """
    figure = Figure((WIDTH, 3.2))
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    for index, (reader, rows) in enumerate(reliability.groupby("reader", sort=False)):
        left.plot(rows["confidence"], rows["accuracy"], label=reader, **line_look(index))
        own = groups[groups["reader"] == reader]
        means = by_level(own)
        right.plot(means.index, means, **line_look(index))
    left.set_xlim(-0.02, 1.04)
    left.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    left.set_xlabel("confidence")
    left.set_title("characters read right")
    percent_axis(left)
    right.set_title("calibration error")
    level_ticks(right, sorted(set(groups["level"])), "level of the noise")
    percent_axis(right)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=5)
    return figure


def by_level(groups: pd.DataFrame) -> pd.Series:
    """Mean calibration error by level, each noise type weighted by its characters."""
    weighted = groups["calibration_error"] * groups["characters"]
    sums = weighted.groupby(groups["level"]).sum()
    return sums / groups.groupby("level")["characters"].sum()


def about_calibration(groups: pd.DataFrame, reader: str, metrics: Mapping[str, float], temperature: float) -> str:
    """What the reader of the headline is worth believing; metrics are of predict."""
    own = groups[groups["reader"] == reader]
    if own.empty:
        return f"`{reader}` read no character, so that it has no confidence to look at."
    worst, best = highest(own, "calibration_error"), lowest(own, "calibration_error")
    sentence = (f"Over all conditions the confidences of `{reader}` miss by {percent(metrics['calibration_error'])}, "
                if "calibration_error" in metrics else f"`{reader}` read no character; ")
    sentence += (f"least under {condition(best)} ({percent(best['calibration_error'])}) and most under "
                 f"{condition(worst)} ({percent(worst['calibration_error'])})")
    covered = share_told(*(metrics[f"coverage_99{end}"] for end in ("", "_low", "_high")))
    return (f"{sentence}, at a temperature of {temperature:.2f} fitted to the validation captchas. Answering only "
            f"where it is surest, it could answer {covered} of the captchas and be right 99 % of the time, by a "
            "threshold known with hindsight alone.")


def condition(row: pd.Series) -> str:
    return "no noise" if row["level"] == 0 else f"{words(row['noise'])} at level {row['level']:g}"
