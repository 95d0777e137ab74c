"""Mean corruption error: the published definition by hand, pairing, and what has no ratio."""

from __future__ import annotations

import numpy as np
import pytest

from stages.statistics.condition_cells import Cells, cell_means
from stages.statistics.corruption import corruptions
from stages.statistics.design_matrix import Factor

ERRORS = {
    ("base", "fog"): [0.3, 0.5],
    ("base", "blur"): [0.2, 0.9],
    ("mine", "fog"): [0.1, 0.2],
    ("mine", "blur"): [0.3, 0.8],
}
CLEAN = {"base": 0.1, "mine": 0.05}


def counted(
    errors: dict[tuple[str, str], list[float]],
    clean: dict[str, float],
    *,
    G: int = 50,
    T: int = 4,
    seed: int = 0,
) -> Cells:
    """Captchas of T characters whose errors have these expectations, at the levels 0.5 and 1."""
    rng = np.random.default_rng(seed)
    readers = list(clean)
    noises = ["none", *dict.fromkeys(key[1] for key in errors)]
    cells = [(reader, "none", 0.0, error) for reader, error in clean.items()]
    cells += [
        (*key, level, both[i]) for key, both in errors.items() for i, level in enumerate((0.5, 1.0))
    ]
    success = np.array([rng.random(G * T) >= error for *_, error in cells])
    reader, noise, level = (
        np.repeat(values, G * T)
        for values in (
            [readers.index(cell[0]) for cell in cells],
            [noises.index(cell[1]) for cell in cells],
            [cell[2] for cell in cells],
        )
    )
    unit = np.tile(np.arange(G * T), len(cells))
    return cell_means(
        success.ravel(),
        Factor(reader.astype(int), tuple(readers)),
        Factor(noise.astype(int), tuple(noises)),
        level,
        unit=unit,
        captcha=unit // T,
        glyphs=np.full(len(unit), -1),
    )


def study() -> Cells:
    return counted(ERRORS, CLEAN, seed=1)


def test_the_mean_is_of_ratios_as_hendrycks_and_dietterich_have_it() -> None:
    cells = study()
    error = {key: 1 - cells.mean[cells.of(*key)[0]] for key in ERRORS}
    found = corruptions(
        cells,
        [("fog",), ("fog", "blur")],
        "base",
        confidence=0.95,
        draws=50,
        rng=np.random.default_rng(0),
    )
    alone, both = (
        next(one for one in found if one.reader == "mine" and one.noises == noises)
        for noises in (("fog",), ("fog", "blur"))
    )
    ce = {
        noise: error["mine", noise][1:].sum() / error["base", noise][1:].sum()
        for noise in ("fog", "blur")
    }
    relative = {
        noise: (error["mine", noise][1:] - error["mine", noise][0]).sum()
        / (error["base", noise][1:] - error["base", noise][0]).sum()
        for noise in ("fog", "blur")
    }
    assert alone.ratio.value == pytest.approx(ce["fog"])
    assert both.ratio.value == pytest.approx(np.mean(list(ce.values())))
    assert both.relative.value == pytest.approx(np.mean(list(relative.values())))
    assert both.error == pytest.approx(
        np.mean([error["mine", noise][1:].mean() for noise in ("fog", "blur")])
    )
    assert alone.clean == pytest.approx(error["mine", "fog"][0])
    assert both.ratio.low < both.ratio.value < both.ratio.high


def test_the_baseline_is_one_without_doubt_since_resamples_are_shared() -> None:
    found = corruptions(
        study(), [("fog", "blur")], "base", confidence=0.95, draws=50, rng=np.random.default_rng(0)
    )
    base = next(one for one in found if one.reader == "base")
    assert (base.ratio.value, base.ratio.low, base.ratio.high) == (1, 1, 1)


def test_a_baseline_without_an_error_has_no_ratio() -> None:
    cells = counted(
        {("base", "fog"): [0.0, 0.0], ("mine", "fog"): [0.2, 0.3]}, {"base": 0.0, "mine": 0.1}, G=20
    )
    found = corruptions(
        cells, [("fog",)], "base", confidence=0.95, draws=20, rng=np.random.default_rng(0)
    )
    assert all(
        np.isnan([one.ratio.value, one.ratio.low, one.relative.value]).all() for one in found
    )
    assert found[1].error == pytest.approx(0.25, abs=0.1)


def test_intervals_cover_the_ratio_of_the_expectations() -> None:
    expected = (0.1 + 0.2) / (0.3 + 0.5)
    covered = 0
    for seed in range(100):
        cells = counted(
            {key: both for key, both in ERRORS.items() if key[1] == "fog"}, CLEAN, seed=seed
        )
        found = corruptions(
            cells, [("fog",)], "base", confidence=0.9, draws=200, rng=np.random.default_rng(seed)
        )
        covered += found[1].ratio.low <= expected <= found[1].ratio.high
    assert 80 <= covered <= 98


def test_an_unknown_baseline_is_refused_with_the_list() -> None:
    with pytest.raises(
        ValueError, match="the baseline 'alexnet' is no reader: there are base, mine"
    ):
        corruptions(
            study(), [("fog",)], "alexnet", confidence=0.95, draws=10, rng=np.random.default_rng(0)
        )
