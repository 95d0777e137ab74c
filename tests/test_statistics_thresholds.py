"""Psychometric curves: simulated truths, scipy on the same likelihood, coverage, ends of the scale, refusals."""

from __future__ import annotations

from math import inf, isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special, stats

from stages.statistics.thresholds import (
    RIDGE,
    Curves,
    Likelihood,
    Psychometric,
    ends,
    fitted,
    psychometric,
    resampled,
)

Array = NDArray[Any]

LEVELS = np.array([0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0])
DIGITS = 0.1  # guess rate


def curve(levels: Array, midpoint: float, steepness: float, lapse: float, guess: float = DIGITS) -> Array:
    return guess + (1 - guess - lapse) / (1 + (levels / midpoint) ** steepness)


def level_at(accuracy: float, midpoint: float, steepness: float, lapse: float, guess: float = DIGITS) -> float:
    return float(midpoint * ((1 - lapse - accuracy) / (accuracy - guess)) ** (1 / steepness))


def shown(P: Array, captchas: int, characters: int, rng: np.random.Generator, rho: float = 0.0) -> tuple[Array, Array]:
    """Characters right and seen (G, L); those of a captcha, also between levels, share a luck of correlation rho."""
    luck = stats.norm.cdf(np.sqrt(rho) * rng.normal(size=(captchas, 1, 1))
                          + np.sqrt(1 - rho) * rng.normal(size=(captchas, len(P), characters)))
    return (luck < P[:, None]).sum(axis=2), np.full((captchas, len(P)), characters)


def counts(P: Array, captchas: int = 40, characters: int = 5) -> tuple[Array, Array]:
    """Captchas that are read exactly so well, in fractions of characters."""
    return np.tile(characters * P, (captchas, 1)), np.full((captchas, len(P)), characters)


def study(right: Array, seen: Array, levels: Array = LEVELS, *, draws: int = 200, seed: int = 1,
          guess: float = DIGITS, **more: Any) -> Psychometric:
    return psychometric(right, seen, levels, guess=guess, draws=draws, rng=np.random.default_rng(seed), **more)


@pytest.mark.parametrize(("midpoint", "steepness", "lapse"), [(0.3, 2.0, 0.02), (0.5, 4.0, 0.0), (0.7, 8.0, 0.1)])
def test_a_known_curve_is_found_again(midpoint: float, steepness: float, lapse: float) -> None:
    rng = np.random.default_rng(7)
    found = study(*shown(curve(LEVELS, midpoint, steepness, lapse), 20_000, 5, rng), draws=20)
    assert found.lapse == pytest.approx(lapse, abs=0.005)
    assert found.midpoint == pytest.approx(midpoint, rel=0.01)
    assert found.steepness == pytest.approx(steepness, rel=0.03)
    for threshold in found.thresholds:
        assert threshold.level == pytest.approx(level_at(threshold.accuracy, midpoint, steepness, lapse), rel=0.01)
    assert found.df == 4
    assert found.gap < 0.01


def test_exact_accuracies_give_the_exact_curve() -> None:
    """The ridge takes the steepness, 5, towards its usual 4 by less than a thousandth."""
    found = study(*counts(curve(LEVELS, 0.4, 5, 0.03)))
    assert (found.midpoint, found.steepness) == pytest.approx((0.4, 5), rel=1e-3)
    assert found.deviance == pytest.approx(0, abs=1e-3)
    assert found.gap == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("seed", range(12))
def test_the_fit_is_the_maximum_that_scipy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    guess, lapse = rng.choice([0.0, 0.1, 1 / 33]), rng.choice([0.0, 0.02, 0.2])
    P = curve(LEVELS, rng.uniform(0.2, 0.8), rng.uniform(1, 8), lapse, guess)
    right, seen = (values.sum(axis=0) for values in shown(P, 300, 4, rng))
    found = fitted(right[None], seen[None], LEVELS, guess)

    def negative(theta: Array) -> float:
        p = curve(LEVELS[1:], np.exp(theta[0]), np.exp(theta[1]), 1 - right[0] / seen[0], guess)
        return -float(stats.binom.logpmf(right[1:], seen[1:], p).sum())

    best = min((optimize.minimize(negative, [m, s], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11})
                for m in (-1.5, -0.5) for s in (0.5, 1.5)), key=lambda result: float(result.fun))
    assert (found.midpoint[0], np.log(found.steepness[0])) == pytest.approx(tuple(best.x), abs=5e-4)


def test_the_deviance_is_twice_the_shortfall_from_a_saturated_likelihood() -> None:
    right, seen = shown(curve(LEVELS, 0.4, 3, 0.05), 50, 5, np.random.default_rng(8))
    right[:, 1] = seen[:, 1]  # all right at one level: 0 log 0
    found = study(right, seen)
    k, n = right.sum(axis=0)[1:], seen.sum(axis=0)[1:]
    expected = 2 * (stats.binom.logpmf(k, n, k / n) - stats.binom.logpmf(k, n, found.accuracy(LEVELS[1:]))).sum()
    assert found.deviance == pytest.approx(expected, rel=1e-9)
    assert found.gap == pytest.approx(np.abs(found.accuracy(LEVELS[1:]) - k / n).max(), rel=1e-9)


def likelihoods(seed: int, B: int = 30) -> tuple[Likelihood, Array]:
    """Counts without any order, in which a curve is a bad description, and theta."""
    rng = np.random.default_rng(seed)
    levels = np.unique(rng.uniform(0.02, 3, rng.integers(1, 8)))
    seen = rng.integers(1, 3000, (B, len(levels))).astype(float)
    right = rng.binomial(seen.astype(int), rng.choice([0.0, 0.1, 0.5, 0.97, 1.0], seen.shape)).astype(float)
    likelihood = Likelihood(rng.choice([0.0, 0.1]), rng.choice([0.3, 0.97, 1.0], B), right, seen, np.log(levels))
    return likelihood, likelihood.usual + rng.normal(size=(B, 2)) / 3


@pytest.mark.parametrize("seed", range(5))
def test_the_derivatives_are_those_of_the_likelihood(seed: int) -> None:
    likelihood, theta = likelihoods(seed)
    score, diagonal, corner = likelihood.derivatives(theta)
    step = 1e-5 * np.eye(2)
    for j in range(2):
        change = (likelihood.value(theta + step[j]) - likelihood.value(theta - step[j])) / 2e-5
        np.testing.assert_allclose(score[:, j], change, rtol=1e-4, atol=1e-3)
        turn = (likelihood.derivatives(theta - step[j])[0] - likelihood.derivatives(theta + step[j])[0]) / 2e-5
        np.testing.assert_allclose(diagonal[:, j], turn[:, j], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(corner, turn[:, 1 - j], rtol=1e-4, atol=1e-3)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_the_fit_settles_on_any_counts(seed: int) -> None:
    """No slope is left but against a bound; and nothing overflows, or the warning would fail this test."""
    likelihood, _ = likelihoods(seed)
    ones = np.full((len(likelihood.clean), 1), 1.0)
    found = fitted(np.concatenate([likelihood.clean[:, None], likelihood.right], axis=1),
                   np.concatenate([ones, likelihood.seen], axis=1), np.r_[0, np.exp(likelihood.x)], likelihood.guess)
    theta = np.stack([found.midpoint, np.log(found.steepness)], axis=1)
    score, diagonal, _ = likelihood.derivatives(theta)
    low, high = likelihood.bounds
    assert ((theta >= low - 1e-9) & (theta <= high + 1e-9)).all()
    outward = ((theta < low + 1e-9) & (score < 0)) | ((theta > high - 1e-9) & (score > 0))
    assert (np.abs(score[~outward]) <= 1e-5 * np.sqrt(np.maximum(np.abs(diagonal[~outward]), RIDGE))).all()


@given(st.floats(0.05, 3), st.floats(0.5, 30), st.floats(0, 0.4), st.sampled_from([0.0, 0.03, 0.1]),
       st.floats(0.05, 0.95))
def test_a_threshold_inverts_the_curve(midpoint: float, steepness: float, lapse: float, guess: float,
                                       target: float) -> None:
    curves = Curves(guess, np.array([1 - lapse]), np.log([midpoint]), np.array([steepness]))
    level = curves.level(target, largest=1.0)[0]
    if level == 0:
        assert 1 - lapse <= target
    elif level == inf:
        assert curve(np.array(1.0), midpoint, steepness, lapse, guess) > target - 1e-12
    else:
        assert 0 < level <= 1
        assert curve(level, midpoint, steepness, lapse, guess) == pytest.approx(target, abs=1e-9)


def test_thresholds_lie_on_the_curve_that_is_returned() -> None:
    found = study(*shown(curve(LEVELS, 0.4, 3, 0.05), 200, 5, np.random.default_rng(9)), targets=(0.3, 0.5, 0.75, 0.9))
    for threshold in found.thresholds:
        assert found.accuracy(threshold.level) == pytest.approx(threshold.accuracy)
        assert threshold.low < threshold.level < threshold.high
        assert threshold.reached == 1
    assert found.accuracy(0) == pytest.approx(1 - found.lapse)
    assert found.accuracy([[0.2], [1e9]]).shape == (2, 1)
    assert found.accuracy(1e9) == pytest.approx(DIGITS)


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Characters of a captcha share much of their luck; intervals by character would cover far less."""
    rng, studies, covered, naive = np.random.default_rng(10), 150, 0, 0
    P = curve(LEVELS, 0.45, 4, 0.03)
    truth = level_at(0.5, 0.45, 4, 0.03)
    for _ in range(studies):
        right, seen = shown(P, 150, 5, rng, rho=0.5)
        half = psychometric(right, seen, LEVELS, guess=DIGITS, targets=(0.5,), draws=200, rng=rng).thresholds[0]
        covered += half.low <= truth <= half.high
        n = np.tile(seen.sum(axis=0), (200, 1))
        drawn = rng.binomial(n, right.sum(axis=0) / n).astype(float)
        single = fitted(drawn, n, LEVELS, DIGITS).level(0.5, 1.0)
        low, high = np.quantile(single, [0.025, 0.975])
        naive += low <= truth <= high
    assert 0.88 < covered / studies < 0.99
    assert naive / studies < 0.85


def test_a_level_beyond_the_largest_tested_is_not_reached() -> None:
    found = study(*shown(curve(LEVELS, 1.3, 4, 0.02), 400, 5, np.random.default_rng(11)), targets=(0.5, 0.9))
    half, most = found.thresholds
    assert (half.level, half.low, half.high, half.reached) == (inf, inf, inf, 0)
    assert most.level < most.high < 1


def test_a_level_about_the_largest_tested_is_reached_in_some_draws() -> None:
    found = study(*shown(curve(LEVELS, 0.95, 4, 0.02), 400, 5, np.random.default_rng(12)), targets=(0.5,))
    half = found.thresholds[0]
    assert 0.02 < half.reached < 0.98
    assert half.reached * 200 == pytest.approx(round(half.reached * 200))  # of the draws alone
    assert half.low < 1
    assert half.high == inf


def test_clean_captchas_below_the_target_make_the_threshold_nought() -> None:
    found = study(*shown(curve(LEVELS, 0.5, 4, 0.35), 400, 5, np.random.default_rng(13)))
    half, most = found.thresholds
    assert (most.level, most.low, most.high, most.reached) == (0, 0, 0, 1)
    assert 0 < half.low < half.level < half.high


def test_clean_captchas_exactly_at_the_target_make_it_nought_as_well() -> None:
    assert study(*counts(np.array([0.75, 0.75, 0.5, 0.4, 0.3, 0.2, 0.1]), 40, 4)).thresholds[1].level == 0


def test_a_clean_accuracy_about_the_target_gives_an_interval_from_nought() -> None:
    most = study(*shown(curve(LEVELS, 0.5, 4, 0.25), 400, 5, np.random.default_rng(14))).thresholds[1]
    assert most.low == 0
    assert most.high > 0


@pytest.mark.parametrize("clean", [0.1, 0.05, 0.0])
def test_a_reader_at_chance_has_no_curve(clean: float) -> None:
    found = study(*counts(np.full(len(LEVELS), clean)), targets=(0.03, 0.5))
    assert all(isnan(value) for value in (found.midpoint, found.steepness, found.deviance, found.gap))
    assert np.isnan(found.accuracy(LEVELS)).all()
    below, half = found.thresholds
    assert (half.level, half.low, half.high) == (0, 0, 0)
    assert below.level == (inf if clean > 0.03 else 0)
    assert found.area.value == pytest.approx(clean)


def test_a_target_at_or_below_the_guess_rate_is_never_reached() -> None:
    for threshold in study(*counts(curve(LEVELS, 0.3, 6, 0.0)), targets=(0.05, DIGITS)).thresholds:
        assert (threshold.level, threshold.reached) == (inf, 0)


@pytest.mark.parametrize("accuracy", [1.0, 0.9])
def test_a_flat_accuracy_reaches_no_target(accuracy: float) -> None:
    found = study(*counts(np.full(len(LEVELS), accuracy)))
    assert all((threshold.level, threshold.reached) == (inf, 0) for threshold in found.thresholds)
    assert found.gap < 1e-3
    assert found.area.value == pytest.approx(accuracy)


def test_an_accuracy_above_that_of_the_clean_captchas_is_taken_for_flat() -> None:
    found = study(*counts(np.array([0.8, 0.9, 0.95, 0.9, 0.95, 0.9, 0.95])))
    assert found.thresholds[0].level == inf
    assert found.gap == pytest.approx(0.15, abs=1e-3)


@pytest.mark.parametrize("last", range(len(LEVELS) - 1))
@pytest.mark.parametrize("guess", [0.0, DIGITS])
def test_after_a_step_the_interval_is_that_between_the_levels_beside_it(last: int, guess: float) -> None:
    """All right until a level, then none: where between the two the fall is, no captcha tells."""
    right, seen = counts((np.arange(len(LEVELS)) <= last).astype(float))
    found = study(right, seen, guess=guess)
    for threshold in found.thresholds:
        assert LEVELS[last] < threshold.level < LEVELS[last + 1]
        assert (threshold.low, threshold.high) == (LEVELS[last], LEVELS[last + 1])
        assert threshold.reached == 1


def test_two_levels_on_the_slope_need_no_widening_but_one_does() -> None:
    """At a steepness of 16 the second, 0.6, has 9 of 880 characters of the fall left; at 40, none."""
    curves = Curves(0.1, np.full(2, 0.98), np.log([0.45, 0.45]), np.array([16.0, 40.0]))
    seen = np.full((2, len(LEVELS)), 1000.0)
    low, high = ends(np.array([0.46, 0.46]), curves, seen, LEVELS)
    assert (low[0], high[0]) == (0.46, 0.46)
    assert (low[1], high[1]) == (0.45, 0.6)


def test_one_noisy_level_gives_the_whole_range() -> None:
    """Two parameters and one level: the curve passes through it, and the interval knows no more than the ends."""
    found = study(*counts(np.array([0.96, 0.3])), np.array([0, 0.7]))
    half = found.thresholds[0]
    assert found.accuracy(0.7) == pytest.approx(0.3, abs=1e-3)
    assert (half.low, half.high) == (0, 0.7)
    assert found.df == 0


def test_perfect_clean_captchas_have_no_lapse() -> None:
    right, seen = shown(curve(LEVELS, 0.4, 3, 0.0), 100, 5, np.random.default_rng(15))
    found = study(right, seen)
    assert found.lapse == 0
    assert found.accuracy(0) == 1
    assert 0 < found.thresholds[1].level < found.thresholds[0].level


def test_the_area_is_that_of_the_trapezoids() -> None:
    right, seen = np.array([[4, 2, 0], [4, 3, 1]]), np.full((2, 3), 4)
    found = study(right, seen, np.array([0, 0.5, 2]))
    accuracies = 1, 5 / 8, 1 / 8
    by_hand = (0.5 * (accuracies[0] + accuracies[1]) / 2 + 1.5 * (accuracies[1] + accuracies[2]) / 2) / 2
    assert found.area.value == pytest.approx(by_hand)
    first, second = 0.25 * 0.75 + 0.75 * 0.25, 0.25 * 0.875 + 0.75 * 0.5
    assert (found.area.low, found.area.high) == pytest.approx((first, second))  # one captcha drawn twice


def test_the_area_interval_is_that_of_its_standard_error() -> None:
    right, seen = shown(curve(LEVELS, 0.4, 3, 0.05), 400, 5, np.random.default_rng(16), rho=0.4)
    area = study(right, seen, draws=4000).area
    own = np.trapezoid(right / seen, LEVELS, axis=1)
    assert area.value == pytest.approx(own.mean())
    half = stats.norm.ppf(0.975) * own.std() / np.sqrt(400)
    assert (area.low, area.high) == pytest.approx((own.mean() - half, own.mean() + half), abs=0.1 * half)


def test_a_higher_confidence_contains_the_lower() -> None:
    right, seen = shown(curve(LEVELS, 0.4, 3, 0.05), 100, 5, np.random.default_rng(17))
    narrow, wide = (study(right, seen, confidence=confidence) for confidence in (0.8, 0.99))
    assert wide.area.low < narrow.area.low < narrow.area.high < wide.area.high
    for a, b in zip(narrow.thresholds, wide.thresholds, strict=True):
        assert b.low < a.low < a.high < b.high


def test_the_same_seed_gives_the_same_numbers() -> None:
    data = shown(curve(LEVELS, 0.4, 3, 0.05), 60, 5, np.random.default_rng(18))
    assert study(*data, seed=3) == study(*data, seed=3)
    assert study(*data, seed=3).thresholds != study(*data, seed=4).thresholds


def test_the_order_of_the_captchas_changes_no_estimate() -> None:
    right, seen = shown(curve(LEVELS, 0.4, 3, 0.05), 300, 5, np.random.default_rng(19))
    order = np.random.default_rng(20).permutation(300)
    one, other = study(right, seen, draws=3000), study(right[order], seen[order], draws=3000)
    assert (one.midpoint, one.steepness, one.lapse, one.deviance, one.area.value) == (
        other.midpoint, other.steepness, other.lapse, other.deviance, other.area.value)
    for a, b in zip(one.thresholds, other.thresholds, strict=True):
        assert a.level == b.level
        assert (b.low, b.high) == pytest.approx((a.low, a.high), abs=0.1 * (a.high - a.low))  # other draws


def test_levels_in_another_unit_only_change_the_unit() -> None:
    right, seen = shown(curve(LEVELS, 0.4, 3, 0.05), 100, 5, np.random.default_rng(21))
    one, other = study(right, seen), study(right, seen, 255 * LEVELS)
    assert other.midpoint == pytest.approx(255 * one.midpoint)
    assert other.steepness == pytest.approx(one.steepness)
    assert (other.area.value, other.area.low) == pytest.approx((one.area.value, one.area.low))
    for a, b in zip(one.thresholds, other.thresholds, strict=True):
        assert (b.level, b.low, b.high) == pytest.approx((255 * a.level, 255 * a.low, 255 * a.high))


def test_resampling_draws_whole_captchas_with_replacement() -> None:
    right, seen = np.eye(3, 2), np.full((3, 2), 1.0)
    sums, shown_sums = resampled(right, seen, 20_000, rng=np.random.default_rng(22))
    assert (shown_sums == 3).all()
    assert sums.sum(axis=1).max() <= 3
    expected = stats.binom.pmf(np.arange(4), 3, 1 / 3)
    for column in sums.T:
        np.testing.assert_allclose(np.bincount(column.astype(int), minlength=4) / 20_000, expected, atol=0.012)
    assert np.cov(sums.T)[0, 1] == pytest.approx(-1 / 3, abs=0.02)  # multinomial: -G p p


def test_a_draw_without_characters_at_a_level_is_drawn_again() -> None:
    right, seen = shown(curve(LEVELS, 0.4, 3, 0.05), 30, 5, np.random.default_rng(23))
    right[2:, 3] = seen[2:, 3] = 0  # only two captchas show level 3: a draw in eight has neither
    right[5, 4] = seen[5, 4] = 0
    found = study(right, seen)
    assert found.thresholds[0].low <= found.thresholds[0].high < inf
    assert np.isfinite([found.area.low, found.area.high]).all()
    assert (resampled(right, seen, 500, rng=np.random.default_rng(24))[1] > 0).all()


def test_levels_that_no_draw_can_all_show_are_refused() -> None:
    alone = 5.0 * np.eye(30)
    with pytest.raises(ValueError, match="show more captchas at each level"):
        resampled(alone, alone, 50, rng=np.random.default_rng(25))


def test_curves_fitted_together_are_those_fitted_alone() -> None:
    rng = np.random.default_rng(26)
    right = rng.binomial(500, curve(LEVELS, 0.4, 3, 0.05), (40, len(LEVELS))).astype(float)
    seen = np.full(right.shape, 500.0)
    together = fitted(right, seen, LEVELS, DIGITS)
    alone = [fitted(right[[i]], seen[[i]], LEVELS, DIGITS) for i in range(40)]
    np.testing.assert_allclose(together.midpoint, [one.midpoint[0] for one in alone], rtol=1e-9)
    np.testing.assert_allclose(together.steepness, [one.steepness[0] for one in alone], rtol=1e-9)


def test_the_curve_is_the_logistic_of_the_log_level() -> None:
    curves = Curves(DIGITS, np.array([0.9]), np.log([0.4]), np.array([3.0]))
    ahead, done = curves.fallen(np.log(LEVELS[1:]))
    np.testing.assert_allclose(ahead[0], special.expit(-3 * np.log(LEVELS[1:] / 0.4)), rtol=1e-12)
    np.testing.assert_allclose(ahead + done, 1, rtol=1e-15)


def test_an_accuracy_below_level_nought_is_refused() -> None:
    found = study(*counts(curve(LEVELS, 0.4, 3, 0.05)))
    with pytest.raises(ValueError, match="levels should be 0 or more"):
        found.accuracy([0.1, -0.1])


@pytest.mark.parametrize(("change", "message"), [
    ({"levels": [0.0]}, r"levels should be \(L,\) with L >= 2, got \(1,\)"),
    ({"levels": [[0, 1, 2]]}, r"levels should be \(L,\) with L >= 2, got \(1, 3\)"),
    ({"levels": [0, 1]}, r"should be \(G, L\) with 2 levels"),
    ({"seen": np.full((3, 3), 4)}, r"right \(4, 3\) and seen \(3, 3\) should be"),
    ({"right": np.ones(3), "seen": np.ones(3)}, r"right \(3,\) and seen \(3,\) should be"),
    ({"levels": [0.1, 0.5, 1]}, "should start at 0, the clean captchas, got 0.1"),
    ({"levels": [0, 1, 1]}, r"should be finite and ascend, got \[0.0, 1.0, 1.0\]"),
    ({"levels": [0, 1, inf]}, "should be finite and ascend"),
    ({"levels": [0, 1, np.nan]}, "should be finite and ascend"),
    ({"right": np.full((4, 3), 5)}, "right should be 0 to seen in every cell"),
    ({"right": np.full((4, 3), -1)}, "right should be 0 to seen in every cell"),
    ({"seen": np.full((4, 3), np.nan)}, "right and seen should be finite"),
    ({"right": np.ones((1, 3)), "seen": np.ones((1, 3))}, "at least two captchas, got 1"),
    ({"right": np.zeros((4, 3)), "seen": np.tile([4, 0, 4], (4, 1))}, "no character is shown at level 0.5"),
    ({"guess": 1.0}, "guess should be from 0 to below 1, got 1.0"),
    ({"guess": -0.1}, "guess should be from 0 to below 1, got -0.1"),
    ({"targets": (0.5, 1.0)}, r"targets should lie between 0 and 1, got \[0.5, 1.0\]"),
    ({"confidence": 1.0}, "confidence should lie between 0 and 1, got 1.0"),
    ({"draws": 0}, "draws should be 1 or more, got 0"),
])
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"right": np.full((4, 3), 2), "seen": np.full((4, 3), 4), "levels": [0, 0.5, 1],
                             "guess": 0.1, "draws": 5, "rng": np.random.default_rng(0)}
    psychometric(**usual)
    with pytest.raises(ValueError, match=f"^psychometric: .*{message}"):
        psychometric(**{**usual, **change})
