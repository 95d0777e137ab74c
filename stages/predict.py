"""Read the test captchas with one reader.

Reads   data/captchas/test, data/readers/<name>
Writes  data/predictions/<name>.parquet, metrics/predict/<name>.json, plots/predict/<name>.json
Params  none: reader.json describes the reader

`python -m stages.predict <name>`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages import artifacts
from stages.command import progress, run
from stages.reader.alignment import answers
from stages.reader.decoding import Floats, Ints, Readings, encode, to_texts
from stages.reader.inference import choose_device
from stages.reader.protocol import Reader
from stages.reader_files import Description, check_reader, load_recogniser
from stages.schemas.arrow import array_of
from stages.schemas.captchas import Captchas, Factors
from stages.schemas.predict import PredictionDetails, PredictionMetrics, Predictions
from stages.schemas.words import CLEAN
from stages.statistics.calibration import brier_score, coverage_interval, expected_calibration_error
from stages.statistics.classification_report import macro_scores
from stages.statistics.clustered import error_ratio
from stages.statistics.proportions import clustered_proportion

# columns of the captcha table that every character repeats
REPEATED = [Predictions.captcha, Predictions.condition, Predictions.text, *Factors.names()]
NEEDED = [*REPEATED, Captchas.glyphs, Captchas.image]
ENDS = ("", "_low", "_high")  # of a metric's name: the estimate and its interval


@dataclass(frozen=True)
class Scores:
    """The contribution of a part to the metrics and details: n renderings with m characters."""

    captcha: NDArray[np.int32]  # (n,)
    glyphs: NDArray[np.int64]  # (n, T), ids in the source, -1 where unknown or absent
    noise: NDArray[np.str_]  # (n,), CLEAN where clean
    exact: NDArray[np.bool_]  # (n,), whether the whole text was read correctly
    # (n,), of the whole reading, calibrated; 0 where nothing was read
    probability: NDArray[np.float64]
    truth: NDArray[np.int64]  # (m,), label of each character, from 1
    guess: NDArray[np.int64]  # (m,), 0 where the character was missed
    confidence: NDArray[np.float32]  # (m,), 0 where the character was missed
    rendering: NDArray[np.int64]  # (m,), index into the n
    glyph: NDArray[np.int64]  # (m,), as in glyphs


def main() -> None:
    if len(sys.argv) != 2:
        raise ValueError(
            f"python -m stages.predict takes the name of one reader, got {' '.join(sys.argv[1:])!r}"
        )
    name = sys.argv[1]
    folder = artifacts.READERS / name
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is missing: there is no trained reader {name!r}; run `dvc repro train@{name}`"
        )
    recogniser, description = load_recogniser(folder, choose_device("auto"))
    made = recogniser.provenance()
    progress(f"reads in {made.get('arithmetic', 'a program of its own')}")
    found = pooled(predict_parts(artifacts.parts_of("test"), recogniser, description, name))
    if (found.glyph < 0).any():
        progress(
            "the glyphs are unknown, as they are in a captcha folder: intervals are clustered by captcha alone"
        )
    metrics = shares_of(found)
    details = replace(
        details_of(found, len(description.alphabet)), arithmetic=made.get("arithmetic")
    )
    artifacts.write_metrics(artifacts.METRICS / "predict" / f"{name}.json", metrics.to_json())
    artifacts.write_metrics(artifacts.PLOTS / "predict" / f"{name}.json", details.to_json())
    print_metrics(metrics)


def predict_parts(
    paths: Sequence[Path], recogniser: Reader, description: Description, name: str
) -> list[Scores]:
    """Read part by part and write the prediction table; images of one part at a time are in memory."""
    scores = []
    read = 0
    started = time.monotonic()
    with artifacts.prediction_writer(artifacts.PREDICTIONS / f"{name}.parquet") as writer:
        for done, path in enumerate(paths, 1):
            captchas = artifacts.read_captchas(path, NEEDED)
            check_reader(
                description,
                artifacts.alphabet_of(captchas.schema),
                *artifacts.image_size(captchas.schema, path),
                f"{path} and {artifacts.READERS / name}",
            )
            table, score = predict_part(captchas, recogniser, description.alphabet)
            writer.write_table(table)
            scores.append(score)
            read += len(captchas)
            if done == len(paths) or done % max(1, len(paths) // 10) == 0:
                progress(
                    f"part {done}/{len(paths)}, {read / (time.monotonic() - started):.0f} captchas/s"
                )
    return scores


def predict_part(captchas: pa.Table, recogniser: Reader, alphabet: str) -> tuple[pa.Table, Scores]:
    """The prediction table of a captcha table, with one row per true character, and its scores."""
    texts = captchas[Captchas.text].to_pylist()
    labels = encode(texts, alphabet)
    whole = recogniser.predict(artifacts.images_of(captchas))
    readings = whole.readings
    guess, confidence = answers(labels, readings)
    table = prediction_table(captchas, labels, readings, guess, confidence, alphabet)
    exact = np.array(
        [
            reading == text
            for reading, text in zip(to_texts(readings.labels, alphabet), texts, strict=True)
        ],
        bool,
    )
    rendering, _ = np.nonzero(labels)
    captcha = captchas[Captchas.captcha].to_pylist()  # to_numpy would import pandas
    noise = captchas[Captchas.noise].to_pylist()
    glyphs = glyph_ids(captchas[Captchas.glyphs].to_pylist(), labels)
    shown = labels > 0
    return table, Scores(
        np.array(captcha, np.int32),
        glyphs,
        np.array(noise, str),
        exact,
        np.where(readings.lengths > 0, whole.probability, 0.0),
        labels[shown],
        guess[shown],
        confidence[shown],
        rendering,
        glyphs[shown],
    )


def prediction_table(
    captchas: pa.Table,
    labels: Ints,
    readings: Readings,
    guess: Ints,
    confidence: Floats,
    alphabet: str,
) -> pa.Table:
    """The prediction table, its rows in the order of the captchas and of their characters."""
    row, position = np.nonzero(labels)
    repeated = captchas.select(REPEATED).take(array_of(row, pa.int64()))
    characters = np.array(["", *alphabet])
    reading = np.array(to_texts(readings.labels, alphabet), object)
    columns: Mapping[str, NDArray[np.generic]] = {
        Predictions.position: position,
        Predictions.reading: reading[row],
        Predictions.truth: characters[labels[row, position]],
        Predictions.guess: characters[guess[row, position]],
        Predictions.confidence: confidence[row, position],
        Predictions.success: (guess == labels)[row, position],
        Predictions.glyph: glyph_ids(captchas[Captchas.glyphs].to_pylist(), labels)[row, position],
    }
    arrays = [
        array_of(columns[field.name], field.type) if field.name in columns else repeated[field.name]
        for field in artifacts.PREDICTION_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=artifacts.PREDICTION_SCHEMA)


def glyph_ids(glyphs: list[list[int]], labels: Ints) -> Ints:
    """Glyph ids (n, T) in their source, -1 where unknown."""
    ids = np.full(labels.shape, -1, np.int64)
    for i, known in enumerate(glyphs):
        ids[i, : len(known)] = known
    return ids


@dataclass(frozen=True)
class Pooled:
    """The scores of all parts together: n renderings and their m characters."""

    captcha: NDArray[np.int32]  # (n,)
    glyphs: NDArray[np.int64]  # (n, T)
    noise: NDArray[np.str_]  # (n,)
    exact: NDArray[np.bool_]  # (n,)
    probability: NDArray[np.float64]  # (n,)
    truth: NDArray[np.int64]  # (m,)
    guess: NDArray[np.int64]  # (m,)
    confidence: NDArray[np.float32]  # (m,)
    rendering: NDArray[np.int64]  # (m,), which of the n
    glyph: NDArray[np.int64]  # (m,)

    @property
    def success(self) -> NDArray[np.bool_]:
        return np.asarray(self.truth == self.guess)


def pooled(scores: Sequence[Scores]) -> Pooled:
    """The scores of all parts; where the longest texts of parts differ in length, glyphs are padded with -1."""
    first = np.cumsum([0, *(len(score.captcha) for score in scores[:-1])])
    longest = max(score.glyphs.shape[1] for score in scores)
    glyphs = [
        np.pad(score.glyphs, ((0, 0), (0, longest - score.glyphs.shape[1])), constant_values=-1)
        for score in scores
    ]
    joined = {
        name: np.concatenate([getattr(score, name) for score in scores])
        for name in (
            "captcha",
            "noise",
            "exact",
            "probability",
            "truth",
            "guess",
            "confidence",
            "glyph",
        )
    }
    rendering = np.concatenate(
        [score.rendering + start for score, start in zip(scores, first, strict=True)]
    )
    return Pooled(**joined, rendering=rendering, glyphs=np.concatenate(glyphs))


def shares_of(found: Pooled) -> PredictionMetrics:
    """The metrics: exact match and character accuracy, clean and over all renderings, with 95 % intervals."""
    clean = found.noise == CLEAN
    metrics: dict[str, float] = {}
    for prefix, shown in (("", clean | True), ("clean_", clean)):
        rows = shown[found.rendering]
        shares = {
            "character_accuracy": (
                found.success[rows],
                found.captcha[found.rendering][rows],
                found.glyph[rows],
            ),
            "exact_match": (found.exact[shown], found.captcha[shown], found.glyphs[shown]),
        }
        for name, observed in shares.items():
            values = clustered_proportion(*observed)
            metrics |= {
                f"{prefix}{name}{end}": value for end, value in zip(ENDS, values, strict=True)
            }
    return PredictionMetrics(**metrics)


def details_of(found: Pooled, alphabet_size: int) -> PredictionDetails:
    """Details for the report: macro averages over the characters of the alphabet, calibration, selective prediction,
    and the exact match per noise type, over all levels."""
    clean = found.noise == CLEAN
    numbers: dict[str, Any] = trust(found)
    for prefix, shown in (("", clean | True), ("clean_", clean)):
        rows = shown[found.rendering]
        scores = macro_scores(
            found.truth[rows],
            found.guess[rows],
            found.captcha[found.rendering][rows],
            alphabet_size,
            glyphs=found.glyph[rows],
        )
        numbers |= {prefix + name: value for name, value in scores.items()}
    kinds = sorted(set(found.noise.tolist()) - {CLEAN})
    shares = {kind: float(found.exact[found.noise == kind].mean()) for kind in kinds}
    return PredictionDetails(**numbers, exact_match_by_noise=shares)


def trust(found: Pooled) -> dict[str, float]:
    """Calibration of the characters that were read, and the coverage of selective prediction.

    Coverage is the share of the captchas that can be answered, in descending order of confidence, at 99 % accuracy.
    """
    calibration = {}
    read = found.confidence > 0  # that a character was missed is known only from the truth
    if read.any():
        calibration = {
            "calibration_error": expected_calibration_error(
                found.confidence[read], found.success[read]
            ),
            "brier_score": brier_score(found.confidence[read], found.success[read]),
        }
    covered = coverage_interval(
        np.minimum(1.0, found.probability),
        found.exact,
        found.captcha,
        0.99,
        error_ratio=partial(error_ratio, captcha=found.captcha, glyphs=found.glyphs),
        draws=500,
        rng=np.random.default_rng(0),
    )
    return calibration | {
        f"coverage_99{end}": value for end, value in zip(ENDS, covered, strict=True)
    }


def print_metrics(metrics: PredictionMetrics) -> None:
    for kind in ("clean_exact_match", "exact_match"):
        share, low, high = (100 * getattr(metrics, kind + end) for end in ENDS)
        progress(f"{kind.replace('_', ' ')} {share:.1f} % ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    run(main)
