"""Reading and writing artifacts: what is whole is read back, what is not is refused in one line."""

from __future__ import annotations

import errno
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages import artifacts
from stages.schemas.arrow import array_of


def write_split(root: Path, table: pa.Table, parts: int = 3) -> list[Path]:
    paths = [artifacts.part_path("train", part, root) for part in range(parts)]
    for part, path in enumerate(paths):
        artifacts.write_captchas(path, table, part=part, parts=parts)
    return paths


def test_a_captcha_table_comes_back_as_it_was(tmp_path: Path, captcha_table: pa.Table) -> None:
    paths = write_split(tmp_path, captcha_table)
    assert artifacts.parts_of("train", tmp_path) == paths
    back = artifacts.read_captchas(paths[1])
    assert back.equals(captcha_table)
    assert artifacts.alphabet_of(back.schema) == "0123456789"
    np.testing.assert_array_equal(artifacts.images_of(back), artifacts.images_of(captcha_table))
    assert artifacts.images_of(back).shape == (6, 9, 14, 3)


def test_images_of_a_slice_are_the_slice(captcha_table: pa.Table) -> None:
    np.testing.assert_array_equal(
        artifacts.images_of(captcha_table.slice(2, 3)), artifacts.images_of(captcha_table)[2:5]
    )


def test_writing_twice_gives_the_same_bytes(tmp_path: Path, captcha_table: pa.Table) -> None:
    first = tmp_path / "a.parquet"
    second = tmp_path / "b.parquet"
    for path in (first, second):
        artifacts.write_captchas(path, captcha_table, part=0, parts=1)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(("kind", "values"), [
    (pa.int8(), [3, -1, 127]),
    (pa.float32(), np.array([0.1, math.pi])),
    (pa.bool_(), np.arange(11) % 3 == 0),
    (pa.string(), ["", "Ї", "ab"]),
    (pa.dictionary(pa.int8(), pa.string()), ["fog", "none", "fog"]),
    (pa.list_(pa.int32()), [[1, 2], [], [3]]),
    (pa.list_(pa.string()), [["#0a", ""], [], ["Ї"]]),
], ids=str)  # fmt: skip
def test_a_column_is_what_pyarrow_makes_of_it(kind: pa.DataType, values: list[object]) -> None:
    column = array_of(values, kind)
    column.validate(full=True)
    assert column.equals(pa.array(values).cast(kind))


def test_a_number_that_a_column_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="expected numbers that fit int8, got 0 to 128"):
        array_of(np.arange(129), pa.int8())


def test_a_missing_part_is_named(tmp_path: Path, captcha_table: pa.Table) -> None:
    paths = write_split(tmp_path, captcha_table)
    paths[1].unlink()
    with pytest.raises(ValueError, match=r"part-00001\.parquet is missing .*dvc repro -f generate"):
        artifacts.parts_of("train", tmp_path)


def test_a_left_over_part_is_named(tmp_path: Path, captcha_table: pa.Table) -> None:
    paths = write_split(tmp_path, captcha_table)
    paths[-1].rename(paths[-1].with_name("part-00007.parquet"))
    with pytest.raises(ValueError, match=r"part-0000[27]\.parquet is (missing|left over)"):
        artifacts.parts_of("train", tmp_path)


def test_an_empty_split_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no parts: run `dvc repro generate`"):
        artifacts.parts_of("train", tmp_path)


@pytest.mark.parametrize("keep", [0, 3, 100, -9])
def test_a_truncated_part_is_refused_in_one_line(
    tmp_path: Path, captcha_table: pa.Table, keep: int
) -> None:
    path = write_split(tmp_path, captcha_table)[0]
    path.write_bytes(path.read_bytes()[:keep])
    for act in (
        lambda: artifacts.read_captchas(path),
        lambda: artifacts.parts_of("train", tmp_path),
    ):
        with pytest.raises(ValueError, match=r"part-00000\.parquet is damaged") as caught:
            act()
        assert "\n" not in str(caught.value)


def test_a_part_of_another_schema_is_refused(tmp_path: Path, captcha_table: pa.Table) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(captcha_table.drop_columns(["rmse"]), path)
    with pytest.raises(ValueError, match="rmse should be float, got nothing"):
        artifacts.read_captchas(path)


def test_a_part_of_another_version_is_refused(tmp_path: Path, captcha_table: pa.Table) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(
        captcha_table.replace_schema_metadata({**captcha_table.schema.metadata, b"version": b"0"}),
        path,
    )
    with pytest.raises(ValueError, match="expected a captcha table of version 1, got 0"):
        artifacts.read_captchas(path)


def test_a_foreign_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(ValueError, match="expected a captcha table"):
        artifacts.read_captchas(path)


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    artifacts.write_json(path, {"old": 1})

    def fail() -> None:
        with artifacts.replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert artifacts.read_json(path) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.json"]


def test_a_full_disk_leaves_no_half_written_part(
    tmp_path: Path, captcha_table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(table: pa.Table, where: Path, **_: object) -> None:
        where.write_bytes(b"PAR1 half a file")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        write_split(tmp_path, captcha_table, parts=1)
    assert list((tmp_path / "train").iterdir()) == []


def test_metrics_are_flat_sorted_rounded_and_finite(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    artifacts.write_metrics(path, {"b": np.float32(1 / 3), "a": 123456789, "c": 1.23456789e-9})
    assert path.read_text() == '{\n  "a": 123456789,\n  "b": 0.333333,\n  "c": 1.23457e-09\n}\n'
    for bad in (math.nan, math.inf, "text", [1], {"x": 1}, None):
        with pytest.raises(ValueError, match="metric bad should be a finite number"):
            artifacts.write_metrics(path, {"bad": bad})


def test_a_damaged_json_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": ')
    with pytest.raises(ValueError, match=r"x\.json is damaged"):
        artifacts.read_json(path)
    with pytest.raises(ValueError, match=r"y\.json is missing"):
        artifacts.read_json(tmp_path / "y.json")


def test_predictions_are_checked_and_can_be_read_by_column(tmp_path: Path) -> None:
    rows = {field.name: pa.array([None], field.type) for field in artifacts.PREDICTION_SCHEMA}
    with artifacts.prediction_writer(tmp_path / "noisy.parquet") as writer:
        writer.write_table(pa.table(rows, schema=artifacts.PREDICTION_SCHEMA))
    assert artifacts.read_predictions("noisy", ["level", "success"], tmp_path).column_names == [
        "level",
        "success",
    ]
    assert (
        artifacts.read_predictions("noisy", root=tmp_path).schema.names
        == artifacts.PREDICTION_SCHEMA.names
    )
    with pytest.raises(ValueError, match=r"clean\.parquet is missing"):
        artifacts.read_predictions("clean", root=tmp_path)


def test_an_interrupted_prediction_file_never_appears(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), artifacts.prediction_writer(tmp_path / "noisy.parquet"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
