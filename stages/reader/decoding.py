"""Decoding: from logits to characters and their confidences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Real = TypeVar("Real", np.float32, np.float64)

BEAM = 32  # least width of the beam search, in prefixes


@dataclass(frozen=True)
class Readings:
    """n texts as read. Labels are 1 to A; confidence is a probability, 0 to 1. Both are 0 after the end of a text."""

    labels: Ints  # (n, T)
    confidence: Floats  # (n, T)

    @property
    def lengths(self) -> Ints:
        """The number of characters of each text, (n,)."""
        lengths: Ints = (self.labels > 0).sum(axis=1)
        return lengths


def decode_ctc(logits: Floats) -> Readings:
    """Best-path decoding of CTC logits (n, S, A + 1): repeats are merged, then blanks (class 0) removed.

    Graves et al. (2006), section 3.2. The confidence of a character is its highest posterior in the columns of its run:
    CTC peaks once per character, and the blank wins the columns next to the peak.
    """
    posterior = softmax(logits)
    best = posterior.argmax(axis=2)  # (n, S)
    surely = np.take_along_axis(posterior, best[..., None], axis=2)[..., 0]  # (n, S)
    starts = np.ones(best.shape, bool)
    starts[:, 1:] = best[:, 1:] != best[:, :-1]
    first = np.flatnonzero(starts)  # no run extends over two images
    if len(first) == 0:
        return Readings(
            np.zeros((len(logits), 0), np.int64), np.zeros((len(logits), 0), np.float32)
        )
    peaks = np.zeros(best.shape, np.float32)
    peaks.ravel()[first] = np.maximum.reduceat(surely.ravel(), first)
    return compact_labels(np.where(starts, best, 0), peaks)


def decode_positions(logits: Floats) -> Readings:
    """The likeliest class at each position of logits (n, S, A + 1); positions without a character are removed."""
    posterior = softmax(logits)
    best = posterior.argmax(axis=2)
    return compact_labels(best, posterior.max(axis=2))


def text_probability(logits: Floats, labels: Ints, *, ctc: bool) -> Doubles:
    """The probability (n,) of each text, summed over all paths in logits (n, S, A + 1) that spell it.

    labels (n, T), 0 after the end. The forward algorithm of Graves et al. (2006), section 4.1: after each column, the
    probability that the first t characters are spelled and the path ends in a blank, or in the last of them. Only a
    blank separates two equal characters. Without `ctc`, a row is a position, and empty ones may stand anywhere.
    """
    n, T = labels.shape
    posterior = softmax(logits.astype(np.float64))
    spelling = np.take_along_axis(posterior, labels[:, None, :], axis=2)  # (n, S, T)
    other = np.ones((n, T), bool)
    other[:, 1:] = labels[:, 1:] != labels[:, :-1]
    blank, character = np.zeros((2, n, T + 1))
    blank[:, 0] = 1
    for column in range(posterior.shape[1]):
        grown = np.zeros((n, T + 1))
        grown[:, 1:] = blank[:, :-1] + other * character[:, :-1] + character[:, 1:]
        grown[:, 1:] *= spelling[:, column]
        blank = (blank + character) * posterior[:, column, :1]
        character = grown
        if not ctc:  # as if a blank followed: equal neighbours are never merged
            blank = blank + character
            character = np.zeros_like(character)
    result: Doubles = (blank + character)[np.arange(n), (labels > 0).sum(axis=1)]
    return result


def likeliest_texts(logits: Floats, k: int, *, ctc: bool) -> list[tuple[tuple[int, ...], float]]:
    """The labels and probabilities of the k likeliest texts of one image's logits (S, A + 1), the likeliest first.

    Prefix beam search (Hannun et al. 2014, without the language model): it sums over all paths that spell a text, where
    best-path decoding follows one. The search is exact while the beam holds all prefixes; the probabilities are always
    exact. Fewer than k texts are returned only where fewer are possible.
    """
    beam = max(BEAM, 2 * k)
    prefixes: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}
    for column in softmax(logits.astype(np.float64)):
        # A class below the beam width cannot extend one of the best prefixes.
        classes = np.argsort(-column[1:], kind="stable")[:beam] + 1
        grown = _grown(prefixes, column.tolist(), classes.tolist())
        possible = [prefix for prefix in grown if sum(grown[prefix]) > 0]
        best = sorted(possible, key=lambda prefix: (-sum(grown[prefix]), prefix))[:beam]
        # Avoids underflow in wide images; only the order matters here.
        scale = sum(grown[best[0]])
        prefixes = {
            prefix: (grown[prefix][0] / scale, grown[prefix][1] / scale)
            if ctc
            else (sum(grown[prefix]) / scale, 0.0)
            for prefix in best
        }
    labels = np.zeros((len(prefixes), max(map(len, prefixes))), np.int64)
    for i, prefix in enumerate(prefixes):
        labels[i, : len(prefix)] = prefix
    probability = text_probability(
        np.broadcast_to(logits, (len(prefixes), *logits.shape)), labels, ctc=ctc
    )
    return sorted(
        zip(prefixes, probability.tolist(), strict=True), key=lambda found: (-found[1], found[0])
    )[:k]


def _grown(
    prefixes: dict[tuple[int, ...], tuple[float, float]], column: list[float], classes: list[int]
) -> dict[tuple[int, ...], list[float]]:
    """The prefixes after one more column: the probabilities of ending in a blank and in the last character."""
    grown: dict[tuple[int, ...], list[float]] = {}
    for prefix, (blank, character) in prefixes.items():
        last = prefix[-1] if prefix else 0
        same = grown.setdefault(prefix, [0.0, 0.0])
        same[0] += (blank + character) * column[0]
        same[1] += character * column[last]
        for label in classes:
            longer = grown.setdefault((*prefix, label), [0.0, 0.0])
            longer[1] += (blank if label == last else blank + character) * column[label]
    return grown


def compact_labels(labels: Ints, confidence: Floats) -> Readings:
    """Move the labels above 0 of each row (n, S) to its front, in order; the result is as wide as the longest text."""
    labelled = labels > 0
    lengths = labelled.sum(axis=1)
    rows, columns = np.nonzero(labelled)
    places = (np.cumsum(labelled, axis=1) - 1)[labelled]
    shape = len(labels), int(lengths.max(initial=0))
    texts = np.zeros(shape, np.int64)
    surely = np.zeros(shape, np.float32)
    texts[rows, places] = labels[rows, columns]
    surely[rows, places] = confidence[rows, columns]
    return Readings(texts, surely)


def softmax(logits: NDArray[Real]) -> NDArray[Real]:
    """The softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[Real] = powers / powers.sum(axis=-1, keepdims=True)
    return result


def encode(texts: Sequence[str], alphabet: str) -> Ints:
    """Labels (n, T) of texts, 0 after the end. Raises ValueError on a character that is not in the alphabet."""
    label = {character: i for i, character in enumerate(alphabet, 1)}
    unknown = sorted({character for text in texts for character in text} - set(label))
    if unknown:
        raise ValueError(
            f"text: the characters {''.join(unknown)!r} are not in the alphabet {alphabet!r}"
        )
    labels = np.zeros((len(texts), max(map(len, texts), default=0)), np.int64)
    for i, text in enumerate(texts):
        labels[i, : len(text)] = [label[character] for character in text]
    return labels


def to_texts(labels: Ints, alphabet: str) -> list[str]:
    """The texts of labels (n, T), 0 after the end."""
    characters = ["", *alphabet]
    return ["".join(map(characters.__getitem__, row)) for row in labels.tolist()]
