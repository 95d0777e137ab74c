"""The right-hand side of a regression: the variables of its rows, and X as columns that are made a block at a time.

A factor has a reference, its first category. A dose is a number that the rows of one category (clean ones) do not have:
centred, it is 0 there, and its mean is over the others, so that beside it the coefficient of a category (of a noise
type) is that category's average effect. `coding` says which columns a formula has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stages.statistics.arrays import Floats, Ints

Codes = NDArray[np.integer]

CONSTANT = "constant"


@dataclass(frozen=True)
class Factor:
    """A categorical variable; its first category is the reference."""

    codes: Codes  # (N,) indices of categories, each of which occurs
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Variables:
    """The variables of N rows, by name."""

    factors: Mapping[str, Factor]
    numbers: Mapping[str, Floats]  # (N,) each
    rows: int
    doses: Mapping[str, tuple[str, str]] = field(
        default_factory=dict
    )  # number: factor and category of rows without it

    @property
    def names(self) -> list[str]:
        return [*self.numbers, *self.factors]

    def dosed(self, number: str) -> NDArray[np.bool_]:
        """Whether a row has this number, (N,): a dose, where it is not of the category without one."""
        if number not in self.doses:
            return np.ones(self.rows, bool)
        factor, category = self.doses[number]
        categories = self.factors[factor].categories
        without = categories.index(category) if category in categories else len(categories)
        return np.not_equal(self.factors[factor].codes, without, dtype=bool)

    def take(self, order: Ints) -> Variables:
        """Some rows, or all in another order."""
        return Variables(
            {
                name: Factor(factor.codes[order], factor.categories)
                for name, factor in self.factors.items()
            },
            {name: values[order] for name, values in self.numbers.items()},
            len(order),
            self.doses,
        )


@dataclass(frozen=True)
class DesignColumn:
    """What one column of X stands for."""

    term: str  # constant, level, noise, level:noise, poly(level) …
    category: str  # of the term's factors, the order of its polynomial; "" where it has neither
    label: str  # as a person would say it: noise fog, fog × level

    @property
    def name(self) -> str:
        return f"{self.term}[{self.category}]" if self.category else self.term


@dataclass(frozen=True)
class Dropped:
    """A term, or part of one, that the rows of this run do not identify."""

    term: str
    reason: str  # ends the sentence "noise …"


@dataclass(frozen=True)
class Piece:
    """The columns of a term, or of one order of its polynomials: in each row one of them is a product of numbers, and
    the others are 0."""

    factors: tuple[str, ...]
    place: Ints  # index of X's column by the factors' codes; -1 where there is none
    numbers: tuple[
        tuple[str, Floats], ...
    ]  # with the polynomial that is taken of each, its highest order first


@dataclass(frozen=True)
class Design:
    """A regression's right-hand side, the constant first."""

    columns: tuple[DesignColumn, ...]  # (K,)
    pieces: tuple[Piece, ...]
    references: Mapping[str, str]  # by term that is coded against a category
    dropped: tuple[Dropped, ...]
    centred: frozenset[str]  # numbers that are less their mean somewhere

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def terms(self) -> dict[str, list[int]]:
        """Indices of the columns of each term, the constant left out."""
        found: dict[str, list[int]] = {}
        for k, column in enumerate(self.columns):
            if column.term != CONSTANT:
                found.setdefault(column.term, []).append(k)
        return found

    def block(self, variables: Variables, rows: slice) -> Floats:
        """X (n, K) of some rows."""
        count = len(range(*rows.indices(variables.rows)))
        X = np.zeros((count, len(self.columns)))
        X[:, 0] = 1
        for piece in self.pieces:
            index = tuple(variables.factors[name].codes[rows] for name in piece.factors)
            place = piece.place[index] if index else np.full(count, int(piece.place))
            value = np.ones(count)
            for name, polynomial in piece.numbers:
                value = value * np.polyval(polynomial, variables.numbers[name][rows])
            here = np.flatnonzero(place >= 0)
            X[here, place[here]] = value[here]
        return X


def make_factor(name: str, codes: Codes, categories: Sequence[str], reference: str) -> Factor:
    """A factor with the categories that occur, in their order but the reference first.

    codes (N,) index `categories`. Raises ValueError where two or more categories occur and none is the reference
    (a factor with one category is coded as nothing, so that its reference does not matter).
    """
    present = [int(code) for code in np.flatnonzero(np.bincount(codes, minlength=len(categories)))]
    occurring = [categories[code] for code in present]
    if len(occurring) > 1 and reference not in occurring:
        raise ValueError(
            f"regression.references.{name}: {reference!r} does not occur in the predictions, which have "
            f"{', '.join(occurring)}: set it to one of them"
        )
    order = sorted(present, key=lambda code: categories[code] != reference)
    recode = np.zeros(len(categories), dtype=np.min_scalar_type(len(categories)))
    recode[order] = np.arange(len(order))
    return Factor(recode[codes], tuple(categories[code] for code in order))
