"""Glyphs from a CSV in the layout of Kaggle's Digit Recognizer: label,pixel0…pixel783, one row per glyph.

If the path is a folder with train.csv and test.csv, these are the pools, so that an official test set is retained.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from stages.captcha.glyphs import POOLS, SIDE, Glyphs, Ints, labels_of, require_characters
from stages.sources.examples import (
    Examples,
    digest,
    first_rows,
    refuse_contradictions,
    refuse_leaks,
)

PIXELS = [f"pixel{i}" for i in range(SIDE * SIDE)]  # row by row
KAGGLE_COLUMNS = ["label", *PIXELS]
BLOCK_BYTES = 1 << 20  # bytes of the file at a time; Arrow reads some 30 blocks ahead
LAYOUT = "expected the columns label,pixel0…pixel783"


def read_csv(path: Path, alphabet: str) -> Examples:
    """The glyphs of the alphabet (n, 28, 28), ink 255 on 0, in file order: of a CSV, or of a folder with one per pool.

    A folder has train.csv and test.csv, perhaps validation.csv. Labels are characters; rows with characters outside the
    alphabet are left out. Raises ValueError, with row and column (the header is row 1), if a column is missing, a pixel
    is no integer 0 to 255, a label is no single character, or one image is in two pools or has two labels.
    """
    files = _pools(path) if path.is_dir() else {"": path}
    tables = {name: _read_table(file, alphabet) for name, file in files.items()}
    images, labels = (np.concatenate([table[i] for table in tables.values()]) for i in (0, 1))
    names = [
        f"{files[name]}, row {row}" for name, table in tables.items() for row in table[2].tolist()
    ]
    first = first_rows([digest(image) for image in images])
    refuse_contradictions(first, [alphabet[label] for label in labels], names)
    if path.is_file():
        return Examples(images, labels, first, None, str(path))
    official = np.repeat(
        np.array([POOLS.index(name) for name in tables], np.uint8),
        [len(table[0]) for table in tables.values()],
    )
    refuse_leaks(first, official, names, str(path))
    return Examples(images, labels, first, official, str(path))


def _pools(folder: Path) -> dict[str, Path]:
    """The CSV of each pool, in the order of POOLS. Checks first that the test set has labels."""
    files = {name: file for name in POOLS if (file := folder / f"{name}.csv").is_file()}
    if lacking := [f"{name}.csv" for name in ("train", "test") if name not in files]:
        raise ValueError(
            f"{folder} has no {lacking[0]}: expected train.csv and test.csv, both with labels; add it, or "
            "set glyphs.path to one CSV file, which is split here"
        )
    with files["test"].open("rb") as opened:
        header = opened.readline()
    if b"pixel0" in header and b"label" not in header:
        raise ValueError(
            f"{files['test']} has no column label: expected a test set with its answers, got one without, "
            f"as Kaggle's own, which cannot be scored here; set glyphs.path to {files['train']} to split "
            "that, or put a labelled test.csv there"
        )
    return files


def _read_table(path: Path, alphabet: str) -> tuple[Glyphs, Ints, Ints]:
    """The glyphs of the alphabet in one file, with labels and row numbers; the header is row 1."""
    images = [np.empty((0, SIDE, SIDE), np.uint8)]
    labels = [np.empty(0, np.int64)]
    seen = set[str]()
    for characters, pixels in _blocks(path):
        place = labels_of(characters, alphabet)
        images.append(pixels[place >= 0].reshape(-1, SIDE, SIDE))
        labels.append(place)
        seen.update(np.unique(characters).tolist())
    require_characters(alphabet, seen, str(path))
    every = np.concatenate(labels)
    chosen = np.flatnonzero(every >= 0)
    return np.concatenate(images), every[chosen], chosen + 2


def _blocks(path: Path) -> Iterator[tuple[NDArray[np.str_], NDArray[np.uint8]]]:
    """Characters (m,) and pixels (m, 784) of some rows at a time."""
    types = {"label": pa.string(), **dict.fromkeys(PIXELS, pa.uint8())}
    row = 2
    try:
        # Without threads, so that an error has its row number; without nulls, so that an empty field is an error.
        with pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types, include_columns=KAGGLE_COLUMNS, null_values=[]
            ),
        ) as reader:
            for batch in reader:
                labels = [
                    unicodedata.normalize("NFC", label) for label in batch["label"].to_pylist()
                ]
                _check_labels(labels, path, row)
                row += len(labels)
                if labels:
                    yield (
                        np.array(labels),
                        np.column_stack([batch[name].to_numpy() for name in PIXELS]),
                    )
    except pa.ArrowException as error:
        raise ValueError(f"{path}: {_explain(str(error))}") from None


def _check_labels(labels: list[str], path: Path, row: int) -> None:
    for i, label in enumerate(labels):
        if len(label) != 1:
            raise ValueError(
                f"{path}, row {row + i}, column label: expected one character, got {label!r}: correct it, "
                "or remove the row"
            )


def _explain(error: str) -> str:
    """Arrow's error in the terms of this layout."""
    if (missing := re.match(r"Column '(\w+)' in include_columns", error)) is not None:
        return f"{LAYOUT}, got none named {missing[1]}: add it to the header"
    value = re.match(
        r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to uint8: invalid value (.*)",
        error,
    )
    if value is not None:
        return (
            f"row {value[2]}, column {int(value[1]) + 1}: expected a whole number from 0 to 255, got {value[3]}: "
            "correct it, or remove the row"
        )
    return f"{LAYOUT} in UTF-8, got what cannot be read ({error.splitlines()[0][:120]}): correct or replace the file"
