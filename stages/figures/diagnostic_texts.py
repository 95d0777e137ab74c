"""The diagnostics of the preferred specification: what single clusters and categories move, and the tables of tests."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from stages.figures.figure import ReportTable, TableCell, heads, row
from stages.figures.numbers import highest, listed, p_value, signed
from stages.figures.regression_tables import (
    STEP,
    Regressed,
    label_words,
    name_words,
    p_words,
    scale,
    term_words,
)
from stages.figures.regressors import drawn_regressors, strays, strongest_pair
from stages.figures.robustness import JackknifeRanges, jackknife_ranges
from stages.figures.style import words
from stages.schemas.regress import (
    AddedVariables,
    Categories,
    ClusterInfluence,
    Correlations,
    CorruptionErrors,
    JointTests,
)

NOTHING = "The regression left nothing to draw here."


def about_clusters(found: Regressed) -> str:
    """The coefficient that one cluster moves most, and why that says little in a balanced design."""
    cluster = found.dimensions[0]
    table = jackknife_ranges(found.coefficients())
    least = table[JackknifeRanges.least_errors].abs()
    most = table[JackknifeRanges.most_errors].abs()
    if least.isna().all() and most.isna().all():
        return f"No coefficient has a standard error to measure the changes without a {cluster} in."
    downwards = least.max() >= most.max()
    changes = (least if downwards else most).fillna(0)
    row = table.iloc[int(changes.to_numpy(float).argmax())]
    without = row[JackknifeRanges.least_without if downwards else JackknifeRanges.most_without]
    return (
        f"Leaving out one {cluster} at a time changes no coefficient by more than {changes.max():.2f} standard "
        f"errors ({row[JackknifeRanges.name]}, without {cluster} {without}). With "
        f"{found.headline.clusters[0]:,} clusters of equal weight it could hardly be otherwise: this "
        f"finds a damaged {cluster}, it is no evidence that the model is right."
    )


def about_categories(found: Regressed) -> str:
    """How many categories move another coefficient out of its interval: a sign of missing interactions."""
    rows = found.tables[Categories]
    tried = rows[rows[Categories.errors].notna()]
    if tried.empty:
        return "There is no category that could be left out."
    moved = int((tried[Categories.outside] != "").sum())
    most = highest(tried, Categories.errors)
    factor = scale(str(most[Categories.moved]).split("[")[0])
    return (
        f"Leaving out one category at a time takes some other coefficient out of its interval in {moved} of "
        f"{len(tried)} cases: effects differ between categories, which this specification does not contain. Most "
        f"of all, without {category_words(most)}, {moved_words(str(most[Categories.moved]))} goes from "
        f"{signed(factor * most[Categories.before])} to {signed(factor * most[Categories.after])} points."
    )


def moved_words(name: str) -> str:
    """A coefficient's name with its unit."""
    return name_words(name) + (f", for {STEP:g}," if scale(name.split("[")[0]) < 100 else "")


def category_words(category: pd.Series) -> str:
    return f"{term_words(category[Categories.factor])} {words(category[Categories.category])}"


def about_influence(clusters: pd.DataFrame, cluster: str) -> str:
    if clusters.empty:
        return NOTHING
    most = highest(clusters, ClusterInfluence.distance)
    leverage = clusters[ClusterInfluence.leverage]
    return (
        f"The largest distance has {cluster} {most[ClusterInfluence.cluster]}, "
        f"{most[ClusterInfluence.distance]:.2g}: it changes {name_words(str(most[ClusterInfluence.moves]))} by "
        f"{signed(most[ClusterInfluence.by_errors], '.2f')} standard errors. Leverage runs "
        f"from {leverage.min():.4g} to {leverage.max():.4g}."
    )


def about_added_variables(bins: pd.DataFrame) -> str:
    if bins.empty:
        return NOTHING
    apart = strays(bins)
    text = (
        f"The bins of {label_words('', '', str(apart.idxmax()))} stray most from their line, "
        f"{apart.max():.1f} points (root mean square)."
    )
    left = bins[AddedVariables.label].nunique() - len(drawn_regressors(bins))
    return text + (
        f" {left} regressors with the flattest lines are left out; the CSV file has them."
        if left
        else ""
    )


def about_correlations(pairs: pd.DataFrame) -> str:
    """The strongest correlation, and the strongest between two terms."""
    most = strongest_pair(pairs)
    if most is None:
        return "There is one regressor, which goes with no other."
    text = f"The strongest is {_pair(most)}."
    terms = [pairs[side].str.split(" ").str[0] for side in (Correlations.a, Correlations.b)]
    apart = strongest_pair(pairs[(terms[0] != terms[1]).to_numpy()])
    if apart is None or abs(apart[Correlations.r]) < 0.005:
        return text + " Regressors of different terms are uncorrelated, to two digits."
    if apart[Correlations.r] == most[Correlations.r]:
        return text
    return text + f" Between different terms it is {_pair(apart)}."


def _pair(pair: pd.Series) -> str:
    a, b = (label_words("", "", str(pair[side])) for side in (Correlations.a, Correlations.b))
    return f"r = {signed(pair[Correlations.r], '.2f')} ({a} and {b})"


def diagnostics(found: Regressed) -> list[str]:
    """The diagnostics of the preferred specification in words, and the warnings of all."""
    return [
        *_about_size(found),
        *_about_leverage(found),
        *_about_columns(found),
        *_about_fit(found),
        *_about_warnings(found),
    ]


def _about_size(found: Regressed) -> Iterator[str]:
    one = found.headline
    sizes = one.cluster_rows
    each = (
        f"{sizes.most:,} rows each"
        if sizes.least == sizes.most
        else f"{sizes.least:,} to {sizes.most:,} rows, {sizes.mean:,.1f} on average"
    )
    clusters = " and ".join(f"{count:,}" for count in one.clusters)
    yield (
        f"`{one.specification}`: {one.observations:,} rows in {clusters} clusters by {found.cluster} "
        f"({each}), {one.regressors} coefficients, t with {one.df} degrees of freedom."
    )
    if one.confirmed_by:
        yield (
            f"{listed(one.confirmed_by)} give the same coefficients and CV1 standard errors. The CV3 standard "
            "errors, on which intervals and p rest, are compared with R in the tests."
        )
    if one.dropped:
        yield (
            "Dropped: "
            + "; ".join(f"{term_words(gone.term)} {gone.reason}" for gone in one.dropped)
            + "."
        )
    if one.without_standard_error:
        yield (
            "Without a standard error, since all clusters agree exactly: "
            f"{listed([name_words(name) for name in one.without_standard_error])}."
        )
    for reader, reason in found.fits.skipped_readers.items():
        yield f"`{reader}` {reason}: it has no regression of its own."


def _about_leverage(found: Regressed) -> Iterator[str]:
    one = found.headline
    cluster = found.dimensions[0]
    leverage = one.cluster_leverage
    yield (
        f"Leverage of a {cluster}: {leverage.mean:.3g} on average, {leverage.most:.3g} at most ({cluster} "
        f"{leverage.of}). A coefficient rests on as few as G* = {one.effective_clusters:.1f} effective "
        f"clusters, of {one.clusters[0]:,}."
    )


def _about_columns(found: Regressed) -> Iterator[str]:
    one = found.headline
    yield (
        f"The regressors: condition number {one.condition_number:.3g} (above 30 they are nearly combinations of "
        f"each other), variance inflation (VIF) {one.largest_vif:.3g} at most (above 10 is often called high). "
        "In a balanced design both come from the coding of the categories alone."
    )


def _about_fit(found: Regressed) -> Iterator[str]:
    one = found.headline
    test = found.headline.reset
    yield (
        f"R² is {one.r2:.4f}, adjusted R² {one.adjusted_r2:.4f}, predicted (PRESS) R² "
        f"{one.predicted_r2:.4f}, leave-one-cluster-out R² {one.out_of_cluster_r2:.4f}."
    )
    form = (
        "RESET: the regressors give every mean already, there is nothing to test."
        if test is None
        else f"RESET: F({test.df1:g}, {test.df2:g}) = {test.F:.4g}, {p_value(test.p)}."
    )
    yield f"{form} Fitted values outside 0 to 1: {100 * one.fitted_outside:.1f}\u00a0%."


def _about_warnings(found: Regressed) -> Iterator[str]:
    """Each warning about the preferred specification or that by reader once, with the fits that it is about."""
    chosen = (found.fits.headline, found.by_reader)
    fits = [fit for fit in found.fits.fits if fit.specification in chosen]
    about: dict[str, list[str]] = {}
    for fit in fits:
        for warning in fit.warnings:
            about.setdefault(warning, []).append(f"{fit.specification} ({fit.reader})")
    for warning, whose in about.items():
        plain = re.sub(r"([\w:()]+\[[^\]]*\])", lambda name: name_words(name[1]), warning)
        which = "all these fits" if len(whose) == len(fits) else listed(whose)
        yield f"Warning: {plain}. Of {which}."
    if not about:
        yield f"No rule of thumb was broken in the fits of {listed([f'`{name}`' for name in dict.fromkeys(chosen)])}."
    others = [fit.specification for fit in found.fits.fits if fit not in fits and fit.warnings]
    if others:
        yield f"The other fits with warnings, {listed(others)}, have theirs in `data/regression/fits.json`."


def tests_table(found: Regressed) -> ReportTable:
    """The joint test of every term of the preferred specification, and of of what the one by reader has on top."""
    headline = found.tests(found.fits.headline)
    other = found.tests(found.by_reader)
    tests = pd.concat([headline, other[~other[JointTests.term].isin(headline[JointTests.term])]])
    rows = [
        row(
            term_words(test[JointTests.term]),
            test[JointTests.specification],
            *_joint(test),
            signed(test[JointTests.adjusted_r2_lost], ".4f"),
        )
        for _, test in tests.iterrows()
    ]
    return ReportTable(
        "Joint tests that all coefficients of a term and of its products are zero, and what adjusted R² loses "
        "without them",
        heads("specification", "joint test", "p", "adjusted R² lost"),
        rows,
        notes=[
            "A small p says that a factor has an effect. The R² lost says how much of the variance goes "
            "with it."
        ],
    )


def _joint(test: pd.Series) -> list[str]:
    if np.isnan(test[JointTests.F]):
        return ["–", "–"]
    degrees = f"{test[JointTests.df1]:g}, {test[JointTests.df2]:g}"
    return [f"F({degrees}) = {test[JointTests.F]:,.1f}", p_words(test[JointTests.minus_log10_p])]


def categories_table(rows: pd.DataFrame) -> ReportTable:
    """The fit without each category against the fit with all."""
    return ReportTable(
        "The fit without each category",
        heads(
            "rows left",
            "adjusted R²",
            "changes most",
            "points",
            "standard errors",
            "left their interval",
        ),
        [
            row(
                category_words(one),
                f"{one[Categories.rows]:,.0f}",
                _decimals(one[Categories.adjusted_r2]),
                *_moved(one),
                _moved_terms(one[Categories.outside]),
            )
            for _, one in rows.iterrows()
        ],
    )


def _decimals(r2: float) -> str:
    return f"{r2:.4f}" if np.isfinite(r2) else "–"


def _moved(one: pd.Series) -> list[str]:
    if np.isnan(one[Categories.errors]):
        return ["–", "–", "–"]
    moved = one[Categories.moved]
    factor = scale(moved.split("[")[0])
    ends = f"{signed(factor * one[Categories.before])} → {signed(factor * one[Categories.after])}"
    return [moved_words(moved).rstrip(","), ends, f"{one[Categories.errors]:.1f}"]


def _moved_terms(names: str) -> str:
    """How many; the CSV file names them."""
    return str(len(names.split("; "))) if names else "none"


def corruption_table(rows: pd.DataFrame) -> ReportTable:
    """Mean corruption errors and the raw ones, over all noise types, and those that training had and had not."""
    types = rows[CorruptionErrors.types]
    several = rows[types == types.max()]
    apart = rows[(types > 1) & (types < types.max())]
    lines = [_errors(one, "all") for _, one in several.iterrows()]
    lines += [
        _errors(one, words(one[CorruptionErrors.noise]).replace("+", ", "))
        for _, one in apart.iterrows()
    ]
    return ReportTable(
        "Errors under noise over those of the baseline (mCE: mean over noise types of the ratio of summed "
        "errors)",
        heads(
            "noise", "in its training", "clean error", "error under noise", "mCE", "relative mCE"
        ),
        lines,
    )


def _errors(one: pd.Series, noises: str) -> list[TableCell]:
    return row(
        one[CorruptionErrors.reader],
        noises,
        one[CorruptionErrors.seen],
        f"{100 * one[CorruptionErrors.clean_error]:.1f} %",
        f"{100 * one[CorruptionErrors.error]:.1f} %",
        _ratio(
            one, CorruptionErrors.ratio, CorruptionErrors.ratio_low, CorruptionErrors.ratio_high
        ),
        _ratio(
            one,
            CorruptionErrors.relative,
            CorruptionErrors.relative_low,
            CorruptionErrors.relative_high,
        ),
    )


def _ratio(one: pd.Series, ratio: str, low: str, high: str) -> str:
    if np.isnan(one[ratio]):
        return "–"
    return f"{one[ratio]:.2f} ({one[low]:.2f} to {one[high]:.2f})"
