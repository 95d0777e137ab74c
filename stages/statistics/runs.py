"""How far estimates move between training runs that differ in their seed alone: the table of per-run estimates.

`experiments/runs.json` holds the estimates of a study with several runs of each reader; a study whose parameters are
the same but for the runs takes its "SD between runs" from there, a study with runs of its own from itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from stages.schemas.predict import Predictions
from stages.schemas.regress import Coefficients, RunEstimates
from stages.schemas.table import Row
from stages.schemas.words import CLEAN, POOLED
from stages.statistics import moments as cross
from stages.statistics.coding import build_design
from stages.statistics.condition_cells import Cells
from stages.statistics.design_matrix import DesignColumn
from stages.statistics.formulas import Term
from stages.statistics.observations import sample_of, without_readers
from stages.statistics.regression import Regression
from stages.statistics.sample import Sample
from stages.statistics.shares import whole_captchas
from stages.statistics.thresholds import level_at

ACCURACY_COLUMNS = (
    Predictions.captcha,
    Predictions.condition,
    Predictions.level,
    Predictions.text,
    Predictions.reading,
    Predictions.success,
)  # the columns behind accuracies
IGNORED_READER_PARAMETERS = (
    "seed",
    "precision",
    "device",
)  # parameters of a reader that are ignored when studies are compared

Key = tuple[str, ...]


def coefficient(specification: str, reader: str, term: str, category: str) -> Key:
    return "coefficient", specification, reader, term, category


def coefficient_key(regression: Regression, column: DesignColumn) -> Key:
    return coefficient(regression.specification, regression.reader, column.term, column.category)


def threshold(reader: str, noise: str, share: float) -> Key:
    """The level at which `share` of the captchas are still read whole."""
    return "threshold", reader, noise, f"{share:g}"


def accuracy(reader: str, of: str, rows: str) -> Key:
    """`of` is characters or captchas, `rows` is clean or POOLED."""
    return "accuracy", reader, of, rows


@dataclass(frozen=True)
class RunSpread:
    """The standard deviation of an estimate between runs, and their number."""

    sd: float
    runs: int


def spread_cells(found: RunSpread | None) -> Row:
    """The columns sd_between_runs and runs of a table, blank where the spread is unknown."""
    return {
        Coefficients.sd_between_runs: found.sd if found else "",
        Coefficients.runs: found.runs if found else "",
    }


@dataclass(frozen=True)
class PerRun:
    """Estimates by quantity, one per run; `formulas`, `dose` and `references` are what the coefficients are of."""

    estimates: Mapping[Key, tuple[float, ...]]
    formulas: Mapping[str, str]
    dose: str
    references: Mapping[str, str]  # by factor, the category that the others are compared with

    def spread(self, key: Key) -> RunSpread | None:
        """None where it is unknown, or not estimated in every run."""
        return run_spread(self.estimates.get(key, ()))

    def cells(self, key: Key) -> Row:
        return spread_cells(self.spread(key))

    def combination(
        self, specification: str, reader: str, weights: Mapping[tuple[str, str], float]
    ) -> Row:
        """The same cells, of a combination of coefficients: `weights` by term and category."""
        keys = {
            coefficient(specification, reader, *column): weight
            for column, weight in weights.items()
            if weight
        }
        if not keys or not keys.keys() <= self.estimates.keys():
            return spread_cells(None)
        values = sum(weight * np.array(self.estimates[key]) for key, weight in keys.items())
        return spread_cells(run_spread([float(value) for value in np.atleast_1d(values)]))

    def known(
        self, formulas: Mapping[str, str], dose: str, references: Mapping[str, str]
    ) -> PerRun:
        """Without the coefficients of specifications that are others here; with another dose or reference all are."""
        same_settings = self.dose == dose and self.references == references
        same = {
            name
            for name, formula in formulas.items()
            if same_settings and self.formulas.get(name) == formula
        }
        return replace(
            self,
            estimates={
                key: values
                for key, values in self.estimates.items()
                if key[0] != "coefficient" or key[1] in same
            },
        )


NONE = PerRun({}, {}, "", {})


def run_spread(values: Sequence[float]) -> RunSpread | None:
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    return RunSpread(float(np.std(values, ddof=1)), len(values))


def join_runs(runs: Sequence[Mapping[Key, float]]) -> dict[Key, tuple[float, ...]]:
    """The estimates of each run by quantity; one that a run lacks is left out."""
    return (
        {key: tuple(run[key] for run in runs) for key in runs[0] if all(key in run for run in runs)}
        if runs
        else {}
    )


def coefficients_of(
    specification: str, reader: str, terms: Sequence[Term], sample: Sample
) -> dict[Key, float]:
    """The coefficients of a regression without their errors: one pass over the rows, in any order."""
    design = build_design(terms, sample.variables)
    total = cross.total_of(cross.Moments.of(X, y) for X, y, _ in sample.blocks(design)())
    cross.refuse_collinear(total, design.names)
    beta = cross.solve(total)[0]
    return {
        coefficient(specification, reader, column.term, column.category): float(value)
        for column, value in zip(design.columns, beta, strict=True)
    }


def accuracies_of(reader: str, predictions: pa.Table) -> dict[Key, float]:
    """Shares of the characters read right, and of the captchas read whole, clean and of all renderings."""
    rows = predictions.select(list(ACCURACY_COLUMNS)).to_pandas()
    whole = rows.drop_duplicates([Predictions.captcha, Predictions.condition])
    found = {}
    for name, clean in (("clean", True), (POOLED, False)):
        own, texts = (
            table[table[Predictions.level] == 0] if clean else table for table in (rows, whole)
        )
        found[accuracy(reader, "characters", name)] = float(own[Predictions.success].mean())
        right = texts[Predictions.text] == texts[Predictions.reading]
        found[accuracy(reader, "captchas", name)] = float(right.mean())
    return found


def thresholds_of(reader: str, whole: Cells, shares: Sequence[float]) -> dict[Key, float]:
    """The thresholds of one run of a reader."""
    found: dict[Key, float] = {}
    for noise in dict.fromkeys(noise for _, noise, _ in whole.keys if noise != CLEAN):
        cells, levels = whole.of(reader, noise)
        for share in shares:
            level = level_at(whole.mean[cells][None], levels, share)[0]
            found[threshold(reader, noise, share)] = (
                float(level) if level > 0 else math.nan
            )  # 0 is a bound
    return found


def runs_apart(
    predictions: Mapping[str, pa.Table],
    groups: Mapping[str, Sequence[str]],
    readers: Mapping[str, Any],
    terms: Mapping[str, Sequence[Term]],
    chosen: Any,
) -> Iterator[dict[Key, float]]:
    """For each r the estimates of the r-th run of each reader that has several, and, where all have, of these together:
    as many as the fewest runs of a reader.

    `readers` are the parameters of each entry, `terms` those of each formula, `chosen` the parameters of regression.
    """
    several = {name: runs for name, runs in groups.items() if len(runs) > 1}
    for r in range(min(map(len, several.values()))):
        found: dict[Key, float] = {}
        if len(several) == len(groups):
            sample = sample_of(
                {runs[r]: predictions[runs[r]] for runs in groups.values()},
                groups,
                readers,
                chosen.references,
            )
            for name in terms:
                found |= coefficients_of(name, POOLED, terms[name], sample)
        for reader, runs in several.items():
            own = {runs[r]: predictions[runs[r]]}
            sample = sample_of(own, groups, readers, chosen.references)
            found |= coefficients_of(
                chosen.by_reader, reader, without_readers(terms[chosen.by_reader]), sample
            )
            found |= accuracies_of(reader, predictions[runs[r]])
            found |= thresholds_of(reader, whole_captchas(own, sample.variables), chosen.thresholds)
        yield found


def compared(params: Any, readers: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The parameters that must be alike for runs of another study to say how far these estimates move."""
    captcha = {name: value for name, value in _plain(params.captcha).items() if name != "test"}
    own = {
        name: {
            key: value
            for key, value in _plain(params.readers[name]).items()
            if key not in IGNORED_READER_PARAMETERS
        }
        for name in readers
    }
    return {
        "glyphs": _plain(params.glyphs),
        "captcha": captcha,
        "colour": _plain(params.colour),
        "noise": _plain(params.noise),
        "readers": own,
    }


def _plain(section: Any) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(section).items()
    }


def run_estimates(found: PerRun, parameters: Mapping[str, Any]) -> RunEstimates:
    """As experiments/runs.json holds it: a list per quantity, with None where a run has no estimate."""
    estimates = [_line(key, values) for key, values in found.estimates.items()]
    return RunEstimates(
        parameters, found.dose, dict(found.references), dict(found.formulas), estimates
    )


def _line(key: Key, values: Sequence[float]) -> list[str | Sequence[float | None]]:
    return [*key, [value if math.isfinite(value) else None for value in values]]


def text_of(tree: Mapping[str, Any]) -> str:
    """The file, one estimate per line; `tree` is the record's JSON."""
    lines = ",\n".join("    " + json.dumps(line, ensure_ascii=False) for line in tree["estimates"])
    head = json.dumps(
        {name: value for name, value in tree.items() if name != "estimates"},
        indent=2,
        ensure_ascii=False,
    )
    return head.removesuffix("\n}") + f',\n  "estimates": [\n{lines}\n  ]\n}}\n'


def from_json(tree: object, where: str) -> tuple[PerRun, Mapping[str, Any]]:
    """The estimates and the parameters of the study that they are of. Raises ValueError on another content."""
    found = RunEstimates.from_json(tree, where)
    if not all(line and not isinstance(line[-1], str) for line in found.estimates):
        raise ValueError(f"{where}: an estimate has no values: {found.remedy}")
    estimates = dict(map(_estimate, found.estimates))
    return PerRun(estimates, found.formulas, found.dose, found.references), found.parameters


def _estimate(line: Sequence[str | Sequence[float | None]]) -> tuple[Key, tuple[float, ...]]:
    """The key of a quantity and its values by run, from a line of the file."""
    *key, values = line
    return tuple(map(str, key)), tuple(
        math.nan if value is None else float(value) for value in values
    )
