"""The sessions join on one machine: DuckDB over a scratch database file, so that memory has a limit.

Parts are read one after the other, and of each only the columns and rows that the join needs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from loglake_dagster.engines import BaseVersion, SessionsJob
from loglake_dagster.engines.runs import write_scratch
from loglake_dagster.io.orc import read_part
from loglake_dagster.io.versions import VersionFolder
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
BATCH_ROWS = 2_000


def join_sessions(job: SessionsJob, scratch: Path, memory_limit: int) -> list[Part]:
    """Writes the day's sessions as parts into the scratch folder, in the table's order; none for a day without."""
    pieces = ((one.name, rows) for one in input_parts(job) for rows in read_input(one))
    rows = join_pieces(pieces, job.table, job.as_of, job.sla_minutes, scratch, memory_limit)
    return [
        write_scratch(scratch / part_name(number, job.target.version), piece, job.table, job.orc)
        for number, piece in enumerate(cut_parts(rows))
    ]


def part_name(number: int, version: str) -> str:
    """The name of a part of sessions."""
    return f"part-{number:05d}-{version}.orc"


@dataclass(frozen=True, slots=True)
class InputPart:
    """A part of a published version, and the input of the join that it is read for."""

    name: str
    folder: VersionFolder
    part: str


def input_parts(job: SessionsJob) -> list[InputPart]:
    """All parts that the join reads; those of CloudTrail are read for several inputs."""
    versions: dict[str, tuple[BaseVersion | None, ...]] = {
        "started": (job.started,),
        "started_before": (job.started_before,),
        "resumed": (job.started, job.started_after),
        "typed_today": (job.typed,),
        "typed_after": (job.typed_after,),
        "uploaded_today": (job.uploaded,),
        "uploaded_after": (job.uploaded_after,),
    }
    return [
        InputPart(name, one.folder, part.name)
        for name, several in versions.items()
        for one in several
        if one is not None
        for part in one.manifest.parts
    ]


def read_input(one: InputPart) -> Iterator[pa.Table]:
    """The rows and columns of a part that the join needs; nothing for a part without any."""
    data = one.folder.store.read(one.folder.key(one.part))
    if one.name == "started":
        yield from map(_with_request, _events(START_EVENT, STARTED_COLUMNS, data))
    elif one.name == "started_before":
        yield from _events(START_EVENT, NAME_COLUMNS, data)
    elif one.name == "resumed":
        yield from _events(RESUME_EVENT, NAME_COLUMNS, data)
    elif one.name.startswith("typed"):
        yield _keystrokes(data)
    else:
        yield _uploads(data)


def input_schemas() -> dict[str, pa.Schema]:
    """The columns of each input."""
    typed = _schema(cloudwatch.TABLE, TYPED_COLUMNS)
    names = _schema(cloudtrail.TABLE, NAME_COLUMNS)
    started = _schema(cloudtrail.TABLE, STARTED_COLUMNS, Request._fields)
    events = {"started": started, "started_before": names, "resumed": names}
    return events | dict.fromkeys(("typed_today", "typed_after", "uploaded_today", "uploaded_after"), typed)


def join_pieces(
    pieces: Iterable[tuple[str, pa.Table]],
    table: Table,
    as_of: dt.datetime,
    sla_minutes: int,
    scratch: Path,
    memory_limit: int,
) -> Iterator[pa.Table]:
    """The sessions of the inputs' rows, given in pieces by the input's name, in the table's order. All joins are by the
    session's name: rows of different sessions may be joined apart."""
    with duckdb.connect(str(scratch / "join.duckdb")) as connection:
        connection.execute("SET memory_limit = ?", [f"{memory_limit}B"])
        connection.execute("SET temp_directory = ?", [str(scratch / "spill")])
        connection.execute("SET TimeZone = 'UTC'")
        for name, schema in input_schemas().items():
            connection.register("piece", schema.empty_table())
            connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM piece")
        for name, rows in pieces:
            connection.register("piece", rows)
            connection.execute(f"INSERT INTO {name} SELECT * FROM piece")
        connection.unregister("piece")
        connection.execute(f"CREATE TEMP VIEW typed AS {TYPED_SQL}")
        parameters = {
            "as_of": as_of.replace(tzinfo=None),
            "sla_minutes": sla_minutes,
            "not_loggable": list(NOT_LOGGABLE_DOCUMENTS),
            "default_document": DEFAULT_DOCUMENT,
        }
        for batch in connection.sql(SESSIONS_SQL, params=parameters).to_arrow_reader(BATCH_ROWS):
            yield _with_transcript(pa.Table.from_batches([batch]), table)


def _schema(table: Table, columns: Sequence[str], texts: Sequence[str] = ()) -> pa.Schema:
    kinds = [(column, ARROW_TYPES[table.column(column).kind]) for column in columns]
    return pa.schema([*kinds, *((name, pa.string()) for name in texts)])


def _with_request(rows: pa.Table) -> pa.Table:
    """StartSession rows with the fields of what they asked for."""
    requests = [read_request(text) for text in rows["requestparameters"].to_pylist()]
    for place, name in enumerate(Request._fields):
        rows = rows.append_column(name, pa.array([one[place] for one in requests], pa.string()))
    return rows


def _events(name: str, columns: Sequence[str], data: bytes) -> Iterator[pa.Table]:
    """Session Manager's rows of one event name; names are read first, the rest only of parts that have some."""
    names = read_part(data, cloudtrail.TABLE, ("eventname", "eventsource"))
    is_event = pc.and_(pc.equal(names["eventname"], name), pc.equal(names["eventsource"], SERVICE))
    is_event = pc.fill_null(is_event, False)
    if pc.any(is_event).as_py():
        yield read_part(data, cloudtrail.TABLE, columns).filter(is_event)


def _keystrokes(data: bytes) -> pa.Table:
    rows = read_part(data, cloudwatch.TABLE, TYPED_COLUMNS)
    return rows.filter(pc.is_valid(rows["sessionid"]))


def _uploads(data: bytes) -> pa.Table:
    """Uploads to S3 in the columns of session log events, null where an upload does not say."""
    given = {name: name for name in ssm_s3.TABLE.column_names} | {"owner": ssm_s3.SOURCE.account_column}
    said = [name for name in TYPED_COLUMNS if name in given]
    rows = read_part(data, ssm_s3.TABLE, [given[name] for name in said]).rename_columns(said)
    for name in TYPED_COLUMNS:
        if name not in given:
            nothing = pa.nulls(rows.num_rows, ARROW_TYPES[cloudwatch.TABLE.column(name).kind])
            rows = rows.append_column(name, nothing)
    return rows.select(list(TYPED_COLUMNS))


def cut_parts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of one part after the other."""
    waiting: list[pa.Table] = []
    for rows in tables:
        waiting.append(rows)
        if sum(one.nbytes for one in waiting) >= PART_BYTES:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if any(one.num_rows for one in waiting):
        yield pa.concat_tables(waiting).combine_chunks()


def _with_transcript(rows: pa.Table, table: Table) -> pa.Table:
    """The table's columns, the readable transcript made from the raw one."""
    texts = [None if text is None else readable(text) for text in rows["sessiondata"].to_pylist()]
    rows = rows.append_column("transcript", pa.array(texts, pa.string()))
    return rows.select(list(table.column_names)).cast(arrow_schema(table))
