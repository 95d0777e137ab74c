"""The pull-request workflow: what it may run, use and write; its scripts are run in test_ci.py."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github/workflows/pull-request.yml"
ACTIONS = {"actions/checkout@v7", "actions/setup-python@v7", "actions/upload-artifact@v7"}


def workflow() -> Any:
    return YAML(typ="safe", pure=True).load(WORKFLOW.read_text("utf-8"))


def jobs() -> dict[str, Any]:
    return workflow()["jobs"]  # type: ignore[no-any-return]


def steps(key: str) -> list[Any]:
    return [step[key] for job in jobs().values() for step in job["steps"] if key in step]


def test_every_step_runs_a_script_that_exists_and_can_run() -> None:
    assert {
        "ci/lint.sh",
        "ci/tests.sh",
        "ci/lock_is_fresh.py",
        "ci/report.sh",
        "ci/comment.sh",
    } <= set(steps("run"))
    for command in steps("run"):
        assert re.fullmatch(r"ci/[a-z_]+\.(sh|py)", command)
        assert os.access(ROOT / command, os.X_OK), f"chmod +x {command}"


def test_only_kept_actions_are_used_and_no_address_is_named() -> None:
    assert set(steps("uses")) == ACTIONS
    for path in [WORKFLOW, *ROOT.glob("ci/*.*")]:
        assert "://" not in path.read_text("utf-8"), path


def test_only_the_report_may_write_and_only_comments() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    permissions = {name: job["permissions"] for name, job in jobs().items() if "permissions" in job}
    assert permissions == {"report": {"contents": "read", "pull-requests": "write"}}
    assert "pull_request" in workflow()["on"]


def test_every_python_that_the_project_supports_is_tested() -> None:
    versions = jobs()["tests"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13"]
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_style_and_types_are_checked_by_one_script_wherever_it_is_asked() -> None:
    script = (ROOT / "ci/lint.sh").read_text("utf-8")
    for command in ("ruff check .", "ruff format --check", "mypy ||"):
        assert f"\n{command}" in script
    run = (ROOT / ".ci/run").read_text("utf-8")
    assert run.index("ci/lint.sh") < run.index("ci/tests.sh")
    assert "run: ci/lint.sh" in WORKFLOW.read_text("utf-8")
    assert (ROOT / "Makefile").read_text("utf-8").count("ci/lint.sh") == 1


def test_the_hooks_are_local_and_check_what_the_script_checks() -> None:
    (repository,) = YAML(typ="safe", pure=True).load(
        (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    )["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"].split()[0] for hook in repository["hooks"]] == ["ruff", "ruff", "mypy"]
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}


def test_the_tests_are_run_as_the_readme_says() -> None:
    command = (ROOT / "ci/tests.sh").read_text("utf-8").splitlines()[-1]
    assert " && pytest" in command
    assert f"\n{command}\n" in (ROOT / "README.md").read_text("utf-8")
