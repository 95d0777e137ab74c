"""Temperature scaling: one number that calibrates a reader's confidences (Guo et al. 2017, section 4.2)."""

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

TEMPERATURES = (
    0.05,
    20.0,
)  # ends of the search; of a reader that is never wrong, the lower is "best"


def best_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """`fit_temperature`, but 1 where these rows tell none: there is none, all are right, or they are no better than
    chance."""
    if not len(np.asarray(labels)):
        return 1.0
    found = fit_temperature(logits, labels)
    return 1.0 if found in TEMPERATURES else found


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T by which to divide logits (n, A + 1) so that their labels (n,), 0 to A, are likeliest.

    Guo et al. (2017), section 4.2. The negative log-likelihood is convex in 1 / T: its slope crosses 0 once. A result
    at an end of TEMPERATURES says that none is best: all labels are the likeliest class, or no better than chance.
    Which rows to take, a decoder's `confidences` says.
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
    """The columns of CTC logits (n, S, A + 1) that the characters read take their confidences from, and their labels.

    Returns logits (m, A + 1) and labels (m,): the true character that each answers, 0 where it answers none, since the
    column should have been a blank. labels (n, T) is the truth, 0 after the end.
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
