"""Uploaded pictures: what is read, what is refused and how, and that nothing stays behind."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image, features

from stages.lab import pictures
from stages.lab.app import create_app
from stages.lab.errors import MissingError, RefusedError, TooLargeError, UnreadableError
from stages.lab.loaded_readers import Desk
from stages.lab.pictures import CACHED_PICTURES, LIMIT, Gallery, check_header, fitted, read_upload

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 90, 3), dtype=np.uint8)


def encoded(format: str = "PNG", pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header declares any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            len(content).to_bytes(4, "big")
            + kind
            + content
            + zlib.crc32(kind + content).to_bytes(4, "big")
        )

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(Desk(tmp_path / "lab", study=tmp_path / "readers"))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def left(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("upload*")) if home.exists() else []


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "PCX"])
def test_a_picture_keeps_its_pixels(tmp_path: Path, format: str) -> None:
    np.testing.assert_array_equal(read_upload(encoded(format), tmp_path / "lab"), PIXELS)
    assert left(tmp_path) == []


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF"])
def test_other_formats_are_read_too(tmp_path: Path, format: str) -> None:
    assert read_upload(encoded(format), tmp_path).shape == PIXELS.shape


def test_a_large_picture_is_made_as_small_as_a_captcha_and_keeps_its_aspect(tmp_path: Path) -> None:
    picture = read_upload(encoded(pixels=np.full((600, 1500, 3), 255, np.uint8)), tmp_path)
    assert picture.shape == (205, 512, 3)
    assert (picture == 255).all()


BAD = {
    "nothing": b"", "text": b"label,pixel0\n1,0\n", "script": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='20' height='20'/>",
    "truncated PNG": encoded()[:400], "truncated JPEG": encoded("JPEG")[:300], "without pixels": png(90, 30),
    "damaged": encoded()[:60] + bytes(40) + encoded()[100:],
    "moving": encoded("GIF", save_all=True, append_images=[Image.new("RGB", (90, 30), "red")]),
    "pages": encoded("TIFF", save_all=True, append_images=[Image.new("RGB", (90, 30), "red")]),
    "icon": encoded("ICO"), "tiny": encoded(pixels=PIXELS[:7]),
    "a line": encoded(pixels=np.zeros((8, 4000, 3), np.uint8)),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_still_picture_is_refused_in_one_line_and_leaves_no_file(
    client: TestClient, tmp_path: Path, what: str
) -> None:
    answer = client.post("/api/bench/upload", content=BAD[what])
    assert answer.status_code == 415, answer.text
    assert answer.json()["error"].startswith("upload: expected ")
    assert "\n" not in answer.json()["error"]
    assert str(tmp_path) not in answer.text
    assert left(tmp_path) == []


@pytest.mark.parametrize(("width", "height"), [(2001, 2000), (60_000, 60_000), (2**31 - 1, 1)])
def test_a_picture_that_declares_too_many_pixels_is_not_decoded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int, height: int
) -> None:
    monkeypatch.setattr(pictures, "read_image", lambda path: pytest.fail("it was decoded"))
    with pytest.raises(TooLargeError, match=r"upload: expected at most 4 megapixels"):
        read_upload(png(width, height), tmp_path)


def test_four_megapixels_pass_the_header() -> None:
    check_header(png(2000, 2000))


def test_an_icon_cannot_smuggle_a_large_picture_in() -> None:
    inside = png(9000, 9000)
    entry = (
        bytes([32, 32, 0, 0, 1, 0, 32, 0])
        + len(inside).to_bytes(4, "little")
        + (22).to_bytes(4, "little")
    )
    with pytest.raises(UnreadableError):
        check_header(b"\0\0\1\0\1\0" + entry + inside)


def tiff(tags: dict[int, int], form: str, data: bytes, *, kind: int = 4) -> bytes:
    """A TIFF, or BigTIFF, of one directory that begins behind the data; `kind` is the type of the tags of tiles."""
    start = BEGIN[form] + len(data)
    head, count, entry = {
        "II": ("<2sHI", "<H", "<HHII"),
        "MM": (">2sHI", ">H", ">HHII"),
        "big": ("<2sHIQ", "<Q", "<HHQQ"),
    }[form]
    header = (b"II", 43, 8, start) if form == "big" else (form.encode(), 42, start)
    entries = [
        struct.pack(entry, tag, kind if tag in (322, 323) else 4, 1, tags[tag])
        for tag in sorted(tags)
    ]
    return (
        struct.pack(head, *header)
        + data
        + struct.pack(count, len(tags))
        + b"".join(entries)
        + bytes(8)
    )


BEGIN = {"II": 8, "MM": 8, "big": 16}
PLAIN = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1}  # 16 x 16 px of 8 bits, deflated


@pytest.mark.parametrize("form", BEGIN)
@pytest.mark.parametrize(
    "kind", [4, 17]
)  # the second is one that Pillow does not know and libtiff does
@pytest.mark.parametrize("more", [{}, {273: 8, 278: 16, 279: 9}])  # that look like strips
def test_a_small_tiff_cannot_smuggle_a_large_tile_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str, kind: int, more: dict[int, int]
) -> None:
    monkeypatch.setattr(pictures, "read_image", lambda path: pytest.fail("it was decoded"))
    data = zlib.compress(bytes(3000 * 3000))
    tiles = {322: 3000, 323: 3000, 324: BEGIN[form], 325: len(data)}
    with pytest.raises(
        UnreadableError, match="expected a TIFF in strips, got one in tiles: save it as PNG"
    ):
        read_upload(tiff(PLAIN | more | tiles, form, data, kind=kind), tmp_path)


@pytest.mark.parametrize("form", BEGIN)
def test_a_tiff_in_strips_is_read_whatever_its_order_of_bytes(tmp_path: Path, form: str) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    data = zlib.compress(grey.tobytes())
    content = tiff(PLAIN | {273: BEGIN[form], 278: 16, 279: len(data)}, form, data)
    np.testing.assert_array_equal(
        read_upload(content, tmp_path), np.repeat(grey[..., None], 3, axis=2)
    )


def test_an_avif_cannot_smuggle_a_large_picture_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    monkeypatch.setattr(pictures, "read_image", lambda path: pytest.fail("it was decoded"))
    content = encoded("AVIF", np.zeros((64, 3000, 3), np.uint8))
    place = content.index(b"ispe") + 8  # the size that its header declares
    with pytest.raises(UnreadableError):
        read_upload(content[:place] + (16).to_bytes(4, "big") * 2 + content[place + 8 :], tmp_path)


def test_more_bytes_than_the_limit_are_refused(client: TestClient) -> None:
    answer = client.post("/api/bench/upload", content=bytes(LIMIT + 1))
    assert answer.status_code == 413
    assert str(LIMIT) in answer.json()["error"]


def test_a_decoder_that_breaks_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(path: Path) -> None:
        assert path.is_file()
        raise RuntimeError

    monkeypatch.setattr(pictures, "read_image", broken)
    with pytest.raises(RuntimeError):
        read_upload(encoded(), tmp_path / "lab")
    assert list((tmp_path / "lab").iterdir()) == []


def test_mutated_pictures_are_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    originals = [
        encoded(format) for format in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "PCX")
    ]
    outcomes: set[type] = set()
    for turn in range(400):
        content = bytearray(originals[turn % len(originals)])
        for place in rng.integers(len(content), size=rng.integers(1, 6)):
            content[place] = rng.integers(256)
        try:
            picture = read_upload(
                bytes(content[: rng.integers(1, len(content) + 1)] if turn % 3 == 0 else content),
                tmp_path,
            )
        except RefusedError as error:
            outcomes.add(type(error))
        else:
            outcomes.add(type(picture))
            assert picture.dtype == np.uint8
            assert picture.shape[0] <= 256
            assert picture.shape[1] <= 512
    assert {np.ndarray, UnreadableError} <= outcomes
    assert list(tmp_path.iterdir()) == []


def test_a_picture_no_larger_than_the_largest_stays_as_it_is() -> None:
    assert fitted(PIXELS) is PIXELS


def test_the_gallery_forgets_the_oldest_and_its_names_differ() -> None:
    gallery = Gallery()
    names = [gallery.add(PIXELS) for _ in range(CACHED_PICTURES + 1)]
    assert len(set(names)) == CACHED_PICTURES + 1
    assert gallery.get(names[1]) is PIXELS
    with pytest.raises(MissingError, match="no longer kept"):
        gallery.get(names[0])
