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
        "Dose slopes of the regression: the change of character accuracy for each 0.1 of {dose}, by noise type and "
        "reader, colour, character and position held equal, with {interval} intervals. Further left is worse.",
    ),
    "effects": (
        "Colour, character and position",
        "Effects in the regression of all readers together, with noise and level held equal, beside the reference "
        "category named beneath each panel, with {interval} intervals.",
    ),
    "dose_response": (
        "Line and curve against what was seen",
        "Share of the characters read right by noise type: observed means, the straight line of each reader's own "
        "regression, and its psychometric curve, hollow where it passes a threshold. The line may leave 0 to 100 % "
        "(shaded); a share cannot.",
    ),
    "thresholds": (
        "How much noise a reader bears",
        "The level at which the psychometric curve of each reader comes down to a share of the characters, with "
        "{interval} intervals from resampled captchas. A hollow point at the right edge, or an interval that ends "
        "there: not reached within the levels tested. A point at 0: not read that well even when clean.",
    ),
    "marginal_effects": (
        "Linear model or logit?",
        "Average effects of the headline's regressors in percentage points, by the linear probability model and by a "
        "logit of the same terms, with {interval} intervals, clustered by {cluster}. Numbers such as the level are "
        "told for 0.1.",
    ),
    "steadiness": (
        "What one cluster can move",
        "Left the headline's coefficients with {interval} intervals (blue) and their range when each cluster is left "
        "out in turn (orange, within the point where it is small); right that range in standard errors, with the "
        "cluster that causes either end. Dotted, where they fit in, are the ends of the interval.",
    ),
    "influence": (
        "The influence of single clusters",
        "Leverage, which says how unusual a cluster's regressors are, against Cook's distance, which says how far all "
        "coefficients move without it. The largest distances are named.",
    ),
    "added_variables": (
        "Each regressor alone",
        "Added-variable plots: what is left of a regressor and of success when all other regressors are taken out, in "
        "bins whose area grows with their rows. The line has the coefficient as its slope (Frisch & Waugh, 1933). "
        "Panels of one term share their scale.",
    ),
    "correlations": (
        "Do the regressors go together?",
        "Correlation of every two regressors, in hundredths. Categories of one factor exclude each other, which makes "
        "them correlate below 0; between factors a balanced design leaves nothing.",
    ),
    "calibration": (
        "Can its confidence be believed?",
        "Left, characters that were read, in bins of equal number by confidence: on the dotted line a confidence is "
        "what it says, below it too high. Right, the mean distance of accuracy from confidence by level of noise."),
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
    "saliency": (
        "What speaks for one character",
        "The first test captcha, clean and under each noise at a rising dose; in colour what speaks for the character "
        "above the bar, by integrated gradients (occlusion where a reader has no gradients). Beneath stands how sure "
        "`{reader}` is of it, with a cross where it does not say it.",
    ),
    "mean_maps": (
        "What it looks at in each character",
        "The mean map of each character over its mean glyph, from clean captchas, with the number of them.",
    ),
    "saliency_curves": (
        "Are the maps faithful?",
        "How sure `{reader}` is of a character while pixels go (deletion: a faithful map falls early) and while they "
        "come (insertion: it rises early), the highest of the map first. Plain ink and random maps know nothing of "
        "the reader. Bands are {interval} intervals over captchas.",
    ),
    "saliency_drift": (
        "Do the maps drift?",
        "Rank correlation of each map with the map of the same captcha's clean rendering, by level. Ink drifts, too, "
        "and colours are drawn anew for each rendering: a map that falls no faster than the ink has not moved.",
    ),
    "saliency_randomised": (
        "Do the maps know the reader?",
        "Likeness of the maps to those of `{reader}` when its layers are drawn anew, from the last one down (Adebayo "
        "et al., 2018): over the glyph, and dotted over the whole picture. Maps that stay alike tell of the picture.",
    ),
    "separation_reader": (
        "Classes in the reader",
        "Features of the last layer but one of `{reader}`: the distance between the means of classes and the spread "
        "within a class, as multiples of the clean ones, and the share of the nearest clean neighbours of the same "
        "class, with {interval} intervals over captchas. Both scaled by the spread of the clean classes.",
    ),
    "plane_reader": (
        "The plane of the reader",
        "Those features in the first two principal directions of the clean ones; a colour a class, a letter at its "
        "mean; under the noise that costs most neighbours.",
    ),
    "separation_vae": (
        "Classes in a latent space of glyphs",
        "The same in the latent space of a variational autoencoder, which has seen clean glyphs alone and no label.",
    ),
    "plane_vae": (
        "The plane of the autoencoder",
        "Test glyphs in the first two principal directions of the clean latent means, under the noise that costs most "
        "neighbours.",
    ),
    "separation_vae_classified": (
        "Classes in a latent space with a classifier",
        "The same of an autoencoder whose latent space also has to tell the classes.",
    ),
    "plane_vae_classified": ("The plane of that autoencoder", "As above."),
    "drawings": (
        "What the autoencoder draws",
        "Test glyphs, what the autoencoder makes of them, the same glyphs under noise, and draws from the prior of "
        "both autoencoders.",
    ),
    "class_ranking": (
        "Which characters are robust",
        "Left the share read right of noisy and of clean renderings, right the ranks that the data leave open, each "
        "alone and all at once, with {interval} intervals over captchas; at the edge the probability of the place.",
    ),
    "class_levels": (
        "Each character against the level",
        "Share of each character read right, all noise types together, with {interval} intervals over captchas.",
    ),
    "class_thresholds": (
        "Where half of a character is lost",
        "The level at which each character falls to one half, by noise type, with {interval} intervals over captchas.",
    ),
    "confusions": (
        "What each noise makes of a character",
        "Errors by noise type: rows are true characters, columns what they were read as, the last for what was "
        "missed; one scale.",
    ),
    "top_confusions": (
        "The most frequent confusions",
        "Their share of the true character against the level, a line a noise type, black for all together.",
    ),
    "pairs": (
        "Neighbours",
        "What a neighbour does to how well a character is read, beyond the character, the condition and the "
        "position, shrunk towards 0 (empirical Bayes); a dot where the {interval} interval leaves out 0.",
    ),
    "repeated": ("Repeated characters", ""),
    "texts": (
        "The best and the worst texts",
        "Share of their renderings read whole, shrunk towards the mean, with {interval} intervals; hollow as it was "
        "read, a bar what their characters alone lead to.",
    ),
    "unseen": (
        "Each class held out in turn",
        "How well scores tell a class that no model has seen from all the others, by held-out class (AUROC; one half "
        "is guessing), with {interval} intervals over glyphs.",
    ),
    "unseen_noise": (
        "The same under noise",
        "Mean over held-out classes of the best score, normal and unseen glyphs under the same noise; the band is "
        "the range of the classes.",
    ),
    "unseen_scores": (
        "The class that is noticed least",
        "Scores of the test glyphs with that class held out, by the best score.",
    ),
    "unseen_glyphs": (
        "The glyphs that fool it",
        "Above normal glyphs that look strangest, below unseen ones that look most normal; a cross where the "
        "threshold decides wrongly.",
    ),
}

CONTENT = {  # chapter: its figures, and what else it holds, in order
    "answer": ["answer"],
    "uncertain": ["uncertain"],
    "captchas": ["samples", "schemes"],
    "noise": ["character_accuracy", "exact_match"],
    "characters": ["breakdown", "confusion", "classification", "others"],
    "regression": ["said", "slopes", "dose_response", "thresholds", "effects", "tests", "regression"],
    "sound": ["unsaid", "marginal_effects", "steadiness", "categories", "influence", "added_variables", "correlations",
              "diagnosed"],
    "readers": ["readers", "corruption", "learning", "calibration"],
    "looks": ["saliency", "mean_maps", "saliency_curves", "saliency_drift", "saliency_randomised"],
    "classes": ["separation_reader", "plane_reader", "separation_vae", "plane_vae", "separation_vae_classified",
                "plane_vae_classified", "drawings"],
    "robust": ["class_ranking", "class_levels", "class_thresholds", "confusions", "top_confusions", "pairs", "repeated",
               "texts"],
    "unseen": ["unseen", "unseen_noise", "unseen_scores", "unseen_glyphs"],
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
        "What the regression says",
        "A linear probability model explains whether a character was read right by noise, dose, colour, character "
        "and position at once. Its standard errors are clustered, since the same captcha comes back under every "
        "condition.",
    ),
    "sound": (
        "Is the regression sound?",
        "A number is worth what it withstands. First what cannot be concluded; then another model, the fit without "
        "each cluster and each category, each regressor alone, and the diagnostics in words.",
    ),
    "readers": (
        "The readers",
        "All readers read the same test captchas. Clean ones have level 0; the columns named all, and the "
        "macro means, are over every condition, clean and noisy alike.",
    ),
    "looks": (
        "What does it look at?",
        "For a character of a captcha, a map of the pixels that speak for it; and whether such maps can be believed, "
        "which is measured.",
    ),
    "classes": (
        "Do the classes merge or spread out?",
        "Accuracy falls under noise where characters become alike: because the classes run into each other, or because "
        "each spreads out. Both are measured, in what the reader makes of a character and in a latent space of glyphs.",
    ),
    "robust": (
        "Which characters are robust, which confused?",
        "The characters ranked with what chance leaves open, their confusions against the clean ones, and whether "
        "neighbours or whole texts matter beyond their characters.",
    ),
    "unseen": (
        "Would it notice a character it has never seen?",
        "Each class is held out in turn and models learn all the others; then the unseen class is to look strange. "
        "Thresholds come from validation glyphs, without one unseen glyph.",
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
    (
        "Precision, recall, F1",
        "Of what was read as a character, the share that is it; of the character, the share that was read as it; and "
        "their harmonic mean. A missed character lowers recall. The macro means weigh every character alike.",
    ),
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
        "How many percentage points of character accuracy a given rise of the dose costs, by the regression.",
    ),
    ("Threshold", "The level of noise at which a reader still reads a given share of the characters."),
    (
        "Joint test",
        "Whether all categories of a factor together have no effect: small p, it matters. Holm's adjustment keeps the "
        "chance of one false alarm among all coefficients at the level of one test.",
    ),
    ("Adjusted R²", "Share of the variance explained, less what as many useless regressors would explain by chance."),
    ("Leverage, Cook's distance", "How much a cluster could move the fit, and how much it does."),
    ("Logit", "A regression whose probabilities stay between 0 and 1; the linear probability model's do not."),
    ("Reference category", "What an effect is compared with, such as black on white for the colours."),
    ("RMSE", "Root mean squared change of luma between a rendering and its clean twin, full scale = 1."),
    ("SSIM", "Structural similarity to the clean twin (Wang et al., 2004): 1 is identical."),
    ("Luma", "How bright a pixel looks: 0.299 red + 0.587 green + 0.114 blue."),
)
