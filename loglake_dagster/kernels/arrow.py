"""Arrow forms of the declared columns, and the two builders that the decoders share.

The one place that says how a kind is stored. A timestamp is UTC wall clock without a zone: ORC's TIMESTAMP is what
Athena, Hive and Trino accept as `timestamp`, TIMESTAMP_INSTANT is not (adr/0004).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loglake_dagster.lake.schema import Column, Kind, Table

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "json": pa.string(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "timestamp": pa.timestamp("ms"),
    "date": pa.date32(),
}


def arrow_schema(table: Table) -> pa.Schema:
    """The table's columns, partition columns left out."""
    return pa.schema([pa.field(c.name, ARROW_TYPES[c.kind]) for c in table.columns])


def column_array(column: Column, values: Sequence[Any]) -> pa.Array:
    """An array of the column's type from Python values; None is null."""
    return pa.array(values, ARROW_TYPES[column.kind])


def json_text_array(values: Sequence[Any]) -> tuple[pa.Array, np.ndarray[Any, Any]]:
    """(array, is_null) from buffers of JSON text: empty ones were absent, `null` ones were null; both become null in
    the array. One copy of the bytes, no Python object a value (half the time of a list of bytes)."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    joined = b"".join(values)
    if not joined:
        return pa.nulls(len(values), pa.string()), np.zeros(len(values), bool)
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    texts = pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(joined))
    is_null = np.zeros(len(values), bool)
    four = lengths == 4
    if four.any():
        is_null = pc.equal(texts, "null").to_numpy(zero_copy_only=False) & four
    valid = pa.array((lengths > 0) & ~is_null)
    return pc.if_else(valid, texts, pa.scalar(None, pa.string())), is_null
