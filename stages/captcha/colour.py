"""Colour schemes: draw foreground and background colours per captcha, and paint them through the ink."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stages.captcha.composition import Bases

Images = NDArray[np.uint8]  # (n, H, W, 3), 0 black to 255 white
Floats = NDArray[np.float64]
Drawn = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # foreground (T, 3) and background (3,)

LUMA = np.array([0.299, 0.587, 0.114])  # of R, G and B, ITU-R BT.601, what Pillow calls L
ORIGINAL = "original"  # the scheme of captchas that were found: they keep their colours


class Scheme(Protocol):
    """Draws the colours of one captcha of `length` characters."""

    def __call__(
        self, length: int, *, per_character: bool, least_contrast: float, rng: np.random.Generator
    ) -> Drawn: ...


@dataclass(frozen=True)
class Colours:
    """Colours of n captchas of T characters each, 0 to 255. `scheme` is the name of the colour scheme per captcha."""

    scheme: list[str]  # (n,)
    foreground: list[NDArray[np.uint8]]  # each (T, 3); (0, 3) for "original"
    background: NDArray[np.uint8]  # (n, 3)

    def contrast(self) -> Floats:
        """Luminance contrast (n,): luma of the foreground, mean over characters, less the background's; -1 to 1."""
        return np.array(
            [
                luma(foreground).mean() - luma(background) if len(foreground) else np.nan
                for foreground, background in zip(self.foreground, self.background, strict=True)
            ]
        )


def luma(colour: NDArray[np.uint8]) -> Floats:
    """Luma (...,) of RGB colours (..., 3), 0 black to 1 white."""
    weighted: Floats = np.asarray(colour, np.float64) @ LUMA / 255
    return weighted


def hexadecimal(colour: NDArray[np.uint8]) -> str:
    return "#" + bytes(colour.tolist()).hex()


def hue_saturation(colour: NDArray[np.uint8]) -> tuple[float, float]:
    """Hue in degrees (0 where grey) and saturation, 0 to 1, of one RGB colour, after the HSV hexcone (Smith, 1978)."""
    return _hue_saturation(*colour.tolist())


@lru_cache(maxsize=256)  # the characters of a captcha usually share one
def _hue_saturation(red: int, green: int, blue: int) -> tuple[float, float]:
    hue, saturation, _ = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    return hue * 360, saturation


def draw_colours(
    schemes: list[str],
    lengths: list[int],
    *,
    per_character: bool,
    least_contrast: float,
    rng: np.random.Generator,
) -> Colours:
    """Draw the colours of n captchas by scheme. `least_contrast` (full scale = 1) bounds grey and colour below.

    The luma of each character differs from that of the background by at least `least_contrast`. All characters of a
    captcha lie on the same side of the background. Hue and saturation are uniform where the luma allows them.
    """
    unknown = next((scheme for scheme in schemes if scheme not in DRAWN), None)
    if unknown is not None:
        raise ValueError(
            f"colour scheme {unknown!r} does not exist: choose from {', '.join(DRAWN)}"
        )
    drawn = [
        DRAWN[scheme](length, per_character=per_character, least_contrast=least_contrast, rng=rng)
        for scheme, length in zip(schemes, lengths, strict=True)
    ]
    return Colours(
        schemes,
        [foreground for foreground, _ in drawn],
        np.array([background for _, background in drawn]),
    )


def _black_on_white(
    length: int, *, per_character: bool, least_contrast: float, rng: np.random.Generator
) -> Drawn:
    return np.full((length, 3), 0, np.uint8), np.full(3, 255, np.uint8)


def _white_on_black(
    length: int, *, per_character: bool, least_contrast: float, rng: np.random.Generator
) -> Drawn:
    return np.full((length, 3), 255, np.uint8), np.full(3, 0, np.uint8)


def _grey(
    length: int, *, per_character: bool, least_contrast: float, rng: np.random.Generator
) -> Drawn:
    return _draw_luma(length, per_character, least_contrast, saturation=0, rng=rng)


def _colour(
    length: int, *, per_character: bool, least_contrast: float, rng: np.random.Generator
) -> Drawn:
    return _draw_luma(length, per_character, least_contrast, saturation=1, rng=rng)


def _draw_luma(
    length: int,
    per_character: bool,
    least_contrast: float,
    *,
    saturation: float,
    rng: np.random.Generator,
) -> Drawn:
    """Draw lumas first, then hues and saturations (times `saturation`) that the lumas allow."""
    inks = length if per_character else 1
    dark_text = rng.random() < 0.5
    background = rng.uniform(least_contrast, 1) if dark_text else rng.uniform(0, 1 - least_contrast)
    room = background - least_contrast if dark_text else 1 - least_contrast - background
    distance = least_contrast + rng.uniform(0, room, size=inks)
    lumas = background + np.where(dark_text, -distance, distance)
    hues = rng.random(inks + 1)
    saturations = rng.uniform([0.0] + [0.3] * inks, [0.6] + [1.0] * inks) * saturation
    colours = np.stack(
        [
            with_luma(hue, saturation, target)
            for hue, saturation, target in zip(hues, saturations, [background, *lumas], strict=True)
        ]
    )
    foreground = colours[1:] if per_character else np.repeat(colours[1:], length, 0)
    return foreground, colours[0]


DRAWN: Mapping[str, Scheme] = MappingProxyType(
    {
        "black_on_white": _black_on_white,
        "white_on_black": _white_on_black,
        "grey": _grey,
        "colour": _colour,
    }
)
SCHEMES = (*DRAWN, ORIGINAL)


def with_luma(hue: float, saturation: float, target: float) -> NDArray[np.uint8]:
    """The RGB colour (3,) of a hue and saturation (0 to 1), darkened or mixed with white until its luma is `target`."""
    pure = np.array(colorsys.hsv_to_rgb(hue, saturation, 1.0))
    brightness = float(pure @ LUMA)
    if target <= brightness:
        mixed = pure * target / brightness
    else:
        mixed = pure + (1 - pure) * (target - brightness) / (1 - brightness)
    return np.rint(np.clip(mixed, 0, 1) * 255).astype(np.uint8)


def paint(bases: Bases, colours: Colours) -> Images:
    """Blend foreground over background by ink: images (n, H, W, 3). Scheme "original" keeps the folder's image."""
    images = np.empty((*bases.ink.shape, 3), np.uint8)
    for i, (scheme, foreground) in enumerate(zip(colours.scheme, colours.foreground, strict=True)):
        if scheme == ORIGINAL:
            images[i] = _original(bases)[i]
            continue
        if (foreground == foreground[0]).all():
            images[i] = np.take(
                _blends(foreground[:1], colours.background[i])[0], bases.ink[i], axis=0
            )
        else:
            images[i] = _blends(foreground, colours.background[i])[bases.owner[i], bases.ink[i]]
    return images


def _blends(foreground: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colour (T, 256, 3) per character and amount of ink. A table is cheaper than blending every pixel."""
    ink = np.arange(256, dtype=np.uint16)[:, None]
    blends = ink * foreground.astype(np.uint16)[:, None] + (255 - ink) * background.astype(
        np.uint16
    )
    return ((blends + 127) // 255).astype(np.uint8)


def _original(bases: Bases) -> Images:
    if bases.original is None:
        raise ValueError("colour scheme 'original' needs captcha.source: folder")
    return bases.original


def ink_of(images: Images) -> NDArray[np.uint8]:
    """Estimate the ink (n, H, W) of external captchas: the distance from the border's median colour, scaled so that
    the 99th percentile is full ink."""
    inks = np.empty(images.shape[:3], np.uint8)
    for i, image in enumerate(images):
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        distance = np.linalg.norm(image - np.median(border, axis=0), axis=-1)
        full = max(float(np.percentile(distance, 99)), 1.0)
        inks[i] = np.rint(np.clip(distance / full, 0, 1) * 255)
    return inks
