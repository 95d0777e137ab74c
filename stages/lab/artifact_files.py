"""Read files of the pipeline defensively: a missing or incomplete file gives a one-line error.

Nothing is computed again. Results are cached until the file changes.
"""

from __future__ import annotations

import csv
import io
import json
import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from stages.lab.errors import MissingError
from stages.schemas.table import Table

LARGEST = 32 * 2**20  # bytes of a file that is read
DEEPEST = 50  # mappings within each other
STAGES = {  # output folders per stage, the first match wins; other files belong to `plot`
    "metrics/predict": "predict", "metrics/regress": "regress", "plots/train": "train", "plots/predict": "predict",
    "plots/regress": "regress", "plots/explain": "explain",
}  # fmt: skip

Made = TypeVar("Made")
Row: TypeAlias = dict[
    str, Any
]  # by column: a text as it is, a number as a float, None where there is none
_cache: dict[tuple[Callable[[Path], Any], Path], tuple[tuple[int, int], Any]] = {}
_cache_lock = threading.Lock()


def cached(read: Callable[[Path], Made], path: Path) -> Made:
    """The cached result of `read` on a file; read again after a change. Raises MissingError without the file."""
    try:
        status = path.stat()
    except OSError:
        raise missing(path) from None
    key = (read, path.absolute())
    stamp = (status.st_mtime_ns, status.st_size)
    with _cache_lock:
        found = _cache.get(key)
    if found is None or found[0] != stamp:
        found = stamp, read(path)
        with _cache_lock:
            _cache[key] = found
    made: Made = found[1]
    return made


def command_for(path: Path) -> str:
    """The command that makes a file of the pipeline, or restores a source file."""
    if path.name in ("params.yaml", "dvc.yaml"):
        return f"`git checkout {path.name}`"
    if path.name == "dvc.lock":
        return "`dvc repro`"
    stage = next(
        (stage for start, stage in STAGES.items() if path.as_posix().startswith(start)), "plot"
    )
    return f"`dvc repro {stage}`"


def missing(path: Path) -> MissingError:
    return MissingError(f"{path.as_posix()} is missing: run {command_for(path)}")


def damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path.as_posix()} is damaged ({why}): run {command_for(path)}")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises MissingError without the file, ValueError if it is too large or unreadable."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(
                f"{path.as_posix()}: expected at most {LARGEST} bytes, got {path.stat().st_size}"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise damaged(path, error.strerror or "cannot be read") from None


def read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError:
        raise damaged(path, "not UTF-8") from None


def read_rows(path: Path, kind: type[Table]) -> list[Row]:
    """The rows of a CSV of this kind.

    Raises ValueError if a column is missing or a row is incomplete. An empty file has no rows.
    """
    columns, rows = read_cells(path)
    if columns and columns != kind.names():
        raise damaged(
            path, f"expected the columns {', '.join(kind.names())}, got {', '.join(columns)[:200]}"
        )
    texts = [column.kind is str for column in kind.columns.values()]
    return [
        {
            name: cell if text else cell_number(cell, path)
            for name, cell, text in zip(columns, row, texts, strict=True)
        }
        for row in rows
    ]


def read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header of a CSV, and its rows, each as long as the header. Raises ValueError if the file is incomplete."""
    try:
        lines = list(csv.reader(io.StringIO(read_text(path), newline=""), strict=True))
    except csv.Error as error:
        raise damaged(path, str(error)) from None
    columns, *rows = lines or [[]]
    for line, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise damaged(path, f"line {line} has {len(row)} cells, expected {len(columns)}")
    return columns, rows


def cell_number(text: str, path: Path) -> float | None:
    """The number in a cell; None for "" and for values that are not finite."""
    try:
        value = float(text or "nan")
    except ValueError:
        raise damaged(path, f"expected a number, got {text[:40]!r}") from None
    return value if math.isfinite(value) else None


def read_metrics(path: Path) -> dict[str, float]:
    return numbers_in(read_text(path), path)


def numbers_in(text: str, path: Path) -> dict[str, float]:
    """The finite numbers of a JSON object by name, of nested objects by dotted name. Raises ValueError otherwise."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error)[:100]) from None
    if not isinstance(tree, dict):
        raise damaged(path, f"expected an object, got {type(tree).__name__}")
    leaves = flat(tree)
    return {
        name: float(value)
        for name, value in leaves.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value)
    }


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted name; an empty mapping is a leaf. Raises ValueError if the nesting is too
    deep."""
    if prefix.count(".") > DEEPEST:
        raise ValueError(
            f"{prefix[:60]}…: expected at most {DEEPEST} mappings within each other: mend it"
        )
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves


def or_error(piece: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of `piece()`, or {"error": message} on a ValueError."""
    try:
        return piece()
    except ValueError as error:
        return {"error": " ".join(str(error).split())}
