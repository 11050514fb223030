"""Bedrock model invocation logs: one record a call of a model, with what was asked and answered.

Formats: docs/formats.md 5 (keys 5.1, record 5.2): gzip of one JSON object a line, which Bedrock writes to S3 itself;
or the messages of a log stream in what Firehose writes of CloudWatch Logs (docs/formats.md 4). A body is any JSON, or
where it went.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from loglake_dagster.errors import RecordError, quote
from loglake_dagster.kernels import firehose_key
from loglake_dagster.kernels.flatten import Flattener
from loglake_dagster.kernels.framing import Documents
from loglake_dagster.kernels.messages import StreamMessages
from loglake_dagster.kernels.plain import plain_documents, plain_member, refuse_halves
from loglake_dagster.kernels.records import RecordsDecoder
from loglake_dagster.kernels.times import read_time, to_canonical
from loglake_dagster.lake.controls import Controls, Rule
from loglake_dagster.lake.schema import EVENT_DAY, SOURCE_OBJECT, SOURCE_ORDINAL, Column, Kind, Table
from loglake_dagster.lake.source import Descent, IgnoredKey, Recount, Source, SourceKey, Wanted

SCHEMA_TYPE = "ModelInvocationLog"
LOG_STREAM = "aws/bedrock/modelinvocations"
FOLDER = "BedrockModelInvocationLogs"
MARKER = "amazon-bedrock-logs-permission-check"
_ACCOUNT = r"(?P<prefix>(?:.*/)?AWSLogs(?:/o-[a-z0-9]{10,32})?)/(?P<account>\d{12})/"
_KEY = re.compile(
    _ACCOUNT + FOLDER + r"/(?P<region>[a-z0-9-]+)/(?P<day>\d{4}/\d\d/\d\d)/(?P<below>.+)",
    re.ASCII | re.DOTALL,
)
_FOLDERS = re.compile(
    _ACCOUNT + r"(?:(?P<folder>[^/]+)/(?:(?P<region>[^/]+)/(?:(?P<day>\d{4}/\d\d/\d\d)/)?(?P<below>.*))?)?",
    re.ASCII | re.DOTALL,
)
_AWS_LOGS = re.compile(r"(?:^|/)AWSLogs/")
_FILE = re.compile(r"(?P<time>\d{8}T\d{6})\d*Z_[0-9A-Za-z]+\.json\.gz", re.ASCII)


def _field(field: str, kind: Kind, doc: str, *, unit: str | None = None, lookup: bool = False) -> Column:
    """A column named after the field; inputs and outputs say in their own name which they are."""
    name = field.removeprefix("input.").removeprefix("output.").lower().replace(".", "_")
    return Column(name, kind, doc, field, unit, lookup=lookup)


COLUMNS = (
    Column("eventtime", "timestamp", "When the model was called.", "timestamp", "UTC", False),
    _field("accountId", "string", "Account that called the model; 12 digits, leading zeros kept."),
    _field("region", "string", "Region that was called."),
    _field("requestId", "string", "Id of the call; with accountid and region it names one.", lookup=True),
    _field("operation", "string", "InvokeModel, InvokeModelWithResponseStream, Converse or ConverseStream."),
    _field("modelId", "string", "Model, inference profile or their ARN, as the caller gave it."),
    _field("identity.arn", "string", "ARN of the caller; absent in old records."),
    _field("inferenceRegion", "string", "Region that answered, where a profile spans several."),
    _field("errorCode", "string", "Error of a failed call, as ThrottlingException; null for one that was answered."),
    _field("status", "string", "Status of the call, as given."),
    _field("requestMetadata", "json", "Tags that the caller gave, JSON object of texts."),
    _field("performanceConfig", "json", "Latency settings of the call, JSON."),
    _field("input.inputContentType", "string", "MIME type of what was asked."),
    _field("input.inputBodyJson", "json", "What was asked, prompts included: JSON of any shape exactly as it came."),
    _field("input.inputBodyS3Path", "string", "S3 URI of what was asked, where it was too large or no JSON."),
    _field("input.inputTokenCount", "bigint", "Tokens that were asked.", unit="count"),
    _field("input.cacheReadInputTokenCount", "bigint", "Tokens read from the prompt cache.", unit="count"),
    _field("input.cacheWriteInputTokenCount", "bigint", "Tokens written to the prompt cache.", unit="count"),
    _field("output.outputContentType", "string", "MIME type of the answer."),
    _field("output.outputBodyJson", "json", "The answer: JSON exactly as it came, an array of chunks for streams."),
    _field("output.outputBodyS3Path", "string", "S3 URI of the answer, where it was too large or no JSON."),
    _field("output.outputTokenCount", "bigint", "Tokens of the answer.", unit="count"),
    _field("output.outputImageS3Path", "string", "S3 URI of images in the answer."),
    _field("output.outputVideoS3Path", "string", "S3 URI of a video in the answer."),
    _field("output.outputVideoDurationSeconds", "bigint", "Length of that video.", unit="seconds"),
    _field("schemaType", "string", f"Always {SCHEMA_TYPE}; a record of another type is a reject."),
    _field("schemaVersion", "string", "Version of the record's format, as 1.0."),
    Column("extra", "json", "Every field that no column names, and values that their column's type cannot hold, JSON."),
    Column("emptyfields", "string", "Fields that were null or {}, as `operation=null`; tells null from absent."),
    SOURCE_OBJECT,
    SOURCE_ORDINAL,
)

TABLE = Table(
    "from_bedrock_readready",
    "Bedrock model invocations, one row a call of the day, deduplicated.",
    COLUMNS,
    (EVENT_DAY,),
    row_order=("accountid", "region", "modelid", "eventtime", "requestid", "source_object", "source_ordinal"),
)

UNKNOWN = "unknown"
BODY = IgnoredKey("body beside the records (data/)")
RAW_PARTITION = (
    Column("prefix", "string", "Part of the key before the account, or before Firehose's date.", nullable=False),
    Column("account", "string", "Account that the folder is of; `unknown` for Firehose's.", nullable=False),
    Column("region", "string", "Region that the folder is of; `unknown` for Firehose's.", nullable=False),
    Column("day", "date", "UTC day of delivery.", nullable=False),
)


def parse_key(key: str) -> SourceKey | IgnoredKey:
    """What a key relative to the feed says. Below AWSLogs/ it is Bedrock's own or none; anything else is Firehose's."""
    name = key.rpartition("/")[2]
    if not name:
        return IgnoredKey("folder marker")
    if name.startswith(MARKER):
        return IgnoredKey("permission check marker")
    if not _AWS_LOGS.search(key):
        return _parse_elsewhere(key)
    match = _KEY.fullmatch(key)
    if match is None:
        return IgnoredKey("not a Bedrock key")
    if _is_body(match["below"]):
        return BODY
    if not name.endswith(".json.gz"):
        return IgnoredKey("not a log file")
    midnight = read_time(match["day"], "%Y/%m/%d")
    if midnight is None:
        return IgnoredKey("no calendar day")
    day = midnight.date()
    place = match["prefix"], match["account"], match["region"], day.isoformat()
    return SourceKey(day, _delivery_time(name), match["account"], match["region"], place, key[: match.end("day") + 1])


def _parse_elsewhere(key: str) -> SourceKey | IgnoredKey:
    """A key of Firehose's; or of Bedrock's, where the feed's uri is a folder below AWSLogs/ already."""
    found = firehose_key.parse_key(key)
    if isinstance(found, IgnoredKey):
        return found
    if _is_body(key.removeprefix(found.folder)):
        return BODY
    time = found.delivery_time or _delivery_time(key.rpartition("/")[2])
    prefix, day = found.partition
    return SourceKey(found.delivery_day, time, None, None, (prefix, UNKNOWN, UNKNOWN, day), found.folder)


def _is_body(below_day: str) -> bool:
    """Whether a key, from its day's folder on, is of a body that spilled."""
    return "data" in below_day.split("/")[:-1]


def _delivery_time(file: str) -> dt.datetime | None:
    """The UTC second in a file's name; None if the name is not Bedrock's."""
    match = _FILE.fullmatch(file)
    return read_time(match["time"], "%Y%m%dT%H%M%S") if match else None


def descend(folder: str, days: frozenset[dt.date], controls: Controls) -> Descent:
    """From a region's folder on the days' folders are named, not looked for. Folders of bodies are not entered, nor
    those of denied accounts and regions."""
    if not _AWS_LOGS.search(folder):
        return firehose_key.descend(folder, days, controls)
    match = _FOLDERS.fullmatch(folder)
    if match is None:
        return Descent((folder,))
    if not controls.accounts.admits(match["account"]):
        return Descent(refused="accounts")
    if match["folder"] not in (None, FOLDER):
        return Descent(ignored=f"{match['folder']} folder")
    if match["region"] is None:
        return Descent((folder,))
    if not controls.regions.admits(match["region"]):
        return Descent(refused="regions")
    if match["day"] is None:
        # The region's own folder is listed for the markers in it; years and what else is below it are not entered.
        named = tuple(f"{folder}{day:%Y/%m/%d}/" for day in sorted(days))
        return Descent() if match["below"] else Descent((folder, *named))
    if "data" in match["below"].split("/"):
        return Descent(ignored="folder of bodies (data/)")
    return Descent((folder,))


def _judge(records: Sequence[Any], wanted: Wanted) -> Sequence[str | RecordError | None]:
    verdicts: dict[tuple[Any, Any, Any], str | RecordError | None] = {}
    out: list[str | RecordError | None] = []
    for record in records:
        facts = record.schemaType, record.accountId, record.region
        if facts not in verdicts:
            verdicts[facts] = _verdict(wanted.controls, *facts)
        out.append(verdicts[facts])
    return out


def _verdict(
    controls: Controls, schema_type: str | None, account: str | None, region: str | None
) -> str | RecordError | None:
    """Firehose's keys name neither account nor region, so that the file rules are judged by record. JSON with a time
    but of another type is somebody's application log: never a row."""
    if schema_type != SCHEMA_TYPE:
        return RecordError("$.schemaType", repr(SCHEMA_TYPE), "nothing" if schema_type is None else quote(schema_type))
    if account is not None and not controls.accounts.admits(account):
        return "accounts"
    return None if region is None or controls.regions.admits(region) else "regions"


_FLATTENER = Flattener(COLUMNS)
_DECODER = RecordsDecoder(_FLATTENER, Documents(partial(StreamMessages, LOG_STREAM)), "timestamp", _judge)


def recount(data: bytes, wanted: Wanted) -> Recount:
    """The audit's own count, by the plain gzip and json modules; sound objects only."""
    found, days = 0, dict[dt.date, int]()
    for document in plain_documents(data):
        count, records = _plain_records(document, wanted.controls)
        found += count
        for record in records:
            if (day := _plain_day(record, wanted.controls)) is not None:
                days[day] = days.get(day, 0) + 1
    return Recount(found, days)


def _plain_records(document: dict[str, Any], controls: Controls) -> tuple[int, list[Any]]:
    """(how many are found in a document, those that are wanted): itself, or the messages of CloudWatch's."""
    events = document.get("logEvents") if "messageType" in document else None
    if not isinstance(events, list):
        return 1, [document]
    refuse_halves(document)
    names = [document.get(name, "") for name in ("messageType", "owner", "logGroup", "logStream")]
    if not all(isinstance(name, str) for name in names):
        return 1, [document]
    kind, owner, group, stream = names
    is_denied = not controls.accounts.admits(owner) or not Rule(deny=controls.log_groups.deny).admits(group)
    if kind == "CONTROL_MESSAGE" or stream != LOG_STREAM or is_denied:
        return len(events), []
    return len(events), [_plain_message(event) for event in events]


def _plain_message(event: Any) -> Any:
    try:
        return json.loads(event["message"])
    except (ValueError, TypeError, KeyError):
        return None


def _plain_day(record: Any, controls: Controls) -> dt.date | None:
    """The day of a record that is wanted; None for any other."""
    if not isinstance(record, dict):
        return None
    time = plain_member(record, "timestamp")
    time = to_canonical(time) if isinstance(time, str) else None
    facts = [plain_member(record, name) for name in ("schemaType", "accountId", "region")]
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in facts]
    return dt.date.fromisoformat(time[:10]) if time and _verdict(controls, *texts) is None else None


def rebuild(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record that a row was made from, key order aside."""
    return _FLATTENER.rebuild(row)


SOURCE = Source(
    name="bedrock",
    title="Bedrock model invocations",
    doc="Calls of Bedrock models with what was asked and answered, as Bedrock delivers them to S3 or Firehose does.",
    version=1,
    table=TABLE,
    raw_partition=RAW_PARTITION,
    # The first one decides: a record without a request id is never a duplicate.
    identity=("requestid", "accountid", "region"),
    account_column="accountid",
    region_column="region",
    parse_key=parse_key,
    descend=descend,
    decode=_DECODER.decode,
    recount=recount,
    rebuild=rebuild,
)
