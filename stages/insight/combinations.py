"""Which combinations of characters are read best and worst, and whether a character's surroundings matter.

Characters are those of stages.insight.character_accuracy. Two questions:

    tests      success ~ place + digit + left + right + repeated, by the study's regression with errors clustered by
               captcha and glyph: does a neighbour, or a repetition, change how well the character itself is read?
               Every captcha is read under every condition, so that conditions cancel.
    extremes   the pairs of neighbours and the whole texts with the largest and the smallest share read right. They are
               chosen among many, so that luck has its part in the ends; nothing is shrunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.insight.character_accuracy import check_characters
from stages.schemas.explain import CombinationEffects, Combinations, CombinationTests
from stages.schemas.predict import Predictions
from stages.statistics.clustered import fewest_clusters
from stages.statistics.design_matrix import Factor, Variables, make_factor
from stages.statistics.formulas import parse_formula
from stages.statistics.proportions import clustered_proportion
from stages.statistics.regression import Clusters, Regression, estimate
from stages.statistics.sample import Sample
from stages.statistics.significance import Test, adjusted

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# terms of the regression that are not tested
DIGIT = "digit"
PLACE = "place"
LEFT = "left"
RIGHT = "right"
REPEATED = "repeated"
SURROUNDINGS = (LEFT, RIGHT, REPEATED)
REPETITIONS = ("once", "apart", "adjacent")  # of repetition, the first the reference
FEWEST = 5  # captchas of a pair that is compared
ONE_DRAWING = "drawn once: the interval is over its renderings"


def surroundings_of(characters: pd.DataFrame, alphabet: str) -> dict[str, Factor]:
    """What stands around each character (m rows): digit, place, left, right and repeated, as factors.

    A character at an end of its text has no neighbour there: its place marks that, and its neighbour counts as the
    reference. It is repeated "adjacent" where a neighbour is the same, "apart" where it comes elsewhere in the text.
    """
    found: dict[str, list[str]] = {name: [] for name in (DIGIT, PLACE, *SURROUNDINGS)}
    positions = characters[Predictions.position].astype(int)
    for text, at in zip(characters[Predictions.text].astype(str), positions, strict=True):
        found[DIGIT].append(text[at])
        found[PLACE].append(f"{at + 1}" if at + 1 < len(text) else f"{at + 1}, the last")
        found[LEFT].append(text[at - 1] if at else "")
        found[RIGHT].append(text[at + 1 : at + 2])
        found[REPEATED].append(_repeated(text, at))
    categories = {PLACE: sorted(set(found[PLACE])), REPEATED: list(REPETITIONS)}
    factors = {}
    for name, values in found.items():
        known = categories.get(name, list(alphabet))
        first = next((one for one in known if one in values), known[0])
        codes = pd.Index(known).get_indexer([value or first for value in values])
        factors[name] = make_factor(name, codes, known, first)
    return factors


def _repeated(text: str, at: int) -> str:
    """The kind of repetition of the character at a position."""
    if text[at] in (text[at - 1 : at], text[at + 1 : at + 2]):
        return "adjacent"
    return "apart" if text.count(text[at]) > 1 else "once"


def combination_tests(
    characters: pd.DataFrame, alphabet: str, *, confidence: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Joint tests that neighbours and repetitions do not matter (CombinationTests), and the coefficients behind them
    (CombinationEffects). A term without a test has a note. Raises ValueError as check_characters does."""
    check_characters(characters, alphabet)
    try:
        fit = _regression(characters, alphabet)
    except ValueError as error:  # too few captchas, or surroundings that go together
        return _tests({}, dict.fromkeys(SURROUNDINGS, str(error))), pd.DataFrame(
            columns=CombinationEffects.names()
        )
    reasons = {one.term: one.reason for one in fit.design.dropped}
    table = _tests({term: fit.tests.get(term) for term in SURROUNDINGS}, reasons)
    rows = [
        [column.term, column.category, fit.design.references[column.term], beta, *ends, p]
        for column, beta, ends, p in zip(
            fit.columns, fit.fit.beta, fit.fit.interval(confidence), fit.p, strict=True
        )
        if column.term in SURROUNDINGS
    ]
    return table, pd.DataFrame(rows, columns=CombinationEffects.names())


def _regression(characters: pd.DataFrame, alphabet: str) -> Regression:
    factors = surroundings_of(characters, alphabet)
    captcha = characters[Predictions.captcha].to_numpy(np.int64)
    glyph = characters[Predictions.glyph].to_numpy(np.int64)
    sample = Sample(
        Variables(factors, {}, len(captcha)),
        characters[Predictions.success].to_numpy(np.uint8),
        captcha,
    )
    clusters = (
        Clusters(("captcha",), (captcha,))
        if (glyph < 0).any()
        else Clusters(("captcha", "glyph"), (captcha, glyph))
    )
    terms = parse_formula(" + ".join(factors), list(factors), {}, "combinations")
    return estimate(
        "combinations",
        "reader",
        terms,
        sample,
        clusters,
        confirm=False,
        rng=np.random.default_rng(0),
    )


def _tests(found: Mapping[str, Test | None], reasons: Mapping[str, str]) -> pd.DataFrame:
    """One row per term; p adjusted for those that could be tested."""
    rows: list[list[object]] = []
    for term in SURROUNDINGS:
        test = found.get(term)
        if test is None:
            note = reasons.get(term, "there are too few captchas to tell")
            rows.append([term, np.nan, 0, 0, np.nan, np.nan, note])
        else:
            rows.append([term, test.F, test.df1, test.df2, float(np.exp(test.log_p)), np.nan, ""])
    table = pd.DataFrame(rows, columns=CombinationTests.names())
    table[CombinationTests.p_holm] = adjusted(table[CombinationTests.p].to_numpy(float), "holm")
    return table


@dataclass(frozen=True)
class Shown:
    """m times that a combination was shown."""

    combination: NDArray[np.str_]  # (m,)
    right: Bools  # (m,) whether all of its characters were read right
    expected: Floats  # (m,) chance of that, from its characters alone
    captcha: Ints  # (m,)
    glyphs: Ints | None  # (m, T), None where unknown


def shown_combinations(characters: pd.DataFrame) -> dict[str, Shown]:
    """All pairs of neighbours and all texts, each time that they were shown.

    A character alone is right as often as it is under that condition anywhere, independently of the others.
    """
    key = [Predictions.captcha, Predictions.condition, Predictions.position]
    rows = characters.sort_values(key, kind="stable").reset_index(drop=True)
    right = rows[Predictions.success].to_numpy(bool)
    same = [rows[Predictions.truth].astype(str), rows[Predictions.condition]]
    alone = rows[Predictions.success].astype(float).groupby(same).transform("mean")
    typical = alone.to_numpy(float)
    truth = rows[Predictions.truth].to_numpy(str)
    captcha = rows[Predictions.captcha].to_numpy(np.int64)
    glyph = rows[Predictions.glyph].to_numpy(np.int64)
    starts = np.flatnonzero(rows[Predictions.position] == 0)
    first = np.setdiff1d(np.arange(len(rows)), [*(starts - 1), len(rows) - 1])  # of a pair
    pairs = np.stack([first, first + 1], axis=1)
    names = np.strings.add(truth[pairs[:, 0]], truth[pairs[:, 1]])
    glyphs = None if (glyph < 0).any() else glyph[pairs]
    both_right = right[pairs].all(axis=1)
    texts = rows.loc[starts, Predictions.text].to_numpy(str)
    whole = texts == rows.loc[starts, Predictions.reading].to_numpy(str)
    expected = np.multiply.reduceat(typical, starts)
    return {
        "pair": Shown(names, both_right, typical[pairs].prod(axis=1), captcha[first], glyphs),
        "text": Shown(texts, whole, expected, captcha[starts], None),
    }


def best_and_worst(
    characters: pd.DataFrame, alphabet: str, *, confidence: float, count: int = 12
) -> pd.DataFrame:
    """The `count` pairs and texts that are read best, and worst, by their raw shares (Combinations).

    Pairs of fewer than FEWEST captchas are left out, unless all are. Intervals are clustered by captcha and glyph,
    those of a text by captcha; a text of a single captcha has an interval over its renderings, which does not extend to
    another drawing of it. Raises ValueError as check_characters does.
    """
    check_characters(characters, alphabet)
    rows: list[list[object]] = []
    for kind, shown in shown_combinations(characters).items():
        rows += _ends(kind, shown, confidence, count)
    return pd.DataFrame(rows, columns=Combinations.names())


def _ends(kind: str, shown: Shown, confidence: float, count: int) -> list[list[object]]:
    names, group = np.unique(shown.combination, return_inverse=True)
    times = np.bincount(group, minlength=len(names))
    share = np.bincount(group, shown.right, len(names)) / np.maximum(times, 1)
    captchas = np.bincount(
        np.unique(np.stack([group, shown.captcha]), axis=1)[0], minlength=len(names)
    )
    often = captchas >= FEWEST if kind == "pair" else np.ones(len(names), bool)
    order = np.argsort(-share, kind="stable")
    order = order[often[order]] if often.any() else order
    few = min(count, len(order) // 2)
    best = range(max(few, min(1, len(order))))
    worst = range(len(order) - few, len(order))
    rows: list[list[object]] = []
    for end, place in [*(("best", at) for at in best), *(("worst", at) for at in worst)]:
        one = order[place]
        own = group == one
        counts = (captchas[one], times[one], share[one])
        *interval, note = _interval(shown, own, confidence)
        expected = shown.expected[own].mean()
        head = (kind, end, place + 1, names[one])
        rows.append([*head, *counts, *interval, expected, len(order), note])
    return rows


def _interval(shown: Shown, own: Bools, confidence: float) -> tuple[float, float, str]:
    """The interval of the share of one combination, and what it holds for."""
    right = shown.right[own]
    captcha = shown.captcha[own]
    glyphs = None if shown.glyphs is None else shown.glyphs[own]
    note = ""
    if len(np.unique(captcha)) == 1:
        captcha = np.arange(len(right))
        glyphs = None
        note = ONE_DRAWING
    if len(right) < 2 or (glyphs is not None and fewest_clusters(captcha, glyphs) < 2):
        return np.nan, np.nan, "too few renderings for an interval"
    return *clustered_proportion(right, captcha, glyphs, confidence=confidence)[1:], note


def combination_headlines(
    tests: pd.DataFrame, effects: pd.DataFrame, ends: pd.DataFrame
) -> dict[str, float]:
    """The finite ones of: neighbours_left_p, neighbours_right_p and neighbours_repeated_p (Holm's); repeat_apart and
    repeat_adjacent (effect against a character that stands once); pair_best, pair_worst, text_best and text_worst."""
    values = {
        f"neighbours_{row[CombinationTests.term]}_p": row[CombinationTests.p_holm]
        for row in tests.to_dict("records")
    }
    for row in effects[effects[CombinationEffects.term] == REPEATED].to_dict("records"):
        values[f"repeat_{row[CombinationEffects.category]}"] = row[CombinationEffects.effect]
    for kind, own in ends.groupby(Combinations.kind):
        values[f"{kind}_best"] = own[Combinations.accuracy].iloc[0]
        values[f"{kind}_worst"] = own[Combinations.accuracy].iloc[-1]
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}
