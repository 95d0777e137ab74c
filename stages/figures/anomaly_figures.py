"""Detection of unseen characters: AUROC by held-out class, scores of one class, and the hardest glyphs.

The tables are UnseenScores; `best` holds the scores of the class that is noticed least.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.numbers import highest, listed, lowest, percent, quoted
from stages.figures.samples import draw_sheet, glyph_pictures
from stages.figures.style import (
    INK,
    MUTED,
    PALETTE,
    WIDTH,
    band,
    key_above,
    line_style,
    style_of_noise,
    styled,
    words,
)
from stages.schemas.explain import UnseenArrays, UnseenScores

Ints = NDArray[np.int64]

HARDEST = 10  # glyphs in a row
CONTROL = "ink"
SHOWN = {
    "ink": "ink alone (control)",
    "raw": "reconstruction, ink left in",
    "reconstruction": "reconstruction",
    "elbo": "ELBO",
    "features": "nearest features",
    "logit": "largest logit",
    "combined": "features and logit",
}


def clean(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows without noise."""
    return rows[rows[UnseenScores.level] == 0]


def methods_of(rows: pd.DataFrame) -> list[str]:
    """The methods, in the order of the table."""
    return list(dict.fromkeys(rows[UnseenScores.method]))


def score_words(method: str) -> str:
    return SHOWN.get(method, words(method))


@styled
def draw_detection(rows: pd.DataFrame) -> Figure:
    """AUROC without noise: one place per held-out class, in it one dot per method with its interval.

    The control is hollow; one half, which is guessing, is dotted. The last place holds the means over classes.
    """
    table = clean(rows)
    methods = methods_of(table)
    classes = list(dict.fromkeys(table[UnseenScores.held_out]))
    figure = Figure((WIDTH, 3.4))
    axes = figure.subplots()
    for index, method in enumerate(methods):
        own = table[table[UnseenScores.method] == method]
        own = own.set_index(UnseenScores.held_out).reindex(classes)
        auroc = own[UnseenScores.auroc]
        style = _method_style(index, method)
        x = np.arange(len(classes)) + 0.7 * ((index + 0.5) / len(methods) - 0.5)
        low = own[UnseenScores.low]
        axes.vlines(x, low, own[UnseenScores.high], color=style["color"], linewidth=1.1)
        axes.plot(x, auroc, linestyle="", label=score_words(method), **style)
        axes.plot([len(classes) + x[0]], [auroc.mean()], linestyle="", **style)
    axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
    axes.axvline(len(classes) - 0.5, color=MUTED, linewidth=0.7)
    axes.set_xticks(range(len(classes) + 1), [*classes, "mean"])
    axes.set_xlabel("class that was held out")
    axes.set_ylabel("AUROC")
    least = float(np.nanmin(table[[UnseenScores.auroc, UnseenScores.low]].to_numpy()))
    axes.set_ylim(min(0.45, least - 0.03), 1.02)
    axes.grid(visible=False, axis="x")
    key_above(figure, axes, 4)
    return figure


def _method_style(index: int, method: str) -> dict[str, Any]:
    style = {name: value for name, value in line_style(index).items() if name != "linestyle"}
    if method != CONTROL:
        return style
    return {**style, "color": MUTED, "markerfacecolor": "white", "markeredgecolor": MUTED}


def about_detection(rows: pd.DataFrame) -> str:
    """The best score, the class that is hardest for it, and the AUROC of ink alone."""
    table = clean(rows).dropna(subset=[UnseenScores.auroc])
    own = table[table[UnseenScores.method] != CONTROL]
    if own.empty:
        return "No class had glyphs to test with, so nothing is known about characters never seen."
    means = own.groupby(UnseenScores.method, sort=False)[UnseenScores.auroc].mean()
    best = str(means.idxmax())
    worst = lowest(own[own[UnseenScores.method] == best], UnseenScores.auroc)
    interval = ""
    if pd.notna(worst[UnseenScores.low]):
        interval = f", interval {worst[UnseenScores.low]:.3f} to {worst[UnseenScores.high]:.3f}"
    control = table.loc[table[UnseenScores.method] == CONTROL, UnseenScores.auroc]
    ink = f", where ink alone gets {control.mean():.3f}" if len(control) else ""
    return (
        f"With each of {own[UnseenScores.held_out].nunique()} classes held out in turn (all the others against it), "
        f"the best score, {score_words(best)}, has a mean AUROC of **{means[best]:.3f}**{ink}; the hardest class "
        f"to notice is {quoted(worst[UnseenScores.held_out])} ({worst[UnseenScores.auroc]:.3f}{interval})."
    )


def about_alarms(rows: pd.DataFrame, method: str) -> str:
    """The rates of true and false alarms on test glyphs at the threshold from validation glyphs."""
    own = clean(rows)
    own = own[own[UnseenScores.method] == method].dropna(
        subset=[UnseenScores.tpr_at_5, UnseenScores.false_alarms]
    )
    if own.empty:
        return "No class had enough glyphs to try a threshold."
    low = lowest(own, UnseenScores.tpr_at_5)
    high = highest(own, UnseenScores.tpr_at_5)
    interval = ""
    if pd.notna(low[UnseenScores.tpr_low]):
        interval = f", interval {percent(low[UnseenScores.tpr_low])} to {percent(low[UnseenScores.tpr_high])}"
    return (
        f"At a threshold meant to alarm for 5 % of the normal glyphs, {score_words(method)} finds "
        f"{percent(own[UnseenScores.tpr_at_5].mean())} of the unseen ones in the mean over classes, from "
        f"{quoted(low[UnseenScores.held_out])} ({percent(low[UnseenScores.tpr_at_5])}{interval}) to "
        f"{quoted(high[UnseenScores.held_out])} ({percent(high[UnseenScores.tpr_at_5])}), with "
        f"{percent(own[UnseenScores.false_alarms].mean())} false alarms on test glyphs."
    )


@styled
def draw_under_noise(rows: pd.DataFrame, method: str, noises: Sequence[str]) -> Figure:
    """Mean AUROC over held-out classes against the level, one line per noise type.

    Normal and unseen glyphs have the same noise. The band is the range of the classes.
    """
    own = rows[rows[UnseenScores.method] == method]
    still = clean(own)
    figure = Figure((WIDTH, 3.0))
    axes = figure.subplots()
    for noise in dict.fromkeys(own.loc[own[UnseenScores.level] > 0, UnseenScores.noise]):
        line = pd.concat([still, own[own[UnseenScores.noise] == noise]])
        auroc = line.groupby(UnseenScores.level)[UnseenScores.auroc]
        style = style_of_noise(str(noise), noises)
        band(axes, auroc.min().index, auroc.min(), auroc.max(), color=style["color"], alpha=0.1)
        axes.plot(auroc.mean().index, auroc.mean(), label=words(str(noise)), **style)
    axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_xlabel("level of the noise, the same for normal and unseen glyphs")
    axes.set_ylabel("AUROC")
    key_above(figure, axes, 4)
    return figure


def about_unseen_under_noise(rows: pd.DataFrame, method: str) -> str:
    """The mean AUROC at the strongest level, under the noise that costs it most and least."""
    own = rows[(rows[UnseenScores.method] == method) & rows[UnseenScores.auroc].notna()]
    noisy = own[own[UnseenScores.level] > 0]
    if noisy.empty:
        return "Unseen characters were tried without noise only."
    strongest = noisy[noisy[UnseenScores.level] == noisy[UnseenScores.level].max()]
    means = strongest.groupby(UnseenScores.noise, sort=False)[UnseenScores.auroc].mean()
    return (
        f"At matched noise of level {noisy[UnseenScores.level].max():g} the mean AUROC of {score_words(method)} "
        f"comes down from {clean(own)[UnseenScores.auroc].mean():.3f} to {means.min():.3f} under "
        f"{words(str(means.idxmin()))} and {means.max():.3f} under {words(str(means.idxmax()))}."
    )


@styled
def draw_scores(best: UnseenArrays) -> Figure:
    """Histograms of the scores of normal and unseen glyphs, with the threshold."""
    figure = Figure((WIDTH, 2.6))
    axes = figure.subplots()
    scores = best.scores
    unseen = best.labels == best.label
    edges: list[float] = np.linspace(scores.min(), np.quantile(scores, 0.999), 50).tolist()
    parts = ((~unseen, "normal"), (unseen, f"{best.names[best.label]}, never seen"))
    for (part, name), colour in zip(parts, PALETTE, strict=False):
        shown = np.clip(scores[part], edges[0], edges[-1])
        if len(shown):
            weights = np.full(len(shown), 1 / len(shown))
            label = f"{name} ({len(shown)})"
            axes.hist(shown, edges, weights=weights, color=colour, alpha=0.6, label=label)
    axes.axvline(best.threshold, color=INK, linewidth=0.9, linestyle="--", label="threshold")
    axes.set_xlabel("score, in standard deviations of the normal validation glyphs")
    axes.set_ylabel("share of the glyphs")
    key_above(figure, axes, 3)
    return figure


def about_scores(best: UnseenArrays) -> str:
    """Where the scores of the unseen class lie against the threshold."""
    unseen = best.labels == best.label
    character = quoted(best.names[best.label])
    if not unseen.any() or unseen.all():
        return f"There are no glyphs to tell {character} from the others with."
    beyond = best.scores > best.threshold
    return (
        f"Held out, {character} scores {np.median(best.scores[unseen]):.1f} standard deviations above the "
        f"normal mean (median of {unseen.sum()} glyphs): {percent(beyond[unseen].mean())} of it lies beyond "
        f"the threshold, as does {percent(beyond[~unseen].mean())} of the normal glyphs."
    )


def hardest(best: UnseenArrays, count: int) -> tuple[Ints, Ints]:
    """Rows of the `count` normal glyphs that score highest and of the unseen ones that score lowest, hardest first."""
    normal = np.flatnonzero(best.labels != best.label)
    unseen = np.flatnonzero(best.labels == best.label)
    return (
        normal[np.argsort(-best.scores[normal], kind="stable")][:count],
        unseen[np.argsort(best.scores[unseen], kind="stable")][:count],
    )


def draw_hardest(best: UnseenArrays) -> Figure:
    """The hardest glyphs as pictures: above, normal ones that look strange; below, unseen ones that look normal.

    Beneath each its character, with a cross where the threshold decides it wrongly.
    """
    alarmed = best.scores > best.threshold
    right = alarmed == (best.labels == best.label)
    captions = best.names[best.labels]
    names = ("normal, strangest first", f"{best.names[best.label]}, most normal first")
    named = zip(names, hardest(best, HARDEST), strict=True)
    shown = [(name, rows) for name, rows in named if len(rows)]
    return draw_sheet(
        [glyph_pictures(best.glyphs[rows]) for _, rows in shown],
        [name for name, _ in shown],
        [],
        [captions[rows].tolist() for _, rows in shown],
        [right[rows].tolist() for _, rows in shown],
    )


def about_hardest(best: UnseenArrays) -> str:
    """The classes that the strangest normal glyphs are of."""
    strange, _ = hardest(best, HARDEST)
    labels, counts = np.unique(best.labels[strange], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:3]
    found = listed([f"{quoted(best.names[labels[i]])} ({counts[i]})" for i in order])
    return (
        f"Of the {len(strange)} normal glyphs that look strangest with {quoted(best.names[best.label])} held out, "
        f"most are {found}."
    )
