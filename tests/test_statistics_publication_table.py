"""Tidy rows and the publication table in three languages."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from stages.schemas.regress import DroppedTerm, Publication
from stages.statistics import fit_summary, tidy
from stages.statistics.design_matrix import Variables, make_factor
from stages.statistics.formulas import parse_formula
from stages.statistics.publication_format import to_latex, to_markdown
from stages.statistics.publication_table import MAX_TABLE_COLUMNS, publication
from stages.statistics.regression import Clusters, Regression, estimate
from stages.statistics.runs import NONE, PerRun, coefficient
from stages.statistics.sample import Sample

AWKWARD = ("<b>&_|", "none", "50%_#{x}", "~^\\$")  # every sign that a language takes for its own
CAPTCHA = np.repeat(np.arange(30), 4)
CLUSTERS = Clusters(("captcha",), (CAPTCHA,))


def table_of(
    regressions: list[Regression],
    clusters: Clusters = CLUSTERS,
    confidence: float = 0.95,
    runs: PerRun = NONE,
) -> Publication:
    return publication(regressions, regressions[1:], clusters, confidence, 0.125, runs)


@pytest.fixture(scope="module")
def regressions() -> list[Regression]:
    """A small specification and a larger one, on awkward category names; one category has no error."""
    rng = np.random.default_rng(2)
    codes = np.tile(np.arange(4), 30)
    level = np.where(codes == 1, 0.0, rng.random(120))
    variables = Variables(
        {
            "noise": make_factor("noise", codes, AWKWARD, "none"),
            "colour": make_factor("colour", np.zeros(120, dtype=np.int64), ["grey"], "grey"),
        },
        {"level": level},
        120,
        {"level": ("noise", "none")},
    )
    success = np.where(
        codes == 1, 1, np.where(codes == 2, 0, rng.random(120) < 0.7 - 0.3 * level)
    ).astype(np.uint8)
    sample = Sample(variables, success, CAPTCHA)
    return [
        estimate(
            name,
            "all",
            parse_formula(formula, variables.names, {}, name),
            sample,
            CLUSTERS,
            confirm=name == "full",
            rng=np.random.default_rng(0),
        )
        for name, formula in (("main", "noise + colour"), ("full", "noise + level"))
    ]


def test_a_tidy_row_holds_the_numbers_of_its_coefficient(regressions: list[Regression]) -> None:
    fit = regressions[1].fit
    rows: list[dict[str, Any]] = tidy.coefficient_rows(regressions[1], 0.9, NONE)
    assert [row["term"] for row in rows] == ["constant", "noise", "noise", "noise", "level"]
    assert [row["category"] for row in rows] == ["", "<b>&_|", "50%_#{x}", "~^\\$", ""]
    last = rows[-1]
    assert last["estimate"] == fit.beta[4]
    assert last["t"] == pytest.approx(fit.beta[4] / last["standard_error"])
    assert last["p"] == pytest.approx(2 * stats.t.sf(abs(last["t"]), 29))
    assert last["minus_log10_p"] == pytest.approx(-math.log10(last["p"]))
    assert last["high"] - last["low"] == pytest.approx(
        2 * stats.t.ppf(0.95, 29) * last["standard_error"]
    )
    assert last["p"] <= last["p_bh"] <= last["p_holm"]
    assert last["least"] <= last["estimate"] <= last["most"]
    assert last["p_wild"] != ""  # 30 clusters are few
    assert rows[0]["p_holm"] == rows[0]["vif"] == ""  # the constant is no hypothesis


def test_a_coefficient_without_error_has_empty_cells_and_not_nan(
    regressions: list[Regression],
) -> None:
    row = tidy.coefficient_rows(regressions[0], 0.95, NONE)[
        0
    ]  # the reference, right in every cluster
    assert row["estimate"] == pytest.approx(1)
    assert row["standard_error"] == 0
    assert [row[name] for name in ("t", "p", "minus_log10_p", "low", "high", "p_wild")] == [""] * 6
    assert "(–)" in to_markdown(table_of(regressions))
    assert fit_summary.unmeasured(regressions[0])[0] == "constant"


def test_a_summary_has_plain_finite_numbers_and_says_what_was_dropped(
    regressions: list[Regression],
) -> None:
    found = fit_summary.fit_summary(regressions[0], [])
    assert found.dropped == [DroppedTerm("colour", "has one value in this run (grey)")]
    assert found.clusters == [30]
    assert found.confirmed_by == []
    assert fit_summary.fit_summary(regressions[1], []).confirmed_by == [
        "linearmodels",
        "statsmodels",
    ]
    assert any("30 clusters by captcha are few" in warning for warning in regressions[0].warnings)
    assert found.warnings == list(regressions[0].warnings)
    assert math.isfinite(found.condition_number)


def test_correlations_make_a_square_of_the_regressors(regressions: list[Regression]) -> None:
    rows = tidy.correlation_rows(regressions[1])
    r = np.array([row["r"] for row in rows]).reshape(4, 4)
    np.testing.assert_allclose(r, r.T)
    np.testing.assert_allclose(np.diag(r), 1)


def test_influence_names_the_clusters_in_the_order_of_their_distance(
    regressions: list[Regression],
) -> None:
    rows = tidy.influence_rows(regressions[1])
    assert len(rows) == 30
    distances = [row["distance"] for row in rows]
    assert distances == sorted(distances, reverse=True)
    assert {row["cluster"] for row in rows} == {str(cluster) for cluster in range(30)}


@pytest.mark.parametrize("write", [to_markdown, to_latex])
def test_every_language_states_the_estimator_and_what_was_dropped(
    regressions: list[Regression], write: object
) -> None:
    text = write(table_of(regressions, Clusters(("glyph",), (CAPTCHA,)), 0.9))  # type: ignore[operator]
    for words in (
        "Ordinary least squares",
        "linear probability model",
        "clustered by glyph",
        "CV3",
        "CV1",
        "Liang",
        "degrees of freedom",
        "90",
        "Observations (N)",
        "Clusters by glyph (G)",
        "Adjusted R",
        "120",
        "30",
        "Predicted (PRESS) R",
        "Leave-one-cluster-out R",
        "Mean of the outcome",
        "Guess rate",
        "0.1250",
        "Beside the table, full (5 coefficients)",
        "Left out: colour, which has one value in this run (grey).",
    ):
        assert words in text
    assert f"{regressions[1].fit.adjusted_r2:.4f}" in text
    assert f"({100 * regressions[1].fit.standard_error[4]:.2f})" in text
    assert "of column (2) was confirmed by linearmodels and statsmodels" in text


def test_markdown_has_as_many_cells_in_every_row(regressions: list[Regression]) -> None:
    lines = to_markdown(table_of(regressions)).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert any("&lt;b>& \\|" in row for row in rows)  # an underscore of a noise is a space


def test_latex_has_as_many_cells_in_every_row_and_balanced_braces(
    regressions: list[Regression],
) -> None:
    text = to_latex(table_of(regressions))
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    cells = [
        len(re.findall(r"(?<!\\)&", row))
        for row in body.splitlines()
        if row.endswith(r"\\") and "multicolumn" not in row
    ]
    assert set(cells) == {2}
    bare = re.sub(r"\\[\\{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert r"50\% \#\{x\}" in text
    assert not re.search(r"(?<!\\)[_#]", text)
    open_environments: list[str] = []
    for verb, environment in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if verb == "begin":
            open_environments.append(environment)
        else:
            assert open_environments.pop() == environment
    assert not open_environments


def test_a_regressor_that_one_specification_lacks_leaves_its_cell_empty(
    regressions: list[Regression],
) -> None:
    table = table_of(regressions)
    level = next(line for line in table.lines if line.heading == "Level")
    assert level.values[0] == level.errors[0] == ""
    assert level.values[1] == f"{100 * regressions[1].fit.beta[4]:.2f}".replace("-", "−")
    assert [line.heading for line in table.lines if line.heading] == [
        "Noise, against none",
        "Level",
        "Intercept (fitted value of the references)",
    ]


def test_the_mean_of_the_outcome_is_of_the_rows_and_of_the_clean_ones(
    regressions: list[Regression],
) -> None:
    summary = table_of(regressions).summary
    fit = regressions[0].fit
    assert summary["Mean of the outcome"][0] == f"{fit.moments.Xy[0] / 120:.4f}"
    assert (
        summary["Mean of the outcome, clean"][0] == "1.0000"
    )  # the reference is right in every cluster
    assert regressions[0].mean == pytest.approx(fit.moments.Xy[0] / 120)
    assert regressions[0].clean == 1


def test_the_spread_between_runs_stands_in_square_brackets_where_it_is_known(
    regressions: list[Regression],
) -> None:
    runs = PerRun(
        {coefficient("full", "all", "level", ""): (0.1, 0.3, 0.8)},
        {"full": "noise + level"},
        "level",
        {},
    )
    table = table_of(regressions, runs=runs)
    level = next(line for line in table.lines if line.heading == "Level")
    assert level.errors[1].endswith(f" [{np.std([0.1, 0.3, 0.8], ddof=1) * 100:.2f}]")
    assert sum("[" in error for line in table.lines for error in line.errors) == 1
    assert any(
        "between 3 training runs that differ in their seed alone, which the standard errors do not hold"
        in note
        for note in table.notes
    )
    row = tidy.coefficient_rows(regressions[1], 0.9, runs)[-1]
    assert row["sd_between_runs"] == pytest.approx(np.std([0.1, 0.3, 0.8], ddof=1))
    assert row["runs"] == 3


def test_a_noise_coefficient_is_called_an_average_cost_beside_the_level_only(
    regressions: list[Regression],
) -> None:
    for number, costs in (("level", True), ("rmse", False)):
        centred = [
            replace(one, design=replace(one.design, centred=frozenset({number})))
            for one in regressions
        ]
        text = " ".join(table_of(centred).notes)
        assert ("the coefficient of a noise type is its average cost" in text) is costs
        assert (
            "its effect at the mean dose of all noises; average costs are in costs.csv" in text
        ) is not costs


def test_more_columns_than_a_page_takes_are_named_below(regressions: list[Regression]) -> None:
    table = table_of([*regressions * 3, regressions[1]])
    assert len(table.header) == MAX_TABLE_COLUMNS
    assert "Not shown for want of room, but in coefficients.csv: full of all." in table.notes
