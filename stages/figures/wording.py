"""The report's fixed words: what each figure shows, the chapters' first lines, how to change the study, a glossary."""

from __future__ import annotations

SHOWS = {  # figure: its title, and what it shows
    "answer": (
        "How fast reading fails",
        "Share of the test captchas read whole, against the level of the noise: one line a noise type, named at its "
        "end. Whiskers are {interval} intervals; the dashed line is one half.",
    ),
    "samples": (
        "One captcha under every noise",
        "The same text, characters and layout from left to right, clean and under a rising dose; colour is drawn anew "
        "for each. Beneath each picture stands what `{reader}` read, with a cross where it is wrong.",
    ),
    "schemes": ("The colour schemes", "Clean test captchas of each scheme, with what `{reader}` read."),
    "character_accuracy": (
        "Characters read",
        "Share of the characters read right, by noise type and level, one line a reader. Bands and whiskers are "
        "{interval} intervals, clustered by captcha; the dotted line is what guessing gets.",
    ),
    "exact_match": ("Captchas read whole", "Share of the captchas with every character right, in the same panels."),
    "breakdown": (
        "Which characters and colours are hard",
        "Share of the characters read right over all conditions, with {interval} intervals, clustered by captcha.",
    ),
    "confusion": (
        "What is taken for what",
        "Of each character (a row), the percentage that `{reader}` read as each other, over all conditions; the last "
        "column holds those for which it read nothing. Small shares stand without a number.",
    ),
    "slopes": (
        "What a dose costs",
        "Dose slopes of the regression: the change of character accuracy for each 0.1 of level, by noise type and "
        "reader, colour, character and position held equal, with {interval} intervals. Further left is worse.",
    ),
    "effects": (
        "Colour, character and position",
        "Effects in the regression of all readers together, with noise and level held equal, beside the reference "
        "category named beneath each panel, with {interval} intervals.",
    ),
    "learning": (
        "Learning curves",
        "Training and validation by epoch. Each reader is validated on captchas of the kind it learned from, so two "
        "curves compare only where that kind is the same.",
    ),
    "counts": ("Are the texts balanced?", "How often each character stands at each position, by split."),
    "glyphs": (
        "The mean glyph of each character",
        "All glyphs of a character laid over each other, and how many there are in all splits together.",
    ),
    "pixels": (
        "What noise does to the pixels",
        "Means over test renderings by noise type and level: luma and its spread within an image (of the first "
        "{first} captchas), the change of luma and the structural similarity to the clean rendering (of all). Full "
        "scale is 1.",
    ),
    "associations": (
        "Are the factors independent?",
        "Strength of association between the factors of the test characters, 0 to 1: |r| of two numbers, the "
        "correlation ratio of a number and a category, Cramér's V of two categories. Position and contrast are "
        "numbers; RMSE and SSIM are measured, not set.",
    ),
}

CONTENT = {  # chapter: its figures, and what else it holds, in order
    "answer": ["answer"],
    "uncertain": ["uncertain"],
    "captchas": ["samples", "schemes"],
    "noise": ["character_accuracy", "exact_match"],
    "characters": ["breakdown", "confusion"],
    "regression": ["slopes", "effects", "regression"],
    "readers": ["readers", "learning"],
    "exploration": ["counts", "glyphs", "pixels", "associations"],
    "parameters": ["parameters"],
    "change": ["change"],
    "glossary": ["glossary"],
}

LEADS = {  # chapter: its title and first paragraph
    "answer": (
        "The answer, drawn",
        "Each line starts at the clean captchas, which every noise type shares, and follows the same captchas through "
        "a rising dose of one noise. A line that falls early is a noise that bites.",
    ),
    "uncertain": ("What is uncertain", "The numbers above are estimates. This is how far they can be trusted:"),
    "captchas": (
        "What the captchas look like",
        "Every test captcha is rendered once clean and once under every noise type at every level, so that each is "
        "its own control.",
    ),
    "noise": (
        "How fast reading fails",
        "The same curves for every reader, by noise type. Where two bands of one panel do not meet, the readers "
        "differ by more than chance.",
    ),
    "characters": ("Which characters and colours", "What is hard whatever the noise, and what is mistaken for what."),
    "regression": (
        "How sure are we: the regression",
        "A linear probability model explains whether a character was read right by noise, level, colour, character "
        "and position at once. Its standard errors are clustered, since the same captcha comes back under every "
        "condition.",
    ),
    "readers": (
        "The readers",
        "All readers read the same test captchas. Clean ones have level 0; the columns named all are over every "
        "condition, clean and noisy alike.",
    ),
    "exploration": (
        "The data, looked at first",
        "Before an effect is believed: are the texts balanced, do the pixels do what the level says, and can the "
        "factors be told apart?",
    ),
    "parameters": ("The parameters of this run", "All of `params.yaml`, the one file that describes the experiment."),
    "change": (
        "How to change it",
        "Change a line of `params.yaml` and run `dvc repro`, or leave the file alone and run an experiment beside it. "
        "Only what depends on the change is made again.",
    ),
    "glossary": ("Glossary", "The words of this page, in a sentence each."),
}

RECIPES = (
    ("What if noise stopped at level 0.4?", "`dvc exp run -S noise.level=0.4`"),
    (
        "Three strengths, two at a time",
        "`dvc exp run --queue -S 'noise.level=0.2,0.4,0.6'\n"
        "dvc queue start -j 2`",
    ),
    ("Other noises", "`dvc exp run -S 'noise.types=[lines,curves,dots]'`"),
    ("Real handwriting: MNIST", "`dvc exp run -S glyphs.source=mnist -S glyphs.path=path/to/mnist`"),
    (
        "How far does another training run move the numbers?",
        "`dvc exp run --queue -S 'seed=range(1,6)'\n"
        "dvc queue start`",
    ),
    ("Compare all experiments", "`dvc exp show`"),
    (
        "What changed, against the last commit",
        "`dvc metrics diff\n"
        "dvc plots diff`",
    ),
    ("Keep an experiment", "`dvc exp apply NAME`"),
)

GLOSSARY = (
    (
        "Captcha, rendering",
        "A captcha is a text with its glyphs and their layout; a rendering is that captcha under one noise type and "
        "level, in one colour.",
    ),
    ("Glyph", "One handwritten or printed character, 28 × 28 px. Training and test use different glyphs."),
    ("Level", "The dose of a noise, from 0 (none, to the bit) to 1 (the end of its scale)."),
    ("Reader", "The network (or other program) that turns an image into a text."),
    ("Character accuracy", "Share of the characters read right; a character that was missed counts as wrong."),
    ("Exact match", "Share of the captchas with every character right: what opens the door."),
    ("Guess rate", "What blind guessing would get: one in the size of the alphabet for a character."),
    (
        "Interval",
        "A range that would hold the true value in {interval} of repetitions of the experiment with other test "
        "captchas.",
    ),
    (
        "Cluster",
        "Rows that may err together: here all renderings of one captcha. Treating them as independent would make the "
        "intervals too narrow.",
    ),
    ("Percentage point", "The difference of two percentages: from 90 % to 87 % is 3 percentage points."),
    (
        "Dose slope",
        "How many percentage points of character accuracy a given rise of the level costs, by the regression.",
    ),
    ("Reference category", "What an effect is compared with, such as black on white for the colours."),
    ("RMSE", "Root mean squared change of luma between a rendering and its clean twin, full scale = 1."),
    ("SSIM", "Structural similarity to the clean twin (Wang et al., 2004): 1 is identical."),
    ("Luma", "How bright a pixel looks: 0.299 red + 0.587 green + 0.114 blue."),
)
