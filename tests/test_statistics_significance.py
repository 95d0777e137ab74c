"""Tests and intervals: against scipy, statsmodels and mpmath, the least sure of several covariances, far tails."""

from __future__ import annotations

import numpy as np
import pytest
from clustered_rows import fitted, ragged
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.api import OLS
from statsmodels.stats.multitest import multipletests

from stages.statistics.significance import Inference, adjusted, log_two_sided_p, log_upper_p

seeds = st.integers(0, 2**32 - 1)


def definite(seed: int, K: int = 3) -> NDArray[np.float64]:
    root = np.random.default_rng(seed).normal(size=(K, K + 2))
    covariance: NDArray[np.float64] = root @ root.T
    return covariance


def inference(
    *covariances: NDArray[np.float64], beta: tuple[float, ...] = (1.0, -2.0, 0.5), df: int = 9
) -> Inference:
    return Inference(np.array(beta), df, covariances, covariances)


def wald(one: Inference, *columns: int) -> float:
    """F of the joint test, which there should be."""
    joint = one.wald(columns)
    assert joint is not None
    assert (joint.df1, joint.df2) == (len(columns), one.df)
    assert joint.log_p == pytest.approx(stats.f.logsf(joint.F, len(columns), one.df), rel=1e-8)
    return joint.F


def test_t_p_and_intervals_are_students() -> None:
    one = inference(definite(1))
    error = np.sqrt(np.diag(definite(1)))
    np.testing.assert_allclose(one.t, one.beta / error)
    np.testing.assert_allclose(np.exp(one.log_p), 2 * stats.t.sf(np.abs(one.beta / error), 9))
    np.testing.assert_allclose(one.interval(0.9).T, stats.t.interval(0.9, 9, one.beta, error))
    np.testing.assert_array_equal(one.covariance, definite(1))


@settings(max_examples=30, deadline=None)
@given(seed=seeds, p=st.floats(1e-6, 0.999))
def test_an_interval_ends_at_zero_where_p_is_what_it_leaves_out(seed: int, p: float) -> None:
    one = inference(definite(seed))
    edge = stats.t.isf(p / 2, one.df) * one.standard_error
    at_edge = Inference(edge, one.df, one.covariances, one.covariances)
    np.testing.assert_allclose(at_edge.interval(1 - p)[:, 0] / edge, 0, atol=1e-8)
    np.testing.assert_allclose(np.exp(at_edge.log_p), p, rtol=1e-8)


def test_of_several_covariances_the_largest_error_counts() -> None:
    parts = [
        np.diag([4.0, 1, 1]),
        np.diag([1.0, 4, -9]),
    ]  # a difference of covariances can be negative
    one = inference(*parts)
    np.testing.assert_array_equal(one.standard_error, [2, 2, 1])
    np.testing.assert_array_equal(one.standard_error_cv1, [2, 2, 1])
    assert wald(one, 0, 1) == pytest.approx(min(1 + 4 / 4, 1 / 4 + 4) / 2)
    assert wald(one, 2) == pytest.approx(0.25)  # of the one that is positive


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_a_joint_test_is_statsmodels_and_of_one_coefficient_its_t(seed: int) -> None:
    X, y, cluster = ragged(seed)
    fit = fitted(X, y, cluster, leave_out=False)
    codes = np.unique(cluster, return_inverse=True)[1]
    reference = OLS(y, X).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "df_correction": True}, use_t=True
    )
    wanted = reference.f_test(np.eye(6)[[1, 2, 4]])
    assert wald(fit, 1, 2, 4) == pytest.approx(float(wanted.fvalue))
    assert wald(fit, 3) == pytest.approx(fit.t[3] ** 2)
    assert log_upper_p(fit.t[3] ** 2, 1, 39) == pytest.approx(fit.log_p[3])


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_a_joint_test_does_not_depend_on_units(seed: int) -> None:
    units = np.diag([1e-6, 1.0, 1e6])
    one = inference(definite(seed))
    other = Inference(units @ one.beta, one.df, (units @ definite(seed) @ units,), ())
    assert wald(other, 0, 1, 2) == pytest.approx(wald(one, 0, 1, 2), rel=1e-7)


@pytest.mark.parametrize(
    ("covariance", "df"),
    [
        (definite(2), 2),  # three coefficients, two degrees of freedom
        (np.diag([1.0, 0, 2]), 9),  # one of them has no error
        (np.ones((3, 3)), 9),  # they are told together alone
    ],
)
def test_what_the_clusters_cannot_tell_has_no_joint_test(
    covariance: NDArray[np.float64], df: int
) -> None:
    assert inference(covariance, df=df).wald([0, 1, 2]) is None


def test_an_effect_without_error_has_no_t_p_or_interval() -> None:
    one = inference(np.diag([1.0, 0, 4]))
    for values in (one.t, one.log_p, *one.interval(0.95).T):
        np.testing.assert_array_equal(np.isnan(values), [False, True, False])


@pytest.mark.parametrize("method", ["holm", "fdr_bh"])
@settings(max_examples=30, deadline=None)
@given(p=st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=12))
def test_adjusted_p_is_statsmodels_and_what_was_not_measured_does_not_count(
    method: str, p: list[float]
) -> None:
    given_p = np.array(p)
    told = ~np.isnan(given_p)
    result = adjusted(given_p, method)
    np.testing.assert_array_equal(np.isnan(result), ~told)
    if told.any():
        np.testing.assert_array_equal(result[told], multipletests(given_p[told], method=method)[1])
        assert (result[told] >= given_p[told] * (1 - 1e-15)).all()


def test_holms_adjustment_is_right_by_hand() -> None:
    np.testing.assert_allclose(
        adjusted(np.array([0.04, np.nan, 0.01, 0.03]), "holm"), [0.06, np.nan, 0.03, 0.06]
    )
    np.testing.assert_allclose(
        adjusted(np.array([0.04, np.nan, 0.01, 0.03]), "fdr_bh"), [0.04, np.nan, 0.03, 0.04]
    )


@pytest.mark.parametrize(
    ("t", "df", "expected"),
    [
        (0.5, 399, -0.48231800372736056),
        (37, 9999, -645.2956599562357),
        (200, 399, -924.4269401200058),
        (60, 9999, -1541.5687904399952),
        (1000, 99999, -119899.9538336203),
    ],
)
def test_p_of_t_is_right_beyond_the_smallest_float(t: float, df: int, expected: float) -> None:
    # mpmath 1.3, 60 digits: log(betainc(df/2, 1/2, 0, df/(df+t^2), regularized=True))
    np.testing.assert_allclose(log_two_sided_p(np.array([t, -t]), df), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("F", "df1", "df2", "expected"),
    [
        (50.0, 2, 9, -11.223554872018159),
        (1e5, 4, 99, -407.14346777607415),
        (500.0, 3, 24999, -724.958139747177),
        (600.0, 3, 24999, -865.5868018267169),
        (90.0, 30, 99999, -1256.738028840873),
    ],
)
def test_p_of_f_is_right_beyond_the_smallest_float(
    F: float, df1: int, df2: int, expected: float
) -> None:
    # mpmath 1.3, 40 digits: log(betainc(df2/2, df1/2, 0, df2/(df2+df1 F), regularized=True))
    assert log_upper_p(F, df1, df2) == pytest.approx(expected, rel=1e-8)


@settings(max_examples=50, deadline=None)
@given(t=st.floats(0, 1e4), df=st.integers(1, 10**5))
def test_p_of_t_is_p_of_its_square_by_f(t: float, df: int) -> None:
    assert log_two_sided_p(np.array([t]), df)[0] == pytest.approx(
        log_upper_p(t**2, 1, df), rel=1e-5, abs=1e-9
    )


@settings(max_examples=50, deadline=None)
@given(t=st.floats(0.1, 1e4), more=st.floats(1.001, 2), df=st.integers(1, 10**5))
def test_p_falls_as_t_grows(t: float, more: float, df: int) -> None:
    here, there = log_two_sided_p(np.array([t, more * t]), df)
    assert np.isfinite([here, there]).all()
    assert here > there
