"""Labelled captchas: labels from names or a CSV, one canvas, no text in two pools, every bad file told."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.sources.labelled_captchas import LabelledCaptchas, label_of, load_captchas, to_canvas

REAL = Path(__file__).parents[2] / "shared" / "data" / "captcha_ds4"


def load(path: Path, **changed: Any) -> LabelledCaptchas:
    options: dict[str, Any] = {
        "alphabet": "0123456789",
        "height": 20,
        "width": 64,
        "validation": 0.2,
        "test": 0.3,
    }
    return load_captchas(str(path), **{**options, "rng": np.random.default_rng(0), **changed})


def picture(value: int, height: int = 20, width: int = 64) -> Image.Image:
    return Image.fromarray(np.full((height, width, 3), value, np.uint8))


def folder(root: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        picture(10 * i).save(root / name)
    return root


def table(path: Path, *rows: str, header: str = "file,label") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "label"), [
    ("1234.png", "1234"), ("1234.2.png", "1234"), ("1234_a.b_c.jpg", "1234"), ("12 4.png", "12 4"), ("_1.png", ""),
    (unicodedata.normalize("NFD", "їжак_1.png"), "їжак"),
])  # fmt: skip
def test_the_label_ends_at_the_first_underscore_or_dot(name: str, label: str) -> None:
    assert label_of(name) == label


def test_a_folder_comes_by_name_with_what_is_no_picture_left_out(tmp_path: Path) -> None:
    folder(tmp_path, "20.png", "10_b.JPG", "10.2.gif", "10.png", "300.webp")
    (tmp_path / "README.txt").write_text("four captchas")
    (tmp_path / ".11.png").write_bytes(b"hidden")
    (tmp_path / "12.png.d").mkdir()
    captchas = load(tmp_path)
    assert captchas.names == ["10.2.gif", "10.png", "10_b.JPG", "20.png", "300.webp"]
    assert captchas.texts == ["10", "10", "10", "20", "300"]
    assert captchas.images.shape == (5, 20, 64, 3)
    np.testing.assert_allclose(captchas.images.mean(axis=(1, 2, 3)), [20, 30, 10, 0, 40], atol=1.5)


def test_a_csv_keeps_its_order_and_finds_files_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    folder(tmp_path / "sub", "c.png", "a.png", "b.png")
    path = table(
        tmp_path / "labels.csv",
        "7,sub/b.png,ї2",
        "8,sub/c.png,1",
        "9,sub/a.png,33",
        header="id,file,label",
    )
    monkeypatch.chdir("/")
    captchas = load(path, alphabet="123ї")
    assert captchas.names == ["sub/b.png", "sub/c.png", "sub/a.png"]
    assert captchas.texts == ["ї2", "1", "33"]
    assert captchas.images[:, 0, 0, 0].tolist() == [20, 0, 10]


def test_a_csv_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "labels.csv").write_bytes(
        "file,label\r\na.png,1\r\nb.png,2\r\nc.png,3\r\n".encode("utf-8-sig")
    )
    assert load(tmp_path / "labels.csv").texts == ["1", "2", "3"]


def test_no_text_is_in_two_pools_and_the_shares_are_of_texts(tmp_path: Path) -> None:
    for i in range(40):
        for j in range(1 + i % 3):
            picture(i, 4, 6).save(tmp_path / f"{i:02}.{j}.png")
    captchas = load(tmp_path)
    pools = {
        text: {int(p) for t, p in zip(captchas.texts, captchas.pool, strict=True) if t == text}
        for text in captchas.texts
    }
    assert all(len(pool) == 1 for pool in pools.values())
    assert np.bincount([min(pool) for pool in pools.values()]).tolist() == [20, 8, 12]
    assert (load(tmp_path).pool == captchas.pool).all()
    assert (load(tmp_path, rng=np.random.default_rng(1)).pool != captchas.pool).any()


@pytest.mark.parametrize(
    ("size", "inner"),
    [
        ((40, 128), (slice(0, 20), slice(0, 64))),  # half as large
        ((10, 16), (slice(0, 20), slice(16, 48))),  # twice as large, bands left and right
        ((20, 128), (slice(5, 15), slice(0, 64))),  # bands above and below
    ],
)
def test_a_picture_keeps_its_aspect_in_the_middle_of_its_border_colour(
    size: tuple[int, int], inner: tuple[slice, slice]
) -> None:
    drawn = np.full((*size, 3), (200, 100, 50), np.uint8)
    drawn[2:-2, 2:-2] = 0
    canvas = to_canvas(drawn, 20, 64)
    outside = np.ones((20, 64), bool)
    outside[inner] = False
    assert (canvas[outside] == (200, 100, 50)).all()
    assert (canvas[inner][5:-5, 8:-8] == 0).all()
    assert canvas[inner].shape[:2] != (20, 64) or outside.sum() == 0


def test_a_picture_of_the_canvas_size_is_unchanged() -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (20, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_canvas(drawn, 20, 64), drawn)


def test_a_long_thin_picture_keeps_a_row() -> None:
    assert to_canvas(np.zeros((1, 1000, 3), np.uint8), 20, 64).shape == (20, 64, 3)


def test_a_label_outside_the_alphabet_names_file_and_character(tmp_path: Path) -> None:
    folder(tmp_path, "12.png", "1a.png", "34.png")
    with pytest.raises(
        ValueError, match=r"^[^\n]*/1a.png: the label '1a' has 'a', which is not in glyphs.alpha"
    ):
        load(tmp_path)
    assert load(tmp_path, alphabet="1234a").texts == ["12", "1a", "34"]


def test_composed_and_decomposed_labels_are_one(tmp_path: Path) -> None:
    folder(
        tmp_path,
        unicodedata.normalize("NFD", "ї_1.png"),
        unicodedata.normalize("NFC", "ї_2.png"),
        "а.png",
        "б.png",
    )
    assert sorted(set(load(tmp_path, alphabet=unicodedata.normalize("NFD", "їаб")).texts)) == [
        "а",
        "б",
        "ї",
    ]


def test_all_bad_files_are_counted_and_three_named(tmp_path: Path) -> None:
    folder(tmp_path, "1.png", "2.png", "3.png")
    for i in range(4, 9):
        (tmp_path / f"{i}.png").write_bytes(b"nothing")
    with pytest.raises(
        ValueError, match=r"/4.png: expected.*/5.png: .*/6.png: .*; … 5 bad files in all$"
    ) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("copy", ["9.png", "9.bmp"])  # equal bytes, or equal pixels alone
def test_one_image_under_two_labels_names_both_files(tmp_path: Path, copy: str) -> None:
    folder(tmp_path, "1.png", "2.png", "3.png")
    picture(10).save(tmp_path / copy)
    with pytest.raises(
        ValueError,
        match=rf"/{copy}: expected the label '2' of \S*/2.png, which is the same image, got "
        "'9': correct or remove one$",
    ):
        load(tmp_path)


def test_one_image_under_two_labels_of_a_csv_names_both_files(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "b.png", "c.png")
    picture(10).save(tmp_path / "d.png")
    with pytest.raises(
        ValueError,
        match=r"/d.png: expected the label '2' of \S*/b.png, which is the same image, got "
        "'5'",
    ):
        load(table(tmp_path / "labels.csv", "a.png,1", "b.png,2", "c.png,3", "d.png,5"))
    assert load(
        table(tmp_path / "labels.csv", "a.png,1", "b.png,2", "c.png,3", "d.png,2")
    ).pool.shape == (4,)


def test_equal_images_of_one_label_share_a_pool(tmp_path: Path) -> None:
    for i in range(30):
        for j in range(2):
            picture(i).save(tmp_path / f"{i}.{j}.png")
    captchas = load(tmp_path)
    pools = dict(zip(captchas.names, captchas.pool.tolist(), strict=True))
    assert all(pools[f"{i}.0.png"] == pools[f"{i}.1.png"] for i in range(30))
    assert set(pools.values()) == {0, 1, 2}


def test_pictures_that_only_a_small_canvas_makes_one_may_differ_in_label(tmp_path: Path) -> None:
    for i, label in enumerate("123"):
        drawn = np.full((80, 256, 3), 200, np.uint8)
        drawn[40, 100, 0] = 200 + i
        Image.fromarray(drawn).save(tmp_path / f"{label}.png")
    captchas = load(tmp_path, height=8, width=16)
    assert (captchas.images[0] == captchas.images[1]).all()


def test_a_file_without_a_label_is_named(tmp_path: Path) -> None:
    folder(tmp_path, "1.png", "2.png", "3.png", "_4.png")
    with pytest.raises(
        ValueError, match=r"_4.png: expected a label before the first _ or \. of the name, got none"
    ):
        load(tmp_path)


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(
        ValueError, match=r"has no captchas: expected files named LABEL.png, LABEL.2.png or LABEL_"
    ):
        load(tmp_path)


def test_too_few_labels_to_split_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, "1.png", "1.2.png", "1.3.png", "2.png")
    with pytest.raises(ValueError, match=r"has 2 distinct label\(s\), expected at least 3"):
        load(tmp_path)


def test_a_missing_or_empty_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent.csv does not exist: correct the path"):
        load(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match=r"^captcha.path is empty"):
        load_captchas(
            "",
            alphabet="12",
            height=9,
            width=9,
            validation=0.1,
            test=0.1,
            rng=np.random.default_rng(0),
        )


@pytest.mark.parametrize(("header", "rows", "told"), [
    ("file,text", ["a.png,1"], r"expected the columns file,label, got 'file,text' without label: add it"),
    ("", [], r"expected the columns file,label, got '' without file"),
    ("file,label", [], r"has no rows: expected one of file,label"),
    ("file,label", ["a.png"], r"line 2: expected file,label, got only 'a.png'"),
    ("file,label", ["a.png,1", ",2"], r"line 3: expected file,label, got only '2'"),
    ("file,label", ["a.png,1", "b.png,2", "a.png,3"], r"line 4: a.png comes twice: remove one"),
    ("file,label", ["a.png,1", "b.png,x"], r"line 3: the label 'x' has 'x', which is not in glyphs.alphabet"),
    ("file,label", ["a.png,1", "d.png,2"], r"d.png: expected an image, but the file does not exist"),
    ("file,label", ['a.png,"1'], r"expected a CSV of file,label in UTF-8, could not read it"),
])  # fmt: skip
def test_a_bad_csv_is_told_in_one_line(
    tmp_path: Path, header: str, rows: list[str], told: str
) -> None:
    folder(tmp_path, "a.png", "b.png", "c.png")
    with pytest.raises(ValueError, match=rf"^[^\n]*{told}[^\n]*$"):
        load(table(tmp_path / "labels.csv", *rows, header=header))


def test_a_file_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    picture(3).save(tmp_path / "a.png")
    with pytest.raises(
        ValueError, match=r"a.png: expected a CSV of file,label in UTF-8, could not read it"
    ):
        load(tmp_path / "a.png")


@pytest.mark.skipif(not REAL.exists(), reason="needs ../shared/data/captcha_ds4")
def test_real_captchas_are_read_and_split(tmp_path: Path) -> None:
    for path in sorted(REAL.glob("*.png"))[:200]:
        (tmp_path / path.name).symlink_to(path)
    captchas = load(tmp_path, height=40, width=128)
    assert captchas.images.shape == (200, 40, 128, 3)
    assert {len(text) for text in captchas.texts} == {4}
    assert np.median(captchas.images) == 255  # white paper
    assert (captchas.images.min(axis=(1, 2, 3)) < 160).all()  # with ink on every one
