"""Reading for the audit's own count: the plain gzip and json modules, sound objects only, no code of the decoders."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn


def plain_documents(data: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects that an object holds back to back, inflated as often as it is packed. What these modules raise
    for an object that is damaged, or framed in a way that they do not know; ValueError for other text between."""
    while data[:2] == b"\x1f\x8b":
        data = gzip.GzipFile(fileobj=io.BytesIO(re.sub(rb"[\n\r \t]+(?=\x1f\x8b\x08)", b"", data))).read()
    text, position = data.decode(), 0
    while position < len(text):
        if text[position] in " \r\n\t,\0":
            position += 1
            continue
        document, position = plain_value(text, position)
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")
        yield document


def plain_value(text: str, start: int = 0) -> tuple[Any, int]:
    """A JSON value and where it ends. ValueError if it is an object with one member twice: of the two json keeps the
    last, and what the decoders make of them is not for plain code to say. What is inside of it may have such."""
    is_twice = False

    def members_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal is_twice  # the outermost object is closed last
        members = dict(pairs)
        is_twice = len(members) < len(pairs)
        return members

    value, end = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=members_of).raw_decode(text, start)
    if isinstance(value, dict) and is_twice:
        raise ValueError("a member stands twice")
    return value, end


def refuse_halves(document: dict[str, Any]) -> None:
    """UnicodeEncodeError for half of a surrogate pair anywhere in a subscription's document but in its events: the
    decoders take such a document for none. So for a line of error output."""
    json.dumps({**document, "logEvents": None}, ensure_ascii=False).encode()


def _refuse(name: str) -> NoReturn:
    """NaN and its like are no JSON: what the decoders make of a text around them is not for plain code to say."""
    raise ValueError(f"{name} is no JSON")


def plain_member(members: dict[str, Any], name: str) -> Any:
    """A member of a JSON object by its name, else by its name in another case, as the decoders take it; None if there
    is none."""
    if name in members:
        return members[name]
    return next((v for n, v in reversed(members.items()) if n.lower() == name.lower() and v is not None), None)
