"""The read verb: what it prints against what the reader was built to say, and bad input as lines of their own."""

from __future__ import annotations

import ast
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stages import artifacts, params, read
from stages.reader import precision
from stages.reader.alternatives import tesseract
from stages.reader.alternatives.external import ExternalReader
from stages.reader.decoding import Readings
from stages.reader.inference import NetworkReader
from stages.reader.networks import initialise
from stages.reader.precision import choose_precision
from stages.reader.protocol import TextPrediction
from stages.reader_files import Description, load_reader, write_reader
from stages.sources.images import read_image
from stages.sources.labelled_captchas import load_captchas, to_canvas

ROOT = Path(__file__).resolve().parents[1]
H = 24
W = 50
ALPHABET = "01ж"
SAYS = np.array(
    [[0.02, 0.96, 0.01, 0.01], [0.7, 0.1, 0.1, 0.1], [0.05, 0.02, 0.03, 0.9]]
)  # "0", nothing, "ж"


def write_constant_reader(name: str, posterior: np.ndarray) -> None:
    """A reader that reads the same in every image: posterior (positions, A + 1), of every column for one row."""
    description = Description(
        "heads" if len(posterior) > 1 else "ctc", ALPHABET, H, W, 4, len(posterior)
    )
    network: Any = initialise(description.build(), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.classifier.weight.zero_()
        network.classifier.bias.copy_(torch.tensor(np.log(posterior).ravel()))
    write_reader(artifacts.READERS / name, description, network.state_dict(), {})


def write_random_reader(name: str, architecture: str) -> None:
    description = Description(architecture, ALPHABET, H, W, 4, 3)
    network: Any = initialise(description.build(), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        network.classifier.weight.mul_(8)  # so that it does not say nothing everywhere
    write_reader(artifacts.READERS / name, description, network.state_dict(), {})


def picture(seed: int, size: tuple[int, int] = (30, 61)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Readers and a folder of five images, in the working directory; read in fp32, so that probabilities are exact."""
    monkeypatch.setattr(precision, "multiplies_bf16", lambda device: False)
    monkeypatch.chdir(tmp_path)
    write_constant_reader("fixed", SAYS)
    images = tmp_path / "images"
    (images / "deeper").mkdir(parents=True)
    for i, name in enumerate(("010.png", "001.2.png", "001.png", "ж1.bmp", "110.gif")):
        picture(i).save(images / name)
    picture(9).save(images / "deeper/000.png")
    picture(9).save(images / ".hidden.png")
    (images / "notes.txt").write_text("no image")
    return tmp_path


Ran = tuple[int, list[str], list[str]]
Run = Callable[..., Ran]


@pytest.fixture
def run_read(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run the verb; exit status, lines of stdout, lines of stderr."""

    def ran(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["read", *words])
        status = 0
        try:
            read.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return ran


def test_the_docstring_tells_what_it_reads_writes_and_takes() -> None:
    text = ast.get_docstring(ast.parse((ROOT / "stages/read.py").read_text(encoding="utf-8"))) or ""
    assert [line.split()[0] for line in text.splitlines()[2:5]] == ["Reads", "Writes", "Params"]


def test_a_folder_is_its_images_in_name_order(run_read: Run) -> None:
    status, lines, errors = run_read("--reader", "fixed", "images")
    assert (status, errors) == (0, [])
    names = ["001.2.png", "001.png", "010.png", "110.gif", "ж1.bmp"]
    # the probability of "0ж": both characters and a gap, wherever that stands
    expected = 0.96 * 0.7 * 0.9 + 0.02 * 0.1 * 0.9 + 0.96 * 0.1 * 0.05
    assert lines == [f"{Path('images') / name}\t0ж\t{expected:.3f}\tnot sure" for name in names]


def test_paths_are_read_in_the_order_given(run_read: Run) -> None:
    _, lines, _ = run_read(
        "--reader", "fixed", "images/110.gif", "images/001.png", "images/110.gif"
    )
    assert [line.split("\t")[0] for line in lines] == [
        "images/110.gif",
        "images/001.png",
        "images/110.gif",
    ]


def test_it_is_sure_from_the_probability_of_the_text_on(run_read: Run) -> None:
    assert run_read("--reader", "fixed", "--sure", "0.60", "images/001.png")[1] == [
        "images/001.png\t0ж\t0.611"
    ]
    assert run_read("--reader", "fixed", "--sure", "0.62", "images/001.png")[1][0].endswith(
        "\t0.611\tnot sure"
    )


def test_an_empty_reading_is_never_sure(run_read: Run) -> None:
    write_constant_reader("silent", np.array([[0.9997, 0.0001, 0.0001, 0.0001]]))
    status, (line,), _ = run_read("--reader", "silent", "images/001.png")
    assert status == 0
    _, text, confidence, words = line.split("\t")
    assert (text, words) == ("", "not sure")
    assert float(confidence) == pytest.approx(0.9997**13, abs=1e-3)


def test_the_top_texts_follow_with_their_probabilities(run_read: Run) -> None:
    _, (line,), _ = run_read("--reader", "fixed", "--top", "2", "--sure", "0", "images/001.png")
    columns = line.split("\t")
    assert columns[:6] == ["images/001.png", "0ж", "0.611", "", "0ж", "0.611"]
    text, probability = columns[6:]
    rivals = [0.96 * p * 0.9 for p in SAYS[1, 1:]]  # of "00ж", "01ж" and "0жж"
    assert text in ("00ж", "01ж", "0жж")
    assert float(probability) == pytest.approx(max(rivals), abs=5e-4)


def test_json_is_an_object_a_line(run_read: Run) -> None:
    status, lines, errors = run_read("--json", "--reader", "fixed", "--top", "40", "images")
    assert (status, errors, len(lines)) == (0, [], 5)
    reading = json.loads(lines[0])
    assert list(reading) == ["path", "text", "confidence", "characters", "sure", "top"]
    assert reading["path"] == "images/001.2.png"
    assert reading["text"] == "0ж"
    assert reading["characters"] == [
        {"character": "0", "confidence": pytest.approx(0.96, abs=1e-6)},
        {"character": "ж", "confidence": pytest.approx(0.9, abs=1e-6)},
    ]
    assert reading["sure"] is False
    assert reading["top"][0] == {"text": "0ж", "probability": reading["confidence"]}
    assert (
        len(reading["top"]) == 40 == len({candidate["text"] for candidate in reading["top"]})
    )  # 1 + 3 + 9 + 27
    probabilities = [candidate["probability"] for candidate in reading["top"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-4)
    assert json.loads(run_read("--json", "--reader", "fixed", "images/001.png")[1][0])["top"] == []


@pytest.mark.parametrize("architecture", ["ctc", "heads", "dense"])
def test_the_text_is_what_the_reader_reads_in_the_image_it_would_learn_from(
    run_read: Run, architecture: str
) -> None:
    write_random_reader("random", architecture)
    _, lines, _ = run_read("--reader", "random", "--json", "images")
    learned = load_captchas(
        "images",
        alphabet=ALPHABET,
        height=H,
        width=W,
        validation=0.3,
        test=0.3,
        rng=np.random.default_rng(0),
    )
    network, _, _ = load_reader(artifacts.READERS / "random")
    cpu = torch.device("cpu")
    expected = NetworkReader(network, precision=choose_precision("auto", cpu), device=cpu).read(
        learned.images
    )
    found = [json.loads(line) for line in lines]
    assert [Path(reading["path"]).name for reading in found] == learned.names
    assert any(len(reading["text"]) for reading in found)
    for reading, labels, confidence in zip(
        found, expected.labels, expected.confidence, strict=True
    ):
        assert [ALPHABET.index(character) + 1 for character in reading["text"]] == labels[
            labels > 0
        ].tolist()
        assert [one["confidence"] for one in reading["characters"]] == pytest.approx(
            confidence[labels > 0].tolist(), rel=1e-4
        )


class Outsider(ExternalReader):
    """Reads "0ж" in the first image and nothing in the others."""

    def predict(self, images: np.ndarray, top: int = 0) -> TextPrediction:
        labels = np.zeros((len(images), 2), np.int64)
        labels[0] = [1, 3]
        first: list[tuple[tuple[int, ...], float]] = [((1, 3), 0.92)]
        probability = np.append(0.92, np.zeros(len(images) - 1))
        return TextPrediction(
            Readings(labels, (labels > 0) * np.float32(0.96)),
            probability,
            [first[:top], *([] for _ in images[1:])],
        )


def test_an_outside_reader_is_asked_in_the_same_words(
    run_read: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reader(
        artifacts.READERS / "outside", Description("tesseract", ALPHABET, H, W, 4, 2), {}, {}
    )
    monkeypatch.setattr(tesseract, "Tesseract", lambda *given, **more: Outsider())
    status, lines, errors = run_read(
        "--reader", "outside", "--top", "3", "images/001.png", "images/110.gif"
    )
    assert (status, errors) == (0, [])
    assert lines == ["images/001.png\t0ж\t0.920\t\t0ж\t0.920", "images/110.gif\t\t0.000\tnot sure"]
    first, second = map(
        json.loads, run_read("--reader", "outside", "--json", "images/001.png", "images/110.gif")[1]
    )
    assert first["characters"] == [
        {"character": one, "confidence": pytest.approx(0.96)} for one in "0ж"
    ]
    assert (first["sure"], first["top"]) == (True, [])
    assert (second["text"], second["characters"], second["sure"]) == ("", [], False)


def test_an_outside_reader_that_is_not_here_is_one_line(
    run_read: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reader(
        artifacts.READERS / "outside", Description("tesseract", ALPHABET, H, W, 4, 2), {}, {}
    )
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ValueError, match=r"tesseract.*: install it \(apt-get install tesseract-ocr"
    ):
        run_read("--reader", "outside", "images")


def test_images_of_any_size_and_kind_reach_the_reader_as_in_training(
    run_read: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    logits = NetworkReader.logits
    monkeypatch.setattr(
        NetworkReader,
        "logits",
        lambda self, images: seen.append(images.copy()) or logits(self, images),
    )
    alpha = picture(1, (480, 1000)).convert("RGBA")
    alpha.putalpha(128)
    alpha.save("large.png")
    picture(2, (1, 1)).save("dot.png")
    picture(3).save("moving.gif", save_all=True, append_images=[picture(4)])
    files = ["large.png", "dot.png", "moving.gif"]
    assert run_read("--reader", "fixed", *files)[0] == 0
    np.testing.assert_array_equal(
        seen[0], [to_canvas(read_image(Path(file)), H, W) for file in files]
    )


def test_batches_change_no_reading_and_hold_no_more_than_allowed(
    run_read: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_random_reader("random", "ctc")
    together = run_read("--reader", "random", "images")
    sizes = []
    logits = NetworkReader.logits
    monkeypatch.setattr(
        NetworkReader,
        "logits",
        lambda self, images: sizes.append(len(images)) or logits(self, images),
    )
    monkeypatch.setattr(read, "MEMORY", 2 * H * W * 3 + 1)
    status, lines, errors = run_read("--reader", "random", "images")
    assert (status, lines) == together[:2]
    assert sizes == [2, 2, 1]
    assert [error.split(",")[0] for error in errors] == ["read 2 of 5 images", "read 4 of 5 images"]
    monkeypatch.setattr(read, "MEMORY", 1)  # less than one
    assert run_read("--reader", "random", "images")[1] == together[1]


def test_what_cannot_be_read_is_a_line_and_the_others_are_read(run_read: Run) -> None:
    Path("empty").mkdir()
    whole = Path("images/010.png").read_bytes()
    Path("images/broken.png").write_bytes(whole[: len(whole) // 2])
    Path("images/text.png").write_text("no image")
    status, lines, errors = run_read("--reader", "fixed", "gone.png", "empty", "images")
    assert status == 1
    assert len(lines) == 5
    gone, damaged, text = (
        next(error for error in errors if name in error)
        for name in ("gone.png", "broken.png", "text.png")
    )
    assert gone.startswith("error: gone.png: expected an image, but the file does not exist")
    assert damaged.startswith("error: images/broken.png: expected an image, could not decode it")
    assert text.startswith("error: images/text.png: expected an image")
    assert "got something else" in text
    assert errors[0].startswith("error: empty: expected a folder of images (.png, ")
    assert len(errors) == 4


def test_nothing_readable_at_all_is_exit_one_without_a_line(run_read: Run) -> None:
    assert run_read("--reader", "fixed", "gone.png")[:2] == (1, [])


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may list any folder"
)
def test_a_closed_folder_is_a_line(run_read: Run) -> None:
    Path("closed").mkdir(mode=0o000)
    status, lines, (error,) = run_read("--reader", "fixed", "closed", "images/001.png")
    assert (status, len(lines)) == (1, 1)
    assert error.startswith(
        "error: closed: expected an image or a folder of images, got none (Permission denied)"
    )


def test_a_name_that_cannot_be_looked_up_is_a_line(run_read: Run) -> None:
    status, lines, (error,) = run_read("--reader", "fixed", "x" * 300, "images/001.png")
    assert (status, len(lines)) == (1, 1)
    assert error.startswith("error: xxx")


def test_names_command_no_terminal_and_break_no_line(run_read: Run) -> None:
    hostile = "a\tb\nc\x1b[2Jж.png"
    shutil.copy("images/001.png", hostile)
    _, (line,), _ = run_read("--reader", "fixed", hostile)
    assert line.split("\t")[0] == r"a\tb\nc\x1b[2Jж.png"
    assert json.loads(run_read("--reader", "fixed", "--json", hostile)[1][0])["path"] == hostile
    _, _, (error,) = run_read("--reader", "fixed", "gone\x1b[2J.png")
    assert r"gone\x1b[2J.png" in error


def test_other_aspect_ratios_are_told_in_one_line(run_read: Run) -> None:
    picture(0, (40, 40)).save("square.png")  # 2.08 times narrower
    picture(0, (24, 74)).save("just.png")  # 1.48 times wider
    picture(0, (24, 76)).save("wide.png")  # 1.52 times wider
    status, lines, (note,) = run_read(
        "--reader", "fixed", "just.png", "square.png", "wide.png", "images/001.png"
    )
    assert (status, len(lines)) == (0, 4)
    assert note.startswith("note: 2 of 4 images differ in aspect ratio by more than 1.5 times")
    assert note.endswith("the first is square.png, 40 x 40 px")


def test_the_reader_of_plot_is_the_default(run_read: Run) -> None:
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    loaded: Any = params.load_yaml(Path("params.yaml"))
    default = loaded["plot"]["reader"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(params, "refuse_foreign_code", lambda: None)
        with pytest.raises(
            ValueError,
            match=rf"^data/readers has no trained reader '{default}': choose another "
            r"with --reader: fixed$",
        ):
            run_read("images")
        write_constant_reader(default, np.array([[0.1, 0.9 - 1e-3, 5e-4, 5e-4]]))
        status, lines, _ = run_read("images/001.png")
    assert status == 0
    assert lines[0].split("\t")[1] == "0"


def test_an_unknown_reader_is_told_with_those_there_are(run_read: Run) -> None:
    for name in ("unknown", "", ".", "../readers/fixed", "fixed/"):
        with pytest.raises(
            ValueError, match=rf"^data/readers has no trained reader '{name}': .*: fixed$"
        ):
            run_read("--reader", name, "images")
    shutil.rmtree("data")
    with pytest.raises(ValueError, match=r"'fixed': run `dvc repro`$"):
        run_read("--reader", "fixed", "images")


def test_a_damaged_reader_is_one_line(run_read: Run) -> None:
    weights = artifacts.READERS / "fixed/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"weights.safetensors is damaged"):
        run_read("--reader", "fixed", "images")
    (artifacts.READERS / "fixed/reader.json").unlink()
    with pytest.raises(ValueError, match=r"reader.json is missing"):
        run_read("--reader", "fixed", "images")


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_a_reader_whose_numbers_overflow_is_refused(run_read: Run) -> None:
    network, description, _ = load_reader(artifacts.READERS / "fixed")
    weights = {
        name: torch.full_like(tensor, 3e38) if name == "classifier.weight" else tensor
        for name, tensor in network.state_dict().items()
    }
    write_reader(artifacts.READERS / "huge", description, weights, {})
    with pytest.raises(ValueError, match="not finite: train it again"):
        run_read("--reader", "huge", "images")


@pytest.mark.parametrize(("words", "told"), [
    ([], "the following arguments are required: PATH"),
    (["--top", "0", "images"], "argument --top: expected a whole number from 1 to 100, got '0'"),
    (["--top", "-1", "images"], "argument --top: expected a whole number from 1 to 100, got '-1'"),
    (["--top", "2.5", "images"], "argument --top: expected a whole number from 1 to 100, got '2.5'"),
    (["--top", "101", "images"], "argument --top: expected a whole number from 1 to 100, got '101'"),
    (["--sure", "1.01", "images"], "argument --sure: expected a probability from 0 to 1, got '1.01'"),
    (["--sure", "-0.1", "images"], "argument --sure: expected a probability from 0 to 1, got '-0.1'"),
    (["--sure", "nan", "images"], "argument --sure: expected a probability from 0 to 1, got 'nan'"),
    (["--sure", "90%", "images"], "argument --sure: expected a probability from 0 to 1, got '90%'"),
    (["--tpo", "2", "images"], "unrecognized arguments: --tpo"),
])  # fmt: skip
def test_wrong_arguments_are_exit_two_and_say_what_was_expected(
    run_read: Run, words: list[str], told: str
) -> None:
    status, lines, errors = run_read(*words)
    assert (status, lines) == (2, [])
    assert told in errors[-1]


@pytest.mark.usefixtures("study")
def test_a_terminal_that_lacks_the_letters_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["read", "--reader", "fixed", "images/ж1.bmp"])
    read.main()
    assert shown.getvalue() == rb"images/\u04361.bmp" + b"\t" + rb"0\u0436" + b"\t0.611\tnot sure\n"


@pytest.mark.usefixtures("study")
def test_it_ends_quietly_when_nobody_listens_any_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    monkeypatch.setattr(sys, "argv", ["read", "--reader", "fixed", "images"])
    with open(theirs, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as stop:
            read.main()
    assert stop.value.code == 141
    assert capsys.readouterr().err == ""
