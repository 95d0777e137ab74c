"""Bent captchas: reproducible, bounded, half of them, and never the labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.reader.augmentation import SHARE, SHIFT, augmented_batches, augmented_images


def pictures(n: int, height: int = 20, width: int = 52) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (n, height, width, 3), np.uint8)


def dot(height: int = 40, width: int = 64) -> NDArray[np.uint8]:
    """A white square on black in the middle."""
    image = np.zeros((1, height, width, 3), np.uint8)
    image[0, height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4] = 255
    return image


def test_strength_zero_is_the_identity() -> None:
    images = pictures(6)
    np.testing.assert_array_equal(
        augmented_images(images, 0.0, rng=np.random.default_rng(0)), images
    )


def test_half_of_the_images_stay_and_the_given_ones_are_never_changed() -> None:
    images = pictures(400)
    before = images.copy()
    deformed = augmented_images(images, 1.0, rng=np.random.default_rng(0))
    changed = (deformed != images).any(axis=(1, 2, 3)).mean()
    assert changed == pytest.approx(SHARE, abs=0.1)
    np.testing.assert_array_equal(images, before)


@given(st.integers(8, 60), st.integers(8, 90), st.floats(0, 3))
@settings(max_examples=40)
def test_any_size_keeps_its_shape_and_an_even_image_stays_even(
    height: int, width: int, strength: float
) -> None:
    even = np.full((3, height, width, 3), 77, np.uint8)
    deformed = augmented_images(even, strength, rng=np.random.default_rng(1))
    assert deformed.shape == even.shape
    assert deformed.dtype == np.uint8
    np.testing.assert_array_equal(deformed, even)


def test_what_is_drawn_moves_no_farther_than_the_strength_allows() -> None:
    image = dot()
    rng = np.random.default_rng(2)
    places = []
    for _ in range(300):
        rows, columns = np.nonzero(augmented_images(image, 1.0, rng=rng)[0, :, :, 0] > 127)
        places.append((rows.mean() - 19.5, columns.mean() - 31.5))
    moved = np.abs(np.array(places))
    assert (
        moved.max() < 40 * SHIFT + 4.5
    )  # the shift, and three standard deviations of the elastic displacement
    assert moved.max(axis=0).min() > 0.6 * 40 * SHIFT  # both ways


def test_more_strength_changes_more() -> None:
    images = pictures(200)
    changes = [
        float(
            np.abs(
                augmented_images(images, strength, rng=np.random.default_rng(4)).astype(int)
                - images
            ).mean()
        )
        for strength in (0.05, 0.3, 1.0)
    ]
    assert changes == sorted(changes)
    assert changes[0] > 0


def test_batches_bend_by_seed_epoch_and_place_alone() -> None:
    batches = [(pictures(8), np.full((8, 2), place)) for place in (1, 2)]
    first = list(augmented_batches(iter(batches), 1.0, seed=5, epoch=2))
    again = list(augmented_batches(iter(batches), 1.0, seed=5, epoch=2))
    other = list(augmented_batches(iter(batches), 1.0, seed=5, epoch=3))
    for (images, labels), (same, _), (_, given_labels) in zip(first, again, batches, strict=True):
        np.testing.assert_array_equal(images, same)
        np.testing.assert_array_equal(labels, given_labels)
    assert not np.array_equal(first[0][0], first[1][0])
    assert not np.array_equal(first[0][0], other[0][0])
