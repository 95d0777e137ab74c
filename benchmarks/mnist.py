"""Seconds of training to 99 % of MNIST's official test digits: our `heads` reader against PyTorch's MNIST example.

Run from the root: `python -m benchmarks.mnist FOLDER [rounds]`, FOLDER in torchvision's layout; prints a Markdown table
of medians. The peer is the network and loop of pytorch/examples/mnist (two 3x3 convolutions of 32 and 64 channels, two
dense layers, dropout; Adadelta at 1.0, times 0.7 per epoch; batches of 64 by a DataLoader that converts one image at a
time into a tensor), with Torch's threads. Both are tested after every epoch (test time is counted), until they reach
99 % or after LIMIT epochs. Rounds are interleaved, each with another seed. The test digits decide only when to stop.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.reader import ArrayPart
from stages.reader.fitting import Schedule, fit
from stages.reader.networks import build_network, initialise
from stages.reader.precision import choose_precision
from stages.sources.mnist import read_mnist

# the example's own number of epochs
TARGET = 0.99
LIMIT = 14
SCHEDULE = Schedule(
    epochs=1, patience=1, batch=64, learning_rate=0.008, weight_decay=0.01, precision="auto", seed=0
)
CHANNELS = 16

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    seconds: float  # until TARGET was reached, or until the last epoch
    epochs: int
    accuracy: float


class Digits(Dataset[tuple[Tensor, int]]):
    """A data set like torchvision.datasets.MNIST: one image at a time, through PIL."""

    def __init__(self, images: Bytes, labels: Ints) -> None:
        self.images = images
        self.labels = labels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class Example(nn.Module):
    """The network of pytorch/examples/mnist: 1,199,882 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        x = self.dropout1(functional.max_pool2d(x, 2)).flatten(1)
        return functional.log_softmax(self.fc2(self.dropout2(functional.relu(self.fc1(x)))), 1)


def example(train: Digits, test: Digits, seed: int) -> Run:
    torch.manual_seed(seed)
    network = Example()
    optimiser = torch.optim.Adadelta(network.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, step_size=1, gamma=0.7)
    started = time.monotonic()
    accuracy = 0.0
    epoch = 0
    while accuracy < TARGET and epoch < LIMIT:
        epoch += 1
        network.train()
        for images, labels in DataLoader(train, batch_size=64, shuffle=True):
            optimiser.zero_grad()
            functional.nll_loss(network(images), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        scheduler.step()
        network.eval()
        with torch.no_grad():
            right = sum(
                int((network(images).argmax(1) == labels).sum())
                for images, labels in DataLoader(test, batch_size=1000)
            )
        accuracy = right / len(test)
    return Run(time.monotonic() - started, epoch, accuracy)


def ours(train: list[ArrayPart], test: list[ArrayPart], seed: int) -> Run:
    network = build_network(
        "heads", alphabet_size=10, height=28, width=28, channels=CHANNELS, positions=1
    )
    initialise(network, generator=torch.Generator().manual_seed(seed))
    ticks: list[float] = []
    started = time.monotonic()
    precision = choose_precision(SCHEDULE.precision, torch.device("cpu"))
    schedule = replace(SCHEDULE, precision=precision, seed=seed)
    fitted = fit(
        network,
        train,
        test,
        schedule,
        device=torch.device("cpu"),
        report=lambda line: ticks.append(time.monotonic() - started),
    )
    for tick, epoch in zip(ticks, fitted.history, strict=True):
        if epoch.validation_exact_match >= TARGET:
            return Run(tick, epoch.epoch, epoch.validation_exact_match)
    return Run(ticks[-1], len(ticks), fitted.history[-1].validation_exact_match)


def parts(images: Bytes, labels: Ints) -> list[ArrayPart]:
    pixels = np.repeat(images[..., None], 3, axis=3)
    return [
        ArrayPart(pixels[i : i + 1000], labels[i : i + 1000, None] + 1)
        for i in range(0, len(images), 1000)
    ]


def rounds(folder: Path, count: int) -> Iterator[tuple[str, Run]]:
    images, labels, official = read_mnist(folder, "0123456789", download=False)
    train, test = ((images[chosen], labels[chosen]) for chosen in (~official, official))
    for seed in range(count):
        yield "ours, heads", ours(parts(*train), parts(*test), seed)
        yield "PyTorch example", example(Digits(*train), Digits(*test), seed)


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: python -m benchmarks.mnist FOLDER [rounds]")
    runs: dict[str, list[Run]] = {}
    for name, run in rounds(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 3):
        print(
            f"{name}: {run.seconds:.1f} s, {run.epochs} epochs, {run.accuracy:.2%}",
            file=sys.stderr,
            flush=True,
        )
        runs.setdefault(name, []).append(run)
    print("| reader | seconds to 99 % | times ours | epochs | accuracy |\n|---|--:|--:|--:|--:|")
    base = statistics.median(run.seconds for run in next(iter(runs.values())))
    for name, found in runs.items():
        middle = statistics.median(run.seconds for run in found)
        print(
            f"| {name} | {middle:.1f} | {middle / base:.1f} | {statistics.median(run.epochs for run in found):g} | "
            f"{statistics.median(run.accuracy for run in found):.2%} |"
        )


if __name__ == "__main__":
    main()
