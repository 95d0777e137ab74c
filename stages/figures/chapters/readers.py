"""The readers, how they learned, and whether their confidence can be believed."""

from __future__ import annotations

from collections.abc import Iterator

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


def _read(study: Study) -> bool:
    return bool((study.tables["calibration"][Calibration.reader] == study.reader).any())


def _about_confidence(study: Study) -> str:
    if not _read(study):
        return f"`{study.reader}` read no character at all, so it had no confidence in any."
    run = study.runs[study.reader][0]
    fitted = study.trained[run].temperature
    temperature = 1.0 if fitted is None else fitted
    table = study.tables["calibration"]
    return about_calibration(table, study.reader, study.details[run], temperature)


LEARNING = Figure(
    "learning",
    "Learning curves",
    "Training and validation by epoch. Each reader is validated on captchas of the kind it learned from, so two curves "
    "compare only where that kind is the same.",
    "Four panels of lines by epoch, one line per training run.",
    lambda study: draw_learning(study.tables["learning"]),
    lambda study: about_learning(study.tables["learning"]),
    numbers=("figures/learning",),
    when=lambda study: len(study.tables["learning"]) > 0,
)
CALIBRATION = Figure(
    "calibration",
    "Can its confidence be believed?",
    "Left, characters that were read, in bins of equal number by confidence: on the dotted line a confidence is what "
    "it says, below it too high. Right, the mean distance of accuracy from confidence by level of noise.",
    "Two panels of lines, one line per reader.",
    lambda study: draw_calibration(study.tables["reliability"], study.tables["calibration"]),
    _about_confidence,
    numbers=("figures/calibration", "figures/reliability"),
    when=_read,
)

CHAPTER = Chapter(
    "details",
    "readers",
    "Which readers were compared?",
    "All readers read the same test captchas. Clean ones have level 0; columns named all are over every condition, "
    "clean and noisy alike. Every training run has a row of its own.",
    (_tables, _pairs_of_readers, LEARNING, CALIBRATION),
)
