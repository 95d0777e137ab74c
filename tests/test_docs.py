"""What the documents name exists: files in backticks and links, targets of links, words of the Makefile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*sorted((ROOT / "docs").glob("*.md")),
             *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]  # fmt: skip
FOLDERS = (
    "stages/",
    "tests/",
    "docs/",
    "ci/",
    "benchmarks/",
    "experiments/",
    "pretrained/",
    ".github/",
)
MODULE = re.compile(r"python -m ([a-z_]+(?:\.[a-z_0-9]+)+)")


def backticks(text: str) -> Iterator[str]:
    """The words within backticks, on one line or in a block."""
    for span in re.findall(r"`([^`]+)`", text.replace("```", "`")):
        yield from span.split()


def paths_in(text: str) -> Iterator[str]:
    """Files of the repository in backticks, results apart; <name>, * and … stand for some."""
    for word in backticks(text):
        word = word.strip("()[],;:'\"").removeprefix("./")
        word = re.sub(r"^test_\w+\.py", r"tests/\g<0>", word)
        if word.startswith(FOLDERS):
            yield re.sub(r"<\w+>|…", "*", word.split("::")[0])


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_in_backticks_is_in_the_repository(document: Path) -> None:
    named = set(paths_in(document.read_text(encoding="utf-8")))
    assert [path for path in sorted(named) if not any(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_repository_leads_somewhere(document: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_that_is_started_exists(document: Path) -> None:
    for name in MODULE.findall(document.read_text(encoding="utf-8")):
        place = ROOT.joinpath(*name.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), name


def test_paths_are_found_in_spans_and_blocks() -> None:
    text = "see `python stages/a.py`, `docs/<name>.md` and\n```bash\ncat tests/b.py\n```\n"
    assert list(paths_in(text)) == ["stages/a.py", "docs/*.md", "tests/b.py"]
