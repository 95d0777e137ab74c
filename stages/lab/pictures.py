"""Uploaded images: untrusted bytes, checked before decoding, and cached in memory."""

from __future__ import annotations

import io
import secrets
import tempfile
import threading
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Literal

from PIL import Image

from stages.lab.errors import MissingError, TooLargeError, UnreadableError
from stages.sources.images import FORMATS, Picture, read_image
from stages.sources.labelled_captchas import to_canvas

LIMIT = 2 * 2**20  # bytes of a file
MEGAPIXELS = 4  # as declared in the header
LARGEST = 256, 512  # px, maximum height and width in memory: no captcha is larger
SMALLEST = 8  # px, either side
CACHED_PICTURES = 16  # images in memory; the oldest is removed
# The headers of an icon and of an AVIF need not state the size of the images inside, which may be bombs.
TAKEN = tuple(name for name in FORMATS if name not in ("ICO", "AVIF"))
TILES = range(
    322, 326
)  # tags of a TIFF: a tile is decoded whole, even if the image is much smaller


def read_upload(content: bytes, home: Path) -> Picture:
    """The image (H, W, 3) in bytes, made smaller if it is larger than any captcha.

    It is in a file below `home` while it is read. Raises UnreadableError if the bytes are no still image, are damaged,
    or have less than 8 x 8 px; TooLargeError if the image is too large.
    """
    check_header(content)
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=home) as folder:
        path = Path(folder, "upload")
        path.write_bytes(content)
        try:
            picture = read_image(path)
        except ValueError as error:
            raise UnreadableError(str(error).replace(str(path), "upload")) from None
    return fitted(picture)


def check_header(content: bytes) -> None:
    """Check the header only. Raises as `read_upload` does."""
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(
                io.BytesIO(content), formats=[name for name in TAKEN if name in Image.OPEN]
            ) as image:
                width, height = image.size
                # Cameras write JPEGs with a preview as a second image (MPO): these are still images.
                moves = image.format != "MPO" and getattr(image, "is_animated", False)
                tiled = image.format == "TIFF" and bool(tags_of(content) & set(TILES))
    except Image.DecompressionBombError:
        raise TooLargeError(
            f"upload: expected at most {MEGAPIXELS} megapixels, got far more: make it smaller"
        ) from None
    except Exception:  # a damaged file can make a decoder raise nearly anything
        raise UnreadableError(
            "upload: expected an image (PNG, JPEG, GIF, BMP, WebP, TIFF …), got something else: "
            "choose another file"
        ) from None
    if width * height > MEGAPIXELS * 1_000_000:
        raise TooLargeError(
            f"upload: expected at most {MEGAPIXELS} megapixels, got {width} x {height} px: make it "
            "smaller"
        )
    if tiled:
        raise UnreadableError("upload: expected a TIFF in strips, got one in tiles: save it as PNG")
    if moves:
        raise UnreadableError(
            "upload: expected one picture, got an animation or several pages: save one of them"
        )


def tags_of(content: bytes) -> set[int]:
    """The raw tags in the first directory of a TIFF: Pillow skips some that libtiff reads."""
    order: Literal["little", "big"] = "little" if content.startswith(b"II") else "big"

    def number(place: int, size: int) -> int:
        return int.from_bytes(content[place : place + size], order)

    if number(2, 2) == 43:  # BigTIFF
        count = number(number(8, 8), 8)
        first = number(8, 8) + 8
        step = 20
    else:
        count = number(number(4, 4), 2)
        first = number(4, 4) + 2
        step = 12
    return {number(first + step * i, 2) for i in range(min(count, len(content) // step))}


def fitted(picture: Picture) -> Picture:
    """The image, no larger than LARGEST. Raises UnreadableError if less than 8 x 8 px are left."""
    scale = min(1.0, *(most / side for most, side in zip(LARGEST, picture.shape, strict=False)))
    height, width = (round(side * scale) for side in picture.shape[:2])
    if min(height, width) < SMALLEST:
        raise UnreadableError(
            f"upload: expected a captcha of {SMALLEST} x {SMALLEST} px or more, got "
            f"{picture.shape[1]} x {picture.shape[0]}: crop or enlarge it"
        )
    return picture if scale == 1 else to_canvas(picture, height, width)


class Gallery:
    """The last KEPT images, each under a name that cannot be guessed."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, picture: Picture) -> str:
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._pictures[name] = picture
            while len(self._pictures) > CACHED_PICTURES:
                self._pictures.popitem(last=False)
        return name

    def get(self, name: str) -> Picture:
        """The image of that name. Raises MissingError if it is no longer in memory."""
        with self._lock:
            if name not in self._pictures:
                raise MissingError("upload: this picture is no longer kept: upload it again")
            return self._pictures[name]
