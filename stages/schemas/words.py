"""Reserved words in tables, and the names of the parts of `explain`."""

CLEAN = "none"
"""The noise of a captcha without noise."""

POOLED = "all"
"""The reader, or the noise, of a row over all of them together."""

MISSED = "missed"
"""The character read where the reader gave none."""

MERGED = "the class means cannot be told apart"
"""The note of a space of features whose distances between classes are zero."""

COLLAPSED = "the points of each class are one point"
"""The note of a space of features whose spread within classes is zero."""

EXPLAIN_PARTS = (
    "saliency",
    "reader_space",
    "characters",
    "autoencoders",
    "unseen",
)  # what `explain` can make
