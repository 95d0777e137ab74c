"""What the parts of the explain stage read: the reader, renderings, predictions and glyphs.

Torch takes seconds to import, and not every part needs the reader: what needs it is imported where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages import artifacts
from stages.captcha.design import stream
from stages.command import progress
from stages.insight.rendering_sample import RenderingSample
from stages.params import Params
from stages.schemas.captchas import Captchas
from stages.sources.glyph_sources import load_glyphs

if TYPE_CHECKING:
    from stages.captcha.glyphs import GlyphSet
    from stages.reader.protocol import Reader
    from stages.reader_files import Description

TEST_CAPTCHAS = 100  # that are explained
REFERENCE_CAPTCHAS = 400  # of the validation split, clean: the reader's features are scaled by them
MOST_LEVELS = 4  # of each noise
NO_GLYPHS = "these captchas were found, not composed, so there are no glyphs"

Dose = tuple[str, float]  # noise and level


@dataclass(frozen=True)
class Inputs:
    """The inputs of a study, each loaded when a part first asks for it."""

    params: Params

    @property
    def reader_name(self) -> str:
        return self.params.explain.reader

    @property
    def confidence(self) -> float:
        return self.params.regression.confidence

    @property
    def draws(self) -> int:
        return self.params.explain.draws

    def rng(self, *what: str) -> np.random.Generator:
        """The random numbers of what is named."""
        return stream(self.params.seed, "explain", *what)

    def seed(self, *what: str) -> int:
        """A seed for what is named."""
        return int(self.rng(*what).integers(2**31))

    @cached_property
    def _loaded(self) -> tuple[Reader, Description]:
        from stages.reader.inference import choose_device
        from stages.reader_files import load_recogniser

        folder = artifacts.READERS / self.reader_name
        reader, description = load_recogniser(folder, choose_device("auto"))
        arithmetic = reader.provenance().get("arithmetic", "a program of its own")
        progress(f"{self.reader_name} reads in {arithmetic}")
        return reader, description

    @property
    def reader(self) -> Reader:
        return self._loaded[0]

    @property
    def description(self) -> Description:
        return self._loaded[1]

    @cached_property
    def test(self) -> RenderingSample:
        """The renderings of the first TEST_CAPTCHAS test captchas."""
        return load_renderings("test", TEST_CAPTCHAS, self.description, self.reader_name)

    @cached_property
    def reference(self) -> RenderingSample:
        """Clean renderings of the validation split."""
        found = load_renderings(
            "validation", REFERENCE_CAPTCHAS, self.description, self.reader_name
        )
        return found.rows(found.level == 0)

    @cached_property
    def characters(self) -> pd.DataFrame:
        """The prediction table."""
        return artifacts.read_predictions(self.reader_name).to_pandas()

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
        """The alphabet of the test captchas."""
        path = artifacts.parts_of("test")[0]
        return artifacts.alphabet_of(artifacts.read_captchas(path, [Captchas.captcha]).schema)

    @cached_property
    def doses(self) -> list[Dose]:
        """The noisy conditions of the test split, at no more than MOST_LEVELS levels."""
        path = artifacts.parts_of("test")[0]
        table = artifacts.read_captchas(path, [Captchas.noise, Captchas.level])
        pairs = zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
        doses = [(noise, level) for noise, level in dict.fromkeys(pairs) if level > 0]
        levels = evenly_spaced(np.unique([level for _, level in doses]), MOST_LEVELS)
        return [dose for dose in doses if dose[1] in levels]

    @property
    def middle_level(self) -> float:
        return float(evenly_spaced(np.unique([level for _, level in self.doses]), 2)[0])


def load_renderings(
    split: str, count: int, description: Description, reader: str
) -> RenderingSample:
    """The renderings of the first `count` captchas of a split whose text the reader can read.

    Raises ValueError where the reader does not fit the captchas, or every text is too long for it.
    """
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
        part = RenderingSample(
            artifacts.images_of(table),
            table[Captchas.text].to_pylist(),
            table[Captchas.captcha].to_numpy(),
            np.array(table[Captchas.noise].to_pylist()),
            table[Captchas.level].to_numpy(),
        )
        parts.append(part.rows(part.lengths <= description.positions))
        if sum(len(np.unique(part.captcha)) for part in parts) >= count:
            break
    whole = RenderingSample.joined(parts)
    if not len(whole.texts):
        raise ValueError(
            f"{artifacts.CAPTCHAS / split}: no text has at most {description.positions} characters, as "
            f"{artifacts.READERS / reader} can read: explain another reader"
        )
    return whole.rows(np.isin(whole.captcha, np.unique(whole.captcha)[:count]))


def evenly_spaced(values: NDArray[Any], most: int) -> NDArray[Any]:
    """At most `most` of the values, evenly from all, the last among them."""
    if len(values) <= most:
        return values
    return values[np.arange(1, most + 1) * len(values) // most - 1]


def pool_glyphs(glyphs: GlyphSet, split: str, most: int) -> NDArray[np.int64]:
    """The ids of at most `most` glyphs of a split's pool, evenly from all of them."""
    return evenly_spaced(np.flatnonzero(glyphs.pool == artifacts.SPLITS.index(split)), most)
