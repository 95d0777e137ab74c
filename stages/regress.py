"""Explain success by noise, level, colour and digit: least squares in clusters, leave-one-outs and thresholds.

Reads   data/predictions/<name>.parquet of every reader, experiments/runs.json
Writes  data/regression/fits.json, metrics/regress.json, and in plots/regress/ table.md, table.tex, table.json,
        coefficients.csv, tests.csv, costs.csv, contrasts.csv, categories.csv, influence.csv, correlations.csv,
        added_variables.csv, marginal_effects.csv, thresholds.csv, areas.csv, dose_response.csv and corruption.csv
Params  seed, glyphs, captcha, colour, noise, reader_defaults, readers, regression
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
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
    CorruptionErrors,
    Costs,
    DoseResponses,
    Fits,
    FormulaVariables,
    MarginalEffects,
    Publication,
    RandomisationTest,
    Thresholds,
)
from stages.schemas.table import Cell, Row
from stages.schemas.words import CLEAN, POOLED
from stages.statistics import runs as per_run
from stages.statistics.accuracy_curves import area_rows, response_rows, threshold_rows
from stages.statistics.comparisons import comparison_tables
from stages.statistics.corruption import Corruption, corruption_rows, corruptions, noise_groups
from stages.statistics.fit_summary import distribution, fit_summaries, remarks_on
from stages.statistics.formulas import Term, terms_of
from stages.statistics.joint import joint_dose_responses
from stages.statistics.observations import (
    OBSERVATION_COLUMNS,
    check_same_characters,
    clusters_of,
    guess_of_characters,
    readers_without_own,
    rows_of_reader,
    sample_of,
    stacked,
    without_readers,
)
from stages.statistics.publication_format import to_latex, to_markdown
from stages.statistics.publication_table import publication
from stages.statistics.randomisation import randomisation
from stages.statistics.regression import Clusters, Regression, estimate
from stages.statistics.runs import PerRun, runs_apart
from stages.statistics.sample import Sample
from stages.statistics.shares import character_cells, whole_captchas
from stages.statistics.tidy import (
    Rows,
    coefficient_tables,
    headline_diagnostics,
    linear_effects,
    logit_effects,
)

FOLDER = artifacts.PLOTS / "regress"
RUNS_FILE = Path("experiments/runs.json")  # estimates by training run, of experiments/runs.py


@dataclass(frozen=True)
class RegressionStudy:
    """The rows that the regressions explain, and the parameters that say how."""

    params: Params
    predictions: Mapping[str, pa.Table]  # by entry of `readers`
    groups: Mapping[str, Sequence[str]]  # entries that are training runs of a reader, by reader
    sample: Sample
    clusters: Clusters
    terms: Mapping[str, list[Term]]  # of each formula
    skipped: Mapping[str, str]  # why a reader has no regression of its own

    def rng(self, *purpose: str) -> np.random.Generator:
        """A random stream for one purpose."""
        return np.random.default_rng([self.params.seed, *"/".join(purpose).encode()])


def main() -> None:
    study = read_study()
    with threadpool_limits(1):  # X is narrow: more BLAS threads take three times the CPU time
        regressions = list(fits(study))
        report_fits(study, regressions)
        between = estimates_by_run(study)
        tables = coefficient_tables(regressions, study.params.regression.confidence, between)
        tables |= headline_tables(study, regressions)
        tables |= cost_and_contrast_tables(study, regressions, between)
        tables |= dose_tables(study, regressions, between)
        randomised = randomisation_of_colour(study)
    write_tables(tables)
    write_publication(publication_of(study, regressions, between))
    record = fits_record(study, regressions, tables[Coefficients], randomised)
    artifacts.write_record(artifacts.REGRESSION / "fits.json", record)
    compared = metrics(study, regressions, tables[Costs])
    artifacts.write_metrics(artifacts.METRICS / "regress.json", compared)


def read_study() -> RegressionStudy:
    params = read(
        "seed", "glyphs", "captcha", "colour", "noise", "reader_defaults", "readers", "regression"
    )
    if POOLED in params.readers:
        raise ValueError(
            f"readers.{POOLED}: this name stands for all readers together: choose another"
        )
    report_unlisted_readers(tuple(params.readers))
    groups = runs_of(params.readers)
    predictions = read_all(tuple(params.readers))
    clusters = clusters_of(predictions, groups, cluster_ways(params.regression.cluster))
    report_unknown_glyphs(clusters, params.regression.cluster)
    sample = sample_of(predictions, groups, params.readers, params.regression.references)
    terms = terms_of(params.regression, sample.variables.names)
    skipped = readers_without_own(sample, clusters)
    return RegressionStudy(params, predictions, groups, sample, clusters, terms, skipped)


def report_unlisted_readers(names: Sequence[str]) -> None:
    for path in sorted(artifacts.PREDICTIONS.glob("*.parquet")):
        if path.stem not in names:
            progress(f"{path} is of no reader in params.yaml: ignored")


def read_all(names: Sequence[str]) -> dict[str, pa.Table]:
    """The prediction table of each reader. Raises ValueError where they are not of the same test characters."""
    predictions = {name: artifacts.read_predictions(name, OBSERVATION_COLUMNS) for name in names}
    check_same_characters(predictions, artifacts.PREDICTIONS)
    return predictions


def report_unknown_glyphs(clusters: Clusters, asked: str) -> None:
    if "glyph" in cluster_ways(asked) and "glyph" not in clusters.names:
        progress(
            f"regression.cluster {asked}: the glyphs are unknown, so rows are clustered by captcha without glyph"
        )


def estimates_by_run(study: RegressionStudy) -> PerRun:
    """Estimates by training run: of this study where readers have several runs, else of experiments/runs.json where
    that study has the same parameters."""
    params = study.params
    chosen = params.regression
    formulas = {**chosen.specifications, **chosen.checks}
    references = asdict(chosen.references)
    if any(len(entries) > 1 for entries in study.groups.values()):
        runs = runs_apart(study.predictions, study.groups, params.readers, study.terms, chosen)
        return PerRun(per_run.join_runs(list(runs)), formulas, chosen.dose, references)
    if not RUNS_FILE.is_file():
        progress(f"{RUNS_FILE} is not there: no standard deviation between training runs")
        return per_run.NONE
    found, parameters = per_run.from_json(artifacts.read_json(RUNS_FILE), str(RUNS_FILE))
    if per_run.compared(params, study.groups) != parameters:
        progress(
            f"{RUNS_FILE} is of other glyphs, captchas, colours, noises or readers: no standard deviation between "
            "training runs (python -m experiments.runs measures it)"
        )
        return per_run.NONE
    return found.known(formulas, chosen.dose, references)


def fits(study: RegressionStudy) -> Iterator[Regression]:
    """Every specification on all readers, `by_reader` on each reader alone, and the checks on all readers."""
    chosen = study.params.regression
    for specification in chosen.specifications:
        yield fit_all(study, specification)
    for reader in study.groups:
        if reader not in study.skipped:
            yield fit_reader(study, reader)
    for specification in chosen.checks:
        yield fit_all(study, specification)


def fit_all(study: RegressionStudy, specification: str) -> Regression:
    """A specification on all readers; other libraries confirm the headline."""
    return estimate(
        specification,
        POOLED,
        study.terms[specification],
        study.sample,
        study.clusters,
        confirm=specification == study.params.regression.headline,
        rng=study.rng(specification, POOLED),
    )


def fit_reader(study: RegressionStudy, reader: str) -> Regression:
    """The specification `by_reader` on the rows of one reader."""
    specification = study.params.regression.by_reader
    rows = rows_of_reader(study.sample, reader)
    return estimate(
        specification,
        reader,
        without_readers(study.terms[specification]),
        study.sample.take(rows),
        study.clusters.take(rows),
        confirm=False,
        rng=study.rng(specification, reader),
    )


def report_fits(study: RegressionStudy, regressions: Sequence[Regression]) -> None:
    """One line for everything that is not in the tables, and for each regression."""
    for name, reason in study.skipped.items():
        progress(f"reader {name} {reason}: no regression of its own")
    for remark, where in remarks_on(regressions).items():
        progress(f"{remark} {'; '.join(dict.fromkeys(where))}")
    for one in regressions:
        clusters = " × ".join(map(str, one.fit.cluster_counts))
        progress(
            f"{one.specification}, {one.reader}: {one.fit.observations} rows, {clusters} clusters, "
            f"R² {one.fit.r2:.4f}"
        )


def headline_of(study: RegressionStudy, regressions: Sequence[Regression]) -> Regression:
    headline = study.params.regression.headline
    return next(one for one in regressions if one.specification == headline)


def headline_tables(study: RegressionStudy, regressions: Sequence[Regression]) -> Rows:
    """The tables about the headline's regression."""
    confidence = study.params.regression.confidence
    clusters = study.clusters
    headline = headline_of(study, regressions)
    ordered = study.sample.by(clusters.labels[0])
    effects = linear_effects(headline, ordered.variables, confidence)
    try:
        effects += logit_effects(headline, study.sample, clusters.labels, confidence)
        if clusters.runs is not None:
            progress("the logit's standard errors do not hold the variance between training runs")
    except ValueError as error:
        progress(f"{error}: no logit beside the linear probability model")
    return {MarginalEffects: effects, **headline_diagnostics(headline, ordered, confidence)}


def cost_and_contrast_tables(
    study: RegressionStudy, regressions: Sequence[Regression], between: PerRun
) -> Rows:
    """Costs of the noise types and contrasts of all categories, by the specification `by_reader`."""
    chosen = study.params.regression
    own = [one for one in regressions if one.specification == chosen.by_reader]
    tables = comparison_tables(own, study.sample, between, chosen.confidence, rng_of=study.rng)
    if not tables[Costs]:
        progress(
            f"regression.by_reader: {chosen.by_reader} has no term noise: no costs of noise types"
        )
    return tables


def dose_tables(study: RegressionStudy, regressions: Sequence[Regression], between: PerRun) -> Rows:
    """What noise does at each level: thresholds, areas, observed means and corruption errors.

    Intervals of thresholds and areas are clustered by captcha and glyph, whatever the regressions cluster by.
    """
    chosen = study.params.regression
    whole = whole_captchas(study.predictions, study.sample.variables)
    curves = joint_dose_responses(
        whole,
        targets=chosen.thresholds,
        confidence=chosen.confidence,
        draws=chosen.draws,
        rng=study.rng("thresholds"),
    )
    own = {one.reader: one for one in regressions if one.reader != POOLED}
    return {
        Thresholds: threshold_rows(curves, lambda *key: between.cells(per_run.threshold(*key))),
        Areas: area_rows(curves),
        CorruptionErrors: corruption_rows(corruption_errors(study), seen_by(study.params)),
        DoseResponses: response_rows(study.sample, own, whole, chosen.dose),
    }


def corruption_errors(study: RegressionStudy) -> list[Corruption]:
    """Corruption errors of every reader: each noise type, all, and those that training had and had not."""
    chosen = study.params.regression
    cells = character_cells(study.predictions, study.sample.variables)
    types = list(dict.fromkeys(noise for _, noise, _ in cells.keys if noise != CLEAN))
    return corruptions(
        cells,
        noise_groups(types, unseen_noises(study.params.noise)),
        chosen.references.reader,
        confidence=chosen.confidence,
        draws=chosen.draws,
        rng=study.rng("corruption"),
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


def randomisation_of_colour(study: RegressionStudy) -> RandomisationTest | None:
    """The randomisation test of colour; None where there is one colour."""
    colour = FormulaVariables.colour
    found = randomisation(
        study.sample.success,
        study.sample.cluster,
        stacked(study.predictions, Predictions.condition, np.int64),
        study.sample.variables.factors[colour].codes.astype(np.int64),
        part=study.params.captcha.captchas_per_part,
        rng=study.rng("randomisation", "colour"),
    )
    if found is None:
        return None
    return RandomisationTest(colour, found.statistic, found.draws, found.p)


def write_tables(tables: Rows) -> None:
    for name, kind in TABLES.items():
        artifacts.write_table(FOLDER / f"{name}.csv", kind, tables[kind])


def publication_of(
    study: RegressionStudy, regressions: Sequence[Regression], between: PerRun
) -> Publication:
    chosen = study.params.regression
    shown = [one for one in regressions if one.specification in chosen.specifications]
    checks = [one for one in regressions if one.specification in chosen.checks]
    guess_rate = guess_of_characters(study.predictions)
    return publication(shown, checks, study.clusters, chosen.confidence, guess_rate, between)


def write_publication(table: Publication) -> None:
    artifacts.write_text(FOLDER / "table.md", to_markdown(table))
    artifacts.write_text(FOLDER / "table.tex", to_latex(table))
    artifacts.write_record(FOLDER / "table.json", table)


def fits_record(
    study: RegressionStudy,
    regressions: Sequence[Regression],
    coefficients: Sequence[Row],
    randomised: RandomisationTest | None,
) -> Fits:
    """How the regressions were estimated, and each of them in full."""
    chosen = study.params.regression
    clusters = study.clusters
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
        runs=study.groups,
        guess_rate=guess_of_characters(study.predictions),
        randomisation=randomised,
        fits=fit_summaries(regressions, coefficients),
        skipped_readers=dict(study.skipped),
    )


def metrics(study: RegressionStudy, regressions: Sequence[Regression], costs: Sequence[Row]) -> Row:
    """What a pull request compares: how well the headline's regression explains, and what each noise type costs the
    reference reader."""
    headline = headline_of(study, regressions)
    found: dict[str, Cell] = {
        "adjusted_r2": headline.fit.adjusted_r2,
        "observations": headline.fit.observations,
        "predicted_r2": headline.leave_out.predicted_r2,
    }
    reader = study.params.regression.references.reader
    of_reader = [row for row in costs if row[Costs.reader] == reader]
    own = {f"cost_{row[Costs.noise]}": row[Costs.cost] for row in of_reader}
    if costs and not own:
        progress(
            f"regression.references.reader: {reader} has no regression of its own: no metrics cost_*"
        )
    return found | own


if __name__ == "__main__":
    run(main)
