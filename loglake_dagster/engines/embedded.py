"""The embedded engine: processes of one machine, DuckDB for the joins; no Java, no AWS.

Objects are cut into runs along the order of their keys, because a copy of an event nearly always lies beside it: a run
drops its own repeats, and only the few parts that still share an event with another are written a second time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loglake_dagster.engines import Engine, Progress, ReadreadyJob, SessionsJob, Written
from loglake_dagster.engines.embedded_sessions import join_sessions
from loglake_dagster.engines.pool import Workers, open_workers
from loglake_dagster.engines.runs import (
    Identities,
    Run,
    RunResult,
    again_name,
    cut_runs,
    lost_copies,
    merged_entries,
    moved_duplicates,
    ranks_of,
    read_identities,
    rewrite_part,
    write_rejects,
    write_run,
)
from loglake_dagster.io.store import LocalStore, Store
from loglake_dagster.lake.manifest import ObjectEntry, Part
from loglake_dagster.lake.settings import EngineSettings

# Below this many source bytes one process is sooner done than others are started.
SMALL_DAY_BYTES = 4 << 20
SCRATCH = ".scratch"
NAME = "embedded"


@dataclass(slots=True)
class _Piece:
    """A part on its way: where its bytes are (a scratch file, or a part of the base version), and its identities."""

    part: Part
    identities: Identities
    scratch: Path | None


class EmbeddedEngine(Engine):
    """See Engine."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings

    def write_readready(self, job: ReadreadyJob, progress: Progress | None = None) -> Written:
        size = sum(one.entry.size for one in job.objects)
        cores = self._settings.workers or os.cpu_count() or 1
        with _scratch(job.target.store) as scratch, open_workers(cores if size > SMALL_DAY_BYTES else 1) as workers:
            runs = cut_runs(job, self._settings.part_bytes, self._settings.max_object_bytes)
            results = _write_runs(workers, runs, scratch, progress)
            written = [one for result in results for one in result.parts]
            pieces = [_Piece(part, identities, scratch / part.name) for part, identities in written]
            pieces += _base_pieces(workers, job)
            entries = merged_entries(job, (entry for result in results for entry in result.entries))
            lost = _find_lost(pieces, entries)
            parts, moved = _place(workers, job, pieces, lost, scratch)
            rejects = [reject for result in results for reject in result.rejects]
            files = write_rejects(job, rejects)
        return Written(parts=tuple(parts), engine=NAME, entries=moved_duplicates(entries, moved), reject_files=files)

    def write_sessions(self, job: SessionsJob) -> Written:
        with _scratch(job.target.store) as scratch:
            parts = join_sessions(job, scratch, self._settings.memory_limit)
            for part in parts:
                job.target.store.write_file(job.target.key(part.name), scratch / part.name)
        return Written(parts=tuple(parts), engine=NAME)


def _write_runs(workers: Workers, runs: Sequence[Run], scratch: Path, progress: Progress | None) -> list[RunResult]:
    results: dict[int, RunResult] = {}
    total, done, events = sum(len(run.objects) for run in runs), 0, 0
    for place, result in workers.unordered(write_run, [(run, scratch) for run in runs]):
        results[place] = result
        done += len(result.entries)
        events += sum(entry.found for entry in result.entries)
        if progress is not None:
            progress(done, total, events)
    return [results[place] for place in range(len(runs))]


def _base_pieces(workers: Workers, job: ReadreadyJob) -> list[_Piece]:
    if job.base is None:
        return []
    folder, parts = job.base.folder, job.base.manifest.parts
    found = workers.ordered(read_identities, [(folder.store, folder.key(p.name), job.table, job.source) for p in parts])
    return [_Piece(part, identities, None) for part, identities in zip(parts, found, strict=True)]


def _find_lost(pieces: Sequence[_Piece], entries: Sequence[ObjectEntry]) -> dict[int, list[int]]:
    """Rows that lost to another copy, by place of their piece."""
    order = ranks_of(entries)
    kept = [(place, piece.identities) for place, piece in enumerate(pieces) if len(piece.identities.rows)]
    if not kept:
        return {}
    hashes = np.concatenate([one.hashes for _place, one in kept])
    ranks = np.concatenate([np.array([order[uri] for uri in one.uris], np.int64)[one.objects] for _place, one in kept])
    ordinals = np.concatenate([one.ordinals for _place, one in kept])
    owners = np.concatenate([np.full(len(one.rows), place) for place, one in kept])
    rows = np.concatenate([one.rows for _place, one in kept])
    lost: dict[int, list[int]] = {}
    for index in lost_copies(hashes, ranks, ordinals).tolist():
        lost.setdefault(int(owners[index]), []).append(int(rows[index]))
    return lost


def _place(
    workers: Workers, job: ReadreadyJob, pieces: Sequence[_Piece], lost: Mapping[int, Sequence[int]], scratch: Path
) -> tuple[list[Part], dict[str, int]]:
    """Puts every piece into the version folder, those with lost rows written again: (parts, lost rows by object)."""
    parts: list[Part] = []
    moved: dict[str, int] = {}
    for place, piece in enumerate(pieces):
        path, part = piece.scratch, piece.part
        if place in lost:
            path = scratch / again_name(place, job.target.version)
            data = piece.scratch.read_bytes() if piece.scratch else _base_bytes(job, part)
            again, by_object = workers.ordered(rewrite_part, [(data, lost[place], path, job.table, job.orc)])[0]
            for uri, count in by_object.items():
                moved[uri] = moved.get(uri, 0) + count
            if again is None:
                continue
            part = again
        if path is not None:
            job.target.store.write_file(job.target.key(part.name), path)
        elif job.base is not None:
            job.target.store.copy(job.base.folder.key(part.name), job.target.key(part.name))
        parts.append(part)
    return sorted(parts, key=lambda part: part.name), moved


def _base_bytes(job: ReadreadyJob, part: Part) -> bytes:
    assert job.base is not None
    return job.base.folder.store.read(job.base.folder.key(part.name))


@contextmanager
def _scratch(store: Store) -> Iterator[Path]:
    """A folder for parts on their way, on the lake's own file system where it has one, so that placing is a link.
    What a killed run left behind is removed: nobody holds the lock on it any more."""
    if not isinstance(store, LocalStore):
        with tempfile.TemporaryDirectory(prefix="loglake-") as elsewhere:
            yield Path(elsewhere)
        return
    parent = store.path / SCRATCH
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.iterdir():
        if (lock := _try_lock(old)) is not None:
            shutil.rmtree(old, ignore_errors=True)
            os.close(lock)
    lock = None
    while lock is None:  # another run may have taken the new folder for a dead one's
        folder = Path(tempfile.mkdtemp(dir=parent))
        lock = _try_lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _try_lock(folder: Path) -> int | None:
    """A lock on a folder, which ends with the process that holds it; None if another holds it or the folder is gone."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.exists():
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return None
