"""The run and its experiments: parameters, results and code against dvc.lock, and two revisions side by side."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from fastapi.testclient import TestClient
from lab_in_browser import git
from lab_study import (
    METRICS,
    PARAMS,
    ask,
    client,
    commit,
    experiment,
    history,
    refused,
    study,
    write,
    write_yaml,
)

from stages.lab.artifact_files import flat, numbers_in
from stages.lab.dvc_lock import parse_yaml
from stages.lab.experiments import Snapshot, compare, moved

__all__ = ["client", "history", "study"]  # fixtures


# The run


def test_the_run_has_the_recorded_parameters_and_what_they_are_now(
    client: TestClient, study: Path
) -> None:
    write_yaml("params.yaml", PARAMS | {"seed": 8, "extra": True})
    params = {name: (value, now) for name, value, now in ask(client, "/run")["recorded"]["params"]}
    assert params["seed"] == ("7", "8")
    assert params["extra"] == (None, "true")
    assert params["noise.types"] == ("hail, dusk", None)
    assert params["captcha.length.min"] == ("2", None)


def test_stages_that_ran_with_different_parameters_are_told(
    client: TestClient, study: Path
) -> None:
    lock = parse_yaml(Path("dvc.lock").read_text(encoding="utf-8"), "dvc.lock")
    lock["stages"]["regress"] = {"params": {"params.yaml": {"seed": 9}}}
    write_yaml("dvc.lock", lock)
    params = {name: value for name, value, _ in ask(client, "/run")["recorded"]["params"]}
    assert "several" in params["seed"]
    assert params["noise.level"] == "0.6"


def test_results_and_code_are_held_against_the_lock_without_stages_that_are_no_more(
    client: TestClient, study: Path
) -> None:
    recorded = ask(client, "/run")["recorded"]
    assert recorded["results"] == {"same": 2, "differ": [], "missing": [], "large": []}
    assert recorded["code"] == {"same": 1, "differ": [], "missing": [], "large": []}
    write("plots/report.html", "another")
    Path("plots/train/first.json").unlink()
    write("stages/some.py", "edit")
    recorded = ask(client, "/run")["recorded"]
    assert recorded["results"] == {
        "same": 0,
        "differ": ["plots/report.html"],
        "missing": ["plots/train/first.json"],
        "large": [],
    }
    assert recorded["code"]["differ"] == ["stages/some.py"]


def test_a_folder_is_held_against_the_lock_by_the_hash_of_dvc(
    client: TestClient, study: Path
) -> None:
    contents = {"b.txt": b"1", "a/ї.txt": b"2", "a/z/c.txt": b""}
    tree = Tree()
    lock = parse_yaml(Path("dvc.lock").read_text(encoding="utf-8"), "dvc.lock")
    for name, content in contents.items():
        write(f"plots/tree/{name}", content)
        tree.add(tuple(name.split("/")), None, HashInfo("md5", hashlib.md5(content).hexdigest()))
    tree.digest()
    lock["stages"]["plot"]["outs"] = [
        {"path": "plots/tree", "md5": tree.hash_info.value, "size": 2}
    ]
    write_yaml("dvc.lock", lock)
    assert ask(client, "/run")["recorded"]["results"]["same"] == 1
    write("plots/tree/a/z/c.txt", "more")
    assert ask(client, "/run")["recorded"]["results"]["differ"] == ["plots/tree"]


def test_a_folder_of_code_is_held_against_the_lock_without_what_python_writes_into_it(
    client: TestClient, study: Path
) -> None:
    tree = Tree()
    lock = parse_yaml(Path("dvc.lock").read_text(encoding="utf-8"), "dvc.lock")
    write("stages/folder/one.py", "code")
    write("stages/folder/__pycache__/one.pyc", b"bytes")
    tree.add(("one.py",), None, HashInfo("md5", hashlib.md5(b"code").hexdigest()))
    tree.digest()
    lock["stages"]["plot"]["deps"] += [
        {"path": "stages/folder", "md5": tree.hash_info.value, "size": 4},
        {"path": "experiments/runs.json", "md5": "0", "size": 1},
    ]
    write_yaml("dvc.lock", lock)
    assert ask(client, "/run")["recorded"]["code"] == {
        "same": 2,
        "differ": [],
        "missing": [],
        "large": [],
    }
    write("stages/folder/two.py", "")
    assert ask(client, "/run")["recorded"]["code"]["differ"] == ["stages/folder"]


def test_a_large_result_is_there_without_a_claim_about_its_content(
    client: TestClient, study: Path
) -> None:
    lock = parse_yaml(Path("dvc.lock").read_text(encoding="utf-8"), "dvc.lock")
    lock["stages"]["plot"]["outs"][1] |= {"size": 10**9, "md5": "0"}
    write_yaml("dvc.lock", lock)
    assert ask(client, "/run")["recorded"]["results"] == {
        "same": 1,
        "differ": [],
        "missing": [],
        "large": ["plots/report.html"],
    }


def test_the_commit_is_told_with_the_files_that_differ_from_it(
    client: TestClient, history: Path
) -> None:
    told = ask(client, "/run")["commit"]
    assert told["commit"] == told["lock"] == git(history, "rev-parse", "HEAD")
    assert (told["subject"], told["changed"]) == ("The study", [])
    write("params.yaml", "seed: 1\n")
    write("untracked.txt", "")
    assert ask(client, "/run")["commit"]["changed"] == ["params.yaml"]


def test_a_study_outside_a_repository_shows_all_but_revisions(
    client: TestClient, study: Path
) -> None:
    run = ask(client, "/run")
    assert "Git repository" in run["commit"]["error"]
    assert "error" not in run["recorded"]
    assert "Git repository" in ask(client, "/revisions")["error"]
    assert refused(client, "/compare", a="HEAD", b="workspace")[0] == 400


# The comparison


def test_the_workspace_the_commit_and_experiments_can_be_compared_and_nothing_else(
    client: TestClient, history: Path
) -> None:
    git(history, "update-ref", "refs/exps/stash", "HEAD")
    git(history, "update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    names = {one["name"] for one in ask(client, "/revisions")["revisions"]}
    assert names == {"workspace", "HEAD", "brave-owl", "shy-cat"}
    for name in (
        "HEAD~0",
        "main",
        git(history, "rev-parse", "HEAD"),
        "--help",
        "",
        "refs/exps/stash",
        "$(id)",
    ):
        status, error = refused(client, "/compare", a="HEAD", b=name)
        assert status == 404
        assert "choose one of" in error


def test_experiments_of_one_name_are_told_apart_by_their_baseline(
    client: TestClient, history: Path
) -> None:
    write("note.txt", "more")
    later = commit(history, "Later")
    experiment(history, "shy-cat", level=0.1, metrics=METRICS, baseline=later)
    experiment(history, "HEAD", level=0.2, metrics=METRICS, baseline=later)
    names = [one["name"] for one in ask(client, "/revisions")["revisions"]]
    assert len(set(names)) == len(names) == 6
    assert {f"shy-cat@{later[:7]}", f"HEAD@{later[:7]}"} <= set(names)
    assert ask(client, "/compare", a="HEAD", b=f"shy-cat@{later[:7]}")["params"] == [
        ["noise.level", "0.6", "0.1"]
    ]


def test_two_revisions_differ_by_their_parameters_and_metrics(
    client: TestClient, history: Path
) -> None:
    told = ask(client, "/compare", a="HEAD", b="brave-owl")
    assert told["params"] == [["noise.level", "0.6", "0.3"]]
    assert [(row["file"], row["name"]) for row in told["metrics"] if row["moved"]] == [
        ("predict/first", "exact_match")
    ]
    row = next(row for row in told["metrics"] if row["moved"])
    assert row["before"] == {"value": 0.5, "low": 0.4, "high": 0.6, "se": None}
    assert (row["after"]["value"], row["difference"], row["intervals"]) == (0.7, 0.2, "apart")
    assert told["notes"] == []
    back = ask(client, "/compare", a="brave-owl", b="HEAD")
    assert next(row for row in back["metrics"] if row["moved"])["difference"] == -0.2


def test_intervals_that_meet_are_told_to_overlap(client: TestClient, history: Path) -> None:
    rows = ask(client, "/compare", a="HEAD", b="shy-cat")["metrics"]
    assert [row["intervals"] for row in rows if row["moved"]] == ["overlap"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.6, 0.8, "overlap"),
        (0.61, 0.8, "apart"),
        (0.1, 0.4, "overlap"),
        (0.1, 0.39, "apart"),
        (0.45, 0.5, "overlap"),
        (0.0, 1.0, "overlap"),
        (None, 0.5, None),
        (0.3, None, None),
    ],
)
def test_intervals_are_apart_where_no_value_is_in_both(
    low: float | None, high: float | None, expected: str | None
) -> None:
    before = {"value": 0.5, "low": 0.4, "high": 0.6, "se": None}
    after = {"value": 0.55, "low": low, "high": high, "se": None}
    assert moved(before, after)["intervals"] == moved(after, before)["intervals"] == expected


def test_the_workspace_is_compared_as_it_is_now_and_a_commit_as_it_was(
    client: TestClient, history: Path
) -> None:
    assert not any(
        row["moved"] for row in ask(client, "/compare", a="HEAD", b="workspace")["metrics"]
    )
    write("metrics/predict/first.json", json.dumps({"exact_match": 0.6, "fresh": 1}))
    write_yaml("params.yaml", {"seed": 7, "added": []})
    told = ask(client, "/compare", a="HEAD", b="workspace")
    rows = {row["name"]: row for row in told["metrics"] if row["file"] == "predict/first"}
    assert rows["exact_match"]["difference"] == 0.1
    assert rows["exact_match"]["intervals"] is None
    assert (
        rows["fresh"]["before"]["value"],
        rows["fresh"]["difference"],
        rows["fresh"]["moved"],
    ) == (None, None, True)
    assert ["added", None, "(none)"] in told["params"]
    assert ["noise.level", "0.6", None] in told["params"]


def test_a_damaged_file_of_a_commit_is_told_and_the_others_compared(
    client: TestClient, history: Path
) -> None:
    write("metrics/predict/second.json", "half")
    commit(history, "Damaged")
    told = ask(client, "/compare", a="brave-owl", b="HEAD")
    assert len(told["notes"]) == 1
    assert "metrics/predict/second.json is damaged" in told["notes"][0]
    assert any(row["file"] == "predict/first" and row["moved"] for row in told["metrics"])


def test_a_study_in_a_folder_of_a_repository_is_compared(
    client: TestClient, tmp_path: Path, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "inner"
    write(inner / "params.yaml", "seed: 1\n")
    write(inner / "metrics/one.json", '{"a": 1}')
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    commit(tmp_path, "Outer")
    monkeypatch.chdir(inner)
    write("metrics/one.json", '{"a": 3}')
    rows = ask(client, "/compare", a="HEAD", b="workspace")["metrics"]
    assert [(row["file"], row["difference"]) for row in rows] == [("one", 2)]


def test_git_is_left_as_it_was(client: TestClient, history: Path) -> None:
    os.utime("params.yaml", (1, 1))  # after which `git status` would write its index anew
    before = {path: path.read_bytes() for path in (history / ".git").rglob("*") if path.is_file()}
    for place in ("", "/run", "/revisions", "/compare?a=HEAD&b=brave-owl"):
        assert client.get(f"/api/results{place}").status_code == 200
    assert {
        path: path.read_bytes() for path in (history / ".git").rglob("*") if path.is_file()
    } == before


def test_a_standard_error_goes_with_its_metric_and_is_no_metric_itself() -> None:
    rows = compare(
        snapshot(level=-1.0, level_se=0.1, lonely_se=3.0), snapshot(level=-0.5, level_se=0.2)
    )["metrics"]
    assert [(row["name"], row["before"]["se"], row["after"]["se"]) for row in rows] == [
        ("level", 0.1, 0.2),
        ("lonely_se", None, None),
    ]


def snapshot(**metrics: float) -> Snapshot:
    return Snapshot({}, {"regress": metrics}, ())


def artifacts_of(study: Path) -> list[Path]:
    found = [path for folder in ("plots", "metrics") for path in (study / folder).rglob("*.*")]
    return [
        *sorted(path.relative_to(study) for path in found),
        Path("dvc.lock"),
        Path("params.yaml"),
    ]


def test_a_half_written_or_foreign_file_is_never_a_fault_of_the_server(
    client: TestClient, history: Path
) -> None:
    rng = np.random.default_rng(5)
    for path in artifacts_of(history):
        whole = path.read_bytes()
        places = [
            "",
            "/reader?name=first",
            "/table/figures/confusion",
            "/figure/answer.svg",
            "/page/report.html",
        ]
        for broken in (
            b"",
            whole[: len(whole) // 2],
            rng.bytes(400),
            b"[1]",
            b"<![x" + whole,
            b"{" * 300,
            b"<b>" * 2000,
            b'{"a": NaN, "b": 1e999}',
            b"a: &a {b: *a}\n",
            b"stages: {plot: 1}",
        ):
            path.write_bytes(broken)
            for place in (
                places if path.parts[0] == "plots" else ["", "/run", "/compare?a=HEAD&b=workspace"]
            ):
                answer = client.get(f"/api/results{place}")
                assert answer.status_code < 500, (path, broken[:20], place, answer.text)
                assert answer.status_code == 200 or "\n" not in answer.json()["error"]
        path.write_bytes(whole)


def test_only_finite_numbers_are_metrics() -> None:
    content = (
        '{"a": 1, "b": {"c": 2.5}, "d": true, "e": "x", "f": NaN, "g": 1e999, "h": [1], "i": null}'
    )
    assert numbers_in(content, Path("metrics/x.json")) == {"a": 1, "b.c": 2.5}


def test_mappings_without_an_end_are_refused() -> None:
    tree: dict[str, Any] = {}
    tree["a"] = tree
    with pytest.raises(ValueError, match="within each other"):
        flat(tree)
