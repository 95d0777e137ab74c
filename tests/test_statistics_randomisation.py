"""The randomisation test: all dealings by brute force, its size under the hypothesis, and its power."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from stages.statistics.randomisation import REDEALINGS, between_sum_of_squares, randomisation


def rows(seed: int, effect: float, captchas: int = 60) -> tuple[Any, ...]:
    """Success, captcha, condition and category of three conditions and two rows per rendering, which err together."""
    rng = np.random.default_rng(seed)
    category = np.stack(
        [rng.permutation(np.arange(captchas) % 3) for _ in range(3)]
    )  # (3, captchas)
    chance = (
        0.5
        + 0.2 * np.arange(3)[:, None] * 0.5
        + effect * (category == 1)
        + rng.choice([-0.2, 0.2], (3, captchas))
    )
    success = (rng.random((3, captchas, 2)) < chance[..., None]).astype(np.uint8)
    condition, captcha = np.indices((3, captchas))
    return (
        success.ravel(),
        np.repeat(captcha.ravel(), 2),
        np.repeat(condition.ravel(), 2),
        np.repeat(category.ravel(), 2),
    )


def test_p_is_the_share_of_all_dealings_that_reach_the_statistic() -> None:
    success = np.array([1, 1, 1, 0, 0, 0, 1], np.uint8)
    category = np.array([0, 0, 0, 1, 1, 1, 1])
    left = success - success.mean()
    reached = [
        between_sum_of_squares(left, category[list(order)], np.bincount(category))
        for order in permutations(range(7))
    ]
    observed = between_sum_of_squares(left, category, np.bincount(category))
    exact = np.mean(np.array(reached) >= observed - 1e-12)
    found = randomisation(
        success, np.arange(7), np.zeros(7, np.int64), category, part=7, rng=np.random.default_rng(1)
    )
    assert found is not None
    assert found.statistic == pytest.approx(observed / (left @ left))
    assert found.p == pytest.approx(
        exact, abs=4 * np.sqrt(exact * (1 - exact) / REDEALINGS) + 1 / REDEALINGS
    )


def test_categories_are_dealt_again_within_each_part() -> None:
    success = np.array([0, 1, 0, 0, 0, 0], np.uint8)
    category = np.array([1, 0, 1, 1, 0, 0])
    left = success - np.repeat(success.reshape(2, 3).mean(axis=1), 3)
    reached = [
        between_sum_of_squares(left, category[[*first, *second]], np.bincount(category))
        for first in permutations(range(3))
        for second in permutations(range(3, 6))
    ]
    exact = np.mean(
        np.array(reached) >= between_sum_of_squares(left, category, np.bincount(category)) - 1e-12
    )
    assert exact == pytest.approx(1 / 3)  # of all 720 dealings it would be 1
    found = randomisation(
        success, np.arange(6), np.zeros(6, np.int64), category, part=3, rng=np.random.default_rng(1)
    )
    assert found is not None
    assert found.p == pytest.approx(
        exact, abs=4 * np.sqrt(exact * (1 - exact) / REDEALINGS) + 1 / REDEALINGS
    )


def test_categories_that_change_nothing_reject_as_rarely_as_promised() -> None:
    found = [
        randomisation(*rows(seed, 0.0, 30), part=1000, rng=np.random.default_rng(seed))
        for seed in range(60)
    ]
    p = np.array([one.p for one in found if one is not None])
    assert len(p) == 60
    assert (p <= 0.1).sum() <= 13  # of a binomial of 60 and 0.1: above it once in a thousand
    assert 0.38 < p.mean() < 0.62


def test_a_category_that_changes_success_is_found() -> None:
    found = randomisation(*rows(3, 0.3), part=1000, rng=np.random.default_rng(3))
    assert found is not None
    assert found.p < 0.01
    assert found.draws == REDEALINGS


def test_order_of_rows_does_not_matter_to_the_statistic() -> None:
    given = rows(4, 0.1)
    order = np.random.default_rng(4).permutation(len(given[0]))
    one, other = (
        randomisation(*(part[chosen] for part in given), part=1000, rng=np.random.default_rng(5))
        for chosen in (np.arange(len(order)), order)
    )
    assert one is not None
    assert one == other


def test_one_category_and_equal_readings_have_no_test() -> None:
    success, captcha, condition, category = rows(5, 0.0)
    rng = np.random.default_rng(0)
    assert (
        randomisation(success, captcha, condition, np.zeros_like(category), part=1000, rng=rng)
        is None
    )
    assert (
        randomisation(np.ones_like(success), captcha, condition, category, part=1000, rng=rng)
        is None
    )


def test_a_category_that_differs_within_a_rendering_is_refused() -> None:
    success, captcha, condition, category = rows(6, 0.0)
    category = category.copy()
    category[0] = (category[0] + 1) % 3
    with pytest.raises(ValueError, match="the rows of one rendering differ in category"):
        randomisation(
            success, captcha, condition, category, part=1000, rng=np.random.default_rng(0)
        )
