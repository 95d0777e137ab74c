"""The report's pages: everything escaped, nothing loaded, whole without its pictures, and each term linked once."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure as Drawing

from stages.figures.chapters.contents import CHAPTERS, QUESTIONS
from stages.figures.figure import (
    Chapter,
    ChapterPart,
    Definitions,
    Figure,
    Fold,
    Heading,
    ReportTable,
    TableCell,
    Words,
    heads,
    row,
)
from stages.figures.glossary import GLOSSARY, anchor_of
from stages.figures.page import Linked, inline_svg, marked, render
from stages.figures.report import Rendered, figures_in, table_tree, tree_of
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
    figure = Drawing((2, 1))
    axes = figure.subplots()
    axes.plot([0, 5], [0, 5], label=EVIL)
    axes.set_xlim(1, 2)
    axes.legend()
    return svg(figure)


def nothing(_: Any) -> None:
    """Never asked to draw here: what is rendered is given."""


def figure(name: str, title: str = f"Title {EVIL}") -> Figure:
    return Figure(name, title, f"shows {EVIL}", "A line.", nothing, str, numbers=("figures/one",))


class Studied:
    """As much of a study as the tree needs."""

    words: dict[str, str] = {}  # noqa: RUF012
    reader = EVIL
    explained = None


def a_tree() -> tuple[dict[str, Any], dict[str, str]]:
    table = ReportTable(
        EVIL,
        heads(EVIL),
        [[TableCell(EVIL, span=2, scope="rowgroup")], row(EVIL, TableCell(EVIL, EVIL, bar="25.5"))],
        [row(EVIL, EVIL)],
        [EVIL],
    )
    recipes = Definitions([(EVIL, EVIL)], "recipes")
    parts: list[ChapterPart] = [
        figure("one"),
        figure("two"),
        Words([EVIL], "bullets", "sure"),
        table,
        recipes,
    ]
    later: list[ChapterPart] = [
        figure("none", "No picture"),
        Fold(f"folded {EVIL}", [figure("inner"), Words([EVIL])]),
        Heading(EVIL),
    ]
    glossary = Definitions([(term, meaning) for term, (meaning, _) in GLOSSARY.items()], "glossary")
    chapters: list[tuple[Chapter, list[ChapterPart]]] = [
        (Chapter("report", "answer", f"Chapter {EVIL}", "", ()), parts[:1]),
        (Chapter("report", "first", f"Chapter {EVIL}", f"lead {EVIL}", ()), [*parts[1:], *later]),
        (Chapter("details", "second", EVIL, EVIL, ()), [figure("other"), glossary]),
    ]
    rendered = {
        one.name: Rendered(
            one.name, f"found **{EVIL}**", None if one.name == "none" else drawing(), None
        )
        for _, those in chapters
        for one in figures_in(those)
    }
    studied: Any = Studied()
    tree = tree_of(
        studied,
        chapters,
        rendered,
        f"answer {EVIL}",
        {EVIL: {f"to first {EVIL}": "first", "to second": "second"}},
    )
    return tree, {name: one.svg for name, one in rendered.items() if one.svg}


def a_page(page: str = "report") -> str:
    return render(page, *a_tree())


@pytest.mark.parametrize("page", ["report", "details"])
def test_every_text_is_escaped_and_the_page_is_well_formed(page: str) -> None:
    checker = check(a_page(page))
    assert "script" not in checker.tags
    assert "alert" in a_page(page)


@pytest.mark.parametrize("page", ["report", "details"])
def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    html = a_page(page)
    assert all(
        address.startswith(("#", "data:", "details.html", "report.html"))
        for address in check(html).addresses
    )
    assert not re.search(r"url\((?!#)|@import|<link rel=\"stylesheet", html)
    assert "default-src 'none'" in html


def test_every_address_leads_somewhere_on_either_page() -> None:
    pages = {f"{name}.html": check(a_page(name)) for name in ("report", "details")}
    for name, checker in pages.items():
        assert len(set(checker.ids)) == len(checker.ids)
        for address in checker.addresses:
            page, _, anchor = address.partition("#")
            if anchor and page in ("", *pages):
                assert anchor in pages[page or name].ids


def test_a_drawing_is_named_and_still_xml() -> None:
    inline = inline_svg(drawing(), "name", f"label {EVIL}")
    root = ElementTree.fromstring(inline)
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"label {EVIL}"
    assert "<style" not in inline


def test_figures_are_numbered_in_order_and_one_without_drawing_has_no_number() -> None:
    html = a_page()
    assert re.findall(r"Figure (\d)", html) == ["1", "2", "3"]
    assert "<strong>No picture.</strong> found" in html


def test_a_figure_has_an_alternative_text_of_its_title_form_and_finding() -> None:
    tree, _ = a_tree()
    assert tree["figures"]["one"]["alternative"] == f"Title {EVIL}: A line. found {EVIL}"
    assert tree["figures"]["one"]["numbers"] == ["plots/figures/one.csv"]


def test_a_figure_that_found_nothing_is_left_out() -> None:
    chapters: list[tuple[Chapter, list[ChapterPart]]] = [
        (Chapter("report", "answer", "", "", ()), [figure("one"), figure("two")])
    ]
    rendered = {
        "one": Rendered("one", "", None, None),
        "two": Rendered("two", "why not", None, None),
    }
    studied: Any = Studied()
    tree = tree_of(studied, chapters, rendered, "", {})
    assert list(tree["figures"]) == ["two"]
    assert tree["chapters"][0]["content"] == [{"kind": "figure", "name": "two"}]


def test_what_is_folded_away_stands_closed_below_its_summary() -> None:
    html = a_page()
    assert (
        len(
            re.findall(
                r"<details><summary>folded .*?<figure id=\"figure-inner\".*?</details>",
                html,
                flags=re.DOTALL,
            )
        )
        == 1
    )
    assert "<details open" not in html


def test_findings_are_kept_by_topic() -> None:
    assert a_tree()[0]["findings"] == {"answer": [f"answer {EVIL}"], "sure": [EVIL]}


def test_a_cell_holds_only_what_it_has() -> None:
    cells = [TableCell("x", scope="row"), TableCell("1", "0 to 2", bar="50.0", starts=True)]
    tree = table_tree(ReportTable("caption", heads("a"), [cells]))
    assert tree["head"] == [[{"text": ""}, {"text": "a", "scope": "col"}]]
    assert tree["body"] == [
        [
            {"text": "x", "scope": "row"},
            {"text": "1", "small": "0 to 2", "bar": "50.0", "starts": True},
        ]
    ]


def test_a_cell_shows_its_interval_bar_and_span() -> None:
    html = a_page()
    assert re.search(r'<td class="bar" style="--bar:25.5%">.*?<br><small>', html)
    assert '<th scope="rowgroup" colspan="2">' in html


@pytest.mark.parametrize(("text", "html"), [
    ("**a** `b` < c", "<strong>a</strong> <code>b</code> &lt; c"), ("a ** b", "a ** b"), ("“`” is", "“`” is"),
])  # fmt: skip
def test_marks_become_tags_after_escaping(text: str, html: str) -> None:
    assert marked(text) == html


def test_a_term_is_linked_where_it_comes_first_and_nowhere_else() -> None:
    linked = Linked("details.html")
    assert linked("Intervals and `level` of an interval") == (
        '<a class="term" href="details.html#term-interval">Intervals</a> and <code>level</code> of an interval'
    )
    assert "href" not in linked("The interval again, and inter-intervals")
    assert linked("A simultaneous interval.").count("term-simultaneous-interval") == 1


def test_every_term_has_a_meaning_and_forms_that_no_other_has() -> None:
    forms = [form for _, those in GLOSSARY.values() for form in those]
    assert len(set(forms)) == len(forms)
    assert len({anchor_of(term) for term in GLOSSARY}) == len(GLOSSARY)
    assert all(meaning and those for meaning, those in GLOSSARY.values())


def test_chapters_and_figures_have_names_of_their_own_and_questions_lead_to_chapters() -> None:
    anchors = [chapter.anchor for chapter in CHAPTERS]
    assert len(set(anchors)) == len(anchors)
    assert {anchor for those in QUESTIONS.values() for anchor in those.values()} <= set(anchors)
    figures = [part for chapter in CHAPTERS for part in chapter.content if isinstance(part, Figure)]
    assert len({one.name for one in figures}) == len(figures)
    assert all(one.form or one.name == "neighbours" for one in figures)


def test_the_first_page_has_at_most_twelve_figures() -> None:
    first = [
        part
        for chapter in CHAPTERS
        for part in chapter.content
        if chapter.page == "report" and isinstance(part, Figure)
    ]
    assert 1 <= len(first) <= 12
