"""Robustness of each character: accuracy by level, and the level at which half of it is lost.

Every function takes the characters of one reader: rows of a prediction table (`Predictions`). Intervals of shares are
clustered by captcha and glyph. Resampling draws glyphs: the characters of one class share them, while captchas hold all
classes and add next to nothing. Where glyphs are unknown, captchas are drawn.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.captcha.design import stream
from stages.schemas.explain import ClassLevels, ClassThresholds
from stages.schemas.predict import Predictions
from stages.schemas.words import POOLED
from stages.statistics.bootstrap import resampled_shares
from stages.statistics.clustered import of_one_glyph
from stages.statistics.proportions import clustered_proportion
from stages.statistics.thresholds import Threshold, dose_response

Floats = NDArray[np.float64]

MIN_CAPTCHAS_FOR_INTERVAL = 10  # captchas that an interval needs
TOO_FEW = "too few {what} ({count}) for an interval"


def check_characters(characters: pd.DataFrame, alphabet: str) -> None:
    """Raise ValueError where there is no row, or a true character that the alphabet lacks."""
    if characters.empty:
        raise ValueError("insight: there is no character to look at: predict some captchas first")
    unknown = sorted(set(characters[Predictions.truth].astype(str)) - set(alphabet))
    if unknown:
        raise ValueError(
            f"insight: the true characters should be of the alphabet {alphabet!r}, got {unknown}: "
            "take the alphabet of the captchas"
        )


def noises_of(characters: pd.DataFrame) -> list[str]:
    """The noise types in order of appearance, without that of the clean renderings."""
    noisy = characters[characters[Predictions.level] > 0]
    return list(dict.fromkeys(noisy[Predictions.noise].astype(str)))


def with_clean(characters: pd.DataFrame, noise: str) -> pd.DataFrame:
    """The rows of a noise type (or POOLED) and the clean ones, which are level 0 of every type."""
    level = characters[Predictions.level].to_numpy()
    own = (characters[Predictions.noise].astype(str) == noise).to_numpy()
    return characters[(level == 0) | (noise == POOLED) | own]


def too_few_captchas(captcha: NDArray[np.int64], glyph: NDArray[np.int64] | None) -> str:
    """Why characters have no interval, or "": too few captchas, or a single glyph."""
    captchas = len(np.unique(captcha))
    if not captchas:
        return "none was shown"
    if captchas < MIN_CAPTCHAS_FOR_INTERVAL:
        return TOO_FEW.format(what="captchas", count=captchas)
    return TOO_FEW.format(what="glyphs", count=1) if of_one_glyph(glyph) else ""


def resampled_by(characters: pd.DataFrame) -> NDArray[np.int64]:
    """The clusters (m,) that are resampled: glyphs, or captchas where glyphs are unknown."""
    glyph = characters[Predictions.glyph].to_numpy()
    return np.asarray(characters[Predictions.captcha] if (glyph < 0).any() else glyph, np.int64)


def share(
    success: NDArray[np.bool_],
    captcha: NDArray[np.int64],
    glyph: NDArray[np.int64] | None,
    confidence: float,
) -> tuple[float, float, float, str]:
    """A share of m characters, its interval (NaN where they are too few) and a note. Glyphs None: unknown.

    The interval is Wilson's with the effective sample size: a bootstrap that draws no error would have no width.
    """
    note = too_few_captchas(captcha, glyph)
    if note:
        return float(success.mean()) if len(success) else np.nan, np.nan, np.nan, note
    return *clustered_proportion(success, captcha, glyph, confidence=confidence), ""


def share_of(characters: pd.DataFrame, confidence: float) -> tuple[float, float, float, str]:
    """The share of characters read right, as `share`."""
    return share(
        characters[Predictions.success].to_numpy(bool),
        characters[Predictions.captcha].to_numpy(),
        characters[Predictions.glyph].to_numpy(),
        confidence,
    )


def cell_counts(
    success: Floats, cluster: NDArray[np.integer], column: NDArray[np.integer], columns: int
) -> tuple[Floats, Floats]:
    """Characters read right and characters shown, (G, columns) each, of m characters by cluster and column.

    A character whose column is negative does not count.
    """
    G = int(cluster.max(initial=-1)) + 1
    counted = column >= 0
    cell = (cluster * columns + column)[counted]
    right = np.bincount(cell, success[counted], G * columns)
    seen = np.bincount(cell, minlength=G * columns)
    return right.reshape(G, columns).astype(float), seen.reshape(G, columns).astype(float)


def character_accuracy_by_level(
    characters: pd.DataFrame, alphabet: str, *, confidence: float
) -> pd.DataFrame:
    """Share of each character read right, by noise type (and POOLED) and level (ClassLevels).

    Level 0 is the clean rendering, repeated for every type. A character that was not shown has no row.
    Raises ValueError as check_characters does.
    """
    check_characters(characters, alphabet)
    rows = []
    for noise in [*noises_of(characters), POOLED]:
        key = [Predictions.level, Predictions.truth]
        cells = dict(iter(with_clean(characters, noise).groupby(key, observed=True)))
        for level, character in sorted(cells, key=lambda at: (at[0], alphabet.index(at[1]))):
            cell = cells[level, character]
            *interval, note = share_of(cell, confidence)
            captchas = cell[Predictions.captcha].nunique()
            rows.append([noise, level, character, *interval, len(cell), captchas, note])
    return pd.DataFrame(rows, columns=ClassLevels.names())


def thresholds_by_character(
    characters: pd.DataFrame,
    alphabet: str,
    *,
    confidence: float,
    draws: int,
    seed: int,
    target: float = 0.5,
) -> pd.DataFrame:
    """The level at which each character's accuracy falls to `target`, by noise type and POOLED (ClassThresholds).

    It is read off the monotone curve of stages.statistics.thresholds; the interval resamples glyphs. Level, low and
    high are infinite where the target is not reached within the levels tested, 0 where clean renderings are below it,
    and NaN with a note where there is no curve.
    Raises ValueError as check_characters does.
    """
    check_characters(characters, alphabet)
    rows = []
    for noise in [*noises_of(characters), POOLED]:
        own = with_clean(characters, noise)
        for character in alphabet:
            shown = own[(own[Predictions.truth] == character).to_numpy()]
            note = _no_curve(shown, own)
            numbers = [np.nan] * 4
            if not note:
                rng = stream(seed, "classes", noise, character)
                found = _threshold(shown, target, confidence, draws, rng)
                numbers = [found.level, found.low, found.high, found.reached]
                note = "" if np.isfinite(found.level) else "not reached"
            captchas = shown[Predictions.captcha].nunique()
            rows.append([noise, character, target, *numbers, captchas, note])
    return pd.DataFrame(rows, columns=ClassThresholds.names())


def _no_curve(shown: pd.DataFrame, own: pd.DataFrame) -> str:
    """Why a character has no curve, or ""."""
    captcha = shown[Predictions.captcha].to_numpy()
    if note := too_few_captchas(captcha, shown[Predictions.glyph].to_numpy()):
        return note
    levels = set(own[Predictions.level])
    if 0 not in levels or len(levels) < 2:
        return "a curve needs clean and noisy renderings"
    return "" if levels == set(shown[Predictions.level]) else "not shown at every level"


def _threshold(
    shown: pd.DataFrame, target: float, confidence: float, draws: int, rng: np.random.Generator
) -> Threshold:
    levels, column = np.unique(shown[Predictions.level].to_numpy(float), return_inverse=True)
    cluster = pd.factorize(resampled_by(shown))[0]
    success = shown[Predictions.success].to_numpy(float)
    right, seen = cell_counts(success, cluster, column, len(levels))
    shares = resampled_shares(right, seen, draws, rng=rng)
    return dose_response(shares, levels, targets=(target,), confidence=confidence).thresholds[0]
