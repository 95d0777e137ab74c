"""Thresholds and areas of every reader and noise type, from draws of all cells' means at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stages.schemas.words import CLEAN
from stages.statistics.cells import Cells
from stages.statistics.thresholds import DoseResponse, dose_response, level_at

Floats = NDArray[np.float64]


def joint_dose_responses(cells: Cells, *, targets: Sequence[float], confidence: float, draws: int,
                         rng: np.random.Generator) -> dict[tuple[str, str], DoseResponse]:
    """The curve of every reader and noise type, from draws of all cells' means at once.

    That the draws are joint makes `first` a probability: the share of the draws in which this noise reaches the target
    at the lowest level of all, and not even without noise. Means are shares of whole captchas or of characters.
    """
    drawn = cells.draw(draws, rng=rng)  # (1 + B, M)
    found: dict[tuple[str, str], DoseResponse] = {}
    placed: dict[tuple[str, str], list[Floats]] = {}
    for reader, noise in dict.fromkeys((reader, noise) for reader, noise, _ in cells.keys if noise != CLEAN):
        columns, levels = cells.of(reader, noise)
        shares = drawn[:, columns]
        found[reader, noise] = dose_response(shares, levels, targets=targets, confidence=confidence)
        placed[reader, noise] = [level_at(shares, levels, target)[1:] for target in targets]
    for (reader, noise), own in placed.items():
        of_reader = [levels for (whose, _), levels in placed.items() if whose == reader]
        earliest = [np.min([levels[i] for levels in of_reader], axis=0) for i in range(len(targets))]
        found[reader, noise] = replace(found[reader, noise], thresholds=tuple(
            replace(one, first=float((np.isfinite(level) & (level > 0) & (level <= least)).mean()))
            for one, level, least in zip(found[reader, noise].thresholds, own, earliest, strict=True)))
    return found
