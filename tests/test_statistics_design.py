"""Variables as columns of X: against formulaic, and what a run cannot tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix

from stages.statistics.design import Dropped, Factor, build_design, make_factor

NOISE = ("fog", "gaussian", "none")


def coded(rows: pd.DataFrame, name: str, reference: str) -> Factor:
    categories = sorted(set(rows[name]))
    return make_factor(name, np.array([categories.index(value) for value in rows[name]]), categories, reference)


@pytest.fixture
def rows() -> pd.DataFrame:
    """Every noise at two levels, clean once, two colours."""
    doses = [("none", 0.0), ("fog", 0.3), ("fog", 0.6), ("gaussian", 0.3), ("gaussian", 0.6)]
    return pd.DataFrame([(noise, level, colour) for noise, level in doses for colour in ("grey", "black", "grey")],
                        columns=["noise", "level", "colour"]).sample(frac=1, random_state=1)


@pytest.fixture
def factors(rows: pd.DataFrame) -> dict[str, Factor]:
    return {"noise": coded(rows, "noise", "none"), "colour": coded(rows, "colour", "black")}


@pytest.mark.parametrize(("terms", "formula"), [
    (("noise", "level", "colour"), "C(noise, contr.treatment('none')) + level + C(colour, contr.treatment('black'))"),
    (("level:noise", "colour"), "{level*(noise=='fog')} + {level*(noise=='gaussian')} + C(colour)"),
])
def test_columns_are_those_of_the_formula(rows: pd.DataFrame, factors: dict[str, Factor], terms: tuple[str, ...],
                                          formula: str) -> None:
    design = build_design(terms, factors, {"level": rows["level"].to_numpy()})
    np.testing.assert_array_equal(design.X, model_matrix(formula, rows).to_numpy(float))
    assert design.dropped == ()


def test_columns_say_what_they_stand_for(rows: pd.DataFrame, factors: dict[str, Factor]) -> None:
    design = build_design(("noise", "level", "level:noise"), factors, {"level": rows["level"].to_numpy()})
    assert design.names == ("constant", "noise[fog]", "noise[gaussian]", "level", "level:noise[fog]",
                            "level:noise[gaussian]")
    assert [column.label for column in design.columns][3:] == ["level", "level × noise fog", "level × noise gaussian"]
    assert design.references == {"noise": "none"}


def test_the_reference_comes_first_and_absent_categories_are_forgotten() -> None:
    factor = make_factor("noise", np.array([3, 1, 1, 0]), ["c", "b", "x", "a"], "b")
    assert factor.categories == ("b", "c", "a")
    np.testing.assert_array_equal(factor.codes, [2, 0, 0, 1])


def test_a_reference_that_does_not_occur_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"regression\.references\.noise: 'shot' does not occur.*fog, none"):
        make_factor("noise", np.array([0, 2]), NOISE, "shot")


def test_a_factor_with_one_value_is_dropped_whatever_its_reference(rows: pd.DataFrame) -> None:
    factors = {"colour": make_factor("colour", np.zeros(len(rows), np.int64), ["grey"], "black"),
               "noise": coded(rows, "noise", "none")}
    design = build_design(("colour", "noise"), factors, {"level": rows["level"].to_numpy()})
    assert design.dropped == (Dropped("colour", "has one value in this run (grey)"),)
    assert design.names == ("constant", "noise[fog]", "noise[gaussian]")
    assert "colour" not in design.references


def test_one_level_a_noise_type_leaves_the_type_and_drops_the_level(rows: pd.DataFrame,
                                                                    factors: dict[str, Factor]) -> None:
    level = np.where(rows["noise"] == "none", 0.0, 0.6)
    design = build_design(("noise", "level"), factors, {"level": level})
    assert design.names == ("constant", "noise[fog]", "noise[gaussian]")
    assert design.dropped[0].term == "level"
    assert "noise.steps" in design.dropped[0].reason
    slopes = build_design(("level:noise",), factors, {"level": level})
    assert slopes.names == ("constant", "level:noise[fog]", "level:noise[gaussian]")
    assert np.linalg.matrix_rank(slopes.X) == 3


def test_a_level_that_is_zero_everywhere_is_dropped_with_its_slopes(rows: pd.DataFrame,
                                                                    factors: dict[str, Factor]) -> None:
    design = build_design(("level", "level:noise", "colour"), factors, {"level": np.zeros(len(rows))})
    assert design.names == ("constant", "colour[grey]")
    assert [dropped.reason for dropped in design.dropped] == ["has one value in this run (0)",
                                                              "is 0 in every row, as level is"]


@pytest.mark.parametrize(("term", "complaint"), [
    ("nois", "no variable 'nois': there are level, noise, colour"),
    ("level:size", "no variable 'size'"),
    ("noise:colour", "expected a variable or number:factor; numbers are level"),
    ("noise:level", "expected a variable or number:factor"),
])
def test_an_unknown_term_is_refused_with_what_there_is(rows: pd.DataFrame, factors: dict[str, Factor], term: str,
                                                       complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build_design(("noise", term), factors, {"level": rows["level"].to_numpy()})
