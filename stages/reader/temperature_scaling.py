"""Temperature scaling: one number that calibrates the confidences of a reader (Guo et al. 2017, section 4.2)."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.reader.alignment import UNANSWERED, align
from stages.reader.decoding import softmax

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Ends of the search. A reader without an error has its optimum at 0, and gets the lower end.
TEMPERATURES = (0.05, 20.0)


def best_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """`fit_temperature`, but 1 where the rows determine none: no rows, or a result at an end of the search."""
    if not len(np.asarray(labels)):
        return 1.0
    found = fit_temperature(logits, labels)
    return 1.0 if found in TEMPERATURES else found


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The maximum-likelihood temperature T of logits (n, A + 1), divided by T, for labels (n,), 0 to A.

    Guo et al. (2017), section 4.2. The negative log-likelihood is convex in 1 / T: its slope crosses 0 once. A result
    at an end of TEMPERATURES means that there is no optimum between them: every label is the likeliest class, or the
    logits are no better than chance. A decoder's `confidences` chooses the rows. Raises ValueError on shapes that do
    not fit, no rows, logits that are not finite, or labels out of range.
    """
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels)
    _check_logits(z, y, (2, 1))
    true = z[np.arange(len(z)), y.astype(np.int64)]

    def slope(log_beta: float) -> float:
        return float(((softmax(exp(log_beta) * z) * z).sum(axis=1) - true).mean())

    low = -log(TEMPERATURES[1])
    high = -log(TEMPERATURES[0])
    if slope(low) >= 0:
        return TEMPERATURES[1]
    if slope(high) <= 0:
        return TEMPERATURES[0]
    from scipy.optimize import brentq  # here, since only a training needs it

    return exp(-brentq(slope, low, high, xtol=1e-12))


def peaks(logits: ArrayLike, labels: ArrayLike) -> tuple[Floats, Ints]:
    """The columns of CTC logits (n, S, A + 1) that give the characters read their confidences, and their true labels.

    Returns logits (m, A + 1) and labels (m,): the corresponding true character, or 0 where there is none, since the
    column should have been a blank. labels (n, T) are the truth, 0 after the end. Raises ValueError on shapes that do
    not fit, and on logits that are not finite.
    """
    z, truth = _checked_ctc(logits, labels)
    posterior = softmax(np.asarray(logits))  # in their own precision, as they were read
    best = posterior.argmax(axis=2)
    surely = posterior.max(axis=2)  # (n, S)
    starts = np.ones(best.shape, bool)
    starts[:, 1:] = best[:, 1:] != best[:, :-1]  # runs, as in decode_ctc
    run = np.cumsum(starts) - 1
    highest = np.maximum.reduceat(surely.ravel(), np.flatnonzero(starts))
    at_peak = np.flatnonzero(surely.ravel() == highest[run])
    chosen = at_peak[np.unique(run[at_peak], return_index=True)[1]]
    chosen = chosen[best.ravel()[chosen] > 0]
    read = best.ravel()[chosen]
    text = chosen // best.shape[1]
    classes = np.zeros(len(chosen), np.int64)
    ends = np.searchsorted(text, np.arange(len(z) + 1))
    for i, (start, end) in enumerate(pairwise(ends)):
        true = truth[i, truth[i] > 0].tolist()
        for label, answer in zip(true, align(true, read[start:end].tolist()), strict=True):
            if answer != UNANSWERED:
                classes[start + answer] = label
    return z.reshape(-1, z.shape[2])[chosen], classes


def _checked_ctc(logits: ArrayLike, labels: ArrayLike) -> tuple[Floats, Ints]:
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels)
    _check_logits(z, y, (3, 2))
    if ((y[:, :-1] == 0) & (y[:, 1:] > 0)).any():
        raise ValueError("labels should be 0 only after the end of a text")
    return z, y.astype(np.int64)


def _check_logits(z: Floats, y: NDArray[Any], axes: tuple[int, int]) -> None:
    if (z.ndim, y.ndim) != axes or len(y) != len(z) or not z.size or not np.isfinite(z).all():
        raise ValueError(
            f"logits {z.shape} and labels {y.shape} should have {axes[0]} and {axes[1]} axes and as many "
            "rows, at least one; logits should be finite"
        )
    if y.size and (y.dtype.kind not in "iu" or not ((y >= 0) & (y < z.shape[-1])).all()):
        raise ValueError(f"labels should be whole numbers from 0 to {z.shape[-1] - 1}")
