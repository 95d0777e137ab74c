"""The grammar of params.yaml: typed, frozen, no defaults; one error names every bad key."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin, get_type_hints

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

import stages
from stages.captcha.folding import fold


@dataclass(frozen=True)
class Within:
    """A closed range that a number, or the length of a list or text, must lie in."""

    low: float
    high: float = math.inf

    def refuses(self, value: object) -> str | None:
        """What was expected, or None where `value` lies in the range."""
        size = len(value) if isinstance(value, (str, list, tuple)) else value
        if isinstance(size, (int, float)) and self.low <= size <= self.high:
            return None
        unit = " entries" if isinstance(value, (str, list, tuple)) else ""
        return f"at least {self.low:g}{unit}" if self.high == math.inf else f"{self.low:g} to {self.high:g}{unit}"


Source = Literal["digits", "mnist", "emnist", "csv", "folder", "fonts"]
EmnistSplit = Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"]
Scheme = Literal["black_on_white", "white_on_black", "grey", "colour", "original"]
NoiseType = Literal[
    "gaussian", "gaussian_rgb", "uniform", "salt_and_pepper", "shot", "speckle",
    "gaussian_blur", "motion_blur", "pixelate", "jpeg",
    "contrast", "brightness", "fog",
    "rotation", "translation", "zoom", "shear", "elastic",
    "occlusion", "lines", "curves", "dots",
    "impulse", "gaussian_hit",
]  # fmt: skip
Architecture = Literal[
    "ctc", "compact", "heads", "dense",
    "logistic", "knn", "svm", "mlp",
    "themlaw", "kaggle", "ukrainian", "essmaw_dense", "essmaw_small", "essmaw_large",
    "tesseract",
]  # fmt: skip
ExplainPart = Literal["saliency", "reader_space", "characters", "autoencoders", "unseen"]
CLUSTERS = ("captcha", "glyph", "text", "condition", "noise", "colour", "digit", "reader", "run")

Count = Annotated[int, Within(1)]
Pixels = Annotated[int, Within(8, 4096)]
Unit = Annotated[float, Within(0, 1)]
NonNegative = Annotated[float, Within(0)]


@dataclass(frozen=True)
class Glyphs:
    source: Source
    path: str
    emnist_split: EmnistSplit
    alphabet: Annotated[str, Within(2)]
    validation: Annotated[float, Within(0.01, 0.5)]
    test: Annotated[float, Within(0.01, 0.8)]


@dataclass(frozen=True)
class IntRange:
    min: int
    max: int


@dataclass(frozen=True)
class FloatRange:
    min: float
    max: float


@dataclass(frozen=True)
class Captcha:
    source: Literal["composed", "folder"]
    path: str
    train: Count
    validation: Count
    test: Count
    part: Annotated[int, Within(1, 100_000)]
    height: Pixels
    width: Pixels
    length: IntRange
    scale: FloatRange
    rotation: Annotated[float, Within(0, 180)]
    shear: Annotated[float, Within(0, 2)]
    gap: IntRange
    jitter: NonNegative
    fit: Literal["canvas", "stretch"]
    fold: str  # groups of characters joined by +
    case: Literal["keep", "fold"]


@dataclass(frozen=True)
class Colour:
    schemes: Annotated[tuple[Scheme, ...], Within(1)]
    per: Literal["captcha", "character"]
    contrast: Annotated[float, Within(0.05, 0.9)]


@dataclass(frozen=True)
class Noise:
    level: Annotated[float, Within(0.01, 1)]
    steps: Annotated[int, Within(1, 100)]
    types: Annotated[tuple[NoiseType, ...], Within(1)]
    unseen: str  # noise types joined by +


@dataclass(frozen=True)
class Reader:
    architecture: Architecture
    learns_from: Literal["clean", "noisy", "both"]
    init: str  # folder of the reader it starts from
    denoise: Literal["none", "median", "pca", "nlm", "bilateral", "learned"]
    fresh: bool  # captchas drawn anew each epoch
    augment: Annotated[float, Within(0, 3)]
    optimiser: Literal["adamw", "muon"]
    channels: Annotated[int, Within(4, 512)]
    epochs: Count
    patience: Count
    batch: Count
    learning_rate: Annotated[float, Within(1e-7, 1)]
    weight_decay: Unit
    precision: Literal["auto", "fp32", "bf16"]
    seed: Annotated[int, Within(0, 1000)]
    device: Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class References:
    noise: str
    colour: str
    digit: str
    position: str
    reader: str


@dataclass(frozen=True)
class Regression:
    specifications: Mapping[str, str]
    checks: Mapping[str, str]
    headline: str
    by_reader: str
    dose: Literal["level", "rmse", "ssim_loss"]
    cluster: str
    confidence: Annotated[float, Within(0.5, 0.999)]
    draws: Annotated[int, Within(100, 100_000)]
    thresholds: Annotated[tuple[Annotated[float, Within(0.01, 0.99)], ...], Within(1)]
    references: References


@dataclass(frozen=True)
class Explain:
    parts: Annotated[tuple[ExplainPart, ...], Within(1)]
    reader: str
    captchas: Count
    latent: Annotated[int, Within(2, 64)]
    epochs: Count
    draws: Annotated[int, Within(50, 100_000)]


@dataclass(frozen=True)
class Plot:
    reader: str
    samples: Annotated[int, Within(1, 40)]


@dataclass(frozen=True)
class Params:
    seed: Annotated[int, Within(0, 2**31 - 1)]
    glyphs: Glyphs
    captcha: Captcha
    colour: Colour
    noise: Noise
    readers: Mapping[str, Reader]
    regression: Regression
    explain: Explain
    plot: Plot


class Selected:
    """The sections of the parameters that a stage declared; any other is refused, so that DVC tracks what it reads."""

    def __init__(self, params: Params, sections: tuple[str, ...]) -> None:
        self._params = params
        self._sections = sections

    def __getattr__(self, section: str) -> Any:
        if section not in self._sections:
            raise AttributeError(f"parameter section {section!r} is not declared by this stage: add it to its "
                                 f"`params` in dvc.yaml and to its read({', '.join(map(repr, self._sections))})")
        return getattr(self._params, section)


def read(*sections: str, path: Path = Path("params.yaml")) -> Params:
    """The named sections of `path`, after the whole file was checked.

    Raises ValueError, one line, on a file that is no YAML 1.2 or has unknown, missing or bad keys (all are named).
    """
    refuse_foreign_code()
    return cast(Params, Selected(parse(load(path), str(path)), sections))


def refuse_foreign_code() -> None:
    """Stop where `stages` comes from another folder than this one: an installed copy would run other code than DVC
    records for an experiment."""
    home = Path(stages.__file__).resolve().parents[1]
    if home != Path.cwd().resolve():
        raise ValueError(f"stages is imported from {home}, but this study is in {Path.cwd()}: run from the root of "
                         "the repository, and do not install the project (pip uninstall captcha-noise-study)")


def load(path: Path) -> object:
    """Plain values of a YAML 1.2 file (1e-3 is a number, yes is a word)."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: run from the root of the repository") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise ValueError(f"{where}: not YAML: {error.problem}") from None


def parse(tree: object, where: str = "params.yaml") -> Params:
    """Check a tree of plain values against the grammar. Raises ValueError that names every bad key."""
    errors: list[str] = []
    params = _build(Params, tree, "", errors)
    if not errors:
        errors.extend(_contradictions(params))
    if errors:
        raise ValueError(f"{where}: " + "; ".join(errors))
    return params  # type: ignore[no-any-return]


def _build(kind: Any, value: object, key: str, errors: list[str]) -> Any:
    """`value` as `kind`; what does not fit is appended to `errors` and comes back as None."""
    if is_dataclass(kind):
        return _build_section(kind, value, key, errors)
    origin = get_origin(kind)
    if origin is Annotated:
        base, *rules = get_args(kind)
        return _build_within(base, rules, value, key, errors)
    if origin is Literal:
        return _expect(isinstance(value, str) and value in get_args(kind), value, key,
                       "one of " + ", ".join(get_args(kind)), errors)
    if origin is tuple:
        return _build_list(get_args(kind)[0], value, key, errors)
    if origin is not None and issubclass(origin, Mapping):
        return _build_mapping(get_args(kind)[1], value, key, errors)
    if kind is bool:
        return _expect(isinstance(value, bool), value, key, "true or false", errors)
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if _expect(number, value, key, "a number", errors) is not None else None  # type: ignore[arg-type]
    if kind is int:
        return _expect(isinstance(value, int) and not isinstance(value, bool), value, key, "a whole number", errors)
    return _expect(isinstance(value, str), value, key, "a text (in quotes)", errors)


def _expect(fits: bool, value: object, key: str, expected: str, errors: list[str]) -> Any:
    if fits:
        return value
    errors.append(f"{key}: expected {expected}, got {value!r}")
    return None


def _build_within(base: Any, rules: list[Any], value: object, key: str, errors: list[str]) -> Any:
    before = len(errors)
    built = _build(base, value, key, errors)
    if len(errors) == before:
        for rule in rules:
            if (expected := rule.refuses(built)) is not None:
                errors.append(f"{key}: expected {expected}, got {value!r}")
    return built


def _build_list(kind: Any, value: object, key: str, errors: list[str]) -> Any:
    if _expect(isinstance(value, list), value, key, "a list", errors) is None:
        return None
    entries: list[object] = value  # type: ignore[assignment]
    return tuple(_build(kind, entry, f"{key}.{i}", errors) for i, entry in enumerate(entries))


def _build_mapping(kind: Any, value: object, key: str, errors: list[str]) -> Any:
    if _expect(isinstance(value, dict) and bool(value), value, key, "a map with at least one entry", errors) is None:
        return None
    entries: dict[str, object] = value  # type: ignore[assignment]
    return types.MappingProxyType({str(name): _build(kind, entry, f"{key}.{name}", errors)
                                   for name, entry in entries.items()})


def _build_section(kind: Any, value: object, key: str, errors: list[str]) -> Any:
    if _expect(isinstance(value, dict), value, key or "the file", "a map of parameters", errors) is None:
        return None
    tree: dict[str, object] = value  # type: ignore[assignment]
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    prefix = f"{key}." if key else ""
    errors.extend(f"{prefix}{name}: unknown (known: {', '.join(names)})" for name in tree if name not in names)
    errors.extend(f"{prefix}{name}: missing" for name in names if name not in tree)
    return kind(**{name: _build(hints[name], tree[name], prefix + name, errors) if name in tree else None
                   for name in names})


def unseen(noise: Noise) -> tuple[str, ...]:
    """The noise types that no reader trains on."""
    return tuple(name.strip() for name in noise.unseen.split("+") if name.strip())


def runs_of(readers: Mapping[str, Reader]) -> dict[str, list[str]]:
    """The entries that are training runs of one reader, alike but for `seed`, by the name of the first of them."""
    alike: dict[Reader, list[str]] = {}
    for name, reader in readers.items():
        alike.setdefault(replace(reader, seed=0), []).append(name)
    return {names[0]: names for names in alike.values()}


def _contradictions(params: Params) -> Iterator[str]:
    """What is wrong between keys that are each right."""
    captcha, glyphs = params.captcha, params.glyphs
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
    for key, characters in (("glyphs.alphabet", glyphs.alphabet), ("colour.schemes", params.colour.schemes),
                            ("noise.types", params.noise.types), ("explain.parts", params.explain.parts)):
        if len(set(characters)) < len(characters):
            yield f"{key}: has an entry twice"
    if not set(unseen(params.noise)) < set(params.noise.types):
        yield f"noise.unseen: expected some of noise.types, joined by +, and not all, got {params.noise.unseen!r}"
    yield from _folding_contradictions(params)
    if captcha.source == "composed" and "original" in params.colour.schemes:
        yield "colour.schemes: original is for captcha.source folder only"
    for section, name in (("explain", params.explain.reader), ("plot", params.plot.reader)):
        if name not in params.readers:
            yield f"{section}.reader: expected one of {', '.join(params.readers)}, got {name!r}"
    if params.regression.references.reader not in params.readers:
        yield (f"regression.references.reader: expected one of {', '.join(params.readers)}, "
               f"got {params.regression.references.reader!r}")
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
        yield (f"regression.references.digit: {digit!r} counts as {folding.text(digit)!r} by captcha.fold and "
               "captcha.case: name that one")


def _regression_contradictions(regression: Regression) -> Iterator[str]:
    for key in ("headline", "by_reader"):
        if getattr(regression, key) not in regression.specifications:
            yield (f"regression.{key}: expected one of regression.specifications ("
                   f"{', '.join(regression.specifications)}), got {getattr(regression, key)!r}")
    for name in regression.checks:
        if name in regression.specifications:
            yield f"regression.checks.{name}: this name is in regression.specifications, too: choose another"
    ways = cluster_ways(regression.cluster)
    other = [way for way in ways[:-1] if way == "run"] if len(ways) > 1 else []
    most = 3 if ways[-1] == "run" else 2
    if len(ways) > most or len(set(ways)) < len(ways) or other or not set(ways) <= set(CLUSTERS):
        yield (f"regression.cluster: expected one of {', '.join(CLUSTERS)}, or two of them as captcha+glyph, and +run "
               f"at the end where training runs vary, too, got {regression.cluster!r}")
    if len(set(regression.thresholds)) < len(regression.thresholds):
        yield "regression.thresholds: has an entry twice"


def cluster_ways(cluster: str) -> list[str]:
    """The ways of clustering that `regression.cluster` names."""
    return [way.strip() for way in cluster.split("+")]


def _run_contradictions(params: Params) -> Iterator[str]:
    """Of entries that are training runs of one reader."""
    for reader, runs in runs_of(params.readers).items():
        seeds: dict[int, str] = {}
        for run in runs:
            first = seeds.setdefault(params.readers[run].seed, run)
            if first != run:
                yield f"readers.{run}: is readers.{first} again, seed included: change its seed, or remove it"
        if len(runs) == 1 and "run" in cluster_ways(params.regression.cluster):
            yield (f"regression.cluster: {params.regression.cluster!r} needs two training runs of each reader at "
                   f"least, and {reader} has one: add runs that differ in seed, as experiments/runs.py does")
        if params.regression.references.reader in runs[1:]:
            yield (f"regression.references.reader: {params.regression.references.reader!r} is a training run of "
                   f"{reader!r}: name that one")
