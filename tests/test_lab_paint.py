"""The paint route: what a reader says of a drawing, how sure it is of every class, and what it looked at."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from lab_readers import keep, store_single
from numpy.typing import NDArray

from stages.lab import paint
from stages.lab.app import create_app
from stages.lab.loaded_readers import Desk
from stages.lab.paint import MOST, POINTS, in_a_row
from stages.lab.strokes import to_glyphs
from stages.lab.training import FITTED
from stages.reader.alternatives.external import ExternalReader
from stages.reader.decoding import Readings
from stages.reader.inference import NetworkReader
from stages.reader.protocol import TextPrediction

SEVEN = [[[40, 30], [140, 30], [80, 200]]]
ONE = [[[240, 30], [240, 200]]]
ROW = [*SEVEN, *ONE, [[320, 40], [420, 40], [320, 190], [420, 190]]]  # three characters
LETTERS = "hgfedcab"  # in no order that a sort would give


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    study = tmp_path / "readers"
    store_single(study / "digits")
    store_single(study / "letters", alphabet=LETTERS)
    keep(study / "captchas")
    keep(study / "pair", architecture="heads", positions=2, height=40, width=70)
    return Desk(tmp_path / "lab", study=study)


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with TestClient(
        create_app(desk), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        yield client


def draw(
    client: TestClient, reader: str = "digits", strokes: Any = SEVEN, **fields: Any
) -> dict[str, Any]:
    answer = client.post("/api/paint", json={"reader": reader, "strokes": strokes} | fields)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def refused(client: TestClient, body: bytes | dict[str, Any]) -> tuple[int, str]:
    answer = (
        client.post("/api/paint", content=body, headers={"Content-Type": "application/json"})
        if isinstance(body, bytes)
        else client.post("/api/paint", json=body)
    )
    assert list(answer.json()) == ["error"]
    assert len(answer.json()["error"].splitlines()) == 1
    return answer.status_code, answer.json()["error"]


def decoded(picture: dict[str, Any], what: str) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(picture[what]), np.uint8).reshape(
        picture["height"], picture["width"]
    )


@pytest.mark.parametrize("reader", ["digits", "captchas"])
def test_an_empty_canvas_gives_no_answer(client: TestClient, reader: str) -> None:
    answer = draw(client, reader, [])
    assert (answer["text"], answer["confidence"], answer["characters"]) == ("", None, [])


def test_an_empty_canvas_asks_no_reader(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NetworkReader, "logits", lambda reader, images: pytest.fail("it was asked"))
    assert draw(client, strokes=[])["text"] == ""


def test_every_class_has_its_probability_and_together_they_are_one(
    client: TestClient, desk: Desk
) -> None:
    answer = draw(client, "letters")
    reader = desk.load("letters")[0]
    assert isinstance(reader, NetworkReader)
    logits = reader.logits(np.repeat(to_glyphs([np.array(SEVEN[0], float)])[..., None], 3, axis=3))
    expected = np.exp(logits[0, 0]) / np.exp(logits[0, 0]).sum()
    shares = answer["characters"][0]["probabilities"]
    assert answer["alphabet"] == LETTERS
    assert list(shares) == ["", *LETTERS]
    assert list(shares.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)


def test_what_is_said_is_the_likeliest_class_with_its_confidence(client: TestClient) -> None:
    answer = draw(client, "letters")
    one = answer["characters"][0]
    assert (
        one["character"]
        == max(one["probabilities"], key=one["probabilities"].get)
        == answer["text"]
    )
    assert one["confidence"] == one["probabilities"][one["character"]] == answer["confidence"]


def test_the_reader_sees_the_drawing_white_on_black_as_mnist_is(client: TestClient) -> None:
    picture = draw(client)["characters"][0]["picture"]
    np.testing.assert_array_equal(
        decoded(picture, "pixels"), to_glyphs([np.array(SEVEN[0], float)])[0]
    )


def test_the_map_covers_what_was_seen_its_largest_value_fills_a_byte_and_nothing_is_128(
    client: TestClient,
) -> None:
    picture = draw(client)["characters"][0]["picture"]
    pixels = decoded(picture, "pixels")
    saliency = decoded(picture, "saliency")
    assert saliency.shape == pixels.shape == (28, 28)
    assert np.abs(saliency.astype(int) - 128).max() == 127
    assert (
        saliency[pixels == 0] == 128
    ).all()  # input times gradient is nothing where the input is


def test_without_saliency_no_map_is_made(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paint, "_maps", lambda *given: pytest.fail("it was made"))
    answer = draw(client, saliency=False)
    assert answer["characters"][0]["picture"]["saliency"] is None
    assert answer["note"] == ""


def test_several_digits_are_read_from_left_to_right_each_as_if_alone(client: TestClient) -> None:
    together = draw(client, strokes=ROW[::-1])
    alone = [draw(client, strokes=[stroke]) for stroke in ROW]
    assert together["text"] == "".join(one["text"] for one in alone)
    assert [one["probabilities"] for one in together["characters"]] == [
        pytest.approx(one["characters"][0]["probabilities"], abs=2e-5) for one in alone
    ]
    assert together["confidence"] == pytest.approx(
        np.prod([one["confidence"] for one in alone]), abs=1e-4
    )


def test_a_captcha_reader_reads_the_row_black_on_white_on_its_own_canvas(
    client: TestClient, desk: Desk
) -> None:
    answer = draw(client, "captchas", ROW)
    row = in_a_row(to_glyphs([np.array(stroke, float) for stroke in ROW]), 33, 90)
    whole = desk.load("captchas")[0].predict(row[None])
    labels = whole.readings.labels[0][whole.readings.labels[0] > 0]
    assert len(labels)
    assert answer["text"] == "".join("0123456789"[label - 1] for label in labels)
    assert answer["confidence"] == pytest.approx(whole.probability[0], abs=1e-5)
    for one in answer["characters"]:
        np.testing.assert_array_equal(decoded(one["picture"], "pixels"), row[..., 1])
        assert decoded(one["picture"], "saliency").shape == (33, 90)
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("height", "width"), [(33, 90), (28, 28), (16, 120), (9, 16), (200, 512)])
@pytest.mark.parametrize("n", [1, 3, 12])
def test_a_row_fits_its_canvas_and_keeps_an_edge(height: int, width: int, n: int) -> None:
    glyphs = to_glyphs(
        [np.array([[i * 100, 0], [i * 100 + 60, 0], [i * 100 + 10, 90]], float) for i in range(n)]
    )
    row = in_a_row(glyphs, height, width)
    assert row.shape == (height, width, 3)
    assert row.min() < 255 == row.max()
    assert (row[[0, -1]] == 255).all()
    assert (row[:, [0, -1]] == 255).all()


def test_a_reader_with_too_few_places_says_how_many_it_has(client: TestClient) -> None:
    answer = draw(client, "pair", ROW)
    assert len(answer["text"]) <= 2
    assert "3 characters were drawn" in answer["note"]
    assert "at most 2" in answer["note"]


class Outside(ExternalReader):
    """A reader that is no network: it tells a text and how sure it is of it."""

    def __init__(self, *labels: int) -> None:
        self.labels = labels

    def predict(self, images: NDArray[np.uint8], top: int = 0) -> TextPrediction:
        labels = np.array([self.labels], np.int64).reshape(1, -1)
        return TextPrediction(
            Readings(labels, np.ones(labels.shape, np.float32)), np.array([0.25]), [[]]
        )


@pytest.mark.parametrize(("labels", "text"), [((4, 2), "31"), ((), "")])
def test_an_outside_reader_tells_its_reading_alone(
    client: TestClient,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    labels: tuple[int, ...],
    text: str,
) -> None:
    loaded = Outside(*labels), desk.load("captchas")[1]
    monkeypatch.setattr(desk, "load", lambda name: loaded)
    answer = draw(client, "captchas", ROW)
    assert (answer["text"], answer["confidence"]) == (text, 0.25)
    assert "no probabilities, no map" in answer["note"]
    assert [one["probabilities"] for one in answer["characters"]] == [{}] * len(text)
    assert [one["picture"]["saliency"] for one in answer["characters"]] == [None] * len(text)


@pytest.mark.parametrize("architecture", FITTED)
def test_every_network_that_can_be_trained_here_reads_a_drawing(
    client: TestClient, desk: Desk, architecture: str
) -> None:
    store_single(desk.own / "new", architecture=architecture)
    answer = draw(client, "lab/new", ROW)
    for one in answer["characters"]:
        assert list(one["probabilities"])[-10:] == list("0123456789")
        assert decoded(one["picture"], "saliency").shape == (28, 28)
    assert len(answer["characters"]) + answer["note"].count("were drawn") >= 1


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "an unknown reader": ({"reader": "nobody"}, 404, "no 'nobody' is at hand"),
    "a path as a reader": ({"reader": "../readers/digits"}, 404, "is at hand"),
    "no reader": ({"reader": None}, 422, "reader"),
    "too many characters": ({"strokes": [[[40 * i, 0], [40 * i, 90]] for i in range(MOST + 1)]}, 400, f"most {MOST}"),
    "too many points": ({"strokes": [[[i, i] for i in range(POINTS // 20 + 1)]] * 20}, 400, f"most {POINTS} points"),
    "too many strokes": ({"strokes": [[[1, 1]]] * 401}, 422, "strokes"),
    "a stroke without points": ({"strokes": [[]]}, 422, "strokes.0"),
    "a point with one number": ({"strokes": [[[1]]]}, 422, "strokes.0.0"),
    "a point with three numbers": ({"strokes": [[[1, 2, 3]]]}, 422, "strokes.0.0"),
    "a point far away": ({"strokes": [[[1e9, 2]]]}, 422, "strokes.0.0.0"),
    "a word for a number": ({"strokes": [[["x", 2]]]}, 422, "strokes.0.0.0"),
    "no strokes": ({"strokes": {}}, 422, "strokes"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_drawing_is_refused_in_one_line(client: TestClient, what: str) -> None:
    fields, status, words = BAD[what]
    found, error = refused(client, {"reader": "digits", "strokes": SEVEN} | fields)
    assert found == status
    assert words in error


@pytest.mark.parametrize(
    "number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"null", b"true[]", b"9" * 5000]
)
def test_a_coordinate_that_is_no_finite_number_is_refused(
    client: TestClient, number: bytes
) -> None:
    status, _ = refused(client, b'{"reader": "digits", "strokes": [[[%s, 2]]]}' % number)
    assert 400 <= status < 500


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"reader": "digits"}',
        b'{"reader": "\\ud800\\n", "strokes": []}',
    ],
)
def test_a_body_that_is_no_drawing_is_refused(client: TestClient, body: bytes) -> None:
    status, _ = refused(client, body)
    assert status in (400, 404, 422)


def test_a_drawing_larger_than_the_routes_limit_is_refused(client: TestClient) -> None:
    limit = paint.LIMITS["/paint"]
    status, error = refused(client, b" " * (limit + 1))
    assert (status, str(limit) in error) == (413, True)
    parts = client.post(
        "/api/paint",
        content=(b" " * 2**16 for _ in range(limit // 2**16 + 1)),
        headers={"Content-Type": "application/json"},
    )  # without a length
    assert (parts.status_code, str(limit) in parts.json()["error"]) == (413, True)


def test_a_reader_whose_weights_are_damaged_is_told(client: TestClient, desk: Desk) -> None:
    (desk.study / "digits" / "weights.safetensors").write_bytes(b"none")
    status, error = refused(client, {"reader": "digits", "strokes": SEVEN})
    assert status == 400
    assert "damaged" in error


def test_a_drawing_is_read_while_no_other_is(
    client: TestClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    real = NetworkReader.logits

    def watched(self: NetworkReader, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        held.append(desk.reading.locked())
        return real(self, images)

    monkeypatch.setattr(NetworkReader, "logits", watched)
    draw(client)
    assert held
    assert all(held)
