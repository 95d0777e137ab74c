"""Dropout with its own random stream, so that replicas of a network train in parallel and reproducibly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Each value is 0 with probability p, the others are divided by 1 - p (Srivastava et al. 2014); identity in eval.

    Torch's own dropout draws from one stream per process, in an order that depends on the scheduling of threads. Here
    each module has its own stream, which `reseed` starts; without it the seed is 0. The stream is not part of the
    weights. The mask depends on the shape of the input, not on its memory format. A copy continues the stream of the
    original. Raises ValueError where p is not in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout: expected a probability from 0 to below 1, got {p!r}")
        self.p = p
        self.seed = 0
        # created at the first draw, on the device of the input
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.generator is None or self.generator.device != x.device:
            self.generator = torch.Generator(x.device).manual_seed(self.seed)
        drawn = torch.rand(x.shape, generator=self.generator, device=x.device)
        return x * (drawn >= self.p).to(x.dtype).mul_(1 / (1 - self.p))

    def restart(self, seed: int) -> None:
        """Start the stream of this seed at its beginning."""
        self.seed = seed
        self.generator = None

    def __getstate__(self) -> dict[str, Any]:
        generator = self.generator
        drawn = None if generator is None else (generator.device, generator.get_state())
        return {**self.__dict__, "generator": drawn}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if self.generator is not None:
            device, drawn = state["generator"]
            self.generator = torch.Generator(device)
            self.generator.set_state(drawn)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def reseed(network: nn.Module, *identity: int) -> None:
    """Start the stream of each Dropout in the network from the identity, such as (seed, epoch, replica), and its index.

    The index counts the Dropouts of the network in the order of registration. All numbers are 0 or more.
    """
    dropouts = [module for module in network.modules() if isinstance(module, Dropout)]
    for place, dropout in enumerate(dropouts):
        # with its length, since NumPy treats (1, 2) and (1, 2, 0) as one seed
        name = (len(identity), *identity, place)
        # shifted, since Torch's seeds are signed
        dropout.restart(int(np.random.SeedSequence(name).generate_state(1, np.uint64)[0] >> 1))
