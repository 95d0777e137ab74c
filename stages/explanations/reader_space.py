"""Feature space of the reader: where the classes lie in the input of its last layer, clean and noisy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from stages.explanations.inputs import Inputs
from stages.explanations.part_findings import Findings
from stages.insight.class_separation import Space, separation, separation_headlines
from stages.insight.feature_scale import principal_plane
from stages.insight.features import paired_points, penultimate
from stages.insight.space_plane import plane_table
from stages.reader.decoding import encode
from stages.schemas.explain import ReaderSpaceArrays

PLANE_POINTS = 120  # drawn under each condition


def findings(inputs: Inputs) -> Findings:
    """The reader's own features, clean and noisy."""
    provenance = inputs.reader.provenance()
    if inputs.reader.gradients is None:
        return Findings(
            note=f"{inputs.description.architecture} is no network: it has no layer whose features could "
            "be compared",
            provenance=provenance,
        )
    found, share = space_findings(inputs, inputs.alphabet, lambda: reader_points(inputs))
    arrays = None if found.note else ReaderSpaceArrays(share)
    return replace(found, arrays=arrays, provenance=provenance)


def reader_points(inputs: Inputs) -> Space:
    """The features of test captchas under every dose; clean validation captchas are the reference."""
    reference = inputs.reference
    levels = [0.0, *(level for _, level in inputs.doses)]
    test = inputs.test.rows(np.isin(inputs.test.level, levels))
    known, new = (
        penultimate(inputs.reader, part.images, encode(part.texts, inputs.alphabet))
        for part in (reference, test)
    )
    paired = paired_points(new, test.noise, test.level, test.captcha)
    return Space("reader", known.points, known.label - 1, **vars(paired))


def space_findings(
    inputs: Inputs, alphabet: str, make: Callable[[], Space]
) -> tuple[Findings, float]:
    """The separation of the classes in a space, and the share of the clean variance that its plane holds.

    A space that cannot be compared (one class only, points that do not differ) gives a note.
    """
    try:
        space = make()
        table = separation(
            space, rng=inputs.rng(space.name), draws=inputs.draws, confidence=inputs.confidence
        )
    except ValueError as error:
        return Findings(note=str(error)), np.nan
    numbers = {
        key: value
        for key, value in separation_headlines(table).items()
        if space.name == "reader" or key.endswith("_clean") or "_purity_" in key
    }  # the study is about the reader: of the other spaces fewer numbers are headlines
    tables = {
        f"separation_{space.name}": table,
        f"plane_{space.name}": plane_table(space, alphabet, PLANE_POINTS),
    }
    return Findings(tables, numbers), principal_plane(space.reference)[1]
