"""Points of a feature space in its principal plane, for a figure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from stages.insight.class_separation import Space
from stages.insight.feature_scale import principal_plane
from stages.schemas.explain import SpacePlane
from stages.schemas.words import CLEAN


def plane_table(space: Space, alphabet: str, most: int = 250) -> pd.DataFrame:
    """Where points lie in the principal plane of the reference (SpacePlane).

    The same `most` points under every condition, evenly from all rows; labels count from 0 in the alphabet.
    """
    plane, _ = principal_plane(space.reference)
    rows = np.unique(np.linspace(0, len(space.clean) - 1, min(most, len(space.clean))).astype(int))
    characters = [alphabet[label] for label in space.labels[rows]]
    tables = []
    for (noise, level), points in {(CLEAN, 0.0): space.clean, **space.noisy}.items():
        x, y = plane(points[rows]).T.round(4)
        columns = (space.name, noise, level, characters, x, y)
        tables.append(pd.DataFrame(dict(zip(SpacePlane.names(), columns, strict=True))))
    return pd.concat(tables, ignore_index=True)
