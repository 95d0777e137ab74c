"""The files of a reader: its weights and description, and the scratch of an interrupted training.

A reader is data/readers/<name>/weights.safetensors and reader.json: neither runs code when it is loaded, so that a
reader may come from a stranger. The weights of an outside reader (tesseract) are those of its denoiser, if any.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from stages import artifacts
from stages.reader.batches import Images
from stages.reader.classical import KINDS as KINDS_OF_CLASSICAL
from stages.reader.classical import build_classical
from stages.reader.denoising import METHODS, PREFIX
from stages.reader.denoising import build as build_denoiser
from stages.reader.networks import ANY_LENGTH, build
from stages.reader.precision import choose_precision
from stages.reader.reading import Outside, Recogniser
from stages.reader.tesseract import ARCHITECTURE as TESSERACT
from stages.reader.tesseract import Tesseract

FORMAT = 3  # of reader.json; raise it when a field changes its meaning
READABLE = (2, FORMAT)  # 2 says beside the fields how it was trained (precision): no matter to how it is read
BUILT_OTHERWISE = (*KINDS_OF_CLASSICAL, TESSERACT)  # than by networks.build
KINDS = {str: "text", int: "whole number", float: "number with a point"}


@dataclass(frozen=True)
class Description:
    """What a network has to be built with; reader.json without the training record."""

    architecture: str
    alphabet: str
    height: int  # px
    width: int  # px
    channels: int
    positions: int  # longest text it learned; where `any_length`, it reads longer ones too
    temperature: float = 1.0  # that its logits are divided by, so that confidences are calibrated
    denoise: str = "none"  # what is done to an image before it is read

    @property
    def any_length(self) -> bool:
        return self.architecture in ANY_LENGTH

    def build(self) -> nn.Module:
        return build(self.architecture, alphabet_size=len(self.alphabet), height=self.height, width=self.width,
                     channels=self.channels, positions=self.positions)


def write_reader(folder: Path, description: Description, weights: Mapping[str, Tensor],
                 training: Mapping[str, Any]) -> None:
    """Write both files; equal arguments give equal bytes (safetensors orders several metadata keys at random: none)."""
    artifacts.write_bytes(folder / "weights.safetensors", safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in weights.items()}))
    artifacts.write_json(folder / "reader.json", {"format": FORMAT, **asdict(description), "training": dict(training)})


def load_recogniser(folder: Path, device: torch.device) -> tuple[Recogniser | Outside, Description]:
    """A reader made ready to read, by `stages.reader.reading.read_whole`.

    Raises ValueError, one line, where a file is missing or damaged, or an outside reader's program is.
    """
    description = read_description(folder / "reader.json")
    if description.architecture == TESSERACT:
        state = _load_outside(folder)
        return Tesseract(description.alphabet, positions=description.positions,
                         denoiser=_denoiser(folder, description, state, device)), description
    network, description, state = load_reader(folder)
    denoiser = _denoiser(folder, description, state, device)
    precision = precision_of(description.architecture, "auto", device)
    return Recogniser(network, precision=precision, device=device, temperature=description.temperature,
                      denoiser=denoiser), description


def precision_of(architecture: str, asked: str, device: torch.device, *,
                 report: Callable[[str], None] = lambda line: None) -> str:
    """The precision a reader calculates in, see `choose_precision`: fp64 for a classical one, whatever is asked,
    and fp32 for an outside one, which calculates elsewhere."""
    if architecture in BUILT_OTHERWISE:
        return "fp64" if architecture in KINDS_OF_CLASSICAL else "fp32"
    return choose_precision(asked, device, report=report)


def _denoiser(folder: Path, description: Description, state: Mapping[str, Tensor],
              device: torch.device) -> Callable[[Images], Images]:
    try:
        return build_denoiser(description.denoise, state, device=device)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}: run `dvc repro -f train@{folder.name}`") from None


def _load_outside(folder: Path) -> dict[str, Tensor]:
    """The state of the denoiser before an outside reader, which has no weights of its own."""
    weights, denoiser = _load_weights(folder)
    if weights:
        raise ValueError(f"{folder / 'weights.safetensors'}: expected an outside reader without weights, got "
                         f"{min(weights)}: run `dvc repro -f train@{folder.name}`")
    return denoiser


def _load_weights(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of a folder: those of its reader, and the state of its denoiser."""
    path = folder / "weights.safetensors"
    try:
        weights = safetensors.torch.load(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: run `dvc repro train@{folder.name}`") from None
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): run `dvc repro -f train@{folder.name}`") from None
    denoiser = {name: weights.pop(name) for name in list(weights) if name.startswith(PREFIX)}
    return weights, denoiser


def load_reader(folder: Path) -> tuple[nn.Module, Description, dict[str, Tensor]]:
    """The network of a folder, with its weights, and the state of its denoiser.

    Raises ValueError, one line, where a file is missing or damaged, or the reader is no network.
    """
    description = read_description(folder / "reader.json")
    if description.architecture == TESSERACT:
        raise ValueError(f"{folder}: expected a reader with a network, got {TESSERACT}, a program: name another reader")
    path = folder / "weights.safetensors"
    weights, denoiser = _load_weights(folder)
    if description.architecture in KINDS_OF_CLASSICAL:
        try:
            return build_classical(description.architecture, weights, alphabet_size=len(description.alphabet),
                                   positions=description.positions).eval(), description, denoiser
        except ValueError as error:
            raise ValueError(f"{path}: {error}: run `dvc repro -f train@{folder.name}`") from None
    network = description.build()
    expected = network.state_dict()
    wrong = sorted(set(expected) ^ set(weights)) or [
        name for name in expected if expected[name].shape != weights[name].shape
        or expected[name].dtype != weights[name].dtype or not bool(torch.isfinite(weights[name]).all())]
    if wrong:
        raise ValueError(f"{path} is no {description.architecture} reader as reader.json describes it ({wrong[0]} is "
                         f"missing, unknown, of another shape or not finite): run `dvc repro -f train@{folder.name}`")
    network.load_state_dict(weights)
    return network.eval(), description, denoiser


def read_description(path: Path) -> Description:
    """Raises ValueError, one line, on a file that is missing, no JSON, or has a field missing or out of range."""
    tree = artifacts.read_json(path)
    kinds = {"architecture": str, "alphabet": str, "height": int, "width": int, "channels": int, "positions": int,
             "temperature": float, "denoise": str}
    if not isinstance(tree, dict) or tree.get("format") not in READABLE:
        raise ValueError(f"{path}: expected a reader of format {' or '.join(map(str, READABLE))}, got "
                         f"{tree.get('format') if isinstance(tree, dict) else type(tree).__name__}: train it again")
    for name, kind in kinds.items():
        if type(tree.get(name)) is not kind:
            raise ValueError(f"{path}: {name} should be a {KINDS[kind]}, "
                             f"got {tree.get(name)!r}: train it again")
    description = Description(**{name: tree[name] for name in kinds})
    try:
        if description.denoise not in METHODS:
            raise ValueError(f"denoise: expected one of {', '.join(METHODS)}, got {description.denoise!r}")
        if not 0.01 <= description.temperature <= 100:
            raise ValueError(f"temperature: expected 0.01 to 100, got {description.temperature}")
        with torch.device("meta"):  # checks sizes before anything is allocated
            replace(description, architecture="heads").build() if description.architecture in BUILT_OTHERWISE \
                else description.build()
    except ValueError as error:
        raise ValueError(f"{path}: {error}: train it again") from None
    return description


def check_reader(description: Description, alphabet: str, height: int, width: int, where: str) -> None:
    """Raise ValueError where a reader does not fit captchas of this alphabet and size, px."""
    if description.alphabet != alphabet:
        raise ValueError(f"{where}: the reader knows the alphabet {description.alphabet!r} but the captchas have "
                         f"{alphabet!r}: train it again (dvc repro)")
    if (description.height, description.width) != (height, width):
        raise ValueError(f"{where}: the reader takes images of {description.height} x {description.width} px but the "
                         f"captchas have {height} x {width}: train it again (dvc repro)")


def scratch_root() -> Path:
    """`.scratch` of the study. DVC keeps DVC_ROOT at the original study in a queued or --temp run, whose own folder is
    deleted when it fails: what it had learned by then is found again."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()) / ".scratch"


def scratch_key(parameters: Mapping[str, Any], files: Sequence[Path]) -> str:
    """sha256 of everything that a training's result depends on: parameters, and the bytes of data and code.

    It does not depend on where they lie: a queued run works in a temporary folder.
    """
    digest = hashlib.sha256(json.dumps([parameters, torch.__version__], sort_keys=True).encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.parent.name}/{path.name} ".encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Hold the lock file `path` inside the block. Raises ValueError at once where another process holds it.

    The kernel frees the lock when its process dies, however it dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another training of reader {name} is running (lock {path}): wait or stop it") from None
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise ValueError(f"another training of reader {name} just ended (lock {path}): run this one again")
        try:
            yield
        finally:
            path.unlink()  # in the lock; who opened the file before finds it gone, above


def read_checkpoint(folder: Path) -> bytes | None:
    """The checkpoint in a scratch folder, None where there is none or CAPTCHA_FRESH=1 asks to start anew."""
    if os.environ.get("CAPTCHA_FRESH") == "1":
        return None
    try:
        return (folder / "checkpoint").read_bytes()
    except FileNotFoundError:
        return None


def write_checkpoint(folder: Path, content: bytes) -> None:
    artifacts.write_bytes(folder / "checkpoint", content)


def remove_checkpoint(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
