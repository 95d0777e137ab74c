"""Explain success by noise, level, colour and digit: least squares with errors clustered by captcha.

Reads   data/predictions/<name>.parquet of every reader
Writes  data/regression/fits.json, metrics/regress.json,
        plots/regress/coefficients.csv, table.md, table.tex, table.html
Params  readers, regression
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stages import artifacts
from stages.command import progress, run
from stages.params import read
from stages.statistics.design import Design, Factor, build_design, make_factor
from stages.statistics.ols import clustered_ols
from stages.statistics.tables import Regression, publication, tidy, to_html, to_latex, to_markdown

POOLED = "all"  # stands for the readers together where a reader's name would stand

SPECIFICATIONS = {
    "main": ("noise", "level", "colour", "digit"),
    "full": ("noise", "level", "colour", "digit", "position", "reader"),
    "slopes": ("level:noise", "colour", "digit", "position", "reader"),
}
BY_READER = "slopes"  # also fitted for each reader alone

KEY = ["captcha", "condition", "position", "truth"]
COLUMNS = [*KEY, "success", "glyph", "noise", "level", "colour"]


def main() -> None:
    params = read("readers", "regression")
    names, chosen = tuple(params.readers), params.regression
    if POOLED in names:
        raise ValueError(f"readers.{POOLED}: this name stands for all readers together: choose another")
    name_strays(names)
    predictions = read_all(names)
    skipped = constant_readers(predictions)
    with threadpool_limits(1):  # on X so narrow more threads of BLAS only wait, for three times the CPU time
        regressions = [fit(specification, POOLED, predictions, chosen) for specification in SPECIFICATIONS]
        regressions += [fit(BY_READER, name, {name: predictions[name]}, chosen) for name in names
                        if name not in skipped]
    say(regressions, skipped)
    write(regressions, skipped, chosen)


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


def constant_readers(predictions: Mapping[str, pa.Table]) -> dict[str, str]:
    """The readers that have nothing to explain, and why."""
    always = {name: pc.mean(table["success"]).as_py() for name, table in predictions.items()}
    return {name: f"read {'every' if mean else 'no'} character right" for name, mean in always.items()
            if mean in (0, 1)}


def fit(specification: str, reader: str, predictions: Mapping[str, pa.Table], chosen: Any) -> Regression:
    """One regression on the rows of `predictions`, stacked."""
    terms = [term for term in SPECIFICATIONS[specification] if term != "reader" or reader == POOLED]
    design = code(terms, predictions, chosen)
    try:
        fitted = clustered_ols(design.X, stacked(predictions, "success", np.float64),
                               clusters(predictions, chosen.cluster), design.names)
    except ValueError as error:
        raise ValueError(f"regression {specification}, {reader}: {error}") from None
    return Regression(specification, reader, design.columns, design.references, design.dropped, fitted)


def code(terms: Sequence[str], predictions: Mapping[str, pa.Table], chosen: Any) -> Design:
    """The terms as columns of X. Raises ValueError on a reference that does not occur."""
    references = chosen.references
    factors = {name: factor(predictions, name, column, getattr(references, name))
               for name, column in (("noise", "noise"), ("colour", "colour"), ("digit", "truth"))}
    positions = stacked(predictions, "position", np.int64)
    factors["position"] = make_factor("position", positions, [str(i + 1) for i in range(positions.max() + 1)],
                                      references.position)
    lengths = [len(table) for table in predictions.values()]
    factors["reader"] = make_factor("reader", np.repeat(np.arange(len(lengths)), lengths), list(predictions),
                                    references.reader)
    return build_design(terms, factors, {"level": stacked(predictions, "level", np.float64)})


def factor(predictions: Mapping[str, pa.Table], name: str, column: str, reference: str) -> Factor:
    """A column of texts as a factor, its categories in code-point order but the reference first."""
    texts = pa.chunked_array([chunk for table in predictions.values()
                              for chunk in table[column].cast(pa.string()).chunks], pa.string())
    encoded = texts.combine_chunks().dictionary_encode()
    categories = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(categories)
    codes = np.argsort(order)[encoded.indices.to_numpy()]
    return make_factor(name, codes, list(categories[order]), reference)


def clusters(predictions: Mapping[str, pa.Table], column: str) -> NDArray[np.int64]:
    """The labels of the clusters, (N,): one captcha (or glyph) is one cluster over all readers and conditions."""
    labels = stacked(predictions, column, np.int64)
    if labels.min() < 0:
        raise ValueError(f"regression.cluster: the {column} of some rows is unknown, as it is in a captcha folder: "
                         "set it to captcha")
    return labels


def stacked(predictions: Mapping[str, pa.Table], column: str, kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([table[column].to_numpy() for table in predictions.values()]).astype(kind)


def say(regressions: Sequence[Regression], skipped: Mapping[str, str]) -> None:
    """A line for everything that is not in the tables, and for what was fitted."""
    for line in dict.fromkeys(f"{dropped.term} {dropped.reason}: dropped from {regression.specification}"
                              for regression in regressions for dropped in regression.dropped):
        progress(line)
    for name, reason in skipped.items():
        progress(f"reader {name} {reason}: no regression of its own")
    for regression in regressions:
        fitted, whose = regression.fit, f"{regression.specification}, {regression.reader}"
        if fitted.unmeasured:
            progress(f"{whose}: all clusters agree exactly on {', '.join(fitted.unmeasured)}: no standard error")
        progress(f"{whose}: {fitted.observations} rows, {fitted.clusters} clusters, R² {fitted.r2:.4f}")


def write(regressions: Sequence[Regression], skipped: Mapping[str, str], chosen: Any) -> None:
    folder = artifacts.PLOTS / "regress"
    rows = [row for regression in regressions for row in tidy(regression, chosen.confidence)]
    artifacts.write_text(folder / "coefficients.csv", as_csv(rows))
    table = publication(regressions, chosen.cluster, chosen.confidence)
    for suffix, text in (("md", to_markdown(table)), ("tex", to_latex(table)), ("html", to_html(table))):
        artifacts.write_text(folder / f"table.{suffix}", text)
    artifacts.write_json(artifacts.REGRESSION / "fits.json", {
        "estimator": "ordinary least squares (linear probability model)",
        "cluster": chosen.cluster,
        "small_sample_factor": "G/(G-1) * (N-1)/(N-K)",
        "distribution": "t with G-1 degrees of freedom",
        "confidence": chosen.confidence,
        "fits": [summary(regression) for regression in regressions],
        "skipped_readers": dict(skipped)})
    artifacts.write_metrics(artifacts.METRICS / "regress.json", metrics(regressions))


def as_csv(rows: Sequence[Mapping[str, str | float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: artifacts.rounded(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def summary(regression: Regression) -> dict[str, Any]:
    fitted = regression.fit
    return {"specification": regression.specification, "reader": regression.reader,
            "terms": list(dict.fromkeys(column.term for column in regression.columns)),
            "observations": fitted.observations, "clusters": fitted.clusters, "regressors": len(fitted.names),
            "df": fitted.df, "r2": artifacts.rounded(fitted.r2), "adjusted_r2": artifacts.rounded(fitted.adjusted_r2),
            "references": dict(regression.references),
            "dropped": {dropped.term: dropped.reason for dropped in regression.dropped},
            "without_standard_error": list(fitted.unmeasured)}


def metrics(regressions: Sequence[Regression]) -> dict[str, float]:
    """What a pull request compares. Raises ValueError where the readers' names make two metrics of one name."""
    pairs = list(headline(regressions))
    if len(dict(pairs)) < len(pairs):
        raise ValueError("two metrics have one name, since a reader is called as another with _se: rename it")
    return dict(pairs)


def headline(regressions: Sequence[Regression]) -> Iterator[tuple[str, float]]:
    """Metrics by name. A coefficient without a standard error cannot be told from noise: left out."""
    full, slopes = (next(r for r in regressions if (r.specification, r.reader) == (wanted, POOLED))
                  for wanted in ("full", "slopes"))
    yield "adjusted_r2", full.fit.adjusted_r2
    yield "observations", full.fit.observations
    yield "clusters", full.fit.clusters
    for regression, term, prefix in ((full, "level", "level"), (full, "colour", "colour_"), (full, "reader", "reader_"),
                                     (slopes, "level:noise", "slope_")):
        for k, column in enumerate(regression.columns):
            if column.term == term and regression.fit.standard_error[k] > 0:
                yield prefix + column.category, float(regression.fit.beta[k])
                yield f"{prefix}{column.category}_se", float(regression.fit.standard_error[k])


if __name__ == "__main__":
    run(main)
