"""The field's words in names: retired words stay out of identifiers, and one name means one thing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("stages", "ci", "experiments", "benchmarks")
# Column names of tables and keys of JSON are file formats: they stay as they are.
SCHEMAS = ROOT / "stages" / "schemas"
RETIRED = {  # word of the private dialect -> what docs/development.md says instead
    "told": "identified, known, a text",
    "untold": "unidentified",
    "foretold": "predicted",
    "foretell": "predict",
    "kept": "retained, cached, valid",
    "lonely": "leverage_one",
    "look": "style, diagnostics",
    "looks": "SaliencyConfig",
    "said": "text, read_right",
    "say": "print_metrics",
    "says": "text",
    "beside": "versus",
    "abreast": "parallel",
    "halves": "shards, half_levels",
    "outside": "external, out_of_range",
    "bent": "augmented",
    "bend": "augmented",
    "dealt": "assigned",
    "hear": "read",
    "lest": "",
    "spoken": "marked_text, term_words",
    "telling": "",
    "tells": "",
    "alike": "same",
    "deed": "",
    "whom": "",
    "woven": "interleaved",
}
# Protocol names: each module of a kind has its own. Type aliases of arrays are a convention, stated in one comment.
OF_EACH_MODULE = {"main", "routes", "arguments", "findings", "CHAPTER", "LIMITS"}


def modules() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def words_of(identifier: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)]


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that a module itself gives: definitions, arguments, variables, attributes that it sets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def public_definitions(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ) and not node.name.startswith("_"):
            yield node.name


def declared_columns() -> set[str]:
    """Names of columns and fields that files have: they are formats, wherever a record carries them."""
    return {
        name
        for path in sorted(SCHEMAS.rglob("*.py"))
        for _, name in identifiers(ast.parse(path.read_text(encoding="utf-8")))
    }


def retired_in(source: str, allowed: set[str]) -> list[str]:
    return [
        f"{line}: {name} (instead: {RETIRED[word] or 'a plain word'})"
        for line, name in identifiers(ast.parse(source))
        if name not in allowed
        for word in words_of(name)
        if word in RETIRED
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if SCHEMAS not in path.parents],  # column names are file formats
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_identifiers_use_the_words_of_the_field(path: Path) -> None:
    assert retired_in(path.read_text(encoding="utf-8"), declared_columns()) == []
    assert not set(words_of(path.stem)) & set(RETIRED)


def test_a_retired_word_in_any_kind_of_identifier_is_found() -> None:
    source = "def told(a): pass\nclass Looks: pass\ndef f(*, kept=1): said = 1\nx.beside = 2\nshare_told: int = 3\n"
    assert len(retired_in(source, set())) == 6
    assert retired_in("text = path.outside  # told\n", set()) == []


def test_a_public_function_or_class_has_a_name_of_its_own() -> None:
    places = defaultdict(set)
    for path in modules():
        if path.is_relative_to(ROOT / "stages") or path.is_relative_to(ROOT / "ci"):
            for name in public_definitions(path):
                places[name].add(path.relative_to(ROOT).as_posix())
    assert {
        name: sorted(paths)
        for name, paths in places.items()
        if len(paths) > 1 and name not in OF_EACH_MODULE
    } == {}


def test_no_two_files_of_stages_are_named_alike() -> None:
    places = defaultdict(list)
    for path in sorted((ROOT / "stages").rglob("*.py")):
        if (
            path.stem not in ("__init__", "__main__") and SCHEMAS not in path.parents
        ):  # schemas are named after stages
            places[path.stem].append(path.relative_to(ROOT).as_posix())
    assert {stem: paths for stem, paths in places.items() if len(paths) > 1} == {}
