"""Read captchas from image files with a trained reader, and mark readings that are not sure.

Reads   the images named, data/readers/<name>
Writes  nothing: one line per image on standard output; errors and progress on standard error
Params  plot: the reader where --reader names none

`python -m stages.read [--reader NAME] [--top K] [--json] [--sure P] PATH ...`; a folder stands for the images in it, by
name. A line has path, text, confidence and, where it is not sure, the words "not sure", separated by tabs; --top adds
the K likeliest texts, each with its probability. --json writes one object per line (JSON Lines) instead.

The text is the reading that `predict` measures, the best path. Its confidence is the probability of the whole text,
summed over all paths that spell it. (Tesseract gives only one reading: its confidence is the product over characters,
and --top adds no other text.) A reading is sure where its confidence is at least P and the text is not empty; for P
above one half, no text is likelier than a sure one. Exit status: 0 when every image was read, 1 when one was not, 2 on
wrong arguments.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages import artifacts
from stages.command import run
from stages.params import read
from stages.reader.batches import Images
from stages.reader.decoding import to_texts
from stages.reader.inference import BATCH, choose_device
from stages.reader.protocol import Reader
from stages.reader_files import Description, load_recogniser
from stages.sources.images import listing, read_image
from stages.sources.labelled_captchas import SUFFIXES, to_canvas

MOST = 100  # largest K of --top; the time of the beam search is proportional to it
MEMORY = 64 * 2**20  # bytes of images per batch, a limit for readers of large images
ASPECT = 1.5  # ratio of aspect ratios above which an image gets wider margins than in training


@dataclass(frozen=True)
class Character:
    character: str
    confidence: float  # its highest posterior


@dataclass(frozen=True)
class Candidate:
    text: str
    probability: float


@dataclass(frozen=True)
class Reading:
    """The reading of one image; the fields of --json, in their order."""

    path: str
    text: str
    confidence: float  # the probability of the whole text
    characters: tuple[Character, ...]
    sure: bool
    top: tuple[Candidate, ...]  # in descending order of probability; empty without --top


@dataclass(frozen=True, eq=False)
class Opened:
    """n images on the reader's canvas, and one line for each file that is no image."""

    images: Images
    paths: list[Path]  # (n,)
    sizes: list[tuple[int, int]]  # (n,) height and width of the file's picture, px
    errors: list[str]


def main() -> None:
    given = arguments(sys.argv[1:])
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a file name may be no valid text, and a terminal may lack letters
        sys.stdout.reconfigure(errors="backslashreplace")
    folder = reader_folder(given.reader)
    recogniser, description = load_recogniser(folder, choose_device("auto"))
    files, errors = image_files(given.paths)
    complain(errors)
    failed = len(errors)
    odd = []
    try:
        for opened in open_batches(files, description):
            complain(opened.errors)
            failed += len(opened.errors)
            odd += [
                found
                for found in zip(opened.paths, opened.sizes, strict=True)
                if misshapen(found[1], description)
            ]
            for reading in read_images(opened, recogniser, description, given.sure, given.top):
                print(reading_json(reading) if given.json else reading_line(reading))
            sys.stdout.flush()
    except BrokenPipeError:  # of `| head`; buffered output is discarded
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    print_misshapen(odd, len(files), description)
    if failed:
        raise SystemExit(1)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stages.read",
        allow_abbrev=False,
        description="Read captchas from image files with a trained reader.",
    )
    parser.add_argument(
        "--reader", metavar="NAME", help=f"one of {artifacts.READERS} (default: plot.reader)"
    )
    parser.add_argument(
        "--top", metavar="K", type=_count, default=0, help=f"the K likeliest texts too, 1 to {MOST}"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a line, with each character's confidence",
    )
    parser.add_argument(
        "--sure",
        metavar="P",
        type=_share,
        default=0.9,
        help="probability of the text below which it is not sure (default: %(default)s)",
    )
    parser.add_argument(
        "paths", metavar="PATH", type=Path, nargs="+", help="an image, or a folder of images"
    )
    return parser.parse_args(words)


def _count(word: str) -> int:
    if not (word.isdecimal() and 1 <= int(word) <= MOST):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {MOST}, got {word!r}")
    return int(word)


def _share(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a probability from 0 to 1, got {word!r}")
    return value


def reader_folder(name: str | None) -> Path:
    """The folder of the reader named, or of plot.reader. Raises ValueError, with the known names, if missing."""
    wanted = read("plot").plot.reader if name is None else name
    known = (
        [entry.name for entry in listing(artifacts.READERS) if entry.is_dir()]
        if artifacts.READERS.is_dir()
        else []
    )
    if wanted in known:
        return artifacts.READERS / wanted
    remedy = f"choose another with --reader: {', '.join(known)}" if known else "run `dvc repro`"
    raise ValueError(f"{artifacts.READERS} has no trained reader {wanted!r}: {remedy}")


def image_files(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The files that the paths name, and one line for each folder that cannot be listed or has no image."""
    files = []
    errors = []
    for path in paths:
        try:
            inside = [path]
            if path.is_dir():
                inside = [
                    file
                    for file in listing(path)
                    if file.suffix.lower() in SUFFIXES and not file.is_dir()
                ]
        except OSError as error:
            errors.append(
                f"{path}: expected an image or a folder of images, got none ({error.strerror}): correct it"
            )
            continue
        if not inside:
            errors.append(
                f"{path}: expected a folder of images ({', '.join(SUFFIXES)}), got none there: name another"
            )
        files += inside
    return files, errors


def open_batches(files: Sequence[Path], description: Description) -> Iterator[Opened]:
    """The images of the files, in batches limited by BATCH and MEMORY; progress is printed in between."""
    size = max(1, min(BATCH, MEMORY // (3 * description.height * description.width)))
    every = size * max(1, len(files) // size // 10)  # about ten times
    started = time.monotonic()
    for start in range(0, len(files), size):
        # on a terminal, the lines themselves show progress
        if start and start % every == 0 and not sys.stdout.isatty():
            print(
                f"read {start} of {len(files)} images, {start / (time.monotonic() - started):.0f} a second",
                file=sys.stderr,
                flush=True,
            )
        yield open_images(files[start : start + size], description.height, description.width)


def open_images(files: Sequence[Path], height: int, width: int) -> Opened:
    """The pictures of the files, resized to height x width px as for training."""
    images = []
    paths = []
    sizes = []
    errors = []
    for file in files:
        try:
            picture = read_image(file)
        except ValueError as error:
            errors.append(str(error))
            continue
        images.append(to_canvas(picture, height, width))
        paths.append(file)
        sizes.append(picture.shape[:2])
    canvas: NDArray[np.uint8] = (
        np.stack(images) if images else np.empty((0, height, width, 3), np.uint8)
    )
    return Opened(canvas, paths, sizes, errors)


def read_images(
    opened: Opened, recogniser: Reader, description: Description, sure: float, top: int
) -> list[Reading]:
    """The reading of each image, with the `top` likeliest texts.

    Raises ValueError where the logits are not finite.
    """
    if not opened.paths:
        return []
    whole = recogniser.predict(opened.images, top)
    texts = to_texts(whole.readings.labels, description.alphabet)
    probability = whole.probability.tolist()
    readings = []
    for i, (path, text) in enumerate(zip(opened.paths, texts, strict=True)):
        characters = tuple(map(Character, text, whole.readings.confidence[i].tolist()))
        candidates = tuple(
            Candidate(to_texts(np.array([labels]), description.alphabet)[0], share)
            for labels, share in whole.top[i]
        )
        readings.append(
            Reading(
                str(path),
                text,
                probability[i],
                characters,
                bool(text) and probability[i] >= sure,
                candidates,
            )
        )
    return readings


def reading_line(reading: Reading) -> str:
    """Path, text, confidence and, where it is not sure, "not sure"; then the likeliest texts with --top."""
    columns = [
        reading.path,
        reading.text,
        f"{reading.confidence:.3f}",
        "" if reading.sure else "not sure",
    ]
    for candidate in reading.top:
        columns += [candidate.text, f"{candidate.probability:.3f}"]
    return "\t".join(map(printable, columns)).removesuffix("\t")


def reading_json(reading: Reading) -> str:
    """One object on one line, in ASCII, so that any terminal can show any file name."""
    return json.dumps(artifacts.rounded(asdict(reading)))


def printable(text: str) -> str:
    """`text` with escapes for tabs, line ends and other control characters of a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def complain(errors: Sequence[str]) -> None:
    for error in errors:
        print(f"error: {printable(error)}", file=sys.stderr, flush=True)


def misshapen(size: tuple[int, int], description: Description) -> bool:
    """Whether the aspect ratio of this height and width, px, differs from the reader's by a factor above ASPECT."""
    ratio = size[1] / size[0] * description.height / description.width
    return max(ratio, 1 / ratio) > ASPECT


def print_misshapen(
    odd: Sequence[tuple[Path, tuple[int, int]]], images: int, description: Description
) -> None:
    """Print one line about images of another aspect ratio, regardless of their number."""
    if odd:
        path, (height, width) = odd[0]
        print(
            printable(
                f"note: {len(odd)} of {images} images differ in aspect ratio by more than {ASPECT} times from "
                f"the reader's {description.width} x {description.height} px, which leaves margins that it may "
                f"not know; the first is {path}, {width} x {height} px"
            ),
            file=sys.stderr,
            flush=True,
        )


if __name__ == "__main__":
    run(main)
