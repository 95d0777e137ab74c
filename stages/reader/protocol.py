"""The interface of every fitted reader: a network, a classical classifier or an external program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stages.reader.batches import Images, Labels
from stages.reader.decoding import Doubles, Floats, Ints, Readings

if TYPE_CHECKING:
    from stages.reader.inference import NetworkReader


@dataclass(frozen=True)
class TextPrediction:
    """The readings of n images, as whole texts."""

    readings: Readings
    probability: Doubles  # (n,) of each whole text, 0 to 1
    # (n,) labels and probability of the likeliest texts, in descending order
    top: list[list[tuple[tuple[int, ...], float]]]
    logits: Floats | None = None  # (n, S, A + 1), where the reader has them


class Reader(Protocol):
    """A reader ready for inference. Images are (n, H, W, 3), n >= 1; its denoiser, if any, is applied first."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        ...

    @property
    def slow(self) -> bool:
        """Whether an image takes long, so that callers read only a few."""
        ...

    @property
    def aligned(self) -> bool:
        """Whether the row of logits of a character depends on the image (CTC); else it is the position."""
        ...

    @property
    def gradients(self) -> NetworkReader | None:
        """The reader as a differentiable network; None for other readers."""
        ...

    def read(self, images: Images) -> Readings:
        """The readings, with confidences."""
        ...

    def predict(self, images: Images, top: int = 0) -> TextPrediction:
        """The readings, with the probability of each text and the `top` likeliest texts.

        Raises ValueError where the logits are not finite.
        """
        ...

    def logits(self, images: Images) -> Floats | None:
        """Calibrated logits (n, S, A + 1); None for a reader that only gives readings."""
        ...

    def columns(self, logits: Floats, labels: Labels) -> Ints:
        """The row of logits (n, T) that emits each character of labels (n, T), which are 0 after the end of a text."""
        ...

    def undenoised(self, images: Images) -> tuple[Images, Reader]:
        """The denoised images, and the reader without its denoiser."""
        ...

    def provenance(self) -> dict[str, str]:
        """How its readings were computed, for the metrics: `arithmetic`, where it is known."""
        ...
