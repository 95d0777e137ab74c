"""The variance between training runs: the spread of the runs' own estimates, and brute force over captchas and runs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from clustered_rows import Floats

from stages.statistics.coding import build_design
from stages.statistics.design_matrix import Design, Variables, make_factor
from stages.statistics.formulas import parse_formula
from stages.statistics.least_squares import Fit, boundaries, least_squares
from stages.statistics.regression import Clusters, estimate, with_runs
from stages.statistics.run_variance import TrainingRuns, between_runs
from stages.statistics.sample import Sample


def study(
    seed: int, runs: tuple[int, ...] = (3, 3), captchas: int = 12
) -> tuple[Sample, TrainingRuns]:
    """Readers with so many runs each, on the same captchas under three conditions; sorted by captcha."""
    rng = np.random.default_rng(seed)
    entries = [(reader, run) for reader, count in enumerate(runs) for run in range(count)]
    shape = (captchas, 3, len(entries))
    captcha, condition, entry = (part.ravel() for part in np.indices(shape))
    reader = np.array([one for one, _ in entries])[entry]
    chance = 0.7 - 0.2 * condition - 0.1 * reader + rng.normal(0, 0.1, len(entries))[entry]
    success = (rng.random(len(chance)) < chance).astype(np.uint8)
    factors = {
        "noise": make_factor("noise", condition, ["none", "fog", "gaussian"], "none"),
        "reader": make_factor("reader", reader, [f"r{i}" for i in range(len(runs))], "r0"),
    }
    return (
        Sample(Variables(factors, {}, len(success)), success, captcha.astype(np.int64)),
        TrainingRuns(entry.astype(np.int64), reader.astype(np.int64)),
    )


def fitted(sample: Sample, formula: str) -> tuple[Design, Fit]:
    design = build_design(
        parse_formula(formula, sample.variables.names, {}, "here"), sample.variables
    )
    return design, least_squares(sample.blocks(design), design.names)


def parts(sample: Sample, runs: TrainingRuns, design: Design, fit: Fit) -> tuple[Floats, Floats]:
    """V(run) and V(captcha x run), a loop over readers, captchas and runs."""
    X = design.block(sample.variables, slice(None))
    scores = X * (sample.success - X @ fit.beta)[:, None]
    K = len(fit.beta)
    run = np.zeros((K, K))
    crossed = np.zeros((K, K))
    for reader in np.unique(runs.reader):
        labels = np.unique(runs.run[runs.reader == reader])
        R = len(labels)

        def added(rows: Floats, labels: Floats = labels, R: int = R) -> Floats:
            sums = np.array([scores[rows & (runs.run == label)].sum(axis=0) for label in labels])
            about = sums - sums.mean(axis=0)
            total: Floats = R / (R - 1) * about.T @ about
            return total

        run += added(np.ones(sample.rows, bool))
        for captcha in np.unique(sample.cluster):
            crossed += added(sample.cluster == captcha)
    return fit.bread @ run @ fit.bread, fit.bread @ crossed @ fit.bread


@pytest.mark.parametrize("runs", [(3, 3), (2, 5), (4,)])
def test_blocks_add_up_to_what_a_loop_over_captchas_and_runs_says(
    runs: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, training = study(1, runs)
    design, fit = fitted(sample, "noise + reader")
    run, crossed = parts(sample, training, design, fit)
    whole, fewest = between_runs(sample, design, fit, training)
    np.testing.assert_allclose(whole, run - crossed, atol=1e-14)
    assert fewest == min(runs)
    monkeypatch.setattr(
        Sample,
        "slices",
        lambda self: [slice(start, end) for start, end in pairwise(boundaries(self.cluster, 40))],
    )
    np.testing.assert_allclose(between_runs(sample, design, fit, training)[0], whole, atol=1e-14)


def test_by_reader_on_balanced_runs_it_is_the_variance_of_the_mean_of_the_runs() -> None:
    R = 4
    sample, training = study(2, (R, R))
    design, fit = fitted(sample, "noise*reader")
    run, _ = parts(sample, training, design, fit)
    own = []
    for r in range(R):  # the r-th run of both readers
        rows = np.flatnonzero(np.isin(training.run, [r, R + r]))
        own.append(fitted(sample.take(rows), "noise*reader")[1].beta)
    first = [0, *design.terms["noise"]]  # of reader r0, where the others are differences from it
    wanted = np.cov(np.array(own)[:, first].T) / R
    np.testing.assert_allclose(run[np.ix_(first, first)], wanted, rtol=1e-9)
    np.testing.assert_allclose(np.mean(own, axis=0), fit.beta, atol=1e-12)


def test_runs_that_read_alike_add_nothing() -> None:
    sample = study(3, (1,))[0]
    rows = np.repeat(np.arange(sample.rows), 3)  # three runs, each with the same readings
    tripled = sample.take(rows)
    alike = TrainingRuns(np.tile(np.arange(3), sample.rows), np.zeros(len(rows), np.int64))
    design, fit = fitted(tripled, "noise")
    np.testing.assert_allclose(between_runs(tripled, design, fit, alike)[0], 0, atol=1e-15)


def test_the_error_with_runs_is_never_smaller_and_has_few_degrees_of_freedom() -> None:
    sample, training = study(4, (3, 5))
    design, fit = fitted(sample, "noise + reader")
    between, fewest = between_runs(sample, design, fit, training)
    together = with_runs(fit, between, fewest)
    assert together.df == 2
    variance = np.diag(fit.covariance + between)
    np.testing.assert_allclose(
        together.standard_error, np.sqrt(np.maximum(variance, fit.standard_error**2)), rtol=1e-12
    )
    terms = parse_formula("noise + reader", sample.variables.names, {}, "here")
    order = np.random.default_rng(5).permutation(sample.rows)
    one = estimate(
        "main",
        "all",
        terms,
        sample.take(order),
        Clusters(("captcha",), (sample.cluster[order],), training.take(order)),
        confirm=False,
        rng=np.random.default_rng(0),
    )
    np.testing.assert_allclose(one.fit.standard_error, together.standard_error, rtol=1e-9)
    assert one.wild is None
    assert any(
        "2 degrees of freedom, since the fewest training runs of a reader are 3" in text
        for text in one.warnings
    )


def test_a_single_run_of_a_reader_is_refused() -> None:
    sample, training = study(6, (1, 3))
    design, fit = fitted(sample, "noise + reader")
    with pytest.raises(ValueError, match="needs two runs of each reader at least"):
        between_runs(sample, design, fit, training)
