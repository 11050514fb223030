"""Objects as AWS delivers them, made in a line, and what a decode of one says."""

import base64
import datetime as dt
import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

from loglake_dagster.errors import ObjectError
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.source import Decoded, ObjectAccount, Source, Wanted

DAY = dt.date(2026, 3, 2)
TIME = "2026-03-02T01:02:03Z"
TIME_MS = 1_772_413_323_000
ACCOUNT = "111122223333"
LIMIT = 1 << 26
ERROR_OUTPUT = "Firehose error output ({}): in no table until a cloudwatch feed reads it, see docs/running.md"
JSON = Any
Row = dict[str, Any]


def record(**fields: JSON) -> dict[str, JSON]:
    """A CloudTrail record with a time, a name and an id; `fields` are added or put in their place."""
    return {
        "eventTime": TIME,
        "eventSource": "ec2.amazonaws.com",
        "eventName": "RunInstances",
        "eventID": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "recipientAccountId": ACCOUNT,
        **fields,
    }


def log_file(*records: JSON) -> bytes:
    """A CloudTrail file's text. A record that is bytes is put in as it is."""
    texts = [one if isinstance(one, bytes) else compact(one) for one in records]
    return b'{"Records":[' + b",".join(texts) + b"]}"


def log_event(message: str = "one line", **fields: JSON) -> dict[str, JSON]:
    """A log event of a subscription document."""
    return {"id": "38" + "0" * 53 + "1", "timestamp": TIME_MS, "message": message, **fields}


def document(*events: JSON, **fields: JSON) -> bytes:
    """A subscription document's text. An event that is bytes is put in as it is."""
    head = {
        "messageType": "DATA_MESSAGE",
        "owner": ACCOUNT,
        "logGroup": "/ssm/sessions",
        "logStream": "ana@example.com-t59j8gpq2ta8hniozstbnphqs8",
        "subscriptionFilters": ["to-firehose"],
        **fields,
    }
    texts = [one if isinstance(one, bytes) else compact(one) for one in events]
    return compact(head)[:-1] + b',"logEvents":[' + b",".join(texts) + b"]}"


def error_line(record: bytes, **fields: JSON) -> bytes:
    """A line of Firehose's error output about a record."""
    head = {"attemptsMade": 4, "errorCode": "Lambda.FunctionError", "rawData": base64.b64encode(record).decode()}
    return compact({**head, **fields}) + b"\n"


def compact(value: JSON) -> bytes:
    """JSON text as AWS writes it: no space, UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def same_json(value: JSON, other: JSON) -> bool:
    """Equality of JSON values; unlike `==` it tells true from 1 and 1 from 1.0."""
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)


def member(text: bytes) -> bytes:
    """A gzip member, the same bytes every time."""
    return gzip.compress(text, mtime=0)


def entry(uri: str = "s3://trail/a.json.gz", **facts: Any) -> ObjectEntry:
    """An object's entry before it was read."""
    return ObjectEntry(**{"uri": uri, "feed": "trail", "size": 1000, "etag": "e", "delivery_day": DAY, **facts})


Decode = Callable[..., Decoded]


def decode_one(
    source: Source, data: bytes | ObjectError, wanted: Wanted | None = None, of: ObjectEntry | None = None
) -> tuple[list[Row], ObjectAccount]:
    """(rows as Python values, account) of one object. Checks what holds for every object: nothing is uncounted."""
    decoded = source.decode_delivered([data], [of or entry()], wanted or Wanted(), LIMIT)
    (account,) = decoded.objects
    rows = decoded.rows.to_pylist()
    assert account.found == len(rows) + sum(account.filtered.values()) + len(account.rejects)
    places = [row["source_ordinal"] for row in rows] + [reject.ordinal for reject in account.rejects]
    assert len(set(places)) == len(places)
    assert all(0 <= place < account.found for place in places)
    return rows, account


def values(row: Mapping[str, Any]) -> Row:
    """A row without its nulls and without its place in the run."""
    return {name: value for name, value in row.items() if value is not None and name != "object_place"}
