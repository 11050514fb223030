"""The embedded catalog: one SQLite file in WAL mode, safe for several processes of one machine."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from loglake_dagster.catalog import LateDay, LateObject, PublishedVersion, RawPartition
from loglake_dagster.errors import CatalogError, PublishConflict
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.schema import Table

WAIT_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS columns (
  table_name TEXT NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, doc TEXT NOT NULL,
  is_partition INTEGER NOT NULL, PRIMARY KEY (table_name, place));
CREATE TABLE IF NOT EXISTS raw_partitions (
  table_name TEXT NOT NULL, day TEXT NOT NULL, partition_values TEXT NOT NULL, location TEXT NOT NULL,
  PRIMARY KEY (table_name, day, partition_values));
CREATE TABLE IF NOT EXISTS versions (
  table_name TEXT NOT NULL, day TEXT NOT NULL, version TEXT NOT NULL, location TEXT NOT NULL, published TEXT NOT NULL,
  facts TEXT NOT NULL, PRIMARY KEY (table_name, day, version));
CREATE TABLE IF NOT EXISTS late_objects (
  table_name TEXT NOT NULL, day TEXT NOT NULL, uri TEXT NOT NULL, fingerprint TEXT NOT NULL,
  object TEXT NOT NULL, is_waiting INTEGER NOT NULL, PRIMARY KEY (table_name, day, uri));
CREATE TABLE IF NOT EXISTS partitions (
  table_name TEXT NOT NULL, day TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (table_name, day));
"""
_VERSION = "v.table_name, v.day, v.version, v.location, v.published, v.facts"
_JOINED = f"SELECT {_VERSION} FROM partitions p JOIN versions v USING (table_name, day, version)"

_NOTE_LATE = """
INSERT INTO late_objects VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (table_name, day, uri) DO UPDATE
SET is_waiting = is_waiting OR fingerprint != excluded.fingerprint, fingerprint = excluded.fingerprint,
    object = excluded.object
WHERE object != excluded.object
"""


class SqliteCatalog:
    """See Catalog. Each call opens the file anew, so that the object crosses process borders freely. Reading makes no
    file: a catalog that is not there yet is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _connected(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            if write:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(_open(self.path, write)) as connection:
                _use_write_ahead_log(connection)
                connection.execute("PRAGMA synchronous=FULL")
                connection.executescript(_SCHEMA)
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            is_busy = "locked" in str(error) or "busy" in str(error)
            remedy = "another process holds it, run again" if is_busy else "check the path and its permissions"
            raise CatalogError(
                f"catalog {self.path}: {error}; {remedy}", retryable=is_busy, path=str(self.path)
            ) from error

    def register_table(self, table: Table) -> None:
        columns = [(c, False) for c in table.columns] + [(c, True) for c in table.partition_columns]
        rows = [(table.name, n, c.name, c.hive_type, c.doc, is_part) for n, (c, is_part) in enumerate(columns)]
        with self._connected(write=True) as connection:
            connection.execute("INSERT OR REPLACE INTO tables VALUES (?, ?)", (table.name, table.doc))
            connection.execute("DELETE FROM columns WHERE table_name = ?", (table.name,))
            connection.executemany("INSERT INTO columns VALUES (?, ?, ?, ?, ?, ?)", rows)

    def tables(self) -> list[str]:
        with self._connected() as connection:
            return [name for (name,) in connection.execute("SELECT name FROM tables ORDER BY name")]

    def columns(self, table: str) -> list[tuple[str, str]]:
        with self._connected() as connection:
            found = connection.execute(
                "SELECT name, type FROM columns WHERE table_name = ? ORDER BY place", (table,)
            ).fetchall()
        if not found:
            raise CatalogError(f"catalog {self.path}: no table {table!r}; materialise it first", table=table)
        return [(name, kind) for name, kind in found]

    def register_raw(self, table: str, partitions: Iterable[RawPartition]) -> int:
        rows = [(table, p.values[-1], json.dumps(p.values), p.location) for p in partitions]
        with self._connected(write=True) as connection:
            before = connection.total_changes
            connection.executemany("INSERT OR IGNORE INTO raw_partitions VALUES (?, ?, ?, ?)", rows)
            return connection.total_changes - before

    def raw_partitions(self, table: str, day: dt.date | None = None) -> list[RawPartition]:
        query = (
            "SELECT partition_values, location FROM raw_partitions WHERE table_name = ?1 AND (?2 IS NULL OR day = ?2)"
        )
        with self._connected() as connection:
            found = connection.execute(query, (table, day.isoformat() if day else None)).fetchall()
        return sorted(
            (RawPartition(tuple(json.loads(values)), location) for values, location in found), key=lambda p: p.values
        )

    def published(self, table: str, day: dt.date) -> PublishedVersion | None:
        found = self.published_days(table, day, day)
        return found[0] if found else None

    def published_days(
        self, table: str, first: dt.date | None = None, last: dt.date | None = None
    ) -> Sequence[PublishedVersion]:
        query = f"{_JOINED} WHERE v.table_name = ? AND v.day BETWEEN ? AND ? ORDER BY v.day"
        bounds = table, (first or dt.date.min).isoformat(), (last or dt.date.max).isoformat()
        with self._connected() as connection:
            return [_version(row) for row in connection.execute(query, bounds)]

    def publish(self, version: PublishedVersion, expected: str | None) -> None:
        place = version.table, version.day.isoformat()
        with self._connected(write=True) as connection:
            found = connection.execute(
                "SELECT version FROM partitions WHERE table_name = ? AND day = ?", place
            ).fetchone()
            current = found[0] if found else None
            if current != expected:
                raise PublishConflict(
                    f"{version.table} {version.day}: another run published {current} meanwhile (this one set out from "
                    f"{expected}); run again to take its result in",
                    table=version.table,
                    day=version.day.isoformat(),
                )
            facts = json.dumps(dict(version.facts), sort_keys=True, default=str)
            row = (*place, version.version, version.location, version.published.isoformat(), facts)
            connection.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute("INSERT OR REPLACE INTO partitions VALUES (?, ?, ?)", (*place, version.version))

    def note_late(self, objects: Iterable[LateObject]) -> int:
        rows = [
            (o.table, o.day.isoformat(), o.entry.uri, repr(o.entry.fingerprint), msgspec.json.encode(o).decode())
            for o in objects
        ]
        if not rows:
            return 0
        with self._connected(write=True) as connection:
            before = connection.total_changes
            connection.executemany(_NOTE_LATE, rows)
            return connection.total_changes - before

    def late_objects(self, table: str, day: dt.date) -> Sequence[LateObject]:
        query = "SELECT object FROM late_objects WHERE table_name = ? AND day = ? ORDER BY uri"
        with self._connected() as connection:
            found = connection.execute(query, (table, day.isoformat())).fetchall()
        return [msgspec.json.decode(text, type=LateObject) for (text,) in found]

    def late_days(self, table: str) -> Sequence[LateDay]:
        query = "SELECT day, count(*), sum(is_waiting) FROM late_objects WHERE table_name = ? GROUP BY day ORDER BY day"
        with self._connected() as connection:
            return [LateDay(dt.date.fromisoformat(d), n, w) for d, n, w in connection.execute(query, (table,))]

    def settle_late(self, table: str, day: dt.date, entries: Iterable[ObjectEntry]) -> None:
        place = "table_name = ? AND day = ? AND uri = ? AND fingerprint = ?"
        query = f"UPDATE late_objects SET is_waiting = 0 WHERE {place}"
        if rows := [(table, day.isoformat(), entry.uri, repr(entry.fingerprint)) for entry in entries]:
            with self._connected(write=True) as connection:
                connection.executemany(query, rows)

    def history(self, table: str, day: dt.date) -> Sequence[PublishedVersion]:
        query = f"SELECT {_VERSION} FROM versions v WHERE table_name = ? AND day = ? ORDER BY published, version"
        with self._connected() as connection:
            return [_version(row) for row in connection.execute(query, (table, day.isoformat()))]


def _open(path: Path, write: bool) -> sqlite3.Connection:
    """The file, made by the first one that writes; for a reader before, an empty catalog in memory."""
    try:
        path.stat()
        name = f"{path.absolute().as_uri()}?mode=rw"
    except FileNotFoundError:
        name = f"{path.absolute().as_uri()}?mode=rwc" if write else "file::memory:"
    return sqlite3.connect(name, timeout=WAIT_S, isolation_level=None, uri=True)


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """SQLite's own timeout does not hold here: of two processes that make one new file at once, one fails at once."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _version(row: tuple[str, str, str, str, str, str]) -> PublishedVersion:
    table, day, version, location, published, facts = row
    moment = dt.datetime.fromisoformat(published)
    return PublishedVersion(table, dt.date.fromisoformat(day), version, location, moment, json.loads(facts))
