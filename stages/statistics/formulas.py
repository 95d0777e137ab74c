"""The right-hand side of a regression as a formula: `noise + poly(dose, 2) + reader:noise`.

The operators are Wilkinson & Rogers' (1973), read by formulaic: + : * / ** and brackets. What they join is the name of
a variable, `center(number)` (less its mean over the rows that have it: those under noise, for a dose) or
`poly(number, order)` (orthogonal polynomials). The constant is always there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from formulaic import Formula, SimpleFormula
from formulaic.errors import FormulaicError

CALL = re.compile(r"(poly|center)\(\s*(\w+)\s*(?:,\s*(\d)\s*)?\)")
HIGHEST = 5  # order of a polynomial: powers above it are told apart by rounding alone


@dataclass(frozen=True)
class FormulaPart:
    """What a term multiplies: a variable, or polynomials of it up to an order."""

    variable: str
    order: int = 0  # 0 for the variable itself
    centred: bool = False  # less its mean

    @property
    def key(self) -> tuple[str, bool]:
        """What two parts of one meaning have in common, whatever their order."""
        return self.variable, self.centred

    @property
    def text(self) -> str:
        return f"poly({self.variable})" if self.order else self.variable


Term = tuple[FormulaPart, ...]


def terms_of(chosen: Any, variables: Collection[str]) -> dict[str, list[Term]]:
    """The terms of every specification and check that the parameters of regression have."""
    return {
        name: parse_formula(
            formula, variables, {"dose": chosen.dose}, f"regression.{section}.{name}"
        )
        for section in ("specifications", "checks")
        for name, formula in getattr(chosen, section).items()
    }


def parse_formula(
    formula: str, variables: Collection[str], aliases: Mapping[str, str], where: str
) -> list[Term]:
    """The terms of a formula in their order, without the constant.

    `variables` are the names that there are; `aliases` maps other words to them. Raises ValueError, beginning with
    `where`, on what is no formula, has an unknown variable, a left-hand side or no constant.
    """
    try:
        parsed = Formula(formula, _ordering="none")
    except (FormulaicError, SyntaxError) as error:
        raise ValueError(
            f"{where}: {formula!r} is no formula: {str(error).splitlines()[0]}"
        ) from None
    if not isinstance(parsed, SimpleFormula) and not hasattr(parsed, "lhs"):
        raise ValueError(
            f"{where}: {formula!r} is no formula: expected one right-hand side, without |"
        )
    if not isinstance(parsed, SimpleFormula):
        raise ValueError(
            f"{where}: {formula!r}: give the right-hand side alone: what is explained is success"
        )
    texts = [_factors(term) for term in parsed]
    if ["1"] not in texts:
        raise ValueError(
            f"{where}: {formula!r} leaves out the constant: R² and the references need it"
        )
    terms = [_term(text, variables, aliases, where) for text in texts if text != ["1"]]
    if not terms:
        raise ValueError(f"{where}: {formula!r} has no variable: there are {', '.join(variables)}")
    return list(dict.fromkeys(terms))  # an alias may name a variable twice


def _factors(term: Any) -> list[str]:
    return [factor.expr for factor in term.factors]


def _term(
    texts: list[str], variables: Collection[str], aliases: Mapping[str, str], where: str
) -> Term:
    return tuple(dict.fromkeys(_part(text, variables, aliases, where) for text in texts))


def _part(
    text: str, variables: Collection[str], aliases: Mapping[str, str], where: str
) -> FormulaPart:
    called = CALL.fullmatch(text)
    name = called[2] if called else text
    variable = aliases.get(name, name)
    if variable not in variables:
        if not re.fullmatch(r"\w+", name):
            raise ValueError(
                f"{where}: {text!r}: expected a variable, poly(number, order) or center(number)"
            )
        raise ValueError(
            f"{where}: no variable {name!r}: there are {', '.join([*variables, *aliases])}"
        )
    if not called:
        return FormulaPart(variable)
    if called[1] == "center":
        if called[3]:
            raise ValueError(f"{where}: {text!r}: center takes a number alone; poly takes an order")
        return FormulaPart(variable, centred=True)
    if not called[3] or not 1 <= int(called[3]) <= HIGHEST:
        raise ValueError(
            f"{where}: {text!r}: expected poly(number, order) with an order from 1 to {HIGHEST}"
        )
    return FormulaPart(variable, int(called[3]))
