"""The rows of a regression, sorted by cluster, as blocks of X and y that are made when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stages.statistics.arrays import Ints
from stages.statistics.design_matrix import Design, Variables
from stages.statistics.least_squares import Block, Blocks, boundaries


@dataclass(frozen=True)
class Sample:
    """N rows, in any order; errors by cluster need labels that ascend, as `by` sorts them."""

    variables: Variables
    success: NDArray[np.uint8]  # (N,) 0 or 1
    cluster: Ints  # (N,)

    @property
    def rows(self) -> int:
        return len(self.success)

    def take(self, rows: Ints) -> Sample:
        """Some rows, in the order of `rows`."""
        return Sample(self.variables.take(rows), self.success[rows], self.cluster[rows])

    def by(self, cluster: Ints) -> Sample:
        """The same rows in other clusters; cluster (N,) are labels of any order."""
        order = order_of(cluster)
        return Sample(self.variables.take(order), self.success[order], cluster[order])

    def slices(self) -> list[slice]:
        bounds = boundaries(self.cluster)
        return [slice(start, end) for start, end in pairwise(bounds)]

    def blocks(self, design: Design) -> Blocks:
        """Blocks for least_squares, of whole clusters where labels ascend."""
        slices = self.slices()

        def blocks() -> Iterator[Block]:
            for rows in slices:
                yield (
                    design.block(self.variables, rows),
                    self.success[rows].astype(np.float64),
                    self.cluster[rows],
                )

        return blocks


def order_of(cluster: Ints) -> Ints:
    """The rows (N,) sorted by their labels, equal ones in their order."""
    return np.argsort(cluster, kind="stable")


def intersection(first: Ints, second: Ints) -> Ints:
    """Labels (N,) of the clusters that are alike in both."""
    codes = np.unique(second, return_inverse=True)[1]
    return np.unique(first, return_inverse=True)[1] * (int(codes.max()) + 1) + codes
