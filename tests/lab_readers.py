"""Shared by the tests of the lab: untrained readers, and glyphs in Kaggle's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stages.reader.networks import initialise
from stages.reader_files import Description, write_reader
from stages.sources.kaggle import KAGGLE_COLUMNS, PIXELS


def keep(folder: Path, **fields: Any) -> Description:
    """An untrained reader, written: of captchas of 33 x 90 px unless told otherwise."""
    usual: dict[str, Any] = {
        "architecture": "ctc",
        "alphabet": "0123456789",
        "height": 33,
        "width": 90,
        "channels": 4,
        "positions": 4,
    }
    description = Description(**usual | fields)
    network: nn.Module = description.build()
    initialise(network, generator=torch.Generator().manual_seed(0))
    write_reader(folder, description, network.state_dict(), {})
    return description


def store_single(folder: Path, **fields: Any) -> Description:
    """Write an untrained reader of single characters."""
    return keep(
        folder, **{"architecture": "heads", "height": 28, "width": 28, "positions": 1} | fields
    )


def bars(classes: str, each: int, *, seed: int = 0) -> tuple[NDArray[np.uint8], list[str]]:
    """Glyphs (n, 28, 28) that are learned quickly, one bar per class at its own height; and their labels."""
    rng = np.random.default_rng(seed)
    labels = list(classes) * each
    images = rng.integers(0, 60, (len(labels), 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        top = 2 + (24 * classes.index(label)) // len(classes)
        image[top : top + 2, 3:21] = rng.integers(180, 256)
    return images, labels


def csv(
    images: NDArray[np.uint8], labels: list[str] | None = None, *, newline: str = "\n"
) -> bytes:
    """Kaggle's layout: label,pixel0…pixel783, or the pixels alone."""
    rows = [PIXELS if labels is None else KAGGLE_COLUMNS]
    for i, image in enumerate(images):
        rows.append(
            ([] if labels is None else [labels[i]]) + [str(value) for value in image.ravel()]
        )
    return "".join(",".join(row) + newline for row in rows).encode()
