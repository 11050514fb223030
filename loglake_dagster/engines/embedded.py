"""The embedded engine: processes of one machine, DuckDB for the joins; no Java, no AWS.

Objects are cut into runs along the order of their keys, because a copy of an event nearly always lies beside it: a run
drops its own repeats, and only the few parts that still share an event with another are written a second time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loglake_dagster.engines import Engine, Progress, ReadreadyJob, SessionsJob, Written
from loglake_dagster.engines.embedded_sessions import join_sessions
from loglake_dagster.engines.identities import StoredIdentities
from loglake_dagster.engines.lookup import base_matches, find_lost, write_asked, write_with_identities
from loglake_dagster.engines.placing import Piece, place_parts
from loglake_dagster.engines.pool import Workers, open_workers
from loglake_dagster.engines.runs import (
    Run,
    RunResult,
    cut_runs,
    merged_entries,
    moved_duplicates,
    write_rejects,
)
from loglake_dagster.io.store import LocalStore, Store
from loglake_dagster.lake.settings import EngineSettings

# Below this many source bytes one process is sooner done than others are started.
SMALL_DAY_BYTES = 4 << 20
SCRATCH = ".scratch"
# What the base's parts are asked for, in the scratch folder.
ASKED = "asked.npy"
NAME = "embedded"


class EmbeddedEngine(Engine):
    """See Engine."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings

    def write_readready(self, job: ReadreadyJob, progress: Progress | None = None) -> Written:
        size = sum(one.entry.size for one in job.objects)
        cores = self._settings.workers or os.cpu_count() or 1
        processes = cores if size > SMALL_DAY_BYTES else 1
        with _scratch(job.target.store) as scratch, open_workers(processes, threads=cores) as workers:
            runs = cut_runs(job, self._settings.part_bytes, self._settings.max_object_bytes)
            results = _write_runs(workers, runs, scratch, progress)
            written = [one for result in results for one in result.parts]
            pieces = [Piece(part, identities, scratch / part.name) for part, identities in written]
            pieces += _base_pieces(workers, job, [identities for _part, identities in written], scratch)
            entries = merged_entries(job, (entry for result in results for entry in result.entries))
            lost = find_lost([piece.identities for piece in pieces], entries)
            parts, moved = place_parts(workers, job, pieces, lost, scratch, self._settings.part_bytes)
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
    # The largest first: what is begun last is then soon done, and no worker waits long for another's.
    order = sorted(range(len(runs)), key=lambda place: -sum(one.entry.size for one in runs[place].objects))
    for number, result in workers.unordered(write_with_identities, [(runs[place], scratch) for place in order]):
        results[order[number]] = result
        done += len(result.entries)
        events += sum(entry.found for entry in result.entries)
        if progress is not None:
            progress(done, total, events)
    return [results[place] for place in range(len(runs))]


def _base_pieces(workers: Workers, job: ReadreadyJob, new: Sequence[StoredIdentities], scratch: Path) -> list[Piece]:
    """The base version's parts, with the identities that the new rows may share. Nothing of a part is read if its
    identity file says that it has none."""
    if job.base is None:
        return []
    folder, parts, asked = job.base.folder, job.base.manifest.parts, scratch / ASKED
    if not write_asked(asked, new):
        return [Piece(part, None, None) for part in parts]
    items = [(folder, part, job.table, job.source, asked, scratch) for part in parts]
    return [
        Piece(part, identities, None)
        for part, identities in zip(parts, workers.ordered(base_matches, items), strict=True)
    ]


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
