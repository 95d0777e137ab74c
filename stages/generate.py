"""Draw the captchas of the experiment, part by part, in parallel processes.

Reads   a glyph source or a folder of labelled captchas
Writes  data/captchas/{train,validation,test}, data/glyphs.parquet
Params  seed, glyphs, captcha, colour, noise

`python -m stages.generate` makes all parts; `python -m stages.generate test 3` makes only part 3 of the test split,
with the same bytes. CAPTCHA_WORKERS sets the number of processes; it changes no byte.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages import artifacts
from stages.artifacts import SPLITS
from stages.captcha.colour import hexadecimal, hue_saturation
from stages.captcha.composition import Bases
from stages.captcha.design import Renderings, render_crossed, render_random
from stages.captcha.glyphs import SIDE, GlyphSet
from stages.command import die_with_parent, progress, run, worker_count
from stages.drawing import CaptchaStudy, bases_of, identity_of, prepare
from stages.params import read
from stages.schemas.arrow import array_of
from stages.schemas.captchas import Captchas


@dataclass(frozen=True)
class Tally:
    """The size of one part."""

    split: str
    renderings: int


def main() -> None:
    study = prepare(read("seed", "glyphs", "captcha", "colour", "noise"))
    match sys.argv[1:]:
        case []:
            make_all(study)
        case [split, part] if (
            split in SPLITS and part.isdecimal() and int(part) < study.parts(split)
        ):
            make_part(study, split, int(part))
        case _:
            choices = ", ".join(f"{split} 0..{study.parts(split) - 1}" for split in SPLITS)
            raise ValueError(
                f"python -m stages.generate takes nothing, or a split and a part: {choices}; "
                f"got {' '.join(sys.argv[1:])!r}"
            )


def make_all(study: CaptchaStudy) -> None:
    """Make every part of every split, then the glyph table."""
    for split in SPLITS:
        for path in (artifacts.CAPTCHAS / split).glob("part-*.parquet"):
            path.unlink()
    jobs = [
        (split, part)
        for split in ("test", "train", "validation")
        for part in range(study.parts(split))
    ]
    started = time.monotonic()
    tallies = []
    for done, tally in enumerate(_run_jobs(study, jobs), 1):
        tallies.append(tally)
        if done % max(1, len(jobs) // 20) == 0 or done == len(jobs):
            elapsed = time.monotonic() - started
            progress(
                f"part {done}/{len(jobs)}, {sum(t.renderings for t in tallies) / elapsed:.0f} captchas/s, "
                f"{elapsed * (len(jobs) - done) / done:.0f} s left"
            )
    write_glyphs(study.glyphs)
    print_tallies(study, tallies)


def _run_jobs(study: CaptchaStudy, jobs: list[tuple[str, int]]) -> Iterator[Tally]:
    workers = min(worker_count(), len(jobs))
    if workers == 1:
        cv2.setNumThreads(1)
        yield from (make_part(study, split, part) for split, part in jobs)
        return
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(
            workers, context, initializer=_start_worker, initargs=(study,)
        ) as pool:
            yield from pool.map(_work, *zip(*jobs, strict=True))
    except BrokenProcessPool:
        raise ValueError(
            "a worker process died (out of memory?): lower captcha.captchas_per_part or "
            "CAPTCHA_WORKERS"
        ) from None


_study: CaptchaStudy | None = None  # of this worker process


def _start_worker(study: CaptchaStudy) -> None:
    global _study
    die_with_parent()
    cv2.setNumThreads(1)  # the processes of the pool use the cores
    _study = study


def _work(split: str, part: int) -> Tally:
    assert _study is not None
    return make_part(_study, split, part)


def make_part(study: CaptchaStudy, split: str, part: int) -> Tally:
    """Make one part of one split and write it."""
    bases = bases_of(study, split, part)
    render = render_crossed if split == "test" else render_random
    renderings = render(
        bases,
        study.first(split, part),
        study.doses,
        study.palette,
        seed=study.seed,
        identity=identity_of(split, part),
    )
    artifacts.write_captchas(
        artifacts.part_path(split, part),
        captcha_table(study, bases, renderings),
        part=part,
        parts=study.parts(split),
    )
    return Tally(split, len(renderings.noise))


def captcha_table(study: CaptchaStudy, bases: Bases, renderings: Renderings) -> pa.Table:
    """The captcha table of one part."""
    repeats = len(renderings.condition) // len(bases.captcha)
    colours = renderings.colours
    backgrounds = [hue_saturation(colour) for colour in colours.background]
    foregrounds = [
        [hue_saturation(colour) for colour in foreground] for foreground in colours.foreground
    ]
    columns: dict[str, Sequence[object] | NDArray[np.generic]] = {
        Captchas.captcha: np.repeat(bases.captcha, repeats),
        Captchas.condition: renderings.condition,
        Captchas.text: [text for text in bases.texts for _ in range(repeats)],
        Captchas.glyphs: [ids for ids in bases.glyphs for _ in range(repeats)],
        Captchas.noise: renderings.noise,
        Captchas.level: renderings.level,
        Captchas.colour: colours.scheme,
        Captchas.foreground: [
            [hexadecimal(colour) for colour in foreground] for foreground in colours.foreground
        ],
        Captchas.background: [hexadecimal(colour) for colour in colours.background],
        Captchas.hue: [[hue for hue, _ in pairs] for pairs in foregrounds],
        Captchas.saturation: [[saturation for _, saturation in pairs] for pairs in foregrounds],
        Captchas.background_hue: [hue for hue, _ in backgrounds],
        Captchas.background_saturation: [saturation for _, saturation in backgrounds],
        Captchas.contrast: renderings.contrast,
        Captchas.rmse: renderings.rmse,
        Captchas.ssim: renderings.ssim,
    }
    schema = artifacts.captcha_schema(
        study.layout.height,
        study.layout.width,
        {"alphabet": study.folding.alphabet, "source": study.source},
    )
    arrays = [
        artifacts.images_array(renderings.images)
        if field.name == Captchas.image
        else array_of(columns[field.name], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def print_tallies(study: CaptchaStudy, tallies: list[Tally]) -> None:
    for split in SPLITS:
        renderings = sum(tally.renderings for tally in tallies if tally.split == split)
        progress(f"{split}: {study.sizes[split]} captchas, {renderings} renderings")
    progress(f"test captchas come under {len(study.doses.grid())} conditions")


def write_glyphs(glyphs: GlyphSet | None) -> None:
    """Write one row per drawn character, before folding: its glyphs in each split and their mean; none for a folder."""
    schema = artifacts.glyph_schema(SIDE)
    if glyphs is None:
        table = pa.Table.from_batches([], schema)
    else:
        counts = [array_of(column, pa.int64()) for column in glyphs.counts().T]
        labels = array_of(glyphs.alphabet, pa.string())
        means = artifacts.images_array(glyphs.means())
        table = pa.Table.from_arrays([labels, *counts, means], schema=schema)
    with artifacts.replacing(artifacts.GLYPHS) as temporary:
        pq.write_table(table, temporary)


if __name__ == "__main__":
    run(main)
