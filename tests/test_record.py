"""Records: what a file between two stages holds comes back as it was, and another content is refused in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages import artifacts
from stages.schemas.record import Record


@dataclass(frozen=True)
class Part(Record):
    size: float | None


@dataclass(frozen=True)
class Whole(Record):
    name: str
    count: int
    parts: tuple[Part, ...]
    cells: Mapping[str, str | float | int]


WHOLE = Whole(
    "all", 3, (Part(0.5), Part(None), Part(float("inf"))), {"text": "", "number": 0.25, "count": 2}
)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    artifacts.write_record(tmp_path / "whole.json", WHOLE)
    assert artifacts.read_record(tmp_path / "whole.json", Whole) == WHOLE


def test_the_keys_stand_in_the_order_of_the_fields_and_numbers_have_six_digits(
    tmp_path: Path,
) -> None:
    artifacts.write_record(tmp_path / "part.json", Part(1 / 3))
    assert (tmp_path / "part.json").read_text(encoding="utf-8") == '{\n  "size": 0.333333\n}\n'
    assert list(WHOLE.to_json()) == ["name", "count", "parts", "cells"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"more": 1}, "more is unknown"),
        ({"parts": [{"size": 1.0}, {}]}, "parts.1.size is missing"),
        ({"count": "many"}, "count is wrong: "),
        ({"parts": [{"size": 1.0, "old": 2}]}, "parts.0.old is unknown"),
    ],
)
def test_another_content_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    artifacts.write_json(tmp_path / "whole.json", WHOLE.to_json() | change)
    with pytest.raises(
        ValueError, match="written by another version; run `dvc repro -f`"
    ) as refused:
        artifacts.read_record(tmp_path / "whole.json", Whole)
    assert str(refused.value).startswith(f"{tmp_path / 'whole.json'}: {reason}")
    assert "\n" not in str(refused.value)


def test_no_object_at_all_is_refused(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "whole.json", [1])
    with pytest.raises(ValueError, match="the content is wrong"):
        artifacts.read_record(tmp_path / "whole.json", Whole)
