"""Photometric noises: contrast, brightness, fog. The change of every pixel grows with the level until it clips."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.captcha.glyphs import SIDE
from stages.captcha.noise.canvas import Floats, Image, Images, Levels, blend, each, unit

OCTAVES = 5  # cells of 28, 14, 7, 3.5 and 1.75 px where a glyph is 28 px high


def contrast(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Mean + (1 - L)(x - mean), per channel (Hendrycks & Dietterich 2019, contrast).

    Pixels move towards the mean of the image and not towards mid-grey: brightness does not change, for any colours.
    L=1: flat. The remaining contrast is rounded to 8 bits. Draws nothing.
    """

    def change(image: Image, dose: float, _: None) -> NDArray[Any]:
        return _mapped(image, lambda x: x + dose * (np.array(cv2.mean(image)[:3]) - x))

    return each(images, level, repeat(None, len(images)), change)


def brightness(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """x + L, clipped: over-exposure (MNIST-C's brightness, which adds to HSV's value: the same on grey).

    L=1: white. White pixels do not change: black on white is lost only when black has become white.
    Draws nothing.
    """
    return each(
        images,
        level,
        repeat(None, len(images)),
        lambda image, dose, _: _mapped(image, lambda x: np.minimum(x + 255 * dose, 255)),
    )


def _mapped(
    image: Image, curve: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[Any]:
    """The image through a curve of 0 to 255 per channel (a table of 256 is faster than arithmetic on the pixels)."""
    values = np.repeat(np.arange(256.0)[:, None], 3, axis=1)
    return np.asarray(cv2.LUT(image, np.rint(curve(values)).astype(np.uint8)[:, None]))


def fog(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """(1 - L) x + L f with a grey fractal f in [0, 1], one per image (imagecorruptions' fog adds a plasma fractal).

    L=1: only the texture, nothing of the captcha.
    """
    draws = (fractal(images, rng) for _ in images)
    return each(images, level, draws, lambda image, dose, field: blend(image, field, dose))


def fractal(images: Images, rng: np.random.Generator) -> Floats:
    """Value noise in octaves, each with half the cell size and half the weight of the previous one (Ebert et al. 1994).

    Returns (H, W), stretched to [0, 255].
    """
    height, width = images.shape[1:3]
    field = np.zeros((height, width), dtype=np.float32)
    for octave in range(OCTAVES):
        cell = SIDE * unit(images) / 2**octave
        lattice = rng.random((int(height / cell) + 2, int(width / cell) + 2), dtype=np.float32)
        field += cv2.resize(lattice, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    field -= field.min()
    return np.asarray(field * np.float32(255 / max(float(field.max()), 1e-6)))
