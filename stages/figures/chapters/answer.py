"""The answer in one figure, and who the readers are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stages.figures import ranking, visible
from stages.figures.figure import Chapter, Figure, Words
from stages.figures.numbers import ARCHITECTURES, TRAINED_ON, estimate_of, percent, points_text
from stages.figures.study import Study
from stages.figures.style import words
from stages.schemas.regress import Costs, DoseResponses, Thresholds


def _readers(study: Study) -> Iterator[Words]:
    """What each reader is, and of the others the noise that costs most: one line each."""
    worst = {name: _worst(study, name) for name in study.runs if name != study.reader}
    lines = [_nature(study, name) + worst.get(name, "") for name in study.runs]
    yield Words(lines, "bullets")


def _nature(study: Study, name: str) -> str:
    one = study.params.readers[study.runs[name][0]]
    clean = float(np.mean([study.metrics[run].clean_exact_match for run in study.runs[name]]))
    what = ARCHITECTURES.get(one.architecture, f"architecture {one.architecture}")
    return (
        f"`{name}`: {what}, trained on {TRAINED_ON[one.train_on].removesuffix(' only')}; reads {percent(clean)} of "
        "clean ones whole."
    )


def _worst(study: Study, name: str) -> str:
    """The noise that costs a reader most, and the level of it at which the first share is lost."""
    costs = study.regressed.costs(name)
    if costs.empty:
        return ""
    worst = costs.iloc[0]
    text = f" {words(worst[Costs.noise]).capitalize()} costs it most, {points_text(worst, Costs.cost)} points"
    half_levels = study.regressed.half_levels(name)
    reached = half_levels[
        (half_levels[Thresholds.noise] == worst[Costs.noise]) & (half_levels[Thresholds.level] > 0)
    ]
    if len(reached):
        level = estimate_of(reached.iloc[0], Thresholds.level)
        text += f"; from level {level} {ranking.lost(study.regressed.share)} are lost"
    return f"{text}."


def _otherwise(study: Study) -> Iterator[Words]:
    """What would change the answer."""
    text = visible.in_short(study.regressed.of(DoseResponses, study.reader), study.noises)
    if text:
        yield Words(
            [f"**What would change the answer.** {text} ([see the figure](#figure-visible))."]
        )


def _ranked(study: Study) -> bool:
    return not study.regressed.half_levels(study.reader).empty


def _about_answer(study: Study) -> str:
    if not _ranked(study):
        return "No noise was tested, so there is nothing to rank."
    return ranking.about_ranking(study.regressed)


ANSWER = Figure(
    "answer",
    "The noises, the worst first",
    "With {interval} intervals. In colour `{reader}`, pale the other readers.",
    "Two dot plots side by side with one row per noise type, the noise with the lowest level on top.",
    lambda study: ranking.draw_ranking(
        study.regressed, study.noises, list(study.observations), float(study.params.noise.level)
    ),
    _about_answer,
    numbers=("regress/thresholds", "regress/costs"),
    when=_ranked,
)

CHAPTER = Chapter("report", "answer", "The answer", "", (_readers, ANSWER, _otherwise))
