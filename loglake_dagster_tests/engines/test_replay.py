"""What Firehose could not process: noticed by the feed that it lies in, read by a feed of its own, accounted for."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from loglake_dagster.assets.metadata import raw_metadata
from loglake_dagster.engines.raw import materialize_raw
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.status import read_status
from loglake_dagster.lake.settings import Feed, Quality
from loglake_dagster.sources.cloudwatch import SOURCE
from loglake_dagster.terminal import status_tables
from loglake_dagster_tests.engines.deliveries import firehose_file, put
from loglake_dagster_tests.engines.made_lake import SESSION_GROUP, accounted, firehose_of, made_lake, published, rows_of
from loglake_dagster_tests.made import DAY, ERROR_OUTPUT, document, error_line, log_event, member

STREAM = "cloudwatch-logs-1-2026-03-02-01-06-00-a188030a-62d2-49e6-b7c2-b11f1a7ba250"
REPLAYED = document(log_event("lost and found", id="2"), log_event("of tomorrow", id="3", timestamp=1_772_499_723_000))
LINES = error_line(member(REPLAYED)) + error_line(b"", rawData="no base64")


def feeds_of(folder: Path, error_folder: str) -> list[Feed]:
    firehose = firehose_of(folder)
    roles = {"session": (SESSION_GROUP,)}
    return [
        Feed("cloudwatch", "cloudwatch", str(firehose), roles),
        Feed("replay", "cloudwatch", str(firehose / error_folder), roles),
    ]


def deliver(folder: Path, error_key: str) -> None:
    firehose_file(firehose_of(folder), [document(log_event("as usual", id="1"))])
    put(firehose_of(folder) / error_key / STREAM, LINES)


def test_error_output_is_named_with_its_remedy_where_people_look(tmp_path: Path) -> None:
    deliver(tmp_path, "processing-failed/2026/03/02/01")
    lake = made_lake(tmp_path)
    said = ERROR_OUTPUT.format("processing-failed")
    raw = materialize_raw(lake, SOURCE, DAY)
    assert raw.ignored == {said: 1}
    assert "a cloudwatch feed reads it, see docs/running.md" in raw_metadata(raw)["ignored"].value
    assert materialize_readready(lake, SOURCE, DAY).is_published
    (status,) = read_status(lake, DAY)
    assert status.as_facts()["ignored"] == {said: 1}
    screen = Console(file=io.StringIO(), width=200)
    screen.print(*status_tables([status], is_detailed=True))
    assert f"{said}     1" in screen.file.getvalue()


@pytest.mark.parametrize(
    ("error_folder", "error_key"),
    [
        ("processing-failed", "processing-failed/2026/03/02/01"),
        ("errors/processing-failed", "errors/processing-failed/year=2026/month=03/day=02"),
        ("processing-failed2026", "processing-failed2026/03/02/01"),
    ],
)
def test_a_feed_of_the_error_folder_replays_it(tmp_path: Path, error_folder: str, error_key: str) -> None:
    deliver(tmp_path, error_key)
    lake = made_lake(tmp_path, feeds=feeds_of(tmp_path, error_folder), quality=Quality(coverage=0.6))
    result = materialize_readready(lake, SOURCE, DAY)
    assert sorted(row["message"] for row in rows_of(lake, SOURCE.readready_name)) == ["as usual", "lost and found"]
    _manifest, entries = published(lake, DAY, SOURCE.readready_name)
    replayed = entries[(firehose_of(tmp_path) / error_key / STREAM).as_uri()]
    assert (replayed.feed, accounted(replayed)) == ("replay", (3, 1, 0, 0, 1, 1))
    assert (result.coverage.landed, result.coverage.expected) == (2, 3)
    assert (result.audit.recounted, result.audit.not_recounted) == (1, 1)  # plain code takes sound lines only


def test_a_record_that_lies_in_error_output_twice_lands_once_and_is_recounted(tmp_path: Path) -> None:
    deliver(tmp_path, "processing-failed/2026/03/02/01")
    sound = put(firehose_of(tmp_path) / "processing-failed/2026/03/02/02" / STREAM, error_line(member(REPLAYED)))
    put(firehose_of(tmp_path) / "processing-failed/2026/03/02/01" / STREAM, error_line(REPLAYED))
    lake = made_lake(tmp_path, feeds=feeds_of(tmp_path, "processing-failed"))
    result = materialize_readready(lake, SOURCE, DAY)
    assert (result.is_published, result.audit.recounted, result.audit.not_recounted) == (True, 3, 0)
    assert sorted(row["message"] for row in rows_of(lake, SOURCE.readready_name)) == ["as usual", "lost and found"]
    _manifest, entries = published(lake, DAY, SOURCE.readready_name)
    again = entries[sound.as_uri()]
    assert (again.feed, accounted(again)) == ("replay", (2, 0, 1, 0, 1, 0))
