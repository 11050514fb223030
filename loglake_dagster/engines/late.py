"""Late events: what a run for one day finds of another, and how that other day gets to read it.

A day reads its delivery window only; reading every later folder for every day would cost months for minutes. So a run
that meets events of another day in an object outside that day's window writes the object down, and that day's next run
reads exactly those objects too. Nothing is dropped because it was late.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from loglake_dagster.catalog import LateDay, LateObject, PublishedVersion
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.planning import delivery_window
from loglake_dagster.engines.sessions import inputs_of
from loglake_dagster.kernels.accounting import LATENESS
from loglake_dagster.lake.manifest import ObjectEntry, recipe_of
from loglake_dagster.lake.partition import ONE_DAY, day_start
from loglake_dagster.lake.source import Source
from loglake_dagster.sessions.record import TABLE
from loglake_dagster.sources import SOURCES


@dataclass(frozen=True, slots=True)
class LateEvents:
    """What a run met of other days, outside their windows: the objects to note, and the events by day, ascending:
    `noted` for days within the horizon, `beyond` for older ones, which are not asked for again."""

    objects: Sequence[LateObject]
    noted: Mapping[dt.date, int]
    beyond: Mapping[dt.date, int]


def find_late(
    lake: Lake, source: Source, found_by: dt.date, entries: Sequence[ObjectEntry], keys: Mapping[str, str]
) -> LateEvents:
    """The late events in the objects of `entries` that the source still holds; `keys` gives their keys by URI."""
    objects: list[LateObject] = []
    noted, beyond = Counter[dt.date](), Counter[dt.date]()
    for entry in entries:
        for text, events in entry.other_days.items():
            day = dt.date.fromisoformat(text)
            if delivery_window(lake, source, day).holds(entry.delivery_day, entry.delivery_time):
                continue
            if found_by - day > lake.settings.quality.horizon:
                beyond[day] += events
            elif entry.uri in keys:
                noted[day] += events
                objects.append(LateObject(source.readready_name, day, entry.as_listed(), keys[entry.uri], events))
    return LateEvents(objects, dict(sorted(noted.items())), dict(sorted(beyond.items())))


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


def waiting_key(lake: Lake, table: str, day: dt.date) -> str:
    """Names what a day waits for: other objects, other content or another published version give another key."""
    objects = [(late.entry.uri, late.entry.fingerprint) for late in lake.catalog.late_objects(table, day)]
    published = lake.catalog.published(table, day)
    return recipe_of({"objects": objects, "after": published.version if published else None})


@dataclass(frozen=True, slots=True)
class DueAgain:
    """A table's day that is to be made again; `key` names what is new, so that it is asked for once for each change."""

    table: str
    day: dt.date
    key: str


def due_again(lake: Lake) -> Iterator[DueAgain]:
    """What there is to make again, oldest day first: late events before sessions, which change after them. Each table
    is looked at when it is its turn: sessions when what was asked for before may have been made."""
    for source in SOURCES:
        for late in waiting_days(lake, source):
            key = waiting_key(lake, source.readready_name, late.day)
            yield DueAgain(source.readready_name, late.day, f"{source.readready_name} {late.day} {key}")
    for version in stale_sessions(lake):
        yield DueAgain(TABLE.name, version.day, f"after {version.version}")


def settles(lake: Lake, day: dt.date) -> dt.datetime:
    """The moment from which no more events of the day are waited for."""
    return day_start(day) + ONE_DAY + lake.settings.quality.horizon


def unrun_days(lake: Lake, day: dt.date, run: Container[dt.date]) -> int:
    """How many days after this one, within the horizon, are not among those that were run: their deliveries may hold
    events of it."""
    later = (day + n * ONE_DAY for n in range(1, lake.settings.quality.horizon.days + 1))
    return sum(1 for one in later if one not in run)


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
    return version.facts.get("inputs") != inputs or _has_due(lake, version)


def _has_due(lake: Lake, version: PublishedVersion) -> bool:
    """Whether a session that was pending cannot be so any longer."""
    due = dt.datetime.fromisoformat(version.facts["as_of"]) + dt.timedelta(minutes=lake.settings.quality.sla_minutes)
    return bool(version.facts["statuses"]["pending"]) and lake.now() >= due
