"""The captcha bench: a composed or uploaded captcha, read by every reader, and the accuracy of each reader."""

from __future__ import annotations

import base64
import threading
import time
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from stages.captcha.colour import DRAWN
from stages.captcha.composition import Layout
from stages.captcha.noise import NOISES
from stages.grammar import one_of
from stages.lab.errors import RefusedError
from stages.lab.loaded_readers import Desk
from stages.lab.paint import reads_singly
from stages.lab.pictures import LIMIT, Gallery, read_upload
from stages.lab.rendered_captchas import (
    SOURCES,
    NoiseSetting,
    Setting,
    change_maps,
    composed,
    draw_glyph_ids,
    draw_setting_texts,
    noisy,
    script_of,
    sources_here,
)
from stages.params import read
from stages.reader.alignment import answers
from stages.reader.batches import Images
from stages.reader.decoding import Ints, encode, to_texts
from stages.reader.protocol import Reader
from stages.reader_files import Description
from stages.sources.labelled_captchas import to_canvas
from stages.statistics.proportions import clustered_proportion

LIMITS = {"/bench/upload": LIMIT}
SURE = 0.9  # minimum probability of a text at which a reader counts as sure
RENDERINGS_PER_RATE = 200  # renderings per rate
MOST = 12  # characters
PORTION = 50  # captchas that a reader reads per turn, while others wait
AT_ONCE = 2**21  # pixels under noise at once: noise needs 24 bytes or more per pixel
Bools = NDArray[np.bool_]


class NoiseAsked(BaseModel):
    type: str
    level: Annotated[float, Field(ge=0, le=1)]


class Asked(BaseModel):
    """A setting as the page sends it. Lengths in px, angles in degrees. `upload` is the name of an uploaded image; its
    true text is then `text` ("" if unknown)."""

    text: Annotated[str, Field(max_length=MOST)] = ""
    upload: Annotated[str, Field(max_length=40)] = ""
    length: Annotated[int, Field(ge=1, le=MOST)] = 4
    source: Annotated[str, one_of(SOURCES)] = "study"
    alphabet: Annotated[str, Field(min_length=2, max_length=100)] = "0123456789"
    noises: Annotated[list[NoiseAsked], Field(max_length=5)] = []
    scheme: Annotated[str, one_of(DRAWN)] = "black_on_white"
    per_character: bool = False
    contrast: Annotated[float, Field(ge=0.05, le=0.9)] = 0.4
    height: Annotated[int, Field(ge=16, le=256)] = 40
    width: Annotated[int, Field(ge=16, le=512)] = 128
    scale: Annotated[float, Field(ge=0.3, le=4)] = 1.15
    rotation: Annotated[float, Field(ge=0, le=180)] = 12.0
    shear: Annotated[float, Field(ge=0, le=1)] = 0.15
    gap: Annotated[int, Field(ge=-20, le=40)] = 5
    jitter: Annotated[float, Field(ge=0, le=40)] = 3.0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1

    def setting(self) -> Setting:
        """The setting to compose. Raises RefusedError on an unknown noise."""
        for noise in self.noises:
            if noise.type not in NOISES:
                raise RefusedError(
                    f"noises: {noise.type[:40]!r} does not exist: use one of {', '.join(NOISES)}"
                )
        layout = Layout(
            self.height,
            self.width,
            (self.length, self.length),
            (self.scale, self.scale),
            self.rotation,
            self.shear,
            (min(0, self.gap), self.gap),
            self.jitter,
            "canvas",
        )
        return Setting(
            unicodedata.normalize("NFC", self.text),
            self.length,
            self.source,
            self.alphabet,
            tuple(NoiseSetting(noise.type, noise.level) for noise in self.noises),
            self.scheme,
            self.per_character,
            self.contrast,
            layout,
            self.seed,
        )


@dataclass(frozen=True)
class Pile:
    """n captchas (n, H, W, 3) without and with noise, their texts as labels ("" if unknown), and their glyph ids (n, T)
    for the clusters; -1 if unknown."""

    clean: Images
    images: Images
    texts: list[str]
    glyphs: Ints


def routes(desk: Desk) -> APIRouter:
    router = APIRouter(prefix="/bench")
    gallery = Gallery()
    measuring = threading.Lock()  # one at a time: each may need hundreds of MB

    @router.get("/start")
    def start() -> dict[str, Any]:
        """The available choices, and the setting of the study."""
        return {
            "noises": list(NOISES),
            "schemes": list(DRAWN),
            "sources": sources_here(),
            "study": read("glyphs").glyphs.source,
            "setting": study_setting(),
            "renderings": RENDERINGS_PER_RATE,
        }

    @router.post("")
    def one(asked: Asked) -> dict[str, Any]:
        """The captcha, its changes, and the answer of every reader."""
        started = time.perf_counter()
        pile = pile_of(asked, gallery, 1, "shown")
        image = pile.images[0]
        text = pile.texts[0]
        return {
            "text": text,
            "height": image.shape[0],
            "width": image.shape[1],
            "pixels": base64.b64encode(np.ascontiguousarray(image).tobytes()).decode(),
            "change": round(float(change_maps(pile.clean, pile.images)[0]), 4),
            "readers": [read_one(desk, name, image, text) for name in desk.names()],
            "milliseconds": round((time.perf_counter() - started) * 1000, 1),
        }

    @router.post("/rates")
    def rates(asked: Asked) -> dict[str, Any]:
        """The accuracy of each reader at this setting, over fresh renderings."""
        started = time.perf_counter()
        if asked.upload and not (asked.text and any(noise.level > 0 for noise in asked.noises)):
            raise RefusedError(
                "upload: expected its text and a noise, to draw that anew; without one there is one "
                "picture to read: type the text, and add a noise"
            )
        with measuring:
            pile = pile_of(asked, gallery, RENDERINGS_PER_RATE, "fresh")
            rated = [rate(desk, name, pile) for name in desk.names()]
        return {
            "renderings": RENDERINGS_PER_RATE,
            "readers": rated,
            "milliseconds": round((time.perf_counter() - started) * 1000, 1),
        }

    @router.post("/upload")
    async def upload(request: Request) -> dict[str, Any]:
        """Take an image as the request's body; return its name for later requests."""
        content = await request.body()
        picture = await run_in_threadpool(read_upload, content, desk.home)
        return {
            "upload": gallery.add(picture),
            "height": picture.shape[0],
            "width": picture.shape[1],
        }

    return router


def study_setting() -> dict[str, Any]:
    """A setting in the middle of the study's ranges."""
    params = read("seed", "glyphs", "captcha", "colour", "noise")
    captcha = params.captcha
    colour = params.colour
    return Asked.model_validate(
        {
            "alphabet": params.glyphs.alphabet[:100],
            "noises": [{"type": params.noise.types[0], "level": round(params.noise.level / 2, 2)}],
            "scheme": next(
                (scheme for scheme in colour.schemes if scheme in DRAWN), next(iter(DRAWN))
            ),
            "per_character": colour.per == "character",
            "contrast": colour.contrast,
            **interval_of("length", captcha.length.max),
            **interval_of("height", captcha.height),
            **interval_of("width", captcha.width),
            **interval_of("scale", round((captcha.scale.min + captcha.scale.max) / 2, 3)),
            **interval_of("rotation", captcha.rotation),
            **interval_of("shear", captcha.shear),
            **interval_of("gap", captcha.gap.max),
            **interval_of("jitter", captcha.jitter),
            **interval_of("seed", params.seed),
        }
    ).model_dump()


def interval_of(name: str, value: float) -> dict[str, float]:
    """A field with a value of the study, clipped to the range of the bench."""
    low, high = Asked.model_fields[name].metadata
    return {name: min(max(value, low.ge), high.le)}


def pile_of(asked: Asked, gallery: Gallery, n: int, *identity: str) -> Pile:
    """n captchas of a setting. All share the text if one was typed, and the image if one was uploaded."""
    setting = asked.setting()
    folding = script_of(setting.source, setting.alphabet).folding
    picture = gallery.get(asked.upload) if asked.upload else None
    pixels = (
        setting.layout.height * setting.layout.width
        if picture is None
        else picture.shape[0] * picture.shape[1]
    )
    size = max(1, AT_ONCE // pixels)
    clean = []
    images = []
    texts = []
    glyphs = []
    for first in range(0, n, size):
        count = min(size, n - first)
        if picture is None:
            drawn = draw_setting_texts(setting, count, *identity, first)
            clean.append(composed(setting, drawn, *identity, first))
            glyphs += draw_glyph_ids(setting, drawn, *identity, first)
        else:
            drawn = [setting.text] * count
            clean.append(np.repeat(picture[None], count, axis=0))
            glyphs += [[-1]] * count
        texts += [folding.text(text) for text in drawn]
        images.append(noisy(clean[-1], setting.noises, setting.seed, *identity, first))
    return Pile(np.concatenate(clean), np.concatenate(images), texts, np.array(glyphs))


def read_one(desk: Desk, name: str, image: Images, truth: str) -> dict[str, Any]:
    """text, confidence, sure, right (None if unknown) and note of one reader, and the captchas it was made for.

    Only `note` if the reader cannot be asked, `error` if it cannot read.
    """
    answer: dict[str, Any] = {"name": name}
    try:
        reader, description = desk.load(name)
        answer |= made_for(description)
        if refusal := unfit(description, max(1, len(truth))):
            return answer | {"note": refusal}
        canvas, note = brought(image[None], description)
        with desk.reading:
            whole = reader.predict(canvas)
    except ValueError as error:
        return answer | {"error": str(error)}
    text = to_texts(whole.readings.labels, description.alphabet)[0]
    confidence = float(whole.probability[0])
    return answer | {
        "text": text,
        "confidence": round(confidence, 5),
        "sure": bool(text) and confidence >= SURE,
        "right": text == truth if truth else None,
        "note": "; ".join(filter(None, (note, unknown(description, truth)))),
    }


def rate(desk: Desk, name: str, pile: Pile) -> dict[str, Any]:
    """Exact match and character accuracy with 95 % intervals, clustered by captcha and glyph.

    For a setting with a single glyph, they hold for renderings of this glyph only.
    """
    answer: dict[str, Any] = {"name": name}
    try:
        reader, description = desk.load(name)
        if refusal := unfit(description, max(map(len, pile.texts))) or unknown(
            description, "".join(pile.texts)
        ):
            return answer | {"note": refusal}
        canvas, note = brought(pile.images, description)
        right, whole = judged(desk, reader, canvas, encode(pile.texts, description.alphabet))
    except ValueError as error:
        return answer | {"error": str(error)}
    captcha = np.arange(len(whole))
    share, low, high = clustered_proportion(whole, captcha, pile.glyphs)
    character, character_low, character_high = clustered_proportion(
        right.ravel(),
        np.repeat(captcha, right.shape[1]),
        np.broadcast_to(pile.glyphs, right.shape).ravel(),
    )
    return answer | {
        "whole": share,
        "low": low,
        "high": high,
        "character": character,
        "character_low": character_low,
        "character_high": character_high,
        "note": note,
    }


def judged(desk: Desk, reader: Reader, images: Images, labels: Ints) -> tuple[Bools, Bools]:
    """Whether each character (n, T), and each text (n,), was read right; labels (n, T) are not padded."""
    right = np.empty(labels.shape, bool)
    whole = np.empty(len(labels), bool)
    for first in range(0, len(labels), PORTION):
        part = slice(first, first + PORTION)
        with desk.reading:
            readings = reader.predict(images[part]).readings
        guess, _ = answers(labels[part], readings)
        right[part] = guess == labels[part]
        whole[part] = right[part].all(axis=1) & (readings.lengths == labels.shape[1])
        time.sleep(0)  # a request for the image on the page, waiting for the lock, goes first
    return right, whole


def made_for(description: Description) -> dict[str, Any]:
    """The captchas that a reader was made for; `positions` is None if it reads any length."""
    return {
        "height": description.height,
        "width": description.width,
        "alphabet": description.alphabet,
        "positions": None if description.any_length else description.positions,
    }


def unfit(description: Description, longest: int) -> str:
    """Why a reader cannot read texts of this length; "" if it can."""
    if reads_singly(description) and longest > 1:
        return "reads single characters only: not asked"
    if not description.any_length and longest > description.positions:
        return f"reads at most {description.positions} characters: not asked"
    return ""


def unknown(description: Description, text: str) -> str:
    """A note on characters of the text outside the reader's alphabet; "" if there are none."""
    lacking = sorted(set(text) - set(description.alphabet))
    return f"does not know {''.join(lacking)}: cannot be right" if lacking else ""


def brought(images: Images, description: Description) -> tuple[Images, str]:
    """The images on the reader's canvas, and a note if the size differs."""
    height = description.height
    width = description.width
    if images.shape[1:3] == (height, width):
        return images, ""
    return np.stack(
        [to_canvas(image, height, width) for image in images]
    ), f"brought to its {width} × {height} px"
