"""Glyphs from a folder with one sub-folder a class, named after its character; images of any format and size."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.captcha.glyphs import Glyphs, Ints, centre, require_characters
from stages.sources.images import border_median, listing, read_each, read_image

Gray = NDArray[np.uint8]  # (H, W)

LEAST_CONTRAST = 16  # of 255, between ink and background; below it an image counts as even


def read_folder(folder: Path, alphabet: str) -> tuple[Glyphs, Ints]:
    """The glyphs of the alphabet's classes (n, 28, 28) and their labels (n,), in the order of alphabet and file name.

    Raises ValueError where a sub-folder is not named by one character, a class is missing or empty, or an image is bad.
    """
    classes = _classes(folder)
    require_characters(alphabet, classes, str(folder))
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for label, character in enumerate(alphabet):
        files = [path for sub_folder in classes[character] for path in listing(sub_folder)]
        if not files:
            raise ValueError(f"{classes[character][0]} is empty: put images of {character!r} there, or remove it from "
                             "glyphs.alphabet")
        images += read_each(files, read_glyph)
        labels += [label] * len(files)
    return np.stack(images), np.array(labels, np.int64)


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Sub-folders by composed character; more than one where names differ only in how they are encoded."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder with one sub-folder a class, got a file: correct glyphs.path")
    classes: dict[str, list[Path]] = {}
    for entry in filter(Path.is_dir, listing(folder)):
        character = unicodedata.normalize("NFC", entry.name)
        if len(character) != 1:
            raise ValueError(f"{entry}: expected a sub-folder named by one character, got {character!r}: rename it")
        classes.setdefault(character, []).append(entry)
    if not classes:
        raise ValueError(f"{folder} has no sub-folders: expected one for each character, with its images inside")
    return classes


def read_glyph(path: Path) -> Glyphs:
    """The glyph (28, 28) in an image file. Raises ValueError, naming the file, where it is bad or has no ink."""
    picture = read_image(path)
    try:
        return centre(ink_of(np.asarray(Image.fromarray(picture).convert("L"))))
    except ValueError as error:
        raise ValueError(f"{path}: {error}: replace or remove it") from None


def ink_of(gray: Gray) -> Gray:
    """Ink 255 on 0, (H, W), from a glyph darker or lighter than its background, the median of the border.

    What differs from the background by less than a fifth of the strongest ink is background too.
    """
    difference = gray - border_median(gray)
    if -difference.clip(max=0).sum() > difference.clip(min=0).sum():
        difference = -difference
    strongest = difference.max()
    if strongest < LEAST_CONTRAST:
        return np.zeros_like(gray)
    ink: Gray = np.rint((difference / strongest - 0.2).clip(0) * (255 / 0.8)).astype(np.uint8)
    return ink
