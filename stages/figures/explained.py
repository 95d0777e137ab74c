"""Figures of what a part of the stage explain left: drawn where their table is there, else left out with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure as Drawing

from stages.figures.study import Explained


@dataclass(frozen=True)
class NeededTable:
    """A table of a part of `explain` without which a figure has nothing to draw."""

    part: str
    table: str

    def numbers(self, *others: str) -> tuple[str, ...]:
        """The tables behind a figure, this one first, as `Figure.numbers` has them."""
        return tuple(f"explain/{self.part}/{table}" for table in (self.table, *others))

    def draw(
        self, function: Callable[[Explained], Drawing | None]
    ) -> Callable[[Explained], Drawing | None]:
        """`function` where the table is there."""
        return lambda explained: function(explained) if self.table in explained.tables else None

    def find(
        self, function: Callable[[Explained], str], *, lead: bool = False
    ) -> Callable[[Explained], str]:
        """`function` where the table is there; where not, nothing, or, of the figure that leads, why."""

        def finding(explained: Explained) -> str:
            if self.table in explained.tables:
                return function(explained)
            return (
                f"Left out: {explained.notes.get(self.part, 'there was nothing to compare')}."
                if lead
                else ""
            )

        return finding
