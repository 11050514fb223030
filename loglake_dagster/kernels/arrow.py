"""Arrow forms of the declared columns, and the builders that the decoders share.

The one place that says how a kind is stored. A timestamp is UTC wall clock without a zone: ORC's TIMESTAMP is what
Athena, Hive and Trino accept as `timestamp`, TIMESTAMP_INSTANT is not (adr/0004).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loglake_dagster.lake.schema import Kind, Table

# An array of texts holds less than 2 GiB. A decoder makes one of at most this many bytes of a source, or of one record,
# which the settings keep below 2 GiB.
BATCH_BYTES = 64 << 20
# Above this a column of a whole run is not taken as one array of texts.
COLUMN_BYTES = 1 << 30

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "json": pa.string(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "timestamp": pa.timestamp("ms"),
    "date": pa.date32(),
}


def use_plain_memory() -> None:
    """Lets Arrow take this process's memory from the C library from now on. A pool of its own gives memory back after
    each run, whose pages the next one makes anew (a tenth of a day's time), and takes ten milliseconds of each thread's
    first array (a sixth of a question's)."""
    pa.set_memory_pool(pa.system_memory_pool())


def arrow_schema(table: Table) -> pa.Schema:
    """The table's columns, partition columns left out."""
    return pa.schema([pa.field(c.name, ARROW_TYPES[c.kind]) for c in table.columns])


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


def cut_batches(sizes: Iterable[int], count: int, size_limit: int) -> Iterator[tuple[int, int]]:
    """(start, end) of stretches of at most `count` things and, where they are more than one, `size_limit` in all."""
    start = end = total = 0
    for size in sizes:
        if end > start and (end - start == count or total + size > size_limit):
            yield start, end
            start, total = end, 0
        end, total = end + 1, total + size
    if end > start:
        yield start, end


def cut_rows(rows: pa.Table, size_limit: int) -> Iterator[pa.Table]:
    """The rows in stretches of at most `size_limit` bytes of memory, or of one row; none for no rows."""
    if rows.num_rows and rows.nbytes <= size_limit:
        yield rows
        return
    for start, end in cut_batches(row_sizes(rows).tolist(), rows.num_rows, size_limit):
        yield rows.slice(start, end - start)


def row_sizes(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """What each row takes of memory, in bytes: its texts, and eight a column."""
    sizes = np.full(rows.num_rows, 8 * rows.num_columns, np.int64)
    for column in rows.columns:
        if pa.types.is_string(column.type):
            sizes += pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return sizes


def combined(column: pa.ChunkedArray) -> pa.Array:
    """One array of a column; of large texts where plain ones could overflow."""
    if pa.types.is_string(column.type) and column.nbytes > COLUMN_BYTES:
        column = column.cast(pa.large_string())
    # combine_chunks copies, also one chunk.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def taken(column: pa.ChunkedArray, places: pa.Array) -> pa.Array | pa.ChunkedArray:
    """The values at the places, of the column's type; several arrays where one of texts could overflow."""
    if column.null_count == len(column) and not places.null_count:
        return pa.nulls(len(places), column.type)
    if not pa.types.is_string(column.type) or column.nbytes <= COLUMN_BYTES:
        # Out of one array it is three times as fast as out of two.
        return combined(column).take(places)
    values = combined(column)
    sizes = pc.fill_null(pc.binary_length(column).take(places), 0).to_pylist()
    chunks = [
        values.take(places.slice(a, b - a)).cast(column.type) for a, b in cut_batches(sizes, len(places), BATCH_BYTES)
    ]
    return pa.chunked_array(chunks, column.type)


def sorted_places(rows: pa.Table, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The places of the rows in the order of these columns, nulls last; equal rows stay as they stand.

    What Arrow's sort says, in a third of its time: the first columns, up to one that is no text, become one number, and
    Arrow is asked about the rows alone that have it in common.
    """
    numbers, room = np.zeros(rows.num_rows, np.int64), 1
    for name in names:
        ranks, count = _ranks(combined(rows[name]))
        if room * count > _LARGEST:
            break
        numbers, room = numbers * count + ranks, room * count
        if not is_text(rows[name].type):
            break
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    is_next_alike = ordered[1:] == ordered[:-1]
    alike = np.flatnonzero(np.append(is_next_alike, False) | np.append(False, is_next_alike))
    if len(alike):
        places = order[alike]
        left = rows.select(list(names)).take(pa.array(places))
        order[alike] = places[pc.sort_indices(left, sort_keys=[(name, "ascending") for name in names]).to_numpy()]
    return order


_LARGEST = np.iinfo(np.int64).max


def is_text(kind: pa.DataType) -> bool:
    """Whether it is a type of texts, however long they may be together."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _ranks(column: pa.Array) -> tuple[np.ndarray[Any, np.dtype[np.int64]], int]:
    """Numbers from 0 on that are ordered as the values are, null the largest; and how many there may be."""
    if is_text(column.type):
        coded = column.dictionary_encode()
        count = len(coded.dictionary)
        rank = np.full(count + 1, count, np.int64)
        rank[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(count)
        return rank[pc.fill_null(coded.indices, count).to_numpy()], count + 1
    all_alike = np.zeros(len(column), np.int64), 1  # Arrow is asked about all
    if column.null_count == len(column) or not (pa.types.is_integer(column.type) or pa.types.is_timestamp(column.type)):
        return all_alike
    values = column.cast(pa.int64())
    least, most = (one.as_py() for one in pc.min_max(values).values())
    if most - least + 1 > _LARGEST:
        return all_alike
    return pc.fill_null(pc.subtract(values, least), most - least + 1).to_numpy(), most - least + 2
