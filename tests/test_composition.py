"""Base captchas: balance, placement, and what does not fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.captcha.composition import Layout, balanced, compose, crop, draw_glyphs, draw_texts, warp

LAYOUT = Layout(height=34, width=90, length=(2, 3), scale=(0.9, 1.1), rotation=10, shear=0.1, gap=(1, 3), jitter=2)


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
    drawn = np.concatenate([balanced(first, min(part, n - first), values, rng=rng) for first in range(0, n, part)])
    counts = np.bincount(drawn, minlength=values)
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1


def test_texts_are_balanced_over_alphabet_positions_and_lengths() -> None:
    texts = draw_texts(0, 60, "АБВГ", (2, 4), rng=np.random.default_rng(0))
    assert Counter(map(len, texts)) == {2: 20, 3: 20, 4: 20}
    assert Counter(text[0] for text in texts) == dict.fromkeys("АБВГ", 15)
    assert Counter(text[1] for text in texts) == dict.fromkeys("АБВГ", 15)


def test_glyphs_come_from_the_pool_of_their_character() -> None:
    pools = {"0": np.array([1, 3]), "1": np.array([2])}
    drawn = draw_glyphs(["01", "10", "00"] * 20, pools, rng=np.random.default_rng(0))
    assert {ids[0] for ids in drawn[::3]} == {1, 3}
    assert {ids[1] for ids in drawn[::3]} == {2}


def test_ink_is_owned_by_its_character_from_left_to_right() -> None:
    bases = compose(np.arange(1, dtype=np.int32), ["abc"], [[0, 2, 5]], glyphs(), LAYOUT, rng=np.random.default_rng(0))
    columns = [np.flatnonzero(((bases.owner[0] == position) & (bases.ink[0] > 128)).any(axis=0))
               for position in range(3)]
    assert columns[0].max() < columns[1].min()
    assert columns[1].max() < columns[2].min()
    assert [len(column) for column in columns] == sorted(len(column) for column in columns)  # bars get wider


def test_an_upright_layout_is_centred_and_keeps_the_gap() -> None:
    still = replace(LAYOUT, scale=(1, 1), rotation=0, shear=0, gap=(5, 5), jitter=0, length=(2, 2))
    bases = compose(np.arange(1, dtype=np.int32), ["ab"], [[0, 0]], glyphs(), still, rng=np.random.default_rng(0))
    rows, columns = np.nonzero(bases.ink[0])
    assert (rows.min(), rows.max()) == (7, 26)
    assert sorted(set(columns.tolist())) in ([38, 39, 40, 41, 47, 48, 49, 50], [39, 40, 41, 42, 48, 49, 50, 51])


def test_a_negative_gap_overlaps() -> None:
    tight = replace(LAYOUT, scale=(1, 1), rotation=0, shear=0, gap=(-2, -2), jitter=0)
    bases = compose(np.arange(1, dtype=np.int32), ["ab"], [[0, 0]], glyphs(), tight, rng=np.random.default_rng(0))
    assert len(set(np.nonzero(bases.ink[0])[1])) == 4 + 4 - 2


def test_warping_without_change_keeps_the_glyph() -> None:
    still = replace(LAYOUT, scale=(1, 1), rotation=0, shear=0)
    np.testing.assert_array_equal(warp(glyphs()[3], still, rng=np.random.default_rng(0)), crop(glyphs()[3]))


def test_a_large_rotation_loses_no_ink() -> None:
    turning = replace(LAYOUT, scale=(1, 1), rotation=180, shear=0)
    rng = np.random.default_rng(0)
    inks = [int(warp(glyphs()[5], turning, rng=rng).sum()) for _ in range(20)]
    assert min(inks) > 0.9 * glyphs()[5].sum()


@pytest.mark.parametrize("change", [{"width": 12}, {"height": 12}])
def test_a_canvas_too_small_for_the_text_is_refused_in_one_line(change: dict[str, int]) -> None:
    small = replace(LAYOUT, **change)
    with pytest.raises(ValueError, match=r"canvas has .* but 'abc' takes .*: enlarge it") as caught:
        compose(np.arange(1, dtype=np.int32), ["abc"], [[1, 2, 3]], glyphs(), small, rng=np.random.default_rng(0))
    assert "\n" not in str(caught.value)


def test_the_same_stream_composes_the_same_bytes() -> None:
    made = [compose(np.arange(2, dtype=np.int32), ["ab", "ba"], [[1, 2], [3, 4]], glyphs(), LAYOUT,
                    rng=np.random.default_rng(7)).ink for _ in range(2)]
    np.testing.assert_array_equal(*made)
