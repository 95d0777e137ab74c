"""Numbers as a person reads them: rounded to what their interval allows, shares as per cent, names in a list."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from stages.schemas.regress import Coefficients, Costs

SIGN = "\u00a0%"
TRAINED_ON = {
    "clean": "clean captchas only",
    "noisy": "noisy captchas only",
    "both": "clean and noisy captchas",
}
ARCHITECTURES = {
    "compact": "a convolutional network",
    "ctc": "a larger convolutional network",
    "heads": "a convolutional network with one output a position",
    "dense": "a network of two hidden layers",
    "logistic": "a logistic regression",
    "knn": "a nearest-neighbour classifier",
    "svm": "a support vector machine",
    "mlp": "a classical network of one hidden layer",
    "tesseract": "an outside program",
}
MOST_DECIMALS = 3
# the ends of an interval, in every table
LOW = Coefficients.low
HIGH = Coefficients.high
NOTHING_READ = 0.01  # share of the captchas, below which hardly any is read whole


def decimals(low: float, high: float, most: int = MOST_DECIMALS) -> int:
    """How many decimals an estimate is written with: the first digit of the half-width of its interval is the last.

    `most` where the interval is a point; 1 where there is none.
    """
    half = (high - low) / 2
    if not math.isfinite(half):
        return 1
    return most if half <= 0 else min(most, max(0, math.ceil(-math.log10(half))))


def estimate_text(
    value: float, low: float, high: float, *, scale: float = 1, explained: str = ""
) -> str:
    """An estimate with its interval, all times `scale`, rounded to what the interval allows: 54 (53 to 55).

    `explained` stands before the interval, such as "95 % interval". An end that is not finite lies beyond what was
    tested; where neither is, there is no interval.
    """
    value, low, high = scale * value, *sorted((scale * low, scale * high))
    form = f".{decimals(low, high)}f"
    if not (math.isfinite(low) or math.isfinite(high)):
        return f"{signed(value, form)} (no interval)"
    form = form if math.isfinite(low + high) else ".2f"
    ends = [
        signed(end, form) if math.isfinite(end) else "beyond those tested" for end in (low, high)
    ]
    return f"{signed(value, form)} ({explained}{' ' * bool(explained)}{ends[0]} to {ends[1]})"


def estimate_of(row: pd.Series, column: str) -> str:
    """The same of a column of a table with the columns low and high."""
    return estimate_text(row[column], row[LOW], row[HIGH])


def points_text(row: pd.Series, column: str, *, explained: str = "", sign: int = 1) -> str:
    """The same in percentage points; with the other `sign`, of the loss."""
    return estimate_text(row[column], row[LOW], row[HIGH], scale=100 * sign, explained=explained)


def runs_text(costs: pd.DataFrame) -> str:
    """The SD between runs of some costs that have one, in points: one number, or the least and the greatest."""
    between = 100 * costs[Costs.sd_between_runs]
    ends = dict.fromkeys(f"{end:.1f}" for end in (between.min(), between.max()))
    return " to ".join(ends)


def rough(value: float) -> str:
    """A number to two digits."""
    return f"{float(f'{value:.2g}'):g}"


def quoted(character: object) -> str:
    """A character of the alphabet, marked off from the sentence around it."""
    return f"“{character}”"


def percent(share: float) -> str:
    """A share as per cent; never 100 % or 0 % by rounding alone."""
    digits = 1 if 0.001 <= share <= 0.999 or share in (0, 1) else 2
    return f"{100 * share:.{digits}f}{SIGN}"


def percent_range(low: float, high: float) -> str:
    """Two shares as per cent, whose sign is written once."""
    return f"{percent(low).removesuffix(SIGN)} to {percent(high)}"


def share_text(value: float, low: float, high: float) -> str:
    """A share with its interval as per cent, rounded to what the interval allows."""
    if not np.isfinite([low, high]).all():
        return f"{percent(value)} (no interval)"
    form = f".{decimals(100 * low, 100 * high, 1)}f"
    return f"{100 * value:{form}}{SIGN} ({100 * low:{form}} to {100 * high:{form}}{SIGN})"


def probability(p: float) -> str:
    """A probability, never 0 or 1 by rounding alone."""
    if p < 0.01:
        return "below 0.01"
    return "above 0.99" if p > 0.99 else f"{p:.2f}"


def in_draws(share: float) -> str:
    """A share of draws as per cent, never 0 or 100 % by rounding alone."""
    if share < 0.01:
        return f"less than 1{SIGN}"
    return f"more than 99{SIGN}" if share > 0.99 else f"{100 * share:.0f}{SIGN}"


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def interval_name(confidence: float) -> str:
    return f"{100 * confidence:g}{SIGN} interval"


def interval_text(ends: str, confidence: float) -> str:
    """An interval in brackets, behind its name: (95 % interval 1.2 to 3.4)."""
    return f"({interval_name(confidence)} {ends})"


def range_text(low: float, high: float, form: str = ".1f") -> str:
    return f"{signed(low, form)} to {signed(high, form)}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def signed(value: float, form: str = ".1f") -> str:
    written = format(value, form)
    return written.replace("-", "−" if float(written) else "")


def rows_where(table: pd.DataFrame, values: Mapping[str, object]) -> pd.DataFrame:
    """The rows that have each of these values in the column of its name."""
    chosen = np.ones(len(table), dtype=bool)
    for column, value in values.items():
        chosen &= (table[column] == value).to_numpy()
    return table[chosen]


def lowest(table: pd.DataFrame, column: str) -> pd.Series:
    """The first row with the least value of a column."""
    return table.iloc[int(table[column].to_numpy(float).argmin())]


def highest(table: pd.DataFrame, column: str) -> pd.Series:
    """The first row with the greatest value of a column."""
    return table.iloc[int(table[column].to_numpy(float).argmax())]


def extremes(table: pd.DataFrame, column: str, text_of: Callable[[pd.Series], str]) -> list[str]:
    """The rows with the least and with the greatest value of a column, as texts."""
    return [text_of(lowest(table, column)), text_of(highest(table, column))]
