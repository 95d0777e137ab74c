"""Noise: the identity at level 0, doses that rise, equal energy, and the physical parameter behind every level."""

from __future__ import annotations

import io
import itertools
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage, stats

from stages.captcha.noise import NOISES, Images, apply, background, ink_colour
from stages.captcha.noise.blur import line_kernel
from stages.captcha.noise.canvas import unit

LUMA = np.array([0.299, 0.587, 0.114])
SCHEMES = {  # ink, background
    "black_on_white": ((0, 0, 0), (255, 255, 255)),
    "white_on_black": ((255, 255, 255), (0, 0, 0)),
    "grey": ((70, 70, 70), (190, 190, 190)),
    "colour": ((150, 30, 60), (120, 210, 190)),
}
PIXEL = ["gaussian", "gaussian_rgb", "uniform", "salt_and_pepper", "shot", "speckle"]
GEOMETRY = ["rotation", "translation", "zoom", "shear", "elastic"]
OTHERS = [name for name in NOISES if name not in PIXEL + GEOMETRY]
POINTWISE = [
    "contrast",
    "brightness",
    "fog",
    "occlusion",
    "lines",
    "curves",
    "dots",
    "impulse",
    "gaussian_hit",
]  # no pixel ever comes back
GRID = np.linspace(0, 1, 11)
GOLDEN = Path(__file__).parent / "golden" / "noise.json"


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def captchas(
    scheme: str = "black_on_white", n: int = 4, height: int = 40, width: int = 104
) -> Images:
    """Anti-aliased three-digit captchas, (n, height, width, 3)."""
    ink, ground = (np.array(colour, dtype=float) for colour in SCHEMES[scheme])
    images = np.empty((n, height, width, 3), np.uint8)
    for i in range(n):
        mask = np.zeros((height, width), np.uint8)
        for k, digit in enumerate(generator(i).integers(0, 10, 3)):
            cv2.putText(
                mask,
                str(digit),
                (8 + k * width // 3, height - 8 - 2 * (k % 2)),
                cv2.FONT_HERSHEY_SIMPLEX,
                height / 40,
                255,
                3,
                cv2.LINE_AA,
            )
        images[i] = np.rint(ground + (ink - ground) * (mask[..., None] / 255))
    return images


def luma(images: Images) -> NDArray[np.float64]:
    return np.asarray(images @ LUMA / 255)


def rms(images: Images, clean: Images) -> NDArray[np.float64]:
    """RMS change of luma of each image, full scale = 1."""
    return np.asarray(np.sqrt(np.square(luma(images) - luma(clean)).mean(axis=(1, 2))))


def flat(value: int, n: int = 2, height: int = 40, width: int = 104) -> Images:
    return np.full((n, height, width, 3), value, np.uint8)


@pytest.mark.parametrize("name", [*NOISES, "none"])
def test_level_zero_is_the_identity_also_within_a_mixed_batch(name: str) -> None:
    clean = captchas("colour")
    clean.flags.writeable = False  # a stage's images lie in a read-only Parquet buffer
    out = apply(name, clean, 0.0, rng=generator())
    np.testing.assert_array_equal(out, clean)
    assert not np.shares_memory(out, clean)
    mixed = apply(name, clean, np.array([0.0, 0.7, 0.0, 0.7]), rng=generator())
    np.testing.assert_array_equal(mixed[::2], clean[::2])
    changed = (mixed[1::2] != clean[1::2]).any(axis=(1, 2, 3))
    assert changed.all() == (name != "none")


@pytest.mark.parametrize("name", NOISES)
def test_one_level_an_image_equals_a_call_for_each_level(name: str) -> None:
    clean = captchas("colour")
    levels = np.array([0.3, 0.8, 0.0, 0.3])
    out = apply(name, clean, levels, rng=generator())
    for level in set(levels.tolist()):
        alone = apply(name, clean, level, rng=generator())
        np.testing.assert_array_equal(out[levels == level], alone[levels == level])


@pytest.mark.parametrize("name", NOISES)
def test_an_image_does_not_depend_on_those_after_it(name: str) -> None:
    clean = captchas("grey")
    np.testing.assert_array_equal(
        apply(name, clean[:2], 0.4, rng=generator()), apply(name, clean, 0.4, rng=generator())[:2]
    )


@pytest.mark.parametrize(
    "name", sorted(set(NOISES) - {"gaussian_blur", "jpeg", "contrast", "brightness", "zoom"})
)
def test_another_generator_gives_another_noise(name: str) -> None:
    clean = captchas()
    out = [apply(name, clean, 0.4, rng=generator(seed)) for seed in (1, 2)]
    assert (out[0] != out[1]).any(axis=(1, 2, 3)).sum() >= 2  # a sign may fall the same way twice


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PIXEL + OTHERS + ["elastic"])
def test_a_higher_level_never_changes_less(name: str, scheme: str) -> None:
    clean = captchas(scheme, 8)
    change = [rms(apply(name, clean, level, rng=generator()), clean).mean() for level in GRID]
    slack = (
        3e-3 if name == "jpeg" else 0
    )  # a coarser step may happen to suit the one grey of all these backgrounds
    assert np.diff(change).min() >= -slack
    assert change[0] == 0
    assert change[3] > change[1] > 0


@pytest.mark.parametrize("height", [12, 40])  # on 12 px many dots fall on one another
@pytest.mark.parametrize("name", POINTWISE)
def test_no_pixel_comes_back_at_a_higher_level(name: str, height: int) -> None:
    clean = captchas("colour", 4, height, 24)
    change = [
        np.abs(apply(name, clean, level, rng=generator()).astype(int) - clean) for level in GRID
    ]
    assert np.diff(change, axis=0).min() >= -1  # rounding to 8 bits


@pytest.mark.parametrize("name", ["rotation", "translation", "zoom", "shear"])
def test_ink_goes_farther_at_a_higher_level(name: str) -> None:
    clean = flat(255, 6, 60, 60)
    places = generator(0).uniform(18, 42, (6, 2))
    for image, (x, y) in zip(clean, places, strict=True):
        cv2.circle(image, (round(x), round(y)), 2, (0, 0, 0), -1)
    out = np.array(
        [
            ink_centres(apply(name, clean, level, rng=generator()))
            for level in np.linspace(0, 0.5, 6)
        ]
    )
    way = np.hypot(*np.moveaxis(out - out[0], -1, 0))  # (levels, images)
    assert np.diff(way.mean(axis=1)).min() > 0.3


def ink_centres(images: Images) -> NDArray[np.float64]:
    """Centre of mass (n, 2) of the ink on white, (x, y) px."""
    return np.array([ndimage.center_of_mass(1 - image)[::-1] for image in luma(images)])


def corners(name: str) -> list[tuple[float, ...]]:
    """The colours that the strongest noise leaves, equally likely."""
    return (
        list(itertools.product((0.0, 1.0), repeat=3))
        if name == "gaussian_rgb"
        else [(0.0,) * 3, (1.0,) * 3]
    )


def reach(name: str, clean: Images) -> NDArray[np.float64]:
    """RMS change (n,) when every channel is black or white by a coin; photon noises cannot change black."""
    value = luma(clean)
    energy = np.mean([np.square(np.dot(corner, LUMA) - value) for corner in corners(name)], axis=0)
    if name in ("shot", "speckle"):
        energy *= value > 0
    return np.asarray(np.sqrt(energy.mean(axis=(1, 2))))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PIXEL)
def test_the_level_of_pixel_noise_is_the_change_of_luma_of_every_image(
    name: str, scheme: str
) -> None:
    clean = captchas(scheme)
    reachable = [
        level
        for level in (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65)
        if level < 0.95 * reach(name, clean).min()
    ]
    assert len(reachable) >= 4
    for level in reachable:
        if name == "salt_and_pepper" and level < 0.05:
            continue  # a pixel or two
        np.testing.assert_allclose(
            rms(apply(name, clean, level, rng=generator()), clean), level, rtol=0.05
        )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PIXEL)
def test_pixel_noise_saturates_where_every_channel_is_black_or_white(
    name: str, scheme: str
) -> None:
    clean = captchas(scheme)
    np.testing.assert_allclose(
        rms(apply(name, clean, 1.0, rng=generator()), clean), reach(name, clean), rtol=0.08
    )


def test_photon_noises_leave_black_alone() -> None:
    for name in ("shot", "speckle"):
        np.testing.assert_array_equal(apply(name, flat(0), 0.5, rng=generator()), flat(0))


@pytest.mark.parametrize("name", sorted(set(PIXEL) - {"gaussian_rgb"}))
def test_grey_noise_is_the_same_in_every_channel(name: str) -> None:
    out = apply(name, captchas("grey"), 0.2, rng=generator())
    np.testing.assert_array_equal(out, out[..., :1].repeat(3, axis=3))


@pytest.mark.parametrize(("name", "kurtosis"), [("gaussian", 3.0), ("uniform", 1.8)])
def test_the_noise_has_the_shape_of_its_law(name: str, kurtosis: float) -> None:
    change = luma(apply(name, flat(128), 0.1, rng=generator())) - 128 / 255
    assert abs(change.mean()) < 0.004
    assert stats.kurtosis(change.ravel(), fisher=False) == pytest.approx(kurtosis, rel=0.08)


def test_rgb_noise_is_independent_by_channel_and_stronger_in_each() -> None:
    change = (apply("gaussian_rgb", flat(128), 0.1, rng=generator()).astype(float) - 128).reshape(
        -1, 3
    ) / 255
    assert np.abs(np.corrcoef(change.T) - np.eye(3)).max() < 0.04
    np.testing.assert_allclose(
        change.std(axis=0), 0.1 / np.linalg.norm(LUMA), rtol=0.04
    )  # 1 / 0.669 times


@pytest.mark.parametrize(("name", "power"), [("shot", 1), ("speckle", 2)])
def test_the_variance_follows_the_signal(name: str, power: int) -> None:
    clean = flat(50, 1, 60, 200)
    clean[:, :, 100:] = 150
    change = luma(apply(name, clean, 0.03, rng=generator())) - luma(clean)
    assert change[..., 100:].var() / change[..., :100].var() == pytest.approx(3**power, rel=0.1)


def test_salt_and_pepper_sets_pixels_to_black_or_white_evenly() -> None:
    out = apply("salt_and_pepper", flat(100), 0.3, rng=generator())
    hit = out[..., 0][out[..., 0] != 100]
    assert set(hit.tolist()) == {0, 255}
    assert (hit == 255).mean() == pytest.approx(0.5, abs=0.06)


def test_gaussian_blur_agrees_with_scipy() -> None:
    clean = captchas("colour", 2)
    blurred = [
        np.stack(
            [
                ndimage.gaussian_filter(
                    image[..., c].astype(float), 2.0, mode="nearest", truncate=3
                )
                for c in range(3)
            ]
        )
        for image in clean
    ]
    expected = np.moveaxis(np.stack(blurred), 1, -1)
    np.testing.assert_allclose(
        apply("gaussian_blur", clean, 0.4, rng=generator()), expected, atol=2
    )


@pytest.mark.parametrize("length", [0.001, 3.0, 10.0, 24.0])
@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi / 2, 2.5])
def test_a_motion_blur_spreads_along_its_line_alone(length: float, angle: float) -> None:
    kernel = line_kernel(length, angle).astype(float)
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    nodes = np.arange(len(kernel)) - len(kernel) // 2
    x = nodes[None, :]
    y = nodes[:, None]
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    assert (kernel * along).sum() == pytest.approx(0, abs=1e-4)
    assert (kernel * along**2).sum() == pytest.approx(
        length**2 / 12, rel=0.1, abs=0.3
    )  # variance of an even line
    assert (kernel * across**2).sum() < 0.3


def test_motion_blur_is_a_line_of_twenty_four_pixels_at_the_end_of_the_scale() -> None:
    clean = flat(0, 8, 60, 120)
    clean[:, 29:31, 59:61] = 255
    out = luma(apply("motion_blur", clean, 0.5, rng=generator()))
    y, x = np.mgrid[:60, :120] - np.array([29.5, 59.5])[:, None, None]
    variance = np.array([(image * (x**2 + y**2)).sum() / image.sum() for image in out])
    np.testing.assert_allclose(
        variance, (12 * 60 / 40) ** 2 / 12 + 0.5, rtol=0.1
    )  # the line's and the square's


@pytest.mark.parametrize("level", [0.25, 0.5, 0.8])
def test_pixelate_makes_blocks_of_their_mean(level: float) -> None:
    clean = captchas("colour", 2)
    side = 28**level
    for image, out in zip(clean, apply("pixelate", clean, level, rng=generator()), strict=True):
        rows, columns = (
            np.flatnonzero(np.diff(out.astype(int), axis=a).any(axis=(1 - a, 2))) + 1
            for a in (0, 1)
        )
        blocks = np.concatenate([np.diff(rows), np.diff(columns)]) / side
        assert (
            np.abs(blocks - np.maximum(1, np.rint(blocks))) * side <= 1.5
        ).all()  # blocks that are equal merge
        for r in np.split(np.arange(40), rows):
            for c in np.split(np.arange(104), columns):
                assert (
                    np.abs(out[np.ix_(r, c)] - image[np.ix_(r, c)].mean(axis=(0, 1))).max() <= 0.51
                )


def test_jpeg_agrees_with_pillow() -> None:
    clean = captchas("colour", 1)
    for level, quality in ((0.5, 10), (1.0, 1), (0.25, 32)):
        code = io.BytesIO()
        Pillow.fromarray(clean[0]).save(code, "JPEG", quality=quality)
        difference = np.abs(
            apply("jpeg", clean, level, rng=generator())[0].astype(int)
            - np.asarray(Pillow.open(code))
        )
        assert difference.mean() < 1.5


def test_contrast_shrinks_about_the_mean_of_each_channel() -> None:
    clean = captchas("colour")
    mean = clean.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(
        apply("contrast", clean, 0.7, rng=generator()), mean + 0.3 * (clean - mean), atol=0.51
    )
    assert (np.ptp(apply("contrast", clean, 1.0, rng=generator()), axis=(1, 2)) == 0).all()


def test_brightness_adds_and_ends_white() -> None:
    clean = captchas("colour")
    out = apply("brightness", clean, 0.4, rng=generator())
    np.testing.assert_allclose(out, np.minimum(clean + 0.4 * 255, 255), atol=0.51)
    assert (apply("brightness", clean, 1.0, rng=generator()) == 255).all()


def test_fog_mixes_the_captcha_with_a_texture_that_covers_the_whole_range() -> None:
    clean = captchas("colour")
    texture = apply("fog", clean, 1.0, rng=generator())
    assert (texture == texture[..., :1]).all()
    assert (texture.min(axis=(1, 2, 3)) == 0).all()
    assert (texture.max(axis=(1, 2, 3)) == 255).all()
    mixed = apply("fog", clean, 0.3, rng=generator())
    np.testing.assert_allclose(mixed, 0.7 * clean + 0.3 * texture, atol=0.8)


def test_rotation_turns_by_sixty_degrees_at_most() -> None:
    clean = flat(255, 6, 60, 60)
    clean[:, 29:31, 20:50] = 0  # a bar with more ink to the right of the centre
    for level in (0.25, 1.0):
        way = ink_centres(apply("rotation", clean, level, rng=generator())) - 29.5
        angle = np.degrees(np.arctan2(way[:, 1], way[:, 0]))
        np.testing.assert_allclose(np.abs(angle), 60 * level, atol=1.5)
        assert len(set(np.sign(angle).tolist())) == 2


@pytest.mark.parametrize(("name", "scale"), [
    ("rotation", 20 / (57.5 * math.sin(math.pi / 3) + 11.5 * math.cos(math.pi / 3))),  # a corner reaches the lower edge
    ("shear", 64 / (57.5 + 2 * 11.5)),  # or the right one
])  # fmt: skip
def test_a_wide_captcha_is_shrunk_just_as_far_as_it_needs_to_stay_on_the_canvas(
    name: str, scale: float
) -> None:
    clean = flat(255, 2, 40, 128)
    clean[:, 8:32, 20:32] = (0, 255, 255)
    clean[:, 8:32, 110:122] = (255, 100, 255)  # paler and farther out
    lost = 255 - apply(name, clean, 1.0, rng=generator()).astype(int)
    for channel, ink in ((0, 255), (1, 155)):  # of both ends nothing is cut off
        np.testing.assert_allclose(
            lost[..., channel].sum(axis=(1, 2)) / ink, 24 * 12 * scale**2, rtol=0.02
        )


def test_translation_goes_fourteen_pixels_in_any_direction() -> None:
    clean = flat(255, 12, 60, 120)
    clean[:, 28:32, 58:62] = 0
    way = ink_centres(apply("translation", clean, 0.5, rng=generator())) - (59.5, 29.5)
    np.testing.assert_allclose(np.hypot(*way.T), 7 * 60 / 40, atol=0.1)
    assert len(np.unique(np.sign(way), axis=0)) == 4


def test_zoom_shrinks_to_a_tenth() -> None:
    clean = flat(255, 1, 60, 120)
    clean[:, 28:32, 10:14] = 0
    for level in (0.3, 1.0):
        way = ink_centres(apply("zoom", clean, level, rng=generator())) - (59.5, 29.5)
        np.testing.assert_allclose(way[0], ((11.5 - 59.5) * (1 - 0.9 * level), 0), atol=0.3)


def test_shear_slants_by_two_pixels_a_row() -> None:
    clean = flat(255, 6, 60, 120)
    clean[:, 18:22, 58:62] = 0  # 10 px above the middle row
    way = ink_centres(apply("shear", clean, 0.5, rng=generator())) - (59.5, 19.5)
    np.testing.assert_allclose(np.abs(way[:, 0]), 10 * 2 * 0.5, atol=0.2)
    np.testing.assert_allclose(way[:, 1], 0, atol=0.2)


def test_elastic_moves_by_eight_pixels_rms() -> None:
    clean = np.zeros((2, 84, 252, 3), np.uint8)
    clean[0] = np.arange(252, dtype=np.uint8)[:, None]  # luma is the column
    clean[1] = np.arange(84, dtype=np.uint8)[:, None, None]  # luma is the row
    out = [
        apply("elastic", clean[[i]], 0.4, rng=generator())[0, 10:-10, 10:-10, 0].astype(float)
        for i in (0, 1)
    ]
    way = [out[i] - clean[i, 10:-10, 10:-10, 0] for i in (0, 1)]
    assert math.sqrt(np.mean(way[0] ** 2 + way[1] ** 2)) == pytest.approx(
        8 * 0.4 * 84 / 40, rel=0.05
    )


@pytest.mark.parametrize("level", [0.1, 0.37, 0.8, 1.0])
def test_occlusion_covers_its_share_of_the_canvas(level: float) -> None:
    out = apply("occlusion", flat(0), level, rng=generator())
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)) / 128, level, atol=0.002)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["lines", "curves", "dots"])
def test_clutter_is_drawn_in_the_colour_of_the_text(name: str, scheme: str) -> None:
    clean = captchas(scheme)
    ink = np.array(SCHEMES[scheme][0])
    out = apply(name, clean, 0.5, rng=generator())
    inked = (out == ink).all(axis=3).mean()
    assert inked > 0.1 + (clean == ink).all(axis=3).mean()
    low = np.minimum(clean, ink)
    high = np.maximum(clean, ink)
    assert ((out >= low) & (out <= high)).all()  # nothing beyond the way from a pixel to the ink


@pytest.mark.parametrize(("name", "count"), [("lines", 52), ("curves", 10)])
def test_half_a_stroke_is_a_stroke_half_see_through(name: str, count: int) -> None:
    clean = captchas("colour")
    fewer, half, more = (
        apply(name, clean, strokes / count, rng=generator()).astype(float)
        for strokes in (3, 3.5, 4)
    )
    assert (fewer != more).any(axis=(1, 2, 3)).all()
    np.testing.assert_allclose(half, (fewer + more) / 2, atol=1.5)


@pytest.mark.parametrize("name", ["lines", "curves", "dots"])
def test_clutter_covers_the_same_share_of_a_larger_canvas(name: str) -> None:
    small = captchas(n=8)
    large = captchas(n=8, height=120, width=312)
    share = [
        (luma(clean) - luma(apply(name, clean, 1.0, rng=generator()))).mean()
        for clean in (small, large)
    ]
    assert share[0] == pytest.approx(share[1], rel=0.1)
    assert 0.2 < share[0] < 0.45


@pytest.mark.parametrize("name", ["gaussian_blur", "zoom"])
def test_lengths_scale_with_the_glyphs(name: str) -> None:
    small = captchas(n=1)
    large = captchas(n=1).repeat(3, axis=1).repeat(3, axis=2)
    scaled = cv2.resize(
        apply(name, large, 0.4, rng=generator())[0], (104, 40), interpolation=cv2.INTER_AREA
    )
    assert np.abs(luma(scaled[None]) - luma(apply(name, small, 0.4, rng=generator()))).max() < 0.15


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(40, 128, 1), (28, 28, 1), (80, 256, 2), (28, 42, 1)]
)
def test_the_unit_is_one_pixel_where_a_glyph_is_28_high(
    height: int, width: int, expected: float
) -> None:
    assert unit(flat(0, 1, height, width)) == expected


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ink_and_background_are_found_in_spite_of_specks(scheme: str) -> None:
    images = captchas(scheme)
    rows, columns = generator().integers(0, (40, 104), (20, 2)).T  # half a per cent of the pixels
    images[:, rows, columns] = (0, 255, 0)
    np.testing.assert_array_equal(background(images), [SCHEMES[scheme][1]] * 4)
    np.testing.assert_allclose(ink_colour(images), [SCHEMES[scheme][0]] * 4, atol=1)


def test_an_image_without_ink_has_the_ink_of_its_background() -> None:
    np.testing.assert_array_equal(ink_colour(flat(77)), np.full((2, 3), 77))


def test_the_ink_of_a_single_thin_stroke_is_found() -> None:
    images = flat(255, 1, 40, 128)
    images[0, 10:30, 60] = (10, 20, 30)  # 0.4 % of the pixels
    np.testing.assert_array_equal(ink_colour(images), [[10, 20, 30]])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(NOISES)),
    st.integers(1, 33),
    st.integers(1, 33),
    st.floats(1e-6, 1),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_any_size_and_any_level_gives_images_of_that_size(
    name: str, height: int, width: int, level: float, even: bool, seed: int
) -> None:
    rng = generator(seed)
    clean = (
        rng.integers(0, 256, (2, height, width, 3), np.uint8)
        if not even
        else flat(seed % 256, 2, height, width)
    )
    before = clean.copy()
    out = apply(name, clean, level, rng=rng)
    assert out.shape == clean.shape
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(clean, before)


def test_an_empty_batch_stays_empty() -> None:
    for name in NOISES:
        assert apply(name, flat(0, 0), 0.5, rng=generator()).shape == (0, 40, 104, 3)


def test_none_draws_nothing() -> None:
    rng = generator()
    apply("none", captchas(), 0.0, rng=rng)
    assert rng.random() == generator().random()


@pytest.mark.parametrize(("name", "images", "level", "message"), [
    ("gausian", flat(0), 0.5, "noise 'gausian' does not exist: use none or one of gaussian, .*dots"),
    ("fog", flat(0), 1.5, r"level should be 0 to 1, got 1\.5"),
    ("fog", flat(0), -0.1, r"level should be 0 to 1, got -0\.1"),
    ("fog", flat(0), math.nan, "level should be 0 to 1, got nan"),
    ("none", flat(0), math.inf, "level should be 0 to 1, got inf"),
    ("fog", flat(0), np.array([0.1, 2.0]), "level should be 0 to 1, got 2"),
    ("fog", flat(0), np.array([0.1, 0.2, 0.3]), r"one number or 2, one an image, got shape \(3,\)"),
    ("fog", flat(0)[0], 0.5, r"should be \(n, H, W, 3\) uint8, got \(40, 104, 3\) uint8"),
    ("fog", flat(0)[..., :1], 0.5, r"got \(2, 40, 104, 1\) uint8"),
    ("fog", flat(0).astype(np.float32), 0.5, "float32"),
    ("fog", flat(0)[:, :0], 0.5, r"got \(2, 0, 104, 3\)"),
])  # fmt: skip
def test_bad_input_is_refused_in_one_line(
    name: str, images: Images, level: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        apply(name, images, level, rng=generator())
    assert "\n" not in str(refusal.value)


def summary(name: str) -> list[float]:
    """Mean luma of 4 x 6 blocks of a captcha under a noise, 0 to 255."""
    out = apply(name, captchas("colour", 1, 40, 96), 0.5, rng=generator())
    return [
        round(float(value) * 255, 2)
        for value in luma(out)[0].reshape(4, 10, 6, 16).mean(axis=(1, 3)).ravel()
    ]


@pytest.mark.parametrize("name", NOISES)
def test_a_noise_is_what_it_was_when_the_golden_file_was_made(name: str) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    now = summary(name)
    assert name in golden, f'a line for {GOLDEN.name}: "{name}": {now}'
    np.testing.assert_allclose(now, golden[name], atol=0.5)  # another processor may round otherwise
