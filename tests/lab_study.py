"""A small study with other readers, noises and letters than the default study, as artifacts in a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from lab_in_browser import git
from ruamel.yaml import YAML

from stages.figures.classification_figures import classification_table
from stages.figures.confusion import confusion_table
from stages.lab.app import create_app
from stages.lab.loaded_readers import Desk
from stages.schemas.regress import Thresholds

SVG = '<svg width="300pt" height="200pt" viewBox="0 0 300 200" xmlns="http://www.w3.org/2000/svg"><rect/></svg>'
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
PARAMS = {
    "seed": 7,
    "glyphs": {"source": "fonts", "path": "", "alphabet": "абв"},
    "captcha": {"height": 33, "width": 90, "length": {"min": 2, "max": 5}},
    "noise": {"types": ["hail", "dusk"], "level": 0.6, "steps": 3, "unseen": ""},
    "readers": {"first": {"epochs": 3}, "second": {"epochs": 4}},
    "regression": {"confidence": 0.9},
}
METRICS = {
    "exact_match": 0.5,
    "exact_match_low": 0.4,
    "exact_match_high": 0.6,
    "brier_score": 0.125,
}


def write(path: Path | str, content: str | bytes) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_yaml(path: str, tree: Any) -> None:
    with Path(path).open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(tree, file)


def write_lock(params: Any = PARAMS) -> None:
    """Write the dvc.lock of a run with these parameters and the existing files as results."""
    outs = [
        {
            "path": path,
            "hash": "md5",
            "md5": hashlib.md5(Path(path).read_bytes()).hexdigest(),
            "size": Path(path).stat().st_size,
        }
        for path in ("plots/train/first.json", "plots/report.html")
    ]
    code = [{"path": "stages/some.py", "md5": hashlib.md5(b"code").hexdigest(), "size": 4}]
    stale = {"outs": [{"path": "data/readers/gone", "md5": "0", "size": 1}]}
    write_yaml(
        "dvc.lock",
        {
            "schema": "2.0",
            "stages": {
                "plot": {"cmd": "x", "deps": code, "params": {"params.yaml": params}, "outs": outs},
                "train@gone": stale,
            },
        },
    )


def observations() -> dict[str, pd.DataFrame]:
    """Readings of 40 characters by two readers. The first misses some; the second reads one that never occurs."""
    rng = np.random.default_rng(3)
    truth = rng.choice(list("аб"), 40)
    shared = {
        "truth": truth,
        "captcha": np.arange(40) // 2,
        "glyph": np.arange(40),
        "level": np.tile([0.0, 0.5], 20),
    }
    guesses = {
        "first": np.where(rng.random(40) < 0.4, "", truth),
        "second": np.where(rng.random(40) < 0.4, "в", truth),
    }
    return {
        name: pd.DataFrame(shared | {"guess": guess, "success": guess == truth})
        for name, guess in guesses.items()
    }


def figure(title: str, shows: str, finding: str, file: str | None, *numbers: str) -> dict[str, Any]:
    return {
        "file": file,
        "title": title,
        "shows": shows,
        "finding": finding,
        "alternative": f"{title}: a drawing.",
        "chapter": "answer",
        "numbers": [f"plots/{name}.csv" for name in numbers],
        "width": 300.0 if file else None,
        "height": 200.0 if file else None,
    }


TABLE = {
    "caption": "Effects & more",
    "kind": "regression",
    "notes": ["How to read it."],
    "head": [[{"text": ""}, {"text": "(1) main", "scope": "col"}]],
    "body": [
        [{"text": "Noise", "span": 2, "scope": "rowgroup"}],
        [{"text": "hail", "scope": "row"}, {"text": "−0.25", "small": "(0.01)"}],
    ],
    "foot": [[{"text": "Rows", "scope": "row"}, {"text": "40"}]],
}


def report() -> dict[str, Any]:
    """plots/report.json of a study with three figures: one drawn, one not drawn, one missing."""

    def chapter(anchor: str, title: str, *content: dict[str, Any]) -> dict[str, Any]:
        return {
            "page": "report",
            "anchor": anchor,
            "title": title,
            "lead": "A `lead`.",
            "content": list(content),
        }

    def shown(name: str) -> dict[str, Any]:
        return {"kind": "figure", "name": name}

    fold = {"kind": "fold", "summary": "more", "content": [shown("lines")]}
    return {
        "question": "?",
        "reader": "first",
        "answer": "**Hail** stops `first`.",
        "questions": {},
        "chapters": [
            chapter("answer", "The answer", shown("answer")),
            chapter("captchas", "The data", shown("samples"), shown("counts")),
            chapter("noise", "The doses", shown("curves"), fold),
            chapter("regression", "The regression", {"kind": "table", "table": TABLE}),
        ],
        "findings": {"answer": ["**Hail** stops `first`."], "sure": ["One `doubt`.", "Another."]},
        "figures": {
            "answer": figure(
                "How fast <reading> fails",
                "A line `first` each.",
                "It **falls** at 0.2 & dies.",
                "answer.svg",
                "figures/accuracy",
                "regress/none",
            ),
            "samples": figure("Samples", "", "Read.", "samples.png"),
            "counts": figure("Are they balanced?", "", "Yes.", "counts.svg", "figures/counts"),
            "curves": figure("What a dose costs", "", "Nothing was `measured`.", None),
            "lines": figure("Lines", "", "Straight.", "lines.svg"),
        },
    }


def write_study() -> None:
    """Write the artifacts of the study to the working directory: Ukrainian letters, other readers and noises."""
    write_yaml("params.yaml", PARAMS)
    seen = observations()
    for name, table in {
        "confusion": confusion_table(seen, "абв"),
        "classification": classification_table(seen, "абв"),
        "glyphs": pd.DataFrame({"label": ["а", "б"], "train": [8, 9], "validation": 1, "test": 2}),
        "counts": pd.DataFrame(
            {
                "split": "test",
                "character": ["а", "а", "NA"],
                "position": [1, 2, 1],
                "count": [3, 4, 5],
            }
        ),
    }.items():
        write(f"plots/figures/{name}.csv", table.to_csv(index=False, float_format="%.6g"))
    for name in ("answer", "counts", "confusion_first", "marvel"):
        write(f"plots/figures/{name}.svg", SVG)
    write("plots/figures/samples.png", PNG)
    write("plots/regress/table.tex", r"\begin{tabular}")
    write(
        "plots/regress/thresholds.csv",
        f"{','.join(Thresholds.names())}\n"
        "first,hail,0.5,0.25,0.2,0.31,1.0,0.9,,1\nfirst,dusk,0.5,,0.5,,0.2,0.1,,1\n",
    )
    write("plots/report.json", json.dumps(report()))
    write("plots/report.html", "<p>The report</p>")
    write("plots/details.html", "<p>The details</p>")
    for name in ("first", "second"):
        write(f"metrics/predict/{name}.json", json.dumps(METRICS))
        write(f"plots/predict/{name}.json", json.dumps({"coverage_99": 0.25}))
        write(f"plots/train/{name}.json", json.dumps({"epochs": 3}))
    write("stages/some.py", "code")
    write_lock()


@pytest.fixture
def study(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of the small study, as the working directory."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    copy(tmp_path_factory.getbasetemp() / "study", tmp_path, write_study)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def copy(template: Path, folder: Path, make: Callable[[], None]) -> None:
    """Copy a folder; `make` fills it first if it does not exist."""
    if not template.is_dir():
        template.mkdir()
        with chdir(template):
            make()
    shutil.copytree(template, folder, dirs_exist_ok=True)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    desk = Desk(tmp_path / "lab", study=tmp_path / "readers")
    with TestClient(
        create_app(desk), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        yield client


def ask(client: TestClient, path: str = "", **query: str) -> Any:
    answer = client.get(f"/api/results{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client: TestClient, path: str, **query: str) -> tuple[int, str]:
    answer = client.get(f"/api/results{path}", params=query)
    assert "\n" not in answer.json()["error"]
    return answer.status_code, answer.json()["error"]


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def experiment(
    folder: Path, name: str, *, level: float, metrics: dict[str, Any], baseline: str = ""
) -> str:
    """Make an experiment like DVC: a commit on the baseline below refs/exps, with the working tree unchanged."""
    base = baseline or git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", "--quiet", "--detach", base)
    write_yaml("params.yaml", PARAMS | {"noise": PARAMS["noise"] | {"level": level}})  # type: ignore[operator]
    write("metrics/predict/first.json", json.dumps(metrics))
    made = commit(folder, f"dvc: commit experiment {name}")
    git(folder, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", made)
    git(folder, "checkout", "--quiet", "main")
    return made


def write_history() -> None:
    write_study()
    here = Path.cwd()
    git(here, "init", "--quiet", "--initial-branch", "main")
    commit(here, "The study")
    for name, level, value, half in (("brave-owl", 0.3, 0.7, 0.05), ("shy-cat", 0.5, 0.55, 0.1)):
        around = {"exact_match_low": value - half, "exact_match_high": value + half}
        experiment(here, name, level=level, metrics=METRICS | {"exact_match": value} | around)


@pytest.fixture
def history(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study in its own repository, with two experiments."""
    copy(tmp_path_factory.getbasetemp() / "history", study, write_history)
    return study
