"""Folding: what counts as one character, and the groups that are refused."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.captcha.folding import fold, uncased

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(("alphabet", "groups", "case", "labels"), [
    ("0123", "", "keep", "0123"),
    ("01lIO", "0O+1lI", "keep", "01110"),
    ("Oo0", "0O", "keep", "OoO"),  # named by the first in the alphabet, not in the group
    ("aAbB", "", "keep", "aAbB"),
    ("aAbB", "", "fold", "aabb"),
    ("AБaб", "", "fold", "AБAБ"),
    ("oO02", "0O", "fold", "ooo2"),
    ("1lLiI2", "1lI", "fold", "111112"),  # L counts as l and i as I, which count as 1
    ("οσςΣ", "", "fold", "οσσσ"),
    ("sßẞS", "", "fold", "sßẞs"),  # ß is ss without case, which is no character
    ("iıIİ", "", "fold", "iıiİ"),  # so are the letters of Turkish that others do not have
    ("x\u00c5y", "xA\u030a", "keep", "xxy"),  # a group is composed as the alphabet is
])  # fmt: skip
def test_characters_that_count_as_one_have_the_name_of_the_first(
    alphabet: str, groups: str, case: str, labels: str
) -> None:
    folding = fold(alphabet, groups, case)
    assert folding.drawn == unicodedata.normalize("NFC", alphabet)
    assert folding.label == labels
    assert folding.alphabet == "".join(sorted(set(labels), key=folding.drawn.index))
    assert folding.text(folding.drawn) == labels


def test_case_agrees_with_upper_and_lower_wherever_a_character_has_one_of_each() -> None:
    for code in range(sys.maxunicode + 1):
        lower = chr(code)
        upper = lower.upper()
        if (
            len(upper) == 1
            and upper != lower
            and upper.lower() == lower
            and uncased(upper) != upper
        ):
            assert uncased(upper) == uncased(lower)


@given(
    st.text("0Oo1lIiLAa", max_size=20),
    st.sampled_from(["", "0O", "0O+1lI"]),
    st.sampled_from(["keep", "fold"]),
)
def test_a_folded_text_is_as_long_and_folds_to_itself(text: str, groups: str, case: str) -> None:
    folding = fold(LETTERS, groups, case)
    folded = folding.text(text)
    assert len(folded) == len(text)
    assert set(folded) <= set(folding.alphabet)
    assert folding.text(folded) == folded


@given(
    st.permutations(LETTERS),
    st.lists(st.sampled_from(LETTERS), min_size=8, max_size=8, unique=True),
)
def test_what_counts_as_one_does_not_depend_on_the_order_of_groups_or_alphabet(
    alphabet: list[str], grouped: list[str]
) -> None:
    pairs = ["".join(grouped[i : i + 2]) for i in range(0, 8, 2)]

    def together(letters: str, groups: list[str]) -> set[frozenset[str]]:
        folding = fold(letters, "+".join(groups), "fold")
        return {
            frozenset(c for c in LETTERS if folding.text(c) == name) for name in folding.alphabet
        }

    assert together(LETTERS, pairs) == together("".join(alphabet), pairs[::-1])


@pytest.mark.parametrize(("alphabet", "groups", "case", "complaint"), [
    ("0123", "0O", "keep", r"captcha\.fold: 'O' is not in glyphs\.alphabet '0123': add it there"),
    ("01234", "01+12", "keep", r"captcha\.fold: '1' comes twice in '01\+12': join the groups"),
    ("01234", "011", "keep", r"captcha\.fold: '1' comes twice in '011'"),
    ("01234", "01+2", "keep", r"captcha\.fold: expected groups of at least two characters, .* got '2' in '01\+2'"),
    ("01234", "01+", "keep", r"captcha\.fold: expected groups of at least two characters, .* got '' in"),
    ("012", "012", "keep", r"captcha\.fold, captcha\.case: all of glyphs\.alphabet '012' would count as '0'"),
    ("aA", "", "fold", r"captcha\.fold, captcha\.case: all of glyphs\.alphabet 'aA' would count as 'a'"),
])  # fmt: skip
def test_what_cannot_be_folded_is_told_in_one_line(
    alphabet: str, groups: str, case: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        fold(alphabet, groups, case)
    assert "\n" not in str(caught.value)
