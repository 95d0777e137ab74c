"""Character accuracy and exact match with intervals: by noise and level, by character, by colour.

An observation is one character of one rendering: a row of a prediction table (Predictions). Intervals are clustered by
captcha and glyph (-1 where unknown), since both come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.numbers import highest, lowest, rows_where, share_text
from stages.figures.style import (
    INK,
    MUTED,
    WIDTH,
    key_above,
    label_ends,
    level_ticks,
    line_style,
    neutral_style,
    percent_axis,
    shared_labels,
    small_multiples,
    style_of_noise,
    styled,
    words,
)
from stages.schemas.figures import Accuracy, OfReader, Shares
from stages.schemas.predict import Predictions
from stages.statistics.clustered import fewest_clusters, of_one_glyph
from stages.statistics.proportions import clustered_proportion

Ints = NDArray[np.int64]

RENDERING = [Predictions.captcha, Predictions.condition]  # what one rendering's rows have in common
LINE = 0.15  # inches, of a label
PALE = "#98a2b3"  # of the readers other than the report's
CHARACTERS_READ = "characters read right"
CAPTCHAS_READ = "captchas read whole"
READ = {"character": CHARACTERS_READ, "exact": CAPTCHAS_READ}
READ_WHOLE = "read_whole"  # a column that is added to the observations here
ESTIMATES = {
    "character": (Accuracy.character_accuracy, Accuracy.character_low, Accuracy.character_high),
    "exact": (Accuracy.exact_match, Accuracy.exact_low, Accuracy.exact_high),
}


def reader_accuracy_by_level(
    observations: Mapping[str, pd.DataFrame], noises: Sequence[str], confidence: float
) -> pd.DataFrame:
    """Character accuracy and exact match of each reader under each noise type and level, with intervals (Accuracy).

    Level 0 is the clean rendering, which every noise type shares: its row comes once for each.
    """
    rows = []
    for reader, characters in observations.items():
        whole = characters[Predictions.text].to_numpy(str) == characters[
            Predictions.reading
        ].to_numpy(str)
        characters = characters.assign(**{READ_WHOLE: whole})
        clean = characters[Predictions.level].to_numpy() == 0
        start = _cell(characters[clean], confidence)
        for noise in noises:
            rows.append([reader, noise, 0.0, *start])
            doses = characters[~clean & (characters[Predictions.noise] == noise).to_numpy()]
            rows += [
                [reader, noise, level, *_cell(cell, confidence)]
                for level, cell in doses.groupby(Predictions.level)
            ]
    return pd.DataFrame(rows, columns=Accuracy.names())


def _cell(characters: pd.DataFrame, confidence: float) -> list[float]:
    """The last eight columns of Accuracy for one cell of the design."""
    whole = characters.drop_duplicates(RENDERING)
    return [
        *_interval(
            characters, Predictions.success, characters[Predictions.glyph].to_numpy(), confidence
        ),
        *_interval(whole, READ_WHOLE, first_glyphs(characters), confidence),
        len(characters),
        whole[Predictions.captcha].nunique(),
    ]


def first_glyphs(characters: pd.DataFrame) -> Ints:
    """The glyphs (n, T) of each rendering, in the order in which renderings come; -1 where unknown or absent."""
    rendering = characters.groupby(RENDERING, sort=False).ngroup().to_numpy()
    found = np.full(
        (rendering.max(initial=-1) + 1, characters[Predictions.position].max() + 1), -1, np.int64
    )
    found[rendering, characters[Predictions.position].to_numpy()] = characters[
        Predictions.glyph
    ].to_numpy()
    return found


def _interval(
    rows: pd.DataFrame, column: str, glyphs: Ints, confidence: float
) -> tuple[float, float, float]:
    """Share and interval of a column of truths; of a single captcha or glyph no interval is known (NaN)."""
    values = rows[column].to_numpy()
    captchas = rows[Predictions.captcha].to_numpy()
    if fewest_clusters(captchas, glyphs) < 2 or of_one_glyph(glyphs):
        return float(values.mean()), np.nan, np.nan
    return clustered_proportion(values, captchas, glyphs, confidence=confidence)


def accuracy_by(
    factor: str, observations: Mapping[str, pd.DataFrame], values: Iterable[str], confidence: float
) -> pd.DataFrame:
    """Character accuracy of each reader by `factor`, a column of the observations, over all conditions.

    Columns reader, `factor` and those of Shares; in the order of `values`, those that occur.
    """
    rows = []
    for reader, characters in observations.items():
        cells = dict(iter(characters.groupby(factor, observed=True)))
        for value in values:
            if value in cells:
                cell = cells[value]
                interval = _interval(
                    cell, Predictions.success, cell[Predictions.glyph].to_numpy(), confidence
                )
                rows.append(
                    [reader, value, *interval, len(cell), cell[Predictions.captcha].nunique()]
                )
    return pd.DataFrame(rows, columns=[OfReader.reader, factor, *Shares.names()])


@styled
def draw_levels(table: pd.DataFrame, measure: str, guess: float, reader: str) -> Figure:
    """One small panel per noise type, one line per reader; `measure` is "character" or "exact", `guess` its guess rate.

    `table` is Accuracy. The line of `reader` has the colour of the noise, the others are pale; each
    is named at its end.
    """
    estimate, _, _ = ESTIMATES[measure]
    noises = list(dict.fromkeys(table[Accuracy.noise]))
    readers = list(dict.fromkeys(table[Accuracy.reader]))
    figure, panels = small_multiples(len(noises), 0.25, 1.85)
    for panel, noise in zip(panels, noises, strict=True):
        panel.set_title(words(noise))
        ends = []
        for index, name in enumerate(readers):
            line = rows_where(table, {Accuracy.noise: noise, Accuracy.reader: name})
            line = line.sort_values(Accuracy.level)
            _line(
                panel, line, ESTIMATES[measure], _line_style(name == reader, index, noise, noises)
            )
            ends.append(float(line[estimate].iloc[-1]))
        panel.axhline(guess, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
        percent_axis(panel)
        panel.tick_params(labelbottom=True)
        level_ticks(panel, sorted(set(table[Accuracy.level])))
        label_ends(panel, float(table[Accuracy.level].max()), ends, readers, 0.11)
    shared_labels(
        figure,
        f"level of the noise; dotted, what guessing gets: {100 * guess:.2g} %",
        READ[measure],
    )
    return figure


def _line_style(own: bool, index: int, noise: str, noises: Sequence[str]) -> dict[str, Any]:
    if own:
        return {**style_of_noise(noise, noises), "linestyle": "-", "linewidth": 1.9, "zorder": 3}
    return {**line_style(index), "color": PALE, "linewidth": 1.2, "zorder": 2}


def _line(
    axes: Axes, line: pd.DataFrame, columns: tuple[str, str, str], style: dict[str, Any]
) -> None:
    """A line with its intervals: a band for the eye that sees colour, whiskers for the one that does not."""
    x = line[Accuracy.level]
    estimate, low, high = (line[name] for name in columns)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)
    axes.vlines(x, low, high, color=style["color"], linewidth=0.8)
    axes.plot(x, estimate, **style)


@styled
def draw_fans(table: pd.DataFrame, readers: Sequence[str]) -> Figure:
    """Exact match against the level: one panel per reader, one line per noise type, named at its end."""
    noises = list(dict.fromkeys(table[Accuracy.noise]))
    height = max(2.2, LINE * len(noises))  # inches, of the panels
    figure = Figure((WIDTH, height + 0.8))
    panels = figure.subplots(1, len(readers), sharey=True, squeeze=False)[0]
    for panel, reader in zip(panels, readers, strict=True):
        lines = table[table[Accuracy.reader] == reader]
        ends = []
        for noise in noises:
            line = lines[lines[Accuracy.noise] == noise].sort_values(Accuracy.level)
            style = style_of_noise(noise, noises)
            panel.vlines(
                line[Accuracy.level],
                line[Accuracy.exact_low],
                line[Accuracy.exact_high],
                color=style["color"],
                linewidth=0.7,
                alpha=0.7,
            )
            panel.plot(line[Accuracy.level], line[Accuracy.exact_match], **style)
            ends.append(float(line[Accuracy.exact_match].iloc[-1]))
        panel.axhline(0.5, color=INK, linewidth=0.7, linestyle=(0, (2, 3)), zorder=1)
        percent_axis(panel, CAPTCHAS_READ if panel is panels[0] else "")
        level_ticks(panel, sorted(set(table[Accuracy.level])), "level of the noise")
        panel.set_title(reader)
        label_ends(
            panel,
            float(table[Accuracy.level].max()),
            ends,
            [words(noise) for noise in noises],
            1.06 * LINE / height,
        )
    return figure


def about_levels(levels: pd.DataFrame, reader: str, measure: str) -> str:
    """The range of one reader at the strongest level; `measure` is "character" or "exact"."""
    rows = levels[levels[Accuracy.reader] == reader]
    if rows.empty:
        return "No noise was tested."
    column, least, most = ESTIMATES[measure]
    what = "of the characters" if measure == "character" else "of the captchas whole"

    def accuracy_text(row: pd.Series) -> str:
        return share_text(row[column], row[least], row[most])

    strongest = rows[rows[Accuracy.level] == rows[Accuracy.level].max()]
    low = lowest(strongest, column)
    high = highest(strongest, column)
    clean = rows[rows[Accuracy.level] == 0].iloc[0]
    start = f"Without noise `{reader}` reads {accuracy_text(clean)} {what}; at level {low[Accuracy.level]:g} "
    if len(strongest) == 1:
        return start + f"of {words(low[Accuracy.noise])}, {accuracy_text(low)}."
    return start + (
        f"between {accuracy_text(low)} under {words(low[Accuracy.noise])} and {accuracy_text(high)} under "
        f"{words(high[Accuracy.noise])}."
    )


@styled
def draw_breakdown(tables: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """Character accuracy with intervals, one panel per factor; each table is that of accuracy_by."""
    figure = Figure((WIDTH, 0.4 + 2.2 * len(tables)))
    panels = figure.subplots(len(tables), 1, sharey=True, squeeze=False)[:, 0]
    for panel, (factor, table) in zip(panels, tables, strict=True):
        names = list(dict.fromkeys(table[factor]))
        readers = list(dict.fromkeys(table[OfReader.reader]))
        for index, reader in enumerate(readers):
            part = table[table[OfReader.reader] == reader]
            shift = 0.44 * (index / (len(readers) - 1) - 0.5) if len(readers) > 1 else 0.0
            x = np.array([names.index(name) for name in part[factor]]) + shift
            style = {**neutral_style(index), "linestyle": "none"}
            panel.vlines(
                x, part[Shares.low], part[Shares.high], color=style["color"], linewidth=1.1
            )
            panel.plot(x, part[Shares.accuracy], label=reader, **style)
        panel.set_xticks(range(len(names)), [words(str(name)) for name in names])
        panel.set_xlim(-0.6, len(names) - 0.4)
        panel.grid(False, axis="x")
        panel.set_title(f"by {factor}")
    lowest = min(float(table[[Shares.low, Shares.accuracy]].min(axis=None)) for _, table in tables)
    bottom = min(0.9, np.floor(lowest * 10) / 10)
    ticks = np.arange(round(100 * bottom), 101, 10 if bottom >= 0.4 else 20)
    panels[0].set_yticks(ticks / 100, [f"{tick} %" for tick in ticks])
    panels[0].set_ylim(bottom - 0.01, 1.01)
    shared_labels(figure, y=CHARACTERS_READ)
    key_above(figure, panels[0], 5)
    return figure


def about_breakdown(tables: Sequence[tuple[str, pd.DataFrame]], reader: str) -> str:
    """The hardest and the easiest of each factor; the contrasts say whether two differ."""
    sentences = []
    for factor, table in tables:
        rows = table[table[OfReader.reader] == reader]
        if len(rows) > 1:
            ends = [
                f"{share_text(*row[[Shares.accuracy, Shares.low, Shares.high]])} for “{words(str(row[factor]))}”"
                for row in (lowest(rows, Shares.accuracy), highest(rows, Shares.accuracy))
            ]
            sentences.append(f"by {factor} from {ends[0]} to {ends[1]}")
    if not sentences:
        return "There is one character and one colour in this run."
    return f"Over all conditions the accuracy of `{reader}` runs {', and '.join(sentences)}."
