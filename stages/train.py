"""Train one reader on the training captchas.

Reads   data/captchas/train, data/captchas/validation, readers.<name>.init, and the source of the captchas (fresh)
Writes  data/readers/<name>, plots/train/<name>.json, plots/train/<name>.csv
Params  seed, glyphs, captcha, colour, noise, reader_defaults, readers.<name>

`python -m stages.train <name>`. An interrupted training resumes after its last epoch when it is run again with the same
parameters, data, code and precision, and ends with the same bytes; CAPTCHA_FRESH=1 starts anew.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import cv2
from torch import Tensor

from stages import artifacts, checkpoints, reader_files
from stages.command import progress, run
from stages.drawing import CaptchaStudy, prepare
from stages.params import ReaderParams, read
from stages.reader.architectures import ARCHITECTURES
from stages.reader.fitting import calibration_temperature
from stages.reader.inference import NetworkReader, choose_device
from stages.reader_files import Description
from stages.schemas.train import Epochs
from stages.trainers import TRAINERS, Start, Task, Trained
from stages.training_data import (
    Split,
    check_stored,
    denoised,
    drawn_parts,
    fit_denoiser,
    open_splits,
)

SEED_STRIDE = 1_000_003  # between the seeds of two training runs of one study; the seeds of studies are closer together


def main() -> None:
    params = read("seed", "glyphs", "captcha", "colour", "noise", "reader_defaults", "readers")
    name = reader_name(sys.argv[1:], list(params.readers))
    reader = params.readers[name]
    drawn = (
        reader.fresh
        and reader.epochs > 1
        and ARCHITECTURES[reader.architecture].family == "network"
    )
    if reader.fresh and not drawn:
        progress("fresh: this reader learns from the stored captchas, in one epoch")
    cv2.setNumThreads(1)  # the data-parallel halves of a batch use the cores
    train_reader(
        name, reader, params.seed + SEED_STRIDE * reader.seed, prepare(params) if drawn else None
    )


def reader_name(arguments: list[str], names: list[str]) -> str:
    if len(arguments) != 1 or arguments[0] not in names:
        raise ValueError(
            f"python -m stages.train takes the name of a reader, one of {', '.join(names)} "
            f"(readers in params.yaml); got {' '.join(arguments)!r}"
        )
    return arguments[0]


def train_reader(
    name: str, reader: ReaderParams, seed: int, study: CaptchaStudy | None = None
) -> None:
    """Train a reader and write it; with `study`, the captchas of every epoch after the first are drawn from it."""
    device = choose_device(reader.device)
    precision = reader_files.precision_of(
        reader.architecture, reader.precision, device, report=progress
    )
    # the key must not depend on the precision requested, but on the one used
    reader = replace(reader, precision="auto")
    start = Start.of(reader.init)
    key = checkpoints.scratch_key(
        {"reader": asdict(reader), "seed": seed, "device": device.type},
        [
            *artifacts.parts_of("train"),
            *artifacts.parts_of("validation"),
            *code_files(),
            *start.files(),
        ],
    )
    scratch = checkpoints.scratch_root() / f"{key}-{precision}"
    with ExitStack() as locks:
        # Trainings must not share the outputs of a workspace, or a checkpoint; other experiments may run in parallel.
        locks.enter_context(checkpoints.locked(Path(".scratch") / f"{name}.lock", name))
        locks.enter_context(checkpoints.locked(scratch.with_suffix(".lock"), name))
        train, validation = open_splits(reader.train_on)
        description = describe(reader, train, validation)
        if study is not None:
            check_stored(train, reader.train_on, study)
            description = with_longest(description, study)
        denoiser = fit_denoiser(reader.denoise, seed, device)
        train = denoised(train, reader.denoise, denoiser, device)
        validation = denoised(validation, reader.denoise, denoiser, device)
        fresh = (
            partial(drawn_parts, study, reader.train_on, train.parts[0].denoise) if study else None
        )
        trained = TRAINERS[description.family](
            Task(
                reader=reader,
                description=description,
                train=train,
                validation=validation,
                fresh=fresh,
                start=start,
                scratch=scratch,
                seed=seed,
                precision=precision,
                device=device,
            )
        )
        if trained.reader:
            temperature = validation_temperature(trained.reader, validation)
            description = replace(description, temperature=temperature)
            trained = replace(trained, metrics=replace(trained.metrics, temperature=temperature))
        write_results(name, description, trained, denoiser)
        checkpoints.remove_checkpoint(scratch)


def code_files() -> list[Path]:
    """The code that the result of a training depends on, for the key of its checkpoint."""
    here = Path(__file__).parent
    edge = [here / f"{name}.py" for name in ("drawing", "params", "trainers", "training_data")]
    return [
        Path(__file__),
        *edge,
        *(
            path
            for package in ("captcha", "reader", "sources")
            for path in sorted((here / package).rglob("*.py"))
        ),
    ]


def describe(reader: ReaderParams, *splits: Split) -> Description:
    longest = max((part.labels.shape[1] for split in splits for part in split.parts), default=0)
    return Description(
        reader.architecture,
        splits[0].alphabet,
        splits[0].height,
        splits[0].width,
        reader.channels,
        max(1, longest),
        denoise=reader.denoise,
    )


def with_longest(description: Description, study: CaptchaStudy) -> Description:
    """The description with positions for the longest text of a later epoch; texts of a captcha folder are fixed."""
    longest = 0 if study.folder is not None else study.layout.length[1]
    return replace(description, positions=max(description.positions, longest))


def validation_temperature(reader: NetworkReader, validation: Split) -> float:
    """The temperature that calibrates the confidences on the validation captchas, rounded as it is stored."""
    found = float(artifacts.rounded(calibration_temperature(reader, validation.parts)))
    progress(f"temperature {found:.2f} calibrates the confidences on the validation captchas")
    return found


def write_results(
    name: str, description: Description, trained: Trained, denoiser: dict[str, Tensor]
) -> None:
    plots = artifacts.PLOTS / "train"
    reader_files.write_reader(
        artifacts.READERS / name, description, trained.weights | denoiser, trained.record
    )
    artifacts.write_metrics(plots / f"{name}.json", trained.metrics.to_json())
    artifacts.write_table(
        plots / f"{name}.csv", Epochs, [asdict(epoch) for epoch in trained.history]
    )


if __name__ == "__main__":
    # Before CUDA starts: cuBLAS is deterministic only with a fixed workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    run(main)
