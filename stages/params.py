"""The grammar of params.yaml: typed, frozen, no defaults; one error names every bad key.

A parameter is a field here and a line of params.yaml. `reader_defaults` has the values that readers share; an entry of
`readers` has those that differ. The choices of a parameter are the keys of a registry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import ConfigDict, Field, with_config
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

import stages
from stages.captcha.colour import ORIGINAL, SCHEMES
from stages.captcha.folding import fold
from stages.captcha.measures import DOSE_VARIABLES
from stages.captcha.noise import NOISES
from stages.grammar import (
    Entries,
    Flag,
    Listed,
    Number,
    Text,
    Whole,
    complaint,
    one_of,
    validated,
    within,
)
from stages.reader.architectures import ARCHITECTURES, DENOISERS, OPTIMISERS
from stages.schemas.words import EXPLAIN_PARTS
from stages.sources.glyph_sources import SOURCES
from stages.sources.mnist import EMNIST_SPLITS

CLUSTERS = ("captcha", "glyph", "text", "condition", "noise", "colour", "digit", "reader", "run")
DEFAULTS = "reader_defaults"

Count = Annotated[Whole, within(1)]
Pixels = Annotated[Whole, within(8, 4096)]
Unit = Annotated[Number, within(0, 1)]


@dataclass(frozen=True)
class GlyphParams:
    source: Annotated[str, one_of(SOURCES)]
    path: Text
    emnist_split: Annotated[str, one_of(EMNIST_SPLITS)]
    alphabet: Annotated[Text, Field(min_length=2)]
    validation: Annotated[Number, within(0.01, 0.5)]
    test: Annotated[Number, within(0.01, 0.8)]


@dataclass(frozen=True)
class IntRange:
    min: Whole
    max: Whole


@dataclass(frozen=True)
class FloatRange:
    min: Number
    max: Number


@dataclass(frozen=True)
class Captcha:
    source: Literal["composed", "folder"]
    path: Text
    train: Count
    validation: Count
    test: Count
    captchas_per_part: Annotated[Whole, within(1, 100_000)]
    height: Pixels
    width: Pixels
    length: IntRange
    scale: FloatRange
    rotation: Annotated[Number, within(0, 180)]
    shear: Annotated[Number, within(0, 2)]
    gap: IntRange
    jitter: Annotated[Number, within(0)]
    fit: Literal["canvas", "stretch"]
    fold: Text  # groups of characters joined by +
    case: Literal["keep", "fold"]


@dataclass(frozen=True)
class ColourParams:
    schemes: Listed[Annotated[str, one_of(SCHEMES)]]
    per: Literal["captcha", "character"]
    contrast: Annotated[Number, within(0.05, 0.9)]


@dataclass(frozen=True)
class NoiseParams:
    level: Annotated[Number, within(0.01, 1)]
    steps: Annotated[Whole, within(1, 100)]
    types: Listed[Annotated[str, one_of(NOISES)]]
    unseen: Text  # noise types joined by +


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class ReaderParams:
    architecture: Annotated[str, one_of(ARCHITECTURES)]
    train_on: Literal["clean", "noisy", "both"]
    init: Text  # folder of the reader it starts from
    denoise: Annotated[str, one_of(DENOISERS)]
    fresh: Flag  # captchas drawn anew each epoch
    augment: Annotated[Number, within(0, 3)]
    optimiser: Annotated[str, one_of(OPTIMISERS)]
    channels: Annotated[Whole, within(4, 512)]
    epochs: Count
    patience: Count
    batch: Count
    learning_rate: Annotated[Number, within(1e-7, 1)]
    weight_decay: Unit
    precision: Literal["auto", "fp32", "bf16"]
    seed: Annotated[Whole, within(0, 1000)]
    device: Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class References:
    noise: Text
    colour: Text
    digit: Text
    position: Text
    reader: Text


@dataclass(frozen=True)
class RegressionParams:
    specifications: Entries[Text]
    checks: Entries[Text]
    headline: Text
    by_reader: Text
    dose: Annotated[str, one_of(DOSE_VARIABLES)]
    cluster: Text
    confidence: Annotated[Number, within(0.5, 0.999)]
    draws: Annotated[Whole, within(100, 100_000)]
    thresholds: Listed[Annotated[Number, within(0.01, 0.99)]]
    references: References


@dataclass(frozen=True)
class Explain:
    parts: Listed[Annotated[str, one_of(EXPLAIN_PARTS)]]
    reader: Text
    captchas: Count
    latent: Annotated[Whole, within(2, 64)]
    epochs: Count
    draws: Annotated[Whole, within(50, 100_000)]


@dataclass(frozen=True)
class Plot:
    reader: Text
    samples: Annotated[Whole, within(1, 40)]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Params:
    seed: Annotated[Whole, within(0, 2**31 - 1)]
    glyphs: GlyphParams
    captcha: Captcha
    colour: ColourParams
    noise: NoiseParams
    reader_defaults: Mapping[str, object]  # as params.yaml has them; `readers` are complete
    readers: Entries[ReaderParams]
    regression: RegressionParams
    explain: Explain
    plot: Plot


class Selected:
    """The sections that a stage declared. Any other raises AttributeError: DVC has to track what a stage reads."""

    def __init__(self, params: Params, sections: tuple[str, ...]) -> None:
        self._params = params
        self._sections = sections

    def __getattr__(self, section: str) -> object:
        needed = (section, DEFAULTS) if section == "readers" else (section,)
        for name in needed:
            if name not in self._sections:
                raise AttributeError(
                    f"parameter section {name!r} is not declared by this stage: add it to its "
                    f"`params` in dvc.yaml and to its read({', '.join(map(repr, self._sections))})"
                )
        return getattr(self._params, section)


def read(*sections: str, path: Path = Path("params.yaml")) -> Params:
    """The named sections of `path`, after a check of the whole file; access to any other section is refused.

    `readers` also need `reader_defaults`. Raises ValueError, one line, where the file is no YAML 1.2, or has unknown,
    missing or invalid keys (all are named).
    """
    refuse_foreign_code()
    return cast(Params, Selected(parse(load_yaml(path), str(path)), sections))


def refuse_foreign_code() -> None:
    """Raise ValueError where `stages` is imported from another folder: DVC would record other code than is run."""
    home = Path(stages.__file__).resolve().parents[1]
    if home != Path.cwd().resolve():
        raise ValueError(
            f"stages is imported from {home}, but this study is in {Path.cwd()}: run from the root of "
            "the repository, and do not install the project (pip uninstall captcha-noise-study)"
        )


def load_yaml(path: Path) -> object:
    """The plain values of a YAML 1.2 file (1e-3 is a number, yes is a text). Raises ValueError, one line."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: run from the root of the repository") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise ValueError(f"{where}: not YAML: {error.problem}") from None


def parse(tree: object, where: str = "params.yaml") -> Params:
    """The parameters of a tree of plain values. Raises ValueError, one line, that names every invalid key."""
    params, complaints = _checked(tree)
    if params is not None and not complaints:
        complaints = list(_contradictions(params))
    if params is None or complaints:
        raise ValueError(f"{where}: " + "; ".join(complaints))
    return params


def _checked(tree: object) -> tuple[Params | None, list[str]]:
    """The parameters, and what is wrong with each key; a bad default is reported once, not for every entry."""
    defaults: Mapping[object, object] = {}
    match tree:
        case {"reader_defaults": {**defaults}, "readers": {**entries}, **others}:
            completed = {str(name): _over(defaults, entry) for name, entry in entries.items()}
            tree = {**others, DEFAULTS: defaults, "readers": completed}
    _, partial = validated(ReaderParams, defaults)
    of_defaults = [error for error in partial if error["type"] != "missing"]
    known = [(error["loc"], error["type"], error["input"]) for error in of_defaults]
    params, errors = validated(Params, tree)
    remaining = [
        error for error in errors if (error["loc"][2:], error["type"], error["input"]) not in known
    ]
    if (DEFAULTS,) in {error["loc"] for error in errors}:  # every entry would lack every default
        remaining = [error for error in remaining if not _lacks_key_of_reader(error)]
    complaints = [complaint(error, ReaderParams, DEFAULTS) for error in of_defaults]
    if (
        "init" in defaults
    ):  # dvc.yaml has ${item.init}, and DVC reads entries without their defaults
        complaints.append(f"{DEFAULTS}.init: not shared: name it in each entry of readers")
    return params, complaints + [complaint(error, Params) for error in remaining]


def _lacks_key_of_reader(error: ErrorDetails) -> bool:
    return error["type"] == "missing" and error["loc"][0] == "readers"


def _over(defaults: Mapping[object, object], entry: object) -> object:
    """An entry of `readers`, completed by the defaults."""
    match entry:
        case {**own}:
            return {**defaults, **own}
    return entry


def unseen_noises(noise: NoiseParams) -> tuple[str, ...]:
    """The noise types that no reader trains on."""
    return tuple(name.strip() for name in noise.unseen.split("+") if name.strip())


def runs_of(readers: Mapping[str, ReaderParams]) -> dict[str, list[str]]:
    """The training runs of each reader, by the name of the first: entries that are equal except for `seed`."""
    same: dict[ReaderParams, list[str]] = {}
    for name, reader in readers.items():
        same.setdefault(replace(reader, seed=0), []).append(name)
    return {names[0]: names for names in same.values()}


def _contradictions(params: Params) -> Iterator[str]:
    """Contradictions between keys whose values are each valid."""
    captcha = params.captcha
    glyphs = params.glyphs
    for name in ("length", "scale", "gap"):
        span = getattr(captcha, name)
        if span.min > span.max:
            yield f"captcha.{name}: min {span.min:g} is above max {span.max:g}"
    if captcha.length.min < 1:
        yield f"captcha.length.min: expected at least 1, got {captcha.length.min}"
    if captcha.scale.min <= 0:
        yield f"captcha.scale.min: expected more than 0, got {captcha.scale.min:g}"
    if glyphs.validation + glyphs.test >= 1:
        yield f"glyphs: validation {glyphs.validation:g} and test {glyphs.test:g} leave nothing to train on"
    for key, characters in (
        ("glyphs.alphabet", glyphs.alphabet),
        ("colour.schemes", params.colour.schemes),
        ("noise.types", params.noise.types),
        ("explain.parts", params.explain.parts),
    ):
        if len(set(characters)) < len(characters):
            yield f"{key}: has an entry twice"
    if not set(unseen_noises(params.noise)) < set(params.noise.types):
        yield f"noise.unseen: expected some of noise.types, joined by +, and not all, got {params.noise.unseen!r}"
    yield from _folding_contradictions(params)
    if captcha.source == "composed" and ORIGINAL in params.colour.schemes:
        yield "colour.schemes: original is for captcha.source folder only"
    for section, name in (("explain", params.explain.reader), ("plot", params.plot.reader)):
        if name not in params.readers:
            yield f"{section}.reader: expected one of {', '.join(params.readers)}, got {name!r}"
    if params.regression.references.reader not in params.readers:
        yield (
            f"regression.references.reader: expected one of {', '.join(params.readers)}, "
            f"got {params.regression.references.reader!r}"
        )
    yield from _regression_contradictions(params.regression)
    yield from _run_contradictions(params)
    for name in params.readers:
        if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
            yield f"readers.{name}: a name has ASCII letters, digits, - and _ only"


def _folding_contradictions(params: Params) -> Iterator[str]:
    try:
        folding = fold(params.glyphs.alphabet, params.captcha.fold, params.captcha.case)
    except ValueError as error:
        yield str(error)
        return
    digit = params.regression.references.digit
    if digit in folding.drawn and folding.text(digit) != digit:
        yield (
            f"regression.references.digit: {digit!r} counts as {folding.text(digit)!r} by captcha.fold and "
            "captcha.case: name that one"
        )


def _regression_contradictions(regression: RegressionParams) -> Iterator[str]:
    for key in ("headline", "by_reader"):
        if getattr(regression, key) not in regression.specifications:
            yield (
                f"regression.{key}: expected one of regression.specifications ("
                f"{', '.join(regression.specifications)}), got {getattr(regression, key)!r}"
            )
    for name in regression.checks:
        if name in regression.specifications:
            yield f"regression.checks.{name}: this name is in regression.specifications, too: choose another"
    ways = cluster_ways(regression.cluster)
    other = [way for way in ways[:-1] if way == "run"] if len(ways) > 1 else []
    most = 3 if ways[-1] == "run" else 2
    if len(ways) > most or len(set(ways)) < len(ways) or other or not set(ways) <= set(CLUSTERS):
        yield (
            f"regression.cluster: expected one of {', '.join(CLUSTERS)}, or two of them as captcha+glyph, and +run "
            f"at the end where training runs vary, too, got {regression.cluster!r}"
        )
    if len(set(regression.thresholds)) < len(regression.thresholds):
        yield "regression.thresholds: has an entry twice"


def cluster_ways(cluster: str) -> list[str]:
    """The dimensions of clustering that `regression.cluster` names."""
    return [way.strip() for way in cluster.split("+")]


def _run_contradictions(params: Params) -> Iterator[str]:
    """Contradictions of training runs: equal seeds, too few runs, a run as the reference."""
    for reader, runs in runs_of(params.readers).items():
        seeds: dict[int, str] = {}
        for run in runs:
            first = seeds.setdefault(params.readers[run].seed, run)
            if first != run:
                yield f"readers.{run}: is readers.{first} again, seed included: change its seed, or remove it"
        if len(runs) == 1 and "run" in cluster_ways(params.regression.cluster):
            yield (
                f"regression.cluster: {params.regression.cluster!r} needs two training runs of each reader at "
                f"least, and {reader} has one: add runs that differ in seed, as experiments/runs.py does"
            )
        if params.regression.references.reader in runs[1:]:
            yield (
                f"regression.references.reader: {params.regression.references.reader!r} is a training run of "
                f"{reader!r}: name that one"
            )
