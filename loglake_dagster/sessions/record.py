"""The sessions table's record: one row a session that somebody started or tried to start, keystrokes joined in.

A reader needs no other table. Who may be null is decided by sessions/query.py.
"""

from __future__ import annotations

from loglake_dagster.lake.schema import EVENT_DAY, Column, Table

STATUSES: dict[str, str] = {
    "captured": "keystrokes were logged",
    "pending": "started less than the SLA before the table was made, and nothing logged yet",
    "missing": "should have been logged, and was not",
    "not_loggable": "port forwarding or SSH: Session Manager cannot log it",
    "not_started": "refused or failed: there was no session",
    "orphan": "keystrokes of a session whose StartSession is in neither this day's nor the day before's events",
}

# Documents whose sessions Session Manager never logs (docs/formats.md 3.3).
NOT_LOGGABLE_DOCUMENTS = (
    "AWS-StartSSHSession",
    "AWS-StartPortForwardingSession",
    "AWS-StartPortForwardingSessionToRemoteHost",
    "AWS-StartPortForwardingSessionToSocket",
)
DEFAULT_DOCUMENT = "SSM-SessionManagerRunShell"
DOCUMENTS = (*NOT_LOGGABLE_DOCUMENTS, DEFAULT_DOCUMENT)
# Goes up when what is done beside the SQL (requests read, transcripts made readable) would give other rows.
VERSION = 2

COLUMNS = (
    Column(
        "eventtime",
        "timestamp",
        "When the session was started; for an orphan, its first output.",
        "eventTime",
        "UTC",
        False,
    ),
    Column("sessionid", "string", "Session: text after the last hyphen of its name; null if not started.", lookup=True),
    Column("sessionowner", "string", "Text before the last hyphen of the session's name; null if not started."),
    Column("keystroke_status", "string", "; ".join(f"{k}: {v}" for k, v in STATUSES.items()) + ".", nullable=False),
    Column("statusasof", "timestamp", "When `pending` was judged; null for every other status.", unit="UTC"),
    Column(
        "useridentity_arn",
        "string",
        "ARN of who started it; for an orphan, as the agent logged it.",
        "userIdentity.arn",
    ),
    Column("useridentity_type", "string", "Kind of caller, as AssumedRole.", "userIdentity.type"),
    Column("useridentity_accountid", "string", "Account of the caller.", "userIdentity.accountId"),
    Column("sourceidentity", "string", "Person behind the role session.", "userIdentity.sessionContext.sourceIdentity"),
    Column("issuer_arn", "string", "Role that issued the session.", "userIdentity.sessionContext.sessionIssuer.arn"),
    Column(
        "mfaauthenticated",
        "string",
        "`true` if the caller used MFA, as given.",
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
    ),
    Column("sourceipaddress", "string", "Address of the caller.", "sourceIPAddress"),
    Column("useragent", "string", "Agent that made the request.", "userAgent"),
    Column(
        "recipientaccountid", "string", "Account of the session; for an orphan, of its log group.", "recipientAccountId"
    ),
    Column("awsregion", "string", "Region of the session.", "awsRegion"),
    Column("target", "string", "Instance or task that the session was for.", "requestParameters.target"),
    Column(
        "documentname",
        "string",
        "Session document; the account's default where none was named.",
        "requestParameters.documentName",
    ),
    Column("reason", "string", "Reason that the caller gave.", "requestParameters.reason"),
    Column("parameters", "json", "Parameters of the document, JSON.", "requestParameters.parameters"),
    Column("errorcode", "string", "Why it was not started.", "errorCode"),
    Column("errormessage", "string", "Message of that error.", "errorMessage"),
    Column("eventid", "string", "Event id of the StartSession; null for an orphan.", "eventID", lookup=True),
    Column("runasuser", "string", "User on the target; null where the log does not say.", "message.runAsUser"),
    Column(
        "first_output_time",
        "timestamp",
        "Time of the first log event of the session; of an upload to S3, when it was uploaded.",
        unit="UTC",
    ),
    Column(
        "last_output_time",
        "timestamp",
        "Time of the last log event of the session; of an upload to S3, when it was uploaded.",
        unit="UTC",
    ),
    Column("resumes", "bigint", "Times that the session was resumed.", unit="count", nullable=False),
    Column(
        "chunks",
        "bigint",
        "Log events, or uploads to S3, that the transcript was put together from.",
        unit="count",
        nullable=False,
    ),
    Column(
        "repeated_chunks",
        "bigint",
        "Chunks with the text of another chunk of the session: the agent may have sent them twice. All are kept.",
        unit="count",
        nullable=False,
    ),
    Column("lines", "bigint", "Lines of the transcript.", unit="count", nullable=False),
    Column("bytes", "bigint", "Length of the transcript in UTF-8.", unit="bytes", nullable=False),
    Column("sessiondata", "string", "The whole transcript in order, lines joined by a newline; null if there is none."),
    Column(
        "transcript",
        "string",
        "sessiondata as a reader would have seen it: terminal sequences, backspaces and carriage returns acted on.",
    ),
    Column("loggroup", "string", "Log group of the keystrokes; null where they are an upload to S3.", "logGroup"),
    Column("logstream", "string", "Log stream of the keystrokes; null where they are an upload to S3.", "logStream"),
)

ONE_ROW = (
    "a StartSession, named by its `eventid`; or an orphan, which has none and is named by its `sessionowner` and "
    "`sessionid`"
)

TABLE = Table(
    "sessions",
    "Session Manager sessions started, refused or found on the day, one row each, keystrokes joined in.",
    COLUMNS,
    (EVENT_DAY,),
    row_order=("eventtime", "eventid", "sessionowner", "sessionid"),
)
