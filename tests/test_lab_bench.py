"""The bench: one link is one picture, noises grow in place, and every reader's answer and rate are told honestly."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from lab_readers import keep
from numpy.typing import NDArray
from PIL import Image

from stages.captcha.noise import NOISES
from stages.lab import bench
from stages.lab.app import create_app
from stages.lab.bench import RENDERINGS_PER_RATE, Asked, rate
from stages.lab.loaded_readers import Desk
from stages.lab.pictures import Gallery
from stages.lab.rendered_captchas import composed, draw_setting_texts, noisy, script_of
from stages.reader.alternatives.external import ExternalReader
from stages.reader.decoding import Readings
from stages.reader.inference import NetworkReader
from stages.reader.protocol import TextPrediction
from stages.statistics.proportions import clustered_proportion

PLAIN: dict[str, Any] = {
    "text": "20",
    "source": "digits",
    "noises": [],
    "height": 33,
    "width": 90,
    "seed": 5,
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    study = tmp_path / "readers"
    keep(study / "fitting")
    keep(study / "letters", alphabet="abc")
    keep(study / "pair", architecture="heads", positions=2)
    keep(study / "single", architecture="heads", height=28, width=28, positions=1)
    keep(tmp_path / "lab" / "readers" / "wide", height=40, width=128)
    return Desk(tmp_path / "lab", study=study)


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with TestClient(
        create_app(desk), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        yield client


def ask(client: TestClient, path: str = "", **fields: Any) -> dict[str, Any]:
    answer = client.post(f"/api/bench{path}", json=PLAIN | fields)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def refused(client: TestClient, path: str = "", **fields: Any) -> tuple[int, str]:
    answer = client.post(f"/api/bench{path}", json=PLAIN | fields)
    assert "\n" not in answer.json()["error"]
    return answer.status_code, answer.json()["error"]


def pixels(answer: dict[str, Any]) -> NDArray[np.uint8]:
    shape = answer["height"], answer["width"], 3
    return np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8).reshape(shape)


def by_name(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {reader["name"]: reader for reader in answer["readers"]}


def upload(client: TestClient, picture: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    answer = client.post("/api/bench/upload", content=buffer.getvalue())
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["upload"]
    return name


def test_the_page_starts_with_a_setting_of_the_study_that_can_be_drawn(client: TestClient) -> None:
    start = client.get("/api/bench/start").json()
    assert start["noises"] == list(NOISES)
    assert {"digits", "fonts"} <= set(start["sources"])
    assert client.post("/api/bench", json=start["setting"]).status_code == 200


def test_one_setting_is_one_picture_to_the_byte_and_another_seed_another(
    client: TestClient, desk: Desk
) -> None:
    fields: dict[str, Any] = {
        "noises": [{"type": "elastic", "level": 0.4}, {"type": "gaussian", "level": 0.2}],
        "scheme": "colour",
    }
    first = ask(client, **fields)
    with TestClient(create_app(desk), base_url="http://127.0.0.1") as other:
        assert ask(other, **fields)["pixels"] == first["pixels"]
    assert ask(client, **fields, seed=6)["pixels"] != first["pixels"]


def test_without_a_text_one_is_drawn_by_the_seed(client: TestClient) -> None:
    texts = [ask(client, text="", length=3, seed=seed)["text"] for seed in range(12)]
    assert {len(text) for text in texts} == {3}
    assert len(set(texts)) > 8
    assert len({text[0] for text in texts}) > 3


def test_a_picture_has_the_size_that_was_asked_for_and_tells_how_much_was_changed(
    client: TestClient,
) -> None:
    clean = ask(client, noises=[])
    changed = ask(client, noises=[{"type": "gaussian", "level": 0.3}])
    assert pixels(clean).shape == (33, 90, 3)
    assert clean["change"] == 0
    luma = np.array([0.299, 0.587, 0.114])
    difference = (pixels(changed) / 255.0 - pixels(clean) / 255.0) @ luma
    assert changed["change"] == pytest.approx(np.sqrt((difference**2).mean()), abs=2e-3)


@pytest.mark.parametrize("noise", NOISES)
def test_every_noise_can_be_asked_for_and_level_zero_is_the_clean_picture(
    client: TestClient, noise: str
) -> None:
    clean = ask(client)["pixels"]
    assert ask(client, noises=[{"type": noise, "level": 0}])["pixels"] == clean
    assert ask(client, noises=[{"type": noise, "level": 1}])["pixels"] != clean


def test_a_level_grows_the_noise_that_is_there() -> None:
    grey = np.full((1, 33, 90, 3), 128, np.uint8)
    changes = [
        noisy(
            grey,
            Asked.model_validate({"noises": [{"type": "gaussian", "level": level}]})
            .setting()
            .noises,
            5,
            "shown",
        )[..., 0].astype(float)
        - 128
        for level in (0.1, 0.2)
    ]
    assert np.corrcoef(changes[0].ravel(), changes[1].ravel())[0, 1] > 0.99


def test_a_noise_stays_as_it_is_when_one_of_another_type_goes_before_it() -> None:
    grey = np.full((1, 33, 90, 3), 128, np.uint8)

    def noises(*types: str, level: float = 0.2) -> Any:
        listed = [{"type": kind, "level": 0 if kind == "fog" else level} for kind in types]
        return Asked.model_validate({"noises": listed}).setting().noises

    alone = noisy(grey, noises("gaussian"), 5)
    np.testing.assert_array_equal(noisy(grey, noises("fog", "gaussian"), 5), alone)
    twice = noisy(grey, noises("gaussian", "gaussian"), 5).astype(float) - 128
    once = alone.astype(float) - 128
    assert np.corrcoef(once.ravel(), (twice - once).ravel())[0, 1] < 0.2  # the second draws its own


def test_noises_are_applied_in_their_order(client: TestClient) -> None:
    noises = [{"type": "pixelate", "level": 0.6}, {"type": "gaussian", "level": 0.3}]
    assert ask(client, noises=noises)["pixels"] != ask(client, noises=noises[::-1])["pixels"]


def test_a_layout_slider_keeps_the_glyphs_and_the_colours() -> None:
    setting = Asked.model_validate(PLAIN | {"scheme": "colour"}).setting()
    wider = Asked.model_validate(PLAIN | {"scheme": "colour", "scale": 1.3}).setting()
    one = composed(setting, ["20"], "shown")
    other = composed(wider, ["20"], "shown")
    assert (one[0, 0, 0] == other[0, 0, 0]).all()
    assert (one != one[0, 0, 0]).any(axis=3).sum() < (other != other[0, 0, 0]).any(axis=3).sum()


def test_every_reader_answers_with_what_it_was_made_for(client: TestClient) -> None:
    readers = by_name(ask(client))
    assert list(readers) == ["fitting", "letters", "pair", "single", "lab/wide"]
    for name in ("fitting", "letters", "pair", "lab/wide"):
        assert 0 <= readers[name]["confidence"] <= 1
        assert readers[name]["right"] == (readers[name]["text"] == "20")
        assert readers[name]["sure"] == (
            readers[name]["confidence"] >= 0.9 and readers[name]["text"] != ""
        )
    assert readers["fitting"]["note"] == ""
    assert (readers["lab/wide"]["width"], readers["lab/wide"]["height"]) == (128, 40)
    assert "brought to its 128 × 40 px" in readers["lab/wide"]["note"]
    assert "does not know 02" in readers["letters"]["note"]
    assert readers["letters"]["alphabet"] == "abc"


def test_a_reader_is_not_asked_for_more_characters_than_it_has_places(client: TestClient) -> None:
    readers = by_name(ask(client, text="204", scale=1.0))
    assert "text" not in readers["single"]
    assert "single characters only" in readers["single"]["note"]
    assert "at most 2 characters" in readers["pair"]["note"]
    assert "text" in readers["fitting"]
    assert "text" in by_name(ask(client, text="2"))["single"]


def test_a_damaged_reader_is_told_and_the_others_read(client: TestClient, desk: Desk) -> None:
    (desk.study / "fitting" / "weights.safetensors").write_bytes(b"none")
    readers = by_name(ask(client))
    assert "damaged" in readers["fitting"]["error"]
    assert "text" in readers["pair"]


class Knowing(ExternalReader):
    """Reads the texts it was told, every third with its first character wrong; for images (n, H, W, 3) in turn."""

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self.labels = labels.copy()
        self.seen = 0
        self.labels[::3, 0] = 11 - self.labels[::3, 0]  # 1 to 10, and never itself

    def predict(self, images: NDArray[np.uint8], top: int = 0) -> TextPrediction:
        part = self.labels[self.seen : self.seen + len(images)]
        self.seen += len(images)
        return TextPrediction(
            Readings(part, np.ones(part.shape, np.float32)), np.ones(len(part)), [[] for _ in part]
        )


def test_a_rate_is_the_share_of_fresh_renderings_with_its_interval(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pile = bench.pile_of(
        Asked.model_validate(PLAIN | {"text": ""}), Gallery(), RENDERINGS_PER_RATE, "fresh"
    )
    labels = np.array([[int(character) + 1 for character in text] for text in pile.texts])
    loaded = Knowing(labels), desk.load("fitting")[1]
    monkeypatch.setattr(desk, "load", lambda name: loaded)
    told = rate(desk, "fitting", pile)
    right: NDArray[np.bool_] = np.ones(labels.shape, bool)
    right[::3, 0] = False
    assert told["whole"] == pytest.approx(133 / 200)
    assert pile.glyphs.shape == right.shape
    expected = clustered_proportion(
        np.asarray(right.all(axis=1)), np.arange(RENDERINGS_PER_RATE), pile.glyphs
    )
    assert (told["whole"], told["low"], told["high"]) == pytest.approx(expected)
    expected = clustered_proportion(
        right.ravel(), np.arange(RENDERINGS_PER_RATE).repeat(right.shape[1]), pile.glyphs.ravel()
    )
    assert (told["character"], told["character_low"], told["character_high"]) == pytest.approx(
        expected
    )


def test_a_text_with_a_character_too_many_is_not_right_though_each_of_its_own_was_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pile = bench.pile_of(
        Asked.model_validate(PLAIN), Gallery(), RENDERINGS_PER_RATE, "fresh"
    )  # all read 20
    reader = Knowing(np.tile([9, 3, 1, 5], (RENDERINGS_PER_RATE, 1)))  # one more on either side
    reader.labels[:, 0] = 9
    loaded = reader, desk.load("fitting")[1]
    monkeypatch.setattr(desk, "load", lambda name: loaded)
    told = rate(desk, "fitting", pile)
    assert (told["whole"], told["character"]) == (0, 1)


def test_two_hundred_renderings_are_fresh_in_text_glyphs_layout_and_colour() -> None:
    drawn = Asked.model_validate(PLAIN | {"text": "", "scheme": "colour", "noises": []})
    pile = bench.pile_of(drawn, Gallery(), RENDERINGS_PER_RATE, "fresh")
    assert len(set(pile.texts)) > 80
    typed = bench.pile_of(
        drawn.model_copy(update={"text": "20", "scheme": "black_on_white"}),
        Gallery(),
        RENDERINGS_PER_RATE,
        "fresh",
    )
    assert set(typed.texts) == {"20"}
    assert len({image.tobytes() for image in typed.images}) == RENDERINGS_PER_RATE
    noise = [bench.NoiseAsked(type="gaussian", level=0.2)]
    hit = bench.pile_of(drawn.model_copy(update={"noises": noise}), Gallery(), 2, "fresh")
    fields = hit.images.astype(int) - hit.clean
    assert (fields[0] != fields[1]).mean() > 0.5


def test_a_large_pile_is_made_in_parts_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "AT_ONCE", 33 * 90 * 4)
    pile = bench.pile_of(Asked.model_validate(PLAIN), Gallery(), 10, "fresh")
    assert pile.images.shape == (10, 33, 90, 3)
    assert len({image.tobytes() for image in pile.images}) == 10


def test_rates_are_told_for_every_reader_that_can_be_right(client: TestClient) -> None:
    answer = ask(client, "/rates", text="")
    readers = by_name(answer)
    assert answer["renderings"] == RENDERINGS_PER_RATE
    for name in ("fitting", "lab/wide"):
        assert 0 <= readers[name]["low"] <= readers[name]["whole"] <= readers[name]["high"] <= 1
        assert (
            readers[name]["character_low"]
            <= readers[name]["character"]
            <= readers[name]["character_high"]
        )
    assert "whole" not in readers["letters"]
    assert "cannot be right" in readers["letters"]["note"]
    assert "whole" not in readers["single"]


def test_an_uploaded_picture_is_read_as_it_is_and_takes_noise(client: TestClient) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (31, 77, 3), dtype=np.uint8)
    name = upload(client, picture)
    answer = ask(client, upload=name, text="")
    np.testing.assert_array_equal(pixels(answer), picture)
    assert by_name(answer)["fitting"]["right"] is None
    assert "brought to its 90 × 33 px" in by_name(answer)["fitting"]["note"]
    truth = by_name(answer)["pair"]["text"]
    if truth:
        assert by_name(ask(client, upload=name, text=truth))["pair"]["right"] is True
    noise = ask(client, upload=name, text="20", noises=[{"type": "gaussian", "level": 0.5}])
    assert noise["change"] > 0.2


@pytest.mark.parametrize("noise", NOISES)
def test_the_smallest_upload_takes_every_noise(client: TestClient, noise: str) -> None:
    name = upload(client, np.full((8, 9, 3), 200, np.uint8))
    ask(client, upload=name, text="", noises=[{"type": noise, "level": 1}])


def test_a_rate_of_an_upload_needs_its_text_and_a_noise(client: TestClient) -> None:
    name = upload(client, np.full((33, 90, 3), 200, np.uint8))
    noises = [{"type": "gaussian", "level": 0.2}]
    for fields in (
        {"text": "", "noises": noises},
        {"text": "20"},
        {"text": "20", "noises": [{"type": "gaussian", "level": 0}]},
    ):
        status, error = refused(client, "/rates", upload=name, **fields)
        assert status == 400
        assert "type the text, and add a noise" in error
    assert "whole" in by_name(ask(client, "/rates", upload=name, noises=noises))["fitting"]


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "a text that does not fit": ({"text": "000000000000"}, 400, "the canvas has 90 x 33 px"),
    "a character outside the alphabet": ({"text": "2x"}, 400, "text: 'x' is not in the alphabet 0123456789"),
    "a blank": ({"text": " "}, 400, "text: ' '"),
    "an unknown noise": ({"noises": [{"type": "rain", "level": 0.1}]}, 400, "noises: 'rain' does not exist"),
    "none as a noise": ({"noises": [{"type": "none", "level": 0.1}]}, 400, "noises: 'none'"),
    "a level above 1": ({"noises": [{"type": "fog", "level": 1.1}]}, 422, "noises.0.level"),
    "a long text": ({"text": "1" * 13}, 422, "text"),
    "a seed that is no number": ({"seed": "x"}, 422, "seed"),
    "a huge canvas": ({"width": 100_000}, 422, "width"),
    "an unknown source": ({"source": "../secret"}, 422, "source"),
    "an unknown colour": ({"scheme": "original"}, 422, "scheme"),
    "an alphabet with a character twice": ({"source": "fonts", "alphabet": "aab"}, 400, "alphabet"),
    "an alphabet that no face has": ({"source": "fonts", "alphabet": "a\ue000"}, 400, "alphabet"),
    "a picture that is not there": ({"upload": "nothing"}, 404, "upload it again"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("path", ["", "/rates"])
def test_a_bad_setting_is_refused_in_one_line(client: TestClient, what: str, path: str) -> None:
    fields, status, words = BAD[what]
    if "upload" in fields:
        fields = fields | {"noises": [{"type": "fog", "level": 0.5}]}
    found, error = refused(client, path, **fields)
    assert found == status
    assert words in error
    assert "captcha." not in error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"text": "\\ud800"}',
        b'{"seed": 1e400}',
        b'{"noises": {}}',
        b'{"noises": [{"type": "fog", "level": NaN}]}',
        b"\xff",
    ],
)
def test_a_body_that_is_no_setting_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/bench", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["error"]


def test_typefaces_draw_any_alphabet_and_a_composed_letter_is_the_decomposed_one() -> None:
    setting = Asked.model_validate(
        PLAIN | {"source": "fonts", "alphabet": "aé", "text": "e\u0301"}
    ).setting()
    assert draw_setting_texts(setting, 1, "shown") == ["é"]
    images = composed(setting, ["éa"], "shown")
    assert (images.min(), images.max()) == (0, 255)


def test_renderings_take_glyphs_that_no_reader_of_the_study_learned_from() -> None:
    script = script_of("study", "")
    for ids in script.pools.values():
        assert len(ids)
        assert (script.glyphs.pool[ids] == 2).all()


def test_a_change_of_the_parameters_is_seen_without_a_restart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert script_of("digits", "") is script_of("digits", "")
    first = script_of("digits", "")
    stat = Path.stat

    class Later:
        st_mtime_ns = 1

    monkeypatch.setattr(
        Path, "stat", lambda path, **options: Later() if path.name == "params.yaml" else stat(path)
    )
    assert script_of("digits", "") is not first


def test_nothing_is_asked_of_a_recogniser_without_the_lock(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    real = NetworkReader.logits

    def watched(self: NetworkReader, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        held.append(desk.reading.locked())
        return real(self, images)

    monkeypatch.setattr(NetworkReader, "logits", watched)
    with TestClient(create_app(desk), base_url="http://127.0.0.1") as client:
        ask(client)
        ask(client, "/rates", text="20")
    assert held
    assert all(held)
