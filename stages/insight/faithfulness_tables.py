"""Means of the faithfulness measures over captchas, with intervals.

Intervals resample captchas, since renderings of one captcha are correlated.
Letters here: m rows (a rendering and one of its characters), G captchas.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.insight.faithfulness import CAPTCHA, CONTROLS, KEY
from stages.reader.decoding import Doubles, Ints
from stages.schemas.explain import SaliencyCurves, SaliencyMeasures, SaliencyRandomised
from stages.schemas.words import POOLED
from stages.statistics.bootstrap import multinomial_counts, percentile_interval

MIN_CAPTCHAS_FOR_MEAN = 8  # captchas, below which no interval is given
CURVES = ("deletion", "insertion")
GAINS = [f"{curve}_over_{control}" for curve in CURVES for control in CONTROLS]

Estimate = tuple[float, float, float, int, str]  # mean, low, high, captchas, note


@dataclass(frozen=True)
class CaptchaBootstrap:
    """How the intervals of means are made."""

    confidence: float
    draws: int
    seed: int

    def mean(self, values: Doubles, captcha: Ints) -> Estimate:
        """Mean of values (m,) and its percentile interval. NaN values are left out.

        Fewer than MIN_CAPTCHAS_FOR_MEAN captchas have no interval, but a note.
        """
        finite = np.isfinite(values)
        _, group = np.unique(captcha[finite], return_inverse=True)
        G = int(group.max(initial=-1)) + 1
        if G == 0:
            return np.nan, np.nan, np.nan, 0, "no character to measure"
        count = np.bincount(group).astype(float)
        total = np.bincount(group, values[finite])
        mean = total.sum() / count.sum()
        if G < MIN_CAPTCHAS_FOR_MEAN:
            return mean, np.nan, np.nan, G, f"{G} captcha(s): too few for an interval"
        weights = multinomial_counts(G, self.draws, rng=np.random.default_rng(self.seed))
        low, high = percentile_interval((weights @ total) / (weights @ count), self.confidence)
        return mean, float(low), float(high), G, ""

    def means(self, rows: pd.DataFrame, names: Iterable[str]) -> Iterator[tuple[str, Estimate]]:
        """The mean of each of the columns."""
        for name in names:
            yield name, self.mean(rows[name].to_numpy(float), rows[CAPTCHA].to_numpy())


def summarise(rows: pd.DataFrame, bootstrap: CaptchaBootstrap) -> pd.DataFrame:
    """The measures by noise type and level (SaliencyMeasures); POOLED (level NaN) is all noise.

    measure is deletion, insertion, mass, chance or drift; and, paired by row, so that above 0 is better than the
    control: deletion_over_random, deletion_over_ink, insertion_over_random, insertion_over_ink, mass_over_chance.
    """
    table = _with_gains(rows)
    measures = [name for name in table if name not in (*KEY, SaliencyMeasures.method)]
    by = [SaliencyMeasures.noise, SaliencyMeasures.level]
    noisy = table[table[SaliencyMeasures.level] > 0]
    cells = [(*key, part) for key, part in table.groupby(by, sort=False)]
    cells += [(POOLED, np.nan, noisy)] if len(noisy) else []
    found = []
    for noise, level, cell in cells:
        for method, part in cell.groupby(SaliencyMeasures.method, sort=False):
            for name, estimate in bootstrap.means(part, measures):
                no_drift = name.startswith("drift") and level == 0
                no_gain = name in GAINS and method in CONTROLS
                if not no_drift and not no_gain:
                    found.append([noise, level, method, name, *estimate])
    return pd.DataFrame(found, columns=SaliencyMeasures.names())


def _with_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with each method's gains over the controls, row by row; every method has the same order of rows."""
    table = rows.reset_index(drop=True).copy()
    methods = table[SaliencyMeasures.method].nunique()
    for control in CONTROLS:
        own = table[table[SaliencyMeasures.method] == control]
        for name, sign in (("deletion", -1), ("insertion", 1)):
            of_control = np.tile(own[name].to_numpy(float), methods)
            table[f"{name}_over_{control}"] = sign * (table[name].to_numpy(float) - of_control)
    return table.assign(mass_over_chance=table["mass"] - table["chance"])


def summarise_curves(curves: pd.DataFrame, bootstrap: CaptchaBootstrap) -> pd.DataFrame:
    """Mean curves of clean and of noisy renderings (SaliencyCurves)."""
    found = []
    by = [SaliencyCurves.method, SaliencyCurves.share]
    level = curves[SaliencyMeasures.level]
    for renderings, part in (("clean", curves[level == 0]), ("noisy", curves[level > 0])):
        for key, cell in part.groupby(by, sort=False):
            for name, estimate in bootstrap.means(cell, CURVES):
                found.append([renderings, name, *key, *estimate])
    return pd.DataFrame(found, columns=SaliencyCurves.names())


def summarise_randomised(rows: pd.DataFrame, bootstrap: CaptchaBootstrap) -> pd.DataFrame:
    """Mean similarity by method and layers drawn anew (SaliencyRandomised)."""
    found = []
    by = [SaliencyRandomised.method, SaliencyRandomised.layer, SaliencyRandomised.layers]
    for key, cell in rows.groupby(by, sort=False):
        for name, estimate in bootstrap.means(cell, ("spearman", "whole")):
            found.append([*key, name, *estimate])
    return pd.DataFrame(found, columns=SaliencyRandomised.names())


def saliency_headlines(
    summary: pd.DataFrame, layers: pd.DataFrame, residual: Doubles | None
) -> dict[str, float]:
    """The finite ones of, by method: mass and the gains over the controls on clean renderings; drift over all noisy
    ones; randomised, the similarity that is left on the glyph when all layers are drawn anew. And the chance of mass,
    and the median residual of integrated gradients."""
    level = summary[SaliencyMeasures.level]
    measure = summary[SaliencyMeasures.measure]
    own = ~summary[SaliencyMeasures.method].isin(CONTROLS)
    clean = summary[own & (level == 0) & measure.isin(["mass", *GAINS])]
    drift = summary[own & (summary[SaliencyMeasures.noise] == POOLED) & (measure == "drift")]
    deepest = layers[SaliencyRandomised.layers] == layers[SaliencyRandomised.layers].max()
    last = layers[deepest & (layers[SaliencyRandomised.measure] == "spearman")]
    numbers = {}
    for row in pd.concat([clean, drift, last.assign(measure="randomised")]).to_dict("records"):
        name = f"saliency_{row[SaliencyMeasures.method]}_{row[SaliencyMeasures.measure]}"
        numbers[name] = float(row[SaliencyMeasures.value])
    chance = summary.loc[(level == 0) & (measure == "chance"), SaliencyMeasures.value]
    numbers["saliency_mass_chance"] = float(chance.iloc[0]) if len(chance) else np.nan
    numbers["saliency_integrated_gradients_residual"] = (
        float(np.median(residual)) if residual is not None else np.nan
    )
    return {name: value for name, value in numbers.items() if np.isfinite(value)}
