"""Decoding, against a loop over columns and against the sum over all CTC paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stages.reader.decoding import (
    BEAM,
    compact_labels,
    decode_ctc,
    decode_positions,
    encode,
    likeliest_texts,
    softmax,
    text_probability,
    to_texts,
)

logits = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(2, 4)),
    elements=st.floats(-8, 8, width=32),
)


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
    return [
        path
        for path in itertools.product(range(classes), repeat=columns)
        if tuple(k for k, _ in itertools.groupby(path) if k) == text
    ]


def test_a_sure_reader_is_read_as_the_likeliest_text_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 4, 3)).astype(np.float32)
    peaks = rng.integers(0, 3, (6, 4))
    np.put_along_axis(values, peaks[..., None], 7.0, axis=2)
    read = decode_ctc(values)
    texts = [text for length in range(5) for text in itertools.product((1, 2), repeat=length)]
    for i, posterior in enumerate(softmax(values)):
        likelihood = {
            text: sum(float(np.prod(posterior[range(4), path])) for path in paths(text, 4, 3))
            for text in texts
        }
        assert tuple(read.labels[i, : read.lengths[i]].tolist()) == max(
            likelihood, key=lambda t: likelihood[t]
        )


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
    empty = compact_labels(np.zeros((3, 4), np.int64), np.ones((3, 4), np.float32))
    assert empty.labels.shape == empty.confidence.shape == (3, 0)


def test_softmax_sums_to_one_and_bears_large_logits() -> None:
    values = softmax(np.array([[1e4, 0.0, -1e4]], np.float32))
    np.testing.assert_allclose(values, [[1, 0, 0]])


def every_text(values: np.ndarray, ctc: bool) -> dict[tuple[int, ...], float]:
    """The probability of each text of logits (S, A + 1), summed over every path there is."""
    posterior = softmax(values.astype(np.float64))
    columns, classes = values.shape
    texts: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(classes), repeat=columns):
        text = (
            tuple(k for k, _ in itertools.groupby(path) if k)
            if ctc
            else tuple(k for k in path if k)
        )
        texts[text] = texts.get(text, 0) + float(np.prod(posterior[range(columns), path]))
    return texts


small = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(2, 3)), elements=st.floats(-4, 4, width=32)
)


@pytest.mark.parametrize("ctc", [True, False])
@given(values=small)
def test_a_text_is_as_likely_as_all_its_paths_together(ctc: bool, values: np.ndarray) -> None:
    expected = every_text(values, ctc)
    labels = np.zeros((len(expected), len(values) + 1), np.int64)
    for i, text in enumerate(expected):
        labels[i, : len(text)] = text
    found = text_probability(np.broadcast_to(values, (len(labels), *values.shape)), labels, ctc=ctc)
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-9)
    assert sum(found) == pytest.approx(1)


def test_the_probability_of_ctc_texts_is_torchs() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 3, (5, 32, 11)).astype(np.float32)
    labels = np.array([[1, 2, 3, 4], [7, 7, 7, 7], [5, 5, 2, 0], [10, 0, 0, 0], [0, 0, 0, 0]])
    lengths = torch.tensor((labels > 0).sum(axis=1))
    log = torch.log_softmax(torch.tensor(values).double(), 2).transpose(0, 1)
    loss = torch.nn.functional.ctc_loss(
        log, torch.tensor(labels), torch.full((5,), 32), lengths, reduction="none"
    )
    np.testing.assert_allclose(
        -np.log(text_probability(values, labels, ctc=True)), loss.numpy(), rtol=1e-9
    )


def test_a_text_that_does_not_fit_in_the_columns_is_impossible() -> None:
    values = np.zeros((3, 3, 3), np.float32)
    labels = np.array([[1, 2, 1, 2], [1, 1, 2, 0], [1, 2, 1, 0]])
    np.testing.assert_allclose(text_probability(values, labels, ctc=True), [0, 0, 1 / 27])
    np.testing.assert_allclose(text_probability(values, labels, ctc=False), [0, 1 / 27, 1 / 27])


@pytest.mark.parametrize("ctc", [True, False])
@given(values=small, k=st.integers(1, 8))
def test_the_likeliest_texts_are_those_of_all_paths(ctc: bool, values: np.ndarray, k: int) -> None:
    found = likeliest_texts(values, k, ctc=ctc)
    expected = every_text(values, ctc)
    assert len(expected) <= BEAM
    assert len(found) == min(k, len(expected)) == len({text for text, _ in found})
    best = sorted(expected.values(), reverse=True)[:k]
    np.testing.assert_allclose([probability for _, probability in found], best, rtol=1e-9)
    np.testing.assert_allclose([expected[text] for text, _ in found], best, rtol=1e-9)


def test_the_beam_finds_a_text_that_no_single_path_would() -> None:
    posterior = np.array(
        [[0.6, 0.4], [0.6, 0.4]]
    )  # the best path is two blanks (0.36), three others spell "1"
    ((text, probability),) = likeliest_texts(np.log(posterior).astype(np.float32), 1, ctc=True)
    assert text == (1,)
    assert probability == pytest.approx(0.64)
    assert decode_ctc(np.log(posterior)[None].astype(np.float32)).lengths.tolist() == [0]


def test_equal_neighbours_need_no_blank_between_positions() -> None:
    values = np.where(np.arange(3) == np.array([2, 2, 0])[:, None], 9, 0).astype(np.float32)
    assert likeliest_texts(values, 1, ctc=False)[0][0] == (2, 2)
    assert likeliest_texts(values, 1, ctc=True)[0][0] == (2,)


def test_a_wide_image_does_not_vanish_in_the_search() -> None:
    values = (
        np.random.default_rng(2).normal(0, 0.1, (700, 11)).astype(np.float32)
    )  # every text below 1e-300
    values[:, 0] += 8  # but for the shortest
    assert likeliest_texts(values, 3, ctc=True)[0][0] == ()
    assert len({text for text, _ in likeliest_texts(values[:, 1:], 3, ctc=True)}) == 3


@given(st.lists(st.text("бaж1", max_size=5), min_size=1, max_size=4))
def test_texts_come_back_from_their_labels(texts: list[str]) -> None:
    assert to_texts(encode(texts, "1aбж"), "1aбж") == texts


def test_a_character_outside_the_alphabet_is_refused() -> None:
    with pytest.raises(ValueError, match="the characters 'xy' are not in the alphabet '01'"):
        encode(["01", "y0", "x"], "01")
