"""The schemas as pyarrow has them: types of the columns of a Parquet table, and values as a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.schemas.table import Table

Values = Sequence[Any] | NDArray[Any]  # numbers, texts or lists of them: a column of a table

ARROW: dict[str, pa.DataType] = {  # what the schemas call pyarrow's types
    "bool": pa.bool_(),
    "category": pa.dictionary(pa.int8(), pa.string()),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "list<float32>": pa.list_(pa.float32()),
    "list<int32>": pa.list_(pa.int32()),
    "list<string>": pa.list_(pa.string()),
    "string": pa.string(),
}


def arrow_schema(kind: type[Table], image: int = 0) -> pa.Schema:
    """The columns of a Parquet table; a picture in it has `image` bytes."""
    types = ARROW | {"image": pa.binary(image)}
    return pa.schema([pa.field(name, types[column.arrow]) for name, column in kind.columns.items()])


def array_of(values: Values, kind: pa.DataType) -> pa.Array:
    """Numbers, texts or lists of them, none missing, as a column of this type. Raises ValueError on whole numbers that
    it cannot hold.

    pa.array() would do, but imports pandas on the way: half a second in each of the processes that write tables.
    """
    if pa.types.is_dictionary(kind):
        return array_of(values, kind.value_type).dictionary_encode().cast(kind)
    if pa.types.is_list(kind):
        flat = array_of([entry for entries in values for entry in entries], kind.value_type)
        return pa.Array.from_buffers(kind, len(values), [None, _offsets(values)], children=[flat])
    if pa.types.is_string(kind):
        encoded = [text.encode() for text in values]
        return pa.Array.from_buffers(
            kind, len(values), [None, _offsets(encoded), pa.py_buffer(b"".join(encoded))]
        )
    if pa.types.is_boolean(kind):
        bits = np.packbits(np.asarray(values, bool), bitorder="little")
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(bits)])
    numbers = np.asarray(values).astype(kind.to_pandas_dtype())
    if pa.types.is_integer(kind) and (numbers != values).any():
        raise ValueError(
            f"expected numbers that fit {kind}, got {np.min(values)} to {np.max(values)}"
        )
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(numbers)])


def _offsets(values: Values) -> pa.Buffer:
    """Where each of these texts or lists begins among the bytes or entries of all, and the end."""
    return pa.py_buffer(np.cumsum([0, *map(len, values)], dtype=np.int32))
