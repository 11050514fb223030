"""CloudWatch Logs as a subscription filter and Firehose deliver them: nameless objects of documents back to back.

Formats: docs/formats.md 4 (payload 4.1, bytes 4.2, keys 4.3) and 3.4, 3.5 for the session logs inside.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from typing import Any

from loglake_dagster.kernels.documents import SESSION_ROLE, LogGroups, decode_documents
from loglake_dagster.kernels.firehose_key import LEAD, descend, parse_key
from loglake_dagster.kernels.plain import plain_documents, refuse_halves
from loglake_dagster.lake.partition import UTC
from loglake_dagster.lake.schema import EVENT_DAY, SOURCE_OBJECT, SOURCE_ORDINAL, Column, Table
from loglake_dagster.lake.source import Recount, Source, Wanted

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


def recount(data: bytes, wanted: Wanted) -> Recount:
    """The audit's own count, by the plain gzip and json modules; an error for what they do not take as it stands."""
    groups = LogGroups(wanted)
    found, days = 0, dict[dt.date, int]()
    for document in _plain_subscriptions(data):
        said = [document["messageType"], *(document.get(name, "") for name in ("owner", "logGroup", "logStream"))]
        events = document.get("logEvents", [])
        if not (isinstance(events, list) and all(isinstance(text, str) for text in said)):
            raise ValueError("a document that is not as foreseen")
        kind, owner, group, _stream = said
        found += len(events)
        if kind == "CONTROL_MESSAGE" or groups.judge(owner, group)[0]:
            continue
        for event in events:
            day = dt.datetime.fromtimestamp(int(event["timestamp"]) / 1000, UTC).date()
            days[day] = days.get(day, 0) + 1
    return Recount(found, days)


def _plain_subscriptions(data: bytes) -> Iterator[Any]:
    """The documents of an object, those inside lines of error output too."""
    for document in plain_documents(data):
        refuse_halves(document)
        if "rawData" in document and "messageType" not in document:
            originals = list(plain_documents(base64.b64decode(document["rawData"], validate=True)))
            if not originals:
                raise ValueError("a line of error output that holds nothing")
            for original in originals:
                refuse_halves(original)
                yield original
        else:
            yield document


SOURCE = Source(
    name="cloudwatch",
    title="CloudWatch Logs",
    doc="Log events of CloudWatch log groups, as Firehose delivers them to S3; Session Manager's keystrokes are here.",
    version=2,
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
    log_group_roles=(SESSION_ROLE,),
)
