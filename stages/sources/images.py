"""Read untrusted image files of any format: pixels (H, W, 3) uint8, or a one-line ValueError."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Picture = NDArray[np.uint8]  # (H, W, 3), 0 black to 255 white
Read = TypeVar("Read")

MEGAPIXELS = 64  # at most, as the file's header declares them
# Decoders that only decode and identify their files: EPS would run Ghostscript, and TGA accepts nearly any file.
FORMATS = (
    "PNG",
    "JPEG",
    "BMP",
    "DIB",
    "GIF",
    "WEBP",
    "TIFF",
    "PPM",
    "PCX",
    "ICO",
    "JPEG2000",
    "AVIF",
    "QOI",
)
REMEDY = "replace it by a PNG or JPEG, or remove it"


def root() -> Path:
    """The base of relative paths: DVC_ROOT, or the working directory if DVC does not run."""
    return Path(os.environ.get("DVC_ROOT") or os.getcwd())


def resolve(path: str) -> Path:
    """A path of params.yaml as an absolute path; relative ones start at the `root`.

    DVC runs `--temp` and queued experiments in a clone elsewhere, but DVC_ROOT stays the user's repository. Raises
    ValueError where the path does not exist.
    """
    found = Path(os.path.abspath(root() / os.path.expanduser(path)))
    if not found.exists():
        raise ValueError(
            f"{found} does not exist: correct the path {path!r} in params.yaml (a relative one starts at "
            "the root of the repository)"
        )
    return found


def listing(folder: Path) -> list[Path]:
    """The visible entries of a folder by composed name, in the same order on every machine."""
    visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted(visible, key=lambda entry: (unicodedata.normalize("NFC", entry.name), entry.name))


def read_image(path: Path) -> Picture:
    """The image in a file, (H, W, 3) uint8: the first frame, rotated by its EXIF, alpha on white, 16 bits as 8.

    Raises ValueError if the file is missing, no image, damaged, or declares more than 64 megapixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of Pillow, on metadata (not used here) and on size (checked here)
            return _decode(path)
    except FileNotFoundError:
        raise ValueError(
            f"{path}: expected an image, but the file does not exist: correct its name"
        ) from None
    except _RefusalError as error:
        raise ValueError(f"{path}: {error}: {REMEDY}") from None
    except Exception as error:  # a damaged file can make a decoder raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path}: expected an image, could not decode it ({reason[:120]}): {REMEDY}"
        ) from None


class _RefusalError(Exception):
    """Why a file is refused that Pillow might read."""


def _decode(path: Path) -> Picture:
    if path.exists() and not path.is_file():  # reading a pipe would block
        raise _RefusalError("expected an image, got a folder or a device")
    Image.init()  # so that OPEN lists the formats of this build of Pillow
    try:
        image = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    except UnidentifiedImageError:
        raise _RefusalError(
            "expected an image (PNG, JPEG, GIF, BMP, WebP, TIFF …), got something else"
        ) from None
    except Image.DecompressionBombError:
        raise _RefusalError(f"expected at most {MEGAPIXELS} megapixels, got far more") from None
    with image:
        width, height = image.size
        if width * height > MEGAPIXELS * 1_000_000:
            raise _RefusalError(f"expected at most {MEGAPIXELS} megapixels, got {width}x{height}")
        return np.array(_opaque(_eight_bits(ImageOps.exif_transpose(image))), np.uint8)


def _eight_bits(image: Image.Image) -> Image.Image:
    """`image` with 8 bits per channel if it is grey of 16 bits (Pillow itself would clip it)."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise _RefusalError(
            f"expected 8 or 16 bits a channel, got {image.mode} from {values.min()} to "
            f"{values.max()}"
        )
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    """`image` as RGB, with transparency on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def read_each(paths: Iterable[Path], read: Callable[[Path], Read]) -> Iterator[Read]:
    """The result of `read` for each path. Raises one ValueError at the end for all errors of `read`."""
    errors: list[str] = []
    for path in paths:
        try:
            result = read(path)
        except ValueError as error:
            errors.append(str(error))
            continue
        yield result
    refuse(errors)


def refuse(errors: list[str]) -> None:
    """Raise one ValueError for all errors, if any: the first three and their number."""
    if errors:
        more = f"; … {len(errors)} bad files in all" if len(errors) > 3 else ""
        raise ValueError("; ".join(errors[:3]) + more)


def border_median(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Median of the border pixels per channel: () for (H, W), (3,) for (H, W, 3)."""
    edge = np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]])
    return np.asarray(np.median(edge, axis=0))
