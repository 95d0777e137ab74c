"""Why reading fails: what a reader looks at, and what noise does to the classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.figures.class_separation_figures import (
    about_noise_on_classes,
    about_separation,
    draw_separation,
)
from stages.figures.explained import NeededTable
from stages.figures.figure import Chapter, Figure
from stages.figures.latent import about_drawings, about_plane, draw_drawings, draw_plane
from stages.figures.saliency_checks import (
    about_curves,
    about_drift,
    about_randomised,
    draw_curves,
    draw_drift,
    draw_randomised,
)
from stages.figures.saliency_maps import (
    about_mean_maps,
    about_saliency,
    draw_mean_maps,
    draw_saliency,
)
from stages.figures.study import Explained
from stages.figures.style import words
from stages.schemas.explain import SPACES, SaliencyArrays, SaliencyMeasures, SpaceMeasures

MAPS_TABLE = NeededTable("saliency", "saliency")
CURVES_TABLE = NeededTable("saliency", "saliency_curves")
LAYERS_TABLE = NeededTable("saliency", "saliency_randomised")
LOSSES = NeededTable("autoencoders", "losses")


def _grid(explained: Explained) -> SaliencyArrays:
    assert explained.saliency is not None  # it is written with the tables
    return explained.saliency


def _drifted(table: pd.DataFrame) -> bool:
    drift = table.loc[table[SaliencyMeasures.measure] == "drift", SaliencyMeasures.value]
    return bool(np.isfinite(drift.to_numpy(float)).any())


def _about_drift(table: pd.DataFrame, explained: Explained) -> str:
    return about_drift(table, _grid(explained).grid_method) if _drifted(table) else ""


def _worst_noise(separation: pd.DataFrame) -> str:
    """The noise that costs most purity at its strongest level: what a plane is drawn of."""
    rows = separation[
        (separation[SpaceMeasures.measure] == "purity") & (separation[SpaceMeasures.level] > 0)
    ]
    strongest = rows[rows[SpaceMeasures.level] == rows[SpaceMeasures.level].max()]
    return str(strongest.loc[strongest[SpaceMeasures.value].idxmin(), SpaceMeasures.noise])


def _about_plane(explained: Explained, space: str) -> str:
    table = explained.tables[f"separation_{space}"]
    noise = _worst_noise(table)
    arrays = explained.reader_space if space == "reader" else explained.autoencoders
    share = getattr(arrays, "plane_share" if space == "reader" else f"plane_share_{space}")
    return (
        f"{about_noise_on_classes(table, space, noise, explained.confidence)} "
        f"{about_plane(table, space, noise, share, explained.confidence)}"
    )


def _separation_figure(space: str, title: str, shows: str) -> Figure:
    """How the classes of a space lie under each noise; a space that is left out says why, but for the last."""
    needed = NeededTable(SPACES[space], f"separation_{space}")
    return Figure(
        needed.table,
        title,
        shows,
        "Small panels, one per noise type, three lines each.",
        needed.draw(lambda table, _: draw_separation(table, space)),
        needed.find(
            lambda table, _: about_separation(table, space), lead=space != "vae_classified"
        ),
        "explained",
        numbers=needed.numbers(),
    )


def _plane_figure(space: str, title: str, shows: str) -> Figure:
    """The points of a space in a plane, under the noise that costs most neighbours."""
    separation = f"separation_{space}"
    needed = NeededTable(SPACES[space], f"plane_{space}")
    return Figure(
        needed.table,
        title,
        shows,
        "Panels of points in a plane, a colour per class.",
        needed.draw(lambda table, found: draw_plane(table, _worst_noise(found.tables[separation]))),
        needed.find(lambda _, found: _about_plane(found, space)),
        "explained",
        numbers=needed.numbers(),
    )


def _draw_drawings(explained: Explained) -> Drawing | None:
    arrays = explained.autoencoders
    if arrays is None:
        return None
    return draw_drawings([words(name) for name in arrays.drawings_rows], list(arrays.drawings))


def _about_drawings(losses: pd.DataFrame, explained: Explained) -> str:
    arrays = explained.autoencoders
    if arrays is None:
        return ""
    return about_drawings(losses, arrays.active_units, arrays.latent, explained.confidence)


MAPS = Figure(
    "saliency",
    "What speaks for one character",
    "The first test captcha under each noise; in colour the saliency map of the character above the bar (integrated "
    "gradients, or masking where a reader has none). Beneath, the probability that `{reader}` gives the character, "
    "with a cross where it reads another.",
    "A sheet of pictures with warm colours over the parts that speak for a character: noise types down, levels across.",
    MAPS_TABLE.draw(lambda _, found: draw_saliency(_grid(found))),
    MAPS_TABLE.find(lambda table, found: about_saliency(table, _grid(found)), lead=True),
    "explained",
    numbers=MAPS_TABLE.numbers(),
    picture=True,
)
MEAN_MAPS = Figure(
    "mean_maps",
    "What it looks at in each character",
    "The mean map of each character over its mean glyph, from clean captchas, with the number of them.",
    "A sheet of pictures, one per character.",
    MAPS_TABLE.draw(lambda _, found: draw_mean_maps(_grid(found))),
    MAPS_TABLE.find(lambda _, found: about_mean_maps(_grid(found)), lead=True),
    "explained",
    picture=True,
)
CURVES = Figure(
    "saliency_curves",
    "Are the maps faithful?",
    "The probability that `{reader}` gives a character while pixels are removed (deletion: a faithful map falls early) "
    "and while they are added (insertion: it rises early), the highest of the map first. Plain ink and random maps "
    "know nothing of the reader. Bands are {interval} intervals over captchas.",
    "Four panels of curves, one curve per method.",
    CURVES_TABLE.draw(lambda table, _: draw_curves(table)),
    CURVES_TABLE.find(lambda _, found: about_curves(found.tables["saliency"])),
    "explained",
    numbers=CURVES_TABLE.numbers("saliency"),
)
DRIFT = Figure(
    "saliency_drift",
    "Do the maps drift?",
    "Rank correlation of each map with the map of the same captcha's clean rendering, by level. Ink drifts, too, and "
    "colours are drawn anew for each rendering: a map that falls no faster than the ink has not moved.",
    "Small panels, one per noise type, one falling line per method.",
    MAPS_TABLE.draw(lambda table, _: draw_drift(table) if _drifted(table) else None),
    MAPS_TABLE.find(_about_drift),
    "explained",
    numbers=MAPS_TABLE.numbers(),
)
RANDOMISED = Figure(
    "saliency_randomised",
    "Do the maps depend on the reader's weights?",
    "Rank correlation of the maps with those of `{reader}` when its layers are drawn anew, from the last one down "
    "(Adebayo et al., 2018): over the glyph, and dotted over the whole picture. A map that stays alike shows the "
    "picture.",
    "One panel, one line per method.",
    LAYERS_TABLE.draw(lambda table, _: draw_randomised(table)),
    LAYERS_TABLE.find(lambda table, _: about_randomised(table)),
    "explained",
    numbers=LAYERS_TABLE.numbers(),
)
SEPARATION = _separation_figure(
    "reader",
    "Classes in the reader",
    "Features of the last layer but one of `{reader}`: the distance between the means of classes and the spread within "
    "a class, both as multiples of the clean ones, and the share of the nearest clean neighbours of the same class, "
    "with {interval} intervals over captchas.",
)
PLANE = _plane_figure(
    "reader",
    "The plane of the reader",
    "Those features in the first two principal directions of the clean ones; a colour a class, a letter at its mean; "
    "under the noise that costs most neighbours.",
)
SEPARATION_VAE = _separation_figure(
    "vae",
    "Classes in a latent space of glyphs",
    "The same in the latent space of a variational autoencoder, which has seen clean glyphs alone and no label.",
)
PLANE_VAE = _plane_figure(
    "vae",
    "The plane of the autoencoder",
    "Test glyphs in the first two principal directions of the clean latent means, under the noise that costs most "
    "neighbours.",
)
SEPARATION_CLASSIFIED = _separation_figure(
    "vae_classified",
    "Classes in a latent space with a classifier",
    "The same of an autoencoder whose latent space also has to separate the classes.",
)
PLANE_CLASSIFIED = _plane_figure("vae_classified", "The plane of that autoencoder", "As above.")
DRAWINGS = Figure(
    "drawings",
    "What the autoencoder draws",
    "Test glyphs, what the autoencoder makes of them, the same glyphs under noise, and draws from the prior of both "
    "autoencoders.",
    "A sheet of small pictures of glyphs in named rows.",
    LOSSES.draw(lambda _, found: _draw_drawings(found)),
    LOSSES.find(_about_drawings),
    "explained",
    numbers=LOSSES.numbers(),
    picture=True,
)

CHAPTER = Chapter(
    "report",
    "why",
    "Why does reading fail?",
    "Two views of `{reader}`: which pixels speak for a character, and whether noise moves the classes together or "
    "spreads each of them out.",
    (MAPS, SEPARATION),
)
SALIENCY = Chapter(
    "details",
    "looks",
    "Can the saliency maps be believed?",
    "Maps are measured against plain ink and against random maps, and against a reader with random weights.",
    (MEAN_MAPS, CURVES, DRIFT, RANDOMISED),
)
CLASSES = Chapter(
    "details",
    "classes",
    "Do the classes merge or spread out?",
    "Accuracy falls where characters become alike: because the classes run into each other, or because each spreads "
    "out. Both are measured, in the features of the reader and in a latent space of glyphs.",
    (PLANE, SEPARATION_VAE, PLANE_VAE, SEPARATION_CLASSIFIED, PLANE_CLASSIFIED, DRAWINGS),
)
