"""The experimental design: crossed, paired, balanced, and random for reasons of its own."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from stages.captcha.composition import Bases
from stages.captcha.design import (
    ColourDesign,
    NoiseDesign,
    Renderings,
    bases_from_images,
    render_crossed,
    render_random,
    stream,
)

DOSES = NoiseDesign(("gaussian", "gaussian_blur", "occlusion"), 0.6, 2)
SCHEMES = ("black_on_white", "white_on_black", "grey", "colour")
PALETTE = ColourDesign(SCHEMES, per_character=False, least_contrast=0.4)


def bases(n: int = 8) -> Bases:
    rng = np.random.default_rng(0)
    ink = np.zeros((n, 20, 44), np.uint8)
    ink[:, 4:16, 6:38] = rng.integers(0, 2, (n, 12, 32)) * 255
    return Bases(np.arange(n, dtype=np.int32), ["ab"] * n, [[0, 1]] * n, ink, np.zeros_like(ink))


def crossed(n: int = 8, seed: int = 5) -> Renderings:
    return render_crossed(bases(n), 0, DOSES, PALETTE, seed=seed, identity=("test", 0))


def test_the_grid_is_clean_once_then_every_type_at_every_level() -> None:
    assert DOSES.grid() == [("none", 0.0), *product(DOSES.types, (0.3, 0.6))]


def test_levels_are_plain_numbers_up_to_the_strongest() -> None:
    assert [level for _, level in NoiseDesign(("fog",), 0.7, 7).grid()] == [
        0,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
    ]


def test_every_captcha_meets_every_condition_once() -> None:
    made = crossed()
    cells = Counter(zip(made.noise, made.level.tolist(), strict=True))
    assert cells == dict.fromkeys(DOSES.grid(), 8)
    assert made.condition.tolist() == list(range(7)) * 8


def test_colours_are_balanced_within_every_cell() -> None:
    made = crossed()
    for condition in range(7):
        schemes = Counter(np.array(made.colours.scheme)[made.condition == condition].tolist())
        assert schemes == dict.fromkeys(SCHEMES, 2)


def test_a_captcha_keeps_its_layout_under_every_condition() -> None:
    """Occlusion leaves most pixels alone: where it does, ink is where the base captcha has it."""
    made = crossed()
    given = bases()
    for row in np.flatnonzero(made.condition == 0):
        ink = given.ink[row // 7] > 127
        image = made.images[row].astype(int)
        assert np.abs(image[ink].mean(0) - image[~ink].mean(0)).max() > 30


def test_a_stronger_level_of_one_type_never_changes_a_captcha_less() -> None:
    made = crossed(40)
    weak, strong = (
        np.array(
            [
                made.rmse[(np.array(made.noise) == noise) & (made.level == level)].mean()
                for noise in DOSES.types
            ]
        )
        for level in (0.3, 0.6)
    )
    assert (strong >= weak).all()
    assert (made.rmse[made.condition == 0] == 0).all()
    assert np.allclose(made.ssim[made.condition == 0], 1)


def test_training_never_holds_a_noise_that_is_to_stay_unseen_and_the_test_split_does() -> None:
    doses = NoiseDesign(DOSES.types, 0.6, 2, unseen=("occlusion",))
    learned = render_random(bases(12), 0, doses, PALETTE, seed=5, identity=("train", 0))
    assert Counter(learned.noise) == {"none": 12, "gaussian": 6, "gaussian_blur": 6}
    assert doses.grid() == DOSES.grid()


def test_training_holds_every_captcha_clean_and_under_one_random_condition() -> None:
    made = render_random(bases(30), 0, DOSES, PALETTE, seed=5, identity=("train", 0))
    assert made.condition.tolist() == [0, 1] * 30
    assert set(made.noise[::2]) == {"none"}
    assert Counter(made.noise[1::2]) == dict.fromkeys(DOSES.types, 10)
    levels = made.level[1::2]
    assert levels.min() > 0
    assert levels.max() <= 0.6
    assert np.std(levels) > 0.1


def test_the_same_identity_gives_the_same_bytes_and_another_does_not() -> None:
    np.testing.assert_array_equal(crossed().images, crossed().images)
    assert not np.array_equal(crossed().images, crossed(seed=6).images)


def test_streams_depend_on_every_part_of_their_name() -> None:
    names = [
        (1, "test", 0, "noise"),
        (1, "test", 1, "noise"),
        (1, "train", 0, "noise"),
        (2, "test", 0, "noise"),
        (1, "test", 0, "layout"),
    ]
    draws = [stream(*name).random() for name in names]
    assert len(set(draws)) == len(names)
    assert stream(*names[0]).random() == draws[0]


@pytest.mark.parametrize("schemes", [("original",), ("original", "grey")])
def test_found_captchas_keep_their_own_colours_or_take_ours(schemes: tuple[str, ...]) -> None:
    images = np.full((4, 20, 44, 3), (250, 240, 200), np.uint8)
    images[:, 5:15, 10:30] = (30, 60, 90)
    found = bases_from_images(np.arange(4, dtype=np.int32), ["ab"] * 4, images)
    made = render_random(
        found,
        0,
        DOSES,
        ColourDesign(schemes, per_character=False, least_contrast=0.4),
        seed=1,
        identity=("train", 0),
    )
    kept = np.array(made.colours.scheme) == "original"
    clean = made.condition == 0
    assert kept.sum() == 8 // len(schemes)
    assert (made.images[kept & clean] == images[0]).all()
    assert (made.colours.background[kept] == (250, 240, 200)).all()
    assert (made.contrast[kept] < -0.5).all()
    assert all(len(made.colours.foreground[row]) == 0 for row in np.flatnonzero(kept))
