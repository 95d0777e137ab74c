"""Where every artifact lies and what it looks like; reading and writing both check.

Row keys: captcha tables (captcha, condition); prediction tables (captcha, condition, position).
Everything is written beside its place and moved there whole, so that half a file is never taken for an artifact.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.schemas.arrow import arrow_schema
from stages.schemas.captchas import Captchas, MeanGlyphs
from stages.schemas.predict import Predictions
from stages.schemas.record import Record
from stages.schemas.table import Table

if TYPE_CHECKING:
    import pandas as pd
    from _typeshed import DataclassInstance

    D = TypeVar("D", bound=DataclassInstance)

R = TypeVar("R", bound=Record)
Tree = Any  # of JSON: mappings, lists, texts, numbers, None


CAPTCHAS = Path("data/captchas")  # <split>/part-<i>.parquet
GLYPHS = Path("data/glyphs.parquet")  # label, count by split, mean glyph
READERS = Path("data/readers")  # <name>/weights.safetensors, <name>/reader.json
PREDICTIONS = Path("data/predictions")  # <name>.parquet
REGRESSION = Path("data/regression")
EXPLAIN = Path("data/explain")  # <part>/note.json, <part>/arrays.npz
METRICS = Path("metrics")
PLOTS = Path("plots")
SPLITS = ("train", "validation", "test")

VERSION = "1"  # of the tables below; raise it when a column changes


def captcha_schema(height: int, width: int, metadata: Mapping[str, str]) -> pa.Schema:
    """Schema of a captcha table whose images are (height, width, 3); `metadata` needs alphabet and source."""
    stated = {"version": VERSION, "height": str(height), "width": str(width), **metadata}
    return arrow_schema(Captchas, height * width * 3).with_metadata(stated)


def glyph_schema(side: int) -> pa.Schema:
    """Schema of the mean glyphs, `side` px square."""
    return arrow_schema(MeanGlyphs, side**2)


PREDICTION_SCHEMA = arrow_schema(Predictions)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and is removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def rounded(value: Tree, digits: int = 6) -> Tree:
    """Numbers to `digits` significant digits, in mappings and lists too; NumPy's scalars become Python's."""
    if isinstance(value, Mapping):
        return {name: rounded(one, digits) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one, digits) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    return value


def write_metrics(path: Path, metrics: Mapping[str, object]) -> None:
    """Flat, sorted JSON of numbers to six significant digits, which `dvc metrics diff` compares or the report shows.

    `arithmetic` alone may be a text: the arithmetic of the device. Raises ValueError on any other value that is not a
    finite number.
    """
    for name, value in metrics.items():
        if name == "arithmetic" and isinstance(value, str):
            continue
        if not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
            raise ValueError(f"{path}: metric {name} should be a finite number, got {value!r}")
    write_json(path, {name: rounded(metrics[name]) for name in sorted(metrics)})


def write_json(path: Path, tree: object) -> None:
    write_text(path, json.dumps(tree, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def readable(path: Path, *errors: type[Exception], remedy: str = "dvc repro") -> Iterator[None]:
    """Say in one line that a file is missing or, where the block raises one of `errors`, damaged, and what to do."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: run `dvc repro`") from None
    except errors as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} is damaged ({reason}): remove it and run `{remedy}`") from None


def read_json(path: Path) -> Tree:
    with readable(path, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))


def write_record(path: Path, record: Record) -> None:
    """A JSON object of the record's keys, numbers to six significant digits."""
    write_json(path, rounded(record.to_json()))


def read_record(path: Path, kind: type[R]) -> R:
    """A JSON object of this kind. Raises ValueError, one line, where the file is missing, damaged or of other keys."""
    return kind.from_json(read_json(path), str(path))


def write_table(
    path: Path, kind: type[Table], table: Sequence[Mapping[str, object]] | pd.DataFrame
) -> None:
    """A CSV of this kind, numbers to six significant digits. Raises ValueError on other columns than it declares."""
    if not isinstance(table, Sequence):
        kind.check(table.columns, str(path))
        write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(kind.names())
    for row in table:
        kind.check(row, str(path))
        writer.writerow(rounded(list(row.values())))
    write_text(path, text.getvalue())


def read_table(path: Path, kind: type[Table]) -> pd.DataFrame:
    """A CSV of this kind; a text such as "NA" stays a text, a number that is not there is NaN.

    Raises ValueError, one line, where the file is missing, damaged or of other columns.
    """
    import pandas as pd  # takes half a second: only for those who read tables

    with readable(path, ValueError):
        found = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[])
    kind.check(found.columns, str(path))
    if _row_lengths(path) - {len(found.columns)}:  # pandas fills a row that was cut off, silently
        raise ValueError(
            f"{path} is damaged (a row has not as many cells as there are columns): remove it and run `dvc repro`"
        )
    for name, column in kind.columns.items():
        if column.kind is not str:
            found[name] = _numbers(found[name], column.kind, f"{path}, column {name}")
    return found


def _row_lengths(path: Path) -> set[int]:
    """The numbers of cells that the rows of a CSV have; pandas skips empty lines, too."""
    with path.open(encoding="utf-8", newline="") as file:
        return {len(row) for row in csv.reader(file) if row}


def _numbers(texts: pd.Series[str], kind: type, where: str) -> pd.Series[float]:
    """A column of numbers; an empty cell is NaN. Raises ValueError, one line, on a text, and on what is not whole."""
    try:
        return texts.replace("", "nan").astype(kind)
    except ValueError as error:
        raise ValueError(
            f"{where}: expected {'whole ' * (kind is int)}numbers ({error}): remove the file and run "
            "`dvc repro`"
        ) from None


def write_arrays(path: Path, arrays: DataclassInstance) -> None:
    """The fields of a dataclass of arrays, texts and numbers as a compressed NumPy archive."""
    buffer = io.BytesIO()
    content = {one.name: np.asarray(getattr(arrays, one.name)) for one in fields(arrays)}
    np.savez_compressed(buffer, **content)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path, kind: type[D]) -> D:
    """The arrays of this kind; a text or a number comes back as one.

    Raises ValueError, one line, where the file is missing, damaged or holds other fields.
    """
    with (
        readable(path, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error),
        np.load(path, allow_pickle=False) as file,
    ):
        found = dict(file)
    names = [one.name for one in fields(kind)]
    if list(found) != names:
        raise ValueError(
            f"{path}: expected the arrays {', '.join(names)}, got {', '.join(found)}: it was written by "
            "another version; run `dvc repro -f`"
        )
    return kind(**{name: array if array.ndim else array.item() for name, array in found.items()})


def part_path(split: str, part: int, root: Path = CAPTCHAS) -> Path:
    return root / split / f"part-{part:05d}.parquet"


def write_captchas(path: Path, table: pa.Table, *, part: int, parts: int) -> None:
    """One part of a split, sorted by its key; `part` of `parts` is kept in it, so that a missing part shows."""
    metadata = {
        **(table.schema.metadata or {}),
        b"part": str(part).encode(),
        b"parts": str(parts).encode(),
    }
    check_columns(path, table.schema, captcha_schema(*image_size(table.schema, path), {}))
    with replacing(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(metadata),
            temporary,
            compression="zstd",
            compression_level=1,
            use_dictionary=[Captchas.text, Captchas.noise, Captchas.colour, Captchas.background],
            write_statistics=False,
        )


def parts_of(split: str, root: Path = CAPTCHAS) -> list[Path]:
    """The paths of a split's parts in order. Raises ValueError where one is missing or left over."""
    found = sorted((root / split).glob("part-*.parquet"))
    if not found:
        raise ValueError(f"{root / split} has no parts: run `dvc repro generate`")
    parts = int(_metadata(found[0])[b"parts"])
    expected = [part_path(split, i, root) for i in range(parts)]
    wrong = sorted(set(expected) ^ set(found))
    if wrong:
        state = "is left over" if wrong[0].exists() else "is missing"
        raise ValueError(
            f"{wrong[0]} {state} ({root / split} should have {parts} parts): run `dvc repro -f generate`"
        )
    return expected


def read_captchas(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A captcha table, or some of its columns. Raises ValueError where the file is missing, truncated or of another
    schema."""
    table = _read_parquet(path, columns)
    wanted = captcha_schema(*image_size(table.schema, path), {})
    wanted = wanted if columns is None else pa.schema([wanted.field(name) for name in columns])
    check_columns(path, table.schema, wanted)
    return table


def read_glyphs(side: int) -> pa.Table:
    """How many glyphs each character has, and their mean, `side` px square. Raises ValueError on another schema."""
    table = _read_parquet(GLYPHS)
    check_columns(GLYPHS, table.schema, glyph_schema(side))
    return table


def image_size(schema: pa.Schema, path: Path) -> tuple[int, int]:
    """Height and width, px, that a captcha table states."""
    metadata = schema.metadata or {}
    if metadata.get(b"version") != VERSION.encode():
        raise ValueError(
            f"{path}: expected a captcha table of version {VERSION}, got "
            f"{metadata.get(b'version', b'none').decode()}: run `dvc repro -f generate`"
        )
    return int(metadata[b"height"]), int(metadata[b"width"])


def alphabet_of(schema: pa.Schema) -> str:
    return str((schema.metadata or {})[b"alphabet"], "utf-8")


def images_of(table: pa.Table) -> NDArray[np.uint8]:
    """The images of a captcha table, (n, H, W, 3) uint8, read-only."""
    height, width = image_size(table.schema, Path("table"))
    column = table[Captchas.image].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    flat = np.frombuffer(
        column.buffers()[1],
        dtype=np.uint8,
        count=len(column) * height * width * 3,
        offset=column.offset * height * width * 3,
    )
    return flat.reshape(len(column), height, width, 3)


def images_array(images: NDArray[np.uint8]) -> pa.Array:
    """Images (n, H, W, 3) uint8 as a column of pictures."""
    flat = np.ascontiguousarray(images)
    return pa.Array.from_buffers(
        pa.binary(int(np.prod(images.shape[1:]))), len(images), [None, pa.py_buffer(flat)]
    )


def read_predictions(
    reader: str, columns: list[str] | None = None, root: Path = PREDICTIONS
) -> pa.Table:
    """The prediction table of a reader, or some of its columns. Raises ValueError on another schema."""
    path = root / f"{reader}.parquet"
    check_columns(path, _read_schema(path), PREDICTION_SCHEMA)
    return _read_parquet(path, columns)


@contextmanager
def prediction_writer(path: Path) -> Iterator[pq.ParquetWriter]:
    """Write a prediction table part by part; it appears when the block ends well."""
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, PREDICTION_SCHEMA, compression="zstd") as writer,
    ):
        yield writer


def check_columns(path: Path, found: pa.Schema, wanted: pa.Schema) -> None:
    """Raise ValueError, one line, where names or types of the columns differ."""
    types = {field.name: field.type for field in found}
    differing = [
        f"{field.name} should be {field.type}, got {types.get(field.name, 'nothing')}"
        for field in wanted
        if types.get(field.name) != field.type
    ]
    differing += [f"{name} is unknown" for name in found.names if name not in wanted.names]
    if differing:
        raise ValueError(
            f"{path}: other columns than expected: {'; '.join(differing)}: "
            "it was written by another version; run `dvc repro -f`"
        )


def _read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    # pq.read_table would import pyarrow.dataset and pandas
    with _readable_parquet(path), pq.ParquetFile(path) as file:
        table = file.read(columns)
    if columns is None:
        return table
    return table.select([name for name in columns if name in table.column_names])


def _read_schema(path: Path) -> pa.Schema:
    with _readable_parquet(path):
        return pq.read_schema(path)


def _readable_parquet(path: Path) -> AbstractContextManager[None]:
    return readable(path, pa.ArrowInvalid, OSError, remedy="dvc repro -f")


def _metadata(path: Path) -> dict[bytes, bytes]:
    schema = _read_schema(path)
    image_size(schema, path)
    return dict(schema.metadata)
