"""Results: the artifacts of the pipeline as page sections, and the comparison of two experiments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Response

from stages import artifacts
from stages.lab import dvc_lock, experiments, page_sections
from stages.lab.artifact_files import cached, command_for, missing, or_error, read_bytes, read_cells
from stages.lab.errors import MissingError
from stages.lab.loaded_readers import Desk
from stages.lab.page_sections import FIGURES, REGRESS
from stages.lab.report_json import figures_of, marked_text, read_report, regression_table

LIMITS: dict[str, int] = {}
REPORT = artifacts.PLOTS / "report.json"
FOLDERS = {"figures": FIGURES, "regress": REGRESS}
MEDIA_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
}
PICTURES = (".svg", ".png")
# An SVG has inline styles, which the page's policy forbids. Served on its own it may have them, and nothing else.
DRAWING = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; "
    "frame-ancestors 'none'"
}
SIZE = re.compile(rb'(<svg\b[^>]*?)\s+width="[^"]*"\s+height="[^"]*"')
ROWS = 500  # of a table that are shown
SECTIONS: dict[str, tuple[str, ...]] = {  # section of the page: chapters of the report
    "answer": ("answer",), "data": ("captchas", "data"), "readers": ("characters", "readers"),
    "dose": ("noise", "doses"), "regression": ("regression", "sure", "sound"),
    "why": ("why", "looks", "classes", "robust", "unseen"),
}  # fmt: skip
Folder = Literal["figures", "regress"]


def routes(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/results")

    @router.get("")
    def overview() -> dict[str, Any]:
        """All sections except the readers, the run and the comparison; an unreadable section is an `error`."""
        return {
            "answer": or_error(answer_section),
            "sections": report_sections(),
            "facts": or_error(page_sections.facts),
            "classes": or_error(page_sections.classes),
            "readers": or_error(page_sections.reader_section),
            "table": or_error(partial(cached, regression_table, REPORT)),
            "thresholds": or_error(page_sections.threshold_section),
            "files": published_tables(),
        }

    @router.get("/reader")
    def reader(name: str) -> dict[str, Any]:
        return {
            "confusion": or_error(partial(page_sections.confusion_section, name)),
            "classification": or_error(partial(page_sections.classification, name)),
        }

    @router.get("/run")
    def run() -> dict[str, Any]:
        return {"commit": or_error(experiments.head), "recorded": or_error(dvc_lock.recorded_run)}

    @router.get("/revisions")
    def revisions() -> dict[str, Any]:
        return or_error(
            lambda: {
                "revisions": [
                    {"name": one.name, "told": one.description} for one in experiments.revisions()
                ]
            }
        )

    @router.get("/compare")
    def compare(a: str, b: str) -> dict[str, Any]:
        known = experiments.revisions()
        before = experiments.find(a, known)
        after = experiments.find(b, known)
        return experiments.compare(experiments.snapshot(before), experiments.snapshot(after))

    @router.get("/table/{folder}/{name}")
    def table(folder: Folder, name: str) -> dict[str, Any]:
        """Columns and first rows of a table, as texts, and the number of rows."""
        columns, rows = cached(read_cells, allowed(FOLDERS[folder], f"{name}.csv", (".csv",)))
        return {"columns": columns, "rows": rows[:ROWS], "total": len(rows)}

    _serve(router)
    return router


def _serve(router: APIRouter) -> None:
    """Routes that serve files unchanged."""

    @router.get("/figure/{name}")
    def figure(name: str, large: bool = False) -> Response:
        """A figure; a `large` SVG has no size of its own and fills the window."""
        path = allowed(FIGURES, name, PICTURES)
        content = read_bytes(path)
        if large and path.suffix == ".svg":
            content = SIZE.sub(rb"\1", content, count=1)
        return Response(content, media_type=MEDIA_TYPES[path.suffix], headers=DRAWING)

    @router.get("/file/{folder}/{name}")
    def file(folder: Folder, name: str) -> Response:
        path = allowed(FOLDERS[folder], name, tuple(set(MEDIA_TYPES) - set(PICTURES)))
        return Response(
            read_bytes(path),
            media_type=MEDIA_TYPES[path.suffix],
            headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"},
        )

    @router.get("/page/{name}")
    def page(name: Literal["report.html", "details.html"]) -> Response:
        """A page of the report; each links to the other by name."""
        return Response(read_bytes(artifacts.PLOTS / name), media_type="text/html", headers=DRAWING)


def files(folder: Path) -> list[str]:
    """The names of regular files of known types in a folder; empty if there is no folder."""
    if not folder.is_dir():
        return []
    home = folder.resolve()
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.suffix in MEDIA_TYPES
        and not entry.name.startswith(".")
        and entry.is_file()
        and entry.resolve().parent == home
    )


def published_tables() -> list[str]:
    """Folder and name of every file that is no figure."""
    return [
        f"{folder}/{name}"
        for folder, path in FOLDERS.items()
        for name in files(path)
        if Path(name).suffix not in PICTURES
    ]


def allowed(folder: Path, name: str, kinds: Iterable[str]) -> Path:
    """The path of a file that may be served. Raises MissingError on any other, also on links out of the folder."""
    path = folder / name
    if path.suffix not in kinds or name not in files(folder):
        raise MissingError(
            f"{folder.as_posix()} has no {name[:60]!r} to show: run {command_for(folder)}, or reload "
            "the page"
        )
    return path


def report_words() -> dict[str, Any]:
    """The report, from report.json. Raises ValueError if it cannot be read."""
    return cached(read_report, REPORT)


def answer_section() -> dict[str, Any]:
    words = report_words()
    return {
        "answer": [marked_text(words["answer"])],
        "doubts": [marked_text(text) for text in words["findings"].get("sure", [])],
    }


def report_sections() -> dict[str, Any]:
    """Figure groups per section, and `missing`: a line on figures that should exist but do not."""
    words = or_error(report_words)
    there = {Path(name).stem: name for name in files(FIGURES) if Path(name).suffix in PICTURES}
    chapters = {chapter["anchor"]: chapter for chapter in words.get("chapters", [])}
    found = {
        section: [group(chapters[anchor], there, words) for anchor in anchors if anchor in chapters]
        for section, anchors in SECTIONS.items()
    }
    placed = {
        name
        for anchors in SECTIONS.values()
        for anchor in anchors
        if anchor in chapters
        for name in figures_of(chapters[anchor])
    }
    others = [
        name for name in sorted(set(there) - placed) if not re.match("confusion(_|$)", name)
    ]  # tables show those
    if others:
        found["why"].append(
            {
                "title": "Other figures",
                "lead": "",
                "notes": [],
                "missing": [],
                "figures": [figure_of(name, there[name], words) for name in others],
            }
        )
    return {
        section: {
            "groups": groups,
            "missing": lacking(
                [name for one in groups for name in one.pop("missing")], bool(there)
            ),
        }
        for section, groups in found.items()
    }


def group(
    chapter: Mapping[str, Any], there: Mapping[str, str], words: Mapping[str, Any]
) -> dict[str, Any]:
    """The figures of a chapter in order, notes on figures with nothing to draw in this run, and the names of missing
    figures."""
    drawn: list[dict[str, Any]] = []
    notes = []
    absent = []
    for name in figures_of(chapter):
        figure = words["figures"].get(name, {})
        if name in there:
            drawn.append(figure_of(name, there[name], words))
        elif figure.get("file"):
            absent.append(name)
        elif figure:
            notes.append(marked_text(f"**{figure['title'].rstrip('.')}.** {figure['finding']}"))
    return {
        "title": chapter["title"],
        "lead": chapter["lead"].replace("`", ""),
        "figures": drawn,
        "notes": notes,
        "missing": absent,
    }


def lacking(names: list[str], some: bool) -> str:
    if not some:
        return str(missing(FIGURES))
    return (
        f"Not in {FIGURES.as_posix()}: {', '.join(names)}: run {command_for(FIGURES)}"
        if names
        else ""
    )


def figure_of(name: str, file: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """A figure: file, texts of the report (none without a report), size in points, and its data tables."""
    one = words.get("figures", {}).get(name, {})
    behind = [
        str(table).removeprefix(f"{artifacts.PLOTS.as_posix()}/").removesuffix(".csv")
        for table in one.get("numbers", [f"plots/figures/{name}.csv"])
    ]
    numbers = [
        table
        for table in behind
        if table.split("/")[0] in FOLDERS and (artifacts.PLOTS / f"{table}.csv").is_file()
    ]
    return {
        "name": name,
        "file": file,
        "title": one.get("title", name.replace("_", " ")),
        "shows": marked_text(one.get("shows", "")),
        "found": marked_text(one.get("finding", "")),
        "alternative": one.get("alternative", ""),
        "width": one.get("width"),
        "height": one.get("height"),
        "numbers": numbers,
    }
