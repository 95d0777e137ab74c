"""Drawing any part of a study, in any epoch: other captchas each epoch, the stored ones in the first."""

from __future__ import annotations

import string
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_generate import generate, setting, study  # noqa: F401

from stages import artifacts, params, training_data
from stages.captcha.design import random_images, render_random
from stages.drawing import CaptchaStudy, bases_of, identity_of, prepare, texts_of
from stages.reader.decoding import encode

PARTS = range(4)  # 21 captchas in parts of 6


def prepared(where: Path, **changes: Any) -> CaptchaStudy:
    setting(where, **changes)
    return prepare(params.read("seed", "glyphs", "captcha", "colour", "noise"))


def folder_of_captchas(where: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(60):
        Image.fromarray(rng.integers(0, 256, (30, 90), np.uint8)).save(where / f"{i:04d}.png")
    return where


@pytest.fixture(params=["composed", "folder"])
def drawn(request: pytest.FixtureRequest, study: Path) -> CaptchaStudy:  # noqa: F811
    if request.param == "composed":
        return prepared(study, captcha__length__min=2)
    (study / "captchas").mkdir()
    return prepared(
        study, captcha__source="folder", captcha__path=str(folder_of_captchas(study / "captchas"))
    )


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_the_texts_of_a_part_are_told_without_drawing_it(drawn: CaptchaStudy, epoch: int) -> None:
    for part in PARTS:
        assert texts_of(drawn, "train", part, epoch) == bases_of(drawn, "train", part, epoch).texts


def images(
    drawn: CaptchaStudy, part: int, epoch: int, conditions: tuple[int, ...] = (0, 1)
) -> np.ndarray:
    bases = bases_of(drawn, "train", part, epoch)
    return random_images(
        bases,
        drawn.first("train", part, epoch),
        drawn.doses,
        drawn.palette,
        seed=drawn.seed,
        identity=identity_of("train", part, epoch),
        conditions=conditions,
    )


def test_every_epoch_has_other_captchas_and_each_the_same_ones_again(drawn: CaptchaStudy) -> None:
    epochs = [images(drawn, 1, epoch) for epoch in range(3)]
    for i, found in enumerate(epochs):
        assert found.shape == epochs[0].shape
        np.testing.assert_array_equal(found, images(drawn, 1, i))
        assert all(not np.array_equal(found, other) for other in epochs[:i])


@pytest.mark.parametrize("conditions", [(0,), (1,), (0, 1)])
def test_the_images_alone_are_those_that_are_rendered_and_measured(
    drawn: CaptchaStudy, conditions: tuple[int, ...]
) -> None:
    bases = bases_of(drawn, "train", 2, 3)
    whole = render_random(
        bases,
        drawn.first("train", 2, 3),
        drawn.doses,
        drawn.palette,
        seed=drawn.seed,
        identity=identity_of("train", 2, 3),
    )
    wanted = whole.images[np.isin(whole.condition, conditions)]
    np.testing.assert_array_equal(images(drawn, 2, 3, conditions), wanted)


def test_the_first_epoch_is_the_one_that_is_stored(study: Path) -> None:  # noqa: F811
    drawn = prepared(study)
    generate()
    for part in PARTS:
        table = artifacts.read_captchas(artifacts.part_path("train", part))
        np.testing.assert_array_equal(artifacts.images_of(table), images(drawn, part, 0))


def test_characters_and_glyphs_stay_balanced_over_the_epochs(study: Path) -> None:  # noqa: F811
    drawn = prepared(study)
    assert drawn.glyphs is not None
    bases = [bases_of(drawn, "train", part, epoch) for epoch in range(10) for part in PARTS]
    characters = Counter("".join(text for one in bases for text in one.texts))
    assert (
        max(characters.values()) - min(characters.values()) <= 4
    )  # 840 of ten kinds, position by position
    used = Counter(glyph for one in bases for ids in one.glyphs for glyph in ids)
    assert (
        max(used.values()) <= 2
    )  # some 100 glyphs a digit, and 84 wanted: a round is left unfinished by part
    assert set(string.digits) == set(characters)


@pytest.mark.parametrize("train_on", ["clean", "noisy", "both"])
def test_what_a_reader_trains_on_is_drawn_as_it_is_stored(train_on: str, study: Path) -> None:  # noqa: F811
    drawn = prepared(study)
    generate()
    stored = training_data.open_split("train", train_on)
    for epoch in (1, 2):
        parts = training_data.drawn_parts(drawn, train_on, lambda images: images, epoch)
        assert len(parts) == len(stored.parts)
        for part, other in zip(parts, stored.parts, strict=True):
            assert part.labels.shape == other.labels.shape
            assert part.images().shape == other.images().shape
            np.testing.assert_array_equal(
                part.labels,
                encode(
                    [
                        text
                        for text in texts_of(drawn, "train", part.part, epoch - 1)
                        for _ in part.conditions
                    ],
                    stored.alphabet,
                ),
            )
    first = training_data.drawn_parts(drawn, train_on, lambda images: images, 1)
    for part, other in zip(first, stored.parts, strict=True):
        np.testing.assert_array_equal(part.images(), other.images())


def test_the_denoiser_of_a_reader_sees_what_is_drawn(study: Path) -> None:  # noqa: F811
    part = training_data.drawn_parts(prepared(study), "noisy", lambda images: 255 - images, 2)[0]
    plain = training_data.drawn_parts(prepared(study), "noisy", lambda images: images, 2)[0]
    np.testing.assert_array_equal(part.images(), 255 - plain.images())


@pytest.mark.parametrize(
    "change",
    [
        {"captcha__height": 44},
        {"glyphs__alphabet": "012345678"},
        {"captcha__train": 30},
        {"captcha__train": 20},
        {"seed": 2},
        {"captcha__length__min": 3},
    ],
)
def test_stored_captchas_of_other_parameters_are_refused(change: Any, study: Path) -> None:  # noqa: F811
    generate()
    stored = training_data.open_split("train", "noisy")
    training_data.check_stored(stored, "noisy", prepared(study))
    with pytest.raises(ValueError, match=r"data/captchas/train: .* params.yaml asks for.*: run"):
        training_data.check_stored(stored, "noisy", prepared(study, **change))
