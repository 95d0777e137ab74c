"""The registries of architectures, denoisers and optimisers, by name. Imports no numerical library, so any stage can.

A new architecture is a class (or a function) and a line here. Its module is imported by `Architecture.load`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

Family = Literal["network", "classical", "external"]
# networks: as requested
PRECISION: Mapping[Family, str] = MappingProxyType({"classical": "fp64", "external": "fp32"})
LIMITS = {"alphabet_size": (1, 10_000), "height": (8, 4096), "width": (8, 4096), "channels": (4, 512),
          "positions": (1, 127)}  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """The sizes that a network is built for."""

    alphabet_size: int
    height: int  # px
    width: int  # px
    channels: int  # of the first layer; ignored by an ancestor's network
    positions: int  # longest text that it can read, unless it reads any length

    def check(self) -> None:
        """Raises ValueError on a size out of range."""
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(
                    f"{name}: expected a whole number from {low} to {high}, got {value!r}"
                )


@dataclass(frozen=True)
class Architecture:
    """A kind of reader. Its family says how it is trained and stored.

    network    fitted by gradient descent: `place` maps Sizes to a `networks.Network`
    classical  fitted by scikit-learn: `place` is a subclass of `classical.Classical`
    external   a program that is not trained here: `place` is a subclass of `external.ExternalReader`
    """

    family: Family
    place: str  # "module:name" in stages.reader
    any_length: bool = False  # others read texts of at most `positions` characters

    def load(self) -> Any:
        """Import and return the object at `place`."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(f"stages.reader.{module}"), name)


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({
    "ctc": Architecture("network", "networks:ctc", any_length=True),
    "compact": Architecture("network", "networks:compact", any_length=True),
    "heads": Architecture("network", "networks:Heads"),
    "dense": Architecture("network", "networks:Dense"),
    "logistic": Architecture("classical", "alternatives.classical_models:Logistic"),
    "knn": Architecture("classical", "alternatives.classical_models:Neighbours"),
    "svm": Architecture("classical", "alternatives.classical_models:SupportVectors"),
    "mlp": Architecture("classical", "alternatives.classical_models:Perceptron"),
    "themlaw": Architecture("network", "alternatives.ancestors:themlaw"),
    "kaggle": Architecture("network", "alternatives.ancestors:kaggle"),
    "ukrainian": Architecture("network", "alternatives.ancestors:ukrainian"),
    "essmaw_dense": Architecture("network", "alternatives.ancestors:essmaw_dense"),
    "essmaw_small": Architecture("network", "alternatives.ancestors:essmaw_small"),
    "essmaw_large": Architecture("network", "alternatives.ancestors:essmaw_large"),
    "tesseract": Architecture("external", "alternatives.tesseract:Tesseract"),
})  # fmt: skip
DENOISERS = ("none", "median", "pca", "nlm", "bilateral", "learned")
ADAMW = "adamw"
MUON = "muon"
OPTIMISERS = (ADAMW, MUON)


def of_family(*families: Family) -> tuple[str, ...]:
    """The architectures of these families, in the registry's order."""
    return tuple(
        name for name, architecture in ARCHITECTURES.items() if architecture.family in families
    )
