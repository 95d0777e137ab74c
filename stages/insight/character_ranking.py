"""A ranking of the characters by robustness, and how sure each place is.

Characters are those of stages.insight.character_accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.captcha.design import stream
from stages.insight.character_accuracy import (
    Floats,
    cell_counts,
    check_characters,
    resampled_by,
    share_of,
)
from stages.schemas.explain import ClassPlaces, ClassRanking, ClassThresholds
from stages.schemas.predict import Predictions
from stages.schemas.words import POOLED
from stages.statistics.bootstrap import (
    draws_in_parts,
    exponential_weights,
    percentile_interval,
)

DRAWS_IN_MEMORY = 100  # draws whose weights are in memory at a time


@dataclass(frozen=True)
class Ranking:
    """A characters from the most to the least robust (ClassRanking), and how sure each place is.

    Robustness is the share of noisy renderings read right, all conditions counting the same. A character that has no
    interval has no place: it comes last, with NaN.

    Probabilities are posterior ones, of Rubin's (1981) Bayesian bootstrap of the glyphs, under a flat prior: they
    describe how far the data order the characters, and have no coverage. The rank intervals are those of Mogstad,
    Romano, Shaikh & Wilhelm (2024), "Inference for ranks", Review of Economic Studies 91:476: a character's rank counts
    those that differ from it by more than the largest studentised difference does by chance. Percentiles of
    bootstrapped ranks would be shorter, and miss true ranks where characters are nearly tied, as here.
    """

    table: pd.DataFrame
    places: Floats  # (R, R) probability that the character at place i (row) truly has rank j (column), R <= A
    whole: float  # probability that the whole order is right
    distinguished: float  # share of the pairs whose order the joint intervals determine

    def rows(self) -> pd.DataFrame:
        """The place probabilities as tidy rows, ClassPlaces."""
        place, rank = np.indices(self.places.shape)
        names = self.table[ClassRanking.character].to_numpy()[place.ravel()]
        columns = (names, place.ravel() + 1, rank.ravel() + 1, self.places.ravel())
        return pd.DataFrame(dict(zip(ClassPlaces.names(), columns, strict=True)))


def ranking(
    characters: pd.DataFrame, alphabet: str, *, confidence: float, draws: int, seed: int
) -> Ranking:
    """Rank the characters by the share of their noisy renderings that is read right.

    Raises ValueError as check_characters does, and where no rendering is noisy.
    """
    check_characters(characters, alphabet)
    level = characters[Predictions.level].to_numpy()
    noisy = characters[level > 0]
    clean = characters[level == 0]
    if noisy.empty:
        raise ValueError("ranking: every rendering is clean: robustness needs noisy ones")
    table = _shares_by_character(noisy, clean, alphabet, confidence)
    ranked = table[table[ClassRanking.note] == ""]
    order = list(ranked[ClassRanking.character])
    noisy_draws, clean_draws = (
        draw_shares(rows, order, draws=draws, seed=seed) for rows in (noisy, clean)
    )
    places, whole = place_probabilities(noisy_draws, rng=stream(seed, "ties"))
    accuracy = ranked[ClassRanking.accuracy].to_numpy(float)
    each, joint, distinguished = rank_intervals(accuracy, noisy_draws, confidence)
    lost = np.full((2, len(order)), np.nan)
    if len(clean) and order:
        lost = percentile_interval(clean_draws - noisy_draws, confidence)
    columns = {
        ClassRanking.place: np.arange(1.0, len(order) + 1),
        ClassRanking.lost: ranked[ClassRanking.clean] - accuracy,
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
    whole_table = table.join(pd.DataFrame(columns))[ClassRanking.names()]
    return Ranking(whole_table, places, whole, distinguished)


def _shares_by_character(
    noisy: pd.DataFrame, clean: pd.DataFrame, alphabet: str, confidence: float
) -> pd.DataFrame:
    """The columns of ClassRanking that need no resampling, the best character first, those without a place last."""
    rows = []
    for character in alphabet:
        shown, plain = (
            part[(part[Predictions.truth] == character).to_numpy()] for part in (noisy, clean)
        )
        *interval, note = share_of(shown, confidence)
        captchas = shown[Predictions.captcha].nunique()
        rows.append([character, *interval, captchas, note, *share_of(plain, confidence)[:3]])
    table = pd.DataFrame(rows, columns=ClassRanking.names()[1:10])
    table = table.sort_values(ClassRanking.accuracy, ascending=False, kind="stable")
    placed = table[ClassRanking.note] == ""
    return pd.concat([table[placed], table[~placed]], ignore_index=True)


def draw_shares(characters: pd.DataFrame, order: list[str], *, draws: int, seed: int) -> Floats:
    """Shares read right (B, R) of the characters in `order`, with glyphs weighted by the Bayesian bootstrap.

    The weights are exponential, by glyph in ascending order, and the same for every set of rows of the same glyphs:
    differences of such draws are paired. NaN where a character is not among the rows.
    """
    cluster = pd.factorize(resampled_by(characters), sort=True)[0]
    column = pd.Index(order).get_indexer(characters[Predictions.truth].astype(str))
    success = characters[Predictions.success].to_numpy(float)
    right, seen = cell_counts(success, cluster, column, len(order))
    rng = stream(seed, "captchas")
    parts = []
    for count in draws_in_parts(draws, DRAWS_IN_MEMORY):
        weights = exponential_weights(len(right), count, rng=rng)
        with np.errstate(invalid="ignore"):
            parts.append((weights @ right) / (weights @ seen))
    return np.concatenate(parts)


def place_probabilities(drawn: Floats, *, rng: np.random.Generator) -> tuple[Floats, float]:
    """Share of the draws (B, R) in which column i has rank j, (R, R), and in which all columns descend.

    Ties of a draw are broken at random.
    """
    B, R = drawn.shape
    order = np.lexsort((rng.random((B, R)), -drawn), axis=1)  # (B, R): which has rank j
    found = np.zeros((R, R))
    for rank in range(R):
        found[:, rank] = np.bincount(order[:, rank], minlength=R)
    return found / B, float((order == np.arange(R)).all(axis=1).mean())


def rank_intervals(
    estimate: Floats, drawn: Floats, confidence: float
) -> tuple[Floats, Floats, float]:
    """Rank intervals (2, R) of each alone and of all at once, and the share of pairs that the latter order.

    estimate (R,); drawn (B, R) bootstrap draws. One step of the max-t of Mogstad et al. (2024), two-sided; columns
    without any error in common (standard error of the difference 0) are not ordered.
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
    joint = np.quantile(largest.max(axis=1), confidence, method="higher")
    distinguished = float((t > joint).sum() / (R * (R - 1) / 2))
    return _ranks(t, alone), _ranks(t, np.full(R, joint)), distinguished


def _ranks(t: Floats, critical: Floats) -> Floats:
    """The lowest and the highest rank (2, R) of each row of t (R, R) by its critical value (R,)."""
    above = (t < -critical[:, None]).sum(axis=1)
    below = (t > critical[:, None]).sum(axis=1)
    return np.stack([1.0 + above, len(t) - below])


def class_headlines(order: Ranking, thresholds: pd.DataFrame) -> dict[str, float]:
    """The finite ones of: class_best and class_worst (noisy accuracy), class_spread (points between them, as a share),
    class_best_probability, class_worst_probability, class_order_probability, class_pairs_told_apart,
    class_threshold_least and class_threshold_most (level of POOLED noise types together at which the first and the last
    character falls to the target, of those that do), class_thresholds_reached (share of characters and noise types)."""
    ranked = order.table[order.table[ClassRanking.place].notna()]
    values: dict[str, float] = {}
    if len(ranked):
        best = ranked.iloc[0]
        worst = ranked.iloc[-1]
        values = {
            "class_best": best[ClassRanking.accuracy],
            "class_worst": worst[ClassRanking.accuracy],
            "class_spread": best[ClassRanking.accuracy] - worst[ClassRanking.accuracy],
            "class_best_probability": best[ClassRanking.first],
            "class_worst_probability": worst[ClassRanking.last],
            "class_order_probability": order.whole,
            "class_pairs_told_apart": order.distinguished,
        }
    known = thresholds[thresholds[ClassThresholds.level].notna()]
    pooled = known[ClassThresholds.noise] == POOLED
    reached = known[ClassThresholds.level] < np.inf
    together = known[ClassThresholds.level][reached & pooled]
    values["class_threshold_least"] = together.min()
    values["class_threshold_most"] = together.max()
    values["class_thresholds_reached"] = reached[~pooled].mean()
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}
