"""What could not be a row: the rejects of a day, read from the files beside its versions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loglake_dagster.catalog import PublishedVersion
from loglake_dagster.engines.lake import Lake
from loglake_dagster.errors import LogLakeError, quote
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.manifest import Manifest
from loglake_dagster.sources import SOURCES


@dataclass(frozen=True, slots=True)
class TableRejects:
    """The rejects of a table's published day, in the order of their files. Each has object, ordinal, path, expected,
    got, eventday, and the record verbatim: `record`, or `record_base64` where it is not UTF-8."""

    table: str
    day: dt.date
    version: str
    rejects: Sequence[Mapping[str, Any]]

    def as_facts(self) -> list[dict[str, Any]]:
        """One plain mapping a reject, for programs."""
        return [{"table": self.table, "day": self.day, "version": self.version, **one} for one in self.rejects]


def read_rejects(lake: Lake, day: dt.date, table: str | None = None) -> list[TableRejects]:
    """The rejects of a day's published versions, of one table or of all. LogLakeError if there is no such table, or
    nothing of the day is published."""
    names = [source.readready_name for source in SOURCES]
    if table is not None and table not in names:
        raise LogLakeError(f"--table: expected one of {', '.join(names)}, got {quote(table)}")
    versions = [lake.catalog.published(name, day) for name in (names if table is None else [table])]
    found = [_of_version(lake, one) for one in versions if one is not None]
    if not found:
        raise LogLakeError(
            f"{table or 'rejects'} {day}: nothing is published; loglake materialize --day {day} makes it",
            day=day.isoformat(),
        )
    return found


def first_rejects(lake: Lake, manifest: Manifest, limit: int) -> list[dict[str, Any]]:
    """The first rejects of a version, published or not."""
    folder = VersionFolder(lake.store, manifest.table, manifest.day, manifest.version)
    return folder.read_rejects(manifest.reject_files, limit)


def _of_version(lake: Lake, version: PublishedVersion) -> TableRejects:
    folder = VersionFolder(lake.store, version.table, version.day, version.version)
    rejects = folder.read_rejects(folder.read_manifest().reject_files)
    return TableRejects(version.table, version.day, version.version, rejects)
