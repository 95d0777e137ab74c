"""Saliency: for one character of each rendering, a map of the pixels that raise the probability of that character.

A map explains the posterior of the *true* character at the place where the reader reads it: for ctc and compact the
column of the peak of its run, on the likeliest path that spells the true text (the best path itself where the text is
read right); for the others its position. Letters here: m rows, each one rendering and one of its characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.captcha.noise.canvas import background
from stages.insight.gradient_saliency import (
    GRADIENTS,
    Maps,
    SaliencyEffort,
    Targets,
    gradient_maps,
)
from stages.reader.alignment import answers
from stages.reader.batches import Images, Labels
from stages.reader.decoding import Doubles, Ints, softmax
from stages.reader.protocol import Reader

METHODS = (*GRADIENTS, "occlusion")
MIN_POSTERIOR = 1e-12  # below which a posterior counts as this, for its logarithm
NO_GRADIENT = "has no gradients: occlusion only, by the drop in its confidence"


@dataclass(frozen=True)
class Explanation:
    """Maps of m rows by method."""

    images: Images  # (m, H, W, 3) that the reader saw, after its denoiser
    targets: Targets
    maps: dict[str, Maps]  # method: (m, H, W)
    # (m,) of integrated gradients: |sum of map - (f(x) - f(ground))| / |f(x) - f(ground)|
    residual: Doubles | None
    note: str  # what could not be done, "" where all was


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
    denoiser the network is explained, on the pictures that the denoiser gives it. Without gradients the only method is
    occlusion, and `note` says so. Raises ValueError on a method, a position or an effort out of range.
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
    least = min(effort.steps, effort.samples, effort.stride)
    fits = effort.stride <= effort.window <= min(images.shape[1:3])
    if least < 1 or not fits or effort.spread < 0:
        raise ValueError(
            f"effort: expected 1 or more of each, a stride of at most the window and a window of at most "
            f"{min(images.shape[1:3])} px, got {effort}"
        )


def locate(reader: Reader, images: Images, texts: Labels, position: Ints) -> Targets:
    """Where the reader reads the character at `position` (m,) of each text (m, T), and whether it does."""
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
            f"texts: expected at most {columns} characters, as the reader can read, got "
            f"{texts.shape[1]}: explain another reader"
        )
    log_posterior = predicted.logits[rows, column].astype(np.float64)
    return Targets(
        texts, position, column, read_right, softmax(log_posterior)[rows, texts[rows, position]]
    )


def places_of(reader: Reader, images: Images, texts: Labels) -> Doubles | None:
    """Where the reader reads each character (n, T) of texts on images, px from the left, NaN after the end of a text.

    None unless it reads by column.
    """
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


def occlusion_maps(
    reader: Reader, images: Images, targets: Targets, effort: SaliencyEffort
) -> Maps:
    """Maps (m, H, W): the fall of the log-posterior where a square is painted with the ground, averaged over squares.

    Zeiler & Fergus (2014). For a reader without gradients it is the fall of the confidence itself.
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
            fall = before - evidence(posterior(reader, painted, targets))
            total[:, *square] += fall[:, None, None]
            times[square] += 1
    return (total / times).astype(np.float32)
