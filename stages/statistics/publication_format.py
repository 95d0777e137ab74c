"""The table of a publication as Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from stages.schemas.regress import Publication

LATEX = str.maketrans({"\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
                       "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
                       "×": r"$\times$", "²": "$^2$", "−": "$-$", "·": r"$\cdot$", "<": "$<$", "–": "--"})  # fmt: skip
MARKDOWN = str.maketrans({"|": r"\|", "_": r"\_", "*": r"\*", "<": "&lt;", "`": r"\`"})


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
