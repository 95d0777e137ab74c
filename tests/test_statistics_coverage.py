"""Do intervals cover, on rows that depend on each other as those of the study do: simulations with a known truth.

Glyphs are crossed with captchas, each rendering shares its noise over positions and readers, success is a curve of the
dose, and every repetition draws other handwriting: the truth is the linear projection of the chance of success.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from clustered_rows import Floats, Ints
from conftest import Runs
from scipy.special import expit

from stages.statistics.coding import build_design
from stages.statistics.design_matrix import Design, Variables, make_factor
from stages.statistics.formulas import parse_formula
from stages.statistics.least_squares import least_squares, two_way
from stages.statistics.regression import Clusters, estimate
from stages.statistics.run_variance import TrainingRuns
from stages.statistics.sample import Sample, intersection

FORMULA = "noise + noise:center(level) + reader + digit + position"
NOISES = ("none", "blur", "fog", "gaussian")
CURVES = {
    "blur": (0.9, 3.0),
    "fog": (0.6, 8.0),
    "gaussian": (0.35, 12.0),
}  # level of one half, steepness
LEVELS = (0.2, 0.4, 0.6, 0.8)
# standard deviations of log-odds; READER is of a glyph in a reader
GLYPH = 0.8
SLOT = 0.5
RENDERING = 0.4
READER = 0.5
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WORDS = {"noise": "noise", "slope": "noise:level", "digit": "digit", "reader": "reader"}


@dataclass(frozen=True)
class Simulated:
    sample: Sample
    glyph: Ints
    chance: Floats  # (N,) of success, over all that could have been drawn


def simulate(
    rng: np.random.Generator, captchas: int = 110, positions: int = 4, glyphs: int = 110
) -> Simulated:
    """A small study: glyphs of five digits, two readers, clean and three noises at four levels."""
    conditions = [("none", 0.0), *((noise, level) for noise in NOISES[1:] for level in LEVELS)]
    shape = (captchas, len(conditions), positions, 2)
    captcha, condition, position, reader = (part.ravel() for part in np.indices(shape))
    glyph = rng.integers(0, glyphs, (captchas, positions))[captcha, position]
    digit = glyph % 5
    level = np.array([dose for _, dose in conditions])[condition]
    noise = np.array([NOISES.index(name) for name, _ in conditions])[condition]
    middle, steep = (np.array([0.0, *(CURVES[name][i] for name in NOISES[1:])]) for i in range(2))
    log_odds = (
        2.0
        - 0.6 * reader
        - np.where(noise > 0, 4 * expit(steep[noise] * (level - middle[noise])), 0)
        - 0.3 * (digit == 3)
        - 0.5 * reader * (digit == 4)
    )
    drawn = (
        rng.normal(0, GLYPH, glyphs)[glyph]
        + rng.normal(0, SLOT, shape[::2])[captcha, position]
        + rng.normal(0, RENDERING, shape[:2])[captcha, condition]
        + rng.normal(0, READER, (glyphs, 2))[glyph, reader]
    )
    spread = np.sqrt(GLYPH**2 + SLOT**2 + RENDERING**2 + READER**2)
    chance = np.asarray(
        expit(log_odds[:, None] + spread * NODES) @ WEIGHTS / WEIGHTS.sum(), np.float64
    )
    success = (rng.random(len(drawn)) < expit(log_odds + drawn)).astype(np.uint8)
    factors = {
        "noise": make_factor("noise", noise, NOISES, "none"),
        "reader": make_factor("reader", reader, ["noisy", "clean"], "noisy"),
        "digit": make_factor("digit", digit, list("01234"), "0"),
        "position": make_factor("position", position, list("1234"), "1"),
    }
    variables = Variables(factors, {"level": level}, len(success), {"level": ("noise", "none")})
    return Simulated(
        Sample(variables, success, captcha.astype(np.int64)), glyph.astype(np.int64), chance
    )


def projection(design: Design, variables: Variables, chance: Floats) -> Floats:
    X = design.block(variables, slice(None))
    return np.asarray(np.linalg.lstsq(X, chance, rcond=None)[0], np.float64)


def coverage(runs: int, seed: int) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Shares of the 95 % intervals that hold the truth, by kind of coefficient: by captcha+glyph, and by captcha."""
    hits: dict[str, dict[str, list[bool]]] = {
        way: {kind: [] for kind in WORDS} for way in ("both", "captcha")
    }
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        found = simulate(rng)
        variables = found.sample.variables
        design = build_design(parse_formula(FORMULA, variables.names, {}, "here"), variables)
        captcha, *others = (
            least_squares(
                found.sample.by(labels).blocks(design),
                design.names,
                leave_out=False,
                jackknife=True,
            )
            for labels in (
                found.sample.cluster,
                found.glyph,
                intersection(found.sample.cluster, found.glyph),
            )
        )
        truth = projection(design, variables, found.chance)
        for way, fit in (("both", two_way(captcha, *others)), ("captcha", captcha)):
            ends = fit.interval(0.95)
            held = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
            for kind, term in WORDS.items():
                hits[way][kind] += held[design.terms[term]].tolist()
    by_both, by_captcha = (
        {kind: float(np.mean(found)) for kind, found in hits[way].items()} for way in hits
    )
    return by_both, by_captcha


@pytest.mark.simulation
def test_intervals_by_captcha_and_glyph_cover_and_those_by_captcha_alone_do_not(runs: Runs) -> None:
    count = runs(400)
    both, captcha = coverage(count, 5)
    margin = 3 * np.sqrt(
        0.05 * 0.95 / count
    )  # of one coefficient; kinds have up to four, which are correlated
    for kind, share in both.items():
        assert 0.95 - max(0.02, margin) <= share <= 0.95 + max(0.02, margin), kind
    assert captcha["digit"] < 0.88
    assert captcha["reader"] < both["reader"] + 0.01


def runs_of_a_reader(
    rng: np.random.Generator, R: int, captchas: int = 80
) -> tuple[Sample, TrainingRuns]:
    """Two readers with R runs each: a run moves the level and what noise does, and reads captchas its own way."""
    shape = (captchas, 3, 2, R)
    captcha, condition, reader, run = (part.ravel() for part in np.indices(shape))
    chance = (
        0.65
        - 0.15 * condition
        - 0.1 * reader
        + rng.normal(0, 0.05, (2, R))[reader, run]
        + (condition == 2) * rng.normal(0, 0.09, (2, R))[reader, run]
        + rng.uniform(-0.1, 0.1, captchas)[captcha]
        + rng.uniform(-0.1, 0.1, (captchas, 2, R))[captcha, reader, run]
    )
    success = (rng.random(len(chance)) < chance).astype(np.uint8)
    factors = {
        "noise": make_factor("noise", condition, ["none", "fog", "gaussian"], "none"),
        "reader": make_factor("reader", reader, ["a", "b"], "a"),
    }
    return (
        Sample(Variables(factors, {}, len(success)), success, captcha.astype(np.int64)),
        TrainingRuns(reader * R + run, reader),
    )


@pytest.mark.simulation
def test_intervals_with_the_variance_between_runs_cover_and_those_without_do_not(
    runs: Runs,
) -> None:
    count = runs(1000)
    R = 5
    truth = {"noise[fog]": -0.15, "noise[gaussian]": -0.3, "reader[b]": -0.1}
    hits = {way: dict.fromkeys(truth, 0) for way in ("with", "without")}
    for repetition in range(count):
        rng = np.random.default_rng([9, repetition])
        sample, training = runs_of_a_reader(rng, R)
        terms = parse_formula("noise*reader", sample.variables.names, {}, "here")
        for way, chosen in (("with", training), ("without", None)):
            one = estimate(
                "main",
                "all",
                terms,
                sample,
                Clusters(("captcha",), (sample.cluster,), chosen),
                confirm=False,
                rng=rng,
            )
            ends = dict(zip(one.fit.names, one.fit.interval(0.95), strict=True))
            for name, value in truth.items():
                hits[way][name] += ends[name][0] <= value <= ends[name][1]
    margin = max(0.025, 3 * np.sqrt(0.05 * 0.95 / count))
    share = {way: {name: hit / count for name, hit in found.items()} for way, found in hits.items()}
    assert 0.95 - margin <= share["with"]["noise[gaussian]"] <= min(1, 0.95 + margin)
    for name in (
        "reader[b]",
        "noise[fog]",
    ):  # wider than they need be: of a difference of two readers, 4 degrees of
        assert 0.95 - margin <= share["with"][name] <= 1, (
            name
        )  # freedom are too few, and no run moves what fog does
    assert max(share["without"]["noise[gaussian]"], share["without"]["reader[b]"]) < 0.85
