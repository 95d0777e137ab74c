"""What the captchas look like, and the data looked at before any effect is believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.captcha.glyphs import SIDE
from stages.captcha.noise import NOISES
from stages.figures.accuracy import RENDERING
from stages.figures.associations import about_associations, draw_associations
from stages.figures.counts import about_counts, about_glyphs, draw_counts, draw_mean_glyphs
from stages.figures.figure import Chapter, Figure, Fold, Words
from stages.figures.numbers import listed
from stages.figures.pixels import about_pixels, draw_pixels
from stages.figures.samples import MOST_COLUMNS, chosen_levels, draw_sheet
from stages.figures.study import DESIGNED, Study
from stages.figures.style import words
from stages.schemas.captchas import Captchas, GlyphCounts, MeanGlyphs
from stages.schemas.predict import Predictions

SPLITS = [GlyphCounts.train, GlyphCounts.validation, GlyphCounts.test]
Rows = list[tuple[str, pd.DataFrame]]  # of a sheet: name, and the renderings in it


def _sample_rows(study: Study) -> tuple[Rows, list[str]]:
    """The first test captcha under every noise, and the names of the columns."""
    shown = study.first[study.first[Captchas.captcha] == study.first[Captchas.captcha].iloc[0]]
    clean = shown[shown[Captchas.level] == 0].head(1)
    levels = chosen_levels(sorted(set(shown[Captchas.level]) - {0.0}))
    noisy = shown[shown[Captchas.level].isin(levels)]
    rows = [
        (
            words(noise),
            pd.concat([clean, noisy[noisy[Captchas.noise] == noise].sort_values(Captchas.level)]),
        )
        for noise in study.noises
    ]
    return rows, ["clean", *(f"level {level:g}" for level in levels)]


def _scheme_rows(study: Study) -> Rows:
    """Some clean captchas of each colour scheme."""
    clean = study.first[study.first[Captchas.level] == 0]
    rows = []
    for scheme in study.params.colour.schemes:
        own = clean[clean[Captchas.colour] == scheme]
        chosen = own.drop_duplicates(Captchas.captcha).head(study.params.plot.samples)
        rows += [
            (words(scheme) if start == 0 else "", chosen[start : start + MOST_COLUMNS])
            for start in range(0, len(chosen), MOST_COLUMNS)
        ]
    return rows


def _readings_of(study: Study, rows: Rows) -> list[list[tuple[str, bool]]]:
    """What the report's reader (its first run) read of each rendering, and whether that is right.

    Raises ValueError where it has not read one of them.
    """
    own = study.own[
        study.own[Predictions.captcha] <= study.first[Captchas.captcha].max()
    ].drop_duplicates(RENDERING)
    renderings = own[RENDERING].itertuples(index=False, name=None)
    readings = dict(zip(renderings, own[Predictions.reading], strict=True))
    found = []
    for _, row in rows:
        keys = list(row[RENDERING].itertuples(index=False, name=None))
        unread = [key for key in keys if key not in readings]
        if unread:
            raise ValueError(
                f"data/predictions/{study.runs[study.reader][0]}.parquet has no reading of captcha "
                f"{unread[0][0]}, condition {unread[0][1]}: run `dvc repro -f predict`"
            )
        texts = zip(keys, row[Captchas.text], strict=True)
        found.append([(readings[key], readings[key] == text) for key, text in texts])
    return found


def _sheet(study: Study, rows: Rows, columns: Sequence[str]) -> Drawing:
    """A sheet of renderings in named rows with what was read beneath."""
    read = _readings_of(study, rows)
    return draw_sheet(
        [row[Captchas.image].tolist() for _, row in rows],
        [name for name, _ in rows],
        columns,
        [[reading for reading, _ in line] for line in read],
        [[good for _, good in line] for line in read],
    )


def _about_sheet(study: Study, rows: Rows) -> str:
    """How many are read, each rendering counted once."""
    read = {}
    for (_, row), line in zip(rows, _readings_of(study, rows), strict=True):
        keys = zip(
            row[Captchas.captcha], row[Captchas.condition], row[Captchas.level] > 0, strict=True
        )
        read.update({key: good for key, (_, good) in zip(keys, line, strict=True)})
    noisy, clean = (
        [good for key, good in read.items() if key[2] == there] for there in (True, False)
    )
    text = [
        f"{sum(those)} of these {len(those)} {name} pictures"
        for those, name in ((noisy, "noisy"), (clean, "clean"))
        if len(those) > 1
    ]
    if len(clean) == 1:
        text.append(f"{'' if clean[0] else 'not '}the clean one")
    return f"`{study.reader}` reads {listed(text).replace('and not', 'but not')}."


def _draw_samples(study: Study) -> Drawing:
    return _sheet(study, *_sample_rows(study))


def _about_samples(study: Study) -> str:
    return _about_sheet(study, _sample_rows(study)[0])


def _draw_schemes(study: Study) -> Drawing:
    return _sheet(study, _scheme_rows(study), [])


def _about_schemes(study: Study) -> str:
    return _about_sheet(study, _scheme_rows(study))


def _draw_glyphs(study: Study) -> Drawing | None:
    means = study.glyphs[MeanGlyphs.mean]
    if not len(means):
        return None
    pictures = np.stack([np.frombuffer(mean, np.uint8).reshape(SIDE, SIDE) for mean in means])
    counts = study.glyphs[SPLITS].sum(axis=1).tolist()
    return draw_mean_glyphs(pictures, study.glyphs[MeanGlyphs.label].tolist(), counts)


def _about_mean_glyphs(study: Study) -> str:
    if not study.composed:
        return "These captchas were found, not composed, so there are no glyphs to lay over each other."
    return about_glyphs(study.glyphs)


def _draw_texts(study: Study) -> Drawing:
    return draw_counts(study.tables["counts"])


def _about_texts(study: Study) -> str:
    return about_counts(study.tables["counts"])


def _draw_changes(study: Study) -> Drawing:
    return draw_pixels(study.tables["pixels"])


def _about_changes(study: Study) -> str:
    return about_pixels(study.tables["pixels"])


def _draw_factors(study: Study) -> Drawing:
    return draw_associations(study.tables["associations"])


def _about_factors(study: Study) -> str:
    return about_associations(
        study.tables["associations"], [name for name in DESIGNED if name != Predictions.level]
    )


def _scales(study: Study) -> Iterator[Fold]:
    """What the level of each noise is."""
    doses: dict[str, list[str]] = {}
    for noise in study.noises:
        doses.setdefault(NOISES[noise].dose, []).append(words(noise))
    text = "; ".join(f"of {listed(noises)} {dose}" for dose, noises in doses.items())
    yield Fold("What is the level of each noise?", [Words([f"The level L is {text}."])])


SAMPLES = Figure(
    "samples",
    "One captcha under every noise",
    "The same text, characters and layout, clean and under a rising dose; colour is drawn anew for each. Beneath each "
    "what `{reader}` read, with a cross where it is wrong.",
    "A sheet of pictures: noise types down, levels across.",
    _draw_samples,
    _about_samples,
    picture=True,
)
SCHEMES = Figure(
    "schemes",
    "The colour schemes",
    "Clean test captchas of each scheme, with what `{reader}` read.",
    "A sheet of pictures, one row or more per colour scheme.",
    _draw_schemes,
    _about_schemes,
    picture=True,
)
COUNTS = Figure(
    "counts",
    "Are the texts balanced?",
    "How often each character stands at each position, by split.",
    "One table of shaded counts per split: positions down, characters across.",
    _draw_texts,
    _about_texts,
    numbers=("figures/counts",),
)
GLYPHS = Figure(
    "glyphs",
    "The mean glyph of each character",
    "All glyphs of a character laid over each other, and how many there are in all splits together.",
    "A row of pictures, one per character.",
    _draw_glyphs,
    _about_mean_glyphs,
    numbers=("figures/glyphs",),
    picture=True,
)
PIXELS = Figure(
    "pixels",
    "What noise does to the pixels",
    "Means over test renderings by noise type and level: luma and its spread within an image (of the first {first} "
    "captchas), and the change of luma and the structural similarity to the clean rendering (of all). Full scale is 1.",
    "Four panels of lines against the level, one line per noise type.",
    _draw_changes,
    _about_changes,
    numbers=("figures/pixels",),
)
ASSOCIATIONS = Figure(
    "associations",
    "Are the factors independent?",
    "Strength of association between the factors of the test characters, 0 to 1: |r| of two numbers, the correlation "
    "ratio of a number and a category, Cramér's V of two categories. RMSE and SSIM are measured, not set.",
    "A square of shaded numbers, factors down and across.",
    _draw_factors,
    _about_factors,
    numbers=("figures/associations",),
)

CHAPTER = Chapter(
    "report",
    "captchas",
    "What do the captchas look like?",
    "Every test captcha is rendered clean and under every noise at every level: only noise and colour differ.",
    (SAMPLES, _scales),
)
DATA = Chapter(
    "details",
    "data",
    "Is the data as it was designed?",
    "Three checks before any effect is believed: the texts are balanced, the pixels change as the level says, and the "
    "factors vary independently.",
    (SCHEMES, COUNTS, GLYPHS, PIXELS, ASSOCIATIONS),
)
