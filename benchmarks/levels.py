"""Number of noise levels against number of captchas: interval widths of designs with equally many test renderings.

Run from the root: `python -m benchmarks.levels STUDY ... [--draws N]`; prints Markdown tables. Each STUDY is a folder
with data/predictions of one experiment. The experiments differ only in `noise.steps`, and each reads many more captchas
than a design uses; the one with the most levels gives the true values. For 16, 10 and 6 levels, each in its own clone,
after `dvc repro`: `dvc exp run -S captcha.test=1600 -S noise.steps=16`.

A design of n captchas is tried --draws times, each time on n consecutive captchas, so that digits, glyphs and colours
are as balanced as in a study. Half-widths are those of 95 % intervals, clustered by captcha and glyph, at t(n - 1);
thresholds use the delta method. The bias is the mean over the tries less the estimate of the finest grid from all
captchas: of the threshold, of the area, and of the average cost over all levels from 0 on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import stdtrit

from stages.statistics.clustered import covariance_of_means
from stages.statistics.thresholds import area_under_accuracy, level_at

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Function = Callable[[Floats], Floats]  # of shares read whole at L levels (B, L): (B,)

KEYS = ["captcha", "condition", "position"]
COLUMNS = [*KEYS, "text", "reading", "truth", "success", "glyph", "noise", "level", "colour"]
SHARES = (0.5, 0.75)  # of the captchas, still read whole
STEP = 1e-3  # of a share, in the derivative of a threshold


@dataclass(frozen=True)
class Sample:
    """Readings of n captchas of T characters under K conditions (clean first) by R readers."""

    characters: Floats  # (R, n, T, K), 1 where read right
    whole: Floats  # (R, n, K), 1 where the whole text is read right
    shown: Bools  # (n, K), False where the design leaves a rendering out
    glyph: Ints  # (n, T)
    digit: Ints  # (n, T)
    colour: Ints  # (n, K)
    noise: tuple[str, ...]  # (K,)
    level: Floats  # (K,)

    def of(self, captchas: Ints, conditions: Ints) -> Sample:
        return Sample(
            self.characters[:, captchas][..., conditions],
            self.whole[:, captchas][..., conditions],
            self.shown[np.ix_(captchas, conditions)],
            self.glyph[captchas],
            self.digit[captchas],
            self.colour[np.ix_(captchas, conditions)],
            tuple(self.noise[k] for k in conditions),
            self.level[conditions],
        )

    def types(self) -> dict[str, Ints]:
        """The conditions of each noise type, by ascending level."""
        return {
            noise: np.array([k for k, name in enumerate(self.noise) if name == noise])
            for noise in dict.fromkeys(self.noise[1:])
        }


@dataclass(frozen=True)
class Design:
    """n captchas under `steps` levels of each noise, all of them or each captcha under a random half."""

    steps: int
    n: int
    half: bool = False

    def __str__(self) -> str:
        return f"{self.steps} levels × {self.n}" + (", a random half each" if self.half else "")


DESIGNS = (
    Design(4, 400),
    Design(6, 270),
    Design(8, 200),
    Design(10, 164),
    Design(16, 103),
    Design(8, 400, half=True),
)


@dataclass(frozen=True)
class Found:
    """An estimate with its standard error; `true` if the finest grid gives it."""

    kind: str
    value: float
    error: float
    true: float = np.nan


def read(study: Path, readers: Sequence[str]) -> Sample:
    """The test captchas of one study. Raises ValueError if its readers read different ones."""
    tables = [
        pq.read_table(study / "data/predictions" / f"{name}.parquet", columns=COLUMNS).to_pandas()
        for name in readers
    ]
    first = tables[0]
    shape = tuple(first[name].nunique() for name in KEYS)
    if any(len(table) != np.prod(shape) or not table[KEYS].equals(first[KEYS]) for table in tables):
        raise ValueError(
            f"{study}: expected every reader to read every captcha under every condition"
        )

    def cube(values: object) -> NDArray[np.int64]:
        return np.asarray(values).reshape(shape)

    characters = np.stack([cube(table["success"]).transpose(0, 2, 1) for table in tables]).astype(
        float
    )
    whole = np.stack([cube(table["text"] == table["reading"])[..., 0] for table in tables]).astype(
        float
    )
    conditions = first.drop_duplicates("condition")
    return Sample(
        characters,
        whole,
        np.ones(shape[:2], bool),
        cube(first["glyph"])[:, 0],
        cube(first["truth"].astype(int))[:, 0],
        cube(first["colour"].cat.codes)[..., 0],
        tuple(conditions["noise"]),
        conditions["level"].to_numpy(),
    )


def standard_error(scores: Floats, glyph: Ints) -> float:
    """Standard error of a statistic from its scores: (n, T) per character, or (n,) per captcha with glyphs (n, T)."""
    captcha = np.arange(len(glyph))
    if scores.ndim == 1:
        return float(covariance_of_means(scores[:, None], captcha, glyph)[0, 0] ** 0.5)
    by_character = np.repeat(captcha, glyph.shape[1])
    return float(
        covariance_of_means(scores.reshape(-1, 1), by_character, glyph.ravel())[0, 0] ** 0.5
    )


def of_cells(values: Floats, shown: Bools, weights: Floats) -> Floats:
    """Scores of a weighted sum (K,) of cell means: values (n, ..., K) in, (n, ...) out."""
    seen = np.broadcast_to(shown.reshape(len(shown), *([1] * (values.ndim - 2)), -1), values.shape)
    count = seen.reshape(-1, seen.shape[-1]).sum(axis=0)
    deviations = np.where(seen, values - means(values, shown), 0.0)
    return np.asarray(deviations @ (weights / count))


def means(values: Floats, shown: Bools) -> Floats:
    """Means per condition (K,) of values (n, ..., K) over the shown renderings (n, K)."""
    inner = values.reshape(len(values), -1, values.shape[-1]).mean(axis=1)
    return np.asarray((inner * shown).sum(axis=0) / shown.sum(axis=0))


def estimates(sample: Sample, finest: Sample) -> list[Found]:
    """All estimates of a study: per reader and noise type, character, colour, and pair of readers."""
    found = []
    for r in range(len(sample.whole)):
        for noise in sample.types():
            found += of_noise(sample, finest, r, noise)
        found += [clean(sample, r), *by_colour(sample, r), *by_digit(sample, r)]
    return found + [between(sample, a, b) for a, b in combinations(range(len(sample.whole)), 2)]


def of_noise(sample: Sample, finest: Sample, r: int, noise: str) -> list[Found]:
    """Average cost, area and thresholds of one noise type for one reader."""
    cells = sample.types()[noise]
    fine = finest.types()[noise]
    K = len(sample.level)
    levels = np.append(0.0, sample.level[cells])
    curve = np.append(0, cells)

    def whole(function: Function) -> tuple[float, float]:
        """A function of the exact match at the levels, and its standard error by the delta method."""
        at = means(sample.whole[r], sample.shown)[curve]
        weights = np.zeros(K)
        weights[curve] = gradient(function, at)
        scores = of_cells(sample.whole[r], sample.shown, weights)
        return float(function(at[None])[0]), standard_error(scores, sample.glyph)

    weights = np.zeros(K)
    weights[0] = 1.0
    weights[cells] = -1 / len(cells)
    cost = float(means(sample.characters[r], sample.shown) @ weights)
    error = standard_error(of_cells(sample.characters[r], sample.shown, weights), sample.glyph)
    truth = means(finest.whole[r], finest.shown)[np.append(0, fine)]
    at = np.append(0.0, finest.level[fine])
    characters = means(finest.characters[r], finest.shown)
    everywhere = float(characters[0] - area_under_accuracy(characters[np.append(0, fine)], at))
    found = [Found("average cost, points", 100 * cost, 100 * error, 100 * everywhere)]
    value, error = whole(partial(area_under_accuracy, levels=levels))
    found.append(
        Found("area, points", 100 * value, 100 * error, 100 * float(area_under_accuracy(truth, at)))
    )
    for share in SHARES:
        true = float(placed(truth[None], levels=at, share=share)[0])
        if truth[0] > share and true < at[-1]:
            value, error = whole(partial(placed, levels=levels, share=share))
            found.append(Found(f"level at which {share:.0%} are read", value, error, true))
    return found


def gradient(function: Function, at: Floats) -> Floats:
    """Central differences (L,), one-sided at 0 and 1."""
    steps = STEP * np.eye(len(at))
    up = np.minimum(1.0, at + steps)
    down = np.maximum(0.0, at - steps)
    return np.asarray((function(up) - function(down)) / np.diag(up - down))


def placed(shares: Floats, *, levels: Floats, share: float) -> Floats:
    """The levels (B,) at which curves through shares (B, L) fall to one; the strongest where that lies beyond it."""
    within: Floats = np.minimum(level_at(shares, levels, share), levels[-1])
    return within


def clean(sample: Sample, r: int) -> Found:
    weights = np.zeros(len(sample.level))
    weights[0] = 1.0
    scores = of_cells(sample.whole[r], sample.shown, weights)
    return Found(
        "clean exact match, points",
        100 * float(means(sample.whole[r], sample.shown)[0]),
        100 * standard_error(scores, sample.glyph),
    )


def by_colour(sample: Sample, r: int) -> list[Found]:
    """Character accuracy under each colour scheme less that under the first, per condition."""
    rows = np.broadcast_to(sample.colour[:, None], sample.characters[r].shape)
    return contrasts(sample, r, rows, "colour, points")


def by_digit(sample: Sample, r: int) -> list[Found]:
    """Accuracy of each digit less that of 0."""
    rows = np.broadcast_to(sample.digit[..., None], sample.characters[r].shape)
    return contrasts(sample, r, rows, "digit, points")


def contrasts(sample: Sample, r: int, group: Ints, kind: str) -> list[Found]:
    """Mean residuals from the cell means of each group less that of the first; group (n, T, K)."""
    y = sample.characters[r]
    seen = np.broadcast_to(sample.shown[:, None], y.shape)
    residual = np.where(seen, y - means(y, sample.shown), 0.0)
    shares = []
    scores = []
    for value in np.unique(group):
        chosen = seen & (group == value)
        shares.append(residual[chosen].mean())
        scores.append((np.where(chosen, residual - shares[-1], 0.0) / chosen.sum()).sum(axis=2))
    return [
        Found(
            kind,
            100 * float(share - shares[0]),
            100 * standard_error(score - scores[0], sample.glyph),
        )
        for share, score in zip(shares[1:], scores[1:], strict=True)
    ]


def between(sample: Sample, a: int, b: int) -> Found:
    """Character accuracy of one reader less that of another, over all conditions, paired."""
    difference = sample.characters[a] - sample.characters[b]
    weights = sample.shown.sum(axis=0) / sample.shown.sum()
    return Found(
        "difference of readers, points",
        100 * float(means(difference, sample.shown) @ weights),
        100 * standard_error(of_cells(difference, sample.shown, weights), sample.glyph),
    )


def tried(
    design: Design, study: Sample, finest: Sample, draws: int, *, rng: np.random.Generator
) -> list[list[Found]]:
    """The estimates of each try; the levels of the study include those of the design."""
    N = len(study.glyph)
    every = len(study.types()[study.noise[1]]) // design.steps
    conditions = np.concatenate(
        [[0], *(cells[every - 1 :: every] for cells in study.types().values())]
    )
    tries = []
    for start in np.arange(draws) * N // draws:
        sample = study.of((start + np.arange(design.n)) % N, conditions)
        tries.append(estimates(halved_level(sample, rng) if design.half else sample, finest))
    return tries


def halved_level(sample: Sample, rng: np.random.Generator) -> Sample:
    """Each captcha clean and under a random half of the levels of each noise type."""
    shown = np.zeros(sample.shown.shape, bool)
    shown[:, 0] = True
    for cells in sample.types().values():
        chosen = rng.random((len(shown), len(cells))).argsort(axis=1) < len(cells) // 2
        shown[:, cells] = chosen
    return replace(sample, shown=shown)


def half_widths(tries: list[list[Found]], n: int) -> dict[str, float]:
    """Half-widths of the 95 % intervals: mean over tries of the root mean square over the estimates of a kind."""
    t = float(stdtrit(n - 1, 0.975))
    kinds = dict.fromkeys(found.kind for found in tries[0])
    return {
        kind: t
        * float(
            np.mean(
                [
                    np.sqrt(np.mean([found.error**2 for found in one if found.kind == kind]))
                    for one in tries
                ]
            )
        )
        for kind in kinds
    }


@dataclass(frozen=True)
class Misplaced:
    """Distance of the estimates of a kind from the true values."""

    bias: float  # root mean square over the estimates
    largest: float  # bias
    error: float  # root mean square of bias and standard error together


def misplaced(tries: list[list[Found]]) -> dict[str, Misplaced]:
    """The distance per kind of estimate with a known true value."""
    bias = np.array([[found.value - found.true for found in one] for one in tries]).mean(
        axis=0
    )  # (estimates,)
    variance = np.array([[found.error**2 for found in one] for one in tries]).mean(axis=0)
    kinds = np.array([found.kind for found in tries[0]])
    found = {}
    for kind in dict.fromkeys(kinds[~np.isnan(bias)].tolist()):
        own = bias[kinds == kind]
        found[kind] = Misplaced(
            float(np.sqrt(np.mean(own**2))),
            float(np.abs(own).max()),
            float(np.sqrt(np.mean(own**2 + variance[kinds == kind]))),
        )
    return found


def table(title: str, rows: dict[str, dict[str, str]]) -> None:
    designs = list(next(iter(rows.values())))
    print(f"\n| {title} | " + " | ".join(designs) + " |\n|---|" + "--:|" * len(designs))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells.values()) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("studies", nargs="+", type=Path)
    parser.add_argument("--readers", nargs="+", default=["noisy", "clean", "dense"])
    parser.add_argument("--draws", type=int, default=40)
    asked = parser.parse_args()
    samples = [read(study, asked.readers) for study in asked.studies]
    samples.sort(key=lambda sample: -len(sample.level))
    finest = samples[0]
    widths: dict[str, dict[str, float]] = {}
    off: dict[str, dict[str, Misplaced]] = {}
    for design in DESIGNS:
        nesting = [
            sample for sample in samples if len(sample.types()[sample.noise[1]]) % design.steps == 0
        ]
        if not nesting:
            print(f"{design}: no study has its levels, skipped")
            continue
        tries = tried(design, nesting[0], finest, asked.draws, rng=np.random.default_rng(0))
        widths[str(design)] = half_widths(tries, design.n)
        off[str(design)] = misplaced(tries)
    kinds = next(iter(widths.values()))
    table(
        "half-width of the 95 % interval",
        {kind: {name: f"{found[kind]:.3g}" for name, found in widths.items()} for kind in kinds},
    )
    known = next(iter(off.values()))
    table(
        "bias: root mean square (largest)",
        {
            kind: {
                name: f"{found[kind].bias:.2g} ({found[kind].largest:.2g})"
                for name, found in off.items()
            }
            for kind in known
        },
    )
    table(
        "root mean square error",
        {kind: {name: f"{found[kind].error:.3g}" for name, found in off.items()} for kind in known},
    )


if __name__ == "__main__":
    main()
