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
READ_RIGHT = "read_right"  # a column that is added to the renderings here
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


def _readings_of(study: Study, rows: Rows) -> list[list[str]]:
    """What the report's reader (its first run) read of each rendering.

    Raises ValueError where it has not read one of them.
    """
    own = study.own[study.own[Predictions.captcha] <= study.first[Captchas.captcha].max()]
    own = own.drop_duplicates(RENDERING)
    readings = dict(zip(_keys(own), own[Predictions.reading], strict=True))
    for captcha, condition in (key for _, row in rows for key in _keys(row)):
        if (captcha, condition) not in readings:
            raise ValueError(
                f"data/predictions/{study.runs[study.reader][0]}.parquet has no reading of captcha "
                f"{captcha}, condition {condition}: run `dvc repro -f predict`"
            )
    return [list(map(readings.__getitem__, _keys(row))) for _, row in rows]


def _keys(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """captcha and condition of some renderings."""
    return list(rows[RENDERING].itertuples(index=False, name=None))


def _sheet(study: Study, rows: Rows, columns: Sequence[str]) -> Drawing:
    """A sheet of renderings in named rows, with the reading beneath each."""
    readings = _readings_of(study, rows)
    return draw_sheet(
        [row[Captchas.image].tolist() for _, row in rows],
        [name for name, _ in rows],
        columns,
        readings,
        [
            (row[Captchas.text] == read).tolist()
            for (_, row), read in zip(rows, readings, strict=True)
        ],
    )


def _about_sheet(study: Study, rows: Rows) -> str:
    """How many are read, each rendering counted once."""
    shown = pd.concat([row for _, row in rows])
    right = shown[Captchas.text] == np.concatenate(_readings_of(study, rows))
    shown = shown.assign(**{READ_RIGHT: right}).drop_duplicates(RENDERING)
    noisy = shown.loc[shown[Captchas.level] > 0, READ_RIGHT]
    clean = shown.loc[shown[Captchas.level] == 0, READ_RIGHT]
    text = [
        f"{sum(those)} of these {len(those)} {name} pictures"
        for those, name in ((noisy, "noisy"), (clean, "clean"))
        if len(those) > 1
    ]
    if len(clean) == 1:
        text.append("the clean one" if clean.all() else "not the clean one")
    return f"`{study.reader}` reads {listed(text).replace('and not', 'but not')}."


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


def _about_factors(study: Study) -> str:
    set_apart = [name for name in DESIGNED if name != Predictions.level]
    return about_associations(study.tables["associations"], set_apart)


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
    lambda study: _sheet(study, *_sample_rows(study)),
    lambda study: _about_sheet(study, _sample_rows(study)[0]),
    picture=True,
)
SCHEMES = Figure(
    "schemes",
    "The colour schemes",
    "Clean test captchas of each scheme, with what `{reader}` read.",
    "A sheet of pictures, one row or more per colour scheme.",
    lambda study: _sheet(study, _scheme_rows(study), []),
    lambda study: _about_sheet(study, _scheme_rows(study)),
    picture=True,
)
COUNTS = Figure(
    "counts",
    "Are the texts balanced?",
    "How often each character stands at each position, by split.",
    "One table of shaded counts per split: positions down, characters across.",
    lambda study: draw_counts(study.tables["counts"]),
    lambda study: about_counts(study.tables["counts"]),
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
    lambda study: draw_pixels(study.tables["pixels"]),
    lambda study: about_pixels(study.tables["pixels"]),
    numbers=("figures/pixels",),
)
ASSOCIATIONS = Figure(
    "associations",
    "Are the factors independent?",
    "Strength of association between the factors of the test characters, 0 to 1: |r| of two numbers, the correlation "
    "ratio of a number and a category, Cramér's V of two categories. RMSE and SSIM are measured, not set.",
    "A square of shaded numbers, factors down and across.",
    lambda study: draw_associations(study.tables["associations"]),
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
