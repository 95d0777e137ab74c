"""Readers that are programs of somebody else: they tell a text and how sure they are of it, and no more."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from stages.reader.batches import Images, Labels
from stages.reader.decoding import Floats, Ints, Readings
from stages.reader.protocol import Reader, TextPrediction


class ExternalReader(ABC):
    """A reader without logits, gradients or columns, and with a denoiser that is part of it."""

    slow = True
    aligned = False
    gradients = None
    caution = ""  # what a person who trains it should know, if anything

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def title(self) -> str:
        """The program, and its version where that is known."""
        return self.name

    def record(self) -> dict[str, str]:
        """What reader.json says of it."""
        return {}

    @abstractmethod
    def predict(self, images: Images, top: int = 0) -> TextPrediction:
        """What the program reads in images (n, H, W, 3)."""

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
