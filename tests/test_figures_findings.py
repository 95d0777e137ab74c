"""Sentences of the report, on tables whose answer is known."""

from __future__ import annotations

import pandas as pd
import pytest

from stages.figures import captions, findings
from stages.figures.accuracy import COLUMNS
from stages.figures.numbers import Rival


def line(reader: str, noise: str, exact: list[float], levels: tuple[float, ...] = (0, 0.4, 0.8)) -> list[list[object]]:
    return [[reader, noise, level, 0.9 * value, 0, 1, value, 0, 1, 100, 10]
            for level, value in zip(levels, exact, strict=True)]


LEVELS = pd.DataFrame([*line("noisy", "fog", [0.9, 0.6, 0.2]), *line("noisy", "gaussian_blur", [0.9, 0.9, 0.8]),
                       *line("clean", "fog", [0.9, 0.3, 0.0]), *line("clean", "gaussian_blur", [0.9, 0.9, 0.4])],
                      columns=COLUMNS)
SLOPES = pd.DataFrame([["noisy", "gaussian_blur", -1.0, -1.2, -0.8], ["noisy", "fog", -7.0, -7.5, -6.5],
                       ["clean", "fog", -9.0, -9.5, -8.5]], columns=["reader", "noise", "points", "low", "high"])
CHARACTERS = pd.DataFrame([["noisy", "a", 0.9, 0.85, 0.95], ["noisy", "b", 0.5, 0.45, 0.55],
                           ["noisy", "c", 0.56, 0.54, 0.6]], columns=["reader", "character", "accuracy", "low", "high"])
COLOURS = pd.DataFrame([["noisy", "grey", 0.7, 0.6, 0.8], ["noisy", "colour", 0.8, 0.7, 0.9]],
                       columns=["reader", "colour", "accuracy", "low", "high"])


@pytest.mark.parametrize(("exact", "expected"), [
    ([0.9, 0.6, 0.2], 0.4 + 0.4 * 0.1 / 0.4), ([0.9, 0.8, 0.5], None), ([0.4, 0.8, 0.1], 0.0), ([1.0, 0.0, 0.9], 0.2),
])  # fmt: skip
def test_the_half_level_is_read_off_the_line_between_the_levels(exact: list[float], expected: float | None) -> None:
    rows = pd.DataFrame(line("r", "n", exact), columns=COLUMNS)
    assert findings.half_level(rows.iloc[::-1]) == (None if expected is None else pytest.approx(expected))


def test_halves_come_lowest_first_without_those_that_never_fall() -> None:
    assert findings.halves(LEVELS, "noisy") == [(pytest.approx(0.5), "fog")]
    assert [noise for _, noise in findings.halves(LEVELS, "clean")] == ["fog", "gaussian_blur"]


def test_the_answer_names_the_fastest_and_the_resisted_noise_with_their_intervals() -> None:
    first, second = findings.answer(LEVELS, SLOPES, "noisy", Rival("clean", "clean", (0.125, 0.11, 0.14)), 0.75,
                                    CHARACTERS, COLOURS, 0.9)
    assert first == (
        "**Fog** makes the reader `noisy` fail fastest: every 0.1 of level costs it 7.0 percentage points of its "
        "characters (90\u00a0% interval 6.5 to 7.5) by the regression's straight line (7.9 were seen on average up to "
        "level 0.8), and from level 0.50 on it reads fewer than half of the captchas whole; it resists **gaussian "
        "blur** best, of which every 0.1 costs it 1.0 percentage points of its characters (90\u00a0% interval 0.8 to "
        "1.2) by the regression's straight line (1.1 were seen on average up to level 0.8).")
    assert second == (
        "It reads 75.0\u00a0% of the characters of noisy captchas, 12.5 percentage points (90\u00a0% interval 11.0 to "
        "14.0) more than `clean`, which learned from clean captchas only; the hardest character is “b” (50.0\u00a0% "
        "read) and the hardest colours are grey (70.0\u00a0% read).")


def test_a_reader_that_is_worse_than_its_rival_is_told_so() -> None:
    second = findings.answer(LEVELS, SLOPES, "noisy", Rival("clean", "clean", (-0.1, -0.2, 0.05)), 0.5, CHARACTERS,
                             COLOURS, 0.95)[1]
    assert "10.0 percentage points (95\u00a0% interval −5.0 to 20.0) fewer than `clean`" in second


def test_the_answer_does_without_rival_slopes_and_second_categories() -> None:
    first, second = findings.answer(LEVELS, SLOPES[:0], "noisy", None, 0.5, CHARACTERS[:1], COLOURS[:1], 0.95)
    assert "could tell no slope for `noisy`" in first
    assert second == "It reads 50.0\u00a0% of the characters of noisy captchas."


def test_a_slope_whose_interval_holds_zero_costs_nothing_that_could_be_measured() -> None:
    slopes = SLOPES.assign(points=[0.04, -7.0, 0.0], low=[-0.2, -7.5, 0.0], high=[0.3, -6.5, 0.0])
    first = findings.answer(LEVELS, slopes, "noisy", None, 0.5, CHARACTERS, COLOURS, 0.95)[0]
    assert ("it resists **gaussian blur** best, of which every 0.1 costs it nothing that could be measured: 0.0 points "
            "(95\u00a0% interval −0.3 to 0.2)") in first


def test_one_noise_type_is_not_called_the_fastest() -> None:
    first = findings.answer(LEVELS, SLOPES[SLOPES["noise"] == "fog"], "noisy", None, 0.5, CHARACTERS, COLOURS, 0.95)[0]
    assert "fastest" not in first
    assert "resists" not in first


@pytest.mark.parametrize(("second", "verdict"), [(-6.0, "is not told by these intervals"), (-1.0, "is clear")])
def test_whether_the_worst_noise_is_settled_depends_on_the_intervals(second: float, verdict: str) -> None:
    slopes = SLOPES.assign(points=[second, -7.0, 0.0], low=[second - 1, -7.5, 0.0], high=[second + 1, -6.5, 0.0])
    said = findings.uncertain(slopes, "noisy", CHARACTERS, 10, 5, 1, 0.95)
    assert any(f"Which noise has the steepest slope {verdict}" in sentence for sentence in said)
    assert any("10 test captchas" in sentence and "5 conditions" in sentence for sentence in said)


def test_the_hardest_character_is_tied_with_those_whose_interval_meets_its_own() -> None:
    said = " ".join(findings.uncertain(SLOPES, "noisy", CHARACTERS, 10, 5, 1, 0.95))
    assert "The hardest character, “b”, stands out from the others but not from “c”" in said
    alone = " ".join(findings.uncertain(SLOPES, "noisy", CHARACTERS[:2], 10, 5, 1, 0.95))
    assert "The hardest character, “b”, stands alone" in alone


@pytest.mark.parametrize(("share", "written"), [(0.9996, "99.96"), (1.0, "100.0"), (0.5, "50.0"), (0.0004, "0.04"),
                                                (0.0, "0.0")])
def test_no_share_is_rounded_to_all_or_nothing(share: float, written: str) -> None:
    assert findings.percent(share) == f"{written}\u00a0%"


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    assert findings.signed(-0.04) == "0.0"
    assert findings.signed(-0.06) == "−0.1"


def test_the_rival_is_the_same_architecture_with_another_schooling() -> None:
    readers = {"noisy": ("ctc", "both"), "dense": ("dense", "clean"), "twin": ("ctc", "both"),
               "clean": ("ctc", "clean")}
    assert findings.rival_of("noisy", readers) == "clean"
    assert findings.rival_of("clean", readers) == "noisy"
    assert findings.rival_of("dense", readers) is None


def test_the_commonest_mistake_and_the_share_that_is_missed_are_told() -> None:
    cells = pd.DataFrame([["r", "a", "a", 6, 0.6], ["r", "a", "b", 1, 0.1], ["r", "a", "missed", 3, 0.3],
                          ["r", "b", "a", 2, 0.2], ["r", "b", "b", 8, 0.8]],
                         columns=["reader", "actual", "predicted", "count", "share"])
    assert captions.about_confusion(cells, "r") == (
        "The commonest mistake of `r` is to read “b” as “a” (20.0\u00a0% of them); it misses 15.0\u00a0% of all "
        "characters.")
    right = cells[cells["actual"] == cells["predicted"]]
    assert "took no character for another" in captions.about_confusion(right, "r")


def test_the_range_over_noise_types_is_told_at_the_strongest_level() -> None:
    assert captions.about_levels(LEVELS, "noisy", "exact_match") == (
        "Without noise `noisy` reads 90.0\u00a0% of the captchas whole; at level 0.8 between 20.0\u00a0% (fog) and "
        "80.0\u00a0% (gaussian blur).")


def test_a_reader_that_fails_without_noise_is_not_given_a_level() -> None:
    rows = pd.DataFrame(line("r", "n", [0.4, 0.3, 0.2]), columns=COLUMNS)
    assert "even without noise" in captions.about_halves(rows, "r")


def test_the_largest_effect_is_the_one_of_either_sign() -> None:
    effects = pd.DataFrame([["digit", "1", 2.0, 1.0, 3.0], ["digit", "7", -4.0, -5.0, -3.0]],
                           columns=["term", "category", "points", "low", "high"])
    said = captions.about_effects(effects, {"digit": "0"}, 0.95)
    assert "character 7 beside 0, −4.0 points (95\u00a0% interval −5.0 to −3.0)" in said


def test_a_noise_that_takes_half_sooner_than_the_steepest_is_told() -> None:
    slopes = SLOPES.assign(points=[-8.0, -7.0, -9.0], low=[-8.5, -7.5, -9.5], high=[-7.5, -6.5, -8.5])
    first = findings.answer(LEVELS, slopes, "noisy", None, 0.5, CHARACTERS, COLOURS, 0.95)[0]
    assert first.startswith("**Gaussian blur** makes")
    assert "(fog takes it there sooner, from 0.50, and then falls less steeply)" in first
