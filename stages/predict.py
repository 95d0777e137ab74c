"""Let one reader read the test captchas.

Reads   data/captchas/test, data/readers/<name>
Writes  data/predictions/<name>.parquet, metrics/predict/<name>.json
Params  none: reader.json tells how the reader was built

`python -m stages.predict <name>`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages import artifacts
from stages.command import progress, run
from stages.reader.alignment import answers
from stages.reader.calibration import brier_score, coverage_interval, expected_calibration_error
from stages.reader.decoding import Floats, Ints, Readings, encode, to_texts
from stages.reader.reading import Outside, Recogniser, choose_device, read_whole, read_with
from stages.reader_files import Description, check_reader, load_recogniser
from stages.statistics.classification import macro_scores
from stages.statistics.proportions import clustered_proportion

FACTORS = [field.name for field in artifacts.FACTORS]
NEEDED = ["captcha", "condition", "text", "glyphs", *FACTORS, "image"]


@dataclass(frozen=True)
class Scores:
    """What a part contributes to the metrics: m characters of n renderings."""

    captcha: NDArray[np.int32]  # (n,), the cluster
    noise: NDArray[np.str_]  # (n,), "none" where clean
    exact: NDArray[np.bool_]  # (n,), read whole
    probability: NDArray[np.float64]  # (n,), of the whole reading, calibrated; 0 where nothing was read
    truth: NDArray[np.int64]  # (m,), label of each character, from 1
    guess: NDArray[np.int64]  # (m,), 0 where the character was missed
    confidence: NDArray[np.float32]  # (m,), 0 where the character was missed
    rendering: NDArray[np.int64]  # (m,), which of the n


def main() -> None:
    if len(sys.argv) != 2:
        raise ValueError(f"python -m stages.predict takes the name of one reader, got {' '.join(sys.argv[1:])!r}")
    name = sys.argv[1]
    folder = artifacts.READERS / name
    if not folder.is_dir():
        raise ValueError(f"{folder} is missing: there is no trained reader {name!r}; run `dvc repro train@{name}`")
    recogniser, description = load_recogniser(folder, choose_device("auto"))
    made = read_with(recogniser)
    progress(f"reads in {made.get('arithmetic', 'a program of its own')}")
    scores = predict_parts(artifacts.parts_of("test"), recogniser, description, name)
    metrics = metrics_of(scores, len(description.alphabet))
    artifacts.write_metrics(artifacts.METRICS / "predict" / f"{name}.json", metrics | made)


def predict_parts(paths: Sequence[Path], recogniser: Recogniser | Outside, description: Description,
                  name: str) -> list[Scores]:
    """Read part by part and write the prediction table; one part at a time is in memory."""
    scores, read, started = [], 0, time.monotonic()
    with artifacts.prediction_writer(artifacts.PREDICTIONS / f"{name}.parquet") as writer:
        for done, path in enumerate(paths, 1):
            captchas = artifacts.read_captchas(path, NEEDED)
            check_reader(description, artifacts.alphabet_of(captchas.schema),
                         *artifacts.image_size(captchas.schema, path), f"{path} and {artifacts.READERS / name}")
            table, score = predict_part(captchas, recogniser, description.alphabet)
            writer.write_table(table)
            scores.append(score)
            read += len(captchas)
            if done == len(paths) or done % max(1, len(paths) // 10) == 0:
                progress(f"part {done}/{len(paths)}, {read / (time.monotonic() - started):.0f} captchas/s")
    return scores


def predict_part(captchas: pa.Table, recogniser: Recogniser | Outside, alphabet: str) -> tuple[pa.Table, Scores]:
    """The prediction table of a captcha table, one row a true character, and its scores."""
    texts = captchas["text"].to_pylist()
    labels = encode(texts, alphabet)
    whole = read_whole(recogniser, artifacts.images_of(captchas))
    readings = whole.readings
    guess, confidence = answers(labels, readings)
    table = to_table(captchas, labels, readings, guess, confidence, alphabet)
    exact = np.array([reading == text for reading, text in zip(to_texts(readings.labels, alphabet), texts,
                                                               strict=True)], bool)
    rendering, _ = np.nonzero(labels)
    captcha, noise = captchas["captcha"].to_pylist(), captchas["noise"].to_pylist()  # to_numpy would import pandas
    return table, Scores(np.array(captcha, np.int32), np.array(noise, str), exact,
                         np.where(readings.lengths > 0, whole.probability, 0.0), labels[labels > 0], guess[labels > 0],
                         confidence[labels > 0], rendering)


def to_table(captchas: pa.Table, labels: Ints, readings: Readings, guess: Ints, confidence: Floats,
             alphabet: str) -> pa.Table:
    """Rows in the order of the captchas and of their characters."""
    row, position = np.nonzero(labels)
    repeated = captchas.select(["captcha", "condition", "text", *FACTORS]).take(artifacts.array_of(row, pa.int64()))
    characters = np.array(["", *alphabet])
    reading = np.array(to_texts(readings.labels, alphabet), object)
    columns: Mapping[str, Any] = {
        "position": position,
        "reading": reading[row],
        "truth": characters[labels[row, position]],
        "guess": characters[guess[row, position]],
        "confidence": confidence[row, position],
        "success": (guess == labels)[row, position],
        "glyph": glyph_ids(captchas["glyphs"].to_pylist(), labels)[row, position],
    }
    arrays = [artifacts.array_of(columns[field.name], field.type) if field.name in columns else repeated[field.name]
              for field in artifacts.PREDICTION_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=artifacts.PREDICTION_SCHEMA)


def glyph_ids(glyphs: list[list[int]], labels: Ints) -> Ints:
    """Glyph ids (n, T) in their source, -1 where unknown."""
    ids = np.full(labels.shape, -1, np.int64)
    for i, known in enumerate(glyphs):
        ids[i, : len(known)] = known
    return ids


def metrics_of(scores: Sequence[Scores], alphabet_size: int) -> dict[str, float]:
    """Shares with their 95 % intervals, clustered by captcha, macro averages over the characters of the alphabet, and
    the exact match of each noise type at all levels."""
    captcha = np.concatenate([score.captcha for score in scores])
    noise = np.concatenate([score.noise for score in scores])
    exact = np.concatenate([score.exact for score in scores])
    truth = np.concatenate([score.truth for score in scores])
    guess = np.concatenate([score.guess for score in scores])
    success = truth == guess
    first = np.cumsum([0, *(len(score.captcha) for score in scores[:-1])])
    rendering = np.concatenate([score.rendering + start for score, start in zip(scores, first, strict=True)])
    clean = noise == "none"
    shares = {
        "character_accuracy": (success, captcha[rendering]),
        "exact_match": (exact, captcha),
        "clean_character_accuracy": (success[clean[rendering]], captcha[rendering][clean[rendering]]),
        "clean_exact_match": (exact[clean], captcha[clean]),
    }
    metrics = {}
    for name, (hits, cluster) in shares.items():
        metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"] = clustered_proportion(hits, cluster)
    for prefix, rows in (("", slice(None)), ("clean_", clean[rendering])):
        found = macro_scores(truth[rows], guess[rows], captcha[rendering][rows], alphabet_size)
        metrics |= {prefix + name: value for name, value in found.items()}
    metrics |= trust(scores, exact, captcha, success)
    kinds = sorted(set(noise.tolist()) - {"none"})
    return metrics | {f"exact_match_{kind}": float(exact[noise == kind].mean()) for kind in kinds}


def trust(scores: Sequence[Scores], exact: NDArray[np.bool_], captcha: NDArray[np.int32],
          success: NDArray[np.bool_]) -> dict[str, float]:
    """How far the confidences can be believed: of the characters that were read, and of whole captchas the share that
    can be answered, the surest first, with 99 % of the answers right."""
    confidence = np.concatenate([score.confidence for score in scores])
    metrics = {}
    read = confidence > 0  # that a character was missed is known with hindsight alone
    if read.any():
        metrics["calibration_error"] = expected_calibration_error(confidence[read], success[read])
        metrics["brier_score"] = brier_score(confidence[read], success[read])
    probability = np.minimum(1.0, np.concatenate([score.probability for score in scores]))
    covered = coverage_interval(probability, exact, captcha, 0.99, draws=500, rng=np.random.default_rng(0))
    return metrics | dict(zip(("coverage_99", "coverage_99_low", "coverage_99_high"), covered, strict=True))


if __name__ == "__main__":
    run(main)
