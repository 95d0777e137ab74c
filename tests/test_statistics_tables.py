"""Tidy rows and the publication table in three languages."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy import stats

from stages.statistics import tidy
from stages.statistics.design import Variables, make_factor
from stages.statistics.formulas import parse_formula
from stages.statistics.regression import Clusters, Regression, estimate
from stages.statistics.sample import Sample
from stages.statistics.tables import publication, to_latex, to_markdown

AWKWARD = ("<b>&_|", "none", "50%_#{x}", "~^\\$")  # every sign that a language takes for its own
CAPTCHA = np.repeat(np.arange(30), 4)
CLUSTERS = Clusters(("captcha",), (CAPTCHA,))


@pytest.fixture(scope="module")
def regressions() -> list[Regression]:
    """A small specification and a larger one, on awkward category names; one category has no error."""
    rng = np.random.default_rng(2)
    codes = np.tile(np.arange(4), 30)
    level = np.where(codes == 1, 0.0, rng.random(120))
    variables = Variables({"noise": make_factor("noise", codes, AWKWARD, "none"),
                           "colour": make_factor("colour", np.zeros(120, dtype=np.int64), ["grey"], "grey")},
                          {"level": level}, 120)
    success = np.where(codes == 1, 1, np.where(codes == 2, 0, rng.random(120) < 0.7 - 0.3 * level)).astype(np.uint8)
    sample = Sample(variables, success, CAPTCHA)
    return [estimate(name, "all", parse_formula(formula, variables.names, {}, name), sample, CLUSTERS,
                     confirm=name == "full", rng=np.random.default_rng(0))
            for name, formula in (("main", "noise + colour"), ("full", "noise + level"))]


def test_a_tidy_row_holds_the_numbers_of_its_coefficient(regressions: list[Regression]) -> None:
    fit, rows = regressions[1].fit, tidy.coefficients(regressions[1], 0.9, str)
    assert [row["term"] for row in rows] == ["constant", "noise", "noise", "noise", "level"]
    assert [row["category"] for row in rows] == ["", "<b>&_|", "50%_#{x}", "~^\\$", ""]
    last = rows[-1]
    assert last["estimate"] == fit.beta[4]
    assert last["t"] == pytest.approx(fit.beta[4] / last["standard_error"])
    assert last["p"] == pytest.approx(2 * stats.t.sf(abs(last["t"]), 29))
    assert last["minus_log10_p"] == pytest.approx(-math.log10(last["p"]))
    assert last["high"] - last["low"] == pytest.approx(2 * stats.t.ppf(0.95, 29) * last["standard_error"])
    assert last["p"] <= last["p_bh"] <= last["p_holm"]
    assert last["least"] <= last["estimate"] <= last["most"]
    assert last["p_wild"] != ""  # 30 clusters are few
    assert rows[0]["p_holm"] == rows[0]["vif"] == ""  # the constant is no hypothesis


def test_a_coefficient_without_error_has_empty_cells_and_not_nan(regressions: list[Regression]) -> None:
    row = tidy.coefficients(regressions[0], 0.95, str)[0]  # the reference, right in every cluster
    assert (row["estimate"], row["standard_error"]) == (pytest.approx(1), 0)
    assert [row[name] for name in ("t", "p", "minus_log10_p", "low", "high", "p_wild")] == [""] * 6
    assert "(–)" in to_markdown(publication(regressions, CLUSTERS, 0.95))
    assert tidy.unmeasured(regressions[0])[0] == "constant"


def test_a_summary_has_plain_finite_numbers_and_says_what_was_dropped(regressions: list[Regression]) -> None:
    found = tidy.summary(regressions[0], str)
    assert found["dropped"] == [{"term": "colour", "reason": "has one value in this run (grey)"}]
    assert found["clusters"] == [30]
    assert found["confirmed_by"] == []
    assert tidy.summary(regressions[1], str)["confirmed_by"] == ["linearmodels", "statsmodels"]
    assert any("30 clusters by captcha are few" in warning for warning in regressions[0].warnings)
    assert found["warnings"] == list(regressions[0].warnings)
    assert math.isfinite(float(str(found["condition_number"])))


def test_correlations_make_a_square_of_the_regressors(regressions: list[Regression]) -> None:
    rows = tidy.correlations(regressions[1])
    r = np.array([row["r"] for row in rows]).reshape(4, 4)
    np.testing.assert_allclose(r, r.T)
    np.testing.assert_allclose(np.diag(r), 1)


def test_influence_names_the_clusters_in_the_order_of_their_distance(regressions: list[Regression]) -> None:
    rows = tidy.influence(regressions[1], lambda cluster: f"captcha {cluster}")
    assert len(rows) == 30
    distances = [row["distance"] for row in rows]
    assert distances == sorted(distances, reverse=True)
    assert rows[0]["cluster"].startswith("captcha ")  # type: ignore[union-attr]


@pytest.mark.parametrize("write", [to_markdown, to_latex])
def test_every_language_states_the_estimator_and_what_was_dropped(regressions: list[Regression], write: object) -> None:
    text = write(publication(regressions, Clusters(("glyph",), (CAPTCHA,)), 0.9))  # type: ignore[operator]
    for words in ("Ordinary least squares", "linear probability model", "clustered by glyph", "CV3", "CV1", "Liang",
                  "Stata", "degrees of freedom", "90", "Rows (N)", "Clusters (G)", "Adjusted R", "120", "30",
                  "Left out: colour, which has one value in this run (grey)."):
        assert words in text
    assert f"{regressions[1].fit.adjusted_r2:.4f}" in text
    assert f"({regressions[1].fit.standard_error[4]:.4f}) [{regressions[1].fit.standard_error_cv1[4]:.4f}]" in text
    assert "of column (2) was confirmed by linearmodels and statsmodels" in text


def test_markdown_has_as_many_cells_in_every_row(regressions: list[Regression]) -> None:
    lines = to_markdown(publication(regressions, CLUSTERS, 0.95)).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert any("&lt;b>&\\_\\|" in row for row in rows)


def test_latex_has_as_many_cells_in_every_row_and_balanced_braces(regressions: list[Regression]) -> None:
    text = to_latex(publication(regressions, CLUSTERS, 0.95))
    body = text[text.index(r"\toprule"):text.index(r"\bottomrule")]
    cells = [len(re.findall(r"(?<!\\)&", row)) for row in body.splitlines()
             if row.endswith(r"\\") and "multicolumn" not in row]
    assert set(cells) == {2}
    bare = re.sub(r"\\[\\{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert r"50\%\_\#\{x\}" in text
    assert not re.search(r"(?<!\\)[_#]", text)
    open_environments: list[str] = []
    for verb, environment in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if verb == "begin":
            open_environments.append(environment)
        else:
            assert open_environments.pop() == environment
    assert not open_environments



def test_a_regressor_that_one_specification_lacks_leaves_its_cell_empty(regressions: list[Regression]) -> None:
    table = publication(regressions, CLUSTERS, 0.95)
    level = next(line for line in table.lines if line.heading == "Level")
    assert level.values[0] == level.errors[0] == ""
    assert level.values[1] == f"{regressions[1].fit.beta[4]:.4f}".replace("-", "−")
    assert [line.heading for line in table.lines if line.heading] == ["Noise, against none", "Level", "Constant"]
