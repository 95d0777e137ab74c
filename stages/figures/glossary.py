"""The words of the report: each term, what it means, and the forms in which a text says it."""

from __future__ import annotations

import re

GLOSSARY: dict[str, tuple[str, tuple[str, ...]]] = {  # term: its meaning, and its forms
    "Captcha, rendering": (
        "A captcha is a text with its glyphs and their layout. A rendering is that captcha under one noise type and "
        "level, in one colour.", ("rendering", "renderings")),
    "Glyph": ("One handwritten or printed character, 28 × 28 px. Training and test use different glyphs.",
              ("glyph", "glyphs")),
    "Level": ("The dose of a noise, from 0 (none) to 1 (the end of its scale). Each noise has a scale of its own.",
              ("level", "levels")),
    "Reader": ("The network, or other program, that turns an image into a text.", ("reader", "readers")),
    "Training run": ("One training of a reader. Another run, alike but for its random seed, gives another network.",
                     ("training run", "training runs")),
    "Character accuracy": ("The share of the characters read right. A missed character counts as wrong.",
                           ("character accuracy",)),
    "Exact match": ("The share of the captchas with every character right: what opens the door.",
                    ("exact match", "read whole", "reads whole")),
    "Average cost": ("Character accuracy on clean captchas less the mean over the tested levels of a noise.",
                     ("average cost", "average costs")),
    "Threshold": ("The level at which the share of the captchas read whole falls to a given one; between two tested "
                  "levels by a monotone curve through the observed shares.",
                  ("threshold", "thresholds")),
    "Area under the curve": ("The mean exact match from level 0 to the strongest, by trapezoids.",
                             ("area under the curve",)),
    "Percentage point": ("The difference of two percentages. From 90 % to 87 % is 3 percentage points.",
                         ("percentage point", "percentage points", "points")),
    "Interval": ("A range made by a rule that would hold the true value in {interval} of repetitions with other "
                 "captchas of other glyphs of the same source, read by the same trained reader. Where it holds for "
                 "other training runs as well, the text says so.", ("interval", "intervals")),
    "Simultaneous interval": ("An interval of a whole family: all of them hold at once in {interval} of repetitions.",
                              ("simultaneous interval", "simultaneous intervals")),
    "Standard error": ("The standard deviation of an estimate over such repetitions.",
                       ("standard error", "standard errors")),
    "SD between runs": ("The standard deviation of a number over training runs of one reader.",
                        ("SD between runs", "SD over")),
    "Smallest detectable difference": ("The difference that would have been found with a probability of 80 %.",
                                       ("smallest detectable difference", "would have been found")),
    "Equivalence bound": ("The bound b for which the 90 % interval of a difference lies within ±b: larger differences "
                          "are excluded.", ("equivalence bound", "equivalent")),
    "Cluster": ("Rows that share a captcha or a glyph, and so are not independent. Treating them as independent would "
                "make the intervals too narrow.", ("cluster", "clusters", "clustered")),
    "Linear probability model": ("A least-squares regression whose outcome is 1 where a character was read right and 0 "
                                 "where not.", ("linear probability model", "linear model")),
    "Dose slope": ("How many percentage points of character accuracy a given rise of the level costs, by a straight "
                   "line through the tested levels.", ("dose slope", "dose slopes", "slope", "slopes")),
    "Reference category": ("What an effect is compared with, such as black on white for the colours.",
                           ("reference category", "reference categories")),
    "Joint test": ("An F test that all coefficients of a factor are zero. A small p says that the factor has an "
                   "effect, not that the effect is large.", ("joint test", "joint tests", "F test")),
    "Holm's adjustment": ("Keeps the chance of one false finding among all tests at that of a single test.",
                          ("Holm's adjustment", "Holm's p")),
    "Adjusted R²": ("The share of the variance explained, less what as many useless regressors explain by chance.",
                    ("adjusted R²",)),
    "Predicted R²": ("The share of the variance explained for rows, each left out of the fit in turn (from PRESS).",
                     ("predicted R²", "predicted (PRESS) R²")),
    "Leave-one-cluster-out R²": ("The same, with each cluster left out in turn.", ("leave-one-cluster-out R²",)),
    "Leverage, Cook's distance": ("How unusual the regressors of a cluster are, and how far all coefficients "
                                  "change without it.", ("leverage", "Cook's distance")),
    "DFBETAS": ("How far a coefficient changes without a cluster, in standard errors.", ("DFBETAS",)),
    "Logit": ("A regression whose probabilities stay between 0 and 1; those of the linear model do not.", ("logit",)),
    "Marginal effect": ("The average change of the probability of success when one factor changes.",
                        ("marginal effect", "marginal effects")),
    "Guess rate": ("What blind guessing would get: one in the size of the alphabet for a character.",
                   ("guess rate", "guessing")),
    "Precision, recall, F1": ("Of what was read as a character, the share that is it; of the character, the share that "
                              "was read as it; and their harmonic mean. The macro means weigh every character alike.",
                              ("precision", "recall", "F1", "macro F1")),
    "Corruption error": ("The error under noise over that of a baseline reader (mCE: mean over noise types).",
                         ("corruption error", "mCE")),
    "RMSE": ("Root mean squared change of luma between a rendering and its clean twin; full scale is 1.", ("RMSE",)),
    "SSIM": ("Structural similarity to the clean twin (Wang et al., 2004); 1 is identical.", ("SSIM",)),
    "Luma": ("How bright a pixel looks: 0.299 red + 0.587 green + 0.114 blue.", ("luma",)),
    "Saliency map": ("For one character of a captcha, how much each pixel speaks for it.",
                     ("saliency map", "saliency maps")),
    "Fisher ratio": ("The distance between the means of classes over the spread within a class.", ("Fisher ratio",)),
    "AUROC": ("The probability that an unseen class gets a higher score than a known one; one half is guessing.",
              ("AUROC",)),
}  # fmt: skip


def anchor_of(term: str) -> str:
    """The id of a term on the page."""
    return "term-" + re.sub(r"\W+", "-", term.lower().replace("²", "2")).strip("-")
