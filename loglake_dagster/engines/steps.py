"""Bounded steps: a backlog is worked off piece by piece, and each finished piece is kept (adr/0018).

A step is a version folder that nobody publishes, in a place of its own: the day as far as it has come. The next one
adds to it as a run adds to a published version. Only what the last one wrote is audited as a whole and published, so
readers see no half day, and a run that was killed goes on where its last finished step ended.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from loglake_dagster.engines import BaseVersion, PlannedObject
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.runs import key_order
from loglake_dagster.errors import AuditError, PublishConflict, StoreError
from loglake_dagster.io.store import LocalStore
from loglake_dagster.io.versions import NOTHING, VersionFolder, check_sizes, step_folders, steps_folder
from loglake_dagster.lake.manifest import Manifest
from loglake_dagster.lake.settings import EngineSettings

T = TypeVar("T")


def after_of(published: BaseVersion | None) -> str:
    """How steps name the version that was published when their run set out."""
    return published.manifest.version if published else NOTHING


def cut_steps(
    objects: Sequence[PlannedObject], settings: EngineSettings, held_bytes: int = 0
) -> list[list[PlannedObject]]:
    """The objects in steps of at most so many objects and source bytes, or of one object; at least one step. Along the
    order of runs, so that copies seldom meet across steps. On Spark all are one: a cluster does not hold a day in one
    memory, and what it has made is on its executors, to be made again by itself. Days that `spark_above` leaves to this
    machine are cut; `held_bytes` are the source bytes of what the day has already."""
    steps: list[list[PlannedObject]] = [[]]
    day_bytes = held_bytes + sum(one.entry.size for one in objects)
    if settings.type == "spark" and (settings.spark_above is None or day_bytes > settings.spark_above):
        return [list(objects)]
    size = 0
    for one in sorted(objects, key=key_order):
        if steps[-1] and (len(steps[-1]) >= settings.step_objects or size + one.entry.size > settings.step_bytes):
            steps.append([])
            size = 0
        steps[-1].append(one)
        size += one.entry.size
    return steps


def kept_steps(
    lake: Lake, table: str, day: dt.date, published: BaseVersion | None, extends: str | None
) -> Iterator[BaseVersion]:
    """The finished and sound steps of a day since `published` became so, of runs that added to `extends`, or to
    nothing; those that have come furthest first."""
    found = []
    for folder in step_folders(lake.store, table, day, after_of(published)):
        manifest = _read(folder, VersionFolder.read_manifest)
        if manifest is not None and manifest.base == extends:
            found.append((manifest.totals.objects, manifest.version, folder, manifest))
    for _objects, _version, folder, manifest in sorted(found, key=lambda one: one[:2], reverse=True):
        entries = _read(folder, VersionFolder.read_objects)
        if entries is not None and _has_parts(folder, manifest):
            yield BaseVersion(folder, manifest, entries)


def _read(folder: VersionFolder, read: Callable[[VersionFolder], T]) -> T | None:
    """What is read of a step; None if it was not finished, is damaged, or was removed meanwhile: what it held is then
    read again."""
    try:
        return read(folder)
    except StoreError as error:
        if error.retryable:
            raise
        return None


def _has_parts(folder: VersionFolder, manifest: Manifest) -> bool:
    try:
        check_sizes(folder, manifest.parts)
    except AuditError:
        return False
    return True


def refuse_if_overtaken(lake: Lake, table: str, day: dt.date, published: BaseVersion | None) -> None:
    """PublishConflict if another run has published the day: what this one writes could not be published any more, and
    its steps may be gone."""
    current, expected = lake.catalog.published(table, day), published.manifest.version if published else None
    if (current.version if current else None) != expected:
        raise PublishConflict(
            f"{table} {day}: another run published {current.version if current else None} meanwhile (this one set out "
            f"from {expected}); run again to take its result in",
            table=table,
            day=day.isoformat(),
        )


def drop_steps(lake: Lake, table: str, day: dt.date) -> None:
    """Removes a day's steps that no run can add to any more: all but those after the version that is published now, by
    whomever: another run may have begun a backlog on it. Of a lake in a folder alone: in an object store nothing is
    deleted by Log Lake, a lifecycle rule does it (docs/running.md)."""
    if not isinstance(lake.store, LocalStore):
        return
    current = lake.catalog.published(table, day)
    after = current.version if current else NOTHING
    folder = lake.store.path / steps_folder(table, day)
    for old in folder.glob("after=*"):
        if old.name != f"after={after}":
            shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)
