"""Kaggle's CSV: what is taken, what is refused and in which words, what is kept; and the submission in its layout."""

from __future__ import annotations

import csv as standard_csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lab_readers import bars, csv
from numpy.typing import NDArray

from stages.lab import csv_files
from stages.lab.errors import MissingError, UnreadableError
from stages.sources.kaggle import KAGGLE_COLUMNS

IMAGES, LABELS = bars("012", 4)
TRAIN = csv(IMAGES, LABELS)
TEST = csv(IMAGES)
CLASSES = {"0": 4, "1": 4, "2": 4}


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., csv_files.GlyphTable]:
    def kept(content: bytes, kind: str = "train", name: str = "mine.csv") -> csv_files.GlyphTable:
        path = tmp_path / "upload.csv"
        path.write_bytes(content)
        return csv_files.store(tmp_path / "lab", kind, name, path)

    return kept


def files(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def with_cell(content: bytes, row: int, column: int, value: str) -> bytes:
    """The CSV with another value in a cell; both count from 1, the header being row 1."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    rows[row - 1][column - 1] = value.encode()
    return b"\n".join(b",".join(cells) for cells in rows)


def test_a_train_file_is_kept_with_its_images_and_labels(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path
) -> None:
    assert keep(TRAIN) == csv_files.GlyphTable("mine.csv", 12, CLASSES)
    images, labels = csv_files.load_stored_glyphs(tmp_path / "lab", "train")
    np.testing.assert_array_equal(images, IMAGES)
    assert labels.tolist() == LABELS
    assert csv_files.opened(tmp_path / "lab") == {
        "train": csv_files.GlyphTable("mine.csv", 12, CLASSES)
    }


def test_a_test_file_may_have_no_labels(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path
) -> None:
    assert keep(TEST, "test") == csv_files.GlyphTable("mine.csv", 12, {})
    images, labels = csv_files.load_stored_glyphs(tmp_path / "lab", "test")
    np.testing.assert_array_equal(images, IMAGES)
    assert labels.tolist() == []


def test_a_test_file_may_have_labels_or_only_one_class(
    keep: Callable[..., csv_files.GlyphTable],
) -> None:
    assert keep(TRAIN, "test").classes == CLASSES
    assert keep(csv(IMAGES[:2], ["7", "7"]), "test").classes == {"7": 2}


QUOTED = b",".join(b'"%s"' % name.encode() for name in KAGGLE_COLUMNS) + TRAIN[TRAIN.index(b"\n") :]
SAME = {
    "a byte order mark": b"\xef\xbb\xbf" + TRAIN, "CRLF": csv(IMAGES, LABELS, newline="\r\n"),
    "CR": csv(IMAGES, LABELS, newline="\r"), "a quoted header": QUOTED,
    "quoted labels": TRAIN.replace(b"\n1,", b'\n"1",'),
    "both": b"\xef\xbb\xbf" + QUOTED.replace(b"\n", b"\r\n"), "blank lines at the end": TRAIN + b"\n\n",
    "no newline at the end": TRAIN.rstrip(b"\n"),
    "another column": TRAIN.replace(b"\n", b",7\n").replace(b"783,7", b"783,x"),
}  # fmt: skip


@pytest.mark.parametrize("what", SAME)
def test_the_same_table_written_otherwise_is_the_same(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path, what: str
) -> None:
    assert SAME[what] != TRAIN
    assert keep(SAME[what]).classes == CLASSES
    np.testing.assert_array_equal(
        csv_files.load_stored_glyphs(tmp_path / "lab", "train")[0], IMAGES
    )


def test_columns_are_found_by_their_names(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path
) -> None:
    keep(b"\n".join(b",".join(reversed(line.split(b","))) for line in TRAIN.split(b"\n")))
    images, labels = csv_files.load_stored_glyphs(tmp_path / "lab", "train")
    np.testing.assert_array_equal(images, IMAGES)
    assert labels.tolist() == LABELS


@pytest.mark.parametrize(
    ("letters", "kept"),
    [
        ("abc", "abc"),
        ("Їяґ", "Їяґ"),
        ("\u212b\u00e91", "\u00c5\u00e91"),
        (["e\u0301", "a", "b"], "éab"),
        ('",1', '",1'),
        (" x漢", " x漢"),
    ],
)
def test_labels_may_be_any_character_and_are_composed(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path, letters: str | list[str], kept: str
) -> None:
    cells = {'"': '""""', ",": '","'}
    table = keep(csv(IMAGES, [cells.get(letter, letter) for letter in list(letters) * 4]))
    assert table.classes == dict.fromkeys(sorted(kept), 4)
    assert csv_files.load_stored_glyphs(tmp_path / "lab", "train")[1].tolist() == list(kept) * 4


def different(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (n, 28, 28), dtype=np.uint8)


def test_a_hundred_classes_are_taken_and_one_more_is_not(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path
) -> None:
    letters = [chr(0x4E00 + i) for i in range(101)]
    assert len(keep(csv(different(100), letters[:100])).classes) == 100
    with pytest.raises(UnreadableError, match="expected 2 to 100 classes, got 101"):
        keep(csv(different(101), letters))
    assert csv_files.opened(tmp_path / "lab")["train"].rows == 100


NOT_KAGGLE = "expected the columns label,pixel0…pixel783, got none named "
BAD = {
    "one class": (csv(IMAGES[:3], ["1"] * 3), "expected 2 to 100 classes, got 1"),
    "no label": (TEST, NOT_KAGGLE + "label: .*open this as the test file"),
    "a label in capitals": (TRAIN.replace(b"label", b"Label"), NOT_KAGGLE + "label"),
    "a pixel missing": (TRAIN.replace(b"pixel783\n", b"pixel784\n"), NOT_KAGGLE + "pixel783"),
    "blanks in the header": (TRAIN.replace(b",pixel5,", b", pixel5,"), NOT_KAGGLE + "pixel5"),
    "semicolons": (TRAIN.replace(b",", b";"), NOT_KAGGLE + "pixel0"),
    "no header": (TRAIN[TRAIN.index(b"\n") + 1:], NOT_KAGGLE + "pixel0"),
    "a cell above 255": (with_cell(TRAIN, 5, 4, "256"), r"row 5, column 4: expected .* 0 to 255, got '256'"),
    "a negative cell": (with_cell(TRAIN, 13, 785, "-1"), r"row 13, column 785: expected .* got '-1'"),
    "a word in a cell": (with_cell(TRAIN, 2, 2, "x"), "row 2, column 2: expected .* got 'x'"),
    "an empty cell": (with_cell(TRAIN, 3, 2, ""), "row 3, column 2: expected .* got ''"),
    "a fraction": (with_cell(TRAIN, 3, 2, "0.5"), "row 3, column 2: expected .* got '0.5'"),
    "a long label": (with_cell(TRAIN, 6, 1, "10"), "row 6, column label: expected one character, got '10'"),
    "an empty label": (with_cell(TRAIN, 6, 1, ""), "row 6, column label: expected one character, got ''"),
    "a line feed as label": (with_cell(TRAIN, 6, 1, '"\n"'), r"row 6, column label: expected one character, got '\\n'"),
    "NUL as label": (with_cell(TRAIN, 6, 1, "\0"), r"row 6, column label: expected one character, got '\\x00'"),
    "a short row": (with_cell(TRAIN, 4, 1, "1,1"), "Row #4: Expected 785 columns, got 786"),
    "one image with two labels": (csv(IMAGES[[0, 0, 1]], ["0", "1", "1"]), "row 3: expected the label '0' of .*row 2"),
    "nothing": (b"", NOT_KAGGLE + "pixel0"), "line feeds": (b"\n" * 99, NOT_KAGGLE + "pixel0"),
    "a header alone": (TRAIN[:TRAIN.index(b"\n") + 1], "expected rows under the header, got none"),
    "a header without a line feed": (TRAIN[:TRAIN.index(b"\n")], "cannot be read"),
    "a huge row": (TRAIN + b"0," + b"1" * 3_000_000 + b"\n", "cannot be read"),
    "a huge cell": (with_cell(TRAIN, 3, 5, "1" * 5000), "row 3, column 5: expected .* got '1{100}"),
    "a huge label": (with_cell(TRAIN, 3, 1, "x" * 5000), "row 3, column label: expected one character, got 'x{40}'"),
    "a huge header": (b"pixel0," * 300_000, NOT_KAGGLE),
    "one huge line": (b"x" * 3_000_000, NOT_KAGGLE + "pixel0"),
    "binary rubbish": (different(100).tobytes(), NOT_KAGGLE + "pixel0"),
    "zeros": (bytes(99_999), NOT_KAGGLE + "pixel0"),
    "rubbish after the header": (TRAIN[:TRAIN.index(b"\n") + 1] + different(9).tobytes(), "cannot be read"),
    "UTF-16": (TRAIN.decode().encode("utf-16"), NOT_KAGGLE + "pixel0"),
    "Latin-1": (TRAIN.replace(b"\n1,", b"\n\xe9,"), "UTF-8"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), NOT_KAGGLE + "pixel0"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_such_table_is_refused_in_one_line_by_its_name_and_what_was_kept_stays(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path, what: str
) -> None:
    keep(csv(IMAGES[:4], list("0120")), name="first.csv")
    content, words = BAD[what]
    with pytest.raises(UnreadableError, match=words) as refusal:
        keep(content)
    assert str(refusal.value).startswith("mine.csv")
    assert len(str(refusal.value).splitlines()) == 1
    assert len(str(refusal.value)) < 1000
    assert str(tmp_path) not in str(refusal.value)
    assert files(tmp_path / "lab") == ["train.json", "train.npz"]
    assert csv_files.opened(tmp_path / "lab")["train"].name == "first.csv"
    assert len(csv_files.load_stored_glyphs(tmp_path / "lab", "train")[0]) == 4


@pytest.mark.parametrize(
    "what", ["a cell above 255", "a negative cell", "a word in a cell", "an empty cell"]
)
def test_a_wrong_cell_of_a_file_without_labels_is_named_too(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path, what: str
) -> None:
    rows = BAD[what][0].split(b"\n")
    content = b"\n".join(row.partition(b",")[2] for row in rows)
    row, column = next(
        (i, j)
        for i, line in enumerate(rows)
        for j, (cell, right) in enumerate(
            zip(line.split(b","), TRAIN.split(b"\n")[i].split(b","), strict=True)
        )
        if cell != right
    )
    with pytest.raises(
        UnreadableError, match=f"mine.csv: row {row + 1}, column {column}: expected a whole number"
    ):
        keep(content, "test")
    assert files(tmp_path / "lab") == []


def test_a_table_of_blocks_tells_the_row_of_the_file(
    keep: Callable[..., csv_files.GlyphTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 20_000)
    assert keep(TEST, "test").rows == 12
    with pytest.raises(UnreadableError, match="row 12, column 3"):
        keep(with_cell(TEST, 12, 3, "-"), "test")


def test_a_file_is_replaced_whole_or_not_at_all(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(TRAIN, name="first.csv")

    def full(file: io.BufferedWriter, **arrays: object) -> None:
        file.write(b"half of it")
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(OSError, match="no space"):
            keep(csv(IMAGES[:4], list("0120")))
    assert files(tmp_path / "lab") == ["train.json", "train.npz"]
    assert csv_files.opened(tmp_path / "lab")["train"].name == "first.csv"
    assert len(csv_files.load_stored_glyphs(tmp_path / "lab", "train")[0]) == 12
    keep(csv(IMAGES[:4], list("0120")), name="second.csv")
    assert csv_files.opened(tmp_path / "lab")["train"].name == "second.csv"
    assert len(csv_files.load_stored_glyphs(tmp_path / "lab", "train")[0]) == 4


def test_a_closed_file_is_gone_and_closing_it_again_does_no_harm(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path
) -> None:
    keep(TRAIN)
    keep(TEST, "test")
    for _ in range(2):
        csv_files.close(tmp_path / "lab", "train")
        assert list(csv_files.opened(tmp_path / "lab")) == ["test"]
    with pytest.raises(MissingError, match="no train file is open"):
        csv_files.load_stored_glyphs(tmp_path / "lab", "train")


def test_a_kept_file_is_read_without_pickle(
    keep: Callable[..., csv_files.GlyphTable], tmp_path: Path
) -> None:
    keep(TRAIN)
    np.savez(
        csv_files.path_of(tmp_path / "lab", "train"),
        images=np.array([{}], object),
        labels=np.array([]),
    )
    with pytest.raises(ValueError, match="allow_pickle"):
        csv_files.load_stored_glyphs(tmp_path / "lab", "train")


def test_a_submission_has_kaggles_layout() -> None:
    lines = "".join(csv_files.submission(iter("2090")))
    assert (
        lines == "ImageId,Label\n1,2\n2,0\n3,9\n4,0\n"
    )  # as sample_submission.csv of Digit Recognizer begins


def test_a_submission_of_any_labels_is_read_back_by_a_reader_of_csv() -> None:
    labels = list("a,\"é' ;")
    rows = list(
        standard_csv.reader(io.StringIO("".join(csv_files.submission(iter(labels))), newline=""))
    )
    assert rows == [["ImageId", "Label"], *([str(i), label] for i, label in enumerate(labels, 1))]


def test_a_label_that_the_alphabet_lacks_is_label_zero() -> None:
    assert csv_files.to_labels(np.array(list("bxa")), "ab").tolist() == [2, 0, 1]
