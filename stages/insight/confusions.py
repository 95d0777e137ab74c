"""Confusions of characters: matrices by noise type, tests of what noise adds, and shares by level.

Characters are those of stages.insight.character_accuracy. A confusion is a true character read as another one, or as
MISSED where nothing was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from stages.insight.character_accuracy import (
    MIN_CAPTCHAS_FOR_INTERVAL,
    TOO_FEW,
    check_characters,
    noises_of,
    share,
    with_clean,
)
from stages.schemas.explain import ConfusionLevels, ConfusionMatrices, ConfusionTests
from stages.schemas.predict import Predictions
from stages.schemas.words import CLEAN, MISSED, POOLED
from stages.statistics.clustered import ratio_scores, standard_error
from stages.statistics.significance import adjusted

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def confusion_matrices(characters: pd.DataFrame, alphabet: str) -> pd.DataFrame:
    """Cells that are not empty of the matrix of each noise type, of POOLED of them and of the clean renderings (CLEAN).

    Columns ConfusionMatrices; share is of the characters that are `actual`, over all levels of the type above 0.
    Raises ValueError as check_characters does.
    """
    check_characters(characters, alphabet)
    parts = []
    for noise, rows in _by_noise(characters):
        counts = pd.crosstab(
            rows[Predictions.truth].astype(str),
            rows[Predictions.guess].astype(str).replace("", MISSED),
        )
        found = pd.DataFrame(0, list(alphabet), [*alphabet, MISSED])
        found.update(counts)
        named = found.rename_axis(ConfusionMatrices.actual).rename_axis(
            ConfusionMatrices.read_as, axis=1
        )
        cells = named.stack().rename(ConfusionMatrices.count).reset_index()
        count = cells[ConfusionMatrices.count]
        whole = count.groupby(cells[ConfusionMatrices.actual]).transform("sum")
        cells = cells.assign(
            noise=noise, count=count.astype(int), share=count / whole.clip(lower=1)
        )
        parts.append(cells.loc[count > 0, ConfusionMatrices.names()])
    return pd.concat(parts, ignore_index=True)


def _by_noise(characters: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """CLEAN, each noise type and POOLED of them with their rows; CLEAN only where there are some."""
    noisy = characters[Predictions.level].to_numpy() > 0
    names = characters[Predictions.noise].astype(str).to_numpy()
    if not noisy.all():
        yield CLEAN, characters[~noisy]
    for noise in noises_of(characters):
        yield noise, characters[noisy & (names == noise)]
    if noisy.any():
        yield POOLED, characters[noisy]


@dataclass(frozen=True)
class ConfusionCounts:
    """How often each of G captchas shows each of A characters, and what it was read as, A being MISSED."""

    shown: Ints  # (G, A)
    read: Ints  # (m, 3): captcha, actual, read as of every error


def counts_of(characters: pd.DataFrame, alphabet: str, captchas: Ints) -> ConfusionCounts:
    """captchas (G,) ascending labels, of which the characters' are some."""
    A = len(alphabet)
    cluster = np.searchsorted(captchas, characters[Predictions.captcha].to_numpy())
    actual, read = (
        pd.Index(list(alphabet)).get_indexer(characters[name].astype(str))
        for name in ("truth", "guess")
    )
    read = np.where(characters[Predictions.guess].astype(str).to_numpy() == "", A, read)
    shown = np.bincount(cluster * A + actual, minlength=len(captchas) * A).reshape(len(captchas), A)
    wrong = read != actual
    return ConfusionCounts(shown, np.stack([cluster, actual, read], axis=1)[wrong])


def confusion_tests(characters: pd.DataFrame, alphabet: str, *, confidence: float) -> pd.DataFrame:
    """Each confusion that occurred under a noise type (or POOLED), the most frequent first, against its clean share.

    Columns ConfusionTests. The same captchas are clean and noisy, so that the difference of the two shares is paired:
    its error is that of a difference of ratios linearised by captcha (statistics.clustered), its t has G-1 degrees of
    freedom, G being the captchas that show the character. p_holm adjusts (Holm 1979) for all `tests` confusions that
    could have occurred, A² by noise type for the types together and A² for POOLED: one that never occurred counts, with
    p = 1, since which ones occur is known only afterwards. Noise adds some of every error: `times_even` compares a
    confusion with even misreadings of its character (those MISSED left out).
    Intervals of shares are Wilson's with the effective size. A character of too few captchas has no interval and no p,
    but a note; its confusions still count among the tests.
    Raises ValueError as check_characters does, and where no rendering is clean or none is noisy.
    """
    check_characters(characters, alphabet)
    level = characters[Predictions.level].to_numpy()
    if (level > 0).all() or (level == 0).all():
        raise ValueError(
            "confusion_tests: a test against the clean matrix needs clean renderings and noisy ones"
        )
    captchas = np.unique(characters[Predictions.captcha].to_numpy())
    clean = counts_of(characters[level == 0], alphabet, captchas)
    tables = [
        _tested(noise, counts_of(rows, alphabet, captchas), clean, alphabet, confidence)
        for noise, rows in _by_noise(characters)
        if noise != CLEAN
    ]
    table = pd.concat(tables, ignore_index=True)
    for family in (table[ConfusionTests.noise] == POOLED, table[ConfusionTests.noise] != POOLED):
        table.loc[family, ConfusionTests.p_holm] = holm(
            table.loc[family, ConfusionTests.p].to_numpy(float)
        )
        table.loc[family, ConfusionTests.tests] = int(family.sum())
    occurred = table[table[ConfusionTests.count] > 0].astype({ConfusionTests.tests: int})
    occurred[ConfusionTests.times_even] = _times_even(occurred, len(alphabet))
    order = [ConfusionTests.noise, ConfusionTests.share]
    ordered = occurred.sort_values(order, ascending=[True, False], kind="stable")
    return ordered.reset_index(drop=True)[ConfusionTests.names()]


def _times_even(occurred: pd.DataFrame, characters: int) -> pd.Series[float]:
    """How many times as often each confusion occurs as if the misreadings of its character were even."""
    misread = occurred[ConfusionTests.count].where(occurred[ConfusionTests.read_as] != MISSED)
    key = [occurred[ConfusionTests.noise], occurred[ConfusionTests.actual]]
    even = misread.groupby(key).transform("sum") / (characters - 1)
    return misread / even


def holm(p: Floats) -> Floats:
    """Holm's p, where a missing p (NaN) stays missing, but counts among the tests as 1."""
    return np.where(np.isnan(p), np.nan, adjusted(np.where(np.isnan(p), 1.0, p), "holm"))


def _tested(
    noise: str, noisy: ConfusionCounts, clean: ConfusionCounts, alphabet: str, confidence: float
) -> pd.DataFrame:
    """One row for each of the A² confusions of a noise type, p not yet adjusted."""
    A = len(alphabet)
    errors = _pairs(noisy)
    clean_errors = _pairs(clean)
    rows: list[dict[str, object]] = []
    for actual, read in np.ndindex(A, A + 1):
        if read == actual:
            continue
        shown = noisy.shown[:, actual]
        plain = clean.shown[:, actual]
        own = (shown > 0) & (plain > 0)
        wrong, wrong_clean = (
            np.bincount(found.get((actual, read), []), minlength=len(own))[own]
            for found in (errors, clean_errors)
        )
        row = _test(wrong, wrong_clean, shown[own], plain[own], confidence)
        row[ConfusionTests.noise] = noise
        row[ConfusionTests.actual] = alphabet[actual]
        row[ConfusionTests.read_as] = [*alphabet, MISSED][read]
        rows.append(row)
    numbers = dict.fromkeys(ConfusionTests.names()[5:-2], np.float64)
    return pd.DataFrame(rows, columns=ConfusionTests.names()).astype(numbers)


def _pairs(counts: ConfusionCounts) -> dict[tuple[int, int], Ints]:
    """The captchas of each confusion's errors, one entry per error, by actual and read as."""
    order = np.lexsort((counts.read[:, 2], counts.read[:, 1]))
    kinds, starts = np.unique(counts.read[order, 1:], axis=0, return_index=True)
    captchas = np.split(counts.read[order, 0], starts[1:])
    return {(a, b): own for (a, b), own in zip(kinds.tolist(), captchas, strict=False)}


def _test(
    wrong: Ints, wrong_clean: Ints, shown: Ints, shown_clean: Ints, confidence: float
) -> dict[str, object]:
    """The columns of ConfusionTests from `count` on that are known of one confusion; all arrays (G,)."""
    G = len(shown)
    count = int(wrong.sum())
    if not G:
        return {"count": 0, "captchas": 0, "note": "none was shown"}
    ratio = float(count / shown.sum())
    ratio_clean = float(wrong_clean.sum() / shown_clean.sum())
    difference = ratio - ratio_clean
    row: dict[str, object] = {
        "count": count,
        "captchas": G,
        "share": ratio,
        "clean_share": ratio_clean,
        "difference": difference,
        "note": "",
    }
    if G < MIN_CAPTCHAS_FOR_INTERVAL:
        return row | {"note": TOO_FEW.format(what="captchas", count=G)}
    if count:
        row[ConfusionTests.low], row[ConfusionTests.high] = _share_interval(
            wrong, shown, confidence
        )
    error = standard_error(ratio_scores(wrong, shown) - ratio_scores(wrong_clean, shown_clean))
    if error < 1e-12:  # all captchas agree: no error was measured; what never occurs did not change
        return row | ({"note": "all captchas agree"} if difference else {"p": 1.0})
    half = float(stats.t.ppf((1 + confidence) / 2, G - 1)) * error
    t = difference / error
    return row | {
        "difference_low": difference - half,
        "difference_high": difference + half,
        "standard_error": error,
        "t": t,
        "p": float(2 * stats.t.sf(abs(t), G - 1)),
    }


def _share_interval(wrong: Ints, shown: Ints, confidence: float) -> tuple[float, float]:
    success = np.repeat(
        np.tile([True, False], len(shown)), np.stack([wrong, shown - wrong], axis=1).ravel()
    )
    return share(success, np.repeat(np.arange(len(shown)), shown), None, confidence)[1:3]


def frequent(tests: pd.DataFrame, count: int, noise: str = POOLED) -> list[tuple[str, str]]:
    """The `count` most frequent confusions of characters (not MISSED) of a noise type, as (actual, read as)."""
    own = tests[(tests[ConfusionTests.noise] == noise) & (tests[ConfusionTests.read_as] != MISSED)]
    return list(
        own[[ConfusionTests.actual, ConfusionTests.read_as]]
        .head(count)
        .itertuples(index=False, name=None)
    )


def confusions_by_level(
    characters: pd.DataFrame, pairs: Sequence[tuple[str, str]], *, confidence: float
) -> pd.DataFrame:
    """Share of each confusion (actual, read as) at each level, by noise type and for POOLED together (ConfusionLevels).

    `share` is of the characters that are `actual`, `of_errors` of those of them that were misread or missed: a share
    that grows while of_errors does not is more error, not another one. Level 0 is clean, once for every type.
    """
    rows = []
    for actual, read_as in pairs:
        own = characters[(characters[Predictions.truth] == actual).to_numpy()]
        guess = own[Predictions.guess].astype(str).replace("", MISSED)
        own = own.assign(hit=guess == read_as)
        for noise in [*noises_of(characters), POOLED]:
            for level, cell in with_clean(own, noise).groupby(Predictions.level):
                hit = cell["hit"].to_numpy()
                captcha = cell[Predictions.captcha].to_numpy()
                glyph = cell[Predictions.glyph].to_numpy()
                *interval, note = share(hit, captcha, glyph, confidence)
                errors = (~cell[Predictions.success].to_numpy(bool)).sum()
                of_errors = hit.sum() / errors if errors else np.nan
                rows.append([noise, level, actual, read_as, hit.sum(), *interval, of_errors, note])
    return pd.DataFrame(rows, columns=ConfusionLevels.names())


def confusion_headlines(
    tests: pd.DataFrame, matrices: pd.DataFrame, significance: float = 0.05
) -> dict[str, float]:
    """The finite ones of: confusion_top (share of the most frequent confusion under POOLED noise), confusion_top_clean
    (the same when clean), missed_noisy and missed_clean (share of characters for which nothing was read),
    confusions_seen (kinds of error under POOLED noise), confusions_told (kinds whose share exceeds the clean one after
    Holm), confusions_told_by_noise (kinds and noise types), confusions_lost (kinds that become rarer after Holm)."""
    together = tests[tests[ConfusionTests.noise] == POOLED]
    found = tests[tests[ConfusionTests.p_holm] < significance]
    more = found[ConfusionTests.difference] > 0
    own = found[ConfusionTests.noise] == POOLED
    pairs = {
        "confusions_seen": len(together),
        "confusions_told": int((more & own).sum()),
        "confusions_told_by_noise": int((more & ~own).sum()),
        "confusions_lost": int((~more & own).sum()),
    }
    values = {name: float(value) for name, value in pairs.items()}
    read = together[together[ConfusionTests.read_as] != MISSED]
    if len(read):
        values |= {
            "confusion_top": float(read[ConfusionTests.share].iloc[0]),
            "confusion_top_clean": float(read[ConfusionTests.clean_share].iloc[0]),
        }
    for name, noise in (("missed_noisy", POOLED), ("missed_clean", CLEAN)):
        cells = matrices[matrices[ConfusionMatrices.noise] == noise]
        if len(cells):
            count = cells[ConfusionMatrices.count]
            values[name] = float(
                count[cells[ConfusionMatrices.read_as] == MISSED].sum() / count.sum()
            )
    return {name: value for name, value in values.items() if np.isfinite(value)}
