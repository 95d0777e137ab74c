"""Captchas per second: ours, with noise, colour, measures and file on disk, against captcha.image.ImageCaptcha 0.7.1.

Run from the root: `python -m benchmarks.generate [rounds]`. Both draw four digits at 60 x 160 px, ImageCaptcha's
default size. ImageCaptcha writes a PNG file without noise level or label table, ours a Parquet part with all of them.
The ratio uses one process and one thread each; then the whole stage runs with one worker and with one per core.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from captcha.image import ImageCaptcha

from stages.drawing import CaptchaStudy, prepare
from stages.generate import make_part
from stages.params import read

HEIGHT = 60
WIDTH = 160
COUNT = 200


def ours(study: CaptchaStudy, folder: Path) -> float:
    """Captchas per CPU second: one part of the training split."""
    with contextlib.chdir(folder):  # does not overwrite the study's parts
        started = time.process_time()
        tally = make_part(study, "train", 0)
        return tally.renderings / (time.process_time() - started)


def theirs(folder: Path) -> float:
    """Captchas per CPU second of ImageCaptcha, written as PNG."""
    draw = ImageCaptcha(WIDTH, HEIGHT)
    rng = np.random.default_rng(0)
    started = time.process_time()
    for i in range(COUNT):
        draw.write("".join(map(str, rng.integers(0, 10, 4))), str(folder / f"{i}.png"))
    return COUNT / (time.process_time() - started)


def whole_stage(workers: int) -> float:
    """Wall time, s, of the whole generate stage of the default study, in a scratch folder."""
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree("stages", Path(name, "stages"))
        shutil.copy("params.yaml", name)
        environment = {**os.environ, "CAPTCHA_WORKERS": str(workers)}
        started = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "stages.generate"],
            cwd=name,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.monotonic() - started


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    cv2.setNumThreads(1)
    study = prepare(read("seed", "glyphs", "captcha", "colour", "noise"))
    study = replace(
        study,
        captchas_per_part=COUNT // 2,
        layout=replace(study.layout, height=HEIGHT, width=WIDTH),
    )
    with tempfile.TemporaryDirectory() as name:
        pairs = [(ours(study, Path(name)), theirs(Path(name))) for _ in range(rounds)]
    ratio = statistics.median(a / b for a, b in pairs)
    print("| side | captchas per CPU second, one core (median) |\n|---|---|")
    print(f"| ours | {statistics.median(a for a, _ in pairs):.0f} |")
    print(f"| ImageCaptcha 0.7.1 | {statistics.median(b for _, b in pairs):.0f} |")
    print(f"\nratio {ratio:.1f} (median of {rounds} rounds)\n")
    cores = os.cpu_count() or 1
    walls = {
        workers: statistics.median(whole_stage(workers) for _ in range(3)) for workers in (1, cores)
    }
    print("| workers | whole stage, wall s (median of 3) |\n|---|---|")
    for workers, wall in walls.items():
        print(f"| {workers} | {wall:.1f} |")


if __name__ == "__main__":
    main()
