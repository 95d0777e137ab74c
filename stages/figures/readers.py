"""The readers side by side: what each training run is, and how well it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stages.figures.classification import macro_of
from stages.figures.figure import Cell, Table, heads, row
from stages.figures.numbers import TRAINED_ON, percent, percent_range

SHARES = {"clean_character_accuracy": "characters, clean", "clean_exact_match": "whole, clean",
          "character_accuracy": "characters, all", "exact_match": "whole, all"}
MEANS = {"precision": "macro precision", "recall": "macro recall"}
NONE = "–"


@dataclass(frozen=True)
class Described:
    """A training run as params.yaml and the records of train and predict describe it."""

    architecture: str
    train_on: str
    denoise: str
    trained: Mapping[str, Any]
    predicted: Mapping[str, Any]


def nature_table(runs: Mapping[str, Described]) -> Table:
    """What each training run is."""
    return Table("What the readers are", heads("architecture", "weights", "learned from", "denoiser",
                                               "epochs until the best"),
                 [row(name, *_nature(run)) for name, run in runs.items()])


def scores_table(runs: Mapping[str, Described]) -> Table:
    """What each run reads. Intervals are of 95 %, as predict writes them, whatever the regression's are."""
    return Table("Share read right, with 95 % intervals", heads(*SHARES.values(), "calibration error"),
                 [row(name, *(_share(run.predicted, column) for column in SHARES), _trust(run.predicted))
                  for name, run in runs.items()], kind="metrics")


def means_table(classification: pd.DataFrame, readers: Mapping[str, object]) -> Table:
    """Macro means of each reader over all renderings, its runs pooled."""
    return Table("Macro means over all renderings, with 95 % intervals", heads(*MEANS.values(), "macro F1"),
                 [row(name, *_means(macro_of(classification, name))) for name in readers], kind="metrics")


def calculated(runs: Mapping[str, Described]) -> list[str]:
    """In what precision and on which kind of processor the readers were trained, and read: a sentence each."""
    said = []
    for deed, records in (("Trained", {name: run.trained for name, run in runs.items()}),
                          ("Read", {name: run.predicted for name, run in runs.items()})):
        names: dict[str, list[str]] = {}
        for name, record in records.items():
            if "arithmetic" in record:
                names.setdefault(record["arithmetic"], []).append(name)
        if names:
            parts = [f"in {arithmetic} ({', '.join(those)})" for arithmetic, those in names.items()]
            said.append(f"{deed} {' and '.join(parts)}.")
    return said


def _nature(run: Described) -> list[str]:
    """Classical readers have no epochs, and none but networks must have weights."""
    trained = run.trained
    weights = f"{trained['weights']:,}" if "weights" in trained else NONE
    epoch = f"{trained['best_epoch']} of {trained['epochs']}" if trained.get("epochs", 0) > 1 else NONE
    return [run.architecture, weights, TRAINED_ON[run.train_on], run.denoise, epoch]


def _means(line: pd.Series) -> list[Cell]:
    interval = percent_range(line["f1_low"], line["f1_high"]) if np.isfinite(line["f1_low"]) else ""
    return [*(Cell(percent(line[name])) for name in MEANS), Cell(percent(line["f1"]), interval)]


def _trust(predicted: Mapping[str, Any]) -> str:
    """The calibration error; a reader that read nothing has none."""
    return percent(predicted["calibration_error"]) if "calibration_error" in predicted else NONE


def _share(metrics: Mapping[str, Any], name: str) -> Cell:
    """A share of the metrics with its interval."""
    return Cell(percent(metrics[name]), percent_range(metrics[f"{name}_low"], metrics[f"{name}_high"]))
