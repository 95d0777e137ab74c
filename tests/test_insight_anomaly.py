"""Unseen classes: the numbers against scikit-learn and brute force, and that no model or threshold knew the anomaly."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from stages.insight import anomaly, detection
from stages.insight.anomaly import (
    METHODS,
    Anomalies,
    FitEffort,
    GlyphRenderings,
    LabelledGlyphs,
    NoveltyConfig,
    held_out,
    unseen_headlines,
)
from stages.insight.autoencoder import (
    GlyphAutoencoder,
    draw_latent,
    fit_autoencoder,
    reconstruction_loss,
    to_ink,
)
from stages.insight.density_mixture import (
    Evidence,
    density_scores,
    evidence_of,
    importance_bound,
    pixel_entropy,
)
from stages.insight.novelty_classifier import Classifier, feature_scores, features_of
from stages.statistics.bootstrap import index_counts

CPU = torch.device("cpu")
COLUMNS = [
    "held_out",
    "method",
    "noise",
    "level",
    "n_normal",
    "n_anomalous",
    "auroc",
    "low",
    "high",
    "aupr",
    "tpr_at_5",
    "tpr_low",
    "tpr_high",
    "false_alarms",
    "note",
]
QUICK = FitEffort(autoencoder=1200, classifier=600, channels=4)


def glyphs(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Upright bars, lying bars, crosses and frames, shifted, of uneven ink."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(4), per_class)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        y, x = rng.integers(9, 13, 2)
        ink = rng.integers(150, 256)
        if label in (0, 2):
            image[4:24, x : x + 3] = ink
        if label in (1, 2):
            image[y : y + 3, 4:24] = ink
        if label == 3:
            image[y - 4 : y + 12, x - 4 : x + 12] = ink
            image[y - 2 : y + 10, x - 2 : x + 10] = 0
    return images, labels.astype(np.int64)


TRAIN = glyphs(30, 1)
VALIDATION = glyphs(15, 2)
TEST = glyphs(12, 3)
POOLS = (LabelledGlyphs(*TRAIN), LabelledGlyphs(*VALIDATION), LabelledGlyphs(*TEST))
CONFIG = NoveltyConfig("|-+o", seed=1, device=CPU, effort=QUICK, draws=50)


def noisy(images: np.ndarray, seed: int) -> np.ndarray:
    change = np.random.default_rng(seed).normal(0, 60, images.shape)
    return np.clip(images + change, 0, 255).astype(np.uint8)


@cache
def found() -> Anomalies:
    rendering = GlyphRenderings("gaussian", 0.25, noisy(VALIDATION[0], 1), noisy(TEST[0], 2))
    return held_out(*POOLS, CONFIG, renderings=[rendering])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("a", range(4))
def test_every_row_is_what_scikit_learn_says_of_its_scores(method: str, a: int) -> None:
    result = found()
    rows = result.rows[(result.rows["method"] == method) & (result.rows["level"] == 0)]
    row = rows[rows["held_out"] == "|-+o"[a]].iloc[0]
    scores = result.scores[method][a]
    truth = TEST[1] == a
    assert row["auroc"] == pytest.approx(roc_auc_score(truth, scores))
    assert row["aupr"] == pytest.approx(average_precision_score(truth, scores))
    beyond = scores > result.thresholds[method][a]
    assert (row["tpr_at_5"], row["false_alarms"]) == pytest.approx(
        (beyond[truth].mean(), beyond[~truth].mean())
    )
    assert (row["n_normal"], row["n_anomalous"]) == (36, 12)
    assert row["low"] <= row["auroc"] <= row["high"]


def test_there_is_a_row_for_each_class_method_and_rendering() -> None:
    rows = found().rows
    assert list(rows.columns) == COLUMNS
    assert (
        len(rows)
        == len(rows[["held_out", "method", "noise", "level"]].drop_duplicates())
        == 4 * len(METHODS) * 2
    )


def test_an_unseen_shape_is_noticed_and_ink_alone_notices_less() -> None:
    numbers = unseen_headlines(found().rows)
    for method in ("elbo", "reconstruction", "features", "combined"):
        assert numbers[f"auroc_{method}"] > max(0.7, numbers["auroc_ink"] + 0.1)


def test_the_same_seed_gives_the_same_rows_with_one_worker_or_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(anomaly, "SIDE_BY_SIDE", 1)
    again = held_out(*POOLS, CONFIG)
    clean = found().rows[found().rows["level"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(again.rows, clean, check_exact=True)


def test_nothing_depends_on_validation_or_test_glyphs_of_the_class_held_out() -> None:
    """Anomalies may look as they like: thresholds and the scores of normal glyphs stay to the bit."""
    changed = [(images.copy(), labels) for images, labels in (VALIDATION, TEST)]
    for images, labels in changed:
        images[labels == 3] = 255 - images[labels == 3]
    a, b = (density_result(pools) for pools in ([VALIDATION, TEST], changed))
    normal = TEST[1] != 3
    for method in ("reconstruction", "elbo"):
        assert np.array_equal(a[method][normal], b[method][normal])
        assert not np.array_equal(a[method][~normal], b[method][~normal])


@cache
def mixture() -> tuple[GlyphAutoencoder, ...]:
    return tuple(
        fit_autoencoder(TRAIN[0][TRAIN[1] == a], None, latent=3, epochs=4, seed=a) for a in range(4)
    )


def density_result(pools: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    known, new = (evidence_of(mixture(), images, seed=1) for images, _ in pools)
    return density_scores(new, 3, fitted_to=(known, pools[0][1] != 3))


def test_the_importance_bound_is_what_torch_distributions_say() -> None:
    network = mixture()[0]
    x = to_ink(TEST[0][:7])
    _, bound = importance_bound(network, x, 6, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    weights = []
    standard: Any = torch.distributions.Normal(0.0, 1.0)
    with torch.no_grad():
        mean, log_variance = network.encode(x)
        posterior: Any = torch.distributions.Normal(mean, (log_variance / 2).exp())
        for _ in range(6):
            z = draw_latent(mean, log_variance, generator=generator)
            ratio = standard.log_prob(z).sum(1) - posterior.log_prob(z).sum(1)
            weights.append(ratio - reconstruction_loss(network.decode(z), x))
    expected = torch.stack(weights).double()
    assert bound == pytest.approx((torch.logsumexp(expected, 0) - np.log(6)).numpy(), rel=1e-4)


def test_more_importance_samples_never_loosen_the_bound_in_the_mean() -> None:
    network = mixture()[2]
    x = to_ink(TEST[0])
    means = [
        importance_bound(network, x, samples, generator=torch.Generator().manual_seed(1))[1].mean()
        for samples in (1, 6, 36)
    ]
    assert means[0] < means[1] < means[2]


def test_no_reconstruction_costs_less_than_the_pixels_entropy() -> None:
    x = to_ink(TEST[0]).double()
    assert (evidence_of(mixture(), TEST[0], seed=1).reconstruction > pixel_entropy(x).numpy()).all()
    exact = torch.logit(x.clamp(1e-9, 1 - 1e-9))
    assert reconstruction_loss(exact, x).numpy() == pytest.approx(
        pixel_entropy(x).numpy(), abs=1e-4
    )


def test_a_class_is_left_out_of_its_own_mixture() -> None:
    rng = np.random.default_rng(1)
    evidence = Evidence(
        rng.uniform(20, 90, 30),
        rng.uniform(20, 90, 30),
        np.zeros(30),
        rng.uniform(50, 90, (4, 30)),
        -rng.uniform(50, 90, (4, 30)),
    )
    spoilt = replace(
        evidence,
        reconstruction=evidence.reconstruction.copy(),
        log_density=evidence.log_density.copy(),
    )
    spoilt.reconstruction[2] = 1.0
    spoilt.log_density[2] = 0.0
    normal = np.ones(30, bool)
    a, b = (density_scores(one, 2, fitted_to=(one, normal)) for one in (evidence, spoilt))
    assert all(np.array_equal(a[method], b[method]) for method in a)
    assert not np.array_equal(
        a["elbo"], density_scores(spoilt, 1, fitted_to=(spoilt, normal))["elbo"]
    )


def test_an_error_that_follows_ink_and_contour_alone_scores_nothing() -> None:
    rng = np.random.default_rng(1)
    ink, contour = rng.uniform(20, 90, (2, 40))
    error = 3 * ink**0.7 * contour**0.4
    evidence = Evidence(ink, contour, np.zeros(40), np.stack([error] * 3), -np.stack([error] * 3))
    scores = density_scores(evidence, 0, fitted_to=(evidence, np.arange(40) < 25))
    assert scores["reconstruction"] == pytest.approx(0, abs=1e-9)
    assert scores["elbo"] == pytest.approx(
        0, abs=1e-9
    )  # the mixture of two equal densities is that density
    assert np.ptp(scores["raw"]) > 1


def test_the_distance_is_that_to_the_fifth_neighbour_by_brute_force() -> None:
    network = Classifier(5, 4).eval()
    reference, logits = features_of(network, TRAIN[0])
    features = features_of(network, TEST[0])[0]
    assert features.norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    distances = np.sort(
        np.linalg.norm(features.numpy()[:, None] - reference.numpy()[None], axis=2), axis=1
    )[:, 4]
    scores = feature_scores(network, TEST[0], reference)
    assert scores["features"] == pytest.approx(distances, abs=1e-3)
    assert scores["logit"] == pytest.approx(-features_of(network, TEST[0])[1].numpy().max(axis=1))
    assert logits.shape == (len(TRAIN[0]), 5)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.integers(0, 2**20))
def test_auroc_agrees_with_scikit_learn_ties_included(values: list[int], seed: int) -> None:
    scores = np.array(values, float)
    truth = np.random.default_rng(seed).random(len(scores)) < 0.4
    truth[0] = True
    truth[1] = False
    assert detection.auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def test_a_resample_is_the_auroc_of_the_glyphs_drawn() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 9, 40).astype(float)
    truth = np.arange(40) % 3 == 0
    beyond = scores > 5
    got = detection._resampled(scores, truth, beyond, 3, np.random.default_rng(7))
    again = np.random.default_rng(7)
    normals, anomalies = (index_counts(n, 3, rng=again) for n in ((~truth).sum(), truth.sum()))
    for i in range(3):
        drawn = np.concatenate(
            [np.repeat(np.sort(scores[~truth]), normals[i]), np.repeat(scores[truth], anomalies[i])]
        )
        labels = np.repeat([False, True], [(~truth).sum(), truth.sum()])
        assert got[i, 0] == pytest.approx(roc_auc_score(labels, drawn))
        assert got[i, 1] == pytest.approx((drawn[labels] > 5).mean())


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Normal scores a deviation apart: the AUROC is Phi(1 / sqrt 2)."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        scores = np.concatenate([rng.normal(0, 1, 80), rng.normal(1, 1, 50)])
        row = detection.detection_row(scores, np.arange(130) >= 80, 1.0, 300, 0.9, rng=rng)
        covered += float(row["low"]) <= 0.76025 <= float(row["high"])
    assert 165 <= covered <= 193  # 180 expected, 4 standard deviations of a binomial below, 3 above


def test_too_few_glyphs_have_no_interval_and_a_note_and_none_have_no_number() -> None:
    scores = np.arange(30.0)
    row = detection.detection_row(
        scores, scores >= 25, 20.0, 50, 0.95, rng=np.random.default_rng(1)
    )
    assert np.isnan([row["low"], row["high"], row["tpr_low"], row["tpr_high"]]).all()
    assert row["auroc"] == 1
    assert "no interval" in str(row["note"])
    row = detection.detection_row(scores, scores < 0, 20.0, 50, 0.95, rng=np.random.default_rng(1))
    assert np.isnan([row["auroc"], row["aupr"], row["tpr_at_5"]]).all()


@pytest.mark.parametrize(
    ("pools", "alphabet", "renderings", "message"),
    [
        (POOLS, "|-", [], "three classes"),
        ([*POOLS[:2], LabelledGlyphs(TEST[0], TEST[1][:-1])], "|-+o", [], "test: expected a label"),
        (
            [LabelledGlyphs(TRAIN[0], np.where(TRAIN[1] == 2, 1, TRAIN[1])), *POOLS[1:]],
            "|-+o",
            [],
            r"no training glyph of '\+'",
        ),
        (
            POOLS,
            "|-+o",
            [GlyphRenderings("fog", 0.5, VALIDATION[0][:3], TEST[0])],
            "fog at level 0.5 has 3 validation",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    pools: list[LabelledGlyphs], alphabet: str, renderings: list[GlyphRenderings], message: str
) -> None:
    train, validation, test = pools
    with pytest.raises(ValueError, match=message):
        held_out(
            train,
            validation,
            test,
            NoveltyConfig(alphabet, seed=1, device=CPU, effort=QUICK),
            renderings=renderings,
        )
