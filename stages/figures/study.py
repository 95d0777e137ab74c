"""The artifacts of the earlier stages as the figures take them: tables in memory, and those computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from stages.figures.accuracy import RENDERING, accuracy_by, reader_accuracy_by_level
from stages.figures.associations import associations
from stages.figures.classification_figures import classification_table
from stages.figures.coefficients import dose_slopes, factor_rows
from stages.figures.confusion import confusion_table
from stages.figures.counts import count_characters
from stages.figures.figure import ReportTable
from stages.figures.numbers import TRAINED_ON
from stages.figures.pixels import pixels_by_level
from stages.figures.reader_table import Described
from stages.figures.regression_tables import NUMBER_WORDS, Regressed
from stages.figures.reliability import calibration, reliability
from stages.params import Params
from stages.schemas.captchas import Captchas, GlyphCounts, Measures
from stages.schemas.explain import (
    AutoencoderArrays,
    ReaderSpaceArrays,
    SaliencyArrays,
    UnseenArrays,
)
from stages.schemas.figures import CharacterAccuracy, ColourAccuracy
from stages.schemas.predict import PredictionDetails, PredictionMetrics, Predictions
from stages.schemas.regress import Coefficients
from stages.schemas.train import TrainingRecord
from stages.statistics.calibration import calibration_by_group, reliability_curve

CHARACTER = CharacterAccuracy.character  # the true character, Predictions.truth, in what is drawn
DESIGNED = [
    Predictions.noise,
    Predictions.level,
    Predictions.colour,
    CHARACTER,
    Predictions.position,
]  # level goes with noise, since clean is level 0


@dataclass(frozen=True, eq=False)
class Explained:
    """The artifacts of the stage explain; arrays are None where the part is left out."""

    tables: Mapping[str, pd.DataFrame]
    notes: Mapping[str, str]  # part: why it is left out
    alphabet: str
    reader: str
    confidence: float
    noises: tuple[str, ...]
    saliency: SaliencyArrays | None = None
    reader_space: ReaderSpaceArrays | None = None
    autoencoders: AutoencoderArrays | None = None
    unseen: UnseenArrays | None = None

    @property
    def words(self) -> dict[str, str]:
        """What the fixed texts of a figure may hold."""
        return {"interval": f"{100 * self.confidence:g} %", "reader": self.reader}


@dataclass(frozen=True)
class Study:
    """The artifacts of the earlier stages. A reader with several training runs is pooled: its observations are those of
    all of its runs, whose conditions are numbered on, so that captcha, condition and position remain a key."""

    params: Params
    alphabet: str
    runs: Mapping[str, Sequence[str]]  # the entries of `readers` that are runs of each reader
    observations: Mapping[str, pd.DataFrame]  # by reader, see figures.accuracy
    measured: pd.DataFrame  # contrast, rmse and ssim of the rows of the report's reader
    # renderings of the first test part, with `image` (H, W, 3), luma_mean and luma_sd
    first: pd.DataFrame
    texts: Mapping[str, list[str]]  # of the captchas, by split
    glyphs: pd.DataFrame  # label, count by split, mean; no rows for a captcha folder
    regressed: Regressed
    learning: pd.DataFrame  # of every run
    trained: Mapping[str, TrainingRecord]  # of every run
    metrics: Mapping[str, PredictionMetrics]  # of every run
    details: Mapping[str, PredictionDetails]  # of every run
    explained: Explained
    regression_table: ReportTable

    @property
    def reader(self) -> str:
        """The reader of the headline: plot.reader, or the reader that this is a run of."""
        return next(
            name for name, entries in self.runs.items() if self.params.plot.reader in entries
        )

    @property
    def confidence(self) -> float:
        return float(self.params.regression.confidence)

    @property
    def noises(self) -> tuple[str, ...]:
        """The noise types in the order of params.yaml, which every figure but the ranked ones keeps."""
        return tuple(self.params.noise.types)

    @property
    def composed(self) -> bool:
        """Whether the captchas were composed of glyphs that are known."""
        return len(self.glyphs) > 0

    @property
    def own(self) -> pd.DataFrame:
        return self.observations[self.reader]

    @property
    def learned(self) -> str:
        """What the report's reader was trained on, in words."""
        return TRAINED_ON[self.params.readers[self.reader].train_on].removesuffix(" only")

    @property
    def words(self) -> dict[str, str]:
        """What the fixed texts of a figure may hold."""
        return {
            "interval": f"{100 * self.confidence:g} %",
            "reader": self.reader,
            "first": f"{self.first[Captchas.captcha].nunique():,}",
            "dose": NUMBER_WORDS[self.regressed.dose],
            "cluster": self.regressed.cluster,
            "centred": self._centred,
        }

    @property
    def _centred(self) -> str:
        """What the noise coefficients are, where the dose is centred."""
        formula = self.params.regression.specifications.get(self.params.regression.headline, "")
        if "center(" not in str(formula) or "noise" not in self.regressed.headline.terms:
            return ""
        return (
            f" Because the {NUMBER_WORDS[self.regressed.dose]} is centred, the coefficient of a noise is its average "
            "cost with a minus sign."
        )

    def guess_rate(self, measure: str) -> float:
        """What blind guessing gets, of characters or of whole captchas (of known length)."""
        if measure == "character":
            return 1 / len(self.alphabet)
        shares = [len(self.alphabet) ** -float(len(text)) for text in self.texts["test"]]
        return float(sum(shares) / len(shares))

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All that is counted here; each becomes a CSV of this name."""
        observations = self.observations
        confidence = self.confidence
        renamed = {
            name: rows.rename(columns={Predictions.truth: CHARACTER})
            for name, rows in observations.items()
        }
        own = renamed[self.reader].iloc[: len(self.measured)].join(self.measured)
        coefficients = self.regressed.tables[Coefficients]
        return {
            "accuracy": reader_accuracy_by_level(observations, self.noises, confidence),
            "characters": accuracy_by(
                CharacterAccuracy.character, renamed, self.alphabet, confidence
            ),
            "colours": accuracy_by(
                ColourAccuracy.colour, observations, self.params.colour.schemes, confidence
            ),
            "confusion": confusion_table(observations, self.alphabet),
            "classification": classification_table(observations, self.alphabet, confidence),
            "slopes": dose_slopes(
                coefficients, list(observations), self.regressed.by_reader, self.regressed.dose
            ),
            "effects": factor_rows(coefficients, self.regressed.fits.headline),
            "learning": self.learning,
            "reliability": reliability(observations, reliability_curve),
            "calibration": calibration(observations, calibration_by_group),
            "counts": count_characters(self.texts, self.alphabet),
            "glyphs": self.glyphs[GlyphCounts.names()],
            "pixels": pixels_by_level(self.first, own.drop_duplicates(RENDERING), self.noises),
            "associations": associations(own[[*DESIGNED, *Measures.names()]]),
        }


def pool_runs(
    runs: Mapping[str, Sequence[str]], entries: Mapping[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """The observations of every reader: those of its runs below each other, with conditions numbered on from run to
    run (captcha, condition and position stay a key, and the first run keeps its numbers)."""
    pooled = {}
    for reader, names in runs.items():
        first = entries[names[0]]
        step = int(first[Predictions.condition].max()) + 1
        tables = [_renumbered(entries[name], step * number) for number, name in enumerate(names)]
        pooled[reader] = pd.concat(tables, ignore_index=True) if len(names) > 1 else first
    return pooled


def _renumbered(rows: pd.DataFrame, more: int) -> pd.DataFrame:
    """Observations whose conditions are numbered from `more` on."""
    return rows.assign(**{Predictions.condition: rows[Predictions.condition].astype(int) + more})


def described(study: Study) -> dict[str, Described]:
    """Every training run, as params.yaml and the records of train and predict describe it."""
    return {
        name: Described(
            reader.architecture,
            reader.train_on,
            reader.denoise,
            study.trained[name],
            study.metrics[name],
            study.details[name],
        )
        for name, reader in study.params.readers.items()
    }
