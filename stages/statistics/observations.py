"""Prediction tables as the rows of a regression: its variables, its outcome and its clusters.

Tables come by entry of params.readers, each of the same test characters; entries that are training runs of one reader
are one reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.schemas.predict import Predictions
from stages.schemas.regress import FormulaVariables
from stages.schemas.words import CLEAN
from stages.statistics.arrays import Ints
from stages.statistics.design_matrix import Factor, Variables, make_factor
from stages.statistics.regression import Clusters
from stages.statistics.run_variance import TrainingRuns
from stages.statistics.sample import Sample

# Variables of a formula, and ways of clustering
NOISE = FormulaVariables.noise
POSITION = FormulaVariables.position
DIGIT = FormulaVariables.digit
READER = FormulaVariables.reader
RUN = "run"  # a training run
SSIM_LOSS = FormulaVariables.ssim_loss
NO_DENOISER = "none"
READER_PARAMETERS = (
    "train_on",
    "architecture",
    "denoise",
)  # parameters of a reader that a formula may name

KEY = [*Predictions.row_key(), Predictions.truth]
OBSERVATION_COLUMNS = [name for name in Predictions.names() if name != Predictions.confidence]

Groups = Mapping[str, Sequence[str]]  # the entries that are training runs of a reader, by its name


def check_same_characters(predictions: Mapping[str, pa.Table], folder: Path) -> None:
    """Raise ValueError, one line, where a table is empty or lacks values, or where their rows are not of the same test
    characters; `folder` holds a file per entry."""
    first, *_ = predictions
    for name, table in predictions.items():
        path = folder / f"{name}.parquet"
        missing = [column for column in OBSERVATION_COLUMNS if table[column].null_count]
        if missing:
            raise ValueError(
                f"{path}: {', '.join(missing)} should have a value in every row: run `dvc repro -f`"
            )
        if not len(table):
            raise ValueError(f"{path} has no rows: run `dvc repro -f`")
        if not table.select(KEY).equals(predictions[first].select(KEY)):
            raise ValueError(
                f"{path} is of other test characters than {first}.parquet: run `dvc repro -f`"
            )


def sample_of(
    predictions: Mapping[str, pa.Table], groups: Groups, readers: Mapping[str, Any], references: Any
) -> Sample:
    """The rows of all entries, whose training runs of one reader are one category of `reader`.

    `readers` are the parameters of each entry, `references` those of regression. Raises ValueError on a reference that
    does not occur.
    """
    variables = variables_of(predictions, groups, readers, references)
    return Sample(
        variables,
        stacked(predictions, Predictions.success, np.uint8),
        stacked(predictions, Predictions.captcha, np.int64),
    )


def variables_of(
    predictions: Mapping[str, pa.Table], groups: Groups, readers: Mapping[str, Any], references: Any
) -> Variables:
    """What a formula may name. Raises ValueError on a reference that does not occur."""
    factors = {
        name: factor(predictions, name, column_of(name), getattr(references, name))
        for name in (NOISE, Predictions.colour, DIGIT)
    }
    positions = stacked(predictions, Predictions.position, np.int64)
    factors[POSITION] = make_factor(
        POSITION, positions, [str(i + 1) for i in range(positions.max() + 1)], references.position
    )
    names = {run: name for name, runs in groups.items() for run in runs}
    factors[READER] = by_entry(READER, predictions, names, references.reader)
    for kind in READER_PARAMETERS:
        values = {name: getattr(reader, kind) for name, reader in readers.items()}
        own = values[references.reader]
        factors[kind] = by_entry(
            kind, predictions, values, NO_DENOISER if NO_DENOISER in values.values() else own
        )
    numbers = {
        name: stacked(predictions, name, np.float64)
        for name in (Predictions.level, Predictions.rmse, Predictions.contrast)
    }
    numbers[SSIM_LOSS] = 1 - stacked(
        predictions, Predictions.ssim, np.float64
    )  # 0 where clean, as the other doses
    doses = dict.fromkeys((Predictions.level, Predictions.rmse, SSIM_LOSS), (NOISE, CLEAN))
    return Variables(factors, numbers, sum(map(len, predictions.values())), doses)


def by_entry(
    name: str, predictions: Mapping[str, pa.Table], values: Mapping[str, str], reference: str
) -> Factor:
    """A factor that has one value in all the rows of an entry, its categories in the order of the entries."""
    categories = list(dict.fromkeys(values[entry] for entry in predictions))
    codes = [categories.index(values[entry]) for entry in predictions]
    return make_factor(
        name, np.repeat(codes, list(map(len, predictions.values()))), categories, reference
    )


def factor(predictions: Mapping[str, pa.Table], name: str, column: str, reference: str) -> Factor:
    """A column of texts as a factor, its categories in code-point order but the reference first."""
    texts = pa.chunked_array(
        [
            chunk
            for table in predictions.values()
            for chunk in table[column].cast(pa.string()).chunks
        ],
        pa.string(),
    )
    encoded = texts.combine_chunks().dictionary_encode()
    categories = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(categories)
    codes = np.argsort(order)[encoded.indices.to_numpy()]
    return make_factor(name, codes, list(categories[order]), reference)


def clusters_of(
    predictions: Mapping[str, pa.Table], groups: Groups, ways: Sequence[str]
) -> Clusters:
    """The clusters of the rows: one captcha (or glyph) is one cluster over all readers and conditions.

    `ways` name the dimensions. Where glyphs are unknown, as in a captcha folder, captcha and glyph is captcha alone.
    """
    names = list(ways)
    known = {Predictions.captcha, Predictions.glyph}
    if known <= set(names) and stacked(predictions, Predictions.glyph, np.int64).min() < 0:
        names.remove(Predictions.glyph)
    runs = None
    if len(names) > 1 and names[-1] == RUN:
        names.pop()
        runs = TrainingRuns(
            group_labels(predictions, groups, RUN), group_labels(predictions, groups, READER)
        )
    return Clusters(
        tuple(names), tuple(group_labels(predictions, groups, name) for name in names), runs
    )


def group_labels(
    predictions: Mapping[str, pa.Table], groups: Groups, name: str
) -> NDArray[np.int64]:
    """The labels (N,) of one dimension of clustering; texts are numbered in their order."""
    if name in (READER, RUN):
        members = groups.values() if name == READER else [[entry] for entry in predictions]
        label = {entry: index for index, entries in enumerate(members) for entry in entries}
        return np.concatenate(
            [np.full(len(table), label[entry]) for entry, table in predictions.items()]
        )
    if name in (Predictions.captcha, Predictions.glyph, Predictions.condition):
        found = stacked(predictions, name, np.int64)
        if found.min() < 0:
            raise ValueError(
                f"regression.cluster: the {name} of some rows is unknown, as it is in a captcha folder: "
                "set it to captcha"
            )
        return found
    texts = np.concatenate(
        [table[column_of(name)].to_numpy(zero_copy_only=False) for table in predictions.values()]
    ).astype(str)
    return np.unique(texts, return_inverse=True)[1].astype(np.int64)


def column_of(name: str) -> str:
    """The column of the predictions that is a variable of this name."""
    return Predictions.truth if name == DIGIT else name


def stacked(
    predictions: Mapping[str, pa.Table], column: str, kind: type[np.generic]
) -> NDArray[Any]:
    """A column of all tables together (N,)."""
    return np.concatenate([table[column].to_numpy() for table in predictions.values()]).astype(kind)


def rows_of_reader(sample: Sample, name: str) -> Ints:
    """Indices of the rows of one reader."""
    readers = sample.variables.factors[READER]
    return np.flatnonzero(readers.codes == readers.categories.index(name))


def without_readers(terms: Sequence[Any]) -> list[Any]:
    """The terms that a regression of one reader has."""
    of_readers = {READER, *READER_PARAMETERS}
    return [term for term in terms if of_readers.isdisjoint(map(attrgetter("variable"), term))]


def readers_without_own(sample: Sample, clusters: Clusters) -> dict[str, str]:
    """The readers whose rows alone identify nothing, or not with what error, and why."""
    skipped = {}
    readers = sample.variables.factors[READER]
    for code, name in enumerate(readers.categories):
        rows = np.flatnonzero(readers.codes == code)
        mean = sample.success[rows].mean()
        single = [
            way
            for way, found in zip(clusters.names, clusters.labels, strict=True)
            if np.ptp(found[rows]) == 0
        ]
        if mean in (0, 1):
            skipped[name] = "read every character right" if mean else "read no character right"
        elif single:
            skipped[name] = f"is one cluster by {single[0]}"
    return skipped


def guess_of_characters(predictions: Mapping[str, pa.Table]) -> float:
    """What blind guessing gets of the characters: one over those that are shown or were ever guessed."""
    seen = {
        character
        for table in predictions.values()
        for column in (Predictions.truth, Predictions.guess)
        for character in pc.unique(table[column]).to_pylist()
    }
    return 1 / len(seen - {""})
