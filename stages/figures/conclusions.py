"""The answer, what the regression says in plain sentences, and what it cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from stages.figures.coefficients import dose_slopes
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
from stages.figures.ranking import lost
from stages.figures.regressed import NUMBERS, POOLED, STEP, Regressed, slope_terms
from stages.figures.robustness import differences
from stages.figures.style import words

FACTORS = {"noise": "noise", "reader": "reader", "colour": "colour", "digit": "character", "position": "position"}
EQUAL_ENERGY = ("gaussian", "gaussian_rgb", "uniform", "salt_and_pepper", "shot", "speckle")  # level: the RMS change
FEW = 50      # clusters, below which the regress stage adds the wild bootstrap
WORDS = 60    # of the answer
RULE = 0.8    # power of the smallest detectable difference
CLEAR = 0.95  # probability above which a noise is said to be the first


def answer(found: Regressed, learned: str = "") -> str:
    """At most sixty words: which noise is worst for the report's reader, by how much, and how sure that is.

    `learned` says what that reader was trained on.
    """
    halves, costs = found.halves(found.reader), found.costs(found.reader)
    reached = halves[halves["level"].notna()]
    if costs.empty:
        return f"The regression estimated no cost of any noise for `{found.reader}`, so none can be called the worst."
    said = [f"`{found.reader}`{f', trained on {learned},' * bool(learned)} {_stopped(reached, found)}.",
            f" On average **{words(costs.iloc[0]['noise'])}** costs most, {points(costs.iloc[0], 'cost')} of 100 "
            "characters", "." if len(costs) == 1 else
            f", {words(costs.iloc[-1]['noise'])} least, {points(costs.iloc[-1], 'cost')}.", _run_in_short(costs)]
    if len("".join(said).split()) > WORDS:
        said[2:] = ["."]
    return "".join(said)


def _stopped(reached: pd.DataFrame, found: Regressed) -> str:
    if reached.empty:
        return f"loses {lost(found.share)} under no noise tested"
    return f"loses {lost(found.share)} {_first(reached, found)}"


def _first(reached: pd.DataFrame, found: Regressed) -> str:
    """The noise that needs the lowest level; with the second, where it may be that one as well."""
    leaders = reached.iloc[:1 if _settled(reached) else 2]
    levels = [f"level {told(row['level'], row['low'], row['high'])} of **{words(row['noise'])}**"
              for _, row in leaders.iterrows()]
    levels[0] = levels[0].replace(" (", f" ({interval_name(found.confidence)} ", 1)
    return f"from {listed(levels)}" + ("; which is first is open" if len(leaders) > 1 else "")


def _settled(reached: pd.DataFrame) -> bool:
    """Whether the first noise is the first with a probability that leaves no other in doubt."""
    return len(reached) == 1 or not float(reached.iloc[0]["first"]) < CLEAR


def _run_in_short(costs: pd.DataFrame) -> str:
    between = costs["sd_between_runs"].dropna()
    if between.empty:
        return " No interval contains another training run."
    return f" Another training run moves costs by about {signed(100 * between.mean())}."


def _title(noise: object) -> str:
    return words(str(noise)).capitalize()


def conclusions(found: Regressed) -> list[str]:
    """At most ten sentences, one of each kind that this run has something to say about."""
    sentences = [*_costs(found), *_pairs_of_noises(found), *_slopes(found), *_readers(found), *_colours(found),
                 *_factor("digit", found), *_factor("position", found), *_fit(found), *_form(found)]
    return sentences[:10]


def _costs(found: Regressed) -> Iterator[str]:
    costs = found.costs(POOLED)
    if costs.empty:
        return
    worst, least = costs.iloc[0], costs.iloc[-1]
    yield (f"For all readers together **{words(worst['noise'])}** costs most, "
           f"{points(worst, 'cost', explained=interval_name(found.confidence))} percentage points of the characters on "
           "average over the levels tested.")
    if len(costs) > 1:
        yield f"**{_title(least['noise'])}** costs least, {points(least, 'cost')} points."


def _pairs_of_noises(found: Regressed) -> Iterator[str]:
    pairs = found.contrasts("noise", found.reader)
    pairs = pairs[(pairs["a"] != "none") & (pairs["b"] != "none")]
    if len(pairs) < 2:
        return
    pairs = _upright(pairs)
    closest = lowest(pairs, "difference")
    apart = int(_clear(pairs).sum())
    yield (f"For `{found.reader}` {apart} of the {len(pairs)} pairs of noises differ in their average cost, by "
           f"simultaneous intervals. The closest, {words(closest['a'])} and {words(closest['b'])}, are "
           f"{points(closest, 'difference')} points apart.")


def _clear(pairs: pd.DataFrame) -> pd.Series:
    """Whether a difference is told from 0 by the simultaneous interval."""
    return (pairs["simultaneous_low"] > 0) | (pairs["simultaneous_high"] < 0)


def _slopes(found: Regressed) -> Iterator[str]:
    slopes = dose_slopes(found.tables["coefficients"], [POOLED], found.by_reader, found.dose)
    slopes = slopes[slopes["points"].notna()]
    if len(slopes) < 2:
        return
    worst, best = lowest(slopes, "points"), highest(slopes, "points")
    yield (f"Within the levels tested each {STEP:g} of {NUMBERS[found.dose]} costs between "
           f"{told(-best['points'], -best['low'], -best['high'])} points ({words(best['noise'])}) and "
           f"{told(-worst['points'], -worst['low'], -worst['high'])} points ({words(worst['noise'])}), by straight "
           "lines. The curves bend, so other levels give other slopes.")


def _readers(found: Regressed) -> Iterator[str]:
    pairs = found.contrasts("reader")
    own = pd.concat([pairs[pairs["a"] == found.reader], _turned(pairs[pairs["b"] == found.reader])])
    said = []
    for _, pair in own.iterrows():
        gain = pair["difference"] >= 0
        ends = points(pair, "difference", sign=1 if gain else -1)
        said.append(f"{ends} points {'more' if gain else 'fewer'} than `{pair['b']}`")
    if said:
        yield (f"Over all conditions `{found.reader}` reads {listed(said)}. These are differences of trained readers, "
               "not the effect of what they learned from.")


def _upright(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same contrasts, each so that its difference is above 0."""
    return pd.concat([pairs[pairs["difference"] >= 0], _turned(pairs[pairs["difference"] < 0])], ignore_index=True)


def _turned(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same contrasts the other way round."""
    swapped = pairs.rename(columns={"a": "b", "b": "a"})
    return swapped.assign(difference=-pairs["difference"], low=-pairs["high"], high=-pairs["low"],
                          simultaneous_low=-pairs["simultaneous_high"], simultaneous_high=-pairs["simultaneous_low"])


def _colours(found: Regressed) -> Iterator[str]:
    test = found.fits.get("randomisation")
    said = " ".join(_factor("colour", found))
    if said and test is not None and test["factor"] == "colour":
        said += (f" Colours were drawn at random, so a randomisation test needs no model: {p_value(test['p'])} of "
                 f"{test['draws']:,} permutations.")
    if said:
        yield said


def _factor(factor: str, found: Regressed) -> Iterator[str]:
    """The largest difference of a factor, or what would have been found where none is."""
    pairs = found.contrasts(factor)
    if pairs.empty:
        return
    name = FACTORS[factor]
    most = highest(_upright(pairs), "difference")
    clear = int(_clear(pairs).sum())
    if clear:
        yield (f"{name.capitalize()}: {clear} of {len(pairs)} pairs differ, by simultaneous intervals. The largest "
               f"difference is that of {called(factor, most['a'])} over {called(factor, most['b'])}, "
               f"{points(most, 'difference')} points.")
    else:
        yield (f"{name.capitalize()}: no difference was found. One of "
               f"{rough(100 * pairs['detectable'].max())} points would have been found with a probability of "
               f"{100 * RULE:g}\u00a0%, and all pairs are equivalent within "
               f"{rough(100 * pairs['equivalence'].max())} points.")


def called(factor: str, category: object) -> str:
    """A category as it stands in a sentence."""
    named = {"digit": quoted(category), "position": f"position {category}", "reader": f"`{category}`"}
    return named.get(factor, words(str(category)))


def _fit(found: Regressed) -> Iterator[str]:
    one = found.headline
    yield (f"The regression explains {100 * one['adjusted_r2']:.0f}\u00a0% of the variance of single characters "
           f"(adjusted R² {one['adjusted_r2']:.3f}, predicted R² {one['predicted_r2']:.3f}).")


def _form(found: Regressed) -> Iterator[str]:
    yield about_models(found)


def about_models(found: Regressed) -> str:
    """Whether the linear probability model and the logit agree, on all effects that both estimate."""
    both = differences(found.tables["marginal_effects"])
    if both.empty:
        return "The logit could not be fitted here: the linear probability model has nothing beside it."
    apart = highest(both.assign(apart=(both["logit"] - both["linear"]).abs()), "apart")
    clear = both[(both["low"] > 0) | (both["high"] < 0)]
    turned = clear.loc[clear["linear"] * clear["logit"] < 0, "name"].tolist()
    inside = int(((both["low"] <= both["logit"]) & (both["logit"] <= both["high"])).sum())
    signs = f", and the sign of {listed(turned)} differs" if turned else ""
    return (f"A logit gives effects within {apart['apart']:.1f} points of the linear model's (largest gap: "
            f"{apart['name']}, {signed(apart['linear'])} and {signed(apart['logit'])}); {inside} of the {len(both)} "
            f"lie in the linear interval{signs}.")


def how_sure(found: Regressed, params: Any, runs: Mapping[str, Sequence[str]], captchas: int, arithmetic: str,
             composed: bool) -> list[str]:
    """What the intervals hold and what not: sampling, glyphs, training run, machine, form and scales."""
    return [_sampling(found, captchas), _glyphs(found, composed), _training(found, runs), _machine(arithmetic),
            *_steps(params), *_scales(found, params.noise.types)]


def _sampling(found: Regressed, captchas: int) -> str:
    name = found.reader
    whom = "for such readers" if "run" in found.dimensions else f"for this reader, `{name}` as it was trained"
    return (f"**Captchas.** The intervals ({100 * found.confidence:g}\u00a0%) hold {whom}, over other test captchas. "
            f"There were {captchas:,}, each read under every condition.")


def _glyphs(found: Regressed, composed: bool) -> str:
    if not composed:
        return ("**Glyphs.** These captchas were found, not composed, so their glyphs are unknown. Rows are clustered "
                "by captcha alone; where captchas share glyphs, the intervals are too narrow.")
    if "glyph" in found.dimensions:
        return ("**Glyphs.** Rows that share a captcha or a glyph are not treated as independent, so the intervals "
                "hold for new handwriting of the same kind as well.")
    return (f"**Glyphs.** Rows are clustered by {found.cluster} alone. The same glyphs come in several captchas, so "
            "the intervals are too narrow for new handwriting: set `regression.cluster` to `captcha+glyph`.")


def _training(found: Regressed, runs: Mapping[str, Sequence[str]]) -> str:
    costs = found.costs(found.reader)
    known = costs[costs["sd_between_runs"].notna()]
    if "run" in found.dimensions:
        return (f"**Training run.** Each reader was trained {min(map(len, runs.values()))} times or more, and the "
                "intervals contain the run: they hold for such readers, not for these alone.")
    if known.empty:
        return ("**Training run.** Each reader was trained once, and no interval contains another run. How much a run "
                "moves these numbers is unknown here: `dvc exp run $(python -m experiments.runs "
                f"{' '.join(runs)} --runs 5)` measures it.")
    sd = 100 * known["sd_between_runs"]
    ratio = float((known["sd_between_runs"] / known["standard_error"]).median())
    return (f"**Training run.** Over {int(known['runs'].iloc[0])} runs of `{found.reader}` the average costs have an "
            f"SD between runs of {_range(sd.min(), sd.max())} points, {ratio:.1f} times their standard error (median). "
            "The intervals hold for this reader; for such readers allow for the SD as well.")


def _range(low: float, high: float) -> str:
    return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"


def _machine(arithmetic: str) -> str:
    return (f"**Machine.** {arithmetic} Another kind of processor rounds otherwise, and training there gives another "
            "reader: it counts as another training run.").replace("  ", " ")


def _steps(params: Any) -> Iterator[str]:
    if params.noise.steps < 8:
        yield (f"**Levels.** Each noise was tested at {params.noise.steps} levels. Between two of them a threshold is "
               "interpolated.")


def _scales(found: Regressed, types: Sequence[str]) -> Iterator[str]:
    if found.dose != "level" or len(types) < 2:
        return
    same = [words(noise) for noise in types if noise in EQUAL_ENERGY]
    share = (f" Only {listed(same)} share a scale, the energy of the change." if len(same) > 1
             else " No two noises of this run share a scale.")
    yield (f"**Scales.** A level is a physical dose: a width, an angle, a share.{share} A rank by level is a rank on "
           "these scales.")


def not_concluded(found: Regressed) -> list[str]:
    """What the regression cannot tell."""
    return [*_about_form(found), *_about_noises(found), *_about_few(found)]


def _about_form(found: Regressed) -> Iterator[str]:
    headline, test = found.headline, found.headline["reset"]
    if test is not None and test["p"] < 1 - found.confidence:
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
