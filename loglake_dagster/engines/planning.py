"""What a run has to read: a fresh listing of the feeds against what the published version accounts for."""

from __future__ import annotations

import datetime as dt
import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from loglake_dagster.catalog import LateObject
from loglake_dagster.engines import BaseVersion, FeedAccess, PlannedObject
from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.runs import read_objects
from loglake_dagster.engines.steps import kept_steps
from loglake_dagster.errors import AuditError
from loglake_dagster.io.store import Store
from loglake_dagster.lake.manifest import ObjectEntry, recipe_of
from loglake_dagster.lake.partition import DeliveryWindow
from loglake_dagster.lake.settings import Feed
from loglake_dagster.lake.source import Listed, Source, SourceKey


@dataclass(slots=True)
class SourceState:
    """What the feeds of a source hold for a day, right now: objects by URI, and what was passed over, by why. `late`
    are the objects that other days' runs wrote down for the day, by URI; `late_refused` those that a control denies."""

    objects: dict[str, PlannedObject] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    late: dict[str, LateObject] = field(default_factory=dict)
    late_refused: list[ObjectEntry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """`unread` are the objects to read. `base` is what is added to: None for a day that is built whole, because it is
    the first time or because transform, columns or controls are others now. `published` is the version that readers
    see while this runs; publishing expects it to be still that one. `extends` names the published version, if its rows
    are in what comes out; then `base` is that version, or a step that added to it."""

    source: Source
    day: dt.date
    recipe: str
    feeds: dict[str, FeedAccess]
    state: SourceState
    unread: list[PlannedObject]
    base: BaseVersion | None
    published: BaseVersion | None
    extends: str | None

    @property
    def is_settled(self) -> bool:
        """True when the published version already accounts for all that the source holds."""
        return self.base is not None and self.base is self.published and not self.unread


@contextmanager
def collector_paused() -> Iterator[None]:
    """While a day's objects are listed, judged and counted: what this makes of each stays, and Python's collector of
    cycles would look through it again and again, a third of the time. It goes on at the end, however that comes."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def delivery_window(lake: Lake, source: Source, day: dt.date) -> DeliveryWindow:
    """The deliveries that a day of a source is read from."""
    return DeliveryWindow(day, lake.settings.quality.lateness, source.lead)


def list_source(lake: Lake, source: Source, day: dt.date) -> SourceState:
    """Lists every feed of the source for the day's delivery window, and adds the late objects that other days' runs
    wrote down for it. An object that two feeds see is the first's."""
    window, state = delivery_window(lake, source, day), SourceState()
    stores = {feed.name: lake.feed_store(feed) for feed in lake.settings.feeds_of(source.name)}
    for feed in lake.settings.feeds_of(source.name):
        store = stores[feed.name]
        listing = lake.list_feed(feed, source, frozenset(window.delivery_days))
        state.ignored += listing.ignored
        state.refused += listing.refused
        for listed, key in listing.objects:
            if window.holds(key.delivery_day, key.delivery_time):
                uri = store.uri(listed.key)
                state.objects.setdefault(uri, PlannedObject(_entry(uri, feed, listed, key), listed.key))
    for late in lake.catalog.late_objects(source.readready_name, day):
        state.late[late.entry.uri] = late
        _add_late(lake, stores, late.entry, late.key, state)
    return state


def _add_late(lake: Lake, stores: Mapping[str, Store], entry: ObjectEntry, key: str, state: SourceState) -> None:
    """Adds an object outside the day's window, by the feed that has its place now, whatever that is called. One that
    no feed has is not added: it stays waited for. `stores` are those of the source's feeds, by name."""
    feeds = [name for name, store in stores.items() if store.uri(key) == entry.uri]
    if lake.settings.controls.refusal_of_object(key, entry.account, entry.region):
        state.late_refused.append(entry)
    elif feeds:
        state.objects.setdefault(entry.uri, PlannedObject(replace(entry, feed=feeds[0]), key))


@collector_paused()
def plan_readready(lake: Lake, source: Source, day: dt.date) -> Plan:
    """Lists the source and decides what to read. AuditError if a rebuild would lose rows that can no longer be read."""
    feeds = {feed.name: lake.feed_access(feed) for feed in lake.settings.feeds_of(source.name)}
    recipe = _recipe(lake, source)
    state = list_source(lake, source, day)
    published = lake.published(source.readready_name, day)
    extended = published if published is not None and _can_extend(published, recipe, state) else None
    if published is not None and extended is None:
        stores = {feed.name: lake.feed_store(feed) for feed in lake.settings.feeds}
        _keep_outside(lake, source, day, published, state, stores)
    extends = extended.manifest.version if extended else None
    steps = kept_steps(lake, source.readready_name, day, published, extends)
    base = next((step for step in steps if _can_extend(step, recipe, state)), extended)
    if published is not None and extended is None:
        _refuse_loss(lake, source, day, published, state, feeds, stores, base)
    known = {entry.uri: entry for entry in (base.entries if base else ())}
    unread = [one for uri, one in state.objects.items() if uri not in known]
    retried = [one for uri, one in state.objects.items() if uri in known and known[uri].state == "unreadable"]
    unread += [one for one in retried if _is_readable(lake, source, feeds[one.entry.feed], one)]
    return Plan(source, day, recipe, feeds, state, unread, base, published, extends)


def _recipe(lake: Lake, source: Source) -> str:
    """Whatever, when it changes, gives other rows for the same objects."""
    settings, feeds = lake.settings, lake.settings.feeds_of(source.name)
    facts: dict[str, object] = {
        "source": source.name,
        "version": source.version,
        "columns": lake.stored_table(source).column_names,
        "controls": settings.controls.as_facts(),
        "log_groups": {feed.name: dict(feed.log_groups) for feed in feeds},
        "max_object_bytes": settings.engine.max_object_bytes,
    }
    if source.is_placed_by_feed:
        facts["places"] = {feed.name: (feed.account, feed.region) for feed in feeds}
    return recipe_of(facts)


def _can_extend(published: BaseVersion, recipe: str, state: SourceState) -> bool:
    """Whether new rows can be added to the version: the same recipe, and no object that gave it rows has changed. One
    that could not be read gave none: when it is put right, it is read like a new one."""
    if published.manifest.recipe != recipe:
        return False
    now, given = state.objects, [entry for entry in published.entries if entry.state != "unreadable"]
    return all(e.uri not in now or now[e.uri].entry.fingerprint == e.fingerprint for e in given)


def _keep_outside(
    lake: Lake,
    source: Source,
    day: dt.date,
    published: BaseVersion,
    state: SourceState,
    stores: Mapping[str, Store],
) -> None:
    """Objects that gave the day rows and are outside its window belong to it, whatever the lateness is by now."""
    window = delivery_window(lake, source, day)
    ours = {feed.name: stores[feed.name] for feed in lake.settings.feeds_of(source.name)}
    for entry in published.entries:
        is_outside = not window.holds(entry.delivery_day, entry.delivery_time)
        key = _key_of(stores, entry) if entry.landed and is_outside else None
        if key is not None and entry.uri not in state.objects:
            _add_late(lake, ours, entry.as_listed(), key, state)


def _refuse_loss(
    lake: Lake,
    source: Source,
    day: dt.date,
    published: BaseVersion,
    state: SourceState,
    feeds: Mapping[str, FeedAccess],
    stores: Mapping[str, Store],
    step: BaseVersion | None,
) -> None:
    """A day is built whole from what the source still has; where objects have expired there, or a feed was taken out of
    the settings, that would lose rows. What a control denies is meant to go; what a step has read is not lost."""
    window, denied = delivery_window(lake, source, day), {entry.uri for entry in state.late_refused}
    held = {entry.uri for entry in (step.entries if step else ()) if entry.state != "unreadable"}
    gone = []
    for entry in published.entries:
        if not entry.landed or entry.uri in denied or entry.uri in held:
            continue
        planned, key = state.objects.get(entry.uri), _key_of(stores, entry)
        if planned is not None:
            # Listed ones are there; what is outside the window was not listed.
            is_listed = window.holds(entry.delivery_day, entry.delivery_time)
            if not is_listed and not _is_readable(lake, source, feeds[planned.entry.feed], planned):
                gone.append(entry)
        elif key is None or not lake.settings.controls.refusal_of_object(key, entry.account, entry.region):
            gone.append(entry)
    if gone:
        rows = sum(entry.landed for entry in gone)
        raise AuditError(
            f"{published.manifest.table} {day}: must be built anew (settings, transform or objects changed), "
            f"but {len(gone)} objects with {rows} of its rows are no longer in the source, first {gone[0].uri}; the "
            "published version stays. Put the objects back, or leave the day as it is",
            table=published.manifest.table,
            day=day.isoformat(),
            objects=len(gone),
        )


def _key_of(stores: Mapping[str, Store], entry: ObjectEntry) -> str | None:
    """An object's key in its feed; None for a feed that the settings do not have."""
    store = stores.get(entry.feed)
    return None if store is None else store.key(entry.uri)


def _is_readable(lake: Lake, source: Source, access: FeedAccess, one: PlannedObject) -> bool:
    """Whether an object that could not be read can be read now (a permission came, a server is back)."""
    limit = lake.settings.engine.max_object_bytes
    return source.decode(read_objects(access.store, [one.key]), access.wanted, limit).objects[0].error is None


def _entry(uri: str, feed: Feed, listed: Listed, key: SourceKey) -> ObjectEntry:
    return ObjectEntry(
        uri=uri,
        feed=feed.name,
        size=listed.size,
        etag=listed.etag,
        object_version=listed.version,
        delivery_day=key.delivery_day,
        delivery_time=key.delivery_time,
        account=key.account,
        region=key.region,
    )
