"""Reading back: DuckDB over the published versions, one view a table. What readers see, and nothing unpublished.

A table is an Arrow dataset of the published parts; the day of each is a partition expression, so that a filter on
eventday reads that day's parts only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from loglake_dagster.engines.lake import Lake
from loglake_dagster.errors import LogLakeError
from loglake_dagster.io.store import LocalStore, S3Store, Store
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.kernels.arrow import ARROW_TYPES, arrow_schema
from loglake_dagster.lake.schema import EVENT_DAY, Table
from loglake_dagster.sessions import record as sessions
from loglake_dagster.sources import SOURCES

TABLES: tuple[Table, ...] = (*(source.table for source in SOURCES), sessions.TABLE)


@contextmanager
def open_tables(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection with a view for each readready table and for sessions; it can reach no file of its own."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            connection.register(table.name, table_dataset(lake, table))
        # The text of a query is the user's; files, extensions and settings are not part of the question.
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def run_query(lake: Lake, sql: str) -> pa.Table:
    """The answer to one SQL question over the published versions, each column with a name of its own; LogLakeError
    with DuckDB's words if it is wrong."""
    with open_tables(lake) as connection:
        try:
            relation = connection.sql(sql)
            answer = relation.to_arrow_table() if relation is not None else pa.table({})
        except duckdb.Error as error:
            raise LogLakeError(f"query: {error}") from error
    return answer.rename_columns(_distinct(answer.column_names))


def _distinct(names: list[str]) -> list[str]:
    """A join has columns of one name on both sides; the second `a` becomes `a_1`, or rows as dicts would lose one."""
    found: list[str] = []
    for name in names:
        number, given = 0, name
        while given in found or (number and given in names):
            number += 1
            given = f"{name}_{number}"
        found.append(given)
    return found


def table_dataset(lake: Lake, table: Table) -> ds.Dataset:
    """The published parts of a table as an Arrow dataset with its columns and eventday."""
    schema = arrow_schema(table).append(pa.field(EVENT_DAY.name, ARROW_TYPES["date"]))
    paths: list[str] = []
    days: list[ds.Expression] = []
    for version in lake.catalog.published_days(table.name):
        folder = VersionFolder(lake.store, table.name, version.day, version.version)
        parts = folder.read_manifest().parts
        paths += [_path(lake.store, folder.key(part.name)) for part in parts]
        days += [ds.field(EVENT_DAY.name) == pa.scalar(version.day)] * len(parts)
    if not paths:
        return ds.dataset(pa.Table.from_batches([], schema=schema))
    return ds.FileSystemDataset.from_paths(
        paths, schema=schema, format=ds.OrcFileFormat(), filesystem=_filesystem(lake), partitions=days
    )


def _path(store: Store, key: str) -> str:
    if isinstance(store, LocalStore):
        return str(store.path / key)
    return store.uri(key).removeprefix("s3://")


def _filesystem(lake: Lake) -> Any:
    if not isinstance(lake.store, S3Store):
        return pafs.LocalFileSystem()
    from obstore.fsspec import FsspecStore

    return pafs.PyFileSystem(pafs.FSSpecHandler(FsspecStore("s3", **lake.store.options)))
