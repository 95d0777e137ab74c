"""Schemas of the outputs of `regress`: tables in plots/regress, fits.json and table.json; and experiments/runs.json.

Shares, effects, costs, differences and their standard errors are fractions: 0.01 is one percentage point. Standard
errors and intervals have the clustering and the confidence that fits.json records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from stages.schemas.record import Record
from stages.schemas.table import Number, Table, Text, Whole


class FormulaVariables(Table):
    """The variables of a formula, except parameters of the readers; one row per character of a rendering."""

    noise = Text("noise type, `none` where clean")
    colour = Text("colour scheme")
    digit = Text("the true character")
    position = Text("place of the character in its text, from 1")
    reader = Text("reader")
    level = Number("level of the noise, 0 where clean")
    rmse = Number("RMSE of luma against the clean rendering, full scale = 1")
    ssim_loss = Number("1 − SSIM against the clean rendering")
    contrast = Number("foreground minus background luma, -1 to 1")


class Coefficients(Table):
    """The coefficients of every regression, the constant first."""

    specification = Text("name of the formula", key=True)
    reader = Text("reader whose rows were used, or `all`", key=True)
    term = Text("term of the formula, or `constant`", key=True)
    category = Text("category of the factors in the term, empty of a number", key=True)
    label = Text("name of the regressor")
    estimate = Number("change of the share of characters read right, of a category or per unit")
    standard_error = Number("standard error, CV3; 0 where all clusters agree exactly")
    standard_error_cv1 = Number("standard error, CV1")
    t = Number("estimate over standard error")
    p = Number("two-sided p")
    minus_log10_p = Number("minus the decimal logarithm of p")
    low = Number("lower end of the interval")
    high = Number("upper end of the interval")
    p_holm = Number("p adjusted by Holm's method within the regression")
    p_bh = Number("p adjusted by Benjamini & Hochberg's method within the regression")
    p_wild = Number("p of the wild cluster bootstrap, where clusters are few")
    vif = Number("variance inflation factor")
    least = Number("least estimate without one cluster")
    least_without = Text("the cluster left out there")
    most = Number("greatest estimate without one cluster")
    most_without = Text("the cluster left out there")
    effective_clusters = Number("effective number of clusters G*")
    effective_clusters_equal = Number("G* where all rows of a cluster had one error in common")
    partial_leverage = Number("greatest share of a cluster in the regressor's remaining variation")
    partial_leverage_cluster = Text("the cluster with that share")
    sd_between_runs = Number("standard deviation of the estimate between training runs")
    runs = Number("number of training runs, where known")


class JointTests(Table):
    """The Wald test of every term: its coefficients and those of its interactions are all zero."""

    specification = Text("name of the formula", key=True)
    reader = Text("reader whose rows were used, or `all`", key=True)
    term = Text("term of the formula", key=True)
    F = Number("Wald statistic over the number of coefficients")
    df1 = Number("number of coefficients")
    df2 = Number("degrees of freedom of the errors")
    p = Number("p of F")
    minus_log10_p = Number("minus the decimal logarithm of p")
    adjusted_r2_lost = Number("what adjusted R² loses without the term")


class Costs(Table):
    """The average cost of each noise type: accuracy of clean captchas less mean accuracy under it."""

    reader = Text("reader, or `all`", key=True)
    noise = Text("noise type", key=True)
    cost = Number("share of the characters that the noise costs")
    standard_error = Number("its standard error")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    rank = Number("rank by cost, 1 the costliest")
    rank_low = Number("first rank that simultaneous intervals leave open")
    rank_high = Number("last rank that they leave open")
    first = Number("share of the draws in which it costs most")
    sd_between_runs = Number("standard deviation of the cost between training runs")
    runs = Number("number of training runs, where known")


class Contrasts(Table):
    """Every pair of categories of a factor: success under `a` less success under `b`."""

    factor = Text("factor of the regression", key=True)
    reader = Text("reader, or `all`", key=True)
    a = Text("category", key=True)
    b = Text("category it is compared with", key=True)
    difference = Number("difference of the shares")
    standard_error = Number("its standard error")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    simultaneous_low = Number(
        "lower end of the interval that holds for all pairs of the factor at once"
    )
    simultaneous_high = Number("upper end of that interval")
    probability = Number("share of the draws in which the difference is above 0")
    detectable = Number("smallest difference found with a power of 0.8")
    equivalence = Number("bound within which the two are equivalent")
    sd_between_runs = Number("standard deviation of the difference between training runs")
    runs = Number("number of training runs, where known")


class Categories(Table):
    """The headline regression without each category: the other coefficient that changes most."""

    factor = Text("factor of the category", key=True)
    category = Text("category left out", key=True)
    rows = Whole("rows that remain")
    adjusted_r2 = Number("adjusted R² of the rest")
    moved = Text("coefficient that changes most, in standard errors")
    before = Number("that coefficient of all rows")
    after = Number("the same without the category")
    errors = Number("its change in standard errors")
    outside = Text("coefficients that leave their interval, between semicolons")


class ClusterInfluence(Table):
    """The clusters whose removal changes the headline regression most."""

    cluster = Text("label of the cluster", key=True)
    rows = Whole("its rows")
    leverage = Number("its leverage")
    distance = Number("its Cook's distance")
    moves = Text("coefficient that changes most without it")
    by_errors = Number("that change in standard errors")


class Correlations(Table):
    """Pearson's correlation of every ordered pair of regressors of the headline regression."""

    a = Text("regressor", key=True)
    b = Text("regressor", key=True)
    r = Number("their correlation, -1 to 1")


class AddedVariables(Table):
    """Added-variable plots of the headline regression, in bins: residuals given the other regressors."""

    term = Text("term of the formula")
    category = Text("category of the factors in the term, empty of a number")
    label = Text("name of the regressor", key=True)
    x = Number("mean of what is left of the regressor", key=True)
    y = Number("mean of what is left of success")
    rows = Whole("rows in the bin")
    line = Number("x times the coefficient")


class MarginalEffects(Table):
    """Average marginal effects by the linear probability model and by the logit of the same formula."""

    model = Text("linear or logit", key=True)
    variable = Text("factor or number", key=True)
    category = Text("category of a factor, empty of a number", key=True)
    estimate = Number("change of the share of characters read right, of a category or per unit")
    standard_error = Number("its standard error")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")


class Thresholds(Table):
    """The level of each noise at which a reader still reads a share of the captchas whole."""

    reader = Text("reader", key=True)
    noise = Text("noise type", key=True)
    share = Number("share of the captchas read whole", key=True)
    level = Number("level; empty where it is not reached, 0 where it is not even without noise")
    low = Number("lower end of its interval; empty where not reached")
    high = Number("upper end of its interval; empty where not reached")
    reached = Number("share of the draws in which it is reached")
    first = Number("share of the draws in which the noise's level is the lowest of all noises")
    sd_between_runs = Number("standard deviation of the level between training runs")
    runs = Number("number of training runs, where known")


class Areas(Table):
    """The area under the curve of captchas read whole against the level, over the levels tested."""

    reader = Text("reader", key=True)
    noise = Text("noise type", key=True)
    area = Number("mean share of the captchas over the levels")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")


class DoseResponses(Table):
    """Means by reader, noise and level, and the line of the reader's own regression."""

    reader = Text("reader", key=True)
    noise = Text("noise type; level 0 holds the clean captchas", key=True)
    level = Number("level of the noise", key=True)
    dose = Number("mean of the dose that the regressions take")
    rmse = Number("mean RMSE of luma, full scale = 1")
    ssim_loss = Number("mean of 1 − SSIM")
    rows = Whole("characters")
    accuracy = Number("share of the characters read right")
    line = Number("mean of the fitted values; empty where the reader has no regression")
    exact = Number("share of the captchas read whole")


class CorruptionErrors(Table):
    """Errors under noise over those of the baseline reader: CE of a noise type, mCE of several."""

    reader = Text("reader", key=True)
    noise = Text("noise types, between plus signs", key=True)
    types = Whole("number of the noise types")
    seen = Text("how many of them the reader trained on: all, some or none")
    clean_error = Number("share of the clean characters not read right")
    error = Number("share of the characters under noise not read right")
    ratio = Number("mean over the types of summed errors over the baseline's")
    ratio_low = Number("lower end of its interval")
    ratio_high = Number("upper end of its interval")
    relative = Number("the same of errors less the clean error")
    relative_low = Number("lower end of its interval")
    relative_high = Number("upper end of its interval")


TABLES: dict[str, type[Table]] = {  # by name of the file in plots/regress
    "coefficients": Coefficients, "tests": JointTests, "costs": Costs, "contrasts": Contrasts,
    "categories": Categories, "influence": ClusterInfluence, "correlations": Correlations,
    "added_variables": AddedVariables, "marginal_effects": MarginalEffects, "thresholds": Thresholds, "areas": Areas,
    "dose_response": DoseResponses, "corruption": CorruptionErrors,
}  # fmt: skip


@dataclass(frozen=True)
class DroppedTerm(Record):
    """A term that a regression had to drop, with the reason."""

    term: str
    reason: str


@dataclass(frozen=True)
class ClusterRows(Record):
    """The number of rows per cluster."""

    least: int
    mean: float
    most: int


@dataclass(frozen=True)
class ClusterLeverage(Record):
    """Leverage of the clusters; `of` is the cluster with the most."""

    mean: float
    most: float
    of: str
    coefficient_of_variation: float


@dataclass(frozen=True)
class LargestCook(Record):
    """The largest Cook's distance of a cluster, and of which."""

    distance: float
    of: str


@dataclass(frozen=True)
class ResetTest(Record):
    """Ramsey's RESET: powers of the fitted values have no additional effect."""

    F: float
    df1: int
    df2: int
    p: float


@dataclass(frozen=True)
class FitSummary(Record):
    """A regression of fits.json."""

    specification: str
    reader: str  # whose rows were used, or POOLED
    terms: Sequence[str]
    observations: int
    clusters: Sequence[int]  # number of them by dimension
    mean: float  # of the outcome
    clean: float | None  # mean of the outcome without noise; None where all rows have some
    regressors: int
    df: int
    r2: float
    adjusted_r2: float
    predicted_r2: float  # leave-one-out, from PRESS
    out_of_cluster_r2: float  # leave-one-cluster-out
    press: float
    references: Mapping[str, str]  # by factor, the category that the others are compared with
    dropped: Sequence[DroppedTerm]
    without_standard_error: Sequence[str]  # coefficients on which all clusters agree exactly
    cluster_rows: ClusterRows
    cluster_leverage: ClusterLeverage
    effective_clusters: float  # the least of a coefficient
    effective_clusters_equal: float | None
    largest_cook: LargestCook
    singular_clusters: int
    lonely_rows: int  # rows of leverage 1
    condition_number: float
    largest_vif: float
    fitted_outside: float  # share of the fitted values outside 0 to 1
    reset: ResetTest | None
    confirmed_by: Sequence[str]  # libraries
    warnings: Sequence[str]
    coefficients: Sequence[Mapping[str, str | float | int]]  # the rows of Coefficients


@dataclass(frozen=True)
class RandomisationTest(Record):
    """The randomisation test of a factor."""

    factor: str
    statistic: float
    draws: int
    p: float


@dataclass(frozen=True)
class Fits(Record):
    """data/regression/fits.json: the estimator, and each regression in full."""

    estimator: str
    cluster: Sequence[str]  # what the rows are clustered by
    cluster_asked: Sequence[str]  # what params.yaml asks for
    covariance: str
    small_sample_factor: str
    distribution: str
    confidence: float
    dose: str
    headline: str  # specification of the report
    by_reader: str  # specification of the readers' own regressions
    checks: Sequence[str]  # specifications beside the table
    formulas: Mapping[str, str]
    runs: Mapping[str, Sequence[str]]  # entries of `readers` by reader
    guess_rate: float  # share of the characters that blind guesses get
    randomisation: RandomisationTest | None
    fits: Sequence[FitSummary]
    skipped_readers: Mapping[str, str]  # why a reader has no regression of its own


@dataclass(frozen=True)
class PublicationLine(Record):
    """A coefficient of the publication table: one entry per regression, "" where it has none."""

    heading: str  # stands above the line where a term begins, else ""
    label: str
    values: Sequence[str]
    errors: Sequence[str]


@dataclass(frozen=True)
class Publication(Record):
    """plots/regress/table.json: the publication table, independent of an output format."""

    title: str
    header: Sequence[str]  # (1), (2) …
    readers: Sequence[str]  # second line of the header
    lines: Sequence[PublicationLine]
    summary: Mapping[str, Sequence[str]]
    notes: Sequence[str]


@dataclass(frozen=True)
class RunEstimates(Record):
    """experiments/runs.json: estimates of a study with several training runs of each reader.

    An estimate is its key (kind, then what it is of) followed by a list with one value per run, None where it has none.
    """

    remedy: ClassVar[str] = (
        "expected what `python -m experiments.runs --collect` writes: restore it from git, or "
        "collect it again"
    )

    parameters: Mapping[str, Any]
    dose: str
    references: Mapping[str, str]
    formulas: Mapping[str, str]
    estimates: Sequence[Sequence[str | Sequence[float | None]]]
