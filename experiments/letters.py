"""Draw the 33 Ukrainian capitals as PNGs: train/, validation/ and test/, each with one sub-folder per letter.

`python -m experiments.letters OUT_FOLDER [--seed N]`. Each letter is drawn in the 16 faces of matplotlib that have all
33, in two weights, three widths and three slants (`stages.sources.fonts`): ten faces in train, two in validation, four
in test. No face is in two pools, but an upright face and its italic may be. Each variant is drawn three times in train
and once elsewhere, with the study's noises: elastic deformation, shear, rotation, blur, each at a random level.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.captcha.design import stream
from stages.captcha.glyphs import POOLS, SIDE, Glyphs, Ints
from stages.captcha.noise import Images, apply
from stages.command import run
from stages.sources.fonts import assign_faces, faces_for, render_fonts

UKRAINIAN = "АБВГҐДЕЄЖЗИІЇЙКЛМНОПРСТУФХЦЧШЩЬЮЯ"
# of the faces
VALIDATION = 0.125
TEST = 0.25
DRAWINGS = {"train": 3, "validation": 1, "test": 1}  # per variant
FINE = 2  # drawn px per px of the glyph, so that rotation and deformation cost little sharpness
MARGIN = 4  # px of the glyph, around it, so that the marks of Ї and Й stay on the canvas
SIZE = FINE * (SIDE + 2 * MARGIN)  # px, of an image
# In the order of application, at levels from 0 to these: at most 0.8 px rms of the glyph's 28, a slope of 0.2,
# 12 degrees, sd 0.6 px. The noises assume a canvas of 28 px, so their px are 36/28 of the glyph's.
NOISES = {"elastic": 0.08, "shear": 0.1, "rotation": 0.2, "gaussian_blur": 0.1}


@dataclass(frozen=True, eq=False)
class Variants:
    """n glyphs of one letter in one pool."""

    pool: str
    letter: str
    glyphs: Glyphs
    names: list[str]  # (n,) face and number of the variant in it


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.letters",
        allow_abbrev=False,
        description="Draw the Ukrainian capitals as a folder of classes.",
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT_FOLDER", help="a folder that is not there yet, or empty"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="0 or more (default: %(default)s)"
    )
    given = parser.parse_args()
    for pool, count in write_letters(given.out, UKRAINIAN, seed=given.seed).items():
        print(f"{given.out / pool}: {count} images of {len(UKRAINIAN)} letters", flush=True)


def write_letters(out: Path, alphabet: str, *, seed: int) -> dict[str, int]:
    """Write pool/letter/face-variant.drawing.png into a new folder, atomically; return the number of images per pool.

    The bytes of a file follow from the seed, its name and the alphabet. Raises ValueError if `out` is not empty, the
    seed is negative, or the faces lack a letter.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ValueError(
            f"{out} is there already: expected a new or empty folder; remove it, or name another"
        )
    if seed < 0:
        raise ValueError(f"--seed: expected a whole number of at least 0, got {seed}")
    counts = dict.fromkeys(POOLS, 0)
    temporary = out.absolute().with_name(f".{out.absolute().name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        for variants in variants_of(alphabet, seed):
            counts[variants.pool] += _write(
                temporary / variants.pool / variants.letter, variants, seed
            )
        os.replace(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return counts


def variants_of(alphabet: str, seed: int) -> Iterator[Variants]:
    """The glyphs of each letter per pool; a face is in one pool only."""
    images, labels, faces = render_fonts(alphabet)
    stems = [face.stem for face in faces_for(alphabet)]
    pool = assign_faces(faces, VALIDATION, TEST, rng=stream(seed, "letters", "pools"))
    for i, name in enumerate(POOLS):
        for label, letter in enumerate(alphabet):
            rows = np.flatnonzero((pool == i) & (labels == label))
            yield Variants(name, letter, images[rows], _number(faces[rows], stems))


def _number(faces: Ints, stems: list[str]) -> list[str]:
    """Names of variants, ordered by face: the face and a number from 0 within it."""
    starts = np.searchsorted(faces, faces)
    return [
        f"{stems[face]}-{i - start:02}"
        for i, (face, start) in enumerate(zip(faces, starts, strict=True))
    ]


def _write(folder: Path, variants: Variants, seed: int) -> int:
    folder.mkdir(parents=True)
    drawings = DRAWINGS[variants.pool]
    images = deform(
        np.repeat(variants.glyphs, drawings, axis=0), seed, variants.pool, variants.letter
    )
    for i, image in enumerate(images):
        name = f"{variants.names[i // drawings]}.{i % drawings}.png"
        Image.fromarray(image).save(folder / name)
    return len(images)


def deform(glyphs: Glyphs, seed: int, *identity: str) -> NDArray[np.uint8]:
    """Black letters on white (n, 72, 72) from ink (n, 28, 28), each deformed, sheared, rotated, blurred at random."""
    roomy = np.pad(glyphs, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    fine = np.stack(
        [
            np.asarray(Image.fromarray(one).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
            for one in roomy
        ]
    )
    images: Images = np.repeat(255 - fine[..., None], 3, axis=3)
    for noise, strongest in NOISES.items():
        rng = stream(seed, "letters", noise, *identity)
        images = apply(noise, images, rng.uniform(0, strongest, len(images)), rng=rng)
    return images[..., 0]


if __name__ == "__main__":
    run(main)
