"""What a StartSession asked for, out of its requestParameters. Pure; the join asks it a row at a time."""

from __future__ import annotations

import json
from typing import NamedTuple

import msgspec


class Request(NamedTuple):
    """Fields of requestParameters as text; `parameters` is JSON. None where it says nothing."""

    target: str | None = None
    documentname: str | None = None
    reason: str | None = None
    parameters: str | None = None


class _Fields(msgspec.Struct):
    target: msgspec.Raw = msgspec.Raw()
    documentName: msgspec.Raw = msgspec.Raw()  # noqa: N815 (AWS's name)
    reason: msgspec.Raw = msgspec.Raw()
    parameters: msgspec.Raw = msgspec.Raw()


_parse = msgspec.json.Decoder(_Fields).decode


def read_request(text: str | None) -> Request:
    """The fields of a StartSession's requestParameters; none of them where it is no object. Never an error: DuckDB's
    reader would hide the target behind a number that is too large for it."""
    if text is None:
        return Request()
    try:
        found = _parse(text)
    except msgspec.DecodeError:
        return Request()
    return Request(_text(found.target), _text(found.documentName), _text(found.reason), _given(found.parameters))


def _text(raw: msgspec.Raw) -> str | None:
    value = _given(raw)
    return str(json.loads(value)) if value is not None and value.startswith('"') else value


def _given(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode()
    return text if text not in ("", "null") else None
