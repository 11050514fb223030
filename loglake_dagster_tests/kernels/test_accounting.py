"""Decoded objects to the rows of one day, every record accounted for."""

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.errors import AuditError, ObjectError
from loglake_dagster.kernels import arrow as arrow_module
from loglake_dagster.kernels import records as records_module
from loglake_dagster.kernels.accounting import rejects_of_day, rows_of_day
from loglake_dagster.kernels.hashing import content_hash
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.partition import UTC
from loglake_dagster.lake.source import Wanted
from loglake_dagster.sources import cloudtrail, cloudwatch
from loglake_dagster_tests.made import ACCOUNT, DAY, LIMIT, document, entry, log_event, log_file, member, record

EVE, NEXT = "2026-03-01T23:59:59Z", "2026-03-03T00:00:00Z"
TRAIL = cloudtrail.SOURCE


def rows_of(objects, source=TRAIL, entries=None, wanted=None, table=None):
    """(rows as Python values, entries) of DAY."""
    entries = entries or [entry(f"s3://trail/{place}", account=ACCOUNT) for place in range(len(objects))]
    decoded = source.decode(objects, wanted or Wanted(), LIMIT)
    rows, filled = rows_of_day(source, table or source.table, decoded, entries, DAY)
    assert all(one.is_balanced for one in filled)
    return rows, filled


def test_a_record_of_each_fate_is_counted_once():
    wanted = Wanted(Controls(event_names=Rule(deny=("Describe*",))))
    data = log_file(
        record(eventID="1"),
        record(eventID="1"),
        record(eventID="2", eventTime=EVE),
        record(eventID="3", eventTime=NEXT),
        record(eventID="4", eventTime=NEXT),
        record(eventID="5", eventName="DescribeInstances"),
        42,
    )
    rows, (filled,) = rows_of([data], wanted=wanted)
    assert rows["eventid"].to_pylist() == ["1"]
    assert filled == entry(
        "s3://trail/0",
        account=ACCOUNT,
        found=7,
        landed=1,
        duplicate=1,
        filtered=1,
        other_day=3,
        rejected=1,
        filtered_by={"event_names": 1},
        other_days={"2026-03-01": 1, "2026-03-03": 2},
        first_event_time=dt.datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC),
        last_event_time=dt.datetime(2026, 3, 3, tzinfo=UTC),
    )


def test_a_day_is_from_midnight_to_the_last_millisecond():
    times = ["2026-03-01T23:59:59.999Z", "2026-03-02T00:00:00Z", "2026-03-02T23:59:59.999Z", "2026-03-03T00:00:00Z"]
    data = log_file(*[record(eventID=time, eventTime=time) for time in times])
    rows, (filled,) = rows_of([data])
    assert sorted(rows["eventid"].to_pylist()) == times[1:3]
    assert filled.other_days == {"2026-03-01": 1, "2026-03-03": 1}


def test_of_two_copies_the_first_in_rank_is_the_row_and_the_other_is_counted():
    data = log_file(record())
    rows, filled = rows_of([data, log_file(record(eventID="x")), data])
    assert sorted(rows["source_object"].to_pylist()) == ["s3://trail/0", "s3://trail/1"]
    assert [(one.landed, one.duplicate) for one in filled] == [(1, 0), (1, 0), (0, 1)]


def test_the_same_id_in_another_account_or_with_a_shared_id_is_another_event():
    data = log_file(
        record(eventID="1", recipientAccountId="111122223333"),
        record(eventID="1", recipientAccountId="444455556666"),
        record(eventID="2", sharedEventID="s", requestID="r"),
        record(eventID="3", sharedEventID="s", requestID="r"),
    )
    rows, (filled,) = rows_of([data])
    assert (rows.num_rows, filled.duplicate) == (4, 0)


def test_events_without_an_id_are_never_duplicates():
    without = record()
    del without["eventID"]
    _rows, (filled,) = rows_of(
        [log_file(without, without, record(eventID=""), record(eventID=""), record(eventID=None))]
    )
    assert (filled.landed, filled.duplicate) == (5, 0)


def test_objects_that_cannot_be_read_are_unreadable_with_their_reason():
    _rows, filled = rows_of([ObjectError("not allowed"), b"", log_file(), b"junk"])
    assert [(one.state, one.reason, one.lost_share, one.found) for one in filled] == [
        ("unreadable", "not allowed", 1.0, 0),
        ("unreadable", "empty object (0 bytes)", 1.0, 0),
        ("read", "", 0.0, 0),
        ("unreadable", "not a log of records: expected {\"Records\": [...]}, got b'junk'", 1.0, 0),
    ]


def test_damage_and_notes_are_the_reason_of_a_partly_read_object():
    packed = member(log_file(record(eventID="1"))) + member(log_file(record(eventID="2")))
    _rows, (whole, cut) = rows_of([packed, packed + b"junk"])
    assert (whole.state, whole.reason, whole.lost_share) == ("read", "2 gzip members", 0.0)
    assert (cut.state, cut.reason) == ("partly_read", "bytes that are not gzip after a member; 2 gzip members")
    assert cut.lost_share == pytest.approx(4 / (len(packed) + 4))


def test_accounts_are_counted_for_objects_whose_key_names_none():
    data = document(log_event(id="1"), log_event(id="1"), log_event(id="2", timestamp=0)) + document(
        log_event(id="3"), owner="444455556666"
    )
    unnamed, named = entry("s3://f/a"), entry("s3://f/b", account="999900000000")
    _rows, filled = rows_of([data, data], cloudwatch.SOURCE, [unnamed, named])
    assert filled[0].accounts == {"111122223333": 2, "444455556666": 1}
    assert (filled[0].landed, filled[0].duplicate, filled[0].other_day) == (2, 1, 1)
    assert filled[1].accounts == {}


def test_rows_stand_in_the_tables_order_with_its_columns_and_types():
    objects = [
        log_file(record(eventID="c", eventName="B"), record(eventID="b", eventName="A")),
        log_file(record(eventID="a", eventName="A"), record(eventID="d", eventName=None)),
    ]
    rows, _filled = rows_of(objects)
    assert rows["eventid"].to_pylist() == ["a", "b", "c", "d"]
    assert rows["source_ordinal"].to_pylist() == [0, 1, 0, 1]
    assert rows.column_names == list(TRAIL.table.column_names)


def test_a_table_with_fewer_columns_gives_those():
    kept = frozenset(("eventtime", "eventid", "source_object", "source_ordinal"))
    table = dataclasses.replace(
        TRAIL.table.with_columns(kept), row_order=("eventid", "source_object", "source_ordinal")
    )
    rows, _filled = rows_of([log_file(record())], table=table)
    assert rows.column_names == ["eventtime", "eventid", "source_object", "source_ordinal"]


@pytest.mark.parametrize("source", [TRAIL, cloudwatch.SOURCE])
def test_columns_too_large_for_one_array_of_texts_give_the_same_rows(source, monkeypatch):
    """Arrow raises where 2 GiB of texts would become one array: bounds that a few texts pass show the same."""
    if source is TRAIL:
        objects = [log_file(*[record(eventID=f"{n % 7}", userAgent="x" * n) for n in range(20)]) for _ in range(3)]
    else:
        objects = [document(*[log_event("x" * n, id=f"{n % 7}") for n in range(20)]) for _ in range(3)]
    monkeypatch.setattr(records_module, "BATCH_RECORDS", 20)
    monkeypatch.setattr(records_module, "COMPILED_BYTES", 4_000)  # of one object
    whole, entries = rows_of(objects, source)
    hashed = content_hash(whole)
    monkeypatch.setattr(arrow_module, "COLUMN_BYTES", 10)
    monkeypatch.setattr(arrow_module, "BATCH_BYTES", 30)
    apart, entries_apart = rows_of(objects, source)
    assert apart["source_object"].num_chunks == 1
    assert max(column.num_chunks for column in apart.columns) > 1
    assert (apart.combine_chunks(), entries_apart) == (whole.combine_chunks(), entries)
    assert (content_hash(apart), apart.schema) == (hashed, whole.schema)


@pytest.mark.parametrize("source", [cloudtrail.SOURCE, cloudwatch.SOURCE], ids=["cloudtrail", "cloudwatch"])
def test_no_objects_and_empty_objects_give_no_rows(source):
    assert rows_of([], source)[0].num_rows == 0
    rows, (filled,) = rows_of([member(b"")], source)
    assert (rows.num_rows, filled.found, filled.first_event_time) == (0, 0, None)


def test_a_reject_that_is_shown_to_be_of_another_day_is_that_days():
    decoded = TRAIL.decode([log_file(record(), 42, 43, 44)], Wanted(), LIMIT)
    account = decoded.objects[0]
    for reject, day in zip(list(account.rejects), (None, DAY, DAY - dt.timedelta(days=1)), strict=True):
        account.rejects[reject.ordinal - 1] = dataclasses.replace(reject, event_day=day)
    _rows, (filled,) = rows_of_day(TRAIL, TRAIL.table, decoded, [entry()], DAY)
    assert (filled.found, filled.landed, filled.rejected, filled.other_day) == (4, 1, 2, 1)
    assert filled.other_days == {"2026-03-01": 1}
    assert [reject.ordinal for reject in rejects_of_day(account, DAY)] == [1, 2]


def test_accounting_that_does_not_hold_is_an_audit_error():
    decoded = TRAIL.decode([log_file(record())], Wanted(), LIMIT)
    decoded.objects[0].found += 1
    with pytest.raises(AuditError) as caught:
        rows_of_day(TRAIL, TRAIL.table, decoded, [entry()], DAY)
    assert str(caught.value) == "s3://trail/a.json.gz: accounting does not hold after decoding"


EVENTS = st.builds(
    lambda number, time: record(eventID=f"{number}", eventTime=time),
    st.integers(0, 5),
    st.sampled_from([EVE, NEXT, "2026-03-02T00:00:00Z", "2026-03-02T23:59:59Z"]),
)
OBJECTS = st.lists(st.lists(EVENTS | st.just(42), max_size=5), min_size=1, max_size=4)


@given(OBJECTS)
def test_whatever_the_objects_hold_every_record_has_one_fate_and_every_id_one_row(objects):
    rows, filled = rows_of([log_file(*records) for records in objects])
    of_day = [
        one["eventID"] for records in objects for one in records if one != 42 and one["eventTime"][:10] == "2026-03-02"
    ]
    assert sorted(rows["eventid"].to_pylist()) == sorted(set(of_day))
    assert sum(one.landed + one.duplicate for one in filled) == len(of_day)
    assert [one.found for one in filled] == [len(records) for records in objects]


@given(OBJECTS)
def test_records_of_other_days_and_rejects_after_them_change_no_row_of_the_day(objects):
    data = [log_file(*records) for records in objects]
    noisy = [log_file(*records, record(eventTime=EVE, eventID="e"), b"{") for records in objects]
    assert content_hash(rows_of(data)[0]) == content_hash(rows_of(noisy)[0])
