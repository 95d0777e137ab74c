"""The variance between training runs, beside that between captchas: what another training of the same readers moves.

With scores s_r = X_r'e_r of run r, centred over the R runs of its reader, V(run) = (X'X)^-1 [sum of R/(R-1) s_r s_r']
(X'X)^-1: for a regression by reader on balanced runs exactly s²/R of the runs' own estimates (Ibragimov & Müller 2010,
J. Business & Economic Statistics 28:453). It holds what a run makes of a captcha in its own way, which V(captcha)
holds, too: V(captcha x run), of the same scores by captcha and run, is taken off once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.statistics.arrays import Floats, Ints
from stages.statistics.clustered import run_starts
from stages.statistics.design_matrix import Design
from stages.statistics.least_squares import Fit
from stages.statistics.sample import Sample


@dataclass(frozen=True)
class TrainingRuns:
    """Of which training run, and of which reader, each row is."""

    run: Ints  # (N,) indices of the runs of all readers
    reader: Ints  # (N,) indices of the readers

    def take(self, order: Ints) -> TrainingRuns:
        return TrainingRuns(self.run[order], self.reader[order])

    def readers(self) -> list[Ints]:
        """The runs of each reader. Raises ValueError where one has a single run."""
        found = [np.unique(self.run[self.reader == reader]) for reader in np.unique(self.reader)]
        if min(map(len, found)) < 2:
            raise ValueError(
                "a variance between training runs needs two runs of each reader at least"
            )
        return found


def between_runs(
    sample: Sample, design: Design, fit: Fit, runs: TrainingRuns
) -> tuple[Floats, int]:
    """V(run) - V(captcha x run), (K, K), and the fewest runs of a reader; sample is sorted by captcha (or another first
    way of clustering), `runs` are of its rows. One pass over blocks of rows."""
    groups = runs.readers()
    K = len(fit.beta)
    R = int(runs.run.max()) + 1
    totals = np.zeros((R, K))
    within = np.zeros((K, K))
    for rows in sample.slices():
        X = design.block(sample.variables, rows)
        scores = X * (sample.success[rows] - X @ fit.beta)[:, None]
        clusters, cluster = np.unique(sample.cluster[rows], return_inverse=True)
        cell = cluster * R + runs.run[rows]
        order = np.argsort(cell, kind="stable")
        starts = run_starts(cell[order])
        sums = np.zeros((len(clusters), R, K))
        sums.reshape(-1, K)[cell[order][starts]] = np.add.reduceat(scores[order], starts)
        totals += sums.sum(axis=0)
        within += sum(_centred(sums[:, group]) for group in groups)
    between = sum((_centred(totals[None, group]) for group in groups), np.zeros((K, K)))
    covariance: Floats = fit.bread @ (between - within) @ fit.bread
    return covariance, min(map(len, groups))


def _centred(sums: Floats) -> Floats:
    """R/(R-1) times the sum of squares and products (K, K) of scores (g, R, K) about their mean over the runs."""
    runs = sums.shape[1]
    about = (sums - sums.mean(axis=1, keepdims=True)).reshape(-1, sums.shape[2])
    products: Floats = runs / (runs - 1) * about.T @ about
    return products
