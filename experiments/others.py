"""Draw a folder of captchas with another program, as LABEL_<number>.png.

`python -m experiments.others FOLDER COUNT WIDTH HEIGHT LENGTH ALPHABET`. The program is the package captcha (lepture),
with its own typeface and clutter. It uses the system's randomness and cannot be seeded: every folder differs.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from stages.command import progress, run


def main() -> None:
    if len(sys.argv) != 7 or not all(word.isdecimal() and int(word) > 0 for word in sys.argv[2:6]):
        raise ValueError(
            "python -m experiments.others takes FOLDER COUNT WIDTH HEIGHT LENGTH ALPHABET, as out 1000 "
            f"200 50 5 2345678bcdefgmnpwxy; got {' '.join(sys.argv[1:])!r}"
        )
    folder = Path(sys.argv[1])
    alphabet = sys.argv[6]
    count, width, height, length = map(int, sys.argv[2:6])
    if folder.exists():
        raise ValueError(f"{folder} exists: name a new folder, or remove it")
    draw_folder(folder, count, (width, height), length, alphabet)
    progress(f"{folder}: {count} captchas of {width} x {height} px")


def draw_folder(
    folder: Path, count: int, size: tuple[int, int], length: int, alphabet: str
) -> None:
    """Write `count` captchas of `size` (width, height) px."""
    try:
        from captcha.image import ImageCaptcha
    except ImportError:
        raise ValueError("the package captcha is missing: pip install captcha==0.7.1") from None
    width, height = size
    fine = ImageCaptcha(
        width, height, font_sizes=(round(0.7 * height), round(0.8 * height), round(0.9 * height))
    )
    folder.mkdir(parents=True)
    for number in range(count):
        text = "".join(secrets.choice(alphabet) for _ in range(length))
        fine.write(text, str(folder / f"{text}_{number}.png"))
        if (number + 1) % 2000 == 0:
            progress(f"captcha {number + 1}/{count}")


if __name__ == "__main__":
    run(main)
