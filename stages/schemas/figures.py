"""Schemas of the tables behind the figures of `plot`: plots/figures/*.csv."""

from __future__ import annotations

from stages.schemas.captchas import GlyphCounts
from stages.schemas.table import Number, Table, Text, Whole
from stages.schemas.train import Epochs


class OfReader(Table):
    """A table that holds several readers."""

    reader = Text("name of the reader, its training runs pooled", key=True)


class Accuracy(OfReader):
    """accuracy.csv: accuracy of each reader under each noise type and level; level 0 is repeated for every type."""

    noise = Text("noise type", key=True)
    level = Number("dose of the noise, 0 to 1", key=True)
    character_accuracy = Number("share of the characters that are read right")
    character_low = Number("lower end of its interval")
    character_high = Number("upper end of its interval")
    exact_match = Number("share of the captchas that are read whole")
    exact_low = Number("lower end of its interval")
    exact_high = Number("upper end of its interval")
    observations = Whole("characters of renderings")
    clusters = Whole("captchas")


class Shares(Table):
    """The accuracy of a group of characters, over all conditions."""

    accuracy = Number("share of the characters that are read right")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")
    observations = Whole("characters of renderings")
    clusters = Whole("captchas")


class OfCharacter(OfReader):
    """A table with rows per reader and character."""

    character = Text("true character", key=True)


class OfColour(OfReader):
    """A table with rows per reader and colour scheme."""

    colour = Text("colour scheme", key=True)


class CharacterAccuracy(OfCharacter, Shares):
    """characters.csv: accuracy of each reader for each character."""


class ColourAccuracy(OfColour, Shares):
    """colours.csv: accuracy of each reader for each colour scheme."""


class Confusion(OfReader):
    """confusion.csv: the cells of each reader's confusion matrix that are not empty."""

    actual = Text("true character", key=True)
    predicted = Text("character read, or `missed`", key=True)
    count = Whole("characters in the cell")
    share = Number("of the characters that are truly this one")


class Classification(OfReader):
    """classification.csv: precision, recall and F1 by character, and their means; columns that only the means have are
    missing for a character."""

    renderings = Text("`all`, or `clean` ones alone", key=True)
    character = Text("true character, or `macro` for the mean over all of them", key=True)
    precision = Number("share of what is read as this character that is it")
    recall = Number("share of this character that is read right")
    f1 = Number("harmonic mean of the two")
    f1_low = Number("lower end of the interval of the macro F1")
    f1_high = Number("upper end of it")
    accuracy = Number("share of all characters that are read right")
    support = Whole("characters that are truly this one")


class Slopes(OfReader):
    """slopes.csv: the change of character accuracy per tenth of the dose, by reader and noise type."""

    noise = Text("noise type", key=True)
    points = Number("percentage points; a cost where negative")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")


class Effects(OfReader):
    """effects.csv: the change of character accuracy of a category against its reference, all readers pooled."""

    term = Text("factor of the regression", key=True)
    category = Text("category of the factor", key=True)
    label = Text("name of the coefficient")
    points = Number("percentage points; a cost where negative")
    low = Number("lower end of its interval")
    high = Number("upper end of its interval")


class OfRun(Table):
    """A table that holds several training runs."""

    reader = Text("name of the training run", key=True)


class Learning(OfRun, Epochs):
    """learning.csv: the learning curve of every training run."""


class Reliability(OfReader):
    """reliability.csv: accuracy against confidence, in bins of equally many characters that were read."""

    confidence = Number("mean confidence of the bin, 0 to 1", key=True)
    accuracy = Number("share of the characters that are read right")
    characters = Whole("characters in the bin")


class Calibration(OfReader):
    """calibration.csv: calibration of the confidences of characters that were read, by noise type and level."""

    noise = Text("noise type, `none` where clean", key=True)
    level = Number("dose of the noise, 0 to 1; 0 where clean", key=True)
    characters = Whole("characters that were read")
    accuracy = Number("share of them that are read right")
    confidence = Number("their mean confidence")
    calibration_error = Number(
        "expected calibration error: mean distance of accuracy from confidence over bins"
    )
    debiased = Number(
        "root mean squared calibration error, without the share that is due to chance"
    )
    brier_score = Number("mean squared distance of confidence from success")


class Counts(Table):
    """counts.csv: the number of captchas with a character at a position."""

    split = Text("train or test", key=True)
    character = Text("true character", key=True)
    position = Whole("place in the text, from 1", key=True)
    count = Whole("captchas")


class PixelChanges(Table):
    """pixels.csv: means over renderings, by noise type and level; level 0 is repeated for every type."""

    noise = Text("noise type", key=True)
    level = Number("dose of the noise, 0 to 1", key=True)
    luma_mean = Number("mean luma, full scale = 1")
    luma_sd = Number("standard deviation of luma within an image")
    rmse = Number("root mean squared change of luma from the clean rendering")
    ssim = Number("structural similarity to the clean rendering")


class Associations(Table):
    """associations.csv: how strongly two factors of the test characters are associated."""

    a = Text("a factor", key=True)
    b = Text("another, or the same", key=True)
    measure = Text("r of two numbers, eta of a category and a number, V (Cramér) of two categories")
    strength = Number("0 to 1")


# By the name of the file in plots/figures, without its suffix.
FIGURE_TABLES: dict[str, type[Table]] = {
    "accuracy": Accuracy,
    "characters": CharacterAccuracy,
    "colours": ColourAccuracy,
    "confusion": Confusion,
    "classification": Classification,
    "slopes": Slopes,
    "effects": Effects,
    "learning": Learning,
    "reliability": Reliability,
    "calibration": Calibration,
    "counts": Counts,
    "glyphs": GlyphCounts,
    "pixels": PixelChanges,
    "associations": Associations,
}
