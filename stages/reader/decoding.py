"""From logits to characters: what was read, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Readings:
    """n texts read. Labels are 1 to A, 0 after the end of a text; confidence is a probability, 0 after the end."""

    labels: Ints  # (n, T)
    confidence: Floats  # (n, T)

    @property
    def lengths(self) -> Ints:
        """Characters read of each text, (n,)."""
        lengths: Ints = (self.labels > 0).sum(axis=1)
        return lengths


def decode_ctc(logits: Floats) -> Readings:
    """The best path of CTC logits (n, S, A + 1): repeats collapse to one, then blanks (class 0) go.

    Graves et al. (2006), section 3.2. A character's confidence is the highest posterior that it has in the columns of
    its run: CTC peaks once for each character, and the columns beside the peak belong to the blank.
    """
    posterior = softmax(logits)
    best = posterior.argmax(axis=2)  # (n, S)
    surely = np.take_along_axis(posterior, best[..., None], axis=2)[..., 0]  # (n, S)
    starts = np.ones(best.shape, bool)
    starts[:, 1:] = best[:, 1:] != best[:, :-1]
    first = np.flatnonzero(starts)  # every row starts a run of its own
    if len(first) == 0:
        return Readings(np.zeros((len(logits), 0), np.int64), np.zeros((len(logits), 0), np.float32))
    peaks = np.zeros(best.shape, np.float32)
    peaks.ravel()[first] = np.maximum.reduceat(surely.ravel(), first)
    return compact(np.where(starts, best, 0), peaks)


def decode_positions(logits: Floats) -> Readings:
    """The likeliest class at each position of logits (n, S, A + 1), without the positions that hold no character."""
    posterior = softmax(logits)
    best = posterior.argmax(axis=2)
    return compact(best, posterior.max(axis=2))


def compact(labels: Ints, confidence: Floats) -> Readings:
    """Move the labels above 0 of each row (n, S) to its front, in order; as many columns as the longest text has."""
    kept = labels > 0
    lengths = kept.sum(axis=1)
    rows, columns = np.nonzero(kept)
    places = (np.cumsum(kept, axis=1) - 1)[kept]
    shape = len(labels), int(lengths.max(initial=0))
    texts, surely = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    texts[rows, places] = labels[rows, columns]
    surely[rows, places] = confidence[rows, columns]
    return Readings(texts, surely)


def softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def encode(texts: Sequence[str], alphabet: str) -> Ints:
    """Labels (n, T) of texts, 0 after the end, T the longest. Raises ValueError on a character outside the alphabet."""
    label = {character: i for i, character in enumerate(alphabet, 1)}
    unknown = sorted({character for text in texts for character in text} - set(label))
    if unknown:
        raise ValueError(f"text: the characters {''.join(unknown)!r} are not in the alphabet {alphabet!r}")
    labels = np.zeros((len(texts), max(map(len, texts), default=0)), np.int64)
    for i, text in enumerate(texts):
        labels[i, : len(text)] = [label[character] for character in text]
    return labels


def to_texts(labels: Ints, alphabet: str) -> list[str]:
    """The texts of labels (n, T)."""
    return ["".join(alphabet[label - 1] for label in row if label) for row in labels.tolist()]
