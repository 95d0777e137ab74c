"""The noises by name. They share one signature; level 0 is the identity to the bit; the change never falls with level.

A noise is `(images, level, *, rng) -> images`: images (n, H, W, 3) uint8, never changed in place; level in [0, 1], one
for all images or one per image (n,). An image's random numbers do not depend on any level (common random numbers); they
follow only from its position in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
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

__all__ = ["NOISES", "Images", "Levels", "Noise", "apply", "background", "ink_colour"]


class NoiseFunction(Protocol):
    def __call__(self, images: Images, level: Levels, *, rng: np.random.Generator) -> Images: ...


NOISES: Mapping[str, NoiseFunction] = MappingProxyType(
    {
        "gaussian": gaussian,
        "gaussian_rgb": gaussian_rgb,
        "uniform": uniform,
        "salt_and_pepper": salt_and_pepper,
        "shot": shot,
        "speckle": speckle,
        "gaussian_blur": gaussian_blur,
        "motion_blur": motion_blur,
        "pixelate": pixelate,
        "jpeg": jpeg,
        "contrast": contrast,
        "brightness": brightness,
        "fog": fog,
        "rotation": rotation,
        "translation": translation,
        "zoom": zoom,
        "shear": shear,
        "elastic": elastic,
        "occlusion": occlusion,
        "lines": lines,
        "curves": curves,
        "dots": dots,
        "impulse": impulse,
        "gaussian_hit": gaussian_hit,
    }
)


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
    return images.copy() if name == CLEAN else NOISES[name](images, doses, rng=rng)
