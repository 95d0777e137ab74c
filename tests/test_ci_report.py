"""The pure functions of the pull-request report; test_ci.py runs the whole of it."""

from __future__ import annotations

import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from ci import report
from ci.report import Commits, Figure, Row, Value


def test_the_interval_of_a_change_is_newcombes() -> None:
    successes, trials = (48, 56), (80, 70)
    old, new = (
        Value(s / n, *proportion_confint(s, n, method="wilson")) for s, n in zip(successes, trials, strict=True)
    )
    expected = confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff")
    assert report.interval_of_change(old, new) == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx((0.0524, 0.3339), abs=5e-4)  # Newcombe (1998), table II, 56/70 - 48/80, method 10


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
def test_a_change_is_beyond_noise_where_its_interval_excludes_zero(new: Value, verdict: bool | None) -> None:
    assert report.beyond_noise(Row("", "", Value(0.5, 0.4, 0.6), new)) is verdict


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (120, "120"), (1797000, "1797000"), (12345.678, "12346"), (-0.5, "-0.5"), (0.0, "0"),
     (1.234e-7, "1.2e-07"), (2.0, "2"), (float("inf"), "inf")],
)  # fmt: skip
def test_numbers_have_sensible_digits(value: float, text: str) -> None:
    assert report.number(value) == text


def test_what_is_not_a_number_is_never_shown_and_never_a_change() -> None:
    nan = float("nan")
    diff = {"m.json": {"a": {"old": nan, "new": nan}, "b": {"old": nan, "new": 1.0}}}
    rows = report.metric_rows(diff)
    assert [row.name for row in rows] == ["b"]
    assert "nan" not in report.metrics_section(rows, Commits("1" * 40, "2" * 40))


def test_a_companion_without_its_metric_is_a_metric() -> None:
    sides = {"old": 1.0, "new": 1.0}
    diff = {"m.json": {"tide_low": {"old": 1.0, "new": 2.0}, "x": sides, "x_se": {"old": 0.1, "new": 0.2}}}
    rows = report.metric_rows(diff)
    assert [(row.name, report.change(row)) for row in rows] == [("tide_low", "▲ +1"), ("x", "interval only")]


def test_rows_are_sorted_whatever_order_dvc_gives() -> None:
    sides = {"old": 1, "new": 2}
    diff = {"b.json": {"z": sides, "a": sides}, "a.json": {"m": sides}}
    for rows in (report.metric_rows(diff), report.parameter_rows(diff)):
        assert [(row.path, row.name) for row in rows] == [("a.json", "m"), ("b.json", "a"), ("b.json", "z")]


def test_a_text_cannot_break_the_table() -> None:
    assert report.cell(Value("a|b\nc <img>")) == "a\\|b c &lt;img>"
    assert report.cell(Value(["fog", True])) == '["fog", true]'
    assert report.cell(Value("")) == '""'
    assert report.code("a`|b") == "`a'\\|b`"


def test_a_removed_figure_has_no_picture_after() -> None:
    commits = Commits("1" * 40, "2" * 40, "https://git.example/o/r")
    section = report.figures_section([Figure("plots/a.svg", "D")], commits)
    assert section.splitlines()[2] == (
        f'| `plots/a.svg` | <img width="420" src="https://git.example/o/r/blob/{"1" * 40}/plots/a.svg?raw=true"> | – |'
    )


def test_a_report_too_long_for_a_comment_is_cut_at_a_line_and_says_so() -> None:
    sides = {"old": 0.1, "new": 0.2}
    diff = {"m.json": {f"metric_{i:04d}": sides for i in range(2000)}}
    text = report.report({}, diff, [], Commits("1" * 40, "2" * 40), None)
    assert len(text) <= report.COMMENT_LIMIT
    *lines, blank, note = text.splitlines()
    assert note.startswith("The rest is too long for a comment")
    assert blank == ""
    assert lines[-1].endswith(" |")
