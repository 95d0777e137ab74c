"""Code the variables of a regression as the columns of X: dummies, doses and a slope by category.

A term is `noise` (a dummy for each category but the reference), `level` (the number itself) or `level:noise`
(the number times a dummy for each category: one slope each).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONSTANT = "constant"


@dataclass(frozen=True)
class Factor:
    """A categorical variable; its first category is the reference."""

    codes: Ints                  # (N,) indices of categories, each of which occurs
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """What one column of X stands for."""

    term: str                    # constant, level, noise, level:noise …
    category: str                # of the term's factor; "" where it has none

    @property
    def name(self) -> str:
        return f"{self.term}[{self.category}]" if self.category else self.term

    @property
    def label(self) -> str:
        return f"{self.term.replace(':', ' × ')} {self.category}".rstrip()


@dataclass(frozen=True)
class Dropped:
    """A term that this run cannot tell anything about."""

    term: str
    reason: str                  # ends the sentence "noise …"


@dataclass(frozen=True)
class Design:
    """A regression's right-hand side, the constant first."""

    X: Floats                    # (N, K)
    columns: tuple[Column, ...]  # (K,)
    references: Mapping[str, str]  # of the factors that are coded against one
    dropped: tuple[Dropped, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def make_factor(name: str, codes: Ints, categories: Sequence[str], reference: str) -> Factor:
    """A factor with the categories that occur, in their order but the reference first.

    codes (N,) index `categories`. Raises ValueError where two or more categories occur and none is the reference
    (a factor with one category is coded as nothing, so that its reference does not matter).
    """
    present = [int(code) for code in np.flatnonzero(np.bincount(codes, minlength=len(categories)))]
    occurring = [categories[code] for code in present]
    if len(occurring) > 1 and reference not in occurring:
        raise ValueError(f"regression.references.{name}: {reference!r} does not occur in the predictions, which have "
                         f"{', '.join(occurring)}: set it to one of them")
    order = sorted(present, key=lambda code: categories[code] != reference)
    recode = np.zeros(len(categories), dtype=np.int64)
    recode[order] = np.arange(len(order))
    return Factor(recode[codes], tuple(categories[code] for code in order))


def build_design(terms: Sequence[str], factors: Mapping[str, Factor], numbers: Mapping[str, Floats]) -> Design:
    """X of a constant and the terms, with what was dropped and why.

    factors and numbers hold the variables, N rows each. Dropped are: a factor or a number with one value; a number with
    one value within each category of a factor that is also in `terms`; a slope whose number is 0 wherever its category
    occurs. Raises ValueError on an unknown variable, and on a product that is not number:factor.
    """
    count = len(next(iter([*numbers.values(), *(factor.codes for factor in factors.values())])))
    columns, values, dropped = [Column(CONSTANT, "")], [np.ones(count)], []
    for term in terms:
        _check_term(term, factors, numbers)
        reason = _undetermined(term, terms, factors, numbers)
        if reason is not None:
            dropped.append(Dropped(term, reason))
            continue
        for column, value in _coded(term, factors, numbers):
            columns.append(column)
            values.append(value)
    references = {term: factors[term].categories[0] for term in terms
                  if term in factors and len(factors[term].categories) > 1}
    return Design(np.column_stack(values), tuple(columns), references, tuple(dropped))


def _check_term(term: str, factors: Mapping[str, Factor], numbers: Mapping[str, Floats]) -> None:
    for variable in term.split(":"):
        if variable not in factors and variable not in numbers:
            raise ValueError(f"term {term!r}: no variable {variable!r}: there are {', '.join([*numbers, *factors])}")
    kinds = [variable in numbers for variable in term.split(":")]
    if kinds not in ([True], [False], [True, False]):
        raise ValueError(f"term {term!r}: expected a variable or number:factor; numbers are {', '.join(numbers)}")


def _undetermined(term: str, terms: Sequence[str], factors: Mapping[str, Factor],
                  numbers: Mapping[str, Floats]) -> str | None:
    """Why the rows cannot tell this term's effect, or None where they can."""
    if term in factors:
        only = factors[term].categories
        return f"has one value in this run ({only[0]})" if len(only) == 1 else None
    number = numbers[term.split(":")[0]]
    if ":" in term:
        return None if number.any() else f"is 0 in every row, as {term.split(':')[0]} is"
    if np.ptp(number) == 0:
        return f"has one value in this run ({number[0]:g})"
    within = next((name for name in terms if name in factors and len(factors[name].categories) > 1
                   and _constant_within(number, factors[name])), None)
    return None if within is None else f"has one value within each {within}, which already says it (see noise.steps)"


def _constant_within(number: Floats, factor: Factor) -> bool:
    first = np.zeros(len(factor.categories))
    first[factor.codes] = number  # the last row of each category stands for it
    return bool(np.array_equal(first[factor.codes], number))


def _coded(term: str, factors: Mapping[str, Factor], numbers: Mapping[str, Floats]) -> Iterator[tuple[Column, Floats]]:
    """The columns of a term, (N,) each."""
    if term in numbers:
        yield Column(term, ""), numbers[term]
    elif term in factors:
        for code, category in enumerate(factors[term].categories[1:], start=1):
            yield Column(term, category), (factors[term].codes == code).astype(np.float64)
    else:
        number, factor = numbers[term.split(":")[0]], factors[term.split(":")[1]]
        for code, category in enumerate(factor.categories):
            slope = np.where(factor.codes == code, number, 0.0)
            if slope.any():  # a clean rendering has level 0: no slope for "none"
                yield Column(term, category), slope
