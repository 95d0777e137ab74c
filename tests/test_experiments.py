"""The named experiments: each is a change of params.yaml that DVC takes and the grammar knows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from dvc.utils.hydra import apply_overrides

from stages.params import load, parse
from stages.reader.ancestors import ANCESTORS

EXPERIMENTS = sorted((ROOT / "experiments").glob("*.txt"))


def overrides(path: Path) -> list[str]:
    """As a shell splits $(cat FILE)."""
    words = path.read_text(encoding="utf-8").split()
    assert words[::2] == ["-S"] * (len(words) // 2)
    return words[1::2]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_is_a_change_of_the_parameters_that_their_grammar_takes(path: Path, tmp_path: Path) -> None:
    changed = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", changed)
    apply_overrides(changed, overrides(path))
    params = parse(load(changed))
    assert params != parse(load(ROOT / "params.yaml"))
    assert params.plot.reader == params.regression.references.reader or path.stem == "robust"


def test_every_experiment_is_explained() -> None:
    explained = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    assert EXPERIMENTS
    for path in EXPERIMENTS:
        assert f"`{path.name}`" in explained


def test_every_ancestor_reads_in_an_experiment() -> None:
    everything = "\n".join(path.read_text(encoding="utf-8") for path in EXPERIMENTS)
    for name in ANCESTORS:
        assert f"architecture:{name}," in everything
