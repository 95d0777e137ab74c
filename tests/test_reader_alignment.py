"""Alignment of a guess with the truth, against every alignment there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.reader.alignment import UNANSWERED, align, answers
from stages.reader.decoding import Readings, encode

texts = st.text("ab", max_size=5)


def every_alignment(truth: str, guess: str) -> list[list[int]]:
    """All ways to answer the characters of `truth`, in order, by characters of `guess` or by none."""
    if not truth:
        return [[]]
    found = [[UNANSWERED, *rest] for rest in every_alignment(truth[1:], guess)]
    for j in range(len(guess)):
        found += [
            [j, *(k if k == UNANSWERED else k + j + 1 for k in rest)]
            for rest in every_alignment(truth[1:], guess[j + 1 :])
        ]
    return found


def rank(answered: list[int], truth: str, guess: str) -> tuple[int, int, list[float]]:
    """Edits, minus matches, then the answers themselves with a missed one last."""
    pairs = [(truth[i], guess[j]) for i, j in enumerate(answered) if j != UNANSWERED]
    substituted = sum(true != guessed for true, guessed in pairs)
    edits = substituted + (len(truth) - len(pairs)) + (len(guess) - len(pairs))
    return (
        edits,
        substituted - len(pairs),
        [float("inf") if j == UNANSWERED else j for j in answered],
    )


@given(texts, texts)
def test_the_alignment_is_the_best_of_all(truth: str, guess: str) -> None:
    ranks = [rank(answered, truth, guess) for answered in every_alignment(truth, guess)]
    if len(truth) != len(guess):
        assert rank(align(truth, guess), truth, guess) == min(ranks)


@given(st.text("abc", min_size=4, max_size=4), st.text("abc", min_size=4, max_size=4))
def test_texts_of_one_length_are_compared_position_by_position(truth: str, guess: str) -> None:
    assert align(truth, guess) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ("1234", "134", [0, UNANSWERED, 1, 2]),
        ("1234", "12934", [0, 1, 3, 4]),
        ("1234", "", [UNANSWERED] * 4),
        ("", "12", []),
        ("11", "1", [0, UNANSWERED]),
        ("1", "11", [0]),
        ("12", "3", [0, UNANSWERED]),
    ],
)
def test_known_alignments(truth: str, guess: str, expected: list[int]) -> None:
    assert align(truth, guess) == expected


def test_answers_of_a_batch_are_those_of_each_text_alone() -> None:
    true = encode(["123", "12", "3", "222"], "123")
    read = Readings(
        encode(["13", "21", "", "2222"], "123"),
        np.array(
            [[0.9, 0.8, 0, 0], [0.7, 0.6, 0, 0], [0, 0, 0, 0], [0.5, 0.4, 0.3, 0.2]], np.float32
        ),
    )
    guess, confidence = answers(true, read)
    assert guess.tolist() == [[1, 0, 3], [2, 1, 0], [0, 0, 0], [2, 2, 2]]
    expected = np.array([[0.9, 0.0, 0.8], [0.7, 0.6, 0.0], [0.0, 0.0, 0.0], [0.5, 0.4, 0.3]])
    np.testing.assert_allclose(confidence, expected, rtol=1e-6)
