"""Regressions as tidy rows, one dictionary per line of a CSV file, with the columns of stages.schemas.regress.

"" stands where there is no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.schemas.regress import (
    AddedVariables,
    Areas,
    Categories,
    ClusterInfluence,
    ClusterLeverage,
    ClusterRows,
    Coefficients,
    Contrasts,
    Correlations,
    CorruptionErrors,
    Costs,
    DroppedTerm,
    FitSummary,
    JointTests,
    LargestCook,
    MarginalEffects,
    ResetTest,
    Thresholds,
)
from stages.schemas.table import Table
from stages.statistics import moments as cross
from stages.statistics.contrasts import Contrast, Rank
from stages.statistics.corruption import Corruption
from stages.statistics.design_matrix import Variables
from stages.statistics.diagnostics import AddedVariable, WithoutCategory, without_categories
from stages.statistics.diagnostics import added_variables as plots_of
from stages.statistics.influence import LeaveOut
from stages.statistics.logit import clustered_too, fit_logit
from stages.statistics.marginal_effects import Effect, average_effects
from stages.statistics.regression import Regression
from stages.statistics.runs import PerRun, coefficient
from stages.statistics.sample import Sample, intersection
from stages.statistics.significance import Test
from stages.statistics.thresholds import DoseResponse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CellValue = str | int | float
Row = dict[str, CellValue]


def blank_if_nan(value: float) -> CellValue:
    """A number, or "" where it is not finite."""
    return float(value) if math.isfinite(value) else ""


def minus_log10(log_p: float) -> float:
    return 0.0 - log_p / math.log(10)  # no -0 of p = 1


def coefficients(regression: Regression, confidence: float, runs: PerRun) -> list[Row]:
    """One row per coefficient, in the order of X; no t, p or interval where no error was measured."""
    fit = regression.fit
    ends = fit.interval(confidence)
    holm = regression.adjusted_p("holm")
    benjamini_hochberg = regression.adjusted_p("fdr_bh")
    inflation = (
        [math.nan, *cross.variance_inflation(fit.moments)] if len(fit.names) > 1 else [math.nan]
    )
    rows: list[Row] = []
    for k, column in enumerate(regression.columns):
        log_p = float(fit.log_p[k])
        row: Row = {
            Coefficients.specification: regression.specification,
            Coefficients.reader: regression.reader,
            Coefficients.term: column.term,
            Coefficients.category: column.category,
            Coefficients.label: column.label,
            Coefficients.estimate: float(fit.beta[k]),
            Coefficients.standard_error: float(fit.standard_error[k]),
            Coefficients.standard_error_cv1: float(fit.standard_error_cv1[k]),
            Coefficients.t: blank_if_nan(fit.t[k]),
            Coefficients.p: blank_if_nan(math.exp(log_p)),
            Coefficients.minus_log10_p: blank_if_nan(minus_log10(log_p)),
            Coefficients.low: blank_if_nan(ends[k, 0]),
            Coefficients.high: blank_if_nan(ends[k, 1]),
            Coefficients.p_holm: blank_if_nan(holm[k]),
            Coefficients.p_bh: blank_if_nan(benjamini_hochberg[k]),
            Coefficients.p_wild: ""
            if regression.wild is None
            else blank_if_nan(regression.wild[k]),
            Coefficients.vif: blank_if_nan(inflation[k]),
        }
        between = runs.cells(
            coefficient(regression.specification, regression.reader, column.term, column.category)
        )
        rows.append({**row, **_without_clusters(regression, k), **between})
    return rows


def cost_row(
    reader: str,
    noise: str,
    value: float,
    error: float,
    ends: tuple[float, float],
    rank: Rank,
    between: Mapping[str, CellValue],
) -> Row:
    """Clean accuracy less the mean accuracy under a noise type, a share."""
    return {
        Costs.reader: reader,
        Costs.noise: noise,
        Costs.cost: value,
        Costs.standard_error: error,
        Costs.low: blank_if_nan(ends[0]),
        Costs.high: blank_if_nan(ends[1]),
        Costs.rank: rank.rank,
        Costs.rank_low: rank.low,
        Costs.rank_high: rank.high,
        Costs.first: rank.first,
        **between,
    }


def contrast_row(
    factor: str, reader: str, found: Contrast, between: Mapping[str, CellValue]
) -> Row:
    """Success under category a less that under b."""
    return {
        Contrasts.factor: factor,
        Contrasts.reader: reader,
        Contrasts.a: found.a,
        Contrasts.b: found.b,
        Contrasts.difference: found.difference,
        Contrasts.standard_error: found.standard_error,
        Contrasts.low: blank_if_nan(found.low),
        Contrasts.high: blank_if_nan(found.high),
        Contrasts.simultaneous_low: blank_if_nan(found.simultaneous_low),
        Contrasts.simultaneous_high: blank_if_nan(found.simultaneous_high),
        Contrasts.probability: blank_if_nan(found.probability),
        Contrasts.detectable: blank_if_nan(found.detectable),
        Contrasts.equivalence: blank_if_nan(found.equivalence),
        **between,
    }


def _left_out(regression: Regression) -> LeaveOut:
    left = regression.fit.leave_out
    assert left is not None  # the stage always leaves out
    return left


def _without_clusters(regression: Regression, k: int) -> Row:
    left = _left_out(regression)
    return {
        Coefficients.least: float(left.lowest[k]),
        Coefficients.least_without: str(left.lowest_cluster[k]),
        Coefficients.most: float(left.highest[k]),
        Coefficients.most_without: str(left.highest_cluster[k]),
        Coefficients.effective_clusters: float(left.effective_clusters[k]),
        Coefficients.effective_clusters_equal: blank_if_nan(left.effective_clusters_equal[k]),
        Coefficients.partial_leverage: float(left.partial_max[k]),
        Coefficients.partial_leverage_cluster: str(left.partial_cluster[k]),
    }


def joint_test_rows(regression: Regression) -> list[Row]:
    """One row per term: the joint test that it has no effect, and what adjusted R² loses without it."""
    return [
        {
            JointTests.specification: regression.specification,
            JointTests.reader: regression.reader,
            JointTests.term: term,
            JointTests.F: "" if test is None else test.F,
            JointTests.df1: "" if test is None else test.df1,
            JointTests.df2: "" if test is None else test.df2,
            JointTests.p: "" if test is None else math.exp(test.log_p),
            JointTests.minus_log10_p: "" if test is None else minus_log10(test.log_p),
            JointTests.adjusted_r2_lost: regression.lost[term],
        }
        for term, test in regression.tests.items()
    ]


def category_rows(found: Sequence[WithoutCategory]) -> list[Row]:
    return [
        {
            Categories.factor: one.factor,
            Categories.category: one.category,
            Categories.rows: one.rows,
            Categories.adjusted_r2: blank_if_nan(one.adjusted_r2),
            Categories.moved: one.moved,
            Categories.before: blank_if_nan(one.before),
            Categories.after: blank_if_nan(one.after),
            Categories.errors: blank_if_nan(one.errors),
            Categories.outside: "; ".join(one.out_of_range),
        }
        for one in found
    ]


def influence(regression: Regression) -> list[Row]:
    """The clusters that move the fit most, with the coefficient that each moves most, in standard errors."""
    found = _left_out(regression).influence
    error = regression.fit.standard_error
    rows: list[Row] = []
    for m, cluster in enumerate(found.cluster):
        shift = error
        if found.moved is not None:
            shift = np.divide(found.moved[m], error, out=np.zeros_like(error), where=error > 0)
        k = int(np.abs(shift[1:]).argmax()) + 1 if len(shift) > 1 else 0
        rows.append(
            {
                ClusterInfluence.cluster: str(cluster),
                ClusterInfluence.rows: int(found.rows[m]),
                ClusterInfluence.leverage: float(found.leverage[m]),
                ClusterInfluence.distance: float(found.distance[m]),
                ClusterInfluence.moves: regression.fit.names[k],
                ClusterInfluence.by_errors: float(shift[k]),
            }
        )
    return rows


def correlation_rows(regression: Regression) -> list[Row]:
    """Pearson's r of every ordered pair of regressors, so that they make a square."""
    names = [column.label for column in regression.columns[1:]]
    r = cross.correlations(regression.fit.moments)
    return [
        {Correlations.a: a, Correlations.b: b, Correlations.r: float(r[i, j])}
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    ]


def added_variable_rows(regression: Regression, plots: Sequence[AddedVariable]) -> list[Row]:
    rows: list[Row] = []
    for k, (column, plot) in enumerate(zip(regression.columns[1:], plots, strict=True), start=1):
        rows += [
            {
                AddedVariables.term: column.term,
                AddedVariables.category: column.category,
                AddedVariables.label: column.label,
                AddedVariables.x: float(x),
                AddedVariables.y: float(y),
                AddedVariables.rows: int(count),
                AddedVariables.line: float(regression.fit.beta[k] * x),
            }
            for x, y, count in zip(plot.x, plot.y, plot.rows, strict=True)
        ]
    return rows


def marginal_effects(model: str, effects: Sequence[Effect]) -> list[Row]:
    return [
        {
            MarginalEffects.model: model,
            MarginalEffects.variable: effect.variable,
            MarginalEffects.category: effect.category,
            MarginalEffects.estimate: effect.estimate,
            MarginalEffects.standard_error: effect.standard_error,
            MarginalEffects.low: blank_if_nan(effect.low),
            MarginalEffects.high: blank_if_nan(effect.high),
        }
        for effect in effects
    ]


def linear_effects(regression: Regression, variables: Variables, confidence: float) -> list[Row]:
    return marginal_effects(
        "linear",
        average_effects(
            regression.design, variables, regression.fit, link="identity", confidence=confidence
        ),
    )


def logit_effects(
    regression: Regression, sample: Sample, labels: Sequence[Ints], confidence: float
) -> list[Row]:
    """Of the logit of the same formula on the same rows; labels (N,) of each dimension of clustering, one or two.

    Raises ValueError where there is no logit.
    """
    ordered = sample.by(labels[0])
    design = regression.design
    logit = fit_logit(ordered.blocks(design), design.names)
    if len(labels) == 2:
        logit = clustered_too(
            logit,
            *(sample.by(found).blocks(design) for found in (labels[1], intersection(*labels))),
        )
    return marginal_effects(
        "logit",
        average_effects(design, ordered.variables, logit, link="logit", confidence=confidence),
    )


def headline_diagnostics(
    regression: Regression, sample: Sample, confidence: float
) -> dict[type[Table], list[Row]]:
    """The tables about one regression; `sample` are its rows, sorted by their first dimension of clustering."""
    design = regression.design
    fit = regression.fit
    return {
        Categories: category_rows(without_categories(sample, design, fit, confidence)),
        ClusterInfluence: influence(regression),
        Correlations: correlation_rows(regression),
        AddedVariables: added_variable_rows(regression, plots_of(sample.blocks(design), fit)),
    }


def threshold_rows(
    curves: Mapping[tuple[str, str], DoseResponse],
    between: Callable[[str, str, float], Mapping[str, Any]],
) -> list[Row]:
    """One row per reader, noise and share of the captchas; `level` is blank where it is not reached, and so is each
    end.

    `between` gives sd_between_runs and runs of a reader, noise and share.
    """
    return [
        {
            Thresholds.reader: reader,
            Thresholds.noise: noise,
            Thresholds.share: one.share,
            Thresholds.level: blank_if_nan(one.level),
            Thresholds.low: blank_if_nan(one.low),
            Thresholds.high: blank_if_nan(one.high),
            Thresholds.reached: one.reached,
            Thresholds.first: blank_if_nan(one.first),
            **between(reader, noise, one.share),
        }
        for (reader, noise), curve in curves.items()
        for one in curve.thresholds
    ]


def areas(found: Mapping[tuple[str, str], DoseResponse]) -> list[Row]:
    """One row per reader and noise: the area under its curve."""
    return [
        {
            Areas.reader: reader,
            Areas.noise: noise,
            Areas.area: one.area.value,
            Areas.low: one.area.low,
            Areas.high: one.area.high,
        }
        for (reader, noise), one in found.items()
    ]


def corruption_rows(found: Sequence[Corruption], seen: Mapping[str, Sequence[str]]) -> list[Row]:
    """One row per reader and noise type (CE), and per reader and group of types (mCE); `seen` are the types that a
    reader trained on."""
    return [
        {
            CorruptionErrors.reader: one.reader,
            CorruptionErrors.noise: "+".join(one.noises),
            CorruptionErrors.types: len(one.noises),
            CorruptionErrors.seen: _share_seen(one.noises, seen[one.reader]),
            CorruptionErrors.clean_error: one.clean,
            CorruptionErrors.error: one.error,
            CorruptionErrors.ratio: blank_if_nan(one.ratio.value),
            CorruptionErrors.ratio_low: blank_if_nan(one.ratio.low),
            CorruptionErrors.ratio_high: blank_if_nan(one.ratio.high),
            CorruptionErrors.relative: blank_if_nan(one.relative.value),
            CorruptionErrors.relative_low: blank_if_nan(one.relative.low),
            CorruptionErrors.relative_high: blank_if_nan(one.relative.high),
        }
        for one in found
    ]


def _share_seen(noises: Sequence[str], seen: Sequence[str]) -> str:
    known = sum(noise in seen for noise in noises)
    if known == len(noises):
        return "all"
    return "some" if known else "none"


def summary(regression: Regression, rows: Sequence[Row]) -> FitSummary:
    """A fit in full; `rows` are its coefficients."""
    fit = regression.fit
    left = _left_out(regression)
    least, mean, most = left.sizes
    return FitSummary(
        specification=regression.specification,
        reader=regression.reader,
        terms=list(regression.design.terms),
        observations=fit.observations,
        clusters=list(fit.cluster_counts),
        mean=regression.mean,
        clean=None if math.isnan(regression.clean) else regression.clean,
        regressors=len(fit.names),
        df=fit.df,
        r2=fit.r2,
        adjusted_r2=fit.adjusted_r2,
        predicted_r2=left.predicted_r2,
        out_of_cluster_r2=left.out_of_cluster_r2,
        press=left.press,
        references=dict(regression.design.references),
        dropped=[DroppedTerm(one.term, one.reason) for one in regression.design.dropped],
        without_standard_error=unmeasured(regression),
        cluster_rows=ClusterRows(least, mean, most),
        cluster_leverage=ClusterLeverage(
            mean=len(fit.names) / fit.clusters,
            most=left.leverage_max,
            of=str(left.leverage_cluster),
            coefficient_of_variation=left.leverage_cv,
        ),
        effective_clusters=float(left.effective_clusters[1:].min(initial=np.inf)),
        effective_clusters_equal=_least_finite(left.effective_clusters_equal[1:]),
        largest_cook=LargestCook(distance=left.cook, of=str(left.cook_cluster)),
        singular_clusters=left.singular,
        lonely_rows=left.leverage_one,
        condition_number=cross.condition_number(fit.moments),
        largest_vif=float(cross.variance_inflation(fit.moments).max())
        if len(fit.names) > 1
        else 1.0,
        fitted_outside=fit.out_of_range / fit.observations,
        reset=None if regression.reset is None else _reset(regression.reset),
        confirmed_by=["linearmodels", "statsmodels"] if regression.confirmed else [],
        warnings=list(regression.warnings),
        coefficients=rows,
    )


def _reset(test: Test) -> ResetTest:
    return ResetTest(F=test.F, df1=test.df1, df2=test.df2, p=math.exp(test.log_p))


def _least_finite(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.min()) if len(finite) else None


def unmeasured(regression: Regression) -> list[str]:
    """Names of the coefficients on which all clusters agree exactly."""
    return [
        name
        for name, error in zip(regression.fit.names, regression.fit.standard_error, strict=True)
        if error == 0
    ]
