"""What a part of the explain stage found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, eq=False)
class Findings:
    """What a part found; or a note, why it found nothing."""

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # by the name of the CSV
    numbers: Mapping[str, float] = field(default_factory=dict)  # of summary.json
    arrays: DataclassInstance | None = None  # of arrays.npz
    note: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)  # of the reader, for summary.json


def join_findings(
    findings: Sequence[Findings], arrays: DataclassInstance | None = None
) -> Findings:
    """The tables, numbers and notes of several findings together."""
    tables: dict[str, pd.DataFrame] = {}
    numbers: dict[str, float] = {}
    for one in findings:
        tables |= one.tables
        numbers |= one.numbers
    notes = dict.fromkeys(one.note for one in findings if one.note)
    return Findings(tables, numbers, arrays, "; ".join(notes))
