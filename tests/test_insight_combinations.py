"""Combinations: the regression against statsmodels, planted neighbours, and the ends of the pairs and the texts."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from operations import steps
from test_insight_character_accuracy import UKRAINIAN, four_times, read_characters

from stages.insight.combinations import (
    FEWEST,
    ONE_DRAWING,
    best_and_worst,
    combination_headlines,
    combination_tests,
    shown_combinations,
    surroundings_of,
)
from stages.schemas.explain import CombinationEffects, Combinations, CombinationTests
from stages.statistics.proportions import clustered_proportion


@pytest.fixture(scope="module")
def abcd() -> pd.DataFrame:
    return read_characters("abcd", 220, 4, seed=1, midpoints={"a": 0.8})


def labels(rows: pd.DataFrame, alphabet: str) -> pd.DataFrame:
    factors = surroundings_of(rows, alphabet)
    return pd.DataFrame(
        {name: np.array(factor.categories)[factor.codes] for name, factor in factors.items()}
    )


def test_characters_know_what_stands_around_them() -> None:
    rows = read_characters("abc", 0, 4, texts=["abba", "cabc", "aaa", "b"])
    found = labels(rows, "abc").assign(text=rows["text"], clean=rows["level"] == 0)
    by_text = {text: part[part["clean"]] for text, part in found.groupby("text")}
    assert by_text["abba"]["repeated"].tolist() == ["apart", "adjacent", "adjacent", "apart"]
    assert by_text["cabc"]["repeated"].tolist() == ["apart", "once", "once", "apart"]
    assert set(by_text["aaa"]["repeated"]) == {"adjacent"}
    assert by_text["cabc"]["left"].tolist() == [
        "a",
        "c",
        "a",
        "b",
    ]  # no neighbour counts as the reference
    assert by_text["cabc"]["right"].tolist() == ["a", "b", "c", "a"]
    assert by_text["cabc"]["place"].tolist() == ["1", "2", "3", "4, the last"]
    assert by_text["b"][["digit", "place"]].to_numpy().tolist() == [["b", "1, the last"]]


def test_effects_are_those_of_statsmodels(abcd: pd.DataFrame) -> None:
    tests, effects = combination_tests(abcd, "abcd", confidence=0.95)
    assert list(tests.columns) == CombinationTests.names()
    assert list(effects.columns) == CombinationEffects.names()
    frame = labels(abcd, "abcd").assign(success=abcd["success"].to_numpy(float))
    frame["repeated"] = pd.Categorical(frame["repeated"], ["once", "apart", "adjacent"])
    theirs = smf.ols("success ~ place + digit + left + right + repeated", frame).fit()
    for row in effects.to_dict("records"):
        assert row["effect"] == pytest.approx(
            theirs.params[f"{row['term']}[T.{row['category']}]"], rel=1e-6
        )
        assert row["low"] < row["effect"] < row["high"]
    assert set(zip(effects["term"], effects["reference"], strict=True)) == {
        ("left", "a"),
        ("right", "a"),
        ("repeated", "once"),
    }


def test_an_easy_character_makes_no_neighbour_that_matters(abcd: pd.DataFrame) -> None:
    tests, _ = combination_tests(abcd, "abcd", confidence=0.95)
    assert tests["df1"].tolist() == [3, 3, 2]
    assert (tests["df2"] == 219).all()
    assert (tests["p_holm"] > 0.05).all()


def test_a_neighbour_that_hurts_is_found_on_its_side_and_not_on_the_other(
    abcd: pd.DataFrame,
) -> None:
    rng = np.random.default_rng(2)
    left = [
        text[at - 1] if at else "" for text, at in zip(abcd["text"], abcd["position"], strict=True)
    ]
    hurt = (np.array(left) == "c") & (rng.random(len(abcd)) < 0.3)
    rows = abcd.assign(success=abcd["success"] & ~hurt)
    tests, effects = combination_tests(rows, "abcd", confidence=0.95)
    p = tests.set_index("term")["p_holm"]
    assert p["left"] < 1e-6
    assert p["right"] > 0.01
    own = effects[effects["term"] == "left"].set_index("category")
    assert own.loc["c", "high"] < -0.05
    assert own.loc["b", "low"] < 0 < own.loc["b", "high"]


def test_errors_are_clustered_by_glyph_too_where_glyphs_are_known(abcd: pd.DataFrame) -> None:
    by_captcha, two_ways = (
        combination_tests(rows, "abcd", confidence=0.95)[1]
        for rows in (
            abcd,
            abcd.assign(
                glyph=[
                    ord(one) % 4 * 7 + captcha % 7
                    for one, captcha in zip(abcd["truth"], abcd["captcha"], strict=True)
                ]
            ),
        )
    )
    assert np.array_equal(by_captcha["effect"], two_ways["effect"])
    assert not np.allclose(by_captcha["high"], two_ways["high"])


@pytest.mark.parametrize("alphabet", ["01", UKRAINIAN])
def test_texts_of_one_character_have_no_neighbours(alphabet: str) -> None:
    rows = read_characters(alphabet, 0, 1, texts=list(alphabet) * 12)
    tests, effects = combination_tests(rows, alphabet, confidence=0.95)
    assert tests["p"].isna().all()
    assert tests["note"].str.contains("has one value in this run").all()
    assert effects.empty
    ends = best_and_worst(rows, alphabet, confidence=0.95)
    assert set(ends["kind"]) == {"text"}
    assert ends["note"].eq("").all()


def test_what_cannot_be_told_has_a_note() -> None:
    rows = read_characters("ab", 0, 2, texts=["ab", "bb", "ba"])
    tests, _ = combination_tests(rows, "ab", confidence=0.95)
    assert tests["note"].ne("").all()
    perfect = read_characters("ab", 20, 3).assign(success=True)
    tests, _ = combination_tests(perfect, "ab", confidence=0.95)
    assert tests["p"].isna().all()
    assert tests["note"].ne("").all()


def test_ends_are_the_extremes_of_all_by_brute_force(abcd: pd.DataFrame) -> None:
    table = best_and_worst(abcd, "abcd", confidence=0.95, count=5)
    assert list(table.columns) == Combinations.names()
    texts = abcd[abcd["position"] == 0].assign(whole=lambda rows: rows["text"] == rows["reading"])
    share = texts.groupby("text")["whole"].mean().sort_values(ascending=False)
    own = table[table["kind"] == "text"]
    assert own["accuracy"].tolist() == pytest.approx([*share.head(5), *share.tail(5)])
    assert own["place"].tolist() == [1, 2, 3, 4, 5, *range(len(share) - 4, len(share) + 1)]
    assert own["of"].eq(len(share)).all()
    for row in own.to_dict("records"):
        assert row["accuracy"] == share[row["combination"]]
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert row["captchas"] == abcd.loc[abcd["text"] == row["combination"], "captcha"].nunique()


def test_pairs_are_both_read_right_with_intervals_by_captcha(abcd: pd.DataFrame) -> None:
    pairs = shown_combinations(abcd)["pair"]
    rows = abcd.assign(
        after=abcd.groupby(["captcha", "condition"])["truth"].shift(-1),
        next_success=abcd.groupby(["captcha", "condition"])["success"].shift(-1),
    )
    rows = rows[rows["after"].notna()]
    both = rows["success"] & (rows["next_success"] == True)  # noqa: E712
    table = best_and_worst(abcd, "abcd", confidence=0.9, count=3)
    for row in table[table["kind"] == "pair"].to_dict("records"):
        own = (rows["truth"] + rows["after"]) == row["combination"]
        assert row["accuracy"] == pytest.approx(both[own].mean())
        assert row["renderings"] == own.sum() == (pairs.combination == row["combination"]).sum()
        expected = clustered_proportion(
            both[own].to_numpy(), rows.loc[own, "captcha"].to_numpy(), confidence=0.9
        )
        assert (row["low"], row["high"]) == pytest.approx(expected[1:])
        assert row["captchas"] >= FEWEST


def test_characters_alone_lead_to_the_product_of_their_shares(abcd: pd.DataFrame) -> None:
    typical = abcd.groupby(["truth", "condition"])["success"].mean()
    shown = shown_combinations(abcd)["text"]
    keys = abcd[abcd["position"] == 0].sort_values(["captcha", "condition"])
    for i in (0, 17, len(shown.captcha) - 1):
        row = keys.iloc[i]
        expected = np.prod([typical[one, row["condition"]] for one in row["text"]])
        assert shown.expected[i] == pytest.approx(expected)


def test_a_text_drawn_once_says_so_and_has_an_interval_over_its_renderings() -> None:
    rows = read_characters("abcdefgh", 30, 4)
    own = best_and_worst(rows, "abcdefgh", confidence=0.95)
    own = own[(own["kind"] == "text") & (own["captchas"] == 1)]
    assert len(own)
    assert own["note"].eq(ONE_DRAWING).all()
    assert own[["low", "high"]].notna().all(axis=None)


def test_33_letters_work() -> None:
    rows = read_characters(UKRAINIAN, 200, 4, noises=("fog",))
    tests, _ = combination_tests(rows, UKRAINIAN, confidence=0.95)
    assert tests["p"].notna().all()
    assert best_and_worst(rows, UKRAINIAN, confidence=0.95)["kind"].value_counts()["text"] == 24


def test_steps_grow_slower_than_captchas() -> None:
    rows = read_characters("abcd", 40, 4)
    few, many = (
        steps(partial(best_and_worst, one, "abcd", confidence=0.95))
        for one in (rows, four_times(rows))
    )
    assert many < 5 * few


def test_the_headlines_are_finite(abcd: pd.DataFrame) -> None:
    tests, effects = combination_tests(abcd, "abcd", confidence=0.95)
    ends = best_and_worst(abcd, "abcd", confidence=0.95)
    found = combination_headlines(tests, effects, ends)
    assert set(found) == {
        "neighbours_left_p",
        "neighbours_right_p",
        "neighbours_repeated_p",
        "repeat_apart",
        "repeat_adjacent",
        "pair_best",
        "pair_worst",
        "text_best",
        "text_worst",
    }
    assert found["pair_best"] >= found["pair_worst"]
    nothing = combination_tests(
        read_characters("ab", 0, 1, texts=["a", "b"]), "ab", confidence=0.95
    )
    assert combination_headlines(*nothing, ends).keys() == {
        "pair_best",
        "pair_worst",
        "text_best",
        "text_worst",
    }
