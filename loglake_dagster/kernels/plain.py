"""Reading for the audit's own count: the plain gzip and json modules, sound objects only, no code of the decoders."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn


def plain_documents(data: bytes) -> Iterator[Any]:
    """The JSON values that an object holds back to back, inflated as often as it is packed. What these modules raise
    for an object that is damaged, or framed in a way that they do not know."""
    while data[:2] == b"\x1f\x8b":
        data = gzip.GzipFile(fileobj=io.BytesIO(re.sub(rb"[\n\r \t]+(?=\x1f\x8b\x08)", b"", data))).read()
    text, position, parse = data.decode(), 0, json.JSONDecoder(parse_constant=_refuse).raw_decode
    while position < len(text):
        if text[position] in " \r\n\t,\0":
            position += 1
            continue
        document, position = parse(text, position)
        yield document


def _refuse(name: str) -> NoReturn:
    """NaN and its like are no JSON: what the decoders make of a text around them is not for plain code to say."""
    raise ValueError(f"{name} is no JSON")


def plain_member(members: dict[str, Any], name: str) -> Any:
    """A member of a JSON object by its name, else by its name in another case, as the decoders take it; None if there
    is none."""
    if name in members:
        return members[name]
    return next((v for n, v in reversed(members.items()) if n.lower() == name.lower() and v is not None), None)
