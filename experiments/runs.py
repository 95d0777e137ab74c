"""Standard deviation between training runs: a study with several runs per reader, and the collection of its estimates.

`dvc exp run $(python -m experiments.runs noisy clean dense --runs 5)` trains each of these readers of params.yaml five
times; the runs differ only in `seed`. `python -m experiments.runs --collect` then writes experiments/runs.json from the
predictions. With it, a study with one run per reader reports that standard deviation next to its standard errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stages import artifacts, regress
from stages.command import progress, run
from stages.params import ReaderParams, read, runs_of
from stages.statistics import runs as per_run
from stages.statistics.formulas import terms_of
from stages.statistics.observations import sample_of


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.runs",
        allow_abbrev=False,
        description="Train readers several times, and collect how far the results move.",
    )
    parser.add_argument("readers", nargs="*", metavar="READER", help="readers of params.yaml")
    parser.add_argument(
        "--runs", type=int, default=5, metavar="R", help="of each reader (default: %(default)s)"
    )
    parser.add_argument(
        "--collect", action="store_true", help=f"write {regress.RUNS_FILE} from data/predictions"
    )
    given = parser.parse_args()
    if given.collect:
        if given.readers:
            parser.error("--collect takes no readers: it is of all in params.yaml")
        collect()
    else:
        print(
            "\n".join(
                word
                for override in overrides(given.readers, given.runs)
                for word in ("-S", override)
            )
        )


def overrides(readers: list[str], runs: int) -> list[str]:
    """Arguments of `dvc exp run -S` that give each reader this many runs; existing runs count.

    Raises ValueError without a reader, on one that params.yaml lacks or that is a run of another, and on fewer than two
    runs.
    """
    params = read("reader_defaults", "readers")
    entries = params.readers
    groups = runs_of(entries)
    unknown = [name for name in readers if name not in groups]
    if not readers or unknown:
        raise ValueError(
            f"expected some of the readers {', '.join(groups)}, got {', '.join(unknown) or 'none'}"
        )
    if runs < 2:
        raise ValueError(
            f"--runs: expected at least 2, got {runs}: one run says nothing about another"
        )
    found = []
    for name in dict.fromkeys(readers):
        seeds = {entries[run].seed for run in groups[name]}
        free = iter(seed for seed in range(1001) if seed not in seeds)
        for number in range(len(groups[name]) + 1, runs + 1):
            another = replace(entries[name], seed=next(free))
            written = ",".join(
                f"{key}:{_written(value)}" for key, value in _own(another, params.reader_defaults)
            )
            if f"{name}_{number}" in entries:
                raise ValueError(
                    f"readers.{name}_{number} is there already, and no run of {name}: rename it"
                )
            found.append(f"+readers.{name}_{number}={{{written}}}")
    if not found:
        raise ValueError(
            f"each of {', '.join(readers)} has {runs} runs already: ask for more with --runs"
        )
    return found


def _own(reader: ReaderParams, defaults: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """What the entry of a reader has to say, because the defaults do not; `init`, which dvc.yaml takes, always."""
    for key, value in asdict(reader).items():
        if key == "init" or key not in defaults or defaults[key] != value:
            yield key, value


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def collect() -> None:
    """Write the estimates of each run, of the r-th run of every reader together, and what they are of."""
    params = read(
        "seed", "glyphs", "captcha", "colour", "noise", "reader_defaults", "readers", "regression"
    )
    groups = runs_of(params.readers)
    chosen = params.regression
    single = [name for name, runs in groups.items() if len(runs) < 2]
    if single:
        raise ValueError(
            f"{', '.join(single)}: one run each, but --collect needs two or more of every reader: "
            "dvc exp run $(python -m experiments.runs ...)"
        )
    predictions = regress.read_all(tuple(params.readers))
    sample = sample_of(predictions, groups, params.readers, chosen.references)
    terms = terms_of(chosen, sample.variables.names)
    with threadpool_limits(1):
        runs = list(per_run.runs_apart(predictions, groups, params.readers, terms, chosen))
    found = per_run.PerRun(
        per_run.join_runs(runs),
        {**chosen.specifications, **chosen.checks},
        chosen.dose,
        asdict(chosen.references),
    )
    artifacts.write_text(
        regress.RUNS_FILE,
        per_run.text_of(
            artifacts.rounded(
                per_run.run_estimates(found, per_run.compared(params, groups)).to_json()
            )
        ),
    )
    progress(
        f"{regress.RUNS_FILE}: {len(found.estimates)} estimates of {len(runs)} runs of {', '.join(groups)}"
    )


if __name__ == "__main__":
    run(main)
