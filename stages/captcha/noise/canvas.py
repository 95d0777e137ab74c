"""What all noises share: the unit of length, background and ink of a canvas, and a loop over images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.captcha.colour import LUMA
from stages.captcha.glyphs import SIDE

Images = NDArray[np.uint8]  # (n, H, W, 3), 0 black to 255 white
Image = NDArray[np.uint8]  # (H, W, 3)
Levels = float | NDArray[np.float64]  # one level in [0, 1] for all, or one per image (n,)
Floats = NDArray[np.float32]

WEIGHTS = LUMA.astype(np.float32)  # of R, G and B

Draw = TypeVar("Draw")
Change = Callable[
    [Image, float, Draw], NDArray[Any]
]  # to an image; Any because cv2 does not say what it returns


def each(images: Images, level: Levels, draws: Iterable[Draw], change: Change[Draw]) -> Images:
    """`change(image, dose, draw)` per image. At dose 0 the image is unchanged, to the bit.

    `draws` yields the random numbers per image, in order and at any level. So one generator gives the same numbers at
    every dose (common random numbers), and no image depends on the dose of another.
    """
    doses = np.broadcast_to(np.asarray(level, dtype=np.float64), len(images))
    changed = np.array(images, order="C")
    for i, (dose, draw) in enumerate(zip(doses.tolist(), draws, strict=True)):
        if dose > 0:
            changed[i] = change(changed[i], dose, draw)
    return changed


def unit(images: Images) -> float:
    """Unit of length that scales with the glyphs: 1 px where a glyph is 28 px high.

    A canvas is assumed to be 40/28 times as high as its glyphs, or equally high for a single glyph (W <= 1.5 H).
    """
    height, width = images.shape[1:3]
    return float(height / (SIDE if width <= 1.5 * height else 40))


def background(images: Images) -> NDArray[np.uint8]:
    """Median of the border pixels per image and channel, (n, 3)."""
    border = np.concatenate(
        [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1
    )
    return np.asarray(np.sort(border, axis=1)[:, border.shape[1] // 2])


def ink_colour(images: Images) -> NDArray[np.uint8]:
    """Colour farthest from the background per image, (n, 3): the median per channel of the farthest 1 % of the pixels.

    A single thin glyph covers more than 1 %, a few stray pixels less. Where fewer pixels differ from the background,
    all of these count. An image without ink gives its background.
    """
    inks = background(images)
    for i, ground in enumerate(inks.copy()):
        away = colour_distance(images[i], ground)
        that_far = np.cumsum(np.bincount(away.ravel(), minlength=256)[::-1])[
            ::-1
        ]  # pixels at each distance or farther
        threshold = np.flatnonzero(that_far >= max(1, away.size // 100))[-1]
        farthest = images[i][away >= max(1, threshold)]
        if len(farthest):
            inks[i] = np.sort(farthest, axis=0)[len(farthest) // 2]
    return inks


def ink_places(image: Image, ground: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Places of ink, (2, count) of x and y in px: pixels at least a quarter as far from `ground` as the farthest."""
    away = colour_distance(image, ground)
    y, x = np.nonzero(away >= max(1, int(away.max()) // 4))
    return np.stack([x, y])


def colour_distance(image: Image, ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean absolute difference of the channels of each pixel from a colour, (H, W)."""
    away = cv2.absdiff(image.reshape(len(image), -1), np.tile(ground, (len(image), image.shape[1])))
    return np.asarray(
        cv2.transform(away.reshape(image.shape), np.full((1, 3), 1 / 3)), dtype=np.uint8
    )


def blend(image: Image, colour: NDArray[np.uint8] | Floats | int, opacity: Floats | float) -> Image:
    """Paint `colour`, one (3,) or grey per pixel (H, W), over the image with `opacity`, one or per pixel (H, W)."""
    height, width = image.shape[:2]
    x = image.reshape(height, 3 * width).astype(np.float32)
    paint = _by_channel(np.asarray(colour, dtype=np.float32), width)
    x += (paint - x) * _by_channel(np.asarray(opacity, dtype=np.float32), width)
    return quantised(x).reshape(image.shape)


def _by_channel(value: Floats, width: int) -> Floats:
    """A number, colour (3,) or field (H, W) in the layout of rows (H, 3 W), in which numpy is fast."""
    if value.ndim == 2:
        return np.asarray(cv2.merge([value] * 3), dtype=np.float32).reshape(len(value), 3 * width)
    return np.tile(value, width) if value.ndim == 1 else value


def quantised(x: Floats) -> Image:
    """Floats in 0 to 255 as bytes; `x` is rounded in place."""
    return np.rint(x, out=x).astype(np.uint8)
