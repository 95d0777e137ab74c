"""Blurs and lost resolution. Lengths scale with the glyphs (1 px where a glyph is 28 px high)."""

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

    L=1: a stroke is spread over a glyph's height and neighbours run into each other. Draws nothing.
    """
    sd = 5 * unit(images)
    return each(images, level, repeat(None, len(images)), lambda image, dose, _: cv2.GaussianBlur(
        image, (0, 0), sd * dose, borderType=cv2.BORDER_REPLICATE))


def motion_blur(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Mean along a straight line of 1 + 24 L px at a random angle: a camera that moves evenly (cv2.filter2D).

    As Hendrycks & Dietterich (2019), motion_blur, but with an even two-sided line in place of ImageMagick's one-sided
    normal. L=1: the line is nearly as long as a glyph is high.
    """
    length = 24 * unit(images)
    angles = (rng.uniform(0, math.pi) for _ in images)
    return each(images, level, angles, lambda image, dose, angle: cv2.filter2D(
        image, -1, line_kernel(length * dose, angle), borderType=cv2.BORDER_REPLICATE))


def line_kernel(length: float, angle: float) -> Floats:
    """Pixels moved `length` px to and fro along `angle` (radians from the x axis), odd square, sums to 1."""
    half = math.ceil(length / 2)
    count = 2 * math.ceil(length) + 1
    steps = length * ((np.arange(count) + 0.5) / count - 0.5)
    x, y = half + steps * math.cos(angle), half + steps * math.sin(angle)
    nodes = np.arange(2 * half + 1)
    across = np.maximum(1 - np.abs(nodes[:, None] - x), 0)  # bilinear weight of a step on each column
    down = np.maximum(1 - np.abs(nodes[:, None] - y), 0)
    return np.asarray(down @ across.T / count, dtype=np.float32)


def pixelate(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Mean over square blocks whose side grows geometrically, 28^L px (imagecorruptions' pixelate shrinks linearly).

    The grid has a random origin and its lines fall between pixels, so sides differ by 1 px at most.
    L=0.5: 5 px blocks; L=1: one block for a glyph.
    """
    height, width = images.shape[1:3]
    glyph = SIDE * unit(images)

    def change(image: Image, dose: float, origin: tuple[float, float]) -> NDArray[Any]:
        rows, columns = (_lines(size, glyph**dose, first) for size, first in zip((height, width), origin, strict=True))
        total = cv2.integral(image)[rows][:, columns]
        total = np.diff(np.diff(total, axis=0), axis=1)
        sides = np.diff(rows), np.diff(columns)
        mean: Image = np.rint(total / np.outer(*sides)[..., None]).astype(np.uint8)
        return mean.repeat(sides[0], axis=0).repeat(sides[1], axis=1)

    return each(images, level, ((rng.random(), rng.random()) for _ in images), change)


def _lines(size: int, side: float, origin: float) -> NDArray[np.int64]:
    """Where blocks of `side` px begin on an axis of `size` px, from 0, with `size` at the end; origin in blocks."""
    block = np.floor(np.arange(size) / side + origin)
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(np.diff(block)) + 1, np.full(1, size)])


def jpeg(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """JPEG of quality 100^(1-L), so that the quantiser's step grows geometrically (libjpeg through cv2.imencode).

    Quality is whole: 100 at L=0, 10 at 0.5, 1 at 1. Colour is halved in resolution (4:2:0) from the first dose on.
    Weak: a glyph is little more than three 8x8 blocks high, and even quality 1 leaves most digits legible.
    One image's change need not rise at every step: a coarser quantiser may happen to suit its background.
    Draws nothing.
    """

    def change(image: Image, dose: float, _draw: None) -> NDArray[Any]:
        quality = max(1, round(100 ** (1 - dose)))
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR_RGB))

    return each(images, level, repeat(None, len(images)), change)
