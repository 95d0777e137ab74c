"""Regressions as tables: tidy rows, and the table of a publication (a column each) as Markdown, LaTeX and HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from stages.statistics.design import CONSTANT, Column, Dropped
from stages.statistics.ols import Fit

DIGITS = 4  # decimals of a probability in the publication table

LATEX = str.maketrans({"\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
                       "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
                       "×": r"$\times$", "²": "$^2$", "−": "$-$", "·": r"$\cdot$"})  # fmt: skip
MARKDOWN = str.maketrans({"|": r"\|", "_": r"\_", "*": r"\*", "<": "&lt;", "`": r"\`"})


@dataclass(frozen=True)
class Regression:
    """A fit, what its columns stand for (but not X, which is large), and whose rows it used."""

    specification: str
    reader: str                    # or a word for all of them
    columns: tuple[Column, ...]    # (K,)
    references: Mapping[str, str]  # by factor
    dropped: tuple[Dropped, ...]
    fit: Fit


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


def tidy(regression: Regression, confidence: float) -> list[dict[str, str | float]]:
    """One row a coefficient, in the order of X; t, p and interval are "" where no error was measured."""
    fit = regression.fit
    ends = fit.interval(confidence)
    rows: list[dict[str, str | float]] = []
    for k, column in enumerate(regression.columns):
        inference: dict[str, str | float] = dict.fromkeys(("t", "p", "minus_log10_p", "low", "high"), "")
        if fit.standard_error[k] > 0:
            log_p = float(fit.log_p[k])
            # 0.0 - x, not -x: p = 1 gives 0, not -0
            inference = {"t": float(fit.t[k]), "p": math.exp(log_p), "minus_log10_p": 0.0 - log_p / math.log(10),
                         "low": float(ends[k, 0]), "high": float(ends[k, 1])}
        rows.append({"specification": regression.specification, "reader": regression.reader,
                     "term": column.term, "category": column.category, "label": column.label,
                     "estimate": float(fit.beta[k]), "standard_error": float(fit.standard_error[k]), **inference})
    return rows


def publication(regressions: Sequence[Regression], cluster: str, confidence: float) -> Publication:
    """The regressions side by side; rows are the union of their coefficients, the constant last."""
    fits = [regression.fit for regression in regressions]
    return Publication(
        title="What makes a reader fail: effects on the probability that a character is read right",
        header=tuple(f"({number})" for number in range(1, len(fits) + 1)),
        readers=tuple(regression.reader for regression in regressions),
        lines=tuple(_lines(regressions)),
        summary={"Rows (N)": tuple(f"{fit.observations:,}" for fit in fits),
                 "Clusters (G)": tuple(f"{fit.clusters:,}" for fit in fits),
                 "Coefficients (K)": tuple(f"{len(fit.names)}" for fit in fits),
                 "R²": tuple(f"{fit.r2:.{DIGITS}f}" for fit in fits),
                 "Adjusted R²": tuple(f"{fit.adjusted_r2:.{DIGITS}f}" for fit in fits)},
        notes=(*_notes(cluster, confidence), *_dropped(regressions)))


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
    written = ["% needs \\usepackage{booktabs}", r"\begin{table}", r"\centering\footnotesize",
               rf"\caption{{{table.title.translate(LATEX)}}}", rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
               r"\toprule", row(["", *table.header]), row(["", *table.readers]), r"\midrule"]
    for line in table.lines:
        if line.heading:
            written.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{line.heading.translate(LATEX)}}}}} \\")
        written += [row([line.label, *line.values]), row(["", *line.errors])]
    written += [r"\midrule", *(row([label, *values]) for label, values in table.summary.items())]
    written += [r"\bottomrule", r"\end{tabular}", r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize",
                *(note.translate(LATEX) + r"\par" for note in table.notes), r"\end{minipage}", r"\end{table}"]
    return "\n".join(written) + "\n"


def to_html(table: Publication) -> str:
    """A `<table class="regression">` with its notes below, to be set into a page."""
    def row(first: str, cells: Sequence[str]) -> str:
        return f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"

    def header(cells: Sequence[str]) -> str:
        return "<tr><td></td>" + "".join(f'<th scope="col">{escape(cell)}</th>' for cell in cells) + "</tr>"

    written = ['<table class="regression">', f"<caption>{escape(table.title)}</caption>",
               "<thead>", header(table.header), header(table.readers), "</thead>", "<tbody>"]
    for line in table.lines:
        if line.heading:
            written.append(f'<tr class="group"><th colspan="{len(table.header) + 1}" scope="rowgroup">'
                           f"{escape(line.heading)}</th></tr>")
        written.append(row(line.label, [value and f"{value}<br><small>{error}</small>"
                                        for value, error in zip(line.values, line.errors, strict=True)]))
    written += ["</tbody>", "<tfoot>", *(row(label, values) for label, values in table.summary.items()), "</tfoot>",
                "</table>", *(f'<p class="note">{escape(note)}</p>' for note in table.notes)]
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
        error = float(r.fit.standard_error[k])
        errors.append((f"({error:.{DIGITS}f})" if error > 0 else "(–)") if found else "")
    label = column.category or ("at the references" if column.term == CONSTANT else "per unit")
    return Line(heading, label, tuple(values), tuple(errors))


def _signed(value: float) -> str:
    written = f"{value:.{DIGITS}f}"
    return written.replace("-", "−" if float(written) else "")


def _heading(term: str, regressions: Sequence[Regression]) -> str:
    if ":" in term:
        return "Slope of {} by {}".format(*term.split(":"))
    reference = next((r.references[term] for r in regressions if term in r.references), None)
    return term.capitalize() + (f", against {reference}" if reference is not None else "")


def _notes(cluster: str, confidence: float) -> list[str]:
    return [
        "Ordinary least squares; the outcome is 1 where a character was read right and 0 where not (a linear "
        "probability model), so that −0.10 means ten percentage points fewer.",
        "Where both stand in a column, noise of a type changes success at level l by its own coefficient plus l times "
        "the level's.",
        f"In brackets: standard errors clustered by {cluster}, CV1 (Liang & Zeger 1986, times "
        "G/(G−1) · (N−1)/(N−K), Stata's small-sample factor).",
        f"Tests and {100 * confidence:g} % intervals, in coefficients.csv, take Student's t with G−1 degrees of "
        "freedom.",
    ]


def _dropped(regressions: Sequence[Regression]) -> list[str]:
    said = dict.fromkeys((dropped.term, dropped.reason) for r in regressions for dropped in r.dropped)
    return [f"Left out: {term}, which {reason}." for term, reason in said]
