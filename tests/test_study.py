"""The whole study, run by DVC as a user runs it: on a tiny setting, in a clone of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
TINY = {
    "glyphs": {"alphabet": "0123"},
    "captcha": {"train": 120, "validation": 20, "test": 24, "captchas_per_part": 12},
    "noise": {"types": ["gaussian", "fog", "elastic"], "steps": 2},
    "explain": {"captchas": 2, "epochs": 1, "latent": 2, "draws": 50},
}
READER = {
    "architecture": "heads",
    "epochs": 1,
    "batch": 8,
}  # reads some right after few steps; CTC would read nothing
RESULTS = (
    "metrics/",
    "plots/details",
    "plots/explain",
    "plots/figures",
    "plots/predict",
    "plots/regress",
    "plots/report",
    "plots/train",
)
BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))},
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@example.org",
    "OMP_NUM_THREADS": "1",
}  # fmt: skip


def call(where: Path, *command: str, fails: bool = False) -> str:
    done = subprocess.run(
        command,
        cwd=where,
        env=ENVIRONMENT,
        text=True,
        capture_output=True,
        timeout=900,
        check=False,
    )
    output = done.stdout + done.stderr
    assert (done.returncode != 0) is fails, output[-3000:]
    return output


def shrink(params: Path) -> None:
    """Fewer characters, noise types and captchas, one reader, few steps."""
    yaml = YAML()
    tree = yaml.load(params.read_text(encoding="utf-8"))
    for section, values in TINY.items():
        tree[section].update(values)
    for name in [name for name in tree["readers"] if name != "noisy"]:
        del tree["readers"][name]
    tree["readers"]["noisy"].update(READER)
    yaml.dump(tree, params)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with the working tree's files and a tiny setting, reproduced once and committed."""
    where = tmp_path_factory.mktemp("study") / "repo"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith(RESULTS):
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, where / name)
    (where / "dvc.lock").unlink(missing_ok=True)
    shrink(where / "params.yaml")
    call(where, "git", "init", "-q")
    call(where, "git", "add", "-A")
    call(where, "git", "commit", "-qm", "a tiny study")
    call(where, "dvc", "repro")
    call(where, "git", "add", "-A")
    call(where, "git", "commit", "-qm", "its results")
    yield where
    shutil.rmtree(where.parent, ignore_errors=True)


def test_the_committed_results_are_those_of_the_committed_code(tmp_path: Path) -> None:
    call(tmp_path, "git", "clone", "-q", str(ROOT), "clone")
    assert "fresh" in call(tmp_path / "clone", sys.executable, "ci/lock_is_fresh.py")


def test_one_command_makes_the_report_and_the_metrics(study: Path) -> None:
    assert (study / "plots/report.html").stat().st_size < 1_000_000
    metrics = json.loads((study / "metrics/predict/noisy.json").read_text())
    for name in (
        "character_accuracy",
        "exact_match",
        "clean_character_accuracy",
        "clean_exact_match",
    ):
        assert 0 <= metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"] <= 1
    regressed = json.loads((study / "metrics/regress.json").read_text())
    assert {"adjusted_r2", "predicted_r2", "observations"} <= set(regressed)


def test_nothing_changed_means_nothing_runs(study: Path) -> None:
    assert call(study, "dvc", "repro").strip().endswith("Data and pipelines are up to date.")


def test_making_it_again_gives_the_same_bytes(study: Path) -> None:
    """The second time with other numbers of workers and a forced rerun."""
    before = call(study, "git", "status", "--porcelain")
    ENVIRONMENT["CAPTCHA_WORKERS"] = "1"
    try:
        call(study, "dvc", "repro", "-f")
    finally:
        del ENVIRONMENT["CAPTCHA_WORKERS"]
    assert call(study, "git", "status", "--porcelain") == before
    assert call(study, "git", "diff", "--stat") == ""


def test_a_clone_without_data_is_up_to_date(study: Path, tmp_path: Path) -> None:
    call(tmp_path, "git", "clone", "-q", str(study), "clone")
    clone = tmp_path / "clone"
    lines = call(clone, "dvc", "repro", "--dry", "--allow-missing").strip().splitlines()
    assert lines[-1] == "Data and pipelines are up to date."
    assert "exact_match" in call(clone, "dvc", "metrics", "show")


def test_an_experiment_in_a_temporary_folder_changes_one_line_and_is_kept(study: Path) -> None:
    call(study, "dvc", "exp", "run", "--temp", "-n", "milder", "-S", "noise.level=0.4")
    assert call(study, "git", "status", "--porcelain") == ""
    found = json.loads(call(study, "dvc", "exp", "show", "--json"))
    names = [
        rev.get("name")
        for row in found
        for rev in [row, *[e for x in row.get("experiments") or [] for e in x.get("revs", [])]]
    ]
    assert "milder" in names
    refs = call(study, "git", "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    kept = next(ref for ref in refs if ref.endswith("/milder"))
    diff = call(study, "git", "diff", "--unified=0", "HEAD", kept, "--", "params.yaml")
    changed = [line for line in diff.splitlines() if re.match(r"[+-](?![+-])", line)]
    assert [line.split("#")[0].strip() for line in changed] == ["-  level: 0.8", "+  level: 0.4"]
    difference = json.loads(call(study, "dvc", "metrics", "diff", "--json", "HEAD", "milder"))
    assert "metrics/predict/noisy.json" in difference


def test_queued_experiments_run_the_code_they_were_queued_with(study: Path) -> None:
    """Two at a time; the workspace moves on meanwhile, and must not leak into them."""
    call(study, "dvc", "exp", "run", "--queue", "-S", "regression.draws=200,300")
    try:
        with (study / "stages/regress.py").open("a", encoding="utf-8") as file:
            file.write('\nraise SystemExit("the workspace leaked into the experiment")\n')
        call(study, "dvc", "queue", "start", "-j", "2")
        status = wait_for_queue(study)
        assert status.count("Success") == 2, status + call(study, "dvc", "queue", "status")
    finally:
        call(study, "git", "checkout", "-q", "stages/regress.py")
        call(study, "dvc", "queue", "stop", "--kill")


def wait_for_queue(study: Path, seconds: float = 600) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = call(study, "dvc", "queue", "status")
        if "Running" not in status and "Queued" not in status:
            return status
        time.sleep(2)
    return status


def test_an_experiment_in_the_workspace_and_the_way_back(study: Path) -> None:
    call(study, "dvc", "exp", "run", "-S", "regression.draws=400")
    assert "regression.draws" in call(study, "dvc", "params", "diff")
    assert call(study, "git", "diff", "--numstat", "params.yaml").split()[:2] == ["1", "1"]
    call(study, "git", "checkout", "-q", ".")
    call(study, "dvc", "checkout")
    assert call(study, "dvc", "repro").strip().endswith("Data and pipelines are up to date.")


def test_a_bad_value_is_one_line_and_loses_nothing(study: Path) -> None:
    before = (study / "plots/report.html").read_bytes()
    output = call(study, "dvc", "exp", "run", "-S", "noise.types=[gausian]", fails=True)
    assert re.search(
        r"error: params\.yaml: noise\.types\.0: expected one of gaussian, .*got 'gausian'", output
    )
    assert "Traceback" not in output
    call(study, "git", "checkout", "-q", ".")
    call(study, "dvc", "checkout")
    assert (study / "plots/report.html").read_bytes() == before


def test_plots_are_drawn_without_a_network(study: Path, tmp_path: Path) -> None:
    call(study, "dvc", "plots", "show", "-o", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text(encoding="utf-8")
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?https?:", page)
    assert "vegaEmbed" in page


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_killing_dvc_leaves_no_orphan(study: Path) -> None:
    process = subprocess.Popen(
        ["dvc", "repro", "-f", "-s", "train@noisy"],
        cwd=study,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        pids: list[int] = []
        deadline = time.monotonic() + 300
        while not pids and time.monotonic() < deadline:
            time.sleep(0.2)
            pids = trainers(study)
        assert pids, "no trainer was started"
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 60
        while trainers(study) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not trainers(study)
    finally:
        process.kill()
        call(study, "git", "checkout", "-q", ".")
        call(study, "dvc", "checkout")


def trainers(where: Path) -> list[int]:
    """Processes that train in this folder."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else []
            if b"stages.train" in words and (folder / "cwd").resolve() == where.resolve():
                found.append(int(folder.name))
        except OSError:
            continue
    return found
