"""Characters: which are robust, what is confused, which combinations are read best and worst.

All of it comes from the predictions, without the reader.
"""

from __future__ import annotations

from stages.explanations.inputs import Inputs
from stages.explanations.part_findings import Findings, join_findings
from stages.insight.character_accuracy import character_accuracy_by_level, thresholds_by_character
from stages.insight.character_ranking import class_headlines, ranking
from stages.insight.combinations import best_and_worst, combination_headlines, combination_tests
from stages.insight.confusions import (
    confusion_headlines,
    confusion_matrices,
    confusion_tests,
    confusions_by_level,
    frequent,
)

CONFUSIONS = 6  # that are followed through the levels
EXTREMES = 12  # best and worst combinations
MIN_DRAWS = 1000  # of the ranking


def findings(inputs: Inputs) -> Findings:
    """What the predictions show of single characters and of their surroundings."""
    return join_findings([robustness(inputs), confusion(inputs), combination(inputs)])


def robustness(inputs: Inputs) -> Findings:
    """Accuracy of each character by level, the level at which half is lost, and the ranking."""
    rows = inputs.characters
    alphabet = inputs.alphabet
    confidence = inputs.confidence
    draws = inputs.draws
    seed = inputs.seed("classes")
    levels = character_accuracy_by_level(rows, alphabet, confidence=confidence)
    thresholds = thresholds_by_character(
        rows, alphabet, confidence=confidence, draws=draws, seed=seed
    )
    order = ranking(rows, alphabet, confidence=confidence, draws=max(MIN_DRAWS, draws), seed=seed)
    tables = {
        "class_levels": levels,
        "class_thresholds": thresholds,
        "class_ranking": order.table,
        "class_places": order.rows(),
    }
    return Findings(tables, class_headlines(order, thresholds))


def confusion(inputs: Inputs) -> Findings:
    """What is read as what, and which confusions noise makes more frequent."""
    rows = inputs.characters
    confidence = inputs.confidence
    matrices = confusion_matrices(rows, inputs.alphabet)
    tests = confusion_tests(rows, inputs.alphabet, confidence=confidence)
    levels = confusions_by_level(rows, frequent(tests, CONFUSIONS), confidence=confidence)
    tables = {
        "confusion_matrices": matrices,
        "confusion_tests": tests,
        "confusion_levels": levels,
    }
    return Findings(tables, confusion_headlines(tests, matrices))


def combination(inputs: Inputs) -> Findings:
    """Whether neighbours and repetitions matter, and the best and worst pairs and texts."""
    rows = inputs.characters
    confidence = inputs.confidence
    tests, effects = combination_tests(rows, inputs.alphabet, confidence=confidence)
    ends = best_and_worst(rows, inputs.alphabet, confidence=confidence, count=EXTREMES)
    tables = {"combination_tests": tests, "combination_effects": effects, "combinations": ends}
    return Findings(tables, combination_headlines(tests, effects, ends))
