"""Whether a character that no model has seen would be noticed."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.figures import anomaly
from stages.figures.figure import Chapter, Figure
from stages.figures.study import Explained


def _rows(explained: Explained) -> pd.DataFrame | None:
    """The rows of every method and held-out class; None where there was nothing to test with."""
    return explained.tables.get("anomaly") if "anomaly_method" in explained.pictures else None


def _method(explained: Explained) -> str:
    return str(explained.pictures["anomaly_method"])


def _scored(explained: Explained) -> tuple[Any, Any, int, float]:
    """Scores and labels of the test glyphs, the class that is held out, and the threshold."""
    pictures = explained.pictures
    return (pictures["anomaly_scores"], pictures["anomaly_labels"], int(pictures["anomaly_label"]),
            float(pictures["anomaly_threshold"]))


def _names(explained: Explained) -> str:
    return "".join(explained.pictures["anomaly_names"].tolist())


def draw_detection(explained: Explained) -> Drawing | None:
    rows = _rows(explained)
    return None if rows is None else anomaly.draw_detection(rows)


def about_detection(explained: Explained) -> str:
    rows = _rows(explained)
    if rows is None:
        return f"Left out: {explained.notes.get('anomaly', 'no class had glyphs to test with')}."
    return f"{anomaly.about_detection(rows)} {anomaly.about_alarms(rows, _method(explained))}"


def draw_noise(explained: Explained) -> Drawing | None:
    rows = _rows(explained)
    return None if rows is None else anomaly.draw_under_noise(rows, _method(explained), explained.noises)


def about_noise(explained: Explained) -> str:
    rows = _rows(explained)
    return "" if rows is None else anomaly.about_noise(rows, _method(explained))


def draw_scores(explained: Explained) -> Drawing | None:
    if _rows(explained) is None:
        return None
    scored = _scored(explained)
    return anomaly.draw_scores(*scored, _names(explained)[scored[2]])


def about_scores(explained: Explained) -> str:
    if _rows(explained) is None:
        return ""
    scored = _scored(explained)
    return anomaly.about_scores(*scored, _names(explained)[scored[2]])


def draw_hardest(explained: Explained) -> Drawing | None:
    if _rows(explained) is None:
        return None
    return anomaly.draw_hardest(explained.pictures["anomaly_glyphs"], *_scored(explained), _names(explained))


def about_hardest(explained: Explained) -> str:
    if _rows(explained) is None:
        return ""
    scores, labels, label, _ = _scored(explained)
    return anomaly.about_hardest(scores, labels, label, _names(explained))


DETECTION = Figure(
    "unseen", "Each class held out in turn",
    "How well scores separate a class that no model has seen from all the others, by held-out class (AUROC; one half "
    "is guessing), with {interval} intervals over glyphs.",
    "A dot plot with one place per held-out class, one dot per method.", draw_detection, about_detection, "explained",
    numbers=("explain/anomaly",))
NOISE = Figure(
    "unseen_noise", "The same under noise",
    "Mean over held-out classes of the best score, normal and unseen glyphs under the same noise; the band is the "
    "range of the classes.", "One panel, one line per noise type.", draw_noise, about_noise, "explained",
    numbers=("explain/anomaly",))
SCORES = Figure(
    "unseen_scores", "The class that is noticed least",
    "Scores of the test glyphs with that class held out, by the best score.", "Two histograms over each other.",
    draw_scores, about_scores, "explained")
HARDEST = Figure(
    "unseen_glyphs", "The glyphs that fool it",
    "Above normal glyphs that look strangest, below unseen ones that look most normal; a cross where the threshold "
    "decides wrongly.", "Two rows of pictures of glyphs.", draw_hardest, about_hardest, "explained", picture=True)

CHAPTER = Chapter(
    "details", "unseen", "Would it notice a character it has never seen?",
    "Each class is held out in turn and models learn all the others; then the unseen class is to look strange. "
    "Thresholds come from validation glyphs, without one unseen glyph.", (DETECTION, NOISE, SCORES, HARDEST))
