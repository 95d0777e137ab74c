"""Points to compare: single glyphs under every noise, and what a reader's last layer but one makes of each character.

Letters here: n images, T characters of a text, S columns or positions, F features, m characters in all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.captcha.colour import luma
from stages.captcha.noise import apply
from stages.reader.batches import Images, Labels
from stages.reader.inference import NetworkReader, autocast, batches_of, to_batch
from stages.reader.networks import Network
from stages.reader.protocol import Reader
from stages.reader.threads import map_batches
from stages.schemas.words import CLEAN

Glyphs = NDArray[np.uint8]  # (n, 28, 28), ink 255 on 0
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Condition = tuple[str, float]  # noise and level


@dataclass(frozen=True, eq=False)
class Features:
    """What a reader sees of each true character, row by row of the texts."""

    points: Floats  # (m, F)
    image: Ints  # (m,) which of the n
    position: Ints  # (m,) in the text, from 0
    label: Ints  # (m,) 1 to A


def render_glyphs(
    glyphs: Glyphs, doses: Sequence[Condition], *, stream: Callable[[str], np.random.Generator]
) -> dict[Condition, Glyphs]:
    """The glyphs (n, 28, 28) under each noise at each level, white on black and grey again, (n, 28, 28) each.

    `stream` gives the random numbers of a noise, the same at each call: its levels share them, so that a dose grows the
    noise that is there. Raises ValueError as `stages.captcha.noise.apply` does.
    """
    coloured = np.repeat(glyphs[..., None], 3, axis=3)
    return {
        (noise, level): np.rint(
            255 * luma(apply(noise, coloured, level, rng=stream(noise)))
        ).astype(np.uint8)
        for noise, level in doses
    }


def penultimate(reader: Reader, images: Images, labels: Labels) -> Features:
    """The input of the reader's classifier, for each character of images (n, H, W, 3) with labels (n, T), 0 after the
    end; as the reader reads: denoised, in its precision.

    ctc        The features (F = 4 channels; compact: 6) of a column: of the likeliest path that spells the
               truth (which is the path that was read, where it was read right), the column of the character's run
               that is surest of it.
    positions  A network with one position gives all its features. One with several has the same features for all
               characters of an image, so a character's point is what its position's classifier makes of them: the
               features times its weights (F = classes), without the bias (an ancestor's: with it).

    A character whose position the network does not have is left out. Raises ValueError where the reader has no such
    layer, and where a text has more characters than the image has columns.
    """
    network = reader.gradients
    if network is None:
        raise ValueError(
            f"features: {reader.name} is no network and has no layer before its last: name another reader"
        )
    last, logits = _last_layer(network, network.denoiser(images))
    if network.aligned:
        image, position = np.nonzero(labels)
        columns = network.columns(logits, labels)[image, position]
        return Features(last[image, columns], image, position, labels[image, position])
    positions = logits.shape[1]
    image, position = np.nonzero(labels[:, :positions])
    points = (
        last[image] if positions == 1 else _of_position(network.network, logits)[image, position]
    )
    return Features(points, image, position, labels[image, position])


def _of_position(network: Network, logits: Floats) -> Floats:
    """Points (n, S, classes): the logits without their bias, where one linear layer makes those of all positions."""
    bias: Any = getattr(network.classifier, "bias", None)
    if bias is None or bias.numel() != logits[0].size:
        return logits
    points: Floats = logits - bias.detach().float().cpu().numpy().reshape(logits.shape[1:])
    return points


def _last_layer(recogniser: NetworkReader, images: Images) -> tuple[Floats, Floats]:
    """The classifier's input (n, F), for ctc (n, S, F), and the logits (n, S, classes); images as denoised."""
    seen: dict[int, Tensor] = {}  # by thread: the batches are read side by side

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[threading.get_ident()] = inputs[0]

    def read(batch: Images) -> tuple[Floats, Floats]:
        with torch.inference_mode(), autocast(recogniser.precision, recogniser.device):
            logits = recogniser.network(to_batch(batch).to(recogniser.device))
            return seen[threading.get_ident()].float().cpu().numpy(), logits.float().cpu().numpy()

    classifier: Any = recogniser.network.classifier
    hook = classifier.register_forward_pre_hook(record)
    try:
        last, logits = zip(*map_batches(read, batches_of(images), recogniser.device), strict=True)
    finally:
        hook.remove()
    return np.concatenate(last), np.concatenate(logits)


@dataclass(frozen=True, eq=False)
class PairedPoints:
    """The characters of clean renderings and, row by row, of the same captchas under noise."""

    clean: Floats  # (m, F)
    labels: Ints  # (m,) from 0
    clusters: NDArray[np.integer[Any]]  # (m,) captcha
    noisy: Mapping[Condition, Floats]  # (m, F) each


def paired_points(
    features: Features,
    noise: NDArray[np.str_],
    level: NDArray[np.float64],
    captcha: NDArray[np.integer[Any]],
) -> PairedPoints:
    """The features of renderings (n,), described by noise, level and captcha, sorted by captcha and position.

    Raises ValueError where a captcha lacks a condition or has it twice.
    """
    owner = captcha[features.image]
    order = np.lexsort((features.position, owner))
    conditions = list(zip(noise.tolist(), level.tolist(), strict=True))
    found = {
        dose: order[_shown_under(dose, features, noise, level)[order]]
        for dose in dict.fromkeys(conditions)
    }
    first = next((rows for (kind, _), rows in found.items() if kind == CLEAN), None)
    if first is None:
        raise ValueError(
            "features: no clean rendering to compare with: give the clean condition of each captcha too"
        )
    key = np.stack([owner, features.position])
    for (kind, strength), rows in found.items():
        if not np.array_equal(key[:, rows], key[:, first]):
            raise ValueError(
                f"features: {kind} at level {strength:g} has other captchas than the clean renderings: "
                "give every captcha under every condition, once"
            )
    noisy = {dose: features.points[rows] for dose, rows in found.items() if dose[0] != CLEAN}
    return PairedPoints(features.points[first], features.label[first] - 1, owner[first], noisy)


def _shown_under(
    dose: Condition, features: Features, noise: NDArray[np.str_], level: NDArray[np.float64]
) -> NDArray[np.bool_]:
    shown: NDArray[np.bool_] = ((noise == dose[0]) & (level == dose[1]))[features.image]
    return shown
