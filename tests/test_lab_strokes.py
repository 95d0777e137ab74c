"""Strokes become glyphs as MNIST's are: their box, their centre, their ink; and each character gets its own strokes."""

from __future__ import annotations

import gzip
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stages.captcha.glyphs import BOX, SIDE
from stages.lab.strokes import NIB, Stroke, split_characters, to_glyph, to_glyphs, touch


def line(*points: tuple[float, float]) -> Stroke:
    return np.array(points, np.float64)


def arc(x: float, y: float, across: float, down: float, start: float, end: float) -> Stroke:
    turn = np.radians(np.linspace(start, end, 40))
    return np.stack([x + across * np.cos(turn), y + down * np.sin(turn)], axis=1)


DIGITS = {
    "0": [arc(50, 50, 30, 48, 0, 360)],
    "1": [line((50, 0), (50, 100))],
    "2": [np.concatenate([arc(50, 28, 28, 26, 180, 400), line((15, 98), (85, 98))])],
    "3": [np.concatenate([arc(48, 26, 28, 24, 200, 440), arc(48, 74, 30, 25, 280, 520)])],
    "4": [line((55, 0), (10, 62), (90, 62)), line((65, 30), (65, 100))],
    "5": [line((25, 5), (22, 45)), arc(48, 68, 30, 28, 230, 500), line((25, 5), (80, 5))],
    "6": [np.concatenate([line((65, 2)), arc(48, 70, 28, 28, 200, 560)])],
    "7": [line((15, 5), (85, 5), (40, 100))],
    "8": [np.concatenate([arc(50, 26, 22, 22, 90, 450), arc(50, 74, 28, 26, 270, 630)])],
    "9": [np.concatenate([arc(48, 30, 26, 26, 360, 0), line((74, 30), (66, 100))])],
}
DOT = line((140, 90))


def inked(glyph: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width of the ink, px, by the same threshold as MNIST-like centring."""
    rows, columns = np.nonzero(glyph > 31)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def mass(glyph: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The centre of mass, row and column."""
    weight = glyph / glyph.sum()
    return np.array([(weight.sum(axis=1 - axis) * np.arange(SIDE)).sum() for axis in (0, 1)])


def width(glyph: NDArray[np.uint8]) -> float:
    """Width of the strokes, px: a long stroke's area is half its outline times that."""
    fine = (cv2.resize(glyph, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC) > 127).astype(
        np.uint8
    )
    outlines, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return float(2 * fine.sum() / sum(cv2.arcLength(outline, True) for outline in outlines) / 8)


def moved(strokes: list[Stroke], x: float, y: float, scale: float = 1.0) -> list[Stroke]:
    return [stroke * scale + (x, y) for stroke in strokes]


@pytest.mark.parametrize("digit", DIGITS)
def test_a_character_fits_mnists_box_and_is_centred_by_mass(digit: str) -> None:
    glyph = to_glyph(DIGITS[digit])
    assert (glyph.shape, int(glyph.max())) == ((SIDE, SIDE), 255)
    assert glyph.dtype == np.uint8
    assert max(inked(glyph)) in (BOX, BOX + 1)  # a stroke's edge may lie across two pixels
    np.testing.assert_allclose(mass(glyph), (SIDE - 1) / 2, atol=1)
    assert (glyph == 0).mean() > 0.6


@pytest.mark.parametrize(
    ("strokes", "height", "across"),
    [
        ([line((20, 10), (20, 250))], 20, 3),
        ([line((10, 30), (210, 30))], 3, 20),
        ([line((0, 0), (100, 40))], 9, 20),
    ],
)
def test_a_line_keeps_its_direction_and_the_pens_thickness(
    strokes: list[Stroke], height: int, across: int
) -> None:
    assert np.abs(np.subtract(inked(to_glyph(strokes)), (height, across))).max() <= 1


@pytest.mark.parametrize(
    "dot",
    [
        [DOT],
        [np.repeat(DOT, 5, axis=0)],
        [line((140, 90), (140.6, 90.4))],
        [line((0, 0), (5e-324, 0))],
        [line((1e-9, 0), (0, 0))],
    ],
)
def test_a_dot_is_a_round_dot_though_the_hand_shook(dot: list[Stroke]) -> None:
    glyph = to_glyph(dot)
    assert max(inked(glyph)) <= 5
    assert glyph.max() == 255
    np.testing.assert_allclose(mass(glyph), (SIDE - 1) / 2, atol=1)


@pytest.mark.parametrize("digit", DIGITS)
@pytest.mark.parametrize("scale", [0.25, 2.0, 16.0])
def test_neither_place_nor_size_on_the_canvas_changes_a_character(digit: str, scale: float) -> None:
    there = moved(DIGITS[digit], 384.0, -32.0, scale)
    here = to_glyph(DIGITS[digit]).astype(int)
    there_glyph = to_glyph(there).astype(int)
    assert np.abs(here - there_glyph).max() <= 16  # rounding may move an edge by one fine pixel
    assert np.abs(here - there_glyph).mean() < 0.2


def test_the_order_of_strokes_and_their_direction_do_not_matter() -> None:
    for strokes in DIGITS.values():
        np.testing.assert_array_equal(
            to_glyph([stroke[::-1] for stroke in strokes[::-1]]), to_glyph(strokes)
        )


def test_no_strokes_make_no_characters() -> None:
    assert split_characters([]) == []
    assert to_glyphs([]).shape == (0, SIDE, SIDE)


def test_digits_in_a_row_are_parted_and_read_from_left_to_right_whatever_was_drawn_first() -> None:
    text = "4571"
    row = [
        stroke for i, digit in enumerate(text) for stroke in moved(DIGITS[digit], 120.0 * i, 7.0)
    ]
    order = np.random.default_rng(2).permutation(len(row))
    found = to_glyphs([row[i] for i in order])
    np.testing.assert_array_equal(found, np.stack([to_glyph(DIGITS[digit]) for digit in text]))


@pytest.mark.parametrize(("strokes", "counts"), [
    ([line((30, 0)), line((31, 20), (30, 90))], [2]),                                       # an i and its dot
    ([line((39, 0)), line((31, 20), (30, 90))], [2]),                                       # which stands askew
    ([line((42, 0)), line((31, 20), (30, 90))], [1, 1]),                                    # or too far away
    ([line((20, 0), (18, 40), (50, 70), (15, 95)), line((22, 0), (70, 2))], [2]),           # a 5 and its bar
    ([line((20, 0), (18, 40), (30, 70), (15, 95)), line((24, 0), (70, 2))], [2]),           # a long bar
    ([line((25, 5), (22, 45)), line((25, 40), (70, 70), (26, 95)), line((26, 5), (80, 5))], [3]),  # in three strokes
    ([line((20, 0), (20, 90)), *(line((24, y), (70, y)) for y in (2, 45, 90))], [4]),       # an E
    ([line((20, 0), (20, 90)), line((26, 4), (70, 45), (26, 87))], [2]),                    # a D
    ([line((10, 0), (60, 100)), line((60, 0), (10, 100))], [2]),                            # an x
    ([line((0, 0), (20, 90)), line((40, 0), (60, 90)), line((5, 40), (55, 40))], [3]),      # an H: its bar joins
    ([line((20, 0), (20, 90)), line((32, 0), (32, 90))], [1, 1]),                           # two ones
    ([line((0, 0), (50, 90)), line((48, 0), (90, 90))], [1, 1]),                            # two, one over the other
    ([line((0, 0), (50, 90)), line((59, 90), (90, 0))], [1, 1]),                            # two that stand close
    ([DOT, line((170, 90)), line((200, 90))], [1, 1, 1]),
    ([DOT, DOT], [2]),
])  # fmt: skip
def test_strokes_that_touch_or_stand_above_one_another_make_one_character(
    strokes: list[Stroke], counts: list[int]
) -> None:
    assert [len(found) for found in split_characters(strokes)] == counts
    assert [len(found) for found in split_characters(strokes[::-1])] == counts


def test_whether_strokes_touch_is_measured_to_the_line_between_points_and_at_their_ends() -> None:
    stem = line((0, 0), (0, 100))
    assert touch(stem, line((NIB - 0.1, 50), (90, 50)))
    assert touch(line((90, 50), (NIB - 0.1, 50)), stem)
    assert not touch(stem, line((NIB + 0.1, 50), (90, 50)))
    assert not touch(stem, line((0, 100 + NIB + 0.1), (0, 150)))
    assert touch(line((5, 5)), line((5, 5)))


def test_every_stroke_goes_into_one_character() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        strokes = [rng.uniform(0, 300, (rng.integers(1, 5), 2)) for _ in range(rng.integers(1, 12))]
        found = [stroke for character in split_characters(strokes) for stroke in character]
        assert sorted(map(id, found)) == sorted(map(id, strokes))


def test_the_nib_is_narrower_than_the_gap_between_two_ones() -> None:
    ones = [line((20, 0), (20, 90)), line((20 + NIB, 0), (20 + NIB, 90))]
    assert len(split_characters(ones)) == 2
    assert len(split_characters([ones[0], ones[0] + (NIB / 2, 0)])) == 1


def test_the_pen_has_the_thickness_and_the_ink_of_mnists_strokes(mnist: Path) -> None:
    images, labels = (
        np.frombuffer(
            gzip.decompress((mnist / "MNIST" / "raw" / f"t10k-{name}-ubyte.gz").read_bytes()),
            np.uint8,
        )
        for name in ("images-idx3", "labels-idx1")
    )
    images, labels = images[16:].reshape(-1, SIDE, SIDE), labels[8:]  # after the headers
    drawn_widths = []
    drawn_ink = []
    widths = []
    ink = []
    for label, strokes in enumerate(DIGITS.values()):
        written = images[labels == label][:100]
        drawn = to_glyph(strokes)
        drawn_widths.append(width(drawn))
        widths.append(np.array([width(glyph) for glyph in written]))
        drawn_ink.append(drawn.mean())
        ink.append(written.mean(axis=(1, 2)))
        low, high = np.percentile(widths[-1], [10, 90])
        assert low < drawn_widths[-1] < high, f"the strokes of {label}"
        low, high = np.percentile(ink[-1], [10, 90])
        assert low < drawn_ink[-1] < high, f"the ink of {label}"
    low, high = np.percentile(np.concatenate(widths), [25, 75])
    assert low < np.mean(drawn_widths) < high
    assert np.mean(drawn_ink) == pytest.approx(np.mean(ink), rel=0.1)
