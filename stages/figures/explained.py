"""The chapters about why a reader fails: what it looks at, what noise does to the classes, which it confuses, and
whether it would notice a character it has never seen. Drawn from the tables and pictures of the stage explain."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.figures import anomaly, classes, combinations, latent, saliency
from stages.figures.style import words

Drawn = tuple[str, Figure | None, str]  # name, figure, what it found

TEXTS = frozenset({"noise", "method", "measure", "note", "curve", "layer", "space", "character", "actual", "read_as",
                   "side", "neighbour", "pair", "kind", "end", "text", "what", "held_out"})  # fmt: skip
BESIDE = {"saliency_curves": "renderings"}  # a table that has one more column of text
SPACES = {"reader": "reader_space", "vae": "glyph_spaces", "vae_classified": "glyph_spaces"}  # and their part


@dataclass(frozen=True, eq=False)
class Explained:
    """What the stage explain left."""

    tables: Mapping[str, pd.DataFrame]
    pictures: Mapping[str, NDArray[Any]]
    notes: Mapping[str, str]  # part: why it is missing
    alphabet: str
    reader: str
    confidence: float


def parse_table(name: str, text: str) -> pd.DataFrame:
    """A table of plots/explain: a character such as "1" or "NA" stays a text, a number that is not there is NaN."""
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[])
    texts = TEXTS | {BESIDE.get(name, "note")}
    return table.assign(**{column: pd.to_numeric(table[column]) for column in table if column not in texts})


def draw_explained(explained: Explained) -> Iterator[Drawn]:
    """Every figure of the four chapters; of a part that is missing only the first, without a drawing, and why."""
    yield from _looks(explained)
    yield from _spaces(explained)
    yield from _classes(explained)
    yield from _combinations(explained)
    yield from _unseen(explained)


def _looks(explained: Explained) -> Iterator[Drawn]:
    tables, pictures = explained.tables, explained.pictures
    measures, note = tables["saliency"], str(pictures["saliency_note"])
    grid = {name: pictures[f"grid_{name}"] for name in ("images", "maps", "posterior", "said", "span", "noises",
                                                        "levels", "method")}
    figure = saliency.draw_saliency(
        list(map(list, grid["images"])), [list(row.astype(np.float32)) for row in grid["maps"]],
        (int(grid["span"][0]), int(grid["span"][1])), grid["noises"].tolist(), grid["levels"].tolist(),
        grid["posterior"].tolist(), grid["said"].tolist())
    yield "saliency", figure, saliency.about_saliency(measures, note)
    if len(pictures.get("mean_characters", ())):
        names = pictures["mean_characters"].tolist()
        means = dict(zip(names, zip(pictures["mean_maps"], pictures["mean_glyphs"], strict=True), strict=True))
        counts = dict(zip(names, pictures["mean_counts"].tolist(), strict=True))
        yield "mean_maps", saliency.draw_mean_maps(means, counts), saliency.about_mean_maps(means, counts)
    yield "saliency_curves", saliency.draw_curves(tables["saliency_curves"]), saliency.about_curves(measures)
    if np.isfinite(measures.loc[measures["measure"] == "drift", "value"].to_numpy(float)).any():
        yield "saliency_drift", saliency.draw_drift(measures), saliency.about_drift(measures, str(grid["method"]))
    if "saliency_randomised" in tables:
        layers = tables["saliency_randomised"]
        yield "saliency_randomised", saliency.draw_randomised(layers), saliency.about_randomised(layers)


def _spaces(explained: Explained) -> Iterator[Drawn]:
    for space, part in SPACES.items():
        name = f"separation_{space}"
        if name not in explained.tables:
            if space != "vae_classified":
                yield name, None, f"Left out: {explained.notes.get(part, 'there was nothing to compare')}."
            continue
        table = explained.tables[name]
        yield name, latent.draw_separation(table, space), latent.about_separation(table, space)
        noise = telling(table)
        share = float(explained.pictures[f"plane_share_{space}"])
        yield f"plane_{space}", latent.draw_plane(explained.tables[f"plane_{space}"], noise), \
            f"{latent.about_noise(table, space, noise, explained.confidence)} " \
            f"{latent.about_plane(table, space, noise, share)}"
    if "losses" in explained.tables:
        rows = dict(zip((words(str(name)) for name in explained.pictures["drawings_rows"]),
                        explained.pictures["drawings"], strict=True))
        latents = int(explained.pictures["latent"])
        yield "drawings", latent.draw_drawings(rows), latent.about_drawings(
            explained.tables["losses"], int(explained.pictures["active_units"]), latents)


def telling(separation: pd.DataFrame) -> str:
    """The noise that costs most purity at its strongest level: what a plane is drawn of."""
    rows = separation[(separation["measure"] == "purity") & (separation["level"] > 0)]
    strongest = rows[rows["level"] == rows["level"].max()]
    return str(strongest.loc[strongest["value"].idxmin(), "noise"])


def _classes(explained: Explained) -> Iterator[Drawn]:
    tables, confidence = explained.tables, explained.confidence
    order, thresholds, matrices = (tables[name] for name in ("class_ranking", "class_thresholds", "confusion_matrices"))
    tests, levels = tables["confusion_tests"], tables["confusion_levels"]
    yield "class_ranking", classes.draw_ranking(order), classes.about_ranking(order, confidence)
    yield "class_levels", classes.draw_class_levels(tables["class_levels"]), \
        classes.about_class_levels(thresholds, confidence)
    largest = float(tables["class_levels"]["level"].max())
    yield "class_thresholds", classes.draw_class_thresholds(thresholds, list(order["character"]), largest), \
        classes.about_class_thresholds(thresholds, confidence)
    yield "confusions", classes.draw_confusions(matrices, explained.alphabet), classes.about_confusions(matrices)
    yield "top_confusions", classes.draw_top_confusions(levels) if len(levels) else None, \
        classes.about_top_confusions(tests, levels, confidence)


def _combinations(explained: Explained) -> Iterator[Drawn]:
    tables, confidence = explained.tables, explained.confidence
    pairs, spreads, texts = tables["pairs"], tables["spreads"], tables["texts"]
    yield "pairs", combinations.draw_pairs(pairs, explained.alphabet) if pairs["effect"].notna().any() else None, \
        combinations.about_pairs(pairs, spreads, confidence)
    yield "repeated", None, combinations.about_repeated(tables["repeated"], confidence)
    yield "texts", combinations.draw_texts(texts) if texts["shrunk"].notna().any() else None, \
        combinations.about_texts(texts, spreads[spreads["what"] == "text"].iloc[0], confidence)


def _unseen(explained: Explained) -> Iterator[Drawn]:
    rows, pictures = explained.tables.get("anomaly"), explained.pictures
    if rows is None or "anomaly_method" not in pictures:
        yield "unseen", None, f"Left out: {explained.notes.get('anomaly', 'no class had glyphs to test with')}."
        return
    method, label = str(pictures["anomaly_method"]), int(pictures["anomaly_label"])
    scores, labels, threshold = pictures["anomaly_scores"], pictures["anomaly_labels"], \
        float(pictures["anomaly_threshold"])
    names = "".join(pictures["anomaly_names"].tolist())
    yield "unseen", anomaly.draw_detection(rows), \
        f"{anomaly.about_detection(rows)} {anomaly.about_alarms(rows, method)}"
    yield "unseen_noise", anomaly.draw_under_noise(rows, method), anomaly.about_noise(rows, method)
    yield "unseen_scores", anomaly.draw_scores(scores, labels, label, threshold, names[label]), \
        anomaly.about_scores(scores, labels, label, threshold, names[label])
    yield "unseen_glyphs", anomaly.draw_hardest(pictures["anomaly_glyphs"], scores, labels, label, threshold, names), \
        anomaly.about_hardest(scores, labels, label, names)
