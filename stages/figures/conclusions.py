"""The answer, what the regression says in plain sentences, and what it cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from stages.captcha.noise import EQUAL_ENERGY
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
    signed,
)
from stages.figures.ranking import lost, settled
from stages.figures.regression_tables import (
    NUMBER_WORDS,
    STEP,
    Regressed,
    slope_terms,
    turned,
    unordered_pairs,
)
from stages.figures.robustness import ModelDifferences, model_differences
from stages.figures.style import words
from stages.params import Params
from stages.schemas.regress import (
    Contrasts,
    Costs,
    DoseResponses,
    MarginalEffects,
    ResetTest,
    Thresholds,
)
from stages.schemas.words import CLEAN

FACTORS = {
    "noise": "noise",
    "reader": "reader",
    "colour": "colour",
    "digit": "character",
    "position": "position",
}
FEW_CLUSTERS = 50  # clusters, below which the regress stage adds the wild bootstrap
WORDS = 60  # of the answer
RULE = 0.8  # power of the smallest detectable difference
CLOSE = 1.0  # points, within which two models agree
WRITERS = {  # source of the glyphs: what else the intervals hold for
    "digits": "other digits of the same writers; a new writer is not covered",
    "mnist": "other digits, of other writers as well",
}


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
    cheapest = costs.iloc[-1]
    start = (
        f"`{found.reader}`{f', trained on {learned},' * bool(learned)} {_stopped(reached, found)}. On average "
        f"**{words(worst[Costs.noise])}** costs most, {points_text(worst, Costs.cost)} of 100 characters"
    )
    least = (
        f", {words(cheapest[Costs.noise])} least, {points_text(cheapest, Costs.cost)}."
        if len(costs) > 1
        else "."
    )
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
    between = 100 * costs[Costs.sd_between_runs].dropna()
    if between.empty:
        return " No interval contains another training run."
    return f" SD between runs: {_range(between.min(), between.max())} points."


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
        *_form(found),
        *_advice(found),
    ]
    return sentences[:10]


def _costs(found: Regressed) -> Iterator[str]:
    costs = found.costs(found.reader)
    if costs.empty:
        return
    worst = costs.iloc[0]
    least = costs.iloc[-1]
    text = (
        f"For `{found.reader}` **{words(worst[Costs.noise])}** costs most, "
        f"{points_text(worst, Costs.cost, explained=interval_name(found.confidence))} percentage points of character "
        "accuracy on average over the levels tested"
    )
    yield text + (
        f"; **{words(least[Costs.noise])}** least, {points_text(least, Costs.cost)}."
        if len(costs) > 1
        else "."
    )


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
    gains = []
    for _, pair in own.iterrows():
        gain = pair[Contrasts.difference] >= 0
        ends = points_text(pair, Contrasts.difference, sign=1 if gain else -1)
        between = pair[Contrasts.sd_between_runs]
        runs = f" (SD between runs {100 * between:.1f})" if np.isfinite(between) else ""
        gains.append(
            f"{ends} points {'more' if gain else 'fewer'} than `{pair[Contrasts.b]}`{runs}"
        )
    if gains:
        yield (
            f"Over all conditions `{found.reader}` reads {listed(gains)}. Their training captchas "
            "alone need not be the reason."
        )


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
    if _rejecting(found) is not None:
        text += " RESET rejects the straight-line form; costs and thresholds do not use it."
    yield text


def _rejecting(found: Regressed) -> ResetTest | None:
    """RESET of the headline's regression where it rejects the form."""
    test = found.headline.reset
    return test if test is not None and test.p < 1 - found.confidence else None


def _form(found: Regressed) -> Iterator[str]:
    yield about_models(found)


def about_models(found: Regressed) -> str:
    """Where the linear probability model and the logit agree: on categories, as they must in a balanced design, and on
    numbers such as the level."""
    both = model_differences(found.tables[MarginalEffects])
    if both.empty:
        return "The logit could not be fitted here: the linear probability model has nothing beside it."
    linear = both[ModelDifferences.linear]
    logit = both[ModelDifferences.logit]
    clear = (both[ModelDifferences.low] > 0) | (both[ModelDifferences.high] < 0)
    opposite = both.loc[clear & (linear * logit < 0), ModelDifferences.name].tolist()
    numbers = both[both[ModelDifferences.number]]
    categories = both[~both[ModelDifferences.number]]
    texts = [_about_categories(categories)] if len(categories) else []
    texts += [_about_number(effect) for _, effect in numbers.iterrows()]
    signs = f" The sign of {listed(opposite)} differs." if opposite else ""
    return f"The logit{'' if len(categories) else ':'} {'; '.join(texts)}.{signs}"


def _about_categories(effects: pd.DataFrame) -> str:
    """How far the two models are apart on categories, at most."""
    gaps = (
        (effects[ModelDifferences.logit] - effects[ModelDifferences.linear]).abs().to_numpy(float)
    )
    gap = float(gaps.max())
    if gap <= CLOSE:
        return f"agrees on categories within {max(0.1, gap):.1f} points, as it must in a balanced design"
    most = effects.iloc[int(gaps.argmax())]
    return (
        f"differs on categories by up to {gap:.1f} points ({most[ModelDifferences.name]}: "
        f"{signed(most[ModelDifferences.logit])} instead of {signed(most[ModelDifferences.linear])})"
    )


def _about_number(effect: pd.Series) -> str:
    name = effect[ModelDifferences.name].removesuffix(f", for {STEP:g}")
    return (
        f"for {STEP:g} of {name} it gives {signed(effect[ModelDifferences.logit])} instead of "
        f"{signed(effect[ModelDifferences.linear])} points"
    )


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


def how_sure(
    found: Regressed,
    params: Params,
    runs: Mapping[str, Sequence[str]],
    captchas: int,
    composed: bool,
) -> list[str]:
    """What the intervals hold and what not: sampling, glyphs, training run, machine, form, scales and people."""
    return [
        _sampling(found, captchas),
        _glyphs(found, composed, params.glyphs.source),
        _training(found, runs),
        "**Machine.** Another kind of processor rounds differently; that counts as another training run.",
        *_steps(params),
        *_scales(found, params.noise.types),
        "**People.** How well people read these captchas is not measured.",
    ]


def _sampling(found: Regressed, captchas: int) -> str:
    name = found.reader
    scope = (
        "for such readers"
        if "run" in found.dimensions
        else f"for this reader, `{name}` as it was trained"
    )
    return (
        f"**Captchas.** The intervals ({100 * found.confidence:g}\u00a0%) hold {scope}, over other captchas than "
        f"the {captchas:,} of the test."
    )


def _glyphs(found: Regressed, composed: bool, source: str) -> str:
    if not composed:
        return (
            "**Glyphs.** These captchas were found, not composed, so their glyphs are unknown. Rows are clustered "
            "by captcha alone; where captchas share glyphs, the intervals are too narrow."
        )
    if "glyph" in found.dimensions:
        return (
            "**Glyphs.** Rows that share a captcha or a glyph are clustered, so the intervals hold for "
            f"{WRITERS.get(source, 'other glyphs of the same source')}."
        )
    return (
        f"**Glyphs.** Rows are clustered by {found.cluster} alone. The same glyphs come in several captchas, so "
        "the intervals are too narrow for other glyphs: set `regression.cluster` to `captcha+glyph`."
    )


def _training(found: Regressed, runs: Mapping[str, Sequence[str]]) -> str:
    costs = found.costs(found.reader)
    known = costs[costs[Costs.sd_between_runs].notna()]
    if "run" in found.dimensions:
        return (
            f"**Training run.** Each reader was trained {min(map(len, runs.values()))} times or more, and the "
            "intervals contain the run: they hold for such readers, not for these alone."
        )
    if known.empty:
        return (
            "**Training run.** Each reader was trained once, and no interval contains another run. How much runs "
            "differ is unknown here: `dvc exp run $(python -m experiments.runs "
            f"{' '.join(runs)} --runs 5)` measures it."
        )
    ratio = float((known[Costs.sd_between_runs] / known[Costs.standard_error]).median())
    count = int(known[Costs.runs].iloc[0])
    text = (
        f"**Training run.** Over {count} runs of `{found.reader}` the average costs have an "
        f"SD between runs of {_points_between(known)} points, {ratio:.1f} times their standard error (median). "
    )
    others = [
        f"`{reader}` {_points_between(rows)}"
        for reader in runs
        if reader != found.reader
        and (rows := found.costs(reader))[Costs.sd_between_runs].notna().any()
    ]
    text += f"Of other readers: {', '.join(others)}. " if others else ""
    return text + "For readers trained this way see the table."


def _points_between(costs: pd.DataFrame) -> str:
    between = 100 * costs[Costs.sd_between_runs]
    return _range(between.min(), between.max())


def _range(low: float, high: float) -> str:
    return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"


def _steps(params: Params) -> Iterator[str]:
    if params.noise.steps < 8:
        yield (
            f"**Levels.** Each noise was tested at {params.noise.steps} levels. Between two of them a threshold is "
            "interpolated."
        )


def _scales(found: Regressed, types: Sequence[str]) -> Iterator[str]:
    if found.dose != "level" or len(types) < 2:
        return
    same = [words(noise) for noise in types if noise in EQUAL_ENERGY]
    share = (
        f" Only {listed(same)} share a scale, the energy of the change."
        if len(same) > 1
        else " No two noises of this run share a scale."
    )
    yield (
        f"**Scales.** A level is a physical dose.{share} A rank by level is a rank on these scales."
    )


def not_concluded(found: Regressed) -> list[str]:
    """What the regression cannot say."""
    return [
        *_about_form(found),
        *_about_noises(found),
        *_about_few(found),
        "What a noise costs people: how well they read these captchas is not measured.",
    ]


def _about_form(found: Regressed) -> Iterator[str]:
    headline = found.headline
    rejecting = _rejecting(found)
    if rejecting is not None:
        yield (
            "That the effects are straight lines that add up: RESET rejects the form as a whole "
            f"(F = {rejecting.F:.4g}, {p_value(rejecting.p)}), be it for curves, for effects that differ between "
            "types or readers, or for probabilities outside 0 to 1. It does not say which, nor how much that "
            "changes. The estimates are those of the best straight lines, a linear projection."
        )
    elif headline.reset is not None:
        yield (
            "That the effects are straight lines that add up: RESET does not reject it "
            f"({p_value(headline.reset.p)}), which is not to show it."
        )
    if headline.fitted_outside > 0:
        yield (
            f"A probability for every rendering: {100 * headline.fitted_outside:.1f}\u00a0% of the fitted values "
            "lie below 0 or above 1, which no share of characters does."
        )


def _about_noises(found: Regressed) -> Iterator[str]:
    """Where all types share one slope of a level that is not centred, a type's coefficient is no cost."""
    terms = found.headline.terms
    if "noise" in terms and not set(slope_terms(found.dose)) & set(terms) and found.dose in terms:
        yield (
            f"Which noise is worse from the noise coefficients of `{found.headline.specification}`: its types "
            f"share one slope of {NUMBER_WORDS[found.dose]} from level 0 on, so that a coefficient is what that slope "
            "leaves. The average costs say which is worse."
        )


def _about_few(found: Regressed) -> Iterator[str]:
    if min(found.headline.clusters) < FEW_CLUSTERS:
        yield (
            f"Much from a p near the limit: {min(found.headline.clusters)} clusters are few, and t and F are "
            "approximate."
        )
