"""The manifest: what a version of a day was made from, object by object, and what became of every record.

The accounting identity holds for each object, always:
    found = landed + duplicate + filtered + other_day + rejected
Belongs here: the values and the identity. Stays out: how they are stored (io/versions.py).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from loglake_dagster.errors import AuditError

State = Literal["read", "partly_read", "unreadable"]


@dataclass(slots=True, kw_only=True)
class ObjectEntry:
    """One source object in a version. Times are UTC; `filtered_by`, `other_days` and `accounts` are counts by rule,
    by day (`YYYY-MM-DD`) and, where the key names no account, landed and duplicate events by account; `lateness`
    counts the day's events by how long after them the object was delivered (kernels/accounting.py).
    `lost_share` is the part of the object's bytes that gave no records (0 for a whole object)."""

    uri: str
    feed: str
    size: int
    etag: str
    object_version: str | None = None
    delivery_day: dt.date
    delivery_time: dt.datetime | None = None
    account: str | None = None
    region: str | None = None
    state: State = "read"
    reason: str = ""
    lost_share: float = 0.0
    found: int = 0
    landed: int = 0
    duplicate: int = 0
    filtered: int = 0
    other_day: int = 0
    rejected: int = 0
    first_event_time: dt.datetime | None = None
    last_event_time: dt.datetime | None = None
    filtered_by: dict[str, int] = field(default_factory=dict)
    other_days: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, int] = field(default_factory=dict)
    lateness: dict[str, int] = field(default_factory=dict)

    def as_listed(self) -> ObjectEntry:
        """What was known of the object before it was read."""
        return ObjectEntry(
            uri=self.uri,
            feed=self.feed,
            size=self.size,
            etag=self.etag,
            object_version=self.object_version,
            delivery_day=self.delivery_day,
            delivery_time=self.delivery_time,
            account=self.account,
            region=self.region,
        )

    @property
    def is_balanced(self) -> bool:
        """Whether the accounting identity holds."""
        parts = self.landed + self.duplicate + self.filtered + self.other_day + self.rejected
        by_name = sum(self.filtered_by.values()) == self.filtered and sum(self.other_days.values()) == self.other_day
        return self.found == parts and by_name

    @property
    def rank(self) -> tuple[dt.datetime, str]:
        """Of two copies of one event, the one whose object has the lower rank is the row: delivered first, then key."""
        return self.delivery_time or dt.datetime.combine(self.delivery_day, dt.time(), dt.timezone.utc), self.uri

    @property
    def fingerprint(self) -> tuple[int, str, dt.datetime | None]:
        """What changes when the object's content does, or a delivery time that its key does not say."""
        return self.size, self.etag, self.delivery_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripe:
    """A stretch of a part's rows that can be read alone. `bounds` are the smallest and largest value of the columns
    that readers search by, None where all rows are null; of a column that is not named nothing is known. `full` are
    those of them that are null in no row."""

    rows: int
    bounds: Mapping[str, tuple[str, str] | None] = field(default_factory=dict)
    full: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One data file of a version. `content_hash` covers every value of every row, whatever their order; `bounds` are
    the smallest and largest value of the columns that readers search by. Parts of earlier releases do not name their
    `stripes`."""

    name: str
    rows: int
    bytes: int
    content_hash: str
    bounds: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    stripes: tuple[Stripe, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over all objects of a version."""

    objects: int = 0
    unreadable: int = 0
    partly_read: int = 0
    bytes: int = 0
    found: int = 0
    landed: int = 0
    duplicate: int = 0
    filtered: int = 0
    other_day: int = 0
    rejected: int = 0

    @classmethod
    def of(cls, objects: Iterable[ObjectEntry]) -> Totals:
        """Adds up; AuditError names the first object whose accounting does not hold."""
        sums = dict.fromkeys(cls.__dataclass_fields__, 0)
        for entry in objects:
            if not entry.is_balanced:
                raise AuditError(
                    f"{entry.uri}: accounting does not hold: found {entry.found}, landed {entry.landed}, duplicate "
                    f"{entry.duplicate}, filtered {entry.filtered}, other_day {entry.other_day}, rejected "
                    f"{entry.rejected}",
                    uri=entry.uri,
                )
            sums["objects"] += 1
            sums["bytes"] += entry.size
            sums["unreadable"] += entry.state == "unreadable"
            sums["partly_read"] += entry.state == "partly_read"
            for name in ("found", "landed", "duplicate", "filtered", "other_day", "rejected"):
                sums[name] += getattr(entry, name)
        return cls(**sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one version of one day of one table is. `recipe` names the transform, columns and controls that made it;
    `refused` counts objects that file rules kept from being read, by rule; `ignored` keys of other kinds, by reason.
    `inputs` names the versions that a joined table was made from; `as_of` the clock that its status was judged by."""

    table: str
    day: dt.date
    version: str
    base: str | None
    created: dt.datetime
    recipe: str
    engine: str
    parts: tuple[Part, ...]
    reject_files: tuple[str, ...] = ()
    totals: Totals = field(default_factory=Totals)
    refused: Mapping[str, int] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    objects_read: int = 0
    inputs: Mapping[str, str] = field(default_factory=dict)
    as_of: dt.datetime | None = None

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def content_hash(self) -> str:
        """One hash over all rows: equal tables have equal hashes, however their rows are split or ordered."""
        return combine_hashes(part.content_hash for part in self.parts)


HASH_BITS = 128


def combine_hashes(hashes: Iterable[str]) -> str:
    """Adds multiset hashes: the hash of the union of what they cover. Lower-case hex, 32 digits."""
    return f"{sum(int(h, 16) for h in hashes) % (1 << HASH_BITS):032x}"


def subtract_hash(whole: str, taken: str) -> str:
    """The multiset hash of what is left of `whole` when what `taken` covers is taken out of it."""
    return f"{(int(whole, 16) - int(taken, 16)) % (1 << HASH_BITS):032x}"


def recipe_of(facts: Mapping[str, object]) -> str:
    """A short name for what made a version: equal facts, equal recipe."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
