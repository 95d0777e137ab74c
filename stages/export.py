"""Write a trained reader as ONNX, for programs without PyTorch, and check that it reads the same there.

Reads   data/readers/<name>; for the check data/captchas/test, where there are any of the reader's size
Writes  data/readers/<name>.onnx, or the file named; one line on standard output
Params  none

`python -m stages.export READER [FILE.onnx]`. The file is next to the reader's folder, not in it: the folder is an
output of DVC, which removes it before each training and would report it as changed. After another training, export
again.

images  (batch, 3, height, width) uint8, RGB, 0 black to 255 white: pixels (n, H, W, 3) through `transpose(0, 3, 1, 2)`
logits  (batch, columns, A + 1) float32, divided by the temperature: their softmax is the calibrated probability.
        Class 0 is CTC's blank, or no character; class a is character a - 1 of the metadata's alphabet.

The batch may have any size, and so may the width for a reader of any length (ctc, compact); other dimensions are fixed.
Metadata: alphabet, architecture, denoise, height, temperature (already applied) and width. Weights are float32, and so
is the comparison with PyTorch. Only readers without a denoiser are exported: median, pca, nlm and bilateral run in
OpenCV, and learned rounds its output to bytes, where a difference in the last bit becomes a step of 1/255 and moved
probabilities by 7e-4.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages import artifacts
from stages.command import run
from stages.reader.architectures import of_family
from stages.reader.batches import Images
from stages.reader.decoding import softmax
from stages.reader.inference import NetworkReader
from stages.reader.networks import Network, fused
from stages.reader_files import Description, load_reader, read_description
from stages.schemas.captchas import Captchas
from stages.sources.images import listing

if TYPE_CHECKING:
    from onnx import ModelProto

PACKAGES = (
    "onnx",
    "onnxscript",
    "onnxruntime",
)  # in requirements-dev.in; only the export needs them
OPSET = 20  # the first with AffineGrid, which the classical readers need; ONNX Runtime has it since 1.17
TOLERANCE = (
    1e-4  # of a probability: float32 sums in another order moved the default readers' by 3e-6
)
CHECKED = 64  # images of each kind that are read for the check
WIDER = 37  # px added to the reader's width, for the check of a reader of any length


class Calibrated(nn.Module):
    """A network with its temperature: images (B, 3, H, W) uint8 to logits (B, S, A + 1)."""

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images) / self.temperature
        return logits


def main() -> None:
    given = arguments(sys.argv[1:])
    require_packages()
    folder = exportable_reader(given.reader)
    description = check_exportable(folder)
    path = given.file or artifacts.READERS / f"{folder.name}.onnx"
    check_path(path)
    network, *_ = load_reader(folder)
    content = to_onnx(network, description)
    reader = NetworkReader(
        network, precision="fp32", device=torch.device("cpu"), temperature=description.temperature
    )
    samples = images_to_check(description)
    with artifacts.replacing(path) as temporary:
        temporary.write_bytes(content)
        difference = max(largest_difference(temporary, reader, images) for images in samples)
        if not difference <= TOLERANCE:  # so that NaN is refused, too
            raise ValueError(
                f"{path}: expected probabilities within {TOLERANCE:g} of PyTorch's, got a difference of "
                f"{difference:.2g}: the file is removed; train the reader again, or try other versions of "
                f"{', '.join(PACKAGES)}"
            )
    print(
        f"{path}: {len(content) / 1e6:.1f} MB, probabilities within {difference:.1g} of PyTorch's in "
        f"{sum(map(len, samples))} images"
    )


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stages.export",
        allow_abbrev=False,
        description="Write a trained reader as ONNX.",
    )
    parser.add_argument("reader", metavar="READER", help=f"one of {artifacts.READERS}")
    parser.add_argument(
        "file",
        metavar="FILE.onnx",
        type=Path,
        nargs="?",
        help=f"where to write it (default: {artifacts.READERS}/READER.onnx)",
    )
    return parser.parse_args(words)


def require_packages() -> None:
    """Raise ValueError where a package that only the export needs is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"the export needs {', '.join(missing)}, not installed: pip install {' '.join(missing)}"
        )


def exportable_reader(name: str) -> Path:
    """The folder of a trained reader. Raises ValueError, with the known names, on another name."""
    known = (
        [entry.name for entry in listing(artifacts.READERS) if entry.is_dir()]
        if artifacts.READERS.is_dir()
        else []
    )
    if name not in known:
        raise ValueError(
            f"{artifacts.READERS} has no trained reader {name!r}: "
            + (f"choose another: {', '.join(known)}" if known else "run `dvc repro`")
        )
    return artifacts.READERS / name


def check_exportable(folder: Path) -> Description:
    """The description of a reader. Raises ValueError where it has no network to export, or has a denoiser."""
    description = read_description(folder / "reader.json")
    known = (*of_family("network"), *of_family("classical"))
    if description.architecture not in known:
        raise ValueError(
            f"{folder}: expected a reader of architecture {', '.join(known)}, got "
            f"{description.architecture!r}, which has no network to export: choose another reader"
        )
    if description.denoise != "none":
        raise ValueError(
            f"{folder}: expected a reader that sees images as they are, got one with the denoiser "
            f"{description.denoise!r}, which ONNX cannot repeat to the byte: choose another reader"
        )
    return description


def check_path(path: Path) -> None:
    """Raise ValueError where the file has another suffix, or is inside an output of DVC."""
    if path.suffix != ".onnx":
        raise ValueError(
            f"{path}: expected a file named *.onnx, got {path.suffix or 'no suffix'}: name it so"
        )
    if artifacts.READERS.resolve() in path.resolve().parent.parents:
        raise ValueError(
            f"{path}: expected a place outside the readers' folders, which are outputs of DVC: write it "
            f"to {artifacts.READERS / path.name}"
        )


def to_onnx(network: Network, description: Description) -> bytes:
    """A fitted reader as an ONNX model, with batch normalisation folded; equal readers give equal bytes.

    `torch.export` traces it (strictly, since the networks use the length of a batch), and `torch.onnx` translates it:
    the older exporter, through TorchScript, is deprecated.
    """
    network = fused(network).cpu()
    network.make_exportable()
    axes = {
        0: torch.export.Dim.DYNAMIC,
        **({3: torch.export.Dim.DYNAMIC} if description.any_length else {}),
    }
    # two images, since a batch of 1 would be traced as a constant
    example = (torch.zeros(2, 3, description.height, description.width, dtype=torch.uint8),)
    with torch.inference_mode(False):
        program = torch.export.export(
            Calibrated(network, description.temperature).eval(),
            example,
            dynamic_shapes=(axes,),
            strict=True,
        )
    rewritten: dict[object, Callable[..., Tensor]] = {torch.ops.aten.mean.dim: _mean_by_axis}
    if network.double_precision:
        rewritten[torch.ops.aten.avg_pool2d.default] = _mean_of_blocks
    program = program.run_decompositions(rewritten)
    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=["images"],
        output_names=["logits"],
    )
    if exported is None:
        raise ValueError(
            f"torch.onnx gave no model of a {description.architecture} reader: try another torch"
        )
    return _finished(exported.model_proto, description)


def _mean_by_axis(x: Tensor, axes: Sequence[int], keepdim: bool = False) -> Tensor:
    """A mean over several axes, computed one axis after the other.

    ONNX Runtime sums all terms of a mean sequentially: over an image of 40 x 128 px, rounding moved probabilities by
    9e-5 where the contrast is low. PyTorch sums pairwise, and stays within 2e-6.
    """
    # the last first, so that the other axes keep their numbers
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = torch.ops.aten.sum.dim_IntList(x, [axis], keepdim) / x.shape[axis]
    return x


def _mean_of_blocks(x: Tensor, size: Sequence[int], *_: object) -> Tensor:
    """Average pooling of whole blocks, as in `character_crops.features`; ONNX Runtime does not pool float64."""
    height = x.shape[2] // size[0]
    width = x.shape[3] // size[1]
    return x.reshape(x.shape[0], x.shape[1], height, size[0], width, size[1]).sum((3, 5)) / (
        size[0] * size[1]
    )


def _finished(model: ModelProto, description: Description) -> bytes:
    """The serialised model with our metadata in place of the exporter's, which contains paths of this machine."""
    import onnx

    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
    graph.ClearField("value_info")  # intermediate shapes, which every runtime infers
    for value, names in (
        (graph.input[0], ("batch", "channels", "height", "width")),
        (graph.output[0], ("batch", "columns", "classes")),
    ):
        for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if axis.dim_param:  # of any size
                axis.dim_param = name
    onnx.helper.set_model_props(
        model,
        {
            name: str(getattr(description, name))
            for name in ("alphabet", "architecture", "denoise", "height", "temperature", "width")
        },
    )
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def images_to_check(description: Description) -> list[Images]:
    """Random images, also of another width for a reader of any length, and test captchas where they have its size."""
    rng = np.random.default_rng(0)
    widths = [description.width, *([description.width + WIDER] if description.any_length else [])]
    samples = [
        rng.integers(0, 256, (CHECKED, description.height, width, 3), np.uint8) for width in widths
    ]
    if (artifacts.CAPTCHAS / "test").is_dir():
        table = artifacts.read_captchas(artifacts.parts_of("test")[0], [Captchas.image])
        if artifacts.image_size(table.schema, artifacts.CAPTCHAS) == (
            description.height,
            description.width,
        ):
            samples.append(artifacts.images_of(table)[:CHECKED])
    return samples


def largest_difference(path: Path, reader: NetworkReader, images: Images) -> float:
    """The largest difference of probabilities between ONNX Runtime and the reader; infinite where shapes differ.

    The images (n, H, W, 3) are read as one batch, and the first one again as a batch of 1.
    """
    differences = []
    for some in (images, images[:1]):
        expected = reader.logits(some)
        found = run_onnx(open_session(path), some)
        differences.append(
            float(np.abs(softmax(found) - softmax(expected)).max())
            if found.shape == expected.shape
            else np.inf
        )
    return float(np.max(differences))  # NaN where one difference is NaN


class Session(Protocol):
    """The part of onnxruntime.InferenceSession, which is untyped, that is used here."""

    def run(self, outputs: list[str], inputs: dict[str, Images]) -> list[NDArray[np.float32]]: ...


def open_session(path: Path, threads: int = 1) -> Session:
    """An onnxruntime.InferenceSession on the CPU."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session: Session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    return session


def run_onnx(session: Session, images: Images) -> NDArray[np.float32]:
    """Logits (n, S, A + 1) of images (n, H, W, 3), as one batch."""
    return session.run(["logits"], {"images": images.transpose(0, 3, 1, 2)})[0]


if __name__ == "__main__":
    run(main)
