"""Regressions side by side, a column each: the table of a publication as Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from stages.schemas.regress import Publication, PublicationLine
from stages.schemas.words import POOLED
from stages.statistics.design_matrix import CONSTANT, DesignColumn
from stages.statistics.regression import Clusters, Regression
from stages.statistics.runs import PerRun, coefficient
from stages.statistics.significance import Test

DIGITS = 4  # decimals of a share or R² in the publication table
POINTS = 2  # decimals of a coefficient, in percentage points
MAX_TABLE_COLUMNS = 6  # more do not fit a page
NUMBER_TERMS = ("level", "rmse", "ssim_loss", "contrast")

LATEX = str.maketrans({"\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
                       "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
                       "×": r"$\times$", "²": "$^2$", "−": "$-$", "·": r"$\cdot$", "<": "$<$", "–": "--"})  # fmt: skip
MARKDOWN = str.maketrans({"|": r"\|", "_": r"\_", "*": r"\*", "<": "&lt;", "`": r"\`"})


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
        header=tuple(
            f"({number}) {regression.specification}" for number, regression in enumerate(shown, 1)
        ),
        readers=tuple(map(_whose, shown)),
        lines=tuple(_lines(shown, runs)),
        summary=dict(_summary(shown, clusters, chance)),
        notes=(
            *_notes(shown, clusters, confidence),
            *_runs_note(shown, clusters, runs),
            *_tests_note(shown),
            *map(_check, checks),
            *_wild_note(shown),
            *_dropped(shown),
            *_confirmed(shown),
            *_not_shown(left),
        ),
    )


def _whose(regression: Regression) -> str:
    return "all readers" if regression.reader == POOLED else f"{regression.reader} alone"


def _summary(
    regressions: Sequence[Regression], clusters: Clusters, chance: float
) -> Iterator[tuple[str, tuple[str, ...]]]:
    fits = [regression.fit for regression in regressions]
    left = [fit.leave_out for fit in fits]
    yield "Mean of the outcome", tuple(_share(regression.mean) for regression in regressions)
    yield (
        "Mean of the outcome, clean",
        tuple(_share(regression.clean) for regression in regressions),
    )
    yield "Guess rate", tuple(_share(chance) for _ in regressions)
    yield "Observations (N)", tuple(f"{fit.observations:,}" for fit in fits)
    for i, name in enumerate(clusters.names):
        yield f"Clusters by {name} (G)", tuple(f"{fit.cluster_counts[i]:,}" for fit in fits)
    yield "Effective clusters, least (of)", tuple(map(_fewest, regressions))
    yield "Degrees of freedom", tuple(f"{fit.df:,}" for fit in fits)
    yield "Coefficients (K)", tuple(f"{len(fit.names)}" for fit in fits)
    yield "R²", tuple(_share(fit.r2) for fit in fits)
    yield "Adjusted R²", tuple(_share(fit.adjusted_r2) for fit in fits)
    yield "Predicted (PRESS) R²", tuple(_share(one.predicted_r2) if one else "" for one in left)
    yield (
        "Leave-one-cluster-out R²",
        tuple(_share(one.out_of_cluster_r2) if one else "" for one in left),
    )
    for term in dict.fromkeys(term for regression in regressions for term in regression.tests):
        yield (
            f"F: {_term_words(term)}",
            tuple(_test(regression, term) for regression in regressions),
        )
    yield (
        "RESET, p",
        tuple(
            "–" if regression.reset is None else _small(math.exp(regression.reset.log_p))
            for regression in regressions
        ),
    )


def _fewest(regression: Regression) -> str:
    """The least effective clusters of a coefficient beside the constant, and of which."""
    left = regression.fit.leave_out
    if left is None or len(regression.columns) < 2:
        return ""
    k = 1 + int(left.effective_clusters[1:].argmin())
    return f"{left.effective_clusters[k]:.1f} ({_named(regression.columns[k].term, regression.columns[k].label)})"


def _share(value: float) -> str:
    return f"{value:.{DIGITS}f}" if math.isfinite(value) else "–"


def _test(regression: Regression, term: str) -> str:
    test = regression.tests.get(term)
    if test is None:
        return "–" if term in regression.tests else ""
    return f"{test.F:,.1f} (p {_small(math.exp(test.log_p), '= ')})"


def _small(p: float, equals: str = "") -> str:
    return f"{equals}{p:.3f}" if p >= 0.001 else "< 0.001"


def to_markdown(table: Publication) -> str:
    """A pipe table; a standard error stands in brackets behind its estimate."""

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.translate(MARKDOWN) for cell in cells) + " |"

    written = [
        f"**{table.title.translate(MARKDOWN)}**",
        "",
        row(["", *table.header]),
        "|:--" + "|--:" * len(table.header) + "|",
        row(["", *table.readers]),
    ]
    for line in table.lines:
        if line.heading:
            written.append(
                f"| *{line.heading.translate(MARKDOWN)}* " + "| " * len(table.header) + "|"
            )
        written.append(
            row(
                [
                    line.label,
                    *(
                        f"{value} {error}".strip()
                        for value, error in zip(line.values, line.errors, strict=True)
                    ),
                ]
            )
        )
    written += [row([label, *values]) for label, values in table.summary.items()]
    notes = "\n\n".join(note.translate(MARKDOWN) for note in table.notes)
    return "\n".join(written) + f"\n\n{notes}\n"


def to_latex(table: Publication) -> str:
    """A `table` float with its `tabular` (booktabs); a standard error stands in brackets below its estimate."""

    def row(cells: Sequence[str]) -> str:
        return " & ".join(cell.translate(LATEX) for cell in cells) + r" \\"

    width = len(table.header) + 1
    written = [
        "% needs \\usepackage{booktabs,graphicx}",
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{table.title.translate(LATEX)}}}",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
        r"\toprule",
        row(["", *table.header]),
        row(["", *table.readers]),
        r"\midrule",
    ]
    for line in table.lines:
        if line.heading:
            written.append(
                rf"\multicolumn{{{width}}}{{l}}{{\emph{{{line.heading.translate(LATEX)}}}}} \\"
            )
        written += [row([line.label, *line.values]), row(["", *line.errors])]
    written += [r"\midrule", *(row([label, *values]) for label, values in table.summary.items())]
    written += [
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize",
        *(note.translate(LATEX) + r"\par" for note in table.notes),
        r"\end{minipage}",
        r"\end{table}",
    ]
    return "\n".join(written) + "\n"


def _lines(regressions: Sequence[Regression], runs: PerRun) -> Iterator[PublicationLine]:
    """A line for every coefficient of any regression, terms in the order they first came, the constant last."""
    columns = list(dict.fromkeys(column for r in regressions for column in r.columns))
    terms = list(dict.fromkeys(column.term for column in columns))
    term = ""
    for column in sorted(
        columns, key=lambda column: (column.term == CONSTANT, terms.index(column.term))
    ):
        yield _line(
            column,
            "" if column.term == term else _heading(column.term, regressions),
            regressions,
            runs,
        )
        term = column.term


def _line(
    column: DesignColumn, heading: str, regressions: Sequence[Regression], runs: PerRun
) -> PublicationLine:
    values = []
    errors = []
    for r in regressions:
        found = column in r.columns
        k = r.columns.index(column) if found else 0
        values.append(_points(float(r.fit.beta[k])) if found else "")
        errors.append(_errors(r, k, runs) if found else "")
    label = column.label if ":" in column.term else column.category or "per unit"
    if column.term == CONSTANT:
        label = "intercept"
    return PublicationLine(heading, _named(column.term, label), tuple(values), tuple(errors))


def _named(term: str, name: str) -> str:
    """A name of a noise type or colour without the underscores of code; readers and characters keep theirs."""
    return (
        name.replace("_", " ")
        if set(term.split(":")) <= {"noise", "colour", *NUMBER_TERMS}
        else name
    )


def _errors(regression: Regression, k: int, runs: PerRun) -> str:
    """The standard error in round brackets and, where known, the standard deviation between runs in square ones."""
    error = float(regression.fit.standard_error[k])
    column = regression.columns[k]
    between = runs.spread(
        coefficient(regression.specification, regression.reader, column.term, column.category)
    )
    written = f"({100 * error:.{POINTS}f})" if error > 0 else "(–)"
    return written if between is None else f"{written} [{100 * between.sd:.{POINTS}f}]"


def _points(value: float) -> str:
    written = f"{100 * value:.{POINTS}f}"
    return written.replace("-", "−" if float(written) else "")


def _term_words(term: str) -> str:
    return term.replace("poly(", "").replace(")", ", polynomial").replace(":", " × ")


def _heading(term: str, regressions: Sequence[Regression]) -> str:
    reference = next(
        (found for r in regressions if (found := r.design.references.get(term)) is not None), None
    )
    against = f", against {_named(term, reference)}" if reference is not None else ""
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
    term_words = _term_words(term)
    return term_words[0].upper() + term_words[1:] + against


def _notes(regressions: Sequence[Regression], clusters: Clusters, confidence: float) -> list[str]:
    two = len(clusters.names) == 2
    found = [
        "Ordinary least squares; the outcome is 1 where a character was read right and 0 where not (a linear "
        "probability model). Coefficients and standard errors are in percentage points; means, the guess rate and R² "
        "are shares.",
    ]
    centred = [
        r.design.centred for r in regressions if r.design.centred and "noise" in r.design.terms
    ]
    if centred:
        what = (
            "the coefficient of a noise type is its average cost against clean over the levels tested."
            if set(centred) == {frozenset({"level"})}
            # only the levels have the same mean under every noise
            else "a noise coefficient is its effect at the mean dose of all noises; average costs are in costs.csv."
        )
        found.append(
            "The dose is centred: less its mean over the rows under noise, and 0 in clean rows. Beside it "
            + what
        )
    return [
        *found,
        f"In round brackets: standard errors clustered by {clusters.words}, CV3 (the cluster jackknife: (G−1)/G times "
        "the sum of squared changes where one cluster is left out; MacKinnon, Nielsen & Webb 2023)."
        + (
            " Two-way: V(a) + V(b) − V(a and b), and no less than either alone (Cameron, Gelbach & Miller 2011)."
            if two
            else ""
        )
        + " CV1 (Liang & Zeger 1986) stands beside them in coefficients.csv.",
        f"Tests and {100 * confidence:g} % intervals, in coefficients.csv with Holm's and Benjamini & Hochberg's p, "
        f"take {_distribution(clusters)}. The effective clusters are those of equal weight that would identify the "
        "least identified coefficient as well (Carter, Schnepel & Steigerwald 2017).",
    ]


def _distribution(clusters: Clusters) -> str:
    if clusters.runs is not None:
        return "CV3 and Student's t with one degree of freedom less than the fewest training runs of a reader"
    return "CV3 and Student's t with G−1 degrees of freedom" + (
        " of the fewer clusters" if len(clusters.names) == 2 else ""
    )


def _runs_note(regressions: Sequence[Regression], clusters: Clusters, runs: PerRun) -> list[str]:
    found = []
    if clusters.runs is not None:
        found.append(
            "The standard errors hold the variance between training runs, too: V(run) − V(captcha × run) is "
            "added, each by reader, so that they are about such readers and not about these runs of them."
        )
    spreads = [
        spread
        for r in regressions
        for column in r.columns
        if (
            spread := runs.spread(
                coefficient(r.specification, r.reader, column.term, column.category)
            )
        )
        is not None
    ]
    if spreads:
        found.append(
            f"In square brackets: the standard deviation of the estimate between {spreads[0].runs} training "
            "runs that differ in their seed alone"
            + ("." if clusters.runs is not None else ", which the standard errors do not hold.")
        )
    return found


def _tests_note(regressions: Sequence[Regression]) -> list[str]:
    if not any(regression.tests for regression in regressions):
        return []
    return [
        "F: Wald's test that all coefficients of a term and of the products that contain it are zero, over their "
        "number; – where degrees of freedom are too few. RESET (Ramsey 1969): squares and cubes of the fitted "
        "values, clustered likewise (of two dimensions by the first); a small p says that straight lines that add "
        "up are not all there is. Guess rate: one over the characters."
    ]


def _check(regression: Regression) -> str:
    """A specification beside the table in a sentence: its fit, and the tests of products of reader and dose."""
    fit = regression.fit
    left = regression.fit.leave_out
    sentences = [f"R² {_share(fit.r2)}", f"adjusted {_share(fit.adjusted_r2)}"]
    if left is not None:
        sentences += [
            f"predicted (PRESS) {_share(left.predicted_r2)}",
            f"leave-one-cluster-out {_share(left.out_of_cluster_r2)}",
        ]
    sentences += [
        f"{_term_words(term)} {_full(test)}"
        for term, test in regression.tests.items()
        if "reader" in term.split(":") and any(number in term for number in NUMBER_TERMS)
    ]
    if regression.reset is not None:
        sentences.append(f"RESET {_full(regression.reset)}")
    return f"Beside the table, {regression.specification} ({len(fit.names)} coefficients): {', '.join(sentences)}."


def _full(test: Test | None) -> str:
    if test is None:
        return "–"
    return f"F({test.df1}, {test.df2}) = {test.F:,.1f}, p {_small(math.exp(test.log_p), '= ')}"


def _not_shown(left: Sequence[Regression]) -> list[str]:
    if not left:
        return []
    return [
        "Not shown for want of room, but in coefficients.csv: "
        + ", ".join(f"{one.specification} of {one.reader}" for one in left)
        + "."
    ]


def _wild_note(regressions: Sequence[Regression]) -> list[str]:
    if all(regression.wild is None for regression in regressions):
        return []
    return [
        "Clusters are few: coefficients.csv has the p of the restricted wild cluster bootstrap besides (p_wild)."
    ]


def _dropped(regressions: Sequence[Regression]) -> list[str]:
    sentences = dict.fromkeys(
        (dropped.term, dropped.reason) for r in regressions for dropped in r.design.dropped
    )
    return [f"Left out: {_term_words(term)}, which {reason}." for term, reason in sentences]


def _confirmed(regressions: Sequence[Regression]) -> list[str]:
    columns = [
        f"({number})" for number, regression in enumerate(regressions, 1) if regression.confirmed
    ]
    if not columns:
        return []
    return [
        f"Every coefficient and CV1 standard error (of two dimensions by the first) of column {', '.join(columns)} "
        "was confirmed by linearmodels and statsmodels in this run; CV3 and two-way standard errors are compared "
        "with R's by the tests of this repository."
    ]
