"""What makes one version of one day: the engine, behind two verbs, and the jobs that it is given.

An engine writes a version folder and says what is in it. It does not plan, audit or publish: readready.py and
sessions.py beside it do, the same way for every engine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from loglake_dagster.io.store import Store
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.manifest import Manifest, ObjectEntry, Part
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import EngineSettings, OrcSettings, S3Settings
from loglake_dagster.lake.source import Wanted

if TYPE_CHECKING:
    from loglake_dagster.engines.remote import Launcher

# Told of progress: objects read so far, objects to read, events found so far.
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class FeedAccess:
    """Where a feed's objects are read, and what of them is kept."""

    store: Store
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class BaseVersion:
    """The published version that a run adds to."""

    folder: VersionFolder
    manifest: Manifest
    entries: Sequence[ObjectEntry]


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """An object to read: its entry, still without counts, and its key in its feed's store."""

    entry: ObjectEntry
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadreadyJob:
    """Write a version of `day` into `target`: the rows of `objects`, and those of `base` carried over."""

    source: str
    table: Table
    day: dt.date
    target: VersionFolder
    objects: Sequence[PlannedObject]
    feeds: Mapping[str, FeedAccess]
    base: BaseVersion | None
    orc: OrcSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsJob:
    """Write a version of the sessions of `day` into `target`. The inputs are published version folders with their
    manifests; `started_before` and `started_after` are the neighbouring days' CloudTrail, `typed_after` the next
    day's keystrokes, `uploaded` and `uploaded_after` the uploads to S3 of both days, where there are any."""

    table: Table
    day: dt.date
    target: VersionFolder
    started: BaseVersion
    typed: BaseVersion
    started_before: BaseVersion | None
    typed_after: BaseVersion | None
    started_after: BaseVersion | None
    uploaded: BaseVersion | None
    uploaded_after: BaseVersion | None
    as_of: dt.datetime
    sla_minutes: int
    orc: OrcSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an engine, which names itself, wrote into a version folder: its parts, every object's entry, and the reject
    files."""

    parts: tuple[Part, ...]
    engine: str
    entries: Sequence[ObjectEntry] = field(default_factory=tuple)
    reject_files: tuple[str, ...] = ()


class Engine(Protocol):
    """Both verbs give the same rows for the same job, on every engine."""

    def write_readready(self, job: ReadreadyJob, progress: Progress | None = None) -> Written:
        """Decodes, deduplicates and writes a day of a source."""

    def write_sessions(self, job: SessionsJob) -> Written:
        """Joins a day's sessions with their keystrokes and writes them."""


def open_engine(settings: EngineSettings, s3: S3Settings, launcher: Launcher | None = None) -> Engine:
    """The engine that the settings name. Spark starts no sooner than it has a day to write; a job elsewhere is started
    by `launcher`."""
    from loglake_dagster.engines.embedded import EmbeddedEngine

    embedded = EmbeddedEngine(settings)
    if settings.type == "embedded":
        return embedded
    from loglake_dagster.engines.remote import RemoteEngine
    from loglake_dagster.engines.spark import EngineBySize, SparkEngine

    spark = RemoteEngine(settings, s3, launcher) if settings.launch else SparkEngine(settings)
    return spark if settings.spark_above is None else EngineBySize(embedded, spark, settings.spark_above)
