"""The networks that read a captcha: images in, one row of logits a column or a position out.

Every network takes images (B, 3, H, W) uint8 and returns logits (B, S, A + 1) float32. Class 0 is the blank of CTC, or
"no character"; class a is character a - 1 of the alphabet. S is the number of columns (ctc, compact) or of positions.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.reader.ancestors import ANCESTORS, build_ancestor

LEAST_VARIANCE = 1e-4 * 255**2  # of pixels: where an image is all but plain, it is not blown up
STRIDE = 4  # px of width that one column of the CTC reader stands for
OURS = ("ctc", "compact", "heads", "dense")
ANY_LENGTH = ("ctc", "compact")  # the others read texts up to a longest one
ARCHITECTURES = (*OURS, *ANCESTORS)


class Standardise(nn.Module):
    """Pixels (B, 3, H, W) uint8 to mean 0 by channel and standard deviation 1 by image, float32.

    Foreground and background differ from captcha to captcha; what is left is the ink's direction in colour.
    """

    def forward(self, images: Tensor) -> Tensor:
        x = images.float()
        x = x - x.mean((2, 3), keepdim=True)
        norm = torch.linalg.vector_norm(x, dim=(1, 2, 3), keepdim=True)
        standardised: Tensor = x * (norm * norm / x[0].numel() + LEAST_VARIANCE).rsqrt()
        return standardised


def block(channels: int, out: int, size: int = 3, stride: int | tuple[int, int] = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; the convolution needs no bias before a normalisation."""
    return nn.Sequential(nn.Conv2d(channels, out, size, stride, size // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU())


class Ctc(nn.Module):
    """Fully convolutional, weights shared across the width, for CTC (Graves et al. 2006): reads any width and length.

    `features` take images to (B, channels, rows, W / 4).
    """

    def __init__(self, classes: int, features: nn.Sequential, channels: int) -> None:
        super().__init__()
        self.features = features
        self.columns = nn.Sequential(nn.Conv2d(channels, channels, (1, 5), padding=(0, 2), bias=False),
                                     nn.BatchNorm2d(channels), nn.ReLU())
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images).amax(2, keepdim=True)  # (B, channels, 1, W / 4): wherever the character stands
        logits: Tensor = self.classifier(self.columns(features).squeeze(2).transpose(1, 2))
        return logits.float()


def wide_features(c: int) -> nn.Sequential:
    """Strides in the first two convolutions, not pooling after them, leave the wide layers a sixteenth of the pixels at
    equal accuracy."""
    return nn.Sequential(  # shapes after each, for 40 x 128 px; 47 million products an image with c = 32
        Standardise(),
        block(3, c, 5, 2),  # (B, c, 20, 64)
        block(c, 2 * c, 3, 2),  # (B, 2c, 10, 32)
        block(2 * c, 2 * c),
        block(2 * c, 2 * c),
        nn.MaxPool2d((2, 1), ceil_mode=True),  # (B, 2c, 5, 32)
        block(2 * c, 4 * c),
    )


def compact_features(c: int) -> nn.Sequential:
    """Height is given up early: reads about as well as the wide one with less than half of its products."""
    return nn.Sequential(  # shapes after each, for 40 x 128 px; 21 million products an image with c = 16
        Standardise(),
        block(3, c, 5, 2),  # (B, c, 20, 64)
        block(c, 3 * c, 3, 2),  # (B, 3c, 10, 32)
        block(3 * c, 4 * c, 3, (2, 1)),  # (B, 4c, 5, 32)
        block(4 * c, 4 * c),
        block(4 * c, 6 * c, 3, (2, 1)),  # (B, 6c, 3, 32)
    )


class Heads(nn.Module):
    """The classic captcha CNN: convolution and pooling, flattened, one classifier a position."""

    def __init__(self, classes: int, height: int, width: int, channels: int, positions: int) -> None:
        super().__init__()
        c, self.positions = channels, positions
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
        rows, columns = (-(-size // 16) for size in (height, width))  # every division rounds up
        self.classifier = nn.Linear(4 * c * rows * columns, positions * classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits.view(len(images), self.positions, -1).float()


class Dense(nn.Module):
    """Fully connected on the image halved by averaging, one classifier a position, as the oldest readers were."""

    def __init__(self, classes: int, height: int, width: int, channels: int, positions: int) -> None:
        super().__init__()
        hidden, self.positions = 16 * channels, positions
        pixels = 3 * -(-height // 2) * -(-width // 2)
        self.features = nn.Sequential(
            Standardise(), nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(),
            nn.Linear(pixels, hidden), nn.LayerNorm(hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Linear(hidden, positions * classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits.view(len(images), self.positions, -1).float()


def build(architecture: str, *, alphabet_size: int, height: int, width: int, channels: int,
          positions: int) -> nn.Module:
    """A network with undefined weights for images of height x width px: `initialise` it, or load weights into it.

    positions is the longest text that heads, dense and the ancestors' networks can say; ctc and compact take what their
    columns allow. channels means nothing to an ancestor.
    Raises ValueError on an unknown architecture or a size out of range.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture: expected one of {', '.join(ARCHITECTURES)}, got {architecture!r}")
    ranges = {"alphabet_size": (alphabet_size, 1, 10_000), "height": (height, 8, 4096), "width": (width, 8, 4096),
              "channels": (channels, 4, 512), "positions": (positions, 1, 127)}
    for name, (value, low, high) in ranges.items():
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name}: expected a whole number from {low} to {high}, got {value!r}")
    classes = alphabet_size + 1
    network: nn.Module
    if architecture == "ctc":
        network = Ctc(classes, wide_features(channels), 4 * channels)
    elif architecture == "compact":
        network = Ctc(classes, compact_features(channels), 6 * channels)
    elif architecture == "heads":
        network = Heads(classes, height, width, channels, positions)
    elif architecture == "dense":
        network = Dense(classes, height, width, channels, positions)
    else:
        network = build_ancestor(architecture, alphabet_size=alphabet_size, height=height, width=width,
                                 positions=positions)
    return network.to(memory_format=torch.channels_last)


def initialise(network: nn.Module, *, generator: torch.Generator) -> nn.Module:
    """Fill the weights of convolutions and linear layers; biases are 0.

    Uniform with variance 1 / (3 inputs), as Torch's layers have it, a sixth of He's: before a normalisation the size
    of the weights matters only to the step they take, and with He's the reader took epochs to leave CTC's plateau.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def columns_of(network: nn.Module, width: int) -> int:
    """How many rows of logits the network gives for an image `width` px wide."""
    return -(-width // STRIDE) if isinstance(network, Ctc) else int(network.positions)  # type: ignore[arg-type]


def columns_needed(labels: Tensor, network: nn.Module) -> Tensor:
    """The rows of logits (n,) that each text needs; labels (n, T), 0 after the end.

    CTC needs a blank between two equal neighbours to tell them apart.
    """
    needed = (labels > 0).sum(1)
    if isinstance(network, Ctc):
        needed = needed + ((labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] > 0)).sum(1)
    return needed


def fused(network: nn.Module) -> nn.Module:
    """A copy for reading only: each batch normalisation folded into the convolution before it."""
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fold(module)
    return network


def _fold(layers: nn.Sequential) -> None:
    for i in range(len(layers) - 1):
        convolution, norm = layers[i], layers[i + 1]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[i] = nn.utils.fuse_conv_bn_eval(convolution, norm)
            layers[i + 1] = nn.Identity()


def loss_of(network: nn.Module, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of logits (B, S, A + 1) for labels (B, T), 0 after the end.

    CTC's negative log-likelihood a character, or the cross-entropy a position. It is computed on the CPU: CUDA's
    CTC gradient is not deterministic, and the logits are few.
    """
    logits, labels = logits.cpu(), labels.cpu()
    lengths = (labels > 0).sum(1)
    if isinstance(network, Ctc):
        log_probabilities = functional.log_softmax(logits, 2).transpose(0, 1)  # (S, B, A + 1)
        columns = torch.full((len(logits),), logits.shape[1])
        return functional.ctc_loss(log_probabilities, labels[labels > 0], columns, lengths, zero_infinity=True)
    positions = logits.shape[1]
    padded = functional.pad(labels, (0, max(0, positions - labels.shape[1])))[:, :positions]
    return functional.cross_entropy(logits.flatten(0, 1), padded.flatten())
