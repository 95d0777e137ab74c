"""Draw the rows of regression_rows.csv, on which regression.R computes regression_r.csv.

`python tests/golden/regression_rows.py`: 45 captchas of four characters, clean and under two noises at two levels, with
30 glyphs shared between captchas. Rows of one glyph are correlated, and so are rows of one rendering.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("regression_rows.csv")


def main() -> None:
    rng = np.random.default_rng(2026)
    glyph_effect = rng.normal(0, 0.7, 30)
    conditions = [("none", 0.0), ("fog", 0.3), ("fog", 0.6), ("gaussian", 0.3), ("gaussian", 0.6)]
    lines = []
    for captcha in range(45):
        glyphs = rng.integers(0, 30, 4)
        for noise, level in conditions:
            colour = str(rng.choice(["black", "grey", "red"]))
            shared = rng.normal(0, 0.4)
            for position, glyph in enumerate(glyphs):
                log_odds = (
                    1.3
                    - (4 if noise == "gaussian" else 1.5) * level
                    - 0.4 * (colour == "grey")
                    + glyph_effect[glyph]
                    + shared
                    + 0.3 * (glyph % 3 == 1)
                )
                success = int(rng.random() < 1 / (1 + np.exp(-log_odds)))
                lines.append(
                    [success, noise, level, colour, glyph % 3, position + 1, captcha, glyph]
                )
    with PATH.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["success", "noise", "level", "colour", "digit", "position", "captcha", "glyph"]
        )
        writer.writerows(lines)


if __name__ == "__main__":
    main()
