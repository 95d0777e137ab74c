"""A lab for the browser tests: the real command, on a copy of the project's code and results."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("stages", "plots", "metrics", "pretrained", "params.yaml", "dvc.yaml", "dvc.lock")
# Without these flags, Chromium contacts its vendor's hosts at start-up.
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def browser_path() -> str | None:
    return shutil.which("chromium") or shutil.which("google-chrome")


def copy_project(folder: Path) -> None:
    """Copy what the lab reads from the working tree, into a repository of its own."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "The study")


def git(folder: Path, *words: str) -> str:
    identity = {
        f"GIT_{who}_{what}": text
        for who in ("AUTHOR", "COMMITTER")
        for what, text in (("NAME", "test"), ("EMAIL", "test@example.invalid"))
    }
    return subprocess.run(
        ["git", *words],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | identity,
    ).stdout.strip()


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """Run `python -m stages.lab` in a folder inside the block; yields its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "stages.lab", "--port", "0", "--no-browser"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None, "the lab did not start"
        yield found[0]
    finally:
        server.terminate()
        server.communicate(timeout=60)
