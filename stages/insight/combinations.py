"""Which neighbours, repetitions and whole texts are read best and worst, shrunk towards the mean.

Characters are those of stages.insight.classes. The unit is what was drawn once: a character of a captcha (its mean over
all conditions), or a whole captcha. Its renderings under many conditions are no independent trials, and fewer would
say nearly as much. A group (a pair, a text) is told by few units, so that the best and the worst by their raw shares
are mostly lucky ones. They are shrunk by the one-way random effects model

    unit = mean of its stratum + effect of its group, N(0, tau²) + error, N(0, sigma²)

with the intraclass share rho = tau² / (tau² + sigma²) integrated over a grid (uniform prior on its root; Rubin 1981,
"Estimation in parallel randomized experiments", Journal of Educational Statistics 6:377), not plugged in, since groups
may be few or alike. In simulations 90 % intervals covered 86 to 90 %. Texts take the conjugate beta, not the normal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from stages.captcha.design import stream
from stages.insight.classes import LEAST, TOO_FEW, check_characters, share_of
from stages.statistics.inference import adjusted

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = (np.arange(400) + 0.5) / 400  # of the root of rho
HALVINGS = 45                        # of an interval that holds a quantile
SIDES = {"left": -1, "right": 1}
KINDS = ("once", "apart", "adjacent")
PAIRS = ["side", "character", "neighbour", "pair", "units", "raw", "effect", "low", "high", "positive", "note"]
REPEATED = ["kind", "units", "captchas", "accuracy", "low", "high", "effect", "effect_low", "effect_high",
            "standard_error", "p", "p_holm", "note"]  # fmt: skip
TEXTS = ["end", "place", "text", "captchas", "renderings", "read", "expected", "shrunk", "low", "high", "note"]
NO_NEIGHBOURS = "the texts have one character each: there are no neighbours"


@dataclass(frozen=True)
class Spread:
    """How much groups truly differ. NaN, with a note, where that could not be told."""

    tau: float      # standard deviation of the groups' true values (posterior median), in shares
    low: float
    high: float
    p: float        # that there is none: permutation of the units within their stratum
    rho: float      # share of the units' variance that is the groups' (posterior mean)
    groups: int
    units: int
    repeats: int    # units beyond the first of each group, which alone tell error from effect
    note: str = ""


@dataclass(frozen=True)
class Effects:
    """The random effects model fitted: K grid points, J groups in S strata."""

    weight: Floats   # (K,) posterior of rho, those that matter
    tau2: Floats     # (K,)
    sigma2: Floats   # (K,)
    mean: Floats     # (K, J) mean of each group's stratum
    error: Floats    # (K, J) variance of that mean
    size: Floats     # (J,) units
    raw: Floats      # (J,) mean of the units

    @property
    def kept(self) -> Floats:
        """Share of a group's raw deviation that is kept, (K, J)."""
        tau2, sigma2 = self.tau2[:, None], self.sigma2[:, None]
        return np.asarray(tau2 / (tau2 + sigma2 / self.size))

    def deviations(self) -> tuple[Floats, Floats]:
        """Posterior mean and standard deviation (K, J) of the groups' deviations from their strata, at each rho."""
        kept = self.kept
        return kept * (self.raw - self.mean), np.sqrt(self.tau2[:, None] * (1 - kept) + kept**2 * self.error)

    def betas(self) -> tuple[Floats, Floats]:
        """Parameters (K, J) of the beta posterior of each group's rate; units in [0, 1].

        Rates are Beta with the stratum's mean mu and variance tau²; a unit counts as (mu (1 - mu) - tau²) / sigma²
        trials, which gives its rate the error sigma² that units were seen to have (overdispersion, or the opposite).
        """
        mu = np.clip(self.mean, 1e-6, 1 - 1e-6)
        spread = mu * (1 - mu)
        tau2 = np.minimum(self.tau2[:, None], 0.99 * spread)
        before = spread / tau2 - 1
        trials = self.size * np.maximum(spread - tau2, 0) / self.sigma2[:, None]
        return before * mu + trials * self.raw, before * (1 - mu) + trials * (1 - self.raw)


def random_effects(values: Floats, group: Ints, stratum: Ints) -> Effects:
    """Fit the model to units' values (N,); group (N,) from 0 to J - 1, each within one stratum (N,) from 0 to S - 1.

    For each rho the variance has its closed form, and the strata's means are integrated out (restricted likelihood:
    Patterson & Thompson 1971, Biometrika 58:545). Raises ValueError where all units are alike, or no stratum has two
    groups: nothing then tells a spread.
    """
    J, S = int(group.max()) + 1, int(stratum.max()) + 1
    size = np.bincount(group, minlength=J).astype(float)
    raw = np.bincount(group, values, J) / size
    of = np.zeros(J, int)
    of[group] = stratum
    if J <= S or np.ptp(values) == 0:
        raise ValueError("random_effects: units should differ, and two groups lie in one stratum: there is no spread")
    within = float(np.square(values - raw[group]).sum())
    rho = GRID**2
    precision = 1 / (rho[:, None] + (1 - rho[:, None]) / size)                 # (K, J), over the variance
    member = np.eye(S)[of]                                                     # (J, S)
    total = precision @ member                                                 # (K, S)
    mean = (precision * raw) @ member / total
    squares = within / (1 - rho) + (precision * np.square(raw - mean[:, of])).sum(axis=1)
    free = len(values) - S
    log_posterior = -0.5 * ((size - 1).sum() * np.log(1 - rho) - np.log(precision).sum(axis=1)
                            + np.log(total).sum(axis=1) + free * np.log(squares))
    weight = np.exp(log_posterior - log_posterior.max())
    told = weight > 1e-5
    variance = squares[told] / free
    return Effects(weight[told] / weight[told].sum(), rho[told] * variance, (1 - rho[told]) * variance,
                   mean[told][:, of], (variance[:, None] / total[told])[:, of], size, raw)


def quantile(cumulative: Callable[[Floats], Floats], weight: Floats, probability: float, low: Floats,
             high: Floats) -> Floats:
    """Quantiles (J,) of mixtures, by halving [low, high] (J,); cumulative maps (J,) to (K, J), weight (K,)."""
    low, high = low.copy(), high.copy()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = weight @ cumulative(middle) < probability
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def spread_of(effects: Effects, p: float, confidence: float, note: str = "") -> Spread:
    order = np.argsort(effects.tau2)
    tails = np.array([(1 - confidence) / 2, 0.5, (1 + confidence) / 2])
    at = np.minimum(np.searchsorted(np.cumsum(effects.weight[order]), tails), len(order) - 1)
    low, middle, high = np.sqrt(effects.tau2[order][at]).tolist()
    rho = float(effects.weight @ (effects.tau2 / (effects.tau2 + effects.sigma2)))
    units, groups = int(effects.size.sum()), len(effects.size)
    return Spread(middle, low, high, p, rho, groups, units, units - groups, note)


def permutation_p(values: Floats, group: Ints, stratum: Ints, *, draws: int, rng: np.random.Generator) -> float:
    """That groups do not matter: the chance that units shuffled within their stratum differ as much between groups.

    The statistic is the sum of squares between groups, each stratum scaled to variance 1. Exact where the units of a
    stratum are exchangeable under the null, with (1 + as extreme) / (1 + draws).
    """
    count = np.bincount(stratum)
    mean = np.bincount(stratum, values) / count
    centred = values - mean[stratum]
    deviation = np.sqrt(np.bincount(stratum, centred**2) / count)
    order = np.argsort(stratum, kind="stable")
    scaled = (centred / np.where(deviation > 0, deviation, 1)[stratum])[order]
    group, stratum = group[order], stratum[order]
    size = np.maximum(np.bincount(group), 1)

    def between(shuffled: Floats) -> float:
        return float((np.bincount(group, shuffled, len(size)) ** 2 / size).sum())

    least = between(scaled) * (1 - 1e-12)
    extreme = sum(between(scaled[np.argsort(stratum + rng.random(len(stratum)))]) >= least for _ in range(draws))
    return (1 + extreme) / (1 + draws)


def units_of(characters: pd.DataFrame) -> pd.DataFrame:
    """One row a character of a captcha: captcha, position, truth, left, right ("" at an end), kind, success, residual.

    success is its mean over the conditions; residual too, of success less the mean of that character under that
    condition. kind is "adjacent" where a neighbour is the same character, "apart" where it comes elsewhere in the text.
    """
    success = characters["success"].to_numpy(float)
    truth = characters["truth"].astype(str)
    typical = pd.Series(success).groupby([truth.to_numpy(), characters["condition"].to_numpy()]).transform("mean")
    rows = characters[["captcha", "position", "text"]].assign(truth=truth, success=success,
                                                              residual=success - typical.to_numpy())
    found = rows.groupby(["captcha", "position"], as_index=False).agg(
        text=("text", "first"), truth=("truth", "first"), success=("success", "mean"), residual=("residual", "mean"))
    around = [(text[at - 1] if at else "", text[at + 1:at + 2], text.count(text[at]))
              for text, at in zip(found["text"].astype(str), found["position"].astype(int), strict=True)]
    kinds = ["adjacent" if own in (left, right) else "apart" if times > 1 else "once"
             for own, (left, right, times) in zip(found["truth"], around, strict=True)]
    return found.assign(left=[left for left, _, _ in around], right=[right for _, right, _ in around], kind=kinds)


def neighbour_pairs(characters: pd.DataFrame, alphabet: str, side: str, *, confidence: float, draws: int,
                    seed: int) -> tuple[pd.DataFrame, Spread]:
    """What the neighbour on a side ("left" or "right") does to a character: one row a pair that occurs (PAIRS).

    `raw` and `effect` are shares of characters read right, less those of the same character under the same conditions
    with any neighbour on that side, and less the mean of its position: a pair with a 1 is not good because 1 is easy.
    `effect` is shrunk, low and high bound it; `positive` is the posterior probability that it is above 0; `pair` is
    both as they stand. A character that always has the same neighbour tells nothing: no effect, but a note.
    """
    check_characters(characters, alphabet)
    units = units_of(characters)
    units = units[units[side] != ""]
    if units.empty:
        return pd.DataFrame(columns=PAIRS), nothing(NO_NEIGHBOURS)
    values, group, stratum, names = _paired(units, side)
    size = np.bincount(group)
    table = pd.DataFrame(names, columns=["character", "neighbour"]).assign(
        side=side, units=size, raw=np.bincount(group, values) / size, effect=np.nan, low=np.nan, high=np.nan,
        positive=np.nan, note="")
    first, second = ("neighbour", "character") if side == "left" else ("character", "neighbour")
    table["pair"] = table[first] + table[second]
    alone = table.groupby("character")["pair"].transform("size").to_numpy() < 2
    table.loc[alone, "note"] = "the character always has this neighbour"
    told = ~alone[group]
    few = told.sum() < LEAST
    if few or np.ptp(values[told]) == 0:
        note = f"too few characters with neighbours to compare ({told.sum()})" if few else "all are read alike"
        table.loc[~alone, "note"] = note
        return table[PAIRS], nothing(note, groups=len(table), units=len(values))
    values, group, stratum = values[told], _codes(group[told]), _codes(stratum[told])
    effects = random_effects(values, group, stratum)
    p = permutation_p(values, group, stratum, draws=draws, rng=stream(seed, "combinations", side))
    table.loc[~alone, ["effect", "low", "high", "positive"]] = _normal(effects, confidence)
    return table[PAIRS], spread_of(effects, p, confidence)


def nothing(note: str, groups: int = 0, units: int = 0) -> Spread:
    """The spread where none could be told."""
    return Spread(np.nan, np.nan, np.nan, np.nan, np.nan, groups, units, units - groups, note)


def _codes(labels: Ints) -> Ints:
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def _paired(units: pd.DataFrame, side: str) -> tuple[Floats, Ints, Ints, list[tuple[str, str]]]:
    """Residuals about the character's own mean among these units, groups, strata (all (N,)), and the groups' names."""
    residual = units["residual"] - units.groupby("truth")["residual"].transform("mean")
    residual = residual - residual.groupby(units["position"]).transform("mean")
    pairs = pd.MultiIndex.from_frame(units[["truth", side]])
    names = sorted(set(pairs))
    values = (residual - residual.groupby(units["truth"]).transform("mean")).to_numpy(float)
    stratum = _codes(pd.factorize(units["truth"], sort=True)[0])
    return values, np.asarray(pd.Index(names).get_indexer(pairs), np.int64), stratum, names


def _normal(effects: Effects, confidence: float) -> Floats:
    """Effect, low, high and probability above 0 of each group, (J, 4)."""
    mean, deviation = effects.deviations()

    def below(x: Floats) -> Floats:
        return np.asarray(special.ndtr((x - mean) / deviation))

    low, high = (mean - 9 * deviation).min(axis=0), (mean + 9 * deviation).max(axis=0)
    ends = [quantile(below, effects.weight, tail, low, high) for tail in ((1 - confidence) / 2, (1 + confidence) / 2)]
    return np.stack([effects.weight @ mean, *ends, 1 - effects.weight @ below(np.zeros(len(low)))], axis=1)


def repeated_characters(characters: pd.DataFrame, alphabet: str, *, confidence: float) -> pd.DataFrame:
    """Characters that stand in their text once, also apart, or beside themselves: one row a kind (REPEATED).

    accuracy with low and high is raw; effect is that of the kind beside "once", with the character under its condition
    and the position held equal (least squares with their dummies), its error clustered by captcha, CR1, t with G-1
    degrees; p_holm over the two. Fewer than LEAST captchas of a kind: no interval, a note.
    """
    check_characters(characters, alphabet)
    units = units_of(characters)
    kind = units["kind"].to_numpy(str)
    counts = {one: int(units.loc[kind == one, "captcha"].nunique()) for one in KINDS}
    usable = [one for one in KINDS if counts[one] >= LEAST]
    told = _beside_once(units[np.isin(kind, usable)], usable[1:], confidence) if "once" in usable else {}
    rows: list[list[object]] = []
    for one in KINDS:
        own = (characters.merge(units[["captcha", "position", "kind"]], on=["captcha", "position"])
               .query("kind == @one"))
        *interval, note = share_of(own, confidence)
        if one != "once" and one in usable and "once" not in usable:
            note = "too few characters that stand once to compare with"
        effect = told.get(one, [0.0, *[np.nan] * 4] if one == "once" else [np.nan] * 5)
        rows.append([one, int((kind == one).sum()), counts[one], *interval, *effect, np.nan, note])
    table = pd.DataFrame(rows, columns=REPEATED)
    return table.assign(p_holm=adjusted(table["p"].to_numpy(float), "holm"))


def _beside_once(units: pd.DataFrame, kinds: list[str], confidence: float) -> dict[str, list[float]]:
    """Effect, low, high, error and p of each kind, by Frisch & Waugh (1933): all less their parts by the dummies."""
    if not kinds:
        return {}
    dummies = np.concatenate([pd.get_dummies(units[name]).to_numpy(float) for name in ("truth", "position")], axis=1)
    both = np.column_stack([units["residual"], *((units["kind"] == kind).to_numpy(float) for kind in kinds)])
    both = both - dummies @ np.linalg.lstsq(dummies, both, rcond=None)[0]
    y, X = both[:, 0], both[:, 1:]
    if np.linalg.matrix_rank(X, tol=1e-8 * np.sqrt(len(X))) < X.shape[1]:
        return {}
    bread = np.linalg.inv(X.T @ X)
    beta = bread @ X.T @ y
    codes, captchas = pd.factorize(units["captcha"])
    scores = np.stack([np.bincount(codes, column) for column in (X * (y - X @ beta)[:, None]).T], axis=1)  # (G, K)
    G, N, K = len(captchas), len(y), X.shape[1] + dummies.shape[1] - 1
    factor = G / (G - 1) * (N - 1) / max(1, N - K)
    error = np.sqrt(factor * np.diag(bread @ scores.T @ scores @ bread))
    half = stats.t.ppf((1 + confidence) / 2, G - 1) * error
    p = 2 * stats.t.sf(np.abs(beta) / np.where(error > 0, error, np.nan), G - 1)
    return {kind: [float(one) for one in row] for kind, *row in zip(kinds, beta, beta - half, beta + half, error, p,
                                                                    strict=True)}


@dataclass(frozen=True)
class Texts:
    """The best and the worst whole texts (TEXTS), how much texts differ, and how far their characters explain it."""

    table: pd.DataFrame
    spread: Spread
    explained: float  # squared correlation of the captchas' rates with those expected from their characters; or NaN


def whole_texts(characters: pd.DataFrame, alphabet: str, *, confidence: float, draws: int, seed: int,
                count: int = 12) -> Texts:
    """The `count` best and worst texts by the shrunk share of their renderings that is read whole.

    `read` is the raw share; `expected` what the characters alone lead to (each right as often as it is under that
    condition, independently); `shrunk` the posterior mean of the text's rate and low to high its interval: what to
    expect of the text drawn again. The unit is the captcha, so that a text that came once and failed is no 0 %. Only
    texts that came twice tell text from drawing (glyphs, layout, colour): with few of them the intervals show it.
    Fewer than LEAST captchas: no interval, a note.
    """
    check_characters(characters, alphabet)
    captchas = _captchas(characters)
    text = sorted(set(captchas["text"]))
    group = np.asarray(pd.Index(text).get_indexer(captchas["text"]), np.int64)
    values = captchas["read"].to_numpy(float)
    table = pd.DataFrame({"text": text, "captchas": np.bincount(group), "shrunk": np.nan, "low": np.nan, "high": np.nan,
                          "renderings": np.bincount(group, captchas["renderings"]).astype(int),
                          **{name: np.bincount(group, captchas[name]) / np.bincount(group)
                             for name in ("read", "expected")}})
    note = (TOO_FEW.format(what="captchas", count=len(values)) if len(values) < LEAST
            else "there is one text" if len(text) < 2
            else "all captchas are read alike" if np.ptp(values) == 0 else "")
    if note:
        return Texts(_ends(table.sort_values("read", ascending=False, kind="stable"), count, note),
                     nothing(note, len(text), len(values)), _squared_correlation(captchas))
    stratum = np.zeros(len(values), np.int64)
    effects = random_effects(values, group, stratum)
    a, b = effects.betas()
    table["shrunk"] = effects.weight @ (a / (a + b))
    table = table.sort_values(["shrunk", "read"], ascending=False, kind="stable")
    shown = _ends(table, count, "")
    of = pd.Index(text).get_indexer(shown["text"])
    for name, tail in (("low", (1 - confidence) / 2), ("high", (1 + confidence) / 2)):
        shown[name] = quantile(lambda x: np.asarray(special.betainc(a[:, of], b[:, of], x)), effects.weight, tail,
                               np.zeros(len(of)), np.ones(len(of)))
    repeats = len(values) - len(text)
    said = "" if repeats >= LEAST else f"{repeats} repeated: text and drawing are hardly told apart"
    p = permutation_p(values, group, stratum, draws=draws, rng=stream(seed, "combinations", "text"))
    return Texts(shown, spread_of(effects, p if repeats else np.nan, confidence, said), _squared_correlation(captchas))


def _captchas(characters: pd.DataFrame) -> pd.DataFrame:
    """One row a captcha: text, renderings, read (share read whole) and expected (from its characters)."""
    right = characters["success"].to_numpy(float)
    typical = pd.Series(right).groupby([characters["truth"].astype(str).to_numpy(),
                                        characters["condition"].to_numpy()]).transform("mean").to_numpy()
    rows = characters[["captcha", "condition"]].assign(
        text=characters["text"].astype(str), expected=typical,
        read=(characters["text"].astype(str) == characters["reading"].astype(str)).astype(float))
    renderings = rows.groupby(["captcha", "condition"]).agg(text=("text", "first"), expected=("expected", "prod"),
                                                            read=("read", "first"))
    return renderings.groupby("captcha").agg(text=("text", "first"), renderings=("read", "size"),
                                             expected=("expected", "mean"), read=("read", "mean")).reset_index()


def _squared_correlation(captchas: pd.DataFrame) -> float:
    if len(captchas) < LEAST or np.ptp(captchas["read"]) == 0 or np.ptp(captchas["expected"]) < 1e-9:
        return np.nan
    return float(np.corrcoef(captchas["read"], captchas["expected"])[0, 1] ** 2)


def _ends(table: pd.DataFrame, count: int, note: str) -> pd.DataFrame:
    """The first and the last rows of a table that descends; each text at one end alone."""
    few = min(count, len(table) // 2)
    best, worst = table.head(max(1, few)), table.tail(few)
    parts = [best.assign(end="best", place=np.arange(1, len(best) + 1)),
             worst.assign(end="worst", place=np.arange(len(table) - few + 1, len(table) + 1))]
    return pd.concat(parts, ignore_index=True).assign(note=note)[TEXTS]


def spreads_table(spreads: dict[str, Spread]) -> pd.DataFrame:
    """One row a kind of group: what ("left", "right", "text"), and the fields of Spread."""
    return pd.DataFrame([{"what": what, **vars(spread)} for what, spread in spreads.items()])


def headlines(spreads: dict[str, Spread], repeated: pd.DataFrame, texts: Texts) -> dict[str, float]:
    """The finite ones of: <what>_spread, with _low, _high, and _p for left, right and text (standard deviation of the
    true values, as a share); repeat_apart and repeat_adjacent (effect beside a character that stands once), with _p;
    text_best, text_worst (shrunk share), text_explained (squared correlation with what the characters lead to)."""
    values = {f"{what}_spread{end}": getattr(spread, field) for what, spread in spreads.items()
              for end, field in (("", "tau"), ("_low", "low"), ("_high", "high"), ("_p", "p"))}
    for kind, effect, p in repeated[["kind", "effect", "p_holm"]].itertuples(index=False):
        if kind != "once":
            values |= {f"repeat_{kind}": effect, f"repeat_{kind}_p": p}
    values |= {"text_best": texts.table["shrunk"].iloc[0], "text_worst": texts.table["shrunk"].iloc[-1],
               "text_explained": texts.explained}
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}
