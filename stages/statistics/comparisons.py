"""What each noise type costs against clean, and every category against every other, of one regression as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from stages.schemas.regress import Contrasts, Costs, FormulaVariables
from stages.schemas.table import Row, row_of
from stages.schemas.words import CLEAN, POOLED
from stages.statistics.arrays import Floats
from stages.statistics.contrasts import Means, contrasts, ranks
from stages.statistics.design_matrix import Variables
from stages.statistics.marginal_effects import FactorEffects, effects_of
from stages.statistics.observations import rows_of_reader
from stages.statistics.regression import Regression
from stages.statistics.runs import PerRun
from stages.statistics.sample import Sample
from stages.statistics.significance import Inference
from stages.statistics.tidy import Rows

NOISE = FormulaVariables.noise  # the factor whose clean category is no noise type


def comparison_tables(
    regressions: Sequence[Regression],
    sample: Sample,
    between: PerRun,
    confidence: float,
    *,
    rng_of: Callable[..., np.random.Generator],
) -> Rows:
    """Contrasts of all categories of every factor, and costs of the noise types, of each regression.

    `rng_of` gives a random stream for a table, a reader and a factor.
    """
    tables: Rows = {Costs: [], Contrasts: []}
    for one in regressions:
        own = sample if one.reader == POOLED else sample.take(rows_of_reader(sample, one.reader))
        for found in factor_effects(one, own.variables):
            rng = rng_of("contrasts", one.reader, found.variable)
            tables[Contrasts] += _contrast_rows(one, found, between, confidence, rng=rng)
            if found.variable == NOISE and NOISE in one.design.terms:
                rng = rng_of("costs", one.reader)
                tables[Costs] += _cost_rows(one, found, between, confidence, rng=rng)
    return tables


def factor_effects(one: Regression, variables: Variables) -> list[FactorEffects]:
    """The effects of the factors of a regression that have more than one category."""
    return [
        found
        for found in effects_of(one.design, variables, one.fit.beta, link="identity")
        if found.variable in variables.factors and len(found.categories) > 1
    ]


def means_of(one: Regression, found: FactorEffects) -> tuple[Means, Floats]:
    """The effects of a factor's categories (of noise: of those that are noise), and their gradients (M, K)."""
    chosen = [
        i for i, name in enumerate(found.categories) if (found.variable, name) != (NOISE, CLEAN)
    ]
    gradients = found.gradients[chosen]
    return Means(
        tuple(found.categories[i] for i in chosen),
        found.effects[chosen],
        tuple(gradients @ V @ gradients.T for V in one.fit.covariances),
        one.fit.df,
    ), gradients


def weights_of(one: Regression, gradient: Floats) -> dict[tuple[str, str], float]:
    """A combination of coefficients, by term and category; what is rounding counts as 0."""
    return {
        (column.term, column.category): float(weight) if abs(weight) > 1e-12 else 0.0
        for column, weight in zip(one.columns, gradient, strict=True)
    }


def _contrast_rows(
    one: Regression,
    found: FactorEffects,
    between: PerRun,
    confidence: float,
    *,
    rng: np.random.Generator,
) -> Iterator[Row]:
    """One row per pair of categories; clean is no noise type."""
    means, gradients = means_of(one, found)
    place = {name: i for i, name in enumerate(means.categories)}
    for pair in contrasts(means, confidence=confidence, rng=rng):
        moved = between.combination(
            one.specification,
            one.reader,
            weights_of(one, gradients[place[pair.a]] - gradients[place[pair.b]]),
        )
        yield row_of(Contrasts, pair, factor=found.variable, reader=one.reader, **moved)


def _cost_rows(
    one: Regression,
    found: FactorEffects,
    between: PerRun,
    confidence: float,
    *,
    rng: np.random.Generator,
) -> Iterator[Row]:
    """One row per noise type: what it costs against clean; less success is a larger cost. None without clean rows."""
    if CLEAN not in found.categories:
        return
    at = found.categories.index(CLEAN)
    lost = FactorEffects(
        found.variable,
        found.categories,
        found.effects[at] - found.effects,
        found.gradients[at] - found.gradients,
    )
    means, gradients = means_of(one, lost)
    ends = Inference(means.effects, means.df, means.covariances, means.covariances).interval(
        confidence
    )
    errors = means.standard_error(np.eye(len(means.effects)))
    for i, rank in enumerate(ranks(means, confidence=confidence, rng=rng)):
        moved = between.combination(one.specification, one.reader, weights_of(one, gradients[i]))
        yield row_of(
            Costs,
            rank,
            reader=one.reader,
            noise=rank.category,
            cost=means.effects[i],
            standard_error=errors[i],
            low=ends[i, 0],
            high=ends[i, 1],
            rank_low=rank.low,
            rank_high=rank.high,
            **moved,
        )
