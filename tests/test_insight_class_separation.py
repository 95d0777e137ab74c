"""Separation and features: against scikit-learn, brute force and known geometry; the path of CTC against all paths."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from stages.captcha.noise import apply
from stages.insight.class_separation import (
    MEASURES,
    Space,
    separation,
    separation_headlines,
    too_few_clusters,
)
from stages.insight.feature_scale import fit_scale, principal_plane
from stages.insight.features import Features, paired_points, penultimate, render_glyphs
from stages.insight.separation_measures import drift, purity, scatter, silhouette
from stages.insight.space_plane import plane_table
from stages.reader.alternatives.classical_models import Logistic
from stages.reader.ctc_alignment import aligned_columns
from stages.reader.inference import NetworkReader
from stages.reader.networks import build_network, initialise
from stages.schemas.explain import SpaceMeasures
from stages.schemas.words import COLLAPSED, MERGED
from stages.statistics.bootstrap import cluster_weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def clouds(
    each: int,
    classes: int = 3,
    dimensions: int = 4,
    *,
    apart: float = 3.0,
    spread: float = 1.0,
    seed: int = 0,
) -> tuple[Floats, Ints]:
    """Round normal classes about fixed corners, each `apart` from 0."""
    labels = np.arange(each * classes) % classes
    corners = apart * np.eye(classes, dimensions)
    return corners[labels] + spread * np.random.default_rng(seed).normal(
        size=(len(labels), dimensions)
    ), labels


def ones(labels: Ints) -> Floats:
    return np.ones((1, len(labels)))


def test_the_scale_whitens_the_clean_points_within_their_classes() -> None:
    points, labels = clouds(4000, apart=8)
    mixed = points @ np.random.default_rng(1).normal(size=(4, 4)) + 5
    scaled = fit_scale(mixed, labels, variance=1.0)(mixed)
    off = scaled - np.stack([scaled[labels == c].mean(0) for c in range(3)])[labels]
    np.testing.assert_allclose(
        off.T @ off / (len(off) - 3), np.eye(4), atol=0.02
    )  # but for the shrinkage
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-9)


def test_the_scale_is_that_of_ledoit_and_wolf() -> None:
    points, labels = clouds(30, dimensions=7)
    off = points - np.stack([points[labels == c].mean(0) for c in range(3)])[labels]
    covariance = LedoitWolf(assume_centered=True).fit(off).covariance_ * 90 / 87
    matrix = fit_scale(points, labels, variance=1.0).matrix
    np.testing.assert_allclose(matrix @ matrix.T, np.linalg.inv(covariance), rtol=1e-8)


def test_the_scale_keeps_the_directions_that_hold_the_variance() -> None:
    points, labels = clouds(200, dimensions=6, apart=0)
    assert fit_scale(points * [1, 1, 1, 1e-3, 1e-3, 1e-3], labels).matrix.shape == (6, 3)
    with pytest.raises(ValueError, match="one point"):
        fit_scale(np.repeat(np.eye(2), 3, axis=0), np.repeat([0, 1], 3))


def test_of_two_classes_the_ratio_is_that_of_fisher() -> None:
    """Twice the squared distance over the two variances' sum, summed over dimensions, but for the means' own errors."""
    rng = np.random.default_rng(0)
    first = rng.normal(0, 2, (40, 3))
    second = rng.normal(1.5, 1, (25, 3))
    spread, distance = scatter(
        np.concatenate([first, second]), np.repeat([0, 1], [40, 25]), np.ones((1, 65))
    )
    variances = np.array([x.var(0, ddof=1).sum() for x in (first, second)])
    raw = np.square(first.mean(0) - second.mean(0)).sum()
    assert spread[0] == pytest.approx(variances.mean() / 3)
    assert distance[0] == pytest.approx((raw - variances[0] / 40 - variances[1] / 25) / 3)


def test_distance_is_the_mean_over_pairs_of_classes() -> None:
    points, labels = clouds(9, classes=4, dimensions=5)
    groups = [points[labels == c] for c in range(4)]
    pairs = [
        np.square(a.mean(0) - b.mean(0)).sum()
        - a.var(0, ddof=1).sum() / len(a)
        - b.var(0, ddof=1).sum() / len(b)
        for a, b in itertools.combinations(groups, 2)
    ]
    assert scatter(points, labels, ones(labels))[1][0] == pytest.approx(np.mean(pairs) / 5)


def test_of_whitened_classes_distance_is_the_trace_that_discriminants_explain() -> None:
    """D times distance^2 is 2 / (C - 1) times the trace of S_w^-1 S_b, the sum of the discriminants' eigenvalues."""
    points, labels = clouds(3000, apart=4)
    lda = LinearDiscriminantAnalysis(solver="eigen").fit(points, labels)
    within = lda.covariance_
    means = lda.means_ - lda.means_.mean(0)
    trace = np.trace(np.linalg.solve(within, means.T @ means))
    spread, distance = scatter(fit_scale(points, labels, 1.0)(points), labels, ones(labels))
    assert distance[0] * 4 == pytest.approx(2 / (3 - 1) * trace, rel=0.01)
    assert spread[0] == pytest.approx(1, rel=0.01)


def test_distance_has_no_bias_where_all_means_are_one() -> None:
    found = [
        scatter(*cloud, ones(cloud[1]))[1][0]
        for cloud in (clouds(5, apart=0, seed=seed) for seed in range(400))
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / 20
    assert min(found) < 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 10), st.integers(2, 5))
def test_moving_turning_and_scaling_all_points_leaves_the_ratio(
    seed: int, factor: float, classes: int
) -> None:
    points, labels = clouds(6, classes=classes, dimensions=5, seed=seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    spread, distance = scatter(points, labels, ones(labels))
    other = scatter(factor * points @ turn + 7, labels, ones(labels))
    np.testing.assert_allclose(
        other, np.array([spread, distance]) * factor**2, rtol=1e-7, atol=1e-9
    )


def test_weights_count_as_copies_of_points() -> None:
    """But for the factors that a resample needs: undone here."""
    points, labels = clouds(6)
    rng = np.random.default_rng(3)
    weights = np.concatenate([np.ones((1, 18)), rng.integers(1, 4, (5, 18))])
    spread, distance = scatter(points, labels, weights)
    error = np.mean([points[labels == c].var(0, ddof=1).sum() / 6 for c in range(3)])
    for b in range(1, 6):
        rows = np.repeat(np.arange(18), weights[b].astype(int))
        groups = [points[rows][labels[rows] == c] for c in range(3)]
        variances = np.array([group.var(0, ddof=1).sum() * 6 / 5 for group in groups])
        pairs = [
            np.square(a.mean(0) - b.mean(0)).sum() for a, b in itertools.combinations(groups, 2)
        ]
        off = 2 * np.mean([v / len(g) for v, g in zip(variances, groups, strict=True)]) + 2 * error
        assert spread[b] == pytest.approx(variances.mean() / 4)
        assert distance[b] == pytest.approx((np.mean(pairs) - off) / 4)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_silhouette_is_scikit_learn_s(classes: int) -> None:
    points, labels = clouds(11, classes=classes, dimensions=6, apart=2)
    points, labels = (
        np.concatenate([points, [[9.0] * 6]]),
        np.append(labels, classes),
    )  # one alone in its class
    found = silhouette(points, labels, ones(labels))
    assert found[0] == pytest.approx(silhouette_score(points, labels), rel=1e-9)


def test_a_weighted_silhouette_leaves_out_each_point_s_own_copies() -> None:
    points, labels = clouds(5, classes=2, dimensions=3)
    weights = np.random.default_rng(0).integers(0, 3, (4, 10)).astype(float)
    for row, found in zip(weights, silhouette(points, labels, weights), strict=True):
        values = []
        for i in range(10):
            apart = np.linalg.norm(points - points[i], axis=1)
            others = row * (np.arange(10) != i)
            own = labels == labels[i]
            other = labels != labels[i]
            if (others * own).sum() and (row * other).sum():
                a = (others * own) @ apart / (others * own).sum()
                b = (row * other) @ apart / (row * other).sum()
                values.append((b - a) / max(a, b))
            else:
                values.append(0.0)
        assert found == pytest.approx(row @ values / row.sum())


def test_blocks_of_distances_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = clouds(20)
    weights = cluster_weights(np.arange(60), 5, rng=np.random.default_rng(0))
    whole = silhouette(points, labels, weights), purity(points, labels, points[:40], labels[:40])
    monkeypatch.setattr("stages.insight.separation_measures.BLOCK", 8 * 60 * 7)
    parts = silhouette(points, labels, weights), purity(points, labels, points[:40], labels[:40])
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_purity_is_that_of_scikit_learn_s_neighbours() -> None:
    (points, labels) = clouds(25, apart=1)
    (reference, owners) = clouds(40, apart=1, seed=5)
    near = NearestNeighbors(n_neighbors=7).fit(reference).kneighbors(points, return_distance=False)
    found = purity(points, labels, reference, owners, neighbours=7)
    np.testing.assert_allclose(found, (owners[near] == labels[:, None]).mean(1))
    assert purity(points[:2], labels[:2], reference[:3], owners[:3]).tolist() == pytest.approx(
        [1 / 3, 1 / 3]
    )


def test_a_move_that_all_points_make_is_common_drift() -> None:
    points, labels = clouds(10)
    moved, common = drift(points, points + np.array([3, 0, 4, 0]), ones(labels))
    assert moved[0] == pytest.approx(5 / 2)  # 5 long, over sqrt(4)
    assert common[0] == pytest.approx(1)
    either_way = np.where(np.arange(30)[:, None] < 15, 1.0, -1.0)
    assert drift(points, points + either_way, ones(labels))[1][0] == pytest.approx(0, abs=1e-12)
    assert [value[0] for value in drift(points, points, ones(labels))] == [0, 0]


def test_resamples_draw_whole_clusters() -> None:
    clusters = np.array([4, 4, 7, 9, 9, 9])
    weights = cluster_weights(clusters, 300, rng=np.random.default_rng(0))
    assert (weights[0] == 1).all()
    assert (weights[:, [0, 3, 4]] == weights[:, [1, 4, 5]]).all()
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()
    assert weights[1:].std() > 0.5


def space_of(
    noisy: dict[tuple[str, float], Floats], each: int = 20, *, seed: int = 0, name: str = "toy"
) -> Space:
    (points, labels) = clouds(each, seed=seed)
    (reference, owners) = clouds(200, seed=seed + 1)
    return Space(name, reference, owners, points, labels, np.arange(len(points)) // 2, noisy)


def value(table: Any, measure: str, noise: str) -> Any:
    return table[(table["measure"] == measure) & (table["noise"] == noise)].iloc[0]


def merged_and_widened() -> dict[tuple[str, float], Floats]:
    """The classes at half their distance, the classes at twice their spread, and both."""
    points, labels = clouds(20)
    corners = 3.0 * np.eye(3, 4)
    middle = corners.mean(0)
    off = points - corners[labels]
    half = middle + 0.5 * (corners - middle)
    return {
        ("merge", 0.5): half[labels] + off,
        ("widen", 0.5): corners[labels] + 2 * off,
        ("both", 0.5): half[labels] + 2 * off,
        ("shift", 0.5): points + 10,
    }


def test_merging_and_widening_are_told_apart() -> None:
    table = separation(space_of(merged_and_widened()), rng=np.random.default_rng(0))
    assert list(table.columns) == SpaceMeasures.names()
    assert set(table["measure"]) == set(MEASURES)
    for noise, merges, widens in (
        ("merge", True, False),
        ("widen", False, True),
        ("both", True, True),
    ):
        for measure, factor, expected in (
            ("merging", 2 * np.log(2), merges),
            ("widening", 2 * np.log(2), widens),
        ):
            row = value(table, measure, noise)
            assert row["value"] == pytest.approx(-factor * expected, abs=0.35)
            assert (row["high"] < 0) == expected
            assert row["low"] <= row["value"] <= row["high"]
    assert value(table, "balance", "merge")["high"] < 0 < value(table, "balance", "widen")["low"]
    assert value(table, "balance", "both")["low"] < 0 < value(table, "balance", "both")["high"]


def test_the_two_parts_make_up_the_change_of_log_fisher() -> None:
    table = separation(space_of(merged_and_widened()), rng=np.random.default_rng(0), draws=20)
    clean = value(table, "fisher", "none")["value"]
    for noise in ("merge", "widen", "both", "shift"):
        fisher, merging, widening, change, balance = (
            value(table, name, noise)["value"]
            for name in ("fisher", "merging", "widening", "change", "balance")
        )
        assert merging + widening == pytest.approx(change)
        assert merging - widening == pytest.approx(balance)
        assert np.log(fisher / clean) == pytest.approx(change)
    assert [value(table, name, "none")["value"] for name in ("merging", "change", "drift")] == [
        0,
        0,
        0,
    ]


def test_a_shift_of_all_leaves_the_classes_but_not_their_clean_neighbours() -> None:
    table = separation(space_of(merged_and_widened()), rng=np.random.default_rng(0), draws=20)
    assert value(table, "change", "shift")["value"] == pytest.approx(0, abs=1e-9)
    assert value(table, "common", "shift")["value"] == pytest.approx(1)
    assert value(table, "purity", "shift")["value"] < value(table, "purity", "none")["value"] - 0.2


def test_classes_that_become_one_are_said_to() -> None:
    noise = np.random.default_rng(0).normal(size=(60, 4))
    table = separation(
        space_of({("gone", 1.0): noise, ("point", 1.0): np.zeros((60, 4))}),
        rng=np.random.default_rng(0),
    )
    gone = value(table, "merging", "gone")
    assert gone["note"].startswith(MERGED)
    assert not gone["low"] > -10
    assert value(table, "widening", "gone")["value"] == pytest.approx(0, abs=0.6)
    assert value(table, "change", "point")["note"] == COLLAPSED
    assert np.isnan(value(table, "fisher", "point")["value"])
    assert not np.isinf(table[["value", "low", "high"]].to_numpy()).any()


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """spread^2 is 1 and distance^2 2 * 9 / 4 in the population; twelve points a class, where biases would show."""
    hits = np.zeros(2)
    for seed in range(150):
        points, labels = clouds(12, seed=seed)
        draws = scatter(
            points, labels, cluster_weights(np.arange(36), 200, rng=np.random.default_rng(seed))
        )
        low, high = np.quantile(np.array(draws)[:, 1:], (0.05, 0.95), axis=1)
        hits += (low < [1, 4.5]) & (high > [1, 4.5])
    assert (hits / 150 > 0.8).all()
    assert (hits / 150 < 0.97).all()


def test_too_few_examples_give_values_but_no_interval() -> None:
    table = separation(space_of({("n", 0.5): clouds(7)[0]}, each=7), rng=np.random.default_rng(0))
    assert table["value"].notna().all()
    assert table[["low", "high"]].isna().all(axis=None)
    assert table["note"].str.contains("fewer than the 8").all()
    assert too_few_clusters(np.repeat([0, 1], 8), np.arange(16)) == ""
    assert too_few_clusters(np.repeat([0, 1], 8), np.arange(16) // 2).startswith(
        "class 0 has 4 captchas"
    )


def test_the_same_seed_gives_the_same_table_and_more_draws_other_intervals() -> None:
    space = space_of(merged_and_widened())
    first, second, other = (
        separation(space, rng=np.random.default_rng(seed), draws=30) for seed in (1, 1, 2)
    )
    assert first.equals(second)
    assert first["value"].equals(other["value"])
    assert not first["low"].equals(other["low"])


def test_headlines_are_finite_and_of_the_strongest_level() -> None:
    points = clouds(20)[0]
    table = separation(
        space_of({("n", 0.2): points, ("n", 0.4): points * 0.9, ("x", 0.4): np.zeros((60, 4))}),
        rng=np.random.default_rng(0),
        draws=20,
    )
    found = separation_headlines(table)
    assert found["toy_purity_clean"] > 0.8
    strongest = table[(table["level"] == 0.4) & (table["noise"] == "n")].set_index("measure")[
        "value"
    ]
    assert found["toy_merging_n"] == strongest["merging"]
    assert np.isfinite(list(found.values())).all()
    assert "toy_change_x" not in found


def test_the_plane_is_scikit_learn_s_but_for_mirrors() -> None:
    points = clouds(30)[0] * [4, 1, 2, 1]
    plane, share = principal_plane(points)
    pca = PCA(2).fit(points)
    np.testing.assert_allclose(np.abs(plane(points)), np.abs(pca.transform(points)), atol=1e-9)
    assert share == pytest.approx(pca.explained_variance_ratio_.sum())
    assert (plane.matrix[np.abs(plane.matrix).argmax(0), [0, 1]] > 0).all()


def test_the_plane_shows_the_same_points_under_every_condition() -> None:
    table = plane_table(space_of({("n", 0.2): clouds(20)[0] + 1}), "abc", most=25)
    assert table.groupby("noise").size().to_dict() == {"none": 25, "n": 25}
    assert list(table["character"][:25]) == list(table["character"][25:])
    steps = table[["x", "y"]].to_numpy()
    assert np.ptp(steps[25:] - steps[:25], axis=0).max() < 1e-3


@pytest.mark.parametrize(("change", "said"), [
    ({"clean": np.zeros((5, 4))}, r"labels should be \(5,\), got \(6,\)"),
    ({"reference": np.zeros((6, 3))}, r"reference should be \(6, 4\), got \(6, 3\)"),
    ({"noisy": {("fog", 0.5): np.zeros((5, 4))}}, r"fog at 0.5 should be \(6, 4\)"),
    ({"noisy": {("fog", 0.5): np.full((6, 4), np.nan)}}, "not finite"),
    ({"labels": np.zeros(6, np.int64)}, "two classes or more"),
])  # fmt: skip
def test_a_space_that_does_not_fit_is_told_in_one_line(change: dict[str, Any], said: str) -> None:
    points, labels = clouds(2)
    parts: dict[str, Any] = {
        "name": "toy",
        "reference": points,
        "reference_labels": labels,
        "clean": points,
        "labels": labels,
        "clusters": np.arange(6),
        "noisy": {},
    }
    with pytest.raises(ValueError, match=said):
        Space(**{**parts, **change})


def test_glyphs_are_rendered_as_the_noise_says_with_one_draw_for_all_levels() -> None:
    glyphs = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    doses = [("gaussian", 0.0), ("gaussian", 0.1), ("gaussian", 0.2), ("fog", 0.2)]
    found = render_glyphs(glyphs, doses, stream=lambda noise: np.random.default_rng(len(noise)))
    assert list(found) == doses
    assert np.array_equal(found["gaussian", 0.0], glyphs)
    expected = apply(
        "fog", np.repeat(glyphs[..., None], 3, axis=3), 0.2, rng=np.random.default_rng(3)
    )
    assert np.abs(found["fog", 0.2].astype(int) - expected[..., 1]).max() <= 1
    weak, strong = (found["gaussian", level].astype(float) - glyphs for level in (0.1, 0.2))
    inside = (glyphs > 100) & (glyphs < 155)
    assert np.corrcoef(weak[inside], strong[inside])[0, 1] > 0.95


def reader(architecture: str, positions: int = 3) -> NetworkReader:
    network = build_network(
        architecture, alphabet_size=5, height=33, width=70, channels=8, positions=positions
    )
    return NetworkReader(
        initialise(network, generator=torch.Generator().manual_seed(1)).eval(),
        precision="fp32",
        device=torch.device("cpu"),
        temperature=2.0,
    )


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 33, 70, 3), dtype=np.uint8)
LABELS = np.array([[1, 2, 2], [3, 0, 0], [5, 4, 0], [2, 2, 2]])


def test_the_ctc_reader_s_features_are_what_its_classifier_reads_in_their_column() -> None:
    recogniser = reader("ctc")
    found = penultimate(recogniser, IMAGES, LABELS)
    columns = aligned_columns(recogniser.logits(IMAGES), LABELS)[found.image, found.position]
    classifier: Any = recogniser.network.classifier
    logits = classifier(torch.from_numpy(found.points)).detach().numpy() / 2.0
    np.testing.assert_allclose(logits, recogniser.logits(IMAGES)[found.image, columns], atol=1e-5)
    assert found.points.shape == (9, 32)
    assert found.label.tolist() == [1, 2, 2, 3, 5, 4, 2, 2, 2]
    assert found.image.tolist() == [0, 0, 0, 1, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("architecture", ["heads", "dense"])
def test_with_several_positions_a_point_is_the_position_s_logits_without_bias(
    architecture: str,
) -> None:
    recogniser = reader(architecture)
    classifier: Any = recogniser.network.classifier
    with torch.no_grad():
        classifier.bias.copy_(torch.arange(18.0))
    found = penultimate(recogniser, IMAGES, LABELS)
    bias = np.arange(18.0).reshape(3, 6)[found.position]
    logits = 2.0 * recogniser.logits(IMAGES)[found.image, found.position]
    np.testing.assert_allclose(found.points, logits - bias, atol=1e-4)


@pytest.mark.parametrize(("architecture", "features"), [("heads", 32 * 3 * 5), ("dense", 128), ("kaggle", 128),
                                                        ("themlaw", 128)])  # fmt: skip
def test_with_one_position_a_point_is_all_features(architecture: str, features: int) -> None:
    recogniser = reader(architecture, positions=1)
    found = penultimate(recogniser, IMAGES, LABELS)
    assert found.points.shape == (4, features)
    assert found.label.tolist() == [1, 3, 5, 2]
    assert not recogniser.network._forward_pre_hooks
    assert np.array_equal(found.points, penultimate(recogniser, IMAGES, LABELS).points)


def test_the_denoiser_sees_the_images_first() -> None:
    recogniser = reader("ctc")
    recogniser.denoiser = lambda images: 255 - images
    found = penultimate(recogniser, 255 - IMAGES, LABELS).points
    np.testing.assert_array_equal(found, penultimate(reader("ctc"), IMAGES, LABELS).points)


def test_readers_without_such_a_layer_are_refused() -> None:
    state = {"classes": torch.arange(3), "weight": torch.zeros(3, 2), "bias": torch.zeros(3)}
    network = Logistic(state, alphabet_size=2, positions=1)
    classical = NetworkReader(network, precision="fp32", device=torch.device("cpu"))
    with pytest.raises(ValueError, match="Logistic is no network"):
        penultimate(classical, IMAGES, LABELS)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(1,), (1, 2), (2, 2), (2, 1, 2), (1, 1, 2), ()]))
def test_the_aligned_path_is_the_likeliest_that_spells_the_text(
    seed: int, text: tuple[int, ...]
) -> None:
    """Against all 3^6 paths; the columns are the surest of each run."""
    logits = np.random.default_rng(seed).normal(0, 2, (1, 6, 3)).astype(np.float32)
    labels = np.array([[*text, *[0] * (3 - len(text))]])
    log_p = np.log(np.exp(logits[0]) / np.exp(logits[0]).sum(1, keepdims=True))
    spelling = [
        path
        for path in itertools.product(range(3), repeat=6)
        if tuple(k for k, _ in itertools.groupby(path) if k) == text
    ]
    best = max(spelling, key=lambda path: log_p[range(6), path].sum())
    runs = [
        [column for column, _ in run]
        for label, run in itertools.groupby(enumerate(best), lambda x: x[1])
        if label
    ]
    expected = [
        max(run, key=lambda column: log_p[column, label])
        for run, label in zip(runs, text, strict=True)
    ]
    assert aligned_columns(logits, labels)[0, : len(text)].tolist() == expected


def test_renderings_are_sorted_into_clean_points_and_their_twins() -> None:
    """Two captchas of two characters, clean and under fog, rows mixed."""
    captcha = np.array([8, 3, 3, 8])
    noise = np.array(["fog", "none", "fog", "none"])
    level = np.array([0.5, 0, 0.5, 0])
    image = np.repeat(np.arange(4), 2)
    position = np.tile([0, 1], 4)
    points = (10 * captcha[image] + position + 100 * level[image])[:, None].astype(np.float32)
    found = Features(points, image, position, 1 + position)
    paired = paired_points(found, noise, level, captcha)
    assert paired.clean.ravel().tolist() == [30, 31, 80, 81]
    assert paired.clusters.tolist() == [3, 3, 8, 8]
    assert paired.labels.tolist() == [0, 1, 0, 1]
    assert list(paired.noisy) == [("fog", 0.5)]
    assert paired.noisy["fog", 0.5].ravel().tolist() == [80, 81, 130, 131]
    with pytest.raises(ValueError, match=r"fog at level 0\.5 has other captchas"):
        paired_points(
            Features(points[2:], image[2:], position[2:], position[2:]), noise, level, captcha
        )
    with pytest.raises(ValueError, match="no clean rendering"):
        paired_points(found, np.array(["fog"] * 4), level, captcha)
