"""The files of a reader: its weights and description.

A reader is data/readers/<name>/weights.safetensors and reader.json. Loading them runs no code, so a reader may come
from an untrusted source. The weights of an external reader (tesseract) are those of its denoiser, if any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from stages import artifacts
from stages.reader.alternatives.classical import build_classical
from stages.reader.alternatives.denoising import build_denoiser as build_denoiser
from stages.reader.alternatives.denoising_state import PREFIX
from stages.reader.alternatives.external import ExternalReader
from stages.reader.architectures import (
    ARCHITECTURES,
    DENOISERS,
    PRECISION,
    Family,
    Sizes,
    of_family,
)
from stages.reader.batches import Images
from stages.reader.inference import NetworkReader
from stages.reader.networks import Network, build_network
from stages.reader.precision import choose_precision
from stages.reader.protocol import Reader

FORMAT = 3  # of reader.json; raise it when a field changes its meaning
READABLE = (2, FORMAT)  # 2 also has the precision of the training, which reading ignores
FIELDS = {
    "architecture": str,
    "alphabet": str,
    "height": int,
    "width": int,
    "channels": int,
    "positions": int,
    "temperature": float,
    "denoise": str,
}
TYPE_WORDS = {str: "text", int: "whole number", float: "number with a point"}


@dataclass(frozen=True)
class Description:
    """What a reader is built from: reader.json without the training record."""

    architecture: str
    alphabet: str
    height: int  # px
    width: int  # px
    channels: int
    positions: int  # longest training text; where `any_length`, it reads longer ones, too
    temperature: float = 1.0  # divisor of its logits, which calibrates the confidences
    denoise: str = "none"  # denoiser that is applied to images first

    @property
    def family(self) -> Family:
        return ARCHITECTURES[self.architecture].family

    @property
    def any_length(self) -> bool:
        return ARCHITECTURES[self.architecture].any_length

    @property
    def sizes(self) -> Sizes:
        return Sizes(len(self.alphabet), self.height, self.width, self.channels, self.positions)

    def build(self) -> Network:
        """The network, with undefined weights. Raises ValueError on another family, or a size out of range."""
        return build_network(self.architecture, **asdict(self.sizes))

    def external(self, denoiser: Callable[[Images], Images]) -> ExternalReader:
        """The external reader. Raises ValueError, one line, where its program is missing."""
        program: Callable[..., ExternalReader] = ARCHITECTURES[self.architecture].load()
        return program(self.alphabet, positions=self.positions, denoiser=denoiser)


def write_reader(
    folder: Path,
    description: Description,
    weights: Mapping[str, Tensor],
    training: Mapping[str, object],
) -> None:
    """Write both files; equal arguments give equal bytes.

    The weights have no metadata: safetensors writes several keys in random order.
    """
    artifacts.write_bytes(
        folder / "weights.safetensors",
        safetensors.torch.save({name: tensor.contiguous() for name, tensor in weights.items()}),
    )
    artifacts.write_json(
        folder / "reader.json",
        {"format": FORMAT, **asdict(description), "training": dict(training)},
    )


def load_recogniser(folder: Path, device: torch.device) -> tuple[Reader, Description]:
    """A reader ready for inference, and its description.

    Raises ValueError, one line, where a file is missing or damaged, or an external reader's program is missing.
    """
    description = read_description(folder / "reader.json")
    if description.family == "external":
        state = _load_external(folder)
        return description.external(_denoiser(folder, description, state, device)), description
    network, description, state = load_reader(folder)
    denoiser = _denoiser(folder, description, state, device)
    precision = precision_of(description.architecture, "auto", device)
    return NetworkReader(
        network,
        precision=precision,
        device=device,
        temperature=description.temperature,
        denoiser=denoiser,
    ), description


def precision_of(
    architecture: str,
    asked: str,
    device: torch.device,
    *,
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """The precision a reader computes in: `choose_precision` of the one requested for a network, always fp64 for a
    classical reader, and fp32 for an external one, which computes in its own program."""
    return PRECISION.get(ARCHITECTURES[architecture].family) or choose_precision(
        asked, device, report=report
    )


def _denoiser(
    folder: Path, description: Description, state: Mapping[str, Tensor], device: torch.device
) -> Callable[[Images], Images]:
    try:
        return build_denoiser(description.denoise, state, device=device)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}: run `dvc repro -f train@{folder.name}`") from None


def _load_external(folder: Path) -> dict[str, Tensor]:
    """The state of an external reader's denoiser; the reader itself has no weights."""
    weights, denoiser = _load_weights(folder)
    if weights:
        raise ValueError(
            f"{folder / 'weights.safetensors'}: expected an outside reader without weights, got "
            f"{min(weights)}: run `dvc repro -f train@{folder.name}`"
        )
    return denoiser


def _load_weights(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of a folder: those of its reader, and those of its denoiser."""
    path = folder / "weights.safetensors"
    try:
        weights = safetensors.torch.load(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: run `dvc repro train@{folder.name}`") from None
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged ({error}): run `dvc repro -f train@{folder.name}`"
        ) from None
    denoiser = {name: weights.pop(name) for name in list(weights) if name.startswith(PREFIX)}
    return weights, denoiser


def load_reader(folder: Path) -> tuple[Network, Description, dict[str, Tensor]]:
    """The network of a folder, with its weights, and the state of its denoiser.

    Raises ValueError, one line, where a file is missing or damaged, or the reader is no network.
    """
    description = read_description(folder / "reader.json")
    if description.family == "external":
        raise ValueError(
            f"{folder}: expected a reader with a network, got {description.architecture}, a program: name "
            "another reader"
        )
    weights, denoiser = _load_weights(folder)
    try:
        network = RESTORED[description.family](folder / "weights.safetensors", description, weights)
    except ValueError as error:
        raise ValueError(f"{error}: run `dvc repro -f train@{folder.name}`") from None
    return network.eval(), description, denoiser


def _restored_network(
    path: Path, description: Description, weights: Mapping[str, Tensor]
) -> Network:
    network = description.build()
    expected = network.state_dict()
    wrong = sorted(set(expected) ^ set(weights)) or [
        name
        for name in expected
        if expected[name].shape != weights[name].shape
        or expected[name].dtype != weights[name].dtype
        or not bool(torch.isfinite(weights[name]).all())
    ]
    if wrong:
        raise ValueError(
            f"{path} is no {description.architecture} reader as reader.json describes it ({wrong[0]} is "
            "missing, unknown, of another shape or not finite)"
        )
    network.load_state_dict(weights)
    return network


def _restored_classical(
    path: Path, description: Description, weights: Mapping[str, Tensor]
) -> Network:
    try:
        return build_classical(
            description.architecture,
            weights,
            alphabet_size=len(description.alphabet),
            positions=description.positions,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


RESTORED: Mapping[str, Callable[[Path, Description, Mapping[str, Tensor]], Network]] = {
    "network": _restored_network,
    "classical": _restored_classical,
}  # by family; an external reader has no network


def read_description(path: Path) -> Description:
    """Raises ValueError, one line, on a file that is missing, no JSON, or has a field missing or out of range."""
    tree = artifacts.read_json(path)
    found = tree.get("format") if isinstance(tree, dict) else type(tree).__name__
    if not isinstance(tree, dict) or found not in READABLE:
        raise ValueError(
            f"{path}: expected a reader of format {' or '.join(map(str, READABLE))}, got {found}: train "
            "it again"
        )
    for name, kind in FIELDS.items():
        if type(tree.get(name)) is not kind:
            raise ValueError(
                f"{path}: {name} should be a {TYPE_WORDS[kind]}, "
                f"got {tree.get(name)!r}: train it again"
            )
    description = Description(**{name: tree[name] for name in FIELDS})
    try:
        if description.denoise not in DENOISERS:
            raise ValueError(
                f"denoise: expected one of {', '.join(DENOISERS)}, got {description.denoise!r}"
            )
        if not 0.01 <= description.temperature <= 100:
            raise ValueError(f"temperature: expected 0.01 to 100, got {description.temperature}")
        if description.architecture in of_family("classical", "external"):
            description.sizes.check()
        else:
            with torch.device("meta"):  # checks sizes before anything is allocated
                description.build()
    except ValueError as error:
        raise ValueError(f"{path}: {error}: train it again") from None
    return description


def check_reader(
    description: Description, alphabet: str, height: int, width: int, where: str
) -> None:
    """Raise ValueError where a reader does not fit captchas of this alphabet and size, px."""
    if description.alphabet != alphabet:
        raise ValueError(
            f"{where}: the reader knows the alphabet {description.alphabet!r} but the captchas have "
            f"{alphabet!r}: train it again (dvc repro)"
        )
    if (description.height, description.width) != (height, width):
        raise ValueError(
            f"{where}: the reader takes images of {description.height} x {description.width} px but the "
            f"captchas have {height} x {width}: train it again (dvc repro)"
        )
