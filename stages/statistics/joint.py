"""Psychometric curves of all readers and noise types from joint draws, so that their thresholds can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stages.statistics.cells import Cells
from stages.statistics.thresholds import Curves, Psychometric, described, ends, fitted

Floats = NDArray[np.float64]


def joint_psychometrics(cells: Cells, guess: Mapping[tuple[str, str], float], *, targets: Sequence[float],
                        confidence: float, draws: int,
                        rng: np.random.Generator) -> dict[tuple[str, str], Psychometric]:
    """The curve of every reader and noise type of `guess`, its guess rates, from draws of all cells' means at once.

    Readings are whole captchas or characters, whatever the cells' means are shares of. That the draws are joint makes
    `first` a probability: the share of the draws in which this noise reaches the target at the lowest level of all, and
    not even without noise. A level that could lie anywhere between two tested ones (`ends`) counts as drawn evenly
    between them.
    """
    drawn = cells.draw(draws, rng=rng)  # (1 + B, M)
    found: dict[tuple[str, str], Psychometric] = {}
    levels_of: dict[tuple[str, str], list[Floats]] = {}
    for (reader, noise), rate in guess.items():
        columns, levels = cells.of(reader, noise)
        seen = np.broadcast_to(cells.rows[columns], (draws + 1, len(columns)))
        curves = fitted(drawn[:, columns] * seen, seen, levels, rate)
        found[reader, noise] = described(curves, drawn[:, columns] * seen, seen, levels, targets, confidence)
        levels_of[reader, noise] = [_placed(curves, seen, levels, target, rng=rng)[1:] for target in targets]
    for (reader, noise), own in levels_of.items():
        beside = [other for (whose, _), other in levels_of.items() if whose == reader]
        earliest = [np.min([one[i] for one in beside], axis=0) for i in range(len(targets))]
        found[reader, noise] = replace(found[reader, noise], thresholds=tuple(
            replace(one, first=float((np.isfinite(level) & (level > 0) & (level <= least)).mean()))
            for one, level, least in zip(found[reader, noise].thresholds, own, earliest, strict=True)))
    return found


def _placed(curves: Curves, seen: Floats, levels: Floats, target: float, *, rng: np.random.Generator) -> Floats:
    """The levels (B,) at which curves pass the target, a vague one drawn evenly between its ends."""
    low, high = ends(curves.level(target, levels[-1]), curves, seen, levels)
    vague = high > low
    placed = low.copy()
    placed[vague] = rng.uniform(low[vague], high[vague])
    return placed
