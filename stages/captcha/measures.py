"""Distance of a rendering from its clean version: RMS change of luma, and structural similarity (SSIM)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (n, H, W, 3)
Lumas = NDArray[np.float32]  # (n, H, W), 0 black to 1 white

DOSE_VARIABLES = (
    "level",
    "rmse",
    "ssim_loss",
)  # how a dose may be measured: nominal, RMS change, 1 - SSIM
WINDOW = 7  # px, of the structural similarity
TOGETHER = 10  # images per call of the window sums: few calls, and the data fit the cache


def lumas(images: Images) -> Lumas:
    """Luma (n, H, W) of images, by ITU-R BT.601."""
    scaled = images.reshape(-1, *images.shape[2:])  # one tall image: OpenCV takes no batch
    grey = cv2.cvtColor(np.ascontiguousarray(scaled).astype(np.float32), cv2.COLOR_RGB2GRAY)
    return (np.asarray(grey, np.float32) / np.float32(255)).reshape(images.shape[:3])


def rmse(clean: Lumas, noisy: Lumas) -> NDArray[np.float32]:
    """Root mean squared change of luma (n,), full scale = 1."""
    change = (noisy - clean).reshape(len(clean), -1)
    root: NDArray[np.float32] = np.sqrt(np.einsum("np,np->n", change, change) / change.shape[1])
    return root


def ssim(clean: Lumas, noisy: Lumas) -> NDArray[np.float32]:
    """Mean structural similarity (n,) in 7x7 windows, with K1 = .01, K2 = .03 (Wang, Bovik, Sheikh & Simoncelli, 2004).

    The covariance is the sample covariance (N - 1), as in scikit-image. A border of 3 px is left out, as there.
    """
    height, width = clean.shape[1:]
    if height < WINDOW or width < WINDOW:
        raise ValueError(
            f"structural similarity needs at least {WINDOW} x {WINDOW} px, got {width} x {height}"
        )
    means = [
        similarity.mean()
        for first in range(0, len(clean), TOGETHER)
        for similarity in _ssim(clean[first : first + TOGETHER], noisy[first : first + TOGETHER])
    ]
    return np.array(means, np.float32)


def _ssim(a: Lumas, b: Lumas) -> Lumas:
    """Structural similarity per window inside its image, (n, H - 6, W - 6)."""
    sample = WINDOW**2 / (WINDOW**2 - 1)
    mean_a = _mean(a)
    mean_b = _mean(b)
    variance_a = sample * (_mean(a * a) - mean_a * mean_a)
    variance_b = sample * (_mean(b * b) - mean_b * mean_b)
    covariance = sample * (_mean(a * b) - mean_a * mean_b)
    c1 = 0.01**2
    c2 = 0.03**2
    ratio = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)
             / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)))  # fmt: skip
    edge = WINDOW // 2
    return np.asarray(ratio[:, edge:-edge, edge:-edge], np.float32)


def _mean(x: Lumas) -> Lumas:
    """Mean of the window around each pixel (n, H, W). Near an image's edge it includes pixels of the next image."""
    tall = x.reshape(-1, x.shape[2])
    return np.asarray(cv2.blur(tall, (WINDOW, WINDOW)), np.float32).reshape(x.shape)
