"""Records that arrive as messages of CloudWatch log events: a service's log stream, delivered by Firehose.

A document that is a CloudWatch subscription's (docs/formats.md 4.1) is looked into: the messages of one log stream
are records, every other log event is counted and filtered. Any other document is left to the framing that asks.
"""

from __future__ import annotations

import msgspec

from loglake_dagster.kernels.documents import LogGroups, read_document, take_events
from loglake_dagster.kernels.frame import ESCAPE, spelled
from loglake_dagster.kernels.framing import UNFORESEEN, Pieces
from loglake_dagster.lake.source import ObjectAccount, Wanted

LOG_STREAMS = "log_streams"
_MARK = b'"messageType"'
_SPELLED = spelled(b"messageType", in_any_case=False)


class _Wrapper(msgspec.Struct):
    """What a subscription's document has at least: without events it is a record that happens to have a type."""

    messageType: str  # noqa: N815
    logEvents: list[msgspec.Raw]  # noqa: N815


_decode_wrapper = msgspec.json.Decoder(_Wrapper).decode


class StreamMessages:
    """An Unwrap of the messages of log stream `stream`. A feed of their source wants them by being one, whatever log
    groups are allowed besides; what the controls deny, accounts and log groups, is denied here too."""

    def __init__(self, stream: str, wanted: Wanted) -> None:
        self._stream = stream
        self._groups = LogGroups(Wanted(wanted.controls, {stream: ("*",)}))

    def __call__(self, text: bytes, account: ObjectAccount) -> Pieces | None:
        if _MARK not in text and (ESCAPE not in text or _SPELLED.search(text) is None):
            return None
        try:
            document = read_document(text, account)
            if not document.logEvents:
                _decode_wrapper(text)
        except UNFORESEEN:
            return None
        verdict, _role = self._groups.judge_document(document)
        if verdict is None and document.logStream != self._stream:
            verdict = LOG_STREAMS
        ordinals, events = take_events(document, verdict, account)
        return Pieces([event.message.encode() for event in events], ordinals)
