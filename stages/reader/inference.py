"""Inference: reading images with a fitted network, in batches of bounded memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from stages.reader.batches import Images, Labels
from stages.reader.decoding import Floats, Ints, Readings
from stages.reader.networks import Network, fused
from stages.reader.precision import arithmetic
from stages.reader.protocol import TextPrediction
from stages.reader.threads import map_batches

BATCH = 100  # captchas per batch; constant, since rounding may depend on it


def unchanged(images: Images) -> Images:
    """The identity: the denoiser of a reader without denoising."""
    return images


class NetworkReader:
    """A fitted network ready for inference: batch normalisation folded, on its device, in its precision.

    Logits are divided by `temperature`, which changes confidences but no reading. `denoiser` is applied to the images
    first.
    """

    slow = False

    def __init__(
        self,
        network: Network,
        *,
        precision: str,
        device: torch.device,
        temperature: float = 1.0,
        denoiser: Callable[[Images], Images] = unchanged,
    ) -> None:
        self.network = fused(network).to(device)
        self.precision = precision
        self.device = device
        self.temperature = temperature
        self.denoiser = denoiser

    @property
    def name(self) -> str:
        return type(self.network).__name__

    @property
    def aligned(self) -> bool:
        return self.network.decoder.aligned

    @property
    def gradients(self) -> NetworkReader | None:
        return self if self.network.has_gradients else None

    def logits(self, images: Images) -> Floats:
        """Calibrated logits (n, S, A + 1)."""
        logits: Floats = np.concatenate(
            map_batches(self._logits, batches_of(self.denoiser(images)), self.device)
        )
        return logits / np.float32(self.temperature)

    def _logits(self, images: Images) -> Floats:
        with torch.inference_mode(), autocast(self.precision, self.device):
            logits: Floats = self.network(to_batch(images).to(self.device)).cpu().numpy()
        return logits

    def read(self, images: Images) -> Readings:
        return self.network.decoder.decode(self.logits(images))

    def predict(self, images: Images, top: int = 0) -> TextPrediction:
        decoder = self.network.decoder
        logits = self.logits(images)
        if not np.isfinite(logits).all():
            raise ValueError(
                "the reader's weights are too large, its numbers are not finite: train it again"
            )
        readings = decoder.decode(logits)
        likeliest = [decoder.likeliest_texts(one, top) if top else [] for one in logits]
        return TextPrediction(
            readings, decoder.text_probability(logits, readings.labels), likeliest, logits
        )

    def columns(self, logits: Floats, labels: Labels) -> Ints:
        return self.network.decoder.columns(logits, labels)

    def undenoised(self, images: Images) -> tuple[Images, NetworkReader]:
        bare = copy.copy(self)
        bare.denoiser = unchanged
        return self.denoiser(images), bare

    def provenance(self) -> dict[str, str]:
        return {"arithmetic": arithmetic(self.precision, self.device)}


def batches_of(images: Images) -> list[Images]:
    """The images (n, H, W, 3) in batches of at most BATCH."""
    return [images[i : i + BATCH] for i in range(0, len(images), BATCH)]


def to_batch(images: Images) -> Tensor:
    """Images (B, H, W, 3) as a tensor (B, 3, H, W) in channels-last memory format, which needs no copy."""
    writable = images if images.flags.writeable else images.copy()  # torch has no read-only tensors
    return torch.from_numpy(writable).permute(0, 3, 1, 2)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """For bf16: convolutions and matrix products in bfloat16, sums and losses in float32. Otherwise no change."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def choose_device(device: str) -> torch.device:
    """The device named auto, cpu, cuda or mps. auto is cuda where available, never mps, which is untested.

    Raises ValueError where cuda or mps is requested and not available.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if (device == "cuda" and not torch.cuda.is_available()) or (
        device == "mps" and not torch.backends.mps.is_available()
    ):
        raise ValueError(
            f"device: {device} was asked for, but torch finds none: set it to auto or cpu"
        )
    return torch.device(device)
