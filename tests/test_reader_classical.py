"""The classical readers against scikit-learn, on its digits and on clouds of points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray

from stages.reader.alternatives import classical
from stages.reader.alternatives.character_crops import FEATURES, cells_of, features
from stages.reader.alternatives.classical import FLOOR, Classical, build_classical, class_of
from stages.reader.alternatives.classical_fitting import fit_classical
from stages.reader.alternatives.classical_models import Neighbours, SupportVectors
from stages.reader.architectures import of_family
from stages.reader.decoding import decode_positions, softmax
from stages.reader.inference import NetworkReader
from stages.sources.glyph_sources import load_glyphs

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]
KINDS = of_family("classical")
CPU = torch.device("cpu")
LEAST = {"logistic": 0.97, "knn": 0.98, "svm": 0.985, "mlp": 0.965}  # of the test digits


@pytest.fixture(scope="module")
def digits() -> list[Split]:
    """scikit-learn's digits as captchas of one character, black on white: train, validation and test."""
    glyphs = load_glyphs(
        "digits",
        "",
        alphabet="0123456789",
        emnist_split="balanced",
        validation=0.15,
        test=0.25,
        rng=np.random.default_rng(1),
    )
    images = np.repeat(255 - glyphs.images[..., None], 3, axis=3)
    return [
        (images[glyphs.pool == pool], glyphs.labels[glyphs.pool == pool, None] + 1)
        for pool in range(3)
    ]


@pytest.fixture(scope="module")
def some(digits: list[Split]) -> list[Split]:
    """A few of them, for what needs no accuracy."""
    return [
        (images[:n], labels[:n]) for (images, labels), n in zip(digits, (150, 60, 60), strict=True)
    ]


def rows_of(split: Split, positions: int = 1) -> NDArray[np.float64]:
    return features(torch.from_numpy(split[0]).permute(0, 3, 1, 2), positions).double().numpy()


def converted(kind: str, estimator: Any, x: NDArray[np.float64], y: NDArray[np.int64]) -> Classical:
    estimator.fit(x, y)
    return build_classical(
        kind, class_of(kind).state_of(estimator, x, y), alphabet_size=12, positions=1
    )


def clouds(classes: int, n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Overlapping clouds, so that the machines disagree; labels 0, 2, 3, ... as float32 has them exactly."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    x = (
        rng.normal(size=(n, FEATURES))
        + np.random.default_rng(9).normal(size=(classes, FEATURES))[y] / 3
    )
    return x.astype(np.float32).astype(np.float64), y + (y > 0)


@pytest.mark.parametrize("classes", [2, 3, 11])
@pytest.mark.parametrize(
    ("kind", "point"), [(kind, point) for kind in KINDS for point in class_of(kind).GRID]
)
def test_a_module_predicts_what_scikit_learn_predicts(
    kind: str, point: dict[str, Any], classes: int
) -> None:
    (x, y) = clouds(classes, 120, 1)
    (unseen, _) = clouds(classes, 300, 2)
    estimator = class_of(kind).estimator(point, 3)
    module = converted(kind, estimator, x, y)
    queries = np.concatenate([unseen, x[:20]])  # a training row is its own nearest
    logits = module.logits(torch.from_numpy(queries)).numpy()
    np.testing.assert_array_equal(logits.argmax(1), estimator.predict(queries))
    if kind != "svm":
        given = estimator.predict_proba(queries)
        np.testing.assert_allclose(
            softmax(logits.astype(np.float64))[:, estimator.classes_], given, atol=1e-6
        )


@pytest.mark.parametrize("classes", [2, 3, 11])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_decisions_and_scores_of_pairs_are_those_of_scikit_learn(classes: int, kernel: str) -> None:
    (x, y) = clouds(classes, 150, 3)
    (unseen, _) = clouds(classes, 300, 4)
    estimator = class_of("svm").estimator(
        {"kernel": kernel, "C": 1.0, "decision_function_shape": "ovo"}, 0
    )
    module = converted("svm", estimator, x, y)
    assert isinstance(module, SupportVectors)
    rows = torch.from_numpy(unseen)
    first, second = torch.triu_indices(classes, classes, 1)
    expected = estimator.decision_function(unseen)
    sign = -1 if classes == 2 else 1  # scikit-learn's only pair speaks for the second class
    np.testing.assert_allclose(
        sign * module.decisions(rows, first, second).numpy(), expected.reshape(300, -1), atol=1e-9
    )
    if classes > 2:
        estimator.decision_function_shape = "ovr"
        scores, winner = module.classify(rows)
        chosen = torch.from_numpy(estimator.decision_function(unseen)).log_softmax(1)
        np.testing.assert_allclose(scores.numpy(), chosen.numpy(), atol=1e-9)
        ties = scores.argmax(1) != winner
        assert classes == 3 or ties.any()  # else the test would not see how LIBSVM breaks them


def test_of_nearest_neighbours_with_equal_votes_the_first_class_is_read() -> None:
    x = np.eye(4, FEATURES) * 3
    estimator = class_of("knn").estimator({"n_neighbors": 4, "weights": "uniform"}, 0)
    module = converted("knn", estimator, x, np.array([5, 5, 2, 2]))
    logits = module.logits(torch.from_numpy(x)).numpy()
    assert (logits.argmax(1) == 2).all()
    assert (estimator.predict(x) == 2).all()
    np.testing.assert_allclose(softmax(logits)[:, [2, 5]], 0.5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_memory_bound_changes_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = clouds(4, 100, 1)
    module = converted(kind, class_of(kind).estimator(class_of(kind).GRID[0], 0), x, y)
    whole = module.logits(torch.from_numpy(x))
    monkeypatch.setattr(classical, "DISTANCES_IN_MEMORY", 700)
    torch.testing.assert_close(module.logits(torch.from_numpy(x)), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learns_digits_are_read(kind: str, digits: list[Split]) -> None:
    train, validation, (images, labels) = digits
    fitted = fit_classical(kind, train, validation, alphabet_size=10, positions=1, seed=1)
    recogniser = NetworkReader(fitted.module, precision="bf16", device=CPU)
    readings = recogniser.read(images)
    accuracy = float((readings.labels == labels).mean())
    print(f"{kind} {fitted.chosen}: test {accuracy:.2%}, {fitted.seconds:.1f} s")
    assert accuracy >= LEAST[kind]
    assert len(fitted.grid) == len(class_of(kind).GRID)
    assert fitted.seconds < 15
    best = [row["validation_accuracy"] for row in fitted.grid]
    assert fitted.chosen.items() <= fitted.grid[best.index(max(best))].items()
    own = NetworkReader(fitted.module, precision="fp32", device=CPU).read(validation[0])
    assert (own.labels == validation[1]).mean() == pytest.approx(
        fitted.validation_accuracy, abs=1e-12
    )
    assert abs(readings.confidence.mean() - accuracy) < 0.05  # a probability, roughly


@pytest.mark.parametrize("kind", KINDS)
def test_equal_arguments_give_equal_bytes_and_a_state_is_enough(
    kind: str, some: list[Split]
) -> None:
    fitted = [
        fit_classical(kind, some[0], some[1], alphabet_size=10, positions=1, seed=4)
        for _ in range(2)
    ]
    first, second = (safetensors.torch.save(dict(one.module.state_dict())) for one in fitted)
    assert first == second
    module = build_classical(kind, safetensors.torch.load(first), alphabet_size=10, positions=1)
    logits = [
        NetworkReader(one, precision="fp32", device=CPU).logits(some[2][0])
        for one in (module, fitted[0].module)
    ]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert logits[0].shape == (60, 1, 11)
    assert logits[0].dtype == np.float32
    assert logits[0].min() >= np.float32(FLOOR)


def in_rows(split: Split, positions: int, *, width: int = 31) -> Split:
    """Captchas of several characters, each in the middle of its cell of `width` px; the last captchas are shorter."""
    images, labels = split
    n = len(images) // positions
    canvas = np.full((n, 40, positions * width, 3), 255, np.uint8)
    for position in range(positions):
        canvas[:, 6:34, position * width + 1 : position * width + 29] = images[
            position * n : (position + 1) * n
        ]
    texts = labels[: n * positions].reshape(positions, n).T.copy()
    canvas[n * 3 // 4 :, :, (positions - 1) * width :] = 255
    texts[n * 3 // 4 :, -1] = 0
    return canvas, texts


def test_a_row_of_characters_is_read_cell_by_cell_and_ends_where_it_is_empty(
    digits: list[Split],
) -> None:
    train, validation, test = (in_rows(split, 3) for split in digits)
    fitted = fit_classical("knn", train, validation, alphabet_size=10, positions=3, seed=1)
    assert fitted.module.output_length(train[0].shape[2]) == 3
    readings = decode_positions(
        NetworkReader(fitted.module, precision="fp32", device=CPU).logits(test[0])
    )
    assert (readings.labels == test[1]).mean() > 0.96
    assert (readings.lengths == (test[1] > 0).sum(axis=1)).all()


@pytest.mark.parametrize("positions", [1, 2])
def test_an_inverted_image_has_the_same_features_to_the_bit(
    positions: int, some: list[Split]
) -> None:
    tinted = (some[0][0] * np.array([0.3, 0.9, 0.5])).astype(np.uint8)[:40, :, :27]
    torch.testing.assert_close(
        rows_of((255 - tinted, some[0][1]), positions),
        rows_of((tinted, some[0][1]), positions),
        rtol=0,
        atol=0,
    )


def test_brightness_place_and_slant_hardly_matter(some: list[Split]) -> None:
    images = some[0][0]
    original = rows_of((images, some[0][1]))
    moved = np.roll(images, (2, -1), axis=(1, 2))
    faded = (images // 2 + 60).astype(np.uint8)
    sheared = np.stack(
        [np.roll(images[:, y], round((14 - y) / 5), axis=1) for y in range(28)], axis=1
    )
    for changed, least in ((moved, 0.999), (faded, 0.999), (sheared, 0.95)):
        assert (rows_of((changed, some[0][1])) * original).mean(
            axis=1
        ).mean() > least  # a correlation
    assert original.mean(axis=1) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(np.square(original).mean(axis=1), 1, rtol=1e-4)


def test_cells_are_equal_shares_of_the_width_by_area() -> None:
    images = torch.full((1, 3, 9, 14), 255, dtype=torch.uint8)
    images[:, :, 2:7, 4:6] = 0
    cells = cells_of(
        images, 4
    )  # 3.5 px each: the ink covers half of the second's last and the third's...
    assert cells.shape == (1, 4, 28, 28)
    area = cells.mean((2, 3))[0] * 9 * 3.5  # px of ink
    torch.testing.assert_close(area, torch.tensor([0.0, 10.0, 0.0, 0.0], dtype=torch.float64))
    images[:, :, 2:7, 6:8] = 0
    torch.testing.assert_close(
        cells_of(images, 4).mean((2, 3))[0] * 9 * 3.5,
        torch.tensor([0.0, 15.0, 5.0, 0.0], dtype=torch.float64),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_blank_image_has_finite_logits(kind: str, some: list[Split]) -> None:
    fitted = fit_classical(kind, some[0], some[1], alphabet_size=10, positions=1, seed=1)
    for level in (0, 77, 255):
        logits = fitted.module(torch.full((2, 3, 28, 28), level, dtype=torch.uint8))
        assert torch.isfinite(logits).all()
        assert torch.equal(logits[0], logits[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_absent_from_training_is_never_read(kind: str, some: list[Split]) -> None:
    images, labels = some[0]
    kept = labels[:, 0] != 4
    fitted = fit_classical(
        kind, (images[kept], labels[kept]), some[1], alphabet_size=11, positions=1, seed=1
    )
    logits = NetworkReader(fitted.module, precision="fp32", device=CPU).logits(images)
    assert not np.isin(logits.argmax(2), (0, 4, 11)).any()
    assert softmax(logits)[..., [0, 4, 11]].max() < 1e-9


def test_equal_accuracies_choose_the_simpler() -> None:
    images = np.random.default_rng(1).integers(200, 256, (40, 28, 28, 3)).astype(np.uint8)
    images[::2, 12:16, 4:24] = 0  # bars that lie and bars that stand: told apart at any setting
    images[1::2, 4:24, 12:16] = 0
    split = images, np.arange(40)[:, None] % 2 + 1
    for kind in KINDS:
        fitted = fit_classical(kind, split, split, alphabet_size=10, positions=1, seed=1)
        assert {row["validation_accuracy"] for row in fitted.grid} == {1.0}
        assert fitted.chosen == class_of(kind).GRID[0]


def test_no_more_cells_than_the_cap_are_fitted_and_that_is_said(
    some: list[Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Neighbours, "MOST", 100)
    said: list[str] = []
    fitted = [
        fit_classical(
            "knn", some[0], some[1], alphabet_size=10, positions=1, seed=seed, report=said.append
        )
        for seed in (1, 2)
    ]
    assert fitted[0].cells == len(fitted[0].module.cells) == 100  # type: ignore[arg-type]
    assert said[0] == "knn: 100 of the 150 cells of train are used"
    assert not torch.equal(*(one.module.cells for one in fitted))  # type: ignore[arg-type]


def test_what_cannot_be_fitted_is_refused(some: list[Split]) -> None:
    images, labels = some[0]
    one = labels[:, 0] == 3

    def fit(
        train: Split, validation: Split = some[1], kind: str = "svm", positions: int = 1
    ) -> None:
        fit_classical(kind, train, validation, alphabet_size=10, positions=positions, seed=1)

    with pytest.raises(
        ValueError, match=r"train: a svm reader tells classes apart, but all \d+ cells have label 3"
    ):
        fit((images[one], labels[one]))
    with pytest.raises(ValueError, match="validation: expected captchas"):
        fit(some[0], (images[:0], labels[:0]))
    with pytest.raises(ValueError, match=r"labels from 0 to 10, got 150 captchas with label 1[12]"):
        fit((images, labels + 2))
    with pytest.raises(ValueError, match="T at most 1"):
        fit((images, np.repeat(labels, 2, axis=1)))
    with pytest.raises(
        ValueError, match="kind: expected one of logistic, knn, svm, mlp, got 'tree'"
    ):
        fit(some[0], kind="tree")
    with pytest.raises(ValueError, match="positions"):
        fit(some[0], positions=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_state_is_refused(kind: str) -> None:
    x, y = clouds(4, 60, 1)
    state = dict(
        converted(kind, class_of(kind).estimator(class_of(kind).GRID[-1], 0), x, y).state_dict()
    )

    def refused(**changes: torch.Tensor) -> None:
        with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
            build_classical(kind, {**state, **changes}, alphabet_size=12, positions=1)

    build_classical(kind, state, alphabet_size=12, positions=1)
    for name, tensor in state.items():
        refused(**{name: tensor[None]})
        refused(**{name: tensor.to(torch.float16)})
        if tensor.ndim:
            refused(**{name: tensor[:-1]})
            refused(**{name: tensor[:0]})
        if tensor.is_floating_point():
            for bad in (torch.nan, torch.inf):
                damaged = tensor.clone()
                damaged.view(-1)[-1] = bad
                refused(**{name: damaged})
        with pytest.raises(ValueError, match="missing or unknown"):
            build_classical(
                kind,
                {key: state[key] for key in state if key != name},
                alphabet_size=12,
                positions=1,
            )
    refused(extra=torch.zeros(1))
    refused(classes=state["classes"].flip(0))
    refused(classes=state["classes"] + 12)
    refused(classes=state["classes"] - 1)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("knn", "neighbours", 0),
        ("knn", "neighbours", 61),
        ("knn", "owner", 4),
        ("knn", "owner", -1),
        ("svm", "counts", 0),
        ("svm", "gamma", -1.0),
        ("svm", "temperature", 0.0),
    ],
)
def test_values_out_of_range_are_refused(kind: str, name: str, value: float) -> None:
    x, y = clouds(4, 60, 1)
    state = dict(
        converted(kind, class_of(kind).estimator(class_of(kind).GRID[-1], 0), x, y).state_dict()
    )
    state[name] = torch.full_like(state[name], value)
    with pytest.raises(ValueError, match=name):
        build_classical(kind, state, alphabet_size=12, positions=1)
