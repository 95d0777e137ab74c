"""Schemas of the outputs of `predict`: predictions, metrics, and details for the report; one file each per run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from stages.schemas.captchas import Factors
from stages.schemas.record import Record
from stages.schemas.table import Flag, Number, Table, Text, Whole

BY_NOISE = "exact_match_"  # in PredictionDetails' file, before the name of a noise type


class Answers(Table):
    """The reading of each true character."""

    captcha = Whole("number of the captcha in the test split", key=True, arrow="int32")
    condition = Whole("number of the condition, from 0, the clean one", key=True, arrow="int16")
    position = Whole("place of the character in its text, from 0", key=True, arrow="int8")
    text = Text("the true characters of the whole captcha")
    reading = Text("the characters read in the whole captcha")
    truth = Text("the true character")
    guess = Text("the character read; empty where it was missed")
    confidence = Number("of the character read, 0 to 1; 0 where it was missed", arrow="float32")
    success = Flag("whether the character was read right")
    glyph = Whole("id of the character's glyph in the source, -1 where unknown", arrow="int32")


class Predictions(Answers, Factors):
    """data/predictions/<run>.parquet: one row per character of every rendering of the test captchas."""


@dataclass(frozen=True, kw_only=True)
class PredictionMetrics(Record):
    """metrics/predict/<run>.json: accuracy and exact match over all and over clean renderings, with 95 % intervals."""

    character_accuracy: float
    character_accuracy_low: float
    character_accuracy_high: float
    exact_match: float
    exact_match_low: float
    exact_match_high: float
    clean_character_accuracy: float
    clean_character_accuracy_low: float
    clean_character_accuracy_high: float
    clean_exact_match: float
    clean_exact_match_low: float
    clean_exact_match_high: float


@dataclass(frozen=True, kw_only=True)
class PredictionDetails(Record):
    """plots/predict/<run>.json: macro means, calibration, selective prediction, and the exact match of each noise.

    In the file, the exact match of a noise is `exact_match_<noise>`.
    """

    macro_precision: float
    macro_recall: float
    macro_f1: float
    macro_f1_low: float
    macro_f1_high: float
    clean_macro_precision: float
    clean_macro_recall: float
    clean_macro_f1: float
    clean_macro_f1_low: float
    clean_macro_f1_high: float
    coverage_99: float  # share of the captchas that can be answered with 99 % of the answers right
    coverage_99_low: float
    coverage_99_high: float
    exact_match_by_noise: dict[str, float] = field(default_factory=dict)
    calibration_error: float | None = (
        None  # expected calibration error of the characters that were read
    )
    brier_score: float | None = None
    arithmetic: str | None = None  # precision and processor of the inference

    def to_json(self) -> dict[str, Any]:
        """The fields that are not None, in one flat object."""
        flat = super().to_json()
        by_noise = flat.pop("exact_match_by_noise")
        known = {name: value for name, value in flat.items() if value is not None}
        return known | {f"{BY_NOISE}{noise}": share for noise, share in by_noise.items()}

    @classmethod
    def from_json(cls, tree: object, where: str) -> Self:
        if isinstance(tree, Mapping):
            by_noise = {
                name.removeprefix(BY_NOISE): share
                for name, share in tree.items()
                if name.startswith(BY_NOISE)
            }
            others = {name: value for name, value in tree.items() if not name.startswith(BY_NOISE)}
            tree = others | {"exact_match_by_noise": by_noise}
        return super().from_json(tree, where)
