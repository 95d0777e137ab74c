"""Clutter: strokes, dots and blocks over the text. Doses are nested: a higher one adds to the strokes of a lower one.

Each image has one list of strokes; dose L draws the first share L of it. The last stroke is transparent, so that the
dose is continuous. Lengths scale with the glyphs (1 px where a glyph is 28 px high), numbers with the canvas' W/H.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.captcha.glyphs import SIDE
from stages.captcha.noise.canvas import Floats, Image, Images, Levels, blend, each, ink_colour, unit

Paths = NDArray[np.float64]  # (count, points, 2) of x and y, px
RGB = NDArray[np.uint8]  # (3,)

BLOCK_SIDE = 9.0  # px, side of an occluding block
STROKE = 1.5  # px, width of lines and curves: half a pen stroke
LINES = 20  # at L=1 on a square canvas
CURVES = 10  # at L=1
DOTS = 120  # at L=1 on a square canvas
DOT = 1.5  # px, radius
FINE = 4  # strokes are drawn on a canvas with this many times the resolution
SUBPIXEL = 4  # bits of cv2's fractional coordinates


def occlusion(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Mid-grey blocks of 9 px cover exactly a share L of the canvas (occluder of Zeiler & Fergus 2014; cutout).

    The blocks lie on a grid with a random origin and appear in random order. L=1: only mid-grey.
    """
    side = BLOCK_SIDE * unit(images)
    draws = (_blocks(images, side, rng) for _ in images)

    def change(image: Image, dose: float, draw: tuple[Floats, Floats]) -> Image:
        before, area = draw
        return blend(image, 128, np.clip((dose - before) / area, 0, 1))

    return each(images, level, draws, change)


def _blocks(images: Images, side: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Per pixel (H, W), as shares of the canvas: the area covered before its block, and the area of its block."""
    rows, columns = (
        np.floor(np.arange(size) / side + rng.random()).astype(int) for size in images.shape[1:3]
    )
    area = np.outer(np.bincount(rows), np.bincount(columns)) / (len(rows) * len(columns))
    order = rng.permutation(area.size)
    before = np.empty(area.size)
    before[order] = np.cumsum(area.flat[order]) - area.flat[order]
    places = np.ix_(rows, columns)
    return before.reshape(area.shape)[places].astype(np.float32), area[places].astype(np.float32)


def lines(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """The first 20 L W/H of a list of straight strokes in the text's colour, 1.5 px wide (cf. MNIST-C's dotted_line).

    A stroke is 14 to 42 px long, with random centre and direction. L=1: the text is lost among strokes like its own.
    """
    height, width = images.shape[1:3]
    count = round(LINES * width / height)
    glyph = SIDE * unit(images)

    def strokes() -> Paths:
        middle = rng.random((count, 1, 2)) * (width, height)
        angle = rng.uniform(0, math.pi, count)
        length = rng.uniform(0.5, 1.5, count) * glyph
        way = np.stack([np.cos(angle), np.sin(angle)], axis=1)[:, None] * length[:, None, None] / 2
        return np.concatenate([middle - way, middle + way], axis=1)

    return _with_strokes(images, level, (strokes() for _ in images))


def curves(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """The first 10 L of a list of sine curves through the text in its colour, 1.5 px wide (captcha's noise curve).

    A curve crosses the whole canvas: height of its axis, amplitude (4 to 14 px), wavelength (28 to 112 px), phase and
    tilt are random. L=1: two fifths of the canvas are covered.
    """
    height, width = images.shape[1:3]
    glyph = SIDE * unit(images)
    x = np.linspace(-1, width, 2 + math.ceil(8 * width / glyph))

    def strikes() -> Paths:
        axis = rng.uniform(0.15, 0.85, (CURVES, 1)) * height
        tilt = rng.uniform(-0.15, 0.15, (CURVES, 1))
        amplitude = rng.uniform(1 / 7, 1 / 2, (CURVES, 1)) * glyph
        wave = rng.uniform(1, 4, (CURVES, 1)) * glyph
        phase = rng.uniform(0, 2 * math.pi, (CURVES, 1))
        y = axis + tilt * (x - width / 2) + amplitude * np.sin(2 * math.pi * x / wave + phase)
        return np.stack([np.broadcast_to(x, y.shape), y], axis=2)

    return _with_strokes(images, level, (strikes() for _ in images))


def dots(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """The first 120 L W/H of a list of dots in the text's colour, 3 px across (captcha's noise dots).

    L=1: they cover two fifths of the canvas.
    """
    height, width = images.shape[1:3]
    count = round(DOTS * width / height)
    radius = DOT * unit(images)
    reach = np.arange(-math.ceil(radius), math.ceil(radius) + 1)
    disc = np.clip(radius + 0.5 - np.hypot(*np.meshgrid(reach, reach)), 0, 1).astype(np.float32)

    def change(image: Image, dose: float, draw: tuple[RGB, NDArray[np.int64]]) -> Image:
        ink, places = draw
        opacity = np.clip(dose * count - np.arange(count), 0, 1, dtype=np.float32)
        seeds = np.zeros(height * width, dtype=np.float32)
        np.maximum.at(seeds, places, opacity)
        cover = cv2.filter2D(seeds.reshape(height, width), -1, disc, borderType=cv2.BORDER_CONSTANT)
        return blend(image, ink, np.minimum(cover, 1))

    places = (rng.integers(height * width, size=count) for _ in images)
    return each(images, level, zip(ink_colour(images), places, strict=True), change)


def _with_strokes(images: Images, level: Levels, draws: Iterable[Paths]) -> Images:
    """Draw the first share of each image's paths in its ink colour; antialiased by FINE x FINE subpixels."""
    height, width = images.shape[1:3]
    thickness = max(1, round(FINE * STROKE * unit(images)))

    def change(image: Image, dose: float, draw: tuple[RGB, Paths]) -> Image:
        ink, paths = draw
        whole, part = divmod(dose * len(paths), 1)
        drawn = list(
            np.rint(paths[: math.ceil(dose * len(paths))] * (FINE << SUBPIXEL)).astype(np.int32)
        )
        mask = np.zeros((FINE * height, FINE * width), dtype=np.uint8)
        cv2.polylines(
            mask, drawn[int(whole) :], False, round(255 * part), thickness, cv2.LINE_8, SUBPIXEL
        )
        cv2.polylines(mask, drawn[: int(whole)], False, 255, thickness, cv2.LINE_8, SUBPIXEL)
        cover = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        return blend(image, ink, cover * np.float32(1 / 255))

    return each(images, level, zip(ink_colour(images), draws, strict=True), change)
