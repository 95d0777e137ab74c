"""Captchas per second in training and reading, in fp32 and bf16: compact, ctc, and a full-resolution trunk.

Run from the root: `python -m benchmarks.reader [rounds]`; prints a Markdown table of medians. 1,600 random captchas of
40 x 128 px with four digits. Training is one complete epoch without reading the parts from disk; reading includes
decoding and alignment. The peer is the trunk of most captcha repositories: 3x3 convolutions of 16, 32, 64 and 64
channels at full resolution, with pooling. `a CPU second` is the work of one core per second of its own time; `a second`
is wall time with all threads, and falls on a busy machine.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stages.reader.alignment import answers
from stages.reader.architectures import ADAMW, MUON
from stages.reader.batches import batches, steps_of
from stages.reader.data_parallel import SHARDS, replicas
from stages.reader.fitting import run_epoch
from stages.reader.inference import NetworkReader
from stages.reader.networks import Ctc, Network, Standardise, block, build_network, initialise
from stages.reader.optimisers import optimisers_of
from stages.reader.threads import cores

COUNT = 1600
HEIGHT = 40
WIDTH = 128
BATCH = 64
CPU = torch.device("cpu")


@dataclass
class ArrayPart:
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def images(self) -> NDArray[np.uint8]:
        return self.pixels


def random_part() -> ArrayPart:
    rng = np.random.default_rng(0)
    return ArrayPart(
        rng.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), np.uint8), rng.integers(1, 11, (COUNT, 4))
    )


def built(architecture: str, channels: int) -> Network:
    return build_network(
        architecture, alphabet_size=10, height=HEIGHT, width=WIDTH, channels=channels, positions=4
    )


def full_resolution(classes: int) -> Network:
    """The trunk of most captcha repositories: convolutions without stride, each followed by pooling."""
    features = nn.Sequential(
        Standardise(),
        block(3, 16),
        nn.MaxPool2d(2, ceil_mode=True),
        block(16, 32),
        nn.MaxPool2d(2, ceil_mode=True),
        block(32, 64),
        nn.MaxPool2d((2, 1), ceil_mode=True),
        block(64, 64),
    )
    return Ctc(classes, features, 64).to(memory_format=torch.channels_last)


def timed(work: object) -> tuple[float, float]:
    """Captchas per second of CPU time of one core, and of wall time."""
    cpu = time.process_time()
    wall = time.monotonic()
    work()  # type: ignore[operator]
    return COUNT / (time.process_time() - cpu), COUNT / (time.monotonic() - wall)


def measure(
    network: Network, optimiser: str, precision: str, part: ArrayPart
) -> list[tuple[float, float]]:
    """Rates of training and reading, each per second of CPU time and of wall time."""
    initialise(network, generator=torch.Generator().manual_seed(0))
    steps = 10_000 * steps_of([part], BATCH)
    optimisers = optimisers_of(
        network, optimiser, learning_rate=1e-3, weight_decay=0.01, steps=steps
    )
    with replicas(network, CPU) as side_by_side:
        trained = timed(
            lambda: run_epoch(
                side_by_side, optimisers, batches([part], BATCH, seed=0, epoch=1), precision, CPU
            )
        )
    recogniser = NetworkReader(network, precision=precision, device=CPU)
    recogniser.read(part.pixels[:100])  # warm
    return [trained, timed(lambda: answers(part.labels, recogniser.read(part.pixels)))]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    part = random_part()
    networks = {
        "compact, Muon": (built("compact", 16), MUON),
        "ctc, AdamW": (built("ctc", 32), ADAMW),
        "full-resolution stem, AdamW": (full_resolution(11), ADAMW),
    }
    cases = {
        f"{name}, {precision}": (*network, precision)
        for name, network in networks.items()
        for precision in ("fp32", "bf16")
    }
    results: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in cases}
    for i in range(
        rounds + 1
    ):  # interleaved, so that a busy minute affects all; the first round warms up
        for name, case in cases.items():
            figures = measure(*case, part)
            if i:
                results[name].append(figures)
    print(f"{SHARDS} threads train, {cores()} read; median of {rounds}\n")
    print(
        "| reader | weights | trained a CPU second | trained a second | read a CPU second | read a second |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for name, (network, *_) in cases.items():
        medians = np.array(results[name]).reshape(rounds, 4)
        numbers = " | ".join(f"{statistics.median(column):,.0f}" for column in medians.T)
        print(f"| {name} | {sum(p.numel() for p in network.parameters()):,} | {numbers} |")


if __name__ == "__main__":
    main()
