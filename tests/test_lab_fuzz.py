"""Every route that takes a body, with bodies that were damaged at random: no 500, one line, no file, no memory kept.

`--whole` tries thousands of each instead of hundreds. A case is made from its route and its number alone, so
the number that a failure tells makes it again.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import os
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Runs
from fastapi.testclient import TestClient
from lab_readers import bars, csv, keep, store_single
from PIL import Image, features

from stages.lab import bench
from stages.lab.app import create_app
from stages.lab.loaded_readers import Desk

pytestmark = pytest.mark.simulation
GROWTH = (
    48 * 2**20
)  # bytes that may be added after the warm-up: caches fill, and the allocator keeps some

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 44, 3), dtype=np.uint8)
PIXELS[4:16, 6:30] = 240


def encoded(format: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


PICTURES = [
    encoded("PNG"),
    encoded("PNG", "P"),
    encoded("PNG", "RGBA"),
    encoded("PNG", "L"),
    encoded("JPEG"),
    encoded("JPEG", "L", progressive=True),
    encoded("JPEG", "CMYK"),
    encoded("GIF", "P"),
    encoded("GIF", "P", save_all=True, append_images=[Image.new("P", (44, 20))]),
    encoded("BMP"),
    encoded("BMP", "P"),
    encoded("DIB"),
    encoded("WEBP"),
    encoded("WEBP", "RGBA", lossless=True),
    encoded("TIFF"),
    encoded("TIFF", compression="tiff_lzw"),
    encoded("TIFF", "L", compression="tiff_deflate"),
    encoded("PPM"),
    encoded("PCX"),
    encoded("ICO"),
    encoded("QOI"),
    *(
        encoded(format)
        for format, feature in (("JPEG2000", "jpg_2000"), ("AVIF", "avif"))
        if features.check(feature)
    ),
]
IMAGES, LABELS = bars("abc", 5)
TABLE = csv(IMAGES, LABELS)
TABLES = [
    TABLE,
    csv(IMAGES),
    csv(IMAGES[:3], LABELS[:3], newline="\r\n"),
    b"\xef\xbb\xbf" + TABLE,
    b'"label"' + TABLE[5:],
]


# --- damage ---

LIES = [
    0,
    1,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    60_000,
    2**24,
]


def flip_bits(content: bytearray, rng: np.random.Generator, others: list[bytes]) -> None:
    for place in rng.integers(len(content), size=rng.integers(1, 9)):
        content[place] ^= 1 << int(rng.integers(8))


def set_bytes(content: bytearray, rng: np.random.Generator, others: list[bytes]) -> None:
    for place in rng.integers(len(content), size=rng.integers(1, 30)):
        content[place] = int(rng.choice([0, 0xFF, 0x0A, 0x22, 0x2C, int(rng.integers(256))]))


def lie_in_the_header(content: bytearray, rng: np.random.Generator, others: list[bytes]) -> None:
    size = int(rng.choice([1, 2, 4]))
    place = int(rng.integers(min(len(content), 64)))
    number = int(rng.choice(LIES)) % 256**size
    content[place : place + size] = number.to_bytes(size, "big" if rng.integers(2) else "little")


def truncate(content: bytearray, rng: np.random.Generator, others: list[bytes]) -> None:
    del content[int(rng.integers(len(content))) :]


def cut_out(content: bytearray, rng: np.random.Generator, others: list[bytes]) -> None:
    start = int(rng.integers(len(content)))
    del content[start : start + int(rng.integers(1, 200))]


def splice(content: bytearray, rng: np.random.Generator, others: list[bytes]) -> None:
    other = others[rng.integers(len(others))]
    start = int(rng.integers(len(other)))
    place = int(rng.integers(len(content)))
    content[place : place + int(rng.integers(2)) * 50] = other[
        start : start + int(rng.integers(1, 400))
    ]


def repeat(content: bytearray, rng: np.random.Generator, others: list[bytes]) -> None:
    start = int(rng.integers(len(content)))
    block = content[start : start + int(rng.integers(1, 300))]
    content[start:start] = block * int(rng.integers(1, 60))


DAMAGES = [flip_bits, set_bytes, lie_in_the_header, truncate, cut_out, splice, repeat]


def damaged(originals: list[bytes], rng: np.random.Generator) -> bytes:
    """One of the originals, hurt one to three times."""
    content = bytearray(originals[rng.integers(len(originals))])
    for number in rng.integers(len(DAMAGES), size=rng.integers(1, 4)):
        if content:
            DAMAGES[number](content, rng, originals)
    return bytes(content)


CELLS = [
    b"0",
    b"255",
    b"256",
    b" 7",
    b"007",
    b"",
    b"x",
    b"1e2",
    b"-1",
    b"+1",
    b"\xff",
    b'"7"',
    b'"',
    b"a",
    b"\xd1\x97",
]


def damaged_table(rng: np.random.Generator) -> bytes:
    """A table with rows lost, doubled or moved, or with another cell; or hurt as any bytes are."""
    if rng.integers(3) == 0:
        return damaged(TABLES, rng)
    rows = TABLES[rng.integers(len(TABLES))].splitlines(keepends=True)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(rows)))
        kind = rng.integers(4)
        if kind == 0 and len(rows) > 1:
            del rows[place]
        elif kind == 1:
            rows.insert(int(rng.integers(1, len(rows) + 1)), rows[place])
        else:
            cells = rows[place].rstrip(b"\r\n").split(b",")
            cells[0 if kind == 2 else int(rng.integers(len(cells)))] = CELLS[
                rng.integers(len(CELLS))
            ]
            rows[place] = b",".join(cells) + b"\n"
    return b"".join(rows)


def with_right_sums(content: bytes) -> bytes:
    """A PNG whose checksums are right again, so that what was damaged is looked at; anything else as it is."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    result = bytearray(content)
    place = 8
    while place + 12 <= len(result):
        end = place + 8 + int.from_bytes(result[place : place + 4], "big")
        if end + 4 > len(result):
            break
        result[end : end + 4] = zlib.crc32(result[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(result)


NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 3, 0.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), 2**31, 2**63, 10**400,
    "", "0", "20", "x", "\0", "\n", "\ud800", "é\u0301", "../../etc/passwd", "lab/../x", "a" * 41, "9" * 5000, "\u202e",
    [], {}, [[]], [[[1, 2]]], [[[]]], [None], {"": {}}, [[[1e-300, 2], [3, 4]]], "digits", "study", "file", "fog",
]  # fmt: skip


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    found = []
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in items:
        found += [(tree, key), *places(value)]
    return found


def hurt(tree: Any, rng: np.random.Generator) -> Any:
    """Another value, a lost or a doubled one, somewhere in a copy of the tree."""
    tree = deepcopy(tree)
    for _ in range(rng.integers(1, 4)):
        found = places(tree)
        if not found:
            break
        container, key = found[rng.integers(len(found))]
        kind = rng.integers(6)
        if kind == 0:
            del container[key]
        elif kind == 1 and isinstance(container[key], list):
            container[key] = container[key] * int(rng.choice([2, 13, 200]))
        elif kind == 2 and isinstance(container[key], float | int) and abs(container[key]) < 1e9:
            container[key] *= float(rng.choice([-1, 0.5, 1.01, 100, 1e9]))
        else:
            container[key] = deepcopy(NASTY[rng.integers(len(NASTY))])
    return tree


def body(tree: Any, rng: np.random.Generator) -> bytes:
    """A tree as JSON, hurt as a tree, as bytes or as both."""
    content = json.dumps(hurt(tree, rng) if rng.integers(8) else tree).encode()
    kind = rng.integers(12)
    if kind == 0:
        return damaged([content], rng)
    if kind == 1:
        return content.replace(b"[", b"[" * int(rng.choice([2, 500, 50_000])), 1)
    return content


# --- what must hold of every answer ---


def resident() -> int:
    """Bytes of this process in memory, after what can be given back was."""
    gc.collect()
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def fuzz(
    home: Path, route: str, cases: int, send: Callable[[np.random.Generator], Any], kept: set[str]
) -> Counter[int]:
    """Statuses of the answers."""
    statuses: Counter[int] = Counter()
    before = 0
    for number in range(cases):
        if number == cases // 3:
            before = resident()
        answer = send(np.random.default_rng([number, *route.encode()]))
        where = f"case {number} of {route}: {answer.status_code} {answer.text[:300]!r}"
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, where
        if answer.status_code >= 400:
            assert list(answer.json()) == ["error"], where
            assert len(answer.json()["error"].splitlines()) == 1, where
            assert len(answer.json()["error"]) < 2000, where
            assert str(home) not in answer.text, where
        assert files(home) <= kept, f"{where}: {files(home) - kept}"
    growth = resident() - before
    print(f"{route}: {cases} cases, {dict(sorted(statuses.items()))}, {growth / 2**20:+.1f} MiB")
    assert growth < GROWTH
    assert statuses[200], (
        "nothing was taken: the damage says nothing of what lies behind the first check"
    )
    assert sum(statuses.values()) > statuses[200]
    return statuses


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def client(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    study = home.parent / "readers"
    store_single(study / "single")
    keep(study / "captchas")
    monkeypatch.setattr(bench, "RENDERINGS_PER_RATE", 3)
    # No training is started: it would only read what was checked.
    ended = SimpleNamespace(
        poll=lambda: 0, returncode=0, terminate=lambda: None, wait=lambda seconds=0: 0
    )
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: ended)
    with TestClient(
        create_app(Desk(home, study=study)),
        base_url="http://127.0.0.1",
        raise_server_exceptions=False,
    ) as client:
        yield client


def test_damaged_pictures_are_taken_or_refused_and_nothing_else(
    client: TestClient, home: Path, runs: Runs
) -> None:
    def send(rng: np.random.Generator) -> Any:
        content = damaged(PICTURES, rng)
        answer = client.post(
            "/api/bench/upload", content=with_right_sums(content) if rng.integers(4) else content
        )
        if answer.status_code == 200:
            asked = {"upload": answer.json()["upload"], "noises": [{"type": "fog", "level": 0.5}]}
            return client.post("/api/bench", json=asked)
        return answer

    statuses = fuzz(home, "/api/bench/upload", runs(3000), send, set())
    assert {200, 413, 415} <= set(statuses)


@pytest.mark.parametrize("kind", ["train", "test"])
def test_damaged_tables_are_taken_or_refused_and_nothing_else(
    client: TestClient, home: Path, kind: str, runs: Runs
) -> None:
    kept = {f"files/{kind}.npz", f"files/{kind}.json"}
    statuses = fuzz(
        home,
        f"/api/train/file/{kind}",
        runs(1500),
        lambda rng: client.post(
            f"/api/train/file/{kind}",
            params={"name": str(NASTY[rng.integers(len(NASTY))]).encode("utf-8", "replace")},
            content=damaged_table(rng),
        ),
        kept,
    )
    assert set(statuses) == {200, 415}


DRAWING = {
    "reader": "single",
    "saliency": True,
    "strokes": [[[40, 30], [140, 30], [80, 200]], [[240, 30], [240.5, 200]]],
}
SETTING = {
    "text": "20",
    "length": 3,
    "source": "digits",
    "alphabet": "0123456789",
    "scheme": "colour",
    "contrast": 0.4,
    "noises": [{"type": "gaussian", "level": 0.2}, {"type": "fog", "level": 0.1}],
    "per_character": True,
    "height": 33,
    "width": 90,
    "scale": 1.0,
    "rotation": 10,
    "shear": 0.1,
    "gap": 2,
    "jitter": 2,
    "seed": 5,
    "upload": "",
}
WANTED = {
    "source": "digits",
    "alphabet": "0123456789",
    "architecture": "heads",
    "channels": 4,
    "epochs": 1,
    "batch": 16,
    "learning_rate": 0.01,
    "augment": 0,
    "seed": 0,
}
BODIES: dict[str, tuple[list[Any], set[str]]] = {
    "/api/paint": ([DRAWING, DRAWING | {"reader": "captchas"}], set()),
    "/api/bench": ([SETTING, {}, SETTING | {"text": ""}], set()),
    "/api/bench/rates": ([SETTING | {"text": ""}], set()),
    "/api/train": ([WANTED], {"job/settings.json", "job/log.txt"}),
    "/api/train/save": ([{"name": "mine"}, {"name": "mine", "overwrite": True}], set()),
    "/api/train/delete": ([{"name": "mine"}], set()),
}


@pytest.mark.parametrize("route", BODIES)
def test_damaged_json_is_answered_or_refused_and_nothing_else(
    client: TestClient, home: Path, route: str, runs: Runs
) -> None:
    trees, kept = BODIES[route]
    if route.endswith(("save", "delete")):
        kept = saved(home)

    def send(rng: np.random.Generator) -> Any:
        content = body(trees[rng.integers(len(trees))], rng)
        if route.endswith("delete"):
            store_single(home / "readers" / "mine")
        return client.post(route, content=content, headers={"Content-Type": "application/json"})

    fuzz(home, route, runs(1500), send, kept)


def saved(home: Path) -> set[str]:
    """The files of a trained reader, and of those that may be saved under the names that the bodies have."""
    store_single(home / "job" / "reader")
    names = {
        name
        for name in ["mine", *map(str, NASTY)]
        if name.isascii() and name.isalnum() and len(name) <= 40
    }
    return {
        f"{folder}/{file}"
        for folder in ["job/reader", *(f"readers/{name}" for name in names)]
        for file in ("reader.json", "weights.safetensors")
    }


def test_damaged_addresses_are_answered_or_refused_and_nothing_else(
    client: TestClient, home: Path, runs: Runs
) -> None:
    words = [
        "..",
        "%2e%2e",
        "%00",
        "%0a",
        "static",
        "api",
        "train",
        "bench",
        "file",
        "paint",
        "lab.js",
        "readers",
        "a" * 300,
        "%ff",
        ";",
        "~",
        "submission?reader=%0a",
        "submission?reader=lab/../x",
        "?",
        "/",
    ]

    def send(rng: np.random.Generator) -> Any:
        path = "/".join(words[i] for i in rng.integers(len(words), size=rng.integers(1, 5)))
        method = str(rng.choice(["GET", "POST", "DELETE", "PUT", "OPTIONS", "PATCH"]))
        if rng.integers(8) == 0:
            method = "GET"
            path = str(rng.choice(["api/readers", "api/train", "static/lab.js"]))
        return client.request(method, f"http://127.0.0.1/{path}", follow_redirects=False)

    fuzz(home, "addresses", runs(2000), send, set())
