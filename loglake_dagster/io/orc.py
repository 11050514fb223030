"""ORC parts: how a data file is packed (compressed: orc_compression.py), and how it is read back, whole or by stripes.

Dictionaries are on (pyarrow's default has none, a third larger), the id columns have bloom filters. A filter is asked
for by ORC column id, which in a flat file is the field's index plus one: another number filters another column
silently, so tests prove where the filters sit.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import orc

from loglake_dagster.errors import StoreError
from loglake_dagster.io.orc_compression import Codec, compress_orc, fast_zlib, fast_zstd, small_zlib, small_zstd
from loglake_dagster.kernels.arrow import arrow_schema, row_sizes
from loglake_dagster.lake.manifest import Stripe
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import OrcSettings

DICTIONARY_THRESHOLD = 0.8
# Rows are sorted by what readers search by: of small stripes a question reads few (adr/0016). Of long rows they have
# fewer, for readers hold a stripe whole.
STRIPE_ROWS = 6000
STRIPE_MEMORY = 128 << 20
# A filter of ids is made for this many rows, also of a stripe that has fewer.
ROW_GROUP = 3000
# A part has ten filters or so: at 5 % each, two parts in five would let an absent id pass.
BLOOM_FALSE_POSITIVES = 0.03
_CODECS: Mapping[str, Callable[[], Codec]] = {
    "zlib": fast_zlib, "zlib_small": small_zlib, "zstd": fast_zstd, "zstd_small": small_zstd,
}  # fmt: skip
# What pyarrow raises for a damaged file: a footer that is cut off is an OSError there.
_UNREADABLE = (pa.ArrowException, OSError)
# Longer texts are hostile ones: a manifest does not repeat them for each stripe.
_LONGEST_BOUND = 200
_BOUNDED = ("eventname", "recipientaccountid", "owner", "loggroup", "sessionid", "eventtime")


def pack_part(rows: pa.Table, table: Table, settings: OrcSettings) -> bytes:
    """An ORC file of the rows, which have the table's columns in its order."""
    names = table.column_names
    sink = pa.BufferOutputStream()
    orc.write_table(
        rows,
        sink,
        compression="uncompressed",
        # A stripe ends after the batch that makes it larger than this: with each, but for a handful of numbers.
        stripe_size=1,
        batch_size=stripe_rows(rows),
        row_index_stride=ROW_GROUP,
        dictionary_key_size_threshold=DICTIONARY_THRESHOLD,
        bloom_filter_fpp=BLOOM_FALSE_POSITIVES,
        bloom_filter_columns=[names.index(name) + 1 for name in table.lookup_columns if name in names],
    )
    return compress_orc(memoryview(sink.getvalue()), _CODECS[settings.compression]())


def stripe_rows(rows: pa.Table) -> int:
    """How many of the rows make a stripe: where long ones stand side by side, so many fewer for all."""
    count: int = max(1, min(STRIPE_ROWS, rows.num_rows))
    if rows.nbytes > STRIPE_MEMORY:
        ends = np.append(0, np.cumsum(row_sizes(rows)))
        while count > 1 and (ends[count:] - ends[:-count]).max(initial=0) > STRIPE_MEMORY:
            count //= 2
    return count


def read_part(data: bytes, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """A part's rows in the table's types; `columns` picks some. A column that the part was written without (a version
    of an earlier release) is null. StoreError if the bytes are no ORC file."""
    schema = arrow_schema(table)
    wanted = list(columns) if columns is not None else schema.names
    try:
        file = orc.ORCFile(io.BytesIO(data))
        rows = file.read(columns=[name for name in wanted if name in set(file.schema.names)])
    except _UNREADABLE as error:
        raise StoreError(f"not a readable ORC file: {error}") from error
    return _of_schema(rows, file.nrows, pa.schema([schema.field(name) for name in wanted]))


def _of_schema(rows: pa.Table, count: int, schema: pa.Schema) -> pa.Table:
    """The schema's columns in its types and order, null where the file has none."""
    there = set(rows.column_names)
    arrays = [rows[field.name] if field.name in there else pa.nulls(count, field.type) for field in schema]
    return pa.Table.from_arrays(arrays, names=schema.names).cast(schema)


class PartFile:
    """An open part in a file system, read stripe by stripe. OSError and Arrow's errors if it cannot be."""

    def __init__(self, filesystem: Any, path: str) -> None:
        self._filesystem, self._path = filesystem, path
        self._file = orc.ORCFile(filesystem.open_input_file(path))
        self._names = set(self._file.schema.names)

    @property
    def stripes(self) -> int:
        return int(self._file.nstripes)

    def read(self, stripe: int, schema: pa.Schema) -> pa.Table:
        """A stripe's rows, the schema's columns only; null where the part was written without one."""
        there = [name for name in schema.names if name in self._names]
        # Of no columns pyarrow reads no rows, and their count is lost.
        rows = self._file.read_stripe(stripe, columns=there or self._file.schema.names[:1])
        return _of_schema(pa.Table.from_batches([rows]), rows.num_rows, schema)

    def stripes_with(self, column: str, values: Collection[str]) -> set[int]:
        """The stripes that may hold one of the values, by the column's bloom filters and statistics: pyorc looks at
        them, pyarrow does not. All, for a column that the part was written without."""
        import pyorc  # a tenth of a second, for questions that name an id
        from pyorc.predicates import PredicateColumn

        if column not in self._names:
            return set(range(self.stripes))
        found: set[int] = set()
        for value in values:
            wanted = PredicateColumn(pyorc.TypeKind.STRING, column) == value
            with self._filesystem.open_input_file(self._path) as file:
                reader = pyorc.Reader(file, column_names=[column], predicate=wanted)
                others = (n for n in range(self.stripes) if n not in found)
                found |= {n for n in others if next(reader.read_stripe(n), None) is not None}
        return found


def count_rows(data: bytes) -> int:
    """Rows that a part's own footer states; StoreError if the bytes are no ORC file."""
    try:
        return int(orc.ORCFile(io.BytesIO(data)).nrows)
    except _UNREADABLE as error:
        raise StoreError(f"not a readable ORC file: {error}") from error


def bounds_of(rows: pa.Table) -> dict[str, tuple[str, str]]:
    """Smallest and largest value of the columns that readers search by, as text; all-null columns are left out."""
    return {name: bound for name, bound in _bounds(rows).items() if bound is not None}


def _bounds(rows: pa.Table) -> dict[str, tuple[str, str] | None]:
    bounds: dict[str, tuple[str, str] | None] = {}
    for name in _BOUNDED:
        if name in rows.column_names and rows.num_rows:
            extremes: dict[str, Any] = pc.min_max(rows[name]).as_py()
            is_null = extremes["min"] is None
            bounds[name] = None if is_null else (str(extremes["min"]), str(extremes["max"]))
    return bounds


def stripes_of(data: bytes, rows: pa.Table) -> tuple[Stripe, ...]:
    """The stripes of a part that was packed from the rows, in order. Where one ends is the ORC writer's affair."""
    file = orc.ORCFile(pa.BufferReader(data))
    stripes: list[Stripe] = []
    start = 0
    for number in range(file.nstripes):
        count = file.read_stripe(number, columns=rows.column_names[:1]).num_rows
        piece = rows.slice(start, count)
        bounds = {name: b for name, b in _bounds(piece).items() if b is None or max(map(len, b)) <= _LONGEST_BOUND}
        full = tuple(name for name in bounds if piece[name].null_count == 0)
        stripes.append(Stripe(rows=count, bounds=bounds, full=full))
        start += count
    return tuple(stripes)
