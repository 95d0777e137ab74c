"""Clustered variances of means, ratios and differences, under shared captchas and glyphs: repair and coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from stages.statistics.clustered import (
    UNKNOWN,
    covariance_of_means,
    fewest_clusters,
    mean_scores,
    ratio_scores,
    run_starts,
    standard_error,
    sums_by_cluster,
)
from stages.statistics.proportions import clustered_proportion

Array = NDArray[Any]


def by_pairs(scores: Array, captcha: Array, glyphs: Array) -> Array:
    """Without small-sample factors: z_i z_j' of every pair that shares a captcha, or once for each glyph they share."""
    total = np.zeros((scores.shape[1], scores.shape[1]))
    for i in range(len(scores)):
        for j in range(len(scores)):
            shared = sum(int((glyphs[j] == glyph).sum()) for glyph in glyphs[i] if glyph != UNKNOWN)
            total += (1 if captcha[i] == captcha[j] else shared) * np.outer(scores[i], scores[j])
    return total


def crossed(
    captchas: int, T: int, glyphs: int, conditions: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Rows of whole captchas: captcha (N,) and glyphs (N, T), each captcha under every condition."""
    drawn = rng.integers(glyphs, size=(captchas, T))
    return np.repeat(np.arange(captchas), conditions), np.repeat(drawn, conditions, axis=0)


def test_of_clusters_of_one_the_error_of_a_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(1).normal(size=50)
    assert standard_error(mean_scores(values)) == pytest.approx(stats.sem(values))


def test_the_error_of_a_difference_of_two_readings_of_the_same_rows_is_the_paired_one() -> None:
    first, second = np.random.default_rng(2).normal(size=(2, 50)) + np.random.default_rng(3).normal(
        size=50
    )
    assert standard_error(mean_scores(first) - mean_scores(second)) == pytest.approx(
        stats.sem(first - second)
    )


def test_the_scores_of_a_ratio_are_what_a_little_more_of_a_row_adds_to_it() -> None:
    rng = np.random.default_rng(4)
    part = rng.random(12)
    whole = rng.integers(1, 9, 12).astype(float)
    scores = ratio_scores(part, whole)
    weights = np.eye(12) * 1e-6 + 1
    moved = weights @ part / (weights @ whole) - part.sum() / whole.sum()
    np.testing.assert_allclose(scores, moved / 1e-6, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(ratio_scores(part, np.ones(12)), mean_scores(part))


def test_sums_by_cluster_are_those_of_sorted_runs() -> None:
    cluster = np.array([0, 0, 1, 2, 2, 2])
    scores = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(run_starts(cluster), [0, 2, 3])
    np.testing.assert_array_equal(
        sums_by_cluster(scores, cluster), np.add.reduceat(scores, run_starts(cluster))
    )


@pytest.mark.parametrize("T", [1, 3])
def test_every_pair_counts_that_shares_a_captcha_or_a_glyph(T: int) -> None:
    rng = np.random.default_rng(T)
    captcha, glyphs = crossed(300, T, 8, 2, rng)
    captcha, glyphs = captcha[:400], glyphs[:400]
    glyphs[5] = UNKNOWN
    luck = rng.normal(size=(9, 2))
    scores = luck[glyphs].sum(axis=1) + rng.normal(size=(400, 2))
    scores -= scores.mean(axis=0)
    np.testing.assert_allclose(
        covariance_of_means(scores, captcha, glyphs), by_pairs(scores, captcha, glyphs), rtol=0.2
    )  # 8/7 of the glyphs at most


def test_without_glyphs_it_is_the_sandwich_of_captchas() -> None:
    rng = np.random.default_rng(3)
    captcha = rng.integers(20, size=200)
    scores = rng.normal(size=(200, 3))
    sums = np.stack([scores[captcha == one].sum(axis=0) for one in range(20)])
    for glyphs in (None, np.full(200, UNKNOWN), np.full((200, 4), UNKNOWN), np.full(200, 7)):
        np.testing.assert_allclose(
            covariance_of_means(scores, captcha, glyphs), 20 / 19 * sums.T @ sums
        )


def test_no_variance_is_less_than_by_captcha_alone_and_no_eigenvalue_is_negative() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        captcha, glyphs = crossed(12, 2, 9, 2, rng)
        scores = rng.normal(size=(24, 15))
        found = covariance_of_means(scores, captcha, glyphs)
        alone = covariance_of_means(scores, captcha)
        assert (np.diag(found) >= np.diag(alone) * (1 - 1e-9)).all()
        assert np.linalg.eigvalsh(found).min() > -1e-9 * np.trace(found)
        np.testing.assert_allclose(found, found.T)


def test_a_matrix_that_needs_no_repair_is_left_alone() -> None:
    rng = np.random.default_rng(4)
    captcha, glyphs = crossed(4000, 1, 40, 1, rng)
    luck = rng.normal(size=(40, 2))
    scores = luck[glyphs[:, 0]] + rng.normal(size=(4000, 2))
    scores -= scores.mean(axis=0)
    single = [
        covariance_of_means(scores @ [[a], [b]], captcha, glyphs)[0, 0]
        for a, b in ((1, 0), (0, 1), (1, -1))
    ]
    found = covariance_of_means(scores, captcha, glyphs)
    assert [found[0, 0], found[1, 1], found[0, 0] + found[1, 1] - 2 * found[0, 1]] == pytest.approx(
        single
    )


def test_a_variance_that_glyphs_take_away_is_still_that_by_captcha() -> None:
    """40 captchas of the glyphs 1 and 2: 38 have one of them right, one has both and one none."""
    right = np.array([[1, 0], [0, 1]] * 19 + [[1, 1], [0, 0]], float).ravel()
    captcha = np.repeat(np.arange(40), 2)
    glyphs = np.tile([1, 2], 40)
    scores = (right - right.mean())[:, None] / len(right)
    alone = covariance_of_means(scores, captcha)
    assert alone[0, 0] == pytest.approx(3.2e-4, rel=0.01)
    np.testing.assert_allclose(covariance_of_means(scores, captcha, glyphs), alone)
    other = np.random.default_rng(0).normal(size=(80, 2)) / 80
    found = covariance_of_means(np.hstack([scores, other - other.mean(axis=0)]), captcha, glyphs)
    assert found[0, 0] == pytest.approx(alone[0, 0])
    assert np.linalg.eigvalsh(found).min() > -1e-12 * np.trace(found)


def test_the_fewest_clusters_are_captchas_or_known_glyphs() -> None:
    captcha = np.array([1, 1, 2, 3])
    assert fewest_clusters(captcha) == 3
    assert fewest_clusters(captcha, np.array([5, 6, 5, 6])) == 2
    assert fewest_clusters(captcha, np.array([[5, 6, 7, 8], [1, 2, 3, -1]]).repeat(2, axis=0)) == 3
    assert fewest_clusters(captcha, np.full((4, 2), UNKNOWN)) == 3
    assert fewest_clusters(captcha, np.array([5, 5, UNKNOWN, 5])) == 3  # as in covariance_of_means


def shares(
    captchas: int, T: int, glyphs: int, conditions: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Whether each character (captchas, conditions, T) is read right where glyphs differ: captchas and glyphs alike.

    With probability 0.8 by expectation: the normal of a glyph's own luck, of the slot's and of the row's.
    """
    glyph = rng.random((captchas, 1, glyphs)).argsort(axis=2)[:, :, :T]  # no captcha has one twice
    luck = 0.5 * rng.normal(size=glyphs)[glyph] + 0.5 * rng.normal(size=(captchas, 1, T))
    right = luck + np.sqrt(0.5) * rng.normal(size=(captchas, conditions, T)) < 0.8416212
    captcha = np.broadcast_to(np.arange(captchas)[:, None, None], right.shape)
    return right, captcha, np.broadcast_to(glyph, right.shape)


def coverage(whole: bool, trials: int, rng: np.random.Generator) -> tuple[float, float]:
    """How often 95 % intervals hold the truth: by captcha and glyph, and by captcha alone."""
    truth = 0.8**3 if whole else 0.8
    held = np.zeros(2)
    for _ in range(trials):
        right, captcha, glyph = shares(200, 3, 220, 3, rng)  # as in the study: 2.7 captchas a glyph
        rows = (
            (right.all(axis=2).ravel(), captcha[:, :, 0].ravel(), glyph.reshape(-1, 3))
            if whole
            else (right.ravel(), captcha.ravel(), glyph.ravel())
        )
        for way, found in enumerate((rows[2], None)):
            _, low, high = clustered_proportion(rows[0], rows[1], found)
            held[way] += low <= truth <= high
    return float(held[0] / trials), float(held[1] / trials)


@pytest.mark.parametrize("whole", [False, True])
def test_intervals_cover_where_glyphs_come_back_and_by_captcha_alone_do_not(whole: bool) -> None:
    both, alone = coverage(whole, 600, np.random.default_rng(11))
    assert 0.93 <= both <= 0.97
    assert alone < 0.9  # 0.88 and 0.89 in 2,000 trials


@pytest.mark.parametrize(
    ("scores", "captcha", "glyphs", "message"),
    [
        (np.zeros(3), np.arange(3), None, r"should be \(N, M\), \(N,\) and \(N, T\)"),
        (np.zeros((3, 1)), np.arange(2), None, "should be"),
        (np.zeros((3, 1)), np.arange(3), np.arange(2), "should be"),
        (np.full((3, 1), np.nan), np.arange(3), None, "scores should be finite"),
        (np.zeros((3, 1)), np.zeros(3), None, "at least two captchas are needed, got 1"),
    ],
)
def test_bad_input_is_refused(
    scores: Array, captcha: Array, glyphs: Array | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        covariance_of_means(scores, captcha, glyphs)
