"""The report: everything escaped, nothing loaded, and whole without its pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from stages.figures import wording
from stages.figures.report import (
    Chapter,
    Fold,
    Plate,
    Tile,
    bullets,
    definitions,
    grouped_table,
    inline_svg,
    marked,
    metrics_table,
    page,
    parameters_tables,
)
from stages.figures.style import styled, svg

EVIL = '<script>alert("1")</script>&\'"'


class Checker(HTMLParser):
    """Collects tags, ids and addresses; `open` is empty at the end of a well-formed page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "srcset", "action", "data"):
                self.addresses.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "link", "br", "img"):
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    return checker


@styled
def drawing() -> str:
    figure = Figure((2, 1))
    axes = figure.subplots()
    axes.plot([0, 5], [0, 5], label=EVIL)
    axes.set_xlim(1, 2)
    axes.legend()
    return svg(figure)


def a_page() -> str:
    plates = [Plate(name, f"Title {EVIL}", f"shows {EVIL}", f"found **{EVIL}**", drawing()) for name in ("one", "two")]
    chapters = [Chapter("first", f"Chapter {EVIL}", f"lead {EVIL}", [*plates, bullets([EVIL]),
                                                                    metrics_table(EVIL, [EVIL], {EVIL: [(EVIL, EVIL)]}),
                                                                    definitions([(EVIL, EVIL)], "glossary")]),
                Chapter("second", "Second", "lead",
                        [Plate("none", "No picture", "", f"why {EVIL}", None),
                         Fold(f"folded {EVIL}", [Plate("inner", EVIL, EVIL, EVIL, drawing()), bullets([EVIL])]),
                         grouped_table(EVIL, EVIL, [(EVIL, [EVIL])], [[EVIL, EVIL]], [EVIL, EVIL], barred="F1"),
                         parameters_tables({EVIL: [(EVIL, EVIL)]}, {EVIL: [(EVIL, EVIL)]})])]
    return page([f"answer {EVIL}"], [Tile(EVIL, EVIL, EVIL)], chapters)


def test_every_text_is_escaped_and_the_page_is_well_formed() -> None:
    checker = check(a_page())
    assert "script" not in checker.tags
    assert "alert" in a_page()


def test_nothing_is_loaded_from_anywhere() -> None:
    html = a_page()
    assert all(address.startswith(("#", "data:")) for address in check(html).addresses)
    assert not re.search(r"url\((?!#)|@import|<link rel=\"stylesheet", html)
    assert "default-src 'none'" in html


def test_two_drawings_on_one_page_share_no_id() -> None:
    checker = check(a_page())
    assert len(set(checker.ids)) == len(checker.ids)
    assert {address[1:] for address in checker.addresses if address.startswith("#")} <= set(checker.ids)


def test_a_drawing_is_named_and_still_xml() -> None:
    inline = inline_svg(drawing(), "name", f"label {EVIL}")
    root = ElementTree.fromstring(inline)
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"label {EVIL}"
    assert "<style" not in inline


def test_figures_are_numbered_in_order_and_one_without_drawing_has_no_number() -> None:
    html = a_page()
    assert re.findall(r"Figure (\d)", html) == ["1", "2", "3"]
    assert "<strong>No picture.</strong> why" in html


def test_what_is_folded_away_stands_closed_below_its_summary() -> None:
    html = a_page()
    folded = re.findall(r"<details><summary>folded .*?</summary>\n<figure id=\"figure-inner\".*?</details>", html,
                        flags=re.DOTALL)
    assert len(folded) == 1
    assert "<details open" not in html


def test_a_grouped_table_names_its_groups_and_draws_its_bars() -> None:
    html = grouped_table("caption", "character", [("all", ["recall", "F1"]), ("clean", ["F1"])],
                         [["a", "1.0", "25.5", "50.0"]], ["mean", "2.0", "30.0", "60.0"], barred="F1")
    check(html)
    assert '<th scope="colgroup" colspan="2">all</th><th scope="colgroup" colspan="1">clean</th>' in html
    assert ('<tr><th scope="row">a</th><td class="start">1.0</td><td class="bar" style="--bar:25.5%">25.5</td>'
            '<td class="bar start" style="--bar:50.0%">50.0</td></tr>') in html
    assert html.index("</tbody>") < html.index('<th scope="row">mean</th>')


def test_a_cell_without_an_interval_has_no_second_line() -> None:
    html = metrics_table("caption", ["one", "two"], {"reader": [("1 %", ""), ("2 %", "1 to 3 %")]})
    assert "<td>1 %</td><td>2 %<br><small>1 to 3 %</small></td>" in html


def test_readers_parameters_stand_side_by_side() -> None:
    html = parameters_tables({}, {"a": [("epochs", "3"), ("batch", "4")], "b": [("epochs", "5"), ("batch", "6")]})
    assert '<th scope="row">epochs</th><td>3</td><td>5</td>' in html


@pytest.mark.parametrize(("text", "html"), [
    ("**a** `b` < c", "<strong>a</strong> <code>b</code> &lt; c"), ("a ** b", "a ** b"),
])  # fmt: skip
def test_marks_become_tags_after_escaping(text: str, html: str) -> None:
    assert marked(text) == html


def test_every_figure_of_the_report_has_its_words() -> None:
    shown = [name for names in wording.CONTENT.values() for name in names]
    assert len(set(shown)) == len(shown)
    assert set(wording.SHOWS) <= set(shown)
    assert set(wording.CONTENT) == set(wording.LEADS)
