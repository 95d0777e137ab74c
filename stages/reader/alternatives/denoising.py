"""Denoising before reading: images in, images out, each independent. All methods are blind to type and level of noise.

median     Median filter of 3 x 3 pixels, per channel (Tukey 1977). It removes isolated pixels.
bilateral  Bilateral filter: a mean weighted by distance and similarity (Tomasi & Manduchi 1998).
nlm        Non-local means: a mean of pixels with similar neighbourhoods (Buades, Coll & Morel 2005), R, G, B jointly.
pca        Every 8 x 8 patch projected on the principal components of clean patches (`patch_projection`).
learned    A small convolutional autoencoder that predicts the noise (`denoising_autoencoder`).

pca and learned have a state, which `fit_pca` and `fit_learned` return: tensors whose names begin with PREFIX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from torch import nn

from stages.reader.alternatives.denoising_autoencoder import load_autoencoder
from stages.reader.alternatives.denoising_state import PREFIX, Image, State
from stages.reader.alternatives.patch_projection import projection
from stages.reader.architectures import DENOISERS
from stages.reader.batches import Images
from stages.reader.inference import batches_of, to_batch
from stages.reader.threads import cores, map_batches

Denoiser = Callable[[Images], Images]

MEDIAN = 3  # px, side of the window; 5 px removes thin strokes
MIN_SIGMA = 1.0  # of 255: nlm and bilateral do not change an image with less noise
RANGE_SIGMA = 6.0  # bilateral: range sigma in standard deviations of the noise; OpenCV adds up three channels, so
# this is the 2 of Zhang & Gunturk (2008) for grey noise
NEARNESS = 1.8  # px, bilateral: spatial sigma (Zhang & Gunturk 2008)
STRENGTH = 1.0  # nlm: h in standard deviations of the noise
PATCH = 5  # px, nlm: side of a neighbourhood
SEARCH = 15  # px, nlm: side of the search window


def denoise(
    images: Images, method: str, state: State | None = None, *, device: torch.device | None = None
) -> Images:
    """A denoised copy of images (n, H, W, 3) uint8 of any H and W.

    Raises ValueError on another shape or type, an unknown method, and a state that is not one of this method.
    """
    return build_denoiser(method, {} if state is None else state, device=device)(images)


def build_denoiser(method: str, state: State, *, device: torch.device | None = None) -> Denoiser:
    """The method as a function, its state checked once; `device` (default: CPU) is where `learned` runs.

    Raises ValueError, one line, on an unknown method or a state that has a tensor missing, unknown, of another shape or
    not finite.
    """
    if method not in DENOISERS:
        raise ValueError(f"denoise: expected one of {', '.join(DENOISERS)}, got {method!r}")
    own = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in state.items()
        if name.startswith(PREFIX)
    }
    if method == "pca":
        return _checked(_by_image(projection(own)))
    if method == "learned":
        return _checked(_by_network(load_autoencoder(own), device or torch.device("cpu")))
    if method == "none" and not own:
        return _checked(np.copy)  # at once: image by image, it takes a second per reader
    if own:
        raise ValueError(
            f"denoise: {method} has no state, got {PREFIX}{min(own)}: fit the reader again"
        )
    changes: Mapping[str, Callable[[Image], Image]] = {
        "median": median,
        "nlm": non_local_means,
        "bilateral": bilateral,
    }
    return _checked(_by_image(changes[method]))


def _checked(denoiser: Denoiser) -> Denoiser:
    def checked(images: Images) -> Images:
        if (
            images.ndim != 4
            or images.shape[3] != 3
            or 0 in images.shape[1:]
            or images.dtype != np.uint8
        ):
            raise ValueError(
                f"denoise: images should be (n, H, W, 3) uint8, got {images.shape} {images.dtype}: "
                "stack RGB bytes"
            )
        return denoiser(images) if len(images) else images.copy()

    return checked


def _by_image(change: Callable[[Image], Image]) -> Denoiser:
    def denoiser(images: Images) -> Images:
        with _one_cv_thread(), ThreadPoolExecutor(cores()) as pool:
            return np.stack(list(pool.map(change, np.ascontiguousarray(images))))

    return denoiser


@contextmanager
def _one_cv_thread() -> Iterator[None]:
    """Limit OpenCV to one thread: its threads synchronise at every small image; here each core has its own images."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def median(image: Image) -> Image:
    return np.asarray(cv2.medianBlur(image, MEDIAN))


def bilateral(image: Image) -> Image:
    """Bilateral filter scaled by the estimated noise; without noise, the image is unchanged."""
    noise = noise_of(image)
    if noise < MIN_SIGMA:
        return image.copy()
    return np.asarray(cv2.bilateralFilter(image, 7, RANGE_SIGMA * noise, NEARNESS))


def non_local_means(image: Image) -> Image:
    """Non-local means scaled by the estimated noise; without noise, the image is unchanged."""
    noise = noise_of(image)
    if noise < MIN_SIGMA:
        return image.copy()
    return np.asarray(cv2.fastNlMeansDenoising(image, None, STRENGTH * noise, PATCH, SEARCH))


def noise_of(image: Image) -> float:
    """The estimated standard deviation of white noise in an image, of 255.

    Immerkær's (1996) difference of two Laplacians, which is 0 for constant and linear intensity. The median of its
    absolute values replaces his mean, since strokes cover less than half of a captcha (Donoho & Johnstone 1994).
    """
    mask = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)
    response = cv2.filter2D(image, cv2.CV_32F, mask)
    return float(np.median(np.abs(response))) / (6 * 0.6745)


def _by_network(network: nn.Module, device: torch.device) -> Denoiser:
    network = network.to(device)

    def batch(images: Images) -> Images:
        with torch.inference_mode():
            found = network(to_batch(images).to(device)).round().clamp(0, 255).byte()
        return np.ascontiguousarray(found.permute(0, 2, 3, 1).cpu().numpy())

    def denoiser(images: Images) -> Images:
        return np.concatenate(map_batches(batch, batches_of(images), device))

    return denoiser
