#!/usr/bin/env python
"""Stop where dvc.lock, metrics or plots in Git are not what this code and these parameters give; needs no data.

`dvc repro --dry --allow-missing` always exits 0, so its last line is read. It also takes a missing file for a cached
one, so outputs that Git should hold are looked for here.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

FRESH = "Data and pipelines are up to date."
# A stage that would run; where its inputs are in no cache, as on a fresh clone, DVC stops over them instead.
STALE = re.compile(r"^(?:Running stage|ERROR: failed to reproduce) '(.+?)':", re.MULTILINE)
REMEDY = "run `dvc repro`, then commit dvc.lock, metrics and plots"


def problem(lines: list[str], missing: list[str]) -> str | None:
    """What is wrong, in one line, or None; `lines` are those of the dry run, `missing` outputs that Git should hold."""
    if lines and lines[-1] == FRESH:
        return (
            f"dvc.lock names {', '.join(missing)}, but Git does not hold it: {REMEDY}"
            if missing
            else None
        )
    if stale := STALE.search("\n".join(lines)):
        return f"dvc.lock is stale (first stage to run: {stale[1]}): {REMEDY}"
    errors = [line for line in lines if line.startswith("ERROR")]
    return f"`dvc repro --dry` failed: {(errors or lines or ['it said nothing'])[0]}"


def dry_run() -> list[str]:
    command = ["dvc", "repro", "--dry", "--allow-missing"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )
    return [line for line in done.stdout.splitlines() if line.strip()]


def missing_outputs(lock: Path) -> list[str]:
    """Outputs in `lock` that do not exist and that Git does not ignore (what Git ignores is in DVC's cache)."""
    stages = YAML(typ="safe", pure=True).load(lock.read_text(encoding="utf-8"))["stages"]
    outputs = (str(out["path"]) for stage in stages.values() for out in stage.get("outs", []))
    return sorted(path for path in outputs if not Path(path).exists() and not _is_ignored(path))


def _is_ignored(path: str) -> bool:
    return subprocess.run(["git", "check-ignore", "--quiet", path]).returncode == 0


def main() -> None:
    lock = Path("dvc.lock")
    if not lock.is_file():
        raise SystemExit(f"error: there is no dvc.lock: {REMEDY}")
    if (wrong := problem(dry_run(), missing_outputs(lock))) is not None:
        raise SystemExit(f"error: {wrong}")
    print("dvc.lock, metrics and plots are fresh")


if __name__ == "__main__":
    main()
