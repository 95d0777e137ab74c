"""Why reading fails: what a reader looks at, and what noise does to the classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from stages.figures import latent, saliency
from stages.figures.figure import Chapter, Figure
from stages.figures.study import Explained
from stages.figures.style import words

PART = {"reader": "reader_space", "vae": "glyph_spaces", "vae_classified": "glyph_spaces"}  # of a space, in the notes
GRID = ("images", "maps", "posterior", "said", "span", "noises", "levels", "method")


def draw_maps(explained: Explained) -> Drawing:
    grid = {name: explained.pictures[f"grid_{name}"] for name in GRID}
    return saliency.draw_saliency(
        list(map(list, grid["images"])), [list(row.astype(np.float32)) for row in grid["maps"]],
        (int(grid["span"][0]), int(grid["span"][1])), grid["noises"].tolist(), grid["levels"].tolist(),
        grid["posterior"].tolist(), grid["said"].tolist())


def about_maps(explained: Explained) -> str:
    return saliency.about_saliency(explained.tables["saliency"], str(explained.pictures["grid_method"]),
                                   str(explained.pictures["saliency_note"]))


def _means(explained: Explained) -> tuple[dict[str, tuple[saliency.Map, saliency.Map]], dict[str, int]]:
    pictures = explained.pictures
    names = pictures["mean_characters"].tolist() if len(pictures.get("mean_characters", ())) else []
    means = dict(zip(names, zip(pictures["mean_maps"], pictures["mean_glyphs"], strict=True), strict=True)) if names \
        else {}
    return means, dict(zip(names, pictures["mean_counts"].tolist(), strict=True)) if names else {}


def draw_mean_maps(explained: Explained) -> Drawing | None:
    means, counts = _means(explained)
    return saliency.draw_mean_maps(means, counts) if means else None


def about_mean_maps(explained: Explained) -> str:
    means, counts = _means(explained)
    return saliency.about_mean_maps(means, counts) if means else ""


def draw_curves(explained: Explained) -> Drawing:
    return saliency.draw_curves(explained.tables["saliency_curves"])


def about_curves(explained: Explained) -> str:
    return saliency.about_curves(explained.tables["saliency"])


def _drifted(explained: Explained) -> bool:
    measures = explained.tables["saliency"]
    return bool(np.isfinite(measures.loc[measures["measure"] == "drift", "value"].to_numpy(float)).any())


def draw_drift(explained: Explained) -> Drawing | None:
    return saliency.draw_drift(explained.tables["saliency"]) if _drifted(explained) else None


def about_drift(explained: Explained) -> str:
    method = str(explained.pictures["grid_method"])
    return saliency.about_drift(explained.tables["saliency"], method) if _drifted(explained) else ""


def draw_randomised(explained: Explained) -> Drawing | None:
    layers = explained.tables.get("saliency_randomised")
    return None if layers is None else saliency.draw_randomised(layers)


def about_randomised(explained: Explained) -> str:
    layers = explained.tables.get("saliency_randomised")
    return "" if layers is None else saliency.about_randomised(layers)


def _draw_separation(explained: Explained, space: str) -> Drawing | None:
    table = explained.tables.get(f"separation_{space}")
    return None if table is None else latent.draw_separation(table, space)


def _about_separation(explained: Explained, space: str) -> str:
    table = explained.tables.get(f"separation_{space}")
    if table is not None:
        return latent.about_separation(table, space)
    if space == "vae_classified":
        return ""
    return f"Left out: {explained.notes.get(PART[space], 'there was nothing to compare')}."


def _worst_noise(separation: pd.DataFrame) -> str:
    """The noise that costs most purity at its strongest level: what a plane is drawn of."""
    rows = separation[(separation["measure"] == "purity") & (separation["level"] > 0)]
    strongest = rows[rows["level"] == rows["level"].max()]
    return str(strongest.loc[strongest["value"].idxmin(), "noise"])


def _draw_plane(explained: Explained, space: str) -> Drawing | None:
    table = explained.tables.get(f"separation_{space}")
    return None if table is None else latent.draw_plane(explained.tables[f"plane_{space}"], _worst_noise(table))


def _about_plane(explained: Explained, space: str) -> str:
    table = explained.tables.get(f"separation_{space}")
    if table is None:
        return ""
    noise, share = _worst_noise(table), float(explained.pictures[f"plane_share_{space}"])
    return (f"{latent.about_noise(table, space, noise, explained.confidence)} "
            f"{latent.about_plane(table, space, noise, share, explained.confidence)}")


def draw_separation_reader(explained: Explained) -> Drawing | None:
    return _draw_separation(explained, "reader")


def about_separation_reader(explained: Explained) -> str:
    return _about_separation(explained, "reader")


def draw_plane_reader(explained: Explained) -> Drawing | None:
    return _draw_plane(explained, "reader")


def about_plane_reader(explained: Explained) -> str:
    return _about_plane(explained, "reader")


def draw_separation_vae(explained: Explained) -> Drawing | None:
    return _draw_separation(explained, "vae")


def about_separation_vae(explained: Explained) -> str:
    return _about_separation(explained, "vae")


def draw_plane_vae(explained: Explained) -> Drawing | None:
    return _draw_plane(explained, "vae")


def about_plane_vae(explained: Explained) -> str:
    return _about_plane(explained, "vae")


def draw_separation_classified(explained: Explained) -> Drawing | None:
    return _draw_separation(explained, "vae_classified")


def about_separation_classified(explained: Explained) -> str:
    return _about_separation(explained, "vae_classified")


def draw_plane_classified(explained: Explained) -> Drawing | None:
    return _draw_plane(explained, "vae_classified")


def about_plane_classified(explained: Explained) -> str:
    return _about_plane(explained, "vae_classified")


def draw_drawings(explained: Explained) -> Drawing | None:
    if "losses" not in explained.tables:
        return None
    rows = dict(zip((words(str(name)) for name in explained.pictures["drawings_rows"]),
                    explained.pictures["drawings"], strict=True))
    return latent.draw_drawings(rows)


def about_drawings(explained: Explained) -> str:
    if "losses" not in explained.tables:
        return ""
    return latent.about_drawings(explained.tables["losses"], int(explained.pictures["active_units"]),
                                 int(explained.pictures["latent"]), explained.confidence)


MAPS = Figure(
    "saliency", "What speaks for one character",
    "The first test captcha under each noise; in colour the saliency map of the character above the bar (integrated "
    "gradients, or masking where a reader has none). Beneath, the probability that `{reader}` gives the character, "
    "with a cross where it reads another.",
    "A sheet of pictures with warm colours over the parts that speak for a character: noise types down, levels across.",
    draw_maps, about_maps, "explained", numbers=("explain/saliency",), picture=True)
MEAN_MAPS = Figure(
    "mean_maps", "What it looks at in each character",
    "The mean map of each character over its mean glyph, from clean captchas, with the number of them.",
    "A sheet of pictures, one per character.", draw_mean_maps, about_mean_maps, "explained", picture=True)
CURVES = Figure(
    "saliency_curves", "Are the maps faithful?",
    "The probability that `{reader}` gives a character while pixels are removed (deletion: a faithful map falls early) "
    "and while they are added (insertion: it rises early), the highest of the map first. Plain ink and random maps "
    "know nothing of the reader. Bands are {interval} intervals over captchas.",
    "Four panels of curves, one curve per method.", draw_curves, about_curves, "explained",
    numbers=("explain/saliency_curves", "explain/saliency"))
DRIFT = Figure(
    "saliency_drift", "Do the maps drift?",
    "Rank correlation of each map with the map of the same captcha's clean rendering, by level. Ink drifts, too, and "
    "colours are drawn anew for each rendering: a map that falls no faster than the ink has not moved.",
    "Small panels, one per noise type, one falling line per method.", draw_drift, about_drift, "explained",
    numbers=("explain/saliency",))
RANDOMISED = Figure(
    "saliency_randomised", "Do the maps depend on the reader's weights?",
    "Rank correlation of the maps with those of `{reader}` when its layers are drawn anew, from the last one down "
    "(Adebayo et al., 2018): over the glyph, and dotted over the whole picture. A map that stays alike shows the "
    "picture.",
    "One panel, one line per method.", draw_randomised, about_randomised, "explained",
    numbers=("explain/saliency_randomised",))
SEPARATION = Figure(
    "separation_reader", "Classes in the reader",
    "Features of the last layer but one of `{reader}`: the distance between the means of classes and the spread within "
    "a class, both as multiples of the clean ones, and the share of the nearest clean neighbours of the same class, "
    "with {interval} intervals over captchas.",
    "Small panels, one per noise type, three lines each.", draw_separation_reader, about_separation_reader, "explained",
    numbers=("explain/separation_reader",))
PLANE = Figure(
    "plane_reader", "The plane of the reader",
    "Those features in the first two principal directions of the clean ones; a colour a class, a letter at its mean; "
    "under the noise that costs most neighbours.",
    "Panels of points in a plane, a colour per class.", draw_plane_reader,
    about_plane_reader, "explained", numbers=("explain/plane_reader",))
SEPARATION_VAE = Figure(
    "separation_vae", "Classes in a latent space of glyphs",
    "The same in the latent space of a variational autoencoder, which has seen clean glyphs alone and no label.",
    "Small panels, one per noise type, three lines each.", draw_separation_vae, about_separation_vae, "explained",
    numbers=("explain/separation_vae",))
PLANE_VAE = Figure(
    "plane_vae", "The plane of the autoencoder",
    "Test glyphs in the first two principal directions of the clean latent means, under the noise that costs most "
    "neighbours.", "Panels of points in a plane, a colour per class.", draw_plane_vae, about_plane_vae, "explained",
    numbers=("explain/plane_vae",))
SEPARATION_CLASSIFIED = Figure(
    "separation_vae_classified", "Classes in a latent space with a classifier",
    "The same of an autoencoder whose latent space also has to separate the classes.",
    "Small panels, one per noise type, three lines each.", draw_separation_classified, about_separation_classified,
    "explained", numbers=("explain/separation_vae_classified",))
PLANE_CLASSIFIED = Figure(
    "plane_vae_classified", "The plane of that autoencoder", "As above.",
    "Panels of points in a plane, a colour per class.", draw_plane_classified, about_plane_classified, "explained",
    numbers=("explain/plane_vae_classified",))
DRAWINGS = Figure(
    "drawings", "What the autoencoder draws",
    "Test glyphs, what the autoencoder makes of them, the same glyphs under noise, and draws from the prior of both "
    "autoencoders.", "A sheet of small pictures of glyphs in named rows.", draw_drawings, about_drawings, "explained",
    numbers=("explain/losses",), picture=True)

CHAPTER = Chapter(
    "report", "why", "Why does reading fail?",
    "Two views of `{reader}`: which pixels speak for a character, and whether noise moves the classes together or "
    "spreads each of them out.", (MAPS, SEPARATION))
LOOKS = Chapter(
    "details", "looks", "Can the saliency maps be believed?",
    "Maps are measured against plain ink and against random maps, and against a reader with random weights.",
    (MEAN_MAPS, CURVES, DRIFT, RANDOMISED))
CLASSES = Chapter(
    "details", "classes", "Do the classes merge or spread out?",
    "Accuracy falls where characters become alike: because the classes run into each other, or because each spreads "
    "out. Both are measured, in the features of the reader and in a latent space of glyphs.",
    (PLANE, SEPARATION_VAE, PLANE_VAE, SEPARATION_CLASSIFIED, PLANE_CLASSIFIED, DRAWINGS))
