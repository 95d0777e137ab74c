"""Pixels of each character of a rendering, and mean maps that are aligned to them.

Letters here: n renderings, T characters of a text, m rows, each one rendering and one of its characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stages.captcha.noise.canvas import background
from stages.insight.gradient_saliency import Bools, Maps
from stages.reader.batches import Images
from stages.reader.decoding import Doubles, Ints

STRONG = 0.2  # of the strongest ink: more than this is the glyph


def ink_map(images: Images) -> Maps:
    """The distance of each pixel from the background, in RGB, (m, H, W): a map that needs no reader."""
    away = images.astype(np.float32) - background(images).astype(np.float32)[:, None, None]
    distance: Maps = np.sqrt(np.square(away).sum(axis=3, dtype=np.float32))
    return distance


def glyph_masks(clean: Images, lengths: Ints, places: Doubles | None = None) -> Bools:
    """The pixels (n, T, H, W) of each character of clean renderings (n, H, W, 3): ink above a fifth of the strongest.

    The owner of a pixel is not stored, so each character gets its own columns: between two characters the cut is the
    column with the least ink (of equals the one nearest the middle) between their places. places (n, T) are columns of
    the picture, px, about where each character stands, such as where the reader reads it on the clean rendering;
    without them the width of the ink is shared evenly. lengths (n,) in characters.
    """
    ink = ink_map(clean)
    strong = ink > STRONG * ink.max(axis=(1, 2), keepdims=True)
    masks = np.zeros((len(clean), int(lengths.max()), *ink.shape[1:]), bool)
    for i, length in enumerate(lengths.tolist()):
        seen = np.flatnonzero(strong[i].any(axis=0))
        if not len(seen):
            continue
        middles = (
            (seen[0] + (seen[-1] + 1 - seen[0]) * (np.arange(length) + 0.5) / length)
            if places is None
            else np.sort(places[i, :length])
        )
        cuts = [0, *_cuts(ink[i].sum(axis=0), middles), strong.shape[2]]
        for t in range(length):
            masks[i, t, :, cuts[t] : cuts[t + 1]] = strong[i, :, cuts[t] : cuts[t + 1]]
    return masks


def _cuts(profile: NDArray[np.float32], middles: Doubles) -> list[int]:
    """The columns between neighbours, from the ink (W,) by column."""
    cuts = []
    for left, right in pairwise(middles.tolist()):
        between = np.arange(int(np.ceil(left)), max(int(np.ceil(left)) + 1, int(right) + 1))
        between = between[between < len(profile)]
        cost = profile[between] + 1e-3 * np.abs(between - (left + right) / 2)
        cuts.append(int(between[cost.argmin()]) if len(between) else len(profile))
    return cuts


def mean_maps(
    maps: Maps, masks: Bools, characters: Sequence[str], size: int
) -> dict[str, tuple[Maps, Maps, int]]:
    """By character the mean map and the mean glyph, (size, size) each, aligned to the box of its mask, and how many.

    The box, with a quarter of its longer side around it, is brought to size x size; maps are divided by their own
    largest magnitude first. A character without a mask anywhere is left out.
    """
    found: dict[str, list[Maps]] = {}
    for one, mask, character in zip(maps, masks, characters, strict=True):
        if mask.any():
            window = _window(mask)
            scaled = one / max(float(np.abs(one).max()), 1e-12)
            parts = [_sampled(part, window, size) for part in (scaled, mask.astype(np.float32))]
            found.setdefault(character, []).append(np.stack(parts))
    means = {}
    for character, pairs in sorted(found.items()):
        mean, glyph = np.mean(pairs, axis=0)
        means[character] = (mean, glyph, len(pairs))
    return means


def _window(mask: Bools) -> tuple[float, float, float]:
    """Middle row, middle column and side of the square about a mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    side = 1.5 * max(rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0])
    return (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2, side


def _sampled(picture: Maps, window: tuple[float, float, float], size: int) -> Maps:
    """The window of a picture at size x size points, nearest pixel, 0 outside."""
    offsets = ((np.arange(size) + 0.5) / size - 0.5) * window[2]
    rows, columns = (np.round(middle + offsets).astype(int) for middle in window[:2])
    H, W = picture.shape
    inside = ((rows >= 0) & (rows < H))[:, None] & ((columns >= 0) & (columns < W))
    taken = picture[np.clip(rows, 0, H - 1)[:, None], np.clip(columns, 0, W - 1)]
    return np.where(inside, taken, 0).astype(np.float32)
