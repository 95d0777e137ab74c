"""Base captchas: draw texts and glyphs, and lay the glyphs out on a canvas, before colour and noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.captcha.glyphs import SIDE

FAINT = 24  # ink up to here does not count as the edge of a glyph
MARGIN = 2  # px, around the ink that is stretched to the canvas

Ink = NDArray[np.uint8]  # (n, H, W), 0 no ink to 255 full ink


@dataclass(frozen=True)
class Layout:
    """How glyphs are placed. Lengths in px, angles in degrees; `rotation`, `shear` and `jitter` have a random sign."""

    height: int
    width: int
    length: tuple[int, int]  # fewest and most characters
    scale: tuple[float, float]  # 1 is 28 px
    rotation: float
    shear: float
    gap: tuple[int, int]  # between the ink of neighbours; negative overlaps
    jitter: float
    fit: str  # "canvas", or "stretch": laid out freely, then the ink's box is made as large as the canvas


@dataclass(frozen=True)
class Bases:
    """n base captchas. Row key: `captcha`. For a captcha folder, `ink` is estimated and `original` holds the image."""

    captcha: NDArray[np.int32]  # (n,)
    texts: list[str]
    glyphs: list[list[int]]  # glyph ids per character; empty for a captcha folder
    ink: Ink  # (n, H, W)
    owner: NDArray[np.uint8]  # (n, H, W), position of the character that inked the pixel
    original: NDArray[np.uint8] | None = None  # (n, H, W, 3) as found, for a captcha folder


def balanced(first: int, n: int, values: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices (n,) below `values` in random order, each equally often.

    `first` is the number of entries that earlier parts drew. With it, counts are balanced over all parts, not only
    within one.
    """
    return rng.permutation((first + np.arange(n)) % values)


def draw_texts(
    first: int, n: int, alphabet: str, length: tuple[int, int], *, rng: np.random.Generator
) -> list[str]:
    """n texts with balanced lengths, and with balanced characters at each position."""
    shortest, longest = length
    lengths = shortest + balanced(first, n, longest - shortest + 1, rng=rng)
    letters = np.array(list(alphabet))
    columns = [letters[balanced(first, n, len(alphabet), rng=rng)] for _ in range(longest)]
    return ["".join(column[i] for column in columns[:size]) for i, size in enumerate(lengths)]


def draw_glyphs(
    first: int,
    texts: Sequence[str],
    pools: Mapping[str, NDArray[np.int64]],
    *,
    stream: Callable[[str, int], np.random.Generator],
) -> list[list[int]]:
    """A glyph id per character. Over all parts, each glyph of a pool is used equally often.

    Each round uses every glyph of a pool once, in a new random order; `stream` gives the random numbers of a round.
    `first` is the number of texts in earlier parts, as `draw_texts` drew them. Where texts differ in length, a round
    may skip some glyphs.
    """
    longest = max(map(len, texts), default=0)
    used = {
        character: longest * len(range(place, first, len(pools)))
        for place, character in enumerate(pools)
    }
    orders: dict[tuple[str, int], NDArray[np.int64]] = {}
    drawn = []
    for text in texts:
        drawn.append([0] * len(text))
        for position, character in enumerate(text):
            number, place = divmod(used[character], len(pools[character]))
            if (character, number) not in orders:
                orders[character, number] = stream(character, number).permutation(pools[character])
            drawn[-1][position] = int(orders[character, number][place])
            used[character] += 1
    return drawn


def compose(
    captcha: NDArray[np.int32],
    texts: list[str],
    glyphs: list[list[int]],
    images: Ink,
    layout: Layout,
    *,
    rng: np.random.Generator,
) -> Bases:
    """Lay out the glyphs of each text from left to right, centred. Each glyph is scaled, sheared, rotated and shifted.

    images (m, 28, 28) holds every glyph by its id. Raises ValueError where a text does not fit the canvas, unless the
    layout stretches it to the canvas.
    """
    ink = np.zeros((len(texts), layout.height, layout.width), np.uint8)
    owner = np.zeros_like(ink)
    for i, ids in enumerate(glyphs):
        warped = [warp(images[glyph], layout, rng=rng) for glyph in ids]
        # A single character keeps the centre of its source: an MNIST digit on 28 x 28 px is unchanged.
        patches = (
            [crop_about_middle(warped[0], layout)]
            if len(ids) == 1
            else [crop(patch) for patch in warped]
        )
        if layout.fit == "stretch":
            ink[i], owner[i] = _stretched(patches, texts[i], layout, rng)
        else:
            _place(patches, ink[i], owner[i], texts[i], layout, rng)
    return Bases(captcha, texts, glyphs, ink, owner)


def warp(glyph: Ink, layout: Layout, *, rng: np.random.Generator) -> Ink:
    """One glyph (28, 28) after random scale, shear and rotation about its centre. The result has the same centre, and
    even height and width."""
    scale = rng.uniform(*layout.scale)
    angle = math.radians(rng.uniform(-layout.rotation, layout.rotation))
    shear = rng.uniform(-layout.shear, layout.shear)
    cosine = scale * math.cos(angle)
    sine = scale * math.sin(angle)
    # of the affine map; of x and of y
    rows = []
    size = []
    for along_x, along_y in ((cosine, cosine * shear + sine), (-sine, cosine - sine * shear)):
        reach = (abs(along_x) + abs(along_y)) * SIDE / 2  # px from the centre to the far corner
        size.append(2 * math.ceil(reach) + 4)  # even, as 28 is: an unchanged glyph keeps its pixels
        centre = (SIDE - 1) / 2
        rows.append((along_x, along_y, (size[-1] - 1) / 2 - (along_x * centre + along_y * centre)))
    turned = cv2.warpAffine(glyph, np.array(rows), size, flags=cv2.INTER_LINEAR)
    return np.asarray(turned, np.uint8)


def crop(patch: Ink) -> Ink:
    """The box around the ink; one empty pixel where there is none."""
    box = _box(patch)
    return patch[box] if box else np.zeros((1, 1), np.uint8)


def crop_about_middle(patch: Ink, layout: Layout) -> Ink:
    """The box around the patch's centre with all of its ink, or the ink's own box if that exceeds the canvas."""
    rows, columns = (np.flatnonzero(patch.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return crop(patch)
    reach = [
        max(size // 2 - int(seen[0]), int(seen[-1]) + 1 - size // 2)  # px from the middle
        for size, seen in zip(patch.shape, (rows, columns), strict=True)
    ]
    if layout.fit == "stretch" or 2 * reach[0] > layout.height or 2 * reach[1] > layout.width:
        return crop(patch)
    middle = patch.shape[0] // 2, patch.shape[1] // 2
    return patch[
        middle[0] - reach[0] : middle[0] + reach[0], middle[1] - reach[1] : middle[1] + reach[1]
    ]


def _box(ink: Ink, margin: int = 0) -> tuple[slice, slice] | None:
    """Rows and columns of the pixels with more ink than FAINT, plus a `margin` in px; None where no pixel has."""
    seen = cv2.threshold(ink, FAINT, 255, cv2.THRESH_BINARY)[1]
    left, top, width, height = cv2.boundingRect(seen)
    if width == 0:
        return None
    return slice(top - margin, top + height + margin), slice(left - margin, left + width + margin)


def _place(
    patches: list[Ink],
    ink: Ink,
    owner: NDArray[np.uint8],
    text: str,
    layout: Layout,
    rng: np.random.Generator,
) -> None:
    gaps = rng.integers(layout.gap[0], layout.gap[1] + 1, size=len(patches))
    shifts = rng.uniform(-layout.jitter, layout.jitter, size=len(patches) + 1)
    gaps[0] = 0
    width = int(sum(patch.shape[1] for patch in patches) + gaps.sum())
    tallest = max(patch.shape[0] for patch in patches)
    if width > layout.width or tallest > layout.height:
        raise ValueError(
            f"captcha.width, captcha.height: the canvas has {layout.width} x {layout.height} px but "
            f"{text!r} takes {width} x {tallest}: enlarge it, or lower captcha.scale, captcha.gap or "
            "captcha.length"
        )
    left = round(min(max((layout.width - width) / 2 + shifts[-1], 0), layout.width - width))
    for position, (patch, gap, shift) in enumerate(zip(patches, gaps, shifts, strict=False)):
        height, wide = patch.shape
        left = max(0, left + int(gap))
        top = round(min(max((layout.height - height) / 2 + shift, 0), layout.height - height))
        _stamp(
            patch,
            ink[top : top + height, left : left + wide],
            owner[top : top + height, left : left + wide],
            position,
        )
        left += wide


def _stamp(patch: Ink, ink: Ink, owner: NDArray[np.uint8], position: int) -> None:
    """Add the patch: each pixel takes the larger ink of patch and canvas."""
    patch = patch[: ink.shape[0], : ink.shape[1]]
    more = patch > ink
    np.copyto(ink, patch, where=more)
    np.copyto(owner, position, where=more)


def _stretched(
    patches: list[Ink], text: str, layout: Layout, rng: np.random.Generator
) -> tuple[Ink, Ink]:
    """Ink and owner (H, W): laid out on a canvas that is large enough; then the ink's box is stretched to the real one.

    As in Themlaw/Python-Data-2A-ENSAE, `create_sequence`: width and height have separate stretch factors.
    """
    reach = MARGIN + math.ceil(layout.jitter)
    overlap = len(patches) * max(map(abs, layout.gap))
    room = replace(
        layout,
        height=max(patch.shape[0] for patch in patches) + 2 * reach,
        width=sum(patch.shape[1] for patch in patches) + 2 * (reach + overlap),
    )
    ink = np.zeros((room.height, room.width), np.uint8)
    owner = np.zeros_like(ink)
    _place(patches, ink, owner, text, room, rng)
    box = _box(ink, MARGIN)
    if box is None:
        return np.zeros((layout.height, layout.width), np.uint8), np.zeros(
            (layout.height, layout.width), np.uint8
        )
    from scipy import (
        ndimage,  # imported here: the import is slow, and every worker would pay for it
    )

    nearest = ndimage.distance_transform_edt(ink == 0, return_distances=False, return_indices=True)
    size = layout.width, layout.height
    # Pillow resizes in integer arithmetic and averages when it shrinks: every machine makes the same bytes.
    large = np.asarray(Image.fromarray(ink[box]).resize(size, Image.Resampling.BILINEAR))
    owners = np.asarray(
        Image.fromarray(owner[tuple(nearest)][box]).resize(size, Image.Resampling.NEAREST)
    )
    return large, np.where(large > 0, owners, 0).astype(np.uint8)
