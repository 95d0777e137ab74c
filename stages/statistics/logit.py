"""Logistic regression with clustered errors. X is made a block at a time, as in least_squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from stages.statistics import moments as cross
from stages.statistics.arrays import Floats
from stages.statistics.clustered import sandwich
from stages.statistics.least_squares import Blocks, ascending_blocks, checked, identified_root
from stages.statistics.leave_out import cluster_batches
from stages.statistics.moments import Moments
from stages.statistics.significance import Inference

MOST_ROUNDS = 50  # of Newton's method; a dozen are many where there is an estimate
CONVERGED = (
    1e-10  # root mean square change of the log-odds in a round below which the estimate stands
)
LIKELIHOOD_ROUNDING = 1e-12  # relative: a smaller fall of the log-likelihood is rounding
NEGLIGIBLE_GAIN = (
    1e-6  # of log-likelihood in a round: no estimate that exists moves on for less, see _maximum
)
RUNAWAY_ROUNDS = 3  # rounds in a row that move the estimate for nothing
MOVING_SHARE = (
    1e-3  # of the greatest move of a column in a round: below it, a column follows others
)
NAMED_COLUMNS = 5  # that an error names


@dataclass(frozen=True)
class Logit(Inference):
    """A logistic regression and its inference, with CV1 errors; see Inference for t, p, intervals and tests."""

    names: tuple[str, ...]  # (K,) of the columns of X
    observations: int  # N
    clusters: int  # G
    log_likelihood: float
    root: Floats  # (K, K) L'^-1, for which X'X = L L'
    information: Floats  # (K, K) in the coordinates of Z = X root


@dataclass(frozen=True)
class Likelihood:
    """The log-likelihood at one estimate and its derivatives, in the coordinates of Z."""

    value: float
    score: Floats  # (K,)
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
    return Logit(
        beta=root @ gamma,
        df=G - 1,
        covariances=(covariance,),
        covariances_cv1=(covariance,),
        names=tuple(names),
        observations=N,
        clusters=G,
        log_likelihood=found.value,
        root=root,
        information=found.information,
    )


def clustered_too(fit: Logit, second: Blocks, both: Blocks) -> Logit:
    """The same estimate with errors that may correlate within either of two dimensions, as least_squares.two_way has
    them: the rows in clusters of the second, and of the intersection of both."""
    gamma = np.asarray(np.linalg.solve(fit.root, fit.beta), np.float64)
    (other, G), (crossed, _) = (
        _clustered(blocks, fit.root, gamma, fit.information, fit.observations)
        for blocks in (second, both)
    )
    covariances = fit.covariance + other - crossed, fit.covariance, other
    return replace(
        fit, df=min(fit.clusters, G) - 1, covariances=covariances, covariances_cv1=covariances
    )


def _clustered(
    blocks: Blocks, root: Floats, gamma: Floats, information: Floats, N: int
) -> tuple[Floats, int]:
    """CV1 (K, K) in the clusters of these blocks, and their number G."""
    meat, G = _meat(blocks, root, gamma)
    return sandwich(root @ np.linalg.inv(information), meat, rows=N, clusters=G), G


def _binary(y: Floats) -> Floats:
    if not ((y == 0) | (y == 1)).all():
        raise ValueError(
            f"logit: expected an outcome of 0 and 1, got {y[(y != 0) & (y != 1)][0]:g}"
        )
    return y


def _maximum(
    blocks: Blocks, root: Floats, total: Moments, names: Sequence[str], rounds: int
) -> tuple[Floats, Likelihood]:
    """The estimate gamma (K,) for Z, beta = root gamma, and the likelihood there.

    Where there is none, the likelihood rises ever less while the log-odds of some rows go on by 1 a round. An estimate
    that exists has an information of about 1 or more on what these rows tell, so that it stops with the likelihood.
    """
    gamma = np.zeros(len(names))
    idle = 0
    here = Likelihood(
        -total.rows * float(np.log(2)),
        root.T @ (total.Xy - total.XX[0] / 2),
        np.eye(len(names)) / 4,
    )  # at gamma = 0, where p = 1/2 in every row
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


def _risen(
    blocks: Blocks, root: Floats, gamma: Floats, step: Floats, value: float
) -> tuple[Floats, Likelihood]:
    """The estimate a step further, the step halved until the likelihood does not fall."""
    there = _likelihood(blocks, root, gamma + step)
    while there.value < value - LIKELIHOOD_ROUNDING * abs(value):
        step = step / 2
        there = _likelihood(blocks, root, gamma + step)
    return gamma + step, there


def _likelihood(blocks: Blocks, root: Floats, gamma: Floats) -> Likelihood:
    value = 0.0
    score = np.zeros(len(gamma))
    information = np.zeros((len(gamma), len(gamma)))
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
    found = [
        name for name, size in zip(names, move, strict=True) if size > MOVING_SHARE * move.max()
    ]
    return (
        found
        if len(found) <= NAMED_COLUMNS
        else [*found[:NAMED_COLUMNS], f"{len(found) - NAMED_COLUMNS} more"]
    )


def _separated(names: Sequence[str]) -> str:
    complaint = (
        f"{names[0]} tells success from failure by itself"
        if len(names) == 1
        else (f"{', '.join(names[:-1])} and {names[-1]} tell success from failure by themselves")
    )
    return f"logit: {complaint} (always or never right in some of the rows): no estimate"
