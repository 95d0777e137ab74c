"""Fitting a classical reader: grid search on the training cells, chosen by accuracy on the validation cells."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stages.reader.alternatives.character_crops import features
from stages.reader.alternatives.classical import (
    Classical,
    Point,
    build_classical,
    check_sizes,
    class_of,
)
from stages.reader.batches import Images, Labels
from stages.reader.decoding import Doubles, Ints
from stages.reader.inference import batches_of, to_batch
from stages.reader.threads import one_thread


@dataclass(frozen=True)
class FittedClassical:
    """A fitted reader, and the grid search that chose it."""

    module: Classical
    chosen: dict[str, Any]  # hyper-parameters, as scikit-learn names them
    grid: list[dict[str, Any]]  # hyper-parameters, validation_accuracy and seconds, in order
    cells: int  # fitted on
    seconds: float

    @property
    def tried(self) -> list[dict[str, Any]]:
        """The grid without the times, so that artifacts are reproducible."""
        return [_without_seconds(row) for row in self.grid]

    @property
    def validation_accuracy(self) -> float:
        return max(float(row["validation_accuracy"]) for row in self.grid)


def _without_seconds(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "seconds"}


def fit_classical(
    kind: str,
    train: tuple[Images, Labels],
    validation: tuple[Images, Labels],
    *,
    alphabet_size: int,
    positions: int,
    seed: int,
    report: Callable[[str], None] = lambda line: None,
) -> FittedClassical:
    """Fit each point of the grid on `train` and choose the best on `validation`, of equals the first.

    Images (n, H, W, 3) and labels (n, T), T <= positions, 1 to A, 0 where there is no character. Accuracy is the share
    of the cells read correctly, empty ones included. At most MOST cells of each split are used, of captchas drawn by
    `seed`. Equal arguments give equal bytes. Raises ValueError on labels out of range, an empty split, and fewer than
    two classes.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # here, as scikit-learn: seconds

    model = class_of(kind)
    check_sizes(alphabet_size, positions)
    started = time.monotonic()
    with (
        one_thread(),
        threadpool_limits(1),
    ):  # sums in one order, independent of the number of cores
        most = max(1, model.MOST // positions)
        cells = []
        for name, (images, labels) in (("train", train), ("validation", validation)):
            _check_split(name, images, labels, alphabet_size, positions)
            drawn = _drawn(name, len(labels), most, seed)
            if len(drawn) < len(labels):
                report(
                    f"{kind}: {most * positions:,} of the {len(labels) * positions:,} cells of {name} are used"
                )
            cells.append(_cells(images[drawn], labels[drawn], positions))
        x, y = cells[0]
        unseen, truth = cells[1]
        if len(np.unique(y)) < 2:
            raise ValueError(
                f"train: a {kind} reader tells classes apart, but all {len(y)} cells have label {y[0]}: "
                "add captchas of other characters"
            )
        estimators = []
        grid: list[dict[str, Any]] = []
        for point in [point for point in model.GRID if point.get("n_neighbors", 1) <= len(x)]:
            began = time.monotonic()
            estimators.append(_fitted(kind, point, x, y, seed, report))
            accuracy = float((estimators[-1].predict(unseen) == truth).mean())
            grid.append(
                {**point, "validation_accuracy": accuracy, "seconds": time.monotonic() - began}
            )
            report(f"{kind} {point}: validation {accuracy:.2%}, {grid[-1]['seconds']:.1f} s")
        if not grid:
            raise ValueError(f"train: {len(x)} cells are too few for a {kind} reader: add captchas")
        # the first of equals, which is the simplest
        best = max(range(len(grid)), key=lambda i: grid[i]["validation_accuracy"])
        state = model.state_of(estimators[best], x, y)
        model.calibrate(state, unseen, truth, alphabet_size)
    module = build_classical(kind, state, alphabet_size=alphabet_size, positions=positions)
    return FittedClassical(module, dict(model.GRID[best]), grid, len(x), time.monotonic() - started)


def _cells(images: Images, labels: Labels, positions: int) -> tuple[Doubles, Ints]:
    """Features (m, F) and labels (m,) of all cells of a split."""
    padded = np.pad(labels, ((0, 0), (0, positions - labels.shape[1])))
    with torch.inference_mode():
        rows = [
            features(to_batch(batch), positions).double().numpy() for batch in batches_of(images)
        ]
    return np.concatenate(rows), padded.ravel()


def _check_split(
    split: str, images: Images, labels: Labels, alphabet_size: int, positions: int
) -> None:
    if (
        labels.ndim != 2
        or labels.shape[1] > positions
        or images.shape[:1] != labels.shape[:1]
        or images.ndim != 4
    ):
        raise ValueError(
            f"{split}: expected images (n, H, W, 3) and labels (n, T) with T at most {positions}, got "
            f"{images.shape} and {labels.shape}"
        )
    wrong = labels[(labels < 0) | (labels > alphabet_size)]
    if not len(labels) or len(wrong):
        raise ValueError(
            f"{split}: expected captchas with labels from 0 to {alphabet_size}, got {len(labels)} captchas"
            + (f" with label {wrong[0]}" if len(wrong) else "")
        )


def _drawn(split: str, captchas: int, most: int, seed: int) -> Ints:
    """Indices of at most `most` captchas of a split, drawn at random, ascending."""
    if captchas <= most:
        return np.arange(captchas)
    rng = np.random.default_rng((seed, split == "validation"))
    return np.sort(rng.permutation(captchas)[:most])


def _fitted(
    kind: str, point: Point, x: Doubles, y: Ints, seed: int, report: Callable[[str], None]
) -> Any:
    """scikit-learn's estimator, fitted at a point of the grid."""
    from sklearn.exceptions import ConvergenceWarning

    estimator = class_of(kind).estimator(point, seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(x, y)
    if caught:
        report(
            f"{kind} {dict(point)}: stopped after {estimator.max_iter} iterations, not converged"
        )
    return estimator
