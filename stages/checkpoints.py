"""Checkpoints of interrupted trainings: the scratch folder, its lock, and the checkpoint in it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from stages import artifacts


def scratch_root() -> Path:
    """`.scratch` of the study.

    In a queued or --temp run, DVC_ROOT is the original study: the folder of the run is deleted when it fails, and the
    checkpoint must survive.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()) / ".scratch"


def scratch_key(parameters: Mapping[str, object], files: Sequence[Path]) -> str:
    """SHA-256 of everything that the result of a training depends on: parameters, and the bytes of data and code.

    It does not depend on the location of the study: a queued run works in a temporary folder.
    """
    digest = hashlib.sha256(json.dumps([parameters, torch.__version__], sort_keys=True).encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(
                f"{path.parent.name}/{path.name} ".encode()
                + hashlib.file_digest(file, "sha256").digest()
            )
    return digest.hexdigest()


@contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Hold the lock file `path` inside the block. Raises ValueError, without waiting, where another process holds it.

    The kernel releases the lock when the process ends for any reason.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another training of reader {name} is running (lock {path}): wait or stop it"
            ) from None
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise ValueError(
                f"another training of reader {name} just ended (lock {path}): run this one again"
            )
        try:
            yield
        finally:
            path.unlink()  # while locked; a process that opened the file earlier notices above


def read_checkpoint(folder: Path) -> bytes | None:
    """The checkpoint in a scratch folder, None where there is none, or CAPTCHA_FRESH=1."""
    if os.environ.get("CAPTCHA_FRESH") == "1":
        return None
    try:
        return (folder / "checkpoint").read_bytes()
    except FileNotFoundError:
        return None


def write_checkpoint(folder: Path, content: bytes) -> None:
    artifacts.write_bytes(folder / "checkpoint", content)


def remove_checkpoint(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
