"""The scratch of a training: found by what it depends on, held by one, and gone when it is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages import checkpoints
from stages.checkpoints import locked, scratch_key


def test_the_key_depends_on_parameters_and_bytes_and_not_on_the_place(tmp_path: Path) -> None:
    files = []
    for place in ("one", "two"):
        path = tmp_path / place / "train" / "part-0"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"data")
        files.append(path)
    key = scratch_key({"a": 1}, files[:1])
    assert scratch_key({"a": 1}, files[1:]) == key
    assert scratch_key({"a": 2}, files[:1]) != key
    assert scratch_key({"a": 1}, files) != key
    files[0].write_bytes(b"date")
    assert scratch_key({"a": 1}, files[:1]) != key


def test_the_scratch_of_a_queued_run_is_that_of_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert checkpoints.scratch_root() == tmp_path / ".scratch"
    monkeypatch.setenv("DVC_ROOT", "/study")
    assert checkpoints.scratch_root() == Path("/study/.scratch")


def test_a_lock_has_one_holder_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "noisy.lock"
    with locked(path, "noisy"):
        with pytest.raises(
            ValueError, match=r"another training of reader noisy is running .*: wait or stop it"
        ):
            locked(path, "noisy").__enter__()
        with locked(path.with_name("clean.lock"), "clean"):
            pass
    assert list(path.parent.iterdir()) == []
    with locked(path, "noisy"):
        pass


def test_a_lock_is_freed_by_an_error(tmp_path: Path) -> None:
    path = tmp_path / "noisy.lock"
    with pytest.raises(RuntimeError), locked(path, "noisy"):
        raise RuntimeError
    with locked(path, "noisy"):
        pass


def test_checkpoints_come_back_unless_a_fresh_start_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAPTCHA_FRESH", raising=False)
    folder = tmp_path / "key"
    assert checkpoints.read_checkpoint(folder) is None
    checkpoints.write_checkpoint(folder, b"one")
    checkpoints.write_checkpoint(folder, b"two")
    assert checkpoints.read_checkpoint(folder) == b"two"
    monkeypatch.setenv("CAPTCHA_FRESH", "1")
    assert checkpoints.read_checkpoint(folder) is None
    checkpoints.remove_checkpoint(folder)
    checkpoints.remove_checkpoint(folder)
    assert not folder.exists()
