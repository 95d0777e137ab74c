"""The same regression by linearmodels and by statsmodels, to be sure of ours where it is used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from linearmodels.panel import PooledOLS
from statsmodels.regression.linear_model import OLS

from stages.statistics.arrays import Floats, Ints
from stages.statistics.least_squares import Blocks, Fit

COEFFICIENT_TOLERANCE = (
    1e-8  # largest difference of a coefficient, in spreads of y per spread of its column
)
ERROR_TOLERANCE = 1e-6  # and of its CV1 standard error, relative


def confirm(blocks: Blocks, fit: Fit) -> None:
    """Raise ValueError, one line, where a library has another coefficient or CV1 error than a fit in these clusters."""
    X, y, cluster = (np.concatenate(parts) for parts in zip(*blocks(), strict=True))
    for library, (beta, error) in {
        "linearmodels": linearmodels(X, y, cluster),
        "statsmodels": statsmodels(X, y, cluster),
    }.items():
        scale = np.sqrt(np.square(X).mean(axis=0)) / y.std()
        _compare(library, "coefficient", fit.names, fit.beta, beta, COEFFICIENT_TOLERANCE / scale)
        measured = np.flatnonzero(fit.standard_error_cv1 > 0)
        _compare(
            library,
            "CV1 error",
            [fit.names[k] for k in measured],
            fit.standard_error_cv1[measured],
            error[measured],
            ERROR_TOLERANCE * error[measured],
        )


def _compare(
    library: str, what: str, names: Sequence[str], ours: Floats, theirs: Floats, tolerance: Floats
) -> None:
    wrong = np.flatnonzero(~(np.abs(ours - theirs) <= tolerance))
    if len(wrong):
        k = wrong[0]
        raise ValueError(
            f"the {what} of {names[k]} is {ours[k]:.12g} here and {theirs[k]:.12g} by {library}: one is "
            "wrong, so nothing was written; please report it"
        )


def linearmodels(X: Floats, y: Floats, cluster: Ints) -> tuple[Floats, Floats]:
    """Coefficients and CV1 errors; its own default leaves out G/(G-1)."""
    codes = np.unique(cluster, return_inverse=True)[1]
    rows = pd.MultiIndex.from_arrays(
        [codes, np.arange(len(y))]
    )  # a panel: a cluster is an entity, a row a time
    panel = PooledOLS(
        pd.DataFrame({"y": y}, index=rows), pd.DataFrame(X, index=rows), check_rank=False
    )
    result = panel.fit(
        cov_type="clustered",
        clusters=pd.DataFrame({"cluster": codes}, index=rows),
        debiased=True,
        group_debias=True,
    )
    return result.params.to_numpy(), np.sqrt(np.maximum(np.diag(result.cov.to_numpy()), 0))


def statsmodels(X: Floats, y: Floats, cluster: Ints) -> tuple[Floats, Floats]:
    """Coefficients and CV1 errors."""
    codes = np.unique(cluster, return_inverse=True)[1]
    result = OLS(y, X).fit(cov_type="cluster", cov_kwds={"groups": codes})
    return np.asarray(result.params), np.sqrt(np.maximum(np.diag(result.cov_params()), 0))
