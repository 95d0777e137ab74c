"""A regression in fits.json: its fit, what leaving out rows and clusters changes, and its warnings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stages.schemas.regress import (
    ClusterLeverage,
    ClusterRows,
    Coefficients,
    DroppedTerm,
    FitSummary,
    LargestCook,
    ResetTest,
)
from stages.schemas.table import Row
from stages.statistics import moments as cross
from stages.statistics.arrays import Floats
from stages.statistics.regression import Clusters, Regression
from stages.statistics.significance import Test
from stages.statistics.tidy import inflation_factors


def fit_summaries(
    regressions: Sequence[Regression], coefficients: Sequence[Row]
) -> list[FitSummary]:
    """Each regression in full; `coefficients` are the rows of all."""
    return [fit_summary(one, _rows_of(one, coefficients)) for one in regressions]


def _rows_of(one: Regression, coefficients: Sequence[Row]) -> list[Row]:
    names = [one.specification, one.reader]
    return [
        row
        for row in coefficients
        if [row[Coefficients.specification], row[Coefficients.reader]] == names
    ]


def fit_summary(regression: Regression, rows: Sequence[Row]) -> FitSummary:
    """One regression; `rows` are its coefficients."""
    fit = regression.fit
    left = regression.leave_out
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
        cluster_rows=ClusterRows(*left.sizes),
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
        largest_vif=float(np.max(inflation_factors(regression) or [1.0])),
        fitted_outside=fit.out_of_range / fit.observations,
        reset=_reset_test(regression.reset),
        confirmed_by=["linearmodels", "statsmodels"] if regression.confirmed else [],
        warnings=list(regression.warnings),
        coefficients=rows,
    )


def _reset_test(test: Test | None) -> ResetTest | None:
    if test is None:
        return None
    return ResetTest(F=test.F, df1=test.df1, df2=test.df2, p=math.exp(test.log_p))


def _least_finite(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.min()) if len(finite) else None


def unmeasured(regression: Regression) -> list[str]:
    """Names of the coefficients on which all clusters agree exactly."""
    fit = regression.fit
    return [name for name, error in zip(fit.names, fit.standard_error, strict=True) if error == 0]


def remarks_on(regressions: Sequence[Regression]) -> dict[str, list[str]]:
    """What was dropped, is unmeasured or breaks a rule of thumb: each remark with the regressions it is about."""
    remarks: dict[str, list[str]] = {}
    for one in regressions:
        whose = f"{one.specification}, {one.reader}"
        for dropped in one.design.dropped:
            remark = f"{dropped.term} {dropped.reason}: dropped from"
            remarks.setdefault(remark, []).append(one.specification)
        if names := unmeasured(one):
            remark = f"all clusters agree exactly on {', '.join(names)}: no standard error in"
            remarks.setdefault(remark, []).append(whose)
        for warning in one.warnings:
            remarks.setdefault(f"warning: {warning}: in", []).append(whose)
    return remarks


def distribution(clusters: Clusters) -> str:
    """What tests and intervals are taken from, in words."""
    if clusters.runs is None:
        return "t with G-1 degrees of freedom"
    return "t with one degree of freedom less than the fewest training runs of a reader"
