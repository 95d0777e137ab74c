"""Training: files and glyph sources, one training at a time, and saved readers."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from stages.captcha.glyphs import Glyphs
from stages.grammar import one_of
from stages.lab import csv_files
from stages.lab.errors import BusyError, MissingError, RefusedError
from stages.lab.glyph_training import Settings
from stages.lab.job import Job
from stages.lab.loaded_readers import OWN_PREFIX, Desk, check_name
from stages.lab.paint import reads_singly
from stages.lab.rendered_captchas import SOURCES
from stages.params import read
from stages.reader.architectures import ARCHITECTURES
from stages.reader.inference import choose_device
from stages.reader.protocol import Reader
from stages.reader_files import Description, load_recogniser

FILE = csv_files.MEBIBYTES * 2**20
LIMITS = {f"/train/file/{kind}": FILE for kind in csv_files.GLYPH_FILES}
BATCH = 1000  # glyphs per call of a reader

Kind = Literal["train", "test"]
FITTED = tuple(
    name for name, one in ARCHITECTURES.items() if one.family == "network" and not one.any_length
)  # networks that can read single glyphs


class TrainingRequest(BaseModel):
    """A training as the page requests it."""

    source: Annotated[str, one_of(("file", *SOURCES))]
    alphabet: Annotated[str, Field(max_length=100)] = "0123456789"
    architecture: Annotated[str, one_of(FITTED)] = "heads"
    channels: Annotated[int, Field(ge=4, le=128)] = 16
    epochs: Annotated[int, Field(ge=1, le=500)] = 20
    batch: Annotated[int, Field(ge=2, le=4096)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.004
    augment: Annotated[float, Field(ge=0, le=3)] = 1.0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class Name(BaseModel):
    name: str
    overwrite: bool = False


def routes(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/train")
    job = Job(desk.home / "job")
    storing = (
        threading.Lock()
    )  # two at once would write to one file; a large table may need hundreds of MB
    desk.at_close.append(job.close)
    clean_uploads(desk.home)

    @router.get("")
    def state() -> dict[str, Any]:
        """The training, the open files, and the glyph source of the study."""
        files = {kind: asdict(table) for kind, table in csv_files.opened(desk.home).items()}
        glyphs = read("glyphs").glyphs
        return job.state() | {"files": files, "study": f"{glyphs.source} {glyphs.path}".strip()}

    @router.post("")
    def start(wanted: TrainingRequest) -> dict[str, Any]:
        if wanted.source == "file" and "train" not in csv_files.opened(desk.home):
            raise MissingError(
                "source: no train file is open: open a CSV, or choose another source"
            )
        check_alphabet(wanted.alphabet)  # before the previous training is removed
        job.start(Settings(**wanted.model_dump()))
        return state()

    @router.post("/stop")
    def stop() -> dict[str, Any]:
        job.stop()
        return state()

    @router.post("/save")
    def save(wanted: Name) -> dict[str, Any]:
        folder = desk.own / check_name(wanted.name)
        with storing:
            if folder.exists() and not wanted.overwrite:
                raise BusyError(
                    f"name: a reader {wanted.name!r} is there: choose another, or overwrite it"
                )
            job.save(folder)
        return {"name": OWN_PREFIX + wanted.name}

    @router.post("/delete")
    def delete(wanted: Name) -> dict[str, Any]:
        folder = desk.own / check_name(wanted.name)
        with storing:
            if not folder.is_dir():
                raise MissingError(
                    f"name: no reader {wanted.name!r} was saved here: reload the list"
                )
            shutil.rmtree(folder)
        return {"name": OWN_PREFIX + wanted.name}

    def store_file(kind: Kind, name: str, csv: Path) -> csv_files.GlyphTable:
        with storing:
            return csv_files.store(desk.home, kind, name, csv)

    @router.post("/file/{kind}")
    async def open_file(kind: Kind, request: Request) -> dict[str, Any]:
        """Take a CSV as the request's body; its name is in the query."""
        name = Path(request.query_params.get("name", f"{kind}.csv")).name[:80]
        uploads = desk.home / "uploads"
        uploads.mkdir(parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(suffix=".csv", dir=uploads)
        try:
            with os.fdopen(descriptor, "wb") as file:
                async for chunk in request.stream():
                    file.write(chunk)
            return asdict(await run_in_threadpool(store_file, kind, name, Path(path)))
        finally:
            Path(path).unlink(missing_ok=True)

    @router.delete("/file/{kind}")
    def close_file(kind: Kind) -> dict[str, Any]:
        with storing:
            csv_files.close(desk.home, kind)
        return state()

    @router.get("/submission")
    def submission(reader: str = "") -> StreamingResponse:
        """Kaggle's submission for the test file, by a named reader of single characters, or by the one in training."""
        chosen, description = desk.load(reader) if reader else _trained(job)
        if not reads_singly(description):
            raise RefusedError(
                f"reader: expected one of single characters, got {reader!r}, made for captchas of "
                f"{description.width} x {description.height} px: choose another"
            )
        images, _ = csv_files.load_stored_glyphs(desk.home, "test")
        answers = list(answers_of(desk, chosen, description, images))
        name = "submission.csv"
        return StreamingResponse(
            csv_files.submission(iter(answers)),
            media_type="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    return router


def check_alphabet(alphabet: str) -> None:
    """Raise RefusedError unless it has two or more characters, all different and printable."""
    composed = unicodedata.normalize("NFC", alphabet)
    if not (len(set(composed)) == len(composed) >= 2 and composed.isprintable()):
        raise RefusedError(
            f"alphabet: expected 2 to 100 characters, each once, got {alphabet!r}: correct it"
        )


def _trained(job: Job) -> tuple[Reader, Description]:
    if not (job.reader / "reader.json").is_file():
        raise MissingError("no reader was trained yet: train one, or name a saved one")
    return load_recogniser(job.reader, choose_device("auto"))


def answers_of(
    desk: Desk, reader: Reader, description: Description, images: Glyphs
) -> Iterator[str]:
    """The reader's answer per glyph (n, 28, 28); the first character of the alphabet for an empty answer."""
    for start in range(0, len(images), BATCH):
        pixels = np.repeat(images[start : start + BATCH, ..., None], 3, axis=3)
        with desk.reading:  # only per batch: another request may wait
            labels = reader.predict(pixels).readings.labels
        for row in labels:
            yield description.alphabet[max(int(row[0]) if len(row) else 1, 1) - 1]


def clean_uploads(home: Path) -> None:
    """Remove partial uploads of an earlier lab process."""
    for folder in (home / "uploads", *home.glob("upload-*")):
        shutil.rmtree(folder, ignore_errors=True)
