"""Draw the captchas of the experiment, part by part, in parallel processes.

Reads   a glyph source or a folder of labelled captchas
Writes  data/captchas/{train,validation,test}, data/glyphs.parquet, metrics/generate.json
Params  seed, glyphs, captcha, colour, noise

`python -m stages.generate` makes all parts; `python -m stages.generate test 3` makes part 3 of the test split alone,
to the same bytes. CAPTCHA_WORKERS sets the number of processes; it changes no byte.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages import artifacts
from stages.artifacts import SPLITS
from stages.captcha.colour import hexadecimal, hue_saturation
from stages.captcha.composition import Bases, Layout, compose, draw_glyphs, draw_texts
from stages.captcha.design import (
    Doses,
    Palette,
    Renderings,
    bases_from_images,
    render_crossed,
    render_random,
    stream,
)
from stages.captcha.folding import Folding, fold
from stages.captcha.glyphs import GlyphSet, normalise_alphabet
from stages.command import die_with_parent, progress, run, worker_count
from stages.params import read, unseen
from stages.sources.captchas import LabelledCaptchas, load_captchas
from stages.sources.glyphs import load_glyphs


@dataclass(frozen=True)
class Study:
    """All that a worker needs to make any part."""

    seed: int
    source: str
    folding: Folding  # drawn characters and their labels
    sizes: dict[str, int]  # base captchas by split
    part: int  # base captchas in a part
    layout: Layout
    palette: Palette
    doses: Doses
    glyphs: GlyphSet | None  # where captchas are composed
    folder: LabelledCaptchas | None  # where they are found

    def parts(self, split: str) -> int:
        return -(-self.sizes[split] // self.part)


@dataclass(frozen=True)
class Tally:
    """What one part contributes to metrics/generate.json: sums by noise type at the strongest level."""

    split: str
    renderings: int
    rmse: dict[str, tuple[float, float, int]]  # noise: sum of rmse, sum of ssim, rows


def main() -> None:
    study = prepare()
    match sys.argv[1:]:
        case []:
            make_all(study)
        case [split, part] if split in SPLITS and part.isdecimal() and int(part) < study.parts(split):
            make_part(study, split, int(part))
        case _:
            choices = ", ".join(f"{split} 0..{study.parts(split) - 1}" for split in SPLITS)
            raise ValueError(f"python -m stages.generate takes nothing, or a split and a part: {choices}; "
                             f"got {' '.join(sys.argv[1:])!r}")


def prepare() -> Study:
    """Read the parameters and the source, and settle how many captchas each split has."""
    params = read("seed", "glyphs", "captcha", "colour", "noise")
    captcha = params.captcha
    layout = Layout(captcha.height, captcha.width, (captcha.length.min, captcha.length.max),
                    (captcha.scale.min, captcha.scale.max), captcha.rotation, captcha.shear,
                    (captcha.gap.min, captcha.gap.max), captcha.jitter, captcha.fit)
    palette = Palette(params.colour.schemes, params.colour.per == "character", params.colour.contrast)
    doses = Doses(params.noise.types, params.noise.level, params.noise.steps, unseen(params.noise))
    sizes = {split: getattr(captcha, split) for split in SPLITS}
    folding = fold(normalise_alphabet(params.glyphs.alphabet), captcha.fold, captcha.case)
    glyphs, folder = _sources(params)
    if folder is not None:
        folder = _folded(folder, folding)
        sizes = _available(sizes, folder)
    source = f"folder {captcha.path}" if folder else params.glyphs.source
    return Study(params.seed, source, folding, sizes, captcha.part, layout, palette, doses, glyphs, folder)


def _sources(params: Any) -> tuple[GlyphSet | None, LabelledCaptchas | None]:
    glyphs, captcha, rng = params.glyphs, params.captcha, stream(params.seed, "pools")
    if captcha.source == "folder":
        if params.colour.per == "character":
            raise ValueError("colour.per: a captcha folder has no characters to colour apart: set it to captcha")
        return None, load_captchas(captcha.path, alphabet=glyphs.alphabet, height=captcha.height, width=captcha.width,
                                   validation=glyphs.validation, test=glyphs.test, rng=rng)
    return load_glyphs(glyphs.source, glyphs.path, alphabet=glyphs.alphabet, emnist_split=glyphs.emnist_split,
                       validation=glyphs.validation, test=glyphs.test, rng=rng), None


def _folded(folder: LabelledCaptchas, folding: Folding) -> LabelledCaptchas:
    """The captchas with folded labels; those of one label go to the pool of the first, so that none is in two.

    Raises ValueError where that leaves a pool empty.
    """
    texts = [folding.text(text) for text in folder.texts]
    _, first, label = np.unique(texts, return_index=True, return_inverse=True)
    pool = folder.pool[first][label]
    empty = [split for i, split in enumerate(SPLITS) if not (pool == i).any()]
    if empty:
        raise ValueError(f"captcha.fold, captcha.case: {len(first)} distinct label(s) are left and none for "
                         f"{', '.join(empty)}, since the splits share none: add captchas, or fold less")
    return replace(folder, texts=texts, pool=pool)


def _available(sizes: dict[str, int], folder: LabelledCaptchas) -> dict[str, int]:
    """The sizes asked for, cut to what the folder holds; says so where it holds less."""
    held = {split: int((folder.pool == i).sum()) for i, split in enumerate(SPLITS)}
    for split in SPLITS:
        if held[split] < sizes[split]:
            progress(f"{split}: the folder holds {held[split]} captchas, fewer than the {sizes[split]} of "
                     f"captcha.{split}: taking them all")
    return {split: min(sizes[split], held[split]) for split in SPLITS}


def make_all(study: Study) -> None:
    """Make every part of every split, then the glyph table and the metrics."""
    for split in SPLITS:
        for path in (artifacts.CAPTCHAS / split).glob("part-*.parquet"):
            path.unlink()
    jobs = [(split, part) for split in ("test", "train", "validation") for part in range(study.parts(split))]
    started, tallies = time.monotonic(), []
    for done, tally in enumerate(_run_jobs(study, jobs), 1):
        tallies.append(tally)
        if done % max(1, len(jobs) // 20) == 0 or done == len(jobs):
            elapsed = time.monotonic() - started
            progress(f"part {done}/{len(jobs)}, {sum(t.renderings for t in tallies) / elapsed:.0f} captchas/s, "
                     f"{elapsed * (len(jobs) - done) / done:.0f} s left")
    write_glyphs(study.glyphs)
    artifacts.write_metrics(artifacts.METRICS / "generate.json", metrics_of(study, tallies))


def _run_jobs(study: Study, jobs: list[tuple[str, int]]) -> Iterator[Tally]:
    workers = min(worker_count(), len(jobs))
    if workers == 1:
        cv2.setNumThreads(1)
        yield from (make_part(study, split, part) for split, part in jobs)
        return
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(study,)) as pool:
            yield from pool.map(_work, *zip(*jobs, strict=True))
    except BrokenProcessPool:
        raise ValueError("a worker process died (out of memory?): lower captcha.part or CAPTCHA_WORKERS") from None


_study: Study | None = None  # of this worker process


def _start_worker(study: Study) -> None:
    global _study
    die_with_parent()
    cv2.setNumThreads(1)  # the pool has the cores
    _study = study


def _work(split: str, part: int) -> Tally:
    assert _study is not None
    return make_part(_study, split, part)


def make_part(study: Study, split: str, part: int) -> Tally:
    """Make one part of one split and write it."""
    first = part * study.part
    identity = (split, part)
    captcha = np.arange(first, min(first + study.part, study.sizes[split]), dtype=np.int32)
    bases = base_captchas(study, split, captcha, identity)
    render = render_crossed if split == "test" else render_random
    renderings = render(bases, first, study.doses, study.palette, seed=study.seed, identity=identity)
    artifacts.write_captchas(artifacts.part_path(split, part), to_table(study, bases, renderings), part=part,
                             parts=study.parts(split))
    return tally_of(study, split, renderings)


def base_captchas(study: Study, split: str, captcha: NDArray[np.int32], identity: tuple[str, int]) -> Bases:
    if study.folder is not None:
        rows = np.flatnonzero(study.folder.pool == SPLITS.index(split))
        rows = stream(study.seed, split, "order").permutation(rows)[captcha]
        return bases_from_images(captcha, [study.folder.texts[row] for row in rows], study.folder.images[rows])
    assert study.glyphs is not None
    rng = stream(study.seed, *identity, "layout")
    texts = draw_texts(int(captcha[0]), len(captcha), study.folding.drawn, study.layout.length, rng=rng)
    glyphs = draw_glyphs(int(captcha[0]), texts, study.glyphs.pool_of(split),
                         stream=lambda character, number: stream(study.seed, split, "glyphs", character, number))
    bases = compose(captcha, texts, glyphs, study.glyphs.images, study.layout, rng=rng)
    return replace(bases, texts=[study.folding.text(text) for text in texts])


def to_table(study: Study, bases: Bases, renderings: Renderings) -> pa.Table:
    """The captcha table of one part."""
    repeats = len(renderings.condition) // len(bases.captcha)
    colours = renderings.colours
    backgrounds = [hue_saturation(colour) for colour in colours.background]
    foregrounds = [[hue_saturation(colour) for colour in foreground] for foreground in colours.foreground]
    columns: dict[str, Sequence[Any] | NDArray[Any]] = {
        "captcha": np.repeat(bases.captcha, repeats),
        "condition": renderings.condition,
        "text": [text for text in bases.texts for _ in range(repeats)],
        "glyphs": [ids for ids in bases.glyphs for _ in range(repeats)],
        "noise": renderings.noise,
        "level": renderings.level,
        "colour": colours.scheme,
        "foreground": [[hexadecimal(colour) for colour in foreground] for foreground in colours.foreground],
        "background": [hexadecimal(colour) for colour in colours.background],
        "hue": [[hue for hue, _ in pairs] for pairs in foregrounds],
        "saturation": [[saturation for _, saturation in pairs] for pairs in foregrounds],
        "background_hue": [hue for hue, _ in backgrounds],
        "background_saturation": [saturation for _, saturation in backgrounds],
        "contrast": renderings.contrast,
        "rmse": renderings.rmse,
        "ssim": renderings.ssim,
    }
    schema = artifacts.captcha_schema(study.layout.height, study.layout.width,
                                      {"alphabet": study.folding.alphabet, "source": study.source})
    arrays = [artifacts.images_array(renderings.images) if field.name == "image"
              else artifacts.array_of(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def tally_of(study: Study, split: str, renderings: Renderings) -> Tally:
    sums = {}
    noises, strongest = np.array(renderings.noise), np.isclose(renderings.level, study.doses.level)
    for noise in study.doses.types:
        rows = (noises == noise) & strongest
        sums[noise] = (float(renderings.rmse[rows].sum()), float(renderings.ssim[rows].sum()), int(rows.sum()))
    return Tally(split, len(renderings.noise), sums)


def metrics_of(study: Study, tallies: list[Tally]) -> dict[str, float]:
    """Numbers of captchas and renderings, and what the strongest level of each type really did to the test images."""
    metrics: dict[str, float] = {f"captchas_{split}": study.sizes[split] for split in SPLITS}
    for split in SPLITS:
        metrics[f"renderings_{split}"] = sum(tally.renderings for tally in tallies if tally.split == split)
    metrics["conditions"] = len(study.doses.grid())
    for noise in study.doses.types:
        sums = np.array([tally.rmse[noise] for tally in tallies if tally.split == "test"]).sum(axis=0)
        metrics[f"rmse_{noise}"], metrics[f"ssim_{noise}"] = sums[0] / sums[2], sums[1] / sums[2]
    return metrics


def write_glyphs(glyphs: GlyphSet | None) -> None:
    """One row a drawn character, folded or not: its glyphs in each split and their mean; none for captchas found."""
    schema = pa.schema([("label", pa.string()), *((split, pa.int64()) for split in SPLITS), ("mean", pa.binary(784))])
    if glyphs is None:
        table = pa.Table.from_batches([], schema)
    else:
        counts = [artifacts.array_of(column, pa.int64()) for column in glyphs.counts().T]
        labels, means = artifacts.array_of(glyphs.alphabet, pa.string()), artifacts.images_array(glyphs.means())
        table = pa.Table.from_arrays([labels, *counts, means], schema=schema)
    with artifacts.replacing(artifacts.GLYPHS) as temporary:
        pq.write_table(table, temporary)


if __name__ == "__main__":
    run(main)
