"""The generate stage: bytes that do not depend on who makes them, and bad input told in one line."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from stages import artifacts

ROOT = Path(__file__).resolve().parents[1]


def setting(where: Path, **changes: Any) -> None:
    """params.yaml with few small captchas; `section__key=value` changes one."""
    yaml = YAML()
    tree = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tree["captcha"].update(train=21, validation=6, test=8, part=6)
    tree["noise"].update(steps=2, types=["gaussian", "elastic", "occlusion"])
    for name, value in changes.items():
        *sections, key = name.split("__")
        branch = tree
        for section in sections:
            branch = branch[section]
        branch[key] = value
    yaml.dump(tree, where / "params.yaml")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    setting(tmp_path)
    return tmp_path


def generate(where: Path, *arguments: str, workers: int = 1, fails: bool = False) -> str:
    environment = {**os.environ, "CAPTCHA_WORKERS": str(workers), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("DVC_ROOT", None)
    done = subprocess.run([sys.executable, "-m", "stages.generate", *arguments], cwd=where, env=environment,
                          capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    if fails:
        assert done.stderr.startswith("error: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    return done.stdout + done.stderr


def hashes(where: Path) -> dict[str, str]:
    return {str(path.relative_to(where)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((where / "data").rglob("*.parquet"))}


def test_any_number_of_workers_and_a_part_made_alone_give_the_same_bytes(study: Path) -> None:
    generate(study, workers=1)
    alone = hashes(study)
    assert len(alone) == 4 + 1 + 2 + 1  # train, validation, test parts and the glyph table
    metrics = (study / "metrics/generate.json").read_text()
    generate(study, workers=3)
    assert hashes(study) == alone
    assert (study / "metrics/generate.json").read_text() == metrics
    (study / "data/captchas/train/part-00002.parquet").unlink()
    generate(study, "train", "2")
    assert hashes(study) == alone


def test_the_tables_keep_the_contract(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(study)
    monkeypatch.chdir(study)
    ids: dict[str, set[int]] = {}
    for split, captchas in (("train", 21), ("validation", 6), ("test", 8)):
        table = pa.concat_tables([artifacts.read_captchas(path) for path in artifacts.parts_of(split)])
        conditions = 7 if split == "test" else 2
        keys = list(zip(table["captcha"].to_pylist(), table["condition"].to_pylist(), strict=True))
        assert keys == [(captcha, condition) for captcha in range(captchas) for condition in range(conditions)]
        assert artifacts.images_of(table.combine_chunks()).shape == (captchas * conditions, 40, 128, 3)
        ids[split] = {glyph for row in table["glyphs"].to_pylist() for glyph in row}
        assert all(len(text) == len(glyphs) == 4 for text, glyphs
                   in zip(table["text"].to_pylist(), table["glyphs"].to_pylist(), strict=True))
    assert not ids["train"] & ids["test"]
    assert not ids["train"] & ids["validation"]
    assert not ids["validation"] & ids["test"]


def test_left_over_parts_are_cleared(study: Path) -> None:
    generate(study)
    setting(study, captcha__train=6)
    generate(study)
    assert len(list((study / "data/captchas/train").iterdir())) == 1


def test_fonts_write_any_alphabet(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting(study, glyphs__source="fonts", glyphs__alphabet="АБҐЄЇ", captcha__length={"min": 1, "max": 3},
            colour__per="character")
    generate(study)
    monkeypatch.chdir(study)
    texts = artifacts.read_captchas(artifacts.part_path("train", 0))["text"].to_pylist()
    assert {len(text) for text in texts} == {1, 2, 3}
    assert set("".join(texts)) <= set("АБҐЄЇ")


def test_real_mnist_can_be_the_source(study: Path, mnist: Path) -> None:
    setting(study, glyphs__source="mnist", glyphs__path=str(mnist))
    generate(study)


def test_real_captchas_can_be_the_source(study: Path, real_captchas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting(study, captcha__source="folder", captcha__path=str(real_captchas), colour__schemes=["original", "grey"])
    generate(study)
    monkeypatch.chdir(study)
    texts = {split: {text for path in artifacts.parts_of(split)
                     for text in artifacts.read_captchas(path)["text"].to_pylist()} for split in artifacts.SPLITS}
    assert not texts["train"] & texts["test"]
    assert not texts["validation"] & (texts["train"] | texts["test"])


@pytest.mark.parametrize(("changes", "complaint"), [
    ({"noise__types": ["gausian"]}, "noise.types.0: expected one of gaussian"),
    ({"colour__schemes": ["blak"]}, "colour.schemes.0: expected one of black_on_white"),
    ({"captcha__width": 40}, "captcha.width, captcha.height: the canvas has 40 x 40 px but"),
    ({"glyphs__alphabet": "0123456789Ж"}, "Ж"),
    ({"glyphs__source": "csv", "glyphs__path": "nowhere.csv"}, "nowhere.csv"),
    ({"captcha__source": "folder", "captcha__path": "stages"}, "stages"),
    ({"captcha__source": "folder", "captcha__path": "stages", "colour__per": "character"}, "colour.per"),
])  # fmt: skip
def test_bad_input_is_one_line(study: Path, changes: dict[str, Any], complaint: str) -> None:
    setting(study, **changes)
    assert complaint in generate(study, fails=True)


@pytest.mark.parametrize("arguments", [("test",), ("test", "99"), ("nowhere", "0"), ("test", "x")])
def test_a_part_that_does_not_exist_is_told(study: Path, arguments: tuple[str, ...]) -> None:
    assert "takes nothing, or a split and a part: train 0..3" in generate(study, *arguments, fails=True)


def test_a_wrong_number_of_workers_is_told(study: Path) -> None:
    environment = {**os.environ, "CAPTCHA_WORKERS": "many"}
    done = subprocess.run([sys.executable, "-m", "stages.generate"], cwd=study, env=environment, capture_output=True,
                          text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: CAPTCHA_WORKERS should be a whole number of at least 1, got 'many'\n"
