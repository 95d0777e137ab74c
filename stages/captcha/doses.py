"""The physical meaning of each noise's level, in plain words: a summary of the docstrings in `stages.captcha.noise`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RMS_CHANGE = "the RMS change of brightness, full scale 1"

DOSES: Mapping[str, str] = MappingProxyType(
    {  # L is the level
        "gaussian": RMS_CHANGE,
        "gaussian_rgb": RMS_CHANGE,
        "uniform": RMS_CHANGE,
        "salt_and_pepper": RMS_CHANGE,
        "shot": RMS_CHANGE,
        "speckle": RMS_CHANGE,
        "gaussian_blur": "the SD of the blur, 5 L px",
        "motion_blur": "the length of the motion, 24 L px",
        "pixelate": "the side of the blocks, 28^L px",
        "jpeg": "the loss of quality, which is 100^(1−L)",
        "contrast": "the share of the contrast that is lost",
        "brightness": "what is added to the brightness, full scale 1",
        "fog": "the share of fog in every pixel",
        "rotation": "the angle, 60 L degrees",
        "translation": "the shift, 14 L px",
        "zoom": "how far it shrinks, to 1 − 0.9 L",
        "shear": "the slant, 2 L px a row",
        "elastic": "the RMS displacement, 8 L px",
        "occlusion": "the share of the canvas that is covered",
        "lines": "the number of strokes, 20 L on a square",
        "curves": "the number of strikes, 10 L",
        "dots": "the number of dots, 120 L on a square",
        "impulse": "the share of the pixels that turn black or white",
        "gaussian_hit": "the share of the pixels that are hit",
    }
)
EQUAL_ENERGY = tuple(noise for noise, dose in DOSES.items() if dose == RMS_CHANGE)
