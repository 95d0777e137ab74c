"""Folding: treat characters as one that look alike or differ only in case."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Folding:
    """The characters that are drawn, and the label of each."""

    drawn: str  # (A,) the alphabet of the glyphs, NFC
    label: str  # (A,) per drawn character, the first character of its group in the alphabet

    @property
    def alphabet(self) -> str:
        """The characters that occur in labels, in the order of the alphabet."""
        return "".join(dict.fromkeys(self.label))

    def text(self, drawn: str) -> str:
        """The label of a text, of the same length. A character outside the alphabet is unchanged."""
        return drawn.translate(str.maketrans(self.drawn, self.label))


def fold(alphabet: str, groups: str, case: str) -> Folding:
    """Fold the groups of look-alikes, joined by + as in `0O+1lI`, and with `case` "fold" upper and lower case.

    Folding is transitive: `0O` and case folding make one character of 0, O and o. Raises ValueError on a group of
    fewer than two characters, a character outside the alphabet or in two groups, and if only one character is left.
    """
    drawn = unicodedata.normalize("NFC", alphabet)
    sets = _groups(unicodedata.normalize("NFC", groups), drawn)
    if case == "fold":
        sets += [
            [character for character in drawn if uncased(character) == key]
            for key in dict.fromkeys(map(uncased, drawn))
        ]
    label = {character: character for character in drawn}
    for together in sets:
        names = {label[character] for character in together}
        first = min(names, key=drawn.index)
        label.update({character: first for character, name in label.items() if name in names})
    if len(drawn) > 1 and len(set(label.values())) < 2:
        raise ValueError(
            f"captcha.fold, captcha.case: all of glyphs.alphabet {drawn!r} would count as {drawn[0]!r}, "
            "expected at least 2 characters that differ: fold less, or add characters"
        )
    return Folding(drawn, "".join(label[character] for character in drawn))


def uncased(character: str) -> str:
    """The character without case: Unicode's full case folding where the result is one character.

    A character that folds to several is unchanged (ß and ẞ fold to ss; İ), and so are separate letters such as ı.
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
            yield (
                f"expected groups of at least two characters, joined by + as 0O+1lI, got {''.join(group)!r} in "
                f"{groups!r}: add what it counts as one with, or remove it"
            )
    counts = Counter(character for group in sets for character in group)
    for character, count in counts.items():
        if character not in drawn:
            yield f"{character!r} is not in glyphs.alphabet {drawn!r}: add it there, or remove it here"
        if count > 1:
            yield f"{character!r} comes twice in {groups!r}: join the groups that it is in, or remove one of it"
