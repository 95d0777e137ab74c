"""Detection measures of scores: AUROC, average precision and the true positive rate at a threshold, with intervals.

Letters here: n scores, of which N are normal and M anomalous; a higher score is stranger.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from stages.schemas.explain import UnseenScores
from stages.statistics.bootstrap import draws_in_parts, index_counts, percentile_interval

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHARE = 0.05  # of the normal validation glyphs that may exceed the threshold
FEWEST = 10  # normals or anomalies below which there is no interval
TOO_FEW_GLYPHS = f"fewer than {FEWEST} normal or anomalous glyphs: no interval"
CHUNK = 100  # resamples in memory at once


def standardised(known: Doubles, scores: Doubles) -> tuple[Doubles, Doubles]:
    """Both in standard deviations of the known ones from their mean; in their own unit where those do not vary."""
    spread = known.std() or 1.0
    return (known - known.mean()) / spread, (scores - known.mean()) / spread


def auroc(scores: Doubles, anomalous: Bools) -> float:
    """The chance that an anomaly scores higher than a normal glyph, ties half (Mann-Whitney)."""
    low, high = _places(scores, anomalous)
    return float((low + high).mean() / 2 / (~anomalous).sum())


def _places(scores: Doubles, anomalous: Bools) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Normal scores below each anomaly's (M,), and those not above it."""
    normal = np.sort(scores[~anomalous])
    found = scores[anomalous]
    return np.searchsorted(normal, found), np.searchsorted(normal, found, side="right")


def detection_row(
    scores: Doubles,
    anomalous: Bools,
    threshold: float,
    draws: int,
    confidence: float,
    *,
    rng: np.random.Generator,
) -> dict[str, float | int | str]:
    """The measures of scores (n,) of normal and anomalous glyphs, at a threshold that was fixed elsewhere.

    Intervals are percentiles of resamples, normals and anomalies drawn separately; NaN, and a note, for fewer than
    FEWEST. AUROC and average precision are NaN where there is one kind of glyph only.
    """
    both = anomalous.any() and not anomalous.all()
    few = min(anomalous.sum(), (~anomalous).sum()) < FEWEST
    beyond = scores > threshold
    ends = np.full((2, 2), np.nan)
    if not few:
        ends = percentile_interval(_resampled(scores, anomalous, beyond, draws, rng), confidence)
    return {
        UnseenScores.n_normal: int((~anomalous).sum()),
        UnseenScores.n_anomalous: int(anomalous.sum()),
        UnseenScores.auroc: auroc(scores, anomalous) if both else np.nan,
        UnseenScores.low: ends[0, 0],
        UnseenScores.high: ends[1, 0],
        UnseenScores.aupr: average_precision_score(anomalous, scores) if both else np.nan,
        UnseenScores.tpr_at_5: _share(beyond[anomalous]),
        UnseenScores.tpr_low: ends[0, 1],
        UnseenScores.tpr_high: ends[1, 1],
        UnseenScores.false_alarms: _share(beyond[~anomalous]),
        UnseenScores.note: TOO_FEW_GLYPHS if few else "",
    }


def _share(beyond: Bools) -> float:
    return float(beyond.mean()) if len(beyond) else np.nan


def _resampled(
    scores: Doubles, anomalous: Bools, beyond: Bools, draws: int, rng: np.random.Generator
) -> Doubles:
    """AUROC and share of the anomalies beyond the threshold in each resample, (draws, 2)."""
    low, high = _places(scores, anomalous)
    N = int((~anomalous).sum())
    M = int(anomalous.sum())
    found = []
    for count in draws_in_parts(draws, CHUNK):
        below = np.zeros((count, N + 1), np.int32)  # drawn normals among the i lowest
        np.cumsum(index_counts(N, count, rng=rng), axis=1, out=below[:, 1:])
        drawn = index_counts(M, count, rng=rng)
        ranks = np.einsum("dm,dm->d", drawn, below[:, low] + below[:, high]) / 2
        found.append(np.column_stack([ranks / (N * M), drawn @ beyond[anomalous] / M]))
    return np.concatenate(found)
