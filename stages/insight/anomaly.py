"""Would it notice a character it has never seen? Each class held out in turn, scored by models that never saw it.

Protocol: all classes but one are normal and the one held out is anomalous (nine against one), the harder of the two in
use; the other trains on one class and calls nine anomalous. Corrections, scales and thresholds are fitted to normal
validation glyphs; no anomaly is seen before it is scored. Letters here: n glyphs, A classes, K importance samples.

The density of the normals is a mixture of variational autoencoders, one a class: to hold a class out is to leave its
own out of the mixture, so that each is fitted once. A score of all of them, high where a glyph is strange:

    ink             sum of the pixels, a control: what a score gets that measures nothing but ink
    raw             cross-entropy of the best reconstruction, which follows the ink
    reconstruction  the same beyond the pixels' own entropy, over what ink and contour explain
    elbo            minus the importance-weighted bound of log p, corrected the same way
    features        distance to the k-th nearest normal glyph in a classifier's unit-length features
    logit           minus the largest logit of that classifier (Vaze et al. 2022)
    combined        mean of the last two, each in standard deviations of the normals
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.captcha.glyphs import Glyphs, Ints
from stages.insight.autoencoder import (
    GlyphAutoencoder,
    draw_latent,
    fit_autoencoder,
    reconstruction_loss,
    to_ink,
)
from stages.insight.detection import SHARE, Bools, Doubles, detection_row, standardised
from stages.reader.augmentation import augmented_images
from stages.reader.fitting import deterministic
from stages.reader.networks import block, fused, initialise
from stages.reader.optimisers import decayed
from stages.reader.threads import one_thread
from stages.schemas.explain import UnseenScores
from stages.schemas.words import CLEAN

PROTOCOL = "all classes but one against that one"
METHODS = ("ink", "raw", "reconstruction", "elbo", "features", "logit", "combined")
CONTROLS = ("ink", "raw")
LATENT = 8  # dimensions of each class's autoencoder
SAMPLES = 3  # importance samples of a glyph and class
NEIGHBOURS = 5  # the k of features
GLYPHS_PER_SCORING = (
    500  # glyphs scored at a time; part of the result, since rounding may differ with it
)
BATCH = 32  # glyphs a step of a classifier
LEARNING_RATE = 0.008  # peak of its one-cycle schedule
MIN_LOG_ARGUMENT = 1e-3  # under a logarithm: a glyph may have no ink
SIDE_BY_SIDE = 2  # models fitted at once; no part of the result
AUTOENCODER, CLASSIFIER, IMPORTANCE, BOOTSTRAP, AUGMENTATION_STREAM = range(
    5
)  # streams of the seed


@dataclass(frozen=True)
class FitEffort:
    """How long to fit: glyphs seen, those that are there again and again."""

    autoencoder: int  # glyphs seen by each class's autoencoder
    classifier: int  # glyphs seen by each classifier
    channels: int  # of the classifier's first layer


LITTLE = FitEffort(
    autoencoder=3_000, classifier=4_000, channels=12
)  # seconds, for a thousand glyphs
MUCH = FitEffort(autoencoder=40_000, classifier=110_000, channels=16)  # minutes, for sixty thousand
MANY = 10_000  # training glyphs from which the effort is MUCH


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
    effort: FitEffort | None = None  # by the number of training glyphs
    draws: int = 500
    confidence: float = 0.95


@dataclass(frozen=True, eq=False)
class GlyphRenderings:
    """The validation and test glyphs of `held_out` under one noise and level: normals and anomalies alike."""

    noise: str
    level: float
    validation: Glyphs
    test: Glyphs


@dataclass(frozen=True, eq=False)
class Anomalies:
    """Rows as `held_out` says, and the scores of the clean test glyphs (A, n), row a with class a held out, by method;
    each in standard deviations of the normal validation glyphs."""

    rows: pd.DataFrame
    scores: Mapping[str, Doubles]
    thresholds: Mapping[
        str, Doubles
    ]  # (A,) by method, what 5 % of the normal validation glyphs exceed


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the models of all classes say of n glyphs."""

    ink: Doubles  # (n,) sum of the pixels, full ink = 1
    contour: Doubles  # (n,) total variation
    entropy: Doubles  # (n,) nats, of the pixels as coins: the least cross-entropy there is
    reconstruction: Doubles  # (A, n) cross-entropy at the mean of q, nats
    log_density: Doubles  # (A, n) importance-weighted bound of log p(x | class), nats


class Classifier(nn.Module):
    """A small CNN of one character."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        c = channels
        self.features = nn.Sequential(  # shapes after each, for 28 x 28 px
            block(1, c, 5, 2),  # (B, c, 14, 14)
            block(c, 2 * c, 3, 2),  # (B, 2c, 7, 7)
            block(2 * c, 4 * c, 3, 2),  # (B, 4c, 4, 4)
            nn.MaxPool2d(2),
            nn.Flatten(),  # (B, 16c)
        )
        self.classifier = nn.Linear(16 * c, classes)

    def embed(self, images: Tensor) -> Tensor:
        """Penultimate features (B, 16c) of images (B, 28, 28) uint8."""
        features: Tensor = self.features(images[:, None].float() / 255)
        return features

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.embed(images))
        return logits


@dataclass(frozen=True, eq=False)
class _Fixed:
    """What is the same whichever class is held out."""

    train: LabelledGlyphs
    validation: LabelledGlyphs
    test: LabelledGlyphs
    config: NoveltyConfig
    effort: FitEffort
    conditions: Sequence[GlyphRenderings]
    evidence: Sequence[
        tuple[Evidence, Evidence]
    ]  # of the validation and the test glyphs under each condition
    augmented: Sequence[Glyphs]  # the training glyphs of each epoch of a classifier
    report: Callable[[str], None]


@dataclass(frozen=True, eq=False)
class _Scored:
    """The scores (n,) of the test glyphs by method, and the threshold of each."""

    scores: Mapping[str, Doubles]
    thresholds: Mapping[str, float]


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

    One row per class, method and rendering, with the columns of UnseenScores. Intervals resample glyphs, normal and
    anomalous apart. One line per class goes to `report`. Raises ValueError where arrays do not fit or a class has
    nothing to learn from.
    """
    alphabet = config.alphabet
    _check((train, validation, test), renderings, alphabet)
    effort = config.effort or (MUCH if len(train.labels) >= MANY else LITTLE)
    conditions = [GlyphRenderings(CLEAN, 0.0, validation.images, test.images), *renderings]
    with (
        deterministic(),
        one_thread(),
        _side_by_side() as pool,
    ):  # around all: they restore what they find
        mixture = list(pool.map(partial(_autoencoder, train, effort, config), range(len(alphabet))))
        evidence = [
            (
                evidence_of(mixture, one.validation, seed=config.seed),
                evidence_of(mixture, one.test, seed=config.seed),
            )
            for one in conditions
        ]
        report(f"anomalies: {len(alphabet)} autoencoders fitted, one a class")
        epochs = range(_classifier_epochs(len(train.labels), len(alphabet), effort))
        augmented = list(pool.map(partial(_augmented, train.images, config.seed), epochs))
        fixed = _Fixed(
            train, validation, test, config, effort, conditions, evidence, augmented, report
        )
        results = list(pool.map(partial(_hold_out, fixed), range(len(alphabet))))
    found = [scored for _, scored in results]
    return Anomalies(
        pd.concat([rows for rows, _ in results], ignore_index=True),
        {method: np.stack([scored.scores[method] for scored in found]) for method in METHODS},
        {method: np.array([scored.thresholds[method] for scored in found]) for method in METHODS},
    )


def _hold_out(fixed: _Fixed, label: int) -> tuple[pd.DataFrame, _Scored]:
    """The rows with one class held out, and the scores of the clean test glyphs."""
    config = fixed.config
    network = _classifier(fixed, label)
    reference = features_of(network, fixed.train.images[fixed.train.labels != label])[0]
    rows: list[dict[str, object]] = []
    clean: _Scored | None = None
    for number, one in enumerate(fixed.conditions):
        scored = _scored(fixed, label, number, network, reference)
        rng = np.random.default_rng((config.seed, BOOTSTRAP, label, number))
        anomalous = fixed.test.labels == label
        for method, scores in scored.scores.items():
            row = detection_row(
                scores,
                anomalous,
                scored.thresholds[method],
                config.draws,
                config.confidence,
                rng=rng,
            )
            rows.append(
                {
                    UnseenScores.held_out: config.alphabet[label],
                    UnseenScores.method: method,
                    UnseenScores.noise: one.noise,
                    UnseenScores.level: one.level,
                    **row,
                }
            )
        clean = clean or scored
    assert clean is not None
    fixed.report(
        f"anomalies: {config.alphabet[label]} held out, AUROC "
        + ", ".join(
            f"{row[UnseenScores.method]} {row[UnseenScores.auroc]:.3f}"
            for row in rows[: len(METHODS)]
        )
    )
    return pd.DataFrame(rows, columns=UnseenScores.names()), clean


def _scored(
    fixed: _Fixed, label: int, number: int, network: Classifier, reference: Tensor
) -> _Scored:
    """The scores under one condition, in deviations of its normal validation glyphs."""
    condition = fixed.conditions[number]
    normal = fixed.validation.labels != label
    known, new = fixed.evidence[number]
    validation, test = (
        {
            **density_scores(part, label, fitted_to=(known, normal)),
            **feature_scores(network, images, reference),
        }
        for part, images in ((known, condition.validation), (new, condition.test))
    )
    pairs = _standardised(validation, test, normal)
    return _Scored(
        {method: scores for method, (scores, _) in pairs.items()},
        {method: threshold for method, (_, threshold) in pairs.items()},
    )


def unseen_headlines(rows: pd.DataFrame) -> dict[str, float]:
    """Of each method without noise: auroc_<method>, the mean over held-out classes, and auroc_<method>_worst; of those
    that are no control also tpr_<method> and false_alarms_<method>. A method without any number is left out."""
    clean = rows[rows[UnseenScores.level] == 0].dropna(subset=[UnseenScores.auroc])
    found = {}
    for method, own in clean.groupby(UnseenScores.method, sort=False):
        found[f"auroc_{method}"] = own[UnseenScores.auroc].mean()
        found[f"auroc_{method}_worst"] = own[UnseenScores.auroc].min()
        if method not in CONTROLS:
            found[f"tpr_{method}"] = own[UnseenScores.tpr_at_5].mean()
            found[f"false_alarms_{method}"] = own[UnseenScores.false_alarms].mean()
    return {name: float(value) for name, value in found.items()}


def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(SIDE_BY_SIDE, initializer=torch.set_num_threads, initargs=(1,))


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
        if (
            len(images) != len(labels)
            or not len(labels)
            or not 0 <= labels.min() <= labels.max() < len(alphabet)
        ):
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


def _stream(seed: int, *identity: int) -> int:
    """A seed of Torch for what `identity` names."""
    return int(np.random.SeedSequence((seed, *identity)).generate_state(1)[0])


def _autoencoder(
    train: LabelledGlyphs, effort: FitEffort, config: NoveltyConfig, label: int
) -> GlyphAutoencoder:
    """The autoencoder of one class."""
    images = train.images[train.labels == label]
    epochs = max(1, round(effort.autoencoder / len(images)))
    return fit_autoencoder(
        images,
        None,
        latent=LATENT,
        epochs=epochs,
        seed=_stream(config.seed, AUTOENCODER, label),
        device=config.device,
    )


def _augmented(images: Glyphs, seed: int, epoch: int) -> Glyphs:
    return augmented_images(
        images, 1.0, rng=np.random.default_rng((seed, AUGMENTATION_STREAM, epoch))
    )


def _classifier_epochs(glyphs: int, classes: int, effort: FitEffort) -> int:
    return max(1, round(effort.classifier / (glyphs * (1 - 1 / classes))))


def _classifier(fixed: _Fixed, label: int) -> Classifier:
    """A classifier of all classes but `label`, ready to use.

    The augmented glyphs are those of all classifiers, since making them for each would take as long as learning.
    """
    labels = fixed.train.labels
    device = fixed.config.device
    generator = torch.Generator().manual_seed(_stream(fixed.config.seed, CLASSIFIER, label))
    network = Classifier(int(labels.max()) + 1, fixed.effort.channels)
    initialise(network, generator=generator).to(device).train()
    normal = np.flatnonzero(labels != label)
    size = min(BATCH, len(normal))
    steps = len(normal) // size
    optimiser = torch.optim.AdamW(decayed(network.parameters(), 0.01), LEARNING_RATE, fused=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, len(fixed.augmented) * steps + 1
    )
    known = torch.from_numpy(labels[normal]).to(device)
    for glyphs in fixed.augmented:
        images = torch.from_numpy(glyphs[normal]).to(device)
        order = torch.randperm(len(normal), generator=generator).to(device)
        for rows in torch.split(order[: steps * size], size):
            optimiser.zero_grad()
            loss = functional.cross_entropy(network(images[rows]), known[rows])
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            scheduler.step()
    ready = fused(network)
    assert isinstance(ready, Classifier)
    return ready


def evidence_of(
    mixture: Sequence[GlyphAutoencoder], images: Glyphs, *, seed: int, samples: int = SAMPLES
) -> Evidence:
    """What each of A autoencoders says of glyphs (n, 28, 28)."""
    x = to_ink(images).double()
    square = x.reshape(-1, *images.shape[1:])
    contour = sum(square.diff(dim=axis).abs().sum((1, 2)) for axis in (1, 2))
    assert isinstance(contour, Tensor)
    reconstruction, log_density = np.empty((2, len(mixture), len(images)))
    for a, network in enumerate(mixture):
        generator = torch.Generator().manual_seed(_stream(seed, IMPORTANCE, a))
        for i in range(0, len(images), GLYPHS_PER_SCORING):
            rows = slice(i, i + GLYPHS_PER_SCORING)
            reconstruction[a, rows], log_density[a, rows] = importance_bound(
                network, to_ink(images[rows]), samples, generator=generator
            )
    return Evidence(
        x.sum(1).numpy(), contour.numpy(), pixel_entropy(x).numpy(), reconstruction, log_density
    )


def pixel_entropy(x: Tensor) -> Tensor:
    """Nats (n,) of pixels (n, P) from 0 to 1, each a coin: no reconstruction's cross-entropy is less."""
    return -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)).sum(1)


def importance_bound(
    network: GlyphAutoencoder, x: Tensor, samples: int, *, generator: torch.Generator
) -> tuple[Doubles, Doubles]:
    """Reconstruction loss (n,) at the mean of q(z | x), and a lower bound (n,) of log p(x), in nats.

    log of the mean over K draws of p(x | z) p(z) / q(z | x) (Burda, Grosse & Salakhutdinov 2016): the ELBO for one
    draw, and tighter with each further.
    """
    with torch.inference_mode():
        x = x.to(next(network.parameters()).device)
        mean, log_variance = network.encode(x)
        weights = torch.stack(
            [_log_weight(network, x, mean, log_variance, generator) for _ in range(samples)]
        )
        bound = torch.logsumexp(weights, 0) - math.log(samples)
        loss = reconstruction_loss(network.decode(mean), x)
    return loss.double().cpu().numpy(), bound.double().cpu().numpy()


def _log_weight(
    network: GlyphAutoencoder,
    x: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    generator: torch.Generator,
) -> Tensor:
    z = draw_latent(mean, log_variance, generator=generator)
    deviation = (z - mean).square() / log_variance.exp()  # the two normals' 2 pi cancels
    log_ratio = (deviation + log_variance - z.square()).sum(1) / 2  # log p(z) - log q(z | x)
    return log_ratio - reconstruction_loss(network.decode(z), x)


def density_scores(
    evidence: Evidence, label: int, *, fitted_to: tuple[Evidence, Bools]
) -> dict[str, Doubles]:
    """The scores (n,) of a mixture without class `label`; corrections are fitted to the glyphs of another evidence that
    are marked normal."""
    reference, normal = fitted_to
    scores = {"ink": evidence.ink, "raw": _excess(evidence, label)[0] + evidence.entropy}
    for i, method in enumerate(("reconstruction", "elbo")):
        coefficients = np.linalg.lstsq(
            _amounts(reference)[normal], _log(_excess(reference, label)[i])[normal], rcond=None
        )[0]
        scores[method] = _log(_excess(evidence, label)[i]) - _amounts(evidence) @ coefficients
    return scores


def _excess(evidence: Evidence, label: int) -> tuple[Doubles, Doubles]:
    """Nats (n,) that the best class's reconstruction, and the mixture's density, cost beyond the pixels' entropy."""
    others = np.arange(len(evidence.reconstruction)) != label
    mixture = np.logaddexp.reduce(evidence.log_density[others], axis=0) - math.log(others.sum())
    return evidence.reconstruction[others].min(
        axis=0
    ) - evidence.entropy, -mixture - evidence.entropy


def _amounts(evidence: Evidence) -> Doubles:
    """Regressors (n, 3): what a glyph has to reconstruct, whatever its shape. An error is at an edge, so that ink alone
    explains less of it than the contour's length does."""
    return np.column_stack([np.ones(len(evidence.ink)), _log(evidence.ink), _log(evidence.contour)])


def _log(values: Doubles) -> Doubles:
    return np.log(np.maximum(values, MIN_LOG_ARGUMENT))


def features_of(network: Classifier, images: Glyphs) -> tuple[Tensor, Tensor]:
    """Features of length 1 (n, 16c) and logits (n, A) of glyphs (n, 28, 28)."""
    device = network.classifier.weight.device
    with torch.inference_mode():
        parts = [
            network.embed(torch.from_numpy(images[i : i + GLYPHS_PER_SCORING].copy()).to(device))
            for i in range(0, len(images), GLYPHS_PER_SCORING)
        ]
        features = torch.cat(parts)
        return functional.normalize(features), network.classifier(features)


def feature_scores(network: Classifier, images: Glyphs, reference: Tensor) -> dict[str, Doubles]:
    """The scores (n,) of a classifier; reference (R, 16c) are the features of the normal training glyphs."""
    features, logits = features_of(network, images)
    k = min(NEIGHBOURS, len(reference))
    near = torch.cat(
        [
            (part @ reference.T).topk(k, 1).values[:, -1]
            for part in torch.split(features, GLYPHS_PER_SCORING)
        ]
    )
    distance = (2 - 2 * near.double()).clamp_min(0).sqrt()
    return {"features": distance.cpu().numpy(), "logit": -logits.amax(1).double().cpu().numpy()}


def _standardised(
    validation: Mapping[str, Doubles], test: Mapping[str, Doubles], normal: Bools
) -> dict[str, tuple[Doubles, float]]:
    """Scores (n,) of the test glyphs, and the threshold, of all METHODS, in deviations of the normal ones known."""
    pairs = {
        method: standardised(validation[method][normal], test[method]) for method in validation
    }
    pairs["combined"] = standardised(
        *(np.mean([pairs[method][i] for method in ("features", "logit")], axis=0) for i in range(2))
    )
    return {
        method: (scores, float(np.quantile(known, 1 - SHARE)))
        for method, (known, scores) in pairs.items()
    }
