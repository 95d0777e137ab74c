"""Weight randomisation: how similar the maps stay while the reader's layers are drawn anew (Adebayo et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import nn

from stages.insight.faithfulness import spearman, spearman_within
from stages.insight.gradient_saliency import GRADIENTS, Bools, Maps, SaliencyEffort, gradient_maps
from stages.insight.saliency import Explanation
from stages.reader.decoding import Ints
from stages.reader.inference import NetworkReader


def cascade(
    reader: NetworkReader, *, generator: torch.Generator
) -> Iterator[tuple[str, NetworkReader]]:
    """The reader with its weights drawn anew from the last layer down, one more layer each time, by the layer's name.

    This is cascading randomisation. Weights come from a normal of the trained ones' mean and standard
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
                drawn_weights = torch.randn(weights.shape, generator=generator)
                weights.copy_(weights.mean() + spread * drawn_weights)
        drawn = copy.copy(reader)
        drawn.network = copy.deepcopy(network).to(reader.device)
        yield name, drawn


def randomised_maps(
    explanation: Explanation,
    reader: NetworkReader,
    captcha: Ints,
    masks: Bools,
    *,
    effort: SaliencyEffort,
    seed: int,
) -> pd.DataFrame:
    """Similarity of |maps| to those of the trained reader while its weights are drawn anew from the last layer down.

    captcha (m,), masks (m, H, W) of the characters. One row per row of the explanation, method and layer: captcha,
    method, layer, layers (how many are drawn anew, from 1), spearman over the pixels of the mask, whole over the whole
    picture. A method whose maps do not change shows the picture, not the reader. Gradient methods only, their maps made
    anew with `effort`, which may be less than that of the explanation.
    """

    def magnitudes(of: NetworkReader, method: str) -> Maps:
        maps, _ = gradient_maps(of, images, targets, method, effort, seed=seed)
        return np.abs(maps)

    methods = [method for method in explanation.maps if method in GRADIENTS]
    images = explanation.images
    targets = explanation.targets
    trained = {method: magnitudes(reader, method) for method in methods}
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for layers, (layer, other) in enumerate(cascade(reader, generator=generator), 1):
        for method in methods:
            maps = magnitudes(other, method)
            columns = {
                "captcha": captcha,
                "method": method,
                "layer": layer,
                "layers": layers,
                "spearman": spearman_within(maps, trained[method], masks),
                "whole": spearman(maps, trained[method]),
            }
            rows.append(pd.DataFrame(columns))
    return pd.concat(rows, ignore_index=True)
