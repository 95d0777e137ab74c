"""What the run found, as sentences with its numbers; `**` and backticks mark what matters and what is a name.

All take tables of this package: levels (accuracy_by_level), slopes (dose_slopes), effects (factor_effects), characters
and colours (accuracy_by), cells (confusion_table).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.figures.regressed import NUMBERS, STEP
from stages.figures.style import words

SIGN = "\u00a0%"
HALF = 0.5  # exact match at which a reader "fails"
LEARNS = {"clean": "clean captchas only", "noisy": "noisy captchas only", "both": "clean and noisy captchas"}


@dataclass(frozen=True)
class Rival:
    """A reader that learned from other captchas than the reader of the headline, and what that is worth."""

    name: str
    learns_from: str
    gain: tuple[float, float, float]  # of the headline's reader over it: estimate, low, high


def rival_of(reader: str, readers: Mapping[str, tuple[str, str]]) -> str | None:
    """The first reader of the same architecture that learned from other captchas, or None; `readers` maps names to
    (architecture, learns_from)."""
    architecture, learns_from = readers[reader]
    return next((name for name, (kind, learned) in readers.items()
                 if kind == architecture and learned != learns_from), None)


def quoted(character: object) -> str:
    """A character of the alphabet, told apart from the sentence around it."""
    return f"“{character}”"


def percent(share: float) -> str:
    """A share as per cent; never 100 % or 0 % by rounding alone."""
    digits = 1 if 0.001 <= share <= 0.999 or share in (0, 1) else 2
    return f"{100 * share:.{digits}f}{SIGN}"


def percent_range(low: float, high: float) -> str:
    """Two shares as per cent, whose sign is written once."""
    return f"{percent(low).removesuffix(SIGN)} to {percent(high)}"


def between(low: float, high: float, confidence: float, form: str = ".1f") -> str:
    """An interval in brackets, or a word where none was measured."""
    if not np.isfinite([low, high]).all():
        return "(no interval: all captchas agree)"
    return f"({100 * confidence:g}\u00a0% interval {signed(low, form)} to {signed(high, form)})"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def signed(value: float, form: str = ".1f") -> str:
    written = format(value, form)
    return written.replace("-", "−" if float(written) else "")


def lowest(table: pd.DataFrame, column: str) -> pd.Series:
    """The first row with the least value of a column."""
    return table.iloc[int(table[column].to_numpy(float).argmin())]


def highest(table: pd.DataFrame, column: str) -> pd.Series:
    """The first row with the greatest value of a column."""
    return table.iloc[int(table[column].to_numpy(float).argmax())]


def half_level(line: pd.DataFrame) -> float | None:
    """Level at which exact match falls below one half, between the levels tested; None where it never does.

    `line` is one reader's rows of one noise type, with level 0.
    """
    levels, exact = (line.sort_values("level")[name].to_numpy(float) for name in ("level", "exact_match"))
    below = np.flatnonzero(exact < HALF)
    if not len(below):
        return None
    last = below[0]
    if last == 0:
        return 0.0
    share = (exact[last - 1] - HALF) / (exact[last - 1] - exact[last])
    return float(levels[last - 1] + share * (levels[last] - levels[last - 1]))


def halves(levels: pd.DataFrame, reader: str) -> list[tuple[float, str]]:
    """The noise types that bring `reader` below one half, and the level at which they do, the lowest first."""
    rows = levels[levels["reader"] == reader]
    found = [(half_level(line), str(noise)) for noise, line in rows.groupby("noise", sort=False)]
    return sorted((half, noise) for half, noise in found if half is not None)


def answer(levels: pd.DataFrame, slopes: pd.DataFrame, reader: str, rival: Rival | None, own: float,
           characters: pd.DataFrame, colours: pd.DataFrame, confidence: float, dose: str = "level") -> list[str]:
    """The answer in two sentences; `own` is the reader's character accuracy on noisy renderings."""
    return [_about_noise(levels[levels["reader"] == reader], slopes[slopes["reader"] == reader], reader, confidence,
                         NUMBERS[dose]),
            _about_the_rest(reader, rival, own, characters, colours, confidence)]


def _about_noise(levels: pd.DataFrame, slopes: pd.DataFrame, reader: str, confidence: float, dose: str) -> str:
    if slopes.empty:
        return f"The regression could tell no slope for `{reader}` in this run, so no noise can be called the worst."
    worst, best = lowest(slopes, "points"), highest(slopes, "points")
    sentence = (f"**{words(worst['noise']).capitalize()}** makes the reader `{reader}` fail fastest: every {STEP:g} "
                f"of {dose} {_change(worst, confidence)}{_seen(levels, worst['noise'], dose)}, and "
                f"{_half(levels, worst['noise'])}")
    if len(slopes) == 1:
        return sentence.replace("fail fastest", "fail") + "."
    sentence += _sooner(levels, reader, worst["noise"])
    return (f"{sentence}; it resists **{words(best['noise'])}** best, of which every {STEP:g} "
            f"{_change(best, confidence)}{_seen(levels, best['noise'], dose)}.")


def _seen(levels: pd.DataFrame, noise: str, dose: str) -> str:
    """The loss that was seen for STEP of level, which the slope of a straight line may overstate."""
    line = levels[levels["noise"] == noise].sort_values("level")
    if dose != "level" or len(line) < 2:
        return ""
    accuracy, last = line["character_accuracy"].to_numpy(float), float(line["level"].iloc[-1])
    lost = 100 * STEP * (accuracy[0] - accuracy[-1]) / last
    return f" by the regression's straight line ({signed(lost)} were seen on average up to level {last:g})"


def _sooner(levels: pd.DataFrame, reader: str, steepest: str) -> str:
    """Says so where another noise brings the reader below one half at a lower level than the steepest does."""
    falls = halves(levels, reader)
    if not falls or falls[0][1] == steepest or falls[0][0] == 0:
        return ""
    return f" ({words(falls[0][1])} takes it there sooner, from {falls[0][0]:.2f}, and then falls less steeply)"


def _change(slope: pd.Series, confidence: float) -> str:
    points, low, high = float(slope["points"]), float(slope["low"]), float(slope["high"])
    if low <= 0 <= high:
        return f"costs it nothing that could be measured: {signed(-points)} points {between(-high, -low, confidence)}"
    verb = "costs" if points <= 0 else "gains"
    if points <= 0:
        points, low, high = -points, -high, -low
    return f"{verb} it {points:.1f} percentage points of its characters {between(low, high, confidence)}"


def _half(levels: pd.DataFrame, noise: str) -> str:
    half = half_level(levels[levels["noise"] == noise])
    if half is None:
        return f"up to level {levels['level'].max():g} it still reads more than half of the captchas whole"
    if half == 0:
        return "it reads fewer than half of the captchas whole even without noise"
    return f"from level {half:.2f} on it reads fewer than half of the captchas whole"


def _about_the_rest(reader: str, rival: Rival | None, own: float, characters: pd.DataFrame,
                    colours: pd.DataFrame, confidence: float) -> str:
    hardest = []
    if (row := worst_of(characters, reader)) is not None:
        hardest.append(f"the hardest character is {quoted(row['character'])} ({percent(row['accuracy'])} read)")
    if (row := worst_of(colours, reader)) is not None:
        hardest.append(f"the hardest colours are {words(row['colour'])} ({percent(row['accuracy'])} read)")
    first = f"It reads {percent(own)} of the characters of noisy captchas"
    if rival is not None:
        points = [100 * value for value in rival.gain]
        more = "more" if points[0] >= 0 else "fewer"
        low, high = (points[1], points[2]) if points[0] >= 0 else (-points[2], -points[1])
        first += (f", {abs(points[0]):.1f} percentage points {between(low, high, confidence)} {more} than "
                  f"`{rival.name}`, which learned from {LEARNS[rival.learns_from]}")
    return "; ".join([first, " and ".join(hardest)] if hardest else [first]) + "."


def worst_of(table: pd.DataFrame, reader: str) -> pd.Series | None:
    """The row of the category that `reader` reads worst, or None where there is only one category."""
    rows = table[table["reader"] == reader]
    return None if len(rows) < 2 else lowest(rows, "accuracy")


def uncertain(slopes: pd.DataFrame, reader: str, characters: pd.DataFrame, captchas: int, conditions: int, seed: int,
              confidence: float) -> list[str]:
    """What the intervals say, and what they do not."""
    said = [f"The intervals rest on {captchas:,} test captchas. Each comes back under {conditions} conditions, so its "
            "errors belong together: all intervals are clustered by captcha, and more renderings of the same captchas "
            "would not narrow them much."]
    said += [*_order_of_noises(slopes[slopes["reader"] == reader]), *_tied_characters(characters, reader)]
    said.append("Each entry of `readers` was trained once. What another training run would change is in no interval: "
                "add entries that differ in their own `seed` alone; "
                f"`dvc exp run --queue -S 'seed=range({seed + 1},{seed + 6})'` draws everything anew, captchas too.")
    said.append("A dose slope is that of a straight line, and all noise types of a reader share its start, which is "
                "estimated and may lie above the clean accuracy: slopes rank the types, and can be steeper than what "
                "was seen; the curves themselves are below. Equal levels "
                "mean equal energy for the pixel noises alone (gaussian, uniform, salt and pepper, shot, speckle): for "
                "the others the level is a physical dose, so compare how fast they bite with care.")
    return said


def _order_of_noises(slopes: pd.DataFrame) -> list[str]:
    if len(slopes) < 2 or slopes[["low", "high"]].isna().to_numpy().any():
        return []
    first, second = (row for _, row in slopes.sort_values("points", kind="stable").head(2).iterrows())
    names = f"{words(first['noise'])} and {words(second['noise'])}"
    if first["high"] < second["low"]:
        return [f"Which noise has the steepest slope is clear: the intervals of {names} do not meet."]
    return [f"Which noise has the steepest slope is not told by these intervals: those of {names} overlap, which does "
            "not show that the two are alike."]


def _tied_characters(characters: pd.DataFrame, reader: str) -> list[str]:
    worst = worst_of(characters, reader)
    if worst is None:
        return []
    rows = characters[(characters["reader"] == reader) & (characters["low"] <= worst["high"])]
    tied = [quoted(name) for name in rows["character"] if name != worst["character"]]
    hardest = f"The hardest character, {quoted(worst['character'])},"
    if not tied:
        return [f"{hardest} stands alone: no other's interval meets its own."]
    others = ", ".join(tied) if len(tied) <= 8 else f"{len(tied)} others"
    return [f"{hardest} stands out from the others but not from {others}: its interval overlaps theirs, which neither "
            "shows nor excludes a difference."]
