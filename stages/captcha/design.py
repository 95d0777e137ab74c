"""Experimental design: which renderings of each captcha exist, and the random stream of each.

The test split is paired and crossed: every captcha under every noise type and level, and once clean. Train and
validation have every captcha clean and under one random condition. Colour is balanced within each condition.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.captcha import measures
from stages.captcha.colour import ORIGINAL, Colours, Images, draw_colours, ink_of, luma, paint
from stages.captcha.composition import Bases, balanced
from stages.captcha.noise import apply, background
from stages.schemas.words import CLEAN


@dataclass(frozen=True)
class ColourDesign:
    """The colours of the captchas of an experiment."""

    schemes: tuple[str, ...]
    per_character: bool
    least_contrast: float


@dataclass(frozen=True)
class NoiseDesign:
    """The noise of an experiment: types, strongest level, number of tested levels up to it, and the types that only
    the test split has."""

    types: tuple[str, ...]
    level: float
    steps: int
    unseen: tuple[str, ...] = ()

    @property
    def learned(self) -> tuple[str, ...]:
        """The types of the train and validation splits."""
        return tuple(noise for noise in self.types if noise not in self.unseen)

    def grid(self) -> list[tuple[str, float]]:
        """Conditions of the test split: clean, then each type at each level."""
        levels = [round(self.level * (step + 1) / self.steps, 12) for step in range(self.steps)]
        return [(CLEAN, 0.0)] + [(noise, level) for noise in self.types for level in levels]


@dataclass(frozen=True)
class Renderings:
    """n base captchas under C conditions each, rows sorted by (captcha, condition): row = base * C + condition."""

    condition: NDArray[np.int16]  # (n * C,)
    noise: list[str]  # (n * C,)
    level: NDArray[np.float64]  # (n * C,)
    colours: Colours  # of n * C captchas
    contrast: NDArray[np.float64]  # (n * C,)
    rmse: NDArray[np.float32]  # (n * C,)
    ssim: NDArray[np.float32]  # (n * C,)
    images: Images  # (n * C, H, W, 3)


def stream(seed: int, *identity: str | int) -> np.random.Generator:
    """The random stream of what `identity` names (split, part, purpose). It does not depend on what was made before."""
    words = [zlib.crc32(str(word).encode()) for word in identity]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def render_crossed(
    bases: Bases,
    first: int,
    doses: NoiseDesign,
    palette: ColourDesign,
    *,
    seed: int,
    identity: tuple[str | int, ...],
) -> Renderings:
    """Every base captcha under every condition of the grid.

    The levels of one type share their random numbers: a higher level strengthens the same noise and draws no new one.
    `first` is the index of the first captcha; it keeps colours balanced over parts.
    """
    n = len(bases.ink)
    grid = doses.grid()
    columns = []
    for condition, (noise, level) in enumerate(grid):
        colours = _colours(
            bases, first + condition, palette, stream(seed, *identity, "colour", condition)
        )
        noises = np.full(n, noise)
        levels = np.full(n, level)
        columns.append(_render(bases, colours, noises, levels, seed, identity))
    return _interleave(columns, n)


def render_random(
    bases: Bases,
    first: int,
    doses: NoiseDesign,
    palette: ColourDesign,
    *,
    seed: int,
    identity: tuple[str | int, ...],
) -> Renderings:
    """Every base captcha clean, and under one training noise type (balanced) at a level uniform up to the strongest."""
    drawn = (
        _drawn(bases, first, doses, palette, seed, identity, condition) for condition in (0, 1)
    )
    return _interleave([_render(bases, *one, seed, identity) for one in drawn], len(bases.ink))


def random_images(
    bases: Bases,
    first: int,
    doses: NoiseDesign,
    palette: ColourDesign,
    *,
    seed: int,
    identity: tuple[str | int, ...],
    conditions: Sequence[int],
) -> Images:
    """The images of `render_random` under the given conditions (0 clean, 1 noisy), without measures: (n * C, H, W, 3),
    row = base * C + condition."""
    columns = []
    for condition in conditions:
        colours, noises, levels = _drawn(bases, first, doses, palette, seed, identity, condition)
        images = paint(bases, colours)
        for chosen, noisy in _noisy(images, noises, levels, seed, identity):
            images[chosen] = noisy
        columns.append(images)
    return np.stack(columns, axis=1).reshape(-1, *columns[0].shape[1:])


def _drawn(
    bases: Bases,
    first: int,
    doses: NoiseDesign,
    palette: ColourDesign,
    seed: int,
    identity: tuple[str | int, ...],
    condition: int,
) -> tuple[Colours, NDArray[np.str_], NDArray[np.float64]]:
    """Colours, noise types and levels (n,) of `render_random`, clean where the condition is 0."""
    n = len(bases.ink)
    colours = _colours(
        bases, first + condition, palette, stream(seed, *identity, "colour", condition)
    )
    if condition == 0:
        return colours, np.full(n, CLEAN), np.zeros(n)
    rng = stream(seed, *identity, "condition")
    types = np.array(doses.learned)[balanced(first, n, len(doses.learned), rng=rng)]
    return colours, types, doses.level * (1 - rng.random(n))  # (0, level]


def _colours(bases: Bases, first: int, palette: ColourDesign, rng: np.random.Generator) -> Colours:
    """Colours of n captchas, schemes balanced. An original keeps its own background and has no foreground."""
    schemes = [
        palette.schemes[i] for i in balanced(first, len(bases.ink), len(palette.schemes), rng=rng)
    ]
    painted = [scheme if scheme != ORIGINAL else "black_on_white" for scheme in schemes]
    colours = draw_colours(
        painted,
        [len(text) for text in bases.texts],
        per_character=palette.per_character,
        least_contrast=palette.least_contrast,
        rng=rng,
    )
    if ORIGINAL not in schemes or bases.original is None:
        return Colours(schemes, colours.foreground, colours.background)
    original = np.array([scheme == ORIGINAL for scheme in schemes])
    foreground = [
        np.zeros((0, 3), np.uint8) if keep else drawn
        for keep, drawn in zip(original, colours.foreground, strict=True)
    ]
    return Colours(
        schemes,
        foreground,
        np.where(original[:, None], background(bases.original), colours.background),
    )


def _render(
    bases: Bases,
    colours: Colours,
    noises: NDArray[np.str_],
    levels: NDArray[np.float64],
    seed: int,
    identity: tuple[str | int, ...],
) -> Renderings:
    clean = paint(bases, colours)
    images = clean.copy()
    # of what stays clean
    rmse = np.zeros(len(images), np.float32)
    ssim = np.ones(len(images), np.float32)
    for chosen, noisy in _noisy(clean, noises, levels, seed, identity):
        before = measures.lumas(clean[chosen])
        after = measures.lumas(noisy)
        images[chosen] = noisy
        rmse[chosen] = measures.rmse(before, after)
        ssim[chosen] = measures.ssim(before, after)
    return Renderings(
        np.zeros(len(images), np.int16),
        noises.tolist(),
        levels,
        colours,
        _contrast(clean, bases, colours),
        rmse,
        ssim,
        images,
    )


def _noisy(
    clean: Images,
    noises: NDArray[np.str_],
    levels: NDArray[np.float64],
    seed: int,
    identity: tuple[str | int, ...],
) -> Iterator[tuple[NDArray[np.bool_], Images]]:
    """Per noise type: which images get it, and these images with the noise."""
    for noise in sorted(set(noises.tolist()) - {CLEAN}):
        chosen = noises == noise
        yield (
            chosen,
            apply(
                noise, clean[chosen], levels[chosen], rng=stream(seed, *identity, "noise", noise)
            ),
        )


def _contrast(clean: Images, bases: Bases, colours: Colours) -> NDArray[np.float64]:
    """Luminance contrast (n,). For originals: pixels with more than half the ink, less the background."""
    contrast = colours.contrast()
    for i in np.flatnonzero(np.isnan(contrast)):
        inked = clean[i][bases.ink[i] > 127]
        contrast[i] = (luma(inked).mean() if len(inked) else 0.0) - luma(colours.background[i])
    return contrast


def _interleave(columns: list[Renderings], n: int) -> Renderings:
    """Merge one column per condition, each of n captchas, into rows sorted by (captcha, condition)."""

    def interleaved(name: str) -> NDArray[Any]:
        arrays = [getattr(column, name) for column in columns]
        return np.stack(arrays, axis=1).reshape(n * len(columns), *arrays[0].shape[1:])

    order = [(column, i) for i in range(n) for column in columns]
    colours = Colours(
        [column.colours.scheme[i] for column, i in order],
        [column.colours.foreground[i] for column, i in order],
        np.array([column.colours.background[i] for column, i in order]),
    )
    return Renderings(
        np.tile(np.arange(len(columns), dtype=np.int16), n),
        [column.noise[i] for column, i in order],
        interleaved("level"),
        colours,
        interleaved("contrast"),
        interleaved("rmse"),
        interleaved("ssim"),
        interleaved("images"),
    )


def bases_from_images(captcha: NDArray[np.int32], texts: list[str], images: Images) -> Bases:
    """Base captchas from labelled external images: the ink is estimated, and the images are retained."""
    ink = ink_of(images)
    return Bases(captcha, texts, [[] for _ in texts], ink, np.zeros_like(ink), images)
