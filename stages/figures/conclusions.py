"""The answer, and what the regression says in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from stages.figures.numbers import (
    estimate_of,
    estimate_text,
    highest,
    interval_name,
    listed,
    lowest,
    p_value,
    points_text,
    quoted,
    rough,
    runs_text,
    signed,
)
from stages.figures.ranking import lost, settled
from stages.figures.regression_tables import (
    Regressed,
    turned,
    unordered_pairs,
)
from stages.figures.robustness import about_models
from stages.figures.style import words
from stages.schemas.regress import (
    Contrasts,
    Costs,
    DoseResponses,
    MarginalEffects,
    Thresholds,
)
from stages.schemas.words import CLEAN

FACTORS = {"colour": "colour", "digit": "character", "position": "position"}
WORDS = 60  # of the answer
RULE = 0.8  # power of the smallest detectable difference


def answer_text(found: Regressed, learned: str = "") -> str:
    """At most sixty words: which noise is worst for the report's reader, by how much, and how sure that is.

    `learned` says what that reader was trained on.
    """
    half_levels = found.half_levels(found.reader)
    costs = found.costs(found.reader)
    reached = half_levels[half_levels[Thresholds.level].notna()]
    if costs.empty:
        return f"The regression estimated no cost of any noise for `{found.reader}`, so none can be called the worst."
    worst = costs.iloc[0]
    learned = f", trained on {learned}," if learned else ""
    start = (
        f"`{found.reader}`{learned} {_stopped(reached, found)}. On average "
        f"**{words(worst[Costs.noise])}** costs most, {points_text(worst, Costs.cost)} of 100 characters"
    )
    least = "."
    if len(costs) > 1:
        mildest = costs.iloc[-1]
        least = f", {words(mildest[Costs.noise])} least, {points_text(mildest, Costs.cost)}."
    runs = _runs_in_short(costs)
    return next(
        text
        for text in (start + least + runs, f"{start}.{runs}", f"{start}.")
        if len(text.split()) <= WORDS or text == f"{start}."
    )


def _stopped(reached: pd.DataFrame, found: Regressed) -> str:
    if reached.empty:
        return f"loses {lost(found.share)} under no noise tested"
    return f"loses {lost(found.share)} {_first(reached, found)}"


def _first(reached: pd.DataFrame, found: Regressed) -> str:
    """The noise that needs the lowest level; with the second, where it may be that one as well."""
    leaders = reached.iloc[: 1 if settled(reached) else 2]
    levels = [
        f"level {estimate_of(row, Thresholds.level)} of **{words(row[Thresholds.noise])}**"
        for _, row in leaders.iterrows()
    ]
    levels[0] = levels[0].replace(" (", f" ({interval_name(found.confidence)} ", 1)
    return f"from {listed(levels)}" + ("; which is first is open" if len(leaders) > 1 else "")


def _runs_in_short(costs: pd.DataFrame) -> str:
    if costs[Costs.sd_between_runs].isna().all():
        return " No interval contains another training run."
    return f" SD between runs: {runs_text(costs)} points."


def conclusions(found: Regressed) -> list[str]:
    """At most ten sentences, one of each kind that this run has something to say about."""
    sentences = [
        *_costs(found),
        *_pairs_of_noises(found),
        *_slopes(found),
        *_readers(found),
        *_colours(found),
        *_factor("digit", found),
        *_factor("position", found),
        *_fit(found),
        about_models(found.tables[MarginalEffects]),
        *_advice(found),
    ]
    return sentences[:10]


def _costs(found: Regressed) -> Iterator[str]:
    costs = found.costs(found.reader)
    if costs.empty:
        return
    worst = costs.iloc[0]
    text = (
        f"For `{found.reader}` **{words(worst[Costs.noise])}** costs most, "
        f"{points_text(worst, Costs.cost, explained=interval_name(found.confidence))} percentage points of character "
        "accuracy on average over the levels tested"
    )
    if len(costs) > 1:
        least = costs.iloc[-1]
        text += f"; **{words(least[Costs.noise])}** least, {points_text(least, Costs.cost)}"
    yield f"{text}."


def _pairs_of_noises(found: Regressed) -> Iterator[str]:
    pairs = found.contrasts("noise", found.reader)
    pairs = pairs[(pairs[Contrasts.a] != CLEAN) & (pairs[Contrasts.b] != CLEAN)]
    if len(pairs) < 2:
        return
    pairs = unordered_pairs(pairs)
    closest = lowest(pairs, Contrasts.difference)
    apart = int(_clear(pairs).sum())
    names = f"{words(closest[Contrasts.a])} and {words(closest[Contrasts.b])}"
    yield (
        f"{apart} of the {len(pairs)} pairs of noises differ in that cost, by simultaneous intervals. The closest, "
        f"{names}, are {_simultaneous(closest)} points apart."
    )


def _clear(pairs: pd.DataFrame) -> pd.Series:
    """Whether the simultaneous interval of a difference leaves out 0."""
    return (pairs[Contrasts.simultaneous_low] > 0) | (pairs[Contrasts.simultaneous_high] < 0)


def _simultaneous(pair: pd.Series) -> str:
    """A difference with its simultaneous interval, in points."""
    return estimate_text(
        pair[Contrasts.difference],
        pair[Contrasts.simultaneous_low],
        pair[Contrasts.simultaneous_high],
        scale=100,
    )


def _slopes(found: Regressed) -> Iterator[str]:
    """The smallest and the largest observed step between neighbouring levels of the worst noise."""
    costs = found.costs(found.reader)
    rows = found.of(DoseResponses, found.reader)
    if costs.empty:
        return
    noise = str(costs.iloc[0][Costs.noise])
    line = rows[rows[DoseResponses.noise] == noise].sort_values(DoseResponses.level)
    levels = line[DoseResponses.level].to_numpy(float)
    steps = -100 * np.diff(line[DoseResponses.accuracy].to_numpy(float))
    if len(steps) < 2:
        return
    ends = [
        f"{signed(steps[at])} points (from {levels[at]:g} to {levels[at + 1]:g})"
        for at in (int(steps.argmin()), int(steps.argmax()))
    ]
    yield (
        f"From one level of {words(noise)} to the next `{found.reader}` loses between {ends[0]} and {ends[1]}."
    )


def _readers(found: Regressed) -> Iterator[str]:
    pairs = found.contrasts("reader")
    own = pd.concat(
        [
            pairs[pairs[Contrasts.a] == found.reader],
            turned(pairs[pairs[Contrasts.b] == found.reader]),
        ]
    )
    gains = [_gain(pair) for _, pair in own.iterrows()]
    if gains:
        yield (
            f"Over all conditions `{found.reader}` reads {listed(gains)}. Their training captchas "
            "alone need not be the reason."
        )


def _gain(pair: pd.Series) -> str:
    """How many points more or fewer than another reader, with what training runs vary."""
    more = pair[Contrasts.difference] >= 0
    word = "more" if more else "fewer"
    ends = points_text(pair, Contrasts.difference, sign=1 if more else -1)
    between = pair[Contrasts.sd_between_runs]
    runs = f" (SD between runs {100 * between:.1f})" if np.isfinite(between) else ""
    return f"{ends} points {word} than `{pair[Contrasts.b]}`{runs}"


def _colours(found: Regressed) -> Iterator[str]:
    text = " ".join(_factor("colour", found))
    if not text:
        return
    test = found.fits.randomisation
    if test is not None and test.factor == "colour":
        ends = (
            f", the least that {test.draws:,} permutations can give"
            if test.p * (test.draws + 1) < 1.5
            else f" of {test.draws:,} permutations"
        )
        text += f" A randomisation test, which needs no model: {p_value(test.p)}{ends}."
    yield text


def _factor(factor: str, found: Regressed) -> Iterator[str]:
    """The largest difference of a factor for the report's reader, or what would have been found where none is."""
    pairs = found.contrasts(factor, found.reader)
    whose = f"`{found.reader}`"
    if pairs.empty:
        pairs = found.contrasts(factor)
        whose = "all readers"
    if pairs.empty:
        return
    start = f"{FACTORS[factor].capitalize()} ({whose}):"
    most = highest(unordered_pairs(pairs), Contrasts.difference)
    clear = int(_clear(pairs).sum())
    if clear:
        yield (
            f"{start} {clear} of {len(pairs)} pairs differ; most, {called(factor, most[Contrasts.a])} over "
            f"{called(factor, most[Contrasts.b])}, by {_simultaneous(most)} points."
        )
    else:
        detectable = rough(100 * pairs[Contrasts.detectable].max())
        equivalence = rough(100 * pairs[Contrasts.equivalence].max())
        yield (
            f"{start} no difference was found. In a single pair {detectable} points would have been found with a "
            f"probability of {100 * RULE:g}\u00a0%; each is equivalent within {equivalence} points."
        )


def called(factor: str, category: object) -> str:
    """A category as it stands in a sentence."""
    named = {
        "digit": quoted(category),
        "position": f"position {category}",
        "reader": f"`{category}`",
    }
    return named.get(factor, words(str(category)))


def _fit(found: Regressed) -> Iterator[str]:
    one = found.headline
    text = (
        f"It explains {100 * one.adjusted_r2:.0f}\u00a0% of the variance of single characters "
        f"(adjusted R² {one.adjusted_r2:.3f}, predicted R² {one.predicted_r2:.3f})."
    )
    if found.rejecting is not None:
        text += " RESET rejects the straight-line form; costs and thresholds do not use it."
    yield text


def _advice(found: Regressed) -> Iterator[str]:
    """What a designer of captchas may take from it, and what not."""
    costs = found.costs(found.reader)
    if costs.empty:
        return
    parts = []
    if len(costs) > 1:
        parts.append(
            f"at equal levels {words(costs.iloc[0][Costs.noise])} costs `{found.reader}` most and "
            f"{words(costs.iloc[-1][Costs.noise])} least"
        )
    pairs = found.contrasts("colour", found.reader)
    if len(pairs) and _clear(pairs).any():
        worst = quoted(
            words(str(highest(unordered_pairs(pairs), Contrasts.difference)[Contrasts.b]))
        )
        parts.append(f"of the colour schemes, {worst} costs `{found.reader}` most")
    if parts:
        yield f"For a designer: {'; '.join(parts)}."
