"""Late events: what a run for one day finds of another, and how that other day gets to read it.

A day reads its delivery window only; reading every later folder for every day would cost months for minutes. So a run
that meets events of another day in an object outside that day's window writes the object down, and that day's next run
reads exactly those objects too. Nothing is dropped because it was late.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from loglake_dagster.catalog import LateDay, LateObject, PublishedVersion
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.planning import delivery_window
from loglake_dagster.engines.sessions import inputs_of
from loglake_dagster.kernels.accounting import LATENESS
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.partition import ONE_DAY, day_start
from loglake_dagster.lake.source import Source
from loglake_dagster.sessions.record import TABLE


def late_objects(
    lake: Lake, source: Source, found_by: dt.date, entries: Sequence[ObjectEntry], keys: Mapping[str, str]
) -> Iterator[LateObject]:
    """The objects among `entries` that hold events of days whose windows they are outside of, as far back as the
    horizon. `keys` gives an object's key in its feed by URI."""
    for entry in entries:
        for text, events in entry.other_days.items():
            day = dt.date.fromisoformat(text)
            is_outside = not delivery_window(lake, source, day).holds(entry.delivery_day, entry.delivery_time)
            if is_outside and entry.uri in keys and found_by - day <= lake.settings.quality.horizon:
                yield LateObject(source.readready_name, day, _without_counts(entry), keys[entry.uri], events)


def _without_counts(entry: ObjectEntry) -> ObjectEntry:
    return ObjectEntry(
        uri=entry.uri,
        feed=entry.feed,
        size=entry.size,
        etag=entry.etag,
        object_version=entry.object_version,
        delivery_day=entry.delivery_day,
        delivery_time=entry.delivery_time,
        account=entry.account,
        region=entry.region,
    )


def lateness(entries: Sequence[ObjectEntry]) -> dict[str, int]:
    """The day's events by how long after them their object was delivered, in the order of LATENESS."""
    counts = Counter[str]()
    for entry in entries:
        counts.update(entry.lateness)
    return {name: counts[name] for name in LATENESS}


def waiting_days(lake: Lake, source: Source) -> list[LateDay]:
    """Days with late events that their published version does not account for, oldest first."""
    first, last = lake.settings.start, lake.now().date()
    return [one for one in lake.catalog.late_days(source.readready_name) if one.waiting and first <= one.day <= last]


def settles(lake: Lake, day: dt.date) -> dt.datetime:
    """The moment from which no more events of the day are waited for."""
    return day_start(day) + ONE_DAY + lake.settings.quality.horizon


def stale_sessions(lake: Lake) -> list[PublishedVersion]:
    """Sessions that were joined from versions that are no longer the published ones, or without a neighbour that is
    published by now; oldest first. Those with a `pending` one count too, once its time is over."""
    published = {
        (table, version.day): version.version
        for table in {table for table, _day in inputs_of(lake.now().date()).values()}
        for version in lake.catalog.published_days(table)
    }
    return [version for version in lake.catalog.published_days(TABLE.name) if _is_stale(lake, version, published)]


def _is_stale(lake: Lake, version: PublishedVersion, published: Mapping[tuple[str, dt.date], str]) -> bool:
    inputs = {name: published[place] for name, place in inputs_of(version.day).items() if place in published}
    return version.facts["inputs"] != inputs or _has_due(lake, version)


def _has_due(lake: Lake, version: PublishedVersion) -> bool:
    """Whether a session that was pending cannot be so any longer."""
    due = dt.datetime.fromisoformat(version.facts["as_of"]) + dt.timedelta(minutes=lake.settings.quality.sla_minutes)
    return bool(version.facts["statuses"]["pending"]) and lake.now() >= due
