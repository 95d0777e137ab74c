"""How far another training moves the results: a study with several runs of each reader, and what it found.

`dvc exp run $(python -m experiments.runs noisy clean dense --runs 5)` trains each of these readers of params.yaml five
times, alike but for `seed`; `python -m experiments.runs --collect` then writes experiments/runs.json from the
predictions, so that a study with one run each shows the standard deviation between runs beside its standard errors.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stages import artifacts, regress
from stages.command import progress, run
from stages.params import read, runs_of
from stages.statistics import runs as per_run
from stages.statistics.formulas import terms_of
from stages.statistics.observations import sample_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.runs", allow_abbrev=False,
                                     description="Train readers several times, and collect how far the results move.")
    parser.add_argument("readers", nargs="*", metavar="READER", help="readers of params.yaml")
    parser.add_argument("--runs", type=int, default=5, metavar="R", help="of each reader (default: %(default)s)")
    parser.add_argument("--collect", action="store_true", help=f"write {regress.RUNS} from data/predictions")
    given = parser.parse_args()
    if given.collect:
        if given.readers:
            parser.error("--collect takes no readers: it is of all in params.yaml")
        collect()
    else:
        print("\n".join(word for override in overrides(given.readers, given.runs) for word in ("-S", override)))


def overrides(readers: list[str], runs: int) -> list[str]:
    """What `dvc exp run -S` takes so that each of the readers has this many runs; those that there are count.

    Raises ValueError on no reader, one that params.yaml does not have, or that is a run of another, and fewer than two
    runs.
    """
    entries = read("readers").readers
    groups = runs_of(entries)
    unknown = [name for name in readers if name not in groups]
    if not readers or unknown:
        raise ValueError(f"expected some of the readers {', '.join(groups)}, got {', '.join(unknown) or 'none'}")
    if runs < 2:
        raise ValueError(f"--runs: expected at least 2, got {runs}: one run says nothing about another")
    found = []
    for name in dict.fromkeys(readers):
        seeds = {entries[run].seed for run in groups[name]}
        free = iter(seed for seed in range(1001) if seed not in seeds)
        for number in range(len(groups[name]) + 1, runs + 1):
            values = {**asdict(entries[name]), "seed": next(free)}
            written = ",".join(f"{key}:{_written(value)}" for key, value in values.items())
            if f"{name}_{number}" in entries:
                raise ValueError(f"readers.{name}_{number} is there already, and no run of {name}: rename it")
            found.append(f"+readers.{name}_{number}={{{written}}}")
    if not found:
        raise ValueError(f"each of {', '.join(readers)} has {runs} runs already: ask for more with --runs")
    return found


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def collect() -> None:
    """Write the estimates of each run, of the r-th run of every reader together, and what they are of."""
    params = read("seed", "glyphs", "captcha", "colour", "noise", "readers", "regression")
    groups, chosen = runs_of(params.readers), params.regression
    single = [name for name, runs in groups.items() if len(runs) < 2]
    if single:
        raise ValueError(f"{', '.join(single)}: one run each, but --collect needs two or more of every reader: "
                         "dvc exp run $(python -m experiments.runs ...)")
    predictions = regress.read_all(tuple(params.readers))
    sample = sample_of(predictions, groups, params.readers, chosen.references)
    terms = terms_of(chosen, sample.variables.names)
    with threadpool_limits(1):
        runs = list(per_run.runs_apart(predictions, groups, params.readers, terms, chosen))
    found = per_run.PerRun(per_run.joined(runs), {**chosen.specifications, **chosen.checks}, chosen.dose,
                           asdict(chosen.references))
    artifacts.write_text(regress.RUNS, per_run.text_of(artifacts.rounded(
        per_run.record_of(found, per_run.compared(params, groups)).to_json())))
    progress(f"{regress.RUNS}: {len(found.estimates)} estimates of {len(runs)} runs of {', '.join(groups)}")


if __name__ == "__main__":
    run(main)
