"""A network filled with what another one knows: characters keep their weights wherever they stand in the alphabet."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import OURS
from torch import Tensor, nn

from stages.reader.networks import build_network, initialise
from stages.reader.transfer import transfer


def network_of(
    architecture: str,
    alphabet: str,
    *,
    seed: int = 0,
    channels: int = 8,
    width: int = 48,
    positions: int = 2,
) -> nn.Module:
    network = build_network(
        architecture,
        alphabet_size=len(alphabet),
        height=32,
        width=width,
        channels=channels,
        positions=positions,
    )
    return initialise(network, generator=torch.Generator().manual_seed(seed)).eval()


def images(width: int = 48) -> Tensor:
    return torch.randint(
        256, (3, 3, 32, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("architecture", [*OURS, "themlaw", "essmaw_dense"])
def test_the_same_alphabet_gives_the_same_reader(architecture: str) -> None:
    known = network_of(architecture, "abc")
    new = network_of(architecture, "abc", seed=1)
    assert transfer(new, known.state_dict(), known="abc", alphabet="abc") == 3
    torch.testing.assert_close(new(images()), known(images()), rtol=0, atol=0)


@pytest.mark.parametrize("architecture", OURS)
def test_shared_characters_keep_their_logits_and_new_ones_their_own(architecture: str) -> None:
    known = network_of(architecture, "abcd")
    new = network_of(architecture, "xdbyz", seed=1)
    untouched = network_of(architecture, "xdbyz", seed=1)
    assert transfer(new, known.state_dict(), known="abcd", alphabet="xdbyz") == 2
    ours = new(images())
    theirs = known(images())
    for mine, other in ((0, 0), (2, 4), (3, 2)):  # no character, d and b
        torch.testing.assert_close(ours[..., mine], theirs[..., other])
    rows = [
        tensor.view(-1, 6, *tensor.shape[1:])[:, [1, 4, 5]]
        for tensor in (
            new.get_parameter("classifier.weight"),
            untouched.get_parameter("classifier.weight"),
        )
    ]
    torch.testing.assert_close(*rows, rtol=0, atol=0)


def test_a_trunk_may_go_to_a_wider_image_whose_classifier_starts_anew() -> None:
    known = network_of("heads", "abc")
    new = network_of("heads", "abc", seed=1, width=96)
    assert transfer(new, known.state_dict(), known="abc", alphabet="abc") == 0
    mine: Any = new.get_submodule("features")
    theirs: Any = known.get_submodule("features")
    torch.testing.assert_close(mine[:-1](images()), theirs[:-1](images()))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (network_of("ctc", "abc", channels=12), "of another shape: architecture and channels"),
        (network_of("dense", "abc"), "is missing or of another shape: architecture and channels"),
    ],
)
def test_another_network_is_refused_and_nothing_taken(other: nn.Module, message: str) -> None:
    new = network_of("ctc", "abc", seed=1)
    before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        transfer(new, other.state_dict(), known="abc", alphabet="abc")
    for name, tensor in new.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_an_ancestor_cannot_change_its_alphabet() -> None:
    with pytest.raises(
        ValueError, match=r"another alphabet, .*: readers of the architectures compact, ctc, heads"
    ):
        transfer(
            network_of("themlaw", "abcd"),
            network_of("themlaw", "abc").state_dict(),
            known="abc",
            alphabet="abcd",
        )
