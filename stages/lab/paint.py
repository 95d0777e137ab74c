"""Painting: strokes from the page, what a reader reads in them, and what it looks at.

A reader of single characters (28 x 28 px, one position) reads each alone, white on black, as MNIST is; any other reads
them in one row on its own canvas, black on white.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field

from stages.captcha.glyphs import SIDE, Glyphs
from stages.insight.ctc_alignment import aligned_columns
from stages.insight.saliency import Effort, Targets, gradient_maps, has_gradients, undenoised
from stages.lab.desk import Desk
from stages.lab.refusals import RefusedError
from stages.lab.strokes import to_glyphs
from stages.reader.batches import Images, Labels
from stages.reader.decoding import softmax, text_probability, to_texts
from stages.reader.networks import Ctc
from stages.reader.reading import Outside, Recogniser
from stages.reader_files import Description

LIMITS = {"/paint": 512 * 1024}
MOST = 12       # characters in one drawing
POINTS = 20_000  # in all its strokes
GAP = 3         # px between characters in a row
EDGE = 2        # px beside the row
FEW = Effort(window=1, stride=1)  # of it, input x gradient takes nothing

Coordinate = Annotated[float, Field(ge=-4096, le=8192, allow_inf_nan=False)]
Point = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]


class Drawing(BaseModel):
    """Strokes as points in px of any canvas, and the reader to read them."""

    reader: str
    strokes: Annotated[list[Annotated[list[Point], Field(min_length=1)]], Field(max_length=400)]
    saliency: bool = True


@dataclass(frozen=True)
class Answer:
    """What was read: labels (T,), their rows of logits as shares (T, A + 1), and the picture of each."""

    labels: NDArray[np.int64]
    confidence: float
    shares: NDArray[np.float64]
    images: Images  # (T, H, W, 3)
    maps: NDArray[np.float32] | None  # (T, H, W)
    note: str


def routes(desk: Desk) -> APIRouter:
    router = APIRouter()

    @router.post("/paint")
    def paint(drawing: Drawing) -> dict[str, Any]:
        """Text, confidence and, by character, the probability of every class and the map over what was seen."""
        started = time.perf_counter()
        if sum(map(len, drawing.strokes)) > POINTS:
            raise RefusedError(f"strokes: expected at most {POINTS} points, got more: clear the drawing")
        reader, description = desk.load(drawing.reader)
        glyphs = to_glyphs([np.array(stroke, np.float64) for stroke in drawing.strokes])
        if not len(glyphs):
            return {"text": "", "confidence": None, "characters": [], "note": "", "milliseconds": 0.0}
        if len(glyphs) > MOST:
            raise RefusedError(f"strokes: expected at most {MOST} characters side by side, got {len(glyphs)}: draw "
                               "fewer, or closer strokes for one character")
        with desk.reading:
            answer = read(glyphs, reader, description, drawing.saliency)
        return told(answer, description.alphabet) | {"milliseconds": round((time.perf_counter() - started) * 1000, 1)}

    return router


def reads_singly(description: Description) -> bool:
    return (description.height, description.width, description.positions) == (SIDE, SIDE, 1)


def read(glyphs: Glyphs, reader: Recogniser | Outside, description: Description, saliency: bool) -> Answer:
    """What a reader reads in glyphs (n, 28, 28), n >= 1."""
    singly = reads_singly(description)
    if singly:
        images: Images = np.repeat(glyphs[..., None], 3, axis=3)
    else:
        images = in_a_row(glyphs, description.height, description.width)[None]
    if not isinstance(reader, Recogniser):
        return _read_outside(reader, images, len(description.alphabet))
    logits = reader.logits(images)
    if not np.isfinite(logits).all():
        raise ValueError("the reader's weights are too large, its numbers are not finite: train it again")
    ctc = isinstance(reader.network, Ctc)
    readings = reader.decode(logits)
    labels = readings.labels.astype(np.int64)
    columns = aligned_columns(logits, labels) if ctc else np.broadcast_to(np.arange(labels.shape[1]), labels.shape)
    row, position = np.nonzero(labels)
    column = columns[row, position]
    shares = softmax(logits[row, column].astype(np.float64))
    maps = None
    if saliency and len(row) and has_gradients(reader):
        maps = _maps(reader, images[row], labels[row], position, column, shares)
    confidence = float(np.prod(text_probability(logits, readings.labels, ctc=ctc)))
    return Answer(labels[row, position], confidence, shares, images[row], maps,
                  _note(len(glyphs), len(row), description, saliency and not has_gradients(reader)))


def _read_outside(reader: Outside, images: Images, alphabet_size: int) -> Answer:
    whole = reader.read_whole(images)
    labels = whole.readings.labels[0][whole.readings.labels[0] > 0].astype(np.int64)
    nothing = np.zeros((len(labels), alphabet_size + 1))
    return Answer(labels, float(whole.probability[0]), nothing, np.repeat(images, len(labels), axis=0), None,
                  "this reader tells its reading alone: no probabilities, no map")


def _maps(reader: Recogniser, images: Images, labels: Labels, position: NDArray[np.int64], column: NDArray[np.int64],
          shares: NDArray[np.float64]) -> NDArray[np.float32]:
    rows = np.arange(len(images))
    said = shares[rows, labels[rows, position]]
    seen, bare = undenoised(reader, images)
    assert isinstance(bare, Recogniser)
    targets = Targets(labels, position, column, np.ones(len(rows), bool), said)
    maps, _ = gradient_maps(bare, seen, targets, "input_x_gradient", FEW, seed=0)
    return maps


def _note(drawn: int, read_: int, description: Description, no_gradients: bool) -> str:
    notes = []
    if read_ != drawn:
        bounded = not reads_singly(description) and not description.any_length
        most = f", and can say at most {description.positions}" if bounded else ""
        notes.append(f"{drawn} characters were drawn, the reader says {read_}{most}")
    if no_gradients:
        notes.append("this reader has no gradients: no map")
    return "; ".join(notes)


def in_a_row(glyphs: Glyphs, height: int, width: int) -> NDArray[np.uint8]:
    """Glyphs (n, 28, 28) side by side on a white canvas (H, W, 3), black; made smaller together where they must."""
    inked = [np.flatnonzero(glyph.any(axis=0)) for glyph in glyphs]
    patches = [glyph[:, columns[0] : columns[-1] + 1] for glyph, columns in zip(glyphs, inked, strict=True)]
    row = np.concatenate([part for patch in patches for part in (np.zeros((SIDE, GAP), np.uint8), patch)][1:], axis=1)
    scale = min(1.0, (height - 2 * EDGE) / SIDE, (width - 2 * EDGE) / row.shape[1])
    if scale < 1:
        size = max(1, int(row.shape[1] * scale)), max(1, int(SIDE * scale))
        row = np.asarray(Image.fromarray(row).resize(size, Image.Resampling.BICUBIC))
    canvas = np.full((height, width), 255, np.uint8)
    top, left = (height - row.shape[0]) // 2, (width - row.shape[1]) // 2
    canvas[top : top + row.shape[0], left : left + row.shape[1]] -= row
    return np.repeat(canvas[..., None], 3, axis=2)


def told(answer: Answer, alphabet: str) -> dict[str, Any]:
    """The answer as JSON; "" among the probabilities stands for no character, `alphabet` has the others' order."""
    text = to_texts(answer.labels[None], alphabet)[0] if len(answer.labels) else ""
    found = []
    for i, character in enumerate(text):
        shares = answer.shares[i].tolist()
        probabilities = dict(zip(["", *alphabet], (round(share, 5) for share in shares), strict=True))
        found.append({"character": character, "confidence": round(shares[answer.labels[i]], 5),
                      "probabilities": probabilities if answer.shares[i].any() else {},
                      "picture": picture(answer.images[i], None if answer.maps is None else answer.maps[i])})
    return {"text": text, "confidence": round(answer.confidence, 5), "characters": found, "note": answer.note,
            "alphabet": alphabet}


def picture(image: Images, saliency: NDArray[np.float32] | None) -> dict[str, Any]:
    """Pixels of the green channel, 0 to 255, and the map as bytes: 128 nothing, 255 most for, 1 most against."""
    encoded = None
    if saliency is not None:
        most = max(float(np.abs(saliency).max()), 1e-12)
        encoded = _base64(np.rint(128 + 127 * saliency / most).astype(np.uint8))
    return {"height": image.shape[0], "width": image.shape[1], "pixels": _base64(image[..., 1]), "saliency": encoded}


def _base64(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()
