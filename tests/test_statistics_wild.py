"""The wild cluster bootstrap: against refits of every draw, its bounds, and its size."""

from __future__ import annotations

import numpy as np
import pytest
from clustered_rows import Floats, Ints, Rows, fitted, ragged
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.statistics.least_squares import into_blocks
from stages.statistics.wild import cluster_moments, weights, wild_p

seeds = st.integers(0, 2**32 - 1)


def bootstrap(rows: Rows, draws: int, seed: int) -> Floats:
    X, y, cluster = rows
    return wild_p(
        cluster_moments(into_blocks(X, y, cluster)), draws, rng=np.random.default_rng(seed)
    )


def clustered_t(X: Floats, y: Floats, code: Ints, k: int) -> float:
    """By a refit: t of coefficient k with CV0, since CV1's factor cancels."""
    beta, *_ = np.linalg.lstsq(X, y, rcond=None)
    bread = np.linalg.inv(X.T @ X)
    scores = np.array([X[code == g].T @ (y - X @ beta)[code == g] for g in range(code.max() + 1)])
    return float(beta[k] / np.sqrt((bread @ scores.T @ scores @ bread)[k, k]))


def refitted_p(rows: Rows, drawn: Floats, k: int) -> tuple[int, int]:
    """How many draws reach |t|, each by a refit of the outcome made under a coefficient k of zero, and how many tie."""
    X, y, cluster = rows
    code = np.unique(cluster, return_inverse=True)[1]
    others = np.delete(X, k, axis=1)
    mean = others @ np.linalg.lstsq(others, y, rcond=None)[0]
    reached = abs(clustered_t(X, y, code, k))
    t = np.abs([clustered_t(X, mean + draw[code] * (y - mean), code, k) for draw in drawn])
    return int((t >= reached * (1 - 1e-8)).sum()), int((np.abs(t / reached - 1) < 1e-8).sum())


@pytest.mark.parametrize("seed", [1, 2])
def test_every_sign_of_ten_clusters_gives_the_share_that_refits_give(seed: int) -> None:
    rows = ragged(seed, clusters=10, K=3, largest=6)
    drawn, complete = weights(10, 7, rng=np.random.default_rng(0))
    assert complete
    assert len(np.unique(drawn, axis=0)) == 2**10
    p = bootstrap(rows, 7, 0)
    for k in range(3):
        reached, ties = refitted_p(rows, drawn, k)
        assert p[k] == reached / 2**10
        assert ties >= 2  # the draw of all +1, and of all -1, repeat the estimate


@pytest.mark.parametrize("clusters", [6, 20])
def test_draws_of_webbs_weights_give_the_share_that_refits_give(clusters: int) -> None:
    rows = ragged(3, clusters=clusters, K=3)
    drawn, complete = weights(clusters, 199, rng=np.random.default_rng(8))
    assert not complete
    np.testing.assert_allclose(np.unique(drawn**2), [0.5, 1, 1.5])
    p = bootstrap(rows, 199, 8)
    for k in range(3):
        assert p[k] == pytest.approx((1 + refitted_p(rows, drawn, k)[0]) / 200)


def test_webbs_weights_have_mean_zero_and_variance_one() -> None:
    drawn, _ = weights(50, 20_000, rng=np.random.default_rng(1))
    assert drawn.mean() == pytest.approx(0, abs=0.005)
    assert drawn.var() == pytest.approx(1, abs=0.005)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, clusters=st.sampled_from([5, 10, 12, 14, 25]))
def test_p_is_between_the_smallest_that_the_draws_allow_and_one(seed: int, clusters: int) -> None:
    X, y, cluster = ragged(seed, clusters=clusters, K=2)
    p = bootstrap((X, y + 1000 * X[:, 1], cluster), 99, 0)
    least = 2 / 2**clusters if 10 <= clusters <= 13 else 1 / 100
    assert ((p >= least) & (p <= 1)).all()
    if 10 <= clusters <= 13:
        np.testing.assert_allclose(
            p * 2 ** (clusters - 1) % 1, 0
        )  # draws come in pairs, one the other's negative


def test_the_sign_of_the_outcome_does_not_matter_and_the_same_draws_give_the_same_p() -> None:
    X, y, cluster = ragged(4, clusters=8, K=3)
    p = bootstrap((X, y, cluster), 200, 5)
    np.testing.assert_array_equal(bootstrap((X, -y, cluster), 200, 5), p)
    np.testing.assert_array_equal(bootstrap((X, y, cluster), 200, 5), p)
    assert (bootstrap((X, y, cluster), 200, 6) != p).any()


def test_units_of_regressors_and_outcome_do_not_matter() -> None:
    X, y, cluster = ragged(6, clusters=9, K=3)
    np.testing.assert_allclose(
        bootstrap((X * [1, 1e4, 1e-4], 1e3 * y, cluster), 300, 1),
        bootstrap((X, y, cluster), 300, 1),
    )


def test_an_effect_without_error_has_no_p() -> None:
    X, _, cluster = ragged(7, clusters=10, K=3)
    assert np.isnan(bootstrap((X, 1 + 2 * X[:, 1], cluster), 100, 0)).all()


def test_the_moments_of_clusters_do_not_depend_on_blocks() -> None:
    X, y, cluster = ragged(8, clusters=9, K=3)
    for one, other, label in zip(
        cluster_moments(into_blocks(X, y, cluster)),
        cluster_moments(into_blocks(X, y, cluster, 4)),
        np.unique(cluster),
        strict=True,
    ):
        rows = cluster == label
        np.testing.assert_allclose(one.XX, X[rows].T @ X[rows])
        np.testing.assert_allclose(one.Xy, X[rows].T @ y[rows])
        np.testing.assert_array_equal(other.XX, one.XX)


def test_true_zeros_are_refused_as_often_as_p_says_and_more_often_by_students_t() -> None:
    rng = np.random.default_rng(9)
    runs = 600
    G = 8
    size = 5
    code = np.repeat(np.arange(G), size)
    uneven = np.exp(rng.normal(size=G))  # leverage of the clusters
    wild = student = 0
    for _ in range(runs):
        X = np.column_stack([np.ones(len(code)), (uneven * rng.normal(size=G))[code]])
        y = rng.normal(size=G)[code] + rng.normal(size=len(code))
        wild += wild_p(cluster_moments(into_blocks(X, y, code)), 199, rng=rng)[1] <= 0.1
        student += fitted(X, y, code, leave_out=False).log_p[1] <= np.log(0.1)
    assert 0.06 <= wild / runs <= 0.14  # three standard deviations of 600 runs are 0.037
    assert student / runs > 0.15
