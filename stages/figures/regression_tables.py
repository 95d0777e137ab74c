"""What the regress stage found, as tables, and how its numbers are named and scaled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from stages.figures.numbers import rows_where
from stages.figures.style import words
from stages.schemas.regress import (
    Coefficients,
    Contrasts,
    Costs,
    Fits,
    FitSummary,
    JointTests,
    ResetTest,
    Thresholds,
)
from stages.schemas.table import Table
from stages.schemas.words import POOLED

STEP = (
    0.1  # of a dose or another number, at which its effect is given: nobody asks about a whole unit
)
NUMBER_WORDS = {"level": "level", "rmse": "RMSE", "ssim_loss": "SSIM loss", "contrast": "contrast"}


@dataclass(frozen=True)
class Regressed:
    """The tables of the regress stage, by their schema, and its fits.json."""

    tables: Mapping[type[Table], pd.DataFrame]
    fits: Fits
    reader: str  # of the report's headline

    @property
    def confidence(self) -> float:
        return self.fits.confidence

    @property
    def dose(self) -> str:
        return self.fits.dose

    @property
    def by_reader(self) -> str:
        return self.fits.by_reader

    @property
    def dimensions(self) -> list[str]:
        """What the rows are clustered by."""
        return list(self.fits.cluster)

    @property
    def cluster(self) -> str:
        """The same, in words."""
        return " and ".join(self.dimensions)

    @property
    def headline(self) -> FitSummary:
        return self.summary(self.fits.headline)

    @property
    def rejecting(self) -> ResetTest | None:
        """RESET of the headline's regression where it rejects the form."""
        test = self.headline.reset
        return test if test is not None and test.p < 1 - self.confidence else None

    def summary(self, specification: str) -> FitSummary:
        """What fits.json holds of a specification on all readers together."""
        return next(
            fit
            for fit in self.fits.fits
            if (fit.specification, fit.reader) == (specification, POOLED)
        )

    def coefficients(self) -> pd.DataFrame:
        """Those of the headline's regression but the intercept."""
        rows = pooled_rows(self.tables[Coefficients], self.fits.headline)
        return rows[rows[Coefficients.term] != "constant"].reset_index(drop=True)

    def tests(self, specification: str) -> pd.DataFrame:
        return pooled_rows(self.tables[JointTests], specification)

    def of(self, table: type[Table], reader: str) -> pd.DataFrame:
        """The rows of a table about one reader, or about the readers together (POOLED)."""
        rows = self.tables[table]
        return rows[rows[Costs.reader] == reader].reset_index(drop=True)

    def costs(self, reader: str) -> pd.DataFrame:
        """Average costs that could be estimated, the largest first."""
        rows = self.of(Costs, reader)
        known = rows[rows[Costs.cost].notna()]
        return known.sort_values(Costs.cost, ascending=False, kind="stable").reset_index(drop=True)

    def half_levels(self, reader: str) -> pd.DataFrame:
        """Thresholds of the first share asked for, the lowest level first and what is not reached last."""
        rows = self.of(Thresholds, reader)
        own = rows[rows[Thresholds.share] == self.share]
        return own.sort_values(Thresholds.level, kind="stable").reset_index(drop=True)

    @property
    def share(self) -> float:
        """The first share of the thresholds, that of the headline; NaN where there are none."""
        shares = self.tables[Thresholds][Thresholds.share]
        return float(shares.iloc[0]) if len(shares) else float("nan")

    def contrasts(self, factor: str, reader: str = POOLED) -> pd.DataFrame:
        rows = self.tables[Contrasts]
        return rows_where(rows, {Contrasts.factor: factor, Contrasts.reader: reader}).reset_index(
            drop=True
        )


def negated(pairs: pd.DataFrame) -> pd.DataFrame:
    """Contrasts with the other sign: of costs, where they were of successes."""
    ends = {
        Contrasts.difference: -pairs[Contrasts.difference],
        Contrasts.low: -pairs[Contrasts.high],
        Contrasts.high: -pairs[Contrasts.low],
        Contrasts.simultaneous_low: -pairs[Contrasts.simultaneous_high],
        Contrasts.simultaneous_high: -pairs[Contrasts.simultaneous_low],
        Contrasts.probability: 1 - pairs[Contrasts.probability],
    }
    return pairs.assign(**ends)


def turned(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same contrasts the other way round."""
    return negated(pairs).rename(columns={Contrasts.a: Contrasts.b, Contrasts.b: Contrasts.a})


def unordered_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same contrasts, each so that its difference is not below 0."""
    negative = pairs[Contrasts.difference] < 0
    return pd.concat(
        [pairs[pairs[Contrasts.difference] >= 0], turned(pairs[negative])], ignore_index=True
    )


def pooled_rows(rows: pd.DataFrame, specification: str) -> pd.DataFrame:
    """The rows of a specification on all readers together."""
    return rows_where(
        rows, {Coefficients.specification: specification, Coefficients.reader: POOLED}
    )


def slope_terms(dose: str) -> list[str]:
    """The terms that are a slope of each noise type."""
    return [f"{dose}:noise", f"noise:{dose}", f"center({dose}):noise", f"noise:center({dose})"]


def scale(term: str) -> float:
    """What turns a coefficient into percentage points: of a category, or of STEP of a number."""
    parts = re.findall(r"\w+", term)
    return 100 * STEP ** (0 if "poly" in parts else sum(part in NUMBER_WORDS for part in parts))


def term_words(term: str) -> str:
    """A term as words: noise:center(level) is noise × level."""
    parts = [re.sub(r"^center\((.*)\)$", r"\1", part) for part in term.split(":")]
    return " × ".join(NUMBER_WORDS.get(part, words(part)) for part in parts)


def label_words(term: str, category: str, label: str) -> str:
    """A coefficient as words; a product of two factors is named by its categories alone."""
    name = words(category) if " × " in category else words(NUMBER_WORDS.get(label, label))
    return f"{name}, for {STEP:g}" if scale(term) < 100 else name


def name_words(name: str) -> str:
    """A coefficient's name in the fit, such as noise[fog], as words."""
    found = re.fullmatch(r"(.*?)\[(.*)\]", name, re.DOTALL)
    return f"{term_words(found[1])} {words(found[2])}" if found else term_words(name)


def p_words(minus_log10_p: float) -> str:
    return "p < 0.001" if minus_log10_p > 3 else f"p = {10**-minus_log10_p:.3f}"
