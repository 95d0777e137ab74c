"""Thread pools: batches run in parallel on the CPU, each on one core."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def map_batches(
    function: Callable[[Batch], Result], batches: Iterable[Batch], device: torch.device
) -> list[Result]:
    """The function's results for each batch, in order; computed in parallel on the CPU, one after another elsewhere."""
    workers = cores() if device.type == "cpu" else 1
    with one_thread_each(workers) as pool:
        return list(pool.map(function, batches))


@contextmanager
def one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads run Torch's operations on one core each; so does the caller inside the block."""
    with (
        one_thread(),
        ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        yield pool


@contextmanager
def one_thread() -> Iterator[None]:
    """Run Torch's operations on one core inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
