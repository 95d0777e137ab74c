"""Glyphs from a CSV in the layout of Kaggle's Digit Recognizer: label,pixel0…pixel783, one glyph a row."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from stages.captcha.glyphs import SIDE, Glyphs, Ints, labels_of, require_characters

PIXELS = [f"pixel{i}" for i in range(SIDE * SIDE)]  # row by row
COLUMNS = ["label", *PIXELS]
BLOCK = 1 << 20  # bytes of the file at a time; Arrow reads some 30 blocks ahead
LAYOUT = "expected the columns label,pixel0…pixel783"


def read_csv(path: Path, alphabet: str) -> tuple[Glyphs, Ints]:
    """The glyphs of the alphabet (n, 28, 28), ink 255 on 0, and their labels (n,), in file order.

    Labels are characters; rows of others than the alphabet's are left out. Raises ValueError, with row and column (the
    header is row 1), where a column is missing, a pixel is no whole number 0 to 255, or a label is no single character.
    """
    images, labels, seen = [np.empty((0, SIDE, SIDE), np.uint8)], [np.empty(0, np.int64)], set[str]()
    for characters, pixels in _blocks(path):
        place = labels_of(characters, alphabet)
        images.append(pixels[place >= 0].reshape(-1, SIDE, SIDE))
        labels.append(place[place >= 0])
        seen.update(np.unique(characters).tolist())
    require_characters(alphabet, seen, str(path))
    return np.concatenate(images), np.concatenate(labels)


def _blocks(path: Path) -> Iterator[tuple[NDArray[np.str_], NDArray[np.uint8]]]:
    """Characters (m,) and pixels (m, 784) of some rows at a time."""
    if not path.is_file():
        raise ValueError(f"{path}: {LAYOUT}, got a folder: set glyphs.path to the CSV file")
    types = {"label": pa.string(), **dict.fromkeys(PIXELS, pa.uint8())}
    row = 2
    try:
        # Without threads, so that an error tells its row; without nulls, so that an empty field is one.
        with pyarrow.csv.open_csv(
            path, read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=COLUMNS, null_values=[]),
        ) as reader:
            for batch in reader:
                labels = [unicodedata.normalize("NFC", label) for label in batch["label"].to_pylist()]
                _check_labels(labels, path, row)
                row += len(labels)
                if labels:
                    yield np.array(labels), np.column_stack([batch[name].to_numpy() for name in PIXELS])
    except pa.ArrowException as error:
        raise ValueError(f"{path}: {_explain(str(error))}") from None


def _check_labels(labels: list[str], path: Path, row: int) -> None:
    for i, label in enumerate(labels):
        if len(label) != 1:
            raise ValueError(f"{path}, row {row + i}, column label: expected one character, got {label!r}: correct it, "
                             "or remove the row")


def _explain(error: str) -> str:
    """Arrow's complaint in the words of the layout."""
    if (missing := re.match(r"Column '(\w+)' in include_columns", error)) is not None:
        return f"{LAYOUT}, got none named {missing[1]}: add it to the header"
    value = re.match(r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to uint8: invalid value (.*)", error)
    if value is not None:
        return (f"row {value[2]}, column {int(value[1]) + 1}: expected a whole number from 0 to 255, got {value[3]}: "
                "correct it, or remove the row")
    return f"{LAYOUT} in UTF-8, got what cannot be read ({error.splitlines()[0][:120]}): correct or replace the file"
