"""The readers side by side: what each is, and how well it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.figures.classification import macro_of
from stages.figures.findings import LEARNS, percent, percent_range
from stages.figures.report import compact_table, metrics_table

SHARES = {"clean_character_accuracy": "characters, clean", "clean_exact_match": "whole, clean",
          "character_accuracy": "characters, all", "exact_match": "whole, all"}
MEANS = {"precision": "macro precision", "recall": "macro recall"}
NONE = "–"


@dataclass(frozen=True)
class Described:
    """A reader as params.yaml and the metrics of train and predict tell it."""

    architecture: str
    learns_from: str
    denoise: str
    trained: Mapping[str, float]
    predicted: Mapping[str, float]


def readers_tables(readers: Mapping[str, Described], classification: pd.DataFrame) -> str:
    """Two tables of all readers, as HTML: what they are, and what they read; the macro means are over all renderings.

    Intervals are of 95 %, as predict writes them, whatever the regression's are.
    """
    what = compact_table("What the readers are", ["architecture", "weights", "learned from", "denoiser",
                                                  "epochs until the best"],
                         ([name, *_nature(reader)] for name, reader in readers.items()))
    scores = {name: [*(share(reader.predicted, column) for column in SHARES),
                     *_means(macro_of(classification, name)), (_trust(reader.predicted), "")]
              for name, reader in readers.items()}
    columns = [*SHARES.values(), *MEANS.values(), "macro F1", "calibration error"]
    return what + metrics_table("Share read right, with 95 % intervals", columns, scores)


def _nature(reader: Described) -> list[str]:
    """Classical readers have no epochs, and none but networks must have weights."""
    trained = reader.trained
    weights = f"{trained['weights']:,}" if "weights" in trained else NONE
    epoch = f"{trained['best_epoch']} of {trained['epochs']}" if trained.get("epochs", 0) > 1 else NONE
    return [reader.architecture, weights, LEARNS[reader.learns_from], reader.denoise, epoch]


def _means(row: pd.Series) -> list[tuple[str, str]]:
    interval = percent_range(row["f1_low"], row["f1_high"]) if np.isfinite(row["f1_low"]) else ""
    return [*((percent(row[name]), "") for name in MEANS), (percent(row["f1"]), interval)]


def _trust(predicted: Mapping[str, float]) -> str:
    """The calibration error; a reader that read nothing has none."""
    return percent(predicted["calibration_error"]) if "calibration_error" in predicted else NONE


def share(metrics: Mapping[str, float], name: str) -> tuple[str, str]:
    """A share of the metrics with its interval, as texts."""
    return percent(metrics[name]), percent_range(metrics[f"{name}_low"], metrics[f"{name}_high"])
