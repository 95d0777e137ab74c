"""Revisions of the study, read from Git: the workspace, HEAD and DVC's experiments, and the difference of two of them.

Metrics and params.yaml are in Git (cache: false), so an experiment is its commit below refs/exps. Git lists these in
milliseconds; DVC would take seconds.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages import artifacts
from stages.lab.artifact_files import cached, flat, numbers_in, read_metrics
from stages.lab.dvc_lock import PARAMS, parameter_text, parse_yaml, read_yaml
from stages.lab.errors import MissingError

WORKSPACE = "workspace"
HEAD = "HEAD"
EXPERIMENT = re.compile(
    r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38,62})/([^/]+)"
)  # baseline commit, and name
LARGEST = 2**20  # bytes of a file in a commit
SECONDS = 20  # time limit of a Git command
ENDS = ("_low", "_high", "_se")  # suffixes of the interval and standard error of a metric


@dataclass(frozen=True)
class Revision:
    """`name` is unique among the available revisions; `commit` is None for the workspace."""

    name: str
    description: str
    commit: str | None


@dataclass(frozen=True)
class Snapshot:
    """Contents of a revision: parameters by dotted name, metrics by file and name, and notes on unreadable files."""

    params: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...]


def git(*words: str, given: bytes = b"") -> bytes:
    """Output of a Git command that writes nothing. Raises ValueError, one line, if it fails."""
    try:
        done = subprocess.run(
            ["git", *words],
            input=given,
            capture_output=True,
            timeout=SECONDS,
            check=True,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise ValueError(
            "git is not installed: install it to see commits and experiments"
        ) from None
    except subprocess.TimeoutExpired:
        raise ValueError(f"git {words[0]}: no answer within {SECONDS} s: try again") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(
            f"no commits to show (git {words[0]}: {lines[-1][:200] if lines else 'failed'}): run the lab in "
            "a Git repository with a commit"
        ) from None
    return done.stdout


def head() -> dict[str, Any]:
    """The current commit, the last one that changed dvc.lock, and the number of tracked files that differ from it."""
    commit, date, subject = _shown("HEAD")
    lock = git("log", "-1", "--format=%H", "--", "dvc.lock").decode().strip()
    changed = git("status", "--porcelain", "-z", "--untracked-files=no").split(b"\0")
    return {
        "commit": commit,
        "date": date,
        "subject": subject,
        "lock": lock,
        "changed": sorted(
            line[3:].decode(errors="replace") for line in changed if line[2:3] == b" "
        ),
    }


def _shown(revision: str) -> tuple[str, str, str]:
    commit, date, subject = (
        git("log", "-1", "--format=%H%n%cI%n%s", revision).decode(errors="replace").split("\n")[:3]
    )
    return commit, date, subject


def revisions() -> list[Revision]:
    """All revisions that can be compared: the workspace, HEAD, and experiments, newest first."""
    listed = (
        git(
            "for-each-ref",
            "--sort=-committerdate",
            "--format=%(objectname) %(committerdate:short) %(refname)",
            "refs/exps",
        )
        .decode(errors="replace")
        .splitlines()
    )
    lines = [line.split(" ", 2) for line in listed]
    matches = [(commit, date, EXPERIMENT.fullmatch(name)) for commit, date, name in lines]
    experiments = [(commit, date, *match.groups()) for commit, date, match in matches if match]
    names = Counter([WORKSPACE, HEAD, *(name for *_, name in experiments)])
    commit, date, subject = _shown("HEAD")
    return [
        Revision(WORKSPACE, "workspace: the files as they are", None),
        Revision(HEAD, f"HEAD: {commit[:7]}, {date[:10]}, {subject[:60]}", commit),
        *(
            Revision(
                name if names[name] == 1 else f"{name}@{start}{rest[:5]}",
                f"experiment {name}, of {date}, on {start}{rest[:5]}",
                commit,
            )
            for commit, date, start, rest, name in experiments
        ),
    ]


def find(name: str, known: list[Revision]) -> Revision:
    """The revision of that name. Raises MissingError if there is none."""
    for revision in known:
        if revision.name == name:
            return revision
    names = ", ".join(revision.name for revision in known)[:300]
    raise MissingError(f"revision: no {name[:60]!r} is here: choose one of {names}")


def snapshot(revision: Revision) -> Snapshot:
    return _of_workspace() if revision.commit is None else _of_commit(revision.commit, os.getcwd())


def _of_workspace() -> Snapshot:
    params = {}
    metrics = {}
    notes = []
    try:
        params = flat(read_yaml(PARAMS))
    except ValueError as error:
        notes.append(str(error))
    for path in sorted(artifacts.METRICS.rglob("*.json")):
        try:
            metrics[_label(path)] = cached(read_metrics, path)
        except ValueError as error:
            notes.append(str(error))
    return Snapshot(params, metrics, tuple(notes))


@lru_cache(maxsize=64)
def _of_commit(commit: str, folder: str) -> Snapshot:
    """Snapshot of a commit, which never changes; `folder` is the folder of the study."""
    params = {}
    metrics = {}
    notes = []
    for path, content in _files(commit):
        try:
            text = content.decode()
            if path == PARAMS:
                params = flat(parse_yaml(text, path.as_posix()))
            elif path.suffix == ".json":
                metrics[_label(path)] = numbers_in(text, path)
        except ValueError as error:
            notes.append(f"{commit[:7]}: {str(error).rpartition(': ')[0]}")
    return Snapshot(params, metrics, tuple(notes))


def _files(commit: str) -> Iterator[tuple[Path, bytes]]:
    """params.yaml and the metrics in a commit."""
    listed = git(
        "ls-tree", "-r", "-l", "-z", commit, "--", PARAMS.as_posix(), artifacts.METRICS.as_posix()
    )
    wanted: list[tuple[str, Path]] = []
    for line in listed.decode(errors="replace").split("\0")[:-1]:
        facts, _, path = line.partition("\t")
        _, kind, blob, size = facts.split()
        if kind == "blob" and int(size) <= LARGEST:
            wanted.append((blob, Path(path)))
    answer = git("cat-file", "--batch", given="".join(f"{blob}\n" for blob, _ in wanted).encode())
    place = 0
    for _, file in wanted:  # per file: "BLOB blob SIZE\nCONTENT\n"
        header = answer.index(b"\n", place)
        end = header + 1 + int(answer[place:header].split()[2])
        yield file, answer[header + 1 : end]
        place = end + 1


def _label(path: Path) -> str:
    """metrics/predict/noisy.json is predict/noisy."""
    return path.relative_to(artifacts.METRICS).with_suffix("").as_posix()


def compare(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """Parameters that differ (name, before, after), and all metrics with a mark on those that changed."""
    names = [*before.params, *(name for name in after.params if name not in before.params)]
    params = [
        [name, parameter_text(before.params.get(name)), parameter_text(after.params.get(name))]
        for name in names
        if before.params.get(name) != after.params.get(name)
    ]
    files = sorted({*before.metrics, *after.metrics})
    metrics = [
        row
        for file in files
        for row in _rows(file, before.metrics.get(file, {}), after.metrics.get(file, {}))
    ]
    return {"params": params, "metrics": metrics, "notes": [*before.notes, *after.notes]}


def _rows(
    file: str, before: Mapping[str, float], after: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    known = {*before, *after}
    for name in sorted(known):
        if not any(name.endswith(end) and name.removesuffix(end) in known for end in ENDS):
            yield {"file": file, "name": name} | moved(
                metric_with_interval(before, name), metric_with_interval(after, name)
            )


def metric_with_interval(metrics: Mapping[str, float], name: str) -> dict[str, float | None]:
    """A metric: value, low and high of its interval, standard error; None if there is none."""
    return {"value": metrics.get(name)} | {end[1:]: metrics.get(name + end) for end in ENDS}


def moved(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> dict[str, Any]:
    """before, after, difference, and their intervals: "apart", "overlap", or None if there are none."""
    one = before["value"]
    other = after["value"]
    difference = None if one is None or other is None else float(f"{other - one:.6g}")
    low = before["low"]
    high = before["high"]
    other_low = after["low"]
    other_high = after["high"]
    intervals = None
    if low is not None and high is not None and other_low is not None and other_high is not None:
        intervals = "overlap" if low <= other_high and other_low <= high else "apart"
    return {
        "before": before,
        "after": after,
        "difference": difference,
        "moved": one != other,
        "intervals": intervals,
    }
