"""Whether noise merges the classes of a space or widens them: distance, spread and neighbours against the level.

The tables are SpaceMeasures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.figures.numbers import (
    interval_text,
    listed,
    percent,
    range_text,
    rows_where,
    signed,
)
from stages.figures.style import (
    MUTED,
    WIDTH,
    key_above,
    level_ticks,
    neutral_style,
    shared_labels,
    small_multiples,
    styled,
    words,
)
from stages.schemas.explain import SpaceMeasures
from stages.schemas.words import CLEAN, COLLAPSED, MERGED

ENDS = [SpaceMeasures.value, SpaceMeasures.low, SpaceMeasures.high]
SHOWN = {
    "distance": "distance between class means",
    "spread": "spread within a class",
    "purity": "neighbours of the same class",
}
BECAUSE = {
    "distance": "because class means draw together",
    "spread": "because classes spread out",
    "both": "for both reasons, neither clearly more",
    "none": "",
}


@styled
def draw_separation(table: pd.DataFrame, space: str) -> Figure:
    """One panel per noise type: distance between class means and spread within a class, as multiples of the clean ones,
    and the purity of the clean neighbours, against the level, with the intervals as bands."""
    rows = relative(table[table[SpaceMeasures.space] == space])
    noises = list(dict.fromkeys(rows[SpaceMeasures.noise]))
    figure, panels = small_multiples(len(noises), 0.55, 1.8)
    for panel, noise in zip(panels, noises, strict=False):
        panel.set_title(words(noise))
        for index, (measure, name) in enumerate(SHOWN.items()):
            part = rows_where(
                rows, {SpaceMeasures.noise: noise, SpaceMeasures.measure: measure}
            ).sort_values(SpaceMeasures.level)
            style = neutral_style(index)
            panel.fill_between(
                part[SpaceMeasures.level],
                part[SpaceMeasures.low],
                part[SpaceMeasures.high],
                color=style["color"],
                alpha=0.18,
                linewidth=0,
            )
            panel.plot(part[SpaceMeasures.level], part[SpaceMeasures.value], label=name, **style)
        panel.axhline(1, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
        level_ticks(panel, sorted(set(rows[SpaceMeasures.level])))
        panel.tick_params(labelbottom=True)
    panels[0].set_ylim(
        0,
        1.06
        * max(1.0, float(np.nanmax(rows[[SpaceMeasures.value, SpaceMeasures.high]].to_numpy()))),
    )
    shared_labels(figure, "level of the noise", "clean = 1; neighbours: share")
    key_above(figure, panels[0], 3)
    figure.set_size_inches(WIDTH, figure.get_size_inches()[1])
    return figure


def relative(table: pd.DataFrame) -> pd.DataFrame:
    """Distance and spread over the clean ones, and purity: columns noise, level, measure, value, low, high; with a row
    at level 0 for each noise. A distance that does not differ from 0 is 0."""
    noisy = table[table[SpaceMeasures.noise] != CLEAN]
    clean = table[table[SpaceMeasures.noise] == CLEAN]
    parts = []
    for measure, source, sign in (
        ("distance", "merging", 0.5),
        ("spread", "widening", -0.5),
        ("purity", "purity", 0),
    ):
        for noise in dict.fromkeys(noisy[SpaceMeasures.noise]):
            rows = pd.concat([clean, noisy[noisy[SpaceMeasures.noise] == noise]])
            rows = rows[rows[SpaceMeasures.measure] == source]
            value, low, high = ENDS
            ends = ENDS if sign >= 0 else [value, high, low]
            numbers = rows[ends].to_numpy(float)
            numbers = np.exp(sign * numbers) if sign else numbers
            if measure == "distance":
                gone = rows[SpaceMeasures.note].str.startswith(MERGED).to_numpy()
                numbers[gone] = np.nan_to_num(numbers[gone])
            parts.append(
                pd.DataFrame(numbers, columns=ENDS).assign(
                    noise=noise, level=rows[SpaceMeasures.level].to_numpy(), measure=measure
                )
            )
    columns = [SpaceMeasures.noise, SpaceMeasures.level, SpaceMeasures.measure, *ENDS]
    return pd.concat(parts, ignore_index=True)[columns]


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """What happens to the classes at each noise's strongest level, by the intervals: columns space, noise, level,
    distance and spread (falls, grows, unclear; collapses where points are one), fisher (falls, grows, unclear),
    because (of a fall: distance, spread or both), known (False where there is no interval)."""
    found = []
    noisy = table[table[SpaceMeasures.noise] != CLEAN]
    for (space, noise), own in noisy.groupby(
        [SpaceMeasures.space, SpaceMeasures.noise], sort=False
    ):
        rows = own[own[SpaceMeasures.level] == own[SpaceMeasures.level].max()].set_index(
            SpaceMeasures.measure
        )
        collapsed = rows.loc["widening", SpaceMeasures.note] == COLLAPSED
        fisher = "unclear" if collapsed else _trend(rows.loc["change"])
        balance = _trend(rows.loc["balance"])
        because = (
            {"falls": "distance", "grows": "spread"}.get(balance, "both")
            if fisher == "falls"
            else "none"
        )
        known = bool(rows.loc["purity", [SpaceMeasures.low, SpaceMeasures.high]].notna().all())
        spread = {"falls": "grows", "grows": "falls"}.get(_trend(rows.loc["widening"]), "unclear")
        found.append(
            [
                space,
                noise,
                float(rows[SpaceMeasures.level].iloc[0]),
                _trend(rows.loc["merging"]),
                "collapses" if collapsed else spread,
                fisher,
                because,
                known,
            ]
        )
    return pd.DataFrame(
        found,
        columns=["space", "noise", "level", "distance", "spread", "fisher", "because", "known"],
    )


def _trend(row: pd.Series) -> str:
    """falls or grows where the interval says so; a distance that does not differ from 0 falls."""
    if row[SpaceMeasures.note] == MERGED or row[SpaceMeasures.high] < 0:
        return "falls"
    return "grows" if row[SpaceMeasures.low] > 0 else "unclear"


def about_noise_on_classes(table: pd.DataFrame, space: str, noise: str, confidence: float) -> str:
    """What a noise does to the classes of a space at its strongest level, with the intervals."""
    own = rows_where(table, {SpaceMeasures.space: space, SpaceMeasures.noise: noise})
    rows = own[own[SpaceMeasures.level] == own[SpaceMeasures.level].max()].set_index(
        SpaceMeasures.measure
    )
    verdict = verdicts(own).iloc[0]
    start = f"Under {words(noise)} at level {verdict[SpaceMeasures.level]:g}"
    if not verdict["known"]:
        return (
            f"{start} no interval is known, and so no verdict: {rows[SpaceMeasures.note].iloc[0]}."
        )
    if verdict["spread"] == "collapses":
        return f"{start} nothing is left: {COLLAPSED}."
    text = (
        f"{start} {_distance(rows.loc['merging'], confidence)}, and the spread within classes "
        f"{_percentage(rows.loc['widening'], -0.5, confidence)}"
    )
    if verdict["fisher"] != "falls":
        end = "grows" if verdict["fisher"] == "grows" else "does not clearly change"
        moved = rows.loc["purity"]
        return (
            f"{text}: the Fisher ratio {end}, but the classes may have moved as a whole: "
            f"{percent(moved[SpaceMeasures.value])} "
            f"of the nearest clean neighbours are of the same class."
        )
    return f"{text}: the Fisher ratio falls {BECAUSE[verdict['because']]}."


def _distance(row: pd.Series, confidence: float) -> str:
    if row[SpaceMeasures.note] == MERGED:
        return "class means can no longer be told apart"
    return f"the distance between class means {_percentage(row, 0.5, confidence)}"


def _percentage(row: pd.Series, factor: float, confidence: float) -> str:
    """A change of logarithms, times a factor, in per cent with its interval."""
    value, *ends = (100 * np.expm1(factor * row[name]) for name in ("value", "low", "high"))
    known = [end for end in ends if np.isfinite(end)]
    if not np.isfinite(value):
        return f"is unknown ({row[SpaceMeasures.note]})"
    if not known:
        return f"changes by {signed(value, '+.0f')}\u00a0% (no interval: {row[SpaceMeasures.note]})"
    # an open end is a distance of nothing
    low = min(known) if len(known) == 2 else -100.0
    high = max(known)
    return f"changes by {signed(value, '+.0f')}\u00a0% {interval_text(range_text(low, high, '+.0f'), confidence)}"


def about_separation(table: pd.DataFrame, space: str) -> str:
    """For all noises: under which the class means move together, and under which the classes spread out."""
    found = verdicts(table[table[SpaceMeasures.space] == space])
    if not found["known"].any():
        notes = table.loc[
            (table[SpaceMeasures.space] == space) & (table[SpaceMeasures.note] != ""),
            SpaceMeasures.note,
        ]
        return f"No interval is known here, and so no verdict: {notes.iloc[0]}."
    gone = found["spread"] == "collapses"
    closer = (found["distance"] == "falls") & ~gone
    spread = found["spread"] == "grows"
    sentences = [] if gone.any() else ["nowhere do the class means move together"]
    if closer.any():
        sentences = [f"under {_noises(found[closer], len(found))} the class means move together"]
    if spread.any():
        sentences.append(f"under {_noises(found[spread], len(found))} the classes spread out")
    elif not gone.any():
        sentences.append("none spreads out")
    if gone.any():
        sentences.append(f"under {_noises(found[gone], len(found))} each class becomes one point")
    decided = closer | spread | gone
    text = f"At the strongest level: {'; '.join(sentences)}."
    if decided.all():
        return f"{text} So characters become alike."
    text += f" Neither is clear under {_noises(found[~decided], len(found))}."
    return text + (" Where either happens, characters become alike." if decided.any() else "")


def _noises(rows: pd.DataFrame, all_of_them: int) -> str:
    """The noises of some rows; all of them in two words."""
    return (
        "every noise"
        if len(rows) == all_of_them > 2
        else listed([words(noise) for noise in rows[SpaceMeasures.noise]])
    )
