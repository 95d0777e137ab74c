"""Psychometric curves: how accuracy falls with the level of a noise, and the level at which it passes a target.

    P(level) = guess + (1 - guess - lapse) / (1 + (level / midpoint)^steepness)

It falls from 1 - lapse at level 0, exactly, to the guess rate. The lapse rate is the share misread of the clean
captchas; midpoint and steepness are fitted to the levels above 0 by maximum likelihood. Wichmann & Hill (2001), "The
psychometric function I and II", Perception & Psychophysics 63:1293 and 63:1314. Intervals are percentiles over draws:
of `joint_psychometrics` from the joint distribution of the cells' means, of `psychometric` over resampled clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, inf, isnan, log, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, xlogy

from stages.statistics.cells import Cells

Floats = NDArray[np.float64]  # B curves (the study's, or one per draw), L levels, G captchas

STEEPNESS = (0.2, 50.0)  # bounds: a fall from 95 % to 5 % takes more than 12 decades, or a factor of 1.12
REACH = log(1000)        # the midpoint stays within this factor of the levels above 0
USUAL = log(4)           # log steepness where no data tell
RIDGE = 1e-2             # nats per unit² of log midpoint and log steepness: decides where the likelihood is flat
TELLING = 5.0            # readings that a level must have, by expectation, on both sides of the fall, to tell of it
ROUNDS = 200             # of the fit; ten are usual, and what has not settled by then stays where it has climbed to
REDRAWS = 100            # rounds in which a draw may be replaced


@dataclass(frozen=True)
class Estimate:
    """A number and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """The level at which the curve passes an accuracy.

    0 where the clean captchas are not read better than that, infinite ("not reached") where the curve passes it beyond
    the largest level tested, or never.
    """

    accuracy: float
    level: float
    low: float
    high: float
    reached: float  # share of the draws whose level is finite
    first: float = nan  # share of the draws in which no other noise reaches it at a lower level; NaN if not compared


@dataclass(frozen=True)
class Psychometric:
    """One reader under one noise.

    A reader whose clean accuracy does not exceed the guess rate has no curve: `midpoint`, `steepness`, `deviance` and
    `gap` are NaN. Where fewer than two levels lie on the slope, midpoint and steepness say where the ridge left them.
    The deviance treats characters as independent and the lapse rate as known, as the likelihood does. They are not, so
    that it exceeds its degrees of freedom also where the curve is right: it describes, and gives no p. `gap` says the
    same in accuracy.
    """

    guess: float
    lapse: float
    midpoint: float   # level at which half of the fall is done
    steepness: float
    deviance: float   # of the levels above 0
    df: int           # levels above 0 less two, 0 at least
    gap: float        # largest distance of the observed accuracy from the curve at a tested level
    thresholds: tuple[Threshold, ...]
    area: Estimate    # mean observed accuracy over the levels, by trapezoids: no model

    def accuracy(self, levels: ArrayLike) -> Floats:
        """P at levels >= 0 of any shape; NaN where there is no curve. Raises ValueError on a level below 0."""
        at = np.asarray(levels, dtype=np.float64)
        if not (at >= 0).all():
            raise ValueError("accuracy: levels should be 0 or more")
        if isnan(self.midpoint):
            return np.full_like(at, nan)
        x = np.log(at, out=np.full_like(at, -inf), where=at > 0)
        return np.asarray(self.guess + (1 - self.guess - self.lapse) * expit(self.steepness * (log(self.midpoint) - x)))


@dataclass(frozen=True)
class Curves:
    """B curves of one guess rate; NaN where the clean accuracy does not exceed it."""

    guess: float
    clean: Floats      # (B,) accuracy at level 0
    midpoint: Floats   # (B,) natural logarithm
    steepness: Floats  # (B,)

    def fallen(self, x: Floats) -> tuple[Floats, Floats]:
        """Shares of the fall that are ahead and done at log levels x (L,): (B, L) each, neither as 1 less the other."""
        slope = self.steepness[:, None] * (self.midpoint[:, None] - x)
        return expit(slope), expit(-slope)

    def level(self, accuracy: float, largest: float) -> Floats:
        """The levels (B,) at which P is `accuracy`: 0 and infinity as in `Threshold`."""
        done = self.clean - accuracy
        found = np.where(done <= 0, 0.0, inf)
        if accuracy <= self.guess:
            return found
        inside = done > 0
        x = self.midpoint[inside] + (np.log(done[inside]) - log(accuracy - self.guess)) / self.steepness[inside]
        found[inside] = np.where(x <= log(largest), np.exp(np.minimum(x, log(largest))), inf)
        return found


def psychometric(right: ArrayLike, seen: ArrayLike, levels: ArrayLike, *, guess: float,
                 targets: Sequence[float] = (0.5, 0.75), confidence: float = 0.95, draws: int = 1000,
                 rng: np.random.Generator) -> Psychometric:
    """The curve of one reader under one noise, its thresholds, and the area under the observed accuracy.

    right and seen (G, L): characters read right and shown, by captcha and level; a captcha may show none at a level.
    levels (L,) from 0, which is the clean rendering, ascending. guess in [0, 1): one over the size of the alphabet.
    Intervals are percentiles over `draws` resamples of the captchas, the lapse rate taken anew in each; a draw in which
    some level shows no character is replaced. A curve that falls between two tested levels could lie anywhere between
    them, which no resample shows: the draw then counts from the one to the other (`ends`).

    Raises ValueError on shapes that differ, levels that do not ascend from 0, counts that are no counts, fewer than two
    captchas, a level without a character, and guess, targets, confidence or draws out of range.
    """
    right, seen, levels = (np.asarray(values, dtype=np.float64) for values in (right, seen, levels))
    _check(right, seen, levels, guess, targets, confidence, draws)
    drawn_right, drawn_seen = resampled(right, seen, draws, rng=rng)
    all_right = np.concatenate([right.sum(axis=0, keepdims=True), drawn_right])  # (1 + B, L), the study's own first
    all_seen = np.concatenate([seen.sum(axis=0, keepdims=True), drawn_seen])
    return described(fitted(all_right, all_seen, levels, guess), all_right, all_seen, levels, targets, confidence)


def described(curves: Curves, right: Floats, seen: Floats, levels: Floats, targets: Sequence[float],
              confidence: float) -> Psychometric:
    """The first of 1 + B curves, with intervals by the others; right and seen (1 + B, L)."""
    areas = area(right / seen, levels)
    deviance, gap = misfit(curves, right[0, 1:], seen[0, 1:], levels)
    return Psychometric(
        guess=curves.guess, lapse=float(1 - curves.clean[0]), midpoint=float(np.exp(curves.midpoint[0])),
        steepness=float(curves.steepness[0]), deviance=deviance, df=max(0, len(levels) - 3), gap=gap,
        thresholds=tuple(threshold(curves, seen, levels, target, confidence) for target in targets),
        area=Estimate(float(areas[0]), *percentiles(areas[1:], areas[1:], confidence)))


def joint_psychometrics(cells: Cells, guess: Mapping[tuple[str, str], float], *, targets: Sequence[float],
                        confidence: float, draws: int,
                        rng: np.random.Generator) -> dict[tuple[str, str], Psychometric]:
    """The curve of every reader and noise type of `guess`, its guess rates, from draws of all cells' means at once.

    Readings are whole captchas or characters, whatever the cells' means are shares of. That the draws are joint makes
    `first` a probability: the share of the draws in which this noise reaches the target at the lowest level of all, and
    not even without noise. A level that could lie anywhere between two tested ones (`ends`) counts as drawn evenly
    between them.
    """
    drawn = cells.draw(draws, rng=rng)  # (1 + B, M)
    found: dict[tuple[str, str], Psychometric] = {}
    levels_of: dict[tuple[str, str], list[Floats]] = {}
    for (reader, noise), rate in guess.items():
        columns, levels = cells.of(reader, noise)
        seen = np.broadcast_to(cells.rows[columns], (draws + 1, len(columns)))
        curves = fitted(drawn[:, columns] * seen, seen, levels, rate)
        found[reader, noise] = described(curves, drawn[:, columns] * seen, seen, levels, targets, confidence)
        levels_of[reader, noise] = [_placed(curves, seen, levels, target, rng=rng)[1:] for target in targets]
    for (reader, noise), own in levels_of.items():
        beside = [other for (whose, _), other in levels_of.items() if whose == reader]
        earliest = [np.min([one[i] for one in beside], axis=0) for i in range(len(targets))]
        found[reader, noise] = replace(found[reader, noise], thresholds=tuple(
            replace(one, first=float((np.isfinite(level) & (level > 0) & (level <= least)).mean()))
            for one, level, least in zip(found[reader, noise].thresholds, own, earliest, strict=True)))
    return found


def _placed(curves: Curves, seen: Floats, levels: Floats, target: float, *, rng: np.random.Generator) -> Floats:
    """The levels (B,) at which curves pass the target, a vague one drawn evenly between its ends."""
    low, high = ends(curves.level(target, levels[-1]), curves, seen, levels)
    vague = high > low
    placed = low.copy()
    placed[vague] = rng.uniform(low[vague], high[vague])
    return placed


def resampled(right: Floats, seen: Floats, draws: int, *, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Sums (B, L) over G captchas drawn with replacement, B = draws, of right and seen (G, L).

    A draw in which a level shows no character tells no accuracy there and is drawn again. Raises ValueError where that
    goes on: the captchas of some level are too few.
    """
    G, L = right.shape
    both = np.concatenate([right, seen], axis=1)
    sums = np.zeros((draws, 2 * L))
    for _ in range(REDRAWS):
        missing = np.flatnonzero((sums[:, L:] == 0).any(axis=1))
        if not len(missing):
            return sums[:, :L], sums[:, L:]
        chosen = rng.integers(G, size=(len(missing), G)) + G * np.arange(len(missing))[:, None]
        weights = np.bincount(chosen.ravel(), minlength=len(missing) * G).reshape(len(missing), G)
        sums[missing] = weights.astype(np.float64) @ both
    raise ValueError("psychometric: resampled captchas leave some level without a character: "
                     "show more captchas at each level")


def threshold(curves: Curves, seen: Floats, levels: Floats, accuracy: float, confidence: float) -> Threshold:
    """Of the first curve, with its interval by the others; seen (B, L)."""
    found = curves.level(accuracy, levels[-1])
    low, high = ends(found, curves, seen, levels)
    return Threshold(accuracy, float(found[0]), *percentiles(low[1:], high[1:], confidence),
                     reached=float(np.isfinite(found[1:]).mean()))


def ends(found: Floats, curves: Curves, seen: Floats, levels: Floats) -> tuple[Floats, Floats]:
    """What the data say of thresholds found (B,): lower and upper ends (B,), mostly equal.

    Two parameters need two levels on the slope, neither before the fall nor behind it. With fewer, only that a curve
    falls is known: the threshold lies between the tested levels beside it, and where is the ridge's choice.
    seen (B, L).
    """
    ahead, done = curves.fallen(np.log(levels[1:]))
    telling = seen[:, 1:] * (curves.clean - curves.guess)[:, None] * np.minimum(ahead, done) >= TELLING
    vague = (telling.sum(axis=1) < 2) & (found > 0) & np.isfinite(found)
    low, high = found.copy(), found.copy()
    low[vague] = levels[np.searchsorted(levels, found[vague], side="right") - 1]
    high[vague] = levels[np.searchsorted(levels, found[vague], side="left")]
    return low, high


def percentiles(low: Floats, high: Floats, confidence: float) -> tuple[float, float]:
    """The central interval of draws from low to high (B,); order statistics, outward, since infinities do not mix."""
    tail, last = (1 - confidence) / 2, len(low) - 1
    return float(np.sort(low)[floor(tail * last)]), float(np.sort(high)[ceil((1 - tail) * last)])


def area(accuracy: Floats, levels: Floats) -> Floats:
    """Trapezoids below accuracy (..., L), over the largest level: 1 where all is right."""
    return np.asarray(np.trapezoid(accuracy, levels, axis=-1) / levels[-1], dtype=np.float64)


def misfit(curves: Curves, right: Floats, seen: Floats, levels: Floats) -> tuple[float, float]:
    """Deviance and largest gap of the first curve from counts (L - 1,) at the levels above 0; NaN without a curve."""
    if isnan(curves.midpoint[0]):
        return nan, nan
    first = Curves(curves.guess, curves.clean[:1], curves.midpoint[:1], curves.steepness[:1])
    P, Q = _probabilities(first, np.log(levels[1:]))
    wrong = seen - right
    best = xlogy(right, right / seen) + xlogy(wrong, wrong / seen)  # of a curve through every point
    deviance = 2 * float((best - right * np.log(P[0]) - wrong * np.log(Q[0])).sum())
    return max(0.0, deviance), float(np.abs(right / seen - P[0]).max())


def fitted(right: Floats, seen: Floats, levels: Floats, guess: float) -> Curves:
    """Curves by maximum likelihood of the binomial counts right of seen (B, L); levels (L,) from 0.

    The steepness is bounded by STEEPNESS, the midpoint by the levels above 0 and REACH. RIDGE (log midpoint - middle of
    the log levels)² / 2, and as much for log steepness about USUAL, is taken off the log-likelihood: it settles the
    curve where a flat or abrupt fall leaves many equally likely, and where counts tell it moves nothing that shows.
    """
    clean = right[:, 0] / seen[:, 0]
    x = np.log(levels[1:])
    theta = np.full((len(right), 2), nan)  # log midpoint, log steepness
    falls = clean > guess
    if falls.any():
        theta[falls] = _climb(Likelihood(guess, clean[falls], right[falls, 1:], seen[falls, 1:], x))
    return Curves(guess, clean, theta[:, 0], np.exp(theta[:, 1]))


@dataclass(frozen=True)
class Likelihood:
    """Of B curves, each by its own counts; theta (B, 2) holds log midpoint and log steepness."""

    guess: float
    clean: Floats  # (B,)
    right: Floats  # (B, L)
    seen: Floats   # (B, L)
    x: Floats      # (L,) logarithms of the levels above 0

    @property
    def usual(self) -> Floats:  # (2,)
        return np.array([(self.x[0] + self.x[-1]) / 2, USUAL])

    @property
    def bounds(self) -> tuple[Floats, Floats]:  # (2,) each
        return (np.array([self.x[0] - REACH, log(STEEPNESS[0])]), np.array([self.x[-1] + REACH, log(STEEPNESS[1])]))

    def of(self, rows: NDArray[np.int64]) -> Likelihood:
        return Likelihood(self.guess, self.clean[rows], self.right[rows], self.seen[rows], self.x)

    def curves(self, theta: Floats) -> Curves:
        return Curves(self.guess, self.clean, theta[:, 0], np.exp(theta[:, 1]))

    def value(self, theta: Floats) -> Floats:
        """Penalised log-likelihood (B,), without the binomial coefficients."""
        P, Q = _probabilities(self.curves(theta), self.x)
        likelihood = (self.right * np.log(P) + (self.seen - self.right) * np.log(Q)).sum(axis=1)
        return np.asarray(likelihood - RIDGE / 2 * np.square(theta - self.usual).sum(axis=1))

    def derivatives(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """Score (B, 2), and the observed information's diagonal (B, 2) and corner (B,)."""
        curves = self.curves(theta)
        ahead, done = curves.fallen(self.x)                          # (B, L)
        P, Q = _probabilities(curves, self.x)
        fall, wrong = (curves.clean - curves.guess)[:, None], self.seen - self.right
        up, down = fall * ahead / P * done, fall * done / Q * ahead  # of log P and -log Q, by slope; at most 1
        pull = self.right * up - wrong * down
        bend = self.right * up * (done - ahead - up) - wrong * down * (done - ahead + down)  # of pull, by slope
        along = curves.steepness[:, None]                            # of slope, by log midpoint
        turn = along * (curves.midpoint[:, None] - self.x)           # of slope, by log steepness: the slope itself
        score = np.stack([(pull * along).sum(axis=1), (pull * turn).sum(axis=1)], axis=1)
        diagonal = -np.stack([(bend * along**2).sum(axis=1), (bend * turn**2 + pull * turn).sum(axis=1)], axis=1)
        corner = -(bend * along * turn + pull * along).sum(axis=1)
        return score - RIDGE * (theta - self.usual), diagonal + RIDGE, corner


def _probabilities(curves: Curves, x: Floats) -> tuple[Floats, Floats]:
    """Of right and wrong at log levels x (L,): (B, L) each, and never 0 but where no float is smaller."""
    ahead, done = curves.fallen(x)
    fall = (curves.clean - curves.guess)[:, None]
    least = np.finfo(np.float64).tiny
    right, wrong = curves.guess + fall * ahead, (1 - curves.clean)[:, None] + fall * done
    return np.maximum(right, least), np.maximum(wrong, least)


def _start(likelihood: Likelihood) -> Floats:
    """The best theta (B, 2) of a grid: midpoints at, between and beside the levels, four steepnesses."""
    x = likelihood.x
    midpoints = np.concatenate([x[:1] - 1, x, (x[1:] + x[:-1]) / 2, x[-1:] + 1])
    best = np.tile(likelihood.usual, (len(likelihood.clean), 1))
    value = likelihood.value(best)
    for midpoint in midpoints:
        for steepness in (1.0, 2.5, 6.0, 15.0):
            theta = np.array([midpoint, log(steepness)])
            trial = likelihood.value(np.tile(theta, (len(best), 1)))
            better = trial > value
            best[better], value[better] = theta, trial[better]
    return best


def _climb(likelihood: Likelihood) -> Floats:
    """Theta (B, 2) of the greatest penalised likelihood within the bounds: Newton's steps with Levenberg's damping."""
    theta = _start(likelihood)
    value, damping = likelihood.value(theta), np.full(len(theta), 1e-3)
    moving = np.arange(len(theta))
    for _ in range(ROUNDS):
        if not len(moving):
            break
        part, here = likelihood.of(moving), theta[moving]
        trial = _trial(part, here, damping[moving])
        new = part.value(trial)
        better = new >= value[moving] - 1e-13 * np.abs(value[moving])  # rounding is no descent
        theta[moving[better]], value[moving[better]] = trial[better], new[better]
        damping[moving] *= np.where(better, 0.2, 5)
        moving = moving[np.abs(trial - here).max(axis=1) > 1e-7]
    return theta


def _trial(likelihood: Likelihood, theta: Floats, damping: Floats) -> Floats:
    """One damped step from theta (B, 2), within the bounds."""
    score, diagonal, corner = likelihood.derivatives(theta)
    low, high = likelihood.bounds
    stopped = ((theta <= low) & (score < 0)) | ((theta >= high) & (score > 0))
    score = np.where(stopped, 0, score)
    diagonal, corner = _convex(diagonal, np.where(stopped.any(axis=1), 0, corner))
    diagonal = diagonal * (1 + damping)[:, None]
    determinant = diagonal.prod(axis=1) - corner**2
    step = (diagonal[:, ::-1] * score - corner[:, None] * score[:, ::-1]) / determinant[:, None]
    return np.asarray(np.clip(theta + np.clip(step, -2, 2), low, high))


def _convex(diagonal: Floats, corner: Floats) -> tuple[Floats, Floats]:
    """Symmetric 2 × 2 matrices with their eigenvalues' absolute values, RIDGE at least: the root of the square, so that
    a step climbs also where the likelihood is not concave. diagonal (B, 2), corner (B,)."""
    determinant, trace = diagonal.prod(axis=1) - corner**2, diagonal.sum(axis=1)
    size = np.sqrt(np.square(diagonal).sum(axis=1) + 2 * corner**2 + 2 * np.abs(determinant))
    size = np.maximum(size, np.finfo(np.float64).tiny)
    root = (np.square(diagonal) + (corner**2 + np.abs(determinant))[:, None]) / size[:, None]
    concave = (determinant > 0) & (trace > 0)
    return (np.where(concave[:, None], diagonal, root + RIDGE), np.where(concave, corner, corner * trace / size))


def _check(right: Floats, seen: Floats, levels: Floats, guess: float, targets: Sequence[float], confidence: float,
           draws: int) -> None:
    """Raise ValueError, in one line, on the first thing that `psychometric` cannot take."""
    wrong = {
        f"levels should be (L,) with L >= 2, got {levels.shape}": levels.ndim != 1 or len(levels) < 2,
        f"right {right.shape} and seen {seen.shape} should be (G, L) with {levels.size} levels":
            right.ndim != 2 or right.shape != seen.shape or right.shape[1:] != levels.shape,
    }
    _refuse(wrong)
    with_none = levels[seen.sum(axis=0) == 0]
    _refuse({
        f"an interval needs at least two captchas, got {len(right)}: take more": len(right) < 2,
        f"levels should start at 0, the clean captchas, got {levels[0]:g}": levels[0] != 0,
        f"levels should be finite and ascend, got {levels.tolist()}":
            not (np.isfinite(levels).all() and (np.diff(levels) > 0).all()),
        "right and seen should be finite": not (np.isfinite(right).all() and np.isfinite(seen).all()),
        "right should be 0 to seen in every cell": not ((right >= 0) & (right <= seen)).all(),
        f"no character is shown at level {', '.join(f'{level:g}' for level in with_none)}": len(with_none) > 0,
        f"guess should be from 0 to below 1, got {guess}": not 0 <= guess < 1,
        f"targets should lie between 0 and 1, got {list(targets)}": not all(0 < target < 1 for target in targets),
        f"confidence should lie between 0 and 1, got {confidence}": not 0 < confidence < 1,
        f"draws should be 1 or more, got {draws}": draws < 1,
    })


def _refuse(wrong: dict[str, bool]) -> None:
    for message, holds in wrong.items():
        if holds:
            raise ValueError(f"psychometric: {message}")
