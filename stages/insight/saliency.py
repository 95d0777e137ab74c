"""What a reader looks at: for one character of each rendering, a map of the pixels that speak for it.

A map explains the posterior of the *true* character at the place where the reader says it: for ctc and compact the
column of the peak of its run, on the likeliest path that spells the true text (the best path itself where the text is
read right); for the others its position. A picture is told as its contrast, the distance of each pixel from the
picture's background (median of the border by channel), which is what a baseline of no ink means for every method here.
Letters here: m rows, each one rendering and one of its characters.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.captcha.noise.canvas import background
from stages.reader.alignment import answers
from stages.reader.batches import Images, Labels
from stages.reader.decoding import Doubles, Ints, softmax
from stages.reader.inference import NetworkReader, to_batch
from stages.reader.networks import Network, Standardise
from stages.reader.protocol import Reader
from stages.reader.threads import map_batches

Maps = NDArray[np.float32]  # (m, H, W), above 0 for the character, below 0 against it
Bools = NDArray[np.bool_]

GRADIENTS = ("input_x_gradient", "integrated_gradients", "smooth_grad")
METHODS = (*GRADIENTS, "occlusion")
PICTURES = 96  # that one thread carries through the network at a time
MIN_POSTERIOR = 1e-12  # posterior whose logarithm is still told
NO_GRADIENT = "has no gradients: occlusion only, by the drop in its confidence"


@dataclass(frozen=True)
class SaliencyEffort:
    """How finely maps are made; time goes with every number but `spread`, and with 1 / stride squared."""

    steps: int = 12  # of the path of integrated gradients (Gauss-Legendre nodes)
    samples: int = 5  # noisy copies of SmoothGrad
    spread: float = 0.1  # standard deviation of their noise, as a share of the picture's range
    window: int = 14  # px, side of the square that is occluded
    stride: int = 13  # px, from one square to the next


@dataclass(frozen=True)
class Targets:
    """The character that each of m rows is about, and where the reader says it."""

    texts: Labels  # (m, T) labels of the whole truth, 0 after the end
    position: Ints  # (m,) of the character, from 0
    column: Ints  # (m,) row of logits where it is said; -1 for a reader that has none
    read_right: Bools  # (m,) whether the reader read this character there
    posterior: Doubles  # (m,) of the character at that place; without logits the confidence, 0 where not said

    @property
    def label(self) -> Ints:
        """Of the character, (m,), 1 to A."""
        label: Ints = self.texts[np.arange(len(self.texts)), self.position]
        return label

    def rows(self, index: Ints | slice) -> Targets:
        return Targets(
            self.texts[index],
            self.position[index],
            self.column[index],
            self.read_right[index],
            self.posterior[index],
        )


@dataclass(frozen=True)
class Explanation:
    """Maps of m rows by method."""

    images: Images  # (m, H, W, 3) that the reader saw, after its denoiser
    targets: Targets
    maps: dict[str, Maps]  # method: (m, H, W)
    residual: (
        Doubles | None
    )  # (m,) of integrated gradients: |sum of map - (f(x) - f(ground))| / |f(x) - f(ground)|
    note: str  # what could not be done, "" where all was


class LogPosterior(nn.Module):
    """The network as one number a picture: log-posterior (B,) of a class at a row of its logits.

    contrast (B, 3, H, W) and ground (B, 3, 1, 1), float32, come from `contrast_of`; column and label (B,). Where the
    network begins with `Standardise`, they are standardised already and that layer is left out: it is held at the whole
    picture's mean and scale. It would blow the faintest trace of a picture up to full contrast, so that integrated
    gradients would see nothing but the first twentieth of their path (64 steps then leave a tenth unexplained).
    """

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).float().eval().requires_grad_(False)
        self.temperature = temperature
        if standardises(network):
            self.network.get_submodule("features").register_module("0", nn.Identity())

    def forward(self, contrast: Tensor, ground: Tensor, column: Tensor, label: Tensor) -> Tensor:
        logits = (
            self.network((contrast + ground).contiguous(memory_format=torch.channels_last))
            / self.temperature
        )
        log_posterior: Tensor = logits.log_softmax(2)[
            torch.arange(len(logits), device=logits.device), column, label
        ]
        return log_posterior


def standardises(network: nn.Module) -> bool:
    features = getattr(network, "features", None)
    return isinstance(features, nn.Sequential) and isinstance(features[0], Standardise)


def explain(
    reader: Reader,
    images: Images,
    texts: Labels,
    position: Ints,
    *,
    seed: int,
    methods: Sequence[str] = METHODS,
    effort: SaliencyEffort | None = None,
) -> Explanation:
    """Maps of one character of each of m renderings; repeat a rendering for another of its characters.

    images (m, H, W, 3), texts (m, T) labels of the truth, position (m,) of the character from 0. Of a reader with a
    denoiser the network is explained, on the pictures that the denoiser gives it. Without gradients only occlusion is
    done, and `note` says so. Raises ValueError on a method, a position or an effort out of range.
    """
    effort = effort or SaliencyEffort()
    _check(methods, texts, position, images, effort)
    images, reader = reader.undenoised(images)
    network = reader.gradients
    wanted = [method for method in methods if network or method not in GRADIENTS] or ["occlusion"]
    targets = locate(reader, images, texts, position)
    maps: dict[str, Maps] = {}
    residual = None
    for method in wanted:
        if network is None or method == "occlusion":
            maps[method] = occlusion_maps(reader, images, targets, effort)
        else:
            maps[method], left = gradient_maps(network, images, targets, method, effort, seed=seed)
            residual = left if method == "integrated_gradients" else residual
    return Explanation(images, targets, maps, residual, "" if network else NO_GRADIENT)


def _check(
    methods: Sequence[str], texts: Labels, position: Ints, images: Images, effort: SaliencyEffort
) -> None:
    unknown = sorted(set(methods) - set(METHODS))
    if unknown or not methods:
        raise ValueError(
            f"methods: expected some of {', '.join(METHODS)}, got {', '.join(unknown) or 'none'}"
        )
    if not len(images) == len(texts) == len(position) > 0:
        raise ValueError(
            f"expected as many texts and positions as images, at least one, got {len(texts)} texts, "
            f"{len(position)} positions and {len(images)} images"
        )
    lengths = (texts > 0).sum(axis=1)
    wrong = np.flatnonzero((position < 0) | (position >= lengths))
    if len(wrong):
        raise ValueError(
            f"position of row {wrong[0]}: expected 0 to {lengths[wrong[0]] - 1}, since its text has "
            f"{lengths[wrong[0]]} characters, got {position[wrong[0]]}"
        )
    least = min(effort.steps, effort.samples, effort.window, effort.stride)
    if (
        least < 1
        or effort.stride > effort.window
        or effort.window > min(images.shape[1:3])
        or effort.spread < 0
    ):
        raise ValueError(
            f"effort: expected 1 or more of each, a stride of at most the window and a window of at most "
            f"{min(images.shape[1:3])} px, got {effort}"
        )


def locate(reader: Reader, images: Images, texts: Labels, position: Ints) -> Targets:
    """Where the reader says the character at `position` (m,) of each text (m, T), and whether it does."""
    rows = np.arange(len(images))
    predicted = reader.predict(images)
    guess, confidence = answers(texts, predicted.readings)
    read_right = (guess == texts)[rows, position]
    if predicted.logits is None:
        surely = np.where(read_right, confidence[rows, position], 0.0).astype(np.float64)
        return Targets(texts, position, np.full(len(images), -1), read_right, surely)
    columns = predicted.logits.shape[1]
    column = reader.columns(predicted.logits, texts)[rows, position]
    if (column >= columns).any():
        raise ValueError(
            f"texts: expected at most {columns} characters, as the reader can say, got "
            f"{texts.shape[1]}: explain another reader"
        )
    log_posterior = predicted.logits[rows, column].astype(np.float64)
    return Targets(
        texts, position, column, read_right, softmax(log_posterior)[rows, texts[rows, position]]
    )


def places_of(reader: Reader, images: Images, texts: Labels) -> Doubles | None:
    """Where the reader says each character (n, T) of texts on images, px from the left; None unless it reads by column,
    and NaN after the end of a text."""
    logits = reader.logits(images) if reader.aligned else None
    if logits is None:
        return None
    middle = (reader.columns(logits, texts) + 0.5) * images.shape[2] / logits.shape[1]
    return np.where(texts > 0, middle, np.nan)


def posterior(reader: Reader, images: Images, targets: Targets) -> Doubles:
    """The posterior (m,) of each row's character at its place, in images (m, H, W, 3): what `targets.posterior` is."""
    logits = reader.logits(images)
    if logits is None:
        return locate(reader, images, targets.texts, targets.position).posterior
    rows = np.arange(len(images))
    log_posterior = logits[rows, targets.column].astype(np.float64)
    shares: Doubles = softmax(log_posterior)[rows, targets.label]
    return shares


def contrast_of(images: Images, standardised: bool = False) -> tuple[Tensor, Tensor]:
    """Images (m, H, W, 3) as contrast (m, 3, H, W) and ground (m, 3, 1, 1), float32, that add up to the pixels, 0 to
    255, or to what `Standardise` makes of them."""
    pixels = to_batch(images).float()
    ground = torch.from_numpy(background(images).astype(np.float32))[:, :, None, None]
    if not standardised:
        return pixels - ground, ground
    x = Standardise()(pixels)  # a scale by picture, a shift by picture and channel
    centred = pixels - pixels.mean((2, 3), keepdim=True)
    scale = x.square().mean((1, 2, 3), keepdim=True).sqrt() / centred.square().mean(
        (1, 2, 3), keepdim=True
    ).sqrt().clamp(min=1e-6)
    contrast = (pixels - ground) * scale
    return contrast, (x - contrast).mean((2, 3), keepdim=True)


def gradient_maps(
    reader: NetworkReader,
    images: Images,
    targets: Targets,
    method: str,
    effort: SaliencyEffort,
    *,
    seed: int,
) -> tuple[Maps, Doubles]:
    """Maps (m, H, W) by a method of GRADIENTS, and the relative residual (m,), NaN but for integrated gradients.

    All are contrast times a gradient: input_x_gradient that at the picture, integrated_gradients the mean along the
    path from the bare ground to it, smooth_grad the mean over noisy copies. Gradients are of the log-posterior, in
    float32 whatever the reader's precision.
    """
    log_posterior = LogPosterior(reader.network, reader.temperature).to(reader.device)
    copies = {
        "input_x_gradient": 1,
        "integrated_gradients": effort.steps,
        "smooth_grad": effort.samples,
    }[method]
    size = max(1, PICTURES // copies)

    def attribute(start: int) -> tuple[Maps, Doubles]:
        rows = slice(start, start + size)
        contrast, ground = (
            part.to(reader.device)
            for part in contrast_of(images[rows], standardises(reader.network))
        )
        where = (
            ground,
            *(
                torch.from_numpy(part[rows]).to(reader.device)
                for part in (targets.column, targets.label)
            ),
        )
        generator = torch.Generator().manual_seed(
            seed + start
        )  # a stream a batch, whichever thread takes it
        values, left = _attribute(log_posterior, contrast, where, method, effort, generator)
        return values.sum(1).cpu().numpy(), left

    parts = map_batches(attribute, range(0, len(images), size), reader.device)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _attribute(
    log_posterior: LogPosterior,
    contrast: Tensor,
    where: tuple[Tensor, ...],
    method: str,
    effort: SaliencyEffort,
    generator: torch.Generator,
) -> tuple[Tensor, Doubles]:
    if method == "integrated_gradients":
        values = contrast * path_gradient(log_posterior, contrast, where, effort.steps)
        return values, unexplained(log_posterior, contrast, where, values)
    gradient = (
        smooth_gradient(log_posterior, contrast, where, effort, generator)
        if method == "smooth_grad"
        else mean_gradient(log_posterior, contrast[:, None], where)
    )
    return contrast * gradient, np.full(len(contrast), np.nan)


def mean_gradient(
    log_posterior: nn.Module,
    points: Tensor,
    where: tuple[Tensor, ...],
    weights: Tensor | None = None,
) -> Tensor:
    """The mean gradient (B, 3, H, W) over k points (B, k, 3, H, W) of each picture, weighted by weights (k,)."""
    n, k = points.shape[:2]
    flat = points.flatten(0, 1).requires_grad_()
    values = log_posterior(flat, *(part.repeat_interleave(k, 0) for part in where))
    gradients: Tensor = torch.autograd.grad(values.sum(), flat)[0].view(n, k, *points.shape[2:])
    return (
        gradients.mean(1) if weights is None else (weights[:, None, None, None] * gradients).sum(1)
    )


def path_gradient(
    log_posterior: nn.Module, contrast: Tensor, where: tuple[Tensor, ...], steps: int
) -> Tensor:
    """The mean gradient (B, 3, H, W) along the straight path from the bare ground to the picture.

    Gauss-Legendre nodes; times the contrast it is integrated gradients (Sundararajan et al. 2017).
    """
    nodes, weights = (
        torch.from_numpy(part).float().to(contrast.device)
        for part in np.polynomial.legendre.leggauss(steps)
    )
    points = ((nodes + 1) / 2)[:, None, None, None] * contrast[:, None]
    return mean_gradient(log_posterior, points, where, weights / 2)


def unexplained(
    log_posterior: nn.Module, contrast: Tensor, where: tuple[Tensor, ...], values: Tensor
) -> Doubles:
    """How far the sum of a map (B, 3, H, W) is from what the ink changes, as a share of that, (B,)."""
    with torch.inference_mode():
        gained = log_posterior(contrast, *where) - log_posterior(torch.zeros_like(contrast), *where)
        off = values.flatten(1).sum(1) - gained
        share: Doubles = (off.abs() / gained.abs().clamp(min=1e-9)).cpu().numpy().astype(np.float64)
    return share


def smooth_gradient(
    log_posterior: nn.Module,
    contrast: Tensor,
    where: tuple[Tensor, ...],
    effort: SaliencyEffort,
    generator: torch.Generator,
) -> Tensor:
    """The mean gradient (B, 3, H, W) over noisy copies (Smilkov et al. 2017)."""
    spread = effort.spread * (contrast.amax((1, 2, 3)) - contrast.amin((1, 2, 3)))
    noise = torch.randn(len(contrast), effort.samples, *contrast.shape[1:], generator=generator).to(
        contrast.device
    )
    return mean_gradient(
        log_posterior, contrast[:, None] + spread[:, None, None, None, None] * noise, where
    )


def occlusion_maps(
    reader: Reader, images: Images, targets: Targets, effort: SaliencyEffort
) -> Maps:
    """Maps (m, H, W): how much the log-posterior falls where a square is painted with the ground, meaned over squares.

    Zeiler & Fergus (2014). Where the reader has no gradients it is the fall of the confidence itself.
    """

    def evidence(shares: Doubles) -> Doubles:
        return np.log(np.maximum(shares, MIN_POSTERIOR)) if reader.gradients else shares

    height, width = images.shape[1:3]
    ground = background(images)[:, None, None]
    before = evidence(targets.posterior)
    total = np.zeros(images.shape[:3])
    times = np.zeros((height, width))
    for top in range(0, height - effort.window + effort.stride, effort.stride):
        for left in range(0, width - effort.window + effort.stride, effort.stride):
            square = slice(top, top + effort.window), slice(left, left + effort.window)
            painted = images.copy()
            painted[:, *square] = ground
            total[:, *square] += (before - evidence(posterior(reader, painted, targets)))[
                :, None, None
            ]
            times[square] += 1
    return (total / times).astype(np.float32)


def cascade(
    reader: NetworkReader, *, generator: torch.Generator
) -> Iterator[tuple[str, NetworkReader]]:
    """The reader with its weights drawn anew from the last layer down, one more layer each time, by the layer's name.

    Adebayo et al. (2018), cascading randomisation. Weights come from a normal of the trained ones' mean and standard
    deviation, since these networks have their normalisations folded in and know no other scale. Biases go with them.
    """
    network = copy.deepcopy(reader.network).cpu()
    layers = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    for name, layer in reversed(layers):
        with torch.no_grad():
            for weights in layer.parameters(recurse=False):
                spread = weights.std() if weights.numel() > 1 else weights.abs().mean()
                weights.copy_(
                    weights.mean() + spread * torch.randn(weights.shape, generator=generator)
                )
        drawn = copy.copy(reader)
        drawn.network = copy.deepcopy(network).to(reader.device)
        yield name, drawn
