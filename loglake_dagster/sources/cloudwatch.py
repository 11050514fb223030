"""CloudWatch Logs as a subscription filter and Firehose deliver them: nameless objects of documents back to back.

Formats: docs/formats.md 4 (payload 4.1, bytes 4.2, keys 4.3) and 3.4, 3.5 for the session logs inside.
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from loglake_dagster.kernels.documents import LogGroups, decode_documents
from loglake_dagster.lake.controls import Controls
from loglake_dagster.lake.partition import UTC
from loglake_dagster.lake.schema import EVENT_DAY, SOURCE_OBJECT, SOURCE_ORDINAL, Column, Table
from loglake_dagster.lake.source import Descent, IgnoredKey, Recount, Source, SourceKey, Wanted

_NAME = re.compile(
    r"(?P<stream>.+?)(?:-(?P<version>\d+))?-(?P<time>\d{4}(?:-\d\d){5})-"
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.[^/]*)?",
    re.ASCII | re.DOTALL,
)
# Firehose names an object after the arrival of its oldest record and fills it for up to 15 minutes.
LEAD = dt.timedelta(minutes=30)
# `2026/03/02/01/`, `logs2026/03/02/01/` (a prefix without its slash), `year=2026/month=03/day=02/...`.
_DAY_FOLDER = re.compile(r"(?:.*[^0-9])?(?:year=)?(\d{4})/(?:month=)?(\d\d)/(?:day=)?(\d\d)/(?:.*/)?", re.DOTALL)
_MONTH_FOLDER = re.compile(r"(?:.*[^0-9])?(?:year=)?(\d{4})/(?:month=)?(\d\d)/", re.DOTALL)
_ERRORS = re.compile(
    r"(?:^|/)(?:[^/]*)(processing-failed|decompression-failed|format-conversion-failed|AmazonOpenSearchService-failed|"
    r"splunk-failed|http-endpoint-failed)(?=[/\d])",
)

COLUMNS = (
    Column("eventtime", "timestamp", "Time of the log event.", "logEvents[].timestamp", "UTC", False),
    Column("owner", "string", "Account of the log group; 12 digits, leading zeros kept.", "owner"),
    Column("loggroup", "string", "Log group.", "logGroup"),
    Column("logstream", "string", "Log stream; for session logs the session's name.", "logStream"),
    Column("eventid", "string", "Id of the log event, a decimal of 56 digits.", "logEvents[].id", lookup=True),
    Column("message", "string", "The log event's text, exactly as it came.", "logEvents[].message"),
    Column("extractedfields", "json", "Fields that the filter pattern extracted, JSON.", "logEvents[].extractedFields"),
    Column("sessionid", "string", "Session logs: text after the last hyphen of the stream's name.", lookup=True),
    Column("sessionowner", "string", "Session logs: text before the last hyphen of the stream's name."),
    Column("awsregion", "string", "Session logs: region of the session; null in plain ones.", "message.awsRegion"),
    Column("target", "string", "Session logs: instance or task that the session ran on.", "message.target.id"),
    Column("useridentity_arn", "string", "Session logs: who owned the session.", "message.userIdentity.arn"),
    Column("runasuser", "string", "Session logs: user on the target.", "message.runAsUser"),
    Column(
        "sessiondata",
        "string",
        "Session logs: lines joined by a newline; a plain upload's text.",
        "message.sessionData",
    ),
    Column("form", "string", "Session logs: `streamed` (the agent's JSON) or `plain` (end-of-session upload)."),
    SOURCE_OBJECT,
    SOURCE_ORDINAL,
)

TABLE = Table(
    "from_cloudwatch_readready",
    "CloudWatch log events, one row an event of the day, deduplicated; session logs taken apart.",
    COLUMNS,
    (EVENT_DAY,),
    row_order=(
        "loggroup",
        "sessionid",
        "sessionowner",
        "owner",
        "logstream",
        "eventtime",
        "source_object",
        "source_ordinal",
    ),
)

RAW_PARTITION = (
    Column("prefix", "string", "Part of the key before the date; empty for Firehose's default prefix.", nullable=False),
    Column("day", "date", "UTC day of delivery.", nullable=False),
)


def parse_key(key: str) -> SourceKey | IgnoredKey:
    """What a Firehose key says: the folder's date, else the date in the object's name. Never the suffix: it lies."""
    folder, _slash, name = key.rpartition("/")
    folder += "/" if folder else ""
    if not name:
        return IgnoredKey("folder marker")
    if error := _ERRORS.search(folder):
        return IgnoredKey(f"Firehose error output ({error[1]})")
    time = _delivery_time(name)
    day_folder = _day_folder(folder)
    if day_folder is not None:
        day, end = day_folder
    elif time is not None:
        day, end = time.date(), len(folder)
    else:
        return IgnoredKey("no date in the key")
    prefix = re.sub(r"(?:year=)?\d{4}/(?:month=)?\d\d/(?:day=)?\d\d/$", "", folder[:end])
    return SourceKey(day, time, None, None, (prefix, day.isoformat()), folder[:end])


def _day_folder(folder: str) -> tuple[dt.date, int] | None:
    """(day, end of the day's folder in the text), from the last date in the folder's name."""
    match = _DAY_FOLDER.fullmatch(folder)
    if match is None:
        return None
    try:
        return dt.date(int(match[1]), int(match[2]), int(match[3])), match.end(3) + 1
    except ValueError:
        return None


def _delivery_time(name: str) -> dt.datetime | None:
    match = _NAME.fullmatch(name)
    try:
        return dt.datetime.strptime(match["time"], "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC) if match else None
    except ValueError:
        return None


def descend(folder: str, days: frozenset[dt.date], controls: Controls) -> Descent:
    """Month and day folders of other dates are not entered; any other folder may hold a date further down:
    `retail2020/` may be the year 2020 or a prefix, and one call tells."""
    del controls  # a Firehose key names neither account nor region
    if error := _ERRORS.search(folder):
        return Descent(ignored=f"Firehose error output ({error[1]})")
    return Descent((folder,) if _may_hold(folder, days) else ())


def _may_hold(folder: str, days: frozenset[dt.date]) -> bool:
    if (day_folder := _day_folder(folder)) is not None:
        return day_folder[0] in days
    if match := _MONTH_FOLDER.fullmatch(folder):
        return (int(match[1]), int(match[2])) in {(day.year, day.month) for day in days}
    return True


def recount(data: bytes, wanted: Wanted) -> Recount:
    """The audit's own count, by the plain gzip and json modules; an error for what they do not take as it stands."""
    groups = LogGroups(wanted)
    found, days = 0, dict[dt.date, int]()
    for document in _plain_documents(data):
        said = [document["messageType"], *(document.get(name, "") for name in ("owner", "logGroup", "logStream"))]
        events = document.get("logEvents", [])
        if not (isinstance(events, list) and all(isinstance(text, str) for text in said)):
            raise ValueError("a document that is not as foreseen")
        "".join(said).encode()  # half of a surrogate pair: the decoder takes such a document for none
        kind, owner, group, _stream = said
        found += len(events)
        if kind == "CONTROL_MESSAGE" or groups.judge(owner, group)[0]:
            continue
        for event in events:
            day = dt.datetime.fromtimestamp(int(event["timestamp"]) / 1000, UTC).date()
            days[day] = days.get(day, 0) + 1
    return Recount(found, days)


def _plain_documents(data: bytes) -> Iterator[dict[str, Any]]:
    while data[:2] == b"\x1f\x8b":
        data = gzip.GzipFile(fileobj=io.BytesIO(re.sub(rb"[\n\r \t]+(?=\x1f\x8b\x08)", b"", data))).read()
    text, position, parse = data.decode(), 0, json.JSONDecoder().raw_decode
    while position < len(text):
        if text[position] in " \r\n\t,\0":
            position += 1
            continue
        document, position = parse(text, position)
        yield document


SOURCE = Source(
    name="cloudwatch",
    title="CloudWatch Logs",
    doc="Log events of CloudWatch log groups, as Firehose delivers them to S3; Session Manager's keystrokes are here.",
    version=1,
    table=TABLE,
    raw_partition=RAW_PARTITION,
    identity=("eventid", "owner", "loggroup", "logstream"),
    account_column="owner",
    region_column=None,
    parse_key=parse_key,
    descend=descend,
    decode=decode_documents,
    recount=recount,
    lead=LEAD,
)
