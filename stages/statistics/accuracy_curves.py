"""Success by level of noise as rows: what was observed, the regression's line, thresholds and areas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from stages.schemas.regress import Areas, DoseResponses, FormulaVariables, Thresholds
from stages.schemas.table import Cell, Row, row_of
from stages.schemas.words import CLEAN
from stages.statistics.arrays import Ints
from stages.statistics.condition_cells import Cells
from stages.statistics.regression import Regression
from stages.statistics.sample import Sample
from stages.statistics.thresholds import DoseResponse

Curves = Mapping[tuple[str, str], DoseResponse]  # by reader and noise type


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
        means = {name: values[here].mean() for name, values in variables.numbers.items()}
        yield row_of(
            DoseResponses,
            reader=reader,
            noise=noise,
            level=value,
            dose=means[dose],
            rmse=means[FormulaVariables.rmse],
            ssim_loss=means[FormulaVariables.ssim_loss],
            rows=int(here.sum()),
            accuracy=sample.success[rows][here].mean(),
            line=fitted[here].mean(),
            exact=whole.mean[cell],
        )


def threshold_rows(
    curves: Curves, between: Callable[[str, str, float], Mapping[str, Cell]]
) -> list[Row]:
    """One row per reader, noise type and share of the captchas; a level or an end that is not reached is blank.

    `between` gives sd_between_runs and runs of a reader, noise type and share.
    """
    return [
        row_of(Thresholds, one, reader=reader, noise=noise, **between(reader, noise, one.share))
        for (reader, noise), curve in curves.items()
        for one in curve.thresholds
    ]


def area_rows(curves: Curves) -> list[Row]:
    """One row per reader and noise type: the area under its curve."""
    return [
        row_of(Areas, curve.area, reader=reader, noise=noise, area=curve.area.value)
        for (reader, noise), curve in curves.items()
    ]
