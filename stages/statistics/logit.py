"""Logistic regression with clustered errors beside least squares, and the average effect of each variable in either.

An effect is of a variable, not of a column of X: all the terms in which it occurs change together, so that interactions
and polynomials count in full, and it is averaged over rows that the study has. X is made a block at a time, as in
least_squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np
from scipy.special import expit

from stages.statistics import moments as cross
from stages.statistics.arrays import Floats
from stages.statistics.clustered import sandwich
from stages.statistics.design import Design, Factor, Variables
from stages.statistics.inference import Inference
from stages.statistics.least_squares import BLOCK_ROWS, Blocks, ascending_blocks, checked, identified_root
from stages.statistics.leave_out import cluster_batches
from stages.statistics.moments import Moments

MOST_ROUNDS = 50             # of Newton's method; a dozen are many where there is an estimate
CONVERGED = 1e-10            # root mean square change of the log-odds in a round below which the estimate stands
LIKELIHOOD_ROUNDING = 1e-12  # relative: a smaller fall of the log-likelihood is rounding
NEGLIGIBLE_GAIN = 1e-6       # of log-likelihood in a round: no estimate that exists moves on for less, see _maximum
RUNAWAY_ROUNDS = 3           # rounds in a row that move the estimate for nothing
MOVING_SHARE = 1e-3          # of the greatest move of a column in a round: below it, a column follows others
NAMED_COLUMNS = 5            # that an error names


@dataclass(frozen=True)
class Logit(Inference):
    """A logistic regression and its inference, with CV1 errors; see Inference for t, p, intervals and tests."""

    names: tuple[str, ...]  # (K,) of the columns of X
    observations: int       # N
    clusters: int           # G
    log_likelihood: float
    root: Floats            # (K, K) L'^-1, for which X'X = L L'
    information: Floats     # (K, K) in the coordinates of Z = X root


@dataclass(frozen=True)
class Likelihood:
    """The log-likelihood at one estimate and its derivatives, in the coordinates of Z."""

    value: float
    score: Floats        # (K,)
    information: Floats  # (K, K) minus the second derivative


def fit_logit(blocks: Blocks, names: Sequence[str], *, rounds: int = MOST_ROUNDS) -> Logit:
    """Maximum likelihood of P(y = 1) = 1 / (1 + exp(-X beta)) by Newton's method, with clustered errors.

    CV1 = G/(G-1) (N-1)/(N-K) H^-1 [sum of s_g s_g'] H^-1 with the clusters' scores s_g = X_g'(y_g - p_g) and the
    information H = X' diag(p (1-p)) X (the sandwich of Stata and statsmodels, with the factor of least squares).
    All is computed in Z = X L'^-1, X'X = L L', whose columns neither differ in scale nor correlate.
    Raises ValueError on what least_squares refuses, on a y other than 0 and 1, and where there is no estimate, since
    some columns tell success from failure without fail (Albert & Anderson 1984): these are named.
    """
    total = cross.total_of(Moments.of(X, _binary(y)) for X, y in checked(blocks, names))
    root = identified_root(total, names)
    gamma, found = _maximum(blocks, root, total, names, rounds)
    N = total.rows
    covariance, G = _clustered(blocks, root, gamma, found.information, N)
    return Logit(beta=root @ gamma, df=G - 1, covariances=(covariance,), covariances_cv1=(covariance,),
                 names=tuple(names), observations=N, clusters=G, log_likelihood=found.value, root=root,
                 information=found.information)


def clustered_too(fit: Logit, second: Blocks, both: Blocks) -> Logit:
    """The same estimate with errors that may correlate within either of two dimensions, as least_squares.two_way has
    them: the rows in clusters of the second, and of the intersection of both."""
    gamma = np.asarray(np.linalg.solve(fit.root, fit.beta), np.float64)
    (other, G), (crossed, _) = (_clustered(blocks, fit.root, gamma, fit.information, fit.observations)
                                for blocks in (second, both))
    covariances = fit.covariance + other - crossed, fit.covariance, other
    return replace(fit, df=min(fit.clusters, G) - 1, covariances=covariances, covariances_cv1=covariances)


def _clustered(blocks: Blocks, root: Floats, gamma: Floats, information: Floats, N: int) -> tuple[Floats, int]:
    """CV1 (K, K) in the clusters of these blocks, and their number G."""
    meat, G = _meat(blocks, root, gamma)
    return sandwich(root @ np.linalg.inv(information), meat, rows=N, clusters=G), G


def _binary(y: Floats) -> Floats:
    if not ((y == 0) | (y == 1)).all():
        raise ValueError(f"logit: expected an outcome of 0 and 1, got {y[(y != 0) & (y != 1)][0]:g}")
    return y


def _maximum(blocks: Blocks, root: Floats, total: Moments, names: Sequence[str],
             rounds: int) -> tuple[Floats, Likelihood]:
    """The estimate gamma (K,) for Z, beta = root gamma, and the likelihood there.

    Where there is none, the likelihood rises ever less while the log-odds of some rows go on by 1 a round. An estimate
    that exists has an information of about 1 or more on what these rows tell, so that it stops with the likelihood.
    """
    gamma, idle = np.zeros(len(names)), 0
    here = Likelihood(-total.rows * float(np.log(2)), root.T @ (total.Xy - total.XX[0] / 2),
                      np.eye(len(names)) / 4)  # at gamma = 0, where p = 1/2 in every row
    for _ in range(rounds):
        step = np.asarray(np.linalg.solve(here.information, here.score), dtype=np.float64)
        length = float(np.linalg.norm(step))
        if length < CONVERGED * np.sqrt(total.rows):
            return gamma, here
        idle = idle + 1 if float(step @ here.score) < NEGLIGIBLE_GAIN and length > 0.5 else 0
        if idle == RUNAWAY_ROUNDS:
            raise ValueError(_separated(_moving(root @ step, total, names)))
        gamma, here = _risen(blocks, root, gamma, step, here.value)
    moving = ", ".join(_moving(root @ step, total, names))
    raise ValueError(f"logit: {moving} still changed after {rounds} rounds: no estimate")


def _risen(blocks: Blocks, root: Floats, gamma: Floats, step: Floats, value: float) -> tuple[Floats, Likelihood]:
    """The estimate a step further, the step halved until the likelihood does not fall."""
    there = _likelihood(blocks, root, gamma + step)
    while there.value < value - LIKELIHOOD_ROUNDING * abs(value):
        step = step / 2
        there = _likelihood(blocks, root, gamma + step)
    return gamma + step, there


def _likelihood(blocks: Blocks, root: Floats, gamma: Floats) -> Likelihood:
    value, score, information = 0.0, np.zeros(len(gamma)), np.zeros((len(gamma), len(gamma)))
    for X, y, _ in blocks():
        Z = X @ root
        log_odds = Z @ gamma
        p = expit(log_odds)
        value -= float(np.logaddexp(0, (1 - 2 * y) * log_odds).sum())
        score += (y - p) @ Z
        information += Z.T @ (Z * (p * (1 - p))[:, None])
    return Likelihood(value, score, information)


def _meat(blocks: Blocks, root: Floats, gamma: Floats) -> tuple[Floats, int]:
    """Sum of s_g s_g' (K, K) over the clusters' scores in the coordinates of Z, and how many clusters there are."""
    meat = np.zeros((len(gamma), len(gamma)))
    clusters = 0
    for X, y, cluster in ascending_blocks(blocks):
        Z = X @ root
        for batch in cluster_batches(Z, y - expit(Z @ gamma), cluster):
            meat += batch.score.T @ batch.score
            clusters += len(batch.label)
    return meat, clusters


def _moving(step: Floats, total: Moments, names: Sequence[str]) -> list[str]:
    """The names of the columns that move the log-odds in a step of beta (K,), a column's typical value counted."""
    move = np.abs(step) * np.sqrt(np.diag(total.XX))
    found = [name for name, size in zip(names, move, strict=True) if size > MOVING_SHARE * move.max()]
    return found if len(found) <= NAMED_COLUMNS else [*found[:NAMED_COLUMNS], f"{len(found) - NAMED_COLUMNS} more"]


def _separated(names: Sequence[str]) -> str:
    complaint = f"{names[0]} tells success from failure by itself" if len(names) == 1 else (
        f"{', '.join(names[:-1])} and {names[-1]} tell success from failure by themselves")
    return f"logit: {complaint} (always or never right in some of the rows): no estimate"


@dataclass(frozen=True)
class Effect:
    """What a variable changes in the probability of success, on average."""

    variable: str
    category: str          # instead of the first category; "" of a number, whose effect is per unit
    estimate: float
    standard_error: float
    low: float             # of the confidence interval; NaN with no standard error
    high: float


Link = Callable[[Floats], tuple[Floats, Floats, Floats]]  # of X beta: the probability, its first and second derivative


def _logistic(log_odds: Floats) -> tuple[Floats, Floats, Floats]:
    p: Floats = expit(log_odds)
    slope = p * (1 - p)
    return p, slope, slope * (1 - 2 * p)


def _identity(fitted: Floats) -> tuple[Floats, Floats, Floats]:
    return fitted, np.ones_like(fitted), np.zeros_like(fitted)


LINKS: Mapping[str, Link] = {"logit": _logistic, "identity": _identity}


@dataclass(frozen=True)
class Effects:
    """The effects of one variable and their derivatives by beta."""

    variable: str
    categories: tuple[str, ...]  # of a factor, the first of which has no effect; "" of a number
    effects: Floats              # (M,)
    gradients: Floats            # (M, K)


def average_effects(design: Design, variables: Variables, fit: Inference, *, link: Literal["logit", "identity"],
                    confidence: float, rows: int = BLOCK_ROWS) -> list[Effect]:
    """The average effect of each variable of a design, in the order of its terms, over rows that exist; see effects_of.

    Errors by the delta method, the rows taken as given (Stata's margins), with the covariances and degrees of freedom
    of `fit`, which was fitted with this link.
    """
    found = effects_of(design, variables, fit.beta, link=link, rows=rows)
    keys, effects, gradients = [], [], []
    for one in found:
        first = int(one.variable in variables.factors)  # the category that the others are compared with
        keys += [(one.variable, category) for category in one.categories[first:]]
        effects.append(one.effects[first:])
        gradients.append(one.gradients[first:])
    if not found:
        return []
    effect, gradient = np.concatenate(effects), np.concatenate(gradients)
    inference = Inference(effect, fit.df, tuple(gradient @ V @ gradient.T for V in fit.covariances),
                          tuple(gradient @ V @ gradient.T for V in fit.covariances_cv1))
    return [Effect(variable, category, float(estimate), float(error), float(low), float(high))
            for (variable, category), estimate, error, (low, high)
            in zip(keys, effect, inference.standard_error, inference.interval(confidence), strict=True)]


def effects_of(design: Design, variables: Variables, beta: Floats, *, link: Literal["logit", "identity"],
               rows: int = BLOCK_ROWS) -> list[Effects]:
    """The average effect of each variable of a design, in the order of its terms.

    Of a factor's category: the mean over all rows of P(the row with that category) - P(the same with the first), what
    else it has unchanged. Of the factor that says which rows have a dose (the noise): the mean over the rows of that
    category, at their own doses, of P(the row) - P(the same without noise and dose), less that mean of the first
    category; so it is of cells that exist. Of a number: the mean of dP/d(number), of the exact derivative of X; of a
    dose over the rows that have it.
    """
    treatments = {factor: category for factor, category in variables.doses.values()
                  if category in variables.factors[factor].categories}
    names, function = _names(design), LINKS[link]
    sums = {name: np.zeros((len(variables.factors[name].categories) if name in variables.factors else 1,
                            len(beta) + 1)) for name in names}
    counts = {name: np.zeros(len(sums[name])) for name in names}
    slopes = {name: _derivative(design, name) for name in names if name in variables.numbers}
    for part in _parts(variables, rows):
        for name in names:
            if name in treatments:
                found, rows_of = _treated(design, part, name, treatments[name], beta, function)
            elif name in slopes:
                found, rows_of = _slope(design, slopes[name], part, name, beta, function)
            else:
                found, rows_of = _margins(design, part, name, beta, function), np.full(len(sums[name]), part.rows)
            sums[name] += found
            counts[name] += rows_of
    return [_effects(name, variables, sums[name] / np.maximum(counts[name], 1)[:, None]) for name in names]


def _effects(name: str, variables: Variables, means: Floats) -> Effects:
    """means (M, 1 + K): an average and its derivatives by beta a row."""
    if name not in variables.factors:
        return Effects(name, ("",), means[:, 0], means[:, 1:])
    means = means - means[0]
    return Effects(name, variables.factors[name].categories, means[:, 0], means[:, 1:])


def _names(design: Design) -> list[str]:
    """The variables of a design, in the order of its terms."""
    return list(dict.fromkeys(part.removeprefix("poly(").removesuffix(")")
                              for term in design.terms for part in term.split(":")))


def _parts(variables: Variables, rows: int) -> Iterator[Variables]:
    """Blocks of the rows, as views."""
    for start in range(0, variables.rows, rows):
        part = slice(start, min(start + rows, variables.rows))
        yield Variables({name: Factor(factor.codes[part], factor.categories)
                         for name, factor in variables.factors.items()},
                        {name: values[part] for name, values in variables.numbers.items()}, part.stop - start,
                        variables.doses)


def _margins(design: Design, part: Variables, name: str, beta: Floats, link: Link) -> Floats:
    """(categories, 1 + K): sums over the rows of P and its derivatives by beta, were all of one category."""
    factor = part.factors[name]
    found = np.empty((len(factor.categories), len(beta) + 1))
    for code in range(len(factor.categories)):
        alike = Factor(np.full_like(factor.codes, code), factor.categories)
        X = design.block(replace(part, factors={**part.factors, name: alike}), slice(None))
        p, slope, _ = link(X @ beta)
        found[code, 0], found[code, 1:] = p.sum(), slope @ X
    return found


def _treated(design: Design, part: Variables, name: str, without: str, beta: Floats,
             link: Link) -> tuple[Floats, Floats]:
    """(categories, 1 + K): by category sums over its rows of P - P(without treatment and doses) and the derivatives of
    that by beta, and how many rows these are."""
    factor = part.factors[name]
    absent = Factor(np.full_like(factor.codes, factor.categories.index(without)), factor.categories)
    doses = {number: np.zeros(part.rows) for number, (treatment, _) in part.doses.items() if treatment == name}
    bare = replace(part, factors={**part.factors, name: absent}, numbers={**part.numbers, **doses})
    found = np.zeros((len(factor.categories), len(beta) + 1))
    for sign, one in ((1, part), (-1, bare)):
        X = design.block(one, slice(None))
        p, slope, _ = link(X @ beta)
        changes = sign * np.column_stack([p, slope[:, None] * X])
        for code in np.unique(factor.codes):
            found[code] += changes[factor.codes == code].sum(axis=0)
    return found, np.bincount(factor.codes, minlength=len(factor.categories)).astype(np.float64)


def _slope(design: Design, derivative: Design, part: Variables, number: str, beta: Floats,
           link: Link) -> tuple[Floats, Floats]:
    """(1, 1 + K): sums of dP/d(number) and its derivatives by beta over the rows that have it, and how many these
    are."""
    here = part.dosed(number)
    X, D = design.block(part, slice(None))[here], derivative.block(part, slice(None))[here]
    D[:, 0] = 0  # the constant
    _, slope, bend = link(X @ beta)
    rise = D @ beta
    return np.concatenate([[slope @ rise], slope @ D + (bend * rise) @ X])[None], np.array([here.sum()], np.float64)


def _derivative(design: Design, number: str) -> Design:
    """A design whose blocks hold the derivative of X by a number, in all columns but the constant's."""
    pieces = []
    for piece in design.pieces:
        own = [polynomial for name, polynomial in piece.numbers if name == number]
        if own:
            others = tuple((name, polynomial) for name, polynomial in piece.numbers if name != number)
            slope = np.asarray(np.polyder(reduce(_product, own)), dtype=np.float64)
            pieces.append(replace(piece, numbers=(*others, (number, slope))))
    return replace(design, pieces=tuple(pieces))


def _product(first: Floats, second: Floats) -> Floats:
    return np.asarray(np.polymul(first, second), dtype=np.float64)
