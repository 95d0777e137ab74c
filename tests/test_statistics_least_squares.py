"""Least squares with clustered errors: published numbers, refits by brute force, identities, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import linearmodels
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from clustered_rows import Floats, Ints, fitted, grunfeld, petersen, ragged, refits
from hypothesis import given, settings
from hypothesis import strategies as st
from linearmodels.datasets import wage_panel

from stages.statistics import influence
from stages.statistics.least_squares import Fit, boundaries, into_blocks, least_squares, two_way
from stages.statistics.moments import Moments
from stages.statistics.sample import intersection

PRINTED = 5.1e-5  # half a unit of the fourth decimal, which is what Petersen printed
STATA: dict[str, Any] = {"rtol": 1e-6}  # Stata keeps Grunfeld's data in single precision

seeds = st.integers(0, 2**32 - 1)
shapes = st.sampled_from(
    [(5, 4, 2), (7, 3, 30), (30, 2, 1), (12, 5, 9)]
)  # clusters, K, greatest size: below, above K


def told(rows: tuple[Floats, Floats, Ints], K: int) -> bool:
    """Whether X has full rank, well told, without any cluster."""
    X, _, cluster = rows
    parts = [X[cluster != label] for label in np.unique(cluster)]
    return all(len(part) > K and np.linalg.cond(part) < 1e4 for part in parts)


@pytest.mark.parametrize(
    ("column", "errors", "cv1", "cv3", "p"),
    [
        (
            "firm",
            (0.0670, 0.0506),
            (0.06701270370, 0.05059572588),
            (0.06707597103, 0.05076512491),
            (0.6580, 5.61e-68),
        ),
        (
            "year",
            (0.0234, 0.0334),
            (0.02338672110, 0.03338891341),
            (0.02340177333, 0.03340712787),
            (0.2362, 1.857e-10),
        ),
    ],
)
def test_petersens_published_errors_are_reproduced(
    column: str,
    errors: tuple[float, float],
    cv1: tuple[float, float],
    cv3: tuple[float, float],
    p: tuple[float, float],
) -> None:
    X, y, cluster = petersen(column)
    fit = fitted(X, y, cluster)
    np.testing.assert_allclose(fit.beta, [0.02967972, 1.03483344], atol=5e-9)
    np.testing.assert_allclose(fit.standard_error_cv1, errors, atol=PRINTED)
    np.testing.assert_allclose(
        fit.standard_error_cv1, cv1, rtol=1e-7
    )  # R sandwich on its own copy of the data
    np.testing.assert_allclose(fit.standard_error, cv3, rtol=1e-7)  # R sandwich::vcovJK
    np.testing.assert_allclose(np.exp(fitted(X, y, cluster, leave_out=False).log_p), p, rtol=1e-3)
    assert fit.r2 == pytest.approx(0.2078, abs=PRINTED)
    assert (fit.observations, fit.df, fit.clusters) == (
        5000,
        len(set(cluster)) - 1,
        len(set(cluster)),
    )
    assert fit.leave_out is not None
    assert fit.leave_out.effective_clusters[1] == pytest.approx(
        {"firm": 309.865, "year": 9.98929}[column], rel=2e-6
    )


def test_petersens_two_way_errors_are_reproduced_and_the_largest_error_is_the_headline() -> None:
    (X, y, firm) = petersen("firm")
    year = petersen("year")[2]
    ways = fitted(X, y, firm), fitted(X, y, year), fitted(X, y, intersection(firm, year))
    fit = two_way(*ways)
    plain = np.sqrt(np.diag(fit.covariances_cv1[0]))
    np.testing.assert_allclose(plain, [0.0651, 0.0536], atol=PRINTED)
    np.testing.assert_allclose(plain, [0.06506391820, 0.05355802294], rtol=1e-7)
    np.testing.assert_allclose(fit.standard_error_cv1, [ways[0].standard_error_cv1[0], plain[1]])
    assert (fit.df, fit.cluster_counts) == (9, (500, 10))
    tests = [way.wald([0, 1]) for way in (fit, *ways[:2])]
    F, *others = [test.F for test in tests if test is not None]
    assert len(others) == 2
    assert min(others) >= F


def test_a_negative_two_way_variance_leaves_the_larger_of_the_two_errors() -> None:
    X, y, cluster = ragged(3, clusters=6, K=2)
    first = fitted(X, y, cluster)
    second = fitted(X, y, np.arange(len(y)) % 5)
    finer = fitted(X, 9 * y, np.arange(len(y)))  # errors nine times those of either way
    fit = two_way(first, second, finer)
    assert (np.diag(fit.covariance) < 0).all()
    np.testing.assert_array_equal(
        fit.standard_error, np.maximum(first.standard_error, second.standard_error)
    )
    assert np.isfinite(fit.interval(0.95)).all()


def test_statas_grunfeld_is_reproduced() -> None:
    fit = fitted(*grunfeld(), leave_out=False)
    np.testing.assert_allclose(
        fit.beta, [-42.714369016733, 0.11556215606596, 0.23067848754982], **STATA
    )
    np.testing.assert_allclose(
        fit.standard_error, [20.425202580078, 0.01589433647768, 0.08496711097464], **STATA
    )
    np.testing.assert_allclose(fit.t, [-2.0913, 7.2706, 2.7149], atol=PRINTED)
    np.testing.assert_allclose(
        np.exp(fit.log_p), [0.06604843284516, 4.710548549e-05, 0.02380515903536], rtol=1e-5
    )
    assert (fit.r2, fit.adjusted_r2) == pytest.approx((0.8124080178, 0.8105035307), rel=1e-6)
    assert np.sqrt(fit.residual_variance) == pytest.approx(94.40840194, rel=1e-6)
    joint = fit.wald([1, 2])
    assert joint is not None
    assert pytest.approx(51.59060717, rel=1e-6) == joint.F
    assert (joint.df1, joint.df2) == (2, 9)


def test_the_jackknife_of_grunfelds_firms_is_that_of_r_packages() -> None:
    X, y, cluster = grunfeld()
    fit = fitted(X, y, cluster)  # R summclust and sandwich::vcovJK
    np.testing.assert_allclose(
        fit.standard_error, [34.81338218, 0.01612997208, 0.1473308781], rtol=1e-8
    )
    np.testing.assert_allclose(
        np.exp(fit.log_p), [0.2509677931, 5.28288e-05, 0.1518557711], rtol=1e-5
    )
    left = fit.leave_out
    assert left is not None
    assert (left.press, left.cook) == pytest.approx((1912299.65119, 1.79756784))
    assert left.cook_cluster == cluster[19]
    assert (left.predicted_r2, left.out_of_cluster_r2) == pytest.approx(
        (0.795693, 0.701752), abs=5.1e-7
    )
    np.testing.assert_allclose(left.effective_clusters, [7.58954, 2.71685, 3.47493], atol=5.1e-6)
    assert (left.sizes, left.singular, left.leverage_one) == ((20, 20, 20), 0, 0)


def test_statas_simulated_panel_is_reproduced() -> None:
    path = Path(linearmodels.__file__).parent / "tests/panel/results/simulated-panel.dta"
    data = pd.read_stata(path)
    X = data[["x1", "x2", "x3", "x4", "x5"]].to_numpy(float)
    fit = fitted(
        np.column_stack([np.ones(len(X)), X]),
        data["y"].to_numpy(float),
        pd.factorize(data["firm"])[0].astype(np.int64),
        leave_out=False,
    )
    np.testing.assert_allclose(
        fit.beta,
        [0.16498597792, 0.23022942233, 0.45328333987, 0.5571182147, 0.70135323042, 0.83076510182],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        fit.t,
        [3.9517298456, 7.0473011908, 14.318056968, 17.972883425, 20.753073237, 26.735635477],
        rtol=1e-6,
    )
    assert (fit.r2, fit.adjusted_r2) == pytest.approx((0.37614625376, 0.37510441384), rel=1e-7)
    assert (fit.covariance[1, 1], np.exp(fit.log_p[1])) == pytest.approx(
        (0.00106727413, 3.396428e-12), rel=1e-5
    )


def test_statas_wage_panel_is_reproduced() -> None:
    data = wage_panel.load()
    X = np.column_stack([np.ones(len(data)), data["hours"]])
    fit = fitted(X, 10000 * data["lwage"].to_numpy(float), data["nr"].to_numpy(np.int64))
    assert fit.standard_error_cv1[1] == pytest.approx(
        0.27068014199, rel=1e-8
    )  # linearmodels issue 540
    assert fit.clusters == 545


def test_statsmodels_gives_the_same_table() -> None:
    X, y, cluster = ragged(5)
    fit = fitted(X, y, cluster, leave_out=False)
    codes = np.unique(cluster, return_inverse=True)[1]  # statsmodels takes no label below zero
    wanted = sm.OLS(y, X).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    np.testing.assert_allclose(fit.beta, wanted.params, rtol=1e-10)
    np.testing.assert_allclose(fit.covariance, wanted.cov_params(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.t, wanted.tvalues, rtol=1e-9)
    np.testing.assert_allclose(np.exp(fit.log_p), wanted.pvalues, rtol=1e-8)
    np.testing.assert_allclose(fit.interval(0.9), wanted.conf_int(alpha=0.1), rtol=1e-9)
    assert (fit.r2, fit.adjusted_r2) == pytest.approx(
        (wanted.rsquared, wanted.rsquared_adj), abs=1e-12
    )
    assert fit.residual_variance == pytest.approx(wanted.scale)
    assert fit.out_of_range == ((wanted.fittedvalues < 0) | (wanted.fittedvalues > 1)).sum()
    jackknife = sm.OLS(y, X).fit(cov_type="cluster-crv3", cov_kwds={"groups": codes}).cov_params()
    np.testing.assert_allclose(fitted(X, y, cluster).covariance, jackknife, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, shape=shapes)
def test_leaving_clusters_out_is_what_refits_say(seed: int, shape: tuple[int, int, int]) -> None:
    X, y, cluster = rows = ragged(seed, *shape)
    if not told(rows, shape[1]):
        return
    fit = fitted(X, y, cluster)
    G = shape[0]
    labels, beta = refits(X, y, cluster)
    np.testing.assert_allclose(
        fit.covariance,
        (G - 1) / G * (beta - fit.beta).T @ (beta - fit.beta),
        rtol=1e-6,
        atol=1e-9 * fit.covariance.max(),
    )
    left = fit.leave_out
    assert left is not None
    assert left.singular == 0
    np.testing.assert_allclose(
        [left.lowest, left.highest], [beta.min(axis=0), beta.max(axis=0)], atol=1e-8
    )
    np.testing.assert_array_equal(left.lowest_cluster, labels[beta.argmin(axis=0)])
    np.testing.assert_array_equal(left.highest_cluster, labels[beta.argmax(axis=0)])
    errors = y - (X * beta[np.searchsorted(labels, cluster)]).sum(axis=1)
    assert left.out_of_cluster_r2 == pytest.approx(
        1 - errors @ errors / np.square(y - y.mean()).sum(), abs=1e-7
    )


@settings(max_examples=25, deadline=None)
@given(seed=seeds, shape=shapes)
def test_leaving_rows_out_is_what_statsmodels_says(seed: int, shape: tuple[int, int, int]) -> None:
    X, y, cluster = ragged(seed, *shape)
    if len(y) < 2 * X.shape[1]:
        return
    left = fitted(X, y, cluster).leave_out
    influence = sm.OLS(y, X).fit().get_influence()
    assert left is not None
    assert left.press == pytest.approx(influence.ess_press, rel=1e-7)
    assert left.predicted_r2 == pytest.approx(
        1 - influence.ess_press / np.square(y - y.mean()).sum(), abs=1e-7
    )
    cook = influence.cooks_distance[0]
    assert left.cook == pytest.approx(cook.max(), rel=1e-6)
    assert left.cook_cluster == cluster[cook.argmax()]


@settings(max_examples=25, deadline=None)
@given(seed=seeds, shape=shapes)
def test_leverages_are_those_of_the_hat_matrix_and_of_each_regressor_alone(
    seed: int, shape: tuple[int, int, int]
) -> None:
    X, y, cluster = ragged(seed, *shape)
    G, K = shape[:2]
    if len(y) < 2 * K:
        return
    left = fitted(X, y, cluster).leave_out
    assert left is not None
    labels = np.unique(cluster)
    h = np.diag(X @ np.linalg.pinv(X))
    leverage = np.array([h[cluster == label].sum() for label in labels])
    assert leverage.sum() == pytest.approx(K)
    assert left.leverage_max == pytest.approx(leverage.max())
    assert left.leverage_cluster == labels[leverage.argmax()]
    assert left.leverage_cv == pytest.approx(leverage.std() / leverage.mean(), abs=1e-7)
    for k in range(K):
        others = np.delete(X, k, axis=1)
        alone = X[:, k] - others @ np.linalg.lstsq(others, X[:, k], rcond=None)[0]
        partial = np.array([np.square(alone[cluster == label]).sum() for label in labels]) / (
            alone @ alone
        )
        joint = np.array([alone[cluster == label].sum() ** 2 for label in labels])
        assert left.partial_max[k] == pytest.approx(partial.max())
        assert left.partial_cluster[k] == labels[partial.argmax()]
        assert left.effective_clusters[k] == pytest.approx(
            G / (1 + np.var(partial / partial.mean()))
        )
        assert left.effective_clusters_equal[k] == pytest.approx(
            G / (1 + np.var(joint / joint.mean()))
        )


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_the_influence_table_is_every_cluster_by_its_distance(seed: int) -> None:
    X, y, cluster = ragged(seed, clusters=15, K=3)
    fit = fitted(X, y, cluster)
    assert fit.leave_out is not None
    table = fit.leave_out.influence
    (labels, beta) = refits(X, y, cluster)
    moved = fit.beta - beta
    distance = np.einsum("gk,kl,gl->g", moved, X.T @ X, moved) / (3 * fit.residual_variance)
    place = np.searchsorted(labels, table.cluster)
    np.testing.assert_array_equal(np.sort(table.cluster), labels)
    assert (np.diff(table.distance) <= 0).all()
    np.testing.assert_allclose(table.distance, distance[place], rtol=1e-6)
    assert table.moved is not None
    np.testing.assert_allclose(table.moved, moved[place], atol=1e-8)
    np.testing.assert_array_equal(table.rows, [(cluster == label).sum() for label in table.cluster])
    assert table.leverage.sum() == pytest.approx(3)


def test_the_influence_table_keeps_the_most_influential_however_rows_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y, cluster = ragged(12, clusters=90, K=3, largest=4)
    every = fitted(X, y, cluster).leave_out
    monkeypatch.setattr(influence, "MOST_INFLUENTIAL", 7)
    few = fitted(X, y, cluster, rows=5).leave_out
    assert every is not None
    assert few is not None
    np.testing.assert_array_equal(few.influence.cluster, every.influence.cluster[:7])
    np.testing.assert_allclose(few.influence.distance, every.influence.distance[:7])
    assert few.influence.moved is not None
    assert few.influence.moved.shape == (7, 3)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, rows=st.integers(1, 60))
def test_parts_merged_are_one_shot_wherever_they_are_cut(seed: int, rows: int) -> None:
    X, y, cluster = ragged(seed, clusters=12, K=3)
    once = fitted(X, y, cluster)
    merged = fitted(X, y, cluster, rows=rows)
    same(once, merged)
    assert once.leave_out is not None
    assert merged.leave_out is not None
    for name in (
        "lowest",
        "highest",
        "partial_max",
        "effective_clusters",
        "effective_clusters_equal",
        "press",
        "cook",
        "out_of_cluster_r2",
        "leverage_max",
        "leverage_cv",
        "sizes",
    ):
        np.testing.assert_allclose(
            getattr(merged.leave_out, name), getattr(once.leave_out, name), rtol=1e-7
        )
    for name in (
        "lowest_cluster",
        "highest_cluster",
        "partial_cluster",
        "leverage_cluster",
        "cook_cluster",
    ):
        np.testing.assert_array_equal(
            getattr(merged.leave_out, name), getattr(once.leave_out, name)
        )


def same(one: Fit, other: Fit) -> None:
    np.testing.assert_allclose(other.beta, one.beta, rtol=1e-8, atol=1e-10)
    for name in ("covariances", "covariances_cv1"):
        for theirs, ours in zip(getattr(other, name), getattr(one, name), strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-7, atol=1e-9 * ours.max())
    assert other.r2 == pytest.approx(one.r2)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_order_of_rows_and_names_of_clusters_do_not_matter(seed: int) -> None:
    X, y, cluster = ragged(seed, clusters=12, K=3)
    order = np.random.default_rng(seed).permutation(len(y))
    one = fitted(X, y, cluster)
    other = fitted(X[order], y[order], 7 - 3 * cluster[order])
    same(one, other)
    assert one.leave_out is not None
    assert other.leave_out is not None
    np.testing.assert_array_equal(
        other.leave_out.highest_cluster, 7 - 3 * one.leave_out.highest_cluster
    )


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_clusters_of_one_row_are_the_robust_errors_hc1_and_hc3(seed: int) -> None:
    X, y, _ = ragged(seed, clusters=12, K=4)
    N = len(y)
    fit = fitted(X, y, np.arange(N))
    white = sm.OLS(y, X).fit(cov_type="HC1")
    np.testing.assert_allclose(fit.standard_error_cv1, white.bse, rtol=1e-8)
    np.testing.assert_allclose(np.diag(fit.covariance) * N / (N - 1), white.HC3_se**2, rtol=1e-7)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, copies=st.integers(2, 4))
def test_repeating_every_row_in_its_cluster_brings_no_information(seed: int, copies: int) -> None:
    X, y, cluster = ragged(seed, clusters=15, K=3)
    once = fitted(X, y, cluster)
    again = fitted(np.tile(X, (copies, 1)), np.tile(y, copies), np.tile(cluster, copies))
    np.testing.assert_allclose(
        again.covariance, once.covariance, rtol=1e-7, atol=1e-9 * once.covariance.max()
    )
    N, K = X.shape
    factor = ((copies * N - 1) / (copies * N - K)) / ((N - 1) / (N - K))  # all that CV1 may change
    np.testing.assert_allclose(
        again.covariances_cv1[0], factor * once.covariances_cv1[0], rtol=1e-8, atol=1e-12
    )


def test_a_saturated_regression_gives_the_means_of_the_cells() -> None:
    rng = np.random.default_rng(8)
    cell = rng.integers(0, 3, 90)
    y = (rng.random(90) < (0.2 + 0.3 * cell)).astype(float)
    X = np.column_stack([np.ones(90), cell == 1, cell == 2]).astype(float)
    fit = fitted(X, y, np.arange(90) // 5)
    np.testing.assert_allclose(
        fit.beta[0] + np.array([0, fit.beta[1], fit.beta[2]]),
        [y[cell == i].mean() for i in range(3)],
    )
    assert fit.out_of_range == 0


@pytest.mark.parametrize("size", [3, 12])  # smaller and larger than K
def test_a_cluster_that_alone_tells_a_coefficient_is_counted_and_the_others_hold(size: int) -> None:
    X, y, _ = ragged(4, clusters=30, K=4, largest=9)
    cluster = np.arange(len(y)) // size
    X[:, 3] *= cluster == 2
    fit = fitted(X, y, cluster)
    _, beta = refits(X, y, cluster)
    G = len(beta)
    identified = [0, 1, 2]
    moved = (beta - fit.beta)[:, identified]
    np.testing.assert_allclose(fit.covariance[:3, :3], (G - 1) / G * moved.T @ moved, rtol=1e-8)
    assert fit.leave_out is not None
    assert fit.leave_out.singular == 1
    np.testing.assert_allclose(fit.leave_out.lowest[:3], beta[:, :3].min(axis=0))
    np.testing.assert_allclose(fit.leave_out.highest[:3], beta[:, :3].max(axis=0))


@pytest.mark.parametrize("size", [3, 12])
def test_a_cluster_that_tells_nearly_all_of_a_coefficient_is_left_out_exactly(size: int) -> None:
    X, y, _ = ragged(4, clusters=30, K=4, largest=9)
    cluster = np.arange(len(y)) // size
    X[:, 3] *= np.where(cluster == 2, 1, 1e-3)
    fit = fitted(X, y, cluster)
    _, beta = refits(X, y, cluster)
    moved = beta - fit.beta
    np.testing.assert_allclose(
        fit.covariance, (len(beta) - 1) / len(beta) * moved.T @ moved, rtol=1e-6
    )
    assert fit.leave_out is not None
    assert fit.leave_out.singular == 0


def test_rows_that_alone_tell_a_coefficient_are_counted_and_not_foretold() -> None:
    X, y, cluster = ragged(14, K=3)
    X[:, 2] = np.arange(len(y)) == 5
    left = fitted(X, y, cluster).leave_out
    without = sm.OLS(np.delete(y, 5), np.delete(X, 5, axis=0)[:, :2]).fit().get_influence()
    assert left is not None
    assert left.leverage_one == 1
    assert left.press == pytest.approx(without.ess_press)


def test_intervals_cover_where_naive_ones_do_not() -> None:
    rng = np.random.default_rng(9)
    runs = 1200
    G = 300
    size = 4
    cluster = np.repeat(np.arange(G), size)
    X = np.ones((G * size, 2))
    clustered = naive = 0
    for _ in range(runs):
        X[:, 1] = np.repeat(rng.normal(size=G), size)
        y = 0.5 * X[:, 1] + np.repeat(rng.normal(size=G), size) + rng.normal(size=G * size)
        fit = fitted(X, y, cluster)
        low, high = fit.interval(0.95)[1]
        clustered += low <= 0.5 <= high
        naive += abs(fit.beta[1] - 0.5) <= 1.96 * np.sqrt(fit.residual_variance * fit.bread[1, 1])
    assert 0.93 <= clustered / runs <= 0.97  # three standard deviations of 1200 runs are 0.019
    assert naive / runs < 0.8


def test_an_effect_without_error_has_no_t_and_no_interval() -> None:
    X, _, cluster = ragged(10)
    fit = fitted(X, X[:, 1] - 2 * X[:, 3], cluster)
    np.testing.assert_allclose(fit.beta, [0, 1, 0, -2, 0, 0], atol=1e-12)
    assert fit.beta[0] == 0
    assert (fit.standard_error == 0).all()
    assert (fit.standard_error_cv1 == 0).all()
    assert np.isnan([fit.t, fit.log_p, *fit.interval(0.95).T]).all()
    assert fit.wald([1, 3]) is None


def test_what_varies_keeps_its_error_beside_what_does_not() -> None:
    cluster = np.repeat(np.arange(20), 4)
    treated = np.tile([0.0, 0.0, 1.0, 2.0], 20)
    y = 1 + 3 * (treated == 2) + np.where(treated == 1, np.random.default_rng(1).normal(size=80), 0)
    X = np.column_stack([np.ones(80), treated == 1, treated == 2]).astype(float)
    fit = fitted(X, y, cluster)
    np.testing.assert_array_equal(fit.standard_error > 0, [False, True, False])
    assert fit.standard_error[1] > 0.1


@settings(max_examples=50, deadline=None)
@given(seed=seeds, rows=st.integers(1, 30))
def test_blocks_have_whole_clusters_and_no_more_rows_than_asked_where_these_allow(
    seed: int, rows: int
) -> None:
    X, y, cluster = ragged(seed, clusters=10, K=2)
    blocks = list(into_blocks(X, y, cluster, rows)())
    order = np.argsort(cluster, kind="stable")
    for part, whole in enumerate((X, y, cluster)):
        np.testing.assert_array_equal(
            np.concatenate([block[part] for block in blocks]), whole[order]
        )
    labels = [label for block in blocks for label in np.unique(block[2])]
    assert len(labels) == len(set(labels))
    assert all(len(block[1]) <= rows or len(set(block[2])) == 1 for block in blocks)


def test_a_block_is_filled_up_before_another_begins() -> None:
    assert boundaries(np.array([1, 1, 2, 3, 3, 3, 9]), 4) == [0, 3, 7]
    assert boundaries(np.array([1, 1, 2, 3, 3, 3, 9]), 100) == [0, 7]
    assert boundaries(np.array([1, 1, 2, 3, 3, 3, 9]), 1) == [0, 2, 3, 6, 7]


def test_without_leaving_out_cv1_is_the_headline_and_the_estimates_are_the_same() -> None:
    X, y, cluster = ragged(15)
    whole = fitted(X, y, cluster)
    quick = fitted(X, y, cluster, leave_out=False)
    assert quick.leave_out is None
    np.testing.assert_array_equal(quick.beta, whole.beta)
    np.testing.assert_allclose(quick.standard_error, whole.standard_error_cv1, rtol=1e-12)
    alone = fitted(X, y, cluster, leave_out=False, jackknife=True)
    assert alone.leave_out is None
    np.testing.assert_allclose(alone.standard_error, whole.standard_error, rtol=1e-12)
    assert (whole.standard_error > whole.standard_error_cv1).any()


def refused(pattern: str, **changes: Callable[..., Any]) -> None:
    X, y, cluster = ragged(11)
    names = [f"x{k}" for k in range(6)]
    given: dict[str, Any] = {"X": X, "y": y, "cluster": cluster, "names": names}
    rows = given | {name: change(X, y, cluster, names) for name, change in changes.items()}
    given_names = rows.pop("names")
    with pytest.raises(ValueError, match=pattern) as caught:
        least_squares(into_blocks(**rows), given_names)
    assert "\n" not in str(caught.value)


def test_collinear_columns_are_named_with_what_they_combine() -> None:
    refused(
        r"8 columns but rank 6 \(sum = a combination of x1, x4; none = 0\): drop a collinear regressor",
        X=lambda X, *_: np.column_stack([X, 2 * X[:, 1] - X[:, 4], np.zeros(len(X))]),
        names=lambda X, y, c, names: [*names, "sum", "none"],
    )


def test_a_nearly_collinear_column_is_refused_and_a_merely_correlated_one_is_not() -> None:
    def close(distance: float) -> Callable[..., Floats]:
        return lambda X, *_: np.column_stack([X[:, :5], X[:, 4] + distance * X[:, 5]])

    refused("x5 = a combination of x4", X=close(1e-7))
    X, y, cluster = ragged(11)
    near = fitted(close(1e-3)(X), y, cluster)
    apart = fitted(X, y, cluster)
    np.testing.assert_allclose(
        near.beta, np.linalg.lstsq(close(1e-3)(X), y, rcond=None)[0], rtol=1e-11
    )
    np.testing.assert_allclose(
        near.beta[5], 1e3 * apart.beta[5], rtol=1e-6
    )  # the same regression told otherwise
    np.testing.assert_allclose(near.standard_error[5], 1e3 * apart.standard_error[5], rtol=1e-6)


def test_one_cluster_is_refused() -> None:
    refused("all rows are in one cluster", cluster=lambda X, y, c, n: np.full_like(c, 3))


def test_a_constant_outcome_is_refused() -> None:
    refused(
        "the outcome is 1 in every row: there is nothing to explain",
        y=lambda X, y, c, n: np.ones(len(y)),
    )


def test_fewer_rows_than_coefficients_are_refused() -> None:
    refused(
        "6 rows cannot tell 6 coefficients",
        X=lambda X, *_: X[:6],
        y=lambda X, y, *_: y[:6],
        cluster=lambda X, y, c, n: c[:6],
    )


def test_no_rows_are_refused() -> None:
    refused(
        "no rows", X=lambda X, *_: X[:0], y=lambda X, y, *_: y[:0], cluster=lambda X, y, c, n: c[:0]
    )


def test_a_first_column_that_is_no_constant_is_refused() -> None:
    refused("the first column, x0, should be of ones", X=lambda X, *_: X[:, ::-1])


def test_a_number_that_is_none_is_refused_with_its_column() -> None:
    refused("NaN or infinity in x2", X=lambda X, *_: np.where(np.arange(6) == 2, np.nan, X))
    refused("NaN or infinity in y", y=lambda X, y, c, n: np.where(y == y.max(), np.inf, y))


def test_arrays_that_do_not_match_are_refused_with_their_shapes() -> None:
    refused(r"expected X \(N, K\).* and 5 names", names=lambda X, y, c, names: names[:5])
    refused(
        r"y \(7,\)",
        y=lambda X, y, *_: y[:7],
        X=lambda X, *_: X[:8],
        cluster=lambda *_: np.arange(8),
    )


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (
            [[0, 1, 1], [1, 2, 2]],
            "cluster 1 comes after 1: labels should ascend, a cluster in one block",
        ),
        ([[0, 4, 4], [1, 2, 2]], "cluster 1 comes after 4"),
        (
            [[0, 2, 1], [3, 4, 4]],
            "the labels of the clusters should ascend: sort the rows by cluster",
        ),
    ],
)
def test_clusters_in_pieces_or_out_of_order_are_refused(
    labels: list[list[int]], complaint: str
) -> None:
    y = np.array([0.0, 1, 1])

    def blocks() -> Iterator[tuple[Floats, Floats, Ints]]:
        for part in labels:
            yield np.column_stack([np.ones(3), [3.0, 1, 4]]), y, np.array(part)

    with pytest.raises(ValueError, match=complaint):
        least_squares(blocks, ["constant", "x"])


def test_the_fit_keeps_the_moments_and_their_inverse() -> None:
    X, y, cluster = ragged(16)
    fit = fitted(X, y, cluster, rows=10)
    moments = Moments.of(X, y)
    np.testing.assert_allclose(fit.moments.XX, moments.XX)
    np.testing.assert_allclose(fit.bread @ moments.XX, np.eye(6), atol=1e-10)


@pytest.mark.parametrize("rows", [3, 9])  # clusters smaller than K, and larger
def test_without_the_only_cluster_that_tells_a_dummy_the_shortest_solution_is_taken(
    rows: int,
) -> None:
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(12), rows)
    X = np.column_stack(
        [np.ones(12 * rows), rng.normal(size=(12 * rows, 3)), cluster == 4, cluster == 7]
    )
    y = X @ rng.normal(size=6) + rng.normal(size=12 * rows)
    fit = fitted(X, y, cluster)
    leave = [
        np.linalg.pinv(X[cluster != g].T @ X[cluster != g]) @ (X[cluster != g].T @ y[cluster != g])
        for g in range(12)
    ]  # what R's summclust does
    moved = np.array(leave) - fit.beta
    np.testing.assert_allclose(fit.covariance, 11 / 12 * moved.T @ moved, atol=1e-12)
    assert fit.leave_out is not None
    assert fit.leave_out.singular == 2
    np.testing.assert_allclose(fit.leave_out.lowest, np.min(leave, axis=0), atol=1e-12)
    assert abs(fit.t[4]) < 1.1  # one cluster is no evidence about clusters
