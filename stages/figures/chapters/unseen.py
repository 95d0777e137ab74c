"""Whether a character that no model has seen would be noticed."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure as Drawing

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
)
from stages.figures.explained import Draw, Find, NeededTable
from stages.figures.figure import Chapter, Figure
from stages.figures.study import Explained
from stages.schemas.explain import UnseenArrays

NEEDED = NeededTable("unseen", "anomaly")
NUMBERS = NEEDED.numbers()


def _scored(draw: Callable[[pd.DataFrame, UnseenArrays, Explained], Drawing]) -> Draw:
    """What is drawn of the scores, where some class could be tested."""
    return NEEDED.draw(
        lambda table, found: draw(table, found.unseen, found) if found.unseen else None
    )


def _scored_finding(finding: Callable[[pd.DataFrame, UnseenArrays], str]) -> Find:
    """The finding of the scores, where some class could be tested."""
    return NEEDED.find(lambda table, found: finding(table, found.unseen) if found.unseen else "")


def _about_detection(rows: pd.DataFrame, explained: Explained) -> str:
    if explained.unseen is None:
        return "Left out: no class had glyphs to test with."
    return f"{about_detection(rows)} {about_alarms(rows, explained.unseen.method)}"


DETECTION = Figure(
    "unseen",
    "Each class held out in turn",
    "How well scores separate a class that no model has seen from all the others, by held-out class (AUROC; one half "
    "is guessing), with {interval} intervals over glyphs.",
    "A dot plot with one place per held-out class, one dot per method.",
    _scored(lambda table, *_: draw_detection(table)),
    NEEDED.find(_about_detection, lead=True),
    "explained",
    numbers=NUMBERS,
)
NOISE = Figure(
    "unseen_noise",
    "The same under noise",
    "Mean over held-out classes of the best score, normal and unseen glyphs under the same noise; the band is the "
    "range of the classes.",
    "One panel, one line per noise type.",
    _scored(lambda table, best, found: draw_under_noise(table, best.method, found.noises)),
    _scored_finding(lambda table, best: about_unseen_under_noise(table, best.method)),
    "explained",
    numbers=NUMBERS,
)
SCORES = Figure(
    "unseen_scores",
    "The class that is noticed least",
    "Scores of the test glyphs with that class held out, by the best score.",
    "Two histograms over each other.",
    _scored(lambda _, best, __: draw_scores(best)),
    _scored_finding(lambda _, best: about_scores(best)),
    "explained",
)
HARDEST = Figure(
    "unseen_glyphs",
    "The glyphs that fool it",
    "Above normal glyphs that look strangest, below unseen ones that look most normal; a cross where the threshold "
    "decides wrongly.",
    "Two rows of pictures of glyphs.",
    _scored(lambda _, best, __: draw_hardest(best)),
    _scored_finding(lambda _, best: about_hardest(best)),
    "explained",
    picture=True,
)

CHAPTER = Chapter(
    "details",
    "unseen",
    "Would it notice a character it has never seen?",
    "Each class is held out in turn and models learn all the others; then the unseen class is to look strange. "
    "Thresholds come from validation glyphs, without one unseen glyph.",
    (DETECTION, NOISE, SCORES, HARDEST),
)
