"""Training data: the parts of a split, stored or drawn anew, and a denoiser fitted on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages import artifacts
from stages.captcha.design import random_images
from stages.command import progress
from stages.drawing import CaptchaStudy, bases_of, identity_of, texts_of
from stages.reader.alternatives.denoising import Denoiser
from stages.reader.alternatives.denoising import build_denoiser as build_denoiser
from stages.reader.alternatives.denoising_autoencoder import Pairs, fit_learned, pairs_of
from stages.reader.alternatives.patch_projection import fit_pca
from stages.reader.batches import Images, Labels
from stages.reader.decoding import encode
from stages.reader.inference import unchanged
from stages.schemas.captchas import Captchas

# Conditions of the training captchas, by readers.<name>.train_on.
CONDITIONS = {"clean": (0,), "noisy": (1,), "both": (0, 1)}
DENOISED = 3000  # renderings that a denoiser is fitted on: more took time without improving it


@dataclass(frozen=True)
class CaptchaPart:
    """The renderings of one part file that a reader is trained on; images are read on demand."""

    path: Path
    rows: NDArray[np.int64]
    labels: Labels
    denoise: Denoiser = unchanged

    def images(self) -> Images:
        images = artifacts.images_of(artifacts.read_captchas(self.path, [Captchas.image]))
        seen: Images = self.denoise(images if len(self.rows) == len(images) else images[self.rows])
        return seen


@dataclass(frozen=True)
class DrawnPart:
    """A part of the training captchas of a later epoch; images are drawn on demand and not stored."""

    study: CaptchaStudy
    part: int
    epoch: int  # from 0, the stored captchas
    conditions: tuple[int, ...]
    alphabet: str
    denoise: Denoiser

    @cached_property
    def labels(self) -> Labels:
        texts = texts_of(self.study, "train", self.part, self.epoch)
        return encode([text for text in texts for _ in self.conditions], self.alphabet)

    def images(self) -> Images:
        study = self.study
        identity = identity_of("train", self.part, self.epoch)
        bases = bases_of(study, "train", self.part, self.epoch)
        return self.denoise(
            random_images(
                bases,
                study.first("train", self.part, self.epoch),
                study.doses,
                study.palette,
                seed=study.seed,
                identity=identity,
                conditions=self.conditions,
            )
        )


@dataclass(frozen=True)
class Split:
    """The parts of a split, with their alphabet and image size in px."""

    parts: list[CaptchaPart]
    alphabet: str
    height: int
    width: int


def open_splits(train_on: str) -> tuple[Split, Split]:
    """The training and the validation captchas. Raises ValueError where they differ in alphabet or size."""
    train = open_split("train", train_on)
    validation = open_split("validation", train_on)
    if (train.alphabet, train.height, train.width) != (
        validation.alphabet,
        validation.height,
        validation.width,
    ):
        raise ValueError(
            "data/captchas: train and validation differ in alphabet or image size: "
            "run `dvc repro -f generate`"
        )
    return train, validation


def open_split(split: str, train_on: str) -> Split:
    """The parts of a split, with the rows selected by `train_on`. Raises ValueError where alphabet or size differ."""
    parts = []
    kinds = set()
    for path in artifacts.parts_of(split):
        table = artifacts.read_captchas(path, [Captchas.condition, Captchas.text])
        alphabet = artifacts.alphabet_of(table.schema)
        kinds.add((alphabet, *artifacts.image_size(table.schema, path)))
        if len(kinds) > 1:
            raise ValueError(
                f"{path}: another alphabet or image size than the parts before: "
                "run `dvc repro -f generate`"
            )
        condition = np.array(table[Captchas.condition].to_pylist())  # to_numpy would import pandas
        rows = np.flatnonzero(np.isin(condition, CONDITIONS[train_on]))
        found = table[Captchas.text].to_pylist()
        texts = [found[row] for row in rows]
        parts.append(CaptchaPart(path, rows, encode(texts, alphabet)))
    alphabet, height, width = kinds.pop()
    return Split(parts, alphabet, height, width)


def check_stored(train: Split, train_on: str, study: CaptchaStudy) -> None:
    """Raise ValueError where the stored captchas differ from those of `study` in size, number or the last texts."""
    stored = (train.alphabet, train.height, train.width, len(train.parts))
    drawn = (study.folding.alphabet, study.layout.height, study.layout.width, study.parts("train"))
    if stored != drawn:
        raise ValueError(
            f"data/captchas/train: alphabet, height, width and parts are {stored}, but params.yaml asks "
            f"for {drawn}: run `dvc repro generate`"
        )
    last = len(train.parts) - 1
    part = DrawnPart(study, last, 0, CONDITIONS[train_on], train.alphabet, unchanged)
    if not np.array_equal(part.labels, train.parts[last].labels):
        raise ValueError(
            "data/captchas/train: holds other texts than params.yaml asks for: run `dvc repro generate`"
        )


def drawn_parts(
    study: CaptchaStudy, train_on: str, denoise: Denoiser, epoch: int
) -> list[DrawnPart]:
    """The training captchas of an epoch, counted from 1 as in the learning curve."""
    return [
        DrawnPart(study, part, epoch - 1, CONDITIONS[train_on], study.folding.alphabet, denoise)
        for part in range(study.parts("train"))
    ]


def fit_denoiser(method: str, seed: int, device: torch.device) -> dict[str, Tensor]:
    """The state of a denoiser, fitted on the first training captchas; empty for a method without a state."""
    if method not in ("pca", "learned"):
        return {}
    columns = [
        Captchas.captcha,
        Captchas.condition,
        Captchas.foreground,
        Captchas.background,
        Captchas.image,
    ]
    clean: list[Images] = []
    noisy: list[Images] = []
    for path in artifacts.parts_of("train"):
        table = artifacts.read_captchas(path, columns)
        images = artifacts.images_of(table)
        if method == "pca":
            clean.append(images[table[Captchas.condition].to_numpy() == 0])
        else:
            pairs = pairs_of(images, *(table[name].to_pylist() for name in columns[:-1]))
            clean.append(pairs.clean)
            noisy.append(pairs.noisy)
        if sum(map(len, clean)) >= DENOISED:
            break
    progress(f"a denoiser learns from {sum(map(len, clean))} training captchas")
    if method == "pca":
        return fit_pca(np.concatenate(clean))
    return fit_learned(
        Pairs(np.concatenate(noisy), np.concatenate(clean)),
        seed=seed,
        device=device,
        report=progress,
    )


def denoised(split: Split, method: str, state: dict[str, Tensor], device: torch.device) -> Split:
    """The split with the denoiser applied to its images."""
    denoise = build_denoiser(method, state, device=device)
    return replace(split, parts=[replace(part, denoise=denoise) for part in split.parts])


def in_memory(split: Split, cells: int) -> tuple[Images, Labels]:
    """Images (n, H, W, 3) and labels (n, T) of the first parts of a split, until they have `cells` characters.

    Raises ValueError where the split is empty.
    """
    images: list[Images] = []
    labels: list[Labels] = []
    longest = max(part.labels.shape[1] for part in split.parts)
    for part in split.parts:
        if len(part.labels):
            images.append(part.images())
            labels.append(np.pad(part.labels, ((0, 0), (0, longest - part.labels.shape[1]))))
        if sum(int((found > 0).sum()) for found in labels) >= cells:
            break
    if not images:
        raise ValueError("no captchas to learn from: check train_on and noise")
    return np.concatenate(images), np.concatenate(labels)
