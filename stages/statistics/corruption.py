"""Robustness as benchmarks of corruption state it: a reader's errors under noise over those of a baseline reader.

    CE = sum over levels of E(reader, noise, level) / the same of the baseline       mCE = mean of CE over noise types
    relative CE = sum of E(reader, noise, level) - E(reader, clean) / the same of the baseline

Hendrycks & Dietterich (2019), "Benchmarking neural network robustness to common corruptions", ICLR. E is the share of
characters that were not read right. 1 is as the baseline; the mean is of ratios, not a ratio of means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 1e-9  # of a baseline's error: a ratio to less is a ratio to rounding


@dataclass(frozen=True)
class Counts:
    """One reader under one noise: characters read right and shown by captcha and level, (G, L), level 0 first."""

    right: Floats
    shown: Floats


@dataclass(frozen=True)
class Ratio:
    """A ratio to the baseline, with percentiles over resampled captchas; NaN where the baseline has no error."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Corruption:
    """A reader under one noise type, or over several."""

    reader: str
    noises: tuple[str, ...]
    clean: float            # share of characters not read right, without noise
    error: float            # the same under noise, mean over levels and types
    ratio: Ratio            # CE, or mCE over several
    relative: Ratio


def corruptions(counts: Mapping[tuple[str, str], Counts], groups: Sequence[tuple[str, ...]], baseline: str, *,
                confidence: float, draws: int, rng: np.random.Generator) -> list[Corruption]:
    """Every reader over every group of noise types (of one type: CE; of several: mCE).

    counts by (reader, noise), all over the same captchas in the same order, so that one resample serves all and the
    ratios are paired. Raises ValueError where the baseline is no reader of them.
    """
    readers = list(dict.fromkeys(reader for reader, _ in counts))
    if baseline not in readers:
        raise ValueError(f"the baseline {baseline!r} is no reader: there are {', '.join(readers)}")
    G = len(next(iter(counts.values())).right)
    weights = np.concatenate([np.ones((1, G)), rng.multinomial(G, np.full(G, 1 / G), size=draws)])  # (1 + B, G)
    errors = {key: 1 - _share(weights @ one.right, weights @ one.shown) for key, one in counts.items()}  # (1 + B, L)
    return [_over(reader, noises, errors, baseline, confidence) for noises in groups for reader in readers]


def _share(right: Floats, shown: Floats) -> Floats:
    return np.divide(right, shown, out=np.full_like(right, np.nan), where=shown > 0)


def _over(reader: str, noises: tuple[str, ...], errors: Mapping[tuple[str, str], Floats], baseline: str,
          confidence: float) -> Corruption:
    ratios, relatives = [], []
    for noise in noises:
        own, other = errors[reader, noise], errors[baseline, noise]
        ratios.append(_ratio(own[:, 1:].sum(axis=1), other[:, 1:].sum(axis=1)))
        relatives.append(_ratio((own[:, 1:] - own[:, :1]).sum(axis=1), (other[:, 1:] - other[:, :1]).sum(axis=1)))
    return Corruption(reader, noises, float(errors[reader, noises[0]][0, 0]),
                      float(np.mean([errors[reader, noise][0, 1:].mean() for noise in noises])),
                      _interval(np.mean(ratios, axis=0), confidence), _interval(np.mean(relatives, axis=0), confidence))


def _ratio(own: Floats, other: Floats) -> Floats:
    return np.divide(own, other, out=np.full_like(own, np.nan), where=np.abs(other) > LEAST)


def _interval(values: Floats, confidence: float) -> Ratio:
    """The study's own value, the first, and percentiles of the draws that have one."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or not len(drawn):
        return Ratio(float(values[0]), np.nan, np.nan)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Ratio(float(values[0]), float(low), float(high))
