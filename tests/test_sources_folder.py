"""A folder of glyphs: any format, size and polarity, classes named by any character."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stages.captcha.glyphs import centre
from stages.sources.folder import ink_of_picture, read_folder, read_glyph


def drawing(
    height: int, width: int, ink: int | tuple[int, ...] = 0, paper: int | tuple[int, ...] = 255
) -> Image.Image:
    """A hook: a stroke down and one to the right, away from the border."""
    hook = Image.new("L", (96, 120))
    ImageDraw.Draw(hook).line([(24, 24), (24, 96), (64, 96)], fill=255, width=10)
    share = np.asarray(hook.resize((width, height)))[..., None] / 255
    return Image.fromarray(
        (share * np.array(ink) + (1 - share) * np.array(paper)).squeeze().astype(np.uint8)
    )


def save(image: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


REFERENCE = centre(255 - np.asarray(drawing(120, 96)))


@pytest.mark.parametrize(("name", "image"), [
    ("dark.png", drawing(120, 96)),
    ("light.png", drawing(120, 96, ink=255, paper=0)),
    ("pale.png", drawing(120, 96, ink=150, paper=190)),
    ("large.bmp", drawing(720, 576)),
    ("photo.jpg", drawing(240, 192, ink=(30, 40, 120), paper=(230, 220, 200))),
    ("clear.webp", drawing(120, 96, ink=(0, 0, 0, 255), paper=(255, 255, 255, 0))),
])  # fmt: skip
def test_a_glyph_does_not_depend_on_format_size_or_polarity(
    tmp_path: Path, name: str, image: Image.Image
) -> None:
    glyph = read_glyph(save(image, tmp_path / name))
    assert np.abs(glyph.astype(int) - REFERENCE).mean() < 4  # of 255; a blank glyph is 26 away


def test_the_reference_is_a_hook_on_black() -> None:
    assert REFERENCE.mean() == pytest.approx(26, abs=3)
    rows, columns = np.nonzero(REFERENCE > 127)
    assert np.ptp(rows) == 19  # 20 px high
    assert (REFERENCE[rows.min() : rows.max(), columns.min()] > 127).all()  # its stroke down
    assert REFERENCE[rows.min() + 8, columns.max()] == 0  # right of it


def test_faint_texture_of_the_paper_is_no_ink() -> None:
    gray = np.random.default_rng(0).integers(225, 256, (60, 80)).astype(np.uint8)
    gray[20:40, 30:34] = 20
    ink = ink_of_picture(gray)
    assert (ink[20:40, 30:34] > 240).all()
    ink[20:40, 30:34] = 0
    assert ink.max() == 0


def test_an_even_image_has_no_ink() -> None:
    assert ink_of_picture(np.full((5, 9), 77, np.uint8)).max() == 0


def test_classes_come_in_the_order_of_the_alphabet_and_files_by_name(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "ї")
    for name, height in (
        ("ґ/b.png", 40),
        ("ґ/a.png", 90),
        (f"{decomposed}/1.png", 60),
        ("unlisted/x.png", 50),
    ):
        save(drawing(height, 60), tmp_path / name.replace("unlisted", "z"))
    (tmp_path / "README.txt").write_text("no class")
    (tmp_path / ".hidden").mkdir()
    found = read_folder(tmp_path, "їґ")
    assert found.labels.tolist() == [0, 1, 1]
    assert found.images.shape == (3, 28, 28)
    assert found.official is None
    for image, path in zip(
        found.images, (f"{decomposed}/1.png", "ґ/a.png", "ґ/b.png"), strict=True
    ):
        np.testing.assert_array_equal(image, read_glyph(tmp_path / path))


def test_a_folder_whose_name_is_no_single_character_is_named(tmp_path: Path) -> None:
    save(drawing(40, 30), tmp_path / "A_1" / "a.png")
    with pytest.raises(
        ValueError, match=r"A_1: expected a sub-folder named by one character, got 'A_1': rename it"
    ):
        read_folder(tmp_path, "A")


def test_a_missing_class_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    save(drawing(40, 30), tmp_path / "a" / "a.png")
    with pytest.raises(
        ValueError, match=r"has no 'b': take glyphs.alphabet from the characters it has \(a\)"
    ):
        read_folder(tmp_path, "ab")


def test_an_empty_folder_and_an_empty_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no sub-folders: expected one for each character"):
        read_folder(tmp_path, "a")
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="a is empty: put images of 'a' there"):
        read_folder(tmp_path, "a")


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a.png: expected a folder with one sub-folder a class"):
        read_folder(save(drawing(40, 30), tmp_path / "a.png"), "a")


def test_bad_images_are_all_counted_and_the_first_named(tmp_path: Path) -> None:
    save(drawing(40, 30), tmp_path / "a" / "good.png")
    save(Image.new("L", (20, 30), 99), tmp_path / "a" / "blank.png")
    for i in range(4):
        (tmp_path / "a" / f"broken{i}.png").write_bytes(b"nothing")
    with pytest.raises(
        ValueError, match=r"blank.png: no ink.*broken0.*broken1.*; … 5 bad files in all$"
    ) as error:
        read_folder(tmp_path, "a")
    assert "\n" not in str(error.value)


def classes(root: Path, *names: str) -> Path:
    """One hook in each of these files, no two alike."""
    for i, name in enumerate(names):
        save(drawing(40 + i, 60 + i), root / name)
    return root


def test_train_validation_and_test_are_the_pools(tmp_path: Path) -> None:
    classes(
        tmp_path,
        "test/ї/a.png",
        "test/ґ/a.png",
        "train/ґ/b.png",
        "train/ґ/a.png",
        "train/ї/z.png",
        "validation/ї/1.png",
        "validation/ґ/1.png",
        "train/x/unlisted.png",
    )
    (tmp_path / "README.txt").write_text("as ImageFolder has it")
    found = read_folder(tmp_path, "їґ")
    assert found.official is not None
    assert found.official.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert found.labels.tolist() == [0, 1, 1, 0, 1, 0, 1]
    np.testing.assert_array_equal(found.images[-1], read_glyph(tmp_path / "test" / "ґ" / "a.png"))


@pytest.mark.parametrize(("names", "told"), [
    (["train/a/1.png", "train/b/1.png", "test/a/1.png"], r"/test has no class 'b', which \S*/train has: add images"),
    (["train/a/1.png", "test/b/1.png", "test/a/1.png"], r"/train has no class 'b', which \S*/test has: add images"),
    (["train/a/1.png", "train/b/1.png", "validation/b/1.png", "test/a/1.png", "test/b/1.png"],
     r"/validation has no class 'a', which \S*/train has"),
    (["train/a/1.png", "test/a/1.png"], r" has no 'b': take glyphs.alphabet from the characters it has \(a\)"),
    (["train/a/1.png", "validation/a/1.png"], r" has train, validation: expected .*; got no test: add"),
    (["test/a/1.png", "a/1.png"], r" has a, test: expected the sub-folders train and test, .*; got no train"),
    (["train/a/1.png", "test/a/1.png", "val/a/1.png"], r" has test, train, val: expected .*; got 'val': add, rename"),
    (["train/a_1/1.png", "test/a/1.png"], r"/train/a_1: expected a sub-folder named by one character"),
])  # fmt: skip
def test_pools_that_do_not_fit_are_told_in_one_line(
    tmp_path: Path, names: list[str], told: str
) -> None:
    with pytest.raises(ValueError, match=rf"^[^\n]*{told}[^\n]*$"):
        read_folder(classes(tmp_path, *names), "ab")


@pytest.mark.parametrize("suffix", ["png", "bmp"])  # equal bytes, or equal pixels alone
def test_one_image_in_two_classes_names_both_files(tmp_path: Path, suffix: str) -> None:
    classes(tmp_path, "a/1.png", "a/2.png", "b/1.png")
    save(drawing(41, 61), tmp_path / "b" / f"copy.{suffix}")
    with pytest.raises(
        ValueError,
        match=rf"/b/copy.{suffix}: expected the label 'a' of \S*/a/2.png, which is the same "
        "image, got 'b': correct or remove one$",
    ):
        read_folder(tmp_path, "ab")
    assert len(read_folder(tmp_path, "b").labels) == 2


def test_glyphs_that_their_place_alone_tells_apart_do_not_contradict_each_other(
    tmp_path: Path,
) -> None:
    high = np.full((40, 30), 255, np.uint8)
    high[18:22, 5:25] = 0
    save(Image.fromarray(high), tmp_path / "-" / "1.png")
    save(Image.fromarray(np.roll(high, 15, axis=0)), tmp_path / "_" / "1.png")
    found = read_folder(tmp_path, "-_")
    np.testing.assert_array_equal(found.images[0], found.images[1])
    assert found.first.tolist() == [0, 1]


def test_an_image_in_train_and_in_test_is_refused_with_their_number(tmp_path: Path) -> None:
    classes(
        tmp_path, "train/a/1.png", "train/a/2.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"
    )
    save(drawing(40, 60), tmp_path / "test" / "a" / "copy.png")
    save(drawing(42, 62), tmp_path / "test" / "b" / "copy.bmp")
    with pytest.raises(
        ValueError,
        match=r"expected no image in two pools, got 2, as \S*/test/a/copy.png, which is "
        r"\S*/train/a/1.png again: remove them from one pool, best from train$",
    ):
        read_folder(tmp_path, "ab")
