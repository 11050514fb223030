"""Raw days: what was delivered is counted and its folders registered; no file is read, copied, moved or changed."""

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loglake_dagster.catalog import RawPartition
from loglake_dagster.engines.raw import DeliveredRow, materialize_raw
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.errors import StoreError
from loglake_dagster.io.store import S3Store
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster.lake.settings import Feed
from loglake_dagster.sources import cloudtrail, cloudwatch
from loglake_dagster_tests.engines.deliveries import OTHER_ACCOUNT, REGION, firehose_file, put, trail_file
from loglake_dagster_tests.engines.made_lake import firehose_of, made_lake, trail_of
from loglake_dagster_tests.made import ACCOUNT, DAY


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_delivery_day_is_counted_and_registered_once(tmp_path: Path) -> None:
    trail = trail_of(tmp_path)
    first = trail_file(trail, b"not even gzip", "2026-03-02T01:00", nonce="A")
    trail_file(trail, b"12345", "2026-03-02T02:00", nonce="B")
    other = trail_file(trail, b"123", "2026-03-02T23:59", account=OTHER_ACCOUNT, region="us-east-1")
    trail_file(trail, b"1", "2026-03-03T00:00")
    put(trail / "AWSLogs" / ACCOUNT / "CloudTrail-Digest" / REGION / "2026/03/02/digest.json.gz", b"")
    before, lake = tree(trail), made_lake(tmp_path)
    result = materialize_raw(lake, cloudtrail.SOURCE, DAY)
    assert result.rows == (DeliveredRow(ACCOUNT, REGION, 2, 18), DeliveredRow(OTHER_ACCOUNT, "us-east-1", 1, 3))
    assert (result.table, result.files, result.bytes) == ("from_cloudtrail_raw", 3, 21)
    assert (result.partitions, result.new_partitions, result.ignored) == (2, 2, {"CloudTrail-Digest file": 1})
    assert lake.catalog.raw_partitions(result.table, DAY) == [
        RawPartition(
            ("cloudtrail", "AWSLogs", "CloudTrail", ACCOUNT, REGION, "2026-03-02"), f"{first.parent.as_uri()}/"
        ),
        RawPartition(
            ("cloudtrail", "AWSLogs", "CloudTrail", OTHER_ACCOUNT, "us-east-1", "2026-03-02"),
            f"{other.parent.as_uri()}/",
        ),
    ]
    trail_file(trail, b"1", "2026-03-02T03:00", nonce="C")
    again = materialize_raw(lake, cloudtrail.SOURCE, DAY)
    assert (again.files, again.partitions, again.new_partitions) == (4, 2, 0)
    assert tree(trail).items() >= {path: time for path, time in before.items() if path.endswith(".gz")}.items()


def test_what_a_control_denies_is_not_registered(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), b"1", account=OTHER_ACCOUNT)
    trail_file(trail_of(tmp_path), b"1", nonce="SECRET")
    controls = Controls(accounts=Rule(deny=(OTHER_ACCOUNT,)), keys=Rule(deny=("*SECRET*",)))
    result = materialize_raw(made_lake(tmp_path, controls=controls), cloudtrail.SOURCE, DAY)
    assert (result.rows, result.partitions, result.refused) == ((), 0, {"accounts": 1, "keys": 1})


def test_firehose_folders_are_registered_by_day(tmp_path: Path) -> None:
    hours = [firehose_file(firehose_of(tmp_path), b"1", f"2026-03-02T{hour}:00:00") for hour in ("00", "23")]
    firehose_file(firehose_of(tmp_path), b"1", "2026-03-01T23:59:59")
    lake = made_lake(tmp_path)
    result = materialize_raw(lake, cloudwatch.SOURCE, DAY)
    assert result.rows == (DeliveredRow("unknown", "unknown", 2, 2),)
    day_folder = hours[0].parents[1]
    assert lake.catalog.raw_partitions("from_cloudwatch_raw") == [
        RawPartition(("cloudwatch", "", "2026-03-02"), f"{day_folder.as_uri()}/")
    ]


def test_feeds_have_partitions_of_their_own(tmp_path: Path) -> None:
    feeds = [Feed(name, "cloudtrail", str(tmp_path / name)) for name in ("one", "two")]
    for feed in feeds:
        trail_file(Path(feed.uri), b"1")
    lake = made_lake(tmp_path, feeds=feeds)
    result = materialize_raw(lake, cloudtrail.SOURCE, DAY)
    assert (result.files, result.partitions) == (2, 2)
    assert [one.values[0] for one in lake.catalog.raw_partitions(result.table, DAY)] == ["one", "two"]
    assert lake.catalog.raw_partitions(result.table, DAY + ONE_DAY) == []


def test_a_feed_that_leads_past_its_log_is_warned_of_and_a_quiet_day_is_not(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), b"1", "2026-02-27T01:00")
    firehose_file(firehose_of(tmp_path), b"1", "2025-02-27T01:00:00")
    below = trail_of(tmp_path) / "AWSLogs"
    put(tmp_path / "config" / "AWSLogs" / ACCOUNT / "Config" / REGION / "2026/3/2/config.json.gz", b"1")
    (tmp_path / "nothing").mkdir()
    places = {
        "quiet": trail_of(tmp_path),
        "deep": below,
        "config": tmp_path / "config",
        "nothing": tmp_path / "nothing",
    }
    feeds = [Feed(name, "cloudtrail", str(place)) for name, place in places.items()]
    feeds.append(Feed("firehose", "cloudwatch", str(firehose_of(tmp_path)), {}))
    lake = made_lake(tmp_path, feeds=feeds)
    warnings = materialize_raw(lake, cloudtrail.SOURCE, DAY).warnings
    assert [warning.partition(":")[0] for warning in warnings] == ["feed deep", "feed config", "feed nothing"]
    assert warnings[0] == (
        f"feed deep: nothing below {below} looks like {cloudtrail.SOURCE.title}, of any day; see that its uri is the "
        "place that AWS was told to deliver to, and not a folder below it"
    )
    assert materialize_raw(lake, cloudwatch.SOURCE, DAY).warnings == ()


def test_a_feed_whose_folders_are_all_denied_is_no_mistake(tmp_path: Path) -> None:
    trail_file(trail_of(tmp_path), b"1")
    lake = made_lake(tmp_path, controls=Controls(accounts=Rule(deny=("*",))))
    assert materialize_raw(lake, cloudtrail.SOURCE, DAY).warnings == ()


@pytest.mark.aws
def test_a_feed_below_whose_uri_s3_has_no_object_is_an_error_and_no_empty_day(tmp_path: Path, s3_server: Any) -> None:
    uri = f"s3://{s3_server.bucket}/{uuid.uuid4().hex}"
    lake = made_lake(tmp_path, feeds=[])
    settings = replace(lake.settings, feeds=(Feed("trail", "cloudtrail", uri),), s3=s3_server.settings)
    lake = replace(lake, settings=settings)
    for materialize in materialize_raw, materialize_readready:
        with pytest.raises(StoreError) as caught:
            materialize(lake, cloudtrail.SOURCE, DAY)
        assert str(caught.value) == (
            f"feed trail: there is no object below {uri}; mend its uri in the settings, or leave the feed out until "
            "something is delivered"
        )
    S3Store(uri, s3_server.settings).write(f"AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/01/01/old.json.gz", b"1")
    assert materialize_raw(lake, cloudtrail.SOURCE, DAY).warnings == ()
    assert materialize_readready(lake, cloudtrail.SOURCE, DAY).is_published
