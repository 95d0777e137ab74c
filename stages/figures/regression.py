"""The regression's part of the report: its figures with what they found, its paragraphs and tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.figures import verdicts
from stages.figures.doses import draw_dose_response, draw_thresholds
from stages.figures.findings import highest, signed
from stages.figures.regressed import Regressed, label_words, name_words, p_words, scale, term_words
from stages.figures.regressors import (
    draw_added_variables,
    draw_correlations,
    drawn_regressors,
    strays,
    strongest_pair,
)
from stages.figures.report import bullets, compact_table, heading, paragraphs
from stages.figures.robustness import draw_influence, draw_marginal_effects, draw_steadiness, steadiness
from stages.figures.style import words

NOTHING = "The regression left nothing to draw here."


def draw_regression(found: Regressed) -> Iterator[tuple[str, Figure | None, str]]:
    """Every figure but the effects: its name, the drawing (None where there is nothing to draw), and what it found."""
    tables = found.tables
    responses, thresholds = tables["dose_response"], tables["thresholds"]
    yield "dose_response", None if responses.empty else draw_dose_response(
        responses, tables["curves"], thresholds, found.dose), about_dose_response(responses)
    yield "thresholds", None if thresholds.empty else draw_thresholds(
        thresholds, found.reader, float(responses["level"].max())), about_thresholds(thresholds)
    yield "marginal_effects", None if tables["marginal_effects"].empty else draw_marginal_effects(
        tables["marginal_effects"]), verdicts.about_models(found)
    steady, cluster = steadiness(found.coefficients()), found.fits["cluster"][0]
    yield "steadiness", None if steady.empty else draw_steadiness(
        steady, cluster, found.confidence, found.headline["df"]), verdicts.about_clusters(found)
    yield "influence", None if tables["influence"].empty else draw_influence(
        tables["influence"], cluster), about_influence(tables["influence"], cluster)
    bins = tables["added_variables"]
    yield "added_variables", None if bins.empty else draw_added_variables(bins), about_added_variables(bins)
    pairs = tables["correlations"]
    yield "correlations", None if strongest_pair(pairs) is None else draw_correlations(pairs), about_correlations(pairs)


def about_dose_response(responses: pd.DataFrame) -> str:
    """How far the lines and the curves lie from what was observed, at most."""
    if responses.empty:
        return NOTHING
    said = []
    for column, name, seen in (("line", "straight line of the characters", "accuracy"),
                               ("curve", "curve of the captchas", "exact")):
        rows = responses.assign(gap=(responses[column] - responses[seen]).abs())
        rows = rows[rows["gap"].notna()]
        if len(rows):
            most = highest(rows, "gap")
            said.append(f"a {name} misses it by at most {100 * most['gap']:.1f} points (`{most['reader']}`, "
                        f"{words(most['noise'])}, level {most['level']:g})")
    return f"Of the observed accuracy, {' and '.join(said)}." if said else "Neither a line nor a curve was fitted."


def about_thresholds(thresholds: pd.DataFrame) -> str:
    """How many pairs of reader and noise pass each accuracy, and which first."""
    said = []
    for accuracy, rows in thresholds.groupby("share"):
        reached = rows[rows["level"].notna()].sort_values("level", kind="stable")
        told = f"{len(reached)} of {len(rows)} pairs of reader and noise come down to {100 * float(accuracy):g}\u00a0%"
        if already := int((reached["level"] == 0).sum()):
            told += f", {already} of them without any noise"
        later = reached[reached["level"] > 0]
        if len(later):
            told += (f"; first under noise is `{later['reader'].iloc[0]}` at level {later['level'].iloc[0]:.2f} of "
                     f"{words(later['noise'].iloc[0])}")
        said.append(f"{told}.")
    return " ".join(said) or NOTHING


def about_influence(clusters: pd.DataFrame, cluster: str) -> str:
    if clusters.empty:
        return NOTHING
    most = highest(clusters, "distance")
    return (f"The largest distance has {cluster} {most['cluster']}, {most['distance']:.2g}: it moves "
            f"{name_words(str(most['moves']))} by {signed(most['by_errors'], '.2f')} standard errors. Leverage runs "
            f"from {clusters['leverage'].min():.4g} to {clusters['leverage'].max():.4g}.")


def about_added_variables(bins: pd.DataFrame) -> str:
    if bins.empty:
        return NOTHING
    apart = strays(bins)
    told = (f"The bins of {label_words('', '', str(apart.idxmax()))} stray most from their line, "
            f"{apart.max():.1f} points (root mean square).")
    left = bins["label"].nunique() - len(drawn_regressors(bins))
    return told + (f" {left} regressors with the flattest lines are left out; the CSV file has them." if left else "")


def about_correlations(pairs: pd.DataFrame) -> str:
    """The strongest correlation, and the strongest between two terms."""
    most = strongest_pair(pairs)
    if most is None:
        return "There is one regressor, which goes with no other."
    said = f"The strongest is {_pair(most)}."
    terms = [pairs[side].str.split(" ").str[0] for side in ("a", "b")]
    apart = strongest_pair(pairs[(terms[0] != terms[1]).to_numpy()])
    if apart is None or abs(apart["r"]) < 0.005:
        return said + " Regressors of different terms are uncorrelated, to two digits."
    return said + ("" if apart["r"] == most["r"] else f" Between different terms it is {_pair(apart)}.")


def _pair(row: pd.Series) -> str:
    a, b = (label_words("", "", str(row[side])) for side in ("a", "b"))
    return f"r = {signed(row['r'], '.2f')} ({a} and {b})"


def regression_html(found: Regressed, *, composed: bool) -> dict[str, str]:
    """The paragraphs, lists and tables by the names under which the report's chapters hold them."""
    return {"said": paragraphs(verdicts.said(found)),
            "unsaid": heading("What cannot be concluded") + bullets(verdicts.unsaid(found, composed=composed)),
            "diagnosed": heading("The diagnostics in words") + bullets(verdicts.diagnosed(found)),
            "tests": tests_table(found), "categories": categories_table(found.tables["categories"]),
            "corruption": corruption_table(found.tables["corruption"])}


def tests_table(found: Regressed) -> str:
    """The joint test of every term of the headline, and of what the specification by reader has beside them."""
    headline, other = found.tests(found.fits["headline"]), found.tests(found.by_reader)
    tests = pd.concat([headline, other[~other["term"].isin(headline["term"])]])
    rows = []
    for _, test in tests.iterrows():
        told = ["–", "–"] if np.isnan(test["F"]) else [
            f"F({test['df1']:g}, {test['df2']:g}) = {test['F']:,.1f}", p_words(test["minus_log10_p"])]
        rows.append([term_words(test["term"]), test["specification"], *told, signed(test["adjusted_r2_lost"], ".4f")])
    return compact_table("Each term and its products: the joint test that all are zero, and what adjusted R² loses",
                         ["regression", "joint test", "p", "adjusted R² lost"], rows)


def categories_table(rows: pd.DataFrame) -> str:
    """The fit without each category, beside the fit with all."""
    if rows.empty:
        return f"<p>{NOTHING}</p>"
    return compact_table("Without each category: does the rest hold?",
                         ["rows left", "adjusted R²", "moves most", "points", "standard errors", "left their interval"],
                         [[verdicts.category_words(row), f"{row['rows']:,.0f}", f"{row['adjusted_r2']:.4f}",
                           *_moved(row), _outside(row["outside"])] for _, row in rows.iterrows()])


def corruption_table(rows: pd.DataFrame) -> str:
    """Mean corruption errors beside the raw ones, over all noise types, and those that training had and had not."""
    several = rows[rows["types"] == rows["types"].max()]
    apart = rows[(rows["types"] > 1) & (rows["types"] < rows["types"].max())]
    shown = pd.concat([several, apart])
    return compact_table(
        "Errors under noise over those of the baseline (mCE: mean over noise types of the ratio of summed errors)",
        ["noise", "in its training", "clean error", "error under noise", "mCE", "relative mCE"],
        [[row["reader"], words(row["noise"]).replace("+", ", ") if row["types"] < several["types"].max() else "all",
          row["seen"], f"{100 * row['clean_error']:.1f} %", f"{100 * row['error']:.1f} %", *(_ratio(row, name)
          for name in ("ratio", "relative"))] for _, row in shown.iterrows()])


def _ratio(row: pd.Series, name: str) -> str:
    if np.isnan(row[name]):
        return "–"
    return f"{row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"


def _moved(row: pd.Series) -> list[str]:
    if np.isnan(row["errors"]):
        return ["–", "–", "–"]
    factor = scale(row["moved"].split("[")[0])
    return [verdicts.moved_words(row["moved"]).rstrip(","),
            f"{signed(factor * row['before'])} → {signed(factor * row['after'])}", f"{row['errors']:.1f}"]


def _outside(names: str) -> str:
    """How many; the CSV file names them."""
    return str(len(names.split("; "))) if names else "none"
