"""Blur and loss of resolution. Lengths scale with the glyphs (1 px where a glyph is 28 px high)."""

from __future__ import annotations

import math
from itertools import repeat
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.captcha.glyphs import SIDE
from stages.captcha.noise.canvas import Floats, Image, Images, Levels, each, unit


def gaussian_blur(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Gaussian blur of sd 5 L px (Hendrycks & Dietterich 2019, gaussian_blur; cv2.GaussianBlur, border repeated).

    L=1: a stroke is spread over the height of a glyph, and neighbours merge. Draws nothing.
    """
    sd = 5 * unit(images)
    return each(
        images,
        level,
        repeat(None, len(images)),
        lambda image, dose, _: cv2.GaussianBlur(
            image, (0, 0), sd * dose, borderType=cv2.BORDER_REPLICATE
        ),
    )


def motion_blur(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Mean along a straight line of 1 + 24 L px at a random angle: a camera in uniform motion (cv2.filter2D).

    As Hendrycks & Dietterich (2019), motion_blur, but with a uniform two-sided line instead of ImageMagick's one-sided
    normal. L=1: the line is nearly as long as a glyph is high.
    """
    length = 24 * unit(images)
    angles = (rng.uniform(0, math.pi) for _ in images)
    return each(
        images,
        level,
        angles,
        lambda image, dose, angle: cv2.filter2D(
            image, -1, line_kernel(length * dose, angle), borderType=cv2.BORDER_REPLICATE
        ),
    )


def line_kernel(length: float, angle: float) -> Floats:
    """Kernel of a line of `length` px in both directions along `angle` (radians from the x axis); odd square, sum 1."""
    half = math.ceil(length / 2)
    count = 2 * math.ceil(length) + 1
    steps = length * ((np.arange(count) + 0.5) / count - 0.5)
    x = half + steps * math.cos(angle)
    y = half + steps * math.sin(angle)
    nodes = np.arange(2 * half + 1)
    across = np.maximum(
        1 - np.abs(nodes[:, None] - x), 0
    )  # bilinear weight of a step on each column
    down = np.maximum(1 - np.abs(nodes[:, None] - y), 0)
    return np.asarray(down @ across.T / count, dtype=np.float32)


def pixelate(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Mean over square blocks whose side grows geometrically, 28^L px (imagecorruptions' pixelate shrinks linearly).

    The grid has a random origin and its lines lie between pixels, so sides differ by at most 1 px.
    L=0.5: 5 px blocks; L=1: one block for a glyph.
    """
    height, width = images.shape[1:3]
    glyph = SIDE * unit(images)

    def change(image: Image, dose: float, origin: tuple[float, float]) -> NDArray[Any]:
        rows, columns = (
            _lines(size, glyph**dose, first)
            for size, first in zip((height, width), origin, strict=True)
        )
        total = cv2.integral(image)[rows][:, columns]
        total = np.diff(np.diff(total, axis=0), axis=1)
        sides = np.diff(rows), np.diff(columns)
        mean: Image = np.rint(total / np.outer(*sides)[..., None]).astype(np.uint8)
        return mean.repeat(sides[0], axis=0).repeat(sides[1], axis=1)

    return each(images, level, ((rng.random(), rng.random()) for _ in images), change)


def _lines(size: int, side: float, origin: float) -> NDArray[np.int64]:
    """Starts of blocks of `side` px on an axis of `size` px, from 0, with `size` at the end; origin in blocks."""
    block = np.floor(np.arange(size) / side + origin)
    return np.concatenate(
        [np.zeros(1, np.int64), np.flatnonzero(np.diff(block)) + 1, np.full(1, size)]
    )


def jpeg(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """JPEG of quality 100^(1-L), so that the quantiser's step grows geometrically (libjpeg through cv2.imencode).

    Quality is an integer: 100 at L=0, 10 at 0.5, 1 at 1. Colour has half the resolution (4:2:0) at every level above 0.
    Weak: a glyph is little more than three 8x8 blocks high, and even at quality 1 most digits are legible.
    The change of a single image need not rise at every step: a coarser quantiser may happen to fit its background.
    Draws nothing.
    """

    def change(image: Image, dose: float, _draw: None) -> NDArray[Any]:
        quality = max(1, round(100 ** (1 - dose)))
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR_RGB))

    return each(images, level, repeat(None, len(images)), change)
