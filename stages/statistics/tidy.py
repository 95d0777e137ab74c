"""Regressions as tidy rows, one dictionary a line of a CSV file; "" stands where there is no number."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.statistics import moments as cross
from stages.statistics.contrasts import Contrast, Rank
from stages.statistics.corruption import Corruption
from stages.statistics.design import Variables
from stages.statistics.diagnostics import AddedVariable, WithoutCategory, without_categories
from stages.statistics.diagnostics import added_variables as plots_of
from stages.statistics.logit import clustered_too, fit_logit
from stages.statistics.marginal_effects import Effect, average_effects
from stages.statistics.regression import Regression
from stages.statistics.runs import PerRun, coefficient
from stages.statistics.sample import Sample, intersection
from stages.statistics.thresholds import DoseResponse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Cell = str | int | float
Row = dict[str, Cell]

COLUMNS = {name: tuple(columns.split()) for name, columns in {
    "coefficients": "specification reader term category label estimate standard_error standard_error_cv1 t p "
                    "minus_log10_p low high p_holm p_bh p_wild vif least least_without most most_without "
                    "effective_clusters effective_clusters_equal partial_leverage partial_leverage_cluster "
                    "sd_between_runs runs",
    "tests": "specification reader term F df1 df2 p minus_log10_p adjusted_r2_lost",
    "costs": "reader noise cost standard_error low high rank rank_low rank_high first sd_between_runs runs",
    "contrasts": "factor reader a b difference standard_error low high simultaneous_low simultaneous_high probability "
                 "detectable equivalence sd_between_runs runs",
    "categories": "factor category rows adjusted_r2 moved before after errors outside",
    "influence": "cluster rows leverage distance moves by_errors",
    "correlations": "a b r",
    "added_variables": "term category label x y rows line",
    "marginal_effects": "model variable category estimate standard_error low high",
    "thresholds": "reader noise share level low high reached first sd_between_runs runs",
    "areas": "reader noise area low high",
    "dose_response": "reader noise level dose rmse ssim_loss rows accuracy line exact",
    "corruption": "reader noise types seen clean_error error ratio ratio_low ratio_high relative relative_low "
                  "relative_high"}.items()}


def told(value: float) -> Cell:
    """A number, or "" where it is none."""
    return float(value) if math.isfinite(value) else ""


def as_csv(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A header, and the rows. Raises ValueError on a row of other columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        if list(row) != list(columns):
            raise ValueError(f"a row should have the columns {', '.join(columns)}, got {', '.join(row)}")
        writer.writerow(row.values())
    return text.getvalue()


def coefficients(regression: Regression, confidence: float, cluster_name: Callable[[int], str],
                 runs: PerRun) -> list[Row]:
    """One row per coefficient, in the order of X; no t, p or interval where no error was measured."""
    fit = regression.fit
    ends, holm, bh = fit.interval(confidence), regression.adjusted_p("holm"), regression.adjusted_p("fdr_bh")
    inflation = [math.nan, *cross.variance_inflation(fit.moments)] if len(fit.names) > 1 else [math.nan]
    rows: list[Row] = []
    for k, column in enumerate(regression.columns):
        log_p = float(fit.log_p[k])
        row: Row = {"specification": regression.specification, "reader": regression.reader, "term": column.term,
                    "category": column.category, "label": column.label, "estimate": float(fit.beta[k]),
                    "standard_error": float(fit.standard_error[k]),
                    "standard_error_cv1": float(fit.standard_error_cv1[k]), "t": told(fit.t[k]),
                    "p": told(math.exp(log_p)), "minus_log10_p": told(0.0 - log_p / math.log(10)),  # no -0 of p = 1
                    "low": told(ends[k, 0]), "high": told(ends[k, 1]), "p_holm": told(holm[k]), "p_bh": told(bh[k]),
                    "p_wild": "" if regression.wild is None else told(regression.wild[k]),
                    "vif": told(inflation[k])}
        between = runs.cells(coefficient(regression.specification, regression.reader, column.term, column.category))
        rows.append({**row, **_without_clusters(regression, k, cluster_name), **between})
    return rows


def cost(reader: str, noise: str, value: float, error: float, ends: tuple[float, float], rank: Rank,
         between: Mapping[str, Cell]) -> Row:
    """Clean accuracy less the mean accuracy under a noise type, a share."""
    return {"reader": reader, "noise": noise, "cost": value, "standard_error": error, "low": told(ends[0]),
            "high": told(ends[1]), "rank": rank.rank, "rank_low": rank.low, "rank_high": rank.high,
            "first": rank.first, **between}


def contrast(factor: str, reader: str, found: Contrast, between: Mapping[str, Cell]) -> Row:
    """Success under category a less that under b."""
    return {"factor": factor, "reader": reader, "a": found.a, "b": found.b, "difference": found.difference,
            "standard_error": found.standard_error, "low": told(found.low), "high": told(found.high),
            "simultaneous_low": told(found.simultaneous_low), "simultaneous_high": told(found.simultaneous_high),
            "probability": told(found.probability), "detectable": told(found.detectable),
            "equivalence": told(found.equivalence), **between}


def _without_clusters(regression: Regression, k: int, cluster_name: Callable[[int], str]) -> Row:
    left = regression.fit.leave_out
    assert left is not None  # the stage always leaves out
    return {"least": float(left.lowest[k]), "least_without": cluster_name(int(left.lowest_cluster[k])),
            "most": float(left.highest[k]), "most_without": cluster_name(int(left.highest_cluster[k])),
            "effective_clusters": float(left.effective_clusters[k]),
            "effective_clusters_equal": told(left.effective_clusters_equal[k]),
            "partial_leverage": float(left.partial_max[k]),
            "partial_leverage_cluster": cluster_name(int(left.partial_cluster[k]))}


def tests(regression: Regression) -> list[Row]:
    """One row a term: the joint test that it has no effect, and what adjusted R² loses without it."""
    rows: list[Row] = []
    for term, test in regression.tests.items():
        row: Row = {"specification": regression.specification, "reader": regression.reader, "term": term}
        row |= dict.fromkeys(("F", "df1", "df2", "p", "minus_log10_p"), "") if test is None else {
            "F": test.F, "df1": test.df1, "df2": test.df2, "p": math.exp(test.log_p),
            "minus_log10_p": 0.0 - test.log_p / math.log(10)}
        rows.append({**row, "adjusted_r2_lost": regression.lost[term]})
    return rows


def categories(found: Sequence[WithoutCategory]) -> list[Row]:
    return [{"factor": one.factor, "category": one.category, "rows": one.rows, "adjusted_r2": told(one.adjusted_r2),
             "moved": one.moved, "before": told(one.before), "after": told(one.after), "errors": told(one.errors),
             "outside": "; ".join(one.outside)} for one in found]


def influence(regression: Regression, cluster_name: Callable[[int], str]) -> list[Row]:
    """The clusters that move the fit most, with the coefficient that each moves most, in standard errors."""
    left, error = regression.fit.leave_out, regression.fit.standard_error
    assert left is not None  # the stage always leaves out
    rows: list[Row] = []
    moved = left.influence.moved
    for m, cluster in enumerate(left.influence.cluster):
        shift = np.divide(moved[m], error, out=np.zeros_like(error), where=error > 0) if moved is not None else error
        k = int(np.abs(shift[1:]).argmax()) + 1 if len(shift) > 1 else 0
        rows.append({"cluster": cluster_name(int(cluster)), "rows": int(left.influence.rows[m]),
                     "leverage": float(left.influence.leverage[m]), "distance": float(left.influence.distance[m]),
                     "moves": regression.fit.names[k], "by_errors": float(shift[k])})
    return rows


def correlations(regression: Regression) -> list[Row]:
    """Pearson's r of every ordered pair of regressors, so that they make a square."""
    names = [column.label for column in regression.columns[1:]]
    r = cross.correlations(regression.fit.moments)
    return [{"a": a, "b": b, "r": float(r[i, j])} for i, a in enumerate(names) for j, b in enumerate(names)]


def added_variables(regression: Regression, plots: Sequence[AddedVariable]) -> list[Row]:
    return [{"term": column.term, "category": column.category, "label": column.label, "x": float(x), "y": float(y),
             "rows": int(rows), "line": float(regression.fit.beta[k] * x)}
            for k, (column, plot) in enumerate(zip(regression.columns[1:], plots, strict=True), start=1)
            for x, y, rows in zip(plot.x, plot.y, plot.rows, strict=True)]


def marginal_effects(model: str, effects: Sequence[Effect]) -> list[Row]:
    return [{"model": model, "variable": effect.variable, "category": effect.category, "estimate": effect.estimate,
             "standard_error": effect.standard_error, "low": told(effect.low), "high": told(effect.high)}
            for effect in effects]


def linear_effects(regression: Regression, variables: Variables, confidence: float) -> list[Row]:
    return marginal_effects("linear", average_effects(regression.design, variables, regression.fit, link="identity",
                                                      confidence=confidence))


def logit_effects(regression: Regression, sample: Sample, labels: Sequence[Ints], confidence: float) -> list[Row]:
    """Of the logit of the same formula on the same rows; labels (N,) of each dimension of clustering, one or two.

    Raises ValueError where there is no logit.
    """
    ordered, design = sample.by(labels[0]), regression.design
    logit = fit_logit(ordered.blocks(design), design.names)
    if len(labels) == 2:
        logit = clustered_too(logit, *(sample.by(found).blocks(design) for found in (labels[1], intersection(*labels))))
    return marginal_effects("logit", average_effects(design, ordered.variables, logit, link="logit",
                                                     confidence=confidence))


def looks(regression: Regression, sample: Sample, confidence: float) -> dict[str, list[Row]]:
    """The tables about one regression; `sample` are its rows, sorted by their first dimension of clustering."""
    design, fit = regression.design, regression.fit
    return {"categories": categories(without_categories(sample, design, fit, confidence)),
            "influence": influence(regression, str), "correlations": correlations(regression),
            "added_variables": added_variables(regression, plots_of(sample.blocks(design), fit))}


def thresholds(curves: Mapping[tuple[str, str], DoseResponse],
               between: Callable[[str, str, float], Mapping[str, Any]]) -> list[Row]:
    """One row a reader, noise and share of the captchas; `level` is empty where it is not reached, and so is each end.

    `between` gives sd_between_runs and runs of a reader, noise and share.
    """
    return [{"reader": reader, "noise": noise, "share": one.share, "level": told(one.level), "low": told(one.low),
             "high": told(one.high), "reached": one.reached, "first": told(one.first),
             **between(reader, noise, one.share)}
            for (reader, noise), curve in curves.items() for one in curve.thresholds]


def areas(found: Mapping[tuple[str, str], DoseResponse]) -> list[Row]:
    """One row per reader and noise: the area under its curve."""
    return [{"reader": reader, "noise": noise, "area": one.area.value, "low": one.area.low, "high": one.area.high}
            for (reader, noise), one in found.items()]


def corruption(found: Sequence[Corruption], seen: Mapping[str, Sequence[str]]) -> list[Row]:
    """One row a reader and noise type (CE), and a reader and group of types (mCE); `seen` are the types that a reader
    trained on."""
    rows: list[Row] = []
    for one in found:
        known = sum(noise in seen[one.reader] for noise in one.noises)
        rows.append({"reader": one.reader, "noise": "+".join(one.noises), "types": len(one.noises),
                     "seen": "all" if known == len(one.noises) else "some" if known else "none",
                     "clean_error": one.clean, "error": one.error, "ratio": told(one.ratio.value),
                     "ratio_low": told(one.ratio.low), "ratio_high": told(one.ratio.high),
                     "relative": told(one.relative.value), "relative_low": told(one.relative.low),
                     "relative_high": told(one.relative.high)})
    return rows


def summary(regression: Regression, cluster_name: Callable[[int], str]) -> dict[str, object]:
    """A fit in full but for its coefficients, which `coefficients` has."""
    fit, left = regression.fit, regression.fit.leave_out
    assert left is not None  # the stage always leaves out
    return {
        "specification": regression.specification, "reader": regression.reader,
        "terms": list(regression.design.terms), "observations": fit.observations, "clusters": list(fit.cluster_counts),
        "mean": regression.mean, "clean": None if math.isnan(regression.clean) else regression.clean,
        "regressors": len(fit.names), "df": fit.df, "r2": fit.r2, "adjusted_r2": fit.adjusted_r2,
        "predicted_r2": left.predicted_r2, "out_of_cluster_r2": left.out_of_cluster_r2, "press": left.press,
        "references": dict(regression.design.references),
        "dropped": [{"term": one.term, "reason": one.reason} for one in regression.design.dropped],
        "without_standard_error": unmeasured(regression),
        "cluster_rows": dict(zip(("least", "mean", "most"), left.sizes, strict=True)),
        "cluster_leverage": {"mean": len(fit.names) / fit.clusters, "most": left.leverage_max,
                             "of": cluster_name(left.leverage_cluster), "coefficient_of_variation": left.leverage_cv},
        "effective_clusters": float(left.effective_clusters[1:].min(initial=np.inf)),
        "effective_clusters_equal": _least(left.effective_clusters_equal[1:]),
        "largest_cook": {"distance": left.cook, "of": cluster_name(left.cook_cluster)},
        "singular_clusters": left.singular, "lonely_rows": left.leverage_one,
        "condition_number": cross.condition_number(fit.moments),
        "largest_vif": float(cross.variance_inflation(fit.moments).max()) if len(fit.names) > 1 else 1.0,
        "fitted_outside": fit.outside / fit.observations,
        "reset": None if regression.reset is None else {
            "F": regression.reset.F, "df1": regression.reset.df1, "df2": regression.reset.df2,
            "p": math.exp(regression.reset.log_p)},
        "confirmed_by": ["linearmodels", "statsmodels"] if regression.confirmed else [],
        "warnings": list(regression.warnings)}


def _least(values: Floats) -> float | None:
    told_ones = values[np.isfinite(values)]
    return float(told_ones.min()) if len(told_ones) else None


def unmeasured(regression: Regression) -> list[str]:
    """Names of the coefficients on which all clusters agree exactly."""
    return [name for name, error in zip(regression.fit.names, regression.fit.standard_error, strict=True) if error == 0]
