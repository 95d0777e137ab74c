"""The state of a fitted denoiser: tensors by name, stored beside those of its reader."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Image = NDArray[np.uint8]  # (H, W, 3)
State = Mapping[str, Tensor]  # by name; names that do not begin with PREFIX are the reader's
PREFIX = "denoiser."
