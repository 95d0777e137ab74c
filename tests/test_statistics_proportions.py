"""The clustered interval of a share, against statsmodels, known values and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from stages.statistics.proportions import clustered_proportion, effective_size, wilson


@pytest.mark.parametrize(("count", "n"), [(0, 10), (1, 12), (45, 50), (81, 263), (30, 30)])
def test_the_wilson_interval_is_that_of_statsmodels(count: int, n: int) -> None:
    expected = proportion_confint(count, n, alpha=0.05, method="wilson")
    assert wilson(count / n, n, float(stats.norm.ppf(0.975))) == pytest.approx(expected, abs=1e-12)


def test_the_wilson_interval_is_the_one_newcombe_printed() -> None:
    """Newcombe (1998), Statistics in Medicine 17:857, table I: 81 of 263."""
    low, high = wilson(81 / 263, 263, float(stats.norm.ppf(0.975)))
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_clusters_of_one_give_the_wilson_interval() -> None:
    success = np.random.default_rng(3).random(5000) < 0.9
    estimate, low, high = clustered_proportion(success, np.arange(5000))
    assert estimate == pytest.approx(success.mean())
    assert (low, high) == pytest.approx(
        proportion_confint(success.sum(), 5000, method="wilson"), abs=1e-5
    )


def test_repeating_every_observation_changes_no_bound() -> None:
    success = np.random.default_rng(4).random(40) < 0.7
    once = clustered_proportion(success, np.arange(40))
    many = clustered_proportion(np.repeat(success, 25), np.repeat(np.arange(40), 25))
    assert many == pytest.approx(
        once, abs=0.003
    )  # 40 and 39.04 are not quite the same effective size


def test_the_effective_size_follows_the_intraclass_correlation() -> None:
    """deff = 1 + (m - 1) rho for equal clusters of m (Kish 1965)."""
    rng = np.random.default_rng(5)
    m = 20
    G = 4000
    own = rng.random((G, m)) < 0.8
    shared = rng.random((G, 1)) < 0.8
    success = np.where(rng.random((G, m)) < np.sqrt(0.3), shared, own)  # rho = 0.3
    size = effective_size(success.ravel().astype(float), np.repeat(np.arange(G), m))
    assert size == pytest.approx(G * m / (1 + (m - 1) * 0.3), rel=0.06)


@pytest.mark.parametrize("value", [0, 1])
def test_without_variance_the_clusters_count(value: int) -> None:
    estimate, low, high = clustered_proportion(np.full(300, value), np.repeat(np.arange(30), 10))
    assert estimate == value
    assert (low, high) == pytest.approx(wilson(value, 30, float(stats.t.ppf(0.975, 29))))


def test_the_interval_covers_as_often_as_it_says() -> None:
    """40 clusters of 25 with a beta-distributed rate; a plain Wilson interval covers far less."""
    rng = np.random.default_rng(6)
    G = 40
    m = 25
    trials = 1500
    cluster = np.repeat(np.arange(G), m)
    naive = 0
    covered = 0
    for _ in range(trials):
        success = rng.binomial(1, rng.beta(4.5, 0.5, G)[cluster])
        _, low, high = clustered_proportion(success, cluster)
        covered += low <= 0.9 <= high
        plain = proportion_confint(success.sum(), G * m, method="wilson")
        naive += plain[0] <= 0.9 <= plain[1]
    assert 0.93 < covered / trials < 0.975
    assert naive / trials < 0.8


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60),
    st.floats(0.5, 0.999),
)
def test_the_interval_holds_the_estimate_and_stays_in_the_unit_range(
    rows: list[tuple[bool, int]], confidence: float
) -> None:
    success = np.array([row[0] for row in rows])
    cluster = np.array([row[1] for row in rows])
    if len(np.unique(cluster)) < 2:
        return
    estimate, low, high = clustered_proportion(success, cluster, confidence=confidence)
    assert 0 <= low <= estimate + 1e-12
    assert estimate - 1e-12 <= high <= 1


def test_glyphs_that_come_back_widen_the_interval_and_unknown_ones_do_not() -> None:
    rng = np.random.default_rng(7)
    glyph = rng.integers(30, size=400)
    captcha = np.repeat(np.arange(100), 4)
    success = rng.random(400) < rng.random(30)[glyph]
    alone = clustered_proportion(success, captcha)
    both = clustered_proportion(success, captcha, glyph)
    assert both[0] == alone[0]
    assert both[2] - both[1] > 1.3 * (alone[2] - alone[1])
    assert clustered_proportion(success, captcha, np.full(400, -1)) == alone


def test_of_one_known_glyph_the_interval_is_by_captcha() -> None:
    success = np.array([1, 0, 1])
    captcha = np.arange(3)
    assert clustered_proportion(success, captcha, np.full(3, 8)) == clustered_proportion(
        success, captcha
    )


def test_text_labels_do_for_clusters() -> None:
    assert clustered_proportion(np.array([1, 0, 1]), np.array(["a", "b", "a"]))[0] == pytest.approx(
        2 / 3
    )


@pytest.mark.parametrize(
    ("success", "cluster", "confidence", "message"),
    [
        ([1, 0], [1, 1], 0.95, "at least two captchas, got 1"),
        ([], [], 0.95, "at least two captchas.* got 0"),
        ([1, 0, 1], [1, 2], 0.95, r"should be alike \(N,\)"),
        ([1, 2], [1, 2], 0.95, "should be 0 or 1, got 2"),
        ([1, float("nan")], [1, 2], 0.95, "should be 0 or 1, got nan"),
        ([1, 0], [1, 2], 1.0, "confidence should lie between 0 and 1"),
    ],
)
def test_bad_input_is_refused(
    success: list[float], cluster: list[int], confidence: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        clustered_proportion(np.array(success), np.array(cluster), confidence=confidence)


@pytest.mark.parametrize(("value", "bound"), [(0, 1), (1, 2)])
def test_the_bound_beside_none_or_all_is_exact(value: int, bound: int) -> None:
    """Rounding would leave some 1e-19, which a metrics file would show."""
    for clusters in range(2, 60):
        found = clustered_proportion(
            np.full(3 * clusters, value), np.repeat(np.arange(clusters), 3)
        )
        assert found[bound] == value
