"""Precision, recall and F1 of each character, and their means over the alphabet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from stages.statistics.arrays import Floats, Ints
from stages.statistics.clustered import covariance_of_means, fewest_clusters
from stages.statistics.proportions import independent_size, wilson


@dataclass(frozen=True)
class ClassReport:
    """Shares of each of the A characters, in the order of the alphabet; 0 where a share is of nothing (0 / 0).

    precision: of what was read as the character, the share that is it. recall: of the character, the share that was
    read as it. f1: their harmonic mean. The means weigh every character of the alphabet alike, one that never occurs
    included, as scikit-learn's precision_recall_fscore_support(labels=the alphabet, zero_division=0).
    """

    precision: Floats  # (A,)
    recall: Floats  # (A,)
    f1: Floats  # (A,)
    support: Ints  # (A,), how often the character is the true one
    predicted: Ints  # (A,), how often it was read
    accuracy: float  # of all m characters, the share read right

    @property
    def macro_precision(self) -> float:
        return float(self.precision.mean())

    @property
    def macro_recall(self) -> float:
        return float(self.recall.mean())

    @property
    def macro_f1(self) -> float:
        """The mean of the characters' F1, not the F1 of the means (Opitz & Burst, 2019)."""
        return float(self.f1.mean())


def class_report(truth: NDArray[Any], guess: NDArray[Any], alphabet_size: int) -> ClassReport:
    """The report of m characters: truth (m,) labels from 1 to A; guess (m,) labels, 0 where the character was missed.

    A missed character lowers recall and accuracy, but is no class of its own and lowers no precision; characters read
    beyond those of the text are in no row, and so in no share.
    Raises ValueError on no row, lengths that differ, or a label outside the alphabet.
    """
    truth = np.asarray(truth)
    guess = np.asarray(guess)
    check_labels(truth, guess, alphabet_size)
    right = np.bincount(truth[truth == guess], minlength=alphabet_size + 1)[1:]
    support = np.bincount(truth, minlength=alphabet_size + 1)[1:]
    predicted = np.bincount(guess, minlength=alphabet_size + 1)[1:]
    return ClassReport(
        _share(right, predicted),
        _share(right, support),
        _share(2 * right, support + predicted),
        support,
        predicted,
        float(right.sum() / len(truth)),
    )


def check_labels(truth: NDArray[Any], guess: NDArray[Any], alphabet_size: int) -> None:
    if truth.ndim != 1 or truth.shape != guess.shape or not len(truth):
        raise ValueError(
            f"class_report: truth {truth.shape} and guess {guess.shape} should be alike (m,), m >= 1"
        )
    for name, labels, least in (("truth", truth, 1), ("guess", guess, 0)):
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"class_report: {name} should be labels, whole numbers, got {labels.dtype}: encode it"
            )
        if labels.min() < least or labels.max() > alphabet_size:
            raise ValueError(
                f"class_report: {name} should lie from {least} to {alphabet_size}, the alphabet's size, "
                f"got {labels.min()} to {labels.max()}: take the rows of true characters alone"
            )


def _share(part: Ints, whole: Ints) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def macro_scores(
    truth: NDArray[Any],
    guess: NDArray[Any],
    captcha: NDArray[Any],
    alphabet_size: int,
    confidence: float = 0.95,
    *,
    glyphs: NDArray[Any] | None = None,
) -> dict[str, float]:
    """Macro precision, recall and F1, and the interval of the last, as metrics; captcha and glyphs (m,) are shared.

    Raises ValueError as class_report and f1_interval do.
    """
    report = class_report(truth, guess, alphabet_size)
    low, high = f1_interval(truth, guess, captcha, report, confidence, glyphs=glyphs)
    return {
        "macro_precision": report.macro_precision,
        "macro_recall": report.macro_recall,
        "macro_f1": report.macro_f1,
        "macro_f1_low": low,
        "macro_f1_high": high,
    }


def f1_interval(
    truth: NDArray[Any],
    guess: NDArray[Any],
    captcha: NDArray[Any],
    report: ClassReport,
    confidence: float = 0.95,
    *,
    glyphs: NDArray[Any] | None = None,
) -> tuple[float, float]:
    """Interval (low, high) of the macro F1, where characters may err together that share a captcha or a glyph.

    The variance is the delta method's (see `clustered`). The interval is Wilson's at the size of sample that would give
    a share this variance, m at most, and G where the variance is zero, as clustered_proportion has it for a plain
    share: so there is a width where all is right. glyphs (m,), -1 where unknown.
    Takahashi et al. (2022), Applied Intelligence 52:4961 (delta method); Korn & Graubard (1998) for the rest.
    Raises ValueError on fewer than two captchas, a captcha of another length, or a confidence outside 0 to 1.
    """
    captcha = np.asarray(captcha)
    if captcha.shape != np.shape(truth):
        raise ValueError(
            f"f1_interval: captcha {captcha.shape} and truth {np.shape(truth)} should be alike (m,)"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"f1_interval: confidence should lie between 0 and 1, got {confidence}")
    m = len(captcha)
    G = fewest_clusters(captcha, glyphs)
    macro = report.macro_f1
    if G < 2:
        raise ValueError(
            f"f1_interval: an interval needs at least two captchas, got {G}: take more"
        )
    scores = _influence(np.asarray(truth), np.asarray(guess), report)[:, None]
    variance = float(covariance_of_means(scores, captcha, glyphs)[0, 0])
    return wilson(
        macro,
        independent_size(macro * (1 - macro), variance, m, G),
        float(stdtrit(G - 1, (1 + confidence) / 2)),
    )


def _influence(truth: NDArray[Any], guess: NDArray[Any], report: ClassReport) -> Floats:
    """What each row (m,) adds to the macro F1, to the first order; they sum to 0.

    F1 = 2 right / (support + predicted): a row moves it through its true character and through the one it was read as.
    """
    size = report.support + report.predicted
    weight = np.concatenate(
        [[0.0], np.divide(1, size, out=np.zeros(len(size)), where=size > 0)]
    )  # (1 + A,)
    own = np.concatenate([[0.0], report.f1]) * weight
    found: Floats = 2 * weight[truth] * (truth == guess) - own[truth] - own[guess]
    return found / len(report.f1)
