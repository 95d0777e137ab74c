"""What the report's first page rests on, against R: tests/golden/answer.R made answer_r.csv."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.statistics.clustered import covariance_of_means
from stages.statistics.contrasts import Means, simultaneous
from stages.statistics.thresholds import level_at

GOLDEN = Path(__file__).parent / "golden"
LEVELS = np.linspace(0, 0.8, 9)
SHARES = np.array(
    [
        [0.96, 0.94, 0.88, 0.55, 0.24, 0.01, 0, 0, 0],
        [0.97, 0.80, 0.82, 0.71, 0.52, 0.53, 0.30, 0.18, 0.03],
        [0.76, 0.77, 0.74, 0.75, 0.51, 0.50, 0.50, 0.20, 0.25],
    ]
)


@pytest.fixture(scope="module")
def wanted() -> dict[tuple[str, str], float]:
    rows = pd.read_csv(GOLDEN / "answer_r.csv", keep_default_na=False)
    return {
        (str(one.quantity), str(one.name_)): float(str(one.value))
        for one in rows.rename(columns={"name": "name_"}).itertuples()
    }


def test_the_covariance_of_cell_means_by_captcha_and_glyph_is_rs(
    wanted: dict[tuple[str, str], float],
) -> None:
    rows = pd.read_csv(GOLDEN / "regression_rows.csv", keep_default_na=False)
    cells, cell = np.unique(
        [f"{noise} {level:g}" for noise, level in zip(rows["noise"], rows["level"], strict=True)],
        return_inverse=True,
    )
    count = np.bincount(cell)
    mean = np.bincount(cell, rows["success"]) / count
    scores = np.zeros((len(rows), len(cells)))
    scores[np.arange(len(rows)), cell] = (rows["success"] - mean[cell]) / count[cell]
    found = covariance_of_means(scores, rows["captcha"].to_numpy(), rows["glyph"].to_numpy())
    alone = covariance_of_means(scores, rows["captcha"].to_numpy())
    for i, name in enumerate(cells):
        assert mean[i] == pytest.approx(wanted["mean", name], rel=1e-12)
        assert found[i, i] == pytest.approx(max(wanted["variance", name], alone[i, i]), rel=1e-9)
    kept = [i for i, name in enumerate(cells) if wanted["variance", name] > alone[i, i]]
    pairs = list(combinations(kept, 2))
    assert len(pairs) > 5
    spread = np.sqrt(np.diag(found))
    for i, j in pairs:  # the repair of negative eigenvalues moves a correlation by little
        assert found[i, j] / (spread[i] * spread[j]) == pytest.approx(
            wanted["covariance", f"{cells[i]} | {cells[j]}"] / (spread[i] * spread[j]), abs=0.02
        )


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_thresholds_are_rs_isotonic_regression_and_monotone_cubic(
    share: float, wanted: dict[tuple[str, str], float]
) -> None:
    expected = [wanted["threshold", f"{i} {share:g}"] for i in (1, 2, 3)]
    np.testing.assert_allclose(level_at(SHARES, LEVELS, share), expected, atol=1e-9)


@pytest.mark.parametrize("df", [4, 199])
@pytest.mark.parametrize("kind", ["alike", "unlike"])
def test_simultaneous_intervals_are_as_wide_as_rs(
    kind: str, df: int, wanted: dict[tuple[str, str], float]
) -> None:
    sizes = np.arange(1, 6)
    V = np.eye(5) if kind == "alike" else np.outer(sizes, sizes) * (0.6 + 0.4 * np.eye(5))
    means = Means(tuple("abcde"), np.zeros(5), (V,), df)
    found = simultaneous(means, 0.95, rng=np.random.default_rng(1))
    assert found == pytest.approx(
        wanted["critical", f"{kind} {df}"], rel=0.02
    )  # both are simulated
