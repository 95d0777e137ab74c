"""Training process of the lab: `python -m stages.lab.glyph_training FOLDER` fits a reader of single characters.

Reads   FOLDER/settings.json, and the train and test file of the lab or a glyph source
Writes  FOLDER/progress.json after every step of a second or so, and FOLDER/reader, the best so far, after each epoch
Params  glyphs, if that is the source
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stages import artifacts
from stages.captcha.design import stream
from stages.captcha.glyphs import SIDE, Glyphs, hold_out
from stages.command import run
from stages.lab import csv_files
from stages.lab.rendered_captchas import study_glyphs
from stages.params import read
from stages.reader.batches import Images, Labels
from stages.reader.fitting import Schedule, TrainingState, calibration_temperature, fit
from stages.reader.inference import NetworkReader, choose_device
from stages.reader.networks import initialise
from stages.reader.precision import arithmetic, choose_precision
from stages.reader_files import Description, write_reader
from stages.sources.glyph_sources import load_glyphs
from stages.statistics.proportions import wilson

PART = 1000  # glyphs per thread and call
EVERY = 0.5  # s, minimum between two updates of the progress
DECAY = 0.01  # of weights
HELD_OUT = 0.1  # of the train file, for validation
Z = 1.959964  # 95 %
ADVICE = {  # of the study's errors, and what the page's user can do instead
    "learning_rate, or set precision to fp32 (the last good weights are in .scratch)": "the learning rate",
    "or remove it from glyphs.alphabet": "or leave it out",
}


@dataclass(frozen=True)
class Settings:
    """The settings sent by the page."""

    source: str  # file (the one that is open), study, digits or fonts
    alphabet: str  # of fonts
    architecture: str
    channels: int
    epochs: int
    batch: int
    learning_rate: float
    augment: float
    seed: int


@dataclass(frozen=True)
class GlyphPart:
    """Glyphs as white ink on black."""

    glyphs: Glyphs
    labels: Labels  # (n, 1)

    def images(self) -> Images:
        return np.repeat(self.glyphs[..., None], 3, axis=3)


@dataclass(frozen=True)
class Sets:
    """Training set, validation set (chooses the epoch), and test set (measured at the end)."""

    train: list[GlyphPart]
    validation: list[GlyphPart]
    test: list[GlyphPart]
    alphabet: str


class Progress:
    """FOLDER/progress.json. `seen` counts the images of the current epoch."""

    def __init__(self, path: Path, images: int) -> None:
        self.path = path
        self.images = images
        self.seen = 0
        self.started = time.time()
        self.written_at = 0.0
        self.tree: dict[str, Any] = {"state": "running", "history": []}
        self.lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Progress:
        return self  # copies of a network, one per thread, share one counter

    def count(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not network.training:
            return
        with self.lock:
            self.seen += len(inputs[0])
            if time.monotonic() - self.written_at > EVERY:
                self.write()

    def write(self, **changes: Any) -> None:
        self.written_at = time.monotonic()
        self.tree |= changes | {
            "seconds": round(time.time() - self.started, 1),
            "epoch_share": round(min(self.seen / self.images, 1.0), 3),
        }
        artifacts.write_json(self.path, self.tree)


def main() -> None:
    if len(sys.argv) != 2:
        raise ValueError(
            "python -m stages.lab.glyph_training takes the folder of a training: the lab calls it"
        )
    folder = Path(sys.argv[1])
    settings = Settings(**artifacts.read_json(folder / "settings.json"))
    try:
        fit_glyph_reader(folder, settings, load_sets(folder.parent, settings))
    except ValueError as error:
        message = str(error)
        for advice, here in ADVICE.items():
            message = message.replace(advice, here)
        raise ValueError(message) from None


def load_sets(home: Path, settings: Settings) -> Sets:
    """The glyphs of the open file, or of a source, in three sets. Raises ValueError if one is empty."""
    if settings.source == "file":
        return _sets_of_files(home, settings.seed)
    rng = stream(settings.seed, "lab", "pools")
    if settings.source == "study":
        found = study_glyphs(read("glyphs").glyphs, rng=rng)
    else:
        alphabet = settings.alphabet if settings.source == "fonts" else "0123456789"
        found = load_glyphs(
            settings.source,
            "",
            alphabet=alphabet,
            emnist_split="balanced",
            validation=0.1,
            test=0.2,
            rng=rng,
        )
    train, validation, test = (
        parts(found.images[found.pool == pool], found.labels[found.pool == pool] + 1)
        for pool in range(3)
    )
    return Sets(train, validation, test, found.alphabet)


def _sets_of_files(home: Path, seed: int) -> Sets:
    images, characters = csv_files.load_stored_glyphs(home, "train")
    alphabet = "".join(sorted(set(characters.tolist())))
    held = hold_out(characters, HELD_OUT, rng=stream(seed, "lab", "validation"))
    labels = csv_files.to_labels(characters, alphabet)
    test: list[GlyphPart] = []
    if "test" in csv_files.opened(home):
        tested, answers = csv_files.load_stored_glyphs(home, "test")
        test = parts(tested, csv_files.to_labels(answers, alphabet)) if len(answers) else []
    return Sets(
        parts(images[~held], labels[~held]), parts(images[held], labels[held]), test, alphabet
    )


def parts(glyphs: Glyphs, labels: NDArray[np.int64]) -> list[GlyphPart]:
    return [
        GlyphPart(glyphs[i : i + PART], labels[i : i + PART, None])
        for i in range(0, len(glyphs), PART)
    ]


def fit_glyph_reader(folder: Path, settings: Settings, sets: Sets) -> None:
    description = Description(
        settings.architecture, sets.alphabet, SIDE, SIDE, settings.channels, 1
    )
    network = description.build()
    initialise(network, generator=torch.Generator().manual_seed(settings.seed))
    progress = Progress(folder / "progress.json", sum(len(part.labels) for part in sets.train))
    progress.write(
        weights=sum(parameter.numel() for parameter in network.parameters()), glyphs=progress.images
    )
    network.register_forward_pre_hook(progress.count)
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    schedule = Schedule(
        settings.epochs,
        settings.epochs,
        settings.batch,
        settings.learning_rate,
        DECAY,
        precision,
        settings.seed,
        settings.augment,
    )

    def save_progress(state: TrainingState) -> None:
        progress.seen = 0
        if state.history[-1] == max(state.history, key=lambda epoch: epoch.score):
            write_reader(folder / "reader", description, state.best, {"lab": asdict(settings)})
        progress.write(history=[asdict(epoch) for epoch in state.history])

    fitted = fit(
        network, sets.train, sets.validation, schedule, device=device, on_epoch=save_progress
    )
    network.load_state_dict(fitted.weights)
    recogniser = NetworkReader(network, precision=precision, device=device)
    temperature = float(artifacts.rounded(calibration_temperature(recogniser, sets.validation)))
    write_reader(
        folder / "reader",
        replace(description, temperature=temperature),
        fitted.weights,
        {
            "lab": asdict(settings),
            "arithmetic": arithmetic(precision, device),
            **tested(recogniser, sets.test),
        },
    )
    progress.write(state="done", **tested(recogniser, sets.test))


def tested(recogniser: NetworkReader, test: Sequence[GlyphPart]) -> dict[str, Any]:
    """Accuracy on the test glyphs, with Wilson's 95 % interval; empty without test glyphs."""
    if not test:
        return {}
    right = 0
    total = 0
    for part in test:
        read_ = recogniser.read(part.images()).labels
        guess = read_[:, 0] if read_.shape[1] else np.zeros(len(part.labels), np.int64)
        known = (
            part.labels[:, 0] > 0
        )  # an empty answer to a character outside the alphabet is not right
        right, total = (
            right + int((known & (guess == part.labels[:, 0])).sum()),
            total + len(part.labels),
        )
    low, high = wilson(right / total, total, Z)
    rounded: dict[str, Any] = artifacts.rounded(
        {"test_accuracy": right / total, "test_low": low, "test_high": high}
    )
    return rounded | {"test_glyphs": total}


if __name__ == "__main__":
    run(main)
