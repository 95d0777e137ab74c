"""Declarations of tables: columns, types and row key. A column is named by its attribute, as `Costs.noise`.

A class per table, its columns in their order:

    class Costs(Table):
        '''Average cost of each noise type.'''
        reader = Text("name of the reader, or `all`", key=True)
        noise = Text("noise type", key=True)
        cost = Number("share of the characters that the noise costs, 0 to 1")

`Costs.noise` is the string "noise": mypy checks `frame[Costs.noise]`, and no other module contains the name.
`artifacts.write_table` and `artifacts.read_table` check a file against its class. A Parquet table also declares its
types (`arrow`), from which `artifacts` builds the pyarrow schema. A class with several bases has the columns of each,
in the order of the bases, before its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

Cell = str | int | float
Row = dict[str, Cell]  # by column; "" where there is no number


class Column:
    """A column of a `Table`, with its meaning; `key` where it is part of the row key."""

    kind: ClassVar[type]
    default: ClassVar[str]  # type in Parquet unless `arrow` is given

    def __init__(self, meaning: str, *, key: bool = False, arrow: str = "") -> None:
        self.meaning = meaning
        self.key = key
        self.arrow = arrow or type(self).default
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type | None = None) -> str:
        return self.name


class Text(Column):
    """A text; "NA" and "1" are read as texts."""

    kind = str
    default = "string"


class Number(Column):
    """A float; a missing one is NaN in memory and an empty cell in a file."""

    kind = float
    default = "float64"


class Whole(Column):
    """An integer, never missing."""

    kind = int
    default = "int64"


class Flag(Column):
    """A boolean; only in Parquet."""

    kind = bool
    default = "bool"


class Several(Column):
    """A list of values; only in Parquet."""

    kind = list
    default = "list<string>"


class Image(Column):
    """The bytes of an image; only in Parquet, whose type has their number."""

    kind = bytes
    default = "image"


class Table:
    """A table with its columns in order. Never instantiated: rows are dictionaries or a data frame."""

    columns: ClassVar[dict[str, Column]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        found: dict[str, Column] = {}
        for base in cls.__bases__:
            found |= getattr(base, "columns", {})
        cls.columns = found | {
            name: column for name, column in vars(cls).items() if isinstance(column, Column)
        }

    @classmethod
    def names(cls) -> list[str]:
        return list(cls.columns)

    @classmethod
    def row_key(cls) -> list[str]:
        return [name for name, column in cls.columns.items() if column.key]

    @classmethod
    def check(cls, names: Iterable[str], where: str) -> None:
        """Raise ValueError, one line, where the columns differ from those declared, or in their order."""
        found = list(names)
        if found != cls.names():
            raise ValueError(
                f"{where}: expected the columns {', '.join(cls.names())}, got {', '.join(found)}: "
                "it was written by another version; run `dvc repro -f`"
            )


def row_of(table: type[Table], record: object = None, /, **others: Cell) -> Row:
    """A row of a table: each column is taken from `others`, else from the record's attribute of the same name.

    A number that is not finite becomes "". Raises ValueError on a name in `others` that is no column, and
    AttributeError where the record lacks one.
    """
    unknown = others.keys() - table.columns.keys()
    if unknown:
        raise ValueError(f"{table.__name__} has no column {', '.join(sorted(unknown))}")
    cells = {
        name: others[name] if name in others else getattr(record, name) for name in table.columns
    }
    return {name: finite_or_blank(cell) for name, cell in cells.items()}


def finite_or_blank(cell: Cell) -> Cell:
    if not isinstance(cell, float):
        return cell
    return float(cell) if math.isfinite(cell) else ""  # NumPy's float64 becomes Python's float
