"""Terms as columns of X: the spaces of formulaic, polynomials, blocks, and what a run cannot tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from clustered_rows import Floats
from formulaic import model_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.statistics.coding import build_design, orthogonal
from stages.statistics.design_matrix import Design, Dropped, Factor, Variables, make_factor
from stages.statistics.formulas import parse_formula

NOISE = ("fog", "gaussian", "none")
REFERENCES = {"noise": "none", "colour": "black", "reader": "1"}


def coded(rows: pd.DataFrame, name: str) -> Factor:
    categories = sorted(set(rows[name]))
    return make_factor(
        name,
        np.array([categories.index(value) for value in rows[name]]),
        categories,
        REFERENCES[name],
    )


def variables(rows: pd.DataFrame) -> Variables:
    """Texts are factors, numbers numbers."""
    factors = {name: coded(rows, name) for name in rows if name in REFERENCES}
    numbers = {name: rows[name].to_numpy(float) for name in rows if name not in REFERENCES}
    doses = {"level": ("noise", "none")} if "noise" in factors else {}
    return Variables(factors, numbers, len(rows), doses)


def design_of(formula: str, rows: pd.DataFrame) -> Design:
    given_rows = variables(rows)
    return build_design(
        parse_formula(formula, given_rows.names, {"dose": "level"}, "here"), given_rows
    )


def matrix(formula: str, rows: pd.DataFrame) -> Floats:
    return design_of(formula, rows).block(variables(rows), slice(None))


def rank(X: Floats) -> int:
    return int(np.linalg.matrix_rank(X / np.sqrt(np.square(X).sum(axis=0)).clip(1e-300), tol=1e-7))


def same_space(X: Floats, formula: str, rows: pd.DataFrame) -> None:
    """X has the columns' space of formulaic's matrix, and none too many."""
    wanted = model_matrix(formula.replace("dose", "level"), rows).to_numpy(float)
    assert rank(X) == X.shape[1], "X is of full rank"
    assert rank(wanted) == rank(X) == rank(np.column_stack([X, wanted]))


def crossed(seed: int, N: int = 400) -> pd.DataFrame:
    """Every category with every other, and two numbers that none of them says."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "noise": rng.choice(NOISE, N),
            "colour": rng.choice(["black", "grey"], N),
            "reader": rng.choice(["1", "2", "3"], N),
            "level": rng.choice([0.1, 0.3, 0.4, 0.9, 1.7], N),
            "size": rng.uniform(1, 2, N),
        }
    )


@pytest.fixture
def rows() -> pd.DataFrame:
    """Every noise at four levels, clean at 0 alone, two colours, shuffled."""
    doses = [
        ("none", 0.0),
        *((noise, level) for noise in ("fog", "gaussian") for level in (0.2, 0.3, 0.6, 0.7)),
    ]
    return pd.DataFrame(
        [(noise, level, colour) for noise, level in doses for colour in ("grey", "black", "grey")],
        columns=["noise", "level", "colour"],
    ).sample(frac=1, random_state=1)


@pytest.mark.parametrize(
    "formula",
    [
        "noise",
        "level",
        "noise + colour + level",
        "noise*colour",
        "noise:colour",
        "noise + noise:colour",
        "noise/colour",
        "noise*level",
        "noise:level",
        "level + noise:level",
        "noise + noise:level",
        "poly(dose, 3)",
        "noise*poly(dose, 2)",
        "noise:poly(level, 2)",
        "noise + noise:poly(dose, 2)",
        "center(size) + level",
        "level*size",
        "center(size):level",
        "poly(level, 2):poly(size, 2)",
        "noise*colour*reader",
        "(noise + colour + reader)**2",
        "noise:colour:level",
        "noise*colour*level",
        "noise + colour + noise:colour:size",
        "level:noise + colour",
        "poly(level, 4)",
        "noise*colour - colour",
        "noise:colour + colour:reader + colour",
    ],
)
def test_columns_span_what_formulaic_codes(formula: str) -> None:
    rows = crossed(1)
    same_space(matrix(formula, rows), formula, rows)
    assert design_of(formula, rows).dropped == ()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    operator=st.sampled_from(["+", "*", ":", "/"]),
    chosen=st.sets(
        st.sampled_from(["noise", "colour", "reader", "level", "poly(size, 2)"]),
        min_size=1,
        max_size=3,
    ),
)
def test_any_variables_joined_any_way_span_what_formulaic_codes(
    seed: int, operator: str, chosen: set[str]
) -> None:
    rows = crossed(seed)
    formula = f" {operator} ".join(sorted(chosen))
    same_space(matrix(formula, rows), formula, rows)


def test_factors_are_dummies_against_their_reference() -> None:
    rows = crossed(2)
    np.testing.assert_array_equal(
        matrix("noise + level + colour", rows),
        model_matrix(
            "C(noise, contr.treatment('none')) + level + C(colour, contr.treatment('black'))", rows
        ),
    )


def test_slopes_alone_are_one_a_category() -> None:
    rows = crossed(3)
    np.testing.assert_array_equal(
        matrix("level:noise", rows)[:, 1:],
        rows["level"].to_numpy()[:, None]
        * (rows["noise"].to_numpy()[:, None] == ["none", "fog", "gaussian"]),
    )


@pytest.mark.parametrize(
    "formula",
    [
        "dose*noise",
        "noise + dose:noise",
        "dose:noise",
        "noise*poly(dose, 2)",
        "noise*center(dose)",
        "noise + poly(dose, 3):noise + colour*noise",
        "noise*colour*dose",
    ],
)
def test_a_clean_rendering_has_no_slope_and_the_space_is_formulaics(
    rows: pd.DataFrame, formula: str
) -> None:
    X = matrix(formula, rows)
    same_space(X, formula, rows)
    assert not any("none" in column.category for column in design_of(formula, rows).columns)


def test_columns_say_what_they_stand_for(rows: pd.DataFrame) -> None:
    design = design_of("noise + level:noise + noise:colour", rows)
    assert design.names == (
        "constant",
        "noise[fog]",
        "noise[gaussian]",
        "level:noise[fog]",
        "level:noise[gaussian]",
        "noise:colour[none × grey]",
        "noise:colour[fog × grey]",
        "noise:colour[gaussian × grey]",
    )
    assert [column.label for column in design.columns][2:4] == ["noise gaussian", "level × fog"]
    assert design.references == {"noise": "none"}
    assert design.terms == {"noise": [1, 2], "level:noise": [3, 4], "noise:colour": [5, 6, 7]}


def test_a_product_with_a_main_effect_has_the_first_category_with_a_slope_for_its_reference(
    rows: pd.DataFrame,
) -> None:
    design = design_of("noise*dose", rows)
    assert design.names == (
        "constant",
        "noise[fog]",
        "noise[gaussian]",
        "level",
        "noise:level[gaussian]",
    )
    assert design.references == {"noise": "none", "noise:level": "fog"}


def test_polynomials_are_named_by_their_order_and_multiplied_by_category(
    rows: pd.DataFrame,
) -> None:
    assert design_of("poly(dose, 2)", rows).names == (
        "constant",
        "poly(level)[order 1]",
        "poly(level)[order 2]",
    )
    assert design_of("poly(dose, 2):noise", rows).names[1:] == (
        "poly(level):noise[order 1 × fog]",
        "poly(level):noise[order 1 × gaussian]",
        "poly(level):noise[order 2 × fog]",
        "poly(level):noise[order 2 × gaussian]",
    )


def test_polynomials_are_uncorrelated_and_centred_over_the_rows() -> None:
    X = matrix("poly(level, 4)", crossed(4))
    XX = X.T @ X
    np.testing.assert_allclose(XX - np.diag(np.diag(XX)), 0, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.integers(-50, 50), min_size=5, max_size=12, unique=True),
    order=st.integers(1, 4),
    scale=st.sampled_from([0.01, 1.0, 100.0]),
    seed=st.integers(0, 99),
)
def test_orthogonal_polynomials_are_so_over_any_values_in_units_of_their_power(
    values: list[int], order: int, scale: float, seed: int
) -> None:
    x = scale * np.random.default_rng(seed).choice(values, 40).astype(float)
    x[: len(values)] = scale * np.array(values)
    found = orthogonal(x, order)
    assert [len(polynomial) for polynomial in found] == list(range(2, order + 2))
    assert all(polynomial[0] == 1 for polynomial in found)
    P = np.column_stack([np.ones(len(x)), *(np.polyval(polynomial, x) for polynomial in found)])
    P /= np.sqrt(np.square(P).sum(axis=0))
    np.testing.assert_allclose(P.T @ P, np.eye(order + 1), atol=1e-7)


def test_center_is_the_number_less_its_mean() -> None:
    rows = crossed(5)
    np.testing.assert_allclose(
        matrix("center(size)", rows)[:, 1], rows["size"] - rows["size"].mean(), atol=1e-12
    )
    np.testing.assert_allclose(
        matrix("center(size):colour", rows)[:, 2],
        np.where(rows["colour"] == "grey", rows["size"] - rows["size"].mean(), 0),
        atol=1e-12,
    )


@pytest.mark.parametrize("extra", ["", "*colour"])
def test_a_centred_dose_is_zero_in_clean_rows_and_its_mean_is_over_the_others(
    rows: pd.DataFrame, extra: str
) -> None:
    noisy = rows["noise"] != "none"
    centred = np.where(noisy, rows["level"] - rows["level"][noisy].mean(), 0)
    design = design_of(f"center(dose){extra}", rows)
    X = matrix(f"center(dose){extra}", rows)
    np.testing.assert_allclose(X[:, design.names.index("level")], centred, atol=1e-12)
    if extra:
        np.testing.assert_allclose(X[:, -1], centred * (rows["colour"] == "grey"), atol=1e-12)


@pytest.mark.parametrize("formula", ["noise + center(dose)", "noise + noise:center(dose)"])
def test_beside_a_centred_dose_a_noise_coefficient_is_its_average_cost(
    rows: pd.DataFrame, formula: str
) -> None:
    y = np.random.default_rng(3).normal(size=len(rows))
    design = design_of(formula, rows)
    beta = np.linalg.lstsq(matrix(formula, rows), y, rcond=None)[0]
    means = pd.Series(y, rows.index).groupby(rows["noise"]).mean()
    for noise in ("fog", "gaussian"):
        assert beta[design.names.index(f"noise[{noise}]")] == pytest.approx(
            means[noise] - means["none"]
        )


def test_centred_slopes_are_one_a_noise_type_and_none_for_clean(rows: pd.DataFrame) -> None:
    design = design_of("noise + noise:center(dose)", rows)
    assert design.names == (
        "constant",
        "noise[fog]",
        "noise[gaussian]",
        "noise:level[fog]",
        "noise:level[gaussian]",
    )
    assert [column.label for column in design.columns][3:] == ["fog × level", "gaussian × level"]
    assert design_of("(noise + noise:center(dose))*colour", rows).names[-2:] == (
        "noise:level:colour[fog × grey]",
        "noise:level:colour[gaussian × grey]",
    )


def test_a_product_names_the_factor_of_a_category_that_is_a_number_or_a_letter() -> None:
    rows = crossed(2)
    labels = [column.label for column in design_of("noise:reader + poly(size, 2)", rows).columns]
    assert "fog × reader 2" in labels
    assert labels[-1] == "size (order 2)"


def test_one_level_leaves_no_centred_dose(rows: pd.DataFrame) -> None:
    single = rows.assign(level=np.where(rows["noise"] == "none", 0.0, 0.6))
    for formula in ("noise + center(dose)", "center(dose) + colour", "noise + noise:center(dose)"):
        design = design_of(formula, single)
        assert [dropped.reason.startswith("has one value") for dropped in design.dropped] == [True]
        assert rank(matrix(formula, single)) == len(design.columns)


@settings(max_examples=25, deadline=None)
@given(
    start=st.integers(0, 400),
    rows=st.integers(0, 400),
    formula=st.sampled_from(["noise*poly(dose, 2)", "noise:colour + size", "level:size:reader"]),
)
def test_a_block_is_a_slice_of_the_whole(start: int, rows: int, formula: str) -> None:
    data = crossed(6)
    design = design_of(formula, data)
    given_rows = variables(data)
    np.testing.assert_array_equal(
        design.block(given_rows, slice(start, start + rows)),
        design.block(given_rows, slice(None))[start : start + rows],
    )


def test_rows_in_another_order_are_the_matrix_in_that_order() -> None:
    data = crossed(7)
    order = np.random.default_rng(8).permutation(len(data))[:100]
    design = design_of("noise*poly(dose, 2) + colour:size", data)
    given_rows = variables(data)
    np.testing.assert_array_equal(
        design.block(given_rows.take(order), slice(None)),
        design.block(given_rows, slice(None))[order],
    )
    assert given_rows.take(order).rows == 100


def test_the_reference_comes_first_and_absent_categories_are_forgotten() -> None:
    factor = make_factor("noise", np.array([3, 1, 1, 0]), ["c", "b", "x", "a"], "b")
    assert factor.categories == ("b", "c", "a")
    np.testing.assert_array_equal(factor.codes, [2, 0, 0, 1])


def test_a_reference_that_does_not_occur_is_refused_with_the_list() -> None:
    with pytest.raises(
        ValueError, match=r"regression\.references\.noise: 'shot' does not occur.*fog, none"
    ):
        make_factor("noise", np.array([0, 2]), NOISE, "shot")


def test_a_polynomial_of_a_factor_is_refused_with_the_numbers(rows: pd.DataFrame) -> None:
    with pytest.raises(
        ValueError, match=r"^term poly\(noise\): noise is a factor: expected a number \(level\)$"
    ):
        design_of("level + poly(noise, 2)", rows)
    with pytest.raises(ValueError, match="colour is a factor"):
        design_of("noise:center(colour)", rows)


def test_a_factor_with_one_value_is_dropped_whatever_its_reference(rows: pd.DataFrame) -> None:
    design = design_of("colour*noise", rows.assign(colour="white"))
    assert design.dropped == (
        Dropped("colour", "has one value in this run (white)"),
        Dropped("colour:noise", "has one value in this run (white)"),
    )
    assert design.names == ("constant", "noise[fog]", "noise[gaussian]")
    assert "colour" not in design.references


def test_one_value_of_a_factor_that_is_only_in_a_product_leaves_the_rest(
    rows: pd.DataFrame,
) -> None:
    alone = rows.assign(colour="white")
    X = matrix("noise + colour:level", alone)
    same_space(X, "noise + level", alone)


def test_one_level_a_noise_type_leaves_the_type_and_drops_the_level(rows: pd.DataFrame) -> None:
    single = rows.assign(level=np.where(rows["noise"] == "none", 0.0, 0.6))
    design = design_of("noise + level", single)
    assert design.names == ("constant", "noise[fog]", "noise[gaussian]")
    assert [dropped.term for dropped in design.dropped] == ["level"]
    assert (
        "has one value within each noise, which already says it (see noise.steps)"
        in design.dropped[0].reason
    )
    assert design_of("level:noise", single).names == (
        "constant",
        "level:noise[fog]",
        "level:noise[gaussian]",
    )
    assert rank(matrix("level:noise", single)) == 3


def test_a_level_that_is_zero_everywhere_is_dropped_with_its_slopes(rows: pd.DataFrame) -> None:
    design = design_of("level + level:noise + colour", rows.assign(level=0.0))
    assert design.names == ("constant", "colour[grey]")
    assert [dropped.reason for dropped in design.dropped] == [
        "has one value in this run (0)",
        "is 0 in every row, as level is",
    ]


@pytest.mark.parametrize(
    ("formula", "wanted", "lost"),
    [
        ("poly(dose, 5)", "poly(level, 4)", "order 5 of poly(level)"),  # 0 and four levels
        ("noise + poly(dose, 5)", "noise + poly(level, 3)", "order 4 and 5 of poly(level)"),
        ("noise + noise:poly(dose, 4)", "noise + noise:poly(level, 3)", "order 4 of poly(level)"),
        ("noise*poly(dose, 4)", "noise*poly(level, 3)", "order 4 of poly(level)"),
    ],
)
def test_a_polynomial_keeps_the_orders_that_its_values_can_tell(
    rows: pd.DataFrame, formula: str, wanted: str, lost: str
) -> None:
    design = design_of(formula, rows)
    assert {dropped.term for dropped in design.dropped} == {lost}
    assert "cannot be told, since level has" in design.dropped[0].reason
    assert design.names == design_of(wanted, rows).names
    same_space(matrix(formula, rows), wanted, rows)


def test_a_product_of_categories_without_rows_is_dropped_by_name(rows: pd.DataFrame) -> None:
    some = rows[~((rows["noise"] == "fog") & (rows["colour"] == "grey"))]
    design = design_of("noise*colour", some)
    X = matrix("noise*colour", some)
    assert design.dropped == (Dropped("noise:colour", "has no rows for fog × grey"),)
    assert rank(X) == X.shape[1] == 5
    same_space(X, "noise*colour", some)


@pytest.mark.parametrize("formula", ["noise:colour", "noise*colour"])
def test_a_missing_combination_with_a_reference_leaves_a_column_for_each_that_there_is(
    rows: pd.DataFrame, formula: str
) -> None:
    some = rows[~((rows["noise"] == "none") & (rows["colour"] == "black"))]
    same_space(matrix(formula, some), formula, some)


def test_a_saturated_design_foretells_the_means_of_its_cells(rows: pd.DataFrame) -> None:
    y = np.random.default_rng(9).normal(size=len(rows))
    X = matrix("noise:colour", rows)
    means = pd.Series(y, rows.index).groupby([rows["noise"], rows["colour"]]).transform("mean")
    np.testing.assert_allclose(X @ np.linalg.lstsq(X, y, rcond=None)[0], means)
