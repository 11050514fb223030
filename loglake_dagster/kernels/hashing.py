"""Hashes of rows: the multiset hash that compares tables, and the identity hash that finds duplicates.

A row's hash covers every value with its length and its nullness, so that no two different rows share their bytes.
The multiset hash is the sum of the rows' hashes: it does not depend on order, files or runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from loglake_dagster.kernels.arrow import combined, is_text
from loglake_dagster.kernels.columns import is_built, joined_rows
from loglake_dagster.lake.manifest import HASH_BITS

# What they are hashed from then stays in a core's own cache.
_ROWS_AT_ONCE = 1_024
Hashes = np.ndarray[Any, np.dtype[np.uint64]]


def row_hashes(table: pa.Table, columns: Sequence[str]) -> Hashes:
    """128-bit hashes of the named columns' values, shape (rows, 2), high half first, in the order of the rows."""
    if table.num_rows == 0:
        return np.zeros((0, 2), np.uint64)
    join = joined_rows if is_built() else joined_by_arrow
    digest, digests = xxhash.xxh3_128_digest, list[bytes]()
    for rows in join([table[name] for name in columns], _ROWS_AT_ONCE):
        digests += map(digest, rows)
    return np.frombuffer(b"".join(digests), ">u8").reshape(table.num_rows, 2).astype(np.uint64)


def joined_by_arrow(columns: Sequence[pa.ChunkedArray], rows_at_once: int) -> Iterator[list[bytes]]:
    """What `joined_rows` says, made by Arrow's own functions: where there is no compiled code."""
    for start in range(0, len(columns[0]), rows_at_once):
        yield _joined_by_arrow([column.slice(start, rows_at_once) for column in columns])


def _joined_by_arrow(columns: Sequence[pa.ChunkedArray]) -> list[bytes]:
    count = len(columns[0])
    header = np.empty((count, len(columns)), "<i8")
    texts: list[pa.Array] = []
    for place, chunked in enumerate(columns):
        column = combined(chunked)
        if is_text(column.type):
            header[:, place] = pc.fill_null(pc.binary_length(column), -1).to_numpy(zero_copy_only=False)
            if column.null_count < count:
                texts.append(pc.fill_null(column, "").cast(pa.large_binary()))
        else:
            # date32 casts to int64 by way of int32 only
            values = (column.cast(pa.int32()) if column.type == pa.date32() else column).cast(pa.int64())
            header[:, place] = pc.fill_null(values, np.iinfo(np.int64).min)
    width = header.shape[1] * 8
    lengths = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), count, [None, pa.py_buffer(header.tobytes())])
    joined = pc.binary_join_element_wise(lengths.cast(pa.large_binary()), *texts, pa.scalar(b"", pa.large_binary()))
    rows: list[bytes] = joined.to_pylist()
    return rows


def multiset_hash(hashes: Hashes) -> str:
    """The sum of the hashes modulo 2^128 as 32 hex digits; 0 for no rows."""
    total = 0
    for column, shift in ((0, 64), (1, 0)):
        low = int((hashes[:, column] & np.uint64(0xFFFFFFFF)).sum(dtype=np.uint64))
        high = int((hashes[:, column] >> np.uint64(32)).sum(dtype=np.uint64))
        total += ((high << 32) + low) << shift
    return f"{total % (1 << HASH_BITS):032x}"


def content_hash(table: pa.Table) -> str:
    """The multiset hash of a table's rows, every column counted."""
    return multiset_hash(row_hashes(table, table.column_names))


def identity_hashes(table: pa.Table, identity: Sequence[str]) -> tuple[Hashes, np.ndarray[Any, np.dtype[np.bool_]]]:
    """(hashes of the identity columns, has_identity). A row whose first identity column is null or empty has none."""
    first = pc.fill_null(table[identity[0]], "")
    has = pc.not_equal(first, "").to_numpy()
    return row_hashes(table, identity), np.asarray(has, bool)


def repeated(hashes: Hashes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows have the hash of an earlier row."""
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    ordered = hashes[order]
    same = np.zeros(len(hashes), bool)
    same[1:] = (ordered[1:] == ordered[:-1]).all(axis=1)
    out = np.zeros(len(hashes), bool)
    out[order] = same
    return out
