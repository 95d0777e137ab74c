"""Handwriting, or type, from any of the sources of `glyphs.source`, as one GlyphSet with its pools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.captcha.glyphs import (
    POOLS,
    Bools,
    Glyphs,
    GlyphSet,
    Ints,
    assign_pools,
    hold_out,
    labels_of,
    normalise_alphabet,
    require_characters,
    upsample_digits,
)
from stages.sources.folder import read_folder
from stages.sources.fonts import render_fonts
from stages.sources.images import resolve, root
from stages.sources.kaggle import read_csv
from stages.sources.mnist import read_emnist, read_mnist

DOWNLOADS = Path("data", "raw")


def load_glyphs(source: str, path: str, *, alphabet: str, emnist_split: str, validation: float, test: float,
                rng: np.random.Generator) -> GlyphSet:
    """The glyphs of a source, those of the alphabet, in an order that is the same everywhere, split into pools.

    `validation` and `test` are shares of each class; of the faces for fonts; mnist and emnist keep their official test
    set, and `validation` is a share of the rest. Raises ValueError, one line, on bad files and on characters not there.
    """
    alphabet = normalise_alphabet(alphabet)
    if source in ("mnist", "emnist"):
        images, labels, official = _read_official(source, path, alphabet, emnist_split)
        pool = np.where(official, POOLS.index("test"), 0).astype(np.uint8)
        rest = np.flatnonzero(~official)
        pool[rest[hold_out(_named(labels[rest], alphabet), validation, rng=rng)]] = POOLS.index("validation")
    elif source == "fonts":
        images, labels, faces = render_fonts(alphabet)
        pool = assign_pools(np.zeros(faces.max() + 1), validation, test, rng=rng)[faces]
    else:
        images, labels = _read_plain(source, path, alphabet)
        pool = assign_pools(_named(labels, alphabet), validation, test, rng=rng)
    return GlyphSet(images, labels, pool, alphabet)


def _named(labels: Ints, alphabet: str) -> NDArray[np.str_]:
    """Characters for labels, so that an error can name them."""
    return np.array(list(alphabet))[labels]


def _read_official(source: str, path: str, alphabet: str, split: str) -> tuple[Glyphs, Ints, Bools]:
    home = resolve(path) if path else (root() / DOWNLOADS).absolute()
    if source == "mnist":
        return read_mnist(home, alphabet, download=not path)
    return read_emnist(home, alphabet, split, download=not path)


def _read_plain(source: str, path: str, alphabet: str) -> tuple[Glyphs, Ints]:
    if source == "digits":
        return _read_digits(alphabet)
    if source not in ("csv", "folder"):
        raise ValueError(f"glyphs.source: expected digits, mnist, emnist, csv, folder or fonts, got {source!r}")
    if not path:
        raise ValueError(f"glyphs.path is empty: glyphs.source {source} needs the path of a {source}")
    return read_csv(resolve(path), alphabet) if source == "csv" else read_folder(resolve(path), alphabet)


def _read_digits(alphabet: str) -> tuple[Glyphs, Ints]:
    """The 1,797 digits inside scikit-learn (Alpaydin & Kaynak 1998, UCI), drawn with a pen again."""
    from sklearn.datasets import load_digits  # here, since it takes seconds

    digits = load_digits()
    characters = digits.target.astype(str)
    require_characters(alphabet, characters, "glyphs.source digits")
    labels = labels_of(characters, alphabet)
    return upsample_digits(digits.images[labels >= 0]), labels[labels >= 0]
