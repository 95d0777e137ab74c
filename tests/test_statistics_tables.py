"""Tidy rows and the publication table in three languages."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from stages.statistics.design import build_design, make_factor
from stages.statistics.ols import clustered_ols
from stages.statistics.tables import Regression, publication, tidy, to_html, to_latex, to_markdown

AWKWARD = ("<b>&_|", "none", "50%_#{x}", "~^\\$")  # every sign that a language takes for its own


@pytest.fixture(scope="module")
def regressions() -> list[Regression]:
    """A small specification and a larger one, on awkward category names; one category has no error."""
    rng = np.random.default_rng(2)
    codes, cluster = np.tile(np.arange(4), 30), np.repeat(np.arange(30), 4)
    level = np.where(codes == 1, 0.0, rng.random(120))
    factors = {"noise": make_factor("noise", codes, AWKWARD, "none"),
               "colour": make_factor("colour", np.zeros(120, dtype=np.int64), ["grey"], "grey")}
    y = np.where(codes == 1, 1.0, np.where(codes == 2, 0.0, 0.7 - 0.3 * level + rng.normal(size=120)))
    made = []
    for name, terms in (("main", ("noise", "colour")), ("full", ("noise", "level"))):
        design = build_design(terms, factors, {"level": level})
        fit = clustered_ols(design.X, y, cluster, design.names)
        made.append(Regression(name, "all", design.columns, design.references, design.dropped, fit))
    return made


def test_a_tidy_row_holds_the_numbers_of_its_coefficient(regressions: list[Regression]) -> None:
    fit, rows = regressions[1].fit, tidy(regressions[1], 0.9)
    assert [row["term"] for row in rows] == ["constant", "noise", "noise", "noise", "level"]
    assert [row["category"] for row in rows] == ["", "<b>&_|", "50%_#{x}", "~^\\$", ""]
    last = rows[-1]
    assert last["estimate"] == fit.beta[4]
    assert last["t"] == pytest.approx(fit.beta[4] / last["standard_error"])
    assert last["p"] == pytest.approx(2 * stats.t.sf(abs(last["t"]), 29))
    assert last["minus_log10_p"] == pytest.approx(-math.log10(last["p"]))
    assert last["high"] - last["low"] == pytest.approx(2 * stats.t.ppf(0.95, 29) * last["standard_error"])


def test_a_coefficient_without_error_has_empty_cells_and_not_nan(regressions: list[Regression]) -> None:
    row = tidy(regressions[0], 0.95)[0]  # the reference, right in every cluster
    assert (row["estimate"], row["standard_error"]) == (pytest.approx(1), 0)
    assert [row[name] for name in ("t", "p", "minus_log10_p", "low", "high")] == [""] * 5
    assert "(–)" in to_markdown(publication(regressions, "captcha", 0.95))


@pytest.mark.parametrize("write", [to_markdown, to_latex, to_html])
def test_every_language_states_the_estimator_and_what_was_dropped(regressions: list[Regression], write: object) -> None:
    text = write(publication(regressions, "glyph", 0.9))  # type: ignore[operator]
    for words in ("Ordinary least squares", "linear probability model", "clustered by glyph", "CV1", "Liang", "Stata",
                  "degrees of freedom", "90", "Rows (N)", "Clusters (G)", "Adjusted R", "120", "30",
                  "Left out: colour, which has one value in this run (grey)."):
        assert words in text
    assert f"{regressions[1].fit.adjusted_r2:.4f}" in text
    assert f"({regressions[1].fit.standard_error[4]:.4f})" in text


def test_markdown_has_as_many_cells_in_every_row(regressions: list[Regression]) -> None:
    lines = to_markdown(publication(regressions, "captcha", 0.95)).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert any("&lt;b>&\\_\\|" in row for row in rows)


def test_latex_has_as_many_cells_in_every_row_and_balanced_braces(regressions: list[Regression]) -> None:
    text = to_latex(publication(regressions, "captcha", 0.95))
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


def test_html_is_well_formed_and_holds_no_foreign_markup(regressions: list[Regression]) -> None:
    text = to_html(publication(regressions, "captcha", 0.95)).replace("<br>", "<br/>")
    page = ElementTree.fromstring(f"<div>{text}</div>")
    rows = page.findall(".//tr")
    width = {sum(int(cell.get("colspan", "1")) for cell in row) for row in rows}
    assert width == {3}
    assert page.find(".//b") is None
    assert "<b>&_|" in [cell.text for cell in page.iter("th")]


def test_a_regressor_that_one_specification_lacks_leaves_its_cell_empty(regressions: list[Regression]) -> None:
    table = publication(regressions, "captcha", 0.95)
    level = next(line for line in table.lines if line.heading == "Level")
    assert level.values[0] == level.errors[0] == ""
    assert level.values[1] == f"{regressions[1].fit.beta[4]:.4f}".replace("-", "−")
    assert [line.heading for line in table.lines if line.heading] == ["Noise, against none", "Level", "Constant"]
