"""Painting: strokes from the page, the reader's answer, and its saliency map.

A reader of single characters (28 x 28 px, one position) reads each character by itself, white on black, like MNIST. Any
other reader reads them in one row on its own canvas, black on white.
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
from stages.insight.gradient_saliency import SaliencyEffort, Targets, gradient_maps
from stages.lab.errors import RefusedError
from stages.lab.loaded_readers import Desk
from stages.lab.strokes import to_glyphs
from stages.reader.batches import Images
from stages.reader.decoding import softmax, to_texts
from stages.reader.inference import NetworkReader
from stages.reader.protocol import Reader, TextPrediction
from stages.reader_files import Description

LIMITS = {"/paint": 512 * 1024}
MOST = 12  # characters in one drawing
POINTS = 20_000  # in all strokes of a drawing
GAP = 3  # px between characters in a row
EDGE = 2  # px of margin around the row
PAINT_EFFORT = SaliencyEffort(window=1, stride=1)  # minimal: input x gradient needs no steps

Coordinate = Annotated[float, Field(ge=-4096, le=8192, allow_inf_nan=False)]
Point = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]


class Drawing(BaseModel):
    """Strokes as points in px of any canvas, and the name of the reader."""

    reader: str
    strokes: Annotated[list[Annotated[list[Point], Field(min_length=1)]], Field(max_length=400)]
    saliency: bool = True


@dataclass(frozen=True)
class Answer:
    """The answer: labels (T,), class probabilities (T, A + 1), and the image of each character."""

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
        """Text, confidence and, per character, the probability of every class and the saliency map over the image."""
        started = time.perf_counter()
        if sum(map(len, drawing.strokes)) > POINTS:
            raise RefusedError(
                f"strokes: expected at most {POINTS} points, got more: clear the drawing"
            )
        reader, description = desk.load(drawing.reader)
        glyphs = to_glyphs([np.array(stroke, np.float64) for stroke in drawing.strokes])
        if not len(glyphs):
            return {
                "text": "",
                "confidence": None,
                "characters": [],
                "note": "",
                "milliseconds": 0.0,
            }
        if len(glyphs) > MOST:
            raise RefusedError(
                f"strokes: expected at most {MOST} characters side by side, got {len(glyphs)}: draw "
                "fewer, or closer strokes for one character"
            )
        with desk.reading:
            answer = read_drawing(glyphs, reader, description, drawing.saliency)
        return answer_json(answer, description.alphabet) | {
            "milliseconds": round((time.perf_counter() - started) * 1000, 1)
        }

    return router


def reads_singly(description: Description) -> bool:
    return (description.height, description.width, description.positions) == (SIDE, SIDE, 1)


def read_drawing(
    glyphs: Glyphs, reader: Reader, description: Description, saliency: bool
) -> Answer:
    """The answer of a reader to glyphs (n, 28, 28), n >= 1."""
    singly = reads_singly(description)
    if singly:
        images: Images = np.repeat(glyphs[..., None], 3, axis=3)
    else:
        images = in_a_row(glyphs, description.height, description.width)[None]
    predicted = reader.predict(images)
    logits = predicted.logits
    if logits is None:
        return _text_alone(predicted, images, len(description.alphabet))
    labels = predicted.readings.labels.astype(np.int64)
    row, position = np.nonzero(labels)
    column = reader.columns(logits, labels)[row, position]
    shares = softmax(logits[row, column].astype(np.float64))
    maps = None
    if saliency and len(row) and reader.gradients:
        probabilities_read = shares[np.arange(len(row)), labels[row, position]]
        targets = Targets(
            labels[row], position, column, np.ones(len(row), bool), probabilities_read
        )
        maps = _maps(reader.gradients, images[row], targets)
    confidence = float(np.prod(predicted.probability))
    return Answer(
        labels[row, position],
        confidence,
        shares,
        images[row],
        maps,
        _note(len(glyphs), len(row), description, saliency and not reader.gradients),
    )


def _text_alone(predicted: TextPrediction, images: Images, alphabet_size: int) -> Answer:
    """The answer of a reader without logits, of which `images` holds a single one."""
    text = predicted.readings.labels[0]
    labels = text[text > 0].astype(np.int64)
    nothing = np.zeros((len(labels), alphabet_size + 1))
    return Answer(
        labels,
        float(predicted.probability[0]),
        nothing,
        np.repeat(images, len(labels), axis=0),
        None,
        "this reader tells its reading alone: no probabilities, no map",
    )


def _maps(reader: NetworkReader, images: Images, targets: Targets) -> NDArray[np.float32]:
    seen, bare = reader.undenoised(images)
    maps, _ = gradient_maps(bare, seen, targets, "input_x_gradient", PAINT_EFFORT, seed=0)
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
    """Glyphs (n, 28, 28) in one row on a white canvas (H, W, 3), black; all made smaller together if needed."""
    inked = [np.flatnonzero(glyph.any(axis=0)) for glyph in glyphs]
    patches = [
        glyph[:, columns[0] : columns[-1] + 1] for glyph, columns in zip(glyphs, inked, strict=True)
    ]
    row = np.concatenate(
        [part for patch in patches for part in (np.zeros((SIDE, GAP), np.uint8), patch)][1:], axis=1
    )
    scale = min(1.0, (height - 2 * EDGE) / SIDE, (width - 2 * EDGE) / row.shape[1])
    if scale < 1:
        size = max(1, int(row.shape[1] * scale)), max(1, int(SIDE * scale))
        row = np.asarray(Image.fromarray(row).resize(size, Image.Resampling.BICUBIC))
    canvas = np.full((height, width), 255, np.uint8)
    top = (height - row.shape[0]) // 2
    left = (width - row.shape[1]) // 2
    canvas[top : top + row.shape[0], left : left + row.shape[1]] -= row
    return np.repeat(canvas[..., None], 3, axis=2)


def answer_json(answer: Answer, alphabet: str) -> dict[str, Any]:
    """The answer as JSON. Among the probabilities "" stands for no character; the others are in order of `alphabet`."""
    text = to_texts(answer.labels[None], alphabet)[0] if len(answer.labels) else ""
    found = []
    for i, character in enumerate(text):
        shares = answer.shares[i].tolist()
        probabilities = dict(
            zip(["", *alphabet], (round(share, 5) for share in shares), strict=True)
        )
        found.append(
            {
                "character": character,
                "confidence": round(shares[answer.labels[i]], 5),
                "probabilities": probabilities if answer.shares[i].any() else {},
                "picture": picture(
                    answer.images[i], None if answer.maps is None else answer.maps[i]
                ),
            }
        )
    return {
        "text": text,
        "confidence": round(answer.confidence, 5),
        "characters": found,
        "note": answer.note,
        "alphabet": alphabet,
    }


def picture(image: Images, saliency: NDArray[np.float32] | None) -> dict[str, Any]:
    """Pixels of the green channel, 0 to 255, and the map as bytes: 128 neutral, 255 most for, 1 most against."""
    encoded = None
    if saliency is not None:
        most = max(float(np.abs(saliency).max()), 1e-12)
        encoded = _base64(np.rint(128 + 127 * saliency / most).astype(np.uint8))
    return {
        "height": image.shape[0],
        "width": image.shape[1],
        "pixels": _base64(image[..., 1]),
        "saliency": encoded,
    }


def _base64(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()
