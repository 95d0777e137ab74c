"""Neighbours, repetitions and whole texts: the model against brute force, and what it says where there is nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from operations import steps
from scipy import stats
from test_insight_classes import UKRAINIAN, four_times, read_characters

from stages.insight.combinations import (
    GRID,
    NO_NEIGHBOURS,
    PAIRS,
    REPEATED,
    TEXTS,
    headlines,
    neighbour_pairs,
    permutation_p,
    quantile,
    random_effects,
    repeated_characters,
    spread_of,
    spreads_table,
    units_of,
    whole_texts,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SIDES = ("left", "right")


@pytest.fixture(scope="module")
def abcd() -> pd.DataFrame:
    return read_characters("abcd", 220, 4, seed=1, midpoints={"a": 0.8})


def dense(values: Floats, group: Ints, stratum: Ints, rho: float) -> tuple[float, Floats, Floats]:
    """Restricted log-likelihood at the best variance, posterior means and variances of the effects: all by matrices."""
    Z, X = np.eye(group.max() + 1)[group], np.eye(stratum.max() + 1)[stratum]
    V = (1 - rho) * np.eye(len(values)) + rho * Z @ Z.T
    inverse = np.linalg.inv(V)
    information = X.T @ inverse @ X
    residual = values - X @ np.linalg.solve(information, X.T @ inverse @ values)
    squares, free = float(residual @ inverse @ residual), len(values) - X.shape[1]
    log_likelihood = -0.5 * (np.linalg.slogdet(V)[1] + np.linalg.slogdet(information)[1] + free * np.log(squares))
    variance, P = squares / free, inverse - inverse @ X @ np.linalg.solve(information, X.T @ inverse)
    return log_likelihood, rho * Z.T @ inverse @ residual, np.diag(
        variance * (rho * np.eye(Z.shape[1]) - rho**2 * Z.T @ P @ Z))


def unbalanced(seed: int, tau: float = 0.5) -> tuple[Floats, Ints, Ints]:
    rng = np.random.default_rng(seed)
    group = np.sort(np.concatenate([np.arange(7), rng.integers(7, size=20)]))
    stratum = np.array([0, 0, 0, 1, 1, 1, 1])[group]
    return rng.normal(0, 1, 27) + rng.normal(0, tau, 7)[group] + 3 * stratum, group, stratum


@pytest.mark.parametrize("tau", [0.0, 0.8])
def test_the_model_is_that_of_dense_matrices(tau: float) -> None:
    values, group, stratum = unbalanced(1, tau)
    effects = random_effects(values, group, stratum)
    found = [dense(values, group, stratum, rho) for rho in GRID**2]
    weight = np.exp([one[0] - max(two[0] for two in found) for one in found])
    told = weight > 1e-5
    assert effects.weight == pytest.approx(weight[told] / weight[told].sum())
    mean, deviation = effects.deviations()
    assert mean == pytest.approx(np.array([one[1] for one in found])[told], abs=1e-9)
    assert deviation**2 == pytest.approx(np.array([one[2] for one in found])[told])


def test_the_most_likely_spread_is_that_of_statsmodels() -> None:
    values, group, _ = unbalanced(2, 1.0)
    rows = pd.DataFrame({"values": values, "group": group})
    theirs = smf.mixedlm("values ~ 1", rows, groups="group").fit(reml=True)
    ours = random_effects(values, group, np.zeros_like(group))
    best = int(np.argmax(ours.weight))
    assert ours.tau2[best] == pytest.approx(float(theirs.cov_re.iloc[0, 0]), rel=0.03)
    assert ours.sigma2[best] == pytest.approx(theirs.scale, rel=0.03)


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.5])
def test_intervals_of_effects_cover_as_often_as_they_say(tau: float) -> None:
    rng, hit, total = np.random.default_rng(3), 0, 0
    for _ in range(40):
        group = np.repeat(np.arange(25), rng.integers(1, 9, 25))
        truth = rng.normal(0, tau, 25)
        effects = random_effects(truth[group] + rng.normal(size=len(group)), group, np.zeros_like(group))
        mean, deviation = effects.deviations()
        ends = [quantile(lambda x, m=mean, d=deviation: stats.norm.cdf(x, m, d),  # type: ignore[misc]
                         effects.weight, tail, np.full(25, -20.0), np.full(25, 20.0)) for tail in (0.05, 0.95)]
        hit += int(((ends[0] <= truth) & (truth <= ends[1])).sum())
        total += 25
    assert hit / total > 0.87
    if tau:
        assert hit / total < 0.95


def test_the_interval_of_the_spread_covers() -> None:
    rng, hit = np.random.default_rng(4), 0
    group = np.repeat(np.arange(30), 6)
    for _ in range(60):
        effects = random_effects(rng.normal(0, 0.6, 30)[group] + rng.normal(size=180), group, np.zeros_like(group))
        spread = spread_of(effects, 0.5, 0.9)
        hit += int(spread.low <= 0.6 <= spread.high)
        assert spread.low <= spread.tau <= spread.high
    assert hit >= 48


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.integers(2, 6))
def test_shrunk_effects_lie_between_nothing_and_the_raw_ones(seed: int, J: int) -> None:
    rng = np.random.default_rng(seed)
    group = np.concatenate([np.arange(J), rng.integers(J, size=12)])
    effects = random_effects(rng.normal(size=len(group)), group, np.zeros_like(group))
    mean, deviation = effects.deviations()
    raw = effects.raw - effects.mean
    assert (np.abs(mean) <= np.abs(raw) + 1e-12).all()
    assert (mean * raw >= -1e-12).all()
    assert (deviation > 0).all()
    assert effects.weight.sum() == pytest.approx(1)


def test_rates_of_bernoulli_units_are_those_of_the_beta_binomial() -> None:
    """Units of 0 and 1 have variance mu (1 - mu) = tau² + sigma²: each is one trial, as in the textbook."""
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(40), 25)
    values = (rng.random(1000) < rng.beta(6, 4, 40)[group]).astype(float)
    effects = random_effects(values, group, np.zeros_like(group))
    best = int(np.argmax(effects.weight))
    a, b = (one[best] for one in effects.betas())
    mu, tau2 = effects.mean[best, 0], effects.tau2[best]
    before, right = mu * (1 - mu) / tau2 - 1, np.bincount(group, values)
    assert a == pytest.approx(before * mu + right, rel=0.02)
    assert b == pytest.approx(before * (1 - mu) + 25 - right, rel=0.02)
    assert before == pytest.approx(10, rel=0.6)  # 6 + 4


def test_the_permutation_test_is_exact() -> None:
    """Against all 6! orders of six units."""
    values, group = np.array([1.0, 3.0, 2.5, 7.0, 4.0, 0.5]), np.array([0, 0, 1, 1, 2, 2])
    between = [sum(np.array(order)[group == one].mean() ** 2 for one in range(3))
               for order in itertools.permutations(values)]
    seen = sum(values[group == one].mean() ** 2 for one in range(3))
    p = permutation_p(values, group, np.zeros(6, int), draws=4000, rng=np.random.default_rng(1))
    assert p == pytest.approx(np.mean(np.array(between) >= seen - 1e-9), abs=0.03)


def test_strata_that_differ_are_no_groups_that_differ() -> None:
    values, group, stratum = unbalanced(7, 0.0)
    rng = np.random.default_rng(1)
    assert permutation_p(values, group, stratum, draws=300, rng=rng) > 0.05
    assert permutation_p(values, group, np.zeros_like(stratum), draws=300, rng=rng) < 0.02


def test_units_know_their_neighbours_and_their_kind() -> None:
    rows = read_characters("abc", 0, 4, texts=["abba", "cabc", "aaa", "b"] * 3)
    units = units_of(rows)
    told = {text: part.drop_duplicates("position") for text, part in units.groupby("text")}
    assert told["abba"]["kind"].tolist() == ["apart", "adjacent", "adjacent", "apart"]
    assert told["cabc"]["kind"].tolist() == ["apart", "once", "once", "apart"]
    assert told["cabc"]["left"].tolist() == ["", "c", "a", "b"]
    assert told["cabc"]["right"].tolist() == ["a", "b", "c", ""]
    assert told["b"][["left", "right", "kind"]].to_numpy().tolist() == [["", "", "once"]]
    assert set(told["aaa"]["kind"]) == {"adjacent"}
    typical = rows.groupby(["truth", "condition"])["success"].mean()
    own = rows[(rows["captcha"] == units["captcha"][0]) & (rows["position"] == 0)]
    expected = np.mean([row.success - typical[row.truth, row.condition] for row in own.itertuples()])
    assert units["residual"][0] == pytest.approx(expected)


@pytest.mark.parametrize("side", SIDES)
def test_an_easy_character_makes_no_easy_pair(abcd: pd.DataFrame, side: str) -> None:
    table, spread = neighbour_pairs(abcd, "abcd", side, confidence=0.95, draws=199, seed=1)
    assert list(table.columns) == PAIRS
    assert len(table) == 16
    assert spread.p > 0.05
    assert spread.low < 0.01
    assert ((table["low"] < 0) & (table["high"] > 0)).mean() > 0.9
    weighted = (table["raw"] * table["units"]).groupby(table["character"]).sum()
    assert weighted.tolist() == pytest.approx([0] * 4, abs=1e-9)  # beside the character's own mean
    assert (table["effect"].abs() < table["raw"].abs()).all()
    assert table["pair"].tolist() == [row.neighbour + row.character if side == "left" else row.character + row.neighbour
                                      for row in table.itertuples()]


def test_a_neighbour_that_hurts_is_found_on_its_side_and_not_on_the_other(abcd: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    before = abcd["text"].str.cat(["-"] * len(abcd)).to_numpy()
    left = np.array([text[at - 1] if at else "" for text, at in zip(before, abcd["position"], strict=True)])
    hurt = (left == "c") & (abcd["truth"] == "b").to_numpy() & (rng.random(len(abcd)) < 0.5)
    rows = abcd.assign(success=abcd["success"] & ~hurt)
    table, spread = neighbour_pairs(rows, "abcd", "left", confidence=0.95, draws=199, seed=1)
    worst = table.loc[table["effect"].idxmin()]
    assert worst["pair"] == "cb"
    assert worst["high"] < 0
    assert worst["positive"] < 0.01
    assert spread.p < 0.02
    assert spread.low > 0.005
    assert neighbour_pairs(rows, "abcd", "right", confidence=0.95, draws=199, seed=1)[1].p > 0.01


@pytest.mark.parametrize("alphabet", ["01", UKRAINIAN])
def test_texts_of_one_character_have_no_neighbours(alphabet: str) -> None:
    rows = read_characters(alphabet, 0, 1, texts=list(alphabet) * 12)
    table, spread = neighbour_pairs(rows, alphabet, "left", confidence=0.95, draws=20, seed=1)
    assert table.empty
    assert spread.note == NO_NEIGHBOURS
    repeated = repeated_characters(rows, alphabet, confidence=0.95).set_index("kind")
    assert repeated.loc["once", "accuracy"] == rows["success"].mean()
    assert repeated.loc[["apart", "adjacent"], ["accuracy", "effect"]].isna().all(axis=None)
    texts = whole_texts(rows, alphabet, confidence=0.95, draws=20, seed=1)
    assert texts.spread.repeats == 11 * len(alphabet)
    assert texts.table["shrunk"].notna().all()


def test_two_characters_work() -> None:
    rows = read_characters("01", 60, 4)
    table, spread = neighbour_pairs(rows, "01", "right", confidence=0.95, draws=50, seed=1)
    assert table["pair"].tolist() == ["00", "01", "10", "11"]
    assert table["effect"].notna().all()
    assert np.isfinite(spread.tau)


def test_33_letters_work() -> None:
    rows = read_characters(UKRAINIAN, 200, 4, noises=("fog",))
    table, _ = neighbour_pairs(rows, UKRAINIAN, "left", confidence=0.95, draws=100, seed=1)
    assert table["effect"].notna().sum() > 300
    texts = whole_texts(rows, UKRAINIAN, confidence=0.95, draws=100, seed=1)
    assert len(texts.table) == 24  # the twelve best and worst


@pytest.mark.parametrize("table", [
    lambda rows: neighbour_pairs(rows, "abcd", "left", confidence=0.95, draws=20, seed=1),
    lambda rows: whole_texts(rows, "abcd", confidence=0.95, draws=20, seed=1),
], ids=["pairs", "texts"])
def test_steps_grow_slower_than_captchas(table: Callable[[pd.DataFrame], object]) -> None:
    rows = read_characters("abcd", 40, 4)
    assert steps(lambda: table(four_times(rows))) < 3 * steps(lambda: table(rows))


def test_a_character_with_one_neighbour_tells_nothing_of_it() -> None:
    rows = read_characters("abc", 0, 2, texts=["ab", "bb", "ac"] * 20)
    table, _ = neighbour_pairs(rows, "abc", "left", confidence=0.95, draws=20, seed=1)
    alone = table.set_index("pair").loc["ac"]
    assert np.isnan(alone["effect"])
    assert alone["note"] == "the character always has this neighbour"
    assert table.set_index("pair").loc[["ab", "bb"], "effect"].notna().all()


def test_too_few_characters_with_neighbours_are_told() -> None:
    rows = read_characters("ab", 0, 2, texts=["ab", "bb", "ba"])
    table, spread = neighbour_pairs(rows, "ab", "left", confidence=0.95, draws=20, seed=1)
    assert table["effect"].isna().all()
    assert "too few characters with neighbours" in spread.note
    texts = whole_texts(rows, "ab", confidence=0.95, draws=20, seed=1)
    assert texts.table[["shrunk", "low", "high"]].isna().all(axis=None)
    assert set(texts.table["note"]) == {"too few captchas (3) for an interval"}


def test_repetition_is_least_squares_with_dummies_and_clustered_errors(abcd: pd.DataFrame) -> None:
    table = repeated_characters(abcd, "abcd", confidence=0.95).set_index("kind")
    assert list(table.reset_index().columns) == REPEATED
    units = units_of(abcd)
    units["kind"] = pd.Categorical(units["kind"], ["once", "apart", "adjacent"])
    theirs = smf.ols("residual ~ kind + C(truth) + C(position)", units).fit(
        cov_type="cluster", cov_kwds={"groups": units["captcha"]}, use_t=True)
    low, high = theirs.conf_int().T.to_numpy()
    at = {name: i for i, name in enumerate(theirs.params.index)}
    for kind in ("apart", "adjacent"):
        i, name = at[f"kind[T.{kind}]"], f"kind[T.{kind}]"
        ours = table.loc[kind, ["effect", "standard_error", "effect_low", "effect_high", "p"]].tolist()
        assert ours == pytest.approx([theirs.params[name], theirs.bse[name], low[i], high[i],
                                      theirs.pvalues[name]], rel=1e-6)
    assert table.loc["once", "effect"] == 0
    assert (table["p_holm"] >= table["p"]).loc[["apart", "adjacent"]].all()


def test_a_text_seen_once_that_failed_once_is_no_zero_per_cent() -> None:
    texts = ["".join(pair) for pair in itertools.product("abcde", repeat=2)] * 3 + ["zz"]
    rows = read_characters("abcdez", 0, 2, texts=texts)
    failed = (rows["text"] == "zz").to_numpy()
    rows.loc[failed, "success"] = False
    rows.loc[failed, "reading"] = ""
    found = whole_texts(rows, "abcdez", confidence=0.95, draws=50, seed=1)
    worst = found.table.iloc[-1]
    assert list(found.table.columns) == TEXTS
    assert (worst["text"], worst["read"]) == ("zz", 0)
    assert worst["shrunk"] > 0.05
    assert worst["low"] < worst["shrunk"] < worst["high"]
    assert worst["high"] > 0.2


def test_texts_are_ordered_and_bounded(abcd: pd.DataFrame) -> None:
    found = whole_texts(abcd, "abcd", confidence=0.9, draws=50, seed=1, count=5)
    table = found.table
    assert table["end"].tolist() == ["best"] * 5 + ["worst"] * 5
    assert (np.diff(table["shrunk"]) <= 1e-12).all()
    assert ((table["low"] >= 0) & (table["low"] <= table["shrunk"]) & (table["shrunk"] <= table["high"])
            & (table["high"] <= 1)).all()
    assert table["place"].iloc[-1] == abcd["text"].nunique()
    whole = (abcd["text"] == abcd["reading"]).groupby(abcd["text"]).mean()
    assert table["read"].tolist() == pytest.approx(whole[table["text"]].tolist())
    assert found.explained > 0.1  # "a" is easy, and texts have more or fewer of it


def test_intervals_of_texts_cover_the_rates_that_they_were_drawn_with() -> None:
    rng, hit, total = np.random.default_rng(8), 0, 0
    for _ in range(3):
        truth = rng.beta(20, 12, 200)
        group = np.repeat(np.arange(200), rng.integers(1, 5, 200))
        drawn = rng.beta(30 * truth[group], 30 * (1 - truth[group]))
        read = rng.random((len(group), 25)) < drawn[:, None]
        rows = pd.DataFrame({"captcha": np.repeat(np.arange(len(group)), 25), "condition": np.tile(np.arange(25), len(
            group)), "position": 0, "text": np.array([chr(200 + one) for one in group]).repeat(25),
            "success": read.ravel(), "noise": "fog", "level": 0.5})
        rows = rows.assign(truth=rows["text"], reading=np.where(rows["success"], rows["text"], ""))
        alphabet = "".join(chr(200 + one) for one in range(200))
        table = whole_texts(rows, alphabet, confidence=0.9, draws=1, seed=1, count=100).table
        own = truth[[alphabet.index(text) for text in table["text"]]]
        hit += int(((table["low"] <= own) & (own <= table["high"])).sum())
        total += len(table)
    assert total == 600
    assert 0.86 < hit / total < 0.95


def test_texts_that_came_once_each_say_that_they_cannot_be_told_from_their_drawing() -> None:
    texts = ["".join(one) for one in itertools.permutations("abcdefgh", 4)][::40]
    rows = read_characters("abcdefgh", 0, 4, texts=texts)
    spread = whole_texts(rows, "abcdefgh", confidence=0.95, draws=50, seed=1).spread
    assert spread.repeats == 0
    assert np.isnan(spread.p)
    assert "hardly told apart" in spread.note


def test_where_everything_is_read_there_is_no_spread() -> None:
    rows = read_characters("abc", 40, 3).query("level == 0")
    rows = rows.assign(guess=rows["truth"], reading=rows["text"], success=True)
    found = whole_texts(rows, "abc", confidence=0.95, draws=20, seed=1)
    assert found.spread.note == "all captchas are read alike"
    assert np.isnan(found.explained)
    assert neighbour_pairs(rows, "abc", "left", confidence=0.95, draws=20, seed=1)[1].note == "all are read alike"


def test_the_headlines_are_finite_and_the_spreads_a_table(abcd: pd.DataFrame) -> None:
    texts = whole_texts(abcd, "abcd", confidence=0.95, draws=50, seed=1)
    spreads = {side: neighbour_pairs(abcd, "abcd", side, confidence=0.95, draws=50, seed=1)[1] for side in SIDES}
    spreads["text"] = texts.spread
    told = headlines(spreads, repeated_characters(abcd, "abcd", confidence=0.95), texts)
    assert np.isfinite(list(told.values())).all()
    assert told["text_best"] > told["text_worst"]
    assert {"left_spread", "left_spread_p", "repeat_adjacent", "text_explained"} <= set(told)
    assert spreads_table(spreads)["what"].tolist() == ["left", "right", "text"]


def test_units_that_are_alike_are_refused_by_the_model() -> None:
    with pytest.raises(ValueError, match="units should differ, and two groups lie in one stratum"):
        random_effects(np.ones(6), np.array([0, 0, 1, 1, 2, 2]), np.zeros(6, int))
