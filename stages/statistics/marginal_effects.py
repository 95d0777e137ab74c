"""Average marginal effects of the variables of a regression, least squares or logit.

An effect is of a variable, not of a column of X: all the terms in which it occurs change together, so that interactions
and polynomials count in full, and it is averaged over rows that the study has. X is made a block at a time, as in
least_squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np
from scipy.special import expit

from stages.statistics.arrays import Floats
from stages.statistics.design_matrix import Design, Factor, Variables
from stages.statistics.least_squares import BLOCK_ROWS
from stages.statistics.significance import Inference


@dataclass(frozen=True)
class Effect:
    """What a variable changes in the probability of success, on average."""

    variable: str
    category: str  # instead of the first category; "" of a number, whose effect is per unit
    estimate: float
    standard_error: float
    low: float  # of the confidence interval; NaN with no standard error
    high: float


Link = Callable[
    [Floats], tuple[Floats, Floats, Floats]
]  # of X beta: the probability, its first and second derivative


def _logistic(log_odds: Floats) -> tuple[Floats, Floats, Floats]:
    p: Floats = expit(log_odds)
    slope = p * (1 - p)
    return p, slope, slope * (1 - 2 * p)


def _identity(fitted: Floats) -> tuple[Floats, Floats, Floats]:
    return fitted, np.ones_like(fitted), np.zeros_like(fitted)


LINKS: Mapping[str, Link] = {"logit": _logistic, "identity": _identity}


@dataclass(frozen=True)
class FactorEffects:
    """The effects of one variable and their derivatives by beta."""

    variable: str
    categories: tuple[str, ...]  # of a factor, the first of which has no effect; "" of a number
    effects: Floats  # (M,)
    gradients: Floats  # (M, K)


def average_effects(
    design: Design,
    variables: Variables,
    fit: Inference,
    *,
    link: Literal["logit", "identity"],
    confidence: float,
    rows: int = BLOCK_ROWS,
) -> list[Effect]:
    """The average effect of each variable of a design, in the order of its terms, over rows that exist; see effects_of.

    Errors by the delta method, the rows taken as given (Stata's margins), with the covariances and degrees of freedom
    of `fit`, which was fitted with this link.
    """
    found = effects_of(design, variables, fit.beta, link=link, rows=rows)
    keys = []
    effects = []
    gradients = []
    for one in found:
        first = int(
            one.variable in variables.factors
        )  # the category that the others are compared with
        keys += [(one.variable, category) for category in one.categories[first:]]
        effects.append(one.effects[first:])
        gradients.append(one.gradients[first:])
    if not found:
        return []
    effect = np.concatenate(effects)
    gradient = np.concatenate(gradients)
    inference = Inference(
        effect,
        fit.df,
        tuple(gradient @ V @ gradient.T for V in fit.covariances),
        tuple(gradient @ V @ gradient.T for V in fit.covariances_cv1),
    )
    return [
        Effect(variable, category, float(estimate), float(error), float(low), float(high))
        for (variable, category), estimate, error, (low, high) in zip(
            keys, effect, inference.standard_error, inference.interval(confidence), strict=True
        )
    ]


def effects_of(
    design: Design,
    variables: Variables,
    beta: Floats,
    *,
    link: Literal["logit", "identity"],
    rows: int = BLOCK_ROWS,
) -> list[FactorEffects]:
    """The average effect of each variable of a design, in the order of its terms.

    Of a factor's category: the mean over all rows of P(the row with that category) - P(the same with the first), what
    else it has unchanged. Of the factor that says which rows have a dose (the noise): the mean over the rows of that
    category, at their own doses, of P(the row) - P(the same without noise and dose), less that mean of the first
    category; so it is of cells that exist. Of a number: the mean of dP/d(number), of the exact derivative of X; of a
    dose over the rows that have it.
    """
    treatments = {
        factor: category
        for factor, category in variables.doses.values()
        if category in variables.factors[factor].categories
    }
    names = _names(design)
    function = LINKS[link]
    sums = {
        name: np.zeros(
            (
                len(variables.factors[name].categories) if name in variables.factors else 1,
                len(beta) + 1,
            )
        )
        for name in names
    }
    counts = {name: np.zeros(len(sums[name])) for name in names}
    slopes = {name: _derivative(design, name) for name in names if name in variables.numbers}
    for part in _parts(variables, rows):
        for name in names:
            if name in treatments:
                found, rows_of = _treated(design, part, name, treatments[name], beta, function)
            elif name in slopes:
                found, rows_of = _slope(design, slopes[name], part, name, beta, function)
            else:
                found = _margins(design, part, name, beta, function)
                rows_of = np.full(len(sums[name]), part.rows)
            sums[name] += found
            counts[name] += rows_of
    return [
        _effects(name, variables, sums[name] / np.maximum(counts[name], 1)[:, None])
        for name in names
    ]


def _effects(name: str, variables: Variables, means: Floats) -> FactorEffects:
    """means (M, 1 + K): one row per average, then its derivatives by beta."""
    if name not in variables.factors:
        return FactorEffects(name, ("",), means[:, 0], means[:, 1:])
    means = means - means[0]
    return FactorEffects(name, variables.factors[name].categories, means[:, 0], means[:, 1:])


def _names(design: Design) -> list[str]:
    """The variables of a design, in the order of its terms."""
    return list(
        dict.fromkeys(
            part.removeprefix("poly(").removesuffix(")")
            for term in design.terms
            for part in term.split(":")
        )
    )


def _parts(variables: Variables, rows: int) -> Iterator[Variables]:
    """Blocks of the rows, as views."""
    for start in range(0, variables.rows, rows):
        part = slice(start, min(start + rows, variables.rows))
        yield Variables(
            {
                name: Factor(factor.codes[part], factor.categories)
                for name, factor in variables.factors.items()
            },
            {name: values[part] for name, values in variables.numbers.items()},
            part.stop - start,
            variables.doses,
        )


def _margins(design: Design, part: Variables, name: str, beta: Floats, link: Link) -> Floats:
    """(categories, 1 + K): sums over the rows of P and its derivatives by beta, were all of one category."""
    factor = part.factors[name]
    found = np.empty((len(factor.categories), len(beta) + 1))
    for code in range(len(factor.categories)):
        same = Factor(np.full_like(factor.codes, code), factor.categories)
        X = design.block(replace(part, factors={**part.factors, name: same}), slice(None))
        p, slope, _ = link(X @ beta)
        found[code, 0] = p.sum()
        found[code, 1:] = slope @ X
    return found


def _treated(
    design: Design, part: Variables, name: str, without: str, beta: Floats, link: Link
) -> tuple[Floats, Floats]:
    """(categories, 1 + K): by category sums over its rows of P - P(without treatment and doses) and the derivatives of
    that by beta, and how many rows these are."""
    factor = part.factors[name]
    absent = Factor(np.full_like(factor.codes, factor.categories.index(without)), factor.categories)
    doses = {
        number: np.zeros(part.rows)
        for number, (treatment, _) in part.doses.items()
        if treatment == name
    }
    bare = replace(part, factors={**part.factors, name: absent}, numbers={**part.numbers, **doses})
    found = np.zeros((len(factor.categories), len(beta) + 1))
    for sign, one in ((1, part), (-1, bare)):
        X = design.block(one, slice(None))
        p, slope, _ = link(X @ beta)
        changes = sign * np.column_stack([p, slope[:, None] * X])
        for code in np.unique(factor.codes):
            found[code] += changes[factor.codes == code].sum(axis=0)
    return found, np.bincount(factor.codes, minlength=len(factor.categories)).astype(np.float64)


def _slope(
    design: Design, derivative: Design, part: Variables, number: str, beta: Floats, link: Link
) -> tuple[Floats, Floats]:
    """(1, 1 + K): sums of dP/d(number) and its derivatives by beta over the rows that have it, and how many these
    are."""
    here = part.dosed(number)
    X = design.block(part, slice(None))[here]
    D = derivative.block(part, slice(None))[here]
    D[:, 0] = 0  # the constant
    _, slope, curvature = link(X @ beta)
    rise = D @ beta
    return np.concatenate([[slope @ rise], slope @ D + (curvature * rise) @ X])[None], np.array(
        [here.sum()], np.float64
    )


def _derivative(design: Design, number: str) -> Design:
    """A design whose blocks hold the derivative of X by a number, in all columns but the constant's."""
    pieces = []
    for piece in design.pieces:
        own = [polynomial for name, polynomial in piece.numbers if name == number]
        if own:
            others = tuple(
                (name, polynomial) for name, polynomial in piece.numbers if name != number
            )
            slope = np.asarray(np.polyder(reduce(_product, own)), dtype=np.float64)
            pieces.append(replace(piece, numbers=(*others, (number, slope))))
    return replace(design, pieces=tuple(pieces))


def _product(first: Floats, second: Floats) -> Floats:
    return np.asarray(np.polymul(first, second), dtype=np.float64)
