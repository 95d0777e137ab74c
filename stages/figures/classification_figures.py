"""The classification report of each reader: precision, recall and F1 by character, and their means."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.figures.figure import ReportTable, TableCell, row
from stages.figures.numbers import (
    extremes,
    interval_text,
    percent,
    percent_range,
    quoted,
    rows_where,
)
from stages.schemas.figures import Classification
from stages.schemas.predict import Predictions
from stages.statistics.classification_report import ClassReport, class_report, f1_interval
from stages.statistics.clustered import fewest_clusters

MACRO = "macro"  # in the place of a character: the mean over all of them
RENDERINGS = {"all": "all renderings", "clean": "clean renderings"}
SHARES = {
    Classification.precision: "precision",
    Classification.recall: "recall",
    Classification.f1: "F1",
}


def classification_table(
    observations: Mapping[str, pd.DataFrame], alphabet: str, confidence: float = 0.95
) -> pd.DataFrame:
    """Classification: a row per reader, set of renderings and character, in the order of the alphabet, then the means.

    Only the row of means has the accuracy, and the interval of the macro F1: of this confidence, clustered by captcha
    and glyph, as in what predict writes; NaN where there is a single captcha.
    """
    rows: list[list[object]] = []
    for reader, characters in observations.items():
        truth = alphabet_labels(characters[Predictions.truth], alphabet)
        guess = alphabet_labels(characters[Predictions.guess], alphabet)
        captcha = characters[Predictions.captcha].to_numpy()
        glyph = characters[Predictions.glyph].to_numpy()
        clean = characters[Predictions.level].to_numpy() == 0
        for renderings, shown in (("all", clean | True), ("clean", clean)):
            if shown.any():
                report = class_report(truth[shown], guess[shown], len(alphabet))
                ends = _interval(
                    truth[shown], guess[shown], captcha[shown], glyph[shown], report, confidence
                )
                rows += [[reader, renderings, *row] for row in _rows(report, alphabet, ends)]
    return pd.DataFrame(rows, columns=Classification.names())


def alphabet_labels(characters: pd.Series, alphabet: str) -> NDArray[np.int64]:
    """Labels (m,) from 1 of characters; 0 where nothing was read."""
    return np.asarray(pd.Index(list(alphabet)).get_indexer(characters.astype(object)), np.int64) + 1


def _interval(
    truth: NDArray[np.int64],
    guess: NDArray[np.int64],
    captcha: NDArray[np.int64],
    glyph: NDArray[np.int64],
    report: ClassReport,
    confidence: float,
) -> tuple[float, float]:
    if fewest_clusters(captcha, glyph) < 2:
        return np.nan, np.nan
    return f1_interval(truth, guess, captcha, report, confidence, glyphs=glyph)


def _rows(report: ClassReport, alphabet: str, interval: tuple[float, float]) -> list[list[object]]:
    """The columns from `character` on."""
    by_character = zip(
        alphabet, report.precision, report.recall, report.f1, report.support.tolist(), strict=True
    )
    rows: list[list[object]] = [
        [character, *shares, np.nan, np.nan, np.nan, support]
        for character, *shares, support in by_character
    ]
    return [
        *rows,
        [
            MACRO,
            report.macro_precision,
            report.macro_recall,
            report.macro_f1,
            *interval,
            report.accuracy,
            int(report.support.sum()),
        ],
    ]


def macro_of(table: pd.DataFrame, reader: str, renderings: str = "all") -> pd.Series:
    """The row of the means."""
    return rows_where(
        table,
        {
            Classification.reader: reader,
            Classification.renderings: renderings,
            Classification.character: MACRO,
        },
    ).iloc[0]


def classification_report(table: pd.DataFrame, reader: str) -> ReportTable:
    """One reader's report: characters down, the sets of renderings side by side, the means last."""
    own = table[table[Classification.reader] == reader]
    parts = dict(iter(own.groupby(Classification.renderings, sort=False)))
    columns = [*SHARES.values(), "characters"]
    over = [TableCell("")]
    head = [TableCell("character", scope="col")]
    for renderings in parts:
        over.append(TableCell(RENDERINGS[str(renderings)], span=len(columns), scope="colgroup"))
        head += [TableCell(name, scope="col", starts=name == columns[0]) for name in columns]
    lines = []
    for index, character in enumerate(next(iter(parts.values()))[Classification.character]):
        line = row(str(character))
        for rows in parts.values():
            line += _cells(rows.iloc[index])
        lines.append(line)
    lines[-1][0] = TableCell("macro mean", scope="row")
    return ReportTable(
        f"Classification report of {reader}, in per cent",
        [over, head],
        lines[:-1],
        lines[-1:],
        kind="classes",
    )


def _cells(line: pd.Series) -> list[TableCell]:
    """Those of one character and set of renderings; F1 has a bar."""
    shares = [
        TableCell(
            f"{100 * line[name]:.1f}",
            bar=f"{100 * line[name]:.1f}" if name == Classification.f1 else "",
            starts=name == next(iter(SHARES)),
        )
        for name in SHARES
    ]
    return [*shares, TableCell(f"{line[Classification.support]:,}")]


def about_classification(table: pd.DataFrame, reader: str, confidence: float = 0.95) -> str:
    """Which character is recognised best and worst, and what never came."""
    own = rows_where(table, {Classification.reader: reader, Classification.renderings: "all"})
    own = own[own[Classification.character] != MACRO]
    shown = own[own[Classification.support] > 0]
    macro = macro_of(table, reader)
    text = f"Over all renderings the macro F1 of `{reader}` is {percent(macro[Classification.f1])}"
    if np.isfinite(macro[Classification.f1_low]):
        interval = percent_range(macro[Classification.f1_low], macro[Classification.f1_high])
        text += f" {interval_text(interval, confidence)}"
    if shown[Classification.f1].nunique() > 1:
        ends = extremes(shown, Classification.f1, _f1_text)
        text += f", from {ends[0]} to {ends[1]}"
    if absent := len(own) - len(shown):
        text += f". {absent} of the {len(own)} characters never occur in the test captchas and count as 0"
    return f"{text}."


def _f1_text(row: pd.Series) -> str:
    return f"{percent(row[Classification.f1])} for {quoted(row[Classification.character])}"
