"""The readers under version control: they load, and read what their notes say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.reader.inference import NetworkReader
from stages.reader_files import load_recogniser
from stages.sources.glyph_sources import load_glyphs

ROOT = Path(__file__).resolve().parents[1]
KEPT = sorted(path.parent.name for path in (ROOT / "pretrained").glob("*/reader.json"))


@pytest.mark.parametrize("name", KEPT)
def test_every_kept_reader_loads_and_has_its_note(name: str) -> None:
    reader, description = load_recogniser(ROOT / "pretrained" / name, torch.device("cpu"))
    assert isinstance(reader, NetworkReader)
    told = json.loads((ROOT / "pretrained" / name / "reader.json").read_text())
    assert told["training"]["weights"] == sum(
        weight.numel() for weight in description.build().parameters()
    )
    assert (ROOT / "pretrained" / name / "README.md").is_file()


def test_the_reader_of_mnist_reads_the_official_test_digits_as_its_note_says(mnist: Path) -> None:
    glyphs = load_glyphs(
        "mnist",
        str(mnist),
        alphabet="0123456789",
        emnist_split="balanced",
        validation=0.05,
        test=0.0,
        rng=np.random.default_rng(0),
    )
    test = glyphs.pool == 2
    assert test.sum() == 10_000
    reader, _ = load_recogniser(ROOT / "pretrained" / "mnist", torch.device("cpu"))
    assert isinstance(reader, NetworkReader)
    images = np.repeat(glyphs.images[test][..., None], 3, axis=3)
    guess = np.concatenate(
        [reader.read(images[i : i + 1000]).labels[:, 0] for i in range(0, 10_000, 1000)]
    )
    assert np.mean(guess == glyphs.labels[test] + 1) >= 0.995  # 0.9960 where it was trained
