"""The Spark engine: runs are tasks of a cluster, which read and write through the same stores (adr/0013).

The kernels are the embedded engine's, and so is every rule: how runs are cut, which copy wins, how parts are named.
What crosses the driver is what the manifest needs, and one bit a row of parts that lose some.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from loglake_dagster.engines import Engine, Progress, ReadreadyJob, SessionsJob, Written
from loglake_dagster.engines.identities import ranks_of
from loglake_dagster.engines.runs import cut_runs, merged_entries, moved_duplicates, write_rejects
from loglake_dagster.engines.spark_session import Spark, kept, mapped, plain_errors
from loglake_dagster.engines.spark_sessions import sessions_bytes, write_sessions
from loglake_dagster.engines.spark_tasks import (
    ANSWERS,
    CHUNKS,
    IDENTITIES,
    LOST,
    Day,
    Decoded,
    NewPart,
    Ranks,
    decode_runs,
    find_lost,
    identities_of_base,
    identities_of_chunks,
    pack_lost,
    packed,
    place_base,
    place_chunks,
    unpacked,
)
from loglake_dagster.errors import LogLakeError
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.manifest import Part
from loglake_dagster.lake.settings import EngineSettings

NAME = "spark"
# Rows whose identities one task compares: some hundred megabytes.
COMPARED_ROWS = 2_000_000
VALUES = "number int, value binary"


class SparkEngine(Engine):
    """See Engine."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._spark = Spark(settings)

    def write_readready(self, job: ReadreadyJob, progress: Progress | None = None) -> Written:
        with plain_errors(), ExitStack() as held:
            chunks, decoded = self._decode(job, held)
            entries = merged_entries(job, (entry for one in decoded for entry in one.entries))
            if progress is not None:
                progress(len(job.objects), len(job.objects), sum(entry.found for entry in entries))
            base = job.base.manifest.parts if job.base else ()
            new = [part for one in decoded for part in one.parts]
            day = Day(
                source=job.source,
                table=job.table,
                orc=job.orc,
                target=job.target,
                base=job.base.folder if job.base else None,
                parts={part.name: NewPart(place, part, digest) for place, (part, digest) in enumerate(new)},
                ranks=Ranks(ranks_of(entries)),
            )
            told = self._spark.told(day)
            held.callback(told.destroy)
            carried = self._spark.frame([(n, packed(part)) for n, part in enumerate(base, len(new))], VALUES)
            rows = sum(part.rows for part, _digest in new) + sum(part.rows for part in base)
            lost = self._find_lost(chunks, carried, told, rows)
            parts, moved = _place(chunks, carried, told, lost)
        refuse_strays(job.target, parts)
        files = write_rejects(job, [reject for one in decoded for reject in one.rejects])
        return Written(parts=parts, engine=NAME, entries=moved_duplicates(entries, moved), reject_files=files)

    def write_sessions(self, job: SessionsJob) -> Written:
        with plain_errors():
            parts = write_sessions(self._spark, job, self._settings.memory_limit)
        refuse_strays(job.target, parts)
        return Written(parts=tuple(parts), engine=NAME)

    def _decode(self, job: ReadreadyJob, held: ExitStack) -> tuple[Any, list[Decoded]]:
        """(the parts in chunks, on the executors' disks; what became of each run, in the order of the runs)."""
        runs = cut_runs(job, self._settings.part_bytes, self._settings.max_object_bytes)
        sizes = [sum(one.entry.size for one in run.objects) for run in runs]
        # The largest first: nobody waits at the end for one that was begun last.
        order = sorted(range(len(runs)), key=lambda number: -sizes[number])
        frame = self._spark.frame([(number, packed(runs[number])) for number in order], VALUES)
        chunks = kept(mapped(frame, CHUNKS, decode_runs), held)
        told: dict[int, list[bytes]] = {}
        for row in chunks.where("name = ''").select("run", "chunk").collect():
            told.setdefault(row.run, []).append(bytes(row.chunk))
        return chunks, [unpacked(b"".join(told[number])) for number in range(len(runs))]

    def _find_lost(self, chunks: Any, carried: Any, told: Any, rows: int) -> dict[int, bytes]:
        """Lost rows, one bit each, by place of their part."""
        identities = mapped(chunks, IDENTITIES, identities_of_chunks, told=told)
        identities = identities.union(mapped(carried, IDENTITIES, identities_of_base, told=told))
        count = max(self._spark.cores, math.ceil(rows / COMPARED_ROWS))
        lost = mapped(identities.repartition(count, "high", "low"), LOST, find_lost)
        answers = mapped(lost.repartition(count, "place"), ANSWERS, pack_lost)
        return {row.place: unpacked(row.answer) for row in answers.collect()}


class EngineBySize(Engine):
    """The embedded engine for days of up to so many source bytes, Spark for larger ones. What is added to a day counts
    with what is there: its identities are compared with all of the day's."""

    def __init__(self, small: Engine, large: Engine, above: int) -> None:
        self._small, self._large, self._above = small, large, above

    def write_readready(self, job: ReadreadyJob, progress: Progress | None = None) -> Written:
        entries = merged_entries(job, (one.entry for one in job.objects))
        return self._of(sum(entry.size for entry in entries)).write_readready(job, progress)

    def write_sessions(self, job: SessionsJob) -> Written:
        return self._of(sessions_bytes(job)).write_sessions(job)

    def _of(self, size: int) -> Engine:
        return self._large if size > self._above else self._small


def _place(chunks: Any, carried: Any, told: Any, lost: Mapping[int, bytes]) -> tuple[tuple[Part, ...], dict[str, int]]:
    """(the parts in the version folder, lost rows by object)."""
    placed = mapped(chunks, ANSWERS, place_chunks, lost, told=told)
    placed = placed.union(mapped(carried, ANSWERS, place_base, lost, told=told))
    parts: list[Part] = []
    moved: dict[str, int] = {}
    for row in placed.collect():
        part, by_object = unpacked(row.answer)
        parts += [part] if part is not None else []
        for uri, count in by_object.items():
            moved[uri] = moved.get(uri, 0) + count
    return tuple(sorted(parts, key=lambda part: part.name)), moved


def refuse_strays(target: VersionFolder, parts: Sequence[Part]) -> None:
    """Readers take a version's folder for its rows: a part that a dead executor left there, and that nobody asked for
    again, would be rows twice."""
    _folders, found = target.store.list_level(f"{target.folder}/")
    names = {one.key.rpartition("/")[2] for one in found}
    strays = {name for name in names if not name.startswith((".", "_"))} - {part.name for part in parts}
    if strays:
        raise LogLakeError(
            f"{target.location}: holds {min(strays)}, which is no part of the version: an executor died, and what "
            "it had read was read otherwise the second time; run again"
        )
