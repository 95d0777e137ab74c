"""The readers side by side: what each training run is, and how well it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.figures.classification_figures import macro_of
from stages.figures.figure import ReportTable, TableCell, heads, row
from stages.figures.numbers import TRAINED_ON, percent, percent_range
from stages.schemas.figures import Classification
from stages.schemas.predict import PredictionDetails, PredictionMetrics
from stages.schemas.train import TrainingRecord

SHARES = {
    "clean_character_accuracy": "characters, clean",
    "clean_exact_match": "whole, clean",
    "character_accuracy": "characters, all",
    "exact_match": "whole, all",
}  # metrics
MEANS = {Classification.precision: "macro precision", Classification.recall: "macro recall"}
NONE = "–"


@dataclass(frozen=True)
class Described:
    """A training run as params.yaml and the records of train and predict describe it."""

    architecture: str
    train_on: str
    denoise: str
    trained: TrainingRecord
    metrics: PredictionMetrics
    details: PredictionDetails


def nature_table(runs: Mapping[str, Described]) -> ReportTable:
    """What each training run is."""
    return ReportTable(
        "What the readers are",
        heads("architecture", "weights", "learned from", "denoiser", "epochs until the best"),
        [row(name, *_nature(run)) for name, run in runs.items()],
    )


def scores_table(runs: Mapping[str, Described]) -> ReportTable:
    """What each run reads. Intervals are of 95 %, as predict writes them, whatever the regression's are."""
    lines = []
    for name, run in runs.items():
        shares = [_share(run.metrics, metric) for metric in SHARES]
        lines.append(row(name, *shares, _trust(run.details)))
    head = heads(*SHARES.values(), "calibration error")
    return ReportTable("Share read right, with 95 % intervals", head, lines, kind="metrics")


def means_table(classification: pd.DataFrame, readers: Mapping[str, object]) -> ReportTable:
    """Macro means of each reader over all renderings, its runs pooled."""
    return ReportTable(
        "Macro means over all renderings, with 95 % intervals",
        heads(*MEANS.values(), "macro F1"),
        [row(name, *_means(macro_of(classification, name))) for name in readers],
        kind="metrics",
    )


def calculated(runs: Mapping[str, Described]) -> list[str]:
    """In what precision and on which kind of processor the readers were trained, and read: a sentence each."""
    sentences = []
    for what, used in (
        ("Trained", {name: run.trained.arithmetic for name, run in runs.items()}),
        ("Read", {name: run.details.arithmetic for name, run in runs.items()}),
    ):
        names: dict[str, list[str]] = {}
        for name, arithmetic in used.items():
            if arithmetic is not None:
                names.setdefault(arithmetic, []).append(name)
        if names:
            parts = [f"in {arithmetic} ({', '.join(those)})" for arithmetic, those in names.items()]
            sentences.append(f"{what} {' and '.join(parts)}.")
    return sentences


def _nature(run: Described) -> list[str]:
    """Classical readers have one epoch, external ones none."""
    trained = run.trained
    epoch = (
        f"{trained.best_epoch} of {trained.epochs}"
        if trained.epochs is not None and trained.epochs > 1
        else NONE
    )
    return [run.architecture, f"{trained.weights:,}", TRAINED_ON[run.train_on], run.denoise, epoch]


def _means(line: pd.Series) -> list[TableCell]:
    low = line[Classification.f1_low]
    high = line[Classification.f1_high]
    interval = percent_range(low, high) if np.isfinite(low) else ""
    return [
        *(TableCell(percent(line[name])) for name in MEANS),
        TableCell(percent(line[Classification.f1]), interval),
    ]


def _trust(details: PredictionDetails) -> str:
    """The calibration error; a reader that read nothing has none."""
    return NONE if details.calibration_error is None else percent(details.calibration_error)


def _share(metrics: PredictionMetrics, name: str) -> TableCell:
    """A share of the metrics with its interval."""
    share, low, high = (getattr(metrics, name + end) for end in ("", "_low", "_high"))
    return TableCell(percent(share), percent_range(low, high))
