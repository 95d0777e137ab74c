"""Formulas as terms: what the operators join, and what is refused in a line."""

from __future__ import annotations

import pytest
from formulaic import Formula

from stages.statistics.formulas import HIGHEST, FormulaPart, parse_formula

VARIABLES = ("level", "size", "noise", "colour")
ALIASES = {"dose": "level"}


def terms(formula: str) -> list[str]:
    return [
        ":".join(part.text for part in term)
        for term in parse_formula(formula, VARIABLES, ALIASES, "params.yaml")
    ]


@pytest.mark.parametrize(
    "formula",
    [
        "noise",
        "noise + level",
        "level + noise",
        "noise*level",
        "noise/level",
        "(noise + colour + level)**2",
        "noise*colour*level - noise:colour:level",
        "noise + noise",
        "1 + level:noise",
        "noise*(level + colour)",
        "noise^2",
        "~ noise + colour",
        "noise:level + level:noise",
        "\n noise +\n  level\n",
    ],
)
def test_terms_are_formulaics_in_the_order_of_writing(formula: str) -> None:
    wanted = [
        ":".join(factor.expr for factor in term.factors)
        for term in Formula(formula, _ordering="none")
    ]
    assert terms(formula) == [text for text in wanted if text != "1"]


def test_a_call_gives_the_order_and_an_alias_the_variable() -> None:
    assert parse_formula(
        "poly(dose, 3) + noise:center( size ) + dose", VARIABLES, ALIASES, "here"
    ) == [
        (FormulaPart("level", 3),),
        (FormulaPart("noise"), FormulaPart("size", centred=True)),
        (FormulaPart("level"),),
    ]


def test_a_part_says_what_it_is() -> None:
    assert (FormulaPart("level").text, FormulaPart("level", 2).text) == ("level", "poly(level)")


@pytest.mark.parametrize("order", range(1, HIGHEST + 1))
def test_every_order_up_to_the_highest_is_read(order: int) -> None:
    assert parse_formula(f"poly(level,{order})", VARIABLES, {}, "here") == [
        (FormulaPart("level", order),)
    ]


@pytest.mark.parametrize(
    ("formula", "complaint"),
    [
        ("nois", "no variable 'nois': there are level, size, noise, colour, dose"),
        ("noise + level:nois", "no variable 'nois'"),
        ("poly(nois, 2)", "no variable 'nois'"),
        ("success ~ noise", "give the right-hand side alone: what is explained is success"),
        ("noise - 1", "leaves out the constant: R² and the references need it"),
        ("0 + noise", "leaves out the constant"),
        ("", "has no variable: there are level, size, noise, colour"),
        ("1", "has no variable"),
        ("noise +", "is no formula: Operator"),
        ("(noise", "is no formula: "),
        ("noise colour", "is no formula: Missing operator"),
        ("2*level", "is no formula: Numeric literals"),
        ("'noise'", "is no formula: String literals"),
        (
            "log(level)",
            r"'log\(level\)': expected a variable, poly\(number, order\) or center\(number\)",
        ),
        ("C(noise)", "expected a variable"),
        ("poly(level)", "expected poly.number, order. with an order from 1 to 5"),
        ("poly(level, 0)", "with an order from 1 to 5"),
        ("poly(level, 6)", "with an order from 1 to 5"),
        ("poly(level, 12)", "expected a variable, poly"),
        ("poly(level, 2, raw=True)", "expected a variable, poly"),
        ("center(level, 2)", "center takes a number alone; poly takes an order"),
        ("noise | colour", "no formula|expected"),
        ("poly(level:noise, 2)", "no formula|expected"),
        ("os.system('ls')", "no formula|expected"),
        ("level.mean() 'a'", "no formula|expected"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line_that_says_where(
    formula: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=rf"^params\.yaml: .*({complaint})") as caught:
        terms(formula)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)


def test_a_variable_is_joined_with_itself_under_another_name_as_it_is_under_its_own() -> None:
    assert terms("level + dose") == terms("level + level")
    assert terms("level:dose") == terms("level:level")
