"""Contrasts and ranks: SciPy's studentized range and multivariate t, brute force, and what has no error."""

from __future__ import annotations

import numpy as np
import pytest
from clustered_rows import Floats
from scipy import stats

from stages.statistics.contrasts import Means, contrasts, draws, ranks, simultaneous


def means(effects: list[float], covariance: Floats, df: int = 30, *more: Floats) -> Means:
    return Means(tuple("abcdefgh"[: len(effects)]), np.array(effects), (covariance, *more), df)


@pytest.mark.parametrize("df", [4, 30, 399])
def test_the_critical_value_of_independent_means_is_tukeys(df: int) -> None:
    found = simultaneous(means([0.0] * 5, np.eye(5), df), 0.95, rng=np.random.default_rng(1))
    assert found == pytest.approx(stats.studentized_range.ppf(0.95, 5, df) / np.sqrt(2), rel=0.03)


def test_correlated_means_need_what_the_multivariate_t_says() -> None:
    covariance = np.array([[1.0, 0.6, 0.1], [0.6, 2.0, -0.4], [0.1, -0.4, 0.5]])
    found = simultaneous(means([0, 0, 0], covariance, 12), 0.9, rng=np.random.default_rng(2))
    weights = np.array([[1.0, -1, 0], [1, 0, -1], [0, 1, -1]])
    V = weights @ covariance @ weights.T
    scale = V / np.sqrt(np.outer(np.diag(V), np.diag(V))) + 1e-9 * np.eye(3)
    t = np.abs(stats.multivariate_t(shape=scale, df=12, seed=3).rvs(200_000))
    assert found == pytest.approx(np.quantile(t.max(axis=1), 0.9), rel=0.02)


def test_of_two_categories_bounds_are_students() -> None:
    V = np.array([[0.04, 0.01], [0.01, 0.09]])
    (one,) = contrasts(means([0.5, 0.2], V, 20), confidence=0.95, rng=np.random.default_rng(0))
    error = np.sqrt(0.04 + 0.09 - 0.02)
    assert (one.a, one.b) == ("a", "b")
    assert (one.difference, one.standard_error) == pytest.approx((0.3, error))
    assert (one.low, one.high) == pytest.approx(stats.t.interval(0.95, 20, 0.3, error))
    assert (one.simultaneous_low, one.simultaneous_high) == pytest.approx((one.low, one.high))
    assert one.probability == pytest.approx(stats.t.cdf(0.3 / error, 20))
    assert one.detectable == pytest.approx((stats.t.ppf(0.975, 20) + stats.t.ppf(0.8, 20)) * error)
    low, high = stats.t.interval(0.9, 20, 0.3, error)
    assert one.equivalence == pytest.approx(max(-low, high))


def test_the_largest_variance_of_a_difference_counts() -> None:
    second = np.array([[1.0, 0, 0], [0, 0.01, 0], [0, 0, 0.01]])
    found = contrasts(
        means([0, 0, 0], 0.1 * np.eye(3), 30, second), confidence=0.95, rng=np.random.default_rng(0)
    )
    assert [one.standard_error for one in found] == pytest.approx(
        np.sqrt([1.01, 1.01, 0.2]).tolist()
    )


def test_simultaneous_bounds_are_no_narrower_than_single_ones_whichever_covariance_counts() -> None:
    shared = 0.01 * (0.95 * np.ones((5, 5)) + 0.05 * np.eye(5))
    apart = 0.0099 * np.eye(5)
    for given in ((shared, 400, apart), (apart, 400, shared)):
        both = means([0.0] * 5, *given)
        alone = simultaneous(means([0.0] * 5, np.eye(5), 400), 0.95, rng=np.random.default_rng(1))
        assert simultaneous(both, 0.95, rng=np.random.default_rng(1)) == pytest.approx(
            alone, rel=0.03
        )
        for one in contrasts(both, confidence=0.95, rng=np.random.default_rng(1)):
            assert one.simultaneous_high > one.high


def test_a_critical_value_is_no_less_than_students() -> None:
    line = np.outer([1.0, 2, 3], [1.0, 2, 3])  # all pairs are one
    for seed in range(5):
        found = simultaneous(means([0, 0, 0], line, 8), 0.95, rng=np.random.default_rng(seed))
        assert stats.t.ppf(0.975, 8) <= found < 1.05 * stats.t.ppf(0.975, 8)


def test_nothing_is_surely_ahead_without_an_error() -> None:
    found = ranks(
        means([0.1 + 0.2, 0.3, 0.1], np.zeros((3, 3))),
        confidence=0.95,
        rng=np.random.default_rng(0),
    )
    assert {(one.low, one.high) for one in found} == {(1, 3)}


def test_draws_have_the_correlations_of_the_covariance_and_the_errors_of_the_largest() -> None:
    V = np.array([[1.0, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])
    drawn = draws(
        means([0, 0, 0], V, 10_000, np.diag([4.0, 0.1, 0.1])), rng=np.random.default_rng(4)
    )
    np.testing.assert_allclose(drawn.std(axis=0), [2, 1, 1], rtol=0.04)
    np.testing.assert_allclose(np.corrcoef(drawn.T), V, atol=0.05)


def test_a_covariance_that_is_not_positive_still_gives_draws() -> None:
    V = np.array([[1.0, 1.4], [1.4, 1.0]])
    drawn = draws(means([0, 0], V, 50, np.eye(2)), rng=np.random.default_rng(5))
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn.std(axis=0), [1, 1], rtol=0.06)


def test_ranks_are_as_sure_as_the_pairs_of_them() -> None:
    found = ranks(
        means([0.9, 0.1, 0.5, 0.49], 0.0004 * np.eye(4)),
        confidence=0.95,
        rng=np.random.default_rng(6),
    )
    assert [(one.rank, one.low, one.high) for one in found] == [
        (1, 1, 1),
        (4, 4, 4),
        (2, 2, 3),
        (3, 2, 3),
    ]
    assert [one.first for one in found] == [1, 0, 0, 0]
    alike = ranks(
        means([0.5, 0.5, 0.5, 0.5], np.eye(4)), confidence=0.95, rng=np.random.default_rng(6)
    )
    assert {(one.low, one.high) for one in alike} == {(1, 4)}
    np.testing.assert_allclose([one.first for one in alike], 0.25, atol=0.02)


def test_simultaneous_bounds_cover_all_pairs_at_once_where_single_ones_do_not() -> None:
    rng = np.random.default_rng(7)
    together = 0
    single = 0
    truth = np.arange(6) / 10
    runs = 300
    V = 0.02 * (np.eye(6) + 0.5)
    for _ in range(runs):
        drawn = rng.multivariate_normal(truth, V)
        estimated = V * rng.chisquare(60) / 60
        found = contrasts(means(list(drawn), estimated, 60), confidence=0.9, rng=rng)
        wanted = [truth["abcdef".index(one.a)] - truth["abcdef".index(one.b)] for one in found]
        together += all(
            one.simultaneous_low <= value <= one.simultaneous_high
            for one, value in zip(found, wanted, strict=True)
        )
        single += all(
            one.low <= value <= one.high for one, value in zip(found, wanted, strict=True)
        )
    assert 0.85 <= together / runs <= 0.95  # three standard deviations of 300 runs are 0.052
    assert single / runs < 0.7


def test_a_difference_without_error_has_no_interval() -> None:
    found = contrasts(
        means([0.5, 0.2, 0.1], np.zeros((3, 3))), confidence=0.95, rng=np.random.default_rng(0)
    )
    assert {one.standard_error for one in found} == {0}
    assert np.isnan(
        [(one.low, one.simultaneous_high, one.probability, one.detectable) for one in found]
    ).all()


def test_one_category_has_its_rank_and_no_contrast() -> None:
    alone = means([0.5], np.eye(1))
    rng = np.random.default_rng(0)
    assert contrasts(alone, confidence=0.95, rng=rng) == []
    (one,) = ranks(alone, confidence=0.95, rng=rng)
    assert (one.rank, one.low, one.high, one.first) == (1, 1, 1, 1)


def test_the_same_seed_gives_the_same_bounds() -> None:
    one, other = (
        contrasts(means([0.5, 0.2, 0.1], np.eye(3)), confidence=0.95, rng=np.random.default_rng(8))
        for _ in range(2)
    )
    assert one == other
