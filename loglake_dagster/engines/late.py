"""Late events: what a run for one day finds of another, and how that other day gets to read it.

A day reads its delivery window only; reading every later folder for every day would cost months for minutes. So a run
that meets events of an earlier day in an object outside that day's window writes the object down, and that day's next
run reads exactly those objects too. Nothing is dropped because it was late.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace

from loglake_dagster.catalog import LateObject, PublishedVersion
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.sessions import input_versions
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.manifest import Manifest, ObjectEntry
from loglake_dagster.lake.partition import ONE_DAY, DeliveryWindow, day_start
from loglake_dagster.lake.source import Source
from loglake_dagster.sessions.record import TABLE


def late_objects(
    lake: Lake, source: Source, found_by: dt.date, entries: Sequence[ObjectEntry], keys: dict[str, str]
) -> Iterator[LateObject]:
    """The objects among `entries` that hold events of days whose windows they are outside of, within the horizon.
    `keys` gives an object's key in its feed by URI."""
    quality = lake.settings.quality
    for entry in entries:
        for text, events in entry.other_days.items():
            day = dt.date.fromisoformat(text)
            is_outside = not DeliveryWindow(day, quality.lateness).holds(entry.delivery_day, entry.delivery_time)
            if is_outside and entry.uri in keys and day_start(found_by) - day_start(day) <= quality.horizon:
                bare = replace(
                    entry, state="read", reason="", lost_share=0.0, found=0, landed=0, duplicate=0, filtered=0,
                    other_day=0, rejected=0, first_event_time=None, last_event_time=None, filtered_by={}, other_days={},
                    accounts={}, lateness={},
                )  # fmt: skip
                yield LateObject(source.readready_name, day, bare, keys[entry.uri], events)


def days_to_ask_again(lake: Lake, source: Source) -> list[dt.date]:
    """Days with late objects that their published version does not account for, oldest first."""
    table = source.readready_name
    return [day for day in lake.catalog.late_days(table) if _is_waiting(lake, table, day)]


def _is_waiting(lake: Lake, table: str, day: dt.date) -> bool:
    if day < lake.settings.start:
        return False
    published = lake.catalog.published(table, day)
    if published is None:
        return True
    folder = VersionFolder(lake.store, table, day, published.version)
    known = {entry.uri for entry in folder.read_objects()}
    return any(late.entry.uri not in known for late in lake.catalog.late_objects(table, day))


def settles(lake: Lake, day: dt.date) -> dt.datetime:
    """The moment from which no more events of the day are waited for."""
    return day_start(day) + ONE_DAY + lake.settings.quality.horizon


def stale_sessions(lake: Lake, today: dt.date) -> list[dt.date]:
    """Days within the horizon whose published sessions were joined from versions that are no longer the published ones,
    or without a neighbour that is published by now; oldest first. `pending` ones count too, once the SLA has passed."""
    first = today - lake.settings.quality.horizon
    stale: list[dt.date] = []
    for version in lake.catalog.published_days(TABLE.name, first, today):
        manifest = VersionFolder(lake.store, TABLE.name, version.day, version.version).read_manifest()
        if dict(manifest.inputs) != input_versions(lake, version.day) or _has_due(lake, version, manifest):
            stale.append(version.day)
    return stale


def _has_due(lake: Lake, version: PublishedVersion, manifest: Manifest) -> bool:
    """Whether a session that was pending cannot be so any longer."""
    pending = (version.facts.get("statuses") or {}).get("pending", 0)
    sla = dt.timedelta(minutes=lake.settings.quality.sla_minutes)
    return bool(pending) and manifest.as_of is not None and lake.now() >= manifest.as_of + sla
