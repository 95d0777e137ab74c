"""Pixel noises. The level is the RMS change of luma (full scale = 1) that each image gets, after clipping.

Clipping at black and white removes half of the energy there, and independent RGB noise has only 0.669 of the luma
spread of grey noise. So the strength is solved per image, with the image's own draws: equal levels mean equal energy
for any type, polarity and colour. A level that an image cannot reach gives the strongest noise of the type. That turns
every pixel black or white, an RMS change of sqrt(mean((Y^2 + (1-Y)^2) / 2)): 0.707 on black and white, 0.5 on mid-grey.
Exceptions are `shot` and `speckle`, which cannot change black.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.captcha.noise.canvas import WEIGHTS, Floats, Image, Images, Levels, each, quantised

STRONGEST = 64.0  # strength at which a level counts as unreachable: nearly every pixel is clipped
TOLERANCE = 1e-3  # of the RMS change, relative
TRIALS = 12  # maximum number of evaluations of the RMS change; four or five are typical


def gaussian(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Grey normal noise, like that of sensor electronics (Hendrycks & Dietterich 2019, gaussian_noise, sd solved).

    L is the RMS change of luma; reached up to about 0.707 on black and white, 0.5 on mid-grey. L=1: random black and
    white, nothing of the captcha.
    """
    draws = (_normal(images, 1, rng) for _ in images)
    return each(images, level, draws, lambda image, dose, z: _add(image, z, dose))


def gaussian_rgb(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Normal noise, independent in R, G and B (imagecorruptions' gaussian_noise on RGB, sd solved).

    L is the RMS change of luma, so each channel gets 1/0.669 times the sd of grey noise; reached up to about 0.60 on
    black and white, where every channel is random.
    """
    draws = (_normal(images, 3, rng) for _ in images)
    return each(images, level, draws, lambda image, dose, z: _add(image, z, dose))


def uniform(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Grey uniform noise (Geirhos et al. 2018, uniform noise, half-width solved).

    L is the RMS change of luma (half-width / sqrt(3) without clipping); reachable levels as for `gaussian`.
    """
    draws = (rng.random((*images.shape[1:3], 1), dtype=np.float32) * 2 - 1 for _ in images)
    return each(images, level, draws, lambda image, dose, z: _add(image, z, dose))


def shot(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Photon noise x + s sqrt(x) z: the normal limit of Poisson(x c) / c with c = 1/s^2 photons at white.

    The variance follows the signal (Foi et al. 2008; MNIST-C's shot_noise). The normal limit lets one draw serve every
    level. L is the RMS change of luma. Black stays black: a share w of white on black reaches only 0.707 sqrt(w), black
    on white about 0.707.
    """
    draws = (_normal(images, 1, rng) for _ in images)
    return each(
        images,
        level,
        draws,
        lambda image, dose, z: _add(image, z * np.sqrt(image, dtype=np.float32), dose),
    )


def speckle(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Multiplicative noise x (1 + s z), as of coherent light (Hendrycks & Dietterich 2019, speckle_noise, s solved).

    L is the RMS change of luma; reachable levels as for `shot`.
    """
    draws = (_normal(images, 1, rng) for _ in images)
    return each(
        images, level, draws, lambda image, dose, z: _add(image, z * image.astype(np.float32), dose)
    )


def salt_and_pepper(images: Images, level: Levels, *, rng: np.random.Generator) -> Images:
    """Pixels set to black or white, with equal chance (MNIST-C's impulse_noise, share solved).

    L is the RMS change of luma: pixels are hit in random order until it is reached. On black and white that is a share
    2 L^2. From L = 0.707 there, and from 0.5 on mid-grey, all pixels are hit and nothing of the captcha is left.
    """
    size = images.shape[1] * images.shape[2]
    draws = (
        (rng.permutation(size), rng.integers(2, size=size, dtype=np.uint8) * np.uint8(255))
        for _ in images
    )
    return each(images, level, draws, _with_impulses)


def _with_impulses(
    image: Image, dose: float, draw: tuple[NDArray[np.int64], NDArray[np.uint8]]
) -> Image:
    """Set the first pixels in the order of `draw` to its black or white, until the change of luma is the dose."""
    order, extremes = draw
    pixels = image.reshape(-1, 3).copy()
    energy = np.square(pixels @ WEIGHTS - extremes)
    spent = np.cumsum(energy[order], dtype=np.float64)
    hit = order[: np.searchsorted(spent, (dose * 255) ** 2 * len(order))]
    pixels[hit] = extremes[hit, None]
    return pixels.reshape(image.shape)


def _normal(images: Images, channels: int, rng: np.random.Generator) -> Floats:
    return rng.standard_normal((*images.shape[1:3], channels), dtype=np.float32)


def _add(image: Image, noise: Floats, dose: float) -> Image:
    """Image plus the multiple of `noise` (H, W, 1 or 3) whose RMS change of luma, after clipping, is the dose."""
    if noise.shape[2] == 3 or _is_grey(image):
        x = image[..., : noise.shape[2]].astype(np.float32)
    else:
        x, noise = image.astype(np.float32), np.repeat(noise, 3, axis=2)
    least = -x
    most = 255 - x
    delta = np.empty_like(x)
    full = _rms(noise)
    if full == 0:  # photon noise of a black image
        return image

    def change(strength: float) -> float:
        np.multiply(noise, np.float32(255 * strength / full), out=delta)
        np.minimum(np.maximum(delta, least, out=delta), most, out=delta)
        return _rms(delta) / 255

    _solve(change, dose)
    delta += x
    return np.broadcast_to(quantised(delta), image.shape)


def _is_grey(image: Image) -> bool:
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())


def _rms(field: Floats) -> float:
    """Root mean square of the luma of a field (H, W, 1 or 3). No BLAS: its sums differ with its threads."""
    luma = np.asarray(cv2.transform(field, WEIGHTS[None])) if field.shape[2] == 3 else field
    return math.sqrt(float(np.square(luma).mean()))


def _solve(change: Callable[[float], float], dose: float) -> None:
    """Call `change` (increasing, change(s) <= s) until it returns the dose; if no strength does, last with STRONGEST.

    Secant method in log-log scale, bounded by the last strengths that were too weak and too strong.
    """
    weak = 0.0
    strong = math.inf
    strength = min(1.4 * dose, STRONGEST)
    slope = 1.0
    before: tuple[float, float] | None = None
    for _ in range(TRIALS):
        got = change(strength)
        if (
            got == 0
            or abs(got - dose) <= TOLERANCE * dose
            or (got < dose and strength == STRONGEST)
        ):
            return
        weak, strong = (strength, strong) if got < dose else (weak, strength)
        if before is not None and got != before[1]:
            slope = math.log(got / before[1]) / math.log(strength / before[0])
        before = (strength, got)
        step = min(strength * (dose / got) ** (1 / max(slope, 0.05)), STRONGEST)
        strength = step if weak < step < strong else math.sqrt(weak * strong)
