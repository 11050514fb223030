"""Which tables a command brings up to date: those of fed sources, and what sessions are joined from."""

import datetime as dt
import os
from pathlib import Path

import pytest

from loglake_dagster.assets.launch import DayRun, fed_tables, plan_runs
from loglake_dagster.lake.settings import Feed
from loglake_dagster.sources import SOURCES
from loglake_dagster_tests.assets.sample import RAW, READREADY
from loglake_dagster_tests.engines.deliveries import put
from loglake_dagster_tests.engines.made_lake import made_lake

DAY, NEXT_DAY = dt.date(2026, 3, 2), dt.date(2026, 3, 3)
JOINED = ("from_cloudtrail_raw", "from_cloudwatch_raw", "from_cloudtrail_readready", "from_cloudwatch_readready")


@pytest.fixture
def lake(tmp_path):
    return made_lake(tmp_path)


@pytest.fixture
def fed_lake(tmp_path):
    """A lake with a feed of every source."""
    return made_lake(tmp_path, feeds=[Feed(one.name, one.name, str(tmp_path / one.name)) for one in SOURCES])


def test_a_source_without_a_feed_is_not_run(lake):
    assert plan_runs(lake, DAY, DAY, (), DAY) == [DayRun(DAY, (*JOINED, "sessions"))]


def test_every_source_with_a_feed_is_run_on_one_day_and_on_many(fed_lake):
    assert fed_tables(fed_lake.settings) == (*RAW, *READREADY)
    assert plan_runs(fed_lake, DAY, DAY, (), DAY) == [DayRun(DAY, (*RAW, *READREADY, "sessions"))]
    parts = [DayRun(DAY, (*RAW, *READREADY)), DayRun(NEXT_DAY, (*RAW, *READREADY))]
    sessions = [DayRun(DAY, ("sessions",)), DayRun(NEXT_DAY, ("sessions",))]
    assert plan_runs(fed_lake, DAY, NEXT_DAY, (), NEXT_DAY) == parts + sessions


@pytest.mark.parametrize("days", [2, 3])
def test_uploads_of_the_next_day_are_brought_up_to_date_before_the_sessions(fed_lake, days):
    path = put(Path(fed_lake.settings.feeds[-1].uri) / "ana-0a1b2c3d4e5f60718.log", b"$ ls")
    at = dt.datetime(2026, 3, days, 0, 5, tzinfo=dt.timezone.utc).timestamp()
    os.utime(path, (at, at))
    after = ("from_cloudwatch_raw", "from_cloudwatch_readready", "from_ssm_s3_raw", "from_ssm_s3_readready")
    first = [DayRun(NEXT_DAY, after, "keystrokes that go on after midnight")] if days == 3 else []
    assert plan_runs(fed_lake, DAY, DAY, ("sessions",), NEXT_DAY) == [*first, DayRun(DAY, ("sessions",))]


def test_what_sessions_are_joined_from_is_run_even_without_a_feed(tmp_path):
    alone = made_lake(tmp_path, feeds=[Feed("cloudtrail", "cloudtrail", str(tmp_path / "trail"))])
    assert fed_tables(alone.settings) == JOINED


def test_a_named_table_is_run_with_a_feed_or_without(lake):
    assert plan_runs(lake, DAY, DAY, (READREADY[-1],), DAY) == [DayRun(DAY, (READREADY[-1],))]
