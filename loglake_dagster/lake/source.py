"""What a source is: one record says how a log's keys are read, how its bytes become rows, and what the rows mean.

Belongs here: the record and the values that pass through it. Stays out: any one log (sources/), Arrow (kernels).
Adding a log means one module that builds a `Source`; raw and readready assets, checks and tables follow from it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loglake_dagster.errors import ObjectError, RecordError
from loglake_dagster.lake.controls import Controls
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.schema import Column, Table


@dataclass(frozen=True, slots=True)
class SourceKey:
    """What an object's key says: where and when it was delivered. `partition` are the values of the source's
    `raw_partition` columns, `folder` the part of the key that all objects of that raw partition share (relative to the
    feed)."""

    delivery_day: dt.date
    delivery_time: dt.datetime | None
    account: str | None
    region: str | None
    partition: tuple[str, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class UndatedKey:
    """A key that says nothing of its delivery: that is when the object was last modified. `partition` lacks the day,
    which is the last of the source's `raw_partition` columns; `folder` holds the objects of every day."""

    partition: tuple[str, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class IgnoredKey:
    """A key that holds no records of this source, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it. `key` is relative to the feed's root; `modified` is in UTC, to the millisecond,
    and None where the store gives no time that the calendar knows."""

    key: str
    size: int
    etag: str
    version: str | None = None
    modified: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Descent:
    """What a listing does with a folder that it met: the folders to list for it (itself, or ones further down whose
    names are known), or none because it is of another kind (`ignored`) or a control denies it (`refused`)."""

    folders: tuple[str, ...] = ()
    ignored: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a decode keeps: the event rules of the controls, and which log groups play which role (CloudWatch)."""

    controls: Controls = field(default_factory=Controls)
    log_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be a row, kept verbatim. `event_day` is None when its time cannot be read."""

    ordinal: int
    path: str
    expected: str
    got: str
    record: bytes
    event_day: dt.date | None = None

    @classmethod
    def of(cls, ordinal: int, error: RecordError, record: bytes, event_day: dt.date | None = None) -> Reject:
        return cls(ordinal, error.path, error.expected, error.got, record, event_day)


@dataclass(frozen=True, slots=True)
class Damage:
    """What of an object could not be read. `lost_share` is the part of its stored bytes that gave no records, from
    0 (only the end of the last record is missing) to 1 (nothing could be read)."""

    reason: str
    lost_share: float


# A reject costs hundreds of bytes of memory besides its record, and the smallest bad record is two bytes of text: what
# is no log must not cost hundreds of times its size. This many show what is wrong with an object; it keeps them all.
MAX_REJECTS = 10_000
# No record with a time in it is shorter.
TINY_BYTES = 20


@dataclass(slots=True)
class ObjectAccount:
    """What became of one object's records: `found` counts all of them, `filtered` by the rule that dropped them; what
    is neither filtered nor rejected is a row. `error` is set when nothing could be read, or when so little of it could
    that the whole object is given up: the rest of the account then says nothing."""

    found: int = 0
    filtered: dict[str, int] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    damage: Damage | None = None
    notes: tuple[str, ...] = ()
    error: ObjectError | None = None

    def filter(self, rule: str, count: int = 1) -> None:
        """Counts records that a rule dropped."""
        self.filtered[rule] = self.filtered.get(rule, 0) + count

    def reject(self, reject: Reject) -> None:
        """Keeps a reject; the object is given up when there are more than MAX_REJECTS."""
        if len(self.rejects) < MAX_REJECTS:
            self.rejects.append(reject)
        else:
            self.give_up()

    def give_up(self) -> ObjectError:
        """Makes the object unreadable as a whole, because too many of its records are none; the error."""
        self.error = self.error or ObjectError(f"more than {MAX_REJECTS:,} of its records cannot be rows")
        return self.error


class Rows(Protocol):
    """Decoded rows, of every day, in the order of objects and records: the readready columns, with `OBJECT_PLACE`
    (place of the object in the run) instead of `source_object`. Columns may be made only when they are asked for."""

    @property
    def num_rows(self) -> int: ...

    @property
    def column_names(self) -> list[str]: ...

    def table(self, names: Sequence[str] | None = None, places: Any = None) -> Any:
        """A pyarrow.Table of these columns (None: all), of the rows at these places, each once and in this order (an
        array of int64; None: all as they stand)."""
        ...


@dataclass(slots=True)
class Decoded:
    """A run of objects, decoded together: the rows that were kept, and one account an object. For each object, found ==
    rows + filtered + rejects."""

    kept: Rows
    objects: list[ObjectAccount]

    @property
    def rows(self) -> Any:
        """All rows as a pyarrow.Table."""
        return self.kept.table()


# Column of decoded rows: which object of the run a row came from.
OBJECT_PLACE = "object_place"


@dataclass(frozen=True, slots=True)
class Recount:
    """What plain code finds in an object: all records, and those that the controls want, by event day; `undated` ones
    have the object's own delivery day."""

    found: int
    wanted_by_day: Mapping[dt.date, int] = field(default_factory=dict)
    undated: int = 0

    def wanted_of(self, day: dt.date, delivery_day: dt.date) -> int:
        """The records of a day that the controls want, in an object delivered on `delivery_day`."""
        return self.wanted_by_day.get(day, 0) + (self.undated if day == delivery_day else 0)


@dataclass(frozen=True, slots=True)
class RawFormat:
    """How Athena and Hive read files where they lie: (name, Hive type) of each column, and the classes that do it.
    `example_key` is a key as AWS writes it, for documents."""

    columns: tuple[tuple[str, str], ...]
    serde: str
    input_format: str
    output_format: str
    example_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One kind of log.

    `identity` are the columns that make two rows one event; a row with a null or empty first identity column is
    never a duplicate. `account_column` and `region_column` say whose event a row is (region may be unknown).
    `descend` says for a folder that a listing met which folders to list for the given delivery days. `decode` takes
    the bytes of objects (or the error that reading one met) and a limit in bytes that an object may inflate to;
    `complete` then adds to its rows (a pyarrow.Table) the columns that only the objects' entries tell, None for most.
    `is_placed_by_feed` says that neither keys nor records name account and region: a feed's settings may.
    `lead` is how long before midnight an object can be named that holds events after it. `log_group_roles` are the
    roles that a feed of this source may give to CloudWatch log groups; none for most. `lean_without` are the columns
    that the settings may leave out, all together: dear ones that nothing is searched or joined by. `raw_format` is
    None where no reader of Athena's knows the raw files. `version` goes up whenever the same bytes would give other
    rows: published days are then rebuilt whole.
    """

    name: str
    title: str
    doc: str
    version: int
    table: Table
    raw_partition: tuple[Column, ...]
    identity: tuple[str, ...]
    account_column: str
    region_column: str | None
    parse_key: Callable[[str], SourceKey | UndatedKey | IgnoredKey]
    descend: Callable[[str, frozenset[dt.date], Controls], Descent]
    decode: Callable[[Iterable[bytes | ObjectError], Wanted, int], Decoded]
    recount: Callable[[bytes, Wanted], Recount]
    complete: Callable[[Rows, Sequence[ObjectEntry]], Rows] | None = None
    is_placed_by_feed: bool = False
    lead: dt.timedelta = dt.timedelta(0)
    rebuild: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    log_group_roles: tuple[str, ...] = ()
    raw_format: RawFormat | None = None
    lean_without: frozenset[str] = frozenset()

    def decode_delivered(
        self, objects: Iterable[bytes | ObjectError], entries: Sequence[ObjectEntry], wanted: Wanted, limit_bytes: int
    ) -> Decoded:
        """The whole decode of objects with their entries, in the same order."""
        decoded = self.decode(objects, wanted, limit_bytes)
        if self.complete is not None:
            decoded.kept = self.complete(decoded.kept, entries)
        return decoded

    def stored_table(self, is_lean: bool) -> Table:
        """The table with the columns that parts are written with."""
        return (
            self.table.with_columns(frozenset(self.table.column_names) - self.lean_without) if is_lean else self.table
        )

    @property
    def raw_name(self) -> str:
        """Name of the raw table and of its asset."""
        return f"from_{self.name}_raw"

    @property
    def readready_name(self) -> str:
        """Name of the readready table and of its asset."""
        return f"from_{self.name}_readready"
