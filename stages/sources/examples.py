"""Labelled glyphs of a source: find equal images, check that their labels agree, and assign pools."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.captcha.glyphs import POOLS, Glyphs, Ints, assign_pools, hold_out
from stages.sources.images import refuse

TRAIN, VALIDATION, TEST = range(len(POOLS))


@dataclass(frozen=True, eq=False)
class Examples:
    """n glyphs in the order of their source."""

    images: Glyphs
    labels: Ints  # (n,) index into the alphabet
    first: Ints  # (n,) the first row with the same image; the row itself if there is no earlier one
    official: (
        NDArray[np.uint8] | None
    )  # (n,) the pool that the source assigns; None where it has no pools
    where: str  # name of the source in errors


def digest(pixels: NDArray[np.uint8]) -> bytes:
    """A hash (SHA-256) of the shape and pixels of an image: equal for equal images only."""
    fingerprint = hashlib.sha256(str(pixels.shape).encode())
    fingerprint.update(np.ascontiguousarray(pixels).data)
    return fingerprint.digest()


def first_rows(digests: Sequence[bytes]) -> Ints:
    """The first row with the same image, (n,)."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(one, row) for row, one in enumerate(digests)], np.int64)


def refuse_contradictions(first: Ints, labels: Sequence[str], names: Sequence[str]) -> None:
    """Raise ValueError with both labels where one image has two."""
    refuse(
        [
            f"{names[row]}: expected the label {labels[one]!r} of {names[one]}, which is the same image, got "
            f"{labels[row]!r}: correct or remove one"
            for row, one in enumerate(first.tolist())
            if labels[row] != labels[one]
        ]
    )


def refuse_leaks(
    first: Ints, official: NDArray[np.uint8], names: Sequence[str], where: str
) -> None:
    """Raise ValueError with the number of images that are in two pools: a test glyph must not be a training glyph."""
    leaks = np.flatnonzero(official != official[first])
    if len(leaks):
        raise ValueError(
            f"{where}: expected no image in two pools, got {len(leaks)}, as {names[leaks[0]]}, which is "
            f"{names[first[leaks[0]]]} again: remove them from one pool, best from train"
        )


def pools_of(
    found: Examples, alphabet: str, validation: float, test: float, *, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The pool of each example, (n,): the source's own pool if it has one. Equal images share a pool.

    `validation` and `test` are shares of the distinct images per class. Where the source has pools but no validation
    pool, `validation` is a share of its train pool. Raises ValueError with the class that has too few.
    """
    if found.official is not None and (found.official == VALIDATION).any():
        return found.official
    open_ = np.ones(len(found.first), bool) if found.official is None else found.official == TRAIN
    distinct = np.flatnonzero(open_ & (found.first == np.arange(len(found.first))))
    least = len(POOLS) if found.official is None else 2  # one for each pool that is drawn
    counts = np.bincount(found.labels[distinct], minlength=len(alphabet))
    if (counts < least).any():
        scarce = int(counts.argmin())
        drawn = (
            "each of train, validation and test"
            if found.official is None
            else "train and validation each"
        )
        raise ValueError(
            f"{found.where}: class {alphabet[scarce]!r} has {counts[scarce]} different image(s) to split, "
            f"expected at least {least}, so that {drawn} gets one: add images of it, or remove it from "
            "glyphs.alphabet"
        )
    characters = np.array(list(alphabet))[found.labels[distinct]]
    pool = np.zeros(len(found.first), np.uint8) if found.official is None else found.official.copy()
    if found.official is None:
        pool[distinct] = assign_pools(characters, validation, test, rng=rng)
    else:
        pool[distinct[hold_out(characters, validation, rng=rng)]] = VALIDATION
    return pool[found.first]
