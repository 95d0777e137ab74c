"""The training job of the lab: one separate process. Its state is in files and so survives a reload of the page."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages import artifacts
from stages.lab.errors import BusyError, MissingError
from stages.lab.glyph_training import Settings

PATIENCE = 5  # s, time for a process to end after a request


class Job:
    """Start, watch and stop the training in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()
        # Linux ends a process with the thread that started it (die_with_parent in stages.command). Threads of a server
        # are short-lived; this one stays.
        self.starter = ThreadPoolExecutor(1)

    @property
    def reader(self) -> Path:
        """The best reader so far."""
        return self.folder / "reader"

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, settings: Settings) -> None:
        """Start a training. Raises BusyError while one runs."""
        with self.lock:
            if self.running():
                raise BusyError("a training is running: wait for it, or stop it first")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            artifacts.write_json(self.folder / "settings.json", asdict(settings))
            with (self.folder / "log.txt").open("wb") as log:
                self.process = self.starter.submit(
                    subprocess.Popen,
                    [sys.executable, "-m", "stages.lab.glyph_training", str(self.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                ).result()

    def stop(self) -> None:
        """End a running training at the user's request; the best reader so far is retained."""
        with self.lock:
            if self.running():
                (self.folder / "stopped").touch()
                self._end()

    def close(self) -> None:
        """End a running training because the lab ends."""
        with self.lock:
            self._end()
        self.starter.shutdown(wait=False)

    def _end(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def state(self) -> dict[str, Any]:
        """state (idle, running, stopped, failed or done), settings, history, seconds, epoch_share, error, savable."""
        with self.lock:  # a start removes the files that are read here
            return self._state()

    def _state(self) -> dict[str, Any]:
        if not (self.folder / "settings.json").is_file():
            return {"state": "idle", "history": [], "savable": False}
        running = (
            self.running()
        )  # before the files are read: the process writes them before it ends
        status: dict[str, Any] = {
            "state": "running",
            "history": [],
            "seconds": 0.0,
            "epoch_share": 0.0,
        }
        if (self.folder / "progress.json").is_file():
            status |= artifacts.read_json(self.folder / "progress.json")
        status["settings"] = artifacts.read_json(self.folder / "settings.json")
        status["savable"] = (self.reader / "reader.json").is_file()
        if status["state"] == "running" and not running:
            status |= self._ended()
        return status

    def _ended(self) -> dict[str, Any]:
        if (self.folder / "stopped").is_file():
            return {"state": "stopped"}
        log = (
            (self.folder / "log.txt")
            .read_text(encoding="utf-8", errors="replace")
            .strip()
            .splitlines()
        )
        if self.process is None and not (log and log[-1].startswith("error: ")):
            return {
                "state": "stopped",
                "error": "the lab ended while it trained: what it had learned by then is kept",
            }
        last = (
            log[-1].removeprefix("error: ")
            if log
            else f"exit status {self.process and self.process.returncode}"
        )
        return {"state": "failed", "error": last[:500]}

    def save(self, folder: Path) -> None:
        """Copy the best reader so far. Raises MissingError if there is none yet."""
        try:
            description = (self.reader / "reader.json").read_bytes()
            weights = (self.reader / "weights.safetensors").read_bytes()
        except FileNotFoundError:
            raise MissingError(
                "no trained reader to save: train one for at least one epoch"
            ) from None
        artifacts.write_bytes(folder / "weights.safetensors", weights)
        artifacts.write_bytes(folder / "reader.json", description)
