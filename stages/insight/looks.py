"""Which renderings and characters are explained: a sample to measure, one captcha to look at, a mean of many.

Letters here: n renderings, m rows, each one rendering and one of its characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.captcha.glyphs import SIDE
from stages.insight.faithfulness import (
    glyph_masks,
    headline,
    mean_maps,
    measure,
    randomised,
    summarise,
    summarise_curves,
    summarise_randomised,
)
from stages.insight.saliency import Effort, Explanation, explain, places_of
from stages.reader.batches import Images
from stages.reader.decoding import encode
from stages.reader.protocol import Reader

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

STEPS = 8             # of deletion and insertion
AGAIN = Effort(steps=4, samples=2)  # for maps that are made once more for each layer
FEW = 3               # captchas of a slow reader at most: it is asked thousands of times
PLAIN = 25            # clean captchas of a mean map where there are no gradients, and each map takes many readings


@dataclass(frozen=True, eq=False)
class Renderings:
    """n renderings, those of one captcha in a row."""

    images: Images  # (n, H, W, 3)
    texts: list[str]
    captcha: NDArray[np.integer[Any]]  # (n,)
    noise: NDArray[np.str_]  # (n,) "none" where clean
    level: Floats  # (n,)

    def rows(self, kept: Bools | NDArray[np.int64]) -> Renderings:
        index = np.flatnonzero(kept) if kept.dtype == bool else kept
        return Renderings(self.images[index], [self.texts[i] for i in index], self.captcha[index], self.noise[index],
                          self.level[index])

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.array([len(text) for text in self.texts], np.int64)

    @staticmethod
    def joined(parts: Sequence[Renderings]) -> Renderings:
        images, captcha, level = (np.concatenate([getattr(part, name) for part in parts])
                                  for name in ("images", "captcha", "level"))
        return Renderings(images, [text for part in parts for text in part.texts], captcha,
                          np.concatenate([part.noise for part in parts]), level)


@dataclass(frozen=True, eq=False)
class Looks:
    """Who looks, and how its looks are measured."""

    reader: Reader
    alphabet: str
    seed: int
    confidence: float
    draws: int

    @property
    def how(self) -> dict[str, Any]:
        return {"confidence": self.confidence, "draws": self.draws, "seed": self.seed}

    def effort(self, images: Images) -> Effort:
        """The usual effort, with a window that fits the picture."""
        usual, side = Effort(), min(images.shape[1:3])
        return Effort(usual.steps, usual.samples, usual.spread, min(usual.window, side), min(usual.stride, side))

    def masks(self, explanation: Explanation, clean: NDArray[np.int64], lengths: NDArray[np.int64]) -> Bools:
        """The pixels (m, H, W) of each row's character, on the clean rendering, row clean (m,), of its captcha."""
        first, back = np.unique(clean, return_inverse=True)
        images, texts = explanation.images[first], explanation.targets.texts[first]
        bare = self.reader.undenoised(images[:1])[1]
        masks = glyph_masks(images, lengths[first], places_of(bare, images, texts))
        return masks[back, explanation.targets.position]


def whole_looks(looks: Looks, test: Renderings, captchas: int,
                levels: Sequence[float]) -> tuple[dict[str, pd.DataFrame], dict[str, float], str]:
    """The tables of saliency, its numbers, and a note: one character of each of the first captchas, clean and noisy.

    The character goes round: the captcha's number modulo the length of its text.
    """
    most = min(captchas, FEW) if looks.reader.slow else captchas
    wanted = np.isin(test.captcha, np.unique(test.captcha)[:most]) & np.isin(test.level, [0.0, *levels])
    rows = test.rows(wanted)
    position = (rows.captcha % rows.lengths).astype(np.int64)
    explanation = explain(looks.reader, rows.images, encode(rows.texts, looks.alphabet), position, seed=looks.seed,
                          effort=looks.effort(rows.images))
    plain = {captcha: i for i, captcha in enumerate(rows.captcha.tolist()) if rows.level[i] == 0}
    clean = np.array([plain[captcha] for captcha in rows.captcha.tolist()])
    masks = looks.masks(explanation, clean, rows.lengths)
    bare = looks.reader.undenoised(rows.images[:1])[1]
    frame = pd.DataFrame({"captcha": rows.captcha, "noise": rows.noise, "level": rows.level, "position": position,
                          "character": [text[i] for text, i in zip(rows.texts, position, strict=True)]})
    measured, curves = measure(explanation, bare, frame, masks, clean, steps=STEPS, seed=looks.seed)
    summary = summarise(measured, **looks.how)
    layers = _layers(looks, explanation, bare, rows, masks)
    tables = {"saliency": summary, "saliency_curves": summarise_curves(curves, **looks.how)}
    tables |= {"saliency_randomised": layers} if len(layers) else {}
    return tables, headline(summary, layers, explanation.residual), explanation.note


def _layers(looks: Looks, explanation: Explanation, bare: Reader, rows: Renderings,
            masks: Bools) -> pd.DataFrame:
    """Weight randomisation on the clean renderings; no row for a reader that has no weights to draw anew."""
    network = bare.gradients
    if network is None:
        return pd.DataFrame(columns=["method", "layer", "layers", "measure", "value"])
    index = np.flatnonzero(rows.level == 0)
    clean = Explanation(explanation.images[index], explanation.targets.rows(index),
                        {method: maps[index] for method, maps in explanation.maps.items()}, None, "")
    again = randomised(clean, network, rows.captcha[index].astype(np.int64), masks[index], effort=AGAIN,
                       seed=looks.seed)
    return summarise_randomised(again, **looks.how)


def shown_looks(looks: Looks, test: Renderings, doses: Sequence[tuple[str, float]]) -> dict[str, NDArray[Any]]:
    """The first captcha clean (first column) and under each noise (rows) at rising level, with one character's map.

    Arrays grid_images (N, C, H, W, 3), grid_maps (N, C, H, W), grid_posterior, grid_said (N, C), grid_span (2,), in
    columns of the picture, grid_noises (N,), grid_levels (C,), grid_method and grid_character.
    """
    rows = test.rows(test.captcha == test.captcha[0])
    of = {(noise, level): i for i, (noise, level) in enumerate(zip(rows.noise.tolist(), rows.level.tolist(),
                                                                   strict=True))}
    plain = int(np.flatnonzero(rows.level == 0)[0])
    noises, levels = list(dict.fromkeys(noise for noise, _ in doses)), sorted({level for _, level in doses})
    chosen = np.array([[plain, *(of[noise, level] for level in levels)] for noise in noises])
    used, back = np.unique(chosen, return_inverse=True)
    place = back.reshape(chosen.shape)
    rows = rows.rows(used)
    method = "integrated_gradients" if looks.reader.gradients else "occlusion"
    position = np.full(len(used), int(rows.captcha[0]) % len(rows.texts[0]), np.int64)
    explanation = explain(looks.reader, rows.images, encode(rows.texts, looks.alphabet), position, seed=looks.seed,
                          methods=(method,), effort=looks.effort(rows.images))
    clean = np.full(len(used), int(np.flatnonzero(rows.level == 0)[0]))
    columns = np.flatnonzero(looks.masks(explanation, clean, rows.lengths)[0].any(axis=0))
    span = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, rows.images.shape[2])
    targets = explanation.targets
    return {"grid_images": rows.images[place], "grid_maps": explanation.maps[method].astype(np.float16)[place],
            "grid_posterior": targets.posterior.round(6)[place], "grid_said": targets.said[place],
            "grid_span": np.array(span), "grid_noises": np.array(noises), "grid_levels": np.array([0.0, *levels]),
            "grid_method": np.array(method), "grid_character": np.array(rows.texts[0][position[0]])}


def mean_looks(looks: Looks, clean: Renderings) -> dict[str, NDArray[Any]]:
    """The mean map of each character over its mean glyph, of all characters of clean renderings.

    Arrays mean_maps and mean_glyphs (A, SIDE, SIDE), mean_characters and mean_counts (A,); nothing of a slow
    reader.
    """
    if looks.reader.slow:
        return {}
    if looks.reader.gradients is None:
        clean = clean.rows(np.arange(min(PLAIN, len(clean.texts))))
    texts = encode(clean.texts, looks.alphabet)
    row, position = np.nonzero(texts)
    method = "input_x_gradient" if looks.reader.gradients else "occlusion"
    many = clean.rows(row)
    explanation = explain(looks.reader, many.images, texts[row], position, seed=looks.seed, methods=(method,),
                          effort=looks.effort(clean.images))
    first = np.unique(row, return_index=True)[1]
    masks = looks.masks(explanation, first[row], many.lengths)
    characters = [text[i] for text, i in zip(many.texts, position, strict=True)]
    means = mean_maps(explanation.maps[method], masks, characters, SIDE)
    counted = [character for character, mask in zip(characters, masks, strict=True) if mask.any()]
    return {"mean_maps": np.array([maps for maps, _ in means.values()], np.float32),
            "mean_glyphs": np.array([glyph for _, glyph in means.values()], np.float32),
            "mean_characters": np.array(list(means)),
            "mean_counts": np.array([counted.count(character) for character in means])}
