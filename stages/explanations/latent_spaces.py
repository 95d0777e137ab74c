"""Latent spaces of single glyphs: two autoencoders of clean glyphs, one of them with a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from stages.captcha.glyphs import Glyphs, GlyphSet, Ints
from stages.explanations.inputs import NO_GLYPHS, Dose, Inputs, evenly_spaced, pool_glyphs
from stages.explanations.part_findings import Findings, join_findings
from stages.explanations.reader_space import space_findings
from stages.insight.autoencoder import (
    GlyphAutoencoder,
    active_units,
    fit_autoencoder,
    latent_means,
    losses_table,
    vae_samples,
)
from stages.insight.class_separation import Space
from stages.insight.features import render_glyphs
from stages.reader.inference import choose_device
from stages.schemas.explain import AutoencoderArrays, GlyphLosses
from stages.schemas.words import CLEAN

MOST_GLYPHS = {"train": 6_000, "test": 500}  # by split
DRAWN_CLASSES = 10  # of which a glyph is drawn again
PLAIN = "vae"
CLASSIFIED = "vae_classified"


def findings(inputs: Inputs) -> Findings:
    """The separation of the classes in both spaces, and what glyphs cost the plain autoencoder."""
    glyphs = inputs.glyphs
    if glyphs is None:
        return Findings(note=f"{NO_GLYPHS} to learn a latent space from")
    train, test = (pool_glyphs(glyphs, split, most) for split, most in MOST_GLYPHS.items())
    noisy = render_glyphs(glyphs.images[test], inputs.doses, stream=partial(inputs.rng, "glyphs"))
    networks = {
        PLAIN: _fit(inputs, PLAIN, glyphs.images[train], None),
        CLASSIFIED: _fit(inputs, CLASSIFIED, glyphs.images[train], glyphs.labels[train]),
    }
    spaces = {
        name: space_findings(
            inputs,
            glyphs.alphabet,
            partial(_space, name, network, glyphs, train, test, noisy),
        )
        for name, network in networks.items()
    }
    shares = {name: share for name, (_, share) in spaces.items()}
    losses = losses_table(
        networks[PLAIN],
        {(CLEAN, 0.0): glyphs.images[test], **noisy},
        rng=inputs.rng("losses"),
        draws=inputs.draws,
        confidence=inputs.confidence,
    )
    active = active_units(latent_means(networks[PLAIN], glyphs.images[train]))
    drawings = _drawings(inputs, networks, glyphs, test, noisy)
    arrays = AutoencoderArrays(
        plane_share_vae=shares[PLAIN],
        plane_share_vae_classified=shares[CLASSIFIED],
        drawings=np.stack(list(drawings.values())),
        drawings_rows=np.array(list(drawings)),
        active_units=active,
        latent=inputs.params.explain.latent,
    )
    clean = float(losses[GlyphLosses.reconstruction].iloc[0])
    numbers = {"vae_active_units": active, "vae_reconstruction_clean": clean}
    parts = [found for found, _ in spaces.values()]
    return join_findings([*parts, Findings({"losses": losses}, numbers)], arrays)


def _fit(inputs: Inputs, name: str, images: Glyphs, labels: Ints | None) -> GlyphAutoencoder:
    return fit_autoencoder(
        images,
        labels,
        latent=inputs.params.explain.latent,
        epochs=inputs.params.explain.epochs,
        seed=inputs.seed(name),
        device=choose_device("auto"),
    )


def _space(
    name: str,
    network: GlyphAutoencoder,
    glyphs: GlyphSet,
    train: Ints,
    test: Ints,
    noisy: Mapping[Dose, Glyphs],
) -> Space:
    """The latent means of the test glyphs under every dose; the training glyphs are the reference."""
    return Space(
        name,
        latent_means(network, glyphs.images[train]),
        glyphs.labels[train],
        latent_means(network, glyphs.images[test]),
        glyphs.labels[test],
        test,
        {dose: latent_means(network, rendered) for dose, rendered in noisy.items()},
    )


def _drawings(
    inputs: Inputs,
    networks: Mapping[str, GlyphAutoencoder],
    glyphs: GlyphSet,
    test: Ints,
    noisy: Mapping[Dose, Glyphs],
) -> dict[str, Glyphs]:
    """One test glyph of some classes, drawn again, and draws from the priors."""
    shown = evenly_spaced(np.unique(glyphs.labels[test], return_index=True)[1], DRAWN_CLASSES)
    noise, level = inputs.doses[0]
    return vae_samples(
        networks[PLAIN],
        networks[CLASSIFIED],
        glyphs.images[test][shown],
        noisy[noise, level][shown],
        f"{noise} {level:g}",
        seed=inputs.seed("prior"),
    )
