"""Session Manager's own uploads to S3: at the end of a session all that its terminal showed, one object a session.

Formats: docs/formats.md 3.5, names 3.2. The key is `[prefix/]<session's name>.log` and says neither day nor account
nor region; the text says no time that can be relied on. So the upload's time, the object's last-modified one, is the
event's time and decides its day; account and region are the feed's, if the settings say them. A text is kept verbatim:
where it is no UTF-8, its bytes stand beside it.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from loglake_dagster.errors import ObjectError, RecordError
from loglake_dagster.kernels.rows import TableRows
from loglake_dagster.kernels.session_id import split_session_id
from loglake_dagster.lake.controls import Controls
from loglake_dagster.lake.manifest import ObjectEntry
from loglake_dagster.lake.partition import UTC
from loglake_dagster.lake.schema import EVENT_DAY, SOURCE_OBJECT, SOURCE_ORDINAL, Column, Table
from loglake_dagster.lake.source import (
    OBJECT_PLACE,
    Decoded,
    Descent,
    IgnoredKey,
    ObjectAccount,
    Recount,
    Reject,
    Rows,
    Source,
    UndatedKey,
    Wanted,
)

COLUMNS = (
    Column(
        "eventtime",
        "timestamp",
        "When the text was uploaded, at the end of the session or later: the object's last-modified time.",
        unit="UTC",
        nullable=False,
    ),
    Column("sessionid", "string", "Session: text after the last hyphen of the object's name.", lookup=True),
    Column("sessionowner", "string", "Text before the last hyphen of the object's name."),
    Column("accountid", "string", "Account of the session, as the feed's settings say it; null if they do not."),
    Column("awsregion", "string", "Region of the session, as the feed's settings say it; null if they do not."),
    Column(
        "sessiondata",
        "string",
        "The whole text as it was uploaded, line ends and terminal sequences included; U+FFFD for what is no UTF-8.",
    ),
    Column("sessionbytes", "string", "The object's bytes in base64, where they are no UTF-8; null where they are."),
    Column("exitcode", "bigint", "Of a command's session: the n of `EXIT_CODE: n` at the text's end; null elsewhere."),
    Column("contentsha256", "string", "SHA-256 of the object's bytes, 64 hex digits.", nullable=False, lookup=True),
    SOURCE_OBJECT,
    SOURCE_ORDINAL,
)

TABLE = Table(
    "from_ssm_s3_readready",
    "Session Manager's uploads to S3, one row an upload of the day, copies dropped.",
    COLUMNS,
    (EVENT_DAY,),
    row_order=("sessionowner", "sessionid", "eventtime", "source_object", "source_ordinal"),
)

RAW_PARTITION = (
    Column("prefix", "string", "Part of the key before the object's name: one folder, of every day.", nullable=False),
    Column("day", "date", "UTC day on which objects of the folder were last modified.", nullable=False),
)

# Three times as long in UTF-8, if all is U+FFFD, is still a text that Arrow holds.
MAX_TEXT_BYTES = 1 << 29
_NAME = re.compile(r".+-[A-Za-z0-9]{8,64}(?:\.log|\.dms)?", re.DOTALL)
_ACCESS_LOG = re.compile(r"\d{4}(?:-\d\d){5}-[0-9A-F]{16}", re.ASCII)
_EXIT_CODE = re.compile(r"(?<!\w)EXIT_CODE: (-?\d{1,18})\s*\Z", re.ASCII)
_END_CHARS = 200

PARQUET = "a Parquet file"  # a prompt may begin with its four letters, but a file ends with them too
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": PARQUET,
}
_parse_all = msgspec.json.Decoder(msgspec.Raw).decode_lines
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?[\s\0]*(?:\[[\s\0]*)?\{[\s\0]*\"")
_NO_RECORDS = re.compile(rb"\s*\{\s*\"Records\"\s*:\s*\[\s*\]\s*\}\s*")
# Member names that stand in a text of another log together. Inside a JSON string their quotes would be escaped.
_MEMBERS = {
    (b'"eventVersion"', b'"eventSource"', b'"eventName"'): "CloudTrail's records",
    (b'"messageType"', b'"logEvents"'): "CloudWatch Logs documents",
    (b'"errorCode"', b'"rawData"'): "Firehose's error output",
    (b'"schemaType"', b'"ModelInvocationLog"'): "Bedrock's records",
}


def parse_key(key: str) -> UndatedKey | IgnoredKey:
    """Whether a key relative to the feed is of a session's text, whatever folder it lies in."""
    folder, slash, name = key.rpartition("/")
    if not name:
        return IgnoredKey("folder marker")
    if _ACCESS_LOG.fullmatch(name):
        return IgnoredKey("S3 access log")
    if not _NAME.fullmatch(name):
        return IgnoredKey("name that is no session's")
    return UndatedKey((folder + slash,), folder + slash)


def descend(folder: str, days: frozenset[dt.date], controls: Controls) -> Descent:
    """No folder says what it holds: all are entered."""
    del days, controls
    return Descent((folder,))


def decode(objects: Iterable[bytes | ObjectError], wanted: Wanted, limit_bytes: int) -> Decoded:
    """A row an object, still without what `complete` adds. What is plainly another log is a reject, bytes and all: it
    would be no transcript of the session that its name says."""
    del wanted  # accounts and regions are judged by file, and nothing else can be
    texts: list[tuple[str, str | None, int | None, str]] = []
    places: list[int] = []
    accounts: list[ObjectAccount] = []
    for place, data in enumerate(objects):
        account = ObjectAccount()
        accounts.append(account)
        if isinstance(data, ObjectError):
            account.error = data
        elif len(data) > min(limit_bytes, MAX_TEXT_BYTES):
            account.error = ObjectError("longer than the limit (max_object_bytes)", limit=limit_bytes)
        else:
            account.found = 1
            if (other := _other_log(data)) is None:
                texts.append(_columns(data))
                places.append(place)
            else:
                error = RecordError("byte 0", "the text of a session", other)
                account.rejects.append(Reject.of(0, error, data))
    columns = list(zip(*texts, strict=True)) or [(), (), (), ()]
    rows = pa.table(
        {
            "sessiondata": pa.array(columns[0], pa.string()),
            "sessionbytes": pa.array(columns[1], pa.string()),
            "exitcode": pa.array(columns[2], pa.int64()),
            "contentsha256": pa.array(columns[3], pa.string()),
            SOURCE_ORDINAL.name: pa.array([0] * len(places), pa.int64()),
            OBJECT_PLACE: pa.array(places, pa.int32()),
        }
    )
    return Decoded(TableRows(rows), accounts)


def _other_log(data: bytes) -> str | None:
    """What an object is in place of a session's text; None if nothing speaks against one. A command's output may be
    JSON too: only the names that another log's records always have tell them apart."""
    for magic, kind in _MAGIC.items():
        if data.startswith(magic) and (kind != PARQUET or data.endswith(magic)):
            return kind
    if not _JSON.match(data) or not _is_json(data):
        return None
    if _NO_RECORDS.fullmatch(data):
        return "a CloudTrail file without records"
    return next((kind for names, kind in _MEMBERS.items() if all(name in data for name in names)), None)


def _is_json(data: bytes) -> bool:
    """Whether all of a text is JSON, one value or several; or it has but one line, as a log that was cut off has. What
    a session shows only begins like JSON."""
    if b"\n" not in data.strip():
        return True
    try:
        return bool(_parse_all(data.lstrip(b"\xef\xbb\xbf\0")))
    except (msgspec.DecodeError, RecursionError):
        return False


def _columns(data: bytes) -> tuple[str, str | None, int | None, str]:
    """(sessiondata, sessionbytes, exitcode, contentsha256) of a text."""
    try:
        text, kept = data.decode(), None
    except UnicodeDecodeError:
        text, kept = data.decode(errors="replace"), base64.b64encode(data).decode()
    ended = _EXIT_CODE.search(text[-_END_CHARS:])
    return text, kept, int(ended[1]) if ended else None, hashlib.sha256(data).hexdigest()


def complete(kept: Rows, entries: Sequence[ObjectEntry]) -> Rows:
    """Adds what only the objects tell: when they were uploaded, whose session it is, and where."""
    rows = kept.table()
    found = [entries[place] for place in rows[OBJECT_PLACE].to_pylist()]
    names = [split_session_id(_session_name(entry.uri)) for entry in found]
    epoch, ms = dt.datetime(1970, 1, 1, tzinfo=UTC), dt.timedelta(milliseconds=1)
    columns: dict[str, tuple[list[Any], pa.DataType]] = {
        "eventtime": ([(entry.rank[0] - epoch) // ms for entry in found], pa.timestamp("ms")),
        "sessionid": ([session for _owner, session in names], pa.string()),
        "sessionowner": ([owner for owner, _session in names], pa.string()),
        "accountid": ([entry.account for entry in found], pa.string()),
        "awsregion": ([entry.region for entry in found], pa.string()),
    }
    for name, (values, kind) in columns.items():
        rows = rows.append_column(name, pa.array(values, kind))
    return TableRows(rows)


def _session_name(uri: str) -> str:
    """The session's name in an object's URI; that of a file is percent-encoded (io/store.py)."""
    name = uri.rpartition("/")[2]
    name = urllib.parse.unquote(name) if uri.startswith("file:") else name
    return name.removesuffix(".log").removesuffix(".dms")


def recount(data: bytes, wanted: Wanted) -> Recount:
    """The audit's own count: an object is one record, and what is packed is no text."""
    del wanted
    return Recount(1, undated=0 if data[:2] == b"\x1f\x8b" else 1)


SOURCE = Source(
    name="ssm_s3",
    title="Session Manager uploads",
    doc="Texts of sessions, as Session Manager itself uploads them to S3 when they end.",
    version=1,
    table=TABLE,
    raw_partition=RAW_PARTITION,
    identity=("sessionid", "sessionowner", "contentsha256"),
    account_column="accountid",
    region_column="awsregion",
    parse_key=parse_key,
    descend=descend,
    decode=decode,
    complete=complete,
    recount=recount,
    is_placed_by_feed=True,
)
