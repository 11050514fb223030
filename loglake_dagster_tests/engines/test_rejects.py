"""Rejects: kept verbatim, read back by day and table, and taken in once the decoder can read them."""

import datetime as dt

import pytest

from loglake_dagster import sources
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.rejects import first_rejects, read_rejects
from loglake_dagster.errors import LogLakeError
from loglake_dagster.lake.settings import Quality
from loglake_dagster.sources import cloudtrail, cloudwatch
from loglake_dagster_tests.engines.deliveries import event, events, firehose_file, trail_file
from loglake_dagster_tests.engines.made_lake import accounted, firehose_of, ids_of, made_lake, published, trail_of
from loglake_dagster_tests.engines.mended_source import MENDED, ODD_TIME
from loglake_dagster_tests.made import DAY, compact, document, log_event

ODD = event(99, ODD_TIME)
LENIENT = Quality(coverage=0.5)
NOT_UTF8 = compact(event(98)).replace(b"event-0098", b"event-\xff")


def test_each_reject_says_where_and_why_and_has_its_record(tmp_path):
    path = trail_file(trail_of(tmp_path), [*events(3), ODD, 42, NOT_UTF8])
    firehose_file(firehose_of(tmp_path), [document(log_event("one"), log_event("two", timestamp="soon"))])
    lake = made_lake(tmp_path, quality=LENIENT)
    for source in sources.SOURCES:
        materialize_readready(lake, source, DAY).raise_if_refused()
    trail, keystrokes, *others = read_rejects(lake, DAY)
    assert [reject for one in others for reject in one.rejects] == []
    assert (trail.table, keystrokes.table) == (cloudtrail.TABLE.name, cloudwatch.TABLE.name)
    assert trail.version == published(lake, DAY)[0].version
    assert [(one["ordinal"], one["path"], one["expected"], one["got"]) for one in trail.rejects] == [
        (3, "$.eventTime", "an ISO-8601 time", f"'{ODD_TIME}' (str)"),
        (4, "$", "a JSON object", "int '42'"),
        (5, "$", "UTF-8 text", f"byte 0xff at byte {NOT_UTF8.index(0xFF)}"),
    ]
    assert {one["object"] for one in trail.rejects} == {path.as_uri()}
    assert [one.get("record") for one in trail.rejects] == [compact(ODD).decode(), "42", None]
    assert trail.rejects[2]["record_base64"]
    assert [one["path"] for one in keystrokes.rejects] == ["$.logEvents[1].timestamp"]
    assert trail.as_facts()[0] == {"table": trail.table, "day": DAY, "version": trail.version, **trail.rejects[0]}
    assert read_rejects(lake, DAY, cloudwatch.TABLE.name) == [keystrokes]
    manifest = published(lake, DAY)[0]
    assert first_rejects(lake, manifest, 2) == trail.rejects[:2]
    assert first_rejects(lake, manifest, 99) == trail.rejects


def test_a_day_without_rejects_has_an_empty_list(tmp_path):
    trail_file(trail_of(tmp_path), events(3))
    lake = made_lake(tmp_path)
    materialize_readready(lake, cloudtrail.SOURCE, DAY)
    (one,) = read_rejects(lake, DAY)
    assert (one.table, one.rejects) == (cloudtrail.TABLE.name, [])


def test_what_is_not_there_is_an_error_that_says_what_is(tmp_path):
    lake = made_lake(tmp_path)
    with pytest.raises(LogLakeError) as caught:
        read_rejects(lake, DAY)
    assert caught.value.message == f"rejects {DAY}: nothing is published; loglake materialize --day {DAY} makes it"
    with pytest.raises(LogLakeError) as caught:
        read_rejects(lake, dt.date(2026, 3, 3), "sessions")
    assert caught.value.message == (
        "--table: expected one of from_cloudtrail_readready, from_cloudwatch_readready, "
        "from_bedrock_readready, from_ssm_s3_readready, got 'sessions'"
    )


def test_a_decoder_of_the_next_version_takes_rejected_records_in(tmp_path, monkeypatch):
    """Nothing but materialising again: another version of the transform is another recipe, so the day is built anew."""
    whole = trail_file(trail_of(tmp_path), events(3), nonce="WHOLE")
    odd = trail_file(trail_of(tmp_path), [*events(2, 10), ODD], nonce="ODD")
    lake = made_lake(tmp_path, quality=LENIENT)
    first = materialize_readready(lake, cloudtrail.SOURCE, DAY)
    assert (first.manifest.totals.rejected, first.coverage.gap) == (1, 1)
    assert materialize_readready(lake, cloudtrail.SOURCE, DAY).is_new is False

    monkeypatch.setattr(sources, "SOURCES", (MENDED, cloudwatch.SOURCE))
    second = materialize_readready(lake, MENDED, DAY)
    assert (second.is_new, second.is_published, second.manifest.base, second.objects_read) == (True, True, None, 2)
    assert (second.manifest.totals.rejected, second.coverage.ratio) == (0, 1.0)
    assert second.audit.recounted == 2
    _manifest, entries = published(lake, DAY)
    assert accounted(entries[odd.as_uri()]) == (3, 3, 0, 0, 0, 0)
    assert accounted(entries[whole.as_uri()]) == (3, 3, 0, 0, 0, 0)
    assert ids_of(lake) == sorted([f"event-{n:04d}" for n in (0, 1, 2, 10, 11)] + ["event-0099"])
    assert [one.rejects for one in read_rejects(lake, DAY)] == [[]]
    # The version before is still there by its name, its rejects too.
    assert [one["ordinal"] for one in first_rejects(lake, first.manifest, 9)] == [2]
    assert materialize_readready(lake, MENDED, DAY).is_new is False
