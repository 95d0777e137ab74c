"""The experiment with several training runs: its overrides are DVC's, and what it collects is what the runs did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from dvc.utils.hydra import apply_overrides
from test_regress import Study, predict, write_runs

from experiments import runs
from stages import params, regress
from stages.statistics import runs as per_run


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    made = Study(tmp_path, monkeypatch)
    monkeypatch.setattr(
        runs, "read", lambda *sections: params.Selected(params.parse(made.tree), sections)
    )
    return made


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["runs", *words])
    runs.main()
    return capsys.readouterr().out


def test_overrides_make_the_runs_that_the_grammar_groups(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = said(
        monkeypatch, capsys, "noisy", "clean", "--runs", "3"
    ).split()  # as a shell splits $(...)
    assert words[::2] == ["-S"] * 4
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    apply_overrides("params.yaml", words[1::2])
    changed = params.parse(params.load_yaml(Path("params.yaml")))
    assert params.runs_of(changed.readers) == {
        "noisy": ["noisy", "noisy_2", "noisy_3"],
        "clean": ["clean", "clean_2", "clean_3"],
        "dense": ["dense"],
    }
    assert len({changed.readers[name].seed for name in ("noisy", "noisy_2", "noisy_3")}) == 3


def test_runs_that_are_there_count_and_their_seeds_are_not_used_again(study: Study) -> None:
    study.tree["readers"]["noisy_2"] = {**study.tree["readers"]["noisy"], "seed": 2}
    found = runs.overrides(["noisy"], 4)
    assert [text.split("=")[0] for text in found] == ["+readers.noisy_3", "+readers.noisy_4"]
    assert ["seed:1}" in found[0], "seed:3}" in found[1]] == [True, True]
    with pytest.raises(ValueError, match="each of noisy has 2 runs already"):
        runs.overrides(["noisy"], 2)


@pytest.mark.parametrize(
    ("names", "count", "complaint"),
    [
        ([], 5, "expected some of the readers noisy, clean, dense, got none"),
        (["noisy", "nobody"], 5, "got nobody"),
        (["noisy"], 1, "--runs: expected at least 2, got 1"),
    ],
)
def test_bad_input_is_refused_in_a_line(
    study: Study, names: list[str], count: int, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        runs.overrides(names, count)
    assert "\n" not in str(caught.value)


def test_an_entry_of_the_name_that_is_no_run_is_refused(study: Study) -> None:
    study.tree["readers"]["noisy_2"] = {**study.tree["readers"]["noisy"], "epochs": 1}
    with pytest.raises(
        ValueError, match=r"readers\.noisy_2 is there already, and no run of noisy: rename it"
    ):
        runs.overrides(["noisy"], 2)


def test_what_is_collected_is_of_each_run_and_serves_a_study_with_one(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_runs(study, 3, a="clean", b="dense")
    assert "estimates of 3 runs of a, b" in said(monkeypatch, capsys, "--collect")
    text = regress.RUNS_FILE.read_text(encoding="utf-8")
    tree: Any = json.loads(text)
    assert len(text.splitlines()) < len(tree["estimates"]) + 120  # an estimate a line
    found, parameters = per_run.from_json(tree, "here")
    assert list(parameters["readers"]) == ["a", "b"]
    assert found.references == {**study.tree["regression"]["references"], "reader": "a"}
    assert "test" not in parameters["captcha"]
    tables = [predict("clean", seed=run).to_pandas() for run in range(3)]
    wanted = [table["success"].mean() for table in tables]
    assert found.estimates[per_run.accuracy("a", "characters", "all")] == pytest.approx(
        wanted, rel=1e-5
    )
    wanted = [table[table["level"] == 0]["success"].mean() for table in tables]
    assert found.estimates[per_run.accuracy("a", "characters", "clean")] == pytest.approx(
        wanted, rel=1e-5
    )
    assert per_run.accuracy("b", "captchas", "all") in found.estimates
    assert any(key[0] == "threshold" for key in found.estimates)
    regress.main()
    several = study.rows("slopes")
    study.write(a=predict("clean"), b=predict("dense"))
    for i, name in enumerate("ab"):
        study.tree["readers"][name]["channels"] = parameters["readers"][name]["channels"]
        study.tree["readers"][name]["seed"] = i
    regress.main()
    one = study.rows("slopes")
    for name, row in several.items():
        assert one[name]["runs"] == "3"
        assert float(one[name]["sd_between_runs"]) == pytest.approx(
            float(row["sd_between_runs"]), rel=1e-3
        )
    assert study.rows("slopes", "b")["noise[fog]"]["runs"] == "3"
    assert all(row["runs"] == "3" for row in study.table("costs"))


def test_a_study_with_one_run_each_has_nothing_to_collect(study: Study) -> None:
    study.write(noisy=predict("noisy"), clean=predict("clean"))
    with pytest.raises(
        ValueError,
        match="noisy, clean: one run each, but --collect needs two or more of every reader",
    ):
        runs.collect()
    assert not regress.RUNS_FILE.exists()


def test_accuracies_are_of_characters_and_of_whole_captchas() -> None:
    table = predict("clean")
    found = per_run.accuracies_of("a", table)
    frame = table.to_pandas()
    assert found[per_run.accuracy("a", "characters", "all")] == pytest.approx(
        frame["success"].mean()
    )
    texts = frame.drop_duplicates(["captcha", "condition"])
    assert (
        found[per_run.accuracy("a", "captchas", "all")]
        == (texts["text"] == texts["reading"]).mean()
    )


def test_a_combination_is_of_the_same_run_throughout() -> None:
    keys = [per_run.coefficient("s", "r", "colour", name) for name in ("grey", "red")]
    found = per_run.PerRun({keys[0]: (1.0, 2.0, 4.0), keys[1]: (1.0, 2.0, 4.5)}, {}, "level", {})
    cells = found.combination(
        "s", "r", {("colour", "grey"): 1.0, ("colour", "red"): -1.0, ("constant", ""): 0.0}
    )
    assert cells == {"sd_between_runs": pytest.approx(np.std([0, 0, -0.5], ddof=1)), "runs": 3}
    assert found.combination("s", "r", {("digit", "1"): 1.0}) == per_run.spread_cells(None)


def test_coefficients_against_another_reference_are_not_known() -> None:
    keys = per_run.coefficient("s", "all", "digit", "3"), per_run.threshold("a", "fog", 0.5)
    found = per_run.PerRun(dict.fromkeys(keys, (1.0, 2.0)), {"s": "digit"}, "level", {"digit": "0"})
    assert set(found.known({"s": "digit"}, "level", {"digit": "0"}).estimates) == set(keys)
    assert set(found.known({"s": "digit"}, "level", {"digit": "5"}).estimates) == {keys[1]}


def test_an_estimate_that_a_run_lacks_is_null_in_the_file_and_has_no_spread() -> None:
    key = per_run.threshold("a", "fog", 0.5)
    tree = per_run.run_estimates(
        per_run.PerRun({key: (0.5, np.nan)}, {}, "level", {}), {}
    ).to_json()
    assert tree["estimates"] == [[*key, [0.5, None]]]
    read, _ = per_run.from_json(json.loads(per_run.text_of(tree)), "here")
    assert read.spread(key) is None
    assert read.cells(key) == per_run.spread_cells(None)
