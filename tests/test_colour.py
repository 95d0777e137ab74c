"""Colour schemes: contrast that holds, colours that are recorded, paint that follows the ink."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from stages.captcha.colour import (
    Colours,
    draw_colours,
    hexadecimal,
    hue_saturation,
    ink_of,
    luma,
    paint,
    with_luma,
)
from stages.captcha.composition import Bases


def bases() -> Bases:
    ink = np.zeros((2, 8, 12), np.uint8)
    owner = np.zeros_like(ink)
    ink[:, 2:6, 1:5] = 255
    ink[:, 2:6, 7:11] = 128
    owner[:, :, 6:] = 1
    return Bases(np.arange(2, dtype=np.int32), ["ab", "cd"], [[0, 1], [2, 3]], ink, owner)


def draw(scheme: str, n: int = 300, *, per_character: bool = False) -> Colours:
    return draw_colours(
        [scheme] * n,
        [3] * n,
        per_character=per_character,
        least_contrast=0.4,
        rng=np.random.default_rng(0),
    )


@pytest.mark.parametrize("per_character", [False, True])
@pytest.mark.parametrize("scheme", ["grey", "colour"])
def test_the_least_contrast_holds_for_every_character(scheme: str, per_character: bool) -> None:
    colours = draw(scheme, per_character=per_character)
    lumas = np.array([luma(foreground) for foreground in colours.foreground])
    distance = lumas - luma(colours.background)[:, None]
    assert np.abs(distance).min() > 0.4 - 0.01  # rounding to 8 bits
    assert (np.sign(distance) == np.sign(distance[:, :1])).all()
    assert 0.35 < (distance[:, 0] > 0).mean() < 0.65  # both polarities


def test_black_and_white_are_pure_and_their_contrast_is_signed() -> None:
    np.testing.assert_allclose(draw("black_on_white").contrast(), -1)
    np.testing.assert_allclose(draw("white_on_black").contrast(), 1)


def test_grey_has_no_saturation_and_colour_has() -> None:
    assert all(hue_saturation(foreground[0])[1] == 0 for foreground in draw("grey").foreground)
    assert (
        np.mean([hue_saturation(foreground[0])[1] for foreground in draw("colour").foreground])
        > 0.3
    )


def test_characters_share_a_foreground_unless_asked_otherwise() -> None:
    assert all((foreground == foreground[0]).all() for foreground in draw("colour").foreground)
    apart = draw("colour", per_character=True).foreground  # a few meet at pure white or black
    assert np.mean([(foreground == foreground[0]).all() for foreground in apart]) < 0.05


def test_with_luma_reaches_its_target_and_keeps_the_hue() -> None:
    rng = np.random.default_rng(0)
    for hue, saturation, target in rng.random((200, 3)):
        colour = with_luma(hue, saturation, target)
        assert abs(luma(colour) - target) < 0.004
        found, chroma = hue_saturation(colour)
        if chroma > 0.2 and target > 0.2:
            assert min(abs(found - hue * 360), 360 - abs(found - hue * 360)) < 8


def test_hue_and_saturation_agree_with_the_standard_library() -> None:
    hue, saturation = hue_saturation(np.array([10, 200, 90], np.uint8))
    expected = colorsys.rgb_to_hsv(10 / 255, 200 / 255, 90 / 255)
    assert (hue / 360, saturation) == pytest.approx(expected[:2])


def test_hexadecimal_names_the_colour() -> None:
    assert hexadecimal(np.array([255, 0, 10], np.uint8)) == "#ff000a"


def test_paint_blends_by_ink_and_owner() -> None:
    foreground = [
        np.array([[200, 0, 0], [0, 100, 0]], np.uint8),
        np.array([[9, 9, 9], [9, 9, 9]], np.uint8),
    ]
    colours = Colours(
        ["colour", "grey"], foreground, np.array([[0, 0, 50], [249, 249, 249]], np.uint8)
    )
    images = paint(bases(), colours)
    assert images[0, 3, 2].tolist() == [200, 0, 0]
    assert images[0, 3, 8].tolist() == [0, 50, 25]
    assert images[0, 0, 0].tolist() == [0, 0, 50]
    assert images[1, 3, 2].tolist() == [9, 9, 9]
    assert images[1, 3, 8].tolist() == [round(9 * 128 / 255 + 249 * 127 / 255)] * 3


def test_an_original_needs_a_folder() -> None:
    with pytest.raises(ValueError, match=r"needs captcha\.source: folder"):
        paint(
            bases(),
            Colours(["original"] * 2, [np.zeros((0, 3), np.uint8)] * 2, np.zeros((2, 3), np.uint8)),
        )


def test_an_unknown_scheme_offers_the_list() -> None:
    with pytest.raises(ValueError, match="choose from black_on_white"):
        draw("plaid", 1)


def test_ink_is_recovered_from_a_painted_captcha() -> None:
    colours = Colours(
        ["colour"] * 2,
        [np.array([[200, 30, 0]] * 2, np.uint8)] * 2,
        np.array([[20, 20, 90]] * 2, np.uint8),
    )
    found = ink_of(paint(bases(), colours))
    assert np.abs(found.astype(int) - bases().ink).max() <= 3
