"""Would it notice a character it has never seen? AUROC by held-out class, scores of one class, and the hardest glyphs.

The tables are the rows of stages.insight.anomaly.held_out, the scores its `scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures.numbers import highest, listed, lowest, percent, quoted
from stages.figures.samples import draw_sheet
from stages.figures.style import (
    INK,
    MUTED,
    PALETTE,
    WIDTH,
    key_above,
    line_style,
    style_of_noise,
    styled,
    words,
)
from stages.schemas.explain import UnseenScores

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Glyphs = NDArray[np.uint8]  # (n, 28, 28), ink 255 on 0

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


@styled
def draw_detection(rows: pd.DataFrame) -> Figure:
    """AUROC without noise, one place a held-out class and, beside each other, a dot a method with its interval; the
    control hollow, and one half, which is guessing, dotted. A last place holds the means over classes."""
    table = clean(rows)
    methods = methods_of(table)
    classes = list(dict.fromkeys(table[UnseenScores.held_out]))
    figure = Figure((WIDTH, 3.4))
    axes = figure.subplots()
    for index, method in enumerate(methods):
        own = (
            table[table[UnseenScores.method] == method]
            .set_index(UnseenScores.held_out)
            .reindex(classes)
        )
        style = _method_style(index, method)
        x = np.arange(len(classes)) + 0.7 * ((index + 0.5) / len(methods) - 0.5)
        axes.vlines(
            x, own[UnseenScores.low], own[UnseenScores.high], color=style["color"], linewidth=1.1
        )
        axes.plot(
            x,
            own[UnseenScores.auroc],
            linestyle="",
            label=SHOWN.get(method, words(method)),
            **style,
        )
        axes.plot([len(classes) + x[0]], [own[UnseenScores.auroc].mean()], linestyle="", **style)
    axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
    axes.axvline(len(classes) - 0.5, color=MUTED, linewidth=0.7)
    axes.set_xticks(range(len(classes) + 1), [*classes, "mean"])
    axes.set_xlabel("class that was held out")
    axes.set_ylabel("AUROC")
    axes.set_ylim(
        min(
            0.45, float(np.nanmin(table[[UnseenScores.auroc, UnseenScores.low]].to_numpy())) - 0.03
        ),
        1.02,
    )
    axes.grid(visible=False, axis="x")
    key_above(figure, axes, 4)
    return figure


def _method_style(index: int, method: str) -> dict[str, Any]:
    style = {name: value for name, value in line_style(index).items() if name != "linestyle"}
    return (
        {**style, "color": MUTED, "markerfacecolor": "white", "markeredgecolor": MUTED}
        if method == CONTROL
        else style
    )


def about_detection(rows: pd.DataFrame) -> str:
    """Which score finds the unseen class best, over all classes and for the hardest, and what ink alone gets."""
    table = clean(rows).dropna(subset=[UnseenScores.auroc])
    own = table[table[UnseenScores.method] != CONTROL]
    if own.empty:
        return "No class had glyphs to test with, so nothing is known about characters never seen."
    means = own.groupby(UnseenScores.method, sort=False)[UnseenScores.auroc].mean()
    best = str(means.idxmax())
    worst = lowest(own[own[UnseenScores.method] == best], UnseenScores.auroc)
    ends = (
        ""
        if pd.isna(worst[UnseenScores.low])
        else f", interval {worst[UnseenScores.low]:.3f} to {worst[UnseenScores.high]:.3f}"
    )
    control = table.loc[table[UnseenScores.method] == CONTROL, UnseenScores.auroc]
    ink = f", where ink alone gets {control.mean():.3f}" if len(control) else ""
    return (
        f"With each of {own[UnseenScores.held_out].nunique()} classes held out in turn (all the others against it), "
        "the best "
        f"score, {SHOWN.get(best, words(best))}, has a mean AUROC of **{means[best]:.3f}**{ink}; the hardest class "
        f"to notice is {quoted(worst[UnseenScores.held_out])} ({worst[UnseenScores.auroc]:.3f}{ends})."
    )


def about_alarms(rows: pd.DataFrame, method: str) -> str:
    """What the threshold from validation glyphs is worth on test glyphs."""
    own = clean(rows)
    own = own[own[UnseenScores.method] == method].dropna(
        subset=[UnseenScores.tpr_at_5, UnseenScores.false_alarms]
    )
    if own.empty:
        return "No class had enough glyphs to try a threshold."
    low = lowest(own, UnseenScores.tpr_at_5)
    high = highest(own, UnseenScores.tpr_at_5)
    ends = (
        ""
        if pd.isna(low[UnseenScores.tpr_low])
        else f", interval {percent(low[UnseenScores.tpr_low])} to {percent(low[UnseenScores.tpr_high])}"
    )
    return (
        f"At a threshold meant to alarm for 5 % of the normal glyphs, {SHOWN.get(method, words(method))} finds "
        f"{percent(own[UnseenScores.tpr_at_5].mean())} of the unseen ones in the mean over classes, from "
        f"{quoted(low[UnseenScores.held_out])} ({percent(low[UnseenScores.tpr_at_5])}{ends}) to "
        f"{quoted(high[UnseenScores.held_out])} "
        f"({percent(high[UnseenScores.tpr_at_5])}), with {percent(own[UnseenScores.false_alarms].mean())} false "
        "alarms on test "
        "glyphs."
    )


@styled
def draw_under_noise(rows: pd.DataFrame, method: str, noises: Sequence[str]) -> Figure:
    """Mean AUROC over held-out classes against the level, one line a noise type; normal and anomalous glyphs under the
    same noise. The band is the range of the classes."""
    own = rows[rows[UnseenScores.method] == method]
    still = own[own[UnseenScores.level] == 0]
    figure = Figure((WIDTH, 3.0))
    axes = figure.subplots()
    for noise in dict.fromkeys(own.loc[own[UnseenScores.level] > 0, UnseenScores.noise]):
        groups = pd.concat([still, own[own[UnseenScores.noise] == noise]]).groupby(
            UnseenScores.level
        )[UnseenScores.auroc]
        style = style_of_noise(str(noise), noises)
        axes.fill_between(
            groups.min().index,
            groups.min(),
            groups.max(),
            color=style["color"],
            alpha=0.1,
            linewidth=0,
        )
        axes.plot(groups.mean().index, groups.mean(), label=words(str(noise)), **style)
    axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_xlabel("level of the noise, the same for normal and unseen glyphs")
    axes.set_ylabel("AUROC")
    key_above(figure, axes, 4)
    return figure


def about_unseen_under_noise(rows: pd.DataFrame, method: str) -> str:
    """Under which noise the score still notices an unseen class, at the strongest level."""
    own = rows[(rows[UnseenScores.method] == method) & rows[UnseenScores.auroc].notna()]
    noisy = own[own[UnseenScores.level] > 0]
    if noisy.empty:
        return "Unseen characters were tried without noise only."
    strongest = noisy[noisy[UnseenScores.level] == noisy[UnseenScores.level].max()]
    means = strongest.groupby(UnseenScores.noise, sort=False)[UnseenScores.auroc].mean()
    clean_mean = own.loc[own[UnseenScores.level] == 0, UnseenScores.auroc].mean()
    return (
        f"At matched noise of level {noisy[UnseenScores.level].max():g} the mean AUROC of "
        f"{SHOWN.get(method, words(method))} "
        f"comes down from {clean_mean:.3f} to {means.min():.3f} under "
        f"{words(str(means.idxmin()))} and {means.max():.3f} under {words(str(means.idxmax()))}."
    )


@styled
def draw_scores(
    scores: Doubles, labels: Ints, label: int, threshold: float, character: str
) -> Figure:
    """Histograms of the scores (n,) of normal glyphs and of those of class `label`, with the threshold."""
    figure = Figure((WIDTH, 2.6))
    axes = figure.subplots()
    anomalous = labels == label
    edges: list[float] = np.linspace(scores.min(), np.quantile(scores, 0.999), 50).tolist()
    for part, name, colour in (
        (~anomalous, "normal", PALETTE[0]),
        (anomalous, f"{character}, never seen", PALETTE[1]),
    ):
        shown = np.clip(scores[part], edges[0], edges[-1])
        if len(shown):
            axes.hist(
                shown,
                edges,
                weights=np.full(len(shown), 1 / len(shown)),
                color=colour,
                alpha=0.6,
                label=f"{name} ({len(shown)})",
            )
    axes.axvline(threshold, color=INK, linewidth=0.9, linestyle="--", label="threshold")
    axes.set_xlabel("score, in standard deviations of the normal validation glyphs")
    axes.set_ylabel("share of the glyphs")
    key_above(figure, axes, 3)
    return figure


def about_scores(
    scores: Doubles, labels: Ints, label: int, threshold: float, character: str
) -> str:
    """Where a class's scores lie against the threshold."""
    anomalous = labels == label
    if not anomalous.any() or anomalous.all():
        return f"There are no glyphs to tell {quoted(character)} from the others with."
    beyond = scores > threshold
    return (
        f"Held out, {quoted(character)} scores {np.median(scores[anomalous]):.1f} standard deviations above the "
        f"normal mean (median of {anomalous.sum()} glyphs): {percent(beyond[anomalous].mean())} of it lies beyond "
        f"the threshold, as does {percent(beyond[~anomalous].mean())} of the normal glyphs."
    )


def hardest(scores: Doubles, labels: Ints, label: int, count: int) -> tuple[Ints, Ints]:
    """Rows of the `count` most anomalous normal glyphs, and of the least anomalous of class `label`, hardest first."""
    normal = np.flatnonzero(labels != label)
    anomalous = np.flatnonzero(labels == label)
    return (
        normal[np.argsort(-scores[normal], kind="stable")][:count],
        anomalous[np.argsort(scores[anomalous], kind="stable")][:count],
    )


def draw_hardest(
    images: Glyphs,
    scores: Doubles,
    labels: Ints,
    label: int,
    threshold: float,
    alphabet: str,
    count: int = 10,
) -> Figure:
    """The hardest glyphs as pictures: above, normal ones that look strange; below, unseen ones that look normal.
    Beneath each its character, with a cross where the threshold decides it wrongly."""
    rows = hardest(scores, labels, label, count)
    pictures = [[np.repeat(255 - images[i][..., None], 3, axis=2) for i in part] for part in rows]
    captions = [[alphabet[labels[i]] for i in part] for part in rows]
    right = [[bool((scores[i] > threshold) == (labels[i] == label)) for i in part] for part in rows]
    shown = [i for i in range(2) if len(rows[i])]
    names = ["normal, strangest first", f"{alphabet[label]}, most normal first"]
    return draw_sheet(
        [pictures[i] for i in shown],
        [names[i] for i in shown],
        [],
        [captions[i] for i in shown],
        [right[i] for i in shown],
    )


def about_hardest(scores: Doubles, labels: Ints, label: int, alphabet: str, count: int = 10) -> str:
    """Which classes the strangest normal glyphs are of."""
    strange, _ = hardest(scores, labels, label, count)
    names, counts = np.unique(labels[strange], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:3]
    found = listed([f"{quoted(alphabet[names[i]])} ({counts[i]})" for i in order])
    return (
        f"Of the {len(strange)} normal glyphs that look strangest with {quoted(alphabet[label])} held out, most "
        f"are {found}."
    )
