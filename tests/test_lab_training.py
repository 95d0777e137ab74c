"""The training beside the page: it runs to its end, survives what it should, and tells all else in one line."""

from __future__ import annotations

import asyncio
import csv as standard_csv
import io
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from lab_readers import bars, csv, keep, store_single

from stages import artifacts
from stages.captcha.glyphs import GlyphSet
from stages.lab import csv_files, glyph_training, rendered_captchas, training
from stages.lab.app import create_app
from stages.lab.glyph_training import GlyphPart, Settings, load_sets
from stages.lab.job import Job
from stages.lab.loaded_readers import Desk
from stages.reader.decoding import Readings
from stages.reader.inference import NetworkReader
from stages.statistics.proportions import wilson

QUICK: dict[str, Any] = {
    "source": "file",
    "channels": 4,
    "epochs": 2,
    "batch": 16,
    "learning_rate": 0.01,
}
SETTINGS = Settings(
    **{"alphabet": "0123456789", "architecture": "heads", "augment": 0.0, "seed": 0, **QUICK}
)
IMAGES, LABELS = bars("abc", 100)
UNSEEN, ANSWERS = bars("abc", 15, seed=1)


@contextmanager
def lab(home: Path) -> Iterator[TestClient]:
    app = create_app(Desk(home, study=home.parent / "readers"))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def done(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    error: str = answer.json()["error"]
    assert len(error.splitlines()) == 1
    return error


def wait(state: Callable[[], dict[str, Any]], *, seconds: float = 120) -> dict[str, Any]:
    """The state once the training does not run any more."""
    end = time.monotonic() + seconds
    while (told := state())["state"] == "running":
        assert time.monotonic() < end, f"still running after {seconds} s"
        time.sleep(0.1)
    return told


def upload(client: TestClient, kind: str, content: bytes, name: str = "mine.csv") -> Any:
    return client.post(f"/api/train/file/{kind}", params={"name": name}, content=content)


def files(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The lab's folder after a real training, and the states that the page saw."""
    home = tmp_path_factory.mktemp("trained") / "lab"
    with lab(home) as client:
        done(upload(client, "train", csv(IMAGES, LABELS), "letters.csv"))
        done(upload(client, "test", csv(UNSEEN, ANSWERS)))
        states = [done(client.post("/api/train", json=QUICK))]
        states.append(wait(lambda: states.append(done(client.get("/api/train"))) or states[-1]))
    return home, states


@pytest.fixture
def trained(finished: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> Iterator[TestClient]:
    """A lab that is opened anew, over a copy of that folder."""
    shutil.copytree(finished[0], tmp_path / "lab")
    with lab(tmp_path / "lab") as client:
        yield client


def instead(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """A program that is started in the place of a training."""
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda command, **options: real([sys.executable, "-c", words], **options),
    )


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training lasts as long as it is let."""
    instead(monkeypatch, "import time; time.sleep(100)")


def test_a_training_runs_to_its_end_and_tells_its_curves_and_its_test(
    finished: tuple[Path, list[dict[str, Any]]],
) -> None:
    first = finished[1][0]
    last = finished[1][-1]
    assert (first["state"], first["savable"], first["history"]) == ("running", False, [])
    assert (last["state"], last["savable"], last["settings"]) == (
        "done",
        True,
        asdict(SETTINGS) | {"augment": 1.0},
    )
    assert [epoch["epoch"] for epoch in last["history"]] == [1, 2]
    assert last["history"][1]["validation_loss"] < last["history"][0]["train_loss"]
    assert (last["glyphs"], last["test_glyphs"]) == (
        270,
        45,
    )  # a tenth of the train file is for validation
    assert (
        last["test_accuracy"] > 0.6
    )  # a bar's height tells its class; a guess would be right a third of the time
    assert (last["test_low"], last["test_high"]) == pytest.approx(
        wilson(last["test_accuracy"], 45, 1.959964), abs=1e-5
    )
    shares = [state["epoch_share"] for state in finished[1]]
    assert min(shares) >= 0
    assert max(shares) <= 1


def test_only_the_reader_and_what_tells_of_it_are_left(
    finished: tuple[Path, list[dict[str, Any]]],
) -> None:
    assert files(finished[0]) == [
        "files/test.json",
        "files/test.npz",
        "files/train.json",
        "files/train.npz",
        "job/log.txt",
        "job/progress.json",
        "job/reader/reader.json",
        "job/reader/weights.safetensors",
        "job/settings.json",
    ]
    assert (finished[0] / "job" / "log.txt").read_bytes() == b""


def test_a_page_that_is_loaded_again_finds_the_training_and_the_files(
    trained: TestClient, finished: tuple[Path, list[dict[str, Any]]]
) -> None:
    assert done(trained.get("/api/train")) == finished[1][-1]
    assert finished[1][-1]["files"]["train"] == {
        "name": "letters.csv",
        "rows": 300,
        "classes": {"a": 100, "b": 100, "c": 100},
    }


def test_a_reader_is_saved_listed_read_with_and_deleted(trained: TestClient) -> None:
    assert done(trained.get("/api/readers")) == []
    assert done(trained.post("/api/train/save", json={"name": "mine"})) == {"name": "lab/mine"}
    assert done(trained.get("/api/readers")) == [
        {
            "name": "lab/mine",
            "architecture": "heads",
            "alphabet": "abc",
            "height": 28,
            "width": 28,
            "positions": 1,
        }
    ]
    drawn = done(
        trained.post("/api/paint", json={"reader": "lab/mine", "strokes": [[[0, 0], [90, 0]]]})
    )
    assert set(drawn["text"]) <= set("abc")
    assert done(trained.post("/api/train/delete", json={"name": "mine"})) == {"name": "lab/mine"}
    assert done(trained.get("/api/readers")) == []
    refused(
        trained.post("/api/paint", json={"reader": "lab/mine", "strokes": [[[0, 0], [90, 0]]]}), 404
    )


def test_a_saved_reader_is_overwritten_only_where_that_is_asked(
    trained: TestClient, tmp_path: Path
) -> None:
    weights = tmp_path / "lab" / "readers" / "mine" / "weights.safetensors"
    done(trained.post("/api/train/save", json={"name": "mine"}))
    weights.write_bytes(b"older")
    assert "overwrite" in refused(trained.post("/api/train/save", json={"name": "mine"}), 409)
    assert weights.read_bytes() == b"older"
    done(trained.post("/api/train/save", json={"name": "mine", "overwrite": True}))
    assert (
        weights.read_bytes()
        == (tmp_path / "lab" / "job" / "reader" / "weights.safetensors").read_bytes()
    )


NO_NAMES = [
    "",
    ".",
    "..",
    "../mine",
    "a/b",
    "/etc",
    "a\\b",
    "-a",
    "_a",
    "a" * 41,
    "a\n",
    "a\0",
    "a b",
    "ü",
    "a.json",
    "~",
]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("verb", ["save", "delete"])
def test_a_name_that_is_no_folder_of_the_labs_own_is_refused(
    trained: TestClient, tmp_path: Path, name: str, verb: str
) -> None:
    before = files(tmp_path)
    error = refused(trained.post(f"/api/train/{verb}", json={"name": name, "overwrite": True}), 400)
    assert error.startswith("name: expected 1 to 40 letters")
    assert files(tmp_path) == before


def test_what_is_not_there_is_neither_saved_nor_deleted(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as client:
        assert "train one" in refused(client.post("/api/train/save", json={"name": "mine"}), 404)
        assert "no reader 'mine'" in refused(
            client.post("/api/train/delete", json={"name": "mine"}), 404
        )
        assert files(tmp_path) == []


def test_the_reader_in_training_and_a_saved_one_write_kaggles_submission(
    trained: TestClient,
) -> None:
    done(trained.post("/api/train/save", json={"name": "mine"}))
    answers = [
        trained.get("/api/train/submission", params=query) for query in ({}, {"reader": "lab/mine"})
    ]
    assert answers[0].text == answers[1].text
    assert answers[0].headers["content-disposition"] == 'attachment; filename="submission.csv"'
    rows = list(standard_csv.DictReader(io.StringIO(answers[0].text)))
    assert [row["ImageId"] for row in rows] == [str(i) for i in range(1, 46)]
    right = np.mean([row["Label"] == answer for row, answer in zip(rows, ANSWERS, strict=True)])
    assert right == pytest.approx(done(trained.get("/api/train"))["test_accuracy"], abs=1e-6)


def test_a_submission_lets_others_read_between_its_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = store_single(tmp_path / "readers" / "single")
    desk = Desk(tmp_path / "lab", study=tmp_path / "readers")
    reader = desk.load("single")[0]
    held = []
    whole = list(training.answers_of(desk, reader, description, UNSEEN))
    monkeypatch.setattr(training, "BATCH", 10)
    real = NetworkReader.predict
    monkeypatch.setattr(
        NetworkReader, "predict", lambda *given: held.append(desk.reading.locked()) or real(*given)
    )
    parts = training.answers_of(desk, reader, description, UNSEEN)
    one_by_one = []
    for answer in parts:
        one_by_one.append(answer)
        assert not desk.reading.locked()
    assert one_by_one == whole
    assert held == [True] * 5


def test_a_submission_needs_a_test_file_and_a_reader_of_single_characters(
    trained: TestClient, tmp_path: Path
) -> None:
    keep(tmp_path / "readers" / "captchas")
    assert "single characters" in refused(
        trained.get("/api/train/submission", params={"reader": "captchas"}), 400
    )
    assert "'no one'" in refused(
        trained.get("/api/train/submission", params={"reader": "no one"}), 404
    )
    assert "files" in done(trained.delete("/api/train/file/test"))
    assert "no test file is open" in refused(trained.get("/api/train/submission"), 404)
    with lab(tmp_path / "other") as client:
        assert "no reader was trained yet" in refused(client.get("/api/train/submission"), 404)


def test_a_second_training_is_refused_while_one_runs_and_the_first_can_be_stopped(
    tmp_path: Path, endless: None
) -> None:
    with lab(tmp_path / "lab") as client:
        assert done(client.get("/api/train"))["state"] == "idle"
        assert done(client.post("/api/train/stop"))["state"] == "idle"
        assert (
            done(client.post("/api/train", json=QUICK | {"source": "digits"}))["state"] == "running"
        )
        assert "a training is running" in refused(
            client.post("/api/train", json=QUICK | {"source": "fonts"}), 409
        )
        assert done(client.get("/api/train"))["settings"]["source"] == "digits"
        for _ in range(2):
            stopped = done(client.post("/api/train/stop"))
            assert stopped["state"] == "stopped"
            assert "error" not in stopped
        assert (
            done(client.post("/api/train", json=QUICK | {"source": "fonts"}))["state"] == "running"
        )
        assert done(client.post("/api/train/stop"))["settings"]["source"] == "fonts"
    with lab(tmp_path / "lab") as client:
        again = done(client.get("/api/train"))
        assert again["state"] == "stopped"
        assert "error" not in again


def test_the_lab_ends_its_training_with_itself_and_tells_so_when_it_is_opened_again(
    tmp_path: Path, endless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda *given, **options: started.append(real(*given, **options)) or started[-1],
    )
    with lab(tmp_path / "lab") as client:
        done(client.post("/api/train", json=QUICK | {"source": "digits"}))
        assert started[0].poll() is None
    assert started[0].poll() is not None
    with lab(tmp_path / "lab") as client:
        told = done(client.get("/api/train"))
        assert told["state"] == "stopped"
        assert "the lab ended while it trained" in told["error"]
        assert (
            done(client.post("/api/train", json=QUICK | {"source": "digits"}))["state"] == "running"
        )


def test_a_training_outlives_the_thread_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(
        monkeypatch,
        "import time; from stages.command import die_with_parent; die_with_parent(); "
        "print('ready', flush=True); time.sleep(2)",
    )
    one = Job(tmp_path / "job")

    def start() -> None:  # in a thread of the server, which ends when it was idle for a while
        one.start(SETTINGS)
        while not (tmp_path / "job" / "log.txt").read_text():
            time.sleep(0.01)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert one.process is not None
    assert one.process.wait(60) == 0  # Linux sends SIGTERM to what that thread had started


def tables_of(home: Path, labels: list[str]) -> None:
    """The train file, without the checks of an upload."""
    path = csv_files.path_of(home, "train")
    path.parent.mkdir(parents=True)
    np.savez(path, images=IMAGES[: len(labels)], labels=np.array(labels))


@pytest.mark.parametrize(
    ("labels", "fields", "words"),
    [
        (
            LABELS[:60],
            {"learning_rate": 1e30},
            "training diverged at step [0-9]+ .*; lower the learning rate$",
        ),
        (["a"] * 20 + ["b"], {}, "class b has 1 glyph.*: add glyphs of it, or leave it out$"),
        (["a", "b"], {}, "class a has 1 glyph.*: add glyphs of it, or leave it out$"),
    ],
)
def test_a_training_that_cannot_go_on_says_why_in_the_words_of_the_page(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    labels: list[str],
    fields: dict[str, Any],
    words: str,
) -> None:
    tables_of(tmp_path, labels)
    artifacts.write_json(tmp_path / "job" / "settings.json", asdict(SETTINGS) | fields)
    monkeypatch.setattr(sys, "argv", ["fitting", str(tmp_path / "job")])
    with pytest.raises(ValueError, match=words) as refusal:
        glyph_training.main()
    assert "glyphs.alphabet" not in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    (tmp_path / "job" / "log.txt").write_text(f"error: {refusal.value}\n")
    told = Job(tmp_path / "job").state()  # of a lab that was opened later
    assert (told["state"], told["error"]) == ("failed", str(refusal.value))


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("error: file is damaged: open another\n", "file is damaged: open another"),
        ("a warning\nerror: first\n", "first"),
        ("Traceback …\nKeyError: 'x'\n", "KeyError: 'x'"),
        ("", "exit status 3"),
        ("x" * 9999, "x" * 500),
    ],
)
def test_a_training_that_fails_tells_the_last_line_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, error: str
) -> None:
    instead(monkeypatch, f"import sys; sys.stderr.write({log!r}); sys.exit(3)")
    with lab(tmp_path / "lab") as client:
        done(client.post("/api/train", json=QUICK | {"source": "digits"}))
        told = wait(lambda: done(client.get("/api/train")))
    assert (told["state"], told["error"], told["savable"]) == ("failed", error, False)


def test_a_loss_that_is_not_finite_does_not_hide_the_training(tmp_path: Path) -> None:
    folder = tmp_path / "lab" / "job"
    artifacts.write_json(folder / "settings.json", asdict(SETTINGS))
    artifacts.write_json(
        folder / "progress.json", {"state": "done", "history": [{"validation_loss": float("inf")}]}
    )
    with lab(tmp_path / "lab") as client:
        assert done(client.get("/api/train"))["history"] == [{"validation_loss": None}]


def test_what_an_earlier_lab_had_half_received_is_removed_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "lab"
    for name in (
        "uploads/a.csv",
        "upload-x1/upload",
        "readers/upload-mine/reader.json",
        "files/train.npz",
    ):
        artifacts.write_text(home / name, "{}")
    with lab(home):
        assert files(home) == ["files/train.npz", "readers/upload-mine/reader.json"]
    assert not (home / "upload-x1").exists()


def test_a_file_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as client:
        error = refused(upload(client, "train", csv(UNSEEN), "../../x\ny.csv"), 415)
        assert error.startswith("x y.csv: expected the columns")
        refused(upload(client, "nothing", csv(UNSEEN, ANSWERS)), 422)
        refused(upload(client, "../test", csv(UNSEEN, ANSWERS)), 404)
        assert files(tmp_path) == []
        assert done(client.get("/api/train"))["files"] == {}


def test_a_file_of_more_bytes_than_the_limit_is_refused_however_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(training.LIMITS, "/train/file/train", 5000)
    with lab(tmp_path / "lab") as client:
        refused(upload(client, "train", bytes(5001)), 413)
        refused(client.post("/api/train/file/train", content=(bytes(1000) for _ in range(6))), 413)
        refused(upload(client, "train", bytes(5000)), 415)
        assert files(tmp_path) == []


def test_a_browser_that_goes_away_in_mid_upload_leaves_nothing_behind(tmp_path: Path) -> None:
    app = create_app(Desk(tmp_path / "lab", study=tmp_path / "readers"))
    messages = iter(
        [
            {"type": "http.request", "body": b"label,pixel0", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    seen: list[list[str]] = []
    sent: list[Any] = []

    async def receive() -> Any:
        seen.append(files(tmp_path))
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/train/file/train",
        "raw_path": b"",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
    }
    asyncio.run(app(scope, receive, send))
    assert len(seen[-1]) == 1  # what had come lay in a file
    assert sent[0]["status"] == 400  # nobody sees it, and nothing was raised
    assert files(tmp_path) == []


def test_files_that_are_opened_at_once_are_kept_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = np.savez

    def slowly(*given: Any, **arrays: Any) -> None:
        real(*given, **arrays)
        time.sleep(0.05)

    monkeypatch.setattr(np, "savez", slowly)
    contents = [csv(IMAGES[:n], LABELS[:n]) for n in (30, 60, 90, 120)]
    with lab(tmp_path / "lab") as client, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda content: upload(client, "train", content), contents * 3))
        assert [answer.json()["rows"] for answer in answers] == [30, 60, 90, 120] * 3
        told = done(client.get("/api/train"))["files"]["train"]
    assert told["rows"] == len(csv_files.load_stored_glyphs(tmp_path / "lab", "train")[0])
    assert files(tmp_path) == ["lab/files/train.json", "lab/files/train.npz"]


def test_a_disk_that_is_full_is_told_in_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: io.BufferedWriter, **arrays: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with lab(tmp_path / "lab") as client:
        assert "No space left on device" in refused(
            upload(client, "train", csv(IMAGES[:9], LABELS[:9])), 507
        )
        assert files(tmp_path) == []


BAD = [
    ("source", "../secret"),
    ("source", None),
    ("epochs", 0),
    ("epochs", 501),
    ("batch", 1),
    ("learning_rate", 0),
    ("learning_rate", 1.1),
    ("channels", 3),
    ("channels", 10**9),
    ("architecture", "ctc"),
    ("augment", -1),
    ("seed", -1),
    ("seed", 2**31),
    ("alphabet", "x" * 101),
    ("epochs", "many"),
    ("epochs", 1.5),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_setting_out_of_range_is_refused_by_its_name(
    tmp_path: Path, field: str, value: Any
) -> None:
    with lab(tmp_path / "lab") as client:
        assert refused(client.post("/api/train", json=QUICK | {field: value}), 422).startswith(
            f"{field}: "
        )
        assert done(client.get("/api/train"))["state"] == "idle"


@pytest.mark.parametrize("alphabet", ["", "a", "aba", "e\u0301é", "a\n", "a\0", "a\u202e"])
def test_an_alphabet_that_cannot_be_learned_is_refused_before_the_last_training_is_removed(
    trained: TestClient, finished: tuple[Path, list[dict[str, Any]]], alphabet: str
) -> None:
    error = refused(
        trained.post(
            "/api/train",
            content=json.dumps(QUICK | {"alphabet": alphabet}),
            headers={"Content-Type": "application/json"},
        ),
        400,
    )
    assert error.startswith("alphabet: expected 2 to 100 characters, each once")
    assert done(trained.get("/api/train")) == finished[1][-1]


def test_what_a_stopped_training_had_learned_can_be_saved(
    finished: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    shutil.copytree(finished[0], tmp_path / "lab")
    progress = tmp_path / "lab" / "job" / "progress.json"
    artifacts.write_json(
        progress, artifacts.read_json(progress) | {"state": "running"}
    )  # as it was in mid-training
    (tmp_path / "lab" / "job" / "stopped").touch()
    with lab(tmp_path / "lab") as client:
        told = done(client.get("/api/train"))
        assert (told["state"], told["savable"], len(told["history"])) == ("stopped", True, 2)
        done(client.post("/api/train/save", json={"name": "mine"}))


def test_a_training_on_a_file_needs_one_that_is_open(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as client:
        assert "no train file is open" in refused(client.post("/api/train", json=QUICK), 404)


def test_the_validation_is_drawn_from_the_file_by_class_and_the_test_is_the_other_file(
    tmp_path: Path,
) -> None:
    home = tmp_path / "lab"
    with lab(home) as client:
        upload(client, "train", csv(IMAGES, LABELS))
        upload(client, "test", csv(UNSEEN, ["a", "x", *ANSWERS[2:]]))
    sets = load_sets(home, SETTINGS)
    assert sets.alphabet == "abc"
    assert [
        np.bincount(np.concatenate([part.labels[:, 0] for part in parts])).tolist()
        for parts in (sets.train, sets.validation)
    ] == [[0, 90, 90, 90], [0, 10, 10, 10]]
    assert sets.test[0].labels[:3, 0].tolist() == [1, 0, 3]  # x is none of the classes
    glyphs = {
        one.tobytes()
        for parts in (sets.train, sets.validation)
        for part in parts
        for one in part.glyphs
    }
    assert glyphs == {image.tobytes() for image in IMAGES}


def test_nothing_said_of_a_character_that_the_reader_does_not_know_is_not_right() -> None:
    part = GlyphPart(UNSEEN[:4], np.array([[1], [0], [2], [0]]))
    read = Readings(np.array([[1], [0], [0], [3]]), np.ones((4, 1), np.float32))
    silent: Any = SimpleNamespace(read=lambda images: read)
    assert glyph_training.tested(silent, [part])["test_accuracy"] == 0.25
    assert glyph_training.tested(silent, []) == {}


@pytest.mark.parametrize(("path", "asked"), [("", "data/raw"), ("elsewhere", "elsewhere")])
def test_glyphs_of_the_study_are_never_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, asked: str
) -> None:
    glyphs = SimpleNamespace(
        source="mnist", path=path, alphabet="ab", emnist_split="", validation=0.1, test=0.2
    )
    found = GlyphSet(
        IMAGES[:6], np.array([0, 1] * 3), np.repeat(np.arange(3, dtype=np.uint8), 2), "ab"
    )
    paths: list[str] = []
    monkeypatch.setattr(glyph_training, "read", lambda section: SimpleNamespace(glyphs=glyphs))
    monkeypatch.setattr(
        rendered_captchas,
        "load_glyphs",
        lambda source, path, **options: paths.append(path) or found,
    )
    sets = load_sets(tmp_path, Settings(**asdict(SETTINGS) | {"source": "study"}))
    assert paths == [asked]  # an empty path would have the stage ask the network
    assert [
        parts[0].labels[:, 0].tolist() for parts in (sets.train, sets.validation, sets.test)
    ] == [[1, 2]] * 3


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"name": 5}', b'{"name": "\\ud800"}', b"\xff", b"{" * 9999]
)
@pytest.mark.parametrize("path", ["", "/save", "/delete"])
def test_a_body_that_is_none_of_the_pages_is_refused(
    tmp_path: Path, body: bytes, path: str
) -> None:
    with lab(tmp_path / "lab") as client:
        answer = client.post(
            f"/api/train{path}", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422)
        assert len(json.loads(answer.content)["error"].splitlines()) == 1
