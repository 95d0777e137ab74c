"""Rows of a regression in clusters, for the tests of stages/statistics, and fits without some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels
from numpy.typing import NDArray
from statsmodels.datasets import grunfeld as statsmodels_grunfeld

from stages.statistics.least_squares import Fit, into_blocks, least_squares

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = tuple[Floats, Floats, Ints]  # X (N, K), y (N,), cluster (N,)


def ragged(seed: int, clusters: int = 40, K: int = 6, largest: int = 9) -> Rows:
    """Rows in clusters of 1 to `largest`, shuffled; labels have gaps and negatives; X and errors are clustered."""
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.repeat(np.arange(clusters), rng.integers(1, largest + 1, clusters)))
    X = rng.normal(size=(clusters, K))[code] + rng.normal(size=(len(code), K))
    X[:, 0] = 1
    y = X @ rng.normal(size=K) + rng.normal(size=clusters)[code] + rng.normal(size=len(code))
    return X, y, (rng.permutation(3 * clusters)[:clusters] - clusters)[code]


def fitted(
    X: Floats,
    y: Floats,
    cluster: Ints,
    *,
    rows: int = 4096,
    leave_out: bool = True,
    jackknife: bool | None = None,
) -> Fit:
    """Regressors are named x0, x1, ...; blocks have `rows` rows where clusters allow."""
    return least_squares(
        into_blocks(X, y, cluster, rows),
        [f"x{k}" for k in range(X.shape[1])],
        leave_out=leave_out,
        jackknife=jackknife,
    )


def refits(X: Floats, y: Floats, cluster: Ints) -> tuple[Ints, Floats]:
    """Labels (G,) and estimates (G, K) without each cluster, by numpy's pseudoinverse."""
    labels = np.unique(cluster)
    return labels, np.array(
        [np.linalg.pinv(X[cluster != label], 1e-10) @ y[cluster != label] for label in labels]
    )


def petersen(column: str) -> Rows:
    """The test data of Petersen (2009), 5000 rows of 500 firms in 10 years; `column` is firm or year."""
    path = Path(statsmodels.__file__).parent / "stats/tests/test_data.txt"
    data = pd.read_csv(path, sep=r"\s+", header=None, names=["firm", "year", "x", "y"])
    return (
        np.column_stack([np.ones(len(data)), data["x"]]),
        data["y"].to_numpy(),
        data[column].to_numpy(),
    )


def grunfeld() -> Rows:
    """Investment of 10 firms by their value and capital, the 200 rows that Stata uses."""
    data = statsmodels_grunfeld.load_pandas().data[:200]
    X = np.column_stack([np.ones(200), data["value"], data["capital"]])
    return X, data["invest"].to_numpy(), pd.factorize(data["firm"])[0].astype(np.int64)
