"""Mean corruption error: the published definition by hand, pairing, and what has no ratio."""

from __future__ import annotations

import numpy as np
import pytest

from stages.statistics.corruption import Counts, corruptions


def counted(error: list[float], G: int = 50, T: int = 4, seed: int = 0) -> Counts:
    """Captchas of T characters whose errors have these expectations by level, the clean one first."""
    rng = np.random.default_rng(seed)
    right = rng.binomial(T, 1 - np.array(error), (G, len(error))).astype(float)
    return Counts(right, np.full_like(right, T))


def study() -> dict[tuple[str, str], Counts]:
    return {("base", "fog"): counted([0.1, 0.3, 0.5], seed=1), ("base", "blur"): counted([0.1, 0.2, 0.9], seed=2),
            ("mine", "fog"): counted([0.05, 0.1, 0.2], seed=3), ("mine", "blur"): counted([0.05, 0.3, 0.8], seed=4)}


def test_the_mean_is_of_ratios_as_hendrycks_and_dietterich_have_it() -> None:
    counts = study()
    error = {key: 1 - one.right.sum(axis=0) / one.shown.sum(axis=0) for key, one in counts.items()}
    found = corruptions(counts, [("fog",), ("fog", "blur")], "base", confidence=0.95, draws=50,
                        rng=np.random.default_rng(0))
    alone, both = (next(one for one in found if one.reader == "mine" and one.noises == noises)
                   for noises in (("fog",), ("fog", "blur")))
    ce = {noise: error["mine", noise][1:].sum() / error["base", noise][1:].sum() for noise in ("fog", "blur")}
    relative = {noise: (error["mine", noise][1:] - error["mine", noise][0]).sum()
                / (error["base", noise][1:] - error["base", noise][0]).sum() for noise in ("fog", "blur")}
    assert alone.ratio.value == pytest.approx(ce["fog"])
    assert both.ratio.value == pytest.approx(np.mean(list(ce.values())))
    assert both.relative.value == pytest.approx(np.mean(list(relative.values())))
    assert both.error == pytest.approx(np.mean([error["mine", noise][1:].mean() for noise in ("fog", "blur")]))
    assert alone.clean == pytest.approx(error["mine", "fog"][0])
    assert both.ratio.low < both.ratio.value < both.ratio.high


def test_the_baseline_is_one_without_doubt_since_resamples_are_shared() -> None:
    found = corruptions(study(), [("fog", "blur")], "base", confidence=0.95, draws=50, rng=np.random.default_rng(0))
    base = next(one for one in found if one.reader == "base")
    assert (base.ratio.value, base.ratio.low, base.ratio.high) == (1, 1, 1)


def test_a_baseline_without_an_error_has_no_ratio() -> None:
    perfect = Counts(np.full((20, 3), 4.0), np.full((20, 3), 4.0))
    counts = {("base", "fog"): perfect, ("mine", "fog"): counted([0.1, 0.2, 0.3], G=20)}
    found = corruptions(counts, [("fog",)], "base", confidence=0.95, draws=20, rng=np.random.default_rng(0))
    assert all(np.isnan([one.ratio.value, one.ratio.low, one.relative.value]).all() for one in found)
    assert found[1].error == pytest.approx(0.25, abs=0.1)


def test_intervals_cover_the_ratio_of_the_expectations() -> None:
    expected = (0.1 + 0.2) / (0.3 + 0.5)
    covered = 0
    for seed in range(100):
        counts = {("base", "fog"): counted([0.1, 0.3, 0.5], seed=2 * seed),
                  ("mine", "fog"): counted([0.05, 0.1, 0.2], seed=2 * seed + 1)}
        found = corruptions(counts, [("fog",)], "base", confidence=0.9, draws=200, rng=np.random.default_rng(seed))
        covered += found[1].ratio.low <= expected <= found[1].ratio.high
    assert 80 <= covered <= 98


def test_an_unknown_baseline_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match="the baseline 'alexnet' is no reader: there are base, mine"):
        corruptions(study(), [("fog",)], "alexnet", confidence=0.95, draws=10, rng=np.random.default_rng(0))
