"""Glyphs: pools that share nothing, centring as in MNIST, digits that look drawn with a pen."""

from __future__ import annotations

import gzip
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from stages.captcha.glyphs import (
    GlyphSet,
    _area_spline,
    assign_pools,
    centre,
    hold_out,
    labels_of,
    normalise_alphabet,
    require_characters,
    upsample_digits,
)

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist" / "MNIST" / "raw"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def bar(height: int, width: int, shape: tuple[int, int] = (50, 90)) -> np.ndarray:
    gray = np.zeros(shape, np.uint8)
    gray[3 : 3 + height, 60 : 60 + width] = 255
    return gray


@given(
    sizes=st.lists(st.integers(3, 60), min_size=1, max_size=5),
    validation=st.floats(0.01, 0.5),
    test=st.floats(0.01, 0.49),
    seed=st.integers(0, 99),
)
def test_every_pool_gets_its_share_of_every_class(
    sizes: list[int], validation: float, test: float, seed: int
) -> None:
    labels = rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    pool = assign_pools(labels, validation, test, rng=rng(seed))
    for label, size in enumerate(sizes):
        counts = np.bincount(pool[labels == label], minlength=3)
        assert counts.min() >= 1
        assert counts.sum() == size
        expected = size * np.array([1 - validation - test, validation, test])
        # Rounding moves a share by at most one, and the least one of each pool by at most two more.
        assert np.abs(counts - expected).max() <= 3


def test_shares_of_a_large_class_are_exact() -> None:
    pool = assign_pools(np.repeat(list("ab"), 200), 0.15, 0.25, rng=rng())
    np.testing.assert_array_equal(np.bincount(pool), [240, 60, 100])


def test_pools_depend_on_the_generator_alone() -> None:
    first, again, other = (
        assign_pools(np.repeat(np.arange(3), 20), 0.2, 0.2, rng=rng(seed)) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_class_too_small_for_three_pools_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"class ґ has 2 glyph\(s\), expected at least 3.*remove it from"
    ):
        assign_pools(np.array(list("аааґґ")), 0.2, 0.2, rng=rng())


def test_a_class_too_small_to_hold_one_out_is_named() -> None:
    with pytest.raises(ValueError, match=r"class 7 has 1 glyph\(s\), expected at least 2"):
        hold_out(np.array([3, 3, 7]), 0.5, rng=rng())


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.2, float("nan"))])
def test_shares_that_leave_nothing_to_train_on_are_refused(validation: float, test: float) -> None:
    with pytest.raises(ValueError, match="leave some to train on"):
        assign_pools(np.zeros(10), validation, test, rng=rng())


def glyph_set() -> GlyphSet:
    images = rng().integers(0, 256, (6, 28, 28), dtype=np.uint8)
    return GlyphSet(
        images, np.array([0, 1, 1, 0, 1, 0]), np.array([0, 0, 1, 2, 2, 1], np.uint8), "бa"
    )


def test_the_ids_of_a_pool_come_by_character() -> None:
    pools = glyph_set().pool_of("test")
    assert list(pools) == ["б", "a"]
    assert [ids.tolist() for ids in pools.values()] == [[3], [4]]


def test_counts_and_means_agree_with_a_loop() -> None:
    glyphs = glyph_set()
    for i in range(2):
        for j in range(3):
            pairs = zip(glyphs.labels, glyphs.pool, strict=True)
            assert glyphs.counts()[i, j] == sum(label == i and pool == j for label, pool in pairs)
        mean = np.mean(
            [
                image
                for image, label in zip(glyphs.images, glyphs.labels, strict=True)
                if label == i
            ],
            axis=0,
        )
        np.testing.assert_allclose(glyphs.means()[i], mean, atol=0.5)


@pytest.mark.parametrize(
    "changed",
    [
        {"images": np.zeros((6, 28, 27), np.uint8)},
        {"images": np.zeros((6, 28, 28))},
        {"labels": np.array([0, 1, 1, 0, 1, 2])},
        {"pool": np.full(6, 3, np.uint8)},
        {"pool": np.zeros(5, np.uint8)},
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(changed: dict[str, Any]) -> None:
    glyphs = glyph_set()
    with pytest.raises(ValueError, match="glyphs: expected"):
        replace(glyphs, alphabet="бa", **changed)


def test_an_alphabet_is_composed_and_keeps_its_order() -> None:
    assert normalise_alphabet(unicodedata.normalize("NFD", "їйа")) == "їйа"


@pytest.mark.parametrize(
    ("alphabet", "told"),
    [
        ("abca", "'a' twice"),
        ("", "list the characters"),
        ("й" + unicodedata.normalize("NFD", "й"), "'й' twice"),
    ],
)
def test_an_empty_or_repeating_alphabet_is_refused(alphabet: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        normalise_alphabet(alphabet)


def test_characters_that_a_source_lacks_are_told_with_those_it_has() -> None:
    require_characters("ab", "abc", "here")
    with pytest.raises(
        ValueError, match=r"^here has no 'x', 'y': take glyphs.alphabet from .*\(abc\)$"
    ):
        require_characters("axy", "cab", "here")
    with pytest.raises(ValueError, match=r"and 960 more\)$"):
        require_characters("a", map(chr, range(1000, 2000)), "here")


def test_labels_are_places_in_the_alphabet() -> None:
    np.testing.assert_array_equal(labels_of(np.array(list("baxb")), "ab"), [1, 0, -1, 1])


@pytest.mark.parametrize(
    ("height", "width", "fitted"), [(40, 10, (20, 5)), (6, 24, (5, 20)), (3, 3, (20, 20))]
)
def test_centred_ink_fits_a_box_of_20_px_and_keeps_its_aspect(
    height: int, width: int, fitted: tuple[int, int]
) -> None:
    glyph = centre(bar(height, width))
    assert glyph.shape == (28, 28)
    assert ((glyph > 127).any(axis=1).sum(), (glyph > 127).any(axis=0).sum()) == fitted


def test_the_centre_of_mass_comes_to_pixel_14() -> None:
    gray = np.zeros((40, 70), np.uint8)
    gray[5:35, 10:14] = 255  # an L, heavy below and to the left
    gray[30:35, 10:30] = 255
    glyph = centre(gray).astype(float)
    y, x = np.indices(glyph.shape)
    np.testing.assert_allclose(
        [np.average(y, weights=glyph), np.average(x, weights=glyph)], 14, atol=0.51
    )


def test_lopsided_ink_stays_on_the_glyph() -> None:
    gray = np.zeros((100, 100), np.uint8)
    gray[:, 45:55] = (
        64  # a T whose mass is at its top: centred by it, the foot would leave the glyph
    )
    gray[0:10] = 255
    glyph = centre(gray)
    assert (glyph > 31).any(axis=1).sum() == 20


def test_a_given_scale_keeps_small_letters_small_and_what_is_too_large_fits() -> None:
    assert (centre(bar(40, 20), scale=0.25) > 127).any(axis=1).sum() == 10
    assert (centre(bar(40, 20), scale=4) > 127).any(axis=1).sum() == 28


def test_an_image_without_ink_is_refused() -> None:
    with pytest.raises(ValueError, match="no ink"):
        centre(np.full((9, 12), 31, np.uint8))


@pytest.mark.skipif(not MNIST.exists(), reason="needs ../shared/data/mnist")
def test_centring_restores_mnist_after_it_was_moved_and_magnified() -> None:
    with gzip.open(MNIST / "t10k-images-idx3-ubyte.gz") as opened:
        images = np.frombuffer(opened.read(16 + 200 * 784), np.uint8, offset=16).reshape(
            200, 28, 28
        )
    errors = []
    for image in images:
        moved = np.zeros((150, 190), np.uint8)
        moved[20:132, 60:172] = cv2.resize(image, (112, 112), interpolation=cv2.INTER_CUBIC)
        errors.append(np.sqrt(np.mean((centre(moved) / 255 - image / 255) ** 2)))
    assert np.median(errors) < 0.1  # a shift of half a pixel alone makes 0.14


def stroke_width(glyph: np.ndarray) -> float:
    """Twice the mean distance from the edge along the middle of the strokes, px."""
    distance = cv2.distanceTransform((glyph > 127).astype(np.uint8), cv2.DIST_L2, 5)
    middle = (distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3))))
    return float(2 * distance[middle].mean())


def test_the_digits_have_strokes_as_wide_as_mnist_and_are_20_px_high() -> None:
    glyphs = upsample_digits(load_digits().images[:400])
    assert (
        abs(np.mean([stroke_width(glyph) for glyph in glyphs]) - 2.85) < 0.75
    )  # MNIST: mean and standard deviation
    heights = (glyphs > 31).any(axis=2).sum(axis=1)
    assert np.median(heights) == 20
    assert heights.max() <= 20


def test_the_upsampled_digits_can_still_be_told_apart() -> None:
    digits = load_digits()
    glyphs = upsample_digits(digits.images[:1200]).reshape(1200, -1).astype(np.float32) / 255
    known = glyphs[:900]
    asked = glyphs[900:]
    distance = (asked**2).sum(axis=1)[:, None] - 2 * asked @ known.T + (known**2).sum(axis=1)
    assert (digits.target[:900][distance.argmin(axis=1)] == digits.target[900:1200]).mean() > 0.93


def test_the_upsampled_cells_hold_the_ink_of_the_original() -> None:
    fine = _area_spline(9)
    np.testing.assert_allclose(fine.reshape(9, -1, 9).mean(axis=1), np.eye(9), atol=1e-12)
    np.testing.assert_allclose(fine[16:20] @ np.ones(9), 1, atol=0.05)  # an even image stays even


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 8, 9)), np.zeros((8, 8)), np.full((2, 8, 8), 17), np.full((2, 8, 8), -1)],
)
def test_other_images_than_scikit_learns_digits_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="digits: expected images of 8x8"):
        upsample_digits(images)
