"""One delivery day of a raw table: find the files where they lie and register their folders. Nothing is copied."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

from loglake_dagster.catalog import RawPartition
from loglake_dagster.engines.lake import Lake
from loglake_dagster.lake.schema import Column, Table
from loglake_dagster.lake.source import Source

FEED = Column("feed", "string", "Name of the feed in loglake.yaml.", nullable=False)


@dataclass(frozen=True, slots=True)
class DeliveredRow:
    """Files and bytes that were delivered for one account and region; `unknown` where the keys do not say."""

    account: str
    region: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RawResult:
    """What a delivery day holds. `new_partitions` were registered by this run, `partitions` are all of the day.
    `warnings` name feeds whose uri seems to be wrong."""

    table: str
    day: dt.date
    rows: tuple[DeliveredRow, ...]
    partitions: int
    new_partitions: int
    ignored: dict[str, int]
    refused: dict[str, int]
    warnings: tuple[str, ...] = ()

    @property
    def files(self) -> int:
        return sum(row.files for row in self.rows)

    @property
    def bytes(self) -> int:
        return sum(row.bytes for row in self.rows)


def raw_table(source: Source) -> Table:
    """The raw table: its partitions are the folders of the feeds; its columns are read from the files by readers."""
    return Table(source.raw_name, f"{source.title} files where they were delivered.", (), (FEED, *source.raw_partition))


def materialize_raw(lake: Lake, source: Source, day: dt.date) -> RawResult:
    """Lists what was delivered on the day, applies the file controls and registers each folder once."""
    lake.catalog.register_table(raw_table(source))
    files: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    ignored: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    found: dict[tuple[str, ...], RawPartition] = {}
    warnings: list[str] = []
    for feed in lake.settings.feeds_of(source.name):
        store = lake.feed_store(feed)
        listing = lake.list_feed(feed, source, frozenset({day}))
        if not listing.is_known:
            warnings.append(
                f"feed {feed.name}: nothing below {feed.uri} looks like {source.title}, of any day; see that its uri "
                "is the place that AWS was told to deliver to, and not a folder below it"
            )
        ignored += listing.ignored
        refused += listing.refused
        for listed, key in listing.objects:
            place = key.account or "unknown", key.region or "unknown"
            files[place] += 1
            sizes[place] += listed.size
            values = (feed.name, *key.partition)
            found.setdefault(values, RawPartition(values, store.uri(key.folder)))
    new = lake.catalog.register_raw(source.raw_name, found.values())
    rows = tuple(DeliveredRow(*place, files[place], sizes[place]) for place in sorted(files))
    return RawResult(source.raw_name, day, rows, len(found), new, dict(ignored), dict(refused), tuple(warnings))
