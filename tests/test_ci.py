"""The scripts of the pull-request workflow, run for real on a toy study in a full and in a shallow clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ci import lock_is_fresh, offline_template

ROOT = Path(__file__).resolve().parents[1]

STAGE = """
import json, pathlib, sys
from ruamel.yaml import YAML

def write(path, text):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(text)

if sys.argv[1] == "draw":
    write("data/level.txt", str(YAML(typ="safe").load(open("params.yaml"))["noise"]["level"]))
    write("metrics/draw.json", json.dumps({"rows": 120}))
else:
    level = float(open("data/level.txt").read())
    write("plots/curve.csv", f"epoch,loss\\n1,{level}\\n2,{level / 2}\\n")
    write("plots/dot.svg", f'<svg xmlns="http://www.w3.org/2000/svg"><circle r="{level}"/></svg>')
    metrics = {"accuracy": 1 - level, "accuracy_low": 0.95 - level, "accuracy_high": 1.05 - level,
               "effect": -level, "effect_se": 0.3, "late" if level < 0.3 else "early": 12345.678}
    write("metrics/fit.json", json.dumps(metrics))
"""
PIPELINE = """
stages:
  draw:
    cmd: python stage.py draw
    deps:
    - stage.py
    params:
    - noise
    outs:
    - data/level.txt
    metrics:
    - metrics/draw.json:
        cache: false
  fit:
    cmd: python stage.py fit
    deps:
    - code
    - stage.py
    - data/level.txt
    outs:
    - plots/curve.csv:
        cache: false
    - plots/dot.svg:
        cache: false
    metrics:
    - metrics/fit.json:
        cache: false
plots:
- loss:
    template: linear
    x: epoch
    y:
      plots/curve.csv: loss
- plots/dot.svg
"""


@dataclass(frozen=True)
class Study:
    """A repository with a DVC study in it, and commits by name."""

    path: Path
    commits: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """What ci/report.sh left in a clone."""

    clone: Study
    report: str
    summary: str
    page: Path


def call(
    where: Path, *command: str, expect: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with this Python's programs first on the path, as in an activated environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GITHUB_", "DVC_", "GIT_"))
    }
    person = {
        f"GIT_{role}_{key}": "a@b.c"
        for role in ("AUTHOR", "COMMITTER")
        for key in ("NAME", "EMAIL")
    }
    path = os.pathsep.join(
        [environment.pop("FIRST", ""), str(Path(sys.executable).parent), kept["PATH"]]
    )
    environment = {**kept, **person, **environment, "PATH": path}
    done = subprocess.run(
        command, cwd=where, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def commit(repository: Path, message: str) -> str:
    call(repository, "git", "add", "--all")
    call(repository, "git", "commit", "--quiet", "--message", message)
    return call(repository, "git", "rev-parse", "HEAD").stdout.strip()


def write_study(path: Path) -> None:
    (path / "stage.py").write_text(STAGE)
    (path / "code").mkdir()
    (path / "code/noun.py").write_text("")
    (path / "dvc.yaml").write_text(PIPELINE)
    (path / "params.yaml").write_text("noise:\n  level: 0.4\n")
    (path / ".gitignore").write_text("/data/\n/dvc_plots/\n__pycache__/\n")
    (path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvcignore", path / ".dvcignore")
    shutil.copy(ROOT / ".dvc/config", path / ".dvc/config")
    shutil.copy(ROOT / ".dvc/.gitignore", path / ".dvc/.gitignore")
    for folder in ("ci", "stages/schemas"):  # the report knows the tables by their schemas
        shutil.copytree(ROOT / folder, path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "stages/__init__.py", path / "stages")
    (path / offline_template.PATH).parent.mkdir(parents=True)
    shutil.copy(ROOT / offline_template.PATH, path / offline_template.PATH)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """main has moved on since the topic branch left it; the branch merge is what GitHub would check out."""
    path = tmp_path_factory.mktemp("study")
    commits = {}
    call(path, "git", "init", "--quiet", "--initial-branch=main")
    write_study(path)
    commits["code"] = commit(path, "no results yet")
    call(path, "dvc", "repro", "--quiet")
    commits["results"] = commit(path, "results")
    call(path, "git", "checkout", "--quiet", "-b", "topic")
    (path / "params.yaml").write_text("noise:\n  level: 0.2\n")
    call(path, "dvc", "repro", "--quiet")
    (path / "знімок 1.png").write_bytes(b"a picture")
    commits["topic"] = commit(path, "less noise")
    call(path, "git", "checkout", "--quiet", "main")
    (path / "LICENSE").write_text("MIT\n")
    commits["main"] = commit(path, "something else")
    call(path, "git", "checkout", "--quiet", "-b", "merge")
    call(path, "git", "merge", "--quiet", "--no-ff", "--message", "parent of nothing", "topic")
    return Study(path, commits)


@pytest.fixture(scope="module", params=["full", "shallow"])
def clone(
    study: Study, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    """A clone without DVC's cache and remote, at the merge commit."""
    path = tmp_path_factory.mktemp(request.param) / "clone"
    depth = ["--depth=1"] if request.param == "shallow" else []
    call(
        path.parent,
        "git",
        "clone",
        "--quiet",
        "--branch=merge",
        *depth,
        study.path.as_uri(),
        str(path),
    )
    assert (path / ".git/shallow").exists() is (request.param == "shallow")
    return Study(path, study.commits)


@pytest.fixture(scope="module")
def comparison(clone: Study, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """ci/report.sh as the workflow calls it."""
    summary = tmp_path_factory.mktemp("summary") / "summary.md"
    summary.write_text("before\n")
    call(
        clone.path, "ci/report.sh", HEAD_SHA=clone.commits["topic"], GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_SERVER_URL="https://git.example", GITHUB_REPOSITORY="owner/name", GITHUB_RUN_ID="7",
    )  # fmt: skip
    plots = clone.path / "dvc_plots"
    return Comparison(
        clone,
        (plots / "report.md").read_text("utf-8"),
        summary.read_text("utf-8"),
        plots / "index.html",
    )


def test_the_report_is_sorted_and_right(comparison: Comparison) -> None:
    base = comparison.clone.commits["main"]
    head = comparison.clone.commits["topic"]
    web = "https://git.example/owner/name"
    assert (
        comparison.report
        == f"""\
## What `{head[:7]}` changes against `{base[:7]}`

### Conclusions

Conclusions cannot be compared: `{base[:7]}` has no `plots/regress/costs.csv`; `{base[:7]}` has no \
`plots/regress/thresholds.csv`; `{head[:7]}` has no `plots/regress/costs.csv`; `{head[:7]}` has no \
`plots/regress/thresholds.csv`.

### Parameters

| File | Parameter | `{base[:7]}` | `{head[:7]}` |
| --- | --- | --: | --: |
| `params.yaml` | `noise.level` | 0.4 | 0.2 |

### Metrics

| File | Metric | `{base[:7]}` | `{head[:7]}` | Change | Beyond noise? |
| --- | --- | --: | --: | --: | --: |
| `metrics/fit.json` | `accuracy` | 0.6 (0.55 to 0.65) | 0.8 (0.75 to 0.85) | ▲ +0.2 | **yes** |
| `metrics/fit.json` | `early` | 12346 | – | removed |  |
| `metrics/fit.json` | `effect` | -0.4 (-0.988 to 0.188) | -0.2 (-0.788 to 0.388) | ▲ +0.2 | no |
| `metrics/fit.json` | `late` | – | 12346 | added |  |

1 of 2 changes that have a 95 % interval (in brackets) lie beyond it: beyond noise means that the interval of the \
change excludes 0.

### Figures

| Figure | `{base[:7]}` | `{head[:7]}` |
| --- | --- | --: |
| `plots/dot.svg` | <img width="420" src="{web}/blob/{base}/plots/dot.svg?raw=true"> | \
<img width="420" src="{web}/blob/{head}/plots/dot.svg?raw=true"> |
| `знімок 1.png` | – | \
<img width="420" src="{web}/blob/{head}/%D0%B7%D0%BD%D1%96%D0%BC%D0%BE%D0%BA%201.png?raw=true"> |

The plots of both commits on one page: the artifact `plots` of [this run]({web}/actions/runs/7).
"""
    )


def test_the_report_joins_the_summary_of_the_run(comparison: Comparison) -> None:
    assert comparison.summary == "before\n" + comparison.report


def test_the_page_of_plots_holds_both_commits_and_loads_nothing(comparison: Comparison) -> None:
    page = comparison.page.read_text("utf-8")
    assert set(re.findall(r'"rev": "([^"]*)"', page)) == {
        "HEAD",
        comparison.clone.commits["main"][:7],
    }
    assert not re.search(r'<(script|link|img)[^>]*(src|href)\s*=\s*"(https?:)?//', page)
    pictures = re.findall(r'<img src="(static/[^"]+)"', page)
    assert len(pictures) == 2
    assert all((comparison.page.parent / picture).is_file() for picture in pictures)


def test_plots_are_drawn_without_network(comparison: Comparison, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync --no-first-run"
    done = call(
        tmp_path, browser, *flags.split(), f"--user-data-dir={tmp_path}", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=5000", "--dump-dom", comparison.page.as_uri(),
    )  # fmt: skip
    lines = re.findall(r'<path aria-label="epoch: 1; loss: 0\.\d; rev: (\w+)"', done.stdout)
    assert set(lines) == {"HEAD", comparison.clone.commits["main"][:7]}


def test_a_pull_request_is_compared_with_the_first_parent_of_its_merge(clone: Study) -> None:
    assert call(clone.path, "ci/base.sh").stdout.strip() == clone.commits["main"]


def test_a_commit_without_parent_has_no_base(study: Study, tmp_path: Path) -> None:
    call(tmp_path, "git", "clone", "--quiet", study.path.as_uri(), "root")
    call(tmp_path / "root", "git", "checkout", "--quiet", study.commits["code"])
    assert "no parent" in call(tmp_path / "root", "ci/base.sh", expect=1).stderr


def test_a_committed_study_is_fresh_in_any_clone(clone: Study) -> None:
    assert (
        call(clone.path, "ci/lock_is_fresh.py").stdout == "dvc.lock, metrics and plots are fresh\n"
    )


@pytest.fixture
def scratch(study: Study, tmp_path: Path) -> Path:
    """A clone to spoil."""
    call(
        tmp_path,
        "git",
        "clone",
        "--quiet",
        "--depth=1",
        "--branch=merge",
        study.path.as_uri(),
        "scratch",
    )
    return tmp_path / "scratch"


def test_a_parameter_changed_without_repro_makes_the_lock_stale(scratch: Path) -> None:
    (scratch / "params.yaml").write_text("noise:\n  level: 0.3\n")
    assert call(scratch, "ci/lock_is_fresh.py", expect=1).stderr == (
        "error: dvc.lock is stale (first stage to run: draw): "
        "run `dvc repro`, then commit dvc.lock, metrics and plots\n"
    )


def test_a_folder_of_code_is_stale_after_an_edit_in_it_but_not_after_it_was_run(
    scratch: Path,
) -> None:
    (scratch / "code/__pycache__").mkdir()
    (scratch / "code/__pycache__/noun.cpython-311.pyc").write_bytes(b"bytes")
    assert "are fresh" in call(scratch, "ci/lock_is_fresh.py").stdout
    (scratch / "code/noun.py").write_text("EDITED = True\n")
    assert (
        "stale (first stage to run: fit)" in call(scratch, "ci/lock_is_fresh.py", expect=1).stderr
    )


def test_a_metric_edited_by_hand_makes_the_lock_stale(scratch: Path) -> None:
    (scratch / "metrics/fit.json").write_text('{"accuracy": 1.0}')
    assert (
        "stale (first stage to run: fit)" in call(scratch, "ci/lock_is_fresh.py", expect=1).stderr
    )


def test_a_metric_that_was_not_committed_is_named(scratch: Path) -> None:
    (scratch / "metrics/fit.json").unlink()
    error = call(scratch, "ci/lock_is_fresh.py", expect=1).stderr
    assert error.startswith(
        "error: dvc.lock names metrics/fit.json, but Git does not hold it: run `dvc repro`"
    )
    assert error.count("\n") == 1


def test_a_study_without_lock_is_not_fresh(scratch: Path) -> None:
    (scratch / "dvc.lock").unlink()
    assert "there is no dvc.lock" in call(scratch, "ci/lock_is_fresh.py", expect=1).stderr


def test_a_broken_pipeline_file_is_not_called_stale() -> None:
    lines = ["'dvc.yaml' is invalid.", "ERROR: bad indentation"]
    assert lock_is_fresh.problem(lines, []) == "`dvc repro --dry` failed: ERROR: bad indentation"


def test_no_change_is_one_sentence(study: Study) -> None:
    done = call(study.path, sys.executable, "-m", "ci.report", "HEAD", "HEAD")
    assert done.stdout.splitlines()[2:] == ["Nothing changed: no parameter, no metric, no figure."]


def test_against_a_commit_without_results_every_metric_is_new(study: Study) -> None:
    done = call(
        study.path,
        sys.executable,
        "-m",
        "ci.report",
        study.commits["code"],
        study.commits["results"],
    )
    rows = [
        line.split(" | ")[1:] for line in done.stdout.splitlines() if line.startswith("| `metrics/")
    ]
    assert [row[0] for row in rows] == ["`rows`", "`accuracy`", "`early`", "`effect`"]
    assert all(row[1] == "–" and row[3] == "added" for row in rows)
    assert "No parameter changed." in done.stdout
    assert "| `plots/dot.svg` | – | after |" in done.stdout  # no web address here


def test_an_unknown_commit_is_one_line(study: Study) -> None:
    error = call(study.path, sys.executable, "-m", "ci.report", "nowhere", expect=1).stderr
    assert error.count("\n") == 1
    assert error.startswith("error: `git rev-parse --verify nowhere^{commit}` failed")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of fake programs, each of which appends its arguments to `calls`; python keeps its -r file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("gh", "dvc", "python"):
        keep = (
            f'[[ $2 == pip ]] && cp "${{@: -1}}" "{tmp_path}/kept"\ntrue\n'
            if name == "python"
            else ""
        )
        (folder / name).write_text(
            f'#!/usr/bin/env bash\necho {name} "$@" >> "{tmp_path}/calls"\n{keep}'
        )
        (folder / name).chmod(0o755)
    return folder


def test_the_report_is_posted_as_a_comment_that_is_edited(programs: Path, tmp_path: Path) -> None:
    call(
        ROOT,
        "ci/comment.sh",
        FIRST=str(programs),
        HEAD_REPOSITORY="o/r",
        GITHUB_REPOSITORY="o/r",
        PULL_REQUEST="5",
    )
    assert (tmp_path / "calls").read_text() == (
        "gh pr comment 5 --edit-last --create-if-none --body-file dvc_plots/report.md\n"
    )


def test_a_fork_gets_no_comment_but_a_line(programs: Path, tmp_path: Path) -> None:
    done = call(
        ROOT,
        "ci/comment.sh",
        FIRST=str(programs),
        HEAD_REPOSITORY="fork/r",
        GITHUB_REPOSITORY="o/r",
    )
    assert (
        done.stdout
        == "no comment, for fork/r is a fork: the report is in the summary of this run\n"
    )
    assert not (tmp_path / "calls").exists()


def test_dvc_is_installed_with_all_it_needs_and_no_torch(programs: Path, tmp_path: Path) -> None:
    call(ROOT, "ci/install_dvc.sh", FIRST=str(programs))
    kept = (tmp_path / "kept").read_text()
    names = {
        canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", kept, re.MULTILINE)
    }
    assert needed_by("dvc") <= names
    assert not names & {"torch", "numpy", "pandas", "nvidia-cublas"}
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", kept))


def needed_by(package: str) -> set[str]:
    """The package and, through and through, what it requires here."""
    found: set[str] = set()
    todo = [package]
    while todo:
        name = canonicalize_name(todo.pop())
        if name not in found:
            found.add(name)
            wanted = [Requirement(line) for line in requires(name) or []]
            todo += [
                one.name
                for one in wanted
                if one.marker is None or one.marker.evaluate({"extra": ""})
            ]
    return found


def test_the_offline_page_is_what_its_script_makes() -> None:
    page = (ROOT / offline_template.PATH).read_text("utf-8")
    assert page == offline_template.page()
    assert page.count("{plot_divs}") == 1
    assert page.count("</script>") == 1
    assert not re.search(r"\{scripts\}|\{refresh_tag\}|<script[^>]+src", page)


def test_dvc_uses_the_offline_page() -> None:
    configured = re.search(r"html_template = (.+)", (ROOT / ".dvc/config").read_text())
    assert configured is not None
    assert (ROOT / ".dvc" / configured[1]).resolve() == ROOT / offline_template.PATH
