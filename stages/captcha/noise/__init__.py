"""The noises by name. They share one signature; level 0 is the identity to the bit; the change never falls with level.

A noise is `(images, level, *, rng) -> images`: images (n, H, W, 3) uint8, never changed in place; level in [0, 1], one
for all images or one per image (n,). An image's random numbers do not depend on any level (common random numbers); they
follow only from its position in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from stages.captcha.noise.blur import gaussian_blur, jpeg, motion_blur, pixelate
from stages.captcha.noise.canvas import Images, Levels, background, ink_colour
from stages.captcha.noise.clutter import curves, dots, lines, occlusion
from stages.captcha.noise.geometry import elastic, rotation, shear, translation, zoom
from stages.captcha.noise.hits import gaussian_hit, impulse
from stages.captcha.noise.photometric import brightness, contrast, fog
from stages.captcha.noise.pixel import (
    gaussian,
    gaussian_rgb,
    salt_and_pepper,
    shot,
    speckle,
    uniform,
)
from stages.schemas.words import CLEAN

__all__ = [
    "EQUAL_ENERGY",
    "NOISES",
    "Images",
    "Levels",
    "Noise",
    "apply",
    "background",
    "ink_colour",
]


class NoiseFunction(Protocol):
    def __call__(self, images: Images, level: Levels, *, rng: np.random.Generator) -> Images: ...


@dataclass(frozen=True)
class Noise:
    """A noise, and what its level is in plain words, a summary of the function's docstring; L is the level."""

    function: NoiseFunction
    dose: str


RMS_CHANGE = "the RMS change of brightness, full scale 1"
NOISES: Mapping[str, Noise] = MappingProxyType(
    {
        "gaussian": Noise(gaussian, RMS_CHANGE),
        "gaussian_rgb": Noise(gaussian_rgb, RMS_CHANGE),
        "uniform": Noise(uniform, RMS_CHANGE),
        "salt_and_pepper": Noise(salt_and_pepper, RMS_CHANGE),
        "shot": Noise(shot, RMS_CHANGE),
        "speckle": Noise(speckle, RMS_CHANGE),
        "gaussian_blur": Noise(gaussian_blur, "the SD of the blur, 5 L px"),
        "motion_blur": Noise(motion_blur, "the length of the motion, 24 L px"),
        "pixelate": Noise(pixelate, "the side of the blocks, 28^L px"),
        "jpeg": Noise(jpeg, "the loss of quality, which is 100^(1−L)"),
        "contrast": Noise(contrast, "the share of the contrast that is lost"),
        "brightness": Noise(brightness, "what is added to the brightness, full scale 1"),
        "fog": Noise(fog, "the share of fog in every pixel"),
        "rotation": Noise(rotation, "the angle, 60 L degrees"),
        "translation": Noise(translation, "the shift, 14 L px"),
        "zoom": Noise(zoom, "how far it shrinks, to 1 − 0.9 L"),
        "shear": Noise(shear, "the slant, 2 L px a row"),
        "elastic": Noise(elastic, "the RMS displacement, 8 L px"),
        "occlusion": Noise(occlusion, "the share of the canvas that is covered"),
        "lines": Noise(lines, "the number of strokes, 20 L on a square"),
        "curves": Noise(curves, "the number of strikes, 10 L"),
        "dots": Noise(dots, "the number of dots, 120 L on a square"),
        "impulse": Noise(impulse, "the share of the pixels that turn black or white"),
        "gaussian_hit": Noise(gaussian_hit, "the share of the pixels that are hit"),
    }
)
EQUAL_ENERGY = tuple(name for name, noise in NOISES.items() if noise.dose == RMS_CHANGE)


def apply(name: str, images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """The images under the named noise; under CLEAN a copy, and nothing is drawn.

    Raises ValueError on a name that is not in NOISES, images that are not (n, H, W, 3) uint8, and levels that are not
    one number in [0, 1] or one per image.
    """
    if name != CLEAN and name not in NOISES:
        raise ValueError(
            f"noise {name!r} does not exist: use {CLEAN} or one of {', '.join(NOISES)}"
        )
    if (
        images.ndim != 4
        or images.shape[3] != 3
        or 0 in images.shape[1:]
        or images.dtype != np.uint8
    ):
        raise ValueError(
            f"noise {name}: images should be (n, H, W, 3) uint8, got {images.shape} {images.dtype}: "
            "stack RGB bytes"
        )
    doses = np.asarray(level, dtype=np.float64)
    if doses.shape not in {(), (len(images),)}:
        raise ValueError(
            f"noise {name}: level should be one number or {len(images)}, one an image, got shape "
            f"{doses.shape}: give as many levels as images"
        )
    bad = doses[~((doses >= 0) & (doses <= 1))]
    if bad.size:
        raise ValueError(
            f"noise {name}: level should be 0 to 1, got {bad.flat[0]:g}: 1 is the end of every scale"
        )
    return images.copy() if name == CLEAN else NOISES[name].function(images, doses, rng=rng)
