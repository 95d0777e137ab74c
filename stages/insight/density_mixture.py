"""Density of the normal glyphs: a mixture of variational autoencoders, one for each class.

Each autoencoder is fitted once: to hold a class out is to leave its autoencoder out of the mixture.
Letters here: n glyphs, A classes, K importance samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stages.captcha.glyphs import Glyphs
from stages.insight.autoencoder import (
    GlyphAutoencoder,
    draw_latent,
    reconstruction_loss,
    to_ink,
)
from stages.insight.detection import Bools, Doubles

SAMPLES = 3  # importance samples of a glyph and class
GLYPHS_PER_SCORING = (
    500  # glyphs scored at a time; part of the result, since rounding may differ with it
)
MIN_LOG_ARGUMENT = 1e-3  # under a logarithm: a glyph may have no ink
IMPORTANCE = 2  # stream of the seed


@dataclass(frozen=True, eq=False)
class Evidence:
    """The losses of n glyphs under the autoencoders of all classes."""

    ink: Doubles  # (n,) sum of the pixels, full ink = 1
    contour: Doubles  # (n,) total variation
    entropy: Doubles  # (n,) nats, of the pixels as Bernoulli probabilities: the least cross-entropy there is
    reconstruction: Doubles  # (A, n) cross-entropy at the mean of q, nats
    log_density: Doubles  # (A, n) importance-weighted bound of log p(x | class), nats


def seed_of(seed: int, *identity: int) -> int:
    """A seed of Torch for what `identity` names."""
    return int(np.random.SeedSequence((seed, *identity)).generate_state(1)[0])


def evidence_of(
    mixture: Sequence[GlyphAutoencoder], images: Glyphs, *, seed: int, samples: int = SAMPLES
) -> Evidence:
    """The evidence of glyphs (n, 28, 28) under each of A autoencoders."""
    x = to_ink(images).double()
    square = x.reshape(-1, *images.shape[1:])
    contour = square.diff(dim=1).abs().sum((1, 2)) + square.diff(dim=2).abs().sum((1, 2))
    reconstruction, log_density = np.empty((2, len(mixture), len(images)))
    for a, network in enumerate(mixture):
        generator = torch.Generator().manual_seed(seed_of(seed, IMPORTANCE, a))
        for i in range(0, len(images), GLYPHS_PER_SCORING):
            rows = slice(i, i + GLYPHS_PER_SCORING)
            reconstruction[a, rows], log_density[a, rows] = importance_bound(
                network, to_ink(images[rows]), samples, generator=generator
            )
    return Evidence(
        x.sum(1).numpy(), contour.numpy(), pixel_entropy(x).numpy(), reconstruction, log_density
    )


def pixel_entropy(x: Tensor) -> Tensor:
    """Nats (n,) of pixels (n, P) from 0 to 1, each a Bernoulli probability: the least cross-entropy."""
    return -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)).sum(1)


def importance_bound(
    network: GlyphAutoencoder, x: Tensor, samples: int, *, generator: torch.Generator
) -> tuple[Doubles, Doubles]:
    """Reconstruction loss (n,) at the mean of q(z | x), and a lower bound (n,) of log p(x), in nats.

    log of the mean over K draws of p(x | z) p(z) / q(z | x) (Burda, Grosse & Salakhutdinov 2016): the ELBO for one
    draw, and tighter with each further.
    """
    with torch.inference_mode():
        x = x.to(next(network.parameters()).device)
        mean, log_variance = network.encode(x)
        weights = torch.stack(
            [_log_weight(network, x, mean, log_variance, generator) for _ in range(samples)]
        )
        bound = torch.logsumexp(weights, 0) - math.log(samples)
        loss = reconstruction_loss(network.decode(mean), x)
    return loss.double().cpu().numpy(), bound.double().cpu().numpy()


def _log_weight(
    network: GlyphAutoencoder,
    x: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    generator: torch.Generator,
) -> Tensor:
    z = draw_latent(mean, log_variance, generator=generator)
    deviation = (z - mean).square() / log_variance.exp()  # the two normals' 2 pi cancels
    log_ratio = (deviation + log_variance - z.square()).sum(1) / 2  # log p(z) - log q(z | x)
    return log_ratio - reconstruction_loss(network.decode(z), x)


def density_scores(
    evidence: Evidence, label: int, *, fitted_to: tuple[Evidence, Bools]
) -> dict[str, Doubles]:
    """The scores (n,) of a mixture without class `label`; corrections are fitted to the glyphs of another evidence that
    are marked normal."""
    reference, normal = fitted_to
    scores = {"ink": evidence.ink, "raw": _excess(evidence, label)[0] + evidence.entropy}
    known = _amounts(reference)[normal]
    for i, method in enumerate(("reconstruction", "elbo")):
        target = _log(_excess(reference, label)[i])[normal]
        coefficients = np.linalg.lstsq(known, target, rcond=None)[0]
        scores[method] = _log(_excess(evidence, label)[i]) - _amounts(evidence) @ coefficients
    return scores


def _excess(evidence: Evidence, label: int) -> tuple[Doubles, Doubles]:
    """Nats (n,) that the best class's reconstruction, and the mixture's density, cost beyond the pixels' entropy."""
    others = np.arange(len(evidence.reconstruction)) != label
    mixture = np.logaddexp.reduce(evidence.log_density[others], axis=0) - math.log(others.sum())
    best = evidence.reconstruction[others].min(axis=0)
    return best - evidence.entropy, -mixture - evidence.entropy


def _amounts(evidence: Evidence) -> Doubles:
    """Regressors (n, 3): how much a glyph has to reconstruct, whatever its shape.

    Errors are at edges, so that ink alone explains less of them than the contour's length does.
    """
    return np.column_stack([np.ones(len(evidence.ink)), _log(evidence.ink), _log(evidence.contour)])


def _log(values: Doubles) -> Doubles:
    return np.log(np.maximum(values, MIN_LOG_ARGUMENT))
