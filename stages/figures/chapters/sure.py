"""How sure the numbers are, and what was left out of the intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from stages.figures.conclusions import how_sure
from stages.figures.figure import Chapter, Part, Table, Words, heads, row
from stages.figures.numbers import points, told
from stages.figures.study import Study
from stages.figures.style import words


def sources(study: Study) -> Iterator[Part]:
    yield Words(how_sure(study.regressed, study.params, study.runs, study.own["captcha"].nunique(), study.composed),
                "bullets", "sure")


def runs(study: Study) -> Iterator[Table]:
    """How training runs differ, where that is known."""
    costs = study.regressed.costs(study.reader)
    known = costs[np.isfinite(costs["sd_between_runs"].to_numpy(float))]
    if known.empty:
        return
    title = f"Average costs of {study.reader}, in points: the interval, and how training runs differ"
    if "run" in study.regressed.dimensions:
        yield Table(title, heads("for readers trained this way", "SD between runs", "runs"),
                    [row(words(one["noise"]), points(one, "cost"), *_between(one)) for _, one in known.iterrows()])
        return
    yield Table(title, heads("for this reader", "SD between runs", "runs", "for readers trained this way"),
                [row(words(one["noise"]), points(one, "cost"), *_between(one), _for_such(one, study.confidence))
                 for _, one in known.iterrows()],
                notes=["The last column is the cost ± t(runs − 1) × √(SE² + SD²): conservative, since the SD holds a "
                       "part of the variance between captchas."])


def _between(cost: pd.Series) -> list[str]:
    return [f"{100 * cost['sd_between_runs']:.1f}", f"{cost['runs']:.0f}"]


def _for_such(cost: pd.Series, confidence: float) -> str:
    """The cost with the interval that holds for another reader that is trained alike, in points."""
    half = float(stdtrit(cost["runs"] - 1, (1 + confidence) / 2)) * float(np.hypot(cost["standard_error"],
                                                                                  cost["sd_between_runs"]))
    return told(cost["cost"], cost["cost"] - half, cost["cost"] + half, scale=100)


CHAPTER = Chapter("report", "sure", "How sure is that?",
                  "Not all that may vary is in the intervals.", (sources, runs))
