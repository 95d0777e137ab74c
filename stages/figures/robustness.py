"""How far the headline's effects hang on a cluster, a link function or a category."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from scipy.special import stdtrit

from stages.figures.coefficients import finish, intervals
from stages.figures.numbers import listed, signed
from stages.figures.regression_tables import STEP, label_words, scale
from stages.figures.style import INK, MUTED, PALETTE, WIDTH, key_above, line_style, spread, styled
from stages.schemas.regress import ClusterInfluence, Coefficients, MarginalEffects
from stages.schemas.table import Flag, Number, Table, Text

Floats = NDArray[np.float64]

NAMED = 5  # clusters
ROW = 0.185  # inches
CLOSE = 1.0  # points, within which two models agree
MODELS = {"linear": "linear probability model", "logit": "logit, average effect"}


class JackknifeRanges(Table):
    """Coefficients in percentage points, and how far they move without one cluster, in standard errors.

    Errors are NaN where no standard error was measured.
    """

    name = Text("the coefficient in words", key=True)
    points = Number("the coefficient")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    least = Number("the least without a cluster")
    most = Number("the greatest without a cluster")
    least_errors = Number("change to the least, in standard errors")
    most_errors = Number("change to the greatest, in standard errors")
    least_without = Text("the cluster left out there")
    most_without = Text("the cluster left out there")


def jackknife_ranges(coefficients: pd.DataFrame) -> pd.DataFrame:
    """JackknifeRanges of some Coefficients."""
    factors = coefficients[Coefficients.term].map(scale).to_numpy(float)
    estimates = coefficients[Coefficients.estimate]
    errors = coefficients[Coefficients.standard_error]
    measured = errors.where(errors > 0)
    least = coefficients[Coefficients.least]
    most = coefficients[Coefficients.most]
    named = coefficients[[Coefficients.term, Coefficients.category, Coefficients.label]]
    return pd.DataFrame(
        {
            JackknifeRanges.name: [label_words(*row) for row in named.itertuples(index=False)],
            JackknifeRanges.points: factors * estimates,
            JackknifeRanges.low: factors * coefficients[Coefficients.low],
            JackknifeRanges.high: factors * coefficients[Coefficients.high],
            JackknifeRanges.least: factors * least,
            JackknifeRanges.most: factors * most,
            JackknifeRanges.least_errors: (least - estimates) / measured,
            JackknifeRanges.most_errors: (most - estimates) / measured,
            JackknifeRanges.least_without: coefficients[Coefficients.least_without],
            JackknifeRanges.most_without: coefficients[Coefficients.most_without],
        }
    )


@styled
def draw_jackknife(table: pd.DataFrame, cluster: str, confidence: float, df: int) -> Figure:
    """Left the coefficients with intervals and their range without a cluster; right that range in standard errors.

    `table` is what jackknife_ranges gives; the dotted lines are the ends of an interval of `confidence` (df degrees).
    """
    rows = np.arange(len(table), dtype=float)
    figure = Figure((WIDTH, 0.75 + ROW * len(table)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1.15])
    names = list(table[JackknifeRanges.name])
    intervals(left, table, rows, 0, "interval")
    left.hlines(
        rows,
        table[JackknifeRanges.least],
        table[JackknifeRanges.most],
        color=PALETTE[1],
        linewidth=3.2,
        zorder=4,
    )
    finish(left, names, "points, with interval and range")
    least = table[JackknifeRanges.least_errors]
    most = table[JackknifeRanges.most_errors]
    right.hlines(rows, least, most, color=PALETTE[1], linewidth=3.2)
    _name_clusters(right, least, table[JackknifeRanges.least_without], -3.5, "right")
    _name_clusters(right, most, table[JackknifeRanges.most_without], 3.5, "left")
    finish(right, names, f"change in standard errors without one {cluster}")
    half = float(stdtrit(df, (1 + confidence) / 2))
    reach = float(np.nan_to_num(np.fmax(least.abs().max(), most.abs().max())))
    right.set_xlim(-1.35 * max(reach, 0.1), 1.35 * max(reach, 0.1))
    if reach * 1.35 > half:
        for x in (-half, half):
            right.axvline(x, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    return figure


def _name_clusters(
    axes: Axes,
    errors: pd.Series,
    clusters: pd.Series,
    offset: float,
    side: Literal["left", "right"],
) -> None:
    """The cluster that causes an end of a range, next to that end."""
    for y, (x, cluster) in enumerate(zip(errors, clusters, strict=True)):
        if np.isfinite(x):
            axes.annotate(
                cluster,
                (x, y),
                xytext=(offset, -0.4),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=6.5,
                color=MUTED,
            )


class ModelEffects(Table):
    """Average effects of both models, in percentage points."""

    model = Text("linear or logit", key=True)
    variable = Text("factor or number", key=True)
    category = Text("category of a factor", key=True)
    name = Text("the effect in words")
    points = Number("the effect")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")


def model_effects(effects: pd.DataFrame) -> pd.DataFrame:
    """ModelEffects of plots/regress/marginal_effects.csv."""
    variables = effects[MarginalEffects.variable]
    categories = effects[MarginalEffects.category]
    factors = variables.map(scale).to_numpy(float)
    return pd.DataFrame(
        {
            ModelEffects.model: effects[MarginalEffects.model],
            ModelEffects.variable: variables,
            ModelEffects.category: categories,
            ModelEffects.name: [
                label_words(variable, category, f"{variable} {category}".strip())
                for variable, category in zip(variables, categories, strict=True)
            ],
            ModelEffects.points: factors * effects[MarginalEffects.estimate],
            ModelEffects.low: factors * effects[MarginalEffects.low],
            ModelEffects.high: factors * effects[MarginalEffects.high],
        }
    )


class ModelDifferences(Table):
    """Effects that both models estimate, in percentage points."""

    name = Text("the effect in words", key=True)
    linear = Number("by the linear probability model")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    logit = Number("by the logit")
    number = Flag("whether it is of a number (for STEP of it) and not of a category")


def model_differences(effects: pd.DataFrame) -> pd.DataFrame:
    """ModelDifferences of plots/regress/marginal_effects.csv."""
    table = model_effects(effects)
    key = [ModelEffects.variable, ModelEffects.category]
    linear = table[table[ModelEffects.model] == "linear"].rename(
        columns={ModelEffects.points: ModelDifferences.linear}
    )
    logit = table[table[ModelEffects.model] == "logit"].rename(
        columns={ModelEffects.points: ModelDifferences.logit}
    )
    both = linear.merge(logit[[*key, ModelDifferences.logit]], on=key)
    number = both[ModelEffects.variable].map(scale).to_numpy(float) < 100
    return both.assign(**{ModelDifferences.number: number})[ModelDifferences.names()]


@styled
def draw_marginal_effects(effects: pd.DataFrame) -> Figure:
    """One row per effect, one point per model; `effects` is plots/regress/marginal_effects.csv."""
    table = model_effects(effects)
    names = list(dict.fromkeys(table[ModelEffects.name]))
    figure = Figure((WIDTH, 0.85 + 0.21 * len(names)))
    axes = figure.subplots()
    for index, (model, name) in enumerate(MODELS.items()):
        part = table[table[ModelEffects.model] == model]
        if len(part):
            y = np.array([names.index(name) for name in part[ModelEffects.name]]) + (
                0.36 * index - 0.18
            )
            intervals(axes, part, y, index, name)
    finish(axes, names, "percentage points of character accuracy")
    key_above(figure, axes, 2)
    return figure


def about_models(effects: pd.DataFrame) -> str:
    """Where the linear probability model and the logit agree: on categories, as they must in a balanced design, and on
    numbers such as the level."""
    both = model_differences(effects)
    if both.empty:
        return "The logit could not be fitted here: the linear probability model has nothing beside it."
    linear = both[ModelDifferences.linear]
    logit = both[ModelDifferences.logit]
    clear = (both[ModelDifferences.low] > 0) | (both[ModelDifferences.high] < 0)
    opposite = both.loc[clear & (linear * logit < 0), ModelDifferences.name].tolist()
    numbers = both[both[ModelDifferences.number]]
    categories = both[~both[ModelDifferences.number]]
    texts = [_about_categories(categories)] if len(categories) else []
    texts += [_about_number(effect) for _, effect in numbers.iterrows()]
    signs = f" The sign of {listed(opposite)} differs." if opposite else ""
    colon = "" if len(categories) else ":"
    return f"The logit{colon} {'; '.join(texts)}.{signs}"


def _about_categories(effects: pd.DataFrame) -> str:
    """How far the two models are apart on categories, at most."""
    gaps = (
        (effects[ModelDifferences.logit] - effects[ModelDifferences.linear]).abs().to_numpy(float)
    )
    gap = float(gaps.max())
    if gap <= CLOSE:
        return f"agrees on categories within {max(0.1, gap):.1f} points, as it must in a balanced design"
    most = effects.iloc[int(gaps.argmax())]
    return (
        f"differs on categories by up to {gap:.1f} points ({most[ModelDifferences.name]}: "
        f"{signed(most[ModelDifferences.logit])} instead of {signed(most[ModelDifferences.linear])})"
    )


def _about_number(effect: pd.Series) -> str:
    name = effect[ModelDifferences.name].removesuffix(f", for {STEP:g}")
    return (
        f"for {STEP:g} of {name} it gives {signed(effect[ModelDifferences.logit])} instead of "
        f"{signed(effect[ModelDifferences.linear])} points"
    )


@styled
def draw_influence(clusters: pd.DataFrame, cluster: str) -> Figure:
    """Leverage against Cook's distance, the largest named; `clusters` is plots/regress/influence.csv."""
    figure = Figure((WIDTH * 0.86, 3.3))
    axes = figure.subplots()
    distances = clusters[ClusterInfluence.distance]
    style = {**line_style(0), "markersize": 4, "linestyle": "none"}
    axes.plot(clusters[ClusterInfluence.leverage], distances, linewidth=0, alpha=0.65, **style)
    ordered = clusters.sort_values(ClusterInfluence.distance, ascending=False, kind="stable")
    _name_largest(axes, ordered.head(NAMED), cluster)
    axes.set_xlabel(f"leverage of the {cluster}")
    axes.set_ylabel("Cook's distance")
    axes.set_ylim(0, 1.08 * max(float(distances.max()), 1e-12))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.5g}"))
    return figure


def _name_largest(axes: Axes, largest: pd.DataFrame, cluster: str) -> None:
    top = 1.08 * max(float(largest[ClusterInfluence.distance].max()), 1e-12)
    places = spread(list(largest[ClusterInfluence.distance] / top), 0.065) * top
    for place, row in zip(places, largest.itertuples(), strict=True):
        axes.annotate(
            f"{cluster} {row.cluster}",
            (float(row.leverage), float(row.distance)),
            xytext=(1.02, place),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": MUTED,
                "linewidth": 0.5,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )
