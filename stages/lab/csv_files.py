"""Train and test files in Kaggle's CSV layout, checked once and stored as arrays; and the submission file.

The layout is that of Kaggle's Digit Recognizer: `label,pixel0…pixel783`, one row per glyph; a test file may lack label.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from stages import artifacts
from stages.captcha.glyphs import SIDE, Glyphs, labels_of
from stages.lab.errors import MissingError, UnreadableError
from stages.sources.kaggle import BLOCK_BYTES, LAYOUT, PIXELS, read_csv

GLYPH_FILES = ("train", "test")
CLASSES = 100  # at most
MEBIBYTES = 200  # of a file
CELL = re.compile(
    r"In CSV column #(\d+): Row #(\d+): CSV conversion error to uint8: invalid value (.*)"
)  # Arrow's
QUOTED = {",": '","', '"': '""""'}  # labels that need quotes in a CSV


@dataclass(frozen=True)
class GlyphTable:
    """Description of an opened file."""

    name: str  # the user's file name
    rows: int
    classes: dict[str, int]  # rows per label; empty if the file has no labels


def path_of(home: Path, kind: str) -> Path:
    return home / "files" / f"{kind}.npz"


def store(home: Path, kind: str, name: str, csv: Path) -> GlyphTable:
    """Check the CSV and store it as the train or test file. If it is bad: UnreadableError, and nothing is stored."""
    try:
        images, labels = read_glyph_csv(csv, labelled=kind == "train")
    except ValueError as error:
        raise UnreadableError(
            str(error).replace(str(csv), name)[:600]
        ) from None  # a cell may be very long
    table = GlyphTable(name, len(images), dict(sorted(Counter(labels.tolist()).items())))
    path = path_of(home, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    with artifacts.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, images=images, labels=labels)
    artifacts.write_json(path.with_suffix(".json"), asdict(table))
    return table


def read_glyph_csv(csv: Path, *, labelled: bool) -> tuple[Glyphs, NDArray[np.str_]]:
    """Images (n, 28, 28) and labels: (n,) single characters, or (0,) if there are none. Errors have row and column."""
    characters = _labels(csv)
    if characters is None:
        if labelled:
            raise ValueError(
                f"{csv}: {LAYOUT}, got none named label: a reader learns from labels; open this as the "
                "test file, or add them"
            )
        return _pixels(csv), np.array([], np.str_)
    alphabet = "".join(sorted(set(characters)))
    if not 2 <= len(alphabet) <= CLASSES and labelled:
        raise ValueError(
            f"{csv}: expected 2 to {CLASSES} classes, got {len(alphabet)}: open another file"
        )
    found = read_csv(csv, alphabet)
    return found.images, np.array(list(alphabet))[found.labels]


def _labels(csv: Path) -> list[str] | None:
    """The column of labels; None without. Raises ValueError if one is no single character, or there are no rows."""
    with csv.open("rb") as opened:
        header = opened.readline(BLOCK_BYTES)
    line = (header.decode("utf-8-sig", errors="replace").splitlines() or [""])[0]
    names = {name.strip('"') for name in line.split(",")}
    if lacking := [name for name in PIXELS if name not in names]:
        raise ValueError(
            f"{csv}: {LAYOUT}, got none named {lacking[0]}: open a file in Kaggle's layout"
        )
    if "label" not in names:
        return None
    found: list[str] = []
    for batch in _batches(csv, {"label": pa.string()}):
        found += [unicodedata.normalize("NFC", label) for label in batch["label"].to_pylist()]
    wrong = next(
        (i for i, label in enumerate(found) if not (len(label) == 1 and label.isprintable())), None
    )
    if wrong is not None:
        raise ValueError(
            f"{csv}, row {wrong + 2}, column label: expected one character, got {found[wrong][:40]!r}: "
            "correct it, or remove the row"
        )
    if not found:
        raise ValueError(f"{csv}: expected rows under the header, got none: open another file")
    return found


def _pixels(csv: Path) -> Glyphs:
    blocks = [
        np.column_stack([batch[name].to_numpy() for name in PIXELS])
        for batch in _batches(csv, dict.fromkeys(PIXELS, pa.uint8()))
    ]
    images: Glyphs = (
        np.concatenate(blocks).reshape(-1, SIDE, SIDE)
        if blocks
        else np.zeros((0, SIDE, SIDE), np.uint8)
    )
    if not len(images):
        raise ValueError(f"{csv}: expected rows under the header, got none: open another file")
    return images


def _batches(csv: Path, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    try:
        with pyarrow.csv.open_csv(
            csv,
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[]
            ),
        ) as reader:
            yield from reader
    except pa.ArrowException as error:
        if (cell := CELL.match(str(error))) is not None:
            raise ValueError(
                f"{csv}: row {cell[2]}, column {int(cell[1]) + 1}: expected a whole number from 0 to 255, "
                f"got {cell[3][:40]}: correct it, or remove the row"
            ) from None
        raise ValueError(
            f"{csv}: {LAYOUT} (a test file may leave out label), pixels from 0 to 255, in UTF-8, got what "
            f"cannot be read ({str(error).splitlines()[0][:120]}): correct or replace the file"
        ) from None


def opened(home: Path) -> dict[str, GlyphTable]:
    """The stored files, by kind."""
    found = {}
    for kind in GLYPH_FILES:
        path = path_of(home, kind).with_suffix(".json")
        if path.is_file() and path_of(home, kind).is_file():
            found[kind] = GlyphTable(**json.loads(path.read_text(encoding="utf-8")))
    return found


def close(home: Path, kind: str) -> None:
    for path in (path_of(home, kind), path_of(home, kind).with_suffix(".json")):
        path.unlink(missing_ok=True)


def load_stored_glyphs(home: Path, kind: str) -> tuple[Glyphs, NDArray[np.str_]]:
    """Images and labels of the train or test file. Raises MissingError if none is open."""
    try:
        with np.load(path_of(home, kind), allow_pickle=False) as arrays:
            return arrays["images"], arrays["labels"]
    except FileNotFoundError:
        raise MissingError(f"no {kind} file is open: open a CSV first") from None


def to_labels(characters: NDArray[np.str_], alphabet: str) -> NDArray[np.int64]:
    """Labels (n,) from 1; 0 for a character outside the alphabet."""
    return labels_of(characters, alphabet) + 1


def submission(answers: Iterator[str]) -> Iterator[str]:
    """The lines of Kaggle's sample_submission.csv: ImageId from 1, and Label."""
    yield "ImageId,Label\n"
    for number, answer in enumerate(answers, 1):
        yield f"{number},{QUOTED.get(answer, answer)}\n"
