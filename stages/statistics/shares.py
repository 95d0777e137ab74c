"""How many characters, and how many whole captchas, are read right in every cell of a study's design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.schemas.predict import Predictions
from stages.schemas.regress import FormulaVariables
from stages.statistics.condition_cells import Cells, cell_means
from stages.statistics.design_matrix import Variables
from stages.statistics.observations import stacked


def whole_captchas(predictions: Mapping[str, pa.Table], variables: Variables) -> Cells:
    """The share of captchas read whole in every cell of the design."""
    first = np.flatnonzero(
        stacked(predictions, Predictions.position, np.int64) == 0
    )  # a row a rendering
    exact = np.concatenate(
        [
            pc.equal(table[Predictions.text], table[Predictions.reading]).to_numpy(
                zero_copy_only=False
            )
            for table in predictions.values()
        ]
    )
    captcha = stacked(predictions, Predictions.captcha, np.int64)
    return _cells(
        exact[first],
        variables.take(first),
        captcha[first],
        captcha[first],
        glyphs_of(predictions, captcha)[first],
    )


def character_cells(predictions: Mapping[str, pa.Table], variables: Variables) -> Cells:
    """The share of characters read right in every cell of the design."""
    captcha = stacked(predictions, Predictions.captcha, np.int64)
    position = stacked(predictions, Predictions.position, np.int64)
    success = stacked(predictions, Predictions.success, np.uint8)
    glyph = stacked(predictions, Predictions.glyph, np.int64)
    return _cells(success, variables, captcha * (position.max() + 1) + position, captcha, glyph)


def glyphs_of(predictions: Mapping[str, pa.Table], captcha: NDArray[np.int64]) -> NDArray[np.int64]:
    """The glyphs (N, T) of each row's whole captcha, -1 where unknown or absent."""
    position, glyph = (
        stacked(predictions, name, np.int64) for name in (Predictions.position, Predictions.glyph)
    )
    index = np.unique(captcha, return_inverse=True)[1]
    texts = np.full((index.max() + 1, position.max() + 1), -1)
    texts[index, position] = glyph
    return np.asarray(texts[index])


def _cells(
    success: NDArray[Any],
    variables: Variables,
    unit: NDArray[Any],
    captcha: NDArray[Any],
    glyphs: NDArray[Any],
) -> Cells:
    """The cells of N observations; `unit`, `captcha` and `glyphs` as cell_means has them."""
    return cell_means(
        success,
        variables.factors[FormulaVariables.reader],
        variables.factors[FormulaVariables.noise],
        variables.numbers[FormulaVariables.level],
        unit=unit,
        captcha=captcha,
        glyphs=glyphs,
    )
