"""The named experiments: each is a change of params.yaml that DVC takes and the grammar knows."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from conftest import ANCESTORS, ROOT
from dvc.utils.hydra import apply_overrides

from experiments import official
from stages.params import load_yaml, parse
from stages.reader.networks import initialise
from stages.reader_files import Description, write_reader

MNIST = ROOT.parent / "shared" / "data" / "mnist"
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.txt"))


def overrides(path: Path) -> list[str]:
    """As a shell splits $(cat FILE)."""
    words = path.read_text(encoding="utf-8").split()
    assert words[::2] == ["-S"] * (len(words) // 2)
    return words[1::2]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_is_a_change_of_the_parameters_that_their_grammar_takes(
    path: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", changed)
    apply_overrides(changed, overrides(path))
    params = parse(load_yaml(changed))
    assert params != parse(load_yaml(ROOT / "params.yaml"))
    assert params.plot.reader == params.regression.references.reader or path.stem == "robust"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_has_short_lines(path: Path) -> None:
    """But for the noise types of one: a list is one override, and Hydra cannot add to it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [
        line for line in lines if len(line) > 120 and not line.startswith("-S noise.types=[")
    ] == []


COMMANDS = re.findall(r"`dvc exp run ([^`$]+)`", (ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", [command for command in COMMANDS if "--queue" not in command])
def test_a_command_of_the_readme_is_a_change_that_the_grammar_takes(
    command: str, tmp_path: Path
) -> None:
    changed = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", changed)
    words = shlex.split(command)
    assert words[::2] == ["-S"] * (len(words) // 2)
    apply_overrides(changed, words[1::2])
    assert parse(load_yaml(changed)) != parse(load_yaml(ROOT / "params.yaml"))


def test_every_experiment_is_explained() -> None:
    explained = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    assert EXPERIMENTS
    for path in EXPERIMENTS:
        assert f"`{path.name}`" in explained


def test_every_ancestor_reads_in_an_experiment() -> None:
    everything = "\n".join(path.read_text(encoding="utf-8") for path in EXPERIMENTS)
    for name in ANCESTORS:
        assert f"architecture:{name}," in everything


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"{MNIST} is not there")
def test_a_reader_of_digits_is_judged_by_the_official_test_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    description = Description("heads", "0123456789", 28, 28, 4, 1)
    network = initialise(description.build(), generator=torch.Generator().manual_seed(0))
    torch.nn.init.constant_(
        network.get_parameter("classifier.bias")[4], 1e4
    )  # it reads a three, whatever comes
    write_reader(tmp_path / "three", description, network.state_dict(), {})
    monkeypatch.setattr("sys.argv", ["official", str(tmp_path / "three"), str(MNIST)])
    official.main()
    assert (
        "1010 of 10000 official test digits right, 10.10%" in capsys.readouterr().out
    )  # as many as the set has
