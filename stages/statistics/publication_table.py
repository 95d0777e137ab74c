"""The table of a publication: regressions side by side, one column each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from stages.schemas.regress import Publication, PublicationLine
from stages.schemas.words import POOLED
from stages.statistics.design_matrix import CONSTANT, DesignColumn
from stages.statistics.publication_notes import publication_notes
from stages.statistics.publication_words import (
    NUMBER_TERMS,
    POINTS,
    publication_name,
    publication_p,
    publication_points,
    publication_share,
    publication_term,
)
from stages.statistics.regression import Clusters, Regression
from stages.statistics.runs import PerRun, coefficient_key

MAX_TABLE_COLUMNS = 6  # more do not fit a page


def publication(
    regressions: Sequence[Regression],
    checks: Sequence[Regression],
    clusters: Clusters,
    confidence: float,
    chance: float,
    runs: PerRun,
) -> Publication:
    """The first regressions side by side, as many as fit a page; rows are the union of their coefficients, the constant
    last. `checks` are named below it, `chance` is the share of characters that blind guesses get."""
    shown = regressions[:MAX_TABLE_COLUMNS]
    left = regressions[MAX_TABLE_COLUMNS:]
    return Publication(
        title="What makes a reader fail: effects on the probability that a character is read right, in percentage "
        "points",
        header=tuple(f"({number}) {one.specification}" for number, one in enumerate(shown, 1)),
        readers=tuple(map(_whose, shown)),
        lines=tuple(_lines(shown, runs)),
        summary=dict(_summary(shown, clusters, chance)),
        notes=tuple(publication_notes(shown, checks, left, clusters, confidence, runs)),
    )


def _summary(
    regressions: Sequence[Regression], clusters: Clusters, chance: float
) -> Iterator[tuple[str, tuple[str, ...]]]:
    fits = [one.fit for one in regressions]
    left = [one.leave_out for one in regressions]
    yield "Mean of the outcome", tuple(publication_share(one.mean) for one in regressions)
    yield "Mean of the outcome, clean", tuple(publication_share(one.clean) for one in regressions)
    yield "Guess rate", tuple(publication_share(chance) for _ in regressions)
    yield "Observations (N)", tuple(f"{fit.observations:,}" for fit in fits)
    for i, name in enumerate(clusters.names):
        yield f"Clusters by {name} (G)", tuple(f"{fit.cluster_counts[i]:,}" for fit in fits)
    yield "Effective clusters, least (of)", tuple(map(_fewest, regressions))
    yield "Degrees of freedom", tuple(f"{fit.df:,}" for fit in fits)
    yield "Coefficients (K)", tuple(f"{len(fit.names)}" for fit in fits)
    yield "R²", tuple(publication_share(fit.r2) for fit in fits)
    yield "Adjusted R²", tuple(publication_share(fit.adjusted_r2) for fit in fits)
    yield "Predicted (PRESS) R²", tuple(publication_share(one.predicted_r2) for one in left)
    yield (
        "Leave-one-cluster-out R²",
        tuple(publication_share(one.out_of_cluster_r2) for one in left),
    )
    for term in dict.fromkeys(term for one in regressions for term in one.tests):
        yield f"F: {publication_term(term)}", tuple(_test(one, term) for one in regressions)
    yield "RESET, p", tuple(map(_reset, regressions))


def _fewest(regression: Regression) -> str:
    """The least effective clusters of a coefficient beside the constant, and of which."""
    if len(regression.columns) < 2:
        return ""
    effective = regression.leave_out.effective_clusters
    k = 1 + int(effective[1:].argmin())
    column = regression.columns[k]
    return f"{effective[k]:.1f} ({publication_name(column.term, column.label)})"


def _reset(regression: Regression) -> str:
    return "–" if regression.reset is None else publication_p(math.exp(regression.reset.log_p))


def _test(regression: Regression, term: str) -> str:
    test = regression.tests.get(term)
    if test is None:
        return "–" if term in regression.tests else ""
    return f"{test.F:,.1f} (p {publication_p(math.exp(test.log_p), '= ')})"


def _lines(regressions: Sequence[Regression], runs: PerRun) -> Iterator[PublicationLine]:
    """One line per coefficient of any regression, terms in the order they first came, the constant last."""
    columns = list(dict.fromkeys(column for r in regressions for column in r.columns))
    terms = list(dict.fromkeys(column.term for column in columns))
    columns.sort(key=lambda column: (column.term == CONSTANT, terms.index(column.term)))
    term = ""
    for column in columns:
        heading = "" if column.term == term else _heading(column.term, regressions)
        yield _line(column, heading, regressions, runs)
        term = column.term


def _line(
    column: DesignColumn, heading: str, regressions: Sequence[Regression], runs: PerRun
) -> PublicationLine:
    values = []
    errors = []
    for r in regressions:
        found = column in r.columns
        k = r.columns.index(column) if found else 0
        values.append(publication_points(float(r.fit.beta[k])) if found else "")
        errors.append(_errors(r, k, runs) if found else "")
    label = column.label if ":" in column.term else column.category or "per unit"
    if column.term == CONSTANT:
        label = "intercept"
    return PublicationLine(
        heading, publication_name(column.term, label), tuple(values), tuple(errors)
    )


def _errors(regression: Regression, k: int, runs: PerRun) -> str:
    """The standard error in round brackets and, where known, the standard deviation between runs in square ones."""
    error = float(regression.fit.standard_error[k])
    between = runs.spread(coefficient_key(regression, regression.columns[k]))
    written = f"({100 * error:.{POINTS}f})" if error > 0 else "(–)"
    return written if between is None else f"{written} [{100 * between.sd:.{POINTS}f}]"


def _heading(term: str, regressions: Sequence[Regression]) -> str:
    reference = next(
        (found for r in regressions if (found := r.design.references.get(term)) is not None), None
    )
    against = f", against {publication_name(term, reference)}" if reference is not None else ""
    if term == CONSTANT:
        return "Intercept (fitted value of the references)"
    if term.startswith("poly(") and ":" not in term:
        return f"{term[5:-1].capitalize()}, orthogonal polynomials (per unit of its power)"
    parts = term.split(":")
    numbers, factors = (
        [part for part in parts if (part in NUMBER_TERMS) is number] for number in (True, False)
    )
    if len(numbers) == 1 and factors and not any("poly(" in part for part in factors):
        return f"Slope of {numbers[0]} by {' and '.join(factors)}{against}"
    in_words = publication_term(term)
    return in_words[0].upper() + in_words[1:] + against


def _whose(regression: Regression) -> str:
    return "all readers" if regression.reader == POOLED else f"{regression.reader} alone"
