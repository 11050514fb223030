"""Reading back: DuckDB over the published versions, one view a table. What readers see, and nothing unpublished.

DuckDB hands the filters of a question to the tables (engines/published.py), which read the stripes that can hold an
answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.published import PublishedTable, Reads
from loglake_dagster.errors import LogLakeError
from loglake_dagster.kernels.arrow import use_plain_memory
from loglake_dagster.lake.schema import Table
from loglake_dagster.sessions import record as sessions
from loglake_dagster.sources import SOURCES

TABLES: tuple[Table, ...] = (*(source.table for source in SOURCES), sessions.TABLE)


@contextmanager
def open_tables(lake: Lake, reads: Reads | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection with a view for each readready table and for sessions; it can reach no file of its own.
    `reads` counts what its questions read. The whole process's Arrow takes its memory from the C library from then on.
    """
    use_plain_memory()
    # On threads of its own DuckDB lets go of our readers when it likes: while the interpreter ends, that aborts it.
    # Parts are read side by side all the same.
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            connection.register(table.name, PublishedTable(lake, table, reads or Reads()))
        # The text of a query is the user's; files, extensions and settings are not part of the question.
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def run_query(lake: Lake, sql: str, reads: Reads | None = None) -> pa.Table:
    """The answer to one SQL question over the published versions, each column with a name of its own; LogLakeError
    with DuckDB's words if it is wrong. `reads` counts what was read for it."""
    with open_tables(lake, reads) as connection:
        return answer_to(connection, sql)


def answer_to(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """run_query, of open tables."""
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
