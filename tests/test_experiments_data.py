"""The commands that make data sets: what they write is what the glyph sources read, and it appears whole or not."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import kaggle, letters
from experiments.kaggle import write_csv
from experiments.letters import UKRAINIAN, deform, write_letters
from stages.captcha.glyphs import GlyphSet
from stages.sources.glyph_sources import load_glyphs

ROOT = Path(__file__).resolve().parents[1]
MARKED = ("ГҐ", "ІЇ", "ИЙ", "ШЩ")  # pairs that a mark or a tail alone tells apart
LETTERS = "".join(MARKED)
VARIANTS = 18  # of a letter in a face


def load(source: str, path: Path, alphabet: str) -> GlyphSet:
    return load_glyphs(
        source,
        str(path),
        alphabet=alphabet,
        emnist_split="digits",
        validation=0.2,
        test=0.2,
        rng=np.random.default_rng(0),
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of eight letters."""
    out = tmp_path_factory.mktemp("letters") / "out"
    assert write_letters(out, LETTERS, seed=1) == {
        "train": 8 * 10 * VARIANTS * 3,
        "validation": 8 * 2 * VARIANTS,
        "test": 8 * 4 * VARIANTS,
    }
    return out


@pytest.fixture(scope="module")
def read(drawn: Path) -> GlyphSet:
    """The same through the folder source."""
    return load("folder", drawn, LETTERS)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.png")
    }


def idx_files(folder: Path, train: int, test: int) -> tuple[np.ndarray, np.ndarray]:
    """Random digits in the files of MNIST; images and labels, train first."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (train + test, 28, 28), dtype=np.uint8)
    labels = (np.arange(train + test) % 10).astype(np.uint8)
    folder.mkdir()
    for prefix, rows in (("train", slice(train)), ("t10k", slice(train, None))):
        for content, array in (("images-idx3", images[rows]), ("labels-idx1", labels[rows])):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            (folder / f"{prefix}-{content}-ubyte").write_bytes(header + array.tobytes())
    return images, labels


def test_the_alphabet_is_the_ukrainian_one() -> None:
    assert len(UKRAINIAN) == len(set(UKRAINIAN)) == 33
    assert {ord(letter) for letter in UKRAINIAN} - set(range(0x410, 0x430)) == set(map(ord, "ҐЄІЇ"))


def test_no_face_is_in_two_pools(drawn: Path) -> None:
    faces = {
        pool.name: {path.name.rsplit("-", 1)[0] for path in pool.rglob("*.png")}
        for pool in drawn.iterdir()
    }
    assert {pool: len(there) for pool, there in faces.items()} == {
        "train": 10,
        "validation": 2,
        "test": 4,
    }
    assert len(set.union(*faces.values())) == 16
    assert "DejaVuSansMono-Bold" in set.union(*faces.values())


def test_the_folder_source_reads_the_letters_with_their_pools(drawn: Path, read: GlyphSet) -> None:
    np.testing.assert_array_equal(
        read.counts(), np.tile([10 * VARIANTS * 3, 2 * VARIANTS, 4 * VARIANTS], (8, 1))
    )
    assert {path.parent.name for path in drawn.glob("*/*/*.png")} == set(LETTERS)


def test_a_seed_gives_the_same_bytes_and_another_gives_others(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()  # an empty folder will do
    write_letters(tmp_path / "again", "Ґ", seed=1)
    assert hashes(tmp_path / "again").items() == {
        item for item in hashes(drawn).items() if "/Ґ/" in item[0]
    }
    write_letters(tmp_path / "other", "Ґ", seed=2)
    first = hashes(drawn)
    assert all(first.get(name) != digest for name, digest in hashes(tmp_path / "other").items())


def test_an_image_is_black_on_white_with_room_around_the_letter(drawn: Path) -> None:
    images = np.stack(
        [np.asarray(Image.open(path)) for path in sorted((drawn / "test").rglob("*.png"))]
    )
    assert images.shape == (8 * 4 * VARIANTS, letters.SIZE, letters.SIZE)
    assert images[:, [0, -1]].min() > 200  # nothing is cut off
    assert images[:, :, [0, -1]].min() > 200
    assert (images.min(axis=(1, 2)) < 150).all()
    assert 0.02 < (images < 128).mean() < 0.2


def test_no_drawing_repeats_another(drawn: Path) -> None:
    digests = hashes(drawn)
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize("pair", MARKED)
def test_a_mark_is_still_there_at_28_pixels(read: GlyphSet, pair: str) -> None:
    """A nearest neighbour in train, of other faces, tells the letter from the one without the mark."""
    flat = read.images.reshape(len(read.images), -1).astype(np.float32)
    there = np.isin(read.labels, [LETTERS.index(letter) for letter in pair])
    train = there & (read.pool == 0)
    test = there & (read.pool == 2)
    distance = (flat[train] ** 2).sum(axis=1) - 2 * flat[test] @ flat[train].T
    guess = read.labels[train][distance.argmin(axis=1)]
    assert (guess == read.labels[test]).mean() > 0.9


def test_the_noises_leave_a_letter_where_and_as_large_as_it_was() -> None:
    glyphs = np.zeros((200, 28, 28), np.uint8)
    glyphs[:, 4:24, 9:19] = 255
    ink = 255 - deform(glyphs, 0, "test").astype(float)
    np.testing.assert_allclose(ink.sum(axis=(1, 2)) / 255, 20 * 10 * letters.FINE**2, rtol=0.35)
    places = np.arange(letters.SIZE)
    for across, middle in ((2, 4 + 10), (1, 9 + 5)):  # of the rows, of the columns
        centres = (ink.sum(axis=across) @ places) / ink.sum(axis=(1, 2))
        assert np.abs(centres + 0.5 - letters.FINE * (middle + letters.MARGIN)).mean() < 2


def test_letters_that_cannot_be_written_are_refused_in_one_line(
    drawn: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ValueError,
        match=r"out is there already: expected a new or empty folder; remove it, or name",
    ):
        write_letters(drawn, "Г", seed=1)
    with pytest.raises(ValueError, match="--seed: expected a whole number of at least 0, got -1"):
        write_letters(tmp_path / "out", "Г", seed=-1)
    with pytest.raises(ValueError, match="'字' is in 0 of"):
        write_letters(tmp_path / "out", "Г字", seed=1)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_half_of_the_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(letters, "deform", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_letters(tmp_path / "out", "Г", seed=1)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_cannot_do(drawn: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.letters", str(drawn)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {drawn} is there already")
    assert done.stderr.count("\n") == 1


def test_mnist_comes_back_from_kaggles_layout_with_its_test_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = idx_files(tmp_path / "idx", 60, 20)
    monkeypatch.setattr(sys, "argv", ["kaggle", str(tmp_path / "idx"), str(tmp_path / "out")])
    kaggle.main()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["test.csv", "train.csv"]
    glyphs = load("csv", tmp_path / "out", "0123456789")
    np.testing.assert_array_equal(glyphs.images, images)
    np.testing.assert_array_equal(glyphs.labels, labels)
    np.testing.assert_array_equal(glyphs.pool == 2, np.arange(80) >= 60)


def test_a_row_is_as_kaggle_writes_it(tmp_path: Path) -> None:
    pixels = np.arange(2 * 784).reshape(2, 28, 28).astype(np.uint8)
    write_csv(tmp_path / "train.csv", pixels, np.array([7, 3]))
    header, *rows = (tmp_path / "train.csv").read_text(encoding="utf-8").splitlines()
    assert header == ",".join(["label", *(f"pixel{i}" for i in range(784))])
    assert rows == [
        ",".join(map(str, [label, *image.ravel()]))
        for label, image in zip([7, 3], pixels, strict=True)
    ]


def test_mnist_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["kaggle", str(tmp_path), str(tmp_path / "out")])
    with pytest.raises(ValueError, match=f"^{tmp_path} has no train-images-idx3-ubyte"):
        kaggle.main()
    assert not (tmp_path / "out").exists()
