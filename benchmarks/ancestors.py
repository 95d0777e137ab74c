"""Images per second in training and reading: the networks of the ancestor projects against ours.

Run from the root: `python -m benchmarks.ancestors [rounds] [images]`; prints a Markdown table of medians. All networks
get the same random images: single digits of 28 x 28 px, and four digits on 100 x 110 px, the size of the main ancestor.
Training is one complete epoch without reading the parts from disk; reading includes decoding and alignment. The
ancestors compute in float32, as in their projects. All run in Torch and in this project's loop: only the networks
differ. `weights` are counted as in Keras, with the means and variances of normalisations. `a CPU second` is the work of
one core per second of its own time; `a second` is wall time with all threads, and falls on a busy machine. `an epoch`
is the wall time, s, for the ancestors' own training set: 60,000 digits, 100,000 captchas.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.reader import ArrayPart
from stages.reader.alignment import answers
from stages.reader.architectures import ARCHITECTURES
from stages.reader.batches import batches, steps_of
from stages.reader.data_parallel import SHARDS, replicas
from stages.reader.fitting import run_epoch
from stages.reader.inference import NetworkReader
from stages.reader.networks import Network, build_network, initialise
from stages.reader.optimisers import optimisers_of
from stages.reader.threads import cores

BATCH = 64
CHANNELS = 32
DIGITS = 10
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Task:
    """Images of one size, and the networks that read them."""

    height: int  # px
    width: int  # px
    positions: int
    epoch: int  # images in the ancestors' training set
    images: int  # measured
    ancestors: tuple[str, ...]
    ours: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.height} x {self.width}"


@dataclass(frozen=True)
class Case:
    """A network, its precision, and its input."""

    task: Task
    name: str
    precision: str
    network: Network
    part: ArrayPart


def tasks(images: int) -> list[Task]:
    """The tasks. Captchas have fourteen times the pixels of digits, so there are eight times fewer of them."""
    captcha = "themlaw"
    ancestors = [
        name
        for name, one in ARCHITECTURES.items()
        if one.place.startswith("alternatives.ancestors:")
    ]
    return [
        Task(
            28,
            28,
            1,
            60_000,
            images,
            tuple(name for name in ancestors if name != captcha),
            ("ctc", "heads", "dense"),
        ),
        Task(100, 110, 4, 100_000, max(BATCH, images // 8), (captcha,), ("ctc", "heads")),
    ]


def cases(task: Task) -> list[Case]:
    """The ancestors in fp32, ours in both precisions, on the same images."""
    rng = np.random.default_rng(0)
    part = ArrayPart(
        rng.integers(0, 256, (task.images, task.height, task.width, 3), np.uint8),
        rng.integers(1, DIGITS + 1, (task.images, task.positions)),
    )
    sizes = {
        "alphabet_size": DIGITS,
        "height": task.height,
        "width": task.width,
        "positions": task.positions,
    }
    theirs = [
        Case(task, name, "fp32", build_network(name, channels=CHANNELS, **sizes), part)
        for name in task.ancestors
    ]
    return theirs + [
        Case(
            task, f"{name} (ours)", precision, build_network(name, channels=CHANNELS, **sizes), part
        )
        for name in task.ours
        for precision in ("fp32", "bf16")
    ]


def timed(work: Callable[[], object], images: int) -> tuple[float, float]:
    """Images per second of CPU time of one core, and of wall time."""
    cpu = time.process_time()
    wall = time.monotonic()
    work()
    return images / (time.process_time() - cpu), images / (time.monotonic() - wall)


def measure(case: Case) -> tuple[float, float, float, float]:
    """Rates of training and reading, each per second of CPU time and of wall time."""
    network = initialise(case.network, generator=torch.Generator().manual_seed(0))
    part = case.part
    steps = steps_of([part], BATCH)
    optimisers = optimisers_of(
        network, "adamw", learning_rate=1e-3, weight_decay=0.01, steps=10_000 * steps
    )
    with replicas(network, CPU) as side_by_side:
        side_by_side.reseed(0, 1)
        trained = timed(
            lambda: run_epoch(
                side_by_side,
                optimisers,
                batches([part], BATCH, seed=0, epoch=1),
                case.precision,
                CPU,
            ),
            steps * BATCH,
        )
    recogniser = NetworkReader(network, precision=case.precision, device=CPU)
    recogniser.read(part.pixels[:100])  # warm
    return *trained, *timed(
        lambda: answers(part.labels, recogniser.read(part.pixels)), len(part.labels)
    )


def weights_of(network: Network) -> int:
    return sum(
        tensor.numel() for tensor in network.state_dict().values() if tensor.is_floating_point()
    )


def row(case: Case, rounds: list[tuple[float, float, float, float]]) -> str:
    """One line of the table."""
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    numbers = " | ".join(
        f"{number:,.0f}"
        for number in (
            weights_of(case.network),
            *medians[:2],
            case.task.epoch / medians[1],
            *medians[2:],
        )
    )
    return f"| {case.name} | {case.task} | {case.precision} | {numbers} |"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    images = max(BATCH, int(sys.argv[2])) if len(sys.argv) > 2 else 1600
    every = [case for task in tasks(images) for case in cases(task)]
    results: list[list[tuple[float, float, float, float]]] = [[] for _ in every]
    for i in range(
        rounds + 1
    ):  # interleaved, so that a busy minute affects all; the first round warms up
        for case, figures in zip(every, results, strict=True):
            measured = measure(case)
            if i:
                figures.append(measured)
    print(f"{SHARDS} threads train, {cores()} read; median of {rounds}\n")
    print(
        "| network | px | precision | weights | trained a CPU second | trained a second | an epoch, s "
        "| read a CPU second | read a second |"
    )
    print("|---|---|---|--:|--:|--:|--:|--:|--:|")
    for case, figures in zip(every, results, strict=True):
        print(row(case, figures))


if __name__ == "__main__":
    main()
