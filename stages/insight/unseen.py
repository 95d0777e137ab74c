"""How much the models of the anomaly detection learn, and the class that they notice least."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.captcha.glyphs import Glyphs, Ints
from stages.insight.anomaly import CONTROLS, LITTLE, MANY, MUCH, Anomalies, Effort

MANY_CLASSES = 16  # beyond which the models are small ones, whatever they learn from: there are two for each class
EPOCHS = 10        # at which the models have the effort that their module states
LEAST = 64         # glyphs that a model sees


def effort_of(glyphs: int, classes: int, epochs: int) -> Effort:
    """The effort for so many training glyphs and classes, in proportion to the epochs: one number for all models."""
    whole = MUCH if glyphs >= MANY and classes <= MANY_CLASSES else LITTLE
    autoencoder, classifier = (max(LEAST, round(count * epochs / EPOCHS))
                               for count in (whole.autoencoder, whole.classifier))
    return Effort(autoencoder, classifier, whole.channels)


def noticed_least(found: Anomalies, images: Glyphs, labels: Ints) -> dict[str, NDArray[Any]]:
    """The method with the best mean AUROC, and its scores of the test glyphs with the class held out that it notices
    least: anomaly_method, anomaly_label, anomaly_names (A,), anomaly_scores (n,), anomaly_threshold, and the glyphs
    (n, 28, 28) and labels (n,). Nothing where no AUROC could be told."""
    own = found.rows[(found.rows["level"] == 0) & ~found.rows["method"].isin(CONTROLS)].dropna(subset=["auroc"])
    if own.empty:
        return {}
    method = str(own.groupby("method", sort=False)["auroc"].mean().idxmax())
    names = list(dict.fromkeys(found.rows["held_out"]))
    table = own[own["method"] == method]
    label = names.index(str(table.loc[table["auroc"].idxmin(), "held_out"]))
    return {"anomaly_method": np.array(method), "anomaly_label": np.array(label), "anomaly_names": np.array(names),
            "anomaly_scores": found.scores[method][label],
            "anomaly_threshold": np.array(found.thresholds[method][label]), "anomaly_glyphs": images,
            "anomaly_labels": labels}
