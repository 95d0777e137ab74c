"""The table of the regressions, from plots/regress/table.json."""

from __future__ import annotations

from stages.figures.figure import ReportTable, TableCell, heads, row
from stages.schemas.regress import Publication


def publication_table(found: Publication) -> ReportTable:
    """Coefficients down, specifications across, standard errors small below; what sums up the fits at the foot."""
    columns = len(found.header)
    head = [*heads(*found.header), *heads(*found.readers)]
    body = []
    for line in found.lines:
        if line.heading:
            body.append([TableCell(line.heading, span=columns + 1, scope="rowgroup")])
        body.append(row(line.label, *map(TableCell, line.values, line.errors)))
    foot = [row(name, *values) for name, values in found.summary.items()]
    return ReportTable(found.title, head, body, foot, list(found.notes), kind="regression")
