"""The answer in one figure."""

from __future__ import annotations

from matplotlib.figure import Figure as Drawing

from stages.figures import ranking
from stages.figures.figure import Chapter, Figure
from stages.figures.study import Study


def draw_answer(study: Study) -> Drawing | None:
    found = study.regressed
    if found.halves(study.reader).empty:
        return None
    return ranking.draw_ranking(found, study.noises, list(study.observations), float(study.params.noise.level))


def about_answer(study: Study) -> str:
    if study.regressed.halves(study.reader).empty:
        return "No noise was tested, so there is nothing to rank."
    return ranking.about_ranking(study.regressed)


ANSWER = Figure(
    "answer", "The noises, the worst first",
    "With {interval} intervals. In colour `{reader}`, pale the other readers. A hollow point: never, within the levels "
    "tested.",
    "Two dot plots side by side with one row per noise type, the noise with the lowest level on top.",
    draw_answer, about_answer, numbers=("regress/thresholds", "regress/costs"))

CHAPTER = Chapter("report", "answer", "The answer", "", (ANSWER,))
