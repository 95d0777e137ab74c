"""Saliency maps from gradients of the network: input times gradient, integrated gradients, SmoothGrad.

A picture is described by its contrast, the distance of each pixel from the picture's background (median of the border
by channel), so that a baseline without ink means the same for every method.
Letters here: m rows, each one rendering and one of its characters; B rows of a batch.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.captcha.noise.canvas import background
from stages.reader.batches import Images, Labels
from stages.reader.decoding import Doubles, Ints
from stages.reader.inference import NetworkReader, to_batch
from stages.reader.networks import Network, Standardise
from stages.reader.threads import map_batches

Maps = NDArray[np.float32]  # (m, H, W), above 0 for the character, below 0 against it
Bools = NDArray[np.bool_]

GRADIENTS = ("input_x_gradient", "integrated_gradients", "smooth_grad")
PICTURES = 96  # that one thread carries through the network at a time


@dataclass(frozen=True)
class SaliencyEffort:
    """Resolution of the maps; time grows with every number but `spread`, and with 1 / stride squared."""

    steps: int = 12  # of the path of integrated gradients (Gauss-Legendre nodes)
    samples: int = 5  # noisy copies of SmoothGrad
    spread: float = 0.1  # standard deviation of their noise, as a share of the picture's range
    window: int = 14  # px, side of the square that is occluded
    stride: int = 13  # px, from one square to the next


@dataclass(frozen=True)
class Targets:
    """The character that each of m rows explains, and where the reader reads it."""

    texts: Labels  # (m, T) labels of the whole truth, 0 after the end
    position: Ints  # (m,) of the character, from 0
    column: Ints  # (m,) row of logits where it is read; -1 for a reader that has none
    read_right: Bools  # (m,) whether the reader read this character there
    posterior: (
        Doubles  # (m,) of the character there; without logits the confidence, 0 where not read
    )

    @property
    def label(self) -> Ints:
        """Of the character, (m,), 1 to A."""
        label: Ints = self.texts[np.arange(len(self.texts)), self.position]
        return label

    def rows(self, index: Ints | slice) -> Targets:
        return Targets(**{name: values[index] for name, values in vars(self).items()})


class LogPosterior(nn.Module):
    """The network as one number per picture: log-posterior (B,) of a class at a row of its logits.

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
        pixels = (contrast + ground).contiguous(memory_format=torch.channels_last)
        logits = self.network(pixels) / self.temperature
        rows = torch.arange(len(logits), device=logits.device)
        log_posterior: Tensor = logits.log_softmax(2)[rows, column, label]
        return log_posterior


def standardises(network: nn.Module) -> bool:
    features = getattr(network, "features", None)
    return isinstance(features, nn.Sequential) and isinstance(features[0], Standardise)


def contrast_of(images: Images, standardised: bool = False) -> tuple[Tensor, Tensor]:
    """Images (m, H, W, 3) as contrast (m, 3, H, W) and ground (m, 3, 1, 1), float32, that add up to the pixels, 0 to
    255, or to what `Standardise` makes of them."""
    pixels = to_batch(images).float()
    ground = torch.from_numpy(background(images).astype(np.float32))[:, :, None, None]
    if not standardised:
        return pixels - ground, ground
    x = Standardise()(pixels)  # a scale by picture, a shift by picture and channel
    centred = pixels - pixels.mean((2, 3), keepdim=True)
    scale = _root_mean_square(x) / _root_mean_square(centred).clamp(min=1e-6)
    contrast = (pixels - ground) * scale
    return contrast, (x - contrast).mean((2, 3), keepdim=True)


def _root_mean_square(x: Tensor) -> Tensor:
    return x.square().mean((1, 2, 3), keepdim=True).sqrt()


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
    copies = {"integrated_gradients": effort.steps, "smooth_grad": effort.samples}.get(method, 1)
    size = max(1, PICTURES // copies)

    def attribute(start: int) -> tuple[Maps, Doubles]:
        rows = slice(start, start + size)
        contrast, *where = (
            part.to(reader.device)
            for part in (
                *contrast_of(images[rows], standardises(reader.network)),
                torch.from_numpy(targets.column[rows]),
                torch.from_numpy(targets.label[rows]),
            )
        )
        # One stream per batch, whichever thread takes it.
        generator = torch.Generator().manual_seed(seed + start)
        values, left = _attribute(log_posterior, contrast, tuple(where), method, effort, generator)
        return values.sum(1).cpu().numpy(), left

    parts = map_batches(attribute, range(0, len(images), size), reader.device)
    maps, residual = zip(*parts, strict=True)
    return np.concatenate(maps), np.concatenate(residual)


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
    if method == "smooth_grad":
        gradient = smooth_gradient(log_posterior, contrast, where, effort, generator)
    else:
        gradient = mean_gradient(log_posterior, contrast[:, None], where)
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
    if weights is None:
        return gradients.mean(1)
    return (weights[:, None, None, None] * gradients).sum(1)


def path_gradient(
    log_posterior: nn.Module, contrast: Tensor, where: tuple[Tensor, ...], steps: int
) -> Tensor:
    """The mean gradient (B, 3, H, W) along the straight path from the bare ground to the picture.

    Gauss-Legendre nodes; times the contrast it is integrated gradients (Sundararajan et al. 2017).
    """
    rule = np.polynomial.legendre.leggauss(steps)
    nodes, weights = (torch.from_numpy(part).float().to(contrast.device) for part in rule)
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
    shape = (len(contrast), effort.samples, *contrast.shape[1:])
    noise = torch.randn(shape, generator=generator).to(contrast.device)
    points = contrast[:, None] + spread[:, None, None, None, None] * noise
    return mean_gradient(log_posterior, points, where)
