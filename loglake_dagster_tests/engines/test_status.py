"""What is published, as the status tells it."""

from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.status import read_status
from loglake_dagster.lake.settings import Feed
from loglake_dagster.sources import SOURCES, cloudtrail
from loglake_dagster_tests.engines.deliveries import event, trail_file
from loglake_dagster_tests.engines.made_lake import made_lake, trail_of
from loglake_dagster_tests.made import DAY


def test_empty_days_of_a_source_without_a_feed_are_not_shown(tmp_path):
    trail_file(trail_of(tmp_path), [event(1)])
    lake = made_lake(tmp_path, feeds=[Feed("trail", "cloudtrail", str(trail_of(tmp_path)))])
    for source in SOURCES:
        assert materialize_readready(lake, source, DAY).is_published
    assert [(one.table, one.rows) for one in read_status(lake)] == [(cloudtrail.TABLE.name, 1)]
    assert [one.table for one in read_status(lake, DAY)] == [cloudtrail.TABLE.name]


def test_what_landed_before_its_feed_was_taken_away_is_shown(tmp_path):
    trail_file(trail_of(tmp_path), [event(1)])
    materialize_readready(made_lake(tmp_path), cloudtrail.SOURCE, DAY)
    lake = made_lake(tmp_path, feeds=[Feed("other", "cloudwatch", str(tmp_path / "firehose"))])
    assert [(one.table, one.rows) for one in read_status(lake)] == [(cloudtrail.TABLE.name, 1)]
