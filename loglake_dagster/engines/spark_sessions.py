"""The sessions join on Spark: the same SQL as on one machine, over the sessions of one shard at a time.

Every join and group of it is by the session's name (sessionid, sessionowner). So rows are sent to the shard of their
name, each shard is joined by itself (embedded_sessions.py), and Spark sorts what comes out.
"""

from __future__ import annotations

import datetime as dt
import math
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loglake_dagster.engines import SessionsJob
from loglake_dagster.engines.embedded_sessions import (
    BATCH_ROWS,
    InputPart,
    cut_parts,
    input_parts,
    join_pieces,
    part_name,
    read_input,
)
from loglake_dagster.engines.runs import pack
from loglake_dagster.engines.spark_session import Spark, mapped
from loglake_dagster.engines.spark_tasks import ANSWERS, Batches, answer, packed, unpacked, values_of, write_once
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.kernels.arrow import arrow_schema, cut_rows
from loglake_dagster.lake.manifest import Part
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import OrcSettings

PIECES = pa.schema([("shard", pa.int32()), ("input", pa.string()), ("rows", pa.binary())])
PIECE_BYTES = 4 << 20
# Bytes of the inputs' data files whose sessions are one shard.
SHARD_BYTES = 64 << 20


def write_sessions(spark: Spark, job: SessionsJob, memory_limit: int) -> list[Part]:
    """Joins and writes a day's sessions; its parts."""
    inputs = input_parts(job)
    frame = spark.frame([(number, packed(one)) for number, one in enumerate(inputs)], "number int, value binary")
    shards = max(spark.cores, math.ceil(sessions_bytes(job) / SHARD_BYTES))
    pieces = mapped(frame, PIECES, shard_inputs, shards).repartition(shards, "shard")
    rows = mapped(pieces, crossing_schema(job.table), join_shard, job.table, job.as_of, job.sla_minutes, memory_limit)
    order = [rows[name].asc_nulls_last() for name in job.table.row_order]
    rows = rows.repartition(1).sortWithinPartitions(*order)
    written = mapped(rows, ANSWERS, write_rows, job.target, job.table, job.orc)
    return [unpacked(row.answer) for row in written.collect()]


def sessions_bytes(job: SessionsJob) -> int:
    """What the join reads, without what neighbouring days add."""
    return job.started.manifest.bytes + job.typed.manifest.bytes


def shard_inputs(shards: int, batches: Batches) -> Batches:
    """Parts of the inputs to their rows, in pieces, each of one shard."""
    for _number, value in values_of(batches):
        one: InputPart = unpacked(value)
        for rows in read_input(one):
            shard_of = _shards(rows, shards)
            for shard in np.unique(shard_of).tolist():
                for piece in cut_rows(rows.filter(pa.array(shard_of == shard)), PIECE_BYTES):
                    told = {"shard": shard, "input": one.name, "rows": _to_bytes(piece)}
                    yield pa.RecordBatch.from_pylist([told], PIECES)


def _shards(rows: pa.Table, shards: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The shard of each row, by its session's name."""
    names = [pc.fill_null(rows[name], "").to_pylist() for name in ("sessionid", "sessionowner")]
    keys = ("\0".join(pair).encode() for pair in zip(*names, strict=True))
    return np.fromiter((zlib.crc32(key) % shards for key in keys), np.int64, rows.num_rows)


def _to_bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return bytes(memoryview(sink.getvalue()))


def join_shard(table: Table, as_of: dt.datetime, sla_minutes: int, memory_limit: int, batches: Batches) -> Batches:
    """Pieces of whole shards to their sessions, timestamps as milliseconds."""
    with tempfile.TemporaryDirectory(prefix="loglake-") as scratch:
        for rows in join_pieces(_pieces(batches), table, as_of, sla_minutes, Path(scratch), memory_limit):
            for piece in cut_rows(rows, PIECE_BYTES):
                yield from piece.cast(crossing_schema(table)).to_batches()


def _pieces(batches: Batches) -> Iterator[tuple[str, pa.Table]]:
    for batch in batches:
        for name, data in zip(batch["input"].to_pylist(), batch["rows"], strict=True):
            yield name, pa.ipc.open_stream(data.as_buffer()).read_all()


def crossing_schema(table: Table) -> pa.Schema:
    """The table's columns as they cross Spark, whose own timestamps mean a time zone or have other units."""
    return pa.schema([(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in arrow_schema(table)])


def write_rows(target: VersionFolder, table: Table, orc: OrcSettings, batches: Batches) -> Batches:
    """All rows, in order, to parts in the version folder."""
    rows = (piece.cast(arrow_schema(table)) for piece in _regrouped(batches))
    for number, piece in enumerate(cut_parts(rows)):
        part, data = pack(part_name(number, target.version), piece, table, orc)
        write_once(target.store, target.key(part.name), data)
        yield answer(number, part)


def _regrouped(batches: Batches) -> Iterator[pa.Table]:
    """The rows in groups as large as those that the join gives, so that parts are cut at the same rows."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        while batch.num_rows:
            taken = batch.slice(0, BATCH_ROWS - count)
            batch = batch.slice(taken.num_rows)
            waiting.append(taken)
            count += taken.num_rows
            if count == BATCH_ROWS:
                yield pa.Table.from_batches(waiting)
                waiting, count = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)
