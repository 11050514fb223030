"""CloudTrail: management, data, network, Insights and aggregated events in `{"Records": [...]}` files.

Formats: docs/formats.md 1 (keys 1.1 and 1.2, envelope 1.3, record 1.5, userIdentity 1.6, kindred documents 1.9). The
columns below are the single declaration that decoding, tables and documents follow.
"""

from __future__ import annotations

import datetime as dt
import functools
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from loglake_dagster.kernels.cloudtrail_columns import DERIVED
from loglake_dagster.kernels.flatten import Flattener
from loglake_dagster.kernels.framing import Envelope
from loglake_dagster.kernels.plain import plain_member, plain_value
from loglake_dagster.kernels.records import RecordsDecoder
from loglake_dagster.kernels.times import read_time, to_canonical
from loglake_dagster.lake.controls import Controls
from loglake_dagster.lake.schema import EVENT_DAY, SOURCE_OBJECT, SOURCE_ORDINAL, Column, Kind, Table
from loglake_dagster.lake.source import Descent, IgnoredKey, RawFormat, Recount, Source, SourceKey, Wanted

# Folders of an account whose files are read; a day's digests are counted one by one, other folders as one each.
FOLDERS = ("CloudTrail", "CloudTrail-Insight", "CloudTrail-NetworkActivity", "CloudTrail-Aggregated")
DIGESTS = "CloudTrail-Digest"
_DAY_FOLDER = re.compile(
    r"(?P<trail>(?:.*/)?AWSLogs(?:/o-[a-z0-9]{10,32})?)/(?P<account>\d{12})/(?P<folder>CloudTrail(?:-[A-Za-z]+)?)/"
    r"(?P<region>[a-z0-9-]+)/(?P<day>\d{4}/\d\d/\d\d)/",
    re.ASCII | re.DOTALL,
)
_FILE = re.compile(
    r"\d{12}_CloudTrail(?:-[A-Za-z]+)?_[a-z0-9-]+_(?P<time>\d{8}T\d{4}Z)_?[A-Za-z0-9]+\.json(?:\.gz)?", re.ASCII
)
# What looks like no region is entered like any other folder: a prefix may itself go through `AWSLogs/`.
_FOLDERS = re.compile(
    r"(?:.*/)?AWSLogs(?:/o-[a-z0-9]{10,32})?/(?P<account>\d{12})/"
    r"(?:(?P<folder>[^/]+)/(?:(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+)/(?P<below>.*))?)?",
    re.ASCII | re.DOTALL,
)
_LOG_FILE = re.compile(r".+\.json(?:\.gz)?", re.DOTALL)


def _field(field: str, kind: Kind, doc: str, *, lookup: bool = False) -> Column:
    return Column(field.lower().replace(".", "_"), kind, doc, field, lookup=lookup)


def _identity(field: str, doc: str, kind: Kind = "string") -> Column:
    return _field(f"userIdentity.{field}", kind, doc)


def _issuer(field: str, doc: str) -> Column:
    return _identity(f"sessionContext.sessionIssuer.{field}", doc)


COLUMNS = (
    Column(
        "eventtime",
        "timestamp",
        "When the request completed, by the service's clock; of an aggregated event the start of its window.",
        "eventTime",
        "UTC",
        False,
    ),
    _field("eventSource", "string", "Service that was called, as `ssm.amazonaws.com`."),
    _field("eventName", "string", "API action, as `StartSession`; not unique across services."),
    _field("awsRegion", "string", "Region that the request was made to."),
    _field("recipientAccountId", "string", "Account that received the event; 12 digits, leading zeros kept."),
    _field(
        "eventID",
        "string",
        "Id of the event, a GUID as given; with recipientaccountid it names one event.",
        lookup=True,
    ),
    _field("eventType", "string", "Kind of event, as AwsApiCall, AwsServiceEvent, AwsConsoleSignIn."),
    _field("eventCategory", "string", "Management, Data, NetworkActivity, Insight or Aggregated; absent before 1.07."),
    _field("eventVersion", "string", "Version of the record's format; 1.10 is newer than 1.09."),
    _field("requestID", "string", "Id of the request; not a key, several events may share it."),
    _field("sharedEventID", "string", "Common to the copies of one action that several accounts received; not a key."),
    _identity("type", "Kind of caller, as AssumedRole, IAMUser, AWSService."),
    _identity("principalId", "Unique id of the caller; `AROA...:session-name` for role sessions."),
    _identity("arn", "ARN of the caller."),
    _identity("accountId", "Account that the caller belongs to."),
    _identity("accessKeyId", "Access key that signed the request."),
    _identity("userName", "Name of the IAM user; absent for roles and services."),
    _identity("invokedBy", "Service that made the request for the caller."),
    _issuer("type", "Source of the temporary credentials, as Role."),
    _issuer("principalId", "Unique id of the role or user that issued the session."),
    _issuer("arn", "ARN of the role or user that issued the session."),
    _issuer("accountId", "Account of the role or user that issued the session."),
    _issuer("userName", "Name of the role or user that issued the session."),
    _identity("sessionContext.webIdFederationData", "Identity provider and its attributes, JSON.", "json"),
    _identity("sessionContext.attributes.creationDate", "When the credentials were issued, as given."),
    _identity("sessionContext.attributes.mfaAuthenticated", "`true` if the caller used MFA, as given."),
    _identity("sessionContext.sourceIdentity", "Person behind the role session, as set at AssumeRole."),
    _identity("sessionContext.ec2RoleDelivery", "Version of the instance metadata service, `1.0` or `2.0`."),
    _identity("sessionContext.assumedRoot", "Whether the session was made by AssumeRoot, as given."),
    _identity("invokedByDelegate.accountId", "Account that used temporary delegated access."),
    _identity("onBehalfOf.userId", "IAM Identity Center user that the caller acted for."),
    _identity("onBehalfOf.identityStoreArn", "Identity store of that user."),
    _identity("inScopeOf.sourceArn", "Resource that the credentials are scoped to."),
    _identity("inScopeOf.sourceAccount", "Account of that resource."),
    _identity("inScopeOf.issuerType", "Kind of issuer of scoped credentials."),
    _identity("inScopeOf.credentialsIssuedTo", "Who the scoped credentials were issued to."),
    _identity("credentialId", "Id of the bearer token that the caller used."),
    _identity("identityProvider", "Provider that vouched for a SAML or web identity user."),
    _field("sourceIPAddress", "string", "Address of the caller, or the name of an AWS service; never a typed address."),
    _field("userAgent", "string", "Agent that made the request, cut at 1 KB by AWS."),
    _field("errorCode", "string", "Error of a failed request; null for one that succeeded."),
    _field("errorMessage", "string", "Message of the error, cut at 1 KB by AWS."),
    _field("requestParameters", "json", "What was asked, JSON exactly as it came."),
    _field("responseElements", "json", "What was answered, JSON exactly as it came; null for reads and failures."),
    _field("additionalEventData", "json", "Further facts on the request or response, JSON."),
    _field("resources", "json", "Resources that were accessed, JSON array of accountId, type, ARN."),
    _field("serviceEventDetails", "json", "Details of a service event, JSON."),
    _field("readOnly", "boolean", "Whether the action only reads."),
    _field("managementEvent", "boolean", "Whether it is a management event."),
    _field("apiVersion", "string", "Version of the service's API, as given."),
    _field("vpcEndpointId", "string", "VPC endpoint that the request passed."),
    _field("vpcEndpointAccountId", "string", "Account of that endpoint."),
    _field("sessionCredentialFromConsole", "string", "`true` when the console's session made the request."),
    _field("addendum.reason", "string", "Why an addendum came: DELIVERY_DELAY, UPDATED_DATA or SERVICE_OUTAGE."),
    _field("addendum.updatedFields", "string", "Fields that the addendum corrects."),
    _field("addendum.originalRequestID", "string", "Request id of the event that it corrects."),
    _field("addendum.originalEventID", "string", "Event id of the event that it corrects; that one is kept too."),
    _field("edgeDeviceDetails", "json", "Edge device that was the target, JSON."),
    _field("tlsDetails", "json", "TLS version, cipher suite and host name of the request, JSON."),
    _field("insightDetails", "json", "What an Insights event found, JSON."),
    _field("eventContext", "json", "Request and tag context of enriched events, JSON."),
    Column("sessionid", "string", "Session Manager session: text after the last hyphen of its name.", lookup=True),
    Column("sessionowner", "string", "Text before the last hyphen of the session's name."),
    Column(
        "is_truncated",
        "boolean",
        "True where AWS left out the content of a field that was too long (`omitted` in its place).",
        nullable=False,
    ),
    Column("extra", "json", "Every field that no column names, and values that their column's type cannot hold, JSON."),
    Column("emptyfields", "string", "Fields that were null or {}, as `responseElements=null`; tells null from absent."),
    SOURCE_OBJECT,
    SOURCE_ORDINAL,
)

TABLE = Table(
    "from_cloudtrail_readready",
    "CloudTrail events, one row an event of the day, deduplicated.",
    COLUMNS,
    (EVENT_DAY,),
    row_order=(
        "eventname",
        "recipientaccountid",
        "awsregion",
        "eventtime",
        "eventid",
        "source_object",
        "source_ordinal",
    ),
)

RAW_PARTITION = (
    Column("trail", "string", "Part of the key before the account, as `AWSLogs/o-exampleorg1`.", nullable=False),
    Column("folder", "string", "Kind of records, as `CloudTrail` or `CloudTrail-Insight`.", nullable=False),
    Column("account", "string", "Account that the folder is of.", nullable=False),
    Column("region", "string", "Region that the folder is of.", nullable=False),
    Column("day", "date", "UTC day of delivery.", nullable=False),
)

# Aggregated documents (docs/formats.md 1.9) have a window for a time and another name for the account.
_TIME_STAND_IN = "timeWindow", "windowStart"
_STAND_INS = {"eventTime": ".".join(_TIME_STAND_IN), "recipientAccountId": "accountId"}
_FLATTENER = Flattener(COLUMNS, _STAND_INS)


def parse_key(key: str) -> SourceKey | IgnoredKey:
    """What a key relative to the feed says. Parsed from the right: a prefix may itself hold `AWSLogs`."""
    above, slash, file = key.rpartition("/")
    if slash and not file:
        return IgnoredKey("folder marker")
    place = _folder_key(above + slash)
    if isinstance(place, IgnoredKey):
        return place
    if not _LOG_FILE.fullmatch(file):
        return IgnoredKey("not a log file")
    time = _delivery_time(file)
    return SourceKey(place.delivery_day, time, place.account, place.region, place.partition, place.folder)


@functools.lru_cache(4096)
def _folder_key(folder: str) -> SourceKey | IgnoredKey:
    """What a folder says of its objects, all but the time. A listing meets them one after the other."""
    match = _DAY_FOLDER.fullmatch(folder)
    if match is None:
        return IgnoredKey("not a CloudTrail key")
    if match["folder"] not in FOLDERS:
        return IgnoredKey(f"{match['folder']} {'file' if match['folder'] == DIGESTS else 'folder'}")
    midnight = read_time(match["day"], "%Y/%m/%d")
    if midnight is None:
        return IgnoredKey("no calendar day")
    day = midnight.date()
    partition = match["trail"], match["folder"], match["account"], match["region"], day.isoformat()
    return SourceKey(day, None, match["account"], match["region"], partition, folder)


def _delivery_time(file: str) -> dt.datetime | None:
    """The UTC minute in a file's name; None if the name is not AWS's."""
    match = _FILE.fullmatch(file)
    return read_time(match["time"], "%Y%m%dT%H%MZ") if match else None


def descend(folder: str, days: frozenset[dt.date], controls: Controls) -> Descent:
    """From a region's folder on the days' folders are named, not looked for: a listing's cost follows accounts x
    regions x days, never history. Folders of denied accounts and regions are not entered."""
    match = _FOLDERS.fullmatch(folder)
    if match is None:
        return Descent((folder,))
    if not controls.accounts.admits(match["account"]):
        return Descent(refused="accounts")
    if match["folder"] in (None, "AWSLogs"):  # `AWSLogs/<account>` is a prefix that people give
        return Descent((folder,))
    if match["folder"] not in (*FOLDERS, DIGESTS):
        return Descent(ignored=f"{match['folder']} folder")
    if match["region"] is None:
        return Descent((folder,))
    if not controls.regions.admits(match["region"]):
        return Descent(refused="regions")
    return Descent() if match["below"] else Descent(tuple(f"{folder}{day:%Y/%m/%d}/" for day in sorted(days)))


_JUDGED = ("eventSource", "eventName")


def _judge(records: Sequence[Any], wanted: Wanted) -> list[str | None] | None:
    names, sources = wanted.controls.event_names, wanted.controls.event_sources
    if names.is_open and sources.is_open:
        return None
    verdicts: dict[tuple[str, str], str | None] = {}
    out: list[str | None] = []
    for record in records:
        pair = record.eventSource or "", record.eventName or ""
        if pair not in verdicts:
            verdicts[pair] = _verdict(wanted.controls, *pair)
        out.append(verdicts[pair])
    return out


def _verdict(controls: Controls, event_source: str, event_name: str) -> str | None:
    if not controls.event_sources.admits(event_source):
        return "event_sources"
    return None if controls.event_names.admits(event_name) else "event_names"


_DECODER = RecordsDecoder(_FLATTENER, Envelope("Records", sign="eventVersion"), "eventTime", _judge, DERIVED, _JUDGED)


def recount(data: bytes, wanted: Wanted) -> Recount:
    """The audit's own count, by the plain gzip and json modules; their errors where the framing is odd."""
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode().strip()
    document, end = plain_value(text)
    if end < len(text):
        raise ValueError("more than one JSON value")
    if isinstance(document, dict) and sum(name.lower() == "records" for name in document) > 1:
        raise ValueError("more than one list of records")
    records = document if isinstance(document, list) else plain_member(document, "Records")
    if records is None:
        records = [document] if "eventVersion" in document else []
    if not isinstance(records, list):
        raise ValueError("Records is no list")
    days: dict[dt.date, int] = {}
    for record in records:
        if not isinstance(record, dict):
            continue
        said = [_plain_time(record), *(plain_member(record, name) for name in ("eventSource", "eventName"))]
        texts = ["" if one is None else one if isinstance(one, str) else json.dumps(one) for one in said]
        time = to_canonical(texts[0])
        if time is not None and _verdict(wanted.controls, texts[1], texts[2]) is None:
            day = dt.date.fromisoformat(time[:10])
            days[day] = days.get(day, 0) + 1
    return Recount(len(records), days)


def _plain_time(record: dict[str, Any]) -> Any:
    """The record's own time, or where it has none in any spelling the start of its window."""
    if "eventTime" in record or any(name.lower() == "eventtime" for name in record):
        return plain_member(record, "eventTime")
    window = record.get(_TIME_STAND_IN[0])
    return window.get(_TIME_STAND_IN[1]) if isinstance(window, dict) else None


def rebuild(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record that a row was made from, key order aside."""
    return _FLATTENER.rebuild(row)


# Athena's own reader of these files, with the types that AWS documents for it.
_ISSUED_BY = "STRUCT<type:STRING,principalid:STRING,arn:STRING,accountid:STRING,username:STRING>"
_TEXTS = (
    "eventtime", "eventsource", "eventname", "awsregion", "sourceipaddress", "useragent", "errorcode", "errormessage",
    "requestparameters", "responseelements", "additionaleventdata", "requestid", "eventid", "eventtype", "apiversion",
    "readonly", "recipientaccountid", "serviceeventdetails", "sharedeventid", "vpcendpointid", "vpcendpointaccountid",
    "eventcategory", "sessioncredentialfromconsole", "edgedevicedetails",
)  # fmt: skip
RAW_FORMAT = RawFormat(
    columns=(
        ("eventversion", "STRING"),
        (
            "useridentity",
            "STRUCT<type:STRING,principalid:STRING,arn:STRING,accountid:STRING,invokedby:STRING,accesskeyid:STRING,"
            "username:STRING,onbehalfof:STRUCT<userid:STRING,identitystorearn:STRING>,"
            "sessioncontext:STRUCT<attributes:STRUCT<mfaauthenticated:STRING,creationdate:STRING>,"
            f"sessionissuer:{_ISSUED_BY},ec2roledelivery:STRING,"
            "webidfederationdata:STRUCT<federatedprovider:STRING,attributes:MAP<STRING,STRING>>>>",
        ),
        *((name, "STRING") for name in _TEXTS),
        ("resources", "ARRAY<STRUCT<arn:STRING,accountid:STRING,type:STRING>>"),
        ("addendum", "STRUCT<reason:STRING,updatedfields:STRING,originalrequestid:STRING,originaleventid:STRING>"),
        ("tlsdetails", "STRUCT<tlsversion:STRING,ciphersuite:STRING,clientprovidedhostheader:STRING>"),
    ),
    serde="org.apache.hive.hcatalog.data.JsonSerDe",
    input_format="com.amazon.emr.cloudtrail.CloudTrailInputFormat",
    output_format="org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    example_key="AWSLogs/o-exampleorg1/111122223333/CloudTrail/eu-west-1/2023/07/10/"
    "111122223333_CloudTrail_eu-west-1_20230710T0005Z_AbCdEfGhIjKlMnOp.json.gz",
)

# A third of a part's bytes: random ids and blobs that hardly compress, and what is seldom asked for (adr/0016).
LEAN_WITHOUT = frozenset({"requestid", "sharedeventid", "additionaleventdata", "resources", "tlsdetails"})

SOURCE = Source(
    name="cloudtrail",
    title="CloudTrail",
    doc="API calls and sign-ins of AWS accounts, as CloudTrail trails deliver them to S3.",
    version=2,
    table=TABLE,
    raw_partition=RAW_PARTITION,
    identity=("eventid", "recipientaccountid"),
    account_column="recipientaccountid",
    region_column="awsregion",
    parse_key=parse_key,
    descend=descend,
    decode=_DECODER.decode,
    recount=recount,
    rebuild=rebuild,
    raw_format=RAW_FORMAT,
    lean_without=LEAN_WITHOUT,
)
