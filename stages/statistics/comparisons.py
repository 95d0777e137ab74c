"""What each noise type costs against clean, and every category against every other, of one regression as rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stages.schemas.regress import Contrasts, Costs, FormulaVariables
from stages.schemas.table import Row, row_of
from stages.statistics.arrays import Floats
from stages.statistics.contrasts import Means, contrasts, ranks
from stages.statistics.design_matrix import Variables
from stages.statistics.marginal_effects import FactorEffects, effects_of
from stages.statistics.regression import Regression
from stages.statistics.runs import PerRun
from stages.statistics.significance import Inference

NOISE = FormulaVariables.noise  # the factor whose clean category is no noise type


def factor_effects(one: Regression, variables: Variables) -> list[FactorEffects]:
    """The effects of the factors of a regression that have more than one category."""
    return [
        found
        for found in effects_of(one.design, variables, one.fit.beta, link="identity")
        if found.variable in variables.factors and len(found.categories) > 1
    ]


def means_of(one: Regression, found: FactorEffects, clean: str) -> tuple[Means, Floats]:
    """The effects of a factor's categories (of noise: of those that are noise), and their gradients (M, K)."""
    chosen = [
        i for i, name in enumerate(found.categories) if (found.variable, name) != (NOISE, clean)
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


def contrast_rows(
    one: Regression,
    found: FactorEffects,
    clean: str,
    between: PerRun,
    confidence: float,
    *,
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Every pair of categories; of noise types those that are none but `clean`."""
    means, gradients = means_of(one, found, clean)
    place = {name: i for i, name in enumerate(means.categories)}
    for pair in contrasts(means, confidence=confidence, rng=rng):
        moved = between.combination(
            one.specification,
            one.reader,
            weights_of(one, gradients[place[pair.a]] - gradients[place[pair.b]]),
        )
        yield row_of(Contrasts, pair, factor=found.variable, reader=one.reader, **moved)


def cost_rows(
    one: Regression,
    found: FactorEffects,
    clean: str,
    between: PerRun,
    confidence: float,
    *,
    rng: np.random.Generator,
) -> Iterator[Row]:
    """What each noise type costs against clean: less success is a larger cost. None where clean does not occur."""
    if clean not in found.categories:
        return
    at = found.categories.index(clean)
    lost = FactorEffects(
        found.variable,
        found.categories,
        found.effects[at] - found.effects,
        found.gradients[at] - found.gradients,
    )
    means, gradients = means_of(one, lost, clean)
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
