"""Code the terms of a formula as the columns of X, a block of rows at a time.

A factor is coded by dummies against its first category; within a product it is coded so where the product without it is
in the formula too, and by a dummy for each category where not (R's terms.formula; Chambers & Hastie 1992).
A dose is a number that the rows of one category (clean ones) do not have: centred, it is 0 there, and its mean is over
the others, so that beside it the coefficient of a category (of a noise type) is that category's average effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from stages.statistics.formulas import Part, Term
from stages.statistics.moments import Moments, independent, total_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.integer]

CONSTANT = "constant"


@dataclass(frozen=True)
class Factor:
    """A categorical variable; its first category is the reference."""

    codes: Codes                 # (N,) indices of categories, each of which occurs
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Variables:
    """The variables of N rows, by name."""

    factors: Mapping[str, Factor]
    numbers: Mapping[str, Floats]  # (N,) each
    rows: int
    doses: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # number: factor and category of rows without it

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
        return Variables({name: Factor(factor.codes[order], factor.categories)
                          for name, factor in self.factors.items()},
                         {name: values[order] for name, values in self.numbers.items()}, len(order), self.doses)


@dataclass(frozen=True)
class Column:
    """What one column of X stands for."""

    term: str      # constant, level, noise, level:noise, poly(level) …
    category: str  # of the term's factors, the order of its polynomial; "" where it has neither
    label: str     # as a person would say it: noise fog, fog × level

    @property
    def name(self) -> str:
        return f"{self.term}[{self.category}]" if self.category else self.term


@dataclass(frozen=True)
class Dropped:
    """A term, or part of one, that this run cannot tell anything about."""

    term: str
    reason: str    # ends the sentence "noise …"


@dataclass(frozen=True)
class Piece:
    """The columns of a term, or of one order of its polynomials: a product of numbers that goes to one column a row."""

    factors: tuple[str, ...]
    place: Ints                                  # index of X's column by the factors' codes; -1 where there is none
    numbers: tuple[tuple[str, Floats], ...]      # and the polynomial that is taken of each, its highest order first


@dataclass(frozen=True)
class Design:
    """A regression's right-hand side, the constant first."""

    columns: tuple[Column, ...]      # (K,)
    pieces: tuple[Piece, ...]
    references: Mapping[str, str]    # by term that is coded against a category
    dropped: tuple[Dropped, ...]
    centred: frozenset[str]          # numbers that are less their mean somewhere

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
        raise ValueError(f"regression.references.{name}: {reference!r} does not occur in the predictions, which have "
                         f"{', '.join(occurring)}: set it to one of them")
    order = sorted(present, key=lambda code: categories[code] != reference)
    recode = np.zeros(len(categories), dtype=np.min_scalar_type(len(categories)))
    recode[order] = np.arange(len(order))
    return Factor(recode[codes], tuple(categories[code] for code in order))


def build_design(terms: Sequence[Term], variables: Variables) -> Design:
    """The columns of a constant and the terms, with what was dropped and why.

    Dropped are: a factor, or a number, with one value; a number with one value within each category of a factor that is
    in the formula itself; the orders of a polynomial for which there are too few values; a slope whose number is 0
    wherever its category occurs; and a product of categories that has no rows.
    Raises ValueError on a polynomial of a factor.
    """
    columns, pieces, dropped = [Column(CONSTANT, "", CONSTANT)], [], []
    references: dict[str, str] = {}
    empty: set[str] = set()  # products of which some cell has no rows
    for term in terms:
        for part in term:
            if (part.order or part.centred) and part.variable in variables.factors:
                raise ValueError(f"term {'center' if part.centred else 'poly'}({part.variable}): {part.variable} is a "
                                 f"factor: expected a number ({', '.join(variables.numbers)})")
        possible, untold = _identified(term, terms, variables)
        dropped += untold
        if possible is None:
            continue
        coder = _Coder(possible, terms, variables)
        for piece, found in coder.pieces(len(columns)):
            pieces.append(piece)
            columns += found
        dropped += coder.dropped
        references |= coder.references
        empty |= {_text(possible)} if (coder.cells == 0).any() else set()
    centred = frozenset(part.variable for term in terms for part in term if part.centred)
    design = Design(tuple(columns), tuple(pieces), references, tuple(dict.fromkeys(dropped)), centred)
    return _without_empty(design, empty, variables) if empty else design


def _without_empty(design: Design, empty: set[str], variables: Variables) -> Design:
    """A design without the columns of products that an empty cell leaves as combinations of others."""
    total = total_of(Moments.of(X, X[:, 0]) for X in (design.block(variables, slice(start, start + 4096))
                                                      for start in range(0, variables.rows, 4096)))
    lost = [k for k in independent(total)[1] if design.columns[k].term in empty]
    if not lost:
        return design
    kept = [k for k in range(len(design.columns)) if k not in lost]
    moved = np.full(len(design.columns) + 1, -1, dtype=np.int64)  # the last is of -1, no column
    moved[kept] = np.arange(len(kept))
    reason = "cannot be told for {}, since another cell has no rows"
    return Design(tuple(design.columns[k] for k in kept),
                  tuple(replace(piece, place=moved[piece.place]) for piece in design.pieces), design.references,
                  (*design.dropped, *(Dropped(design.columns[k].term, reason.format(design.columns[k].category))
                                      for k in lost)), design.centred)


def _text(term: Term) -> str:
    return ":".join(part.text for part in term)


def _identified(term: Term, terms: Sequence[Term], variables: Variables) -> tuple[Term | None, list[Dropped]]:
    """The term, with as low orders as the rows can tell (None where they can tell nothing), and what it lost."""
    alone = [name for part in term if (name := part.variable) in variables.factors
             and len(variables.factors[name].categories) == 1 and _contrasted(part, term, terms)]
    if alone:
        only = variables.factors[alone[0]].categories[0]
        return None, [Dropped(_text(term), f"has one value in this run ({only})")]
    parts = list(term)
    lost = []
    for i, part in enumerate(parts):
        if part.variable not in variables.numbers:
            continue
        most, why = _highest_order(part, term, terms, variables)
        if most == 0:
            return None, [Dropped(_text(term), why)]
        if part.order > most:
            parts[i] = replace(part, order=most)
            lost.append(Dropped(f"order {' and '.join(map(str, range(most + 1, part.order + 1)))} of {part.text}",
                                f"cannot be told, since {part.variable} {why}"))
    return tuple(parts), lost


def _contrasted(part: Part, term: Term, terms: Sequence[Term]) -> bool:
    """Whether a factor is coded against a category: where the term without it is in the formula, or the constant."""
    rest = {other.key for other in term if other != part}
    return not rest or any({one.key for one in other} == rest for other in terms)


def _highest_order(part: Part, term: Term, terms: Sequence[Term], variables: Variables) -> tuple[int, str]:
    """The highest order of a polynomial of this number that the rows can tell, and why no higher."""
    number, wanted = variables.numbers[part.variable], max(part.order, 1)
    if not number.any():
        return 0, f"is 0 in every row, as {part.variable} is" if len(term) > 1 else "has one value in this run (0)"
    limits = [(wanted, "")]
    if part.centred:
        number = number[variables.dosed(part.variable)]
    if part.centred or len(term) == 1 or _contrasted_number(part, term, terms):
        values = _distinct(number, wanted + 1)
        limits.append((values - 1, f"has one value in this run ({number[0]:g})" if values == 1
                       else f"has {values} values in this run"))
    for name in _levelling(term, terms, variables):
        codes = variables.factors[name].codes
        codes = codes[variables.dosed(part.variable)] if part.centred else codes
        values = max(_distinct(number[codes == code], wanted + 1) for code in range(codes.max() + 1))
        limits.append((values - 1, f"has one value within each {name}, which already says it (see noise.steps)"
                       if values == 1 else f"has {values} values within each {name} (see noise.steps)"))
    return min(limits, key=lambda limit: limit[0])


def _levelling(term: Term, terms: Sequence[Term], variables: Variables) -> list[str]:
    """The factors in the formula themselves that could say all that a number in `term` says."""
    alone = [other[0].variable for other in terms if len(other) == 1]
    own = {part.variable for part in term}
    return [name for name in alone if name in variables.factors and len(variables.factors[name].categories) > 1
            and (len(term) == 1 or name in own)]


def _contrasted_number(part: Part, term: Term, terms: Sequence[Term]) -> bool:
    """Whether the term without this number is in the formula, so that a number with one value would repeat it."""
    rest = {other.key for other in term if other != part}
    return any({one.key for one in other} == rest for other in terms)


def _distinct(values: Floats, most: int) -> int:
    """How many different values there are, counted up to `most`: a long look at all is rarely needed."""
    few = len(np.unique(values[:1000]))
    return few if few >= most or len(values) <= 1000 else min(most, len(np.unique(values)))


class _Coder:
    """Lays out the columns of one term."""

    def __init__(self, term: Term, terms: Sequence[Term], variables: Variables) -> None:
        self.term, self.variables = term, variables
        self.factors = tuple(part.variable for part in term if part.variable in variables.factors)
        self.numbers = [part for part in term if part.variable in variables.numbers]
        self.sizes = tuple(len(variables.factors[name].categories) for name in self.factors)
        self.contrasted = {part.variable for part in term
                           if part.variable in variables.factors and _contrasted(part, term, terms)}
        self.dropped: list[Dropped] = []
        self.references: dict[str, str] = {}
        self.cells, self.filled = self._counts()

    def _counts(self) -> tuple[Ints, Ints]:
        """Rows by the factors' codes, and those where no number is 0."""
        if not self.factors:
            return np.array(self.variables.rows), np.array(self.variables.rows)
        codes = np.ravel_multi_index(tuple(self.variables.factors[name].codes.astype(np.int64)
                                           for name in self.factors), self.sizes)
        filled = np.ones(self.variables.rows, bool)
        for part in self.numbers:
            filled &= (self.variables.dosed(part.variable) if part.centred
                       else self.variables.numbers[part.variable] != 0)
        count = int(np.prod(self.sizes))
        return (np.bincount(codes, minlength=count).reshape(self.sizes),
                np.bincount(codes[filled], minlength=count).reshape(self.sizes))

    def pieces(self, first: int) -> Iterator[tuple[Piece, list[Column]]]:
        """A piece and its columns, from index `first` of X, for each product of the polynomials' orders."""
        chosen = self._chosen()
        for orders in product(*(range(1, max(part.order, 1) + 1) for part in self.numbers)):
            place = np.full(self.sizes, -1, dtype=np.int64)
            columns: list[Column] = []
            for cell in chosen:
                place[cell] = first + len(columns)
                columns.append(Column(_text(self.term), self._category(cell, orders), self._label(cell, orders)))
            first += len(columns)
            numbers = tuple((part.variable, self._polynomial(part, order))
                            for part, order in zip(self.numbers, orders, strict=True))
            if columns:
                yield self._without_undosed(Piece(self.factors, place, numbers)), columns

    def _without_undosed(self, piece: Piece) -> Piece:
        """A piece with no column in rows that have no dose, where a dose in it is centred."""
        doses = [part.variable for part in self.numbers if part.centred and part.variable in self.variables.doses]
        for number in doses:
            factor, category = self.variables.doses[number]
            categories = self.variables.factors[factor].categories
            if category not in categories:
                continue
            place = piece.place
            if factor not in piece.factors:
                place = np.repeat(place[..., None], len(categories), axis=-1)
                piece = replace(piece, factors=(*piece.factors, factor))
            place = np.moveaxis(place.copy(), piece.factors.index(factor), 0)
            place[categories.index(category)] = -1
            piece = replace(piece, place=np.moveaxis(place, 0, piece.factors.index(factor)))
        return piece

    def _chosen(self) -> list[tuple[int, ...]]:
        """The cells that have a column each, as codes of the factors."""
        axes = [self._categories(axis, name) for axis, name in enumerate(self.factors)]
        chosen = []
        for cell in product(*axes):
            if not self.cells[cell]:
                self.dropped.append(Dropped(_text(self.term), f"has no rows for {self._category(cell, ())}"))
            elif self.filled[cell]:  # a clean rendering has level 0: no slope for "none"
                chosen.append(cell)
        told_by_constant = not self.numbers and len(self.factors) > 1 and not self.contrasted
        return chosen[int(told_by_constant):]

    def _categories(self, axis: int, name: str) -> list[int]:
        """The categories of a factor that get columns: all, or all but the one that they are compared with."""
        codes = list(range(self.sizes[axis]))
        if name not in self.contrasted:
            return codes
        others = tuple(other for other in range(len(self.sizes)) if other != axis)
        told = np.flatnonzero(self.filled.sum(axis=others) > 0)
        base = int(told[0]) if len(told) else 0
        if len(self.factors) == 1:
            self.references[_text(self.term)] = self.variables.factors[name].categories[base]
        return [code for code in codes if code != base]

    def _category(self, cell: tuple[int, ...], orders: tuple[int, ...]) -> str:
        words = [f"order {order}" for part, order in zip(self.numbers, orders, strict=False) if part.order]
        words += [self.variables.factors[name].categories[code]
                  for name, code in zip(self.factors, cell, strict=True)]
        return " × ".join(words)

    def _label(self, cell: tuple[int, ...], orders: tuple[int, ...]) -> str:
        codes, order = dict(zip(self.factors, cell, strict=True)), dict(zip(self.numbers, orders, strict=True))
        words = []
        for part in self.term:
            if part.variable in codes:
                category = self.variables.factors[part.variable].categories[codes[part.variable]]
                named = len(self.term) > 1 and len(category) > 1 and not category.isdecimal()
                words.append(category if named else f"{part.variable} {category}")
            else:
                words.append(f"{part.variable} (order {order[part]})" if part.order else part.variable)
        return " × ".join(words)

    def _polynomial(self, part: Part, order: int) -> Floats:
        if part.centred:
            return np.array([1.0, -self._centre(part.variable)])
        if not part.order:
            return np.array([1.0, 0.0])
        return orthogonal(self.variables.numbers[part.variable], part.order)[order - 1]

    def _centre(self, number: str) -> float:
        return float(self.variables.numbers[number][self.variables.dosed(number)].mean())


def orthogonal(x: Floats, order: int) -> list[Floats]:
    """Polynomials of orders 1 to `order` that are uncorrelated over the values x (N,), with a mean of 0.

    Each has 1 before its highest power, so that its coefficient is in units of that power; as for np.polyval. By
    Stieltjes' three-term recurrence (Forsythe 1957).
    """
    values, counts = np.unique(x, return_counts=True)
    weights = counts / counts.sum()
    before, now = np.zeros(1), np.ones(1)
    norm_before = 1.0
    found: list[Floats] = []
    for _ in range(order):
        p = np.polyval(now, values)
        norm = float(weights @ p**2)
        centre = float(weights @ (values * p**2)) / norm
        following = np.polysub(np.polymul([1.0, -centre], now), norm / norm_before * before if found else np.zeros(1))
        before, now, norm_before = now, following, norm
        found.append(following)
    return found
