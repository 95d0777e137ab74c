"""Where a reader says each character: beside every path that there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stages.reader.ctc_alignment import aligned_columns
from stages.reader.decoding import softmax


def test_the_columns_are_those_of_the_likeliest_of_all_paths() -> None:
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(8, 5, 3)).astype(np.float32)
    texts = np.array([[1, 2], [1, 1], [2, 0], [2, 2]] * 2)
    for i, found in enumerate(aligned_columns(logits, texts)):
        told = np.log(softmax(logits[i].astype(float)))
        text = tuple(x for x in texts[i] if x)
        spelling = [
            path
            for path in itertools.product(range(3), repeat=5)
            if tuple(k for k, _ in itertools.groupby(path) if k) == text
        ]
        best = spelling[int(np.argmax([told[range(5), path].sum() for path in spelling]))]
        groups = itertools.groupby(range(5), key=best.__getitem__)
        runs = [list(run) for label, run in groups if label]
        peaks = [
            run[int(np.argmax([told[column, best[column]] for column in run]))] for run in runs
        ]
        assert found[: len(text)].tolist() == peaks
        assert not found[len(text) :].any()


def test_a_text_that_needs_more_columns_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match="a text of 2 characters needs more than the 2 columns of the reader: widen",
    ):
        aligned_columns(np.zeros((2, 2, 3), np.float32), np.array([[1, 2], [1, 1]]))
