"""Least squares with clustered errors: published numbers, statsmodels, identities, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.datasets import grunfeld

from stages.statistics.ols import Fit, clustered_ols, log_two_sided_p

PRINTED = 5.1e-5  # half a unit of the fourth decimal, which is what Petersen printed


@pytest.fixture(scope="module")
def petersen() -> pd.DataFrame:
    path = Path(statsmodels.__file__).parent / "stats/tests/test_data.txt"
    return pd.read_csv(path, sep=r"\s+", header=None, names=["firm", "year", "x", "y"])


def ragged(rng: np.random.Generator, clusters: int = 40, K: int = 6) -> tuple[Any, Any, Any, list[str]]:
    """Rows in clusters of 1 to 9, shuffled, labels with gaps and below zero; regressors and errors share a cluster."""
    cluster = rng.permutation(np.repeat(rng.permutation(3 * clusters)[:clusters] - clusters,
                                        rng.integers(1, 10, clusters)))
    shared = {label: rng.normal(size=K) for label in np.unique(cluster)}
    X = np.array([shared[label] for label in cluster]) + rng.normal(size=(len(cluster), K))
    X[:, 0] = 1
    y = X @ rng.normal(size=K) + np.array([shared[label][0] for label in cluster]) + rng.normal(size=len(cluster))
    return X, y, cluster, [f"x{k}" for k in range(K)]


@pytest.mark.parametrize(("column", "errors", "digits", "p"), [
    ("firm", (0.0670, 0.0506), (0.06701270370, 0.05059572588), (0.6580, 5.61e-68)),
    ("year", (0.0234, 0.0334), (0.02338672110, 0.03338891341), (0.2362, 1.857e-10)),
])
def test_petersens_published_errors_are_reproduced(petersen: pd.DataFrame, column: str, errors: tuple[float, float],
                                                   digits: tuple[float, float], p: tuple[float, float]) -> None:
    X = np.column_stack([np.ones(len(petersen)), petersen["x"]])
    fit = clustered_ols(X, petersen["y"].to_numpy(), petersen[column].to_numpy(), ["constant", "x"])
    np.testing.assert_allclose(fit.beta, [0.0297, 1.0348], atol=PRINTED)
    np.testing.assert_allclose(fit.standard_error, errors, atol=PRINTED)
    np.testing.assert_allclose(fit.standard_error, digits, rtol=1e-7)  # R sandwich on its own copy of the data
    np.testing.assert_allclose(np.exp(fit.log_p), p, rtol=1e-3)
    assert fit.r2 == pytest.approx(0.2078, abs=PRINTED)
    assert (fit.observations, fit.df) == (5000, petersen[column].nunique() - 1)


def test_statas_grunfeld_is_reproduced() -> None:
    rows = grunfeld.load_pandas().data[:200]
    X = rows[["value", "capital"]].assign(constant=1.0).to_numpy()
    cluster = pd.factorize(rows["firm"])[0]
    fit = clustered_ols(X, rows["invest"].to_numpy(), cluster, ["value", "capital", "constant"])
    single = {"rtol": 1e-6}  # Stata keeps these data in single precision
    np.testing.assert_allclose(fit.beta, [0.11556215606596, 0.23067848754982, -42.714369016733], **single)
    np.testing.assert_allclose(fit.standard_error, [0.01589433647768, 0.08496711094464, 20.425202580078], **single)
    np.testing.assert_allclose(np.exp(fit.log_p), [4.710548549e-05, 0.02380515903536, 0.06604843284516], rtol=1e-5)
    assert (fit.r2, fit.adjusted_r2) == pytest.approx((0.8124080178, 0.8105035307), rel=1e-6)


def test_statsmodels_gives_the_same_table() -> None:
    X, y, cluster, names = ragged(np.random.default_rng(5))
    fit = clustered_ols(X, y, cluster, names)
    codes = np.unique(cluster, return_inverse=True)[1]  # statsmodels takes no label below zero
    wanted = sm.OLS(y, X).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    np.testing.assert_allclose(fit.beta, wanted.params, atol=1e-8)
    np.testing.assert_allclose(fit.standard_error, wanted.bse, rtol=1e-6)
    np.testing.assert_allclose(fit.covariance, wanted.cov_params(), rtol=1e-6)
    np.testing.assert_allclose(fit.t, wanted.tvalues, rtol=1e-6)
    np.testing.assert_allclose(np.exp(fit.log_p), wanted.pvalues, rtol=1e-6)
    np.testing.assert_allclose(fit.interval(0.9), wanted.conf_int(alpha=0.1), atol=1e-8)
    assert (fit.r2, fit.adjusted_r2) == pytest.approx((wanted.rsquared, wanted.rsquared_adj), abs=1e-10)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_rows_and_names_of_clusters_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y, cluster, names = ragged(rng, clusters=12, K=3)
    order = rng.permutation(len(y))
    fit, other = (clustered_ols(X, y, cluster, names),
                  clustered_ols(X[order], y[order], 7 - 3 * cluster[order], names))
    np.testing.assert_allclose(fit.beta, other.beta, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.covariance, other.covariance, rtol=1e-8, atol=1e-12)


def test_clusters_of_one_row_are_statas_robust_errors() -> None:
    X, y, _, names = ragged(np.random.default_rng(6))
    fit = clustered_ols(X, y, np.arange(len(y)), names)
    np.testing.assert_allclose(fit.standard_error, sm.OLS(y, X).fit(cov_type="HC1").bse, rtol=1e-9)


def test_repeating_every_row_in_its_cluster_brings_no_information() -> None:
    X, y, cluster, names = ragged(np.random.default_rng(7))
    once = clustered_ols(X, y, cluster, names)
    twice = clustered_ols(np.vstack([X, X]), np.tile(y, 2), np.tile(cluster, 2), names)
    N, K = X.shape
    factor = ((2 * N - 1) / (2 * N - K)) / ((N - 1) / (N - K))  # all that CV1 may change
    np.testing.assert_allclose(twice.covariance, factor * once.covariance, rtol=1e-9)


def test_a_saturated_regression_gives_the_means_of_the_cells() -> None:
    rng = np.random.default_rng(8)
    cell = rng.integers(0, 3, 90)
    y = (rng.random(90) < (0.2 + 0.3 * cell)).astype(float)
    X = np.column_stack([np.ones(90), cell == 1, cell == 2]).astype(float)
    fit = clustered_ols(X, y, np.arange(90) // 5, ["constant", "one", "two"])
    np.testing.assert_allclose(fit.beta[0] + np.array([0, fit.beta[1], fit.beta[2]]),
                               [y[cell == i].mean() for i in range(3)])


def test_intervals_cover_where_naive_ones_do_not() -> None:
    rng, runs, clusters, size = np.random.default_rng(9), 300, 40, 8
    cluster = np.repeat(np.arange(clusters), size)
    clustered = naive = 0
    for _ in range(runs):
        X = np.column_stack([np.ones(len(cluster)), np.repeat(rng.normal(size=clusters), size)])
        y = 0.5 * X[:, 1] + np.repeat(rng.normal(size=clusters), size) + rng.normal(size=len(cluster))
        low, high = clustered_ols(X, y, cluster, ["constant", "x"]).interval(0.95)[1]
        clustered += low <= 0.5 <= high
        low, high = sm.OLS(y, X).fit().conf_int()[1]
        naive += low <= 0.5 <= high
    assert 0.91 <= clustered / runs <= 0.98  # three standard deviations of 300 runs are 0.04
    assert naive / runs < 0.75


@pytest.mark.parametrize(("t", "df", "expected"), [
    (0.5, 399, -0.48231800372736056), (37, 9999, -645.2956599562357), (200, 399, -924.4269401200058),
    (60, 9999, -1541.5687904399952), (1000, 99999, -119899.9538336203),
])
def test_p_is_right_beyond_the_smallest_float(t: float, df: int, expected: float) -> None:
    # mpmath 1.3, 60 digits: log(betainc(df/2, 1/2, 0, df/(df+t^2), regularized=True))
    np.testing.assert_allclose(log_two_sided_p(np.array([t, -t]), df), expected, rtol=1e-12)


def test_an_effect_without_error_has_no_t_and_no_interval() -> None:
    X, _, cluster, names = ragged(np.random.default_rng(10))
    fit = clustered_ols(X, X[:, 1] - 2 * X[:, 3], cluster, names)
    np.testing.assert_allclose(fit.beta, [0, 1, 0, -2, 0, 0], atol=1e-12)
    assert fit.beta[0] == 0
    assert (fit.standard_error == 0).all()
    assert np.isnan([fit.t, fit.log_p, *fit.interval(0.95).T]).all()
    assert fit.unmeasured == tuple(names)


def test_what_varies_keeps_its_error_beside_what_does_not() -> None:
    cluster = np.repeat(np.arange(20), 4)
    treated = np.tile([0.0, 0.0, 1.0, 2.0], 20)
    y = 1 + 3 * (treated == 2) + np.where(treated == 1, np.random.default_rng(1).normal(size=80), 0)
    X = np.column_stack([np.ones(80), treated == 1, treated == 2]).astype(float)
    fit = clustered_ols(X, y, cluster, ["constant", "noisy", "exact"])
    assert fit.unmeasured == ("constant", "exact")
    assert fit.standard_error[1] > 0.1


def refused(pattern: str, **changes: Any) -> None:
    X, y, cluster, names = ragged(np.random.default_rng(11))
    given = {"X": X, "y": y, "cluster": cluster, "names": names} | {
        name: change(X, y, cluster, names) for name, change in changes.items()}
    with pytest.raises(ValueError, match=pattern) as caught:
        clustered_ols(**given)
    assert "\n" not in str(caught.value)


def test_collinear_columns_are_named_with_what_they_combine() -> None:
    def combined(X: Any, *_: Any) -> Any:
        return np.column_stack([X, 2 * X[:, 1] - X[:, 4], np.zeros(len(X))])

    refused(r"8 columns but rank 6 \(sum = a combination of x1, x4; none = 0\): drop a collinear regressor",
            X=combined, names=lambda X, y, c, names: [*names, "sum", "none"])


def test_a_nearly_collinear_column_is_refused_and_a_merely_correlated_one_is_not() -> None:
    def close(distance: float) -> Any:
        return lambda X, *_: np.column_stack([X[:, :5], X[:, 4] + distance * X[:, 5]])

    refused("x5 = a combination of x4", X=close(1e-12))
    X, y, cluster, names = ragged(np.random.default_rng(11))
    assert isinstance(clustered_ols(close(1e-4)(X), y, cluster, names), Fit)


def test_one_cluster_is_refused() -> None:
    refused("all rows are in one cluster", cluster=lambda X, y, c, n: np.full_like(c, 3))


def test_a_constant_outcome_is_refused() -> None:
    refused("the outcome is 1 in every row: there is nothing to explain", y=lambda X, y, c, n: np.ones(len(y)))


def test_fewer_rows_than_coefficients_are_refused() -> None:
    refused("6 rows cannot tell 6 coefficients", X=lambda X, *_: X[:6], y=lambda X, y, *_: y[:6],
            cluster=lambda X, y, c, n: c[:6])


def test_a_number_that_is_none_is_refused_with_its_column() -> None:
    refused("NaN or infinity in x2", X=lambda X, *_: np.where(np.arange(6) == 2, np.nan, X))
    refused("NaN or infinity in y", y=lambda X, y, c, n: np.where(y == y.max(), np.inf, y))


def test_arrays_that_do_not_match_are_refused_with_their_shapes() -> None:
    refused(r"expected X \(N, K\).* and 5 names", names=lambda X, y, c, names: names[:5])
    refused(r"y \(7,\)", y=lambda X, y, c, n: y[:7])
