"""Text alignment: which character of a reading corresponds to which character of the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.reader.decoding import Floats, Ints, Readings

UNANSWERED = -1  # no character of the reading corresponds to this one


def align(truth: Sequence[object], guess: Sequence[object]) -> list[int]:
    """For each element of `truth`, the index of the corresponding element of `guess`, or UNANSWERED.

    Texts of equal length are compared position by position: a reader of fixed length is judged in this way, and no
    shift can make a wrong reading look better. Other texts are aligned with minimum edit distance (Levenshtein 1966;
    Wagner & Fischer 1974). Of several such alignments, the one with the most matches is taken; of these, the one that
    matches the leftmost characters of the truth, each with the leftmost possible character of the reading.
    """
    if len(truth) == len(guess):
        return list(range(len(truth)))
    cost = _costs(truth, guess)
    answers = []
    i = 0
    j = 0
    while i < len(truth):
        if j < len(guess) and cost[i][j] == _added(cost[i + 1][j + 1], _pair(truth[i], guess[j])):
            answers.append(j)
            i += 1
            j += 1
        elif j < len(guess) and cost[i][j] == _added(cost[i][j + 1], (1, 0)):
            j += 1
        else:
            answers.append(UNANSWERED)
            i += 1
    return answers


def answers(labels: Ints, read: Readings) -> tuple[Ints, Floats]:
    """The label read for each true character, and its confidence.

    labels (n, T) are the truth, 0 after the end of a text. Returns labels (n, T) and confidence (n, T), 0 to 1; both
    are 0 where a character was missed.
    """
    lengths = (labels > 0).sum(axis=1)
    guess = np.zeros(labels.shape, np.int64)
    confidence = np.zeros(labels.shape, np.float32)
    shared = min(labels.shape[1], read.labels.shape[1])
    same_length = read.lengths == lengths
    guess[same_length, :shared] = read.labels[same_length, :shared]
    confidence[same_length, :shared] = read.confidence[same_length, :shared]
    for i in np.flatnonzero(~same_length):
        found = align(labels[i, : lengths[i]].tolist(), read.labels[i, : read.lengths[i]].tolist())
        for position, index in enumerate(found):
            if index != UNANSWERED:
                guess[i, position] = read.labels[i, index]
                confidence[i, position] = read.confidence[i, index]
    return guess, confidence


def _costs(truth: Sequence[object], guess: Sequence[object]) -> list[list[tuple[int, int]]]:
    """Cell i, j: the minimum cost (edits, minus matches) of aligning truth[i:] with guess[j:]."""
    T = len(truth)
    S = len(guess)
    # Final along the edges, where one of the two texts has ended; the other cells are filled below.
    cost = [_edges(T - i, S) for i in range(T + 1)]
    for i in reversed(range(T)):
        for j in reversed(range(S)):
            cost[i][j] = min(
                _added(cost[i + 1][j + 1], _pair(truth[i], guess[j])),
                _added(cost[i + 1][j], (1, 0)),
                _added(cost[i][j + 1], (1, 0)),
            )
    return cost


def _edges(left: int, S: int) -> list[tuple[int, int]]:
    """The cost of deleting `left` characters and inserting all of S from index j on, for each j."""
    return [(left + S - j, 0) for j in range(S + 1)]


def _pair(true: object, guessed: object) -> tuple[int, int]:
    return (0, -1) if true == guessed else (1, 0)


def _added(cost: tuple[int, int], step: tuple[int, int]) -> tuple[int, int]:
    return cost[0] + step[0], cost[1] + step[1]
