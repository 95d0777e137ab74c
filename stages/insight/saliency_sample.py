"""Samples of renderings and characters that are explained: one that is measured, one captcha to draw, a mean of many.

Letters here: n renderings, m rows, each one rendering and one of its characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.captcha.glyphs import SIDE
from stages.insight.faithfulness import measure
from stages.insight.faithfulness_tables import (
    CaptchaBootstrap,
    saliency_headlines,
    summarise,
    summarise_curves,
    summarise_randomised,
)
from stages.insight.glyph_masks import glyph_masks, mean_maps
from stages.insight.gradient_saliency import SaliencyEffort
from stages.insight.rendering_sample import RenderingSample
from stages.insight.saliency import METHODS, Explanation, explain, places_of
from stages.insight.weight_randomisation import randomised_maps
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
    def bootstrap(self) -> CaptchaBootstrap:
        return CaptchaBootstrap(self.confidence, self.draws, self.seed)

    def effort(self, images: Images) -> SaliencyEffort:
        """The usual effort, with a window that fits the picture."""
        usual = SaliencyEffort()
        side = min(images.shape[1:3])
        return replace(usual, window=min(usual.window, side), stride=min(usual.stride, side))

    def explain(
        self,
        rows: RenderingSample,
        position: NDArray[np.int64],
        methods: Sequence[str] = METHODS,
    ) -> Explanation:
        """Maps of the character at position (m,) of each rendering."""
        return explain(
            self.reader,
            rows.images,
            encode(rows.texts, self.alphabet),
            position,
            seed=self.seed,
            methods=methods,
            effort=self.effort(rows.images),
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

    The character is at the position of the captcha's number modulo the length of its text.
    """
    most = min(captchas, SLOW) if config.reader.slow else captchas
    wanted = np.isin(test.captcha, np.unique(test.captcha)[:most]) & np.isin(
        test.level, [0.0, *levels]
    )
    rows = test.rows(wanted)
    position = (rows.captcha % rows.lengths).astype(np.int64)
    explanation = config.explain(rows, position)
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
    summary = summarise(measured, config.bootstrap)
    layers = _layers(config, explanation, bare, rows, masks)
    tables = {"saliency": summary, "saliency_curves": summarise_curves(curves, config.bootstrap)}
    tables |= {"saliency_randomised": layers} if len(layers) else {}
    return tables, saliency_headlines(summary, layers, explanation.residual), explanation.note


def _layers(
    config: SaliencyConfig,
    explanation: Explanation,
    bare: Reader,
    rows: RenderingSample,
    masks: Bools,
) -> pd.DataFrame:
    """Weight randomisation on the clean renderings; no row for a reader without gradients."""
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
    return summarise_randomised(again, config.bootstrap)


def saliency_grid(
    config: SaliencyConfig, test: RenderingSample, doses: Sequence[tuple[str, float]]
) -> SaliencyGrid:
    """The first captcha clean (first column) and under each noise (rows) at rising level, with one character's map."""
    rows = test.rows(test.captcha == test.captcha[0])
    conditions = zip(rows.noise.tolist(), rows.level.tolist(), strict=True)
    of = {condition: i for i, condition in enumerate(conditions)}
    plain = int(np.flatnonzero(rows.level == 0)[0])
    noises = list(dict.fromkeys(noise for noise, _ in doses))
    levels = sorted({level for _, level in doses})
    chosen = np.array([[plain, *(of[noise, level] for level in levels)] for noise in noises])
    used, back = np.unique(chosen, return_inverse=True)
    place = back.reshape(chosen.shape)
    rows = rows.rows(used)
    method = "integrated_gradients" if config.reader.gradients else "occlusion"
    position = np.full(len(used), int(rows.captcha[0]) % len(rows.texts[0]), np.int64)
    explanation = config.explain(rows, position, (method,))
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
    row, position = np.nonzero(encode(clean.texts, config.alphabet))
    method = "input_x_gradient" if config.reader.gradients else "occlusion"
    many = clean.rows(row)
    explanation = config.explain(many, position, (method,))
    first = np.unique(row, return_index=True)[1]
    masks = config.masks(explanation, first[row], many.lengths)
    characters = [text[i] for text, i in zip(many.texts, position, strict=True)]
    means = mean_maps(explanation.maps[method], masks, characters, SIDE)
    return MeanMaps(
        mean_maps=np.array([maps for maps, _, _ in means.values()], np.float32),
        mean_glyphs=np.array([glyph for _, glyph, _ in means.values()], np.float32),
        mean_characters=np.array(list(means)),
        mean_counts=np.array([count for _, _, count in means.values()]),
    )
