"""What several test files share: where the real data lie, and a small captcha table."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stages import artifacts

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
LONGEST = ("test_study.py", "test_lab_browser.py", "test_train.py", "test_regress.py")  # of minutes


def pytest_collection_finish() -> None:
    """What is imported by now stays: a collection of garbage need not walk it (statsmodels asks for one a p-value)."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that of two processes neither waits for the other at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder of torchvision's MNIST files; the test skips where it is absent."""
    path = DATA / "mnist"
    if not (path / "MNIST" / "raw").is_dir():
        pytest.skip("real MNIST is not at ../shared/data/mnist")
    return path


@pytest.fixture(scope="session")
def real_captchas() -> Path:
    """A folder of 2,922 real four-digit captchas; the test skips where it is absent."""
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
    arrays = [artifacts.images_array(images) if field.name == "image"
              else pa.array(columns[field.name]).cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
