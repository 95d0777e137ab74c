"""What the regression says, how far it can be believed and what it cannot tell, in sentences with its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from stages.figures.coefficients import dose_slopes
from stages.figures.findings import between, highest, listed, lowest, quoted, signed
from stages.figures.regressed import NUMBERS, POOLED, STEP, Regressed, name_words, p_words, scale, term_words
from stages.figures.robustness import differences, steadiness
from stages.figures.style import words

FACTORS = {"colour": "colour", "digit": "the character", "position": "the position", "reader": "the reader"}
FEW = 50   # clusters, below which the regress stage adds the wild bootstrap
TOLD = 6   # thresholds, the others are counted


def said(found: Regressed) -> list[str]:
    """What was found: the doses, the factors, the thresholds, and what holds, a paragraph each."""
    parts = [[about_doses(found)], about_factors(found), about_thresholds(found),
             [about_models(found), about_clusters(found), about_categories(found)]]
    return [told for part in parts if (told := " ".join(part))]


def about_doses(found: Regressed) -> str:
    """The steepest and the mildest noise over all readers, and the share of adjusted R² that goes with the dose."""
    slopes = dose_slopes(found.tables["coefficients"], [POOLED], found.by_reader, found.dose)
    if slopes.empty:
        return (f"The specification `{found.by_reader}` gives the noise types no slope of their own, so none can be "
                "called the steepest.")
    worst, best = lowest(slopes, "points"), highest(slopes, "points")
    told = (f"Over all readers together, each {STEP:g} of {NUMBERS[found.dose]} moves the regression's straight line "
            f"by {_points(worst, found, 'percentage points')} under **{words(worst['noise'])}**")
    if len(slopes) > 1:
        told += (f", the steepest slope{_observed(worst['noise'], found)}, and by {_points(best, found)} under "
                 f"**{words(best['noise'])}**, the mildest{_observed(best['noise'], found)}")
    else:
        told += _observed(worst["noise"], found)
    return f"{told}. {_share_of_fit(found)}"


def _observed(noise: str, found: Regressed) -> str:
    """The loss that was seen, which a line through a shared and estimated start may overstate."""
    rows = found.tables["dose_response"]
    means = rows[rows["noise"] == noise].groupby("level")["accuracy"].mean()
    if found.dose != "level" or len(means) < 2:
        return ""
    points = 100 * STEP * (means.iloc[-1] - means.iloc[0]) / means.index[-1]
    return f" ({signed(points)} were seen on average from clean to the strongest level)"


def _points(row: pd.Series, found: Regressed, unit: str = "points") -> str:
    return f"{signed(row['points'])} {unit} {between(row['low'], row['high'], found.confidence)}"


def _share_of_fit(found: Regressed) -> str:
    tests, whole = found.tests(found.by_reader), found.summary(found.by_reader)["adjusted_r2"]
    own = tests[tests["term"].isin([f"{found.dose}:noise", f"noise:{found.dose}"])]["adjusted_r2_lost"]
    if own.empty or whole <= 0:
        return f"Adjusted R² is {whole:.3f}."
    share = own.iloc[0] / whole
    told = f"{100 * share:.0f}\u00a0% of it" if share < 0.995 else "all of it"
    return f"Without the doses the adjusted R² of {whole:.3f} would lose {own.iloc[0]:.3f}, {told}."


def about_factors(found: Regressed) -> Iterator[str]:
    """Whether each factor matters, and the category that differs most from its reference."""
    tests, rows = found.tests(found.fits["headline"]), found.coefficients()
    for term in [term for term in FACTORS if (tests["term"] == term).any()]:
        test = tests[tests["term"] == term].iloc[0]
        effects = rows[(rows["term"] == term) & rows["low"].notna()]
        name = FACTORS[term]
        if np.isnan(test["F"]) or effects.empty:
            yield f"Whether {name} matters could not be tested."
        elif 10 ** -test["minus_log10_p"] < 1 - found.confidence:
            yield _matters(name, test, effects, found)
        else:
            yield (f"For {name} no effect can be told from chance (joint F test, {p_words(test['minus_log10_p'])}): "
                   f"beside {_called(term, found.headline['references'][term])} the intervals lie between "
                   f"{signed(100 * effects['low'].min())} and {signed(100 * effects['high'].max())} points.")


def _matters(name: str, test: pd.Series, effects: pd.DataFrame, found: Regressed) -> str:
    most = highest(effects.assign(size=effects["estimate"].abs()), "size")
    point = pd.Series({column: 100 * most[source] for column, source in
                       (("points", "estimate"), ("low", "low"), ("high", "high"))})
    clear = int((effects["p_holm"] < 1 - found.confidence).sum())
    reference = _called(str(test["term"]), found.headline["references"][test["term"]])
    wild = f", {_p('wild bootstrap p', most['p_wild'])}" if np.isfinite(most["p_wild"]) else ""
    return (f"{name[0].upper()}{name[1:]} matters (joint F test, {p_words(test['minus_log10_p'])}): beside "
            f"{reference}, {_called(str(test['term']), most['category'])} differs most, by {_points(point, found)}, "
            f"{_p('p', most['p_holm'])} after Holm's adjustment for the {found.headline['regressors'] - 1} "
            f"coefficients of this regression (the interval is not adjusted){wild}; so adjusted, {clear} of "
            f"{len(effects)} differ.")


def _p(name: str, p: float) -> str:
    return f"{name} < 0.001" if p < 0.001 else f"{name} = {p:.3f}"


def _called(term: str, category: str) -> str:
    return {"digit": quoted(category), "position": f"position {category}", "reader": f"reader {category}"}.get(
        term, words(category))


def about_thresholds(found: Regressed) -> Iterator[str]:
    """Where the reader of the headline, and then each other, passes the accuracies."""
    thresholds = found.tables["thresholds"]
    for accuracy in sorted(set(thresholds["share"])):
        rows = thresholds[thresholds["share"] == accuracy]
        own = rows[rows["reader"] == found.reader]
        others = [_first(other) for _, other in rows[rows["reader"] != found.reader].groupby("reader", sort=False)]
        share = f"{100 * accuracy:g}\u00a0% of the captchas"
        if len(own):
            yield (f"`{found.reader}` comes down to {share} {_passed(own, found.confidence)}"
                   + (f"; {', '.join(others)}." if others else "."))


def _passed(rows: pd.DataFrame, confidence: float) -> str:
    """At which levels, the lowest first, and which noise types do not get there."""
    if (rows["level"] == 0).any():
        return "even without noise"
    reached = rows[rows["level"].notna()].sort_values("level", kind="stable")
    never = [words(noise) for noise in rows.loc[rows["level"].isna(), "noise"]]
    interval = f"{100 * confidence:g}\u00a0% interval "
    told = [f"{row.level:.2f} of {words(str(row.noise))} ({'' if i else interval}{_end(row.low)} to {_end(row.high)})"
            for i, row in enumerate(reached.head(TOLD).itertuples())]
    if not told:
        return f"under no noise tested: not reached under {listed(never)}"
    more = len(reached) - len(told)
    first = f"at level {listed([*told, *([f'higher ones under {more} other noises'] if more else [])])}"
    return first + (f", and within the levels tested not under {listed(never)}" if never else "")


def _end(level: Any) -> str:
    return "beyond those tested" if np.isnan(level) else f"{level:.2f}"


def _first(rows: pd.DataFrame) -> str:
    reader = rows["reader"].iloc[0]
    reached = rows[rows["level"].notna()]
    if (rows["level"] == 0).any():
        return f"`{reader}` is there even without noise"
    if reached.empty:
        return f"`{reader}` never does"
    first = lowest(reached, "level")
    return f"`{reader}` first does at {first['level']:.2f} of {words(first['noise'])}"


def about_models(found: Regressed) -> str:
    """Whether the linear probability model and the logit agree."""
    both = differences(found.tables["marginal_effects"])
    rest = both[~both["name"].astype(str).str.startswith("noise ")]
    if len(rest) and list(_about_dummies(found)):  # the noise dummies are not to be read alone
        both = rest
    if both.empty:
        return "The logit could not be fitted here: the linear probability model has nothing beside it."
    apart = highest(both.assign(apart=(both["logit"] - both["linear"]).abs()), "apart")
    told = both[(both["low"] > 0) | (both["high"] < 0)]
    turned = [name for name, linear, logit in zip(told["name"], told["linear"], told["logit"], strict=True)
              if linear * logit < 0]
    inside = int(((both["low"] <= both["logit"]) & (both["logit"] <= both["high"])).sum())
    signs = f"the sign of {listed(turned)} differs" if turned else "no effect that can be told from 0 changes its sign"
    return (f"Linear model and logit differ by at most {apart['apart']:.1f} points ({apart['name']}: "
            f"{signed(apart['linear'])} and {signed(apart['logit'])}); {signs}, and {inside} of {len(both)} effects of "
            "the logit lie within the linear interval (a description, not a test: both are of the same rows).")


def about_clusters(found: Regressed) -> str:
    """The coefficient that hangs most on one cluster."""
    cluster = found.fits["cluster"][0]
    table = steadiness(found.coefficients())
    moves = table[["least_errors", "most_errors"]].abs()
    if moves.isna().to_numpy().all():
        return f"No coefficient has a standard error in which the leave-one-{cluster}-out moves could be told."
    end = "least" if moves["least_errors"].max() >= moves["most_errors"].max() else "most"
    most = highest(table.assign(size=moves[f"{end}_errors"].fillna(0)), "size")
    told = table[(table["low"] > 0) | (table["high"] < 0)]
    turned = [name for name, points, least, most_ in zip(told["name"], told["points"], told["least"], told["most"],
                                                         strict=True) if min(points * least, points * most_) < 0]
    verdict = (f"without one, the sign of {listed(turned)} turns" if turned
               else "no effect that can be told from 0 changes its sign without one")
    return (f"Leaving out one {cluster} at a time moves no coefficient by more than {most['size']:.2f} standard errors "
            f"({most['name']}, without {cluster} {most[f'{end}_without']}), and {verdict}.")


def about_categories(found: Regressed) -> str:
    """Whether the other coefficients hold without a category."""
    rows = found.tables["categories"]
    told = rows[rows["errors"].notna()]
    if told.empty:
        return "There is no category that could be left out."
    moved = int((told["outside"] != "").sum())
    most = highest(told, "errors")
    t = told["errors"] * told["before"].abs() / (told["after"] - told["before"]).abs()  # of the coefficient that moves
    clear = t > stdtrit(found.headline["df"], (1 + found.confidence) / 2)
    turned = told[clear & (told["before"] * told["after"] < 0)]
    factor = scale(str(most["moved"]).split("[")[0])
    signs = (f"without {listed([category_words(row) for _, row in turned.iterrows()])} the coefficient that moves most "
             "even changes its sign" if len(turned) else "none that moves most and can be told from 0 changes its sign")
    return (f"Leaving out one category at a time takes some other coefficient out of its interval in {moved} of "
            f"{len(told)} cases; most of all, without {category_words(most)}, {moved_words(str(most['moved']))} goes "
            f"from {signed(factor * most['before'])} to {signed(factor * most['after'])} points ({most['errors']:.1f} "
            f"standard errors), and {signs}.")


def moved_words(name: str) -> str:
    """A coefficient's name with the unit in which it is told."""
    told = scale(name.split("[")[0])
    return name_words(name) + (f", for {STEP:g}," if told < 100 else "")


def category_words(row: pd.Series) -> str:
    return f"{term_words(row['factor'])} {words(row['category'])}"


def unsaid(found: Regressed, *, composed: bool) -> list[str]:
    """What cannot be concluded; `composed` is whether captchas were made of glyphs that are known."""
    return [*_about_form(found), *_about_dummies(found), *_about_scales(found), *_about_few(found),
            *_about_training(found), *_about_sampling(found, composed)]


def _about_form(found: Regressed) -> Iterator[str]:
    headline, test = found.headline, found.headline["reset"]
    if test is not None and test["p"] < 1 - found.confidence:
        yield (f"That the effects are straight lines that add up: RESET rejects the form as a whole (F = "
               f"{test['F']:.4g}, {_p('p', test['p'])}), be it for curves, for effects that differ between types or "
               "readers, or for probabilities outside 0 to 1; it does not say which, nor how much it matters.")
    elif test is not None:
        yield (f"That the effects are straight lines that add up is not shown either: RESET merely does not reject it "
               f"({_p('p', test['p'])}).")
    responses = found.tables["dose_response"]
    gap = float((responses["curve"] - responses["accuracy"]).abs().max())
    if np.isfinite(gap):
        yield ("A threshold to its second digit: its interval holds the luck of the captchas alone. Between levels "
               "this far apart the form of the curve places it, and that misses observed means by up to "
               f"{100 * gap:.1f} points.")
    if headline["fitted_outside"] > 0:
        yield (f"A probability for every rendering: {100 * headline['fitted_outside']:.1f}\u00a0% of the fitted values "
               "lie below 0 or above 1, which no share of characters does.")


def _about_dummies(found: Regressed) -> Iterator[str]:
    terms = found.headline["terms"]
    own_slopes = {f"{found.dose}:noise", f"noise:{found.dose}"} & set(terms)
    if "noise" in terms and not own_slopes and any(found.dose in term for term in terms):
        yield ("Which noise is worse from the noise coefficients alone: in the headline's regression "
               f"all types share one slope of {NUMBERS[found.dose]}, so that a type's coefficient is only the jump "
               "which that slope leaves. The slopes by type tell how fast each bites along its own scale.")


def _about_scales(found: Regressed) -> Iterator[str]:
    if found.dose == "level" and found.tables["curves"]["noise"].nunique() > 1:
        yield ("Which noise is worse as such: a level is an amount of changed luma for the pixel noises, and a "
               "width, an angle or a share for the others, so that a ranking by slope or threshold ranks these scales "
               "as well. `-S regression.dose=rmse` or `ssim_loss` takes a measured scale; another measure may give "
               "another order.")


def _about_training(found: Regressed) -> Iterator[str]:
    if "seed" not in found.fits["cluster"]:
        yield ("What another training would give: all of this is conditional on the readers as trained, and no "
               "interval holds that. Train readers that differ in `seed` alone, and pool them.")
    elif "captcha" not in found.fits["cluster"]:
        yield ("What other captchas would give: clustered by seed alone, the intervals are about other trainings on "
               "these same captchas. `regression.cluster: captcha+seed` asks about both.")


def _about_few(found: Regressed) -> Iterator[str]:
    if min(found.headline["clusters"]) < FEW:
        yield (f"Much from p near the limit: {min(found.headline['clusters'])} clusters are few, and t and F are "
               "approximate" + ("; read the p of the wild cluster bootstrap in `coefficients.csv` beside them."
                                   if len(found.headline["clusters"]) == 1 else "."))


def _about_sampling(found: Regressed, composed: bool) -> Iterator[str]:
    if composed and "captcha" in found.fits["cluster"] and "glyph" not in found.fits["cluster"]:
        wider = found.fits["errors_by_glyph_too"]
        told = {FACTORS.get(term, term_words(term)): ratio for term, ratio in wider.items() if ratio > 1.1}
        how = (": errors of " + listed([f"{name} {ratio:.1f}" for name, ratio in told.items()])
               + " times as large" if told else "")
        yield (f"What new handwriting would do: rows are clustered by {found.cluster}, so the intervals are about "
               f"other captchas of the same glyphs. `regression.cluster: captcha+glyph` asks about other glyphs, "
               f"too{how}.")


def diagnosed(found: Regressed) -> list[str]:
    """The diagnostics of the headline's regression in words, and the warnings of all."""
    return [*_about_size(found), *_about_leverage(found), *_about_columns(found), *_about_fit(found),
            *_about_warnings(found)]


def _about_size(found: Regressed) -> Iterator[str]:
    one = found.headline
    sizes = one["cluster_rows"]
    each = (f"{sizes['most']:,} rows each" if sizes["least"] == sizes["most"]
            else f"{sizes['least']:,} to {sizes['most']:,} rows, {sizes['mean']:,.1f} on average")
    clusters = " and ".join(f"{count:,}" for count in one["clusters"])
    yield (f"`{one['specification']}`: {one['observations']:,} rows in {clusters} clusters by {found.cluster} "
           f"({each}), {one['regressors']} coefficients, t with {one['df']} degrees of freedom."
           + (f" {listed(one['confirmed_by'])} give the same coefficients and CV1 errors; the jackknife's, on which "
              "intervals and p rest, are checked by the tests alone." if one["confirmed_by"] else ""))
    if one["dropped"]:
        yield "Dropped: " + "; ".join(f"{term_words(gone['term'])} {gone['reason']}" for gone in one["dropped"]) + "."
    if one["without_standard_error"]:
        yield ("Without a standard error, since all clusters agree exactly: "
               f"{listed([name_words(name) for name in one['without_standard_error']])}.")
    for reader, reason in found.fits["skipped_readers"].items():
        yield f"`{reader}` {reason}: it has no regression of its own."


def _about_leverage(found: Regressed) -> Iterator[str]:
    one, cluster = found.headline, found.fits["cluster"][0]
    leverage = one["cluster_leverage"]
    yield (f"Leverage: {leverage['mean']:.3g} of a {cluster} on average, {leverage['most']:.3g} at most ({cluster} "
           f"{leverage['of']}). A coefficient rests on as few as G* = {one['effective_clusters']:.1f} clusters of "
           f"equal weight, of {one['clusters'][0]:,}, if rows err independently within a {cluster}"
           + (f", and on {one['effective_clusters_equal']:.1f} if they err alike." if one["effective_clusters_equal"]
              else "."))
    if one["singular_clusters"] or one["lonely_rows"]:
        yield (f"Without each of {one['singular_clusters']} clusters some coefficient could not be told, and "
               f"{one['lonely_rows']} rows are alone in telling one.")


def _about_columns(found: Regressed) -> Iterator[str]:
    one = found.headline
    yield (f"The regressors: condition number {one['condition_number']:.3g} (above 30 they are nearly combinations of "
           f"each other), variance inflation (VIF) {one['largest_vif']:.3g} at most (above 10 is often called high).")


def _about_fit(found: Regressed) -> Iterator[str]:
    one, test = found.headline, found.headline["reset"]
    yield (f"R² is {one['r2']:.4f}, adjusted {one['adjusted_r2']:.4f}; of rows left out {one['predicted_r2']:.4f}, of "
           f"whole clusters left out {one['out_of_cluster_r2']:.4f}.")
    form = ("RESET: the regressors tell every mean already, there is nothing to test." if test is None else
            f"RESET: F({test['df1']:g}, {test['df2']:g}) = {test['F']:.4g}, {_p('p', test['p'])}.")
    yield f"{form} Fitted values outside 0 to 1: {100 * one['fitted_outside']:.1f}\u00a0%."


def _about_warnings(found: Regressed) -> Iterator[str]:
    """Each warning about the headline or the specification by reader once, with the fits that it is about."""
    chosen = (found.fits["headline"], found.by_reader)
    fits = [fit for fit in found.fits["fits"] if fit["specification"] in chosen]
    about: dict[str, list[str]] = {}
    for fit in fits:
        for warning in fit["warnings"]:
            about.setdefault(warning, []).append(f"{fit['specification']} ({fit['reader']})")
    for warning, whose in about.items():
        plain = re.sub(r"([\w:()]+\[[^\]]*\])", lambda name: name_words(name[1]), warning)
        yield f"Warning: {plain}. Of {'all these fits' if len(whose) == len(fits) else listed(whose)}."
    if not about:
        yield f"No rule of thumb was broken in the fits of {listed([f'`{name}`' for name in dict.fromkeys(chosen)])}."
    others = [fit["specification"] for fit in found.fits["fits"] if fit not in fits and fit["warnings"]]
    if others:
        yield f"The other fits with warnings, {listed(others)}, have theirs in `data/regression/fits.json`."
