"""How robust each character is: accuracy by level, the level at which half is lost, and a ranking that says how sure.

All take the characters of one reader: rows of a prediction table, with columns captcha, condition, position, text,
reading, truth, guess ("" where it was missed), success, noise, level (0 where clean) and glyph (-1 where unknown).
Intervals of shares are clustered by captcha and glyph. What resamples, resamples glyphs: the characters of one class
share them, while captchas hold all classes and add next to nothing. Where glyphs are unknown it resamples captchas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.captcha.design import stream
from stages.schemas.explain import ClassLevels, ClassPlaces, ClassRanking, ClassThresholds
from stages.schemas.predict import Predictions
from stages.schemas.words import POOLED
from stages.statistics.bootstrap import draws_in_parts, exponential_weights, resampled_shares
from stages.statistics.clustered import of_one_glyph
from stages.statistics.proportions import clustered_proportion
from stages.statistics.thresholds import Threshold, dose_response

Floats = NDArray[np.float64]

MIN_CAPTCHAS_FOR_INTERVAL = 10  # captchas that an interval needs
DRAWS_IN_MEMORY = 100  # draws whose weights are in memory at a time
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
    """The noise types in the order in which they come, without the clean renderings."""
    return list(
        dict.fromkeys(
            characters.loc[characters[Predictions.level] > 0, Predictions.noise].astype(str)
        )
    )


def with_clean(characters: pd.DataFrame, noise: str) -> pd.DataFrame:
    """The rows of a noise type (or POOLED), and the clean ones, which every type starts from."""
    level = characters[Predictions.level].to_numpy()
    own = (characters[Predictions.noise].astype(str) == noise).to_numpy()
    return characters[(level == 0) | (noise == POOLED) | own]


def too_few_captchas(captcha: NDArray[np.int64], glyph: NDArray[np.int64] | None) -> str:
    """Why characters have no interval, or "": fewer than LEAST captchas, or a single glyph."""
    captchas = len(np.unique(captcha))
    if not captchas:
        return "none was shown"
    if captchas < MIN_CAPTCHAS_FOR_INTERVAL:
        return TOO_FEW.format(what="captchas", count=captchas)
    return TOO_FEW.format(what="glyphs", count=1) if of_one_glyph(glyph) else ""


def resampled_by(characters: pd.DataFrame) -> NDArray[np.int64]:
    """The labels (m,) of what comes and goes together: the glyph, or the captcha where glyphs are unknown."""
    glyph = characters[Predictions.glyph].to_numpy()
    return np.asarray(characters[Predictions.captcha] if (glyph < 0).any() else glyph, np.int64)


def share(
    success: NDArray[np.bool_],
    captcha: NDArray[np.int64],
    glyph: NDArray[np.int64] | None,
    confidence: float,
) -> tuple[float, float, float, str]:
    """A share of m characters, its interval (NaN where they are too few) and a note. Glyphs None: unknown.

    Wilson's with the effective sample size, not a bootstrap: one that resamples no error has no width.
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


def character_accuracy_by_level(
    characters: pd.DataFrame, alphabet: str, *, confidence: float
) -> pd.DataFrame:
    """Share of each character read right, by noise type (and POOLED together) and level (ClassLevels).

    Level 0 is the clean rendering and comes once for every type. A character that was not shown has no row.
    Raises ValueError as check_characters does.
    """
    check_characters(characters, alphabet)
    rows = []
    for noise in [*noises_of(characters), POOLED]:
        cells = with_clean(characters, noise).groupby(
            [Predictions.level, Predictions.truth], observed=True
        )
        found = dict(iter(cells))
        for level in sorted({level for level, _ in found}):
            for character in alphabet:
                if (level, character) in found:
                    cell = found[level, character]
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

    By the monotone curve of stages.statistics.thresholds; the interval resamples glyphs. level, low and high are
    infinite where it is not reached within the levels tested, 0 where clean ones are read no better. NaN with a note:
    too few captchas, or no clean rendering to start from.
    Raises ValueError as check_characters does.
    """
    check_characters(characters, alphabet)
    rows = []
    for noise in [*noises_of(characters), POOLED]:
        own = with_clean(characters, noise)
        for character in alphabet:
            shown = own[(own[Predictions.truth] == character).to_numpy()]
            count = int(shown[Predictions.captcha].nunique())
            note = _without(shown, own)
            if note:
                rows.append([noise, character, target, *[np.nan] * 4, count, note])
                continue
            found = _threshold(
                shown, target, confidence, draws, stream(seed, "classes", noise, character)
            )
            note = "" if np.isfinite(found.level) else "not reached"
            rows.append(
                [
                    noise,
                    character,
                    target,
                    found.level,
                    found.low,
                    found.high,
                    found.reached,
                    count,
                    note,
                ]
            )
    return pd.DataFrame(rows, columns=ClassThresholds.names())


def _without(shown: pd.DataFrame, own: pd.DataFrame) -> str:
    """Why a character has no curve, or ""."""
    if note := too_few_captchas(
        shown[Predictions.captcha].to_numpy(), shown[Predictions.glyph].to_numpy()
    ):
        return note
    levels = set(shown[Predictions.level])
    wanted = set(own[Predictions.level])
    if 0 not in wanted or len(wanted) < 2:
        return "a curve needs clean and noisy renderings"
    return "" if levels == wanted else "not shown at every level"


def _threshold(
    shown: pd.DataFrame, target: float, confidence: float, draws: int, rng: np.random.Generator
) -> Threshold:
    codes, clusters = pd.factorize(resampled_by(shown))
    levels, column = np.unique(shown[Predictions.level].to_numpy(float), return_inverse=True)
    cell = codes * len(levels) + column
    size = len(clusters) * len(levels)
    right, seen = (
        np.bincount(cell, weights, size).reshape(len(clusters), len(levels)).astype(float)
        for weights in (shown[Predictions.success].to_numpy(float), np.ones(len(cell)))
    )
    shares = resampled_shares(right, seen, draws, rng=rng)
    return dose_response(shares, levels, targets=(target,), confidence=confidence).thresholds[0]


@dataclass(frozen=True)
class Ranking:
    """A characters from the most to the least robust, and how sure each place is.

    `table`: place, character, accuracy (of noisy renderings, all conditions alike) with low and high, clean with
    clean_low and clean_high, lost (clean less noisy) with lost_low and lost_high, probability (that this is its place),
    first, last (that it is the best, the worst), rank_low, rank_high (its rank interval), all_low, all_high (rank
    intervals that hold for all characters at once), captchas, note. A character of fewer than LEAST captchas, or of a
    single glyph, has no place: it comes last, with NaN.

    Probabilities are posterior ones, of Rubin's (1981) Bayesian bootstrap of the glyphs, under a flat prior: they
    say how far the data order the characters, and are no coverage. The rank intervals are those of Mogstad, Romano,
    Shaikh & Wilhelm (2024), "Inference for ranks", Review of Economic Studies 91:476: a character's rank counts those
    that differ from it by more than the largest studentised difference does by chance. The percentiles of bootstrapped
    ranks would be shorter, and miss true ranks where characters are nearly tied, as here.
    """

    table: pd.DataFrame
    places: Floats  # (R, R) probability that the character at place i (row) truly has rank j (column), R <= A
    whole: float  # probability that the whole order is right
    distinguished: float  # share of the pairs whose order the joint intervals' differences tell

    def rows(self) -> pd.DataFrame:
        """The place probabilities as tidy rows, ClassPlaces."""
        names = self.table[ClassRanking.character].to_numpy()
        found = [
            [names[i], i + 1, j + 1, float(p)]
            for i, row in enumerate(self.places)
            for j, p in enumerate(row)
        ]
        return pd.DataFrame(found, columns=ClassPlaces.names())


def ranking(
    characters: pd.DataFrame, alphabet: str, *, confidence: float, draws: int, seed: int
) -> Ranking:
    """Rank the characters by the share of their noisy renderings that is read right.

    Raises ValueError as check_characters does, and where no rendering is noisy.
    """
    check_characters(characters, alphabet)
    noisy = characters[Predictions.level].to_numpy() > 0
    if not noisy.any():
        raise ValueError("ranking: every rendering is clean: robustness needs noisy ones")
    shares = [
        [
            character,
            *_share_of_one(characters[noisy], character, confidence),
            *_share_of_one(characters[~noisy], character, confidence)[:3],
        ]
        for character in alphabet
    ]
    table = pd.DataFrame(shares, columns=ClassRanking.names()[1:10])
    table = table.sort_values(ClassRanking.accuracy, ascending=False, kind="stable")
    ranked = (table[ClassRanking.note] == "").to_numpy()
    table = pd.concat([table[ranked], table[~ranked]], ignore_index=True)
    order = list(table[ClassRanking.character][: ranked.sum()])
    noisy_draws, clean_draws = (
        draw_shares(characters[rows], order, draws=draws, seed=seed) for rows in (noisy, ~noisy)
    )
    places, whole = place_probabilities(noisy_draws, rng=stream(seed, "ties"))
    accuracy = table[ClassRanking.accuracy].to_numpy(float)[: len(order)]
    each, joint, distinguished = rank_intervals(accuracy, noisy_draws, confidence)
    tail = 50 * (1 - confidence)
    lost = np.full((2, len(order)), np.nan)
    if (~noisy).any() and len(order):
        lost = np.percentile(clean_draws - noisy_draws, [tail, 100 - tail], axis=0)
    columns = {
        ClassRanking.place: np.arange(1.0, len(order) + 1),
        ClassRanking.lost: (table[ClassRanking.clean] - table[ClassRanking.accuracy])[: len(order)],
        ClassRanking.lost_low: lost[0],
        ClassRanking.lost_high: lost[1],
        ClassRanking.probability: np.diag(places),
        ClassRanking.first: places[:, :1].ravel(),
        ClassRanking.last: places[:, -1:].ravel(),
        ClassRanking.rank_low: each[0],
        ClassRanking.rank_high: each[1],
        ClassRanking.all_low: joint[0],
        ClassRanking.all_high: joint[1],
    }
    return Ranking(
        table.join(pd.DataFrame(columns))[ClassRanking.names()], places, whole, distinguished
    )


def _share_of_one(characters: pd.DataFrame, character: str, confidence: float) -> list[object]:
    own = characters[(characters[Predictions.truth] == character).to_numpy()]
    *interval, note = share_of(own, confidence)
    return [*interval, own[Predictions.captcha].nunique(), note]


def draw_shares(characters: pd.DataFrame, order: list[str], *, draws: int, seed: int) -> Floats:
    """Shares read right (B, R) of the characters in `order`, with glyphs weighted by the Bayesian bootstrap.

    The weights are exponential, by glyph in ascending order, and the same for every set of rows of the same glyphs:
    differences of such draws are paired. NaN where a character is not among the rows.
    """
    labels, cluster = np.unique(resampled_by(characters), return_inverse=True)
    column = pd.Index(order).get_indexer(characters[Predictions.truth].astype(str))
    shown = column >= 0
    cell = (cluster * len(order) + column)[shown]
    size = len(labels) * len(order)
    right, seen = (
        np.bincount(cell, weights[shown], size).reshape(len(labels), len(order))
        for weights in (characters[Predictions.success].to_numpy(float), np.ones(len(shown)))
    )
    rng = stream(seed, "captchas")
    parts = []
    for count in draws_in_parts(draws, DRAWS_IN_MEMORY):
        weights = exponential_weights(len(labels), count, rng=rng)
        with np.errstate(invalid="ignore"):
            parts.append((weights @ right) / (weights @ seen))
    return np.concatenate(parts)


def place_probabilities(drawn: Floats, *, rng: np.random.Generator) -> tuple[Floats, float]:
    """Share of the draws (B, R) in which the column i has rank j, (R, R), and in which all columns descend.

    Ties of a draw are broken at random.
    """
    B, R = drawn.shape
    order = np.lexsort((rng.random((B, R)), -drawn), axis=1)  # (B, R): which has rank j
    found = (
        np.stack([np.bincount(order[:, rank], minlength=R) for rank in range(R)], axis=1)
        if R
        else np.zeros((0, 0))
    )
    return found / B, float((order == np.arange(R)).all(axis=1).mean())


def rank_intervals(
    estimate: Floats, drawn: Floats, confidence: float
) -> tuple[Floats, Floats, float]:
    """Rank intervals (2, R) of each alone and of all at once, and the share of pairs that the latter tell apart.

    estimate (R,); drawn (B, R) bootstrap draws. One step of the max-t of Mogstad et al. (2024), two-sided; columns
    without any error in common (standard error of the difference 0) are not told apart.
    """
    B, R = drawn.shape
    if R < 2:
        return np.ones((2, R)), np.ones((2, R)), 1.0
    centred = drawn - estimate
    largest = np.zeros((B, R))
    t = np.zeros((R, R))  # how far row is above column
    for j in range(R):
        moved = centred[:, [j]] - centred
        error = moved.std(axis=0, ddof=1)
        usable = error > 1e-12
        largest[:, j] = (np.abs(moved[:, usable]) / error[usable]).max(axis=1, initial=0)
        t[j, usable] = (estimate[j] - estimate[usable]) / error[usable]
    alone = np.quantile(largest, confidence, axis=0, method="higher")
    joint = np.full(R, np.quantile(largest.max(axis=1), confidence, method="higher"))
    each, together = (
        np.stack(
            [1 + (t < -critical[:, None]).sum(axis=1), R - (t > critical[:, None]).sum(axis=1)]
        )
        for critical in (alone, joint)
    )
    return (
        each.astype(float),
        together.astype(float),
        float((t > joint[:, None]).sum() / (R * (R - 1) / 2)),
    )


def class_headlines(order: Ranking, thresholds: pd.DataFrame) -> dict[str, float]:
    """The finite ones of: class_best and class_worst (noisy accuracy), class_spread (points between them, as a share),
    class_best_probability, class_worst_probability, class_order_probability, class_pairs_told_apart,
    class_threshold_least and class_threshold_most (level of POOLED noise types together at which the first and the last
    character falls to the target, of those that do), class_thresholds_reached (share of characters and noise types)."""
    ranked = order.table[order.table[ClassRanking.place].notna()]
    pairs: list[tuple[str, float]] = []
    if len(ranked):
        best = ranked.iloc[0]
        worst = ranked.iloc[-1]
        pairs += [
            ("class_best", best[ClassRanking.accuracy]),
            ("class_worst", worst[ClassRanking.accuracy]),
            ("class_spread", best[ClassRanking.accuracy] - worst[ClassRanking.accuracy]),
            ("class_best_probability", best[ClassRanking.first]),
            ("class_worst_probability", worst[ClassRanking.last]),
            ("class_order_probability", order.whole),
            ("class_pairs_told_apart", order.distinguished),
        ]
    pairs += list(_about_thresholds(thresholds))
    return {name: float(value) for name, value in pairs if np.isfinite(value)}


def _about_thresholds(thresholds: pd.DataFrame) -> Iterator[tuple[str, float]]:
    known = thresholds[thresholds[ClassThresholds.level].notna()]
    reached = np.isfinite(known[ClassThresholds.level].to_numpy(float))
    together = known[ClassThresholds.level][
        reached & (known[ClassThresholds.noise] == POOLED).to_numpy()
    ]
    if len(together):
        yield "class_threshold_least", together.min()
        yield "class_threshold_most", together.max()
    by_noise = (known[ClassThresholds.noise] != POOLED).to_numpy()
    if by_noise.any():
        yield "class_thresholds_reached", reached[by_noise].mean()
