"""The train stage: its files, its errors, and that a killed training ends as if it had never been."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from drawn_captchas import ALPHABET, HEIGHT, WIDTH, write_split
from ruamel.yaml import YAML

from stages import artifacts, checkpoints, reader_files, train, training_data
from stages.params import ReaderParams, load_yaml, parse
from stages.reader import precision
from stages.reader.alternatives.denoising import denoise
from stages.reader.inference import NetworkReader
from stages.reader.precision import arithmetic, choose_precision

QUICK = ReaderParams(
    architecture="ctc",
    train_on="both",
    channels=8,
    epochs=2,
    patience=2,
    batch=16,
    learning_rate=0.01,
    weight_decay=0.01,
    precision="auto",
    seed=0,
    device="cpu",
    denoise="none",
    init="pretrained/none",
    augment=0.0,
    fresh=False,
    optimiser="adamw",
)
CPU = torch.device("cpu")
AUTO = choose_precision("auto", CPU)
LONG = replace(QUICK, epochs=8, patience=8)
OUTPUTS = (
    "data/readers/small/weights.safetensors",
    "data/readers/small/reader.json",
    "plots/train/small.json",
    "plots/train/small.csv",
)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("CAPTCHA_FRESH", raising=False)
    write_split("train", 40, parts=3)
    write_split("validation", 12, parts=2)
    return tmp_path


def outputs(folder: Path = Path()) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


def test_training_writes_the_reader_its_metrics_and_its_curve(study: Path) -> None:
    train.train_reader("small", QUICK, 1)
    description = json.loads((study / "data/readers/small/reader.json").read_text())
    metrics = json.loads((study / "plots/train/small.json").read_text())
    rows = list(csv.DictReader((study / "plots/train/small.csv").read_text().splitlines()))
    assert {
        "architecture": "ctc",
        "alphabet": ALPHABET,
        "height": HEIGHT,
        "width": WIDTH,
        "positions": 3,
        "channels": 8,
    }.items() <= description.items()
    assert description["training"]["arithmetic"] == metrics["arithmetic"] == arithmetic(AUTO, CPU)
    assert list(metrics) == [
        "arithmetic",
        "best_epoch",
        "epochs",
        "temperature",
        "validation_character_accuracy",
        "validation_exact_match",
        "validation_loss",
        "weights",
    ]
    assert metrics["temperature"] == description["temperature"] > 0
    assert list(rows[0]) == [
        "epoch",
        "train_loss",
        "validation_loss",
        "validation_character_accuracy",
        "validation_exact_match",
    ]
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert metrics["validation_loss"] == float(rows[metrics["best_epoch"] - 1]["validation_loss"])
    network, _, _ = reader_files.load_reader(study / "data/readers/small")
    assert metrics["weights"] == sum(parameter.numel() for parameter in network.parameters())
    assert not list((study / ".scratch").iterdir())


@pytest.mark.parametrize("method", ["median", "pca", "learned"])
def test_a_reader_train_on_and_reads_what_its_denoiser_leaves(
    method: Any, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_data, "DENOISED", 40)
    train.train_reader("small", replace(QUICK, denoise=method), 1)
    first = outputs()
    folder = study / "data/readers/small"
    recogniser, description = reader_files.load_recogniser(folder, torch.device("cpu"))
    assert isinstance(recogniser, NetworkReader)
    _, _, state = reader_files.load_reader(folder)
    assert description.denoise == method
    assert bool(state) == (method != "median")
    images = artifacts.images_of(artifacts.read_captchas(artifacts.parts_of("train")[0]))
    plain = NetworkReader(
        recogniser.network, precision=AUTO, device=CPU, temperature=description.temperature
    )
    np.testing.assert_array_equal(
        recogniser.logits(images), plain.logits(denoise(images, method, state))
    )
    assert not np.array_equal(recogniser.logits(images), plain.logits(images))
    train.train_reader("small", replace(QUICK, denoise=method), 1)
    assert outputs() == first


@pytest.mark.parametrize("kind", ["logistic", "knn", "svm", "mlp"])
def test_a_classical_reader_keeps_the_same_contract(kind: Any, study: Path) -> None:
    reader = replace(QUICK, architecture=kind)
    train.train_reader("small", reader, 1)
    first = outputs()
    record = json.loads((study / "data/readers/small/reader.json").read_text())["training"]
    assert record["arithmetic"] == arithmetic("fp64", CPU)
    assert record["chosen"] in [
        {key: value for key, value in row.items() if key != "validation_accuracy"}
        for row in record["grid"]
    ]
    recogniser, description = reader_files.load_recogniser(
        study / "data/readers/small", torch.device("cpu")
    )
    images = artifacts.images_of(artifacts.read_captchas(artifacts.parts_of("train")[0]))
    assert isinstance(recogniser, NetworkReader)
    logits = recogniser.logits(images)
    assert logits.shape == (len(images), description.positions, len(ALPHABET) + 1)
    train.train_reader("small", reader, 1)
    assert outputs() == first


def test_an_outside_reader_learns_nothing_and_keeps_the_same_files(study: Path) -> None:
    pytest.importorskip("pytesseract", reason="pytesseract is not installed")
    if shutil.which("tesseract") is None:
        pytest.skip("the program tesseract is not installed (apt-get install tesseract-ocr)")
    train.train_reader("small", replace(QUICK, architecture="tesseract"), 1)
    metrics = json.loads((study / "plots/train/small.json").read_text())
    assert metrics["weights"] == 0
    assert metrics["validation_character_accuracy"] > 0.3  # clean and noisy print
    record = json.loads((study / "data/readers/small/reader.json").read_text())
    assert (record["architecture"], record["alphabet"], record["temperature"]) == (
        "tesseract",
        ALPHABET,
        1.0,
    )
    assert record["training"]["language"]
    assert (study / "plots/train/small.csv").read_text().startswith("epoch,train_loss")


def test_an_outside_reader_is_refused_in_one_line_where_it_is_not_installed(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(study))
    with pytest.raises(
        ValueError, match=r"apt-get install tesseract-ocr.*pip install pytesseract"
    ) as caught:
        train.train_reader("small", replace(QUICK, architecture="tesseract"), 1)
    assert "\n" not in str(caught.value)
    assert not (study / "data/readers/small").exists()


def test_a_reader_starts_from_another_and_its_bytes_are_part_of_the_result(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train.train_reader("first", LONG, 1)
    init = replace(QUICK, init="data/readers/first", learning_rate=1e-6)
    train.train_reader("small", init, 2)
    assert (
        f"starts from data/readers/first, which knows {len(ALPHABET)} of {len(ALPHABET)}"
        in capsys.readouterr().out
    )
    weights, other = (
        reader_files.load_reader(study / "data/readers" / name)[0].state_dict()
        for name in ("small", "first")
    )
    kernels = [name for name, tensor in weights.items() if tensor.ndim > 1]
    for name in kernels:
        torch.testing.assert_close(weights[name], other[name], atol=1e-4, rtol=0)
    first = outputs()
    train.train_reader("small", init, 2)
    assert outputs() == first
    train.train_reader("first", LONG, 5)
    train.train_reader("small", init, 2)
    assert outputs() != first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"init": "pretrained/nowhere"},
            "pretrained/nowhere holds no reader .*: name the folder of a trained one",
        ),
        (
            {"init": "data/readers/first", "channels": 12},
            "does not fit: .* architecture and channels of both",
        ),
    ],
)
def test_a_reader_that_cannot_be_started_from_is_refused_in_one_line(
    change: dict[str, Any], message: str, study: Path
) -> None:
    train.train_reader("first", QUICK, 1)
    with pytest.raises(ValueError, match=f"readers: init: .*{message}") as caught:
        train.train_reader("small", replace(QUICK, **change), 1)
    assert "\n" not in str(caught.value)
    assert not (study / "data/readers/small").exists()


@pytest.mark.parametrize("architecture", ["ctc", "heads", "dense"])
def test_training_twice_gives_the_same_bytes(architecture: Any, study: Path) -> None:
    reader = replace(QUICK, architecture=architecture)
    train.train_reader("small", reader, 1)
    first = outputs()
    train.train_reader("small", reader, 1)
    assert outputs() == first
    train.train_reader("small", reader, 2)
    assert outputs() != first


@pytest.mark.parametrize(
    ("train_on", "conditions"), [("clean", {0}), ("noisy", {1}), ("both", {0, 1})]
)
@pytest.mark.usefixtures("study")
def test_a_reader_train_on_what_it_says(train_on: str, conditions: set[int]) -> None:
    split = training_data.open_split("train", train_on)
    tables = [artifacts.read_captchas(path) for path in artifacts.parts_of("train")]
    for part, table in zip(split.parts, tables, strict=True):
        wanted = np.isin(table["condition"].to_numpy(), list(conditions))
        assert (part.images() == artifacts.images_of(table)[wanted]).all()
        texts = np.array(table["text"].to_pylist())[wanted]
        assert [
            "".join(ALPHABET[label - 1] for label in row if label) for row in part.labels
        ] == texts.tolist()
    assert sum(len(part.labels) for part in split.parts) == 40 * len(conditions)


def command(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "stages.train", "small"],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )


@pytest.fixture
def project(study: Path) -> Path:
    """A study with its code, as DVC runs it."""
    shutil.copytree(ROOT / "stages", study / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    yaml = YAML(typ="rt")
    tree = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tree["readers"] = {"small": asdict(LONG)}
    for section in (tree["plot"], tree["explain"], tree["regression"]["references"]):
        section["reader"] = "small"
    yaml.dump(tree, study / "params.yaml")
    return study


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(project: Path) -> None:
    with command(project) as killed:
        assert killed.stdout is not None
        while "epoch 2/8" not in killed.stdout.readline():
            assert killed.poll() is None
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert list((project / ".scratch").glob("*/checkpoint"))
    assert not (project / OUTPUTS[0]).exists()
    with command(project) as again:
        said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert "of an interrupted training" in said
    assert "epoch 2/8" not in said
    assert not list((project / ".scratch").glob("*/checkpoint"))
    resumed = outputs()
    train.train_reader("small", LONG, parse(load_yaml(project / "params.yaml")).seed)
    assert outputs() == resumed


def interrupt(monkeypatch: pytest.MonkeyPatch, reader: ReaderParams = QUICK) -> None:
    """Train until the first checkpoint is written, then fail."""
    write = checkpoints.write_checkpoint

    def fail(folder: Path, content: bytes) -> None:
        write(folder, content)
        raise RuntimeError("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_checkpoint", fail)
        with pytest.raises(RuntimeError, match="interrupted"):
            train.train_reader("small", reader, 1)


@pytest.mark.usefixtures("study")
def test_a_checkpoint_of_other_parameters_or_data_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(monkeypatch)
    train.train_reader("small", replace(QUICK, learning_rate=0.02), 1)
    train.train_reader("small", QUICK, 2)
    write_split("validation", 12, parts=2, seed=1)
    train.train_reader("small", QUICK, 1)
    assert "interrupted" not in capsys.readouterr().out
    write_split("validation", 12, parts=2)
    train.train_reader("small", QUICK, 1)
    assert "going on after epoch 1 of an interrupted training" in capsys.readouterr().out


@pytest.mark.usefixtures("study")
def test_a_checkpoint_in_another_precision_is_told_and_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """auto is bf16 on one machine and fp32 on the next; each goes on from its own checkpoint."""
    monkeypatch.setattr(precision, "multiplies_bf16", lambda device: True)
    interrupt(monkeypatch)
    monkeypatch.setattr(precision, "multiplies_bf16", lambda device: False)
    train.train_reader("small", QUICK, 1)
    said = capsys.readouterr().out
    assert re.search(
        r"/checkpoint was trained in bf16, and this training is in fp32: starting anew\n", said
    )
    assert "epoch 1/2" in said
    assert "interrupted" not in said
    assert json.loads(Path(OUTPUTS[1]).read_text())["training"]["arithmetic"].startswith("fp32 on ")
    train.train_reader("small", replace(QUICK, precision="bf16"), 1)
    said = capsys.readouterr().out
    assert said.count("warning") == said.count("precision is bf16, which") == 1
    assert "going on after epoch 1 of an interrupted training" in said
    assert json.loads(Path(OUTPUTS[1]).read_text())["training"]["arithmetic"].startswith("bf16 on ")


@pytest.mark.usefixtures("study")
def test_a_fresh_start_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(monkeypatch)
    monkeypatch.setenv("CAPTCHA_FRESH", "1")
    train.train_reader("small", QUICK, 1)
    assert "epoch 1/2" in capsys.readouterr().out


def test_a_damaged_checkpoint_is_told_and_not_used(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(monkeypatch)
    (path,) = (study / ".scratch").glob("*/checkpoint")
    path.write_bytes(path.read_bytes()[:1000])
    train.train_reader("small", QUICK, 1)
    said = capsys.readouterr().out
    assert "the checkpoint is damaged" in said
    assert "epoch 1/2" in said


def test_two_trainings_of_one_reader_cannot_run_beside_each_other(study: Path) -> None:
    with (
        checkpoints.locked(Path(".scratch") / "small.lock", "small"),
        pytest.raises(
            ValueError, match=r"another training of reader small is running .*small\.lock.*stop it"
        ),
    ):
        train.train_reader("small", QUICK, 1)
    train.train_reader("small", QUICK, 1)
    assert (study / OUTPUTS[0]).exists()


def test_an_experiment_elsewhere_may_train_the_same_reader_otherwise(
    study: Path, tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As DVC's queue does: other folders, one DVC_ROOT. The same training twice would share a checkpoint."""
    monkeypatch.setenv("DVC_ROOT", str(study))
    elsewhere = tmp_path_factory.mktemp("queued")
    shutil.copytree(study / "data", elsewhere / "data")
    beside: list[str] = []

    def train_elsewhere(folder: Path, content: bytes) -> None:
        del folder, content
        if beside:
            return
        beside.append("started")
        with monkeypatch.context() as patch:
            patch.chdir(elsewhere)
            train.train_reader("small", replace(QUICK, batch=8), 1)
            with pytest.raises(ValueError, match="another training of reader small is running"):
                train.train_reader("small", QUICK, 1)
        beside.append("done")

    monkeypatch.setattr(checkpoints, "write_checkpoint", train_elsewhere)
    train.train_reader("small", QUICK, 1)
    assert beside == ["started", "done"]
    assert (elsewhere / OUTPUTS[0]).read_bytes() != (study / OUTPUTS[0]).read_bytes()


@pytest.mark.parametrize("arguments", [[], ["smal"], ["noisy", "clean"], [""]])
def test_an_unknown_reader_is_refused_with_those_there_are(arguments: list[str]) -> None:
    with pytest.raises(
        ValueError, match=r"takes the name of a reader, one of noisy, clean .*; got"
    ):
        train.reader_name(arguments, ["noisy", "clean"])


def test_the_command_tells_an_unknown_reader_in_one_line(project: Path) -> None:
    shutil.copytree(project / "stages", project / "again" / "stages")
    shutil.copy(project / "params.yaml", project / "again")
    done = subprocess.run(
        [sys.executable, "-m", "stages.train", "large"],
        cwd=project / "again",
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: python -m stages.train takes the name of a reader, one of small"
    )
    assert done.stderr.count("\n") == 1


def test_captchas_without_the_renderings_to_learn_from_are_refused(study: Path) -> None:
    shutil.rmtree(study / "data/captchas/train")
    write_split("train", 10, conditions=1)
    with pytest.raises(
        ValueError, match="train: no captchas to learn from: check train_on and noise"
    ):
        train.train_reader("small", replace(QUICK, train_on="noisy"), 1)


def test_splits_of_other_alphabets_are_refused(study: Path) -> None:
    shutil.rmtree(study / "data/captchas/validation")
    write_split("validation", 10, alphabet="012")
    with pytest.raises(ValueError, match="train and validation differ in alphabet or image size"):
        train.train_reader("small", QUICK, 1)


def test_a_full_disk_leaves_no_half_written_reader(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        train.train_reader("small", QUICK, 1)
    assert [
        path for path in study.rglob("*") if "small" in path.name or path.name.endswith(".tmp")
    ] == []
    assert not list((study / ".scratch").glob("*/checkpoint"))
