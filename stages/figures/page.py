"""The pages of the report, rendered from its tree: self-contained, no script, nothing to load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.figures.figure import PAGES
from stages.figures.glossary import GLOSSARY, anchor_of
from stages.figures.report import plain

TEMPLATES = Path(__file__).parent / "templates"
SCALE = 1.62  # CSS pixels a point, at which the lettering of a figure is as large as a caption's; and at the least one


def render(page: str, tree: Mapping[str, Any], drawings: Mapping[str, str]) -> str:
    """One of PAGES as HTML; `drawings` are the figures of the tree, as SVG. Everything is escaped but these.

    A term of the glossary is linked where the page first says it, outside headings.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        marked=marked,
        linked=Linked("" if page == "details" else PAGES["details"]),
        plain=plain,
        anchor=anchor_of,
    )
    numbers = {name: number for number, name in enumerate(_drawn(tree, page), start=1)}
    return environment.get_template(PAGES[page]).render(
        tree=tree,
        pages=PAGES,
        page=page,
        numbers=numbers,
        style=Markup(_template("style.css")),
        chapters=[chapter for chapter in tree["chapters"] if chapter["page"] == page],
        here={chapter["anchor"] for chapter in tree["chapters"] if chapter["page"] == page},
        inline=lambda name: Markup(
            inline_svg(drawings[name], name, tree["figures"][name]["alternative"])
        ),
    )


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _drawn(tree: Mapping[str, Any], page: str) -> list[str]:
    """The figures of a page that have a drawing, in order."""

    def names(content: list[dict[str, Any]]) -> list[str]:
        found: list[str] = []
        for part in content:
            found += [part["name"]] if part["kind"] == "figure" else names(part.get("content", []))
        return found

    shown = [
        name
        for chapter in tree["chapters"]
        if chapter["page"] == page
        for name in names(chapter["content"])
    ]
    return [name for name in shown if tree["figures"][name]["file"]]


def marked(text: str) -> Markup:
    """Escaped text, with **strong**, `code` and [links](#within-the-page)."""
    html = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))
    html = re.sub(r"\[([^\]]+)\]\((#[\w-]+)\)", r'<a href="\2">\1</a>', html)
    return Markup(
        re.sub(r"(?<!“)`([^`]+)`", r"<code>\1</code>", html)
    )  # “`” is a character of the alphabet


class Linked:
    """A filter that marks a text and links each term of the glossary where it comes first, whatever text that is in."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.left = {form: name for name, (_, forms) in GLOSSARY.items() for form in forms}

    def __call__(self, text: str) -> Markup:
        pieces = re.split(r"(<code>.*?</code>|<a .*?</a>)", marked(text))
        return Markup(
            "".join(
                piece if piece.startswith(("<code>", "<a ")) else self._link(piece)
                for piece in pieces
            )
        )

    def _link(self, html: str) -> str:
        """Text without code, its first terms linked; the longest form wins, and none is linked within another."""
        if not self.left:
            return html
        forms = "|".join(
            re.escape(escape(form))
            for form in sorted(self.left, key=lambda form: (-len(form), form))
        )

        def link(found: re.Match[str]) -> str:
            name = self.left.get(found[0]) or self.left.get(found[0][0].lower() + found[0][1:])
            if name is None:  # linked meanwhile
                return found[0]
            self.left = {form: whose for form, whose in self.left.items() if whose != name}
            return f'<a class="term" href="{self.page}#{anchor_of(name)}">{found[0]}</a>'

        return re.sub(rf"(?<![\w-])(?:{forms})(?![\w-])", link, html, flags=re.IGNORECASE)


def inline_svg(svg: str, name: str, label: str) -> str:
    """A drawing to be set into a page: named for those who cannot see it, sized, its ids its own."""
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(
        r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", drawing, count=1, flags=re.DOTALL
    )
    used = {
        first or second for first, second in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawing)
    }
    drawing = re.sub(
        r'\sid="([^"]+)"',
        lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "",
        drawing,
    )
    drawing = drawing.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    width = float(re.search(r'width="([\d.]+)pt"', drawing)[1])  # type: ignore[index]
    head = (
        f'<svg role="img" aria-label="{escape(label)}" '
        f'style="width:100%;min-width:{round(width)}px;max-width:{round(width * SCALE)}px"'
    )
    return head + re.sub(
        r'\s(?:width|height)="[\d.]+pt"', "", drawing[len("<svg") :], count=2
    ).strip("\n")
