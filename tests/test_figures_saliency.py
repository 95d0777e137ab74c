"""Pictures of maps and the sentences beneath them, from numbers made up for the purpose."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stages.figures.saliency_checks import (
    about_curves,
    about_drift,
    about_randomised,
    draw_curves,
    draw_drift,
    draw_randomised,
)
from stages.figures.saliency_maps import (
    STRIP_HEIGHT,
    about_mean_maps,
    about_saliency,
    draw_mean_maps,
    draw_saliency,
    marked_overlay,
    overlay,
)
from stages.figures.style import png, svg
from stages.schemas.explain import MeanMaps, SaliencyArrays

IMAGE = np.full((10, 24, 3), 200, np.uint8)
MAP = np.zeros((10, 24), np.float32)
MAP[2:6, 3:8] = 1
TOLD = ["value", "low", "high", "captchas", "note"]


def mean_maps(maps: dict[str, tuple[np.ndarray, np.ndarray]], counts: list[int]) -> MeanMaps:
    values = np.array([one[0] for one in maps.values()])
    glyphs = np.array([one[1] for one in maps.values()])
    return MeanMaps(values, glyphs, np.array(list(maps)), np.array(counts))


def arrays(method: str = "other", note: str = "") -> SaliencyArrays:
    """The same picture and map under three noises, clean and noisy."""
    none = mean_maps({}, [])
    return SaliencyArrays(
        mean_maps=none.mean_maps,
        mean_glyphs=none.mean_glyphs,
        mean_characters=none.mean_characters,
        mean_counts=none.mean_counts,
        grid_images=np.array([[IMAGE] * 2] * 3),
        grid_maps=np.array([[MAP] * 2] * 3, np.float16),
        grid_posterior=np.array([[0.99, 0.12]] * 3),
        grid_read=np.array([[True, False]] * 3),
        grid_span=np.array([3, 8]),
        grid_noises=np.array(["fog", "gaussian_blur", "lines"]),
        grid_levels=np.array([0, 0.4]),
        grid_method=method,
        grid_character="3",
        note=note,
    )


def row(
    noise: str, level: float, method: str, measure: str, value: float, half: float = 0.05
) -> list[object]:
    few = not np.isfinite(half)
    return [
        noise,
        level,
        method,
        measure,
        value,
        value - half,
        value + half,
        3 if few else 20,
        "3 captcha(s): too few for an interval" if few else "",
    ]


def measures(half: float = 0.05) -> pd.DataFrame:
    rows = [
        row("none", 0.0, method, name, value, half)
        for method, lift in (("one", 0.0), ("other", 0.1))
        for name, value in (
            ("mass", 0.6 + lift),
            ("chance", 0.04),
            ("deletion_over_random", 0.3 + lift),
            ("insertion_over_random", 0.3 + lift),
            ("deletion_over_ink", lift),
            ("insertion_over_ink", -0.2),
        )
    ]
    rows += [row("all", np.nan, "other", "mass", 0.5, half)]
    rows += [
        row(noise, level, method, "drift", start * (1 - level), half)
        for method in ("one", "ink")
        for noise, start in (("fog", 0.9), ("gaussian_blur", 0.5))
        for level in (0.4, 0.8)
    ]
    return pd.DataFrame(rows, columns=["noise", "level", "method", "measure", *TOLD])


def test_colour_lies_where_the_map_speaks_for_the_character_and_nowhere_else() -> None:
    drawn = marked_overlay(IMAGE, MAP - 0.5 * (MAP == 0), (3, 8)).astype(int)
    assert drawn.shape == (20 + STRIP_HEIGHT, 48, 3)
    coloured = np.ptp(drawn[:20], axis=2) > 10
    np.testing.assert_array_equal(coloured, np.repeat(np.repeat(MAP > 0, 2, 0), 2, 1))
    bar = np.flatnonzero((np.ptp(drawn[20:], axis=2) > 10).any(axis=0))
    assert (bar[0], bar[-1] + 1) == (6, 16)
    assert overlay(IMAGE, np.zeros_like(MAP)).shape == (20, 48, 3)


def test_the_grid_has_a_caption_a_picture_and_a_cross_where_it_was_not_said() -> None:
    figure = draw_saliency(arrays())
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"clean", "level 0.4", "gaussian blur", "99 %", "12 % ✗"} <= set(texts)
    assert png(figure)[1:4] == b"PNG"


def test_mean_maps_are_in_rows_of_ten_with_their_counts() -> None:
    means = {name: (MAP[:, :10], (MAP[:, :10] > 0).astype(np.float32)) for name in "0123456789AB"}
    figure = draw_mean_maps(mean_maps(means, [7] * 12))
    assert figure is not None
    assert {"0: 7", "B: 7"} <= {text.get_text() for text in figure.axes[0].texts}
    assert draw_mean_maps(mean_maps({}, [])) is None


def test_curves_drift_and_randomisation_draw_a_line_a_method_through_the_numbers() -> None:
    curves = pd.DataFrame(
        [
            [renderings, curve, method, share, 1 - share, np.nan, np.nan, 3, "few"]
            for renderings in ("clean", "noisy")
            for curve in ("deletion", "insertion")
            for method in ("one", "ink")
            for share in (0.0, 0.25, 1.0)
        ],
        columns=["renderings", "curve", "method", "share", *TOLD],
    )
    figure = draw_curves(curves)
    assert [line.get_label() for line in figure.axes[0].lines] == ["one", "ink"]
    np.testing.assert_allclose(np.asarray(figure.axes[0].lines[0].get_ydata()), [1, 0.75, 0])
    drift = draw_drift(measures())
    titles = [axes.get_title(loc="left") for axes in drift.axes if axes.get_visible()]
    assert titles == ["fog", "gaussian blur"]
    np.testing.assert_allclose(np.asarray(drift.axes[0].lines[0].get_ydata()), [1, 0.54, 0.18])
    assert svg(draw_randomised(layers())).startswith("<?xml")


def layers() -> pd.DataFrame:
    return pd.DataFrame(
        [
            [method, f"layer{k}", k, name, value, value - 0.05, value + 0.05, 20, ""]
            for method, lift in (("one", 0.0), ("other", 0.1))
            for k in (1, 2)
            for name, value in (("spearman", 0.5 - 0.2 * k + lift), ("whole", 0.98))
        ],
        columns=["method", "layer", "layers", "measure", *TOLD],
    )


def test_sentences_tell_the_numbers_with_their_intervals() -> None:
    said = about_saliency(measures(), arrays("other", "has no gradients: occlusion only"))
    for part in (
        "70.0\u00a0%",
        "this map (other)",
        "65.0\u00a0% to 75.0\u00a0%",
        "chance is 4.0\u00a0%",
        "no gradients: masking only",
    ):
        assert part in said
    curves = about_curves(measures())
    assert "every map beats a random map by deletion" in curves
    assert (
        "other beats plain ink by deletion (best: other, by 0.10 (0.05 to 0.15) of area)" in curves
    )
    assert "no map surely beats plain ink by insertion" in curves
    drift = about_drift(measures(), "one")
    assert (
        "least like the clean one under gaussian blur, with a rank correlation of 0.10 (0.05 to 0.15)"
        in drift
    )
    assert "most like it under fog" in drift
    assert "at most 0.20 (0.15 to 0.25)" in about_randomised(layers())


def test_no_interval_is_made_up_where_captchas_are_few() -> None:
    few = measures(np.nan)
    assert "too few for an interval" in about_saliency(few, arrays("one"))
    assert "no map surely beats a random map" in about_curves(few)
    assert "too few for an interval" in about_drift(few, "one")


@pytest.mark.parametrize(("on", "off"), [("3", "8"), ("8", "3")])
def test_the_character_whose_map_keeps_to_its_glyph_is_named(on: str, off: str) -> None:
    glyph = (MAP > 0).astype(np.float32)
    said = about_mean_maps(mean_maps({on: (MAP, glyph), off: (1 - MAP, glyph)}, [12, 15]))
    assert said.index(f"“{on}”") < said.index(f"“{off}”")
    assert "from 12 and 15 clean characters" in said
    assert "Too few" in about_mean_maps(mean_maps({on: (MAP, glyph)}, [1]))
