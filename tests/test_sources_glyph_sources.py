"""Every glyph source as one GlyphSet: labels, pools, and one line where it cannot be."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from stages.captcha.glyphs import GlyphSet, upsample_digits
from stages.sources.glyph_sources import load_glyphs


def load(source: str, path: Path | str = "", **changed: Any) -> GlyphSet:
    options: dict[str, Any] = {
        "alphabet": "0123456789",
        "emnist_split": "balanced",
        "validation": 0.15,
        "test": 0.25,
    }
    return load_glyphs(source, str(path), **{**options, "rng": np.random.default_rng(0), **changed})


def write_csv(path: Path, labels: str) -> Path:
    rng = np.random.default_rng(1)
    rows = [",".join(["label", *(f"pixel{i}" for i in range(784))])]
    rows += [",".join([label, *map(str, rng.integers(0, 256, 784))]) for label in labels]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def write_idx(path: Path, array: np.ndarray) -> None:
    path.write_bytes(
        bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()
    )


def test_the_digits_of_scikit_learn_are_all_there_in_their_order() -> None:
    digits = load_digits()
    glyphs = load("digits")
    assert len(glyphs.images) == 1797
    np.testing.assert_array_equal(glyphs.labels, digits.target)
    np.testing.assert_array_equal(glyphs.images[:9], upsample_digits(digits.images[:9]))
    shares = glyphs.counts() / glyphs.counts().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, np.tile([0.6, 0.15, 0.25], (10, 1)), atol=0.01)


def test_an_alphabet_picks_and_orders_the_characters() -> None:
    digits = load_digits()
    glyphs = load("digits", alphabet="92")
    chosen = np.isin(digits.target, [2, 9])
    np.testing.assert_array_equal(glyphs.labels, (digits.target[chosen] == 2).astype(int))
    assert glyphs.alphabet == "92"


def test_a_character_that_digits_lacks_is_told() -> None:
    with pytest.raises(ValueError, match=r"^glyphs.source digits has no 'a': .*\(0123456789\)$"):
        load("digits", alphabet="0a")


def test_the_pools_follow_the_generator() -> None:
    np.testing.assert_array_equal(load("digits").pool, load("digits").pool)
    assert (load("digits").pool != load("digits", rng=np.random.default_rng(1)).pool).any()


def test_fonts_share_no_face_between_pools() -> None:
    glyphs = load("fonts", alphabet="ЇX7")
    faces = glyphs.pool.reshape(16, -1)  # Cyrillic is in 16 faces, one after the other
    assert (faces == faces[:, :1]).all()
    assert np.bincount(faces[:, 0]).tolist() == [10, 2, 4]
    assert (glyphs.counts().sum(axis=0) == np.bincount(glyphs.pool)).all()


def test_a_decomposed_alphabet_is_composed() -> None:
    assert load("fonts", alphabet=unicodedata.normalize("NFD", "йї")).alphabet == "йї"


def test_a_csv_is_split_by_class_and_relative_to_dvc_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "train.csv", "ab" * 20)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert load("csv", "train.csv", alphabet="ba").counts().tolist() == [[12, 3, 5], [12, 3, 5]]


def test_a_class_too_small_to_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"^\S*/train.csv: class 'b' has 2 different image\(s\) to split, expected at "
        r"least 3, so .*: add images of it, or remove it",
    ):
        load("csv", write_csv(tmp_path / "train.csv", "aaabb"), alphabet="ab")


def test_a_folder_of_letters_is_split_by_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for character in "ґя":
        (tmp_path / character).mkdir()
        for i in range(10):
            drawn = np.full((40, 30), 255, np.uint8)
            drawn[8 : 30 + (character == "ґ"), 5 + rng.integers(5) : 20] = 0
            drawn[15, 20 : 20 + i] = 0
            Image.fromarray(drawn).save(tmp_path / character / f"{i}.png")
    assert load("folder", tmp_path, alphabet="яґ").counts().tolist() == [[6, 2, 2], [6, 2, 2]]


@pytest.mark.parametrize(
    ("source", "prefixes"),
    [("mnist", ("train", "t10k")), ("emnist", ("emnist-digits-train", "emnist-digits-test"))],
)
def test_official_test_sets_are_kept(
    tmp_path: Path, source: str, prefixes: tuple[str, str]
) -> None:
    for prefix, n in zip(prefixes, (200, 30), strict=True):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte", np.zeros((n, 28, 28), np.uint8))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte", (np.arange(n) % 10).astype(np.uint8))
    glyphs = load(source, tmp_path, emnist_split="digits", validation=0.1)
    assert glyphs.counts().tolist() == [[18, 2, 3]] * 10
    np.testing.assert_array_equal(glyphs.pool == 2, np.arange(230) >= 200)


def squares(root: Path, **sizes: list[int]) -> Path:
    """Class folders of black squares; two squares of one size are one image."""
    for place, sides in sizes.items():
        folder = root.joinpath(*place.split("__"))
        folder.mkdir(parents=True)
        for i, side in enumerate(sides):
            drawn = np.full((40, 30), 255, np.uint8)
            drawn[3 : 4 + side, 3:9] = 0
            Image.fromarray(drawn).save(folder / f"{i:02}.png")
    return root


def test_a_class_of_one_example_is_named(tmp_path: Path) -> None:
    squares(tmp_path, a=[1, 2, 3], b=[4])
    with pytest.raises(
        ValueError,
        match=r"class 'b' has 1 different image\(s\) to split, expected at least 3, so "
        r"that each of train, validation and test gets one: add images of it, or ",
    ):
        load("folder", tmp_path, alphabet="ab")


def test_copies_count_once_and_share_a_pool(tmp_path: Path) -> None:
    sizes = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 1, 1]
    squares(tmp_path / "many", a=sizes, b=list(range(20, 30)))
    glyphs = load("folder", tmp_path / "many", alphabet="ab", validation=0.25, test=0.25)
    by_image = {(size, int(pool)) for size, pool in zip(sizes, glyphs.pool, strict=False)}
    assert len(by_image) == 8
    assert sorted(pool for _, pool in by_image) == [0] * 4 + [1] * 2 + [2] * 2
    squares(tmp_path / "few", a=[1, 1, 1, 2], b=[3, 4, 5])
    with pytest.raises(ValueError, match=r"class 'a' has 2 different image\(s\)"):
        load("folder", tmp_path / "few", alphabet="ab")


def test_validation_is_drawn_from_train_where_a_folder_has_none(tmp_path: Path) -> None:
    squares(
        tmp_path,
        train__a=[1, 2, 3, 4, 5, 5],
        train__b=[6, 7, 8, 9, 10],
        test__a=[11, 12, 12],
        test__b=[13],
    )
    glyphs = load("folder", tmp_path, alphabet="ba", validation=0.4, test=0.9)
    assert glyphs.counts()[0].tolist() == [3, 2, 1]
    assert glyphs.counts()[1, 2] == 3
    last = glyphs.pool[(glyphs.labels == 1) & (glyphs.pool < 2)]
    assert last[4] == last[5]  # the two that are one image
    assert sorted(last[:5].tolist()) == [0, 0, 0, 1, 1]


def test_a_train_class_of_one_example_is_named_where_validation_is_drawn(tmp_path: Path) -> None:
    squares(tmp_path, train__a=[1, 2], train__b=[3], test__a=[4], test__b=[5])
    with pytest.raises(
        ValueError,
        match=r"class 'b' has 1 different image\(s\) to split, expected at least 2, so "
        r"that train and validation each gets one",
    ):
        load("folder", tmp_path, alphabet="ab")
    squares(tmp_path, validation__a=[6], validation__b=[7])
    assert load("folder", tmp_path, alphabet="ab").counts().tolist() == [[2, 1, 1], [1, 1, 1]]


def test_a_folder_of_csvs_keeps_its_test_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for name, labels in (("train", "ab" * 10), ("test", "aab")):
        rows = [",".join(["label", *(f"pixel{i}" for i in range(784))])]
        rows += [",".join([label, *map(str, rng.integers(0, 256, 784))]) for label in labels]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows), encoding="utf-8")
    glyphs = load("csv", tmp_path, alphabet="ab", validation=0.3)
    assert glyphs.counts().tolist() == [[7, 3, 2], [7, 3, 1]]
    np.testing.assert_array_equal(glyphs.pool == 2, np.arange(23) >= 20)


@pytest.mark.parametrize("source", ["csv", "folder"])
def test_a_source_that_needs_a_path_says_so(source: str) -> None:
    with pytest.raises(ValueError, match=f"^glyphs.path is empty: glyphs.source {source} needs"):
        load(source)


@pytest.mark.parametrize("source", ["mnist", "emnist", "csv", "folder"])
def test_a_path_that_does_not_exist_is_printed_whole(tmp_path: Path, source: str) -> None:
    with pytest.raises(ValueError, match=f"^{tmp_path}/absent does not exist"):
        load(source, tmp_path / "absent")


def test_an_unknown_source_is_told_those_there_are() -> None:
    with pytest.raises(
        ValueError, match="expected one of digits, mnist, emnist, csv, folder, fonts, got 'svhn'"
    ):
        load("svhn")
