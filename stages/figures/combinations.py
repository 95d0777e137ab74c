"""Which neighbours and which whole texts are read best and worst, shrunk; tables of stages.insight.combinations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stages.figures.numbers import interval_text, lowest, percent, percent_range, quoted, range_text, signed
from stages.figures.style import INK, MUTED, PALETTE, WIDTH, styled

ROW = 0.19  # inches, of a text
DIVERGING = "RdBu"
SIDES = {"left": "left neighbour", "right": "right neighbour"}


@styled
def draw_pairs(pairs: pd.DataFrame, alphabet: str) -> Figure:
    """One heat map a side: the shrunk effect of each neighbour (column) on each character (row), in points.

    `pairs` is what neighbour_pairs gives of both sides; a dot marks an interval that leaves out 0, a blank cell a pair
    that never came, or tells nothing.
    """
    figure = Figure((WIDTH, float(np.clip(0.115 * len(alphabet) + 2.6, 3.0, 6.5))))
    panels = figure.subplots(1, 2, squeeze=False)[0]
    told = pairs["effect"].abs()
    top = 100 * max(float(told.max()) if told.notna().any() else 0.0, 1e-4)
    size = float(np.clip(3.0 * 72 / (1.35 * len(alphabet)), 2.5, 8))
    for panel, (side, name) in zip(panels, SIDES.items(), strict=True):
        own = pairs[pairs["side"] == side]
        values = np.full((len(alphabet), len(alphabet)), np.nan)
        for row in own.itertuples():
            at = alphabet.index(str(row.character)), alphabet.index(str(row.neighbour))
            values[at] = 100 * float(row.effect)
            if row.low > 0 or row.high < 0:
                panel.plot(at[1], at[0], "o", color=INK, markersize=min(3.0, size / 2))
        picture = panel.imshow(values, cmap=DIVERGING, vmin=-top, vmax=top, aspect="auto", interpolation="none")
        panel.set_xticks(range(len(alphabet)), list(alphabet), fontsize=size)
        panel.set_yticks(range(len(alphabet)), list(alphabet), fontsize=size)
        panel.grid(False)
        panel.set_xlabel(name)
        panel.set_facecolor("#f4f5f7")
    panels[0].set_ylabel("character")
    bar = figure.colorbar(picture, ax=list(panels), location="right", shrink=0.7, aspect=24, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("percentage points, shrunk", fontsize=8, color=MUTED)
    return figure


def about_pairs(pairs: pd.DataFrame, spreads: pd.DataFrame, confidence: float) -> str:
    """How much neighbours matter, and the worst pair; `spreads` is what spreads_table gives."""
    said = []
    for side in SIDES:
        row = spreads[spreads["what"] == side].iloc[0]
        if not np.isfinite(row["tau"]):
            return f"Nothing is known of neighbours: {row['note']}."
        said.append(f"the {side} one by {_points(row['tau'])} "
                    + interval_text(f"{100 * row['low']:.1f} to {100 * row['high']:.1f}; "
                                    f"{_whether(row['p'], confidence)}", confidence))
    clear = pairs[(pairs["low"] > 0) | (pairs["high"] < 0)]
    worst = lowest(pairs[pairs["effect"].notna()], "effect")
    few = f"{len(clear)} of {len(pairs)} pairs {'has' if len(clear) == 1 else 'have'} an interval that leaves out 0"
    return (f"Beyond the character and the condition, neighbours change how well it is read, {said[0]}, {said[1]}, in "
            f"standard deviations of their true effects; {few}, and the worst is {quoted(worst['pair'])}, where "
            f"{quoted(worst['character'])} loses {_points(-worst['effect'])} beside {quoted(worst['neighbour'])} "
            f"(raw {signed(100 * worst['raw'])}, interval {signed(100 * worst['low'])} to "
            f"{signed(100 * worst['high'])}).")


def _points(share: float) -> str:
    return f"{signed(100 * share)} points"


def _whether(p: float, confidence: float) -> str:
    if not np.isfinite(p):
        return "no test"
    told = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
    return f"{told}, {'more than chance makes' if p < 1 - confidence else 'which chance may make'}"


def about_repeated(repeated: pd.DataFrame, confidence: float) -> str:
    """What a repeated character costs, adjacent and apart; `repeated` is what repeated_characters gives."""
    said = []
    for kind, where in (("adjacent", "beside itself"), ("apart", "elsewhere in the text")):
        row = repeated[repeated["kind"] == kind].iloc[0]
        if np.isfinite(row["effect_low"]):
            ends = range_text(100 * row["effect_low"], 100 * row["effect_high"])
            test = f"Holm's {_whether(row['p_holm'], confidence)}"
            said.append(f"{where} {signed(100 * row['effect'])} points {interval_text(f'{ends}, {test}', confidence)}")
    if not said:
        return "Too few captchas repeat a character to say what that does."
    return f"A character that comes again, beside one that comes once, changes accuracy {' and '.join(said)}."


@styled
def draw_texts(texts: pd.DataFrame) -> Figure:
    """The best and the worst texts: shrunk share read whole with interval, raw share hollow, the expected a bar."""
    y = np.arange(len(texts)) + (texts["end"] == "worst").to_numpy() * 0.8
    figure = Figure((WIDTH, 1.0 + ROW * (len(texts) + 1)))
    axes = figure.subplots()
    colours = np.where(texts["end"] == "best", PALETTE[0], PALETTE[1])
    axes.hlines(y, texts["low"], texts["high"], color=colours, linewidth=1.3)
    axes.scatter(texts["shrunk"], y, color=colours, s=22, zorder=3)
    axes.scatter(texts["read"], y, facecolor="white", edgecolor=MUTED, s=18, zorder=2, linewidth=0.9)
    axes.scatter(texts["expected"], y, color=MUTED, marker="|", s=36, zorder=2)
    axes.set_yticks(y, [f"{text}  ({count})" for text, count in texts[["text", "captchas"]].itertuples(index=False)])
    axes.set_ylim(y[-1] + 0.6, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("renderings read whole; in brackets, captchas of that text")
    axes.grid(False, axis="y")
    blank: dict[str, Any] = {"linestyle": "none", "color": MUTED}
    handles = [Line2D([], [], marker="o", color=PALETTE[0], label="best, shrunk, with interval"),
               Line2D([], [], marker="o", color=PALETTE[1], label="worst"),
               Line2D([], [], marker="o", markerfacecolor="white", label="as read", **blank),
               Line2D([], [], marker="|", label="expected of its characters", **blank)]
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


def about_texts(texts: pd.DataFrame, spread: pd.Series, confidence: float) -> str:
    """The best and the worst text and how much texts differ; `spread` is the row "text" of spreads_table."""
    if not np.isfinite(texts["shrunk"]).any():
        return f"Whole texts cannot be compared: {texts['note'].iloc[0]}."
    best, worst = texts.iloc[0], texts.iloc[-1]
    ends = [f"{quoted(row['text'])}, of whose {row['renderings']} renderings {percent(row['read'])} were read whole, "
            f"is expected to be in {percent(row['shrunk'])} "
            f"{interval_text(percent_range(row['low'], row['high']), confidence)}" for row in (best, worst)]
    said = (f"The best text, {ends[0]}; the worst, {ends[1]}. True rates differ by {_points(spread['tau'])} (standard "
            f"deviation, interval {100 * spread['low']:.1f} to {100 * spread['high']:.1f}; "
            f"{_whether(spread['p'], confidence)})")
    return f"{said}: {spread['note']}." if spread["note"] else f"{said}."
