"""Labelled captchas from outside: a folder of LABEL.png, LABEL.2.png, LABEL_any.jpg, or a CSV of file,label."""

from __future__ import annotations

import csv
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.captcha.glyphs import POOLS, assign_pools, normalise_alphabet
from stages.sources.examples import digest, first_rows, refuse_contradictions
from stages.sources.images import (
    Picture,
    border_median,
    listing,
    read_each,
    read_image,
    refuse,
    resolve,
)

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class LabelledCaptchas:
    """n captchas of one size, sorted by file name (from a CSV: in its order)."""

    images: NDArray[np.uint8]  # (n, H, W, 3), 0 black to 255 white
    texts: list[str]  # (n,) the labels, NFC
    pool: NDArray[
        np.uint8
    ]  # (n,) 0 train, 1 validation, 2 test; all captchas of a text are in one pool
    names: list[str]  # (n,) the files


@dataclass(frozen=True)
class Entry:
    """A file, its label, and the place of the label."""

    path: Path
    name: str
    label: str
    where: str


def load_captchas(
    path: str,
    *,
    alphabet: str,
    height: int,
    width: int,
    validation: float,
    test: float,
    rng: np.random.Generator,
) -> LabelledCaptchas:
    """The captchas of a folder or of a CSV, resized to `height` x `width` px.

    `validation` and `test` are shares of the distinct labels. Equal images with one label share its pool. Raises one
    ValueError, one line, for all bad files: unreadable files, labels with a character outside the alphabet, and equal
    images with two labels. Raises it also for fewer than three labels and for an empty folder.
    """
    if not path:
        raise ValueError(
            "captcha.path is empty: captcha.source folder needs a folder of captchas, or a CSV of "
            "file,label"
        )
    found = resolve(path)
    entries = _entries_of_folder(found) if found.is_dir() else _entries_of_csv(found)
    _check_labels(entries, normalise_alphabet(alphabet))
    images = np.empty((len(entries), height, width, 3), np.uint8)
    digests = []
    for i, picture in enumerate(read_each([entry.path for entry in entries], read_image)):
        images[i] = to_canvas(picture, height, width)
        digests.append(
            digest(picture)
        )  # of the original image: on a small canvas two may become equal
    texts = [entry.label for entry in entries]
    refuse_contradictions(first_rows(digests), texts, [str(entry.path) for entry in entries])
    pool = _split(texts, validation, test, found, rng)
    return LabelledCaptchas(images, texts, pool, [entry.name for entry in entries])


def label_of(name: str) -> str:
    """The label in a file's name: the part before the first underscore or dot, NFC."""
    return re.split(r"[_.]", unicodedata.normalize("NFC", name), maxsplit=1)[0]


def _entries_of_folder(folder: Path) -> list[Entry]:
    files = [
        path for path in listing(folder) if path.suffix.lower() in SUFFIXES and not path.is_dir()
    ]
    if not files:
        raise ValueError(
            f"{folder} has no captchas: expected files named LABEL.png, LABEL.2.png or LABEL_any.jpg "
            f"({', '.join(SUFFIXES)})"
        )
    return [Entry(path, path.name, label_of(path.name), str(path)) for path in files]


def _entries_of_csv(path: Path) -> list[Entry]:
    """The rows of a CSV of file,label, in their order. Paths of files are relative to the CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, strict=True)
            lacking = [
                column for column in ("file", "label") if column not in (reader.fieldnames or ())
            ]
            if lacking:
                raise ValueError(
                    f"{path}: expected the columns file,label, got {','.join(reader.fieldnames or ())!r} "
                    f"without {lacking[0]}: add it to the header"
                )
            rows = [(reader.line_num, row["file"], row["label"]) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: expected a CSV of file,label in UTF-8, could not read it ({error}): correct "
            "it"
        ) from None
    if not rows:
        raise ValueError(f"{path} has no rows: expected one of file,label for each captcha")
    refuse(
        [
            f"{path}, line {line}: expected file,label, got only {file or label!r}: complete or remove it"
            for line, file, label in rows
            if not file or not label
        ]
    )
    return [
        Entry(path.parent / file, file, unicodedata.normalize("NFC", label), f"{path}, line {line}")
        for line, file, label in rows
    ]


def _check_labels(entries: list[Entry], alphabet: str) -> None:
    """Raise ValueError, one line, for labels with a character outside the alphabet and for files listed twice."""
    errors = []
    seen: set[Path] = set()
    for entry in entries:
        foreign = next((character for character in entry.label if character not in alphabet), None)
        if not entry.label:
            errors.append(
                f"{entry.where}: expected a label before the first _ or . of the name, got none: rename it"
            )
        elif foreign is not None:
            errors.append(
                f"{entry.where}: the label {entry.label!r} has {foreign!r}, which is not in glyphs.alphabet: "
                "add it there, or correct or remove the file"
            )
        elif entry.path in seen:
            errors.append(f"{entry.where}: {entry.name} comes twice: remove one")
        seen.add(entry.path)
    refuse(errors)


def _split(
    texts: list[str], validation: float, test: float, where: Path, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The pool of each text, (n,): one for all captchas of a label."""
    labels, owner = np.unique(texts, return_inverse=True)
    if len(labels) < len(POOLS):
        raise ValueError(
            f"{where} has {len(labels)} distinct label(s), expected at least {len(POOLS)}, since train, "
            "validation and test share none: add captchas"
        )
    return assign_pools(np.zeros(len(labels)), validation, test, rng=rng)[owner]


def to_canvas(picture: Picture, height: int, width: int) -> Picture:
    """The image as large as fits in (height, width, 3), same aspect ratio, on the median colour of its border."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    high, wide = (
        max(1, min(limit, round(side * scale)))
        for side, limit in zip(picture.shape, (height, width), strict=False)
    )
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = np.rint(border_median(picture))
    top = (height - high) // 2
    left = (width - wide) // 2
    # Pillow averages in integer arithmetic when it shrinks: every machine makes the same bytes.
    resized = Image.fromarray(picture).resize((wide, high), Image.Resampling.BICUBIC)
    canvas[top : top + high, left : left + wide] = np.asarray(resized)
    return canvas
