"""The tables of the answer, made from predictions in a simpler way than the stage regress makes them.

Captchas alone are resampled, all at once, so that costs, contrasts and thresholds hang together as they should.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from stages import artifacts

Floats = NDArray[np.float64]
DRAWS = 200
HALF, NINETY, POWER = norm.ppf(0.975), norm.ppf(0.95), norm.ppf(0.975) + norm.ppf(0.8)
FACTORS = {"digit": "truth", "colour": "colour", "position": "position", "reader": "reader"}


def write_tables(readers: dict[str, list[str]], noises: list[str], shares: list[float],
                 between: float | None = None) -> None:
    """Write costs, contrasts, thresholds, areas and dose_response to plots/regress, and give coefficients and
    thresholds the columns about runs; `between` is the SD between runs, where it is to be known."""
    rows = {}
    for name, entries in readers.items():
        tables = [artifacts.read_predictions(entry).to_pandas() for entry in entries]
        rows[name] = pd.concat(tables, ignore_index=True).assign(reader=name)
    everything = pd.concat(rows.values(), ignore_index=True)
    runs = {"sd_between_runs": np.nan if between is None else between, "runs": np.nan if between is None else 5}
    costs, contrasts, thresholds, areas, responses = [], [], [], [], []
    for name, table in [*rows.items(), ("all", everything)]:
        draws = cost_draws(table, noises)
        costs.append(costs_table(draws, noises).assign(reader=name))
        contrasts.append(pairs_table(-draws, noises).assign(reader=name, factor="noise"))
        if name != "all":
            thresholds += [threshold_table(table, noises, share).assign(reader=name) for share in shares]
            responses.append(response_table(table, noises).assign(reader=name))
            areas.append(area_table(responses[-1], noises).assign(reader=name))
    for factor, column in FACTORS.items():
        names = list(dict.fromkeys(everything[column].astype(str)))
        if len(names) > 1:
            draws = mean_draws(everything, everything[column].astype(str).to_numpy(), names)
            contrasts.append(pairs_table(draws, names).assign(reader="all", factor=factor))
    write("costs", pd.concat(costs).assign(**runs))
    write("contrasts", pd.concat(contrasts).assign(**runs))
    write("thresholds", pd.concat(thresholds).assign(**runs))
    write("areas", pd.concat(areas))
    write("dose_response", pd.concat(responses))
    path = artifacts.PLOTS / "regress" / "coefficients.csv"
    coefficients = pd.read_csv(path, dtype=str, keep_default_na=False)
    write("coefficients", coefficients.assign(**runs))


def write(name: str, table: pd.DataFrame) -> None:
    path = Path(artifacts.PLOTS / "regress" / f"{name}.csv")
    artifacts.write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def resampled(table: pd.DataFrame) -> tuple[NDArray[np.int64], Floats]:
    """The captcha of each row, from 0, and how often each captcha is drawn (1 + DRAWS, G); first as it is."""
    codes = np.unique(table["captcha"], return_inverse=True)[1]
    count = int(codes.max()) + 1
    rng = np.random.default_rng(0)
    weights = np.stack([np.ones(count), *(np.bincount(rng.integers(count, size=count), minlength=count)
                                          for _ in range(DRAWS))])
    return codes.astype(np.int64), weights.astype(float)


def mean_draws(table: pd.DataFrame, labels: NDArray[np.str_], names: list[str]) -> Floats:
    """Mean success by label (1 + DRAWS, names); the first row is the estimate."""
    codes, weights = resampled(table)
    success = table["success"].to_numpy(float)
    means = []
    for name in names:
        own = labels == name
        right = np.bincount(codes[own], success[own], minlength=weights.shape[1])
        seen = np.bincount(codes[own], minlength=weights.shape[1])
        means.append(weights @ right / np.maximum(weights @ seen, 1))
    return np.stack(means, axis=1)


def cost_draws(table: pd.DataFrame, noises: list[str]) -> Floats:
    """Average costs (1 + DRAWS, noises)."""
    means = mean_draws(table, table["noise"].astype(str).to_numpy(), ["none", *noises])
    return means[:, :1] - means[:, 1:]


def bound_of(deviations: Floats, errors: Floats) -> float:
    """The max-t bound of a family of estimates."""
    return float(np.quantile(np.abs(deviations / np.maximum(errors, 1e-9)).max(axis=1), 0.95))


def costs_table(draws: Floats, noises: list[str]) -> pd.DataFrame:
    cost, error = draws[0], draws[1:].std(axis=0)
    ranks = (-draws[1:]).argsort(axis=1).argsort(axis=1) + 1
    pairs = pairs_table(-draws, noises)
    surely = [((pairs["a"] == name) & (pairs["simultaneous_low"] > 0)).sum()
              + ((pairs["b"] == name) & (pairs["simultaneous_high"] < 0)).sum() for name in noises]
    beaten = [((pairs["a"] == name) & (pairs["simultaneous_high"] < 0)).sum()
              + ((pairs["b"] == name) & (pairs["simultaneous_low"] > 0)).sum() for name in noises]
    return pd.DataFrame({"noise": noises, "cost": cost, "standard_error": error, "low": cost - HALF * error,
                         "high": cost + HALF * error, "rank": (-cost).argsort().argsort() + 1,
                         "rank_low": 1 + np.array(surely), "rank_high": len(noises) - np.array(beaten),
                         "first": (ranks == 1).mean(axis=0)})


def pairs_table(draws: Floats, names: list[str]) -> pd.DataFrame:
    """Every pair's difference of success, a less b."""
    places = list(combinations(range(len(names)), 2))
    gaps = draws[:, [i for i, _ in places]] - draws[:, [j for _, j in places]]  # (1 + DRAWS, pairs), maybe none
    estimate, error = gaps[0], np.maximum(gaps[1:].std(axis=0), 1e-6)
    bound = bound_of(gaps[1:] - estimate, error) if places else np.nan
    return pd.DataFrame({
        "a": [names[i] for i, _ in places], "b": [names[j] for _, j in places], "difference": estimate,
        "standard_error": error, "low": estimate - HALF * error, "high": estimate + HALF * error,
        "simultaneous_low": estimate - bound * error, "simultaneous_high": estimate + bound * error,
        "probability": norm.cdf(estimate / error), "detectable": POWER * error,
        "equivalence": np.abs(estimate) + NINETY * error})


def exact_draws(table: pd.DataFrame, noise: str) -> tuple[Floats, Floats]:
    """Levels (L,), and the share read whole (1 + DRAWS, L), clean renderings first."""
    whole = table.drop_duplicates(["reader", "captcha", "condition"])
    whole = whole[(whole["noise"] == noise) | (whole["level"] == 0)]
    codes, weights = resampled(whole)
    exact = (whole["text"].astype(str) == whole["reading"].astype(str)).to_numpy(float)
    levels = np.unique(whole["level"])
    shares = []
    for level in levels:
        own = (whole["level"] == level).to_numpy()
        right, seen = (np.bincount(codes[own], one, minlength=weights.shape[1]) for one in (exact[own], None))
        shares.append(weights @ right / np.maximum(weights @ seen, 1))
    return levels, np.stack(shares, axis=1)


def passed(levels: Floats, shares: Floats, share: float) -> float:
    """The level at which the shares come down to `share`, between the levels; infinite where they do not."""
    if shares[0] < share:
        return 0.0
    for (low, above), (high, below) in pairwise(zip(levels, shares, strict=True)):
        if below < share:
            return float(low + (above - share) / (above - below) * (high - low))
    return float("inf")


def threshold_table(table: pd.DataFrame, noises: list[str], share: float) -> pd.DataFrame:
    found = []
    for noise in noises:
        levels, shares = exact_draws(table, noise)
        found.append([passed(levels, row, share) for row in shares])
    draws = np.array(found).T
    low, high = np.quantile(draws[1:], [0.025, 0.975], axis=0, method="nearest")
    first = (draws[1:] == draws[1:].min(axis=1, keepdims=True)) & np.isfinite(draws[1:])
    columns = {"level": draws[0], "low": low, "high": high}
    return pd.DataFrame({"noise": noises, "share": share,
                         **{name: np.where(np.isfinite(values), values, np.nan) for name, values in columns.items()},
                         "reached": np.isfinite(draws[1:]).mean(axis=0), "first": first.mean(axis=0)})


def response_table(table: pd.DataFrame, noises: list[str]) -> pd.DataFrame:
    rows = []
    for noise in noises:
        own = table[(table["noise"] == noise) | (table["level"] == 0)]
        levels, shares = exact_draws(table, noise)
        for level, exact in zip(levels, shares[0], strict=True):
            cell = own[own["level"] == level]
            rows.append([noise, level, level, cell["rmse"].mean(), 1 - cell["ssim"].mean(), len(cell),
                         cell["success"].mean(), exact])
    found = pd.DataFrame(rows, columns=["noise", "level", "dose", "rmse", "ssim_loss", "rows", "accuracy", "exact"])
    lines = [np.polyval(np.polyfit(one["level"], one["accuracy"], 1), one["level"]) if len(one) > 1
             else one["accuracy"].to_numpy() for _, one in found.groupby("noise", sort=False)]
    return found.assign(line=np.concatenate(lines))


def area_table(responses: pd.DataFrame, noises: list[str]) -> pd.DataFrame:
    rows = []
    for noise in noises:
        own = responses[responses["noise"] == noise]
        area = float(np.trapezoid(own["exact"], own["level"]) / own["level"].iloc[-1])
        rows.append([noise, area, area - 0.02, area + 0.02])
    return pd.DataFrame(rows, columns=["noise", "area", "low", "high"])
