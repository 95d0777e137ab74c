"""The CSV of Kaggle's Digit Recognizer, and what can be wrong with one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.sources import kaggle
from stages.sources.kaggle import COLUMNS, read_csv

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 784), dtype=np.uint8)
LABELS = [str(i % 10) for i in range(40)]


def write(path: Path, *, header: list[str] | None = None, rows: list[list[str]] | None = None) -> Path:
    rows = rows or [[label, *map(str, pixels)] for label, pixels in zip(LABELS, PIXELS, strict=True)]
    path.write_text("\n".join(",".join(row) for row in [header or COLUMNS, *rows]) + "\n", encoding="utf-8")
    return path


def rows_with(row: int, column: str, value: str) -> list[list[str]]:
    """The rows with one field changed; `row` counts from 2, below the header."""
    rows = [[label, *map(str, pixels)] for label, pixels in zip(LABELS, PIXELS, strict=True)]
    rows[row - 2][COLUMNS.index(column)] = value
    return rows


@pytest.mark.parametrize("block", [1 << 20, 20_000])  # the whole file at once, or some five rows at a time
def test_rows_of_the_alphabet_come_in_file_order(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kaggle, "BLOCK", block)
    images, labels = read_csv(write(tmp_path / "a.csv"), "72")
    chosen = [i for i, label in enumerate(LABELS) if label in "72"]
    np.testing.assert_array_equal(images, PIXELS[chosen].reshape(-1, 28, 28))
    assert labels.tolist() == ["72".index(LABELS[i]) for i in chosen]


def test_columns_may_come_in_any_order_among_others(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(785)
    header = ["id", *[COLUMNS[i] for i in order]]
    rows = [["x", *[row[i] for i in order]] for row in rows_with(2, "label", "ї")]
    images, labels = read_csv(write(tmp_path / "a.csv", header=header, rows=rows), "ї0")
    np.testing.assert_array_equal(images[0], PIXELS[0].reshape(28, 28))
    assert labels.tolist() == [0, 1, 1, 1]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", header=["pixel99" if name == "pixel7" else name for name in COLUMNS])
    with pytest.raises(ValueError, match=r"a.csv: expected the columns label,pixel0…pixel783, got none named pixel7"):
        read_csv(path, "0")
    with pytest.raises(ValueError, match="got none named label"):
        read_csv(write(tmp_path / "b.csv", header=["digit", *COLUMNS[1:]]), "0")


@pytest.mark.parametrize("value", ["256", "-1", "ink", "1.5", "", "NaN"])
@pytest.mark.parametrize("block", [1 << 20, 20_000])
def test_a_pixel_that_is_no_whole_number_to_255_is_told_with_row_and_column(
    tmp_path: Path, value: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "BLOCK", block)
    path = write(tmp_path / "a.csv", rows=rows_with(31, "pixel5", value))
    with pytest.raises(ValueError, match=rf"row 31, column 7: expected a whole number from 0 to 255, got '{value}'"):
        read_csv(path, "0")


@pytest.mark.parametrize("label", ["12", "", "cat"])
@pytest.mark.parametrize("block", [1 << 20, 20_000])
def test_a_label_that_is_no_single_character_is_told_with_its_row(
    tmp_path: Path, label: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "BLOCK", block)
    path = write(tmp_path / "a.csv", rows=rows_with(20, "label", label))
    with pytest.raises(ValueError, match=rf"a.csv, row 20, column label: expected one character, got '{label}'"):
        read_csv(path, "0")


def test_a_character_that_the_file_lacks_is_told_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a.csv has no 'x': .*\(0123456789\)"):
        read_csv(write(tmp_path / "a.csv"), "0x")


@pytest.mark.parametrize("content", [b"", b"label\n", b"\xff\xfe\x00", ",".join(COLUMNS).encode() + b"\n1,2\n",
                                     ",".join(COLUMNS).encode() + b"\n\xe9" + b",0" * 784 + b"\n"])
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.csv: expected the columns label,pixel0…pixel783[^\n]*$"):
        read_csv(tmp_path / "a.csv", "0")


def test_a_header_without_rows_has_no_characters(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(ValueError, match=r"a.csv has no '0'"):
        read_csv(tmp_path / "a.csv", "0")


def test_a_folder_instead_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got a folder: set glyphs.path to the CSV file"):
        read_csv(tmp_path, "0")
