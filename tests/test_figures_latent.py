"""The figures of the latent space, and the sentences that say whether classes merge or widen."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from stages.figures.class_separation_figures import (
    about_noise_on_classes,
    about_separation,
    draw_separation,
    relative,
    verdicts,
)
from stages.figures.latent import about_drawings, about_plane, draw_drawings, draw_plane
from stages.figures.style import svg
from stages.insight.class_separation import (
    MEASURES,
    Space,
    separation,
)
from stages.insight.space_plane import plane_table
from stages.schemas.explain import SpaceMeasures
from stages.schemas.words import COLLAPSED, MERGED

LEVELS = (0.3, 0.6)
NOISES = {
    "gaussian": (0.4, 1.0),
    "motion_blur": (1.0, 2.0),
    "fog": (0.5, 2.0),
    "shift": (1.0, 1.0),
    "gone": (0.0, 1.0),
}


def space_of(each: int = 25, classes: int = 3, name: str = "reader") -> Space:
    """Each noise brings the classes to a share of their distance, and to a multiple of their spread."""
    rng = np.random.default_rng(0)
    labels = np.arange(each * classes) % classes
    owners = np.arange(200 * classes) % classes
    corners = 4.0 * np.eye(classes, 5)
    off = rng.normal(size=(len(labels), 5))
    middle = corners.mean(0)

    def moved(share: float, factor: float, level: float) -> NDArray[np.float64]:
        share, factor = (1 + (value - 1) * level / LEVELS[-1] for value in (share, factor))
        return np.asarray((middle + share * (corners - middle))[labels] + factor * off)

    noisy = {
        (noise, level): moved(*change, level) + (9 if noise == "shift" else 0)
        for noise, change in NOISES.items()
        for level in LEVELS
    }
    return Space(
        name,
        corners[owners] + rng.normal(size=(len(owners), 5)),
        owners,
        corners[labels] + off,
        labels,
        np.arange(len(labels)),
        noisy,
    )


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return separation(space_of(), rng=np.random.default_rng(0), draws=150)


def test_the_verdict_is_what_was_done_to_the_classes(table: pd.DataFrame) -> None:
    found = verdicts(table).set_index("noise")
    assert found["level"].unique().tolist() == [0.6]
    assert found["known"].all()
    assert found.loc["gaussian", ["distance", "spread", "fisher", "because"]].tolist() == [
        "falls",
        "unclear",
        "falls",
        "distance",
    ]
    assert found.loc["motion_blur", ["distance", "spread", "fisher", "because"]].tolist() == [
        "unclear",
        "grows",
        "falls",
        "spread",
    ]
    assert found.loc["fog", ["distance", "spread", "fisher", "because"]].tolist() == [
        "falls",
        "grows",
        "falls",
        "both",
    ]
    assert found.loc["shift", ["distance", "spread", "fisher", "because"]].tolist() == [
        "unclear",
        "unclear",
        "unclear",
        "none",
    ]
    assert found.loc["gone", ["distance", "fisher", "because"]].tolist() == [
        "falls",
        "falls",
        "distance",
    ]


def test_one_sentence_groups_the_noises(table: pd.DataFrame) -> None:
    said = about_separation(table, "reader")
    assert said == (
        "At the strongest level: under gaussian, fog and gone the class means move together; under motion blur and fog "
        "the classes spread out. Neither is clear under shift. Where either happens, characters become alike."
    )


def test_where_all_noises_do_the_same_no_list_is_needed(table: pd.DataFrame) -> None:
    alike = table[table["noise"].isin(["none", "gaussian", "gone"])]
    three = pd.concat([alike, alike[alike["noise"] == "gaussian"].assign(noise="rain")])
    assert about_separation(three, "reader") == (
        "At the strongest level: under every noise the class means move together; none spreads out. So characters "
        "become alike."
    )


def test_a_noise_is_told_with_its_numbers_and_intervals(table: pd.DataFrame) -> None:
    said = about_noise_on_classes(table, "reader", "gaussian", 0.9)
    found = re.search(
        r"class means changes by −(\d+)\u00a0% \(90\u00a0% interval −(\d+) to −(\d+)\)", said
    )
    assert found
    value, low, high = map(int, found.groups())
    assert low > value > high
    assert value == pytest.approx(60, abs=8)
    assert said.endswith("the Fisher ratio falls because class means draw together.")
    widened = about_noise_on_classes(table, "reader", "motion_blur", 0.9)
    assert re.search(
        r"spread within classes changes by \+\d\d\d?\u00a0% \(90\u00a0% interval \+", widened
    )
    assert widened.endswith("because classes spread out.")


def test_a_shift_of_all_is_no_merging_but_told(table: pd.DataFrame) -> None:
    said = about_noise_on_classes(table, "reader", "shift", 0.9)
    assert "does not clearly change, but the classes may have moved as a whole: " in said
    purity = table[
        (table["noise"] == "shift") & (table["measure"] == "purity") & (table["level"] == 0.6)
    ]["value"]
    assert f"{100 * purity.iloc[0]:.1f}\u00a0% of the nearest" in said


def test_means_that_are_one_are_told_without_a_number(table: pd.DataFrame) -> None:
    gone = table.copy()
    rows = (gone["noise"] == "gone") & gone["measure"].isin(["merging", "change", "balance"])
    gone.loc[rows, ["value", "low", "high"]] = np.nan
    gone.loc[rows, "note"] = MERGED
    said = about_noise_on_classes(gone, "reader", "gone", 0.9)
    assert "class means can no longer be told apart, and the spread" in said
    assert "nan" not in said
    assert verdicts(gone).set_index("noise").loc["gone", "because"] == "distance"
    drawn = relative(gone)
    assert (
        drawn[(drawn["noise"] == "gone") & (drawn["measure"] == "distance")]["value"].iloc[1:] == 0
    ).all()


def test_points_that_are_one_are_told() -> None:
    space = space_of()
    flat = Space(
        "reader",
        space.reference,
        space.reference_labels,
        space.clean,
        space.labels,
        space.clusters,
        {("contrast", 1.0): np.zeros_like(space.clean)},
    )
    told = separation(flat, rng=np.random.default_rng(0), draws=50)
    assert about_noise_on_classes(told, "reader", "contrast", 0.9) == (
        f"Under contrast at level 1 nothing is left: {COLLAPSED}."
    )
    assert "under contrast each class becomes one point" in about_separation(told, "reader")
    svg(draw_separation(told, "reader"))


def test_too_few_examples_give_no_verdict_but_a_figure() -> None:
    few = separation(space_of(each=4), rng=np.random.default_rng(0))
    assert about_separation(few, "reader").startswith(
        "No interval is known here, and so no verdict: class 0 has 4"
    )
    assert "no verdict: class 0 has 4" in about_noise_on_classes(few, "reader", "fog", 0.9)
    assert "(no interval: class 0 has 4" in about_plane(few, "reader", "fog", 0.5, 0.9)
    assert not verdicts(few)["known"].any()
    assert "nan" not in svg(draw_separation(few, "reader")).lower()


def test_the_figure_shows_multiples_of_the_clean_values(table: pd.DataFrame) -> None:
    found = relative(table)
    assert set(found["measure"]) == {"distance", "spread", "purity"}
    clean = found[(found["level"] == 0) & (found["measure"] != "purity")]
    assert (clean[["value", "low", "high"]] == 1).all(axis=None)
    assert set(clean["noise"]) == set(NOISES)
    last = found[found["level"] == 0.6].set_index(["noise", "measure"])
    assert last.loc[("gaussian", "distance"), "value"] == pytest.approx(0.4, abs=0.08)
    assert last.loc[("motion_blur", "spread"), "value"] == pytest.approx(2, abs=0.1)
    assert (found["low"] <= found["high"]).all()
    assert found["value"].between(found["low"], found["high"]).all()
    squares = table[(table["level"] == 0.6) & (table["noise"] == "fog")].set_index("measure")[
        "value"
    ]
    start = table[table["noise"] == "none"].set_index("measure")["value"]
    for measure in ("distance", "spread"):
        assert last.loc[("fog", measure), "value"] == pytest.approx(
            squares[measure] / start[measure]
        )


def test_the_separation_has_a_panel_a_noise_and_a_legend(table: pd.DataFrame) -> None:
    figure = draw_separation(table, "reader")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == [
        "gaussian",
        "motion blur",
        "fog",
        "shift",
        "gone",
    ]
    assert all(len(axes.get_lines()) == 4 for axes in shown)
    text = svg(figure)
    assert "distance between class means" in text
    assert text == svg(draw_separation(table, "reader"))


@pytest.mark.parametrize("classes", [3, 5])
def test_the_plane_has_a_panel_a_level_and_a_letter_a_class(classes: int) -> None:
    alphabet = "Ж$bcd"[:classes]
    plane = plane_table(space_of(classes=classes), alphabet, most=40)
    figure = draw_plane(plane, "motion_blur")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == [
        "clean",
        "motion blur 0.3",
        "motion blur 0.6",
    ]
    for axes in shown:
        assert sorted(text.get_text() for text in axes.texts) == sorted(alphabet)
        assert sum(np.shape(dots.get_offsets())[0] for dots in axes.collections) == 40
    assert len({axes.get_xlim() for axes in shown}) == 1
    text = svg(figure)
    assert len(text) < 200_000
    assert text == svg(draw_plane(plane, "motion_blur"))


def test_more_classes_than_the_palette_has_get_colours_of_their_own() -> None:
    rng = np.random.default_rng(0)
    letters = [chr(ord("A") + i) for i in range(33)]
    plane = pd.DataFrame(
        {
            "space": "vae",
            "noise": "none",
            "level": 0.0,
            "character": letters,
            "x": rng.normal(size=33),
            "y": rng.normal(size=33),
        }
    )
    dots: Any = draw_plane(plane, "fog").axes[0].collections
    assert len({tuple(one.get_facecolor()[0]) for one in dots}) == 33


def test_the_plane_s_sentence_has_its_share_and_the_neighbours(table: pd.DataFrame) -> None:
    said = about_plane(table, "reader", "fog", 0.381, 0.9)
    values = table[table["measure"] == "purity"].set_index(["noise", "level"])["value"]
    assert said.startswith("The plane holds 38.1\u00a0% of the clean variance; ")
    assert f"{100 * values['none', 0.0]:.1f}\u00a0% (90\u00a0% interval " in said
    assert f"{100 * values['fog', 0.6]:.1f}\u00a0% (90\u00a0% interval " in said
    assert said.endswith("under fog at level 0.6.")


def test_drawings_are_ink_on_white_in_named_rows() -> None:
    glyphs = np.zeros((4, 28, 28), np.uint8)
    glyphs[:, 10:14] = 255
    figure = draw_drawings(["glyphs", "drawn again"], [glyphs, glyphs // 2])
    sheet = np.asarray(figure.axes[0].get_images()[0].get_array())
    assert (sheet[11:15, 2:28] == 0).all()
    assert (sheet[3:10, 2:28] == 255).all()
    assert {text.get_text() for text in figure.axes[0].texts} >= {"glyphs", "drawn again"}


def test_the_drawings_sentence_names_the_noise_that_costs_most() -> None:
    names = ["noise", "level", "reconstruction", "reconstruction_low", "reconstruction_high"]
    losses = pd.DataFrame(
        [
            ["none", 0.0, 90.2, 88.1, 91.9],
            ["fog", 0.4, 400.0, 390.0, 410.0],
            ["salt_and_pepper", 0.2, 800.4, np.nan, np.nan],
        ],
        columns=names,
    )
    assert about_drawings(losses, 7, 8, 0.9) == (
        "The autoencoder uses 7 of its 8 dimensions and draws a clean glyph it has not seen at a cost of 90 nats "
        "(90\u00a0% interval 88 to 92); salt and pepper at level 0.2 costs most, 800 nats."
    )
    assert about_drawings(losses[:1], 7, 8, 0.9).endswith("(90\u00a0% interval 88 to 92).")


def test_every_measure_has_a_name_and_a_row(table: pd.DataFrame) -> None:
    assert list(table.columns) == SpaceMeasures.names()
    assert len(table) == (1 + len(NOISES) * len(LEVELS)) * len(MEASURES)
