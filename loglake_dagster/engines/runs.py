"""What every engine does alike: runs, stretches of objects decoded together into one part; how parts lose rows.

What a worker process does takes and returns plain values, so that it can be sent to another process.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loglake_dagster.engines import FeedAccess, PlannedObject, ReadreadyJob
from loglake_dagster.engines.identities import StoredIdentities, identities_of, store_identities
from loglake_dagster.errors import ObjectError, StoreError
from loglake_dagster.io.orc import bounds_of, pack_part, read_part, stripes_of
from loglake_dagster.io.store import LocalStore, Store
from loglake_dagster.kernels.accounting import rejects_of_day, rows_of_day
from loglake_dagster.kernels.arrow import cut_rows
from loglake_dagster.kernels.hashing import content_hash
from loglake_dagster.lake.manifest import ObjectEntry, Part, subtract_hash
from loglake_dagster.lake.schema import SOURCE_OBJECT, Table
from loglake_dagster.lake.settings import OrcSettings
from loglake_dagster.lake.source import Reject
from loglake_dagster.sources import source_named

READS_AT_ONCE = 16
# A part that is packed twice costs more than a larger run's memory. With 2 a day takes 100 MB more, and no less time.
LARGEST_SHARE = 1.5
# What the rows of one part may take in memory, if they are more than one.
PART_MEMORY = 1 << 30


@dataclass(frozen=True, slots=True)
class Run:
    """Objects of one feed that become one part, which gets this name."""

    name: str
    source: str
    table: Table
    day: dt.date
    access: FeedAccess
    objects: Sequence[PlannedObject]
    orc: OrcSettings
    max_object_bytes: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of a run: its parts with their identities, none when none of its events are of the day."""

    parts: Sequence[tuple[Part, StoredIdentities]]
    entries: Sequence[ObjectEntry]
    rejects: Sequence[tuple[str, Reject]]


def cut_runs(job: ReadreadyJob, part_bytes: int, max_object_bytes: int) -> list[Run]:
    """Runs of about `part_bytes` of source bytes, along feed, account, region and delivery.

    A part that shares an event with no other is written once, and copies of an event are of one account and region:
    objects of these that are together up to LARGEST_SHARE of it are not parted, if they are more than it, or no run is
    left less than half full by that.
    """
    runs: list[Run] = []
    for objects in cut_objects(job.objects, part_bytes):
        name = f"part-{len(runs):05d}-{job.target.version}.orc"
        access = job.feeds[objects[0].entry.feed]
        runs.append(Run(name, job.source, job.table, job.day, access, objects, job.orc, max_object_bytes))
    return runs


def cut_objects(objects: Iterable[PlannedObject], part_bytes: int) -> Iterator[list[PlannedObject]]:
    """The objects of each run, as cut_runs says."""
    batch: list[PlannedObject] = []
    size = 0
    for (feed, *_rest), together in itertools.groupby(sorted(objects, key=key_order), _copies_place):
        group = list(together)
        whole = sum(one.entry.size for one in group)
        is_own = part_bytes < whole <= part_bytes * LARGEST_SHARE
        is_full = size + whole > part_bytes and 2 * size >= part_bytes
        if batch and (is_own or is_full or feed != batch[0].entry.feed):
            yield batch
            batch, size = [], 0
        if is_own:
            yield group
            continue
        for one in group:
            if batch and size + one.entry.size > part_bytes:
                yield batch
                batch, size = [], 0
            batch.append(one)
            size += one.entry.size
    if batch:
        yield batch


def _copies_place(one: PlannedObject) -> tuple[str, str, str]:
    """Copies of an event share it."""
    return one.entry.feed, one.entry.account or "", one.entry.region or ""


def key_order(one: PlannedObject) -> tuple[Any, ...]:
    """The order in which copies of an event nearly always lie side by side."""
    return *_copies_place(one), one.entry.rank


def again_name(place: int, version: str) -> str:
    """The name of a part that is written again, because it lost rows; `place` is its place among the day's parts."""
    return f"part-{place:05d}-{version}-again.orc"


def write_run(run: Run, scratch: Path) -> RunResult:
    """Reads, decodes, accounts and writes a run into a folder of this machine."""
    rows, entries, rejects = decode_run(run)
    identity = source_named(run.source).identity
    parts = [
        (
            write_scratch(scratch / name, piece, run.table, run.orc),
            store_identities(scratch / f"{name}.rows", identities_of(piece, identity)),
        )
        for name, piece in pieces_of(run, rows)
    ]
    return RunResult(parts, entries, rejects)


def pieces_of(run: Run, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The parts of a run's rows, by name. Rows that take much more memory than their objects took become several:
    ORC's readers refuse a column of 2 GiB of texts."""
    for number, piece in enumerate(cut_rows(rows, PART_MEMORY)):
        yield run.name if number == 0 else f"{run.name.removesuffix('.orc')}-{number}.orc", piece


def decode_run(run: Run) -> tuple[pa.Table, list[ObjectEntry], list[tuple[str, Reject]]]:
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


def pack(name: str, rows: pa.Table, table: Table, orc: OrcSettings, content: str | None = None) -> tuple[Part, bytes]:
    """A data file of the rows, and its facts; `content` is their content hash, if it is known."""
    packed = pack_part(rows, table, orc)
    part = Part(
        name=name,
        rows=rows.num_rows,
        bytes=len(packed),
        content_hash=content_hash(rows) if content is None else content,
        bounds=bounds_of(rows),
        stripes=stripes_of(packed, rows),
    )
    return part, packed


def write_scratch(path: Path, rows: pa.Table, table: Table, orc: OrcSettings, content: str | None = None) -> Part:
    """Packs rows into a local file; the part's facts."""
    part, packed = pack(path.name, rows, table, orc, content)
    with path.open("wb") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())  # it becomes the lake's by a link: a publication must outlive a power cut
    return part


def without_rows(
    data: bytes, part: Part, lost_rows: Sequence[int], name: str, table: Table, orc: OrcSettings
) -> tuple[tuple[Part, bytes] | None, Mapping[str, int]]:
    """A part packed again without the rows that lost to an earlier delivered copy: (the new part, or None when no row
    is left; lost rows by object)."""
    kept, content, by_object = rows_left(read_part(data, table), part, lost_rows)
    return (pack(name, kept, table, orc, content) if kept.num_rows else None), by_object


def rows_left(rows: pa.Table, part: Part, lost_rows: Sequence[int]) -> tuple[pa.Table, str, Mapping[str, int]]:
    """(a part's rows without lost ones, their content hash, lost rows by object). The hash is the part's without that
    of the lost rows, so that it still covers what was decoded, and the cost follows what is lost."""
    if not len(lost_rows):
        return rows, part.content_hash, {}
    keep = np.ones(rows.num_rows, bool)
    keep[list(lost_rows)] = False
    lost = rows.filter(pa.array(~keep))
    by_object = {one["values"]: one["counts"] for one in lost[SOURCE_OBJECT.name].value_counts().to_pylist()}
    return rows.filter(pa.array(keep)), subtract_hash(part.content_hash, content_hash(lost)), by_object


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


def merged_entries(job: ReadreadyJob, read: Iterable[ObjectEntry]) -> list[ObjectEntry]:
    """The entries of what was read, and those of the base version's other objects."""
    entries = list(read)
    known = {entry.uri for entry in entries}
    return entries + [entry for entry in (job.base.entries if job.base else ()) if entry.uri not in known]


def moved_duplicates(entries: Sequence[ObjectEntry], lost: Mapping[str, int]) -> list[ObjectEntry]:
    """The entries, by URI, after some of their rows turned out to be duplicates: the identity still holds."""
    return [
        replace(entry, landed=entry.landed - lost[entry.uri], duplicate=entry.duplicate + lost[entry.uri])
        if entry.uri in lost
        else entry
        for entry in sorted(entries, key=lambda entry: entry.uri)
    ]


def write_rejects(job: ReadreadyJob, rejects: Sequence[tuple[str, Reject]]) -> tuple[str, ...]:
    """This run's rejects as a file of their own, after those of the base version."""
    names: list[str] = []
    if job.base is not None:
        names += job.base.manifest.reject_files
        for name in names:
            job.target.store.copy(job.base.folder.key(name), job.target.key(name))
    if rejects:
        names.append(f"_rejects/rejects-{job.target.version}.jsonl")
        job.target.write_rejects(names[-1], sorted(rejects, key=lambda one: (one[0], one[1].ordinal)))
    return tuple(names)
