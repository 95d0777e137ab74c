"""Folding: which characters count as one, because they look alike or differ in case alone."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Folding:
    """The characters that are drawn, and what each of them is called."""

    drawn: str  # (A,) the alphabet of the glyphs, NFC
    label: str  # (A,) the first in the alphabet of those that count as one with it

    @property
    def alphabet(self) -> str:
        """The characters that labels have, in the order of the alphabet."""
        return "".join(dict.fromkeys(self.label))

    def text(self, drawn: str) -> str:
        """The label of a text, as long as it; a character outside the alphabet stays."""
        return drawn.translate(str.maketrans(self.drawn, self.label))


def fold(alphabet: str, groups: str, case: str) -> Folding:
    """Fold the groups of look-alikes, joined by + as `0O+1lI`, and with `case` "fold" upper and lower case.

    What counts as one with the same character counts as one: `0O` and case make one of 0, O and o. Raises ValueError on
    a group of fewer than two, a character outside the alphabet or in two groups, and where all of it becomes one.
    """
    drawn = unicodedata.normalize("NFC", alphabet)
    sets = _groups(unicodedata.normalize("NFC", groups), drawn)
    if case == "fold":
        sets += [[character for character in drawn if uncased(character) == key]
                 for key in dict.fromkeys(map(uncased, drawn))]
    label = {character: character for character in drawn}
    for together in sets:
        names = {label[character] for character in together}
        first = min(names, key=drawn.index)
        label.update({character: first for character, name in label.items() if name in names})
    if len(drawn) > 1 and len(set(label.values())) < 2:
        raise ValueError(f"captcha.fold, captcha.case: all of glyphs.alphabet {drawn!r} would count as {drawn[0]!r}, "
                         "expected at least 2 characters that differ: fold less, or add characters")
    return Folding(drawn, "".join(label[character] for character in drawn))


def uncased(character: str) -> str:
    """The character without its case: Unicode's full case folding where that is one character.

    What folds to several stays (ß and ẞ, which fold to ss, and İ), as do letters of their own such as the dotless ı.
    """
    folded = character.casefold()
    return folded if len(folded) == 1 else character


def _groups(groups: str, drawn: str) -> list[list[str]]:
    """The characters of each group; none for an empty text."""
    sets = [list(group) for group in groups.split("+")] if groups else []
    if (error := next(_errors(sets, groups, drawn), None)) is not None:
        raise ValueError(f"captcha.fold: {error}")
    return sets


def _errors(sets: list[list[str]], groups: str, drawn: str) -> Iterator[str]:
    for group in sets:
        if len(group) < 2:
            yield (f"expected groups of at least two characters, joined by + as 0O+1lI, got {''.join(group)!r} in "
                   f"{groups!r}: add what it counts as one with, or remove it")
    counts = Counter(character for group in sets for character in group)
    for character, count in counts.items():
        if character not in drawn:
            yield f"{character!r} is not in glyphs.alphabet {drawn!r}: add it there, or remove it here"
        if count > 1:
            yield f"{character!r} comes twice in {groups!r}: join the groups that it is in, or remove one of it"

