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
    mean_maps,
    measure,
    randomised_maps,
    saliency_headlines,
    summarise,
    summarise_curves,
    summarise_randomised,
)
from stages.insight.rendering_sample import RenderingSample
from stages.insight.saliency import Explanation, SaliencyEffort, explain, places_of
from stages.reader.batches import Images
from stages.reader.decoding import encode
from stages.reader.protocol import Reader
from stages.schemas.explain import MeanMaps, SaliencyGrid, SaliencyRandomised

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

STEPS = 8  # of deletion and insertion
AGAIN = SaliencyEffort(steps=4, samples=2)  # for maps that are made once more for each layer
SLOW = 3  # captchas of a slow reader at most: it is asked thousands of times
PLAIN = 25  # clean captchas of a mean map where there are no gradients, and each map takes many readings


@dataclass(frozen=True, eq=False)
class SaliencyConfig:
    """The reader, and how its maps are made and measured."""

    reader: Reader
    alphabet: str
    seed: int
    confidence: float
    draws: int

    @property
    def how(self) -> dict[str, Any]:
        return {"confidence": self.confidence, "draws": self.draws, "seed": self.seed}

    def effort(self, images: Images) -> SaliencyEffort:
        """The usual effort, with a window that fits the picture."""
        usual = SaliencyEffort()
        side = min(images.shape[1:3])
        return SaliencyEffort(
            usual.steps,
            usual.samples,
            usual.spread,
            min(usual.window, side),
            min(usual.stride, side),
        )

    def masks(
        self, explanation: Explanation, clean: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> Bools:
        """The pixels (m, H, W) of each row's character, on the clean rendering, row clean (m,), of its captcha."""
        first, back = np.unique(clean, return_inverse=True)
        images = explanation.images[first]
        texts = explanation.targets.texts[first]
        bare = self.reader.undenoised(images[:1])[1]
        masks = glyph_masks(images, lengths[first], places_of(bare, images, texts))
        return masks[back, explanation.targets.position]


def measured_saliency(
    config: SaliencyConfig, test: RenderingSample, captchas: int, levels: Sequence[float]
) -> tuple[dict[str, pd.DataFrame], dict[str, float], str]:
    """The tables of saliency, its numbers, and a note: one character of each of the first captchas, clean and noisy.

    The character goes round: the captcha's number modulo the length of its text.
    """
    most = min(captchas, SLOW) if config.reader.slow else captchas
    wanted = np.isin(test.captcha, np.unique(test.captcha)[:most]) & np.isin(
        test.level, [0.0, *levels]
    )
    rows = test.rows(wanted)
    position = (rows.captcha % rows.lengths).astype(np.int64)
    explanation = explain(
        config.reader,
        rows.images,
        encode(rows.texts, config.alphabet),
        position,
        seed=config.seed,
        effort=config.effort(rows.images),
    )
    plain = {captcha: i for i, captcha in enumerate(rows.captcha.tolist()) if rows.level[i] == 0}
    clean = np.array([plain[captcha] for captcha in rows.captcha.tolist()])
    masks = config.masks(explanation, clean, rows.lengths)
    bare = config.reader.undenoised(rows.images[:1])[1]
    frame = pd.DataFrame(
        {
            "captcha": rows.captcha,
            "noise": rows.noise,
            "level": rows.level,
            "position": position,
            "character": [text[i] for text, i in zip(rows.texts, position, strict=True)],
        }
    )
    measured, curves = measure(
        explanation, bare, frame, masks, clean, steps=STEPS, seed=config.seed
    )
    summary = summarise(measured, **config.how)
    layers = _layers(config, explanation, bare, rows, masks)
    tables = {"saliency": summary, "saliency_curves": summarise_curves(curves, **config.how)}
    tables |= {"saliency_randomised": layers} if len(layers) else {}
    return tables, saliency_headlines(summary, layers, explanation.residual), explanation.note


def _layers(
    config: SaliencyConfig,
    explanation: Explanation,
    bare: Reader,
    rows: RenderingSample,
    masks: Bools,
) -> pd.DataFrame:
    """Weight randomisation on the clean renderings; no row for a reader that has no weights to draw anew."""
    network = bare.gradients
    if network is None:
        return pd.DataFrame(columns=SaliencyRandomised.names())
    index = np.flatnonzero(rows.level == 0)
    clean = Explanation(
        explanation.images[index],
        explanation.targets.rows(index),
        {method: maps[index] for method, maps in explanation.maps.items()},
        None,
        "",
    )
    again = randomised_maps(
        clean,
        network,
        rows.captcha[index].astype(np.int64),
        masks[index],
        effort=AGAIN,
        seed=config.seed,
    )
    return summarise_randomised(again, **config.how)


def saliency_grid(
    config: SaliencyConfig, test: RenderingSample, doses: Sequence[tuple[str, float]]
) -> SaliencyGrid:
    """The first captcha clean (first column) and under each noise (rows) at rising level, with one character's map."""
    rows = test.rows(test.captcha == test.captcha[0])
    of = {
        (noise, level): i
        for i, (noise, level) in enumerate(
            zip(rows.noise.tolist(), rows.level.tolist(), strict=True)
        )
    }
    plain = int(np.flatnonzero(rows.level == 0)[0])
    noises = list(dict.fromkeys(noise for noise, _ in doses))
    levels = sorted({level for _, level in doses})
    chosen = np.array([[plain, *(of[noise, level] for level in levels)] for noise in noises])
    used, back = np.unique(chosen, return_inverse=True)
    place = back.reshape(chosen.shape)
    rows = rows.rows(used)
    method = "integrated_gradients" if config.reader.gradients else "occlusion"
    position = np.full(len(used), int(rows.captcha[0]) % len(rows.texts[0]), np.int64)
    explanation = explain(
        config.reader,
        rows.images,
        encode(rows.texts, config.alphabet),
        position,
        seed=config.seed,
        methods=(method,),
        effort=config.effort(rows.images),
    )
    clean = np.full(len(used), int(np.flatnonzero(rows.level == 0)[0]))
    columns = np.flatnonzero(config.masks(explanation, clean, rows.lengths)[0].any(axis=0))
    span = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, rows.images.shape[2])
    targets = explanation.targets
    return SaliencyGrid(
        grid_images=rows.images[place],
        grid_maps=explanation.maps[method].astype(np.float16)[place],
        grid_posterior=targets.posterior.round(6)[place],
        grid_read=targets.read_right[place],
        grid_span=np.array(span),
        grid_noises=np.array(noises),
        grid_levels=np.array([0.0, *levels]),
        grid_method=method,
        grid_character=rows.texts[0][position[0]],
    )


def mean_saliency(config: SaliencyConfig, clean: RenderingSample) -> MeanMaps:
    """The mean map of each character over its mean glyph, of all characters of clean renderings; none of an external
    program, which would be asked too often."""
    if config.reader.slow:
        nothing = np.zeros((0, SIDE, SIDE), np.float32)
        return MeanMaps(nothing, nothing, np.array([], str), np.array([], np.int64))
    if config.reader.gradients is None:
        clean = clean.rows(np.arange(min(PLAIN, len(clean.texts))))
    texts = encode(clean.texts, config.alphabet)
    row, position = np.nonzero(texts)
    method = "input_x_gradient" if config.reader.gradients else "occlusion"
    many = clean.rows(row)
    explanation = explain(
        config.reader,
        many.images,
        texts[row],
        position,
        seed=config.seed,
        methods=(method,),
        effort=config.effort(clean.images),
    )
    first = np.unique(row, return_index=True)[1]
    masks = config.masks(explanation, first[row], many.lengths)
    characters = [text[i] for text, i in zip(many.texts, position, strict=True)]
    means = mean_maps(explanation.maps[method], masks, characters, SIDE)
    counted = [character for character, mask in zip(characters, masks, strict=True) if mask.any()]
    return MeanMaps(
        mean_maps=np.array([maps for maps, _ in means.values()], np.float32),
        mean_glyphs=np.array([glyph for _, glyph in means.values()], np.float32),
        mean_characters=np.array(list(means)),
        mean_counts=np.array([counted.count(character) for character in means]),
    )
