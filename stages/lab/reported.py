"""What the pipeline wrote for people, read back: the words of the report, and the table of the regressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from stages.lab.found import damaged, read_text

VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})
DEEPEST = 100  # elements within each other
DRAWING = re.compile(r"(<svg[^>]*>).*?</svg>", re.DOTALL)

Spoken = list[tuple[str, str]]  # pieces of a text: "strong", "code" or "", and its words


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def every(self, tag: str, **attributes: str) -> Iterator[Element]:
        """The elements below of that tag and attributes, in order (`kind` is the class)."""
        wanted = {"class" if name == "kind" else name: value for name, value in attributes.items()}
        for child in self.children:
            if isinstance(child, Element):
                if child.tag == tag and wanted.items() <= child.attributes.items():
                    yield child
                yield from child.every(tag, **attributes)

    def first(self, tag: str, **attributes: str) -> Element:
        """The first of `every`; an empty element without one."""
        return next(self.every(tag, **attributes), Element(tag, {}))

    def spoken(self, kind: str = "") -> Spoken:
        """Its words, those in <strong> and <code> marked."""
        pieces: Spoken = []
        for child in self.children:
            if isinstance(child, str):
                pieces.append((kind, child))
            else:
                pieces += child.spoken(child.tag if child.tag in ("strong", "code") else kind)
        return pieces

    def text(self) -> str:
        return " ".join("".join(words for _, words in self.spoken()).split())


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attributes})
        self.open[-1].children.append(made)
        if tag not in VOID:
            self.open.append(made)
        if len(self.open) > DEEPEST:
            raise ValueError("elements within elements without an end")

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self.open):
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read_html(path: Path) -> Element:
    """A page as a tree; drawings keep their first tag alone. Raises ValueError where there is none."""
    text, builder = DRAWING.sub(r"\1</svg>", read_text(path)), _Builder()
    try:
        builder.feed(text)
        builder.close()
    except AssertionError:  # of HTMLParser, at a bad <![
        raise damaged(path, "not HTML") from None
    except ValueError as error:
        raise damaged(path, str(error)) from None
    return builder.open[0]


def read_report(path: Path) -> dict[str, Any]:
    """answer, doubts (spoken), tiles, figures by name, and what is told where a figure was not drawn, by its title."""
    page = read_html(path)
    answer = [paragraph.spoken() for paragraph in page.first("div", kind="answer").every("p")]
    if not answer:
        raise damaged(path, "it has no answer")
    doubts = page.first("section", **{"aria-labelledby": "uncertain"}).every("li")
    undrawn = {paragraph.first("strong").text().rstrip("."): paragraph.spoken()
               for section in page.every("section") for paragraph in section.every("p")
               if paragraph.children and paragraph.children[0] == paragraph.first("strong")}
    return {"answer": answer, "doubts": [doubt.spoken() for doubt in doubts], "undrawn": undrawn,
            "tiles": [_tile(tile) for tile in page.first("dl", kind="tiles").every("div")],
            "figures": {figure.attributes.get("id", "").removeprefix("figure-"): _figure(figure)
                        for figure in page.every("figure")}}


def _tile(tile: Element) -> dict[str, str]:
    value = tile.first("dd")
    return {"label": tile.first("dt").text(), "note": value.first("small").text(),
            "value": "".join(child for child in value.children if isinstance(child, str)).strip()}


def _figure(figure: Element) -> dict[str, Any]:
    """title, what it shows and found (spoken), and its width and height in points (None where they are not told)."""
    caption = figure.first("figcaption")
    shows = [child for child in caption.children
             if isinstance(child, str) or (child.tag != "strong" and child.attributes.get("class") != "finding")]
    box = figure.first("svg").attributes.get("viewbox", "").split()  # HTMLParser writes names small
    sides = [float(side) for side in box[2:] if re.fullmatch(r"\d+(\.\d+)?", side)]
    width, height = sides if len(sides) == 2 else (None, None)
    return {"title": figure.first("div", kind="plate").attributes.get("aria-label", "").rstrip("."),
            "shows": Element("", {}, list(shows)).spoken(), "found": caption.first("span", kind="finding").spoken(),
            "width": width, "height": height}


def read_table(path: Path) -> dict[str, Any]:
    """The table in an HTML file: caption, head, body and foot as rows of cells, and the notes below it."""
    page = read_html(path)
    table = page.first("table")
    parts = {name: [_row(row) for row in table.first(tag).every("tr")]
             for name, tag in (("head", "thead"), ("body", "tbody"), ("foot", "tfoot"))}
    if not parts["body"]:
        raise damaged(path, "it has no rows")
    return {"caption": table.first("caption").text(), **parts, "notes": [note.text() for note in page.every("p")]}


def _row(row: Element) -> list[dict[str, Any]]:
    return [_cell(cell) for cell in row.children if isinstance(cell, Element) and cell.tag in ("td", "th")]


def _cell(cell: Element) -> dict[str, Any]:
    """text, what stands small below it, whether it is a heading (its scope; "" for none) and its span of columns."""
    outside = [child for child in cell.children if isinstance(child, str) or child.tag != "small"]
    span = cell.attributes.get("colspan", "1")
    return {"text": Element("", {}, outside).text(), "small": cell.first("small").text(),
            "scope": cell.attributes.get("scope", ""), "span": int(span) if re.fullmatch(r"\d{1,3}", span) else 1}
