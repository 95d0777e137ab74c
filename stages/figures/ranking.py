"""The answer, drawn: the noises ranked by the level at which a share of the captchas is lost, and what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from stages.figures.accuracy import PALE
from stages.figures.numbers import estimate_of, in_draws, listed
from stages.figures.regression_tables import Regressed
from stages.figures.style import INK, MARKERS, MUTED, WIDTH, style_of_noise, styled, words
from stages.schemas.regress import Costs, Thresholds

EDGE = 1.14  # of the strongest level: where stands what is not reached
ROW = 0.42  # inches, of a noise type
CLEAR = 0.95  # share of the draws above which a noise counts as the first


def ranked(found: Regressed) -> list[str]:
    """The noise types by threshold, the lowest first; those that are not reached by their average cost, the largest
    first."""
    costs = found.costs(found.reader).set_index(Costs.noise)[Costs.cost]
    rows = found.half_levels(found.reader)
    rows = rows.assign(**{Costs.cost: rows[Thresholds.noise].map(costs).to_numpy(float)})
    order = rows.sort_values([Thresholds.level, Costs.cost], ascending=[True, False], kind="stable")
    return [str(noise) for noise in order[Thresholds.noise]]


@styled
def draw_ranking(
    found: Regressed, noises: Sequence[str], readers: Sequence[str], largest: float
) -> Figure:
    """One row per noise type: left the threshold, right the average cost, with intervals; the report's reader in the
    noise's colour, the others pale. A threshold that is not reached stands hollow at the right edge."""
    order = ranked(found)
    others = [name for name in readers if name != found.reader]
    edge = EDGE * largest
    figure = Figure((WIDTH, 0.85 + ROW * len(order)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.15, 1])
    for index, reader in enumerate([*others, found.reader]):
        place = 0.0 if reader == found.reader else 0.2 + 0.13 * index
        half_levels = found.half_levels(reader).set_index(Thresholds.noise)
        costs = found.costs(reader).set_index(Costs.noise)
        for row, noise in enumerate(order):
            style = _marker_style(noise, noises, None if reader == found.reader else index)
            if noise in half_levels.index:
                _threshold(left, half_levels.loc[noise], row + place, edge, style)
            if noise in costs.index:
                one = 100 * costs.loc[noise, [Costs.cost, Costs.low, Costs.high]].to_numpy(float)
                right.hlines(
                    row + place, one[1], one[2], color=style["color"], linewidth=style["linewidth"]
                )
                right.plot(one[0], row + place, **style)
    never = _drawn(found)[Thresholds.level].isna().any()
    _axes(left, right, order, largest, "never" if never else "beyond", found.share)
    handles = [
        Line2D(
            [],
            [],
            **_marker_style(order[0], noises, None) | {"color": INK, "markerfacecolor": INK},
            label=f"{found.reader}, in the colour of the noise",
        )
    ]
    handles += [
        Line2D([], [], **_marker_style(order[0], noises, index), label=name)
        for index, name in enumerate(others)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


def _marker_style(noise: str, noises: Sequence[str], other: int | None) -> dict[str, Any]:
    """Of the report's reader, or of the other one of that number."""
    if other is None:
        colour = style_of_noise(noise, noises)["color"]
        return {
            "color": colour,
            "marker": "o",
            "markersize": 6.5,
            "linestyle": "none",
            "linewidth": 2.2,
            "zorder": 4,
            "markerfacecolor": colour,
        }
    return {
        "color": PALE,
        "marker": MARKERS[1 + other % (len(MARKERS) - 1)],
        "markersize": 4,
        "linestyle": "none",
        "linewidth": 1.0,
        "zorder": 3,
        "markerfacecolor": PALE,
    }


def _threshold(axes: Axes, row: pd.Series, y: float, edge: float, style: dict[str, Any]) -> None:
    level, low, high = (
        float(row[name]) for name in (Thresholds.level, Thresholds.low, Thresholds.high)
    )
    if np.isfinite(level) or np.isfinite(low):
        axes.hlines(
            y,
            low if np.isfinite(low) else edge,
            high if np.isfinite(high) else edge,
            color=style["color"],
            linewidth=style["linewidth"],
        )
    if np.isfinite(level):
        axes.plot(level, y, **style)
    else:
        axes.plot(
            edge,
            y,
            **{
                **style,
                "markerfacecolor": "white",
                "markeredgewidth": 1.2,
                "markeredgecolor": style["color"],
            },
        )


def _axes(
    left: Axes, right: Axes, order: Sequence[str], largest: float, last: str, share: float
) -> None:
    edge = EDGE * largest
    ticks: NDArray[np.float64] = np.linspace(0, largest, 5)
    left.axvline((largest + edge) / 2, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)
    left.set_xlim(-0.02 * largest, 1.05 * edge)
    left.set_xticks([*ticks, edge], [*(f"{tick:g}" for tick in ticks), last])
    left.set_yticks(range(len(order)), [words(noise) for noise in order], fontweight="bold")
    left.set_ylim(len(order) - 0.35, -0.45)
    left.set_title(f"level at which {lost(share)} are lost")
    left.set_xlabel("level of the noise: further left is worse")
    right.set_title("average cost")
    right.set_xlabel("points of character accuracy: further right is worse")
    right.set_xlim(min(0.0, right.get_xlim()[0]))
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
        axes.tick_params(labelbottom=True)


def lost(share: float) -> str:
    """The captchas that are lost where `share` of them is still read."""
    return "half of the captchas" if share == 0.5 else f"{100 * (1 - share):g} % of the captchas"


def settled(reached: pd.DataFrame) -> bool:
    """Whether the first of the noises that are reached, in order, is so with a probability that leaves no doubt."""
    return len(reached) == 1 or not float(reached.iloc[0][Thresholds.first]) < CLEAR


def about_ranking(found: Regressed) -> str:
    """The levels in order, which noises may be the first, and what marks at the edges mean where there are some."""
    rows = found.half_levels(found.reader)
    reached = rows[rows[Thresholds.level].notna()]
    marks = _about_marks(found)
    if reached.empty:
        return f"Under no noise tested does `{found.reader}` lose {lost(found.share)}.{marks}"
    levels = [
        f"{words(row[Thresholds.noise])} {estimate_of(row, Thresholds.level)}"
        for _, row in reached.iterrows()
    ]
    text = f"`{found.reader}` loses {lost(found.share)} from these levels on: {', '.join(levels)}"
    never = [words(noise) for noise in rows.loc[rows[Thresholds.level].isna(), Thresholds.noise]]
    text += f"; not within the levels tested under {listed(never)}." if never else "."
    if len(rows) > 1 and np.isfinite(reached.iloc[0][Thresholds.first]):
        leaders = reached.iloc[: 1 if settled(reached) else 2]
        draws = [
            f"{words(noise)} in {in_draws(first)}"
            for noise, first in zip(
                leaders[Thresholds.noise], leaders[Thresholds.first], strict=True
            )
        ]
        undecided = ": which is first is open" if len(leaders) > 1 else ""
        text += f" Of the draws, first comes {listed(draws)}{undecided}."
    return text + marks


def _drawn(found: Regressed) -> pd.DataFrame:
    """The thresholds of all readers for the share of the headline."""
    rows = found.tables[Thresholds]
    return rows[rows[Thresholds.share] == found.share]


def _about_marks(found: Regressed) -> str:
    drawn = _drawn(found)
    never = drawn[Thresholds.level].isna()
    clean = drawn[Thresholds.level] == 0
    text = " A hollow point: never, within the levels tested." if never.any() else ""
    if clean.any():
        whose = listed(
            [f"`{reader}`" for reader in dict.fromkeys(drawn.loc[clean, Thresholds.reader])]
        )
        share = "half" if found.share == 0.5 else f"{100 * found.share:g}\u00a0%"
        text += f" A mark at 0: fewer than {share} are read whole even without noise ({whose})."
    return text
