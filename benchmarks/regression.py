"""CPU seconds and memory of clustered least squares, ours against statsmodels, linearmodels and pyfixest, in one run.

Run from the root: `python -m benchmarks.regression [rounds] [--quick]`; prints Markdown tables. Linux only. The sample
has K = 30 columns and clusters of four rows (captchas of four digits). Each figure is from a fresh process with one
thread, warmed up on a small sample. CPU is the median of the rounds, with interleaved cases. Peak is the resident
memory above that with the data loaded, in the library's input format; making that format is not timed for any of them.
Cases of more than about 3 seconds run once. `agrees` is the largest relative difference from our coefficients and
errors, with the peers set to the same factor and the same jackknife. --quick takes a tenth of the rows.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.statistics.least_squares import Block, Blocks, into_blocks, least_squares

Floats = NDArray[np.float64]
Answer = tuple[Floats, Floats]  # coefficients and standard errors, (K,) each
Work = Callable[[], Answer]

# columns, rows per cluster
K = 30
SIZE = 4
PART = 50_000  # rows of a part that is streamed
WARM = 2_000  # rows of the sample that warms up
NAMES = ["one", *(f"x{k}" for k in range(1, K))]
PEERS = ("statsmodels", "linearmodels", "pyfixest")
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


def rows_of(part: int, rows: int = PART) -> Block:
    """X (rows, K), y (rows,) and cluster (rows,) of one part; the same on every call.

    The columns: one, dummies of 5 noises, 4 colours, 9 digits and 3 positions, level to the third, 5 level x noise.
    The rows of a captcha share noise, colour, level and a random effect.
    """
    rng = np.random.default_rng([0, part])
    G = rows // SIZE
    noise, colour = (np.repeat(rng.integers(0, n, G), SIZE)[:, None] for n in (6, 5))
    digit = rng.integers(0, 10, rows)[:, None]
    position = np.tile(np.arange(SIZE), G)[:, None]
    level = np.repeat(rng.random(G), SIZE)[:, None]
    dummies = [
        values == np.arange(1, n)
        for values, n in ((noise, 6), (colour, 5), (digit, 10), (position, SIZE))
    ]
    X = np.hstack([np.ones((rows, 1)), *dummies, level, level**2, level**3, level * dummies[0]])
    chance = (
        0.95
        - 0.6 * X[:, 22]
        - 0.02 * X[:, 25:].sum(axis=1)
        + np.repeat(rng.normal(0, 0.2, G), SIZE)
    )
    return (
        X,
        (rng.random(rows) < chance).astype(float),
        part * (PART // SIZE) + np.repeat(np.arange(G), SIZE),
    )


def parts(rows: int) -> int:
    if rows % PART:
        raise ValueError(f"expected a multiple of {PART:,} rows, got {rows:,}")
    return rows // PART


def streamed(rows: int) -> Blocks:
    """All rows; each part is made anew on each call and cut into blocks, so that only one part is in memory."""

    def blocks() -> Iterator[Block]:
        for part in range(parts(rows)):
            yield from into_blocks(*rows_of(part))()

    return blocks


@dataclass(frozen=True)
class Sample:
    X: Floats
    y: Floats
    cluster: NDArray[np.int64]

    @classmethod
    def read(cls, folder: Path) -> Sample:
        return cls(*(np.load(folder / f"{name}.npy") for name in ("X", "y", "cluster")))

    def write(self, folder: Path) -> None:
        for name, values in vars(self).items():
            np.save(folder / f"{name}.npy", values)

    @classmethod
    def of(cls, rows: int) -> Sample:
        if rows <= PART:
            return cls(*rows_of(0, rows))
        return cls(
            *(
                np.concatenate(arrays)
                for arrays in zip(*map(rows_of, range(parts(rows))), strict=True)
            )
        )


def ours(sample: Sample, *, leave_out: bool, jackknife: bool | None = None) -> Work:
    def work() -> Answer:
        fit = least_squares(
            into_blocks(sample.X, sample.y, sample.cluster),
            NAMES,
            leave_out=leave_out,
            jackknife=jackknife,
        )
        return fit.beta, fit.standard_error

    return work


def ours_streamed(rows: int) -> Work:
    def work() -> Answer:
        fit = least_squares(streamed(rows), NAMES)
        return fit.beta, fit.standard_error

    return work


def making_parts(rows: int) -> Work:
    """The cost of streaming without a fit: the parts are made twice."""

    def work() -> Answer:
        sums = [sum(len(y) for _, y, _ in streamed(rows)()) for _ in range(2)]
        return np.array(sums, float), np.zeros(2)

    return work


def statsmodels(sample: Sample, *, method: str = "pinv", cov_type: str = "cluster") -> Work:
    from statsmodels.api import OLS

    def work() -> Answer:
        fit = OLS(sample.y, sample.X).fit(
            method=method, cov_type=cov_type, cov_kwds={"groups": sample.cluster}
        )
        return fit.params, fit.bse

    return work


def pooled(sample: Sample) -> Work:
    import pandas as pd
    from linearmodels.panel import PooledOLS

    index = pd.MultiIndex.from_arrays([sample.cluster, np.arange(len(sample.y)) % SIZE])
    y = pd.Series(sample.y, index, name="y")
    X = pd.DataFrame(sample.X, index, NAMES)

    def work() -> Answer:
        fit = PooledOLS(y, X).fit(
            cov_type="clustered", cluster_entity=True, debiased=True, group_debias=True
        )
        return fit.params.to_numpy(), fit.std_errors.to_numpy()

    return work


def iv2sls(sample: Sample) -> Work:
    from linearmodels.iv import IV2SLS

    def work() -> Answer:
        fit = IV2SLS(sample.y, sample.X, None, None).fit(
            cov_type="clustered", clusters=sample.cluster, debiased=True
        )
        return fit.params.to_numpy(), fit.std_errors.to_numpy()

    return work


def pyfixest(sample: Sample, *, vcov: str = "CRV1", coefficients_only: bool = False) -> Work:
    import pandas as pd
    from pyfixest import feols, ssc

    frame = pd.DataFrame(sample.X[:, 1:], columns=NAMES[1:]).assign(
        y=sample.y, cluster=sample.cluster
    )
    formula = f"y ~ {' + '.join(NAMES[1:])}"
    G = int(sample.cluster[-1]) + 1
    factor = (
        np.sqrt((G - 1) / G) if vcov == "CRV3" else 1.0
    )  # pyfixest's CRV3 has the factor of CV1, or none
    small = ssc(k_adj=False, G_adj=False) if vcov == "CRV3" else ssc()

    def work() -> Answer:
        fit = feols(
            formula,
            frame,
            vcov={vcov: "cluster"},
            ssc=small,
            lean=coefficients_only,
            copy_data=not coefficients_only,
            store_data=not coefficients_only,
        )
        return fit.coef().to_numpy(), fit.se().to_numpy() * factor

    return work


@dataclass(frozen=True)
class Case:
    library: str  # "ours" or the name of a package
    what: str
    once: bool  # too slow for several rounds
    prepare: Callable[[Sample], Work]


CASES: dict[str, tuple[Case, ...]] = {
    "CV1": (
        Case("ours", "`leave_out=False`", False, lambda sample: ours(sample, leave_out=False)),
        Case("pyfixest", "`feols`", False, pyfixest),
        Case(
            "pyfixest",
            "`feols`, lean, no copy",
            False,
            lambda sample: pyfixest(sample, coefficients_only=True),
        ),
        Case("statsmodels", "`OLS`", True, statsmodels),
        Case("statsmodels", "`OLS`, QR", True, lambda sample: statsmodels(sample, method="qr")),
        Case("linearmodels", "`PooledOLS`", True, pooled),
        Case("linearmodels", "`IV2SLS`", True, iv2sls),
    ),
    "CV3": (
        Case(
            "ours",
            "`jackknife=True` alone",
            False,
            lambda sample: ours(sample, leave_out=False, jackknife=True),
        ),
        Case(
            "ours",
            "with all of the table below",
            False,
            lambda sample: ours(sample, leave_out=True),
        ),
        Case(
            "statsmodels",
            "`cluster-crv3`",
            True,
            lambda sample: statsmodels(sample, cov_type="cluster-crv3"),
        ),
        Case("pyfixest", "`CRV3`", True, lambda sample: pyfixest(sample, vcov="CRV3")),
    ),
    "all": (Case("ours", "arrays", False, lambda sample: ours(sample, leave_out=True)),),
    "streamed": (
        Case("ours", "parts made and fitted", True, lambda sample: ours_streamed(len(sample.y))),
        Case("ours", "parts made, no fit", True, lambda sample: making_parts(len(sample.y))),
    ),
}


@dataclass(frozen=True)
class Figures:
    cpu: float  # s
    peak: float  # MB above the loaded data
    beta: Floats
    error: Floats


def status(field: str) -> float:
    """MB of a field of this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def measured(work: Work) -> Figures:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak memory
    before = status("VmRSS")
    started = time.process_time()
    beta, error = work()
    return Figures(time.process_time() - started, status("VmHWM") - before, beta, error)


def measure(task: str, case: int, rows: int, folder: Path) -> None:
    """In the fresh process: one figure, printed as JSON."""
    prepare = CASES[task][case].prepare
    if task == "streamed":
        prepare(_counted(PART))()
        figures = measured(prepare(_counted(rows)))
    else:
        prepare(Sample.of(WARM))()
        figures = measured(prepare(Sample.read(folder)))
    print(json.dumps([figures.cpu, figures.peak, list(figures.beta), list(figures.error)]))


def _counted(rows: int) -> Sample:
    """A sample of which only the length matters: no memory is touched."""
    return Sample(np.empty((0, K)), np.broadcast_to(0.0, rows), np.empty(0, np.int64))


def fresh(task: str, case: int, rows: int, folder: Path) -> Figures:
    command = [
        sys.executable,
        "-m",
        "benchmarks.regression",
        "--measure",
        task,
        str(case),
        str(rows),
        str(folder),
    ]
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}  # before the process imports NumPy
    output = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    cpu, peak, beta, error = json.loads(output.splitlines()[-1])
    return Figures(cpu, peak, np.array(beta), np.array(error))


def installed(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def run(task: str, rows: int, rounds: int) -> dict[Case, Figures]:
    """Medians of a task's cases with an installed library; interleaved rounds, so that a busy minute affects all."""
    cases = {
        case: number
        for number, case in enumerate(CASES[task])
        if case.library == "ours" or installed(case.library)
    }
    with tempfile.TemporaryDirectory() as name:
        if task != "streamed":
            Sample.of(rows).write(Path(name))
        figures: dict[Case, list[Figures]] = {case: [] for case in cases}
        for i in range(rounds):
            for case, number in cases.items():
                if not (i and case.once):
                    figures[case].append(fresh(task, number, rows, Path(name)))
    return {
        case: Figures(
            statistics.median(one.cpu for one in many),
            max(one.peak for one in many),
            many[0].beta,
            many[0].error,
        )
        for case, many in figures.items()
    }


def difference(first: Figures, second: Figures) -> float:
    """The largest relative difference of coefficients and errors."""
    pairs = ((first.beta, second.beta), (first.error, second.error))
    return max(float(np.abs(a / b - 1).max()) for a, b in pairs)


def table(title: str, results: dict[Case, Figures]) -> None:
    mine = next(figures for case, figures in results.items() if case.library == "ours")
    print(
        f"\n{title}\n\n| library | what | CPU s | ratio to ours | peak MB above the data | agrees |"
    )
    print("|---|---|--:|--:|--:|--:|")
    for case, figures in results.items():
        agrees = "" if figures is mine else f"{difference(figures, mine):.0e}"
        print(
            f"| {case.library} | {case.what} | {figures.cpu:.3f} | {figures.cpu / mine.cpu:.1f} | "
            f"{figures.peak:.0f} | {agrees} |"
        )


def streaming(counts: tuple[int, ...]) -> None:
    print(f"\nEverything, streamed from parts of {PART:,} rows that are made anew on each pass\n")
    print("| rows | CPU s | of which making the parts, twice | peak MB |\n|--:|--:|--:|--:|")
    for rows in counts:
        whole, making = run("streamed", rows, 1).values()
        print(f"| {rows:,} | {whole.cpu:.2f} | {making.cpu:.2f} | {whole.peak:.0f} |")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Speed and size of clustered least squares, beside its peers."
    )
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.measure:
        task, case, rows, folder = options.measure
        measure(task, int(case), int(rows), Path(folder))
        return
    scale = 10 if options.quick else 1
    for peer in PEERS:
        print(f"{peer} {installed(peer) or 'is not installed: skipped'}")
    print(f"K = {K}, clusters of {SIZE}; median of {options.rounds}, one thread")
    rows = 1_000_000 // scale
    table(f"Least squares with CV1, {rows:,} rows", run("CV1", rows, options.rounds))
    table(f"CV3, {rows // 10:,} rows", run("CV3", rows // 10, options.rounds))
    table(
        f"CV1, CV3, rows and clusters left out, leverage, G*, {rows:,} rows",
        run("all", rows, options.rounds),
    )
    streaming((rows, 10 * rows))


if __name__ == "__main__":
    main()
