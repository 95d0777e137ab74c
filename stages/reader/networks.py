"""The networks that read a captcha: images in, one row of logits per column or position out.

Every network takes images (B, 3, H, W) uint8 and returns logits (B, S, A + 1) float32. Class 0 is the blank of CTC, or
"no character"; class a is character a - 1 of the alphabet. S is the number of columns (ctc, compact) or of positions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from stages.reader.architectures import ARCHITECTURES, Sizes, of_family
from stages.reader.decoders import CtcDecoder, Decoder, PositionDecoder

Module = TypeVar("Module", bound=nn.Module)

LEAST_VARIANCE = 1e-4 * 255**2  # of pixels: an almost plain image is not amplified
STRIDE = 4  # px of width per column of the CTC reader


class Network(nn.Module):
    """The base of all networks: images (B, 3, H, W) uint8 in, logits (B, S, A + 1) float32 out."""

    decoder: ClassVar[Decoder] = PositionDecoder()
    has_gradients: ClassVar[bool] = True  # with respect to the pixels
    double_precision: ClassVar[bool] = False
    empty_positions: ClassVar[bool] = True  # whether a position can be read as empty
    positions: int  # S, unless the decoder aligns

    def output_length(self, width: int) -> int:
        """S, the number of rows of logits for an image of `width` px."""
        return self.positions

    def make_exportable(self) -> None:
        """Replace, in place, what `torch.export` cannot trace."""


class Standardise(nn.Module):
    """Pixels (B, 3, H, W) uint8 to float32 of mean 0 per channel and standard deviation 1 per image.

    This removes the level of foreground and background, which vary between captchas; the contrast in colour remains.
    """

    def forward(self, images: Tensor) -> Tensor:
        x = images.float()
        x = x - x.mean((2, 3), keepdim=True)
        norm = torch.linalg.vector_norm(x, dim=(1, 2, 3), keepdim=True)
        standardised: Tensor = x * (norm * norm / x[0].numel() + LEAST_VARIANCE).rsqrt()
        return standardised


def block(
    channels: int, out: int, size: int = 3, stride: int | tuple[int, int] = 1
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; a convolution needs no bias before a normalisation."""
    return nn.Sequential(
        nn.Conv2d(channels, out, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    )


class Ctc(Network):
    """A fully convolutional network for CTC (Graves et al. 2006): reads images of any width and texts of any length.

    `features` maps images to (B, channels, rows, W / 4).
    """

    decoder = CtcDecoder()

    def __init__(self, classes: int, features: nn.Sequential, channels: int) -> None:
        super().__init__()
        self.features = features
        self.columns = nn.Sequential(
            nn.Conv2d(channels, channels, (1, 5), padding=(0, 2), bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        # (B, channels, 1, W / 4): the maximum over rows, so that a vertical shift does not matter
        features = self.features(images).amax(2, keepdim=True)
        logits: Tensor = self.classifier(self.columns(features).squeeze(2).transpose(1, 2))
        return logits.float()

    def output_length(self, width: int) -> int:
        return -(-width // STRIDE)


def ctc(sizes: Sizes) -> Ctc:
    """The CTC network with wide features."""
    c = sizes.channels
    return Ctc(sizes.alphabet_size + 1, wide_features(c), 4 * c)


def compact(sizes: Sizes) -> Ctc:
    """The CTC network with compact features, at less than half of the products."""
    c = sizes.channels
    return Ctc(sizes.alphabet_size + 1, compact_features(c), 6 * c)


def wide_features(c: int) -> nn.Sequential:
    """Features of `ctc`, c channels in the first layer.

    Strides in the first two convolutions, in place of pooling after them, leave the wide layers a sixteenth of the
    pixels at equal accuracy.
    """
    return nn.Sequential(  # shapes after each, for 40 x 128 px; 47 million products per image with c = 32
        Standardise(),
        block(3, c, 5, 2),  # (B, c, 20, 64)
        block(c, 2 * c, 3, 2),  # (B, 2c, 10, 32)
        block(2 * c, 2 * c),
        block(2 * c, 2 * c),
        nn.MaxPool2d((2, 1), ceil_mode=True),  # (B, 2c, 5, 32)
        block(2 * c, 4 * c),
    )


def compact_features(c: int) -> nn.Sequential:
    """Features of `compact`, c channels in the first layer.

    Height is reduced early: about the accuracy of the wide features with less than half of the products.
    """
    return nn.Sequential(  # shapes after each, for 40 x 128 px; 21 million products per image with c = 16
        Standardise(),
        block(3, c, 5, 2),  # (B, c, 20, 64)
        block(c, 3 * c, 3, 2),  # (B, 3c, 10, 32)
        block(3 * c, 4 * c, 3, (2, 1)),  # (B, 4c, 5, 32)
        block(4 * c, 4 * c),
        block(4 * c, 6 * c, 3, (2, 1)),  # (B, 6c, 3, 32)
    )


class Heads(Network):
    """The classic captcha CNN: convolution and pooling, flattened, one classifier per position."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        c = sizes.channels
        self.positions = sizes.positions
        self.features = nn.Sequential(  # shapes after each, for 28 x 28 px
            Standardise(),
            block(3, c, 5, 2),  # (B, c, 14, 14)
            block(c, 2 * c),
            block(2 * c, 2 * c),
            nn.MaxPool2d(2, ceil_mode=True),  # (B, 2c, 7, 7)
            block(2 * c, 4 * c),
            block(4 * c, 4 * c),
            nn.MaxPool2d(4, ceil_mode=True),  # (B, 4c, 2, 2)
            nn.Flatten(),
        )
        cells = -(-sizes.height // 16) * -(-sizes.width // 16)  # every division rounds up
        self.classifier = nn.Linear(4 * c * cells, sizes.positions * (sizes.alphabet_size + 1))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits.view(len(images), self.positions, -1).float()


class Dense(Network):
    """Fully connected layers on the image at half resolution, one classifier per position, as in the oldest readers."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        hidden = 16 * sizes.channels
        self.positions = sizes.positions
        pixels = 3 * -(-sizes.height // 2) * -(-sizes.width // 2)
        self.features = nn.Sequential(
            Standardise(), nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(),
            nn.Linear(pixels, hidden), nn.LayerNorm(hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Linear(hidden, sizes.positions * (sizes.alphabet_size + 1))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits.view(len(images), self.positions, -1).float()


def build_network(
    architecture: str, *, alphabet_size: int, height: int, width: int, channels: int, positions: int
) -> Network:
    """A network for images of height x width px with undefined weights: `initialise` it, or load its weights.

    Raises ValueError on an unknown architecture or a size out of range.
    """
    known = of_family("network")
    if architecture not in known:
        raise ValueError(f"architecture: expected one of {', '.join(known)}, got {architecture!r}")
    sizes = Sizes(alphabet_size, height, width, channels, positions)
    sizes.check()
    builder: Callable[[Sizes], Network] = ARCHITECTURES[architecture].load()
    try:
        network = builder(sizes)
    except ValueError as error:
        raise ValueError(f"{architecture}: {error}") from None
    return network.to(memory_format=torch.channels_last)


def initialise(network: Module, *, generator: torch.Generator) -> Module:
    """Initialise the weights of convolutions and linear layers in place; biases are 0.

    Uniform with variance 1 / (3 inputs), Torch's default, a sixth of He's (2015). Before a normalisation, the scale of
    the weights matters only to the relative size of a step; with He's, the reader took epochs to leave CTC's plateau.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def fused(network: Module) -> Module:
    """A copy for inference only: each batch normalisation is folded into the preceding convolution."""
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fold(module)
    return network


def _fold(layers: nn.Sequential) -> None:
    for i in range(len(layers) - 1):
        convolution = layers[i]
        norm = layers[i + 1]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[i] = nn.utils.fuse_conv_bn_eval(convolution, norm)
            layers[i + 1] = nn.Identity()
