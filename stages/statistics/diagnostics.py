"""Regression diagnostics: RESET, added-variable plots, and the regression without a category or a term."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from stages.statistics import moments as cross
from stages.statistics.arrays import Floats, Ints
from stages.statistics.design_matrix import CONSTANT, Design, DesignColumn
from stages.statistics.least_squares import Block, Blocks, Fit, least_squares
from stages.statistics.moments import Moments
from stages.statistics.sample import Sample
from stages.statistics.significance import Test

PLOT_BINS = 20  # of an added-variable plot

FEW_CLUSTERS = 50  # rules of thumb, ours, after the advice of MacKinnon, Nielsen & Webb (2023), J. Econometrics
EFFECTIVE_SHARE = 0.5  # 232:272; G* over G, where G* is itself few
JACKKNIFE_EXCESS = 1.1  # CV3 over CV1
LEVERAGE_EXCESS = 10.0  # times the mean partial leverage
ILL_CONDITIONED = 30.0  # Belsley, Kuh & Welsch (1980)
MAX_SHARE_OUT_OF_RANGE = 0.05


@dataclass(frozen=True)
class AddedVariable:
    """Bins of what a regressor, and the outcome, have left when the other regressors are taken out."""

    x: Floats  # (B,) means
    y: Floats  # (B,) means
    rows: Ints  # (B,)


@dataclass(frozen=True)
class WithoutCategory:
    """The regression without the rows of one category, beside the regression with them."""

    factor: str
    category: str
    rows: int  # that are left
    adjusted_r2: float
    moved: str  # the other coefficient that moved most, in standard errors of the whole regression
    before: float
    after: float
    errors: float  # by how many standard errors it moved
    out_of_range: tuple[str, ...]  # other coefficients that left their interval


def reset(blocks: Blocks, fit: Fit) -> Test | None:
    """Ramsey's (1969) test that squares and cubes of the fitted values add nothing, clustered (CV3).

    None where they cannot add anything: the regressors tell every mean already.
    """
    first = fit.moments.Xy[0] / fit.observations
    spread = np.sqrt(
        max(float(fit.beta @ fit.moments.XX @ fit.beta) / fit.observations - first**2, 0)
    )
    if spread < 1e-9:
        return None

    def with_powers() -> Iterator[Block]:
        for X, y, cluster in blocks():
            z = (
                X @ fit.beta - first
            ) / spread  # spans what fitted values do, on a scale that keeps digits
            yield np.column_stack([X, z**2, z**3]), y, cluster

    K = len(fit.names)
    free = cross.independent(cross.total_of(Moments.of(X, y) for X, y, _ in with_powers()))[0]
    added = [k for k in free if k >= K]
    if not added:
        return None
    chosen = [*range(K), *added]
    fuller = least_squares(
        lambda: ((X[:, chosen], y, cluster) for X, y, cluster in with_powers()),
        [*fit.names, *(f"power {k - K + 2}" for k in added)],
    )
    return fuller.wald(range(K, len(chosen)))


def added_variables(blocks: Blocks, fit: Fit) -> list[AddedVariable]:
    """Of each regressor but the constant; the line through the bins' origin has its coefficient as slope (Cook 1977;
    Frisch & Waugh 1933). Bins are evenly wide, empty ones left out."""
    spread = np.diag(fit.bread)

    def residuals() -> Iterator[tuple[Floats, Floats]]:
        for X, y, _ in blocks():
            x = X @ fit.bread / spread
            yield x, (y - X @ fit.beta)[:, None] + fit.beta * x

    low = np.min([x.min(axis=0) for x, _ in residuals()], axis=0)
    width = np.max([x.max(axis=0) for x, _ in residuals()], axis=0) - low
    K = len(fit.names)
    sums = np.zeros((3, K * PLOT_BINS))  # of x, y and rows
    offset = np.arange(K) * PLOT_BINS
    for x, y in residuals():
        bins = np.minimum(
            (x - low) / np.where(width > 0, width, 1) * PLOT_BINS, PLOT_BINS - 1
        ).astype(np.int64)
        place = (bins + offset).ravel()
        sums += [
            np.bincount(place, x.ravel(), K * PLOT_BINS),
            np.bincount(place, y.ravel(), K * PLOT_BINS),
            np.bincount(place, minlength=K * PLOT_BINS),
        ]
    found = []
    for x, y, rows in sums.reshape(3, K, PLOT_BINS).transpose(1, 0, 2)[1:]:
        filled = rows > 0
        found.append(
            AddedVariable(
                x[filled] / rows[filled], y[filled] / rows[filled], rows[filled].astype(np.int64)
            )
        )
    return found


def with_products(design: Design, term: str) -> list[int]:
    """The columns of a term and of the products that contain it: alone it is about the others' references."""
    parts = set(term.split(":"))
    return [
        k
        for k, column in enumerate(design.columns)
        if column.term != CONSTANT and parts <= set(column.term.split(":"))
    ]


def without_terms(design: Design, moments: Moments) -> dict[str, float]:
    """What adjusted R² loses without each term (and the products that contain it)."""
    whole = cross.adjusted_r2(moments)
    lost = {}
    for term in design.terms:
        gone = with_products(design, term)
        retained = [k for k in range(len(design.columns)) if k not in gone]
        lost[term] = whole - cross.adjusted_r2(moments.select(retained))
    return lost


def without_categories(
    sample: Sample, design: Design, fit: Fit, confidence: float
) -> list[WithoutCategory]:
    """The regression without the rows of each category of each factor: do the other coefficients hold?

    Without a reference its factor's coefficients would compare with another category: they are left out.
    """
    occurring = set(chain.from_iterable(_variables(column.term) for column in design.columns))
    factors = {
        name: factor
        for name, factor in sample.variables.factors.items()
        if len(factor.categories) > 1 and name in occurring
    }
    interval = fit.interval(confidence)
    error = fit.standard_error
    found = []
    for name, factor in factors.items():
        parts = category_moments(sample, design, name)
        for code, category in enumerate(factor.categories):
            # a sum, not a difference: what is left of a column that is empty now should be 0 exactly
            left = cross.total_of(part for other, part in enumerate(parts) if other != code)
            compared = [
                k
                for k, column in enumerate(design.columns)
                if not _affected(column, design, name, category, reference=code == 0)
            ]
            found.append(_without(left, compared, name, category, fit, interval, error))
    return found


def category_moments(sample: Sample, design: Design, factor: str) -> list[Moments]:
    """The cross-products of the rows of each category."""
    categories = sample.variables.factors[factor].categories
    K = len(design.columns)
    found = [Moments(np.zeros((K, K)), np.zeros(K), 0.0, 0) for _ in categories]
    for rows in sample.slices():
        X = design.block(sample.variables, rows)
        y = sample.success[rows].astype(np.float64)
        codes = sample.variables.factors[factor].codes[rows]
        for code in np.unique(codes):
            found[code] += Moments.of(X[codes == code], y[codes == code])
    return found


def _variables(term: str) -> list[str]:
    return [part.removeprefix("poly(").removesuffix(")") for part in term.split(":")]


def _affected(
    column: DesignColumn, design: Design, factor: str, left_out: str, *, reference: bool
) -> bool:
    """Whether a coefficient is about the category that is left out, or is compared with it."""
    if column.term == CONSTANT:
        return reference
    own = set(_variables(column.term))
    if factor in own:
        return reference or left_out in column.category.split(" × ")
    products = [other for other in design.columns if own | {factor} <= set(_variables(other.term))]
    # beside a product of it with the factor, a coefficient is that of the category which the product leaves out
    return bool(products) and all(left_out not in other.category.split(" × ") for other in products)


def _without(
    left: Moments,
    compared: Sequence[int],
    factor: str,
    category: str,
    fit: Fit,
    interval: Floats,
    error: Floats,
) -> WithoutCategory:
    free = cross.independent(left)[0]
    beta = np.full(len(fit.names), np.nan)
    beta[free] = cross.solve(left.select(free))[0]
    estimated = [k for k in compared if np.isfinite(beta[k]) and error[k] > 0]
    adjusted_r2 = cross.adjusted_r2(left)
    if not estimated:
        return WithoutCategory(
            factor, category, left.rows, adjusted_r2, "", np.nan, np.nan, np.nan, ()
        )
    shift = np.array([abs(beta[k] - fit.beta[k]) / error[k] for k in estimated])
    most = estimated[int(shift.argmax())]
    moved = tuple(
        fit.names[k] for k in estimated if not interval[k, 0] <= beta[k] <= interval[k, 1]
    )
    return WithoutCategory(
        factor,
        category,
        left.rows,
        adjusted_r2,
        fit.names[most],
        float(fit.beta[most]),
        float(beta[most]),
        float(shift.max()),
        moved,
    )


def warnings(fit: Fit, ways: Sequence[str]) -> list[str]:
    """What breaks a rule of thumb, in words; `ways` says by what rows are clustered, of which the first is left out."""
    clusters = " and ".join(ways)
    found: list[str] = []
    G = min(fit.cluster_counts)
    if fit.df < G - 1:
        found.append(
            f"t and F have {fit.df} degrees of freedom, since the fewest training runs of a reader are "
            f"{fit.df + 1}"
        )
    if G < FEW_CLUSTERS:
        found.append(
            f"{G} clusters by {clusters} are few: t and F with {fit.df} degrees of freedom are approximate"
            + (
                "; compare with the p of the wild cluster bootstrap"
                if len(fit.cluster_counts) == 1
                else ""
            )
        )
    ratio = np.divide(
        fit.standard_error,
        fit.standard_error_cv1,
        out=np.ones(len(fit.names)),
        where=fit.standard_error_cv1 > 0,
    )
    if ratio.max() > JACKKNIFE_EXCESS:
        found.append(
            f"the jackknife's error of {fit.names[ratio.argmax()]} is {ratio.max():.2f} times CV1's: a few "
            f"clusters by {clusters} carry it"
        )
    found += _about_leave_out(fit, ways[0])
    if (number := cross.condition_number(fit.moments)) > ILL_CONDITIONED:
        found.append(
            f"the condition number of X is {number:.0f}: some columns are nearly combinations of others"
        )
    if fit.out_of_range > MAX_SHARE_OUT_OF_RANGE * fit.observations:
        found.append(
            f"{fit.out_of_range / fit.observations:.0%} of the fitted values lie below 0 or above 1: compare with "
            "the logit"
        )
    return found


def _about_leave_out(fit: Fit, clusters: str) -> Iterator[str]:
    left = fit.leave_out
    G = fit.clusters
    if left is None or len(fit.names) == 1:
        return
    effective = np.fmin(
        left.effective_clusters, left.effective_clusters_equal
    )  # of the two the less; one may be NaN
    least = int(effective[1:].argmin()) + 1
    if effective[least] < min(EFFECTIVE_SHARE * G, FEW_CLUSTERS):
        yield (
            f"{fit.names[least]} is identified as by {effective[least]:.1f} clusters of equal weight, "
            f"though there are {G} by {clusters}"
        )
    most = int(left.partial_max[1:].argmax()) + 1
    if left.partial_max[most] > LEVERAGE_EXCESS / G:
        yield (
            f"{clusters} {left.partial_cluster[most]} alone carries {left.partial_max[most]:.0%} of what identifies "
            f"{fit.names[most]}, {left.partial_max[most] * G:.0f} times its share"
        )
    if left.singular:
        yield (
            f"without each of {left.singular} clusters by {clusters} some coefficient is not identified: the "
            "jackknife takes a generalised inverse there"
        )
    if left.leverage_one:
        yield f"{left.leverage_one} rows alone identify a coefficient: no other row predicts them"
