"""Delivery day is not event day: what a run for a day reads, and whose row an event is."""

import datetime as dt
import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from loglake_dagster.engines.readready import ReadreadyResult, materialize_readready
from loglake_dagster.errors import AuditError
from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster.lake.settings import Feed, Quality
from loglake_dagster.sources import cloudwatch
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.deliveries import OTHER_ACCOUNT, event, events, firehose_file, put, trail_file
from loglake_dagster_tests.engines.made_lake import (
    ONE_PROCESS,
    accounted,
    firehose_of,
    ids_of,
    made_lake,
    published,
    rows_of,
    trail_of,
)
from loglake_dagster_tests.made import DAY, document, log_event, log_file, member

NEXT = DAY + ONE_DAY
BEFORE_MIDNIGHT, MIDNIGHT = "2026-03-02T23:59:59Z", "2026-03-03T00:00:00Z"


def test_events_of_other_days_are_counted_by_day(tmp_path: Path) -> None:
    records = [
        event(0, "2026-03-01T23:59:59Z"),
        event(1, "2026-03-02T00:00:00Z"),
        event(2, BEFORE_MIDNIGHT),
        event(3, MIDNIGHT),
        event(4, MIDNIGHT),
        event(5, "2025-12-31T00:00:00Z"),
    ]
    file = trail_file(trail_of(tmp_path), records)
    lake = made_lake(tmp_path)
    result = materialize_readready(lake, SOURCE, DAY)
    assert ids_of(lake) == ["event-0001", "event-0002"]
    entry = published(lake, DAY)[1][file.as_uri()]
    assert accounted(entry) == (6, 2, 0, 0, 4, 0)
    assert entry.other_days == {"2025-12-31": 1, "2026-03-01": 1, "2026-03-03": 2}
    utc = dt.timezone.utc
    assert entry.first_event_time == dt.datetime(2025, 12, 31, tzinfo=utc)
    assert entry.last_event_time == dt.datetime(2026, 3, 3, tzinfo=utc)
    assert (result.coverage.landed, result.coverage.expected) == (2, 2)


def deliver_around_midnight(folder: Path) -> dict[str, Path]:
    """An object with one event of the day for each of these deliveries, by its minute."""
    minutes = ["2026-03-01T23:59", "2026-03-02T00:00", "2026-03-02T23:59", "2026-03-03T00:00", "2026-03-03T01:59"]
    minutes += ["2026-03-03T02:00", "2026-03-03T23:59", "2026-03-04T00:00", "2026-03-04T05:59"]
    return {
        minute: trail_file(trail_of(folder), [event(n, "2026-03-02T12:00:00Z")], minute)
        for n, minute in enumerate(minutes)
    }


@pytest.mark.parametrize(
    ("lateness", "last"),
    [
        (dt.timedelta(0), "2026-03-02T23:59"),
        (dt.timedelta(minutes=1), "2026-03-03T00:00"),
        (dt.timedelta(hours=2), "2026-03-03T01:59"),
        (dt.timedelta(hours=24), "2026-03-03T23:59"),
        (dt.timedelta(hours=30), "2026-03-04T05:59"),
    ],
    ids=["none", "a minute", "two hours", "a day", "more than a day"],
)
def test_a_run_reads_the_days_folder_and_what_follows_up_to_the_lateness(
    tmp_path: Path, lateness: dt.timedelta, last: str
) -> None:
    delivered = deliver_around_midnight(tmp_path)
    lake = made_lake(tmp_path, quality=Quality(lateness=lateness))
    result = materialize_readready(lake, SOURCE, DAY)
    expected = {file.as_uri() for minute, file in delivered.items() if "2026-03-02" <= minute <= last}
    assert set(published(lake, DAY)[1]) == expected
    assert (result.objects_read, result.coverage.ratio) == (len(expected), 1.0)


def test_an_object_of_the_next_day_that_does_not_say_when_it_came_is_read(tmp_path: Path) -> None:
    named = trail_file(trail_of(tmp_path), [event(1)], "2026-03-03T09:00")
    put(named.with_name("copied-by-hand.json.gz"), member(log_file(event(2))))
    lake = made_lake(tmp_path)
    materialize_readready(lake, SOURCE, DAY)
    assert ids_of(lake) == ["event-0002"]


def test_what_came_too_late_is_written_down_where_it_was_found(tmp_path: Path) -> None:
    late = trail_file(trail_of(tmp_path), [event(1, "2026-03-02T12:00:00Z"), event(2, MIDNIGHT)], "2026-03-03T02:00")
    lake = made_lake(tmp_path)
    assert materialize_readready(lake, SOURCE, DAY).objects_read == 0
    assert materialize_readready(lake, SOURCE, NEXT).objects_read == 1
    assert ids_of(lake) == ["event-0002"]
    assert published(lake, NEXT)[1][late.as_uri()].other_days == {"2026-03-02": 1}


def test_the_copy_that_was_delivered_first_is_the_row_across_midnight(tmp_path: Path) -> None:
    """The next day's folder sorts after the day's, whatever the accounts are called."""
    early = trail_file(trail_of(tmp_path), [event(1, BEFORE_MIDNIGHT)], "2026-03-02T23:59", account=OTHER_ACCOUNT)
    late = trail_file(trail_of(tmp_path), [event(1, BEFORE_MIDNIGHT)], "2026-03-03T00:05")
    lake = made_lake(tmp_path)
    materialize_readready(lake, SOURCE, DAY)
    assert [row["source_object"] for row in rows_of(lake)] == [early.as_uri()]
    assert accounted(published(lake, DAY)[1][late.as_uri()]) == (1, 0, 1, 0, 0, 0)


def test_log_events_are_of_the_day_of_their_own_milliseconds(tmp_path: Path) -> None:
    midnight = int(dt.datetime(2026, 3, 3, tzinfo=dt.timezone.utc).timestamp() * 1000)
    moments = [midnight - 86_400_001, midnight - 86_400_000, midnight - 1, midnight]
    documents = [document(*(log_event(id=f"id{n}", timestamp=moment) for n, moment in enumerate(moments)))]
    firehose_file(firehose_of(tmp_path), documents, "2026-03-02T23:59:00")
    late = firehose_file(
        firehose_of(tmp_path), [document(log_event(id="late", timestamp=midnight - 1))], "2026-03-03T01:59:59", 1
    )
    firehose_file(
        firehose_of(tmp_path), [document(log_event(id="x", timestamp=midnight - 1))], "2026-03-03T02:00:00", 2
    )
    lake = made_lake(tmp_path)
    materialize_readready(lake, cloudwatch.SOURCE, DAY)
    rows = rows_of(lake, cloudwatch.TABLE.name)
    assert {row["eventid"] for row in rows} == {"id1", "id2", "late"}
    assert {row["eventday"] for row in rows} == {DAY}
    assert late.as_uri() in {row["source_object"] for row in rows}


def test_an_object_that_firehose_began_before_midnight_is_read(tmp_path: Path) -> None:
    """It is named after its oldest record and filled for a while; half an hour before midnight is far enough."""
    for nonce, (at, event_id) in enumerate(
        [("23:29:59", "too early"), ("23:30:00", "half past"), ("23:59:59", "last")]
    ):
        firehose_file(firehose_of(tmp_path), [document(log_event(id=event_id))], f"2026-03-01T{at}", nonce)
    lake = made_lake(tmp_path)
    result = materialize_readready(lake, cloudwatch.SOURCE, DAY)
    assert [row["eventid"] for row in rows_of(lake, cloudwatch.TABLE.name)] == ["half past", "last"]
    assert (result.objects_read, result.coverage.ratio) == (2, 1.0)


# -- several feeds --------------------------------------------------------------------------------------


def two_feeds(folder: Path) -> list[Feed]:
    return [
        Feed("organisation", "cloudtrail", str(folder / "organisation")),
        Feed("account", "cloudtrail", str(folder / "account")),
    ]


def run(folder: Path, feeds: list[Feed], name: str = "lake") -> tuple[ReadreadyResult, dict[str, object]]:
    lake = made_lake(folder, name, feeds=feeds)
    result = materialize_readready(lake, SOURCE, DAY)
    return result, {row["eventid"]: row["source_object"] for row in rows_of(lake)}


def test_feeds_of_one_source_are_one_table(tmp_path: Path) -> None:
    own = trail_file(tmp_path / "organisation", events(5), "2026-03-02T02:05")
    other = trail_file(tmp_path / "account", events(5, 3), "2026-03-02T02:00")
    result, owners = run(tmp_path, two_feeds(tmp_path))
    assert owners == {f"event-{n:04d}": (own if n < 3 else other).as_uri() for n in range(8)}
    assert (result.manifest.totals.landed, result.manifest.totals.duplicate) == (8, 2)
    again, other_owners = run(tmp_path, two_feeds(tmp_path)[::-1], "other")
    assert again.manifest.content_hash == result.manifest.content_hash
    assert other_owners == owners


@pytest.mark.parametrize("part_bytes", [1, 1 << 20])
def test_the_objects_of_all_feeds_are_recounted_however_they_are_cut(tmp_path: Path, part_bytes: int) -> None:
    for number in range(3):
        trail_file(tmp_path / "organisation", events(5, 10 * number), f"2026-03-02T02:{number:02}")
        trail_file(tmp_path / "account", events(5, 10 * number + 5), f"2026-03-02T02:{number:02}")
    odd = trail_file(tmp_path / "account", events(5, 30), "2026-03-02T03:00")
    odd.write_bytes(gzip.compress(gzip.decompress(odd.read_bytes())[:-1] + b',"records":[]}'))
    lake = made_lake(tmp_path, feeds=two_feeds(tmp_path), engine=replace(ONE_PROCESS, part_bytes=part_bytes))
    result = materialize_readready(lake, SOURCE, DAY)
    assert (result.manifest.rows, result.audit.recounted, result.audit.not_recounted) == (35, 6, 1)


def test_an_object_that_two_feeds_see_is_read_once(tmp_path: Path) -> None:
    trail_file(tmp_path / "organisation", events(5))
    feeds = [Feed(name, "cloudtrail", str(tmp_path / "organisation")) for name in ("first", "second")]
    lake = made_lake(tmp_path, feeds=feeds)
    result = materialize_readready(lake, SOURCE, DAY)
    assert (result.objects_read, result.manifest.totals.found, result.manifest.totals.duplicate) == (1, 5, 0)
    assert [entry.feed for entry in published(lake, DAY)[1].values()] == ["first"]


def test_a_feed_that_was_taken_out_does_not_take_its_rows_along_unasked(tmp_path: Path) -> None:
    """Who wants them gone says so: a control that denies their keys."""
    trail_file(tmp_path / "organisation", events(5))
    taken = trail_file(tmp_path / "account", events(5, 3))
    before, _owners = run(tmp_path, two_feeds(tmp_path))
    with pytest.raises(AuditError) as caught:
        run(tmp_path, two_feeds(tmp_path)[:1])
    assert str(caught.value) == (
        f"from_cloudtrail_readready {DAY}: must be built anew (settings, transform or objects changed), but 1 objects "
        f"with 5 of its rows are no longer in the source, first {taken.as_uri()}; the published version stays. Put the "
        "objects back, or leave the day as it is"
    )
    assert len(ids_of(made_lake(tmp_path))) == before.manifest.rows == 8
