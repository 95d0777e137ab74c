"""A cluster left out: hat matrix, leverage, score and displacement as their formulas have them, by plain inverses."""

from __future__ import annotations

import numpy as np
import pytest
from clustered_rows import Floats, Ints, ragged

from stages.statistics.leave_out import ClusterBatch, cluster_batches, unidentified_directions


def left_out(
    seed: int, K: int, largest: int
) -> tuple[Floats, Floats, Ints, Floats, list[ClusterBatch]]:
    """X, y and cluster sorted by cluster, the root L'^-1 of (X'X)^-1, and the batches."""
    X, y, cluster = ragged(seed, clusters=15, K=K, largest=largest)
    order = np.argsort(cluster, kind="stable")
    X, y, cluster = X[order], y[order], cluster[order]
    root = np.linalg.inv(np.linalg.cholesky(X.T @ X)).T
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    return X, y, cluster, root, list(cluster_batches(X @ root, residual, cluster))


@pytest.mark.parametrize(("K", "largest"), [(6, 4), (3, 12)])  # clusters smaller than K, and larger
def test_each_quantity_of_a_cluster_is_its_formula(K: int, largest: int) -> None:
    X, y, cluster, root, batches = left_out(1, K, largest)
    inverse = np.linalg.inv(X.T @ X)
    beta = inverse @ X.T @ y
    seen = 0
    for batch in batches:
        for g, label in enumerate(batch.label):
            own = cluster == label
            hat = X[own] @ inverse @ X[own].T
            residual = (y - X @ beta)[own]
            np.testing.assert_allclose(batch.row_leverage[g], np.diag(hat), rtol=1e-9)
            assert batch.leverage[g] == pytest.approx(np.trace(hat))
            np.testing.assert_allclose(
                batch.score[g] @ np.linalg.inv(root), X[own].T @ residual, atol=1e-9
            )
            moved = inverse @ X[own].T @ np.linalg.inv(np.eye(len(hat)) - hat) @ residual
            np.testing.assert_allclose(root @ batch.displacement.w[g], moved, atol=1e-9)
            seen += 1
    assert seen == len(np.unique(cluster))


def test_batches_are_clusters_of_one_size_and_hold_every_row_once() -> None:
    X, _, cluster, root, batches = left_out(2, 3, 5)
    assert [batch.Z.shape[1] for batch in batches] == sorted(
        {int((cluster == one).sum()) for one in cluster}
    )
    rows = np.concatenate([batch.Z.reshape(-1, 3) for batch in batches])
    np.testing.assert_allclose(np.sort(rows, axis=0), np.sort(X @ root, axis=0))


def test_the_unidentified_directions_are_those_that_no_other_row_has() -> None:
    X, _, cluster, _, _ = left_out(3, 4, 5)
    own = cluster == cluster[0]
    X[:, 2] *= own
    root = np.linalg.inv(np.linalg.cholesky(X.T @ X)).T
    directions = unidentified_directions(X[own] @ root, root)
    assert directions.shape == (4, 1)
    np.testing.assert_allclose(X[~own] @ directions, 0, atol=1e-8)
    np.testing.assert_allclose(directions.T @ directions, 1)
