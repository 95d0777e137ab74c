"""Resamples of whole clusters: their weights, what random numbers they take, and intervals from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.statistics.bootstrap import (
    cluster_weights,
    draws_in_parts,
    exponential_weights,
    index_counts,
    multinomial_counts,
    percentile_interval,
)

Draw = Callable[..., NDArray[np.float64]]


@pytest.mark.parametrize("draw", [multinomial_counts, index_counts])
def test_a_resample_has_as_many_clusters_as_the_sample_and_each_is_drawn_alike(draw: Draw) -> None:
    counts = draw(7, 20_000, rng=np.random.default_rng(1))
    assert counts.shape == (20_000, 7)
    assert (counts.sum(axis=1) == 7).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(counts.var(axis=0), 6 / 7, atol=0.04)  # binomial: 7 p (1 - p)


def test_the_random_numbers_of_each_kind_of_draw_are_what_published_numbers_rest_on() -> None:
    indices = np.random.default_rng(2).integers(5, size=(3, 5))
    np.testing.assert_array_equal(
        index_counts(5, 3, rng=np.random.default_rng(2)),
        [np.bincount(row, minlength=5) for row in indices],
    )
    np.testing.assert_array_equal(
        multinomial_counts(5, 3, rng=np.random.default_rng(2)),
        np.random.default_rng(2).multinomial(5, [0.2] * 5, size=3),
    )
    np.testing.assert_array_equal(
        exponential_weights(5, 3, rng=np.random.default_rng(2)),
        np.random.default_rng(2).exponential(size=(3, 5)),
    )


def test_observations_of_a_cluster_have_one_weight_and_the_sample_comes_first() -> None:
    clusters = np.array(["b", "a", "b", "c"])
    weights = cluster_weights(clusters, 50, rng=np.random.default_rng(3))
    assert (weights[0] == 1).all()
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    assert (weights[1:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_bootstraps_error_of_a_mean_of_clusters_is_the_textbooks() -> None:
    means = np.random.default_rng(4).normal(size=60)
    drawn = multinomial_counts(60, 20_000, rng=np.random.default_rng(5)) @ means / 60
    low, high = percentile_interval(drawn, 0.95)
    assert high - low == pytest.approx(2 * 1.96 * means.std() / 60**0.5, rel=0.03)


def test_parts_add_up_to_all_draws() -> None:
    assert list(draws_in_parts(250, 100)) == [100, 100, 50]
    assert list(draws_in_parts(0, 100)) == []
