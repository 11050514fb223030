"""The audit between writing and publishing: read back, look at the source again, count with other code."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.planning import Plan, SourceState, collector_paused, list_source
from loglake_dagster.engines.runs import cut_objects, read_objects
from loglake_dagster.errors import AuditError, ObjectError, StoreError
from loglake_dagster.io.orc import count_rows
from loglake_dagster.io.versions import VersionFolder, check_sizes
from loglake_dagster.kernels.accounting import rows_of_day
from loglake_dagster.kernels.coverage import Audit, measure_coverage
from loglake_dagster.kernels.framing import MANY_LISTS
from loglake_dagster.lake.manifest import Manifest, ObjectEntry, Part
from loglake_dagster.lake.source import Wanted

COUNT_BATCH = 200


@collector_paused()
def audit_readready(
    lake: Lake, plan: Plan, folder: VersionFolder, manifest: Manifest, entries: Sequence[ObjectEntry]
) -> Audit:
    """Measures coverage against the source as it stands now. AuditError if the written parts or a recount disagree with
    the manifest: then nothing may be published."""
    # Of a version that nothing was added to, every part is the base's.
    check_written(folder, manifest, plan.base.manifest if plan.base else None)
    state = list_source(lake, plan.source, plan.day)
    known = {entry.uri for entry in entries}
    unread = _count_unread(lake, plan, [uri for uri in state.objects if uri not in known], state)
    recounted, skipped = _recount(lake, plan, entries, state, manifest.version)
    late = {uri: one.events for uri, one in state.late.items()}
    coverage = measure_coverage(entries, unread, _counted_before(plan), late)
    return Audit(coverage, recounted, skipped, lake.settings.quality.coverage)


def _counted_before(plan: Plan) -> dict[str, int]:
    """The day's events that the published version found in each object, if it looked with the same eyes."""
    if plan.published is None or plan.published.manifest.recipe != plan.recipe:
        return {}
    return {entry.uri: entry.landed + entry.duplicate for entry in plan.published.entries}


def check_parts(folder: VersionFolder, manifest: Manifest, base: Manifest | None = None) -> None:
    """Every part is there, as large as the manifest says, and the footer of each new one states its rows.

    Parts that `base` has too are not opened: they were read back when they were written, nothing in the lake is
    overwritten, and a carried part is the same file under a second name, or the server's copy of it. What can go wrong
    with it since then, that it is gone or cut off, its listed size tells; so that the check costs what is new."""
    old = {part.name: part for part in base.parts} if base else {}
    carried = {part.name: part for part in manifest.parts if part == old.get(part.name)}
    for part in manifest.parts:
        if part.name not in carried:
            _check_footer(folder, part)
    if carried:
        check_sizes(folder, carried.values())


def check_written(folder: VersionFolder, manifest: Manifest, base: Manifest | None) -> None:
    """check_parts, and that the rows are those that the accounts say landed."""
    check_parts(folder, manifest, base)
    if manifest.rows != manifest.totals.landed:
        raise AuditError(f"{folder.location}: parts hold {manifest.rows} rows, {manifest.totals.landed} events landed")


def _check_footer(folder: VersionFolder, part: Part) -> None:
    try:
        found = count_rows(folder.store.read(folder.key(part.name)))
    except StoreError as error:
        raise AuditError(f"{folder.location}{part.name}: written, but cannot be read back: {error}") from error
    if found != part.rows:
        raise AuditError(f"{folder.location}{part.name}: expected {part.rows} rows, its footer says {found}")


def _count_unread(lake: Lake, plan: Plan, uris: Sequence[str], state: SourceState) -> list[ObjectEntry]:
    """Entries of objects that arrived since the plan, counted from their bytes."""
    counted: list[ObjectEntry] = []
    for feed, access in plan.feeds.items():
        objects = [state.objects[uri] for uri in uris if state.objects[uri].entry.feed == feed]
        for start in range(0, len(objects), COUNT_BATCH):
            batch = sorted(objects[start : start + COUNT_BATCH], key=lambda one: one.entry.rank)
            data = read_objects(access.store, [one.key for one in batch])
            found, limit = [one.entry for one in batch], lake.settings.engine.max_object_bytes
            decoded = plan.source.decode_delivered(data, found, access.wanted, limit)
            counted += rows_of_day(plan.source, plan.source.table, decoded, found, plan.day)[1]
    return counted


def _recount(lake: Lake, plan: Plan, entries: Sequence[ObjectEntry], state: SourceState, seed: str) -> tuple[int, int]:
    """Counts a random sample of sound objects with plain gzip and json: (agreed, not countable that way). The version's
    name seeds the draw, so that an audit can be told again."""
    sound = [e for e in entries if e.state == "read" and _is_unchanged(e, state)]
    sample = random.Random(seed).sample(sound, min(lake.settings.quality.recount_objects, len(sound)))
    told = {entry.uri: entry for entry in sample if MANY_LISTS not in entry.reason}
    agreed = 0
    # As much as a run reads at once: on S3 side by side.
    for batch in cut_objects((state.objects[uri] for uri in told), lake.settings.engine.part_bytes):
        access = plan.feeds[batch[0].entry.feed]
        for one, data in zip(batch, read_objects(access.store, [one.key for one in batch]), strict=True):
            agreed += _agrees(plan, told[one.entry.uri], data, access.wanted)
    return agreed, len(sample) - agreed


def _agrees(plan: Plan, entry: ObjectEntry, data: bytes | ObjectError, wanted: Wanted) -> bool:
    """Whether plain code comes to what an object's account says; False where it cannot tell, AuditError if it does
    not."""
    try:
        if not isinstance(data, bytes):
            raise data
        count = plan.source.recount(data, wanted)
    except Exception:  # the plain code knows no odd framing, and what it raises then is its libraries' affair
        return False
    of_day = count.wanted_of(plan.day, entry.delivery_day)
    counted = entry.landed + entry.duplicate
    if count.found != entry.found or not counted <= of_day <= counted + entry.rejected:
        raise AuditError(
            f"{entry.uri}: a recount with plain gzip and json finds {count.found} records, {of_day} of {plan.day}; "
            f"the manifest says {entry.found} and {counted}",
            uri=entry.uri,
        )
    return True


def _is_unchanged(entry: ObjectEntry, state: SourceState) -> bool:
    objects: Mapping[str, object] = state.objects
    return entry.uri in objects and state.objects[entry.uri].entry.fingerprint == entry.fingerprint
