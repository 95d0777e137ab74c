"""Unseen classes: each class of the glyphs held out in turn, and whether models notice it."""

from __future__ import annotations

from functools import partial

from stages.captcha.glyphs import GlyphSet
from stages.command import progress
from stages.explanations.inputs import NO_GLYPHS, Inputs, pool_glyphs
from stages.explanations.part_findings import Findings
from stages.insight.anomaly import (
    GlyphRenderings,
    LabelledGlyphs,
    NoveltyConfig,
    effort_of,
    held_out,
    noticed_least,
    unseen_headlines,
)
from stages.insight.features import render_glyphs
from stages.reader.inference import choose_device

MOST_GLYPHS = {"train": 20_000, "validation": 4_000, "test": 4_000}  # by split


def findings(inputs: Inputs) -> Findings:
    """Scores of clean glyphs, and of noisy ones at the middle level of each noise."""
    glyphs = inputs.glyphs
    if glyphs is None:
        return Findings(note=f"{NO_GLYPHS} to hold a class out of")
    classes = len(glyphs.alphabet)
    if classes < 3:
        return Findings(
            note="there are fewer than three characters: one to hold out and two to tell apart"
        )
    train, validation, test = (_pool(glyphs, split, most) for split, most in MOST_GLYPHS.items())
    config = NoveltyConfig(
        glyphs.alphabet,
        seed=inputs.seed("anomaly"),
        device=choose_device("auto"),
        effort=effort_of(len(train.labels), classes, inputs.params.explain.epochs),
        draws=inputs.draws,
        confidence=inputs.confidence,
    )
    found = held_out(
        train,
        validation,
        test,
        config,
        renderings=_renderings(inputs, validation, test),
        report=progress,
    )
    numbers = {f"anomaly_{name}": value for name, value in unseen_headlines(found.rows).items()}
    return Findings({"anomaly": found.rows}, numbers, noticed_least(found, test))


def _pool(glyphs: GlyphSet, split: str, most: int) -> LabelledGlyphs:
    ids = pool_glyphs(glyphs, split, most)
    return LabelledGlyphs(glyphs.images[ids], glyphs.labels[ids])


def _renderings(
    inputs: Inputs, validation: LabelledGlyphs, test: LabelledGlyphs
) -> list[GlyphRenderings]:
    """Both pools at the middle level of each noise."""
    doses = [dose for dose in inputs.doses if dose[1] == inputs.middle_level]
    noisy_validation, noisy_test = (
        render_glyphs(pool.images, doses, stream=partial(inputs.rng, "anomaly", split))
        for split, pool in (("validation", validation), ("test", test))
    )
    return [GlyphRenderings(*dose, noisy_validation[dose], noisy_test[dose]) for dose in doses]
