"""Sections of the results page: data set, readers and their errors, thresholds; each from one or two artifacts.

All raise a one-line ValueError with the missing or damaged file and the command that makes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stages import artifacts
from stages.lab import dvc_lock, experiments
from stages.lab.artifact_files import (
    Row,
    cached,
    command_for,
    missing,
    or_error,
    read_metrics,
    read_rows,
)
from stages.lab.errors import MissingError
from stages.schemas.captchas import GlyphCounts
from stages.schemas.figures import Classification, Confusion, Counts, OfReader
from stages.schemas.regress import Thresholds
from stages.schemas.words import MISSED

FIGURES = artifacts.PLOTS / "figures"
REGRESS = artifacts.PLOTS / "regress"
METRIC_FOLDERS = {
    "predict": (artifacts.METRICS / "predict", artifacts.PLOTS / "predict"),
    "train": (artifacts.PLOTS / "train",),
}
SHOWN = [
    Thresholds.reader,
    Thresholds.noise,
    Thresholds.share,
    Thresholds.level,
    Thresholds.low,
    Thresholds.high,
    Thresholds.reached,
]


def facts() -> dict[str, Any]:
    """Parameters of the data set, as [name, value]."""
    params = dvc_lock.recorded_params()

    def value(*names: str, between: str = " ") -> str:
        given = [
            str(dvc_lock.parameter_text(params[name]))
            for name in names
            if params.get(name) not in (None, "")
        ]
        return between.join(dict.fromkeys(given) if between == " to " else given)

    alphabet = str(params.get("glyphs.alphabet", ""))
    listed = [
        ("Image, height × width, px", value("captcha.height", "captcha.width", between=" × ")),
        ("Characters of a text", value("captcha.length.min", "captcha.length.max", between=" to ")),
        (f"Alphabet, {len(alphabet)} characters", alphabet),
        ("Captchas are", value("captcha.source", "captcha.path")),
        ("Glyphs", value("glyphs.source", "glyphs.path")),
        ("Colour schemes", value("colour.schemes")),
        ("Noise types", value("noise.types")),
        ("Levels of noise", value("noise.steps", "noise.level", between=", evenly up to ")),
        ("Held out of training", value("noise.unseen")),
    ]
    return {"facts": [[name, text] for name, text in listed if text]}


def classes() -> dict[str, Any]:
    """A row a character: its glyphs by split (None for found captchas), and how often it stands in texts by split."""
    glyphs = read_rows(FIGURES / "glyphs.csv", GlyphCounts)
    texts = read_rows(FIGURES / "counts.csv", Counts)
    splits = list(dict.fromkeys(row[Counts.split] for row in texts))
    in_texts: dict[tuple[str, str], float] = {}
    for row in texts:
        key = row[Counts.character], row[Counts.split]
        in_texts[key] = in_texts.get(key, 0) + (row[Counts.count] or 0)
    pieces = {row[GlyphCounts.label]: row for row in glyphs}
    return {
        "glyphs": list(artifacts.SPLITS) if glyphs else [],
        "texts": splits,
        "rows": [
            [
                name,
                *(pieces.get(name, {}).get(split) for split in artifacts.SPLITS if glyphs),
                *(in_texts.get((name, split), 0) for split in splits),
            ]
            for name in dict.fromkeys([*pieces, *(row[Counts.character] for row in texts)])
        ],
    }


def reader_section() -> dict[str, Any]:
    """Metrics of every reader per stage: value, low and high by name and reader; those with intervals first."""
    stages: dict[str, list[dict[str, Any]]] = {}
    names: list[str] = []
    notes: list[str] = []
    for stage, folders in METRIC_FOLDERS.items():
        found: dict[str, dict[str, float]] = {}
        for path in (path for folder in folders for path in sorted(folder.glob("*.json"))):
            one = or_error(partial(_named, path))
            names += [path.stem] * (path.stem not in names)
            notes += [str(one["error"])] if "error" in one else []
            if "numbers" in one:
                found[path.stem] = found.get(path.stem, {}) | one["numbers"]
        stages[stage] = reader_metric_rows(found)
    if not names:
        raise missing(artifacts.METRICS / "predict")
    names = in_order(names)
    paths = [
        folder / f"{name}.json"
        for folders in METRIC_FOLDERS.values()
        for folder in folders
        for name in names
    ]
    notes += [str(missing(path)) for path in paths if not path.exists()]
    return {"names": names, "stages": stages, "notes": notes}


def _named(path: Path) -> dict[str, Any]:
    return {"numbers": cached(read_metrics, path)}


def reader_metric_rows(metrics: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    names = sorted({name for one in metrics.values() for name in one})
    bases = [
        name
        for name in names
        if not re.fullmatch(".+_(low|high)", name) or name.rpartition("_")[0] not in names
    ]
    rows = [
        {
            "metric": name,
            "readers": {
                reader: experiments.metric_with_interval(one, name)
                for reader, one in metrics.items()
            },
            "interval": f"{name}_low" in names,
        }
        for name in bases
    ]
    return sorted(rows, key=lambda row: not row["interval"])


def in_order(names: list[str]) -> list[str]:
    """Readers as the figures name them, then the others."""
    first = or_error(lambda: {"rows": read_rows(FIGURES / "confusion.csv", Confusion)}).get(
        "rows", []
    )
    return list(dict.fromkeys([*(row[Confusion.reader] for row in first), *names]))


def confusion_section(reader: str) -> dict[str, Any]:
    """counts and shares by true character (rows) and what it was read as (columns; last what was missed)."""
    rows = of_reader(FIGURES / "confusion.csv", Confusion, reader)
    actual = list(dict.fromkeys(row[Confusion.actual] for row in rows))
    others = sorted(
        {row[Confusion.predicted] for row in rows} - {*actual},
        key=lambda name: (name == MISSED, name),
    )
    cells = {
        (row[Confusion.actual], row[Confusion.predicted]): (
            row[Confusion.count],
            row[Confusion.share],
        )
        for row in rows
    }
    return {
        "actual": actual,
        "predicted": [*actual, *others],
        "cells": [
            [cells.get((row, column), (0, 0)) for column in (*actual, *others)] for row in actual
        ],
    }


def classification(reader: str) -> dict[str, Any]:
    """The classification report: a row a set of renderings and character, "macro" the mean over these."""
    return {"rows": of_reader(FIGURES / "classification.csv", Classification, reader)}


def of_reader(path: Path, kind: type[OfReader], reader: str) -> list[Row]:
    rows = [row for row in read_rows(path, kind) if row[kind.reader] == reader]
    if not rows:
        raise MissingError(
            f"{path.as_posix()} has no reader {reader[:60]!r}: choose another, or run "
            f"{command_for(path)}"
        )
    return rows


def threshold_section() -> dict[str, Any]:
    """The level at which each reader still reads each share of the captchas; `confidence` of the intervals."""
    rows = read_rows(REGRESS / "thresholds.csv", Thresholds)
    confidence = or_error(dvc_lock.recorded_params).get("regression.confidence")
    return {
        "rows": [{name: row[name] for name in SHOWN} for row in rows],
        "confidence": confidence if isinstance(confidence, float) else None,
    }
