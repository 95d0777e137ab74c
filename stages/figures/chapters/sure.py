"""How sure the numbers are, and what was left out of the intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stages.figures.conclusions import how_sure
from stages.figures.figure import Chapter, Part, Table, Words, heads, row
from stages.figures.numbers import points
from stages.figures.readers import calculated
from stages.figures.study import Study, described
from stages.figures.style import words


def sources(study: Study) -> Iterator[Part]:
    made = calculated(described(study))
    yield Words(how_sure(study.regressed, study.params, study.runs, study.own["captcha"].nunique(),
                         made[0] if made else "", study.composed), "bullets", "sure")


def runs(study: Study) -> Iterator[Table]:
    """What another training run moves, where that is known."""
    costs = study.regressed.costs(study.reader)
    known = costs[np.isfinite(costs["sd_between_runs"].to_numpy(float))]
    if known.empty:
        return
    holds = "such readers" if "run" in study.regressed.dimensions else "this reader"
    yield Table(f"Average costs of {study.reader}, in points: the interval, and what another training run moves",
                heads(f"for {holds}", "SD between runs", "runs"),
                [row(words(one["noise"]), points(one, "cost"), f"{100 * one['sd_between_runs']:.1f}",
                     f"{one['runs']:.0f}") for _, one in known.iterrows()])


CHAPTER = Chapter("report", "sure", "How sure is that?",
                  "Other captchas, other glyphs, another training run or another machine would give other numbers. Not "
                  "all of that is in the intervals.", (sources, runs))
