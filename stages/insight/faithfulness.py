"""Whether a map tells what the reader uses: measured against maps that know nothing of the reader.

Deletion and insertion (Petsiuk et al. 2018), mass on the glyph against chance, drift under noise, and cascading weight
randomisation (Adebayo et al. 2018). Intervals resample captchas, since renderings of one captcha go together.
Letters here: m rows (a rendering and one of its characters), P pixels, K steps, G captchas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from stages.captcha.noise.canvas import background
from stages.insight.saliency import (
    GRADIENTS,
    Explanation,
    Maps,
    SaliencyEffort,
    Targets,
    cascade,
    gradient_maps,
    posterior,
)
from stages.reader.batches import Images
from stages.reader.decoding import Doubles, Ints
from stages.reader.inference import NetworkReader
from stages.reader.protocol import Reader
from stages.schemas.explain import SaliencyCurves, SaliencyMeasures, SaliencyRandomised
from stages.schemas.words import POOLED
from stages.statistics.bootstrap import multinomial_counts, percentile_interval

Bools = NDArray[np.bool_]
Score = Callable[
    [Images, Ints], Doubles
]  # images (b, H, W, 3) and their rows (b,) to posteriors (b,)

CONTROLS = ("ink", "random")  # maps that know nothing of the reader
STRONG = 0.2  # of the strongest ink: more than this is the glyph
MIN_CAPTCHAS_FOR_MEAN = 8  # captchas, below which no interval is given
CURVES = {"deletion": "deletion AUC", "insertion": "insertion AUC"}
GAINS = [f"{curve}_over_{control}" for curve in CURVES for control in CONTROLS]
CAPTCHA = "captcha"
READ_RIGHT = "read_right"  # whether the character was read
KEY = [CAPTCHA, SaliencyMeasures.noise, SaliencyMeasures.level, "position", "character", READ_RIGHT]
SCALES = [SaliencyMeasures.noise, SaliencyMeasures.level]


def ink_map(images: Images) -> Maps:
    """The distance of each pixel from the background, in RGB, (m, H, W): plain ink, which no reader is needed for."""
    away = images.astype(np.float32) - background(images).astype(np.float32)[:, None, None]
    distance: Maps = np.sqrt(np.square(away).sum(axis=3, dtype=np.float32))
    return distance


def glyph_masks(clean: Images, lengths: Ints, places: Doubles | None = None) -> Bools:
    """The pixels (n, T, H, W) of each character of clean renderings (n, H, W, 3): ink above a fifth of the strongest.

    Who owns a pixel is not stored, so each character gets its own columns: between two characters the cut is the column
    with the least ink (of equals the one nearest the middle) between their places. places (n, T) are columns of the
    picture, px, about where each character stands, such as where the reader says it on the clean rendering; without
    them the width of the ink is shared evenly. lengths (n,) in characters.
    """
    ink = ink_map(clean)
    strong = ink > STRONG * ink.max(axis=(1, 2), keepdims=True)
    masks = np.zeros((len(clean), int(lengths.max()), *ink.shape[1:]), bool)
    for i, length in enumerate(lengths.tolist()):
        seen = np.flatnonzero(strong[i].any(axis=0))
        if not len(seen):
            continue
        middles = (
            (seen[0] + (seen[-1] + 1 - seen[0]) * (np.arange(length) + 0.5) / length)
            if places is None
            else np.sort(places[i, :length])
        )
        cuts = [0, *_cuts(ink[i].sum(axis=0), middles), strong.shape[2]]
        for t in range(length):
            masks[i, t, :, cuts[t] : cuts[t + 1]] = strong[i, :, cuts[t] : cuts[t + 1]]
    return masks


def _cuts(profile: NDArray[np.float32], middles: Doubles) -> list[int]:
    """The columns that part neighbours, ink (W,) by column."""
    cuts = []
    for left, right in pairwise(middles.tolist()):
        between = np.arange(int(np.ceil(left)), max(int(np.ceil(left)) + 1, int(right) + 1))
        between = between[between < len(profile)]
        cost = profile[between] + 1e-3 * np.abs(between - (left + right) / 2)
        cuts.append(int(between[cost.argmin()]) if len(between) else len(profile))
    return cuts


def mass_share(maps: Maps, masks: Bools) -> Doubles:
    """The share (m,) of what speaks for the character (the map above 0) that lies in masks (m, H, W); NaN where nothing
    does. Chance is the share of the area, `masks.mean`."""
    positive = np.maximum(maps, 0).astype(np.float64)
    whole: Doubles = positive.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Doubles = np.where(whole > 0, (positive * masks).sum(axis=(1, 2)) / whole, np.nan)
    return share


def spearman(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> Doubles:
    """Rank correlation (m,) of the pixels of maps (m, H, W), ties at their mean rank; NaN where a map is constant."""
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second)]
    x, y = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: Doubles = (x * y).sum(axis=1) / np.sqrt(
            np.square(x).sum(axis=1) * np.square(y).sum(axis=1)
        )
    return rho


def spearman_within(first: Maps, second: Maps, masks: Bools) -> Doubles:
    """`spearman` over the pixels of masks (m, H, W) alone; NaN where a mask has fewer than three.

    A map made of contrast times something is 0 wherever there is no ink, in every reader: over the whole picture two
    such maps agree whatever the reader has learned (0.998 was measured for a reader of random weights).
    """
    rho = np.full(len(masks), np.nan)
    for i in np.flatnonzero(masks.sum(axis=(1, 2)) > 2):
        rho[i] = spearman(first[i][masks[i]][None], second[i][masks[i]][None])[0]
    return rho


def shares(steps: int) -> Doubles:
    """Shares (K + 1,) of the pixels that are replaced, 0 and 1 among them, denser at the start: (k / K)^2.

    Ink is a tenth of a captcha, so that even steps would meet all of it in the first two.
    """
    return (np.arange(steps + 1) / steps) ** 2


def ends_of(score: Score, images: Images) -> tuple[Doubles, Doubles]:
    """Posteriors (m,) of the pictures and of their bare grounds, between which every curve runs."""
    rows = np.arange(len(images))
    bare = np.broadcast_to(background(images)[:, None, None], images.shape)
    return score(images, rows), score(bare, rows)


def replacement_curves(
    score: Score,
    images: Images,
    maps: Maps,
    steps: int,
    ends: tuple[Doubles, Doubles],
    *,
    rng: np.random.Generator,
) -> tuple[Doubles, Doubles]:
    """Posteriors (m, K + 1) while pixels go, and while they come, by the map's order, the highest first.

    Deletion paints the first pixels with the ground of their picture, insertion shows the first on it; `shares` says
    how many; `ends` are those of `ends_of`, alike for all maps. Pixels of equal value come in random order.
    """
    m = len(images)
    pixels = maps[0].size
    order = np.lexsort((rng.random((m, pixels)), -maps.reshape(m, pixels)), axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(pixels), order.shape), axis=1)
    rank = rank.reshape(maps.shape)
    ground = background(images)[:, None, None]
    counts = np.round(shares(steps) * pixels).astype(int)
    rows = np.arange(m)
    curves = np.empty((2, m, steps + 1))
    curves[0, :, 0], curves[0, :, -1] = ends
    curves[1, :, 0], curves[1, :, -1] = ends[::-1]
    for k in range(1, steps):
        first = (rank < counts[k])[..., None]
        curves[0, :, k] = score(np.where(first, ground, images), rows)
        curves[1, :, k] = score(np.where(first, images, ground), rows)
    return curves[0], curves[1]


def curve_area(curve: Doubles) -> Doubles:
    """The area (m,) under curves (m, K + 1) over `shares`, by the trapezoid, both ends included."""
    return np.asarray(np.trapezoid(curve, shares(curve.shape[1] - 1), axis=1), np.float64)


def measure(
    explanation: Explanation,
    reader: Reader,
    frame: pd.DataFrame,
    masks: Bools,
    clean: Ints,
    *,
    steps: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every measure of every map, and the curves behind two of them.

    frame has KEY without `read_right` for the m rows; masks (m, H, W) of each row's character on the
    clean rendering; clean (m,) the row with the clean rendering of the same captcha and character. A
    noise that moves ink moves it out of its mask, too, which lowers the mass without the reader's
    doing; colours are drawn anew for each rendering, and that is
    part of the drift. Deletion and insertion are of characters
    that were said, NaN elsewhere: what is not said cannot be deleted. Drift is NaN on the clean rows themselves.
    Returns rows, KEY with method (the controls too), deletion, insertion, drift over the whole picture and
    drift_on_glyph over the pixels of the mask, mass, chance; and curves, KEY with method, share, deletion, insertion.
    `reader` is the one without its denoiser.
    """
    targets = explanation.targets
    images = explanation.images
    rng = np.random.default_rng(seed)
    maps: Mapping[str, Maps] = {
        **explanation.maps,
        "ink": ink_map(images),
        "random": rng.random(images.shape[:3]).astype(np.float32),
    }
    key = (
        frame[[name for name in KEY if name != READ_RIGHT]]
        .reset_index(drop=True)
        .assign(read_right=targets.read_right)[KEY]
    )
    read_right = np.flatnonzero(targets.read_right)
    rows = []
    curves = []
    score = _score(reader, targets.rows(read_right))
    ends = ends_of(score, images[read_right]) if len(read_right) else None
    for method, one in maps.items():
        gone, come = np.full((2, len(images), steps + 1), np.nan)
        if ends:
            gone[read_right], come[read_right] = replacement_curves(
                score, images[read_right], one[read_right], steps, ends, rng=rng
            )
        drift, within = (
            np.where(clean == np.arange(len(clean)), np.nan, similarity)
            for similarity in (spearman(one, one[clean]), spearman_within(one, one[clean], masks))
        )
        rows.append(
            key.assign(
                method=method,
                deletion=curve_area(gone),
                insertion=curve_area(come),
                drift=drift,
                drift_on_glyph=within,
                mass=mass_share(one, masks),
                chance=masks.mean(axis=(1, 2)),
            )
        )
        for k, share in enumerate(shares(steps)):
            curves.append(
                key.assign(
                    method=method, share=share, deletion=gone[:, k], insertion=come[:, k]
                ).iloc[read_right]
            )
    return pd.concat(rows, ignore_index=True), pd.concat(curves, ignore_index=True)


def _score(reader: Reader, targets: Targets) -> Score:
    return lambda images, rows: posterior(reader, images, targets.rows(rows))


def randomised_maps(
    explanation: Explanation,
    reader: NetworkReader,
    captcha: Ints,
    masks: Bools,
    *,
    effort: SaliencyEffort,
    seed: int,
) -> pd.DataFrame:
    """How alike |maps| stay while the weights are drawn anew from the last layer down, a row a row of the explanation.

    captcha (m,), masks (m, H, W) of the characters. Columns captcha, method, layer, layers (how many are drawn anew,
    from 1), spearman over the pixels of the mask, whole over the whole picture. A method whose maps stay as they were
    tells of the picture, not of the reader. Gradient methods only, their maps made anew with `effort`, which may be
    less than that of the explanation.
    """
    methods = [method for method in explanation.maps if method in GRADIENTS]
    images = explanation.images
    targets = explanation.targets
    trained = {
        method: np.abs(gradient_maps(reader, images, targets, method, effort, seed=seed)[0])
        for method in methods
    }
    rows = []
    for layers, (layer, other) in enumerate(
        cascade(reader, generator=torch.Generator().manual_seed(seed)), 1
    ):
        for method in methods:
            maps = np.abs(gradient_maps(other, images, targets, method, effort, seed=seed)[0])
            rows.append(
                pd.DataFrame(
                    {
                        "captcha": captcha,
                        "method": method,
                        "layer": layer,
                        "layers": layers,
                        "spearman": spearman_within(maps, trained[method], masks),
                        "whole": spearman(maps, trained[method]),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def mean_by_captcha(
    values: Doubles, captcha: Ints, *, confidence: float, draws: int, seed: int
) -> tuple[float, float, float, int, str]:
    """Mean of values (m,), its interval by resampling captchas (percentiles), the captchas, and a note.

    NaN values are left out; fewer than FEW captchas give no interval, and the note says so.
    """
    finite = np.isfinite(values)
    _, group = np.unique(captcha[finite], return_inverse=True)
    G = int(group.max(initial=-1)) + 1
    if G == 0:
        return np.nan, np.nan, np.nan, 0, "no character to measure"
    count = np.bincount(group).astype(float)
    total = np.bincount(group, values[finite])
    if G < MIN_CAPTCHAS_FOR_MEAN:
        return (
            total.sum() / count.sum(),
            np.nan,
            np.nan,
            G,
            f"{G} captcha(s): too few for an interval",
        )
    weights = multinomial_counts(G, draws, rng=np.random.default_rng(seed))
    low, high = percentile_interval((weights @ total) / (weights @ count), confidence)
    return total.sum() / count.sum(), float(low), float(high), G, ""


def summarise(rows: pd.DataFrame, *, confidence: float, draws: int, seed: int) -> pd.DataFrame:
    """The measures as tidy rows, SaliencyMeasures, by noise type and level; POOLED (level NaN) is all noise.

    measure is deletion, insertion, mass, chance or drift; and, paired by row, so that above 0 is better than the
    control: deletion_over_random, deletion_over_ink, insertion_over_random, insertion_over_ink, mass_over_chance.
    """
    table = _with_gains(rows)
    measures = [name for name in table if name not in (*KEY, "method")]
    cells = [(noise, level, part) for (noise, level), part in table.groupby(SCALES, sort=False)]
    noisy = table[table[SaliencyMeasures.level] > 0]
    cells += [(POOLED, np.nan, noisy)] if len(noisy) else []
    found = []
    for noise, level, cell in cells:
        for method, part in cell.groupby(SaliencyMeasures.method, sort=False):
            for name in measures:
                if (name.startswith("drift") and level == 0) or (
                    method in CONTROLS and name in GAINS
                ):
                    continue
                estimate = mean_by_captcha(
                    part[name].to_numpy(float),
                    part[CAPTCHA].to_numpy(),
                    confidence=confidence,
                    draws=draws,
                    seed=seed,
                )
                found.append([noise, level, method, name, *estimate])
    return pd.DataFrame(found, columns=SaliencyMeasures.names())


def _with_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with each method's gains over the controls, row by row; the order of rows is alike in every method."""
    table = rows.reset_index(drop=True).copy()
    size = len(table) // table[SaliencyMeasures.method].nunique()
    for control in CONTROLS:
        own = table[table[SaliencyMeasures.method] == control]
        for name, sign in (("deletion", -1), ("insertion", 1)):
            control_values = np.tile(own[name].to_numpy(float), len(table) // size)
            table[f"{name}_over_{control}"] = sign * (table[name].to_numpy(float) - control_values)
    return table.assign(mass_over_chance=table["mass"] - table["chance"])


def summarise_curves(
    curves: pd.DataFrame, *, confidence: float, draws: int, seed: int
) -> pd.DataFrame:
    """Mean curves: renderings (clean or noisy), curve (deletion or insertion), method, share, value, low, high,
    captchas, note."""
    found = []
    level = curves[SaliencyMeasures.level]
    for renderings, part in (("clean", curves[level == 0]), ("noisy", curves[level > 0])):
        for (method, share), cell in part.groupby(
            [SaliencyCurves.method, SaliencyCurves.share], sort=False
        ):
            for name in CURVES:
                estimate = mean_by_captcha(
                    cell[name].to_numpy(float),
                    cell[CAPTCHA].to_numpy(),
                    confidence=confidence,
                    draws=draws,
                    seed=seed,
                )
                found.append([renderings, name, method, share, *estimate])
    return pd.DataFrame(found, columns=SaliencyCurves.names())


def summarise_randomised(
    rows: pd.DataFrame, *, confidence: float, draws: int, seed: int
) -> pd.DataFrame:
    """Mean likeness by method and layers drawn anew: method, layer, layers, measure (spearman or whole), value, low,
    high, captchas, note."""
    found = []
    by = [SaliencyRandomised.method, SaliencyRandomised.layer, SaliencyRandomised.layers]
    for (method, layer, layers), cell in rows.groupby(by, sort=False):
        for name in ("spearman", "whole"):
            estimate = mean_by_captcha(
                cell[name].to_numpy(float),
                cell[CAPTCHA].to_numpy(),
                confidence=confidence,
                draws=draws,
                seed=seed,
            )
            found.append([method, layer, layers, name, *estimate])
    return pd.DataFrame(found, columns=SaliencyRandomised.names())


def mean_maps(
    maps: Maps, masks: Bools, characters: Sequence[str], size: int
) -> dict[str, tuple[Maps, Maps]]:
    """By character the mean map and the mean glyph, (size, size) each, aligned to the box of its mask.

    The box, with a quarter of its longer side around it, is brought to size x size; maps are divided by their own
    largest magnitude first. A character without a mask anywhere is left out.
    """
    found: dict[str, list[tuple[Maps, Maps]]] = {}
    for one, mask, character in zip(maps, masks, characters, strict=True):
        if mask.any():
            window = _window(mask)
            scaled = one / max(float(np.abs(one).max()), 1e-12)
            found.setdefault(character, []).append(
                (_sampled(scaled, window, size), _sampled(mask.astype(np.float32), window, size))
            )
    return {
        character: (
            np.mean([pair[0] for pair in pairs], axis=0),
            np.mean([pair[1] for pair in pairs], axis=0),
        )
        for character, pairs in sorted(found.items())
    }


def _window(mask: Bools) -> tuple[float, float, float]:
    """Middle row, middle column and side of the square about a mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    side = 1.5 * max(rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0])
    return (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2, side


def _sampled(picture: Maps, window: tuple[float, float, float], size: int) -> Maps:
    """The window of a picture at size x size points, nearest pixel, 0 outside."""
    offsets = ((np.arange(size) + 0.5) / size - 0.5) * window[2]
    rows, columns = (np.round(middle + offsets).astype(int) for middle in window[:2])
    inside = ((rows >= 0) & (rows < picture.shape[0]))[:, None] & (
        (columns >= 0) & (columns < picture.shape[1])
    )
    taken = picture[
        np.clip(rows, 0, picture.shape[0] - 1)[:, None], np.clip(columns, 0, picture.shape[1] - 1)
    ]
    return np.where(inside, taken, 0).astype(np.float32)


def saliency_headlines(
    summary: pd.DataFrame, layers: pd.DataFrame, residual: Doubles | None
) -> dict[str, float]:
    """The numbers of plots/explain/summary.json, by method: mass and the gains over the controls on clean renderings,
    drift over all noisy ones, and the likeness left on the glyph when all layers are drawn anew; the chance of mass,
    and the median residual of integrated gradients. What was not measured is left out."""
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
