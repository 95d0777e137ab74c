"""The scratch of an interrupted training: where it lies, who may use it, and the checkpoint in it."""

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
    """`.scratch` of the study. DVC keeps DVC_ROOT at the original study in a queued or --temp run, whose own folder is
    deleted when it fails: what it had learned by then is found again."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()) / ".scratch"


def scratch_key(parameters: Mapping[str, object], files: Sequence[Path]) -> str:
    """sha256 of everything that a training's result depends on: parameters, and the bytes of data and code.

    It does not depend on where they lie: a queued run works in a temporary folder.
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
    """Hold the lock file `path` inside the block. Raises ValueError at once where another process holds it.

    The kernel frees the lock when its process dies, however it dies.
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
            path.unlink()  # in the lock; who opened the file before finds it gone, above


def read_checkpoint(folder: Path) -> bytes | None:
    """The checkpoint in a scratch folder, None where there is none or CAPTCHA_FRESH=1 asks to start anew."""
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
