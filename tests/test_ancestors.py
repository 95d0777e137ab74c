"""The ancestors' networks: their numbers of weights, their contract, and that folding leaves them what they are."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ANCESTORS
from PIL import Image
from torch import nn

from stages.captcha.colour import LUMA
from stages.reader.alternatives.ancestors import MEAN, NO_CHARACTER, ToGrey
from stages.reader.alternatives.dropout import Dropout, reseed
from stages.reader.architectures import ARCHITECTURES, Sizes
from stages.reader.decoding import decode_positions
from stages.reader.networks import Network, build_network, fused, initialise

SIZES: dict[str, Any] = {
    "alphabet_size": 5,
    "height": 33,
    "width": 70,
    "channels": 4,
    "positions": 3,
}
DIGIT: dict[str, Any] = {
    "alphabet_size": 10,
    "height": 28,
    "width": 28,
    "channels": 4,
    "positions": 1,
}
SEVERAL = pytest.mark.parametrize("name", ANCESTORS)
CONVOLUTIONAL = pytest.mark.parametrize("name", sorted(set(ANCESTORS) - {"essmaw_dense"}))


def network_of(name: str, **changes: int) -> Network:
    network = build_network(name, **{**SIZES, **changes})
    return initialise(network, generator=torch.Generator().manual_seed(1))


def images_of(n: int, height: int = 33, width: int = 70) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (n, 3, height, width), dtype=np.uint8)
    )


def numbers_of(network: nn.Module) -> int:
    """Weights as Keras counts them: with the means and variances of normalisations."""
    return sum(
        tensor.numel() for tensor in network.state_dict().values() if tensor.is_floating_point()
    )


@pytest.mark.parametrize(
    ("name", "sizes", "weights"),
    [
        (
            "themlaw",
            {"alphabet_size": 10, "height": 100, "width": 110, "channels": 4, "positions": 4},
            1_074_536,
        ),
        ("kaggle", DIGIT, 1_199_882),
        (
            "ukrainian",
            {"alphabet_size": 32, "height": 36, "width": 36, "channels": 4, "positions": 1},
            42_962,
        ),
        ("essmaw_dense", DIGIT, 235_146),
        ("essmaw_small", DIGIT, 46_186),
        ("essmaw_large", DIGIT, 282_058),
    ],
)
def test_the_weights_are_as_many_as_the_ancestors(
    name: str, sizes: dict[str, Any], weights: int
) -> None:
    assert numbers_of(build_network(name, **sizes)) == weights


@SEVERAL
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_logits_have_a_row_for_each_position(name: str, memory_format: torch.memory_format) -> None:
    network = network_of(name).to(memory_format=memory_format)
    logits = network(images_of(2).contiguous(memory_format=memory_format))
    assert logits.shape == (2, 3, 6)
    assert logits.dtype == torch.float32
    assert network.output_length(70) == 3


@SEVERAL
@pytest.mark.parametrize(
    ("height", "width", "alphabet_size", "positions"), [(40, 128, 33, 5), (22, 31, 1, 1)]
)
def test_they_take_other_sizes_alphabets_and_lengths(
    name: str, height: int, width: int, alphabet_size: int, positions: int
) -> None:
    network = network_of(
        name, height=height, width=width, alphabet_size=alphabet_size, positions=positions
    )
    assert network(images_of(2, height, width)).shape == (2, positions, alphabet_size + 1)


@SEVERAL
def test_no_character_is_never_read_and_learns_nothing(name: str) -> None:
    network = network_of(name).eval()
    logits = network(images_of(4))
    assert torch.all(logits[..., 0] == NO_CHARACTER)
    assert (decode_positions(logits.detach().numpy()).lengths == 3).all()
    without = nn.functional.cross_entropy(logits[..., 1:].flatten(0, 1), torch.arange(12) % 5)
    torch.testing.assert_close(
        network.decoder.loss(logits, 1 + (torch.arange(12) % 5).view(4, 3)), without
    )
    assert torch.isfinite(network.decoder.loss(logits, torch.zeros(4, 3, dtype=torch.int64)))


@SEVERAL
def test_bf16_gives_float32_logits_near_those_of_float32(name: str) -> None:
    network = network_of(name).eval()
    images = images_of(4)
    with torch.autocast("cpu", torch.bfloat16):
        low = network(images)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, network(images), rtol=0.05, atol=0.05)


@SEVERAL
def test_every_weight_has_a_part_in_the_logits(name: str) -> None:
    network = network_of(name).train()
    loss = network.decoder.loss(network(images_of(16)), 1 + (torch.arange(48) % 5).view(16, 3))
    loss.backward()  # type: ignore[no-untyped-call]
    for weight in network.parameters():
        assert weight.grad is not None
        assert torch.any(weight.grad != 0)


@SEVERAL
def test_folding_the_normalisations_changes_no_logit(name: str) -> None:
    """Essmaw's normalisation comes after the ReLU: to fold it into the convolution before would be another network."""
    network = network_of(name)
    images = images_of(8)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -2, 2, generator=torch.Generator().manual_seed(2))
            nn.init.normal_(module.bias, generator=torch.Generator().manual_seed(3))
            module.momentum = 0.5
    network.train()
    for _ in range(3):  # gives the normalisations a mean and a variance
        network(images)
    network.eval()
    torch.testing.assert_close(fused(network)(images), network(images), rtol=1e-4, atol=1e-4)


def test_essmaws_normalisation_stands_between_relu_and_pool() -> None:
    kinds = [
        type(layer) for layer in network_of("essmaw_large").get_submodule("features").children()
    ]
    at = [i for i, kind in enumerate(kinds) if kind is nn.BatchNorm2d]
    assert len(at) == 2
    assert all(
        kinds[i - 2 : i + 2] == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d] for i in at
    )


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("themlaw", []),
        ("kaggle", [0.25, 0.5]),
        ("ukrainian", [0.5]),
        ("essmaw_dense", [0.3, 0.3]),
        ("essmaw_small", [0.3]),
        ("essmaw_large", [0.3, 0.3]),
    ],
)
def test_dropout_is_theirs_and_reproducible(name: str, shares: list[float]) -> None:
    network = network_of(name).train()
    images = images_of(2)
    assert [module.p for module in network.modules() if isinstance(module, Dropout)] == shares
    assert not any(isinstance(module, nn.Dropout) for module in network.modules())
    twin = copy.deepcopy(network)
    for replica in (network, twin):
        reseed(replica, 3, 1, 0)
    first = network(images)
    assert torch.equal(first, twin(images))
    assert torch.equal(first, network(images)) == (not shares)


def test_the_mean_of_the_channels_is_the_grey_of_keras_and_luma_that_of_pillow() -> None:
    images = images_of(2)
    expected = images.numpy().mean(1, keepdims=True) / 255
    np.testing.assert_allclose(ToGrey(MEAN)(images).numpy(), expected, rtol=1e-5, atol=1e-6)
    for image, grey in zip(
        images.permute(0, 2, 3, 1).numpy(), ToGrey(LUMA)(images)[:, 0].numpy(), strict=True
    ):
        pillow = np.asarray(Image.fromarray(image).convert("L"))
        np.testing.assert_allclose(255 * grey, pillow, rtol=0, atol=0.52)  # Pillow rounds


@pytest.mark.parametrize(
    ("name", "least"),
    [("themlaw", 22), ("kaggle", 6), ("ukrainian", 16), ("essmaw_small", 10), ("essmaw_large", 10)],
)
def test_an_image_too_small_for_the_pooling_is_refused_in_one_line(name: str, least: int) -> None:
    builder = ARCHITECTURES[name].load()
    sizes = Sizes(**SIZES)
    network = builder(replace(sizes, height=least, width=least))
    assert network(images_of(1, least, least)).shape == (1, 3, 6)
    for height, width in ((least - 1, least), (least, least - 1), (1, 1)):
        with pytest.raises(
            ValueError, match=rf"{least} x {least} px or more, got {height} x {width}"
        ):
            builder(replace(sizes, height=height, width=width))


def test_a_network_that_cannot_be_built_is_named() -> None:
    with pytest.raises(ValueError, match=r"^themlaw: .* 22 x 22 px or more, got 21 x 30"):
        build_network("themlaw", **{**SIZES, "height": 21, "width": 30})


@CONVOLUTIONAL
def test_what_the_pools_leave_is_what_torch_leaves(name: str) -> None:
    """Every size from the least one on goes through: the first dense layer fits what the convolutions give."""
    for height, width in ((22, 37), (23, 36), (24, 35), (25, 34), (26, 33)):
        network_of(name, height=height, width=width)(images_of(1, height, width))


def test_an_unknown_ancestor_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"expected one of .*themlaw, kaggle, ukrainian, .* got 'lenet'"
    ):
        build_network("lenet", **SIZES)
