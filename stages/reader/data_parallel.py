"""Two-way data-parallel training: the halves of a batch are computed in parallel, each on one core."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from stages.reader.alternatives.dropout import reseed
from stages.reader.threads import one_thread_each

SHARDS = 2  # constant, not the number of cores: batch normalisation sees one half, so the result depends on it

Module = TypeVar("Module", bound=nn.Module)
LossOf = Callable[[Module, slice], Tensor]  # mean loss of these rows of the batch


@dataclass(frozen=True)
class Replicas(Generic[Module]):
    """A network and its twin, which shares its weights (the same memory) and has gradients of its own.

    Torch's own threads synchronise at every operation, hundreds of times per step: where another program takes one of
    two cores, each of them waits, and training is twenty times as slow (docs/measurements.md). Halves synchronise once
    per step.
    """

    network: Module
    twins: tuple[Module, ...]
    pool: ThreadPoolExecutor

    def backward(self, loss_of: LossOf[Module], size: int) -> float:
        """Put the gradient of the mean loss of a batch of `size` rows into the network; returns that loss."""
        networks = [self.network, *self.twins][: max(1, min(size, 1 + len(self.twins)))]
        bounds = [size * i // len(networks) for i in range(len(networks) + 1)]
        shards = [slice(*pair) for pair in pairwise(bounds)]
        losses = list(
            self.pool.map(
                _backward, networks, [loss_of] * len(networks), shards, [size] * len(networks)
            )
        )
        for twin in networks[1:]:
            for parameter, other in zip(self.network.parameters(), twin.parameters(), strict=True):
                assert parameter.grad is not None
                assert other.grad is not None
                parameter.grad += other.grad
                other.grad = None
        return sum(losses)

    def reseed(self, *identity: int) -> None:
        """Give each replica's dropout its own random stream, derived from `identity` (such as seed and epoch)."""
        for replica, network in enumerate([self.network, *self.twins]):
            reseed(network, *identity, replica)

    def train(self) -> None:
        """Switch to training mode; the twins start from the network's batch normalisation statistics."""
        self.network.train()
        for twin in self.twins:
            twin.train()
            for buffer, other in zip(self.network.buffers(), twin.buffers(), strict=True):
                other.copy_(buffer)

    def gather(self) -> None:
        """Set the network's batch normalisation statistics to the mean of all replicas'."""
        for buffers in zip(
            self.network.buffers(), *(twin.buffers() for twin in self.twins), strict=True
        ):
            if buffers[0].is_floating_point():
                buffers[0].copy_(torch.stack(buffers).mean(0))


def _backward(network: Module, loss_of: LossOf[Module], rows: slice, size: int) -> float:
    loss = loss_of(network, rows) * ((rows.stop - rows.start) / size)
    loss.backward()
    return float(loss.item())


@contextmanager
def replicas(network: Module, device: torch.device) -> Iterator[Replicas[Module]]:
    """The network and SHARDS - 1 twins on the CPU; only the network elsewhere, where one batch fills the device."""
    twins = tuple(_twin(network) for _ in range(SHARDS - 1)) if device.type == "cpu" else ()
    with one_thread_each(1 + len(twins)) as pool:
        yield Replicas(network, twins, pool)


def _twin(network: Module) -> Module:
    twin = copy.deepcopy(network)
    for parameter, other in zip(network.parameters(), twin.parameters(), strict=True):
        other.data = parameter.data
    return twin
