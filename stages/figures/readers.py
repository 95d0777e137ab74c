"""The readers side by side: what each is, and how well it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stages.figures.classification import macro_of
from stages.figures.findings import LEARNS, percent, percent_range
from stages.figures.report import compact_table, metrics_table, paragraphs

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
    trained: Mapping[str, Any]
    predicted: Mapping[str, Any]


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
    return what + paragraphs(calculated(readers)) + metrics_table("Share read right, with 95 % intervals", columns,
                                                                  scores)


def calculated(readers: Mapping[str, Described]) -> list[str]:
    """In what precision and on which kind of processor the readers were trained and read: one sentence of each."""
    said = []
    for deed, records in (("Trained", {name: reader.trained for name, reader in readers.items()}),
                          ("Read", {name: reader.predicted for name, reader in readers.items()})):
        names: dict[str, list[str]] = {}
        for name, record in records.items():
            if "arithmetic" in record:
                names.setdefault(record["arithmetic"], []).append(name)
        if names:
            parts = [f"in {arithmetic} ({', '.join(those)})" for arithmetic, those in names.items()]
            said.append(f"{deed} {' and '.join(parts)}.")
    return [" ".join(said)] if said else []


def _nature(reader: Described) -> list[str]:
    """Classical readers have no epochs, and none but networks must have weights."""
    trained = reader.trained
    weights = f"{trained['weights']:,}" if "weights" in trained else NONE
    epoch = f"{trained['best_epoch']} of {trained['epochs']}" if trained.get("epochs", 0) > 1 else NONE
    return [reader.architecture, weights, LEARNS[reader.learns_from], reader.denoise, epoch]


def _means(row: pd.Series) -> list[tuple[str, str]]:
    interval = percent_range(row["f1_low"], row["f1_high"]) if np.isfinite(row["f1_low"]) else ""
    return [*((percent(row[name]), "") for name in MEANS), (percent(row["f1"]), interval)]


def _trust(predicted: Mapping[str, Any]) -> str:
    """The calibration error; a reader that read nothing has none."""
    return percent(predicted["calibration_error"]) if "calibration_error" in predicted else NONE


def share(metrics: Mapping[str, Any], name: str) -> tuple[str, str]:
    """A share of the metrics with its interval, as texts."""
    return percent(metrics[name]), percent_range(metrics[f"{name}_low"], metrics[f"{name}_high"])
