"""Base captchas: texts, and the glyphs of each text laid out on a canvas, before colour and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GLYPH = 28  # px, height and width of a glyph

Ink = NDArray[np.uint8]  # (n, H, W), 0 no ink to 255 full ink


@dataclass(frozen=True)
class Layout:
    """How glyphs are placed. Lengths in px, angles in degrees; `rotation`, `shear` and `jitter` go either way."""

    height: int
    width: int
    length: tuple[int, int]  # fewest and most characters
    scale: tuple[float, float]  # 1 is 28 px
    rotation: float
    shear: float
    gap: tuple[int, int]  # between the ink of neighbours; negative overlaps
    jitter: float


@dataclass(frozen=True)
class Bases:
    """n base captchas. `captcha` is the row key; a captcha folder's images come as ink with `original` beside it."""

    captcha: NDArray[np.int32]  # (n,)
    texts: list[str]
    glyphs: list[list[int]]  # glyph ids by character; empty for a captcha folder
    ink: Ink  # (n, H, W)
    owner: NDArray[np.uint8]  # (n, H, W), position of the character that inked the pixel
    original: NDArray[np.uint8] | None = None  # (n, H, W, 3) as found, for a captcha folder


def balanced(first: int, n: int, values: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices (n,) below `values` in random order, each equally often.

    Entry `first` is the number of entries that other parts drew before this one, so that the counts are even over
    all parts, not only within each.
    """
    return rng.permutation((first + np.arange(n)) % values)


def draw_texts(first: int, n: int, alphabet: str, length: tuple[int, int], *, rng: np.random.Generator) -> list[str]:
    """n texts whose lengths, and whose characters at each position, are balanced."""
    shortest, longest = length
    lengths = shortest + balanced(first, n, longest - shortest + 1, rng=rng)
    letters = np.array(list(alphabet))
    columns = [letters[balanced(first, n, len(alphabet), rng=rng)] for _ in range(longest)]
    return ["".join(column[i] for column in columns[:size]) for i, size in enumerate(lengths)]


def draw_glyphs(texts: Sequence[str], pools: dict[str, NDArray[np.int64]], *,
                rng: np.random.Generator) -> list[list[int]]:
    """A glyph id for each character, drawn evenly from its pool."""
    return [[int(pools[character][rng.integers(len(pools[character]))]) for character in text] for text in texts]


def compose(captcha: NDArray[np.int32], texts: list[str], glyphs: list[list[int]], images: Ink, layout: Layout, *,
            rng: np.random.Generator) -> Bases:
    """Lay out the glyphs of each text from left to right, centred, each scaled, sheared, rotated and shifted.

    images (m, 28, 28) holds every glyph by its id. Raises ValueError where a text does not fit the canvas.
    """
    ink = np.zeros((len(texts), layout.height, layout.width), np.uint8)
    owner = np.zeros_like(ink)
    for i, ids in enumerate(glyphs):
        patches = [warp(images[glyph], layout, rng=rng) for glyph in ids]
        _place(patches, ink[i], owner[i], texts[i], layout, rng)
    return Bases(captcha, texts, glyphs, ink, owner)


def warp(glyph: Ink, layout: Layout, *, rng: np.random.Generator) -> Ink:
    """One glyph (28, 28) after random scale, shear and rotation, cropped to its ink (at least one pixel)."""
    scale = rng.uniform(*layout.scale)
    angle = np.deg2rad(rng.uniform(-layout.rotation, layout.rotation))
    shear = rng.uniform(-layout.shear, layout.shear)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.array([[1.0, shear], [0.0, 1.0]])
    reach = np.abs(linear).sum(axis=1) * GLYPH / 2  # px from the centre to the far corner, x and y
    size = 2 * np.ceil(reach).astype(int) + 4  # even, as 28 is: an unchanged glyph keeps its pixels
    centre = (GLYPH - 1) / 2
    shift = (size - 1) / 2 - linear @ np.array([centre, centre])
    matrix = np.column_stack([linear, shift])
    turned = cv2.warpAffine(glyph, matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR)
    return crop(np.asarray(turned, np.uint8))


def crop(patch: Ink, threshold: int = 24) -> Ink:
    """The box around the pixels with more ink than `threshold`; one empty pixel where there is none."""
    seen = patch > threshold
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if len(rows) == 0:
        return np.zeros((1, 1), np.uint8)
    return patch[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(patches: list[Ink], ink: Ink, owner: NDArray[np.uint8], text: str, layout: Layout,
           rng: np.random.Generator) -> None:
    gaps = rng.integers(layout.gap[0], layout.gap[1] + 1, size=len(patches))
    shifts = rng.uniform(-layout.jitter, layout.jitter, size=len(patches) + 1)
    gaps[0] = 0
    width = int(sum(patch.shape[1] for patch in patches) + gaps.sum())
    tallest = max(patch.shape[0] for patch in patches)
    if width > layout.width or tallest > layout.height:
        raise ValueError(f"captcha.width, captcha.height: the canvas has {layout.width} x {layout.height} px but "
                         f"{text!r} takes {width} x {tallest}: enlarge it, or lower captcha.scale, captcha.gap or "
                         "captcha.length")
    left = round(np.clip((layout.width - width) / 2 + shifts[-1], 0, layout.width - width))
    for position, (patch, gap, shift) in enumerate(zip(patches, gaps, shifts, strict=False)):
        height, wide = patch.shape
        left = max(0, left + int(gap))
        top = round(np.clip((layout.height - height) / 2 + shift, 0, layout.height - height))
        _stamp(patch, ink[top : top + height, left : left + wide], owner[top : top + height, left : left + wide],
               position)
        left += wide


def _stamp(patch: Ink, ink: Ink, owner: NDArray[np.uint8], position: int) -> None:
    """Add ink where the patch has more of it than the canvas."""
    patch = patch[: ink.shape[0], : ink.shape[1]]
    more = patch > ink
    ink[more] = patch[more]
    owner[more] = position
