"""Decoding, against a loop over columns and against the sum over all CTC paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stages.reader.decoding import compact, decode_ctc, decode_positions, encode, softmax, to_texts

logits = arrays.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(2, 4)),
                       elements=st.floats(-8, 8, width=32))


def slowly(posterior: np.ndarray) -> tuple[list[int], list[float]]:
    """Best path of one text (S, A + 1), column by column, as the definition says."""
    labels: list[int] = []
    confidence: list[float] = []
    before = 0
    for column in posterior:
        best = int(column.argmax())
        if best != 0 and best == before:
            confidence[-1] = max(confidence[-1], float(column[best]))
        elif best != 0:
            labels.append(best)
            confidence.append(float(column[best]))
        before = best
    return labels, confidence


@given(logits)
def test_ctc_decoding_is_what_a_loop_over_columns_gives(values: np.ndarray) -> None:
    read = decode_ctc(values)
    for i, posterior in enumerate(softmax(values)):
        labels, confidence = slowly(posterior)
        assert read.labels[i, : len(labels)].tolist() == labels
        assert not read.labels[i, len(labels) :].any()
        np.testing.assert_allclose(read.confidence[i, : len(labels)], confidence, rtol=1e-6)
        assert not read.confidence[i, len(labels) :].any()
    assert read.lengths.tolist() == [len(slowly(posterior)[0]) for posterior in softmax(values)]


def paths(text: tuple[int, ...], columns: int, classes: int) -> list[tuple[int, ...]]:
    """Every path of class numbers that collapses to `text`."""
    return [path for path in itertools.product(range(classes), repeat=columns)
            if tuple(k for k, _ in itertools.groupby(path) if k) == text]


def test_a_sure_reader_is_read_as_the_likeliest_text_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 4, 3)).astype(np.float32)
    peaks = rng.integers(0, 3, (6, 4))
    np.put_along_axis(values, peaks[..., None], 7.0, axis=2)
    read = decode_ctc(values)
    texts = [text for length in range(5) for text in itertools.product((1, 2), repeat=length)]
    for i, posterior in enumerate(softmax(values)):
        likelihood = {text: sum(float(np.prod(posterior[range(4), path])) for path in paths(text, 4, 3))
                      for text in texts}
        assert tuple(read.labels[i, : read.lengths[i]].tolist()) == max(likelihood, key=lambda t: likelihood[t])


def test_a_blank_parts_two_equal_characters() -> None:
    classes = np.array([[1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    read = decode_ctc(np.where(np.arange(2) == classes[..., None], 9, 0).astype(np.float32))
    assert read.labels.tolist() == [[1, 1], [1, 0], [0, 0]]


def test_positions_without_a_character_are_left_out() -> None:
    classes = np.array([[2, 0, 1], [0, 0, 0], [1, 1, 2]])
    read = decode_positions(np.where(np.arange(3) == classes[..., None], 5, 0).astype(np.float32))
    assert read.labels.tolist() == [[2, 1, 0], [0, 0, 0], [1, 1, 2]]
    expected = np.exp(5) / (np.exp(5) + 2)
    np.testing.assert_allclose(read.confidence[2], [expected] * 3, rtol=1e-5)
    assert not read.confidence[1].any()


def test_nothing_read_has_no_columns() -> None:
    empty = compact(np.zeros((3, 4), np.int64), np.ones((3, 4), np.float32))
    assert empty.labels.shape == empty.confidence.shape == (3, 0)


def test_softmax_sums_to_one_and_bears_large_logits() -> None:
    values = softmax(np.array([[1e4, 0.0, -1e4]], np.float32))
    np.testing.assert_allclose(values, [[1, 0, 0]])


@given(st.lists(st.text("бaж1", max_size=5), min_size=1, max_size=4))
def test_texts_come_back_from_their_labels(texts: list[str]) -> None:
    assert to_texts(encode(texts, "1aбж"), "1aбж") == texts


def test_a_character_outside_the_alphabet_is_refused() -> None:
    with pytest.raises(ValueError, match="the characters 'xy' are not in the alphabet '01'"):
        encode(["01", "y0", "x"], "01")
