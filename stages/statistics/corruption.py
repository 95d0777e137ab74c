"""Robustness as benchmarks of corruption state it: a reader's errors under noise over those of a baseline reader.

    CE = sum over levels of E(reader, noise, level) / the same of the baseline       mCE = mean of CE over noise types
    relative CE = sum of E(reader, noise, level) - E(reader, clean) / the same of the baseline

Hendrycks & Dietterich (2019), "Benchmarking neural network robustness to common corruptions", ICLR. E is the share of
characters that were not read right. 1 is as the baseline; the mean is of ratios, not a ratio of means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np

from stages.schemas.regress import CorruptionErrors
from stages.schemas.table import Row, row_of
from stages.statistics.arrays import Floats
from stages.statistics.bootstrap import percentile_interval
from stages.statistics.condition_cells import Cells

NEGLIGIBLE_ERROR = 1e-9  # of a baseline: a ratio to less is a ratio to rounding


@dataclass(frozen=True)
class Ratio:
    """A ratio to the baseline, with percentiles over draws; NaN where the baseline has no error."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Corruption:
    """A reader under one noise type, or over several."""

    reader: str
    noises: tuple[str, ...]
    clean: float  # share of characters not read right, without noise
    error: float  # the same under noise, mean over levels and types
    ratio: Ratio  # CE, or mCE over several
    relative: Ratio


def noise_groups(types: Sequence[str], unseen: Iterable[str]) -> list[tuple[str, ...]]:
    """Each noise type alone, all of them, those that training had and those that it had not; none twice."""
    apart = set(unseen) & set(types)
    groups = [*((noise,) for noise in types), tuple(types)]
    if apart:
        groups.append(tuple(noise for noise in types if noise not in apart))
        groups.append(tuple(noise for noise in types if noise in apart))
    return list(dict.fromkeys(groups))


def corruptions(
    cells: Cells,
    groups: Sequence[tuple[str, ...]],
    baseline: str,
    *,
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> list[Corruption]:
    """Every reader over every group of noise types (of one type: CE; of several: mCE).

    cells are of character accuracy; their means are drawn jointly, so that the ratios are paired. Raises ValueError
    where the baseline is no reader of them.
    """
    readers = list(dict.fromkeys(reader for reader, _, _ in cells.keys))
    if baseline not in readers:
        raise ValueError(f"the baseline {baseline!r} is no reader: there are {', '.join(readers)}")
    wrong = 1 - cells.draw(draws, rng=rng)  # (1 + B, M)
    noises = dict.fromkeys(chain.from_iterable(groups))
    errors = {pair: wrong[:, cells.of(*pair)[0]] for pair in product(readers, noises)}
    return [
        _over(reader, group, errors, baseline, confidence)
        for group, reader in product(groups, readers)
    ]


def _over(
    reader: str,
    noises: tuple[str, ...],
    errors: Mapping[tuple[str, str], Floats],
    baseline: str,
    confidence: float,
) -> Corruption:
    ratios = []
    relatives = []
    for noise in noises:
        own = errors[reader, noise]
        other = errors[baseline, noise]
        ratios.append(_ratio(own[:, 1:].sum(axis=1), other[:, 1:].sum(axis=1)))
        relatives.append(
            _ratio((own[:, 1:] - own[:, :1]).sum(axis=1), (other[:, 1:] - other[:, :1]).sum(axis=1))
        )
    return Corruption(
        reader,
        noises,
        float(errors[reader, noises[0]][0, 0]),
        float(np.mean([errors[reader, noise][0, 1:].mean() for noise in noises])),
        _interval(np.mean(ratios, axis=0), confidence),
        _interval(np.mean(relatives, axis=0), confidence),
    )


def _ratio(own: Floats, other: Floats) -> Floats:
    return np.divide(
        own, other, out=np.full_like(own, np.nan), where=np.abs(other) > NEGLIGIBLE_ERROR
    )


def _interval(values: Floats, confidence: float) -> Ratio:
    """The study's own value, the first, and percentiles of the draws that have one, stretched to hold it."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(drawn):
        return Ratio(float(values[0]), np.nan, np.nan)
    low, high = percentile_interval(drawn, confidence)
    return Ratio(float(values[0]), float(min(low, values[0])), float(max(high, values[0])))


def corruption_rows(found: Sequence[Corruption], seen: Mapping[str, Sequence[str]]) -> list[Row]:
    """One row per reader and group of noise types (of one type: CE; of several: mCE).

    `seen` are the types that each reader trained on.
    """
    return [
        row_of(
            CorruptionErrors,
            one,
            noise="+".join(one.noises),
            types=len(one.noises),
            seen=_share_seen(one.noises, seen[one.reader]),
            clean_error=one.clean,
            ratio=one.ratio.value,
            ratio_low=one.ratio.low,
            ratio_high=one.ratio.high,
            relative=one.relative.value,
            relative_low=one.relative.low,
            relative_high=one.relative.high,
        )
        for one in found
    ]


def _share_seen(noises: Sequence[str], seen: Sequence[str]) -> str:
    known = sum(noise in seen for noise in noises)
    if known == len(noises):
        return "all"
    return "some" if known else "none"
