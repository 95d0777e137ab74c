"""Data augmentation: random geometric distortion, drawn anew each epoch, so that a reader generalises over drawings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.reader.batches import Images, Labels

# Maxima at strength 1, in either direction; each image draws its own values, uniformly. Lengths are shares of the
# image's height.
ROTATION = 12.0  # degrees
SHEAR = 0.2  # px per px
ZOOM = 0.15  # of the size, per axis
SHIFT = 0.08
WAVE = 0.035  # standard deviation of the elastic displacement (Simard, Steinkraus & Platt 2003)
KNOT = 0.25  # distance between two knots of that displacement
SHARE = 0.5  # of the images; the others stay unchanged, since interpolation smooths the noise in an image


def augmented_batches(
    batches: Iterable[tuple[Images, Labels]], strength: float, *, seed: int, epoch: int
) -> Iterator[tuple[Images, Labels]]:
    """Batches with half of their images augmented; distortions derive from (seed, epoch) and the place of the batch.

    Images (B, H, W, 3), labels (B, T); strength is 0 or more.
    """
    rng = np.random.default_rng((seed, epoch, 1))
    for images, labels in batches:
        yield (images if strength == 0 else augmented_images(images, strength, rng=rng)), labels


def augmented_images(images: Images, strength: float, *, rng: np.random.Generator) -> Images:
    """A copy of images (n, H, W, 3), a share of which is rotated, sheared, zoomed, shifted and elastically distorted.

    The pixels of the border are replicated beyond it. Strength 0 changes nothing.
    """
    height, width = images.shape[1:3]
    # px from the centre
    across, down = (np.arange(size, dtype=np.float32) - (size - 1) / 2 for size in (width, height))
    knots = [max(2, round(size / (KNOT * height)) + 1) for size in (height, width)]
    result = images.copy()
    for i in np.flatnonzero(rng.random(len(images)) < SHARE):
        (xx, xy), (yx, yy), (x, y) = _affine(strength, height, rng)
        waves = rng.standard_normal((*knots, 2), dtype=np.float32) * np.float32(
            WAVE * strength * height
        )
        source = cv2.resize(waves, (width, height), interpolation=cv2.INTER_CUBIC)  # (H, W, xy)
        source[..., 0] += (xx * across + (x + (width - 1) / 2)) + (xy * down)[:, None]
        source[..., 1] += yx * across + (yy * down + (y + (height - 1) / 2))[:, None]
        result[i] = cv2.remap(
            images[i], source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return result


def _affine(strength: float, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(3, 2): two rows map a place in the augmented image, px from its centre, into the image; the third is a shift."""
    angle, shear, across, down, right, low = strength * rng.uniform(-1, 1, 6)
    turn = np.deg2rad(ROTATION * angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = (
        rotation
        @ np.array([[1, SHEAR * shear], [0, 1]])
        @ np.diag(np.exp([ZOOM * across, ZOOM * down]))
    )
    return np.vstack([linear, [right * SHIFT * height, low * SHIFT * height]]).astype(np.float32)
