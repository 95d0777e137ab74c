"""The kinds of classical readers: how each predicts in Torch, and how scikit-learn fits it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stages.reader.alternatives.character_crops import FEATURES
from stages.reader.alternatives.classical import Classical, Point, Shapes
from stages.reader.decoding import Doubles, Ints
from stages.reader.temperature_scaling import fit_temperature

STEPS = 20_000  # of LIBSVM's solver per pair of classes: clean cells need far fewer, noisy ones up to an hour


class Logistic(Classical):
    """Multinomial logistic regression."""

    GRID = tuple({"C": c} for c in (0.1, 1.0, 10.0))
    MOST = 60_000
    weight: Tensor
    bias: Tensor

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = functional.linear(x, self.weight, self.bias)
        return scores.log_softmax(1), scores.argmax(1)

    @staticmethod
    def shapes(classes: int, size: int) -> Shapes:
        return {"weight": (torch.float64, (classes, FEATURES)), "bias": (torch.float64, (classes,))}

    @staticmethod
    def estimator(point: Point, seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000, **point)

    @staticmethod
    def state_of(estimator: Any, x: Doubles, y: Ints) -> dict[str, Tensor]:
        weight, bias = _two_rows(estimator.coef_, estimator.intercept_)
        return {"classes": torch.tensor(estimator.classes_), "weight": weight, "bias": bias}


class Perceptron(Classical):
    """A multilayer perceptron with one hidden layer of rectified linear units."""

    GRID = tuple({"hidden_layer_sizes": [units]} for units in (50, 100))
    MOST = 60_000
    SIZED_BY = "hidden_bias"
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

    @staticmethod
    def shapes(classes: int, size: int) -> Shapes:
        return {
            "hidden_weight": (torch.float64, (size, FEATURES)),
            "hidden_bias": (torch.float64, (size,)),
            "weight": (torch.float64, (classes, size)),
            "bias": (torch.float64, (classes,)),
        }

    @staticmethod
    def estimator(point: Point, seed: int) -> Any:
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(max_iter=500, random_state=seed % 2**32, **point)

    @staticmethod
    def state_of(estimator: Any, x: Doubles, y: Ints) -> dict[str, Tensor]:
        hidden, last = estimator.coefs_
        hidden_bias, last_bias = estimator.intercepts_
        weight, bias = _two_rows(last.T, last_bias)
        return {
            "classes": torch.tensor(estimator.classes_),
            "hidden_weight": torch.tensor(hidden.T),
            "hidden_bias": torch.tensor(hidden_bias),
            "weight": weight,
            "bias": bias,
        }


class Neighbours(Classical):
    """k nearest neighbours; votes are equal or weighted by 1 / distance, and ties go to the first class."""

    GRID = tuple(
        {"n_neighbors": k, "weights": votes} for k in (7, 5, 3) for votes in ("uniform", "distance")
    )
    MOST = 20_000
    SIZED_BY = "cells"
    cells: Tensor
    owner: Tensor  # index into classes
    neighbours: Tensor
    by_distance: Tensor

    @property
    def rows(self) -> int:
        return len(self.cells) + int(self.neighbours) * (FEATURES + len(self.classes))

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        nearest = (
            squared_distances(x, self.cells.double())
            .topk(int(self.neighbours), 1, largest=False)
            .indices
        )
        votes = torch.ones(nearest.shape, dtype=x.dtype, device=x.device)
        if self.by_distance:
            # computed from differences, so that it is exactly 0 for equal cells
            distance = (x[:, None] - self.cells[nearest].double()).square().sum(2).sqrt()
            equal = distance == 0
            votes = torch.where(equal.any(1, keepdim=True), equal.double(), 1 / distance)
        counted = functional.one_hot(self.owner[nearest], len(self.classes)).double()  # (m, k, C)
        share = (votes[:, :, None] * counted).sum(1)
        return (share / share.sum(1, keepdim=True)).log(), share.argmax(1)

    def check_values(self) -> None:
        super().check_values()
        if not 1 <= int(self.neighbours) <= len(self.cells):
            raise ValueError(
                f"neighbours should be 1 to {len(self.cells)}, got {int(self.neighbours)}"
            )
        if not ((self.owner >= 0) & (self.owner < len(self.classes))).all():
            raise ValueError(f"owner should be 0 to {len(self.classes) - 1}")

    @staticmethod
    def shapes(classes: int, size: int) -> Shapes:
        return {
            "cells": (torch.float32, (size, FEATURES)),
            "owner": (torch.int64, (size,)),
            "neighbours": (torch.int64, ()),
            "by_distance": (torch.bool, ()),
        }

    @staticmethod
    def estimator(point: Point, seed: int) -> Any:
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(algorithm="brute", **point)

    @staticmethod
    def state_of(estimator: Any, x: Doubles, y: Ints) -> dict[str, Tensor]:
        return {
            "classes": torch.tensor(estimator.classes_),
            "cells": torch.tensor(x, dtype=torch.float32),
            "owner": torch.tensor(np.searchsorted(estimator.classes_, y)),
            "neighbours": torch.tensor(estimator.n_neighbors),
            "by_distance": torch.tensor(estimator.weights == "distance"),
        }


class SupportVectors(Classical):
    """Support vector machines, one-vs-one; ties go to the first class, as in LIBSVM.

    Probabilities are the softmax of the scores divided by `temperature`. A score is the number of votes plus the summed
    decisions, which are squashed to less than a third of a vote (scikit-learn's one-vs-rest decision function).
    """

    GRID = tuple(
        {"kernel": kernel, "C": c} for kernel in ("linear", "rbf") for c in (0.1, 1.0, 10.0)
    )
    MOST = 10_000
    SIZED_BY = "vectors"
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
            votes = votes + won.to(x) @ pairs
            summed = summed + sign * decisions @ pairs
        scores = (votes + summed / (3 * (summed.abs() + 1))) / self.temperature
        return scores.log_softmax(1), votes.argmax(1)

    def decisions(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """The decision (m, P) of each pair, above 0 for its first class."""
        vectors = self.vectors.double()
        kernel = (
            torch.exp(-self.gamma * squared_distances(x, vectors)) if self.gamma else x @ vectors.T
        )
        ends: list[int] = self.counts.cumsum(0).tolist()
        parts = torch.stack(
            [
                kernel[:, end - n : end] @ self.dual[:, end - n : end].T  # (m, C, C - 1)
                for end, n in zip(ends, self.counts.tolist(), strict=True)
            ],
            1,
        )
        return parts[:, first, second - 1] + parts[:, second, first] + self.intercept

    def check_values(self) -> None:
        super().check_values()
        if (self.counts < 0).any() or int(self.counts.sum()) != len(self.vectors):
            raise ValueError(
                f"counts should sum to {len(self.vectors)} vectors, got {self.counts.tolist()}"
            )
        if self.gamma < 0 or self.temperature <= 0:
            raise ValueError(
                f"gamma should be 0 or more and temperature above 0, got {float(self.gamma):g} and "
                f"{float(self.temperature):g}"
            )

    @staticmethod
    def shapes(classes: int, size: int) -> Shapes:
        pairs = classes * (classes - 1) // 2
        return {
            "vectors": (torch.float32, (size, FEATURES)),
            "dual": (torch.float64, (classes - 1, size)),
            "counts": (torch.int64, (classes,)),
            "intercept": (torch.float64, (pairs,)),
            "gamma": (torch.float64, ()),
            "temperature": (torch.float64, ()),
        }

    @staticmethod
    def estimator(point: Point, seed: int) -> Any:
        from sklearn.svm import SVC

        return SVC(
            max_iter=STEPS, **point
        )  # probability=True would fit five more, at random splits

    @staticmethod
    def state_of(estimator: Any, x: Doubles, y: Ints) -> dict[str, Tensor]:
        # scikit-learn reverses LIBSVM's sign where there is only one pair
        sign = -1 if len(estimator.classes_) == 2 else 1
        gamma = 0.0 if estimator.kernel == "linear" else estimator._gamma
        return {
            "classes": torch.tensor(estimator.classes_),
            "dual": torch.tensor(sign * estimator.dual_coef_),
            "vectors": torch.tensor(estimator.support_vectors_, dtype=torch.float32),
            "counts": torch.tensor(estimator.n_support_, dtype=torch.int64),
            "intercept": torch.tensor(sign * estimator.intercept_),
            "gamma": torch.tensor(float(gamma), dtype=torch.float64),
            "temperature": torch.tensor(1.0, dtype=torch.float64),
        }

    @classmethod
    def calibrate(cls, state: dict[str, Tensor], x: Doubles, y: Ints, alphabet_size: int) -> None:
        """The maximum-likelihood temperature on the validation cells of known classes; 1 where there are none."""
        known = np.isin(y, state["classes"].numpy())
        if known.any():
            network = cls(state, alphabet_size=alphabet_size, positions=1)
            with torch.inference_mode():
                logits = network.logits(torch.from_numpy(x[known])).numpy()
            state["temperature"] = torch.tensor(
                fit_temperature(logits, y[known]), dtype=torch.float64
            )


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances (m, R) between rows (m, F) and (R, F)."""
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp(min=0)


def _two_rows(weight: Doubles, bias: Doubles) -> tuple[Tensor, Tensor]:
    """One row per class: for two classes, scikit-learn stores only the second's, relative to the first."""
    if len(bias) == 1:
        weight = np.vstack([np.zeros_like(weight), weight])
        bias = np.append(0.0, bias)
    return torch.tensor(weight), torch.tensor(bias)
