"""The catalog: which tables there are, where their partitions lie, and which version of a day readers see.

`Catalog` is the seam; one behaviour suite tests every implementation of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.schema import Table


@dataclass(frozen=True, slots=True)
class RawPartition:
    """Files that stay where they are: the values of the raw table's partition columns, and the folder's URI."""

    values: tuple[str, ...]
    location: str


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """The version of a table's day that readers see. `facts` are what `status` shows: rows, coverage, content hash."""

    table: str
    day: dt.date
    version: str
    location: str
    published: dt.datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LateObject:
    """An object outside a day's delivery window that another day's run found to hold events of the day. `entry` is
    what its listing and key said then, without counts; `key` its key in its feed; `events` how many events of the day
    it holds."""

    table: str
    day: dt.date
    entry: ObjectEntry
    key: str
    events: int


@dataclass(frozen=True, slots=True)
class LateDay:
    """A day with late objects: how many there are, and how many of them its published version does not account for."""

    day: dt.date
    objects: int
    waiting: int


class Catalog(Protocol):
    """Tables, columns, partitions, locations, versions."""

    def register_table(self, table: Table) -> None:
        """Makes the table known, or brings its columns up to date. Idempotent."""

    def tables(self) -> list[str]:
        """Names of all tables, sorted."""

    def columns(self, table: str) -> list[tuple[str, str]]:
        """(name, Hive type) of a table's columns in order, partition columns last; CatalogError if unknown."""

    def register_raw(self, table: str, partitions: Iterable[RawPartition]) -> int:
        """Adds raw partitions that are not there yet; returns how many were new. Idempotent."""

    def raw_partitions(self, table: str, day: dt.date | None = None) -> list[RawPartition]:
        """Raw partitions, of one delivery day or all, sorted by their values. The day is the last partition value."""

    def published(self, table: str, day: dt.date) -> PublishedVersion | None:
        """The version of a day that readers see."""

    def published_days(
        self, table: str, first: dt.date | None = None, last: dt.date | None = None
    ) -> Sequence[PublishedVersion]:
        """Published versions of a table, oldest day first; both ends included."""

    def publish(self, version: PublishedVersion, expected: str | None) -> None:
        """Moves a day's pointer in one atomic step. `expected` is the version that the run was planned from (None for
        none); PublishConflict if another one is published by now."""

    def note_late(self, objects: Iterable[LateObject]) -> int:
        """Writes down late objects of days; returns how many are new or are told otherwise than before. One whose
        content has changed is waited for again."""

    def late_objects(self, table: str, day: dt.date) -> Sequence[LateObject]:
        """The late objects of a day, by URI."""

    def late_days(self, table: str) -> Sequence[LateDay]:
        """Days that have late objects, oldest first."""

    def settle_late(self, table: str, day: dt.date, entries: Iterable[ObjectEntry]) -> None:
        """Marks late objects of a day as accounted for by its published version, as long as their content is that of
        the entries."""

    def history(self, table: str, day: dt.date) -> Sequence[PublishedVersion]:
        """Every version that was ever published for a day, oldest first."""
