"""Version folders: `<table>/eventday=D/v=<version>/` with parts, manifest, accounts and rejects.

part-*.orc                    data; all that a reader's engine sees, names with `_` are hidden from it
_manifest/manifest.json       what the version is (lake/manifest.py)
_manifest/objects.parquet     one row a source object: the accounting
_manifest/audit.json          what the audit came to, once it ended, passed or not (kernels/coverage.py)
_identities/part-*.parquet    an aid for the next run (identity_files.py)
_rejects/rejects-*.jsonl      records that could not be rows, verbatim, one a line

A step that a run has finished looks the same, in `.steps/<table>/eventday=D/after=<version>/v=<step>/`.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from loglake_dagster.errors import AuditError, StoreError
from loglake_dagster.io.store import Store
from loglake_dagster.kernels.coverage import Audit
from loglake_dagster.lake.manifest import Manifest, ObjectEntry, Part
from loglake_dagster.lake.partition import day_folder, version_folder
from loglake_dagster.lake.source import Reject

STEPS = ".steps"
# What steps come after while no version of a day is published.
NOTHING = "none"
MANIFEST = "_manifest/manifest.json"
OBJECTS = "_manifest/objects.parquet"
AUDIT = "_manifest/audit.json"
_COUNTS = ("filtered_by", "other_days", "accounts", "lateness")
_TIMES = ("delivery_time", "first_event_time", "last_event_time")
_EPOCH, _MILLISECOND = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc), dt.timedelta(milliseconds=1)
T = TypeVar("T")
_TIME = pa.timestamp("ms", "UTC")
OBJECT_SCHEMA = pa.schema(
    [
        *[(name, pa.string()) for name in ("uri", "feed")],
        ("size", pa.int64()),
        *[(name, pa.string()) for name in ("etag", "object_version")],
        ("delivery_day", pa.date32()),
        ("delivery_time", _TIME),
        *[(name, pa.string()) for name in ("account", "region", "state", "reason")],
        ("lost_share", pa.float64()),
        *[(name, pa.int64()) for name in ("found", "landed", "duplicate", "filtered", "other_day", "rejected")],
        *[(name, _TIME) for name in ("first_event_time", "last_event_time")],
        *[(name, pa.string()) for name in _COUNTS],
    ]
)


@dataclasses.dataclass(frozen=True, slots=True)
class VersionFolder:
    """One version's folder in the lake's store. `after` is None for a version; for a step that a run keeps it is the
    version that was published when the run set out, or NOTHING."""

    store: Store
    table: str
    day: dt.date
    version: str
    after: str | None = None

    @property
    def folder(self) -> str:
        """Key of the folder, no slash at the end."""
        if self.after is None:
            return version_folder(self.table, self.day, self.version)
        return f"{steps_folder(self.table, self.day)}/after={self.after}/v={self.version}"

    @property
    def location(self) -> str:
        """URI of the folder, with a slash at the end: a partition's location."""
        return self.store.uri(self.folder) + "/"

    def key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def write_manifest(self, manifest: Manifest, entries: Sequence[ObjectEntry]) -> None:
        """The accounts first, the manifest last: a folder with a manifest is complete."""
        self.store.write(self.key(OBJECTS), _pack_objects(entries))
        self.store.write(self.key(MANIFEST), msgspec.json.format(msgspec.json.encode(manifest), indent=1))

    def read_manifest(self) -> Manifest:
        """StoreError if it is not there or damaged."""
        return self._read_json(MANIFEST, Manifest, "manifest")

    def write_audit(self, audit: Audit) -> None:
        self.store.write(self.key(AUDIT), msgspec.json.format(msgspec.json.encode(audit), indent=1))

    def read_audit(self) -> Audit | None:
        """What the audit came to; None if none ended, and for versions of releases that did not write it down.
        StoreError if it is damaged."""
        try:
            return self._read_json(AUDIT, Audit, "audit")
        except StoreError as error:
            if error.facts.get("why") == "not found":
                return None
            raise

    def _read_json(self, name: str, kind: type[T], what: str) -> T:
        data = self.store.read(self.key(name))
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.store.uri(self.key(name))}: not a readable {what}: {error}") from error

    def read_objects(self) -> list[ObjectEntry]:
        """The accounting, in the order of the objects' URIs. StoreError if it is not there or damaged."""
        data = self.store.read(self.key(OBJECTS))
        try:
            return _entries(pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise StoreError(f"{self.store.uri(self.key(OBJECTS))}: not readable accounts: {error}") from error

    def write_rejects(self, name: str, rejects: Iterable[tuple[str, Reject]]) -> None:
        """One line a reject; `rejects` pairs each with the URI of its object."""
        self.store.write(self.key(name), b"".join(msgspec.json.encode(_reject(*one)) + b"\n" for one in rejects))

    def read_rejects(self, names: Iterable[str], limit: int | None = None) -> list[dict[str, Any]]:
        """Every reject of the named files, or the first ones: object, ordinal, path, expected, got, eventday, and the
        record."""
        lines = (line for name in names for line in self.store.read(self.key(name)).splitlines())
        return [json.loads(line) for line in itertools.islice(lines, limit)]


def steps_folder(table: str, day: dt.date) -> str:
    """Key of the folder that holds the steps of a day, no slash at the end."""
    return f"{STEPS}/{day_folder(table, day)}"


def step_folders(store: Store, table: str, day: dt.date, after: str) -> list[VersionFolder]:
    """The steps that were kept since a version was published, oldest first: finished or not."""
    folders, _objects = store.list_level(f"{steps_folder(table, day)}/after={after}/")
    names = sorted(folder.rstrip("/").rpartition("/v=")[2] for folder in folders)
    return [VersionFolder(store, table, day, name, after) for name in names]


def check_sizes(folder: VersionFolder, parts: Iterable[Part]) -> None:
    """AuditError if a part is not there, or not as large as it was when it was written. No part is opened."""
    _folders, listed = folder.store.list_level(f"{folder.folder}/")
    sizes = {one.key.rpartition("/")[2]: one.size for one in listed}
    for part in parts:
        if part.name not in sizes:
            raise AuditError(f"{folder.location}{part.name}: carried over, but not there")
        if sizes[part.name] != part.bytes:
            raise AuditError(
                f"{folder.location}{part.name}: carried over, expected {part.bytes} bytes, got {sizes[part.name]}"
            )


def version_folders(store: Store, table: str, day: dt.date) -> list[VersionFolder]:
    """Every version's folder of a table's day, oldest first: published, refused or left unfinished."""
    folders, _objects = store.list_level(f"{day_folder(table, day)}/")
    names = sorted(folder.rstrip("/").rpartition("/v=")[2] for folder in folders if "/v=" in folder)
    return [VersionFolder(store, table, day, name) for name in names]


def _reject(uri: str, reject: Reject) -> dict[str, Any]:
    """A reject's line: the record verbatim as text, or as base64 where it is not UTF-8."""
    facts: dict[str, Any] = {
        "object": uri,
        "ordinal": reject.ordinal,
        "path": reject.path,
        "expected": reject.expected,
        "got": reject.got,
        "eventday": reject.event_day,
    }
    try:
        return {**facts, "record": reject.record.decode()}
    except UnicodeDecodeError:
        return {**facts, "record_base64": base64.b64encode(reject.record).decode()}


def _pack_objects(entries: Sequence[ObjectEntry]) -> bytes:
    columns: dict[str, Any] = {}
    for name in OBJECT_SCHEMA.names:
        values = [getattr(entry, name) for entry in entries]
        if name in _COUNTS:
            values = [msgspec.json.encode(v, order="sorted").decode() if v else None for v in values]
        elif name in _TIMES:
            # Arrow's own conversion looks the zone up for each value.
            millis = [None if v is None else (v - _EPOCH) // _MILLISECOND for v in values]
            columns[name] = pa.array(millis, pa.int64()).cast(_TIME)
            continue
        columns[name] = values
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, OBJECT_SCHEMA), sink, compression="zstd")
    return bytes(memoryview(sink.getvalue()))


def _entries(rows: pa.Table) -> list[ObjectEntry]:
    """The entries of rows, which may lack columns that a release before did not write."""
    columns = []
    for name in rows.column_names:
        if name in _TIMES:
            millis = rows[name].cast(pa.int64()).to_pylist()
            columns.append([None if v is None else _EPOCH + v * _MILLISECOND for v in millis])
        elif name in _COUNTS:
            columns.append([msgspec.json.decode(v) if v else {} for v in rows[name].to_pylist()])
        else:
            columns.append(rows[name].to_pylist())
    names = rows.column_names
    return [ObjectEntry(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]
