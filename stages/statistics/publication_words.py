"""How the table of a publication writes numbers, terms and names."""

from __future__ import annotations

import math

from stages.schemas.regress import FormulaVariables

DIGITS = 4  # decimals of a share or R²
POINTS = 2  # decimals of a coefficient, in percentage points
NUMBER_TERMS = (
    FormulaVariables.level,
    FormulaVariables.rmse,
    FormulaVariables.ssim_loss,
    FormulaVariables.contrast,
)


def publication_name(term: str, name: str) -> str:
    """A name of a noise type or colour without the underscores of code; readers and characters keep theirs."""
    underscored = set(term.split(":")) <= {"noise", "colour", *NUMBER_TERMS}
    return name.replace("_", " ") if underscored else name


def publication_share(value: float) -> str:
    return f"{value:.{DIGITS}f}" if math.isfinite(value) else "–"


def publication_p(p: float, equals: str = "") -> str:
    return f"{equals}{p:.3f}" if p >= 0.001 else "< 0.001"


def publication_points(value: float) -> str:
    written = f"{100 * value:.{POINTS}f}"
    return written.replace("-", "−" if float(written) else "")


def publication_term(term: str) -> str:
    return term.replace("poly(", "").replace(")", ", polynomial").replace(":", " × ")
