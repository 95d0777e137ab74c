"""Accuracy against CPU seconds of training, per reader, compared with the former recipe and the usual network.

Run from the root, after `dvc repro generate`: `python -m benchmarks.learning [READER ...] [--seeds N] [--target X]`.
READER is a reader of params.yaml that is a network (default: noisy). Its peers are trained in the same run: `before`,
the recipe of this study until November 2026 (ctc with 32 channels, AdamW, the stored captchas in every epoch), and
`usual`, the same with the network of most captcha repositories. `--alone` leaves the peers out.

Prints a Markdown table with one row per epoch. CPU seconds are those of all threads, for drawing, training and
validation; reading the test captchas is not counted. `--target` is an exact match, over all test captchas, or over the
clean ones for a reader trained on clean captchas. The last table says when each recipe first reached it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.reader import full_resolution
from stages import artifacts
from stages.drawing import CaptchaStudy, prepare
from stages.params import ReaderParams, read
from stages.reader.alignment import answers
from stages.reader.architectures import of_family
from stages.reader.batches import Images, Labels
from stages.reader.decoding import encode
from stages.reader.fitting import Schedule, TrainingState, fit
from stages.reader.inference import NetworkReader
from stages.reader.networks import Network, initialise
from stages.reader.precision import arithmetic, choose_precision
from stages.reader_files import Description
from stages.train import SEED_STRIDE, describe
from stages.trainers import NO_INIT
from stages.training_data import drawn_parts, open_split

CPU = torch.device("cpu")
Builder = Callable[[Description], Network]


@dataclass(frozen=True)
class Point:
    """Accuracy and cost of a recipe after an epoch."""

    recipe: str
    seed: int
    epoch: int
    seconds: float  # CPU
    all: float  # exact match over all conditions
    clean: float  # exact match of the clean test captchas
    characters: float  # character accuracy over all conditions


@dataclass(frozen=True)
class TestSet:
    """The test captchas, in memory."""

    images: Images
    labels: Labels  # (n, T)
    clean: NDArray[np.bool_]  # (n,)

    def shares(self, network: Network, precision: str) -> tuple[float, float, float]:
        """Exact match over all and over clean captchas, and character accuracy."""
        read_ = NetworkReader(network, precision=precision, device=CPU).read(self.images)
        answered, _ = answers(self.labels, read_)
        right = (answered == self.labels) & (self.labels > 0)
        lengths = (self.labels > 0).sum(axis=1)
        whole = (right.sum(axis=1) == lengths) & (read_.lengths == lengths)
        return (
            float(whole.mean()),
            float(whole[self.clean].mean()),
            float(right.sum() / lengths.sum()),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("readers", nargs="*", default=["noisy"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--target", type=float)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="fp32")
    asked = parser.parse_args()
    params = read("seed", "glyphs", "captcha", "colour", "noise", "reader_defaults", "readers")
    for name in asked.readers:
        refuse(parser, name, params.readers)
    held = load_test()
    cv2.setNumThreads(1)
    for name in asked.readers:
        reader = replace(params.readers[name], precision=choose_precision(asked.precision, CPU))
        print(f"{name}: {arithmetic(reader.precision, CPU)}\n")
        points = compare(
            recipes(name, reader, alone=asked.alone), prepare(params), held, asked.seeds
        )
        if asked.target is not None:
            summarise(points, asked.target, clean=reader.train_on == "clean")


def refuse(parser: argparse.ArgumentParser, name: str, readers: Mapping[str, ReaderParams]) -> None:
    """Raise an error of one line for a reader that cannot be trained here."""
    if name not in readers:
        parser.error(f"{name}: expected a reader of params.yaml, one of {', '.join(readers)}")
    reader = readers[name]
    if (
        reader.architecture not in of_family("network")
        or reader.denoise != "none"
        or Path(reader.init) != NO_INIT
    ):
        parser.error(
            f"{name}: expected a network without denoise and init, got {reader.architecture}, "
            f"{reader.denoise} and {reader.init}"
        )


def load_test() -> TestSet:
    tables = [
        artifacts.read_captchas(path, ["condition", "text", "image"])
        for path in artifacts.parts_of("test")
    ]
    alphabet = artifacts.alphabet_of(tables[0].schema)
    labels = encode([text for table in tables for text in table["text"].to_pylist()], alphabet)
    condition = np.concatenate([table["condition"].to_numpy() for table in tables])
    return TestSet(
        np.concatenate([artifacts.images_of(table) for table in tables]), labels, condition == 0
    )


def recipes(
    name: str, reader: ReaderParams, *, alone: bool
) -> dict[str, tuple[ReaderParams, Builder]]:
    """The reader of params.yaml and its peers: settings, and the network of a description."""
    found: dict[str, tuple[ReaderParams, Builder]] = {
        name: (reader, lambda description: description.build())
    }
    if alone:
        return found
    clean = reader.train_on == "clean"
    before = replace(
        reader,
        architecture="ctc",
        channels=32,
        optimiser="adamw",
        fresh=False,
        augment=0.0,
        train_on="clean" if clean else "both",
        epochs=4 if clean else 5,
        batch=64,
        learning_rate=0.004,
        weight_decay=0.01,
    )
    return found | {
        "before": (before, lambda description: description.build()),
        "usual": (before, lambda description: full_resolution(len(description.alphabet) + 1)),
    }


def compare(
    chosen: dict[str, tuple[ReaderParams, Builder]], study: CaptchaStudy, held: TestSet, seeds: int
) -> list[Point]:
    """Train all recipes in turn for each seed, and print one row per epoch."""
    print("| recipe | seed | epoch | CPU s | exact match | clean | characters |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    points: list[Point] = []
    for seed in range(1, seeds + 1):
        for name, (reader, network) in chosen.items():
            points.extend(learn(name, reader, network, study, held, seed))
    return points


def learn(
    name: str,
    reader: ReaderParams,
    network_of: Builder,
    study: CaptchaStudy,
    held: TestSet,
    seed: int,
) -> list[Point]:
    """Train once. Every epoch is measured and printed; that time is not counted."""
    points: list[Point] = []
    spent = 0.0
    since = time.process_time()

    def record(state: TrainingState) -> None:
        nonlocal spent, since
        spent += time.process_time() - since
        tried = network_of(description)
        tried.load_state_dict(state.weights)
        point = Point(name, seed, len(state.history), spent, *held.shares(tried, reader.precision))
        print(
            f"| {name} | {seed} | {point.epoch} | {point.seconds:.0f} | {point.all:.3f} | {point.clean:.3f} "
            f"| {point.characters:.3f} |",
            flush=True,
        )
        points.append(point)
        since = time.process_time()

    train, validation = (open_split(split, reader.train_on) for split in ("train", "validation"))
    description = describe(reader, train, validation)
    network = initialise(
        network_of(description), generator=torch.Generator().manual_seed(SEED_STRIDE * seed)
    )
    schedule = Schedule(
        epochs=reader.epochs,
        patience=reader.epochs,
        batch=reader.batch,
        learning_rate=reader.learning_rate,
        weight_decay=reader.weight_decay,
        precision=reader.precision,
        seed=SEED_STRIDE * seed,
        augment=reader.augment,
        optimiser=reader.optimiser,
    )
    fresh = (
        partial(drawn_parts, study, reader.train_on, train.parts[0].denoise)
        if reader.fresh
        else None
    )
    fit(network, train.parts, validation.parts, schedule, device=CPU, fresh=fresh, on_epoch=record)
    return points


def summarise(points: list[Point], target: float, *, clean: bool) -> None:
    """When each recipe first reached the target, and the accuracy of its last epoch: mean, and range over the seeds."""
    print(
        f"\n| recipe | CPU s to {target:g} | seeds that came to it | CPU s of all epochs | exact match at the end |"
    )
    print("|---|--:|--:|--:|--:|")
    for name in dict.fromkeys(point.recipe for point in points):
        runs = [
            [point for point in points if (point.recipe, point.seed) == (name, seed)]
            for seed in dict.fromkeys(point.seed for point in points)
        ]
        firsts = [
            next((point.seconds for point in run if reached(point, clean) >= target), None)
            for run in runs
        ]
        came = [seconds for seconds in firsts if seconds is not None]
        ends = [reached(run[-1], clean) for run in runs]
        mean = f"{np.mean(came):.0f}" if came else "none came to it"
        print(
            f"| {name} | {mean} | {len(came)} of {len(runs)} | {np.mean([run[-1].seconds for run in runs]):.0f} "
            f"| {np.mean(ends):.3f} ({min(ends):.3f} to {max(ends):.3f}) |"
        )


def reached(point: Point, clean: bool) -> float:
    return point.clean if clean else point.all


if __name__ == "__main__":
    main()
