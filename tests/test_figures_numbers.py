"""Numbers as the report writes them: rounded to what their interval allows."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.figures import numbers


@pytest.mark.parametrize(("value", "low", "high", "written"), [
    (54.04, 52.7, 55.4, "54 (53 to 55)"), (6.31, 5.6, 7.0, "6.3 (5.6 to 7.0)"), (0.3012, 0.281, 0.321,
                                                                             "0.30 (0.28 to 0.32)"),
    (-4.53, -5.4, -3.7, "−4.5 (−5.4 to −3.7)"), (0.48, 0.4766, 0.4834, "0.480 (0.477 to 0.483)"),
    (0.4, 0.3, math.nan, "0.40 (0.30 to beyond those tested)"), (0.7, math.nan, math.nan, "0.7 (no interval)"),
    (-0.2, -3.0, 2.6, "0 (−3 to 3)"),
])  # fmt: skip
def test_an_estimate_is_rounded_to_what_its_interval_allows(
    value: float, low: float, high: float, written: str
) -> None:
    assert numbers.estimate_text(value, low, high) == written


@given(st.floats(-1e3, 1e3), st.floats(0.001, 1e3))
def test_the_last_decimal_is_the_first_digit_of_the_half_width(value: float, half: float) -> None:
    kept = numbers.decimals(value - half, value + half)
    exact = (value + half) - (value - half)
    assert 10.0**-kept <= exact / 2 * (1 + 1e-9) or kept == numbers.MOST_DECIMALS or exact == 0
    assert kept == 0 or 10.0 ** -(kept - 1) > exact / 2 * (1 - 1e-9)


def test_a_loss_is_told_with_its_ends_in_order() -> None:
    row = pd.Series({"cost": -0.2, "low": -0.25, "high": -0.15})
    assert (
        numbers.points_text(row, "cost", sign=-1, explained="95 % interval")
        == "20 (95 % interval 15 to 25)"
    )


@pytest.mark.parametrize(
    ("share", "written"),
    [(0.9996, "99.96"), (1.0, "100.0"), (0.5, "50.0"), (0.0004, "0.04"), (0.0, "0.0")],
)
def test_no_share_is_rounded_to_all_or_nothing(share: float, written: str) -> None:
    assert numbers.percent(share) == f"{written}\u00a0%"


def test_a_share_is_told_with_its_interval() -> None:
    assert numbers.share_text(0.958, 0.934, 0.973) == "96\u00a0% (93 to 97\u00a0%)"
    assert numbers.share_text(0.5, math.nan, math.nan) == "50.0\u00a0% (no interval)"


@pytest.mark.parametrize(
    ("p", "written"), [(0.0, "below 0.01"), (1.0, "above 0.99"), (0.5, "0.50")]
)
def test_no_probability_is_rounded_to_certainty(p: float, written: str) -> None:
    assert numbers.probability(p) == written


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    assert numbers.signed(-0.04) == "0.0"
    assert numbers.signed(-0.06) == "−0.1"
