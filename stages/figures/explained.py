"""Figures of the stage explain: drawn where their table is there, else left out with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.figures.study import Explained

Draw: TypeAlias = Callable[[Explained], Drawing | None]
Find: TypeAlias = Callable[[Explained], str]


@dataclass(frozen=True)
class NeededTable:
    """A table of a part of `explain` without which a figure has nothing to draw."""

    part: str
    table: str

    def numbers(self, *others: str) -> tuple[str, ...]:
        """The tables behind a figure, this one first, as `Figure.numbers` has them."""
        return tuple(f"explain/{self.part}/{table}" for table in (self.table, *others))

    def draw(self, function: Callable[[pd.DataFrame, Explained], Drawing | None]) -> Draw:
        """`function` of the table and of all that was explained, where the table is there."""
        return lambda found: (
            function(found.tables[self.table], found) if self.table in found.tables else None
        )

    def find(
        self, function: Callable[[pd.DataFrame, Explained], str], *, lead: bool = False
    ) -> Find:
        """The same of a finding; without the table it is empty, or, of the leading figure, the reason."""

        def finding(found: Explained) -> str:
            if self.table in found.tables:
                return function(found.tables[self.table], found)
            reason = found.notes.get(self.part, "there was nothing to compare")
            return f"Left out: {reason}." if lead else ""

        return finding
