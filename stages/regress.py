"""Explain success by noise, level, colour and digit: least squares in clusters, leave-one-outs and thresholds.

Reads   data/predictions/<name>.parquet of every reader
Writes  data/regression/fits.json, metrics/regress.json, and in plots/regress/ table.md, table.tex, table.json,
        coefficients.csv, tests.csv, categories.csv, influence.csv, correlations.csv, added_variables.csv,
        marginal_effects.csv, thresholds.csv, curves.csv, dose_response.csv and corruption.csv
Params  seed, noise, readers, regression
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stages import artifacts
from stages.command import progress, run
from stages.params import read, unseen
from stages.statistics import tidy
from stages.statistics.corruption import Corruption, Counts, corruptions
from stages.statistics.design import Factor, Variables, make_factor
from stages.statistics.diagnostics import added_variables, without_categories
from stages.statistics.doses import CLEAN, counts, dose_response
from stages.statistics.formulas import parse_formula
from stages.statistics.least_squares import least_squares, two_way
from stages.statistics.logit import average_effects, fit_logit
from stages.statistics.regression import Clusters, Regression, estimate
from stages.statistics.sample import Sample, intersection
from stages.statistics.tables import publication, to_latex, to_markdown
from stages.statistics.thresholds import Psychometric, psychometric

FOLDER = artifacts.PLOTS / "regress"
POOLED = "all"  # stands for the readers together where a reader's name would stand

KEY = ["captcha", "condition", "position", "truth"]
COLUMNS = [*KEY, "text", "guess", "success", "glyph", "noise", "level", "colour", "contrast", "rmse", "ssim"]


def main() -> None:
    params = read("seed", "noise", "readers", "regression")
    names, chosen = tuple(params.readers), params.regression
    if POOLED in names:
        raise ValueError(f"readers.{POOLED}: this name stands for all readers together: choose another")
    name_strays(names)
    predictions = read_all(names)
    clusters = clusters_of(predictions, params.readers, chosen.cluster)
    skipped = readers_without_own(predictions, clusters)
    variables = variables_of(predictions, params.readers, chosen.references)
    sample = Sample(variables, stacked(predictions, "success", np.uint8), stacked(predictions, "captcha", np.int64))
    terms = formulas(chosen, variables)
    with threadpool_limits(1):  # on X so narrow more threads of BLAS only wait, for three times the CPU time
        regressions = list(fits(terms, sample, clusters, params, [name for name in names if name not in skipped]))
        say(regressions, skipped)
        headline = next(one for one in regressions if one.specification == chosen.headline)
        looks = look(headline, sample, clusters, chosen)
        curves = dict(psychometrics(sample, guess_rates(predictions), chosen, params.seed))
        wider = errors_by_glyph_too(headline, sample, predictions, clusters)
        looks["corruption"] = tidy.corruption(robustness(sample, params), seen_by(params))
        looks["dose_response"] = dose_response(sample, by_reader(regressions, chosen, names), curves, chosen.dose)
    write(regressions, looks, curves, skipped, wider, clusters, chosen)


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


def readers_without_own(predictions: Mapping[str, pa.Table], clusters: Clusters) -> dict[str, str]:
    """The readers whose rows alone tell nothing, or not how sure it is, and why."""
    skipped, start = {}, 0
    for name, table in predictions.items():
        mean, end = pc.mean(table["success"]).as_py(), start + len(table)
        single = [way for way, found in zip(clusters.names, clusters.labels, strict=True)
                  if np.ptp(found[start:end]) == 0]
        if mean in (0, 1):
            skipped[name] = f"read {'every' if mean else 'no'} character right"
        elif single:
            skipped[name] = f"is one cluster by {single[0]}"
        start = end
    return skipped


def variables_of(predictions: Mapping[str, pa.Table], readers: Mapping[str, Any], references: Any) -> Variables:
    """What a formula may name. Raises ValueError on a reference that does not occur."""
    factors = {name: factor(predictions, name, column, getattr(references, name))
               for name, column in (("noise", "noise"), ("colour", "colour"), ("digit", "truth"))}
    positions = stacked(predictions, "position", np.int64)
    factors["position"] = make_factor("position", positions, [str(i + 1) for i in range(positions.max() + 1)],
                                      references.position)
    lengths = [len(table) for table in predictions.values()]
    factors["reader"] = make_factor("reader", np.repeat(np.arange(len(lengths)), lengths), list(predictions),
                                    references.reader)
    denoised = sorted({reader.denoise for reader in readers.values()})
    factors["denoise"] = make_factor("denoise", np.repeat([denoised.index(readers[name].denoise)
                                                           for name in predictions], lengths), denoised,
                                     "none" if "none" in denoised else denoised[0])
    numbers = {name: stacked(predictions, name, np.float64) for name in ("level", "rmse", "contrast")}
    numbers["ssim_loss"] = 1 - stacked(predictions, "ssim", np.float64)  # 0 where clean, as the other doses
    return Variables(factors, numbers, sum(lengths))


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
    """The clusters of the rows: one captcha (or glyph) is one cluster over all readers and conditions."""
    names = tuple(name.strip() for name in wanted.split("+"))
    return Clusters(names, tuple(labels(predictions, readers, name) for name in names))


def labels(predictions: Mapping[str, pa.Table], readers: Mapping[str, Any], name: str) -> NDArray[np.int64]:
    """The labels (N,) of one way of clustering; texts are numbered in their order."""
    if name in ("reader", "seed"):
        label = {reader: index if name == "reader" else readers[reader].seed
                 for index, reader in enumerate(predictions)}
        return np.concatenate([np.full(len(table), label[reader]) for reader, table in predictions.items()])
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
    """The terms of every specification."""
    return {name: parse_formula(formula, variables.names, {"dose": chosen.dose}, f"regression.specifications.{name}")
            for name, formula in chosen.specifications.items()}


def fits(terms: Mapping[str, list[Any]], sample: Sample, clusters: Clusters, params: Any,
         names: Sequence[str]) -> Iterator[Regression]:
    """Every specification on all readers, the headline confirmed by other libraries, and the one that is asked for on
    each reader alone."""
    for specification, found in terms.items():
        yield estimate(specification, POOLED, found, sample, clusters, rng=stream(params.seed, specification, POOLED),
                       confirm=specification == params.regression.headline)
    specification = params.regression.by_reader
    reader_codes = sample.variables.factors["reader"]
    alone = [term for term in terms[specification] if all(part.variable != "reader" for part in term)]
    for name in names:
        rows = np.flatnonzero(reader_codes.codes == reader_codes.categories.index(name))
        own = Sample(sample.variables.take(rows), sample.success[rows], sample.cluster[rows])
        yield estimate(specification, name, alone, own,
                       Clusters(clusters.names, tuple(found[rows] for found in clusters.labels)), confirm=False,
                       rng=stream(params.seed, specification, name))


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
        effects += tidy.marginal_effects("logit", average_effects(
            headline.design, ordered.variables, logit, link="logit", confidence=chosen.confidence))
    except ValueError as error:
        progress(f"{error}: no logit beside the linear probability model")
    return {"marginal_effects": effects,
            "categories": tidy.categories(without_categories(ordered, headline.design, headline.fit,
                                                             chosen.confidence)),
            "influence": tidy.influence(headline, str), "correlations": tidy.correlations(headline),
            "added_variables": tidy.added_variables(headline, added_variables(blocks, headline.fit))}


def errors_by_glyph_too(headline: Regression, sample: Sample, predictions: Mapping[str, pa.Table],
                        clusters: Clusters) -> dict[str, float]:
    """By term, how many times as large the headline's errors are if rows of one glyph err together, too.

    Empty where the clusters are not captchas alone, or glyphs are unknown.
    """
    glyph = stacked(predictions, "glyph", np.int64)
    if clusters.names != ("captcha",) or glyph.min() < 0 or np.ptp(glyph) == 0:
        return {}
    second, both = (least_squares(sample.by(found).blocks(headline.design), headline.design.names, leave_out=False,
                                  jackknife=True) for found in (glyph, intersection(clusters.labels[0], glyph)))
    wider = two_way(headline.fit, second, both).standard_error
    told = headline.fit.standard_error > 0
    ratio = np.divide(wider, headline.fit.standard_error, out=np.full(len(told), np.nan), where=told)
    return {term: float(np.nanmean(ratio[columns])) for term, columns in headline.design.terms.items()
            if told[columns].any()}


def guess_rates(predictions: Mapping[str, pa.Table]) -> dict[tuple[str, str], float]:
    """What blind guessing gets of a character, by reader and noise type.

    One over the characters that are shown or were ever guessed, times the share that the reader still answers at the
    strongest level: an omission is no guess.
    """
    seen = {character for table in predictions.values() for column in ("truth", "guess")
            for character in pc.unique(table[column]).to_pylist()}
    rates = {}
    for reader, table in predictions.items():
        rows = table.select(["noise", "level", "guess"]).to_pandas()
        for noise, own in rows.groupby(rows["noise"].astype(str)):
            answered = (own.loc[own["level"] == own["level"].max(), "guess"] != "").mean()
            rates[reader, str(noise)] = float(answered) / max(2, len(seen - {""}))
    return rates


def psychometrics(sample: Sample, guess: Mapping[tuple[str, str], float], chosen: Any,
                  seed: int) -> Iterator[tuple[tuple[str, str], Psychometric]]:
    """The curve of every reader and noise type; captchas are resampled, whatever the regression clusters by."""
    for reader in sample.variables.factors["reader"].categories:
        for noise in sample.variables.factors["noise"].categories:
            if noise != CLEAN:
                right, seen, levels = counts(sample, reader, noise)
                yield (reader, noise), psychometric(
                    right, seen, levels, guess=guess[reader, noise], targets=chosen.thresholds,
                    confidence=chosen.confidence, draws=chosen.draws, rng=stream(seed, "thresholds", reader, noise))


def robustness(sample: Sample, params: Any) -> list[Corruption]:
    """Corruption errors of every reader: each noise type, all, and those that training had and had not."""
    readers, noises = (sample.variables.factors[name].categories for name in ("reader", "noise"))
    types = tuple(noise for noise in noises if noise != CLEAN)
    found = {(reader, noise): Counts(*counts(sample, reader, noise)[:2]) for reader in readers for noise in types}
    apart = set(unseen(params.noise)) & set(types)
    groups = [*((noise,) for noise in types), types]
    groups += [tuple(noise for noise in types if (noise in apart) is held) for held in (False, True)] if apart else []
    chosen = params.regression
    return corruptions(found, list(dict.fromkeys(groups)), chosen.references.reader, confidence=chosen.confidence,
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
          curves: Mapping[tuple[str, str], Psychometric], skipped: Mapping[str, str], wider: Mapping[str, float],
          clusters: Clusters, chosen: Any) -> None:
    tables = {"coefficients": [row for one in regressions for row in tidy.coefficients(one, chosen.confidence, str)],
              "tests": [row for one in regressions for row in tidy.tests(one)],
              "thresholds": tidy.thresholds(curves), "curves": tidy.curves(curves), **looks}
    for name, rows in tables.items():
        artifacts.write_text(FOLDER / f"{name}.csv", as_csv(rows))
    table = publication(regressions, clusters, chosen.confidence)
    for suffix, text in (("md", to_markdown(table)), ("tex", to_latex(table))):
        artifacts.write_text(FOLDER / f"table.{suffix}", text)
    artifacts.write_json(FOLDER / "table.json", asdict(table))
    artifacts.write_json(artifacts.REGRESSION / "fits.json", {
        "estimator": "ordinary least squares (linear probability model)",
        "cluster": list(clusters.names), "covariance": "CV3, the cluster jackknife",
        "small_sample_factor": "(G-1)/G; of CV1 beside it G/(G-1) * (N-1)/(N-K)",
        "distribution": "t with G-1 degrees of freedom",
        "confidence": chosen.confidence, "dose": chosen.dose, "headline": chosen.headline,
        "by_reader": chosen.by_reader, "formulas": dict(chosen.specifications),
        "fits": [artifacts.rounded({**tidy.summary(one, str), "coefficients": tidy.coefficients(
            one, chosen.confidence, str)}) for one in regressions],
        "errors_by_glyph_too": artifacts.rounded(wider), "skipped_readers": dict(skipped)})
    artifacts.write_metrics(artifacts.METRICS / "regress.json", metrics(regressions, curves, chosen))


def as_csv(rows: Sequence[tidy.Row]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: artifacts.rounded(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def metrics(regressions: Sequence[Regression], curves: Mapping[tuple[str, str], Psychometric],
            chosen: Any) -> dict[str, float]:
    """What a pull request compares. Raises ValueError where the readers' names make two metrics of one name."""
    pairs = [*about_fits(regressions, chosen), *about_thresholds(curves, chosen.references.reader)]
    if len(dict(pairs)) < len(pairs):
        raise ValueError("two metrics have one name, since a reader is called as another with _se: rename it")
    return dict(pairs)


def about_fits(regressions: Sequence[Regression], chosen: Any) -> Iterator[tuple[str, float]]:
    headline, slopes = (next(one for one in regressions if (one.specification, one.reader) == (wanted, POOLED))
                        for wanted in (chosen.headline, chosen.by_reader))
    left = headline.fit.leave_out
    yield "adjusted_r2", headline.fit.adjusted_r2
    if left is not None:
        yield "predicted_r2", left.predicted_r2
        yield "out_of_cluster_r2", left.out_of_cluster_r2
    yield "observations", headline.fit.observations
    yield "clusters", headline.fit.clusters
    for regression, term, prefix in ((headline, chosen.dose, chosen.dose), (headline, "colour", "colour_"),
                                     (headline, "reader", "reader_"), (slopes, f"{chosen.dose}:noise", "slope_")):
        for category, estimated, error in tidy.measured(regression, term):
            yield prefix + category, estimated
            yield f"{prefix}{category}_se", error


def about_thresholds(curves: Mapping[tuple[str, str], Psychometric], reader: str) -> Iterator[tuple[str, float]]:
    """Of the reference's reader; one that is not reached has no number: left out."""
    for (whose, noise), curve in curves.items():
        for threshold in curve.thresholds if whose == reader else ():
            if np.isfinite(threshold.level):
                yield f"threshold_{100 * threshold.accuracy:g}_{noise}", threshold.level


if __name__ == "__main__":
    run(main)
