"""Faithfulness of saliency maps: do they show what the reader uses, better than maps that know nothing of the reader?

Deletion and insertion (Petsiuk et al. 2018), mass on the glyph against chance, and drift under noise.
Letters here: m rows (a rendering and one of its characters), P pixels, K steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from stages.captcha.noise.canvas import background
from stages.insight.glyph_masks import ink_map
from stages.insight.gradient_saliency import Bools, Maps, Targets
from stages.insight.saliency import Explanation, posterior
from stages.reader.batches import Images
from stages.reader.decoding import Doubles, Ints
from stages.reader.protocol import Reader
from stages.schemas.explain import SaliencyMeasures

Score = Callable[[Images, Ints], Doubles]  # images (b, H, W, 3), their rows (b,) to posteriors (b,)

CONTROLS = ("ink", "random")  # maps that know nothing of the reader
CAPTCHA = "captcha"
READ_RIGHT = "read_right"  # whether the character was read
KEY = [CAPTCHA, SaliencyMeasures.noise, SaliencyMeasures.level, "position", "character", READ_RIGHT]


def mass_share(maps: Maps, masks: Bools) -> Doubles:
    """The share (m,) of the positive part of the maps that lies in masks (m, H, W); NaN where nothing is positive.

    Chance is the share of the area, `masks.mean`.
    """
    positive = np.maximum(maps, 0).astype(np.float64)
    whole: Doubles = positive.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Doubles = np.where(whole > 0, (positive * masks).sum(axis=(1, 2)) / whole, np.nan)
    return share


def spearman(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> Doubles:
    """Rank correlation (m,) of the pixels of maps (m, H, W), ties at their mean rank; NaN where a map is constant."""
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second)]
    x, y = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: Doubles = (x * y).sum(axis=1) / np.sqrt(
            np.square(x).sum(axis=1) * np.square(y).sum(axis=1)
        )
    return rho


def spearman_within(first: Maps, second: Maps, masks: Bools) -> Doubles:
    """`spearman` over the pixels of masks (m, H, W) alone; NaN where a mask has fewer than three.

    A map made of contrast times something is 0 wherever there is no ink, in every reader: over the whole picture two
    such maps agree whatever the reader has learned (0.998 for a reader of random weights).
    """
    rho = np.full(len(masks), np.nan)
    for i in np.flatnonzero(masks.sum(axis=(1, 2)) > 2):
        rho[i] = spearman(first[i][masks[i]][None], second[i][masks[i]][None])[0]
    return rho


def shares(steps: int) -> Doubles:
    """Shares (K + 1,) of the pixels that are replaced, 0 and 1 among them, denser at the start: (k / K)^2.

    Ink is a tenth of a captcha, so that even steps would meet all of it in the first two.
    """
    return (np.arange(steps + 1) / steps) ** 2


def ends_of(score: Score, images: Images) -> tuple[Doubles, Doubles]:
    """Posteriors (m,) of the pictures and of their bare grounds, between which every curve runs."""
    rows = np.arange(len(images))
    bare = np.broadcast_to(background(images)[:, None, None], images.shape)
    return score(images, rows), score(bare, rows)


def replacement_curves(
    score: Score,
    images: Images,
    maps: Maps,
    steps: int,
    ends: tuple[Doubles, Doubles],
    *,
    rng: np.random.Generator,
) -> tuple[Doubles, Doubles]:
    """Posteriors (m, K + 1) under deletion and under insertion, pixels in the map's order, the highest first.

    Deletion paints the first pixels with the ground of their picture, insertion shows the first on it; `shares` are
    their shares; `ends` are those of `ends_of`, the same for all maps. Pixels of equal value come in random order.
    """
    m = len(images)
    pixels = maps[0].size
    order = np.lexsort((rng.random((m, pixels)), -maps.reshape(m, pixels)), axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(pixels), order.shape), axis=1)
    rank = rank.reshape(maps.shape)
    ground = background(images)[:, None, None]
    counts = np.round(shares(steps) * pixels).astype(int)
    rows = np.arange(m)
    curves = np.empty((2, m, steps + 1))
    curves[0, :, 0], curves[0, :, -1] = ends
    curves[1, :, 0], curves[1, :, -1] = ends[::-1]
    for k in range(1, steps):
        first = (rank < counts[k])[..., None]
        curves[0, :, k] = score(np.where(first, ground, images), rows)
        curves[1, :, k] = score(np.where(first, images, ground), rows)
    return curves[0], curves[1]


def curve_area(curve: Doubles) -> Doubles:
    """The area (m,) under curves (m, K + 1) over `shares`, by the trapezoid, both ends included."""
    return np.asarray(np.trapezoid(curve, shares(curve.shape[1] - 1), axis=1), np.float64)


def measure(
    explanation: Explanation,
    reader: Reader,
    frame: pd.DataFrame,
    masks: Bools,
    clean: Ints,
    *,
    steps: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every measure of every map, and the curves behind two of them.

    `reader` is the one without its denoiser. frame has KEY without `read_right` for the m rows; masks (m, H, W) are of
    each row's character on the clean rendering; clean (m,) is the row with the clean rendering of the same captcha and
    character. Returns rows, KEY with method (the controls too), deletion, insertion, drift over the whole picture and
    drift_on_glyph over the pixels of the mask, mass, chance; and curves, KEY with method, share, deletion, insertion.

    Deletion and insertion are of characters that were read, NaN elsewhere: what is not read cannot be deleted. Drift is
    NaN on the clean rows themselves. A noise that moves ink moves it out of its mask, which lowers the mass for any
    reader; colours are drawn anew for each rendering, which is part of the drift.
    """
    targets = explanation.targets
    images = explanation.images
    rng = np.random.default_rng(seed)
    random = rng.random(images.shape[:3]).astype(np.float32)
    maps = {**explanation.maps, "ink": ink_map(images), "random": random}
    key = frame.assign(read_right=targets.read_right)[KEY].reset_index(drop=True)
    read_right = np.flatnonzero(targets.read_right)
    score = _score(reader, targets.rows(read_right))
    ends = ends_of(score, images[read_right]) if len(read_right) else None
    itself = clean == np.arange(len(clean))
    rows = []
    curves = []
    for method, one in maps.items():
        gone, come = np.full((2, len(images), steps + 1), np.nan)
        if ends:
            gone[read_right], come[read_right] = replacement_curves(
                score, images[read_right], one[read_right], steps, ends, rng=rng
            )
        own = key.assign(method=method)
        measures = {
            "deletion": curve_area(gone),
            "insertion": curve_area(come),
            "drift": np.where(itself, np.nan, spearman(one, one[clean])),
            "drift_on_glyph": np.where(itself, np.nan, spearman_within(one, one[clean], masks)),
            "mass": mass_share(one, masks),
            "chance": masks.mean(axis=(1, 2)),
        }
        rows.append(own.assign(**measures))
        for k, share in enumerate(shares(steps)):
            table = own.assign(share=share, deletion=gone[:, k], insertion=come[:, k])
            curves.append(table.iloc[read_right])
    return pd.concat(rows, ignore_index=True), pd.concat(curves, ignore_index=True)


def _score(reader: Reader, targets: Targets) -> Score:
    return lambda images, rows: posterior(reader, images, targets.rows(rows))
