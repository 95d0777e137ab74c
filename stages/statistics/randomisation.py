"""A randomisation test of a factor that was dealt at random to the renderings of each condition, as colour is.

Under the hypothesis that it changes nothing, any other dealing would have given the same readings (Fisher 1935): the
labels are dealt again within each condition of each part, in which they are balanced, once for all readers and
positions of a rendering, and nothing is assumed about how rows are correlated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.statistics.arrays import Floats, Ints

REDEALINGS = 999


@dataclass(frozen=True)
class Randomisation:
    """How the sum of squares between the categories compares with that of other dealings."""

    statistic: float  # share of the renderings' variation within conditions and parts that lies between categories
    draws: int
    p: float


def randomisation(
    success: NDArray[np.uint8],
    captcha: Ints,
    condition: Ints,
    category: Ints,
    *,
    part: int,
    rng: np.random.Generator,
) -> Randomisation | None:
    """All (N,): the outcome of each row, its rendering (captcha and condition), and the category dealt to that.

    Captchas come in parts of `part`, by their number. None where one category was dealt, or all renderings of a
    condition and part are read alike. Raises ValueError where rows of one rendering differ in category: then it was not
    dealt to renderings.
    """
    keys, first, rendering = np.unique(
        np.stack([condition, captcha]), axis=1, return_index=True, return_inverse=True
    )
    rendering = rendering.ravel()
    assigned = category[first]
    if (assigned[rendering] != category).any():
        raise ValueError("randomisation test: the rows of one rendering differ in category")
    rows = np.bincount(rendering)
    mean = np.bincount(rendering, success) / rows
    group = np.unique(np.stack([keys[0], keys[1] // part]), axis=1, return_inverse=True)[1].ravel()
    left = mean - (np.bincount(group, mean) / np.bincount(group))[group]
    total = float(left @ left)
    if len(np.unique(assigned)) < 2 or total <= 1e-12 * len(left):
        return None
    counts = np.bincount(assigned)
    observed = between_sum_of_squares(left, assigned, counts)
    reached = 0
    for _ in range(REDEALINGS):
        order = np.lexsort((rng.random(len(group)), group))  # in a new order within each group
        reached += between_sum_of_squares(left, assigned[order], counts) >= observed * (1 - 1e-12)
    return Randomisation(observed / total, REDEALINGS, (1 + reached) / (1 + REDEALINGS))


def between_sum_of_squares(values: Floats, category: Ints, counts: Ints) -> float:
    """Sum over the categories of their rows times their squared mean."""
    sums = np.bincount(category, values, len(counts))
    return float((np.square(sums)[counts > 0] / counts[counts > 0]).sum())
