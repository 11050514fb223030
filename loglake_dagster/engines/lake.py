"""An open lake: settings, store, catalog and engine together, and what every stage asks of them."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from loglake_dagster.catalog import Catalog, PublishedVersion
from loglake_dagster.catalog.sqlite import SqliteCatalog
from loglake_dagster.engines import BaseVersion, Engine, FeedAccess, open_engine
from loglake_dagster.engines.remote import Launcher
from loglake_dagster.errors import CatalogError, StoreError
from loglake_dagster.io.listing import Listing, list_feed
from loglake_dagster.io.store import LocalStore, Store, open_store
from loglake_dagster.io.versions import VersionFolder
from loglake_dagster.lake.manifest import Manifest
from loglake_dagster.lake.partition import UTC, version_name
from loglake_dagster.lake.schema import Table
from loglake_dagster.lake.settings import Feed, Settings
from loglake_dagster.lake.source import Source, Wanted


def utc_now() -> dt.datetime:
    """The clock, read at the edge only: whatever depends on it takes it as an argument."""
    return dt.datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Lake:
    """Everything that a stage needs. `now` gives the time that versions are named and published by."""

    settings: Settings
    store: Store
    catalog: Catalog
    engine: Engine
    now: Callable[[], dt.datetime] = utc_now

    def feed_store(self, feed: Feed) -> Store:
        """The store that a feed's objects are in."""
        return open_store(feed.uri, self.settings.s3)

    def feed_access(self, feed: Feed) -> FeedAccess:
        """Where a feed is read and what of it is kept."""
        return FeedAccess(self.feed_store(feed), Wanted(self.settings.controls, feed.log_groups))

    def list_feed(self, feed: Feed, source: Source, days: frozenset[dt.date]) -> Listing:
        """What a feed holds of the days. StoreError if its uri leads nowhere: a folder that is not there, or on S3 a
        prefix without any object. That is a mistake in the settings, and not a day without events."""
        store = self.feed_store(feed)
        listing = list_feed(store, source, days, self.settings.controls, feed.account, feed.region)
        if listing.is_bare and not isinstance(store, LocalStore):
            raise StoreError(
                f"feed {feed.name}: there is no object below {feed.uri}; mend its uri in the settings, or leave the "
                "feed out until something is delivered",
                feed=feed.name,
                uri=feed.uri,
            )
        return listing

    def stored_table(self, source: Source) -> Table:
        """The source's table with the columns that the settings have parts written with; of others readers get null."""
        return source.stored_table(source.name in self.settings.lean)

    def new_version(self, table: str, day: dt.date) -> VersionFolder:
        """The folder of a version that does not exist yet."""
        return VersionFolder(self.store, table, day, version_name(self.now(), secrets.token_hex(4)))

    def new_step(self, table: str, day: dt.date, after: str) -> VersionFolder:
        """The folder of a step that does not exist yet, of a run that set out from the version `after`."""
        return replace(self.new_version(table, day), after=after)

    def published(self, table: str, day: dt.date, with_accounts: bool = True) -> BaseVersion | None:
        """The published version of a day with its manifest and, unless nobody asks for them, its accounts."""
        version = self.catalog.published(table, day)
        return self.open_version(version, with_accounts) if version else None

    def open_version(self, version: PublishedVersion, with_accounts: bool = True) -> BaseVersion:
        """A version that was published, read back."""
        folder = VersionFolder(self.store, version.table, version.day, version.version)
        return BaseVersion(folder, folder.read_manifest(), folder.read_objects() if with_accounts else ())

    def publish(self, manifest: Manifest, expected: str | None, facts: Mapping[str, object]) -> PublishedVersion:
        """Moves the day's pointer to a written version. A publication that this very call had already made (its answer
        was lost) counts as made."""
        folder = VersionFolder(self.store, manifest.table, manifest.day, manifest.version)
        facts = {"rows": manifest.rows, "bytes": manifest.bytes, "content_hash": manifest.content_hash, **facts}
        version = PublishedVersion(manifest.table, manifest.day, manifest.version, folder.location, self.now(), facts)
        try:
            self.catalog.publish(version, expected)
        except CatalogError:
            current = self.catalog.published(manifest.table, manifest.day)
            if current is None or current.version != manifest.version:
                raise
        return version


def open_lake(settings: Settings, now: Callable[[], dt.datetime] = utc_now, launcher: Launcher | None = None) -> Lake:
    """Opens the lake that the settings describe. Nothing is read or made yet. `launcher` starts jobs elsewhere, where
    the settings ask for it."""
    store = open_store(settings.lake, settings.s3)
    engine = open_engine(settings.engine, settings.s3, launcher)
    return Lake(settings, store, SqliteCatalog(settings.catalog_path), engine, now)
