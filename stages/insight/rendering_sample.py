"""A sample of renderings, with the text and the condition of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.reader.batches import Images

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RenderingSample:
    """n renderings, those of one captcha adjacent."""

    images: Images  # (n, H, W, 3)
    texts: list[str]
    captcha: NDArray[np.integer[Any]]  # (n,)
    noise: NDArray[np.str_]  # (n,) "none" where clean
    level: Floats  # (n,)

    def rows(self, chosen: Bools | NDArray[np.int64]) -> RenderingSample:
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return RenderingSample(
            self.images[index],
            [self.texts[i] for i in index],
            self.captcha[index],
            self.noise[index],
            self.level[index],
        )

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.array([len(text) for text in self.texts], np.int64)

    @staticmethod
    def joined(parts: Sequence[RenderingSample]) -> RenderingSample:
        return RenderingSample(
            np.concatenate([part.images for part in parts]),
            list(chain.from_iterable(part.texts for part in parts)),
            np.concatenate([part.captcha for part in parts]),
            np.concatenate([part.noise for part in parts]),
            np.concatenate([part.level for part in parts]),
        )
