"""What stands before the lab's routes: hosts, origins, sizes, headers; and how the lab is started."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from stages.lab.__main__ import arguments, is_loopback, listen
from stages.lab.app import create_app
from stages.lab.errors import TooLargeError
from stages.lab.loaded_readers import Desk
from stages.lab.request_guard import BODY, HEADERS, Guard, without_port

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(Desk(tmp_path / "lab", study=tmp_path / "readers"), hosts=["lab.example"])
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:80", "[::1]:8000", "lab.example"],
)
def test_the_lab_answers_to_its_own_names(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "",
        "192.0.2.1",
        "evil.example:80@localhost",
    ],
)
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert "Host" in answer.json()["error"]


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1:8000.evil.example",
        "http://127.0.0.1:9",
        "http://localhost:8000",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_origin_is_refused(client: TestClient, origin: str, method: str) -> None:
    assert client.request(method, "/api/readers", headers={"Origin": origin}).status_code == 403


def test_the_own_origin_passes(client: TestClient) -> None:
    headers = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.get("/api/readers", headers=headers).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_another_site_causes_is_refused(client: TestClient, site: str) -> None:
    assert client.post("/api/readers", headers={"Sec-Fetch-Site": site}).status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/api/readers", "/api/nothing", "/static/lab.css", "/static/lab.js"]
)
def test_every_answer_carries_the_policy(client: TestClient, path: str) -> None:
    answer = client.get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fparams.py",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/static/",
        "/static",
    ],
)
def test_nothing_but_the_page_and_its_files_is_served(client: TestClient, path: str) -> None:
    assert client.get(path, follow_redirects=False).status_code in (404, 405, 307)
    assert client.get(path).status_code in (404, 405)


def echo(limits: dict[str, int]) -> TestClient:
    app = FastAPI()

    @app.post("/echo")
    async def count(request: Request) -> dict[str, int]:
        try:
            return {"bytes": len(await request.body())}
        except TooLargeError:
            return {"bytes": -1}

    app.add_middleware(Guard, hosts=[], limits=limits)
    return TestClient(app, base_url="http://127.0.0.1")


def test_a_body_passes_up_to_its_limit_and_not_beyond() -> None:
    client = echo({"/echo": 1000})
    assert client.post("/echo", content=b"x" * 1000).json() == {"bytes": 1000}
    assert client.post("/echo", content=b"x" * 1001).status_code == 413


def test_a_body_without_a_length_is_cut_at_its_limit() -> None:
    assert echo({"/echo": 1000}).post("/echo", content=(b"x" * 100 for _ in range(11))).json() == {
        "bytes": -1
    }
    assert echo({"/echo": 1100}).post("/echo", content=(b"x" * 100 for _ in range(11))).json() == {
        "bytes": 1100
    }


def test_a_route_without_a_limit_of_its_own_has_the_common_one() -> None:
    assert echo({}).post("/echo", content=b"x" * (BODY + 1)).status_code == 413


@pytest.mark.parametrize("length", ["-1", "9" * 30, "ten"])
def test_a_length_that_cannot_be_is_refused(length: str) -> None:
    answer = echo({}).post("/echo", content=b"x", headers={"Content-Length": length})
    assert answer.status_code == 413


def test_the_port_of_a_host_is_dropped_and_nothing_else() -> None:
    hosts = ("a:1", "a", "[::1]:80", "[::1]", "a:b")
    assert [without_port(host) for host in hosts] == ["a", "a", "[::1]", "[::1]", "a:b"]


def test_a_validation_error_is_one_line(client: TestClient) -> None:
    answer = client.post("/api/paint", json={"strokes": "no"})
    assert answer.status_code == 422
    assert "\n" not in answer.json()["error"]


def test_a_reader_that_is_damaged_is_told_and_the_others_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "readers" / "broken"
    folder.mkdir(parents=True)
    (folder / "reader.json").write_text("{")
    desk = Desk(tmp_path / "lab", study=tmp_path / "readers")
    told = desk.readers()
    assert told[0]["name"] == "broken"
    assert "damaged" in str(told[0]["error"])


def test_readers_are_found_by_exact_name_only(tmp_path: Path) -> None:
    folder = tmp_path / "readers" / "known"
    folder.mkdir(parents=True)
    (folder / "reader.json").write_text("{}")
    desk = Desk(tmp_path / "lab", study=tmp_path / "readers")
    assert desk.folder("known") == folder
    for name in ("", ".", "..", "../readers/known", "lab/known", "known/", "/etc"):
        with pytest.raises(ValueError, match="is at hand"):
            desk.folder(name)


def test_what_is_no_loopback_is_known() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [
        True
    ] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.0.2.1", "lab.example")] == [
        False
    ] * 4


@pytest.mark.parametrize("words", [["--port", "70000"], ["--port", "x"], ["--nonsense"]])
def test_wrong_arguments_end_with_status_two(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        arguments(words)
    assert stopped.value.code == 2
    assert capsys.readouterr().err


def test_the_lab_listens_on_loopback_by_default() -> None:
    given = arguments([])
    assert is_loopback(given.host)
    with listen(given.host, 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match=r"cannot listen there.*choose another --port"):
            listen("127.0.0.1", taken.getsockname()[1])


def test_the_command_serves_the_page_and_ends_on_an_interrupt() -> None:
    lab = subprocess.Popen(
        [sys.executable, "-m", "stages.lab", "--port", "0", "--no-browser"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert lab.stdout is not None
        line = lab.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line
        for _ in range(100):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=5)
                connection.request("GET", "/")
                answer = connection.getresponse()
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        assert answer.status == 200
        assert b"Captcha noise lab" in answer.read()
        assert answer.getheader("Server") is None
        connection.close()
    finally:
        lab.send_signal(2)
        _, errors = lab.communicate(timeout=30)
    assert "Traceback" not in errors
