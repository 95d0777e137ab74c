"""Do the intervals of studies with different seeds agree as often as they should?

Run from the root: `python -m benchmarks.seeds STUDY ...`; prints a Markdown table. Each STUDY is a folder with
plots/regress of one study with its own `seed` (other test glyphs, captchas and training runs) and known
sd_between_runs. Per estimate: its values, its standard error (root mean square), the SD between runs, and the SD
between the studies. chi² is the sum of squared deviations from the mean over the expected variance of an estimate; its
degrees of freedom are the number of studies less one. Pairs are pairs of studies that differ by at most 1.96 standard
errors of the difference. Both are given with the standard error only, and with the SD between runs added.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from stages import artifacts
from stages.schemas.regress import TABLES, Contrasts, Costs, Thresholds
from stages.schemas.words import POOLED

Floats = NDArray[np.float64]

LIMIT = 1.96  # standard errors of a difference
HALF = 0.5  # share of the captchas still read at the threshold


@dataclass(frozen=True)
class Estimates:
    """One quantity in S studies; `scale` turns it into what is printed."""

    name: str
    value: Floats  # (S,)
    error: float  # root mean square of the standard errors
    between_runs: float

    def chi2(self, error: float) -> float:
        return float(np.square(self.value - self.value.mean()).sum() / error**2)

    def pairs(self, error: float) -> int:
        """Number of pairs of studies that differ by no more than chance."""
        return sum(abs(a - b) <= LIMIT * np.sqrt(2) * error for a, b in combinations(self.value, 2))

    @property
    def with_run(self) -> float:
        return float(np.hypot(self.error, self.between_runs))


def estimates(studies: Sequence[Path]) -> Iterator[Estimates]:
    """Average costs, thresholds of half the captchas where every study reaches them, and differences of readers."""
    costs = stacked(studies, "costs")
    costs = costs[costs[Costs.reader] != POOLED]
    yield from of(
        costs.assign(
            value=100 * costs[Costs.cost],
            error=100 * costs[Costs.standard_error],
            run=100 * costs[Costs.sd_between_runs],
        ),
        [Costs.reader, Costs.noise],
        "cost, points: {}, {}",
    )
    thresholds = stacked(studies, "thresholds")
    half = thresholds[thresholds[Thresholds.share] == HALF]
    width = half[Thresholds.high] - half[Thresholds.low]
    yield from of(
        half.assign(
            value=half[Thresholds.level],
            error=width / (2 * LIMIT),
            run=half[Thresholds.sd_between_runs],
        ),
        [Thresholds.reader, Thresholds.noise],
        "half lost, level: {}, {}",
    )
    contrasts = stacked(studies, "contrasts")
    readers = contrasts[contrasts[Contrasts.factor] == "reader"]
    yield from of(
        readers.assign(
            value=100 * readers[Contrasts.difference],
            error=100 * readers[Contrasts.standard_error],
            run=100 * readers[Contrasts.sd_between_runs],
        ),
        [Contrasts.a, Contrasts.b],
        "difference, points: {} less {}",
    )


def stacked(studies: Sequence[Path], name: str) -> pd.DataFrame:
    tables = [
        artifacts.read_table(study / "plots" / "regress" / f"{name}.csv", TABLES[name]).assign(
            study=i
        )
        for i, study in enumerate(studies)
    ]
    return pd.concat(tables, ignore_index=True)


def of(rows: pd.DataFrame, keys: list[str], name: str) -> Iterator[Estimates]:
    """The estimates that all studies have, with an error above 0."""
    studies = rows["study"].nunique()
    for key, own in rows.groupby(keys, sort=False):
        known = own.dropna(subset=["value", "error", "run"])
        error = float(np.sqrt(np.square(known["error"]).mean()))
        if len(known) == studies and error > 0:
            yield Estimates(
                name.format(*key), known["value"].to_numpy(float), error, float(known["run"].mean())
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Do the intervals of studies of other seeds agree?"
    )
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY")
    studies = parser.parse_args().studies
    if len(studies) < 2:
        parser.error("give two studies or more")
    found = list(estimates(studies))
    df = len(studies) - 1
    pairs = len(list(combinations(studies, 2)))
    print(
        "| estimate | "
        + " | ".join(map(str, range(1, len(studies) + 1)))
        + " | SE | SD between runs | SD between studies | chi²: SE alone | with the run |"
    )
    print("|---" + "|--:" * (len(studies) + 5) + "|")
    for one in found:
        digits = 3 if "level" in one.name else 1
        cells = [*one.value, one.error, one.between_runs, one.value.std(ddof=1)]
        print(
            f"| {one.name} | "
            + " | ".join(f"{cell:.{digits}f}" for cell in cells)
            + f" | {one.chi2(one.error):.1f} | {one.chi2(one.with_run):.1f} |"
        )
    for name, errors in (
        ("SE alone", [one.error for one in found]),
        ("with the run", [one.with_run for one in found]),
    ):
        total = sum(one.chi2(error) for one, error in zip(found, errors, strict=True))
        near = sum(one.pairs(error) for one, error in zip(found, errors, strict=True))
        p = chi2.sf(total, df * len(found))
        print(
            f"\n{name}: chi² {total:.0f} on {df * len(found)} degrees of freedom (p {p:.2g} if independent); "
            f"{near} of {pairs * len(found)} pairs within {LIMIT} standard errors"
        )


if __name__ == "__main__":
    main()
