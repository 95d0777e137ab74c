"""What a study concludes in one commit and in another, and whether the difference is more than another training's.

Two costs differ by more than another training run would make them where

    |new - old| > 1.96 sqrt(SE_old² + SE_new² + SD_old² + SD_new²)

SE is the standard error over captchas and glyphs, SD the standard deviation between training runs (that of exact
matches is experiments/runs.json's, where its readers are alike); where one commit knows no SD, the other's stands for
both, and where neither does the verdict is "unknown". Both commits mostly test the same captchas, so that the bound is
rather too wide than too narrow.
"""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.schemas.regress import Costs, Thresholds
from stages.schemas.words import POOLED

NORMAL_95 = 1.959964  # half-width of a 95 % interval in standard errors
HALF = 0.5  # share of the captchas that is still read
COSTS = (Costs.reader, Costs.noise, Costs.cost, Costs.standard_error, Costs.sd_between_runs)
THRESHOLDS = (
    Thresholds.reader,
    Thresholds.noise,
    Thresholds.share,
    Thresholds.level,
    Thresholds.low,
    Thresholds.high,
    Thresholds.sd_between_runs,
)
COSTS_PATH = "plots/regress/costs.csv"
THRESHOLDS_PATH = "plots/regress/thresholds.csv"
RUNS_PATH = "experiments/runs.json"

Estimates = Mapping[str, Mapping[str, "ReaderEstimate"]]  # by reader and noise type


@dataclass(frozen=True)
class ReaderEstimate:
    """A number; standard error and SD between training runs are NaN where unknown, a level not reached is infinite."""

    value: float
    error: float
    between: float


@dataclass(frozen=True)
class Side:
    """One commit; None where it has no such table, and a line that says so."""

    costs: Estimates | None
    levels: Estimates | None  # at which half of the captchas are lost
    readers: Mapping[str, ReaderEstimate]  # exact match
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conclusion:
    """What is concluded, in either commit, by how much it moved, and whether beyond another training run."""

    what: str
    before: str
    after: str
    change: str
    beyond: str  # yes, no or unknown; "" where nothing moved
    changed: bool


def side(
    name: str,
    costs: str | None,
    thresholds: str | None,
    readers: Mapping[str, ReaderEstimate],
    confidence: float | None,
) -> Side:
    """A commit by the text of its tables, None where it has none; `name` is what to call it, `confidence` that of the
    intervals in its tables, None where unknown."""
    notes: list[str] = []
    if thresholds is not None and confidence is None:
        notes.append(
            f"params.yaml of {name} has no regression.confidence: the errors of its levels are unknown"
        )
    rows = [
        _rows(name, path, text, columns, notes)
        for path, text, columns in (
            (COSTS_PATH, costs, COSTS),
            (THRESHOLDS_PATH, thresholds, THRESHOLDS),
        )
    ]
    errors = (
        math.nan
        if confidence is None
        else 2 * statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    )
    found = [None if table is None else _by_reader(table, errors) for table in rows]
    return Side(found[0], found[1], readers, tuple(notes))


def _rows(
    name: str, path: str, text: str | None, columns: Sequence[str], notes: list[str]
) -> list[dict[str, str]] | None:
    if text is None:
        notes.append(f"{name} has no `{path}`")
        return None
    table = csv.DictReader(io.StringIO(text))
    lacking = [column for column in columns if column not in (table.fieldnames or ())]
    if lacking:
        notes.append(f"`{path}` of {name} is of another version: it has no {', '.join(lacking)}")
        return None
    return list(table)


def _by_reader(
    rows: Sequence[Mapping[str, str]], errors: float
) -> dict[str, dict[str, ReaderEstimate]]:
    """`errors` is the width of an interval in standard errors."""
    found: dict[str, dict[str, ReaderEstimate]] = {}
    for row in rows:
        if Costs.cost in row:
            between = _number(row[Costs.sd_between_runs])
            estimate = ReaderEstimate(
                _number(row[Costs.cost]), _number(row[Costs.standard_error]), between
            )
        elif math.isclose(_number(row[Thresholds.share]), HALF):
            level = _number(row[Thresholds.level])
            error = (_number(row[Thresholds.high]) - _number(row[Thresholds.low])) / errors
            between = _number(row[Thresholds.sd_between_runs])
            estimate = ReaderEstimate(math.inf if math.isnan(level) else level, error, between)
        else:
            continue
        found.setdefault(row[Costs.reader], {})[row[Costs.noise]] = estimate
    return found


def spread_of_exact_matches(runs: str | None, parameters: Mapping[str, Any]) -> dict[str, float]:
    """The SD between training runs of each reader's exact match, by the text of experiments/runs.json: of the readers
    whose parameters, and those of their captchas, are in `parameters`, the content of params.yaml, what they are there.
    """
    if runs is None:
        return {}
    study = json.loads(runs)
    readers = study["parameters"].pop("readers")
    if not _holds(parameters, study["parameters"]):
        return {}
    same_parameters = {
        name
        for name, own in readers.items()
        if _holds(parameters.get("readers", {}).get(name), own)
    }
    values = {
        reader: estimates
        for kind, reader, *of, estimates in study["estimates"]
        if (kind, of) == ("accuracy", ["captchas", POOLED]) and reader in same_parameters
    }
    return {reader: statistics.stdev(estimates) for reader, estimates in values.items()}


def _holds(tree: Any, wanted: Any) -> bool:
    """Whether all that is wanted is in the tree."""
    if isinstance(wanted, Mapping):
        return isinstance(tree, Mapping) and all(
            name in tree and _holds(tree[name], one) for name, one in wanted.items()
        )
    return bool(tree == wanted)


def _number(text: str) -> float:
    return float(text or "nan")


def verdict(old: Sequence[ReaderEstimate], new: Sequence[ReaderEstimate]) -> str:
    """Whether the first estimate, or the first less the second, changed by more than another training run would do."""
    moved = _difference(new) - _difference(old)
    between_runs = [
        one.between if math.isfinite(one.between) else other.between
        for pair in zip(old, new, strict=True)
        for one, other in (pair, pair[::-1])
    ]
    spread = math.hypot(*(one.error for one in (*old, *new)), *between_runs)
    if not (math.isfinite(moved) and math.isfinite(spread)):
        return "unknown"
    return "yes" if abs(moved) > NORMAL_95 * spread else "no"


def _difference(estimates: Sequence[ReaderEstimate]) -> float:
    return estimates[0].value - sum(one.value for one in estimates[1:])


def compared_conclusions(base: Side, head: Side) -> Iterator[Conclusion]:
    """What both commits conclude: costliest and cheapest noise, orders of the noises, the best reader."""
    if base.costs is not None and head.costs is not None:
        for reader in _comparable(base.costs, head.costs):
            old = base.costs[reader]
            new = head.costs[reader]
            yield _first(f"{_whose(reader)}: costliest noise", old, new)
            yield _first(f"{_whose(reader)}: cheapest noise", old, new, lowest=True)
            yield _order(f"{_whose(reader)}: noises by cost, the costliest first", old, new)
    if base.levels is not None and head.levels is not None:
        for reader in _comparable(base.levels, head.levels):
            yield _order(
                f"{_whose(reader)}: noises by the level where half of the captchas are lost, the lowest first",
                base.levels[reader],
                head.levels[reader],
                lowest=True,
            )
    if len(base.readers.keys() & head.readers.keys()) > 1:
        yield _first("best reader by exact match", base.readers, head.readers)


def notes_of(base: Side, head: Side) -> list[str]:
    """What cannot be compared, and why."""
    apart = [
        f"the commits share no noise type of {_whose(reader)}"
        for old, new in (
            (base.costs or {}, head.costs or {}),
            (base.levels or {}, head.levels or {}),
        )
        for reader in new
        if reader in old and reader not in _comparable(old, new)
    ]
    return list(dict.fromkeys([*base.notes, *head.notes, *apart]))


def _comparable(old: Estimates, new: Estimates) -> list[str]:
    """The readers with a noise type that both have."""
    return [reader for reader in new if reader in old and old[reader].keys() & new[reader].keys()]


def _whose(reader: str) -> str:
    return "all readers" if reader == POOLED else f"`{reader}`"


def _ordered(
    estimates: Mapping[str, ReaderEstimate], names: Iterable[str], *, lowest: bool
) -> list[str]:
    return sorted(names, key=lambda name: estimates[name].value, reverse=not lowest)


def _first(
    what: str,
    old: Mapping[str, ReaderEstimate],
    new: Mapping[str, ReaderEstimate],
    *,
    lowest: bool = False,
) -> Conclusion:
    """Of the same one: by how much it moved; of another: by how much the two moved against each other."""
    shared = [name for name in new if name in old]
    before, after = (_ordered(one, shared, lowest=lowest)[0] for one in (old, new))
    pair = [before] if before == after else [before, after]
    was = [old[name] for name in pair]
    now = [new[name] for name in pair]
    moved = percentage_points(_difference(now) - _difference(was), signed=True)
    return Conclusion(
        what,
        f"{before} ({percentage_points(old[before].value)})",
        f"{after} ({percentage_points(new[after].value)})",
        moved if before == after else f"{before} less {after}: {moved}",
        verdict(was, now),
        before != after,
    )


def _order(
    what: str,
    old: Mapping[str, ReaderEstimate],
    new: Mapping[str, ReaderEstimate],
    *,
    lowest: bool = False,
) -> Conclusion:
    """Judged by the pairs that changed places: whether one of them moved against the other beyond another run."""
    shared = [noise for noise in new if noise in old]
    before, after = (_ordered(one, shared, lowest=lowest) for one in (old, new))
    swapped = [
        (a, b)
        for i, a in enumerate(before)
        for b in before[i + 1 :]
        if after.index(a) > after.index(b)
    ]
    verdicts = [verdict([old[a], old[b]], [new[a], new[b]]) for a, b in swapped]
    beyond = next((one for one in ("yes", "unknown", "no") if one in verdicts), "")
    places = ", ".join(f"{b} passed {a}" for a, b in swapped)
    return Conclusion(
        what, ", ".join(before), ", ".join(after), places or "none", beyond, bool(swapped)
    )


def percentage_points(share: float, signed: bool = False) -> str:
    """A share in percentage points."""
    if not math.isfinite(share):
        return "not known"
    sign = "+" if signed else ""
    return f"{100 * share:{sign}.1f} points"


def costs_that_moved(base: Side, head: Side) -> Iterator[str]:
    """By reader: how many costs moved beyond another training run, and which most. Nothing where they are unknown."""
    if base.costs is None or head.costs is None:
        return
    for reader, new in head.costs.items():
        old = base.costs.get(reader, {})
        shared = [noise for noise in new if noise in old]
        if not shared:
            continue
        verdicts = {noise: verdict([old[noise]], [new[noise]]) for noise in shared}
        most = max(shared, key=lambda noise: abs(new[noise].value - old[noise].value))
        known = [noise for noise in shared if verdicts[noise] != "unknown"]
        beyond = sum(verdicts[noise] == "yes" for noise in known)
        judged = (
            f"{beyond} of {len(known)} moved by more than another training run would move them"
            if known
            else "how much another training run would move them is unknown"
        )
        yield (
            f"{_whose(reader)}: the cost of {most} moved most, from {percentage_points(old[most].value)} to "
            f"{percentage_points(new[most].value)} (beyond another training run: {verdicts[most]}); {judged}."
        )
