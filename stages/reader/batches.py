"""Training captchas as shuffled batches, in a new order each epoch; only a window of them is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (n, H, W, 3), 0 black to 255 white
Labels = NDArray[np.int64]  # (n, T), 1 to A, 0 after the end
WINDOW = 64 * 2**20  # bytes of images that are shuffled together; a single part may have more


class LabelledImages(Protocol):
    """Renderings whose images are read on demand."""

    @property
    def labels(self) -> Labels: ...  # (n, T)

    def images(self) -> Images: ...  # (n, H, W, 3)


def steps_of(parts: Sequence[LabelledImages], batch: int) -> int:
    """Steps per epoch: the number of whole batches, or 1 where there is less than a batch."""
    return max(1, sum(len(part.labels) for part in parts) // batch)


def batches(
    parts: Sequence[LabelledImages], size: int, *, seed: int, epoch: int
) -> Iterator[tuple[Images, Labels]]:
    """`steps_of` batches of images (B, H, W, 3) and labels (B, T): parts in random order, shuffled within a window.

    The incomplete batch at the end of a window goes into the next window; that of the last window is dropped. The order
    derives from (seed, epoch), not from earlier epochs.
    """
    rng = np.random.default_rng((seed, epoch))
    made = 0
    images: list[Images] = []
    labels: list[Labels] = []
    for left, index in zip(range(len(parts) - 1, -1, -1), rng.permutation(len(parts)), strict=True):
        if len(parts[index].labels):
            images.append(parts[index].images())
            labels.append(parts[index].labels)
        if images and (left == 0 or sum(array.nbytes for array in images) >= WINDOW):
            window = _shuffled(images, labels, rng)
            whole = len(window[0]) // size * size
            yield from (
                (window[0][i : i + size], window[1][i : i + size]) for i in range(0, whole, size)
            )
            made += whole // size
            images = [window[0][whole:].copy()]
            labels = [window[1][whole:].copy()]  # a view would hold the window
    if made == 0 and images:  # less than a batch in all
        yield images[0], labels[0]


def _shuffled(
    images: Sequence[Images], labels: Sequence[Labels], rng: np.random.Generator
) -> tuple[Images, Labels]:
    """The rows of several parts in random order; labels (n, T), T the longest of all."""
    lengths = [len(array) for array in images]
    place = np.split(rng.permutation(sum(lengths)), np.cumsum(lengths[:-1]))
    mixed = np.empty((sum(lengths), *images[0].shape[1:]), np.uint8)
    texts = np.zeros((sum(lengths), max(array.shape[1] for array in labels)), np.int64)
    for rows, array, text in zip(place, images, labels, strict=True):
        mixed[rows] = array
        texts[rows, : text.shape[1]] = text
    return mixed, texts
