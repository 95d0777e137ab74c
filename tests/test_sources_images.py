"""Image files: every kind of pixel comes out as RGB on white; what is bad gives one line and nothing else."""

from __future__ import annotations

import io
import os
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.sources.images import border_median, listing, read_each, read_image, refuse, resolve

H = 9
W = 14
RGB = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "gif", "webp", "pcx", "jp2"])
def test_lossless_formats_give_their_pixels(tmp_path: Path, suffix: str) -> None:
    few = (RGB // 64) * 64  # colours that fit GIF's palette
    options = {"lossless": True} if suffix == "webp" else {}
    np.testing.assert_array_equal(
        read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(few), **options)), few
    )


def test_a_jpeg_is_close_to_its_pixels(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 48, dtype=np.uint8)[:, None, None], (1, 32, 3))
    read = read_image(saved(tmp_path / "a.jpg", Image.fromarray(smooth), quality=95))
    assert np.abs(read.astype(int) - smooth).max() <= 4


def test_grey_and_bilevel_images_get_three_equal_channels(tmp_path: Path) -> None:
    gray = RGB[..., 0]
    read = read_image(saved(tmp_path / "a.png", Image.fromarray(gray)))
    np.testing.assert_array_equal(read, gray[..., None].repeat(3, axis=2))
    bilevel = Image.fromarray(gray > 127)
    assert bilevel.mode == "1"
    np.testing.assert_array_equal(
        read_image(saved(tmp_path / "b.png", bilevel))[..., 1], (gray > 127) * 255
    )


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_become_the_nearest_eight(tmp_path: Path, suffix: str) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (H, W), dtype=np.uint16)
    deep[0, :3] = 0, 65535, 257
    read = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(deep)))[..., 2]
    np.testing.assert_array_equal(read, np.rint(deep / 257))


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    alpha = np.random.default_rng(2).integers(0, 256, (H, W, 1), dtype=np.uint8)
    read = read_image(saved(tmp_path / "a.png", Image.fromarray(np.dstack([RGB, alpha]))))
    np.testing.assert_allclose(read, 255 + (RGB.astype(float) - 255) * alpha / 255, atol=1)


def test_transparent_entries_of_a_palette_and_of_grey_are_white(tmp_path: Path) -> None:
    palette = Image.fromarray(np.arange(H * W, dtype=np.uint8).reshape(H, W) % 2).convert("P")
    palette.putpalette([10, 20, 30, 200, 0, 0])
    read = read_image(saved(tmp_path / "a.png", palette, transparency=0))
    np.testing.assert_array_equal(read[0, :2], [[255, 255, 255], [200, 0, 0]])
    gray = Image.fromarray(np.full((H, W), 7, np.uint8))
    assert (read_image(saved(tmp_path / "b.png", gray, transparency=7)) == 255).all()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    cyan = Image.new("CMYK", (W, H), (255, 0, 0, 0))
    assert read_image(saved(tmp_path / "a.tiff", cyan))[3, 3].tolist() == [0, 255, 255]


def test_a_photo_comes_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to show
    path = saved(tmp_path / "a.png", Image.fromarray(RGB), exif=exif)
    np.testing.assert_array_equal(read_image(path), np.rot90(RGB, -1))


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (W, H), value) for value in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_image(tmp_path / "a.gif") == 0).all()


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "side", [8001, 10_000, 60_000]
)  # above our limit, where Pillow warns, where it refuses
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    with pytest.raises(
        ValueError, match=r"bomb.png: expected at most 64 megapixels, got .*: replace it"
    ):
        read_image(tmp_path / "bomb.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_large_declared_size_without_pixels_is_refused_as_truncated(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(4000, 4000))
    with pytest.raises(
        ValueError,
        match=r"a.png: expected an image, could not decode it \(.*truncated.*\): replace",
    ):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"label,pixel0\n1,2\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"a.png: expected an image \(PNG, JPEG.*got something else: replace it by"
    ):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_a_truncated_image_is_refused(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(np.tile(RGB, (12, 12, 1))))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        ValueError, match=rf"^[^\n]*a.{suffix}: expected an image[^\n]*: replace it by a PNG"
    ):
        read_image(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"absent.png: expected an image, but the file does not exist: correct"
    ):
        read_image(tmp_path / "absent.png")
    with pytest.raises(ValueError, match="got a folder or a device"):
        read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="got a folder or a device"):
        read_image(tmp_path / "pipe.png")


def test_grey_of_floating_point_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tiff", Image.fromarray(np.ones((H, W), np.float32)))
    with pytest.raises(ValueError, match="expected 8 or 16 bits a channel, got F"):
        read_image(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_a_damaged_image_is_read_or_refused_in_one_line_but_nothing_else(
    tmp_path: Path, kind: str
) -> None:
    rng = np.random.default_rng(3)
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, kind)
    whole = np.frombuffer(buffer.getvalue(), np.uint8)
    messages = []
    for i in range(100):
        damaged = whole[: rng.integers(1, len(whole) + 1)].copy() if i % 4 == 0 else whole.copy()
        hit = rng.integers(0, min(len(damaged), 80 if i % 2 else len(damaged)), rng.integers(1, 6))
        damaged[hit] = rng.integers(0, 256, len(hit))
        (tmp_path / "a").write_bytes(damaged.tobytes())
        try:
            picture = read_image(tmp_path / "a")
        except ValueError as error:
            messages.append(str(error))
        else:
            assert picture.dtype == np.uint8
            assert picture.ndim == 3
            assert picture.shape[2] == 3
    assert len(messages) > 10
    assert all(
        message.startswith(f"{tmp_path / 'a'}: ") and "\n" not in message for message in messages
    )


def test_bad_files_are_reported_together_with_their_number() -> None:
    def read(path: Path) -> str:
        if path.name.startswith("bad"):
            raise ValueError(f"{path.name} is bad")
        return path.name

    paths = [Path(name) for name in ("a", "bad1", "b", "bad2", "bad3", "bad4")]
    assert list(read_each([Path("a"), Path("b")], read)) == ["a", "b"]
    with pytest.raises(
        ValueError, match=r"^bad1 is bad; bad2 is bad; bad3 is bad; … 4 bad files in all$"
    ):
        list(read_each(paths, read))
    refuse([])


def test_relative_paths_start_at_the_original_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repository" / "captchas").mkdir(parents=True)
    (tmp_path / "clone" / "captchas").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert resolve("captchas") == tmp_path / "clone" / "captchas"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))
    assert resolve("captchas") == tmp_path / "repository" / "captchas"
    assert resolve("../clone") == tmp_path / "clone"
    assert resolve(str(tmp_path)) == tmp_path


def test_a_missing_path_is_printed_as_it_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(
        ValueError, match=rf"^{tmp_path}/absent does not exist: correct the path 'sub/../absent' in"
    ):
        resolve("sub/../absent")


def test_a_folder_is_listed_by_composed_names_without_hidden_entries(tmp_path: Path) -> None:
    for name in ("b", "a", unicodedata.normalize("NFD", "й"), "к", "и", ".hidden"):
        (tmp_path / name).touch()
    assert [unicodedata.normalize("NFC", path.name) for path in listing(tmp_path)] == [
        "a",
        "b",
        "и",
        "й",
        "к",
    ]


def test_the_border_median_is_that_of_the_outermost_pixels() -> None:
    inside = np.ones((H, W), bool)
    inside[1:-1, 1:-1] = False
    np.testing.assert_array_equal(border_median(RGB), np.median(RGB[inside], axis=0))
    np.testing.assert_array_equal(
        border_median(RGB[:1]), np.median(np.concatenate([RGB[0], RGB[0]]), axis=0)
    )
