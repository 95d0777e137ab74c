"""Whether a character that no model has seen would be noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure as Drawing

from stages.figures import anomaly_figures
from stages.figures.explained import NeededTable
from stages.figures.figure import Chapter, Figure
from stages.figures.study import Explained
from stages.schemas.explain import UnseenArrays

NEEDED = NeededTable("unseen", "anomaly")


def _best(explained: Explained) -> UnseenArrays:
    assert explained.unseen is not None  # `_scored` has looked
    return explained.unseen


def _character(explained: Explained) -> str:
    return str(_best(explained).names[_best(explained).label])


def _names(explained: Explained) -> str:
    return "".join(_best(explained).names.tolist())


def _scores(explained: Explained) -> tuple[Any, Any, int, float]:
    """Scores and labels of the test glyphs, the class that is held out, and the threshold."""
    best = _best(explained)
    return best.scores, best.labels, best.label, best.threshold


def _scored(draw: Callable[[Explained], Drawing | None]) -> Callable[[Explained], Drawing | None]:
    """What is drawn where some class could be tested."""
    return NEEDED.draw(lambda explained: draw(explained) if explained.unseen else None)


def _found_of_scores(finding: Callable[[Explained], str]) -> Callable[[Explained], str]:
    """What is said where some class could be tested."""
    return NEEDED.find(lambda explained: finding(explained) if explained.unseen else "")


def _about_detection(explained: Explained) -> str:
    if explained.unseen is None:
        return "Left out: no class had glyphs to test with."
    rows = explained.tables["anomaly"]
    return f"{anomaly_figures.about_detection(rows)} {anomaly_figures.about_alarms(rows, explained.unseen.method)}"


DETECTION = Figure(
    "unseen",
    "Each class held out in turn",
    "How well scores separate a class that no model has seen from all the others, by held-out class (AUROC; one half "
    "is guessing), with {interval} intervals over glyphs.",
    "A dot plot with one place per held-out class, one dot per method.",
    _scored(lambda explained: anomaly_figures.draw_detection(explained.tables["anomaly"])),
    NEEDED.find(_about_detection, lead=True),
    "explained",
    numbers=NEEDED.numbers(),
)
NOISE = Figure(
    "unseen_noise",
    "The same under noise",
    "Mean over held-out classes of the best score, normal and unseen glyphs under the same noise; the band is the "
    "range of the classes.",
    "One panel, one line per noise type.",
    _scored(
        lambda explained: anomaly_figures.draw_under_noise(
            explained.tables["anomaly"], _best(explained).method, explained.noises
        )
    ),
    _found_of_scores(
        lambda explained: anomaly_figures.about_unseen_under_noise(
            explained.tables["anomaly"], _best(explained).method
        )
    ),
    "explained",
    numbers=NEEDED.numbers(),
)
SCORES = Figure(
    "unseen_scores",
    "The class that is noticed least",
    "Scores of the test glyphs with that class held out, by the best score.",
    "Two histograms over each other.",
    _scored(
        lambda explained: anomaly_figures.draw_scores(*_scores(explained), _character(explained))
    ),
    _found_of_scores(
        lambda explained: anomaly_figures.about_scores(*_scores(explained), _character(explained))
    ),
    "explained",
)
HARDEST = Figure(
    "unseen_glyphs",
    "The glyphs that fool it",
    "Above normal glyphs that look strangest, below unseen ones that look most normal; a cross where the threshold "
    "decides wrongly.",
    "Two rows of pictures of glyphs.",
    _scored(
        lambda explained: anomaly_figures.draw_hardest(
            _best(explained).glyphs, *_scores(explained), _names(explained)
        )
    ),
    _found_of_scores(
        lambda explained: anomaly_figures.about_hardest(*_scores(explained)[:3], _names(explained))
    ),
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
