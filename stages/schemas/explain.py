"""Schemas of the outputs of `explain`: tables in plots/explain/<part>, a note and arrays in data/explain/<part>.

Each part of the stage (`explain.parts` in params.yaml) has its own folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.schemas.record import Record
from stages.schemas.table import Number, Table, Text, Whole

Texts = NDArray[np.str_]


class SaliencyMeasures(Table):
    """saliency.csv: faithfulness of the saliency maps of each method, by condition."""

    noise = Text("noise type, `none` where clean, or `all` noise types together", key=True)
    level = Number("dose in [0, 1]; missing where noise is `all`", key=True)
    method = Text("how the map is made, or a control that knows nothing of the reader", key=True)
    measure = Text("what is measured of the map", key=True)
    value = Number("mean over characters")
    low = Number("lower end of the interval")
    high = Number("upper end of the interval")
    captchas = Whole("captchas that were measured")
    note = Text("why there is no interval, or empty")


class SaliencyCurves(Table):
    """saliency_curves.csv: the posterior of a character while pixels are removed (deletion) or added (insertion)."""

    renderings = Text("clean or noisy", key=True)
    curve = Text("deletion or insertion", key=True)
    method = Text("how the map is made, or a control", key=True)
    share = Number("share of the pixels that are replaced", key=True)
    value = Number("mean posterior of the character")
    low = Number("lower end of the interval")
    high = Number("upper end of the interval")
    captchas = Whole("captchas that were measured")
    note = Text("why there is no interval, or empty")


class SaliencyRandomised(Table):
    """saliency_randomised.csv: similarity of maps while layers of the reader are randomised (Adebayo et al. 2018)."""

    method = Text("how the map is made", key=True)
    layer = Text("the last layer that was drawn anew")
    layers = Whole("how many layers are drawn anew, from the last one down", key=True)
    measure = Text("`spearman` over the glyph, `whole` over the picture", key=True)
    value = Number("rank correlation with the map of the trained reader")
    low = Number("lower end of the interval")
    high = Number("upper end of the interval")
    captchas = Whole("captchas that were measured")
    note = Text("why there is no interval, or empty")


class SpaceMeasures(Table):
    """separation_<space>.csv: class separation in a feature space, by condition."""

    space = Text("space of features", key=True)
    noise = Text("noise type, `none` where clean", key=True)
    level = Number("dose in [0, 1]", key=True)
    measure = Text("one of `class_separation.MEASURES`", key=True)
    value = Number("the measure")
    low = Number("lower end of the interval")
    high = Number("upper end of the interval")
    points = Whole("characters that were compared")
    clusters = Whole("base captchas or glyphs that they come from")
    note = Text("why there is no interval or no value, or empty")


class SpacePlane(Table):
    """plane_<space>.csv: points in the plane of the first two principal components of the clean ones."""

    space = Text("space of features", key=True)
    noise = Text("noise type, `none` where clean", key=True)
    level = Number("dose in [0, 1]", key=True)
    character = Text("the true character")
    x = Number("coordinate along the first direction", key=True)
    y = Number("coordinate along the second direction", key=True)


class GlyphLosses(Table):
    """losses.csv: the terms of the autoencoder's loss, by condition; nats per glyph."""

    noise = Text("noise type, `none` where clean", key=True)
    level = Number("dose in [0, 1]", key=True)
    reconstruction = Number("mean cross-entropy of the pixels")
    reconstruction_low = Number("lower end of its interval")
    reconstruction_high = Number("upper end of its interval")
    divergence = Number("mean divergence from the prior")
    divergence_low = Number("lower end of its interval")
    divergence_high = Number("upper end of its interval")


class ClassLevels(Table):
    """class_levels.csv: accuracy of each character, by condition."""

    noise = Text("noise type, or `all` together", key=True)
    level = Number("dose in [0, 1]; 0 is clean, once for each type", key=True)
    character = Text("the true character", key=True)
    accuracy = Number("share read right")
    low = Number("lower end of the interval")
    high = Number("upper end of the interval")
    characters = Whole("characters shown")
    captchas = Whole("captchas that show it")
    note = Text("why there is no interval, or empty")


class ClassThresholds(Table):
    """class_thresholds.csv: the level at which the accuracy of a character falls to a target."""

    noise = Text("noise type, or `all` together", key=True)
    character = Text("the true character", key=True)
    accuracy = Number("the target")
    level = Number("the level at which it is reached; infinite where it is not")
    low = Number("lower end of the interval")
    high = Number("upper end of the interval")
    reached = Number("share of the resamples in which the target is reached")
    captchas = Whole("captchas that show it")
    note = Text("why there is no level or no interval, or empty")


class ClassRanking(Table):
    """class_ranking.csv: the characters from the most to the least robust, with the uncertainty of each rank."""

    place = Number("place from 1; missing where too few captchas show the character")
    character = Text("the true character", key=True)
    accuracy = Number("share of noisy renderings read right")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    captchas = Whole("captchas that show it")
    note = Text("why there is no place, or empty")
    clean = Number("share of clean renderings read right")
    clean_low = Number("lower end of its interval")
    clean_high = Number("upper end of its interval")
    lost = Number("clean less noisy share")
    lost_low = Number("lower end of its interval")
    lost_high = Number("upper end of its interval")
    probability = Number("that the character truly has this place")
    first = Number("probability that it is the most robust")
    last = Number("probability that it is the least robust")
    rank_low = Number("lower end of its own rank interval")
    rank_high = Number("upper end of its own rank interval")
    all_low = Number("lower end of the rank interval that holds for all characters at once")
    all_high = Number("upper end of that interval")


class ClassPlaces(Table):
    """class_places.csv: the probability of each true rank of each character."""

    character = Text("the true character", key=True)
    place = Whole("its place in the ranking, from 1")
    rank = Whole("a rank, from 1", key=True)
    probability = Number("that this is its rank")


class ConfusionMatrices(Table):
    """confusion_matrices.csv: the confusion matrix of each noise type; cells that are not empty."""

    noise = Text("noise type, `none` where clean, or `all` together", key=True)
    actual = Text("the true character", key=True)
    read_as = Text("the character read, or `missed`", key=True)
    count = Whole("how often")
    share = Number("share of the true character")


class ConfusionTests(Table):
    """confusion_tests.csv: each confusion that occurred under noise, against its share in clean renderings."""

    noise = Text("noise type, or `all` together", key=True)
    actual = Text("the true character", key=True)
    read_as = Text("the character read, or `missed`", key=True)
    count = Whole("how often")
    captchas = Whole("captchas that show the character, clean and noisy")
    share = Number("share of the true character, under noise")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    times_even = Number(
        "how many times as often as it would be, were the misreadings of the character even"
    )
    clean_share = Number("share of the true character, clean")
    difference = Number("noisy less clean share")
    difference_low = Number("lower end of its interval")
    difference_high = Number("upper end of its interval")
    standard_error = Number("of the difference, clustered by captcha")
    t = Number("difference over its standard error")
    p = Number("two-sided, of no difference")
    p_holm = Number("p adjusted for all tests of the family (Holm 1979)")
    tests = Whole("tests of the family")
    note = Text("why there is no test, or empty")


class ConfusionLevels(Table):
    """confusion_levels.csv: the most frequent confusions, by condition."""

    noise = Text("noise type, or `all` together", key=True)
    level = Number("dose in [0, 1]; 0 is clean", key=True)
    actual = Text("the true character", key=True)
    read_as = Text("the character read", key=True)
    count = Whole("how often")
    share = Number("share of the true character")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    of_errors = Number("share of the errors of the true character")
    note = Text("why there is no interval, or empty")


class CombinationTests(Table):
    """combination_tests.csv: joint tests that neighbours and repetitions have no effect, given the character."""

    term = Text("what surrounds the character: left, right or repeated", key=True)
    F = Number("Wald's statistic over its degrees of freedom")
    df1 = Whole("coefficients that are zero under the null")
    df2 = Whole("clusters less one")
    p = Number("of the joint test")
    p_holm = Number("p adjusted for all terms (Holm 1979)")
    note = Text("why there is no test, or empty")


class CombinationEffects(Table):
    """combination_effects.csv: the coefficients of those tests, against the reference of each term."""

    term = Text("what surrounds the character: left, right or repeated", key=True)
    category = Text("the neighbour, or how the character is repeated", key=True)
    reference = Text("the category that it is compared with")
    effect = Number("change of the share of characters read right")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    p = Number("two-sided, not adjusted")


class Combinations(Table):
    """combinations.csv: the pairs of neighbours and the texts that are read best and worst."""

    kind = Text("pair or text", key=True)
    end = Text("best or worst", key=True)
    place = Whole("place among all combinations of the kind, from 1, the best", key=True)
    combination = Text("the characters")
    captchas = Whole("captchas that show it")
    renderings = Whole("times it was shown")
    accuracy = Number("share of those in which all of its characters were read right")
    low = Number("lower end of the interval")
    high = Number("upper end of the interval")
    expected = Number("the share expected from its characters")
    of = Whole("combinations that were compared")
    note = Text("what the interval holds for, or why there is none; or empty")


class UnseenScores(Table):
    """anomaly.csv: detection of a class that is not in the training data, by method and condition."""

    held_out = Text("the class that was held out", key=True)
    method = Text("the score", key=True)
    noise = Text("noise type, `none` where clean", key=True)
    level = Number("dose in [0, 1]", key=True)
    n_normal = Whole("test glyphs of the other classes")
    n_anomalous = Whole("test glyphs of the class held out")
    auroc = Number("chance that an anomaly scores higher than a normal glyph")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    aupr = Number("average precision")
    tpr_at_5 = Number(
        "share of the anomalies beyond the threshold that 5 % of the normal validation glyphs exceed"
    )
    tpr_low = Number("lower end of its interval")
    tpr_high = Number("upper end of its interval")
    false_alarms = Number("share of the normal test glyphs beyond that threshold")
    note = Text("why there is no interval, or empty")


@dataclass(frozen=True)
class PartNote(Record):
    """data/explain/<part>/note.json: why this study cannot have the part, and what the part wrote."""

    text: str  # empty where the study has the part
    tables: list[str]  # names of its tables, of PARTS
    arrays: bool  # whether there are some


@dataclass(frozen=True, eq=False)
class SaliencyGrid:
    """Maps of one character of one captcha under N noise types (rows) at C levels (columns)."""

    grid_images: NDArray[np.uint8]  # (N, C, H, W, 3), the first column clean
    grid_maps: NDArray[np.float16]  # (N, C, H, W)
    grid_posterior: NDArray[np.float64]  # (N, C) of the character
    grid_read: NDArray[np.bool_]  # (N, C) whether the character was read
    grid_span: NDArray[np.int64]  # (2,) columns of the picture that hold the character
    grid_noises: Texts  # (N,)
    grid_levels: NDArray[np.float64]  # (C,)
    grid_method: str
    grid_character: str


@dataclass(frozen=True, eq=False)
class MeanMaps:
    """The mean map of each of M characters over its mean glyph; M = 0 where there are none."""

    mean_maps: NDArray[np.float32]  # (M, 28, 28)
    mean_glyphs: NDArray[np.float32]  # (M, 28, 28)
    mean_characters: Texts  # (M,)
    mean_counts: NDArray[np.int64]  # (M,)


@dataclass(frozen=True, eq=False)
class SaliencyArrays(MeanMaps, SaliencyGrid):
    """The arrays of the figures of saliency maps."""

    note: str  # what could not be done, or empty


@dataclass(frozen=True, eq=False)
class ReaderSpaceArrays:
    """The arrays of the figure of the reader's features."""

    plane_share: float  # of the clean variance that the plane holds; NaN without a plane


@dataclass(frozen=True, eq=False)
class AutoencoderArrays:
    """Reconstructions of the autoencoders, and the use of their latent space."""

    plane_share_vae: float  # of the clean variance that the plane holds; NaN without a plane
    plane_share_vae_classified: float
    drawings: NDArray[np.uint8]  # (6, n, 28, 28)
    drawings_rows: Texts  # (6,) their names
    active_units: int  # dimensions of the latent space in use
    latent: int  # all of them


@dataclass(frozen=True, eq=False)
class UnseenArrays:
    """The scores of n test glyphs by the best method, for the held-out class that is detected worst."""

    method: str
    label: int  # the class that is held out
    names: Texts  # (A,) the characters
    scores: NDArray[np.float64]  # (n,)
    threshold: float
    glyphs: NDArray[np.uint8]  # (n, 28, 28)
    labels: NDArray[np.int64]  # (n,)


# The part that makes each feature space.
SPACES = {"reader": "reader_space", "vae": "autoencoders", "vae_classified": "autoencoders"}
PARTS: dict[str, dict[str, type[Table]]] = {  # the tables of each part; one may be absent
    "saliency": {"saliency": SaliencyMeasures, "saliency_curves": SaliencyCurves,
                 "saliency_randomised": SaliencyRandomised},
    "reader_space": {"separation_reader": SpaceMeasures, "plane_reader": SpacePlane},
    "characters": {"class_levels": ClassLevels, "class_thresholds": ClassThresholds, "class_ranking": ClassRanking,
                   "class_places": ClassPlaces, "confusion_matrices": ConfusionMatrices,
                   "confusion_tests": ConfusionTests, "confusion_levels": ConfusionLevels,
                   "combination_tests": CombinationTests, "combination_effects": CombinationEffects,
                   "combinations": Combinations},
    "autoencoders": {"separation_vae": SpaceMeasures, "plane_vae": SpacePlane,
                     "separation_vae_classified": SpaceMeasures, "plane_vae_classified": SpacePlane,
                     "losses": GlyphLosses},
    "unseen": {"anomaly": UnseenScores},
}  # fmt: skip
ARRAYS: dict[str, type[Any]] = {
    "saliency": SaliencyArrays,
    "reader_space": ReaderSpaceArrays,
    "autoencoders": AutoencoderArrays,
    "unseen": UnseenArrays,
}
