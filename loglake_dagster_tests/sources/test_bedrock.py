"""Bedrock: any record is a row that gives it back or a reject; both ways of delivery end in one table."""

import json
import uuid
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.engines.query import run_query
from loglake_dagster.engines.raw import materialize_raw
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.engines.status import read_status
from loglake_dagster.io.listing import list_feed
from loglake_dagster.kernels.accounting import rows_of_day
from loglake_dagster.kernels.plain import plain_documents
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.manifest import Totals
from loglake_dagster.lake.settings import Feed
from loglake_dagster.lake.source import Descent, Wanted
from loglake_dagster.sources.bedrock import LOG_STREAM, SOURCE, TABLE
from loglake_dagster_tests.engines.deliveries import firehose_file, put
from loglake_dagster_tests.engines.made_lake import accounted, made_lake, rows_of
from loglake_dagster_tests.kernels.shapes import ANY_JSON
from loglake_dagster_tests.made import (
    ACCOUNT,
    DAY,
    ERROR_OUTPUT,
    LIMIT,
    TIME,
    compact,
    decode_one,
    document,
    entry,
    log_event,
    member,
    same_json,
)
from loglake_dagster_tests.sources.test_golden import GOLDEN

DAYS = frozenset({DAY})
HOUR = f"AWSLogs/{ACCOUNT}/BedrockModelInvocationLogs/us-east-1/2026/03/02/01/"
OTHER_ACCOUNT = "444455556666"


def invocation(number=1, **fields):
    """A record with a request id of its own; `fields` are added or put in their place."""
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": TIME,
        "accountId": ACCOUNT,
        "identity": {"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/App/worker-1"},
        "region": "us-east-1",
        "requestId": str(uuid.UUID(int=number)),
        "operation": "Converse",
        "modelId": "example.model-v1:0",
        "input": {"inputContentType": "application/json", "inputBodyJson": {"a": 1}, "inputTokenCount": 3},
        "output": {"outputContentType": "application/json", "outputBodyJson": [{"b": 2}], "outputTokenCount": 4},
        **fields,
    }


def lines(*records):
    return b"".join((one if isinstance(one, bytes) else compact(one)) + b"\n" for one in records)


def subscribed(*records, **fields):
    """A CloudWatch document of the log stream whose messages are these records."""
    events = [
        log_event(one if isinstance(one, str) else compact(one).decode(), id=str(uuid.uuid4())) for one in records
    ]
    return document(*events, **{"logGroup": "/bedrock", "logStream": LOG_STREAM, **fields})


def bedrock_feed(tmp_path):
    return tmp_path / "bedrock"


def fed_lake(tmp_path, **given):
    return made_lake(tmp_path, feeds=[Feed("bedrock", "bedrock", str(bedrock_feed(tmp_path)))], **given)


def deliver(tmp_path, *records, name="20260302T010500000Z_0a1b.json.gz"):
    return put(bedrock_feed(tmp_path) / HOUR / name, member(lines(*records)))


def materialized(lake):
    result = materialize_readready(lake, SOURCE, DAY)
    assert result.is_published
    return result


# -- records ------------------------------------------------------------------------------------------------

FIELDS = [str(column.field) for column in TABLE.columns if column.field]
# Names in another case are taken for the field where it is not there itself.
PATHS = st.sampled_from([*FIELDS, *FIELDS, *map(str.title, FIELDS), "input", "output", "new", "input.new"])


def put_at(record, path, value):
    *parents, name = path.split(".")
    for part in parents:
        if not isinstance(record.get(part), dict):
            record[part] = {}
        record = record[part]
    record[name] = value


def changed(changes):
    record = json.loads(compact(invocation()))
    for path, value in changes:
        put_at(record, path, value)
    return record


ANY_INVOCATIONS = st.lists(st.tuples(PATHS, ANY_JSON), max_size=4).map(changed)
PACKINGS = st.sampled_from([lambda *them: lines(*them), lambda *them: b"".join(map(compact, them)), subscribed])


@given(st.lists(ANY_INVOCATIONS, max_size=4), PACKINGS)
def test_any_json_in_any_field_is_a_row_that_gives_it_back_or_a_verbatim_reject(records, pack):
    data = pack(*records) or b" "
    rows, account = decode_one(SOURCE, data)
    assert (account.error, account.damage, account.found) == (None, None, len(records))
    for row in rows:
        assert same_json(SOURCE.rebuild(row), records[row["source_ordinal"]])
    for reject in account.rejects:
        assert json.loads(reject.record) == records[reject.ordinal]
        assert reject.path in ("$.timestamp", "$.schemaType")


@given(st.lists(ANY_INVOCATIONS | ANY_JSON, max_size=4), PACKINGS)
def test_the_recount_never_contradicts_the_rows(records, pack):
    """Where it does, the audit keeps the day from being published."""
    data = pack(*[one if isinstance(one, dict) else {"other": one} for one in records]) or b" "
    rows, account = decode_one(SOURCE, data)
    count = SOURCE.recount(data, Wanted())
    days = Counter(row["eventtime"].date() for row in rows)
    assert count.found == account.found
    assert all(days[day] <= counted <= days[day] + len(account.rejects) for day, counted in count.wanted_by_day.items())
    assert set(days) <= set(count.wanted_by_day)


@given(st.binary(max_size=80))
def test_any_bytes_are_an_account_and_never_raise(data):
    decode_one(SOURCE, data)
    decode_one(SOURCE, lines(invocation()) + data)
    decode_one(SOURCE, subscribed(invocation()) + data)


def golden_records(path):
    """The records in the order of their places: an object is one, a subscription's document holds them as messages."""
    for value in plain_documents(path.read_bytes()):
        yield from [event["message"] for event in value["logEvents"]] if "logEvents" in value else [json.dumps(value)]


SOUND = [path for path in sorted((GOLDEN / "bedrock").glob("*.in.*")) if path.name[:5] not in ("broke", "trunc")]


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
def test_every_row_of_the_golden_files_gives_its_record_back(path):
    records = list(golden_records(path))
    for row in decode_one(SOURCE, path.read_bytes())[0]:
        assert same_json(SOURCE.rebuild(row), json.loads(records[row["source_ordinal"]]))


def test_a_document_that_only_looks_like_a_subscriptions_is_a_record():
    record = invocation(messageType="DATA_MESSAGE", input={"inputBodyJson": json.loads(subscribed(invocation()))})
    (row,), _account = decode_one(SOURCE, lines(record))
    assert same_json(SOURCE.rebuild(row), record)
    assert SOURCE.recount(lines(record), Wanted()).wanted_by_day == {DAY: 1}


def test_a_message_never_shows_what_somebody_asked():
    _rows, account = decode_one(
        SOURCE, lines(invocation(), b'"my secret"', b"my secret", b'["my secret"]', b'{"my secret')
    )
    assert len(account.rejects) == 4
    assert "secret" not in "".join(f"{one.path} {one.expected} {one.got}" for one in account.rejects)


# -- duplicates and controls --------------------------------------------------------------------------------


def test_a_call_is_one_row_and_calls_without_an_id_are_never_duplicates():
    record = invocation()
    others = [{**record, "region": "eu-west-1"}, {**record, "accountId": OTHER_ACCOUNT}, {**record, "requestId": None}]
    data = lines(record, record, *others, {**record, "requestId": ""}, {**record, "requestId": ""}, others[2])
    decoded = SOURCE.decode([data, lines(record)], Wanted(), LIMIT)
    rows, entries = rows_of_day(SOURCE, TABLE, decoded, [entry("s3://b/1"), entry("s3://b/2")], DAY)
    assert rows.num_rows == 7
    assert [accounted(one) for one in entries] == [(8, 7, 1, 0, 0, 0), (1, 0, 1, 0, 0, 0)]
    assert entries[0].accounts == {ACCOUNT: 7, OTHER_ACCOUNT: 1}


@pytest.mark.parametrize(
    ("controls", "filtered"),
    [
        (Controls(accounts=Rule(deny=(OTHER_ACCOUNT,))), {"accounts": 1}),
        (Controls(accounts=Rule(allow=(OTHER_ACCOUNT,))), {"accounts": 1}),
        (Controls(regions=Rule(allow=("us-*",))), {"regions": 1}),
        (Controls(keys=Rule(allow=("nothing",))), {}),
    ],
)
def test_accounts_and_regions_are_judged_by_record_too(controls, filtered):
    """Firehose's keys name neither; a record that says neither is kept."""
    records = [
        invocation(1),
        invocation(2, accountId=OTHER_ACCOUNT, region="eu-west-1"),
        invocation(3, accountId=None, region=None),
    ]
    data = lines(*records)
    rows, account = decode_one(SOURCE, data, Wanted(controls))
    assert account.filtered == filtered
    assert SOURCE.recount(data, Wanted(controls)).wanted_by_day == {DAY: len(rows)}


@pytest.mark.parametrize(
    ("controls", "filtered"),
    [
        (Controls(), {"control_message": 1, "log_streams": 2}),
        (Controls(log_groups=Rule(deny=("/bedrock",))), {"control_message": 1, "log_streams": 1, "log_groups": 2}),
        (Controls(log_groups=Rule(allow=("/ssm/*",))), {"control_message": 1, "log_streams": 2}),
        (Controls(accounts=Rule(deny=("111*",))), {"control_message": 1, "accounts": 3}),
    ],
)
def test_other_log_events_are_found_and_filtered(controls, filtered):
    data = (
        subscribed("a health check", messageType="CONTROL_MESSAGE", owner="CloudwatchLogs", logGroup="")
        + subscribed("of another group", logGroup="/app", logStream="app")
        + subscribed("of another stream", logStream="app")
        + subscribed(invocation())
    )
    rows, account = decode_one(SOURCE, data, Wanted(controls))
    assert (account.found, account.filtered) == (4, filtered)
    assert [row["source_ordinal"] for row in rows] == ([3] if sum(filtered.values()) == 3 else [])
    count = SOURCE.recount(data, Wanted(controls))
    assert (count.found, sum(count.wanted_by_day.values())) == (4, len(rows))


# -- keys and folders ---------------------------------------------------------------------------------------

REGION = f"AWSLogs/{ACCOUNT}/BedrockModelInvocationLogs/us-east-1/"
DENIED = Controls(accounts=Rule(deny=("4444*",)), regions=Rule(deny=("us-gov-*",)))


@pytest.mark.parametrize(
    ("folder", "descent"),
    [
        ("team/", Descent(("team/",))),
        ("AWSLogs/", Descent(("AWSLogs/",))),
        ("AWSLogs/o-exampleorg1/", Descent(("AWSLogs/o-exampleorg1/",))),
        (f"AWSLogs/{ACCOUNT}/", Descent((f"AWSLogs/{ACCOUNT}/",))),
        (f"AWSLogs/{ACCOUNT}/CloudTrail/", Descent(ignored="CloudTrail folder")),
        (
            f"AWSLogs/{ACCOUNT}/BedrockModelInvocationLogs/",
            Descent((f"AWSLogs/{ACCOUNT}/BedrockModelInvocationLogs/",)),
        ),
        (REGION, Descent((REGION, f"{REGION}2026/03/02/"))),
        (f"{REGION}2026/", Descent()),
        (f"{REGION}2026/03/02/01/", Descent((f"{REGION}2026/03/02/01/",))),
        (f"{REGION}2026/03/02/01/data/", Descent(ignored="folder of bodies (data/)")),
        (f"AWSLogs/{OTHER_ACCOUNT}/", Descent(refused="accounts")),
        (REGION.replace("us-east-1", "us-gov-east-1"), Descent(refused="regions")),
        ("2026/03/02/", Descent(("2026/03/02/",))),
        ("2026/03/03/", Descent()),
        ("processing-failed/", Descent(ignored=ERROR_OUTPUT.format("processing-failed"))),
    ],
)
def test_only_folders_that_can_hold_records_of_the_day_are_entered(folder, descent):
    assert SOURCE.descend(folder, DAYS, DENIED) == descent


def test_a_listing_counts_markers_and_bodies_and_reads_the_records(tmp_path):
    records = deliver(tmp_path, invocation())
    feed = bedrock_feed(tmp_path)
    put(feed / HOUR / "data" / "1_input.json.gz", b"x")
    put(feed / HOUR / "data" / "2_output.json.gz", b"x")
    put(feed / HOUR / "amazon-bedrock-logs-permission-check", b"")
    put(feed / REGION / "amazon-bedrock-logs-permission-check", b"")
    put(feed / HOUR.replace("/02/01/", "/03/00/") / "20260303T000500000Z_0a1b.json.gz", b"of another day")
    lake = fed_lake(tmp_path)
    listing = list_feed(lake.feed_store(lake.settings.feeds[0]), SOURCE, DAYS, lake.settings.controls)
    assert [(feed / listed.key) for listed, _key in listing.objects] == [records]
    assert listing.ignored == {"permission check marker": 2, "folder of bodies (data/)": 1}


# -- the whole way ------------------------------------------------------------------------------------------


def test_what_bedrock_delivers_is_a_table_that_readers_ask(tmp_path):
    deliver(
        tmp_path, invocation(1), invocation(2, modelId="example.other"), invocation(3, timestamp="2026-03-03T00:00:01Z")
    )
    deliver(tmp_path, invocation(1), invocation(4), b"no record", name="20260302T010600000Z_0a1c.json.gz")
    put(bedrock_feed(tmp_path) / HOUR / "20260302T010700000Z_0a1d.json.gz", b"")
    put(bedrock_feed(tmp_path) / HOUR / "amazon-bedrock-logs-permission-check", b"")
    lake = fed_lake(tmp_path)
    raw = materialize_raw(lake, SOURCE, DAY)
    assert [(row.account, row.region, row.files) for row in raw.rows] == [(ACCOUNT, "us-east-1", 3)]
    assert (raw.partitions, raw.ignored) == (1, {"permission check marker": 1})
    result = materialize_readready(lake, SOURCE, DAY)
    assert result.manifest.totals == Totals(
        objects=3,
        unreadable=1,
        bytes=result.manifest.totals.bytes,
        found=6,
        landed=3,
        duplicate=1,
        other_day=1,
        rejected=1,
    )
    # The empty object counts what a typical one of the day holds.
    assert (result.coverage.landed, result.coverage.expected, result.is_published) == (4, 7, False)
    assert {one.reason for one in result.coverage.missing} == {"1 rejected", "empty object (0 bytes)"}


def test_a_query_reads_models_and_tokens(tmp_path):
    deliver(tmp_path, invocation(1), invocation(2, modelId="example.other"), invocation(1))
    lake = fed_lake(tmp_path)
    result = materialized(lake)
    assert result.audit.recounted == 1
    sql = (
        f"select modelid, count(*) calls, sum(outputtokencount)::bigint tokens from {TABLE.name} group by 1 order by 1"
    )
    assert run_query(lake, sql).to_pylist() == [
        {"modelid": "example.model-v1:0", "calls": 1, "tokens": 4},
        {"modelid": "example.other", "calls": 1, "tokens": 4},
    ]
    assert [(one.table, one.rows, one.coverage) for one in read_status(lake)] == [(TABLE.name, 2, 1.0)]
    row = rows_of(lake, TABLE.name)[0]
    assert (f"{row['eventtime'].isoformat()}Z", row["eventday"]) == (TIME, DAY)
    assert json.loads(row["outputbodyjson"]) == [{"b": 2}]


def test_what_firehose_delivers_is_the_same_table(tmp_path):
    documents = [
        subscribed("check", messageType="CONTROL_MESSAGE", owner="CloudwatchLogs", logGroup="", logStream=""),
        subscribed("an application's line", logGroup="/app", logStream="app"),
        subscribed(invocation(1), invocation(2)),
        subscribed(invocation(3, accountId=OTHER_ACCOUNT, region="eu-west-1")),
    ]
    firehose_file(bedrock_feed(tmp_path), documents)
    lake = fed_lake(tmp_path)
    assert [(row.account, row.files) for row in materialize_raw(lake, SOURCE, DAY).rows] == [("unknown", 1)]
    result = materialized(lake)
    assert (result.audit.recounted, result.coverage.ratio) == (1, 1.0)
    (account,) = lake.published(TABLE.name, DAY).entries
    assert accounted(account) == (5, 3, 0, 2, 0, 0)
    assert (account.filtered_by, account.reason) == ({"control_message": 1, "log_streams": 1}, "")
    assert account.accounts == {ACCOUNT: 2, OTHER_ACCOUNT: 1}
    assert [(row["source_ordinal"], row["region"]) for row in rows_of(lake, TABLE.name)] == [
        (2, "us-east-1"),
        (3, "us-east-1"),
        (4, "eu-west-1"),
    ]


def test_a_call_that_both_ways_deliver_is_one_row(tmp_path):
    deliver(tmp_path, invocation(1))
    firehose_file(tmp_path / "firehose", [subscribed(invocation(1), invocation(2))], "2026-03-02T01:04:00")
    feeds = [Feed("s3", "bedrock", str(bedrock_feed(tmp_path))), Feed("logs", "bedrock", str(tmp_path / "firehose"))]
    lake = made_lake(tmp_path, feeds=feeds)
    totals = materialized(lake).manifest.totals
    assert (totals.found, totals.landed, totals.duplicate) == (3, 2, 1)
    assert {"/firehose/" in row["source_object"] for row in rows_of(lake, TABLE.name)} == {True}


def test_without_a_feed_a_day_is_empty_and_is_published_once(tmp_path):
    lake = made_lake(tmp_path)
    assert (materialize_raw(lake, SOURCE, DAY).files, materialized(lake).manifest.rows) == (0, 0)
    again = materialized(lake)
    assert (again.is_new, again.coverage.ratio, rows_of(lake, TABLE.name)) == (False, 1.0, [])
