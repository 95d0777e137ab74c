"""Write MNIST as train.csv (60,000 rows) and test.csv (10,000), both with labels, in Kaggle's Digit Recognizer layout.

`python -m experiments.kaggle MNIST_FOLDER OUT_FOLDER`, where MNIST_FOLDER has the idx files, or MNIST/raw with them.
`glyphs.source: csv` with `glyphs.path: OUT_FOLDER` then reads them and keeps the official test set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from stages.artifacts import replacing
from stages.captcha.glyphs import Glyphs, Ints
from stages.command import run
from stages.sources.kaggle import KAGGLE_COLUMNS, PIXELS
from stages.sources.mnist import read_mnist

DIGITS = "0123456789"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.kaggle",
        allow_abbrev=False,
        description="Write MNIST as train.csv and test.csv in Kaggle's layout.",
    )
    parser.add_argument(
        "mnist", type=Path, metavar="MNIST_FOLDER", help="folder of the idx files, plain or .gz"
    )
    parser.add_argument("out", type=Path, metavar="OUT_FOLDER")
    given = parser.parse_args()
    images, labels, test = read_mnist(given.mnist, DIGITS, download=False)
    for name, chosen in (("test", test), ("train", ~test)):
        write_csv(given.out / f"{name}.csv", images[chosen], labels[chosen])
        print(f"{given.out / name}.csv: {chosen.sum()} digits", flush=True)


def write_csv(path: Path, images: Glyphs, labels: Ints) -> None:
    """Write images (n, 28, 28) and labels (n,), digits, as rows of label,pixel0…pixel783, atomically."""
    pixels = images.reshape(len(images), len(PIXELS)).T
    table = pa.table([pa.array(labels), *map(pa.array, pixels)], names=KAGGLE_COLUMNS)
    with replacing(path) as temporary, temporary.open("wb") as opened:
        opened.write(
            (",".join(KAGGLE_COLUMNS) + "\n").encode()
        )  # Arrow would quote the header, unlike Kaggle
        pyarrow.csv.write_csv(table, opened, pyarrow.csv.WriteOptions(include_header=False))


if __name__ == "__main__":
    run(main)
