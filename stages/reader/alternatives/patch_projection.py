"""Denoising by principal components of patches (Muresan & Parks 2003, without shrinkage)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.reader.alternatives.denoising_state import PREFIX, Image, State
from stages.reader.batches import Images

SIDE = 8  # px, of a patch
STRIDE = 4  # px, between the patches that the eigenvectors are fitted on
VARIANCE = 0.95  # share of the variance of clean patches that is retained


def fit_pca(images: Images, *, variance: float = VARIANCE) -> dict[str, Tensor]:
    """The state of `pca`: the first eigenvectors (k, 8, 8) of patches of clean images (n, H, W, 3), minus their mean.

    k is the smallest number that explains the share `variance` of the variance. Colour channels are treated as separate
    images, so that neither polarity nor hue matters. Raises ValueError on images below 8 x 8 px, and where all patches
    are constant.
    """
    if not len(images) or min(images.shape[1:3]) < SIDE:
        raise ValueError(
            f"denoise: pca needs images of at least {SIDE} x {SIDE} px, got {images.shape}"
        )
    scatter = np.zeros((SIDE**2, SIDE**2))
    for image in images:
        windows = np.lib.stride_tricks.sliding_window_view(image, (SIDE, SIDE), (0, 1))[
            ::STRIDE, ::STRIDE
        ]
        patches = windows.reshape(-1, SIDE**2).astype(np.float64)
        patches -= patches.mean(1, keepdims=True)
        scatter += patches.T @ patches
    values, vectors = np.linalg.eigh(scatter)  # ascending
    share = np.cumsum(values[::-1]) / max(values.sum(), np.finfo(float).tiny)
    if share[-1] < 0.5:
        raise ValueError("denoise: pca needs images with something in them, got even ones")
    components = min(SIDE**2 - 1, int(np.searchsorted(share, variance)) + 1)
    first = np.ascontiguousarray(vectors[:, ::-1][:, :components].T, np.float32)
    return {f"{PREFIX}eigenvectors": torch.from_numpy(first.reshape(components, SIDE, SIDE))}


def _eigenvectors(own: State) -> NDArray[np.float64]:
    vectors = own.get("eigenvectors")
    if (
        set(own) != {"eigenvectors"}
        or vectors is None
        or vectors.ndim != 3
        or vectors.shape[1:] != (SIDE, SIDE)
        or not 1 <= len(vectors) < SIDE**2
        or not bool(torch.isfinite(vectors).all())
    ):
        raise ValueError(
            f"denoise: the state of pca should be {PREFIX}eigenvectors, (1 to {SIDE**2 - 1}, {SIDE}, "
            f"{SIDE}) and finite, got {_shapes(own)}: fit the reader again"
        )
    return vectors.double().cpu().numpy()


def projection(own: State) -> Callable[[Image], Image]:
    """Project all patches and average those that overlap a pixel: one convolution with a 15 x 15 kernel.

    `own` is the state, its names without the prefix. Raises ValueError where the state is not one of `pca`.
    """
    vectors = _eigenvectors(own)
    kernel = np.zeros((2 * SIDE - 1, 2 * SIDE - 1))
    for vector in [
        np.full((SIDE, SIDE), 1 / SIDE),
        *vectors,
    ]:  # the first preserves the mean of a patch
        padded = np.pad(vector, SIDE - 1)
        kernel += np.einsum(
            "ijkl,kl->ij", np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE)), vector
        )
    kernel /= SIDE**2
    return lambda image: np.asarray(
        cv2.filter2D(image, cv2.CV_8U, kernel, borderType=cv2.BORDER_REFLECT_101)
    )


def _shapes(own: State) -> str:
    return (
        ", ".join(f"{PREFIX}{name} {tuple(tensor.shape)}" for name, tensor in sorted(own.items()))
        or "nothing"
    )
