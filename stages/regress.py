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

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stages import artifacts
from stages.command import progress, run
from stages.params import Params, cluster_ways, read, runs_of, unseen_noises
from stages.schemas.predict import Predictions
from stages.schemas.regress import (
    TABLES,
    Areas,
    Coefficients,
    Contrasts,
    CorruptionErrors,
    Costs,
    DoseResponses,
    Fits,
    FormulaVariables,
    JointTests,
    MarginalEffects,
    Publication,
    RandomisationTest,
    Thresholds,
)
from stages.schemas.table import Table
from stages.schemas.words import CLEAN, POOLED
from stages.statistics import runs as per_run
from stages.statistics import tidy
from stages.statistics.accuracy_curves import response_rows
from stages.statistics.comparisons import contrast_rows, cost_rows, factor_effects
from stages.statistics.condition_cells import Cells
from stages.statistics.corruption import Corruption, corruptions
from stages.statistics.formulas import Term, terms_of
from stages.statistics.joint import joint_dose_responses
from stages.statistics.observations import (
    KEY,
    OBSERVATION_COLUMNS,
    clusters_of,
    guess_of_characters,
    readers_without_own,
    rows_of_reader,
    sample_of,
    stacked,
    without_readers,
)
from stages.statistics.publication_table import publication, to_latex, to_markdown
from stages.statistics.randomisation import randomisation
from stages.statistics.regression import Clusters, Regression, estimate
from stages.statistics.runs import PerRun, runs_apart
from stages.statistics.sample import Sample
from stages.statistics.shares import character_cells, whole_captchas
from stages.statistics.thresholds import DoseResponse

FOLDER = artifacts.PLOTS / "regress"
RUNS_FILE = Path("experiments/runs.json")  # estimates by training run, of experiments/runs.py

Rows = dict[type[Table], list[tidy.Row]]  # of the tables in plots/regress
Terms = Mapping[str, list[Term]]  # of each formula


def main() -> None:
    params = read(
        "seed", "glyphs", "captcha", "colour", "noise", "reader_defaults", "readers", "regression"
    )
    if POOLED in params.readers:
        raise ValueError(
            f"readers.{POOLED}: this name stands for all readers together: choose another"
        )
    name_strays(tuple(params.readers))
    groups = runs_of(params.readers)
    predictions = read_all(tuple(params.readers))
    clusters = clusters_of(predictions, groups, cluster_ways(params.regression.cluster))
    report_unknown_glyphs(clusters, params.regression.cluster)
    sample = sample_of(predictions, groups, params.readers, params.regression.references)
    skipped = readers_without_own(sample, clusters)
    terms = terms_of(params.regression, sample.variables.names)
    with threadpool_limits(
        1
    ):  # on X so narrow more threads of BLAS only wait, for three times the CPU time
        regressions = list(
            fits(terms, sample, clusters, params, [name for name in groups if name not in skipped])
        )
        report_fits(regressions, skipped)
        between = estimates_by_run(predictions, params, terms)
        tables = regression_tables(regressions, between, params)
        tables |= headline_tables(headline_of(regressions, params), sample, clusters, params)
        tables |= comparisons(regressions, sample, between, params)
        tables |= dose_tables(predictions, sample, regressions, between, params)
        randomised = randomisation_of_colour(sample, predictions, params)
    guess_rate = guess_of_characters(predictions)
    write_tables(tables)
    write_publication(publication_of(regressions, clusters, guess_rate, between, params))
    record = fits_record(
        regressions, tables[Coefficients], clusters, guess_rate, randomised, skipped, params
    )
    artifacts.write_record(artifacts.REGRESSION / "fits.json", record)
    artifacts.write_metrics(
        artifacts.METRICS / "regress.json", metrics(regressions, tables[Costs], params)
    )


def report_unknown_glyphs(clusters: Clusters, asked: str) -> None:
    if "glyph" in cluster_ways(asked) and "glyph" not in clusters.names:
        progress(
            f"regression.cluster {asked}: the glyphs are unknown, so rows are clustered by captcha without glyph"
        )


def distribution(clusters: Clusters) -> str:
    if clusters.runs is None:
        return "t with G-1 degrees of freedom"
    return "t with one degree of freedom less than the fewest training runs of a reader"


def headline_of(regressions: Sequence[Regression], params: Params) -> Regression:
    return next(one for one in regressions if one.specification == params.regression.headline)


def name_strays(names: Sequence[str]) -> None:
    for path in sorted(artifacts.PREDICTIONS.glob("*.parquet")):
        if path.stem not in names:
            progress(f"{path} is of no reader in params.yaml: ignored")


def read_all(names: Sequence[str]) -> dict[str, pa.Table]:
    """The prediction table of each reader. Raises ValueError where they are not of the same test characters."""
    predictions = {name: artifacts.read_predictions(name, OBSERVATION_COLUMNS) for name in names}
    first = predictions[names[0]]
    for name, table in predictions.items():
        path = artifacts.PREDICTIONS / f"{name}.parquet"
        empty = [column for column in OBSERVATION_COLUMNS if table[column].null_count]
        if empty:
            raise ValueError(
                f"{path}: {', '.join(empty)} should have a value in every row: run `dvc repro -f`"
            )
        if not len(table):
            raise ValueError(f"{path} has no rows: run `dvc repro -f`")
        if not table.select(KEY).equals(first.select(KEY)):
            raise ValueError(
                f"{path} is of other test characters than {names[0]}.parquet: run `dvc repro -f`"
            )
    return predictions


def fits(
    terms: Terms, sample: Sample, clusters: Clusters, params: Params, names: Sequence[str]
) -> Iterator[Regression]:
    """Every specification on all readers, the headline confirmed by other libraries, the one that is asked for on each
    reader alone, and the checks."""
    chosen = params.regression
    for name in chosen.specifications:
        yield estimate(
            name,
            POOLED,
            terms[name],
            sample,
            clusters,
            rng=regression_rng(params.seed, name, POOLED),
            confirm=name == chosen.headline,
        )
    for name in names:
        rows = rows_of_reader(sample, name)
        yield estimate(
            chosen.by_reader,
            name,
            without_readers(terms[chosen.by_reader]),
            sample.take(rows),
            clusters.take(rows),
            confirm=False,
            rng=regression_rng(params.seed, chosen.by_reader, name),
        )
    for name in chosen.checks:
        yield estimate(
            name,
            POOLED,
            terms[name],
            sample,
            clusters,
            rng=regression_rng(params.seed, name, POOLED),
            confirm=False,
        )


def regression_rng(seed: int, *what: str) -> np.random.Generator:
    """A random stream of what it is for."""
    return np.random.default_rng([seed, *"/".join(what).encode()])


def regression_tables(regressions: Sequence[Regression], between: PerRun, params: Params) -> Rows:
    """The coefficients and joint tests of every regression."""
    coefficients = [
        tidy.coefficients(one, params.regression.confidence, between) for one in regressions
    ]
    return {
        Coefficients: [row for rows in coefficients for row in rows],
        JointTests: [row for one in regressions for row in tidy.joint_test_rows(one)],
    }


def rows_of_fit(coefficients: Sequence[tidy.Row], one: Regression) -> list[tidy.Row]:
    """The coefficients of one regression among those of all."""
    return [
        row
        for row in coefficients
        if (row[Coefficients.specification], row[Coefficients.reader])
        == (one.specification, one.reader)
    ]


def headline_tables(
    headline: Regression, sample: Sample, clusters: Clusters, params: Params
) -> Rows:
    """The tables about the headline's regression."""
    confidence = params.regression.confidence
    ordered = sample.by(clusters.labels[0])
    effects = tidy.linear_effects(headline, ordered.variables, confidence)
    try:
        effects += tidy.logit_effects(headline, sample, clusters.labels, confidence)
        if clusters.runs is not None:
            progress(
                "the standard errors of the logit do not hold the variance between training runs"
            )
    except ValueError as error:
        progress(f"{error}: no logit beside the linear probability model")
    return {MarginalEffects: effects, **tidy.headline_diagnostics(headline, ordered, confidence)}


def comparisons(
    regressions: Sequence[Regression], sample: Sample, between: PerRun, params: Params
) -> Rows:
    """Costs of the noise types and contrasts of all categories, by the specification by_reader."""
    chosen = params.regression
    tables: Rows = {Costs: [], Contrasts: []}
    for one in regressions:
        if one.specification != chosen.by_reader:
            continue
        rows = sample if one.reader == POOLED else sample.take(rows_of_reader(sample, one.reader))
        for effects in factor_effects(one, rows.variables):
            given = one, effects, CLEAN, between, chosen.confidence
            tables[Contrasts] += contrast_rows(
                *given, rng=regression_rng(params.seed, "contrasts", one.reader, effects.variable)
            )
            if (
                effects.variable == FormulaVariables.noise
                and FormulaVariables.noise in one.design.terms
            ):
                tables[Costs] += cost_rows(
                    *given, rng=regression_rng(params.seed, "costs", one.reader)
                )
    if not tables[Costs]:
        progress(
            f"regression.by_reader: {chosen.by_reader} has no term noise: no costs of noise types"
        )
    return tables


def dose_tables(
    predictions: Mapping[str, pa.Table],
    sample: Sample,
    regressions: Sequence[Regression],
    between: PerRun,
    params: Params,
) -> Rows:
    """What noise does at each level: thresholds, areas, observed means and corruption errors."""
    whole = whole_captchas(predictions, sample.variables)
    curves = dose_responses(whole, params)
    shares = character_cells(predictions, sample.variables)
    lines = by_reader(regressions, params)
    return {
        Thresholds: tidy.threshold_rows(
            curves, lambda *key: between.cells(per_run.threshold(*key))
        ),
        Areas: tidy.areas(curves),
        CorruptionErrors: tidy.corruption_rows(corruption_errors(shares, params), seen_by(params)),
        DoseResponses: response_rows(sample, lines, whole, params.regression.dose),
    }


def randomisation_of_colour(
    sample: Sample, predictions: Mapping[str, pa.Table], params: Params
) -> RandomisationTest | None:
    """The randomisation test of colour; None where there is one colour."""
    found = randomisation(
        sample.success,
        sample.cluster,
        stacked(predictions, Predictions.condition, np.int64),
        sample.variables.factors[FormulaVariables.colour].codes.astype(np.int64),
        part=params.captcha.captchas_per_part,
        rng=regression_rng(params.seed, "randomisation", "colour"),
    )
    return (
        None
        if found is None
        else RandomisationTest("colour", found.statistic, found.draws, found.p)
    )


def estimates_by_run(predictions: Mapping[str, pa.Table], params: Params, terms: Terms) -> PerRun:
    """Per-run estimates of this study where readers have several runs, else of experiments/runs.json where that study
    is alike."""
    chosen = params.regression
    groups = runs_of(params.readers)
    formula = {**chosen.specifications, **chosen.checks}
    if any(len(entries) > 1 for entries in groups.values()):
        runs = list(runs_apart(predictions, groups, params.readers, terms, chosen))
        return PerRun(per_run.join_runs(runs), formula, chosen.dose, asdict(chosen.references))
    if not RUNS_FILE.is_file():
        progress(f"{RUNS_FILE} is not there: no standard deviation between training runs")
        return per_run.NONE
    found, parameters = per_run.from_json(artifacts.read_json(RUNS_FILE), str(RUNS_FILE))
    if per_run.compared(params, groups) != parameters:
        progress(
            f"{RUNS_FILE} is of other glyphs, captchas, colours, noises or readers: no standard deviation between "
            "training runs (python -m experiments.runs measures it)"
        )
        return per_run.NONE
    return found.known(formula, chosen.dose, asdict(chosen.references))


def dose_responses(whole: Cells, params: Params) -> dict[tuple[str, str], DoseResponse]:
    """Thresholds and areas of whole captchas of every reader and noise type, by captcha and glyph whatever the
    regression clusters by."""
    chosen = params.regression
    return joint_dose_responses(
        whole,
        targets=chosen.thresholds,
        confidence=chosen.confidence,
        draws=chosen.draws,
        rng=regression_rng(params.seed, "thresholds"),
    )


def corruption_errors(cells: Cells, params: Params) -> list[Corruption]:
    """Corruption errors of every reader: each noise type, all, and those that training had and had not."""
    types = tuple(dict.fromkeys(noise for _, noise, _ in cells.keys if noise != CLEAN))
    apart = set(unseen_noises(params.noise)) & set(types)
    groups = [*((noise,) for noise in types), types]
    groups += (
        [tuple(noise for noise in types if (noise in apart) is held) for held in (False, True)]
        if apart
        else []
    )
    chosen = params.regression
    return corruptions(
        cells,
        list(dict.fromkeys(groups)),
        chosen.references.reader,
        confidence=chosen.confidence,
        draws=chosen.draws,
        rng=regression_rng(params.seed, "corruption"),
    )


def seen_by(params: Params) -> dict[str, tuple[str, ...]]:
    """The noise types that each reader trained on; a denoiser that learned from noise counts."""
    learned = tuple(
        noise for noise in params.noise.types if noise not in unseen_noises(params.noise)
    )
    return {
        name: () if reader.train_on == "clean" and reader.denoise != "learned" else learned
        for name, reader in params.readers.items()
    }


def by_reader(regressions: Sequence[Regression], params: Params) -> dict[str, Regression]:
    """Each reader's own regression."""
    return {
        one.reader: one
        for one in regressions
        if one.specification == params.regression.by_reader and one.reader != POOLED
    }


def report_fits(regressions: Sequence[Regression], skipped: Mapping[str, str]) -> None:
    """A line for everything that is not in the tables, and for what was fitted."""
    for name, reason in skipped.items():
        progress(f"reader {name} {reason}: no regression of its own")
    for line, where in remarks_on(regressions).items():
        progress(f"{line} {'; '.join(dict.fromkeys(where))}")
    for one in regressions:
        fitted = one.fit
        progress(
            f"{one.specification}, {one.reader}: {fitted.observations} rows, "
            f"{' × '.join(map(str, fitted.cluster_counts))} clusters, R² {fitted.r2:.4f}"
        )


def remarks_on(regressions: Sequence[Regression]) -> dict[str, list[str]]:
    """Each remark once, with the regressions that it is about."""
    remarks: dict[str, list[str]] = {}
    for one in regressions:
        whose = f"{one.specification}, {one.reader}"
        for dropped in one.design.dropped:
            remarks.setdefault(f"{dropped.term} {dropped.reason}: dropped from", []).append(
                one.specification
            )
        if unmeasured := tidy.unmeasured(one):
            remarks.setdefault(
                f"all clusters agree exactly on {', '.join(unmeasured)}: no standard error in", []
            ).append(whose)
        for warning in one.warnings:
            remarks.setdefault(f"warning: {warning}: in", []).append(whose)
    return remarks


def publication_of(
    regressions: Sequence[Regression],
    clusters: Clusters,
    guess_rate: float,
    between: PerRun,
    params: Params,
) -> Publication:
    chosen = params.regression
    shown = [one for one in regressions if one.specification in chosen.specifications]
    checks = [one for one in regressions if one.specification in chosen.checks]
    return publication(shown, checks, clusters, chosen.confidence, guess_rate, between)


def fits_record(
    regressions: Sequence[Regression],
    coefficients: Sequence[tidy.Row],
    clusters: Clusters,
    guess_rate: float,
    randomised: RandomisationTest | None,
    skipped: Mapping[str, str],
    params: Params,
) -> Fits:
    """How the regressions were estimated, and each of them in full."""
    chosen = params.regression
    return Fits(
        estimator="ordinary least squares (linear probability model)",
        cluster=[*clusters.names, *(["run"] if clusters.runs is not None else [])],
        cluster_asked=cluster_ways(chosen.cluster),
        covariance="CV3, the cluster jackknife",
        small_sample_factor="(G-1)/G; of CV1 beside it G/(G-1) * (N-1)/(N-K)",
        distribution=distribution(clusters),
        confidence=chosen.confidence,
        dose=chosen.dose,
        headline=chosen.headline,
        by_reader=chosen.by_reader,
        checks=list(chosen.checks),
        formulas={**chosen.specifications, **chosen.checks},
        runs=runs_of(params.readers),
        guess_rate=guess_rate,
        randomisation=randomised,
        fits=[tidy.summary(one, rows_of_fit(coefficients, one)) for one in regressions],
        skipped_readers=dict(skipped),
    )


def write_tables(tables: Rows) -> None:
    for name, kind in TABLES.items():
        artifacts.write_table(FOLDER / f"{name}.csv", kind, tables[kind])


def write_publication(table: Publication) -> None:
    artifacts.write_text(FOLDER / "table.md", to_markdown(table))
    artifacts.write_text(FOLDER / "table.tex", to_latex(table))
    artifacts.write_record(FOLDER / "table.json", table)


def metrics(
    regressions: Sequence[Regression], costs: Sequence[tidy.Row], params: Params
) -> dict[str, tidy.CellValue]:
    """What a pull request compares: how well the headline's regression explains, and what noise costs the reference's
    reader."""
    headline = headline_of(regressions, params).fit
    found: dict[str, tidy.CellValue] = {
        "adjusted_r2": headline.adjusted_r2,
        "observations": headline.observations,
    }
    if headline.leave_out is not None:
        found["predicted_r2"] = headline.leave_out.predicted_r2
    reader = params.regression.references.reader
    own = {
        f"cost_{row[Costs.noise]}": row[Costs.cost] for row in costs if row[Costs.reader] == reader
    }
    if costs and not own:
        progress(
            f"regression.references.reader: {reader} has no regression of its own: no metrics cost_*"
        )
    return found | own


if __name__ == "__main__":
    run(main)
