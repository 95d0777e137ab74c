"""The networks of the projects that this one descends from, layer for layer, for comparison.

`networks.build_network` builds them, as all networks. Their layers, and so the numbers of their weights, are those of
the ancestors at the ancestors' image sizes; at other sizes the first dense layer follows the size of the image. Where
an ancestor classified a single character, the last layer here has outputs for every position. Convolutions have Keras's
`valid` padding; pools are 2 x 2 and round down. The ancestors have no class for "no character", so class 0 always has
the same very low logit: they can only read texts of full length.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.captcha.colour import LUMA
from stages.reader.alternatives.dropout import Dropout
from stages.reader.architectures import Sizes
from stages.reader.networks import Network

NO_CHARACTER = -1e4  # the logit of class 0: its probability is 0 in float32, its logarithm finite
MEAN = (1 / 3, 1 / 3, 1 / 3)


class ToGrey(nn.Module):
    """Pixels (B, 3, H, W) uint8 to one channel (B, 1, H, W) float32, 0 to 1: a weighted sum of the three."""

    def __init__(self, weights: Iterable[float]) -> None:
        super().__init__()
        self.weights = tuple(map(float, weights))

    def forward(self, images: Tensor) -> Tensor:
        red, green, blue = (
            images[:, i : i + 1].float().mul(w / 255) for i, w in enumerate(self.weights)
        )
        return red + green + blue


class ParallelHeads(nn.ModuleList):
    """Concatenates the outputs (B, A) of independent heads on the same features (B, F): (B, S * A)."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([head(features) for head in self], 1)


class Ancestor(Network):
    """Features of images, and a classifier of the A characters at each of S positions: (B, S * A)."""

    empty_positions = False

    def __init__(self, features: nn.Sequential, classifier: nn.Module, sizes: Sizes) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier
        self.positions = sizes.positions

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return functional.pad(
            logits.view(len(images), self.positions, -1).float(), (1, 0), value=NO_CHARACTER
        )


def themlaw(sizes: Sizes) -> Ancestor:
    """Themlaw/Python-Data-2A-ENSAE: 1,074,536 weights for 4 of 10 digits on 100 x 110 px.

    Kernels of 3 x 3 leave 10 x 12 x 64 = 7,680 features; each position has its own hidden layer.
    """
    trunk = nn.Sequential(
        ToGrey(MEAN),
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip
    trunk.extend([nn.Linear(flattened_size(trunk, sizes), 128), nn.ReLU()])
    heads = ParallelHeads(
        nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, sizes.alphabet_size))
        for _ in range(sizes.positions)
    )
    return Ancestor(trunk, heads, sizes)


def kaggle(sizes: Sizes) -> Ancestor:
    """The Kaggle digit recogniser with a drawing window: 1,199,882 weights for 10 digits on 28 x 28 px."""
    trunk = nn.Sequential(
        ToGrey(MEAN),
        nn.Conv2d(1, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), Dropout(0.25), nn.Flatten(),
    )  # fmt: skip
    trunk.extend([nn.Linear(flattened_size(trunk, sizes), 128), nn.ReLU(), Dropout(0.5)])
    return Ancestor(trunk, nn.Linear(128, outputs(sizes)), sizes)


def ukrainian(sizes: Sizes) -> Ancestor:
    """psemchyshyn/ukr-letter-deep_learning: 42,962 weights for 32 capitals on 36 x 36 px.

    Kernels of 5 x 5 leave 720 features; pools and dropout come before ReLU, which changes no value.
    """
    trunk = nn.Sequential(
        ToGrey(tuple(LUMA.tolist())),
        nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(10, 20, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
    )  # fmt: skip
    trunk.extend([nn.Linear(flattened_size(trunk, sizes), 50), Dropout(0.5), nn.ReLU()])
    return Ancestor(trunk, nn.Linear(50, outputs(sizes)), sizes)


def essmaw_dense(sizes: Sizes) -> Ancestor:
    """Essmaw/noisy-mnist-classification, DNN: 235,146 weights for 10 digits on 28 x 28 px.

    Dropout is assumed after both hidden layers; the number of weights does not determine this.
    """
    trunk = nn.Sequential(
        ToGrey(MEAN), nn.Flatten(),
        nn.Linear(sizes.height * sizes.width, 256), nn.ReLU(), Dropout(0.3),
        nn.Linear(256, 128), nn.ReLU(), Dropout(0.3),
    )  # fmt: skip
    return Ancestor(trunk, nn.Linear(128, outputs(sizes)), sizes)


def essmaw_small(sizes: Sizes) -> Ancestor:
    """Essmaw/noisy-mnist-classification, CNN 1: 46,186 weights for 10 digits on 28 x 28 px.

    Of square kernels up to 7 x 7, with padding or without, only 3 x 3 twice without gives that number.
    """
    trunk = nn.Sequential(
        ToGrey(MEAN),
        nn.Conv2d(1, 128, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(128, 32, 3), nn.ReLU(), nn.MaxPool2d(2), Dropout(0.3), nn.Flatten(),
    )  # fmt: skip
    return Ancestor(trunk, nn.Linear(flattened_size(trunk, sizes), outputs(sizes)), sizes)


def essmaw_large(sizes: Sizes) -> Ancestor:
    """Essmaw/noisy-mnist-classification, CNN 2: 282,058 numbers for 10 digits on 28 x 28 px.

    Keras counts the means and variances of batch normalisation, 384 of them; 281,674 are trained. Kernels are 3 x 3, no
    padding. The number does not determine the order of ReLU and normalisation. ReLU comes first here, as with Keras's
    `activation="relu"`, so the normalisation cannot be folded into the convolution.
    """
    trunk = nn.Sequential(
        ToGrey(MEAN),
        nn.Conv2d(1, 128, 3), nn.ReLU(), normalisation(128), nn.MaxPool2d(2),
        nn.Conv2d(128, 64, 3), nn.ReLU(), normalisation(64), nn.MaxPool2d(2), Dropout(0.3), nn.Flatten(),
    )  # fmt: skip
    trunk.extend([nn.Linear(flattened_size(trunk, sizes), 128), nn.ReLU(), Dropout(0.3)])
    return Ancestor(trunk, nn.Linear(128, outputs(sizes)), sizes)


def normalisation(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with Keras's constants; Keras's momentum of 0.99 is Torch's 0.01."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def outputs(sizes: Sizes) -> int:
    """Logits of all positions; an ancestor has none for "no character"."""
    return sizes.positions * sizes.alphabet_size


def flattened_size(trunk: nn.Sequential, sizes: Sizes) -> int:
    """The number of features that the convolutions and pools of the trunk give for one image.

    Raises ValueError where there are none.
    """
    rows = _left(trunk, sizes.height)
    columns = _left(trunk, sizes.width)
    if min(rows, columns) < 1:
        least = next(size for size in count(1) if _left(trunk, size) >= 1)
        raise ValueError(
            f"its convolutions and pools need images of {least} x {least} px or more, got {sizes.height} "
            f"x {sizes.width} (height x width): make the captchas larger, or choose another architecture"
        )
    channels = [layer.out_channels for layer in trunk if isinstance(layer, nn.Conv2d)]
    return channels[-1] * rows * columns


def _left(trunk: nn.Sequential, size: int) -> int:
    """The length, in cells, of a side of `size` px after the trunk; less than 1 where the side is too short."""
    for layer in trunk:
        if isinstance(layer, nn.Conv2d):
            size -= layer.kernel_size[0] - 1
        elif isinstance(layer, nn.MaxPool2d):
            size //= 2
    return size
