"""Available readers (of the study, pretrained/, trained in the lab), and the only folder that the lab writes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

from stages import artifacts
from stages.lab.errors import MissingError, RefusedError
from stages.reader.inference import choose_device
from stages.reader.protocol import Reader
from stages.reader_files import Description, load_recogniser, read_description

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
OWN_PREFIX = "lab/"  # prefix of the names of readers trained here
PRETRAINED_PREFIX = "pretrained/"  # prefix of the names of readers under version control

Loaded = tuple[Reader, Description]


class Desk:
    """Shared state of the routes. Readers are loaded once, and again when their files change. Thread-safe, except that
    one thread at a time may run a network (lock `reading`)."""

    def __init__(
        self, home: Path, study: Path = artifacts.READERS, pretrained: Path | None = None
    ) -> None:
        self.home = home
        self.study = study
        self.roots = (
            {"": study, OWN_PREFIX: self.own}
            if pretrained is None
            else {"": study, PRETRAINED_PREFIX: pretrained, OWN_PREFIX: self.own}
        )
        self.reading = (
            threading.Lock()
        )  # hold it while a network runs: the network then has all cores
        self._loading = threading.Lock()
        self._loaded: dict[str, tuple[tuple[tuple[int, ...], ...], Loaded]] = {}
        self.at_close: list[Callable[[], None]] = []

    @property
    def own(self) -> Path:
        """The folder of readers trained here."""
        return self.home / "readers"

    def close(self) -> None:
        for end in self.at_close:
            end()

    def names(self) -> list[str]:
        """Readers of the study, then "pretrained/NAME", then "lab/NAME" for those trained here; each sorted by name."""
        found = []
        for prefix, root in self.roots.items():
            if root.is_dir():
                found += sorted(
                    prefix + entry.name
                    for entry in root.iterdir()
                    if (entry / "reader.json").is_file()
                )
        return found

    def readers(self) -> list[dict[str, object]]:
        """name, architecture, alphabet, height and width (px), positions of every reader; `error` if it is bad."""
        described: list[dict[str, object]] = []
        for name in self.names():
            try:
                description = checked_description(self.folder(name))
            except ValueError as error:
                described.append({"name": name, "error": str(error)})
                continue
            described.append(
                {"name": name}
                | {
                    field: getattr(description, field)
                    for field in ("architecture", "alphabet", "height", "width", "positions")
                }
            )
        return described

    def folder(self, name: str) -> Path:
        """The folder of a reader. Raises MissingError if there is none of that name."""
        if name not in self.names():
            known = ", ".join(self.names()) or "none: run `dvc repro`, or train one here"
            raise MissingError(f"reader: no {name[:60]!r} is at hand: choose one of {known}")
        head, slash, tail = name.rpartition("/")
        return self.roots[head + slash] / tail

    def load(self, name: str) -> Loaded:
        """A reader by name, ready to read. Raises MissingError if there is none, ValueError if its files are bad."""
        folder = self.folder(name)
        try:
            stats = [(folder / file).stat() for file in ("reader.json", "weights.safetensors")]
        except OSError:
            raise MissingError(f"reader {name}: its weights are missing: train it again") from None
        stamp = tuple(
            (one.st_mtime_ns, one.st_size, one.st_ino) for one in stats
        )  # DVC may restore an older file
        with self._loading:
            if name not in self._loaded or self._loaded[name][0] != stamp:
                self._loaded = {
                    one: self._loaded[one] for one in self.names() if one in self._loaded
                }
                checked_description(folder)
                self._loaded[name] = stamp, load_recogniser(folder, choose_device("auto"))
            return self._loaded[name][1]


def checked_description(folder: Path) -> Description:
    """The description of a reader. Raises ValueError, one line, if it is bad."""
    try:
        return read_description(folder / "reader.json")
    except RecursionError:
        raise ValueError(
            f"{folder / 'reader.json'}: expected a reader, got JSON of bottomless depth: train it "
            "again"
        ) from None


def check_name(name: str) -> str:
    """The name, if it may become a folder below the lab's own. Raises RefusedError otherwise."""
    if not NAME.fullmatch(name):
        raise RefusedError(
            f"name: expected 1 to 40 letters, digits, - and _, beginning with a letter or digit, got "
            f"{name[:60]!r}: choose another"
        )
    return name
