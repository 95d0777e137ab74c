"""Synthetic output of the regress stage: a study of two noise types, two readers, colours and digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stages.figures.regression_tables import Regressed
from stages.schemas.regress import TABLES, Fits, FitSummary, RandomisationTest

NAN = np.nan


def table(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the plot stage reads them: "" and NaN where a column is not given."""
    columns = TABLES[name].columns
    blank: dict[type, Any] = {str: "", float: NAN, int: 0}
    empty = {name: blank[column.kind] for name, column in columns.items()}
    frame = pd.DataFrame([{**empty, **row} for row in rows], columns=list(columns))
    return frame.astype({name: column.kind for name, column in columns.items()})


def coefficient(
    specification: str, term: str, category: str, estimate: float, error: float = 0.01, **more: Any
) -> dict[str, Any]:
    """A coefficient with an interval of two standard errors; without an error, no interval."""
    ends = {} if error == 0 else {"low": estimate - 2 * error, "high": estimate + 2 * error}
    return {
        "specification": specification,
        "reader": "all",
        "term": term,
        "category": category,
        "label": f"{term} {category}".strip(),
        "estimate": estimate,
        "standard_error": error,
        "p_holm": 0.0002,
        "least": estimate - 0.5 * error,
        "most": estimate + 0.25 * error,
        "least_without": "7",
        "most_without": "9",
        **ends,
        **more,
    }


def contrast(
    factor: str, a: str, b: str, difference: float, error: float, reader: str = "all"
) -> dict[str, Any]:
    """A contrast with a simultaneous interval of three standard errors on either side."""
    return {
        "factor": factor,
        "reader": reader,
        "a": a,
        "b": b,
        "difference": difference,
        "standard_error": error,
        "low": difference - 2 * error,
        "high": difference + 2 * error,
        "simultaneous_low": difference - 3 * error,
        "simultaneous_high": difference + 3 * error,
        "probability": 0.9,
        "detectable": 2.8 * error,
        "equivalence": abs(difference) + 1.65 * error,
    }


def joint_test(specification: str, term: str, **numbers: float) -> dict[str, Any]:
    return {
        "specification": specification,
        "reader": "all",
        "term": term,
        "F": 9.0,
        "df1": 1,
        "df2": 99,
        "minus_log10_p": 5.0,
        "adjusted_r2_lost": 0.1,
        **numbers,
    }


def fit(specification: str, **more: Any) -> FitSummary:
    tree = {
        "specification": specification,
        "reader": "all",
        "terms": ["noise", "level", "colour"],
        "observations": 5000,
        "clusters": [100],
        "mean": 0.6,
        "clean": 0.9,
        "regressors": 6,
        "df": 99,
        "r2": 0.41,
        "adjusted_r2": 0.4,
        "predicted_r2": 0.39,
        "out_of_cluster_r2": 0.38,
        "press": 800.0,
        "references": {"colour": "grey", "digit": "0"},
        "dropped": [],
        "without_standard_error": [],
        "cluster_rows": {"least": 50, "mean": 50.0, "most": 50},
        "cluster_leverage": {
            "mean": 0.06,
            "most": 0.07,
            "of": "3",
            "coefficient_of_variation": 0.1,
        },
        "effective_clusters": 88.5,
        "effective_clusters_equal": 61.2,
        "largest_cook": {"distance": 0.3, "of": "5"},
        "singular_clusters": 0,
        "lonely_rows": 0,
        "condition_number": 12.0,
        "largest_vif": 2.5,
        "fitted_outside": 0.0,
        "reset": {"F": 4.5, "df1": 2, "df2": 99, "p": 0.013},
        "confirmed_by": ["linearmodels"],
        "warnings": [],
        "coefficients": [],
        **more,
    }
    return FitSummary.from_json(tree, specification)


def study(
    fits: list[FitSummary] | None = None,
    cluster: list[str] | None = None,
    randomisation: RandomisationTest | None = None,
    **tables: Any,
) -> Regressed:
    """A study of two noise types, two readers, colours and digits, with tables replaced."""
    rows = {
        "coefficients": [
            coefficient("full", "constant", "", 0.9),
            coefficient("full", "noise", "fog", 0.2),
            coefficient("full", "level", "", -0.7),
            coefficient("full", "colour", "black", -0.04),
            coefficient("full", "digit", "1", 0.01, 0.02, p_holm=0.6),
            coefficient("full", "digit", "2", 0.0, 0.0),
            coefficient("slopes", "level:noise", "fog", -1.0),
            coefficient("slopes", "level:noise", "dots", -0.3),
        ],
        "tests": [
            joint_test("full", "noise"),
            joint_test("full", "colour"),
            joint_test("full", "digit", minus_log10_p=0.5),
            joint_test("slopes", "level:noise", adjusted_r2_lost=0.3),
        ],
        "categories": [
            {
                "factor": "noise",
                "category": "fog",
                "rows": 10,
                "adjusted_r2": 0.3,
                "moved": "level",
                "before": -0.7,
                "after": -0.9,
                "errors": 20.0,
                "outside": "level; colour[black]",
            },
            {
                "factor": "colour",
                "category": "grey",
                "rows": 12,
                "adjusted_r2": 0.3,
                "moved": "noise[fog]",
                "before": 0.2,
                "after": 0.19,
                "errors": 1.0,
                "outside": "",
            },
        ],
        "influence": [
            {
                "cluster": "4",
                "moves": "noise[fog]",
                "leverage": 0.05,
                "distance": 0.2,
                "by_errors": -0.3,
            },
            {"cluster": "5", "moves": "level", "leverage": 0.06, "distance": 0.3, "by_errors": 0.4},
        ],
        "correlations": [
            {"a": a, "b": b, "r": 1.0 if a == b else -0.25}
            for a in ("noise fog", "level")
            for b in ("noise fog", "level")
        ],
        "added_variables": [
            {
                "term": "level",
                "label": "level",
                "x": x,
                "y": -0.7 * x + 0.01,
                "rows": 5,
                "line": -0.7 * x,
            }
            for x in (-0.5, 0.25, 0.5)
        ],
        "marginal_effects": [
            {
                "model": model,
                "variable": variable,
                "category": category,
                "estimate": value,
                "low": value - 0.02,
                "high": value + 0.02,
            }
            for model, shift in (("linear", 0.0), ("logit", 0.03))
            for variable, category, value in (
                ("noise", "fog", 0.2 + shift),
                ("level", "", -0.7 - shift),
            )
        ],
        "thresholds": [
            {
                "reader": reader,
                "noise": noise,
                "share": 0.5,
                "level": level,
                "low": low,
                "high": high,
                "first": first,
            }
            for reader, noise, level, low, high, first in (
                ("noisy", "dots", NAN, 0.7, NAN, 0.0),
                ("noisy", "fog", 0.4, 0.38, 0.42, 1.0),
                ("clean", "dots", 0.0, 0.0, 0.0, 1.0),
                ("clean", "fog", 0.2, 0.1, 0.25, 0.0),
            )
        ],
        "costs": [
            {
                "reader": reader,
                "noise": noise,
                "cost": cost,
                "standard_error": 0.01,
                "low": cost - 0.02,
                "high": cost + 0.02,
                "rank": rank,
                "rank_low": rank,
                "rank_high": rank,
                "first": 2.0 - rank,
            }
            for reader in ("all", "noisy", "clean")
            for noise, cost, rank in (("dots", 0.1, 2), ("fog", 0.5, 1))
        ],
        "contrasts": [
            contrast("noise", "dots", "fog", 0.4, 0.01, reader="noisy"),
            contrast("colour", "black", "grey", -0.04, 0.01),
            contrast("digit", "1", "0", 0.01, 0.02),
            contrast("digit", "2", "0", -0.02, 0.03),
            contrast("reader", "noisy", "clean", 0.2, 0.01),
        ],
        "areas": [
            {"reader": reader, "noise": "fog", "area": 0.5, "low": 0.48, "high": 0.52}
            for reader in ("noisy", "clean")
        ],
        "dose_response": [
            {
                "reader": reader,
                "noise": noise,
                "level": level,
                "dose": level,
                "rmse": level / 2,
                "ssim_loss": level,
                "accuracy": 0.9 - level,
                "line": 1.1 - level if reader == "noisy" else NAN,
                "exact": 0.8 - level,
            }
            for reader in ("noisy", "clean")
            for noise in ("dots", "fog")
            for level in (0.0, 0.4, 0.8)
        ],
    }
    rows["corruption"] = [
        {
            "reader": reader,
            "noise": "dots+fog",
            "seen": "all",
            "types": 2,
            "clean_error": 0.02,
            "error": error,
            "ratio": error / 0.3,
            "ratio_low": error / 0.3,
            "ratio_high": error / 0.3,
            "relative": NAN,
        }
        for reader, error in (("noisy", 0.3), ("clean", 0.45))
    ]
    rows |= tables
    found = Fits(
        estimator="",
        cluster=cluster or ["captcha"],
        cluster_asked=["captcha"],
        covariance="",
        small_sample_factor="",
        distribution="",
        confidence=0.95,
        dose="level",
        headline="full",
        by_reader="slopes",
        checks=[],
        formulas={},
        runs={"noisy": ["noisy"], "clean": ["clean"]},
        guess_rate=0.1,
        randomisation=randomisation,
        fits=fits or [fit("full"), fit("slopes", terms=["level:noise", "colour"])],
        skipped_readers={},
    )
    return Regressed(
        {kind: table(name, rows[name]) for name, kind in TABLES.items()}, found, "noisy"
    )
