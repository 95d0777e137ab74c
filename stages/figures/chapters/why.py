"""Why reading fails: what a reader looks at, and what noise does to the classes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.figures import latent, saliency_figures
from stages.figures.explained import NeededTable
from stages.figures.figure import Chapter, Figure
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


def _draw_maps(explained: Explained) -> Drawing:
    grid = _grid(explained)
    return saliency_figures.draw_saliency(
        list(map(list, grid.grid_images)),
        [list(row.astype(np.float32)) for row in grid.grid_maps],
        (int(grid.grid_span[0]), int(grid.grid_span[1])),
        grid.grid_noises.tolist(),
        grid.grid_levels.tolist(),
        grid.grid_posterior.tolist(),
        grid.grid_read.tolist(),
    )


def _means(
    explained: Explained,
) -> tuple[dict[str, tuple[saliency_figures.Map, saliency_figures.Map]], dict[str, int]]:
    arrays = _grid(explained)
    names = arrays.mean_characters.tolist()
    maps = zip(arrays.mean_maps, arrays.mean_glyphs, strict=True)
    return dict(zip(names, maps, strict=True)), dict(
        zip(names, arrays.mean_counts.tolist(), strict=True)
    )


def _draw_mean_maps(explained: Explained) -> Drawing | None:
    means, counts = _means(explained)
    return saliency_figures.draw_mean_maps(means, counts) if means else None


def _about_mean_maps(explained: Explained) -> str:
    means, counts = _means(explained)
    return saliency_figures.about_mean_maps(means, counts) if means else ""


def _drifted(explained: Explained) -> bool:
    rows = explained.tables["saliency"]
    drift = rows.loc[rows[SaliencyMeasures.measure] == "drift", SaliencyMeasures.value]
    return bool(np.isfinite(drift.to_numpy(float)).any())


def _draw_drift(explained: Explained) -> Drawing | None:
    return (
        saliency_figures.draw_drift(explained.tables["saliency"]) if _drifted(explained) else None
    )


def _about_drift(explained: Explained) -> str:
    method = _grid(explained).grid_method
    return (
        saliency_figures.about_drift(explained.tables["saliency"], method)
        if _drifted(explained)
        else ""
    )


def _worst_noise(separation: pd.DataFrame) -> str:
    """The noise that costs most purity at its strongest level: what a plane is drawn of."""
    rows = separation[
        (separation[SpaceMeasures.measure] == "purity") & (separation[SpaceMeasures.level] > 0)
    ]
    strongest = rows[rows[SpaceMeasures.level] == rows[SpaceMeasures.level].max()]
    return str(strongest.loc[strongest[SpaceMeasures.value].idxmin(), SpaceMeasures.noise])


def _plane_share(explained: Explained, space: str) -> float:
    arrays = {"reader": explained.reader_space}.get(space, explained.autoencoders)
    return float(getattr(arrays, "plane_share" if space == "reader" else f"plane_share_{space}"))


def _about_plane(explained: Explained, space: str) -> str:
    table = explained.tables[f"separation_{space}"]
    noise = _worst_noise(table)
    share = _plane_share(explained, space)
    return (
        f"{latent.about_noise_on_classes(table, space, noise, explained.confidence)} "
        f"{latent.about_plane(table, space, noise, share, explained.confidence)}"
    )


def _separation_figure(space: str, title: str, shows: str) -> Figure:
    """How the classes of a space lie under each noise; a space that is left out says why, but for the last."""
    needed = NeededTable(SPACES[space], f"separation_{space}")
    return Figure(
        needed.table,
        title,
        shows,
        "Small panels, one per noise type, three lines each.",
        needed.draw(
            lambda explained: latent.draw_separation(explained.tables[needed.table], space)
        ),
        needed.find(
            lambda explained: latent.about_separation(explained.tables[needed.table], space),
            lead=space != "vae_classified",
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
        needed.draw(
            lambda explained: latent.draw_plane(
                explained.tables[needed.table], _worst_noise(explained.tables[separation])
            )
        ),
        needed.find(partial(_about_plane, space=space)),
        "explained",
        numbers=needed.numbers(),
    )


def _draw_drawings(explained: Explained) -> Drawing | None:
    arrays = explained.autoencoders
    if arrays is None:
        return None
    return latent.draw_drawings(
        {
            words(str(name)): drawn
            for name, drawn in zip(arrays.drawings_rows, arrays.drawings, strict=True)
        }
    )


def _about_drawings(explained: Explained) -> str:
    arrays = explained.autoencoders
    if arrays is None:
        return ""
    return latent.about_drawings(
        explained.tables["losses"], arrays.active_units, arrays.latent, explained.confidence
    )


MAPS = Figure(
    "saliency",
    "What speaks for one character",
    "The first test captcha under each noise; in colour the saliency map of the character above the bar (integrated "
    "gradients, or masking where a reader has none). Beneath, the probability that `{reader}` gives the character, "
    "with a cross where it reads another.",
    "A sheet of pictures with warm colours over the parts that speak for a character: noise types down, levels across.",
    MAPS_TABLE.draw(_draw_maps),
    MAPS_TABLE.find(
        lambda explained: saliency_figures.about_saliency(
            explained.tables["saliency"], _grid(explained).grid_method, _grid(explained).note
        ),
        lead=True,
    ),
    "explained",
    numbers=MAPS_TABLE.numbers(),
    picture=True,
)
MEAN_MAPS = Figure(
    "mean_maps",
    "What it looks at in each character",
    "The mean map of each character over its mean glyph, from clean captchas, with the number of them.",
    "A sheet of pictures, one per character.",
    MAPS_TABLE.draw(_draw_mean_maps),
    MAPS_TABLE.find(_about_mean_maps, lead=True),
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
    CURVES_TABLE.draw(
        lambda explained: saliency_figures.draw_curves(explained.tables["saliency_curves"])
    ),
    CURVES_TABLE.find(
        lambda explained: saliency_figures.about_curves(explained.tables["saliency"])
    ),
    "explained",
    numbers=CURVES_TABLE.numbers("saliency"),
)
DRIFT = Figure(
    "saliency_drift",
    "Do the maps drift?",
    "Rank correlation of each map with the map of the same captcha's clean rendering, by level. Ink drifts, too, and "
    "colours are drawn anew for each rendering: a map that falls no faster than the ink has not moved.",
    "Small panels, one per noise type, one falling line per method.",
    MAPS_TABLE.draw(_draw_drift),
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
    LAYERS_TABLE.draw(
        lambda explained: saliency_figures.draw_randomised(explained.tables["saliency_randomised"])
    ),
    LAYERS_TABLE.find(
        lambda explained: saliency_figures.about_randomised(explained.tables["saliency_randomised"])
    ),
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
    LOSSES.draw(_draw_drawings),
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
