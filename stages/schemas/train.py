"""Schemas of the outputs of `train`, except the reader itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stages.schemas.record import Record
from stages.schemas.table import Number, Table, Whole


class Epochs(Table):
    """plots/train/<run>.csv: one row per epoch; none for an external reader."""

    epoch = Whole("number of the epoch, from 1", key=True)
    train_loss = Number("mean loss per training captcha")
    validation_loss = Number("mean loss per validation captcha")
    validation_character_accuracy = Number("share of the validation characters that are read right")
    validation_exact_match = Number("share of the validation captchas that are read whole")


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(Record):
    """plots/train/<run>.json: the best epoch, and the reader's size. An external reader has only the first three."""

    validation_character_accuracy: float
    validation_exact_match: float
    weights: int
    validation_loss: float | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    temperature: float | None = None  # that calibrates the confidences
    arithmetic: str | None = None  # precision and processor of the training

    def to_json(self) -> dict[str, Any]:
        """The fields that are not None."""
        return {name: value for name, value in super().to_json().items() if value is not None}
