"""How sure the numbers are, and what was left out of the intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from stages.figures.certainty import how_sure
from stages.figures.figure import Chapter, ChapterPart, ReportTable, TableCell, Words, heads, row
from stages.figures.numbers import estimate_text, points_text
from stages.figures.study import Study
from stages.figures.style import words
from stages.schemas.predict import Predictions
from stages.schemas.regress import Costs


def _sources(study: Study) -> Iterator[ChapterPart]:
    captchas = study.own[Predictions.captcha].nunique()
    yield Words(
        how_sure(study.regressed, study.params, study.runs, captchas, study.composed),
        "bullets",
        "sure",
    )


def _runs(study: Study) -> Iterator[ReportTable]:
    """How training runs differ, where that is known."""
    costs = study.regressed.costs(study.reader)
    known = costs[np.isfinite(costs[Costs.sd_between_runs].to_numpy(float))]
    if known.empty:
        return
    title = (
        f"Average costs of {study.reader}, in points: the interval, and how training runs differ"
    )
    if "run" in study.regressed.dimensions:
        yield ReportTable(
            title,
            heads("for readers trained this way", "SD between runs", "runs"),
            [_line(one) for _, one in known.iterrows()],
        )
        return
    yield ReportTable(
        title,
        heads("for this reader", "SD between runs", "runs", "for readers trained this way"),
        [[*_line(one), TableCell(_for_such(one, study.confidence))] for _, one in known.iterrows()],
        notes=[
            "The last column is the cost ± t(runs − 1) × √(SE² + SD²): conservative, since the SD holds a "
            "part of the variance between captchas."
        ],
    )


def _line(cost: pd.Series) -> list[TableCell]:
    between = f"{100 * cost[Costs.sd_between_runs]:.1f}"
    return row(
        words(cost[Costs.noise]), points_text(cost, Costs.cost), between, f"{cost[Costs.runs]:.0f}"
    )


def _for_such(cost: pd.Series, confidence: float) -> str:
    """The cost with the interval that holds for another reader that is trained alike, in points."""
    error = float(np.hypot(cost[Costs.standard_error], cost[Costs.sd_between_runs]))
    half = float(stdtrit(cost[Costs.runs] - 1, (1 + confidence) / 2)) * error
    value = cost[Costs.cost]
    return estimate_text(value, value - half, value + half, scale=100)


CHAPTER = Chapter(
    "report",
    "sure",
    "How sure is that?",
    "Not all that may vary is in the intervals.",
    (_sources, _runs),
)
