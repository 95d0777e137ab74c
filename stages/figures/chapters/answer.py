"""The answer in one figure, and who the readers are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure as Drawing

from stages.figures import ranking, visible
from stages.figures.figure import Chapter, Figure, Words
from stages.figures.numbers import ARCHITECTURES, LEARNS, percent, points, told
from stages.figures.study import Study
from stages.figures.style import words


def readers(study: Study) -> Iterator[Words]:
    """What each reader is, and of the others the noise that costs most: one line each."""
    yield Words([f"{_nature(study, name)}{_worst(study, name) if name != study.reader else ''}" for name in study.runs],
                "bullets")


def _nature(study: Study, name: str) -> str:
    one = study.params.readers[study.runs[name][0]]
    clean = float(np.mean([study.metrics[run].clean_exact_match for run in study.runs[name]]))
    what = ARCHITECTURES.get(one.architecture, f"architecture {one.architecture}")
    return (f"`{name}`: {what}, trained on {LEARNS[one.learns_from].removesuffix(' only')}; reads {percent(clean)} of "
            "clean ones whole.")


def _worst(study: Study, name: str) -> str:
    """The noise that costs a reader most, and the level of it at which the first share is lost."""
    costs, halves = study.regressed.costs(name), study.regressed.halves(name).set_index("noise")
    if costs.empty:
        return ""
    worst = costs.iloc[0]
    said = f" {words(worst['noise']).capitalize()} costs it most, {points(worst, 'cost')} points"
    level = halves["level"].get(worst["noise"], np.nan)
    if np.isfinite(level) and level > 0:
        low, high = halves.loc[worst["noise"], ["low", "high"]]
        said += f"; from level {told(level, low, high)} {ranking.lost(study.regressed.share)} are lost"
    return f"{said}."


def otherwise(study: Study) -> Iterator[Words]:
    """What would change the answer."""
    said = visible.in_short(study.regressed.of("dose_response", study.reader), study.noises)
    if said:
        yield Words([f"**What would change the answer.** {said} ([see the figure](#figure-visible))."])


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
    "With {interval} intervals. In colour `{reader}`, pale the other readers.",
    "Two dot plots side by side with one row per noise type, the noise with the lowest level on top.",
    draw_answer, about_answer, numbers=("regress/thresholds", "regress/costs"))

CHAPTER = Chapter("report", "answer", "The answer", "", (readers, ANSWER, otherwise))
