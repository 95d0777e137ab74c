"""Figures of unseen classes: drawn from the rows, and sentences whose numbers are the rows'."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stages.figures.anomaly_figures import (
    about_alarms,
    about_detection,
    about_hardest,
    about_scores,
    about_unseen_under_noise,
    draw_detection,
    draw_hardest,
    draw_scores,
    draw_under_noise,
    hardest,
)
from stages.figures.style import png, svg
from stages.schemas.explain import UnseenArrays

AUROC = {
    ("a", "ink"): 0.31,
    ("a", "elbo"): 0.93,
    ("a", "features"): 0.99,
    ("b", "ink"): 0.61,
    ("b", "elbo"): 0.87,
    ("b", "features"): 0.97,
}
CONDITIONS = [("none", 0.0), ("fog", 0.5), ("gaussian_blur", 0.5)]
ROWS = pd.DataFrame(
    [
        {
            "held_out": held,
            "method": method,
            "noise": noise,
            "level": level,
            "n_normal": 40,
            "n_anomalous": 20,
            "auroc": auroc - drop * level,
            "low": auroc - drop * level - 0.02,
            "high": auroc - drop * level + 0.01,
            "aupr": 0.5,
            "tpr_at_5": auroc - 0.2,
            "tpr_low": auroc - 0.3,
            "tpr_high": auroc - 0.1,
            "false_alarms": 0.06,
            "note": "",
        }
        for (held, method), auroc in AUROC.items()
        for drop, (noise, level) in zip((0, 0.2, 0.4), CONDITIONS, strict=True)
    ]
)

RNG = np.random.default_rng(1)
LABELS = np.arange(60) % 3
SCORES = RNG.normal(0, 1, 60) + 2 * (LABELS == 1)
GLYPHS = RNG.integers(0, 256, (60, 28, 28), dtype=np.uint8)


def arrays(label: int) -> UnseenArrays:
    return UnseenArrays("elbo", label, np.array(list("abcdefgh")), SCORES, 1.5, GLYPHS, LABELS)


def test_the_sentence_names_the_best_score_the_hardest_class_and_the_control() -> None:
    sentence = about_detection(ROWS)
    assert "nearest features, has a mean AUROC of **0.980**, where ink alone gets 0.460" in sentence
    assert "“b” (0.970, interval 0.950 to 0.980)" in sentence


def test_the_control_is_never_the_best_score() -> None:
    rows = ROWS.assign(auroc=ROWS["auroc"].where(ROWS["method"] != "ink", 0.999))
    assert "nearest features" in about_detection(rows)


def test_no_interval_is_said_where_none_was_measured() -> None:
    few = ROWS.assign(low=np.nan, high=np.nan, tpr_low=np.nan, tpr_high=np.nan)
    assert "interval" not in about_detection(few) + about_alarms(few, "elbo")
    assert "nan" not in about_detection(few) + about_alarms(few, "elbo")
    nothing = few.assign(auroc=np.nan, tpr_at_5=np.nan)
    assert "nothing is known" in about_detection(nothing)
    assert "No class" in about_alarms(nothing, "elbo")


def test_the_alarms_are_those_of_the_rows() -> None:
    sentence = about_alarms(ROWS, "elbo")
    assert "finds 70.0\u00a0% of the unseen ones" in sentence
    assert "“b” (67.0\u00a0%, interval 57.0\u00a0% to 77.0\u00a0%) to “a” (73.0\u00a0%)" in sentence
    assert "6.0\u00a0% false alarms" in sentence


def test_noise_is_told_from_the_weakest_to_the_strongest_effect() -> None:
    assert (
        "from 0.900 to 0.700 under gaussian blur and 0.800 under fog"
        in about_unseen_under_noise(ROWS, "elbo")
    )
    assert "without noise only" in about_unseen_under_noise(ROWS[ROWS["level"] == 0], "elbo")


def test_the_dots_stand_at_the_rows() -> None:
    figure = draw_detection(ROWS)
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert list(np.asarray(lines["ELBO"].get_ydata())) == pytest.approx([0.93, 0.87])
    assert list(np.asarray(lines["ink alone (control)"].get_ydata())) == pytest.approx([0.31, 0.61])
    assert "class that was held out" in svg(figure)
    assert len(svg(draw_under_noise(ROWS, "elbo", ["fog", "gaussian_blur"]))) > 1000


def test_a_histogram_holds_every_glyph_of_its_kind() -> None:
    figure = draw_scores(arrays(1))
    heights = np.array([patch.get_height() for patch in figure.axes[0].patches])  # type: ignore[attr-defined]
    assert heights.sum() == pytest.approx(2)  # shares of normals and of anomalies
    assert "b, never seen (20)" in svg(figure)


def test_the_sentence_about_scores_counts_those_beyond_the_threshold() -> None:
    sentence = about_scores(arrays(1))
    assert f"{100 * np.mean(SCORES[LABELS == 1] > 1.5):.1f}" in sentence
    assert f"{100 * np.mean(SCORES[LABELS != 1] > 1.5):.1f}" in sentence
    assert "no glyphs" in about_scores(arrays(7))


def test_the_hardest_are_the_extremes_by_brute_force() -> None:
    normal, unseen = hardest(arrays(1), 4)
    assert set(normal) == set(
        sorted((i for i in range(60) if LABELS[i] != 1), key=lambda i: -SCORES[i])[:4]
    )
    assert (
        list(unseen)
        == sorted((i for i in range(60) if LABELS[i] == 1), key=lambda i: SCORES[i])[:4]
    )
    assert "“b” held out" in about_hardest(arrays(1))
    assert png(draw_hardest(arrays(1))).startswith(b"\x89PNG")
    assert png(draw_hardest(arrays(7))).startswith(b"\x89PNG")  # none to show
