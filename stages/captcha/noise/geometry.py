"""Geometric noises: they move the ink. Pixels from beyond the canvas are background.

The change of luma says little here: once strokes have left their place, a longer way changes no more pixels. So the
dose is the distance that the ink moves: degrees, px, scale. Lengths scale with the glyphs (1 px at 28 px of height).
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.captcha.noise.canvas import (
    Floats,
    Image,
    Images,
    Levels,
    background,
    each,
    ink_places,
    unit,
)

Matrix = NDArray[np.float64]  # (2, 2), a linear map of places (x, y) about the centre of the canvas
RGB = NDArray[np.uint8]  # (3,)


def rotation(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Rotate by 60 L degrees about the centre, either way (MNIST-C's rotate; at most 60 degrees: a 6 stays a 6).

    A wide captcha is shrunk only as far as its ink must be to stay on the canvas: reading it is then hard but possible.
    Four digits of 110x30 px on 40x128 shrink to about 0.5 at L=0.5 and 0.4 at L=1, a single glyph hardly.
    """
    turn = math.radians(60)

    def matrix(dose: float, sign: float) -> Matrix:
        angle = turn * dose * sign
        return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    draws = zip(background(images), (_sign(rng) for _ in images), strict=True)
    return each(
        images, level, draws, lambda image, dose, draw: _fit(image, matrix(dose, draw[1]), draw[0])
    )


def translation(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Shift by 14 L px in a random direction (MNIST-C's translate, any direction). Ink outside the canvas is lost.

    L=1: half the height of a glyph, so that up to half of every glyph is cut off.
    """
    length = 14 * unit(images)

    def change(image: Image, dose: float, draw: tuple[RGB, float]) -> NDArray[Any]:
        colour, angle = draw
        shift = length * dose * np.array([[math.cos(angle)], [math.sin(angle)]])
        return _warp(image, np.hstack([np.eye(2), shift]), colour)

    draws = zip(background(images), (rng.uniform(0, 2 * math.pi) for _ in images), strict=True)
    return each(images, level, draws, change)


def zoom(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Shrink to 1 - 0.9 L about the centre (MNIST-C's scale). L=1: a glyph is 3 px high. Draws nothing."""
    return each(
        images,
        level,
        background(images),
        lambda image, dose, colour: _about_centre(image, np.eye(2) * (1 - 0.9 * dose), colour),
    )


def shear(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Slant by 2 L px per row, left or right, about the middle row (MNIST-C's shear); shrunk like `rotation` if needed.

    L=1: vertical strokes lean by 63 degrees.
    """
    draws = zip(background(images), (_sign(rng) for _ in images), strict=True)
    return each(
        images,
        level,
        draws,
        lambda image, dose, draw: _fit(image, np.array([[1, 2 * dose * draw[1]], [0, 1]]), draw[0]),
    )


def elastic(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Random displacement of 8 L px rms, smoothed by a normal of sd 4 px (Simard et al. 2003, who used it on MNIST).

    L=0.1 looks like a shaky hand; from L=0.5 the field folds; at L=1 strokes break into pieces.
    """
    height, width = images.shape[1:3]
    length = 8 * unit(images)
    smoothing = 4 * unit(images)
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )

    def change(image: Image, dose: float, draw: tuple[RGB, Floats]) -> NDArray[Any]:
        colour, noise = draw
        right, down = (
            cv2.GaussianBlur(plane, (0, 0), smoothing, borderType=cv2.BORDER_REFLECT)
            for plane in noise
        )
        scale = length * dose / math.sqrt(np.mean(np.square(right)) + np.mean(np.square(down)))
        moved = cv2.remap(
            image,
            columns + right * np.float32(scale),
            rows + down * np.float32(scale),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=colour.tolist(),
        )
        return np.asarray(moved)

    noises = (rng.standard_normal((2, height, width), dtype=np.float32) for _ in images)
    return each(images, level, zip(background(images), noises, strict=True), change)


def _sign(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


def _fit(image: Image, matrix: Matrix, colour: RGB) -> NDArray[Any]:
    """Map about the centre, shrunk only as far as the ink must be to stay on the canvas."""
    half = np.array(image.shape[1::-1])[:, None] / 2
    ink = np.abs(matrix @ (ink_places(image, colour) + 0.5 - half))  # from the centre, px
    return _about_centre(image, matrix * np.min(half / np.maximum(ink, half), initial=1), colour)


def _about_centre(image: NDArray[Any], matrix: Matrix, colour: RGB) -> NDArray[Any]:
    """Map about the centre. What shrinks is smoothed first, so that thin strokes do not fall between the pixels."""
    centre = np.array([[image.shape[1] - 1], [image.shape[0] - 1]]) / 2
    shrunk = abs(np.linalg.det(matrix))
    if shrunk < 1:
        sd = 0.5 * math.sqrt(1 / shrunk - 1)
        image = cv2.GaussianBlur(image, (0, 0), sd, borderType=cv2.BORDER_REPLICATE)
    return _warp(image, np.hstack([matrix, centre - matrix @ centre]), colour)


def _warp(image: NDArray[Any], matrix: Matrix, colour: RGB) -> NDArray[Any]:
    """Affine map (2, 3) of places (x, y), bilinear."""
    moved = cv2.warpAffine(
        image,
        matrix,
        image.shape[1::-1],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=colour.tolist(),
    )
    return np.asarray(moved)
