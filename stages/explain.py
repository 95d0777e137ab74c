"""Explain one reader, a part at a time.

    saliency      what it looks at: maps of the pixels that speak for a character, and whether they can be believed
    reader_space  where the classes lie in the features of its last layer but one, clean and noisy
    characters    which characters are robust, what is confused, which combinations are read best and worst
    autoencoders  where the classes lie in latent spaces of single glyphs, clean and noisy
    unseen        whether models would notice a class of glyphs that they have never seen

Reads   data/captchas/{validation,test}, data/readers/<explain.reader>, data/predictions/<explain.reader>.parquet, and
        the glyph source where captchas are composed: each part what it needs
Writes  data/explain/<part> (note.json, arrays.npz), plots/explain/<part> (*.csv, summary.json); see schemas/explain.py
Params  seed, glyphs, captcha.source, regression.confidence, explain

`python -m stages.explain <part>`. What this study cannot have (a reader without a network, captchas that were found) is
left out, and note.json says why. A part imports what it needs itself, since torch takes seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages import artifacts
from stages.captcha.design import stream
from stages.command import progress, run
from stages.params import Params, read
from stages.schemas.captchas import Captchas
from stages.schemas.explain import (
    PARTS,
    AutoencoderArrays,
    GlyphLosses,
    PartNote,
    ReaderSpaceArrays,
    SaliencyArrays,
)
from stages.schemas.words import CLEAN
from stages.sources.glyph_sources import load_glyphs

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from stages.captcha.glyphs import GlyphSet
    from stages.insight.rendering_sample import RenderingSample
    from stages.reader.protocol import Reader
    from stages.reader_files import Description

SEEN = 100  # test captchas whose pictures are looked at
REFERENCE = 400  # validation captchas, clean, that the reader's features are scaled by
MOST_LEVELS = 4  # of each noise
GLYPHS = {"train": 6_000, "validation": 2_000, "test": 500}  # at most, of the latent space
UNSEEN = {"train": 20_000, "validation": 4_000, "test": 4_000}  # at most, of the anomaly detection
CONFUSED = 6  # confusions followed through the levels
ENDS = 12  # best and worst combinations
DRAWN = 10  # classes of which a glyph is drawn again
POINTS = 120  # of a plane, under each condition
FOUND = "these captchas were found, not composed, so there are no glyphs"

Dose = tuple[str, float]  # noise and level
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Findings:
    """What a part found; or a note, why it found nothing."""

    tables: Mapping[str, pd.DataFrame] = field(
        default_factory=dict
    )  # plots/explain/<part>/<name>.csv
    numbers: Mapping[str, float] = field(default_factory=dict)  # of summary.json
    arrays: DataclassInstance | None = None  # arrays.npz
    note: str = ""
    made: Mapping[str, str] = field(default_factory=dict)  # how it was made, of summary.json


@dataclass(frozen=True)
class Inputs:
    """The reader, and what it is looked at with; each loaded when a part first asks for it."""

    params: Params

    @property
    def name(self) -> str:
        return str(self.params.explain.reader)

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
    def _loaded(self) -> tuple[Reader, Description]:
        from stages.reader.inference import choose_device
        from stages.reader_files import load_recogniser

        reader, description = load_recogniser(artifacts.READERS / self.name, choose_device("auto"))
        progress(
            f"{self.name} reads in {self.made(reader).get('arithmetic', 'a program of its own')}"
        )
        return reader, description

    @property
    def reader(self) -> Reader:
        return self._loaded[0]

    @property
    def description(self) -> Description:
        return self._loaded[1]

    @staticmethod
    def made(reader: Reader) -> Mapping[str, str]:
        """The arithmetic that a reader reads in."""

        return reader.provenance()

    @cached_property
    def test(self) -> RenderingSample:
        """The renderings of the first SEEN test captchas."""
        return load_renderings("test", SEEN, self.description, self.name)

    @cached_property
    def reference(self) -> RenderingSample:
        """Clean renderings of the validation split."""
        found = load_renderings("validation", REFERENCE, self.description, self.name)
        return found.rows(found.level == 0)

    @cached_property
    def characters(self) -> pd.DataFrame:
        """The prediction table."""
        return artifacts.read_predictions(self.name).to_pandas()

    @cached_property
    def glyphs(self) -> GlyphSet | None:
        """The glyph source; None where captchas are not composed."""
        if self.params.captcha.source != "composed":
            return None
        own = self.params.glyphs
        return load_glyphs(
            own.source,
            own.path,
            alphabet=own.alphabet,
            emnist_split=own.emnist_split,
            validation=own.validation,
            test=own.test,
            rng=stream(self.params.seed, "pools"),
        )

    @cached_property
    def alphabet(self) -> str:
        """Of the test captchas."""
        return artifacts.alphabet_of(
            artifacts.read_captchas(artifacts.parts_of("test")[0], [Captchas.captcha]).schema
        )

    @cached_property
    def doses(self) -> list[Dose]:
        """The conditions of the test split but the clean one, at no more than MOST_LEVELS levels."""
        table = artifacts.read_captchas(
            artifacts.parts_of("test")[0], [Captchas.noise, Captchas.level]
        )
        noises = table[Captchas.noise].to_pylist()
        pairs = list(dict.fromkeys(zip(noises, table[Captchas.level].to_pylist(), strict=True)))
        levels = some(np.unique([level for _, level in pairs if level > 0]), MOST_LEVELS)
        return [(noise, level) for noise, level in pairs if level in levels]

    @property
    def middle(self) -> float:
        """The middle one of the levels."""
        return float(some(np.unique([level for _, level in self.doses]), 2)[0])


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in MAKERS:
        raise ValueError(
            f"python -m stages.explain takes one part, {', '.join(MAKERS)}, got "
            f"{' '.join(sys.argv[1:])!r}"
        )
    explain_part(sys.argv[1], Inputs(read("seed", "glyphs", "captcha", "regression", "explain")))


def explain_part(part: str, inputs: Inputs) -> None:
    started = time.monotonic()
    found = MAKERS[part](inputs)
    write_parts(part, found)
    progress(f"{part}: {found.note or f'{time.monotonic() - started:.1f} s'}")


def load_renderings(
    split: str, count: int, description: Description, reader: str
) -> RenderingSample:
    """The renderings of the first `count` captchas of a split whose text is no longer than those the reader learned."""
    from stages.insight.rendering_sample import RenderingSample
    from stages.reader_files import check_reader

    parts: list[RenderingSample] = []
    for path in artifacts.parts_of(split):
        table = artifacts.read_captchas(path)
        check_reader(
            description,
            artifacts.alphabet_of(table.schema),
            *artifacts.image_size(table.schema, path),
            f"{path} and {artifacts.READERS / reader}",
        )
        texts = table[Captchas.text].to_pylist()
        part = RenderingSample(
            artifacts.images_of(table),
            texts,
            table[Captchas.captcha].to_numpy(),
            np.array(table[Captchas.noise].to_pylist()),
            table[Captchas.level].to_numpy(),
        )
        parts.append(part.rows(np.array([len(text) <= description.positions for text in texts])))
        if sum(len(np.unique(part.captcha)) for part in parts) >= count:
            break
    whole = RenderingSample.joined(parts)
    if not len(whole.texts):
        raise ValueError(
            f"{artifacts.CAPTCHAS / split}: no text has at most {description.positions} characters, as "
            f"{artifacts.READERS / reader} can read: explain another reader"
        )
    return whole.rows(np.isin(whole.captcha, np.unique(whole.captcha)[:count]))


def some(values: NDArray[Scalar], most: int) -> NDArray[Scalar]:
    """At most so many of the values, evenly from all, the last among them."""
    if len(values) <= most:
        return values
    return values[np.arange(1, most + 1) * len(values) // most - 1]


def pool_glyphs(glyphs: GlyphSet, split: str, most: Mapping[str, int]) -> NDArray[np.int64]:
    """The ids of a pool's glyphs, evenly from all of them where they are too many."""
    return some(np.flatnonzero(glyphs.pool == artifacts.SPLITS.index(split)), most[split])


def saliency(inputs: Inputs) -> Findings:
    """Maps of some captchas, clean and at the middle level of each noise, and whether they can be believed."""
    from stages.insight.saliency_sample import (
        SaliencyConfig,
        mean_saliency,
        measured_saliency,
        saliency_grid,
    )

    test = inputs.test
    config = SaliencyConfig(
        inputs.reader,
        inputs.alphabet,
        seed=inputs.number("saliency"),
        confidence=inputs.confidence,
        draws=inputs.draws,
    )
    tables, numbers, note = measured_saliency(
        config, test, inputs.params.explain.captchas, [inputs.middle]
    )
    grid = saliency_grid(config, test, inputs.doses)
    means = mean_saliency(config, test.rows(test.level == 0))
    return Findings(
        tables,
        numbers,
        SaliencyArrays(**vars(grid), **vars(means), note=note),
        made=inputs.made(inputs.reader),
    )


def reader_space(inputs: Inputs) -> Findings:
    """The reader's own features of its last layer but one, clean and noisy."""
    from stages.insight.class_separation import Space
    from stages.insight.features import by_dose, penultimate
    from stages.reader.decoding import encode

    if inputs.reader.gradients is None:
        return Findings(
            note=f"{inputs.description.architecture} is no network: it has no layer whose features could "
            "be compared",
            made=inputs.made(inputs.reader),
        )
    reference = inputs.reference
    test = inputs.test
    known = penultimate(inputs.reader, reference.images, encode(reference.texts, inputs.alphabet))
    wanted = test.rows(np.isin(test.level, [0.0, *(level for _, level in inputs.doses)]))
    new = penultimate(inputs.reader, wanted.images, encode(wanted.texts, inputs.alphabet))
    plain, noisy = by_dose(new, wanted.noise.tolist(), wanted.level, wanted.captcha)
    found, share = measured_space(
        inputs,
        inputs.alphabet,
        lambda: Space(
            "reader",
            known.points,
            known.label - 1,
            plain["points"],
            plain["labels"],
            plain["clusters"],
            noisy,
        ),
    )
    arrays = None if found.note else ReaderSpaceArrays(share)
    return Findings(found.tables, found.numbers, arrays, found.note, inputs.made(inputs.reader))


def measured_space(
    inputs: Inputs, alphabet: str, make: Callable[[], Any]
) -> tuple[Findings, float]:
    """A space measured, and the share of the clean variance that its plane holds."""
    from stages.insight import class_separation

    try:
        space = make()
        table = class_separation.separation(
            space,
            rng=stream(inputs.params.seed, "explain", space.name),
            draws=inputs.draws,
            confidence=inputs.confidence,
        )
    except ValueError as error:  # one class only, or points that do not differ: nothing to compare
        return Findings(note=str(error)), np.nan
    numbers = {
        key: value
        for key, value in class_separation.separation_headlines(table).items()
        if space.name == "reader" or key.endswith("_clean") or "_purity_" in key
    }  # it is about the reader
    tables = {
        f"separation_{space.name}": table,
        f"plane_{space.name}": class_separation.plane_table(space, alphabet, POINTS),
    }
    return Findings(tables, numbers), class_separation.principal_plane(space.reference)[1]


def characters(inputs: Inputs) -> Findings:
    """Each character, what it is read as, and combinations: all that the predictions tell, without the reader."""
    return join_parts([robustness_part(inputs), confusion_part(inputs), combination(inputs)])


def robustness_part(inputs: Inputs) -> Findings:
    """How robust each character is, the level at which half is lost, and their ranking."""
    from stages.insight import character_accuracy

    rows = inputs.characters
    alphabet = inputs.alphabet
    confidence = inputs.confidence
    seed = inputs.number("classes")
    levels = character_accuracy.character_accuracy_by_level(rows, alphabet, confidence=confidence)
    thresholds = character_accuracy.thresholds_by_character(
        rows, alphabet, confidence=confidence, draws=inputs.draws, seed=seed
    )
    order = character_accuracy.ranking(
        rows, alphabet, confidence=confidence, draws=max(1000, inputs.draws), seed=seed
    )
    return Findings(
        {
            "class_levels": levels,
            "class_thresholds": thresholds,
            "class_ranking": order.table,
            "class_places": order.rows(),
        },
        character_accuracy.class_headlines(order, thresholds),
    )


def confusion_part(inputs: Inputs) -> Findings:
    """What is read as what, and which confusions noise makes more frequent."""
    from stages.insight import confusions

    rows = inputs.characters
    alphabet = inputs.alphabet
    confidence = inputs.confidence
    matrices = confusions.confusion_matrices(rows, alphabet)
    tests = confusions.confusion_tests(rows, alphabet, confidence=confidence)
    levels = confusions.confusions_by_level(
        rows, confusions.frequent(tests, CONFUSED), confidence=confidence
    )
    return Findings(
        {"confusion_matrices": matrices, "confusion_tests": tests, "confusion_levels": levels},
        confusions.confusion_headlines(tests, matrices),
    )


def combination(inputs: Inputs) -> Findings:
    """Whether neighbours and repetitions matter, and the best and worst pairs and texts."""
    from stages.insight import combinations

    rows = inputs.characters
    alphabet = inputs.alphabet
    confidence = inputs.confidence
    tests, effects = combinations.combination_tests(rows, alphabet, confidence=confidence)
    ends = combinations.best_and_worst(rows, alphabet, confidence=confidence, count=ENDS)
    return Findings(
        {"combination_tests": tests, "combination_effects": effects, "combinations": ends},
        combinations.combination_headlines(tests, effects, ends),
    )


def autoencoders(inputs: Inputs) -> Findings:
    """Two autoencoders of clean glyphs, one of them with a classifier, and noisy glyphs in their latent spaces."""
    from stages.insight.autoencoder import active_units, fit_autoencoder, latent_means, losses_table
    from stages.insight.class_separation import Space
    from stages.insight.features import render_glyphs
    from stages.insight.vae_samples import vae_samples
    from stages.reader.inference import choose_device

    if inputs.glyphs is None:
        return Findings(note=f"{FOUND} to learn a latent space from")
    images = inputs.glyphs.images
    labels = inputs.glyphs.labels
    alphabet = inputs.glyphs.alphabet
    train, test = (pool_glyphs(inputs.glyphs, split, GLYPHS) for split in ("train", "test"))
    noisy = render_glyphs(
        images[test], inputs.doses, stream=partial(stream, inputs.params.seed, "explain", "glyphs")
    )
    parts = []
    shares = {}
    networks = {}
    for name, known in (("vae", None), ("vae_classified", labels[train])):
        network = networks[name] = fit_autoencoder(
            images[train],
            known,
            latent=inputs.params.explain.latent,
            epochs=inputs.params.explain.epochs,
            seed=inputs.number(name),
            device=choose_device("auto"),
        )
        part, shares[name] = measured_space(
            inputs,
            alphabet,
            partial(
                Space,
                name,
                latent_means(network, images[train]),
                labels[train],
                latent_means(network, images[test]),
                labels[test],
                test,
                {dose: latent_means(network, rendered) for dose, rendered in noisy.items()},
            ),
        )
        parts.append(part)
    losses = losses_table(
        networks["vae"],
        {(CLEAN, 0.0): images[test], **noisy},
        rng=stream(inputs.params.seed, "explain", "losses"),
        draws=inputs.draws,
        confidence=inputs.confidence,
    )
    shown = some(np.unique(labels[test], return_index=True)[1], DRAWN)
    noise, level = inputs.doses[0]
    drawn = vae_samples(
        networks["vae"],
        networks["vae_classified"],
        images[test][shown],
        noisy[noise, level][shown],
        f"{noise} {level:g}",
        seed=inputs.number("prior"),
    )
    active = active_units(latent_means(networks["vae"], images[train]))
    arrays = AutoencoderArrays(
        plane_share_vae=shares["vae"],
        plane_share_vae_classified=shares["vae_classified"],
        drawings=np.stack(list(drawn.values())),
        drawings_rows=np.array(list(drawn)),
        active_units=active,
        latent=inputs.params.explain.latent,
    )
    clean = float(losses[GlyphLosses.reconstruction].iloc[0])
    numbers = {"vae_active_units": active, "vae_reconstruction_clean": clean}
    return join_parts([*parts, Findings({"losses": losses}, numbers, arrays)])


def unseen_part(inputs: Inputs) -> Findings:
    """Each class of the glyphs held out in turn, clean and at the middle level of each noise."""
    from stages.insight import anomaly
    from stages.insight.features import render_glyphs
    from stages.insight.novelty_models import effort_of, noticed_least
    from stages.reader.inference import choose_device

    glyphs = inputs.glyphs
    if glyphs is None:
        return Findings(note=f"{FOUND} to hold a class out of")
    if len(glyphs.alphabet) < 3:
        return Findings(
            note="there are fewer than three characters: one to hold out and two to tell apart"
        )
    pools = {}
    for split in artifacts.SPLITS:
        ids = pool_glyphs(glyphs, split, UNSEEN)
        pools[split] = anomaly.LabelledGlyphs(glyphs.images[ids], glyphs.labels[ids])
    doses = [dose for dose in inputs.doses if dose[1] == inputs.middle]
    noisy = {
        split: render_glyphs(
            pools[split].images,
            doses,
            stream=partial(stream, inputs.params.seed, "explain", "anomaly", split),
        )
        for split in ("validation", "test")
    }
    renderings = [
        anomaly.GlyphRenderings(*dose, noisy["validation"][dose], noisy["test"][dose])
        for dose in doses
    ]
    config = anomaly.NoveltyConfig(
        glyphs.alphabet,
        seed=inputs.number("anomaly"),
        device=choose_device("auto"),
        effort=effort_of(
            len(pools["train"].labels), len(glyphs.alphabet), inputs.params.explain.epochs
        ),
        draws=inputs.draws,
        confidence=inputs.confidence,
    )
    found = anomaly.held_out(
        pools["train"],
        pools["validation"],
        pools["test"],
        config,
        renderings=renderings,
        report=progress,
    )
    numbers = {
        f"anomaly_{name}": value for name, value in anomaly.unseen_headlines(found.rows).items()
    }
    return Findings({"anomaly": found.rows}, numbers, noticed_least(found, pools["test"]))


def join_parts(parts: Sequence[Findings]) -> Findings:
    """Several findings as one; the last one's arrays."""
    return Findings(
        {name: table for part in parts for name, table in part.tables.items()},
        {name: value for part in parts for name, value in part.numbers.items()},
        parts[-1].arrays,
        "; ".join(dict.fromkeys(part.note for part in parts if part.note)),
    )


MAKERS: dict[str, Callable[[Inputs], Findings]] = {
    "saliency": saliency, "reader_space": reader_space, "characters": characters, "autoencoders": autoencoders,
    "unseen": unseen_part,
}  # fmt: skip


def write_parts(part: str, found: Findings) -> None:
    """The tables, the arrays, the note and the summary of a part. What an earlier run left and this one lacks goes."""
    plots = artifacts.PLOTS / "explain" / part
    data = artifacts.EXPLAIN / part
    for path in (*plots.glob("*.csv"), *data.glob("*.npz")):
        path.unlink()
    for name, table in found.tables.items():
        artifacts.write_table(plots / f"{name}.csv", PARTS[part][name], table)
    if found.arrays is not None:
        artifacts.write_arrays(data / "arrays.npz", found.arrays)
    artifacts.write_record(data / "note.json", PartNote(found.note))
    artifacts.write_metrics(plots / "summary.json", {**found.numbers, **found.made})


if __name__ == "__main__":
    run(main)
