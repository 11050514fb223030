"""Event times: one canonical text, and the forms that real records use besides it (docs/formats.md 1.5, 1.6)."""

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.times import (
    MAX_MS,
    MIN_MS,
    canonical,
    is_storable_ms,
    not_canonical,
    parse_canonical,
    to_canonical,
)

UTC = dt.timezone.utc
MOMENTS = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2261, 12, 31, 23, 59, 59)).map(
    lambda moment: moment.replace(microsecond=0)
)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T23:58:41Z", "2026-03-01T23:58:41Z"),
        ("2026-03-01T23:58:41z", "2026-03-01T23:58:41Z"),
        ("2026-03-01t23:58:41Z", "2026-03-01T23:58:41Z"),
        ("2026-03-01 23:58:41Z", "2026-03-01T23:58:41Z"),
        ("2026-03-01T23:58:41.9Z", "2026-03-01T23:58:41Z"),
        ("2026-03-01T23:58:41.123456789Z", "2026-03-01T23:58:41Z"),
        ("2026-03-02T00:58:41+01:00", "2026-03-01T23:58:41Z"),
        ("2026-03-01T18:28:41-0530", "2026-03-01T23:58:41Z"),
        ("20131102T010628Z", "2013-11-02T01:06:28Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("2261-12-31T23:59:59Z", "2261-12-31T23:59:59Z"),
        ("2262-01-01T00:59:59+01:00", "2261-12-31T23:59:59Z"),
        ("1969-12-31T23:59:59Z", None),
        ("2262-01-01T00:00:00Z", None),
        ("0000-00-00T00:00:00Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-03-01T24:00:01Z", None),
        ("2026-03-01T23:58:60Z", None),
        ("2026-03-01T23:58:41", None),
        ("2026-03-01T23:58Z", None),
        ("2026-03-01", None),
        ("20131102T010628", None),
        ("1772413323000", None),
        ("\uff12\uff10\uff12\uff16-03-01T23:58:41Z", None),
        ("\uff12\uff10\uff12\uff160301T235841Z", None),
        (" 2026-03-01T23:58:41Z", None),
        ("2026-03-01T23:58:41Z\n", None),
        ("", None),
    ],
)
def test_a_time_has_one_canonical_text_or_is_no_event_time(text, expected):
    assert to_canonical(text) == expected


@given(MOMENTS, OFFSETS)
def test_every_offset_of_a_moment_has_the_same_canonical_text(moment, offset):
    here = moment.replace(tzinfo=UTC).astimezone(offset)
    assert to_canonical(here.isoformat()) == canonical(here) == canonical(moment) == moment.isoformat() + "Z"


@given(st.lists(MOMENTS, min_size=1))
def test_canonical_texts_parse_to_their_moments(moments):
    texts = [canonical(moment) for moment in moments]
    assert parse_canonical(pa.array(texts)).to_pylist() == moments
    assert parse_canonical(pa.array(texts)).type == pa.timestamp("ms")


@given(st.text(max_size=30) | MOMENTS.map(canonical))
def test_no_text_raises_and_what_comes_out_is_canonical(text):
    found = to_canonical(text)
    assert found is None or to_canonical(found) == found


@given(st.lists(st.none() | st.text(max_size=4) | MOMENTS.map(canonical), max_size=8))
def test_texts_below_2260_that_are_not_canonical_are_all_found_and_no_others(texts):
    texts = [text for text in texts if text is None or text < "2260"]
    expected = [n for n, text in enumerate(texts) if text is None or to_canonical(text) != text]
    assert not_canonical(texts) == expected


def test_a_day_that_is_in_no_calendar_is_found_among_sound_ones():
    assert not_canonical(["2026-03-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-03-01T25:00:00Z"]) == [1, 2]


@pytest.mark.parametrize(
    ("value", "is_storable"), [(MIN_MS, True), (MIN_MS - 1, False), (MAX_MS, True), (MAX_MS + 1, False), (2**70, False)]
)
def test_the_bounds_are_the_first_of_1970_and_the_last_of_2261(value, is_storable):
    assert is_storable_ms(value) is is_storable


def test_the_last_storable_moment_is_the_last_of_2261():
    last = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=MAX_MS)
    assert last == dt.datetime(2261, 12, 31, 23, 59, 59, 999000)
