"""How much the models of the anomaly detection learn, and the class that they notice least."""

from __future__ import annotations

import numpy as np

from stages.insight.anomaly import (
    CONTROLS,
    LITTLE,
    MANY,
    MUCH,
    Anomalies,
    FitEffort,
    LabelledGlyphs,
)
from stages.schemas.explain import UnseenArrays, UnseenScores

MANY_CLASSES = 16  # beyond which the models are small ones, whatever they learn from: there are two for each class
EPOCHS = 10  # at which the models have the effort that their module states
LEAST = 64  # glyphs that a model sees


def effort_of(glyphs: int, classes: int, epochs: int) -> FitEffort:
    """The effort for so many training glyphs and classes, in proportion to the epochs: one number for all models."""
    whole = MUCH if glyphs >= MANY and classes <= MANY_CLASSES else LITTLE
    autoencoder, classifier = (
        max(LEAST, round(count * epochs / EPOCHS))
        for count in (whole.autoencoder, whole.classifier)
    )
    return FitEffort(autoencoder, classifier, whole.channels)


def noticed_least(found: Anomalies, test: LabelledGlyphs) -> UnseenArrays | None:
    """The method with the best mean AUROC, and its scores of the test glyphs with the class held out that it notices
    least; None where no AUROC could be told."""
    rows = found.rows
    own = rows[(rows[UnseenScores.level] == 0) & ~rows[UnseenScores.method].isin(CONTROLS)]
    own = own.dropna(subset=[UnseenScores.auroc])
    if own.empty:
        return None
    method = str(own.groupby(UnseenScores.method, sort=False)[UnseenScores.auroc].mean().idxmax())
    names = list(dict.fromkeys(rows[UnseenScores.held_out]))
    table = own[own[UnseenScores.method] == method]
    label = names.index(str(table.loc[table[UnseenScores.auroc].idxmin(), UnseenScores.held_out]))
    return UnseenArrays(
        method,
        label,
        np.array(names),
        found.scores[method][label],
        float(found.thresholds[method][label]),
        test.images,
        test.labels,
    )
