"""Handwritten or printed glyphs from any source of `glyphs.source`, as one GlyphSet with pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import numpy as np

from stages.captcha.glyphs import (
    POOLS,
    Bools,
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


@dataclass(frozen=True)
class Wanted:
    """The glyphs that are asked for; `validation` and `test` are shares."""

    path: str
    alphabet: str  # composed (NFC)
    emnist_split: str
    validation: float
    test: float


Loader = Callable[[Wanted, np.random.Generator], GlyphSet]
Reading = Callable[[Wanted], Examples]


def load_glyphs(
    source: str,
    path: str,
    *,
    alphabet: str,
    emnist_split: str,
    validation: float,
    test: float,
    rng: np.random.Generator,
) -> GlyphSet:
    """The alphabet's glyphs of a source, in the same order on every machine, split into pools.

    `validation` and `test` are shares of each class; for fonts, of the faces. mnist, emnist, and folders with train and
    test keep their official test set; `validation` is then a share of the rest, unless that pool exists too. In a
    folder or csv, equal images share a pool. Raises ValueError, one line, on bad files, on missing or too few
    characters, and on one image with two labels or in two pools.
    """
    if source not in SOURCES:
        raise ValueError(f"glyphs.source: expected one of {', '.join(SOURCES)}, got {source!r}")
    wanted = Wanted(path, normalise_alphabet(alphabet), emnist_split, validation, test)
    return SOURCES[source](wanted, rng)


def _pooled(read: Reading) -> Loader:
    """A loader of examples that go into pools one by one."""

    def load(wanted: Wanted, rng: np.random.Generator) -> GlyphSet:
        found = read(wanted)
        pool = pools_of(found, wanted.alphabet, wanted.validation, wanted.test, rng=rng)
        return GlyphSet(found.images, found.labels, pool, wanted.alphabet)

    return load


def _digits(wanted: Wanted) -> Examples:
    """The 1,797 digits inside scikit-learn (Alpaydin & Kaynak 1998, UCI), drawn with a pen again."""
    package = find_spec("sklearn")  # its file alone: to import it, for load_digits, takes a second
    folder = Path((package.submodule_search_locations or [""])[0]) if package else Path()
    rows = np.loadtxt(
        folder / "datasets" / "data" / "digits.csv.gz", delimiter=","
    )  # (n, 65): 8 x 8, then the digit
    characters = rows[:, -1].astype(int).astype(str)
    require_characters(wanted.alphabet, characters, "glyphs.source digits")
    labels = labels_of(characters, wanted.alphabet)
    known = labels >= 0
    images = upsample_digits(rows[known, :-1].reshape(-1, 8, 8))
    return Examples(images, labels[known], np.arange(len(images)), None, "glyphs.source digits")


def _mnist(wanted: Wanted) -> Examples:
    return _official("mnist", *read_mnist(_home(wanted), wanted.alphabet, download=not wanted.path))


def _emnist(wanted: Wanted) -> Examples:
    return _official(
        "emnist",
        *read_emnist(_home(wanted), wanted.alphabet, wanted.emnist_split, download=not wanted.path),
    )


def _home(wanted: Wanted) -> Path:
    return resolve(wanted.path) if wanted.path else (root() / DOWNLOADS).absolute()


def _official(source: str, images: Glyphs, labels: Ints, test: Bools) -> Examples:
    pools = np.where(test, POOLS.index("test"), 0).astype(np.uint8)
    return Examples(images, labels, np.arange(len(labels)), pools, f"glyphs.source {source}")


def _csv(wanted: Wanted) -> Examples:
    return read_csv(_stated(wanted, "csv"), wanted.alphabet)


def _folder(wanted: Wanted) -> Examples:
    return read_folder(_stated(wanted, "folder"), wanted.alphabet)


def _stated(wanted: Wanted, source: str) -> Path:
    if not wanted.path:
        raise ValueError(
            f"glyphs.path is empty: glyphs.source {source} needs the path of a {source}"
        )
    return resolve(wanted.path)


def _fonts(wanted: Wanted, rng: np.random.Generator) -> GlyphSet:
    images, labels, faces = render_fonts(wanted.alphabet)
    pool = assign_faces(faces, wanted.validation, wanted.test, rng=rng)
    return GlyphSet(images, labels, pool, wanted.alphabet)


SOURCES: Mapping[str, Loader] = MappingProxyType(
    {
        "digits": _pooled(_digits),
        "mnist": _pooled(_mnist),
        "emnist": _pooled(_emnist),
        "csv": _pooled(_csv),
        "folder": _pooled(_folder),
        "fonts": _fonts,
    }
)
BUILT_IN = ("digits", "fonts")  # those that need neither files nor a download
