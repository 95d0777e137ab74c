"""Reserved words in tables, and the names of the parts of `explain`."""

CLEAN = "none"
"""The noise of a captcha without noise."""

POOLED = "all"
"""The reader, or the noise, of a row over all of them together."""

MISSED = "missed"
"""The character read where the reader gave none."""

EXPLAIN_PARTS = (
    "saliency",
    "reader_space",
    "characters",
    "autoencoders",
    "unseen",
)  # what `explain` can make
