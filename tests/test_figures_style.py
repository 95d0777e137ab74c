"""The look of the figures: stable bytes, small pictures, labels that do not overlap."""

from __future__ import annotations

import base64
import io
import re

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from stages.figures.samples import MOST_PIXELS, chosen_levels, draw_sheet
from stages.figures.style import MUTED, png, spread, styled, svg, words


@styled
def a_figure(text: str = "plain") -> Figure:
    figure = Figure((3, 2))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label=text)
    axes.imshow(
        np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8), interpolation="none"
    )
    axes.legend(title=text)
    return figure


def test_the_same_figure_is_the_same_svg() -> None:
    assert svg(a_figure()) == svg(a_figure())


def test_settings_of_the_user_change_no_byte() -> None:
    before = svg(a_figure())
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert svg(a_figure()) == before


def test_an_svg_holds_no_date_and_no_maker() -> None:
    text = svg(a_figure())
    assert "<metadata" not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


@pytest.mark.parametrize("text", ["$x_2$", "Ж", "字", "a_b", "<&>"])
def test_any_text_is_drawn_as_it_stands(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f">{escaped}<" in svg(a_figure(text))


def test_a_picture_is_embedded_at_its_own_size_with_a_palette() -> None:
    found = re.search(r"base64,([A-Za-z0-9+/=]+)", svg(a_figure()))
    assert found
    picture = Image.open(io.BytesIO(base64.b64decode(found[1])))
    assert (picture.mode, picture.size) == ("P", (14, 9))
    original = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    np.testing.assert_array_equal(picture.convert("RGB"), original)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.08))
def test_labels_are_spread_in_order_and_inside(positions: list[float], distance: float) -> None:
    moved = spread(positions, distance)
    assert (np.diff(np.sort(moved)) >= distance - 1e-9).all()
    assert moved.min() >= -1e-9
    assert moved.max() <= 1 + 1e-9
    assert (np.argsort(moved, kind="stable") == np.argsort(positions, kind="stable")).all()


def test_labels_that_do_not_overlap_stay_where_they_are() -> None:
    np.testing.assert_allclose(spread([0.9, 0.1, 0.5], 0.1), [0.9, 0.1, 0.5])


def test_words_are_names_without_underscores() -> None:
    assert words("salt_and_pepper") == "salt and pepper"


def sheet(
    count: int = 2, height: int = 6, width: int = 11
) -> tuple[list[list[np.ndarray]], Figure]:
    rng = np.random.default_rng(1)
    pictures = [
        list(rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)) for _ in range(2)
    ]
    captions = [["12"] * count, ["1", *["12"] * (count - 1)]]
    right = [[caption == "12" for caption in line] for line in captions]
    return pictures, draw_sheet(pictures, ["one", "two"], ["clean", "level 1"], captions, right)


def test_every_picture_is_on_the_sheet_pixel_for_pixel() -> None:
    pictures, figure = sheet()
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    for picture in [picture for row in pictures for picture in row]:
        places = [
            (y, x)
            for y in range(drawn.shape[0] - 5)
            for x in range(drawn.shape[1] - 10)
            if (drawn[y : y + 6, x : x + 11] == picture).all()
        ]
        assert len(places) == 1


def test_a_picture_file_has_two_pixels_for_one() -> None:
    picture = (
        np.random.default_rng(2).choice(np.array([0, 255], np.uint8), (6, 11, 1)).repeat(3, axis=2)
    )
    figure = draw_sheet([[picture, picture]], ["one"], ["a", "b"], [["", ""]], [[True, True]])
    (left, right) = figure.axes[0].get_xlim()
    (_, top) = figure.axes[0].get_ylim()
    drawn = np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB"))
    assert drawn.shape[1] == 2 * (right - left)
    below = round(-2 * top)  # the header; then comes a frame
    np.testing.assert_array_equal(
        drawn[below + 2 : below + 14, -24:-2], picture.repeat(2, axis=0).repeat(2, axis=1)
    )


def test_a_wrong_reading_has_a_cross_and_another_colour() -> None:
    _, figure = sheet()
    captions = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert captions["12"] == MUTED
    assert captions["1 ✗"] != MUTED


def test_a_sheet_of_large_pictures_is_made_small_enough() -> None:
    _, figure = sheet(3, 500, 900)
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    assert drawn.shape[0] * drawn.shape[1] < 1.5 * MOST_PIXELS


@pytest.mark.parametrize("count", [1, 4, 6, 7, 100])
def test_at_most_six_levels_are_chosen_with_both_ends(count: int) -> None:
    levels = list(np.linspace(0.1, 1, count))
    chosen = chosen_levels(levels)
    assert len(chosen) == min(6, count)
    assert chosen == sorted(set(chosen))
    assert {levels[0], levels[-1]} <= set(chosen)
