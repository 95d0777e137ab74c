"""Captchas of a setting. The same setting gives the same bytes; a higher level strengthens the same noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.captcha import measures
from stages.captcha.colour import draw_colours, paint
from stages.captcha.composition import Layout, compose
from stages.captcha.design import stream
from stages.captcha.folding import Folding, fold
from stages.captcha.glyphs import GlyphSet
from stages.captcha.noise import apply
from stages.lab.errors import RefusedError
from stages.params import GlyphParams, read
from stages.reader.batches import Images
from stages.sources.fonts import faces_for
from stages.sources.glyph_sources import BUILT_IN, DOWNLOADS, load_glyphs

DIGITS = "0123456789"
SOURCES = ("study", *BUILT_IN)


@dataclass(frozen=True)
class NoiseSetting:
    type: str
    level: float


@dataclass(frozen=True)
class Setting:
    """A requested captcha. `text` is "" if it is to be drawn."""

    text: str
    length: int
    source: str
    alphabet: str  # of fonts; the other sources have a fixed alphabet
    noises: tuple[NoiseSetting, ...]
    scheme: str
    per_character: bool
    contrast: float
    layout: Layout
    seed: int


@dataclass(frozen=True, eq=False)
class Script:
    """The glyphs of a source, and which characters count as one."""

    glyphs: GlyphSet
    pools: dict[
        str, NDArray[np.int64]
    ]  # test glyph ids per character: no reader of the study was trained on them
    folding: Folding


def script_of(source: str, alphabet: str) -> Script:
    """The glyphs of the study's source, of digits or of fonts. Raises ValueError if they cannot be loaded."""
    try:
        return _script(
            source, alphabet if source == "fonts" else "", Path("params.yaml").stat().st_mtime_ns
        )
    except FileNotFoundError:
        raise RefusedError(
            "params.yaml: expected it in the folder that the lab was started in: start it from the root "
            "of the repository"
        ) from None


@lru_cache(maxsize=4)  # many characters of fonts take tens of MB and seconds
def _script(source: str, alphabet: str, stamp: int) -> Script:
    params = read("seed", "glyphs", "captcha")
    glyphs = params.glyphs
    captcha = params.captcha
    rng = stream(
        params.seed, "pools"
    )  # the study's own stream, so that the test glyphs are the same
    if source == "study":
        found = study_glyphs(glyphs, rng=rng)
        folding = fold(glyphs.alphabet, captcha.fold, captcha.case)
    else:
        found = load_glyphs(
            source,
            "",
            alphabet=alphabet or DIGITS,
            emnist_split="balanced",
            validation=glyphs.validation,
            test=glyphs.test,
            rng=rng,
        )
        folding = fold(found.alphabet, "", "keep")
    return Script(found, found.pool_of("test"), folding)


def study_glyphs(glyphs: GlyphParams, *, rng: np.random.Generator) -> GlyphSet:
    """The glyphs of the study, from this machine only: with an empty path, the stage would download them."""
    path = glyphs.path or (str(DOWNLOADS) if glyphs.source in ("mnist", "emnist") else "")
    return load_glyphs(
        glyphs.source,
        path,
        alphabet=glyphs.alphabet,
        emnist_split=glyphs.emnist_split,
        validation=glyphs.validation,
        test=glyphs.test,
        rng=rng,
    )


def sources_here() -> list[str]:
    """The sources with glyphs on this machine."""
    found = []
    for source in SOURCES:
        try:
            faces_for(DIGITS) if source == "fonts" else script_of(source, DIGITS)
        except (ValueError, ImportError):
            continue
        found.append(source)
    return found


def draw_setting_texts(setting: Setting, n: int, *identity: str | int) -> list[str]:
    """n texts: the setting's, or drawn ones. Raises RefusedError on a character without glyphs."""
    alphabet = script_of(setting.source, setting.alphabet).glyphs.alphabet
    if not setting.text:
        drawn = stream(setting.seed, "lab", "texts", *identity).integers(
            len(alphabet), size=(n, setting.length)
        )
        return ["".join(alphabet[i] for i in row) for row in drawn]
    lacking = [character for character in setting.text if character not in alphabet]
    if lacking:
        raise RefusedError(
            f"text: {lacking[0]!r} is not in the alphabet {alphabet}: type others, or choose another "
            "source or alphabet"
        )
    return [setting.text] * n


def draw_glyph_ids(setting: Setting, texts: Sequence[str], *identity: str | int) -> list[list[int]]:
    """The glyph id of every character of the texts; the same for the same identity."""
    pools = script_of(setting.source, setting.alphabet).pools
    rng = stream(setting.seed, "lab", "glyphs", *identity)
    return [[int(rng.choice(pools[character])) for character in text] for text in texts]


def composed(setting: Setting, texts: Sequence[str], *identity: str | int) -> Images:
    """Clean captchas (n, H, W, 3) of the texts, each with its own glyphs, layout and colours.

    Raises RefusedError if a text does not fit the canvas.
    """
    script = script_of(setting.source, setting.alphabet)
    ids = draw_glyph_ids(setting, texts, *identity)
    try:
        bases = compose(
            np.arange(len(texts), dtype=np.int32),
            list(texts),
            ids,
            script.glyphs.images,
            setting.layout,
            rng=stream(setting.seed, "lab", "layout", *identity),
        )
    except ValueError as error:
        raise RefusedError(
            str(error).replace("captcha.", "")
        ) from None  # the page has no such section
    colours = draw_colours(
        [setting.scheme] * len(texts),
        [len(text) for text in texts],
        per_character=setting.per_character,
        least_contrast=setting.contrast,
        rng=stream(setting.seed, "lab", "colour", *identity),
    )
    return paint(bases, colours)


def noisy(
    images: Images, noises: Sequence[NoiseSetting], seed: int, *identity: str | int
) -> Images:
    """The images under each noise in turn. The random numbers of a noise depend on its type and on the number of its
    type before it, not on its level nor on noises of other types."""
    before: Counter[str] = Counter()
    for noise in noises:
        rng = stream(seed, "lab", "noise", noise.type, before[noise.type], *identity)
        images = apply(noise.type, images, noise.level, rng=rng)
        before[noise.type] += 1
    return images


def change_maps(clean: Images, changed: Images) -> NDArray[np.float32]:
    """RMS change of luma (n,), full scale = 1."""
    return measures.rmse(measures.lumas(clean), measures.lumas(changed))
