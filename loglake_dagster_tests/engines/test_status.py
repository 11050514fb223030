"""What is published, as the status tells it."""

import io

from rich.console import Console

from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.status import read_status
from loglake_dagster.lake.settings import Feed, Quality
from loglake_dagster.sources import SOURCES, cloudtrail
from loglake_dagster.terminal import status_tables
from loglake_dagster_tests.engines.deliveries import event, trail_file
from loglake_dagster_tests.engines.made_lake import interrupted, made_lake, rows_of, trail_of
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


def lenient(tmp_path, coverage):
    return made_lake(tmp_path, quality=Quality(coverage=coverage, recount_objects=0))


def test_a_day_tells_what_arrived_between_listing_and_audit(tmp_path):
    """Found in use: the catalog said 50 %, the day's own account 100 %, because it was measured anew from what was
    read alone."""
    trail_file(trail_of(tmp_path), [event(1)])
    lake = lenient(tmp_path, 0.4)
    late = []

    def arrives(_job, _written):
        late.append(trail_file(trail_of(tmp_path), [event(2)], nonce="LATE"))

    materialize_readready(interrupted(lake, arrives), cloudtrail.SOURCE, DAY).raise_if_refused()
    (status,) = read_status(lake, DAY)
    assert (status.coverage, status.landed, status.expected) == (0.5, 1, 2)
    assert [(row.landed, row.expected) for row in status.accounts] == [(1, 2)]
    assert [(one.uri, one.reason) for one in status.missing] == [
        (late[0].as_uri(), "arrived after the run was planned")
    ]


def test_a_version_of_a_release_that_wrote_no_audit_is_told_from_its_accounts(tmp_path):
    trail_file(trail_of(tmp_path), [event(1), 42])
    lake = lenient(tmp_path, 0.4)
    materialize_readready(lake, cloudtrail.SOURCE, DAY)
    (before,) = read_status(lake, DAY)
    (audit,) = (tmp_path / "lake").rglob("audit.json")
    audit.unlink()
    assert read_status(lake, DAY) == [before]


def test_versions_that_the_gate_refused_since_are_told_and_older_ones_are_not(tmp_path):
    trail_file(trail_of(tmp_path), [event(1), 42])
    strict = lenient(tmp_path, 0.9)
    refused = materialize_readready(strict, cloudtrail.SOURCE, DAY)
    assert not refused.is_published
    (status,) = read_status(strict, DAY)
    assert (status.version, status.published, status.coverage) == (refused.manifest.version, None, 0.5)
    assert (status.rows, status.location, status.totals) == (1, refused.location, refused.manifest.totals)
    assert (tuple(status.missing), len(status.rejects)) == (refused.coverage.missing, 1)
    assert read_status(strict) == []
    seen = materialize_readready(lenient(tmp_path, 0.5), cloudtrail.SOURCE, DAY)
    assert [(one.version, one.published is None) for one in read_status(strict, DAY)] == [
        (seen.manifest.version, False)
    ]
    trail_file(trail_of(tmp_path), [43, 44], nonce="B")
    again = materialize_readready(strict, cloudtrail.SOURCE, DAY)
    assert [(one.version, one.published is None) for one in read_status(strict, DAY)] == [
        (seen.manifest.version, False),
        (again.manifest.version, True),
    ]
    screen = Console(file=io.StringIO(), width=400)
    screen.print(*status_tables(read_status(strict, DAY), True))
    text = screen.file.getvalue()
    assert "published and refused versions" in text
    assert "refused, not seen" in text
    assert f"{cloudtrail.TABLE.name} {DAY} (refused): account" in text


def test_asking_a_lake_that_is_not_there_makes_nothing(tmp_path):
    lake = made_lake(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert (read_status(lake), read_status(lake, DAY), rows_of(lake)) == ([], [], [])
    assert sorted(tmp_path.rglob("*")) == before
