"""External readers: programs of others, which give only a text and its confidence."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from stages.reader.batches import Images, Labels
from stages.reader.decoding import Floats, Ints, Readings
from stages.reader.protocol import Reader, TextPrediction


class ExternalReader(ABC):
    """A reader without logits, gradients or alignment; its denoiser is part of it."""

    slow = True
    aligned = False
    gradients = None
    caution = ""  # a warning for the log of the training; empty where there is none

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def title(self) -> str:
        """The program, with its version where known."""
        return self.name

    def record(self) -> dict[str, str]:
        """Its entries in the training record of reader.json."""
        return {}

    @abstractmethod
    def predict(self, images: Images, top: int = 0) -> TextPrediction:
        """The readings of images (n, H, W, 3)."""

    def read(self, images: Images) -> Readings:
        return self.predict(images).readings

    def logits(self, images: Images) -> Floats | None:
        return None

    def columns(self, logits: Floats, labels: Labels) -> Ints:
        return np.full(labels.shape, -1)

    def undenoised(self, images: Images) -> tuple[Images, Reader]:
        return images, self

    def provenance(self) -> dict[str, str]:
        return {}
