"""A table's published versions as an Arrow dataset that reads only the stripes that can hold what is asked for.

What a stretch of rows guarantees is known without opening a file: a day's eventday, the bounds of a part and of its
stripes from the manifest. Ids that single rows are searched by have bloom filters in the parts. Belongs here: what is
read in which order. Stays out: what may be skipped (kernels/pruning.py), how ORC is read (io/orc.py).
"""

from __future__ import annotations

import datetime as dt
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
from pyarrow import acero

from loglake_dagster.catalog import PublishedVersion
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.pool import Workers
from loglake_dagster.errors import StoreError
from loglake_dagster.io.orc import PartFile
from loglake_dagster.io.store import LocalStore, S3Store, Store
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.kernels.arrow import ARROW_TYPES, arrow_schema
from loglake_dagster.kernels.pruning import columns_of, guarantee_of, only_values, places_of
from loglake_dagster.lake.manifest import Part
from loglake_dagster.lake.schema import EVENT_DAY, Table

# Two or three stripes.
_FEW_ROWS = 20_000
_WORKERS = os.cpu_count() or 1
# Small files, a round trip each on S3.
_MANIFESTS_AT_ONCE = 16
# No column's name: those begin with a letter.
_ROW = "_row"


@dataclass(slots=True)
class Reads:
    """What was read to answer: parts opened, stripes and rows of them decoded, as far as any column of them was."""

    parts: int = 0
    stripes: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """Rows that are wanted, and the columns of them that are. `tested` are those that the filter looks at; `ids` the
    values of which a lookup column must have one; `guarantees` those made so far, by what they say."""

    names: Sequence[str]
    wanted: ds.Expression | None
    tested: Sequence[str]
    ids: Mapping[str, Sequence[str]]
    guarantees: dict[tuple[Any, ...], ds.Expression] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StripesOfPart:
    """What is to be read of a part, and how many rows that is; None means every stripe: the manifest does not name
    them."""

    day: dt.date
    path: str
    rows: int
    stripes: Sequence[int] | None


class PublishedTable(ds.FileSystemDataset):  # type: ignore[misc]
    """The published days of a table. DuckDB asks `scanner` for columns and hands it the filter that it would apply;
    rows that the filter does not want must not come. Manifests are read when a question needs their day."""

    def __init__(self, lake: Lake, table: Table, reads: Reads) -> None:
        self._store, self._table, self._reads = lake.store, table, reads
        self._filesystem = _filesystem(lake.store)
        self._manifests: dict[dt.date, Sequence[Part]] = {}
        self._versions = {version.day: version for version in lake.catalog.published_days(table.name)}
        schema = arrow_schema(table).append(pa.field(EVENT_DAY.name, ARROW_TYPES["date"]))
        day_format = ds.OrcFileFormat()
        days = [
            day_format.make_fragment(
                _path(lake.store, self._folder(version).folder),
                self._filesystem,
                partition_expression=ds.field(EVENT_DAY.name) == pa.scalar(version.day),
            )
            for version in self._versions.values()
        ]
        super().__init__(days, schema, day_format, self._filesystem)

    def scanner(
        self,
        columns: Sequence[str] | None = None,
        filter: ds.Expression | None = None,  # noqa: A002 (Arrow's name)
        **_options: Any,
    ) -> Reading:
        """The wanted rows, read while they are asked for."""
        names = list(columns) if columns is not None else self.schema.names
        tested = columns_of(filter, self.schema)
        lookups = [name for name in self._table.lookup_columns if name in tested]
        ids = {name: values for name in lookups if (values := only_values(filter, self.schema, name)) is not None}
        question = Question(names, filter, tested, ids)
        schema = pa.schema([self.schema.field(name) for name in names])
        return Reading(schema, self._batches(question, self._plan(question)))

    def _folder(self, version: PublishedVersion) -> VersionFolder:
        return VersionFolder(self._store, self._table.name, version.day, version.version)

    def _plan(self, question: Question) -> list[StripesOfPart]:
        """The stripes that can hold wanted rows, by day, part and stripe: what is above them tells first."""
        versions = list(self._versions.values())
        guarantees = [ds.field(EVENT_DAY.name) == pa.scalar(version.day) for version in versions]
        days = [versions[place] for place in places_of(guarantees, self.schema, question.wanted)]
        parts = [(version, part) for version, found in self._parts_of(days) for part in found]
        guarantees = [self._guarantee(version.day, part.bounds, (), question) for version, part in parts]
        parts = [parts[place] for place in places_of(guarantees, self.schema, question.wanted)]
        return [
            StripesOfPart(version.day, _path(self._store, self._folder(version).key(part.name)), rows, stripes)
            for (version, part), stripes in zip(parts, self._stripes(parts, question), strict=True)
            if (rows := _rows_of(part, stripes))
        ]

    def _parts_of(self, versions: Sequence[PublishedVersion]) -> Iterable[tuple[PublishedVersion, Sequence[Part]]]:
        unread = [version for version in versions if version.day not in self._manifests]
        folders = [(self._folder(version),) for version in unread]
        manifests = Workers(threads=_MANIFESTS_AT_ONCE).side_by_side(VersionFolder.read_manifest, folders)
        for version, manifest in zip(unread, manifests, strict=True):
            self._manifests[version.day] = manifest.parts
        return ((version, self._manifests[version.day]) for version in versions)

    def _stripes(
        self, parts: Sequence[tuple[PublishedVersion, Part]], question: Question
    ) -> Iterator[Sequence[int] | None]:
        """Of each part the stripes that can hold wanted rows, None where the manifest does not name any."""
        every = [(part.name, n) for _version, part in parts for n in range(len(part.stripes))]
        guarantees = [
            self._guarantee(version.day, stripe.bounds, stripe.full, question)
            for version, part in parts
            for stripe in part.stripes
        ]
        found: dict[str, list[int]] = {}
        for place in places_of(guarantees, self.schema, question.wanted):
            name, number = every[place]
            found.setdefault(name, []).append(number)
        return (found.get(part.name, []) if part.stripes else None for _version, part in parts)

    def _guarantee(
        self, day: dt.date, bounds: Mapping[str, Any], full: Sequence[str], question: Question
    ) -> ds.Expression:
        """What holds for all rows of a stretch. Many have the same bounds, and making an expression takes longer than
        judging it."""
        names = [name for name in question.tested if name in bounds]
        key = (day, *((name, bounds[name], name in full) for name in names))
        if key not in question.guarantees:
            is_day = ds.field(EVENT_DAY.name) == pa.scalar(day)
            known = guarantee_of(bounds, self.schema, names, full)
            question.guarantees[key] = is_day if known is None else is_day & known
        return question.guarantees[key]

    def _batches(self, question: Question, plan: Sequence[StripesOfPart]) -> Iterator[pa.RecordBatch]:
        """Parts are read side by side, a few ahead of the one whose rows are taken; rows come in the plan's order. A
        few rows of this machine are read by the thread that asks: threads cost more than they save."""
        if isinstance(self._store, LocalStore) and sum(part.rows for part in plan) <= _FEW_ROWS:
            for part in plan:
                yield from self._taken(self._read(part, question))
            return
        waiting: deque[Future[tuple[list[pa.Table], Reads]]] = deque()
        with ThreadPoolExecutor(_WORKERS) as pool:
            for part in plan:
                waiting.append(pool.submit(self._read, part, question))
                if len(waiting) > _WORKERS:
                    yield from self._taken(waiting.popleft().result())
            while waiting:
                yield from self._taken(waiting.popleft().result())

    def _taken(self, read: tuple[list[pa.Table], Reads]) -> Iterator[pa.RecordBatch]:
        tables, reads = read
        for name in ("parts", "stripes", "rows"):
            setattr(self._reads, name, getattr(self._reads, name) + getattr(reads, name))
        for table in tables:
            yield from table.to_batches()

    def _read(self, part: StripesOfPart, question: Question) -> tuple[list[pa.Table], Reads]:
        """The wanted rows of a part."""
        reads, tables = Reads(parts=1), []
        try:
            file = PartFile(self._filesystem, part.path)
            stripes = part.stripes if part.stripes is not None else range(file.stripes)
            for column, values in question.ids.items():
                there = file.stripes_with(column, values)
                stripes = [number for number in stripes if number in there]
            for number in stripes:
                rows, count = self._wanted_rows(file, number, part.day, question)
                reads.stripes, reads.rows = reads.stripes + 1, reads.rows + count
                if rows is not None:
                    tables.append(rows)
        except (pa.ArrowException, OSError, RuntimeError) as error:
            raise StoreError(f"{part.path}: not a readable ORC file: {error}", path=part.path) from error
        return tables, reads

    def _wanted_rows(
        self, file: PartFile, stripe: int, day: dt.date, question: Question
    ) -> tuple[pa.Table | None, int]:
        """(a stripe's wanted rows, how many rows it has). The filter's columns are read first: where none of the rows
        is wanted, the others are not read at all."""
        if question.wanted is None:
            rows = self._columns(file, stripe, day, question.names)
            return rows, rows.num_rows
        tested = self._columns(file, stripe, day, question.tested)
        count = tested.num_rows
        found = _filtered(tested.append_column(_ROW, pa.array(np.arange(count, dtype=np.int64))), question.wanted)
        if not found.num_rows:
            return None, count
        others = [name for name in question.names if name not in question.tested]
        if others:
            more = self._columns(file, stripe, day, others)
            more = more if found.num_rows == count else more.take(found[_ROW])
            for name in others:
                found = found.append_column(more.schema.field(name), more[name])
        return found.select(question.names), count

    def _columns(self, file: PartFile, stripe: int, day: dt.date, names: Sequence[str]) -> pa.Table:
        # Without a column the count of rows would be lost.
        stored = [name for name in names if name != EVENT_DAY.name] or self.schema.names[:1]
        schema = pa.schema([self.schema.field(name) for name in stored])
        rows = file.read(stripe, schema)
        if EVENT_DAY.name in names:
            days = pa.repeat(pa.scalar(day, ARROW_TYPES["date"]), rows.num_rows)
            rows = rows.append_column(EVENT_DAY.name, days)
        return rows.select(names)


@dataclass(frozen=True, slots=True)
class Reading:
    """What `scanner` gives to DuckDB, which only takes the reader. A scanner of Arrow's would read ahead on Arrow's own
    threads, which filtering waits for."""

    projected_schema: pa.Schema
    batches: Iterator[pa.RecordBatch] = field(repr=False)

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows, once."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self.batches)


def _filtered(rows: pa.Table, wanted: ds.Expression) -> pa.Table:
    """Table.filter on this thread alone: a stripe is too small to share."""
    source = acero.Declaration("table_source", acero.TableSourceNodeOptions(rows))
    return acero.Declaration("filter", acero.FilterNodeOptions(wanted), [source]).to_table(use_threads=False)


def _rows_of(part: Part, stripes: Sequence[int] | None) -> int:
    return part.rows if stripes is None else sum(part.stripes[number].rows for number in stripes)


def _path(store: Store, key: str) -> str:
    if isinstance(store, LocalStore):
        return str(store.path / key)
    return store.uri(key).removeprefix("s3://")


def _filesystem(store: Store) -> Any:
    if not isinstance(store, S3Store):
        return pafs.LocalFileSystem()
    from obstore.fsspec import FsspecStore

    return pafs.PyFileSystem(pafs.FSSpecHandler(FsspecStore("s3", **store.options)))
