"""What autoencoders draw: glyphs again, noisy glyphs cleaned, and draws of the prior."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages.captcha.glyphs import Glyphs
from stages.insight.autoencoder import Autoencoder, prior_samples, reconstructions


def drawings(plain: Autoencoder, classified: Autoencoder, clean: Glyphs, noisy: Glyphs, condition: str, *,
             seed: int) -> dict[str, NDArray[Any]]:
    """Rows of glyphs, drawings (6, n, 28, 28), and their names, drawings_rows (6,): clean (n, 28, 28) and the same
    noisy, what the plain autoencoder makes of both, and draws from the prior of both autoencoders."""
    rows = {"glyphs": clean, "drawn again": reconstructions(plain, clean), condition: noisy,
            "drawn from that": reconstructions(plain, noisy)}
    for number, (told, network) in enumerate((("from the prior", plain), ("with classifier", classified))):
        generator = torch.Generator().manual_seed(seed + number)
        rows[told] = prior_samples(network, len(clean), generator=generator)
    return {"drawings": np.stack(list(rows.values())), "drawings_rows": np.array(list(rows))}
