"""How many characters, and how many whole captchas, are read right in every cell of a study's design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.statistics.cells import Cells, cell_means
from stages.statistics.design import Variables
from stages.statistics.observations import stacked


def whole_captchas(predictions: Mapping[str, pa.Table], variables: Variables) -> Cells:
    """The share of captchas read whole in every cell of the design."""
    first = np.flatnonzero(stacked(predictions, "position", np.int64) == 0)  # a row a rendering
    exact = np.concatenate([pc.equal(table["text"], table["reading"]).to_numpy(zero_copy_only=False)
                            for table in predictions.values()])
    captcha = stacked(predictions, "captcha", np.int64)
    return _cells(exact[first], variables.take(first), captcha[first], captcha[first],
                    glyphs_of(predictions, captcha)[first])


def characters(predictions: Mapping[str, pa.Table], variables: Variables) -> Cells:
    """The share of characters read right in every cell of the design."""
    captcha, position = (stacked(predictions, name, np.int64) for name in ("captcha", "position"))
    return _cells(stacked(predictions, "success", np.uint8), variables, captcha * (position.max() + 1) + position,
                    captcha, stacked(predictions, "glyph", np.int64))


def glyphs_of(predictions: Mapping[str, pa.Table], captcha: NDArray[np.int64]) -> NDArray[np.int64]:
    """The glyphs (N, T) of each row's whole captcha, -1 where unknown or absent."""
    position, glyph = (stacked(predictions, name, np.int64) for name in ("position", "glyph"))
    index = np.unique(captcha, return_inverse=True)[1]
    texts = np.full((index.max() + 1, position.max() + 1), -1)
    texts[index, position] = glyph
    return np.asarray(texts[index])


def _cells(success: NDArray[Any], variables: Variables, unit: NDArray[Any], captcha: NDArray[Any],
             glyphs: NDArray[Any]) -> Cells:
    """The cells of N observations; `unit`, `captcha` and `glyphs` as cell_means has them."""
    return cell_means(success, variables.factors["reader"], variables.factors["noise"], variables.numbers["level"],
                      unit=unit, captcha=captcha, glyphs=glyphs)
