"""A fresh listing of a feed: the objects that were delivered on given days and that the controls let through.

Folders are judged before they are entered and objects before they are read; what was passed over is counted by why.
Levels of an object store are listed side by side: each is a round trip, and an organisation has thousands of them.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

from loglake_dagster.errors import StoreError
from loglake_dagster.io.store import LocalStore, Store
from loglake_dagster.kernels.times import YEARS, is_storable_ms
from loglake_dagster.lake.controls import Controls
from loglake_dagster.lake.source import IgnoredKey, Listed, Source, SourceKey, UndatedKey

LEVELS_AT_ONCE = 32
Level = tuple[list[str], list[Listed]]


@dataclass(slots=True)
class Listing:
    """What a feed holds of the asked days. `ignored` counts keys and folders of other kinds by reason, `refused`
    those that a control denies by the control's name; a folder counts as one, it was not entered. `account` and
    `region` are those of objects whose key does not say when they were delivered either. `is_bare` says that there is
    nothing at all; `is_known` that something is the source's, of whatever day."""

    objects: list[tuple[Listed, SourceKey]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    account: str | None = None
    region: str | None = None
    is_bare: bool = True
    is_known: bool = False

    def take(self, source: Source, listed: Listed, days: frozenset[dt.date], controls: Controls) -> None:
        """Adds one object to what it belongs to; objects of other days are passed over, uncounted."""
        key = source.parse_key(listed.key)
        if isinstance(key, UndatedKey):
            key = self._dated(key, listed.modified)
        if isinstance(key, IgnoredKey):
            self.ignored[key.reason] += 1
            return
        self.is_known = True
        if key.delivery_day in days:
            refusal = controls.refusal_of_object(listed.key, key.account, key.region)
            if refusal is None:
                self.objects.append((listed, key))
            else:
                self.refused[refusal] += 1

    def enter(self, source: Source, folder: str, days: frozenset[dt.date], controls: Controls) -> tuple[str, ...]:
        """The folders to list for one that was met; one that is not entered is counted by why."""
        descent = source.descend(folder, days, controls)
        if descent.ignored:
            self.ignored[descent.ignored] += 1
        elif descent.folders != (folder,):
            self.is_known = True  # the source says of it what to list, or that it is another day's
        if descent.refused:
            self.refused[descent.refused] += 1
        return descent.folders

    def _dated(self, key: UndatedKey, modified: dt.datetime | None) -> SourceKey | IgnoredKey:
        if modified is None or not is_storable_ms(math.floor(modified.timestamp() * 1000)):
            return IgnoredKey(f"last modified at no time of {YEARS}")
        day = modified.date()
        return SourceKey(day, modified, self.account, self.region, (*key.partition, day.isoformat()), key.folder)


def list_feed(
    store: Store,
    source: Source,
    days: frozenset[dt.date],
    controls: Controls,
    account: str | None = None,
    region: str | None = None,
) -> Listing:
    """Objects in the order of their keys; `account` and `region` are the feed's own, if it says them. StoreError if the
    feed's folder is not there: that is a mistake in the settings, and not a day without events."""
    if isinstance(store, LocalStore) and not store.path.is_dir():
        raise StoreError(f"{store.path}: the feed's folder is not there; mend its uri in the settings")
    listing = Listing(account=account, region=region)

    def below(level: Level) -> Iterator[str]:
        """Takes in what a level holds; the folders to list for it."""
        folders, objects = level
        listing.is_bare = listing.is_bare and not folders and not objects
        for listed in objects:
            listing.take(source, listed, days, controls)
        for folder in folders:
            yield from listing.enter(source, folder, days, controls)

    (_walk if isinstance(store, LocalStore) else _walk_side_by_side)(store, below)
    listing.objects.sort(key=lambda one: one[0].key)
    return listing


def _walk(store: Store, below: Callable[[Level], Iterable[str]]) -> None:
    """Lists the root and what is below it, one level at a time: a thread beside this one would only wait for it."""
    waiting = [""]
    while waiting:
        waiting += below(store.list_level(waiting.pop()))


def _walk_side_by_side(store: Store, below: Callable[[Level], Iterable[str]]) -> None:
    done: SimpleQueue[Future[Level]] = SimpleQueue()
    with ThreadPoolExecutor(LEVELS_AT_ONCE) as pool:
        try:
            pool.submit(store.list_level, "").add_done_callback(done.put)
            waited_for = 1
            while waited_for:
                level = done.get().result()
                waited_for -= 1
                for folder in below(level):
                    pool.submit(store.list_level, folder).add_done_callback(done.put)
                    waited_for += 1
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # thousands may be asked for by then
            raise
