"""Base captchas: balance, placement, and what does not fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.captcha.composition import (
    Bases,
    Layout,
    balanced,
    compose,
    crop,
    draw_glyphs,
    draw_texts,
    warp,
)

LAYOUT = Layout(
    height=34,
    width=90,
    length=(2, 3),
    scale=(0.9, 1.1),
    rotation=10,
    shear=0.1,
    gap=(1, 3),
    jitter=2,
    fit="canvas",
)


def glyphs(n: int = 6) -> np.ndarray:
    """Upright bars of 4 to 9 px by 20 px."""
    images = np.zeros((n, 28, 28), np.uint8)
    for i in range(n):
        images[i, 4:24, 10 : 14 + i] = 255
    return images


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), part=st.integers(1, 17), values=st.integers(1, 11))
def test_counts_are_even_over_all_parts_together(n: int, part: int, values: int) -> None:
    rng = np.random.default_rng(3)
    drawn = np.concatenate(
        [balanced(first, min(part, n - first), values, rng=rng) for first in range(0, n, part)]
    )
    counts = np.bincount(drawn, minlength=values)
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1


def test_texts_are_balanced_over_alphabet_positions_and_lengths() -> None:
    texts = draw_texts(0, 60, "АБВГ", (2, 4), rng=np.random.default_rng(0))
    assert Counter(map(len, texts)) == {2: 20, 3: 20, 4: 20}
    assert Counter(text[0] for text in texts) == dict.fromkeys("АБВГ", 15)
    assert Counter(text[1] for text in texts) == dict.fromkeys("АБВГ", 15)


def numbered(character: str, number: int) -> np.random.Generator:
    return np.random.default_rng([ord(character), number])


def test_glyphs_come_from_the_pool_of_their_character() -> None:
    pools = {"0": np.array([1, 3]), "1": np.array([2])}
    drawn = draw_glyphs(0, ["01", "10", "00"] * 20, pools, stream=numbered)
    assert {ids[0] for ids in drawn[::3]} == {1, 3}
    assert {ids[1] for ids in drawn[::3]} == {2}


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 4))
def test_every_glyph_of_a_pool_comes_equally_often_whatever_the_parts(
    parts: list[int], length: int
) -> None:
    pools = {"А": np.arange(7), "Б": np.arange(10, 13), "В": np.array([20])}
    uses: Counter[int] = Counter()
    texts: list[str] = []
    for first, n in zip(np.cumsum([0, *parts]).tolist(), parts, strict=False):
        texts += (
            drawn := draw_texts(first, n, "АБВ", (length, length), rng=np.random.default_rng(first))
        )
        uses.update(
            glyph for ids in draw_glyphs(first, drawn, pools, stream=numbered) for glyph in ids
        )
    for character, pool in pools.items():
        often = [uses[glyph] for glyph in pool.tolist()]
        assert sum(often) == "".join(texts).count(character)
        assert max(often) - min(often) <= 1


def test_ink_is_owned_by_its_character_from_left_to_right() -> None:
    bases = compose(
        np.arange(1, dtype=np.int32),
        ["abc"],
        [[0, 2, 5]],
        glyphs(),
        LAYOUT,
        rng=np.random.default_rng(0),
    )
    columns = [
        np.flatnonzero(((bases.owner[0] == position) & (bases.ink[0] > 128)).any(axis=0))
        for position in range(3)
    ]
    assert columns[0].max() < columns[1].min()
    assert columns[1].max() < columns[2].min()
    assert [len(column) for column in columns] == sorted(
        len(column) for column in columns
    )  # bars get wider


def test_an_upright_layout_is_centred_and_keeps_the_gap() -> None:
    still = replace(LAYOUT, scale=(1, 1), rotation=0, shear=0, gap=(5, 5), jitter=0, length=(2, 2))
    bases = compose(
        np.arange(1, dtype=np.int32),
        ["ab"],
        [[0, 0]],
        glyphs(),
        still,
        rng=np.random.default_rng(0),
    )
    rows, columns = np.nonzero(bases.ink[0])
    assert (rows.min(), rows.max()) == (7, 26)
    assert sorted(set(columns.tolist())) in (
        [38, 39, 40, 41, 47, 48, 49, 50],
        [39, 40, 41, 42, 48, 49, 50, 51],
    )


def test_a_negative_gap_overlaps() -> None:
    tight = replace(LAYOUT, scale=(1, 1), rotation=0, shear=0, gap=(-2, -2), jitter=0)
    bases = compose(
        np.arange(1, dtype=np.int32),
        ["ab"],
        [[0, 0]],
        glyphs(),
        tight,
        rng=np.random.default_rng(0),
    )
    assert len(set(np.nonzero(bases.ink[0])[1])) == 4 + 4 - 2


def test_warping_without_change_keeps_the_glyph() -> None:
    still = replace(LAYOUT, scale=(1, 1), rotation=0, shear=0)
    np.testing.assert_array_equal(
        crop(warp(glyphs()[3], still, rng=np.random.default_rng(0))), crop(glyphs()[3])
    )


@pytest.mark.parametrize("size", [(28, 28), (40, 54)])
def test_a_character_alone_keeps_the_place_and_the_faint_ink_of_its_glyph(
    size: tuple[int, int],
) -> None:
    glyph = np.zeros((1, 28, 28), np.uint8)
    glyph[0, 3:20, 9:12] = 200
    glyph[0, 25, 2] = 7  # fainter than the edge of a glyph
    still = Layout(*size, (1, 1), (1.0, 1.0), 0.0, 0.0, (0, 0), 0.0, "canvas")
    drawn = compose(
        np.arange(1, dtype=np.int32), ["a"], [[0]], glyph, still, rng=np.random.default_rng(0)
    ).ink[0]
    top = (size[0] - 28) // 2
    left = (size[1] - 28) // 2
    np.testing.assert_array_equal(drawn[top : top + 28, left : left + 28], glyph[0])
    assert drawn.sum() == glyph.sum()


def test_a_character_alone_that_fits_only_off_its_middle_is_centred_by_its_ink() -> None:
    glyph = np.zeros((1, 28, 28), np.uint8)
    glyph[0, 0:14, 4:8] = 255
    small = Layout(18, 20, (1, 1), (1.0, 1.0), 0.0, 0.0, (0, 0), 0.0, "canvas")
    drawn = compose(
        np.arange(1, dtype=np.int32), ["a"], [[0]], glyph, small, rng=np.random.default_rng(0)
    ).ink[0]
    rows, columns = np.nonzero(drawn)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (2, 16, 8, 12)


def test_a_large_rotation_loses_no_ink() -> None:
    turning = replace(LAYOUT, scale=(1, 1), rotation=180, shear=0)
    rng = np.random.default_rng(0)
    inks = [int(warp(glyphs()[5], turning, rng=rng).sum()) for _ in range(20)]
    assert min(inks) > 0.9 * glyphs()[5].sum()


@pytest.mark.parametrize("change", [{"width": 12}, {"height": 12}])
def test_a_canvas_too_small_for_the_text_is_refused_in_one_line(change: dict[str, Any]) -> None:
    small = replace(LAYOUT, **change)
    with pytest.raises(ValueError, match=r"canvas has .* but 'abc' takes .*: enlarge it") as caught:
        compose(
            np.arange(1, dtype=np.int32),
            ["abc"],
            [[1, 2, 3]],
            glyphs(),
            small,
            rng=np.random.default_rng(0),
        )
    assert "\n" not in str(caught.value)


STRETCHED = replace(LAYOUT, fit="stretch", height=100, width=111)


def stretched(layout: Layout, ids: list[list[int]], seed: int = 0) -> Bases:
    texts = ["abcdef"[: len(row)] for row in ids]
    return compose(
        np.arange(len(ids), dtype=np.int32),
        texts,
        ids,
        glyphs(),
        layout,
        rng=np.random.default_rng(seed),
    )


def test_stretched_bars_are_where_the_box_of_their_ink_was_scaled_to() -> None:
    still = replace(STRETCHED, scale=(1, 1), rotation=0, shear=0, gap=(4, 4), jitter=0)
    bases = stretched(
        still, [[0, 4]]
    )  # bars of 4 and 8 px, 4 apart: 16 + 2 * 2 wide, 20 + 2 * 2 high
    across = 111 / 20
    down = 100 / 24
    solid = bases.ink[0] > 127
    edges = np.flatnonzero(np.diff(solid[50].astype(int))) + 1
    np.testing.assert_allclose(edges, np.array([2, 6, 10, 18]) * across, atol=1)
    np.testing.assert_allclose(
        np.flatnonzero(np.diff(solid[:, 20].astype(int))) + 1, np.array([2, 22]) * down, atol=1
    )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.integers(-6, 8),
    st.integers(0, 6),
    st.floats(0, 9),
    st.floats(0.5, 3),
    st.integers(0, 99),
)
def test_whatever_the_layout_the_ink_fills_the_stretched_canvas(
    ids: list[int], gap: int, more: int, jitter: float, scale: float, seed: int
) -> None:
    layout = replace(STRETCHED, scale=(scale, scale), gap=(gap, gap + more), jitter=jitter)
    ink = stretched(layout, [ids], seed).ink[0]
    rows, columns = np.nonzero(ink > 24)
    high = rows.max() + 1 - rows.min()
    wide = columns.max() + 1 - columns.min()
    assert ink.shape == (100, 111)
    assert high >= 100 * 10 / (10 + 4) - 4  # half of 20 px of ink at least, and 2 px on either side
    assert wide >= 111 * 2 / (2 + 4) - 4
    for before, after in ((rows.min(), 99 - rows.max()), (columns.min(), 110 - columns.max())):
        assert (
            abs(before - after) <= max(before, after) / 2 + 1
        )  # a faint edge is a pixel of the two at most


def test_the_owner_of_every_inked_pixel_is_its_character_after_stretching() -> None:
    still = replace(STRETCHED, scale=(1, 1), rotation=0, shear=0, gap=(3, 3), jitter=0)
    bases = stretched(still, [[1, 5, 2]])  # 5, 9 and 6 px, 3 apart, 2 around: 30
    middles = np.array([2 + 5 + 1.5, 2 + 5 + 3 + 9 + 1.5]) * 111 / 30
    for position, columns in enumerate(np.split(np.arange(111), np.rint(middles).astype(int))):
        part = (slice(None), columns)
        assert (bases.ink[0][part] > 0).any()
        assert (bases.owner[0][part][bases.ink[0][part] > 0] == position).all()
    assert not bases.owner[0][bases.ink[0] == 0].any()


def test_a_tall_text_is_shrunk_without_losing_its_thin_strokes() -> None:
    small = replace(
        STRETCHED, height=16, width=20, rotation=0, shear=0, scale=(1, 1), gap=(6, 6), jitter=0
    )
    ink = stretched(small, [[0] * 5]).ink[0]
    assert ink.shape == (16, 20)
    expected = (
        16 * 20 * 5 * 4 * 20 / ((5 * 4 + 4 * 6 + 4) * (20 + 4)) * 255
    )  # area is kept, by either factor
    assert ink.sum() == pytest.approx(expected, rel=0.05)


def test_jitter_shifts_characters_against_each_other_in_a_stretched_captcha() -> None:
    tops = []
    for jitter in (0, 8):
        layout = replace(STRETCHED, scale=(1, 1), rotation=0, shear=0, jitter=jitter)
        bases = stretched(layout, [[3, 3, 3]] * 5)
        tops.append(
            [
                np.ptp(
                    [np.flatnonzero(((owner == k) & (ink > 127)).any(axis=1))[0] for k in range(3)]
                )
                for ink, owner in zip(bases.ink, bases.owner, strict=True)
            ]
        )
    assert max(tops[0]) == 0
    assert min(tops[1]) > 0


def test_a_stretched_captcha_without_ink_is_empty() -> None:
    bases = compose(
        np.arange(1, dtype=np.int32),
        ["ab"],
        [[0, 0]],
        np.zeros((1, 28, 28), np.uint8),
        STRETCHED,
        rng=np.random.default_rng(0),
    )
    assert bases.ink.shape == (1, 100, 111)
    assert not bases.ink.any()


@pytest.mark.parametrize("layout", [LAYOUT, STRETCHED])
def test_the_same_stream_composes_the_same_bytes(layout: Layout) -> None:
    made = [
        compose(
            np.arange(2, dtype=np.int32),
            ["ab", "ba"],
            [[1, 2], [3, 4]],
            glyphs(),
            layout,
            rng=np.random.default_rng(7),
        ).ink
        for _ in range(2)
    ]
    np.testing.assert_array_equal(made[0], made[1])
