"""Runs: a stretch of objects decoded together into one part. What a worker process does, and nothing else.

Everything here takes and returns plain values, so that it can be sent to another process, whatever the engine.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loglake_dagster.engines import FeedAccess, PlannedObject
from loglake_dagster.errors import ObjectError, StoreError
from loglake_dagster.io.orc import bounds_of, pack_part, read_part
from loglake_dagster.io.store import LocalStore, Store
from loglake_dagster.kernels.accounting import rejects_of_day, rows_of_day
from loglake_dagster.kernels.arrow import cut_rows
from loglake_dagster.kernels.hashing import Hashes, content_hash, identity_hashes
from loglake_dagster.lake.manifest import ObjectEntry, Part
from loglake_dagster.lake.schema import SOURCE_OBJECT, SOURCE_ORDINAL, Table
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.lake.source import Reject
from loglake_dagster.sources import source_named

READS_AT_ONCE = 16
# What the rows of one part may take in memory, if they are more than one.
PART_MEMORY = 1 << 30


@dataclass(frozen=True, slots=True)
class Run:
    """Objects of one feed that become one part. `name` is the part's; it is written into `scratch`."""

    name: str
    source: str
    table: Table
    day: dt.date
    access: FeedAccess
    objects: Sequence[PlannedObject]
    scratch: Path
    orc: OrcSettings
    max_object_bytes: int


@dataclass(frozen=True, slots=True)
class Identities:
    """The identities of a part's rows that have one: their hashes, their row numbers, and the places of their copies
    (index into `uris`, ordinal in the object)."""

    hashes: Hashes
    rows: np.ndarray[Any, np.dtype[np.int64]]
    objects: np.ndarray[Any, np.dtype[np.int64]]
    ordinals: np.ndarray[Any, np.dtype[np.int64]]
    uris: Sequence[str]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of a run: its parts with their identities, none when none of its events are of the day."""

    parts: Sequence[tuple[Part, Identities]]
    entries: Sequence[ObjectEntry]
    rejects: Sequence[tuple[str, Reject]]


def write_run(run: Run) -> RunResult:
    """Reads, decodes, accounts and writes a run. Rows that take much more memory than their objects took become several
    parts: ORC's readers refuse a column of 2 GiB of texts."""
    rows, entries, rejects = _decode_run(run)
    parts: list[tuple[Part, Identities]] = []
    for number, piece in enumerate(cut_rows(rows, PART_MEMORY)):
        name = run.name if number == 0 else f"{run.name.removesuffix('.orc')}-{number}.orc"
        identities = identities_of(piece, source_named(run.source).identity)
        parts.append((write_scratch(run.scratch / name, piece, run.table, run.orc), identities))
    return RunResult(parts, entries, rejects)


def _decode_run(run: Run) -> tuple[pa.Table, list[ObjectEntry], list[tuple[str, Reject]]]:
    """The day's rows of a run in the table's order; what was decoded besides is let go before the rows are written."""
    source = source_named(run.source)
    objects = sorted(run.objects, key=lambda one: one.entry.rank)
    data = read_objects(run.access.store, [one.key for one in objects])
    delivered = [one.entry for one in objects]
    decoded = source.decode_delivered(data, delivered, run.access.wanted, run.max_object_bytes)
    rows, entries = rows_of_day(source, run.table, decoded, delivered, run.day)
    accounts = zip(entries, decoded.objects, strict=True)
    rejects = [(entry.uri, reject) for entry, account in accounts for reject in rejects_of_day(account, run.day)]
    return rows, entries, rejects


def write_scratch(path: Path, rows: pa.Table, table: Table, orc: OrcSettings) -> Part:
    """Packs rows into a local file; the part's facts."""
    packed = pack_part(rows, table, orc)
    with path.open("wb") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())  # it becomes the lake's by a link: a publication must outlive a power cut
    return Part(
        name=path.name, rows=rows.num_rows, bytes=len(packed), content_hash=content_hash(rows), bounds=bounds_of(rows)
    )


def identities_of(rows: pa.Table, identity: Sequence[str]) -> Identities:
    """The identities of rows that have the identity columns, source_object and source_ordinal."""
    hashes, has_identity = identity_hashes(rows, identity)
    numbers = np.flatnonzero(has_identity)
    uris = rows[SOURCE_OBJECT.name].combine_chunks().dictionary_encode()
    places = uris.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    ordinals = rows[SOURCE_ORDINAL.name].to_numpy().astype(np.int64)
    return Identities(hashes[numbers], numbers, places[numbers], ordinals[numbers], uris.dictionary.to_pylist())


def read_identities(store: Store, key: str, table: Table, source: str) -> Identities:
    """The identities of a part in the lake."""
    identity = source_named(source).identity
    columns = dict.fromkeys((*identity, SOURCE_OBJECT.name, SOURCE_ORDINAL.name))
    return identities_of(read_part(store.read(key), table, list(columns)), identity)


def rewrite_part(
    data: bytes, lost_rows: Sequence[int], path: Path, table: Table, orc: OrcSettings
) -> tuple[Part | None, Mapping[str, int]]:
    """Writes a part again without the rows that lost to an earlier delivered copy: (the new part, or None when no row
    is left; lost rows by object)."""
    rows = read_part(data, table)
    keep = np.ones(rows.num_rows, bool)
    keep[list(lost_rows)] = False
    lost = rows.filter(pa.array(~keep))[SOURCE_OBJECT.name].value_counts().to_pylist()
    kept = rows.filter(pa.array(keep))
    part = write_scratch(path, kept, table, orc) if kept.num_rows else None
    return part, {one["values"]: one["counts"] for one in lost}


def read_objects(store: Store, keys: Sequence[str]) -> Iterator[bytes | ObjectError]:
    """The objects' bytes in order, read side by side where each is a round trip; an error stands for what cannot be
    read."""
    if isinstance(store, LocalStore):
        yield from (_read(store, key) for key in keys)
        return
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        yield from pool.map(lambda key: _read(store, key), keys)


def _read(store: Store, key: str) -> bytes | ObjectError:
    try:
        return store.read(key)
    except StoreError as error:
        return ObjectError(str(error.facts.get("why", "cannot be read")))


def moved_duplicates(entries: Sequence[ObjectEntry], lost: Mapping[str, int]) -> list[ObjectEntry]:
    """The entries after some of their rows turned out to be duplicates: the identity still holds."""
    return [
        replace(entry, landed=entry.landed - lost[entry.uri], duplicate=entry.duplicate + lost[entry.uri])
        if entry.uri in lost
        else entry
        for entry in entries
    ]
