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
from test_insight_classes import UKRAINIAN, read_characters

from stages.figures.classes import (
    about_class_levels,
    about_class_ranking,
    about_class_thresholds,
    about_confusions,
    about_top_confusions,
    draw_class_levels,
    draw_class_ranking,
    draw_class_thresholds,
    draw_confusions,
    draw_top_confusions,
)
from stages.figures.combinations import about_pairs, about_repeated, about_texts, draw_pairs, draw_texts
from stages.figures.style import svg
from stages.insight import classes, combinations, confusions

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
    pairs: pd.DataFrame
    spreads: pd.DataFrame
    repeated: pd.DataFrame
    texts: pd.DataFrame

    def spread(self, what: str) -> pd.Series:
        return self.spreads[self.spreads["what"] == what].iloc[0]


def tables_of(rows: pd.DataFrame, alphabet: str) -> Tables:
    tests = confusions.confusion_tests(rows, alphabet, confidence=0.95)
    sides = {side: combinations.neighbour_pairs(rows, alphabet, side, confidence=0.95, draws=50, seed=1)
             for side in combinations.SIDES}
    texts = combinations.whole_texts(rows, alphabet, confidence=0.95, draws=50, seed=1, count=4)
    spreads = {side: spread for side, (_, spread) in sides.items()} | {"text": texts.spread}
    pairs = [table for table, _ in sides.values() if len(table)]
    return Tables(
        alphabet, classes.accuracy_by_level(rows, alphabet, confidence=0.95),
        classes.thresholds_by_character(rows, alphabet, confidence=0.95, draws=40, seed=1),
        classes.ranking(rows, alphabet, confidence=0.95, draws=100, seed=1).table,
        confusions.confusion_matrices(rows, alphabet), tests,
        confusions.confusions_by_level(rows, confusions.frequent(tests, 4), confidence=0.95),
        pd.concat(pairs) if pairs else pd.DataFrame(columns=combinations.PAIRS),
        combinations.spreads_table(spreads), combinations.repeated_characters(rows, alphabet, confidence=0.95),
        texts.table)


@pytest.fixture(scope="module")
def abc() -> Tables:
    return tables_of(read_characters("abc", 120, 3, midpoints={"a": 0.8, "c": 0.4}), "abc")


@pytest.fixture(scope="module")
def letters() -> Tables:
    return tables_of(read_characters(UKRAINIAN, 0, 1, texts=list(UKRAINIAN) * 11, noises=("fog",)), UKRAINIAN)


@pytest.fixture(scope="module")
def two() -> Tables:
    return tables_of(read_characters("01", 40, 2, missed=0), "01")


DRAW: dict[str, Callable[[Tables], Figure]] = {
    "class_levels": lambda one: draw_class_levels(one.levels),
    "class_thresholds": lambda one: draw_class_thresholds(one.thresholds, list(one.ranking["character"]), 1.0),
    "ranking": lambda one: draw_class_ranking(one.ranking),
    "confusions": lambda one: draw_confusions(one.matrices, one.alphabet),
    "top_confusions": lambda one: draw_top_confusions(one.by_level, ["fog", "lines"]),
    "pairs": lambda one: draw_pairs(one.pairs, one.alphabet),
    "texts": lambda one: draw_texts(one.texts),
}
TELL: dict[str, Callable[[Tables], str]] = {
    "class_levels": lambda one: about_class_levels(one.thresholds, 0.95),
    "class_thresholds": lambda one: about_class_thresholds(one.thresholds, 0.95),
    "ranking": lambda one: about_class_ranking(one.ranking, 0.95),
    "confusions": lambda one: about_confusions(one.matrices),
    "top_confusions": lambda one: about_top_confusions(one.tests, one.by_level, 0.95),
    "pairs": lambda one: about_pairs(one.pairs, one.spreads, 0.95),
    "repeated": lambda one: about_repeated(one.repeated, 0.95),
    "texts": lambda one: about_texts(one.texts, one.spread("text"), 0.95),
}


@pytest.mark.parametrize("study", ["abc", "letters", "two"])
@pytest.mark.parametrize("name", DRAW)
def test_every_figure_is_an_svg_for_any_alphabet(study: str, name: str, request: pytest.FixtureRequest) -> None:
    tables: Tables = request.getfixturevalue(study)
    drawn = svg(DRAW[name](tables))
    ElementTree.fromstring(drawn)
    assert len(drawn) < 800_000


@pytest.mark.parametrize("name", DRAW)
def test_figures_come_out_the_same_to_the_byte(abc: Tables, name: str) -> None:
    assert svg(DRAW[name](abc)) == svg(DRAW[name](abc))


@pytest.mark.parametrize("study", ["abc", "letters", "two"])
@pytest.mark.parametrize("name", TELL)
def test_every_sentence_ends_and_holds_no_unmeasured_number(study: str, name: str,
                                                            request: pytest.FixtureRequest) -> None:
    said = TELL[name](request.getfixturevalue(study))
    assert said.endswith(".")
    assert not re.search(r"\b(nan|inf)\b", said)


def points(axes: Axes, line: int) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in axes.lines[line].get_xydata()]


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
    assert [text.get_text() for text in right.texts] == [f"{100 * p:.0f} %" for p in abc.ranking["probability"]]
    assert [label.get_text() for label in left.get_yticklabels()] == list("abc")


def test_the_ranking_is_told_with_its_probability(abc: Tables) -> None:
    said = about_class_ranking(abc.ranking, 0.95)
    assert said.startswith("“a” is the most robust: ")
    assert f"probability {abc.ranking['first'].iloc[0]:.2f}; “c” is the least" in said
    assert "the places of 3 of the 3 characters are settled." in said
    left_out = abc.ranking.assign(place=[1.0, 2.0, np.nan])
    assert about_class_ranking(left_out, 0.95).endswith("1 of the 3 characters come in too few captchas for a place.")
    assert about_class_ranking(abc.ranking.assign(place=np.nan), 0.95).startswith("Too few characters")


def test_confusion_panels_leave_the_diagonal_out_and_share_a_scale(abc: Tables) -> None:
    figure = draw_confusions(abc.matrices, "abc")
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["clean", "fog", "lines", "all noise types"]
    values = np.ma.filled(panels[1].images[0].get_array(), np.nan)
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
    own = abc.by_level[(abc.by_level["noise"] == "all") & (abc.by_level["actual"] == first["actual"])
                       & (abc.by_level["read_as"] == first["read_as"])]
    assert points(panel, 2) == list(zip(own["level"], own["share"], strict=True))


def test_pairs_stand_at_their_row_and_column_and_clear_ones_are_marked(abc: Tables) -> None:
    table = abc.pairs.assign(low=-1.0, high=1.0)
    clear = (table["side"] == "left") & (table["character"] == "c") & (table["neighbour"] == "a")
    table.loc[clear, ["effect", "low"]] = [0.25, 0.1]
    left, right = draw_pairs(table, "abc").axes[:2]
    assert left.images[0].get_array()[2, 0] == pytest.approx(25)
    assert points(left, 0) == [(0, 2)]
    assert not right.lines
    assert left.images[0].get_clim() == pytest.approx((-25, 25))


def test_of_texts_of_one_character_no_neighbour_is_told(letters: Tables) -> None:
    assert about_pairs(letters.pairs, letters.spreads, 0.95) == (
        "Nothing is known of neighbours: the texts have one character each: there are no neighbours.")
    assert about_repeated(letters.repeated, 0.95) == "Too few captchas repeat a character to say what that does."


def test_a_spread_that_chance_may_make_is_called_so(abc: Tables) -> None:
    assert "which chance may make" in about_pairs(abc.pairs, abc.spreads.assign(p=0.3), 0.95)
    assert "more than chance makes" in about_pairs(abc.pairs, abc.spreads.assign(p=0.001), 0.95)


def test_texts_show_raw_and_shrunk_shares(abc: Tables) -> None:
    axes = draw_texts(abc.texts).axes[0]
    shrunk, raw, expected = (np.asarray(one.get_offsets())[:, 0] for one in axes.collections[1:])
    for found, name in ((shrunk, "shrunk"), (raw, "read"), (expected, "expected")):
        assert found == pytest.approx(abc.texts[name].to_numpy())
    assert axes.get_yticklabels()[0].get_text() == f"{abc.texts['text'][0]}  ({abc.texts['captchas'][0]})"


def test_texts_without_a_model_say_why(abc: Tables) -> None:
    none = abc.texts.assign(shrunk=np.nan, note="there is one text")
    assert about_texts(none, abc.spread("text"), 0.95) == "Whole texts cannot be compared: there is one text."
    ElementTree.fromstring(svg(draw_texts(none)))
