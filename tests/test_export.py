"""The export: ONNX Runtime against PyTorch for every architecture, the file's metadata, and bad input in one line."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stages import artifacts, export
from stages.reader.alternatives import classical
from stages.reader.alternatives.classical import class_of
from stages.reader.alternatives.classical_fitting import fit_classical
from stages.reader.architectures import of_family
from stages.reader.decoding import softmax
from stages.reader.inference import NetworkReader
from stages.reader.networks import Network, initialise
from stages.reader_files import Description, load_reader, write_reader

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

ROOT = Path(__file__).resolve().parents[1]
H = 24
W = 52
CPU = torch.device("cpu")
DESCRIPTION = Description("ctc", "01ж", H, W, 4, 2, temperature=1.7)


def pixels(n: int, seed: int = 0, height: int = H, width: int = W) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def network_of(description: Description) -> Network:
    """Random weights, and statistics of batch normalisation that matter when they are folded."""
    generator = torch.Generator().manual_seed(3)
    network = initialise(description.build(), generator=generator)
    with torch.no_grad():
        network.classifier.weight.mul_(30)  # type: ignore[union-attr, operator]  # so that probabilities are not all alike
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3, generator=generator)  # type: ignore[union-attr]
                module.running_var.uniform_(0.2, 2, generator=generator)  # type: ignore[union-attr]
    return network.eval()


def classical_of(kind: str, monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setattr(class_of(kind), "GRID", class_of(kind).GRID[-1:])
    labels = np.random.default_rng(1).integers(1, 4, (60, 2))
    return fit_classical(
        kind,
        (pixels(60), labels),
        (pixels(20, 1), labels[:20]),
        alphabet_size=3,
        positions=2,
        seed=1,
    ).module


@pytest.fixture(scope="module")
def content() -> bytes:
    """The reader of DESCRIPTION, exported once for all."""
    return export.to_onnx(network_of(DESCRIPTION), DESCRIPTION)


def probabilities(content: bytes, folder: Path, images: np.ndarray) -> np.ndarray:
    """What the file says in ONNX Runtime."""
    (folder / "reader.onnx").write_bytes(content)
    return softmax(export.run_onnx(export.open_session(folder / "reader.onnx"), images))


def expected(network: Network, images: np.ndarray, temperature: float) -> np.ndarray:
    return softmax(
        NetworkReader(network, precision="fp32", device=CPU, temperature=temperature).logits(images)
    )


@pytest.mark.parametrize(
    ("architecture", "widths"), [("ctc", (W, W + 9)), ("heads", (W,)), ("dense", (W,))]
)
def test_a_network_says_the_same_in_onnx_runtime(
    architecture: str, widths: tuple[int, ...], content: bytes, tmp_path: Path
) -> None:
    description = replace(DESCRIPTION, architecture=architecture)
    network = network_of(description)
    if description != DESCRIPTION:
        content = export.to_onnx(network, description)
    for n, width in ((n, width) for n in (1, 2, 7) for width in widths):
        images = pixels(n, n, width=width)
        found = probabilities(content, tmp_path, images)
        wanted = expected(network, images, description.temperature)
        assert found.shape == wanted.shape
        assert np.ptp(wanted) > 0.1  # of even probabilities, all would be alike
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", of_family("classical"))
def test_a_classical_reader_says_the_same_in_onnx_runtime(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = classical_of(kind, monkeypatch)
    monkeypatch.setattr(
        type(network), "rows", classical.DISTANCES_IN_MEMORY // 4
    )  # so large that PyTorch reads two at a time
    content = export.to_onnx(network, replace(DESCRIPTION, architecture=kind))
    for n in (1, 33):
        found = probabilities(content, tmp_path, pixels(n, 5))
        wanted = expected(network, pixels(n, 5), DESCRIPTION.temperature)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


def test_a_large_batch_of_faint_images_is_read_to_rounding(tmp_path: Path) -> None:
    """Light images of low contrast: a mean summed in a row, as ONNX Runtime does it, would be off a hundredfold."""
    description = replace(DESCRIPTION, height=64, width=160, temperature=1.0)
    network = network_of(description)
    images = np.where(pixels(40, 2, 64, 160) < 20, 249, 253).astype(np.uint8)
    found = probabilities(export.to_onnx(network, description), tmp_path, images)
    np.testing.assert_allclose(found, expected(network, images, 1.0), rtol=0, atol=1e-5)


def test_the_temperature_is_in_the_logits(content: bytes, tmp_path: Path) -> None:
    warmer = export.to_onnx(network_of(DESCRIPTION), replace(DESCRIPTION, temperature=3.4))
    cold, warm = (probabilities(one, tmp_path, pixels(3)) for one in (content, warmer))
    powers = np.sqrt(cold.astype(np.float64))  # twice as warm
    np.testing.assert_allclose(warm, powers / powers.sum(2, keepdims=True), atol=1e-5)


def test_normalisations_are_folded_and_axes_are_named(content: bytes) -> None:
    model = onnx.load_from_string(content)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    (images,) = model.graph.input
    (logits,) = model.graph.output
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert logits.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    axes = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (images, logits)
    ]
    assert axes == [["batch", 3, H, "width"], ["batch", "columns", 4]]


def test_metadata_come_back_and_nothing_of_this_machine_is_told(content: bytes) -> None:
    found = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    assert found == {
        name: str(asdict(DESCRIPTION)[name])
        for name in ("alphabet", "architecture", "denoise", "height", "temperature", "width")
    }
    assert str(ROOT).encode() not in content
    assert b"site-packages" not in content
    assert content == export.to_onnx(network_of(DESCRIPTION), DESCRIPTION)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader in the working directory."""
    monkeypatch.chdir(tmp_path)
    write_reader(artifacts.READERS / "small", DESCRIPTION, network_of(DESCRIPTION).state_dict(), {})
    return tmp_path


Run = Callable[..., None]


@pytest.fixture
def run_export(study: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the verb on a reader exported already."""
    monkeypatch.setattr(export, "to_onnx", lambda network, description: content)

    def ran(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["export", *words])
        export.main()

    return ran


def test_the_docstring_tells_what_it_reads_writes_and_takes() -> None:
    text = (
        ast.get_docstring(ast.parse((ROOT / "stages/export.py").read_text(encoding="utf-8"))) or ""
    )
    found = [line.split()[0] for line in text.splitlines()[2:5]]
    assert found == ["Reads", "Writes", "Params"]


def test_the_command_says_one_line_and_leaves_one_file(study: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "stages.export", "small"],
        cwd=study,
        text=True,
        capture_output=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("data/readers/small.onnx: 0.0 MB, probabilities within ")
    assert done.stdout.endswith(" of PyTorch's in 128 images\n")
    assert sorted(path.name for path in artifacts.READERS.iterdir()) == ["small", "small.onnx"]
    found = probabilities((artifacts.READERS / "small.onnx").read_bytes(), study, pixels(5, 8))
    network, *_ = load_reader(artifacts.READERS / "small")
    np.testing.assert_allclose(
        found, expected(network, pixels(5, 8), DESCRIPTION.temperature), rtol=0, atol=1e-4
    )


def test_test_captchas_of_the_readers_size_are_read_for_the_check(
    study: Path, captcha_table: Any
) -> None:
    artifacts.write_captchas(artifacts.part_path("test", 0), captcha_table, part=0, parts=1)
    assert [len(images) for images in export.images_to_check(DESCRIPTION)] == [64, 64]
    samples = export.images_to_check(replace(DESCRIPTION, architecture="dense", height=9, width=14))
    assert [images.shape for images in samples] == [(64, 9, 14, 3), (6, 9, 14, 3)]
    np.testing.assert_array_equal(samples[1], artifacts.images_of(captcha_table))


def change(**fields: Any) -> None:
    path = artifacts.READERS / "small/reader.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda logits: logits + np.linspace(0, 0.01, logits.shape[2], dtype=np.float32),
        lambda logits: logits * np.float32(np.nan),
        lambda logits: logits[:, :-1],
    ],
)
def test_another_reading_is_refused_and_the_older_file_stays(
    run_export: Run, monkeypatch: pytest.MonkeyPatch, spoilt: Callable[[np.ndarray], np.ndarray]
) -> None:
    honest = export.run_onnx
    monkeypatch.setattr(export, "run_onnx", lambda session, images: spoilt(honest(session, images)))
    older = artifacts.READERS / "small.onnx"
    older.write_bytes(b"older")
    with pytest.raises(
        ValueError, match=r"small\.onnx: expected probabilities within 0\.0001 of PyTorch's, got"
    ):
        run_export("small")
    assert older.read_bytes() == b"older"
    assert sorted(path.name for path in artifacts.READERS.iterdir()) == ["small", "small.onnx"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("other",), "data/readers has no trained reader 'other': choose another: small"),
        (("../readers/small",), "has no trained reader '../readers/small': choose another: small"),
        (("small", "small.pt"), r"small\.pt: expected a file named \*\.onnx, got \.pt: name it so"),
        (
            ("small", "data/readers/small/it.onnx"),
            "expected a place outside the readers' folders.*: write it to data/read",
        ),
    ],
)
def test_bad_arguments_are_refused_in_one_line(
    run_export: Run, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        run_export(*words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["median", "pca", "nlm", "bilateral", "learned"])
def test_a_reader_with_a_denoiser_is_refused_in_one_line(run_export: Run, method: str) -> None:
    change(denoise=method)
    with pytest.raises(
        ValueError, match=f"got one with the denoiser '{method}', which .*: choose another reader"
    ):
        run_export("small")


def test_a_reader_without_a_network_is_refused_in_one_line(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        export, "read_description", lambda path: replace(DESCRIPTION, architecture="tesseract")
    )
    with pytest.raises(
        ValueError, match="got 'tesseract', which has no network to export: choose another reader"
    ):
        export.check_exportable(artifacts.READERS / "small")


def test_a_missing_package_is_told_with_its_remedy(
    run_export: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ValueError, match="needs onnxscript, not installed: pip install onnxscript"):
        run_export("small")
