"""Small captchas drawn with OpenCV's font, which a reader learns in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages import artifacts
from stages.reader.decoding import encode

HEIGHT = 32
WIDTH = 72
ALPHABET = "0123456789"


def draw(text: str, rng: np.random.Generator, noise: float = 0.0) -> NDArray[np.uint8]:
    """One image (32, 72, 3): dark digits at a random place on a light ground, with grey noise of this spread."""
    ground = int(rng.integers(180, 256))
    ink = int(rng.integers(0, 76))
    image = np.full((HEIGHT, WIDTH, 3), ground, np.uint8)
    place = int(rng.integers(1, WIDTH - 21 * len(text))), int(rng.integers(24, 30))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (ink, ink, ink), 2)
    return np.clip(image + rng.normal(0, noise, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)


def texts_of(n: int, rng: np.random.Generator, alphabet: str = ALPHABET) -> list[str]:
    return ["".join(rng.choice(list(alphabet), rng.integers(2, 4))) for _ in range(n)]


@dataclass
class DrawnPart:
    """A part in memory."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def images(self) -> NDArray[np.uint8]:
        return self.pictures


def drawn_part(n: int, seed: int, alphabet: str = "0123") -> DrawnPart:
    rng = np.random.default_rng(seed)
    texts = texts_of(n, rng, alphabet)
    return DrawnPart(np.stack([draw(text, rng) for text in texts]), encode(texts, alphabet))


def write_split(
    split: str,
    n: int,
    *,
    parts: int = 1,
    conditions: int = 2,
    seed: int = 0,
    alphabet: str = ALPHABET,
    root: Path = artifacts.CAPTCHAS,
) -> list[str]:
    """Write a split of n captchas, each clean and under `conditions - 1` levels of gaussian noise; return the texts."""
    rng = np.random.default_rng((seed, artifacts.SPLITS.index(split)))
    texts = texts_of(n, rng, alphabet)
    for part, numbers in enumerate(np.array_split(np.arange(n), parts)):
        rows = [(int(i), condition) for i in numbers for condition in range(conditions)]
        levels = [condition / conditions for _, condition in rows]
        images = np.stack(
            [draw(texts[i], rng, 80 * level) for (i, _), level in zip(rows, levels, strict=True)]
        )
        columns = {
            "captcha": [i for i, _ in rows], "condition": [condition for _, condition in rows],
            "text": [texts[i] for i, _ in rows],
            "glyphs": [[10 * i + k for k in range(len(texts[i]))] for i, _ in rows],
            "noise": ["gaussian" if level else "none" for level in levels], "level": levels,
            "colour": ["grey"] * len(rows), "foreground": [["#000000"]] * len(rows),
            "background": ["#ffffff"] * len(rows), "hue": [[0.0]] * len(rows),
            "saturation": [[0.0]] * len(rows), "background_hue": [0.0] * len(rows),
            "background_saturation": [0.0] * len(rows), "contrast": [-1.0] * len(rows), "rmse": levels,
            "ssim": [1 - level for level in levels],
        }  # fmt: skip
        schema = artifacts.captcha_schema(HEIGHT, WIDTH, {"alphabet": alphabet, "source": "drawn"})
        arrays = [
            artifacts.images_array(images)
            if field.name == "image"
            else pa.array(columns[field.name]).cast(field.type)
            for field in schema
        ]
        artifacts.write_captchas(
            artifacts.part_path(split, part, root),
            pa.Table.from_arrays(arrays, schema=schema),
            part=part,
            parts=parts,
        )
    return texts
