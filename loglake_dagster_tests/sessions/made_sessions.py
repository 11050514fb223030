"""Hand-made sessions: StartSession records, what agents log, and a lake in which both have landed."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loglake_dagster.engines.lake import Lake
from loglake_dagster.engines.readready import materialize_readready
from loglake_dagster.lake.partition import ONE_DAY
from loglake_dagster.sources import cloudtrail, cloudwatch
from loglake_dagster_tests.engines.deliveries import REGION, firehose_file, trail_file
from loglake_dagster_tests.engines.made_lake import firehose_of, trail_of
from loglake_dagster_tests.made import ACCOUNT, DAY, compact, document, log_event, record

SHELL = "SSM-SessionManagerRunShell"
TARGET = "i-0123456789abcdef0"
Json = Any


def utc(text: str) -> dt.datetime:
    """2026-03-02T01:02:03 and the like, in UTC."""
    return stored(text).replace(tzinfo=dt.timezone.utc)


def stored(text: str) -> dt.datetime:
    """The same as it stands in a row: UTC without saying so."""
    return dt.datetime.fromisoformat(text)


def start(name: str | None, time: str = "2026-03-02T09:00:00", **fields: Json) -> dict[str, Json]:
    """A StartSession record; `name` is the session's, None where the answer is null."""
    owner = (name or "nobody-0").rpartition("-")[0]
    return record(
        **{
            "eventID": f"start of {name} at {time}",
            "eventTime": f"{time}Z",
            "eventSource": "ssm.amazonaws.com",
            "eventName": "StartSession",
            "awsRegion": REGION,
            "userIdentity": {"type": "AssumedRole", "arn": arn_of(owner), "accountId": ACCOUNT},
            "requestParameters": {"target": TARGET},
            "responseElements": {"sessionId": name, "tokenValue": "hidden"} if name else None,
            **fields,
        }
    )


def arn_of(owner: str) -> str:
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/Operators/{owner}"


def streamed(name: str, time: str, lines: Sequence[str] | None, **fields: Json) -> bytes:
    """A subscription document with one chunk as the agent streams it, logged at `time`."""
    message = {
        "eventVersion": "1.0",
        "eventTime": f"{time[:19]}Z",
        "awsRegion": REGION,
        "target": {"id": TARGET},
        "userIdentity": {"arn": arn_of(name.rpartition("-")[0])},
        "runAsUser": "ssm-user",
        "sessionId": name,
        "sessionData": lines,
        **fields,
    }
    return logged(name, (time, compact(message).decode()))


def logged(name: str, *messages: tuple[str, str]) -> bytes:
    """A subscription document of the session's log stream: (time, message) of each log event."""
    events = [
        log_event(message, id=f"{name} {time} {n}", timestamp=int(utc(time).timestamp() * 1000))
        for n, (time, message) in enumerate(messages)
    ]
    return document(*events, logStream=name)


def land(
    lake: Lake,
    folder: Path,
    started: Sequence[Json] = (),
    typed: Sequence[bytes] = (),
    day: dt.date = DAY,
    nonce: int = 0,
) -> None:
    """Delivers records and documents on a day and brings the tables of that day up to date."""
    if started:
        trail_file(trail_of(folder), started, f"{day}T12:00", nonce=f"S{nonce}")
    if typed:
        firehose_file(firehose_of(folder), typed, f"{day}T12:00:00", nonce)
    for source in (cloudtrail.SOURCE, cloudwatch.SOURCE):
        materialize_readready(lake, source, day).raise_if_refused()


def land_around(lake: Lake, folder: Path, started: Sequence[Json], typed: Sequence[bytes]) -> None:
    """The same for the day before and the day after: StartSessions of the former, keystrokes of the latter."""
    trail_file(trail_of(folder), started, f"{DAY - ONE_DAY}T12:00")
    materialize_readready(lake, cloudtrail.SOURCE, DAY - ONE_DAY).raise_if_refused()
    if typed:
        firehose_file(firehose_of(folder), typed, f"{DAY + ONE_DAY}T12:00:00")
    materialize_readready(lake, cloudwatch.SOURCE, DAY + ONE_DAY).raise_if_refused()
