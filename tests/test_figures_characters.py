"""Figures and sentences of characters, confusions and combinations: they show and say what the tables hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from test_insight_character_accuracy import UKRAINIAN, read_characters

from stages.figures.character_robustness import (
    about_class_levels,
    about_class_ranking,
    about_class_thresholds,
    draw_class_levels,
    draw_class_ranking,
    draw_class_thresholds,
)
from stages.figures.combination_figures import (
    about_combinations,
    about_surroundings,
    draw_combinations,
)
from stages.figures.confusions_by_noise import (
    about_confusions,
    about_top_confusions,
    draw_confusions,
    draw_top_confusions,
)
from stages.figures.style import svg
from stages.insight import character_accuracy, character_ranking, combinations, confusions

NBSP = "\u00a0"


@dataclass(frozen=True)
class Tables:
    """All tables of a study."""

    alphabet: str
    levels: pd.DataFrame
    thresholds: pd.DataFrame
    ranking: pd.DataFrame
    matrices: pd.DataFrame
    tests: pd.DataFrame
    by_level: pd.DataFrame
    surroundings: pd.DataFrame
    effects: pd.DataFrame
    ends: pd.DataFrame


def tables_of(rows: pd.DataFrame, alphabet: str) -> Tables:
    tests = confusions.confusion_tests(rows, alphabet, confidence=0.95)
    return Tables(
        alphabet,
        character_accuracy.character_accuracy_by_level(rows, alphabet, confidence=0.95),
        character_accuracy.thresholds_by_character(
            rows, alphabet, confidence=0.95, draws=40, seed=1
        ),
        character_ranking.ranking(rows, alphabet, confidence=0.95, draws=100, seed=1).table,
        confusions.confusion_matrices(rows, alphabet),
        tests,
        confusions.confusions_by_level(rows, confusions.frequent(tests, 4), confidence=0.95),
        *combinations.combination_tests(rows, alphabet, confidence=0.95),
        combinations.best_and_worst(rows, alphabet, confidence=0.95, count=4),
    )


@pytest.fixture(scope="module")
def abc() -> Tables:
    return tables_of(read_characters("abc", 120, 3, midpoints={"a": 0.8, "c": 0.4}), "abc")


@pytest.fixture(scope="module")
def letters() -> Tables:
    return tables_of(
        read_characters(UKRAINIAN, 0, 1, texts=list(UKRAINIAN) * 11, noises=("fog",)), UKRAINIAN
    )


@pytest.fixture(scope="module")
def two() -> Tables:
    return tables_of(read_characters("01", 40, 2, missed=0), "01")


DRAW: dict[str, Callable[[Tables], Figure | None]] = {
    "class_levels": lambda one: draw_class_levels(one.levels),
    "class_thresholds": lambda one: draw_class_thresholds(
        one.thresholds, list(one.ranking["character"]), 1.0
    ),
    "ranking": lambda one: draw_class_ranking(one.ranking),
    "confusions": lambda one: draw_confusions(one.matrices, one.alphabet),
    "top_confusions": lambda one: draw_top_confusions(one.by_level, ["fog", "lines"]),
    "texts": lambda one: draw_combinations(one.ends, "text"),
}
TELL: dict[str, Callable[[Tables], str]] = {
    "class_levels": lambda one: about_class_levels(one.thresholds, 0.95),
    "class_thresholds": lambda one: about_class_thresholds(one.thresholds, 0.95),
    "ranking": lambda one: about_class_ranking(one.ranking, 0.95),
    "confusions": lambda one: about_confusions(one.matrices),
    "top_confusions": lambda one: about_top_confusions(one.tests, one.by_level, 0.95),
    "surroundings": lambda one: about_surroundings(one.surroundings, one.effects, 0.95),
    "pairs": lambda one: about_combinations(one.ends, "pair", 0.95),
    "texts": lambda one: about_combinations(one.ends, "text", 0.95),
}


def figure_of(name: str, tables: Tables) -> Figure:
    figure = DRAW[name](tables)
    assert figure is not None
    return figure


@pytest.mark.parametrize("study", ["abc", "letters", "two"])
@pytest.mark.parametrize("name", DRAW)
def test_every_figure_is_an_svg_for_any_alphabet(
    study: str, name: str, request: pytest.FixtureRequest
) -> None:
    tables: Tables = request.getfixturevalue(study)
    drawn = svg(figure_of(name, tables))
    ElementTree.fromstring(drawn)
    assert len(drawn) < 800_000


@pytest.mark.parametrize("name", DRAW)
def test_figures_come_out_the_same_to_the_byte(abc: Tables, name: str) -> None:
    assert svg(figure_of(name, abc)) == svg(figure_of(name, abc))


@pytest.mark.parametrize("study", ["abc", "letters", "two"])
@pytest.mark.parametrize("name", TELL)
def test_every_sentence_ends_and_holds_no_unmeasured_number(
    study: str, name: str, request: pytest.FixtureRequest
) -> None:
    said = TELL[name](request.getfixturevalue(study))
    assert said.endswith(".")
    assert not re.search(r"\b(nan|inf)\b", said)


def points(axes: Axes, line: int) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(axes.lines[line].get_xydata())]


def test_each_character_has_its_line_and_its_name(abc: Tables) -> None:
    axes = draw_class_levels(abc.levels).axes[0]
    own = abc.levels[(abc.levels["noise"] == "all") & (abc.levels["character"] == "b")]
    assert points(axes, 1) == list(zip(own["level"], own["accuracy"], strict=True))
    assert [text.get_text() for text in axes.texts] == list("abc")


def test_a_threshold_that_is_not_reached_stands_hollow_at_the_edge(abc: Tables) -> None:
    table = abc.thresholds.assign(level=np.where(abc.thresholds["character"] == "a", np.inf, 0.4))
    table.loc[table["character"] == "a", ["low", "high"]] = [0.9, np.inf]
    panel = draw_class_thresholds(table, list("cba"), 1.0).axes[0]
    assert points(panel, 0) == [(0.4, 0), (0.4, 1)]
    assert points(panel, 1) == [(1.3, 2)]
    assert panel.lines[1].get_markerfacecolor() == "white"
    assert [label.get_text() for label in panel.get_yticklabels()] == list("cba")
    said = about_class_thresholds(table, 0.95)
    assert said.startswith(f"Of the 6 pairs of character and noise type, 4 fall to 50{NBSP}%")


def test_the_ranking_shows_places_with_their_probability(abc: Tables) -> None:
    left, right = draw_class_ranking(abc.ranking).axes
    assert points(left, 0) == [(share, i) for i, share in enumerate(abc.ranking["accuracy"])]
    assert [text.get_text() for text in right.texts] == [
        f"{100 * p:.0f} %" for p in abc.ranking["probability"]
    ]
    assert [label.get_text() for label in left.get_yticklabels()] == list("abc")


def test_the_ranking_is_told_with_its_probability(abc: Tables) -> None:
    said = about_class_ranking(abc.ranking, 0.95)
    assert said.startswith("“a” is the most robust: ")
    assert f"probability {abc.ranking['first'].iloc[0]:.2f}; “c” is the least" in said
    assert "the places of 3 of the 3 characters are settled." in said
    left_out = abc.ranking.assign(place=[1.0, 2.0, np.nan])
    assert about_class_ranking(left_out, 0.95).endswith(
        "1 of the 3 characters come in too few captchas for a place."
    )
    assert about_class_ranking(abc.ranking.assign(place=np.nan), 0.95).startswith(
        "Too few characters"
    )


def test_confusion_panels_leave_the_diagonal_out_and_share_a_scale(abc: Tables) -> None:
    figure = draw_confusions(abc.matrices, "abc")
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == [
        "clean",
        "fog",
        "lines",
        "all noise types",
    ]
    values: np.ndarray = np.ma.filled(np.ma.asarray(panels[1].images[0].get_array()), np.nan)
    assert np.isnan(np.diag(values)).all()
    cells = abc.matrices.set_index(["noise", "actual", "read_as"])["share"]
    assert values[0, 1] == pytest.approx(cells["fog", "a", "b"])
    assert values[2, 3] == pytest.approx(cells["fog", "c", "missed"])
    assert len({axes.images[0].get_clim() for axes in panels}) == 1


def test_misread_and_missed_are_told_apart(abc: Tables) -> None:
    cells = abc.matrices[abc.matrices["noise"] == "all"]
    missed = cells.loc[cells["read_as"] == "missed", "count"].sum() / cells["count"].sum()
    assert f"and {100 * missed:.1f}{NBSP}% are missed" in about_confusions(abc.matrices)


def test_the_top_confusion_is_told_with_its_test(abc: Tables) -> None:
    top = abc.tests[(abc.tests["noise"] == "all") & (abc.tests["read_as"] != "missed")].iloc[0]
    said = about_top_confusions(abc.tests, abc.by_level, 0.95)
    share = f"{100 * top['share']:.1f}{NBSP}%"
    assert said.startswith(f"“{top['actual']}” is read as “{top['read_as']}” most often: {share}")
    assert "of 9 tests" in said
    weak = abc.tests.assign(p_holm=0.4)
    assert ", which chance may make" in about_top_confusions(weak, abc.by_level, 0.95)
    nothing = about_top_confusions(abc.tests.head(0), abc.by_level, 0.95)
    assert nothing == "No character was read as another under noise."


def test_a_confusion_panel_has_a_line_a_noise_type(abc: Tables) -> None:
    panel = draw_top_confusions(abc.by_level, ["fog", "lines"]).axes[0]
    assert [line.get_label() for line in panel.lines] == ["fog", "lines", "all noise types"]
    first = abc.by_level.iloc[0]
    assert panel.get_title(loc="left") == f"{first['actual']} read as {first['read_as']}"
    own = abc.by_level[
        (abc.by_level["noise"] == "all")
        & (abc.by_level["actual"] == first["actual"])
        & (abc.by_level["read_as"] == first["read_as"])
    ]
    assert points(panel, 2) == list(zip(own["level"], own["share"], strict=True))


def test_of_texts_of_one_character_no_neighbour_is_known(letters: Tables) -> None:
    assert about_surroundings(letters.surroundings, letters.effects, 0.95).startswith(
        "Nothing is known of neighbours and repetitions: has one value in this run"
    )
    assert draw_combinations(letters.ends, "pair") is None
    assert about_combinations(letters.ends, "pair", 0.95) == (
        "There are no pairs: the texts have one character each."
    )


def test_a_neighbour_that_matters_is_named(abc: Tables) -> None:
    none = about_surroundings(abc.surroundings.assign(p_holm=0.3), abc.effects, 0.95)
    assert "none has a clear effect" in none
    clear = abc.surroundings.assign(p_holm=[0.3, 0.001, 0.3])
    assert ": the right neighbour matters." in about_surroundings(clear, abc.effects, 0.95)
    row = abc.surroundings.iloc[0]
    assert f"the left neighbour (F({row['df1']}, {row['df2']}) = {row['F']:.2f}, " in none


def test_a_term_that_could_not_be_tested_is_named(abc: Tables) -> None:
    some = abc.surroundings.assign(p=[0.3, np.nan, 0.3])
    assert "Nothing is known of the right neighbour." in about_surroundings(some, abc.effects, 0.95)


def test_ends_show_shares_intervals_and_what_the_characters_lead_to(abc: Tables) -> None:
    own = abc.ends[abc.ends["kind"] == "text"].reset_index(drop=True)
    axes = draw_combinations(abc.ends, "text").axes[0]  # type: ignore[union-attr]
    shares, expected = (np.asarray(one.get_offsets(), float)[:, 0] for one in axes.collections[1:])
    assert shares == pytest.approx(own["accuracy"].to_numpy())
    assert expected == pytest.approx(own["expected"].to_numpy())
    ends = np.array([np.asarray(path.vertices)[:, 0] for path in axes.collections[0].get_paths()])
    assert ends == pytest.approx(own[["low", "high"]].to_numpy())
    assert (
        axes.get_yticklabels()[0].get_text() == f"{own['combination'][0]}  ({own['captchas'][0]})"
    )


def test_the_extremes_come_with_a_warning(abc: Tables) -> None:
    sentence = about_combinations(abc.ends, "text", 0.95)
    own = abc.ends[abc.ends["kind"] == "text"]
    assert sentence.startswith(f"The best of {own['of'].iloc[0]} texts is")
    assert "no interval is adjusted for their selection" in sentence
    assert "drawn once" in about_combinations(abc.ends.assign(note="drawn once"), "text", 0.95)
