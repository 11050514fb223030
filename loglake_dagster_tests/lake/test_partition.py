"""Event days, delivery windows, version names."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.errors import LogLakeError
from loglake_dagster.lake.partition import (
    ONE_DAY,
    UTC,
    DeliveryWindow,
    day_start,
    parse_day,
    version_folder,
    version_name,
)

DAY = dt.date(2026, 2, 28)
NEXT = dt.date(2026, 3, 1)


@given(st.dates())
def test_a_day_reads_back_as_it_is_written(day):
    assert parse_day(day.isoformat()) == day


@pytest.mark.parametrize(
    "text", ["", "2026-3-1", "20260301", "2026-02-30", "2026-03-01T00", "2026/03/01", "20260-3-01"]
)
def test_anything_but_a_calendar_day_is_refused_with_its_value(text):
    with pytest.raises(LogLakeError) as caught:
        parse_day(text)
    assert str(caught.value) == f"day: expected YYYY-MM-DD (UTC), got {text!r}"
    assert caught.value.facts == {"value": text}


def test_a_day_written_as_an_iso_week_is_no_day():
    """`date.fromisoformat` takes `2026-W09-7`, ten characters long, for 1 March."""
    with pytest.raises(LogLakeError, match=r"^day: expected YYYY-MM-DD \(UTC\), got '2026-W09-7'$"):
        parse_day("2026-W09-7")


def test_a_day_starts_at_midnight_utc():
    assert day_start(DAY) == dt.datetime(2026, 2, 28, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("hours", "folders"),
    [(0, 1), (0.5, 2), (2, 2), (24, 2), (25, 3), (720, 31)],
)
def test_as_many_next_folders_are_listed_as_the_lateness_reaches_into(hours, folders):
    days = DeliveryWindow(DAY, dt.timedelta(hours=hours)).delivery_days
    assert days == tuple(DAY + dt.timedelta(days=n) for n in range(folders))


@pytest.mark.parametrize(
    ("delivery_day", "delivery_time", "is_held"),
    [
        (DAY, None, True),
        (DAY, dt.datetime(2026, 2, 28, 23, 59, tzinfo=UTC), True),
        (DAY, dt.datetime(2026, 3, 9, tzinfo=UTC), True),
        (NEXT, dt.datetime(2026, 3, 1, 0, 5, tzinfo=UTC), True),
        (NEXT, dt.datetime(2026, 3, 1, 1, 59, tzinfo=UTC), True),
        (NEXT, dt.datetime(2026, 3, 1, 2, 0, tzinfo=UTC), False),
        (NEXT, None, True),
        (DAY - dt.timedelta(days=1), None, False),
        (NEXT + dt.timedelta(days=1), None, False),
    ],
)
def test_a_window_of_two_hours_holds_the_day_and_the_first_two_hours_after_it(delivery_day, delivery_time, is_held):
    window = DeliveryWindow(DAY, dt.timedelta(hours=2))
    assert window.holds(delivery_day, delivery_time) is is_held


@pytest.mark.parametrize(
    ("delivery_day", "delivery_time", "is_held"),
    [
        (DAY - dt.timedelta(days=1), dt.datetime(2026, 2, 27, 23, 30, tzinfo=UTC), True),
        (DAY - dt.timedelta(days=1), dt.datetime(2026, 2, 27, 23, 29, 59, tzinfo=UTC), False),
        (DAY - dt.timedelta(days=1), None, True),
        (DAY - dt.timedelta(days=2), dt.datetime(2026, 2, 27, 23, 45, tzinfo=UTC), False),
        (DAY, dt.datetime(2026, 2, 27, 12, 0, tzinfo=UTC), True),
        (NEXT, dt.datetime(2026, 3, 1, 1, 59, tzinfo=UTC), True),
    ],
)
def test_a_window_with_a_lead_holds_the_end_of_the_day_before(delivery_day, delivery_time, is_held):
    """Firehose names an object after its oldest record: one named 23:50 may hold events of the next day."""
    window = DeliveryWindow(DAY, dt.timedelta(hours=2), dt.timedelta(minutes=30))
    assert window.delivery_days == (DAY - dt.timedelta(days=1), DAY, NEXT)
    assert window.holds(delivery_day, delivery_time) is is_held


def test_a_version_folder_is_named_after_table_day_and_version():
    assert version_folder("sessions", DAY, "x1") == "sessions/eventday=2026-02-28/v=x1"


def test_a_version_name_is_its_utc_time_and_its_nonce():
    east = dt.timezone(dt.timedelta(hours=9))
    assert version_name(dt.datetime(2026, 3, 1, 8, 0, 0, 1500, east), "a1b2") == "20260228T230000001500Z-a1b2"


@given(st.lists(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(9999, 1, 1), timezones=st.just(UTC)), min_size=2))
def test_version_names_sort_as_their_times(times):
    assert sorted(version_name(t, "n") for t in times) == [version_name(t, "n") for t in sorted(times)]


def test_a_source_that_names_objects_after_their_oldest_event_is_read_from_before_midnight() -> None:
    window = DeliveryWindow(DAY, dt.timedelta(hours=2), dt.timedelta(minutes=30))
    before, midnight = DAY - ONE_DAY, day_start(DAY)
    assert window.delivery_days == (before, DAY, DAY + ONE_DAY)
    assert window.holds(before, midnight - dt.timedelta(minutes=30))
    assert not window.holds(before, midnight - dt.timedelta(minutes=31))
    assert window.holds(before, None)
    assert not DeliveryWindow(DAY, dt.timedelta(hours=2)).holds(before, midnight - dt.timedelta(minutes=1))
