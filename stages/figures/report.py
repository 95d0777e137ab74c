"""The report as a tree of plain values, which plots/report.json holds and the pages are rendered from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from stages.figures.figure import (
    Chapter,
    ChapterPart,
    Definitions,
    Figure,
    Fold,
    Heading,
    ReportTable,
    TableCell,
    Words,
)
from stages.figures.study import Study

QUESTION = "Which noise makes a captcha reader fail, how fast, for which characters and colours, and how sure are we?"
Tree = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """A figure as it is written."""

    name: str
    finding: str
    svg: str | None  # None where there is nothing to draw
    png: bytes | None  # of a picture, which is a file of this kind

    @property
    def file(self) -> str | None:
        """Its name below plots/figures/."""
        if self.svg is None:
            return None
        suffix = "svg" if self.png is None else "png"
        return f"{self.name}.{suffix}"


def figures_in(parts: Iterable[ChapterPart]) -> Iterator[Figure]:
    """Every figure of some parts, those folded away included."""
    for part in parts:
        if isinstance(part, Figure):
            yield part
        elif isinstance(part, Fold):
            yield from figures_in(part.content)


def tree_of(
    study: Study,
    chapters: Sequence[tuple[Chapter, Sequence[ChapterPart]]],
    rendered: Mapping[str, Rendered],
    answer: str,
    questions: Mapping[str, Mapping[str, str]],
) -> Tree:
    """answer, chapters (page, anchor, title, lead and content, part by part), figures by name, findings by topic."""
    sources = {"study": study, "explained": study.explained}
    figures = {
        figure.name: _figure(figure, rendered[figure.name], sources[figure.source], chapter.anchor)
        for chapter, parts in chapters
        for figure in figures_in(parts)
        if rendered[figure.name].finding
    }
    findings: dict[str, list[str]] = {"answer": [answer]}
    for _, parts in chapters:
        for part in parts:
            if isinstance(part, Words) and part.topic:
                findings[part.topic] = part.texts
    return {
        "question": QUESTION,
        "reader": study.reader,
        "answer": answer,
        "chapters": [
            {
                "page": chapter.page,
                "anchor": chapter.anchor,
                "title": chapter.title,
                "lead": chapter.lead.format(**study.words),
                "content": list(_contents(parts, figures)),
            }
            for chapter, parts in chapters
        ],
        "figures": figures,
        "findings": findings,
        "questions": questions,
    }


def _figure(figure: Figure, rendered: Rendered, source: Any, chapter: str) -> Tree:
    shows = figure.shows.format(**source.words)
    form = figure.form.format(**source.words)
    width, height = svg_size(rendered.svg) if rendered.svg else (None, None)
    return {
        "file": rendered.file,
        "title": figure.title,
        "shows": shows,
        "finding": rendered.finding,
        "alternative": plain(f"{figure.title.rstrip('?.')}: {form} {rendered.finding}"),
        "chapter": chapter,
        "numbers": [f"plots/{name}.csv" for name in figure.numbers],
        "width": width,
        "height": height,
    }


def _contents(parts: Iterable[ChapterPart], figures: Mapping[str, Tree]) -> Iterator[Tree]:
    for part in parts:
        if isinstance(part, Figure):
            if part.name in figures:
                yield {"kind": "figure", "name": part.name}
        elif isinstance(part, Words):
            yield {"kind": part.kind, "texts": part.texts}
        elif isinstance(part, Heading):
            yield {"kind": "heading", "text": part.text}
        elif isinstance(part, Definitions):
            yield {"kind": part.kind, "pairs": [list(pair) for pair in part.pairs]}
        elif isinstance(part, Fold):
            yield {
                "kind": "fold",
                "summary": part.summary,
                "content": list(_contents(part.content, figures)),
            }
        else:
            yield {"kind": "table", "table": table_tree(part)}


def table_tree(table: ReportTable) -> Tree:
    """A table as plain values; of a cell only what it has."""
    return {
        "caption": table.caption,
        "kind": table.kind,
        "head": _rows(table.head),
        "body": _rows(table.body),
        "foot": _rows(table.foot),
        "notes": table.notes,
    }


def _rows(lines: list[list[TableCell]]) -> list[list[Tree]]:
    return [list(map(_cell, line)) for line in lines]


def _cell(cell: TableCell) -> Tree:
    empty = asdict(TableCell(""))
    named = {name: value for name, value in asdict(cell).items() if value != empty[name]}
    return {"text": cell.text, **named}


def svg_size(svg: str) -> tuple[float, float]:
    """Width and height of a drawing, in points."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise ValueError("a drawing has no viewBox")
    return float(found[1]), float(found[2])


def plain(text: str) -> str:
    """A text without its marks."""
    return text.replace("**", "").replace("`", "")


def flat_metrics(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested parameters by dotted name, as texts."""
    for key, value in tree.items():
        if is_dataclass(value) or isinstance(value, Mapping):
            yield from flat_metrics(
                value if isinstance(value, Mapping) else vars(value), f"{prefix}{key}."
            )
        else:
            written = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield prefix + key, written or "(none)"
