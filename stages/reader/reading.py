"""Reading images with a fitted network, in batches of bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.reader.batches import Images
from stages.reader.decoding import (
    Doubles,
    Readings,
    decode_ctc,
    decode_positions,
    likeliest_texts,
    text_probability,
)
from stages.reader.halves import one_thread
from stages.reader.networks import Ctc, fused
from stages.reader.precision import arithmetic

BATCH = 100  # captchas read at a time; part of the result, since rounding may differ with it


class Recogniser:
    """A fitted network made ready to read: normalisations folded, on its device, in its precision.

    Its logits are divided by `temperature`, which changes confidences and no reading; `denoiser` sees the images first.
    """

    def __init__(self, network: nn.Module, *, precision: str, device: torch.device, temperature: float = 1.0,
                 denoiser: Callable[[Images], Images] = lambda images: images) -> None:
        self.network = fused(network).to(device)
        self.precision, self.device, self.temperature, self.denoiser = precision, device, temperature, denoiser

    def logits(self, images: Images) -> NDArray[np.float32]:
        """Logits (n, S, A + 1) of images (n, H, W, 3)."""
        images = self.denoiser(images)
        batches = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
        workers = cores() if self.device.type == "cpu" else 1
        with one_thread(), ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            result: NDArray[np.float32] = np.concatenate(list(pool.map(self._logits, batches)))
        return result / np.float32(self.temperature)

    def _logits(self, images: Images) -> NDArray[np.float32]:
        with torch.inference_mode(), autocast(self.precision, self.device):
            logits: NDArray[np.float32] = self.network(to_batch(images).to(self.device)).cpu().numpy()
        return logits

    def decode(self, logits: NDArray[np.float32]) -> Readings:
        return decode_ctc(logits) if isinstance(self.network, Ctc) else decode_positions(logits)

    def read(self, images: Images) -> Readings:
        """What the network reads in images (n, H, W, 3), n >= 1."""
        return self.decode(self.logits(images))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def to_batch(images: Images) -> Tensor:
    """Images (B, H, W, 3) as a tensor (B, 3, H, W) in channels-last memory, where they lie already."""
    writable = images if images.flags.writeable else images.copy()  # torch has no read-only tensors
    return torch.from_numpy(writable).permute(0, 3, 1, 2)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """bf16: convolutions and products in bfloat16, sums and losses in float32. Otherwise nothing is changed."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def choose_device(device: str) -> torch.device:
    """auto is cuda where there is one, and never mps, which is untested.

    Raises ValueError where cuda or mps is asked for and absent.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if (device == "cuda" and not torch.cuda.is_available()) or \
            (device == "mps" and not torch.backends.mps.is_available()):
        raise ValueError(f"device: {device} was asked for, but torch finds none: set it to auto or cpu")
    return torch.device(device)


@dataclass(frozen=True)
class Whole:
    """What was read in n images, as whole texts."""

    readings: Readings
    probability: Doubles  # (n,) of each whole text, 0 to 1
    top: list[list[tuple[tuple[int, ...], float]]]  # (n,) labels and probability of the likeliest texts, best first


class Outside(Protocol):
    """A reader that is no network, and has no logits."""

    def read_whole(self, images: Images, top: int = 0) -> Whole: ...


def read_with(reader: Recogniser | Outside) -> dict[str, str]:
    """What metrics record of how they were read: the arithmetic; of an outside reader nothing is known."""
    return {"arithmetic": arithmetic(reader.precision, reader.device)} if isinstance(reader, Recogniser) else {}


def read_whole(reader: Recogniser | Outside, images: Images, top: int = 0) -> Whole:
    """What a reader reads in images (n, H, W, 3), n >= 1, with the `top` likeliest texts of each.

    Raises ValueError where a network's weights make numbers that are not finite.
    """
    if not isinstance(reader, Recogniser):
        return reader.read_whole(images, top)
    ctc = isinstance(reader.network, Ctc)
    logits = reader.logits(images)
    if not np.isfinite(logits).all():
        raise ValueError("the reader's weights are too large, its numbers are not finite: train it again")
    readings = reader.decode(logits)
    likeliest = [likeliest_texts(one, top, ctc=ctc) if top else [] for one in logits]
    return Whole(readings, text_probability(logits, readings.labels, ctc=ctc), likeliest)
