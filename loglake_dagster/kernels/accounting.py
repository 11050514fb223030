"""A run of decoded objects to the rows of one day, every record accounted for in its object's entry.

Both engines call this on each run of objects: it drops other days (counted), drops what the run itself repeats
(counted), and puts the rest in the table's order. Repeats across runs are the engine's to find.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loglake_dagster.errors import AuditError
from loglake_dagster.kernels.arrow import arrow_schema, combined, sorted_places
from loglake_dagster.kernels.hashing import identity_hashes, repeated
from loglake_dagster.kernels.rows import TableRows
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.schema import SOURCE_OBJECT, Table
from loglake_dagster.lake.source import OBJECT_PLACE, Decoded, ObjectAccount, Reject, Rows, Source

_DAY_MS = 86_400_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_Counts = np.ndarray[Any, np.dtype[np.int64]]


def rows_of_day(
    source: Source, table: Table, decoded: Decoded, objects: Sequence[ObjectEntry], day: dt.date
) -> tuple[pa.Table, list[ObjectEntry]]:
    """(the day's rows in the table's order, the objects' entries filled in). `objects` are those that were decoded,
    in the order of their rank: of two copies of an event the first one stays."""
    names = dict.fromkeys([OBJECT_PLACE, "eventtime", *source.identity, *table.row_order, source.account_column])
    keys = TableRows(decoded.kept.table([name for name in names if name != SOURCE_OBJECT.name]))
    stood = keys.table([OBJECT_PLACE, "eventtime"])
    places = stood[OBJECT_PLACE].to_numpy()
    times = stood["eventtime"].cast(pa.int64()).to_numpy()
    days = times // _DAY_MS
    of_day = np.flatnonzero(days == (day - _EPOCH.date()).days)
    is_repeat = _repeats(keys.table(source.identity, of_day), source.identity)
    day_places = places[of_day]
    landed = np.bincount(day_places[~is_repeat], minlength=len(objects))
    duplicate = np.bincount(day_places[is_repeat], minlength=len(objects))
    entries = [
        _entry(entry, account, day, int(landed[place]), int(duplicate[place]))
        for place, (entry, account) in enumerate(zip(objects, decoded.objects, strict=True))
    ]
    _add_times(entries, places, times)
    is_other = days != (day - _EPOCH.date()).days
    _add_other_days(entries, places[is_other], days[is_other])
    if any(entry.account is None for entry in entries):
        _add_accounts(entries, day_places, keys.table([source.account_column], of_day)[0])
    _add_lateness(entries, day_places, times[of_day])
    for entry in entries:
        if not entry.is_balanced:
            raise AuditError(f"{entry.uri}: accounting does not hold after decoding", uri=entry.uri)
    return _in_order(table, decoded.kept, keys, of_day[~is_repeat], entries), entries


def _repeats(identities: pa.Table, identity: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows have the identity of an earlier row. The first column, an id, tells most of them apart: the others are
    looked at where two rows share theirs."""
    ids = pc.fill_null(combined(identities[identity[0]]).dictionary_encode().indices, -1).to_numpy() + 1
    shared = np.bincount(ids, minlength=1) > 1
    shared[0] = False
    rows = np.flatnonzero(shared[ids])
    hashes, has_identity = identity_hashes(identities.take(pa.array(rows)), identity)
    is_repeat = np.zeros(identities.num_rows, bool)
    rows = rows[has_identity]
    is_repeat[rows] = repeated(hashes[has_identity])
    return is_repeat


def _in_order(table: Table, kept: Rows, keys: Rows, places: _Counts, entries: Sequence[ObjectEntry]) -> pa.Table:
    """The rows at these places in the table's order. `keys` has the columns of the order, of all rows: the others are
    made when their order is known, for a day's rows are wide."""
    uris = pa.array([entry.uri for entry in entries], pa.string())
    names = [name for name in table.row_order if name != SOURCE_OBJECT.name]
    chosen = keys.table([*names, OBJECT_PLACE], places)
    # The order alone needs the objects here: their ranks are ordered as their URIs are.
    ranks = pc.rank(uris, tiebreaker="dense").cast(pa.int64())
    chosen = chosen.append_column(SOURCE_OBJECT.name, ranks.take(chosen[OBJECT_PLACE]))
    order = sorted_places(chosen, table.row_order)
    wanted = [name for name in table.column_names if name != SOURCE_OBJECT.name]
    rows = kept.table([*wanted, OBJECT_PLACE], places[order])
    objects = uris.take(rows[OBJECT_PLACE].combine_chunks())
    columns = [objects if name == SOURCE_OBJECT.name else rows[name] for name in table.column_names]
    return pa.Table.from_arrays(columns, schema=arrow_schema(table))


def rejects_of_day(account: ObjectAccount, day: dt.date) -> list[Reject]:
    """The rejects that are the day's, or cannot be shown to be another day's: that one's run has them."""
    return [reject for reject in account.rejects if reject.event_day in (None, day)]


def _entry(entry: ObjectEntry, account: ObjectAccount, day: dt.date, landed: int, duplicate: int) -> ObjectEntry:
    """The entry with what the decoder said; times and the rows of other days are added by the caller."""
    if account.error is not None:
        return replace(entry, state="unreadable", reason=account.error.reason, lost_share=1.0)
    words = ([account.damage.reason] if account.damage else []) + list(account.notes)
    filtered = sum(account.filtered.values())
    others = Counter(r.event_day.isoformat() for r in account.rejects if r.event_day and r.event_day != day)
    return replace(
        entry,
        state="partly_read" if account.damage else "read",
        reason="; ".join(words),
        lost_share=account.damage.lost_share if account.damage else 0.0,
        found=account.found,
        landed=landed,
        duplicate=duplicate,
        filtered=filtered,
        rejected=len(rejects_of_day(account, day)),
        other_day=sum(others.values()),
        other_days=dict(others),
        filtered_by=dict(sorted(account.filtered.items())),
    )


def _add_times(entries: Sequence[ObjectEntry], places: _Counts, times: _Counts) -> None:
    """First and last event time; rows stand in the order of their objects."""
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    if len(starts) == 0:
        return
    firsts, lasts = np.minimum.reduceat(times, starts), np.maximum.reduceat(times, starts)
    for place, first, last in zip(places[starts].tolist(), firsts.tolist(), lasts.tolist(), strict=True):
        entries[place].first_event_time = _EPOCH + dt.timedelta(milliseconds=first)
        entries[place].last_event_time = _EPOCH + dt.timedelta(milliseconds=last)


def _add_other_days(entries: Sequence[ObjectEntry], places: _Counts, days: _Counts) -> None:
    pairs, counts = np.unique(np.stack([places, days]), axis=1, return_counts=True)
    for place, number, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        entries[place].other_day += count
        other = (_EPOCH + dt.timedelta(days=number)).date().isoformat()
        entries[place].other_days[other] = entries[place].other_days.get(other, 0) + count


# How long after an event its object was delivered: upper bounds in ms, by name. The last one has no bound.
LATENESS = {
    "5 min": 300_000, "15 min": 900_000, "1 h": 3_600_000, "2 h": 7_200_000, "1 day": _DAY_MS, "7 days": 7 * _DAY_MS,
    "later": 1 << 62,
}  # fmt: skip


def _add_lateness(entries: Sequence[ObjectEntry], places: _Counts, times: _Counts) -> None:
    """The day's events by lateness, for objects whose delivery time is known."""
    bounds, names = np.array(list(LATENESS.values())), list(LATENESS)
    delivered = np.array([-1 if e.delivery_time is None else int(e.delivery_time.timestamp() * 1000) for e in entries])
    if len(places) == 0:
        return
    known = delivered[places] >= 0
    buckets = np.searchsorted(bounds, delivered[places[known]] - times[known])
    counts = np.bincount(places[known].astype(np.int64) * len(names) + buckets)
    for pair in np.flatnonzero(counts).tolist():
        place, bucket = divmod(pair, len(names))
        entries[place].lateness[names[bucket]] = int(counts[pair])


def _add_accounts(entries: Sequence[ObjectEntry], places: _Counts, accounts: pa.Array) -> None:
    """Landed and duplicate events by account, for objects whose key names none."""
    unnamed = [entry.account is None for entry in entries]
    counted = (
        pa.table({"place": places, "account": accounts}).group_by(["place", "account"]).aggregate([([], "count_all")])
    )
    for row in counted.sort_by([("place", "ascending"), ("account", "ascending")]).to_pylist():
        if unnamed[row["place"]]:
            entries[row["place"]].accounts[row["account"] or ""] = row["count_all"]
