"""What crosses when a version is written on another machine: the job and its answer, files of the version's own folder.

_job/job.json.gz        what to write: plain values, from which a cluster's driver makes the engine's job again
_job/answer.json.gz     what was written, or the error in its words

Belongs here: the two files. Stays out: how a job is started (assets/pipes.py) and done (remote.py). JSON with types and
no pickle: who may write into the lake's bucket must not be able to run code.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TypeVar

import msgspec

from loglake_dagster.engines import BaseVersion, FeedAccess, PlannedObject, ReadreadyJob, SessionsJob
from loglake_dagster.errors import StoreError
from loglake_dagster.io.store import Store, open_store
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.manifest import ObjectEntry, Part
from loglake_dagster.lake.settings import EngineSettings, OrcSettings, S3Settings
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sessions.record import TABLE as SESSIONS
from loglake_dagster.sources import source_named

JOB, ANSWER = "_job/job.json.gz", "_job/answer.json.gz"
# What decides about rows. The shell around it (assets, command line, settings file) may differ.
PROGRAM = ("errors.py", "lake", "kernels", "sources", "sessions", "io", "engines")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VersionName:
    """Where a version is, in the lake, or a step: see VersionFolder."""

    table: str
    day: dt.date
    version: str
    after: str | None = None


@dataclass(frozen=True, slots=True)
class HandedFeed:
    """A feed's root as a URI, and what of its objects is kept."""

    root: str
    wanted: Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedReadready:
    """What of a ReadreadyJob the record of its source does not say."""

    source: str
    objects: tuple[ObjectEntry, ...]
    feeds: Mapping[str, HandedFeed]
    base: VersionName | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedSessions:
    """What of a SessionsJob the record of sessions does not say; `inputs` by the job's own names."""

    inputs: Mapping[str, VersionName]
    as_of: dt.datetime
    sla_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedJob:
    """A job of either verb, for the program that `program` names and for no other."""

    program: str
    lake: str
    target: VersionName
    s3: S3Settings
    engine: EngineSettings
    orc: OrcSettings
    readready: HandedReadready | None = None
    sessions: HandedSessions | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of ours: its class, its words, whether trying again can help."""

    kind: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was written, as in Written; or the problem that kept it from being written whole."""

    engine: str
    parts: tuple[Part, ...] = ()
    entries: tuple[ObjectEntry, ...] = ()
    reject_files: tuple[str, ...] = ()
    problem: Problem | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Handover:
    """The two files of a version's folder, by its key; the root, where the store is the folder."""

    store: Store
    folder: str = ""

    def _key(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name

    @property
    def job_uri(self) -> str:
        return self.store.uri(self._key(JOB))

    def write_job(self, job: HandedJob) -> None:
        self.store.write(self._key(JOB), _packed(job))

    def read_job(self) -> HandedJob:
        """StoreError if it is not there, or of another program's making."""
        return self._read(JOB, HandedJob)

    def write_answer(self, answer: Answer) -> None:
        self.store.write(self._key(ANSWER), _packed(answer))

    def read_answer(self) -> Answer | None:
        """None if there is none: the job did not get so far."""
        try:
            return self._read(ANSWER, Answer)
        except StoreError as error:
            if error.facts.get("why") == "not found":
                return None
            raise

    def _read(self, name: str, kind: type[T]) -> T:
        data = self.store.read(self._key(name))
        try:
            return msgspec.json.decode(gzip.decompress(data), type=kind)
        except (msgspec.DecodeError, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise StoreError(f"{self.store.uri(self._key(name))}: not a readable file of a job: {error}") from error


def _packed(value: object) -> bytes:
    return gzip.compress(msgspec.json.encode(value), 6, mtime=0)


def handed_readready(job: ReadreadyJob, engine: EngineSettings, s3: S3Settings) -> HandedJob:
    """The job as plain values."""
    handed = HandedReadready(
        source=job.source,
        objects=tuple(one.entry for one in job.objects),
        feeds={name: HandedFeed(access.store.root, access.wanted) for name, access in job.feeds.items()},
        base=_name(job.base.folder) if job.base else None,
    )
    return replace(_handed(job, engine, s3), readready=handed)


def handed_sessions(job: SessionsJob, engine: EngineSettings, s3: S3Settings) -> HandedJob:
    """The job as plain values."""
    inputs = {name: getattr(job, name) for name in SESSIONS_INPUTS}
    handed = HandedSessions(
        inputs={name: _name(base.folder) for name, base in inputs.items() if base is not None},
        as_of=job.as_of,
        sla_minutes=job.sla_minutes,
    )
    return replace(_handed(job, engine, s3), sessions=handed)


SESSIONS_INPUTS = ("started", "typed", "started_before", "typed_after", "started_after", "uploaded", "uploaded_after")


def _handed(job: ReadreadyJob | SessionsJob, engine: EngineSettings, s3: S3Settings) -> HandedJob:
    # What is told to the service at the start is not told again to the session.
    plain = replace(engine, master=None, conf={}, spark_above=None, launch=None)
    return HandedJob(
        program=program_name(),
        lake=job.target.store.root,
        target=_name(job.target),
        s3=replace(s3, through_boto3=True),
        engine=plain,
        orc=job.orc,
    )


def _name(folder: VersionFolder) -> VersionName:
    return VersionName(folder.table, folder.day, folder.version, folder.after)


def taken_readready(job: HandedJob, handed: HandedReadready) -> ReadreadyJob:
    """The engine's job again, its stores opened here; the base version's manifest and accounts are read."""
    store = open_store(job.lake, job.s3)
    feeds = {name: FeedAccess(open_store(one.root, job.s3), one.wanted) for name, one in handed.feeds.items()}
    return ReadreadyJob(
        source=handed.source,
        table=source_named(handed.source).table,
        day=job.target.day,
        target=_folder(store, job.target),
        objects=[PlannedObject(entry, feeds[entry.feed].store.key(entry.uri)) for entry in handed.objects],
        feeds=feeds,
        base=_base(store, handed.base, with_accounts=True) if handed.base else None,
        orc=job.orc,
    )


def taken_sessions(job: HandedJob, handed: HandedSessions) -> SessionsJob:
    """The engine's job again; the manifests of its inputs are read."""
    store = open_store(job.lake, job.s3)
    inputs = {name: _base(store, one, with_accounts=False) for name, one in handed.inputs.items()}
    others = {name: inputs.get(name) for name in SESSIONS_INPUTS[2:]}
    return SessionsJob(
        table=SESSIONS,
        day=job.target.day,
        target=_folder(store, job.target),
        started=inputs["started"],
        typed=inputs["typed"],
        **others,
        as_of=handed.as_of,
        sla_minutes=handed.sla_minutes,
        orc=job.orc,
    )


def _folder(store: Store, name: VersionName) -> VersionFolder:
    return VersionFolder(store, name.table, name.day, name.version, name.after)


def _base(store: Store, name: VersionName, with_accounts: bool) -> BaseVersion:
    folder = _folder(store, name)
    return BaseVersion(folder, folder.read_manifest(), folder.read_objects() if with_accounts else ())


def program_name() -> str:
    """A short name for the code that decides about rows, wherever it is installed: equal code, equal name."""
    digest = hashlib.sha256()
    root = files("loglake_dagster")
    for part in PROGRAM:
        for path, data in _sources(root / part, part):
            digest.update(f"{path}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]


def _sources(place: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    """(path, text) of the modules in a folder, in the order of their paths."""
    if place.is_file():
        yield path, place.read_bytes()
        return
    for one in sorted(place.iterdir(), key=lambda one: one.name):
        if one.is_dir() or one.name.endswith(".py"):
            yield from _sources(one, f"{path}/{one.name}")
