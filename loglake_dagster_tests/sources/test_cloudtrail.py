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
from loglake_dagster.lake.source import Descent, Wanted
from loglake_dagster.sources.cloudtrail import COLUMNS, FOLDERS, SOURCE, descend, parse_key, rebuild, recount
from loglake_dagster_tests.kernels.shapes import ANY_JSON, TIMES, Pairs, objects_with, text_of
from loglake_dagster_tests.made import (
    DAY,
    LIMIT,
    TIME,
    decode_one,
    log_file,
    member,
    record,
    same_json,
)

TESTS = Path(__file__).parents[1]
REAL_DAY = TESTS.parent / "examples/sample_day/landing/trail/AWSLogs/218007301253/CloudTrail/us-east-1/2023/07/10"
PUBLIC = sorted((TESTS / "golden/cloudtrail").glob("*/**/*.json*"))
PREFIXES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda one: not one.endswith("/"))


@given(
    PREFIXES.map(lambda one: f"{one}/" if one else ""),
    st.sampled_from(["AWSLogs", "AWSLogs/o-exampleorg1"]),
    st.from_regex(r"[0-9]{12}", fullmatch=True),
    st.sampled_from(FOLDERS),
    st.sampled_from(["us-east-1", "us-gov-west-1", "cn-north-1", "ap-southeast-2"]),
    st.datetimes(dt.datetime(2000, 1, 1)).map(lambda one: one.replace(second=0, microsecond=0, tzinfo=UTC)),
    st.from_regex(r"[A-Za-z0-9]{16}", fullmatch=True),
)
def test_a_raw_partition_reads_back_from_the_keys_of_its_files(prefix, logs, account, kind, region, delivered, unique):
    trail = prefix + logs
    folder = f"{trail}/{account}/{kind}/{region}/{delivered:%Y/%m/%d}/"
    file = f"{account}_{kind}_{region}_{delivered:%Y%m%dT%H%MZ}_{unique}.json.gz"
    key = parse_key(folder + file)
    assert key.partition == (trail, kind, account, region, delivered.date().isoformat())
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
        ("AWSLogs/111122223333/CloudTrail-Insight/", Descent(("AWSLogs/111122223333/CloudTrail-Insight/",))),
        ("AWSLogs/111122223333/CloudTrail-Digest/", Descent(("AWSLogs/111122223333/CloudTrail-Digest/",))),
        ("AWSLogs/111122223333/CloudTrail-Lake/", Descent(ignored="CloudTrail-Lake folder")),
        ("AWSLogs/111122223333/Config/", Descent(ignored="Config folder")),
        ("AWSLogs/111122223333/elasticloadbalancing/", Descent(ignored="elasticloadbalancing folder")),
        ("AWSLogs/111122223333/AWSLogs/", Descent(("AWSLogs/111122223333/AWSLogs/",))),
        ("AWSLogs/111122223333/AWSLogs/111122223333/Config/", Descent(ignored="Config folder")),
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
        *[
            (
                f"AWSLogs/111122223333/{kind}/eu-west-1/",
                Descent(tuple(f"AWSLogs/111122223333/{kind}/eu-west-1/2026/03/0{day}/" for day in (2, 3))),
            )
            for kind in (*FOLDERS, "CloudTrail-Digest")
        ],
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


def records_of(path):
    data = path.read_bytes()
    document = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    return document if isinstance(document, list) else document.get("Records", [document])


GOLDEN = [
    path for path in sorted((TESTS / "golden/cloudtrail").glob("*.in.json")) if path.name != "not-a-record.in.json"
]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name.removesuffix(".in.json"))
def test_golden_records_come_back_from_their_rows(path):
    rows, account = decode_one(SOURCE, path.read_bytes())
    records = records_of(path)
    assert account.found == len(records)
    for row in rows:
        assert same_json(rebuild(row), records[row["source_ordinal"]])


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_public_records_of_every_version_come_back_from_their_rows(path):
    records = records_of(path)
    rows, account = decode_one(SOURCE, path.read_bytes())
    assert (len(rows), account.rejects, account.error) == (len(records), [], None)
    for row in rows:
        assert same_json(rebuild(row), records[row["source_ordinal"]])
    counted = recount(path.read_bytes(), Wanted())
    assert (counted.found, sum(counted.wanted_by_day.values())) == (account.found, len(rows))


def test_public_records_are_of_every_version():
    assert len(PUBLIC) == 22
    assert sum(len(records_of(path)) for path in PUBLIC) == 235
    versions = {record["eventVersion"] for path in PUBLIC for record in records_of(path)}
    assert versions >= {"1.0", *(f"1.0{minor}" for minor in range(1, 10)), "1.10", "1.11"}


VERSIONS = ["1.0", "1.00", *(f"1.0{minor}" for minor in range(1, 10)), "1.10", "1.11", "1.99", "2.0"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_record_of_any_version_is_a_row(version):
    (row,), account = decode_one(SOURCE, log_file(record(eventVersion=version)))
    assert (row["eventversion"], row["extra"], account.notes) == (version, None, ())


def test_a_second_gzip_member_is_read_and_noted():
    data = member(log_file(record(eventID="a"))) + member(log_file(record(eventID="b")))
    rows, account = decode_one(SOURCE, data)
    assert [row["eventid"] for row in rows] == ["a", "b"]
    assert (account.found, account.notes, account.damage) == (2, ("2 gzip members",), None)


def test_json_text_of_real_records_is_kept_to_the_letter():
    """Numbers and escapes as they stood in the file, not as a reader of JSON would write them again."""
    for path in [*real_files(), *PUBLIC]:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        for row in SOURCE.decode([data], Wanted(), LIMIT).rows.to_pylist():
            for column in COLUMNS:
                if column.kind == "json" and column.field and row[column.name] is not None:
                    assert row[column.name] in text


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
WINDOWS = objects_with(["windowStart"], ANY_JSON | st.sampled_from(TIMES))
COUNTED = st.lists(
    st.tuples(
        st.sampled_from(["eventTime", "eventTime", "EVENTTIME", "timeWindow", "eventName", "EventName", "eventSource"]),
        ANY_JSON | st.sampled_from([*TIMES, "RunInstances", "ec2.amazonaws.com"]) | WINDOWS,
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
