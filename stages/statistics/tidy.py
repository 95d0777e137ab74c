"""Regressions as tidy rows, one dictionary per line of a CSV file, with the columns of stages.schemas.regress."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from stages.schemas.regress import (
    AddedVariables,
    Categories,
    ClusterInfluence,
    Coefficients,
    Correlations,
    JointTests,
    MarginalEffects,
)
from stages.schemas.table import Cell, Row, Table, row_of
from stages.statistics import moments as cross
from stages.statistics.arrays import Ints
from stages.statistics.design_matrix import Variables
from stages.statistics.diagnostics import AddedVariable, added_variables, without_categories
from stages.statistics.logit import clustered_too, fit_logit
from stages.statistics.marginal_effects import Effect, average_effects
from stages.statistics.regression import Regression
from stages.statistics.runs import PerRun, coefficient_key
from stages.statistics.sample import Sample, intersection
from stages.statistics.significance import Test

Rows = dict[type[Table], list[Row]]


def minus_log10(log_p: float) -> float:
    return 0.0 - log_p / math.log(10)  # no -0 of p = 1


def coefficient_tables(regressions: Sequence[Regression], confidence: float, runs: PerRun) -> Rows:
    """The coefficients and joint tests of every regression."""
    tables: Rows = {Coefficients: [], JointTests: []}
    for one in regressions:
        tables[Coefficients] += coefficient_rows(one, confidence, runs)
        tables[JointTests] += joint_test_rows(one)
    return tables


def coefficient_rows(regression: Regression, confidence: float, runs: PerRun) -> list[Row]:
    """One row per coefficient, in the order of X; no t, p or interval where no error was measured."""
    cells = {**_estimates(regression, confidence), **_without_clusters(regression)}
    rows = []
    for k, column in enumerate(regression.columns):
        own = {name: values[k] for name, values in cells.items()}
        own[Coefficients.specification] = regression.specification
        own[Coefficients.reader] = regression.reader
        between = runs.cells(coefficient_key(regression, column))
        rows.append(row_of(Coefficients, column, **own, **between))
    return rows


def _estimates(regression: Regression, confidence: float) -> dict[str, list[Cell]]:
    """Cells by column of Coefficients: the estimates, their errors and tests."""
    fit = regression.fit
    wild = regression.wild
    ends = fit.interval(confidence)
    return {
        Coefficients.estimate: fit.beta.tolist(),
        Coefficients.standard_error: fit.standard_error.tolist(),
        Coefficients.standard_error_cv1: fit.standard_error_cv1.tolist(),
        Coefficients.t: fit.t.tolist(),
        Coefficients.p: [math.exp(log_p) for log_p in fit.log_p],
        Coefficients.minus_log10_p: [minus_log10(log_p) for log_p in fit.log_p],
        Coefficients.low: ends[:, 0].tolist(),
        Coefficients.high: ends[:, 1].tolist(),
        Coefficients.p_holm: regression.adjusted_p("holm").tolist(),
        Coefficients.p_bh: regression.adjusted_p("fdr_bh").tolist(),
        Coefficients.p_wild: [""] * len(fit.names) if wild is None else wild.tolist(),
        Coefficients.vif: [math.nan, *inflation_factors(regression)],
    }


def inflation_factors(regression: Regression) -> list[float]:
    """The variance inflation factors of the regressors beside the constant."""
    if len(regression.columns) == 1:
        return []
    return [float(factor) for factor in cross.variance_inflation(regression.fit.moments)]


def _without_clusters(regression: Regression) -> dict[str, list[Cell]]:
    """Cells by column of Coefficients: what leaving out each cluster shows of every coefficient."""
    left = regression.leave_out
    return {
        Coefficients.least: left.lowest.tolist(),
        Coefficients.least_without: left.lowest_cluster.astype(str).tolist(),
        Coefficients.most: left.highest.tolist(),
        Coefficients.most_without: left.highest_cluster.astype(str).tolist(),
        Coefficients.effective_clusters: left.effective_clusters.tolist(),
        Coefficients.effective_clusters_equal: left.effective_clusters_equal.tolist(),
        Coefficients.partial_leverage: left.partial_max.tolist(),
        Coefficients.partial_leverage_cluster: left.partial_cluster.astype(str).tolist(),
    }


def joint_test_rows(regression: Regression) -> list[Row]:
    """One row per term: the joint test that it has no effect, and what adjusted R² loses without it."""
    return [
        row_of(
            JointTests,
            specification=regression.specification,
            reader=regression.reader,
            term=term,
            adjusted_r2_lost=regression.lost[term],
            **_test_cells(test),
        )
        for term, test in regression.tests.items()
    ]


def _test_cells(test: Test | None) -> Mapping[str, Cell]:
    """The cells of a test, blank where there is none."""
    cells: Row = {
        JointTests.F: test.F if test else "",
        JointTests.df1: test.df1 if test else "",
        JointTests.df2: test.df2 if test else "",
        JointTests.p: math.exp(test.log_p) if test else "",
        JointTests.minus_log10_p: minus_log10(test.log_p) if test else "",
    }
    return cells


def influence_rows(regression: Regression) -> list[Row]:
    """The clusters that move the fit most, with the coefficient that each moves most, in standard errors."""
    found = regression.leave_out.influence
    error = regression.fit.standard_error
    shift = np.divide(found.moved, error, out=np.zeros_like(found.moved), where=error > 0)  # (M, K)
    rows = []
    for m, cluster in enumerate(found.cluster):
        k = int(np.abs(shift[m, 1:]).argmax()) + 1 if shift.shape[1] > 1 else 0
        rows.append(
            row_of(
                ClusterInfluence,
                cluster=str(cluster),
                rows=int(found.rows[m]),
                leverage=found.leverage[m],
                distance=found.distance[m],
                moves=regression.fit.names[k],
                by_errors=shift[m, k],
            )
        )
    return rows


def correlation_rows(regression: Regression) -> list[Row]:
    """Pearson's r of every ordered pair of regressors, so that they make a square."""
    names = [column.label for column in regression.columns[1:]]
    r = cross.correlations(regression.fit.moments)
    return [
        row_of(Correlations, a=a, b=b, r=r[i, j])
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    ]


def added_variable_rows(regression: Regression, plots: Sequence[AddedVariable]) -> list[Row]:
    """One row per regressor and bin of its added-variable plot."""
    slopes = regression.fit.beta[1:]
    return [
        row_of(AddedVariables, column, x=x, y=y, rows=int(count), line=slope * x)
        for column, slope, plot in zip(regression.columns[1:], slopes, plots, strict=True)
        for x, y, count in zip(plot.x, plot.y, plot.rows, strict=True)
    ]


def headline_diagnostics(regression: Regression, sample: Sample, confidence: float) -> Rows:
    """The tables about one regression; `sample` are its rows, sorted by their first dimension of clustering."""
    design = regression.design
    fit = regression.fit
    categories = without_categories(sample, design, fit, confidence)
    plots = added_variables(sample.blocks(design), fit)
    return {
        Categories: [
            row_of(Categories, one, outside="; ".join(one.out_of_range)) for one in categories
        ],
        ClusterInfluence: influence_rows(regression),
        Correlations: correlation_rows(regression),
        AddedVariables: added_variable_rows(regression, plots),
    }


def linear_effects(regression: Regression, variables: Variables, confidence: float) -> list[Row]:
    """Average marginal effects of the linear probability model."""
    effects = average_effects(
        regression.design, variables, regression.fit, link="identity", confidence=confidence
    )
    return _effect_rows("linear", effects)


def logit_effects(
    regression: Regression, sample: Sample, labels: Sequence[Ints], confidence: float
) -> list[Row]:
    """Average marginal effects of the logit of the same formula on the same rows.

    labels (N,) of each dimension of clustering, one or two. Raises ValueError where the logit has no estimate.
    """
    ordered = sample.by(labels[0])
    design = regression.design
    logit = fit_logit(ordered.blocks(design), design.names)
    if len(labels) == 2:
        second = sample.by(labels[1]).blocks(design)
        both = sample.by(intersection(*labels)).blocks(design)
        logit = clustered_too(logit, second, both)
    effects = average_effects(design, ordered.variables, logit, link="logit", confidence=confidence)
    return _effect_rows("logit", effects)


def _effect_rows(model: str, effects: Sequence[Effect]) -> list[Row]:
    return [row_of(MarginalEffects, effect, model=model) for effect in effects]
