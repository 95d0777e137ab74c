"""Explain success by noise, level, colour and digit: least squares in clusters, leave-one-outs and thresholds.

Reads   data/predictions/<name>.parquet of every reader, experiments/runs.json
Writes  data/regression/fits.json, metrics/regress.json, and in plots/regress/ table.md, table.tex, table.json,
        coefficients.csv, tests.csv, costs.csv, contrasts.csv, categories.csv, influence.csv, correlations.csv,
        added_variables.csv, marginal_effects.csv, thresholds.csv, areas.csv, dose_response.csv and corruption.csv
Params  seed, glyphs, captcha, colour, noise, readers, regression
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stages import artifacts
from stages.command import progress, run
from stages.params import cluster_ways, read, runs_of, unseen
from stages.statistics import runs as per_run
from stages.statistics import tidy
from stages.statistics.cells import CLEAN, Cells, cell_means
from stages.statistics.comparisons import contrast_rows, cost_rows, factor_effects
from stages.statistics.corruption import Corruption, corruptions
from stages.statistics.design import Factor, Variables, make_factor
from stages.statistics.diagnostics import added_variables, without_categories
from stages.statistics.doses import dose_response
from stages.statistics.formulas import parse_formula
from stages.statistics.joint import joint_dose_responses
from stages.statistics.logit import average_effects, clustered_too, fit_logit
from stages.statistics.randomisation import randomisation
from stages.statistics.regression import Clusters, Regression, estimate
from stages.statistics.run_variance import TrainingRuns
from stages.statistics.runs import POOLED, PerRun
from stages.statistics.sample import Sample, intersection
from stages.statistics.tables import publication, to_latex, to_markdown
from stages.statistics.thresholds import DoseResponse, level_at

FOLDER = artifacts.PLOTS / "regress"
RUNS = Path("experiments/runs.json")  # estimates by training run, of experiments/runs.py
KINDS = ("learns_from", "architecture", "denoise")  # parameters of a reader that a formula may name

KEY = ["captcha", "condition", "position", "truth"]
COLUMNS = [*KEY, "text", "reading", "guess", "success", "glyph", "noise", "level", "colour", "contrast", "rmse", "ssim"]


def main() -> None:
    params = read("seed", "glyphs", "captcha", "colour", "noise", "readers", "regression")
    names, chosen = tuple(runs_of(params.readers)), params.regression
    if POOLED in params.readers:
        raise ValueError(f"readers.{POOLED}: this name stands for all readers together: choose another")
    name_strays(tuple(params.readers))
    predictions = read_all(tuple(params.readers))
    clusters = clusters_of(predictions, params.readers, chosen.cluster)
    sample = sample_of(predictions, params)
    skipped = readers_without_own(sample, clusters)
    terms = formulas(chosen, sample.variables)
    with threadpool_limits(1):  # on X so narrow more threads of BLAS only wait, for three times the CPU time
        regressions = list(fits(terms, sample, clusters, params, [name for name in names if name not in skipped]))
        say(regressions, skipped)
        between = estimates_by_run(predictions, params, terms)
        headline = next(one for one in regressions if one.specification == chosen.headline)
        looks = look(headline, sample, clusters, chosen)
        whole = whole_captchas(predictions, sample.variables)
        curves = dose_responses(whole, chosen, params.seed)
        looks |= comparisons(regressions, sample, between, params)
        shares = characters(predictions, sample.variables)
        looks["corruption"] = tidy.corruption(robustness(shares, params), seen_by(params))
        looks["dose_response"] = dose_response(sample, by_reader(regressions, chosen, names), whole, chosen.dose)
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


def readers_without_own(sample: Sample, clusters: Clusters) -> dict[str, str]:
    """The readers whose rows alone identify nothing, or not with what error, and why."""
    skipped, readers = {}, sample.variables.factors["reader"]
    for code, name in enumerate(readers.categories):
        rows = np.flatnonzero(readers.codes == code)
        mean = sample.success[rows].mean()
        single = [way for way, found in zip(clusters.names, clusters.labels, strict=True) if np.ptp(found[rows]) == 0]
        if mean in (0, 1):
            skipped[name] = f"read {'every' if mean else 'no'} character right"
        elif single:
            skipped[name] = f"is one cluster by {single[0]}"
    return skipped


def sample_of(predictions: Mapping[str, pa.Table], params: Any) -> Sample:
    """The rows of all entries, whose training runs of one reader are one category of `reader`."""
    variables = variables_of(predictions, params.readers, params.regression.references)
    return Sample(variables, stacked(predictions, "success", np.uint8), stacked(predictions, "captcha", np.int64))


def variables_of(predictions: Mapping[str, pa.Table], readers: Mapping[str, Any], references: Any) -> Variables:
    """What a formula may name. Raises ValueError on a reference that does not occur."""
    factors = {name: factor(predictions, name, column, getattr(references, name))
               for name, column in (("noise", "noise"), ("colour", "colour"), ("digit", "truth"))}
    positions = stacked(predictions, "position", np.int64)
    factors["position"] = make_factor("position", positions, [str(i + 1) for i in range(positions.max() + 1)],
                                      references.position)
    names = {run: name for name, runs in runs_of(readers).items() for run in runs}
    factors["reader"] = by_entry("reader", predictions, names, references.reader)
    for kind in KINDS:
        values = {name: getattr(reader, kind) for name, reader in readers.items()}
        own = values[references.reader]
        factors[kind] = by_entry(kind, predictions, values, "none" if "none" in values.values() else own)
    numbers = {name: stacked(predictions, name, np.float64) for name in ("level", "rmse", "contrast")}
    numbers["ssim_loss"] = 1 - stacked(predictions, "ssim", np.float64)  # 0 where clean, as the other doses
    doses = dict.fromkeys(("level", "rmse", "ssim_loss"), ("noise", CLEAN))
    return Variables(factors, numbers, sum(map(len, predictions.values())), doses)


def by_entry(name: str, predictions: Mapping[str, pa.Table], values: Mapping[str, str], reference: str) -> Factor:
    """A factor that has one value in all the rows of an entry, its categories in the order of the entries."""
    categories = list(dict.fromkeys(values[entry] for entry in predictions))
    codes = [categories.index(values[entry]) for entry in predictions]
    return make_factor(name, np.repeat(codes, list(map(len, predictions.values()))), categories, reference)


def factor(predictions: Mapping[str, pa.Table], name: str, column: str, reference: str) -> Factor:
    """A column of texts as a factor, its categories in code-point order but the reference first."""
    texts = pa.chunked_array([chunk for table in predictions.values()
                              for chunk in table[column].cast(pa.string()).chunks], pa.string())
    encoded = texts.combine_chunks().dictionary_encode()
    categories = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(categories)
    codes = np.argsort(order)[encoded.indices.to_numpy()]
    return make_factor(name, codes, list(categories[order]), reference)


def clusters_of(predictions: Mapping[str, pa.Table], readers: Mapping[str, Any], wanted: str) -> Clusters:
    """The clusters of the rows: one captcha (or glyph) is one cluster over all readers and conditions.

    Where glyphs are unknown, as in a captcha folder, captcha+glyph is captcha alone, and a line says so.
    """
    names = cluster_ways(wanted)
    if {"captcha", "glyph"} <= set(names) and stacked(predictions, "glyph", np.int64).min() < 0:
        progress(f"regression.cluster {wanted}: the glyphs are unknown, so rows are clustered by captcha without glyph")
        names.remove("glyph")
    runs = None
    if len(names) > 1 and names[-1] == "run":
        names.pop()
        runs = TrainingRuns(labels(predictions, readers, "run"), labels(predictions, readers, "reader"))
    return Clusters(tuple(names), tuple(labels(predictions, readers, name) for name in names), runs)


def labels(predictions: Mapping[str, pa.Table], readers: Mapping[str, Any], name: str) -> NDArray[np.int64]:
    """The labels (N,) of one dimension of clustering; texts are numbered in their order."""
    if name in ("reader", "run"):
        groups = runs_of(readers).values() if name == "reader" else [[entry] for entry in readers]
        label = {entry: index for index, entries in enumerate(groups) for entry in entries}
        return np.concatenate([np.full(len(table), label[entry]) for entry, table in predictions.items()])
    if name in ("captcha", "glyph", "condition"):
        found = stacked(predictions, name, np.int64)
        if found.min() < 0:
            raise ValueError(f"regression.cluster: the {name} of some rows is unknown, as it is in a captcha folder: "
                             "set it to captcha")
        return found
    texts = np.concatenate([table[{"digit": "truth"}.get(name, name)].to_numpy(zero_copy_only=False)
                            for table in predictions.values()]).astype(str)
    return np.unique(texts, return_inverse=True)[1].astype(np.int64)


def stacked(predictions: Mapping[str, pa.Table], column: str, kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([table[column].to_numpy() for table in predictions.values()]).astype(kind)


def formulas(chosen: Any, variables: Variables) -> dict[str, list[Any]]:
    """The terms of every specification and check."""
    return {name: parse_formula(formula, variables.names, {"dose": chosen.dose}, f"regression.{section}.{name}")
            for section in ("specifications", "checks") for name, formula in getattr(chosen, section).items()}


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


def rows_of_reader(sample: Sample, name: str) -> NDArray[np.int64]:
    readers = sample.variables.factors["reader"]
    return np.flatnonzero(readers.codes == readers.categories.index(name))


def without_readers(terms: Sequence[Any]) -> list[Any]:
    """The terms that a regression of one reader has."""
    return [term for term in terms if all(part.variable not in ("reader", *KINDS) for part in term)]


def stream(seed: int, *what: str) -> np.random.Generator:
    """A random stream of what it is for."""
    return np.random.default_rng([seed, *"/".join(what).encode()])


def look(headline: Regression, sample: Sample, clusters: Clusters, chosen: Any) -> dict[str, list[tidy.Row]]:
    """The tables about the headline's regression."""
    ordered = sample.by(clusters.labels[0])
    blocks = ordered.blocks(headline.design)
    effects = tidy.marginal_effects("linear", average_effects(
        headline.design, ordered.variables, headline.fit, link="identity", confidence=chosen.confidence))
    try:
        logit = fit_logit(blocks, headline.design.names)
        if len(clusters.labels) == 2:
            logit = clustered_too(logit, *(sample.by(found).blocks(headline.design) for found in (
                clusters.labels[1], intersection(*clusters.labels))))
        if clusters.runs is not None:
            progress("the standard errors of the logit do not hold the variance between training runs")
        effects += tidy.marginal_effects("logit", average_effects(
            headline.design, ordered.variables, logit, link="logit", confidence=chosen.confidence))
    except ValueError as error:
        progress(f"{error}: no logit beside the linear probability model")
    return {"marginal_effects": effects,
            "categories": tidy.categories(without_categories(ordered, headline.design, headline.fit,
                                                             chosen.confidence)),
            "influence": tidy.influence(headline, str), "correlations": tidy.correlations(headline),
            "added_variables": tidy.added_variables(headline, added_variables(blocks, headline.fit))}


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
                          part=params.captcha.part, rng=stream(params.seed, "randomisation", "colour"))
    return None if found is None else {"factor": "colour", **asdict(found)}


def estimates_by_run(predictions: Mapping[str, pa.Table], params: Any, terms: Mapping[str, list[Any]]) -> PerRun:
    """Per-run estimates of this study where readers have several runs, else of experiments/runs.json where that study
    is alike."""
    chosen, groups = params.regression, runs_of(params.readers)
    formula = {**chosen.specifications, **chosen.checks}
    if any(len(runs) > 1 for runs in groups.values()):
        return PerRun(per_run.joined([*runs_apart(predictions, params, terms)]), formula, chosen.dose,
                      asdict(chosen.references))
    if not RUNS.is_file():
        progress(f"{RUNS} is not there: no standard deviation between training runs")
        return per_run.NONE
    found, parameters = per_run.from_json(artifacts.read_json(RUNS), str(RUNS))
    if per_run.compared(params, groups) != parameters:
        progress(f"{RUNS} is of other glyphs, captchas, colours, noises or readers: no standard deviation between "
                 "training runs (python -m experiments.runs measures it)")
        return per_run.NONE
    return found.known(formula, chosen.dose, asdict(chosen.references))


def runs_apart(predictions: Mapping[str, pa.Table], params: Any,
               terms: Mapping[str, list[Any]]) -> Iterator[dict[per_run.Key, float]]:
    """For each r the estimates of the r-th run of each reader that has several, and, where all have, of these together:
    as many as the fewest runs of a reader."""
    groups, chosen = runs_of(params.readers), params.regression
    several = {name: runs for name, runs in groups.items() if len(runs) > 1}
    for r in range(min(map(len, several.values()))):
        found: dict[per_run.Key, float] = {}
        if len(several) == len(groups):
            sample = sample_of({runs[r]: predictions[runs[r]] for runs in groups.values()}, params)
            for name in terms:
                found |= per_run.coefficients_of(name, POOLED, terms[name], sample)
        for reader, runs in several.items():
            own = {runs[r]: predictions[runs[r]]}
            sample = sample_of(own, params)
            found |= per_run.coefficients_of(chosen.by_reader, reader, without_readers(terms[chosen.by_reader]), sample)
            found |= per_run.accuracies_of(reader, artifacts.read_predictions(runs[r], list(per_run.READ)))
            found |= thresholds_of(reader, whole_captchas(own, sample.variables), chosen)
        yield found


def thresholds_of(reader: str, whole: Cells, chosen: Any) -> dict[per_run.Key, float]:
    """The thresholds of one run of a reader."""
    found = {}
    for noise in dict.fromkeys(noise for _, noise, _ in whole.keys if noise != CLEAN):
        cells, levels = whole.of(reader, noise)
        for share in chosen.thresholds:
            level = level_at(whole.mean[cells][None], levels, share)[0]
            found[per_run.threshold(reader, noise, share)] = float(level) if level > 0 else np.nan  # 0 is a bound
    return found


def guess_of_characters(predictions: Mapping[str, pa.Table]) -> float:
    """What blind guessing gets of the characters: one over those that are shown or were ever guessed."""
    seen = {character for table in predictions.values() for column in ("truth", "guess")
            for character in pc.unique(table[column]).to_pylist()}
    return 1 / len(seen - {""})


def whole_captchas(predictions: Mapping[str, pa.Table], variables: Variables) -> Cells:
    """The share of captchas read whole in every cell of the design."""
    first = np.flatnonzero(stacked(predictions, "position", np.int64) == 0)  # a row a rendering
    exact = np.concatenate([pc.equal(table["text"], table["reading"]).to_numpy(zero_copy_only=False)
                            for table in predictions.values()])
    captcha = stacked(predictions, "captcha", np.int64)
    return cells_of(exact[first], variables.take(first), captcha[first], captcha[first],
                    glyphs_of(predictions, captcha)[first])


def characters(predictions: Mapping[str, pa.Table], variables: Variables) -> Cells:
    """The share of characters read right in every cell of the design."""
    captcha, position = (stacked(predictions, name, np.int64) for name in ("captcha", "position"))
    return cells_of(stacked(predictions, "success", np.uint8), variables, captcha * (position.max() + 1) + position,
                    captcha, stacked(predictions, "glyph", np.int64))


def glyphs_of(predictions: Mapping[str, pa.Table], captcha: NDArray[np.int64]) -> NDArray[np.int64]:
    """The glyphs (N, T) of each row's whole captcha, -1 where unknown or absent."""
    position, glyph = (stacked(predictions, name, np.int64) for name in ("position", "glyph"))
    index = np.unique(captcha, return_inverse=True)[1]
    texts = np.full((index.max() + 1, position.max() + 1), -1)
    texts[index, position] = glyph
    return np.asarray(texts[index])


def cells_of(success: NDArray[Any], variables: Variables, unit: NDArray[Any], captcha: NDArray[Any],
             glyphs: NDArray[Any]) -> Cells:
    reader, noise = (variables.factors[name] for name in ("reader", "noise"))
    return cell_means(success, reader.codes, noise.codes, variables.numbers["level"], unit=unit, captcha=captcha,
                      glyphs=glyphs, names=(reader.categories, noise.categories))


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
    return {name: () if reader.learns_from == "clean" and reader.denoise != "learned" else learned
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
        artifacts.write_text(FOLDER / f"{name}.csv", as_csv(rows))
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


def as_csv(rows: Sequence[tidy.Row]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: artifacts.rounded(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def metrics(regressions: Sequence[Regression], costs: Sequence[tidy.Row], chosen: Any) -> dict[str, Any]:
    """What a pull request compares: how well the headline's regression explains, and what noise costs the reference's
    reader."""
    headline = next(one.fit for one in regressions if one.specification == chosen.headline)
    found: dict[str, Any] = {"adjusted_r2": headline.adjusted_r2, "observations": headline.observations}
    if headline.leave_out is not None:
        found["predicted_r2"] = headline.leave_out.predicted_r2
    return found | {f"cost_{row['noise']}": row["cost"] for row in costs if row["reader"] == chosen.references.reader}


if __name__ == "__main__":
    run(main)
