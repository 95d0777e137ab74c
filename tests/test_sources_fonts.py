"""Glyphs of matplotlib's fonts: every alphabet they have, in faces that the pools do not share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import get_data_path

from stages.sources import fonts
from stages.sources.fonts import has, render_fonts, text_faces

VARIANTS = len(fonts.WEIGHTS) * len(fonts.WIDTHS) * len(fonts.SLANTS)
UKRAINIAN = "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя"


def face(name: str) -> Path:
    return Path(get_data_path(), "fonts", "ttf", f"{name}.ttf")


def test_every_listed_face_ships_with_matplotlib() -> None:
    assert len(text_faces()) == len(fonts.UNICODE_FACES) + len(fonts.TEX_FACES) == 21


@pytest.mark.parametrize(("name", "character", "expected"), [
    ("DejaVuSans", "ґ", True), ("DejaVuSans", "Щ", True), ("STIXGeneral", "Ї", True), ("DejaVuSans", "字", False),
    ("STIXGeneralItalic", "א", False), ("cmr10", "A", True), ("cmr10", "7", True), ("cmr10", "ґ", False),
    ("cmr10", "<", False), ("cmr10", "_", False),  # where TeX's encoding has ¡ and ˙
])  # fmt: skip
def test_a_face_has_what_it_can_draw(name: str, character: str, expected: bool) -> None:
    assert has(face(name), character) is expected


def test_every_face_draws_every_variant_of_every_character_in_the_same_bytes() -> None:
    images, labels, faces = render_fonts("Ж7")
    count = len(fonts.UNICODE_FACES)  # Computer Modern has no Ж
    assert images.shape == (count * 2 * VARIANTS, 28, 28)
    np.testing.assert_array_equal(labels, np.tile(np.repeat([0, 1], VARIANTS), count))
    np.testing.assert_array_equal(faces, np.repeat(np.arange(count), 2 * VARIANTS))
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
    np.testing.assert_array_equal(render_fonts("Ж7")[0], images)


def heights(images: np.ndarray) -> np.ndarray:
    return np.array([np.ptp(np.flatnonzero((image > 100).any(axis=1))) + 1 for image in images])


def test_small_letters_stay_smaller_than_capitals_and_digits_are_20_px_high() -> None:
    images, labels, _ = render_fonts("xX4")
    small, capital, digit = (np.median(heights(images[labels == label])) for label in range(3))
    assert capital == pytest.approx(20, abs=1)
    assert digit == pytest.approx(20, abs=1)
    assert small < 0.8 * capital


def test_wide_letters_keep_their_height_and_all_ink_fits() -> None:
    images, labels, _ = render_fonts("ЩЇД")
    assert heights(images[labels == 0]).min() >= 19
    wide = (images > 100).any(axis=1).sum(axis=1)
    assert wide.max() <= fonts.WIDEST + 2  # rounding, and the blur of resizing
    assert not (images > 100).all(axis=1).any()


def test_the_letters_of_ukrainian_differ_from_one_another() -> None:
    images, labels, faces = render_fonts(UKRAINIAN)
    drawn = images[faces == 0].reshape(len(UKRAINIAN), VARIANTS, -1)[:, VARIANTS // 4].astype(int)
    distance = np.abs(drawn[:, None] - drawn).mean(axis=2) + 255 * np.eye(len(UKRAINIAN))
    assert distance.min() > 2  # of 255; и and й are the closest
    assert (np.bincount(labels) == len(fonts.UNICODE_FACES) * VARIANTS).all()


def test_a_heavier_weight_has_more_ink_and_a_slant_leans() -> None:
    images, _, _ = render_fonts("IH")
    regular = (
        images[:VARIANTS].reshape(2, 3, 3, 28, 28).astype(float)
    )  # of I in DejaVu Sans: weight, width, slant
    assert (regular[1].sum(axis=(2, 3)) > 1.1 * regular[0].sum(axis=(2, 3))).all()
    columns = np.arange(28)
    for slant, direction in ((0, -1), (1, 0), (2, 1)):
        upper, lower = (
            np.average(columns, weights=rows.sum(axis=0))
            for rows in np.split(regular[0, 1, slant], [14])
        )
        assert upper - lower == pytest.approx(
            direction * 0.15 * 10, abs=0.35
        )  # the halves are 10 px apart


@pytest.mark.parametrize(
    ("alphabet", "told"),
    [
        ("а字", "'字' is in 0 of matplotlib's 21 faces, expected at least 3"),
        ("a 1", "' ' leaves no ink: remove it"),
    ],
)
def test_a_character_that_cannot_be_drawn_is_named(alphabet: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^glyphs.alphabet: {told}"):
        render_fonts(alphabet)


def test_an_alphabet_that_too_few_faces_have_whole_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owners = {"a": range(0, 4), "b": range(2, 6)}
    faces = [Path(str(i)) for i in range(6)]
    monkeypatch.setattr(fonts, "text_faces", lambda: faces)
    monkeypatch.setattr(fonts, "has", lambda path, character: int(path.name) in owners[character])
    with pytest.raises(
        ValueError, match="2 faces of matplotlib have all of 'ab', expected at least 3: remove"
    ):
        render_fonts("ab")
