"""The desk: readers by name, loaded once and again when their files change, and never by running what they hold."""

from __future__ import annotations

import io
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from lab_readers import keep, store_single

from stages import artifacts
from stages.lab import loaded_readers as module
from stages.lab.errors import MissingError, RefusedError
from stages.lab.loaded_readers import Desk, check_name
from stages.reader_files import load_recogniser


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    keep(tmp_path / "readers" / "study")
    store_single(tmp_path / "lab" / "readers" / "mine")
    return Desk(tmp_path / "lab", study=tmp_path / "readers")


def test_readers_of_the_study_come_first_and_those_of_the_lab_have_its_prefix(desk: Desk) -> None:
    keep(desk.study / "another")
    store_single(desk.own / "alone")
    assert desk.names() == ["another", "study", "lab/alone", "lab/mine"]
    assert desk.folder("lab/mine") == desk.own / "mine"
    assert desk.folder("study") == desk.study / "study"


def test_a_desk_without_folders_has_no_readers_and_makes_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "lab", study=tmp_path / "readers")
    assert (desk.names(), desk.readers()) == ([], [])
    with pytest.raises(
        MissingError, match="choose one of none: run `dvc repro`, or train one here"
    ):
        desk.load("any")
    assert list(tmp_path.iterdir()) == []


def test_files_and_folders_without_a_description_are_no_readers(desk: Desk) -> None:
    (desk.study / "notes.txt").write_text("x")
    (desk.study / "empty").mkdir()
    (desk.study / "deep" / "reader.json").mkdir(parents=True)
    assert desk.names() == ["study", "lab/mine"]


BAD: dict[str, Any] = {
    "no JSON": b"{", "no UTF-8": b"\xff\xfe", "a list": b"[]", "nothing": b"", "deep JSON": b"[" * 100_000,
    "another format": {"format": 1}, "a huge network": {"channels": 10**9},
    "an unknown network": {"architecture": "os"}, "a path as denoiser": {"denoise": "../../x"},
    "a number as alphabet": {"alphabet": 5}, "no width": {"width": None},
    "a huge picture": {"height": 10**9, "width": 10**9}, "a cold temperature": {"temperature": 0.0},
    "not a number": {"temperature": float("nan")}, "no alphabet": {"alphabet": ""},
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_description_is_told_in_one_line_and_the_others_are_there(
    desk: Desk, what: str
) -> None:
    path = desk.own / "bad" / "reader.json"
    store_single(path.parent)
    if isinstance(BAD[what], bytes):
        path.write_bytes(BAD[what])
    else:
        artifacts.write_json(path, artifacts.read_json(path) | BAD[what])
    told = {one["name"]: one for one in desk.readers()}
    assert set(told["lab/bad"]) == {"name", "error"}
    assert len(str(told["lab/bad"]["error"]).splitlines()) == 1
    assert "error" not in told["study"]
    with pytest.raises(ValueError, match=r"reader\.json"):
        desk.load("lab/bad")
    assert desk.load("study")


class Evil:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


def pickled(trace: Path, how: str) -> bytes:
    buffer = io.BytesIO()
    if how == "torch":
        torch.save({"weights": Evil(trace)}, buffer)
    elif how == "numpy":
        np.save(buffer, np.array([Evil(trace)], object), allow_pickle=True)
    else:
        pickle.dump(Evil(trace), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("how", ["torch", "numpy", "pickle"])
@pytest.mark.parametrize("file", ["weights.safetensors", "reader.json"])
def test_a_pickle_is_refused_and_not_run(desk: Desk, tmp_path: Path, how: str, file: str) -> None:
    (desk.own / "mine" / file).write_bytes(pickled(tmp_path / "trace", how))
    with pytest.raises(ValueError, match="damaged"):
        desk.load("lab/mine")
    assert not (tmp_path / "trace").exists()
    if how == "pickle":
        pickle.loads(pickled(tmp_path / "trace", how))
        assert (tmp_path / "trace").exists()  # it would have


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = safetensors.torch.load(
        (folder / "weights.safetensors").read_bytes()
    )
    return found


@pytest.mark.parametrize(
    "change",
    [
        "another shape",
        "one missing",
        "one too many",
        "not finite",
        "another type",
        "cut",
        "a huge header",
    ],
)
def test_weights_that_do_not_fit_the_description_are_refused(desk: Desk, change: str) -> None:
    path = desk.own / "mine" / "weights.safetensors"
    given = weights(path.parent)
    first = min(given)
    if change == "one missing":
        del given[first]
    elif change == "one too many":
        given["more"] = torch.zeros(3)
    elif change == "not finite":
        given[first] = given[first].float() * torch.nan
    elif change == "another type":
        given[first] = given[first].double()
    else:
        given[first] = torch.zeros(2, 3, 5)
    content = safetensors.torch.save(given)
    if change == "a huge header":
        content = (2**62).to_bytes(8, "little") + content[8:]
    path.write_bytes(content[:-9] if change == "cut" else content)
    with pytest.raises(ValueError, match=r"damaged|is no heads reader") as refusal:
        desk.load("lab/mine")
    assert len(str(refusal.value).splitlines()) == 1


def test_a_reader_without_weights_is_told(desk: Desk) -> None:
    (desk.own / "mine" / "weights.safetensors").unlink()
    with pytest.raises(MissingError, match="lab/mine: its weights are missing"):
        desk.load("lab/mine")


def test_a_reader_is_loaded_once_and_again_when_either_file_changes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    real = load_recogniser
    monkeypatch.setattr(
        module,
        "load_recogniser",
        lambda folder, device: loads.append(folder) or real(folder, device),
    )
    first = desk.load("lab/mine")
    assert desk.load("lab/mine") is first
    assert loads == [desk.own / "mine"]
    store_single(desk.own / "mine", alphabet="abc")
    assert desk.load("lab/mine")[1].alphabet == "abc"
    path = desk.own / "mine" / "weights.safetensors"
    scaled = {name: tensor * 2 for name, tensor in weights(path.parent).items()}
    before = path.stat()
    path.write_bytes(safetensors.torch.save(scaled))
    os.utime(
        path, ns=(before.st_atime_ns, before.st_mtime_ns - 10**12)
    )  # an older version was put back
    desk.load("lab/mine")
    assert len(loads) == 3


def test_a_deleted_reader_is_not_kept_in_memory(desk: Desk) -> None:
    for i in range(5):
        store_single(desk.own / f"short{i}")
        desk.load(f"lab/short{i}")
        os.remove(desk.own / f"short{i}" / "reader.json")
    desk.load("lab/mine")
    assert list(desk._loaded) == ["lab/mine"]


def test_threads_that_ask_at_once_get_one_reader(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = load_recogniser
    loads = []

    def slowly(folder: Path, device: torch.device) -> Any:
        loads.append(folder)
        time.sleep(0.05)
        return real(folder, device)

    monkeypatch.setattr(module, "load_recogniser", slowly)
    together = threading.Barrier(4)

    def ask(_: int) -> Any:
        together.wait(10)
        return desk.load("study")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert len(loads) == 1
    assert all(one is found[0] for one in found)


@pytest.mark.parametrize("name", ["a", "A9", "0-_", "x" * 40])
def test_a_plain_name_is_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 41, "-x", "_x", "x/y", "..", "x\n", "x\0", "x.y", "é", "٣", "x y", "\ud800"]
)
def test_a_name_that_is_no_plain_one_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(
        RefusedError, match=r"^name: expected 1 to 40 letters, digits, - and _"
    ) as refusal:
        check_name(name)
    assert len(str(refusal.value).splitlines()) == 1


def test_closing_the_desk_ends_what_was_left_to_it(desk: Desk) -> None:
    ended: list[int] = []
    desk.at_close += [lambda: ended.append(1), lambda: ended.append(2)]
    desk.close()
    assert ended == [1, 2]
