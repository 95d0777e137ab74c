"""What autoencoders draw: glyphs again, noisy glyphs cleaned, and draws of the prior."""

from __future__ import annotations

import torch

from stages.captcha.glyphs import Glyphs
from stages.insight.autoencoder import GlyphAutoencoder, prior_samples, reconstructions


def vae_samples(
    plain: GlyphAutoencoder,
    classified: GlyphAutoencoder,
    clean: Glyphs,
    noisy: Glyphs,
    condition: str,
    *,
    seed: int,
) -> dict[str, Glyphs]:
    """Rows of glyphs (n, 28, 28) by name: clean ones and the same noisy, what the plain autoencoder makes of both, and
    draws from the prior of both autoencoders."""
    rows = {
        "glyphs": clean,
        "drawn again": reconstructions(plain, clean),
        condition: noisy,
        "drawn from that": reconstructions(plain, noisy),
    }
    for number, (name, network) in enumerate(
        (("from the prior", plain), ("with classifier", classified))
    ):
        generator = torch.Generator().manual_seed(seed + number)
        rows[name] = prior_samples(network, len(clean), generator=generator)
    return rows
