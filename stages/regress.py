"""Explain success by noise, level, colour and digit: least squares in clusters, leave-one-outs and thresholds.

Reads   data/predictions/<name>.parquet of every reader, experiments/runs.json
Writes  data/regression/fits.json, metrics/regress.json, and in plots/regress/ table.md, table.tex, table.json,
        coefficients.csv, tests.csv, costs.csv, contrasts.csv, categories.csv, influence.csv, correlations.csv,
        added_variables.csv, marginal_effects.csv, thresholds.csv, areas.csv, dose_response.csv and corruption.csv
Params  seed, glyphs, captcha, colour, noise, reader_defaults, readers, regression
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stages import artifacts
from stages.command import progress, run
from stages.params import cluster_ways, read, runs_of, unseen
from stages.statistics import runs as per_run
from stages.statistics import tidy
from stages.statistics.cells import CLEAN, Cells
from stages.statistics.comparisons import contrast_rows, cost_rows, factor_effects
from stages.statistics.corruption import Corruption, corruptions
from stages.statistics.doses import response_rows
from stages.statistics.formulas import terms_of
from stages.statistics.joint import joint_dose_responses
from stages.statistics.observations import (
    COLUMNS,
    KEY,
    clusters_of,
    guess_of_characters,
    readers_without_own,
    rows_of_reader,
    sample_of,
    stacked,
    without_readers,
)
from stages.statistics.randomisation import randomisation
from stages.statistics.regression import Clusters, Regression, estimate
from stages.statistics.runs import POOLED, PerRun, runs_apart
from stages.statistics.sample import Sample
from stages.statistics.shares import characters, whole_captchas
from stages.statistics.tables import publication, to_latex, to_markdown
from stages.statistics.thresholds import DoseResponse

FOLDER = artifacts.PLOTS / "regress"
RUNS = Path("experiments/runs.json")  # estimates by training run, of experiments/runs.py


def main() -> None:
    params = read("seed", "glyphs", "captcha", "colour", "noise", "reader_defaults", "readers", "regression")
    groups, chosen = runs_of(params.readers), params.regression
    if POOLED in params.readers:
        raise ValueError(f"readers.{POOLED}: this name stands for all readers together: choose another")
    name_strays(tuple(params.readers))
    predictions = read_all(tuple(params.readers))
    clusters = clusters_of(predictions, groups, cluster_ways(chosen.cluster))
    if "glyph" in cluster_ways(chosen.cluster) and "glyph" not in clusters.names:
        progress(f"regression.cluster {chosen.cluster}: the glyphs are unknown, so rows are clustered by captcha "
                 "without glyph")
    sample = sample_of(predictions, groups, params.readers, chosen.references)
    skipped = readers_without_own(sample, clusters)
    terms = terms_of(chosen, sample.variables.names)
    with threadpool_limits(1):  # on X so narrow more threads of BLAS only wait, for three times the CPU time
        regressions = list(fits(terms, sample, clusters, params, [name for name in groups if name not in skipped]))
        say(regressions, skipped)
        between = estimates_by_run(predictions, params, terms)
        headline = next(one for one in regressions if one.specification == chosen.headline)
        looks = look(headline, sample, clusters, chosen)
        whole = whole_captchas(predictions, sample.variables)
        curves = dose_responses(whole, chosen, params.seed)
        looks |= comparisons(regressions, sample, between, params)
        shares = characters(predictions, sample.variables)
        looks["corruption"] = tidy.corruption(robustness(shares, params), seen_by(params))
        looks["dose_response"] = response_rows(sample, by_reader(regressions, chosen, list(groups)), whole, chosen.dose)
        dealt = randomised(sample, predictions, params)
    write(regressions, looks, curves, skipped, dealt, between, clusters, guess_of_characters(predictions), params)


def name_strays(names: Sequence[str]) -> None:
    for path in sorted(artifacts.PREDICTIONS.glob("*.parquet")):
        if path.stem not in names:
            progress(f"{path} is of no reader in params.yaml: ignored")


def read_all(names: Sequence[str]) -> dict[str, pa.Table]:
    """The prediction table of each reader. Raises ValueError where they are not of the same test characters."""
    predictions = {name: artifacts.read_predictions(name, COLUMNS) for name in names}
    first = predictions[names[0]]
    for name, table in predictions.items():
        path = artifacts.PREDICTIONS / f"{name}.parquet"
        empty = [column for column in COLUMNS if table[column].null_count]
        if empty:
            raise ValueError(f"{path}: {', '.join(empty)} should have a value in every row: run `dvc repro -f`")
        if not len(table):
            raise ValueError(f"{path} has no rows: run `dvc repro -f`")
        if not table.select(KEY).equals(first.select(KEY)):
            raise ValueError(f"{path} is of other test characters than {names[0]}.parquet: run `dvc repro -f`")
    return predictions


def fits(terms: Mapping[str, list[Any]], sample: Sample, clusters: Clusters, params: Any,
         names: Sequence[str]) -> Iterator[Regression]:
    """Every specification on all readers, the headline confirmed by other libraries, the one that is asked for on each
    reader alone, and the checks."""
    chosen = params.regression
    for name in chosen.specifications:
        yield estimate(name, POOLED, terms[name], sample, clusters, rng=stream(params.seed, name, POOLED),
                       confirm=name == chosen.headline)
    for name in names:
        rows = rows_of_reader(sample, name)
        yield estimate(chosen.by_reader, name, without_readers(terms[chosen.by_reader]), sample.take(rows),
                       clusters.take(rows), confirm=False, rng=stream(params.seed, chosen.by_reader, name))
    for name in chosen.checks:
        yield estimate(name, POOLED, terms[name], sample, clusters, rng=stream(params.seed, name, POOLED),
                       confirm=False)


def stream(seed: int, *what: str) -> np.random.Generator:
    """A random stream of what it is for."""
    return np.random.default_rng([seed, *"/".join(what).encode()])


def look(headline: Regression, sample: Sample, clusters: Clusters, chosen: Any) -> dict[str, list[tidy.Row]]:
    """The tables about the headline's regression."""
    ordered = sample.by(clusters.labels[0])
    effects = tidy.linear_effects(headline, ordered.variables, chosen.confidence)
    try:
        effects += tidy.logit_effects(headline, sample, clusters.labels, chosen.confidence)
        if clusters.runs is not None:
            progress("the standard errors of the logit do not hold the variance between training runs")
    except ValueError as error:
        progress(f"{error}: no logit beside the linear probability model")
    return {"marginal_effects": effects, **tidy.looks(headline, ordered, chosen.confidence)}


def comparisons(regressions: Sequence[Regression], sample: Sample, between: PerRun,
                params: Any) -> dict[str, list[tidy.Row]]:
    """Costs of the noise types and contrasts of all categories, by the specification by_reader."""
    chosen = params.regression
    tables: dict[str, list[tidy.Row]] = {"costs": [], "contrasts": []}
    for one in regressions:
        if one.specification != chosen.by_reader:
            continue
        rows = sample if one.reader == POOLED else sample.take(rows_of_reader(sample, one.reader))
        for effects in factor_effects(one, rows.variables):
            given = one, effects, CLEAN, between, chosen.confidence
            tables["contrasts"] += contrast_rows(
                *given, rng=stream(params.seed, "contrasts", one.reader, effects.variable))
            if effects.variable == "noise" and "noise" in one.design.terms:
                tables["costs"] += cost_rows(*given, rng=stream(params.seed, "costs", one.reader))
    if not tables["costs"]:
        progress(f"regression.by_reader: {chosen.by_reader} has no term noise: no costs of noise types")
    return tables


def randomised(sample: Sample, predictions: Mapping[str, pa.Table], params: Any) -> dict[str, Any] | None:
    """The randomisation test of colour; None where there is one colour."""
    found = randomisation(sample.success, sample.cluster, stacked(predictions, "condition", np.int64),
                          sample.variables.factors["colour"].codes.astype(np.int64),
                          part=params.captcha.captchas_per_part, rng=stream(params.seed, "randomisation", "colour"))
    return None if found is None else {"factor": "colour", **asdict(found)}


def estimates_by_run(predictions: Mapping[str, pa.Table], params: Any, terms: Mapping[str, list[Any]]) -> PerRun:
    """Per-run estimates of this study where readers have several runs, else of experiments/runs.json where that study
    is alike."""
    chosen, groups = params.regression, runs_of(params.readers)
    formula = {**chosen.specifications, **chosen.checks}
    if any(len(entries) > 1 for entries in groups.values()):
        runs = list(runs_apart(predictions, groups, params.readers, terms, chosen))
        return PerRun(per_run.joined(runs), formula, chosen.dose, asdict(chosen.references))
    if not RUNS.is_file():
        progress(f"{RUNS} is not there: no standard deviation between training runs")
        return per_run.NONE
    found, parameters = per_run.from_json(artifacts.read_json(RUNS), str(RUNS))
    if per_run.compared(params, groups) != parameters:
        progress(f"{RUNS} is of other glyphs, captchas, colours, noises or readers: no standard deviation between "
                 "training runs (python -m experiments.runs measures it)")
        return per_run.NONE
    return found.known(formula, chosen.dose, asdict(chosen.references))


def dose_responses(whole: Cells, chosen: Any, seed: int) -> dict[tuple[str, str], DoseResponse]:
    """Thresholds and areas of whole captchas of every reader and noise type, by captcha and glyph whatever the
    regression clusters by."""
    return joint_dose_responses(whole, targets=chosen.thresholds, confidence=chosen.confidence, draws=chosen.draws,
                                rng=stream(seed, "thresholds"))


def robustness(cells: Cells, params: Any) -> list[Corruption]:
    """Corruption errors of every reader: each noise type, all, and those that training had and had not."""
    types = tuple(dict.fromkeys(noise for _, noise, _ in cells.keys if noise != CLEAN))
    apart = set(unseen(params.noise)) & set(types)
    groups = [*((noise,) for noise in types), types]
    groups += [tuple(noise for noise in types if (noise in apart) is held) for held in (False, True)] if apart else []
    chosen = params.regression
    return corruptions(cells, list(dict.fromkeys(groups)), chosen.references.reader, confidence=chosen.confidence,
                       draws=chosen.draws, rng=stream(params.seed, "corruption"))


def seen_by(params: Any) -> dict[str, tuple[str, ...]]:
    """The noise types that each reader trained on; a denoiser that learned from noise counts."""
    learned = tuple(noise for noise in params.noise.types if noise not in unseen(params.noise))
    return {name: () if reader.train_on == "clean" and reader.denoise != "learned" else learned
            for name, reader in params.readers.items()}


def by_reader(regressions: Sequence[Regression], chosen: Any, names: Sequence[str]) -> dict[str, Regression]:
    return {one.reader: one for one in regressions if one.specification == chosen.by_reader and one.reader in names}


def say(regressions: Sequence[Regression], skipped: Mapping[str, str]) -> None:
    """A line for everything that is not in the tables, and for what was fitted."""
    for name, reason in skipped.items():
        progress(f"reader {name} {reason}: no regression of its own")
    said: dict[str, list[str]] = {}  # what is said of several regressions is said once
    for one in regressions:
        whose = f"{one.specification}, {one.reader}"
        for dropped in one.design.dropped:
            said.setdefault(f"{dropped.term} {dropped.reason}: dropped from", []).append(one.specification)
        if unmeasured := tidy.unmeasured(one):
            said.setdefault(f"all clusters agree exactly on {', '.join(unmeasured)}: no standard error in",
                            []).append(whose)
        for warning in one.warnings:
            said.setdefault(f"warning: {warning}: in", []).append(whose)
    for line, where in said.items():
        progress(f"{line} {'; '.join(dict.fromkeys(where))}")
    for one in regressions:
        fitted = one.fit
        progress(f"{one.specification}, {one.reader}: {fitted.observations} rows, "
                 f"{' × '.join(map(str, fitted.cluster_counts))} clusters, R² {fitted.r2:.4f}")


def write(regressions: Sequence[Regression], looks: Mapping[str, Sequence[tidy.Row]],
          curves: Mapping[tuple[str, str], DoseResponse], skipped: Mapping[str, str], dealt: Mapping[str, Any] | None,
          between: PerRun, clusters: Clusters, chance: float, params: Any) -> None:
    chosen = params.regression
    coefficients = [tidy.coefficients(one, chosen.confidence, str, between) for one in regressions]
    tables = {"coefficients": [row for rows in coefficients for row in rows],
              "tests": [row for one in regressions for row in tidy.tests(one)],
              "thresholds": tidy.thresholds(curves, lambda *key: between.cells(per_run.threshold(*key))),
              "areas": tidy.areas(curves), **looks}
    for name, rows in tables.items():
        artifacts.write_text(FOLDER / f"{name}.csv", tidy.as_csv(tidy.COLUMNS[name], artifacts.rounded(rows)))
    shown = [one for one in regressions if one.specification in chosen.specifications]
    checks = [one for one in regressions if one.specification in chosen.checks]
    table = publication(shown, checks, clusters, chosen.confidence, chance, between)
    for suffix, text in (("md", to_markdown(table)), ("tex", to_latex(table))):
        artifacts.write_text(FOLDER / f"table.{suffix}", text)
    artifacts.write_json(FOLDER / "table.json", asdict(table))
    artifacts.write_json(artifacts.REGRESSION / "fits.json", {
        "estimator": "ordinary least squares (linear probability model)",
        "cluster": [*clusters.names, *(["run"] if clusters.runs is not None else [])],
        "cluster_asked": cluster_ways(chosen.cluster), "covariance": "CV3, the cluster jackknife",
        "small_sample_factor": "(G-1)/G; of CV1 beside it G/(G-1) * (N-1)/(N-K)",
        "distribution": "t with G-1 degrees of freedom" if clusters.runs is None else (
            "t with one degree of freedom less than the fewest training runs of a reader"),
        "confidence": chosen.confidence, "dose": chosen.dose, "headline": chosen.headline,
        "by_reader": chosen.by_reader, "checks": list(chosen.checks),
        "formulas": {**chosen.specifications, **chosen.checks}, "runs": runs_of(params.readers),
        "guess_rate": artifacts.rounded(chance), "randomisation": artifacts.rounded(dealt),
        "fits": [artifacts.rounded({**tidy.summary(one, str), "coefficients": rows})
                 for one, rows in zip(regressions, coefficients, strict=True)],
        "skipped_readers": dict(skipped)})
    artifacts.write_metrics(artifacts.METRICS / "regress.json", metrics(regressions, looks["costs"], chosen))


def metrics(regressions: Sequence[Regression], costs: Sequence[tidy.Row], chosen: Any) -> dict[str, Any]:
    """What a pull request compares: how well the headline's regression explains, and what noise costs the reference's
    reader."""
    headline = next(one.fit for one in regressions if one.specification == chosen.headline)
    found: dict[str, Any] = {"adjusted_r2": headline.adjusted_r2, "observations": headline.observations}
    if headline.leave_out is not None:
        found["predicted_r2"] = headline.leave_out.predicted_r2
    reader = chosen.references.reader
    own = {f"cost_{row['noise']}": row["cost"] for row in costs if row["reader"] == reader}
    if costs and not own:
        progress(f"regression.references.reader: {reader} has no regression of its own: no metrics cost_*")
    return found | own


if __name__ == "__main__":
    run(main)
