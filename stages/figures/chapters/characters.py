"""Which characters and colours are hard, and what is taken for what."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.figures import classes, combinations
from stages.figures.accuracy import about_breakdown, draw_breakdown
from stages.figures.chapters.noise import contrasts_table
from stages.figures.classification import about_classification, classification_report, macro_of
from stages.figures.confusion import about_confusion, draw_confusion
from stages.figures.figure import Chapter, Figure, Fold, Part, Table, Words
from stages.figures.numbers import percent
from stages.figures.study import Explained, Study


def _factors(study: Study) -> list[tuple[str, pd.DataFrame]]:
    return [("character", study.tables["characters"]), ("colour", study.tables["colours"])]


def draw_factors(study: Study) -> Drawing:
    return draw_breakdown(_factors(study))


def about_factors(study: Study) -> str:
    return about_breakdown(_factors(study), study.reader)


def draw_matrix(study: Study, reader: str = "") -> Drawing:
    cells = study.tables["confusion"]
    return draw_confusion(cells[cells["reader"] == (reader or study.reader)], study.alphabet)


def about_matrix(study: Study, reader: str = "") -> str:
    return about_confusion(study.tables["confusion"], reader or study.reader)


def classified(study: Study, reader: str) -> list[Part]:
    table = study.tables["classification"]
    return [classification_report(table, reader), Words([about_classification(table, reader, study.confidence)])]


def own_report(study: Study) -> list[Part]:
    return classified(study, study.reader)


def other_readers(study: Study) -> list[Part]:
    """Confusion matrix and classification report of every reader but the report's, folded away."""
    folds: list[Part] = []
    for reader in study.observations:
        if reader != study.reader:
            macro = macro_of(study.tables["classification"], reader)
            summary = (f"`{reader}`: confusion matrix and classification report (it reads "
                       f"{percent(macro['accuracy'])} of the characters; macro F1 {percent(macro['f1'])})")
            folds.append(Fold(summary, [matrix_of(reader), *classified(study, reader)]))
    return folds


def matrix_of(reader: str) -> Figure:
    """The confusion matrix of one reader; that of the report's has no name of its own."""
    whose = reader or "{reader}"
    return Figure(
        f"confusion_{reader}" if reader else "confusion", "What is taken for what",
        f"Of each character (a row), the percentage that `{whose}` read as each other, over all conditions; the last "
        "column holds those for which it read nothing. Small shares stand without a number.",
        "A square of shaded percentages, actual characters down, read ones across.",
        partial(draw_matrix, reader=reader),
        partial(about_matrix, reader=reader), numbers=("figures/confusion",))


def pairs_of_characters(study: Study) -> Iterator[Part]:
    for factor, caption in (("digit", "Pairs of characters"), ("colour", "Pairs of colours"),
                            ("position", "Pairs of positions")):
        tables: list[Table] = list(contrasts_table(study, factor, "all", caption))
        for table in tables:
            yield Fold(table.caption, [table])


def draw_class_ranking(explained: Explained) -> Drawing:
    return classes.draw_ranking(explained.tables["class_ranking"])


def about_class_ranking(explained: Explained) -> str:
    return classes.about_ranking(explained.tables["class_ranking"], explained.confidence)


def draw_class_levels(explained: Explained) -> Drawing:
    return classes.draw_class_levels(explained.tables["class_levels"])


def about_class_levels(explained: Explained) -> str:
    return classes.about_class_levels(explained.tables["class_thresholds"], explained.confidence)


def draw_class_thresholds(explained: Explained) -> Drawing:
    order = list(explained.tables["class_ranking"]["character"])
    largest = float(explained.tables["class_levels"]["level"].max())
    return classes.draw_class_thresholds(explained.tables["class_thresholds"], order, largest)


def about_class_thresholds(explained: Explained) -> str:
    return classes.about_class_thresholds(explained.tables["class_thresholds"], explained.confidence)


def draw_confusions(explained: Explained) -> Drawing:
    return classes.draw_confusions(explained.tables["confusion_matrices"], explained.alphabet)


def about_confusions(explained: Explained) -> str:
    return classes.about_confusions(explained.tables["confusion_matrices"])


def draw_top_confusions(explained: Explained) -> Drawing | None:
    levels = explained.tables["confusion_levels"]
    return classes.draw_top_confusions(levels, explained.noises) if len(levels) else None


def about_top_confusions(explained: Explained) -> str:
    tables = explained.tables
    return classes.about_top_confusions(tables["confusion_tests"], tables["confusion_levels"], explained.confidence)


def draw_pairs(explained: Explained) -> Drawing | None:
    pairs = explained.tables["pairs"]
    return combinations.draw_pairs(pairs, explained.alphabet) if pairs["effect"].notna().any() else None


def about_pairs(explained: Explained) -> str:
    tables = explained.tables
    return combinations.about_pairs(tables["pairs"], tables["spreads"], explained.confidence)


def draw_nothing(explained: Explained) -> None:
    """Repeated characters are told, not drawn."""


def about_repeated(explained: Explained) -> str:
    return combinations.about_repeated(explained.tables["repeated"], explained.confidence)


def draw_texts(explained: Explained) -> Drawing | None:
    texts = explained.tables["texts"]
    return combinations.draw_texts(texts) if texts["shrunk"].notna().any() else None


def about_texts(explained: Explained) -> str:
    spreads = explained.tables["spreads"]
    return combinations.about_texts(explained.tables["texts"], spreads[spreads["what"] == "text"].iloc[0],
                                    explained.confidence)


BREAKDOWN = Figure(
    "breakdown", "Which characters and colours are hard",
    "Share of the characters read right over all conditions, with {interval} intervals.",
    "Two panels of dots: characters above, colours below, one dot per reader.", draw_factors, about_factors,
    numbers=("figures/characters", "figures/colours"))
CLASS_RANKING = Figure(
    "class_ranking", "Which characters are robust",
    "Left the share of noisy (filled) and clean (hollow) renderings read right, right the ranks that the data leave "
    "open, each alone and all at once, with {interval} intervals over glyphs; at the edge the probability of the "
    "place.",
    "Two dot plots with one row per character, the most robust on top.", draw_class_ranking, about_class_ranking,
    "explained", numbers=("explain/class_ranking", "explain/class_places"))
CLASS_LEVELS = Figure(
    "class_levels", "Each character against the level",
    "Share of each character read right, all noise types together, with {interval} intervals over captchas and glyphs.",
    "One panel, one falling line per character.", draw_class_levels, about_class_levels, "explained",
    numbers=("explain/class_levels",))
CLASS_THRESHOLDS = Figure(
    "class_thresholds", "Where half of a character is lost",
    "The level at which each character falls to one half, by noise type, with {interval} intervals over glyphs.",
    "Small panels, one per noise type, one dot per character.", draw_class_thresholds, about_class_thresholds,
    "explained", numbers=("explain/class_thresholds",))
CONFUSIONS = Figure(
    "confusions", "What each noise makes of a character",
    "Errors by noise type: rows are actual characters, columns what they were read as, the last for what was missed; "
    "one scale.", "Small shaded squares, one per noise type.", draw_confusions, about_confusions, "explained",
    numbers=("explain/confusion_matrices",))
TOP_CONFUSIONS = Figure(
    "top_confusions", "The most frequent confusions",
    "Their share of the actual character against the level, one line per noise type, black for all together.",
    "Small panels, one per confusion, one line per noise type.", draw_top_confusions, about_top_confusions, "explained",
    numbers=("explain/confusion_levels", "explain/confusion_tests"))
PAIRS = Figure(
    "pairs", "Neighbours",
    "What a neighbour does to how well a character is read, beyond the character, the condition and the position, "
    "shrunk towards 0 (empirical Bayes); a dot where the {interval} interval leaves out 0.",
    "Two shaded squares: characters down, left or right neighbours across.", draw_pairs, about_pairs, "explained",
    numbers=("explain/pairs",))
REPEATED = Figure("repeated", "Repeated characters", "", "", draw_nothing, about_repeated, "explained",
                  numbers=("explain/repeated",))
TEXTS = Figure(
    "texts", "The best and the worst texts",
    "Share of their renderings read whole, shrunk towards the mean, with {interval} intervals; hollow as it was read, "
    "a bar what their characters alone lead to.",
    "A dot plot with one row per text.", draw_texts, about_texts, "explained",
    numbers=("explain/texts",))

CHAPTER = Chapter(
    "report", "characters", "Which characters and colours are hard?",
    "Whether two of them differ is shown by the contrasts of the regression below.", (BREAKDOWN,))
MORE = Chapter(
    "details", "confusions", "What is taken for what?",
    "Errors of the report's reader, and of the others folded away.",
    (matrix_of(""), own_report, other_readers, pairs_of_characters))
ROBUST = Chapter(
    "details", "robust", "Which characters are robust under noise?",
    "The characters ranked with what the data leave open, their confusions against the clean ones, and whether "
    "neighbours or whole texts matter beyond their characters.",
    (CLASS_RANKING, CLASS_LEVELS, CLASS_THRESHOLDS, CONFUSIONS, TOP_CONFUSIONS, PAIRS, REPEATED, TEXTS))
