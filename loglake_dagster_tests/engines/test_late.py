"""Late events: found by one day's run, read by the run of the day that they are of."""

import datetime as dt
from dataclasses import replace

import pytest

from loglake_dagster.catalog import LateDay
from loglake_dagster.engines.late import LateEvents, settles, stale_sessions, waiting_days
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.sessions import materialize_sessions, read_sessions
from loglake_dagster.engines.status import read_status
from loglake_dagster.errors import AuditError
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.partition import ONE_DAY, day_start
from loglake_dagster.lake.settings import Feed, Quality
from loglake_dagster.sources import cloudtrail, cloudwatch
from loglake_dagster.sources.cloudtrail import SOURCE
from loglake_dagster_tests.engines.deliveries import OTHER_ACCOUNT, event, events, firehose_file, trail_file
from loglake_dagster_tests.engines.made_lake import (
    WatchedLake,
    firehose_of,
    ids_of,
    interrupted,
    made_lake,
    published,
    trail_of,
)
from loglake_dagster_tests.made import DAY, document, log_event, log_file, member
from loglake_dagster_tests.sessions.made_sessions import land, start, streamed, utc

NOON = "2026-03-02T12:00:00Z"
NEXT, LATER = DAY + ONE_DAY, DAY + 3 * ONE_DAY


def deliver_late(folder, records, on=LATER, **key):
    return trail_file(trail_of(folder), records, f"{on}T12:00", **key)


# -- from one day to the other --------------------------------------------------------------------------


def test_late_events_reach_their_day_and_only_their_objects_are_read(tmp_path):
    trail_file(trail_of(tmp_path), events(3), nonce="A")
    late = deliver_late(tmp_path, [event(7, NOON), event(8, f"{LATER}T11:00:00Z"), event(9, NOON)])
    deliver_late(tmp_path, [event(10, f"{LATER}T11:00:00Z")], nonce="B")
    lake = WatchedLake.of(made_lake(tmp_path, quality=Quality(recount_objects=0)))
    materialize_readready(lake, SOURCE, DAY)
    result = materialize_readready(lake, SOURCE, LATER)
    assert (result.late.noted, result.late.beyond) == ({DAY: 2}, {})
    assert waiting_days(lake, SOURCE) == [LateDay(DAY, 1, 1)]
    lake.reads.clear()
    again = materialize_readready(lake, SOURCE, DAY)
    assert set(lake.reads) == {late.name}
    assert (again.objects_read, again.coverage.landed, again.coverage.expected) == (1, 5, 5)
    assert ids_of(lake) == ["event-0000", "event-0001", "event-0002", *(f"event-{n:04}" for n in (7, 8, 9, 10))]
    assert waiting_days(lake, SOURCE) == []
    entry = published(lake, DAY)[1][late.as_uri()]
    assert (entry.landed, entry.other_day, entry.other_days) == (2, 1, {str(LATER): 1})


@pytest.mark.parametrize("order", [(DAY, LATER, DAY), (LATER, DAY, DAY), (LATER, DAY)], ids=lambda days: f"{len(days)}")
def test_the_order_of_the_runs_does_not_change_the_day(tmp_path, order):
    trail_file(trail_of(tmp_path), events(3), nonce="A")
    deliver_late(tmp_path, [event(7, NOON), event(1)])
    lake = made_lake(tmp_path)
    results = [materialize_readready(lake, SOURCE, day) for day in order]
    assert results[-1].manifest.content_hash == materialize_readready(lake, SOURCE, DAY).manifest.content_hash
    assert ids_of(lake) == ["event-0000", "event-0001", "event-0002", "event-0007"]
    assert published(lake, DAY)[0].totals.duplicate == 1
    assert waiting_days(lake, SOURCE) == []


def test_a_day_is_asked_for_once_more_for_each_later_object(tmp_path):
    trail_file(trail_of(tmp_path), events(1))
    lake = made_lake(tmp_path)
    materialize_readready(lake, SOURCE, DAY)
    for n, day in enumerate((LATER, LATER + ONE_DAY), start=1):
        deliver_late(tmp_path, [event(n, NOON)], on=day)
        materialize_readready(lake, SOURCE, day)
        assert waiting_days(lake, SOURCE) == [LateDay(DAY, n, 1)]
        materialize_readready(lake, SOURCE, DAY)
        assert waiting_days(lake, SOURCE) == []
    assert len(ids_of(lake)) == 3
    history = len(lake.catalog.history(SOURCE.readready_name, DAY))
    assert not materialize_readready(lake, SOURCE, DAY).is_new
    assert len(lake.catalog.history(SOURCE.readready_name, DAY)) == history == 3


@pytest.mark.parametrize(("age", "is_late"), [(35, True), (36, False)])
def test_events_are_waited_for_up_to_the_horizon(tmp_path, age, is_late):
    found_by = DAY + age * ONE_DAY
    deliver_late(tmp_path, [event(1, NOON)], on=found_by)
    lake = made_lake(tmp_path)
    result = materialize_readready(lake, SOURCE, found_by)
    found = (result.late.noted, result.late.beyond)
    assert found == (({DAY: 1}, {}) if is_late else ({}, {DAY: 1}))
    assert [late.day for late in waiting_days(lake, SOURCE)] == ([DAY] if is_late else [])
    assert result.manifest.totals.other_day == 1


def test_events_inside_another_days_window_are_not_late(tmp_path):
    """An object just after midnight holds events of both days: both read it anyway."""
    trail_file(trail_of(tmp_path), [event(1, NOON), event(2, f"{NEXT}T00:01:00Z")], f"{NEXT}T00:05")
    midnight = int(day_start(NEXT).timestamp() * 1000)
    before = firehose_file(
        firehose_of(tmp_path), [document(log_event(id="a", timestamp=midnight + 1))], f"{DAY}T23:50:00"
    )
    lake = made_lake(tmp_path)
    assert materialize_readready(lake, SOURCE, NEXT).late == LateEvents([], {}, {})
    assert materialize_readready(lake, cloudwatch.SOURCE, DAY).late == LateEvents([], {}, {})
    materialize_readready(lake, cloudwatch.SOURCE, NEXT)
    assert set(published(lake, NEXT, cloudwatch.TABLE.name)[1]) == {before.as_uri()}


def test_a_late_object_of_a_denied_account_is_not_read_and_not_asked_for_again(tmp_path):
    deliver_late(tmp_path, [event(1, NOON)], account=OTHER_ACCOUNT)
    lake = made_lake(tmp_path)
    materialize_readready(lake, SOURCE, LATER)
    denied = replace(lake, settings=replace(lake.settings, controls=Controls(accounts=Rule(deny=(OTHER_ACCOUNT,)))))
    assert [late.day for late in waiting_days(denied, SOURCE)] == [DAY]
    assert materialize_readready(denied, SOURCE, DAY).objects_read == 0
    assert waiting_days(denied, SOURCE) == []
    assert ids_of(denied) == []


def test_a_late_object_that_is_gone_shuts_the_gate_and_stays_asked_for(tmp_path):
    trail_file(trail_of(tmp_path), events(2))
    late = deliver_late(tmp_path, [event(n, NOON) for n in range(10, 20)])
    lake = made_lake(tmp_path)
    materialize_readready(lake, SOURCE, DAY)
    materialize_readready(lake, SOURCE, LATER)
    late.unlink()
    result = materialize_readready(lake, SOURCE, DAY)
    assert not result.is_published
    assert [one.uri for one in result.coverage.missing] == [late.as_uri()]
    assert [one.day for one in waiting_days(lake, SOURCE)] == [DAY]
    assert "event-0001" in ids_of(lake)


def test_days_before_the_first_one_are_not_asked_for(tmp_path):
    deliver_late(tmp_path, [event(1, NOON)])
    lake = made_lake(tmp_path)
    later_start = replace(lake, settings=replace(lake.settings, start=NEXT))
    materialize_readready(later_start, SOURCE, LATER)
    assert waiting_days(later_start, SOURCE) == []
    assert [late.day for late in waiting_days(lake, SOURCE)] == [DAY]


def test_events_of_tomorrow_wait_until_it_has_come(tmp_path):
    deliver_late(tmp_path, [event(1, f"{LATER + 2 * ONE_DAY}T12:00:00Z")])
    lake = made_lake(tmp_path)
    today = replace(lake, now=lambda: day_start(LATER) + ONE_DAY)
    materialize_readready(today, SOURCE, LATER)
    assert waiting_days(today, SOURCE) == []
    assert [late.day for late in waiting_days(lake, SOURCE)] == [LATER + 2 * ONE_DAY]


# -- how late, and until when ---------------------------------------------------------------------------


def test_the_days_events_are_counted_by_how_late_they_came(tmp_path):
    moments = ["11:58:00", "11:50:00", "11:10:00", "10:30:00", "03:00:00"]
    trail_file(trail_of(tmp_path), [event(n, f"{DAY}T{moment}Z") for n, moment in enumerate(moments)], f"{DAY}T12:00")
    deliver_late(tmp_path, [event(7, NOON)])
    deliver_late(tmp_path, [event(8, NOON)], on=DAY + 9 * ONE_DAY)
    lake = made_lake(tmp_path)
    for day in (LATER, DAY + 9 * ONE_DAY):
        materialize_readready(lake, SOURCE, day)
    assert materialize_readready(lake, SOURCE, DAY).lateness == {
        "5 min": 1, "15 min": 1, "1 h": 1, "2 h": 1, "1 day": 1, "7 days": 1, "later": 1
    }  # fmt: skip


def test_a_day_is_settled_when_its_horizon_was_run_and_nothing_waits(tmp_path):
    trail_file(trail_of(tmp_path), events(2))
    lake = made_lake(tmp_path, quality=Quality(horizon=dt.timedelta(days=3)))
    materialize_readready(lake, SOURCE, DAY)
    end = dt.datetime(2026, 3, 6, tzinfo=dt.timezone.utc)
    assert settles(lake, DAY) == end

    def status(now=end):
        one = next(
            one for one in read_status(replace(lake, now=lambda: now), DAY) if one.table == SOURCE.readready_name
        )
        assert one.settles == end
        return one.is_settled, one.is_past_horizon, one.unrun, one.late

    assert status() == (False, True, 3, 0)
    deliver_late(tmp_path, [event(7, NOON)])
    for n in (1, 2, 3):
        materialize_readready(lake, SOURCE, DAY + n * ONE_DAY)
    assert status() == (False, True, 0, 1)
    materialize_readready(lake, SOURCE, DAY)
    assert status(end - dt.timedelta(seconds=1)) == (False, False, 0, 0)
    assert status() == (True, True, 0, 0)


# -- nothing is lost on the way ------------------------------------------------------------------------------


def landed_late(folder, **given):
    """A lake whose day has a row from a late object; the object."""
    trail_file(trail_of(folder), events(8))
    late = deliver_late(folder, [event(20, NOON)])
    lake = made_lake(folder, **given)
    for day in (DAY, LATER, DAY):
        materialize_readready(lake, SOURCE, day)
    assert "event-0020" in ids_of(lake)
    return lake, late


def renamed(lake):
    """The same lake, its CloudTrail feed under another name."""
    feeds = tuple(replace(f, name="trail-b") if f.source == "cloudtrail" else f for f in lake.settings.feeds)
    return replace(lake, settings=replace(lake.settings, feeds=feeds))


def test_a_feed_that_is_renamed_before_the_day_is_run_loses_nothing(tmp_path):
    trail_file(trail_of(tmp_path), events(2))
    deliver_late(tmp_path, [event(20, NOON)])
    lake = made_lake(tmp_path)
    materialize_readready(lake, SOURCE, LATER)
    materialize_readready(renamed(lake), SOURCE, DAY)
    assert "event-0020" in ids_of(lake)
    assert waiting_days(lake, SOURCE) == []


def test_a_feed_that_is_renamed_afterwards_loses_nothing(tmp_path):
    lake, _late = landed_late(tmp_path)
    result = materialize_readready(renamed(lake), SOURCE, DAY)
    assert (result.is_new, result.is_published) == (True, True)
    assert "event-0020" in ids_of(lake)


def test_a_late_object_of_no_feed_stays_waited_for(tmp_path):
    deliver_late(tmp_path, [event(20, NOON)])
    lake = made_lake(tmp_path)
    materialize_readready(lake, SOURCE, LATER)
    (tmp_path / "elsewhere").mkdir()
    moved = replace(lake.settings, feeds=(Feed("cloudtrail", "cloudtrail", str(tmp_path / "elsewhere")),))
    materialize_readready(replace(lake, settings=moved), SOURCE, DAY)
    assert [one.day for one in waiting_days(lake, SOURCE)] == [DAY]


def test_a_rebuild_that_would_lose_a_late_objects_rows_is_refused(tmp_path):
    lake, late = landed_late(tmp_path)
    late.unlink()
    stricter = replace(lake, settings=replace(lake.settings, controls=Controls(event_names=Rule(deny=("Nothing",)))))
    with pytest.raises(
        AuditError, match=f"1 objects with 1 of its rows are no longer in the source, first {late.as_uri()}"
    ):
        materialize_readready(stricter, SOURCE, DAY)
    assert "event-0020" in ids_of(lake)


def test_rows_from_outside_a_window_that_became_smaller_stay(tmp_path):
    trail_file(trail_of(tmp_path), events(8))
    trail_file(trail_of(tmp_path), [event(20, NOON)], f"{NEXT}T05:00")
    lake = made_lake(tmp_path, quality=Quality(lateness=dt.timedelta(hours=6)))
    materialize_readready(lake, SOURCE, DAY)
    rule = Controls(event_names=Rule(deny=("Nothing",)))
    smaller = replace(lake, settings=replace(lake.settings, quality=Quality(), controls=rule))
    assert materialize_readready(smaller, SOURCE, DAY).is_new
    assert "event-0020" in ids_of(lake)


def test_what_is_replaced_while_its_day_is_run_stays_waited_for(tmp_path):
    trail_file(trail_of(tmp_path), events(2))
    late = deliver_late(tmp_path, [event(20, NOON)])
    lake = made_lake(tmp_path)
    materialize_readready(lake, SOURCE, LATER)

    def replaced(_job, _written):
        late.write_bytes(member(log_file(event(20, NOON), event(21, NOON))))
        materialize_readready(lake, SOURCE, LATER)

    materialize_readready(interrupted(lake, replaced), SOURCE, DAY)
    assert [one.day for one in waiting_days(lake, SOURCE)] == [DAY]
    materialize_readready(lake, SOURCE, DAY)
    assert {"event-0020", "event-0021"} <= set(ids_of(lake))
    assert waiting_days(lake, SOURCE) == []


def test_of_a_late_object_that_is_gone_just_what_it_held_is_missing(tmp_path):
    trail_file(trail_of(tmp_path), events(20))
    late = deliver_late(tmp_path, [event(20, NOON), *(event(n, f"{LATER}T11:00:00Z") for n in range(50, 250))])
    lake = made_lake(tmp_path)
    materialize_readready(lake, SOURCE, LATER)
    late.unlink()
    result = materialize_readready(lake, SOURCE, DAY)
    assert (result.coverage.landed, result.coverage.expected, result.is_published) == (20, 21, True)
    assert [(one.uri, one.estimated, one.is_estimate) for one in result.coverage.missing] == [(late.as_uri(), 1, False)]


def test_sessions_that_an_older_version_published_are_joined_again(tmp_path):
    lake = at(made_lake(tmp_path), "2026-03-03T02:30:00")
    land(lake, tmp_path, [start("ana-1")], [])
    materialize_sessions(lake, DAY)
    version = lake.catalog.published("sessions", DAY)
    lake.catalog.publish(replace(version, version="older", facts={"statuses": {"missing": 1}}), version.version)
    assert stale(lake) == [DAY]


# -- sessions whose inputs have changed ----------------------------------------------------------------------


def at(lake, text):
    return replace(lake, now=lambda: utc(text))


def stale(lake):
    return [version.day for version in stale_sessions(lake)]


def test_sessions_are_stale_when_keystrokes_came_after_midnight(tmp_path):
    lake = at(made_lake(tmp_path), "2026-03-03T02:30:00")
    land(lake, tmp_path, [start("ana-1", "2026-03-02T23:50:00")], [])
    materialize_sessions(lake, DAY)
    assert stale(lake) == []
    firehose_file(firehose_of(tmp_path), [streamed("ana-1", "2026-03-03T03:00:00", ["$ late"])], "2026-03-03T03:01:00")
    materialize_readready(lake, cloudwatch.SOURCE, NEXT)
    assert stale(lake) == [DAY]
    materialize_sessions(lake, DAY)
    assert stale(lake) == []
    (row,) = read_sessions(lake, DAY)
    assert (row["keystroke_status"], row["sessiondata"]) == ("captured", "$ late")


def test_sessions_are_stale_when_a_pending_one_is_due(tmp_path):
    early = at(made_lake(tmp_path), "2026-03-02T13:00:00")
    land(early, tmp_path, [start("ana-1", "2026-03-02T12:30:00")], [])
    materialize_sessions(early, DAY)
    assert [row["keystroke_status"] for row in read_sessions(early, DAY)] == ["pending"]
    assert stale(at(early, "2026-03-02T14:29:59")) == []
    due = at(early, "2026-03-02T14:30:00")
    assert stale(due) == [DAY]
    materialize_sessions(due, DAY)
    assert [row["keystroke_status"] for row in read_sessions(due, DAY)] == ["missing"]
    assert stale(due) == []


@pytest.mark.parametrize(
    ("source", "day", "is_stale"),
    [
        (cloudtrail.SOURCE, DAY - 2 * ONE_DAY, False),
        (cloudtrail.SOURCE, DAY - ONE_DAY, True),
        (cloudtrail.SOURCE, DAY, True),
        (cloudtrail.SOURCE, NEXT, True),
        (cloudtrail.SOURCE, NEXT + ONE_DAY, False),
        (cloudwatch.SOURCE, DAY - ONE_DAY, False),
        (cloudwatch.SOURCE, DAY, True),
        (cloudwatch.SOURCE, NEXT, True),
    ],
)
def test_sessions_are_stale_when_a_version_that_they_read_has_changed(tmp_path, source, day, is_stale):
    lake = at(made_lake(tmp_path), "2026-03-05T02:30:00")
    land(lake, tmp_path, [start("ana-1")], [])
    materialize_sessions(lake, DAY)
    trail_file(trail_of(tmp_path), [event(1, f"{day}T12:00:00Z")], f"{day}T12:05", nonce="Z")
    firehose_file(firehose_of(tmp_path), [streamed("bob-1", f"{day}T12:00:00", ["$ ls"])], f"{day}T12:05:00", 9)
    materialize_readready(lake, source, day)
    assert stale(lake) == ([DAY] if is_stale else [])
