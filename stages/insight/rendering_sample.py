"""Renderings of some captchas, with what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.reader.batches import Images

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RenderingSample:
    """n renderings, those of one captcha in a row."""

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
        images, captcha, level = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("images", "captcha", "level")
        )
        return RenderingSample(
            images,
            [text for part in parts for text in part.texts],
            captcha,
            np.concatenate([part.noise for part in parts]),
            level,
        )
