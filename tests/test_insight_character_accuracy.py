"""The robustness of each character: its curve, its threshold, and a ranking that knows what it does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from operations import steps
from scipy.special import expit

from stages.insight.character_accuracy import (
    MIN_CAPTCHAS_FOR_INTERVAL,
    character_accuracy_by_level,
    noises_of,
    thresholds_by_character,
)
from stages.insight.character_ranking import (
    class_headlines,
    draw_shares,
    place_probabilities,
    rank_intervals,
    ranking,
)
from stages.schemas.explain import ClassLevels, ClassThresholds
from stages.schemas.words import POOLED

UKRAINIAN = "АБВГҐДЕЄЖЗИІЇЙКЛМНОПРСТУФХЦЧШЩЬЮЯ"
LEVELS = (0.25, 0.5, 0.75, 1.0)


def read_characters(
    alphabet: str,
    captchas: int,
    length: int,
    *,
    seed: int = 0,
    texts: Sequence[str] | None = None,
    noises: Sequence[str] = ("fog", "lines"),
    midpoints: Mapping[str, float] | None = None,
    missed: float = 0.2,
    luck: float = 0.5,
) -> pd.DataFrame:
    """The prediction table of a reader whose accuracy falls with level to guessing, with luck that captchas share.

    `midpoints` of characters are levels at which half is lost (0.5 where not told); lines are harder than fog by 0.1.
    """
    rng = np.random.default_rng(seed)
    texts = texts or ["".join(rng.choice(list(alphabet), length)) for _ in range(captchas)]
    rows = []
    for captcha, text in enumerate(texts):
        shared = rng.normal(0, luck)
        grid = [("none", 0.0), *((noise, level) for noise in noises for level in LEVELS)]
        for condition, (noise, level) in enumerate(grid):
            middle = [(midpoints or {}).get(one, 0.5) - 0.1 * (noise == "lines") for one in text]
            right = rng.random(len(text)) < expit(12 * (np.array(middle) - level) + shared)
            blind = rng.choice(list(alphabet), len(text))
            guesses = [
                one if good else "" if rng.random() < missed else str(other)
                for one, good, other in zip(text, right, blind, strict=True)
            ]
            rows += [
                {
                    "captcha": captcha * 3 + 7,
                    "condition": condition,
                    "position": position,
                    "text": text,
                    "reading": "".join(guesses),
                    "truth": one,
                    "guess": guess,
                    "success": one == guess,
                    "noise": noise,
                    "level": level,
                    "glyph": -1,
                }
                for position, (one, guess) in enumerate(zip(text, guesses, strict=True))
            ]
    return pd.DataFrame(rows).astype({"noise": "category", "position": "int8"})


def four_times(rows: pd.DataFrame) -> pd.DataFrame:
    """The same characters in four times as many captchas."""
    return pd.concat(
        [rows.assign(captcha=rows["captcha"] + 100_000 * i) for i in range(4)], ignore_index=True
    )


@pytest.fixture(scope="module")
def abc() -> pd.DataFrame:
    return read_characters("abc", 120, 3, midpoints={"a": 0.7, "b": 0.5, "c": 0.45})


def test_accuracy_by_level_is_the_mean_of_each_cell(abc: pd.DataFrame) -> None:
    table = character_accuracy_by_level(abc, "abc", confidence=0.95)
    assert list(table.columns) == ClassLevels.names()
    assert list(dict.fromkeys(table["noise"])) == ["fog", "lines", POOLED]
    for row in table.itertuples():
        own = abc[(abc["truth"] == row.character) & (abc["level"] == row.level)]
        if row.level and row.noise != POOLED:
            own = own[own["noise"] == row.noise]
        assert (row.accuracy, row.characters, row.captchas) == (
            own["success"].mean(),
            len(own),
            own["captcha"].nunique(),
        )
        assert row.low <= row.accuracy <= row.high
    assert len(table) == 3 * 3 * 5


def test_a_character_of_few_captchas_has_no_interval_but_a_note() -> None:
    rows = read_characters("ab", 0, 2, texts=["aa"] * 30 + ["ab"] * (MIN_CAPTCHAS_FOR_INTERVAL - 1))
    table = character_accuracy_by_level(rows, "abz", confidence=0.95)
    few = table[table["character"] == "b"]
    assert few["accuracy"].notna().all()
    assert few[["low", "high"]].isna().all(axis=None)
    assert set(few["note"]) == {"too few captchas (9) for an interval"}
    assert not (table["character"] == "z").any()  # never shown
    told = thresholds_by_character(rows, "abz", confidence=0.95, draws=50, seed=1).set_index(
        ["noise", "character"]
    )
    assert told.loc[("fog", "b"), "note"] == "too few captchas (9) for an interval"
    assert told.loc[("fog", "z"), "note"] == "none was shown"
    assert told.loc[("fog", ["b", "z"]), ["level", "low", "high"]].isna().all(axis=None)
    order = ranking(rows, "abz", confidence=0.95, draws=50, seed=1)
    assert order.table["character"].tolist() == ["a", "b", "z"]
    assert order.table["place"].isna().tolist() == [False, True, True]


def with_glyphs(rows: pd.DataFrame, each: int) -> pd.DataFrame:
    """The same rows where every character has `each` glyphs; those of an odd number are read right, the others not."""
    number = (rows["captcha"] // 3 % each).to_numpy()
    code = rows["truth"].map({"a": 0, "b": 1, "c": 2}).to_numpy()
    right = np.where(rows["level"] > 0, (number % 2 == 1) & (rows["level"] < 0.6), True)
    return rows.assign(
        glyph=100 * code + number, success=right, guess=np.where(right, rows["truth"], "")
    )


def test_glyphs_that_come_back_widen_every_interval_of_a_character(abc: pd.DataFrame) -> None:
    rows = with_glyphs(abc, 6)
    tables: list[Callable[[pd.DataFrame], pd.DataFrame]] = [
        lambda own: character_accuracy_by_level(own, "abc", confidence=0.95),
        lambda own: ranking(own, "abc", confidence=0.95, draws=300, seed=1).table,
    ]
    for table in tables:
        alone, both = (table(own) for own in (rows.assign(glyph=-1), rows))
        wide, narrow = (one["high"] - one["low"] for one in (both, alone))
        assert (
            wide[both["accuracy"].between(0.3, 0.7)]
            > 1.5 * narrow[both["accuracy"].between(0.3, 0.7)]
        ).all()
    alone, both = (
        draw_shares(own[own["level"] > 0], ["a", "b", "c"], draws=1000, seed=1).std(axis=0)
        for own in (rows.assign(glyph=-1), rows)
    )
    assert (both > 1.5 * alone).all()


def test_thresholds_resample_glyphs(abc: pd.DataFrame) -> None:
    """Of four glyphs two are lost from the first level on; captchas would make sure that it is half."""
    rows = with_glyphs(abc, 4)
    alone, both = (
        thresholds_by_character(own, "abc", confidence=0.95, draws=200, seed=1, target=0.3)
        for own in (rows.assign(glyph=-1), rows)
    )
    wide, narrow = (one["high"] - one["low"] for one in (both, alone))
    assert (wide > 1.5 * narrow).all()


def test_a_character_of_a_single_glyph_has_no_interval_but_a_note(abc: pd.DataFrame) -> None:
    rows = with_glyphs(abc, 6).assign(
        glyph=lambda own: np.where(own["truth"] == "c", 7, own["glyph"])
    )
    told = thresholds_by_character(rows, "abc", confidence=0.95, draws=50, seed=1).set_index(
        ["noise", "character"]
    )
    assert told.loc[("fog", "c"), "note"] == "too few glyphs (1) for an interval"
    order = ranking(rows, "abc", confidence=0.95, draws=50, seed=1)
    assert order.table["place"].isna().tolist() == [False, False, True]


def test_the_threshold_is_where_the_curve_was_drawn(abc: pd.DataFrame) -> None:
    table = thresholds_by_character(abc, "abc", confidence=0.95, draws=300, seed=3).set_index(
        ["noise", "character"]
    )
    assert list(table.reset_index().columns) == ClassThresholds.names()
    blind = 0.8 / 3
    later = (
        np.log((1 - 0.5) / (0.5 - blind)) / 12
    )  # than the midpoint: half of the fall is not yet 50 %
    for character, middle in (("a", 0.7 + later), ("b", 0.5 + later), ("c", 0.45 + later)):
        row = table.loc[("fog", character)]
        assert row["level"] == pytest.approx(middle, abs=0.06)  # the tested levels are 0.25 apart
        assert row["low"] <= row["level"] <= row["high"]
        assert table.loc[("lines", character), "level"] < row["level"]


def test_a_character_that_never_falls_is_not_reached() -> None:
    rows = read_characters("ab", 40, 2, midpoints={"a": 3.0})
    table = thresholds_by_character(rows, "ab", confidence=0.95, draws=50, seed=1, target=0.7)
    never = table[(table["character"] == "a") & (table["noise"] == "fog")].iloc[0]
    assert never["level"] == never["high"] == np.inf
    assert never["note"] == "not reached"
    assert np.isfinite(table.loc[table["character"] == "b", "level"]).all()


def test_without_clean_renderings_there_is_no_threshold_but_a_ranking(abc: pd.DataFrame) -> None:
    noisy = abc[abc["level"] > 0]
    table = thresholds_by_character(noisy, "abc", confidence=0.95, draws=50, seed=1)
    assert set(table["note"]) == {"a curve needs clean and noisy renderings"}
    order = ranking(noisy, "abc", confidence=0.95, draws=100, seed=1)
    assert order.table["accuracy"].notna().all()
    assert order.table[["clean", "lost", "lost_low"]].isna().all(axis=None)


def test_a_clear_order_is_found_and_sure(abc: pd.DataFrame) -> None:
    order = ranking(abc, "cab", confidence=0.95, draws=500, seed=1)
    table = order.table
    assert table["character"].tolist() == ["a", "b", "c"]
    noisy = abc[abc["level"] > 0]
    assert table["accuracy"].tolist() == pytest.approx(
        [noisy.loc[noisy["truth"] == one, "success"].mean() for one in "abc"]
    )
    first = table.iloc[0]
    assert (first["rank_low"], first["rank_high"], first["first"]) == (1, 1, 1)
    assert first["lost_low"] < first["lost"] < first["lost_high"]
    assert order.places.sum(axis=0) == pytest.approx(np.ones(3))
    assert order.places.sum(axis=1) == pytest.approx(np.ones(3))
    assert np.diag(order.places).tolist() == table["probability"].tolist()
    assert order.rows()["probability"].sum() == pytest.approx(3)
    assert (table["all_low"] <= table["rank_low"]).all()
    assert (table["all_high"] >= table["rank_high"]).all()


def test_characters_that_are_alike_keep_every_rank() -> None:
    order = ranking(
        read_characters("abcd", 60, 4, seed=5), "abcd", confidence=0.95, draws=400, seed=1
    )
    assert (order.table["all_low"] == 1).all()
    assert (order.table["all_high"] == 4).all()
    assert order.whole < 0.6
    assert order.distinguished == 0


def test_the_draws_spread_as_the_cluster_robust_error_says(abc: pd.DataFrame) -> None:
    drawn = draw_shares(abc, ["a", "c"], draws=4000, seed=1)
    own = abc[abc["truth"] == "c"]
    p = own["success"].mean()
    scores = (own["success"] - p).groupby(own["captcha"]).sum().to_numpy(float)
    assert drawn.mean(axis=0)[1] == pytest.approx(p, abs=0.003)
    assert drawn.std(axis=0)[1] == pytest.approx(np.sqrt(scores @ scores) / len(own), rel=0.06)


def test_rank_intervals_hold_the_true_ranks_of_near_ties_where_percentiles_of_ranks_do_not() -> (
    None
):
    rng = np.random.default_rng(4)
    truth = np.array([0.02, 0.01, 0.0, -0.01, -0.02, -3.0])
    trials = 300
    ranks = np.arange(1, 7)
    ours = 0
    naive = 0
    for _ in range(trials):
        estimate = truth + rng.normal(size=6)
        drawn = estimate + rng.normal(size=(300, 6))
        _, joint, _ = rank_intervals(estimate, drawn, 0.95)
        ours += bool(((joint[0] <= ranks) & (ranks <= joint[1])).all())
        drawn_ranks = 1 + (drawn[:, :, None] < drawn[:, None, :]).sum(axis=2)
        low, high = np.percentile(drawn_ranks, [2.5, 97.5], axis=0)
        naive += bool(((low <= ranks) & (ranks <= high)).all())
    assert ours / trials > 0.93
    assert naive < ours


def test_alone_each_rank_interval_covers_too() -> None:
    rng = np.random.default_rng(5)
    truth = np.linspace(0, 3, 5)[::-1]
    hit = 0
    for _ in range(300):
        estimate = truth + rng.normal(size=5)
        each, _, _ = rank_intervals(estimate, estimate + rng.normal(size=(300, 5)), 0.9)
        hit += int(each[0, 2] <= 3 <= each[1, 2])
    assert hit / 300 > 0.87


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 40), st.integers(0, 9), st.sampled_from([0.5, 0.95]))
def test_rank_intervals_and_probabilities_are_what_they_should_be(
    R: int, B: int, seed: int, confidence: float
) -> None:
    rng = np.random.default_rng(seed)
    drawn: NDArray[np.float64] = rng.integers(0, 4, (B, R)) / 4  # with ties
    places, whole = place_probabilities(drawn, rng=rng)
    assert places.sum(axis=0) == pytest.approx(np.ones(R))
    assert places.sum(axis=1) == pytest.approx(np.ones(R))
    assert 0 <= whole <= np.diag(places).min() + 1e-12
    if B > 1:
        each, joint, told = rank_intervals(np.sort(rng.random(R))[::-1], drawn, confidence)
        place = np.arange(1, R + 1)
        for low, high in (each, joint):
            assert ((low >= 1) & (low <= place) & (place <= high) & (high <= R)).all()
        assert 0 <= told <= 1


def test_the_same_seed_gives_the_same_and_the_order_of_rows_nothing_else(abc: pd.DataFrame) -> None:
    shuffled = abc.sample(frac=1, random_state=1)
    for rows in (abc, shuffled):
        order = ranking(rows, "abc", confidence=0.95, draws=200, seed=9)
        pd.testing.assert_frame_equal(
            order.table, ranking(abc, "abc", confidence=0.95, draws=200, seed=9).table
        )
    first, second = (
        thresholds_by_character(rows, "abc", confidence=0.95, draws=50, seed=9).sort_values(
            ["noise", "character"], ignore_index=True
        )
        for rows in (abc, shuffled)
    )
    columns = [
        "noise",
        "character",
        "level",
    ]  # captchas are resampled in the order in which they come
    pd.testing.assert_frame_equal(first[columns], second[columns])


def test_33_letters_in_texts_of_one_character_work() -> None:
    rows = read_characters(UKRAINIAN, 0, 1, texts=list(UKRAINIAN) * 11)
    order = ranking(rows, UKRAINIAN, confidence=0.95, draws=500, seed=1)
    table = thresholds_by_character(rows, UKRAINIAN, confidence=0.95, draws=50, seed=1)
    assert order.table["place"].tolist() == list(range(1, 34))
    assert len(table) == 33 * 3
    assert len(character_accuracy_by_level(rows, UKRAINIAN, confidence=0.95)) == 33 * 3 * 5


@pytest.mark.parametrize("table", [
    lambda rows: ranking(rows, "abc", confidence=0.95, draws=50, seed=1),
    lambda rows: thresholds_by_character(rows, "abc", confidence=0.95, draws=10, seed=1),
    lambda rows: character_accuracy_by_level(rows, "abc", confidence=0.95),
], ids=["ranking", "thresholds", "accuracy"])  # fmt: skip
def test_steps_grow_slower_than_captchas(
    table: Callable[[pd.DataFrame], object], abc: pd.DataFrame
) -> None:
    assert steps(lambda: table(four_times(abc))) < 3 * steps(lambda: table(abc))


def test_the_headlines_are_finite(abc: pd.DataFrame) -> None:
    order = ranking(abc, "abc", confidence=0.95, draws=100, seed=1)
    table = thresholds_by_character(abc, "abc", confidence=0.95, draws=50, seed=1)
    told = class_headlines(order, table)
    assert told["class_best"] - told["class_worst"] == pytest.approx(told["class_spread"])
    assert told["class_threshold_least"] < told["class_threshold_most"]
    assert np.isfinite(list(told.values())).all()
    few = abc[abc["captcha"] < 20]
    assert (
        class_headlines(
            ranking(few, "abc", confidence=0.95, draws=50, seed=1),
            thresholds_by_character(few, "abc", confidence=0.95, draws=50, seed=1),
        )
        == {}
    )


def test_noise_types_come_in_their_order_and_clean_is_none(abc: pd.DataFrame) -> None:
    assert noises_of(abc) == ["fog", "lines"]


@pytest.mark.parametrize(
    ("alphabet", "level", "message"),
    [
        ("ab", 0.0, r"the true characters should be of the alphabet 'ab', got \['c'\]"),
        ("abc", 2.0, "there is no character to look at"),
    ],
)
def test_characters_outside_the_alphabet_and_no_characters_are_refused(
    abc: pd.DataFrame, alphabet: str, level: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        character_accuracy_by_level(abc[abc["level"] >= level], alphabet, confidence=0.95)


def test_a_ranking_of_clean_renderings_is_refused(abc: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="every rendering is clean"):
        ranking(abc[abc["level"] == 0], "abc", confidence=0.95, draws=10, seed=1)
