"""The table of the regressions, from plots/regress/table.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.figures.figure import Cell, Table


def publication_table(tree: Mapping[str, Any]) -> Table:
    """Coefficients down, specifications across, standard errors small below; what sums up the fits at the foot.

    `tree` is a Publication of statistics.tables as plain values: title, header and readers (a column each), lines
    (heading, label, values, errors), summary and notes.
    """
    columns = len(tree["header"])
    head = [[Cell(""), *(Cell(name, scope="col") for name in tree[key])] for key in ("header", "readers")]
    body = []
    for line in tree["lines"]:
        if line["heading"]:
            body.append([Cell(line["heading"], span=columns + 1, scope="rowgroup")])
        body.append([Cell(line["label"], scope="row"),
                     *(Cell(value, error) for value, error in zip(line["values"], line["errors"], strict=True))])
    foot = [[Cell(name, scope="row"), *map(Cell, values)] for name, values in tree["summary"].items()]
    return Table(tree["title"], head, body, foot, list(tree["notes"]), kind="regression")
