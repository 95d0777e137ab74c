"""Which characters and colours are hard, and what is taken for what."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.figures.accuracy import about_breakdown, draw_breakdown
from stages.figures.chapters.noise import contrasts_table
from stages.figures.character_robustness import (
    about_class_levels,
    about_class_ranking,
    about_class_thresholds,
    draw_class_levels,
    draw_class_ranking,
    draw_class_thresholds,
)
from stages.figures.classification_figures import (
    about_classification,
    classification_report,
    macro_of,
)
from stages.figures.combination_figures import (
    about_combinations,
    about_surroundings,
    draw_combinations,
)
from stages.figures.confusion import about_confusion, draw_confusion
from stages.figures.confusions_by_noise import (
    about_confusions,
    about_top_confusions,
    draw_confusions,
    draw_top_confusions,
)
from stages.figures.explained import NeededTable
from stages.figures.figure import Chapter, ChapterPart, Figure, Fold, ReportTable, Words
from stages.figures.numbers import percent
from stages.figures.study import Explained, Study
from stages.schemas.explain import ClassLevels, ClassRanking
from stages.schemas.figures import Classification, Confusion


def _factors(study: Study) -> list[tuple[str, pd.DataFrame]]:
    return [("character", study.tables["characters"]), ("colour", study.tables["colours"])]


def _draw_matrix(study: Study, reader: str) -> Drawing:
    cells = study.tables["confusion"]
    return draw_confusion(cells[cells[Confusion.reader] == reader], study.alphabet)


def _classified(study: Study, reader: str) -> list[ChapterPart]:
    table = study.tables["classification"]
    return [
        classification_report(table, reader),
        Words([about_classification(table, reader, study.confidence)]),
    ]


def _other_readers(study: Study) -> list[ChapterPart]:
    """Confusion matrix and classification report of every reader but the report's, folded away."""
    folds: list[ChapterPart] = []
    for reader in study.observations:
        if reader != study.reader:
            macro = macro_of(study.tables["classification"], reader)
            summary = (
                f"`{reader}`: confusion matrix and classification report (it reads "
                f"{percent(macro[Classification.accuracy])} of the characters; "
                f"macro F1 {percent(macro[Classification.f1])})"
            )
            folds.append(Fold(summary, [_matrix_of(reader), *_classified(study, reader)]))
    return folds


def _matrix_of(reader: str) -> Figure:
    """The confusion matrix of one reader; that of the report's has no name of its own."""
    whose = reader or "{reader}"
    return Figure(
        f"confusion_{reader}" if reader else "confusion",
        "What is taken for what",
        f"Of each character (a row), the percentage that `{whose}` read as each other, over all conditions; the last "
        "column holds those for which it read nothing. Small shares stand without a number.",
        "A square of shaded percentages, actual characters down, read ones across.",
        lambda study: _draw_matrix(study, reader or study.reader),
        lambda study: about_confusion(study.tables["confusion"], reader or study.reader),
        numbers=("figures/confusion",),
    )


def _pairs_of_characters(study: Study) -> Iterator[ChapterPart]:
    for factor, caption in (
        ("digit", "Pairs of characters"),
        ("colour", "Pairs of colours"),
        ("position", "Pairs of positions"),
    ):
        tables: list[ReportTable] = list(contrasts_table(study, factor, "all", caption))
        for table in tables:
            yield Fold(table.caption, [table])


RANKING = NeededTable("characters", "class_ranking")
LEVELS = NeededTable("characters", "class_levels")
THRESHOLDS = NeededTable("characters", "class_thresholds")
MATRICES = NeededTable("characters", "confusion_matrices")
BY_LEVEL = NeededTable("characters", "confusion_levels")
SURROUNDINGS = NeededTable("characters", "combination_tests")
ENDS = NeededTable("characters", "combinations")


def _draw_class_thresholds(table: pd.DataFrame, explained: Explained) -> Drawing:
    order = list(explained.tables["class_ranking"][ClassRanking.character])
    largest = float(explained.tables["class_levels"][ClassLevels.level].max())
    return draw_class_thresholds(table, order, largest)


def _combinations_figure(kind: str, title: str, shows: str) -> Figure:
    """The best and the worst combinations of a kind, pairs or texts."""
    return Figure(
        f"{kind}s",
        title,
        shows,
        f"A dot plot with one row per {kind}.",
        ENDS.draw(lambda table, _: draw_combinations(table, kind)),
        ENDS.find(lambda table, found: about_combinations(table, kind, found.confidence)),
        "explained",
        numbers=ENDS.numbers(),
    )


BREAKDOWN = Figure(
    "breakdown",
    "Which characters and colours are hard",
    "Share of the characters read right over all conditions, with {interval} intervals.",
    "Two panels of dots: characters above, colours below, one dot per reader.",
    lambda study: draw_breakdown(_factors(study)),
    lambda study: about_breakdown(_factors(study), study.reader),
    numbers=("figures/characters", "figures/colours"),
)
CLASS_RANKING = Figure(
    "class_ranking",
    "Which characters are robust",
    "Left the share of noisy (filled) and clean (hollow) renderings read right, right the ranks that the data leave "
    "open, each alone and all at once, with {interval} intervals over glyphs; at the edge the probability of the "
    "place.",
    "Two dot plots with one row per character, the most robust on top.",
    RANKING.draw(lambda table, _: draw_class_ranking(table)),
    RANKING.find(lambda table, found: about_class_ranking(table, found.confidence), lead=True),
    "explained",
    numbers=RANKING.numbers("class_places"),
)
CLASS_LEVELS = Figure(
    "class_levels",
    "Each character against the level",
    "Share of each character read right, all noise types together, with {interval} intervals over captchas and glyphs.",
    "One panel, one falling line per character.",
    LEVELS.draw(lambda table, _: draw_class_levels(table)),
    LEVELS.find(
        lambda _, found: about_class_levels(found.tables["class_thresholds"], found.confidence)
    ),
    "explained",
    numbers=LEVELS.numbers(),
)
CLASS_THRESHOLDS = Figure(
    "class_thresholds",
    "Where half of a character is lost",
    "The level at which each character falls to one half, by noise type, with {interval} intervals over glyphs.",
    "Small panels, one per noise type, one dot per character.",
    THRESHOLDS.draw(_draw_class_thresholds),
    THRESHOLDS.find(lambda table, found: about_class_thresholds(table, found.confidence)),
    "explained",
    numbers=THRESHOLDS.numbers(),
)
CONFUSIONS = Figure(
    "confusions",
    "What each noise makes of a character",
    "Errors by noise type: rows are actual characters, columns what they were read as, the last for what was missed; "
    "one scale.",
    "Small shaded squares, one per noise type.",
    MATRICES.draw(lambda table, found: draw_confusions(table, found.alphabet)),
    MATRICES.find(lambda table, _: about_confusions(table)),
    "explained",
    numbers=MATRICES.numbers(),
)
TOP_CONFUSIONS = Figure(
    "top_confusions",
    "The most frequent confusions",
    "Their share of the actual character against the level, one line per noise type, black for all together.",
    "Small panels, one per confusion, one line per noise type.",
    BY_LEVEL.draw(lambda table, found: draw_top_confusions(table, found.noises)),
    BY_LEVEL.find(
        lambda table, found: about_top_confusions(
            found.tables["confusion_tests"], table, found.confidence
        )
    ),
    "explained",
    numbers=BY_LEVEL.numbers("confusion_tests"),
)
NEIGHBOURS = Figure(
    "neighbours",
    "Neighbours and repeated characters",
    "",
    "",
    lambda explained: None,  # tests are written, not drawn
    SURROUNDINGS.find(
        lambda table, found: about_surroundings(
            table, found.tables["combination_effects"], found.confidence
        )
    ),
    "explained",
    numbers=SURROUNDINGS.numbers("combination_effects"),
)
PAIRS = _combinations_figure(
    "pair",
    "The best and the worst pairs of neighbours",
    "Share of their occurrences in which both characters were read right, with {interval} intervals over captchas and "
    "glyphs; a bar: the share expected from the characters.",
)
TEXTS = _combinations_figure(
    "text",
    "The best and the worst texts",
    "Share of their renderings read whole, with {interval} intervals, over captchas, or over renderings where a text "
    "came in one captcha; a bar: the share expected from their characters.",
)

CHAPTER = Chapter(
    "report",
    "characters",
    "Which characters and colours are hard?",
    "Whether two of them differ is shown by the contrasts of the regression below.",
    (BREAKDOWN,),
)
MORE = Chapter(
    "details",
    "confusions",
    "What is taken for what?",
    "Errors of the report's reader, and of the others folded away.",
    (
        _matrix_of(""),
        lambda study: _classified(study, study.reader),
        _other_readers,
        _pairs_of_characters,
    ),
)
ROBUST = Chapter(
    "details",
    "robust",
    "Which characters are robust under noise?",
    "The characters ranked with what the data leave open, their confusions against the clean ones, and whether "
    "neighbours or whole texts matter beyond their characters.",
    (
        CLASS_RANKING,
        CLASS_LEVELS,
        CLASS_THRESHOLDS,
        CONFUSIONS,
        TOP_CONFUSIONS,
        NEIGHBOURS,
        PAIRS,
        TEXTS,
    ),
)
