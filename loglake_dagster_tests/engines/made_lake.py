"""A lake in a folder, with its feeds beside it, and what a reader sees in it."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loglake_dagster.engines import Engine, ReadreadyJob, SessionsJob, Written
from loglake_dagster.engines.lake import Lake, open_lake
from loglake_dagster.engines.query import run_query
from loglake_dagster.errors import StoreError
from loglake_dagster.io.store import LocalStore, Store
from loglake_dagster.lake.controls import Controls
from loglake_dagster.lake.manifest import Manifest, ObjectEntry, Totals
from loglake_dagster.lake.settings import EngineSettings, Feed, Quality, Settings
from loglake_dagster.sources.cloudtrail import SOURCE

SESSION_GROUP = "/ssm/sessions"
ONE_PROCESS = EngineSettings(workers=1)


def trail_of(folder: Path) -> Path:
    """Where the CloudTrail feed of the folder's lake is delivered to."""
    return folder / "trail"


def firehose_of(folder: Path) -> Path:
    """Where the CloudWatch feed of the folder's lake is delivered to."""
    return folder / "firehose"


def made_lake(
    folder: Path,
    name: str = "lake",
    *,
    controls: Controls | None = None,
    quality: Quality | None = None,
    engine: EngineSettings = ONE_PROCESS,
    feeds: Sequence[Feed] | None = None,
) -> Lake:
    """The lake `name` in the folder; several lakes may read the same feeds. The feeds' folders are made."""
    trail, firehose = str(trail_of(folder)), str(firehose_of(folder))
    both = (
        Feed("cloudtrail", "cloudtrail", trail),
        Feed("cloudwatch", "cloudwatch", firehose, {"session": (SESSION_GROUP,)}),
    )
    for feed in both if feeds is None else feeds:
        Path(feed.uri).mkdir(parents=True, exist_ok=True)
    settings = Settings(
        file=folder / "loglake.yaml",
        lake=str(folder / name),
        catalog_path=folder / name / "catalog.db",
        feeds=both if feeds is None else tuple(feeds),
        controls=controls or Controls(),
        quality=quality or Quality(),
        engine=engine,
    )
    return open_lake(settings)


def rows_of(lake: Lake, table: str = SOURCE.readready_name) -> list[dict[str, Any]]:
    """All rows that a reader sees, in the order of their places in the source."""
    return run_query(lake, f"SELECT * FROM {table} ORDER BY source_object, source_ordinal").to_pylist()


def ids_of(lake: Lake) -> list[str]:
    """The ids of all CloudTrail events that a reader sees, sorted."""
    return sorted(row["eventid"] for row in rows_of(lake))


def published(lake: Lake, day: dt.date, table: str = SOURCE.readready_name) -> tuple[Manifest, dict[str, ObjectEntry]]:
    """The manifest and the accounts, by object, of the version that readers see. Checks that the sums hold."""
    version = lake.published(table, day)
    assert version is not None
    assert Totals.of(version.entries) == version.manifest.totals
    assert version.manifest.totals.landed == version.manifest.rows
    return version.manifest, {entry.uri: entry for entry in version.entries}


def accounted(entry: ObjectEntry) -> tuple[int, ...]:
    """(found, landed, duplicate, filtered, other_day, rejected) of an object."""
    return entry.found, entry.landed, entry.duplicate, entry.filtered, entry.other_day, entry.rejected


@dataclass(frozen=True, slots=True)
class WatchedLake(Lake):
    """A lake that notes which source objects are read, and for which reading fails."""

    reads: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, lake: Lake) -> "WatchedLake":
        return cls(lake.settings, lake.store, lake.catalog, lake.engine, lake.now)

    def feed_store(self, feed: Feed) -> Store:
        return WatchedStore(Path(feed.uri), self.reads, self.broken)


class WatchedStore(LocalStore):
    """A folder that notes the names of the files that are read, and refuses to read the broken ones."""

    def __init__(self, path: Path, reads: list[str], broken: set[str]) -> None:
        super().__init__(path)
        self.reads, self.broken = reads, broken

    def read(self, key: str) -> bytes:
        self.reads.append(Path(key).name)
        if Path(key).name in self.broken:
            raise StoreError(f"{key}: not allowed to read", why="not allowed")
        return super().read(key)


class InterruptedEngine(Engine):
    """An engine after whose writing something happens, before anybody looks at what was written."""

    def __init__(self, engine: Engine, then: Callable[[ReadreadyJob, Written], Written | None]) -> None:
        self._engine, self._then = engine, then

    def write_readready(self, job: ReadreadyJob, progress: Any = None) -> Written:
        written = self._engine.write_readready(job, progress)
        return self._then(job, written) or written

    def write_sessions(self, job: SessionsJob) -> Written:
        return self._engine.write_sessions(job)


def interrupted(lake: Lake, then: Callable[[ReadreadyJob, Written], Written | None]) -> Lake:
    """The lake with an engine after whose writing `then` happens; what it returns, if anything, replaces Written."""
    return replace(lake, engine=InterruptedEngine(lake.engine, then))
