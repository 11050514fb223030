"""The sessions join on one machine: DuckDB over a scratch database file, so that memory has a limit.

Parts are read one after the other, and of each only the columns and rows that the join needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from loglake_dagster.engines import BaseVersion, SessionsJob
from loglake_dagster.engines.runs import write_scratch
from loglake_dagster.io.orc import read_part
from loglake_dagster.kernels.arrow import ARROW_TYPES, arrow_schema
from loglake_dagster.kernels.transcript import readable
from loglake_dagster.lake.manifest import Part
from loglake_dagster.lake.schema import Table
from loglake_dagster.sessions.query import (
    NAME_COLUMNS,
    RESUME_EVENT,
    SERVICE,
    SESSIONS_SQL,
    START_EVENT,
    STARTED_COLUMNS,
    TYPED_COLUMNS,
    TYPED_SQL,
)
from loglake_dagster.sessions.record import DEFAULT_DOCUMENT, NOT_LOGGABLE_DOCUMENTS
from loglake_dagster.sessions.request import Request, read_request
from loglake_dagster.sources import cloudtrail, cloudwatch, ssm_s3

PART_BYTES = 64 << 20
_BATCH_ROWS = 2_000


def join_sessions(job: SessionsJob, scratch: Path, memory_limit: int) -> list[Part]:
    """Writes the day's sessions as parts into the scratch folder, in the table's order; none for a day without."""
    with duckdb.connect(str(scratch / "join.duckdb")) as connection:
        connection.execute("SET memory_limit = ?", [f"{memory_limit}B"])
        connection.execute("SET temp_directory = ?", [str(scratch / "spill")])
        connection.execute("SET TimeZone = 'UTC'")
        started = map(_with_request, _events(START_EVENT, STARTED_COLUMNS, job.started))
        _load(connection, "started", started, _schema(cloudtrail.TABLE, STARTED_COLUMNS, Request._fields))
        before = _events(START_EVENT, NAME_COLUMNS, job.started_before)
        _load(connection, "started_before", before, _schema(cloudtrail.TABLE, NAME_COLUMNS))
        resumed = _events(RESUME_EVENT, NAME_COLUMNS, job.started, job.started_after)
        typed = _schema(cloudwatch.TABLE, TYPED_COLUMNS)
        _load(connection, "resumed", resumed, _schema(cloudtrail.TABLE, NAME_COLUMNS))
        _load(connection, "typed_today", _keystrokes(job.typed), typed)
        _load(connection, "typed_after", _keystrokes(job.typed_after), typed)
        _load(connection, "uploaded_today", _uploads(job.uploaded), typed)
        _load(connection, "uploaded_after", _uploads(job.uploaded_after), typed)
        connection.execute(f"CREATE TEMP VIEW typed AS {TYPED_SQL}")
        parameters = {
            "as_of": job.as_of.replace(tzinfo=None),
            "sla_minutes": job.sla_minutes,
            "not_loggable": list(NOT_LOGGABLE_DOCUMENTS),
            "default_document": DEFAULT_DOCUMENT,
        }
        batches = connection.sql(SESSIONS_SQL, params=parameters).to_arrow_reader(_BATCH_ROWS)
        return list(_write_parts(job, batches, scratch))


def _schema(table: Table, columns: Sequence[str], texts: Sequence[str] = ()) -> pa.Schema:
    kinds = [(column, ARROW_TYPES[table.column(column).kind]) for column in columns]
    return pa.schema([*kinds, *((name, pa.string()) for name in texts)])


def _with_request(rows: pa.Table) -> pa.Table:
    """StartSession rows with the fields of what they asked for."""
    requests = [read_request(text) for text in rows["requestparameters"].to_pylist()]
    for place, name in enumerate(Request._fields):
        rows = rows.append_column(name, pa.array([one[place] for one in requests], pa.string()))
    return rows


def _load(connection: duckdb.DuckDBPyConnection, name: str, rows: Iterator[pa.Table], schema: pa.Schema) -> None:
    reader = pa.RecordBatchReader.from_batches(schema, (batch for part in rows for batch in part.to_batches()))
    connection.register("reader", reader)
    connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM reader")
    connection.unregister("reader")


def _events(name: str, columns: Sequence[str], *versions: BaseVersion | None) -> Iterator[pa.Table]:
    """Session Manager's rows of one event name; names are read first, the rest only of parts that have some."""
    for data in (data for version in versions for data in _parts(version)):
        names = read_part(data, cloudtrail.TABLE, ("eventname", "eventsource"))
        is_event = pc.and_(pc.equal(names["eventname"], name), pc.equal(names["eventsource"], SERVICE))
        is_event = pc.fill_null(is_event, False)
        if pc.any(is_event).as_py():
            yield read_part(data, cloudtrail.TABLE, columns).filter(is_event)


def _keystrokes(version: BaseVersion | None) -> Iterator[pa.Table]:
    for data in _parts(version):
        rows = read_part(data, cloudwatch.TABLE, TYPED_COLUMNS)
        yield rows.filter(pc.is_valid(rows["sessionid"]))


def _uploads(version: BaseVersion | None) -> Iterator[pa.Table]:
    """Uploads to S3 in the columns of session log events, null where an upload does not say."""
    given = {name: name for name in ssm_s3.TABLE.column_names} | {"owner": ssm_s3.SOURCE.account_column}
    said = [name for name in TYPED_COLUMNS if name in given]
    for data in _parts(version):
        rows = read_part(data, ssm_s3.TABLE, [given[name] for name in said]).rename_columns(said)
        for name in TYPED_COLUMNS:
            if name not in given:
                nothing = pa.nulls(rows.num_rows, ARROW_TYPES[cloudwatch.TABLE.column(name).kind])
                rows = rows.append_column(name, nothing)
        yield rows.select(list(TYPED_COLUMNS))


def _parts(version: BaseVersion | None) -> Iterator[bytes]:
    if version is not None:
        for part in version.manifest.parts:
            yield version.folder.store.read(version.folder.key(part.name))


def _write_parts(job: SessionsJob, batches: pa.RecordBatchReader, scratch: Path) -> Iterator[Part]:
    waiting: list[pa.Table] = []
    count = 0
    for batch in batches:
        waiting.append(_with_transcript(pa.Table.from_batches([batch]), job.table))
        if sum(rows.nbytes for rows in waiting) >= PART_BYTES:
            yield _write_part(job, waiting, scratch, count)
            waiting, count = [], count + 1
    if any(rows.num_rows for rows in waiting):
        yield _write_part(job, waiting, scratch, count)


def _with_transcript(rows: pa.Table, table: Table) -> pa.Table:
    """The table's columns, the readable transcript made from the raw one."""
    texts = [None if text is None else readable(text) for text in rows["sessiondata"].to_pylist()]
    rows = rows.append_column("transcript", pa.array(texts, pa.string()))
    return rows.select(list(table.column_names)).cast(arrow_schema(table))


def _write_part(job: SessionsJob, tables: Sequence[pa.Table], scratch: Path, number: int) -> Part:
    path = scratch / f"part-{number:05d}-{job.target.version}.orc"
    return write_scratch(path, pa.concat_tables(tables), job.table, job.orc)
