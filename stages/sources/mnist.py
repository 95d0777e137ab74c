"""Glyphs of MNIST and EMNIST through torchvision: from existing files, or downloaded once."""

from __future__ import annotations

import os
import textwrap
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from stages.captcha.glyphs import SIDE, Bools, Glyphs, Ints, labels_of, require_characters

Dataset = Any  # of torchvision, which is untyped
Make = Callable[..., Dataset]  # (root, train=…, download=…)

EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
ARCHIVE = "gzip.zip"  # all of EMNIST, as NIST hands it out


def read_mnist(home: Path, alphabet: str, *, download: bool) -> tuple[Glyphs, Ints, Bools]:
    """MNIST's glyphs of the alphabet (n, 28, 28), labels (n,), and whether each is in the official test set (n,).

    home: torchvision's root (with MNIST/raw) or a folder with the files, extracted or .gz. Nothing is written to it
    unless files are missing and `download` is set. Raises ValueError if files are still missing, or damaged.
    """
    from torchvision.datasets import MNIST  # imported here: it imports torch, which takes seconds

    files = {url.removesuffix(".gz"): md5 for url, md5 in MNIST.resources}
    return _read("MNIST", MNIST, files, home, alphabet, download)


def read_emnist(
    home: Path, alphabet: str, split: str, *, download: bool
) -> tuple[Glyphs, Ints, Bools]:
    """EMNIST's glyphs of one split (balanced, letters …), upright. Else as `read_mnist`; gzip.zip works too."""
    from torchvision.datasets import EMNIST

    def make(root: Path, **options: Any) -> Dataset:
        return EMNIST(root, split=split, **options)

    files: Mapping[str, str | None] = {
        f"emnist-{split}-{part}-{content}-ubyte": None
        for part in ("train", "test")
        for content in ("images-idx3", "labels-idx1")
    }
    images, labels, test = _read("EMNIST", make, files, home, alphabet, download)
    return (
        np.ascontiguousarray(images.transpose(0, 2, 1)),
        labels,
        test,
    )  # EMNIST is stored column by column


def _read(
    name: str,
    make: Make,
    files: Mapping[str, str | None],
    home: Path,
    alphabet: str,
    download: bool,
) -> tuple[Glyphs, Ints, Bools]:
    """The official training set, then the official test set, of the characters in the alphabet."""
    with TemporaryDirectory(prefix="glyphs-") as scratch:
        raw = Path(scratch, name, "raw")
        raw.mkdir(parents=True)
        wanted = (
            "gzip.zip"
            if name == "EMNIST"
            else "the files " + ", ".join(f"{file}.gz" for file in files)
        )
        lacking = _gather(home, files, raw)
        if lacking and download:
            _download(name, make, home, wanted)
            lacking = _gather(home, files, raw)
        if lacking:
            raise ValueError(
                f"{home} has no {lacking[0]}, extracted or .gz: put {wanted} there, or set glyphs.path to "
                "'' to download them"
            )
        with _complaining(home):
            parts = [_pick(make(Path(scratch), train=train), alphabet) for train in (True, False)]
    (train_images, train_labels, train_there), (test_images, test_labels, test_there) = parts
    require_characters(alphabet, train_there & test_there, name)
    official = np.arange(len(train_labels) + len(test_labels)) >= len(train_labels)
    return (
        np.concatenate([train_images, test_images]),
        np.concatenate([train_labels, test_labels]),
        official,
    )


@contextmanager
def _complaining(place: Path) -> Iterator[None]:
    """Turn torchvision's errors on damaged files into a ValueError with the file's name."""
    try:
        yield
    except (
        OSError,
        EOFError,
        RuntimeError,
        AssertionError,
        TypeError,
        ValueError,
        IndexError,
        KeyError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f"{place}: expected the idx files as published, could not read them ({_brief(error)}): "
            "replace them, or remove them and set glyphs.path to '' to download them"
        ) from None


def _brief(error: BaseException) -> str:
    return textwrap.shorten(str(error), 160, placeholder=" …") or type(error).__name__


def _pick(dataset: Dataset, alphabet: str) -> tuple[Glyphs, Ints, set[str]]:
    """Images and labels of the alphabet's characters, and all characters of the data set."""
    characters = [name[0] if " - " in name else name for name in dataset.classes]  # "7 - seven"
    targets = dataset.targets.numpy()
    images = dataset.data.numpy()
    if images.shape != (len(targets), SIDE, SIDE) or not 0 <= targets.min() <= targets.max() < len(
        characters
    ):
        raise ValueError(f"{len(targets)} labels up to {targets.max()} for images {images.shape}")
    labels = labels_of(np.array(characters), alphabet)[targets]
    return (
        images[labels >= 0],
        labels[labels >= 0],
        {characters[target] for target in np.unique(targets)},
    )


def _gather(home: Path, files: Mapping[str, str | None], raw: Path) -> list[str]:
    """Link or extract the files into `raw`, in torchvision's layout; return the missing ones. home is not changed.

    files: the expected MD5 of each .gz, if known. Raises ValueError if it differs or the file is damaged.
    """
    from torchvision.datasets.utils import check_integrity, extract_archive

    name = raw.parent.name
    places = [
        home / sub_folder for sub_folder in ("", "gzip", "raw", f"{name}/raw", f"{name}/raw/gzip")
    ]
    lacking = []
    for file in (file for file in files if not (raw / file).exists()):
        plain = _first(places, file)
        packed = _first(places, f"{file}.gz")
        if plain:
            (raw / file).symlink_to(plain)
            continue
        if packed and not check_integrity(str(packed), files[file]):
            raise ValueError(
                f"{packed}: expected the MD5 {files[file]}, got another, so it is damaged or not the "
                "published file: download it again"
            )
        with _complaining(packed or home):
            packed = packed or _unzip(_first(places, ARCHIVE), file, raw.parent)
            if packed:
                extract_archive(str(packed), str(raw))
            else:
                lacking.append(file)
    return lacking


def _first(places: list[Path], name: str) -> Path | None:
    return next((place / name for place in places if (place / name).is_file()), None)


def _unzip(archive: Path | None, file: str, scratch: Path) -> Path | None:
    """One .gz of EMNIST's archive, or None if the archive lacks it."""
    if archive is None:
        return None
    with zipfile.ZipFile(archive) as opened:
        member = f"gzip/{file}.gz"
        return Path(opened.extract(member, scratch)) if member in opened.namelist() else None


def _download(name: str, make: Make, home: Path, wanted: str) -> None:
    """Download into home/name/raw. Each file is moved there when complete: an interrupt leaves no partial file."""
    raw = home / name / "raw"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=home, prefix=".download-") as scratch:
            make(Path(scratch), train=True, download=True)
            raw.mkdir(parents=True, exist_ok=True)
            for file in Path(scratch, name, "raw").iterdir():
                os.replace(file, raw / file.name)
    except (
        OSError,
        EOFError,
        RuntimeError,
        HTTPException,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f"{name} could not be downloaded ({_brief(error)}): go online, or put {wanted} into {raw}, or "
            "set glyphs.path to the folder where they are"
        ) from None
