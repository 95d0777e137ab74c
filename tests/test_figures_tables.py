"""Confusion, counts, pixels, associations and effects, against counting by hand and outside authorities."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association

from stages.figures.associations import associations, draw_associations
from stages.figures.coefficients import (
    about_effects,
    about_slopes,
    dose_slopes,
    draw_effects,
    draw_slopes,
    factor_rows,
)
from stages.figures.confusion import about_confusion, confusion_table, draw_confusion, share_matrix
from stages.figures.counts import count_characters, draw_counts, draw_mean_glyphs
from stages.figures.pixels import IMAGES_IN_MEMORY, luma_statistics, pixels_by_level
from stages.schemas.words import MISSED

RNG = np.random.default_rng(5)
READ = {
    name: pd.DataFrame(
        {"truth": RNG.choice(list("abж"), 200), "guess": RNG.choice(["", *"abж"], 200)}
    )
    for name in ("one", "two")
}


def test_a_confusion_cell_counts_its_characters_and_shares_its_row() -> None:
    table = confusion_table(READ, "abж")
    for reader, actual, predicted in itertools.product(READ, "abж", ["a", "b", "ж", MISSED]):
        rows = READ[reader][READ[reader]["truth"] == actual]
        count = sum(guess == ("" if predicted == MISSED else predicted) for guess in rows["guess"])
        cell = table[
            (table["reader"] == reader)
            & (table["actual"] == actual)
            & (table["predicted"] == predicted)
        ]
        assert cell["count"].tolist() == ([count] if count else [])
        assert cell["share"].tolist() == pytest.approx([count / len(rows)] if count else [])


def test_the_rows_of_a_confusion_matrix_sum_to_one_and_its_last_column_is_missed() -> None:
    cells = confusion_table(READ, "abж")
    matrix = share_matrix(cells[cells["reader"] == "one"], "abж")
    assert matrix.shape == (3, 4)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    missed = cells[
        (cells["reader"] == "one") & (cells["actual"] == "ж") & (cells["predicted"] == MISSED)
    ]
    assert matrix[2, 3] == missed["share"].item()


def test_the_commonest_mistake_and_the_share_that_is_missed_are_told() -> None:
    cells = pd.DataFrame(
        [
            ["r", "a", "a", 6, 0.6],
            ["r", "a", "b", 1, 0.1],
            ["r", "a", "missed", 3, 0.3],
            ["r", "b", "a", 2, 0.2],
            ["r", "b", "b", 8, 0.8],
        ],
        columns=["reader", "actual", "predicted", "count", "share"],
    )
    assert about_confusion(cells, "r") == (
        "The commonest mistake of `r` is to read “b” as “a” (20.0\u00a0% of them); it misses 15.0\u00a0% of all "
        "characters."
    )
    right = cells[cells["actual"] == cells["predicted"]]
    assert "took no character for another" in about_confusion(right, "r")


def test_a_confusion_matrix_says_its_percentages() -> None:
    cells = pd.DataFrame(
        {"actual": ["a", "a", "b"], "predicted": ["a", MISSED, "b"], "share": [0.75, 0.25, 1.0]}
    )
    axes = draw_confusion(cells, "ab").axes[0]
    said = {tuple(map(float, text.get_position())): text.get_text() for text in axes.texts}
    assert said == {(0, 0): "75", (2, 0): "25", (1, 1): "100"}


def test_characters_are_counted_at_every_position_of_texts_of_any_length() -> None:
    table = count_characters({"train": ["ab", "b", "abb"], "test": ["a"]}, "ab")
    counts = {
        (row["split"], row["character"], row["position"]): row["count"]
        for row in table.to_dict("records")
    }
    assert counts == {
        ("train", "a", 1): 2,
        ("train", "a", 2): 0,
        ("train", "a", 3): 0,
        ("train", "b", 1): 1,
        ("train", "b", 2): 2,
        ("train", "b", 3): 1,
        ("test", "a", 1): 1,
        ("test", "b", 1): 0,
    }
    assert len(draw_counts(table).axes) == 2


def test_luma_statistics_are_those_of_each_image_over_block_borders() -> None:
    images = RNG.integers(0, 256, (IMAGES_IN_MEMORY + 3, 5, 7, 3), dtype=np.uint8)
    means, spreads = luma_statistics(images)
    luma = images @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(means, luma.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(spreads, luma.std(axis=(1, 2)), atol=1e-6)


def test_pixels_by_level_are_means_with_the_clean_ones_under_every_type() -> None:
    images = pd.DataFrame(
        {
            "noise": ["none", "fog", "fog", "dots"],
            "level": [0, 0.5, 0.5, 0.5],
            "luma_mean": [0.1, 0.2, 0.4, 0.5],
            "luma_sd": [0.0, 0.1, 0.3, 0.9],
        }
    )
    renderings = pd.DataFrame(
        {
            "noise": ["none", "none", "fog", "dots"],
            "level": [0, 0, 0.5, 0.5],
            "rmse": [0, 0, 0.3, 0.6],
            "ssim": [1, 1, 0.5, 0.25],
        }
    )
    table = pixels_by_level(images, renderings, ["fog", "dots"])
    expected = [
        ["fog", 0, 0.1, 0, 0, 1],
        ["fog", 0.5, 0.3, 0.2, 0.3, 0.5],
        ["dots", 0, 0.1, 0, 0, 1],
        ["dots", 0.5, 0.5, 0.9, 0.6, 0.25],
    ]
    for row, wanted in zip(table.to_numpy().tolist(), expected, strict=True):
        assert row[0] == wanted[0]
        assert row[1:] == pytest.approx(wanted[1:])


def factors() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    noise = rng.choice(["fog", "dots", "none"], 300, p=[0.5, 0.3, 0.2])
    level = rng.random(300) + (noise == "fog")
    return pd.DataFrame(
        {
            "noise": noise,
            "colour": np.where(rng.random(300) < 0.7, noise, "grey"),
            "level": level,
            "rmse": level**2 - rng.random(300),
            "constant": 1.0,
            "only": "x",
        }
    )


def strength(a: str, b: str) -> float:
    table = associations(factors())
    return float(table[(table["a"] == a) & (table["b"] == b)]["strength"].item())


def test_two_numbers_are_associated_by_the_size_of_their_correlation() -> None:
    table = factors()
    assert strength("level", "rmse") == pytest.approx(
        abs(np.corrcoef(table["level"], table["rmse"])[0, 1])
    )


def test_two_categories_are_associated_by_cramers_v() -> None:
    table = factors()
    assert strength("noise", "colour") == pytest.approx(
        association(pd.crosstab(table["noise"], table["colour"]))
    )


def test_a_category_and_a_number_are_associated_by_the_root_of_r2_of_the_dummy_regression() -> None:
    table = factors()
    dummies = pd.get_dummies(table["noise"]).to_numpy(float)
    fitted = dummies @ np.linalg.lstsq(dummies, table["level"], rcond=None)[0]
    assert strength("noise", "level") == pytest.approx(
        np.sqrt(fitted.var() / table["level"].var(ddof=0))
    )
    assert strength("level", "noise") == strength("noise", "level")


@pytest.mark.parametrize("other", ["noise", "level", "only", "constant"])
def test_what_never_varies_is_associated_with_nothing(other: str) -> None:
    assert strength("constant", other) == pytest.approx(0)
    assert strength("only", other) == pytest.approx(0)


def test_associations_make_a_square() -> None:
    table = associations(factors())
    assert len(table) == 36
    assert len(draw_associations(table).axes[0].texts) == 36


COEFFICIENTS = pd.DataFrame(
    [("slopes", "one", "level:noise", "fog", "level × fog", -0.5, -0.6, -0.4),
     ("slopes", "one", "level:noise", "dots", "level × dots", -0.8, -0.9, -0.7),
     ("slopes", "all", "level:noise", "fog", "level × fog", -0.4, -0.5, -0.3),
     ("slopes", "two", "level:noise", "fog", "level × fog", 0.1, np.nan, np.nan),
     ("full", "all", "digit", "1", "digit 1", 0.02, 0.01, 0.03),
     ("full", "all", "colour", "grey", "colour grey", -0.04, -0.05, -0.03),
     ("full", "all", "level", "", "level", -0.7, -0.8, -0.6)],
    columns=["specification", "reader", "term", "category", "label", "estimate", "low", "high"])  # fmt: skip


def test_dose_slopes_are_points_for_a_tenth_of_level_by_reader() -> None:
    table = dose_slopes(COEFFICIENTS, ["two", "one"], "slopes", "level")
    assert table[["reader", "noise"]].to_numpy().tolist() == [
        ["two", "fog"],
        ["one", "fog"],
        ["one", "dots"],
    ]
    assert table["points"].tolist() == pytest.approx([1, -5, -8])
    assert table["high"].tolist()[1:] == pytest.approx([-4, -7])
    assert np.isnan(table["low"][0])


def test_slopes_stand_in_the_order_of_the_noise_types() -> None:
    slopes = dose_slopes(COEFFICIENTS, ["two", "one"], "slopes", "level")
    axes = draw_slopes(slopes, ["dots", "lines", "fog"], "level").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dots", "fog"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_the_largest_effect_is_the_one_of_either_sign() -> None:
    effects = pd.DataFrame(
        [["digit", "1", 2.0, 1.0, 3.0], ["digit", "7", -4.0, -5.0, -3.0]],
        columns=["term", "category", "points", "low", "high"],
    )
    assert "character 7 beside 0, −4 (−5 to −3) points" in about_effects(
        effects, {"digit": "0"}, 0.95
    )
    assert about_effects(effects[:0], {}, 0.95) == "No effect was estimated."


def test_slopes_are_told_with_what_they_rest_on() -> None:
    slopes = dose_slopes(COEFFICIENTS, ["one"], "slopes", "level")
    said = about_slopes(slopes, 0.9)
    assert "90\u00a0% interval. `one`: dots, −8 (−9 to −7) points." in said
    assert "depends on which levels were tested" in said
    assert about_slopes(slopes[:0], 0.9) == "No slope was estimated."


def test_factor_effects_are_points_beside_the_reference() -> None:
    table = factor_rows(COEFFICIENTS, "full")
    assert table[["term", "category"]].to_numpy().tolist() == [["colour", "grey"], ["digit", "1"]]
    assert table["points"].tolist() == pytest.approx([-4, 2])
    labels = {
        axes.get_title(loc="left"): axes.get_xlabel()
        for axes in draw_effects(table, {"colour": "black_on_white", "digit": "0"}).axes
    }
    assert labels == {"colour": "points, beside black on white", "character": "points, beside 0"}


def test_the_mean_glyphs_are_drawn_dark_on_white() -> None:
    means = np.zeros((2, 28, 28), np.uint8)
    means[1, 3, 4] = 200
    sheet = draw_mean_glyphs(means, ["a", "b"], [5, 6]).axes[0].images[0].get_array()
    assert sheet is not None
    assert (sheet < 255).sum() == 3
    assert sheet.min() == 55
