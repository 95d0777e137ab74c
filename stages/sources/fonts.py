"""Glyphs of any alphabet, rendered from the fonts in matplotlib: many faces, no download."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageFont

from stages.captcha.glyphs import BOX, POOLS, SIDE, Glyphs, Ints, assign_pools, centre

# Faces for text. The other fonts of matplotlib are symbols, or Last Resort, which has a box for every character.
UNICODE_FACES = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
)
# Computer Modern uses the encodings of TeX: only its ASCII letters and digits are at their Unicode places.
TEX_FACES = ("cmr10", "cmb10", "cmss10", "cmtt10", "cmti10")

FINE = 4  # rendered px a px of the glyph
SIZE = SIDE * FINE  # px, of the font; capitals are about 20 px then
WIDEST = BOX + 4  # px; wider letters (W, Щ) are squeezed, so that they stay as tall as the others
WEIGHTS = (
    1,
    5,
)  # px, the pen that goes over the fine rendering: as drawn, and half a glyph's px more on each side
WIDTHS = (0.85, 1.0, 1.15)
SLANTS = (-0.15, 0.0, 0.15)  # px to the right per px upwards


def render_fonts(alphabet: str) -> tuple[Glyphs, Ints, Ints]:
    """Every character in every face that has the whole alphabet, 18 variants each: images, labels and faces, (n,) each.

    Capitals are 20 px high and small letters smaller. Pools share no face: raises ValueError with the character that
    fewer than three faces have.
    """
    faces = faces_for(alphabet)
    images = []
    labels = []
    owners = []
    for face, path in enumerate(faces):
        font = ImageFont.truetype(path, SIZE, layout_engine=ImageFont.Layout.BASIC)
        capital = -font.getbbox("H", anchor="ls")[1]  # px
        for label, character in enumerate(alphabet):
            glyphs = _variants(_draw(font, character), BOX / capital)
            images += glyphs
            labels += [label] * len(glyphs)
            owners += [face] * len(glyphs)
    return np.stack(images), np.array(labels, np.int64), np.array(owners, np.int64)


def assign_faces(
    faces: Ints, validation: float, test: float, *, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The pool of each glyph, (n,). All glyphs of a face share a pool; validation and test are shares of the faces."""
    return assign_pools(np.zeros(faces.max() + 1), validation, test, rng=rng)[faces]


def faces_for(alphabet: str) -> list[Path]:
    """The files of the faces that have the whole alphabet. Raises ValueError if there are fewer faces than pools."""
    having = {
        path: {character for character in alphabet if has(path, character)} for path in text_faces()
    }
    scarcest = min(
        alphabet, key=lambda character: sum(character in known for known in having.values())
    )
    count = sum(scarcest in known for known in having.values())
    if count < len(POOLS):
        raise ValueError(
            f"glyphs.alphabet: {scarcest!r} is in {count} of matplotlib's {len(having)} faces, expected "
            f"at least {len(POOLS)}, so that each pool gets its own: remove it, or take another source"
        )
    complete = [path for path, known in having.items() if len(known) == len(alphabet)]
    if len(complete) < len(POOLS):
        raise ValueError(
            f"glyphs.alphabet: {len(complete)} faces of matplotlib have all of {alphabet!r}, expected at "
            f"least {len(POOLS)}: remove characters, {scarcest!r} first"
        )
    return complete


def text_faces() -> list[Path]:
    """The files of the faces for text, in a fixed order."""
    from matplotlib import get_data_path  # imported here: the other sources need no matplotlib

    folder = Path(get_data_path(), "fonts", "ttf")
    return [
        path for face in (*UNICODE_FACES, *TEX_FACES) if (path := folder / f"{face}.ttf").is_file()
    ]


def has(face: Path, character: str) -> bool:
    """Whether a face has its own glyph for a character."""
    from matplotlib.ft2font import FT2Font

    if face.stem in TEX_FACES and not (character.isascii() and character.isalnum()):
        return False
    return FT2Font(face).get_char_index(ord(character)) != 0


def _draw(font: ImageFont.FreeTypeFont, character: str) -> Image.Image:
    """A character's ink, 255 on 0, cropped."""
    mask = font.getmask(character, mode="L")
    drawn = (
        Image.frombytes("L", mask.size, bytes(mask)) if all(mask.size) else Image.new("L", (1, 1))
    )
    if (box := drawn.getbbox()) is None:
        raise ValueError(f"glyphs.alphabet: {character!r} leaves no ink: remove it")
    return drawn.crop(box)


def _variants(drawn: Image.Image, scale: float) -> list[NDArray[np.uint8]]:
    """Glyphs (28, 28) of a character in several weights, widths and slants; `scale` in px of the glyph per fine px."""
    inked = [_thicken(drawn, weight) for weight in WEIGHTS]
    return [
        centre(_slant(ink, width, slant, WIDEST / scale), scale=scale)
        for ink, width, slant in product(inked, WIDTHS, SLANTS)
    ]


def _thicken(drawn: Image.Image, weight: int) -> Image.Image:
    """Ink drawn with a square pen of `weight` px; the image grows by as much as the pen needs."""
    edge = weight // 2
    roomy = Image.new("L", (drawn.width + 2 * edge, drawn.height + 2 * edge))
    roomy.paste(drawn, (edge, edge))
    return roomy.filter(ImageFilter.MaxFilter(weight))


def _slant(ink: Image.Image, width: float, slant: float, widest: float) -> NDArray[np.uint8]:
    """Ink slanted to the right by px per px upwards, and `width` times as wide, at most `widest`."""
    shear = abs(slant) * ink.height
    stretch = width * min(1, max(widest - shear, widest / 2) / (max(WIDTHS) * ink.width))
    shift = shear if slant > 0 else 0.0  # of the top row
    # From an output pixel (x, y) to the input's column: (x - shift + slant y) / stretch
    return np.asarray(
        ink.transform(
            (round(ink.width * stretch + shear), ink.height),
            Image.Transform.AFFINE,
            (1 / stretch, slant / stretch, -shift / stretch, 0, 1, 0),
            Image.Resampling.BICUBIC,
        )
    )
