"""The sample day: its script makes its files, and they hold what its README tells."""

import collections
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

from loglake_dagster_tests.bench.landing import (
    FIREHOSE_NAME,
    TRAIL_NAME,
    Record,
    firehose_documents,
    folder_day,
    inflated,
    log_events,
    trail_records,
)

SAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "sample_day"
LANDING = SAMPLE / "landing"
DAY, NEXT_DAY = "2023-07-10", "2023-07-11"
PENDING_SINCE = "2023-07-10T23:00:00Z"  # 00:30 of the next day less the SLA of 90 minutes
SESSION_GROUP, OTHER_GROUP = "/aws/ssm/sessionlogs", "/aws/lambda/orders"


def is_made(path: str) -> bool:
    return path.startswith("firehose/") or "_Made" in path


@functools.cache
def sound_records() -> list[tuple[pathlib.Path, Record]]:
    return [(f, r) for f, r in trail_records(LANDING) if isinstance(r, dict) and "eventTime" in r]


def made_records() -> list[Record]:
    return [record for _, record in sound_records() if record["recipientAccountId"] == "218007301253"]


def starts() -> list[Record]:
    return [r for r in made_records() if (r["eventSource"], r["eventName"]) == ("ssm.amazonaws.com", "StartSession")]


@functools.cache
def transcripts() -> dict[str, list[Record]]:
    """The log events of each log stream, in the order of time."""
    found: dict[str, list[Record]] = {}
    for document, event in log_events(LANDING, SESSION_GROUP):
        found.setdefault(document["logStream"], []).append(event)
    return found


def status_of(start: Record) -> str:
    if "errorCode" in start:
        return "not_started"
    if start["responseElements"]["sessionId"] in transcripts():
        return "captured"
    if start["requestParameters"].get("documentName", "") in (
        "AWS-StartSSHSession",
        "AWS-StartPortForwardingSessionToRemoteHost",
    ):
        return "not_loggable"
    return "pending" if start["eventTime"] > PENDING_SINCE else "missing"


def expected_rows() -> list[tuple[str, ...]]:
    """Status, owner, target, time and id of each session, as they follow from the files."""
    rows, ids = [], set()
    for start in starts():
        session_id = (start["responseElements"] or {}).get("sessionId", "")
        owner = start["userIdentity"]["arn"].rsplit("/", 1)[1]
        target = start["requestParameters"]["target"]
        rows.append((status_of(start), owner, target, start["eventTime"], session_id.removeprefix(f"{owner}-")))
        ids.add(session_id)
    for stream in transcripts().keys() - ids:
        message = json.loads(transcripts()[stream][0]["message"])
        owner, suffix = stream.rsplit("-", 1)
        rows.append(("orphan", owner, message["target"]["id"], message["eventTime"], suffix))
    return sorted(rows, key=lambda row: row[3])


def test_the_script_makes_the_committed_files(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-B", str(SAMPLE / "make_sample.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env={**os.environ, "TZ": "Asia/Tokyo"})
    committed = {path: content for path, content in inflated(LANDING).items() if is_made(path)}
    assert inflated(tmp_path / "landing") == committed


def test_real_files_are_all_there() -> None:
    records = [record for file, record in trail_records(LANDING) if not is_made(str(file.relative_to(LANDING)))]
    assert len(records) == len({record["eventID"] for record in records}) == 2900
    assert "MIT License" in (SAMPLE / "LICENSE.invictus").read_text()


def test_readme_lists_the_sessions_that_the_files_hold() -> None:
    cells = [re.split(r" *\| *", line)[1:6] for line in (SAMPLE / "README.md").read_text().splitlines()]
    statuses = {"captured", "pending", "missing", "not_loggable", "not_started", "orphan"}
    assert [tuple(row) for row in cells if row and row[0] in statuses] == expected_rows()


def test_every_status_occurs() -> None:
    counts = collections.Counter(row[0] for row in expected_rows())
    assert counts == {
        "captured": 5,
        "pending": 1,
        "missing": 1,
        "not_loggable": 2,
        "not_started": 2,
        "orphan": 1,
    }


def test_names_are_as_delivered() -> None:
    assert all(TRAIL_NAME.fullmatch(file.name) for file, _ in trail_records(LANDING))
    assert all(FIREHOSE_NAME.fullmatch(file.name) for file, _ in firehose_documents(LANDING))


def test_start_session_records_are_whole_and_masked() -> None:
    answers = [start["responseElements"] for start in starts() if start["responseElements"]]
    assert {answer["tokenValue"] for answer in answers} == {"Value hidden due to security reasons."}
    assert {len(answer["sessionId"].rsplit("-", 1)[1]) for answer in answers} == {17, 26}
    assert {start["eventVersion"] for start in starts()} == {"1.08", "1.09"}
    owners = {start["userIdentity"]["arn"].rsplit("/", 1)[1] for start in starts()}
    assert owners >= {"jan-willem", "deploy.runner", "mia.keller@example.com"}


def test_refused_starts_keep_their_request_and_have_no_id() -> None:
    refused = [start for start in starts() if "errorCode" in start]
    assert {start["errorCode"] for start in refused} == {"AccessDenied", "TargetNotConnected"}
    assert all(start["requestParameters"]["target"] and start["responseElements"] is None for start in refused)


def test_a_start_before_midnight_lies_in_the_next_days_folder() -> None:
    late = [record for file, record in sound_records() if folder_day(file) == NEXT_DAY]
    assert [(record["eventName"], record["eventTime"][:15]) for record in late] == [("StartSession", f"{DAY}T23:5")]
    events = transcripts()[late[0]["responseElements"]["sessionId"]]
    days = [json.loads(event["message"])["eventTime"][:10] for event in events]
    assert days == [DAY, DAY, NEXT_DAY, NEXT_DAY]


def test_transcripts_hold_escapes_markup_and_plain_text() -> None:
    texts = {stream: "".join(event["message"] for event in events) for stream, events in transcripts().items()}
    exfiltration = texts["svc-backup-0d9e8c7b6a5f41320"]
    assert "\\u001b[0;31m" in exfiltration
    assert "\\u003cscript src=" in exfiltration
    plain = texts["release-bot-794nnsxobsg4p2hiur6gxu9a9e"]
    assert plain.startswith("\nScript started on ")
    assert "\nScript done on " in plain
    with pytest.raises(json.JSONDecodeError):
        json.loads(plain)


def test_other_logs_and_a_control_message_share_the_stream() -> None:
    documents = [document for _, document in firehose_documents(LANDING)]
    groups = collections.Counter(d["logGroup"] for d in documents if d["messageType"] == "DATA_MESSAGE")
    assert groups == {SESSION_GROUP: 13, OTHER_GROUP: 3}
    assert [d["owner"] for d in documents if d["messageType"] == "CONTROL_MESSAGE"] == ["CloudwatchLogs"]
    ids = [e["id"] for d in documents for e in d["logEvents"] if d["logGroup"]]
    assert len(ids) == len(set(ids)) == 22
    assert all(len(each) == 56 and each.isdigit() for each in ids)


def test_an_object_is_delivered_twice() -> None:
    contents: dict[bytes, list[str]] = {}
    for file in (LANDING / "trail").rglob("*.json.gz"):
        contents.setdefault(file.read_bytes(), []).append(file.name)
    assert [len(names) for names in contents.values() if len(names) > 1] == [2]
    counts = collections.Counter(record["eventID"] for _, record in sound_records())
    assert sorted(counts.values())[-3:] == [1, 2, 2]
    assert len(counts) == 2915


def test_two_records_are_rejects() -> None:
    bad = [r for _, r in trail_records(LANDING) if not (isinstance(r, dict) and "eventTime" in r)]
    number, timeless = bad
    assert number == 42
    assert timeless["eventName"] == "DescribeSessions"


def test_athena_starts_a_session_too() -> None:
    others: list[Any] = [r["eventSource"] for r in made_records() if r["eventName"] == "StartSession"]
    assert collections.Counter(others)["athena.amazonaws.com"] == 1
