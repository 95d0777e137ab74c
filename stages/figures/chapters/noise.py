"""How fast reading fails, against the level and against what noise does to the pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.figures import accuracy, dose_response, visible
from stages.figures.conclusions import called
from stages.figures.diagnostic_texts import corruption_table
from stages.figures.figure import Chapter, Figure, ReportTable, TableCell, heads, row
from stages.figures.numbers import (
    NOTHING_READ,
    decimals,
    estimate_of,
    in_draws,
    points_text,
    range_text,
)
from stages.figures.ranking import lost
from stages.figures.regression_tables import negated
from stages.figures.study import Study
from stages.figures.style import words
from stages.schemas.regress import (
    Areas,
    Contrasts,
    CorruptionErrors,
    Costs,
    DoseResponses,
    Thresholds,
)
from stages.schemas.words import POOLED

MOST_FANS = 3
NONE = "–"
DRAWS = (
    "Draws are of all cells' means at once for the levels, and for costs and differences of the joint t "
    "distribution of the estimates."
)


def _responses(study: Study) -> pd.DataFrame:
    return study.regressed.of(DoseResponses, study.reader)


def _thresholds(study: Study) -> pd.DataFrame:
    return study.regressed.tables[Thresholds]


def _levels(measure: str) -> Callable[[Study], Drawing]:
    """A drawing of exact match or character accuracy against the level."""
    return lambda study: accuracy.draw_levels(
        study.tables["accuracy"], measure, study.guess_rate(measure), study.reader
    )


def _about_levels(measure: str) -> Callable[[Study], str]:
    return lambda study: accuracy.about_levels(study.tables["accuracy"], study.reader, measure)


def _draw_fans(study: Study) -> Drawing:
    others = [name for name in study.observations if name != study.reader]
    return accuracy.draw_fans(study.tables["accuracy"], [study.reader, *others][:MOST_FANS])


def _about_fans(study: Study) -> str:
    rows = study.regressed.of(Areas, study.reader)
    if rows.empty:
        return "No noise was tested, so there is no area."
    areas = [
        f"{words(one[Areas.noise])} {estimate_of(one, Areas.area)}"
        for _, one in rows.sort_values(Areas.area, kind="stable").iterrows()
    ]
    return f"The area under the curve of `{study.reader}`, 1 at best: {', '.join(areas)}."


def _rank_tables(study: Study) -> Iterator[ReportTable]:
    """Thresholds and costs of the report's reader side by side, with ranks and what a training run moves."""
    found = study.regressed
    half_levels = found.half_levels(study.reader).set_index(Thresholds.noise)
    costs = found.costs(study.reader)
    responses = _responses(study)
    lines = []
    for _, cost in costs.iterrows():
        level = [NONE, NONE]
        if cost[Costs.noise] in half_levels.index:
            half = half_levels.loc[cost[Costs.noise]]
            reached = np.isfinite(half[Thresholds.level])
            level = [
                estimate_of(half, Thresholds.level) if reached else "not reached",
                _draws(half[Thresholds.first]),
            ]
        lines.append(
            row(
                words(cost[Costs.noise]),
                *level,
                points_text(cost, Costs.cost),
                _rank(cost),
                _draws(cost[Costs.first]),
                _between(cost),
                _floor(responses, cost[Costs.noise]),
            )
        )
    yield ReportTable(
        f"The noises by what they cost {study.reader}",
        heads(
            f"level at which {lost(found.share)} are lost",
            "draws in which it is the lowest",
            "average cost, points",
            "rank by cost",
            "draws in which it costs most",
            "SD between runs",
            f"levels with less than {100 * NOTHING_READ:g} % read whole",
        ),
        lines,
        notes=[
            "Ranks in brackets are those that simultaneous intervals leave open. A cost depends on "
            "where the levels end, the more so the more of them leave hardly a captcha to read.",
            DRAWS,
        ],
    )


def _floor(responses: pd.DataFrame, noise: str) -> str:
    """At how many levels hardly a captcha is read whole."""
    noisy = responses[
        (responses[DoseResponses.noise] == noise) & (responses[DoseResponses.level] > 0)
    ]
    exact = noisy[DoseResponses.exact]
    return f"{(exact < NOTHING_READ).sum()} of {len(exact)}"


def _draws(share: float) -> str:
    return in_draws(share) if np.isfinite(share) else NONE


def _rank(cost: pd.Series) -> str:
    if not np.isfinite(cost[[Costs.rank, Costs.rank_low, Costs.rank_high]].to_numpy(float)).all():
        return NONE
    return f"{cost[Costs.rank]:.0f} ({cost[Costs.rank_low]:.0f} to {cost[Costs.rank_high]:.0f})"


def _between(one: pd.Series) -> str:
    if not np.isfinite(one[Costs.sd_between_runs]):
        return NONE
    return f"{100 * one[Costs.sd_between_runs]:.1f} ({one[Costs.runs]:.0f} runs)"


def _pairs_of_noises(study: Study) -> Iterator[ReportTable]:
    yield from contrasts_table(
        study, "noise", study.reader, "Pairs of noises: difference of the average costs"
    )


def contrasts_table(study: Study, factor: str, reader: str, caption: str) -> Iterator[ReportTable]:
    """Every pair of a factor's categories, of noises by what they cost; none where the run has no such pair."""
    pairs = study.regressed.contrasts(factor, reader)
    if pairs.empty:
        return
    if factor == "noise":
        pairs = negated(pairs)
    whose = "all readers together" if reader == POOLED else reader
    lines = [_pair_row(factor, pair) for _, pair in pairs.iterrows()]
    yield ReportTable(
        f"{caption}, {whose}, in points of character accuracy",
        heads(
            "difference (interval)",
            "simultaneous interval",
            "draws in which it is above 0",
            "smallest detectable difference",
            "equivalence bound",
            "SD between runs",
        ),
        lines,
        notes=[DRAWS],
    )


def _pair_row(factor: str, pair: pd.Series) -> list[TableCell]:
    """The contrast of a pair of categories, and what this run could have found."""
    form = f".{decimals(100 * pair[Contrasts.low], 100 * pair[Contrasts.high])}f"
    ends = (pair[Contrasts.simultaneous_low], pair[Contrasts.simultaneous_high])
    name = f"{called(factor, pair[Contrasts.a])} − {called(factor, pair[Contrasts.b])}"
    return row(
        name.replace("`", ""),
        points_text(pair, Contrasts.difference),
        range_text(100 * ends[0], 100 * ends[1], form),
        _draws(pair[Contrasts.probability]),
        f"{100 * pair[Contrasts.detectable]:.1f}",
        _equivalence(pair),
        _between(pair),
    )


def _equivalence(pair: pd.Series) -> str:
    """The bound; none of a pair that differs."""
    if pair[Contrasts.simultaneous_low] > 0 or pair[Contrasts.simultaneous_high] < 0:
        return NONE
    return f"{100 * pair[Contrasts.equivalence]:.1f}"


def _corruption(study: Study) -> Iterator[ReportTable]:
    yield corruption_table(study.regressed.tables[CorruptionErrors])


EXACT = Figure(
    "exact_match",
    "Captchas read whole",
    "Share of the test captchas with every character right, against the level. In colour `{reader}`, pale the other "
    "readers; bands are {interval} intervals.",
    "Small panels, one per noise type, each with one falling line per reader.",
    _levels("exact"),
    _about_levels("exact"),
    numbers=("figures/accuracy",),
)
VISIBLE = Figure(
    "visible",
    "The same against what noise changes",
    "Exact match of `{reader}` against the root mean squared change of luma (RMSE) and the loss of structural "
    "similarity (1 − SSIM): noises at an equal measured change, not at an equal level. Point estimates.",
    "Two panels, one line per noise type, exact match against the measured change.",
    lambda study: visible.draw_visible(_responses(study), study.noises),
    lambda study: visible.about_visible(_responses(study), study.noises),
    numbers=("regress/dose_response",),
    when=lambda study: len(_responses(study)) > 0,
)
CHARACTERS = Figure(
    "character_accuracy",
    "Characters read",
    "Share of the characters read right, by noise type and level. In colour `{reader}`; pale the other readers. Bands "
    "and whiskers are {interval} intervals.",
    "Small panels, one per noise type, each with one falling line per reader.",
    _levels("character"),
    _about_levels("character"),
    numbers=("figures/accuracy",),
)
FANS = Figure(
    "curves",
    "All noises in one panel",
    "Share of the test captchas read whole, one line per noise type, named at its end. Whiskers are {interval} "
    "intervals; the dashed line is one half.",
    "One panel per reader, one falling line per noise type.",
    _draw_fans,
    _about_fans,
    numbers=("figures/accuracy", "regress/areas"),
)
THRESHOLDS = Figure(
    "thresholds",
    "How much noise a reader bears",
    "The level at which each reader still reads a share of the captchas whole, with {interval} intervals. A hollow "
    "point at the right edge, or an interval that ends there: not reached within the levels tested. A point at 0: not "
    "read that well even when clean.",
    "One panel per share, one row per noise type, one dot per reader.",
    lambda study: dose_response.draw_thresholds(
        _thresholds(study), study.noises, float(study.params.noise.level)
    ),
    lambda study: dose_response.about_thresholds(_thresholds(study)),
    numbers=("regress/thresholds",),
    when=lambda study: len(_thresholds(study)) > 0,
)

CHAPTER = Chapter("report", "noise", "How fast does reading fail?", "", (EXACT, VISIBLE))
MORE = Chapter(
    "details",
    "doses",
    "Which noise is worst, by which measure?",
    "Three measures rank the noises: the level at which captchas are lost, the average cost over the tested levels, "
    "and the area under the curve. Differences are taken from contrasts of the same captchas, not from two intervals.",
    (_rank_tables, _pairs_of_noises, FANS, CHARACTERS, THRESHOLDS, _corruption),
)
