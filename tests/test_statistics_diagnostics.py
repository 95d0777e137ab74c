"""Looks at a regression against refits and libraries, its sample's blocks, and the oracles that confirm it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import statsmodels.api as sm
from clustered_rows import Floats, Ints, fitted, grunfeld, ragged
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.diagnostic import linear_reset

from stages.statistics.coding import build_design
from stages.statistics.design_matrix import Design, Factor, Variables
from stages.statistics.diagnostics import (
    WithoutCategory,
    added_variables,
    category_moments,
    reset,
    warnings,
    without_categories,
    without_terms,
)
from stages.statistics.formulas import parse_formula
from stages.statistics.least_squares import Fit, into_blocks, least_squares
from stages.statistics.moments import Moments, independent
from stages.statistics.oracles import confirm
from stages.statistics.sample import Sample, intersection

NOISE = ("none", "fog", "shot")
COLOUR = ("black", "grey")

seeds = st.integers(0, 2**32 - 1)


def sample(seed: int = 1, images: int = 100, characters: int = 4) -> Sample:
    """Characters of images, in shuffled order of noise: fog hurts with its level, shot more, grey a little."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 3, images)
    colour = rng.integers(0, 2, images)
    level = np.where(noise > 0, rng.choice([0.1, 0.2, 0.3, 0.7], images), 0.0)
    p = 0.9 - 0.1 * colour - level * np.array([0, 0.5, 0.9])[noise] + rng.normal(0, 0.05, images)
    image = np.repeat(np.arange(images), characters)
    factors = {"noise": Factor(noise[image], NOISE), "colour": Factor(colour[image], COLOUR)}
    success = (rng.random(len(image)) < p[image]).astype(np.uint8)
    return Sample(Variables(factors, {"level": level[image]}, len(image)), success, 3 * image)


def regression(formula: str, rows: Sample) -> tuple[Design, Fit]:
    design = build_design(parse_formula(formula, rows.variables.names, {}, "here"), rows.variables)
    return design, least_squares(rows.blocks(design), design.names)


def arrays(rows: Sample, design: Design) -> tuple[Floats, Floats]:
    return design.block(rows.variables, slice(None)), rows.success.astype(float)


def refit(X: Floats, y: Floats) -> Floats:
    """Estimates (K,), the shortest where columns combine others."""
    return np.asarray(np.linalg.lstsq(X, y, rcond=1e-10)[0], float)


def adjusted_r2(X: Floats, y: Floats) -> float:
    e = y - X @ refit(X, y)
    share = e @ e / np.square(y - y.mean()).sum()
    return float(1 - share * (len(y) - 1) / (len(y) - np.linalg.matrix_rank(X)))


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_reset_is_ramseys_test_with_the_jackknifes_errors(seed: int) -> None:
    X, y, cluster = ragged(seed, clusters=30, K=3)
    y = y + 0.2 * X[:, 1] ** 2
    test = reset(into_blocks(X, y, cluster), fitted(X, y, cluster))
    groups = np.unique(cluster, return_inverse=True)[1]
    wanted = linear_reset(
        sm.OLS(y, X).fit(),
        power=3,
        use_f=True,
        cov_type="cluster-crv3",
        cov_kwds={"groups": groups},
    )
    assert test is not None
    assert pytest.approx(float(wanted.fvalue), rel=1e-5) == test.F
    assert (test.df1, test.df2) == (2, 29)


def test_reset_finds_a_curve_and_no_curve_in_a_line() -> None:
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(800), rng.uniform(0, 1, 800)])
    cluster = np.arange(800) // 4
    line = X[:, 1] + rng.normal(size=800)
    curve = line + 4 * X[:, 1] ** 2
    p = [
        test.log_p
        for y in (line, curve)
        if (test := reset(into_blocks(X, y, cluster), fitted(X, y, cluster)))
    ]
    assert p[0] > np.log(0.05)
    assert p[1] < np.log(0.001)


@pytest.mark.parametrize(("values", "added"), [(2, 0), (3, 1), (4, 2)])
def test_reset_tests_only_powers_that_the_regressor_does_not_say_itself(
    values: int, added: int
) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, values, 400).astype(float)
    X = np.column_stack([np.ones(400), x])
    cluster = np.arange(400) // 4
    y = x + rng.normal(size=400)
    test = reset(into_blocks(X, y, cluster), fitted(X, y, cluster))
    assert (test.df1 if test else 0) == added


@settings(max_examples=20, deadline=None)
@given(seed=seeds, rows=st.sampled_from([7, 4096]))
def test_added_variables_are_binned_residuals_of_refits(seed: int, rows: int) -> None:
    X, y, cluster = ragged(seed, clusters=30, K=4)
    fit = fitted(X, y, cluster)
    plots = added_variables(into_blocks(X, y, cluster, rows), fit)
    assert len(plots) == 3
    for k, plot in enumerate(plots, start=1):
        others = np.delete(X, k, axis=1)
        x_left, y_left = (
            values - others @ np.linalg.lstsq(others, values, rcond=None)[0]
            for values in (X[:, k], y)
        )
        assert x_left @ y_left / (x_left @ x_left) == pytest.approx(fit.beta[k])  # Frisch & Waugh
        edges = np.linspace(x_left.min(), x_left.max(), 21)
        count, x_sum, y_sum = (
            np.histogram(x_left, edges, weights=weights)[0] for weights in (None, x_left, y_left)
        )
        if np.abs(x_left[:, None] - edges[1:-1]).min() < 1e-9:
            continue  # a row on an edge may fall on either side
        told = count > 0
        np.testing.assert_array_equal(plot.rows, count[told])
        np.testing.assert_allclose(plot.x, x_sum[told] / count[told], atol=1e-8)
        np.testing.assert_allclose(plot.y, y_sum[told] / count[told], atol=1e-8)


def test_the_line_through_an_added_variables_bins_has_its_coefficient_as_slope() -> None:
    X, y, cluster = ragged(4, clusters=200, K=4)
    fit = fitted(X, y, cluster)
    for k, plot in enumerate(added_variables(into_blocks(X, y, cluster), fit), start=1):
        assert np.average(plot.x, weights=plot.rows) == pytest.approx(0, abs=1e-9)
        slope = (plot.rows * plot.x * plot.y).sum() / (plot.rows * plot.x**2).sum()
        assert slope == pytest.approx(fit.beta[k], rel=0.05)  # bins lose what varies within them


def test_adjusted_r2_lost_without_a_term_is_that_of_a_refit() -> None:
    rows = sample()
    design, fit = regression("noise + noise:level + colour", rows)
    X, y = arrays(rows, design)
    whole = adjusted_r2(X, y)
    without = {"noise": [0, 5], "noise:level": [0, 1, 2, 5], "colour": [0, 1, 2, 3, 4]}
    assert design.names[5] == "colour[grey]"
    assert without_terms(design, fit.moments) == pytest.approx(
        {term: whole - adjusted_r2(X[:, columns], y) for term, columns in without.items()}
    )


def refit_without(rows: Sample, design: Design, fit: Fit, row: WithoutCategory) -> None:
    factor = rows.variables.factors[row.factor]
    kept = factor.codes != factor.categories.index(row.category)
    X, y = (values[kept] for values in arrays(rows, design))
    assert row.rows == kept.sum()
    assert row.adjusted_r2 == pytest.approx(adjusted_r2(X, y), abs=1e-9)
    if row.moved:
        k = fit.names.index(row.moved)
        beta = refit(X, y)
        assert row.before == fit.beta[k]
        assert row.after == pytest.approx(beta[k], abs=1e-7)
        assert row.errors == pytest.approx(
            abs(beta[k] - fit.beta[k]) / fit.standard_error[k], rel=1e-4
        )
        low, high = fit.interval(0.5)[k]
        assert (row.moved in row.out_of_range) == (not low <= beta[k] <= high)


@pytest.mark.parametrize("images", [100, 5000])
@pytest.mark.parametrize(
    "formula",
    [
        "noise + colour",
        "noise + noise:level + colour",
        "noise:level",
        "noise*level",
        "noise + poly(level, 2):noise + colour",
    ],
)
def test_the_regression_without_a_category_is_a_refit_of_the_rows_that_are_left(
    formula: str, images: int
) -> None:
    rows = sample(images=images)
    design, fit = regression(formula, rows)
    found = without_categories(rows, design, fit, 0.5)
    wanted = [("noise", category) for category in NOISE]
    wanted += [("colour", category) for category in COLOUR if "colour" in formula]
    assert [(row.factor, row.category) for row in found] == wanted
    for row in found:
        refit_without(rows, design, fit, row)


def test_without_a_category_the_others_that_moved_most_and_left_their_intervals_are_named() -> None:
    rows = sample(2)
    design, fit = regression("noise + colour", rows)
    low, high = fit.interval(0.1).T
    for row in without_categories(rows, design, fit, 0.1):
        factor = rows.variables.factors[row.factor]
        kept = factor.codes != factor.categories.index(row.category)
        X, y = (values[kept] for values in arrays(rows, design))
        beta = refit(X, y)
        others = {
            "none": ["colour[grey]"],
            "fog": ["constant", "noise[shot]", "colour[grey]"],
            "shot": ["constant", "noise[fog]", "colour[grey]"],
            "black": ["noise[fog]", "noise[shot]"],
            "grey": ["constant", "noise[fog]", "noise[shot]"],
        }[row.category]
        places = [fit.names.index(name) for name in others]
        shift = np.abs(beta - fit.beta)[places] / fit.standard_error[places]
        assert row.moved == others[int(shift.argmax())]
        assert row.errors == pytest.approx(shift.max())
        assert row.out_of_range == tuple(
            fit.names[k] for k in places if not low[k] <= beta[k] <= high[k]
        )


@pytest.mark.parametrize(
    ("formula", "category", "changed"),
    [
        ("noise*colour", "black", "noise"),  # noise[fog] is told in black alone
        ("noise*level", "fog", "level"),  # the slope is fog's, the first noise type that has one
    ],
)
def test_what_is_told_against_the_category_that_is_left_out_is_not_compared(
    formula: str, category: str, changed: str
) -> None:
    rows = sample(3, images=400)
    design, fit = regression(formula, rows)
    (row,) = (
        row for row in without_categories(rows, design, fit, 0.01) if row.category == category
    )
    compared = {
        design.columns[fit.names.index(name)].term
        for name in (row.moved, *row.out_of_range)
        if name
    }
    assert changed not in compared


def test_a_category_without_which_every_row_succeeds_has_no_adjusted_r2() -> None:
    rows = sample(4)
    fog = rows.variables.factors["noise"].codes == 1
    rows = replace(rows, success=np.where(fog, rows.success, 1).astype(np.uint8))
    design, fit = regression("noise + colour", rows)
    (row,) = (row for row in without_categories(rows, design, fit, 0.95) if row.category == "fog")
    assert np.isnan(row.adjusted_r2)


def test_the_moments_of_the_categories_add_up_to_the_whole() -> None:
    rows = sample(5, images=3000)
    design, fit = regression("noise*level + colour", rows)
    for factor in ("noise", "colour"):
        parts = category_moments(rows, design, factor)
        np.testing.assert_allclose(sum(part.XX for part in parts), fit.moments.XX)
        assert sum(part.rows for part in parts) == rows.rows


def test_a_sound_regression_warns_of_nothing() -> None:
    rows = sample(6, images=400)
    rows = replace(
        rows, success=(np.random.default_rng(6).random(rows.rows) < 0.5).astype(np.uint8)
    )
    _, fit = regression("noise + colour", rows)
    assert warnings(fit, ["image"]) == []


def test_few_uneven_clusters_are_warned_of() -> None:
    found = " ".join(warnings(fitted(*grunfeld()), ["firm"]))
    for words in (
        "10 clusters by firm are few: t and F with 9",
        "the jackknife's error of x2 is 1.73 times CV1's",
        "x1 is identified as by 2.7 clusters of equal weight, though there are 10 by firm",
        "100% of the fitted values lie below 0 or above 1",
    ):
        assert words in found


def test_columns_that_nearly_combine_and_what_one_cluster_tells_are_warned_of() -> None:
    X, y, cluster = ragged(7, clusters=100, K=4)
    X[:, 2] = X[:, 1] + 0.01 * X[:, 2]
    X[:, 3] *= cluster == cluster.max()
    fit = fitted(X, y, cluster)
    found = " ".join(warnings(fit, ["image"]))
    assert fit.leave_out is not None
    for words in (
        "the condition number of X is ",
        f"image {cluster.max()} alone carries 99% of what identifies x3, 99 times its share",
        "without each of 1 clusters by image some coefficient is not identified",
    ):
        assert words in found


def test_a_row_that_alone_tells_a_coefficient_is_warned_of() -> None:
    X, y, cluster = ragged(8, clusters=100, K=3)
    X[:, 2] = np.arange(len(y)) == 3
    assert "1 rows alone identify a coefficient" in " ".join(
        warnings(fitted(X, y, cluster), ["image"])
    )


def test_a_regression_on_a_constant_alone_can_be_looked_at() -> None:
    _, y, cluster = ragged(9, clusters=100)
    X = np.ones((len(y), 1))
    fit = fitted(X, y, cluster)
    assert all("fitted values" in warning for warning in warnings(fit, ["image"]))
    assert reset(into_blocks(X, y, cluster), fit) is None
    assert added_variables(into_blocks(X, y, cluster), fit) == []


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_a_sample_in_other_clusters_has_the_same_rows(seed: int) -> None:
    rows = sample(seed % 1000, images=30)
    labels: Ints = np.random.default_rng(seed).integers(-5, 5, rows.rows)
    other = rows.by(labels)
    order = np.argsort(labels, kind="stable")
    np.testing.assert_array_equal(other.cluster, labels[order])
    np.testing.assert_array_equal(other.success, rows.success[order])
    design, fit = regression("noise + colour*level", rows)
    np.testing.assert_array_equal(arrays(other, design)[0], arrays(rows, design)[0][order])
    np.testing.assert_allclose(
        least_squares(other.blocks(design), design.names).beta, fit.beta, rtol=1e-7, atol=1e-9
    )


def test_a_sample_streams_its_rows_in_whole_clusters_as_often_as_asked() -> None:
    rows = sample(10, images=3000)
    design, _ = regression("noise + level", rows)
    blocks = rows.blocks(design)
    for _ in range(2):
        parts = list(blocks())
        assert len(parts) > 1
        np.testing.assert_array_equal(
            np.concatenate([X for X, _, _ in parts]), arrays(rows, design)[0]
        )
        np.testing.assert_array_equal(np.concatenate([y for _, y, _ in parts]), rows.success)
    assert all(one[2][-1] < other[2][0] for one, other in pairwise(parts))


@given(
    pairs=st.lists(
        st.tuples(st.integers(-3, 3), st.integers(10**6, 10**6 + 3)), min_size=1, max_size=30
    )
)
def test_rows_are_in_one_intersection_where_both_labels_are_alike(
    pairs: list[tuple[int, int]],
) -> None:
    first, second = np.array(pairs).T
    both = intersection(first, second)
    assert [[a == b for b in both] for a in both] == [[a == b for b in pairs] for a in pairs]


@pytest.mark.parametrize("seed", range(3))
def test_both_libraries_confirm_a_good_fit(seed: int) -> None:
    X, y, cluster = ragged(seed)
    confirm(into_blocks(X, y, cluster, 20), fitted(X, y, cluster))
    rows = sample(seed)
    design, fit = regression("noise*poly(level, 2) + colour", rows)
    confirm(rows.blocks(design), fit)


def test_a_coefficient_without_error_is_confirmed_too() -> None:
    X, _, cluster = ragged(11)
    y = X[:, 1] - 2 * X[:, 3]
    confirm(into_blocks(X, y, cluster), fitted(X, y, cluster))


@pytest.mark.parametrize("distance", [1e-3, 1e-4, 5e-5, 2e-5, 1.1e-5, 1e-6])
def test_a_regressor_close_to_another_is_refused_by_name_or_confirmed(distance: float) -> None:
    rng = np.random.default_rng(13)
    X = np.column_stack([np.ones(2000), rng.normal(size=(2000, 2))])
    cluster = np.arange(2000) // 4
    X[:, 2] = X[:, 1] + distance * X[:, 2]
    y = (rng.random(2000) < 0.5).astype(float)
    if len(independent(Moments.of(X, y))[0]) == 3:
        confirm(into_blocks(X, y, cluster), fitted(X, y, cluster))
    else:
        with pytest.raises(ValueError, match="x2 = a combination of x1"):
            fitted(X, y, cluster)


def test_a_wrong_coefficient_or_error_is_stopped_by_name() -> None:
    X, y, cluster = ragged(12)
    fit = fitted(X, y, cluster)
    blocks = into_blocks(X, y, cluster)
    nudge = np.eye(6)[2]
    with pytest.raises(
        ValueError, match=r"the coefficient of x2 is .* here and .* by linearmodels: one is wrong"
    ):
        confirm(blocks, replace(fit, beta=fit.beta + 1e-6 * nudge))
    wrong = fit.covariances_cv1[0] * (1 + 1e-5 * np.diag(nudge))
    with pytest.raises(ValueError, match=r"the CV1 error of x2 is .* by linearmodels") as caught:
        confirm(blocks, replace(fit, covariances_cv1=(wrong,)))
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="the coefficient of x2 is nan here"):
        confirm(blocks, replace(fit, beta=np.where(nudge > 0, np.nan, fit.beta)))
    with pytest.raises(ValueError, match="the CV1 error of x0"):
        confirm(into_blocks(X, y, np.arange(len(y))), fit)  # other clusters
