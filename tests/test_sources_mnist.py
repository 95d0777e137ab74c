"""MNIST and EMNIST: files that are there are read, folders stay as they are, and nothing is downloaded unasked."""

from __future__ import annotations

import gzip
import hashlib
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import MNIST

from stages.sources.mnist import read_emnist, read_mnist

REAL = Path(__file__).parents[2] / "shared" / "data" / "mnist"
SIZES = {"train": 60, "test": 20, "t10k": 20}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("the network was used")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def idx(array: np.ndarray) -> bytes:
    """The idx format of LeCun: magic 0 0 8 dimensions, big-endian sizes, bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def published(classes: int, first: int = 0, *, prefixes: tuple[str, str]) -> dict[str, np.ndarray]:
    """Random images and labels of an official training and test set, as stored."""
    rng = np.random.default_rng(0)
    files = {}
    for prefix in prefixes:
        n = SIZES[prefix.split("-")[-1]]
        files[f"{prefix}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        files[f"{prefix}-labels-idx1-ubyte"] = (first + np.arange(n) % classes).astype(np.uint8)
    return files


def mnist() -> dict[str, np.ndarray]:
    return published(10, prefixes=("train", "t10k"))


def emnist(split: str, classes: int, first: int = 0) -> dict[str, np.ndarray]:
    return published(classes, first, prefixes=(f"emnist-{split}-train", f"emnist-{split}-test"))


def write(folder: Path, files: dict[str, np.ndarray], *, packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in files.items():
        content = gzip.compress(idx(array), mtime=0) if packed else idx(array)
        (folder / (name + ".gz" * packed)).write_bytes(content)
    return folder


@pytest.mark.parametrize("place", ["MNIST/raw", "raw", "."])
def test_extracted_mnist_is_read_from_a_read_only_folder(tmp_path: Path, place: str) -> None:
    files = mnist()
    folder = write(tmp_path / place, files)
    before = sorted(tmp_path.rglob("*"))
    folder.chmod(0o555)
    images, labels, official = read_mnist(tmp_path, "0123456789", download=False)
    folder.chmod(0o755)
    np.testing.assert_array_equal(images[:60], files["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(images[60:], files["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(labels, [*(np.arange(60) % 10), *(np.arange(20) % 10)])
    np.testing.assert_array_equal(official, np.arange(80) >= 60)
    assert sorted(tmp_path.rglob("*")) == before


def test_packed_mnist_is_checked_by_its_published_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = mnist()
    folder = write(tmp_path / "MNIST" / "raw", files, packed=True)
    with pytest.raises(
        ValueError,
        match=r"train-images-idx3-ubyte.gz: expected the MD5 f68b3c2d.*download it again",
    ):
        read_mnist(tmp_path, "01", download=False)
    sums = [
        (path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in sorted(folder.iterdir())
    ]
    monkeypatch.setattr(MNIST, "resources", sums)
    images, labels, official = read_mnist(tmp_path, "31", download=False)
    chosen = np.isin(np.arange(60) % 10, [1, 3])
    np.testing.assert_array_equal(images[~official], files["train-images-idx3-ubyte"][chosen])
    assert labels[:4].tolist() == [1, 0, 1, 0]  # 1, 3, 1, 3
    assert sorted(folder.iterdir()) == sorted(folder / f"{name}.gz" for name in files)


@pytest.mark.parametrize("layout", ["extracted", "packed", "archive"])
def test_emnist_letters_are_upright_in_any_layout(tmp_path: Path, layout: str) -> None:
    files = emnist("letters", 4, first=1)  # 1 is a
    raw = write(
        tmp_path / "EMNIST" / "raw", {} if layout == "archive" else files, packed=layout == "packed"
    )
    if layout == "archive":
        with zipfile.ZipFile(raw / "gzip.zip", "w") as archive:
            for name, array in files.items():
                archive.writestr(f"gzip/{name}.gz", gzip.compress(idx(array)))
    images, labels, official = read_emnist(tmp_path, "dba", "letters", download=False)
    stored = np.concatenate(
        [files[f"emnist-letters-{part}-images-idx3-ubyte"] for part in ("train", "test")]
    )
    truth = np.concatenate(
        [files[f"emnist-letters-{part}-labels-idx1-ubyte"] for part in ("train", "test")]
    )
    chosen = np.flatnonzero(truth != 3)
    assert "".join("dba"[label] for label in labels[:6]) == "abdabd"
    np.testing.assert_array_equal(images[5, 3, 20], stored[chosen[5], 20, 3])
    np.testing.assert_array_equal(images, stored[chosen].transpose(0, 2, 1))
    np.testing.assert_array_equal(official, chosen >= 60)
    assert images.flags.c_contiguous


def test_emnist_balanced_tells_capitals_from_small_letters(tmp_path: Path) -> None:
    write(
        tmp_path, emnist("balanced", 20, first=27)
    )  # Q to Z, then a b d e f g h n q r, without a test image of each
    _, labels, _ = read_emnist(tmp_path, "aRd", "balanced", download=False)
    assert labels[:3].tolist() == [1, 0, 2]  # R is 27, a 36, d 38


def test_characters_that_the_collection_lacks_are_told(tmp_path: Path) -> None:
    write(tmp_path, emnist("letters", 4, first=1))
    with pytest.raises(
        ValueError, match=r"EMNIST has no 'A', '1': take glyphs.alphabet from .*\(abcd\)"
    ):
        read_emnist(tmp_path, "Aa1", "letters", download=False)


def test_missing_files_are_named_with_what_to_do(tmp_path: Path) -> None:
    files = mnist()
    files.pop("t10k-labels-idx1-ubyte")
    write(tmp_path, files)
    with pytest.raises(
        ValueError,
        match=r"has no t10k-labels-idx1-ubyte, extracted or .gz: put the files train-i.* "
        r"there, or set glyphs.path to '' to download them",
    ):
        read_mnist(tmp_path, "01", download=False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\10\3",
        b"no idx",
        idx(np.zeros((3, 28, 28), np.uint8))[:-9],
        idx(np.zeros((60, 14, 14), np.uint8)),
        idx(np.zeros(60, np.uint8)),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, mnist())
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(
        ValueError,
        match=r"expected the idx files as published, could not read them [^\n]*: replace",
    ):
        read_mnist(tmp_path, "01", download=False)


def test_damaged_archives_are_refused_in_one_line(tmp_path: Path) -> None:
    files = write(tmp_path, emnist("letters", 4, first=1), packed=True)
    victim = files / "emnist-letters-train-images-idx3-ubyte.gz"
    victim.write_bytes(victim.read_bytes()[:500])
    with pytest.raises(
        ValueError, match=r"train-images-idx3-ubyte.gz: expected the idx files as published"
    ):
        read_emnist(tmp_path, "a", "letters", download=False)
    (tmp_path / "EMNIST").mkdir()
    (tmp_path / "EMNIST" / "gzip.zip").write_bytes(b"PK nothing")
    with pytest.raises(
        ValueError, match="expected the idx files as published, could not read them"
    ):
        read_emnist(tmp_path / "EMNIST", "a", "letters", download=False)


def test_a_download_that_fails_says_what_to_do_and_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"^MNIST could not be downloaded \([^\n]*the network was used[^\n]*\): go "
        r"online, or put [^\n]* into [^\n]*data/raw/MNIST/raw, or set glyphs.path",
    ):
        read_mnist(tmp_path / "data" / "raw", "01", download=True)
    with pytest.raises(
        ValueError, match=r"^EMNIST could not be downloaded .* put gzip.zip into .*EMNIST/raw"
    ):
        read_emnist(tmp_path / "data" / "raw", "ab", "letters", download=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_download_is_moved_in_place_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(self: Any) -> None:
        write(Path(self.raw_folder), mnist())

    monkeypatch.setattr(MNIST, "download", download)
    images, _, _ = read_mnist(tmp_path / "raw", "0123456789", download=True)
    assert len(images) == 80
    assert sorted(path.name for path in (tmp_path / "raw" / "MNIST" / "raw").iterdir()) == sorted(
        mnist()
    )
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["MNIST"]


@pytest.mark.skipif(not REAL.exists(), reason="needs ../shared/data/mnist")
def test_the_real_mnist_keeps_its_official_test_set() -> None:
    images, labels, official = read_mnist(REAL, "0123456789", download=False)
    assert (~official).sum() == 60_000
    assert labels[official][:10].tolist() == [
        7,
        2,
        1,
        0,
        4,
        1,
        4,
        9,
        5,
        9,
    ]  # the first of the official test set
    assert np.bincount(labels[~official]).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert images[~official].mean() / 255 == pytest.approx(
        0.1307, abs=5e-5
    )  # the mean everyone normalises with
