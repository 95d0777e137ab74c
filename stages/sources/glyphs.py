"""Handwritten or printed glyphs from any source of `glyphs.source`, as one GlyphSet with pools."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from stages.captcha.glyphs import (
    POOLS,
    Glyphs,
    GlyphSet,
    Ints,
    labels_of,
    normalise_alphabet,
    require_characters,
    upsample_digits,
)
from stages.sources.examples import Examples, pools_of
from stages.sources.folder import read_folder
from stages.sources.fonts import assign_faces, render_fonts
from stages.sources.images import resolve, root
from stages.sources.kaggle import read_csv
from stages.sources.mnist import read_emnist, read_mnist

DOWNLOADS = Path("data", "raw")


def load_glyphs(source: str, path: str, *, alphabet: str, emnist_split: str, validation: float, test: float,
                rng: np.random.Generator) -> GlyphSet:
    """The alphabet's glyphs of a source, in the same order on every machine, split into pools.

    `validation` and `test` are shares of each class; for fonts, of the faces. mnist, emnist, and folders with train and
    test keep their official test set; `validation` is then a share of the rest, unless that pool exists too. In a
    folder or csv, equal images share a pool. Raises ValueError, one line, on bad files, on missing or too few
    characters, and on one image with two labels or in two pools.
    """
    alphabet = normalise_alphabet(alphabet)
    if source == "fonts":
        images, labels, faces = render_fonts(alphabet)
        return GlyphSet(images, labels, assign_faces(faces, validation, test, rng=rng), alphabet)
    found = _read(source, path, alphabet, emnist_split)
    pool = pools_of(found, alphabet, validation, test, rng=rng)
    return GlyphSet(found.images, found.labels, pool, alphabet)


def _read(source: str, path: str, alphabet: str, split: str) -> Examples:
    if source == "digits":
        images, labels = _read_digits(alphabet)
        return Examples(images, labels, np.arange(len(labels)), None, "glyphs.source digits")
    if source in ("mnist", "emnist"):
        return _read_official(source, path, alphabet, split)
    if source not in ("csv", "folder"):
        raise ValueError(f"glyphs.source: expected digits, mnist, emnist, csv, folder or fonts, got {source!r}")
    if not path:
        raise ValueError(f"glyphs.path is empty: glyphs.source {source} needs the path of a {source}")
    return read_csv(resolve(path), alphabet) if source == "csv" else read_folder(resolve(path), alphabet)


def _read_official(source: str, path: str, alphabet: str, split: str) -> Examples:
    home = resolve(path) if path else (root() / DOWNLOADS).absolute()
    if source == "mnist":
        images, labels, test = read_mnist(home, alphabet, download=not path)
    else:
        images, labels, test = read_emnist(home, alphabet, split, download=not path)
    official = np.where(test, POOLS.index("test"), 0).astype(np.uint8)
    return Examples(images, labels, np.arange(len(labels)), official, f"glyphs.source {source}")


def _read_digits(alphabet: str) -> tuple[Glyphs, Ints]:
    """The 1,797 digits inside scikit-learn (Alpaydin & Kaynak 1998, UCI), as pen strokes."""
    package = find_spec("sklearn")  # only its file: importing scikit-learn for load_digits takes a second
    folder = Path((package.submodule_search_locations or [""])[0]) if package else Path()
    rows = np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")  # (n, 65): 8 x 8, then the digit
    characters = rows[:, -1].astype(int).astype(str)
    require_characters(alphabet, characters, "glyphs.source digits")
    labels = labels_of(characters, alphabet)
    return upsample_digits(rows[labels >= 0, :-1].reshape(-1, 8, 8)), labels[labels >= 0]
