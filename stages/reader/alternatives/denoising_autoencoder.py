"""Denoising by a small convolutional autoencoder that predicts the noise, fitted on pairs (Vincent et al. 2008)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stages.reader.alternatives.denoising_state import PREFIX, Image, State
from stages.reader.batches import Images
from stages.reader.data_parallel import LossOf, replicas
from stages.reader.fitting import deterministic, on_cpu
from stages.reader.inference import to_batch
from stages.reader.networks import block, fused
from stages.reader.optimisers import decayed

Floats = NDArray[np.float32]

CHANNELS = 16  # of the first layer
BATCH = 16  # pairs per step
EPOCHS = 5
LEARNING_RATE = 0.004  # peak
WEIGHT_DECAY = 0.001
CLEAN = 8  # every eighth input is clean, so that the network learns not to change clean images
ENOUGH = 1e-3  # mean squared error, full scale = 1 (30 dB), below which improvements count less


@dataclass(frozen=True)
class Pairs:
    """Noisy images and their clean counterparts; both (n, H, W, 3)."""

    noisy: Images
    clean: Images


class Autoencoder(nn.Module):
    """Images (B, 3, H, W) uint8 to denoised ones, float32, 0 black to 255 white.

    It standardises each image, so that brightness and contrast do not matter, and predicts a correction to add. A skip
    connection carries the features of the first layer past the bottleneck (Mao, Shen & Yang 2016).
    """

    def __init__(self) -> None:
        super().__init__()
        c = CHANNELS
        self.outer = block(3, c, 5, 2)  # (B, c, H / 2, W / 2)
        self.inner = nn.Sequential(
            block(c, 2 * c, 3, 2), block(2 * c, 2 * c), block(2 * c, 2 * c),  # (B, 2c, H / 4, W / 4)
            nn.Conv2d(2 * c, 4 * c, 3, 1, 1), nn.PixelShuffle(2),  # (B, c, H / 2, W / 2)
        )  # fmt: skip
        self.last = nn.Sequential(
            nn.ReLU(), nn.Conv2d(c, 12, 3, 1, 1), nn.PixelShuffle(2)
        )  # (B, 3, H, W)

    def forward(self, images: Tensor) -> Tensor:
        x = images.float()
        mean = x.mean((2, 3), keepdim=True)
        # 6.5 avoids a division by 0 in a constant image
        spread = (x - mean).square().mean((1, 2, 3), keepdim=True).add(6.5).sqrt()
        height, width = x.shape[2:]
        z = functional.pad((x - mean) / spread, (0, -width % 4, 0, -height % 4), mode="replicate")
        outer = self.outer(z)
        correction = self.last(outer + self.inner(outer))[..., :height, :width]
        result: Tensor = x + spread * correction.float()
        return result


def pairs_of(
    images: Images,
    captcha: Sequence[int],
    condition: Sequence[int],
    foreground: Sequence[Sequence[str]],
    background: Sequence[str],
) -> Pairs:
    """Each noisy rendering paired with the clean one of its captcha, from the columns of a captcha table.

    Condition 0 is clean. Colour is assigned per rendering, so the two usually differ: the clean one is repainted in the
    colours (#rrggbb) of the noisy one. Where foregrounds are unknown (empty), both have their original colours. Where
    ink differs between characters, a pixel cannot be assigned to one of them: such a rendering makes a pair only in the
    colours of the clean one. Raises ValueError where a captcha has no clean rendering.
    """
    sources = {captcha[i]: i for i in range(len(images)) if condition[i] == 0}
    rows: list[int] = []
    clean: list[Image] = []
    for i in (i for i in range(len(images)) if condition[i] != 0):
        source = sources.get(captcha[i])
        if source is None:
            raise ValueError(f"denoise: captcha {captcha[i]} has no clean rendering to learn from")
        colours = [(background[row], tuple(foreground[row])) for row in (source, i)]
        if colours[0] == colours[1] or not foreground[i]:
            rows.append(i)
            clean.append(images[source])
        elif len(set(foreground[source])) == len(set(foreground[i])) == 1:
            ends = [(_rgb(ground), _rgb(inks[0])) for ground, inks in colours]
            rows.append(i)
            clean.append(_repainted(images[source], *ends))
    return Pairs(images[rows], np.stack(clean) if clean else images[:0])


def _repainted(image: Image, before: tuple[Floats, Floats], after: tuple[Floats, Floats]) -> Image:
    """An image of one ink in other colours (background, ink); within 2 of 255 of drawing it in them."""
    ground = before[0]
    way = before[1] - before[0]
    ink = np.clip((image - ground) @ way / max(float(way @ way), 1.0), 0, 1)  # (H, W)
    return np.asarray(np.rint(after[0] + ink[..., None] * (after[1] - after[0])), np.uint8)


def _rgb(colour: str) -> Floats:
    return np.array(list(bytes.fromhex(colour.removeprefix("#"))), np.float32)


def fit_learned(
    pairs: Pairs,
    *,
    seed: int,
    device: torch.device,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Tensor]:
    """The state of `learned`; `report` receives one line per epoch.

    The loss is the logarithm of each image's mean squared error, as in PSNR (Chen et al. 2021): with the squared error,
    the strongest noise dominates and other images are blurred; with the absolute error, the network stays close to the
    identity. Equal pairs and seed give equal bytes on one machine. Raises ValueError where there are no pairs, or they
    differ in shape.
    """
    if pairs.noisy.shape != pairs.clean.shape or not len(pairs.noisy):
        raise ValueError(
            f"denoise: learned needs as many noisy images as clean ones of one size, got "
            f"{pairs.noisy.shape} and {pairs.clean.shape}"
        )
    network = _network(seed).to(device)
    size = min(BATCH, len(pairs.noisy))
    steps = len(pairs.noisy) // size
    optimiser = torch.optim.AdamW(
        decayed(network.parameters(), WEIGHT_DECAY), LEARNING_RATE, fused=True
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, EPOCHS * steps + 1)
    with deterministic(), replicas(network, device) as side_by_side:
        side_by_side.train()
        for epoch in range(1, EPOCHS + 1):
            started = time.monotonic()
            loss = 0.0
            order = np.random.default_rng((seed, epoch)).permutation(len(pairs.noisy))
            for step in range(steps):
                optimiser.zero_grad()
                loss += side_by_side.backward(
                    _loss(pairs, order[step * size : (step + 1) * size], device), size
                )
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                scheduler.step()
            report(
                f"denoiser: epoch {epoch}/{EPOCHS}, {-10 / math.log(10) * loss / steps:.2f} dB, "
                f"{time.monotonic() - started:.0f} s"
            )
        side_by_side.gather()
    return {f"{PREFIX}{name}": tensor for name, tensor in on_cpu(network).items()}


def _network(seed: int) -> nn.Module:
    """Weights drawn from the seed (He et al. 2015); those of the last layer are 0, so it starts as the identity."""
    network = Autoencoder()
    generator = torch.Generator().manual_seed(seed)
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.zeros_(layers[-1].weight)
    return network.to(memory_format=torch.channels_last)


def _loss(pairs: Pairs, rows: NDArray[np.int64], device: torch.device) -> LossOf[nn.Module]:
    """The mean logarithm of the images' squared errors for some of these rows; one in CLEAN has a clean input."""
    given = pairs.noisy[rows]
    wanted = pairs.clean[rows]
    given[::CLEAN] = wanted[::CLEAN]

    def loss(network: nn.Module, part: slice) -> Tensor:
        off = network(to_batch(given[part]).to(device)) - to_batch(wanted[part]).to(device).float()
        result: Tensor = off.div(255).square().mean((1, 2, 3)).add(ENOUGH).log().mean()
        return result

    return loss


def load_autoencoder(own: State) -> nn.Module:
    """The network of a state whose names have no prefix. Raises ValueError where the state is not one of `learned`."""
    network = Autoencoder()
    expected = network.state_dict()
    wrong = sorted(set(expected) ^ set(own)) or [
        name
        for name in expected
        if expected[name].shape != own[name].shape
        or expected[name].dtype != own[name].dtype
        or not bool(torch.isfinite(own[name]).all())
    ]
    if wrong:
        raise ValueError(
            f"denoise: the state is not one of learned ({PREFIX}{wrong[0]} is missing, unknown, of "
            "another shape or not finite): fit the reader again"
        )
    network.load_state_dict(dict(own))
    return fused(network).to(memory_format=torch.channels_last)
