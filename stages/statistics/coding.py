"""Which columns the terms of a formula have in X: contrast coding, by the rule of marginality.

A factor of a term is coded by contrasts (a dummy per category but the reference) where the term's margin, the term
without that factor, is in the formula too; else by indicators (a dummy per category). So X has full rank, and spans
what R's model.matrix does (terms.formula; Chambers & Hastie 1992, "Statistical models in S", 2.4.1). The constant is
the margin of a term of one factor.

What the rows do not identify is dropped and said: a real run may lack a category, or the levels for a polynomial.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from stages.statistics.arrays import Floats, Ints
from stages.statistics.design_matrix import (
    CONSTANT,
    Design,
    DesignColumn,
    Dropped,
    Piece,
    Variables,
)
from stages.statistics.formulas import FormulaPart, Term
from stages.statistics.moments import Moments, independent, total_of

MOMENT_ROWS = 4096  # of X at a time
VALUES_TRIED = 1000  # values that are looked at before all are


def build_design(terms: Sequence[Term], variables: Variables) -> Design:
    """The columns of a constant and the terms, with what was dropped and why.

    Dropped are: a factor, or a number, with one value; a number with one value within each category of a factor that is
    in the formula itself; the orders of a polynomial for which there are too few values; a slope whose number is 0
    wherever its category occurs; and a product of categories that has no rows.
    Raises ValueError on a polynomial of a factor.
    """
    columns = [DesignColumn(CONSTANT, "", CONSTANT)]
    pieces: list[Piece] = []
    dropped: list[Dropped] = []
    references: dict[str, str] = {}
    incomplete: set[str] = set()  # terms that have a cell without rows
    for term in terms:
        _refuse_functions_of_factors(term, variables)
        identified, lost = _identified(term, terms, variables)
        dropped += lost
        if identified is None:
            continue
        coding = TermCoding(identified, terms, variables)
        for piece, own in coding.pieces(len(columns)):
            pieces.append(piece)
            columns += own
        dropped += coding.dropped
        references |= coding.references
        if (coding.rows == 0).any():
            incomplete.add(_text(identified))
    centred = frozenset(part.variable for term in terms for part in term if part.centred)
    design = Design(
        tuple(columns), tuple(pieces), references, tuple(dict.fromkeys(dropped)), centred
    )
    return _of_full_rank(design, incomplete, variables) if incomplete else design


def _refuse_functions_of_factors(term: Term, variables: Variables) -> None:
    for part in term:
        if (part.order or part.centred) and part.variable in variables.factors:
            function = "center" if part.centred else "poly"
            raise ValueError(
                f"term {function}({part.variable}): {part.variable} is a factor: expected a number "
                f"({', '.join(variables.numbers)})"
            )


def _of_full_rank(design: Design, incomplete: set[str], variables: Variables) -> Design:
    """A design without the columns of incomplete terms that are combinations of others, since a cell has no rows."""
    blocks = (
        design.block(variables, slice(start, start + MOMENT_ROWS))
        for start in range(0, variables.rows, MOMENT_ROWS)
    )
    total = total_of(Moments.of(X, X[:, 0]) for X in blocks)
    lost = [k for k in independent(total)[1] if design.columns[k].term in incomplete]
    if not lost:
        return design
    retained = [k for k in range(len(design.columns)) if k not in lost]
    moved = np.full(len(design.columns) + 1, -1, dtype=np.int64)  # the last is of -1, no column
    moved[retained] = np.arange(len(retained))
    reason = "cannot be told for {}, since another cell has no rows"
    dropped = [
        Dropped(design.columns[k].term, reason.format(design.columns[k].category)) for k in lost
    ]
    pieces = tuple(replace(piece, place=moved[piece.place]) for piece in design.pieces)
    return Design(
        tuple(design.columns[k] for k in retained),
        pieces,
        design.references,
        (*design.dropped, *dropped),
        design.centred,
    )


def _text(term: Term) -> str:
    return ":".join(part.text for part in term)


def _margin_is_coded(part: FormulaPart, term: Term, terms: Sequence[Term]) -> bool:
    """Whether the term's margin without this part is in the formula. That of a single part is the constant, which
    always is."""
    margin = _keys(other for other in term if other != part)
    return not margin or any(_keys(other) == margin for other in terms)


def _keys(parts: Iterable[FormulaPart]) -> set[tuple[str, bool]]:
    return {part.key for part in parts}


def _identified(
    term: Term, terms: Sequence[Term], variables: Variables
) -> tuple[Term | None, list[Dropped]]:
    """The term with the highest orders that the rows identify (None where they identify nothing), and what it lost."""
    for part in term:
        factor = variables.factors.get(part.variable)
        if (
            factor is not None
            and len(factor.categories) == 1
            and _margin_is_coded(part, term, terms)
        ):
            return None, [
                Dropped(_text(term), f"has one value in this run ({factor.categories[0]})")
            ]
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
            orders = " and ".join(map(str, range(most + 1, part.order + 1)))
            lost.append(
                Dropped(
                    f"order {orders} of {part.text}", f"cannot be told, since {part.variable} {why}"
                )
            )
    return tuple(parts), lost


def _highest_order(
    part: FormulaPart, term: Term, terms: Sequence[Term], variables: Variables
) -> tuple[int, str]:
    """The highest order of a polynomial of this number that the rows identify, and why no higher: n values identify
    n - 1 orders beside a constant, which may be of all rows or of each category of a factor."""
    number = variables.numbers[part.variable]
    wanted = max(part.order, 1)
    if not number.any():
        return 0, f"is 0 in every row, as {part.variable} is" if len(
            term
        ) > 1 else "has one value in this run (0)"
    has_it = variables.dosed(part.variable) if part.centred else np.ones(variables.rows, bool)
    number = number[has_it]
    limits = [(wanted, "")]
    if part.centred or _margin_is_coded(part, term, terms):
        values = _distinct(number, wanted + 1)
        one = f"has one value in this run ({number[0]:g})"
        limits.append((values - 1, one if values == 1 else f"has {values} values in this run"))
    for name in _confounding_factors(term, terms, variables):
        codes = variables.factors[name].codes[has_it]
        values = max(
            _distinct(number[codes == code], wanted + 1) for code in range(codes.max() + 1)
        )
        one = f"has one value within each {name}, which already says it (see noise.steps)"
        limits.append(
            (
                values - 1,
                one if values == 1 else f"has {values} values within each {name} (see noise.steps)",
            )
        )
    return min(limits, key=lambda limit: limit[0])


def _confounding_factors(term: Term, terms: Sequence[Term], variables: Variables) -> list[str]:
    """The factors, in the formula by themselves, with which a number in `term` could be confounded."""
    alone = [other[0].variable for other in terms if len(other) == 1]
    own = {part.variable for part in term}
    return [
        name
        for name in alone
        if name in variables.factors
        and len(variables.factors[name].categories) > 1
        and (len(term) == 1 or name in own)
    ]


def _distinct(values: Floats, most: int) -> int:
    """How many different values there are, counted up to `most`: all of them are rarely looked at."""
    few = len(np.unique(values[:VALUES_TRIED]))
    return few if few >= most or len(values) <= VALUES_TRIED else min(most, len(np.unique(values)))


class TermCoding:
    """The columns of one term: a cell is a combination of categories of its factors, as their codes."""

    def __init__(self, term: Term, terms: Sequence[Term], variables: Variables) -> None:
        self.term = term
        self.variables = variables
        self.factors = tuple(part.variable for part in term if part.variable in variables.factors)
        self.numbers = [part for part in term if part.variable in variables.numbers]
        self.sizes = tuple(len(variables.factors[name].categories) for name in self.factors)
        self.contrasted = {
            part.variable
            for part in term
            if part.variable in variables.factors and _margin_is_coded(part, term, terms)
        }
        self.dropped: list[Dropped] = []
        self.references: dict[str, str] = {}
        self.rows, self.nonzero_rows = self._counts()

    def _counts(self) -> tuple[Ints, Ints]:
        """How many rows each cell has, and how many of them where no number is 0."""
        if not self.factors:
            return np.array(self.variables.rows), np.array(self.variables.rows)
        codes = tuple(self.variables.factors[name].codes.astype(np.int64) for name in self.factors)
        cell = np.ravel_multi_index(codes, self.sizes)
        nonzero = np.ones(self.variables.rows, bool)
        for part in self.numbers:
            nonzero &= (
                self.variables.dosed(part.variable)
                if part.centred
                else self.variables.numbers[part.variable] != 0
            )
        count = int(np.prod(self.sizes))
        return (
            np.bincount(cell, minlength=count).reshape(self.sizes),
            np.bincount(cell[nonzero], minlength=count).reshape(self.sizes),
        )

    def pieces(self, first: int) -> Iterator[tuple[Piece, list[DesignColumn]]]:
        """A piece and its columns, from index `first` of X, for each product of the polynomials' orders."""
        cells = self._coded_cells()
        for orders in product(*(range(1, max(part.order, 1) + 1) for part in self.numbers)):
            place = np.full(self.sizes, -1, dtype=np.int64)
            columns: list[DesignColumn] = []
            for cell in cells:
                place[cell] = first + len(columns)
                columns.append(
                    DesignColumn(
                        _text(self.term), self._category(cell, orders), self._label(cell, orders)
                    )
                )
            first += len(columns)
            numbers = tuple(
                (part.variable, self._polynomial(part, order))
                for part, order in zip(self.numbers, orders, strict=True)
            )
            if columns:
                yield self._without_undosed(Piece(self.factors, place, numbers)), columns

    def _without_undosed(self, piece: Piece) -> Piece:
        """A piece with no column in rows that have no dose, where a dose in it is centred."""
        doses = [
            part.variable
            for part in self.numbers
            if part.centred and part.variable in self.variables.doses
        ]
        for number in doses:
            factor, category = self.variables.doses[number]
            categories = self.variables.factors[factor].categories
            if category not in categories:
                continue
            place = piece.place
            if factor not in piece.factors:
                place = np.repeat(place[..., None], len(categories), axis=-1)
                piece = replace(piece, factors=(*piece.factors, factor))
            axis = piece.factors.index(factor)
            place = np.moveaxis(place.copy(), axis, 0)
            place[categories.index(category)] = -1
            piece = replace(piece, place=np.moveaxis(place, 0, axis))
        return piece

    def _coded_cells(self) -> list[tuple[int, ...]]:
        """The cells that have a column each."""
        found = []
        for cell in product(
            *(self._coded_categories(axis, name) for axis, name in enumerate(self.factors))
        ):
            if not self.rows[cell]:
                self.dropped.append(
                    Dropped(_text(self.term), f"has no rows for {self._category(cell, ())}")
                )
            elif self.nonzero_rows[cell]:  # a clean rendering has level 0: no slope for "none"
                found.append(cell)
        sum_to_constant = not self.numbers and len(self.factors) > 1 and not self.contrasted
        return found[1:] if sum_to_constant else found

    def _coded_categories(self, axis: int, name: str) -> list[int]:
        """The categories of a factor that have columns: all of them by indicators, all but the reference by contrasts.
        The reference is the first with rows in which no number is 0."""
        codes = list(range(self.sizes[axis]))
        if name not in self.contrasted:
            return codes
        others = tuple(other for other in range(len(self.sizes)) if other != axis)
        occurring = np.flatnonzero(self.nonzero_rows.sum(axis=others) > 0)
        reference = int(occurring[0]) if len(occurring) else 0
        if len(self.factors) == 1:
            self.references[_text(self.term)] = self.variables.factors[name].categories[reference]
        return [code for code in codes if code != reference]

    def _category(self, cell: tuple[int, ...], orders: tuple[int, ...]) -> str:
        words = [
            f"order {order}"
            for part, order in zip(self.numbers, orders, strict=False)
            if part.order
        ]
        words += [
            self.variables.factors[name].categories[code]
            for name, code in zip(self.factors, cell, strict=True)
        ]
        return " × ".join(words)

    def _label(self, cell: tuple[int, ...], orders: tuple[int, ...]) -> str:
        codes = dict(zip(self.factors, cell, strict=True))
        order = dict(zip(self.numbers, orders, strict=True))
        words = []
        for part in self.term:
            if part.variable in codes:
                category = self.variables.factors[part.variable].categories[codes[part.variable]]
                speaks = len(self.term) > 1 and len(category) > 1 and not category.isdecimal()
                words.append(category if speaks else f"{part.variable} {category}")
            else:
                words.append(
                    f"{part.variable} (order {order[part]})" if part.order else part.variable
                )
        return " × ".join(words)

    def _polynomial(self, part: FormulaPart, order: int) -> Floats:
        number = self.variables.numbers[part.variable]
        if part.centred:
            return np.array([1.0, -float(number[self.variables.dosed(part.variable)].mean())])
        if not part.order:
            return np.array([1.0, 0.0])
        return orthogonal(number, part.order)[order - 1]


def orthogonal(x: Floats, order: int) -> list[Floats]:
    """Polynomials of orders 1 to `order` that are uncorrelated over the values x (N,), with a mean of 0.

    Each has 1 before its highest power, so that its coefficient is in units of that power; as for np.polyval. By
    Stieltjes' three-term recurrence (Forsythe 1957).
    """
    values, counts = np.unique(x, return_counts=True)
    weights = counts / counts.sum()
    before = np.zeros(1)
    now = np.ones(1)
    norm_before = 1.0
    found: list[Floats] = []
    for _ in range(order):
        p = np.polyval(now, values)
        norm = float(weights @ p**2)
        centre = float(weights @ (values * p**2)) / norm
        following = np.polysub(
            np.polymul([1.0, -centre], now), norm / norm_before * before if found else np.zeros(1)
        )
        before = now
        now = following
        norm_before = norm
        found.append(following)
    return found
