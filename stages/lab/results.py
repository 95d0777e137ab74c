"""Results: what the pipeline found, read from what it wrote, and what moved between two experiments; see found.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Response

from stages import artifacts
from stages.figures.wording import CONTENT, LEADS, SHOWS
from stages.lab import experiments, pieces, recorded
from stages.lab.desk import Desk
from stages.lab.found import command_for, kept, missing, read_bytes, read_cells, told
from stages.lab.pieces import FIGURES, REGRESS
from stages.lab.refusals import MissingError
from stages.lab.reported import read_report, read_table

LIMITS: dict[str, int] = {}
REPORT, TABLE = artifacts.PLOTS / "report.html", REGRESS / "table.html"
FOLDERS = {"figures": FIGURES, "regress": REGRESS}
KINDS = {".svg": "image/svg+xml", ".png": "image/png", ".csv": "text/csv", ".md": "text/markdown",
         ".tex": "application/x-tex"}
PICTURES = (".svg", ".png")
# A drawing carries its own styles, which the page's policy forbids; alone it may have them, and nothing else.
DRAWING = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; "
                                      "frame-ancestors 'none'"}
SIZE = re.compile(rb'(<svg\b[^>]*?)\s+width="[^"]*"\s+height="[^"]*"')
ROWS = 500  # of a table that are shown
SECTIONS: dict[str, tuple[str, ...]] = {  # figures by section of the page; "why" has those of chapters of the report
    "answer": ("answer",),
    "data": ("samples", "schemes", "glyphs", "counts", "pixels", "associations"),
    "readers": ("breakdown", "learning", "calibration"),
    "dose": ("character_accuracy", "exact_match", "dose_response", "slopes"),
    "regression": ("effects", "thresholds", "marginal_effects", "steadiness", "influence", "added_variables",
                   "correlations"),
}  # fmt: skip
CHAPTERS = ("looks", "classes", "robust", "unseen")
NUMBERS = {  # figure: the tables behind it, where they have other names
    "answer": ("figures/accuracy",), "character_accuracy": ("figures/accuracy",), "exact_match": ("figures/accuracy",),
    "breakdown": ("figures/characters", "figures/colours"),
    "calibration": ("figures/calibration", "figures/reliability"),
    "dose_response": ("regress/dose_response", "regress/curves"),
}  # fmt: skip
Folder = Literal["figures", "regress"]


def routes(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/results")

    @router.get("")
    def overview() -> dict[str, Any]:
        """All but the readers, the run and the comparison; a piece that cannot be read is an `error`."""
        return {"answer": told(answer), "sections": sections(), "facts": told(pieces.facts),
                "classes": told(pieces.classes), "readers": told(pieces.readers),
                "table": told(partial(kept, read_table, TABLE)), "thresholds": told(pieces.thresholds),
                "files": tables()}

    @router.get("/reader")
    def reader(name: str) -> dict[str, Any]:
        return {"confusion": told(partial(pieces.confusion, name)),
                "classification": told(partial(pieces.classification, name))}

    @router.get("/run")
    def run() -> dict[str, Any]:
        return {"commit": told(experiments.head), "recorded": told(recorded.run)}

    @router.get("/revisions")
    def revisions() -> dict[str, Any]:
        return told(lambda: {"revisions": [{"name": one.name, "told": one.told} for one in experiments.revisions()]})

    @router.get("/compare")
    def compare(a: str, b: str) -> dict[str, Any]:
        known = experiments.revisions()
        before, after = experiments.find(a, known), experiments.find(b, known)
        return experiments.compare(experiments.snapshot(before), experiments.snapshot(after))

    @router.get("/table/{folder}/{name}")
    def table(folder: Folder, name: str) -> dict[str, Any]:
        """A table's columns and first rows, as texts, and how many rows there are."""
        columns, rows = kept(read_cells, allowed(FOLDERS[folder], f"{name}.csv", (".csv",)))
        return {"columns": columns, "rows": rows[:ROWS], "total": len(rows)}

    _serve(router)
    return router


def _serve(router: APIRouter) -> None:
    """The routes that give files as they are."""

    @router.get("/figure/{name}")
    def figure(name: str, large: bool = False) -> Response:
        """A picture as it is; a `large` drawing has no size of its own and fills the window."""
        path = allowed(FIGURES, name, PICTURES)
        content = read_bytes(path)
        if large and path.suffix == ".svg":
            content = SIZE.sub(rb"\1", content, count=1)
        return Response(content, media_type=KINDS[path.suffix], headers=DRAWING)

    @router.get("/file/{folder}/{name}")
    def file(folder: Folder, name: str) -> Response:
        path = allowed(FOLDERS[folder], name, tuple(set(KINDS) - set(PICTURES)))
        return Response(read_bytes(path), media_type=KINDS[path.suffix],
                        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"})

    @router.get("/report")
    def report() -> Response:
        return Response(read_bytes(REPORT), media_type="text/html", headers=DRAWING)


def files(folder: Path) -> list[str]:
    """The names of the regular files of known kinds in a folder; none where there is no folder."""
    if not folder.is_dir():
        return []
    home = folder.resolve()
    return sorted(entry.name for entry in folder.iterdir()
                  if entry.suffix in KINDS and not entry.name.startswith(".") and entry.is_file()
                  and entry.resolve().parent == home)


def tables() -> list[str]:
    """Folder and name of every file that is no picture."""
    return [f"{folder}/{name}" for folder, path in FOLDERS.items() for name in files(path)
            if Path(name).suffix not in PICTURES]


def allowed(folder: Path, name: str, kinds: Iterable[str]) -> Path:
    """The path of a file that may be served. Raises MissingError on any other, links out of the folder as well."""
    path = folder / name
    if path.suffix not in kinds or name not in files(folder):
        raise MissingError(f"{folder.as_posix()} has no {name[:60]!r} to show: run {command_for(folder)}, or reload "
                           "the page")
    return path


def report_words() -> dict[str, Any]:
    """What the report says. Raises ValueError where it cannot be read."""
    return kept(read_report, REPORT)


def answer() -> dict[str, Any]:
    words = report_words()
    return {name: words[name] for name in ("answer", "tiles", "doubts")}


def sections() -> dict[str, Any]:
    """groups of figures by section, and `missing`: a line on those that should be there and are not."""
    words = told(report_words)
    there = {Path(name).stem: name for name in files(FIGURES) if Path(name).suffix in PICTURES}
    found = {section: [group(names, there, words)] for section, names in SECTIONS.items()}
    found["why"] = [group(CONTENT[chapter], there, words, *LEADS[chapter]) for chapter in CHAPTERS]
    placed = {name for names in (*SECTIONS.values(), *(CONTENT[chapter] for chapter in CHAPTERS)) for name in names}
    others = [name for name in sorted(set(there) - placed) if not re.match("confusion(_|$)", name)]  # tables show those
    if others:
        found["why"].append(group(others, there, words, "Other figures"))
    return {section: {"groups": groups, "missing": lacking([name for one in groups for name in one.pop("missing")],
                                                           bool(there))} for section, groups in found.items()}


def group(names: Iterable[str], there: Mapping[str, str], words: Mapping[str, Any], title: str = "",
          lead: str = "") -> dict[str, Any]:
    """Figures in order, notes on those for which the run had nothing to draw, and the names of the missing."""
    drawn: list[dict[str, Any]] = []
    notes, absent = [], []
    undrawn = words.get("undrawn", {})
    for name in names:
        heading = SHOWS[name][0] if name in SHOWS else ""
        if name in there:
            drawn.append(figure_of(name, there[name], words))
        elif heading.rstrip(".") in undrawn:
            notes.append(undrawn[heading.rstrip(".")])
        elif heading:
            absent.append(name)
    return {"title": title, "lead": lead, "figures": drawn, "notes": notes, "missing": absent}


def lacking(names: list[str], some: bool) -> str:
    if not some:
        return str(missing(FIGURES))
    return f"Not in {FIGURES.as_posix()}: {', '.join(names)}: run {command_for(FIGURES)}" if names else ""


def figure_of(name: str, file: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """A figure: its file, words of the report (bare ones without it), size in points, and the tables behind it."""
    title = SHOWS[name][0] if name in SHOWS else name.replace("_", " ")
    bare: dict[str, Any] = {"title": title, "shows": [], "found": [], "width": None, "height": None}
    behind = NUMBERS.get(name, (f"figures/{name}", f"regress/{name}"))
    numbers = [table for table in behind if (artifacts.PLOTS / f"{table}.csv").is_file()]
    return {**bare, **words.get("figures", {}).get(name, {}), "name": name, "file": file, "numbers": numbers}
