"""Success by level of noise: the counts behind a threshold, and the curves that are drawn through them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from stages.statistics.regression import Regression
from stages.statistics.sample import Sample
from stages.statistics.thresholds import Psychometric
from stages.statistics.tidy import Row, told

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLEAN = "none"  # the noise type of a clean rendering


def rows_of(sample: Sample, reader: str, noise: str) -> Ints:
    """Indices of a reader's rows under a noise type, and of its clean ones."""
    readers, noises = sample.variables.factors["reader"], sample.variables.factors["noise"]
    wanted = [noises.categories.index(name) for name in (noise, CLEAN) if name in noises.categories]
    return np.flatnonzero((readers.codes == readers.categories.index(reader)) & np.isin(noises.codes, wanted))


def counts(sample: Sample, reader: str, noise: str) -> tuple[Floats, Floats, Floats]:
    """Characters read right and shown, (G, L) each, by captcha and level, and the levels (L,), 0 first."""
    rows = rows_of(sample, reader, noise)
    levels, level = np.unique(sample.variables.numbers["level"][rows], return_inverse=True)
    captchas, captcha = np.unique(sample.cluster[rows], return_inverse=True)
    shape = (len(captchas), len(levels))
    cell = np.ravel_multi_index((captcha, level), shape)
    right = np.bincount(cell, sample.success[rows], shape[0] * shape[1]).reshape(shape).astype(np.float64)
    shown = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    return right, shown.astype(np.float64), levels


def dose_response(sample: Sample, lines: Mapping[str, Regression], curves: Mapping[tuple[str, str], Psychometric],
                  dose: str) -> list[Row]:
    """One row a reader, noise and level: the mean dose, observed accuracy, the mean of the regression's fitted values
    (which lie on its line) and the psychometric curve; "" where there is none."""
    return [row for (reader, noise), curve in curves.items()
            for row in _responses(sample, reader, noise, lines.get(reader), curve, dose)]


def _responses(sample: Sample, reader: str, noise: str, line: Regression | None, curve: Psychometric,
               dose: str) -> Iterator[Row]:
    rows = rows_of(sample, reader, noise)
    variables = sample.variables.take(rows)
    level = variables.numbers["level"]
    fitted = np.full(len(rows), np.nan) if line is None else (
        line.design.block(variables, slice(None)) @ line.fit.beta)
    for value in np.unique(level):
        here = level == value
        yield {"reader": reader, "noise": noise, "level": float(value),
               "dose": float(variables.numbers[dose][here].mean()), "rows": int(here.sum()),
               "accuracy": float(sample.success[rows][here].mean()), "line": told(float(fitted[here].mean())),
               "curve": told(float(curve.accuracy([value])[0]))}
