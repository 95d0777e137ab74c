"""Decoders: how a network's logits (n, S, A + 1) encode a text, by CTC or with one row per position.

A network carries its decoder, so that code that trains, calibrates or reads never asks which kind it is.
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
    """Decodes logits (n, S, A + 1), and measures their loss for labels (n, T), 0 after the end of a text."""

    aligned: ClassVar[bool]  # whether the row that emits a character depends on the image

    @abstractmethod
    def decode(self, logits: Floats) -> Readings:
        """The readings, with confidences."""

    @abstractmethod
    def text_probability(self, logits: Floats, labels: Ints) -> Doubles:
        """The probability (n,) of each text, summed over all paths that spell it."""

    @abstractmethod
    def likeliest_texts(self, logits: Floats, k: int) -> list[tuple[tuple[int, ...], float]]:
        """Labels and probability of the k likeliest texts of one image's logits (S, A + 1), in descending order."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of logits (B, S, A + 1) for labels (B, T).

        It is computed on the CPU: CUDA's CTC gradient is not deterministic, and logits are small.
        """

    @abstractmethod
    def rows_needed(self, labels: Tensor) -> Tensor:
        """The number of rows of logits (n,) that each text of labels (n, T) needs."""

    @abstractmethod
    def columns(self, logits: Floats, labels: Labels) -> Ints:
        """The row of logits (n, T) that emits each character of labels (n, T)."""

    @abstractmethod
    def confidences(self, logits: Floats, labels: Labels) -> tuple[Floats | Doubles, Ints]:
        """The rows of logits (m, A + 1) that confidences are taken from, and the true label (m,) of each."""

    def temperature(self, logits: Floats, labels: Labels) -> float:
        """The temperature that calibrates the confidences, fitted on captchas that the network was not trained on."""
        return best_temperature(*self.confidences(logits, labels))


class CtcDecoder(Decoder):
    """Connectionist temporal classification (Graves et al. 2006): repeats are merged, then blanks removed."""

    aligned = True

    def decode(self, logits: Floats) -> Readings:
        return decode_ctc(logits)

    def text_probability(self, logits: Floats, labels: Ints) -> Doubles:
        return text_probability(logits, labels, ctc=True)

    def likeliest_texts(self, logits: Floats, k: int) -> list[tuple[tuple[int, ...], float]]:
        return likeliest_texts(logits, k, ctc=True)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The CTC negative log-likelihood per character."""
        logits = logits.cpu()
        labels = labels.cpu()
        log_probabilities = functional.log_softmax(logits, 2).transpose(0, 1)  # (S, B, A + 1)
        columns = torch.full((len(logits),), logits.shape[1])
        lengths = (labels > 0).sum(1)
        return functional.ctc_loss(
            log_probabilities, labels[labels > 0], columns, lengths, zero_infinity=True
        )

    def rows_needed(self, labels: Tensor) -> Tensor:
        """One per character, and one for the blank that separates two equal neighbours."""
        twins = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)
        return (labels > 0).sum(1) + twins.sum(1)

    def columns(self, logits: Floats, labels: Labels) -> Ints:
        """Forced alignment. Raises ValueError where a text needs more columns than there are."""
        return aligned_columns(logits, labels)

    def confidences(self, logits: Floats, labels: Labels) -> tuple[Floats | Doubles, Ints]:
        return peaks(logits, labels)


class PositionDecoder(Decoder):
    """Row i encodes the character at position i of the text, or that there is none."""

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
        """All positions; the label of an empty one is 0."""
        padded = np.zeros(logits.shape[:2], np.int64)
        padded[:, : labels.shape[1]] = labels[:, : logits.shape[1]]
        return logits.reshape(-1, logits.shape[2]), padded.ravel()
