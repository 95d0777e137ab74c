"""Classical readers: logistic regression, nearest neighbours, support vectors, a perceptron; one cell per character.

scikit-learn fits them. For inference, each becomes a module like a network (images (B, 3, H, W) uint8 in, logits
(B, positions, A + 1) float32 out), with its state in buffers, so it is stored without pickle. Logits are
log-probabilities of at least FLOOR: an absent class never wins, and its loss stays finite. Letters here: m cells, F
features, C classes seen in training, R rows stored. The kinds are in `classical_models`.

Why not scikit-learn's own estimators, stored by skops: the bytes of its files are not reproducible, the files are 1.5
to 4 times as large and depend on scikit-learn's version, and there would be no module to export as ONNX.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from stages.reader.alternatives.character_crops import FEATURES, features
from stages.reader.architectures import ARCHITECTURES, LIMITS, of_family
from stages.reader.decoding import Doubles, Ints
from stages.reader.networks import Network

Point = dict[str, Any]  # hyper-parameters, as scikit-learn names them
Shapes = dict[str, tuple[torch.dtype, tuple[int, ...]]]

FLOOR = float(np.log(1e-12))  # least log-probability
MARGIN = 1e-6  # of the winner's logit over the others, more than the rounding of float32
DISTANCES_IN_MEMORY = 2**22  # distances or products in memory at a time (32 MB)


class Classical(Network):
    """A fitted classical reader; `state` becomes its buffers, and `build_classical` checks it.

    A subclass defines how it predicts (`classify`) from which buffers (`shapes`), and how scikit-learn fits it (`GRID`,
    `estimator`, `state_of`).
    """

    GRID: ClassVar[Sequence[Point]]  # from the simplest: the first of equals is chosen
    MOST: ClassVar[int]  # most cells fitted: limits time and the size of the reader
    SIZED_BY: ClassVar[str] = "classes"  # the buffer whose length is free
    has_gradients = False
    double_precision = True
    in_one_piece = False  # whether a batch is never split, regardless of memory
    classes: Tensor  # (C,) int64 labels, ascending; 0 is no character

    def __init__(self, state: Mapping[str, Tensor], *, alphabet_size: int, positions: int) -> None:
        super().__init__()
        self.alphabet_size = alphabet_size
        self.positions = positions
        for name, tensor in state.items():
            self.register_buffer(name, tensor.detach().clone().contiguous())

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):  # double precision, as scikit-learn
            x = features(images, self.positions).double()
            logits = self.logits(x)
        return logits.view(len(images), self.positions, -1)

    def logits(self, x: Tensor) -> Tensor:
        """Logits (m, A + 1) float32 of features (m, F) float64; the predicted class wins despite rounding."""
        size = (
            DISTANCES_IN_MEMORY if self.in_one_piece else max(1, DISTANCES_IN_MEMORY // self.rows)
        )
        pairs = [self.classify(rows) for rows in torch.split(x, size)]
        scores = torch.cat([pair[0] for pair in pairs])
        winner = torch.cat([pair[1] for pair in pairs])
        logits = torch.full(
            (len(x), self.alphabet_size + 1), FLOOR, dtype=torch.float32, device=x.device
        )
        logits[:, self.classes] = scores.clamp(min=FLOOR).float()
        label = self.classes[winner][:, None]
        ahead = logits.scatter(1, label, -torch.inf).amax(1, keepdim=True) + MARGIN
        return logits.scatter(1, label, torch.maximum(logits.gather(1, label), ahead))

    @property
    def rows(self) -> int:
        """The approximate number of values in memory per cell."""
        return FEATURES

    @abstractmethod
    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (m, C) of features (m, F), and the index (m,) of the predicted class."""

    @staticmethod
    @abstractmethod
    def shapes(classes: int, size: int) -> Shapes:
        """Types and shapes of the buffers except `classes`; `size` is the length of the buffer SIZED_BY."""

    @staticmethod
    @abstractmethod
    def estimator(point: Point, seed: int) -> Any:
        """scikit-learn's estimator at a point of the grid."""

    @staticmethod
    @abstractmethod
    def state_of(estimator: Any, x: Doubles, y: Ints) -> dict[str, Tensor]:
        """The buffers of an estimator fitted on features x (m, F) and labels y (m,)."""

    @classmethod
    def calibrate(cls, state: dict[str, Tensor], x: Doubles, y: Ints, alphabet_size: int) -> None:
        """Fit, in place and on validation cells, what the confidences need in addition to the estimator."""

    def make_exportable(self) -> None:
        """Replace scalar buffers by constants, since the code branches on them, and process a batch in one piece (at
        most 4 million cells), since the trace would fix the number of pieces."""
        self.in_one_piece = True
        for name, buffer in list(self.named_buffers()):
            if buffer.ndim == 0:
                delattr(self, name)
                setattr(self, name, buffer.item())

    def check_values(self) -> None:
        """Raise ValueError where a buffer has the right shape but invalid values."""
        if (
            not (self.classes.diff() > 0).all()
            or self.classes[0] < 0
            or self.classes[-1] > self.alphabet_size
        ):
            raise ValueError(f"classes should ascend within 0 to {self.alphabet_size}")


def build_classical(
    kind: str, state: Mapping[str, Tensor], *, alphabet_size: int, positions: int
) -> Classical:
    """A classical reader restored from its state, in evaluation mode.

    Raises ValueError, one line, on an unknown kind, and on a tensor that is missing, unknown, of another type or shape,
    not finite or out of range.
    """
    model = class_of(kind)
    check_sizes(alphabet_size, positions)
    buffers = ["classes", *model.shapes(0, 0)]
    wrong = sorted(set(buffers) ^ set(state))
    if wrong:
        raise ValueError(
            f"a {kind} reader has {', '.join(buffers)}, but {wrong[0]} is missing or unknown"
        )
    classes = state["classes"]
    if classes.ndim != 1 or len(classes) < 2:
        raise ValueError(
            f"classes of a {kind} reader should be two or more, got shape {tuple(classes.shape)}"
        )
    size = state[model.SIZED_BY].shape[:1].numel()
    shapes: Shapes = {"classes": (torch.int64, (len(classes),)), **model.shapes(len(classes), size)}
    for name, (dtype, shape) in shapes.items():
        _check_tensor(f"{name} of a {kind} reader", state[name], dtype, shape)
    network = model(state, alphabet_size=alphabet_size, positions=positions)
    network.check_values()
    return network.eval()


def class_of(kind: str) -> type[Classical]:
    """The class of a kind. Raises ValueError on an unknown kind."""
    kinds = of_family("classical")
    if kind not in kinds:
        raise ValueError(f"kind: expected one of {', '.join(kinds)}, got {kind!r}")
    found: type[Classical] = ARCHITECTURES[kind].load()
    return found


def check_sizes(alphabet_size: int, positions: int) -> None:
    """Raise ValueError on a number out of range."""
    for name, value in (("alphabet_size", alphabet_size), ("positions", positions)):
        low, high = LIMITS[name]
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name}: expected a whole number from {low} to {high}, got {value!r}")


def _check_tensor(name: str, tensor: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    if tensor.dtype != dtype or tuple(tensor.shape) != shape or not tensor.numel():
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)} and {tensor.dtype}, expected "
            f"{' x '.join(map(str, shape)) or 'one'} of {dtype}"
        )
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name} should be finite")
