"""Thresholds and areas: known curves, scipy's isotonic regression, coverage, ends of the scale, refusals."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats

from stages.statistics.bootstrap import resampled_shares
from stages.statistics.thresholds import (
    DoseResponse,
    area_under_accuracy,
    dose_response,
    ends,
    isotonic,
    level_at,
    percentiles,
)

Array = NDArray[Any]

LEVELS = np.array([0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0])
SHARES = st.lists(st.floats(0, 1), min_size=7, max_size=7).map(np.array)


def curve(levels: Array, midpoint: float, steepness: float, clean: float = 1.0) -> Array:
    return np.asarray(clean / (1 + (levels / midpoint) ** steepness))


def shown(
    P: Array, captchas: int, characters: int, rng: np.random.Generator, rho: float = 0.0
) -> tuple[Array, Array]:
    """Characters right and seen (G, L); those of a captcha, also between levels, correlate by rho."""
    shared = stats.norm.cdf(
        np.sqrt(rho) * rng.normal(size=(captchas, 1, 1))
        + np.sqrt(1 - rho) * rng.normal(size=(captchas, len(P), characters))
    )
    right = (shared < P[:, None]).sum(axis=2).astype(float)
    return right, np.full((captchas, len(P)), float(characters))


def study(
    right: Array,
    seen: Array,
    *,
    draws: int = 200,
    seed: int = 1,
    targets: tuple[float, ...] = (0.5, 0.75),
    confidence: float = 0.95,
) -> DoseResponse:
    shares = resampled_shares(right, seen, draws, rng=np.random.default_rng(seed))
    return dose_response(shares, LEVELS, targets=targets, confidence=confidence)


@pytest.mark.parametrize(("midpoint", "steepness"), [(0.3, 2.0), (0.5, 4.0), (0.7, 8.0)])
def test_a_known_threshold_is_found_between_the_tested_levels(
    midpoint: float, steepness: float
) -> None:
    found = level_at(curve(LEVELS, midpoint, steepness)[None], LEVELS, 0.5)[0]
    assert found == pytest.approx(midpoint, abs=0.02)


def test_a_threshold_at_a_tested_level_is_that_level() -> None:
    shares = np.array([[1.0, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1], [1.0, 0.75, 0.75, 0.75, 0.3, 0.2, 0.1]])
    assert level_at(shares, LEVELS, 0.5)[0] == pytest.approx(0.45)
    assert level_at(shares, LEVELS, 0.75)[1] == pytest.approx(0.15)  # the first of several


def test_a_straight_fall_is_crossed_where_a_straight_line_crosses_it() -> None:
    shares = (1 - 0.9 * LEVELS)[None]
    for target in (0.9, 0.5, 0.2):
        assert level_at(shares, LEVELS, target)[0] == pytest.approx((1 - target) / 0.9)


@given(SHARES)
def test_isotonic_is_that_of_scipy(values: Array) -> None:
    expected = optimize.isotonic_regression(values, increasing=False).x
    np.testing.assert_allclose(isotonic(values[None])[0], expected, atol=1e-12)


@settings(max_examples=200)
@given(SHARES, st.floats(0.01, 0.99))
def test_a_threshold_lies_in_its_bracket(values: Array, target: float) -> None:
    falling = isotonic(values[None])[0]
    found = level_at(values[None], LEVELS, target)[0]
    if falling[0] <= target:
        assert found == 0
    elif falling[-1] > target:
        assert found == inf
    else:
        after = int(np.flatnonzero(falling <= target)[0])
        assert LEVELS[after - 1] <= found <= LEVELS[after]


@given(SHARES, st.floats(0.05, 0.9), st.floats(0.01, 0.09))
def test_a_lower_share_is_never_reached_earlier(values: Array, target: float, more: float) -> None:
    low, high = (level_at(values[None], LEVELS, share)[0] for share in (target, target + more))
    assert high <= low or high == pytest.approx(low)


def test_curves_are_placed_each_by_itself() -> None:
    shares = np.random.default_rng(3).random((50, 7))
    together = level_at(shares, LEVELS, 0.4)
    assert together.tolist() == [level_at(row[None], LEVELS, 0.4)[0] for row in shares]


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Characters of a captcha are correlated; intervals by character would cover far less."""
    rng = np.random.default_rng(10)
    studies = 200
    covered = 0
    naive = 0
    P = curve(LEVELS, 0.45, 4)
    truth = level_at(P[None], LEVELS, 0.5)[0]
    for _ in range(studies):
        right, seen = shown(P, 150, 5, rng, rho=0.5)
        shares = resampled_shares(right, seen, 200, rng=rng)
        half = dose_response(shares, LEVELS, targets=(0.5,), confidence=0.95).thresholds[0]
        covered += half.low <= truth <= half.high
        total = seen.sum(axis=0)
        single = level_at(
            rng.binomial(total.astype(int), right.sum(axis=0) / total, (200, 7)) / total,
            LEVELS,
            0.5,
        )
        low, high = np.quantile(single, [0.025, 0.975])
        naive += low <= truth <= high
    assert 0.90 < covered / studies < 0.99
    assert naive / studies < 0.85


def test_a_fall_between_two_tested_levels_may_lie_anywhere_between_them() -> None:
    cliff = np.array([[1.0, 1.0, 0.95, 0.05, 0.0, 0.0, 0.0], [1.0, 0.9, 0.7, 0.4, 0.3, 0.2, 0.1]])
    low, high = ends(level_at(cliff, LEVELS, 0.5), cliff, LEVELS)
    assert (low[0], high[0]) == (0.3, 0.45)
    assert low[1] == high[1]
    found = dose_response(cliff[[0, 0, 0]], LEVELS, targets=(0.5,), confidence=0.95).thresholds[0]
    assert (found.low, found.high) == (0.3, 0.45)
    assert found.low < found.level < found.high


def test_a_level_beyond_the_largest_tested_is_not_reached() -> None:
    half, most = study(
        *shown(curve(LEVELS, 1.3, 4), 400, 5, np.random.default_rng(11)), targets=(0.5, 0.9)
    ).thresholds
    assert (half.level, half.low, half.high, half.reached) == (inf, inf, inf, 0)
    assert most.level < most.high < 1


def test_a_level_about_the_largest_tested_is_reached_in_some_draws() -> None:
    half = study(
        *shown(curve(LEVELS, 1.0, 4), 400, 5, np.random.default_rng(12)), targets=(0.5,)
    ).thresholds[0]
    assert 0.02 < half.reached < 0.98
    assert half.low < 1
    assert half.high == inf


def test_what_clean_captchas_do_not_reach_has_level_0() -> None:
    found = study(
        *shown(curve(LEVELS, 0.4, 4, clean=0.6), 400, 5, np.random.default_rng(13)),
        targets=(0.75, 0.5),
    )
    most, half = found.thresholds
    assert (most.level, most.low, most.high, most.reached) == (0, 0, 0, 1)
    assert 0 < half.low < half.level < half.high


def test_the_area_is_that_of_trapezoids() -> None:
    shares = np.array([1.0, 0.8, 0.6, 0.4, 0.2, 0.1, 0.0])
    by_hand = sum(
        (b - a) * (x + y) / 2
        for a, b, x, y in zip(LEVELS, LEVELS[1:], shares, shares[1:], strict=False)
    )
    assert area_under_accuracy(shares, LEVELS) == pytest.approx(by_hand)
    found = dose_response(np.tile(shares, (3, 1)), LEVELS, targets=(0.5,), confidence=0.9).area
    assert (found.value, found.low, found.high) == pytest.approx((by_hand,) * 3)


def test_resamples_start_with_the_sample_and_take_whole_clusters() -> None:
    right = np.array([[4.0, 0.0], [0.0, 0.0]])
    seen = np.array([[4.0, 2.0], [1.0, 2.0]])
    shares = resampled_shares(right, seen, 500, rng=np.random.default_rng(1))
    assert shares[0].tolist() == [0.8, 0.0]
    assert set(shares[1:, 0].round(6)) == {0.0, 0.8, 1.0}


def test_resamples_without_a_character_at_some_level_are_drawn_again_or_refused() -> None:
    seen = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert np.isfinite(resampled_shares(seen, seen, 100, rng=np.random.default_rng(2))).all()
    with pytest.raises(ValueError, match="show more captchas at each level"):
        resampled_shares(np.eye(30), np.eye(30), 10, rng=np.random.default_rng(3))


def test_percentiles_are_outward_and_take_infinities() -> None:
    assert percentiles(np.array([3.0, inf, 1.0, 2.0, inf]), 0.5) == (2.0, inf)
    assert percentiles(np.arange(1.0, 12.0), 0.85) == (1.0, 11.0)


def test_an_interval_holds_the_estimate_where_all_draws_lie_below_it() -> None:
    shares = np.array([[1.0, 1.0], *([1.0, 0.9 + 0.001 * i] for i in range(50))])
    found = dose_response(shares, [0, 1], targets=[0.99], confidence=0.9)
    assert found.area.low < found.area.value == found.area.high == 1
    assert found.thresholds[0].level == found.thresholds[0].high == inf


@pytest.mark.parametrize(("change", "message"), [
    ({"levels": [0.1, 0.5]}, "levels should ascend from 0"),
    ({"levels": [0.0, 0.5, 0.5]}, "levels should ascend from 0"),
    ({"shares": np.ones((1, 2))}, r"shares \(1, 2\) should be \(1 \+ draws, 2\)"),
    ({"shares": np.ones((3, 3))}, r"shares \(3, 3\)"),
    ({"shares": np.full((3, 2), 1.5)}, "between 0 and 1"),
    ({"shares": np.full((3, 2), np.nan)}, "between 0 and 1"),
    ({"targets": (0.5, 1.0)}, "targets should lie between 0 and 1"),
    ({"targets": ()}, "targets should lie between 0 and 1"),
    ({"confidence": 1.0}, "confidence should lie between 0 and 1"),
])  # fmt: skip
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {
        "shares": np.array([[1.0, 0.0]] * 3),
        "levels": [0.0, 0.5],
        "targets": (0.5,),
        "confidence": 0.95,
    }
    dose_response(**usual)
    with pytest.raises(ValueError, match=f"^dose_response: .*{message}"):
        dose_response(**{**usual, **change})
