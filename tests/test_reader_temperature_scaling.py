"""Temperature scaling against brute force: the best of many temperatures, and the rows that confidences come from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import log_softmax, softmax

from stages.reader import decoding
from stages.reader.alignment import UNANSWERED, align
from stages.reader.decoders import PositionDecoder
from stages.reader.temperature_scaling import TEMPERATURES, fit_temperature, peaks
from stages.statistics.calibration import expected_calibration_error

LOGITS = np.zeros((2, 3, 4))
ctc_logits = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(2, 4)),
    elements=st.floats(-8, 8),
)


def gaussian_logits(
    n: int = 4000, classes: int = 5, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels are drawn from their own softmax: calibrated by construction."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, classes)) * 2
    return z, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


def test_calibrated_logits_need_no_temperature() -> None:
    assert fit_temperature(*gaussian_logits(40_000)) == pytest.approx(1, abs=0.02)


@settings(deadline=None)
@given(st.floats(0.3, 4))
def test_logits_times_a_factor_need_a_temperature_times_it(factor: float) -> None:
    z, y = gaussian_logits(500)
    assert fit_temperature(factor * z, y) == pytest.approx(factor * fit_temperature(z, y), rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_the_temperature_is_the_best_of_many(seed: int, shift: float) -> None:
    z, y = gaussian_logits(60, 4, seed)
    z = np.exp(shift / 3) * z
    fitted = fit_temperature(z + 100, y)  # a constant on all classes is no evidence

    def loss(temperature: float) -> float:
        return float(-log_softmax(z / temperature, axis=1)[np.arange(60), y].mean())

    assert TEMPERATURES[0] <= fitted <= TEMPERATURES[1]
    assert loss(fitted) <= min(loss(t) for t in np.geomspace(*TEMPERATURES, 200)) + 1e-12
    assert (softmax(z / fitted, axis=1).argmax(axis=1) == z.argmax(axis=1)).all()


def test_without_a_best_temperature_an_end_comes_back() -> None:
    z, _ = gaussian_logits(50)
    assert fit_temperature(z, z.argmax(axis=1)) == TEMPERATURES[0]
    assert fit_temperature(z, z.argmin(axis=1)) == TEMPERATURES[1]


def test_a_temperature_mends_an_overconfident_reader() -> None:
    z, y = gaussian_logits(6000)
    z = 3 * z
    fitted = fit_temperature(z[:3000], y[:3000])
    errors = []
    for temperature in (1, fitted):
        posterior = softmax(z[3000:] / temperature, axis=1)
        right = posterior.argmax(axis=1) == y[3000:]
        errors.append(expected_calibration_error(posterior.max(axis=1), right))
    assert errors[1] < 0.03 < 0.15 < errors[0]


def slow_peaks(posterior: np.ndarray, truth: list[int]) -> tuple[list[int], list[int]]:
    """Columns and classes of one text, column by column."""
    columns: list[int] = []
    read: list[int] = []
    before = 0
    for t, column in enumerate(posterior):
        best = int(column.argmax())
        if best and best == before:
            columns[-1] = max(columns[-1], t, key=lambda k: (posterior[k, best], -k))
        elif best:
            columns.append(t)
            read.append(best)
        before = best
    classes = [0] * len(read)
    for label, answer in zip(truth, align(truth, read), strict=True):
        if answer != UNANSWERED:
            classes[answer] = label
    return columns, classes


@given(ctc_logits, st.integers(0, 10_000))
def test_peaks_are_where_the_confidences_come_from(values: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    z = values.astype(np.float32)
    labels = rng.integers(1, z.shape[2], (len(z), 3))
    labels[np.arange(3) >= rng.integers(0, 4, len(z))[:, None]] = 0
    columns, classes = peaks(z, labels)
    expected = [
        slow_peaks(decoding.softmax(z)[i], labels[i][labels[i] > 0].tolist()) for i in range(len(z))
    ]
    assert classes.tolist() == [k for _, found in expected for k in found]
    assert columns.tolist() == [
        z[i, t].tolist() for i, (found, _) in enumerate(expected) for t in found
    ]
    read = decoding.decode_ctc(z)
    np.testing.assert_allclose(
        softmax(columns, axis=1).max(axis=1), read.confidence[read.labels > 0], rtol=1e-5
    )


def test_a_character_read_where_none_is_should_have_been_a_blank() -> None:
    read = np.array([[1, 0, 2, 0, 3]])
    z = np.where(np.arange(4) == read[..., None], 4.0, 0)
    assert peaks(z, np.array([[1, 3]]))[1].tolist() == [1, 0, 3]
    assert peaks(z, np.array([[1, 1, 3]]))[1].tolist() == [1, 1, 3]
    assert peaks(np.zeros((2, 3, 4)), np.array([[1], [2]]))[0].shape == (0, 4)


def test_rows_that_tell_no_temperature_leave_confidences_as_they_are() -> None:
    """A reader that is right everywhere, and surely so: no temperature is best."""
    sure = np.where(np.arange(4) == np.array([[1, 2, 0]])[..., None], 9.0, 0).astype(np.float32)
    assert PositionDecoder().temperature(sure, np.array([[1, 2, 0]])) == 1
    assert PositionDecoder().temperature(sure, np.array([[1, 2]])) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_temperature(np.zeros((0, 3)), []), "at least one"),
        (lambda: fit_temperature([[np.nan, 0]], [0]), "should be finite"),
        (lambda: fit_temperature(LOGITS[0], [1, 2]), r"labels \(2,\) should have 2 and 1 axes"),
        (lambda: fit_temperature(LOGITS[0], [1, 2, 4]), "whole numbers from 0 to 3"),
        (lambda: fit_temperature(LOGITS[0], [1, 2, 0.5]), "whole numbers from 0 to 3"),
        (lambda: peaks(LOGITS, [[0, 1], [1, 1]]), "0 only after the end"),
    ],
)
def test_bad_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
