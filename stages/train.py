"""Train one reader on the training captchas.

Reads   data/captchas/train, data/captchas/validation
Writes  data/readers/<name>, metrics/train/<name>.json, plots/train/<name>.csv
Params  seed, readers.<name>

`python -m stages.train <name>`. An interrupted training goes on from its last epoch when it is run again with the same
parameters, data and code, and ends with the same bytes; CAPTCHA_FRESH=1 starts anew.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stages import artifacts, reader_files
from stages.command import progress, run
from stages.params import Reader, read
from stages.reader.batches import Images, Labels
from stages.reader.decoding import encode
from stages.reader.fitting import Epoch, Fitted, Schedule, State, fit
from stages.reader.networks import initialise
from stages.reader.reading import choose_device
from stages.reader_files import Description

RUNS = 1_000_003  # between the streams of two training runs of one study; its seeds lie closer together


@dataclass(frozen=True)
class CaptchaPart:
    """The renderings of one part file that a reader learns from; images are read when asked for."""

    path: Path
    rows: NDArray[np.int64]
    labels: Labels

    def images(self) -> Images:
        images = artifacts.images_of(artifacts.read_captchas(self.path))
        return images if len(self.rows) == len(images) else images[self.rows]


@dataclass(frozen=True)
class Split:
    """The parts of a split and what they have in common."""

    parts: list[CaptchaPart]
    alphabet: str
    height: int
    width: int


def main() -> None:
    params = read("seed", "readers")
    name = reader_name(sys.argv[1:], list(params.readers))
    reader = params.readers[name]
    train_reader(name, reader, params.seed + RUNS * reader.seed)


def reader_name(arguments: list[str], names: list[str]) -> str:
    if len(arguments) != 1 or arguments[0] not in names:
        raise ValueError(f"python -m stages.train takes the name of a reader, one of {', '.join(names)} "
                         f"(readers in params.yaml); got {' '.join(arguments)!r}")
    return arguments[0]


def train_reader(name: str, reader: Reader, seed: int) -> None:
    device = choose_device(reader.device)
    key = reader_files.scratch_key({"reader": asdict(reader), "seed": seed, "device": device.type},
                                   [*artifacts.parts_of("train"), *artifacts.parts_of("validation"), *code_files()])
    root = reader_files.scratch_root()
    with ExitStack() as locks:
        # Two trainings may share neither the outputs of one workspace nor a checkpoint; other experiments may run.
        locks.enter_context(reader_files.locked(Path(".scratch") / f"{name}.lock", name))
        locks.enter_context(reader_files.locked(root / f"{key}.lock", name))
        train, validation = open_split("train", reader.learns_from), open_split("validation", reader.learns_from)
        if (train.alphabet, train.height, train.width) != (validation.alphabet, validation.height, validation.width):
            raise ValueError("data/captchas: train and validation differ in alphabet or image size: "
                             "run `dvc repro -f generate`")
        description = describe(reader, train, validation)
        fitted = fit_reader(description.build(), train, validation, reader, seed, device, root / key)
        write_results(name, description, fitted)
        reader_files.remove_checkpoint(root / key)


def code_files() -> list[Path]:
    """The code that a training's result depends on."""
    here = Path(__file__)
    return [here, *sorted((here.parent / "reader").glob("*.py"))]


def open_split(split: str, learns_from: str) -> Split:
    """The parts of a split, with the rows that `learns_from` takes of each. Raises ValueError where parts differ."""
    parts, kinds = [], set()
    for path in artifacts.parts_of(split):
        table = artifacts.read_captchas(path).select(["condition", "text"])
        alphabet = artifacts.alphabet_of(table.schema)
        kinds.add((alphabet, *artifacts.image_size(table.schema, path)))
        if len(kinds) > 1:
            raise ValueError(f"{path}: another alphabet or image size than the parts before: "
                             "run `dvc repro -f generate`")
        condition = table["condition"].to_numpy()
        rows = np.flatnonzero({"clean": condition == 0, "noisy": condition != 0, "both": condition >= 0}[learns_from])
        texts = table["text"].take(rows).to_pylist()
        parts.append(CaptchaPart(path, rows, encode(texts, alphabet)))
    alphabet, height, width = kinds.pop()
    return Split(parts, alphabet, height, width)


def describe(reader: Reader, *splits: Split) -> Description:
    longest = max((part.labels.shape[1] for split in splits for part in split.parts), default=0)
    return Description(reader.architecture, splits[0].alphabet, splits[0].height, splits[0].width, reader.channels,
                       max(1, longest), reader.precision)


def fit_reader(network: nn.Module, train: Split, validation: Split, reader: Reader, seed: int, device: torch.device,
               scratch: Path) -> Fitted:
    """Fit from the start, or from the checkpoint in `scratch`."""
    initialise(network, generator=torch.Generator().manual_seed(seed))
    schedule = Schedule(reader.epochs, reader.patience, reader.batch, reader.learning_rate, reader.weight_decay,
                        reader.precision, seed)
    captchas = sum(len(part.labels) for part in train.parts)
    progress(f"{sum(p.numel() for p in network.parameters())} weights, {captchas} renderings an epoch, {device.type}, "
             f"{reader.precision}")
    return fit(network, train.parts, validation.parts, schedule, device=device, state=resumed(scratch),
               keep=lambda state: reader_files.write_checkpoint(scratch, state.to_bytes()), report=progress)


def resumed(scratch: Path) -> State | None:
    """The state of an interrupted training of the same key, if there is one that can be read."""
    content = reader_files.read_checkpoint(scratch)
    if content is None:
        return None
    try:
        state = State.from_bytes(content)
    except ValueError as error:
        progress(f"{scratch}: {error}: starting anew")
        return None
    progress(f"going on after epoch {len(state.history)} of an interrupted training ({scratch})")
    return state


def write_results(name: str, description: Description, fitted: Fitted) -> None:
    """Nothing here depends on time, so that equal trainings give equal bytes."""
    best = {key: artifacts.rounded(value) for key, value in asdict(fitted.best).items()}
    weights = sum(parameter.numel() for parameter in description.build().parameters())
    training = {"epochs": len(fitted.history), "best_epoch": best["epoch"], "weights": weights, "best": best}
    reader_files.write_reader(artifacts.READERS / name, description, fitted.weights, training)
    artifacts.write_metrics(artifacts.METRICS / "train" / f"{name}.json", {
        "validation_character_accuracy": best["validation_character_accuracy"],
        "validation_exact_match": best["validation_exact_match"], "validation_loss": best["validation_loss"],
        "epochs": len(fitted.history), "best_epoch": best["epoch"], "weights": weights})
    artifacts.write_text(artifacts.PLOTS / "train" / f"{name}.csv", curve(fitted.history))


def curve(history: list[Epoch]) -> str:
    """The learning curve as CSV, one row an epoch."""
    rows = [asdict(epoch) for epoch in history]
    lines = [",".join(rows[0]), *(",".join(str(artifacts.rounded(value)) for value in row.values()) for row in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    # Before CUDA starts: cuBLAS is deterministic only with a fixed workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    run(main)
