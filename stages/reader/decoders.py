"""How a network's rows of logits (n, S, A + 1) spell a text: by CTC, or a row a position.

A network carries its decoder, so that nobody who trains, calibrates or reads with it has to ask which it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stages.reader.batches import Labels
from stages.reader.ctc_alignment import aligned_columns
from stages.reader.decoding import (
    Doubles,
    Floats,
    Ints,
    Readings,
    decode_ctc,
    decode_positions,
    likeliest_texts,
    text_probability,
)
from stages.reader.temperature_scaling import best_temperature, peaks


class Decoder(ABC):
    """Reads logits (n, S, A + 1), and says how far they are from labels (n, T), 0 after the end."""

    aligned: ClassVar[bool]  # whether the row that says a character depends on the image

    @abstractmethod
    def decode(self, logits: Floats) -> Readings:
        """What is read, and how surely."""

    @abstractmethod
    def text_probability(self, logits: Floats, labels: Ints) -> Doubles:
        """The probability (n,) of each text, over all the ways to spell it."""

    @abstractmethod
    def likeliest_texts(self, logits: Floats, k: int) -> list[tuple[tuple[int, ...], float]]:
        """Labels and probability of the k likeliest texts of one image's logits (S, A + 1), the likeliest first."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss, on the CPU: CUDA's CTC gradient is not deterministic, and the logits are few."""

    @abstractmethod
    def rows_needed(self, labels: Tensor) -> Tensor:
        """The rows of logits (n,) that each text needs."""

    @abstractmethod
    def columns(self, logits: Floats, labels: Labels) -> Ints:
        """The row of logits (n, T) that says each character of the labels."""

    @abstractmethod
    def confidences(self, logits: Floats, labels: Labels) -> tuple[Floats | Doubles, Ints]:
        """The rows of logits (m, A + 1) that confidences come from, and the true label (m,) of each."""

    def temperature(self, logits: Floats, labels: Labels) -> float:
        """The temperature that calibrates the confidences, from captchas that the network did not learn from."""
        return best_temperature(*self.confidences(logits, labels))


class CtcDecoder(Decoder):
    """Connectionist temporal classification (Graves et al. 2006): repeats collapse, then blanks go."""

    aligned = True

    def decode(self, logits: Floats) -> Readings:
        return decode_ctc(logits)

    def text_probability(self, logits: Floats, labels: Ints) -> Doubles:
        return text_probability(logits, labels, ctc=True)

    def likeliest_texts(self, logits: Floats, k: int) -> list[tuple[tuple[int, ...], float]]:
        return likeliest_texts(logits, k, ctc=True)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """CTC's negative log-likelihood per character."""
        logits = logits.cpu()
        labels = labels.cpu()
        log_probabilities = functional.log_softmax(logits, 2).transpose(0, 1)  # (S, B, A + 1)
        columns = torch.full((len(logits),), logits.shape[1])
        lengths = (labels > 0).sum(1)
        return functional.ctc_loss(
            log_probabilities, labels[labels > 0], columns, lengths, zero_infinity=True
        )

    def rows_needed(self, labels: Tensor) -> Tensor:
        """A blank between two equal neighbours tells them apart."""
        twins = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)
        return (labels > 0).sum(1) + twins.sum(1)

    def columns(self, logits: Floats, labels: Labels) -> Ints:
        """Forced alignment. Raises ValueError where a text does not fit."""
        return aligned_columns(logits, labels)

    def confidences(self, logits: Floats, labels: Labels) -> tuple[Floats | Doubles, Ints]:
        return peaks(logits, labels)


class PositionDecoder(Decoder):
    """Row i is the character at position i of the text, or none."""

    aligned = False

    def decode(self, logits: Floats) -> Readings:
        return decode_positions(logits)

    def text_probability(self, logits: Floats, labels: Ints) -> Doubles:
        return text_probability(logits, labels, ctc=False)

    def likeliest_texts(self, logits: Floats, k: int) -> list[tuple[tuple[int, ...], float]]:
        return likeliest_texts(logits, k, ctc=False)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy per position."""
        logits = logits.cpu()
        labels = labels.cpu()
        positions = logits.shape[1]
        padded = functional.pad(labels, (0, max(0, positions - labels.shape[1])))[:, :positions]
        return functional.cross_entropy(logits.flatten(0, 1), padded.flatten())

    def rows_needed(self, labels: Tensor) -> Tensor:
        return (labels > 0).sum(1)

    def columns(self, logits: Floats, labels: Labels) -> Ints:
        return np.broadcast_to(np.arange(labels.shape[1]), labels.shape)

    def confidences(self, logits: Floats, labels: Labels) -> tuple[Floats | Doubles, Ints]:
        """Every position, where no character is label 0."""
        padded = np.zeros(logits.shape[:2], np.int64)
        padded[:, : labels.shape[1]] = labels[:, : logits.shape[1]]
        return logits.reshape(-1, logits.shape[2]), padded.ravel()
