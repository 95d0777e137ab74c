"""Cost of the study: CPU seconds, wall seconds and peak memory of every stage of one real `dvc repro`.

Run from the root: `python -m benchmarks.study [-S readers.noisy.precision=fp32 …]`; takes minutes. HEAD is cloned into
a scratch folder with its own cache, `-S` changes its params.yaml, and every stage runs there. Progress goes to stderr,
a Markdown table to stdout. The seconds of a stage include its start-up and its workers; its memory is that of its
largest process. The cost of DVC is the difference between the whole process tree and the stages.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

STARTED = re.compile(r"> exec python -m stages\.")  # DVC shows a command as it starts it
ENDED = re.compile(
    r"\[(\S+)\] cost: ([\d.]+) CPU s, peak (\d+) MiB$"
)  # the last line of stages.command
NATIVE = ("avx512_bf16", "amx_bf16", "bf16")  # flags of x86 and Arm


@dataclass(frozen=True)
class Cost:
    stage: str
    cpu: float  # s
    wall: float  # s
    peak: float  # MiB


def costs(lines: Iterable[tuple[float, str]]) -> Iterator[Cost]:
    """The cost of each stage, from the output lines of `dvc repro` and their times, s.

    Raises ValueError if a stage ends that did not start.
    """
    began: float | None = None
    for moment, line in lines:
        if STARTED.match(line):
            began = moment
        elif ended := ENDED.match(line):
            if began is None:
                raise ValueError(
                    f"expected a stage's command before {line!r}: does dvc.yaml start it by exec?"
                )
            yield Cost(ended[1], float(ended[2]), moment - began, float(ended[3]))
            began = None


def table(stages: Iterable[Cost], tree: Cost) -> Iterator[str]:
    """The lines of a Markdown table; `tree` is the whole tree of processes."""
    rows = list(stages)
    cpu = sum(row.cpu for row in rows)
    wall = sum(row.wall for row in rows)
    rows += [
        Cost("all stages", cpu, wall, max(row.peak for row in rows)),
        Cost("DVC itself", tree.cpu - cpu, tree.wall - wall, float("nan")),
        tree,
    ]
    yield "| stage | CPU s | wall s | peak MiB |"
    yield "|---|--:|--:|--:|"
    for row in rows:
        peak = "" if math.isnan(row.peak) else f"{row.peak:,.0f}"
        yield f"| {row.stage} | {row.cpu:.1f} | {row.wall:.1f} | {peak} |"


def override(path: Path, changes: Iterable[str]) -> None:
    """Change keys of a YAML file, each given as `a.b=value`. Raises ValueError on an unknown key."""
    yaml = YAML()
    tree: Any = yaml.load(path)
    for change in changes:
        key, found, value = change.partition("=")
        *sections, last = key.split(".")
        section = tree
        for name in sections:
            section = section.get(name) if isinstance(section, dict) else None
        if not found or not isinstance(section, dict) or last not in section:
            raise ValueError(f"-S {change}: expected key=value with a key of {path.name}")
        section[last] = YAML(typ="safe").load(value)
    yaml.dump(tree, path)


def spent() -> tuple[float, float]:
    """CPU seconds of all finished child processes, and the peak memory of the largest, MiB."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (
        1 << 20 if sys.platform == "darwin" else 1 << 10
    )


def reproduce(clone: Path) -> tuple[list[Cost], Cost]:
    """Run every stage; the cost of each, and of the whole process tree. Raises ValueError if DVC fails."""
    before = spent()[0]
    started = time.monotonic()
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"}
    dvc = subprocess.Popen(
        ["dvc", "repro", "-f"], cwd=clone, env=environment, text=True, stdout=subprocess.PIPE
    )

    def arriving() -> Iterator[tuple[float, str]]:
        for line in dvc.stdout or ():
            print(line, end="", file=sys.stderr, flush=True)
            yield time.monotonic(), line.rstrip()

    stages = list(costs(arriving()))
    if dvc.wait():
        raise ValueError(f"dvc repro ended with {dvc.returncode}: see above")
    cpu, peak = spent()
    return stages, Cost("`dvc repro`", cpu - before, time.monotonic() - started, peak)


def processor() -> str:
    """The processor's name, and whether it multiplies bfloat16."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    name = found[1] if found else platform.processor()
    native = [flag for flag in NATIVE if re.search(rf"\b{flag}\b", text)]
    return f"{name}, {os.cpu_count()} cores, {' '.join(native) or 'no'} bf16"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="CPU time, wall time and memory of every stage of the study."
    )
    parser.add_argument(
        "-S", action="append", default=[], metavar="KEY=VALUE", help="a change of params.yaml"
    )
    changes = parser.parse_args().S
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["git", "clone", "-q", ".", name], check=True)
        try:
            override(Path(name, "params.yaml"), changes)
        except ValueError as error:
            parser.error(str(error))
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=name,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        ).stdout.strip()
        stages, tree = reproduce(Path(name))
    print(f"{' '.join([commit, *changes])} on {processor()}\n", *table(stages, tree), sep="\n")


if __name__ == "__main__":
    main()
