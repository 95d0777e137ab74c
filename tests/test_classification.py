"""Precision, recall and F1 against scikit-learn, and the macro F1's interval against resampling and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from operations import steps
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from stages.statistics.classification_report import (
    ClassReport,
    class_report,
    f1_interval,
    macro_scores,
)
from stages.statistics.proportions import clustered_proportion

Ints = NDArray[np.int64]
ROWS = st.integers(1, 6).flatmap(
    lambda A: st.tuples(
        st.just(A),
        st.lists(
            st.tuples(st.integers(1, A), st.integers(0, A), st.integers(0, 4)),
            min_size=1,
            max_size=60,
        ),
    )
)


def columns(rows: list[tuple[int, int, int]]) -> tuple[Ints, Ints, Ints]:
    truth, guess, captcha = np.array(rows, np.int64).T
    return truth, guess, captcha


def readings(rng: np.random.Generator, G: int, each: int, A: int) -> tuple[Ints, Ints, Ints]:
    """G captchas of `each` characters; some captchas are hard, and a wrong character is missed or another."""
    truth = rng.integers(1, A + 1, G * each)
    captcha = np.repeat(np.arange(G), each)
    right = rng.random(G * each) < rng.beta(4, 1, G)[captcha]
    return truth, np.where(right, truth, rng.integers(0, A + 1, G * each)), captcha


@given(ROWS)
def test_the_report_is_that_of_scikit_learn(drawn: tuple[int, list[tuple[int, int, int]]]) -> None:
    A, rows = drawn
    truth, guess, _ = columns(rows)
    labels = np.arange(1, A + 1)
    found = class_report(truth, guess, A)
    expected = precision_recall_fscore_support(truth, guess, labels=labels, zero_division=0)
    for own, theirs in zip(
        (found.precision, found.recall, found.f1, found.support), expected, strict=True
    ):
        np.testing.assert_allclose(own, theirs, atol=1e-12)
    macro = precision_recall_fscore_support(
        truth, guess, labels=labels, zero_division=0, average="macro"
    )
    assert (found.macro_precision, found.macro_recall, found.macro_f1) == pytest.approx(
        macro[:3], abs=1e-12
    )
    assert found.accuracy == pytest.approx(accuracy_score(truth, guess))


def test_a_missed_character_lowers_recall_and_no_precision() -> None:
    """Two characters, of which one of two was missed: worked by hand."""
    found = class_report(np.array([1, 1, 2, 2]), np.array([1, 0, 2, 1]), 2)
    assert found.precision.tolist() == [0.5, 1]
    assert found.recall.tolist() == [0.5, 0.5]
    assert found.f1.tolist() == pytest.approx([0.5, 2 / 3])
    assert found.accuracy == 0.5
    assert len(found.f1) == 2  # missed is no class


def test_a_character_that_never_occurs_and_is_never_read_counts_as_zero() -> None:
    found = class_report(np.array([1, 2]), np.array([1, 2]), 4)
    assert found.f1.tolist() == [1, 1, 0, 0]
    assert found.support.tolist() == [1, 1, 0, 0]
    assert found.macro_f1 == 0.5


def test_a_reader_that_answers_nothing_scores_zero_with_an_interval() -> None:
    scores = macro_scores(np.array([1, 2] * 20), np.zeros(40, int), np.repeat(np.arange(20), 2), 2)
    assert (
        scores["macro_precision"],
        scores["macro_recall"],
        scores["macro_f1"],
        scores["macro_f1_low"],
    ) == (0,) * 4
    assert 0 < scores["macro_f1_high"] < 0.3


def resampled(
    truth: Ints, guess: Ints, captcha: Ints, A: int, draws: int, rng: np.random.Generator
) -> list[float]:
    """Macro F1 of samples of whole captchas, by scikit-learn."""
    rows = [np.flatnonzero(captcha == one) for one in np.unique(captcha)]
    found = []
    for _ in range(draws):
        taken = np.concatenate([rows[one] for one in rng.integers(len(rows), size=len(rows))])
        found.append(
            float(
                f1_score(
                    truth[taken],
                    guess[taken],
                    labels=np.arange(1, A + 1),
                    average="macro",
                    zero_division=0,
                )
            )
        )
    return found


def test_the_interval_is_that_of_resampled_captchas() -> None:
    rng = np.random.default_rng(1)
    truth, guess, captcha = readings(rng, 150, 8, 5)
    scores = macro_scores(truth, guess, captcha, 5)
    low, high = np.quantile(resampled(truth, guess, captcha, 5, 600, rng), [0.025, 0.975])
    assert scores["macro_f1_low"] == pytest.approx(
        low, abs=0.006
    )  # the bootstrap's own error is half of this
    assert scores["macro_f1_high"] == pytest.approx(high, abs=0.006)


def test_glyphs_that_come_back_make_the_interval_wider() -> None:
    truth, guess, captcha = readings(np.random.default_rng(2), 150, 8, 5)
    by_glyph = 2 * truth + (truth == guess)  # what is misread has glyphs of its own
    alone, both, unknown = (
        macro_scores(truth, guess, captcha, 5, glyphs=glyphs)
        for glyphs in (None, by_glyph, np.full(len(truth), -1))
    )
    assert unknown == alone
    assert both["macro_f1_high"] - both["macro_f1_low"] > 1.5 * (
        alone["macro_f1_high"] - alone["macro_f1_low"]
    )


def test_rows_that_err_together_make_the_interval_wider() -> None:
    truth, guess, captcha = readings(np.random.default_rng(2), 150, 8, 5)
    together, apart = (
        macro_scores(truth, guess, cluster, 5) for cluster in (captcha, np.arange(len(truth)))
    )
    assert together["macro_f1"] == apart["macro_f1"]
    wide, narrow = (one["macro_f1_high"] - one["macro_f1_low"] for one in (together, apart))
    assert wide > 1.2 * narrow


@pytest.mark.parametrize("errors", [0, 3])
def test_one_character_read_or_taken_for_the_other_has_nearly_the_interval_of_a_share(
    errors: int,
) -> None:
    """Where both characters fail alike the macro F1 is the accuracy, and so must its interval be."""
    truth = np.tile([1, 2], 60)
    guess = truth.copy()
    guess[: 2 * errors] = 3 - truth[: 2 * errors]
    captcha = np.repeat(np.arange(60), 2)
    estimate, low, high = clustered_proportion(truth == guess, captcha)
    scores = macro_scores(truth, guess, captcha, 2)
    assert [
        scores[name] for name in ("macro_f1", "macro_f1_low", "macro_f1_high")
    ] == pytest.approx([estimate, low, high], abs=1e-3)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    A = 3
    truth, guess, _ = readings(rng, 60_000, 6, A)
    true_value = class_report(truth, guess, A).macro_f1
    covered = 0
    trials = 800
    for _ in range(trials):
        truth, guess, captcha = readings(rng, 50, 6, A)
        scores = macro_scores(truth, guess, captcha, A)
        covered += scores["macro_f1_low"] <= true_value <= scores["macro_f1_high"]
    assert 0.93 < covered / trials < 0.975


@given(ROWS, st.floats(0.5, 0.99))
def test_the_interval_holds_the_estimate_and_stays_in_the_unit_range(
    drawn: tuple[int, list[tuple[int, int, int]]], confidence: float
) -> None:
    A, rows = drawn
    truth, guess, captcha = columns(rows)
    if len(np.unique(captcha)) > 1:
        scores = macro_scores(truth, guess, captcha, A, confidence)
        assert 0 <= scores["macro_f1_low"] <= scores["macro_f1"] + 1e-12
        assert scores["macro_f1"] - 1e-12 <= scores["macro_f1_high"] <= 1


def test_the_order_of_rows_and_the_names_of_captchas_change_nothing() -> None:
    rng = np.random.default_rng(4)
    truth, guess, captcha = readings(rng, 30, 4, 5)
    order = rng.permutation(len(truth))
    names = np.array([f"c{one}" for one in captcha])
    assert macro_scores(truth[order], guess[order], names[order], 5) == pytest.approx(
        macro_scores(truth, guess, captcha, 5)
    )


def test_ten_times_as_many_characters_take_as_many_steps() -> None:
    few, many = (readings(np.random.default_rng(5), captchas, 100, 33) for captchas in (12, 120))
    assert steps(lambda: macro_scores(*many, 33)) == steps(lambda: macro_scores(*few, 33))


@pytest.mark.parametrize(
    ("truth", "guess", "message"),
    [
        ([1, 2], [1], r"truth \(2,\) and guess \(1,\) should be alike"),
        ([], [], "m >= 1"),
        ([0, 1], [1, 1], "truth should lie from 1 to 2, the alphabet's size, got 0 to 1"),
        ([1, 2], [3, 0], "guess should lie from 0 to 2, the alphabet's size, got 0 to 3"),
        ([1.0, 2.0], [1, 2], "truth should be labels, whole numbers, got float64"),
    ],
)
def test_bad_labels_are_refused(truth: list[int], guess: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_report(np.array(truth), np.array(guess), 2)


@pytest.mark.parametrize(
    ("captcha", "confidence", "message"),
    [
        ([7, 7], 0.95, "at least two captchas, got 1"),
        ([1, 2, 3], 0.95, r"captcha \(3,\) and truth \(2,\) should be alike"),
        ([1, 2], 1.0, "confidence should lie between 0 and 1, got 1.0"),
    ],
)
def test_bad_clusters_are_refused(captcha: list[int], confidence: float, message: str) -> None:
    report: ClassReport = class_report(np.array([1, 2]), np.array([1, 2]), 2)
    with pytest.raises(ValueError, match=message):
        f1_interval(np.array([1, 2]), np.array([1, 2]), np.array(captcha), report, confidence)
