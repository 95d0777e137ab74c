"""What every fitted reader offers, whatever it is made of: a network, a classical classifier or an external program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stages.reader.batches import Images, Labels
from stages.reader.decoding import Doubles, Floats, Ints, Readings

if TYPE_CHECKING:
    from stages.reader.inference import NetworkReader


@dataclass(frozen=True)
class TextPrediction:
    """What was read in n images, as whole texts."""

    readings: Readings
    probability: Doubles  # (n,) of each whole text, 0 to 1
    top: list[
        list[tuple[tuple[int, ...], float]]
    ]  # (n,) labels and probability of the likeliest texts, best first
    logits: Floats | None = None  # (n, S, A + 1), where the reader has them


class Reader(Protocol):
    """A reader made ready to read. Images are (n, H, W, 3), n >= 1; its denoiser, if any, sees them first."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def slow(self) -> bool:
        """Whether it takes long for an image, and is asked for few."""
        ...

    @property
    def aligned(self) -> bool:
        """Whether the place where it says a character depends on the image (CTC); else it is the position."""
        ...

    @property
    def gradients(self) -> NetworkReader | None:
        """The reader as a differentiable network, None where it is none."""
        ...

    def read(self, images: Images) -> Readings:
        """What it reads."""
        ...

    def predict(self, images: Images, top: int = 0) -> TextPrediction:
        """What it reads, with the probability of each text and the `top` likeliest ones.

        Raises ValueError where its weights make numbers that are not finite.
        """
        ...

    def logits(self, images: Images) -> Floats | None:
        """Calibrated logits (n, S, A + 1); None of a reader that tells its readings alone."""
        ...

    def columns(self, logits: Floats, labels: Labels) -> Ints:
        """The row of logits (n, T) that says each character of labels (n, T), which are 0 after the end of a text."""
        ...

    def undenoised(self, images: Images) -> tuple[Images, Reader]:
        """The images as its denoiser leaves them, and the reader without its denoiser."""
        ...

    def provenance(self) -> dict[str, str]:
        """What metrics record of how they were read: `arithmetic`, where it is known."""
        ...
