"""An external, pretrained reader: Tesseract, through pytesseract.

Conditions follow Tesseract's documentation ("Improving the quality of the output", and the manual page tesseract(1)):
one line of text (page segmentation 7, or 10 where a text is one character); only characters of the alphabet; a language
with the alphabet; dark text on a light background; an upscaled image; a margin. The neural engine is used (--oem 1):
Debian's data have no other. It reads the same renderings as every reader.

Measured on 400 clean validation captchas of the default study: lines of 40 to 80 px, margins of 10 to 30 px, contrast
stretching, binarisation, smoothing and the rule for polarity changed the character accuracy by less than 3 points, and
40 px was best. Segmentations 8 and 13 had a lower exact match (of the first 100 captchas, at most 15 against 23).

It is optional: `require_tesseract` raises ValueError, one line, where it is absent.
"""

from __future__ import annotations

import html
import importlib
import os
import re
import shlex
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.reader.alternatives.external import ExternalReader
from stages.reader.batches import Images
from stages.reader.decoding import Doubles, Readings, encode
from stages.reader.inference import BATCH, unchanged
from stages.reader.protocol import TextPrediction
from stages.reader.threads import cores

GreyImage = NDArray[np.uint8]  # (H', W'), 0 black to 255 white

OLDEST = (
    5,
    0,
)  # lists the folder of its languages, and the neural engine supports a whitelist (as in 4.1)
LINE = 40  # px, least height of its input, for capitals of about 30 px
MARGIN = 10  # px around it
RESOLUTION = 300  # dots per inch; the input has no such entry, and Tesseract would guess and warn
PATIENCE = 600  # seconds for one process
KNOWN = 0.9  # share of the alphabet that a language has to know
UNICHARSET = (
    21  # TESSDATA_LSTM_UNICHARSET of ccutil/tessdatamanager.h: the entry with its characters
)
MIN_CONFIDENCE = 1e-4  # confidence of a character that was read; 0 means that one was missed
HOW = (
    "install it (apt-get install tesseract-ocr; pip install pytesseract) or leave such readers out"
)


class Tesseract(ExternalReader):
    """Tesseract, configured for texts of an alphabet, of one character each where `positions` is 1.

    `denoiser` is applied to the images first, as with other readers.
    """

    def __init__(
        self, alphabet: str, *, positions: int, denoiser: Callable[[Images], Images] = unchanged
    ) -> None:
        """Raises ValueError, one line, where Tesseract is absent or has no language with this alphabet."""
        self.version = require_tesseract()
        self.alphabet = alphabet
        self.denoiser = denoiser
        self.config = shlex.join(
            [
                "--oem",
                "1",
                "--psm",
                "10" if positions == 1 else "7",
                "--dpi",
                str(RESOLUTION),
                "-c",
                "hocr_char_boxes=1",
                "-c",
                f"tessedit_char_whitelist={alphabet}",
            ]
        )
        self.language, self.unknown = choose_language(alphabet)
        if self.unknown:
            self.caution = (
                f"Tesseract's language {self.language} does not know {self.unknown}: these count as "
                "misread"
            )

    @property
    def title(self) -> str:
        return f"Tesseract {self.version}"

    def record(self) -> dict[str, str]:
        return {"tesseract": self.version, "language": self.language, "unknown": self.unknown}

    def read(self, images: Images) -> Readings:
        """The readings of images (n, H, W, 3); a row is empty where nothing was read.

        Confidences are Tesseract's, per character and not calibrated. Images share processes: the readings are those of
        one process per image, in a twentieth of the time.
        """
        images = self.denoiser(images)
        size = max(1, min(BATCH, -(-len(images) // cores())))
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        with _one_thread_each(), ThreadPoolExecutor(cores()) as pool:
            found = [symbols for batch in pool.map(self._read, batches) for symbols in batch]
        return to_readings(found, self.alphabet)

    def predict(self, images: Images, top: int = 0) -> TextPrediction:
        """The readings; the probability of a text is the product over its characters, and `top` adds no other text."""
        readings = self.read(images)
        probability = reading_probability(readings)
        texts = [
            (tuple(row[row > 0].tolist()), float(share))
            for row, share in zip(readings.labels, probability, strict=True)
        ]
        return TextPrediction(
            readings, probability, [[text] if top and text[0] else [] for text in texts]
        )

    def _read(self, images: Images) -> list[list[tuple[str, float]]]:
        """The symbols of each image, from one process."""
        pytesseract = _pytesseract()
        with tempfile.TemporaryDirectory() as folder:
            names = [os.path.join(folder, f"{i}.pgm") for i in range(len(images))]
            for name, image in zip(names, images, strict=True):
                Path(name).write_bytes(to_pgm(line_image(image)))
            # Tesseract reads the files that a text file lists
            listing = os.path.join(folder, "images.txt")
            Path(listing).write_text("\n".join(names) + "\n", encoding="utf-8")
            try:
                written = pytesseract.image_to_pdf_or_hocr(
                    listing,
                    lang=self.language,
                    config=self.config,
                    timeout=PATIENCE,
                    extension="hocr",
                )
            except (OSError, RuntimeError) as error:  # gone, failed, or too slow
                raise ValueError(f"tesseract failed ({_one_line(error)}): {HOW}") from None
        pages = symbols_of(written.decode("utf-8"))
        if len(pages) != len(images):
            raise ValueError(
                f"tesseract: expected {len(images)} pages of hOCR, got {len(pages)}: {HOW}"
            )
        return pages


def require_tesseract() -> str:
    """Tesseract's version. Raises ValueError, one line, where pytesseract or the program is missing or too old."""
    pytesseract = _pytesseract()
    try:
        version = pytesseract.get_tesseract_version()
    except (OSError, SystemExit, subprocess.CalledProcessError) as error:
        raise ValueError(
            f"the program tesseract cannot be used ({_one_line(error)}): {HOW}"
        ) from None
    if (version.major, version.minor) < OLDEST:
        raise ValueError(
            f"tesseract: expected version {'.'.join(map(str, OLDEST))} or later, got {version}: {HOW}"
        )
    return str(version)


def _pytesseract() -> ModuleType:
    try:
        return importlib.import_module("pytesseract")
    except ImportError as error:
        raise ValueError(
            f"the package pytesseract is missing ({_one_line(error)}): {HOW}"
        ) from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def choose_language(alphabet: str) -> tuple[str, str]:
    """The installed language with most characters of the alphabet, and the characters that it lacks.

    It cannot read these, which counts as errors: none of Debian's data have the Ukrainian Ґ. Of equals, English is
    taken, then the first by name. Raises ValueError, one line, where it has less than the share KNOWN of the alphabet.
    """
    unknown = {
        name: "".join(sorted(set(alphabet) - characters_of(path)))
        for name, path in language_files().items()
    }
    best = min(unknown, key=lambda name: len(unknown[name]), default=None)
    if best is None or len(unknown[best]) > (1 - KNOWN) * len(alphabet):
        nearest = (
            f"{best}, the nearest, lacks {unknown[best]!r}"
            if best
            else "it has no language data at all"
        )
        raise ValueError(
            f"tesseract: expected language data that know the alphabet {alphabet!r}, but {nearest}: "
            "install some that do (`apt-cache search tesseract-ocr` lists them, as tesseract-ocr-ukr)"
        )
    return best, unknown[best]


def language_files() -> dict[str, Path]:
    """The installed languages and their files: English, the others by name, whole scripts (as Cyrillic) last."""
    try:
        listing = subprocess.run(
            ["tesseract", "--list-langs"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(
            f"the program tesseract cannot list its languages ({_one_line(error)}): {HOW}"
        ) from None
    title, *names = (listing.stdout or listing.stderr).splitlines()
    place = re.search(r'in "(.+)"', title)
    if place is None:
        raise ValueError(
            f"tesseract --list-langs: expected the folder of its languages, got {title!r}: {HOW}"
        )
    ordered = sorted(
        map(str.strip, names),
        key=lambda name: (name != "eng", "/" in name or name[:1].isupper(), name),
    )
    return {name: Path(place[1], f"{name}.traineddata") for name in ordered}


def characters_of(path: Path) -> set[str]:
    """The output characters of a language's neural engine; empty where it has no such engine.

    A traineddata file starts with the number of its entries, int32, and the offset of each, int64, -1 where absent
    (ccutil/tessdatamanager.cpp). The entry UNICHARSET has one line per character, which starts with it (unicharset(5)).
    """
    content = path.read_bytes()
    (count,) = struct.unpack_from("<i", content)
    if not UNICHARSET < count <= (len(content) - 4) // 8:
        return set()
    places = struct.unpack_from(f"<{count}q", content, 4)
    start = places[UNICHARSET]
    if start < 0:
        return set()
    end = min((place for place in places if place > start), default=len(content))
    lines = content[start:end].decode("utf-8", errors="replace").splitlines()[1:]
    return {line.split(" ", 1)[0] for line in lines} - {""}


def line_image(image: NDArray[np.uint8]) -> GreyImage:
    """An image (H, W, 3) as a line of text for Tesseract: luma, dark on light, upscaled, with a margin.

    The background is the median of the border. The text is light where the mean of the image is lighter than that.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    ground = ground_of(grey)
    if grey.mean() > ground:
        grey = 255 - grey
        ground = 255 - ground
    scale = max(1.0, LINE / len(grey))
    large = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    line: GreyImage = cv2.copyMakeBorder(
        large, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=ground
    )
    return line


def ground_of(grey: GreyImage) -> int:
    """The median of the border, its outermost pixels."""
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    return int(np.median(border))


def to_pgm(grey: GreyImage) -> bytes:
    """The image as a file in the portable graymap format, which needs no compression."""
    return f"P5 {grey.shape[1]} {grey.shape[0]} 255\n".encode() + grey.tobytes()


def symbols_of(hocr: str) -> list[list[tuple[str, float]]]:
    """The symbols of each page of hOCR, in reading order, with their confidences, 0 to 1."""
    pages = re.split(r"class=['\"]ocr_page['\"]", hocr)[1:]
    symbol = re.compile(
        r"class=['\"]ocrx_cinfo['\"] title=['\"][^'\"]*x_conf ([\d.]+)[^>]*>(.*?)</span>", re.DOTALL
    )
    return [list(map(_symbol_of, symbol.finditer(page))) for page in pages]


def _symbol_of(found: re.Match[str]) -> tuple[str, float]:
    percent, text = found.groups()
    return html.unescape(text), float(percent) / 100


def to_readings(pages: list[list[tuple[str, float]]], alphabet: str) -> Readings:
    """Symbols as readings; characters that are not in the alphabet, such as spaces, are dropped."""
    known = [_known(page, alphabet) for page in pages]
    labels = encode(["".join(map(itemgetter(0), page)) for page in known], alphabet)
    confidence = np.zeros(labels.shape, np.float32)
    for i, page in enumerate(known):
        confidence[i, : len(page)] = [min(1.0, max(MIN_CONFIDENCE, share)) for _, share in page]
    return Readings(labels, confidence)


def _known(page: list[tuple[str, float]], alphabet: str) -> list[tuple[str, float]]:
    """The characters of the symbols of a page that are in the alphabet."""
    return [
        (character, share)
        for symbol, share in page
        for character in symbol
        if character in alphabet
    ]


def reading_probability(readings: Readings) -> Doubles:
    """The probability (n,) of each text if its characters are independent; 0 where nothing was read."""
    product = (
        np.where(readings.labels > 0, readings.confidence, 1.0).astype(np.float64).prod(axis=1)
    )
    result: Doubles = np.where(readings.lengths > 0, product, 0.0)
    return result


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Limit each process to one thread inside the block, through the environment, which pytesseract passes on.

    There is one process per core, and Tesseract's four threads would only wait for each other on small images.
    """
    before = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_THREAD_LIMIT"]
        else:
            os.environ["OMP_THREAD_LIMIT"] = before
