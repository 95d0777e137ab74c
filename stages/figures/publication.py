"""The table of the regressions, from plots/regress/table.json."""

from __future__ import annotations

from stages.figures.figure import Cell, Table
from stages.schemas.regress import Publication


def publication_table(found: Publication) -> Table:
    """Coefficients down, specifications across, standard errors small below; what sums up the fits at the foot."""
    columns = len(found.header)
    head = [[Cell(""), *(Cell(name, scope="col") for name in names)] for names in (found.header, found.readers)]
    body = []
    for line in found.lines:
        if line.heading:
            body.append([Cell(line.heading, span=columns + 1, scope="rowgroup")])
        body.append([Cell(line.label, scope="row"),
                     *(Cell(value, error) for value, error in zip(line.values, line.errors, strict=True))])
    foot = [[Cell(name, scope="row"), *map(Cell, values)] for name, values in found.summary.items()]
    return Table(found.title, head, body, foot, list(found.notes), kind="regression")
