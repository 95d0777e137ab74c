"""The answer, what the regression says in plain sentences, and what it cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from stages.captcha.doses import EQUAL_ENERGY
from stages.figures.numbers import (
    highest,
    interval_name,
    listed,
    lowest,
    p_value,
    points,
    quoted,
    rough,
    signed,
    told,
)
from stages.figures.ranking import lost, settled
from stages.figures.regressed import NUMBERS, STEP, Regressed, slope_terms, turned, upright
from stages.figures.robustness import differences
from stages.figures.style import words
from stages.params import Params

FACTORS = {"noise": "noise", "reader": "reader", "colour": "colour", "digit": "character", "position": "position"}
FEW = 50      # clusters, below which the regress stage adds the wild bootstrap
WORDS = 60    # of the answer
RULE = 0.8    # power of the smallest detectable difference
CLOSE = 1.0   # points, within which two models agree
WRITERS = {  # source of the glyphs: what else the intervals hold for
    "digits": "other digits of the same writers; a new writer is not covered",
    "mnist": "other digits, of other writers as well"}


def answer(found: Regressed, learned: str = "") -> str:
    """At most sixty words: which noise is worst for the report's reader, by how much, and how sure that is.

    `learned` says what that reader was trained on.
    """
    halves, costs = found.halves(found.reader), found.costs(found.reader)
    reached = halves[halves["level"].notna()]
    if costs.empty:
        return f"The regression estimated no cost of any noise for `{found.reader}`, so none can be called the worst."
    start = (f"`{found.reader}`{f', trained on {learned},' * bool(learned)} {_stopped(reached, found)}. On average "
             f"**{words(costs.iloc[0]['noise'])}** costs most, {points(costs.iloc[0], 'cost')} of 100 characters")
    least = f", {words(costs.iloc[-1]['noise'])} least, {points(costs.iloc[-1], 'cost')}." if len(costs) > 1 else "."
    runs = _runs_in_short(costs)
    return next(said for said in (start + least + runs, f"{start}.{runs}", f"{start}.")
                if len(said.split()) <= WORDS or said == f"{start}.")


def _stopped(reached: pd.DataFrame, found: Regressed) -> str:
    if reached.empty:
        return f"loses {lost(found.share)} under no noise tested"
    return f"loses {lost(found.share)} {_first(reached, found)}"


def _first(reached: pd.DataFrame, found: Regressed) -> str:
    """The noise that needs the lowest level; with the second, where it may be that one as well."""
    leaders = reached.iloc[:1 if settled(reached) else 2]
    levels = [f"level {told(row['level'], row['low'], row['high'])} of **{words(row['noise'])}**"
              for _, row in leaders.iterrows()]
    levels[0] = levels[0].replace(" (", f" ({interval_name(found.confidence)} ", 1)
    return f"from {listed(levels)}" + ("; which is first is open" if len(leaders) > 1 else "")


def _runs_in_short(costs: pd.DataFrame) -> str:
    between = 100 * costs["sd_between_runs"].dropna()
    if between.empty:
        return " No interval contains another training run."
    return f" SD between runs: {_range(between.min(), between.max())} points."


def conclusions(found: Regressed) -> list[str]:
    """At most ten sentences, one of each kind that this run has something to say about."""
    sentences = [*_costs(found), *_pairs_of_noises(found), *_slopes(found), *_readers(found), *_colours(found),
                 *_factor("digit", found), *_factor("position", found), *_fit(found), *_form(found), *_advice(found)]
    return sentences[:10]


def _costs(found: Regressed) -> Iterator[str]:
    costs = found.costs(found.reader)
    if costs.empty:
        return
    worst, least = costs.iloc[0], costs.iloc[-1]
    said = (f"For `{found.reader}` **{words(worst['noise'])}** costs most, "
            f"{points(worst, 'cost', explained=interval_name(found.confidence))} percentage points of character "
            "accuracy on average over the levels tested")
    yield said + (f"; **{words(least['noise'])}** least, {points(least, 'cost')}." if len(costs) > 1 else ".")


def _pairs_of_noises(found: Regressed) -> Iterator[str]:
    pairs = found.contrasts("noise", found.reader)
    pairs = pairs[(pairs["a"] != "none") & (pairs["b"] != "none")]
    if len(pairs) < 2:
        return
    pairs = upright(pairs)
    closest = lowest(pairs, "difference")
    apart = int(_clear(pairs).sum())
    yield (f"{apart} of the {len(pairs)} pairs of noises differ in that cost, by simultaneous intervals. The closest, "
           f"{words(closest['a'])} and {words(closest['b'])}, are {_simultaneous(closest)} points apart.")


def _clear(pairs: pd.DataFrame) -> pd.Series:
    """Whether the simultaneous interval of a difference leaves out 0."""
    return (pairs["simultaneous_low"] > 0) | (pairs["simultaneous_high"] < 0)


def _simultaneous(pair: pd.Series) -> str:
    """A difference with its simultaneous interval, in points."""
    return told(pair["difference"], pair["simultaneous_low"], pair["simultaneous_high"], scale=100)


def _slopes(found: Regressed) -> Iterator[str]:
    """The smallest and the largest observed step between neighbouring levels of the worst noise."""
    costs, rows = found.costs(found.reader), found.of("dose_response", found.reader)
    if costs.empty:
        return
    noise = str(costs.iloc[0]["noise"])
    line = rows[rows["noise"] == noise].sort_values("level")
    levels, steps = line["level"].to_numpy(float), -100 * np.diff(line["accuracy"].to_numpy(float))
    if len(steps) < 2:
        return
    ends = [f"{signed(steps[at])} points (from {levels[at]:g} to {levels[at + 1]:g})"
            for at in (int(steps.argmin()), int(steps.argmax()))]
    yield (f"From one level of {words(noise)} to the next `{found.reader}` loses between {ends[0]} and {ends[1]}.")


def _readers(found: Regressed) -> Iterator[str]:
    pairs = found.contrasts("reader")
    own = pd.concat([pairs[pairs["a"] == found.reader], turned(pairs[pairs["b"] == found.reader])])
    said = []
    for _, pair in own.iterrows():
        gain = pair["difference"] >= 0
        ends = points(pair, "difference", sign=1 if gain else -1)
        between = pair["sd_between_runs"]
        runs = f" (SD between runs {100 * between:.1f})" if np.isfinite(between) else ""
        said.append(f"{ends} points {'more' if gain else 'fewer'} than `{pair['b']}`{runs}")
    if said:
        yield (f"Over all conditions `{found.reader}` reads {listed(said)}. Their training captchas "
               "alone need not be the reason.")


def _colours(found: Regressed) -> Iterator[str]:
    test = found.fits.get("randomisation")
    said = " ".join(_factor("colour", found))
    if said and test is not None and test["factor"] == "colour":
        draws, p = test["draws"], test["p"]
        ends = (f", the least that {draws:,} permutations can give" if p * (draws + 1) < 1.5
                else f" of {draws:,} permutations")
        said += f" A randomisation test, which needs no model: {p_value(p)}{ends}."
    if said:
        yield said


def _factor(factor: str, found: Regressed) -> Iterator[str]:
    """The largest difference of a factor for the report's reader, or what would have been found where none is."""
    pairs = found.contrasts(factor, found.reader)
    whose = f"`{found.reader}`"
    if pairs.empty:
        pairs, whose = found.contrasts(factor), "all readers"
    if pairs.empty:
        return
    start = f"{FACTORS[factor].capitalize()} ({whose}):"
    most = highest(upright(pairs), "difference")
    clear = int(_clear(pairs).sum())
    if clear:
        yield (f"{start} {clear} of {len(pairs)} pairs differ; most, {called(factor, most['a'])} over "
               f"{called(factor, most['b'])}, by {_simultaneous(most)} points.")
    else:
        yield (f"{start} no difference was found. In a single pair {rough(100 * pairs['detectable'].max())} points "
               f"would have been found with a probability of {100 * RULE:g}\u00a0%; each is equivalent within "
               f"{rough(100 * pairs['equivalence'].max())} points.")


def called(factor: str, category: object) -> str:
    """A category as it stands in a sentence."""
    named = {"digit": quoted(category), "position": f"position {category}", "reader": f"`{category}`"}
    return named.get(factor, words(str(category)))


def _fit(found: Regressed) -> Iterator[str]:
    one = found.headline
    said = (f"It explains {100 * one['adjusted_r2']:.0f}\u00a0% of the variance of single characters "
            f"(adjusted R² {one['adjusted_r2']:.3f}, predicted R² {one['predicted_r2']:.3f}).")
    if _rejected(found):
        said += " RESET rejects the straight-line form; costs and thresholds do not use it."
    yield said


def _rejected(found: Regressed) -> bool:
    test = found.headline["reset"]
    return test is not None and bool(test["p"] < 1 - found.confidence)


def _form(found: Regressed) -> Iterator[str]:
    yield about_models(found)


def about_models(found: Regressed) -> str:
    """Where the linear probability model and the logit agree: on categories, as they must in a balanced design, and on
    numbers such as the level."""
    both = differences(found.tables["marginal_effects"])
    if both.empty:
        return "The logit could not be fitted here: the linear probability model has nothing beside it."
    gaps = both.assign(apart=(both["logit"] - both["linear"]).abs())
    clear = both[(both["low"] > 0) | (both["high"] < 0)]
    opposite = clear.loc[clear["linear"] * clear["logit"] < 0, "name"].tolist()
    categories, numbers = gaps[~gaps["number"]], gaps[gaps["number"]]
    said = []
    if len(categories):
        most = highest(categories, "apart")
        close = f"agrees on categories within {max(0.1, most['apart']):.1f} points, as it must in a balanced design"
        said.append(close if most["apart"] <= CLOSE else
                    f"differs on categories by up to {most['apart']:.1f} points ({most['name']}: "
                    f"{signed(most['logit'])} instead of {signed(most['linear'])})")
    said += [f"for {STEP:g} of {one['name'].removesuffix(f', for {STEP:g}')} it gives {signed(one['logit'])} instead "
             f"of {signed(one['linear'])} points" for _, one in numbers.iterrows()]
    signs = f" The sign of {listed(opposite)} differs." if opposite else ""
    return f"The logit{'' if len(categories) else ':'} {'; '.join(said)}.{signs}"


def _advice(found: Regressed) -> Iterator[str]:
    """What a designer of captchas may take from it, and what not."""
    costs = found.costs(found.reader)
    if costs.empty:
        return
    said = []
    if len(costs) > 1:
        said.append(f"at equal levels {words(costs.iloc[0]['noise'])} costs `{found.reader}` most and "
                    f"{words(costs.iloc[-1]['noise'])} least")
    pairs = found.contrasts("colour", found.reader)
    if len(pairs) and _clear(pairs).any():
        worst = quoted(words(str(highest(upright(pairs), "difference")["b"])))
        said.append(f"of the colour schemes, {worst} costs `{found.reader}` most")
    if said:
        yield f"For a designer: {'; '.join(said)}."


def how_sure(found: Regressed, params: Params, runs: Mapping[str, Sequence[str]], captchas: int,
             composed: bool) -> list[str]:
    """What the intervals hold and what not: sampling, glyphs, training run, machine, form, scales and people."""
    return [_sampling(found, captchas), _glyphs(found, composed, params.glyphs.source), _training(found, runs),
            "**Machine.** Another kind of processor rounds differently; that counts as another training run.",
            *_steps(params), *_scales(found, params.noise.types),
            "**People.** How well people read these captchas is not measured."]


def _sampling(found: Regressed, captchas: int) -> str:
    name = found.reader
    whom = "for such readers" if "run" in found.dimensions else f"for this reader, `{name}` as it was trained"
    return (f"**Captchas.** The intervals ({100 * found.confidence:g}\u00a0%) hold {whom}, over other captchas than "
            f"the {captchas:,} of the test.")


def _glyphs(found: Regressed, composed: bool, source: str) -> str:
    if not composed:
        return ("**Glyphs.** These captchas were found, not composed, so their glyphs are unknown. Rows are clustered "
                "by captcha alone; where captchas share glyphs, the intervals are too narrow.")
    if "glyph" in found.dimensions:
        return ("**Glyphs.** Rows that share a captcha or a glyph are clustered, so the intervals hold for "
                f"{WRITERS.get(source, 'other glyphs of the same source')}.")
    return (f"**Glyphs.** Rows are clustered by {found.cluster} alone. The same glyphs come in several captchas, so "
            "the intervals are too narrow for other glyphs: set `regression.cluster` to `captcha+glyph`.")


def _training(found: Regressed, runs: Mapping[str, Sequence[str]]) -> str:
    costs = found.costs(found.reader)
    known = costs[costs["sd_between_runs"].notna()]
    if "run" in found.dimensions:
        return (f"**Training run.** Each reader was trained {min(map(len, runs.values()))} times or more, and the "
                "intervals contain the run: they hold for such readers, not for these alone.")
    if known.empty:
        return ("**Training run.** Each reader was trained once, and no interval contains another run. How much runs "
                "differ is unknown here: `dvc exp run $(python -m experiments.runs "
                f"{' '.join(runs)} --runs 5)` measures it.")
    ratio = float((known["sd_between_runs"] / known["standard_error"]).median())
    said = (f"**Training run.** Over {int(known['runs'].iloc[0])} runs of `{found.reader}` the average costs have an "
            f"SD between runs of {_points_between(known)} points, {ratio:.1f} times their standard error (median). ")
    others = [f"`{reader}` {_points_between(rows)}" for reader in runs
              if reader != found.reader and (rows := found.costs(reader))["sd_between_runs"].notna().any()]
    said += f"Of other readers: {', '.join(others)}. " if others else ""
    return said + "For readers trained this way see the table."


def _points_between(costs: pd.DataFrame) -> str:
    between = 100 * costs["sd_between_runs"]
    return _range(between.min(), between.max())


def _range(low: float, high: float) -> str:
    return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"


def _steps(params: Params) -> Iterator[str]:
    if params.noise.steps < 8:
        yield (f"**Levels.** Each noise was tested at {params.noise.steps} levels. Between two of them a threshold is "
               "interpolated.")


def _scales(found: Regressed, types: Sequence[str]) -> Iterator[str]:
    if found.dose != "level" or len(types) < 2:
        return
    same = [words(noise) for noise in types if noise in EQUAL_ENERGY]
    share = (f" Only {listed(same)} share a scale, the energy of the change." if len(same) > 1
             else " No two noises of this run share a scale.")
    yield (f"**Scales.** A level is a physical dose.{share} A rank by level is a rank on these scales.")


def not_concluded(found: Regressed) -> list[str]:
    """What the regression cannot say."""
    return [*_about_form(found), *_about_noises(found), *_about_few(found),
            "What a noise costs people: how well they read these captchas is not measured."]


def _about_form(found: Regressed) -> Iterator[str]:
    headline, test = found.headline, found.headline["reset"]
    if _rejected(found):
        yield (f"That the effects are straight lines that add up: RESET rejects the form as a whole (F = "
               f"{test['F']:.4g}, {p_value(test['p'])}), be it for curves, for effects that differ between types or "
               "readers, or for probabilities outside 0 to 1. It does not say which, nor how much that changes. The "
               "estimates are those of the best straight lines, a linear projection.")
    elif test is not None:
        yield (f"That the effects are straight lines that add up: RESET does not reject it ({p_value(test['p'])}), "
               "which is not to show it.")
    if headline["fitted_outside"] > 0:
        yield (f"A probability for every rendering: {100 * headline['fitted_outside']:.1f}\u00a0% of the fitted values "
               "lie below 0 or above 1, which no share of characters does.")


def _about_noises(found: Regressed) -> Iterator[str]:
    """Where all types share one slope of a level that is not centred, a type's coefficient is no cost."""
    terms = found.headline["terms"]
    if "noise" in terms and not set(slope_terms(found.dose)) & set(terms) and found.dose in terms:
        yield (f"Which noise is worse from the noise coefficients of `{found.headline['specification']}`: its types "
               f"share one slope of {NUMBERS[found.dose]} from level 0 on, so that a coefficient is what that slope "
               "leaves. The average costs say which is worse.")


def _about_few(found: Regressed) -> Iterator[str]:
    if min(found.headline["clusters"]) < FEW:
        yield (f"Much from a p near the limit: {min(found.headline['clusters'])} clusters are few, and t and F are "
               "approximate.")
