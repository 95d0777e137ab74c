"""Glyphs: drawings of single characters, 28x28 px, each with a label and a pool (train, validation, test)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Glyphs = NDArray[np.uint8]  # (n, 28, 28), ink 255 on 0
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

POOLS = ("train", "validation", "test")  # the number of a pool is its index here
SIDE = 28  # px, of a glyph
BOX = 20  # px, side of the box for the ink; MNIST (LeCun et al. 1998) centres its ink by mass at pixel 14
CENTRE = SIDE // 2


@dataclass(frozen=True, eq=False)
class GlyphSet:
    """Glyphs of a source; a glyph id is a row number here. Raises ValueError where the arrays do not match."""

    images: Glyphs
    labels: Ints  # (n,) index into alphabet
    pool: NDArray[np.uint8]  # (n,) index into POOLS
    alphabet: str  # single characters, NFC

    def __post_init__(self) -> None:
        n = len(self.labels)
        if (
            self.images.shape != (n, SIDE, SIDE)
            or self.images.dtype != np.uint8
            or self.pool.shape != (n,)
        ):
            raise ValueError(
                f"glyphs: expected {n} images of {SIDE}x{SIDE} uint8 and {n} pools, got "
                f"{self.images.shape} {self.images.dtype} and {self.pool.shape}"
            )
        if n and not (
            self.labels.min() >= 0
            and self.labels.max() < len(self.alphabet)
            and self.pool.max() < 3
        ):
            raise ValueError(
                f"glyphs: expected labels below {len(self.alphabet)} and pools 0 to 2, got labels "
                f"{self.labels.min()} to {self.labels.max()}, pools to {self.pool.max()}"
            )

    def pool_of(self, split: str) -> dict[str, Ints]:
        """The glyph ids of a pool per character, ascending."""
        chosen = self.pool == POOLS.index(split)
        return {
            character: np.flatnonzero(chosen & (self.labels == i))
            for i, character in enumerate(self.alphabet)
        }

    def counts(self) -> Ints:
        """Glyphs by label and pool, (A, 3)."""
        cell = self.labels * len(POOLS) + self.pool
        return np.bincount(cell, minlength=len(self.alphabet) * len(POOLS)).reshape(-1, len(POOLS))

    def means(self) -> Glyphs:
        """The mean glyph of each label, (A, 28, 28)."""
        return np.stack(
            [
                np.rint(self.images[self.labels == label].mean(axis=0)).astype(np.uint8)
                for label in range(len(self.alphabet))
            ]
        )


def normalise_alphabet(alphabet: str) -> str:
    """The alphabet in Unicode's composed form (NFC). Raises ValueError where it has a character twice."""
    composed = unicodedata.normalize("NFC", alphabet)
    twice = [character for i, character in enumerate(composed) if character in composed[:i]]
    if twice or not composed:
        raise ValueError(
            f"glyphs.alphabet: expected distinct characters, got {composed!r}"
            + (f" with {twice[0]!r} twice: remove one" if twice else ": list the characters in use")
        )
    return composed


def require_characters(alphabet: str, available: Iterable[str], where: str) -> None:
    """Raise ValueError where the source named `where` lacks a character of the alphabet."""
    there = sorted(set(available))
    lacking = [character for character in alphabet if character not in there]
    if lacking:
        rest = f" and {len(there) - 40} more" if len(there) > 40 else ""
        raise ValueError(
            f"{where} has no {', '.join(map(repr, lacking[:5]))}{' …' if len(lacking) > 5 else ''}: take "
            f"glyphs.alphabet from the characters it has ({''.join(there[:40])}{rest})"
        )


def labels_of(characters: NDArray[np.str_], alphabet: str) -> Ints:
    """The index of each character in the alphabet, (n,); -1 where the alphabet lacks it."""
    place = {character: i for i, character in enumerate(alphabet)}
    known, inverse = np.unique(characters, return_inverse=True)
    return np.array([place.get(str(character), -1) for character in known], np.int64)[inverse]


def hold_out(
    labels: NDArray[np.generic], share: float, *, at_least: int = 1, rng: np.random.Generator
) -> Bools:
    """Draw `share` of each class: at least one, and at least `at_least` remain.

    labels (n,); returns (n,), True if drawn.

    Raises ValueError with the class that has too few.
    """
    drawn = np.zeros(len(labels), bool)
    for name in np.unique(labels):
        members = np.flatnonzero(labels == name)
        if len(members) <= at_least:
            raise ValueError(
                f"class {name!s} has {len(members)} glyph(s), expected at least {at_least + 1}, so that each "
                "pool gets its own: add glyphs of it, or remove it from glyphs.alphabet"
            )
        size = min(max(round(share * len(members)), 1), len(members) - at_least)
        drawn[rng.permutation(members)[:size]] = True
    return drawn


def assign_pools(
    labels: NDArray[np.generic], validation: float, test: float, *, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Split each class between the pools by the shares: (n,) uint8, 0 train, 1 validation, 2 test.

    Every pool gets at least one glyph per class. labels (n,), of any sortable type.
    Raises ValueError with the class that has fewer than three glyphs, and if the shares leave nothing to train on.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ValueError(
            f"glyphs: validation {validation:g} and test {test:g} should be shares that leave some to "
            "train on: lower them"
        )
    pool = np.zeros(len(labels), np.uint8)
    pool[hold_out(labels, test, at_least=2, rng=rng)] = POOLS.index("test")
    rest = np.flatnonzero(pool == 0)
    pool[rest[hold_out(labels[rest], validation / (1 - test), rng=rng)]] = POOLS.index("validation")
    return pool


def centre(gray: NDArray[np.uint8], *, scale: float | None = None) -> Glyphs:
    """One glyph (28, 28) from ink 255 on 0 of any size (H, W), made like MNIST: fitted into 20x20, centred by mass.

    `scale` (px per px) replaces the fit, so that small letters stay small; a glyph above 28 px is still made to fit.
    Ink is what exceeds an eighth of full scale. Raises ValueError where there is none.
    """
    rows, columns = (np.flatnonzero((gray > 31).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise ValueError(
            "no ink: expected a glyph darker or lighter than its background, got an even image"
        )
    box = (
        int(columns[0]),
        int(rows[0]),
        int(columns[-1]) + 1,
        int(rows[-1]) + 1,
    )  # left, top, right, bottom
    width = box[2] - box[0]
    height = box[3] - box[1]
    factor = BOX / max(height, width) if scale is None else min(scale, SIDE / max(height, width))
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    # Pillow resizes uint8 in integer arithmetic: every machine makes the same bytes.
    ink = np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BICUBIC, box=box))
    glyph = np.zeros((SIDE, SIDE), np.uint8)
    top = _corner(ink, axis=0)
    left = _corner(ink, axis=1)
    glyph[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return glyph


def _corner(ink: NDArray[np.uint8], axis: int) -> int:
    """The start of the ink on an axis, so that its centre of mass is at pixel 14 and all of it is inside."""
    profile = ink.sum(axis=1 - axis, dtype=np.int64)
    mass = int(profile @ np.arange(len(profile))) / int(profile.sum())
    return min(max(round(CENTRE - mass), 0), SIDE - len(profile))


FINE = 4  # fine pixels per pixel of the 8x8 images
MARGIN = 2  # px without ink around them


def upsample_digits(images8: NDArray[np.float64]) -> Glyphs:
    """Pen strokes (n, 28, 28) from scikit-learn's digits (n, 8, 8). A value of 0 to 16 is the ink of a cell.

    Three steps: a smooth image whose cells have that much ink (cubic B-splines); a steep contrast at 0.6 of the local
    peak of ink, so that faint strokes stay and thick ones get an edge; `centre`. Raises ValueError on other images.
    """
    if images8.ndim != 3 or images8.shape[1:] != (8, 8) or images8.min() < 0 or images8.max() > 16:
        raise ValueError(
            f"digits: expected images of 8x8 with values 0 to 16, got {images8.shape} with "
            f"{images8.min()} to {images8.max()}"
        )
    cells = np.pad(images8 / 16, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    spread = _area_spline(cells.shape[1])
    ink = spread @ cells @ spread.T  # (n, 48, 48), 1 full
    peak = np.maximum(np.stack([_peak_near_by(one) for one in ink]), 0.4)
    strokes = np.rint(255 / (1 + np.exp((0.6 - ink / peak) / 0.08))).astype(np.uint8)
    return np.stack([centre(stroke) for stroke in strokes])


def _peak_near_by(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    """The maximum of the ink within one pixel of each fine pixel, smoothed by a mean; mirrored at the border."""
    near = 2 * FINE + 1
    most = cv2.dilate(ink, np.ones((near, near), np.uint8), borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.blur(most, (near, near), borderType=cv2.BORDER_REFLECT), np.float64)


def _area_spline(cells: int) -> NDArray[np.float64]:
    """Matrix (cells * FINE, cells) from cell means to a cubic spline at fine pixels that has the same cell means."""
    place = (np.arange(cells * FINE) + 0.5) / FINE - 0.5
    distance = np.abs(place[:, None] - np.arange(cells))
    basis = np.where(
        distance < 1, 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6
    )
    return np.asarray(basis @ np.linalg.inv(basis.reshape(cells, FINE, cells).mean(axis=1)))
