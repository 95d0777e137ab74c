"""The networks: shapes, invariances, and the loss against sums over all paths."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from conftest import OURS
from torch import nn

from stages.reader.architectures import ARCHITECTURES
from stages.reader.networks import Network, Standardise, build_network, fused, initialise

SIZES: dict[str, Any] = {
    "alphabet_size": 5,
    "height": 33,
    "width": 70,
    "channels": 8,
    "positions": 3,
}


def network_of(architecture: str, **changes: int) -> Network:
    network = build_network(architecture, **{**SIZES, **changes})
    return initialise(network, generator=torch.Generator().manual_seed(1))


def images_of(n: int, height: int = 33, width: int = 70) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (n, 3, height, width), dtype=np.uint8)
    )


@pytest.mark.parametrize("architecture", OURS)
@pytest.mark.parametrize(("height", "width"), [(40, 128), (33, 70), (17, 31), (8, 8)])
def test_logits_have_a_row_for_each_column_or_position(
    architecture: str, height: int, width: int
) -> None:
    network = network_of(architecture, height=height, width=width)
    logits = network(images_of(2, height, width))
    assert logits.shape == (2, network.output_length(width), 6)
    assert network.output_length(width) == (
        -(-width // 4) if ARCHITECTURES[architecture].any_length else 3
    )
    assert logits.dtype == torch.float32


def test_the_ctc_reader_reads_any_width() -> None:
    network = network_of("ctc").eval()
    for width in (8, 29, 200):
        assert network(images_of(1, 33, width)).shape == (1, -(-width // 4), 6)


def test_a_shifted_picture_gives_shifted_columns() -> None:
    """Weights are shared across the width: what the reader sees does not depend on where it stands."""
    network = network_of("ctc").eval()
    picture = torch.full((1, 3, 33, 160), 200, dtype=torch.uint8)
    picture[..., 60:90] = images_of(1, 33, 30)
    logits = network(picture)
    shifted = network(picture.roll(8, 3))
    torch.testing.assert_close(shifted[:, 12:30], logits[:, 10:28], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", OURS)
def test_the_weights_depend_on_the_generator_alone(architecture: str) -> None:
    torch.manual_seed(5)
    first = network_of(architecture).state_dict()
    torch.manual_seed(6)
    second = network_of(architecture).state_dict()
    other = initialise(
        build_network(architecture, **SIZES), generator=torch.Generator().manual_seed(2)
    ).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("architecture", OURS)
def test_folding_the_normalisations_changes_no_logit(architecture: str) -> None:
    network = network_of(architecture)
    network.train()
    for _ in range(3):  # gives the normalisations a mean and a variance
        network(images_of(8))
    network.eval()
    folded = fused(network)
    torch.testing.assert_close(folded(images_of(4)), network(images_of(4)), rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    if architecture in ("ctc", "compact", "heads"):
        assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_standardised_images_have_mean_zero_and_unit_spread() -> None:
    x = Standardise()(images_of(4))
    torch.testing.assert_close(x.mean((2, 3)), torch.zeros(4, 3), rtol=0, atol=1e-4)
    torch.testing.assert_close(x.square().mean((1, 2, 3)), torch.ones(4), rtol=1e-2, atol=0)


def test_brightness_and_contrast_of_the_whole_image_do_not_matter() -> None:
    images = images_of(2) // 2
    torch.testing.assert_close(
        Standardise()(images + 40), Standardise()(images), rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(
        Standardise()(images * 2), Standardise()(images), rtol=2e-2, atol=2e-2
    )


def test_an_even_image_is_no_division_by_zero() -> None:
    assert not Standardise()(torch.full((1, 3, 9, 11), 77, dtype=torch.uint8)).any()


def test_the_ctc_loss_is_minus_the_log_of_the_sum_over_all_paths() -> None:
    logits = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 4, 3)).astype(np.float32))
    labels = torch.tensor([[1, 1, 0], [2, 0, 0]])
    network = build_network("ctc", **{**SIZES, "alphabet_size": 2})
    expected = []
    for row, text in zip(logits.softmax(2).numpy(), ((1, 1), (2,)), strict=True):
        paths = [
            path
            for path in itertools.product(range(3), repeat=4)
            if tuple(k for k, _ in itertools.groupby(path) if k) == text
        ]
        likelihood = sum(np.prod(row[range(4), path]) for path in paths)
        expected.append(-np.log(likelihood) / len(text))
    assert network.decoder.loss(logits, labels).item() == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("columns", [2, 3, 5])
def test_the_position_loss_counts_missing_characters_as_a_class(columns: int) -> None:
    logits = torch.from_numpy(np.random.default_rng(2).normal(size=(2, 3, 6)).astype(np.float32))
    labels = torch.zeros((2, columns), dtype=torch.int64)
    labels[:, :2] = torch.tensor([[4, 2], [5, 0]])
    probability = logits.softmax(2).numpy()
    chosen = [
        probability[i, j, k]
        for i, row in enumerate([[4, 2, 0], [5, 0, 0]])
        for j, k in enumerate(row)
    ]
    assert network_of("heads").decoder.loss(logits, labels).item() == pytest.approx(
        -np.log(chosen).mean(), rel=1e-5
    )


def test_equal_neighbours_need_a_column_more_in_ctc() -> None:
    labels = torch.tensor([[1, 2, 1, 0], [1, 1, 1, 0], [2, 0, 0, 0], [1, 1, 2, 2]])
    assert build_network("ctc", **SIZES).decoder.rows_needed(labels).tolist() == [3, 5, 1, 6]
    assert build_network("dense", **SIZES).decoder.rows_needed(labels).tolist() == [3, 3, 1, 4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alphabet_size": 0}, "alphabet_size: expected a whole number from 1 to 10000, got 0"),
        ({"height": 7}, "height: expected a whole number from 8 to 4096, got 7"),
        ({"width": 5000}, "width: expected .* got 5000"),
        ({"channels": 3}, "channels: expected .* got 3"),
        ({"channels": 10**9}, "channels: expected .* got 1000000000"),
        ({"positions": 0}, "positions: expected .* got 0"),
    ],
)
def test_a_size_out_of_range_is_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network("ctc", **{**SIZES, **changes})


def test_an_unknown_architecture_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"expected one of ctc, compact, heads, dense, .*essmaw_large, got 'rnn'"
    ):
        build_network("rnn", **SIZES)


def test_ctc_keeps_the_weights_that_readers_stored_by_earlier_versions_have() -> None:
    shapes = {
        "features.1.0": (4, 3, 5, 5),
        "features.2.0": (8, 4, 3, 3),
        "features.3.0": (8, 8, 3, 3),
        "features.4.0": (8, 8, 3, 3),
        "features.6.0": (16, 8, 3, 3),
        "columns.0": (16, 16, 1, 5),
        "classifier": (6, 16),
    }
    network = build_network("ctc", alphabet_size=5, height=40, width=128, channels=4, positions=4)
    weights = {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if tensor.ndim > 1
    }
    assert weights == {f"{name}.weight": shape for name, shape in shapes.items()}
