"""The readers, how they learned, and whether their confidence can be believed."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure as Drawing

from stages.figures.chapters.noise import contrasts_table
from stages.figures.figure import Chapter, ChapterPart, Figure, ReportTable, Words
from stages.figures.learning import about_learning, draw_learning
from stages.figures.reader_table import calculated, means_table, nature_table, scores_table
from stages.figures.reliability import about_calibration, draw_calibration
from stages.figures.study import Study, described
from stages.schemas.figures import Calibration
from stages.schemas.words import POOLED


def _tables(study: Study) -> Iterator[ChapterPart]:
    runs = described(study)
    yield nature_table(runs)
    yield Words([" ".join(calculated(runs))])
    yield scores_table(runs)
    yield means_table(study.tables["classification"], study.observations)


def _pairs_of_readers(study: Study) -> Iterator[ReportTable]:
    yield from contrasts_table(study, "reader", POOLED, "Pairs of readers")


def _draw_epochs(study: Study) -> Drawing | None:
    table = study.tables["learning"]
    return draw_learning(table) if len(table) else None


def _about_epochs(study: Study) -> str:
    return about_learning(study.tables["learning"])


def _read(study: Study) -> bool:
    return bool((study.tables["calibration"][Calibration.reader] == study.reader).any())


def _draw_confidence(study: Study) -> Drawing | None:
    return (
        draw_calibration(study.tables["reliability"], study.tables["calibration"])
        if _read(study)
        else None
    )


def _about_confidence(study: Study) -> str:
    if not _read(study):
        return f"`{study.reader}` read no character at all, so it had no confidence in any."
    run = study.runs[study.reader][0]
    temperature = study.trained[run].temperature
    return about_calibration(
        study.tables["calibration"],
        study.reader,
        study.details[run],
        1.0 if temperature is None else temperature,
    )


LEARNING = Figure(
    "learning",
    "Learning curves",
    "Training and validation by epoch. Each reader is validated on captchas of the kind it learned from, so two curves "
    "compare only where that kind is the same.",
    "Four panels of lines by epoch, one line per training run.",
    _draw_epochs,
    _about_epochs,
    numbers=("figures/learning",),
)
CALIBRATION = Figure(
    "calibration",
    "Can its confidence be believed?",
    "Left, characters that were read, in bins of equal number by confidence: on the dotted line a confidence is what "
    "it says, below it too high. Right, the mean distance of accuracy from confidence by level of noise.",
    "Two panels of lines, one line per reader.",
    _draw_confidence,
    _about_confidence,
    numbers=("figures/calibration", "figures/reliability"),
)

CHAPTER = Chapter(
    "details",
    "readers",
    "Which readers were compared?",
    "All readers read the same test captchas. Clean ones have level 0; columns named all are over every condition, "
    "clean and noisy alike. Every training run has a row of its own.",
    (_tables, _pairs_of_readers, LEARNING, CALIBRATION),
)
