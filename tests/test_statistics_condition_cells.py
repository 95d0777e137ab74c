"""Cell means and their joint covariance, against regressions on dummies and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from stages.statistics.condition_cells import Cells, cell_means
from stages.statistics.design_matrix import Factor
from stages.statistics.joint import joint_dose_responses

LEVELS = np.array([0.0, 0.2, 0.4, 0.6, 0.8])
NOISES = ("none", "fog", "dots")
HALF = {"fog": 0.45, "dots": 0.5}  # levels at which half is read


def readings(
    rng: np.random.Generator,
    captchas: int = 60,
    T: int = 2,
    glyphs: int = 40,
    luck: float = 1.0,
    readers: int = 2,
) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.int64 | np.float64]]]:
    """Whole captchas by reader and condition, read as easily as their glyphs are; and their columns."""
    grid = [(0, 0.0), *((n, level) for n in (1, 2) for level in LEVELS[1:])]
    text = rng.random((captchas, glyphs)).argsort(axis=1)[:, :T]
    ease = luck * rng.normal(size=glyphs)[text].sum(axis=1) / np.sqrt(T)
    r, g, c = (axis.ravel() for axis in np.indices((readers, len(grid), captchas)))
    noise, level = np.array([n for n, _ in grid])[g], np.array([level for _, level in grid])[g]
    half = np.array([1.0, HALF["fog"], HALF["dots"]])[noise]
    right = rng.random(len(r)) < expit(3 - 3 * (level / half) ** 2 + ease[c])
    return right, {"reader": r, "noise": noise, "level": level, "captcha": c, "glyphs": text[c]}


def cells_of(right: NDArray[np.bool_], rows: dict[str, NDArray[np.int64 | np.float64]]) -> Cells:
    readers = [f"r{i}" for i in range(int(rows["reader"].max()) + 1)]
    return cell_means(
        right,
        Factor(rows["reader"].astype(int), tuple(readers)),
        Factor(rows["noise"].astype(int), NOISES),
        rows["level"],
        unit=rows["captcha"],
        captcha=rows["captcha"],
        glyphs=rows["glyphs"],
    )


def test_means_and_covariance_are_those_of_a_regression_on_dummies_clustered_by_captcha() -> None:
    right, rows = readings(np.random.default_rng(0))
    rows["glyphs"] = np.full_like(rows["glyphs"], -1)
    cells = cells_of(right, rows)
    columns = zip(rows["reader"], rows["noise"], rows["level"], strict=True)
    key = [(f"r{r}", NOISES[n], level) for r, n, level in columns]
    X = np.array([[one == other for other in cells.keys] for one in key], float)
    fit = sm.OLS(right.astype(float), X).fit(
        cov_type="cluster",
        use_t=True,
        cov_kwds={"groups": rows["captcha"], "use_correction": False},
    )
    assert cells.mean == pytest.approx(fit.params)
    inside = (cells.mean > 0) & (cells.mean < 1)
    assert inside.sum() > 12
    np.testing.assert_allclose(
        cells.covariance[inside][:, inside],
        60 / 59 * fit.cov_params()[inside][:, inside],
        atol=1e-12,
    )
    assert cells.rows.tolist() == X.sum(axis=0).tolist()


def test_the_cells_of_a_reader_and_noise_start_at_the_clean_one() -> None:
    cells = cells_of(*readings(np.random.default_rng(1)))
    columns, levels = cells.of("r1", "dots")
    assert levels.tolist() == LEVELS.tolist()
    assert [cells.keys[column] for column in columns] == [
        ("r1", "none", 0.0),
        *(("r1", "dots", x) for x in LEVELS[1:]),
    ]


def test_draws_have_the_covariance_and_start_with_the_sample() -> None:
    cells = cells_of(*readings(np.random.default_rng(2), captchas=400))
    drawn = cells.draw(40_000, rng=np.random.default_rng(3))
    assert (drawn[0] == cells.mean).all()
    assert ((drawn >= 0) & (drawn <= 1)).all()
    inside = (cells.mean > 0.1) & (cells.mean < 0.9)
    np.testing.assert_allclose(
        np.cov(drawn[1:, inside].T),
        cells.covariance[np.ix_(inside, inside)],
        atol=0.05 * cells.covariance[inside, inside].max(),
    )


def thresholds(cells: Cells, draws: int, seed: int) -> dict[str, tuple[float, float, float, float]]:
    found = joint_dose_responses(
        cells, targets=(0.5,), confidence=0.95, draws=draws, rng=np.random.default_rng(seed)
    )
    return {
        noise: (one.level, one.low, one.high, one.first)
        for (reader, noise), curve in found.items()
        if reader == "r0"
        for one in curve.thresholds
    }


def test_thresholds_and_who_is_first_cover_where_glyphs_come_back() -> None:
    """By captcha alone the intervals are too narrow; without joint draws `first` would be too unsure."""
    expected = {
        noise: one[0]
        for noise, one in thresholds(
            cells_of(*readings(np.random.default_rng(4), 60_000, glyphs=400, readers=1)), 5, 0
        ).items()
    }
    held = 0
    alone = 0
    trials = 150
    for seed in range(trials):
        right, rows = readings(
            np.random.default_rng(seed + 10), 150, glyphs=60, luck=1.5, readers=1
        )
        both = thresholds(cells_of(right, rows), 200, seed)
        narrow = thresholds(
            cells_of(right, rows | {"glyphs": np.full_like(rows["glyphs"], -1)}), 200, seed
        )
        held += sum(both[noise][1] <= expected[noise] <= both[noise][2] for noise in HALF)
        alone += sum(narrow[noise][1] <= expected[noise] <= narrow[noise][2] for noise in HALF)
        assert both["fog"][3] + both["dots"][3] == pytest.approx(1, abs=0.02)
    assert 0.92 <= held / (2 * trials) <= 0.98
    assert alone / (2 * trials) < 0.85  # 0.963 and 0.783


def test_cells_that_are_all_right_or_all_wrong_are_not_certain() -> None:
    """Six captchas: as if 8 of 10 clusters were right, or 2."""
    right = np.repeat([[True], [True], [False]], 6, axis=1)  # clean, and two levels
    captcha = np.tile(np.arange(6), 3)
    level = np.repeat([0.0, 0.4, 0.8], 6)
    cells = cell_means(
        right.ravel(),
        Factor(np.zeros(18, np.int64), ("r",)),
        Factor((level > 0).astype(np.int64), ("none", "fog")),
        level,
        captcha=captcha,
        unit=captcha,
        glyphs=np.full(18, -1),
    )
    np.testing.assert_allclose(cells.covariance, 0.8 * 0.2 / 6 * np.eye(3))
    found = joint_dose_responses(
        cells, targets=(0.25, 0.75), confidence=0.95, draws=2000, rng=np.random.default_rng(0)
    )["r", "fog"]
    chance = stats.norm.cdf(0.25 / np.sqrt(0.8 * 0.2 / 6))  # that a share of 0 lies below a quarter
    assert found.thresholds[0].reached == pytest.approx(chance, abs=0.02)
    assert chance - 0.02 < found.thresholds[1].first < 1
    assert found.area.low < found.area.value < found.area.high


def test_a_cell_that_varies_keeps_its_variance_and_glyphs_count_as_clusters_of_the_others() -> None:
    right, rows = readings(np.random.default_rng(6), captchas=50, glyphs=10)
    right[(rows["level"] == 0) & (rows["reader"] == 0)] = True
    with_floor = cells_of(right, rows)
    alone = cells_of(right, rows | {"glyphs": np.full_like(rows["glyphs"], -1)})
    assert with_floor.covariance[0, 0] == pytest.approx(12 / 14 * 2 / 14 / 10)
    assert alone.covariance[0, 0] == pytest.approx(52 / 54 * 2 / 54 / 50)
    assert (with_floor.covariance[0, 1:] == 0).all()


def test_what_clean_captchas_do_not_reach_no_noise_is_first_at() -> None:
    right, rows = readings(np.random.default_rng(5), captchas=300, readers=1)
    found = thresholds(cells_of(right & (np.arange(len(right)) % 3 == 0), rows), 50, 1)
    assert [(level, first) for level, _, _, first in found.values()] == [(0, 0), (0, 0)]
