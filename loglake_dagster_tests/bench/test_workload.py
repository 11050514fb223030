"""The made workload: the same each time, its truth equal to a recount, every oddity really in it."""

import collections
import dataclasses
import datetime as dt
import gzip
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.workload import WorkloadOptions, make_workload
from loglake_dagster_tests.bench.landing import (
    FIREHOSE_NAME,
    TRAIL_NAME,
    Record,
    firehose_documents,
    folder_day,
    log_events,
    trail_records,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
DAY, NEXT_DAY = "2026-11-01", "2026-11-02"
SESSION_GROUP = "/aws/ssm/sessionlogs"
TINY = WorkloadOptions(events=240, accounts=8, sessions=12, per_file=4)
DENSE = WorkloadOptions(events=240, accounts=2, sessions=12, per_file=100, bucket_minutes=60)


@pytest.fixture(scope="module", params=["tiny files", "dense files"])
def workload(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("workload")
    make_workload(out, TINY if request.param == "tiny files" else DENSE)
    return out


# -- a recount by other code ----------------------------------------------------------------------------


def recount(out: pathlib.Path) -> dict[str, Any]:
    """truth.json as it follows from the files alone."""
    delivered = trail_records(out)
    unique = {record["eventID"]: (file, record) for file, record in delivered}
    places: dict[str, dict[str, collections.Counter[str]]] = {}
    for file, record in unique.values():
        account, region = file.parts[-7], file.parts[-5]
        accounts = places.setdefault(record["eventTime"][:10], {})
        accounts.setdefault(account, collections.Counter())[region] += 1
    documents = [document for _, document in firehose_documents(out)]
    data = [document for document in documents if document["messageType"] == "DATA_MESSAGE"]
    starts = [record for _, record in unique.values() if is_start(record)]
    transcripts = recount_transcripts(out)
    sessions = {start["eventID"]: recount_session(start, transcripts) for start in starts}
    started = {(each["account"], each["owner"], each["sessionid"]) for each in sessions.values()}
    orphans = [
        each for each in transcripts.values() if (each["account"], each["owner"], each["sessionid"]) not in started
    ]
    return {
        "events": collections.Counter(record["eventTime"][:10] for _, record in unique.values()),
        "events_by_account_region": places,
        "names": collections.Counter(f"{r['eventSource']}:{r['eventName']}" for _, r in unique.values()),
        "files": sum(file.is_file() for folder in ("trail", "firehose") for file in (out / folder).rglob("*")),
        "duplicate_events": len(delivered) - len(unique),
        "next_day_folder_events": sum(folder_day(f) != r["eventTime"][:10] for f, r in unique.values()),
        "sessions": sessions,
        "orphans": [{key: value for key, value in each.items() if key != "days"} for each in orphans],
        "orphan_transcripts": len(orphans),
        "control_messages": len(documents) - len(data),
        "noise_log_events": sum(len(each["logEvents"]) for each in data if each["logGroup"] != SESSION_GROUP),
        "log_events": collections.Counter(utc_day(e["timestamp"]) for each in data for e in each["logEvents"]),
    }


def recount_transcripts(out: pathlib.Path) -> dict[str, dict[str, Any]]:
    streams: dict[str, list[tuple[Record, Record]]] = {}
    for document, event in log_events(out, SESSION_GROUP):
        streams.setdefault(document["logStream"], []).append((document, event))
    found = {}
    for stream, pairs in streams.items():
        messages = [json.loads(event["message"]) for _, event in pairs]
        lines = [line for message in messages for line in message["sessionData"]]
        owner, suffix = stream.rsplit("-", 1)
        found[stream] = {
            "sessionid": suffix,
            "owner": owner,
            "account": pairs[0][0]["owner"],
            "region": messages[0]["awsRegion"],
            "lines": len(lines),
            "chunks": len(messages),
            "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            "days": {utc_day(event["timestamp"]) for _, event in pairs},
        }
    return found


def recount_session(start: Record, transcripts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    session_id = (start["responseElements"] or {}).get("sessionId")
    transcript = transcripts.get(session_id or "", {})
    days = transcript.get("days", set())
    return {
        "kind": kind_of(start, days),
        "sessionid": session_id and session_id.rsplit("-", 1)[1],
        "owner": start["userIdentity"]["arn"].rsplit("/", 1)[1],
        "account": start["recipientAccountId"],
        "region": start["awsRegion"],
        "lines": transcript.get("lines", 0),
        "chunks": transcript.get("chunks", 0),
        "sha256": transcript.get("sha256"),
    }


def kind_of(start: Record, days: set[str]) -> str:
    if "errorCode" in start:
        return "denied"
    document = start["requestParameters"].get("documentName", "")
    if "PortForwarding" in document or "SSH" in document:
        return "not_loggable"
    if not days:
        return "missing"
    return "crosses_midnight" if len(days) == 2 else "captured"


def is_start(record: Record) -> bool:
    return bool(record["eventSource"] == "ssm.amazonaws.com" and record["eventName"] == "StartSession")


def utc_day(milliseconds: int) -> str:
    return dt.datetime.fromtimestamp(milliseconds // 1000, dt.UTC).strftime("%Y-%m-%d")


def assert_truth_holds(out: pathlib.Path) -> None:
    truth, found = json.loads((out / "truth.json").read_text()), recount(out)
    for each in (truth, found):
        each["orphans"].sort(key=lambda orphan: str(orphan["sessionid"]))
    assert truth == found


# -- truth ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [TINY, DENSE], ids=["tiny files", "dense files"])
@pytest.mark.parametrize("seed", [1, 2, 7])
def test_truth_equals_a_recount(tmp_path: pathlib.Path, shape: WorkloadOptions, seed: int) -> None:
    truth = make_workload(tmp_path, dataclasses.replace(shape, seed=seed))
    assert truth == json.loads((tmp_path / "truth.json").read_text())
    assert_truth_holds(tmp_path)


@settings(max_examples=10, deadline=None)
@given(
    st.builds(
        WorkloadOptions,
        events=st.integers(0, 60),
        day=st.dates(dt.date(2013, 1, 1), dt.date(2030, 12, 31)),
        accounts=st.integers(1, 5),
        sessions=st.integers(0, 12),
        duplicates=st.sampled_from([0.0, 0.3, 1.0]),
        per_file=st.integers(1, 50),
        bucket_minutes=st.sampled_from([1, 5, 7, 60]),
        seed=st.integers(0, 10**6),
    )
)
def test_truth_holds_for_any_options(options: WorkloadOptions) -> None:
    with tempfile.TemporaryDirectory() as out:
        truth = make_workload(pathlib.Path(out), options)
        assert sum(truth["events"].values()) == options.events + options.sessions
        assert_truth_holds(pathlib.Path(out))


# -- the same each time ---------------------------------------------------------------------------------


def test_same_options_give_the_same_bytes(tmp_path: pathlib.Path) -> None:
    contents = []
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        make_workload(tmp_path / name, dataclasses.replace(TINY, seed=seed))
        files = (file for file in (tmp_path / name).rglob("*") if file.is_file())
        contents.append({file.relative_to(tmp_path / name): file.read_bytes() for file in files})
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_an_earlier_workload_is_not_written_over(tmp_path: pathlib.Path) -> None:
    make_workload(tmp_path, WorkloadOptions(events=1, sessions=0))
    with pytest.raises(FileExistsError, match="trail: expected no earlier workload"):
        make_workload(tmp_path, WorkloadOptions(events=1, sessions=0))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("accounts", 0, "accounts: expected at least 1, got 0"),
        ("duplicates", 1.5, "a share from 0 to 1, got 1.5"),
    ],
)
def test_impossible_options_are_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WorkloadOptions(**{name: value})  # type: ignore[arg-type]


def test_command_line(tmp_path: pathlib.Path) -> None:
    arguments = "--events 30 --day 2024-02-29 --accounts 2 --sessions 3 --duplicates 0"
    shape = "--per-file 9 --bucket-minutes 15 --seed 5"
    command = [sys.executable, "-m", "bench.workload", str(tmp_path), *f"{arguments} {shape}".split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout)
    assert summary["events"] == {"2024-02-29": 33}
    assert summary["sessions"] == 3
    assert summary["duplicate_events"] == 0
    assert_truth_holds(tmp_path)


# -- what is built in -----------------------------------------------------------------------------------


def test_names_and_folders_are_as_delivered(workload: pathlib.Path) -> None:
    for file, record in trail_records(workload):
        account, region = file.parts[-7], file.parts[-5]
        matched = TRAIL_NAME.fullmatch(file.name)
        assert matched
        assert matched.groups() == (account, region)
        assert (record["recipientAccountId"], record["awsRegion"]) == (account, region)
    for file, _ in firehose_documents(workload):
        assert FIREHOSE_NAME.fullmatch(file.name)
        assert f"{file.parent.parent.name}-{file.parent.name}-" in file.name


def test_no_file_is_older_than_its_events(workload: pathlib.Path) -> None:
    for file, record in trail_records(workload):
        stamp = dt.datetime.strptime(file.name.split("_")[3], "%Y%m%dT%H%MZ")
        assert stamp.strftime("%Y-%m-%dT%H:%M:%SZ") > record["eventTime"]


def test_files_are_small_and_records_out_of_order(workload: pathlib.Path) -> None:
    times: dict[pathlib.Path, list[str]] = {}
    for file, record in trail_records(workload):
        times.setdefault(file, []).append(record["eventTime"])
    assert sorted(map(len, times.values()))[len(times) // 2] < 10
    assert any(found != sorted(found) for found in times.values())


def test_a_second_trail_repeats_files_under_other_names(workload: pathlib.Path) -> None:
    files: dict[str, set[pathlib.Path]] = {}
    for file, record in trail_records(workload):
        files.setdefault(record["eventID"], set()).add(file)
    assert {len(found) for found in files.values()} == {1, 2}


def test_events_near_midnight_land_in_the_next_days_folder(workload: pathlib.Path) -> None:
    late = [record for file, record in trail_records(workload) if folder_day(file) == NEXT_DAY]
    assert f"{DAY}T23:59:59Z" in {record["eventTime"] for record in late}
    assert {record["eventTime"][:10] for record in late} == {DAY}


def test_start_sessions_of_every_sort(workload: pathlib.Path) -> None:
    records = [record for _, record in trail_records(workload)]
    assert any(r["eventSource"] == "athena.amazonaws.com" and r["eventName"] == "StartSession" for r in records)
    sessions = json.loads((workload / "truth.json").read_text())["sessions"].values()
    kinds = {"captured", "missing", "not_loggable", "denied", "crosses_midnight"}
    assert {session["kind"] for session in sessions} == kinds
    assert {len(session["sessionid"]) for session in sessions if session["sessionid"]} == {17, 26}
    assert any("-" in session["owner"] for session in sessions)
    assert any("@" in session["owner"] and "." in session["owner"] for session in sessions)
    starts = [record for record in records if is_start(record)]
    assert {start["userIdentity"]["type"] for start in starts} == {"AssumedRole", "IAMUser"}
    assert any("documentName" not in (start["requestParameters"] or {}) for start in starts)


def test_transcripts_keep_what_terminals_leave(workload: pathlib.Path) -> None:
    pairs = log_events(workload, SESSION_GROUP)
    text = "".join(event["message"] for _, event in pairs)
    assert not set("<>&") & set(text)
    data = [line for _, event in pairs for line in json.loads(event["message"])["sessionData"]]
    assert "" in data
    for fragment in ("\u001b[", "\u0007", "\b", "\ufffd", "\u25cf", "<date> & time"):
        assert any(fragment in line for line in data), fragment
    assert all(document["logStream"] == json.loads(event["message"])["sessionId"] for document, event in pairs)


def test_other_logs_share_the_stream(workload: pathlib.Path) -> None:
    documents = [document for _, document in firehose_documents(workload)]
    assert {document["messageType"] for document in documents} == {"DATA_MESSAGE", "CONTROL_MESSAGE"}
    assert len({document["logGroup"] for document in documents} - {"", SESSION_GROUP}) >= 2
    data = [document for document in documents if document["logGroup"]]
    assert any(len(document["logEvents"]) == 3 for document in data)
    assert all(len(event["id"]) == 56 and event["id"].isdigit() for each in data for event in each["logEvents"])
    files = collections.Counter(file for file, _ in firehose_documents(workload))
    assert any(file.read_bytes().count(b"\x1f\x8b\x08") > 1 for file, count in files.items() if count > 1)


def test_identities_of_several_types(workload: pathlib.Path) -> None:
    identities = [record["userIdentity"] for _, record in trail_records(workload)]
    assert None in identities
    present = [identity for identity in identities if identity]
    assert {identity.get("type") for identity in present} >= {"AssumedRole", "IAMUser", "AWSService", None}
    assert not any("arn" in identity for identity in present if identity.get("type") == "AWSService")
    contexts = [identity["sessionContext"] for identity in present if "sessionContext" in identity]
    assert any(context["webIdFederationData"] == {} and context["sessionIssuer"] for context in contexts)


def test_fields_come_absent_null_and_with_errors(workload: pathlib.Path) -> None:
    records = [record for _, record in trail_records(workload)]
    for name in ("resources", "tlsDetails", "requestID", "managementEvent", "eventCategory", "errorCode"):
        assert {name in record for record in records} == {True, False}, name
    for name in ("requestParameters", "responseElements", "additionalEventData", "apiVersion"):
        assert any(record.get(name, "") is None for record in records), name
    errors = [record for record in records if "errorCode" in record]
    assert all(record["errorMessage"] and record["responseElements"] is None for record in errors)
    assert {record["eventType"] for record in records} == {"AwsApiCall", "AwsServiceEvent"}
    assert any("serviceEventDetails" in record for record in records)


def test_trees_are_deep_wide_and_unicode(workload: pathlib.Path) -> None:
    trees = [record["requestParameters"] for _, record in trail_records(workload)]
    wide = [tree for tree in trees if tree and "sequence" in tree]
    assert all(tree["sequence"] > 2**64 for tree in wide)
    assert any("\u65e5\u672c\u8a9e" in tree["name"] and "\U0001f680" in tree["name"] for tree in wide)
    assert any("" in tree["a.dotted.key"] and {"Tag", "tag"} <= tree.keys() for tree in wide)
    texts = [gzip.decompress(file.read_bytes()) for file in (workload / "trail").rglob("*.gz")]
    assert any(b"\\ud83d\\ude80" in text for text in texts), "escaped"
    assert any("\U0001f680".encode() in text for text in texts), "raw"
