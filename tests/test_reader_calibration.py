"""Calibration against scikit-learn, torch, brute force and simulation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit, log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from stages.reader import decoding
from stages.reader.alignment import MISSED, align
from stages.reader.calibration import (
    bin_of,
    brier_decomposition,
    brier_score,
    calibration_by_group,
    captcha_confidence,
    coverage_at,
    coverage_interval,
    expected_calibration_error,
    reliability_curve,
    risk_coverage,
    rms_calibration_error,
    selection,
    squared_calibration_error,
)
from stages.reader.temperature import TEMPERATURES, fit_temperature, peaks
from stages.statistics.clustered import error_ratio

# Eighths tie often, and their sums are exact in any order.
rows = st.lists(st.tuples(st.integers(0, 8).map(lambda k: k / 8), st.booleans()), min_size=1, max_size=40)
any_rows = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)
ctc_logits = arrays.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(2, 4)),
                           elements=st.floats(-8, 8))


def split(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in pairs]), np.array([y for _, y in pairs])


def calibrated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return p, rng.random(n) < p


def gaussian_logits(n: int = 4000, classes: int = 5, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels are drawn from their own softmax: calibrated by construction."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, classes)) * 2
    return z, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


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
    index, error = bin_of(p, bins, equal), 0.0
    for k in range(bins):
        inside = [i for i in range(len(p)) if index[i] == k]
        if inside:
            error += abs(sum(p[i] for i in inside) - sum(y[i] for i in inside)) / len(p)
    return error


@given(any_rows, st.integers(1, 20), st.sampled_from(["mass", "width"]))
def test_the_calibration_error_is_its_definition(pairs: list[tuple[float, bool]], bins: int, equal: Any) -> None:
    p, y = split(pairs)
    error = expected_calibration_error(p, y, bins, equal)
    assert error == pytest.approx(by_definition(pairs, bins, equal), abs=1e-12)
    assert abs(p.mean() - y.mean()) - 1e-12 <= error <= np.abs(p - y).mean() + 1e-12  # one bin, and a bin a row


@given(rows, st.integers(1, 20), st.sampled_from(["mass", "width"]), st.randoms())
def test_the_order_of_rows_never_matters(pairs: list[tuple[float, bool]], bins: int, equal: Any, random: Any) -> None:
    shuffled = random.sample(pairs, len(pairs))
    (p, y), (q, z) = split(pairs), split(shuffled)
    assert expected_calibration_error(p, y, bins, equal) == expected_calibration_error(q, z, bins, equal)
    assert squared_calibration_error(p, y, bins, equal) == squared_calibration_error(q, z, bins, equal)
    assert brier_score(p, y) == brier_score(q, z)
    one, other = risk_coverage(p, y), risk_coverage(q, z)
    assert one.area == other.area
    assert one.risk.tolist() == other.risk.tolist()
    assert repr(coverage_at(p, y, 0.75)) == repr(coverage_at(q, z, 0.75))  # an accuracy of none is NaN


def test_the_squared_error_of_a_calibrated_reader_is_unbiased_where_the_plain_one_is_not() -> None:
    plain, squared = [], []
    for seed in range(600):
        p, y = calibrated(150, seed)
        plain.append(expected_calibration_error(p, y))
        squared.append(squared_calibration_error(p, y))
    assert np.mean(plain) == pytest.approx(0.3 * np.sqrt(15 / 150), rel=0.1)
    assert abs(np.mean(squared)) < 3 * np.std(squared) / np.sqrt(600)
    assert abs(np.mean(squared)) < 0.0006


def test_the_squared_error_is_unbiased_where_the_reader_is_overconfident() -> None:
    """Four confidences, each right less often by a tenth: the squared error is 0.01."""
    rng, found = np.random.default_rng(3), []
    p = np.repeat([0.3, 0.5, 0.7, 0.9], 20)
    for _ in range(2000):
        found.append(squared_calibration_error(p, rng.random(80) < p - 0.1, 4))
    assert np.mean(found) == pytest.approx(0.01, abs=3 * np.std(found) / np.sqrt(2000))
    assert rms_calibration_error(p, np.tile([True] * 10 + [False] * 10, 4), 4) == pytest.approx(
        np.sqrt(max(0.0, squared_calibration_error(p, np.tile([True] * 10 + [False] * 10, 4), 4))))


def test_a_bin_of_one_row_is_taken_as_calibrated() -> None:
    assert squared_calibration_error([0.8], [True]) == pytest.approx(0.04 - 0.16)
    assert rms_calibration_error([0.8], [True]) == 0


@given(any_rows)
def test_the_brier_score_is_that_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    p, y = split(pairs)
    expected = brier_score_loss(y, p, pos_label=True, labels=[False, True])
    assert brier_score(p, y) == pytest.approx(expected, abs=1e-15)


@given(any_rows, st.one_of(st.none(), st.integers(1, 20)), st.sampled_from(["mass", "width"]))
def test_the_parts_of_the_brier_score_add_up(pairs: list[tuple[float, bool]], bins: int | None, equal: Any) -> None:
    parts = brier_decomposition(*split(pairs), bins, equal)
    whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    assert parts.score == pytest.approx(whole, abs=1e-12)
    assert min(parts.reliability, parts.resolution) >= 0
    assert parts.resolution <= parts.uncertainty + 1e-12
    assert parts.uncertainty <= 0.25
    if bins is None:
        assert parts.within == 0


def test_the_parts_are_those_of_a_table_by_hand() -> None:
    """Ten forecasts of 0.2, of which one came true, and ten of 0.8, of which six did."""
    p = np.repeat([0.2, 0.8], 10)
    y = np.array([1] * 1 + [0] * 9 + [1] * 6 + [0] * 4)
    parts = brier_decomposition(p, y)
    assert parts.reliability == pytest.approx((0.1**2 + 0.2**2) / 2)
    assert parts.resolution == pytest.approx(0.25**2)
    assert parts.uncertainty == pytest.approx(0.35 * 0.65)
    assert brier_decomposition(p, y, 2).reliability == pytest.approx(parts.reliability)


def test_a_group_has_the_numbers_of_its_rows_alone() -> None:
    p, y = calibrated(900)
    rng = np.random.default_rng(4)
    noise, level = rng.choice(["fog", "none", "blur"], 900), rng.choice([0.2, 0.4], 900)
    groups = calibration_by_group(p, y, noise, level, 10)
    assert [(group.noise, group.level) for group in groups] == sorted(itertools.product(set(noise), set(level)))
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
    assert [(group.noise, group.level, group.n) for group in groups] == [("fog", 0.8, 1), ("none", 0.0, 1)]


def greedy(pairs: list[tuple[float, bool]], accuracy: float) -> float:
    """The best threshold of all, one by one."""
    best = 0.0
    for threshold in {p for p, _ in pairs}:
        answered = [y for p, y in pairs if p >= threshold]
        if sum(answered) / len(answered) >= accuracy:
            best = max(best, len(answered) / len(pairs))
    return best


@given(rows, st.sampled_from([0.5, 0.75, 0.9, 0.99]))
def test_the_coverage_is_the_best_of_every_threshold(pairs: list[tuple[float, bool]], accuracy: float) -> None:
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


@given(rows)
def test_the_curve_ends_at_the_error_rate_and_its_points_are_thresholds(pairs: list[tuple[float, bool]]) -> None:
    p, y = split(pairs)
    curve = risk_coverage(p, y)
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(1 - y.mean())
    assert (np.diff(curve.coverage) > 0).all()
    assert (np.diff(curve.threshold) < 0).all()
    for coverage, risk, threshold in zip(curve.coverage, curve.risk, curve.threshold, strict=True):
        assert coverage == pytest.approx((p >= threshold).mean())
        assert risk == pytest.approx(1 - y[p >= threshold].mean())
    assert -1e-12 <= curve.area <= 1 + 1e-12


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.booleans()), min_size=1, max_size=6))
def test_the_area_is_its_mean_over_the_orders_of_equals(pairs: list[tuple[float, bool]]) -> None:
    areas = []
    for order in itertools.permutations(pairs):
        if all(one[0] >= other[0] for one, other in itertools.pairwise(order)):
            wrong = np.cumsum([not y for _, y in order])
            areas.append((wrong / np.arange(1, len(order) + 1)).mean())
    assert risk_coverage(*split(pairs)).area == pytest.approx(np.mean(areas))


def test_a_constant_confidence_answers_all_or_nothing() -> None:
    p, y = np.full(10, 0.7), np.array([1] * 9 + [0])
    curve = risk_coverage(p, y)
    assert (curve.coverage.tolist(), curve.risk.tolist()) == ([1.0], pytest.approx([0.1]))
    assert curve.area == pytest.approx(0.1)
    assert coverage_at(p, y, 0.9).coverage == 1
    assert coverage_at(p, y, 0.95).coverage == 0
    assert len(reliability_curve(p, y).count) == 1
    assert expected_calibration_error(p, y) == pytest.approx(0.2)


def test_all_right_needs_no_declining_and_all_wrong_leaves_nothing() -> None:
    p = np.linspace(0.1, 1, 10)
    assert coverage_at(p, np.ones(10)).coverage == 1
    assert risk_coverage(p, np.ones(10)).area == 0
    assert coverage_at(p, np.zeros(10)).coverage == 0
    assert risk_coverage(p, np.zeros(10)).area == 1
    assert expected_calibration_error(p, np.ones(10), 1) == pytest.approx(1 - p.mean())
    assert expected_calibration_error(p, np.zeros(10), 1) == pytest.approx(p.mean())


def test_captchas_have_the_product_of_their_characters_and_none_where_nothing_was_read() -> None:
    found = captcha_confidence([0.5, 0.9, 0.8, 0.5], [2, 0, 2, 2], 4)
    np.testing.assert_allclose(found, [0.9, 0, 0.2, 0])
    assert captcha_confidence([], np.array([], int), 2).tolist() == [0, 0]


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
    narrow = coverage_interval(p, y, cluster, 0.9, level=0.5, draws=300, rng=np.random.default_rng(6))
    assert found[1] < narrow[1] < narrow[2] < found[2]


def test_resampling_a_captcha_is_repeating_its_rows() -> None:
    """Each draw's coverage is that of the resample written out, row by row."""
    rng = np.random.default_rng(7)
    p, y, cluster = rng.permutation(np.array(clustered(6, rng)), axis=1)
    drawn = [coverage_at(np.repeat(p, times), np.repeat(y, times), 0.8).coverage for times in
             np.random.default_rng(8).multinomial(6, np.full(6, 1 / 6), size=41)[:, cluster.astype(int)]]
    found = coverage_interval(p, y, cluster, 0.8, level=0.5, draws=41, rng=np.random.default_rng(8))
    assert found[1:] == (sorted(drawn)[10], sorted(drawn)[30])


def test_characters_that_agree_within_a_captcha_widen_the_interval() -> None:
    """Each row eight times is no more evidence than once, and the interval sees it where the clusters say so."""
    p, y, _ = clustered(25, np.random.default_rng(8))
    once = coverage_interval(p, y, np.arange(200), 0.9, draws=500, rng=np.random.default_rng(9))
    p, y, cluster = np.repeat(p, 8), np.repeat(y, 8), np.repeat(np.arange(200), 8)
    together = coverage_interval(p, y, cluster, 0.9, draws=500, rng=np.random.default_rng(9))
    apart = coverage_interval(p, y, np.arange(1600), 0.9, draws=500, rng=np.random.default_rng(9))
    assert together == once
    assert together[2] - together[1] > 1.5 * (apart[2] - apart[1])


def shared_glyphs(rng: np.random.Generator, captchas: int = 250, glyphs: int = 250,
                  T: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
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
            _, low, high = coverage_interval(p, y, captcha, 0.9, draws=200, rng=rng, error_ratio=partial(
                error_ratio, captcha=captcha, glyphs=known))
            held[way] += low <= truth <= high
    assert 0.93 <= held[0] / 300 <= 0.97
    assert held[1] / 300 < 0.91  # 0.945 and 0.88 in 800 trials


def test_calibrated_logits_need_no_temperature() -> None:
    assert fit_temperature(*gaussian_logits(40_000)) == pytest.approx(1, abs=0.02)


@settings(deadline=None)
@given(st.floats(0.3, 4))
def test_logits_times_a_factor_need_a_temperature_times_it(factor: float) -> None:
    z, y = gaussian_logits(500)
    assert fit_temperature(factor * z, y) == pytest.approx(factor * fit_temperature(z, y), rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_the_temperature_is_the_best_of_many(seed: int, shift: float) -> None:
    z, y = gaussian_logits(60, 4, seed)
    z = np.exp(shift / 3) * z
    fitted = fit_temperature(z + 100, y)  # a constant on all classes is no evidence

    def loss(temperature: float) -> float:
        return float(-log_softmax(z / temperature, axis=1)[np.arange(60), y].mean())

    assert TEMPERATURES[0] <= fitted <= TEMPERATURES[1]
    assert loss(fitted) <= min(loss(t) for t in np.geomspace(*TEMPERATURES, 200)) + 1e-12
    assert (softmax(z / fitted, axis=1).argmax(axis=1) == z.argmax(axis=1)).all()


def test_without_a_best_temperature_an_end_comes_back() -> None:
    z, _ = gaussian_logits(50)
    assert fit_temperature(z, z.argmax(axis=1)) == TEMPERATURES[0]
    assert fit_temperature(z, z.argmin(axis=1)) == TEMPERATURES[1]


def test_a_temperature_mends_an_overconfident_reader() -> None:
    z, y = gaussian_logits(6000)
    z = 3 * z
    fitted = fit_temperature(z[:3000], y[:3000])
    errors, scores = [], []
    for temperature in (1, fitted):
        posterior = softmax(z[3000:] / temperature, axis=1)
        right = posterior.argmax(axis=1) == y[3000:]
        errors.append(expected_calibration_error(posterior.max(axis=1), right))
        scores.append(brier_decomposition(posterior.max(axis=1), right, 15).reliability)
    assert errors[1] < 0.03 < 0.15 < errors[0]
    assert scores[1] < scores[0] / 20


def slow_peaks(posterior: np.ndarray, truth: list[int]) -> tuple[list[int], list[int]]:
    """Columns and classes of one text, column by column."""
    columns: list[int] = []
    read: list[int] = []
    before = 0
    for t, column in enumerate(posterior):
        best = int(column.argmax())
        if best and best == before:
            columns[-1] = max(columns[-1], t, key=lambda k: (posterior[k, best], -k))
        elif best:
            columns.append(t)
            read.append(best)
        before = best
    classes = [0] * len(read)
    for label, answer in zip(truth, align(truth, read), strict=True):
        if answer != MISSED:
            classes[answer] = label
    return columns, classes


@given(ctc_logits, st.integers(0, 10_000))
def test_peaks_are_where_the_confidences_come_from(values: np.ndarray, seed: int) -> None:
    rng, z = np.random.default_rng(seed), values.astype(np.float32)
    labels = rng.integers(1, z.shape[2], (len(z), 3))
    labels[np.arange(3) >= rng.integers(0, 4, len(z))[:, None]] = 0
    columns, classes = peaks(z, labels)
    expected = [slow_peaks(decoding.softmax(z)[i], labels[i][labels[i] > 0].tolist()) for i in range(len(z))]
    assert classes.tolist() == [k for _, found in expected for k in found]
    assert columns.tolist() == [z[i, t].tolist() for i, (found, _) in enumerate(expected) for t in found]
    read = decoding.decode_ctc(z)
    np.testing.assert_allclose(softmax(columns, axis=1).max(axis=1), read.confidence[read.labels > 0], rtol=1e-5)


def test_a_character_read_where_none_is_should_have_been_a_blank() -> None:
    read = np.array([[1, 0, 2, 0, 3]])
    z = np.where(np.arange(4) == read[..., None], 4.0, 0)
    assert peaks(z, np.array([[1, 3]]))[1].tolist() == [1, 0, 3]
    assert peaks(z, np.array([[1, 1, 3]]))[1].tolist() == [1, 1, 3]
    assert peaks(np.zeros((2, 3, 4)), np.array([[1], [2]]))[0].shape == (0, 4)


SCORES: list[Callable[..., object]] = [
    expected_calibration_error, squared_calibration_error, brier_score, brier_decomposition, reliability_curve,
    risk_coverage, coverage_at,
]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(("confidence", "success", "message"), [
    ([], [], "with a row at least"),
    ([0.5, 0.5], [1], "should be alike"),
    ([[0.5]], [[1]], "should be alike"),
    ([0.5, 1.2], [1, 0], "from 0 to 1, got 1.2"),
    ([-0.1], [1], "from 0 to 1, got -0.1"),
    ([0.5, np.nan], [1, 0], "from 0 to 1, got nan"),
    ([0.5], [0.5], "should be 0 or 1, got 0.5"),
    ([0.5], [np.nan], "should be 0 or 1, got nan"),
])
def test_bad_rows_are_refused(score: Callable[..., object], confidence: Any, success: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(confidence, success)


@pytest.mark.parametrize("score", SCORES)
def test_one_row_is_enough(score: Callable[..., object]) -> None:
    score([0.5], [True])


LOGITS = np.zeros((2, 3, 4))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: bin_of([0.5], 0), "bins should be 1 or more of equal mass or width, got 0"),
    (lambda: bin_of([0.5], 3, "size"), "got 3 of equal size"),
    (lambda: calibration_by_group([0.5], [1], ["a", "b"], [0.1]), "a value for each of 1 rows"),
    (lambda: captcha_confidence([0.5], [1], 1), "whole number from 0 to 0 for each of 1"),
    (lambda: captcha_confidence([0.5], [0.0], 1), "whole number"),
    (lambda: coverage_at([0.5], [1], 1.0), "accuracy should lie between 0 and 1, got 1.0"),
    (lambda: coverage_interval([0.5], [1], [0], rng=np.random.default_rng(0)), "two captchas at least"),
    (lambda: coverage_interval([0.5, 0.6], [1, 0], [0, 1], level=0, rng=np.random.default_rng(0)), "level should lie"),
    (lambda: fit_temperature(np.zeros((0, 3)), []), "at least one"),
    (lambda: fit_temperature([[np.nan, 0]], [0]), "should be finite"),
    (lambda: fit_temperature(LOGITS[0], [1, 2]), r"labels \(2,\) should have 2 and 1 axes"),
    (lambda: fit_temperature(LOGITS[0], [1, 2, 4]), "whole numbers from 0 to 3"),
    (lambda: fit_temperature(LOGITS[0], [1, 2, 0.5]), "whole numbers from 0 to 3"),
    (lambda: peaks(LOGITS, [[0, 1], [1, 1]]), "0 only after the end"),
])
def test_bad_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
