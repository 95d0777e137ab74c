"""Regressions side by side, a column each: the table of a publication, as Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stages.statistics.design import CONSTANT, Column
from stages.statistics.regression import Clusters, Regression

DIGITS = 4  # decimals of a probability in the publication table
NUMBERS = ("level", "rmse", "ssim_loss", "contrast")

LATEX = str.maketrans({"\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
                       "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
                       "×": r"$\times$", "²": "$^2$", "−": "$-$", "·": r"$\cdot$", "<": "$<$", "–": "--"})  # fmt: skip
MARKDOWN = str.maketrans({"|": r"\|", "_": r"\_", "*": r"\*", "<": "&lt;", "`": r"\`"})


@dataclass(frozen=True)
class Line:
    """A coefficient of the publication table: one entry a regression, "" where it has none."""

    heading: str             # stands above the line where a term begins, else ""
    label: str
    values: tuple[str, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Publication:
    """The table of a publication, before it is written in any language."""

    title: str
    header: tuple[str, ...]            # (1), (2) …
    readers: tuple[str, ...]           # second line of the header
    lines: tuple[Line, ...]
    summary: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]


def publication(regressions: Sequence[Regression], clusters: Clusters, confidence: float) -> Publication:
    """The regressions side by side; rows are the union of their coefficients, the constant last."""
    return Publication(
        title="What makes a reader fail: effects on the probability that a character is read right",
        header=tuple(f"({number}) {regression.specification}" for number, regression in enumerate(regressions, 1)),
        readers=tuple(regression.reader for regression in regressions),
        lines=tuple(_lines(regressions)),
        summary=dict(_summary(regressions)),
        notes=(*_notes(clusters, confidence), *_tests_note(regressions), *_wild_note(regressions),
               *_dropped(regressions), *_confirmed(regressions)))


def _summary(regressions: Sequence[Regression]) -> Iterator[tuple[str, tuple[str, ...]]]:
    fits = [regression.fit for regression in regressions]
    left = [fit.leave_out for fit in fits]
    terms = dict.fromkeys(term for regression in regressions for term in regression.tests)
    for term in terms:
        yield f"F: {_spoken(term)}", tuple(_test(regression, term) for regression in regressions)
    yield "Rows (N)", tuple(f"{fit.observations:,}" for fit in fits)
    yield "Clusters (G)", tuple(" × ".join(f"{count:,}" for count in fit.cluster_counts) for fit in fits)
    yield "Coefficients (K)", tuple(f"{len(fit.names)}" for fit in fits)
    yield "R²", tuple(f"{fit.r2:.{DIGITS}f}" for fit in fits)
    yield "Adjusted R²", tuple(f"{fit.adjusted_r2:.{DIGITS}f}" for fit in fits)
    yield "R² of rows left out", tuple(f"{one.predicted_r2:.{DIGITS}f}" if one else "" for one in left)
    yield "R² of clusters left out", tuple(f"{one.out_of_cluster_r2:.{DIGITS}f}" if one else "" for one in left)
    yield "RESET, p", tuple("–" if regression.reset is None else _small(math.exp(regression.reset.log_p))
                            for regression in regressions)


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

    written = [f"**{table.title.translate(MARKDOWN)}**", "", row(["", *table.header]),
               "|:--" + "|--:" * len(table.header) + "|", row(["", *table.readers])]
    for line in table.lines:
        if line.heading:
            written.append(f"| *{line.heading.translate(MARKDOWN)}* " + "| " * len(table.header) + "|")
        written.append(row([line.label, *(f"{value} {error}".strip()
                                          for value, error in zip(line.values, line.errors, strict=True))]))
    written += [row([label, *values]) for label, values in table.summary.items()]
    notes = "\n\n".join(note.translate(MARKDOWN) for note in table.notes)
    return "\n".join(written) + f"\n\n{notes}\n"


def to_latex(table: Publication) -> str:
    """A `table` float with its `tabular` (booktabs); a standard error stands in brackets below its estimate."""
    def row(cells: Sequence[str]) -> str:
        return " & ".join(cell.translate(LATEX) for cell in cells) + r" \\"

    width = len(table.header) + 1
    written = ["% needs \\usepackage{booktabs,graphicx}", r"\begin{table}", r"\centering\footnotesize",
               rf"\caption{{{table.title.translate(LATEX)}}}", r"\resizebox{\linewidth}{!}{%",
               rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
               r"\toprule", row(["", *table.header]), row(["", *table.readers]), r"\midrule"]
    for line in table.lines:
        if line.heading:
            written.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{line.heading.translate(LATEX)}}}}} \\")
        written += [row([line.label, *line.values]), row(["", *line.errors])]
    written += [r"\midrule", *(row([label, *values]) for label, values in table.summary.items())]
    written += [r"\bottomrule", r"\end{tabular}}", r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize",
                *(note.translate(LATEX) + r"\par" for note in table.notes), r"\end{minipage}", r"\end{table}"]
    return "\n".join(written) + "\n"


def _lines(regressions: Sequence[Regression]) -> Iterator[Line]:
    """A line for every coefficient of any regression, terms in the order they first came, the constant last."""
    columns = list(dict.fromkeys(column for r in regressions for column in r.columns))
    terms = list(dict.fromkeys(column.term for column in columns))
    term = ""
    for column in sorted(columns, key=lambda column: (column.term == CONSTANT, terms.index(column.term))):
        yield _line(column, "" if column.term == term else _heading(column.term, regressions), regressions)
        term = column.term


def _line(column: Column, heading: str, regressions: Sequence[Regression]) -> Line:
    values, errors = [], []
    for r in regressions:
        found = column in r.columns
        k = r.columns.index(column) if found else 0
        values.append(_signed(float(r.fit.beta[k])) if found else "")
        errors.append(_errors(float(r.fit.standard_error[k]), float(r.fit.standard_error_cv1[k])) if found else "")
    label = column.category or ("at the references" if column.term == CONSTANT else "per unit")
    return Line(heading, label, tuple(values), tuple(errors))


def _errors(headline: float, cv1: float) -> str:
    return f"({headline:.{DIGITS}f}) [{cv1:.{DIGITS}f}]" if headline > 0 else "(–)"


def _signed(value: float) -> str:
    written = f"{value:.{DIGITS}f}"
    return written.replace("-", "−" if float(written) else "")


def _spoken(term: str) -> str:
    return term.replace("poly(", "").replace(")", ", polynomial").replace(":", " × ")


def _heading(term: str, regressions: Sequence[Regression]) -> str:
    reference = next((found for r in regressions if (found := r.design.references.get(term)) is not None), None)
    against = f", against {reference}" if reference is not None else ""
    if term.startswith("poly(") and ":" not in term:
        return f"{term[5:-1].capitalize()}, orthogonal polynomials (per unit of its power)"
    parts = term.split(":")
    if len(parts) == 2 and parts[0] in NUMBERS:
        return f"Slope of {parts[0]} by {parts[1]}{against}"
    spoken = _spoken(term)
    return spoken[0].upper() + spoken[1:] + against


def _notes(clusters: Clusters, confidence: float) -> list[str]:
    two = len(clusters.names) == 2
    return [
        "Ordinary least squares; the outcome is 1 where a character was read right and 0 where not (a linear "
        "probability model), so that −0.10 means ten percentage points fewer.",
        "Where both stand in a column, noise of a type changes success at level l by its own coefficient plus l times "
        "the level's; beside a product a coefficient is about the other factor's reference. With polynomials the "
        "constant is where they are 0, about the mean level.",
        f"In round brackets: standard errors clustered by {clusters.words}, CV3 (the cluster jackknife: (G−1)/G times "
        "the sum of squared changes where one cluster is left out). In square brackets: CV1 (Liang & Zeger 1986, times "
        "G/(G−1) · (N−1)/(N−K), Stata's small-sample factor)."
        + (" Two-way: V(a) + V(b) − V(a and b), and no less than either way alone." if two else ""),
        f"Tests and {100 * confidence:g} % intervals, in coefficients.csv with Holm's and Benjamini & Hochberg's p, "
        f"take CV3 and Student's t with G−1 degrees of freedom{' of the fewer clusters' if two else ''}.",
    ]


def _tests_note(regressions: Sequence[Regression]) -> list[str]:
    if not any(regression.tests for regression in regressions):
        return []
    return ["F: Wald's test that all coefficients of a term and of the products that contain it are zero, over their "
            "number, with G−1 degrees of freedom in the denominator; – where there are too few clusters. RESET "
            "(Ramsey 1969): squares and cubes of the fitted values, clustered likewise (of two ways by the first, as "
            "everything left out); a small p says that straight lines that add up are not all there is."]


def _wild_note(regressions: Sequence[Regression]) -> list[str]:
    if all(regression.wild is None for regression in regressions):
        return []
    return ["Clusters are few: coefficients.csv has the p of the restricted wild cluster bootstrap besides (p_wild)."]


def _dropped(regressions: Sequence[Regression]) -> list[str]:
    said = dict.fromkeys((dropped.term, dropped.reason) for r in regressions for dropped in r.design.dropped)
    return [f"Left out: {_spoken(term)}, which {reason}." for term, reason in said]


def _confirmed(regressions: Sequence[Regression]) -> list[str]:
    columns = [f"({number})" for number, regression in enumerate(regressions, 1) if regression.confirmed]
    if not columns:
        return []
    return [f"Every coefficient and CV1 error (of two ways by the first) of column {', '.join(columns)} was confirmed "
            "by linearmodels and statsmodels in this run."]
