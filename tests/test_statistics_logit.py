"""Logistic regression with clustered errors and average effects: statsmodels, brute force, and what has no estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit

from stages.statistics.coding import build_design
from stages.statistics.design_matrix import Design, Factor, Variables, make_factor
from stages.statistics.formulas import parse_formula
from stages.statistics.least_squares import Blocks, into_blocks, least_squares
from stages.statistics.logit import fit_logit
from stages.statistics.marginal_effects import Effect, average_effects
from stages.statistics.significance import Inference

FORMULAS = (
    "noise + dose + colour + reader",
    "noise*poly(dose, 2) + colour",
    "dose:noise + poly(size, 3):reader + colour:reader",
    "noise*colour + poly(dose, 2)*center(size)",
)


def ragged(
    rng: np.random.Generator, clusters: int = 60, K: int = 5
) -> tuple[Any, Any, Any, list[str]]:
    """Rows in clusters of 1 to 9, sorted, labels with gaps and below zero; the rows of one share an error."""
    labels = np.sort(rng.permutation(3 * clusters)[:clusters] - clusters)
    sizes = rng.integers(1, 10, clusters)
    cluster = np.repeat(labels, sizes)
    X = np.repeat(rng.normal(size=(clusters, K)), sizes, axis=0) + rng.normal(
        size=(len(cluster), K)
    )
    X[:, 0] = 1
    log_odds = X @ rng.normal(size=K) * 0.5 + np.repeat(rng.normal(size=clusters), sizes)
    return (
        X,
        (rng.random(len(cluster)) < expit(log_odds)).astype(float),
        cluster,
        [f"x{k}" for k in range(K)],
    )


def study(seed: int, clusters: int = 150) -> tuple[Variables, Any, Any]:
    """Variables, successes (N,) and clusters (N,) of 2 to 5 rows, which have one noise, dose and size."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, clusters)
    cluster = np.repeat(np.arange(clusters), sizes)
    noise = np.repeat(rng.permutation(np.arange(clusters) % 4), sizes)
    dose = np.where(noise == 0, 0, np.repeat(rng.integers(1, 7, clusters) / 6, sizes))
    colour = rng.integers(0, 3, len(cluster))
    reader = rng.integers(0, 2, len(cluster))
    size = np.repeat(rng.normal(30, 3, clusters), sizes)
    log_odds = (
        1
        - 2 * dose * (noise != 2)
        + 0.5 * colour * (reader - 0.5)
        + np.repeat(rng.normal(size=clusters), sizes)
    )
    variables = Variables(
        {
            "noise": make_factor("noise", noise, ["none", "fog", "salt", "blur"], "none"),
            "colour": make_factor("colour", colour, ["red", "black", "grey"], "black"),
            "reader": make_factor("reader", reader, ["clean", "noisy"], "clean"),
        },
        {"dose": dose, "size": size},
        len(cluster),
    )
    return variables, (rng.random(len(cluster)) < expit(log_odds)).astype(float), cluster


def designed(formula: str, variables: Variables) -> Design:
    return build_design(parse_formula(formula, variables.names, {}, "formula"), variables)


def streamed(design: Design, variables: Variables, y: Any, cluster: Any) -> Blocks:
    return into_blocks(design.block(variables, slice(0, variables.rows)), y, cluster)


def by_statsmodels(X: Any, y: Any, cluster: Any) -> Any:
    groups = np.unique(cluster, return_inverse=True)[1]
    return sm.Logit(y, X).fit(
        disp=0,
        method="newton",
        tol=1e-12,
        maxiter=100,
        cov_type="cluster",
        cov_kwds={"groups": groups},
        use_t=True,
    )


def changed(variables: Variables, name: str, value: Any) -> Variables:
    """All rows with one category (its code) of a factor, or with other values of a number."""
    if name in variables.numbers:
        return replace(variables, numbers={**variables.numbers, name: value})
    factor = variables.factors[name]
    return replace(
        variables,
        factors={
            **variables.factors,
            name: Factor(np.full(variables.rows, value), factor.categories),
        },
    )


def brute_force(
    design: Design,
    variables: Variables,
    beta: Any,
    predict: Callable[[Any, Any], Any],
    effect: Effect,
) -> float:
    """The average effect from whole counterfactual data; a derivative by Richardson's extrapolation of differences."""

    def mean(value: Any) -> float:
        X = design.block(changed(variables, effect.variable, value), slice(0, variables.rows))
        return float(predict(beta, X).mean())

    if effect.category:
        return mean(variables.factors[effect.variable].categories.index(effect.category)) - mean(0)
    number = variables.numbers[effect.variable]
    h = 1e-3
    wide, narrow = ((mean(number + step) - mean(number - step)) / (2 * step) for step in (2 * h, h))
    return (4 * narrow - wide) / 3


@pytest.mark.parametrize("seed", range(3))
def test_coefficients_and_clustered_errors_are_statsmodels(seed: int) -> None:
    X, y, cluster, names = ragged(np.random.default_rng(seed))
    fit = fit_logit(into_blocks(X, y, cluster, rows=40), names)
    wanted = by_statsmodels(X, y, cluster)
    np.testing.assert_allclose(fit.beta, wanted.params, rtol=1e-6)
    np.testing.assert_allclose(fit.covariance, wanted.cov_params(), rtol=1e-6)
    np.testing.assert_allclose(fit.standard_error, wanted.bse, rtol=1e-6)
    np.testing.assert_allclose(np.exp(fit.log_p), wanted.pvalues, rtol=1e-5)
    np.testing.assert_allclose(fit.interval(0.9), wanted.conf_int(alpha=0.1), rtol=1e-5)
    assert fit.log_likelihood == pytest.approx(wanted.llf, rel=1e-9)
    assert (fit.observations, fit.clusters, fit.df, fit.names) == (len(y), 60, 59, tuple(names))


def test_units_of_a_column_do_not_matter() -> None:
    X, y, cluster, names = ragged(np.random.default_rng(3))
    units = np.array([1, 1e6, 1e-6, 1, 1e3])
    fit = fit_logit(into_blocks(X, y, cluster), names)
    other = fit_logit(into_blocks(X * units, y, cluster), names)
    np.testing.assert_allclose(other.beta * units, fit.beta, rtol=1e-9)
    np.testing.assert_allclose(other.standard_error * units, fit.standard_error, rtol=1e-9)


@settings(max_examples=10, deadline=None)
@given(rows=st.integers(1, 400), seed=st.integers(0, 5))
def test_cutting_into_blocks_changes_nothing(rows: int, seed: int) -> None:
    variables, y, cluster = study(seed, clusters=80)
    design = designed("noise + poly(dose, 2) + colour", variables)
    X = design.block(variables, slice(0, variables.rows))
    one, few = (
        fit_logit(into_blocks(X, y, cluster, rows=size), design.names) for size in (10**6, rows)
    )
    np.testing.assert_allclose(few.beta, one.beta, rtol=1e-8)
    np.testing.assert_allclose(few.covariance, one.covariance, rtol=1e-7, atol=1e-10)
    whole, parts = (
        average_effects(design, variables, one, link="logit", confidence=0.9, rows=size)
        for size in (10**6, rows)
    )
    for effect, other in zip(whole, parts, strict=True):
        assert (effect.variable, effect.category) == (other.variable, other.category)
        assert (effect.estimate, effect.standard_error, effect.low, effect.high) == pytest.approx(
            (other.estimate, other.standard_error, other.low, other.high), rel=1e-9, abs=1e-12
        )


def full_steps(X: Any, y: Any) -> Any:
    beta = np.zeros(X.shape[1])
    for _ in range(50):
        p = expit(X @ beta)
        beta += np.linalg.solve(X.T @ (X * (p * (1 - p))[:, None]), X.T @ (y - p))
    return beta


def test_a_newton_step_too_far_is_halved() -> None:
    """Two rows far out: Newton's full steps overshoot until no row has any weight; the maximum has a score of 0."""
    X = np.array(
        [[1, 0, 0], [1, 0, 1], [1, -4, 0], [1, 7, 152], [1, 1, -5], [1, 1, -3], [1, -98, 0.0]]
    )
    y = np.array([1, 0, 1, 1, 0, 0, 1.0])
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        full_steps(X, y)
    fit = fit_logit(into_blocks(X, y, np.arange(7)), ["constant", "x", "z"])
    np.testing.assert_allclose((y - expit(X @ fit.beta)) @ X, 0, atol=1e-9)


def test_statsmodels_agrees_where_a_factor_is_one_column() -> None:
    """Its get_margeff takes columns for variables, which is right for two categories and a straight line alone."""
    variables, y, cluster = study(4)
    design = designed("reader + dose + colour", variables)
    X = design.block(variables, slice(0, variables.rows))
    margins = by_statsmodels(X, y, cluster).get_margeff(at="overall", dummy=True)
    effects = average_effects(
        design,
        variables,
        fit_logit(into_blocks(X, y, cluster), design.names),
        link="logit",
        confidence=0.95,
    )
    chosen = [effect for effect in effects if effect.variable in ("reader", "dose")]
    place = [design.names.index(name) - 1 for name in ("reader[noisy]", "dose")]
    np.testing.assert_allclose(
        [effect.estimate for effect in chosen], margins.margeff[place], rtol=1e-7
    )
    np.testing.assert_allclose(
        [effect.standard_error for effect in chosen], margins.margeff_se[place], rtol=1e-7
    )


@pytest.mark.parametrize("link", ["logit", "identity"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_effects_are_those_of_brute_force(formula: str, link: Literal["logit", "identity"]) -> None:
    variables, y, cluster = study(11)
    design = designed(formula, variables)
    X = design.block(variables, slice(0, variables.rows))
    if link == "logit":
        reference = by_statsmodels(X, y, cluster)
        predict = sm.Logit(y, X).predict
        fit: Inference = fit_logit(into_blocks(X, y, cluster), design.names)
    else:
        groups = np.unique(cluster, return_inverse=True)[1]
        reference = sm.OLS(y, X).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
        predict = sm.OLS(y, X).predict
        fit = least_squares(into_blocks(X, y, cluster), design.names, leave_out=False)
    effects = average_effects(design, variables, fit, link=link, confidence=0.9)
    assert {effect.variable for effect in effects} == {
        name for name in variables.names if name in formula
    }
    for effect in effects:
        assert effect.estimate == pytest.approx(
            brute_force(design, variables, reference.params, predict, effect), rel=1e-6, abs=1e-8
        )
        gradient = numeric_gradient(design, variables, reference.params, predict, effect)
        error = np.sqrt(gradient @ reference.cov_params() @ gradient)
        assert effect.standard_error == pytest.approx(error, rel=1e-5)
        half = stats.t.ppf(0.95, len(set(cluster)) - 1) * effect.standard_error
        assert (effect.low, effect.high) == pytest.approx(
            (effect.estimate - half, effect.estimate + half)
        )


def numeric_gradient(
    design: Design,
    variables: Variables,
    beta: Any,
    predict: Callable[[Any, Any], Any],
    effect: Effect,
) -> Any:
    found = np.empty(len(beta))
    for k in range(len(beta)):
        h = np.zeros(len(beta))
        h[k] = 1e-4 / np.abs(design.block(variables, slice(0, variables.rows))[:, k]).max()
        ends = [
            brute_force(design, variables, beta + sign * h, predict, effect) for sign in (1, -1)
        ]
        found[k] = (ends[0] - ends[1]) / (2 * h[k])
    return found


def test_linear_effects_without_interactions_are_the_coefficients() -> None:
    variables, y, cluster = study(6)
    design = designed("noise + dose + colour + reader + size", variables)
    fit = least_squares(streamed(design, variables, y, cluster), design.names)
    effects = average_effects(design, variables, fit, link="identity", confidence=0.95)
    assert [
        f"{effect.variable}[{effect.category}]" if effect.category else effect.variable
        for effect in effects
    ] == list(design.names[1:])
    np.testing.assert_allclose([effect.estimate for effect in effects], fit.beta[1:], rtol=1e-9)
    np.testing.assert_allclose(
        [effect.standard_error for effect in effects], fit.standard_error[1:], rtol=1e-9
    )
    np.testing.assert_allclose(
        [(effect.low, effect.high) for effect in effects], fit.interval(0.95)[1:], rtol=1e-8
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_saturated_logit_has_the_effects_of_least_squares(seed: int) -> None:
    """Both give the shares of the cells, with the same errors: nothing is left for the link to say."""
    variables, y, cluster = study(seed)
    for formula in ("colour", "colour*reader"):
        design = designed(formula, variables)
        blocks = streamed(design, variables, y, cluster)
        linear = average_effects(
            design,
            variables,
            least_squares(blocks, design.names, leave_out=False),
            link="identity",
            confidence=0.95,
        )
        logistic = average_effects(
            design, variables, fit_logit(blocks, design.names), link="logit", confidence=0.95
        )
        for one, other in zip(linear, logistic, strict=True):
            assert (one.estimate, one.standard_error) == pytest.approx(
                (other.estimate, other.standard_error), rel=1e-7, abs=1e-10
            )


def test_the_less_sure_of_two_covariances_is_the_error() -> None:
    variables, y, cluster = study(7)
    design = designed("noise*dose + colour", variables)
    fit = fit_logit(streamed(design, variables, y, cluster), design.names)
    doubled = Inference(fit.beta, fit.df, (fit.covariance, 4 * fit.covariance), fit.covariances_cv1)
    for once, twice in zip(
        average_effects(design, variables, fit, link="logit", confidence=0.9),
        average_effects(design, variables, doubled, link="logit", confidence=0.9),
        strict=True,
    ):
        assert twice.standard_error == pytest.approx(2 * once.standard_error)


def test_a_number_within_its_own_polynomial_is_differentiated_as_a_product() -> None:
    variables, y, cluster = study(8)
    design = designed("dose + dose:poly(dose, 2)", variables)
    fit = least_squares(streamed(design, variables, y, cluster), design.names)
    (effect,) = average_effects(design, variables, fit, link="identity", confidence=0.9)
    assert effect.estimate == pytest.approx(
        brute_force(design, variables, fit.beta, lambda beta, X: X @ beta, effect), rel=1e-8
    )


@pytest.mark.parametrize("reference", ["none", "fog"])
def test_the_effect_of_a_noise_is_over_its_own_rows_at_their_own_doses(reference: str) -> None:
    variables, y, cluster = study(11)
    names = ["none", "fog", "salt", "blur"]
    codes = np.array([names.index(name) for name in variables.factors["noise"].categories])[
        variables.factors["noise"].codes
    ]
    variables = replace(
        variables,
        factors={**variables.factors, "noise": make_factor("noise", codes, names, reference)},
        doses={"dose": ("noise", "none")},
    )
    design = designed("noise*center(dose) + colour", variables)
    fit = fit_logit(streamed(design, variables, y, cluster), design.names)
    found = {
        one.category: one.estimate
        for one in average_effects(design, variables, fit, link="logit", confidence=0.95)
        if one.variable == "noise"
    }
    X = design.block(variables, slice(None))
    none = variables.factors["noise"].categories.index("none")
    bare = changed(changed(variables, "noise", none), "dose", np.zeros(variables.rows))
    cost = expit(X @ fit.beta) - expit(design.block(bare, slice(None)) @ fit.beta)
    means = {name: cost[codes == i].mean() for i, name in enumerate(names)}
    assert found == {
        name: pytest.approx(means[name] - means[reference]) for name in names if name != reference
    }


def test_the_effect_of_a_dose_is_over_the_rows_that_have_it() -> None:
    variables, y, cluster = study(12)
    variables = replace(variables, doses={"dose": ("noise", "none")})
    design = designed("noise + noise:center(dose)", variables)
    fit = least_squares(streamed(design, variables, y, cluster), design.names)
    effect = next(
        one
        for one in average_effects(design, variables, fit, link="identity", confidence=0.95)
        if one.variable == "dose"
    )
    noise = variables.factors["noise"]
    slopes = dict(zip(design.names, fit.beta, strict=True))
    own = [
        slopes[f"noise:dose[{noise.categories[code]}]"]
        for code in noise.codes
        if noise.categories[code] != "none"
    ]
    assert effect.estimate == pytest.approx(np.mean(own))


def test_a_design_of_the_constant_alone_has_no_effects() -> None:
    variables, y, cluster = study(9)
    design = build_design([], variables)
    fit = fit_logit(streamed(design, variables, y, cluster), design.names)
    assert expit(fit.beta[0]) == pytest.approx(y.mean())
    assert average_effects(design, variables, fit, link="logit", confidence=0.9) == []


def test_one_failure_in_a_category_is_an_estimate() -> None:
    cell = np.repeat([0, 1], [200, 4000])
    y = np.r_[np.arange(200) % 2, np.zeros(1), np.ones(3999)]
    fit = fit_logit(
        into_blocks(np.column_stack([np.ones(4200), cell]), y, np.arange(4200)),
        ["constant", "cell"],
    )
    assert fit.beta == pytest.approx([0, np.log(3999)], abs=1e-9)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_a_category_that_is_always_or_never_right_is_named(outcome: float) -> None:
    variables, y, cluster = study(10)
    design = designed("noise + poly(dose, 2) + colour + reader", variables)
    y = np.where(variables.factors["colour"].codes == 1, outcome, y)
    with pytest.raises(
        ValueError,
        match=r"^logit: colour\[red\] tells success from failure by itself .*no estimate$",
    ):
        fit_logit(streamed(design, variables, y, cluster), design.names)


def test_two_categories_that_are_always_right_are_named_and_no_other() -> None:
    variables, y, cluster = study(10)
    design = designed("noise + colour:reader + reader", variables)
    codes = variables.factors["colour"].codes, variables.factors["reader"].codes
    y = np.where((codes[0] == 2) | ((codes[0] == 1) & (codes[1] == 1)), 1.0, y)
    with pytest.raises(
        ValueError, match=r"^logit: (colour:reader\[\w+ × \w+\](, | and )?){3} tell success"
    ):
        fit_logit(streamed(design, variables, y, cluster), design.names)


def test_a_reference_that_is_always_right_names_what_is_compared_with_it() -> None:
    variables, y, cluster = study(10)
    design = designed("reader + colour", variables)
    y = np.where(variables.factors["colour"].codes == 0, 1.0, y)
    with pytest.raises(
        ValueError, match=r"^logit: constant, colour\[red\] and colour\[grey\] tell success"
    ):
        fit_logit(streamed(design, variables, y, cluster), design.names)


def test_a_number_that_parts_all_successes_from_all_failures_is_named() -> None:
    variables, _, cluster = study(10)
    design = designed("size + colour", variables)
    size = variables.numbers["size"]
    with pytest.raises(
        ValueError, match=r"^logit: constant.*size.* tell success from failure by themselves"
    ):
        fit_logit(streamed(design, variables, (size > 30).astype(float), cluster), design.names)


def test_many_names_are_cut_short() -> None:
    rng = np.random.default_rng(1)
    cell = rng.integers(0, 9, 900)
    cluster = np.arange(900) // 3
    X = np.column_stack([np.ones(900), *(cell == k for k in range(1, 9))]).astype(float)
    y = np.where(cell == 0, 1.0, rng.integers(0, 2, 900))
    with pytest.raises(ValueError, match=r"^logit: c0, c1, c2, c3, c4 and 4 more tell success"):
        fit_logit(into_blocks(X, y, cluster), [f"c{k}" for k in range(9)])


def test_too_few_rounds_are_no_estimate() -> None:
    X, y, cluster, names = ragged(np.random.default_rng(2))
    with pytest.raises(
        ValueError, match=r"^logit: x0.* still changed after 3 rounds: no estimate$"
    ):
        fit_logit(into_blocks(X, y, cluster), names, rounds=3)


def test_an_outcome_without_both_success_and_failure_is_refused() -> None:
    X, y, cluster, names = ragged(np.random.default_rng(2))
    with pytest.raises(
        ValueError, match="the outcome is 1 in every row: there is nothing to explain"
    ):
        fit_logit(into_blocks(X, np.ones_like(y), cluster), names)
    with pytest.raises(ValueError, match=r"expected an outcome of 0 and 1, got 0\.25"):
        fit_logit(into_blocks(X, np.r_[0.25, y[1:]], cluster), names)


def test_what_least_squares_refuses_is_refused() -> None:
    X, y, cluster, names = ragged(np.random.default_rng(2))
    with pytest.raises(ValueError, match="all rows are in one cluster"):
        fit_logit(into_blocks(X, y, np.zeros_like(cluster)), names)
    with pytest.raises(ValueError, match=r"rank 5 .*twice = a combination of x2"):
        fit_logit(into_blocks(np.column_stack([X, 2 * X[:, 2]]), y, cluster), [*names, "twice"])
    with pytest.raises(ValueError, match="5 rows cannot tell 5 coefficients"):
        fit_logit(into_blocks(X[:5], np.array([0, 1, 0, 1, 1.0]), np.arange(5)), names)
    halves = [(X[:9], y[:9], np.zeros(9, np.int64)), (X[9:], y[9:], np.arange(len(y) - 9))]
    with pytest.raises(ValueError, match="cluster 0 comes after 0"):
        fit_logit(lambda: halves, names)
