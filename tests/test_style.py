"""Rules of style that no linter knows: one idea a line. What broke them before they were rules may only become less."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "ci", "experiments", "stages", "tests")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
READS = (ast.Name, ast.Attribute, ast.Subscript)
Rule = Callable[[ast.AST], Iterator[ast.AST]]


def tuple_assignments(tree: ast.AST) -> Iterator[ast.AST]:
    """`a, b = x, y`: as many values as targets, written out, that read no target (a swap needs its tuple)."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(
                targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values) as right
            ):
                starred = any(isinstance(one, ast.Starred) for one in [*targets, *values])
                if (
                    len(targets) == len(values)
                    and not starred
                    and not read_by(right) & names_of(targets)
                ):
                    yield node


def names_of(targets: list[ast.expr]) -> set[str]:
    return {ast.unparse(target) for target in targets}


def read_by(value: ast.expr) -> set[str]:
    return {ast.unparse(node) for node in ast.walk(value) if isinstance(node, READS)}


def nested_comprehensions(tree: ast.AST) -> Iterator[ast.AST]:
    """A comprehension or generator with another anywhere in it."""
    return containing(tree, COMPREHENSIONS, COMPREHENSIONS)


def ternaries_in_f_strings(tree: ast.AST) -> Iterator[ast.AST]:
    return containing(tree, (ast.JoinedStr,), (ast.IfExp,))


def containing(
    tree: ast.AST, outer: tuple[type[ast.AST], ...], inner: tuple[type[ast.AST], ...]
) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, outer) and any(
            isinstance(one, inner) for one in ast.walk(node) if one is not node
        ):
            yield node


RULES: dict[str, Rule] = {
    "tuple assignment": tuple_assignments,
    "nested comprehension": nested_comprehensions,
    "ternary in an f-string": ternaries_in_f_strings,
}
# How often each package breaks a rule; a package that is not named never does.
ALLOWED: dict[str, dict[str, int]] = {
    "tuple assignment": {},
    "nested comprehension": {
        "benchmarks": 13,
        "stages/captcha": 2,
        "stages": 5,
        "stages/insight": 3,
        "stages/lab": 13,
        "stages/sources": 2,
        "stages/statistics": 5,
        "tests": 60,
    },
    "ternary in an f-string": {"stages/captcha": 1, "stages/insight": 1, "stages/lab": 2},
}


def package_of(path: Path) -> str:
    folder = path.relative_to(ROOT).parent.parts
    return "/".join(folder[:2])


def found(rule: Rule) -> dict[str, list[str]]:
    """Where the rule is broken, as file:line, by package."""
    places: dict[str, list[str]] = {}
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in rule(ast.parse(path.read_text(encoding="utf-8"))):
            places.setdefault(package_of(path), []).append(
                f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            )
    return places


@pytest.mark.parametrize("name", RULES)
def test_code_says_one_thing_a_line(name: str) -> None:
    """Where this fails because there is less to allow, paste what it prints into ALLOWED; never more."""
    places = found(RULES[name])
    counted = {package: len(those) for package, those in places.items()}
    more = {
        package: places[package]
        for package, count in counted.items()
        if count > ALLOWED[name].get(package, 0)
    }
    assert not more, f"{name}: write one statement or helper each instead, in {more}"
    assert counted == ALLOWED[name], f'lower ALLOWED to\n    "{name}": {counted},'


@pytest.mark.parametrize(("code", "broken"), [
    ("a, b = 1, f(2)", 1),
    ("a.x, b[0] = 1, 2", 1),
    ("a, b = b, a", 0),
    ("low, high = high, low + high", 0),
    ("a, b = pair", 0),
    ("a, *b = 1, 2, 3", 0),
    ("a = b = 1, 2", 0),
])  # fmt: skip
def test_a_tuple_assignment_is_told_from_a_swap_and_from_unpacking(code: str, broken: int) -> None:
    assert len(list(tuple_assignments(ast.parse(code)))) == broken


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("[[x for x in row] for row in rows]", "nested comprehension"),
        ("sum(any(x for x in row) for row in rows)", "nested comprehension"),
        ("f'{one if many else other}'", "ternary in an f-string"),
    ],
)
def test_the_other_rules_see_what_they_are_about(code: str, rule: str) -> None:
    broken = Counter({name: len(list(find(ast.parse(code)))) for name, find in RULES.items()})
    assert +broken == Counter({rule: 1})
