"""The pure functions of the pull-request report; test_ci.py runs the whole of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from ci import report
from ci.conclusions import (
    RUNS_PATH,
    ReaderEstimate,
    Side,
    compared_conclusions,
    costs_that_moved,
    side,
    spread_of_exact_matches,
    verdict,
)
from ci.report import Commits, MetricFigure, MetricRow, Value

ROOT = Path(__file__).resolve().parents[1]
NAN = float("nan")


def test_the_interval_of_a_change_is_newcombes() -> None:
    successes = (48, 56)
    trials = (80, 70)
    old, new = (
        Value(s / n, *proportion_confint(s, n, method="wilson"))
        for s, n in zip(successes, trials, strict=True)
    )
    expected = confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff")
    assert report.interval_of_change(old, new) == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(
        (0.0524, 0.3339), abs=5e-4
    )  # Newcombe (1998), table II, 56/70 - 48/80, method 10


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (Value(0.58, 0.48, 0.68), False),
        (Value(0.70, 0.60, 0.80), True),
        (Value(0.30, 0.20, 0.40), True),
        (Value(0.70), None),
        (Value(None), None),
        (Value(0.50, 0.40, 0.60), False),
    ],
)
def test_a_change_is_beyond_noise_where_its_interval_excludes_zero(
    new: Value, verdict: bool | None
) -> None:
    assert report.beyond_noise(MetricRow("", "", Value(0.5, 0.4, 0.6), new)) is verdict


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (120, "120"), (1797000, "1797000"), (12345.678, "12346"), (-0.5, "-0.5"), (0.0, "0"),
     (1.234e-7, "1.2e-07"), (2.0, "2"), (float("inf"), "inf")],
)  # fmt: skip
def test_numbers_have_sensible_digits(value: float, text: str) -> None:
    assert report.number_text(value) == text


def test_what_is_not_a_number_is_never_shown_and_never_a_change() -> None:
    nan = float("nan")
    diff = {"m.json": {"a": {"old": nan, "new": nan}, "b": {"old": nan, "new": 1.0}}}
    rows = report.metric_rows(diff)
    assert [row.name for row in rows] == ["b"]
    assert "nan" not in report.metrics_section(rows, Commits("1" * 40, "2" * 40))


def test_a_companion_without_its_metric_is_a_metric() -> None:
    sides = {"old": 1.0, "new": 1.0}
    diff = {
        "m.json": {
            "tide_low": {"old": 1.0, "new": 2.0},
            "x": sides,
            "x_se": {"old": 0.1, "new": 0.2},
        }
    }
    rows = report.metric_rows(diff)
    assert [(row.name, report.change_text(row)) for row in rows] == [
        ("tide_low", "▲ +1"),
        ("x", "interval only"),
    ]


def test_rows_are_sorted_whatever_order_dvc_gives() -> None:
    sides = {"old": 1, "new": 2}
    diff = {"b.json": {"z": sides, "a": sides}, "a.json": {"m": sides}}
    for rows in (report.metric_rows(diff), report.parameter_rows(diff)):
        assert [(row.path, row.name) for row in rows] == [
            ("a.json", "m"),
            ("b.json", "a"),
            ("b.json", "z"),
        ]


def test_a_text_cannot_break_the_table() -> None:
    assert report.cell(Value("a|b\nc <img>")) == "a\\|b c &lt;img>"
    assert report.cell(Value(["fog", True])) == '["fog", true]'
    assert report.cell(Value("")) == '""'
    assert report.code("a`|b") == "`a'\\|b`"


def test_a_removed_figure_has_no_picture_after() -> None:
    commits = Commits("1" * 40, "2" * 40, "https://git.example/o/r")
    section = report.figures_section([MetricFigure("plots/a.svg", "D")], commits)
    assert section.splitlines()[2] == (
        f'| `plots/a.svg` | <img width="420" src="https://git.example/o/r/blob/{"1" * 40}/plots/a.svg?raw=true"> | – |'
    )


def test_a_report_too_long_for_a_comment_is_cut_at_a_line_and_says_so() -> None:
    sides = {"old": 0.1, "new": 0.2}
    diff = {"m.json": {f"metric_{i:04d}": sides for i in range(2000)}}
    nothing = Side(None, None, {})
    text = report.report({}, diff, [], Commits("1" * 40, "2" * 40), None, (nothing, nothing))
    assert len(text) <= report.COMMENT_LIMIT
    *lines, blank, note = text.splitlines()
    assert note.startswith("The rest is too long for a comment")
    assert blank == ""
    assert lines[-1].endswith(" |")


def costs(**values: tuple[float, float, float | str]) -> str:
    """costs.csv of one reader: cost, standard error and SD between runs of every noise."""
    rows = [
        f"noisy,{noise},{cost},{error},0,1,1,1,1,1,{between},5"
        for noise, (cost, error, between) in values.items()
    ]
    return "\n".join(
        [
            "reader,noise,cost,standard_error,low,high,rank,rank_low,rank_high,first,sd_between_runs,runs",
            *rows,
            "",
        ]
    )


def levels(**values: tuple[str, str, str]) -> str:
    rows = [
        f"noisy,{noise},{share},{level},{low},{high},1,1,,"
        for noise, (level, low, high) in values.items()
        for share in ("0.5", "0.75")
    ]
    return "\n".join(
        ["reader,noise,share,level,low,high,reached,first,sd_between_runs,runs", *rows, ""]
    )


@pytest.mark.parametrize(
    ("moved", "between", "other", "expected"),
    [
        (0.05, 0.01, 0.01, "yes"),  # 1.96 sqrt(2 0.005² + 2 0.01²) is 0.031
        (0.025, 0.01, 0.01, "no"),
        (0.025, 0.0, 0.0, "yes"),  # of the captchas alone 0.0139
        (0.05, NAN, NAN, "unknown"),
        (0.032, NAN, 0.01, "yes"),  # the one that is known stands for both
        (0.030, 0.01, NAN, "no"),
    ],
)
def test_a_change_is_judged_against_sampling_and_another_training_run(
    moved: float, between: float, other: float, expected: str
) -> None:
    old = ReaderEstimate(0.5, 0.005, between)
    new = ReaderEstimate(0.5 + moved, 0.005, other)
    assert verdict([old], [new]) == expected


def test_the_first_lines_say_which_conclusions_changed_by_how_much_and_beyond_what() -> None:
    sides = tuple(
        side(
            name,
            costs(fog=fog, dots=(0.30, 0.005, 0.01), lines=(0.1, 0.005, 0.01)),
            levels(fog=("0.4", "0.38", "0.42"), dots=level, lines=("", "", "")),
            {},
            0.95,
        )
        for name, fog, level in (
            ("`old`", (0.35, 0.005, 0.01), ("0.5", "0.48", "0.52")),
            ("`new`", (0.20, 0.005, 0.01), ("0.3", "0.28", "0.32")),
        )
    )
    lines = report.conclusions_section(sides[0], sides[1], Commits("1" * 40, "2" * 40)).splitlines()
    assert lines[:5] == [
        "**3 of 4 conclusions changed.**",
        "- `noisy`: costliest noise: fog (35.0 points) → dots (30.0 points) (fog less dots: -15.0 points; beyond "
        "another training run: yes)",
        "- `noisy`: noises by cost, the costliest first: fog, dots, lines → dots, fog, lines (dots passed fog; beyond "
        "another training run: yes)",
        "- `noisy`: noises by the level where half of the captchas are lost, the lowest first: fog, dots, lines → "
        "dots, fog, lines (dots passed fog; beyond another training run: unknown)",
        "- `noisy`: the cost of fog moved most, from 35.0 points to 20.0 points (beyond another training run: yes); "
        "1 of 3 moved by more than another training run would move them.",
    ]
    assert (
        "| `noisy`: cheapest noise | lines (10.0 points) | lines (10.0 points) | +0.0 points | no |"
        in lines
    )


def test_equal_commits_change_no_conclusion_and_unknown_runs_are_said() -> None:
    one = side("`x`", costs(fog=(0.3, 0.01, ""), dots=(0.2, 0.01, "")), levels(), {}, 0.95)
    assert not any(found.changed for found in compared_conclusions(one, one))
    assert next(costs_that_moved(one, one)).endswith(
        "how much another training run would move them is unknown."
    )
    assert report.conclusions_section(one, one, Commits("1" * 40, "2" * 40)).startswith(
        "**None of 3 conclusions"
    )


def test_the_best_reader_is_the_one_that_reads_most_captchas() -> None:
    sides = {
        "value": {"old": 0.5, "new": 0.6},
        "low": {"old": 0.4, "new": 0.5},
        "high": {"old": 0.6, "new": 0.7},
    }
    ends = dict(zip(("", "_low", "_high"), sides.values(), strict=True))
    metrics = {
        f"metrics/predict/{name}.json": {
            f"exact_match{end}": {which: value + add for which, value in one.items()}
            for end, one in ends.items()
        }
        for name, add in (("a", 0.0), ("b", 0.1))
    }
    for between, beyond in (({}, "unknown"), ({"a": 0.01, "b": 0.01}, "no"), ({"b": 0.0}, "no")):
        old, new = (
            Side(None, None, report.exact_matches(metrics, which, between))
            for which in ("old", "new")
        )
        assert [
            (one.what, one.before, one.after, one.changed, one.beyond)
            for one in compared_conclusions(old, new)
        ] == [("best reader by exact match", "b (60.0 points)", "b (70.0 points)", False, beyond)]


def runs_json() -> tuple[str, dict[str, Any]]:
    """experiments/runs.json of two readers, and params.yaml of the same study."""
    parameters: dict[str, Any] = {
        "captcha": {"height": 40},
        "readers": {"a": {"epochs": 6}, "b": {"epochs": 2}},
    }
    estimates = [
        ["accuracy", "a", "captchas", "all", [0.5, 0.52]],
        ["accuracy", "a", "captchas", "clean", [0.9, 0.8]],
        ["accuracy", "b", "captchas", "all", [0.4, 0.4]],
        ["coefficient", "s", "a", "noise", "fog", [1, 2]],
    ]
    written = {
        "captcha": {"height": 40, "test": 200},
        "seed": 1,
        "readers": {name: {**own, "seed": 3} for name, own in parameters["readers"].items()},
    }
    return json.dumps({"parameters": parameters, "estimates": estimates}), written


def test_how_exact_matches_differ_between_runs_is_known_of_readers_that_are_alike() -> None:
    text, parameters = runs_json()
    assert spread_of_exact_matches(text, parameters) == {
        "a": pytest.approx(0.02 / math.sqrt(2)),
        "b": 0,
    }
    parameters["readers"]["a"]["epochs"] = 7
    assert spread_of_exact_matches(text, parameters) == {"b": 0}
    parameters["captcha"]["height"] = 50
    assert (
        spread_of_exact_matches(text, parameters) == spread_of_exact_matches(None, parameters) == {}
    )


def test_the_runs_in_git_tell_of_every_reader_that_they_are_of() -> None:
    text = (ROOT / RUNS_PATH).read_text(encoding="utf-8")
    parameters = json.loads(text)["parameters"]
    found = spread_of_exact_matches(text, parameters)
    assert set(found) == set(parameters["readers"])
    assert all(0 < sd < 0.05 for sd in found.values())


@pytest.mark.parametrize(
    ("confidence", "error"), [(0.95, 0.02), (0.9, 0.02 * 1.959964 / 1.644854), (None, math.nan)]
)
def test_the_error_of_a_level_is_its_interval_at_the_confidence_of_the_study(
    confidence: float | None, error: float
) -> None:
    width = 2 * 1.959964 * 0.02
    found = side("`x`", None, levels(fog=("0.4", "0.3", f"{0.3 + width}")), {}, confidence)
    assert found.levels is not None
    assert found.levels["noisy"]["fog"].error == pytest.approx(error, nan_ok=True)
    assert any("has no regression.confidence" in note for note in found.notes) is (
        confidence is None
    )


def test_a_reader_without_a_noise_in_both_commits_is_not_compared_and_a_note_says_so() -> None:
    old, new = (
        side("`x`", costs(**{noise: (0.3, 0.01, "")}), levels(), {}, 0.95)
        for noise in ("fog", "dots")
    )
    assert not list(compared_conclusions(old, new))
    assert report.conclusions_section(old, new, Commits("1" * 40, "2" * 40)) == (
        "Conclusions cannot be compared: the commits share no noise type of `noisy`."
    )


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (None, "`old` has no `plots/regress/costs.csv`"),
        (
            "reader,noise,slope\n",
            "`plots/regress/costs.csv` of `old` is of another version: it has no cost, "
            "standard_error, sd_between_runs",
        ),
    ],
)
def test_a_table_that_is_not_there_is_said(text: str | None, note: str) -> None:
    old = side("`old`", text, levels(), {}, 0.95)
    new = side("`new`", costs(fog=(0.3, 0.01, "")), levels(), {}, 0.95)
    assert report.conclusions_section(old, new, Commits("1" * 40, "2" * 40)) == (
        f"Conclusions cannot be compared: {note}."
    )
