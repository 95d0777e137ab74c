"""What the regression says, and whether it is sound."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure as Drawing

from stages.figures import coefficients, conclusions, diagnostics, doses, regressors, robustness
from stages.figures.figure import Chapter, Figure, Heading, Part, Table, Words
from stages.figures.study import Study


def table(study: Study) -> Iterator[Table]:
    yield study.regression_table


def sentences(study: Study) -> Iterator[Words]:
    yield Words(conclusions.conclusions(study.regressed), "numbered", "regression")


def draw_slopes(study: Study) -> Drawing | None:
    slopes = study.tables["slopes"]
    return None if slopes.empty else coefficients.draw_slopes(slopes, study.noises, study.regressed.dose)


def about_slopes(study: Study) -> str:
    return coefficients.about_slopes(study.tables["slopes"], study.confidence)


def draw_effects(study: Study) -> Drawing | None:
    effects = study.tables["effects"]
    return None if effects.empty else coefficients.draw_effects(effects, study.regressed.headline["references"])


def about_effects(study: Study) -> str:
    return coefficients.about_effects(study.tables["effects"], study.regressed.headline["references"], study.confidence)


def draw_lines(study: Study) -> Drawing | None:
    rows = study.regressed.tables["dose_response"]
    return None if rows.empty else doses.draw_lines(rows, study.regressed.dose)


def about_lines(study: Study) -> str:
    return doses.about_lines(study.regressed.tables["dose_response"])


def draw_marginal_effects(study: Study) -> Drawing | None:
    effects = study.regressed.tables["marginal_effects"]
    return None if effects.empty else robustness.draw_marginal_effects(effects)


def about_marginal_effects(study: Study) -> str:
    return conclusions.about_models(study.regressed)


def draw_jackknife(study: Study) -> Drawing | None:
    found = study.regressed
    ranges = robustness.jackknife_ranges(found.coefficients())
    return None if ranges.empty else robustness.draw_jackknife(ranges, found.dimensions[0], found.confidence,
                                                               found.headline["df"])


def about_jackknife(study: Study) -> str:
    return diagnostics.about_clusters(study.regressed)


def draw_influence(study: Study) -> Drawing | None:
    clusters = study.regressed.tables["influence"]
    return None if clusters.empty else robustness.draw_influence(clusters, study.regressed.dimensions[0])


def about_influence(study: Study) -> str:
    return diagnostics.about_influence(study.regressed.tables["influence"], study.regressed.dimensions[0])


def draw_added_variables(study: Study) -> Drawing | None:
    bins = study.regressed.tables["added_variables"]
    return None if bins.empty else regressors.draw_added_variables(bins)


def about_added_variables(study: Study) -> str:
    return diagnostics.about_added_variables(study.regressed.tables["added_variables"])


def draw_correlations(study: Study) -> Drawing | None:
    pairs = study.regressed.tables["correlations"]
    return None if regressors.strongest_pair(pairs) is None else regressors.draw_correlations(pairs)


def about_correlations(study: Study) -> str:
    return diagnostics.about_correlations(study.regressed.tables["correlations"])


def tests(study: Study) -> Iterator[Table]:
    yield diagnostics.tests_table(study.regressed)


def categories(study: Study) -> Iterator[Part]:
    rows = study.regressed.tables["categories"]
    yield Words([diagnostics.about_categories(study.regressed)])
    if len(rows):
        yield diagnostics.categories_table(rows)


def limits(study: Study) -> Iterator[Part]:
    texts = conclusions.not_concluded(study.regressed)
    if texts:
        yield from (Heading("What cannot be concluded"), Words(texts, "bullets"))


def in_words(study: Study) -> Iterator[Part]:
    yield from (Heading("The diagnostics in words"), Words(diagnostics.diagnostics(study.regressed), "bullets"))


SLOPES = Figure(
    "slopes", "What a dose costs",
    "Dose slopes of the regression: the change of character accuracy for each 0.1 of {dose}, by noise type and reader, "
    "colour, character and position held equal, with {interval} intervals. Further left is worse.",
    "A dot plot with one row per noise type, one dot per reader.", draw_slopes, about_slopes,
    numbers=("figures/slopes",))
EFFECTS = Figure(
    "effects", "Colour, character and position",
    "Effects in the regression of all readers together, with noise and level held equal, beside the reference category "
    "named beneath each panel, with {interval} intervals.",
    "Three dot plots, one per factor, one row per category.", draw_effects, about_effects, numbers=("figures/effects",))
LINES = Figure(
    "lines", "The straight lines against what was observed",
    "Observed character accuracy by noise type, and the straight line of each reader's own regression. A line may "
    "leave 0 to 100 % (shaded); a share cannot.",
    "Small panels, one per noise type, points with a dashed line per reader.", draw_lines, about_lines,
    numbers=("regress/dose_response",))
MARGINAL_EFFECTS = Figure(
    "marginal_effects", "Linear model or logit?",
    "Marginal effects in percentage points, by the linear probability model and by a logit of the same terms, with "
    "{interval} intervals, clustered by {cluster}. Numbers such as the level are given for 0.1.",
    "A dot plot with one row per effect, two dots each.", draw_marginal_effects, about_marginal_effects,
    numbers=("regress/marginal_effects",))
JACKKNIFE = Figure(
    "jackknife", "What one cluster can move",
    "Left the coefficients with {interval} intervals (blue) and their jackknife range when each cluster is left out in "
    "turn (orange, within the point where it is small); right that range in standard errors, with the cluster that "
    "causes either end. Dotted, where they fit in, are the ends of the interval.",
    "Two panels with one row per coefficient.", draw_jackknife, about_jackknife, numbers=("regress/coefficients",))
INFLUENCE = Figure(
    "influence", "The influence of single clusters",
    "Leverage, which says how unusual a cluster's regressors are, against Cook's distance, which says how far all "
    "coefficients move without it. The largest distances are named.",
    "A cloud of points, one per cluster.", draw_influence, about_influence, numbers=("regress/influence",))
ADDED_VARIABLES = Figure(
    "added_variables", "Each regressor alone",
    "Added-variable plots: what is left of a regressor and of success when all other regressors are taken out, in bins "
    "whose area grows with their rows. The line has the coefficient as its slope (Frisch & Waugh, 1933). Panels of one "
    "term share their scale.",
    "Many small panels, one per regressor, points around a line.", draw_added_variables, about_added_variables,
    numbers=("regress/added_variables",))
CORRELATIONS = Figure(
    "correlations", "Are the regressors correlated?",
    "Correlation of every two regressors, in hundredths. Categories of one factor exclude each other, which makes them "
    "correlate below 0; between factors a balanced design leaves nothing.",
    "A square of shaded correlations, regressors down and across.", draw_correlations, about_correlations,
    numbers=("regress/correlations",))

CHAPTER = Chapter(
    "report", "regression", "What does the regression say?",
    "A linear probability model explains by noise, level, colour, character and position whether a character was "
    "read right.{centred}",
    (sentences, table))
MORE = Chapter(
    "details", "sound", "Is the regression sound?",
    "First the slopes and effects drawn; then what cannot be concluded, another model, the fit without each cluster "
    "and each category, each regressor alone, and the diagnostics in words.",
    (SLOPES, LINES, EFFECTS, tests, limits, MARGINAL_EFFECTS, JACKKNIFE, categories, INFLUENCE, ADDED_VARIABLES,
     CORRELATIONS, in_words))
