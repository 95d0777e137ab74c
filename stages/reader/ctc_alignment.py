"""CTC forced alignment: the column of logits in which a reader emits each character of a known text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.reader.batches import Labels
from stages.reader.decoding import Floats, Ints


def aligned_columns(logits: Floats, labels: Labels) -> Ints:
    """Columns (n, T) of CTC logits (n, S, A + 1), one per character of labels (n, T); 0 after the end of a text.

    The Viterbi path among the paths that spell the text (Graves et al. 2006, section 4.1, with the maximum in place of
    the sum); of the columns that it gives to a character, the one of the highest posterior. Raises ValueError where a
    text needs more than S columns.
    """
    n, S, _ = logits.shape
    T = labels.shape[1]
    lengths = (labels > 0).sum(1)
    twins = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)
    if (lengths + twins.sum(1) > S).any():
        raise ValueError(
            f"a text of {int(lengths.max())} characters needs more than the {S} columns of the reader: "
            "widen the captchas"
        )
    states = np.zeros((n, 2 * T + 1), np.int64)  # blank, first character, blank, second, ...
    states[:, 1::2] = labels
    wide = logits.astype(np.float64)
    log_posterior = wide - np.logaddexp.reduce(wide, axis=2, keepdims=True)
    emitted = np.take_along_axis(
        log_posterior, np.repeat(states[:, None], S, axis=1), axis=2
    )  # (n, S, 2T + 1)
    path = _viterbi(emitted, _skippable(states), 2 * lengths)
    own = path[:, :, None] == 2 * np.arange(T) + 1  # (n, S, T)
    columns: Ints = np.where(own, emitted[:, :, 1::2], -np.inf).argmax(1)
    return columns


def _skippable(states: Ints) -> NDArray[np.bool_]:
    """Where a path may skip the blank before a state: at a character that differs from the preceding one."""
    skip = np.zeros(states.shape, bool)
    skip[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    return skip


def _viterbi(emitted: NDArray[np.float64], skip: NDArray[np.bool_], end: Ints) -> Ints:
    """The likeliest state (n, S) of each column, from the first blank or character to the last.

    emitted (n, S, states) are log-probabilities; end (n,) is the state of the last blank.
    """
    n, S, states = emitted.shape
    score = np.full((n, states), -np.inf)
    score[:, : min(2, states)] = emitted[:, 0, :2]
    steps = np.zeros((n, S, states), np.int8)  # states back
    for column in range(1, S):
        reach = np.full((3, n, states), -np.inf)
        reach[0] = score
        reach[1, :, 1:] = score[:, :-1]
        reach[2, :, 2:] = np.where(skip[:, 2:], score[:, :-2], -np.inf)
        steps[:, column] = reach.argmax(0)
        score = reach.max(0) + emitted[:, column]
    rows = np.arange(n)
    before = np.maximum(end - 1, 0)
    state = np.where(score[rows, before] >= score[rows, end], before, end)
    path = np.zeros((n, S), np.int64)
    for column in reversed(range(S)):
        path[:, column] = state
        state = state - steps[rows, column, state]
    return path
