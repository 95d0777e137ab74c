"""Glyphs from a folder with one sub-folder per class, named after its character; images of any format and size.

If the folder has train/ and test/ (and perhaps validation/) first, like ImageFolder data sets, these are the pools.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.captcha.glyphs import POOLS, Glyphs, centre, require_characters
from stages.sources.examples import (
    Examples,
    digest,
    first_rows,
    refuse_contradictions,
    refuse_leaks,
)
from stages.sources.images import border_median, listing, read_each, read_image

Gray = NDArray[np.uint8]  # (H, W)
Classes = dict[str, list[Path]]  # sub-folders per character

LEAST_CONTRAST = 16  # of 255, between ink and background; below it an image counts as uniform


def read_folder(folder: Path, alphabet: str) -> Examples:
    """The glyphs of the alphabet's classes, per pool if there are pools, in the order of alphabet and file name.

    Raises ValueError if the name of a sub-folder is not one character; a class is missing, empty or only in one pool;
    an image is bad or in two pools; or one image is in two classes.
    """
    pools = _pools(folder)
    classes = {name: _classes(place) for name, place in pools.items()}
    _check_classes(alphabet, folder, classes)
    files = []
    labels = []
    official = []
    for name in classes:
        for label, character in enumerate(alphabet):
            inside = _files(classes[name][character], character)
            files += inside
            labels += [label] * len(inside)
            official += [POOLS.index(name) if name in POOLS else 0] * len(inside)
    read = list(read_each(files, _read_glyph))
    first = first_rows([fingerprint for _, fingerprint in read])
    names = [str(file) for file in files]
    refuse_contradictions(first, [alphabet[label] for label in labels], names)
    split = np.array(official, np.uint8)
    refuse_leaks(first, split, names, str(folder))
    return Examples(
        np.stack([glyph for glyph, _ in read]),
        np.array(labels, np.int64),
        first,
        split if "test" in pools else None,
        str(folder),
    )


def _pools(folder: Path) -> dict[str, Path]:
    """The folders of the pools by name, in the order of POOLS; without pools, the folder itself as ""."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: expected a folder with one sub-folder a class, got a file: correct glyphs.path"
        )
    inside = {entry.name: entry for entry in filter(Path.is_dir, listing(folder))}
    if not inside.keys() & set(POOLS):
        return {"": folder}
    lacking = next((name for name in ("train", "test") if name not in inside), None)
    foreign = next((name for name in inside if name not in POOLS), None)
    if lacking or foreign:
        got = f"no {lacking}" if lacking else f"{foreign!r}"
        raise ValueError(
            f"{folder} has {', '.join(inside)}: expected the sub-folders train and test, perhaps "
            f"validation, and no other, or else one a class; got {got}: add, rename or remove it"
        )
    return {name: inside[name] for name in POOLS if name in inside}


def _classes(folder: Path) -> Classes:
    """Sub-folders per composed character; several if names differ only in their encoding."""
    classes: Classes = {}
    for entry in filter(Path.is_dir, listing(folder)):
        character = unicodedata.normalize("NFC", entry.name)
        if len(character) != 1:
            raise ValueError(
                f"{entry}: expected a sub-folder named by one character, got {character!r}: rename it"
            )
        classes.setdefault(character, []).append(entry)
    if not classes:
        raise ValueError(
            f"{folder} has no sub-folders: expected one for each character, with its images inside"
        )
    return classes


def _check_classes(alphabet: str, folder: Path, classes: dict[str, Classes]) -> None:
    """Raise ValueError where a character of the alphabet is missing, or missing in some of the pools."""
    require_characters(
        alphabet, {character for there in classes.values() for character in there}, str(folder)
    )
    for character in alphabet:
        having = [name for name in classes if character in classes[name]]
        for name in (name for name in classes if name not in having):
            raise ValueError(
                f"{folder / name} has no class {character!r}, which {folder / having[0]} has: add images "
                "of it, or remove it from glyphs.alphabet"
            )


def _files(sub_folders: list[Path], character: str) -> list[Path]:
    files = [path for sub_folder in sub_folders for path in listing(sub_folder)]
    if not files:
        raise ValueError(
            f"{sub_folders[0]} is empty: put images of {character!r} there, or remove it from "
            "glyphs.alphabet"
        )
    return files


def read_glyph(path: Path) -> Glyphs:
    """The glyph (28, 28) in an image file. Raises ValueError with the file that is bad or has no ink."""
    return _read_glyph(path)[0]


def _read_glyph(path: Path) -> tuple[Glyphs, bytes]:
    """The glyph in an image file, and the digest of the whole image: `centre` removes its size and position."""
    picture = read_image(path)
    try:
        return centre(ink_of_picture(np.asarray(Image.fromarray(picture).convert("L")))), digest(
            picture
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}: replace or remove it") from None


def ink_of_picture(gray: Gray) -> Gray:
    """Ink 255 on 0, (H, W), from a glyph darker or lighter than its background, which is the median of the border.

    Pixels that differ from the background by less than a fifth of the strongest ink are background too.
    """
    difference = gray - border_median(gray)
    if -difference.clip(max=0).sum() > difference.clip(min=0).sum():
        difference = -difference
    strongest = difference.max()
    if strongest < LEAST_CONTRAST:
        return np.zeros_like(gray)
    ink: Gray = np.rint((difference / strongest - 0.2).clip(0) * (255 / 0.8)).astype(np.uint8)
    return ink
