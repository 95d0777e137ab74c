"""Success by level of noise: what was observed, and the regression's line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from stages.schemas.regress import DoseResponses, FormulaVariables
from stages.schemas.words import CLEAN
from stages.statistics.condition_cells import Cells
from stages.statistics.regression import Regression
from stages.statistics.sample import Sample
from stages.statistics.tidy import Row, blank_if_nan

Ints = NDArray[np.int64]


def curve_rows(sample: Sample, reader: str, noise: str) -> Ints:
    """Indices of a reader's rows under a noise type, and of its clean ones."""
    readers = sample.variables.factors[FormulaVariables.reader]
    noises = sample.variables.factors[FormulaVariables.noise]
    wanted = [noises.categories.index(name) for name in (noise, CLEAN) if name in noises.categories]
    return np.flatnonzero(
        (readers.codes == readers.categories.index(reader)) & np.isin(noises.codes, wanted)
    )


def response_rows(
    sample: Sample, lines: Mapping[str, Regression], whole: Cells, dose: str
) -> list[Row]:
    """One row per reader, noise and level: mean doses, characters read right, the mean of the regression's fitted
    values (which lie on its line; "" where there is none) and captchas read whole."""
    return [
        row
        for reader, noise in dict.fromkeys(
            (reader, noise) for reader, noise, _ in whole.keys if noise != CLEAN
        )
        for row in _responses(sample, reader, noise, lines.get(reader), whole, dose)
    ]


def _responses(
    sample: Sample, reader: str, noise: str, line: Regression | None, whole: Cells, dose: str
) -> Iterator[Row]:
    rows = curve_rows(sample, reader, noise)
    variables = sample.variables.take(rows)
    level = variables.numbers[FormulaVariables.level]
    fitted = (
        np.full(len(rows), np.nan)
        if line is None
        else (line.design.block(variables, slice(None)) @ line.fit.beta)
    )
    for cell, value in zip(*whole.of(reader, noise), strict=True):
        here = level == value
        yield {
            DoseResponses.reader: reader,
            DoseResponses.noise: noise,
            DoseResponses.level: float(value),
            DoseResponses.dose: float(variables.numbers[dose][here].mean()),
            DoseResponses.rmse: float(variables.numbers[FormulaVariables.rmse][here].mean()),
            DoseResponses.ssim_loss: float(
                variables.numbers[FormulaVariables.ssim_loss][here].mean()
            ),
            DoseResponses.rows: int(here.sum()),
            DoseResponses.accuracy: float(sample.success[rows][here].mean()),
            DoseResponses.line: blank_if_nan(float(fitted[here].mean())),
            DoseResponses.exact: float(whole.mean[cell]),
        }
