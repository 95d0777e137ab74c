"""The notes below the table of a publication: what the estimates, errors and tests are, and what is not shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from stages.statistics.publication_words import (
    NUMBER_TERMS,
    publication_p,
    publication_share,
    publication_term,
)
from stages.statistics.regression import Clusters, Regression
from stages.statistics.runs import PerRun, coefficient_key
from stages.statistics.significance import Test


def publication_notes(
    shown: Sequence[Regression],
    checks: Sequence[Regression],
    left: Sequence[Regression],
    clusters: Clusters,
    confidence: float,
    runs: PerRun,
) -> Iterator[str]:
    """One paragraph each; `checks` are described in a sentence, `left` are named as not shown."""
    yield (
        "Ordinary least squares; the outcome is 1 where a character was read right and 0 where not (a linear "
        "probability model). Coefficients and standard errors are in percentage points; means, the guess rate and R² "
        "are shares."
    )
    yield from _dose_note(shown)
    yield _errors_note(clusters)
    yield (
        f"Tests and {100 * confidence:g} % intervals, in coefficients.csv with Holm's and Benjamini & Hochberg's p, "
        f"take {_distribution(clusters)}. The effective clusters are those of equal weight that would identify the "
        "least identified coefficient as well (Carter, Schnepel & Steigerwald 2017)."
    )
    yield from _runs_notes(shown, clusters, runs)
    yield from _tests_note(shown)
    yield from map(_check, checks)
    yield from _wild_note(shown)
    yield from _dropped(shown)
    yield from _confirmed(shown)
    yield from _not_shown(left)


def _dose_note(regressions: Sequence[Regression]) -> Iterator[str]:
    """What the coefficient of a noise type means beside a centred dose."""
    centred = [
        one.design.centred
        for one in regressions
        if one.design.centred and "noise" in one.design.terms
    ]
    if not centred:
        return
    meaning = "a noise coefficient is its effect at the mean dose of all noises; average costs are in costs.csv."
    if set(centred) == {frozenset({"level"})}:  # only levels have the same mean under every noise
        meaning = "the coefficient of a noise type is its average cost against clean over the levels tested."
    yield (
        "The dose is centred: less its mean over the rows under noise, and 0 in clean rows. Beside it "
        + meaning
    )


def _errors_note(clusters: Clusters) -> str:
    two_way = (
        " Two-way: V(a) + V(b) − V(a and b), and no less than either alone (Cameron, Gelbach & Miller 2011)."
        if len(clusters.names) == 2
        else ""
    )
    return (
        f"In round brackets: standard errors clustered by {clusters.words}, CV3 (the cluster jackknife: (G−1)/G times "
        f"the sum of squared changes where one cluster is left out; MacKinnon, Nielsen & Webb 2023).{two_way}"
        " CV1 (Liang & Zeger 1986) stands beside them in coefficients.csv."
    )


def _distribution(clusters: Clusters) -> str:
    if clusters.runs is not None:
        return "CV3 and Student's t with one degree of freedom less than the fewest training runs of a reader"
    fewer = " of the fewer clusters" if len(clusters.names) == 2 else ""
    return f"CV3 and Student's t with G−1 degrees of freedom{fewer}"


def _runs_notes(
    regressions: Sequence[Regression], clusters: Clusters, runs: PerRun
) -> Iterator[str]:
    """What training runs that differ in their seed alone add to the standard errors, and their spread."""
    if clusters.runs is not None:
        yield (
            "The standard errors hold the variance between training runs, too: V(run) − V(captcha × run) is "
            "added, each by reader, so that they are about such readers and not about these runs of them."
        )
    spreads = (
        runs.spread(coefficient_key(one, column)) for one in regressions for column in one.columns
    )
    first = next((spread for spread in spreads if spread is not None), None)
    if first is not None:
        end = "." if clusters.runs is not None else ", which the standard errors do not hold."
        yield (
            f"In square brackets: the standard deviation of the estimate between {first.runs} training "
            f"runs that differ in their seed alone{end}"
        )


def _tests_note(regressions: Sequence[Regression]) -> Iterator[str]:
    if any(regression.tests for regression in regressions):
        yield (
            "F: Wald's test that all coefficients of a term and of the products that contain it are zero, over their "
            "number; – where degrees of freedom are too few. RESET (Ramsey 1969): squares and cubes of the fitted "
            "values, clustered likewise (of two dimensions by the first); a small p says that straight lines that add "
            "up are not all there is. Guess rate: one over the characters."
        )


def _check(regression: Regression) -> str:
    """A specification beside the table in a sentence: its fit, and the tests of products of reader and dose."""
    fit = regression.fit
    left = regression.leave_out
    sentences = [
        f"R² {publication_share(fit.r2)}",
        f"adjusted {publication_share(fit.adjusted_r2)}",
        f"predicted (PRESS) {publication_share(left.predicted_r2)}",
        f"leave-one-cluster-out {publication_share(left.out_of_cluster_r2)}",
    ]
    sentences += [
        f"{publication_term(term)} {_full(test)}"
        for term, test in regression.tests.items()
        if "reader" in term.split(":") and any(number in term for number in NUMBER_TERMS)
    ]
    if regression.reset is not None:
        sentences.append(f"RESET {_full(regression.reset)}")
    return f"Beside the table, {regression.specification} ({len(fit.names)} coefficients): {', '.join(sentences)}."


def _full(test: Test | None) -> str:
    if test is None:
        return "–"
    return (
        f"F({test.df1}, {test.df2}) = {test.F:,.1f}, p {publication_p(math.exp(test.log_p), '= ')}"
    )


def _not_shown(left: Sequence[Regression]) -> Iterator[str]:
    if left:
        names = ", ".join(f"{one.specification} of {one.reader}" for one in left)
        yield f"Not shown for want of room, but in coefficients.csv: {names}."


def _wild_note(regressions: Sequence[Regression]) -> Iterator[str]:
    if any(regression.wild is not None for regression in regressions):
        yield "Clusters are few: coefficients.csv has the p of the restricted wild cluster bootstrap besides (p_wild)."


def _dropped(regressions: Sequence[Regression]) -> list[str]:
    sentences = dict.fromkeys(
        (dropped.term, dropped.reason) for r in regressions for dropped in r.design.dropped
    )
    return [f"Left out: {publication_term(term)}, which {reason}." for term, reason in sentences]


def _confirmed(regressions: Sequence[Regression]) -> Iterator[str]:
    columns = [
        f"({number})" for number, regression in enumerate(regressions, 1) if regression.confirmed
    ]
    if columns:
        yield (
            f"Every coefficient and CV1 standard error (of two dimensions by the first) of column {', '.join(columns)} "
            "was confirmed by linearmodels and statsmodels in this run; CV3 and two-way standard errors are compared "
            "with R's by the tests of this repository."
        )
