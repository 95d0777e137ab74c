"""One regression of a study: a formula on a sample, its fit, and its diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stages.statistics import oracles
from stages.statistics.arrays import Floats, Ints
from stages.statistics.coding import build_design
from stages.statistics.design_matrix import Design, DesignColumn
from stages.statistics.diagnostics import (
    FEW_CLUSTERS,
    reset,
    warnings,
    with_products,
    without_terms,
)
from stages.statistics.formulas import Term
from stages.statistics.influence import LeaveOut
from stages.statistics.least_squares import Fit, least_squares, two_way
from stages.statistics.run_variance import TrainingRuns, between_runs
from stages.statistics.sample import Sample, intersection, order_of
from stages.statistics.significance import Test, adjusted
from stages.statistics.wild import cluster_moments, wild_p

WILD_DRAWS = 9999  # of the wild cluster bootstrap, where not all draws are taken
# Other libraries fit the same regression up to so many rows: they need ten times the time and memory.
MOST_CONFIRMED_ROWS = 200_000


@dataclass(frozen=True)
class Clusters:
    """The dimensions in which rows are clustered, one or two: a word and labels (N,) each; and training runs."""

    names: tuple[str, ...]
    labels: tuple[Ints, ...]
    runs: TrainingRuns | None = None  # where the variance between them is added

    @property
    def words(self) -> str:
        return " and ".join(self.names)

    def take(self, rows: Ints) -> Clusters:
        """Of some rows."""
        return Clusters(
            self.names,
            tuple(labels[rows] for labels in self.labels),
            None if self.runs is None else self.runs.take(rows),
        )


@dataclass(frozen=True)
class Regression:
    """A fit, what its columns stand for (but not X, which is large), and whose rows it used."""

    specification: str
    reader: str  # or a word for all of them
    design: Design
    fit: Fit
    mean: float  # of the outcome
    clean: float  # mean of the outcome in rows without a dose; NaN where all have one
    tests: Mapping[
        str, Test | None
    ]  # by term, that neither it nor a product that contains it has an effect
    lost: Mapping[str, float]  # what adjusted R² loses without the term
    reset: Test | None
    wild: Floats | None  # (K,) p of the wild cluster bootstrap, where clusters are few
    warnings: tuple[str, ...]
    confirmed: bool  # by other libraries

    @property
    def columns(self) -> tuple[DesignColumn, ...]:
        return self.design.columns

    @property
    def leave_out(self) -> LeaveOut:
        """What changes where a row or a cluster is left out; `estimate` always measures it."""
        if self.fit.leave_out is None:
            raise ValueError(
                f"regression {self.specification}, {self.reader}: fitted without leave-one-out results"
            )
        return self.fit.leave_out

    @property
    def p(self) -> Floats:  # (K,)
        p: Floats = np.exp(self.fit.log_p)
        return p

    def adjusted_p(self, method: str) -> Floats:
        """p (K,) adjusted for the number of coefficients beside the constant, which is no hypothesis: NaN."""
        return np.concatenate([[np.nan], adjusted(self.p[1:], method)])


def estimate(
    specification: str,
    reader: str,
    terms: Sequence[Term],
    sample: Sample,
    clusters: Clusters,
    *,
    confirm: bool,
    rng: np.random.Generator,
) -> Regression:
    """Fit a formula. The sample may be in any order: it is sorted by each way of clustering.

    To `confirm` it by other libraries takes three times as long as all the rest.
    Raises ValueError, which begins with the regression's name, on whatever the fit refuses, and where another library
    has other numbers.
    """
    try:
        return _estimate(specification, reader, terms, sample, clusters, confirm, rng)
    except ValueError as error:
        raise ValueError(f"regression {specification}, {reader}: {error}") from None


def _estimate(
    specification: str,
    reader: str,
    terms: Sequence[Term],
    sample: Sample,
    clusters: Clusters,
    confirm: bool,
    rng: np.random.Generator,
) -> Regression:
    design = build_design(terms, sample.variables)
    first = sample.by(clusters.labels[0])
    blocks = first.blocks(design)
    fit = least_squares(blocks, design.names)
    confirmed = confirm and sample.rows <= MOST_CONFIRMED_ROWS
    if confirmed:
        oracles.confirm(blocks, fit)
    wild = None
    if len(clusters.labels) == 2:
        second, both = (
            least_squares(
                sample.by(labels).blocks(design), design.names, leave_out=False, jackknife=True
            )
            for labels in (clusters.labels[1], intersection(*clusters.labels))
        )
        fit = two_way(fit, second, both)
    if clusters.runs is not None:
        fit = with_runs(
            fit, *between_runs(first, design, fit, clusters.runs.take(order_of(clusters.labels[0])))
        )
    elif len(clusters.labels) == 1 and fit.clusters < FEW_CLUSTERS:
        wild = wild_p(cluster_moments(blocks), WILD_DRAWS, rng=rng)
    return Regression(
        specification,
        reader,
        design,
        fit,
        *_outcome(sample),
        {term: fit.wald(with_products(design, term)) for term in design.terms},
        without_terms(design, fit.moments),
        reset(blocks, fit),
        wild,
        tuple(warnings(fit, clusters.names)),
        confirmed,
    )


def with_runs(fit: Fit, between: Floats, runs: int) -> Fit:
    """Errors that hold the variance between training runs, too, with one degree of freedom less than the fewest runs of
    a reader; no error is smaller than without them."""
    return replace(
        fit,
        df=runs - 1,
        covariances=(fit.covariances[0] + between, *fit.covariances),
        covariances_cv1=(fit.covariances_cv1[0] + between, *fit.covariances_cv1),
    )


def _outcome(sample: Sample) -> tuple[float, float]:
    """Mean of the outcome in all rows, and in those without a dose."""
    dosed = [sample.variables.dosed(number) for number in sample.variables.doses]
    clean = sample.success[~dosed[0]] if dosed else sample.success[:0]
    return float(sample.success.mean()), float(clean.mean()) if len(clean) else float("nan")
