"""The files of a reader: they come back, damage is told in one line, and scratch is found by what it depends on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from stages.reader import precision
from stages.reader.alternatives import denoising, tesseract
from stages.reader.inference import NetworkReader
from stages.reader.networks import initialise
from stages.reader_files import (
    Description,
    check_reader,
    load_reader,
    load_recogniser,
    write_reader,
)

DESCRIPTION = Description("ctc", "01ж", 24, 50, 8, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    network = initialise(DESCRIPTION.build(), generator=torch.Generator().manual_seed(3))
    write_reader(tmp_path / "noisy", DESCRIPTION, network.state_dict(), {"epochs": 2})
    return tmp_path / "noisy"


def test_a_reader_comes_back_as_it_was_written(folder: Path) -> None:
    network, description, _ = load_reader(folder)
    expected = initialise(
        DESCRIPTION.build(), generator=torch.Generator().manual_seed(3)
    ).state_dict()
    assert description == DESCRIPTION
    assert all(torch.equal(network.state_dict()[name], expected[name]) for name in expected)
    assert not network.training
    assert json.loads((folder / "reader.json").read_text())["training"] == {"epochs": 2}


def test_equal_readers_are_equal_bytes(folder: Path) -> None:
    network, description, _ = load_reader(folder)
    weights = dict(reversed(network.state_dict().items()))
    write_reader(folder.parent / "other", description, weights, {"epochs": 2})
    for name in ("weights.safetensors", "reader.json"):
        assert (folder.parent / "other" / name).read_bytes() == (folder / name).read_bytes()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def overwrite(path: Path) -> None:
    path.write_bytes(b"\x80\x04pickle" * 50)


def rename_weight(path: Path) -> None:
    weights = safetensors.torch.load_file(path)
    weights["unknown"] = weights.pop("classifier.bias")
    safetensors.torch.save_file(weights, path)


def reshape_weight(path: Path) -> None:
    weights = safetensors.torch.load_file(path)
    weights["classifier.bias"] = torch.zeros(7)
    safetensors.torch.save_file(weights, path)


def spoil_weight(path: Path) -> None:
    weights = safetensors.torch.load_file(path)
    weights["classifier.bias"][1] = float("nan")
    safetensors.torch.save_file(weights, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "weights.safetensors is damaged"),
        (overwrite, "weights.safetensors is damaged"),
        (Path.unlink, "weights.safetensors is missing: run `dvc repro train@noisy`"),
        (
            rename_weight,
            r"is no ctc reader as reader.json describes it \(classifier.bias is missing",
        ),
        (reshape_weight, r"is no ctc reader as reader.json describes it \(classifier.bias is"),
        (spoil_weight, r"is no ctc reader as reader.json describes it \(classifier.bias is"),
    ],
)
def test_damaged_weights_are_refused(
    folder: Path, damage: Callable[[Path], Any], message: str
) -> None:
    damage(folder / "weights.safetensors")
    with pytest.raises(ValueError, match=message) as error:
        load_reader(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "expected a reader of format 2 or 3, got 1"),
        (
            {"architecture": "rnn"},
            "architecture: expected one of ctc, compact, heads, dense.* got 'rnn'",
        ),
        ({"channels": 10**9}, "channels: expected a whole number from 4 to 512"),
        ({"channels": "8"}, "channels should be a whole number, got '8'"),
        ({"positions": True}, "positions should be a whole number, got True"),
        ({"alphabet": ""}, "alphabet_size: expected a whole number from 1"),
        ({"alphabet": None}, "alphabet should be a text, got None"),
        ({"temperature": 0.0}, "temperature: expected 0.01 to 100, got 0.0"),
        ({"temperature": 1}, "temperature should be a number with a point, got 1"),
        (
            {"denoise": "magic"},
            "denoise: expected one of none, median, pca, nlm, bilateral, learned, got 'magic'",
        ),
    ],
)
def test_a_wrong_description_is_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    path = folder / "reader.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message) as error:
        load_reader(folder)
    assert str(path) in str(error.value)


OUTSIDE = replace(DESCRIPTION, architecture="tesseract", positions=1)


def test_an_outside_reader_has_a_description_and_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []
    monkeypatch.setattr(
        tesseract, "Tesseract", lambda alphabet, **given: built.append((alphabet, given)) or "it"
    )
    write_reader(
        tmp_path / "outside", replace(OUTSIDE, denoise="median"), {}, {"tesseract": "5.3.0"}
    )
    reader: Any
    reader, description = load_recogniser(tmp_path / "outside", torch.device("cpu"))
    assert reader == "it"
    assert description == replace(OUTSIDE, denoise="median")
    ((alphabet, given),) = built
    assert (alphabet, given["positions"]) == ("01ж", 1)
    images = np.random.default_rng(0).integers(0, 256, (2, 24, 50, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        given["denoiser"](images), denoising.build_denoiser("median", {})(images)
    )


def test_an_outside_reader_with_weights_is_refused(folder: Path) -> None:
    weights = load_reader(folder)[0].state_dict()
    write_reader(folder, OUTSIDE, weights, {})
    with pytest.raises(
        ValueError,
        match=r"weights.safetensors: expected an outside reader without weights, got class",
    ):
        load_recogniser(folder, torch.device("cpu"))
    (folder / "weights.safetensors").unlink()
    with pytest.raises(
        ValueError, match=r"weights.safetensors is missing: run `dvc repro train@noisy`"
    ):
        load_recogniser(folder, torch.device("cpu"))


def test_an_outside_reader_is_no_network(tmp_path: Path) -> None:
    write_reader(tmp_path / "outside", OUTSIDE, {}, {})
    with pytest.raises(
        ValueError,
        match=r"outside: expected a reader with a network, got tesseract, a program: name",
    ):
        load_reader(tmp_path / "outside")


def test_an_outside_reader_is_refused_where_its_program_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reader(tmp_path / "outside", OUTSIDE, {}, {})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"tesseract.*: install it \(apt-get install tesseract-ocr"
    ) as error:
        load_recogniser(tmp_path / "outside", torch.device("cpu"))
    assert "\n" not in str(error.value)


EARLIER = """{"format": 2, "architecture": "ctc", "alphabet": "01ж", "height": 24, "width": 50, "channels": 8,
"positions": 4, "precision": "bf16", "temperature": 1.17229, "denoise": "none", "training": {"epochs": 5,
"best_epoch": 4, "best": {"epoch": 4, "validation_loss": 0.363048}, "weights": 252587}}"""


@pytest.mark.parametrize("native", [True, False])
def test_a_reader_of_format_2_is_read_in_the_precision_of_the_machine(
    folder: Path, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "multiplies_bf16", lambda device: native)
    (folder / "reader.json").write_text(EARLIER)
    reader, description = load_recogniser(folder, torch.device("cpu"))
    assert description == replace(DESCRIPTION, temperature=1.17229)
    assert isinstance(reader, NetworkReader)
    assert reader.precision == ("bf16" if native else "fp32")
    assert reader.network.training is False


@pytest.mark.parametrize("content", ["[]", "3", '"text"'])
def test_a_description_that_is_no_map_is_refused(folder: Path, content: str) -> None:
    (folder / "reader.json").write_text(content)
    with pytest.raises(ValueError, match="expected a reader of format 2 or 3"):
        load_reader(folder)


def test_a_missing_or_broken_description_is_refused(folder: Path) -> None:
    (folder / "reader.json").write_text('{"format": 1,')
    with pytest.raises(ValueError, match=r"reader\.json is damaged"):
        load_reader(folder)
    (folder / "reader.json").unlink()
    with pytest.raises(ValueError, match=r"reader\.json is missing"):
        load_reader(folder)


def test_a_reader_for_other_captchas_is_refused() -> None:
    check_reader(DESCRIPTION, "01ж", 24, 50, "here")
    with pytest.raises(
        ValueError, match="here: the reader knows the alphabet '01ж' but the captchas have '012'"
    ):
        check_reader(DESCRIPTION, "012", 24, 50, "here")
    with pytest.raises(
        ValueError, match="takes images of 24 x 50 px but the captchas have 50 x 24"
    ):
        check_reader(DESCRIPTION, "01ж", 50, 24, "here")
