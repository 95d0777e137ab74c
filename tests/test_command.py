"""How a stage behaves as a process: one line for an error, and no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages import command

ROOT = Path(__file__).resolve().parents[1]


def test_a_bad_input_is_one_line_and_exit_one(capsys: pytest.CaptureFixture[str]) -> None:
    def stage() -> None:
        raise ValueError("params.yaml: seed: missing\n  (twice)")

    with pytest.raises(SystemExit) as stop:
        command.run(stage)
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: params.yaml: seed: missing (twice)\n"


def test_a_defect_keeps_its_traceback() -> None:
    def stage() -> None:
        raise TypeError("a bug of ours")

    with pytest.raises(TypeError):
        command.run(stage)


def test_an_interrupt_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def stage() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        command.run(stage)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_progress_is_a_flushed_line_named_after_the_stage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@noisy")
    command.progress("epoch 1/3")
    assert capsys.readouterr().out == "[train@noisy] epoch 1/3\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_stage_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = tmp_path / "child.py"
    child.write_text(
        "import os, pathlib, time\nfrom stages.command import run\n"
        f"run(lambda: (pathlib.Path({str(note)!r}).write_text(str(os.getpid())), time.sleep(60)))\n"
    )
    shell = f"PYTHONPATH={ROOT} exec {sys.executable} {child}"
    parent = f"import subprocess; subprocess.run(['/bin/sh', '-c', {shell!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT)
    try:
        pid = wait_for(lambda: int(note.read_text() or 0) if note.exists() else 0)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert wait_for(lambda: not alive(pid)), "the stage outlived its parent"
    finally:
        process.kill()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: object, seconds: float = 20) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():  # type: ignore[operator]
            return int(value)
        time.sleep(0.05)
    return 0
