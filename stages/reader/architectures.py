"""The readers, denoisers and optimisers there are, by name. Imports nothing that computes: any stage can know them."""

from __future__ import annotations

ARCHITECTURES = (
    "ctc", "compact", "heads", "dense",
    "logistic", "knn", "svm", "mlp",
    "themlaw", "kaggle", "ukrainian", "essmaw_dense", "essmaw_small", "essmaw_large",
    "tesseract",
)  # fmt: skip
DENOISERS = ("none", "median", "pca", "nlm", "bilateral", "learned")
ADAMW = "adamw"
MUON = "muon"
OPTIMISERS = (ADAMW, MUON)
