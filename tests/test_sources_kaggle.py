"""The CSV of Kaggle's Digit Recognizer, and what can be wrong with one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.sources import kaggle
from stages.sources.kaggle import KAGGLE_COLUMNS, read_csv

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 784), dtype=np.uint8)
LABELS = [str(i % 10) for i in range(40)]


def write(
    path: Path, *, header: list[str] | None = None, rows: list[list[str]] | None = None
) -> Path:
    rows = rows or [
        [label, *map(str, pixels)] for label, pixels in zip(LABELS, PIXELS, strict=True)
    ]
    path.write_text(
        "\n".join(",".join(row) for row in [header or KAGGLE_COLUMNS, *rows]) + "\n",
        encoding="utf-8",
    )
    return path


def rows_with(row: int, column: str, value: str) -> list[list[str]]:
    """The rows with one field changed; `row` counts from 2, below the header."""
    rows = [[label, *map(str, pixels)] for label, pixels in zip(LABELS, PIXELS, strict=True)]
    rows[row - 2][KAGGLE_COLUMNS.index(column)] = value
    return rows


@pytest.mark.parametrize(
    "block", [1 << 20, 20_000]
)  # the whole file at once, or some five rows at a time
def test_rows_of_the_alphabet_come_in_file_order(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "BLOCK_BYTES", block)
    found = read_csv(write(tmp_path / "a.csv"), "72")
    chosen = [i for i, label in enumerate(LABELS) if label in "72"]
    np.testing.assert_array_equal(found.images, PIXELS[chosen].reshape(-1, 28, 28))
    assert found.official is None
    assert found.labels.tolist() == ["72".index(LABELS[i]) for i in chosen]


def test_columns_may_come_in_any_order_among_others(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(785)
    header = ["id", *[KAGGLE_COLUMNS[i] for i in order]]
    rows = [["x", *[row[i] for i in order]] for row in rows_with(2, "label", "ї")]
    found = read_csv(write(tmp_path / "a.csv", header=header, rows=rows), "ї0")
    np.testing.assert_array_equal(found.images[0], PIXELS[0].reshape(28, 28))
    assert found.labels.tolist() == [0, 1, 1, 1]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        header=["pixel99" if name == "pixel7" else name for name in KAGGLE_COLUMNS],
    )
    with pytest.raises(
        ValueError,
        match=r"a.csv: expected the columns label,pixel0…pixel783, got none named pixel7",
    ):
        read_csv(path, "0")
    with pytest.raises(ValueError, match="got none named label"):
        read_csv(write(tmp_path / "b.csv", header=["digit", *KAGGLE_COLUMNS[1:]]), "0")


@pytest.mark.parametrize("value", ["256", "-1", "ink", "1.5", "", "NaN"])
@pytest.mark.parametrize("block", [1 << 20, 20_000])
def test_a_pixel_that_is_no_whole_number_to_255_is_told_with_row_and_column(
    tmp_path: Path, value: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "BLOCK_BYTES", block)
    path = write(tmp_path / "a.csv", rows=rows_with(31, "pixel5", value))
    with pytest.raises(
        ValueError, match=rf"row 31, column 7: expected a whole number from 0 to 255, got '{value}'"
    ):
        read_csv(path, "0")


@pytest.mark.parametrize("label", ["12", "", "cat"])
@pytest.mark.parametrize("block", [1 << 20, 20_000])
def test_a_label_that_is_no_single_character_is_told_with_its_row(
    tmp_path: Path, label: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "BLOCK_BYTES", block)
    path = write(tmp_path / "a.csv", rows=rows_with(20, "label", label))
    with pytest.raises(
        ValueError, match=rf"a.csv, row 20, column label: expected one character, got '{label}'"
    ):
        read_csv(path, "0")


def test_a_character_that_the_file_lacks_is_told_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a.csv has no 'x': .*\(0123456789\)"):
        read_csv(write(tmp_path / "a.csv"), "0x")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"label\n",
        b"\xff\xfe\x00",
        ",".join(KAGGLE_COLUMNS).encode() + b"\n1,2\n",
        ",".join(KAGGLE_COLUMNS).encode() + b"\n\xe9" + b",0" * 784 + b"\n",
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"a.csv: expected the columns label,pixel0…pixel783[^\n]*$"
    ):
        read_csv(tmp_path / "a.csv", "0")


def test_a_header_without_rows_has_no_characters(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",".join(KAGGLE_COLUMNS) + "\n")
    with pytest.raises(ValueError, match=r"a.csv has no '0'"):
        read_csv(tmp_path / "a.csv", "0")


def split(folder: Path, train: slice, test: slice) -> Path:
    rows = rows_with(2, "label", LABELS[0])
    write(folder / "train.csv", rows=rows[train])
    write(folder / "test.csv", rows=rows[test])
    return folder


def test_train_and_test_of_a_folder_are_the_pools(tmp_path: Path) -> None:
    found = read_csv(split(tmp_path, slice(10, 40), slice(0, 10)), "0123456789")
    np.testing.assert_array_equal(found.images, np.roll(PIXELS, -10, axis=0).reshape(-1, 28, 28))
    assert found.official is not None
    assert found.official.tolist() == [0] * 30 + [2] * 10
    assert found.first.tolist() == list(range(40))


def test_a_test_set_without_labels_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("nothing")
    (tmp_path / "test.csv").write_text(
        ",".join(KAGGLE_COLUMNS[1:]) + "\n" + ",".join("0" * 784) + "\n"
    )
    with pytest.raises(
        ValueError,
        match=r"/test.csv has no column label: expected a test set with its answers, got "
        r"one without, as Kaggle's own, .* set glyphs.path to \S*/train.csv to split",
    ):
        read_csv(tmp_path, "0")


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_folder_that_lacks_a_file_is_told_which(tmp_path: Path, name: str) -> None:
    (split(tmp_path, slice(20), slice(20, 40)) / f"{name}.csv").unlink()
    with pytest.raises(
        ValueError,
        match=rf"has no {name}.csv: expected train.csv and test.csv, both with labels; add",
    ):
        read_csv(tmp_path, "0")


def test_a_class_that_the_test_set_lacks_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"/test.csv has no '9': .* \(012345678\)"):
        read_csv(split(tmp_path, slice(9, 40), slice(9)), "0123456789")


def test_equal_rows_with_two_labels_are_named(tmp_path: Path) -> None:
    rows = rows_with(2, "label", "0")
    rows[17] = ["4", *rows[3][1:]]
    path = write(tmp_path / "a.csv", rows=rows)
    with pytest.raises(
        ValueError,
        match=r"a.csv, row 19: expected the label '3' of \S*a.csv, row 5, which is the same "
        r"image, got '4'",
    ):
        read_csv(path, "0123456789")
    assert len(read_csv(path, "012").labels) == 12


def test_rows_in_train_and_in_test_are_refused_with_their_number(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"expected no image in two pools, got 5, as \S*/test.csv, row 2, which is "
        r"\S*/train.csv, row 27 again",
    ):
        read_csv(split(tmp_path, slice(30), slice(25, 40)), "0123456789")
