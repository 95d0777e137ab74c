"""The run that dvc.lock records, and changes since: files are compared by hash, nothing is computed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.lab.artifact_files import cached, flat, read_text

LOCK = Path("dvc.lock")
PARAMS = Path("params.yaml")
HASHED = (
    8 * 2**20
)  # bytes up to which an artifact is compared by hash; of a larger one, only its existence
ANOTHER = object()  # in place of a value that differs between stages


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """A YAML 1.2 mapping. Raises ValueError, one line, on anything else."""
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{where} is not YAML ({str(error).splitlines()[0][:100]}): mend it"
        ) from None
    if not isinstance(tree, dict):
        raise ValueError(f"{where}: expected a mapping, got {type(tree).__name__}: mend it")
    return tree


def read_yaml(path: Path) -> dict[str, Any]:
    return cached(_parsed, path)


def _parsed(path: Path) -> dict[str, Any]:
    return parse_yaml(read_text(path), path.as_posix())


def stages_of(lock: Mapping[str, Any], readers: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The stages in dvc.lock by name, without those of removed readers."""
    stages = lock.get("stages")
    if not isinstance(stages, dict) or not all(
        isinstance(stage, dict) for stage in stages.values()
    ):
        raise ValueError(f"{LOCK} has no stages: run `dvc repro`")
    return {
        name: stage
        for name, stage in stages.items()
        if "@" not in name or name.partition("@")[2] in readers
    }


def recorded_params() -> dict[str, Any]:
    """Parameters of the stages in dvc.lock by dotted name; `ANOTHER` where stages differ."""
    found: dict[str, Any] = {}
    for stage in stages_of(read_yaml(LOCK), _readers()).values():
        for tree in (stage.get("params") or {}).values():
            for name, value in flat(tree if isinstance(tree, dict) else {}).items():
                found[name] = value if found.get(name, value) == value else ANOTHER
    return found


def _readers() -> Mapping[str, Any]:
    readers = read_yaml(PARAMS).get("readers")
    return readers if isinstance(readers, dict) else {}


def recorded_run() -> dict[str, Any]:
    """The parameters of the run [name, value, current value in params.yaml or None if equal], and which results and
    code match dvc.lock."""
    recorded = recorded_params()
    now = flat(read_yaml(PARAMS))
    names = [*now, *(name for name in recorded if name not in now)]
    params = [
        [
            name,
            parameter_text(recorded.get(name)),
            None if recorded.get(name) == now.get(name) else parameter_text(now.get(name)),
        ]
        for name in names
    ]
    stages = stages_of(read_yaml(LOCK), _readers())
    return {
        "params": params,
        "results": compare_with_lock(_entries(stages, "outs")),
        "code": compare_with_lock(
            entry for entry in _entries(stages, "deps") if entry["path"].startswith("stages/")
        ),
    }


def parameter_text(value: Any) -> str | None:
    """A parameter as text; None if there is none."""
    if value is ANOTHER:
        return "several: the pipeline was interrupted"
    if isinstance(value, list):
        return ", ".join(str(parameter_text(one)) for one in value) or "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value) or "(none)"


def _entries(stages: Mapping[str, Mapping[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    for stage in stages.values():
        for entry in stage.get(kind) or []:
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                yield entry


def compare_with_lock(entries: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The number of paths that match, and the paths that differ, are missing, or are too large to compare."""
    states: dict[str, list[str]] = {"same": [], "differ": [], "missing": [], "large": []}
    for path, entry in {entry["path"]: entry for entry in entries}.items():
        states[_state(Path(path), entry)].append(path)
    return states | {"same": len(states["same"])}


def _state(path: Path, entry: Mapping[str, Any]) -> str:
    try:
        if not path.exists():
            return "missing"
        if not isinstance(entry.get("size"), int) or entry["size"] > HASHED:
            return "large"
        return "same" if _hash(path) == entry.get("md5") else "differ"
    except (OSError, ValueError):  # being written now, or not a valid path
        return "differ"


def _hash(path: Path) -> str:
    """DVC's md5 of a file or folder, without what .dvcignore hides in a folder of code."""
    if not path.is_dir():
        return cached(_md5, path)
    files = sorted(
        (file.relative_to(path).as_posix(), file)
        for file in path.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    )
    listed = [{"md5": cached(_md5, file), "relpath": name} for name, file in files]
    return (
        hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
        + ".dir"
    )


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
