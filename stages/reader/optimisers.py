"""Optimisers of a network: AdamW for all weights, or Muon for the convolutions and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from stages.reader.architectures import ADAMW

MUON_RATE = (
    5.0  # times the learning rate of AdamW: the size of its steps does not depend on the gradient
)
# Newton-Schulz (Jordan et al. 2024): x -> 3.4445 x - 4.775 x^3 + 2.0315 x^5 maps singular values in 0..1 to about 1.
LINEAR = 3.4445
CUBIC = -4.7750
QUINTIC = 2.0315
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum: the step of a weight matrix is the nearest matrix whose singular values are about 1.

    Jordan, Jin, Boza, You, Cesista, Newhouse & Bernstein (2024), "Muon: an optimizer for hidden layers", with Nesterov
    momentum. A convolution is a matrix (output channels, inputs). Directions of small gradient are learned as fast as
    the others (docs/measurements.md, "What a reader learns").
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        *,
        weight_decay: float,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(
            parameters, {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum}
        )

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                mean = state["momentum"] = (
                    state["momentum"] if state else torch.zeros_like(parameter)
                )
                mean.mul_(group["momentum"]).add_(parameter.grad)
                ahead = parameter.grad.add(mean, alpha=group["momentum"]).flatten(1)
                size = max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(orthogonalised(ahead).view_as(parameter), alpha=-group["lr"] * size)


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix (m, n) with the singular vectors of `matrix` and singular values of about 1 (0.7 to 1.2).

    Newton-Schulz iteration on the smaller Gram matrix. Each step multiplies by a polynomial in it; such factors
    commute, so the wide matrix is multiplied twice, not ten times.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalised(matrix.T).T
    matrix = matrix / (matrix.norm() + 1e-7)
    gram = matrix @ matrix.T
    factor = torch.eye(len(gram), dtype=matrix.dtype, device=matrix.device)
    for _ in range(ITERATIONS):
        polynomial = CUBIC * gram + QUINTIC * (gram @ gram)
        polynomial.diagonal().add_(LINEAR)
        factor = polynomial @ factor
        gram = polynomial @ gram @ polynomial
    return factor @ matrix


@dataclass(frozen=True)
class Optimisers:
    """The optimisers of disjoint sets of a network's weights, each with its learning rate schedule."""

    members: list[tuple[torch.optim.Optimizer, LRScheduler]]

    @property
    def rate(self) -> float:
        """The current learning rate of the first optimiser."""
        return float(self.members[0][0].param_groups[0]["lr"])

    def step(self) -> None:
        for optimiser, scheduler in self.members:
            optimiser.step()
            scheduler.step()

    def states(self) -> list[dict[str, Any]]:
        """What the next step depends on, except weights and gradients."""
        return [
            {"optimiser": optimiser.state_dict(), "scheduler": scheduler.state_dict()}
            for optimiser, scheduler in self.members
        ]

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        for (optimiser, scheduler), state in zip(self.members, states, strict=True):
            optimiser.load_state_dict(state["optimiser"])
            scheduler.load_state_dict(state["scheduler"])


def optimisers_of(
    network: nn.Module, name: str, *, learning_rate: float, weight_decay: float, steps: int
) -> Optimisers:
    """The optimisers of a network for `steps` steps; `learning_rate` is the peak of AdamW's one-cycle schedule.

    With Muon, both optimisers warm up for half as long and decay linearly.
    """
    steps += 1  # the scheduler counts one step before the first
    if name == ADAMW:
        adamw = torch.optim.AdamW(
            decayed(network.parameters(), weight_decay), learning_rate, fused=True
        )
        return Optimisers([(adamw, OneCycleLR(adamw, learning_rate, steps))])
    kernels = [parameter for parameter in network.parameters() if parameter.ndim == 4]
    others = [parameter for parameter in network.parameters() if parameter.ndim != 4]
    made: list[tuple[torch.optim.Optimizer, float]] = [
        (torch.optim.AdamW(decayed(others, weight_decay), learning_rate, fused=True), learning_rate)
    ]
    if kernels:
        rate = MUON_RATE * learning_rate
        made.append((Muon(kernels, rate, weight_decay=weight_decay), rate))
    return Optimisers(
        [
            (
                optimiser,
                OneCycleLR(
                    optimiser,
                    peak,
                    steps,
                    pct_start=0.15,
                    anneal_strategy="linear",
                    cycle_momentum=False,
                ),
            )
            for optimiser, peak in made
        ]
    )


def decayed(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for matrices and kernels, none for biases and normalisations."""
    listed = list(parameters)
    return [
        {"params": [p for p in listed if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in listed if p.ndim <= 1], "weight_decay": 0.0},
    ]
