"""Explain one reader: what it looks at, what noise does to the classes, what it confuses, what it would not know.

Reads   data/captchas/{validation,test}, data/readers/<explain.reader>, data/predictions/<explain.reader>.parquet, and
        the glyph source where captchas are composed
Writes  data/explain (pictures.npz, notes.json), plots/explain (*.csv, summary.json)
Params  seed, glyphs, captcha.source, regression.confidence, explain

A part that this study cannot have (a reader without a network, captchas that were found) is left out; notes.json says
which, and why.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages import artifacts
from stages.captcha.design import stream
from stages.captcha.glyphs import GlyphSet
from stages.command import progress, run
from stages.insight import anomaly, classes, combinations, confusions, separation
from stages.insight.autoencoder import active_units, fit_autoencoder, latent_means, losses_table
from stages.insight.drawings import drawings
from stages.insight.features import by_dose, penultimate, render_glyphs
from stages.insight.looks import Looks, Renderings, mean_looks, shown_looks, whole_looks
from stages.insight.unseen import effort_of, noticed_least
from stages.params import Params, read
from stages.reader.decoding import encode
from stages.reader.inference import choose_device
from stages.reader.protocol import Reader
from stages.reader_files import Description, check_reader, load_recogniser
from stages.sources.glyphs import load_glyphs

SEEN = 100            # test captchas whose pictures are looked at
REFERENCE = 400       # validation captchas, clean, that the reader's features are scaled by
MOST_LEVELS = 4       # of each noise
GLYPHS = {"train": 6_000, "validation": 2_000, "test": 500}      # at most, of the latent space
UNSEEN = {"train": 20_000, "validation": 4_000, "test": 4_000}   # at most, of the anomaly detection
CONFUSED, ENDS = 6, 12  # confusions followed through the levels; best and worst texts
DRAWN = 10            # classes of which a glyph is drawn again
POINTS = 120          # of a plane, under each condition


@dataclass(frozen=True)
class Part:
    """What a part of the stage found; or a note, why it found nothing."""

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)      # plots/explain/<name>.csv
    numbers: Mapping[str, float] = field(default_factory=dict)            # of plots/explain/summary.json
    pictures: Mapping[str, NDArray[Any]] = field(default_factory=dict)    # of pictures.npz
    note: str = ""


@dataclass(frozen=True)
class Study:
    """The reader, and what it is looked at with."""

    params: Params
    reader: Reader
    description: Description
    test: Renderings      # of the first SEEN test captchas
    reference: Renderings  # clean, of the validation split
    characters: pd.DataFrame  # the prediction table
    glyphs: GlyphSet | None  # where captchas are composed

    @property
    def alphabet(self) -> str:
        return self.description.alphabet

    @property
    def confidence(self) -> float:
        return float(self.params.regression.confidence)

    @property
    def draws(self) -> int:
        return int(self.params.explain.draws)

    def number(self, *what: str) -> int:
        """A seed for what it names."""
        return int(stream(self.params.seed, "explain", *what).integers(2**31))

    @cached_property
    def doses(self) -> list[tuple[str, float]]:
        """The conditions of the test split but the clean one, at no more than MOST_LEVELS levels."""
        levels = some(np.unique(self.test.level[self.test.level > 0]), MOST_LEVELS)
        pairs = zip(self.test.noise.tolist(), self.test.level.tolist(), strict=True)
        return [(noise, level) for noise, level in dict.fromkeys(pairs) if level in levels]

    @property
    def middle(self) -> float:
        """The middle one of the levels."""
        return float(some(np.unique([level for _, level in self.doses]), 2)[0])

    def pool(self, split: str, most: Mapping[str, int]) -> NDArray[np.int64]:
        """The ids of a pool's glyphs, evenly from all of them where they are too many."""
        assert self.glyphs is not None
        found = np.flatnonzero(self.glyphs.pool == artifacts.SPLITS.index(split))
        return some(found, most[split])


def main() -> None:
    params = read("seed", "glyphs", "captcha", "regression", "explain")
    study = load(params)
    found: dict[str, Part] = {}
    for name, make in PARTS.items():
        started = time.monotonic()
        found[name] = make(study)
        progress(f"{name}: {found[name].note or f'{time.monotonic() - started:.1f} s'}")
    write(found, study.reader.provenance())


def load(params: Params) -> Study:
    """All that is looked at. Raises ValueError, one line, where it is missing or does not fit."""
    name = params.explain.reader
    device = choose_device("auto")
    reader, description = load_recogniser(artifacts.READERS / name, device)
    progress(f"{name} reads in {reader.provenance().get('arithmetic', 'a program of its own')}")
    glyphs = None
    if params.captcha.source == "composed":
        own = params.glyphs
        glyphs = load_glyphs(own.source, own.path, alphabet=own.alphabet, emnist_split=own.emnist_split,
                             validation=own.validation, test=own.test, rng=stream(params.seed, "pools"))
    test = load_renderings("test", SEEN, description, name)
    reference = load_renderings("validation", REFERENCE, description, name)
    characters = artifacts.read_predictions(name).to_pandas()
    progress(f"{name}: {len(test.texts)} test renderings to look at, {len(characters)} characters that were read")
    return Study(params, reader, description, test, reference.rows(reference.level == 0), characters, glyphs)


def load_renderings(split: str, count: int, description: Description, reader: str) -> Renderings:
    """The renderings of the first `count` captchas of a split whose text is no longer than those the reader learned."""
    parts: list[Renderings] = []
    for path in artifacts.parts_of(split):
        table = artifacts.read_captchas(path)
        check_reader(description, artifacts.alphabet_of(table.schema), *artifacts.image_size(table.schema, path),
                     f"{path} and {artifacts.READERS / reader}")
        texts = table["text"].to_pylist()
        part = Renderings(artifacts.images_of(table), texts, table["captcha"].to_numpy(),
                          np.array(table["noise"].to_pylist()), table["level"].to_numpy())
        parts.append(part.rows(np.array([len(text) <= description.positions for text in texts])))
        if sum(len(np.unique(part.captcha)) for part in parts) >= count:
            break
    whole = Renderings.joined(parts)
    if not len(whole.texts):
        raise ValueError(f"{artifacts.CAPTCHAS / split}: no text has at most {description.positions} characters, as "
                         f"{artifacts.READERS / reader} can read: explain another reader")
    return whole.rows(np.isin(whole.captcha, np.unique(whole.captcha)[:count]))


def some(values: NDArray[Any], most: int) -> NDArray[Any]:
    """At most so many of the values, evenly from all, the last among them."""
    if len(values) <= most:
        return values
    return values[np.arange(1, most + 1) * len(values) // most - 1]


def saliency_part(study: Study) -> Part:
    """Maps of some captchas, clean and at the middle level of each noise, and whether they can be believed."""
    looks = Looks(study.reader, study.alphabet, seed=study.number("saliency"), confidence=study.confidence,
                  draws=study.draws)
    tables, numbers, note = whole_looks(looks, study.test, study.params.explain.captchas, [study.middle])
    pictures = shown_looks(looks, study.test, study.doses)
    pictures |= mean_looks(looks, study.test.rows(study.test.level == 0))
    return Part(tables, numbers, {**pictures, "saliency_note": np.array(note)})


def reader_space(study: Study) -> Part:
    """The reader's own features of its last layer but one, clean and noisy."""
    if study.reader.gradients is None:
        return Part(note=f"{study.description.architecture} is no network: it has no layer whose features could be "
                         "compared")
    known = penultimate(study.reader, study.reference.images, encode(study.reference.texts, study.alphabet))
    wanted = study.test.rows(np.isin(study.test.level, [0.0, *(level for _, level in study.doses)]))
    new = penultimate(study.reader, wanted.images, encode(wanted.texts, study.alphabet))
    plain, noisy = by_dose(new, wanted.noise.tolist(), wanted.level, wanted.captcha)
    return space_part(study, "reader", study.alphabet, (known.points, known.label - 1),
                      (plain["points"], plain["labels"], plain["clusters"]), noisy)


def space_part(study: Study, name: str, alphabet: str, known: tuple[Any, Any], new: tuple[Any, Any, Any],
               noisy: Mapping[tuple[str, float], Any]) -> Part:
    """A space measured: known are points and labels of the reference, new those of the test and their clusters."""
    try:
        space = separation.Space(name, *known, *new, noisy)
        table = separation.separation(space, rng=stream(study.params.seed, "explain", name), draws=study.draws,
                                      confidence=study.confidence)
    except ValueError as error:  # one class only, or points that do not differ: nothing to compare
        return Part(note=str(error))
    share = separation.principal_plane(space.reference)[1]
    numbers = {key: value for key, value in separation.headlines(table).items()
               if name == "reader" or key.endswith("_clean") or "_purity_" in key}  # the reader is what it is about
    return Part({f"separation_{name}": table, f"plane_{name}": separation.plane_table(space, alphabet, POINTS)},
                numbers, {f"plane_share_{name}": np.array(share)})


def glyph_spaces(study: Study) -> Part:
    """Two autoencoders of clean glyphs, one of them with a classifier, and noisy glyphs in their latent spaces."""
    if study.glyphs is None:
        return Part(note="these captchas were found, not composed, so there are no glyphs to learn a latent space from")
    images, labels, alphabet = study.glyphs.images, study.glyphs.labels, study.glyphs.alphabet
    train, test = (study.pool(split, GLYPHS) for split in ("train", "test"))
    noisy = render_glyphs(images[test], study.doses, stream=partial(stream, study.params.seed, "explain", "glyphs"))
    parts, networks = [], {}
    for name, known in (("vae", None), ("vae_classified", labels[train])):
        network = networks[name] = fit_autoencoder(
            images[train], known, latent=study.params.explain.latent, epochs=study.params.explain.epochs,
            seed=study.number(name), device=choose_device("auto"))
        parts.append(space_part(
            study, name, alphabet, (latent_means(network, images[train]), labels[train]),
            (latent_means(network, images[test]), labels[test], test),
            {dose: latent_means(network, rendered) for dose, rendered in noisy.items()}))
    glyphs = {("none", 0.0): images[test], **noisy}
    losses = losses_table(networks["vae"], glyphs, rng=stream(study.params.seed, "explain", "losses"),
                          draws=study.draws, confidence=study.confidence)
    merged = joined(parts)
    shown, (noise, level) = some(np.unique(labels[test], return_index=True)[1], DRAWN), study.doses[0]
    drawn = drawings(networks["vae"], networks["vae_classified"], images[test][shown], noisy[noise, level][shown],
                     f"{noise} {level:g}", seed=study.number("prior"))
    active = active_units(latent_means(networks["vae"], images[train]))
    return Part({**merged.tables, "losses": losses},
                {**merged.numbers, "vae_active_units": active,
                 "vae_reconstruction_clean": float(losses["reconstruction"].iloc[0])},
                {**merged.pictures, **drawn, "active_units": np.array(active),
                 "latent": np.array(study.params.explain.latent)}, merged.note)


def classes_part(study: Study) -> Part:
    """How robust each character is, the level at which half is lost, and their ranking."""
    how: dict[str, Any] = {"confidence": study.confidence}
    again = {**how, "draws": study.draws, "seed": study.number("classes")}
    levels = classes.accuracy_by_level(study.characters, study.alphabet, **how)
    thresholds = classes.thresholds_by_character(study.characters, study.alphabet, **again)
    order = classes.ranking(study.characters, study.alphabet, **{**again, "draws": max(1000, study.draws)})
    return Part({"class_levels": levels, "class_thresholds": thresholds, "class_ranking": order.table,
                 "class_places": order.rows()}, classes.headlines(order, thresholds))


def confusions_part(study: Study) -> Part:
    """What is read as what, and which confusions noise makes more frequent."""
    matrices = confusions.confusion_matrices(study.characters, study.alphabet)
    tests = confusions.confusion_tests(study.characters, study.alphabet, confidence=study.confidence)
    levels = confusions.confusions_by_level(study.characters, confusions.frequent(tests, CONFUSED),
                                            confidence=study.confidence)
    return Part({"confusion_matrices": matrices, "confusion_tests": tests, "confusion_levels": levels},
                confusions.headlines(tests, matrices))


def combinations_part(study: Study) -> Part:
    """Neighbours, repeated characters and whole texts, shrunk towards the mean."""
    how: dict[str, Any] = {"confidence": study.confidence, "draws": study.draws, "seed": study.number("combinations")}
    pairs, spreads = [], {}
    for side in combinations.SIDES:
        table, spreads[side] = combinations.neighbour_pairs(study.characters, study.alphabet, side, **how)
        pairs.append(table)
    repeated = combinations.repeated_characters(study.characters, study.alphabet, confidence=study.confidence)
    texts = combinations.whole_texts(study.characters, study.alphabet, **how, count=ENDS)
    spreads["text"] = texts.spread
    return Part({"pairs": pd.concat([table for table in pairs if len(table)] or pairs[:1], ignore_index=True),
                 "repeated": repeated, "texts": texts.table, "spreads": combinations.spreads_table(spreads)},
                combinations.headlines(spreads, repeated, texts))


def anomaly_part(study: Study) -> Part:
    """Each class of the glyphs held out in turn, clean and at the middle level of each noise."""
    if study.glyphs is None:
        return Part(note="these captchas were found, not composed, so there are no glyphs to hold a class out of")
    glyphs = study.glyphs
    if len(glyphs.alphabet) < 3:
        return Part(note="there are fewer than three characters: one to hold out and two to tell apart")
    ids = {split: study.pool(split, UNSEEN) for split in artifacts.SPLITS}
    (train, train_labels), (validation, validation_labels), (test, test_labels) = (
        (glyphs.images[ids[split]], glyphs.labels[ids[split]]) for split in artifacts.SPLITS)
    noisy = {split: render_glyphs(glyphs.images[ids[split]], [dose for dose in study.doses if dose[1] == study.middle],
                                  stream=partial(stream, study.params.seed, "explain", "anomaly", split))
             for split in ("validation", "test")}
    renderings = [anomaly.Rendering(*dose, noisy["validation"][dose], noisy["test"][dose]) for dose in noisy["test"]]
    found = anomaly.held_out(
        train, train_labels, validation, validation_labels, test, test_labels, glyphs.alphabet,
        seed=study.number("anomaly"), device=choose_device("auto"), renderings=renderings,
        effort=effort_of(len(ids["train"]), len(glyphs.alphabet), study.params.explain.epochs), draws=study.draws,
        confidence=study.confidence, report=progress)
    numbers = {f"anomaly_{name}": value for name, value in anomaly.headline(found.rows).items()}
    return Part({"anomaly": found.rows}, numbers, noticed_least(found, test, test_labels))


def joined(parts: Sequence[Part]) -> Part:
    return Part({name: table for part in parts for name, table in part.tables.items()},
                {name: value for part in parts for name, value in part.numbers.items()},
                {name: array for part in parts for name, array in part.pictures.items()},
                "; ".join(dict.fromkeys(part.note for part in parts if part.note)))


PARTS: dict[str, Callable[[Study], Part]] = {
    "classes": classes_part, "confusions": confusions_part, "combinations": combinations_part,
    "saliency": saliency_part, "reader_space": reader_space, "glyph_spaces": glyph_spaces, "anomaly": anomaly_part,
}  # fmt: skip


def write(found: Mapping[str, Part], how: Mapping[str, str]) -> None:
    """The tables, the pictures, the notes and the summary, with `how` they were made.

    Tables of an earlier run that this one lacks go.
    """
    whole = joined(list(found.values()))
    for path in (artifacts.PLOTS / "explain").glob("*.csv"):
        path.unlink()
    for name, table in whole.tables.items():
        text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        artifacts.write_text(artifacts.PLOTS / "explain" / f"{name}.csv", text)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **whole.pictures)  # type: ignore[arg-type]
    artifacts.write_bytes(artifacts.EXPLAIN / "pictures.npz", buffer.getvalue())
    artifacts.write_json(artifacts.EXPLAIN / "notes.json", {name: part.note for name, part in found.items()
                                                            if part.note})
    artifacts.write_metrics(artifacts.PLOTS / "explain" / "summary.json", {**whole.numbers, **how})


if __name__ == "__main__":
    run(main)
