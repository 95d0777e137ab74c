"""The table of the regressions, from plots/regress/table.json."""

from __future__ import annotations

from stages.figures.figure import ReportTable, TableCell
from stages.schemas.regress import Publication


def publication_table(found: Publication) -> ReportTable:
    """Coefficients down, specifications across, standard errors small below; what sums up the fits at the foot."""
    columns = len(found.header)
    head = [
        [TableCell(""), *(TableCell(name, scope="col") for name in names)]
        for names in (found.header, found.readers)
    ]
    body = []
    for line in found.lines:
        if line.heading:
            body.append([TableCell(line.heading, span=columns + 1, scope="rowgroup")])
        body.append(
            [
                TableCell(line.label, scope="row"),
                *(
                    TableCell(value, error)
                    for value, error in zip(line.values, line.errors, strict=True)
                ),
            ]
        )
    foot = [
        [TableCell(name, scope="row"), *map(TableCell, values)]
        for name, values in found.summary.items()
    ]
    return ReportTable(found.title, head, body, foot, list(found.notes), kind="regression")
