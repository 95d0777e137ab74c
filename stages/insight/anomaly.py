"""Detection of an unseen character: each class held out in turn, and scored by models that never saw it.

Protocol: all classes but one are normal and the one held out is anomalous (nine against one), the harder of the two in
use; the other trains on one class and calls nine anomalous. Corrections, scales and thresholds are fitted to normal
validation glyphs; no anomaly is seen before it is scored. Letters here: n glyphs, A classes.

The scores, each high where a glyph is strange:

    ink             sum of the pixels, a control: what a score achieves that measures nothing but ink
    raw             cross-entropy of the best reconstruction, which follows the ink
    reconstruction  the same beyond the pixels' own entropy, relative to what ink and contour explain
    elbo            minus the importance-weighted bound of log p, corrected the same way
    features        distance to the k-th nearest normal glyph in a classifier's unit-length features
    logit           minus the largest logit of that classifier (Vaze et al. 2022)
    combined        mean of the last two, each in standard deviations of the normals
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch

from stages.captcha.glyphs import Glyphs, Ints
from stages.insight.autoencoder import GlyphAutoencoder, fit_autoencoder
from stages.insight.density_mixture import Evidence, density_scores, evidence_of, seed_of
from stages.insight.detection import SHARE, Bools, Doubles, detection_row, standardised
from stages.insight.novelty_classifier import (
    Classifier,
    feature_scores,
    features_of,
    fit_novelty_classifier,
)
from stages.reader.augmentation import augmented_images
from stages.reader.fitting import deterministic
from stages.reader.threads import one_thread_each
from stages.schemas.explain import UnseenArrays, UnseenScores
from stages.schemas.words import CLEAN

METHODS = ("ink", "raw", "reconstruction", "elbo", "features", "logit", "combined")
CONTROLS = ("ink", "raw")
LATENT = 8  # dimensions of each class's autoencoder
SIDE_BY_SIDE = 2  # models fitted at once; no part of the result
AUTOENCODER, CLASSIFIER, _, BOOTSTRAP, AUGMENTATION_STREAM = range(5)  # streams of the seed


@dataclass(frozen=True)
class FitEffort:
    """How long to fit: glyphs seen, each of them many times."""

    autoencoder: int  # glyphs seen by each class's autoencoder
    classifier: int  # glyphs seen by each classifier
    channels: int  # of the classifier's first layer


LITTLE = FitEffort(autoencoder=3_000, classifier=4_000, channels=12)  # seconds, for 1,000 glyphs
MUCH = FitEffort(autoencoder=40_000, classifier=110_000, channels=16)  # minutes, for 60,000
MANY = 10_000  # training glyphs from which the effort is MUCH
MANY_CLASSES = 16  # above which it is LITTLE: there are two models for each class
EPOCHS = 10  # of the study, at which the effort is as stated here
MIN_SEEN = 64  # glyphs that a model sees


def effort_of(glyphs: int, classes: int, epochs: int) -> FitEffort:
    """The effort for so many training glyphs and classes, in proportion to the epochs: one number for all models."""
    full = MUCH if glyphs >= MANY and classes <= MANY_CLASSES else LITTLE
    return FitEffort(
        max(MIN_SEEN, round(full.autoencoder * epochs / EPOCHS)),
        max(MIN_SEEN, round(full.classifier * epochs / EPOCHS)),
        full.channels,
    )


@dataclass(frozen=True, eq=False)
class LabelledGlyphs:
    """Glyphs (n, 28, 28) and their classes (n,), 0 to A - 1."""

    images: Glyphs
    labels: Ints


@dataclass(frozen=True)
class NoveltyConfig:
    """How models are fitted and scored."""

    alphabet: str
    seed: int
    device: torch.device
    effort: FitEffort
    draws: int = 500
    confidence: float = 0.95


@dataclass(frozen=True, eq=False)
class GlyphRenderings:
    """The validation and test glyphs of `held_out` under one noise and level: normals and anomalies in their order."""

    noise: str
    level: float
    validation: Glyphs
    test: Glyphs


@dataclass(frozen=True, eq=False)
class Anomalies:
    """The rows of `held_out`, and what lies behind those of the clean test glyphs.

    Scores and thresholds are in standard deviations of the normal validation glyphs.
    """

    rows: pd.DataFrame
    scores: Mapping[str, Doubles]  # (A, n) by method, row a with class a held out
    thresholds: Mapping[str, Doubles]  # (A,) by method, exceeded by SHARE of the normal glyphs


@dataclass(frozen=True, eq=False)
class _Shared:
    """What is the same whichever class is held out."""

    train: LabelledGlyphs
    validation: LabelledGlyphs
    test: LabelledGlyphs
    config: NoveltyConfig
    conditions: Sequence[GlyphRenderings]
    evidence: Sequence[tuple[Evidence, Evidence]]  # of both pools under each condition
    augmented: Sequence[Glyphs]  # the training glyphs of each epoch of a classifier
    report: Callable[[str], None]


Scores = dict[str, tuple[Doubles, float]]  # by method: of the test glyphs (n,), and the threshold


def held_out(
    train: LabelledGlyphs,
    validation: LabelledGlyphs,
    test: LabelledGlyphs,
    config: NoveltyConfig,
    *,
    renderings: Sequence[GlyphRenderings] = (),
    report: Callable[[str], None] = lambda line: None,
) -> Anomalies:
    """Hold out each class of the alphabet in turn and score the test glyphs, clean and in each rendering.

    One row per class, method and rendering (UnseenScores). Intervals resample glyphs, normal and anomalous ones
    separately. One line per class goes to `report`. Raises ValueError where arrays do not fit or a class has
    nothing to learn from.
    """
    _check((train, validation, test), renderings, config.alphabet)
    conditions = [GlyphRenderings(CLEAN, 0.0, validation.images, test.images), *renderings]
    classes = range(len(config.alphabet))
    # Both blocks set global state and restore it: they enclose the threads.
    with deterministic(), one_thread_each(SIDE_BY_SIDE) as pool:
        mixture = list(pool.map(partial(_autoencoder, train, config), classes))
        score = partial(evidence_of, mixture, seed=config.seed)
        evidence = [(score(one.validation), score(one.test)) for one in conditions]
        report(f"anomalies: {len(classes)} autoencoders fitted, one per class")
        epochs = range(_classifier_epochs(len(train.labels), len(classes), config.effort))
        augmented = list(pool.map(partial(_augmented, train.images, config.seed), epochs))
        shared = _Shared(train, validation, test, config, conditions, evidence, augmented, report)
        results = list(pool.map(partial(_hold_out, shared), classes))
    rows, clean = zip(*results, strict=True)
    return Anomalies(
        pd.concat(rows, ignore_index=True),
        {method: np.stack([scores[method][0] for scores in clean]) for method in METHODS},
        {method: np.array([scores[method][1] for scores in clean]) for method in METHODS},
    )


def _hold_out(shared: _Shared, label: int) -> tuple[pd.DataFrame, Scores]:
    """The rows with one class held out, and the scores of the clean test glyphs."""
    config = shared.config
    train = shared.train
    network = fit_novelty_classifier(
        shared.augmented,
        train.labels,
        label,
        channels=config.effort.channels,
        seed=seed_of(config.seed, CLASSIFIER, label),
        device=config.device,
    )
    reference = features_of(network, train.images[train.labels != label])[0]
    found = [
        _scores(shared, label, number, network, reference)
        for number in range(len(shared.conditions))
    ]
    rows = []
    for number, scores in enumerate(found):
        rows += _rows(shared, label, number, scores)
    aurocs = [f"{row[UnseenScores.method]} {row[UnseenScores.auroc]:.3f}" for row in rows]
    held = config.alphabet[label]
    shared.report(f"anomalies: {held} held out, AUROC {', '.join(aurocs[: len(METHODS)])}")
    return pd.DataFrame(rows, columns=UnseenScores.names()), found[0]


def _rows(
    shared: _Shared, label: int, number: int, scores: Scores
) -> list[dict[str, float | int | str]]:
    """The rows under one condition, one per method."""
    config = shared.config
    condition = shared.conditions[number]
    rng = np.random.default_rng((config.seed, BOOTSTRAP, label, number))
    anomalous = shared.test.labels == label
    rows = []
    for method, (values, threshold) in scores.items():
        row = detection_row(values, anomalous, threshold, config.draws, config.confidence, rng=rng)
        row[UnseenScores.held_out] = config.alphabet[label]
        row[UnseenScores.method] = method
        row[UnseenScores.noise] = condition.noise
        row[UnseenScores.level] = condition.level
        rows.append(row)
    return rows


def _scores(
    shared: _Shared, label: int, number: int, network: Classifier, reference: torch.Tensor
) -> Scores:
    """The scores under one condition, in deviations of its normal validation glyphs."""
    condition = shared.conditions[number]
    normal = shared.validation.labels != label
    known, new = shared.evidence[number]
    validation, test = (
        density_scores(part, label, fitted_to=(known, normal))
        | feature_scores(network, images, reference)
        for part, images in ((known, condition.validation), (new, condition.test))
    )
    return _standardised(validation, test, normal)


def _standardised(
    validation: Mapping[str, Doubles], test: Mapping[str, Doubles], normal: Bools
) -> Scores:
    """The scores of all METHODS in deviations of the normal validation glyphs."""
    pairs = {
        method: standardised(validation[method][normal], test[method]) for method in validation
    }
    both = zip(pairs["features"], pairs["logit"], strict=True)
    pairs["combined"] = standardised(*(np.mean(pair, axis=0) for pair in both))
    return {
        method: (scores, float(np.quantile(known, 1 - SHARE)))
        for method, (known, scores) in pairs.items()
    }


def unseen_headlines(rows: pd.DataFrame) -> dict[str, float]:
    """Of each method without noise: auroc_<method>, the mean over held-out classes, and auroc_<method>_worst; of those
    that are no control also tpr_<method> and false_alarms_<method>. A method without an AUROC is left out."""
    clean = rows[rows[UnseenScores.level] == 0].dropna(subset=[UnseenScores.auroc])
    found = {}
    for method, own in clean.groupby(UnseenScores.method, sort=False):
        found[f"auroc_{method}"] = own[UnseenScores.auroc].mean()
        found[f"auroc_{method}_worst"] = own[UnseenScores.auroc].min()
        if method not in CONTROLS:
            found[f"tpr_{method}"] = own[UnseenScores.tpr_at_5].mean()
            found[f"false_alarms_{method}"] = own[UnseenScores.false_alarms].mean()
    return {name: float(value) for name, value in found.items()}


def noticed_least(found: Anomalies, test: LabelledGlyphs) -> UnseenArrays | None:
    """The method with the best mean AUROC, and its scores of the test glyphs with the class held out that it notices
    least; None where no AUROC is known."""
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


def _check(
    pools: Sequence[LabelledGlyphs], renderings: Sequence[GlyphRenderings], alphabet: str
) -> None:
    if len(alphabet) < 3:
        raise ValueError(
            f"anomalies: expected three classes or more, one to hold out and two to tell apart, got "
            f"{alphabet!r}: widen glyphs.alphabet"
        )
    for name, pool in zip(("train", "validation", "test"), pools, strict=True):
        images = pool.images
        labels = pool.labels
        matched = len(images) == len(labels) > 0
        if not matched or not 0 <= labels.min() <= labels.max() < len(alphabet):
            raise ValueError(
                f"anomalies: {name}: expected a label from 0 to {len(alphabet) - 1} for each of "
                f"{len(images)} glyphs, at least one, got {len(labels)}: pass labels that index alphabet"
            )
    lacking = sorted(set(range(len(alphabet))) - set(pools[0].labels.tolist()))
    if lacking:
        raise ValueError(
            f"anomalies: no training glyph of {alphabet[lacking[0]]!r}: add some, or leave it out of "
            "glyphs.alphabet"
        )
    for one in renderings:
        if len(one.validation) != len(pools[1].labels) or len(one.test) != len(pools[2].labels):
            raise ValueError(
                f"anomalies: {one.noise} at level {one.level:g} has {len(one.validation)} validation and "
                f"{len(one.test)} test glyphs, expected {len(pools[1].labels)} and "
                f"{len(pools[2].labels)}: render the very glyphs"
            )


def _autoencoder(train: LabelledGlyphs, config: NoveltyConfig, label: int) -> GlyphAutoencoder:
    """The autoencoder of one class."""
    images = train.images[train.labels == label]
    return fit_autoencoder(
        images,
        None,
        latent=LATENT,
        epochs=max(1, round(config.effort.autoencoder / len(images))),
        seed=seed_of(config.seed, AUTOENCODER, label),
        device=config.device,
    )


def _augmented(images: Glyphs, seed: int, epoch: int) -> Glyphs:
    rng = np.random.default_rng((seed, AUGMENTATION_STREAM, epoch))
    return augmented_images(images, 1.0, rng=rng)


def _classifier_epochs(glyphs: int, classes: int, effort: FitEffort) -> int:
    return max(1, round(effort.classifier / (glyphs * (1 - 1 / classes))))
