"""What a report is made of: figures, tables and words in chapters. A figure is one object, in the module that draws it.

In every text ** marks what matters and backticks a name; templates turn them into tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from matplotlib.figure import Figure as Drawing

if TYPE_CHECKING:
    from stages.figures.study import Study

PAGES = {"report": "report.html", "details": "details.html"}
Page = Literal["report", "details"]
# what a figure is drawn of: a Study, or its Explained, which a second process draws
FigureSource = Literal["study", "explained"]


def always(source: object) -> bool:
    return True


@dataclass(frozen=True)
class Figure:
    """One figure of the report, of what the source holds.

    `shows` and `form` may hold the source's {words}. Where `when` is not met or `draw` gives None, this run has nothing
    to draw, and `finding` then says why; where it says nothing either, the figure is left out. `form` tells someone who
    cannot see what kind of drawing it is.
    """

    name: str
    title: str
    shows: str
    form: str
    draw: Callable[[Any], Drawing | None]
    finding: Callable[[Any], str]
    source: FigureSource = "study"
    numbers: tuple[str, ...] = ()  # the tables behind it, below plots/, without their suffix
    picture: bool = False  # written as PNG, too, since it is a photograph more than a drawing
    when: Callable[[Any], bool] = always  # of the source: whether there is something to draw


@dataclass(frozen=True)
class TableCell:
    """A cell of a table: its text, what stands small below it, and how it looks."""

    text: str
    small: str = ""
    span: int = 1
    scope: str = ""  # col, row, colgroup or rowgroup where the cell is a heading
    bar: str = ""  # per cent of the cell that a bar fills
    starts: bool = False  # a group of columns


@dataclass(frozen=True)
class ReportTable:
    """A table; `kind` is its class in the style sheet."""

    caption: str
    head: list[list[TableCell]]
    body: list[list[TableCell]]
    foot: list[list[TableCell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kind: str = "compact"


@dataclass(frozen=True)
class Words:
    """Paragraphs, or bullets; `topic` names findings that the lab shows as well."""

    texts: list[str]
    kind: Literal["paragraphs", "bullets", "numbered"] = "paragraphs"
    topic: str = ""


@dataclass(frozen=True)
class Definitions:
    """Terms and what they mean; of recipes, what they do and the command."""

    pairs: list[tuple[str, str]]
    kind: Literal["recipes", "glossary"]


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Fold:
    """What stands folded away, below a line that says what it is."""

    summary: str
    content: list[ChapterPart]


ChapterPart: TypeAlias = Figure | ReportTable | Words | Definitions | Heading | Fold


@dataclass(frozen=True)
class Chapter:
    """A chapter of one of the pages; its content is parts, or functions of the study that make some."""

    page: Page
    anchor: str
    title: str
    lead: str
    content: tuple[ChapterPart | Callable[[Study], Iterable[ChapterPart]], ...]

    def parts(self, study: Study) -> list[ChapterPart]:
        made: list[ChapterPart] = []
        for one in self.content:
            made += one(study) if callable(one) else [one]
        return made


def row(name: str, *cells: str | TableCell) -> list[TableCell]:
    """A row of a table, headed by its name."""
    return [
        TableCell(name, scope="row"),
        *(cell if isinstance(cell, TableCell) else TableCell(cell) for cell in cells),
    ]


def heads(*names: str) -> list[list[TableCell]]:
    """The head of a table whose first column holds the names of the rows."""
    return [[TableCell(""), *(TableCell(name, scope="col") for name in names)]]


def pairs_table(caption: str, pairs: Mapping[str, str]) -> ReportTable:
    return ReportTable(
        caption, [], [row(name, value) for name, value in pairs.items()], kind="parameters"
    )
