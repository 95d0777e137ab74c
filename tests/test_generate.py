"""The generate stage: bytes that do not depend on who makes them, and bad input told in one line."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from ruamel.yaml import YAML

from stages import artifacts, params
from stages import generate as stage

ROOT = Path(__file__).resolve().parents[1]


def setting(where: Path, **changes: Any) -> None:
    """params.yaml with few small captchas; `section__key=value` changes one."""
    yaml = YAML()
    tree = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tree["captcha"].update(train=21, validation=6, test=8, captchas_per_part=6)
    tree["noise"].update(steps=2, types=["gaussian", "elastic", "occlusion"])
    for name, value in changes.items():
        *sections, key = name.split("__")
        branch = tree
        for section in sections:
            branch = branch[section]
        branch[key] = value
    yaml.dump(tree, where / "params.yaml")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        params, "refuse_foreign_code", lambda: None
    )  # the code is here, the study is there
    monkeypatch.delenv("DVC_ROOT", raising=False)
    setting(tmp_path)
    return tmp_path


@pytest.fixture
def project(study: Path) -> Path:
    """The study with its code, as DVC runs it."""
    shutil.copytree(ROOT / "stages", study / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    return study


def process(where: Path, workers: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CAPTCHA_WORKERS": workers, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "stages.generate"],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def generate(*arguments: str) -> None:
    """The stage in this process, with one worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["generate", *arguments])
        patch.setenv("CAPTCHA_WORKERS", "1")
        stage.main()


def refused(*arguments: str) -> str:
    """The message of the error that the stage ends in."""
    with pytest.raises(ValueError, match=r".") as error:
        generate(*arguments)
    return " ".join(str(error.value).split())


def hashes(where: Path) -> dict[str, str]:
    return {
        str(path.relative_to(where)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((where / "data").rglob("*.parquet"))
    }


def test_any_number_of_workers_and_a_part_made_alone_give_the_same_bytes(project: Path) -> None:
    generate()
    alone = hashes(project)
    assert len(alone) == 4 + 1 + 2 + 1  # train, validation, test parts and the glyph table
    done = process(project, workers="3")
    assert done.returncode == 0, done.stderr
    assert hashes(project) == alone
    (project / "data/captchas/train/part-00002.parquet").unlink()
    generate("train", "2")
    assert hashes(project) == alone


def test_the_tables_keep_the_contract(study: Path) -> None:
    generate()
    ids: dict[str, set[int]] = {}
    for split, captchas in (("train", 21), ("validation", 6), ("test", 8)):
        table = pa.concat_tables(
            [artifacts.read_captchas(path) for path in artifacts.parts_of(split)]
        )
        conditions = 7 if split == "test" else 2
        keys = list(zip(table["captcha"].to_pylist(), table["condition"].to_pylist(), strict=True))
        assert keys == [
            (captcha, condition) for captcha in range(captchas) for condition in range(conditions)
        ]
        assert artifacts.images_of(table.combine_chunks()).shape == (
            captchas * conditions,
            40,
            128,
            3,
        )
        ids[split] = {glyph for row in table["glyphs"].to_pylist() for glyph in row}
        assert all(
            len(text) == len(glyphs) == 4
            for text, glyphs in zip(
                table["text"].to_pylist(), table["glyphs"].to_pylist(), strict=True
            )
        )
    assert not ids["train"] & ids["test"]
    assert not ids["train"] & ids["validation"]
    assert not ids["validation"] & ids["test"]


def test_left_over_parts_are_cleared(study: Path) -> None:
    generate()
    setting(study, captcha__train=6)
    generate()
    assert len(list((study / "data/captchas/train").iterdir())) == 1


def test_fonts_write_any_alphabet(study: Path) -> None:
    setting(
        study,
        glyphs__source="fonts",
        glyphs__alphabet="АБҐЄЇ",
        captcha__length={"min": 1, "max": 3},
        colour__per="character",
    )
    generate()
    texts = artifacts.read_captchas(artifacts.part_path("train", 0))["text"].to_pylist()
    assert {len(text) for text in texts} == {1, 2, 3}
    assert set("".join(texts)) <= set("АБҐЄЇ")


def test_look_alikes_are_all_drawn_and_labelled_as_one(study: Path) -> None:
    setting(
        study,
        glyphs__source="fonts",
        glyphs__alphabet="0OoAaB",
        captcha__fold="0O",
        captcha__case="fold",
        captcha__train=24,
        captcha__length={"min": 2, "max": 2},
        noise__types=["impulse", "gaussian_hit"],
    )
    generate()
    tables = [artifacts.read_captchas(path) for path in artifacts.parts_of("train")]
    assert {artifacts.alphabet_of(table.schema) for table in tables} == {"0AB"}
    texts = [text for table in tables for text in table["text"].to_pylist()[::2]]
    for position in (
        0,
        1,
    ):  # of 24 captchas each character that is drawn has 4: three count as 0, two as A
        assert Counter(text[position] for text in texts) == {"0": 12, "A": 8, "B": 4}
    glyphs = pq.read_table("data/glyphs.parquet")
    assert glyphs["label"].to_pylist() == list("0OoAaB")
    assert set(tables[0]["noise"].to_pylist()) == {"none", "impulse", "gaussian_hit"}


def captcha_folder(where: Path, *labels: str) -> str:
    where.mkdir()
    for i, label in enumerate(labels):
        Image.fromarray(np.full((20, 60, 3), 20 + 10 * i, np.uint8)).save(
            where / f"{label}.{i}.png"
        )
    return str(where)


def test_labels_that_fold_into_one_are_in_one_split(study: Path) -> None:
    labels = [first + second for first in "aAbB" for second in "cCdDeE"]
    setting(
        study,
        captcha__source="folder",
        captcha__path=captcha_folder(study / "found", *labels),
        glyphs__alphabet="abcdeABCDE",
        captcha__case="fold",
        regression__references__digit="a",
    )
    generate()
    split_of: dict[str, set[str]] = {}
    count = 0
    for split in artifacts.SPLITS:
        for path in artifacts.parts_of(split):
            texts = artifacts.read_captchas(path)["text"].to_pylist()
            count += len(texts) // (7 if split == "test" else 2)
            for text in texts:
                split_of.setdefault(text, set()).add(split)
    assert set(split_of) == {"ac", "ad", "ae", "bc", "bd", "be"}
    assert all(len(splits) == 1 for splits in split_of.values())
    assert count > 12


def test_labels_that_leave_a_split_empty_are_told(study: Path) -> None:
    setting(
        study,
        captcha__source="folder",
        captcha__path=captcha_folder(study / "found", "aB", "Ab", "AB", "ab"),
        glyphs__alphabet="abAB",
        captcha__case="fold",
        regression__references__digit="a",
    )
    assert "captcha.fold, captcha.case: 1 distinct label(s) are left and none for" in refused()


def test_stretched_captchas_fill_their_canvas(study: Path) -> None:
    setting(
        study,
        captcha__fit="stretch",
        captcha__height=50,
        captcha__width=64,
        colour__schemes=["white_on_black"],
    )
    generate("validation", "0")
    images = artifacts.images_of(artifacts.read_captchas(artifacts.part_path("validation", 0)))[
        ::2
    ]  # the clean ones
    assert images.shape == (6, 50, 64, 3)
    for image in images:
        rows, columns = np.nonzero(image.max(axis=2) > 60)
        assert np.ptp(rows) > 50 * 0.8 - 2  # 2 px are left above and below of at least 20 px of ink
        assert np.ptp(columns) > 64 * 0.9 - 2


def test_real_mnist_can_be_the_source(study: Path, mnist: Path) -> None:
    setting(study, glyphs__source="mnist", glyphs__path=str(mnist))
    generate()


def test_real_captchas_can_be_the_source(study: Path, real_captchas: Path) -> None:
    setting(
        study,
        captcha__source="folder",
        captcha__path=str(real_captchas),
        colour__schemes=["original", "grey"],
    )
    generate()
    texts = {
        split: {
            text
            for path in artifacts.parts_of(split)
            for text in artifacts.read_captchas(path)["text"].to_pylist()
        }
        for split in artifacts.SPLITS
    }
    assert not texts["train"] & texts["test"]
    assert not texts["validation"] & (texts["train"] | texts["test"])


@pytest.mark.parametrize(("changes", "complaint"), [
    ({"noise__types": ["gausian"]}, "noise.types.0: expected one of gaussian"),
    ({"colour__schemes": ["blak"]}, "colour.schemes.0: expected one of black_on_white"),
    ({"captcha__width": 40}, "captcha.width, captcha.height: the canvas has 40 x 40 px but"),
    ({"glyphs__alphabet": "0123456789Ж"}, "Ж"),
    ({"captcha__fold": "0O"}, "captcha.fold: 'O' is not in glyphs.alphabet '0123456789': add it there"),
    ({"captcha__fold": "10", "regression__references__digit": "1"}, "regression.references.digit: '1' counts as '0'"),
    ({"glyphs__source": "csv", "glyphs__path": "nowhere.csv"}, "nowhere.csv"),
    ({"captcha__source": "folder", "captcha__path": "stages"}, "stages"),
    ({"captcha__source": "folder", "captcha__path": "stages", "colour__per": "character"}, "colour.per"),
])  # fmt: skip
def test_bad_input_is_one_line(study: Path, changes: dict[str, Any], complaint: str) -> None:
    (study / "stages").mkdir()
    (study / "stages" / "train.py").touch()
    setting(study, **changes)
    assert complaint in refused()


@pytest.mark.parametrize("arguments", [("test",), ("test", "99"), ("nowhere", "0"), ("test", "x")])
def test_a_part_that_does_not_exist_is_told(study: Path, arguments: tuple[str, ...]) -> None:
    assert "takes nothing, or a split and a part: train 0..3" in refused(*arguments)


def test_a_wrong_number_of_workers_is_told_by_the_command_in_one_line(project: Path) -> None:
    done = process(project, workers="many")
    assert done.returncode == 1
    assert (
        done.stderr == "error: CAPTCHA_WORKERS should be a whole number of at least 1, got 'many'\n"
    )
