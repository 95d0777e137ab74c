"""Write, as Markdown, what a commit changes in conclusions, parameters, metrics and figures against a base commit.

Usage: python -m ci.report BASE [HEAD] [--shown-as SHA]

`dvc metrics diff` and `dvc params diff` know the numbers, but their tables come in random order and cannot tell a
change from noise. A metric `m` with companions `m_low` and `m_high` (95 % interval) or `m_se` (standard error) is
shown with its interval, and its change is judged.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ruamel.yaml import YAML

from ci.conclusions import (
    COSTS_PATH,
    NORMAL_95,
    RUNS_PATH,
    THRESHOLDS_PATH,
    Conclusion,
    ReaderEstimate,
    Side,
    compared_conclusions,
    costs_that_moved,
    notes_of,
    side,
    spread_of_exact_matches,
)

IMAGES = (".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp")
COMPANIONS = ("_low", "_high", "_se")
COMMENT_LIMIT = 65_000  # characters; GitHub refuses comments above 65,536

Diff = Mapping[str, Mapping[str, Mapping[str, Any]]]  # path, name, "old" or "new"


@dataclass(frozen=True)
class Value:
    """A metric or parameter in one commit; `number_text` is None where it is absent, low and high where unknown."""

    number: Any
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class MetricRow:
    path: str
    name: str
    old: Value
    new: Value


@dataclass(frozen=True)
class MetricFigure:
    path: str
    status: str  # Git's letter: A added, D deleted, M modified


@dataclass(frozen=True)
class Commits:
    """The full names of what is compared; `repository` is its web address, None where that is unknown."""

    base: str
    head: str
    repository: str | None = None

    @property
    def columns(self) -> tuple[str, str]:
        return code(self.base[:7]), code(self.head[:7])


def metric_rows(diff: Diff) -> list[MetricRow]:
    """The metrics that changed, sorted by path and name; companions join the metric they belong to."""
    rows = [
        MetricRow(path, name, _value(metrics, name, "old"), _value(metrics, name, "new"))
        for path, metrics in sorted(diff.items())
        for name in sorted(metrics)
        if not _is_companion(name, metrics)
    ]
    return [row for row in rows if row.old != row.new]


def parameter_rows(diff: Diff) -> list[MetricRow]:
    """The parameters that changed, sorted by path and name."""
    rows = [
        MetricRow(path, name, Value(_present(sides.get("old"))), Value(_present(sides.get("new"))))
        for path, parameters in sorted(diff.items())
        for name, sides in sorted(parameters.items())
    ]
    return [row for row in rows if row.old != row.new]


def interval_of_change(old: Value, new: Value) -> tuple[float, float] | None:
    """The 95 % interval of new minus old, from the intervals of both; None where one is missing.

    Square-and-add (Newcombe 1998, method 10; Zou & Donner 2008), as if the commits were independent. They mostly test
    the same captchas, so the interval is rather too wide than too narrow.
    """
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return None
    difference = new.number - old.number
    below = math.hypot(new.number - new.low, old.high - old.number)
    above = math.hypot(new.high - new.number, old.number - old.low)
    return difference - below, difference + above


def beyond_noise(row: MetricRow) -> bool | None:
    """Whether the 95 % interval of a change excludes zero; None where it is unknown."""
    interval = interval_of_change(row.old, row.new)
    return None if interval is None else not interval[0] <= 0 <= interval[1]


def _is_companion(name: str, metrics: Mapping[str, object]) -> bool:
    return any(
        name.endswith(suffix) and name.removesuffix(suffix) in metrics for suffix in COMPANIONS
    )


def _value(metrics: Mapping[str, Mapping[str, Any]], name: str, side: str) -> Value:
    number, low, high, error = (
        _present(metrics.get(name + suffix, {}).get(side))
        for suffix in ("", "_low", "_high", "_se")
    )
    if not _is_number(number):
        return Value(number)
    if _is_number(low) and _is_number(high):
        return Value(number, low, high)
    if _is_number(error):
        return Value(number, number - NORMAL_95 * error, number + NORMAL_95 * error)
    return Value(number)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _present(value: Any) -> Any:
    """None for NaN, which JSON does not have, and which differs from itself."""
    return None if isinstance(value, float) and math.isnan(value) else value


def number_text(value: float) -> str:
    """Four significant digits, all digits of whole numbers, no exponent where a person needs none."""
    if isinstance(value, int) or abs(value) == math.inf:
        return str(value)
    if abs(value) >= 1e4:
        return f"{value:.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.2g}"


def code(text: str) -> str:
    """`text` in backticks, safe inside a Markdown table."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"


def cell(value: Value) -> str:
    """A value and its interval, safe inside a Markdown table."""
    if value.number is None:
        return "–"
    if not _is_number(value.number):
        text = (
            value.number
            if isinstance(value.number, str)
            else json.dumps(value.number, ensure_ascii=False)
        )
        return (
            " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
            or '""'
        )
    if value.low is None or value.high is None:
        return number_text(value.number)
    return f"{number_text(value.number)} ({number_text(value.low)} to {number_text(value.high)})"


def change_text(row: MetricRow) -> str:
    """The change with its sign and an arrow, or what happened instead."""
    old = row.old.number
    new = row.new.number
    if old is None or new is None:
        return "added" if old is None else "removed"
    if not (_is_number(old) and _is_number(new)):
        return "changed"
    if old == new:
        return "interval only"
    difference = new - old
    rounded = number_text(float(f"{difference:.3g}"))
    return f"▲ +{rounded}" if difference > 0 else f"▼ {rounded}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns after the second are numbers and lean right."""
    rule = ["---" if i < 2 else "--:" for i in range(len(header))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *rows))


def cells(one: Conclusion) -> list[str]:
    return [cell(Value(text)) for text in (one.what, one.before, one.after, one.change, one.beyond)]


def conclusions_section(base: Side, head: Side, commits: Commits) -> str:
    """Which conclusions changed, in the first line; then by how much, and whether beyond another training run."""
    found = list(compared_conclusions(base, head))
    changed = [one for one in found if one.changed]
    notes = notes_of(base, head)
    if not found:
        return (
            "Conclusions cannot be compared: "
            + "; ".join(notes or ["the commits share no reader"])
            + "."
        )
    lines = [f"**{len(changed) or 'None'} of {len(found)} conclusions changed.**"]
    lines += [
        f"- {one.what}: {one.before} → {one.after} ({one.change}; beyond another training run: {one.beyond})"
        for one in changed
    ]
    lines += [f"- {line}" for line in costs_that_moved(base, head)]
    judged = markdown_table(
        ("Conclusion", *commits.columns, "Change", "Beyond another training run?"),
        list(map(cells, found)),
    )
    missing = [f"Not compared: {'; '.join(notes)}."] * bool(notes)
    return "\n\n".join(["\n".join(lines), judged, *missing])


def exact_matches(
    metrics: Diff, which: str, between: Mapping[str, float]
) -> dict[str, ReaderEstimate]:
    """The exact match of every reader in the `old` or the `new` commit; `between` are SDs between training runs."""
    found = {}
    for path, one in sorted(metrics.items()):
        if path.startswith("metrics/predict/"):
            value = _value(one, "exact_match", which)
            if _is_number(value.number) and value.low is not None and value.high is not None:
                error = (value.high - value.low) / (2 * NORMAL_95)
                reader = path.removeprefix("metrics/predict/").removesuffix(".json")
                found[reader] = ReaderEstimate(value.number, error, between.get(reader, math.nan))
    return found


def parameters_section(rows: Sequence[MetricRow], commits: Commits) -> str:
    if not rows:
        return "No parameter changed."
    lines = [(code(row.path), code(row.name), cell(row.old), cell(row.new)) for row in rows]
    return markdown_table(("File", "Parameter", *commits.columns), lines)


def metrics_section(rows: Sequence[MetricRow], commits: Commits) -> str:
    if not rows:
        return "No metric changed."
    verdicts = {True: "**yes**", False: "no", None: ""}
    judged = [beyond_noise(row) for row in rows]
    lines = [
        (
            code(row.path),
            code(row.name),
            cell(row.old),
            cell(row.new),
            change_text(row),
            verdicts[verdict],
        )
        for row, verdict in zip(rows, judged, strict=True)
    ]
    header = ("File", "Metric", *commits.columns, "Change", "Beyond noise?")
    legend = (
        f"{sum(v is True for v in judged)} of {sum(v is not None for v in judged)} changes that have a 95 % interval "
        "(in brackets) lie beyond it: beyond noise means that the interval of the change excludes 0."
    )
    return markdown_table(header, lines) + f"\n\n{legend}" * any(v is not None for v in judged)


def figures_section(figures: Sequence[MetricFigure], commits: Commits) -> str:
    if not figures:
        return "No figure changed."
    lines = [(code(figure.path), *_pictures(figure, commits)) for figure in figures]
    return markdown_table(("Figure", *commits.columns), lines)


def _pictures(figure: MetricFigure, commits: Commits) -> Iterator[str]:
    """The figure in either commit: as a picture where the web address is known, else a word."""
    for sha, absent, word in ((commits.base, "A", "before"), (commits.head, "D", "after")):
        if figure.status == absent:
            yield "–"
        elif commits.repository is None:
            yield word
        else:
            yield f'<img width="420" src="{commits.repository}/blob/{sha}/{quote(figure.path)}?raw=true">'


def report(
    parameters: Diff,
    metrics: Diff,
    figures: Sequence[MetricFigure],
    commits: Commits,
    page: str | None,
    sides: tuple[Side, Side],
) -> str:
    """The whole report; `page` is where the interactive plots can be had, `sides` what base and head conclude."""
    changed_parameters = parameter_rows(parameters)
    changed_metrics = metric_rows(metrics)
    base, head = commits.columns
    title = f"## What {head} changes against {base}"
    if not (changed_parameters or changed_metrics or figures):
        return f"{title}\n\nNothing changed: no parameter, no metric, no figure.\n"
    sections = [
        title,
        f"### Conclusions\n\n{conclusions_section(*sides, commits)}",
        f"### Parameters\n\n{parameters_section(changed_parameters, commits)}",
        f"### Metrics\n\n{metrics_section(changed_metrics, commits)}",
        f"### Figures\n\n{figures_section(figures, commits)}",
    ]
    if page:
        sections.append(
            f"The plots of both commits on one page: the artifact `plots` of [this run]({page})."
        )
    return truncated("\n\n".join(sections) + "\n", COMMENT_LIMIT)


def truncated(text: str, limit: int) -> str:
    """Whole lines of `text`, at most `limit` characters, and a last line that says so where some were left out."""
    if len(text) <= limit:
        return text
    note = "\n\nThe rest is too long for a comment: run `dvc metrics diff` and `dvc params diff`.\n"
    return text[: text.rindex("\n", 0, limit - len(note))] + note


def run_command(*command: str) -> str:
    """Standard output of a command. Exits with one line where the command fails."""
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise SystemExit(f"error: `{' '.join(command)}` failed: {reason}")
    return done.stdout


def full_sha(revision: str) -> str:
    return run_command("git", "rev-parse", "--verify", f"{revision}^{{commit}}").strip()


def in_commit(sha: str, path: str) -> str | None:
    """The text of a file in a commit, None where it is not there."""
    listed = run_command("git", "ls-tree", "--name-only", sha, "--", path).strip()
    return run_command("git", "show", f"{sha}:{path}") if listed else None


def parameters_in(sha: str) -> Any:
    """The content of params.yaml in a commit, {} where it has none."""
    return YAML(typ="safe", pure=True).load(in_commit(sha, "params.yaml") or "{}")


def spread_in(sha: str) -> dict[str, float]:
    return spread_of_exact_matches(in_commit(sha, RUNS_PATH), parameters_in(sha))


def side_of(name: str, sha: str, readers: Mapping[str, ReaderEstimate]) -> Side:
    confidence = parameters_in(sha).get("regression", {}).get("confidence")
    return side(
        name, in_commit(sha, COSTS_PATH), in_commit(sha, THRESHOLDS_PATH), readers, confidence
    )


def changed_figures(base: str, head: str) -> list[MetricFigure]:
    """The pictures in Git that differ between two commits, sorted by path."""
    fields = run_command("git", "diff", "--name-status", "--no-renames", "-z", base, head).split(
        "\0"
    )[:-1]
    pairs = zip(fields[1::2], fields[::2], strict=True)
    return [
        MetricFigure(path, status)
        for path, status in sorted(pairs)
        if path.lower().endswith(IMAGES)
    ]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description="Markdown report of what HEAD changes against BASE."
    )
    parser.add_argument("base")
    parser.add_argument("head", nargs="?", default="HEAD")
    parser.add_argument(
        "--shown-as",
        help="commit to name and link instead of HEAD, where HEAD is a temporary merge",
    )
    options = parser.parse_args(arguments)
    base = full_sha(options.base)
    head = full_sha(options.head)
    server, repository, job = (
        os.environ.get(f"GITHUB_{key}") for key in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    address = f"{server}/{repository}" if server and repository else None
    commits = Commits(base, options.shown_as or head, address)
    metrics = json.loads(run_command("dvc", "metrics", "diff", "--all", "--json", base, head))
    sides = [
        side_of(name, sha, exact_matches(metrics, which, spread_in(sha)))
        for name, sha, which in zip(commits.columns, (base, head), ("old", "new"), strict=True)
    ]
    text = report(
        parameters=json.loads(run_command("dvc", "params", "diff", "--json", base, head)),
        metrics=metrics,
        figures=changed_figures(base, head),
        commits=commits,
        sides=(sides[0], sides[1]),
        page=f"{address}/actions/runs/{job}" if address and job else None,
    )
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
