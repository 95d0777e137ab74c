"""Steps on two halves of a batch: the gradient of the whole, the same bytes whatever else the machine does."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from stages.reader.data_parallel import SHARDS, LossOf, replicas
from stages.reader.threads import one_thread

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


def batch(rows: int = 9) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, 5, generator=generator), torch.randint(3, (rows,), generator=generator)


def loss_on(images: Tensor, labels: Tensor) -> LossOf[nn.Module]:
    return lambda net, rows: nn.functional.cross_entropy(net(images[rows]), labels[rows])


@pytest.mark.parametrize("rows", [1, 2, 9, 64])
def test_the_gradient_is_that_of_the_whole_batch(rows: int) -> None:
    whole = network()
    halved = network()
    images, labels = batch(rows)
    expected = nn.functional.cross_entropy(whole(images), labels)
    expected.backward()  # type: ignore[no-untyped-call]
    with replicas(halved, CPU) as networks:
        assert networks.backward(loss_on(images, labels), rows) == pytest.approx(
            expected.item(), rel=1e-6
        )
    for ours, theirs in zip(halved.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_twin_follows_every_step_since_it_has_the_same_memory() -> None:
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), 0.1, fused=True)
    with replicas(net, CPU) as networks:
        assert len(networks.twins) == SHARDS - 1
        for _ in range(3):
            optimiser.zero_grad()
            networks.backward(loss_on(*batch()), 9)
            optimiser.step()
        for ours, theirs in zip(net.parameters(), networks.twins[0].parameters(), strict=True):
            assert ours.data_ptr() == theirs.data_ptr()
            assert theirs.grad is None


def test_statistics_of_batch_normalisation_are_the_mean_of_the_halves() -> None:
    net = nn.Sequential(nn.BatchNorm1d(5, momentum=1.0), nn.Linear(5, 3))
    images, labels = batch(8)
    with replicas(net, CPU) as networks:
        networks.train()
        networks.backward(loss_on(images, labels), 8)
        networks.gather()
    means = torch.stack([images[:4].mean(0), images[4:].mean(0)]).mean(0)
    torch.testing.assert_close(net[0].running_mean, means)


def test_training_twice_gives_the_same_bytes() -> None:
    def trained() -> dict[str, Tensor]:
        net = nn.Sequential(nn.Linear(5, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 3))
        torch.manual_seed(3)
        for parameter in net.parameters():
            nn.init.normal_(parameter)
        optimiser = torch.optim.AdamW(net.parameters(), 0.05, fused=True)
        with replicas(net, CPU) as networks:
            networks.train()
            for _ in range(20):
                optimiser.zero_grad()
                networks.backward(loss_on(*batch(64)), 64)
                optimiser.step()
            networks.gather()
        return copy.deepcopy(net.state_dict())

    first = trained()
    second = trained()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_loss_that_is_not_finite_is_told_from_either_half() -> None:
    images, labels = batch()
    images[-1, 0] = torch.nan
    with replicas(network(), CPU) as networks:
        assert math.isnan(networks.backward(loss_on(images, labels), 9))


def test_the_number_of_threads_is_given_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
