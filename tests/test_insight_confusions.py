"""Confusions: their matrices, their tests against the clean one, and how they move with the level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from conftest import Runs
from operations import steps
from scipy import stats
from sklearn.metrics import confusion_matrix
from statsmodels.stats.multitest import multipletests
from test_insight_character_accuracy import LEVELS, UKRAINIAN, four_times, read_characters

from stages.insight.character_accuracy import MIN_CAPTCHAS_FOR_INTERVAL
from stages.insight.confusions import (
    confusion_headlines,
    confusion_matrices,
    confusion_tests,
    confusions_by_level,
    frequent,
)
from stages.schemas.explain import ConfusionLevels, ConfusionMatrices, ConfusionTests
from stages.schemas.words import CLEAN, MISSED, POOLED


@pytest.fixture(scope="module")
def abcd() -> pd.DataFrame:
    return read_characters("abcd", 150, 3, seed=2)


def one_each(clean: list[str], noisy: list[str], alphabet: str = "ab") -> pd.DataFrame:
    """Captchas of one character, an "a", read clean and under one noise at one level."""
    parts = [
        pd.DataFrame(
            {
                "captcha": np.arange(len(guesses)),
                "condition": int(level > 0),
                "position": 0,
                "text": "a",
                "reading": guesses,
                "truth": "a",
                "guess": guesses,
                "success": np.array(guesses) == "a",
                "noise": "fog" if level else "none",
                "level": level,
            }
        )
        for guesses, level in ((clean, 0.0), (noisy, 0.5))
    ]
    return pd.concat(parts, ignore_index=True)


def test_matrices_are_scikit_learns(abcd: pd.DataFrame) -> None:
    table = confusion_matrices(abcd, "abcd")
    assert list(table.columns) == ConfusionMatrices.names()
    assert list(dict.fromkeys(table["noise"])) == [CLEAN, "fog", "lines", POOLED]
    for noise, cells in table.groupby("noise"):
        rows = abcd[abcd["level"] == 0] if noise == CLEAN else abcd[abcd["level"] > 0]
        rows = rows if noise in (CLEAN, POOLED) else rows[rows["noise"] == noise]
        theirs = confusion_matrix(
            rows["truth"], rows["guess"].replace("", MISSED), labels=[*"abcd", MISSED]
        )[:4]
        ours = cells.pivot_table(index="actual", columns="read_as", values="count", fill_value=0)
        ours = ours.reindex(index=list("abcd"), columns=[*"abcd", MISSED], fill_value=0)
        assert ours.to_numpy().tolist() == theirs.tolist()
        assert cells.groupby("actual")["share"].sum().tolist() == pytest.approx([1] * 4)


def test_a_test_of_one_character_a_captcha_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(3)
    clean, noisy = (
        [str(one) for one in rng.choice(["a", "b", ""], 60, p=p)]
        for p in ((0.9, 0.1, 0), (0.5, 0.3, 0.2))
    )
    table = confusion_tests(one_each(clean, noisy), "ab", confidence=0.9)
    assert list(table.columns) == ConfusionTests.names()
    row = table[(table["noise"] == POOLED) & (table["read_as"] == "b")].iloc[0]
    first, second = ((np.array(guesses) == "b").astype(float) for guesses in (noisy, clean))
    theirs = stats.ttest_rel(first, second)
    assert (row["t"], row["p"]) == pytest.approx((theirs.statistic, theirs.pvalue))
    interval = theirs.confidence_interval(0.9)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(
        (interval.low, interval.high)
    )
    assert (row["share"], row["clean_share"], row["count"]) == (
        first.mean(),
        second.mean(),
        first.sum(),
    )
    assert row["low"] < row["share"] < row["high"]


def test_the_error_of_a_difference_is_that_of_resampled_captchas(abcd: pd.DataFrame) -> None:
    row = confusion_tests(abcd, "abcd", confidence=0.95).query(
        "noise == 'fog' and actual == 'b' and read_as == 'd'"
    )
    own = abcd[(abcd["truth"] == "b") & ((abcd["level"] == 0) | (abcd["noise"] == "fog"))]
    hit = (own["guess"] == "d").to_numpy(float)
    clean = (own["level"] == 0).to_numpy()
    codes = pd.factorize(own["captcha"])[0]
    G = codes.max() + 1
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(1500):
        weight = np.bincount(rng.integers(G, size=G), minlength=G)[codes]
        drawn.append(
            np.average(hit[~clean], weights=weight[~clean])
            - np.average(hit[clean], weights=weight[clean])
        )
    assert float(row["standard_error"].iloc[0]) == pytest.approx(np.std(drawn), rel=0.1)


def test_holm_counts_every_confusion_that_could_have_occurred(abcd: pd.DataFrame) -> None:
    table = confusion_tests(abcd, "abcd", confidence=0.95)
    assert set(table.loc[table["noise"] == POOLED, "tests"]) == {16}
    assert set(table.loc[table["noise"] != POOLED, "tests"]) == {32}
    types = table[table["noise"] != POOLED]
    p = np.concatenate([types["p"], np.ones(32 - len(types))])
    assert types["p_holm"].tolist() == pytest.approx(
        multipletests(p, method="holm")[1][: len(types)].tolist()
    )


@pytest.mark.simulation
def test_under_no_noise_effect_holm_rarely_finds_anything(runs: Runs) -> None:
    rng = np.random.default_rng(6)
    count = runs(200)
    found = uncorrected = 0
    for _ in range(count):
        clean, noisy = (
            [str(one) for one in rng.choice(["a", "b", "c", ""], 80, p=[0.6, 0.2, 0.1, 0.1])]
            for _ in range(2)
        )
        table = confusion_tests(one_each(clean, noisy), "abc", confidence=0.95)
        found += int((table["p_holm"] < 0.05).any())
        uncorrected += int((table["p"] < 0.05).any())
    assert found <= stats.binom.ppf(0.99, count, 0.05)  # Holm promises at most 5 %
    assert found < uncorrected


def test_times_even_is_one_where_misreadings_are_even_and_nothing_for_the_missed() -> None:
    noisy = ["b", "b", "c", "c", "", ""] * 10
    told = confusion_tests(one_each(["a"] * 60, noisy), "abc", confidence=0.95).query(
        "noise == 'all'"
    )
    assert told.set_index("read_as")["times_even"].reindex(["b", "c"]).tolist() == [1, 1]
    assert told.set_index("read_as").loc[MISSED, ["times_even"]].isna().all()
    assert told.loc[told["read_as"] == MISSED, "share"].item() == pytest.approx(1 / 3)


def test_with_few_captchas_there_is_no_interval_and_no_test_but_a_note() -> None:
    few = one_each(["a"] * (MIN_CAPTCHAS_FOR_INTERVAL - 1), ["b"] * (MIN_CAPTCHAS_FOR_INTERVAL - 1))
    row = confusion_tests(few, "ab", confidence=0.95).iloc[0]
    assert row["share"] == 1
    assert np.isnan([row[name] for name in ("low", "high", "difference_low", "p", "p_holm")]).all()
    assert row["note"] == "too few captchas (9) for an interval"


def test_where_all_captchas_agree_there_is_no_test_either() -> None:
    row = confusion_tests(one_each(["a"] * 30, ["b"] * 30), "ab", confidence=0.95).iloc[0]
    assert np.isnan(row["p"])
    assert row["note"] == "all captchas agree"


def test_shares_by_level_are_those_of_the_cells(abcd: pd.DataFrame) -> None:
    pairs = [("a", "c"), ("b", MISSED)]
    table = confusions_by_level(abcd, pairs, confidence=0.95)
    assert list(table.columns) == ConfusionLevels.names()
    assert len(table) == 2 * 3 * (1 + len(LEVELS))
    for row in table.itertuples():
        own = abcd[(abcd["truth"] == row.actual) & (abcd["level"] == row.level)]
        own = own if row.level == 0 or row.noise == POOLED else own[own["noise"] == row.noise]
        hits = (own["guess"].replace("", MISSED) == row.read_as).sum()
        wrong = int((~own["success"]).sum())
        assert (row.count, row.share) == (hits, hits / len(own))
        assert (
            row.of_errors == pytest.approx(hits / wrong, nan_ok=True)
            if wrong
            else np.isnan(row.of_errors)
        )


def test_the_most_frequent_are_characters_and_in_their_order(abcd: pd.DataFrame) -> None:
    table = confusion_tests(abcd, "abcd", confidence=0.95)
    chosen = frequent(table, 3)
    own = table[(table["noise"] == POOLED) & (table["read_as"] != MISSED)]
    assert chosen == [(row.actual, row.read_as) for row in own.nlargest(3, "share").itertuples()]
    assert len(frequent(table, 1000)) == len(own)


def test_two_characters_and_a_missed_column_work() -> None:
    rows = read_characters("ab", 40, 1)
    table = confusion_tests(rows, "ab", confidence=0.95)
    assert set(table["read_as"]) == {"a", "b", MISSED}
    assert set(table["times_even"].dropna()) == {1.0}


def test_33_letters_work() -> None:
    rows = read_characters(UKRAINIAN, 150, 4)
    table = confusion_tests(rows, UKRAINIAN, confidence=0.95)
    assert len(confusion_matrices(rows, UKRAINIAN)) > 33
    assert set(table.loc[table["noise"] == POOLED, "tests"]) == {33 * 33}


@pytest.mark.parametrize(
    "table",
    [
        lambda rows: confusion_tests(rows, "abcd", confidence=0.95),
        lambda rows: confusion_matrices(rows, "abcd"),
    ],
    ids=["tests", "matrices"],
)
def test_steps_grow_slower_than_captchas(table: Callable[[pd.DataFrame], object]) -> None:
    rows = read_characters("abcd", 40, 4)
    assert steps(lambda: table(four_times(rows))) < 3 * steps(lambda: table(rows))


def test_the_headlines_count(abcd: pd.DataFrame) -> None:
    tests = confusion_tests(abcd, "abcd", confidence=0.95)
    told = confusion_headlines(tests, confusion_matrices(abcd, "abcd"))
    assert told["missed_noisy"] == pytest.approx(
        (abcd.loc[abcd["level"] > 0, "guess"] == "").mean()
    )
    assert (
        told["confusion_top"]
        == tests[(tests["noise"] == POOLED) & (tests["read_as"] != MISSED)]["share"].max()
    )
    assert told["confusions_told"] <= told["confusions_seen"] <= 16
    assert np.isfinite(list(told.values())).all()


@pytest.mark.parametrize("clean", [True, False])
def test_a_test_without_its_other_side_is_refused(abcd: pd.DataFrame, clean: bool) -> None:
    rows = abcd[(abcd["level"] == 0) == clean]
    with pytest.raises(ValueError, match="needs clean renderings and noisy ones"):
        confusion_tests(rows, "abcd", confidence=0.95)
    assert set(confusion_matrices(rows, "abcd")["noise"]) == (
        {CLEAN} if clean else {"fog", "lines", POOLED}
    )
