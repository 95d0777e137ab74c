"""Calibration and selective prediction against scikit-learn, brute force and simulation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from stages.statistics.calibration import (
    bin_of,
    brier_score,
    calibration_by_group,
    coverage_at,
    coverage_interval,
    expected_calibration_error,
    reliability_curve,
    rms_calibration_error,
    selection,
    squared_calibration_error,
)
from stages.statistics.clustered import error_ratio

# Eighths tie often, and their sums are exact in any order.
rows = st.lists(
    st.tuples(st.integers(0, 8).map(lambda k: k / 8), st.booleans()), min_size=1, max_size=40
)
any_rows = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


def split(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in pairs]), np.array([y for _, y in pairs])


def calibrated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return p, rng.random(n) < p


@pytest.mark.parametrize(("equal", "strategy"), [("mass", "quantile"), ("width", "uniform")])
def test_the_reliability_curve_is_that_of_scikit_learn(equal: Any, strategy: str) -> None:
    p, y = calibrated(600)
    curve = reliability_curve(p, y, 12, equal)
    accuracy, confidence = calibration_curve(y, p, n_bins=12, strategy=strategy)
    np.testing.assert_allclose(curve.accuracy, accuracy, rtol=1e-12)
    np.testing.assert_allclose(curve.confidence, confidence, rtol=1e-12)
    assert curve.count.sum() == 600
    if equal == "mass":
        assert set(curve.count.tolist()) == {50}


def test_bins_of_equal_width_are_closed_above() -> None:
    assert bin_of([0, 0.25, 0.2501, 0.5, 0.75, 1], 4, "width").tolist() == [0, 0, 1, 1, 2, 3]


def test_bins_of_equal_mass_differ_by_a_row_at_most() -> None:
    count = np.bincount(bin_of(np.random.default_rng(2).random(103), 15))
    assert len(count) == 15
    assert np.ptp(count) == 1


def test_equal_confidences_share_a_bin_where_their_mean_rank_is() -> None:
    assert bin_of([0.1, 0.9, 0.9, 0.9, 0.9, 1.0], 3).tolist() == [0, 1, 1, 1, 1, 2]


def by_definition(pairs: list[tuple[float, bool]], bins: int, equal: Any) -> float:
    p, y = split(pairs)
    index = bin_of(p, bins, equal)
    error = 0.0
    for k in range(bins):
        inside = [i for i in range(len(p)) if index[i] == k]
        if inside:
            error += abs(sum(p[i] for i in inside) - sum(y[i] for i in inside)) / len(p)
    return error


@given(any_rows, st.integers(1, 20), st.sampled_from(["mass", "width"]))
def test_the_calibration_error_is_its_definition(
    pairs: list[tuple[float, bool]], bins: int, equal: Any
) -> None:
    p, y = split(pairs)
    error = expected_calibration_error(p, y, bins, equal)
    assert error == pytest.approx(by_definition(pairs, bins, equal), abs=1e-12)
    assert (
        abs(p.mean() - y.mean()) - 1e-12 <= error <= np.abs(p - y).mean() + 1e-12
    )  # one bin, and a bin a row


@given(rows, st.integers(1, 20), st.sampled_from(["mass", "width"]), st.randoms())
def test_the_order_of_rows_never_matters(
    pairs: list[tuple[float, bool]], bins: int, equal: Any, random: Any
) -> None:
    shuffled = random.sample(pairs, len(pairs))
    (p, y) = split(pairs)
    (q, z) = split(shuffled)
    assert expected_calibration_error(p, y, bins, equal) == expected_calibration_error(
        q, z, bins, equal
    )
    assert squared_calibration_error(p, y, bins, equal) == squared_calibration_error(
        q, z, bins, equal
    )
    assert brier_score(p, y) == brier_score(q, z)
    assert repr(coverage_at(p, y, 0.75)) == repr(
        coverage_at(q, z, 0.75)
    )  # an accuracy of none is NaN


def test_the_squared_error_of_a_calibrated_reader_is_unbiased_where_the_plain_one_is_not() -> None:
    plain = []
    squared = []
    for seed in range(600):
        p, y = calibrated(150, seed)
        plain.append(expected_calibration_error(p, y))
        squared.append(squared_calibration_error(p, y))
    assert np.mean(plain) == pytest.approx(0.3 * np.sqrt(15 / 150), rel=0.1)
    assert abs(np.mean(squared)) < 3 * np.std(squared) / np.sqrt(600)
    assert abs(np.mean(squared)) < 0.0006


def test_the_squared_error_is_unbiased_where_the_reader_is_overconfident() -> None:
    """Four confidences, each right less often by a tenth: the squared error is 0.01."""
    rng = np.random.default_rng(3)
    found = []
    p = np.repeat([0.3, 0.5, 0.7, 0.9], 20)
    for _ in range(2000):
        found.append(squared_calibration_error(p, rng.random(80) < p - 0.1, 4))
    assert np.mean(found) == pytest.approx(0.01, abs=3 * np.std(found) / np.sqrt(2000))
    assert rms_calibration_error(p, np.tile([True] * 10 + [False] * 10, 4), 4) == pytest.approx(
        np.sqrt(max(0.0, squared_calibration_error(p, np.tile([True] * 10 + [False] * 10, 4), 4)))
    )


def test_a_bin_of_one_row_is_taken_as_calibrated() -> None:
    assert squared_calibration_error([0.8], [True]) == pytest.approx(0.04 - 0.16)
    assert rms_calibration_error([0.8], [True]) == 0


@given(any_rows)
def test_the_brier_score_is_that_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    p, y = split(pairs)
    expected = brier_score_loss(y, p, pos_label=True, labels=[False, True])
    assert brier_score(p, y) == pytest.approx(expected, abs=1e-15)


def test_a_group_has_the_numbers_of_its_rows_alone() -> None:
    p, y = calibrated(900)
    rng = np.random.default_rng(4)
    noise = rng.choice(["fog", "none", "blur"], 900)
    level = rng.choice([0.2, 0.4], 900)
    groups = calibration_by_group(p, y, noise, level, 10)
    assert [(group.noise, group.level) for group in groups] == sorted(
        itertools.product(set(noise), set(level))
    )
    assert sum(group.n for group in groups) == 900
    for group in groups:
        mine = (noise == group.noise) & (level == group.level)
        assert group.n == mine.sum()
        assert group.accuracy == pytest.approx(y[mine].mean())
        assert group.confidence == pytest.approx(p[mine].mean())
        assert group.ece == pytest.approx(expected_calibration_error(p[mine], y[mine], 10))
        assert group.rms == pytest.approx(rms_calibration_error(p[mine], y[mine], 10))
        assert group.brier == pytest.approx(brier_score(p[mine], y[mine]))


def test_pairs_of_noise_and_level_that_never_meet_have_no_row() -> None:
    groups = calibration_by_group([0.5, 0.6], [1, 0], ["none", "fog"], [0.0, 0.8])
    assert [(group.noise, group.level, group.n) for group in groups] == [
        ("fog", 0.8, 1),
        ("none", 0.0, 1),
    ]


def greedy(pairs: list[tuple[float, bool]], accuracy: float) -> float:
    """The best threshold of all, one by one."""
    best = 0.0
    for threshold in {p for p, _ in pairs}:
        answered = [y for p, y in pairs if p >= threshold]
        if sum(answered) / len(answered) >= accuracy:
            best = max(best, len(answered) / len(pairs))
    return best


@given(rows, st.sampled_from([0.5, 0.75, 0.9, 0.99]))
def test_the_coverage_is_the_best_of_every_threshold(
    pairs: list[tuple[float, bool]], accuracy: float
) -> None:
    p, y = split(pairs)
    found = coverage_at(p, y, accuracy)
    assert found.coverage == greedy(pairs, accuracy)
    again = selection(p, y, found.threshold)
    assert again.coverage == found.coverage
    if found.coverage:
        assert again.accuracy == found.accuracy >= accuracy
    else:
        assert np.isnan(found.accuracy)
        assert found.threshold == np.inf


def test_ninety_nine_of_a_hundred_are_right_99_percent_of_the_time() -> None:
    y = np.ones(200)
    y[[5, 150]] = 0
    assert coverage_at(np.linspace(1, 0, 200), y, 0.99).coverage == 1


def test_a_constant_confidence_answers_all_or_nothing() -> None:
    p = np.full(10, 0.7)
    y = np.array([1] * 9 + [0])
    assert coverage_at(p, y, 0.9).coverage == 1
    assert coverage_at(p, y, 0.95).coverage == 0
    assert len(reliability_curve(p, y).count) == 1
    assert expected_calibration_error(p, y) == pytest.approx(0.2)


def test_all_right_needs_no_declining_and_all_wrong_leaves_nothing() -> None:
    p = np.linspace(0.1, 1, 10)
    assert coverage_at(p, np.ones(10)).coverage == 1
    assert coverage_at(p, np.zeros(10)).coverage == 0
    assert expected_calibration_error(p, np.ones(10), 1) == pytest.approx(1 - p.mean())
    assert expected_calibration_error(p, np.zeros(10), 1) == pytest.approx(p.mean())


def clustered(G: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eight renderings of each of G captchas, as sure as they are alike."""
    ease = np.repeat(rng.beta(4, 1, G), 8)
    p = np.clip(ease + rng.normal(0, 0.05, 8 * G), 0, 1)
    return p, rng.random(8 * G) < ease, np.repeat(np.arange(G), 8)


def test_the_interval_holds_the_coverage_and_repeats_with_its_generator() -> None:
    p, y, cluster = clustered(60, np.random.default_rng(5))
    found = coverage_interval(p, y, cluster, 0.9, draws=300, rng=np.random.default_rng(6))
    assert found[1] < found[0] == coverage_at(p, y, 0.9).coverage < found[2]
    assert found == coverage_interval(p, y, cluster, 0.9, draws=300, rng=np.random.default_rng(6))


def test_resampling_a_captcha_is_repeating_its_rows() -> None:
    """Each draw's coverage is that of the resample written out, row by row."""
    rng = np.random.default_rng(7)
    p, y, cluster = rng.permutation(np.array(clustered(6, rng)), axis=1)
    drawn = [
        coverage_at(np.repeat(p, times), np.repeat(y, times), 0.8).coverage
        for times in np.random.default_rng(8).multinomial(6, np.full(6, 1 / 6), size=41)[
            :, cluster.astype(int)
        ]
    ]
    found = coverage_interval(p, y, cluster, 0.8, draws=41, rng=np.random.default_rng(8))
    assert found[1:] == (sorted(drawn)[1], sorted(drawn)[39])


def test_characters_that_agree_within_a_captcha_widen_the_interval() -> None:
    """Each row eight times is no more evidence than once, and the interval sees it where the clusters say so."""
    p, y, _ = clustered(25, np.random.default_rng(8))
    once = coverage_interval(p, y, np.arange(200), 0.9, draws=500, rng=np.random.default_rng(9))
    p, y, cluster = np.repeat(p, 8), np.repeat(y, 8), np.repeat(np.arange(200), 8)
    together = coverage_interval(p, y, cluster, 0.9, draws=500, rng=np.random.default_rng(9))
    apart = coverage_interval(p, y, np.arange(1600), 0.9, draws=500, rng=np.random.default_rng(9))
    assert together == once
    assert together[2] - together[1] > 1.5 * (apart[2] - apart[1])


def shared_glyphs(
    rng: np.random.Generator, captchas: int = 250, glyphs: int = 250, T: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, success, captcha and glyphs of four renderings each, where some glyphs are misread for sure."""
    drawn = rng.integers(glyphs, size=(captchas, T))
    hard = 0.6 * rng.normal(size=glyphs)[drawn].sum(axis=1)
    captcha = np.repeat(np.arange(captchas), 4)
    level = rng.normal(size=4 * captchas)
    success = (hard[captcha] + 2 * level + rng.normal(size=4 * captchas) > -1).astype(int)
    return expit(2 * level + 1), success, captcha, drawn[captcha]


def test_the_interval_covers_where_glyphs_come_back_and_by_captcha_alone_does_not() -> None:
    rng = np.random.default_rng(21)
    p, y, *_ = shared_glyphs(rng, captchas=100_000, glyphs=20_000)
    truth = coverage_at(p, y, 0.9).coverage
    held = np.zeros(2)
    for _ in range(300):
        p, y, captcha, glyphs = shared_glyphs(rng)
        for way, known in enumerate((glyphs, None)):
            _, low, high = coverage_interval(
                p,
                y,
                captcha,
                0.9,
                draws=200,
                rng=rng,
                error_ratio=partial(error_ratio, captcha=captcha, glyphs=known),
            )
            held[way] += low <= truth <= high
    assert 0.93 <= held[0] / 300 <= 0.97
    assert held[1] / 300 < 0.91  # 0.945 and 0.88 in 800 trials


SCORES: list[Callable[..., object]] = [
    expected_calibration_error,
    squared_calibration_error,
    brier_score,
    reliability_curve,
    coverage_at,
]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("confidence", "success", "message"),
    [
        ([], [], "with a row at least"),
        ([0.5, 0.5], [1], "should be alike"),
        ([[0.5]], [[1]], "should be alike"),
        ([0.5, 1.2], [1, 0], "from 0 to 1, got 1.2"),
        ([-0.1], [1], "from 0 to 1, got -0.1"),
        ([0.5, np.nan], [1, 0], "from 0 to 1, got nan"),
        ([0.5], [0.5], "should be 0 or 1, got 0.5"),
        ([0.5], [np.nan], "should be 0 or 1, got nan"),
    ],
)
def test_bad_rows_are_refused(
    score: Callable[..., object], confidence: Any, success: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score(confidence, success)


@pytest.mark.parametrize("score", SCORES)
def test_one_row_is_enough(score: Callable[..., object]) -> None:
    score([0.5], [True])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bin_of([0.5], 0), "bins should be 1 or more of equal mass or width, got 0"),
        (
            lambda: bin_of([0.5], 3, "size"),  # type: ignore[arg-type]
            "got 3 of equal size",
        ),
        (lambda: calibration_by_group([0.5], [1], ["a", "b"], [0.1]), "a value for each of 1 rows"),
        (lambda: coverage_at([0.5], [1], 1.0), "accuracy should lie between 0 and 1, got 1.0"),
        (
            lambda: coverage_interval([0.5], [1], [0], rng=np.random.default_rng(0)),
            "two captchas at least",
        ),
    ],
)
def test_bad_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
