"""What the regress stage found, as tables, and how its numbers are named and scaled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stages.figures.style import words

POOLED = "all"  # stands for the readers together where a reader's name would stand
STEP = 0.1      # of a dose or another number, at which its effect is given: nobody asks about a whole unit
NUMBERS = {"level": "level", "rmse": "RMSE", "ssim_loss": "SSIM loss", "contrast": "contrast"}

COLUMNS: dict[str, tuple[list[str], list[str]]] = {  # table of plots/regress: texts and numbers that are drawn or said
    "coefficients": (["specification", "reader", "term", "category", "label", "least_without", "most_without"],
                     ["estimate", "standard_error", "low", "high", "p_holm", "p_wild", "least", "most",
                      "sd_between_runs", "runs"]),
    "costs": (["reader", "noise"], ["cost", "standard_error", "low", "high", "rank", "rank_low", "rank_high", "first",
                                    "sd_between_runs", "runs"]),
    "contrasts": (["factor", "reader", "a", "b"],
                  ["difference", "standard_error", "low", "high", "simultaneous_low", "simultaneous_high",
                   "probability", "detectable", "equivalence", "sd_between_runs", "runs"]),
    "tests": (["specification", "reader", "term"], ["F", "df1", "df2", "minus_log10_p", "adjusted_r2_lost"]),
    "categories": (["factor", "category", "moved", "outside"], ["rows", "adjusted_r2", "before", "after", "errors"]),
    "influence": (["cluster", "moves"], ["leverage", "distance", "by_errors"]),
    "correlations": (["a", "b"], ["r"]),
    "added_variables": (["term", "category", "label"], ["x", "y", "rows", "line"]),
    "marginal_effects": (["model", "variable", "category"], ["estimate", "low", "high"]),
    "thresholds": (["reader", "noise"], ["share", "level", "low", "high", "reached", "first", "sd_between_runs",
                                         "runs"]),
    "areas": (["reader", "noise"], ["area", "low", "high"]),
    "corruption": (["reader", "noise", "seen"], ["types", "clean_error", "error", "ratio", "ratio_low", "ratio_high",
                                                 "relative", "relative_low", "relative_high"]),
    "dose_response": (["reader", "noise"], ["level", "dose", "rmse", "ssim_loss", "accuracy", "line", "exact"]),
}  # fmt: skip


@dataclass(frozen=True)
class Regressed:
    """The tables of the regress stage (COLUMNS; NaN where there is no number) and its fits.json."""

    tables: Mapping[str, pd.DataFrame]
    fits: Mapping[str, Any]
    reader: str  # of the report's headline

    @property
    def confidence(self) -> float:
        return float(self.fits["confidence"])

    @property
    def dose(self) -> str:
        return str(self.fits["dose"])

    @property
    def by_reader(self) -> str:
        return str(self.fits["by_reader"])

    @property
    def dimensions(self) -> list[str]:
        """What the rows are clustered by."""
        return list(self.fits["cluster"])

    @property
    def cluster(self) -> str:
        """The same, in words."""
        return " and ".join(self.dimensions)

    @property
    def headline(self) -> dict[str, Any]:
        return self.summary(self.fits["headline"])

    def summary(self, specification: str) -> dict[str, Any]:
        """What fits.json says of a specification on all readers together."""
        return next(dict(fit) for fit in self.fits["fits"]
                    if (fit["specification"], fit["reader"]) == (specification, POOLED))

    def coefficients(self) -> pd.DataFrame:
        """Those of the headline's regression but the intercept."""
        rows = pooled(self.tables["coefficients"], self.fits["headline"])
        return rows[rows["term"] != "constant"].reset_index(drop=True)

    def tests(self, specification: str) -> pd.DataFrame:
        return pooled(self.tables["tests"], specification)

    def of(self, table: str, reader: str) -> pd.DataFrame:
        """The rows of a table about one reader, or about the readers together (POOLED)."""
        rows = self.tables[table]
        return rows[rows["reader"] == reader].reset_index(drop=True)

    def costs(self, reader: str) -> pd.DataFrame:
        """Average costs that could be estimated, the largest first."""
        rows = self.of("costs", reader)
        return rows[rows["cost"].notna()].sort_values("cost", ascending=False, kind="stable").reset_index(drop=True)

    def halves(self, reader: str) -> pd.DataFrame:
        """Thresholds of the first share asked for, the lowest level first and what is not reached last."""
        rows = self.of("thresholds", reader)
        own = rows[rows["share"] == self.share]
        return own.sort_values("level", kind="stable").reset_index(drop=True)

    @property
    def share(self) -> float:
        """The first share of the thresholds, that of the headline; NaN where there are none."""
        shares = self.tables["thresholds"]["share"]
        return float(shares.iloc[0]) if len(shares) else float("nan")

    def contrasts(self, factor: str, reader: str = POOLED) -> pd.DataFrame:
        rows = self.tables["contrasts"]
        return rows[(rows["factor"] == factor) & (rows["reader"] == reader)].reset_index(drop=True)


def negated(pairs: pd.DataFrame) -> pd.DataFrame:
    """Contrasts with the other sign: of costs, where they were of successes."""
    ends = {name: -pairs[other] for name, other in (
        ("difference", "difference"), ("low", "high"), ("high", "low"), ("simultaneous_low", "simultaneous_high"),
        ("simultaneous_high", "simultaneous_low"))}
    return pairs.assign(probability=1 - pairs["probability"], **ends)


def turned(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same contrasts the other way round."""
    return negated(pairs).rename(columns={"a": "b", "b": "a"})


def upright(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same contrasts, each so that its difference is not below 0."""
    return pd.concat([pairs[pairs["difference"] >= 0], turned(pairs[pairs["difference"] < 0])], ignore_index=True)


def pooled(rows: pd.DataFrame, specification: str) -> pd.DataFrame:
    return rows[(rows["specification"] == specification) & (rows["reader"] == POOLED)]


def slope_terms(dose: str) -> list[str]:
    """The terms that are a slope of each noise type."""
    return [f"{dose}:noise", f"noise:{dose}", f"center({dose}):noise", f"noise:center({dose})"]


def scale(term: str) -> float:
    """What turns a coefficient into percentage points: of a category, or of STEP of a number."""
    parts = re.findall(r"\w+", term)
    return 100 * STEP ** (0 if "poly" in parts else sum(part in NUMBERS for part in parts))


def term_words(term: str) -> str:
    """A term as words: noise:center(level) is noise × level."""
    parts = [re.sub(r"^center\((.*)\)$", r"\1", part) for part in term.split(":")]
    return " × ".join(NUMBERS.get(part, words(part)) for part in parts)


def label_words(term: str, category: str, label: str) -> str:
    """A coefficient as words; a product of two factors is named by its categories alone."""
    name = words(category) if " × " in category else words(NUMBERS.get(label, label))
    return f"{name}, for {STEP:g}" if scale(term) < 100 else name


def name_words(name: str) -> str:
    """A coefficient's name in the fit, such as noise[fog], as words."""
    found = re.fullmatch(r"(.*?)\[(.*)\]", name, re.DOTALL)
    return f"{term_words(found[1])} {words(found[2])}" if found else term_words(name)


def p_words(minus_log10_p: float) -> str:
    return "p < 0.001" if minus_log10_p > 3 else f"p = {10 ** -minus_log10_p:.3f}"
