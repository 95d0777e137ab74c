"""Muon: its steps are orthogonal, and each weight belongs to one optimiser."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stages.reader.architectures import OPTIMISERS
from stages.reader.networks import build_network
from stages.reader.optimisers import ITERATIONS, MUON_RATE, Muon, optimisers_of, orthogonalised


def newton_schulz(matrix: torch.Tensor) -> torch.Tensor:
    """As published (Jordan et al. 2024), on the wide matrix itself, in double precision."""
    x: torch.Tensor = matrix.double() / matrix.double().norm()
    x = x.T if x.shape[0] > x.shape[1] else x
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


@pytest.mark.parametrize("shape", [(16, 75), (75, 16), (40, 40), (1, 9)])
def test_a_step_is_the_published_iteration(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(
        orthogonalised(matrix).double(), newton_schulz(matrix), rtol=0, atol=1e-4
    )


def test_directions_that_the_gradient_hardly_shows_are_stepped_along_as_far_as_the_others() -> None:
    generator = torch.Generator().manual_seed(1)
    left, _ = torch.linalg.qr(torch.randn(12, 12, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(30, 12, generator=generator))
    sizes = torch.logspace(0, -1.5, 12)
    stepped = torch.linalg.svdvals(orthogonalised(left @ torch.diag(sizes) @ right.T))
    assert 0.6 < float(stepped.min()) <= float(stepped.max()) < 1.25
    assert float(sizes.max() / sizes.min()) > 30


def test_a_zero_gradient_moves_nothing() -> None:
    kernel = nn.Parameter(torch.ones(4, 2, 3, 3))
    kernel.grad = torch.zeros_like(kernel)
    Muon([kernel], 0.1, weight_decay=0.0).step()
    assert torch.equal(kernel, torch.ones(4, 2, 3, 3))


@pytest.mark.parametrize("architecture", ["ctc", "compact", "heads", "dense", "themlaw"])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_each_weight_belongs_to_one_optimiser(architecture: str, name: str) -> None:
    network = build_network(
        architecture, alphabet_size=10, height=32, width=72, channels=8, positions=4
    )
    optimisers = optimisers_of(network, name, learning_rate=0.01, weight_decay=0.1, steps=10)
    owned = [
        id(p)
        for optimiser, _ in optimisers.members
        for group in optimiser.param_groups
        for p in group["params"]
    ]
    assert sorted(owned) == sorted(map(id, network.parameters()))


def test_muon_moves_convolutions_five_times_as_far_as_adamw_the_rest_at_the_peak_and_ends_at_rest() -> (
    None
):
    network = build_network(
        "compact", alphabet_size=10, height=32, width=72, channels=8, positions=4
    )
    optimisers = optimisers_of(network, "muon", learning_rate=0.01, weight_decay=0.1, steps=40)
    rates = []
    for _ in range(40):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        rates.append([optimiser.param_groups[0]["lr"] for optimiser, _ in optimisers.members])
        optimisers.step()
    adamw, muon = zip(*rates, strict=True)
    assert max(adamw) == pytest.approx(0.01, rel=0.05)  # the peak lies between two steps
    assert max(muon) == pytest.approx(MUON_RATE * max(adamw))
    assert adamw.index(max(adamw)) == pytest.approx(0.15 * 40, abs=1)
    assert adamw[-1] < 0.05 * max(adamw)
