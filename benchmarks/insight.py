"""CPU seconds of the tables about characters, for an alphabet of 33 letters; the tests count steps instead.

Run from the root: `python -m benchmarks.insight [captchas]`; prints a Markdown table. One thread. The readings are
synthetic: captchas of four letters (200 by default) under two noise types at four levels, with more errors at higher
levels. From 1,000 captchas on, a table that loops over its rows becomes visible.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from stages.insight.character_accuracy import (
    character_accuracy_by_level,
    thresholds_by_character,
)
from stages.insight.character_ranking import ranking
from stages.insight.combinations import best_and_worst, combination_tests
from stages.insight.confusions import confusion_matrices, confusion_tests
from stages.statistics.classification_report import macro_scores

ALPHABET = "АБВГҐДЕЄЖЗИІЇЙКЛМНОПРСТУФХЦЧШЩЬЮЯ"
LENGTH = 4
GRID = [
    ("none", 0.0),
    *((noise, level) for noise in ("fog", "lines") for level in (0.25, 0.5, 0.75, 1.0)),
]
SURE: dict[str, Any] = {"confidence": 0.95}


def characters(captchas: int) -> pd.DataFrame:
    """The prediction table of a synthetic reader."""
    rng = np.random.default_rng(0)
    letters = np.array(list(ALPHABET))
    truth = np.tile(
        rng.choice(letters, (captchas, 1, LENGTH)), (1, len(GRID), 1)
    )  # (captcha, condition, position)
    level = np.array([level for _, level in GRID])[None, :, None]
    right = rng.random(truth.shape) > level
    guess = np.where(right, truth, rng.choice(np.append(letters, ""), truth.shape))
    captcha, condition, position = np.indices(truth.shape)
    return pd.DataFrame({
        "captcha": captcha.ravel(), "condition": condition.ravel(), "position": position.ravel(),
        "text": np.repeat(["".join(row) for row in truth.reshape(-1, LENGTH)], LENGTH),
        "reading": np.repeat(["".join(row) for row in guess.reshape(-1, LENGTH)], LENGTH),
        "truth": truth.ravel(), "guess": guess.ravel(), "success": (guess == truth).ravel(),
        "noise": pd.Categorical(np.array([noise for noise, _ in GRID])[condition.ravel()]),
        "level": np.broadcast_to(level, truth.shape).ravel(),
        "glyph": (100 * np.searchsorted(np.sort(letters), truth) + captcha % 40).ravel(),
    })  # fmt: skip


def tables(rows: pd.DataFrame) -> dict[str, Callable[[], object]]:
    code = {letter: i for i, letter in enumerate(ALPHABET, 1)} | {"": 0}
    truth, guess = (rows[name].map(code).to_numpy(np.int64) for name in ("truth", "guess"))
    captcha = rows["captcha"].to_numpy()
    return {
        "macro_scores": lambda: macro_scores(truth, guess, captcha, len(ALPHABET)),
        "ranking": lambda: ranking(rows, ALPHABET, draws=200, seed=1, **SURE),
        "thresholds_by_character": lambda: thresholds_by_character(
            rows, ALPHABET, draws=200, seed=1, **SURE
        ),
        "accuracy_by_level": lambda: character_accuracy_by_level(rows, ALPHABET, **SURE),
        "confusion_tests": lambda: confusion_tests(rows, ALPHABET, **SURE),
        "confusion_matrices": lambda: confusion_matrices(rows, ALPHABET),
        "combination_tests": lambda: combination_tests(rows, ALPHABET, **SURE),
        "best_and_worst": lambda: best_and_worst(rows, ALPHABET, **SURE),
    }


def main() -> None:
    captchas = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rows = characters(captchas)
    print(f"| table of {len(rows)} characters | CPU seconds |\n|---|--:|")
    for name, make in tables(rows).items():
        started = time.process_time()
        make()
        print(f"| {name} | {time.process_time() - started:.2f} |", flush=True)


if __name__ == "__main__":
    main()
