"""A variational autoencoder of glyphs (Kingma & Welling 2014), with a classifier head where it is given labels.

Letters here: n glyphs, L dimensions of the latent space, P = 784 pixels. Pixels are ink from 0 to 1, each taken as the
parameter of a Bernoulli distribution: on grey pixels that is a loss, cross-entropy, and no density. Losses are in nats.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stages.captcha.glyphs import SIDE, Glyphs, Ints
from stages.reader.fitting import deterministic
from stages.reader.threads import one_thread
from stages.schemas.explain import GlyphLosses
from stages.statistics.bootstrap import multinomial_counts, percentile_interval

Floats = NDArray[np.float32]

HIDDEN = 128  # units between the pixels and the latent space, both ways
BATCH = 32  # glyphs per step
LEARNING_RATE = 0.01  # peak of the one-cycle schedule
WARM_UP = 0.4  # share of the steps over which the divergence comes to count in full
LABEL_WEIGHT = (
    20.0  # nats of reconstruction that one nat of classification weighs; a glyph costs about 100
)
SPREAD = 6.0  # a log variance lies within this of 0: what is far from all that was learned costs no infinity
GLYPHS_PER_PASS = 512  # glyphs encoded or decoded at a time; part of the result, since rounding may differ with it


class GlyphAutoencoder(nn.Module):
    """Glyphs to a normal distribution in the latent space (encode), and points there to pixels (decode).

    With a head, `classify` predicts the class of a point. Every x is (n, ...) float32 ink from 0 to 1 with
    n * 784 numbers, as `to_ink` gives. Layers are dense: on single glyphs, which fill their picture, they learn more
    in 0.43 of the CPU time than convolutions, whose many small operations cost more than their arithmetic.
    """

    def __init__(self, latent: int, classes: int = 0) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(
            nn.Linear(SIDE**2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, SIDE**2)
        )
        self.head = nn.Linear(latent, classes) if classes else None

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, (n, L) each, of q(z | x)."""
        mean, log_variance = self.encoder(x.reshape(-1, SIDE**2)).chunk(2, 1)
        return mean, SPREAD * torch.tanh(log_variance / SPREAD)

    def decode(self, z: Tensor) -> Tensor:
        """Logits (n, P) of the pixels at points (n, L)."""
        logits: Tensor = self.decoder(z)
        return logits

    def classify(self, z: Tensor) -> Tensor:
        """Logits (n, classes) at points (n, L). Raises ValueError where it was fitted without labels."""
        if self.head is None:
            raise ValueError(
                "autoencoder: it was fitted without labels and has no classifier: give fit_autoencoder "
                "labels"
            )
        logits: Tensor = self.head(z)
        return logits

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Reconstruction loss (n,) at a draw of q(z | x), at its mean without a generator, and divergence (n,).

        The evidence lower bound of log p(x) is minus their sum.
        """
        mean, log_variance = self.encode(x)
        z = mean if generator is None else draw_latent(mean, log_variance, generator=generator)
        return reconstruction_loss(self.decode(z), x), divergence(mean, log_variance)


def draw_latent(mean: Tensor, log_variance: Tensor, *, generator: torch.Generator) -> Tensor:
    """A point (n, L) from each normal distribution; the generator is a CPU's, so that every device draws the same."""
    noise = torch.randn(mean.shape, generator=generator).to(mean.device)
    return mean + (log_variance / 2).exp() * noise


def reconstruction_loss(logits: Tensor, x: Tensor) -> Tensor:
    """Cross-entropy (n,) of pixels with ink x, (n, ...), under logits (n, P): summed over pixels."""
    return functional.binary_cross_entropy_with_logits(
        logits, x.reshape(logits.shape), reduction="none"
    ).sum(1)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q || p) (n,) of normal q with independent dimensions, (n, L), from the standard normal p.

    The sum over dimensions of half of m^2 + s^2 - 1 - log s^2 (Kingma & Welling 2014, appendix B).
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


def to_ink(images: Glyphs) -> Tensor:
    """Glyphs as ink from 0 to 1, (n, P) float32. Raises ValueError on another shape or type."""
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
        raise ValueError(
            f"autoencoder: expected glyphs (n, {SIDE}, {SIDE}) uint8, got {images.shape} {images.dtype}: "
            "make them grey and of that size"
        )
    return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32)).div_(255)


def fit_autoencoder(
    images: Glyphs,
    labels: Ints | None = None,
    *,
    latent: int,
    epochs: int,
    seed: int,
    device: torch.device | str = "cpu",
    report: Callable[[str], None] = lambda line: None,
) -> GlyphAutoencoder:
    """An autoencoder of the glyphs, with a classifier head where they have labels (n,), 0 to C - 1.

    AdamW on the mean of reconstruction and divergence, one draw per glyph and step; the divergence comes in slowly
    (Sønderby et al. 2016), else the latent space may stay empty. The head adds the cross-entropy of the class at the
    draw, times LABEL_WEIGHT. One line per epoch goes to `report`. The same arguments give the same
    bytes on one machine. Raises ValueError on images or labels of another shape, and sizes out of range.
    """
    _check(images, labels, latent, epochs)
    generator = torch.Generator().manual_seed(seed)
    x = to_ink(images).to(device)
    classes = 0 if labels is None else int(labels.max()) + 1
    y = None if labels is None else torch.from_numpy(np.ascontiguousarray(labels)).to(device)
    with torch.device("meta"):  # without values, which torch would draw from its global generator
        network = GlyphAutoencoder(latent, classes)
    _initialise(network.to_empty(device="cpu"), generator=generator).to(device)
    size = min(BATCH, len(x))
    steps = len(x) // size
    optimiser = torch.optim.AdamW(
        network.parameters(), LEARNING_RATE, weight_decay=1e-4, fused=True
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, epochs * steps + 1)
    with deterministic(), one_thread():
        for epoch in range(1, epochs + 1):
            started = time.monotonic()
            losses = np.zeros(2)
            order = torch.randperm(len(x), generator=generator).to(device)
            batches = torch.split(order[: steps * size], size)
            for step, rows in enumerate(batches, (epoch - 1) * steps + 1):
                optimiser.zero_grad()
                weight = min(1.0, step / (WARM_UP * epochs * steps))
                known = None if y is None else y[rows]
                loss, parts = _loss(network, x[rows], known, weight, generator)
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(network.parameters(), 100.0)
                optimiser.step()
                scheduler.step()
                losses += parts
            _require_finite(losses, epoch)
            report(
                f"autoencoder: epoch {epoch}/{epochs}, reconstruction {losses[0] / steps:.1f}, divergence "
                f"{losses[1] / steps:.2f} nats, {time.monotonic() - started:.1f} s"
            )
    return network.eval()


def _initialise(network: GlyphAutoencoder, *, generator: torch.Generator) -> GlyphAutoencoder:
    """Weights of He et al. (2015); smaller ones let the divergence win before the decoder has learned to listen."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)
    return network


def _loss(
    network: GlyphAutoencoder,
    x: Tensor,
    y: Tensor | None,
    weight: float,
    generator: torch.Generator,
) -> tuple[Tensor, list[float]]:
    """The loss of a batch, and the means of its reconstruction and divergence, which counts `weight` fold."""
    mean, log_variance = network.encode(x)
    z = draw_latent(mean, log_variance, generator=generator)
    reconstruction = reconstruction_loss(network.decode(z), x).mean()
    apart = divergence(mean, log_variance).mean()
    loss = reconstruction + weight * apart
    if y is not None:
        loss = loss + LABEL_WEIGHT * functional.cross_entropy(network.classify(z), y)
    return loss, [float(reconstruction.item()), float(apart.item())]


def _check(images: Glyphs, labels: Ints | None, latent: int, epochs: int) -> None:
    if not len(images):
        raise ValueError("autoencoder: expected at least one glyph to learn from, got none")
    if labels is not None and (
        labels.shape != (len(images),) or labels.dtype != np.int64 or labels.min() < 0
    ):
        raise ValueError(
            f"autoencoder: expected a label, int64 from 0, for each of {len(images)} glyphs, got "
            f"{labels.shape} {labels.dtype}"
        )
    for name, value, high in (("latent", latent, 512), ("epochs", epochs, 100_000)):
        if not 1 <= value <= high:
            raise ValueError(f"autoencoder: {name} should be 1 to {high}, got {value}")


def _require_finite(losses: NDArray[np.float64], epoch: int) -> None:
    if not math.isfinite(losses.sum()):
        raise ValueError(
            f"autoencoder: the loss is not finite after epoch {epoch}: are the glyphs damaged?"
        )


def latent_means(network: GlyphAutoencoder, images: Glyphs) -> Floats:
    """The mean of q(z | x) of each glyph, (n, L)."""
    return _by_part(network, to_ink(images), lambda x: network.encode(x)[0])


def reconstructions(network: GlyphAutoencoder, images: Glyphs) -> Glyphs:
    """What the network makes of each glyph, (n, 28, 28): pixels at the mean of q(z | x)."""
    return _to_glyphs(
        _by_part(network, to_ink(images), lambda x: network.decode(network.encode(x)[0]).sigmoid())
    )


def prior_samples(network: GlyphAutoencoder, count: int, *, generator: torch.Generator) -> Glyphs:
    """Pixels (count, 28, 28) at points drawn from the standard normal."""
    z = torch.randn(count, network.latent, generator=generator)
    return _to_glyphs(_by_part(network, z, lambda rows: network.decode(rows).sigmoid()))


def vae_samples(
    plain: GlyphAutoencoder,
    classified: GlyphAutoencoder,
    clean: Glyphs,
    noisy: Glyphs,
    condition: str,
    *,
    seed: int,
) -> dict[str, Glyphs]:
    """Rows of glyphs (n, 28, 28) by name, for a figure: clean and noisy glyphs, their reconstructions by the plain
    autoencoder, and draws from the prior of both autoencoders."""
    rows = {
        "glyphs": clean,
        "drawn again": reconstructions(plain, clean),
        condition: noisy,
        "drawn from that": reconstructions(plain, noisy),
    }
    priors = {"from the prior": plain, "with classifier": classified}
    for number, (name, network) in enumerate(priors.items()):
        generator = torch.Generator().manual_seed(seed + number)
        rows[name] = prior_samples(network, len(clean), generator=generator)
    return rows


def active_units(means: Floats | NDArray[np.float64], least: float = 0.01) -> int:
    """Dimensions of the latent space in use: those whose mean (n, L) varies by more than `least` over the glyphs.

    Burda, Grosse & Salakhutdinov (2016).
    """
    return int((means.var(0, ddof=1) > least).sum())


def losses_table(
    network: GlyphAutoencoder,
    glyphs: Mapping[tuple[str, float], Glyphs],
    *,
    rng: np.random.Generator,
    draws: int = 200,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Mean losses of glyphs at the mean of q, one row per condition (GlyphLosses).

    Intervals resample glyphs; they are NaN for fewer than two.
    """
    rows: list[list[float | str]] = []
    for (noise, level), images in glyphs.items():
        losses = _by_part(network, to_ink(images), lambda x: torch.stack(network.elbo(x), 1))
        losses = losses.astype(np.float64)
        weights = multinomial_counts(len(losses), draws, rng=rng) / len(losses)
        ends = np.full((2, 2), np.nan)
        if len(losses) > 1:
            ends = percentile_interval(weights @ losses, confidence)
        numbers = np.vstack([losses.mean(0), ends])  # (3, 2): by loss the mean, low and high
        rows.append([noise, level, *numbers.T.ravel()])
    return pd.DataFrame(rows, columns=GlyphLosses.names())


def _by_part(network: GlyphAutoencoder, x: Tensor, function: Callable[[Tensor], Tensor]) -> Floats:
    device = next(network.parameters()).device
    with torch.inference_mode(), one_thread():
        parts = [function(part.to(device)).cpu() for part in torch.split(x, GLYPHS_PER_PASS)]
        result: Floats = torch.cat(parts).numpy()
    return result


def _to_glyphs(shares: Floats) -> Glyphs:
    return np.rint(255 * shares).astype(np.uint8).reshape(-1, SIDE, SIDE)
