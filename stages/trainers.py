"""How each family of readers is trained: `TRAINERS[family](task)` gives a `Trained`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages import artifacts, checkpoints, reader_files
from stages.command import progress
from stages.params import ReaderParams as ReaderParams
from stages.reader.alternatives.classical import class_of
from stages.reader.alternatives.classical_fitting import fit_classical
from stages.reader.architectures import Family
from stages.reader.batches import LabelledImages
from stages.reader.fitting import (
    Epoch,
    FittedNetwork,
    Schedule,
    TrainingState,
    fit,
    on_cpu,
    scores,
    validate,
)
from stages.reader.inference import NetworkReader, unchanged
from stages.reader.networks import Network, initialise
from stages.reader.precision import arithmetic
from stages.reader.transfer import transfer
from stages.reader_files import Description
from stages.schemas.train import TrainingRecord
from stages.training_data import Split, in_memory

NO_INIT = Path("pretrained/none")  # readers.<name>.init of a reader with random initial weights


@dataclass(frozen=True)
class Start:
    """The reader whose weights a training starts from; none where the folder is NO_INIT."""

    folder: Path

    @classmethod
    def of(cls, init: str) -> Start:
        """Raises ValueError where the folder holds no reader."""
        folder = Path(init)
        if folder != NO_INIT and not (folder / "reader.json").is_file():
            raise ValueError(
                f"readers: init: {init} holds no reader (no reader.json): name the folder of a trained "
                f"one, as data/readers/<name>, or {NO_INIT}"
            )
        return cls(folder)

    def files(self) -> list[Path]:
        return (
            []
            if self.folder == NO_INIT
            else [self.folder / "reader.json", self.folder / "weights.safetensors"]
        )

    def fill(self, network: Network, alphabet: str) -> None:
        """Initialise the network with the weights of that reader. Raises ValueError where they do not fit."""
        if self.folder == NO_INIT:
            return
        other, description, _ = reader_files.load_reader(self.folder)
        try:
            known = transfer(
                network, other.state_dict(), known=description.alphabet, alphabet=alphabet
            )
        except ValueError as error:
            raise ValueError(f"readers: init: {self.folder} does not fit: {error}") from None
        progress(f"starts from {self.folder}, which knows {known} of {len(alphabet)} characters")


@dataclass(frozen=True)
class Task:
    """A training: the reader, its data and the folder of its checkpoint. The splits are already denoised."""

    reader: ReaderParams
    description: Description
    train: Split
    validation: Split
    # the training captchas of an epoch after the first, where they are drawn anew
    fresh: Callable[[int], Sequence[LabelledImages]] | None
    start: Start
    scratch: Path
    seed: int
    precision: str
    device: torch.device


@dataclass(frozen=True)
class Trained:
    """A trained reader with its weights, learning curve and records."""

    reader: NetworkReader | None  # still uncalibrated; None where it has no logits
    weights: dict[str, Tensor]
    history: list[Epoch]  # empty for an external reader
    record: dict[str, object]  # the training record of reader.json
    metrics: TrainingRecord


def train_network(task: Task) -> Trained:
    """Train a network by gradient descent, from its start or from the checkpoint in `task.scratch`."""
    reader = task.reader
    schedule = Schedule(
        epochs=reader.epochs,
        patience=reader.patience,
        batch=reader.batch,
        learning_rate=reader.learning_rate,
        weight_decay=reader.weight_decay,
        precision=task.precision,
        seed=task.seed,
        augment=reader.augment,
        optimiser=reader.optimiser,
    )
    network = initialise(
        task.description.build(), generator=torch.Generator().manual_seed(task.seed)
    )
    task.start.fill(network, task.train.alphabet)
    weights = sum(parameter.numel() for parameter in network.parameters())
    captchas = sum(len(part.labels) for part in task.train.parts)
    made_with = arithmetic(task.precision, task.device)
    progress(f"{weights} weights, {captchas} renderings an epoch, {made_with}")
    with timed():
        fitted = fit(
            network,
            task.train.parts,
            task.validation.parts,
            schedule,
            device=task.device,
            fresh=task.fresh,
            state=resumed(task.scratch),
            report=progress,
            on_epoch=lambda state: checkpoints.write_checkpoint(task.scratch, state.to_bytes()),
        )
    network = task.description.build()
    network.load_state_dict(fitted.weights)
    best = NetworkReader(network, precision=task.precision, device=task.device)
    return trained(best, fitted, {"weights": weights, "arithmetic": made_with})


def train_classical(task: Task) -> Trained:
    """Fit a classical reader by scikit-learn, on the CPU; its only "epoch" is the best of the grid."""
    kind = task.reader.architecture
    cpu = torch.device("cpu")
    with timed():
        most = class_of(kind).MOST
        found = fit_classical(
            kind,
            in_memory(task.train, most),
            in_memory(task.validation, most),
            alphabet_size=len(task.description.alphabet),
            positions=task.description.positions,
            seed=task.seed,
            report=progress,
        )
        train_loss, *_ = validate(found.module, task.train.parts[:1], task.precision, cpu)
        epoch = Epoch(
            1, train_loss, *validate(found.module, task.validation.parts, task.precision, cpu)
        )
        weights = on_cpu(found.module)
        progress(
            f"{kind} with {found.chosen}: validation characters {epoch.validation_character_accuracy:.2%}, whole "
            f"captchas {epoch.validation_exact_match:.2%}"
        )
    best = NetworkReader(found.module, precision=task.precision, device=cpu)
    return trained(
        best,
        FittedNetwork(weights, [epoch]),
        {
            "weights": sum(tensor.numel() for tensor in weights.values()),
            "chosen": found.chosen,
            "grid": found.tried,
            "arithmetic": arithmetic(task.precision, cpu),
        },
    )


def train_external(task: Task) -> Trained:
    """Record an external reader, which is not trained, with its accuracy on the validation captchas."""
    reader = task.description.external(unchanged)
    if reader.caution:
        progress(reader.caution)
    found = [
        scores(part.labels, reader.read(part.images()))
        for part in task.validation.parts
        if len(part.labels)
    ]
    right, characters, whole, captchas = np.sum(found, axis=0).tolist()
    reached = TrainingRecord(
        validation_character_accuracy=artifacts.rounded(right / characters),
        validation_exact_match=artifacts.rounded(whole / captchas),
        weights=0,
    )
    progress(
        f"{reader.title}: validation characters {right / characters:.2%}, whole captchas {whole / captchas:.2%}"
    )
    return Trained(None, {}, [], reader.record() | reached.to_json(), reached)


TRAINERS: Mapping[Family, Callable[[Task], Trained]] = {
    "network": train_network,
    "classical": train_classical,
    "external": train_external,
}


def trained(reader: NetworkReader, fitted: FittedNetwork, record: Mapping[str, Any]) -> Trained:
    """The result of a fit. Nothing in it depends on time, so that equal trainings give equal bytes."""
    best = Epoch(**artifacts.rounded(asdict(fitted.best)))
    epochs = {"epochs": len(fitted.history), "best_epoch": best.epoch}
    metrics = TrainingRecord(
        validation_character_accuracy=best.validation_character_accuracy,
        validation_exact_match=best.validation_exact_match,
        validation_loss=best.validation_loss,
        weights=record["weights"],
        arithmetic=record["arithmetic"],
        **epochs,
    )
    return Trained(
        reader,
        fitted.weights,
        fitted.history,
        {**epochs, "best": asdict(best), **artifacts.rounded(record)},
        metrics,
    )


@contextmanager
def timed() -> Iterator[None]:
    """Log the duration of the block; it is logged only, since no artifact may depend on the clock."""
    started = time.monotonic()
    yield
    progress(f"learned in {time.monotonic() - started:.0f} s")


def resumed(scratch: Path) -> TrainingState | None:
    """The state of an interrupted training of the same key and precision; None where it is missing or damaged."""
    content = checkpoints.read_checkpoint(scratch)
    if content is None:
        key, _, precision = scratch.name.rpartition("-")
        for other in sorted(scratch.parent.glob(f"{key}-*/checkpoint")):
            if other.parent != scratch:  # equal where CAPTCHA_FRESH=1 ignored a checkpoint
                progress(
                    f"{other} was trained in {other.parent.name.rpartition('-')[2]}, and this training is in "
                    f"{precision}: starting anew"
                )
        return None
    try:
        state = TrainingState.from_bytes(content)
    except ValueError as error:
        progress(f"{scratch}: {error}: starting anew")
        return None
    progress(f"going on after epoch {len(state.history)} of an interrupted training ({scratch})")
    return state
