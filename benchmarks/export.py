"""Captchas read per second by the reader `noisy`: PyTorch in fp32 and bf16, and its ONNX file in ONNX Runtime.

Run from the root, after `dvc repro`: `python -m benchmarks.export [rounds]`; prints a Markdown table of medians. The
first 1,600 renderings of the test captchas, images to logits, 100 at a time, on the CPU. PyTorch reads one batch per
core; ONNX Runtime reads batches in sequence, on one thread or on one per core. `a CPU second` is the work of one core
per second of its own time, idle waiting of ONNX Runtime's threads included; `a second` is wall time, and falls on a
busy machine. The difference is the largest one of any probability from PyTorch in fp32.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages import artifacts
from stages.export import open_session, require_packages, run_onnx, to_onnx
from stages.reader.batches import Images
from stages.reader.decoding import softmax
from stages.reader.inference import BATCH, NetworkReader
from stages.reader.networks import Network
from stages.reader.threads import cores
from stages.reader_files import load_reader

COUNT = 1600
READER = "noisy"
CPU = torch.device("cpu")
Logits = NDArray[np.float32]
Read = Callable[[Images], Logits]


def test_images() -> Images:
    """The first COUNT renderings of the test captchas, (n, H, W, 3)."""
    images: list[Images] = []
    for path in artifacts.parts_of("test"):
        images.append(artifacts.images_of(artifacts.read_captchas(path, ["image"])))
        if sum(map(len, images)) >= COUNT:
            return np.concatenate(images)[:COUNT]
    raise ValueError(
        f"expected at least {COUNT} renderings of test captchas: raise captcha.test, run `dvc repro`"
    )


def in_batches(session: Any) -> Read:
    return lambda images: np.concatenate(
        [run_onnx(session, images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    )


def timed(read: Read, images: Images) -> tuple[float, float, Logits]:
    """Images per second of CPU time of one core, and of wall time; and the logits."""
    cpu = time.process_time()
    wall = time.monotonic()
    logits = read(images)
    return (
        len(images) / (time.process_time() - cpu),
        len(images) / (time.monotonic() - wall),
        logits,
    )


def cases(content: bytes, network: Network, temperature: float) -> dict[str, Read]:
    """Each way to read; the others are compared with the first."""
    torch_readers = {
        f"PyTorch, {precision}": NetworkReader(
            network, precision=precision, device=CPU, temperature=temperature
        ).logits
        for precision in ("fp32", "bf16")
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reader.onnx")
        path.write_bytes(content)
        sessions = {threads: open_session(path, threads) for threads in sorted({1, cores()})}
    return torch_readers | {
        f"ONNX Runtime, {threads} thread{'s' * (threads > 1)}": in_batches(session)
        for threads, session in sessions.items()
    }


def main() -> None:
    require_packages()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    images = test_images()
    network, description, _ = load_reader(artifacts.READERS / READER)
    ways = cases(to_onnx(network, description), network, description.temperature)
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    probabilities: dict[str, NDArray[np.float32]] = {}
    for i in range(
        rounds + 1
    ):  # interleaved, so that a busy minute affects all; the first round warms up
        for name, read in ways.items():
            cpu, wall, logits = timed(read, images)
            probabilities[name] = softmax(logits)
            if i:
                speeds[name].append((cpu, wall))
    print(
        f"{len(images):,} images of {images.shape[1]} x {images.shape[2]} px, {cores()} cores; median of {rounds}\n"
    )
    print(
        "| runtime | read a CPU second | read a second | largest difference of a probability |\n|---|--:|--:|--:|"
    )
    expected = probabilities["PyTorch, fp32"]
    for name, pairs in speeds.items():
        cpu, wall = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"| {name} | {cpu:,.0f} | {wall:,.0f} | {np.abs(probabilities[name] - expected).max():.1g} |"
        )


if __name__ == "__main__":
    main()
