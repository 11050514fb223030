"""CloudWatch Logs subscription documents to rows: one Firehose object holds many, of many log groups.

A document is `{messageType, owner, logGroup, logStream, subscriptionFilters, logEvents: [...]}`, see docs/formats.md
4.1; the records counted are its log events. A line of Firehose's error output (4.4) stands for the documents of its
original record. Any other text counts as one record and becomes a reject.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa

from loglake_dagster.errors import ObjectError, RecordError, quote
from loglake_dagster.kernels.arrow import BATCH_BYTES, cut_batches
from loglake_dagster.kernels.error_output import MARK, original_texts
from loglake_dagster.kernels.frame import (
    ESCAPE,
    Span,
    arrays_of_member,
    is_dense,
    spelled,
    split_documents,
    split_elements,
    split_lines,
)
from loglake_dagster.kernels.framing import UNFORESEEN, Cuttings
from loglake_dagster.kernels.inflate import inflate
from loglake_dagster.kernels.rows import TableRows, decoded_of
from loglake_dagster.kernels.session_id import split_session_id
from loglake_dagster.kernels.times import YEARS, is_storable_ms
from loglake_dagster.lake.controls import Rule
from loglake_dagster.lake.schema import SOURCE_ORDINAL
from loglake_dagster.lake.source import OBJECT_PLACE, Damage, Decoded, ObjectAccount, Reject, Wanted

CONTROL = "control_message"
SESSION_ROLE = "session"
BATCH_EVENTS = 20_000


class LogEvent(msgspec.Struct, gc=False):
    """One log event of a document; `id` is a decimal of 56 digits, kept as text, `timestamp` epoch milliseconds."""

    timestamp: int
    message: str
    id: str = ""
    extractedFields: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815


class Document(msgspec.Struct, gc=False):
    """One subscription document. How it was routed (subscriptionFilters, policyLevel) is not kept."""

    messageType: str  # noqa: N815
    owner: str = ""
    logGroup: str = ""  # noqa: N815
    logStream: str = ""  # noqa: N815
    logEvents: list[LogEvent] = []  # noqa: N815


class _LooseEvent(LogEvent, gc=False):
    timestamp: int | float | str  # type: ignore[assignment]


class _LooseDocument(Document, gc=False):
    """A document whose events are still to be read one by one, because not all are as foreseen."""

    logEvents: list[msgspec.Raw] = []  # type: ignore[assignment]  # noqa: N815


class _Target(msgspec.Struct, gc=False):
    id: str | None = None


class _Identity(msgspec.Struct, gc=False):
    arn: str | None = None


class SessionMessage(msgspec.Struct, gc=False):
    """What the agent streams as a log event's message (docs/formats.md 3.4); any pointer field can be null."""

    sessionId: str | None  # noqa: N815
    sessionData: list[str | None] | None  # noqa: N815
    awsRegion: str | None = None  # noqa: N815
    target: _Target | None = None
    userIdentity: _Identity | None = None  # noqa: N815
    runAsUser: str | None = None  # noqa: N815


_EVENTS = b'"logEvents"'
_EVENTS_SPELLED = spelled(b"logEvents", in_any_case=False)
_decode_document = msgspec.json.Decoder(Document).decode
_decode_loose = msgspec.json.Decoder(_LooseDocument).decode
_decode_loose_event = msgspec.json.Decoder(_LooseEvent).decode
_decode_session = msgspec.json.Decoder(SessionMessage).decode

_TEXT_COLUMNS = (
    "owner", "loggroup", "logstream", "eventid", "message", "extractedfields", "sessionid", "sessionowner",
    "awsregion", "target", "useridentity_arn", "runasuser", "sessiondata", "form",
)  # fmt: skip


@dataclass(slots=True)
class _Draft:
    """Columns that wait to become rows together, as Python lists."""

    texts: dict[str, list[str | None]] = field(default_factory=lambda: {name: [] for name in _TEXT_COLUMNS})
    times: list[int] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    size: int = 0

    def table(self) -> pa.Table:
        arrays = {name: pa.array(values, pa.string()) for name, values in self.texts.items()}
        times = pa.array(np.array(self.times, np.int64)).cast(pa.timestamp("ms"))
        arrays["eventtime"] = times
        arrays[SOURCE_ORDINAL.name] = pa.array(self.ordinals, pa.int64())
        arrays[OBJECT_PLACE] = pa.array(self.places, pa.int32())
        return pa.table(arrays)


def decode_documents(objects: Iterable[bytes | ObjectError], wanted: Wanted, limit_bytes: int) -> Decoded:
    """Rows of a run of Firehose objects and an account of each; nothing is raised for what an object holds."""
    accounts: list[ObjectAccount] = []
    tables: list[pa.Table] = []
    draft = _Draft()
    groups = LogGroups(wanted)
    for place, data in enumerate(objects):
        account = ObjectAccount()
        accounts.append(account)
        try:
            if isinstance(data, ObjectError):
                raise data
            inflated = inflate(data, limit_bytes)
            account.damage = inflated.damage
            for text in inflated.texts:
                for document in _documents(text, account, limit_bytes):
                    verdict, role = groups.judge_document(document)
                    ordinals, events = take_events(document, verdict, account)
                    for start, end, size in _batches(document, events):
                        if len(draft.times) >= BATCH_EVENTS or (draft.times and draft.size + size > BATCH_BYTES):
                            tables.append(draft.table())
                            draft = _Draft()
                        _add(draft, document, place, ordinals[start:end], events[start:end], role)
                        draft.size += size
        except ObjectError as error:
            account.error = error
    tables.append(draft.table())
    return decoded_of([TableRows(pa.concat_tables(tables))], accounts)


def _batches(document: Document, events: Sequence[LogEvent]) -> Iterator[tuple[int, int, int]]:
    """(start, end, size) of stretches of a document's events. Each event's row repeats the document's names."""
    names = len(document.owner) + len(document.logGroup) + len(document.logStream)
    sizes = [len(event.message) + len(event.extractedFields) + names for event in events]
    return ((start, end, sum(sizes[start:end])) for start, end in cut_batches(sizes, BATCH_EVENTS, BATCH_BYTES))


class LogGroups:
    """Which role a log group plays, and whether it is kept. A feed that names roles keeps their groups alone, and what
    the controls allow besides; a feed that names none keeps every group. Deny always wins."""

    def __init__(self, wanted: Wanted) -> None:
        self._accounts = wanted.controls.accounts
        rule = wanted.controls.log_groups
        self._roles = [(role, Rule(allow=globs)) for role, globs in wanted.log_groups.items() if globs]
        self._deny = Rule(deny=rule.deny)
        self._allow = Rule(allow=rule.allow) if rule.allow or not self._roles else None
        self._known: dict[tuple[str, str], tuple[str | None, str | None]] = {}

    def judge(self, owner: str, group: str) -> tuple[str | None, str | None]:
        """(name of the rule that drops the group, or None; its role, or None)."""
        if (owner, group) not in self._known:
            self._known[owner, group] = self._judge(owner, group)
        return self._known[owner, group]

    def judge_document(self, document: Document) -> tuple[str | None, str | None]:
        """The same of a document; a control message is dropped whatever its group."""
        verdict, role = self.judge(document.owner, document.logGroup)
        return (CONTROL if document.messageType == "CONTROL_MESSAGE" else verdict), role

    def _judge(self, owner: str, group: str) -> tuple[str | None, str | None]:
        role = next((role for role, rule in self._roles if rule.admits(group)), None)
        if not self._accounts.admits(owner):
            return "accounts", role
        is_kept = self._deny.admits(group) and (
            role is not None or (self._allow is not None and self._allow.admits(group))
        )
        return (None if is_kept else "log_groups"), role


def _documents(text: bytes, account: ObjectAccount, limit_bytes: int | None) -> Iterator[Document]:
    """The documents of an inflated text; what is none, is a reject. Control messages are documents here too. Without a
    limit no line of error output is looked into: an original record holds none."""
    try:
        yield _read(text)
        return
    except UNFORESEEN:
        pass
    for span in split_lines(text) if MARK in text else split_documents(text):
        piece = span.of(text)
        try:
            yield from _documents_of(piece, span, account, limit_bytes)
        except RecordError as error:
            account.reject(Reject.of(account.found, error, piece))
            account.found += 1
            if not span.is_whole:
                account.damage = account.damage or Damage("the text ends inside a document", 0.0)
        if account.error is not None:
            return


def _documents_of(piece: bytes, span: Span, account: ObjectAccount, limit_bytes: int | None) -> list[Document]:
    """The document that a piece is, or those of the original record that it holds; RecordError if it is neither."""
    try:
        return [read_document(piece, account)]
    except UNFORESEEN as error:
        texts = None if limit_bytes is None else original_texts(piece, limit_bytes)
        if texts is None:
            raise _no_document(error, piece, span) from None
    found = account.found
    documents = [document for text in texts for document in _documents(text, account, None)]
    if not documents and account.found == found:
        raise RecordError("$.rawData", "a CloudWatch Logs document", "nothing")
    return documents


def _read(piece: bytes) -> Document:
    """A document, a loose one where an event is not as foreseen; msgspec's errors where it is no document, and where
    it seems to have two lists of events: of equal names msgspec takes the last."""
    is_twice = piece.rfind(_EVENTS, piece.find(_EVENTS) + 1) >= 0
    if is_twice or (ESCAPE in piece and sum(1 for _found in _EVENTS_SPELLED.finditer(piece)) > 1):
        raise msgspec.ValidationError("more than one `logEvents`")
    try:
        document = _decode_document(piece)
        if all(is_storable_ms(event.timestamp) for event in document.logEvents):
            fields = [bytes(event.extractedFields) for event in document.logEvents]
            b"\n".join(fields).decode()  # msgspec did not look into them
            return document
    except UNFORESEEN:
        if is_dense(piece):
            raise
    return _decode_loose(piece)


def read_document(piece: bytes, account: ObjectAccount) -> Document:
    """A document, even one that is no sound JSON because an event in it is none: the events are cut out by their
    brackets and the rest is parsed. msgspec's errors where it is no document, or is cut off; ObjectError, in the
    account too, when too many of the events are too short for one."""
    try:
        return _read(piece)
    except UNFORESEEN:
        starts = list(arrays_of_member(piece, b"logEvents"))
        if len(starts) != 1:
            raise
        start = starts[0]
        events = Cuttings(account)
        last: Span | None = None
        for last in split_elements(piece, start):
            events.add(last.of(piece))
        end = piece.find(b"]", last.end if last else start)
        if end < 0:
            raise
    document = _decode_loose(piece[:start] + b"[]" + piece[end + 1 :])
    document.logEvents = list(map(msgspec.Raw, events.texts))
    return document


def _sound_events(document: _LooseDocument, first: int, account: ObjectAccount) -> tuple[list[int], list[LogEvent]]:
    """(ordinals, events) of a document's sound events; the others are rejects."""
    ordinals: list[int] = []
    events: list[LogEvent] = []
    for index, raw in enumerate(document.logEvents):
        piece = bytes(raw)
        try:
            events.append(_any_event(piece, f"$.logEvents[{index}]"))
            ordinals.append(first + index)
        except RecordError as error:
            account.reject(Reject.of(first + index, error, piece))
    return ordinals, events


def _any_event(piece: bytes, path: str) -> LogEvent:
    """A log event; a timestamp that is a numeric string is tolerated (docs/formats.md 4.1)."""
    try:
        loose = _decode_loose_event(piece)
        bytes(loose.extractedFields).decode()
    except UNFORESEEN as error:
        raise RecordError(path, "a log event {id, timestamp in ms, message}", _words(error)) from None
    timestamp = loose.timestamp
    is_digits = isinstance(timestamp, str) and timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20
    if is_digits or (isinstance(timestamp, float) and timestamp.is_integer()):
        timestamp = int(timestamp)
    if not isinstance(timestamp, int) or not is_storable_ms(timestamp):
        raise RecordError(f"{path}.timestamp", f"epoch milliseconds of {YEARS}", quote(timestamp))
    return LogEvent(timestamp, loose.message, loose.id, loose.extractedFields)


def take_events(
    document: Document, verdict: str | None, account: ObjectAccount
) -> tuple[Sequence[int], Sequence[LogEvent]]:
    """(ordinals, events) of a document's sound events, all of it counted: a `verdict` drops them under its name, those
    that cannot be read are rejects."""
    count = len(document.logEvents)
    first, account.found = account.found, account.found + count
    if verdict is not None:
        account.filter(verdict, count)
        return (), ()
    if isinstance(document, _LooseDocument):
        return _sound_events(document, first, account)
    return range(first, account.found), document.logEvents


def _add(
    draft: _Draft, document: Document, place: int, ordinals: Sequence[int], events: Sequence[LogEvent], role: str | None
) -> None:
    """Adds events of a document of the object at `place` in the run."""
    count = len(events)
    texts = draft.texts
    texts["owner"] += [document.owner] * count
    texts["loggroup"] += [document.logGroup] * count
    texts["logstream"] += [document.logStream] * count
    texts["eventid"] += [event.id or None for event in events]
    texts["message"] += [event.message for event in events]
    texts["extractedfields"] += [bytes(event.extractedFields).decode() or None for event in events]
    draft.times += [event.timestamp for event in events]
    draft.ordinals += ordinals
    draft.places += [place] * count
    for event in events:
        columns = _session_columns(document.logStream, event.message) if role == SESSION_ROLE else _NO_SESSION
        for name, value in zip(_SESSION_COLUMNS, columns, strict=True):
            texts[name].append(value)


_SESSION_COLUMNS = _TEXT_COLUMNS[_TEXT_COLUMNS.index("sessionid") :]
_NO_SESSION: tuple[str | None, ...] = (None,) * len(_SESSION_COLUMNS)


def _session_columns(stream: str, message: str) -> tuple[str | None, ...]:
    """A session log event's columns. The stream's name is the session's; a message that is the agent's JSON is
    `streamed`, any other text is an end-of-session upload, `plain` (docs/formats.md 3.5)."""
    try:
        if not message.startswith("{"):
            raise msgspec.DecodeError
        said = _decode_session(message)
    except UNFORESEEN:
        owner, session = split_session_id(stream)
        return session, owner, None, None, None, None, message, "plain"
    owner, session = split_session_id(stream or said.sessionId or "")
    data = "\n".join(line or "" for line in said.sessionData) if said.sessionData else None
    target = said.target.id if said.target else None
    arn = said.userIdentity.arn if said.userIdentity else None
    return session, owner, said.awsRegion, target, arn, said.runAsUser, data, "streamed"


def _no_document(error: Exception, piece: bytes, span: Span) -> RecordError:
    """Never with the piece's own words: under message extraction they are what somebody typed."""
    got = _words(error) if piece.startswith(b"{") else f"{len(piece)} bytes that are no JSON object"
    return RecordError(f"byte {span.start}", "a CloudWatch Logs document {messageType, owner, logGroup, ...}", got)


def _words(error: Exception) -> str:
    """msgspec's own words: they name the path and never quote the value."""
    text = quote(str(error), 160)
    return text[1:-1] if text[-1] == text[0] else text[1:]
