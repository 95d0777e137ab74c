"""Classical readers: logistic regression, nearest neighbours, support vectors, a perceptron; a cell a character.

scikit-learn fits them; to read, each becomes a module like the networks' (images (B, 3, H, W) uint8 in, logits
(B, positions, A + 1) float32 out), whose buffers hold all that it needs, so that it is stored without pickle. Logits
are log-probabilities, at least FLOOR: an absent class never wins and costs no infinite loss. Letters here: m cells, F
features, C classes seen in training, R rows kept.
"""

from __future__ import annotations

import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stages.reader.batches import Images, Labels
from stages.reader.cells import FEATURES, features
from stages.reader.halves import one_thread
from stages.reader.reading import to_batch
from stages.reader.temperature import fit_temperature

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = ("logistic", "knn", "svm", "mlp")
FLOOR = float(np.log(1e-12))  # least log-probability
MARGIN = 1e-6  # of the winner's logit above the others, more than float32 rounds away
BLOCK = 2**22  # distances or products in memory at a time (32 MB)
CAPS = {"logistic": 60_000, "knn": 20_000, "svm": 10_000, "mlp": 60_000}  # cells fitted: time, and the reader's size
STEPS = 20_000  # of LIBSVM's solver for a pair of classes; clean cells take far fewer, noisy ones may take an hour
GRIDS: dict[str, list[dict[str, Any]]] = {  # from the simplest: the first of the best is taken
    "logistic": [{"C": c} for c in (0.1, 1.0, 10.0)],
    "knn": [{"n_neighbors": k, "weights": votes} for k in (7, 5, 3) for votes in ("uniform", "distance")],
    "svm": [{"kernel": kernel, "C": c} for kernel in ("linear", "rbf") for c in (0.1, 1.0, 10.0)],
    "mlp": [{"hidden_layer_sizes": [units]} for units in (50, 100)],
}  # fmt: skip


class Classical(nn.Module):
    """A fitted classical reader; `state` becomes its buffers. `build_classical` checks the state."""

    SHAPES: ClassVar[dict[str, tuple[torch.dtype, str]]]  # of the buffers beside `classes`, a letter a dimension
    classes: Tensor  # (C,) int64 labels, ascending, 0 no character

    def __init__(self, state: Mapping[str, Tensor], *, alphabet_size: int, positions: int) -> None:
        super().__init__()
        self.alphabet_size, self.positions = alphabet_size, positions
        for name, tensor in state.items():
            self.register_buffer(name, tensor.detach().clone().contiguous())

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):  # double precision, as scikit-learn
            x = features(images, self.positions).double()
            logits = self.logits(x)
        return logits.view(len(images), self.positions, -1)

    def logits(self, x: Tensor) -> Tensor:
        """Logits (m, A + 1) float32 of features (m, F) float64; the predicted class is ahead, whatever rounds."""
        pairs = [self.classify(rows) for rows in torch.split(x, max(1, BLOCK // self.rows))]
        scores, winner = torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
        logits = torch.full((len(x), self.alphabet_size + 1), FLOOR, dtype=torch.float32, device=x.device)
        logits[:, self.classes] = scores.clamp(min=FLOOR).float()
        label = self.classes[winner][:, None]
        ahead = logits.scatter(1, label, -torch.inf).amax(1, keepdim=True) + MARGIN
        return logits.scatter(1, label, torch.maximum(logits.gather(1, label), ahead))

    @property
    def rows(self) -> int:
        """Numbers held at a time for each cell, about."""
        return FEATURES

    @abstractmethod
    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (m, C) of features (m, F), and the index (m,) of the predicted class."""

    def check_values(self) -> None:
        """Raise ValueError where a buffer of the right shape makes no reader."""
        if not (self.classes.diff() > 0).all() or self.classes[0] < 0 or self.classes[-1] > self.alphabet_size:
            raise ValueError(f"classes should ascend within 0 to {self.alphabet_size}")


class Logistic(Classical):
    """Multinomial logistic regression."""

    SHAPES: ClassVar = {"weight": (torch.float64, "CF"), "bias": (torch.float64, "C")}
    weight: Tensor
    bias: Tensor

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = functional.linear(x, self.weight, self.bias)
        return scores.log_softmax(1), scores.argmax(1)


class Perceptron(Classical):
    """One hidden layer of rectified units."""

    SHAPES: ClassVar = {"hidden_weight": (torch.float64, "HF"), "hidden_bias": (torch.float64, "H"),
                        "weight": (torch.float64, "CH"), "bias": (torch.float64, "C")}
    hidden_weight: Tensor
    hidden_bias: Tensor
    weight: Tensor
    bias: Tensor

    @property
    def rows(self) -> int:
        return len(self.hidden_bias)

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = functional.linear(x, self.hidden_weight, self.hidden_bias).relu()
        scores = functional.linear(hidden, self.weight, self.bias)
        return scores.log_softmax(1), scores.argmax(1)


class Neighbours(Classical):
    """Votes of the nearest training cells, equal or by 1 / distance; the first class of equal votes."""

    SHAPES: ClassVar = {"cells": (torch.float32, "RF"), "owner": (torch.int64, "R"), "neighbours": (torch.int64, ""),
                        "by_distance": (torch.bool, "")}
    cells: Tensor
    owner: Tensor  # index into classes
    neighbours: Tensor
    by_distance: Tensor

    @property
    def rows(self) -> int:
        return len(self.cells) + int(self.neighbours) * (FEATURES + len(self.classes))

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        nearest = squared_distances(x, self.cells.double()).topk(int(self.neighbours), 1, largest=False).indices
        votes = torch.ones(nearest.shape, dtype=x.dtype, device=x.device)
        if self.by_distance:
            distance = (x[:, None] - self.cells[nearest].double()).square().sum(2).sqrt()  # exactly 0 for equal cells
            equal = distance == 0
            votes = torch.where(equal.any(1, keepdim=True), equal.double(), 1 / distance)
        counted = functional.one_hot(self.owner[nearest], len(self.classes)).double()  # (m, k, C)
        share = (votes[:, :, None] * counted).sum(1)
        return (share / share.sum(1, keepdim=True)).log(), share.argmax(1)

    def check_values(self) -> None:
        super().check_values()
        if not 1 <= int(self.neighbours) <= len(self.cells):
            raise ValueError(f"neighbours should be 1 to {len(self.cells)}, got {int(self.neighbours)}")
        if not ((self.owner >= 0) & (self.owner < len(self.classes))).all():
            raise ValueError(f"owner should be 0 to {len(self.classes) - 1}")


class SupportVectors(Classical):
    """A machine for each pair of classes, which vote; the first class of equal votes is read, as in LIBSVM.

    Its probabilities are no fit of their own: softmax over `temperature` of the votes plus the summed decisions, these
    squeezed into a third of a vote either way (scikit-learn's one-vs-rest decision function).
    """

    SHAPES: ClassVar = {"vectors": (torch.float32, "RF"), "dual": (torch.float64, "DR"), "counts": (torch.int64, "C"),
                        "intercept": (torch.float64, "P"), "gamma": (torch.float64, ""),
                        "temperature": (torch.float64, "")}
    vectors: Tensor  # class after class
    dual: Tensor  # against each other class, in order
    counts: Tensor  # vectors of each class
    intercept: Tensor  # of each pair, (0, 1), (0, 2), ...
    gamma: Tensor  # 0: the kernel is linear
    temperature: Tensor

    @property
    def rows(self) -> int:
        return len(self.vectors) + len(self.classes) ** 2

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.triu_indices(len(self.classes), len(self.classes), 1, device=x.device)
        decisions = self.decisions(x, first, second)
        win = decisions > 0
        votes, summed = torch.zeros(2, len(x), len(self.classes), dtype=x.dtype, device=x.device)
        for side, won, sign in ((first, win, 1), (second, ~win, -1)):
            pairs = functional.one_hot(side, len(self.classes)).to(x)  # (P, C)
            votes, summed = votes + won.to(x) @ pairs, summed + sign * decisions @ pairs
        scores = (votes + summed / (3 * (summed.abs() + 1))) / self.temperature
        return scores.log_softmax(1), votes.argmax(1)

    def decisions(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """The decision (m, P) of each pair, above 0 for its first class."""
        vectors = self.vectors.double()
        kernel = torch.exp(-self.gamma * squared_distances(x, vectors)) if self.gamma else x @ vectors.T
        ends: list[int] = self.counts.cumsum(0).tolist()
        parts = torch.stack([kernel[:, end - n : end] @ self.dual[:, end - n : end].T  # (m, C, C - 1)
                             for end, n in zip(ends, self.counts.tolist(), strict=True)], 1)
        return parts[:, first, second - 1] + parts[:, second, first] + self.intercept

    def check_values(self) -> None:
        super().check_values()
        if (self.counts < 0).any() or int(self.counts.sum()) != len(self.vectors):
            raise ValueError(f"counts should sum to {len(self.vectors)} vectors, got {self.counts.tolist()}")
        if self.gamma < 0 or self.temperature <= 0:
            raise ValueError(f"gamma should be 0 or more and temperature above 0, got {float(self.gamma):g} and "
                             f"{float(self.temperature):g}")


MODULES: dict[str, type[Classical]] = {"logistic": Logistic, "knn": Neighbours, "svm": SupportVectors,
                                       "mlp": Perceptron}


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """(m, R) between rows (m, F) and (R, F)."""
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp(min=0)


def build_classical(kind: str, state: Mapping[str, Tensor], *, alphabet_size: int, positions: int) -> Classical:
    """A reader from its state alone, ready to read.

    Raises ValueError, one line, on an unknown kind, and on a tensor that is missing, unknown, of another type or shape,
    not finite or out of range.
    """
    _check_kind(kind, alphabet_size, positions)
    shapes = {"classes": (torch.int64, "C"), **MODULES[kind].SHAPES}
    wrong = sorted(set(shapes) ^ set(state))
    if wrong:
        raise ValueError(f"a {kind} reader has {', '.join(shapes)}, but {wrong[0]} is missing or unknown")
    C = len(state["classes"]) if state["classes"].ndim == 1 else 0
    if C < 2:
        raise ValueError(f"classes of a {kind} reader should be two or more, got shape {tuple(state['classes'].shape)}")
    sizes = {"F": FEATURES, "C": C, "D": C - 1, "P": C * (C - 1) // 2}
    for name, (dtype, letters) in shapes.items():
        tensor = state[name]
        expected = tuple(sizes.setdefault(letter, size) for letter, size in zip(letters, tensor.shape, strict=False))
        if tensor.dtype != dtype or tensor.ndim != len(letters) or tuple(tensor.shape) != expected or (
                letters and not tensor.numel()):
            raise ValueError(f"{name} of a {kind} reader has shape {tuple(tensor.shape)} and {tensor.dtype}, expected "
                             f"{' x '.join(str(sizes.get(letter, letter)) for letter in letters) or 'one'} of {dtype}")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} of a {kind} reader should be finite")
    module = MODULES[kind](state, alphabet_size=alphabet_size, positions=positions)
    module.check_values()
    return module.eval()


@dataclass(frozen=True)
class Fitted:
    """A fitted reader, and the search that chose it."""

    module: Classical
    chosen: dict[str, Any]  # hyper-parameters, as scikit-learn names them
    grid: list[dict[str, Any]]  # hyper-parameters, validation_accuracy and seconds, in the order tried
    cells: int  # fitted on
    seconds: float

    @property
    def validation_accuracy(self) -> float:
        return max(float(row["validation_accuracy"]) for row in self.grid)


def fit_classical(kind: str, train: tuple[Images, Labels], validation: tuple[Images, Labels], *, alphabet_size: int,
                  positions: int, seed: int, report: Callable[[str], None] = lambda line: None) -> Fitted:
    """Fit each point of the grid on train and take the best of validation, of equals the first; the same bytes always.

    Images (n, H, W, 3) and labels (n, T), T <= positions, 1 to A, 0 where there is no character. What is counted is
    cells read right, empty ones included. At most CAPS[kind] cells of either split are used: captchas drawn by the
    seed. Raises ValueError on labels out of range, an empty split, and fewer than two classes to tell apart.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # here, as scikit-learn: seconds

    _check_kind(kind, alphabet_size, positions)
    started = time.monotonic()
    with one_thread(), threadpool_limits(1):  # sums in one order, however many cores there are
        (x, y), (unseen, truth) = (_table(name, kind, *split, alphabet_size, positions, seed, report)
                                   for name, split in (("train", train), ("validation", validation)))
        if len(np.unique(y)) < 2:
            raise ValueError(f"train: a {kind} reader tells classes apart, but all {len(y)} cells have label {y[0]}: "
                             "add captchas of other characters")
        estimators, grid = [], []
        for point in [point for point in GRIDS[kind] if point.get("n_neighbors", 1) <= len(x)]:
            began = time.monotonic()
            estimators.append(_fitted(kind, point, x, y, seed, report))
            accuracy = float((estimators[-1].predict(unseen) == truth).mean())
            grid.append({**point, "validation_accuracy": accuracy, "seconds": time.monotonic() - began})
            report(f"{kind} {point}: validation {accuracy:.2%}, {grid[-1]['seconds']:.1f} s")
        if not grid:
            raise ValueError(f"train: {len(x)} cells are too few for a {kind} reader: add captchas")
        best = max(range(len(grid)), key=lambda i: grid[i]["validation_accuracy"])  # the first of equals
        state = STATES[kind](estimators[best], x, y)
        if kind == "svm":
            state["temperature"] = _temperature(state, unseen, truth, alphabet_size, positions)
    module = build_classical(kind, state, alphabet_size=alphabet_size, positions=positions)
    return Fitted(module, dict(GRIDS[kind][best]), grid, len(x), time.monotonic() - started)


def _check_kind(kind: str, alphabet_size: int, positions: int) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    for name, value, high in (("alphabet_size", alphabet_size, 10_000), ("positions", positions, 127)):
        if not isinstance(value, int) or not 1 <= value <= high:
            raise ValueError(f"{name}: expected a whole number from 1 to {high}, got {value!r}")


def _table(split: str, kind: str, images: Images, labels: Labels, alphabet_size: int, positions: int, seed: int,
           report: Callable[[str], None]) -> tuple[Floats, Ints]:
    """Features (m, F) and labels (m,) of the cells of a split, at most CAPS[kind] of them."""
    if labels.ndim != 2 or labels.shape[1] > positions or images.shape[:1] != labels.shape[:1] or images.ndim != 4:
        raise ValueError(f"{split}: expected images (n, H, W, 3) and labels (n, T) with T at most {positions}, got "
                         f"{images.shape} and {labels.shape}")
    wrong = labels[(labels < 0) | (labels > alphabet_size)]
    if not len(labels) or len(wrong):
        raise ValueError(f"{split}: expected captchas with labels from 0 to {alphabet_size}, got {len(labels)} captchas"
                         + (f" with label {wrong[0]}" if len(wrong) else ""))
    n = max(1, CAPS[kind] // positions)
    kept = np.arange(len(labels))
    if n < len(labels):
        kept = np.sort(np.random.default_rng((seed, split == "validation")).permutation(len(labels))[:n])
        report(f"{kind}: {n * positions:,} of the {len(labels) * positions:,} cells of {split} are used")
    padded = np.pad(labels[kept], ((0, 0), (0, positions - labels.shape[1])))
    with torch.inference_mode():
        rows = [features(to_batch(images[kept[i : i + 100]]), positions).double().numpy()
                for i in range(0, len(kept), 100)]
    return np.concatenate(rows), padded.ravel()


def _fitted(kind: str, point: Mapping[str, Any], x: Floats, y: Ints, seed: int, report: Callable[[str], None]) -> Any:
    """scikit-learn's estimator at a point of the grid."""
    from sklearn.exceptions import ConvergenceWarning

    estimator = _estimator(kind, point, seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(x, y)
    if caught:
        report(f"{kind} {dict(point)}: stopped after {estimator.max_iter} iterations, not converged")
    return estimator


def _estimator(kind: str, point: Mapping[str, Any], seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC

    if kind == "logistic":
        return LogisticRegression(max_iter=1000, **point)
    if kind == "knn":
        return KNeighborsClassifier(algorithm="brute", **point)
    if kind == "svm":
        return SVC(max_iter=STEPS, **point)  # probability=True would fit five more, at random
    return MLPClassifier(max_iter=500, random_state=seed % 2**32, **point)


def logistic_state(estimator: Any, x: Floats, y: Ints) -> dict[str, Tensor]:
    weight, bias = _two_rows(estimator.coef_, estimator.intercept_)
    return {"classes": torch.tensor(estimator.classes_), "weight": weight, "bias": bias}


def perceptron_state(estimator: Any, x: Floats, y: Ints) -> dict[str, Tensor]:
    (hidden, last), (hidden_bias, last_bias) = estimator.coefs_, estimator.intercepts_
    weight, bias = _two_rows(last.T, last_bias)
    return {"classes": torch.tensor(estimator.classes_), "hidden_weight": torch.tensor(hidden.T),
            "hidden_bias": torch.tensor(hidden_bias), "weight": weight, "bias": bias}


def _two_rows(weight: Floats, bias: Floats) -> tuple[Tensor, Tensor]:
    """scikit-learn keeps one row for two classes, the second's against the first's."""
    if len(bias) == 1:
        weight, bias = np.vstack([np.zeros_like(weight), weight]), np.append(0.0, bias)
    return torch.tensor(weight), torch.tensor(bias)


def neighbours_state(estimator: Any, x: Floats, y: Ints) -> dict[str, Tensor]:
    return {"classes": torch.tensor(estimator.classes_), "cells": torch.tensor(x, dtype=torch.float32),
            "owner": torch.tensor(np.searchsorted(estimator.classes_, y)),
            "neighbours": torch.tensor(estimator.n_neighbors),
            "by_distance": torch.tensor(estimator.weights == "distance")}


def support_vectors_state(estimator: Any, x: Floats, y: Ints) -> dict[str, Tensor]:
    sign = -1 if len(estimator.classes_) == 2 else 1  # scikit-learn turns LIBSVM's only pair round
    gamma = 0.0 if estimator.kernel == "linear" else estimator._gamma
    return {"classes": torch.tensor(estimator.classes_), "dual": torch.tensor(sign * estimator.dual_coef_),
            "vectors": torch.tensor(estimator.support_vectors_, dtype=torch.float32),
            "counts": torch.tensor(estimator.n_support_, dtype=torch.int64),
            "intercept": torch.tensor(sign * estimator.intercept_),
            "gamma": torch.tensor(float(gamma), dtype=torch.float64),
            "temperature": torch.tensor(1.0, dtype=torch.float64)}


STATES: dict[str, Callable[[Any, Floats, Ints], dict[str, Tensor]]] = {
    "logistic": logistic_state, "knn": neighbours_state, "svm": support_vectors_state, "mlp": perceptron_state}


def _temperature(state: Mapping[str, Tensor], x: Floats, y: Ints, alphabet_size: int, positions: int) -> Tensor:
    """The temperature at which the validation labels that training had are likeliest; 1 where there is none."""
    known = np.isin(y, state["classes"].numpy())
    if not known.any():
        return state["temperature"]
    module = build_classical("svm", state, alphabet_size=alphabet_size, positions=positions)
    with torch.inference_mode():
        logits = module.logits(torch.from_numpy(x[known])).numpy()
    return torch.tensor(fit_temperature(logits, y[known]), dtype=torch.float64)
