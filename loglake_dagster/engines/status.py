"""What is published, what the gate refused since, and how whole it is: from the lake alone, no feed is listed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.late import settles, unrun_days
from loglake_dagster.io.versions import VersionFolder, version_folders
from loglake_dagster.kernels.coverage import CoverageRow, Missing, measure_coverage
from loglake_dagster.lake.manifest import Manifest, Totals
from loglake_dagster.sessions.record import TABLE
from loglake_dagster.sources import SOURCES

# What the catalog keeps of a version for a status without a day.
FACTS = ("rows", "bytes", "content_hash", "coverage", "landed", "expected", "statuses")


@dataclass(frozen=True, slots=True)
class TableStatus:
    """A version of a table's day; `published` is None for one that the gate refused. `coverage`, the accounts and the
    missing objects are what its audit measured; the latter two, rejects and what was passed over (`ignored` by reason,
    `refused` by control) are filled in only when a single day is asked for. `statuses` are the sessions by keystroke
    status.

    From `settles` on (`is_past_horizon`), the end of the day's horizon, no more events of it are waited for; `late` is
    the number of objects with late events that the version does not hold yet, `unrun` the number of days within the
    horizon that were not run, whose deliveries may hold more; `is_settled` says that nothing more is to come.
    """

    table: str
    day: dt.date
    version: str
    published: dt.datetime | None
    location: str
    rows: int
    bytes: int
    content_hash: str
    coverage: float | None = None
    landed: int | None = None
    expected: int | None = None
    statuses: Mapping[str, int] | None = None
    settles: dt.datetime | None = None
    is_past_horizon: bool = False
    unrun: int = 0
    late: int = 0
    is_settled: bool = False
    totals: Totals | None = None
    accounts: Sequence[CoverageRow] = ()
    missing: Sequence[Missing] = ()
    rejects: Sequence[Mapping[str, Any]] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)

    def as_facts(self) -> dict[str, Any]:
        """The same as plain values for JSON; records of rejects are left out, they are in the rejects file."""
        facts = asdict(self)
        facts["rejects"] = [{k: v for k, v in one.items() if not k.startswith("record")} for one in self.rejects]
        facts["accounts"] = [{**asdict(row), "gap": row.gap, "coverage": row.coverage} for row in self.accounts]
        return facts


def read_status(lake: Lake, day: dt.date | None = None) -> list[TableStatus]:
    """Published versions, tables in the order of the lineage and days ascending; of one day with its whole account, and
    followed by the versions that were refused since. Empty days of a source that has no feed are left out: nobody asked
    for them."""
    statuses: list[TableStatus] = []
    fed = {source.readready_name for source in SOURCES if lake.settings.feeds_of(source.name)} | {TABLE.name}
    for table in (*(source.readready_name for source in SOURCES), TABLE.name):
        waiting = {late.day: late.waiting for late in lake.catalog.late_days(table)}
        run = {version.day for version in lake.catalog.published_days(table)}
        for version in lake.catalog.published_days(table, day, day):
            if table not in fed and not version.facts.get("rows"):
                continue
            folder = VersionFolder(lake.store, table, version.day, version.version)
            details = _details(folder, folder.read_manifest()) if day is not None else {}
            facts: dict[str, Any] = {name: version.facts.get(name) for name in FACTS}
            late, end = waiting.get(version.day, 0), settles(lake, version.day)
            unrun = unrun_days(lake, version.day, run)
            is_past = lake.now() >= end
            facts.update(details, late=late, settles=end, is_past_horizon=is_past, unrun=unrun)
            facts.update(is_settled=is_past and not late and not unrun)
            facts.update(version=version.version, published=version.published, location=version.location)
            statuses.append(TableStatus(table, version.day, **facts))
        if day is not None and table in fed:
            statuses += _refused(lake, table, day)
    return statuses


def _refused(lake: Lake, table: str, day: dt.date) -> list[TableStatus]:
    """The versions of a day that the gate refused after what readers see was written."""
    published = lake.catalog.published(table, day)
    refused: list[TableStatus] = []
    for folder in version_folders(lake.store, table, day):
        if published is not None and folder.version <= published.version:
            continue
        audit = folder.read_audit()
        if audit is None or audit.is_passed:
            continue
        manifest, coverage = folder.read_manifest(), audit.coverage
        facts: dict[str, Any] = {name: getattr(manifest, name) for name in ("version", "rows", "bytes", "content_hash")}
        facts.update(coverage=coverage.ratio, landed=coverage.landed, expected=coverage.expected)
        facts.update(_details(folder, manifest), published=None, location=folder.location)
        refused.append(TableStatus(table, day, **facts))
    return refused


def _details(folder: VersionFolder, manifest: Manifest) -> dict[str, Any]:
    if folder.table == TABLE.name:
        return {}
    audit = folder.read_audit()
    coverage = audit.coverage if audit else measure_coverage(folder.read_objects(), [])
    return {
        "totals": manifest.totals,
        "accounts": coverage.rows,
        "missing": coverage.missing,
        "rejects": folder.read_rejects(manifest.reject_files),
        "ignored": manifest.ignored,
        "refused": manifest.refused,
    }
