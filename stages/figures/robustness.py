"""How far the headline's effects hang on a cluster, a link function or a category."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from scipy.special import stdtrit

from stages.figures.coefficients import finish, intervals
from stages.figures.regressed import label_words, scale
from stages.figures.style import INK, MUTED, PALETTE, WIDTH, line_look, spread, styled

Floats = NDArray[np.float64]

NAMED = 5  # clusters
ROW = 0.185  # inches
MODELS = {"linear": "linear probability model", "logit": "logit, average effect"}


def jackknife_ranges(coefficients: pd.DataFrame) -> pd.DataFrame:
    """Coefficients in percentage points, and how far they move without one cluster, in standard errors.

    Columns name, points, low, high, least, most (the range without a cluster), least_errors, most_errors,
    least_without, most_without; errors are NaN where no standard error was measured.
    """
    factors = coefficients["term"].map(scale).to_numpy(float)
    error = coefficients["standard_error"].where(coefficients["standard_error"] > 0)
    rows = {"name": [label_words(*row) for row in coefficients[["term", "category", "label"]].itertuples(index=False)],
            "points": factors * coefficients["estimate"]}
    rows |= {name: factors * coefficients[name] for name in ("low", "high", "least", "most")}
    rows |= {f"{end}_errors": (coefficients[end] - coefficients["estimate"]) / error for end in ("least", "most")}
    return pd.DataFrame(rows).join(coefficients[["least_without", "most_without"]])


@styled
def draw_jackknife(table: pd.DataFrame, cluster: str, confidence: float, df: int) -> Figure:
    """Left the coefficients with intervals and their range without a cluster; right that range in standard errors.

    `table` is what jackknife_ranges gives; the dotted lines are the ends of an interval of `confidence` (df degrees).
    """
    rows = np.arange(len(table), dtype=float)
    figure = Figure((WIDTH, 0.75 + ROW * len(table)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1.15])
    intervals(left, table, rows, 0, "interval")
    left.hlines(rows, table["least"], table["most"], color=PALETTE[1], linewidth=3.2, zorder=4)
    finish(left, list(table["name"]), "points, with interval and range")
    right.hlines(rows, table["least_errors"], table["most_errors"], color=PALETTE[1], linewidth=3.2)
    for end, side in (("least", "right"), ("most", "left")):
        for y, x, without in zip(rows, table[f"{end}_errors"], table[f"{end}_without"], strict=True):
            if np.isfinite(x):
                right.annotate(without, (x, y), xytext=(-3.5 if end == "least" else 3.5, -0.4),
                               textcoords="offset points", ha=side, va="center", fontsize=6.5, color=MUTED)
    finish(right, list(table["name"]), f"change in standard errors without one {cluster}")
    half = float(stdtrit(df, (1 + confidence) / 2))
    reach = float(np.nan_to_num(table[["least_errors", "most_errors"]].abs().max(axis=None)))
    right.set_xlim(-1.35 * max(reach, 0.1), 1.35 * max(reach, 0.1))
    if reach * 1.35 > half:
        for x in (-half, half):
            right.axvline(x, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    return figure


def side_by_side(effects: pd.DataFrame) -> pd.DataFrame:
    """Average effects of both models, in percentage points; `effects` is plots/regress/marginal_effects.csv.

    Columns model, variable, category, name, points, low, high.
    """
    factors = effects["variable"].map(scale).to_numpy(float)
    names = [label_words(variable, category, f"{variable} {category}".strip())
             for variable, category in effects[["variable", "category"]].itertuples(index=False)]
    points = {column: factors * effects[source]
              for column, source in (("points", "estimate"), ("low", "low"), ("high", "high"))}
    return effects[["model", "variable", "category"]].assign(name=names, **points)


def differences(effects: pd.DataFrame) -> pd.DataFrame:
    """One row an effect that both models estimate: name, linear, low, high (of the linear one) and logit, in points,
    and whether it is of a number (for STEP of it) and not of a category."""
    table = side_by_side(effects)
    linear, logit = (table[table["model"] == model].drop(columns="model") for model in MODELS)
    both = linear.merge(logit[["variable", "category", "points"]], on=["variable", "category"], suffixes=("", "_logit"))
    renamed = both.rename(columns={"points": "linear", "points_logit": "logit"})
    number = renamed["variable"].map(scale).to_numpy(float) < 100
    return renamed[["name", "linear", "low", "high", "logit"]].assign(number=number)


@styled
def draw_marginal_effects(effects: pd.DataFrame) -> Figure:
    """One row an effect, one point a model; `effects` is plots/regress/marginal_effects.csv."""
    table = side_by_side(effects)
    names = list(dict.fromkeys(table["name"]))
    figure = Figure((WIDTH, 0.85 + 0.21 * len(names)))
    axes = figure.subplots()
    for index, (model, name) in enumerate(MODELS.items()):
        part = table[table["model"] == model]
        if len(part):
            y = np.array([names.index(name) for name in part["name"]]) + (0.36 * index - 0.18)
            intervals(axes, part, y, index, name)
    finish(axes, names, "percentage points of character accuracy")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@styled
def draw_influence(clusters: pd.DataFrame, cluster: str) -> Figure:
    """Leverage against Cook's distance, the largest named; `clusters` is plots/regress/influence.csv."""
    figure = Figure((WIDTH * 0.86, 3.3))
    axes = figure.subplots()
    axes.plot(clusters["leverage"], clusters["distance"], linewidth=0, alpha=0.65, **{**line_look(0), "markersize": 4,
                                                                                      "linestyle": "none"})
    _name_largest(axes, clusters.sort_values("distance", ascending=False, kind="stable").head(NAMED), cluster)
    axes.set_xlabel(f"leverage of the {cluster}")
    axes.set_ylabel("Cook's distance")
    axes.set_ylim(0, 1.08 * max(float(clusters["distance"].max()), 1e-12))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.5g}"))
    return figure


def _name_largest(axes: Axes, largest: pd.DataFrame, cluster: str) -> None:
    top = 1.08 * max(float(largest["distance"].max()), 1e-12)
    places = spread(list(largest["distance"] / top), 0.065) * top
    for place, row in zip(places, largest.itertuples(), strict=True):
        axes.annotate(f"{cluster} {row.cluster}", (float(row.leverage), float(row.distance)),
                      xytext=(1.02, place), textcoords=("axes fraction", "data"), va="center", fontsize=8,
                      annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3,
                                  "relpos": (0, 0.5)})
