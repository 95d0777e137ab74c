"""What the regression says, and whether it is sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.figures import (
    certainty,
    coefficients,
    conclusions,
    diagnostic_texts,
    dose_response,
    regressors,
    robustness,
)
from stages.figures.figure import Chapter, ChapterPart, Figure, Heading, ReportTable, Words
from stages.figures.study import Study
from stages.schemas.regress import (
    AddedVariables,
    Categories,
    ClusterInfluence,
    Correlations,
    DoseResponses,
    MarginalEffects,
)
from stages.schemas.table import Table as Columns


def table(study: Study) -> Iterator[ReportTable]:
    yield study.regression_table


def _sentences(study: Study) -> Iterator[Words]:
    yield Words(conclusions.conclusions(study.regressed), "numbered", "regression")


def _table(study: Study, kind: type[Columns]) -> pd.DataFrame:
    return study.regressed.tables[kind]


def _filled(kind: type[Columns]) -> Callable[[Study], bool]:
    """Whether a table of the stage regress has rows."""
    return lambda study: len(_table(study, kind)) > 0


def _cluster(study: Study) -> str:
    """What the jackknife leaves out."""
    return study.regressed.dimensions[0]


def _draw_jackknife(study: Study) -> Drawing | None:
    found = study.regressed
    ranges = robustness.jackknife_ranges(found.coefficients())
    if ranges.empty:
        return None
    return robustness.draw_jackknife(ranges, _cluster(study), found.confidence, found.headline.df)


def tests(study: Study) -> Iterator[ReportTable]:
    yield diagnostic_texts.tests_table(study.regressed)


def _categories(study: Study) -> Iterator[ChapterPart]:
    rows = _table(study, Categories)
    yield Words([diagnostic_texts.about_categories(study.regressed)])
    if len(rows):
        yield diagnostic_texts.categories_table(rows)


def _limits(study: Study) -> Iterator[ChapterPart]:
    texts = certainty.not_concluded(study.regressed)
    if texts:
        yield from (Heading("What cannot be concluded"), Words(texts, "bullets"))


def _in_words(study: Study) -> Iterator[ChapterPart]:
    yield from (
        Heading("The diagnostics in words"),
        Words(diagnostic_texts.diagnostics(study.regressed), "bullets"),
    )


SLOPES = Figure(
    "slopes",
    "What a dose costs",
    "Dose slopes of the regression: the change of character accuracy for each 0.1 of {dose}, by noise type and reader, "
    "colour, character and position held equal, with {interval} intervals. Further left is worse.",
    "A dot plot with one row per noise type, one dot per reader.",
    lambda study: coefficients.draw_slopes(
        study.tables["slopes"], study.noises, study.regressed.dose
    ),
    lambda study: coefficients.about_slopes(study.tables["slopes"], study.confidence),
    numbers=("figures/slopes",),
    when=lambda study: len(study.tables["slopes"]) > 0,
)
EFFECTS = Figure(
    "effects",
    "Colour, character and position",
    "Effects in the regression of all readers together, with noise and level held equal, beside the reference category "
    "named beneath each panel, with {interval} intervals.",
    "Three dot plots, one per factor, one row per category.",
    lambda study: coefficients.draw_effects(
        study.tables["effects"], study.regressed.headline.references
    ),
    lambda study: coefficients.about_effects(
        study.tables["effects"], study.regressed.headline.references, study.confidence
    ),
    numbers=("figures/effects",),
    when=lambda study: len(study.tables["effects"]) > 0,
)
LINES = Figure(
    "lines",
    "The straight lines against what was observed",
    "Observed character accuracy by noise type, and the straight line of each reader's own regression. A line may "
    "leave 0 to 100 % (shaded); a share cannot.",
    "Small panels, one per noise type, points with a dashed line per reader.",
    lambda study: dose_response.draw_lines(_table(study, DoseResponses), study.regressed.dose),
    lambda study: dose_response.about_lines(_table(study, DoseResponses)),
    numbers=("regress/dose_response",),
    when=_filled(DoseResponses),
)
MARGINAL_EFFECTS = Figure(
    "marginal_effects",
    "Linear model or logit?",
    "Marginal effects in percentage points, by the linear probability model and by a logit of the same terms, with "
    "{interval} intervals, clustered by {cluster}. Numbers such as the level are given for 0.1.",
    "A dot plot with one row per effect, two dots each.",
    lambda study: robustness.draw_marginal_effects(_table(study, MarginalEffects)),
    lambda study: robustness.about_models(_table(study, MarginalEffects)),
    numbers=("regress/marginal_effects",),
    when=_filled(MarginalEffects),
)
JACKKNIFE = Figure(
    "jackknife",
    "What one cluster can move",
    "Left the coefficients with {interval} intervals (blue) and their jackknife range when each cluster is left out in "
    "turn (orange, within the point where it is small); right that range in standard errors, with the cluster that "
    "causes either end. Dotted, where they fit in, are the ends of the interval.",
    "Two panels with one row per coefficient.",
    _draw_jackknife,
    lambda study: diagnostic_texts.about_clusters(study.regressed),
    numbers=("regress/coefficients",),
)
INFLUENCE = Figure(
    "influence",
    "The influence of single clusters",
    "Leverage, which says how unusual a cluster's regressors are, against Cook's distance, which says how far all "
    "coefficients move without it. The largest distances are named.",
    "A cloud of points, one per cluster.",
    lambda study: robustness.draw_influence(_table(study, ClusterInfluence), _cluster(study)),
    lambda study: diagnostic_texts.about_influence(
        _table(study, ClusterInfluence), _cluster(study)
    ),
    numbers=("regress/influence",),
    when=_filled(ClusterInfluence),
)
ADDED_VARIABLES = Figure(
    "added_variables",
    "Each regressor alone",
    "Added-variable plots: what is left of a regressor and of success when all other regressors are taken out, in bins "
    "whose area grows with their rows. The line has the coefficient as its slope (Frisch & Waugh, 1933). Panels of one "
    "term share their scale.",
    "Many small panels, one per regressor, points around a line.",
    lambda study: regressors.draw_added_variables(_table(study, AddedVariables)),
    lambda study: diagnostic_texts.about_added_variables(_table(study, AddedVariables)),
    numbers=("regress/added_variables",),
    when=_filled(AddedVariables),
)
CORRELATIONS = Figure(
    "correlations",
    "Are the regressors correlated?",
    "Correlation of every two regressors, in hundredths. Categories of one factor exclude each other, which makes them "
    "correlate below 0; between factors a balanced design leaves nothing.",
    "A square of shaded correlations, regressors down and across.",
    lambda study: regressors.draw_correlations(_table(study, Correlations)),
    lambda study: diagnostic_texts.about_correlations(_table(study, Correlations)),
    numbers=("regress/correlations",),
    when=lambda study: regressors.strongest_pair(_table(study, Correlations)) is not None,
)

CHAPTER = Chapter(
    "report",
    "regression",
    "What does the regression say?",
    "A linear probability model explains by noise, level, colour, character and position whether a character was "
    "read right.{centred}",
    (_sentences, table),
)
MORE = Chapter(
    "details",
    "sound",
    "Is the regression sound?",
    "First the slopes and effects drawn; then what cannot be concluded, another model, the fit without each cluster "
    "and each category, each regressor alone, and the diagnostics in words.",
    (
        SLOPES,
        LINES,
        EFFECTS,
        tests,
        _limits,
        MARGINAL_EFFECTS,
        JACKKNIFE,
        _categories,
        INFLUENCE,
        ADDED_VARIABLES,
        CORRELATIONS,
        _in_words,
    ),
)
