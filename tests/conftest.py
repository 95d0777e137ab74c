"""Shared by all tests: one thread per process, order of the files, size of simulations, fixtures of data."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

# Set before NumPy and Torch are imported: two processes with two threads each on two cores block each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pytest

from stages import artifacts
from stages.reader.architectures import ARCHITECTURES

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
OURS = tuple(name for name, one in ARCHITECTURES.items() if one.place.startswith("networks:"))
ANCESTORS = tuple(
    name for name, one in ARCHITECTURES.items() if one.place.startswith("alternatives.ancestors:")
)
LONGEST = (
    "test_study.py",
    "test_plot.py",
    "test_regress.py",
    "test_lab_browser.py",
    "test_train.py",
    "test_export.py",
    "test_explain.py",
    "test_generate.py",
)
Runs = Callable[[int], int]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole",
        action="store_true",
        help="simulations and fuzzing at their full size, not at a tenth",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the longest files first, so that of two processes neither waits for the other at the end."""
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


@pytest.fixture(autouse=True, scope="module")
def _imported_modules_are_no_garbage() -> None:
    """Exclude existing objects from garbage collection: statsmodels triggers a collection at each adjustment of p."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # at exit they are collected again: nanobind reports objects that are left


@pytest.fixture
def runs(request: pytest.FixtureRequest) -> Runs:
    """Number of runs of a test marked `simulation`: with --whole the number that it names, else a tenth."""
    assert request.node.get_closest_marker("simulation"), "mark the test: pytest.mark.simulation"
    share = 1 if request.config.getoption("whole") else 10
    return lambda count: count // share


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder of torchvision's MNIST files; without it, the test is skipped."""
    path = DATA / "mnist"
    if not (path / "MNIST" / "raw").is_dir():
        pytest.skip("real MNIST is not at ../shared/data/mnist")
    return path


@pytest.fixture(scope="session")
def real_captchas() -> Path:
    """A folder of 2,922 real four-digit captchas; without it, the test is skipped."""
    path = DATA / "captcha_ds4"
    if not path.is_dir():
        pytest.skip("real captchas are not at ../shared/data/captcha_ds4")
    return path


@pytest.fixture
def captcha_table() -> pa.Table:
    """Three captchas under two conditions, images of 9 x 14 px."""
    rng = np.random.default_rng(0)
    schema = artifacts.captcha_schema(9, 14, {"alphabet": "0123456789", "source": "test"})
    columns = {
        "captcha": [0, 0, 1, 1, 2, 2], "condition": [0, 1] * 3, "text": ["12", "12", "3", "3", "405", "405"],
        "glyphs": [[1, 2], [1, 2], [3], [3], [4, 0, 5], [4, 0, 5]], "noise": ["none", "fog"] * 3,
        "level": [0.0, 0.5] * 3,
        "colour": ["grey"] * 6, "foreground": [["#000000"]] * 6, "background": ["#ffffff"] * 6, "hue": [[0.0]] * 6,
        "saturation": [[0.0]] * 6, "background_hue": [0.0] * 6, "background_saturation": [0.0] * 6,
        "contrast": [-1.0] * 6, "rmse": [0.0, 0.1] * 3, "ssim": [1.0, 0.8] * 3,
    }  # fmt: skip
    images = rng.integers(0, 256, (6, 9, 14, 3), dtype=np.uint8)
    arrays = [
        artifacts.images_array(images)
        if field.name == "image"
        else pa.array(columns[field.name]).cast(field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
