"""One day of a readready table: plan, write, audit, publish. The same for every engine.

A reader sees the day before or after, never a half: everything is written into a new version's folder, and the
catalog's pointer moves last, in one step, only past a passed audit.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loglake_dagster.engines import BaseVersion, Progress, ReadreadyJob, Written
from loglake_dagster.engines.audit import audit_readready, check_written
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.late import LateEvents, find_late, lateness
from loglake_dagster.engines.planning import Plan, plan_readready
from loglake_dagster.engines.steps import after_of, cut_steps, drop_steps, refuse_if_overtaken
from loglake_dagster.errors import AuditError, CoverageError, StoreError
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.kernels.coverage import Audit, Coverage
from loglake_dagster.lake.manifest import Manifest, ObjectEntry, Totals
from loglake_dagster.lake.source import Source

DESCRIBED_GAPS = 3


@dataclass(frozen=True, slots=True)
class ReadreadyResult:
    """What a materialisation came to. `is_new` is False when the published version already held everything;
    `is_published` is False when coverage was under the threshold; readers then see version `seen`, or nothing.
    `lateness` counts the day's events by how late they were delivered; `late` are those of other days that came
    after those days' windows."""

    manifest: Manifest
    location: str
    audit: Audit
    is_new: bool
    is_published: bool
    seen: str | None
    objects_read: int
    lateness: Mapping[str, int]
    late: LateEvents
    seconds: float

    @property
    def coverage(self) -> Coverage:
        return self.audit.coverage

    @property
    def threshold(self) -> float:
        return self.audit.threshold

    def raise_if_refused(self) -> None:
        """CoverageError if the gate is shut."""
        if not self.is_published:
            raise CoverageError(refusal(self), table=self.manifest.table, day=self.manifest.day.isoformat())


def refusal(result: ReadreadyResult) -> str:
    """Why a version was not published, in one sentence that names the worst gaps."""
    coverage = result.coverage
    worst = "; ".join(f"{one.uri} ({one.reason}, {one.estimated} events)" for one in coverage.missing[:DESCRIBED_GAPS])
    return (
        f"{result.manifest.table} {result.manifest.day}: landed {coverage.landed} of {coverage.expected} source events "
        f"({coverage.ratio:.2%}), at least {result.threshold:.0%} are asked for; not published, readers "
        f"{'keep version ' + result.seen if result.seen else 'see nothing of the day'}. Missing most: "
        f"{worst or 'nothing is named'}. What was read, with its rejects: {result.location}"
    )


def materialize_readready(
    lake: Lake, source: Source, day: dt.date, progress: Progress | None = None
) -> ReadreadyResult:
    """Brings a day up to date with its source and publishes it, if it passes the audit.

    Reads only objects that neither the published version nor a kept step accounts for. PublishConflict (retryable) if
    another run published the day meanwhile; AuditError if what was written disagrees with itself or with a recount.
    """
    started = time.perf_counter()
    lake.catalog.register_table(source.table)
    plan = plan_readready(lake, source, day)
    objects_read = len(plan.unread)
    if plan.is_settled and plan.base is not None:
        folder, manifest, entries = plan.base.folder, plan.base.manifest, plan.base.entries
        is_new = False
    else:
        try:
            plan, done = _take_steps(lake, plan, progress)
            folder = lake.new_version(source.readready_name, day)
            manifest, entries = _write(lake, plan, folder, done.of(progress))
        except (StoreError, AuditError):
            # The run that published meanwhile may have removed the step that this one was at.
            refuse_if_overtaken(lake, source.readready_name, day, plan.published)
            raise
        manifest, is_new = replace(manifest, objects_read=objects_read), True
        folder.write_manifest(manifest, entries)
    late = find_late(lake, source, day, entries, {uri: one.key for uri, one in plan.state.objects.items()})
    lake.catalog.note_late(late.objects)
    audit = audit_readready(lake, plan, folder, manifest, entries)
    if is_new:
        folder.write_audit(audit)
    if is_new and audit.is_passed:
        facts = {"coverage": audit.coverage.ratio, "landed": audit.coverage.landed, "expected": audit.coverage.expected}
        lake.publish(manifest, plan.published.manifest.version if plan.published else None, facts)
    if audit.is_passed:
        drop_steps(lake, source.readready_name, day)
        known = {entry.uri for entry in entries}
        read = [late.entry for uri, late in plan.state.late.items() if uri in known]
        lake.catalog.settle_late(source.readready_name, day, [*read, *plan.state.late_refused])
    return ReadreadyResult(
        manifest=manifest,
        location=folder.location,
        audit=audit,
        is_new=is_new,
        is_published=audit.is_passed,
        seen=plan.published.manifest.version if plan.published else None,
        objects_read=objects_read if is_new else 0,
        lateness=lateness(entries),
        late=late,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, slots=True)
class _Done:
    """What the steps of a run came to so far, in the words of Progress; `objects` is all that the run reads."""

    objects: int
    read: int = 0
    events: int = 0

    def of(self, progress: Progress | None) -> Progress | None:
        """Told of the progress of a step, tells of the run's."""
        if progress is None:
            return None
        return lambda read, _objects, events: progress(self.read + read, self.objects, self.events + events)


def _take_steps(lake: Lake, plan: Plan, progress: Progress | None) -> tuple[Plan, _Done]:
    """Works off all steps but the last, each kept: (the plan of what is left, what was done)."""
    held = sum(entry.size for entry in plan.base.entries) if plan.base else 0
    *steps, last = cut_steps(plan.unread, lake.settings.engine, held)
    done = _Done(len(plan.unread))
    for objects in steps:
        folder = lake.new_step(plan.source.readready_name, plan.day, after_of(plan.published))
        manifest, entries = _write(lake, replace(plan, unread=objects), folder, done.of(progress))
        # The manifest says that a step is finished: after it, nobody opens these parts to check them.
        check_written(folder, manifest, plan.base.manifest if plan.base else None)
        folder.write_manifest(manifest, entries)
        plan = replace(plan, base=BaseVersion(folder, manifest, entries))
        read = {one.entry.uri for one in objects}
        events = done.events + sum(entry.found for entry in entries if entry.uri in read)
        done = replace(done, read=done.read + len(objects), events=events)
        refuse_if_overtaken(lake, plan.source.readready_name, plan.day, plan.published)
    return replace(plan, unread=last), done


def _write(
    lake: Lake, plan: Plan, folder: VersionFolder, progress: Progress | None
) -> tuple[Manifest, Sequence[ObjectEntry]]:
    """What the engine wrote of a plan, its manifest not yet."""
    job = ReadreadyJob(
        source=plan.source.name,
        table=lake.stored_table(plan.source),
        day=plan.day,
        target=folder,
        objects=plan.unread,
        feeds=plan.feeds,
        base=plan.base,
        orc=lake.settings.orc,
    )
    written = lake.engine.write_readready(job, progress)
    return _manifest(lake, plan, folder, written), written.entries


def _manifest(lake: Lake, plan: Plan, folder: VersionFolder, written: Written) -> Manifest:
    return Manifest(
        table=folder.table,
        day=plan.day,
        version=folder.version,
        base=plan.extends,
        created=lake.now(),
        recipe=plan.recipe,
        engine=written.engine,
        parts=written.parts,
        reject_files=written.reject_files,
        totals=Totals.of(written.entries),
        refused=dict(sorted(plan.state.refused.items())),
        ignored=dict(sorted(plan.state.ignored.items())),
        objects_read=len(plan.unread),
    )
