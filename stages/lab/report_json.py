"""Read plots/report.json: texts with their markup, figures and a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.lab.artifact_files import damaged, read_text

SHAPES: dict[str, type] = {"answer": str, "chapters": list, "figures": dict, "findings": dict}
CHAPTER: dict[str, type] = {"anchor": str, "title": str, "lead": str, "content": list}
FIGURE: dict[str, type] = {"title": str, "shows": str, "finding": str, "numbers": list}
CELL = {"small": "", "scope": "", "span": 1}  # defaults of a cell that report.json leaves out
DEEPEST = 10  # maximum nesting of folds

MarkedText = list[tuple[str, str]]  # pieces of a text: "strong", "code" or "", and its words


def marked_text(text: str) -> MarkedText:
    """The pieces of a text: "strong" between **, "code" between backticks, else ""."""
    pieces = []
    for piece in re.split(r"(\*\*.+?\*\*|(?<!“)`[^`]+`)", text):
        if piece.startswith("**") and len(piece) > 4:
            pieces.append(("strong", piece[2:-2]))
        elif piece.startswith("`") and len(piece) > 2:
            pieces.append(("code", piece[1:-1]))
        elif piece:
            pieces.append(("", piece))
    return pieces


def read_report(path: Path) -> dict[str, Any]:
    """The tree of plots/report.json. Raises ValueError if it has another shape."""
    try:
        tree = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise damaged(path, str(error)[:100]) from None
    _check(path, "the report", tree, SHAPES)
    for chapter in tree["chapters"]:
        _check(path, "a chapter", chapter, CHAPTER)
    for name, figure in tree["figures"].items():
        _check(path, f"figure {name[:40]}", figure, FIGURE)
    if any(
        not isinstance(text, str)
        for texts in tree["findings"].values()
        for text in (texts if isinstance(texts, list) else [None])
    ):
        raise damaged(path, "findings should be lists of texts")
    return dict(tree)


def _check(path: Path, what: str, found: Any, shape: Mapping[str, type]) -> None:
    if not isinstance(found, dict):
        raise damaged(path, f"{what} should be an object, got {type(found).__name__}")
    wrong = [name for name, kind in shape.items() if not isinstance(found.get(name), kind)]
    if wrong:
        raise damaged(path, f"{what} should have {', '.join(wrong)}")


def figures_of(chapter: Mapping[str, Any]) -> list[str]:
    """The names of a chapter's figures in order, those in folds included."""
    return [
        str(part.get("name")) for part in _parts(chapter["content"]) if part.get("kind") == "figure"
    ]


def _parts(content: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    for part in content if isinstance(content, list) and depth < DEEPEST else []:
        if isinstance(part, dict):
            yield part
            yield from _parts(part.get("content"), depth + 1)


def regression_table(path: Path) -> dict[str, Any]:
    """The regression table: caption, head, body and foot as rows of complete cells, and the notes below it."""
    tables = [
        part.get("table")
        for chapter in read_report(path)["chapters"]
        for part in _parts(chapter["content"])
    ]
    table = next(
        (one for one in tables if isinstance(one, dict) and one.get("kind") == "regression"), None
    )
    if table is None or not table.get("body"):
        raise damaged(path, "it has no table of the regressions")
    try:
        parts = {
            name: [[{**CELL, **cell} for cell in row] for row in table[name]]
            for name in ("head", "body", "foot")
        }
        return {"caption": table["caption"], **parts, "notes": table["notes"]}
    except (KeyError, TypeError):
        raise damaged(path, "its table of the regressions is not one") from None
