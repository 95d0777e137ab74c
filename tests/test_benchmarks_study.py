"""The benchmark of the study: what it reads from the output of `dvc repro`, and how it changes parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.study import Cost, costs, override, table
from stages import command

LINES = [
    (0.0, "Running stage 'generate':"),
    (1.0, "> exec python -m stages.generate"),
    (4.0, "[generate] part 108/108, 3144 captchas/s, 0 s left"),
    (5.5, "[generate] cost: 7.2 CPU s, peak 292 MiB"),
    (7.0, "Running stage 'train@noisy':"),
    (7.5, "> exec python -m stages.train noisy"),
    (9.5, "[train@noisy] cost: 4.0 CPU s, peak 1003 MiB"),
]


def test_a_stage_costs_what_it_says_and_the_time_from_its_command_to_its_last_line() -> None:
    assert list(costs(LINES)) == [
        Cost("generate", 7.2, 4.5, 292),
        Cost("train@noisy", 4.0, 2.0, 1003),
    ]


def test_a_stage_that_did_not_start_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a stage's command before '\[generate\] cost"):
        list(costs(LINES[3:]))


def test_dvc_itself_is_what_the_stages_leave_of_the_whole() -> None:
    rows = list(table(costs(LINES), Cost("`dvc repro`", 15.0, 10.0, 1003)))
    assert rows[-3:] == [
        "| all stages | 11.2 | 6.5 | 1,003 |",
        "| DVC itself | 3.8 | 3.5 |  |",
        "| `dvc repro` | 15.0 | 10.0 | 1,003 |",
    ]


def test_what_a_stage_prints_last_under_dvc_is_what_the_benchmark_reads(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "plot")
    command.run(lambda: None)
    printed = capsys.readouterr().out.splitlines()
    (cost,) = costs([(0.0, "> exec python -m stages.plot"), (1.0, printed[-1])])
    assert (cost.stage, cost.wall) == ("plot", 1.0)
    assert cost.peak > 1


def test_a_key_of_the_parameters_is_changed_and_another_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "readers:\n  noisy:\n    precision: bf16  # of products\n    epochs: 5\n", encoding="utf-8"
    )
    override(path, ["readers.noisy.precision=fp32", "readers.noisy.epochs=2"])
    assert path.read_text(encoding="utf-8") == (
        "readers:\n  noisy:\n    precision: fp32  # of products\n    epochs: 2\n"
    )
    for change in ("readers.noisy.precison=fp32", "readers.noisy", "seeds.noisy.epochs=1"):
        with pytest.raises(ValueError, match=f"-S {change}: expected key=value"):
            override(path, [change])
