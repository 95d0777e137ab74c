"""Turn pen strokes on a canvas into characters of 28 x 28 px, drawn like MNIST's digits.

Strokes are stored as lines, not as pixels, so that a character has the same pen width at any size on the canvas: a
shrunk image of a large drawing has strokes too thin for a reader of MNIST.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.captcha.glyphs import BOX, SIDE, Glyphs, centre

Stroke = NDArray[np.float64]  # (m, 2) points x, y in px of the canvas, m >= 1

PEN = (
    2.4  # px on 28 x 28; antialiased, it has the ink of MNIST's strokes (tests/test_lab_strokes.py)
)
FINE = 8  # fine pixels per pixel, averaged at the end
SHIFT = 4  # fractional bits of cv2's coordinates
NIB = 8.0  # px of the canvas: minimum width of a vertical line; anything smaller is a dot
SHARED = (
    1 / 3
)  # of the narrower of two strokes: minimum overlap of their widths if they make one character


@dataclass(frozen=True)
class Span:
    """Strokes of one character, and their extent, px."""

    left: float
    right: float
    strokes: tuple[Stroke, ...]

    def belongs_to(self, other: Span) -> bool:
        shared = min(self.right, other.right) - max(self.left, other.left)
        if shared >= SHARED * min(self.right - self.left, other.right - other.left):
            return True
        return shared > -NIB and any(
            touch(one, another) for one in self.strokes for another in other.strokes
        )

    def joined(self, other: Span) -> Span:
        return Span(
            min(self.left, other.left), max(self.right, other.right), self.strokes + other.strokes
        )


def touch(one: Stroke, other: Stroke) -> bool:
    """Whether an end of one stroke is within a nib of the other, like the bars and the stem of an E."""
    return stroke_distance(one[[0, -1]], other) < NIB or stroke_distance(other[[0, -1]], one) < NIB


def stroke_distance(points: Stroke, stroke: Stroke) -> float:
    """Distance from the nearest of the points to the line of the stroke, px."""
    along = np.diff(
        stroke, axis=0, append=stroke[-1:]
    )  # (m, 2), the last is 0: a single point is a line too
    away = points[:, None] - stroke  # (k, m, 2)
    share = (away * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-9)
    return float(np.linalg.norm(away - np.clip(share, 0, 1)[..., None] * along, axis=2).min())


def split_characters(strokes: Sequence[Stroke]) -> list[tuple[Stroke, ...]]:
    """The strokes per character, from left to right: strokes that touch or lie above one another are one."""
    spans: list[Span] = []
    for stroke in strokes:
        left = float(stroke[:, 0].min())
        right = float(stroke[:, 0].max())
        least = (
            NIB if np.ptp(stroke, axis=0).max() < NIB else NIB / 2
        )  # a dot may be next to the line of its i
        middle = (left + right) / 2
        half = max((right - left) / 2, least)
        span = Span(middle - half, middle + half, (stroke,))
        while touching := [
            other for other in spans if span.belongs_to(other)
        ]:  # a joined span may touch others
            spans = [other for other in spans if not any(other is one for one in touching)]
            for other in touching:
                span = other.joined(span)
        spans.append(span)
    return [span.strokes for span in sorted(spans, key=lambda span: span.left + span.right)]


def to_glyph(strokes: Sequence[Stroke]) -> Glyphs:
    """One character (28, 28), ink 255 on 0: it fits in 20 x 20 px, pen included, and is centred by mass."""
    points = np.concatenate(list(strokes))
    low = points.min(axis=0)
    size = float(np.ptp(points, axis=0).max())
    scale = (BOX - PEN) / max(size, NIB)
    fine = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    for stroke in strokes:
        place = ((stroke - low) * scale + (SIDE - BOX + PEN) / 2) * FINE
        corners = np.rint(place * 2**SHIFT).astype(np.int32).reshape(-1, 1, 2)
        corners = (
            np.repeat(corners, 2, axis=0) if len(corners) == 1 else corners
        )  # a dot is a line to the same point
        cv2.polylines(fine, [corners], False, 255, round(PEN * FINE), cv2.LINE_8, SHIFT)
    ink = fine.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))
    return centre(np.rint(ink).astype(np.uint8), scale=1.0)


def to_glyphs(strokes: Sequence[Stroke]) -> Glyphs:
    """The characters (n, 28, 28) of the strokes, from left to right."""
    found = [to_glyph(one) for one in split_characters(strokes)]
    return np.stack(found) if found else np.zeros((0, SIDE, SIDE), np.uint8)
