"""The report: one self-contained page that a person reads from top to bottom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from html import escape
from typing import Any

from stages.figures.page import PAGE, STYLE

QUESTION = "Which noise makes a captcha reader fail, how fast, for which characters and colours, and how sure are we?"
SCALE = 1.62  # CSS pixels a point, at which the lettering of a figure is as large as a caption's; and at the least one


@dataclass(frozen=True)
class Plate:
    """A figure of the report: what it shows, what it found in this run, and the drawing (None where there is none)."""

    name: str
    title: str
    shows: str
    found: str
    svg: str | None


@dataclass(frozen=True)
class Fold:
    """What stands folded away, below a line that tells what it is."""

    summary: str
    content: Sequence[Plate | str]


@dataclass(frozen=True)
class Chapter:
    anchor: str
    title: str
    lead: str
    content: Sequence[Plate | Fold | str]  # in order; a string is HTML, made by the functions below


@dataclass(frozen=True)
class Tile:
    """A number worth a glance."""

    value: str
    note: str
    label: str


def page(answer: Sequence[str], tiles: Sequence[Tile], chapters: Sequence[Chapter]) -> str:
    """The whole page as HTML. Everything in it is escaped here but the HTML in `content`."""
    shown = (part for chapter in chapters for outer in chapter.content
             for part in (outer.content if isinstance(outer, Fold) else [outer]))
    numbers = {plate.name: number for number, plate in enumerate(
        (part for part in shown if isinstance(part, Plate) and part.svg), start=1)}
    body = [_cover(answer, tiles, chapters), "<main>"]
    body += [_chapter(chapter, numbers) for chapter in chapters]
    body += ["</main>", "<footer><p>Made by <code>dvc repro</code>. The numbers behind each figure lie in "
             "<code>plots/figures/</code>, <code>plots/regress/</code> and <code>plots/explain/</code>, as CSV "
             "files.</p></footer>"]
    return PAGE.substitute(title=escape(QUESTION), description=escape(" ".join(map(_plain, answer))), style=STYLE,
                           body="\n".join(body))


def _cover(answer: Sequence[str], tiles: Sequence[Tile], chapters: Sequence[Chapter]) -> str:
    links = "".join(f'<li><a href="#{chapter.anchor}">{escape(chapter.title)}</a></li>' for chapter in chapters)
    told = "".join(f"<p>{marked(sentence)}</p>" for sentence in answer)
    shown = "".join(f"<div><dt>{escape(tile.label)}</dt><dd>{escape(tile.value)}<small>{escape(tile.note)}</small></dd>"
                    "</div>" for tile in tiles)
    return ('<header class="cover"><p class="eyebrow">Captcha noise study</p>'
            f'<h1>{escape(QUESTION)}</h1><div class="answer">{told}</div><dl class="tiles">{shown}</dl>'
            f'<nav aria-label="Contents"><ol>{links}</ol></nav></header>')


def _chapter(chapter: Chapter, numbers: Mapping[str, int]) -> str:
    content = "\n".join(_part(part, numbers) for part in chapter.content)
    return (f'<section aria-labelledby="{chapter.anchor}"><h2 id="{chapter.anchor}">{escape(chapter.title)}</h2>\n'
            f"<p>{marked(chapter.lead)}</p>\n{content}</section>")


def _part(part: Plate | Fold | str, numbers: Mapping[str, int]) -> str:
    if isinstance(part, Fold):
        inner = "\n".join(_part(one, numbers) for one in part.content)
        return f"<details><summary>{marked(part.summary)}</summary>\n{inner}</details>"
    return part if isinstance(part, str) else _plate(part, numbers.get(part.name))


def _plate(plate: Plate, number: int | None) -> str:
    title = plate.title if plate.title.endswith("?") else f"{plate.title}."
    if plate.svg is None:
        return f"<p><strong>{escape(title)}</strong> {marked(plate.found)}</p>"
    label = f"{title} {_plain(plate.found)}"
    return (f'<figure id="figure-{plate.name}"><div class="plate" tabindex="0" role="group" '
            f'aria-label="{escape(plate.title)}">{inline_svg(plate.svg, plate.name, label)}</div>'
            f"<figcaption><strong>Figure {number}. {escape(title)}</strong> {marked(plate.shows)} "
            f'<span class="finding">{marked(plate.found)}</span></figcaption></figure>')


def marked(text: str) -> str:
    """Escaped text, with **strong** and `code`."""
    html = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))
    return re.sub(r"(?<!“)`([^`]+)`", r"<code>\1</code>", html)  # “`” is a character of the alphabet


def _plain(text: str) -> str:
    return text.replace("**", "").replace("`", "")


def inline_svg(svg: str, name: str, label: str) -> str:
    """A drawing to be set into a page: named for those who cannot see it, sized, its ids its own."""
    drawing = svg[svg.index("<svg"):]
    drawing = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", drawing, count=1, flags=re.DOTALL)
    used = {first or second for first, second in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawing)}
    drawing = re.sub(r'\sid="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", drawing)
    drawing = drawing.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    width = float(re.search(r'width="([\d.]+)pt"', drawing)[1])  # type: ignore[index]
    head = (f'<svg role="img" aria-label="{escape(label)}" '
            f'style="width:100%;min-width:{round(width)}px;max-width:{round(width * SCALE)}px"')
    return head + re.sub(r'\s(?:width|height)="[\d.]+pt"', "", drawing[len("<svg"):], count=2).strip("\n")


def bullets(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{marked(sentence)}</li>" for sentence in sentences) + "</ul>"


def heading(text: str) -> str:
    return f"<h3>{escape(text)}</h3>"


def paragraphs(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{marked(sentence)}</p>" for sentence in sentences)


def scrolling(table: str, label: str) -> str:
    """A table that scrolls sideways where the page is narrow, by keyboard as well."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label)}">{table}</div>'


def metrics_table(caption: str, columns: Sequence[str], rows: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """Readers down, measures across; a cell is (value, interval), or (value, "")."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f'<tr><th scope="row">{escape(name)}</th>' + "".join(
        f"<td>{escape(value)}" + (f"<br><small>{escape(interval)}</small>" if interval else "") + "</td>"
        for value, interval in cells) + "</tr>"
        for name, cells in rows.items())
    return scrolling(f'<table class="metrics"><caption>{escape(caption)}</caption><thead><tr><td></td>{head}</tr>'
                     f"</thead><tbody>{body}</tbody></table>", caption)


def compact_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a row's name in its first cell; `columns` names the others."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f'<tr><th scope="row">{escape(name)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
                   + "</tr>" for name, *cells in rows)
    return scrolling(f'<table class="compact"><caption>{escape(caption)}</caption><thead><tr><td></td>{head}</tr>'
                     f"</thead><tbody>{body}</tbody></table>", caption)


def grouped_table(caption: str, corner: str, groups: Sequence[tuple[str, Sequence[str]]],
                  rows: Iterable[Sequence[str]], last: Sequence[str], *, barred: str) -> str:
    """A table whose columns stand in named groups, with a row's name in its first cell and a `last` row set apart.

    Cells of the columns named `barred` are numbers of 0 to 100, and have a bar behind them.
    """
    columns = [column for _, names in groups for column in names]
    starts = [column == 0 for _, names in groups for column in range(len(names))]
    over = "".join(f'<th scope="colgroup" colspan="{len(names)}">{escape(name)}</th>' for name, names in groups)
    head = "".join(f'<th scope="col"{_look("", start)}>{escape(name)}</th>'
                   for name, start in zip(columns, starts, strict=True))

    def line(name: str, *cells: str) -> str:
        told = "".join(f"<td{_look(cell if column == barred else '', start)}>{escape(cell)}</td>"
                       for cell, column, start in zip(cells, columns, starts, strict=True))
        return f'<tr><th scope="row">{escape(name)}</th>{told}</tr>'

    body = "".join(line(*row) for row in rows)
    return scrolling(f'<table class="classes"><caption>{escape(caption)}</caption><thead><tr><td></td>{over}</tr>'
                     f'<tr><th scope="col">{escape(corner)}</th>{head}</tr></thead><tbody>{body}</tbody>'
                     f"<tfoot>{line(*last)}</tfoot></table>", caption)


def _look(bar: str, starts: bool) -> str:
    """The attributes of a cell: a bar of so many per cent, and room before the first column of a group."""
    names = [name for name, has in (("bar", bool(bar)), ("start", starts)) if has]
    return (f' class="{" ".join(names)}"' if names else "") + (f' style="--bar:{bar}%"' if bar else "")


def parameters_tables(sections: Mapping[str, Sequence[tuple[str, str]]],
                      readers: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """The parameters of the run, a small table a section; those of the readers side by side."""
    tables = "".join(f"<table><caption>{escape(section)}</caption><tbody>" + "".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>' for key, value in pairs)
        + "</tbody></table>" for section, pairs in sections.items())
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in readers)
    lines = zip(*readers.values(), strict=True)
    body = "".join(f'<tr><th scope="row">{escape(line[0][0])}</th>' + "".join(f"<td>{escape(value)}</td>"
                   for _, value in line) + "</tr>" for line in lines)
    beside = (f'<table class="readers"><caption>readers</caption><thead><tr><td></td>{head}</tr></thead>'
              f"<tbody>{body}</tbody></table>")
    return f'<div class="params">{tables}</div>' + scrolling(beside, "Parameters of the readers")


def flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if is_dataclass(value) or isinstance(value, Mapping):
            yield from flattened(value if isinstance(value, Mapping) else vars(value), f"{prefix}{key}.")
        else:
            written = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield prefix + key, written or "(none)"


def definitions(pairs: Iterable[tuple[str, str]], kind: str) -> str:
    """A list of terms and what they mean; of recipes, what they do and the command."""
    return f'<dl class="{kind}">' + "".join(f"<dt>{marked(term)}</dt><dd>{marked(meaning)}</dd>"
                                            for term, meaning in pairs) + "</dl>"
