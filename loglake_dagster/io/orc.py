"""ORC parts: how a data file is packed, and how it is read back.

Dictionaries are on (pyarrow's default has none, a third larger), the id columns have bloom filters. A filter is asked
for by ORC column id, which in a flat file is the field's index plus one: another number filters another column
silently, so tests prove where the filters sit.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import orc

from loglake_dagster.errors import StoreError
from loglake_dagster.kernels.arrow import arrow_schema
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import OrcSettings

DICTIONARY_THRESHOLD = 0.8
# What pyarrow raises for a damaged file: a footer that is cut off is an OSError there.
_UNREADABLE = (pa.ArrowException, OSError)
_BOUNDED = ("eventname", "recipientaccountid", "owner", "loggroup", "sessionid", "eventtime")


def pack_part(rows: pa.Table, table: Table, settings: OrcSettings) -> bytes:
    """An ORC file of the rows, which have the table's columns in its order."""
    names = table.column_names
    sink = pa.BufferOutputStream()
    orc.write_table(
        rows,
        sink,
        compression=settings.compression,
        dictionary_key_size_threshold=DICTIONARY_THRESHOLD,
        bloom_filter_columns=[names.index(name) + 1 for name in table.lookup_columns if name in names],
    )
    return bytes(memoryview(sink.getvalue()))


def read_part(data: bytes, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """A part's rows in the table's types; `columns` picks some. A column that the part was written without (a version
    of an earlier release) is null. StoreError if the bytes are no ORC file."""
    schema = arrow_schema(table)
    wanted = list(columns) if columns is not None else schema.names
    try:
        file = orc.ORCFile(io.BytesIO(data))
        there = set(file.schema.names)
        rows = file.read(columns=[name for name in wanted if name in there])
    except _UNREADABLE as error:
        raise StoreError(f"not a readable ORC file: {error}") from error
    fields = [schema.field(name) for name in wanted]
    arrays = [rows[f.name] if f.name in there else pa.nulls(file.nrows, f.type) for f in fields]
    return pa.Table.from_arrays(arrays, names=wanted).cast(pa.schema(fields))


def count_rows(data: bytes) -> int:
    """Rows that a part's own footer states; StoreError if the bytes are no ORC file."""
    try:
        return int(orc.ORCFile(io.BytesIO(data)).nrows)
    except _UNREADABLE as error:
        raise StoreError(f"not a readable ORC file: {error}") from error


def bounds_of(rows: pa.Table) -> dict[str, tuple[str, str]]:
    """Smallest and largest value of the columns that readers search by, as text; all-null columns are left out."""
    bounds: dict[str, tuple[str, str]] = {}
    for name in _BOUNDED:
        if name in rows.column_names and rows.num_rows:
            extremes: dict[str, Any] = pc.min_max(rows[name]).as_py()
            if extremes["min"] is not None:
                bounds[name] = (str(extremes["min"]), str(extremes["max"]))
    return bounds
