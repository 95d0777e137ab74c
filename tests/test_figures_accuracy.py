"""Accuracy by level, character and colour, against counting by hand and statsmodels."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from stages.figures.accuracy import (
    PALE,
    about_breakdown,
    about_levels,
    accuracy_by,
    draw_breakdown,
    draw_fans,
    draw_levels,
    first_glyphs,
    reader_accuracy_by_level,
)
from stages.figures.style import PALETTE, line_style
from stages.schemas.figures import Accuracy
from stages.statistics.proportions import clustered_proportion


def observations(seed: int, length: int = 3, captchas: int = 8) -> pd.DataFrame:
    """Characters of every captcha under clean, two fogs and one elastic; text "abc…", now and then an insertion."""
    rng = np.random.default_rng(seed)
    rows = []
    for captcha, (condition, (noise, level)) in itertools.product(
        range(captchas), enumerate([("none", 0.0), ("fog", 0.5), ("fog", 1.0), ("elastic", 0.5)])
    ):
        truth = "abcd"[:length]
        guesses = [character if rng.random() > 0.4 * level + 0.1 else "" for character in truth]
        reading = "".join(guesses) + ("d" if rng.random() < 0.2 else "")
        rows += [
            {
                "captcha": captcha,
                "condition": condition,
                "position": position,
                "text": truth,
                "reading": reading,
                "truth": truth[position],
                "guess": guess,
                "success": guess == truth[position],
                "noise": noise,
                "level": level,
                "colour": ("grey", "colour")[captcha % 2],
                "glyph": 10 * (captcha % 5) + position,
            }
            for position, guess in enumerate(guesses)
        ]
    return pd.DataFrame(rows)


READ = {"one": observations(1), "two": observations(2)}


@pytest.mark.parametrize("reader", READ)
@pytest.mark.parametrize(
    ("noise", "level"), [("fog", 0.0), ("fog", 0.5), ("fog", 1.0), ("elastic", 0.5)]
)
def test_a_cell_is_what_counting_by_hand_gives(reader: str, noise: str, level: float) -> None:
    table = reader_accuracy_by_level(READ, ["fog", "elastic"], 0.9)
    row = table[
        (table["reader"] == reader) & (table["noise"] == noise) & (table["level"] == level)
    ].iloc[0]
    cell = [
        r
        for r in READ[reader].to_dict("records")
        if r["level"] == level and r["noise"] == (noise if level else "none")
    ]
    whole = {r["captcha"]: r["text"] == r["reading"] for r in cell}
    right, captcha, glyph = (
        np.array([r[name] for r in cell]) for name in ("success", "captcha", "glyph")
    )
    assert row["character_accuracy"] == pytest.approx(sum(right) / len(cell))
    assert row["exact_match"] == pytest.approx(sum(whole.values()) / len(whole))
    assert (row["observations"], row["clusters"]) == (len(cell), len(whole))
    expected = clustered_proportion(right, captcha, glyph, confidence=0.9)
    assert tuple(row[["character_accuracy", "character_low", "character_high"]]) == pytest.approx(
        expected
    )
    texts = glyph.reshape(len(whole), -1)
    expected = clustered_proportion(
        np.array(list(whole.values())), np.array(list(whole)), texts, confidence=0.9
    )
    assert tuple(row[["exact_match", "exact_low", "exact_high"]]) == pytest.approx(expected)


def test_every_noise_type_starts_at_the_same_clean_captchas() -> None:
    table = reader_accuracy_by_level(READ, ["fog", "elastic"], 0.95)
    assert list(table.columns) == Accuracy.names()
    starts = (
        table[table["level"] == 0]
        .groupby("reader")[["character_accuracy", "exact_match"]]
        .nunique()
    )
    assert (starts == 1).all(axis=None)
    assert len(table) == 2 * (3 + 2)


def test_accuracy_by_a_factor_is_a_mean_in_the_order_asked_for_and_leaves_out_what_does_not_occur() -> (
    None
):
    table = accuracy_by("truth", READ, "czba", 0.95)
    assert table["truth"].tolist() == ["c", "b", "a"] * 2
    for row in table.to_dict("records"):
        rows = [
            r["success"]
            for r in READ[row["reader"]].to_dict("records")
            if r["truth"] == row["truth"]
        ]
        assert row["accuracy"] == pytest.approx(np.mean(rows))
        assert (row["observations"], row["clusters"]) == (len(rows), 8)


def test_a_character_of_a_single_captcha_has_a_share_and_no_interval() -> None:
    rows = {
        name: table.assign(truth=table["truth"].where(table["captcha"] != 3, "x"))
        for name, table in READ.items()
    }
    row = accuracy_by("truth", rows, "x", 0.95).iloc[0]
    assert row["accuracy"] == pytest.approx(
        READ["one"].loc[READ["one"]["captcha"] == 3, "success"].mean()
    )
    assert row[["low", "high"]].isna().all()
    assert row["clusters"] == 1


def test_renderings_have_the_glyphs_of_their_characters_and_none_where_they_are_shorter() -> None:
    rows = pd.concat(
        [observations(1, length=1, captchas=1).head(1).assign(captcha=9), observations(1)]
    )
    assert first_glyphs(rows)[[0, 1, -1]].tolist() == [[0, -1, -1], [0, 1, 2], [20, 21, 22]]


def test_of_a_single_glyph_a_share_has_no_interval() -> None:
    row = accuracy_by("truth", {"one": READ["one"].assign(glyph=4)}, "a", 0.95).iloc[0]
    assert row[["low", "high"]].isna().all()


def test_a_panel_has_a_line_a_reader_through_its_accuracies() -> None:
    table = reader_accuracy_by_level(READ, ["fog", "elastic"], 0.95)
    figure = draw_levels(table, "exact", 0.01, "one")
    fog = next(axes for axes in figure.axes if axes.get_title(loc="left") == "fog")
    for reader, line in zip(READ, fog.lines, strict=False):
        rows = table[(table["reader"] == reader) & (table["noise"] == "fog")]
        np.testing.assert_array_equal(line.get_ydata(), rows["exact_match"])
    assert [text.get_text() for text in fog.texts] == list(READ)


def test_the_reports_reader_has_the_colour_of_the_noise_and_the_others_are_pale() -> None:
    table = reader_accuracy_by_level(READ, ["fog", "elastic"], 0.95)
    for axes, colour in zip(draw_levels(table, "exact", 0.01, "two").axes, PALETTE, strict=False):
        assert [line.get_color() for line in axes.lines[:2]] == [PALE, colour]


def test_lines_can_be_told_apart_without_colour() -> None:
    looks = {(style["marker"], str(style["linestyle"])) for style in map(line_style, range(40))}
    assert len(looks) == 40


@pytest.mark.parametrize("count", [1, 2, 7, 22])
def test_any_number_of_noise_types_can_be_drawn(count: int) -> None:
    table = pd.concat(
        [
            reader_accuracy_by_level(READ, ["fog"], 0.95).assign(noise=f"noise_{i}")
            for i in range(count)
        ]
    )
    panels = [
        axes for axes in draw_levels(table, "character", 0.1, "one").axes if axes.get_visible()
    ]
    assert len(panels) == count
    labels = [text.get_text() for text in draw_fans(table, ["one"]).axes[0].texts]
    assert {f"noise {i}" for i in range(count)} <= set(labels)


def test_a_breakdown_shows_every_interval_whole() -> None:
    tables = [
        (factor, accuracy_by(factor, READ, values, 0.95))
        for factor, values in (("truth", ["a", "b", "c"]), ("colour", ["grey"]))
    ]
    figure = draw_breakdown(tables)
    bottom, top = figure.axes[0].get_ylim()
    assert bottom < min(table["low"].min() for _, table in tables)
    assert top > max(table["high"].max() for _, table in tables)


LEVELS = pd.DataFrame(
    [
        [
            "noisy",
            noise,
            level,
            0.9 * exact,
            0.88 * exact,
            0.92 * exact,
            exact,
            exact - 0.04,
            exact + 0.04,
            100,
            10,
        ]
        for noise, shares in (("fog", (0.9, 0.2)), ("gaussian_blur", (0.9, 0.8)))
        for level, exact in zip((0.0, 0.8), shares, strict=True)
    ],
    columns=Accuracy.names(),
)


def test_the_range_over_noise_types_is_told_at_the_strongest_level_with_intervals() -> None:
    assert about_levels(LEVELS, "noisy", "exact") == (
        "Without noise `noisy` reads 90\u00a0% (86 to 94\u00a0%) of the captchas whole; at level 0.8 between 20\u00a0% "
        "(16 to 24\u00a0%) under fog and 80\u00a0% (76 to 84\u00a0%) under gaussian blur."
    )
    assert about_levels(LEVELS[:0], "noisy", "exact") == "No noise was tested."
    assert "of fog" in about_levels(LEVELS[:2], "noisy", "character")


def test_the_hardest_and_the_easiest_are_told_and_not_tested_by_their_intervals() -> None:
    table = pd.DataFrame(
        [["r", "a", 0.9, 0.88, 0.92], ["r", "b", 0.5, 0.48, 0.52]],
        columns=["reader", "character", "accuracy", "low", "high"],
    )
    said = about_breakdown([("character", table)], "r")
    assert "from 50\u00a0% (48 to 52\u00a0%) for “b” to 90\u00a0% (88 to 92\u00a0%) for “a”" in said
    assert "differ" not in said
    assert "one character" in about_breakdown([("character", table[:1])], "r")
