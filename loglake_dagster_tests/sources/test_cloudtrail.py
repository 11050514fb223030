"""CloudTrail: keys, folders, records that come back whole, the audit's own count."""

import datetime as dt
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.partition import UTC
from loglake_dagster.lake.source import Descent, IgnoredKey, SourceKey, Wanted
from loglake_dagster.sources.cloudtrail import COLUMNS, SOURCE, descend, parse_key, rebuild, recount
from loglake_dagster_tests.kernels.shapes import ANY_JSON, TIMES, Pairs, objects_with, text_of
from loglake_dagster_tests.made import ACCOUNT, DAY, LIMIT, TIME, decode_one, log_file, member, record, same_json

TESTS = Path(__file__).parents[1]
REAL_DAY = TESTS.parent / "examples/sample_day/landing/trail/AWSLogs/218007301253/CloudTrail/us-east-1/2023/07/10"
PUBLIC = sorted((TESTS / "golden/cloudtrail").glob("*/*.json"))
NAME = "111122223333_CloudTrail_eu-west-1_20260302T0005Z_AbCdEfGhIjKlMnOp.json.gz"
DELIVERED = dt.datetime(2026, 3, 2, 0, 5, tzinfo=UTC)


def key_of(trail, region="eu-west-1", file=NAME, delivered=DELIVERED):
    """(key, what it says) of a file in the folder of 2 March 2026."""
    folder = f"{trail}/111122223333/CloudTrail/{region}/2026/03/02/"
    place = (trail, ACCOUNT, region, "2026-03-02")
    return folder + file, SourceKey(DAY, delivered, ACCOUNT, region, place, folder)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(*key_of("AWSLogs"), id="a single account's trail"),
        pytest.param(*key_of("AWSLogs/o-exampleorg1"), id="an organisation's trail"),
        pytest.param(*key_of("some/prefix/AWSLogs/o-exampleorg1"), id="a prefix"),
        pytest.param(*key_of("o-exampleorg1/AWSLogs/o-exampleorg1"), id="Control Tower since 3.0"),
        pytest.param(*key_of("o-exampleorg1/AWSLogs"), id="Control Tower before 3.0"),
        pytest.param(*key_of("AWSLogs/backup/AWSLogs"), id="a prefix that holds AWSLogs"),
        pytest.param(*key_of("AWSLogs/444455556666/CloudTrail/us-east-1/2020/01/01/AWSLogs"), id="a folder as prefix"),
        pytest.param(*key_of("odd \U0001f600\n+%2B=/AWSLogs"), id="a prefix of any text"),
        pytest.param(*key_of("AWSLogs", "us-gov-west-1"), id="GovCloud"),
        pytest.param(*key_of("AWSLogs", "cn-north-1"), id="China"),
        pytest.param(*key_of("AWSLogs", "us-iso-east-1"), id="a region that no list has yet"),
        pytest.param(*key_of("AWSLogs", file=NAME.replace("_AbCd", "AbCd")), id="no underscore before the unique part"),
        pytest.param(*key_of("AWSLogs", file=NAME.removesuffix(".gz")), id="not packed"),
        pytest.param(*key_of("AWSLogs", file=NAME.replace("eu-west-1", "us-west-2")), id="another region in the name"),
        pytest.param(*key_of("AWSLogs", file="copied by hand.json", delivered=None), id="a name that is not AWS's"),
        pytest.param(*key_of("AWSLogs", file=NAME.replace("0302T", "0230T"), delivered=None), id="a name of no day"),
        pytest.param(
            *key_of("AWSLogs", file="811596193553_CloudTrail_us-east-1-20201001T0003.json.gz", delivered=None),
            id="the dashes of umccr's files",
        ),
    ],
)
def test_keys_of_log_files_say_where_and_when_they_were_delivered(key, expected):
    assert parse_key(key) == expected


DIGEST = "111122223333_CloudTrail-Digest_eu-west-1_main_us-east-1_20260302T010131Z.json.gz"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (f"AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/03/02/{DIGEST}", "CloudTrail-Digest folder"),
        (f"AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2026/03/02/{NAME}", "CloudTrail-Insight folder"),
        (
            f"AWSLogs/111122223333/CloudTrail-NetworkActivity/eu-west-1/2026/03/02/{NAME}",
            "CloudTrail-NetworkActivity folder",
        ),
        (f"AWSLogs/111122223333/CloudTrail-Aggregated/eu-west-1/2026/03/02/{NAME}", "CloudTrail-Aggregated folder"),
        ("o-exampleorg1/AWSLogs/111122223333/Config/ConfigWritabilityCheckFile", "not a CloudTrail key"),
        ("AWSLogs/111122223333/Config/eu-west-1/2026/3/2/ConfigSnapshot/x.json.gz", "not a CloudTrail key"),
        ("AWSLogs/111122223333/elasticloadbalancing/eu-west-1/2026/03/02/x.log.gz", "not a CloudTrail key"),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/02/", "folder marker"),
        ("AWSLogs/", "folder marker"),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/02/30/" + NAME, "no calendar day"),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/13/01/" + NAME, "no calendar day"),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/0000/01/01/" + NAME, "no calendar day"),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/3/2/" + NAME, "not a CloudTrail key"),
        ("AWSLogs/11112222333/CloudTrail/eu-west-1/2026/03/02/" + NAME, "not a CloudTrail key"),
        ("AWSLogs/" + "\u0661" * 12 + "/CloudTrail/eu-west-1/2026/03/02/" + NAME, "not a CloudTrail key"),
        ("AWSLogs/O-EXAMPLEORG1/111122223333/CloudTrail/eu-west-1/2026/03/02/" + NAME, "not a CloudTrail key"),
        ("xAWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/02/" + NAME, "not a CloudTrail key"),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/02/deep/" + NAME, "not a CloudTrail key"),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/02/manifest.csv", "not a log file"),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/02/.json", "not a log file"),
        ("", "not a CloudTrail key"),
    ],
)
def test_other_keys_are_ignored_by_reason(key, reason):
    assert parse_key(key) == IgnoredKey(reason)


PREFIXES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda one: not one.endswith("/"))


@given(
    PREFIXES.map(lambda one: f"{one}/" if one else ""),
    st.sampled_from(["AWSLogs", "AWSLogs/o-exampleorg1"]),
    st.from_regex(r"[0-9]{12}", fullmatch=True),
    st.sampled_from(["us-east-1", "us-gov-west-1", "cn-north-1", "ap-southeast-2"]),
    st.datetimes(dt.datetime(2000, 1, 1)).map(lambda one: one.replace(second=0, microsecond=0, tzinfo=UTC)),
    st.from_regex(r"[A-Za-z0-9]{16}", fullmatch=True),
)
def test_a_raw_partition_reads_back_from_the_keys_of_its_files(prefix, logs, account, region, delivered, unique):
    trail = prefix + logs
    folder = f"{trail}/{account}/CloudTrail/{region}/{delivered:%Y/%m/%d}/"
    file = f"{account}_CloudTrail_{region}_{delivered:%Y%m%dT%H%MZ}_{unique}.json.gz"
    key = parse_key(folder + file)
    assert key.partition == (trail, account, region, delivered.date().isoformat())
    assert (key.folder, key.delivery_time, key.delivery_day) == (folder, delivered, delivered.date())
    assert (key.account, key.region) == (account, region)


CONTROLS = Controls(accounts=Rule(deny=("4444*",)), regions=Rule(allow=("eu-*",)))
DAYS = frozenset([dt.date(2026, 3, 3), DAY])


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("AWSLogs/", Descent(("AWSLogs/",))),
        ("o-exampleorg1/", Descent(("o-exampleorg1/",))),
        ("AWSLogs/o-exampleorg1/", Descent(("AWSLogs/o-exampleorg1/",))),
        ("AWSLogs/backup/", Descent(("AWSLogs/backup/",))),
        ("AWSLogs/111122223333/", Descent(("AWSLogs/111122223333/",))),
        ("AWSLogs/o-exampleorg1/444455556666/", Descent(refused="accounts")),
        ("AWSLogs/111122223333/CloudTrail/", Descent(("AWSLogs/111122223333/CloudTrail/",))),
        ("AWSLogs/111122223333/CloudTrail-Digest/", Descent(ignored="CloudTrail-Digest folder")),
        ("AWSLogs/111122223333/Config/", Descent(ignored="Config folder")),
        ("p/AWSLogs/111122223333/CloudTrail/us-east-1/", Descent(refused="regions")),
        (
            "p/AWSLogs/111122223333/CloudTrail/eu-west-1/",
            Descent(
                (
                    "p/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/02/",
                    "p/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/03/",
                )
            ),
        ),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/02/deep/", Descent()),
    ],
)
def test_a_listing_goes_from_a_region_straight_to_the_asked_days(folder, expected):
    assert descend(folder, DAYS, CONTROLS) == expected


def real_files():
    return [path for path in sorted(REAL_DAY.glob("*.json.gz")) if "_Made" not in path.name]


def test_every_one_of_2900_real_events_comes_back_from_its_row():
    objects = [path.read_bytes() for path in real_files()]
    decoded = SOURCE.decode(objects, Wanted(), LIMIT)
    given = [json.loads(gzip.decompress(data))["Records"] for data in objects]
    assert len(objects) == 55
    assert sum(map(len, given)) == decoded.rows.num_rows == 2900
    for row in decoded.rows.to_pylist():
        assert same_json(rebuild(row), given[row["object_place"]][row["source_ordinal"]])
    assert [account.found for account in decoded.objects] == [len(records) for records in given]
    assert decoded.rows["extra"].null_count == 2900
    assert not any(account.rejects or account.notes or account.damage for account in decoded.objects)


def test_real_events_give_the_same_rows_beside_a_record_that_is_none():
    """One bad record sends its whole object along the careful path."""
    texts = [gzip.decompress(path.read_bytes()) for path in real_files()[:12]]
    typed = SOURCE.decode(texts, Wanted(), LIMIT)
    careful = SOURCE.decode([text.rstrip()[:-2] + b",42]}" for text in texts], Wanted(), LIMIT)
    assert careful.rows.equals(typed.rows)
    assert [len(account.rejects) for account in careful.objects] == [1] * len(texts)


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_public_records_of_every_version_come_back_from_their_rows(path):
    document = json.loads(path.read_text())
    records = document if isinstance(document, list) else document["Records"]
    rows, account = decode_one(SOURCE, path.read_bytes())
    assert (len(rows), account.rejects) == (len(records), [])
    for row in rows:
        assert same_json(rebuild(row), records[row["source_ordinal"]])
    assert recount(path.read_bytes(), Wanted()).found == account.found


FIELDS = [str(column.field).split(".") for column in COLUMNS if column.field]
TOP = sorted({path[0] for path in FIELDS})


def members_below(path):
    """JSON objects with the members that the columns know below a path."""
    names = sorted({one[len(path)] for one in FIELDS if one[: len(path)] == path and len(one) > len(path)})
    inner = ANY_JSON
    for name in names:
        if [*path, name] in [one[: len(path) + 1] for one in FIELDS if len(one) > len(path) + 1]:
            inner = inner | members_below([*path, name])
    return objects_with(names, inner)


IDENTITIES = members_below(["userIdentity"])
RECORDS = st.tuples(
    st.sampled_from(TIMES),
    st.lists(st.tuples(st.sampled_from([*TOP, "annotation", "EVENTNAME"]), ANY_JSON | IDENTITIES), max_size=5),
    st.lists(st.tuples(st.just("userIdentity"), IDENTITIES), max_size=1),
).map(lambda one: Pairs([("eventTime", one[0]), *one[1], *one[2]]))


@given(st.lists(RECORDS, max_size=4))
def test_any_json_in_place_of_any_field_is_a_row_that_gives_it_back_or_a_verbatim_reject(records):
    texts = [text_of(one).encode() for one in records]
    rows, account = decode_one(SOURCE, log_file(*texts))
    assert account.found == len(texts)
    for row in rows:
        assert same_json(rebuild(row), json.loads(texts[row["source_ordinal"]]))
    for reject in account.rejects:
        assert reject.record == texts[reject.ordinal]


SESSION_JSON = ANY_JSON | st.dictionaries(st.just("sessionId"), ANY_JSON | st.just("a-b-c"))


@given(SESSION_JSON, SESSION_JSON)
def test_any_json_in_the_place_of_a_sessions_name_never_raises(asked, answered):
    data = record(
        eventSource="ssm.amazonaws.com", eventName="StartSession", requestParameters=asked, responseElements=answered
    )
    (row,), _account = decode_one(SOURCE, log_file(data))
    names = [one["sessionId"] for one in (answered, asked) if isinstance(one, dict) and "sessionId" in one]
    texts = [name for name in names if isinstance(name, str) and name]
    expected = tuple(texts[0].rpartition("-")[::2]) if texts else (None, None)
    assert (row["sessionowner"], row["sessionid"]) == expected


@pytest.mark.parametrize(
    "asked",
    [b'{"target":"i-1","n":1e400}', b'{"a":' + b"[" * 800 + b"]" * 800 + b"}"],
    ids=["a number that fits no double", "deep nesting"],
)
def test_odd_parameters_of_a_session_cost_nothing_else(asked):
    text = b'{"eventTime":"2026-03-02T01:02:03Z","eventSource":"ssm.amazonaws.com","eventName":"StartSession",'
    text += b'"requestParameters":' + asked + b',"responseElements":{"sessionId":"ana-1"}}'
    rows, account = decode_one(SOURCE, log_file(text, record()))
    assert [(row["sessionid"], row["requestparameters"]) for row in rows] == [("1", asked.decode()), (None, None)]
    assert account.rejects == []


def test_controls_drop_events_by_source_then_by_name_and_count_them():
    wanted = Wanted(Controls(event_sources=Rule(deny=("kms.*",)), event_names=Rule(allow=("Run*", "Start*"))))
    data = log_file(
        record(),
        record(eventName="DescribeInstances"),
        record(eventSource="kms.amazonaws.com"),
        record(eventSource="kms.amazonaws.com", eventName="Decrypt", new=1),
        record(eventName=None),
        42,
    )
    rows, account = decode_one(SOURCE, data, wanted)
    assert [row["source_ordinal"] for row in rows] == [0]
    assert account.filtered == {"event_names": 2, "event_sources": 2}
    assert len(account.rejects) == 1
    assert recount(data, wanted) == recount(member(data), wanted)
    assert (recount(data, wanted).found, recount(data, wanted).wanted_by_day) == (6, {DAY: 1})


DROPPING = Wanted(Controls(event_names=Rule(deny=("Run*", "7")), event_sources=Rule(deny=("ec2*",))))
COUNTED = st.lists(
    st.tuples(
        st.sampled_from(["eventTime", "eventTime", "EVENTTIME", "eventName", "EventName", "eventSource"]),
        ANY_JSON | st.sampled_from([*TIMES, "RunInstances", "ec2.amazonaws.com"]),
    ),
    max_size=5,
).map(Pairs)


@given(
    st.lists(COUNTED.map(lambda one: text_of(one).encode()) | ANY_JSON, max_size=4),
    st.sampled_from(["Records", "Records", "records"]),
    st.sampled_from([Wanted(), DROPPING]),
)
def test_the_audits_own_count_never_contradicts_a_right_decode(records, name, wanted):
    """A contradiction stops the day from being published (engines/audit.py): it may refuse to count, but not differ."""
    data = log_file(*records).replace(b"Records", name.encode(), 1)
    rows, account = decode_one(SOURCE, data, wanted)
    counted = recount(data, wanted)
    assert counted.found == account.found
    days = [row["eventtime"].date() for row in rows]
    for day in {*days, *counted.wanted_by_day}:
        assert days.count(day) <= counted.wanted_by_day.get(day, 0) <= days.count(day) + len(account.rejects)


@given(
    st.lists(
        st.builds(
            lambda name, time: record(eventName=name, eventTime=time),
            st.sampled_from(["RunInstances", "Describe", None, 7]),
            st.sampled_from([TIME, "2026-03-01T23:59:59.9Z", "2026-03-03T00:30:00+01:00"]),
        ),
        max_size=6,
    ),
    st.sampled_from([Wanted(), DROPPING]),
)
def test_the_audits_own_count_agrees_with_the_decode_on_sound_objects(records, wanted):
    rows, account = decode_one(SOURCE, log_file(*records), wanted)
    counted = recount(log_file(*records), wanted)
    days = [row["eventtime"].date() for row in rows]
    assert (counted.found, account.rejects) == (account.found, [])
    assert counted.wanted_by_day == {day: days.count(day) for day in set(days)}


def test_the_audits_own_count_agrees_with_the_decode_on_real_files():
    for path in real_files():
        rows, account = decode_one(SOURCE, path.read_bytes())
        counted = recount(path.read_bytes(), Wanted())
        assert (counted.found, sum(counted.wanted_by_day.values())) == (account.found, len(rows))
