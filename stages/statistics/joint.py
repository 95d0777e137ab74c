"""Thresholds and areas of every reader and noise type, from draws of all cells' means at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stages.schemas.words import CLEAN
from stages.statistics.arrays import Floats
from stages.statistics.condition_cells import Cells
from stages.statistics.thresholds import DoseResponse, dose_response, level_at


def joint_dose_responses(
    cells: Cells,
    *,
    targets: Sequence[float],
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> dict[tuple[str, str], DoseResponse]:
    """The curve of every reader and noise type, from draws of all cells' means at once.

    That the draws are joint makes `first` a probability: the share of the draws in which this noise reaches the target
    at the lowest level of all, and not even without noise. Means are shares of whole captchas or of characters.
    """
    drawn = cells.draw(draws, rng=rng)  # (1 + B, M)
    found: dict[tuple[str, str], DoseResponse] = {}
    reached: dict[tuple[str, str], Floats] = {}  # levels (targets, B)
    for reader, noise in dict.fromkeys(
        (reader, noise) for reader, noise, _ in cells.keys if noise != CLEAN
    ):
        columns, levels = cells.of(reader, noise)
        shares = drawn[:, columns]
        found[reader, noise] = dose_response(shares, levels, targets=targets, confidence=confidence)
        reached[reader, noise] = np.array(
            [level_at(shares, levels, target)[1:] for target in targets]
        )
    for (reader, noise), own in reached.items():
        earliest = np.min(
            [levels for (whose, _), levels in reached.items() if whose == reader], axis=0
        )
        first = (np.isfinite(own) & (own > 0) & (own <= earliest)).mean(axis=1)
        thresholds = tuple(
            replace(one, first=float(share))
            for one, share in zip(found[reader, noise].thresholds, first, strict=True)
        )
        found[reader, noise] = replace(found[reader, noise], thresholds=thresholds)
    return found
