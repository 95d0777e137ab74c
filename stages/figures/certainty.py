"""What the intervals hold, what they leave out, and what the regression cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stages.captcha.noise import EQUAL_ENERGY
from stages.figures.numbers import (
    listed,
    p_value,
    runs_text,
)
from stages.figures.regression_tables import (
    NUMBER_WORDS,
    Regressed,
    slope_terms,
)
from stages.figures.style import words
from stages.params import Params
from stages.schemas.regress import (
    Costs,
)

FEW_CLUSTERS = 50  # clusters, below which the regress stage adds the wild bootstrap
WRITERS = {  # source of the glyphs: what else the intervals hold for
    "digits": "other digits of the same writers; a new writer is not covered",
    "mnist": "other digits, of other writers as well",
}


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
        f"SD between runs of {runs_text(known)} points, {ratio:.1f} times their standard error (median). "
    )
    others = [
        f"`{reader}` {runs_text(rows)}"
        for reader in runs
        if reader != found.reader
        and (rows := found.costs(reader))[Costs.sd_between_runs].notna().any()
    ]
    text += f"Of other readers: {', '.join(others)}. " if others else ""
    return text + "For readers trained this way see the table."


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
    rejecting = found.rejecting
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
