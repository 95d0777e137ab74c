"""A classifier of the normal glyphs, and how far a glyph is from all that it learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.captcha.glyphs import Glyphs, Ints
from stages.insight.density_mixture import GLYPHS_PER_SCORING
from stages.insight.detection import Doubles
from stages.reader.networks import block, fused, initialise
from stages.reader.optimisers import decayed

NEIGHBOURS = 5  # the k of features
BATCH = 32  # glyphs per step
LEARNING_RATE = 0.008  # peak of the one-cycle schedule


class Classifier(nn.Module):
    """A small CNN of one character."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        c = channels
        self.features = nn.Sequential(  # shapes after each, for 28 x 28 px
            block(1, c, 5, 2),  # (B, c, 14, 14)
            block(c, 2 * c, 3, 2),  # (B, 2c, 7, 7)
            block(2 * c, 4 * c, 3, 2),  # (B, 4c, 4, 4)
            nn.MaxPool2d(2),
            nn.Flatten(),  # (B, 16c)
        )
        self.classifier = nn.Linear(16 * c, classes)

    def embed(self, images: Tensor) -> Tensor:
        """Penultimate features (B, 16c) of images (B, 28, 28) uint8."""
        features: Tensor = self.features(images[:, None].float() / 255)
        return features

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.embed(images))
        return logits


def fit_novelty_classifier(
    epochs: Sequence[Glyphs],
    labels: Ints,
    held_out: int,
    *,
    channels: int,
    seed: int,
    device: torch.device,
) -> Classifier:
    """A classifier of all classes but `held_out`, ready to use.

    `epochs` are the training glyphs (n, 28, 28) as augmented in each epoch; all classifiers share them, since
    augmenting takes as long as learning. Labels are (n,).
    """
    generator = torch.Generator().manual_seed(seed)
    network = Classifier(int(labels.max()) + 1, channels)
    initialise(network, generator=generator).to(device).train()
    normal = np.flatnonzero(labels != held_out)
    size = min(BATCH, len(normal))
    steps = len(normal) // size
    optimiser = torch.optim.AdamW(decayed(network.parameters(), 0.01), LEARNING_RATE, fused=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, len(epochs) * steps + 1
    )
    known = torch.from_numpy(labels[normal]).to(device)
    for glyphs in epochs:
        images = torch.from_numpy(glyphs[normal]).to(device)
        order = torch.randperm(len(normal), generator=generator).to(device)
        for rows in torch.split(order[: steps * size], size):
            optimiser.zero_grad()
            loss = functional.cross_entropy(network(images[rows]), known[rows])
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            scheduler.step()
    ready = fused(network)
    assert isinstance(ready, Classifier)
    return ready


def features_of(network: Classifier, images: Glyphs) -> tuple[Tensor, Tensor]:
    """Features of length 1 (n, 16c) and logits (n, A) of glyphs (n, 28, 28)."""
    device = network.classifier.weight.device
    with torch.inference_mode():
        parts = [
            network.embed(torch.from_numpy(images[i : i + GLYPHS_PER_SCORING].copy()).to(device))
            for i in range(0, len(images), GLYPHS_PER_SCORING)
        ]
        features = torch.cat(parts)
        return functional.normalize(features), network.classifier(features)


def feature_scores(network: Classifier, images: Glyphs, reference: Tensor) -> dict[str, Doubles]:
    """The scores (n,) of a classifier; reference (R, 16c) are the features of the normal training glyphs."""
    features, logits = features_of(network, images)
    k = min(NEIGHBOURS, len(reference))
    parts = torch.split(features, GLYPHS_PER_SCORING)
    near = torch.cat([(part @ reference.T).topk(k, 1).values[:, -1] for part in parts])
    distance = (2 - 2 * near.double()).clamp_min(0).sqrt()
    return {"features": distance.cpu().numpy(), "logit": -logits.amax(1).double().cpu().numpy()}
