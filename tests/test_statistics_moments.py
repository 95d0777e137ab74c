"""Cross-products: sums of parts, what follows from them, and columns that combine others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import statsmodels.api as sm
from clustered_rows import Floats, grunfeld, ragged
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.outliers_influence import variance_inflation_factor

from stages.statistics.moments import (
    Moments,
    adjusted_r2,
    condition_number,
    correlations,
    independent,
    refuse_collinear,
    solve,
    total_of,
    variance_inflation,
)

seeds = st.integers(0, 2**32 - 1)


def close(one: Moments, other: Moments) -> None:
    np.testing.assert_allclose(one.XX, other.XX, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(one.Xy, other.Xy, rtol=1e-10, atol=1e-10)
    assert one.yy == pytest.approx(other.yy)
    assert one.rows == other.rows


@settings(max_examples=30, deadline=None)
@given(seed=seeds, cuts=st.lists(st.integers(0, 40), max_size=5))
def test_parts_add_up_to_the_whole(seed: int, cuts: list[int]) -> None:
    X, y, _ = ragged(seed, clusters=20)
    bounds = [0, *sorted({min(cut, len(y)) for cut in cuts}), len(y)]
    parts = [Moments.of(X[start:end], y[start:end]) for start, end in pairwise(bounds)]
    close(total_of(parts), Moments.of(X, y))


def test_no_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows: there is nothing to explain"):
        total_of([])


def test_the_solution_is_least_squares_and_its_residual_sum_is_too() -> None:
    X, y, _ = ragged(1)
    beta, squares = solve(Moments.of(X, y))
    wanted = sm.OLS(y, X).fit()
    np.testing.assert_allclose(beta, wanted.params, rtol=1e-10)
    assert squares == pytest.approx(wanted.ssr)
    assert Moments.of(X, y).total == pytest.approx(wanted.centered_tss)


def test_some_of_the_columns_are_a_regression_on_them_alone() -> None:
    X, y, _ = ragged(2)
    np.testing.assert_allclose(
        solve(Moments.of(X, y).select([0, 3, 1]))[0], sm.OLS(y, X[:, [0, 3, 1]]).fit().params
    )


def test_adjusted_r2_is_statsmodels_and_dependent_columns_do_not_count() -> None:
    X, y, _ = ragged(3)
    wanted = sm.OLS(y, X).fit().rsquared_adj
    assert adjusted_r2(Moments.of(X, y)) == pytest.approx(wanted)
    more = np.column_stack([X, X[:, 1] + X[:, 2], np.zeros(len(y))])
    assert adjusted_r2(Moments.of(more, y)) == pytest.approx(wanted)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_collinearity_is_measured_as_by_statsmodels_and_numpy(seed: int) -> None:
    X, y, _ = ragged(seed, K=5)
    X[:, 4] = 50 + X[:, 3] + 0.1 * X[:, 4]
    moments = Moments.of(X, y)
    np.testing.assert_allclose(correlations(moments), np.corrcoef(X[:, 1:].T), atol=1e-9)
    np.testing.assert_allclose(
        variance_inflation(moments),
        [variance_inflation_factor(X, k) for k in range(1, 5)],
        rtol=1e-6,
    )
    assert condition_number(moments) == pytest.approx(
        np.linalg.cond(X / np.sqrt(np.square(X).sum(axis=0))), rel=1e-6
    )


def test_grunfelds_variance_inflation_is_reproduced() -> None:
    X, y, _ = grunfeld()
    np.testing.assert_allclose(
        variance_inflation(Moments.of(X, y)), [1.313772796, 1.313772796], rtol=1e-9
    )  # R


@settings(max_examples=30, deadline=None)
@given(seed=seeds, weights=st.lists(st.integers(-2, 2), min_size=4, max_size=4))
def test_a_combination_is_found_with_what_it_combines(seed: int, weights: list[int]) -> None:
    X, y, _ = ragged(seed, K=4)
    moments = Moments.of(np.column_stack([X, X @ np.array(weights, float)]), y)
    assert independent(moments) == (
        [0, 1, 2, 3],
        {4: [k for k, weight in enumerate(weights) if weight]},
    )


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_a_column_is_not_refused_for_its_units(scale: float) -> None:
    X, y, _ = ragged(4, K=3)
    refuse_collinear(Moments.of(X * [1, scale, 1], y), ["constant", "a", "b"])


@pytest.mark.parametrize(
    ("distance", "free"), [(1e-7, [0, 1]), (1e-6, [0, 1]), (1e-3, [0, 1, 2]), (0.1, [0, 1, 2])]
)
def test_a_column_is_told_from_a_similar_one_but_not_from_its_rounding(
    distance: float, free: list[int]
) -> None:
    rng = np.random.default_rng(5)
    X = np.column_stack([np.ones(200), rng.normal(size=(200, 2))])
    X[:, 2] = X[:, 1] + distance * X[:, 2]
    assert independent(Moments.of(X, X[:, 1]))[0] == free


def test_collinear_columns_are_refused_by_name() -> None:
    dummies = np.eye(3)[np.arange(30) % 3]
    X = np.column_stack([np.ones(30), dummies, np.zeros(30)])
    with pytest.raises(
        ValueError,
        match=r"X has 5 columns but rank 3 \(c = a combination of constant, a, b; d = 0\): "
        r"drop a collinear regressor",
    ) as caught:
        refuse_collinear(Moments.of(X, X[:, 1]), ["constant", "a", "b", "c", "d"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.column_stack([np.ones(6), np.arange(6.0)]), np.ones(6)),  # nothing to explain
        (
            np.array([[1.0, 0, 0], [1, 1, 0], [1, 0, 1]]),
            np.array([0.0, 1, 1]),
        ),  # as many rows as columns
    ],
)
def test_adjusted_r2_of_what_cannot_be_told_is_none_rather_than_a_crash(
    X: Floats, y: Floats
) -> None:
    assert np.isnan(adjusted_r2(Moments.of(X, y)))
