"""Which character is taken for which, and which are missed altogether."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.numbers import highest, percent, quoted
from stages.figures.style import INK, SEQUENTIAL, styled
from stages.schemas.figures import Confusion
from stages.schemas.predict import Predictions
from stages.schemas.words import MISSED

MOST_NUMBERED = 24  # characters; with more, only cells of at least 5 % are numbered

Floats = NDArray[np.float64]


def confusion_table(observations: Mapping[str, pd.DataFrame], alphabet: str) -> pd.DataFrame:
    """Cells of each reader's confusion matrix that are not empty, in the order of the alphabet, missed last.

    As Confusion has it.
    """
    rows = []
    for reader, characters in observations.items():
        counts = characters.groupby([Predictions.truth, Predictions.guess], observed=True).size()
        totals = characters.groupby(Predictions.truth, observed=True).size()
        for actual in alphabet:
            for predicted in [*alphabet, ""]:
                count = int(counts.get((actual, predicted), 0))
                if count:
                    rows.append(
                        [reader, actual, predicted or MISSED, count, count / totals[actual]]
                    )
    return pd.DataFrame(rows, columns=Confusion.names())


def share_matrix(cells: pd.DataFrame, alphabet: str) -> Floats:
    """Shares (A, A + 1) of one reader's cells: rows actual, columns predicted, the last one missed."""
    matrix = np.zeros((len(alphabet), len(alphabet) + 1))
    columns = {character: column for column, character in enumerate([*alphabet, MISSED])}
    drawn = cells[[Confusion.actual, Confusion.predicted, Confusion.share]]
    for actual, predicted, share in drawn.itertuples(index=False):
        matrix[columns[actual], columns[predicted]] = share
    return matrix


@styled
def draw_confusion(cells: pd.DataFrame, alphabet: str) -> Figure:
    """Heat map of one reader's cells, in percent of each row."""
    shares = share_matrix(cells, alphabet)
    side = float(
        np.clip(0.3 * len(alphabet) + 1.2, 5, 10.2)
    )  # inches: the largest that needs no scrolling in a fold
    figure = Figure((side * 1.12, side))
    axes = figure.subplots()
    heat_map(axes, shares, list(alphabet), [*alphabet, MISSED])
    axes.axvline(len(alphabet) - 0.5, color="white", linewidth=3)
    axes.set_xlabel("read as")
    axes.set_ylabel("actual character")
    numbered = shares >= (0.005 if len(alphabet) <= MOST_NUMBERED else 0.05)
    number_cells(axes, 100 * shares, numbered, dark=shares > 0.5)
    return figure


def heat_map(
    axes: Axes, values: Floats, rows: list[str], columns: list[str], highest: float = 1.0
) -> None:
    """Values from 0 to `highest` as shades, pale to dark, with the names of rows and columns."""
    axes.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=highest, aspect="auto", interpolation="none")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def number_cells(
    axes: Axes, values: Floats, shown: NDArray[np.bool_], dark: NDArray[np.bool_], form: str = ".0f"
) -> None:
    """Write the values into the cells that are `shown`, in white where the cell is `dark`, as large as they fit."""
    written = {
        cell: format(values[cell], form).replace("-", "−")
        for cell in zip(*np.nonzero(shown), strict=True)
    }
    longest = max(map(len, written.values()), default=1)
    box = axes.get_window_extent()
    point = axes.figure.dpi / 72
    # of a cell
    width = box.width / point / values.shape[1]
    height = box.height / point / values.shape[0]
    size = min(8.0, 0.9 * width / (0.62 * longest), 0.6 * height)
    for (row, column), number in written.items():
        axes.text(
            column,
            row,
            number,
            ha="center",
            va="center",
            fontsize=size,
            color="white" if dark[row, column] else INK,
        )


def about_confusion(cells: pd.DataFrame, reader: str) -> str:
    rows = cells[cells[Confusion.reader] == reader]
    wrong = rows[
        (rows[Confusion.actual] != rows[Confusion.predicted])
        & (rows[Confusion.predicted] != MISSED)
    ]
    missed = (
        rows.loc[rows[Confusion.predicted] == MISSED, Confusion.count].sum()
        / rows[Confusion.count].sum()
    )
    if wrong.empty:
        return f"`{reader}` took no character for another; it missed {percent(missed)} of them."
    most = highest(wrong, Confusion.share)
    return (
        f"The commonest mistake of `{reader}` is to read {quoted(most[Confusion.actual])} as "
        f"{quoted(most[Confusion.predicted])} ({percent(most[Confusion.share])} of them); it misses "
        f"{percent(missed)} of all characters."
    )
