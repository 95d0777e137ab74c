"""Which pairs and texts are read best and worst, and whether neighbours and repetitions matter.

Tables of stages.insight.combinations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stages.figures.numbers import (
    interval_text,
    listed,
    p_value,
    percent,
    percent_range,
    quoted,
    range_text,
    signed,
)
from stages.figures.style import MUTED, PALETTE, WIDTH, styled
from stages.schemas.explain import CombinationEffects, Combinations, CombinationTests

ROW = 0.19  # inches, of a combination
TERMS = {"left": "the left neighbour", "right": "the right neighbour", "repeated": "a repetition"}
REPEATED = {
    "adjacent": "where it is next to itself",
    "apart": "where it is repeated elsewhere in the text",
}


def about_surroundings(tests: pd.DataFrame, effects: pd.DataFrame, confidence: float) -> str:
    """Whether neighbours and repetitions change how well a character is read, beyond the character itself."""
    known = tests[tests[CombinationTests.p].notna()]
    if known.empty:
        return f"Nothing is known of neighbours and repetitions: {tests[CombinationTests.note].iloc[0]}."
    parts = []
    for row in known.to_dict("records"):
        form = f"F({row[CombinationTests.df1]}, {row[CombinationTests.df2]}) = {row[CombinationTests.F]:.2f}"
        parts.append(
            f"{TERMS[row[CombinationTests.term]]} ({form}, Holm's {p_value(row[CombinationTests.p_holm])})"
        )
    clear = [
        TERMS[row[CombinationTests.term]]
        for row in known.to_dict("records")
        if row[CombinationTests.p_holm] < 1 - confidence
    ]
    verdict = f"{listed(clear)} matters" if clear else "none has a clear effect"
    not_tested = [
        TERMS[row[CombinationTests.term]]
        for row in tests.to_dict("records")
        if row[CombinationTests.term] not in set(known[CombinationTests.term])
    ]
    missing = f" Nothing is known of {listed(not_tested)}." if not_tested else ""
    return (
        f"Given the character and its position, joint tests with clustered errors, of {listed(parts)}: "
        f"{verdict}.{missing}{_repeated(effects, confidence)}"
    )


def _repeated(effects: pd.DataFrame, confidence: float) -> str:
    own = effects[
        (effects[CombinationEffects.term] == "repeated") & effects[CombinationEffects.low].notna()
    ]
    parts = []
    for row in own.to_dict("records"):
        ends = range_text(100 * row[CombinationEffects.low], 100 * row[CombinationEffects.high])
        parts.append(
            f"by {signed(100 * row[CombinationEffects.effect])} points {interval_text(ends, confidence)} "
            f"{REPEATED[row[CombinationEffects.category]]}"
        )
    return (
        f" Compared with a character that occurs once, accuracy changes {listed(parts)}."
        if parts
        else ""
    )


@styled
def draw_combinations(table: pd.DataFrame, kind: str) -> Figure | None:
    """The best and the worst combinations of a kind: share read right with interval, the expected a bar."""
    own = table[table[Combinations.kind] == kind]
    if own.empty:
        return None
    best = (own[Combinations.end] == "best").to_numpy()
    y = np.arange(len(own)) + ~best * 0.8
    figure = Figure((WIDTH, 1.0 + ROW * (len(own) + 1)))
    axes = figure.subplots()
    colours = np.where(best, PALETTE[0], PALETTE[1])
    axes.hlines(y, own[Combinations.low], own[Combinations.high], color=colours, linewidth=1.3)
    axes.scatter(own[Combinations.accuracy], y, color=colours, s=22, zorder=3)
    axes.scatter(own[Combinations.expected], y, color=MUTED, marker="|", s=36, zorder=2)
    names = own[[Combinations.combination, Combinations.captchas]].itertuples(index=False)
    axes.set_yticks(y, [f"{name}  ({count})" for name, count in names])
    axes.set_ylim(y[-1] + 0.6, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel(f"read right; in brackets, captchas with that {kind}")
    axes.grid(False, axis="y")
    blank: dict[str, Any] = {"linestyle": "none", "color": MUTED}
    handles = [
        Line2D([], [], marker="o", color=PALETTE[0], label="best, with interval"),
        Line2D([], [], marker="o", color=PALETTE[1], label="worst"),
        Line2D([], [], marker="|", label="expected from its characters", **blank),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure


def about_combinations(table: pd.DataFrame, kind: str, confidence: float) -> str:
    """The best and the worst combination of a kind, and how far to trust that."""
    own = table[table[Combinations.kind] == kind]
    if own.empty:
        return f"There are no {kind}s: the texts have one character each."
    if len(own) == 1:
        return f"There is one {kind}: nothing to compare."
    best = own.iloc[0]
    worst = own.iloc[-1]
    count = int(best[Combinations.of])
    number = f"{count} {kind}s"
    drawing = (
        " The interval of a text that was drawn once does not hold for another drawing of it."
        if best[Combinations.note]
        else ""
    )
    return (
        f"The best of {number} is {_one(best, confidence)}. The worst is {_one(worst, confidence)}. Extremes of "
        f"many are partly chance, and no interval is adjusted for their selection.{drawing}"
    )


def _one(row: pd.Series, confidence: float) -> str:
    low = row[Combinations.low]
    high = row[Combinations.high]
    interval = f" {interval_text(percent_range(low, high), confidence)}" if np.isfinite(low) else ""
    return (
        f"{quoted(row[Combinations.combination])}: {percent(row[Combinations.accuracy])} read right{interval}, "
        f"{percent(row[Combinations.expected])} expected from its characters"
    )
