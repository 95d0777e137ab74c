"""Microseconds per image of each noise, ours against the nearest transform of albumentations 2.0.8, in one run.

Run from the root: `python -m benchmarks.noise [rounds]`; prints a Markdown table. 40 x 128 x 3 captchas in four colour
schemes at level 0.4, one thread, CPU time, median of the rounds. albumentations gets one image at a time, as its
interface requires, at the same strength. The work is not equal: ours also solves the strength of pixel noises per
image, finds background and ink, and shrinks what would leave the canvas. `-`: albumentations has no such noise.
imagecorruptions 1.1.2 is not compared: it does not import on this NumPy and setuptools (np.float_, pkg_resources).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import albumentations
import cv2
import numpy as np

from stages.captcha.noise import NOISES, Images, apply

HEIGHT = 40
WIDTH = 128
COUNT = 40
LEVEL = 0.4
SCHEMES = (((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (0, 0, 0)), ((70, 70, 70), (190, 190, 190)),
           ((150, 30, 60), (120, 210, 190)))  # fmt: skip


def captchas() -> Images:
    """COUNT captchas of four digits, with the schemes in turn."""
    rng = np.random.default_rng(0)
    images = np.empty((COUNT, HEIGHT, WIDTH, 3), np.uint8)
    for i, image in enumerate(images):
        ink, ground = SCHEMES[i % len(SCHEMES)]
        image[:] = ground
        for k, digit in enumerate(rng.integers(0, 10, 4)):
            cv2.putText(
                image,
                str(digit),
                (8 + 30 * k, 31),
                cv2.FONT_HERSHEY_SIMPLEX,
                1.0,
                ink,
                3,
                cv2.LINE_AA,
            )
    return images


def transforms() -> dict[str, albumentations.BasicTransform]:
    """The transform of albumentations that is nearest to each noise."""
    a = albumentations
    side = 1 / 28**LEVEL
    area = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_NEAREST}
    return {
        "gaussian": a.GaussNoise(std_range=(0.56, 0.56), per_channel=False, p=1),
        "gaussian_rgb": a.GaussNoise(std_range=(0.84, 0.84), per_channel=True, p=1),
        "uniform": a.AdditiveNoise("uniform", "shared", noise_params={"ranges": [(-0.98, 0.98)]}, p=1),
        "salt_and_pepper": a.SaltAndPepper(amount=(0.32, 0.32), salt_vs_pepper=(0.5, 0.5), p=1),
        "shot": a.ShotNoise(scale_range=(0.32, 0.32), p=1),
        "speckle": a.MultiplicativeNoise(multiplier=(0.02, 1.98), elementwise=True, p=1),
        "gaussian_blur": a.GaussianBlur(blur_limit=0, sigma_limit=(5 * LEVEL, 5 * LEVEL), p=1),
        "motion_blur": a.MotionBlur(blur_limit=(11, 11), allow_shifted=False, p=1),
        "pixelate": a.Downscale(scale_range=(side, side), interpolation_pair=area, p=1),
        "jpeg": a.ImageCompression(quality_range=(16, 16), p=1),
        "contrast": a.RandomBrightnessContrast(brightness_limit=(0, 0), contrast_limit=(-LEVEL, -LEVEL), p=1),
        "brightness": a.RandomBrightnessContrast(brightness_limit=(LEVEL, LEVEL), contrast_limit=(0, 0), p=1),
        "fog": a.RandomFog(fog_coef_range=(LEVEL, LEVEL), p=1),
        "rotation": a.Affine(rotate=(-60 * LEVEL, 60 * LEVEL), p=1),
        "translation": a.Affine(translate_px=(-6, 6), p=1),
        "zoom": a.Affine(scale=(1 - 0.9 * LEVEL, 1 - 0.9 * LEVEL), p=1),
        "shear": a.Affine(shear=(-38, 38), p=1),
        "elastic": a.ElasticTransform(alpha=34, sigma=4, p=1),
        "occlusion": a.CoarseDropout(num_holes_range=(25, 25), hole_height_range=(9, 9), hole_width_range=(9, 9),
                                     fill=128, p=1),
        "impulse": a.SaltAndPepper(amount=(LEVEL, LEVEL), salt_vs_pepper=(0.5, 0.5), p=1),
    }  # fmt: skip


def transformed(transform: Any, images: Images) -> list[Any]:
    return [transform(image=image) for image in images]


def microseconds(work: Callable[[], object]) -> float:
    """CPU time per image of one round."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / COUNT * 1e6


def main() -> None:
    cv2.setNumThreads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    images = captchas()
    theirs = transforms()
    print(
        "| noise | ours, µs | albumentations, µs | ratio | its transform |\n|---|--:|--:|--:|---|"
    )
    for name in NOISES:
        transform = theirs.get(name)
        own = []
        other = []
        for i in range(
            rounds + 1
        ):  # the first warms up; by turns, so that a busy machine slows both
            own.append(
                microseconds(partial(apply, name, images, LEVEL, rng=np.random.default_rng(i)))
            )
            if transform is not None:
                other.append(microseconds(partial(transformed, transform, images)))
        mine = statistics.median(own[1:])
        if transform is None:
            print(f"| {name} | {mine:.0f} | - | - | - |")
        else:
            yours = statistics.median(other[1:])
            print(
                f"| {name} | {mine:.0f} | {yours:.0f} | {yours / mine:.1f} | {type(transform).__name__} |"
            )


if __name__ == "__main__":
    main()
