"""Two-way CV3, RESET and average marginal effects against R: tests/golden/regression.R made regression_r.csv."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from clustered_rows import Floats

from stages.statistics.coding import build_design
from stages.statistics.design_matrix import Design, Variables, make_factor
from stages.statistics.diagnostics import reset
from stages.statistics.formulas import parse_formula
from stages.statistics.least_squares import Fit, least_squares, two_way
from stages.statistics.logit import Logit, clustered_too, fit_logit
from stages.statistics.marginal_effects import average_effects
from stages.statistics.sample import Sample, intersection
from stages.statistics.significance import Inference

GOLDEN = Path(__file__).parent / "golden"
FORMULA = "noise + noise:center(level) + colour + digit"
CLOSE = (
    1e-9  # R prints 15 digits; its effects and their derivatives are by differences of fourth order
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "regression_rows.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def wanted() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "regression_r.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def samples(rows: pd.DataFrame) -> dict[str, Sample]:
    """The rows by captcha, by glyph and by both."""
    factors = {}
    for name, reference in (("noise", "none"), ("colour", "black"), ("digit", "0")):
        categories, codes = np.unique(rows[name].astype(str), return_inverse=True)
        factors[name] = make_factor(
            name, codes, [str(category) for category in categories], reference
        )
    variables = Variables(
        factors, {"level": rows["level"].to_numpy(float)}, len(rows), {"level": ("noise", "none")}
    )
    captcha, glyph = (rows[name].to_numpy(np.int64) for name in ("captcha", "glyph"))
    success = rows["success"].to_numpy(np.uint8)
    return {
        name: Sample(variables, success, captcha).by(labels)
        for name, labels in (
            ("captcha", captcha),
            ("glyph", glyph),
            ("both", intersection(captcha, glyph)),
        )
    }


@pytest.fixture(scope="module")
def design(samples: dict[str, Sample]) -> Design:
    variables = samples["captcha"].variables
    return build_design(parse_formula(FORMULA, variables.names, {}, "here"), variables)


@pytest.fixture(scope="module")
def fits(samples: dict[str, Sample], design: Design) -> dict[str, Fit]:
    found = {
        name: least_squares(sample.blocks(design), design.names) for name, sample in samples.items()
    }
    return {**found, "two_way": two_way(found["captcha"], found["glyph"], found["both"])}


@pytest.fixture(scope="module")
def logit(samples: dict[str, Sample], design: Design) -> Logit:
    return fit_logit(samples["captcha"].blocks(design), design.names)


@pytest.fixture(scope="module")
def logit_two_way(samples: dict[str, Sample], design: Design, logit: Logit) -> Logit:
    return clustered_too(logit, samples["glyph"].blocks(design), samples["both"].blocks(design))


def values(wanted: pd.DataFrame, quantity: str) -> Floats:
    found: Floats = wanted[wanted["quantity"] == quantity]["value"].to_numpy(float)
    assert len(found)
    return found


def test_columns_are_rs(design: Design, wanted: pd.DataFrame) -> None:
    assert list(design.names) == wanted[wanted["quantity"] == "beta"]["name"].tolist()


def test_least_squares_and_two_way_cv3_are_rs(fits: dict[str, Fit], wanted: pd.DataFrame) -> None:
    np.testing.assert_allclose(fits["captcha"].beta, values(wanted, "beta"), rtol=CLOSE)
    plain = {
        "cv3_captcha": np.diag(fits["captcha"].covariance),
        "cv3_glyph": np.diag(fits["glyph"].covariance),
        "cv3_two_way": np.diag(fits["two_way"].covariance),
        "cv1_two_way": np.diag(fits["two_way"].covariances_cv1[0]),
    }
    for quantity, variance in plain.items():
        np.testing.assert_allclose(
            np.sqrt(variance), values(wanted, quantity), rtol=CLOSE, err_msg=quantity
        )
    largest = np.max(
        [values(wanted, f"cv3_{name}") for name in ("captcha", "glyph", "two_way")], axis=0
    )
    np.testing.assert_allclose(fits["two_way"].standard_error, largest, rtol=CLOSE)


def test_reset_is_rs(
    samples: dict[str, Sample], design: Design, fits: dict[str, Fit], wanted: pd.DataFrame
) -> None:
    found = reset(samples["captcha"].blocks(design), fits["captcha"])
    assert found is not None
    assert pytest.approx(values(wanted, "reset")[0], rel=1e-7) == found.F
    assert (found.df1, found.df2) == (2, 44)


def test_the_logit_and_its_errors_in_two_dimensions_are_rs(
    logit: Logit, logit_two_way: Logit, wanted: pd.DataFrame
) -> None:
    np.testing.assert_allclose(logit.beta, values(wanted, "logit_beta"), rtol=1e-8)
    np.testing.assert_allclose(logit.standard_error, values(wanted, "logit_cv1_captcha"), rtol=1e-8)
    np.testing.assert_allclose(
        np.sqrt(np.diag(logit_two_way.covariance)), values(wanted, "logit_cv1_two_way"), rtol=1e-8
    )
    assert logit_two_way.df == 29  # of the 30 glyphs


def test_average_marginal_effects_and_their_errors_are_rs(
    samples: dict[str, Sample],
    design: Design,
    logit: Logit,
    logit_two_way: Logit,
    fits: dict[str, Fit],
    wanted: pd.DataFrame,
) -> None:
    variables = samples["captcha"].variables
    names = wanted[wanted["quantity"] == "logit_effect"]["name"].tolist()

    def errors(fit: Inference, V: Floats) -> Floats:
        link: Literal["logit", "identity"] = "logit" if isinstance(fit, Logit) else "identity"
        one = Inference(
            fit.beta, fit.df, (V,), (V,)
        )  # without the rule that the largest of three counts
        effects = average_effects(design, variables, one, link=link, confidence=0.95)
        assert [
            f"{one.variable}[{one.category}]" if one.category else one.variable for one in effects
        ] == names
        kind = "logit" if link == "logit" else "linear"
        np.testing.assert_allclose(
            [one.estimate for one in effects], values(wanted, f"{kind}_effect"), rtol=1e-8
        )
        return np.array([one.standard_error for one in effects])

    np.testing.assert_allclose(
        errors(logit, logit.covariance), values(wanted, "logit_effect_captcha"), rtol=1e-7
    )
    np.testing.assert_allclose(
        errors(logit_two_way, logit_two_way.covariance),
        values(wanted, "logit_effect_two_way"),
        rtol=1e-7,
    )
    np.testing.assert_allclose(
        errors(fits["two_way"], fits["two_way"].covariance),
        values(wanted, "linear_effect_two_way"),
        rtol=1e-7,
    )
