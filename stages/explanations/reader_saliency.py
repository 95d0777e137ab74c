"""Saliency: maps of the pixels that raise the probability of a character, and whether the maps are faithful."""

from __future__ import annotations

from stages.explanations.inputs import Inputs
from stages.explanations.part_findings import Findings
from stages.insight.saliency_sample import (
    SaliencyConfig,
    mean_saliency,
    measured_saliency,
    saliency_grid,
)
from stages.schemas.explain import SaliencyArrays


def findings(inputs: Inputs) -> Findings:
    """Maps of some captchas, clean and at the middle level of each noise, and their faithfulness."""
    test = inputs.test
    config = SaliencyConfig(
        inputs.reader,
        inputs.alphabet,
        seed=inputs.seed("saliency"),
        confidence=inputs.confidence,
        draws=inputs.draws,
    )
    captchas = inputs.params.explain.captchas
    tables, numbers, note = measured_saliency(config, test, captchas, [inputs.middle_level])
    grid = saliency_grid(config, test, inputs.doses)
    means = mean_saliency(config, test.rows(test.level == 0))
    arrays = SaliencyArrays(**vars(grid), **vars(means), note=note)
    return Findings(tables, numbers, arrays, provenance=inputs.reader.provenance())
