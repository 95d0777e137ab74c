"""Noises that hit a share of the pixels, as in other studies. The level is that share, not an energy.

Energies therefore differ at equal levels: on black or white, impulse changes a hit pixel by 0.5 in the mean square,
gaussian_hit by 0.258. Compare them with other noises by `rmse`, or use salt_and_pepper and gaussian instead. Pixels are
hit in random order: those of a lower level are a subset of those of a higher one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.captcha.noise.canvas import Floats, Image, Images, Levels, each, quantised


def impulse(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """A share L of the pixels becomes black or white, with equal chance (MNIST-C's impulse_noise).

    Half of the black or white pixels that are hit do not change. L=1: nothing of the captcha is left.
    """
    size = images.shape[1] * images.shape[2]
    draws = (
        (rng.permutation(size), rng.integers(2, size=size, dtype=np.uint8) * np.uint8(255))
        for _ in images
    )

    def change(
        image: Image, dose: float, draw: tuple[NDArray[np.int64], NDArray[np.uint8]]
    ) -> NDArray[Any]:
        order, extremes = draw
        return _replaced(image, hit := _first(order, dose), extremes[hit, None])

    return each(images, level, draws, change)


def gaussian_hit(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Grey normal noise of sd 1 (full scale) on a share L of the pixels, clipped. The strength is fixed at any level.

    L=1: every pixel is hit; the best guess whether a pixel was black or white is right in 69 of 100 cases.
    """
    size = images.shape[1] * images.shape[2]
    draws = (
        (rng.permutation(size), rng.standard_normal((size, 1), dtype=np.float32)) for _ in images
    )

    def change(image: Image, dose: float, draw: tuple[NDArray[np.int64], Floats]) -> NDArray[Any]:
        order, z = draw
        hit = _first(order, dose)
        noisy = image.reshape(-1, 3)[hit] + np.float32(255) * z[hit]
        return _replaced(image, hit, quantised(np.clip(noisy, 0, 255)))

    return each(images, level, draws, change)


def _first(order: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """The first pixels in the order, a share of all."""
    return order[: round(share * len(order))]


def _replaced(image: Image, hit: NDArray[np.int64], colours: NDArray[np.uint8]) -> Image:
    """The image with `colours` (hits, 1 or 3) at the hit pixels."""
    pixels = image.reshape(-1, 3).copy()
    pixels[hit] = colours
    return pixels.reshape(image.shape)
