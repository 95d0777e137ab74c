"""Fitting a network: one-cycle learning rate, early stopping, and a state from which training resumes."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.reader.alignment import answers
from stages.reader.architectures import ADAMW
from stages.reader.augmentation import augmented_batches
from stages.reader.batches import Images, LabelledImages, Labels, batches, steps_of
from stages.reader.data_parallel import LossOf, Replicas, replicas
from stages.reader.decoding import Readings
from stages.reader.inference import NetworkReader, autocast, to_batch
from stages.reader.networks import Network
from stages.reader.optimisers import Optimisers, optimisers_of


@dataclass(frozen=True)
class Schedule:
    """Hyper-parameters of the training; `learning_rate` is the peak of the schedule."""

    epochs: int
    patience: int  # epochs without an improvement in validation before it stops
    batch: int
    learning_rate: float
    weight_decay: float
    precision: str  # bf16 or fp32
    seed: int
    augment: float = 0.0  # strength of the augmentation
    optimiser: str = ADAMW


@dataclass(frozen=True)
class Epoch:
    """One row of the learning curve."""

    epoch: int  # from 1
    train_loss: float
    validation_loss: float
    validation_character_accuracy: float
    validation_exact_match: float

    @property
    def score(self) -> tuple[float, float]:
        """Higher is better: exact match, and the validation loss where it is equal."""
        return self.validation_exact_match, -self.validation_loss


@dataclass
class TrainingState:
    """What the next epoch depends on. Random streams derive from (seed, epoch), so no random state is part of it."""

    optimisers: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)

    def add(
        self, epoch: Epoch, weights: dict[str, Tensor], optimisers: list[dict[str, Any]]
    ) -> None:
        """Update the state after one more epoch."""
        if all(epoch.score > past.score for past in self.history):
            self.best = weights
        self.history.append(epoch)
        self.weights = weights
        self.optimisers = optimisers

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        torch.save({**vars(self), "history": [asdict(epoch) for epoch in self.history]}, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> TrainingState:
        """Raises ValueError where the bytes are no state. Loads only tensors and plain values, and runs no pickle."""
        try:
            tree = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            return cls(**{**tree, "history": [Epoch(**epoch) for epoch in tree["history"]]})
        except Exception as error:  # torch raises many types for a damaged file
            raise ValueError(f"the checkpoint is damaged ({type(error).__name__})") from None


@dataclass(frozen=True)
class FittedNetwork:
    """The weights of the best epoch in validation, on the CPU, and the learning curve."""

    weights: dict[str, Tensor]
    history: list[Epoch]

    @property
    def best(self) -> Epoch:
        return max(self.history, key=lambda epoch: epoch.score)


def fit(
    network: Network,
    train: Sequence[LabelledImages],
    validation: Sequence[LabelledImages],
    schedule: Schedule,
    *,
    device: torch.device,
    fresh: Callable[[int], Sequence[LabelledImages]] | None = None,
    state: TrainingState | None = None,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
    report: Callable[[str], None] = lambda line: None,
) -> FittedNetwork:
    """Fit an initialised network, or resume from `state`; `on_epoch` receives the state after each epoch.

    `fresh` returns the training captchas of an epoch after the first, as many as `train` has; without it, every epoch
    uses `train`. Equal arguments give equal bytes on one machine, whether or not the training was interrupted.
    Raises ValueError where a split is empty, a text is too long for the network, or the training diverges.
    """
    check_parts(network, train, validation)
    network.to(device)
    steps = schedule.epochs * steps_of(train, schedule.batch)
    optimisers = optimisers_of(
        network,
        schedule.optimiser,
        learning_rate=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        steps=steps,
    )
    state = state or TrainingState()
    if state.history:
        network.load_state_dict(state.weights)
        optimisers.load(state.optimisers)
    started = time.monotonic()
    done = len(state.history)
    with deterministic(), replicas(network, device) as side_by_side:
        while not finished(state.history, schedule):
            number = len(state.history) + 1
            parts = train if fresh is None or number == 1 else fresh(number)
            order = augmented_batches(
                batches(parts, schedule.batch, seed=schedule.seed, epoch=number),
                schedule.augment,
                seed=schedule.seed,
                epoch=number,
            )
            side_by_side.reseed(schedule.seed, number)
            loss = run_epoch(side_by_side, optimisers, order, schedule.precision, device)
            epoch = Epoch(number, loss, *validate(network, validation, schedule.precision, device))
            state.add(epoch, on_cpu(network), optimisers.states())
            on_epoch(state)
            left = (time.monotonic() - started) / (number - done) * (schedule.epochs - number)
            report(
                f"epoch {number}/{schedule.epochs}, loss {loss:.4f}, validation: loss {epoch.validation_loss:.4f}, "
                f"characters {epoch.validation_character_accuracy:.2%}, whole captchas "
                f"{epoch.validation_exact_match:.2%}, {left:.0f} s left"
            )
    return FittedNetwork(state.best, state.history)


def check_parts(
    network: Network, train: Sequence[LabelledImages], validation: Sequence[LabelledImages]
) -> None:
    """Raise ValueError where a split is empty, or has a text that the network cannot represent."""
    for split, parts in (("train", train), ("validation", validation)):
        filled = [part for part in parts if len(part.labels)]
        if not filled:
            raise ValueError(f"{split}: no captchas to learn from: check train_on and noise")
        columns = network.output_length(filled[0].images().shape[2])
        for part in filled:
            labelled = (part.labels[:, :columns] > 0).sum()
            if not network.empty_positions and labelled != columns * len(part.labels):
                raise ValueError(
                    f"{split}: texts differ in length, but this network knows no empty position: choose "
                    "the architecture compact, ctc, heads or dense"
                )
            needed = int(network.decoder.rows_needed(torch.from_numpy(part.labels)).max())
            if needed > columns:
                raise ValueError(
                    f"{split}: a text needs {needed} columns but the reader has {columns}: make the "
                    "captchas wider or their texts shorter (CTC: equal neighbours take one more)"
                )


def finished(history: Sequence[Epoch], schedule: Schedule) -> bool:
    """Whether all epochs are done, or `patience` of them since the best one."""
    if len(history) >= schedule.epochs:
        return True
    best = max(history, key=lambda epoch: epoch.score, default=None)
    return best is not None and history[-1].epoch - best.epoch >= schedule.patience


def run_epoch(
    networks: Replicas[Network],
    optimisers: Optimisers,
    steps: Iterator[tuple[Images, Labels]],
    precision: str,
    device: torch.device,
) -> float:
    """One pass over the training captchas; returns the mean loss.

    Raises ValueError where the loss or its gradient is not finite, before the weights are updated.
    """
    networks.train()
    losses: list[float] = []
    for step, (images, labels) in enumerate(steps, 1):
        networks.network.zero_grad()
        losses.append(
            networks.backward(
                loss_on(to_batch(images), torch.from_numpy(labels), precision, device), len(images)
            )
        )
        norm = float(nn.utils.clip_grad_norm_(networks.network.parameters(), 1.0))
        if not math.isfinite(losses[-1] + norm):
            raise ValueError(
                f"training diverged at step {step} of the epoch, learning rate "
                f"{optimisers.rate:.3g}: the loss is {losses[-1]:g}, the gradient's norm "
                f"{norm:g}; lower learning_rate, or set precision to fp32 (the last good weights "
                "are in .scratch)"
            )
        optimisers.step()
    networks.gather()
    return float(np.mean(losses))


def loss_on(
    images: Tensor, labels: Tensor, precision: str, device: torch.device
) -> LossOf[Network]:
    """The mean loss of rows of a batch as a function of network and rows; images (B, 3, H, W), labels (B, T)."""

    def loss(network: Network, rows: slice) -> Tensor:
        with autocast(precision, device):
            logits = network(images[rows].to(device))
        return network.decoder.loss(logits, labels[rows])

    return loss


def validate(
    network: Network, parts: Sequence[LabelledImages], precision: str, device: torch.device
) -> tuple[float, float, float]:
    """The mean loss, the character accuracy (0 to 1) and the exact match (0 to 1)."""
    reader = NetworkReader(network, precision=precision, device=device)
    loss = 0.0
    total = np.zeros(4, np.int64)
    for part in parts:
        if not len(part.labels):
            continue
        logits = reader.logits(part.images())
        labels = part.labels
        loss += (
            len(labels)
            * network.decoder.loss(torch.from_numpy(logits), torch.from_numpy(labels)).item()
        )
        total += scores(labels, network.decoder.decode(logits))
    right, characters, whole, rows = total.tolist()
    return loss / rows, right / characters, whole / rows


def calibration_temperature(reader: NetworkReader, parts: Sequence[LabelledImages]) -> float:
    """The temperature that calibrates the confidences, fitted on captchas that the reader was not trained on."""
    filled = [part for part in parts if len(part.labels)]
    longest = max(part.labels.shape[1] for part in parts)
    logits = np.concatenate([reader.logits(part.images()) for part in filled])
    labels = np.concatenate(
        [np.pad(part.labels, ((0, 0), (0, longest - part.labels.shape[1]))) for part in filled]
    )
    return reader.network.decoder.temperature(logits, labels)


def scores(labels: Labels, read: Readings) -> NDArray[np.int64]:
    """(4,): characters read correctly, all characters, captchas read correctly, all captchas; labels (n, T) are
    the truth."""
    answered, _ = answers(labels, read)
    success = (answered == labels) | (labels == 0)
    whole = success.all(axis=1) & (read.lengths == (labels > 0).sum(axis=1))
    return np.array([success[labels > 0].sum(), (labels > 0).sum(), whole.sum(), len(labels)])


def on_cpu(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights and buffers on the CPU."""
    return {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in network.state_dict().items()
    }


@contextmanager
def deterministic() -> Iterator[None]:
    """Use only deterministic algorithms inside the block (Torch warns where a device has none)."""
    settings: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled()
    filled = settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = False  # no code here reads such memory; filling takes time
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        settings.fill_uninitialized_memory = filled
