"""Session Manager's uploads to S3: which keys are sessions, whose day they are, and that no byte of them is lost."""

import base64
import datetime as dt
import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.engines.planning import list_source
from loglake_dagster.engines.raw import DeliveredRow, materialize_raw
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.status import read_status
from loglake_dagster.errors import AuditError, ObjectError
from loglake_dagster.io.listing import Listing
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.partition import ONE_DAY, UTC
from loglake_dagster.lake.settings import Feed, Quality
from loglake_dagster.lake.source import Listed, Wanted
from loglake_dagster.sources import ssm_s3
from loglake_dagster.sources.ssm_s3 import SOURCE
from loglake_dagster_tests.engines.deliveries import REGION, put
from loglake_dagster_tests.engines.made_lake import accounted, made_lake, published, rows_of
from loglake_dagster_tests.made import ACCOUNT, DAY, LIMIT, decode_one, entry, member

TABLE = SOURCE.readready_name
ANA = "ana@example.com-t59j8gpq2ta8hniozstbnphqs8"
ECS = "ecs-execute-command-794nnsxobsg4p2hiur6gxu9a9e"
NINE = dt.datetime(2026, 3, 2, 9, 5, 1, 250_000, UTC)
TEXT = b"Script started on 2026-03-02\r\n$ ls\r\n\r\nScript done on 2026-03-02\r\n"


def upload(folder, key, data=TEXT, at=NINE):
    """A text uploaded at a moment."""
    path = put(folder / "uploads" / key, data)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def fed_lake(folder, name="lake", *, account=ACCOUNT, region=REGION, **given):
    feed = Feed("uploads", SOURCE.name, str(folder / "uploads"), account=account, region=region)
    return made_lake(folder, name, feeds=[feed], **given)


# -- objects to rows ----------------------------------------------------------------------------------------


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_row_from_which_they_come_back_or_a_verbatim_reject(data):
    one = entry(f"s3://uploads/{ANA}.log", delivery_time=NINE)
    rows, account = decode_one(SOURCE, data, of=one)
    assert (account.error, account.damage, account.found) == (None, None, 1)
    for row in rows:
        kept = row["sessionbytes"]
        assert (row["sessiondata"].encode() if kept is None else base64.b64decode(kept)) == data
        assert row["sessiondata"] == data.decode(errors="replace")
        assert (row["sessionowner"], row["sessionid"]) == ("ana@example.com", "t59j8gpq2ta8hniozstbnphqs8")
        assert row["contentsha256"] == hashlib.sha256(data).hexdigest()
        assert row["eventtime"] == NINE.replace(tzinfo=None)
    assert [reject.record for reject in account.rejects] == [data] * (1 - len(rows))
    count = SOURCE.recount(data, Wanted())
    assert (count.found, count.wanted_of(DAY, DAY - ONE_DAY)) == (1, 0)
    assert len(rows) <= count.wanted_of(DAY, DAY) <= 1


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("\nEXIT_CODE: 0", 0),
        ("no newline EXIT_CODE: 127\r\n\r\n", 127),
        ("\nEXIT_CODE: -1073741510\n", -1073741510),
        ("\nEXIT_CODE: 1\nand more", None),
        ("\nMY_EXIT_CODE: 1", None),
        ("\nEXIT_CODE: 1234567890123456789", None),
        ("\nEXIT_CODE: one", None),
    ],
)
def test_an_exit_code_is_the_texts_last_word(end, code):
    (row,), _account = decode_one(SOURCE, b"x" * 1000 + end.encode())
    assert row["exitcode"] == code


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (member(TEXT), "gzip"),
        (b"\x1f\x8b", "gzip"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"PAR1rest of itPAR1", "a Parquet file"),
        (b"\x28\xb5\x2f\xfd\0", "zstd"),
        (b'[{"eventVersion":"1.0","eventSource":"a","eventName":"b"}]', "CloudTrail's records"),
        (b'\xef\xbb\xbf {"attemptsMade":4,"errorCode":"x","rawData":"H4s', "Firehose's error output"),
    ],
)
def test_another_log_under_a_sessions_name_is_a_reject(data, got):
    rows, account = decode_one(SOURCE, data)
    assert rows == []
    assert [(one.path, one.expected, one.got, one.record) for one in account.rejects] == [
        ("byte 0", "the text of a session", got, data)
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{"Records":[{"SequenceNumber":"1"}]}',
        '[root@web-1 ~]# cat trail.json\n{"eventVersion":"1","eventSource":"a","eventName":"b"}',
        "PAR1-web01:~$ ls",
        '{"messageType":1,"logEvents":2}\r\n$ ls',
        'Script started on 2026\n{"messageType":"DATA_MESSAGE","logEvents":[]}',
        '{"message":"{\\"messageType\\":\\"DATA_MESSAGE\\",\\"logEvents\\":[]}"}',
        "{ echo not json; }",
    ],
)
def test_what_a_command_printed_is_a_sessions_text(text):
    (row,), account = decode_one(SOURCE, text.encode())
    assert (row["sessiondata"], account.rejects) == (text, [])


def test_a_text_that_is_too_long_is_unreadable_and_not_cut(monkeypatch):
    decoded = SOURCE.decode([b"12345", b"123456", ObjectError("not allowed")], Wanted(), 5)
    assert decoded.rows["sessiondata"].to_pylist() == ["12345"]
    assert [one.error and one.error.reason for one in decoded.objects] == [
        None,
        "longer than the limit (max_object_bytes)",
        "not allowed",
    ]
    monkeypatch.setattr(ssm_s3, "MAX_TEXT_BYTES", 4)
    assert SOURCE.decode([b"12345"], Wanted(), LIMIT).objects[0].error is not None


# -- whose day --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modified", [None, NINE.replace(year=1969), NINE.replace(year=2262)])
def test_an_object_without_a_time_that_can_be_an_events_is_counted(modified):
    listing = Listing()
    listing.take(SOURCE, Listed(f"{ANA}.log", 1, "e", modified=modified), frozenset([DAY]), Controls())
    assert (listing.objects, listing.ignored) == ([], {"last modified at no time of the years 1970 to 2261": 1})


def test_an_upload_is_of_the_day_on_which_it_was_uploaded(tmp_path):
    midnight = dt.datetime(2026, 3, 3, tzinfo=UTC)
    first = upload(tmp_path, f"a/{ANA}.log", at=midnight - dt.timedelta(milliseconds=1))
    upload(tmp_path, f"b/{ECS}.log", at=midnight)
    lake = fed_lake(tmp_path)
    assert [(row["sessionid"], row["source_object"]) for row in rows_after(lake, DAY)] == [
        (ANA.rpartition("-")[2], first.as_uri())
    ]
    entries = published(lake, DAY, TABLE)[1].values()
    assert sorted(map(accounted, entries)) == [(1, 0, 0, 0, 1, 0), (1, 1, 0, 0, 0, 0)]
    assert [row["sessionid"] for row in rows_after(lake, DAY + ONE_DAY)][1:] == [ECS.rpartition("-")[2]]
    assert lake.catalog.late_days(TABLE) == []


def rows_after(lake, day):
    result = materialize_readready(lake, SOURCE, day)
    assert result.is_published
    assert result.audit.not_recounted == 0
    return rows_of(lake, TABLE)


# -- the whole way ----------------------------------------------------------------------------------------------


def test_uploads_are_a_table_that_readers_ask(tmp_path):
    upload(tmp_path, f"prod/{ANA}.log")
    upload(tmp_path, f"prod/{ECS}", b"\xff\nEXIT_CODE: 3")
    for key in ("prod/readme.txt", "prod/2026-03-02-01-02-03-0A1B2C3D4E5F6071", "stdout"):
        upload(tmp_path, key)
    lake = fed_lake(tmp_path)
    ignored = {"S3 access log": 1, "name that is no session's": 2}
    raw = materialize_raw(lake, SOURCE, DAY)
    assert (raw.rows, raw.ignored) == ((DeliveredRow(ACCOUNT, REGION, 2, len(TEXT) + 14),), ignored)
    assert [one.values for one in lake.catalog.raw_partitions(SOURCE.raw_name, DAY)] == [
        ("uploads", "prod/", "2026-03-02")
    ]
    rows = rows_after(lake, DAY)
    assert [(row["sessionowner"], row["accountid"], row["awsregion"], row["exitcode"]) for row in rows] == [
        ("ana@example.com", ACCOUNT, REGION, None),
        ("ecs-execute-command", ACCOUNT, REGION, 3),
    ]
    (status,) = read_status(lake, DAY)
    assert status.as_facts()["ignored"] == ignored
    assert [(one.account, one.region, one.landed) for one in status.accounts] == [(ACCOUNT, REGION, 2)]
    assert materialize_readready(lake, SOURCE, DAY).is_new is False


def test_account_and_region_are_null_where_the_settings_do_not_say_them(tmp_path):
    upload(tmp_path, f"{ANA}.log")
    (row,) = rows_after(fed_lake(tmp_path, account=None, region=None), DAY)
    assert (row["accountid"], row["awsregion"]) == (None, None)


def test_another_account_in_the_settings_builds_the_day_anew(tmp_path):
    upload(tmp_path, f"{ANA}.log")
    rows_after(fed_lake(tmp_path, account=None), DAY)
    (row,) = rows_after(fed_lake(tmp_path), DAY)
    assert row["accountid"] == ACCOUNT


def test_a_feeds_account_and_region_are_judged_like_those_of_keys(tmp_path):
    upload(tmp_path, f"{ANA}.log")
    for controls, refused in (
        (Controls(accounts=Rule(deny=(ACCOUNT,))), {"accounts": 1}),
        (Controls(regions=Rule(allow=("us-*",))), {"regions": 1}),
        (Controls(keys=Rule(deny=("ana*",))), {"keys": 1}),
    ):
        state = list_source(fed_lake(tmp_path, controls=controls), SOURCE, DAY)
        assert (state.objects, state.refused) == ({}, refused)


def test_the_same_text_uploaded_again_is_a_duplicate_and_another_text_is_not(tmp_path):
    later = NINE + dt.timedelta(hours=1)
    first = upload(tmp_path, f"b/{ANA}.log")
    again = upload(tmp_path, f"a/{ANA}.log", at=later)
    longer = upload(tmp_path, f"c/{ANA}.log", TEXT + b"$ more\r\n", later)
    other = upload(tmp_path, f"a/{ECS}.log")
    lake = fed_lake(tmp_path)
    assert [row["source_object"] for row in rows_after(lake, DAY)] == sorted(
        one.as_uri() for one in (first, longer, other)
    )
    entries = published(lake, DAY, TABLE)[1]
    assert accounted(entries[again.as_uri()]) == (1, 0, 1, 0, 0, 0)


def test_what_is_overwritten_on_a_later_day_keeps_its_row_and_is_never_lost_by_a_rebuild(tmp_path):
    upload(tmp_path, f"{ANA}.log")
    lake = fed_lake(tmp_path)
    (row,) = rows_after(lake, DAY)
    upload(tmp_path, f"{ANA}.log", b"other words", NINE + 5 * ONE_DAY)
    assert rows_after(lake, DAY) == [row]
    both = {one["eventday"]: one["sessiondata"] for one in rows_after(lake, DAY + 5 * ONE_DAY)}
    assert both == {DAY: row["sessiondata"], DAY + 5 * ONE_DAY: "other words"}
    with pytest.raises(AuditError, match="1 objects with 1 of its rows are no longer in the source"):
        materialize_readready(fed_lake(tmp_path, controls=Controls(keys=Rule(deny=("x",)))), SOURCE, DAY)


def test_another_log_among_the_uploads_is_missing_from_the_day_until_it_is_answered_for(tmp_path):
    upload(tmp_path, f"{ANA}.log")
    packed = upload(tmp_path, f"{ECS}.log", member(TEXT))
    shut = materialize_readready(fed_lake(tmp_path), SOURCE, DAY)
    assert (shut.is_published, shut.coverage.landed, shut.coverage.expected) == (False, 1, 2)
    assert [(one.uri, one.reason) for one in shut.coverage.missing] == [(packed.as_uri(), "1 rejected")]
    lake = fed_lake(tmp_path, quality=Quality(coverage=0.5))
    assert len(rows_after(lake, DAY)) == 1
    (status,) = read_status(lake, DAY)
    assert [(one["object"], one["got"]) for one in status.rejects] == [(packed.as_uri(), "gzip")]


def test_a_name_of_any_bytes_is_read_and_shown(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    path = os.fsencode(folder) + b"/caf\xe9 %41\n-0a1b2c3d4e5f60718.log"
    with open(path, "wb") as file:
        file.write(TEXT)
    os.utime(path, (NINE.timestamp(), NINE.timestamp()))
    (row,) = rows_after(fed_lake(tmp_path), DAY)
    assert (row["sessionowner"], row["sessionid"]) == ("caf\ufffd %41\n", "0a1b2c3d4e5f60718")
