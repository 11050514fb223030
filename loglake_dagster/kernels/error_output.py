"""Firehose's error output: lines that hold the records which it could not process, as it had received them.

Formats: docs/formats.md 4.4. A line is `{attemptsMade, ..., errorCode, errorMessage, rawData, lambdaArn}`; rawData is
the record in base64. Which document the record is, is not known here.
"""

from __future__ import annotations

import base64

import msgspec

from loglake_dagster.errors import ObjectError, RecordError
from loglake_dagster.kernels.framing import UNFORESEEN
from loglake_dagster.kernels.inflate import inflate

# Inside a string the quotes would be escaped: a text with these bytes has a member of that name.
MARK = b'"rawData"'


class _Line(msgspec.Struct):
    rawData: msgspec.Raw  # noqa: N815


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_text = msgspec.json.Decoder(str).decode


def original_texts(line: bytes, limit_bytes: int) -> list[bytes] | None:
    """The inflated texts of a line's original record; None for a text that is no line of error output. RecordError for
    a record that is not whole."""
    try:
        raw = _decode_line(line).rawData
    except UNFORESEEN:
        return None
    try:
        record = inflate(base64.b64decode(_decode_text(raw), validate=True), limit_bytes)
    except UNFORESEEN:
        raise _unsound("another JSON value") from None
    except ValueError:
        raise _unsound("text that is no base64") from None
    except ObjectError as error:
        raise _unsound(error.reason) from None
    if record.damage is not None:
        raise _unsound(record.damage.reason)
    return record.texts


def _unsound(got: str) -> RecordError:
    return RecordError("$.rawData", "a whole record in base64", got)
