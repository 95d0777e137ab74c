"""Train one reader on the training captchas.

Reads   data/captchas/train, data/captchas/validation, readers.<name>.init, and the source of the captchas (fresh)
Writes  data/readers/<name>, plots/train/<name>.json, plots/train/<name>.csv
Params  seed, glyphs, captcha, colour, noise, reader_defaults, readers.<name>

`python -m stages.train <name>`. An interrupted training goes on from its last epoch when it is run again with the same
parameters, data and code in the same precision, and ends with the same bytes; CAPTCHA_FRESH=1 starts anew.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages import artifacts, reader_files
from stages.captcha.design import random_images
from stages.command import progress, run
from stages.drawing import Study, bases_of, identity_of, prepare, texts_of
from stages.params import Reader, read
from stages.reader import tesseract
from stages.reader.batches import Images, Labels, Part
from stages.reader.classical import CAPS, KINDS, fit_classical
from stages.reader.decoding import encode
from stages.reader.denoising import Pairs, fit_learned, fit_pca, pairs_of
from stages.reader.denoising import build as build_denoiser
from stages.reader.fitting import Epoch, Fitted, Schedule, State, fit, on_cpu, scores, validate
from stages.reader.networks import ARCHITECTURES, Ctc, initialise
from stages.reader.precision import arithmetic
from stages.reader.reading import Recogniser, choose_device
from stages.reader.temperature import temperature_of
from stages.reader.transfer import transfer
from stages.reader_files import Description

NO_INIT = Path("pretrained/none")  # readers.<name>.init of a reader that starts from nothing
CONDITIONS = {"clean": (0,), "noisy": (1,), "both": (0, 1)}  # of the training captchas, by readers.<name>.train_on
DENOISED = 3000   # renderings that a denoiser learns from: more took time and gained nothing
RUNS = 1_000_003  # between the streams of two training runs of one study; its seeds lie closer together


@dataclass(frozen=True)
class CaptchaPart:
    """The renderings of one part file that a reader learns from; images are read when asked for."""

    path: Path
    rows: NDArray[np.int64]
    labels: Labels
    denoise: Callable[[Images], Images] = lambda images: images

    def images(self) -> Images:
        images = artifacts.images_of(artifacts.read_captchas(self.path, ["image"]))
        seen: Images = self.denoise(images if len(self.rows) == len(images) else images[self.rows])
        return seen


@dataclass(frozen=True)
class DrawnPart:
    """A part of the training captchas of a later epoch, drawn when it is asked for and then forgotten."""

    study: Study
    part: int
    epoch: int  # from 0, which is stored
    conditions: tuple[int, ...]
    alphabet: str
    denoise: Callable[[Images], Images]

    @cached_property
    def labels(self) -> Labels:
        texts = texts_of(self.study, "train", self.part, self.epoch)
        return encode([text for text in texts for _ in self.conditions], self.alphabet)

    def images(self) -> Images:
        study, identity = self.study, identity_of("train", self.part, self.epoch)
        bases = bases_of(study, "train", self.part, self.epoch)
        return self.denoise(random_images(bases, study.first("train", self.part, self.epoch), study.doses,
                                          study.palette, seed=study.seed, identity=identity,
                                          conditions=self.conditions))


@dataclass(frozen=True)
class Split:
    """The parts of a split and what they have in common."""

    parts: list[CaptchaPart]
    alphabet: str
    height: int
    width: int


@dataclass(frozen=True)
class Start:
    """The reader that a training starts from: none, where the folder is NO_INIT."""

    folder: Path

    @classmethod
    def of(cls, init: str) -> Start:
        """Raises ValueError where the folder holds no reader."""
        folder = Path(init)
        if folder != NO_INIT and not (folder / "reader.json").is_file():
            raise ValueError(f"readers: init: {init} holds no reader (no reader.json): name the folder of a trained "
                             f"one, as data/readers/<name>, or {NO_INIT}")
        return cls(folder)

    def files(self) -> list[Path]:
        return [] if self.folder == NO_INIT else [self.folder / "reader.json", self.folder / "weights.safetensors"]

    def fill(self, network: nn.Module, alphabet: str) -> None:
        """Give the network what the other reader has learned."""
        if self.folder == NO_INIT:
            return
        other, description, _ = reader_files.load_reader(self.folder)
        try:
            known = transfer(network, other.state_dict(), known=description.alphabet, alphabet=alphabet)
        except ValueError as error:
            raise ValueError(f"readers: init: {self.folder} does not fit: {error}") from None
        progress(f"starts from {self.folder}, which knows {known} of {len(alphabet)} characters")


def main() -> None:
    params = read("seed", "glyphs", "captcha", "colour", "noise", "reader_defaults", "readers")
    name = reader_name(sys.argv[1:], list(params.readers))
    reader = params.readers[name]
    drawn = reader.fresh and reader.epochs > 1 and reader.architecture in ARCHITECTURES
    if reader.fresh and not drawn:
        progress("fresh: this reader learns from the stored captchas, in one epoch")
    cv2.setNumThreads(1)  # the halves of a batch have the cores
    train_reader(name, reader, params.seed + RUNS * reader.seed, prepare(params) if drawn else None)


def reader_name(arguments: list[str], names: list[str]) -> str:
    if len(arguments) != 1 or arguments[0] not in names:
        raise ValueError(f"python -m stages.train takes the name of a reader, one of {', '.join(names)} "
                         f"(readers in params.yaml); got {' '.join(arguments)!r}")
    return arguments[0]


def train_reader(name: str, reader: Reader, seed: int, study: Study | None = None) -> None:
    """Train a reader and write it; from `study` the captchas of all epochs but the first are drawn."""
    device = choose_device(reader.device)
    precision = reader_files.precision_of(reader.architecture, reader.precision, device, report=progress)
    reader = replace(reader, precision="auto")  # from here on `precision` says it; the key must not depend on it
    start = Start.of(reader.init)
    key = reader_files.scratch_key({"reader": asdict(reader), "seed": seed, "device": device.type},
                                   [*artifacts.parts_of("train"), *artifacts.parts_of("validation"), *code_files(),
                                    *start.files()])
    root = reader_files.scratch_root()
    scratch = root / f"{key}-{precision}"
    with ExitStack() as locks:
        # Two trainings may share neither the outputs of one workspace nor a checkpoint; other experiments may run.
        locks.enter_context(reader_files.locked(Path(".scratch") / f"{name}.lock", name))
        locks.enter_context(reader_files.locked(scratch.with_suffix(".lock"), name))
        train, validation = open_split("train", reader.train_on), open_split("validation", reader.train_on)
        if (train.alphabet, train.height, train.width) != (validation.alphabet, validation.height, validation.width):
            raise ValueError("data/captchas: train and validation differ in alphabet or image size: "
                             "run `dvc repro -f generate`")
        description = describe(reader, train, validation)
        if study is not None:
            check_stored(train, reader.train_on, study)
            if study.folder is None:  # a later epoch may have the longest text
                description = replace(description, positions=max(description.positions, study.layout.length[1]))
        denoiser = fit_denoiser(reader.denoise, seed, device)
        if reader.architecture == tesseract.ARCHITECTURE:
            return write_outside(name, description, validation, denoiser, device)
        train, validation = (denoised(split, reader.denoise, denoiser, device) for split in (train, validation))
        record: dict[str, Any] = {}
        started = time.monotonic()
        if reader.architecture in KINDS:
            network, fitted, record = fit_classic(reader, description, train, validation, seed)
            device = torch.device("cpu")  # where it was fitted; mps has no fp64
        else:
            schedule = Schedule(epochs=reader.epochs, patience=reader.patience, batch=reader.batch,
                                learning_rate=reader.learning_rate, weight_decay=reader.weight_decay,
                                precision=precision, seed=seed, augment=reader.augment, optimiser=reader.optimiser)
            fresh = partial(drawn_parts, study, reader.train_on, train.parts[0].denoise) if study else None
            fitted = fit_reader(description.build(), start, train, validation, schedule, fresh, device, scratch)
            network = description.build()
            network.load_state_dict(fitted.weights)
            record = {"weights": sum(parameter.numel() for parameter in network.parameters())}
        progress(f"learned in {time.monotonic() - started:.0f} s")  # here alone: no artifact depends on the clock
        temperature = calibrated(network, validation, precision, device)
        record["arithmetic"] = arithmetic(precision, device)
        write_results(name, replace(description, temperature=temperature), fitted, denoiser, record)
        reader_files.remove_checkpoint(scratch)


def write_outside(name: str, description: Description, validation: Split, denoiser: dict[str, Tensor],
                  device: torch.device) -> None:
    """A reader that learns nothing here: what it is, and how it reads the validation captchas."""
    version = tesseract.require_tesseract()
    language, unknown = tesseract.choose_language(description.alphabet)
    if unknown:
        progress(f"Tesseract's language {language} does not know {unknown}: these count as misread")
    outside = tesseract.Tesseract(description.alphabet, positions=description.positions,
                                  denoiser=build_denoiser(description.denoise, denoiser, device=device))
    parts = [part for part in validation.parts if len(part.labels)]
    found = [scores(part.labels, outside.read(part.images())) for part in parts]
    right, characters, whole, rows = np.sum(found, axis=0).tolist()
    reached = {"validation_character_accuracy": artifacts.rounded(right / characters),
               "validation_exact_match": artifacts.rounded(whole / rows), "weights": 0}
    reader_files.write_reader(artifacts.READERS / name, description, denoiser,
                              {"tesseract": version, "language": language, "unknown": unknown, **reached})
    artifacts.write_metrics(artifacts.PLOTS / "train" / f"{name}.json", reached)
    artifacts.write_text(artifacts.PLOTS / "train" / f"{name}.csv", ",".join(Epoch.__annotations__) + "\n")
    progress(f"Tesseract {version}: validation characters {right / characters:.2%}, whole captchas {whole / rows:.2%}")


def code_files() -> list[Path]:
    """The code that a training's result depends on."""
    here = Path(__file__).parent
    return [Path(__file__), here / "drawing.py", here / "params.py",
            *(path for package in ("captcha", "reader", "sources") for path in sorted((here / package).rglob("*.py")))]


def open_split(split: str, train_on: str) -> Split:
    """The parts of a split, with the rows that `train_on` takes of each. Raises ValueError where parts differ."""
    parts, kinds = [], set()
    for path in artifacts.parts_of(split):
        table = artifacts.read_captchas(path, ["condition", "text"])
        alphabet = artifacts.alphabet_of(table.schema)
        kinds.add((alphabet, *artifacts.image_size(table.schema, path)))
        if len(kinds) > 1:
            raise ValueError(f"{path}: another alphabet or image size than the parts before: "
                             "run `dvc repro -f generate`")
        condition = np.array(table["condition"].to_pylist())  # to_numpy would import pandas
        rows = np.flatnonzero(np.isin(condition, CONDITIONS[train_on]))
        found = table["text"].to_pylist()
        texts = [found[row] for row in rows]
        parts.append(CaptchaPart(path, rows, encode(texts, alphabet)))
    alphabet, height, width = kinds.pop()
    return Split(parts, alphabet, height, width)


def check_stored(train: Split, train_on: str, study: Study) -> None:
    """Raise ValueError where the stored captchas are not those that `study` draws, by size, number and last texts."""
    stored = (train.alphabet, train.height, train.width, len(train.parts))
    drawn = (study.folding.alphabet, study.layout.height, study.layout.width, study.parts("train"))
    if stored != drawn:
        raise ValueError(f"data/captchas/train: alphabet, height, width and parts are {stored}, but params.yaml asks "
                         f"for {drawn}: run `dvc repro generate`")
    last = len(train.parts) - 1
    part = DrawnPart(study, last, 0, CONDITIONS[train_on], train.alphabet, lambda images: images)
    if not np.array_equal(part.labels, train.parts[last].labels):
        raise ValueError("data/captchas/train: holds other texts than params.yaml asks for: run `dvc repro generate`")


def drawn_parts(study: Study, train_on: str, denoise: Callable[[Images], Images], epoch: int) -> list[DrawnPart]:
    """The training captchas of an epoch, counted from 1 as the learning curve has it."""
    return [DrawnPart(study, part, epoch - 1, CONDITIONS[train_on], study.folding.alphabet, denoise)
            for part in range(study.parts("train"))]


def fit_denoiser(method: str, seed: int, device: torch.device) -> dict[str, Tensor]:
    """The state of a denoiser, from the first training captchas; empty for a method that has none."""
    if method not in ("pca", "learned"):
        return {}
    columns = ["captcha", "condition", "foreground", "background", "image"]
    clean: list[Images] = []
    noisy: list[Images] = []
    for path in artifacts.parts_of("train"):
        table = artifacts.read_captchas(path, columns)
        images = artifacts.images_of(table)
        if method == "pca":
            clean.append(images[table["condition"].to_numpy() == 0])
        else:
            pairs = pairs_of(images, *(table[name].to_pylist() for name in columns[:-1]))
            clean.append(pairs.clean)
            noisy.append(pairs.noisy)
        if sum(map(len, clean)) >= DENOISED:
            break
    progress(f"a denoiser learns from {sum(map(len, clean))} training captchas")
    if method == "pca":
        return fit_pca(np.concatenate(clean))
    return fit_learned(Pairs(np.concatenate(noisy), np.concatenate(clean)), seed=seed, device=device, report=progress)


def denoised(split: Split, method: str, state: dict[str, Tensor], device: torch.device) -> Split:
    """The split as its reader will see it."""
    denoise = build_denoiser(method, state, device=device)
    return replace(split, parts=[replace(part, denoise=denoise) for part in split.parts])


def describe(reader: Reader, *splits: Split) -> Description:
    longest = max((part.labels.shape[1] for split in splits for part in split.parts), default=0)
    return Description(reader.architecture, splits[0].alphabet, splits[0].height, splits[0].width, reader.channels,
                       max(1, longest), denoise=reader.denoise)


def fit_reader(network: nn.Module, start: Start, train: Split, validation: Split, schedule: Schedule,
               fresh: Callable[[int], Sequence[Part]] | None,
               device: torch.device, scratch: Path) -> Fitted:
    """Fit from the start, or from the checkpoint in `scratch`."""
    initialise(network, generator=torch.Generator().manual_seed(schedule.seed))
    start.fill(network, train.alphabet)
    captchas = sum(len(part.labels) for part in train.parts)
    progress(f"{sum(p.numel() for p in network.parameters())} weights, {captchas} renderings an epoch, "
             f"{arithmetic(schedule.precision, device)}")
    return fit(network, train.parts, validation.parts, schedule, device=device, fresh=fresh, state=resumed(scratch),
               keep=lambda state: reader_files.write_checkpoint(scratch, state.to_bytes()), report=progress)


def fit_classic(reader: Reader, description: Description, train: Split, validation: Split,
                seed: int) -> tuple[nn.Module, Fitted, dict[str, Any]]:
    """A classical reader: the module, its one "epoch" (the best of its grid), and what was chosen how."""
    kind = reader.architecture
    found = fit_classical(kind, in_memory(train, CAPS[kind]), in_memory(validation, CAPS[kind]),
                          alphabet_size=len(description.alphabet), positions=description.positions, seed=seed,
                          report=progress)
    cpu = torch.device("cpu")
    train_loss, *_ = validate(found.module, train.parts[:1], "fp64", cpu)
    epoch = Epoch(1, train_loss, *validate(found.module, validation.parts, "fp64", cpu))
    weights = on_cpu(found.module)
    progress(f"{kind} with {found.chosen}: validation characters {epoch.validation_character_accuracy:.2%}, whole "
             f"captchas {epoch.validation_exact_match:.2%}")
    return found.module, Fitted(weights, [epoch]), {
        "weights": sum(tensor.numel() for tensor in weights.values()), "chosen": found.chosen,
        "grid": [{key: value for key, value in row.items() if key != "seconds"} for row in found.grid]}


def in_memory(split: Split, cells: int) -> tuple[Images, Labels]:
    """Images (n, H, W, 3) and labels (n, T) of the first parts of a split, until they have that many characters."""
    images: list[Images] = []
    labels: list[Labels] = []
    longest = max(part.labels.shape[1] for part in split.parts)
    for part in split.parts:
        if len(part.labels):
            images.append(part.images())
            labels.append(np.pad(part.labels, ((0, 0), (0, longest - part.labels.shape[1]))))
        if sum(int((found > 0).sum()) for found in labels) >= cells:
            break
    if not images:
        raise ValueError("no captchas to learn from: check train_on and noise")
    return np.concatenate(images), np.concatenate(labels)


def calibrated(network: nn.Module, validation: Split, precision: str, device: torch.device) -> float:
    """The temperature at which the confidences on the validation captchas are what they say."""
    recogniser = Recogniser(network, precision=precision, device=device)
    logits = np.concatenate([recogniser.logits(part.images()) for part in validation.parts if len(part.labels)])
    longest = max(part.labels.shape[1] for part in validation.parts)
    labels = np.concatenate([np.pad(part.labels, ((0, 0), (0, longest - part.labels.shape[1])))
                             for part in validation.parts if len(part.labels)])
    found = artifacts.rounded(temperature_of(logits, labels, ctc=isinstance(network, Ctc)))
    progress(f"temperature {found:.2f} calibrates the confidences on the validation captchas")
    return float(found)


def resumed(scratch: Path) -> State | None:
    """The state of an interrupted training of the same key and precision, if there is one that can be read."""
    content = reader_files.read_checkpoint(scratch)
    if content is None:
        key, _, precision = scratch.name.rpartition("-")
        for other in sorted(scratch.parent.glob(f"{key}-*/checkpoint")):
            if other.parent != scratch:  # as it is where CAPTCHA_FRESH=1
                progress(f"{other} was trained in {other.parent.name.rpartition('-')[2]}, and this training is in "
                         f"{precision}: starting anew")
        return None
    try:
        state = State.from_bytes(content)
    except ValueError as error:
        progress(f"{scratch}: {error}: starting anew")
        return None
    progress(f"going on after epoch {len(state.history)} of an interrupted training ({scratch})")
    return state


def write_results(name: str, description: Description, fitted: Fitted, denoiser: dict[str, Tensor],
                  record: dict[str, Any]) -> None:
    """Nothing here depends on time, so that equal trainings give equal bytes."""
    best = {key: artifacts.rounded(value) for key, value in asdict(fitted.best).items()}
    training = {"epochs": len(fitted.history), "best_epoch": best["epoch"], "best": best,
                **artifacts.rounded(record)}
    reader_files.write_reader(artifacts.READERS / name, description, fitted.weights | denoiser, training)
    artifacts.write_metrics(artifacts.PLOTS / "train" / f"{name}.json", {
        "validation_character_accuracy": best["validation_character_accuracy"],
        "validation_exact_match": best["validation_exact_match"], "validation_loss": best["validation_loss"],
        "epochs": len(fitted.history), "best_epoch": best["epoch"], "weights": record["weights"],
        "temperature": description.temperature, "arithmetic": record["arithmetic"]})
    artifacts.write_text(artifacts.PLOTS / "train" / f"{name}.csv", curve(fitted.history))


def curve(history: list[Epoch]) -> str:
    """The learning curve as CSV, one row an epoch."""
    rows = [asdict(epoch) for epoch in history]
    lines = [",".join(rows[0]), *(",".join(str(artifacts.rounded(value)) for value in row.values()) for row in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    # Before CUDA starts: cuBLAS is deterministic only with a fixed workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    run(main)
