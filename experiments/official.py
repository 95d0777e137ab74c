"""Test a reader of single digits on all 10,000 of MNIST's official test digits, each once, unchanged (white on black).

`python -m experiments.official READER_FOLDER MNIST_FOLDER`, such as data/readers/ours and torchvision's folder. The
test captchas of a study have each digit equally often; the official test set does not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from stages.command import run
from stages.reader.decoding import to_texts
from stages.reader_files import check_reader, load_recogniser
from stages.sources.mnist import read_mnist
from stages.statistics.proportions import clustered_proportion

DIGITS = "0123456789"


def main() -> None:
    if len(sys.argv) != 3:
        raise ValueError(
            f"python -m experiments.official takes READER_FOLDER MNIST_FOLDER, got {sys.argv[1:]}"
        )
    folder, mnist = map(Path, sys.argv[1:])
    recogniser, description = load_recogniser(folder, torch.device("cpu"))
    images, labels, official = read_mnist(mnist, DIGITS, download=False)
    digits = np.repeat(images[official][..., None], 3, axis=3)
    check_reader(description, DIGITS, digits.shape[1], digits.shape[2], str(folder))
    read = np.array(to_texts(recogniser.predict(digits).readings.labels, DIGITS))
    right = read == labels[official].astype(str)
    share, low, high = clustered_proportion(right, np.arange(len(right)))
    print(
        f"{folder}: {right.sum()} of {len(right)} official test digits right, {share:.2%} ({low:.2%} to {high:.2%})"
    )


if __name__ == "__main__":
    run(main)
